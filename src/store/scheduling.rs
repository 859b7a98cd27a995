//! What scheduling knows of a user: availability, where new events go, and who may ask for free/busy.

use super::calendars::{Calendar, Source};
use super::users::User;
use super::{Error, Result, Tx, instances, users};
use crate::ical::{Kind, scheduling};
use crate::ids::UserId;

/// Names in a user's home that are no calendars: scheduling's own collections (RFC 6638 2.1, 2.2).
pub const RESERVED: [&str; 2] = [INBOX, OUTBOX];
pub const INBOX: &str = "inbox";
pub const OUTBOX: &str = "outbox";

/// Who may ask when a user has time. Whoever may read a calendar of theirs may ask of that calendar all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Who {
    /// Every user of this gateway.
    #[default]
    Users,
    /// Whom some calendar of theirs is granted to.
    Grants,
    Nobody,
}

impl Who {
    pub const ALL: [Who; 3] = [Who::Users, Who::Grants, Who::Nobody];

    pub fn name(self) -> &'static str {
        match self {
            Who::Users => "users",
            Who::Grants => "grants",
            Who::Nobody => "nobody",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A VCALENDAR with VAVAILABILITYs (RFC 7953); empty: none.
    pub availability: String,
    /// The slug of the calendar that new events go to; empty: never chosen. It may be gone.
    pub new_events: String,
    pub free_busy: Who,
}

pub fn settings(tx: &mut Tx<'_>, user: UserId) -> Result<Settings> {
    let found =
        tx.one("SELECT availability, new_events, free_busy FROM users WHERE id = ?1", &[user.into()], |row| {
            let said = row.text(2)?;
            let who = Who::ALL.into_iter().find(|who| who.name() == said);
            Ok(Settings {
                availability: row.text(0)?,
                new_events: row.text(1)?,
                free_busy: who.ok_or_else(|| Error::Broken(format!("users.free_busy is {said:?}")))?,
            })
        })?;
    found.ok_or_else(|| Error::Broken("a user that is being served is not there".to_owned()))
}

pub fn set_availability(tx: &mut Tx<'_>, user: UserId, text: &str) -> Result<()> {
    tx.execute("UPDATE users SET availability = ?2 WHERE id = ?1", &[user.into(), text.into()]).map(|_| ())
}

pub fn set_new_events(tx: &mut Tx<'_>, user: UserId, slug: &str) -> Result<()> {
    tx.execute("UPDATE users SET new_events = ?2 WHERE id = ?1", &[user.into(), slug.into()]).map(|_| ())
}

/// Whether `asker` may ask when `user` has time. Everybody may ask about themselves.
pub fn may_ask(tx: &mut Tx<'_>, asker: UserId, user: UserId) -> Result<bool> {
    Ok(asker == user
        || match settings(tx, user)?.free_busy {
            Who::Users => true,
            Who::Nobody => false,
            Who::Grants => {
                let params = [user.into(), asker.into()];
                tx.one("SELECT 1 FROM grants WHERE owner_id = ?1 AND to_id = ?2 LIMIT 1", &params, |_| Ok(()))?
                    .is_some()
            }
        })
}

/// Whether new events may go to a calendar: what RFC 6638 9.2 asks of a default.
pub fn takes_events(calendar: &Calendar) -> bool {
    calendar.writable && calendar.components.contains(&Kind::Event)
}

/// Of the calendars of a user's own home the one that new events go to: what was chosen, as long as it takes them, else the
/// first that does (unified calendars come first).
pub fn default_calendar<'a>(calendars: &'a [Calendar], settings: &Settings) -> Option<&'a Calendar> {
    let mut fit = calendars.iter().filter(|c| takes_events(c));
    fit.clone().find(|c| c.slug == settings.new_events).or_else(|| fit.next())
}

/// Whether whatever is put into any calendar of a home is sent to its guests by an upstream: only then may the home say so.
/// A client believes it, and sends no invitations from any of these calendars itself.
pub fn all_schedule(calendars: &[Calendar]) -> bool {
    let mut fit = calendars.iter().filter(|c| takes_events(c)).peekable();
    fit.peek().is_some() && fit.all(|c| c.schedules)
}

/// What the boxes of a user, and their home and principal, say of scheduling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub settings: Settings,
    /// The slug of the calendar that new events go to.
    pub default: Option<String>,
    /// Slugs of the calendars whose events make their owner busy.
    pub counting: Vec<String>,
    /// Whether upstreams send invitations for all that can be put into the home.
    pub schedules: bool,
}

impl Facts {
    /// `calendars`: all that the user sees in their home.
    pub fn of(tx: &mut Tx<'_>, user: &User, calendars: &[Calendar]) -> Result<Facts> {
        let settings = settings(tx, user.id)?;
        let own: Vec<Calendar> = calendars.iter().filter(|c| c.user == user.id && c.share.is_none()).cloned().collect();
        let counts = |c: &&Calendar| !c.transparent && c.share.is_none() && !matches!(c.source, Source::Unified { .. });
        Ok(Facts {
            default: default_calendar(&own, &settings).map(|c| c.slug.clone()),
            counting: own.iter().filter(counts).map(|c| c.slug.clone()).collect(),
            // What others let the user write in stands in the home too.
            schedules: all_schedule(calendars),
            settings,
        })
    }
}

/// Whether any upstream of any calendar sends invitations: where none does, nobody need be asked about one.
pub fn any(tx: &mut Tx<'_>) -> Result<bool> {
    let found = tx.one("SELECT 1 FROM calendars WHERE schedules = 1 AND active = 1 LIMIT 1", &[], |_| Ok(()))?;
    Ok(found.is_some())
}

/// The schedule tag of what a calendar shows as `body`; `None`: nobody is invited to it.
pub fn tag_of(tx: &mut Tx<'_>, calendar: &Calendar, body: &str) -> Result<Option<String>> {
    if !scheduling::may_invite(body) {
        return Ok(None);
    }
    Ok(scheduling::tag(body, &instances::addresses_in(tx, calendar)?))
}

/// The active user with that mail address (lower case, without `mailto:`). Should two have it, the first by name for whom
/// it is the preferred one.
pub fn by_address(tx: &mut Tx<'_>, address: &str) -> Result<Option<User>> {
    let all = users::list(tx)?;
    let preferred = all.iter().find(|user| user.addresses.first().is_some_and(|a| a == address));
    Ok(preferred.or_else(|| all.iter().find(|user| user.addresses.iter().any(|a| a == address))).cloned())
}
