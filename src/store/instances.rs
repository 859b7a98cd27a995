//! The time index: instances of events inside the horizon, for free/busy and a month's query.
#![allow(unused_variables)]

use super::calendars::Calendar;
use super::resources::Resource;
use super::{Result, Tx};
use crate::ical::{Instant, Window, recur};
use crate::ids::CalendarId;

/// A calendar that a free/busy is made of, and how fresh it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contributor {
    pub slug: String,
    /// `None`: a member that is configured and not there (yet): nothing is known of it.
    pub id: Option<CalendarId>,
    /// Mirrors: when it was last read whole and well, `None` = never. Local: `Some(now)` as far as the reader cares.
    pub fresh_at: Option<Instant>,
    /// True when no upstream is involved, so that it can not be stale.
    pub local: bool,
}

/// The calendar itself, or the members of a unified one.
pub fn contributors(tx: &mut Tx<'_>, calendar: &Calendar) -> Result<Vec<Contributor>> { todo!() }

/// What the time index holds of one contributor for `window`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    /// Entries that overlap `window`; floating ones that may, in some zone. Free ones are left out.
    pub entries: Vec<recur::Entry>,
    /// Objects that the index does not hold (dense ones, or all that recur when the window leaves the horizon):
    /// expand them.
    pub rest: Vec<Resource>,
}

pub fn busy(tx: &mut Tx<'_>, calendar: CalendarId, window: Window) -> Result<Busy> { todo!() }
