//! Calendar data: objects of real shape with their instances beside them, and properties that hold for all texts.

use std::fs;
use std::path::{Path, PathBuf};

use calgate::busy;
use calgate::ical::recur::{self, Busy, Limits, instances};
use calgate::ical::{Component, Instant, Object, Property, Reading, Window, object, zone};
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use proptest::prelude::*;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/ical")
}

/// `20260105T090000Z` as an instant.
fn instant(text: &str) -> Instant {
    let at = civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).unwrap_or_else(|e| panic!("{text}: {e}"));
    Instant(TimeZone::UTC.to_timestamp(at).unwrap().as_second())
}

fn utc(at: Instant) -> String {
    Timestamp::from_second(at.0).unwrap().strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// One line an instance: start, end, what the reader must know, title. Or why there are none.
fn listed(object: &Object, window: Window, zone: &TimeZone) -> String {
    match instances(object, window, zone, Limits::default()) {
        Err(e) => format!("{e:?}\n"),
        Ok(found) => found
            .iter()
            .map(|i| {
                let day = if i.all_day { " all-day" } else { "" };
                let id = i.recurrence_id.map(|id| format!(" of {}", utc(id))).unwrap_or_default();
                let title = i.component.property("SUMMARY").map(Property::text).unwrap_or_default();
                format!("{} {}{day}{id} | {title}\n", utc(i.start), utc(i.end))
            })
            .collect(),
    }
}

/// `NAME.expect` beside `NAME.ics`: lines `window FROM TO ZONE`, each with the instances under it, and the span.
/// `UPDATE=1 cargo test` writes them again.
#[test]
fn objects_have_the_instances_beside_them() {
    let mut seen = 0;
    for entry in fs::read_dir(fixtures()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "ics") {
            continue;
        }
        seen += 1;
        let octets = fs::read(&path).unwrap();
        let object = Object::read_octets(&octets, Reading::Tolerant);
        let object = object.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let expect = fs::read_to_string(path.with_extension("expect")).unwrap();
        let mut got = String::new();
        for line in expect.lines().filter(|l| l.starts_with("window ")) {
            let [_, from, to, name] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let window = Window::new(instant(from), instant(to)).unwrap();
            let zone = zone::named(name).unwrap();
            got += &format!("{line}\n{}", listed(&object, window, &zone));
        }
        let span = object.span();
        let side = |at: Option<Instant>| at.map_or("open".to_owned(), utc);
        got += &format!("span {} {}\n", side(span.first), side(span.last));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(path.with_extension("expect"), &got).unwrap();
        } else {
            assert_eq!(got, expect, "{}", path.display());
        }
        // What is printed again is read the same.
        let again = Component::parse(&object.calendar().print()).unwrap();
        assert_eq!(&again, object.calendar(), "{}", path.display());
    }
    assert!(seen >= 300);
}

/// The same, with nothing of the text it came from.
fn anew(component: &Component) -> Component {
    let lines = component.properties.iter().map(|p| p.renamed(p.name()));
    Component::new(component.name()).with(lines).with_components(component.components.iter().map(anew))
}

/// What good clients make of damaged texts: `NAME.expect` has the instances, or `refused`, which stands as well for what
/// is kept and told as one that can not be followed. Where we do less, [`REFUSED`] says why.
#[test]
fn damaged_texts_mean_what_good_clients_make_of_them() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for entry in fs::read_dir(fixtures().join("damaged")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "ics") {
            continue;
        }
        seen += 1;
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let expect = fs::read_to_string(path.with_extension("expect")).unwrap();
        let octets = fs::read(&path).unwrap();
        let got = meaning(&octets, &expect);
        let strict = Object::read_octets(&octets, Reading::Strict);
        let kept = REFUSED.iter().any(|(known, _)| *known == name);
        if (got == expect.trim_end()) == kept || strict.is_ok() {
            wrong.push(format!(
                "{name}\n  expected {expect}\n  got {got}\n  strict {:?}",
                strict.map(|o| o.text().len())
            ));
        }
    }
    assert!(seen > 80);
    assert!(wrong.is_empty(), "{} of {seen}\n{}", wrong.len(), wrong.join("\n"));
}

/// Where good clients read on and we do not, with the reason.
const REFUSED: [(&str, &str); 6] = [
    ("dtend-before-dtstart", "what time it takes is not known, and what is not known is never free"),
    ("dtend-before-dtstart-all-day", "the same"),
    ("duration-in-words", "the same"),
    ("quoted-printable-soft-breaks", "vCalendar 1.0 is another format; its texts are shown as they are"),
    ("begin-without-a-name", "what stands between BEGIN and END without a name may be a part of anything"),
    ("uid-of-the-override-differs", "an object is refused; an import, which is asked here as well, makes two of it"),
];

