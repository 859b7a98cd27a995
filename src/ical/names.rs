//! What RFCs define by name: components, and properties with the type of their value: RFC 5545, 6321, 7808, 7953, 7986,
//! 9073, 9074, 9253.

use std::borrow::Cow;

use super::text::is_of_name;

/// The name of a component in upper case; no memory is spent for those that RFCs define. What no name may hold is left
/// out.
pub(super) fn component(name: &str) -> Cow<'static, str> {
    match COMPONENTS.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(name.chars().filter(|c| is_of_name(*c)).map(|c| c.to_ascii_uppercase()).collect()),
    }
}

/// Those that are met most come first.
const COMPONENTS: [&str; 15] = [
    "VEVENT",
    "VCALENDAR",
    "VALARM",
    "VTIMEZONE",
    "STANDARD",
    "DAYLIGHT",
    "VTODO",
    "VJOURNAL",
    "VFREEBUSY",
    "VAVAILABILITY",
    "AVAILABLE",
    "PARTICIPANT",
    "VLOCATION",
    "VRESOURCE",
    "VPATCH",
];

/// A type of value (RFC 5545 3.3, RFC 9253 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Binary,
    Boolean,
    CalAddress,
    Date,
    DateTime,
    Duration,
    Float,
    Integer,
    Period,
    Recur,
    Text,
    Time,
    Uid,
    Uri,
    UtcOffset,
    XmlReference,
}

/// As VALUE spells them, in the lower case of jCal (RFC 7265 3.6).
const TYPES: &[(&str, Type)] = &[
    ("binary", Type::Binary),
    ("boolean", Type::Boolean),
    ("cal-address", Type::CalAddress),
    ("date", Type::Date),
    ("date-time", Type::DateTime),
    ("duration", Type::Duration),
    ("float", Type::Float),
    ("integer", Type::Integer),
    ("period", Type::Period),
    ("recur", Type::Recur),
    ("text", Type::Text),
    ("time", Type::Time),
    ("uid", Type::Uid),
    ("uri", Type::Uri),
    ("utc-offset", Type::UtcOffset),
    ("xml-reference", Type::XmlReference),
];

impl Type {
    /// Lower case: `date-time`.
    pub fn name(self) -> &'static str {
        TYPES.iter().find(|(_, of)| *of == self).map_or("text", |(name, _)| name)
    }

    /// By its name in any case.
    pub fn of(name: &str) -> Option<Type> {
        TYPES.iter().find(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, of)| *of)
    }
}

/// What is said of a property by its name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// The type when no VALUE says another one.
    pub value: Type,
    /// Its RFC names no type that goes without saying: VALUE is always written.
    pub stated: bool,
    /// What its value is made of.
    pub shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One value.
    One,
    /// Values with commas between.
    List,
    /// Fields with semicolons between.
    Fields,
}

/// What a property of that name (upper case) holds; `None` for names that no RFC here defines.
pub(super) fn known(name: &str) -> Option<Known> {
    let at = PROPERTIES.binary_search_by(|(known, ..)| (*known).cmp(name)).ok()?;
    let (name, value, shape) = PROPERTIES[at];
    Some(Known { value, stated: STATED.contains(&name), shape })
}

/// RFC 7986 5.7, 5.8, 5.10, 5.11; RFC 9073 6.5, 6.6; RFC 9253 8.2.
const STATED: &[&str] =
    &["CONFERENCE", "IMAGE", "LINK", "REFRESH-INTERVAL", "SOURCE", "STRUCTURED-DATA", "STYLED-DESCRIPTION"];

use Shape::{Fields, List, One};
use Type::{CalAddress, DateTime, Duration, Float, Integer, Period, Recur, Text, Uri, UtcOffset};

/// By name.
const PROPERTIES: &[(&str, Type, Shape)] = &[
    ("ACKNOWLEDGED", DateTime, One),
    ("ACTION", Text, One),
    ("ATTACH", Uri, One),
    ("ATTENDEE", CalAddress, One),
    ("BUSYTYPE", Text, One),
    ("CALENDAR-ADDRESS", CalAddress, One),
    ("CALSCALE", Text, One),
    ("CATEGORIES", Text, List),
    ("CLASS", Text, One),
    ("COLOR", Text, One),
    ("COMMENT", Text, One),
    ("COMPLETED", DateTime, One),
    ("CONCEPT", Uri, One),
    ("CONFERENCE", Uri, One),
    ("CONTACT", Text, One),
    ("CREATED", DateTime, One),
    ("DESCRIPTION", Text, One),
    ("DTEND", DateTime, One),
    ("DTSTAMP", DateTime, One),
    ("DTSTART", DateTime, One),
    ("DUE", DateTime, One),
    ("DURATION", Duration, One),
    ("EXDATE", DateTime, List),
    ("EXRULE", Recur, One),
    ("FREEBUSY", Period, List),
    ("GEO", Float, Fields),
    ("IMAGE", Uri, One),
    ("LAST-MODIFIED", DateTime, One),
    ("LINK", Uri, One),
    ("LOCATION", Text, One),
    ("LOCATION-TYPE", Text, List),
    ("METHOD", Text, One),
    ("NAME", Text, One),
    ("ORGANIZER", CalAddress, One),
    ("PARTICIPANT-TYPE", Text, One),
    ("PERCENT-COMPLETE", Integer, One),
    ("PRIORITY", Integer, One),
    ("PRODID", Text, One),
    ("PROXIMITY", Text, One),
    ("RDATE", DateTime, List),
    ("RECURRENCE-ID", DateTime, One),
    ("REFID", Text, One),
    ("REFRESH-INTERVAL", Duration, One),
    ("RELATED-TO", Text, One),
    ("REPEAT", Integer, One),
    ("REQUEST-STATUS", Text, Fields),
    ("RESOURCE-TYPE", Text, One),
    ("RESOURCES", Text, List),
    ("RRULE", Recur, One),
    ("SEQUENCE", Integer, One),
    ("SOURCE", Uri, One),
    ("STATUS", Text, One),
    ("STRUCTURED-DATA", Text, One),
    ("STYLED-DESCRIPTION", Text, One),
    ("SUMMARY", Text, One),
    ("TRANSP", Text, One),
    ("TRIGGER", Duration, One),
    ("TZID", Text, One),
    ("TZID-ALIAS-OF", Text, One),
    ("TZNAME", Text, One),
    ("TZOFFSETFROM", UtcOffset, One),
    ("TZOFFSETTO", UtcOffset, One),
    ("TZUNTIL", DateTime, One),
    ("TZURL", Uri, One),
    ("UID", Text, One),
    ("URL", Uri, One),
    ("VERSION", Text, One),
    ("XML", Text, One),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_searched() {
        assert!(PROPERTIES.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(known("CATEGORIES"), Some(Known { value: Type::Text, stated: false, shape: Shape::List }));
        assert_eq!(known("X-ANY"), None);
        assert!(STATED.iter().all(|name| known(name).unwrap().stated));
        assert!(TYPES.iter().all(|(name, of)| of.name() == *name && Type::of(&name.to_uppercase()) == Some(*of)));
    }
}
