//! Names of zones as calendar programs write them → the zone, and back to Windows names.
//!
//! The tz database is the one compiled in, so that every machine gives the same answer.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::LazyLock;

use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

use super::windows_zones::{SHOWN, ZONES};

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The zone of an IANA name or alias; without regard to case.
pub(super) fn iana(name: &str) -> Option<TimeZone> {
    // These are in the database and say nothing about where; UTC would be a guess.
    if name.is_empty()
        || ["Etc/Unknown", "Factory", "localtime", "posixrules"].iter().any(|n| n.eq_ignore_ascii_case(name))
    {
        return None;
    }
    DATABASE.get(name).ok().filter(|zone| !zone.is_unknown())
}

/// The zone of a name that means one zone and no other: IANA, Windows, what Outlook and Exchange show, a maker's prefix
/// before an IANA name, a fixed offset.
pub(super) fn certain(name: &str) -> Option<TimeZone> {
    let name = name.trim().trim_matches('"').trim();
    iana(name)
        .or_else(|| iana(target(name)?))
        .or_else(|| iana(target(shown(name)?)?))
        .or_else(|| matches!(name, "Z" | "z").then_some(TimeZone::UTC))
        .or_else(|| name.eq_ignore_ascii_case("tzone://Microsoft/Utc").then_some(TimeZone::UTC))
        .or_else(|| after_prefix(name))
        .or_else(|| fixed(name))
}

/// The zone of a name that is a good guess where nothing else tells: Notes' names, names with a dash for the slash, and
/// the two offsets of a zone that has the usual rules of its part of the world.
pub(super) fn likely(name: &str) -> Option<TimeZone> {
    let name = name.trim().trim_matches('"').trim();
    // Notes: `Z=-1$DO=1$DL=3 -1 1 10 -1 1$ZX=38$ZN=W. Europe`, or the last of it alone.
    let notes = name.rsplit_once("$ZN=").map_or(name, |(_, name)| name);
    let dashed = || name.split_once('-').and_then(|(area, place)| iana(&format!("{area}/{place}")));
    target(&format!("{notes} Standard Time"))
        .and_then(iana)
        .or_else(|| iana(target(shown(notes)?)?))
        .or_else(dashed)
        .or_else(|| pair(name))
}

/// The Windows name of an IANA zone or alias (CLDR), as Windows writes it; `None`: Windows has none.
pub fn windows_name(iana: &str) -> Option<&'static str> {
    static NAMES: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
        let mut names = HashMap::new();
        // What is a first choice counts before what is one among others.
        for (windows, target, ..) in ZONES {
            names.entry(target.to_ascii_lowercase()).or_insert(*windows);
        }
        for (windows, _, others, aliases) in ZONES {
            for name in others.split_ascii_whitespace().chain(aliases.split_ascii_whitespace()) {
                names.entry(name.to_ascii_lowercase()).or_insert(*windows);
            }
        }
        names
    });
    NAMES.get(&iana.trim().to_ascii_lowercase()).copied()
}

/// Zones that many people live by: of several with the same rules these are taken first, in this order.
const FIRST: [&str; 30] = [
    "Etc/UTC",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Kyiv",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Phoenix",
    "America/Halifax",
    "America/Sao_Paulo",
    "America/Bogota",
    "America/Mexico_City",
    "Africa/Lagos",
    "Africa/Johannesburg",
    "Africa/Nairobi",
    "Europe/Istanbul",
    "Europe/Moscow",
    "Asia/Dubai",
    "Asia/Karachi",
    "Asia/Kolkata",
    "Asia/Dhaka",
    "Asia/Bangkok",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Brisbane",
    "Australia/Sydney",
    "Pacific/Auckland",
    "Pacific/Honolulu",
    "Pacific/Guadalcanal",
];

/// In the tz database and not known to CLDR.
const UNMAPPED: [&str; 1] = ["Antarctica/Troll"];