/// The instances of what is read, by themselves or as a file that is imported.
fn meaning(octets: &[u8], expect: &str) -> String {
    let objects = match Object::read_octets(octets, Reading::Tolerant) {
        Ok(object) => vec![object],
        Err(_) => {
            let parts = object::split(&String::from_utf8_lossy(octets));
            parts.map(|parts| parts.objects.into_iter().flatten().collect()).unwrap_or_default()
        }
    };
    let mut got = String::new();
    for line in expect.lines().filter(|l| l.starts_with("window ")) {
        let [_, from, to, name] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let window = Window::new(instant(from), instant(to)).unwrap();
        let zone = zone::named(name).unwrap();
        let mut lines: Vec<String> = objects
            .iter()
            .flat_map(|o| listed(o, window, &zone).lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        lines.sort();
        got += &format!("{line}\n{}\n", lines.join("\n"));
    }
    let followed =
        |o: &Object| instances(o, Window::ALL, &TimeZone::UTC, Limits::default()).is_ok_and(|f| !f.is_empty());
    if got.is_empty() && !objects.iter().any(followed) {
        return "refused".to_owned();
    }
    got.trim_end().to_owned()
}

/// A rule of what people and programs write, for a DTSTART at 09:00 on a day of 2025.
fn rule() -> impl Strategy<Value = String> {
    let freq = prop_oneof![
        Just("DAILY".to_owned()),
        Just("WEEKLY".to_owned()),
        Just("WEEKLY;BYDAY=MO,WE,SU".to_owned()),
        Just("WEEKLY;WKST=SU;BYDAY=TU,SA".to_owned()),
        Just("MONTHLY".to_owned()),
        Just("MONTHLY;BYDAY=-1FR,2MO".to_owned()),
        Just("MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1,1".to_owned()),
        Just("MONTHLY;BYMONTHDAY=-1,13;BYHOUR=8,20".to_owned()),
        Just("YEARLY;BYMONTH=2;BYMONTHDAY=29".to_owned()),
        Just("YEARLY;BYWEEKNO=1,53;BYDAY=MO".to_owned()),
        Just("YEARLY;BYDAY=20MO,-53TH".to_owned()),
        Just("HOURLY;BYHOUR=9,10;BYMINUTE=0,30".to_owned()),
        Just("HOURLY;BYDAY=SU;BYHOUR=3;BYMINUTE=15".to_owned()),
    ];
    let end = prop_oneof![
        Just(String::new()),
        (1..80u32).prop_map(|n| format!(";COUNT={n}")),
        (1..28u32, 1..12u32).prop_map(|(d, m)| format!(";UNTIL=2026{m:02}{d:02}T120000Z")),
    ];
    (freq, 1..5u32, end).prop_map(|(freq, interval, end)| format!("FREQ={freq};INTERVAL={interval}{end}"))
}

fn text_of_value() -> impl Strategy<Value = String> {
    "[ -~äß€𝄞\t]{0,120}"
}

fn component(depth: u32) -> BoxedStrategy<Component> {
    let params = prop::collection::vec(("[A-Z][A-Z-]{0,8}", prop::collection::vec("[ -~ä\n]{0,20}", 1..3)), 0..3);
    let name = "[A-Z][A-Z0-9-]{0,10}".prop_filter("a line of its own", |n| n != "BEGIN" && n != "END");
    let property = (name, params, text_of_value()).prop_map(|(name, params, value)| {
        params.into_iter().fold(Property::new(&name, value), |p: Property, (name, values): (String, Vec<String>)| {
            p.with_values(&name, values.iter().map(String::as_str))
        })
    });
    let properties = prop::collection::vec(property, 0..6);
    let components = match depth {
        0 => Just(Vec::new()).boxed(),
        _ => prop::collection::vec(component(depth - 1), 0..3).boxed(),
    };
    ("V[A-Z]{1,9}", properties, components)
        .prop_map(|(name, properties, components)| Component::new(&name).with(properties).with_components(components))
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_is_read_the_same(inner in component(2)) {
        let tree = Component::new("VCALENDAR").with(inner.properties).with_components(inner.components);
        let text = tree.print();
        prop_assert!(text.split("\r\n").all(|line| line.len() <= 75));
        let again = Component::parse(&text).unwrap();
        prop_assert_eq!(&again, &tree);
        prop_assert_eq!(again.print(), text);
    }

    /// Wherever a window begins, it holds what a walk from DTSTART finds there.
    #[test]
    fn a_window_holds_what_a_walk_from_the_start_finds(
        rule in rule(),
        day in 1..366u32,
        from in 0..700i64,
        length in 1..90i64,
        zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    ) {
        let start = civil::date(2025, 1, 1).saturating_add(jiff::Span::new().days(day)).strftime("%Y%m%dT090000");
        let object = Object::parse(&format!(
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nDTSTART;TZID={zone}:{start}\nDURATION:PT90M\nRRULE:{rule}\n\
             END:VEVENT\nEND:VCALENDAR\n"
        ))
        .unwrap();
        let begin = instant("20250101T000000Z");
        let window = Window { start: begin.plus(from * 86_400), end: begin.plus((from + length) * 86_400) };
        let whole = Window { start: begin, end: window.end };
        let limits = Limits { instances: 100_000, steps: 1_000_000 };
        let times = |w: Window| -> Vec<(Instant, Instant)> {
            instances(&object, w, &TimeZone::UTC, limits).unwrap().iter().map(|i| (i.start, i.end)).collect()
        };
        let expect: Vec<_> = times(whole).into_iter().filter(|(s, e)| *s < window.end && *e > window.start).collect();
        let got = times(window);
        prop_assert_eq!(&got, &expect);
        // The span holds all of it, and so does the index.
        let span = object.span();
        prop_assert!(got.iter().all(|(s, e)| span.first.is_none_or(|f| f <= *s) && span.last.is_none_or(|l| l >= *e)));
        let index = recur::index(&object, window, &[], 5_000);
        prop_assert!(!index.dense);
        prop_assert_eq!(index.entries.iter().map(|e| (Instant(e.start), Instant(e.end))).collect::<Vec<_>>(), got);
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,400}", octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Object::parse(&text);
        let _ = object::split(&text);
        let _ = Object::read_octets(&octets, Reading::Tolerant);
        let _ = zone::named(&text);
        let _ = zone::of_calendar_text(&text);
    }

    /// Lines that look right, with anything as their values.
    #[test]
    fn no_value_makes_it_panic(
        start in "[0-9TZ]{0,17}|20260105T090000",
        zone in "[ -~]{0,20}|Europe/Berlin",
        rule in "(FREQ=(YEARLY|MONTHLY|WEEKLY|DAILY|HOURLY|MINUTELY|SECONDLY))?(;(BYDAY|BYMONTH|BYSETPOS|BYHOUR|BYWEEKNO|BYYEARDAY|BYMONTHDAY|COUNT|INTERVAL|UNTIL|WKST)=[-0-9MOTUZ,]{0,9}){0,4}",
        length in "-?P?[0-9]{0,12}[WD]?T?[0-9]{0,3}[HMS]?|PT1H",
        other in "[0-9TZ,/]{0,40}",
    ) {
        let text = format!(
            "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:{zone}\nBEGIN:STANDARD\nDTSTART:{start}\nTZOFFSETFROM:+0100\n\
             TZOFFSETTO:-0{other:.3}0\nRRULE:{rule}\nEND:STANDARD\nEND:VTIMEZONE\nBEGIN:VEVENT\nUID:1\n\
             DTSTART;TZID=\"{zone}\":{start}\nDURATION:{length}\nRRULE:{rule}\nRDATE:{other}\nEXDATE:{other}\n\
             END:VEVENT\nEND:VCALENDAR\n"
        );
        if let Ok(object) = Object::parse(&text) {
            let year = Window { start: instant("20260101T000000Z"), end: instant("20270101T000000Z") };
            for window in [year, Window::ALL] {
                let _ = instances(&object, window, &TimeZone::UTC, Limits { instances: 1_000, steps: 10_000 });
            }
            let _ = recur::index(&object, year, &[], 100);
            let _ = object.span();
        }
    }
}

