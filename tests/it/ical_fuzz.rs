//! The fuzz targets over the corpus and over copies of it that were damaged by a fixed recipe; and what is generated.

use std::fs;
use std::path::Path;

use calgate::ical::{Component, Object};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::kit::Dice;

#[path = "../fuzz/targets.rs"]
mod targets;

/// Every text in the fixtures that a calendar program might be sent, by name.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/ical")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "ics") {
                found.push((path.display().to_string(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// Pieces that change what a text means more than a random octet does.
const PIECES: [&str; 28] = [
    "\r\n",
    "\n",
    "\r",
    "\r\n ",
    ":",
    ";",
    ",",
    "\"",
    "=",
    "\\",
    "^n",
    "\u{feff}",
    "\0",
    "BEGIN:VEVENT\r\n",
    "END:VEVENT\r\n",
    "END:VCALENDAR\r\n",
    "RECURRENCE-ID;RANGE=THISANDFUTURE:20260112T090000Z\r\n",
    "RRULE:FREQ=MINUTELY\r\n",
    "RDATE;VALUE=PERIOD:20260101T000000Z/P1D\r\n",
    "EXDATE:20260105\r\n",
    "DURATION:P1W\r\n",
    ";TZID=Europe/Berlin",
    ";VALUE=DATE",
    "T240000",
    "-",
    "99999999",
    "\u{e9}",
    "\u{2028}",
];

fn damaged(octets: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut below = |bound: usize| dice.below(bound as u64) as usize;
    let mut out = octets.to_vec();
    for _ in 0..=below(4) {
        let at = below(out.len() + 1);
        match below(6) {
            0 => out.truncate(at),
            1 if at < out.len() => out[at] = below(256) as u8,
            2 => {
                let end = (at + below(40)).min(out.len());
                out.drain(at..end);
            }
            3 => {
                let end = (at + below(200)).min(out.len());
                let copy = out[at..end].to_vec();
                let to = below(out.len() + 1);
                out.splice(to..to, copy);
            }
            _ => {
                let piece = PIECES[below(PIECES.len())];
                out.splice(at..at, piece.bytes());
            }
        }
    }
    out
}

/// Runs a target over `inputs` and over `copies` damaged copies of each.
fn run(target: &str, inputs: &[(String, Vec<u8>)], copies: usize) {
    let (_, target) = targets::TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    for (nth, (name, octets)) in inputs.iter().enumerate() {
        let mut dice = Dice(nth as u64);
        for copy in 0..=copies {
            let input = if copy == 0 { octets.clone() } else { damaged(octets, &mut dice) };
            let done = std::panic::catch_unwind(|| target(&input));
            assert!(done.is_ok(), "{name}, copy {copy}: {}", String::from_utf8_lossy(&input));
        }
    }
}

#[test]
fn any_text() {
    run("text", &corpus(), 5);
}

#[test]
fn any_rule() {
    let lines = |(name, octets): (String, Vec<u8>)| {
        let text = String::from_utf8_lossy(&octets).replace("\r\n", "\n");
        let event = text.split("BEGIN:VEVENT\n").nth(1)?.split("END:VEVENT").next()?;
        let timed = |line: &&str| {
            ["DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "EXRULE"].iter().any(|n| line.starts_with(n))
        };
        let lines = event.lines().filter(timed).collect::<Vec<_>>().join("\n");
        (lines.contains("RRULE") || lines.contains("RDATE")).then_some((name, lines.into_bytes()))
    };
    let inputs: Vec<_> = corpus().into_iter().filter_map(lines).collect();
    assert!(inputs.len() > 20);
    run("rules", &inputs, 12);
}

#[test]
fn any_zone() {
    let zone = |(name, octets): (String, Vec<u8>)| {
        let text = String::from_utf8_lossy(&octets).replace("\r\n", "\n");
        let zone = text.split("BEGIN:VTIMEZONE\n").nth(1)?.split("END:VTIMEZONE").next()?.to_owned();
        Some((name, zone.into_bytes()))
    };
    let inputs: Vec<_> = corpus().into_iter().filter_map(zone).collect();
    assert!(!inputs.is_empty());
    run("zones", &inputs, 20);
}

#[test]
fn any_filter() {
    let mut dice = Dice(7);
    let inputs: Vec<_> = corpus()
        .into_iter()
        .flat_map(|(name, octets)| {
            (0..4)
                .map(|_| {
                    let said: Vec<u8> =
                        (0..24).map(|_| dice.below(256) as u8).map(|b| if b == b'\n' { 0 } else { b }).collect();
                    (name.clone(), [said.as_slice(), b"\n", &octets].concat())
                })
                .collect::<Vec<_>>()
        })
        .collect();
    run("filters", &inputs, 1);
}

#[test]
fn any_json() {
    let mut inputs = corpus();
    let there: Vec<_> = inputs
        .iter()
        .filter_map(|(name, octets)| {
            let tree = Component::parse(std::str::from_utf8(octets).ok()?).ok()?;
            Some((format!("{name} as jCal"), calgate::ical::jcal::print(&tree).into_bytes()))
        })
        .collect();
    inputs.extend(there);
    run("jcal", &inputs, 2);
}

/// Each object beside a damaged copy of itself: what is left of the copy is a change.
#[test]
fn any_change() {
    let mut dice = Dice(11);
    let beside = |(name, octets): (String, Vec<u8>)| {
        let other = damaged(&octets, &mut dice);
        (name, [octets.as_slice(), b"---\n", &other].concat())
    };
    let inputs: Vec<_> = corpus().into_iter().map(beside).collect();
    run("changes", &inputs, 2);
}

/// Lines of an object, made of octets: each says what comes next.
fn object_of(octets: &[u8]) -> String {
    const NAMES: [&str; 12] = [
        "SUMMARY",
        "Description",
        "X-A",
        "ATTENDEE",
        "LOCATION",
        "x-b",
        "CATEGORIES",
        "URL",
        "CONFERENCE",
        "COLOR",
        "CLASS",
        "GEO",
    ];
    const PARAMS: [&str; 8] = [
        ";CN=a",
        ";CN=\"b;c\"",
        ";X-P=1,2",
        ";language=en",
        ";ALTREP=\"cid:1\"",
        ";CN=\"d^'e^n\"",
        ";A",
        ";FMTTYPE=text/plain",
    ];
    const TEXTS: [&str; 8] = ["a", "\\n", "\\,", "ä", "€", "𝄞", " two words", "; and : more"];
    const ENDS: [&str; 4] = ["\r\n", "\r\n", "\r\n", "\n"];
    let mut out =
        String::from("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:20260105T090000Z\r\n");
    let mut rest = octets.iter().map(|b| usize::from(*b));
    let mut open = false;
    while let Some(what) = rest.next() {
        match what % 8 {
            0 if !open => {
                out.push_str("BEGIN:VALARM\r\n");
                open = true;
            }
            0 => {
                out.push_str("END:VALARM\r\n");
                open = false;
            }
            _ => {
                out.push_str(NAMES[what / 8 % NAMES.len()]);
                let more = rest.next().unwrap_or(0);
                for n in 0..more % 3 {
                    out.push_str(PARAMS[(more / 3 + n) % PARAMS.len()]);
                }
                out.push(':');
                let text = rest.next().unwrap_or(0);
                for n in 0..text % 40 {
                    out.push_str(TEXTS[(text / 8 + n) % TEXTS.len()]);
                    if (text + n) % 13 == 0 {
                        out.push_str("\r\n ");
                    }
                }
                out.push_str(ENDS[more % 4]);
            }
        }
    }
    if open {
        out.push_str("END:VALARM\r\n");
    }
    out + "END:VEVENT\r\nEND:VCALENDAR\r\n"
}

/// A generated object is printed as it came; and when one line of it is changed, that line alone is another.
fn round_trip(seed: u8) {
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 50_000, failure_persistence: None, ..ProptestConfig::default() });
    let octets = proptest::collection::vec(any::<u8>(), 1..40);
    let tested = runner.run(&(octets, any::<u16>()), |(mut octets, which)| {
        octets.push(seed);
        let text = object_of(&octets);
        let object = Object::parse(&text).unwrap();
        prop_assert_eq!(object.text(), &text);
        prop_assert_eq!(&object.calendar().print(), &text);
        changes_one_line(&object, usize::from(which));
        Ok(())
    });
    if let Err(e) = tested {
        panic!("{e}");
    }
}

#[test]
fn a_hundred_thousand_objects_half() {
    round_trip(1);
}

#[test]
fn a_hundred_thousand_objects_other_half() {
    round_trip(8);
}

/// The content lines of a text as they stand, each with its folds and line end.
fn content_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.split_inclusive('\n') {
        match lines.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) || line.trim_end_matches(['\r', '\n']).is_empty() => {
                last.push_str(line)
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// Gives one property of one component another value: one line is another, and it is as RFC 5545 has it.
fn changes_one_line(object: &Object, which: usize) {
    let mut tree = object.calendar().clone();
    let Some(property) = nth_property(&mut tree, which) else { return };
    let value = format!("{} changed", property.value());
    property.set_value(&value);
    let (before, after) = (content_lines(object.text()), content_lines(&tree.print()));
    assert_eq!(before.len(), after.len());
    let other: Vec<&String> = after.iter().zip(&before).filter(|(a, b)| a != b).map(|(a, _)| a).collect();
    assert_eq!(other.len(), 1, "{other:?}");
    assert!(other[0].ends_with("\r\n") && other[0].split("\r\n").all(|line| line.len() <= 75), "{other:?}");
    assert!(other[0].replace("\r\n ", "").ends_with(" changed\r\n"));
}

/// A property anywhere in a tree, counted around.
fn nth_property(tree: &mut Component, which: usize) -> Option<&mut calgate::ical::Property> {
    fn count(tree: &Component) -> usize {
        tree.properties.len() + tree.components.iter().map(count).sum::<usize>()
    }
    fn find(tree: &mut Component, mut nth: usize) -> Option<&mut calgate::ical::Property> {
        if nth < tree.properties.len() {
            return tree.properties.get_mut(nth);
        }
        nth -= tree.properties.len();
        for component in &mut tree.components {
            let inside = count(component);
            if nth < inside {
                return find(component, nth);
            }
            nth -= inside;
        }
        None
    }
    let all = count(tree);
    find(tree, which % all.max(1))
}

/// The same for every object of the corpus and every line of it.
#[test]
fn the_corpus_is_printed_as_it_came_and_changes_line_by_line() {
    let mut seen = 0;
    for (name, octets) in corpus() {
        let Ok(text) = String::from_utf8(octets) else { continue };
        let Ok(object) = Object::parse(&text) else { continue };
        if object.repairs().iter().any(|r| r.damage.alters()) {
            continue;
        }
        seen += 1;
        assert_eq!(object.text(), text, "{name}");
        assert_eq!(object.calendar().print(), text, "{name}");
        let lines = content_lines(&text).len();
        for which in 0..lines.min(60) {
            changes_one_line(&object, which);
        }
    }
    assert!(seen > 25, "{seen}");
}
