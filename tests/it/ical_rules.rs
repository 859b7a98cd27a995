//! Rules and zones against other people's engines, on what `tests/oracle/` wrote down of them.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use calgate::ical::recur::{Limits, instances};
use calgate::ical::zone;
use calgate::ical::{Instant, Object, Window};

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/ical").join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn base36(text: &str) -> i64 {
    i64::from_str_radix(text, 36).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn utc(at: i64) -> String {
    jiff::Timestamp::from_second(at).unwrap().strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// FNV-1a of 32 bits over the starts in decimal, a space between.
fn digest(starts: &[i64]) -> u32 {
    let text = starts.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
    text.bytes().fold(0x811c_9dc5, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
}

/// A line of `rules.txt`; its form is told in `tests/oracle/rules.py`.
struct Line<'a> {
    zone: &'a str,
    start: &'a str,
    rule: &'a str,
    window: Window,
    class: &'a str,
    /// How many, and the digest, the first and the last start.
    expect: (usize, Option<(u32, i64, i64)>),
}

impl<'a> Line<'a> {
    fn read(text: &'a str, zones: &[&'a str]) -> Line<'a> {
        let parts: Vec<&str> = text.split('|').collect();
        let begin = base36(parts[3]);
        let window = Window::new(Instant(begin), Instant(begin + base36(parts[4]))).unwrap();
        let of = |tail: &[&str]| {
            (u32::from_str_radix(tail[0], 16).unwrap(), begin + base36(tail[1]), begin + base36(tail[2]))
        };
        let expect = (parts[6].parse().unwrap(), (parts.len() > 7).then(|| of(&parts[7..])));
        Line {
            zone: zones[parts[0].parse::<usize>().unwrap()],
            start: parts[1],
            rule: parts[2],
            window,
            class: parts[5],
            expect,
        }
    }

    fn object(&self) -> Object {
        let start = match (self.start.strip_prefix('~'), self.start.contains('T')) {
            (Some(floating), _) => format!(":{floating}"),
            (None, false) => format!(";VALUE=DATE:{}", self.start),
            (None, true) => format!(";TZID={}:{}", self.zone, self.start),
        };
        let text = format!(
            "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART{start}\r\nRRULE:FREQ={}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
            self.rule
        );
        Object::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
    }

    /// Ours, when it is not what is written; each start once.
    fn wrong(&self) -> Option<String> {
        let object = self.object();
        let reader = zone::named(self.zone).unwrap();
        let limits = Limits { instances: 100_000, steps: 1_000_000 };
        let found = match instances(&object, self.window, &reader, limits) {
            Ok(found) => found,
            Err(e) => return Some(format!("{e:?}")),
        };
        let starts: Vec<i64> = found.iter().map(|i| i.start.0).collect();
        let ends = starts.first().zip(starts.last()).map(|(first, last)| (digest(&starts), *first, *last));
        ((starts.len(), ends) != self.expect).then(|| {
            let shown = starts.iter().take(12).map(|at| utc(*at)).collect::<Vec<_>>().join(" ");
            format!("{} instances: {shown}", starts.len())
        })
    }
}

/// Classes of rules for which dateutil is not RFC 5545, so that what is written is what the RFC says, found by looking
/// at each day. Each is a predicate in `tests/oracle/rules.py`, where the sentences of the RFC stand.
///
/// - `-`: none, dateutil and the RFC agree
/// - `d`: DTSTART is not what its rule gives: it is the first instance all the same, and COUNT counts it (3.8.5.3)
/// - `m`: BYDAY with and without ordinals in one list: each of them is meant, not what all allow (3.3.10)
/// - `w`: BYWEEKNO alone: the weekday is DTSTART's, not every day of the week (3.3.10)
/// - `n`: BYWEEKNO from the end, for a week that lies in two years (3.3.10)
/// - `p`: WEEKLY with BYSETPOS from the middle of a week: positions are of the whole week (3.3.10)
/// - `u`: UNTIL of another type than DTSTART: the whole day (not RFC 5545, and written often)
/// - `z`: UNTIL in UTC beside a floating DTSTART: what it shows (not RFC 5545 either)
/// - `b`: UNTIL before DTSTART: DTSTART alone (3.8.5.3)
/// - `s`: BYSECOND=60: the last second of the minute (3.3.12)
/// - `e`: an interval that never meets BYHOUR, BYMINUTE or BYSECOND: DTSTART alone, no error (3.3.10)
const CLASSES: [&str; 11] = ["-", "d", "m", "w", "n", "p", "u", "z", "b", "s", "e"];

/// Checks every second line from `from` on, so that two tests share the work.
fn check_rules(from: usize) {
    let text = fixture("rules.txt");
    let mut lines = text.lines();
    let zones: Vec<&str> = lines.next().unwrap().strip_prefix("#zones ").unwrap().split(' ').collect();
    let mut wrong = String::new();
    let (mut seen, mut differ) = (0, 0);
    let mut of_class = [0; CLASSES.len()];
    for (n, text) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#')).skip(from).step_by(2) {
        let line = Line::read(text, &zones);
        seen += 1;
        of_class[CLASSES.iter().position(|c| *c == line.class).unwrap_or_else(|| panic!("class {}", line.class))] += 1;
        if let Some(got) = line.wrong() {
            differ += 1;
            if differ <= 20 {
                let _ = write!(wrong, "\n--show {}: {text}\n  {}\n  {got}", n + 1, line.zone);
            }
        }
    }
    assert!(differ == 0, "{differ} of {seen} differ:{wrong}");
    assert!(seen >= 10_000, "{seen}");
    assert!(of_class.iter().all(|n| *n >= 3), "{of_class:?}");
}

#[test]
fn rules_give_what_others_say_odd_lines() {
    check_rules(0);
}

#[test]
fn rules_give_what_others_say_even_lines() {
    check_rules(1);
}
