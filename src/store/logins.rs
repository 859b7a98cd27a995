//! Programs that wait for their user to let them in: asked for by the program, granted by the user in a browser, taken
//! by the program, once. Each token is found by its SHA-256; the app password is made when it is taken, and never stored.

use super::users::{self, User};
use super::{Result, Tx, app_passwords};
use crate::ical::Instant;
use crate::ids::UserId;

/// Seconds for which a program may wait.
pub const LIVES: i64 = 20 * 60;
/// Programs that wait at one time: from one address block, and in all.
const OPEN_FROM: i64 = 10;
const OPEN: i64 = 5_000;

/// Tokens as the table has them.
pub type Hash = [u8; 32];

/// A new one. `Ok(Err(seconds))`: too many wait already, until then.
pub fn ask(
    tx: &mut Tx<'_>,
    (poll, page): (&Hash, &Hash),
    agent: &str,
    from: &str,
    now: Instant,
) -> Result<Result<(), i64>> {
    tx.execute("DELETE FROM logins WHERE until <= ?1", &[now.into()])?;
    let here =
        tx.one("SELECT COUNT(*), COALESCE(MIN(until), 0) FROM logins WHERE asked_from = ?1", &[from.into()], |row| {
            Ok((row.int(0)?, row.int(1)?))
        })?;
    let all =
        tx.one("SELECT COUNT(*), COALESCE(MIN(until), 0) FROM logins", &[], |row| Ok((row.int(0)?, row.int(1)?)))?;
    for ((open, first), most) in [(here.unwrap_or((0, 0)), OPEN_FROM), (all.unwrap_or((0, 0)), OPEN)] {
        if open >= most {
            return Ok(Err((first - now.0).max(1)));
        }
    }
    tx.execute(
        "INSERT INTO logins (poll_hash, page_hash, agent, asked_from, until) VALUES (?1, ?2, ?3, ?4, ?5)",
        &[poll.as_slice().into(), page.as_slice().into(), agent.into(), from.into(), now.plus(LIVES).into()],
    )?;
    Ok(Ok(()))
}

/// What the page of that token is about: the program, and whether somebody let it in already.
pub fn page(tx: &mut Tx<'_>, page: &Hash, now: Instant) -> Result<Option<(String, bool)>> {
    tx.one(
        "SELECT agent, user_id FROM logins WHERE page_hash = ?1 AND until > ?2",
        &[page.as_slice().into(), now.into()],
        |row| Ok((row.text(0)?, row.opt_int(1)?.is_some())),
    )
}

/// The user lets the program in. False: it does not wait any more, or it was let in before.
pub fn grant(tx: &mut Tx<'_>, page: &Hash, user: UserId, now: Instant) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE logins SET user_id = ?2 WHERE page_hash = ?1 AND until > ?3 AND user_id IS NULL",
        &[page.as_slice().into(), user.into(), now.into()],
    )?;
    Ok(changed > 0)
}

/// The user does not let it in.
pub fn deny(tx: &mut Tx<'_>, page: &Hash) -> Result<()> {
    tx.execute("DELETE FROM logins WHERE page_hash = ?1 AND user_id IS NULL", &[page.as_slice().into()]).map(|_| ())
}

/// Whether the program of that token was let in: what a program that waits asks every few seconds.
pub fn is_granted(tx: &mut Tx<'_>, poll: &Hash, now: Instant) -> Result<bool> {
    let granted = tx.one(
        "SELECT 1 FROM logins WHERE poll_hash = ?1 AND until > ?2 AND user_id IS NOT NULL",
        &[poll.as_slice().into(), now.into()],
        |_| Ok(()),
    )?;
    Ok(granted.is_some())
}

/// The program takes what it waited for: an app password with this keyed hash, of the user who let it in. Of many that
/// ask at one time, on whichever node, one gets it: the row is gone with the first.
pub fn take(tx: &mut Tx<'_>, poll: &Hash, password: &[u8], now: Instant) -> Result<Option<User>> {
    let taken = tx.one(
        "DELETE FROM logins WHERE poll_hash = ?1 AND until > ?2 AND user_id IS NOT NULL RETURNING user_id, agent",
        &[poll.as_slice().into(), now.into()],
        |row| Ok((UserId(row.int(0)?), row.text(1)?)),
    )?;
    let Some((id, agent)) = taken else { return Ok(None) };
    // Who was taken out of the configuration in the meantime lets nobody in.
    let Some(user) = users::by_id(tx, id)? else { return Ok(None) };
    app_passwords::add(tx, user.id, &agent, password, false, now)?;
    Ok(Some(user))
}
