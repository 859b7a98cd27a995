//! The tables of RFC 4791 9.9 and RFC 7953 7.2.2, line by line. Each line is written down as the condition that stands in
//! it, and tried with every window whose ends lie at, just before and just behind the times it speaks of, open ends too.

use calgate::ical::filter::{self, CompFilter};
use calgate::ical::recur::{self, ANY_ZONE};
use calgate::ical::{Instant, Object, Window, zone};
use jiff::tz::TimeZone;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// A line of a table: its name (what the component has), the component's lines, and the condition.
struct Line {
    name: &'static str,
    /// `{a}`, `{b}`, `{c}` and `{d}` are 09:00, 10:00, 11:00 and 12:00 in UTC, `{day}` and `{next}` dates, `{wall}` is
    /// 09:00 without a zone.
    lines: &'static str,
    holds: fn(start: i64, end: i64, t: &Times) -> bool,
}

/// What a line speaks of, as instants.
struct Times {
    a: i64,
    b: i64,
    c: i64,
    d: i64,
    /// The midnight that begins the day where the reader is, and the one that ends it.
    day: i64,
    next: i64,
    /// 09:00 where the reader is.
    wall: i64,
}

const fn line(name: &'static str, lines: &'static str, holds: fn(i64, i64, &Times) -> bool) -> Line {
    Line { name, lines, holds }
}

/// DTEND, DURATION, DURATION > 0, DTSTART is DATE-TIME.
const EVENT: &[Line] = &[
    line("Y N N *", "DTSTART:{a}\nDTEND:{b}", |s, e, t| s < t.b && e > t.a),
    line("Y N N *, dates", "DTSTART;VALUE=DATE:{day}\nDTEND;VALUE=DATE:{next}", |s, e, t| s < t.next && e > t.day),
    line("N Y Y *", "DTSTART:{a}\nDURATION:PT2H", |s, e, t| s < t.c && e > t.a),
    line("N Y Y *, a date", "DTSTART;VALUE=DATE:{day}\nDURATION:P1D", |s, e, t| s < t.next && e > t.day),
    line("N Y N *", "DTSTART:{a}\nDURATION:PT0S", |s, e, t| s <= t.a && e > t.a),
    line("N N N Y", "DTSTART:{a}", |s, e, t| s <= t.a && e > t.a),
    line("N N N Y, floating", "DTSTART:{wall}", |s, e, t| s <= t.wall && e > t.wall),
    line("N N N N", "DTSTART;VALUE=DATE:{day}", |s, e, t| s < t.next && e > t.day),
];

/// DTSTART, DURATION, DUE, COMPLETED, CREATED: those that have a time of their own.
const TODO: &[Line] = &[
    line("Y Y N * *", "DTSTART:{a}\nDURATION:PT1H", |s, e, t| s <= t.b && (e > t.a || e >= t.b)),
    line("Y Y N * *, both", "DTSTART:{a}\nDURATION:PT1H\nCREATED:{c}\nCOMPLETED:{d}", |s, e, t| {
        s <= t.b && (e > t.a || e >= t.b)
    }),
    line("Y Y N * *, of no length", "DTSTART:{a}\nDURATION:PT0S", |s, e, t| s <= t.a && e >= t.a),
    line("Y N Y * *", "DTSTART:{a}\nDUE:{b}", |s, e, t| (s < t.b || s <= t.a) && (e > t.a || e >= t.b)),
    line("Y N Y * *, dates", "DTSTART;VALUE=DATE:{day}\nDUE;VALUE=DATE:{next}", |s, e, t| {
        (s < t.next || s <= t.day) && (e > t.day || e >= t.next)
    }),
    line("Y N Y * *, at one time", "DTSTART:{a}\nDUE:{a}", |s, e, t| s <= t.a && e >= t.a),
    line("Y N N * *", "DTSTART:{a}", |s, e, t| s <= t.a && e > t.a),
    line("Y N N * *, both", "DTSTART:{a}\nCREATED:{c}\nCOMPLETED:{d}", |s, e, t| s <= t.a && e > t.a),
    line("N N Y * *", "DUE:{b}", |s, e, t| s < t.b && e >= t.b),
    line("N N Y * *, both", "DUE:{b}\nCREATED:{c}\nCOMPLETED:{d}", |s, e, t| s < t.b && e >= t.b),
];

/// Those whose last columns alone decide.
const TODO_WITHOUT_TIME: &[Line] = &[
    line("N N N Y Y", "CREATED:{a}\nCOMPLETED:{b}", |s, e, t| (s <= t.a || s <= t.b) && (e >= t.a || e >= t.b)),
    line("N N N Y N", "COMPLETED:{b}", |s, e, t| s <= t.b && e >= t.b),
    line("N N N N Y", "CREATED:{a}", |_, e, t| e > t.a),
    line("N N N N N", "SUMMARY:whenever", |_, _, _| true),
];

