//! Calendars of any source. Having a [`Calendar`] means being allowed to: only `open` and `home` make one for an actor.

use std::fmt;

use super::grants::{self, Grant, May, Share};
use super::scheduling::RESERVED;
use super::tx::{Row, Value};
use super::users::{self, Actor};
use super::{Error, Result, Tx, accounts::Account, homes, numbers, resources, shape};
use jiff::tz::TimeZone;

use crate::ical::redact::Viewer;
use crate::ical::{Instant, Kind, zone};
use crate::ids::{AccountId, CalendarId, Cursor, RemoteId, Seq, UserId};

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
    /// To take the calendar out of its home ([`remove`]). Takes the lock as well; what can not be written can be removed.
    Remove,
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
    /// What people call the owner; never empty.
    pub owner_display_name: String,
    /// The owner's preferred address.
    pub owner_address: Option<String>,
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
    /// IANA name of the zone that floating and all-day times have here: from `timezone`, else the owner's. See
    /// [`Calendar::time_zone`].
    pub zone: String,
    pub components: Vec<Kind>,
    /// Whether this actor may put objects here.
    pub writable: bool,
    /// Whether its events leave their owner free (RFC 6638 9.1): it is not counted where free/busy is told as a person's.
    pub transparent: bool,
    /// Whether its upstream sends invitations to the guests of what is put here; of a unified one, that of `write_to`.
    pub schedules: bool,
    /// Mirrors: when it was last read whole and well.
    pub pulled_at: Option<Instant>,
    /// Mirrors: what went wrong last, in words.
    pub error: Option<String>,
    /// `Some`: it is another user's, and shown here by a grant. Made like a unified one.
    pub share: Option<Share>,
    /// Who it is granted to, when it is the user's own.
    pub granted: Vec<Grant>,
}

impl Calendar {
    /// Whose the calendars are that it is made of.
    pub fn members_of(&self) -> UserId {
        self.share.as_ref().map_or(self.user, |share| share.owner)
    }

    /// The zone that floating and all-day times have here.
    pub fn time_zone(&self) -> TimeZone {
        match self.zone.as_str() {
            OWN_RULES => zone::of_calendar_text(&self.timezone),
            name => zone::named(name),
        }
        .unwrap_or(TimeZone::UTC)
    }

    /// The name of the zone that was set for this calendar itself; `None`: there is none, or it has rules of its own.
    pub fn own_zone(&self) -> Option<&str> {
        (!self.timezone.is_empty() && self.zone != OWN_RULES).then_some(&self.zone)
    }

    /// The sync token of this snapshot: a URI.
    pub fn token(&self) -> String {
        format!("urn:calgate:{:x}:{}", self.epoch, self.seq)
    }

    /// The sync token of whoever has seen so much.
    pub fn token_of(&self, seen: Token) -> String {
        let seq = Calendar { seq: seen.seq, ..self.clone() }.token();
        seen.begun.map_or(seq.clone(), |begun| format!("{seq}-{begun}"))
    }

    /// What a token says that this calendar gave; `None`: malformed, another calendar's, from the future, or so old that
    /// the tombstones since are gone.
    pub fn read_token(&self, token: &str) -> Option<Token> {
        let (_, numbers) = token.strip_prefix("urn:calgate:")?.split_once(':')?;
        let (seq, begun) = numbers.split_once('-').map_or((numbers, None), |(seq, begun)| (seq, Some(begun)));
        let seen = Token { seq: Seq(seq.parse().ok()?), begun: begun.map(|b| b.parse().map(Seq)).transpose().ok()? };
        // Of what was deleted before a first listing began, nobody who is in the middle of it needs to hear.
        let since = seen.begun.unwrap_or(seen.seq);
        // The middle of a listing lies before where it began: at its end there is nothing left to say of it.
        let midst = seen.begun.is_none_or(|begun| seen.seq < begun);
        let past = seen.seq.0 >= 0 && midst && (self.floor..=self.seq).contains(&since);
        (past && self.token_of(seen) == token).then_some(seen)
    }
}