#[test]
fn a_file_of_many_is_split() {
    let mut file = String::from("BEGIN:VCALENDAR\nVERSION:2.0\nMETHOD:PUBLISH\n");
    for zone in ["Z1", "Z2"] {
        file += &format!("BEGIN:VTIMEZONE\nTZID:{zone}\nEND:VTIMEZONE\n");
    }
    file += "BEGIN:VEVENT\nUID:a\nDTSTART;TZID=Z1:20260101T000000\nEND:VEVENT\n";
    file += "BEGIN:VEVENT\nUID:b\nDTSTART:20260101T000000Z\nEND:VEVENT\n";
    file += "BEGIN:VEVENT\nUID:a\nRECURRENCE-ID;TZID=Z2:20260101T000000\nDTSTART:20260101T000000Z\nEND:VEVENT\n";
    file += "BEGIN:VEVENT\nUID:c\nEND:VEVENT\nEND:VCALENDAR\n";
    let told: Vec<String> = object::split(&file)
        .unwrap()
        .objects
        .iter()
        .map(|o| match o {
            Ok(o) => {
                let zones = o.calendar().components.iter().filter(|c| c.name() == "VTIMEZONE");
                let zones: Vec<_> = zones.filter_map(|z| z.value("TZID")).collect();
                format!("{} {} {}", o.uid(), o.components().count(), zones.join(","))
            }
            Err(e) => e.to_string(),
        })
        .collect();
    assert_eq!(told, ["a 2 Z1,Z2", "b 1 ", "line 23: this VEVENT has no DTSTART; give it one"]);
}

