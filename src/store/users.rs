//! Users, and who is asking.
#![allow(unused_variables)]

use super::{Result, Tx};
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
}

impl Actor {
    /// The user with all their rights.
    pub fn of(user: &User) -> Actor {
        Actor { user: user.id, name: user.name.clone(), may_write: true }
    }
}

/// The active user of that name (compared in lower case).
pub fn by_name(tx: &mut Tx<'_>, name: &str) -> Result<Option<User>> {
    todo!()
}
pub fn by_id(tx: &mut Tx<'_>, id: UserId) -> Result<Option<User>> {
    todo!()
}
/// Active users by name.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<User>> {
    todo!()
}
/// Makes a user by command. `Ok(None)`: the name is taken.
pub fn add(
    tx: &mut Tx<'_>,
    name: &str,
    password: Option<&str>,
    addresses: &[String],
    zone: &str,
) -> Result<Option<UserId>> {
    todo!()
}
/// Sets the argon2id hash. False: no such user made by command.
pub fn set_password(tx: &mut Tx<'_>, name: &str, password: &str) -> Result<bool> {
    todo!()
}
/// Removes a user made by command, with everything of theirs. False: no such user made by command.
pub fn remove(tx: &mut Tx<'_>, name: &str) -> Result<bool> {
    todo!()
}
