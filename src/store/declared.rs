//! `gateway.toml` → rows: what is declared is there, what is no longer declared is hidden, nothing is lost.
#![allow(unused_variables)]

use super::{Result, Tx};
use crate::config::Config;
use crate::ical::Instant;

/// Makes the database hold what `config` declares. Calendars keep their epoch and seq, so no sync token is lost.
pub fn apply(tx: &mut Tx<'_>, config: &Config, now: Instant) -> Result<()> { todo!() }
