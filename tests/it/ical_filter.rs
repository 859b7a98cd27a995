//! calendar-query and calendar-data: every example of RFC 4791 7.8 on objects of the same structure, and random objects
//! and filters against a slow evaluator that shares nothing with the one they are for.

mod brute;
mod random;
mod tables;

use std::fs;
use std::path::{Path, PathBuf};

use calgate::config;
use calgate::dav::request::{self, Report};
use calgate::ical::recur::Limits;
use calgate::ical::select::select;
use calgate::ical::{Object, filter};
use jiff::tz::TimeZone;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/ical/filter")
}

/// The objects that the examples ask, by name: as in appendix B of RFC 4791, and a VAVAILABILITY.
fn work() -> Vec<(String, Object)> {
    let mut found: Vec<_> = fs::read_dir(fixtures().join("work"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, Object::parse(&fs::read_to_string(path).unwrap()).unwrap())
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// A file is `#` and what it shows, the body of a calendar-query, and behind `---` what matches: names, each with the
/// calendar data below it, if that was asked for. `UPDATE=1 cargo test` writes what matches into the files.
fn example(name: &str) {
    let path = fixtures().join(name);
    let text = fs::read_to_string(&path).unwrap();
    let (asked, expect) = text.split_once("---\n").unwrap_or((&text, ""));
    let body = asked.trim_start_matches(|c| c != '<');
    let Ok(Report::Query { want, filter, .. }) = request::report(body.as_bytes(), &config::Limits::default()) else {
        panic!("{name}")
    };
    let mut got = String::new();
    for (name, object) in work() {
        if filter::matches(&filter, &object, &TimeZone::UTC) {
            got += &format!("{name}\n");
            if body.contains("calendar-data") {
                let text = select(&object, &want.select, &TimeZone::UTC, Limits::default(), 1 << 20).unwrap();
                assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{name}");
                got += &text.replace('\r', "");
            }
        }
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, format!("{asked}---\n{got}")).unwrap();
    } else {
        assert_eq!(got, expect, "{name}");
    }
}

macro_rules! examples {
    ($($test:ident $file:literal)*) => {
        $(#[test]
        fn $test() {
            example($file);
        })*

        #[test]
        fn each_example_has_a_test() {
            let named = [$($file),*];
            let entries = fs::read_dir(fixtures()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
            let files: Vec<_> = entries.filter(|name| name.ends_with(".txt")).collect();
            assert!(files.iter().all(|file| named.contains(&file.as_str())), "{files:?}");
        }
    };
}

examples! {
    example_7_8_1_partial_retrieval_of_events "7.8.1-partial-retrieval-of-events.txt"
    example_7_8_2_limited_recurrence_set "7.8.2-limited-recurrence-set.txt"
    example_7_8_3_expanded "7.8.3-expanded.txt"
    example_7_8_4_limited_free_busy_set "7.8.4-limited-free-busy-set.txt"
    example_7_8_5_to_dos_by_alarm "7.8.5-to-dos-by-alarm.txt"
    example_7_8_6_event_by_uid "7.8.6-event-by-uid.txt"
    example_7_8_7_events_by_partstat "7.8.7-events-by-partstat.txt"
    example_7_8_8_events_only "7.8.8-events-only.txt"
    example_7_8_9_pending_to_dos "7.8.9-pending-to-dos.txt"
    example_7_8_10_property_of_a_maker "7.8.10-property-of-a-maker.txt"
    availability_is_expanded "7953-7.2.2-availability.txt"
    any_of_several_components "extended-any-of.txt"
    a_component_of_any_name "extended-any-name.txt"
}
