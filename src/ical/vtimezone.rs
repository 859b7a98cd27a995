//! VTIMEZONE (RFC 5545 3.6.5): what one says, and one for a zone.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::Instant;
use super::rule::{Freq, Rule};
use super::text::{Component, Property};
use super::time::{self, DAY, Written};

/// A VTIMEZONE that was evaluated.
pub(super) struct Own {
    pub zone: TimeZone,
    /// The IANA zone it is like, by the year in which it is used.
    like: Mutex<HashMap<i64, Option<&'static str>>>,
}

impl Own {
    /// What `find` finds for the year, found once.
    pub fn likeness(&self, year: i64, find: impl FnOnce() -> Option<&'static str>) -> Option<&'static str> {
        let like = || self.like.lock().unwrap_or_else(PoisonError::into_inner);
        let known = like().get(&year).copied();
        known.unwrap_or_else(|| {
            let found = find();
            like().insert(year, found);
            found
        })
    }
}

/// VTIMEZONEs evaluated before, by the SHA-256 of their text: calendars repeat the same custom zone in every object.
static EVALUATED: LazyLock<Mutex<Evaluated>> = LazyLock::new(Mutex::default);

/// What was evaluated, and never more of it than a few megabytes.
#[derive(Default)]
struct Evaluated {
    zones: HashMap<[u8; 32], Option<Arc<Own>>>,
    /// Changes of offset that `zones` hold together, some 24 octets each.
    onsets: usize,
}

impl Evaluated {
    fn put(&mut self, key: [u8; 32], own: Option<Arc<Own>>, onsets: usize) {
        // Cheap to make again. What would fill it alone is not kept.
        if self.zones.len() >= MAX_KEPT_ZONES || self.onsets + onsets > MAX_KEPT_ONSETS {
            *self = Evaluated::default();
        }
        if onsets <= MAX_KEPT_ONSETS && self.zones.insert(key, own).is_none() {
            self.onsets += onsets;
        }
    }
}

/// Zones of `EVALUATED`, and their changes of offset: 256 that change twice a year from 1900 to 2200 have 154,000.
const MAX_KEPT_ZONES: usize = 256;
const MAX_KEPT_ONSETS: usize = 200_000;

/// Observances of one VTIMEZONE: a year each for three centuries.
pub(super) const MAX_OBSERVANCES: usize = 300;
/// Onsets that the RDATEs of one VTIMEZONE name.
const MAX_DATES: usize = 2_000;
/// Years for which the rules of a VTIMEZONE are written out.
const EVALUATE_FROM: i64 = 1900;
const EVALUATE_TO: i64 = 2200;

/// A VTIMEZONE as it is. `None` when something in it can not be followed, or there is too much of it.
pub(super) fn evaluate(component: &Component) -> Option<Arc<Own>> {
    if component.components.len() > MAX_OBSERVANCES {
        return None;
    }
    let key = Sha256::digest(component.print()).into();
    // A panic elsewhere leaves the map whole: entries are put in last.
    let evaluated = || EVALUATED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(own) = evaluated().zones.get(&key) {
        return own.clone();
    }
    let compiled = compile(component);
    let onsets = compiled.as_ref().map_or(0, |(_, onsets)| *onsets);
    let own = compiled.map(|(zone, _)| Arc::new(Own { zone, like: Mutex::default() }));
    evaluated().put(key, own.clone(), onsets);
    own
}

/// A change of offset: when, to what, whether that is summer time, and what it ends.
type Onset = (i64, i64, bool, i64);

/// From the onsets of all observances to the binary form (RFC 8536) that the zone library reads, and how many they are.
///
/// DTSTART is an onset where no RRULE stands beside it, or where the RRULE gives it too. RFC 5545 3.6.5 asks that it
/// always be one; but whoever writes another day there (the first of January, of 1601 or of the present year) has a rule
/// that says when the clock is put forward, and means by DTSTART only since when the rule holds.
fn compile(component: &Component) -> Option<(TimeZone, usize)> {
    let mut onsets: Vec<Onset> = Vec::new();
    let mut dates = 0;
    // For all observances together: two that recur yearly take 1,200.
    let mut steps: usize = 40_000;
    for observance in component.components.iter().filter(|c| c.name() == "STANDARD" || c.name() == "DAYLIGHT") {
        let from = offset(observance.value("TZOFFSETFROM")?)?;
        let to = offset(observance.value("TZOFFSETTO")?)?;
        let daylight = observance.name() == "DAYLIGHT";
        let (start, _) = time::parse(observance.value("DTSTART")?)?;
        let mut walls = Vec::new();
        for line in observance.all("RDATE") {
            for value in line.value().split(',').filter(|value| !value.trim().is_empty()) {
                dates += 1;
                if dates > MAX_DATES {
                    return None;
                }
                walls.push(time::parse(value.split('/').next()?)?.0);
            }
        }
        let mut ruled = Vec::new();
        for line in observance.all("RRULE").filter(|l| !l.value().trim().is_empty()) {
            let rule = Rule::parse(line.value()).ok()?;
            // No clock is put forward more often by rule. The others search days in which there is nothing to count.
            if rule.freq != Freq::Yearly {
                return None;
            }
            let begin = |year: i64| time::days_from_civil(year, 1, 1) * DAY;
            let end = rule.until.map_or(i64::MAX, |(until, _)| until + 2 * DAY).min(begin(EVALUATE_TO));
            let mut found = Vec::new();
            rule.walk_excluded(start, begin(EVALUATE_FROM), end, &mut steps, &mut found).ok()?;
            // UNTIL is in UTC; some write it as the wall shows it.
            let keep = |wall: &i64| match rule.until {
                Some((until, Written::Utc)) => wall - from <= until,
                Some((until, Written::Date)) => wall.div_euclid(DAY) <= until.div_euclid(DAY),
                Some((until, Written::Local)) => *wall <= until,
                None => true,
            };
            ruled.extend(found.into_iter().filter(keep));
        }
        if ruled.is_empty() {
            walls.push(start);
        }
        walls.extend(ruled);
        onsets.extend(walls.into_iter().map(|wall| (wall - from, to, daylight, from)));
    }
    onsets.sort_unstable();
    onsets.dedup_by_key(|(at, ..)| *at);
    let (.., before) = onsets.first()?;
    let zone = TimeZone::tzif("", &tzif(*before, &onsets)?).ok()?;
    Some((zone, onsets.len()))
}

/// `+0100`, `-053000`, and `+01:00` as some write it. Seconds, less than a day either way.
pub(super) fn offset(text: &str) -> Option<i64> {
    let text = text.trim();
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let digits: Vec<i64> = digits
        .bytes()
        .filter(|b| *b != b':')
        .map(|b| b.is_ascii_digit().then(|| i64::from(b - b'0')))
        .collect::<Option<_>>()?;
    let pair = |at: usize| digits[at] * 10 + digits[at + 1];
    let seconds = match digits.len() {
        2 => pair(0) * 3600,
        4 => pair(0) * 3600 + pair(2) * 60,
        6 => pair(0) * 3600 + pair(2) * 60 + pair(4),
        _ => return None,
    };
    (seconds < DAY).then_some(sign * seconds)
}

/// A version 2 TZif file: the offset before all, then each onset with the offset from there on.
fn tzif(before: i64, onsets: &[Onset]) -> Option<Vec<u8>> {
    let mut types: Vec<(i64, bool)> = vec![(before, false)];
    let mut indices = Vec::with_capacity(onsets.len());
    for (_, to, daylight, _) in onsets {
        let kind = (*to, *daylight);
        let index = types.iter().position(|t| *t == kind).unwrap_or_else(|| {
            types.push(kind);
            types.len() - 1
        });
        indices.push(u8::try_from(index).ok()?);
    }
    let header = |times: usize, types: usize| {
        let mut out = b"TZif2".to_vec();
        out.extend([0; 15]);
        for count in [0, 0, 0, times, types, 4] {
            out.extend(u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
        }
        out
    };
    let kind = |(seconds, daylight): &(i64, bool)| {
        let mut out = (*seconds as i32).to_be_bytes().to_vec();
        out.extend([u8::from(*daylight), 0]);
        out
    };
    let mut out = header(0, 1);
    out.extend(kind(&types[0]));
    out.extend(b"-00\0");
    out.extend(header(onsets.len(), types.len()));
    onsets.iter().for_each(|(at, ..)| out.extend(at.to_be_bytes()));
    out.extend(indices);
    types.iter().for_each(|t| out.extend(kind(t)));
    out.extend(b"-00\0");
    out.extend(b"\n\n");
    Some(out)
}

/// One change of offset.
#[derive(Clone, Debug, PartialEq)]
struct Change {
    /// By the clock that ends: what DTSTART of an observance is written in.
    wall: i64,
    from: i64,
    to: i64,
    daylight: bool,
    name: String,
}

impl Change {
    fn same_kind(&self, other: &Change) -> bool {
        (self.from, self.to, self.daylight, &self.name) == (other.from, other.to, other.daylight, &other.name)
    }
}

/// A VTIMEZONE named `name` that is right for `zone` in the years that `from` … `until` touch, with both observances
/// where the zone has summer time in them, and nothing of the years before but the change that they begin with.
/// An open side is taken as 1970 and 2037. A yearly rule that still holds at the end goes on without one; two years are
/// looked at even for one, since only they tell a rule.
pub fn vtimezone(name: &str, zone: &TimeZone, from: Instant, until: Instant) -> Component {
    let year = |at: Instant| time::civil_from_days(at.0.div_euclid(DAY)).0;
    let first = if from.0 < -200 * 366 * DAY { 1970 } else { year(from) };
    let last = if until.0 > 4_000 * 366 * DAY { 2037 } else { year(until) }.max(first + 1).min(first + 200);
    let begin = time::days_from_civil(first, 1, 1) * DAY;
    let end = time::days_from_civil(last + 1, 1, 1) * DAY;
    let mut groups: Vec<Vec<Change>> = Vec::new();
    for change in changes(zone, begin, end) {
        match groups.iter_mut().find(|g| g[0].same_kind(&change) && continues(g, &change)) {
            Some(group) => group.push(change),
            None => groups.push(vec![change]),
        }
    }
    let mut out = Component::new("VTIMEZONE");
    out.properties.push(Property::new("TZID", name));
    while !groups.is_empty() {
        let mut group = groups.remove(0);
        if group.len() == 1 {
            // Those that no rule describes are dates of one observance.
            let single = |g: &mut Vec<Change>| g.len() == 1 && g[0].same_kind(&group[0]);
            let others: Vec<Change> = groups.extract_if(.., single).flatten().collect();
            if !others.is_empty() {
                group.extend(others);
                out.components.push(observance(&group, &dates(&group[1..])));
                continue;
            }
        }
        out.components.push(observance(&group, &yearly(&group, end)));
    }
    out
}

/// The changes of offset in `begin .. end`, after the one that holds at `begin`: that of the year before, or, when there
/// was none, the offset as if it had begun then.
fn changes(zone: &TimeZone, begin: i64, end: i64) -> Vec<Change> {
    let at = |seconds: i64| Timestamp::from_second(seconds).unwrap_or(Timestamp::MIN);
    let offset_before = |t: Timestamp| {
        let before = t.checked_sub(SignedDuration::from_secs(1)).unwrap_or(t);
        i64::from(zone.to_offset(before).seconds())
    };
    let change = |t: Timestamp, to: i64, daylight: bool, name: &str| {
        let from = offset_before(t);
        Change { wall: t.as_second() + from, from, to, daylight, name: name.to_owned() }
    };
    let info = zone.to_offset_info(at(begin));
    let to = i64::from(info.offset().seconds());
    let before = zone.preceding(at(begin + 1)).next().filter(|t| t.timestamp().as_second() >= begin - 366 * DAY);
    let first = match before {
        Some(t) => change(t.timestamp(), to, t.dst().is_dst(), t.abbreviation()),
        None => Change { wall: begin, from: to, to, daylight: false, name: info.abbreviation().to_owned() },
    };
    let mut changes = vec![first];
    let mut last = begin;
    for t in zone.following(at(begin)).take_while(|t| t.timestamp().as_second() < end).take(1_000) {
        // A zone that ends with a transition gives this one over and over.
        if std::mem::replace(&mut last, t.timestamp().as_second()) >= t.timestamp().as_second() {
            break;
        }
        let to = i64::from(t.offset().seconds());
        changes.push(change(t.timestamp(), to, t.dst().is_dst(), t.abbreviation()));
    }
    changes
}

/// Month, weekday, which one of the month, second of the day: what two yearly changes have in common.
fn place(wall: i64) -> (i64, i64, i64, i64, i64) {
    let day = wall.div_euclid(DAY);
    let (y, m, d) = time::civil_from_days(day);
    let down = (time::days_in_month(y, m) - d) / 7 + 1;
    (m, time::weekday(day), (d - 1) / 7 + 1, down, wall.rem_euclid(DAY))
}

/// Whether `change` is a year later than the last of `group` and of the same yearly rule.
fn continues(group: &[Change], change: &Change) -> bool {
    let year = |c: &Change| time::civil_from_days(c.wall.div_euclid(DAY)).0;
    if group[0].from == group[0].to || year(change) != year(&group[group.len() - 1]) + 1 {
        return false;
    }
    let all = || group.iter().chain([change]).map(|c| place(c.wall));
    let (m, w, up, down, s) = place(change.wall);
    all().all(|p| (p.0, p.1, p.4) == (m, w, s)) && (all().all(|p| p.2 == up) || all().all(|p| p.3 == down))
}

fn observance(group: &[Change], recurs: &[Property]) -> Component {
    let first = &group[0];
    let mut out = Component::new(if first.daylight { "DAYLIGHT" } else { "STANDARD" });
    out.properties.push(Property::new("DTSTART", time::format_local(first.wall)));
    out.properties.push(Property::new("TZOFFSETFROM", format_offset(first.from)));
    out.properties.push(Property::new("TZOFFSETTO", format_offset(first.to)));
    out.properties.push(Property::new("TZNAME", first.name.clone()));
    out.properties.extend(recurs.iter().cloned());
    out
}

/// The RDATE of some changes.
fn dates(changes: &[Change]) -> Vec<Property> {
    let walls: Vec<String> = changes.iter().map(|c| time::format_local(c.wall)).collect();
    vec![Property::new("RDATE", walls.join(","))]
}

/// The RRULE of changes that follow one, none for a single one.
fn yearly(group: &[Change], end: i64) -> Vec<Property> {
    let [first, .., last] = group else { return Vec::new() };
    let (m, w, up, down, _) = place(first.wall);
    let day = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"][w as usize];
    let all = |of: fn(i64) -> i64| group.iter().all(|c| of(c.wall) == of(first.wall));
    // The last of the month where that holds for all: it is the more usual way to say it.
    let nth = match (all(|wall| place(wall).3), all(|wall| place(wall).2)) {
        (true, _) if down == 1 => -1,
        (_, true) => up,
        _ => -down,
    };
    let mut rule = format!("FREQ=YEARLY;BYMONTH={m};BYDAY={nth}{day}");
    // It goes on when the next one would lie beyond the years that were asked for.
    if last.wall + 372 * DAY < end {
        rule += &format!(";UNTIL={}", time::format_utc(Instant(last.wall - last.from)));
    }
    vec![Property::new("RRULE", rule)]
}

pub(super) fn format_offset(seconds: i64) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let s = seconds.abs();
    let tail = if s % 60 == 0 { String::new() } else { format!("{:02}", s % 60) };
    format!("{sign}{:02}{:02}{tail}", s / 3600, s / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ical::zone::{named, of_calendar_text, wall};
    use crate::ical::zone_names::PREFERRED;

    fn offset_at(zone: &TimeZone, at: i64) -> i64 {
        wall(Instant(at), zone) - at
    }

    fn year(y: i64) -> i64 {
        time::days_from_civil(y, 1, 1) * DAY
    }

    /// What is written for a zone and read back gives the same offsets through its years, and is short.
    #[test]
    fn writes_what_it_would_read() {
        for (name, zone) in PREFERRED.iter() {
            for (first, last) in [(1970, 2037), (2010, 2031), (2026, 2026)] {
                let component = vtimezone(name, zone, Instant(year(first)), Instant(year(last)));
                let (read, _) = compile(&component).unwrap_or_else(|| panic!("{name}\n{}", component.print()));
                let mut times: Vec<i64> = (year(first)..year(last + 1)).step_by(30 * DAY as usize).collect();
                let near = |t: Timestamp| [-1, 0].map(|s| t.as_second() + s);
                let to = Timestamp::from_second(year(last + 1)).unwrap();
                let moves = zone.preceding(to).map(|t| t.timestamp()).take_while(|t| t.as_second() > year(first));
                times.extend(moves.flat_map(near));
                for at in times {
                    assert_eq!(offset_at(&read, at), offset_at(zone, at), "{name} {at}\n{}", component.print());
                }
                let text = component.print();
                // Local mean time has odd seconds; Monrovia was the last to leave it, in 1972.
                let junk = text.lines().any(|l| l.starts_with("TZOFFSET") && l.rsplit(':').next().unwrap().len() > 5);
                assert!(!junk || *name == "Africa/Monrovia" && first == 1970, "{name}\n{text}");
                let starts = component.components.iter().map(|c| time::parse(c.value("DTSTART").unwrap()).unwrap().0);
                assert!(starts.min().unwrap() > year(first - 1) - 2 * DAY, "{name}\n{text}");
                assert!(component.components.len() <= if first == 2026 { 4 } else { 40 }, "{name}\n{text}");
            }
        }
    }

    #[test]
    fn writes_rules_that_hold_and_both_observances() {
        let written = |name: &str, first: i64, last: i64| {
            let component = vtimezone(name, &named(name).unwrap(), Instant(year(first)), Instant(year(last)));
            let of = |c: &Component| {
                let recurs = c.value("RRULE").or(c.value("RDATE")).unwrap_or("once");
                format!("{} {} {} {recurs}", c.name(), c.value("DTSTART").unwrap(), c.value("TZOFFSETTO").unwrap())
            };
            component.components.iter().map(of).collect::<Vec<_>>()
        };
        let europe = [
            "STANDARD 20251026T030000 +0100 FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU",
            "DAYLIGHT 20260329T020000 +0200 FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU",
        ];
        assert_eq!(written("Europe/Berlin", 2026, 4000), europe);
        assert_eq!(written("Europe/Berlin", 2026, 2026), europe);
        assert_eq!(written("Asia/Kolkata", 2026, 2030), ["STANDARD 20260101T000000 +0530 once"]);
        assert_eq!(
            written("Asia/Tehran", 2020, 2025),
            [
                "STANDARD 20190922T000000 +0330 20200921T000000,20210922T000000,20220922T000000",
                "DAYLIGHT 20200321T000000 +0430 20210322T000000,20220322T000000",
            ]
        );
    }

    #[test]
    fn reads_a_zone_by_its_own_rules() {
        let text = "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:Mine\nBEGIN:STANDARD\nDTSTART:20001029T030000\n\
            TZOFFSETFROM:+0200\nTZOFFSETTO:+01:00\nRDATE:20011028T030000\nEND:STANDARD\nBEGIN:DAYLIGHT\n\
            DTSTART:20010325T020000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU;\n \
            UNTIL=20020331T010000Z\nEND:DAYLIGHT\nEND:VTIMEZONE\nEND:VCALENDAR\n";
        let (zone, _) = compile(&Component::parse(text).unwrap().components[0]).unwrap();
        let cases = [
            ("20000701T000000Z", 7200), // before all: what the first observance ends
            ("20001201T000000Z", 3600),
            ("20010325T010000Z", 7200),
            ("20011028T010000Z", 3600),
            ("20020331T010000Z", 7200),
            ("20301201T000000Z", 7200), // no rule ends it
        ];
        for (at, expect) in cases {
            assert_eq!(offset_at(&zone, time::parse(at).unwrap().0), expect, "{at}");
        }
        for bad in
            ["", "BEGIN:VCALENDAR\nEND:VCALENDAR", &text.replace("+0200", "+9900"), &text.replace("20001029T", "x")]
        {
            assert!(of_calendar_text(bad).is_none());
        }
    }

    fn zone_of(observances: &str) -> Component {
        let text = format!("BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:x\n{observances}END:VTIMEZONE\nEND:VCALENDAR\n");
        Component::parse(&text).unwrap().components.remove(0)
    }

    /// By the offsets on five days of 2026 and one of 2025, in hours.
    #[test]
    fn a_dtstart_that_its_rule_does_not_give_is_no_onset() {
        let observance = |kind: &str, start: &str, offsets: (&str, &str), rule: &str| {
            let (from, to) = offsets;
            let rule = if rule.is_empty() { String::new() } else { format!("RRULE:FREQ=YEARLY;{rule}\n") };
            format!("BEGIN:{kind}\nDTSTART:{start}\nTZOFFSETFROM:{from}\nTZOFFSETTO:{to}\n{rule}END:{kind}\n")
        };
        let winter = |start: &str, rule: &str| observance("STANDARD", start, ("+0200", "+0100"), rule);
        let summer = |start: &str, rule: &str| observance("DAYLIGHT", start, ("+0100", "+0200"), rule);
        let (march, october) = ("BYMONTH=3;BYDAY=-1SU", "BYMONTH=10;BYDAY=-1SU");
        let year = "20260101T000000";
        let cases = [
            (summer(year, march) + &winter(year, october), [1, 1, 1, 2, 2, 1]),
            (winter(year, october) + &summer(year, march), [1, 1, 1, 2, 2, 1]),
            (winter("16010101T000000", october) + &summer("16010101T000000", march), [1, 1, 1, 2, 2, 1]),
            // Its rule gives it, or there is none.
            (summer("20260329T020000", march) + &winter("20251026T030000", october), [1, 1, 1, 2, 2, 1]),
            (summer("20260204T020000", "") + &winter("20260828T030000", ""), [1, 1, 2, 2, 1, 1]),
            // A rule that gives nothing says nothing against it.
            (summer("20260204T020000", "BYMONTH=3;BYDAY=-1SU;UNTIL=20260301T000000Z"), [1, 1, 2, 2, 2, 2]),
        ];
        let days = ["20251210", "20260115", "20260205", "20260601", "20260915", "20261110"];
        for (lines, expect) in cases {
            let (zone, _) = compile(&zone_of(&lines)).unwrap();
            let hours = days.map(|day| offset_at(&zone, time::parse(day).unwrap().0) / 3600);
            assert_eq!(hours, expect, "{lines}");
        }
    }

    /// What a rule costs does not depend on whether it gives anything.
    #[test]
    fn rules_that_give_nothing_are_not_free() {
        let with = |rule: &str, n: usize| {
            let one = "BEGIN:STANDARD\nDTSTART:20000101T000000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0342\nRRULE:";
            zone_of(&format!("{one}{rule}\nEND:STANDARD\n").repeat(n))
        };
        let cases = [
            ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", 100, true),
            ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", 300, false),
            ("FREQ=YEARLY;UNTIL=20301231T000000Z", 300, true),
            ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", 1, false),
            ("FREQ=MONTHLY;BYDAY=-1SU;BYMONTH=3", 1, false),
        ];
        for (rule, n, expect) in cases {
            assert_eq!(compile(&with(rule, n)).is_some(), expect, "{n} {rule}");
        }
    }

    #[test]
    fn what_is_kept_of_evaluated_zones_is_bounded() {
        let mut kept = Evaluated::default();
        let own = || Some(Arc::new(Own { zone: TimeZone::UTC, like: Mutex::default() }));
        for n in 0..1_000u16 {
            let mut key = [0; 32];
            key[..2].copy_from_slice(&n.to_be_bytes());
            kept.put(key, own(), usize::from(n) * 50);
            assert!(kept.zones.len() <= MAX_KEPT_ZONES && kept.onsets <= MAX_KEPT_ONSETS, "{n}");
            assert!(kept.zones.contains_key(&key));
        }
        kept.put([0xff; 32], own(), MAX_KEPT_ONSETS + 1);
        assert!(!kept.zones.contains_key(&[0xff; 32]));
        // What stands there already is not counted again.
        let mut kept = Evaluated::default();
        (0..10).for_each(|_| kept.put([1; 32], own(), 100));
        assert_eq!(kept.onsets, 100);
    }

    #[test]
    fn refuses_what_is_too_much() {
        let observance =
            "BEGIN:STANDARD\nDTSTART:20000101T000000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0342\nEND:STANDARD\n";
        let calendar = |inside: &str| {
            format!("BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:Mine\n{inside}END:VTIMEZONE\nEND:VCALENDAR\n")
        };
        let dates = |n: usize| format!("RDATE:{}\nEND:S", vec!["20010101T000000"; n].join(","));
        let cases = [
            (observance.repeat(MAX_OBSERVANCES), true),
            (observance.repeat(MAX_OBSERVANCES + 1), false),
            (observance.replace("END:S", &dates(MAX_DATES)), true),
            (observance.replace("END:S", &dates(MAX_DATES + 1)), false),
        ];
        for (inside, expect) in cases {
            assert_eq!(of_calendar_text(&calendar(&inside)).is_some(), expect, "{} octets", inside.len());
        }
    }
}
