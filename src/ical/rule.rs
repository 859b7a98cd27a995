//! RRULE (RFC 5545 3.3.10): reading it, and the wall times it gives.
//!
//! The `rrule` crate says which days a rule falls on; which times of the day, which positions of the set, how many,
//! until when and in which zone is decided here. Zones, UNTIL, RDATE and overrides are `recur.rs`.

use chrono::{DateTime, Month, Weekday};
use rrule::{Frequency, NWeekday, RRule, Tz, Unvalidated};

use super::recur::Error;
use super::time::{self, DAY, Written};

const MAX_INTERVAL: i64 = 10_000;
const MAX_COUNT: u32 = 100_000;
/// Values of one BY part.
const MAX_LIST: usize = 400;
/// Rules are followed up to the first day of this year; nothing recurs beyond it.
pub(super) const END_OF_RULES: i64 = 2400;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Freq {
    Yearly,
    Monthly,
    Weekly,
    Daily,
    Hourly,
    Minutely,
    Secondly,
}

impl Freq {
    /// Seconds of one period, for the frequencies below a day.
    fn unit(self) -> Option<i64> {
        match self {
            Freq::Hourly => Some(3600),
            Freq::Minutely => Some(60),
            Freq::Secondly => Some(1),
            _ => None,
        }
    }
}

/// A rule as it was written. Weekdays count from Monday, 0.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub freq: Freq,
    pub interval: i64,
    pub count: Option<u32>,
    /// Wall seconds and their form.
    pub until: Option<(i64, Written)>,
    wkst: i64,
    by_month: Vec<i64>,
    by_week: Vec<i64>,
    by_year_day: Vec<i64>,
    by_month_day: Vec<i64>,
    /// Ordinal (0: every) and weekday.
    by_day: Vec<(i64, i64)>,
    by_hour: Vec<i64>,
    by_minute: Vec<i64>,
    by_second: Vec<i64>,
    by_pos: Vec<i64>,
}