/// Every zone once, without aliases: those of [`FIRST`], then CLDR's first choice for each Windows zone, then the rest.
pub(super) static PREFERRED: LazyLock<Vec<(&'static str, TimeZone)>> = LazyLock::new(|| {
    let targets = ZONES.iter().map(|(_, target, ..)| *target);
    let others = ZONES.iter().flat_map(|(_, _, others, _)| others.split_ascii_whitespace());
    let mut seen: Vec<(&'static str, TimeZone)> = Vec::new();
    for name in FIRST.into_iter().chain(targets).chain(others).chain(UNMAPPED) {
        if let (false, Some(zone)) = (seen.iter().any(|(n, _)| *n == name), iana(name)) {
            seen.push((name, zone));
        }
    }
    seen
});

/// CLDR's zone for a Windows name.
fn target(windows: &str) -> Option<&'static str> {
    let at = ZONES.binary_search_by(|(name, ..)| compare(name, windows)).ok()?;
    Some(ZONES[at].1)
}

fn compare(a: &str, b: &str) -> Ordering {
    a.bytes().map(|b| b.to_ascii_lowercase()).cmp(b.bytes().map(|b| b.to_ascii_lowercase()))
}

/// The Windows name of what is shown for it, with or without `(UTC+01:00)` or `(GMT+01.00)` before it.
fn shown(name: &str) -> Option<&'static str> {
    let text = match name.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((offset, text)) if is(offset.get(..3)?, "UTC") || is(offset.get(..3)?, "GMT") => text.trim(),
        _ => name,
    };
    let text = text.replace("&amp;", "&");
    SHOWN.iter().find(|(shown, _)| is(shown, &text)).map(|(_, windows)| *windows)
}

