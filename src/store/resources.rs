//! Resources: the rows of every calendar. `save` is the one function that changes them.
#![allow(unused_variables)]

use super::calendars::Calendar;
use super::{Error, Result, Tx};
use crate::ical::{Instant, Kind, Object, Window};
use crate::ids::{CalendarId, Etag, Name, RemoteId, ResourceId, Seq};

/// A live resource as a client sees it. In a unified calendar `body` is the origin's, or the masked one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub id: ResourceId,
    pub name: Name,
    pub uid: String,
    pub kind: Kind,
    pub seq: Seq,
    /// Strong: the same etag is the same bytes.
    pub etag: Etag,
    pub body: String,
    pub changed_at: Instant,
}

/// The same without its body, for listings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub name: Name,
    pub kind: Kind,
    pub etag: Etag,
    /// Bytes of the body.
    pub size: i64,
    pub changed_at: Instant,
}

/// All live resources, by name.
pub fn list(tx: &mut Tx<'_>, calendar: &Calendar) -> Result<Vec<Listed>> { todo!() }
/// Live resources of one kind (`None`: all) with an instance in `window`, decided exactly by the time index, floating
/// times in the calendar's zone. `Ok(None)`: the index can not decide all of it (a dense object, or the window leaves
/// the horizon): take [`in_window`] and let `ical::filter` decide.
pub fn listed_in_window(tx: &mut Tx<'_>, calendar: &Calendar, window: Window) -> Result<Option<Vec<Listed>>> { todo!() }
/// Live resources with their bodies, by name.
pub fn all(tx: &mut Tx<'_>, calendar: &Calendar) -> Result<Vec<Resource>> { todo!() }
/// Live resources that may have an instance in `window`; `ical::filter` decides exactly.
pub fn in_window(tx: &mut Tx<'_>, calendar: &Calendar, window: Window) -> Result<Vec<Resource>> { todo!() }
pub fn get(tx: &mut Tx<'_>, calendar: &Calendar, name: &Name) -> Result<Option<Resource>> { todo!() }
pub fn by_uid(tx: &mut Tx<'_>, calendar: &Calendar, uid: &str) -> Result<Option<Resource>> { todo!() }

/// One line of a sync report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub name: Name,
    /// `None`: it is gone.
    pub live: Option<Listed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    pub changes: Vec<Change>,
    /// What the client has seen when it has seen these changes; `calendar.seq` when nothing is left.
    pub seq: Seq,
    /// True: the limit cut it, ask again from `seq`.
    pub more: bool,
}

/// Why there is no answer to "what changed since".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenExpired {
    /// The tombstones that old are gone.
    Expired,
    Store(Error),
}

impl From<Error> for TokenExpired {
    fn from(e: Error) -> TokenExpired {
        TokenExpired::Store(e)
    }
}

/// What changed after `seq`, oldest first; `None` is the initial sync and lists only what is live.
pub fn since(tx: &mut Tx<'_>, calendar: &Calendar, seq: Option<Seq>, limit: u32) -> Result<Since, TokenExpired> { todo!() }

/// The strong etag of a body: a hash of its bytes.
pub fn etag_of(body: &str) -> Etag { todo!() }