impl Rule {
    /// Reads the value of an RRULE. The error says which part can not be followed.
    pub fn parse(text: &str) -> Result<Rule, String> {
        let mut rule = Rule {
            freq: Freq::Yearly,
            interval: 1,
            count: None,
            until: None,
            wkst: 0,
            by_month: Vec::new(),
            by_week: Vec::new(),
            by_year_day: Vec::new(),
            by_month_day: Vec::new(),
            by_day: Vec::new(),
            by_hour: Vec::new(),
            by_minute: Vec::new(),
            by_second: Vec::new(),
            by_pos: Vec::new(),
        };
        let mut freq = None;
        for part in text.split(';').map(str::trim).filter(|p| !p.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| format!("the rule part {part} has no value"))?;
            let value = value.trim();
            let name = name.trim().to_ascii_uppercase();
            match name.as_str() {
                "FREQ" => freq = Some(frequency(value)?),
                "INTERVAL" => {
                    let n: i64 = value.parse().map_err(|_| format!("INTERVAL={value} is no number"))?;
                    if !(0..=MAX_INTERVAL).contains(&n) {
                        return Err(format!("INTERVAL={value} is not between 1 and {MAX_INTERVAL}"));
                    }
                    // Zero is written by programs that mean every one.
                    rule.interval = n.max(1);
                }
                "COUNT" => {
                    let n: u32 = value.parse().map_err(|_| format!("COUNT={value} is no number"))?;
                    if n > MAX_COUNT {
                        return Err(format!("COUNT={value} is not between 1 and {MAX_COUNT}"));
                    }
                    // Zero is written by programs that mean DTSTART alone.
                    rule.count = Some(n.max(1));
                }
                "UNTIL" => rule.until = Some(time::parse(value).ok_or_else(|| format!("UNTIL={value} is no time"))?),
                "WKST" => rule.wkst = weekday(value).ok_or_else(|| format!("WKST={value} is no weekday"))?,
                "BYDAY" => rule.by_day = days(value)?,
                "BYMONTH" => rule.by_month = numbers(&name, value, 1, 12, false)?,
                "BYWEEKNO" => rule.by_week = numbers(&name, value, 1, 53, true)?,
                "BYYEARDAY" => rule.by_year_day = numbers(&name, value, 1, 366, true)?,
                "BYMONTHDAY" => rule.by_month_day = numbers(&name, value, 1, 31, true)?,
                "BYHOUR" => rule.by_hour = numbers(&name, value, 0, 23, false)?,
                "BYMINUTE" => rule.by_minute = numbers(&name, value, 0, 59, false)?,
                // A leap second is not counted: the last second of the minute stands for it.
                "BYSECOND" => {
                    rule.by_second = numbers(&name, value, 0, 60, false)?.into_iter().map(|s| s.min(59)).collect();
                    rule.by_second.dedup();
                }
                "BYSETPOS" => rule.by_pos = numbers(&name, value, 1, 86_400 * 366, true)?,
                "RSCALE" if value.eq_ignore_ascii_case("GREGORIAN") => {}
                "SKIP" if value.eq_ignore_ascii_case("OMIT") => {}
                "RSCALE" | "SKIP" => {
                    return Err(format!("{name}={value} (RFC 7529): other calendars are not followed here"));
                }
                // What a rule part that is not known means is not known either.
                _ => return Err(format!("the rule part {name} is not known")),
            }
        }
        rule.freq = freq.ok_or("the rule has no FREQ")?;
        rule.check()?;
        Ok(rule)
    }

    /// The combinations that RFC 5545 3.3.10 rules out.
    fn check(&self) -> Result<(), String> {
        let wrong = |part: &str| Err(format!("{part} does not go with this FREQ (RFC 5545 3.3.10)"));
        if !self.by_week.is_empty() && self.freq != Freq::Yearly {
            return wrong("BYWEEKNO");
        }
        if !self.by_year_day.is_empty() && matches!(self.freq, Freq::Daily | Freq::Weekly | Freq::Monthly) {
            return wrong("BYYEARDAY");
        }
        if !self.by_month_day.is_empty() && self.freq == Freq::Weekly {
            return wrong("BYMONTHDAY");
        }
        Ok(())
    }

    /// The same rule for a DTSTART that is a DATE: parts below a day mean nothing then (RFC 5545 3.3.10).
    pub fn of_dates(mut self) -> Result<Rule, String> {
        if self.freq.unit().is_some() {
            return Err("a rule below DAILY does not go with a DTSTART that is a DATE".to_owned());
        }
        (self.by_hour, self.by_minute, self.by_second) = (Vec::new(), Vec::new(), Vec::new());
        Ok(self)
    }

    /// Whether the ordinals of BYDAY mean anything: below MONTHLY they are written in error and passed over.
    fn ordinals(&self) -> bool {
        self.freq <= Freq::Monthly && self.by_day.iter().any(|(n, _)| *n != 0)
    }

    /// Adds to `out` the wall times after `start` (DTSTART) that lie in `from .. to`, in order. DTSTART itself is never
    /// among them, but it is counted: COUNT=3 gives two. Without COUNT the walk begins at `from`, not at `start`.
    /// UNTIL is not looked at. Each day and time that is looked at costs one of `steps`.
    pub fn walk(&self, start: i64, from: i64, to: i64, steps: &mut usize, out: &mut Vec<i64>) -> Result<(), Error> {
        let to = to.min(time::days_from_civil(END_OF_RULES, 1, 1) * DAY);
        let from = from.max(start + 1);
        let mut left = self.count.map_or(u32::MAX, |n| n - 1);
        if to <= from || left == 0 {
            return Ok(());
        }
        // Counting begins at the beginning.
        let first = if self.count.is_some() { start } else { from };
        let mut give = |wall: i64| {
            if wall > start && left > 0 {
                left -= 1;
                if wall >= from && wall < to {
                    out.push(wall);
                }
            }
            left > 0 && wall < to
        };
        match self.freq.unit() {
            Some(unit) => self.walk_times(unit, start, first, to, steps, &mut give),
            None => self.walk_periods(start, first, to, steps, &mut give),
        }
    }

    /// YEARLY to DAILY: the days of each period, times the times of the day, then BYSETPOS.
    fn walk_periods(
        &self,
        start: i64,
        first: i64,
        to: i64,
        steps: &mut usize,
        give: &mut dyn FnMut(i64) -> bool,
    ) -> Result<(), Error> {
        let times = self.times_of_day(start);
        spend(steps, times.len() / 64)?;
        if self.by_pos.is_empty() {
            for day in self.days(start, first, to)? {
                spend(steps, 1)?;
                if day * DAY >= to {
                    break;
                }
                if !self.fits(day) {
                    continue;
                }
                for time in &times {
                    spend(steps, 1)?;
                    if !give(day * DAY + time) {
                        return Ok(());
                    }
                }
            }
            return Ok(());
        }
        let mut days = self.days(start, first, to)?.peekable();
        let mut set: Vec<i64> = Vec::new();
        while let Some(day) = days.next() {
            spend(steps, 1)?;
            let period = self.period(day);
            if self.first_day(period) * DAY >= to {
                break;
            }
            if self.fits(day) {
                set.push(day);
            }
            if days.peek().is_some_and(|next| self.period(*next) == period) {
                continue;
            }
            let of_day = times.len() as i64;
            for position in positions(&self.by_pos, set.len() as i64 * of_day) {
                spend(steps, 1)?;
                let (day, time) = (set[(position / of_day) as usize], times[(position % of_day) as usize]);
                if !give(day * DAY + time) {
                    return Ok(());
                }
            }
            set.clear();
        }
        Ok(())
    }

    /// HOURLY, MINUTELY, SECONDLY: each period of `unit` seconds that lies on the interval, on the days that fit.
    fn walk_times(
        &self,
        unit: i64,
        start: i64,
        first: i64,
        to: i64,
        steps: &mut usize,
        give: &mut dyn FnMut(i64) -> bool,
    ) -> Result<(), Error> {
        let begin = start.div_euclid(unit);
        let within = self.times_of_unit(unit, start);
        let per_day = DAY / unit;
        let fits = |list: &[i64], n: i64| list.is_empty() || list.contains(&n);
        for day in self.days(start, first, to)? {
            spend(steps, 1)?;
            if day * DAY >= to {
                break;
            }
            if !self.fits(day) {
                continue;
            }
            // Without COUNT nothing before `first` matters; with it, `first` is where counting begins.
            let mut n = (day * per_day).max(begin).max(first.div_euclid(unit));
            n += (begin - n).rem_euclid(self.interval);
            while n < (day + 1) * per_day {
                spend(steps, 1)?;
                let at = n * unit;
                n += self.interval;
                let second = at.rem_euclid(DAY);
                if !fits(&self.by_hour, second / 3600)
                    || unit < 3600 && !fits(&self.by_minute, second / 60 % 60)
                    || unit < 60 && !fits(&self.by_second, second % 60)
                {
                    continue;
                }
                let positions: &mut dyn Iterator<Item = i64> = match self.by_pos.is_empty() {
                    true => &mut (0..within.len() as i64),
                    false => &mut positions(&self.by_pos, within.len() as i64).into_iter(),
                };
                for position in positions {
                    spend(steps, 1)?;
                    if !give(at + within[position as usize]) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Seconds of the day, ascending.
    fn times_of_day(&self, start: i64) -> Vec<i64> {
        let second = start.rem_euclid(DAY);
        let hours = or(&self.by_hour, second / 3600);
        let within = self.times_of_unit(3600, start);
        hours.iter().flat_map(|h| within.iter().map(move |s| h * 3600 + s)).collect()
    }

    /// Seconds within one period of `unit` seconds, ascending.
    fn times_of_unit(&self, unit: i64, start: i64) -> Vec<i64> {
        if unit == 1 {
            return vec![0];
        }
        let seconds = or(&self.by_second, start.rem_euclid(60));
        if unit == 60 {
            return seconds;
        }
        let minutes = or(&self.by_minute, start.rem_euclid(3600) / 60);
        minutes.iter().flat_map(|m| seconds.iter().map(move |s| m * 60 + s)).collect()
    }

    /// The number of the period a day lies in.
    fn period(&self, day: i64) -> i64 {
        let (y, m, _) = time::civil_from_days(day);
        match self.freq {
            Freq::Yearly => y,
            Freq::Monthly => y * 12 + m - 1,
            // Day -3 is a Monday.
            Freq::Weekly => (day + 3 - self.wkst).div_euclid(7),
            _ => day,
        }
    }

    fn first_day(&self, period: i64) -> i64 {
        match self.freq {
            Freq::Yearly => time::days_from_civil(period, 1, 1),
            Freq::Monthly => time::days_from_civil(period.div_euclid(12), period.rem_euclid(12) + 1, 1),
            Freq::Weekly => period * 7 - 3 + self.wkst,
            _ => period,
        }
    }

    /// The days the rule may fall on, in order, from the period of `first` on, as the `rrule` crate has them;
    /// [`Rule::fits`] says which of them it does fall on.
    fn days(&self, start: i64, first: i64, to: i64) -> Result<impl Iterator<Item = i64>, Error> {
        let (start, first) = (start.div_euclid(DAY), first.div_euclid(DAY));
        // Below a day every day is looked at.
        let interval = if self.freq.unit().is_some() { 1 } else { self.interval };
        let begin = self.period(start);
        let anchor = self.first_day(begin + (self.period(first) - begin).max(0) / interval * interval);
        // The calendar repeats every 400 years. The crate searches a rule that is never met up to the year 10,000:
        // a search that begins as late as it can ends soon.
        let (last_year, ..) = time::civil_from_days(to.div_euclid(DAY));
        let later = (9_990 - last_year).max(0) / 400 * 146_097;
        let unreadable =
            || Error::Unreadable("the rule or its DTSTART lies outside of what can be followed".to_owned());
        let from = DateTime::from_timestamp((anchor + later) * DAY, 0).ok_or_else(unreadable)?.with_timezone(&Tz::UTC);
        let set = self.day_rule(start, interval).build(from).map_err(|e| Error::Unreadable(e.to_string()))?.limit();
        Ok(set.into_iter().map(move |at| at.timestamp().div_euclid(DAY) - later))
    }

    /// The rule without what is decided here: times, positions, ordinals, ends.
    fn day_rule(&self, start: i64, interval: i64) -> RRule<Unvalidated> {
        let freq = match self.freq {
            Freq::Yearly => Frequency::Yearly,
            Freq::Monthly => Frequency::Monthly,
            Freq::Weekly => Frequency::Weekly,
            _ => Frequency::Daily,
        };
        let (_, month, day) = time::civil_from_days(start);
        let (mut by_month, mut by_month_day) = (self.by_month.clone(), self.by_month_day.clone());
        let mut by_day: Vec<i64> = self.by_day.iter().map(|(_, d)| *d).collect();
        // What the rule leaves open is taken from DTSTART (RFC 5545 3.3.10).
        let open = by_month_day.is_empty() && by_day.is_empty() && self.by_year_day.is_empty();
        match self.freq {
            Freq::Yearly if open && !self.by_week.is_empty() => by_day.push(time::weekday(start)),
            Freq::Yearly if open => {
                if by_month.is_empty() {
                    by_month.push(month);
                }
                by_month_day.push(day);
            }
            Freq::Monthly if open => by_month_day.push(day),
            Freq::Weekly if open => by_day.push(time::weekday(start)),
            _ => {}
        }
        let months: Vec<Month> = by_month.iter().filter_map(|m| Month::try_from(*m as u8).ok()).collect();
        // `fits` looks at BYYEARDAY of the frequencies below a day: the crate takes it with YEARLY only.
        let by_year_day = if freq == Frequency::Yearly { self.by_year_day.as_slice() } else { &[] };
        RRule::new(freq)
            .interval(interval as u16)
            .week_start(chrono_day(self.wkst))
            .by_month(&months)
            .by_month_day(by_month_day.iter().map(|n| *n as i8).collect())
            .by_year_day(by_year_day.iter().map(|n| *n as i16).collect())
            .by_week_no(self.by_week.iter().map(|n| *n as i8).collect())
            .by_weekday(by_day.iter().map(|d| NWeekday::Every(chrono_day(*d))).collect())
    }

    /// What of a day the crate was not asked: the ordinals of BYDAY, of which it refuses some that are right, and
    /// BYYEARDAY below a day.
    fn fits(&self, day: i64) -> bool {
        if self.freq > Freq::Daily && !self.by_year_day.is_empty() {
            let (y, ..) = time::civil_from_days(day);
            let n = day - time::days_from_civil(y, 1, 1);
            let length = 365 + i64::from(time::is_leap(y));
            if !self.by_year_day.iter().any(|d| *d == n + 1 || *d == n - length) {
                return false;
            }
        }
        if !self.ordinals() {
            return true;
        }
        let (y, m, d) = time::civil_from_days(day);
        // The n-th of the month, or of the year when YEARLY names no month (RFC 5545 3.3.10, note 2).
        let (n, length) = if self.freq == Freq::Monthly || !self.by_month.is_empty() {
            (d - 1, time::days_in_month(y, m))
        } else {
            (day - time::days_from_civil(y, 1, 1), 365 + i64::from(time::is_leap(y)))
        };
        let weekday = time::weekday(day);
        let (up, down) = (n / 7 + 1, -((length - 1 - n) / 7 + 1));
        self.by_day.iter().any(|(nth, of)| *of == weekday && (*nth == 0 || *nth == up || *nth == down))
    }
}

fn spend(steps: &mut usize, n: usize) -> Result<(), Error> {
    *steps = steps.checked_sub(n).ok_or(Error::TooMany)?;
    Ok(())
}

/// The indices that BYSETPOS picks out of a set of `n`, ascending.
fn positions(by_pos: &[i64], n: i64) -> Vec<i64> {
    let mut found: Vec<i64> =
        by_pos.iter().map(|p| if *p > 0 { p - 1 } else { n + p }).filter(|i| (0..n).contains(i)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn or(list: &[i64], otherwise: i64) -> Vec<i64> {
    if list.is_empty() { vec![otherwise] } else { list.to_vec() }
}

fn chrono_day(n: i64) -> Weekday {
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun]
        [n.rem_euclid(7) as usize]
}

fn frequency(value: &str) -> Result<Freq, String> {
    Ok(match value.to_ascii_uppercase().as_str() {
        "YEARLY" => Freq::Yearly,
        "MONTHLY" => Freq::Monthly,
        "WEEKLY" => Freq::Weekly,
        "DAILY" => Freq::Daily,
        "HOURLY" => Freq::Hourly,
        "MINUTELY" => Freq::Minutely,
        "SECONDLY" => Freq::Secondly,
        _ => return Err(format!("FREQ={value} is not known")),
    })
}

fn weekday(text: &str) -> Option<i64> {
    let text = text.trim();
    ["MO", "TU", "WE", "TH", "FR", "SA", "SU"].iter().position(|d| d.eq_ignore_ascii_case(text)).map(|n| n as i64)
}

fn days(value: &str) -> Result<Vec<(i64, i64)>, String> {
    let mut list = Vec::new();
    for item in value.split(',').map(str::trim).filter(|i| !i.is_empty()) {
        let split = item.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(0);
        let (ordinal, day) = item.split_at(split);
        let ordinal = if ordinal.is_empty() { Some(0) } else { ordinal.parse().ok().filter(|n| *n != 0) };
        match (ordinal.filter(|n: &i64| n.abs() <= 53), weekday(day)) {
            (Some(n), Some(d)) => list.push((n, d)),
            _ => return Err(format!("BYDAY={item} is no weekday")),
        }
        if list.len() > MAX_LIST {
            return Err(format!("BYDAY names more than {MAX_LIST} days"));
        }
    }
    Ok(list)
}

/// A list of numbers from `low` to `high`, and their negatives when `signed`; sorted, each once.
fn numbers(name: &str, value: &str, low: i64, high: i64, signed: bool) -> Result<Vec<i64>, String> {
    let mut list = Vec::new();
    for item in value.split(',').map(str::trim).filter(|i| !i.is_empty()) {
        let n: i64 = item.parse().map_err(|_| format!("{name}={item} is no number"))?;
        let magnitude = if signed { n.abs() } else { n };
        if !(low..=high).contains(&magnitude) {
            return Err(format!("{name}={item} is not between {low} and {high}"));
        }
        list.push(n);
        if list.len() > MAX_LIST {
            return Err(format!("{name} names more than {MAX_LIST} values"));
        }
    }
    list.sort_unstable();
    list.dedup();
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(start: &str, rule: &str, days: i64) -> String {
        let start = time::parse(start).unwrap().0;
        let mut out = vec![start];
        let rule = Rule::parse(rule).unwrap();
        rule.walk(start, start, start + days * DAY, &mut 100_000, &mut out).unwrap();
        out.into_iter().map(time::format_local).map(|t| t.replace("T090000", "")).collect::<Vec<_>>().join(" ")
    }

    /// Where other engines differ, and what RFC 5545 3.3.10 says.
    #[test]
    fn follows_the_rfc_where_engines_differ() {
        let cases = [
            // "Each BYDAY value": either of them, not both at once. 2026-01-05 is a Monday.
            ("20260105T090000", "FREQ=MONTHLY;BYDAY=1MO,TU", 16, "20260105 20260106 20260113 20260120"),
            // What the rule leaves open is taken from DTSTART: its weekday, not every day of week 3.
            ("20260105T090000", "FREQ=YEARLY;BYWEEKNO=3", 60, "20260105 20260112"),
            // BYSETPOS counts in the whole week, not in what of it follows DTSTART.
            ("20260107T090000", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH;BYSETPOS=2", 14, "20260107 20260113 20260120"),
            ("20260105T090000", "FREQ=MONTHLY;BYDAY=-5MO", 120, "20260105 20260302"),
            ("20260105T090000", "FREQ=YEARLY;BYDAY=-53TH", 400, "20260105"),
            ("20260105T090000", "FREQ=YEARLY;BYDAY=53TH", 400, "20260105 20261231"),
            // Ordinals mean nothing below MONTHLY.
            ("20260105T090000", "FREQ=WEEKLY;BYDAY=2MO", 8, "20260105 20260112"),
            ("20260105T090000", "FREQ=DAILY;COUNT=3", 100, "20260105 20260106 20260107"),
            ("20260105T090000", "FREQ=DAILY;COUNT=1", 100, "20260105"),
            // Not on the rule, and counted.
            ("20260107T090000", "FREQ=WEEKLY;BYDAY=MO;COUNT=2", 100, "20260107 20260112"),
            ("20260131T090000", "FREQ=MONTHLY", 130, "20260131 20260331 20260531"),
            ("20260105T090000", "FREQ=DAILY;BYHOUR=9;BYSECOND=60", 2, "20260105 20260105T090059 20260106T090059"),
        ];
        for (start, rule, days, expect) in cases {
            assert_eq!(walked(start, rule, days), expect, "{rule}");
        }
    }

    #[test]
    fn reads_what_is_written_and_says_what_it_can_not() {
        for good in ["freq=daily", "FREQ=DAILY;;", "FREQ=WEEKLY; BYDAY=MO, TU ;WKST=su", "BYDAY=+1MO;FREQ=MONTHLY"] {
            assert!(Rule::parse(good).is_ok(), "{good}");
        }
        let cases = [
            ("", "no FREQ"),
            ("FREQ=FORTNIGHTLY", "FREQ=FORTNIGHTLY is not known"),
            ("FREQ=DAILY;COUNT", "COUNT has no value"),
            ("FREQ=DAILY;BYDAY=0MO", "BYDAY=0MO is no weekday"),
            ("FREQ=DAILY;BYDAY=ÄÖ", "is no weekday"),
            ("FREQ=DAILY;BYMONTH=13", "BYMONTH=13 is not between 1 and 12"),
            ("FREQ=DAILY;BYMONTH=5L", "BYMONTH=5L is no number"),
            ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY=0 is not between"),
            ("FREQ=MONTHLY;BYWEEKNO=1", "BYWEEKNO does not go with this FREQ"),
            ("FREQ=DAILY;X-EVERY=2", "X-EVERY is not known"),
            ("RSCALE=HEBREW;FREQ=YEARLY", "RSCALE=HEBREW (RFC 7529)"),
        ];
        for (rule, expect) in cases {
            let got = Rule::parse(rule).expect_err(rule);
            assert!(got.contains(expect), "{got}\nwanted: {expect}");
        }
    }
}
