//! What a closure of `Store::read` and `Store::write` works with: one SQL text for both engines.
//!
//! SQL is written with `?1 ?2`, and is `&'static str`: no text of a client can become part of a statement.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Error, Result, postgres, shape, sqlite};
use crate::ical::Instant;
use crate::ids::{AccountId, CalendarId, GrantId, ResourceId, Seq, UserId};

/// A transaction, on either engine.
pub struct Tx<'a> {
    pub(super) engine: Engine<'a>,
    /// Rows that this transaction may still change beside what it is about: more is left to a later one (`shape.rs`), so
    /// that nobody waits for it long.
    pub(super) room: usize,
}

pub(super) enum Engine<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres {
        tx: ::postgres::Transaction<'a>,
        statements: &'a mut Statements,
        in_vain: &'a InVain,
        /// What `lock_reach` was asked for and holds.
        taken: Vec<[i64; 3]>,
    },
}

/// Prepared statements of one PostgreSQL connection, by the address of their text.
pub(super) type Statements = HashMap<*const u8, ::postgres::Statement>;

/// Whose clocks one of this node's writers has waited for in vain: whoever comes after waits for them only a moment, else
/// those who want the same few clocks would take all writers, and everybody else's changes would wait with them.
#[derive(Default)]
pub(super) struct InVain(Mutex<HashSet<i64>>);

impl InVain {
    fn users(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often the clocks are taken again because what is granted was changed while we waited for them.
const ROUNDS: usize = 100;

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub enum Value<'v> {
    Null,
    Int(i64),
    Text(&'v str),
    Blob(&'v [u8]),
}

/// A row of an answer; columns are counted from 0.
pub enum Row<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r ::postgres::Row),
}

impl<'a> Tx<'a> {
    pub(super) fn new(engine: Engine<'a>) -> Tx<'a> {
        Tx { engine, room: shape::ROOM }
    }
}

impl Tx<'_> {
    /// So many rows were changed: there is less room.
    pub(super) fn take(&mut self, rows: usize) {
        self.room = self.room.saturating_sub(rows);
    }

