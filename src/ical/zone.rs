//! TZID and VTIMEZONE → a zone; floating and all-day times by a given zone.
//!
//! Names are `zone_names.rs`; what a VTIMEZONE says is read and written in `vtimezone.rs`.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::Instant;
use super::text::{Component, Property};
use super::time::{self, DAY};
use super::vtimezone::evaluate;
use super::zone_names::{self, PREFERRED};

pub use super::vtimezone::vtimezone;
pub use super::zone_names::windows_name;

/// The zone of an IANA name, an alias, a Windows name or what Outlook, Exchange and Notes show for one, or of a fixed
/// offset (`UTC+01:00`). Names with a maker's prefix (`/freeassociation.sourceforge.net/Europe/Berlin`) are known by
/// their end. Never UTC for a name it does not know.
pub fn named(name: &str) -> Option<TimeZone> {
    zone_names::certain(name).or_else(|| zone_names::likely(name))
}

/// Whether a TZID is a name of the tz database, of which nobody needs to be told the rules.
pub fn is_iana(id: &str) -> bool {
    let name = |zone: TimeZone| zone.iana_name().map(str::to_owned);
    (id.contains('/') || id == "UTC") && named(id).and_then(name).is_some_and(|name| name == id)
}

/// The zone that the text of a `calendar-timezone` property (a VCALENDAR with one VTIMEZONE) means.
pub fn of_calendar_text(text: &str) -> Option<TimeZone> {
    let calendar = Component::parse(text).ok()?;
    let tzid = calendar.components.iter().find(|c| c.name() == "VTIMEZONE")?.value("TZID")?;
    Zones::of(&calendar).get(tzid)
}

/// The IANA zone that a VTIMEZONE is by its rules: over the five years before and after the one in which it is used
/// (`around`), or else over five years from `around` on. Of several that are, the one that its X-LIC-LOCATION names,
/// else the best known. `None`: there is none, or the VTIMEZONE can not be followed.
///
/// A VTIMEZONE without any observance is what its X-LIC-LOCATION says.
pub fn iana_like(component: &Component, around: Instant) -> Option<&'static str> {
    let place = component.value("X-LIC-LOCATION").and_then(zone_names::certain);
    if component.components.is_empty() {
        return present_name(&place?);
    }
    let own = evaluate(component)?;
    let year = year_of(around).clamp(1_905, 2_190);
    let around = Instant(around.0.clamp(begin_of(year), begin_of(year + 1) - 1));
    own.likeness(year, || {
        let best = |found: Vec<u16>| {
            let mut names = found.iter().map(|nth| PREFERRED[usize::from(*nth)].0);
            let hint = place.as_ref().and_then(present_name);
            names.clone().find(|name| Some(*name) == hint).or_else(|| names.next())
        };
        best(alike(&own.zone, year, year - REACH..=year + REACH)).or_else(|| {
            let rest = changes_in(&own.zone, around.0, begin_of(year + 1));
            let mut later = alike(&own.zone, year + 1, year + 1..=year + REACH);
            later.retain(|nth| changes_in(&PREFERRED[usize::from(*nth)].1, around.0, begin_of(year + 1)) == rest);
            best(later)
        })
    })
}

/// Years before and after the one that is asked for.
const REACH: i64 = 5;

/// The name that the zone has in [`PREFERRED`], also where it is known by an alias.
fn present_name(zone: &TimeZone) -> Option<&'static str> {
    let name = zone.iana_name()?;
    let same = |other: &TimeZone| (1970..2040).all(|year| signature(other, year) == signature(zone, year));
    let found = PREFERRED.iter().find(|(own, _)| *own == name).or_else(|| PREFERRED.iter().find(|(_, z)| same(z)));
    found.map(|(name, _)| *name)
}

/// The zones of [`PREFERRED`] that have the changes of `zone` in all of `years`, by their index; `first` is one of them.
fn alike(zone: &TimeZone, first: i64, years: RangeInclusive<i64>) -> Vec<u16> {
    let Some(mut found) = Year::of(first).by.get(&signature(zone, first)).cloned() else { return Vec::new() };
    for year in years {
        if found.is_empty() {
            break;
        }
        let (table, own) = (Year::of(year), signature(zone, year));
        found.retain(|nth| table.of[usize::from(*nth)] == own);
    }
    found
}

