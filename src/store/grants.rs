//! Grants: who may see or change whose calendar. Each is shown as a calendar in the home of whom it was given to, made
//! like a unified one (`unified.rs`) of calendars that are another user's.
//!
//! Whoever changes a calendar holds the clocks of all it is granted to (`Tx::lock_clock`), so nothing here needs a lock of
//! its own.

use super::calendars::{self, Calendar, Denied, Given};
use super::tx::{Row, Value};
use super::unified::{self, Member};
use super::users::{self, User};
use super::{Error, Result, Tx, homes, properties, shape};
use crate::ical::{Instant, Kind, Mask};
use crate::ids::{CalendarId, GrantId, UserId};

/// What somebody may do with a calendar of another user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum May {
    /// See when time is taken.
    Busy,
    /// See times and titles; of what is private, only the time.
    Title,
    /// See everything; of what is private, only the time.
    Read,
    /// See and change everything.
    Write,
}

impl May {
    pub const ALL: [May; 4] = [May::Busy, May::Title, May::Read, May::Write];

    /// As configuration and commands write it: `read`.
    pub fn name(self) -> &'static str {
        match self {
            May::Busy => "busy",
            May::Title => "title",
            May::Read => "read",
            May::Write => "write",
        }
    }

    pub fn from_name(name: &str) -> Option<May> {
        May::ALL.into_iter().find(|may| may.name() == name)
    }

    /// What is hidden of an object that is not private.
    pub fn mask(self) -> Mask {
        match self {
            May::Busy => Mask::Busy,
            May::Title => Mask::Title,
            May::Read | May::Write => Mask::Full,
        }
    }

    /// Whether of what is private only the time is seen.
    pub fn hides_private(self) -> bool {
        self != May::Write
    }

    /// A right that is not known gives the least.
    pub(super) fn read(name: &str) -> May {
        May::from_name(name).unwrap_or(May::Busy)
    }
}

/// What a calendar in a home is when it is another user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub grant: GrantId,
    pub owner: UserId,
    pub owner_name: String,
    /// What people call the owner; never empty.
    pub owner_display_name: String,
    /// The owner's preferred address.
    pub owner_address: Option<String>,
    pub may: May,
    /// By `gateway.toml`.
    pub declared: bool,
}

/// Seven columns from `at` on: id, owner_id, the owner's name, may, declared, display name, addresses. `None`: the calendar is the user's own.
pub(super) fn share_row(row: &Row<'_>, at: usize) -> Result<Option<Share>> {
    let Some(grant) = row.opt_int(at)?.map(GrantId) else { return Ok(None) };
    Ok(Some(Share {
        grant,
        owner: UserId(row.int(at + 1)?),
        owner_name: row.text(at + 2)?,
        may: May::read(row.str(at + 3)?),
        declared: row.bool(at + 4)?,
        owner_display_name: row.text(at + 5)?,
        owner_address: row.str(at + 6)?.lines().next().map(str::to_owned),
    }))
}

/// A grant as the owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub id: GrantId,
    pub owner: UserId,
    pub owner_name: String,
    pub slug: String,
    pub to: UserId,
    pub to_name: String,
    /// What people call them; never empty.
    pub to_display_name: String,
    /// The preferred address of whom it is given to.
    pub to_address: Option<String>,
    pub may: May,
    pub summary: String,
    pub declared: bool,
}

macro_rules! select_grant {
    ($end:literal) => {
        concat!(
            "SELECT g.id, g.owner_id, o.name, g.slug, g.to_id, t.name, t.display_name, t.addresses, g.may, g.summary,
                    g.declared
               FROM grants g JOIN users o ON o.id = g.owner_id JOIN users t ON t.id = g.to_id
              WHERE o.active = 1 AND t.active = 1 AND ",
            $end
        )
    };
}

