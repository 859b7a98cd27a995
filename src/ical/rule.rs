//! RRULE (RFC 5545 3.3.10): reading it, and the wall times it gives.
//!
//! The `rrule` crate says which days a rule falls on; which times of the day, which positions of the set, how many,
//! until when and in which zone is decided here. Zones, UNTIL, RDATE and overrides are `recur.rs`.

use chrono::{DateTime, Month, Weekday};
use rrule::{Frequency, NWeekday, RRule, Tz, Unvalidated};

use super::recur::Error;
use super::time::{self, DAY, Written};

const MAX_INTERVAL: i64 = 10_000;
/// Values of one BY part.
const MAX_LIST: usize = 400;
/// Rules are followed up to the first day of this year, the first that can not be written; nothing recurs beyond it.
const END_OF_RULES: i64 = 10_000;

fn end_of_rules() -> i64 {
    time::days_from_civil(END_OF_RULES, 1, 1) * DAY
}

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
    /// among them, but it is counted: COUNT=3 gives two. UNTIL is not looked at.
    ///
    /// The walk begins at `from`, not at `start`; with COUNT, where what lies between can be counted without walking.
    /// Each period, day and time that is looked at costs one of `steps`.
    pub fn walk(&self, start: i64, from: i64, to: i64, steps: &mut usize, out: &mut Vec<i64>) -> Result<(), Error> {
        let left = self.count.map_or(i64::MAX, |n| i64::from(n) - 1);
        self.run(start, steps, Out { least: start + 1, from, to, left, last: start, out })
    }

    /// As [`Rule::walk`], for an EXRULE (RFC 2445 4.8.5.2): DTSTART is among the times, and counted, when the rule
    /// gives it, and not otherwise.
    pub fn walk_excluded(
        &self,
        start: i64,
        from: i64,
        to: i64,
        steps: &mut usize,
        out: &mut Vec<i64>,
    ) -> Result<(), Error> {
        let left = self.count.map_or(i64::MAX, i64::from);
        self.run(start, steps, Out { least: start, from, to, left, last: start, out })
    }

    /// The last wall time that COUNT lets the rule give, DTSTART counted; `None`: it gives fewer before `to` or the end
    /// of rules.
    pub fn last(&self, start: i64, to: i64, steps: &mut usize) -> Result<Option<i64>, Error> {
        let Some(count) = self.count else { return Ok(None) };
        let mut none = Vec::new();
        let left = i64::from(count) - 1;
        // Nothing is wanted: all before the last can be skipped.
        let mut out =
            Out { least: start + 1, from: i64::MAX, to: to.min(end_of_rules()), left, last: start, out: &mut none };
        self.search(start, steps, &mut out)?;
        Ok((out.left <= 0).then_some(out.last))
    }

    fn run(&self, start: i64, steps: &mut usize, mut out: Out<'_>) -> Result<(), Error> {
        (out.from, out.to) = (out.from.max(out.least), out.to.min(end_of_rules()));
        if out.from < out.to { self.search(start, steps, &mut out) } else { Ok(()) }
    }

    fn search(&self, start: i64, steps: &mut usize, out: &mut Out<'_>) -> Result<(), Error> {
        if out.left <= 0 || out.least >= out.to {
            return Ok(());
        }
        match (self.freq.unit(), Plain::of(self, start)) {
            (Some(unit), _) => self.walk_times(unit, start, steps, out),
            (None, Some(plain)) => self.walk_plain(&plain, start, steps, out),
            (None, None) => self.walk_periods(start, steps, out),
        }
    }

    /// YEARLY to DAILY by calendar arithmetic, for the rules that most people write: [`Plain`].
    fn walk_plain(&self, plain: &Plain, start: i64, steps: &mut usize, out: &mut Out<'_>) -> Result<(), Error> {
        let times = self.times_of_day(start);
        spend(steps, times.len() / 64)?;
        let begin = self.period(start.div_euclid(DAY));
        // The period `nth` intervals after the first.
        let period = |nth: i64| begin + nth * self.interval;
        let nth_of = |wall: i64| (self.period(wall.div_euclid(DAY)) - begin).div_euclid(self.interval);
        let from = nth_of(out.from.min(out.to)).max(0);
        let mut days: Vec<i64> = Vec::with_capacity(32);
        let mut nth = if self.count.is_none() { from } else { 0 };
        loop {
            spend(steps, 1)?;
            let at = period(nth);
            if self.first_day(at) * DAY >= out.to {
                return Ok(());
            }
            days.clear();
            plain.days(at, self, &mut days);
            if !self.give_set(&days, &times, steps, out)? {
                return Ok(());
            }
            nth += 1;
            // The first period is cut by DTSTART and was walked; those after it are counted.
            if nth < from && self.count.is_some() {
                nth = self.skip(plain, times.len() as i64, nth, from, &period, steps, out)?;
            }
        }
    }

    /// Counts the periods from the `nth` on without giving what is in them, up to `to` or the one in which COUNT ends.
    #[allow(clippy::too_many_arguments)]
    fn skip(
        &self,
        plain: &Plain,
        times: i64,
        mut nth: i64,
        to: i64,
        period: &dyn Fn(i64) -> i64,
        steps: &mut usize,
        out: &mut Out<'_>,
    ) -> Result<i64, Error> {
        let of_set = |days: i64| match self.by_pos.as_slice() {
            [] => days * times,
            by_pos => positions(by_pos, days * times).len() as i64,
        };
        if let Some((periods, days)) = plain.repeats(self.interval, period(nth)) {
            let each: i64 = days.iter().map(|days| of_set(*days)).sum();
            let blocks = (to - nth) / periods;
            let skipped = if each == 0 { blocks } else { blocks.min((out.left - 1) / each) };
            out.left -= skipped * each;
            nth += skipped * periods;
        }
        while nth < to {
            spend(steps, 1)?;
            let each = of_set(plain.count(period(nth)));
            if each >= out.left {
                break;
            }
            out.left -= each;
            nth += 1;
        }
        Ok(nth)
    }

    /// Gives the times of the days of one period, or those of them that BYSETPOS picks. False: no more are wanted.
    fn give_set(&self, days: &[i64], times: &[i64], steps: &mut usize, out: &mut Out<'_>) -> Result<bool, Error> {
        if self.by_pos.is_empty() {
            for day in days {
                for time in times {
                    spend(steps, 1)?;
                    if !out.give(day * DAY + time) {
                        return Ok(false);
                    }
                }
            }
            return Ok(true);
        }
        let of_day = times.len() as i64;
        for position in positions(&self.by_pos, days.len() as i64 * of_day) {
            spend(steps, 1)?;
            let (day, time) = (days[(position / of_day) as usize], times[(position % of_day) as usize]);
            if !out.give(day * DAY + time) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// YEARLY to DAILY: the days of each period as the `rrule` crate has them, times the times of the day, then BYSETPOS.
    fn walk_periods(&self, start: i64, steps: &mut usize, out: &mut Out<'_>) -> Result<(), Error> {
        let times = self.times_of_day(start);
        spend(steps, times.len() / 64)?;
        // Counting begins at the beginning.
        let first = if self.count.is_some() { start } else { out.from };
        let mut days = self.days(start, first, out.to)?.peekable();
        let mut set: Vec<i64> = Vec::new();
        while let Some(day) = days.next() {
            spend(steps, 1)?;
            let period = self.period(day);
            if self.first_day(period) * DAY >= out.to {
                break;
            }
            if self.fits(day) {
                set.push(day);
            }
            // BYSETPOS needs the whole period at once.
            if !self.by_pos.is_empty() && days.peek().is_some_and(|next| self.period(*next) == period) {
                continue;
            }
            if !self.give_set(&set, &times, steps, out)? {
                return Ok(());
            }
            set.clear();
        }
        Ok(())
    }

    /// HOURLY, MINUTELY, SECONDLY: each period of `unit` seconds that lies on the interval, on the days that fit.
    fn walk_times(&self, unit: i64, start: i64, steps: &mut usize, out: &mut Out<'_>) -> Result<(), Error> {
        let begin = start.div_euclid(unit);
        let within = self.times_of_unit(unit, start);
        let per_day = DAY / unit;
        let every_day = self.by_month.is_empty()
            && self.by_month_day.is_empty()
            && self.by_year_day.is_empty()
            && self.by_day.is_empty();
        let positions: Vec<i64> = match self.by_pos.is_empty() {
            true => (0..within.len() as i64).collect(),
            false => positions(&self.by_pos, within.len() as i64),
        };
        if positions.is_empty() {
            return Ok(());
        }
        let mut first = if self.count.is_some() { start } else { out.from };
        if self.count.is_some() && every_day && !self.limits_times(unit) {
            // Each period gives as many: those between the first, which DTSTART cuts, and `from` need no walk.
            let each = positions.len() as i64;
            let cut = positions.iter().filter(|p| begin * unit + within[**p as usize] >= out.least).count() as i64;
            let before = (out.from.min(out.to).div_euclid(unit) - begin).div_euclid(self.interval) - 1;
            if before > 0 && cut < out.left {
                let skipped = before.min((out.left - cut - 1) / each);
                out.left -= cut + skipped * each;
                first = (begin + (skipped + 1) * self.interval) * unit;
            }
        }
        let days: &mut dyn Iterator<Item = i64> = match every_day {
            true => &mut (first.div_euclid(DAY)..),
            false => &mut self.days(start, first, out.to)?,
        };
        for day in days {
            spend(steps, 1)?;
            if day * DAY >= out.to {
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
                if let Some(next) = self.not_before(unit, at) {
                    n = next.div_euclid(unit);
                    n += (begin - n).rem_euclid(self.interval);
                    continue;
                }
                n += self.interval;
                for position in &positions {
                    spend(steps, 1)?;
                    if !out.give(at + within[*position as usize]) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether BYHOUR, BYMINUTE or BYSECOND leave out periods of `unit` seconds.
    fn limits_times(&self, unit: i64) -> bool {
        !self.by_hour.is_empty() || unit < 3600 && !self.by_minute.is_empty() || unit < 60 && !self.by_second.is_empty()
    }

    /// When BYHOUR, BYMINUTE or BYSECOND leave out the period of `unit` seconds that begins at `at`: the next wall time
    /// at which it may be otherwise.
    fn not_before(&self, unit: i64, at: i64) -> Option<i64> {
        let fits = |list: &[i64], n: i64| list.is_empty() || list.contains(&n);
        let second = at.rem_euclid(DAY);
        if !fits(&self.by_hour, second / 3600) {
            Some((at.div_euclid(3600) + 1) * 3600)
        } else if unit < 3600 && !fits(&self.by_minute, second / 60 % 60) {
            Some((at.div_euclid(60) + 1) * 60)
        } else if unit < 60 && !fits(&self.by_second, second % 60) {
            Some(at + 1)
        } else {
            None
        }
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
        // `fits` looks at the weeks; the crate saves the search where it is right, which is away from the turn of the year.
        let inner = self.by_week.iter().all(|n| (2..=51).contains(&n.abs()));
        let by_week: &[i64] = if inner { &self.by_week } else { &[] };
        // `fits` looks at BYYEARDAY of the frequencies below a day: the crate takes it with YEARLY only.
        let by_year_day = if freq == Frequency::Yearly { self.by_year_day.as_slice() } else { &[] };
        RRule::new(freq)
            .interval(interval as u16)
            .week_start(chrono_day(self.wkst))
            .by_month(&months)
            .by_month_day(by_month_day.iter().map(|n| *n as i8).collect())
            .by_year_day(by_year_day.iter().map(|n| *n as i16).collect())
            .by_week_no(by_week.iter().map(|n| *n as i8).collect())
            .by_weekday(by_day.iter().map(|d| NWeekday::Every(chrono_day(*d))).collect())
    }

    /// Whether BYWEEKNO names the week of a day, from either end of the year in which most of the week lies.
    fn fits_week(&self, day: i64) -> bool {
        let first_of = |day: i64| day - (time::weekday(day) - self.wkst).rem_euclid(7);
        // The week that holds the fourth of January is the first.
        let one = |year: i64| first_of(time::days_from_civil(year, 1, 4));
        let first = first_of(day);
        let (year, ..) = time::civil_from_days(first + 3);
        let (up, down) = ((first - one(year)) / 7 + 1, (first - one(year + 1)) / 7);
        self.by_week.iter().any(|n| *n == up || *n == down)
    }

    /// What of a day the crate was not asked: the ordinals of BYDAY, of which it refuses some that are right, BYWEEKNO,
    /// of which it does not know some about the turn of the year, and BYYEARDAY below a day.
    fn fits(&self, day: i64) -> bool {
        if !self.by_week.is_empty() && !self.fits_week(day) {
            return false;
        }
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

/// Where wall times go: those from `from` on and before `to` into `out`; those from `least` on are counted.
struct Out<'o> {
    /// The first that counts: after DTSTART, which was counted already.
    least: i64,
    from: i64,
    to: i64,
    /// How many COUNT still allows.
    left: i64,
    /// The last that was counted.
    last: i64,
    out: &'o mut Vec<i64>,
}

impl Out<'_> {
    /// False: no more are wanted.
    fn give(&mut self, wall: i64) -> bool {
        if wall >= self.least && self.left > 0 {
            self.left -= 1;
            self.last = wall;
            if wall >= self.from && wall < self.to {
                self.out.push(wall);
            }
        }
        self.left > 0 && wall < self.to
    }
}

/// Rules whose days are had by arithmetic, without a search: DAILY and WEEKLY with BYDAY, MONTHLY and YEARLY with the
/// days of named months, by number or by weekday. All others go to the `rrule` crate.
enum Plain {
    /// Bits of the weekdays that count.
    Days(u8),
    /// Days of the week, from its first, ascending.
    Weeks(Vec<i64>),
    Months(Months),
    /// The months of each year, from 1.
    Years(Vec<i64>, Months),
}

/// Which days of a month.
struct Months {
    /// Bits of BYMONTHDAY from the first of the month, and from its last; both 0: all.
    up: u32,
    down: u32,
    /// BYDAY.
    by_day: Vec<(i64, i64)>,
    /// Bits of BYMONTH for MONTHLY, from 1; 0: all.
    of_year: u16,
}

impl Plain {
    fn of(rule: &Rule, start: i64) -> Option<Plain> {
        if !rule.by_week.is_empty() || !rule.by_year_day.is_empty() {
            return None;
        }
        let day = start.div_euclid(DAY);
        let (_, month, month_day) = time::civil_from_days(day);
        // What the rule leaves open is taken from DTSTART (RFC 5545 3.3.10).
        let open = rule.by_month_day.is_empty() && rule.by_day.is_empty();
        let months = |of_year: u16| {
            let from_start = [month_day];
            let days: &[i64] = if open { &from_start } else { &rule.by_month_day };
            let bits = |sign: i64| days.iter().filter(|n| *n * sign > 0).fold(0, |bits, n| bits | 1 << (n.abs() - 1));
            Months { up: bits(1), down: bits(-1), by_day: rule.by_day.clone(), of_year }
        };
        match rule.freq {
            Freq::Daily if rule.by_month.is_empty() && rule.by_month_day.is_empty() => {
                let bits = rule.by_day.iter().fold(0, |bits, (_, d)| bits | 1 << d);
                Some(Plain::Days(if bits == 0 { 0x7f } else { bits }))
            }
            Freq::Weekly if rule.by_month.is_empty() => {
                let days: Vec<i64> = rule.by_day.iter().map(|(_, d)| *d).collect();
                let mut days = if days.is_empty() { vec![time::weekday(day)] } else { days };
                days.iter_mut().for_each(|d| *d = (*d - rule.wkst).rem_euclid(7));
                days.sort_unstable();
                days.dedup();
                Some(Plain::Weeks(days))
            }
            Freq::Monthly => Some(Plain::Months(months(rule.by_month.iter().fold(0, |bits, m| bits | 1 << m)))),
            // Without BYMONTH, BYDAY is of the whole year.
            Freq::Yearly if rule.by_day.is_empty() || !rule.by_month.is_empty() => {
                let of_year = match (rule.by_month.is_empty(), rule.by_month_day.is_empty()) {
                    (false, _) => rule.by_month.clone(),
                    (true, false) => (1..=12).collect(),
                    (true, true) => vec![month],
                };
                Some(Plain::Years(of_year, months(0)))
            }
            _ => None,
        }
    }

    /// The days of a period, ascending.
    fn days(&self, period: i64, rule: &Rule, out: &mut Vec<i64>) {
        let mut of_month = |year: i64, month: i64, months: &Months| {
            let first = time::days_from_civil(year, month, 1);
            let mut bits = months.bits(first, time::days_in_month(year, month));
            while bits != 0 {
                out.push(first + i64::from(bits.trailing_zeros()));
                bits &= bits - 1;
            }
        };
        match self {
            Plain::Days(bits) if bits >> time::weekday(period) & 1 == 1 => out.push(period),
            Plain::Days(_) => {}
            Plain::Weeks(days) => out.extend(days.iter().map(|d| rule.first_day(period) + d)),
            Plain::Months(months) => {
                let (year, month) = (period.div_euclid(12), period.rem_euclid(12) + 1);
                if months.of_year == 0 || months.of_year >> month & 1 == 1 {
                    of_month(year, month, months);
                }
            }
            Plain::Years(of_year, months) => of_year.iter().for_each(|month| of_month(period, *month, months)),
        }
    }

    /// How many days a period has.
    fn count(&self, period: i64) -> i64 {
        let of_month = |year: i64, month: i64, months: &Months| {
            let first = time::days_from_civil(year, month, 1);
            i64::from(months.bits(first, time::days_in_month(year, month)).count_ones())
        };
        match self {
            Plain::Days(bits) => i64::from(bits >> time::weekday(period) & 1),
            Plain::Weeks(days) => days.len() as i64,
            Plain::Months(months) => {
                let (year, month) = (period.div_euclid(12), period.rem_euclid(12) + 1);
                let counts = months.of_year == 0 || months.of_year >> month & 1 == 1;
                if counts { of_month(year, month, months) } else { 0 }
            }
            Plain::Years(of_year, months) => of_year.iter().map(|month| of_month(period, *month, months)).sum(),
        }
    }

    /// After how many periods the number of days in each begins again, and those numbers that are not 0, where that is
    /// soon.
    fn repeats(&self, interval: i64, period: i64) -> Option<(i64, Vec<i64>)> {
        match self {
            // The interval comes by each weekday once in seven times, or by the same one always.
            Plain::Days(bits) if interval % 7 != 0 => Some((7, vec![1; bits.count_ones() as usize])),
            Plain::Days(bits) => Some((1, vec![i64::from(bits >> time::weekday(period) & 1)])),
            Plain::Weeks(days) => Some((1, vec![days.len() as i64])),
            Plain::Months(months) if months.of_year == 0 => months.always().map(|n| (1, vec![n])),
            Plain::Months(_) => None,
            Plain::Years(of_year, months) => months.always().map(|n| (1, vec![n * of_year.len() as i64])),
        }
    }
}

impl Months {
    /// The days of a month that begins on day `first` and has `length` days, as bits from the first.
    fn bits(&self, first: i64, length: i64) -> u32 {
        let whole = u32::MAX >> (32 - length);
        let numbered = match (self.up, self.down) {
            (0, 0) => whole,
            (up, down) => (up | down.reverse_bits() >> (32 - length)) & whole,
        };
        if self.by_day.is_empty() {
            return numbered;
        }
        let weekday = time::weekday(first);
        let mut named = 0;
        for (nth, day) in &self.by_day {
            let begin = (day - weekday).rem_euclid(7);
            named |= match *nth {
                0 => 0x1020_4081 << begin,
                up @ 1..=5 => 1 << (begin + 7 * (up - 1)),
                // How often the weekday comes in the month, counted back from the last.
                down @ -5..=-1 if (length - 1 - begin) / 7 + 1 + down >= 0 => {
                    1 << (begin + 7 * ((length - 1 - begin) / 7 + 1 + down))
                }
                _ => 0,
            } & u64::from(whole);
        }
        numbered & named as u32
    }

    /// How many days every month has: days that all months have, counted from one end so that none meet.
    fn always(&self) -> Option<i64> {
        const EVERY: u32 = (1 << 28) - 1;
        if self.by_day.is_empty() {
            let one_end = self.up == 0 || self.down == 0;
            let all_have = (self.up | self.down) & !EVERY == 0;
            return (one_end && all_have).then(|| i64::from((self.up | self.down).count_ones()));
        }
        let one_end = self.by_day.iter().all(|(n, _)| (1..=4).contains(n))
            || self.by_day.iter().all(|(n, _)| (-4..=-1).contains(n));
        let mut days = self.by_day.clone();
        days.sort_unstable();
        days.dedup();
        (one_end && (self.up, self.down) == (0, 0)).then_some(days.len() as i64)
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

    /// Arithmetic and the search of the crate give the same, for all rules of the fixture that arithmetic can do.
    #[test]
    fn arithmetic_gives_what_the_search_gives() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ical/rules.txt");
        let base36 = |text: &str| i64::from_str_radix(text, 36).unwrap();
        let mut seen = 0;
        for line in std::fs::read_to_string(path).unwrap().lines().filter(|l| !l.starts_with('#')).step_by(2) {
            let parts: Vec<&str> = line.split('|').collect();
            let (start, written) = time::parse(parts[1].trim_start_matches('~')).unwrap();
            let mut rule = Rule::parse(&format!("FREQ={}", parts[2])).unwrap();
            if written == Written::Date {
                rule = rule.of_dates().unwrap();
            }
            let (None, Some(plain)) = (rule.freq.unit(), Plain::of(&rule, start)) else { continue };
            let from = base36(parts[3]).max(start + 1);
            let to = base36(parts[3]) + base36(parts[4]);
            if from >= to {
                continue;
            }
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            let left = rule.count.map_or(i64::MAX, |n| i64::from(n) - 1);
            let out = |out| Out { least: start + 1, from, to, left, last: start, out };
            if left > 0 {
                rule.walk_plain(&plain, start, &mut 1_000_000, &mut out(&mut ours)).unwrap();
                rule.walk_periods(start, &mut 1_000_000, &mut out(&mut theirs)).unwrap();
            }
            assert_eq!(ours, theirs, "{line}");
            seen += 1;
        }
        assert!(seen > 2_000, "{seen}");
    }

    /// The last that COUNT allows, found without walking there, is the last of a walk.
    #[test]
    fn finds_the_last_without_walking_there() {
        let start = time::parse("20260105T090000").unwrap().0;
        let rules = [
            "DAILY;COUNT=1",
            "DAILY;INTERVAL=3;COUNT=1000",
            "DAILY;BYDAY=MO,WE,FR;COUNT=999",
            "DAILY;INTERVAL=14;BYDAY=MO;COUNT=77",
            "DAILY;BYHOUR=8,9,20;BYSETPOS=-1,1;COUNT=400",
            "WEEKLY;WKST=SU;BYDAY=SU,MO,SA;INTERVAL=2;COUNT=500",
            "WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=500",
            "MONTHLY;BYMONTHDAY=1,15,28;COUNT=500",
            "MONTHLY;BYMONTHDAY=31,-1;COUNT=500",
            "MONTHLY;BYDAY=1MO,-1FR,5TU;COUNT=500",
            "MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=500",
            "MONTHLY;BYMONTH=2,11;BYMONTHDAY=29;COUNT=100",
            "YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=30",
            "YEARLY;BYMONTH=1,6;BYDAY=2WE;BYMINUTE=0,30;COUNT=101",
            "YEARLY;BYWEEKNO=53;COUNT=9",
            "YEARLY;BYYEARDAY=-1;COUNT=50",
            "HOURLY;INTERVAL=7;BYMINUTE=0,20;COUNT=1001",
            "HOURLY;BYHOUR=9,10;COUNT=100",
            "MINUTELY;INTERVAL=90;COUNT=1000",
            "SECONDLY;COUNT=2000",
        ];
        for text in rules {
            let rule = Rule::parse(&format!("FREQ={text}")).unwrap();
            let mut out = vec![start];
            rule.walk(start, start, i64::MAX, &mut 10_000_000, &mut out).unwrap();
            assert_eq!(out.len(), rule.count.unwrap() as usize, "{text}");
            let last = rule.last(start, i64::MAX, &mut 200_000).unwrap();
            assert_eq!(last, out.last().copied(), "{text}");
            // A window anywhere holds what the walk found there, whatever was skipped before it.
            for from in [out[0], out[out.len() / 2], out[out.len() - 1], out[out.len() - 1] + 1] {
                let mut found = Vec::new();
                rule.walk(start, from, from + 400 * DAY, &mut 10_000_000, &mut found).unwrap();
                let inside = |wall: &&i64| **wall > start && **wall >= from && **wall < from + 400 * DAY;
                assert_eq!(found, out.iter().filter(inside).copied().collect::<Vec<_>>(), "{text} {from}");
            }
        }
        for never in ["FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30;COUNT=2", "FREQ=DAILY;INTERVAL=14;BYDAY=TU;COUNT=77"] {
            assert_eq!(Rule::parse(never).unwrap().last(start, i64::MAX, &mut 200_000), Ok(None));
        }
        let far = Rule::parse("FREQ=YEARLY;COUNT=100000").unwrap();
        assert_eq!(far.last(start, i64::MAX, &mut 200_000), Ok(None));
        let end = Rule::parse("FREQ=YEARLY;COUNT=7974").unwrap();
        assert_eq!(end.last(start, i64::MAX, &mut 200), Ok(time::parse("99990105T090000").map(|(wall, _)| wall)));
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
