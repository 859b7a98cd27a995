//! Duties: what must be kept done, one row each, with a due time and a lease.
//!
//! A job is a standing duty, not a message: to ask for it twice is to ask for it once, and a lost question costs the time
//! until it is due anyway.

use std::fmt;

use super::{Result, Tx};
use crate::ical::Instant;
use crate::ids::{AccountId, CalendarId, UserId};

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Duty {
    /// Read the account's list of calendars.
    Discover(AccountId),
    /// Take what changed upstream.
    Pull(CalendarId),
    /// Send what changed here.
    Push(CalendarId),
    /// Tell the subscribers of a user what changed.
    Notify(UserId),
    /// Move the horizon of the time index along with the years.
    Horizon,
    /// Forget what was deleted long ago.
    Prune,
    /// Bring calendars to what they are made of, and take away what is gone.
    Shape,
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Duty::Discover(id) => write!(f, "discover:{id}"),
            Duty::Pull(id) => write!(f, "pull:{id}"),
            Duty::Push(id) => write!(f, "push:{id}"),
            Duty::Notify(id) => write!(f, "notify:{id}"),
            Duty::Horizon => f.write_str("horizon"),
            Duty::Prune => f.write_str("prune"),
            Duty::Shape => f.write_str("shape"),
        }
    }
}

impl Duty {
    fn read(text: &str) -> Option<Duty> {
        let (kind, id) = text.split_once(':').unwrap_or((text, "0"));
        let id = id.parse().ok()?;
        match kind {
            "discover" => Some(Duty::Discover(AccountId(id))),
            "pull" => Some(Duty::Pull(CalendarId(id))),
            "push" => Some(Duty::Push(CalendarId(id))),
            "notify" => Some(Duty::Notify(UserId(id))),
            "horizon" => Some(Duty::Horizon),
            "prune" => Some(Duty::Prune),
            "shape" => Some(Duty::Shape),
            _ => None,
        }
    }
}

/// Due at no time: it waits until somebody asks.
pub const NEVER: Instant = Instant::MAX;

/// A duty that is being done by us, and by nobody else until the lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub duty: Duty,
    /// The node, a slash, and something random for each claim.
    pub holder: String,
    /// How often it has failed since it last went well.
    pub tries: i64,
}

/// How long a lease holds without being renewed, in seconds: what a dead node held is taken over after that.
pub const LEASE: i64 = 30;

/// Sees to it that the duty exists, due at `due` if it is new.
pub fn ensure(tx: &mut Tx<'_>, duty: Duty, due: Instant) -> Result<()> {
    let duty = duty.to_string();
    tx.execute(
        "INSERT INTO jobs (duty, due, lease, holder, tries) VALUES (?1, ?2, 0, '', 0) ON CONFLICT (duty) DO NOTHING",
        &[(&duty).into(), due.into()],
    )
    .map(|_| ())
}

/// The duty is due now. One that is being done is done once more afterwards.
pub fn due_now(tx: &mut Tx<'_>, duty: Duty, now: Instant) -> Result<()> {
    let duty = duty.to_string();
    tx.execute(
        "INSERT INTO jobs (duty, due, lease, holder, tries) VALUES (?1, ?2, 0, '', 0)
         ON CONFLICT (duty) DO UPDATE SET due = CASE WHEN jobs.due < excluded.due THEN jobs.due ELSE excluded.due END",
        &[(&duty).into(), now.into()],
    )
    .map(|_| ())
}

/// The duty is over.
pub fn drop_duty(tx: &mut Tx<'_>, duty: Duty) -> Result<()> {
    let duty = duty.to_string();
    tx.execute("DELETE FROM jobs WHERE duty = ?1", &[(&duty).into()]).map(|_| ())
}

// While a duty is being done, `due` is where its lease ends: should the holder die, it is due then. Whoever asks for it
// meanwhile moves `due` before the lease's end, which is how `finish` knows.

/// Claims the duty that is due longest, for `LEASE` seconds. The condition stands twice: without the repetition outside
/// the sub-select, two nodes on PostgreSQL can be given the same row.
pub fn claim(tx: &mut Tx<'_>, holder: &str, now: Instant) -> Result<Option<Lease>> {
    let claimed = tx.one(
        "UPDATE jobs SET holder = ?1, lease = ?3, due = ?3
          WHERE duty = (SELECT duty FROM jobs WHERE due <= ?2 AND lease <= ?2 ORDER BY due, duty LIMIT 1)
            AND due <= ?2 AND lease <= ?2
         RETURNING duty, tries",
        &[holder.into(), now.into(), now.plus(LEASE).into()],
        |row| Ok((row.text(0)?, row.int(1)?)),
    )?;
    Ok(claimed.and_then(|(duty, tries)| Some(Lease { duty: Duty::read(&duty)?, holder: holder.to_owned(), tries })))
}

/// Claims this duty, due or not. `Ok(None)`: somebody else is doing it.
pub fn claim_this(tx: &mut Tx<'_>, duty: Duty, holder: &str, now: Instant) -> Result<Option<Lease>> {
    ensure(tx, duty, now)?;
    let name = duty.to_string();
    let tries = tx.one(
        "UPDATE jobs SET holder = ?2, lease = ?4, due = ?4 WHERE duty = ?1 AND lease <= ?3 RETURNING tries",
        &[(&name).into(), holder.into(), now.into(), now.plus(LEASE).into()],
        |row| row.int(0),
    )?;
    Ok(tries.map(|tries| Lease { duty, holder: holder.to_owned(), tries }))
}

/// Ends every lease of a node. For that node alone, when it starts: whoever held them is dead.
pub fn release(tx: &mut Tx<'_>, node: &str) -> Result<()> {
    tx.execute(
        "UPDATE jobs SET due = CASE WHEN due < lease THEN due ELSE 0 END, lease = 0, holder = ''
          WHERE SUBSTR(holder, 1, LENGTH(CAST(?1 AS TEXT)) + 1) = CAST(?1 AS TEXT) || '/'",
        &[node.into()],
    )
    .map(|_| ())
}

/// Renews a lease; a worker's writing transaction begins with it. False: it was lost, stop.
pub fn renew(tx: &mut Tx<'_>, lease: &Lease, now: Instant) -> Result<bool> {
    let duty = lease.duty.to_string();
    let renewed = tx.execute(
        "UPDATE jobs SET due = CASE WHEN due < lease THEN due ELSE ?3 END, lease = ?3 WHERE duty = ?1 AND holder = ?2",
        &[(&duty).into(), (&lease.holder).into(), now.plus(LEASE).into()],
    )?;
    Ok(renewed > 0)
}

/// Gives the lease back. The duty is due at `next`, or at once when somebody asked meanwhile.
pub fn finish(tx: &mut Tx<'_>, lease: &Lease, next: Instant, failed: bool) -> Result<()> {
    let duty = lease.duty.to_string();
    tx.execute(
        "UPDATE jobs SET lease = 0, holder = '', due = CASE WHEN due < lease THEN due ELSE ?3 END, tries = ?4
          WHERE duty = ?1 AND holder = ?2",
        &[(&duty).into(), (&lease.holder).into(), next.into(), if failed { lease.tries + 1 } else { 0 }.into()],
    )
    .map(|_| ())
}

/// When the next duty can be claimed; a lease that nobody renews counts as ended when it ends.
pub fn next(tx: &mut Tx<'_>) -> Result<Option<Instant>> {
    let next =
        tx.one("SELECT MIN(CASE WHEN due > lease THEN due ELSE lease END) FROM jobs", &[], |row| row.opt_instant(0))?;
    Ok(next.flatten().filter(|at| *at < NEVER))
}
