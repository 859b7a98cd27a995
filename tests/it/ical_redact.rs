//! Masks: nothing of what is hidden leaves by any place that a text has, and the time stays what it was.

use std::fs;

use calgate::ical::recur::{self, Limits, instances};
use calgate::ical::redact::{Viewer, redact};
use calgate::ical::text::Param;
use calgate::ical::{Component, Instant, Mask, Object, Property, Reading, Window};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::ical_jcal::corpus;

/// Stands in every place that the owner's text can have.
const MARK: &str = "SECRET";

fn viewer() -> Viewer {
    Viewer::new(b"a key of a test", "viewer")
}

fn me() -> Vec<String> {
    vec!["anna@example.org".to_owned()]
}

fn masked(object: &Object, mask: Mask) -> (String, Object) {
    let text = redact(object, mask, &viewer(), &me());
    let again = Object::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}\n{}", object.text()));
    (text, again)
}

fn object(lines: &str) -> Object {
    let text = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//{MARK}//EN\r\n{lines}\r\nEND:VCALENDAR\r\n");
    Object::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// A VEVENT with a time and these lines.
fn event(lines: &str) -> Object {
    object(&format!("BEGIN:VEVENT\r\nUID:{MARK}\r\nDTSTART:20260601T100000Z\r\nDURATION:PT1H\r\n{lines}\r\nEND:VEVENT"))
}

/// Start, end, whether it is all day, which instance it is, and what it does.
type Time = (Instant, Instant, bool, Option<Instant>, recur::Busy);

/// When it takes place and how busy its owner is, or that nobody can tell.
fn times(object: &Object, me: &[String]) -> Option<Vec<Time>> {
    let window = Window::new(Instant(1_770_000_000), Instant(1_800_000_000)).unwrap();
    let zone = TimeZone::get("America/New_York").unwrap();
    let found = instances(object, window, &zone, Limits::default()).ok()?;
    // What is no event takes no time.
    let busy = |c: &Component| if c.name() == "VEVENT" { recur::busy(c, me) } else { recur::Busy::Free };
    Some(found.iter().map(|i| (i.start, i.end, i.all_day, i.recurrence_id, busy(i.component))).collect())
}

/// What is written under a mask, in the order it is.
#[track_caller]
fn check(object: &Object, mask: Mask, expect: &str) {
    let (text, again) = masked(object, mask);
    let lines: Vec<&str> =
        text.lines().filter(|l| !l.starts_with("UID:") && *l != "DTSTAMP:19700101T000000Z").collect();
    let inner = lines[3..lines.len() - 1].join("\n");
    assert_eq!(inner, expect, "{}", object.text());
    assert_eq!(times(&again, &me()), times(object, &me()), "{text}");
}

#[test]
fn a_zone_is_named_by_its_iana_name_or_by_a_number() {
    let zone = |tzid: &str, inner: &str| {
        format!(
            "BEGIN:VTIMEZONE\r\nTZID:{tzid}\r\nTZURL:http://{MARK}\r\nX-LIC-LOCATION:{MARK}\r\n\
             LAST-MODIFIED:20260101T000000Z\r\n\
             BEGIN:STANDARD\r\nDTSTART:16010101T000000\r\nTZOFFSETFROM:+0342\r\nTZOFFSETTO:+03:42\r\nTZNAME:{MARK}\r\n\
             COMMENT:{MARK}\r\n{inner}END:STANDARD\r\nBEGIN:X-{MARK}\r\nEND:X-{MARK}\r\nEND:VTIMEZONE\r\n"
        )
    };
    let event = |tzid: &str| {
        format!("BEGIN:VEVENT\r\nUID:u\r\nDTSTART;TZID={tzid}:20260601T100000\r\nDURATION:PT1H\r\nEND:VEVENT")
    };
    let shown = |name: &str, inner: &str| {
        format!(
            "BEGIN:VTIMEZONE\nTZID:{name}\nBEGIN:STANDARD\nDTSTART:16010101T000000\nTZOFFSETFROM:+0342\n\
             TZOFFSETTO:+0342\n\
             {inner}END:STANDARD\nEND:VTIMEZONE\nBEGIN:VEVENT\nDTSTART;TZID={name}:20260601T100000\nDURATION:PT1H\n\
             TRANSP:OPAQUE\nSUMMARY:Busy\nEND:VEVENT"
        )
    };
    // The zone of the object, one that nobody names, and one of the same name again.
    let custom = format!("{}{}{}", zone("Unused", ""), zone("Boss's home", ""), zone("Boss's home", "TZNAME:x\r\n"));
    check(&object(&format!("{custom}{}", event("\"Boss's home\""))), Mask::Busy, &shown("Zone-1", ""));
    let known = zone("W. Europe Standard Time", "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\n");
    let rule = "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\n";
    check(&object(&format!("{known}{}", event("W. Europe Standard Time"))), Mask::Busy, &shown("Europe/Berlin", rule));
    // A maker's prefix.
    let prefixed = zone("/secret.example.org/Tzfile/Europe/Berlin", "");
    let prefixed = object(&format!("{prefixed}{}", event("/secret.example.org/Tzfile/Europe/Berlin")));
    check(&prefixed, Mask::Busy, &shown("Europe/Berlin", ""));
    // What nobody can tell stays so.
    let unknown = object(&event("\"Boss's home\""));
    assert_eq!(times(&unknown, &me()), None);
    let alone =
        "BEGIN:VEVENT\nDTSTART;TZID=Unknown-1:20260601T100000\nDURATION:PT1H\nTRANSP:OPAQUE\nSUMMARY:Busy\nEND:VEVENT";
    check(&unknown, Mask::Busy, alone);
}

#[test]
fn a_masked_zone_is_the_zone_that_was_meant() {
    let zone = |tzid: &str, inner: &str| format!("BEGIN:VTIMEZONE\r\nTZID:{tzid}\r\n{inner}END:VTIMEZONE\r\n");
    let always = |offset: &str| {
        format!(
            "BEGIN:STANDARD\r\nDTSTART:16010101T000000\r\nTZOFFSETFROM:{offset}\r\nTZOFFSETTO:{offset}\r\nEND:STANDARD\r\n"
        )
    };
    let event = |tzid: &str| {
        format!(
            "BEGIN:VEVENT\r\nUID:u\r\nDTSTART;TZID=\"{tzid}\":20260602T020000\r\nDURATION:PT1H\r\n\
             RRULE:FREQ=WEEKLY;BYDAY=TU;COUNT=3\r\nEND:VEVENT"
        )
    };
    let cases = [
        // Offsets that no IANA zone is: by their number, and with their rules.
        (String::new(), "UTC+05:30", "Zone-1", 1),
        (String::new(), "(UTC+05:30)", "Zone-1", 1),
        (String::new(), "GMT+0530", "Zone-1", 1),
        (String::new(), "GMT-0330", "Zone-1", 1),
        // The name counts before rules that say something else.
        (zone("GMT+0530", &always("+0100")), "GMT+0530", "Zone-1", 1),
        (String::new(), "UTC+03:00", "Etc/GMT-3", 0),
        // A likely name alone, and one that the object says something else by.
        (String::new(), "Eastern", "America/New_York", 0),
        (zone("Eastern", &always("+1000")), "Eastern", "Australia/Brisbane", 1),
        (zone("Eastern", &always("+0342")), "Eastern", "Zone-1", 1),
        // Without any rules it is what it says of its place.
        (zone("Mine", "X-LIC-LOCATION:Asia/Tokyo\r\n"), "Mine", "Asia/Tokyo", 0),
    ];
    for (definition, tzid, name, zones) in cases {
        let object = object(&format!("{definition}{}", event(tzid)));
        let (text, again) = masked(&object, Mask::Busy);
        let found = times(&object, &me()).expect(tzid);
        assert_eq!(found.len(), 3, "{tzid}");
        assert_eq!(times(&again, &me()), Some(found), "{text}");
        assert!(text.contains(&format!("DTSTART;TZID={name}:20260602T020000")), "{text}");
        assert_eq!(text.matches("BEGIN:VTIMEZONE").count(), zones, "{text}");
    }
}

#[test]
fn times_and_rules_are_written_anew() {
    let around = |lines: &str| {
        format!("BEGIN:VEVENT\nDTSTART:20260601T100000Z\nDURATION:PT1H\n{lines}TRANSP:OPAQUE\nSUMMARY:Busy\nEND:VEVENT")
    };
    let cases = [
        ("RRULE:count=+03 ; FREQ=daily;;", "RRULE:COUNT=3;FREQ=DAILY\n"),
        (
            "RRULE:FREQ=WEEKLY;BYDAY=mo, +1TU;UNTIL=20260701T100000z;WKST=su",
            "RRULE:FREQ=WEEKLY;BYDAY=MO,1TU;UNTIL=20260701T100000Z;WKST=SU\n",
        ),
        // What is no part of a rule as it is known: the rule can not be followed, and still can not.
        ("RRULE:FREQ=DAILY;X-SECRET=SECRET", "RRULE:FREQ=DAILY;X-HIDDEN=1\n"),
        (
            "RRULE:RSCALE=HEBREW;FREQ=YEARLY;BYMONTH=5L;SKIP=FORWARD",
            "RRULE:RSCALE=HEBREW;FREQ=YEARLY;BYMONTH=5L;SKIP=FORWARD\n",
        ),
        ("RRULE:RSCALE=SECRET;FREQ=YEARLY", "RRULE:FREQ=YEARLY;X-HIDDEN=1\n"),
        ("EXRULE:SECRET", "EXRULE:X-HIDDEN=1\n"),
        ("EXRULE:FREQ=DAILY;BYDAY=SECRET", "EXRULE:FREQ=DAILY;X-HIDDEN=1\n"),
        ("RDATE:SECRET,20260603T100000Z", "RDATE:20260603T100000Z\nRDATE;VALUE=X-HIDDEN:X-HIDDEN\n"),
        ("RDATE;VALUE=X-SECRET;X-SECRET=1:20260603T100000Z", "RDATE:20260603T100000Z\n"),
        (
            "RDATE;VALUE=PERIOD:20260603T100000Z/pt2h,20260602T100000Z/20260602T110000Z",
            "RDATE;VALUE=PERIOD:20260602T100000Z/20260602T110000Z,20260603T100000Z/PT2H\n",
        ),
        ("RDATE:20260603T100000Z/SECRET", "RDATE;VALUE=X-HIDDEN:X-HIDDEN\n"),
        // In the order of time, not in the order of the owner's changes.
        (
            "RRULE:FREQ=DAILY;COUNT=9\nEXDATE:20260605T100000Z\nEXDATE:SECRET\nEXDATE:20260603T100000Z",
            "RRULE:FREQ=DAILY;COUNT=9\nEXDATE:20260603T100000Z,20260605T100000Z\n",
        ),
        (
            "RRULE:FREQ=DAILY;COUNT=9\nEXDATE;TZID=SECRET:20260603T100000Z,20260604",
            "RRULE:FREQ=DAILY;COUNT=9\nEXDATE;VALUE=DATE:20260604\nEXDATE:20260603T100000Z\n",
        ),
        (
            "RRULE:FREQ=DAILY;COUNT=9\nEXDATE;TZID=Europe/Berlin:20260603T120000",
            "RRULE:FREQ=DAILY;COUNT=9\nEXDATE;TZID=Europe/Berlin:20260603T120000\n",
        ),
        (
            "SEQUENCE:7\nLAST-MODIFIED:20260101T000000Z\nCREATED:20260101T000000Z\nDTSTAMP:20260101T000000Z\n\
             DUE:SECRET",
            "",
        ),
        (
            "COMPLETED:20260101T000000Z\nPERCENT-COMPLETE:50\nFREEBUSY:20260601T100000Z/PT1H\nTRANSP:SECRET\n\
             CLASS:SECRET",
            "",
        ),
    ];
    for (lines, expect) in cases {
        check(&event(&lines.replace('\n', "\r\n")), Mask::Busy, &around(expect));
    }
    let day = object(
        "BEGIN:VEVENT\r\nUID:u\r\nDTSTART;VALUE=DATE;TZID=SECRET:20260601T100000\r\nDTEND:20260603\r\nEND:VEVENT",
    );
    let expect =
        "BEGIN:VEVENT\nDTSTART;VALUE=DATE:20260601\nDTEND;VALUE=DATE:20260603\nTRANSP:OPAQUE\nSUMMARY:Busy\nEND:VEVENT";
    check(&day, Mask::Busy, expect);
}

#[test]
fn the_title_is_the_title_alone() {
    let shown = |line: &str, expect: &str| {
        let around =
            format!("BEGIN:VEVENT\nDTSTART:20260601T100000Z\nDURATION:PT1H\nTRANSP:OPAQUE\n{expect}END:VEVENT");
        check(&event(line), Mask::Title, &around);
    };
    shown(
        "SUMMARY;ALTREP=\"cid:SECRET\";LANGUAGE=de-AT;X-SECRET=1:Fest\\, groß",
        "SUMMARY;LANGUAGE=de-AT:Fest\\, groß\n",
    );
    shown("SUMMARY;LANGUAGE=SECRET:Fest", "SUMMARY:Fest\n");
    shown("SUMMARY;LANGUAGE=en-x-SECRET:Fest", "SUMMARY:Fest\n");
    shown("SUMMARY;LANGUAGE=zh-Hant-TW:Fest\r\nSUMMARY:SECRET", "SUMMARY;LANGUAGE=zh-Hant-TW:Fest\n");
    shown("NAME:SECRET\r\nX-ALT-SUMMARY:SECRET", "");
    // An override without a title has none: it does not borrow the one of its series.
    let series = object(
        "BEGIN:VEVENT\r\nUID:u\r\nRECURRENCE-ID;X-SECRET=1;RANGE=SECRET:20260603T100000Z\r\n\
         DTSTART:20260603T120000Z\r\n\
         STATUS:CANCELLED\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:u\r\n\
         RECURRENCE-ID;RANGE=thisandfuture:20260602T100000Z\r\n\
         DTSTART:20260602T120000Z\r\nDESCRIPTION:SECRET\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:u\r\n\
         DTSTART:20260601T100000Z\r\n\
         RRULE:FREQ=DAILY;COUNT=4\r\nSUMMARY:Series\r\nEND:VEVENT",
    );
    let expect = "BEGIN:VEVENT\nDTSTART:20260601T100000Z\nRRULE:FREQ=DAILY;COUNT=4\nTRANSP:OPAQUE\nSUMMARY:Series\n\
        END:VEVENT\n\
        BEGIN:VEVENT\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260602T100000Z\nDTSTART:20260602T120000Z\nTRANSP:OPAQUE\n\
        END:VEVENT\n\
        BEGIN:VEVENT\nRECURRENCE-ID:20260603T100000Z\nDTSTART:20260603T120000Z\nSTATUS:CANCELLED\n\
        TRANSP:TRANSPARENT\nEND:VEVENT";
    check(&series, Mask::Title, expect);
}

#[test]
fn what_is_no_event_says_when_and_little_more() {
    let todo = object(
        "BEGIN:VTODO\r\nUID:u\r\nDUE:20260601T100000Z\r\nSUMMARY:Taxes\r\nSTATUS:COMPLETED\r\n\
         COMPLETED:20260530T235959Z\r\n\
         PERCENT-COMPLETE:100\r\nPRIORITY:1\r\nRELATED-TO:SECRET\r\nEND:VTODO",
    );
    check(&todo, Mask::Busy, "BEGIN:VTODO\nDUE:20260601T100000Z\nSUMMARY:Busy\nEND:VTODO");
    check(&todo, Mask::Title, "BEGIN:VTODO\nDUE:20260601T100000Z\nSTATUS:COMPLETED\nSUMMARY:Taxes\nEND:VTODO");
    let other = todo.with(|c| c.components[0].set(Property::new("STATUS", "X-SECRET"))).unwrap();
    check(&other, Mask::Title, "BEGIN:VTODO\nDUE:20260601T100000Z\nSUMMARY:Taxes\nEND:VTODO");
    let busy = object(
        "BEGIN:VFREEBUSY\r\nUID:u\r\nDTSTART:20260601T000000Z\r\nDTEND:20260602T000000Z\r\nORGANIZER:mailto:SECRET\r\n\
         FREEBUSY;FBTYPE=X-SECRET;X-SECRET=1:20260601T120000Z/PT1H,20260601T100000Z/PT1H,SECRET\r\nEND:VFREEBUSY",
    );
    let expect = "BEGIN:VFREEBUSY\nDTSTART:20260601T000000Z\nDTEND:20260602T000000Z\n\
        FREEBUSY;FBTYPE=BUSY:20260601T100000Z/PT1H,20260601T120000Z/PT1H\nSUMMARY:Busy\nEND:VFREEBUSY";
    check(&busy, Mask::Busy, expect);
    // The name of a component is a text too.
    check(&object("BEGIN:VSECRET\r\nUID:u\r\nEND:VSECRET"), Mask::Busy, "BEGIN:VFREEBUSY\nSUMMARY:Busy\nEND:VFREEBUSY");
}

/// Two names of one instance, written in two ways, are two overrides under a mask too.
#[test]
fn an_object_stays_an_object() {
    let of = |id: &str, hour: u32| {
        format!(
            "BEGIN:VEVENT\r\nUID:u\r\nRECURRENCE-ID{id}\r\nDTSTART:20260602T{hour}0000Z\r\nDURATION:PT1H\r\n\
             END:VEVENT\r\n"
        )
    };
    let ids = [
        ";TZID=Europe/Berlin:20260602T120000",
        ";TZID=W. Europe Standard Time:20260602T120000",
        ";TZID=/x/Europe/Berlin:20260602T120000",
    ];
    let lines: String = ids.iter().zip(12..).map(|(id, hour)| of(id, hour)).collect();
    let twice = object(lines.trim_end());
    let (text, again) = masked(&twice, Mask::Busy);
    assert_eq!(times(&again, &me()).unwrap().len(), 3, "{text}");
    assert_eq!(times(&again, &me()), times(&twice, &me()));
}

/// The tree that a text was read into remembers its octets. None of them is printed.
#[test]
fn no_octet_of_the_original_is_printed() {
    let odd = "begin:vcalendar\r\nVersion:2.0\r\nProdid;X-SECRET=1:-//SECRET//\r\n\r\nBEGIN:X-SECRET\r\n\
        END:X-SECRET\r\n\
        Begin:vevent\r\nuid;x-secret=a:SEC\r\n RET\r\nDtStart;x-secret=\"a\":2026060\r\n\t1T100000Z\r\n\
        DTEND  ;X-SECRET=1:20260601T1100\r\n \
        00Z\r\n  \r\nSummary;X-SECRET=\"a;b\":Ti\r\n t\r\n\tle\r\nBEGIN:valarm\r\nTRIGGER:-PT5M\r\nEND:valarm\r\n\
        end:VEVENT\r\n\
        END:vcalendar\r\n";
    let object = Object::parse(odd).unwrap();
    let expect = |title: &str| {
        let uid = calgate::ical::redact::masked_uid(MARK, &viewer());
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//calgate//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
             DTSTAMP:19700101T000000Z\r\n\
             DTSTART:20260601T100000Z\r\nDTEND:20260601T110000Z\r\nTRANSP:OPAQUE\r\nSUMMARY:{title}\r\n\
             END:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    };
    assert_eq!(masked(&object, Mask::Busy).0, expect("Busy"));
    assert_eq!(masked(&object, Mask::Title).0, expect("Title"));
}

/// What real programs write: the times are the same, and what people wrote is not there.
#[test]
fn the_corpus_keeps_its_times_and_loses_its_words() {
    let mut with_times = 0;
    for path in corpus() {
        let Ok(object) = Object::read_octets(&fs::read(&path).unwrap(), Reading::Tolerant) else { continue };
        let (shown, again) = masked(&object, Mask::Busy);
        let before = times(&object, &me());
        with_times += usize::from(before.as_ref().is_some_and(|times| !times.is_empty()));
        assert_eq!(times(&again, &me()), before, "{}\n{shown}", path.display());
        assert_eq!(times(&masked(&object, Mask::Title).1, &[]), before, "{}", path.display());
        assert!(!again.repairs().iter().any(|repair| repair.damage.alters()), "{}", path.display());
        let words =
            ["UID", "SUMMARY", "DESCRIPTION", "LOCATION", "ATTENDEE", "ORGANIZER", "URL", "ATTACH", "X-ALT-DESC"];
        for p in object.components().flat_map(|c| &c.properties).filter(|p| words.contains(&p.name())) {
            let params = p.params().flat_map(|param| param.values()).map(|value| value.into_owned());
            let hidden = params.chain([p.value().to_owned()]).filter(|text| text.len() > 8);
            for text in hidden {
                assert!(!shown.contains(&text), "{}: {text}\n{shown}", path.display());
            }
        }
    }
    assert!(with_times > 100);
}

/// One line with the mark somewhere, as RFC 5545 and those after it let it stand in a VEVENT.
fn line() -> impl Strategy<Value = String> + Clone {
    let fixed = [
        "SUMMARY:~",
        "SUMMARY;ALTREP=\"cid:~\";LANGUAGE=en:~",
        "DESCRIPTION:~",
        "LOCATION;ALTREP=\"http://~\":~",
        "COMMENT:~",
        "CONTACT:~",
        "CATEGORIES:a,~",
        "RESOURCES:~",
        "CLASS:~",
        "STATUS:~",
        "TRANSP:~",
        "PRIORITY:~",
        "GEO:~;~",
        "URL:http://~",
        "ATTACH;FMTTYPE=text/~;FILENAME=~:http://~",
        "ATTACH;VALUE=BINARY;ENCODING=BASE64;X-APPLE-FILENAME=~:~AAA",
        "ATTENDEE;CN=~;SENT-BY=\"mailto:~\";DIR=\"http://~\";MEMBER=\"mailto:~\":mailto:~@example.org",
        "ATTENDEE;PARTSTAT=TENTATIVE;CN=~:mailto:anna@example.org",
        "ATTENDEE;PARTSTAT=DECLINED;X-~=1:mailto:anna@example.org",
        "ORGANIZER;CN=~:mailto:~",
        "RELATED-TO;RELTYPE=~:~",
        "REQUEST-STATUS:2.0;~;~",
        "CONFERENCE;VALUE=URI;FEATURE=~;LABEL=~:http://~",
        "IMAGE;VALUE=URI;DISPLAY=~:http://~",
        "COLOR:~",
        "REFID:~",
        "LINK;VALUE=URI;LINKREL=~;LABEL=~:http://~",
        "CONCEPT:http://~",
        "STRUCTURED-DATA;VALUE=TEXT;SCHEMA=\"http://~\":{\"a\":\"~\"}",
        "STYLED-DESCRIPTION;VALUE=TEXT:<b>~</b>",
        "NAME:~",
        "X-~:~",
        "X-ALT-DESC;FMTTYPE=text/html:<b>~</b>",
        "X-MICROSOFT-CDO-BUSYSTATUS:~",
        "X-MICROSOFT-CDO-BUSYSTATUS:OOF",
        "X-APPLE-STRUCTURED-LOCATION;X-TITLE=~:geo:~",
        "~:~",
        "CREATED:~",
        "LAST-MODIFIED:~",
        "DTSTAMP:~",
        "SEQUENCE:~",
        "DUE:~",
        "COMPLETED:~",
        "PERCENT-COMPLETE:~",
        "FREEBUSY;FBTYPE=~:~",
        "TZID:~",
        "TZNAME:~",
        "BUSYTYPE:~",
        "EXDATE:~",
        "EXDATE;X-~=~:20260603T100000",
        "EXDATE;TZID=~/Home:20260603T100000",
        "EXDATE;VALUE=~:20260602",
        "RDATE;X-~=~:20260610T100000",
        "RDATE;TZID=~/Home:20260611T100000",
        "RDATE;VALUE=~:20260612T100000Z/PT3H,20260613T100000Z",
        "RDATE:~",
        "EXRULE:FREQ=DAILY;INTERVAL=4;COUNT=2",
        "EXRULE:~",
        "RRULE:FREQ=DAILY;X-~=~",
        "RRULE:FREQ=WEEKLY;COUNT=5;BYDAY=MO,WE",
        "RRULE:RSCALE=~;FREQ=YEARLY",
        "TRANSP:TRANSPARENT",
        "STATUS:TENTATIVE",
        "STATUS:CANCELLED",
        "BEGIN:VALARM\r\nUID:~\r\nACTION:EMAIL\r\nTRIGGER;X-~=1:-PT5M\r\nSUMMARY:~\r\nDESCRIPTION:~\r\n\
         ATTENDEE:mailto:~\r\nATTACH:http://~\r\nEND:VALARM",
        "BEGIN:VLOCATION\r\nUID:~\r\nNAME:~\r\nLOCATION-TYPE:~\r\nEND:VLOCATION",
        "BEGIN:PARTICIPANT\r\nUID:~\r\nCALENDAR-ADDRESS:mailto:~\r\nSTRUCTURED-DATA;VALUE=TEXT:~\r\nEND:PARTICIPANT",
        "BEGIN:X-~\r\nX-~:~\r\nEND:X-~",
    ];
    proptest::sample::select(fixed.to_vec()).prop_map(|line| line.replace('~', MARK))
}

fn series() -> impl Strategy<Value = String> {
    let start = proptest::sample::select(vec![
        "DTSTART:20260601T100000Z",
        "DTSTART;X-~=~:20260601T100000",
        "DTSTART;VALUE=~:20260601",
        "DTSTART;VALUE=DATE;TZID=~:20260601",
        "DTSTART;TZID=~/Home:20260601T100000",
        "DTSTART;TZID=/~/Europe/Berlin:20260601T100000",
        "DTSTART;TZID=~ and nobody knows:20260601T100000",
    ]);
    let length = proptest::sample::select(vec!["", "DURATION;X-~=~:PT90M\r\n", "DURATION:p1dt2h\r\n"]);
    let rule = proptest::sample::select(vec![
        "",
        "RRULE;X-~=~:FREQ=DAILY;COUNT=9\r\n",
        "RRULE:freq=weekly;until=20260801\r\n",
    ]);
    let part = proptest::collection::vec(line(), 0..6);
    let overrides = proptest::collection::btree_map(0..4u32, (part.clone(), any::<bool>()), 0..3);
    (start, length, rule, part, overrides).prop_map(|(start, length, rule, lines, overrides)| {
        let zone = "BEGIN:VTIMEZONE\r\nTZID:~/Home\r\nX-LIC-LOCATION:~\r\nTZURL:http://~\r\nTZID-ALIAS-OF:~\r\n\
            BEGIN:STANDARD\r\n\
            TZNAME:~\r\nCOMMENT:~\r\nX-~:~\r\nDTSTART;X-~=~:19701025T030000\r\nTZOFFSETFROM:+0430\r\n\
            TZOFFSETTO:+0330\r\n\
            RRULE;X-~=~:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\nEND:STANDARD\r\nBEGIN:DAYLIGHT\r\n\
            DTSTART:19700329T020000\r\n\
            TZOFFSETFROM:+0330\r\nTZOFFSETTO:+0430\r\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\nEND:DAYLIGHT\r\n\
            END:VTIMEZONE\r\n\
            BEGIN:VTIMEZONE\r\nTZID:~ unused\r\nEND:VTIMEZONE\r\n";
        let other: String = overrides
            .into_iter()
            .map(|(day, (lines, future))| {
                let range = if future { ";RANGE=THISANDFUTURE" } else { ";RANGE=~" };
                let id = format!("RECURRENCE-ID;X-~=~{range}:2026060{}T100000", day + 2);
                let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
                let at = format!("DTSTART:2026060{}T1{day}0000Z\r\nDURATION:PT1H", day + 2);
                format!("BEGIN:VEVENT\r\nUID:~@~\r\n{id}\r\n{at}\r\n{lines}END:VEVENT\r\n")
            })
            .collect();
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//~//EN\r\nX-WR-CALNAME:~\r\nCALSCALE:~\r\n\
             {zone}BEGIN:X-~\r\nX-~:~\r\n\
             END:X-~\r\n{other}BEGIN:VEVENT\r\nUID:~@~\r\n{start}\r\n{length}{rule}{lines}END:VEVENT\r\n\
             END:VCALENDAR\r\n"
        )
        .replace('~', MARK)
    })
}

