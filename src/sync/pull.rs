//! provider → plan → store.
#![allow(unused_variables)]

use crate::app::App;
use crate::ids::{AccountId, CalendarId};

/// What a pull tells while it runs: for progress bars.
pub trait Progress: Send + Sync {
    /// `done` objects so far; `total` when the upstream told how many there will be.
    fn step(&self, done: usize, total: Option<usize>);
}

/// Tells nobody.
pub struct Quiet;

impl Progress for Quiet {
    fn step(&self, _: usize, _: Option<usize>) {}
}

/// What a pull did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub changed: usize,
    pub removed: usize,
    pub conflicts: usize,
    /// Objects that could not be read; see `calgate explain`.
    pub set_aside: usize,
}

/// Reads the account's list of calendars and makes a mirror of each that is taken.
/// The error is one sentence for people; it is also noted at the account.
pub async fn discover(app: &App, account: AccountId) -> Result<Vec<CalendarId>, String> { todo!() }

/// Reads what changed upstream. The error is one sentence for people; it is also noted at the calendar.
pub async fn pull(app: &App, calendar: CalendarId, progress: &dyn Progress) -> Result<Report, String> { todo!() }
