//! What must hold for any octets. `cargo test` runs these over the corpus and over damaged copies of it
//! (tests/it/ical_fuzz.rs); `make fuzz T=NAME` lets libFuzzer look for more.

use calgate::ical::change::{self, Winner};
use calgate::ical::filter::{self, CompFilter, MatchType, ParamFilter, PropFilter, Test, TextMatch};
use calgate::ical::recur::{self, Limits};
use calgate::ical::select::{CompSelect, PropSelect, Select, select};
use calgate::ical::{Component, Instant, Object, Reading, Window, jcal, object, zone};
use jiff::tz::TimeZone;

/// What is done with some octets; it panics when something does not hold.
pub type Target = fn(&[u8]);

pub const TARGETS: [(&str, Target); 6] =
    [("text", text), ("rules", rules), ("zones", zones), ("filters", filters), ("jcal", json), ("changes", changes)];

/// 2026, in UTC.
const YEAR: Window = Window { start: Instant(1_767_225_600), end: Instant(1_798_761_600) };

/// Any octets as an object: what was read prints as what is read again, and what had to be altered is sound then.
pub fn text(octets: &[u8]) {
    let strict = Object::read_octets(octets, Reading::Strict);
    if let Ok(object) = Object::read_octets(octets, Reading::Tolerant) {
        let again = Object::parse(object.text()).expect("what was taken is taken again");
        assert_eq!(again.calendar(), object.calendar());
        assert_eq!(again.text(), object.text());
        assert!(again.repairs().iter().all(|r| !r.damage.alters()), "{:?}", again.repairs());
        assert_eq!(object.calendar().print(), object.text());
        if let Ok(strict) = strict {
            // A fold within a character can not be kept in a text.
            if let Ok(sent) = std::str::from_utf8(octets) {
                assert_eq!(strict.text(), sent);
            }
            assert!(object.repairs().is_empty(), "{:?}", object.repairs());
        }
        use_object(&object);
    } else {
        assert!(strict.is_err());
    }
    let text = String::from_utf8_lossy(octets);
    if let Ok(tree) = Component::parse(&text) {
        let printed = tree.print();
        assert_eq!(Component::parse(&printed).expect("what was printed is read"), tree);
        assert_eq!(Component::parse(&tree.print_new()).expect("what was printed is read"), tree);
    }
    if let Ok(parts) = object::split(&text) {
        for object in parts.objects.into_iter().flatten() {
            assert_eq!(Object::parse(object.text()).expect("a part is an object").uid(), object.uid());
        }
    }
}

/// Lines of a VEVENT behind its UID: rules, times, overrides.
pub fn rules(octets: &[u8]) {
    let lines = String::from_utf8_lossy(octets);
    let lines = lines.trim_end();
    let start = if lines.contains("DTSTART") { "" } else { "DTSTART:20260105T090000Z\n" };
    let text = format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\n{start}{lines}\nEND:VEVENT\nEND:VCALENDAR\n");
    if let Ok(object) = Object::parse(&text) {
        use_object(&object);
    }
}

/// Lines of a VTIMEZONE behind its TZID, and its name up to the first line end.
pub fn zones(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    let (name, lines) = text.split_once('\n').unwrap_or((&text, ""));
    let _ = zone::named(name);
    let calendar = format!("BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:fuzz\n{lines}\nEND:VTIMEZONE\nEND:VCALENDAR\n");
    if let Some(zone) = zone::of_calendar_text(&calendar) {
        for wall in [i64::MIN / 4, -62_135_596_800, 0, 1_774_749_600, 1_792_897_200, 253_402_300_799, i64::MAX / 4] {
            let at = zone::resolve(wall, &zone);
            // No offset is a day, and no gap is longer than a day.
            assert!((at.0 - wall).abs() <= 2 * 86_400, "{wall} {at:?}");
            assert!((zone::wall(at, &zone) - at.0).abs() <= 86_400, "{wall} {at:?}");
        }
        let written = zone::vtimezone("fuzz", &zone, YEAR.start, YEAR.end);
        assert_eq!(
            Component::parse(&Component::new("VCALENDAR").with_components([written.clone()]).print())
                .expect("a zone of ours")
                .components[0],
            written
        );
    }
}

/// A filter and a selection made of the first line's octets, on the object of the other lines.
pub fn filters(octets: &[u8]) {
    let (mut said, text) = match octets.iter().position(|b| *b == b'\n') {
        Some(at) => (octets[..at].iter(), &octets[at + 1..]),
        None => return,
    };
    let Ok(object) = Object::read_octets(text, Reading::Tolerant) else { return };
    let mut next = || said.next().copied().unwrap_or(0);
    let filter =
        CompFilter { name: "VCALENDAR".to_owned(), comps: vec![comp_filter(&mut next, 0)], ..CompFilter::default() };
    let zone =
        zone::named(["Europe/Berlin", "Asia/Tokyo", "UTC"][usize::from(next() % 3)]).expect("a zone of the database");
    if filter::matches(&filter, &object, &zone) {
        // What an index may answer beforehand holds for all that matches.
        let span = object.span();
        if let Some(window) = filter.window() {
            let inside =
                span.first.is_none_or(|first| first < window.end) && span.last.is_none_or(|last| last > window.start);
            assert!(inside, "{filter:?} {span:?}");
        }
        assert!(filter.kind().is_none_or(|kind| kind == object.kind()), "{filter:?}");
    }
    let wanted = Select {
        comp: (next().is_multiple_of(2)).then(|| comp_select(&mut next)),
        expand: (next().is_multiple_of(3)).then_some(YEAR),
        limit_recurrence_set: (next().is_multiple_of(3)).then_some(YEAR),
        limit_freebusy_set: (next().is_multiple_of(3)).then_some(YEAR),
        timezones: Some(true),
    };
    if let Ok(part) = select(&object, &wanted, &zone, Limits { instances: 500, steps: 20_000 }, 32 << 20) {
        Component::parse(&part).expect("a part is a calendar");
    }
}