/// What a client has seen of a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// All changes up to there.
    pub seq: Seq,
    /// In the middle of a first listing that a limit cut: where the calendar stood when it began.
    pub begun: Option<Seq>,
}

/// One SELECT for every way to find a calendar: the texts differ in their WHERE alone.
macro_rules! select_calendar {
    ($end:literal) => {
        concat!(
            "SELECT c.id, c.user_id, u.name, c.slug, c.source, c.account_id, c.remote_id, w.id, c.epoch, c.seq, c.floor,
                    c.changed_at, COALESCE(c.own_name, c.given_name), COALESCE(c.own_color, c.given_color),
                    COALESCE(c.own_order, ''), COALESCE(c.own_text, c.given_text), c.timezone,
                    CASE WHEN c.zone = '' THEN u.zone ELSE c.zone END, c.components,
                    CASE WHEN c.source = 'unified' THEN COALESCE(w.writable, 0) ELSE c.writable END,
                    c.pulled_at, COALESCE(c.error, a.error), g.id, g.owner_id, go.name, g.may, g.declared,
                    COALESCE(NULLIF(go.display_name, ''), go.name), go.addresses,
                    COALESCE(NULLIF(u.display_name, ''), u.name), u.addresses,
                    COALESCE(c.own_transparent, c.given_transparent),
                    CASE WHEN c.source = 'unified' THEN COALESCE(w.schedules, 0) ELSE c.schedules END,
                    (SELECT COUNT(*) FROM grants x WHERE x.owner_id = c.user_id AND x.slug = c.slug)
               FROM calendars c
               JOIN users u ON u.id = c.user_id
               LEFT JOIN accounts a ON a.id = c.account_id
               LEFT JOIN grants g ON g.id = c.grant_id
               LEFT JOIN users go ON go.id = g.owner_id
               LEFT JOIN calendars w ON w.user_id = COALESCE(g.owner_id, c.user_id) AND w.slug = c.write_to
                     AND w.active = 1 AND w.grant_id IS NULL
              WHERE c.active = 1 AND c.veiled = 0 AND u.active = 1 AND COALESCE(go.active, 1) = 1 AND ",
            $end
        )
    };
}

fn from_row(row: &Row<'_>) -> Result<Calendar> {
    let source = match row.text(4)?.as_str() {
        "local" => Source::Local,
        "mirror" => Source::Mirror { account: AccountId(row.int(5)?), remote: row.opt_text(6)?.map(RemoteId) },
        "unified" => Source::Unified { write_to: row.opt_int(7)?.map(CalendarId) },
        other => return Err(Error::Broken(format!("calendars.source is {other:?}"))),
    };
    let share = grants::share_row(row, 22)?;
    Ok(Calendar {
        id: CalendarId(row.int(0)?),
        user: UserId(row.int(1)?),
        owner: row.text(2)?,
        owner_display_name: row.text(29)?,
        owner_address: row.str(30)?.lines().next().map(str::to_owned),
        slug: row.text(3)?,
        source,
        epoch: row.int(8)?,
        seq: Seq(row.int(9)?),
        floor: Seq(row.int(10)?),
        changed_at: row.instant(11)?,
        display_name: row.text(12)?,
        color: row.text(13)?,
        order: row.text(14)?,
        description: row.text(15)?,
        timezone: row.text(16)?,
        zone: row.text(17)?,
        components: read_components(&row.text(18)?),
        writable: row.bool(19)? && share.as_ref().is_none_or(|share| share.may == May::Write),
        pulled_at: row.opt_instant(20)?,
        error: row.opt_text(21)?,
        share,
        granted: Vec::new(),
        transparent: row.bool(31)?,
        schedules: row.bool(32)?,
    })
}

/// The kinds of objects that a calendar may be said to hold.
const KINDS: [Kind; 3] = [Kind::Event, Kind::Todo, Kind::Journal];

fn read_components(text: &str) -> Vec<Kind> {
    KINDS.into_iter().filter(|k| text.split(' ').any(|name| name == k.name())).collect()
}

