//! App passwords: one for each device, found by keyed hash.

use super::tx::Row;
use super::users::{self, User};
use super::{Result, Tx, numbers};
use crate::ical::Instant;
use crate::ids::UserId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppPassword {
    pub id: i64,
    pub label: String,
    pub read_only: bool,
    pub created: Instant,
    pub last_used: Option<Instant>,
}

/// `hash` is the keyed hash of the password (`Secrets::keyed_hash`); the password itself is never stored.
pub fn add(tx: &mut Tx<'_>, user: UserId, label: &str, hash: &[u8], read_only: bool, now: Instant) -> Result<i64> {
    let id = numbers::next(tx, "app_passwords")?;
    tx.execute(
        "INSERT INTO app_passwords (user_id, label, hash, read_only, created, id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        &[user.into(), label.into(), hash.into(), read_only.into(), now.into(), id.into()],
    )?;
    Ok(id)
}

/// The app password with that keyed hash, with its active user.
pub fn find(tx: &mut Tx<'_>, hash: &[u8]) -> Result<Option<(AppPassword, User)>> {
    tx.one(
        "SELECT a.id, a.label, a.read_only, a.created, a.last_used,
                u.id, u.name, u.password, u.display_name, u.addresses, u.zone, u.declared
           FROM app_passwords a JOIN users u ON u.id = a.user_id
          WHERE a.hash = ?1 AND u.active = 1",
        &[hash.into()],
        |row| Ok((from_row(row)?, users::from_row(row, 5)?)),
    )
}

fn from_row(row: &Row<'_>) -> Result<AppPassword> {
    Ok(AppPassword {
        id: row.int(0)?,
        label: row.text(1)?,
        read_only: row.bool(2)?,
        created: row.instant(3)?,
        last_used: row.opt_instant(4)?,
    })
}

/// Notes that it was used; called at most once an hour for each.
pub fn touch(tx: &mut Tx<'_>, id: i64, now: Instant) -> Result<()> {
    tx.execute("UPDATE app_passwords SET last_used = ?2 WHERE id = ?1", &[id.into(), now.into()]).map(|_| ())
}

/// The user's app passwords, oldest first.
pub fn list(tx: &mut Tx<'_>, user: UserId) -> Result<Vec<AppPassword>> {
    tx.query(
        "SELECT id, label, read_only, created, last_used FROM app_passwords WHERE user_id = ?1 ORDER BY id",
        &[user.into()],
        from_row,
    )
}

/// False: the user has none of that id.
pub fn revoke(tx: &mut Tx<'_>, user: UserId, id: i64) -> Result<bool> {
    let changed = tx.execute("DELETE FROM app_passwords WHERE id = ?2 AND user_id = ?1", &[user.into(), id.into()])?;
    Ok(changed > 0)
}
