//! Instances of an object in a window: the only place that expands.
#![allow(unused_variables)]

use jiff::tz::TimeZone;

use super::{Component, Instant, Object, Span, Window};

/// One happening in time of a VEVENT, VTODO or VJOURNAL.
#[derive(Clone, Debug)]
pub struct Instance<'a> {
    /// When it happens, half-open; `start == end` for an event without length.
    pub start: Instant,
    pub end: Instant,
    /// True for DATE values.
    pub all_day: bool,
    /// The instant its rule put it at: equal to `start` unless an override moved it. `None` when it does not recur.
    pub recurrence_id: Option<Instant>,
    /// The master, or the override that stands for it.
    pub component: &'a Component,
}

/// Why an object was not expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// More instances or steps than the limit: answer 507 or 403, never a part.
    TooMany,
    /// A rule we can not read (or RSCALE): what it means is unknown, and unknown is busy.
    Unreadable(String),
}

/// How much work one call may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Instances given back.
    pub instances: usize,
    /// Steps of the search, those that give nothing included.
    pub steps: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { instances: 10_000, steps: 100_000 }
    }
}

/// The instances that overlap `window` (RFC 4791 9.9: one without length overlaps when its start is inside), by start.
/// Floating and all-day times are taken in `zone`. Overrides that were moved into or out of the window are honoured.
/// Works from the window, not from DTSTART, for rules without COUNT.
pub fn instances<'a>(
    object: &'a Object,
    window: Window,
    zone: &TimeZone,
    limits: Limits,
) -> Result<Vec<Instance<'a>>, Error> {
    todo!()
}

/// What an instance does to the time of a person (RFC 5545 3.2.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Busy {
    /// TRANSPARENT, CANCELLED, or declined by the person.
    Free = 0,
    Tentative = 1,
    Busy = 2,
    /// Out of office (X-MICROSOFT-CDO-BUSYSTATUS:OOF), or not known.
    Unavailable = 3,
}

/// The kind of busy that a component means for the person with these addresses (lower case, without `mailto:`).
/// TRANSP, STATUS, PARTSTAT of the attendee that is the person, X-MICROSOFT-CDO-BUSYSTATUS.
pub fn busy(component: &Component, me: &[String]) -> Busy {
    todo!()
}

/// One row of the time index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// An instant; when `floating`, wall-clock seconds as they would be in UTC, for [`super::zone::resolve`].
    pub start: i64,
    pub end: i64,
    /// True for floating and all-day times: the reader's zone decides.
    pub floating: bool,
    pub busy: Busy,
}

/// The time index of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    pub span: Span,
    /// The instances of a VEVENT inside the horizon. Empty when `dense`.
    pub entries: Vec<Entry>,
    /// True when there are too many instances to write down, or the rule can not be read, or it is not a VEVENT:
    /// the span selects, and [`instances`] decides when asked.
    pub dense: bool,
}

/// The time index of `object` for `horizon`; at most `limit` entries, else dense.
pub fn index(object: &Object, horizon: Window, me: &[String], limit: usize) -> Index {
    todo!()
}