fn is(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// `/mozilla.org/20050126_1/Europe/Berlin`, `/softwarestudio.org/Tzfile/America/Argentina/Buenos_Aires`: the last three,
/// two parts are the name; one alone only after a prefix that begins with a slash.
fn after_prefix(name: &str) -> Option<TimeZone> {
    let mut tails: Vec<&str> = name.match_indices('/').map(|(at, _)| &name[at + 1..]).collect();
    tails.reverse();
    tails.truncate(3);
    let whole = |tail: &&str| tail.contains('/') || name.starts_with('/');
    tails.into_iter().rev().filter(whole).find_map(iana)
}

/// `UTC+01:00`, `GMT+0100`, `GMT-5`, `+05:30`, `(UTC+01:00)`: east of Greenwich is plus. (`Etc/GMT-1`, where it is minus,
/// is an IANA name.) Whole hours are the `Etc/GMT…` zone, so that they have a name.
fn fixed(name: &str) -> Option<TimeZone> {
    let name = name.strip_prefix('(').and_then(|n| n.strip_suffix(')')).unwrap_or(name);
    let rest = match name.get(..3) {
        Some(head) if is(head, "UTC") || is(head, "GMT") => name[3..].trim_start(),
        _ => name,
    };
    let seconds = offset(rest)?;
    match seconds / 3600 {
        0 if seconds == 0 => Some(TimeZone::UTC),
        hours if seconds % 3600 == 0 && (-12..=14).contains(&hours) => iana(&format!("Etc/GMT{:+}", -hours)),
        _ => Some(Offset::from_seconds(seconds).ok()?.to_time_zone()),
    }
}

/// `+1`, `+01`, `+0100`, `+01:00`, `-08.00` in seconds, at most 14 hours either way.
fn offset(text: &str) -> Option<i32> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = text[1..].chars().filter(|c| !matches!(c, ':' | '.')).collect();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let n: i32 = digits.parse().ok()?;
    let (hours, minutes) = match digits.len() {
        1 | 2 => (n, 0),
        3 | 4 => (n / 100, n % 100),
        _ => return None,
    };
    (hours * 60 + minutes <= 14 * 60 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// `GMT +0100 (Standard) / GMT +0200 (Daylight)`: Entourage and Exchange name both offsets and not the place.
fn pair(name: &str) -> Option<TimeZone> {
    let of = |half: &str, kind: &str| {
        let half = half.trim();
        let half = half.get(..3).filter(|head| is(head, "GMT")).map(|_| half[3..].trim())?;
        let (offset_text, rest) = half.split_once(' ')?;
        is(rest.trim().trim_matches(['(', ')']), kind).then(|| offset(offset_text))?
    };
    let (standard, daylight) = match name.split_once('/') {
        Some((standard, daylight)) => (of(standard, "Standard")?, of(daylight, "Daylight")?),
        None => of(name, "Standard").map(|offset| (offset, offset))?,
    };
    if standard == daylight {
        let sign = if standard < 0 { '-' } else { '+' };
        let minutes = standard.abs() / 60;
        return fixed(&format!("{sign}{:02}{:02}", minutes / 60, minutes % 60));
    }
    const PAIRS: [(i32, i32, &str); 17] = [
        (-1000, -900, "America/Adak"),
        (-900, -800, "America/Anchorage"),
        (-800, -700, "America/Los_Angeles"),
        (-700, -600, "America/Denver"),
        (-600, -500, "America/Chicago"),
        (-500, -400, "America/New_York"),
        (-400, -300, "America/Halifax"),
        (-330, -230, "America/St_Johns"),
        (-200, -100, "America/Nuuk"),
        (-100, 0, "Atlantic/Azores"),
        (0, 100, "Europe/London"),
        (100, 200, "Europe/Berlin"),
        (200, 300, "Europe/Kyiv"),
        (930, 1030, "Australia/Adelaide"),
        (1000, 1100, "Australia/Sydney"),
        (1200, 1300, "Pacific/Auckland"),
        (1245, 1345, "Pacific/Chatham"),
    ];
    let seconds = |n: i32| n / 100 * 3600 + n % 100 * 60;
    let place = PAIRS.iter().find(|(s, d, _)| (seconds(*s), seconds(*d)) == (standard, daylight))?;
    iana(place.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_names_of_all_makers() {
        let cases = [
            ("Europe/Berlin", Some("Europe/Berlin")),
            ("europe/berlin", Some("Europe/Berlin")),
            ("\"Europe/Berlin\"", Some("Europe/Berlin")),
            ("US/Eastern", Some("US/Eastern")),
            ("W. Europe Standard Time", Some("Europe/Berlin")),
            ("w. europe standard time", Some("Europe/Berlin")),
            ("India Standard Time", Some("Asia/Kolkata")),
            ("Argentina Standard Time", Some("America/Argentina/Buenos_Aires")),
            ("(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna", Some("Europe/Berlin")),
            ("(GMT+01.00) Sarajevo, Skopje, Sofija, Vilnius, Warsaw, Zagreb", Some("Europe/Warsaw")),
            ("(GMT-05:00) Eastern Time (US & Canada)", Some("America/New_York")),
            ("(UTC-05:00) Eastern Time (US &amp; Canada)", Some("America/New_York")),
            ("Eastern Time (US & Canada)", Some("America/New_York")),
            ("Pacific Time (US & Canada); Tijuana", Some("America/Los_Angeles")),
            ("Greenwich Mean Time : Dublin, Edinburgh, Lisbon, London", Some("Europe/London")),
            ("(UTC) Coordinated Universal Time", Some("Etc/UTC")),
            ("/mozilla.org/20050126_1/Europe/Berlin", Some("Europe/Berlin")),
            (
                "/freeassociation.sourceforge.net/Tzfile/America/Argentina/Buenos_Aires",
                Some("America/Argentina/Buenos_Aires"),
            ),
            ("/freeassociation.sourceforge.net/America/Argentina/Buenos_Aires", Some("America/Argentina/Buenos_Aires")),
            ("/softwarestudio.org/Olson_20011030_5/America/New_York", Some("America/New_York")),
            ("/softwarestudio.org/Tzfile/Asia/Tokyo", Some("Asia/Tokyo")),
            ("/citadel.org/20190914_1/Asia/Tokyo", Some("Asia/Tokyo")),
            ("/example.org/UTC", Some("UTC")),
            ("tzone://Microsoft/Utc", Some("UTC")),
            ("UTC", Some("UTC")),
            ("Z", Some("UTC")),
            ("Etc/GMT-1", Some("Etc/GMT-1")),
            ("UTC+01:00", Some("Etc/GMT-1")),
            ("GMT+0100", Some("Etc/GMT-1")),
            ("GMT-5", Some("Etc/GMT+5")),
            ("(UTC-08:00)", Some("Etc/GMT+8")),
            ("+00:00", Some("UTC")),
            ("UTC-11", Some("Etc/GMT+11")),
        ];
        for (name, expect) in cases {
            assert_eq!(certain(name).as_ref().and_then(TimeZone::iana_name), expect, "{name}");
        }
        let kathmandu = certain("UTC+05:45").unwrap();
        assert_eq!((kathmandu.iana_name(), kathmandu.to_fixed_offset().unwrap().seconds()), (None, 20_700));
        let likely_ones = [
            ("US-Eastern", "US/Eastern"),
            ("US-Pacific", "US/Pacific"),
            ("Eastern", "America/New_York"),
            ("W. Europe", "Europe/Berlin"),
            ("Western/Central Europe", "Europe/Berlin"),
            ("Z=-1$DO=1$DL=3 -1 1 10 -1 1$ZX=38$ZN=W. Europe", "Europe/Berlin"),
            ("GMT +0100 (Standard) / GMT +0200 (Daylight)", "Europe/Berlin"),
            ("GMT -0330 (Standard) / GMT -0230 (Daylight)", "America/St_Johns"),
            ("GMT +0900 (Standard) / GMT +0900 (Daylight)", "Etc/GMT-9"),
        ];
        for (name, expect) in likely_ones {
            let certain = certain(name).filter(|_| name != "Western/Central Europe");
            assert_eq!(certain, None, "{name}");
            assert_eq!(likely(name).as_ref().and_then(TimeZone::iana_name), Some(expect), "{name}");
        }
    }

    /// What is not known is not UTC.
    #[test]
    fn does_not_guess() {
        let names = [
            "",
            "/",
            "Customized Time Zone",
            "Customized Time Zone 1",
            "tzone://Microsoft/Custom",
            "Etc/Unknown",
            "Factory",
            "localtime",
            "Nowhere/At All",
            "Company/UTC",
            "Mine",
            "CEST",
            "UTC+25:00",
            "UTC+1x",
            "UTC+",
            "GMT+ 1",
            "(UTC+01:00) Atlantis",
            "(ü",
            "GMT +0700 (Standard) / GMT +0800 (Daylight)",
        ];
        for name in names {
            assert_eq!((certain(name), likely(name)), (None, None), "{name}");
        }
    }

    #[test]
    fn tables_are_sorted_and_their_zones_exist() {
        assert!(ZONES.is_sorted_by(|a, b| compare(a.0, b.0).is_lt()));
        for (windows, name, others, aliases) in ZONES {
            assert_eq!(target(&windows.to_uppercase()), Some(*name));
            assert!(certain(windows).is_some());
            for name in [*name].into_iter().chain(others.split(' ')).chain(aliases.split(' ')).filter(|n| !n.is_empty())
            {
                assert_eq!(iana(name).and_then(|z| z.iana_name().map(str::to_owned)).as_deref(), Some(name));
            }
        }
        for (shown, windows) in SHOWN {
            assert!(target(windows).is_some() && certain(shown).is_some(), "{shown}");
        }
    }

    #[test]
    fn gives_windows_names_back() {
        let cases = [
            ("Europe/Berlin", Some("W. Europe Standard Time")),
            ("Europe/Vienna", Some("W. Europe Standard Time")),
            ("asia/calcutta", Some("India Standard Time")),
            ("US/Eastern", Some("Eastern Standard Time")),
            ("Europe/Kiev", Some("FLE Standard Time")),
            ("America/Argentina/Buenos_Aires", Some("Argentina Standard Time")),
            ("UTC", Some("UTC")),
            ("Etc/GMT-12", Some("UTC+12")),
            ("Antarctica/Troll", None),
            ("Nowhere", None),
        ];
        for (iana, expect) in cases {
            assert_eq!(windows_name(iana), expect, "{iana}");
        }
        // Every name of the database but these has one, and a zone that keeps its offset goes there and back.
        let none: Vec<_> =
            DATABASE.available().filter(|n| windows_name(n.as_str()).is_none()).map(|n| n.to_string()).collect();
        assert_eq!(none, ["Antarctica/Troll", "Factory"]);
        for (windows, target, ..) in ZONES {
            assert_eq!(windows_name(target), Some(*windows));
        }
    }
}
