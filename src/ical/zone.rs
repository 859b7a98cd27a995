//! TZID, VTIMEZONE and Windows names → a zone; floating and all-day times by a given zone.
#![allow(unused_variables)]

use jiff::tz::TimeZone;

use super::{Component, Instant};

/// The zone of an IANA name, an alias, or a Windows name. Never UTC for a name it does not know.
pub fn named(name: &str) -> Option<TimeZone> {
    todo!()
}

/// The zone that the text of a `calendar-timezone` property (a VCALENDAR with one VTIMEZONE) means.
pub fn of_calendar_text(text: &str) -> Option<TimeZone> {
    todo!()
}

/// What a wall-clock time, given as the seconds it would be in UTC, is in `zone`.
/// A gap moves it forward by the gap, a fold takes the first (RFC 5545 3.3.5).
pub fn resolve(wall: i64, zone: &TimeZone) -> Instant {
    todo!()
}

/// A VTIMEZONE for `zone` with both observances, valid for the years that `from` … `until` touch.
pub fn vtimezone(name: &str, zone: &TimeZone, from: Instant, until: Instant) -> Component {
    todo!()
}
