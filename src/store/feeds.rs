//! Feeds: secret URLs that give .ics or free/busy.

use super::calendars::{self, Calendar, Need};
use super::users::{self, Actor, User};
use super::{Error, Result, Tx, shape};

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

/// The feed whose token has this SHA-256. Of a calendar that is not filled yet: `Error::Busy`.
pub fn find(tx: &mut Tx<'_>, token_hash: &[u8]) -> Result<Option<Feed>> {
    let row = tx.one(
        "SELECT f.kind, f.slug, u.id, u.name, u.password, u.display_name, u.addresses, u.zone, u.declared
           FROM feeds f JOIN users u ON u.id = f.user_id
          WHERE f.token_hash = ?1 AND u.active = 1",
        &[token_hash.into()],
        |row| Ok((row.text(0)?, row.text(1)?, users::from_row(row, 2)?)),
    )?;
    let Some((kind, slug, owner)) = row else { return Ok(None) };
    let Some(kind) = FeedKind::from_name(&kind) else { return Ok(None) };
    // Whoever holds the token reads for the owner, and only this calendar.
    let actor = Actor { user: owner.id, name: owner.name.clone(), may_write: false, app_password: None };
    match calendars::open(tx, &actor, &owner.name, &slug, Need::Read) {
        Ok(calendar) => Ok(Some(Feed { kind, owner, calendar })),
        Err(calendars::Denied::Store(e)) => Err(e),
        // There is such a feed, and nothing that it could tell yet.
        Err(_) if shape::is_veiled(tx, owner.id, &slug)? => Err(Error::Busy),
        Err(_) => Ok(None),
    }
}