/// DTSTART, DTSTART is DATE-TIME.
const JOURNAL: &[Line] = &[
    line("Y Y", "DTSTART:{a}", |s, e, t| s <= t.a && e > t.a),
    line("Y N", "DTSTART;VALUE=DATE:{day}", |s, e, t| s < t.next && e > t.day),
];

const JOURNAL_WITHOUT_TIME: &[Line] = &[line("N *", "SUMMARY:some day", |_, _, _| false)];

/// DTSTART and DTEND, FREEBUSY.
const FREE_BUSY: &[Line] = &[
    line("Y *", "DTSTART:{a}\nDTEND:{b}", |s, e, t| s <= t.b && e > t.a),
    line("Y *, with a period", "DTSTART:{a}\nDTEND:{d}\nFREEBUSY:{b}/{c}", |s, e, t| s <= t.d && e > t.a),
    line("N Y", "FREEBUSY:{a}/{b}", |s, e, t| s < t.b && e > t.a),
    line("N Y, several", "FREEBUSY:{a}/PT1H\nFREEBUSY;FBTYPE=FREE:{c}/{d}", |s, e, t| {
        s < t.b && e > t.a || s < t.d && e > t.c
    }),
    line("N Y, half of the bounds", "DTSTART:{a}\nFREEBUSY:{b}/{c}", |s, e, t| s < t.c && e > t.b),
    line("N N", "COMMENT:nothing", |_, _, _| false),
];

/// RFC 7953: DTSTART, DTEND, DURATION.
const AVAILABILITY: &[Line] = &[
    line("Y Y N", "DTSTART:{a}\nDTEND:{b}", |s, e, t| s < t.b && e > t.a),
    line("Y N Y", "DTSTART:{a}\nDURATION:PT1H", |s, e, t| s < t.b && e > t.a),
    line("Y N N", "DTSTART:{a}", |_, e, t| e > t.a),
    line("N Y N", "DTEND:{b}", |s, _, t| s < t.b),
    line("N N *", "SUMMARY:always", |_, _, _| true),
];

/// Inside of a VEVENT from `{b}` to `{c}`: `start <= trigger-time AND end > trigger-time`, of each time it rings.
const ALARM: &[Line] = &[
    line("before the start", "TRIGGER:-PT1H", |s, e, t| s <= t.a && e > t.a),
    line("at the start", "TRIGGER:PT0S", |s, e, t| s <= t.b && e > t.b),
    line("at the end", "TRIGGER;RELATED=END:PT0S", |s, e, t| s <= t.c && e > t.c),
    line("behind the end", "TRIGGER;RELATED=END:PT1H", |s, e, t| s <= t.d && e > t.d),
    line("again", "TRIGGER:-PT1H\nREPEAT:2\nDURATION:PT1H", |s, e, t| {
        [t.a, t.b, t.c].iter().any(|at| s <= *at && e > *at)
    }),
    line("without a trigger", "ACTION:DISPLAY", |_, _, _| false),
];

const ALARM_AT_A_TIME: &[Line] = &[
    line("absolute", "TRIGGER;VALUE=DATE-TIME:{a}", |s, e, t| s <= t.a && e > t.a),
    line("absolute, again", "TRIGGER;VALUE=DATE-TIME:{a}\nREPEAT:1\nDURATION:PT2H", |s, e, t| {
        [t.a, t.c].iter().any(|at| s <= *at && e > *at)
    }),
];

/// The fifth of January of a year, and what a reader so far east of Greenwich sees of it.
struct Place {
    /// The year that is written, and the one whose windows are asked for.
    written: i64,
    asked: i64,
    /// Its offset, the same all year.
    zone: &'static str,
    offset: i64,
}

/// Days since 1970-01-01 of the fifth of January.
fn fifth(year: i64) -> i64 {
    (1970..year).map(|y| if y % 4 == 0 && (y % 100 != 0 || y % 400 == 0) { 366 } else { 365 }).sum::<i64>() + 4
}

impl Place {
    fn times(&self) -> Times {
        let day = fifth(self.asked) * DAY;
        let (a, here) = (day + 9 * HOUR, day - self.offset);
        let (b, c, d) = (a + HOUR, a + 2 * HOUR, a + 3 * HOUR);
        Times { a, b, c, d, day: here, next: here + DAY, wall: here + 9 * HOUR }
    }

