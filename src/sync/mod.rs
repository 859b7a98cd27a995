//! The engine. Store + provider + plan; no HTTP, no SQL. Read `plan.rs` first.

pub mod jobs;
pub mod limits;
pub mod notify;
pub mod plan;
pub mod pull;
pub mod push;
pub mod relocate;
pub mod shape;
pub mod write;

use std::time::Duration;

use crate::app::App;
use crate::config;
use crate::ical::Instant;
use crate::provider::{self, Provider, Settings};
use crate::secrets::Place;
use crate::store::Tx;
use crate::store::accounts::{Account, Password};
use crate::store::calendars::{self, Calendar};
use crate::store::jobs::{Lease, renew};

/// Opens the account at its upstream. The error is one sentence for people, without secrets.
pub fn open(app: &App, account: &Account) -> Result<Box<dyn Provider>, String> {
    let row = format!("{}/{}", account.user_name, account.name);
    let password = match &account.password {
        Password::Reference(reference) => config::read_reference(reference)?,
        Password::Sealed(sealed) => {
            let place = Place { table: "accounts", column: "password", row: &row };
            app.secrets.unseal(&place, sealed)?
        }
        Password::Absent => {
            let (user, name) = (&account.user_name, &account.name);
            return Err(format!("its password was not given yet: run `calgate account add {user} {name}`"));
        }
    };
    let url = url::Url::parse(&account.url).map_err(|e| format!("its URL is wrong: {e}"))?;
    let settings = Settings { url, login: account.login.clone(), password, http: app.http.clone() };
    provider::open(&account.kind, settings).ok_or_else(|| format!("there is no kind of account {:?}", account.kind))
}

/// Why a duty was not done, for people and for the next attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One sentence, without secrets.
    pub why: String,
    /// Not before that.
    pub after: Option<Duration>,
}

impl Trouble {
    fn new(why: impl Into<String>) -> Trouble {
        Trouble { why: why.into(), after: None }
    }
}

impl From<crate::store::Error> for Trouble {
    fn from(e: crate::store::Error) -> Trouble {
        Trouble::new(e.to_string())
    }
}

impl From<provider::Error> for Trouble {
    fn from(e: provider::Error) -> Trouble {
        match e {
            provider::Error::Retry { after, why } => Trouble { why, after },
            // Only the user can help: asking often helps nobody, and locks accounts at some upstreams.
            provider::Error::Reconnect { why } => Trouble { why, after: Some(Duration::from_secs(15 * 60)) },
            provider::Error::Stale => Trouble::new("the upstream changed while it was read"),
            provider::Error::Exists(_) => Trouble::new("the upstream has another object there"),
            provider::Error::CursorLost => Trouble::new("the upstream forgot where we were, twice in a row"),
            provider::Error::Refused(why) => Trouble::new(why),
            provider::Error::Missing => Trouble::new("the upstream does not have this calendar any more"),
        }
    }
}

/// Begins a worker's writing transaction: takes the clock's lock and then renews the lease (everybody takes them in that
/// order), and reads the mirror anew. Stops when the lease is lost, or when the mirror was hidden or given another upstream
/// calendar since: what was asked of the one is no news for the other.
fn still(tx: &mut Tx<'_>, lease: &Lease, calendar: &Calendar, now: Instant) -> Result<Calendar, Trouble> {
    calendars::lock(tx, calendar)?;
    if !renew(tx, lease, now)? {
        return Err(Trouble::new("another worker has taken over"));
    }
    match calendars::for_engine(tx, calendar.id)? {
        Some(current) if current.source == calendar.source => Ok(current),
        _ => Err(Trouble::new("the calendar was given another upstream calendar, or was removed")),
    }
}
