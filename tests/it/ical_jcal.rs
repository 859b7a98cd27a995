//! jCal (RFC 7265): what each kind of line is in JSON and back, the corpus both ways, and JSON that means harm.
//!
//! `JCAL=FOLDER cargo test --test it ical_jcal` writes the jCal of the corpus, for tests/oracle/jcal.mjs to compare,
//! and `CORPUS=FOLDER` takes another corpus.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use calgate::ical::{Component, Object, Property, Reading, jcal};
use proptest::prelude::*;

/// A VCALENDAR around a line.
fn around(line: &str) -> Component {
    let text = format!("BEGIN:VCALENDAR\r\n{line}\r\nEND:VCALENDAR\r\n");
    Component::parse(&text).unwrap_or_else(|e| panic!("{line}: {e}"))
}

/// The only property of a VCALENDAR in JSON.
fn json_of(calendar: &Component) -> String {
    let json = jcal::print(calendar);
    let inner = json.strip_prefix(r#"["vcalendar",["#).and_then(|rest| rest.strip_suffix(r#"],[]]"#));
    inner.unwrap_or_else(|| panic!("{json}")).to_owned()
}

fn line_of(calendar: &Component) -> String {
    let printed = calendar.print().replace("\r\n ", "");
    printed.lines().nth(1).unwrap_or_default().to_owned()
}

/// Reads one property in JSON.
fn read(json: &str) -> Result<Component, String> {
    jcal::parse(&format!(r#"["vcalendar",[{json}],[]]"#)).map_err(|e| e.to_string())
}

/// The line, its JSON, and the line that comes back; the same line where that is empty.
#[track_caller]
fn check(line: &str, json: &str, back: &str) {
    assert_eq!(json_of(&around(line)), json, "{line}");
    let read = read(json).unwrap_or_else(|e| panic!("{json}: {e}"));
    assert_eq!(line_of(&read), if back.is_empty() { line } else { back }, "{json}");
}

#[test]
fn lines_are_what_rfc_7265_makes_of_them() {
    // 3.4, 3.5: names, parameters, several values, fields.
    check("SUMMARY:Meeting with Fred", r#"["summary",{},"text","Meeting with Fred"]"#, "");
    check("CATEGORIES:computers,cameras", r#"["categories",{},"text","computers","cameras"]"#, "");
    check("CATEGORIES:a\\,b\\;c,d\\\\", r#"["categories",{},"text","a,b;c","d\\"]"#, "");
    check("RESOURCES:EASEL", r#"["resources",{},"text","EASEL"]"#, "");
    check("GEO:37.386013;-122.082932", r#"["geo",{},"float",[37.386013,-122.082932]]"#, "");
    check("REQUEST-STATUS:2.0;Success", r#"["request-status",{},"text",["2.0","Success"]]"#, "");
    check(
        "REQUEST-STATUS:3.7;Invalid user;ATTENDEE:mailto:a\\;b@example.com",
        r#"["request-status",{},"text",["3.7","Invalid user","ATTENDEE:mailto:a;b@example.com"]]"#,
        "",
    );
    check("REQUEST-STATUS:2.0", r#"["request-status",{},"text","2.0"]"#, "");
    check(
        "DTSTART;TZID=America/New_York:20130214T120000",
        r#"["dtstart",{"tzid":"America/New_York"},"date-time","2013-02-14T12:00:00"]"#,
        "",
    );
    check(
        "ATTENDEE;CN=\"Doe, J\";DELEGATED-TO=\"mailto:a@x.org\",\"mailto:b@x.org\":mailto:c@x",
        r#"["attendee",{"cn":"Doe, J","delegated-to":["mailto:a@x.org","mailto:b@x.org"]},"cal-address","mailto:c@x"]"#,
        "",
    );
    check(
        "COMMENT;ALTREP=\"a^'b^n^^\":x",
        r#"["comment",{"altrep":"a\"b\n^"},"text","x"]"#,
        "COMMENT;ALTREP=a^'b^n^^:x",
    );

    // 3.6: each type.
    check(
        "ATTACH;VALUE=BINARY;ENCODING=BASE64:SGVsbG8gV29ybGQh",
        r#"["attach",{"encoding":"BASE64"},"binary","SGVsbG8gV29ybGQh"]"#,
        "",
    );
    check("X-NON-SMOKING;VALUE=BOOLEAN:TRUE", r#"["x-non-smoking",{},"boolean",true]"#, "");
    check("ORGANIZER:mailto:a@x.org", r#"["organizer",{},"cal-address","mailto:a@x.org"]"#, "");
    check("DTSTART;VALUE=DATE:20110517", r#"["dtstart",{},"date","2011-05-17"]"#, "");
    check("DTSTART:20121024T090000Z", r#"["dtstart",{},"date-time","2012-10-24T09:00:00Z"]"#, "");
    check("DTEND:20121024T235960", r#"["dtend",{},"date-time","2012-10-24T23:59:60"]"#, "");
    check("DURATION:P1D", r#"["duration",{},"duration","P1D"]"#, "");
    check("X-GRADE;VALUE=FLOAT:1.3", r#"["x-grade",{},"float",1.3]"#, "");
    check("PERCENT-COMPLETE:42", r#"["percent-complete",{},"integer",42]"#, "");
    check(
        "FREEBUSY;FBTYPE=FREE:19970308T160000Z/PT3H,19970308T200000Z/19970308T210000Z",
        concat!(
            r#"["freebusy",{"fbtype":"FREE"},"period",["1997-03-08T16:00:00Z","PT3H"],"#,
            r#"["1997-03-08T20:00:00Z","1997-03-08T21:00:00Z"]]"#
        ),
        "",
    );
    check(
        "RRULE:FREQ=YEARLY;COUNT=5;BYDAY=-1SU,2MO;BYMONTH=10",
        r#"["rrule",{},"recur",{"freq":"YEARLY","count":5,"byday":["-1SU","2MO"],"bymonth":10}]"#,
        "",
    );
    check(
        "RRULE:FREQ=MONTHLY;INTERVAL=2;BYMONTHDAY=1,15,-1;UNTIL=20131001",
        r#"["rrule",{},"recur",{"freq":"MONTHLY","interval":2,"bymonthday":[1,15,-1],"until":"2013-10-01"}]"#,
        "",
    );
    check(
        "EXRULE:FREQ=DAILY;UNTIL=20131001T080000Z;WKST=SU",
        r#"["exrule",{},"recur",{"freq":"DAILY","until":"2013-10-01T08:00:00Z","wkst":"SU"}]"#,
        "",
    );
    check(
        "RRULE:FREQ=YEARLY;RSCALE=CHINESE;SKIP=FORWARD;BYMONTH=5L,7;X-M=a,b",
        r#"["rrule",{},"recur",{"freq":"YEARLY","rscale":"CHINESE","skip":"FORWARD","bymonth":["5L",7],"x-m":"a,b"}]"#,
        "",
    );
    check("DESCRIPTION:a\\nb\\, \\\"c", r#"["description",{},"text","a\nb, \"c"]"#, "DESCRIPTION:a\\nb\\, \"c");
    check("X-TIME;VALUE=TIME:123000", r#"["x-time",{},"time","12:30:00"]"#, "");
    check("X-TIME;VALUE=TIME:123000Z", r#"["x-time",{},"time","12:30:00Z"]"#, "");
    check("URL:http://x.org/a,b;c\\d", r#"["url",{},"uri","http://x.org/a,b;c\\d"]"#, "");
    check("TZOFFSETFROM:-0500", r#"["tzoffsetfrom",{},"utc-offset","-05:00"]"#, "");
    check("TZOFFSETTO:+001736", r#"["tzoffsetto",{},"utc-offset","+00:17:36"]"#, "");

    // 5: what nobody here knows.
    check("X-COMPLAINT-DEADLINE:20110512T120000Z", r#"["x-complaint-deadline",{},"unknown","20110512T120000Z"]"#, "");
    check(
        "X-COMPLAINT-DEADLINE;VALUE=DATE-TIME:20110512T120000Z",
        r#"["x-complaint-deadline",{},"date-time","2011-05-12T12:00:00Z"]"#,
        "",
    );
    check("X-ANY:a\\,b,c\\n", r#"["x-any",{},"unknown","a\\,b,c\\n"]"#, "");
    check("X-ANY;VALUE=X-MINE;X-P=30.3:a\\,b", r#"["x-any",{"x-p":"30.3"},"x-mine","a\\,b"]"#, "");
    check("X-ANY;VALUE=TEXT:a\\,b,c", r#"["x-any",{},"text","a,b","c"]"#, "");
    check("FUTURE:x", r#"["future",{},"unknown","x"]"#, "");

    // RFC 7986, 9073, 9253: types that are always written, and new ones.
    check("CONFERENCE;VALUE=URI:tel:1", r#"["conference",{},"uri","tel:1"]"#, "");
    check("REFRESH-INTERVAL;VALUE=DURATION:PT1H", r#"["refresh-interval",{},"duration","PT1H"]"#, "");
    check("RELATED-TO;VALUE=UID:a\\,b", r#"["related-to",{},"uid","a,b"]"#, "");
    check("LINK;VALUE=XML-REFERENCE:http://x#a(b,c)", r#"["link",{},"xml-reference","http://x#a(b,c)"]"#, "");
}

#[test]
fn what_is_odd_keeps_its_meaning() {
    // Numbers.
    check("PRIORITY:+5", r#"["priority",{},"integer",5]"#, "PRIORITY:5");
    check("PRIORITY:005", r#"["priority",{},"integer",5]"#, "PRIORITY:5");
    check("PRIORITY: 5", r#"["priority",{},"integer",5]"#, "PRIORITY:5");
    check("SEQUENCE:99999999999999999999", r#"["sequence",{},"unknown","99999999999999999999"]"#, "");
    check("PRIORITY:high", r#"["priority",{},"unknown","high"]"#, "");
    check("GEO:38.90;-077.50", r#"["geo",{},"float",[38.90,-77.50]]"#, "GEO:38.90;-77.50");
    check("GEO:+.5;1.", r#"["geo",{},"float",[0.5,1]]"#, "GEO:0.5;1");
    check("GEO:3.14159265358979323846;0", r#"["geo",{},"float",[3.14159265358979323846,0]]"#, "");
    check("GEO:1e3;NaN", r#"["geo",{},"unknown","1e3;NaN"]"#, "");
    check("GEO:37.38,-122.08", r#"["geo",{},"unknown","37.38,-122.08"]"#, "");
    // Times that are not what VALUE says, or none at all.
    check("DTSTART:20260105", r#"["dtstart",{},"date","2026-01-05"]"#, "DTSTART;VALUE=DATE:20260105");
    check(
        "DTSTART;VALUE=DATE;TZID=X:20260105T090000",
        r#"["dtstart",{"tzid":"X"},"date-time","2026-01-05T09:00:00"]"#,
        "DTSTART;TZID=X:20260105T090000",
    );
    check(
        "DTSTART;VALUE=DATE-TIME:20260105t090000z",
        r#"["dtstart",{},"date-time","2026-01-05T09:00:00Z"]"#,
        "DTSTART:20260105T090000Z",
    );
    check(
        "TRIGGER:20260105T090000Z",
        r#"["trigger",{},"date-time","2026-01-05T09:00:00Z"]"#,
        "TRIGGER;VALUE=DATE-TIME:20260105T090000Z",
    );
    check(
        "TRIGGER;VALUE=DATE-TIME;RELATED=END:-PT5M",
        r#"["trigger",{"related":"END"},"duration","-PT5M"]"#,
        "TRIGGER;RELATED=END:-PT5M",
    );
    check(
        "RDATE:20260105T090000Z/PT1H",
        r#"["rdate",{},"period",["2026-01-05T09:00:00Z","PT1H"]]"#,
        "RDATE;VALUE=PERIOD:20260105T090000Z/PT1H",
    );
    for line in [
        "DTSTART:tomorrow",
        "DTSTART:20260230",
        "DTSTART:20260105T0900",
        "DTSTART:2026-01-05",
        "DTSTART:",
        "EXDATE:20260105,20260106T090000",
        "DURATION:1H",
        "FREEBUSY:20260105T090000Z",
        "FREEBUSY:20260105/20260106",
        "TZOFFSETTO:GMT+1",
        "TZOFFSETTO:+2500",
        "RRULE:",
        "RRULE:daily",
        "RRULE:FREQ=DAILY;FREQ=WEEKLY",
        "RRULE:FREQ=DAILY;UNTIL=soon",
        "X-B:yes",
    ] {
        let (name, value) = line.split_once(':').unwrap();
        check(line, &format!(r#"["{}",{{}},"unknown","{value}"]"#, name.to_lowercase()), "");
    }
    check("X-B;VALUE=BOOLEAN:yes", r#"["x-b",{},"unknown","yes"]"#, "X-B:yes");
    check("X-B;VALUE=UNKNOWN:yes", r#"["x-b",{},"unknown","yes"]"#, "X-B:yes");
    check("X-B;VALUE=\"a b\":yes", r#"["x-b",{},"unknown","yes"]"#, "X-B:yes");
    // Rules.
    check(
        "RRULE:interval=01 ; Freq=DAILY;;byday=MO, TU;",
        r#"["rrule",{},"recur",{"interval":1,"freq":"DAILY","byday":["MO","TU"]}]"#,
        "RRULE:FREQ=DAILY;INTERVAL=1;BYDAY=MO,TU",
    );
    check("RRULE:FREQ=DAILY;COUNT=", r#"["rrule",{},"recur",{"freq":"DAILY","count":""}]"#, "");
    // Parameters.
    check("X-A;P=1;Q=;P=2:", r#"["x-a",{"p":["1","2"],"q":""},"unknown",""]"#, "X-A;P=1,2;Q=:");
    check("X-A;P:", r#"["x-a",{"p":""},"unknown",""]"#, "X-A;P=:");
    // BASE64 (RFC 7265 3.2).
    check(
        "ATTACH;ENCODING=BASE64:SGVs",
        r#"["attach",{"encoding":"BASE64"},"binary","SGVs"]"#,
        "ATTACH;VALUE=BINARY;ENCODING=BASE64:SGVs",
    );
    check("DESCRIPTION;ENCODING=BASE64:w6Q7Yg==", r#"["description",{},"text","ä;b"]"#, "DESCRIPTION:ä\\;b");
    check("DESCRIPTION;ENCODING=BASE64:no", r#"["description",{"encoding":"BASE64"},"text","no"]"#, "");
    // Characters that do not show.
    check(
        "SUMMARY:a\u{2028}b\u{85}\u{feff}ä\u{1f600}\t",
        r#"["summary",{},"text","a\u2028b\u0085\ufeffä😀\t"]"#,
        "SUMMARY:a\\nb\\n\u{feff}ä\u{1f600}\t",
    );
    check("X-S:a\u{2029}b", r#"["x-s",{},"unknown","a\u2029b"]"#, "");
}

#[test]
fn json_is_read_however_it_is_written() {
    let cases = [
        (r#" [ "SUMMARY" , { "Language" : "en" } , "Text" , "\u0061\/\ud83d\ude00" ] "#, "SUMMARY;LANGUAGE=en:a/😀"),
        (r#"["percent-complete",{},"integer",4.2e1]"#, "PERCENT-COMPLETE:42"),
        (r#"["geo",{},"float",[1.5e-2,1E2]]"#, "GEO:0.015;100"),
        (
            r#"["rrule",{},"recur",{"count":3,"byday":"MO","freq":"WEEKLY","bymonth":[2]}]"#,
            "RRULE:FREQ=WEEKLY;COUNT=3;BYDAY=MO;BYMONTH=2",
        ),
        // As ical.js writes WKST.
        (r#"["rrule",{},"recur",{"freq":"WEEKLY","wkst":1}]"#, "RRULE:FREQ=WEEKLY;WKST=SU"),
        (r#"["x-a",{},"text",["a;b","c"],"d"]"#, r"X-A;VALUE=TEXT:a\;b;c,d"),
        (r#"["x-a",{},"unknown","a","b"]"#, "X-A:a,b"),
        (r#"["attach",{},"binary","SGVs"]"#, "ATTACH;VALUE=BINARY;ENCODING=BASE64:SGVs"),
        (r#"["dtstart",{"value":"PERIOD"},"date","2026-01-05"]"#, "DTSTART;VALUE=DATE:20260105"),
        (r#"["x-a",{"p":[]},"unknown",""]"#, "X-A;P:"),
        (r#"["summary",{},"unknown","a,b\\n"]"#, r"SUMMARY:a,b\n"),
    ];
    for (json, line) in cases {
        assert_eq!(read(json).map(|c| line_of(&c)).as_deref(), Ok(line), "{json}");
    }
    let calendar = r#"["vcalendar",[],[]]"#;
    assert_eq!(jcal::parse(&format!("[{calendar}]")).unwrap(), jcal::parse(calendar).unwrap());
    assert_eq!(jcal::parse_stream(&format!("[{calendar},{calendar}]")).unwrap().len(), 2);
    assert_eq!(jcal::parse_stream("[]").unwrap().len(), 0);
}

/// A whole object as RFC 7265 B.1 has it, with what stands below it.
#[test]
fn a_calendar_is_its_components() {
    let text = "BEGIN:VCALENDAR\r\nCALSCALE:GREGORIAN\r\nPRODID:-//Example Inc.//Example Calendar//EN\r\n\
        VERSION:2.0\r\n\
        BEGIN:VEVENT\r\nDTSTAMP:20080205T191224Z\r\nDTSTART;VALUE=DATE:20081006\r\nSUMMARY:Planning meeting\r\n\
        UID:4088E990AD89CB3DBB484909\r\nBEGIN:VALARM\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let json = concat!(
        r#"["vcalendar",[["calscale",{},"text","GREGORIAN"],"#,
        r#"["prodid",{},"text","-//Example Inc.//Example Calendar//EN"],["version",{},"text","2.0"]],"#,
        r#"[["vevent",[["dtstamp",{},"date-time","2008-02-05T19:12:24Z"],"#,
        r#"["dtstart",{},"date","2008-10-06"],["summary",{},"text","Planning meeting"],"#,
        r#"["uid",{},"text","4088E990AD89CB3DBB484909"]],[["valarm",[["trigger",{},"duration","-PT5M"]],[]]]]]]"#
    );
    let object = Object::parse(text).unwrap();
    assert_eq!(jcal::print(object.calendar()), json);
    assert_eq!(Object::of(&jcal::parse(json).unwrap()).unwrap().text(), text);
}

/// However big it is, harm is known before much is read of it.
#[test]
fn harmful_json_ends_soon() {
    let of_size = |octets: usize, one: &str| one.repeat(octets / one.len());
    const SIZE: usize = 8 << 20;
    let around = |property: &str| format!("[\"vcalendar\",[{property}],[]]");
    let values = of_size(SIZE / 100, "\"ab\",");
    let params: Vec<String> = (0..100).map(|n| format!("\"p{n}\":[{values}\"\"]")).collect();
    let cases = [
        of_size(SIZE, "["),
        of_size(SIZE, "[["),
        format!("[\"vcalendar\",[],{}", of_size(SIZE, "[[\"x\",[],")),
        around(&of_size(SIZE, "[\"x\",{},\"text\",\"\"],")),
        around(&format!("[\"x\",{{}},\"text\",{}", of_size(SIZE, "["))),
        around(&format!("[\"x\",{{}},\"text\",[{}1]]", of_size(SIZE, "1,"))),
        around(&format!("[\"x\",{{}},\"integer\",{}1]", of_size(SIZE, "1,"))),
        around(&format!("[\"x\",{{}},\"integer\",{}]", of_size(SIZE, "1"))),
        around(&format!("[\"x\",{{}},\"float\",1e{}]", of_size(SIZE, "9"))),
        around(&format!("[\"x\",{{}},\"text\",\"{}\"]", of_size(SIZE, "\\n"))),
        around(&format!("[\"x\",{{\"p\":[{}\"\"]}},\"text\",\"\"]", of_size(SIZE, "\"\","))),
        around(&format!("[\"x\",{{{}}},\"text\",\"\"]", params.join(","))),
        around(&format!("[\"x\",{{{}\"a\":\"\"}},\"text\",\"\"]", of_size(SIZE, "\"a\":\"\","))),
        around(&format!("[\"rrule\",{{}},\"recur\",{{{}\"a\":1}}]", of_size(SIZE, "\"a\":1,"))),
        around(&format!("[\"rrule\",{{}},\"recur\",{{\"byday\":[{}1]}}]", of_size(SIZE, "1,"))),
        format!("[\"{}\",[],[]]", of_size(SIZE, "x")),
    ];
    for json in &cases {
        let began = std::time::Instant::now();
        let refused = jcal::parse(json).map(|_| ()).unwrap_err();
        let took = began.elapsed();
        // The bound is for a machine with other work to do and a build without optimization.
        assert!(took.as_secs() < 5, "{took:?}: {:.60} {refused}", json);
        assert!(refused.to_string().len() < 300, "{refused}");
    }
}

#[test]
fn harmful_json_is_an_error_with_its_place() {
    let around = |property: &str| format!("[\"vcalendar\",\n[{property}],[]]");
    let nested = |depth: usize| {
        let inner = "[\"x\",[],[".repeat(depth - 1);
        format!("[\"vcalendar\",[],[{inner}{}]]", "]]".repeat(depth - 1))
    };
    let many = |one: &str, n: usize| vec![one; n].join(",");
    let params: Vec<String> = (0..=100).map(|n| format!("\"p{n}\":\"\"")).collect();
    let deep = "[".repeat(100_000);
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "EOF while parsing"),
        ("nonsense".to_owned(), "line 1: expected"),
        ("{}".to_owned(), "invalid type: map, expected [\"vcalendar\", properties, components] or an array of these"),
        ("[]".to_owned(), "there is no vcalendar"),
        ("[\"vevent\",[],[]]".to_owned(), "/0: a vcalendar stands at the top"),
        ("[\"vcalendar\",[]]".to_owned(), "/2: invalid length 2"),
        ("[\"vcalendar\",[],[],1]".to_owned(), "a component has three elements"),
        ("[\"vcalendar\",[],[]] x".to_owned(), "trailing characters"),
        ("[[\"vcalendar\",[],[]],[\"vcalendar\",[],[]]]".to_owned(), "/1: a second vcalendar"),
        ("[[\"vcalendar\",[],[]],\"vcalendar\"]".to_owned(), "a calendar is expected in a stream"),
        ("[\"vcalendar\",[],[[\"vcalendar\",[],[]]]]".to_owned(), "/2/0/0: a vcalendar stands at the top"),
        ("[\"vcalendar\",[],[[\"v event\",[],[]]]]".to_owned(), "/2/0/0: \"v event\" is no name of a component"),
        ("[\"vcalendar\",[],[[\"x\\r\\nEND:VCALENDAR\",[],[]]]]".to_owned(), "is no name of a component"),
        ("[\"vcalendar\",{},[]]".to_owned(), "/1: invalid type: map, expected an array of properties"),
        (nested(33), "components are nested deeper than 32"),
        (deep.clone(), "/0"),
        (around(&deep), "line 2: /1/0/0"),
        (around(&format!("[\"x\",{{}},\"text\",{deep}")), "/1/0/3: EOF"),
        (
            around(&format!("[\"x\",{{}},\"text\",{}{}]", "[".repeat(500), "]".repeat(500))),
            "/1/0/3: a string is expected",
        ),
        (around("5"), "line 2: /1/0: invalid type: integer `5`, expected a property"),
        (around("[\"summary\"]"), "/1/0/1: invalid length 1"),
        (around("[\"summary\",{},\"text\"]"), "/1/0: a property has at least one value"),
        (around("[\"summary\",[],\"text\",\"x\"]"), "/1/0/1: invalid type: sequence, expected an object of parameters"),
        (around("[\"summary\",{},5,\"x\"]"), "/1/0/2: invalid type: integer"),
        (around("[\"summary\",{},\"te xt\",\"x\"]"), "/1/0/2: \"te xt\" is no type"),
        (around("[\"begin\",{},\"text\",\"VEVENT\"]"), "/1/0/0: \"begin\" is no name of a property"),
        (around("[\"END\",{},\"text\",\"VCALENDAR\"]"), "/1/0/0: \"END\" is no name of a property"),
        (around("[\"x:y\",{},\"text\",\"\"]"), "/1/0/0: \"x:y\" is no name of a property"),
        (around("[\"\",{},\"text\",\"\"]"), "/1/0/0: \"\" is no name of a property"),
        (around("[\"x\",{\"a=b\":\"\"},\"text\",\"\"]"), "/1/0/1/a=b: \"a=b\" is no name of a parameter"),
        (
            around("[\"x\",{\"a\":5},\"text\",\"\"]"),
            "/1/0/1/a: invalid type: integer `5`, expected a string or an array",
        ),
        (around("[\"x\",{\"a\":[\"b\",[]]},\"text\",\"\"]"), "/1/0/1/a/1: invalid type: sequence"),
        (around("[\"x\",{\"a\":\"1\",\"A\":\"2\"},\"text\",\"\"]"), "/1/0/1/A: this parameter is there twice"),
        (around("[\"summary\",{},\"text\",\"a\",\"b\"]"), "/1/0/4: this property has one value"),
        (around("[\"summary\",{},\"text\",null]"), "/1/0/3: a string is expected, not null"),
        (around("[\"summary\",{},\"text\",{\"a\":1}]"), "/1/0/3: a string is expected"),
        (around("[\"summary\",{},\"text\",[\"a\"]]"), "/1/0/3: a string is expected"),
        (around("[\"summary\",{},\"text\",\"\\ud800\"]"), "/1/0/3: unexpected end of hex escape"),
        (around("[\"summary\",{},\"text\",\"\\udc00x\"]"), "/1/0/3: lone leading surrogate"),
        (around("[\"summary\",{},\"text\",\"a\u{1}\"]"), "/1/0/3: control character"),
        (around("[\"dtstart\",{},\"date\",\"20260105\"]"), "/1/0/3: \"20260105\" is no date; write 2026-01-31"),
        (around("[\"dtstart\",{},\"date\",\"2026-02-30\"]"), "/1/0/3: \"2026-02-30\" is no date"),
        (around("[\"dtstart\",{},\"date-time\",\"2026-01-05\"]"), "/1/0/3: \"2026-01-05\" is no date-time"),
        (around("[\"dtstart\",{},\"date-time\",\"2026-01-05T09:00:00+01:00\"]"), "is no date-time"),
        (around("[\"tzoffsetto\",{},\"utc-offset\",\"+0100\"]"), "is no utc-offset; write +01:00"),
        (around("[\"duration\",{},\"duration\",\"1h\"]"), "is no duration; write PT1H"),
        (around("[\"freebusy\",{},\"period\",\"2026-01-05T09:00:00Z/PT1H\"]"), "/1/0/3: a period is an array"),
        (around("[\"freebusy\",{},\"period\",[\"2026-01-05T09:00:00Z\"]]"), "a period has a start and an end"),
        (around("[\"freebusy\",{},\"period\",[\"a\",\"b\",\"c\"]]"), "more than 2 values"),
        (around("[\"priority\",{},\"integer\",\"5\"]"), "/1/0/3: a number is expected"),
        (around("[\"priority\",{},\"integer\",5.5]"), "a whole number is expected"),
        (around("[\"priority\",{},\"integer\",1e999]"), "a number is expected"),
        (around("[\"geo\",{},\"float\",[1,[2,3]]]"), "a number is expected, not [2,3]"),
        (around("[\"x\",{},\"boolean\",\"TRUE\"]"), "true or false is expected"),
        (around("[\"rrule\",{},\"recur\",\"FREQ=DAILY\"]"), "expected a rule: an object of its parts"),
        (around("[\"rrule\",{},\"recur\",{}]"), "a rule has at least FREQ"),
        (around("[\"rrule\",{},\"recur\",{\"freq\":\"DAILY;COUNT=1\"}]"), "FREQ holds what no rule part may"),
        (around("[\"rrule\",{},\"recur\",{\"freq\":\"DAILY\\r\\nX:1\"}]"), "FREQ holds what no rule part may"),
        (around("[\"rrule\",{},\"recur\",{\"freq=x;a\":\"DAILY\"}]"), "is no name of a rule part"),
        (around("[\"rrule\",{},\"recur\",{\"freq\":\"DAILY\",\"FREQ\":\"WEEKLY\"}]"), "FREQ is there twice"),
        (around("[\"rrule\",{},\"recur\",{\"wkst\":8}]"), "WKST is a day from 1 (Sunday) to 7"),
        (around("[\"rrule\",{},\"recur\",{\"count\":[[1]]}]"), "a number is expected"),
        (
            around("[\"rrule\",{},\"recur\",{\"freq\":\"DAILY\",\"until\":\"20260105\"}]"),
            "\"20260105\" is no date; write",
        ),
        (around(&many("[\"x\",{},\"text\",\"\"]", 10_001)), "/1: there are more than 10000 properties"),
        (
            around(&format!("[\"x\",{{{}}},\"text\",\"\"]", params.join(","))),
            "/1/0/1/p100: there are more than 100 parameters",
        ),
        (
            around(&format!("[\"x\",{{\"p\":[{}]}},\"text\",\"\"]", many("\"\"", 5_001))),
            "/1/0/1/p: there are more than 5000 values",
        ),
        (
            around(&format!("[\"x\",{{}},\"integer\",[{}]]", many("1", 5_001))),
            "/1/0/3: there are more than 5000 values",
        ),
        (
            around(&format!("[\"x\",{{}},\"integer\",{}]", many("1", 200_001))),
            "/1/0/200003: there are more than 200000 values",
        ),
        (
            around(&format!("[\"x\",{{}},\"text\",\"{}\"]", "a".repeat(2 << 20))),
            "the line is longer than 2097152 octets",
        ),
        (
            around(&format!("[\"x\",{{\"p\":\"{}\"}},\"text\",\"\"]", "a".repeat(2 << 20))),
            "the line is longer than 2097152 octets",
        ),
        (format!("[\"vcalendar\",[],[{}]]", many("[\"x\",[],[]]", 5_000)), "there are more than 5000 components"),
    ];
    for (json, expect) in &cases {
        let got = jcal::parse(json).map(|_| ()).unwrap_err().to_string();
        assert!(got.contains(expect), "{:.200}\n got {got}\nnot {expect}", json);
    }
    assert!(jcal::parse(&nested(32)).is_ok());
}

/// No value ends its line, and no other line of a component begins in one.
#[test]
fn no_value_becomes_lines() {
    let harm = r#"a\r\nEND:VCALENDAR\nBEGIN:VEVENT\rX:\u0000\u000b\u0085\u2028\u0007"#;
    for kind in ["text", "uri", "cal-address", "binary", "uid", "xml-reference", "unknown", "x-mine"] {
        let json = format!(r#"["x-a",{{"p":"{harm}"}},"{kind}","{harm}"]"#);
        let calendar = read(&json).unwrap_or_else(|e| panic!("{json}: {e}"));
        let text = calendar.print();
        let unfolded = text.replace("\r\n ", "");
        assert_eq!(unfolded.lines().count(), 3, "{text}");
        assert!(!text.replace("\r\n", "").contains(|c: char| c.is_ascii_control()), "{text:?}");
        assert_eq!(Component::parse(&text).unwrap(), calendar);
    }
}

pub(super) fn corpus() -> Vec<PathBuf> {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/ical");
    let mut folders = vec![std::env::var_os("CORPUS").map_or_else(own, PathBuf::from)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "ics" => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// What is left of a property when it does not matter how it is written: see the head of src/ical/jcal.rs.
fn meaning(p: &Property) -> (String, BTreeMap<String, Vec<String>>, String, Vec<String>) {
    let mut params: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for param in p.params() {
        params.entry(param.name().to_owned()).or_default().extend(param.values().map(|v| v.into_owned()));
    }
    params.values_mut().filter(|v| v.is_empty()).for_each(|v| v.push(String::new()));
    let kind = params.remove("VALUE").and_then(|v| v.first().cloned()).unwrap_or_default().to_uppercase();
    let of_times = ["DTSTART", "DTEND", "DUE", "RECURRENCE-ID", "EXDATE", "RDATE", "DTSTAMP", "CREATED", "COMPLETED"];
    let of_one_type = ["CONFERENCE", "IMAGE", "LINK", "REFRESH-INTERVAL", "SOURCE", "ATTACH", "URL", "TRIGGER"];
    let goes_without_saying = of_times.contains(&p.name()) && matches!(kind.as_str(), "DATE" | "DATE-TIME" | "PERIOD")
        || of_one_type.contains(&p.name()) && matches!(kind.as_str(), "URI" | "DURATION" | "DATE-TIME")
        || !p.name().starts_with("X-") && kind == "TEXT";
    let kind = if goes_without_saying { String::new() } else { kind };
    // A comma that is not escaped parts values only where there may be several.
    let several = ["CATEGORIES", "RESOURCES"].contains(&p.name()) || p.name().starts_with("X-") && kind == "TEXT";
    let number = |text: &str| match text.trim().parse::<i64>() {
        Ok(n) => n.to_string(),
        Err(_) => text.trim().to_owned(),
    };
    let values = match p.name() {
        "RRULE" | "EXRULE" => {
            let part = |part: &str| {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                let values: Vec<String> = value.split(',').map(number).collect();
                format!("{}={}", name.trim().to_uppercase(), values.join(","))
            };
            let mut parts: Vec<String> =
                p.value().split(';').filter(|part| !part.trim().is_empty()).map(part).collect();
            parts.sort();
            parts
        }
        name if name.starts_with("X-") && kind.is_empty() => vec![p.value().to_owned()],
        "PRIORITY" | "SEQUENCE" | "PERCENT-COMPLETE" | "REPEAT" => vec![number(p.value())],
        _ if several => {
            let marked = p.value().replace("\\\\", "\u{e000}").replace("\\,", "\u{e001}");
            let back = |v: &str| Property::new("X", v.replace('\u{e001}', "\\,").replace('\u{e000}', "\\\\")).text();
            marked.split(',').map(back).collect()
        }
        // These keep their backslashes.
        "ATTENDEE" | "ORGANIZER" | "URL" | "ATTACH" | "CONFERENCE" => vec![p.value().to_owned()],
        _ => vec![p.text().trim().replace(['\u{85}', '\u{2028}', '\u{2029}'], "\n")],
    };
    (p.name().to_owned(), params, kind, values)
}

#[track_caller]
fn assert_same(a: &Component, b: &Component, of: &str) {
    assert_eq!(a.name(), b.name(), "{of}");
    assert_eq!(a.properties.len(), b.properties.len(), "{of}");
    for (a, b) in a.properties.iter().zip(&b.properties) {
        assert_eq!(meaning(a), meaning(b), "{of}");
    }
    assert_eq!(a.components.len(), b.components.len(), "{of}");
    for (a, b) in a.components.iter().zip(&b.components) {
        assert_same(a, b, of);
    }
}

#[test]
fn the_corpus_says_the_same_both_ways() {
    let folder = std::env::var_os("JCAL").map(PathBuf::from);
    let (mut seen, mut untouched, mut lines) = (0, 0, 0);
    for path in corpus() {
        let of = path.display().to_string();
        let octets = fs::read(&path).unwrap();
        let read = match std::str::from_utf8(&octets) {
            Ok(text) => Component::parse(text),
            Err(_) => Object::read_octets(&octets, Reading::Tolerant).map(|object| object.calendar().clone()),
        };
        let calendar = match read {
            Ok(calendar) => calendar,
            // Some of what is damaged is refused.
            Err(e) => {
                assert!(of.contains("damaged"), "{of}: {e}");
                continue;
            }
        };
        seen += 1;
        let json = jcal::print(&calendar);
        let back = jcal::parse(&json).unwrap_or_else(|e| panic!("{of}: {e}"));
        assert_same(&calendar, &back, &of);
        let value = |json: &str| {
            let json = json.replace("\\u2028", "\\n").replace("\\u2029", "\\n");
            serde_json::from_str::<serde_json::Value>(&json).unwrap()
        };
        assert_eq!(value(&jcal::print(&back)), value(&json), "{of}");
        assert_eq!(Component::parse(&back.print()).unwrap(), back, "{of}");
        let all = |c: &Component| {
            let text = c.print().replace("\r\n ", "").replace("\n ", "");
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let (old, new) = (all(&calendar), all(&back));
        lines += old.len();
        untouched += old.iter().filter(|line| new.contains(line)).count();
        if let Some(folder) = &folder {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join(path.file_stem().unwrap()).with_extension("json"), &json).unwrap();
        }
    }
    assert!(seen >= 300);
    // Most lines come back as they were, letter by letter.
    assert!(untouched * 100 > lines * 90, "{untouched} of {lines}");
}

fn line() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        proptest::sample::select(vec![
            "SUMMARY",
            "CATEGORIES",
            "RESOURCES",
            "DTSTART",
            "EXDATE",
            "RDATE",
            "RRULE",
            "GEO",
            "REQUEST-STATUS",
            "ATTENDEE",
            "ATTACH",
            "TRIGGER",
            "TZOFFSETTO",
            "FREEBUSY",
            "PRIORITY",
            "URL",
            "CONFERENCE",
            "DURATION",
            "UID",
            "X-A",
            "X-B",
        ])
        .prop_map(str::to_owned),
        "X-[A-Z]{1,4}",
    ];
    let param = prop_oneof![
        proptest::sample::select(vec![
            ";VALUE=DATE",
            ";VALUE=TEXT",
            ";VALUE=X-Y",
            ";VALUE=INTEGER",
            ";VALUE=URI",
            ";VALUE=PERIOD",
            ";TZID=Europe/Berlin",
            ";P=\"a;b\",c",
            ";Q=^n^^",
            ";R",
            ";CN=\"Doe, J\"",
        ])
        .prop_map(str::to_owned),
        ";[A-C]=[a-z\"]{0}[ -!#-+.-9<-~]{0,6}",
    ];
    let value = prop_oneof![
        proptest::sample::select(vec![
            "20260105",
            "20260105T090000Z",
            "20260105T090000",
            "20260105,20260106",
            "PT1H",
            "-P1D",
            "+0100",
            "-001530",
            "+5",
            "007",
            "38.90;-77.50",
            "TRUE",
            "2.0;Success",
            "FREQ=DAILY;COUNT=3",
            "BYDAY=MO,2TU;FREQ=MONTHLY;UNTIL=20260105",
            "mailto:a@x.org",
            "20260105T090000Z/PT1H,20260106T090000Z/20260106T100000Z",
            "a\\,b,c\\;d;e\\\\,f\\nG\\N",
            "\\",
            "a\\",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,12}",
        "\\PC{0,8}",
    ];
    (name, proptest::collection::vec(param, 0..3), value).prop_map(|(n, p, v)| format!("{n}{}:{v}", p.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Whatever lines there are: the JSON is JSON, and what comes back from it makes the same JSON again.
    #[test]
    fn any_lines_survive(lines in proptest::collection::vec(line(), 0..8)) {
        let text = format!("BEGIN:VCALENDAR\r\n{}\r\nEND:VCALENDAR\r\n", lines.join("\r\n"));
        if let Ok(calendar) = Component::parse(&text) {
            let json = jcal::print(&calendar);
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(&json);
            prop_assert!(parsed.is_ok(), "{}", json);
            let back = jcal::parse(&json);
            prop_assert!(back.is_ok(), "{:?} {}", back, json);
            let back = back.unwrap();
            prop_assert_eq!(&Component::parse(&back.print()).unwrap(), &back);
            prop_assert_eq!(calendar.properties.len(), back.properties.len());
            for (a, b) in calendar.properties.iter().zip(&back.properties) {
                prop_assert_eq!(a.name(), b.name());
                // What lost a VALUE that was wrong is read without it the next time.
                let one = |p: &Property| Component::new("VCALENDAR").with([p.clone()]);
                let lost = json_of(&one(a)).contains("},\"unknown\",") && a.param("VALUE").is_some();
                let again = jcal::parse(&jcal::print(&one(b))).unwrap();
                prop_assert!(lost || again == one(b), "{:?} {:?} {:?}", a, b, again);
                // Times and numbers that can be read read the same; texts are the same letters.
                if a.param("VALUE").is_none() && a.name() == "SUMMARY" {
                    prop_assert_eq!(a.text(), b.text());
                }
                if a.param("VALUE").is_none() && a.name().starts_with("X-") {
                    prop_assert_eq!(a.value(), b.value());
                }
            }
        }
    }

    /// No text at all makes the reader of JSON do anything but read or refuse.
    #[test]
    fn any_json_is_read_or_refused(
        json in "[\\[\\]{},:\"a-z0-9\\\\. -]{0,60}",
        cut in 0usize..400,
    ) {
        let _ = jcal::parse(&json);
        let whole = jcal::print(&around("DTSTART;TZID=X:20260105T090000\r\nRRULE:FREQ=DAILY;COUNT=3\r\nGEO:1;2\r\n\
            X-A;P=1,2:b"));
        let cut = cut.min(whole.len());
        let mixed = format!("{}{json}{}", &whole[..cut], &whole[cut..]);
        if let Ok(calendar) = jcal::parse(&mixed) {
            prop_assert_eq!(Component::parse(&calendar.print()).unwrap(), calendar);
        }
    }
}
