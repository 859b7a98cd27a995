//! Dead properties (RFC 4918 4): what a client wanted us to keep and we do not understand.

use super::calendars::Calendar;
use super::{Error, Result, Tx};
use crate::ids::{Name, UserId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead {
    /// Namespace; may be empty.
    pub ns: String,
    pub name: String,
    /// The whole element as well-formed XML that stands alone, its own namespace declarations included.
    pub xml: String,
}

/// The quota for a path is used up: 507.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSet {
    Quota,
    Store(Error),
}

impl From<Error> for NotSet {
    fn from(e: Error) -> NotSet {
        NotSet::Store(e)
    }
}

/// The dead properties that `user` keeps at `path` (a decoded path of ours, with its final slash for collections).
pub fn list(tx: &mut Tx<'_>, user: UserId, path: &str) -> Result<Vec<Dead>> {
    tx.query(
        "SELECT ns, name, xml FROM properties WHERE user_id = ?1 AND path = ?2 ORDER BY ns, name",
        &[user.into(), path.into()],
        |row| Ok(Dead { ns: row.text(0)?, name: row.text(1)?, xml: row.text(2)? }),
    )
}

/// Whether `user` keeps dead properties of anything below the collection `path`.
pub fn any_below(tx: &mut Tx<'_>, user: UserId, path: &str) -> Result<bool> {
    let found = tx.one(
        "SELECT 1 FROM properties
          WHERE user_id = ?1 AND path <> ?2 AND SUBSTR(path, 1, LENGTH(CAST(?2 AS TEXT))) = ?2 LIMIT 1",
        &[user.into(), path.into()],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// Sets one, in place of what it was. `quota`: bytes of all that the user keeps at that path.
pub fn set(tx: &mut Tx<'_>, user: UserId, path: &str, dead: &Dead, quota: usize) -> Result<(), NotSet> {
    tx.execute(
        "INSERT INTO properties (user_id, path, ns, name, xml) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (user_id, path, ns, name) DO UPDATE SET xml = excluded.xml",
        &[user.into(), path.into(), (&dead.ns).into(), (&dead.name).into(), (&dead.xml).into()],
    )?;
    let used = tx.one(
        "SELECT CAST(COALESCE(SUM(LENGTH(xml)), 0) AS BIGINT) FROM properties WHERE user_id = ?1 AND path = ?2",
        &[user.into(), path.into()],
        |row| row.int(0),
    )?;
    if used.unwrap_or(0) > quota as i64 { Err(NotSet::Quota) } else { Ok(()) }
}

/// Removing what is not there is fine (RFC 4918 9.2).
pub fn remove(tx: &mut Tx<'_>, user: UserId, path: &str, ns: &str, name: &str) -> Result<()> {
    tx.execute(
        "DELETE FROM properties WHERE user_id = ?1 AND path = ?2 AND ns = ?3 AND name = ?4",
        &[user.into(), path.into(), ns.into(), name.into()],
    )
    .map(|_| ())
}

/// The path of a resource, as properties are kept under it.
pub fn path_of(calendar: &Calendar, name: &Name) -> String {
    format!("/dav/{}/{}/{name}", calendar.owner, calendar.slug)
}

/// Everybody's properties at `path`, when it goes away.
pub fn forget(tx: &mut Tx<'_>, path: &str) -> Result<()> {
    tx.execute("DELETE FROM properties WHERE path = ?1", &[path.into()]).map(|_| ())
}

/// The same for a collection and everything below it.
pub fn forget_below(tx: &mut Tx<'_>, path: &str) -> Result<()> {
    tx.execute(
        "DELETE FROM properties WHERE SUBSTR(path, 1, LENGTH(CAST(?1 AS TEXT))) = CAST(?1 AS TEXT)",
        &[path.into()],
    )
    .map(|_| ())
}

/// Everybody's properties at `from` become those at `to`, in place of what was there.
pub fn take_along(tx: &mut Tx<'_>, from: &str, to: &str) -> Result<()> {
    forget(tx, to)?;
    tx.execute("UPDATE properties SET path = ?2 WHERE path = ?1", &[from.into(), to.into()]).map(|_| ())
}

/// What `user` keeps at `from` is kept at `to` as well, in place of what was there.
pub fn copy(tx: &mut Tx<'_>, user: UserId, from: &str, to: &str) -> Result<()> {
    tx.execute("DELETE FROM properties WHERE user_id = ?1 AND path = ?2", &[user.into(), to.into()])?;
    tx.execute(
        "INSERT INTO properties (user_id, path, ns, name, xml)
         SELECT user_id, CAST(?3 AS TEXT), ns, name, xml FROM properties WHERE user_id = ?1 AND path = ?2",
        &[user.into(), from.into(), to.into()],
    )
    .map(|_| ())
}