/// What the zones of [`PREFERRED`] do in one year.
struct Year {
    /// The signature of each.
    of: Vec<u64>,
    /// Those of each signature, by their index.
    by: HashMap<u64, Vec<u16>>,
}

impl Year {
    /// Made when it is first asked for, and kept: there are 296 of them at most, of some 10 kB.
    fn of(year: i64) -> Arc<Year> {
        static YEARS: LazyLock<Mutex<HashMap<i64, Arc<Year>>>> = LazyLock::new(Mutex::default);
        // A panic elsewhere leaves the map whole: entries are put in last.
        let years = || YEARS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = years().get(&year) {
            return table.clone();
        }
        let of: Vec<u64> = PREFERRED.iter().map(|(_, zone)| signature(zone, year)).collect();
        let mut by: HashMap<u64, Vec<u16>> = HashMap::new();
        for (nth, signature) in of.iter().enumerate() {
            by.entry(*signature).or_default().push(nth as u16);
        }
        let table = Arc::new(Year { of, by });
        years().insert(year, table.clone());
        table
    }
}

/// Equal for zones that show the same time all through a year (in UTC).
fn signature(zone: &TimeZone, year: i64) -> u64 {
    let (first, changes) = changes_in(zone, begin_of(year), begin_of(year + 1));
    let numbers = changes.into_iter().flat_map(|(at, offset)| [at, offset]);
    // FNV-1a, by numbers.
    [first]
        .into_iter()
        .chain(numbers)
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, n| (hash ^ n as u64).wrapping_mul(0x0100_0000_01b3).rotate_left(5))
}

/// The offset at `begin`, and each instant up to `end` at which it changes, with the offset from there on.
fn changes_in(zone: &TimeZone, begin: i64, end: i64) -> (i64, Vec<(i64, i64)>) {
    let at = |seconds: i64| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    let first = i64::from(zone.to_offset(at(begin)).seconds());
    let (mut last, mut before) = (first, begin);
    let following = zone.following(at(begin)).map(|t| (t.timestamp().as_second(), i64::from(t.offset().seconds())));
    // A change of the name alone is none.
    let real = |(_, offset): &(i64, i64)| std::mem::replace(&mut last, *offset) != *offset;
    // A zone that ends with a transition gives this one over and over.
    let inside = |(at, _): &(i64, i64)| *at < end && std::mem::replace(&mut before, *at) < *at;
    (first, following.take_while(inside).filter(real).collect())
}

fn year_of(at: Instant) -> i64 {
    time::civil_from_days(at.0.div_euclid(DAY)).0
}

fn begin_of(year: i64) -> i64 {
    time::days_from_civil(year, 1, 1) * DAY
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

    /// By a name that means one zone; else by the calendar's VTIMEZONE of that name: the IANA zone with its rules, or it
    /// as it is; else by a name that is likely. A name of one word (EST, GMT, MET) is an abbreviation that people give to
    /// zones of their own: where the VTIMEZONE has other rules in the year of use, it is meant.
    pub fn get(&self, tzid: &str) -> Option<TimeZone> {
        if let Some(zone) = self.known.borrow().get(tzid) {
            return zone.clone();
        }
        let zone = match zone_names::certain(tzid) {
            Some(named) if !is_abbreviation(tzid) => Some(named),
            Some(named) => {
                let year = year_of(self.used(tzid)).clamp(1_905, 2_190);
                let own = self.own(tzid).filter(|own| signature(own, year) != signature(&named, year));
                Some(own.unwrap_or(named))
            }
            None => self.own(tzid).or_else(|| zone_names::likely(tzid)),
        };
        self.known.borrow_mut().insert(tzid.to_owned(), zone.clone());
        zone
    }

    /// Whether [`Zones::get`] goes by a name that means one zone, and not by the calendar's own rules for it.
    pub fn get_by_name(&self, tzid: &str) -> bool {
        zone_names::certain(tzid).is_some_and(|named| self.get(tzid).is_some_and(|zone| zone == named))
    }

    fn own(&self, tzid: &str) -> Option<TimeZone> {
        // Who brings more zones than this means harm.
        self.evaluated.set(self.evaluated.get() + 1);
        if self.evaluated.get() > MAX_OWN_ZONES {
            return None;
        }
        let own = |c: &&Component| c.name() == "VTIMEZONE" && c.property("TZID").is_some_and(|p| is_same(p, tzid));
        let component = self.calendar.components.iter().find(own)?;
        match iana_like(component, self.used(tzid)) {
            Some(name) => zone_names::iana(name),
            None => evaluate(component).map(|own| own.zone.clone()),
        }
    }

    /// When the zone is used: at the first DTSTART that names it. A calendar that only says its zone means the present,
    /// and that is when the tz database was made.
    fn used(&self, tzid: &str) -> Instant {
        let starts = || self.calendar.components.iter().filter_map(|c| c.property("DTSTART"));
        let start = starts().find(|p| p.param("TZID").is_some_and(|id| id == tzid)).or_else(|| starts().next());
        let wall = start.and_then(|p| time::parse(p.value())).map(|(wall, _)| wall);
        Instant(wall.unwrap_or_else(|| begin_of(DATABASE_YEAR)))
    }
}

