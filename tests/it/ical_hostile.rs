//! Calendar data that is meant to do harm: each ends in an error or a bounded answer, in little time and memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Instant as Clock;

use calgate::ical::recur::{self, Limits};
use calgate::ical::{Component, Instant, Object, Property, Reading, Window, object, text, zone};
use jiff::tz::TimeZone;

/// Counts what each thread holds, so that a limit on memory can be held.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn held(change: isize) {
    // A thread that is ending counts no more.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + change);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        held(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        held(-(layout.size() as isize));
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        held(size as isize - layout.size() as isize);
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const MIB: isize = 1 << 20;

/// Does everything with a text that is done with what a client sends. What it holds at most stays below 64 MiB; the time
/// is that of a debug build on a machine that does other things as well, ten times what a quiet one needs.
fn survives(name: &str, octets: &[u8]) -> Result<Object, calgate::ical::Error> {
    let begun = Clock::now();
    let before = HELD.get();
    PEAK.set(before);
    let read = Object::read_octets(octets, Reading::Tolerant);
    let _ = Object::read_octets(octets, Reading::Strict);
    let text = String::from_utf8_lossy(octets);
    let _ = object::split(&text).map(|parts| parts.objects.len());
    let _ = zone::of_calendar_text(&text);
    if let Ok(object) = &read {
        let year = Window { start: Instant(1_767_225_600), end: Instant(1_798_761_600) };
        for window in [year, Window::ALL] {
            let _ = recur::instances(object, window, &TimeZone::UTC, Limits::default()).map(|found| found.len());
        }
        let _ = recur::index(object, year, &[], 1_000);
        let _ = object.calendar().print();
    }
    let peak = PEAK.get() - before;
    assert!(peak < 64 * MIB, "{name}: held {} KiB", peak / 1024);
    let took = begun.elapsed();
    assert!(took.as_secs() < 10, "{name}: took {took:?}");
    read
}

fn calendar(inside: &str) -> Vec<u8> {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{inside}END:VCALENDAR\r\n").into_bytes()
}

fn event(lines: &str) -> Vec<u8> {
    calendar(&format!("BEGIN:VEVENT\r\nUID:1\r\nDTSTART:20260105T090000Z\r\n{lines}END:VEVENT\r\n"))
}

const SIZE: usize = 2 << 20;

/// As many of `piece` as an object of the largest size has room for.
fn full_of(piece: &str) -> String {
    piece.repeat((SIZE - 4096) / piece.len())
}