pub(super) fn write_components(kinds: &[Kind]) -> String {
    let names: Vec<&str> = KINDS.into_iter().filter(|k| kinds.contains(k)).map(Kind::name).collect();
    names.join(" ")
}

/// The calendar `slug` of the user named `owner`. A hidden calendar and a missing one look the same from outside.
/// A unified calendar opens for writing when the actor may write at all: each of its rows asks its origin.
pub fn open(tx: &mut Tx<'_>, actor: &Actor, owner: &str, slug: &str, need: Need) -> Result<Calendar, Denied> {
    if actor.name != owner {
        return Err(Denied::Missing);
    }
    match need {
        Need::Read => {}
        Need::Write => tx.lock_writer(actor.user)?,
        Need::Remove => tx.lock_leaver(actor.user)?,
    }
    let found =
        tx.one(select_calendar!("c.user_id = ?1 AND c.slug = ?2"), &[actor.user.into(), slug.into()], |row| {
            Ok((from_row(row)?, row.bool(33)?))
        })?;
    let (mut calendar, granted) = found.ok_or(Denied::Missing)?;
    calendar.writable &= actor.may_write;
    // Nearly always there are none, and every request comes by here.
    if granted {
        calendar.granted = grants::of_calendar(tx, actor.user, slug)?;
    }
    may(&calendar, actor, need)?;
    Ok(calendar)
}

fn may(calendar: &Calendar, actor: &Actor, need: Need) -> Result<(), Denied> {
    if need == Need::Read {
        return Ok(());
    }
    if !actor.may_write {
        return Err(Denied::ReadOnly("this app password may only read".to_owned()));
    }
    if need == Need::Remove {
        return Ok(());
    }
    if let Some(share) = calendar.share.as_ref().filter(|share| share.may != May::Write) {
        return Err(Denied::ReadOnly(format!("{} lets you only look at this calendar", share.owner_name)));
    }
    if !calendar.writable && !matches!(calendar.source, Source::Unified { .. }) {
        let slug = &calendar.slug;
        return Err(Denied::ReadOnly(format!("the upstream lets this account only read the calendar {slug:?}")));
    }
    Ok(())
}

/// Every calendar the actor can see in the home of `owner`: unified ones first, those of others last, then by name in
/// URLs.
pub fn home(tx: &mut Tx<'_>, actor: &Actor, owner: &str) -> Result<Vec<Calendar>, Denied> {
    if actor.name != owner {
        return Err(Denied::Missing);
    }
    let mut calendars = tx.query(
        select_calendar!(
            "c.user_id = ?1
             ORDER BY CASE WHEN c.grant_id IS NOT NULL THEN 2 WHEN c.source = 'unified' THEN 0 ELSE 1 END, c.slug"
        ),
        &[actor.user.into()],
        from_row,
    )?;
    for calendar in &mut calendars {
        calendar.writable &= actor.may_write;
    }
    with_granted(tx, actor.user, &mut calendars)?;
    Ok(calendars)
}

/// Every calendar in the home of a user, by slug, with the owner's rights.
pub(super) fn of_user(tx: &mut Tx<'_>, user: UserId) -> Result<Vec<Calendar>> {
    let mut calendars = tx.query(select_calendar!("c.user_id = ?1 ORDER BY c.slug"), &[user.into()], from_row)?;
    with_granted(tx, user, &mut calendars)?;
    Ok(calendars)
}

/// Says of each of a user's calendars who it is granted to.
fn with_granted(tx: &mut Tx<'_>, user: UserId, calendars: &mut [Calendar]) -> Result<()> {
    let granted = grants::given(tx, user)?;
    for calendar in calendars.iter_mut().filter(|calendar| calendar.share.is_none()) {
        calendar.granted.extend(granted.iter().filter(|grant| grant.slug == calendar.slug).cloned());
    }
    Ok(())
}

/// Stands in place of a zone's name where the text of `calendar-timezone` has rules of its own.
const OWN_RULES: &str = "=";

