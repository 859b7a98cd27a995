//! Calendars of any source. Having a [`Calendar`] means being allowed to: only `open` and `home` make one for an actor.
#![allow(unused_variables)]

use std::fmt;

use super::users::Actor;
use super::{Error, Result, Tx};
use crate::ical::{Instant, Kind};
use crate::ids::{AccountId, CalendarId, RemoteId, Seq, UserId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Local,
    Mirror {
        account: AccountId,
        remote: Option<RemoteId>,
    },
    /// `write_to`: where new objects go; `None` while that calendar does not exist.
    Unified {
        write_to: Option<CalendarId>,
    },
}

/// What the actor wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Read,
    /// Takes the lock of the owner's clock, so that what is read afterwards stays true until the end.
    Write,
}

/// Why a calendar was not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It is not there, or hidden from this actor: 404 either way.
    Missing,
    /// It can be read and not written; the reason in words: 403 `need-privileges`.
    ReadOnly(String),
    Store(Error),
}

impl From<Error> for Denied {
    fn from(e: Error) -> Denied {
        Denied::Store(e)
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denied::Missing => f.write_str("there is no such calendar"),
            Denied::ReadOnly(why) => f.write_str(why),
            Denied::Store(e) => e.fmt(f),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    pub id: CalendarId,
    pub user: UserId,
    /// The owner's name, as in URLs.
    pub owner: String,
    /// The calendar's segment in URLs.
    pub slug: String,
    pub source: Source,
    /// The number of its last change. With `epoch` it is the sync token and the ctag.
    pub seq: Seq,
    /// Random for each calendar; a token of another calendar, or of one deleted and made anew, does not fit.
    pub epoch: i64,
    /// Tokens below it are refused: the tombstones are gone.
    pub floor: Seq,
    /// When its contents last changed.
    pub changed_at: Instant,
    pub display_name: String,
    /// `#RRGGBB` or `#RRGGBBAA`; empty: none.
    pub color: String,
    /// Empty: none.
    pub order: String,
    pub description: String,
    /// The text of `calendar-timezone`; empty: the user's zone holds.
    pub timezone: String,
    /// IANA name of the zone that floating and all-day times have here: from `timezone`, else the owner's.
    pub zone: String,
    pub components: Vec<Kind>,
    /// Whether this actor may put objects here.
    pub writable: bool,
    /// Mirrors: when it was last read whole and well.
    pub pulled_at: Option<Instant>,
    /// Mirrors: what went wrong last, in words.
    pub error: Option<String>,
}

impl Calendar {
    /// The sync token of this snapshot: a URI.
    pub fn token(&self) -> String {
        format!("urn:calgate:{:x}:{}", self.epoch, self.seq)
    }

    /// The seq of a token that this calendar gave; `None`: malformed, another calendar's, or from the future.
    /// (Below the floor is for `resources::since` to refuse.)
    pub fn read_token(&self, token: &str) -> Option<Seq> {
        let (epoch, seq) = token.strip_prefix("urn:calgate:")?.split_once(':')?;
        let seq = Seq(seq.parse().ok()?);
        let ours = format!("{:x}", self.epoch) == epoch && seq.0 >= 0 && seq <= self.seq;
        ours.then_some(seq)
    }
}

/// The calendar `slug` of the user named `owner`.
pub fn open(tx: &mut Tx<'_>, actor: &Actor, owner: &str, slug: &str, need: Need) -> Result<Calendar, Denied> {
    todo!()
}
/// Every calendar the actor can see in the home of `owner`, in the order they are shown.
pub fn home(tx: &mut Tx<'_>, actor: &Actor, owner: &str) -> Result<Vec<Calendar>, Denied> {
    todo!()
}

/// What MKCALENDAR may say of a new local calendar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct New {
    pub display_name: Option<String>,
    pub color: Option<String>,
    pub order: Option<String>,
    pub description: Option<String>,
    pub timezone: Option<String>,
    /// `None`: VEVENT, VTODO and VJOURNAL.
    pub components: Option<Vec<Kind>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotMade {
    /// Something with that slug is there already.
    Taken,
    Denied(Denied),
}

impl From<Error> for NotMade {
    fn from(e: Error) -> NotMade {
        NotMade::Denied(Denied::Store(e))
    }
}

/// Makes a local calendar in the actor's own home.
pub fn create(
    tx: &mut Tx<'_>,
    actor: &Actor,
    owner: &str,
    slug: &str,
    new: &New,
    now: Instant,
) -> Result<Calendar, NotMade> {
    todo!()
}

/// The settable live properties. `None` leaves one as it is, an empty text removes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    pub display_name: Option<String>,
    pub color: Option<String>,
    pub order: Option<String>,
    pub description: Option<String>,
    pub timezone: Option<String>,
}

/// Changes what the user sees of a calendar (kept here, never sent upstream; a calendar need not be writable for it).
pub fn edit(tx: &mut Tx<'_>, calendar: &Calendar, edit: &Edit) -> Result<()> {
    todo!()
}
/// Removes a local calendar that was made by MKCALENDAR, with all in it. Declared, mirror and unified ones are refused.
pub fn remove(tx: &mut Tx<'_>, calendar: &Calendar) -> Result<(), Denied> {
    todo!()
}

/// The calendar of that id with the owner's rights: for the engine, which acts for the owner.
pub fn for_engine(tx: &mut Tx<'_>, id: CalendarId) -> Result<Option<Calendar>> {
    todo!()
}