fn fixed_zone(name: &str, offset: &str) -> String {
    format!(
        "BEGIN:VTIMEZONE\nTZID:{name}\nBEGIN:STANDARD\nDTSTART:16010101T000000\nTZOFFSETFROM:{offset}\n\
         TZOFFSETTO:{offset}\nEND:STANDARD\nEND:VTIMEZONE\n"
    )
}

/// What is too much for one object only is told by the line of the file that it begins on.
#[test]
fn what_is_too_big_for_an_object_is_told_by_its_line_of_the_file() {
    let alarms = "BEGIN:VALARM\nEND:VALARM\n".repeat(100);
    let event = |n: usize| {
        format!(
            "BEGIN:VEVENT\nUID:b\nRECURRENCE-ID:202601{n:02}T000000Z\nDTSTART:20260101T000000Z\n{alarms}END:VEVENT\n"
        )
    };
    let first = "BEGIN:VEVENT\nUID:a\nDTSTART:20260101T000000Z\nEND:VEVENT\n";
    // The instances of two months.
    let more: String = (1..=28).map(|n| event(n) + &event(n).replace("202601", "202602")).collect();
    let parts = object::split(&format!("BEGIN:VCALENDAR\n{first}{more}END:VCALENDAR\n")).unwrap();
    assert!(parts.objects[0].is_ok());
    let refused = parts.objects[1].as_ref().unwrap_err();
    assert!(refused.line == 6 && refused.reason.contains("5000 components"), "{refused}");
}

/// Each calendar of a file means its own zones by their names.
#[test]
fn zones_of_a_file_stay_with_their_calendar() {
    let calendar = |inside: String| format!("BEGIN:VCALENDAR\nVERSION:2.0\n{inside}END:VCALENDAR\n");
    let event = |uid: &str, more: &str| {
        format!("BEGIN:VEVENT\nUID:{uid}\nDTSTART;TZID=Customized:20260601T100000\n{more}END:VEVENT\n")
    };
    let again = "RECURRENCE-ID:20260601T070000Z\n";
    let file = [
        calendar(fixed_zone("Customized", "+0342") + &event("a", "") + &event("d", "") + &event("e", "")),
        calendar(fixed_zone("Customized", "+0442") + &event("b", "") + &event("d", again)),
        calendar(event("c", "")),
        calendar(fixed_zone("Customized", "+0342") + &event("e", again)),
    ]
    .concat();
    let parts = object::split(&file).unwrap();
    let told: Vec<String> = parts
        .objects
        .iter()
        .map(|object| match object {
            Ok(object) => {
                format!("{} {}", object.uid(), object.calendar().components[0].components[0].properties[1].value())
            }
            Err(e) => e.to_string(),
        })
        .collect();
    // What nobody could tell is said, and not guessed.
    let line = 1 + file.lines().position(|l| l == again.trim()).unwrap() - 3;
    let two = format!("line {line}: Customized is another zone here than in the calendar before; rename one");
    assert_eq!(told, ["a +0342", two.as_str(), "e +0342", "b +0442", "c +0342"]);
}

