//! The same event as others may see it: full, title, busy.

use sha2::{Digest, Sha256};

use super::recur::{self, Busy};
use super::{Component, Object, Property};

/// What a viewer may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mask {
    /// That the time is taken, nothing else.
    Busy,
    /// Times and title.
    Title,
    /// Everything.
    Full,
}

impl Mask {
    pub fn name(self) -> &'static str {
        match self {
            Mask::Busy => "busy",
            Mask::Title => "title",
            Mask::Full => "full",
        }
    }

    pub fn from_name(name: &str) -> Option<Mask> {
        [Mask::Busy, Mask::Title, Mask::Full].into_iter().find(|m| m.name() == name)
    }
}

/// `object` under `mask`, as `viewer` sees it. `Full` gives the text itself. Otherwise only what the mask allows is
/// written, by an allow-list: times, rule, and for `Title` SUMMARY. The UID becomes [`masked_uid`].
/// What a VEVENT does to the time of the person with the addresses `me` (as [`recur::busy`] takes them) is said in
/// plain words, and what it follows from is not: [`recur::busy`] finds the same in what is written, whoever asks.
pub fn redact(object: &Object, mask: Mask, viewer: &str, me: &[String]) -> String {
    if mask == Mask::Full {
        return object.text().to_owned();
    }
    let uid = masked_uid(object.uid(), viewer);
    let mut calendar = Component::new("VCALENDAR");
    calendar.properties.push(Property::new("VERSION", "2.0"));
    calendar.properties.push(Property::new("PRODID", "-//calgate//EN"));
    calendar.components.extend(object.calendar().components.iter().filter(|c| c.name() == "VTIMEZONE").map(zone));
    calendar.components.extend(object.components().map(|c| masked(c, mask, &uid, me)));
    calendar.print()
}

/// What stands for a UID under a mask: the same for one viewer always, and another one for every other viewer.
pub fn masked_uid(uid: &str, viewer: &str) -> String {
    let mut hash = Sha256::new();
    // The length keeps two pairs apart that only read the same one after the other.
    hash.update((viewer.len() as u64).to_be_bytes());
    hash.update(viewer);
    hash.update(uid);
    hash.finalize().iter().take(20).map(|b| format!("{b:02x}")).collect()
}

fn masked(component: &Component, mask: Mask, uid: &str, me: &[String]) -> Component {
    let mut out = Component::new(component.name());
    out.properties.push(Property::new("UID", uid));
    let event = component.name() == "VEVENT";
    for property in &component.properties {
        match property.name() {
            "DTSTAMP" | "DTSTART" | "DTEND" | "DUE" | "DURATION" | "COMPLETED" | "RECURRENCE-ID" | "RRULE"
            | "EXRULE" | "RDATE" | "EXDATE" | "SEQUENCE" | "FREEBUSY" => {
                out.properties.push(with_params(property, &["TZID", "VALUE", "RANGE", "FBTYPE"]));
            }
            // What is to be done takes no time; whether it is done is not said in any other way.
            "STATUS" if !event => out.properties.push(with_params(property, &[])),
            "SUMMARY" if mask == Mask::Title => out.properties.push(with_params(property, &["LANGUAGE"])),
            _ => {}
        }
    }
    let busy = event.then(|| recur::busy(component, me));
    if let Some(busy) = busy {
        let cancelled = component.value("STATUS").is_some_and(|v| v.trim().eq_ignore_ascii_case("CANCELLED"));
        // Who may read the title of an event is not to wait for it in vain.
        let status = match busy {
            Busy::Tentative => Some("TENTATIVE"),
            Busy::Free if cancelled && mask == Mask::Title => Some("CANCELLED"),
            _ => None,
        };
        out.properties.extend(status.map(|status| Property::new("STATUS", status)));
        let transparency = if busy == Busy::Free { "TRANSPARENT" } else { "OPAQUE" };
        out.properties.push(Property::new("TRANSP", transparency));
        if busy == Busy::Unavailable {
            out.properties.push(Property::new("X-MICROSOFT-CDO-BUSYSTATUS", "OOF"));
        }
    }
    if mask == Mask::Busy {
        let title = if busy == Some(Busy::Free) { "Free" } else { "Busy" };
        out.properties.push(Property::new("SUMMARY", title));
    }
    out
}

/// A VTIMEZONE says when, not what: the lines that RFC 5545 3.6.5 knows stay, comments and a maker's own do not.
fn zone(component: &Component) -> Component {
    let mut out = Component::new(component.name());
    let known = ["TZID", "DTSTART", "TZOFFSETFROM", "TZOFFSETTO", "RRULE", "RDATE", "TZNAME", "TZUNTIL"];
    let lines = component.properties.iter().filter(|p| known.contains(&p.name()));
    out.properties.extend(lines.map(|p| with_params(p, &["VALUE", "TZID"])));
    let observances = component.components.iter().filter(|c| c.name() == "STANDARD" || c.name() == "DAYLIGHT");
    out.components.extend(observances.map(zone));
    out
}

