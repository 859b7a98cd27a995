//! The one way a client's change enters: put, delete.
#![allow(unused_variables)]

use std::time::Duration;

use crate::app::App;
use crate::ical::Object;
use crate::ids::{Etag, Name};
use crate::store::calendars::Denied;
use crate::store::{self, users::Actor};

/// What the client says must hold (RFC 9110 13.1). Decided inside the writing transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// `If-Match`: one of these; an empty list is `*`: something must be there.
    pub matches: Option<Vec<Etag>>,
    /// `If-None-Match`: none of these; an empty list is `*`: nothing may be there.
    pub none_match: Option<Vec<Etag>>,
}

/// Which resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub owner: String,
    pub slug: String,
    pub name: Name,
}

/// It is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// True: 201, false: 204.
    pub created: bool,
    /// `Some` only when a GET now gives the very bytes that were put.
    pub etag: Option<Etag>,
    /// Kept here, and not yet upstream.
    pub pending: bool,
}

/// It is not done, and nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Denied(Denied),
    /// 412; with the etag of what is there, if anything is.
    Condition { current: Option<Etag> },
    /// 403 `no-uid-conflict`: another resource of this calendar has that UID.
    UidTaken { name: Name },
    /// 403 `no-uid-conflict`: the resource is there with another UID.
    UidChanged,
    /// 403 `supported-calendar-component`.
    Component,
    /// 403: the upstream will never take it; its words.
    Upstream(String),
    /// 404: there is nothing to delete.
    Missing,
    /// 503 with Retry-After: the upstream is away and the configuration says not to keep.
    Later(Duration),
    /// 507: the calendar is full.
    Full,
    Store(store::Error),
}

impl From<store::Error> for Refusal {
    fn from(e: store::Error) -> Refusal {
        Refusal::Store(e)
    }
}

impl From<Denied> for Refusal {
    fn from(e: Denied) -> Refusal {
        match e {
            Denied::Store(e) => Refusal::Store(e),
            e => Refusal::Denied(e),
        }
    }
}

/// Creates or replaces the resource at `place`.
pub async fn put(app: &App, actor: &Actor, place: &Place, object: Object, condition: &Condition) -> Result<Done, Refusal> { todo!() }

/// Removes the resource at `place`.
pub async fn delete(app: &App, actor: &Actor, place: &Place, condition: &Condition) -> Result<(), Refusal> { todo!() }