fn from_row(row: &Row<'_>) -> Result<Grant> {
    let (name, display) = (row.text(5)?, row.text(6)?);
    Ok(Grant {
        id: GrantId(row.int(0)?),
        owner: UserId(row.int(1)?),
        owner_name: row.text(2)?,
        slug: row.text(3)?,
        to: UserId(row.int(4)?),
        to_display_name: if display.is_empty() { name.clone() } else { display },
        to_name: name,
        to_address: row.text(7)?.lines().next().map(str::to_owned),
        may: May::read(row.str(8)?),
        summary: row.text(9)?,
        declared: row.bool(10)?,
    })
}

/// Who a calendar is granted to, by name.
pub(super) fn of_calendar(tx: &mut Tx<'_>, owner: UserId, slug: &str) -> Result<Vec<Grant>> {
    tx.query(select_grant!("g.owner_id = ?1 AND g.slug = ?2 ORDER BY t.name"), &[owner.into(), slug.into()], from_row)
}

/// All grants that a user gave, by calendar and name.
pub fn given(tx: &mut Tx<'_>, owner: UserId) -> Result<Vec<Grant>> {
    tx.query(select_grant!("g.owner_id = ?1 ORDER BY g.slug, t.name"), &[owner.into()], from_row)
}

/// All grants that a user was given, by owner and calendar.
pub fn taken(tx: &mut Tx<'_>, to: UserId) -> Result<Vec<Grant>> {
    tx.query(select_grant!("g.to_id = ?1 ORDER BY o.name, g.slug"), &[to.into()], from_row)
}

/// The users that this one has given something to or has something from, by name. Of others nobody is told.
pub fn acquainted(tx: &mut Tx<'_>, user: UserId) -> Result<Vec<User>> {
    tx.query(
        "SELECT id, name, password, display_name, addresses, zone, declared FROM users
          WHERE active = 1 AND id IN (
                SELECT to_id FROM grants WHERE owner_id = ?1 UNION SELECT owner_id FROM grants WHERE to_id = ?1)
          ORDER BY name",
        &[user.into()],
        |row| users::from_row(row, 0),
    )
}

/// The user of that name, if it is the one who asks or one they are acquainted with.
pub fn principal(tx: &mut Tx<'_>, asker: UserId, name: &str) -> Result<Option<User>> {
    let Some(user) = users::by_name(tx, name)?.filter(|user| user.name == name) else { return Ok(None) };
    if user.id == asker {
        return Ok(Some(user));
    }
    let met = tx.one(
        "SELECT 1 FROM grants WHERE owner_id = ?1 AND to_id = ?2 OR owner_id = ?2 AND to_id = ?1",
        &[asker.into(), user.id.into()],
        |_| Ok(()),
    )?;
    Ok(met.map(|()| user))
}

/// Why a grant was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotGranted {
    /// It stands in `gateway.toml`.
    Declared,
    /// To its owner.
    Oneself,
    /// What was granted by another can not be granted on.
    Borrowed,
    Store(Error),
}

impl From<Error> for NotGranted {
    fn from(e: Error) -> NotGranted {
        NotGranted::Store(e)
    }
}

impl std::fmt::Display for NotGranted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NotGranted::Declared => "this is said in gateway.toml, and can be changed only there",
            NotGranted::Oneself => "a calendar can not be shared with its owner",
            NotGranted::Borrowed => "this calendar was shared by another user, who alone can share it",
            NotGranted::Store(e) => return e.fmt(f),
        })
    }
}

/// Takes all the locks that any grant needs: before more than one is changed.
pub fn lock_all(tx: &mut Tx<'_>) -> Result<()> {
    tx.lock_clocks()
}

/// Grants a calendar of the caller's own to another user, or changes what that user may. The calendar shows in the
/// other's home from then on, or as soon as it is filled (`shape.rs`); what it may show no more is out of sight at once.
pub fn add(
    tx: &mut Tx<'_>,
    calendar: &Calendar,
    to: UserId,
    may: May,
    summary: &str,
    now: Instant,
) -> Result<(), NotGranted> {
    lock(tx, calendar, to)?;
    let done = tx.execute(
        "INSERT INTO grants (owner_id, slug, to_id, may, summary, declared) VALUES (?1, ?2, ?3, ?4, ?5, 0)
         ON CONFLICT (owner_id, slug, to_id) DO UPDATE SET may = excluded.may, summary = excluded.summary
         WHERE grants.declared = 0",
        &[calendar.user.into(), (&calendar.slug).into(), to.into(), may.name().into(), summary.into()],
    )?;
    if done == 0 {
        return Err(NotGranted::Declared);
    }
    Ok(shape::reshape(tx, calendar.user, now)?)
}

