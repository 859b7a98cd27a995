//! Users, and who is asking.

use super::jobs::{self, Duty};
use super::tx::Row;
use super::{Result, Tx, numbers, resources};
use crate::ical::Instant;
use crate::ids::UserId;

/// A person with a login here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    /// Lower case; the segment in URLs.
    pub name: String,
    /// argon2id in PHC form; `None`: only app passwords open the door.
    pub password: Option<String>,
    pub display_name: String,
    /// Mail addresses, lower case, without `mailto:`; the first is the preferred one.
    pub addresses: Vec<String>,
    /// IANA name for floating and all-day times.
    pub zone: String,
    /// From `gateway.toml`, as opposed to made by command.
    pub declared: bool,
}

/// Who is asking, with what right. Made by `web/auth.rs` and by commands, nobody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub user: UserId,
    pub name: String,
    /// False for a read-only app password.
    pub may_write: bool,
    /// The app password by which they came; `None`: by the user's own.
    pub app_password: Option<i64>,
}

impl Actor {
    /// The user with all their rights.
    pub fn of(user: &User) -> Actor {
        Actor { user: user.id, name: user.name.clone(), may_write: true, app_password: None }
    }
}

/// The active user of that name (compared in lower case).
pub fn by_name(tx: &mut Tx<'_>, name: &str) -> Result<Option<User>> {
    let name = name.to_lowercase();
    tx.one(
        "SELECT id, name, password, display_name, addresses, zone, declared FROM users WHERE name = ?1 AND active = 1",
        &[(&name).into()],
        |row| from_row(row, 0),
    )
}

/// The active user of that id.
pub fn by_id(tx: &mut Tx<'_>, id: UserId) -> Result<Option<User>> {
    tx.one(
        "SELECT id, name, password, display_name, addresses, zone, declared FROM users WHERE id = ?1 AND active = 1",
        &[id.into()],
        |row| from_row(row, 0),
    )
}

/// Active users by name.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<User>> {
    tx.query(
        "SELECT id, name, password, display_name, addresses, zone, declared FROM users WHERE active = 1 ORDER BY name",
        &[],
        |row| from_row(row, 0),
    )
}

/// Seven columns from `at` on: id, name, password, display_name, addresses, zone, declared.
pub(super) fn from_row(row: &Row<'_>, at: usize) -> Result<User> {
    Ok(User {
        id: UserId(row.int(at)?),
        name: row.text(at + 1)?,
        password: row.opt_text(at + 2)?,
        display_name: row.text(at + 3)?,
        addresses: row.text(at + 4)?.lines().map(str::to_owned).collect(),
        zone: row.text(at + 5)?,
        declared: row.bool(at + 6)?,
    })
}

/// Makes a user by command. `Ok(None)`: the name is taken.
pub fn add(
    tx: &mut Tx<'_>,
    name: &str,
    password: Option<&str>,
    addresses: &[String],
    zone: &str,
) -> Result<Option<UserId>> {
    let addresses = addresses.join("\n");
    let next = numbers::next(tx, "users")?;
    // A user who was declared once and is not any more comes back with all they had.
    let id = tx.one(
        "INSERT INTO users (name, password, display_name, addresses, zone, declared, active, id)
         VALUES (?1, ?2, ?1, ?3, ?4, 0, 1, ?5)
         ON CONFLICT (name) DO UPDATE SET password = excluded.password, addresses = excluded.addresses,
             zone = excluded.zone, declared = 0, active = 1
         WHERE users.active = 0
         RETURNING id",
        &[name.into(), password.into(), (&addresses).into(), zone.into(), next.into()],
        |row| row.int(0).map(UserId),
    )?;
    if let Some(id) = id {
        add_clock(tx, id)?;
    }
    Ok(id)
}

pub(super) fn add_clock(tx: &mut Tx<'_>, user: UserId) -> Result<()> {
    tx.execute("INSERT INTO clocks (user_id, seq) VALUES (?1, 0) ON CONFLICT DO NOTHING", &[user.into()]).map(|_| ())
}

/// Sets the argon2id hash. False: no such user made by command.
pub fn set_password(tx: &mut Tx<'_>, name: &str, password: &str) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE users SET password = ?2 WHERE name = ?1 AND declared = 0 AND active = 1",
        &[name.into(), password.into()],
    )?;
    Ok(changed > 0)
}

/// Removes a user made by command, with everything of theirs, also what they shared. What others moved to them and has not
/// arrived goes back to the others. False: no such user made by command.
pub fn remove(tx: &mut Tx<'_>, name: &str, now: Instant) -> Result<bool> {
    // What they shared stands in others' homes, whose clocks are locked with theirs.
    if let Some(user) = by_name(tx, name)? {
        tx.lock_clock(user.id)?;
    }
    let changed = tx.execute("DELETE FROM users WHERE name = ?1 AND declared = 0 AND active = 1", &[name.into()])?;
    if !resources::bereft(tx)?.is_empty() {
        jobs::due_now(tx, Duty::Prune, now)?;
    }
    Ok(changed > 0)
}
