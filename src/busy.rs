//! Free/busy: gather what every member holds, and merge it. Fails closed: what we do not know is busy, or an error.
#![allow(unused_variables)]

use crate::config;
use crate::ical::{Instant, Window, recur::Busy};
use crate::store::{self, Tx, calendars::Calendar};

/// A busy stretch, with its kind. Never `Busy::Free`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    pub window: Window,
    pub kind: Busy,
}

/// What is known of a calendar's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Disjoint, sorted; neighbours of one kind are joined; the stronger kind wins where two overlap.
    pub periods: Vec<Period>,
    /// Slugs of the members that were not read for longer than `stale_after` (their whole window is `Unavailable`).
    pub unknown: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// By configuration: a member was not read for too long. 503. Names the member.
    Stale(String),
    Store(store::Error),
}

impl From<store::Error> for Error {
    fn from(e: store::Error) -> Error {
        Error::Store(e)
    }
}

/// The busy time of `calendar` in `window`: of all its members when it is a unified one.
pub fn gather(tx: &mut Tx<'_>, calendar: &Calendar, window: Window, rules: &config::Sync, now: Instant) -> Result<Answer, Error> { todo!() }

/// Sorted, disjoint, clipped to `window`, the stronger kind winning.
pub fn merge(periods: Vec<Period>, window: Window) -> Vec<Period> { todo!() }

/// A VCALENDAR with one VFREEBUSY (RFC 5545 3.6.4): UTC, explicit FBTYPE, one FREEBUSY line a period.
/// `method`: `Some("PUBLISH")` for feeds, `None` in a REPORT.
pub fn to_ical(answer: &Answer, window: Window, organizer: Option<&str>, stamp: Instant, uid: &str, method: Option<&str>) -> String { todo!() }