/// Whether what was granted shows all that it is to show, and nothing else.
pub fn is_filled(tx: &mut Tx<'_>, calendar: &Calendar, to: UserId) -> Result<bool> {
    let filling = tx.one(
        "SELECT 1 FROM grants g JOIN calendars c ON c.grant_id = g.id
          WHERE g.owner_id = ?1 AND g.slug = ?2 AND g.to_id = ?3 AND c.filling IS NOT NULL",
        &[calendar.user.into(), (&calendar.slug).into(), to.into()],
        |_| Ok(()),
    )?;
    Ok(filling.is_none())
}

/// Takes a grant back: the calendar leaves the other's home at once. False: there was none.
pub fn remove(tx: &mut Tx<'_>, calendar: &Calendar, to: UserId) -> Result<bool, NotGranted> {
    lock(tx, calendar, to)?;
    let found = of_calendar(tx, calendar.user, &calendar.slug)?.into_iter().find(|grant| grant.to == to);
    match found {
        None => Ok(false),
        Some(grant) if grant.declared => Err(NotGranted::Declared),
        Some(grant) => {
            end(tx, grant.id)?;
            Ok(true)
        }
    }
}

fn lock(tx: &mut Tx<'_>, calendar: &Calendar, to: UserId) -> Result<(), NotGranted> {
    if calendar.share.is_some() {
        return Err(NotGranted::Borrowed);
    }
    if calendar.user == to {
        return Err(NotGranted::Oneself);
    }
    tx.lock_clock_with(calendar.user, to)?;
    // Removed while we waited: another that is called so later is not what was meant.
    match calendars::for_engine(tx, calendar.id)? {
        Some(_) => Ok(()),
        None => Err(NotGranted::Store(Error::Busy)),
    }
}

/// Whom it was given to does not want it any more.
pub(super) fn leave(tx: &mut Tx<'_>, share: &Share) -> Result<(), Denied> {
    if share.declared {
        let why =
            format!("this calendar of {} is shared by gateway.toml, and can be removed only there", share.owner_name);
        return Err(Denied::ReadOnly(why));
    }
    Ok(end(tx, share.grant)?)
}

/// Ends a grant. Its calendar goes with it at once, and both homes hear of it; its rows may go later.
fn end(tx: &mut Tx<'_>, grant: GrantId) -> Result<()> {
    let shown = tx.query(
        "SELECT c.id, u.name, c.slug FROM calendars c JOIN users u ON u.id = c.user_id WHERE c.grant_id = ?1",
        &[grant.into()],
        |row| Ok((row.int(0)?, row.text(1)?, row.text(2)?)),
    )?;
    for (id, user, slug) in shown {
        // Another calendar of that name does not have its properties.
        properties::forget_below(tx, &format!("/dav/{user}/{slug}/"))?;
        calendars::show(tx, CalendarId(id), false)?;
        shape::discard(tx, CalendarId(id))?;
    }
    let owner =
        tx.one("DELETE FROM grants WHERE id = ?1 RETURNING owner_id", &[grant.into()], |row| row.int(0).map(UserId))?;
    owner.map_or(Ok(()), |owner| homes::settle(tx, owner))
}

/// The calendar of that name is not what it was when its owner granted it. What `gateway.toml` says stays.
pub(super) fn revoke(tx: &mut Tx<'_>, owner: UserId, slug: &str) -> Result<()> {
    // Those to users who are hidden now as well.
    let grants = tx.query(
        "SELECT id FROM grants WHERE owner_id = ?1 AND slug = ?2 AND declared = 0 ORDER BY id",
        &[owner.into(), slug.into()],
        |row| row.int(0).map(GrantId),
    )?;
    grants.into_iter().try_for_each(|grant| end(tx, grant))
}

