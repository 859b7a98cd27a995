//! The same event as others may see it: full, title, busy.

use sha2::{Digest, Sha256};

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

/// `object` under `mask`. `Full` gives the text itself. Otherwise only what the mask allows is written, by an
/// allow-list: times, rule, TRANSP, STATUS, and for `Title` SUMMARY. The UID becomes a stable hash with `viewer`.
pub fn redact(object: &Object, mask: Mask, viewer: &str) -> String {
    if mask == Mask::Full {
        return object.text().to_owned();
    }
    let uid = masked_uid(object.uid(), viewer);
    let mut calendar = Component::new("VCALENDAR");
    calendar.properties.push(Property::new("VERSION", "2.0"));
    calendar.properties.push(Property::new("PRODID", "-//calgate//EN"));
    calendar.components.extend(object.calendar().components.iter().filter(|c| c.name == "VTIMEZONE").map(zone));
    calendar.components.extend(object.components().map(|c| masked(c, mask, &uid)));
    calendar.print()
}

/// The same for one viewer always; of no use to find the UID, or the same event as another viewer has it.
fn masked_uid(uid: &str, viewer: &str) -> String {
    let mut hash = Sha256::new();
    // The length keeps two pairs apart that only read the same one after the other.
    hash.update((viewer.len() as u64).to_be_bytes());
    hash.update(viewer);
    hash.update(uid);
    hash.finalize().iter().take(20).map(|b| format!("{b:02x}")).collect()
}

fn masked(component: &Component, mask: Mask, uid: &str) -> Component {
    let mut out = Component::new(&component.name);
    out.properties.push(Property::new("UID", uid));
    for property in &component.properties {
        match property.name.as_str() {
            "DTSTAMP" | "DTSTART" | "DTEND" | "DUE" | "DURATION" | "COMPLETED" | "RECURRENCE-ID" | "RRULE"
            | "EXRULE" | "RDATE" | "EXDATE" | "TRANSP" | "STATUS" | "SEQUENCE" | "FREEBUSY" => {
                out.properties.push(with_params(property, &["TZID", "VALUE", "RANGE", "FBTYPE"]));
            }
            "X-MICROSOFT-CDO-BUSYSTATUS" => out.properties.push(with_params(property, &[])),
            "SUMMARY" if mask == Mask::Title => out.properties.push(with_params(property, &["LANGUAGE"])),
            _ => {}
        }
    }
    if mask == Mask::Busy {
        out.properties.push(Property::new("SUMMARY", "Busy"));
    }
    out
}

/// A VTIMEZONE says when, not what: the lines that RFC 5545 3.6.5 knows stay, comments and a maker's own do not.
fn zone(component: &Component) -> Component {
    let mut out = Component::new(&component.name);
    let known = ["TZID", "DTSTART", "TZOFFSETFROM", "TZOFFSETTO", "RRULE", "RDATE", "TZNAME", "TZUNTIL"];
    let lines = component.properties.iter().filter(|p| known.contains(&p.name.as_str()));
    out.properties.extend(lines.map(|p| with_params(p, &["VALUE", "TZID"])));
    let observances = component.components.iter().filter(|c| c.name == "STANDARD" || c.name == "DAYLIGHT");
    out.components.extend(observances.map(zone));
    out
}

fn with_params(property: &Property, allowed: &[&str]) -> Property {
    let params = property.params.iter().filter(|(name, _)| allowed.contains(&name.as_str()));
    Property { params: params.cloned().collect(), ..Property::new(&property.name, property.value.clone()) }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(redact(&object, Mask::Full, "v"), TEXT);
        for (mask, titles) in [(Mask::Busy, false), (Mask::Title, true)] {
            let text = redact(&object, mask, "v");
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
            Object::parse(&redact(&Object::parse(TEXT).unwrap(), Mask::Busy, viewer)).unwrap().uid().to_owned()
        };
        assert_eq!(uid("a"), uid("a"));
        assert_ne!(uid("a"), uid("b"));
    }
}
