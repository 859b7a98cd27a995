//! TZID, VTIMEZONE and Windows names → a zone; floating and all-day times by a given zone.
//!
//! The tz database is the one compiled in, so that every machine gives the same answer.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

use super::Instant;
use super::rule::Rule;
use super::text::{Component, Property};
use super::time::{self, DAY, Written};
use super::windows_zones;

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The zone of an IANA name, an alias, or a Windows name. Never UTC for a name it does not know.
/// Names with a maker's prefix (`/freeassociation.sourceforge.net/Europe/Berlin`) are known by their end.
pub fn named(name: &str) -> Option<TimeZone> {
    let name = name.trim().trim_matches('"');
    if let Some(zone) = iana(name) {
        return Some(zone);
    }
    let lower = name.to_ascii_lowercase();
    if let Ok(at) = windows_zones::ZONES.binary_search_by(|(windows, _)| (*windows).cmp(lower.as_str())) {
        return iana(windows_zones::ZONES[at].1);
    }
    if lower == "tzone://microsoft/utc" || lower == "z" {
        return Some(TimeZone::UTC);
    }
    // A maker's prefix: the last three, two, or one parts are the name.
    let mut tails: Vec<&str> = name.match_indices('/').map(|(at, _)| &name[at + 1..]).collect();
    tails.reverse();
    tails.truncate(3);
    tails.into_iter().rev().find_map(iana)
}

fn iana(name: &str) -> Option<TimeZone> {
    // These are in the database and say nothing about where; UTC would be a guess.
    if name.is_empty()
        || ["Etc/Unknown", "Factory", "localtime", "posixrules"].iter().any(|n| n.eq_ignore_ascii_case(name))
    {
        return None;
    }
    DATABASE.get(name).ok().filter(|zone| !zone.is_unknown())
}

/// The zone that the text of a `calendar-timezone` property (a VCALENDAR with one VTIMEZONE) means.
pub fn of_calendar_text(text: &str) -> Option<TimeZone> {
    let calendar = Component::parse(text).ok()?;
    let tzid = calendar.components.iter().find(|c| c.name() == "VTIMEZONE")?.value("TZID")?;
    Zones::of(&calendar).get(tzid)
}

/// The zones that the TZIDs of one calendar mean, each looked up once.
pub(super) struct Zones<'a> {
    calendar: &'a Component,
    known: RefCell<HashMap<String, Option<TimeZone>>>,
    evaluated: Cell<usize>,
}