    fn fill(&self, lines: &str) -> String {
        let year = self.written;
        let mut text = lines.replace("{day}", &format!("{year:04}0105")).replace("{next}", &format!("{year:04}0106"));
        for (name, hour) in [("{a}", 9), ("{b}", 10), ("{c}", 11), ("{d}", 12)] {
            text = text.replace(name, &format!("{year:04}0105T{hour:02}0000Z"));
        }
        text.replace("{wall}", &format!("{year:04}0105T090000"))
    }
}

fn asks(path: &[&str], window: Window) -> CompFilter {
    match path {
        [] => unreachable!("a path names something"),
        [last] => CompFilter { name: (*last).to_owned(), time_range: Some(window), ..CompFilter::default() },
        [first, rest @ ..] => {
            CompFilter { name: (*first).to_owned(), comps: vec![asks(rest, window)], ..CompFilter::default() }
        }
    }
}

/// Tries a line; `open`: with open ends too. How many windows it was tried with, and how many it was in.
fn check(kind: &str, inside: &str, line: &Line, place: &Place, more: &str, open: bool) -> (usize, usize) {
    let (t, reader) = (place.times(), zone::named(place.zone).expect("a zone"));
    let mut lines = place.fill(&format!("{}\n{more}", line.lines));
    let mut path = vec!["VCALENDAR", kind];
    if !inside.is_empty() {
        lines = format!(
            "{}\n{more}\nBEGIN:VALARM\n{}\nEND:VALARM\n",
            place.fill("DTSTART:{b}\nDTEND:{c}"),
            place.fill(line.lines)
        );
        path.push(inside);
    }
    let text = format!(
        "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//EN\nBEGIN:{kind}\nUID:1\nDTSTAMP:20260101T000000Z\n{}\nEND:{kind}\n\
         END:VCALENDAR\n",
        lines.replace("\n\n", "\n").trim()
    );
    let object = Object::parse(&text).unwrap_or_else(|e| panic!("{}: {e}\n{text}", line.name));
    let mut ends: Vec<i64> =
        [t.a, t.b, t.c, t.d, t.day, t.next, t.wall].iter().flat_map(|at| [at - 1, *at, at + 1]).collect();
    ends.extend([t.day - 5 * DAY, t.next + 5 * DAY]);
    if open {
        ends.extend([Instant::MIN.0, Instant::MAX.0]);
    }
    ends.sort_unstable();
    ends.dedup();
    let (mut tried, mut matched) = (0, 0);
    for (at, start) in ends.iter().enumerate() {
        for end in &ends[at + 1..] {
            let window = Window { start: Instant(*start), end: Instant(*end) };
            let expect = (line.holds)(*start, *end, &t);
            let got = filter::matches(&asks(&path, window), &object, &reader);
            assert_eq!(
                got, expect,
                "{kind} {inside} [{}] from {start} to {end} of {:?}\n{text}",
                line.name, place.asked
            );
            if inside.is_empty() && expect {
                found_without_reading(&object, window, &reader, &text);
            }
            tried += 1;
            matched += usize::from(expect);
        }
    }
    (tried, matched)
}

/// What is in a window is among what the store looks at for it: by its span, and by its entries of the time index.
fn found_without_reading(object: &Object, window: Window, reader: &TimeZone, text: &str) {
    let span = object.span();
    let touches = span.first.is_none_or(|f| f < window.end) && span.last.is_none_or(|l| l >= window.start);
    assert!(touches, "{span:?} {window:?}\n{text}");
    let horizon = Window {
        start: window.start.max(Instant(-10 * 366 * DAY)).plus(-ANY_ZONE),
        end: window.end.min(Instant(300 * 366 * DAY)).plus(ANY_ZONE),
    };
    let index = recur::index(object, horizon, &[], 1500);
    let overlaps = |entry: &recur::Entry| {
        let (start, end) = entry.ends(reader);
        start < window.end && (end > window.start || end == start && start >= window.start)
    };
    assert!(index.dense || index.entries.iter().any(overlaps), "{window:?}\n{text}");
}

/// Today, before and behind where 32 bits end, at the beginning of all counting, and far away.
const YEARS: [i64; 5] = [1970, 2026, 2038, 2039, 2199];
/// Zones that have had one offset since 1970, on both sides of Greenwich.
const READERS: [(&str, i64); 3] = [("UTC", 0), ("Asia/Kolkata", 19_800), ("America/Phoenix", -25_200)];