    /// Runs a statement; gives the number of rows it changed.
    pub fn execute(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<u64> {
        match &mut self.engine {
            Engine::Sqlite(db) => sqlite::execute(db, sql, params),
            Engine::Postgres { tx, statements, .. } => postgres::execute(tx, statements, sql, params),
        }
    }

    /// Calls `each` for every row, in order.
    pub fn each(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        mut each: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        self.each_while(sql, params, |row| each(row).map(|()| true))
    }

    /// Calls `each` for one row after the other, in order, until it says false.
    pub fn each_while(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        mut each: impl FnMut(&Row<'_>) -> Result<bool>,
    ) -> Result<()> {
        match &mut self.engine {
            Engine::Sqlite(db) => sqlite::each_while(db, sql, params, &mut each),
            Engine::Postgres { tx, statements, .. } => postgres::each_while(tx, statements, sql, params, &mut each),
        }
    }

    /// Runs one statement for each of `keys` in their order, and calls `each` for its rows, until it says false; gives for how
    /// many it was run. One by one, many look-ups would cost more to begin than to make.
    pub fn each_of<'v, const N: usize>(
        &mut self,
        sql: &'static str,
        keys: impl IntoIterator<Item = [Value<'v>; N]>,
        mut each: impl FnMut(&Row<'_>) -> Result<bool>,
    ) -> Result<usize> {
        match &mut self.engine {
            Engine::Sqlite(db) => sqlite::each_of(db, sql, keys, &mut each),
            Engine::Postgres { tx, statements, .. } => {
                let mut run = 0;
                let mut go_on = true;
                for params in keys {
                    run += 1;
                    postgres::each_while(tx, statements, sql, &params, &mut |row| {
                        go_on = each(row)?;
                        Ok(go_on)
                    })?;
                    if !go_on {
                        break;
                    }
                }
                Ok(run)
            }
        }
    }

    /// Every row, read by `read`.
    pub fn query<T>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        self.each(sql, params, |row| {
            rows.push(read(row)?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// The first row, if there is one.
    pub fn one<T>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut found = None;
        self.each_while(sql, params, |row| {
            found = Some(read(row)?);
            Ok(false)
        })?;
        Ok(found)
    }

    /// Takes the locks of all clocks, in the order of users: for what changes more than one user's rows.
    pub(super) fn lock_clocks(&mut self) -> Result<()> {
        match &self.engine {
            Engine::Sqlite(_) => Ok(()),
            Engine::Postgres { .. } => {
                self.query("SELECT seq FROM clocks ORDER BY user_id FOR UPDATE", &[], |_| Ok(())).map(|_| ())
            }
        }
    }

    /// The same for whoever can not come again in a moment: waits until a node that is gone has lost its locks.
    pub(super) fn wait_for_clocks(&mut self) -> Result<()> {
        self.say("SET LOCAL lock_timeout = '60s'")?;
        self.lock_clocks()
    }

    /// Takes the lock of a user's clock until the end of the transaction, so that what is read of the user's calendars
    /// afterwards stays true; and with it those of all whom the user grants anything, because what they see changes
    /// too. SQLite has one writer, which is that lock already.
    pub(super) fn lock_clock(&mut self, user: UserId) -> Result<()> {
        self.lock_reach(user, user, 0)
    }

    /// The same, with the clock of one more: whom something is going to be granted.
    pub(super) fn lock_clock_with(&mut self, user: UserId, other: UserId) -> Result<()> {
        self.lock_reach(user, other, 0)
    }

    /// The same for whatever the user may write at all, in calendars of others as well: a transaction may begin in one
    /// calendar and end in another, and all its locks must be taken at once.
    pub(super) fn lock_writer(&mut self, user: UserId) -> Result<()> {
        self.lock_reach(user, user, 1)
    }

    /// The same for whoever gives back what they were granted: their owners hear of it.
    pub(super) fn lock_leaver(&mut self, user: UserId) -> Result<()> {
        self.lock_reach(user, user, 2)
    }

    fn lock_reach(&mut self, user: UserId, other: UserId, more: i64) -> Result<()> {
        /// ?1 and those it grants anything to, ?2, and those who let ?1 write (if ?3 is 1) or grant anything to ?1 (2), with
        /// all they grant anything to.
        macro_rules! reach {
            ($end:literal) => {
                concat!(
                    "SELECT k.user_id FROM clocks k WHERE k.user_id IN (
                        SELECT CAST(?1 AS BIGINT) UNION SELECT CAST(?2 AS BIGINT)
                        UNION SELECT to_id FROM grants WHERE owner_id = ?1
                        UNION SELECT owner_id FROM grants WHERE to_id = ?1
                               AND (CAST(?3 AS BIGINT) = 2 OR may = 'write' AND CAST(?3 AS BIGINT) = 1)
                        UNION SELECT o.to_id FROM grants g JOIN grants o ON o.owner_id = g.owner_id
                               WHERE g.to_id = ?1
                                 AND (CAST(?3 AS BIGINT) = 2 OR g.may = 'write' AND CAST(?3 AS BIGINT) = 1))
                      ORDER BY k.user_id",
                    $end
                )
            };
        }
        let asked = [user.0, other.0, more];
        let in_vain = match &self.engine {
            Engine::Sqlite(_) => return Ok(()),
            // Nobody else can change whom it reaches as long as these locks are held.
            Engine::Postgres { taken, .. } if taken.contains(&asked) => return Ok(()),
            Engine::Postgres { in_vain, .. } => *in_vain,
        };
        let params = [user.into(), other.into(), more.into()];
        self.say("SAVEPOINT reach")?;
        // Nearly always nobody else has any of them.
        let mut locked = self.query(reach!(" FOR UPDATE OF k SKIP LOCKED"), &params, |row| row.int(0))?;
        for _ in 0..ROUNDS {
            // Who changes grants holds these clocks too: what is granted now, under the locks, stays so.
            let mut missing = self.query(reach!(""), &params, |row| row.int(0))?;
            missing.retain(|id| !locked.contains(id));
            if missing.is_empty() {
                in_vain.users().retain(|id| !locked.contains(id));
                if let Engine::Postgres { taken, .. } = &mut self.engine {
                    taken.push(asked);
                }
                return Ok(());
            }
            // Somebody has them, or they were granted something while we waited for the others. All are let go, and
            // taken again in the order of ids, so that no two wait for each other.
            self.say("ROLLBACK TO SAVEPOINT reach")?;
            let hopeless = missing.iter().any(|id| in_vain.users().contains(id));
            if hopeless {
                self.say("SET LOCAL lock_timeout = '500ms'")?;
            }
            locked = match self.query(reach!(" FOR UPDATE OF k"), &params, |row| row.int(0)) {
                Err(Error::Busy) => {
                    if !hopeless {
                        tracing::warn!(users = ?missing, "the clocks of users {missing:?} have been locked for too long");
                    }
                    in_vain.users().extend(missing);
                    return Err(Error::Busy);
                }
                locked => locked?,
            };
            if hopeless {
                // As `postgres::PATIENCE` says.
                self.say("SET LOCAL lock_timeout = '5s'")?;
            }
        }
        Err(Error::Busy)
    }

    /// What concerns the transaction itself, on PostgreSQL alone.
    fn say(&mut self, sql: &'static str) -> Result<()> {
        match &mut self.engine {
            Engine::Sqlite(_) => Ok(()),
            Engine::Postgres { tx, .. } => postgres::batch(tx, sql),
        }
    }
}

impl Row<'_> {
    pub fn int(&self, column: usize) -> Result<i64> {
        self.opt_int(column)?.ok_or_else(|| null(column))
    }

    pub fn opt_int(&self, column: usize) -> Result<Option<i64>> {
        match self {
            Row::Sqlite(row) => sqlite::int(row, column),
            Row::Postgres(row) => postgres::int(row, column),
        }
    }

    pub fn bool(&self, column: usize) -> Result<bool> {
        Ok(self.int(column)? != 0)
    }

    pub fn text(&self, column: usize) -> Result<String> {
        self.str(column).map(str::to_owned)
    }

    pub fn opt_text(&self, column: usize) -> Result<Option<String>> {
        Ok(self.opt_str(column)?.map(str::to_owned))
    }

    /// A text that is only looked at.
    pub fn str(&self, column: usize) -> Result<&str> {
        self.opt_str(column)?.ok_or_else(|| null(column))
    }

    fn opt_str(&self, column: usize) -> Result<Option<&str>> {
        match self {
            Row::Sqlite(row) => sqlite::text(row, column),
            Row::Postgres(row) => row.try_get(column).map_err(postgres::error),
        }
    }

    pub fn opt_blob(&self, column: usize) -> Result<Option<Vec<u8>>> {
        match self {
            Row::Sqlite(row) => row.get(column).map_err(sqlite::error),
            Row::Postgres(row) => row.try_get(column).map_err(postgres::error),
        }
    }

    pub fn instant(&self, column: usize) -> Result<Instant> {
        self.int(column).map(Instant)
    }

    pub fn opt_instant(&self, column: usize) -> Result<Option<Instant>> {
        Ok(self.opt_int(column)?.map(Instant))
    }
}

fn null(column: usize) -> Error {
    Error::Broken(format!("column {column} is NULL where it may not be"))
}

impl From<i64> for Value<'_> {
    fn from(v: i64) -> Self {
        Value::Int(v)
    }
}

impl From<bool> for Value<'_> {
    fn from(v: bool) -> Self {
        Value::Int(v.into())
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(v: &'v str) -> Self {
        Value::Text(v)
    }
}

impl<'v> From<&'v String> for Value<'v> {
    fn from(v: &'v String) -> Self {
        Value::Text(v)
    }
}

impl<'v> From<&'v [u8]> for Value<'v> {
    fn from(v: &'v [u8]) -> Self {
        Value::Blob(v)
    }
}

impl<'v, T: Into<Value<'v>>> From<Option<T>> for Value<'v> {
    fn from(v: Option<T>) -> Self {
        v.map_or(Value::Null, Into::into)
    }
}

macro_rules! number_values {
    ($($name:ident),*) => {$(
        impl From<$name> for Value<'_> {
            fn from(v: $name) -> Self {
                Value::Int(v.0)
            }
        }
    )*};
}

number_values!(Instant, UserId, AccountId, CalendarId, GrantId, ResourceId, Seq);