fn with_params(property: &Property, allowed: &[&str]) -> Property {
    let mut out = Property::new(property.name(), property.value());
    for param in property.params().filter(|param| allowed.contains(&param.name())) {
        let values: Vec<_> = param.values().collect();
        out = out.with_values(param.name(), values.iter().map(|v| v.as_ref()));
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//Secret Corp//EN\nX-WR-CALNAME:secret\nBEGIN:VTIMEZONE\n\
        TZID:Europe/Berlin\nCOMMENT:secret\nX-SECRET:1\nBEGIN:STANDARD\nDTSTART:19701025T030000\nTZOFFSETFROM:+0200\n\
        TZOFFSETTO:+0100\nCOMMENT:secret\nTZNAME:CET\nEND:STANDARD\nEND:VTIMEZONE\nBEGIN:VEVENT\nUID:secret@example.org\n\
        DTSTAMP:20260101T000000Z\nDTSTART;TZID=Europe/Berlin;X-SECRET=1:20260105T090000\nDTEND;TZID=Europe/Berlin:\
        20260105T100000\nRRULE:FREQ=DAILY;COUNT=3\nSUMMARY;ALTREP=\"cid:secret\":title\nDESCRIPTION:secret\n\
        LOCATION:secret\nATTENDEE;CN=secret:mailto:secret@example.org\nORGANIZER:mailto:secret@example.org\n\
        CATEGORIES:secret\nCLASS:PRIVATE\nURL:https://secret.example\nATTACH;FILENAME=secret:https://secret.example\n\
        CONFERENCE:https://secret.example\nX-SECRET:secret\nTRANSP:OPAQUE\nBEGIN:VALARM\nACTION:DISPLAY\n\
        DESCRIPTION:secret\nTRIGGER:-PT5M\nEND:VALARM\nEND:VEVENT\nBEGIN:VEVENT\nUID:secret@example.org\n\
        RECURRENCE-ID;TZID=Europe/Berlin:20260106T090000\nDTSTART;TZID=Europe/Berlin:20260106T120000\n\
        DURATION:PT1H\nSUMMARY:other title\nSTATUS:TENTATIVE\nEND:VEVENT\nEND:VCALENDAR\n";

    #[test]
    fn hides_all_but_what_the_mask_allows() {
        let object = Object::parse(TEXT).unwrap();
        assert_eq!(redact(&object, Mask::Full, "v", &[]), TEXT);
        for (mask, titles) in [(Mask::Busy, false), (Mask::Title, true)] {
            let text = redact(&object, mask, "v", &[]);
            assert!(!text.to_lowercase().contains("secret"), "{text}");
            assert_eq!(text.contains("title"), titles, "{text}");
            let masked = Object::parse(&text).unwrap();
            assert_eq!(masked.overrides().count(), 1);
            assert_eq!(masked.calendar().components[0].components[0].value("TZOFFSETTO"), Some("+0100"));
            // The times are the same.
            let times = |o: &Object| {
                let all = crate::ical::Window::ALL;
                let zone = jiff::tz::TimeZone::UTC;
                let found = crate::ical::recur::instances(o, all, &zone, Default::default()).unwrap();
                found.iter().map(|i| (i.start, i.end, i.recurrence_id)).collect::<Vec<_>>()
            };
            assert_eq!(times(&masked), times(&object));
        }
    }

    #[test]
    fn masks_the_uid_for_each_viewer() {
        let uid = |viewer| {
            let object = Object::parse(TEXT).unwrap();
            Object::parse(&redact(&object, Mask::Busy, viewer, &[])).unwrap().uid().to_owned()
        };
        assert_eq!(uid("a"), uid("a"));
        assert_ne!(uid("a"), uid("b"));
    }

    /// An event with these lines; `/` begins an override.
    fn series(lines: &str) -> Object {
        let parts = lines.split('/').enumerate().map(|(at, lines)| {
            let when = match at {
                0 => "DTSTART:20260601T100000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=5".to_owned(),
                at => format!("RECURRENCE-ID:2026060{at}T100000Z\nDTSTART:2026060{at}T120000Z\nDURATION:PT2H"),
            };
            let lines: String = lines.split_whitespace().map(|line| format!("{line}\n")).collect();
            format!("BEGIN:VEVENT\nUID:u\nDTSTAMP:20260101T000000Z\n{when}\n{lines}END:VEVENT\n")
        });
        let parts: String = parts.collect();
        let text = format!("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//EN\n{parts}END:VCALENDAR\n");
        Object::parse(&text).unwrap()
    }

    fn anna() -> Vec<String> {
        vec!["anna@example.org".to_owned(), "a.muster@example.com".to_owned()]
    }

    /// What is said of the time, in the words of each component, without UID, times and title.
    #[test]
    fn says_what_the_time_is_and_not_why() {
        let check = |lines: &str, mask: Mask, expect: &[&str]| {
            let text = redact(&series(lines), mask, "v", &anna());
            let said: Vec<String> = Component::parse(&text)
                .unwrap()
                .components
                .iter()
                .map(|c| {
                    let spoken = ["STATUS", "TRANSP", "X-MICROSOFT-CDO-BUSYSTATUS"];
                    let lines = c.properties.iter().filter(|p| spoken.contains(&p.name()));
                    lines.map(|p| p.value()).collect::<Vec<_>>().join(" ")
                })
                .collect();
            assert_eq!(said, expect, "{lines}: {text}");
            assert!(!text.contains("ATTENDEE") && !text.to_lowercase().contains("example"), "{text}");
        };
        let both = |lines: &str, expect: &[&str]| {
            check(lines, Mask::Busy, expect);
            check(lines, Mask::Title, expect);
        };
        both("", &["OPAQUE"]);
        both("STATUS:CONFIRMED TRANSP:OPAQUE", &["OPAQUE"]);
        both("TRANSP:TRANSPARENT", &["TRANSPARENT"]);
        both("TRANSP:X-WHATEVER", &["OPAQUE"]);
        both("STATUS:TENTATIVE", &["TENTATIVE OPAQUE"]);
        both("STATUS:TENTATIVE TRANSP:TRANSPARENT", &["TRANSPARENT"]);
        both("X-MICROSOFT-CDO-BUSYSTATUS:OOF", &["OPAQUE OOF"]);
        both("X-MICROSOFT-CDO-BUSYSTATUS:OOF STATUS:TENTATIVE", &["OPAQUE OOF"]);
        both("X-MICROSOFT-CDO-BUSYSTATUS:FREE", &["TRANSPARENT"]);
        both("X-MICROSOFT-CDO-BUSYSTATUS:TENTATIVE", &["TENTATIVE OPAQUE"]);
        both("X-MICROSOFT-CDO-BUSYSTATUS:WORKINGELSEWHERE", &["OPAQUE"]);
        both("ATTENDEE;PARTSTAT=DECLINED:mailto:Anna@Example.org", &["TRANSPARENT"]);
        both("ATTENDEE;PARTSTAT=TENTATIVE:mailto:anna@example.org", &["TENTATIVE OPAQUE"]);
        both("ATTENDEE;PARTSTAT=DECLINED:mailto:bert@example.org", &["OPAQUE"]);
        both("STATUS:TENTATIVE ATTENDEE;PARTSTAT=DECLINED:mailto:anna@example.org", &["TRANSPARENT"]);
        both("/ATTENDEE;PARTSTAT=DECLINED:mailto:anna@example.org", &["OPAQUE", "TRANSPARENT"]);
        both("ATTENDEE;PARTSTAT=TENTATIVE:mailto:anna@example.org /", &["TENTATIVE OPAQUE", "OPAQUE"]);
        check("STATUS:CANCELLED", Mask::Busy, &["TRANSPARENT"]);
        check("STATUS:CANCELLED", Mask::Title, &["CANCELLED TRANSPARENT"]);
    }

    proptest! {
        /// Whatever is said of the time of an event: under a mask the time is the same, for its owner and for anybody.
        #[test]
        fn every_instance_is_as_busy_as_before(
            parts in proptest::collection::vec(proptest::collection::vec(line(), 0..5), 1..4),
            title in any::<bool>(),
        ) {
            let object = series(&parts.iter().map(|lines| lines.join(" ")).collect::<Vec<_>>().join("/"));
            let mask = if title { Mask::Title } else { Mask::Busy };
            let text = redact(&object, mask, "v", &anna());
            let masked = Object::parse(&text).unwrap();
            let time = |object: &Object, me: &[String]| {
                let all = crate::ical::Window::ALL;
                let found = recur::instances(object, all, &jiff::tz::TimeZone::UTC, Default::default()).unwrap();
                found.iter().map(|i| (i.start, i.end, recur::busy(i.component, me))).collect::<Vec<_>>()
            };
            prop_assert_eq!(time(&object, &anna()).len(), 5);
            prop_assert_eq!(time(&masked, &anna()), time(&object, &anna()), "{}", text);
            prop_assert_eq!(time(&masked, &[]), time(&object, &anna()), "{}", text);
        }
    }

    fn line() -> impl Strategy<Value = String> {
        let said = |name: &'static str, values: &'static [&'static str]| {
            proptest::sample::select(values).prop_map(move |value| format!("{name}:{value}"))
        };
        let people = ["anna@example.org", "A.Muster@example.com", "bert@example.org"];
        let answers = ["", ";PARTSTAT=DECLINED", ";PARTSTAT=TENTATIVE", ";PARTSTAT=ACCEPTED", ";PARTSTAT=NEEDS-ACTION"];
        let attendee = (proptest::sample::select(answers.to_vec()), proptest::sample::select(people.to_vec()))
            .prop_map(|(answer, person)| format!("ATTENDEE{answer}:mailto:{person}"));
        prop_oneof![
            said("TRANSP", &["OPAQUE", "TRANSPARENT", "transparent-noconflict", "X-OTHER"]),
            said("STATUS", &["CONFIRMED", "TENTATIVE", "CANCELLED", "tentative", "X-OTHER"]),
            said("X-MICROSOFT-CDO-BUSYSTATUS", &["FREE", "BUSY", "OOF", "TENTATIVE", "WORKINGELSEWHERE"]),
            attendee.clone(),
            attendee,
        ]
    }
}
