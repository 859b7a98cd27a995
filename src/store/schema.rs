//! Applies the migrations, each once and in order, in one transaction.

use super::tx::{Engine, Tx};
use super::{Error, Result, postgres, sqlite};

/// Every migration there is; the number is its place, from 1.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001_first.sql")];

/// Brings the schema up to date. Refuses a database that a newer calgate wrote: it would be misread.
pub(super) fn migrate(tx: &mut Tx<'_>) -> Result<()> {
    batch(tx, "CREATE TABLE IF NOT EXISTS schema_versions (version INTEGER NOT NULL)")?;
    let done = tx.one("SELECT COALESCE(MAX(version), 0) FROM schema_versions", &[], |r| r.int(0))?.unwrap_or(0);
    let known = MIGRATIONS.len() as i64;
    if done > known {
        return Err(Error::Unavailable(format!(
            "the database has schema {done}, and this calgate knows only {known}: run the newer calgate, or restore a backup"
        )));
    }
    for (version, sql) in (1..).zip(MIGRATIONS).skip(done as usize) {
        if let Engine::Sqlite(db) = &tx.engine {
            sqlite::batch(db, "BEGIN IMMEDIATE")?;
        }
        // Another process may have been faster between our look and our lock.
        let raced =
            tx.one("SELECT 1 FROM schema_versions WHERE version = ?1", &[version.into()], |_| Ok(()))?.is_some();
        if !raced {
            batch(tx, sql)?;
            tx.execute("INSERT INTO schema_versions (version) VALUES (?1)", &[version.into()])?;
        }
        if let Engine::Sqlite(db) = &tx.engine {
            sqlite::batch(db, "COMMIT")?;
        }
    }
    Ok(())
}

fn batch(tx: &mut Tx<'_>, sql: &str) -> Result<()> {
    match &mut tx.engine {
        Engine::Sqlite(db) => sqlite::batch(db, sql),
        Engine::Postgres { tx, .. } => postgres::batch(tx, sql),
    }
}