/// Makes what `gateway.toml` says of grants so. What it says no more ends.
pub(super) fn declare(tx: &mut Tx<'_>, declared: &[(UserId, String, UserId, May)]) -> Result<()> {
    let before = tx.query("SELECT id, owner_id, slug, to_id FROM grants WHERE declared = 1", &[], |row| {
        Ok((GrantId(row.int(0)?), UserId(row.int(1)?), row.text(2)?, UserId(row.int(3)?)))
    })?;
    for (id, owner, slug, to) in before {
        if !declared.iter().any(|(o, s, t, _)| (*o, s, *t) == (owner, &slug, to)) {
            end(tx, id)?;
        }
    }
    for (owner, slug, to, may) in declared {
        tx.execute(
            "INSERT INTO grants (owner_id, slug, to_id, may, summary, declared) VALUES (?1, ?2, ?3, ?4, '', 1)
             ON CONFLICT (owner_id, slug, to_id) DO UPDATE SET may = excluded.may, declared = 1",
            &[(*owner).into(), slug.into(), (*to).into(), may.name().into()],
        )?;
    }
    Ok(())
}

/// A granted calendar, hidden or not.
struct Granted {
    grant: GrantId,
    to: UserId,
    owner_name: String,
    owner_display_name: String,
    may: May,
    slug: String,
    /// The calendar's id, source, name, colour and components; `None`: there is none of that name (yet).
    calendar: Option<(CalendarId, String, String, String, String)>,
    write_to: String,
    there: bool,
}

/// Brings the calendars that show what `owner` granted to what they are now made of; `shape::reshape` fills them.
pub(super) fn settle(tx: &mut Tx<'_>, owner: UserId, now: Instant) -> Result<()> {
    let grants = tx.query(
        "SELECT g.id, g.to_id, o.name, o.display_name, g.may, g.slug, c.id, c.source, COALESCE(c.own_name, c.given_name),
                COALESCE(c.own_color, c.given_color), c.components, COALESCE(c.write_to, ''), COALESCE(c.active, 0)
           FROM grants g JOIN users o ON o.id = g.owner_id
           LEFT JOIN calendars c ON c.user_id = g.owner_id AND c.slug = g.slug AND c.grant_id IS NULL
          WHERE g.owner_id = ?1 ORDER BY g.id",
        &[owner.into()],
        |row| {
            let calendar = match row.opt_int(6)? {
                Some(id) => Some((CalendarId(id), row.text(7)?, row.text(8)?, row.text(9)?, row.text(10)?)),
                None => None,
            };
            Ok(Granted {
                grant: GrantId(row.int(0)?),
                to: UserId(row.int(1)?),
                owner_name: row.text(2)?,
                owner_display_name: row.text(3)?,
                may: May::read(row.str(4)?),
                slug: row.text(5)?,
                calendar,
                write_to: row.text(11)?,
                there: row.bool(12)?,
            })
        },
    )?;
    for granted in grants {
        settle_one(tx, &granted, now)?;
    }
    Ok(())
}