/// What MKCALENDAR may say of a new local calendar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct New {
    /// All that can be changed later can be said at once.
    pub edit: Edit,
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
    if actor.name != owner {
        return Err(NotMade::Denied(Denied::Missing));
    }
    if !actor.may_write {
        return Err(NotMade::Denied(Denied::ReadOnly("this app password may only read".to_owned())));
    }
    tx.lock_writer(actor.user)?;
    // A login is remembered for a while: its user may be gone.
    if users::by_id(tx, actor.user)?.is_none_or(|user| user.name != owner) {
        return Err(NotMade::Denied(Denied::Missing));
    }
    let kinds = new.components.as_deref().unwrap_or(&KINDS);
    let given = Given {
        name: slug,
        color: "",
        text: "",
        writable: true,
        components: kinds,
        transparent: false,
        schedules: false,
    };
    if is_taken(tx, actor.user, slug)? {
        return Err(NotMade::Taken);
    }
    let id = insert(tx, actor.user, slug, "local", None, &given, false, now)?;
    let calendar = for_engine(tx, id)?.ok_or_else(|| Error::Broken("a new calendar is not there".to_owned()))?;
    edit(tx, &calendar, &new.edit)?;
    shape::reshape(tx, actor.user, now)?;
    for_engine(tx, id)?.ok_or(NotMade::Denied(Denied::Missing))
}

/// The settable live properties. `None` leaves one as it is, an empty text removes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    pub display_name: Option<String>,
    pub color: Option<String>,
    pub order: Option<String>,
    pub description: Option<String>,
    pub timezone: Option<String>,
    /// `Some(None)`: what the upstream says, or opaque.
    pub transparent: Option<Option<bool>>,
}

/// Changes what the user sees of a calendar (kept here, never sent upstream; a calendar need not be writable for it).
/// A timezone text whose rules are those of no zone that has a name holds as it is.
pub fn edit(tx: &mut Tx<'_>, calendar: &Calendar, edit: &Edit) -> Result<()> {
    tx.lock_clock(calendar.user)?;
    let id = Value::from(calendar.id);
    if let Some(text) = &edit.display_name {
        tx.execute("UPDATE calendars SET own_name = NULLIF(?2, '') WHERE id = ?1", &[id, text.into()])?;
    }
    if let Some(text) = &edit.color {
        tx.execute("UPDATE calendars SET own_color = NULLIF(?2, '') WHERE id = ?1", &[id, text.into()])?;
    }
    if let Some(text) = &edit.order {
        tx.execute("UPDATE calendars SET own_order = NULLIF(?2, '') WHERE id = ?1", &[id, text.into()])?;
    }
    if let Some(text) = &edit.description {
        tx.execute("UPDATE calendars SET own_text = NULLIF(?2, '') WHERE id = ?1", &[id, text.into()])?;
    }
    if let Some(transparent) = edit.transparent {
        tx.execute(
            "UPDATE calendars SET own_transparent = ?2 WHERE id = ?1",
            &[id, transparent.map(i64::from).into()],
        )?;
    }
    if let Some(text) = &edit.timezone {
        let zone = match zone::of_calendar_text(text) {
            Some(zone) => zone.iana_name().filter(|name| !name.is_empty()).unwrap_or(OWN_RULES).to_owned(),
            None => String::new(),
        };
        let params = [id, text.into(), (&zone).into()];
        tx.execute("UPDATE calendars SET timezone = ?2, zone = ?3 WHERE id = ?1", &params)?;
    }
    homes::settle(tx, calendar.user)?;
    if !calendar.granted.is_empty() {
        grants::rename(tx, calendar)?;
        for grant in &calendar.granted {
            homes::settle(tx, grant.to)?;
        }
    }
    Ok(())
}

/// Removes a local calendar that was made by MKCALENDAR, with all in it, or one that another user granted, from this home
/// alone. Declared, mirror and unified ones are refused.
pub fn remove(tx: &mut Tx<'_>, calendar: &Calendar, now: Instant) -> Result<(), Denied> {
    if let Some(share) = &calendar.share {
        return grants::leave(tx, share);
    }
    // Hidden first: unified calendars hear of what goes away while it is still known what that is.
    let hidden = tx.execute(
        "UPDATE calendars SET active = 0 WHERE id = ?1 AND source = 'local' AND declared = 0",
        &[calendar.id.into()],
    )?;
    if hidden == 0 {
        let why = "only a calendar that was made by a client can be removed by one: change gateway.toml instead";
        return Err(Denied::ReadOnly(why.to_owned()));
    }
    // Another calendar that is called so later is not what was granted.
    grants::revoke(tx, calendar.user, &calendar.slug)?;
    shape::reshape(tx, calendar.user, now)?;
    shape::discard(tx, calendar.id)?;
    Ok(homes::settle(tx, calendar.user)?)
}

