//! What a client may put into a calendar: the limits that the properties of a calendar advertise are these, and are held
//! here (RFC 4791 5.2.5 to 5.2.9). They are for clients: what an upstream holds beyond them is read and shown all the same.

use std::fmt;

use crate::ical::recur::{self, Limits};
use crate::ical::{Component, Object, Property, Window};
use jiff::tz::TimeZone;

/// The first and the last second that a DATE or DATE-TIME of an object may be, as properties say it. What is not in UTC
/// is compared as it stands. Not so for time zones (Outlook's begin in 1601), nor for UNTIL (9999 means for ever).
pub const MIN_DATE_TIME: &str = "19000101T000000Z";
pub const MAX_DATE_TIME: &str = "21001231T235959Z";
/// Instances of one object that has an end: 200 years of every day. What never ends has no number of instances, and is
/// bounded where it is expanded.
pub const MAX_INSTANCES: usize = 100_000;

/// A limit that an object does not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// The precondition of RFC 4791 5.3.2.1 that fails, as an element.
    pub condition: &'static str,
    /// In words.
    pub why: String,
}

impl Exceeded {
    fn new(condition: &'static str, why: impl Into<String>) -> Exceeded {
        Exceeded { condition, why: why.into() }
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// Whether an object keeps these limits, and has at most so many `attendees` in an instance; the error is the precondition
/// that fails.
pub fn check(object: &Object, attendees: usize) -> Result<(), Exceeded> {
    for component in object.components() {
        if component.all("ATTENDEE").nth(attendees).is_some() {
            let why = format!("one event may have at most {attendees} attendees: invite a group");
            return Err(Exceeded::new("<C:max-attendees-per-instance/>", why));
        }
        component.properties.iter().try_for_each(check_dates)?;
    }
    if object.components().any(recurs) && instances_exceed(object) {
        let why = format!("this repeats more than {MAX_INSTANCES} times: let it end earlier, or never");
        return Err(Exceeded::new("<C:max-instances/>", why));
    }
    Ok(())
}

fn check_dates(property: &Property) -> Result<(), Exceeded> {
    if !matches!(property.name(), "DTSTART" | "DTEND" | "DUE" | "RECURRENCE-ID" | "RDATE" | "EXDATE") {
        return Ok(());
    }
    for value in property.value().split([',', '/']).map(str::trim) {
        let digits = |text: &str| text.bytes().take(8).filter(u8::is_ascii_digit).count() == 8;
        // The second half of a period may be a duration.
        if !digits(value) {
            continue;
        }
        let wrong = |condition: &'static str, bound: &str| {
            let name = property.name();
            Err(Exceeded::new(condition, format!("{name} {value} is outside of what is kept here, which {bound}")))
        };
        let (day, time) = (&value[..8], value.get(9..15).unwrap_or("000000"));
        if (day, time) < (&MIN_DATE_TIME[..8], &MIN_DATE_TIME[9..15]) {
            return wrong("<C:min-date-time/>", "begins with the year 1900");
        }
        if (day, time) > (&MAX_DATE_TIME[..8], &MAX_DATE_TIME[9..15]) {
            return wrong("<C:max-date-time/>", "ends with the year 2100");
        }
    }
    Ok(())
}

fn recurs(component: &Component) -> bool {
    component.property("RRULE").is_some() || component.property("RDATE").is_some()
}

fn instances_exceed(object: &Object) -> bool {
    let mut rules = object.components().flat_map(|c| c.all("RRULE"));
    // However far they go.
    if rules.any(|rule| recur::count(rule.value()).is_some_and(|count| count as usize > MAX_INSTANCES)) {
        return true;
    }
    let span = object.span();
    let (Some(first), Some(last)) = (span.first, span.last) else { return false };
    let Some(window) = Window::new(first.plus(-recur::ANY_ZONE), last.plus(recur::ANY_ZONE)) else { return false };
    let limits = Limits { instances: MAX_INSTANCES, steps: 10 * MAX_INSTANCES };
    matches!(recur::instances(object, window, &TimeZone::UTC, limits), Err(recur::Error::TooMany))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What of a VEVENT with these lines is refused.
    fn refused(lines: &str) -> String {
        let text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nBEGIN:VTIMEZONE\r\nTZID:Old\r\nBEGIN:STANDARD\r\n\
             DTSTART:16010101T000000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n\
             BEGIN:VEVENT\r\nUID:u\r\nDTSTAMP:20260101T000000Z\r\n{lines}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        );
        match check(&Object::parse(&text).unwrap_or_else(|e| panic!("{lines}: {e}")), 2_000) {
            Ok(()) => String::new(),
            Err(error) => error.condition.trim_matches(['<', '/', '>']).replace("C:", ""),
        }
    }

    #[test]
    fn dates_are_held_to_what_is_advertised() {
        for (lines, expect) in [
            ("DTSTART:19000101T000000Z", ""),
            ("DTSTART:18991231T235959Z", "min-date-time"),
            ("DTSTART;VALUE=DATE:19000101", ""),
            ("DTSTART;VALUE=DATE:18991231", "min-date-time"),
            ("DTSTART;TZID=Old:21001231T235959", ""),
            ("DTSTART:21001231T235959Z\r\nDTEND:21010101T000000Z", "max-date-time"),
            ("DTSTART;VALUE=DATE:21001231", ""),
            ("DTSTART;VALUE=DATE:21010101", "max-date-time"),
            ("DTSTART:20260101T000000Z\r\nRRULE:FREQ=YEARLY;UNTIL=99991231T000000Z", ""),
            ("DTSTART:20260101T000000Z\r\nRDATE:20260102T000000Z,22000101T000000Z", "max-date-time"),
            ("DTSTART:20260101T000000Z\r\nRDATE;VALUE=PERIOD:20260102T000000Z/PT1H", ""),
            ("DTSTART:20260101T000000Z\r\nEXDATE:18000101T000000Z", "min-date-time"),
            ("DTSTART:20260101T000000Z\r\nCREATED:00010101T000000Z", ""),
        ] {
            assert_eq!(refused(lines), expect, "{lines}");
        }
    }

    #[test]
    fn instances_are_held_to_what_is_advertised() {
        for (rule, expect) in [
            (format!("FREQ=DAILY;COUNT={MAX_INSTANCES}"), ""),
            (format!("FREQ=DAILY;COUNT={}", MAX_INSTANCES + 1), "max-instances"),
            ("FREQ=SECONDLY;COUNT=4294967295".to_owned(), "max-instances"),
            // Its last ones are beyond the last year there is.
            ("FREQ=YEARLY;COUNT=200000".to_owned(), "max-instances"),
            ("FREQ=HOURLY;UNTIL=20370527T155959Z".to_owned(), ""),
            ("FREQ=HOURLY;UNTIL=20370601T000000Z".to_owned(), "max-instances"),
            ("FREQ=DAILY;UNTIL=20991231T000000Z".to_owned(), ""),
            ("FREQ=HOURLY".to_owned(), ""),
        ] {
            assert_eq!(refused(&format!("DTSTART:20260101T000000Z\r\nRRULE:{rule}")), expect, "{rule}");
        }
    }

    #[test]
    fn attendees_are_held_to_what_is_advertised() {
        for (count, expect) in [(2_000, ""), (2_001, "max-attendees-per-instance")] {
            let guests: Vec<String> = (0..count).map(|n| format!("ATTENDEE:mailto:{n}@example.org")).collect();
            assert_eq!(refused(&format!("DTSTART:20260101T000000Z\r\n{}", guests.join("\r\n"))), expect, "{count}");
        }
    }
}
