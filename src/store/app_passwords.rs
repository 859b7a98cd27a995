//! App passwords: one for each device, found by keyed hash.
#![allow(unused_variables)]

use super::users::User;
use super::{Result, Tx};
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
    todo!()
}
/// The app password with that keyed hash, with its active user.
pub fn find(tx: &mut Tx<'_>, hash: &[u8]) -> Result<Option<(AppPassword, User)>> {
    todo!()
}
/// Notes that it was used; called at most once an hour for each.
pub fn touch(tx: &mut Tx<'_>, id: i64, now: Instant) -> Result<()> {
    todo!()
}
pub fn list(tx: &mut Tx<'_>, user: UserId) -> Result<Vec<AppPassword>> {
    todo!()
}
/// False: the user has none of that id.
pub fn revoke(tx: &mut Tx<'_>, user: UserId, id: i64) -> Result<bool> {
    todo!()
}
