//! Feeds: secret URLs that give .ics or free/busy.
#![allow(unused_variables)]

use super::calendars::Calendar;
use super::users::User;
use super::{Result, Tx};

/// What a feed gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedKind {
    /// Only VFREEBUSY.
    FreeBusy,
    /// VFREEBUSY, and VEVENTs that say no more than busy.
    Busy,
    /// VFREEBUSY, and whole VEVENTs.
    Full,
}

impl FeedKind {
    pub const ALL: [FeedKind; 3] = [FeedKind::FreeBusy, FeedKind::Busy, FeedKind::Full];

    /// As in `gateway.toml`.
    pub fn name(self) -> &'static str {
        match self {
            FeedKind::FreeBusy => "freebusy",
            FeedKind::Busy => "busy",
            FeedKind::Full => "full",
        }
    }

    pub fn from_name(name: &str) -> Option<FeedKind> {
        FeedKind::ALL.into_iter().find(|k| k.name() == name)
    }
}

#[derive(Clone, Debug)]
pub struct Feed {
    pub kind: FeedKind,
    pub owner: User,
    pub calendar: Calendar,
}

/// The feed whose token has this SHA-256.
pub fn find(tx: &mut Tx<'_>, token_hash: &[u8]) -> Result<Option<Feed>> {
    todo!()
}