const NAMES: [&str; 8] = ["VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VALARM", "VAVAILABILITY", "vevent", "*"];
const PROPERTIES: [&str; 8] = ["SUMMARY", "DTSTART", "CATEGORIES", "ATTENDEE", "TRIGGER", "RDATE", "COMPLETED", "x-a"];

fn comp_filter(next: &mut dyn FnMut() -> u8, depth: usize) -> CompFilter {
    let what = next();
    CompFilter {
        name: NAMES[usize::from(next() % 8)].to_owned(),
        is_not_defined: what % 11 == 10,
        test: if what & 1 == 0 { Test::All } else { Test::Any },
        time_range: (what & 2 == 0).then(|| window(next)),
        props: (0..next() % 3).map(|_| prop_filter(next)).collect(),
        comps: if depth < 2 && what & 4 == 0 { vec![comp_filter(next, depth + 1)] } else { Vec::new() },
    }
}

fn prop_filter(next: &mut dyn FnMut() -> u8) -> PropFilter {
    let what = next();
    PropFilter {
        name: PROPERTIES[usize::from(next() % 8)].to_owned(),
        is_not_defined: what % 11 == 10,
        test: if what & 1 == 0 { Test::All } else { Test::Any },
        time_range: (what & 2 == 0).then(|| window(next)),
        text: (what & 4 == 0).then(|| text_match(next)),
        params: (0..next() % 2)
            .map(|_| ParamFilter { name: "cn".to_owned(), is_not_defined: what & 8 == 0, text: Some(text_match(next)) })
            .collect(),
    }
}

fn text_match(next: &mut dyn FnMut() -> u8) -> TextMatch {
    let places = [MatchType::Contains, MatchType::Equals, MatchType::StartsWith, MatchType::EndsWith];
    let text: String = (0..next() % 4).map(|_| char::from(next())).collect();
    TextMatch {
        text: text.into(),
        match_type: places[usize::from(next() % 4)],
        negate: next().is_multiple_of(2),
        ..TextMatch::default()
    }
}

fn window(next: &mut dyn FnMut() -> u8) -> Window {
    let start = YEAR.start.plus(i64::from(next()) * 86_400);
    Window { start, end: start.plus(1 + i64::from(next()) * 40_000) }
}

fn comp_select(next: &mut dyn FnMut() -> u8) -> CompSelect {
    let names = |next: &mut dyn FnMut() -> u8| {
        let one =
            PropSelect { name: PROPERTIES[usize::from(next() % 8)].to_owned(), novalue: next().is_multiple_of(2) };
        (next().is_multiple_of(2)).then_some(vec![one])
    };
    let inner = CompSelect { name: NAMES[usize::from(next() % 8)].to_owned(), props: names(next), comps: None };
    CompSelect {
        name: "VCALENDAR".to_owned(),
        props: names(next),
        comps: (next().is_multiple_of(2)).then_some(vec![inner]),
    }
}

/// Any octets as jCal, and any text as an object that goes there and back.
pub fn json(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    if let Ok(tree) = jcal::parse(&text) {
        let printed = tree.print();
        let again = Component::parse(&printed).expect("what jCal said is calendar data");
        jcal::parse(&jcal::print(&again)).expect("what we print is jCal");
    }
    if let Ok(tree) = Component::parse(&text) {
        // The first way may change how it is written (Unicode's own line ends in a text), the second nothing.
        let back = jcal::parse(&jcal::print(&tree)).expect("what we print is jCal");
        let there = jcal::print(&back);
        assert_eq!(jcal::print(&jcal::parse(&there).expect("what we print is jCal")), there);
    }
}

/// Two objects, parted by a line of `---`: what differs, and a merge with each as the base.
pub fn changes(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    let Some((a, b)) = text.split_once("---\n") else { return };
    let (Ok(a), Ok(b)) = (Object::parse(a), Object::parse(b)) else { return };
    assert!(change::between(&a, &a).is_empty());
    let _ = change::between(&a, &b);
    if a.uid() == b.uid() && a.kind() == b.kind() {
        if let Ok(merged) = change::merge(&a, &b, &a, Winner::Theirs) {
            assert!(merged.conflicts.is_empty(), "{:?}", merged.conflicts);
        }
        if let Ok(merged) = change::merge(&a, &a, &b, Winner::Theirs) {
            assert!(merged.conflicts.is_empty(), "{:?}", merged.conflicts);
        }
        let _ = change::merge(&b, &a, &a, Winner::Ours);
    }
}

/// What holds for the times of every object.
fn use_object(object: &Object) {
    let limits = Limits { instances: 2_000, steps: 20_000 };
    let span = object.span();
    for window in [YEAR, Window::ALL] {
        let Ok(found) = recur::instances(object, window, &TimeZone::UTC, limits) else { continue };
        assert!(found.len() <= limits.instances);
        assert!(found.is_sorted_by_key(|i| i.start));
        for instance in found {
            assert!(instance.start <= instance.end);
            let inside =
                instance.end > window.start || instance.start == instance.end && instance.start >= window.start;
            assert!(instance.start < window.end && inside, "{instance:?}");
            assert!(span.first.is_none_or(|first| first <= instance.start), "{span:?} {instance:?}");
            assert!(span.last.is_none_or(|last| last >= instance.end), "{span:?} {instance:?}");
        }
    }
    let index = recur::index(object, YEAR, &[], 500);
    assert!(index.entries.len() <= 500 && (!index.dense || index.entries.is_empty()));
}