#[test]
fn structure_and_size() {
    let refused: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nested", full_of("BEGIN:X\r\n").into_bytes(), "stands outside|nested deeper"),
        ("nested in a calendar", calendar(&full_of("BEGIN:X\r\n")), "nested deeper than 32"),
        ("components", calendar(&full_of("BEGIN:X\r\nEND:X\r\n")), "more than 5000 components"),
        ("short lines", event(&full_of("X:\n")), "more than 10000 properties"),
        ("parameters", event(&format!("X{}:1\r\n", full_of(";A=1"))), "more than 100 parameters"),
        ("values of a parameter", event(&format!("X;A={}:1\r\n", full_of("1,"))), "more than 5000 values"),
        ("quoted values", event(&format!("X;A={}:1\r\n", full_of("\"\","))), "more than 5000 values"),
        ("a long line", event(&format!("X:{}\r\n", "a".repeat(SIZE))), "longer than"),
        ("long lines", event(&full_of(&format!("X:{}\r\n", "a".repeat(1 << 20)))), ""),
        ("folds", event(&format!("X:{}\r\n", full_of("\r\n "))), "more than 200000 lines|"),
        ("empty lines", event(&full_of("\n")), "more than 200000 lines|no END"),
        ("attendees", event(&"ATTENDEE:mailto:a@example.org\r\n".repeat(10_000)), "more than 10000 properties"),
        ("alarms", event(&full_of("BEGIN:VALARM\r\nEND:VALARM\r\n")), "more than"),
        ("events without END", calendar(&full_of("BEGIN:VEVENT\r\n")), "more than 5000 components"),
        ("a calendar in a calendar", full_of("BEGIN:VCALENDAR\r\n").into_bytes(), "more than 5000 components"),
        ("calendars", full_of("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n").into_bytes(), "more than 5000 components"),
        ("nothing but octets", full_of("\u{1}\u{2}").into_bytes(), ""),
        ("cut off", event("")[..60].to_vec(), "cut off"),
    ];
    for (name, octets, expect) in refused {
        let got = survives(name, &octets).map(|_| ());
        if let Err(e) = &got {
            let told = e.to_string();
            assert!(expect.split('|').any(|words| told.contains(words)), "{name}: {told}");
        } else {
            assert!(expect.is_empty() || expect.contains('|'), "{name} was taken");
        }
    }
    let taken: Vec<(&str, Vec<u8>)> = vec![
        ("stray ENDs", event(&full_of("END:X\r\n"))),
        ("lines that are none", event(&format!("SUMMARY:a\r\n{}", full_of("x y\r\n")))),
        ("stray lines", event(&format!("SEQUENCE:1\r\n{}", full_of("x y\r\n")))),
        ("octets of old programs", [&event("")[..70], &b"\xfc".repeat(SIZE), b"\r\n"].concat()),
        ("half characters", event(&format!("X:{}\r\n", full_of("a\r\n "))).iter().map(|b| b | (b & 1) << 7).collect()),
        ("control characters", event(&format!("SUMMARY:{}\r\n", full_of("\u{1}")))),
        ("open quotes", event(&"ATTENDEE;CN=\"a:mailto:a@example.org\r\n".repeat(1_900))),
        ("many attendees", event(&"ATTENDEE:mailto:a@example.org\r\n".repeat(9_000))),
        ("quotes", event(&format!("X;A={}:b\r\n", "\"a\"".repeat(100_000)))),
        ("circumflexes", event(&format!("X;A={}:b\r\n", "^'".repeat(500_000)))),
        ("escapes", event(&format!("SUMMARY:{}\r\n", full_of("\\")))),
        ("categories", event(&format!("CATEGORIES:{}\r\n", full_of("a,")))),
        ("empty rules", event(&"RRULE:\r\n".repeat(9_000))),
        ("empty times", event(&"EXDATE:\r\n".repeat(9_000))),
        (
            "components that lack everything",
            calendar(
                &(0..4_999).map(|n| format!("BEGIN:VEVENT\r\nUID:1\r\nRECURRENCE-ID:20260105T09{:02}{:02}Z\r\nDTSTART:20260105\r\nEND:VEVENT\r\n", n / 60 % 60, n % 60)).collect::<String>(),
            ),
        ),
    ];
    for (name, octets) in taken {
        // Taken or refused by a limit, but never slowly and never with much memory.
        let _ = survives(name, &octets);
    }
}

/// No text that comes from outside can make a line of its own: not as a value, a parameter, a name, or by what some
/// readers take for a line end.
#[test]
fn no_line_is_smuggled_in() {
    let ends =
        ["\r\n", "\n", "\r", "\r\r\n", "\u{85}", "\u{2028}", "\u{2029}", "\u{b}", "\u{c}", "\0", "\r\n ", "\n\t"];
    let attacks =
        ends.iter().map(|end| format!("a{end}ATTENDEE:mailto:evil@example.org{end}END:VEVENT{end}BEGIN:VEVENT"));
    for attack in attacks {
        let lines = [
            Property::new("SUMMARY", text::escape(&attack)),
            Property::new("X-RAW", &attack),
            Property::new(&format!("X-{attack}"), "v"),
            Property::new("X-PARAM", "v").with_param("CN", &attack),
            Property::new("X-PARAM", "v").with_param(&format!("A{attack}"), "v"),
            Property::new("X-PARAM", "v").with_values("CN", ["b", attack.as_str()]),
            Property::new("X-NAME", "v").renamed(&attack),
        ];
        let event = Component::new("VEVENT").with(lines).with_components([Component::new(&attack)]);
        let printed = Component::new("VCALENDAR").with_components([event]).print();
        let mut names = Vec::new();
        for line in printed.replace("\r\n ", "").split("\r\n").filter(|line| !line.is_empty()) {
            assert!(!line.contains(['\r', '\n', '\0', '\u{b}', '\u{c}']), "{line:?}");
            names.push(line.split([':', ';']).next().unwrap_or_default().to_owned());
        }
        assert_eq!(names.len(), 13, "{printed}");
        assert!(!names.iter().any(|name| name == "ATTENDEE"), "{printed}");
        let tree = Component::parse(&printed).unwrap();
        assert_eq!(tree.components[0].properties.len(), 7);
        // What we write as TEXT is one line for every reader, those that split at any line end of Unicode too.
        let summary = tree.components[0].property("SUMMARY").unwrap();
        assert!(!summary.value().contains(['\u{85}', '\u{2028}', '\u{2029}']), "{summary:?}");
        // What comes with a return in it comes without it: what follows can not speak for itself.
        let sent = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:20260105\r\nX:a\rATTENDEE:b\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let taken = Object::parse(sent).unwrap();
        assert!(taken.text().contains("\r\nX:aATTENDEE:b\r\n"), "{}", taken.text());
    }
}