/// The properties below would hold of objects that nobody can read.
#[test]
fn most_of_what_is_tried_can_be_read() {
    let mut runner = TestRunner::deterministic();
    let texts: Vec<String> = (0..200).map(|_| series().new_tree(&mut runner).unwrap().current()).collect();
    let readable = texts.iter().filter(|text| times(&Object::parse(text).unwrap(), &me()).is_some());
    let several = readable.clone().filter(|text| times(&Object::parse(text).unwrap(), &me()).unwrap().len() > 2);
    assert!(readable.count() > 80 && several.count() > 40);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn the_mark_never_leaves(text in series()) {
        let object = Object::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        for mask in [Mask::Busy, Mask::Title] {
            let (shown, again) = masked(&object, mask);
            // The title may carry it, and nothing else may.
            let without: String = Component::parse(&shown).map(|mut c| {
                let hides = |p: &Property| mask == Mask::Title && p.name() == "SUMMARY";
                c.components.iter_mut().for_each(|c| c.properties.retain(|p| !hides(p)));
                c.print()
            }).unwrap();
            prop_assert!(!without.to_uppercase().contains(MARK), "{}", shown);
            for p in again.components().flat_map(|c| c.all("SUMMARY")) {
                let is_language = |param: &Param<'_>| param.name() == "LANGUAGE" && param.values().eq(["en"]);
                prop_assert!(p.params().all(|param| is_language(&param)), "{}", shown);
            }
            prop_assert_eq!(times(&again, &me()), times(&object, &me()), "{}\n{}", shown, text);
            // Who is not the owner finds the same.
            prop_assert_eq!(times(&again, &[]), times(&object, &me()), "{}\n{}", shown, text);
            // What was masked once is masked, and the same text gives the same bytes.
            prop_assert_eq!(redact(&object, mask, &viewer(), &me()), shown);
        }
    }

    /// What only the hidden part of an object says does not change what is shown: no etag tells that its owner was at
    /// it.
    #[test]
    fn a_hidden_change_changes_nothing(
        text in series(),
        hidden in proptest::sample::select(vec!["DESCRIPTION:x", "SEQUENCE:3", "DTSTAMP:20260202T020202Z", "X-A:b"]),
    ) {
        let object = Object::parse(&text).unwrap();
        let (name, value) = hidden.split_once(':').unwrap();
        let change = |c: &mut Component| {
            for c in c.components.iter_mut().filter(|c| c.name() == "VEVENT") {
                c.set(Property::new(name, value));
            }
            // Nor does the order that its parts stand in.
            c.components.reverse();
        };
        let changed = object.with(change).unwrap();
        prop_assert_eq!(masked(&changed, Mask::Busy).0, masked(&object, Mask::Busy).0);
    }
}
