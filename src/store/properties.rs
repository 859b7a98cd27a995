//! Dead properties (RFC 4918 4): what a client wanted us to keep and we do not understand.
#![allow(unused_variables)]

use super::{Error, Result, Tx};
use crate::ids::UserId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead {
    /// Namespace; may be empty.
    pub ns: String,
    pub name: String,
    /// The whole element as well-formed XML that stands alone, its own namespace declarations included.
    pub xml: String,
}

/// The quota of 1 MiB for a path is used up: 507.
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
    todo!()
}
pub fn set(tx: &mut Tx<'_>, user: UserId, path: &str, dead: &Dead) -> Result<(), NotSet> {
    todo!()
}
/// Removing what is not there is fine (RFC 4918 9.2).
pub fn remove(tx: &mut Tx<'_>, user: UserId, path: &str, ns: &str, name: &str) -> Result<()> {
    todo!()
}
/// Everybody's properties at `path` and below it, when it goes away.
pub fn forget(tx: &mut Tx<'_>, path: &str) -> Result<()> {
    todo!()
}
