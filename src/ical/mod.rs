//! Calendar data. Pure: no I/O, no clock, no async, and nothing of ours above it.
//!
//! Begin with `object.rs`: an [`Object`] is the only model of an event from PUT to push.

#![warn(missing_docs)]

pub mod availability;
pub mod change;
mod collation;
pub mod file;
pub mod filter;
pub mod freebusy;
pub mod jcal;
mod mend;
mod names;
pub mod object;
mod range;
mod read;
pub mod recur;
pub mod redact;
pub mod repair;
mod rule;
pub mod scheduling;
pub mod select;
pub mod text;
mod time;
mod vtimezone;
mod windows_zones;
pub mod zone;
mod zone_names;

use std::fmt;

pub use object::{Kind, Object, Span};
pub use redact::Mask;
pub use repair::{Damage, Reading, Repair};
pub use text::{Component, Property};

/// A moment: whole seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub i64);

impl Instant {
    /// Before all that can be written.
    pub const MIN: Instant = Instant(i64::MIN / 4);
    /// Behind all that can be written.
    pub const MAX: Instant = Instant(i64::MAX / 4);

    /// `seconds` later (or earlier, when negative).
    pub fn plus(self, seconds: i64) -> Instant {
        Instant(self.0.saturating_add(seconds))
    }

    /// As calendar data writes it: `20260105T090000Z`. What lies outside the years 1 to 9999 is the nearest inside.
    pub fn utc(self) -> String {
        time::format_utc(self)
    }
}

/// A half-open stretch of time: `start` is inside, `end` is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// The first moment inside.
    pub start: Instant,
    /// The first moment behind it.
    pub end: Instant,
}

impl Window {
    /// All of time, as far as it can be written.
    pub const ALL: Window = Window { start: Instant::MIN, end: Instant::MAX };

    /// Refuses (`None`) an empty or backward window.
    pub fn new(start: Instant, end: Instant) -> Option<Window> {
        (start < end).then_some(Window { start, end })
    }
}

/// Why a text is not calendar data, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The line of the text (or the JSON) as it was sent, counted from 1; 0 when no one line is to blame.
    pub line: usize,
    /// What is wrong, and what to do, in words for a person.
    pub reason: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.reason),
            line => write!(f, "line {line}: {}", self.reason),
        }
    }
}

impl std::error::Error for Error {}
