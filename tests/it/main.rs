//! The one integration-test binary. A test is a text wherever it can be; the texts are in `fixtures/`.

mod access;
mod attacks;
mod client;
mod commands;
mod dav;
mod dav_pages;
mod engine;
mod free_busy;
mod grants;
mod ical;
mod ical_change;
mod ical_filter;
mod ical_fuzz;
mod ical_hostile;
mod ical_jcal;
mod ical_redact;
mod ical_rules;
mod kit;
mod moves;
mod provider;
mod push;
mod store;
mod tidy;
mod tokens;
mod traps;
mod web;
