//! All SQL, and nothing else has any. `Store` owns the threads that own the connections; `tx.rs` is what a closure sees.
#![allow(unused_variables)]

pub mod accounts;
pub mod app_passwords;
pub mod calendars;
pub mod declared;
pub mod feeds;
pub mod instances;
pub mod jobs;
pub mod properties;
pub mod resources;
mod schema;
pub mod tx;
pub mod unified;
pub mod users;

use std::fmt;

pub use tx::Tx;

/// Why the store did not answer. What to do next, not what happened: that is in the text, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The queue is full: answer 503 with Retry-After.
    Busy,
    /// The database can not be reached, or the disk is full: 503, nothing was changed.
    Unavailable(String),
    /// A defect of ours or a damaged database: 500, nothing was changed.
    Broken(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Busy => f.write_str("the database has too much to do"),
            Error::Unavailable(why) => write!(f, "the database can not be used: {why}"),
            Error::Broken(why) => write!(f, "the database refused: {why}"),
        }
    }
}

impl std::error::Error for Error {}

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The database: SQLite in a file, or PostgreSQL by URL.
pub struct Store {}

impl Store {
    /// Opens `url` (`sqlite:PATH`, `sqlite::memory:` or `postgres://…`) and brings its schema up to date.
    /// Refuses a database that a newer calgate wrote.
    pub fn open(url: &str) -> Result<Store> {
        todo!()
    }

    /// Runs `f` on one snapshot.
    pub async fn read<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        todo!()
    }

    /// Runs `f` in a transaction; `Err` rolls back. When this returns `Ok`, the change survives power loss.
    pub async fn write<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        todo!()
    }

    /// Copies the database into `file` while it is in use. SQLite only.
    pub async fn backup(&self, file: &std::path::Path) -> Result<()> {
        todo!()
    }
}
