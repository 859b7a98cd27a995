//! calgate: calendar clients speak CalDAV to it; it mirrors upstream calendars, merges them into one
//! writable calendar, and answers for all of them with one free/busy.
//!
//! The modules in reading order, which is also the layer picture: each may name those below it.
//!
//! ```text
//!   web    dav    (body)      requests end here
//!   sync                      decisions: pull, plan, push
//!   export                    a whole calendar as one file
//!   busy                      decisions: what is free
//!   store  │  provider        effects: our database │ somebody else's server
//!   ical                      calendar data, pure
//! ```
//!
//! `app clock config ids secrets` may be named by all but `ical`. `tests/it/tidy.rs` holds this table.

pub mod app;
pub mod clock;
pub mod config;
pub mod ids;
pub mod secrets;

pub mod ical;

pub mod provider;
pub mod store;

pub mod busy;
pub mod export;
pub mod sync;

pub mod body;
pub mod dav;
pub mod web;