impl<'a> Zones<'a> {
    pub fn of(calendar: &'a Component) -> Zones<'a> {
        Zones { calendar, known: RefCell::default(), evaluated: Cell::default() }
    }

    /// By its name, else by the calendar's VTIMEZONE of that name evaluated as it is.
    pub fn get(&self, tzid: &str) -> Option<TimeZone> {
        if let Some(zone) = self.known.borrow().get(tzid) {
            return zone.clone();
        }
        let own = |c: &&Component| c.name() == "VTIMEZONE" && c.value("TZID") == Some(tzid);
        let zone = named(tzid).or_else(|| {
            // Who brings more zones than this means harm.
            self.evaluated.set(self.evaluated.get() + 1);
            let component = self.calendar.components.iter().find(own)?;
            if self.evaluated.get() <= MAX_OWN_ZONES { evaluate(component) } else { None }
        });
        self.known.borrow_mut().insert(tzid.to_owned(), zone.clone());
        zone
    }
}

/// What a wall-clock time, given as the seconds it would be in UTC, is in `zone`.
/// A gap moves it forward by the gap, a fold takes the first (RFC 5545 3.3.5).
pub fn resolve(wall: i64, zone: &TimeZone) -> Instant {
    let days = wall.div_euclid(DAY);
    let second = wall.rem_euclid(DAY) as i32;
    // Beyond the years that can be written no zone matters.
    if !(-4_000_000..=2_900_000).contains(&days) {
        return Instant(wall);
    }
    let (y, m, d) = time::civil_from_days(days);
    let civil = DateTime::new(
        y as i16,
        m as i8,
        d as i8,
        (second / 3600) as i8,
        (second / 60 % 60) as i8,
        (second % 60) as i8,
        0,
    );
    let at = civil.and_then(|civil| zone.to_ambiguous_timestamp(civil).compatible());
    Instant(at.map_or(wall, |at| at.as_second()))
}

/// What the clock on the wall in `zone` shows at `at`, as the seconds it would be in UTC.
pub fn wall(at: Instant, zone: &TimeZone) -> i64 {
    match Timestamp::from_second(at.0) {
        Ok(timestamp) => at.0 + i64::from(zone.to_offset(timestamp).seconds()),
        Err(_) => at.0,
    }
}

/// VTIMEZONEs evaluated before: calendars repeat the same custom zone in every object.
static EVALUATED: LazyLock<Mutex<HashMap<Component, Option<TimeZone>>>> = LazyLock::new(Mutex::default);

/// A VTIMEZONE as it is. `None` when nothing in it can be followed.
fn evaluate(component: &Component) -> Option<TimeZone> {
    if component.components.len() > MAX_OBSERVANCES {
        return None;
    }
    // A panic elsewhere leaves the map whole: entries are put in last.
    let evaluated = || EVALUATED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(zone) = evaluated().get(component) {
        return zone.clone();
    }
    let zone = compile(component);
    let mut evaluated = evaluated();
    // What is kept is bounded, and cheap to make again.
    if evaluated.len() >= 256 {
        evaluated.clear();
    }
    evaluated.insert(component.clone(), zone.clone());
    zone
}

/// VTIMEZONEs of one calendar that are evaluated, and observances of one of them: a year each for three centuries.
const MAX_OWN_ZONES: usize = 50;
const MAX_OBSERVANCES: usize = 300;
/// Years for which the rules of a VTIMEZONE are written out.
const EVALUATE_FROM: i64 = 1900;
const EVALUATE_TO: i64 = 2200;

/// From the onsets of all observances to the binary form (RFC 8536) that the zone library reads.
fn compile(component: &Component) -> Option<TimeZone> {
    let mut onsets: Vec<(i64, i64, bool)> = Vec::new();
    let mut earliest: Option<(i64, i64)> = None;
    // For all observances together: two that recur yearly take 1,200.
    let mut steps = 40_000;
    for observance in component.components.iter().filter(|c| c.name() == "STANDARD" || c.name() == "DAYLIGHT") {
        let from = offset(observance.value("TZOFFSETFROM")?)?;
        let to = offset(observance.value("TZOFFSETTO")?)?;
        let daylight = observance.name() == "DAYLIGHT";
        let (start, _) = time::parse(observance.value("DTSTART")?)?;
        if earliest.is_none_or(|(at, _)| start < at) {
            earliest = Some((start, from));
        }
        let mut walls = vec![start];
        for line in observance.all("RDATE") {
            walls.extend(
                line.value().split(',').filter_map(|v| time::parse(v.split('/').next()?)).map(|(w, _)| w).take(2_000),
            );
        }
        for line in observance.all("RRULE").filter(|l| !l.value().trim().is_empty()).take(2) {
            let rule = Rule::parse(line.value()).ok()?;
            let mut found = Vec::new();
            let (low, high) =
                (time::days_from_civil(EVALUATE_FROM, 1, 1) * DAY, time::days_from_civil(EVALUATE_TO, 1, 1) * DAY);
            rule.walk(start, low, high, &mut steps, &mut found).ok()?;
            // UNTIL is in UTC; some write it as the wall shows it.
            let keep = |wall: &i64| match rule.until {
                Some((until, Written::Utc)) => wall - from <= until,
                Some((until, Written::Date)) => wall.div_euclid(DAY) <= until.div_euclid(DAY),
                Some((until, Written::Local)) => *wall <= until,
                None => true,
            };
            walls.extend(found.into_iter().filter(keep));
        }
        onsets.extend(walls.into_iter().map(|wall| (wall - from, to, daylight)));
    }
    let (_, before) = earliest?;
    onsets.sort_unstable();
    onsets.dedup_by_key(|(at, ..)| *at);
    TimeZone::tzif("", &tzif(before, &onsets)?).ok()
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
fn tzif(before: i64, onsets: &[(i64, i64, bool)]) -> Option<Vec<u8>> {
    let mut types: Vec<(i64, bool)> = vec![(before, false)];
    let mut indices = Vec::with_capacity(onsets.len());
    for (_, to, daylight) in onsets {
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
#[derive(Clone, PartialEq)]
struct Change {
    /// By the clock that ends: what DTSTART of an observance is written in.
    wall: i64,
    from: i64,
    to: i64,
    daylight: bool,
    name: String,
}

/// A VTIMEZONE for `zone` with both observances, valid for the years that `from` … `until` touch.
/// An open side is taken as 1970 and 2037; rules that still hold at the end go on without one.
pub fn vtimezone(name: &str, zone: &TimeZone, from: Instant, until: Instant) -> Component {
    let year = |at: Instant| time::civil_from_days(at.0.div_euclid(DAY)).0;
    let first = if from.0 < -200 * 366 * DAY { 1970 } else { year(from) };
    let last = if until.0 > 4_000 * 366 * DAY { 2037 } else { year(until) }.max(first).min(first + 200);
    let begin = time::days_from_civil(first, 1, 1) * DAY;
    let end = time::days_from_civil(last + 1, 1, 1) * DAY;
    let changes = changes(zone, begin, end);
    let mut out = Component::new("VTIMEZONE");
    out.properties.push(Property::new("TZID", name));
    let mut rest = changes.as_slice();
    let mut groups: Vec<Vec<&Change>> = Vec::new();
    while let Some((change, tail)) = rest.split_first() {
        rest = tail;
        let same = |c: &Change| {
            c.from == change.from && c.to == change.to && c.daylight == change.daylight && c.name == change.name
        };
        match groups.iter_mut().find(|g| same(g[0]) && continues(g, change)) {
            Some(group) => group.push(change),
            None => groups.push(vec![change]),
        }
    }
    for group in groups {
        out.components.push(observance(&group, end));
    }
    out
}

/// The changes of offset in `begin .. end`, and the one that holds at `begin`.
fn changes(zone: &TimeZone, begin: i64, end: i64) -> Vec<Change> {
    let at = |seconds: i64| Timestamp::from_second(seconds).unwrap_or(Timestamp::MIN);
    let offset_before = |t: Timestamp| {
        let before = t.checked_sub(SignedDuration::from_secs(1)).unwrap_or(t);
        i64::from(zone.to_offset(before).seconds())
    };
    let mut changes: Vec<Change> = Vec::new();
    let mut push = |t: Timestamp, to: i64, daylight: bool, name: &str| {
        let from = offset_before(t);
        changes.push(Change { wall: t.as_second() + from, from, to, daylight, name: name.to_owned() });
    };
    if let Some(t) = zone.preceding(at(begin + 1)).next() {
        push(t.timestamp(), i64::from(t.offset().seconds()), t.dst().is_dst(), t.abbreviation());
    } else {
        let info = zone.to_offset_info(at(begin));
        push(at(begin), i64::from(info.offset().seconds()), info.dst().is_dst(), info.abbreviation());
    }
    for t in zone.following(at(begin)).take_while(|t| t.timestamp().as_second() < end).take(1_000) {
        push(t.timestamp(), i64::from(t.offset().seconds()), t.dst().is_dst(), t.abbreviation());
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
fn continues(group: &[&Change], change: &Change) -> bool {
    let year = |c: &Change| time::civil_from_days(c.wall.div_euclid(DAY)).0;
    let last = group[group.len() - 1];
    if year(change) != year(last) + 1 {
        return false;
    }
    let all = || group.iter().copied().chain([change]).map(|c| place(c.wall));
    let (m, w, up, down, s) = place(change.wall);
    all().all(|p| (p.0, p.1, p.4) == (m, w, s)) && (all().all(|p| p.2 == up) || all().all(|p| p.3 == down))
}

fn observance(group: &[&Change], end: i64) -> Component {
    let first = group[0];
    let mut out = Component::new(if first.daylight { "DAYLIGHT" } else { "STANDARD" });
    out.properties.push(Property::new("DTSTART", time::format_local(first.wall)));
    out.properties.push(Property::new("TZOFFSETFROM", format_offset(first.from)));
    out.properties.push(Property::new("TZOFFSETTO", format_offset(first.to)));
    out.properties.push(Property::new("TZNAME", &first.name));
    if group.len() > 1 {
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
        let last = group[group.len() - 1];
        // It goes on when the next one would lie beyond the years that were asked for.
        if last.wall + 372 * DAY < end {
            rule += &format!(";UNTIL={}", time::format_utc(Instant(last.wall - last.from)));
        }
        out.properties.push(Property::new("RRULE", rule));
    }
    out
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

    fn offset_at(zone: &TimeZone, at: i64) -> i64 {
        wall(Instant(at), zone) - at
    }

    #[test]
    fn knows_names_of_all_makers() {
        let cases = [
            ("Europe/Berlin", Some("Europe/Berlin")),
            ("europe/berlin", Some("Europe/Berlin")),
            ("\"Europe/Berlin\"", Some("Europe/Berlin")),
            ("US-Eastern", None),
            ("US/Eastern", Some("US/Eastern")),
            ("W. Europe Standard Time", Some("Europe/Berlin")),
            ("w. europe standard time", Some("Europe/Berlin")),
            ("India Standard Time", Some("Asia/Kolkata")),
            ("Argentina Standard Time", Some("America/Argentina/Buenos_Aires")),
            ("/mozilla.org/20050126_1/Europe/Berlin", Some("Europe/Berlin")),
            ("/freeassociation.sourceforge.net/America/Argentina/Buenos_Aires", Some("America/Argentina/Buenos_Aires")),
            ("/citadel.org/20190914_1/Asia/Tokyo", Some("Asia/Tokyo")),
            ("tzone://Microsoft/Utc", Some("UTC")),
            ("tzone://Microsoft/Custom", None),
            ("UTC", Some("UTC")),
            ("Customized Time Zone", None),
            ("Etc/Unknown", None),
            ("Factory", None),
            ("Nowhere/At All", None),
            ("/", None),
            ("", None),
        ];
        for (name, expect) in cases {
            let got = named(name);
            assert_eq!(got.as_ref().and_then(TimeZone::iana_name), expect, "{name}");
            assert_eq!(got.is_some(), expect.is_some(), "{name}");
        }
    }

    #[test]
    fn the_table_is_sorted_and_its_zones_exist() {
        assert!(windows_zones::ZONES.is_sorted_by(|a, b| a.0 < b.0));
        for (windows, name) in windows_zones::ZONES {
            assert!(named(windows).is_some(), "{windows}");
            assert_eq!(iana(name).and_then(|z| z.iana_name().map(str::to_owned)).as_deref(), Some(*name));
        }
    }

    #[test]
    fn gaps_move_forward_and_folds_take_the_first() {
        let york = named("America/New_York").unwrap();
        let wall_of = |text: &str| time::parse(text).unwrap().0;
        let cases = [
            ("20260308T023000", "20260308T073000Z"),
            ("20260308T030000", "20260308T070000Z"),
            ("20261101T013000", "20261101T053000Z"),
            ("20261101T020000", "20261101T070000Z"),
            ("21500715T120000", "21500715T160000Z"),
        ];
        for (text, expect) in cases {
            assert_eq!(time::format_utc(resolve(wall_of(text), &york)), expect);
        }
        for wall in [i64::MIN / 4, i64::MAX / 4, -400_000_000_000, 300_000_000_000] {
            resolve(wall, &york);
            super::wall(Instant(wall), &york);
        }
    }

    /// What is written for a zone and read back gives the same offsets through its years.
    #[test]
    fn writes_what_it_would_read() {
        let names = [
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "Asia/Kolkata",
            "UTC",
            "Africa/Cairo",
            "Europe/Dublin",
            "America/Nuuk",
            "Asia/Gaza",
            "Asia/Tehran",
            "America/St_Johns",
            "Pacific/Apia",
            "Africa/Casablanca",
            "Asia/Jerusalem",
        ];
        let year = |y: i64| time::days_from_civil(y, 1, 1) * DAY;
        for name in names {
            let zone = named(name).unwrap();
            for (first, last) in [(2010, 2031), (2026, 2026)] {
                let component = vtimezone(name, &zone, Instant(year(first)), Instant(year(last)));
                let read = compile(&component).unwrap();
                for at in (year(first)..year(last + 1)).step_by(6 * 3600 - 900) {
                    assert_eq!(offset_at(&read, at), offset_at(&zone, at), "{name} {at}\n{}", component.print());
                }
            }
        }
        let berlin =
            vtimezone("Europe/Berlin", &named("Europe/Berlin").unwrap(), Instant(year(2026)), Instant(i64::MAX / 4));
        let rules: Vec<_> = berlin.components.iter().map(|c| (c.name(), c.value("RRULE"))).collect();
        assert_eq!(
            rules,
            [
                ("STANDARD", Some("FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU")),
                ("DAYLIGHT", Some("FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU")),
            ]
        );
    }

    #[test]
    fn reads_a_zone_by_its_own_rules() {
        let text = "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:Mine\nBEGIN:STANDARD\nDTSTART:20001029T030000\n\
            TZOFFSETFROM:+0200\nTZOFFSETTO:+01:00\nRDATE:20011028T030000\nEND:STANDARD\nBEGIN:DAYLIGHT\n\
            DTSTART:20010325T020000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU;\n \
            UNTIL=20020331T010000Z\nEND:DAYLIGHT\nEND:VTIMEZONE\nEND:VCALENDAR\n";
        let zone = of_calendar_text(text).unwrap();
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
}