/// Shows a calendar in its home, or hides it.
pub(super) fn show(tx: &mut Tx<'_>, id: CalendarId, active: bool) -> Result<()> {
    let user = tx.one(
        "UPDATE calendars SET active = ?2 WHERE id = ?1 RETURNING user_id",
        &[id.into(), active.into()],
        |row| row.int(0).map(UserId),
    )?;
    user.map_or(Ok(()), |user| homes::settle(tx, user))
}

/// The calendar of that id with the owner's rights: for the engine, which acts for the owner.
pub fn for_engine(tx: &mut Tx<'_>, id: CalendarId) -> Result<Option<Calendar>> {
    tx.one(select_calendar!("c.id = ?1"), &[id.into()], from_row)
}

/// Takes the lock of the owner's clock, as `Need::Write` does: for the engine.
pub fn lock(tx: &mut Tx<'_>, calendar: &Calendar) -> Result<()> {
    lock_of(tx, calendar.user)
}

/// Takes the locks of all that the actor may write, as `Need::Write` does: for what begins by reading in one calendar and
/// ends by writing in another.
pub fn lock_writer(tx: &mut Tx<'_>, actor: &Actor) -> Result<()> {
    tx.lock_writer(actor.user)
}

/// Takes the locks of what belongs to either user: for the engine.
pub fn lock_both(tx: &mut Tx<'_>, one: UserId, other: UserId) -> Result<()> {
    if one == other { tx.lock_clock(one) } else { tx.lock_clocks() }
}

/// Takes the lock of a user's clock: before anything of that user's calendars is read that is to be changed.
pub fn lock_of(tx: &mut Tx<'_>, user: UserId) -> Result<()> {
    tx.lock_clock(user)
}

/// Every mirror of an account, by slug.
pub fn mirrors(tx: &mut Tx<'_>, account: AccountId) -> Result<Vec<Calendar>> {
    tx.query(select_calendar!("c.account_id = ?1 ORDER BY c.slug"), &[account.into()], from_row)
}

/// Every calendar there is, by owner and slug: for commands.
pub fn every(tx: &mut Tx<'_>) -> Result<Vec<Calendar>> {
    tx.query(select_calendar!("1 = 1 ORDER BY u.name, c.slug"), &[], from_row)
}

/// What `gateway.toml` or the upstream says of a calendar.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given<'a> {
    pub name: &'a str,
    pub color: &'a str,
    /// Its description.
    pub text: &'a str,
    pub writable: bool,
    pub components: &'a [Kind],
    /// Whether its events leave their owner free.
    pub transparent: bool,
    /// Whether the upstream sends invitations.
    pub schedules: bool,
}