fn tables(check_one: impl Fn(&str, &str, &Line, &Place) -> (usize, usize), with: &[(&str, &str, &[Line])], same: bool) {
    for (kind, inside, lines) in with {
        for line in *lines {
            let (mut tried, mut matched) = (0, 0);
            for asked in YEARS {
                for (zone, offset) in READERS {
                    let place = Place { written: if same { asked } else { 1970 }, asked, zone, offset };
                    let (t, m) = check_one(kind, inside, line, &place);
                    (tried, matched) = (tried + t, matched + m);
                }
            }
            assert!(tried > 1000, "{kind} [{}] was hardly tried", line.name);
            let never = matches!(line.name, "N *" | "N N" | "without a trigger");
            assert_eq!(matched == 0, never, "{kind} [{}]", line.name);
        }
    }
}

#[test]
fn every_line_of_the_tables() {
    let all: [(&str, &str, &[Line]); 9] = [
        ("VEVENT", "", EVENT),
        ("VTODO", "", TODO),
        ("VTODO", "", TODO_WITHOUT_TIME),
        ("VJOURNAL", "", JOURNAL),
        ("VJOURNAL", "", JOURNAL_WITHOUT_TIME),
        ("VFREEBUSY", "", FREE_BUSY),
        ("VAVAILABILITY", "", AVAILABILITY),
        ("VEVENT", "VALARM", ALARM),
        ("VEVENT", "VALARM", ALARM_AT_A_TIME),
    ];
    tables(|kind, inside, line, place| check(kind, inside, line, place, "", true), &all, true);
}

/// An instance of what began in 1970 is where one that happens once would be, in 2199 too.
#[test]
fn every_line_of_the_tables_of_what_began_in_1970() {
    let all: [(&str, &str, &[Line]); 4] =
        [("VEVENT", "", EVENT), ("VTODO", "", TODO), ("VJOURNAL", "", JOURNAL), ("VEVENT", "VALARM", ALARM)];
    let yearly = |kind: &str, inside: &str, line: &Line, place: &Place| {
        // RFC 5545 3.8.5.3: what recurs has a DTSTART.
        let more = if line.lines.contains("DTSTART") || !inside.is_empty() { "RRULE:FREQ=YEARLY" } else { "" };
        let begun = Place { written: if more.is_empty() { place.asked } else { 1970 }, ..*place };
        check(kind, inside, line, &begun, more, false)
    };
    tables(yearly, &all, false);
}

/// What lies between the first instance and the last is not all taken.
#[test]
fn a_gap_is_a_gap() {
    let series = [
        "RDATE:20380119T090000Z,21990105T090000Z",
        "RRULE:FREQ=YEARLY;INTERVAL=173;COUNT=2\nRDATE:20380119T090000Z",
        "RRULE:FREQ=DAILY;UNTIL=21990105T090000Z;BYMONTH=1;BYMONTHDAY=5,19\nEXDATE:20260119T090000Z",
    ];
    let cases = [
        ("20260105T090000Z", "20260105T100000Z", [true, true, true]),
        ("20260105T100000Z", "20260119T090000Z", [false, false, false]),
        ("20260119T090000Z", "20270101T000000Z", [false, false, false]),
        ("20270101T000000Z", "20380101T000000Z", [false, false, true]),
        ("20380119T095959Z", "20380119T100000Z", [true, true, true]),
        ("20380119T100000Z", "20390101T000000Z", [false, false, false]),
        ("20390101T000000Z", "21980101T000000Z", [false, false, true]),
        ("21990101T000000Z", "21990105T090001Z", [true, true, true]),
        ("21990105T100000Z", "22990105T090001Z", [false, false, false]),
    ];
    let at = |text: &str| {
        let read = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).expect("a time");
        Instant(read.to_zoned(TimeZone::UTC).expect("an instant").timestamp().as_second())
    };
    for (nth, more) in series.iter().enumerate() {
        let object = crate::kit::event("gap", &format!("DTSTART:20260105T090000Z\nDURATION:PT1H\n{more}"));
        for (from, to, expect) in cases {
            let window = Window { start: at(from), end: at(to) };
            let got = filter::matches(&asks(&["VCALENDAR", "VEVENT"], window), &object, &TimeZone::UTC);
            assert_eq!(got, expect[nth], "{more} from {from} to {to}");
        }
        // From the last on there is nothing, until then there is something, and before the first nothing.
        let open = |start, end| {
            let window = Window { start, end };
            filter::matches(&asks(&["VCALENDAR", "VEVENT"], window), &object, &TimeZone::UTC)
        };
        assert!(open(at("20400101T000000Z"), Instant::MAX) && open(Instant::MIN, at("20260105T090001Z")), "{more}");
        assert!(!open(at("21990105T100000Z"), Instant::MAX) && !open(Instant::MIN, at("20260105T090000Z")), "{more}");
    }
}