/// Whether `id`, the value of a TZID parameter, means the VTIMEZONE with this TZID: a TEXT, so that a comma in it is
/// escaped there and quoted here, and spaces around it say nothing.
fn is_same(of: &Property, id: &str) -> bool {
    of.value().trim() == id.trim() || of.text().trim() == id.trim()
}

/// Whether a name of the tz database is one word, as EST5EDT is and America/New_York is not.
fn is_abbreviation(name: &str) -> bool {
    !name.contains('/') && zone_names::iana(name.trim()).is_some()
}

/// The year of the tz release that is compiled in.
const DATABASE_YEAR: i64 = 2026;
/// VTIMEZONEs of one calendar that are evaluated.
const MAX_OWN_ZONES: usize = 50;

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

/// Resolves wall times that come in order, as [`resolve`] does, asking the zone once for each stretch between two changes
/// of its offset.
pub(super) struct InOrder<'z> {
    zone: &'z TimeZone,
    offset: i64,
    /// The wall times that the offset is known to hold for, half-open.
    from: i64,
    until: i64,
}

impl<'z> InOrder<'z> {
    pub fn of(zone: &'z TimeZone) -> InOrder<'z> {
        InOrder { zone, offset: 0, from: 0, until: 0 }
    }

    pub fn at(&mut self, wall: i64) -> Instant {
        if self.from <= wall && wall < self.until {
            return Instant(wall - self.offset);
        }
        let at = resolve(wall, self.zone);
        // In a gap the wall shows another time; beyond the years of the library nothing is known.
        let stamp = Timestamp::from_second(at.0).ok().filter(|_| self::wall(at, self.zone) == wall);
        if let Some(stamp) = stamp {
            let next = self.zone.following(stamp).next().map(|t| t.timestamp().as_second());
            // Up to the next change, by the clock before it: a gap begins there, and of a fold the first is meant.
            (self.offset, self.from) = (wall - at.0, wall);
            self.until = next.filter(|next| *next > at.0).map_or(i64::MAX, |next| next + self.offset);
        }
        at
    }
}

/// What the clock on the wall in `zone` shows at `at`, as the seconds it would be in UTC.
pub fn wall(at: Instant, zone: &TimeZone) -> i64 {
    match Timestamp::from_second(at.0) {
        Ok(timestamp) => at.0 + i64::from(zone.to_offset(timestamp).seconds()),
        Err(_) => at.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn in_order_gives_what_each_alone_gives() {
        for (_, zone) in PREFERRED.iter().step_by(5) {
            let mut order = InOrder::of(zone);
            for year in [1970, 2010, 2026, 2090] {
                for wall in (begin_of(year)..begin_of(year + 2)).step_by(1800 * 7) {
                    assert_eq!(order.at(wall), resolve(wall, zone), "{:?} {wall}", zone.iana_name());
                }
            }
        }
        let york = named("America/New_York").unwrap();
        let mut order = InOrder::of(&york);
        for wall in (begin_of(2026)..begin_of(2027)).step_by(900) {
            assert_eq!(order.at(wall), resolve(wall, &york), "{wall}");
        }
    }

    /// The zone that a VTIMEZONE with these observances is when it is used in a year.
    fn like(lines: &str, year: i64) -> Option<&'static str> {
        let text = format!("BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:x\n{lines}END:VTIMEZONE\nEND:VCALENDAR\n");
        iana_like(&Component::parse(&text).unwrap().components[0], Instant(begin_of(year) + 100 * DAY))
    }

    fn observance(kind: &str, start: &str, from: &str, to: &str, more: &str) -> String {
        format!("BEGIN:{kind}\nDTSTART:{start}\nTZOFFSETFROM:{from}\nTZOFFSETTO:{to}\n{more}END:{kind}\n")
    }

    /// As Outlook writes them: rules since 1601.
    fn outlook(standard: &str, daylight: &str, autumn: &str, spring: &str) -> String {
        observance("STANDARD", "16010101T030000", daylight, standard, &format!("RRULE:FREQ=YEARLY;{autumn}\n"))
            + &observance("DAYLIGHT", "16010101T020000", standard, daylight, &format!("RRULE:FREQ=YEARLY;{spring}\n"))
    }

    #[test]
    fn finds_the_zone_that_has_the_same_rules() {
        let europe = outlook("+0100", "+0200", "BYDAY=-1SU;BYMONTH=10", "BYDAY=-1SU;BYMONTH=3");
        let america =
            outlook("-0500", "-0400", "BYDAY=1SU;BYMONTH=11", "BYDAY=2SU;BYMONTH=3").replace("T030000", "T020000");
        let fixed = |offset: &str| observance("STANDARD", "16010101T000000", offset, offset, "");
        let of_2026 =
            observance("STANDARD", "20251026T030000", "+0200", "+0100", "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\n")
                + &observance(
                    "DAYLIGHT",
                    "20260329T020000",
                    "+0100",
                    "+0200",
                    "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\n",
                );
        let dates = observance(
            "STANDARD",
            "20211031T030000",
            "+0200",
            "+0100",
            "RDATE:20221030T030000,20231029T030000,20241027T030000,20251026T030000,20261025T030000,20271031T030000\n",
        ) + &observance(
            "DAYLIGHT",
            "20220327T020000",
            "+0100",
            "+0200",
            "RDATE:20230326T020000,20240331T020000,20250330T020000,20260329T020000,20270328T020000\n",
        );
        let cases = [
            (europe.clone(), 2026, Some("Europe/Berlin")),
            (europe.clone() + "X-LIC-LOCATION:Europe/Vienna\n", 2026, Some("Europe/Vienna")),
            // The hint is no more than one.
            (europe.clone() + "X-LIC-LOCATION:Asia/Tokyo\n", 2026, Some("Europe/Berlin")),
            // Before 1996 summer ended in September.
            (europe.clone(), 1990, None),
            (america.clone(), 2026, Some("America/New_York")),
            (america.clone() + "X-LIC-LOCATION:US/Michigan\n", 2026, Some("America/Detroit")),
            (america.clone() + "X-LIC-LOCATION:America/Detroit\n", 2026, Some("America/Detroit")),
            // In the years before 2007 it was another rule: from there on it holds.
            (america, 2007, Some("America/New_York")),
            (of_2026, 2026, Some("Europe/Berlin")),
            (dates.clone(), 2022, Some("Europe/Berlin")),
            // They end in 2027.
            (dates, 2026, None),
            (fixed("+0530"), 2026, Some("Asia/Kolkata")),
            (fixed("+0900"), 2026, Some("Asia/Tokyo")),
            (fixed("+0000"), 2026, Some("Etc/UTC")),
            (fixed("-0300"), 2026, Some("America/Sao_Paulo")),
            (fixed("+0342"), 2026, None),
            (observance("STANDARD", "20220327T000000", "+0200", "+0300", ""), 2030, Some("Africa/Nairobi")),
            ("X-LIC-LOCATION:Europe/Vienna\n".to_owned(), 2026, Some("Europe/Vienna")),
            ("X-LIC-LOCATION:US/Eastern\n".to_owned(), 2026, Some("America/New_York")),
            ("X-LIC-LOCATION:Atlantis\n".to_owned(), 2026, None),
            (String::new(), 2026, None),
            ("BEGIN:STANDARD\nEND:STANDARD\n".to_owned(), 2026, None),
        ];
        for (lines, year, expect) in cases {
            assert_eq!(like(&lines, year), expect, "{year}\n{lines}");
        }
    }

    /// What is written for a zone is found to be that zone, or one that is the same around then.
    #[test]
    fn finds_every_zone_again() {
        let year = |y: i64| Instant(begin_of(y));
        for (name, zone) in PREFERRED.iter() {
            let component = vtimezone("Mine", zone, year(2018), year(2034));
            let found = iana_like(&component, year(2026)).unwrap_or_else(|| panic!("{name}\n{}", component.print()));
            let other = named(found).unwrap();
            assert!((2021..=2031).all(|y| signature(&other, y) == signature(zone, y)), "{name} {found}");
        }
    }

    #[test]
    fn a_calendar_says_its_zone_by_name_or_by_rules() {
        let europe = outlook("+0100", "+0200", "BYDAY=-1SU;BYMONTH=10", "BYDAY=-1SU;BYMONTH=3");
        let odd = outlook("+0100", "+0230", "BYDAY=-1SU;BYMONTH=10", "BYDAY=-1SU;BYMONTH=3");
        let london = outlook("+0000", "+0100", "BYDAY=-1SU;BYMONTH=10", "BYDAY=-1SU;BYMONTH=3")
            .replace("T020000", "T010000")
            .replace("T030000", "T020000");
        let america =
            outlook("-0500", "-0400", "BYDAY=1SU;BYMONTH=11", "BYDAY=2SU;BYMONTH=3").replace("T030000", "T020000");
        let cases = [
            ("Asia/Tokyo", &europe, Some("Asia/Tokyo")),
            ("Customized Time Zone", &europe, Some("Europe/Berlin")),
            ("tzone://Microsoft/Custom", &europe, Some("Europe/Berlin")),
            // The rules know better than a likely name.
            ("GMT +0100 (Standard) / GMT +0000 (Daylight)", &europe, Some("Europe/Berlin")),
            ("Eastern", &europe, Some("Europe/Berlin")),
            ("Eastern", &String::new(), Some("America/New_York")),
            ("Mine", &odd, None),
            ("Mine", &String::new(), None),
            // A word that many use for a zone of their own.
            ("EST", &america, Some("America/New_York")),
            ("EST5EDT", &america, Some("EST5EDT")),
            ("GMT", &london, Some("Europe/London")),
            ("UTC", &observance("STANDARD", "16010101T000000", "+0000", "+0000", ""), Some("UTC")),
            ("GMT", &odd, None),
            ("GMT", &String::new(), Some("GMT")),
            ("MET", &observance("STANDARD", "x", "+0000", "+0000", ""), Some("MET")),
            ("Eastern Standard Time", &europe, Some("America/New_York")),
        ];
        for (name, lines, expect) in cases {
            let text = format!("BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:{name}\n{lines}END:VTIMEZONE\nEND:VCALENDAR\n");
            let zone = of_calendar_text(&text);
            let found = zone.as_ref().and_then(TimeZone::iana_name).filter(|name| !name.is_empty());
            assert_eq!(found, expect, "{name}\n{lines}");
            // One that is no other is evaluated as it is.
            assert_eq!(zone.is_some(), expect.is_some() || !lines.is_empty());
        }
    }

    /// A TZID is a TEXT in its VTIMEZONE and a quoted string beside a time.
    #[test]
    fn names_are_the_same_however_they_are_written() {
        let odd = outlook("+0100", "+0230", "BYDAY=-1SU;BYMONTH=10", "BYDAY=-1SU;BYMONTH=3");
        let cases = [
            ("Corp\\, Inc", "Corp, Inc", true),
            ("Corp, Inc", "Corp, Inc", true),
            ("Corp\\, Inc", "Corp\\, Inc", true),
            ("Corp ", "Corp", true),
            ("Corp", " Corp ", true),
            ("Corp\\; Inc", "Corp; Inc", true),
            ("Corp", "Corps", false),
            ("corp", "Corp", false),
        ];
        for (value, asked, expect) in cases {
            let text = format!("BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:{value}\n{odd}END:VTIMEZONE\nEND:VCALENDAR\n");
            let calendar = Component::parse(&text).unwrap();
            assert_eq!(Zones::of(&calendar).get(asked).is_some(), expect, "{value:?} {asked:?}");
        }
    }
}