/// Makes the mirror of an upstream calendar, or brings what is known of it up to date. `asked`: the words by which it was
/// found. `Ok(None)`: the slug is another calendar's.
pub fn mirror(
    tx: &mut Tx<'_>,
    account: &Account,
    slug: &str,
    remote: &RemoteId,
    asked: &str,
    given: &Given<'_>,
    now: Instant,
) -> Result<Option<CalendarId>> {
    tx.lock_clock(account.user)?;
    let id = match find_any(tx, account.user, slug)? {
        None => insert(tx, account.user, slug, "mirror", Some(account.id), given, account.declared, now)?,
        Some(found) if found.source == "mirror" && (found.account == Some(account.id) || !found.active) => {
            give_to(tx, &found, account.id, now)?;
            // Another upstream calendar under the old name: what was mirrored before is not its contents.
            if let Some(calendar) = for_engine(tx, found.id)?
                && let Source::Mirror { remote: Some(old), .. } = &calendar.source
                && !same_place(old, remote)
            {
                grants::revoke(tx, account.user, slug)?;
                resources::forget_all(tx, &calendar, now)?;
            }
            found.id
        }
        Some(_) => return Ok(None),
    };
    let kinds = write_components(given.components);
    tx.execute(
        "UPDATE calendars SET remote_id = ?2, given_name = ?3, given_color = ?4, given_text = ?5, writable = ?6,
                components = ?7, asked = ?8, given_transparent = ?9, schedules = ?10, active = 1, error = NULL
          WHERE id = ?1",
        &[
            id.into(),
            remote.as_str().into(),
            given.name.into(),
            given.color.into(),
            given.text.into(),
            given.writable.into(),
            (&kinds).into(),
            asked.into(),
            given.transparent.into(),
            given.schedules.into(),
        ],
    )?;
    Ok(Some(id))
}

/// Shows a mirror as one of this account. One of another account forgets what it held: that was of another login.
pub(super) fn give_to(tx: &mut Tx<'_>, found: &Found, account: AccountId, now: Instant) -> Result<()> {
    tx.execute(
        "UPDATE calendars SET active = 1, declared = (SELECT declared FROM accounts WHERE id = ?2) WHERE id = ?1",
        &[found.id.into(), account.into()],
    )?;
    if found.account == Some(account) {
        return Ok(());
    }
    // By its old account, which may be hidden: the row says what there is to forget.
    tx.execute("UPDATE calendars SET account_id = ?2 WHERE id = ?1", &[found.id.into(), account.into()])?;
    if let Some(calendar) = for_engine(tx, found.id)? {
        grants::revoke(tx, calendar.user, &calendar.slug)?;
        resources::forget_all(tx, &calendar, now)?;
    }
    tx.execute("UPDATE calendars SET remote_id = NULL, asked = '' WHERE id = ?1", &[found.id.into()]).map(|_| ())
}

/// Whether two ids name one calendar: a server may write its paths with other escapes, or without the final slash.
pub fn same_place(a: &RemoteId, b: &RemoteId) -> bool {
    let plain = |id: &RemoteId| {
        let text = id.as_str().trim_end_matches('/');
        percent_encoding::percent_decode_str(text).collect::<Vec<u8>>()
    };
    plain(a) == plain(b)
}

/// The words by which each mirror of an account was found, by slug.
pub fn asked(tx: &mut Tx<'_>, account: AccountId) -> Result<Vec<(String, String)>> {
    tx.query("SELECT slug, asked FROM calendars WHERE account_id = ?1", &[account.into()], |row| {
        Ok((row.text(0)?, row.text(1)?))
    })
}

/// Hides every mirror of an account.
pub(super) fn hide_mirrors(tx: &mut Tx<'_>, account: AccountId) -> Result<()> {
    tx.execute("UPDATE calendars SET active = 0 WHERE account_id = ?1", &[account.into()]).map(|_| ())
}

/// Whether a calendar of the user, hidden or not, has that slug, or none can.
pub fn is_taken(tx: &mut Tx<'_>, user: UserId, slug: &str) -> Result<bool> {
    Ok(RESERVED.contains(&slug) || find_any(tx, user, slug)?.is_some())
}

/// A row whether it is hidden or not.
pub(super) struct Found {
    pub(super) id: CalendarId,
    pub(super) source: String,
    pub(super) active: bool,
    account: Option<AccountId>,
}

pub(super) fn find_any(tx: &mut Tx<'_>, user: UserId, slug: &str) -> Result<Option<Found>> {
    tx.one(
        "SELECT id, source, active, account_id FROM calendars WHERE user_id = ?1 AND slug = ?2",
        &[user.into(), slug.into()],
        |row| {
            Ok(Found {
                id: CalendarId(row.int(0)?),
                source: row.text(1)?,
                active: row.bool(2)?,
                account: row.opt_int(3)?.map(AccountId),
            })
        },
    )
}

