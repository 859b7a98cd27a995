//! What must hold for any octets. `cargo test` runs these over the corpus and over damaged copies of it
//! (tests/it/ical_fuzz.rs); `make fuzz T=NAME` lets libFuzzer look for more.

use calgate::ical::recur::{self, Limits};
use calgate::ical::{Component, Instant, Object, Reading, Window, object, zone};
use jiff::tz::TimeZone;

pub const TARGETS: [(&str, fn(&[u8])); 3] = [("text", text), ("rules", rules), ("zones", zones)];

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