fn settle_one(tx: &mut Tx<'_>, granted: &Granted, now: Instant) -> Result<()> {
    let shown = tx.one("SELECT id, active FROM calendars WHERE grant_id = ?1", &[granted.grant.into()], |row| {
        Ok((CalendarId(row.int(0)?), row.bool(1)?))
    })?;
    let Some((id, source, name, color, components)) = &granted.calendar else {
        return match shown {
            Some((shown, true)) => calendars::show(tx, shown, false),
            _ => Ok(()),
        };
    };
    let owner = match granted.owner_display_name.is_empty() {
        true => &granted.owner_name,
        false => &granted.owner_display_name,
    };
    let name = format!("{name} ({owner})");
    let (shown, active) = match shown {
        Some(shown) => shown,
        None if !granted.there => return Ok(()),
        None => {
            let slug = free_slug(tx, granted)?;
            let kinds = [Kind::Event, Kind::Todo, Kind::Journal];
            let given = Given { name: &name, color, text: "", writable: false, components: &kinds, ..Given::default() };
            let shown = calendars::insert(tx, granted.to, &slug, "unified", None, &given, false, now)?;
            tx.execute(
                "UPDATE calendars SET grant_id = ?2, active = 0 WHERE id = ?1",
                &[shown.into(), granted.grant.into()],
            )?;
            (shown, false)
        }
    };
    // What is unified is granted as what it is made of, each no more than its owner sees of it there.
    let (members, write_to) = match source.as_str() {
        "unified" => {
            let mut members = unified::members(tx, *id)?;
            members.iter_mut().for_each(|m| m.mask = m.mask.min(granted.may.mask()));
            (members, granted.write_to.as_str())
        }
        _ => (vec![Member { slug: granted.slug.clone(), mask: granted.may.mask() }], granted.slug.as_str()),
    };
    if unified::members(tx, shown)? != members {
        unified::set_members(tx, shown, &members, write_to)?;
    }
    tx.execute(
        "UPDATE calendars SET given_name = ?2, given_color = ?3, components = ?4, write_to = ?5 WHERE id = ?1",
        &[shown.into(), (&name).into(), color.into(), components.into(), write_to.into()],
    )?;
    if active != granted.there {
        calendars::show(tx, shown, granted.there)?;
    }
    // What may be done with it may be something else than before, with the same in it.
    homes::settle(tx, granted.to)
}

/// `team.anna`, or the next that is free. It stays, whatever comes later.
fn free_slug(tx: &mut Tx<'_>, granted: &Granted) -> Result<String> {
    next_free(tx, granted.to, &format!("{}.{}", granted.slug, granted.owner_name))
}

fn next_free(tx: &mut Tx<'_>, user: UserId, base: &str) -> Result<String> {
    // A slug is a path segment, and those have 255 bytes at most.
    let end = (0..=base.len().min(240)).rev().find(|at| base.is_char_boundary(*at)).unwrap_or(0);
    let base = &base[..end];
    for n in 1.. {
        let slug = if n == 1 { base.to_owned() } else { format!("{base}-{n}") };
        if calendars::find_any(tx, user, &slug)?.is_none() {
            return Ok(slug);
        }
    }
    Err(Error::Broken("there are no slugs left".to_owned()))
}

/// The configuration wants a slug for a calendar of the user's own: a granted one that has it takes another.
pub(super) fn make_way(tx: &mut Tx<'_>, user: UserId, slug: &str) -> Result<()> {
    let taken = tx.one(
        "SELECT id FROM calendars WHERE user_id = ?1 AND slug = ?2 AND grant_id IS NOT NULL",
        &[user.into(), slug.into()],
        |row| row.int(0),
    )?;
    let Some(id) = taken else { return Ok(()) };
    let free = next_free(tx, user, slug)?;
    tx.execute("UPDATE calendars SET slug = ?2 WHERE id = ?1", &[Value::Int(id), (&free).into()]).map(|_| ())
}

/// The owner calls a calendar, or colours it, in another way: those it is granted to see that, unless they have a name
/// or a colour of their own for it.
pub(super) fn rename(tx: &mut Tx<'_>, calendar: &Calendar) -> Result<()> {
    tx.execute(
        "UPDATE calendars SET
             given_color = (SELECT COALESCE(o.own_color, o.given_color) FROM calendars o WHERE o.id = ?1),
             given_name = (SELECT COALESCE(o.own_name, o.given_name) || ' (' || COALESCE(NULLIF(u.display_name, ''), u.name)
                                  || ')' FROM calendars o JOIN users u ON u.id = o.user_id WHERE o.id = ?1)
          WHERE grant_id IN (SELECT id FROM grants WHERE owner_id = ?2 AND slug = ?3)",
        &[calendar.id.into(), calendar.user.into(), (&calendar.slug).into()],
    )
    .map(|_| ())
}
