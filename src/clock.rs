//! The only reader of the system clock, and a clock that tests move by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::ical::Instant;

/// Tells the time. Cloning gives the same clock.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// `Some`: the clock stands still at this many seconds since 1970 until a test moves it.
    held: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system clock.
    pub fn system() -> Clock {
        Clock { held: None }
    }

    /// A clock that stands at `at` until it is moved by [`Clock::advance`] or [`Clock::set`].
    pub fn held(at: Instant) -> Clock {
        Clock { held: Some(Arc::new(AtomicI64::new(at.0))) }
    }

    /// The current instant, in whole seconds UTC, rounded down.
    pub fn now(&self) -> Instant {
        match &self.held {
            Some(at) => Instant(at.load(Ordering::SeqCst)),
            None => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                // A clock set before 1970 reads as 1970: everything is then due, nothing is lost.
                Instant(since.map_or(0, |d| d.as_secs() as i64))
            }
        }
    }

    /// Moves a held clock by `seconds`, forwards or back. Does nothing to the system clock.
    pub fn advance(&self, seconds: i64) {
        if let Some(at) = &self.held {
            at.fetch_add(seconds, Ordering::SeqCst);
        }
    }

    /// Sets a held clock. Does nothing to the system clock.
    pub fn set(&self, to: Instant) {
        if let Some(at) = &self.held {
            at.store(to.0, Ordering::SeqCst);
        }
    }
}
