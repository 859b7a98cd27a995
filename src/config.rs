//! `gateway.toml` → [`Config`]. Every complaint has file, line, column, the line itself and a hint.
#![allow(unused_variables)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ical::Mask;
use crate::secrets::Secret;
use crate::store::accounts::Taken;
use crate::store::feeds::FeedKind;

/// The whole configuration, checked.
#[derive(Clone)]
pub struct Config {
    pub server: Server,
    pub storage: Storage,
    pub secrets: SecretsSection,
    pub sync: Sync,
    pub users: Vec<User>,
}

#[derive(Clone)]
pub struct Server {
    /// Default `127.0.0.1:5232`.
    pub listen: SocketAddr,
    /// What clients type: scheme, host, port; hrefs and redirects are made from it, never from Host. No final slash.
    pub public_url: String,
    pub tls: Option<Tls>,
    /// Default 10 000.
    pub max_connections: usize,
    /// Largest calendar object and XML body in bytes. Default 2 MiB.
    pub max_body: usize,
    /// Default `calgate.pid` beside the configuration file; what `calgate reload` reads.
    pub pid_file: PathBuf,
    /// `trace` … `error`, or a filter as `RUST_LOG` takes it. Default `info`.
    pub log: String,
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat { Text, Json }

#[derive(Clone)]
pub struct Tls {
    /// PEM files; read anew at reload.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Clone)]
pub struct Storage {
    /// `sqlite:PATH` (relative to the configuration file) or `postgres://user@host/database`.
    pub url: String,
}

#[derive(Clone)]
pub struct SecretsSection {
    /// Default `calgate.key` beside the configuration file.
    pub key_file: PathBuf,
}

#[derive(Clone)]
pub struct Sync {
    /// Between two pulls of a calendar. Default 5 min.
    pub interval: Duration,
    /// How long a client's write waits for the upstream. Default 5 s.
    pub write_wait: Duration,
    pub upstream_away: UpstreamAway,
    /// After this long without a good pull a member's time is not known any more. Default 1 h.
    pub stale_after: Duration,
    pub stale: Stale,
}

/// What a client hears when its write could not be sent in `write_wait`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamAway {
    /// 201/204: kept here, sent later.
    Keep,
    /// 503 with Retry-After: not kept.
    Refuse,
}

/// What free/busy says of a member that was not read for longer than `stale_after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// The whole window is BUSY-UNAVAILABLE.
    BusyUnavailable,
    /// 503.
    Error,
}

#[derive(Clone)]
pub struct User {
    /// `[a-z0-9][a-z0-9._-]{0,63}`.
    pub name: String,
    /// argon2id in PHC form.
    pub password: Option<String>,
    pub display_name: String,
    /// Lower case, the first preferred.
    pub addresses: Vec<String>,
    /// IANA. Default `UTC`.
    pub zone: String,
    pub accounts: Vec<Account>,
    /// Local calendars.
    pub calendars: Vec<LocalCalendar>,
    pub unified: Vec<Unified>,
    pub feeds: Vec<Feed>,
}

#[derive(Clone)]
pub struct Account {
    pub name: String,
    /// One of `provider::KINDS`.
    pub kind: String,
    pub url: String,
    pub login: String,
    pub password: Password,
    /// Empty: take all.
    pub calendars: Vec<Taken>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// `env:NAME` or `file:PATH` as written (PATH made absolute).
    Reference(String),
    /// `sealed`: given by `calgate account add`, sealed in the database.
    Sealed,
}

#[derive(Clone)]
pub struct LocalCalendar {
    pub slug: String,
    pub display_name: String,
    pub color: Option<String>,
}

#[derive(Clone)]
pub struct Unified {
    pub slug: String,
    pub display_name: String,
    pub color: Option<String>,
    /// In order: the first that has a UID shows it.
    pub members: Vec<Member>,
    /// The slug of the member that new objects go to.
    pub write_to: String,
}

#[derive(Clone)]
pub struct Member {
    pub slug: String,
    pub mask: Mask,
}

#[derive(Clone)]
pub struct Feed {
    pub calendar: String,
    pub kind: FeedKind,
    /// At least 22 characters. May be written as `env:` or `file:`; here it is read.
    pub token: Secret,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    pub file: String,
    /// From 1; 0: the whole file (not there, not UTF-8).
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line itself.
    pub text: String,
    /// Characters to mark from `column` on.
    pub width: usize,
    pub message: String,
    /// What to do, as a sentence; empty: nothing to add.
    pub hint: String,
}

/// Reads and checks a file; every mistake in one run.
pub fn load(file: &Path) -> Result<Config, Vec<Complaint>> { todo!() }
/// Checks a text; `file` names it in complaints and is what paths are relative to.
pub fn parse(text: &str, file: &Path) -> Result<Config, Vec<Complaint>> { todo!() }