/// The time index of a new calendar reaches this far back and ahead, in seconds.
pub const INDEX_BACK: i64 = 366 * 86_400;
pub const INDEX_AHEAD: i64 = 2 * 366 * 86_400;

#[allow(clippy::too_many_arguments)]
pub(super) fn insert(
    tx: &mut Tx<'_>,
    user: UserId,
    slug: &str,
    source: &str,
    account: Option<AccountId>,
    given: &Given<'_>,
    declared: bool,
    now: Instant,
) -> Result<CalendarId> {
    let kinds = write_components(given.components);
    let id = numbers::next(tx, "calendars")?;
    tx.execute(
        "INSERT INTO calendars (user_id, slug, source, account_id, declared, active, epoch, masking, seq, floor, changed_at,
                                given_name, given_color, given_text, timezone, zone, components, writable,
                                indexed_from, indexed_until, shape, id, veiled)
         VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, 0, 0, ?8, ?9, ?10, ?11, '', '', ?12, ?13, ?14, ?15, '', ?16, ?17)",
        &[
            user.into(),
            slug.into(),
            source.into(),
            account.into(),
            declared.into(),
            crate::secrets::random_epoch().into(),
            crate::secrets::random::<32>().as_slice().into(),
            now.into(),
            given.name.into(),
            given.color.into(),
            given.text.into(),
            (&kinds).into(),
            given.writable.into(),
            now.plus(-INDEX_BACK).into(),
            now.plus(INDEX_AHEAD).into(),
            id.into(),
            // A unified one is seen when it is filled (`shape.rs`).
            (source == "unified").into(),
        ],
    )?;
    Ok(CalendarId(id))
}

/// The key of the UIDs that `who` sees where a mask hides something in this calendar. It stays the same through restarts,
/// changes of the key file, and backups.
pub fn viewer(tx: &mut Tx<'_>, calendar: CalendarId, who: &str) -> Result<Viewer> {
    let masking = tx.one("SELECT masking FROM calendars WHERE id = ?1", &[calendar.into()], |row| row.opt_blob(0))?;
    let masking = masking.flatten().filter(|masking| !masking.is_empty());
    masking
        .map(|secret| Viewer::new(&secret, who))
        .ok_or_else(|| Error::Broken("calendars.masking is empty".to_owned()))
}

/// Where the next pull of a mirror goes on; `None` once a day, so that everything is listed: some servers take any token,
/// and answer that nothing has changed.
pub fn cursor(tx: &mut Tx<'_>, calendar: CalendarId, now: Instant) -> Result<Option<Cursor>> {
    let found = tx.one(
        "SELECT cursor FROM calendars WHERE id = ?1 AND listed_at > ?2",
        &[calendar.into(), now.plus(-86_400).into()],
        |row| Ok(row.opt_text(0)?.map(Cursor)),
    )?;
    Ok(found.flatten())
}

/// A mirror was read to the end: what was read and the cursor are one transaction. `whole`: everything was listed.
pub fn pulled(tx: &mut Tx<'_>, calendar: CalendarId, cursor: Option<&Cursor>, whole: bool, now: Instant) -> Result<()> {
    tx.execute(
        "UPDATE calendars SET cursor = ?2, pulled_at = ?3, listed_at = CASE WHEN ?4 = 1 THEN ?3 ELSE listed_at END,
                error = NULL
          WHERE id = ?1",
        &[calendar.into(), cursor.map(Cursor::as_str).into(), now.into(), whole.into()],
    )
    .map(|_| ())
}

/// Forgets the cursor: the next pull reads everything.
pub fn forget_cursor(tx: &mut Tx<'_>, calendar: CalendarId) -> Result<()> {
    tx.execute("UPDATE calendars SET cursor = NULL WHERE id = ?1", &[calendar.into()]).map(|_| ())
}

/// A mirror could not be read; what is here stays.
pub fn note(tx: &mut Tx<'_>, calendar: CalendarId, error: &str, now: Instant) -> Result<()> {
    tx.execute(
        "UPDATE calendars SET error = ?2, error_at = ?3 WHERE id = ?1",
        &[calendar.into(), error.into(), now.into()],
    )
    .map(|_| ())
}