#[test]
fn what_a_maker_adds_stays_with_the_only_object_beside_it() {
    let own = "BEGIN:X-OURS\nX-A:1\nEND:X-OURS\n";
    let event = |uid: &str| format!("BEGIN:VEVENT\nUID:{uid}\nDTSTART:20260101T000000Z\nEND:VEVENT\n");
    let file = format!(
        "BEGIN:VCALENDAR\n{own}{}END:VCALENDAR\nBEGIN:VCALENDAR\n{}{}{own}END:VCALENDAR\n",
        event("a"),
        event("b"),
        event("c")
    );
    let parts = object::split(&file).unwrap();
    let has: Vec<bool> = parts.objects.iter().map(|o| o.as_ref().unwrap().text().contains(own)).collect();
    assert_eq!(has, [true, false, false]);
}

/// What a small file would be many times over is refused by a limit that is named, and errors cost one walk.
#[test]
fn a_file_is_split_in_bounds() {
    let events = |count: usize, zone: &str| -> String {
        (0..count)
            .map(|n| format!("BEGIN:VEVENT\nUID:{n}\nDTSTART;TZID={zone}:20260101T000000\nEND:VEVENT\n"))
            .collect()
    };
    let properties = format!("BEGIN:VCALENDAR\n{}{}END:VCALENDAR\n", "A:\n".repeat(9_000), events(2_000, "UTC"));
    let dates = format!("RDATE:{}20260101T000000\n", "20260101T000000,".repeat(2_000));
    let zone = fixed_zone("Big", "+0342").replace("END:STANDARD", &format!("{dates}END:STANDARD"));
    let zones = format!("BEGIN:VCALENDAR\n{zone}{}END:VCALENDAR\n", events(2_000, "Big"));
    for file in [properties, zones] {
        let most = object::MIN_ROOM + object::MAX_GROWTH * file.len();
        let refused = object::split(&file).unwrap_err().to_string();
        assert!(refused.contains(&format!("more than {most} octets")), "{refused}");
    }
    // As full as honest files are.
    let zone = fixed_zone("Full", "+0342")
        .replace("END:STANDARD", &format!("{}END:STANDARD", &dates[..2_006].replace(",\n", "\n")));
    let honest = format!("BEGIN:VCALENDAR\n{zone}{}END:VCALENDAR\n", events(1_000, "Full"));
    assert_eq!(object::split(&honest).unwrap().objects.iter().filter(|o| o.is_ok()).count(), 1_000);
    // 2 MB of events that are none; and as many of one UID, of which one stays.
    let count = 40_000;
    let none = format!("BEGIN:VCALENDAR\n{}END:VCALENDAR\n", events(count, "UTC").replace("DTSTART", "X-START"));
    let began = std::time::Instant::now();
    let parts = object::split(&none).unwrap();
    let lines = |nth: usize| parts.objects[nth].as_ref().unwrap_err().line;
    assert_eq!((lines(0), lines(count - 1)), (2, 2 + 4 * (count - 1)));
    let one = none
        .replace("X-START", "DTSTART")
        .split_inclusive('\n')
        .map(|l| if l.starts_with("UID") { "UID:1\n" } else { l })
        .collect::<String>();
    assert_eq!(object::split(&one).unwrap().objects.len(), 1);
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

/// What is meant to cost much ends soon, in debug builds too.
#[test]
fn hostile_objects_end_soon() {
    let rules = [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31",
        "FREQ=DAILY;INTERVAL=10000;BYMONTH=2;BYMONTHDAY=30;COUNT=100000",
        "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MINUTELY;BYMONTH=2;BYYEARDAY=200;BYSETPOS=5",
        "FREQ=SECONDLY",
        "FREQ=SECONDLY;COUNT=100000",
        "FREQ=SECONDLY;BYHOUR=3;BYMINUTE=3;BYSECOND=1;COUNT=100000",
        "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23;\
         BYMINUTE=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29;BYSETPOS=-1",
    ];
    let began = std::time::Instant::now();
    for rule in rules {
        for start in ["19000101T000000", "20260101T000000", "00010101T000000", "99990101T000000"] {
            let text = format!(
                "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nDTSTART:{start}\nRRULE:{rule}\nEND:VEVENT\nEND:VCALENDAR\n"
            );
            let object = Object::parse(&text).unwrap();
            let _ = object.span();
            let _ = instances(&object, Window::ALL, &TimeZone::UTC, Limits::default());
        }
    }
    let each = began.elapsed() / (rules.len() * 4) as u32;
    assert!(each.as_millis() < 1_000, "{each:?} for one");
}

/// A zone of 300 observances that 9,000 lines name, and 2,000 zones that are named once each.
#[test]
fn hostile_zones_end_soon() {
    let observance = "BEGIN:STANDARD\nDTSTART:16010101T000000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\n\
        RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30\nEND:STANDARD\n";
    let zone = |name: &str, n: usize| format!("BEGIN:VTIMEZONE\nTZID:{name}\n{}END:VTIMEZONE\n", observance.repeat(n));
    let event = |lines: &str| {
        format!("BEGIN:VEVENT\nUID:1\nDTSTART;TZID=Z0:20260105T090000\nRRULE:FREQ=DAILY\n{lines}END:VEVENT\n")
    };
    let one = zone("Z0", 300) + &event(&"EXDATE;TZID=Z0:20260106T090000\n".repeat(9_000));
    let many: String = (0..2_000).map(|n| zone(&format!("Z{n}"), 1)).collect();
    let dates: String = (0..2_000).map(|n| format!("RDATE;TZID=Z{n}:20260106T090000\n")).collect();
    for inside in [one, many + &event(&dates)] {
        let began = std::time::Instant::now();
        let object = Object::parse(&format!("BEGIN:VCALENDAR\n{inside}END:VCALENDAR\n")).unwrap();
        let year = Window { start: instant("20260101T000000Z"), end: instant("20270101T000000Z") };
        let _ = instances(&object, year, &TimeZone::UTC, Limits::default());
        assert!(began.elapsed().as_millis() < 2_000, "{:?}", began.elapsed());
    }
}

/// The components and property names of a text as another program's parser sees them, and as ours does.
#[test]
fn another_reader_sees_the_same() {
    use icalendar::parser::{Component as Theirs, read_calendar, unfold};

    fn theirs(component: &Theirs<'_>) -> String {
        let names = component.properties.iter().map(|p| p.name.as_str().to_uppercase()).collect::<Vec<_>>();
        let inner = component.components.iter().map(theirs).collect::<String>();
        format!("{}({})[{inner}]", component.name.as_str().to_uppercase(), names.join(" "))
    }
    fn ours(component: &Component) -> String {
        let names = component.properties.iter().map(|p| p.name()).collect::<Vec<_>>();
        let inner = component.components.iter().map(ours).collect::<String>();
        format!("{}({})[{inner}]", component.name(), names.join(" "))
    }

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let (mut read, mut refused) = (0, Vec::new());
    for folder in ["ical", "ical/demo", "feed"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if !path.extension().is_some_and(|e| e == "ics" || e == "ifb") {
                continue;
            }
            let octets = fs::read(&path).unwrap();
            let Ok(component) = Component::parse(&String::from_utf8_lossy(&octets)) else { continue };
            // What we print anew is what it has to read: it wants CRLF and upper case, and so do the RFC and our answers.
            let printed = anew(&component).print();
            let unfolded = unfold(&printed);
            match read_calendar(&unfolded) {
                Ok(calendar) => {
                    let names = calendar.properties.iter().map(|p| p.name.as_str().to_uppercase()).collect::<Vec<_>>();
                    let inner = calendar.components.iter().map(theirs).collect::<String>();
                    let seen = format!("VCALENDAR({})[{inner}]", names.join(" "));
                    assert_eq!(ours(&component), seen, "{}", path.display());
                    read += 1;
                }
                Err(_) => refused.push(path),
            }
        }
    }
    let window = |start: i64| Window::new(Instant(start), Instant(start + 3600)).unwrap();
    let periods = [(0, Busy::Busy), (7200, Busy::Tentative), (14_400, Busy::Unavailable)];
    let periods = periods.map(|(start, kind)| busy::Period { window: window(start), kind }).to_vec();
    let answer = busy::Answer { periods, unknown: Vec::new() };
    let text = busy::to_ical(&answer, window(0), Some("anna@example.com"), Instant(0), "x@calgate", Some("PUBLISH"));
    let unfolded = unfold(&text);
    let calendar = read_calendar(&unfolded).unwrap();
    let lines = calendar.components[0].properties.iter().filter(|p| p.name == "FREEBUSY");
    let lines = lines.map(|p| format!("{} {}", p.params[0].val.as_ref().unwrap(), p.val)).collect::<Vec<_>>();
    assert_eq!(
        lines,
        [
            "BUSY 19700101T000000Z/19700101T010000Z",
            "BUSY-TENTATIVE 19700101T020000Z/19700101T030000Z",
            "BUSY-UNAVAILABLE 19700101T040000Z/19700101T050000Z",
        ]
    );
    // It refuses some that are right (parameters with a quoted comma in a list, for one).
    assert!(read >= 30 && refused.len() <= 3, "{read} read, refused: {refused:?}");
}
