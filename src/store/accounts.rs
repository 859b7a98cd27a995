//! Accounts: one login at one upstream.
#![allow(unused_variables)]

use super::{Result, Tx};
use crate::ical::Instant;
use crate::ids::{AccountId, UserId};

/// Where the password of an account is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// `env:NAME` or `file:PATH`, read at use.
    Reference(String),
    /// Sealed bytes, see `Secrets::seal`; bound to `accounts`, `password`, `USER/ACCOUNT` (both names).
    Sealed(Vec<u8>),
    /// Declared as `sealed`, and not given yet: `calgate account add` has to be run.
    Absent,
}

/// Which of the upstream's calendars to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Take {
    /// All that can hold events, slugs made from their names.
    All,
    Some(Vec<Taken>),
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Taken {
    /// The display name upstream, or the last path segment, or the whole path.
    pub remote: String,
    pub slug: String,
    pub display_name: Option<String>,
    pub color: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    pub user: UserId,
    pub user_name: String,
    /// Unique for the user: `work`.
    pub name: String,
    /// One of `provider::KINDS`: `caldav`.
    pub kind: String,
    pub url: String,
    pub login: String,
    pub password: Password,
    pub take: Take,
    pub declared: bool,
    /// The user's addresses there, as the upstream told us.
    pub addresses: Vec<String>,
    /// What went wrong last, in words; `None`: the last attempt went well.
    pub error: Option<String>,
    pub error_at: Option<Instant>,
    /// When the list of calendars was last read without trouble.
    pub checked_at: Option<Instant>,
}

pub fn by_id(tx: &mut Tx<'_>, id: AccountId) -> Result<Option<Account>> {
    todo!()
}
pub fn by_name(tx: &mut Tx<'_>, user: UserId, name: &str) -> Result<Option<Account>> {
    todo!()
}
/// Active accounts of one user, or of all, by user name and name.
pub fn list(tx: &mut Tx<'_>, user: Option<UserId>) -> Result<Vec<Account>> {
    todo!()
}
/// Makes an account by command. `Ok(None)`: the user has one of that name.
#[allow(clippy::too_many_arguments)]
pub fn add(
    tx: &mut Tx<'_>,
    user: UserId,
    name: &str,
    kind: &str,
    url: &str,
    login: &str,
    password: &Password,
    take: &Take,
) -> Result<Option<AccountId>> {
    todo!()
}
/// Seals a password into an account, declared or not.
pub fn set_password(tx: &mut Tx<'_>, id: AccountId, password: &Password) -> Result<()> {
    todo!()
}
/// Removes an account made by command and hides its calendars. False: no such account made by command.
pub fn remove(tx: &mut Tx<'_>, user: UserId, name: &str) -> Result<bool> {
    todo!()
}
/// Records that the account was read well (`None`) or what went wrong.
pub fn note(tx: &mut Tx<'_>, id: AccountId, error: Option<&str>, now: Instant) -> Result<()> {
    todo!()
}
