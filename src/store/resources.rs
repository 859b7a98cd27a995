//! Resources: the rows of every calendar. `save` is the one function that changes them.

use super::calendars::{Calendar, Source};
use super::jobs::{self, Duty};
use super::tx::Row;
use super::users::Actor;
use super::{Error, Result, Tx, instances, properties, subscriptions, unified};
use crate::ical::{Instant, Kind, Object, Window, change, object};
use crate::ids::{CalendarId, Etag, Name, RemoteId, ResourceId, Seq, UserId};
use crate::secrets;

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

/// The strong etag of a body: a hash of its bytes.
pub fn etag_of(body: &str) -> Etag {
    let hash = secrets::sha256(body.as_bytes());
    let mut text = String::with_capacity(32);
    for byte in &hash[..16] {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    Etag(text)
}

// What a client asks.

/// All live resources, by name.
pub fn list(tx: &mut Tx<'_>, calendar: &Calendar) -> Result<Vec<Listed>> {
    tx.query(
        "SELECT name, kind, etag, size, changed_at FROM resources WHERE calendar_id = ?1 AND live = 1 ORDER BY name",
        &[calendar.id.into()],
        |row| listed(row, 0),
    )
}

/// Five columns from `at` on: name, kind, etag, size, changed_at.
fn listed(row: &Row<'_>, at: usize) -> Result<Listed> {
    Ok(Listed {
        name: name(row.str(at)?)?,
        kind: kind(row.int(at + 1)?),
        etag: row.str(at + 2)?.into(),
        size: row.int(at + 3)?,
        changed_at: row.instant(at + 4)?,
    })
}

fn name(text: &str) -> Result<Name> {
    Name::new(text).ok_or_else(|| Error::Broken(format!("resources.name is {text:?}")))
}

pub(super) fn kind(number: i64) -> Kind {
    match number {
        0 => Kind::Event,
        1 => Kind::Todo,
        2 => Kind::Journal,
        _ => Kind::Other,
    }
}

/// One SELECT for every way to find live resources with what a client is shown of them.
macro_rules! select_resource {
    ($end:literal) => {
        concat!(
            "SELECT r.id, r.uid, r.seq, COALESCE(r.body, o.body), r.name, r.kind, r.etag, r.size, r.changed_at
               FROM resources r LEFT JOIN resources o ON o.id = r.origin_id
              WHERE r.live = 1 AND ",
            $end
        )
    };
}

fn from_row(row: &Row<'_>) -> Result<Resource> {
    let listed = listed(row, 4)?;
    Ok(Resource {
        id: ResourceId(row.int(0)?),
        uid: row.text(1)?,
        seq: Seq(row.int(2)?),
        body: row.text(3)?,
        name: listed.name,
        kind: listed.kind,
        etag: listed.etag,
        changed_at: listed.changed_at,
    })
}

/// Live resources with their bodies, by name.
pub fn all(tx: &mut Tx<'_>, calendar: &Calendar) -> Result<Vec<Resource>> {
    tx.query(select_resource!("r.calendar_id = ?1 ORDER BY r.name"), &[calendar.id.into()], from_row)
}

pub fn get(tx: &mut Tx<'_>, calendar: &Calendar, name: &Name) -> Result<Option<Resource>> {
    let params = [calendar.id.into(), name.as_str().into()];
    tx.one(select_resource!("r.calendar_id = ?1 AND r.name = ?2"), &params, from_row)
}

/// The live resource of that UID. In a calendar of somebody else only if no mask hides it: who tries a UID there is not to
/// find out what is hidden.
pub fn by_uid(tx: &mut Tx<'_>, calendar: &Calendar, uid: &str) -> Result<Option<Resource>> {
    let params = [calendar.id.into(), uid.into(), calendar.share.is_some().into()];
    tx.one(
        select_resource!(
            "r.calendar_id = ?1 AND r.uid = ?2 AND (CAST(?3 AS BIGINT) = 0 OR r.body IS NULL)
             ORDER BY r.id LIMIT 1"
        ),
        &params,
        from_row,
    )
}

/// What `actor` sees in full of that UID in mirrors, all but `except`: in the user's own, and in those of others that
/// somebody shows to the user. What a mask hides is not in it.
pub fn mirrored(tx: &mut Tx<'_>, actor: &Actor, uid: &str, except: CalendarId) -> Result<Vec<String>> {
    tx.query(
        "SELECT r.body FROM calendars c
           JOIN resources r ON r.calendar_id = c.id AND r.uid = ?2 AND r.live = 1
          WHERE c.user_id = ?1 AND c.source = 'mirror' AND c.active = 1 AND c.id <> ?3
         UNION ALL
         SELECT o.body FROM calendars u
           JOIN resources r ON r.calendar_id = u.id AND r.uid = ?2 AND r.live = 1 AND r.body IS NULL
           JOIN resources o ON o.id = r.origin_id
           JOIN calendars c ON c.id = o.calendar_id AND c.source = 'mirror' AND c.id <> ?3
          WHERE u.user_id = ?1 AND u.grant_id IS NOT NULL AND u.active = 1 AND u.veiled = 0",
        &[actor.user.into(), uid.into(), except.into()],
        |row| row.text(0),
    )
}

pub(super) fn by_id(tx: &mut Tx<'_>, id: ResourceId) -> Result<Option<Resource>> {
    tx.one(select_resource!("r.id = ?1"), &[id.into()], from_row)
}

/// Live resources that may have an instance in `window`, by name; `ical::filter` decides exactly.
pub fn in_window(tx: &mut Tx<'_>, calendar: &Calendar, window: Window) -> Result<Vec<Resource>> {
    let mut ids = Vec::new();
    for member in instances::members(tx, calendar)? {
        if !instances::in_horizon(tx, member, window)? {
            return in_span(tx, calendar, window);
        }
        instances::each_overlapping(tx, member, window, |_, id| ids.push(id))?;
        instances::each_dense(tx, member, window, |id| ids.push(id))?;
    }
    ids.sort_unstable();
    ids.dedup();
    whole(tx, calendar, ids)
}

/// What `calendar` shows of these rows, by name: themselves, or the unified rows that refer to them.
fn whole(tx: &mut Tx<'_>, calendar: &Calendar, ids: Vec<ResourceId>) -> Result<Vec<Resource>> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let row = match calendar.source {
            Source::Unified { .. } => {
                let params = [id.into(), calendar.id.into()];
                tx.one(select_resource!("r.origin_id = ?1 AND r.calendar_id = ?2"), &params, from_row)?
            }
            _ => by_id(tx, id)?,
        };
        found.extend(row);
    }
    found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Beyond the horizon the span of each resource selects.
fn in_span(tx: &mut Tx<'_>, calendar: &Calendar, window: Window) -> Result<Vec<Resource>> {
    let params = [calendar.id.into(), window.start.into(), window.end.into()];
    tx.query(
        select_resource!(
            "r.calendar_id = ?1 AND (r.first IS NULL OR r.first < ?3) AND (r.last IS NULL OR r.last >= ?2) ORDER BY r.name"
        ),
        &params,
        from_row,
    )
}

// What the engine knows of a row.

/// A row with all that only the engine needs, live or tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub id: ResourceId,
    pub calendar: CalendarId,
    pub name: Name,
    pub uid: String,
    pub seq: Seq,
    pub etag: Etag,
    /// `None`: a tombstone.
    pub body: Option<String>,
    /// What both sides last agreed on; `None`: upstream never had it, or no more.
    pub base: Option<String>,
    pub remote: Option<RemoteId>,
    pub remote_etag: Option<Etag>,
    /// Upstream does not hold what is here, or may hold an earlier version of ours.
    pub dirty: bool,
    /// What our versions since `base` say (`change::digest`). Upstream may have been sent any of them without our hearing
    /// of it: what it holds of these is nobody else's.
    pub sent: Vec<String>,
    /// Why upstream will never take it. It is not sent again until it changes on either side.
    pub refused: Option<String>,
    /// What went wrong when it was sent last.
    pub error: Option<String>,
    /// What became of the version with that seq.
    pub verdict: Option<(Seq, Verdict)>,
    pub origin: Option<ResourceId>,
    pub changed_at: Instant,
    /// It was moved to another calendar and has not arrived there yet: its removal is not sent before that.
    pub moving: Option<Moving>,
}

/// A move that is not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moving {
    /// The row that it goes to; `None`: that row is no more, and it is given back.
    pub to: Option<ResourceId>,
    /// What is given back should it be refused there.
    pub text: String,
    /// It was refused there, or there is nowhere for it to go.
    pub back: bool,
}

/// What became of a version that a client put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Upstream holds these bytes.
    Sent,
    /// Upstream took it and changed it; we hold what it made of it.
    Altered,
    /// Upstream had moved on: its version is live, this one is kept beside it.
    Conflict,
    /// Upstream will never take it.
    Refused,
    /// Upstream could not be asked; it is tried again.
    Away,
}

impl Verdict {
    const ALL: [Verdict; 5] = [Verdict::Sent, Verdict::Altered, Verdict::Conflict, Verdict::Refused, Verdict::Away];

    pub fn name(self) -> &'static str {
        match self {
            Verdict::Sent => "sent",
            Verdict::Altered => "altered",
            Verdict::Conflict => "conflict",
            Verdict::Refused => "refused",
            Verdict::Away => "away",
        }
    }
}

macro_rules! select_held {
    ($end:literal) => {
        concat!(
            "SELECT id, calendar_id, name, uid, seq, etag, live, body, base, remote_id, remote_etag, dirty, refused, error,
                    verdict_seq, verdict, origin_id, changed_at, sent, arrival_id, moved, moved_back
               FROM resources WHERE ",
            $end
        )
    };
}

fn held_row(row: &Row<'_>) -> Result<Held> {
    let (live, dirty) = (row.bool(6)?, row.bool(11)?);
    let body = if live { row.opt_text(7)? } else { None };
    let remote = row.opt_text(9)?.map(RemoteId);
    // A clean row needs no second copy of its text.
    let base = match (dirty, &remote) {
        (true, _) => row.opt_text(8)?,
        (false, Some(_)) => body.clone(),
        (false, None) => None,
    };
    let verdict = row.opt_text(15)?;
    let verdict = Verdict::ALL.into_iter().find(|v| Some(v.name()) == verdict.as_deref());
    Ok(Held {
        id: ResourceId(row.int(0)?),
        calendar: CalendarId(row.int(1)?),
        name: name(row.str(2)?)?,
        uid: row.text(3)?,
        seq: Seq(row.int(4)?),
        etag: Etag(row.text(5)?),
        body,
        base,
        remote,
        remote_etag: row.opt_text(10)?.map(Etag),
        dirty,
        sent: row.text(18)?.lines().map(str::to_owned).collect(),
        refused: row.opt_text(12)?,
        error: row.opt_text(13)?,
        verdict: row.opt_int(14)?.map(Seq).zip(verdict),
        origin: row.opt_int(16)?.map(ResourceId),
        changed_at: row.instant(17)?,
        moving: match (row.opt_int(19)?.map(ResourceId), row.opt_text(20)?) {
            (to, Some(text)) => Some(Moving { to, text, back: to.is_none() || row.bool(21)? }),
            (_, None) => None,
        },
    })
}

pub fn held(tx: &mut Tx<'_>, calendar: &Calendar, name: &Name) -> Result<Option<Held>> {
    tx.one(select_held!("calendar_id = ?1 AND name = ?2"), &[calendar.id.into(), name.as_str().into()], held_row)
}

pub fn held_by_id(tx: &mut Tx<'_>, id: ResourceId) -> Result<Option<Held>> {
    tx.one(select_held!("id = ?1"), &[id.into()], held_row)
}

pub fn held_by_remote(tx: &mut Tx<'_>, calendar: &Calendar, remote: &RemoteId) -> Result<Option<Held>> {
    let params = [calendar.id.into(), remote.as_str().into()];
    tx.one(select_held!("calendar_id = ?1 AND remote_id = ?2"), &params, held_row)
}

/// A row that upstream was never seen to hold, with that UID: a create on its way, or one whose answer was lost, or its
/// tombstone.
pub fn held_unsent(tx: &mut Tx<'_>, calendar: &Calendar, uid: &str) -> Result<Option<Held>> {
    let params = [calendar.id.into(), uid.into()];
    tx.one(
        select_held!(
            "calendar_id = ?1 AND uid = ?2 AND dirty = 1 AND remote_id IS NULL ORDER BY live DESC, id LIMIT 1"
        ),
        &params,
        held_row,
    )
}

/// What waits to be sent, oldest first; what failed before goes last.
pub fn unsent(tx: &mut Tx<'_>, calendar: CalendarId, limit: u32) -> Result<Vec<Held>> {
    tx.query(
        select_held!(
            "calendar_id = ?1 AND dirty = 1 AND refused IS NULL AND moved IS NULL
               ORDER BY CASE WHEN error IS NULL THEN 0 ELSE 1 END, seq LIMIT ?2"
        ),
        &[calendar.into(), i64::from(limit).into()],
        held_row,
    )
}

/// Remote id and etag of all that upstream is known to hold, what could not be read included.
pub fn known(tx: &mut Tx<'_>, calendar: CalendarId) -> Result<Vec<(RemoteId, Etag)>> {
    tx.query(
        "SELECT remote_id, remote_etag FROM resources WHERE calendar_id = ?1 AND remote_id IS NOT NULL
         UNION ALL SELECT remote_id, remote_etag FROM set_aside WHERE calendar_id = ?1",
        &[calendar.into()],
        |row| Ok((RemoteId(row.text(0)?), Etag(row.opt_text(1)?.unwrap_or_default()))),
    )
}

/// The name of a row that was deleted here and has still to be deleted upstream, with that UID.
pub fn unsent_tombstone(tx: &mut Tx<'_>, calendar: &Calendar, uid: &str) -> Result<Option<Name>> {
    tx.one(
        "SELECT name FROM resources WHERE calendar_id = ?1 AND uid = ?2 AND live = 0 AND dirty = 1 ORDER BY id LIMIT 1",
        &[calendar.id.into(), uid.into()],
        |row| name(row.str(0)?),
    )
}

/// A clean row with that UID and that remote etag: the same upstream object, should it be written with another id.
pub fn held_twin(tx: &mut Tx<'_>, calendar: &Calendar, uid: &str, etag: &Etag) -> Result<Option<Held>> {
    tx.one(
        select_held!(
            "calendar_id = ?1 AND uid = ?2 AND live = 1 AND dirty = 0 AND remote_etag = ?3 ORDER BY id LIMIT 1"
        ),
        &[calendar.id.into(), uid.into(), etag.as_str().into()],
        held_row,
    )
}

/// The name for an object that comes from upstream: as it is called there, unless that can not be or is taken.
pub fn free_name(tx: &mut Tx<'_>, calendar: &Calendar, wanted: Option<Name>, uid: &str) -> Result<Name> {
    if let Some(wanted) = wanted
        && held(tx, calendar, &wanted)?.is_none_or(|row| row.uid == uid && row.body.is_none() && !row.dirty)
    {
        return Ok(wanted);
    }
    let plain = unified::plain_name(uid);
    if held(tx, calendar, &plain)?.is_none_or(|row| row.uid == uid && row.body.is_none() && !row.dirty) {
        return Ok(plain);
    }
    // The same UID twice in one upstream calendar: rare, and each copy keeps a name of its own.
    for n in 2.. {
        let name = name(&format!("{n}-{}", unified::hashed_name(uid).as_str()))?;
        if held(tx, calendar, &name)?.is_none() {
            return Ok(name);
        }
    }
    Err(Error::Broken("there are no names left".to_owned()))
}

// What changes a row.

/// What a row is to hold.
#[derive(Clone, Copy, Debug)]
pub enum Version<'a> {
    /// What a client put (`None`: it deleted). A local calendar holds it; in a mirror it waits to be sent.
    Client(Option<&'a Object>),
    /// What upstream holds, and both sides agree on.
    Agreed { object: &'a Object, remote: &'a RemoteId, etag: &'a Etag },
    /// Upstream does not hold it any more, and so do we.
    Gone,
}

/// A row after it was saved.
pub struct Saved {
    pub id: ResourceId,
    pub seq: Seq,
    pub etag: Etag,
    /// It waits to be sent.
    pub dirty: bool,
}

/// Makes `name` hold `to`: its seq, its time index and the unified rows of its UID change with it. The seq it has then.
/// Nothing that a client could see changes: nothing is counted, and its seq stays.
pub fn save(tx: &mut Tx<'_>, calendar: &Calendar, name: &Name, to: Version<'_>, now: Instant) -> Result<Seq> {
    let old = held(tx, calendar, name)?;
    Ok(save_over(tx, calendar, name, old.as_ref(), to, now)?.map_or(calendar.seq, |saved| saved.seq))
}

/// The same where `old` is what [`held`] says of `name` now. `None`: nothing was there, and nothing is to be.
pub fn save_over(
    tx: &mut Tx<'_>,
    calendar: &Calendar,
    name: &Name,
    old: Option<&Held>,
    to: Version<'_>,
    now: Instant,
) -> Result<Option<Saved>> {
    let (object, agreement) = match to {
        Version::Client(object) => (object, waiting(calendar, old, object)),
        Version::Agreed { object, remote, etag } => (Some(object), Agreement::clean(Some((remote, etag)))),
        Version::Gone => (None, Agreement::clean(None)),
    };
    let dirty = agreement.dirty;
    let before = old.and_then(|o| o.body.as_deref());
    if object.map(Object::text) == before {
        let Some(old) = old else { return Ok(None) };
        // What a client sees is the same; what the engine knows may not be.
        agreement.set(tx, old.id, Some(old))?;
        if object.is_none() && !dirty {
            properties::forget(tx, &properties::path_of(calendar, name))?;
        }
        return Ok(Some(Saved { id: old.id, seq: old.seq, etag: old.etag.clone(), dirty }));
    }
    let (id, seq, etag) = write(tx, calendar, name, old, object, now)?;
    agreement.set(tx, id, old)?;
    if old.is_some_and(|o| o.moving.is_some()) {
        stay(tx, id)?;
    }
    if object.is_none() && !dirty {
        properties::forget(tx, &properties::path_of(calendar, name))?;
    }
    let uid = object.map(Object::uid).or(old.map(|o| o.uid.as_str())).unwrap_or_default();
    unified::refresh(tx, calendar, uid, now)?;
    if let Some(old) = old
        && old.uid != uid
    {
        unified::refresh(tx, calendar, &old.uid, now)?;
    }
    Ok(Some(Saved { id, seq, etag, dirty }))
}

/// What is known of upstream beside what is here.
struct Agreement<'a> {
    remote: Option<(&'a RemoteId, &'a Etag)>,
    dirty: bool,
    /// Only of a dirty row.
    base: Option<&'a str>,
    /// Only of a dirty row.
    sent: Vec<String>,
}

impl<'a> Agreement<'a> {
    fn clean(remote: Option<(&'a RemoteId, &'a Etag)>) -> Agreement<'a> {
        Agreement { remote, dirty: false, base: None, sent: Vec::new() }
    }

    /// Notes it of the row `id`, which was `old` before (`None`: there was none); mostly there is nothing to note.
    fn set(&self, tx: &mut Tx<'_>, id: ResourceId, old: Option<&Held>) -> Result<()> {
        let clean = |old: &Held| {
            let known = old.remote.as_ref().zip(old.remote_etag.as_ref());
            let judged = old.refused.is_some() || old.error.is_some() || old.verdict.is_some();
            !old.dirty
                && old.sent.is_empty()
                && !judged
                && known == self.remote
                && old.remote.is_some() == known.is_some()
        };
        match !self.dirty && old.map_or(self.remote.is_none(), clean) {
            true => Ok(()),
            false => set_agreement(tx, id, self),
        }
    }
}

/// Versions of one row that are told apart from somebody else's. With more than that since the last agreement, the oldest
/// would be kept as a conflict should upstream turn out to hold it.
const SENT: usize = 64;

/// A client's version: in a mirror it waits to be sent. One that goes back to what was agreed waits as well when others
/// may have been sent in between.
fn waiting<'a>(calendar: &Calendar, old: Option<&'a Held>, object: Option<&Object>) -> Agreement<'a> {
    let remote = old.and_then(|o| o.remote.as_ref().zip(o.remote_etag.as_ref()));
    let base = old.and_then(|o| o.base.as_deref());
    let mut sent = old.map(|o| o.sent.clone()).unwrap_or_default();
    let mirror = matches!(calendar.source, Source::Mirror { .. });
    if !mirror || object.map(Object::text) == base && sent.is_empty() {
        return Agreement::clean(remote);
    }
    if let Some(digest) = object.map(change::digest)
        && sent.last() != Some(&digest)
    {
        sent.push(digest);
        sent.drain(..sent.len().saturating_sub(SENT));
    }
    Agreement { remote, dirty: true, base, sent }
}

/// Writes the row and its time index, with the next number of the clock.
fn write(
    tx: &mut Tx<'_>,
    calendar: &Calendar,
    name: &Name,
    old: Option<&Held>,
    object: Option<&Object>,
    now: Instant,
) -> Result<(ResourceId, Seq, Etag)> {
    let seq = tick(tx, calendar.user)?;
    let Some(object) = object else {
        let Some(old) = old else { return Err(Error::Broken("there is nothing to remove".to_owned())) };
        instances::clear(tx, old.id)?;
        tx.execute(
            "UPDATE resources SET live = 0, body = NULL, seq = ?2, changed_at = ?3, dense = 0 WHERE id = ?1",
            &[old.id.into(), seq.into(), now.into()],
        )?;
        let grown = Grown { held: -1, octets: -octets_of(Some(old)) };
        changed(tx, calendar.id, seq, grown, now)?;
        return Ok((old.id, seq, old.etag.clone()));
    };
    let index = instances::index_of(tx, calendar, object)?;
    let text = object.text();
    let etag = etag_of(text);
    let id = tx.one(
        "INSERT INTO resources (calendar_id, name, uid, kind, live, seq, etag, size, changed_at, first, last, dense, dirty,
                                body)
         VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0, ?12)
         ON CONFLICT (calendar_id, name) DO UPDATE SET uid = excluded.uid, kind = excluded.kind, live = 1,
             seq = excluded.seq, etag = excluded.etag, size = excluded.size, changed_at = excluded.changed_at,
             first = excluded.first, last = excluded.last, dense = excluded.dense, body = excluded.body
         RETURNING id",
        &[
            calendar.id.into(),
            name.as_str().into(),
            object.uid().into(),
            (object.kind() as i64).into(),
            seq.into(),
            etag.as_str().into(),
            (text.len() as i64).into(),
            now.into(),
            index.span.first.into(),
            index.span.last.into(),
            index.dense.into(),
            text.into(),
        ],
        |row| row.int(0).map(ResourceId),
    )?;
    let id = id.ok_or_else(|| Error::Broken("an upsert gave no id".to_owned()))?;
    instances::replace(tx, calendar.id, id, &index.entries)?;
    let new = old.is_none_or(|o| o.body.is_none());
    let grown = Grown { held: i64::from(new), octets: text.len() as i64 - octets_of(old) };
    changed(tx, calendar.id, seq, grown, now)?;
    Ok((id, seq, etag))
}

/// The next number of the user's clock. Holds the clock's lock until the end of the transaction.
pub(super) fn tick(tx: &mut Tx<'_>, user: UserId) -> Result<Seq> {
    let seq = tx.one("UPDATE clocks SET seq = seq + 1 WHERE user_id = ?1 RETURNING seq", &[user.into()], |row| {
        row.int(0).map(Seq)
    })?;
    seq.ok_or_else(|| Error::Broken("a user has no clock".to_owned()))
}

fn octets_of(row: Option<&Held>) -> i64 {
    row.and_then(|row| row.body.as_deref()).map_or(0, |body| body.len() as i64)
}

/// By how much a local calendar or a mirror is larger after a change: live resources, and their octets.
#[derive(Default)]
pub(super) struct Grown {
    held: i64,
    octets: i64,
}

/// Notes the number of a calendar's last change, and what it holds after it.
pub(super) fn changed(tx: &mut Tx<'_>, calendar: CalendarId, seq: Seq, grown: Grown, now: Instant) -> Result<()> {
    tx.execute(
        "UPDATE calendars SET seq = ?2, changed_at = ?3, held = held + ?4, octets = octets + ?5 WHERE id = ?1",
        &[calendar.into(), seq.into(), now.into(), grown.held.into(), grown.octets.into()],
    )?;
    subscriptions::stir(tx, calendar, now)
}

/// How many live resources a local calendar or a mirror has.
pub fn count(tx: &mut Tx<'_>, calendar: &Calendar) -> Result<i64> {
    let held = tx.one("SELECT held FROM calendars WHERE id = ?1", &[calendar.id.into()], |row| row.int(0))?;
    Ok(held.unwrap_or(0))
}

/// How many octets the live resources of all local calendars and mirrors of a user have that are there: calendars that
/// `gateway.toml` names no more, and those of accounts that are removed, are hidden and hold nothing that the user could
/// remove. What is shown of them in unified calendars and to others is not counted again.
pub fn octets(tx: &mut Tx<'_>, user: UserId) -> Result<i64> {
    let sum = "SELECT CAST(COALESCE(SUM(octets), 0) AS BIGINT) FROM calendars WHERE user_id = ?1 AND active = 1";
    Ok(tx.one(sum, &[user.into()], |row| row.int(0))?.unwrap_or(0))
}

// Another name, another calendar.

/// Gives the live resource `from` the name `to`, where no live one is; `from` is gone then. Upstream hears nothing of it:
/// our names are our own. False: one of the two rows waits for what its create upstream has come to, which is known by its
/// name; nothing was changed.
pub fn rename(tx: &mut Tx<'_>, calendar: &Calendar, from: &Name, to: &Name, now: Instant) -> Result<bool> {
    let Some(row) = held(tx, calendar, from)? else { return Ok(false) };
    let other = held(tx, calendar, to)?;
    let unheard = |row: &Held| row.dirty && row.remote.is_none();
    if unheard(&row) || other.as_ref().is_some_and(unheard) {
        return Ok(false);
    }
    let gone = tick(tx, calendar.user)?;
    let there = tick(tx, calendar.user)?;
    let set = "UPDATE resources SET name = ?2, seq = ?3, changed_at = ?4 WHERE id = ?1";
    // A slash is in no name, so this one is free while the two change places.
    tx.execute(set, &[row.id.into(), "/".into(), there.into(), now.into()])?;
    match &other {
        Some(tombstone) => {
            tx.execute(set, &[tombstone.id.into(), from.as_str().into(), gone.into(), now.into()])?;
        }
        None => {
            tx.execute(
                "INSERT INTO resources (calendar_id, name, uid, kind, live, seq, etag, size, changed_at, dense, dirty)
                 VALUES (?1, ?2, ?3, 0, 0, ?4, '', 0, ?5, 0, 0)",
                &[calendar.id.into(), from.as_str().into(), (&row.uid).into(), gone.into(), now.into()],
            )?;
        }
    }
    tx.execute(set, &[row.id.into(), to.as_str().into(), there.into(), now.into()])?;
    changed(tx, calendar.id, there, Grown::default(), now)?;
    unified::refresh(tx, calendar, &row.uid, now)?;
    Ok(true)
}

/// Tells of a live resource once more, though it is as it was: somebody believes it gone.
pub fn tell_again(tx: &mut Tx<'_>, calendar: &Calendar, name: &Name, now: Instant) -> Result<()> {
    let seq = tick(tx, calendar.user)?;
    tx.execute(
        "UPDATE resources SET seq = ?3 WHERE calendar_id = ?1 AND name = ?2",
        &[calendar.id.into(), name.as_str().into(), seq.into()],
    )?;
    changed(tx, calendar.id, seq, Grown::default(), now)
}

/// The removal of the row `id`, just saved, waits until the row `to` has arrived upstream; `text` is given back should it
/// be refused there.
pub fn moved_to(tx: &mut Tx<'_>, id: ResourceId, to: ResourceId, text: &str) -> Result<()> {
    let params = [id.into(), to.into(), text.into()];
    tx.execute("UPDATE resources SET arrival_id = ?2, moved = ?3, moved_back = 0 WHERE id = ?1", &params).map(|_| ())
}

/// Ends the move of a row: it waits for nothing any more.
pub fn stay(tx: &mut Tx<'_>, id: ResourceId) -> Result<()> {
    tx.execute("UPDATE resources SET arrival_id = NULL, moved = NULL, moved_back = 0 WHERE id = ?1", &[id.into()])
        .map(|_| ())
}

/// Rows that were moved to one of `calendar` and refused there.
pub fn moved_back(tx: &mut Tx<'_>, calendar: CalendarId) -> Result<Vec<ResourceId>> {
    tx.query(
        // Of what is on its way, which is little, and not of what the calendar holds.
        "SELECT s.id FROM resources s
          WHERE s.arrival_id > 0 AND s.moved_back = 1
            AND (SELECT t.calendar_id FROM resources t WHERE t.id = s.arrival_id) = ?1
          ORDER BY s.arrival_id, s.id",
        &[calendar.into()],
        |row| row.int(0).map(ResourceId),
    )
}

/// Rows that were moved to one that is no more: they go back to where they were.
pub fn bereft(tx: &mut Tx<'_>) -> Result<Vec<ResourceId>> {
    tx.query("SELECT id FROM resources WHERE moved IS NOT NULL AND arrival_id IS NULL ORDER BY id", &[], |row| {
        row.int(0).map(ResourceId)
    })
}

/// What became of the row `to` decides what becomes of a row that was moved there.
fn settle_moved(tx: &mut Tx<'_>, to: ResourceId, verdict: Verdict) -> Result<()> {
    match verdict {
        Verdict::Away => return Ok(()),
        Verdict::Conflict | Verdict::Refused => {
            // A later version of it may still be taken: then `refused` is not set.
            let back = "UPDATE resources SET moved_back = 1 WHERE arrival_id = ?1
                AND EXISTS (SELECT 1 FROM resources t WHERE t.id = ?1 AND (t.dirty = 0 OR t.refused IS NOT NULL))";
            if tx.execute(back, &[to.into()])? > 0
                && let Some(row) = held_by_id(tx, to)?
            {
                jobs::due_now(tx, Duty::Push(row.calendar), Instant(0))?;
            }
            return Ok(());
        }
        Verdict::Sent | Verdict::Altered => {}
    }
    let arrived = tx.query(
        "UPDATE resources SET arrival_id = NULL, moved = NULL, moved_back = 0 WHERE arrival_id = ?1
         RETURNING calendar_id, dirty",
        &[to.into()],
        |row| Ok((CalendarId(row.int(0)?), row.bool(1)?)),
    )?;
    for (calendar, _) in arrived.into_iter().filter(|(_, dirty)| *dirty) {
        jobs::due_now(tx, Duty::Push(calendar), Instant(0))?;
    }
    Ok(())
}

fn set_agreement(tx: &mut Tx<'_>, id: ResourceId, agreement: &Agreement<'_>) -> Result<()> {
    let (remote, etag) = agreement.remote.unzip();
    tx.execute(
        "UPDATE resources SET remote_id = ?2, remote_etag = ?3, dirty = ?4, base = ?5, sent = ?6, refused = NULL,
                error = NULL, verdict_seq = NULL, verdict = NULL
          WHERE id = ?1",
        &[
            id.into(),
            remote.map(RemoteId::as_str).into(),
            etag.map(Etag::as_str).into(),
            agreement.dirty.into(),
            agreement.base.into(),
            (&agreement.sent.join("\n")).into(),
        ],
    )
    .map(|_| ())
}

/// Upstream now holds `base` under `remote` with `etag` (`None`: nothing). What is here does not change; the row is
/// clean when that is what is here.
pub fn agree(tx: &mut Tx<'_>, row: &Held, base: Option<&str>, remote: Option<(&RemoteId, &Etag)>) -> Result<()> {
    let agreement = match row.body.as_deref() == base {
        true => Agreement::clean(remote),
        false => Agreement { remote, dirty: true, base, sent: row.sent.clone() },
    };
    set_agreement(tx, row.id, &agreement)?;
    if row.body.is_none()
        && !agreement.dirty
        && let Some(calendar) = super::calendars::for_engine(tx, row.calendar)?
    {
        properties::forget(tx, &properties::path_of(&calendar, &row.name))?;
    }
    Ok(())
}

/// Notes what became of the version `seq` of a row, for whoever waits for it.
pub fn judge(tx: &mut Tx<'_>, id: ResourceId, seq: Seq, verdict: Verdict, why: Option<&str>) -> Result<()> {
    tx.execute(
        "UPDATE resources SET verdict_seq = ?2, verdict = ?3, error = CAST(?4 AS TEXT),
                refused = CASE WHEN ?3 = 'refused' AND seq = ?2 THEN CAST(?4 AS TEXT) ELSE NULL END
          WHERE id = ?1",
        &[id.into(), seq.into(), verdict.name().into(), why.into()],
    )?;
    settle_moved(tx, id, verdict)
}

/// Something moved upstream: what was refused is worth another try.
pub fn retry_refused(tx: &mut Tx<'_>, id: ResourceId) -> Result<()> {
    tx.execute("UPDATE resources SET refused = NULL WHERE id = ?1", &[id.into()]).map(|_| ())
}

/// Keeps a version that lost a conflict where the user can take it back.
pub fn keep(tx: &mut Tx<'_>, row: &Held, body: &str, reason: &str, now: Instant) -> Result<()> {
    tx.execute(
        "INSERT INTO kept (calendar_id, name, uid, body, reason, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        &[row.calendar.into(), row.name.as_str().into(), (&row.uid).into(), body.into(), reason.into(), now.into()],
    )
    .map(|_| ())
}

/// Sets aside an upstream object that can not be read; what is here of it stays. Free/busy does not know its time.
pub fn set_aside(
    tx: &mut Tx<'_>,
    calendar: CalendarId,
    remote: &RemoteId,
    etag: &Etag,
    body: &str,
    reason: &str,
    now: Instant,
) -> Result<()> {
    let span = object::rough_span(body);
    tx.execute(
        "INSERT INTO set_aside (calendar_id, remote_id, remote_etag, body, reason, at, busy, first, last)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (calendar_id, remote_id) DO UPDATE SET remote_etag = excluded.remote_etag, body = excluded.body,
             reason = excluded.reason, at = excluded.at, busy = excluded.busy, first = excluded.first,
             last = excluded.last",
        &[
            calendar.into(),
            remote.as_str().into(),
            etag.as_str().into(),
            body.into(),
            reason.into(),
            now.into(),
            span.is_some().into(),
            span.and_then(|s| s.first).into(),
            span.and_then(|s| s.last).into(),
        ],
    )
    .map(|_| ())
}

/// It can be read now, or is gone.
pub fn unset_aside(tx: &mut Tx<'_>, calendar: CalendarId, remote: &RemoteId) -> Result<()> {
    let params = [calendar.into(), remote.as_str().into()];
    tx.execute("DELETE FROM set_aside WHERE calendar_id = ?1 AND remote_id = ?2", &params).map(|_| ())
}

/// The mirror is to hold another upstream calendar from now on. Versions that were never sent are kept.
pub(super) fn forget_all(tx: &mut Tx<'_>, calendar: &Calendar, now: Instant) -> Result<()> {
    let rows = tx.query(select_held!("calendar_id = ?1 ORDER BY seq"), &[calendar.id.into()], held_row)?;
    for row in rows {
        if let (true, Some(body)) = (row.dirty, &row.body) {
            keep(tx, &row, body, "its calendar was given another upstream calendar before it was sent", now)?;
        }
        save(tx, calendar, &row.name, Version::Gone, now)?;
    }
    // What was on its way here from another calendar goes back there.
    let back = "UPDATE resources SET moved_back = 1
                 WHERE arrival_id IN (SELECT id FROM resources WHERE calendar_id = ?1)";
    if tx.execute(back, &[calendar.id.into()])? > 0 {
        jobs::due_now(tx, Duty::Push(calendar.id), now)?;
    }
    tx.execute("DELETE FROM set_aside WHERE calendar_id = ?1", &[calendar.id.into()])?;
    super::calendars::forget_cursor(tx, calendar.id)?;
    tx.execute("UPDATE calendars SET pulled_at = NULL WHERE id = ?1", &[calendar.id.into()]).map(|_| ())
}

// What a person asks.

/// All that is stored of one object in one calendar: for `calgate explain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    pub slug: String,
    /// Whether its calendar's upstream sends the invitations of what is put into it.
    pub schedules: bool,
    /// `None`: upstream's object could not be read and was set aside; `error` says why.
    pub held: Option<Held>,
    /// A unified row: the calendar and name that it shows.
    pub shows: Option<(String, Name)>,
    pub remote: Option<RemoteId>,
    pub error: Option<String>,
    pub kept: Vec<Kept>,
}

/// A version that lost a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub at: Instant,
    pub reason: String,
    pub body: String,
}

/// What is stored under a UID, a resource name, or a whole href (`/dav/anna/work/standup.ics`) in any of the user's
/// calendars.
pub fn explain(tx: &mut Tx<'_>, user: UserId, what: &str) -> Result<Vec<Explained>> {
    let path = what.trim_end_matches('/');
    let (slug, wanted) = match path.rsplit_once('/') {
        Some((before, last)) if path.starts_with('/') || path.contains("://") => {
            (before.rsplit('/').next().map(decode), decode(last))
        }
        _ => (None, what.to_owned()),
    };
    let slug = slug.as_deref();
    let rows = tx.query(
        "SELECT r.id, c.slug, c.id, CASE WHEN c.source = 'unified' THEN COALESCE(oc.schedules, 0) ELSE c.schedules END
           FROM resources r JOIN calendars c ON c.id = r.calendar_id
           LEFT JOIN resources o ON o.id = r.origin_id
           LEFT JOIN calendars oc ON oc.id = o.calendar_id
          WHERE c.user_id = ?1 AND c.source <> 'gone'
            AND (r.uid = ?2 OR r.name = ?2) AND (CAST(?3 AS TEXT) IS NULL OR c.slug = ?3)
          ORDER BY c.slug, r.name",
        &[user.into(), (&wanted).into(), slug.into()],
        |row| Ok((ResourceId(row.int(0)?), row.text(1)?, CalendarId(row.int(2)?), row.bool(3)?)),
    )?;
    let mut found = Vec::new();
    for (id, slug, calendar, schedules) in rows {
        let Some(held) = held_by_id(tx, id)? else { continue };
        let shows = match held.origin {
            Some(origin) => tx.one(
                "SELECT c.slug, r.name FROM resources r JOIN calendars c ON c.id = r.calendar_id WHERE r.id = ?1",
                &[origin.into()],
                |row| Ok((row.text(0)?, name(row.str(1)?)?)),
            )?,
            None => None,
        };
        let kept = tx.query(
            "SELECT at, reason, body FROM kept WHERE calendar_id = ?1 AND uid = ?2 ORDER BY at, id",
            &[calendar.into(), (&held.uid).into()],
            |row| Ok(Kept { at: row.instant(0)?, reason: row.text(1)?, body: row.text(2)? }),
        )?;
        let (remote, error) = (held.remote.clone(), held.refused.clone().or(held.error.clone()));
        found.push(Explained { slug, schedules, held: Some(held), shows, remote, error, kept });
    }
    let aside = tx.query(
        "SELECT c.slug, s.remote_id, s.reason, s.body, c.schedules FROM set_aside s JOIN calendars c ON c.id = s.calendar_id
          WHERE c.user_id = ?1 AND (CAST(?2 AS TEXT) IS NULL OR c.slug = ?2)
          ORDER BY c.slug, s.remote_id",
        &[user.into(), slug.into()],
        |row| {
            let (remote, error) = (Some(RemoteId(row.text(1)?)), Some(row.text(2)?));
            let (slug, schedules) = (row.text(0)?, row.bool(4)?);
            let explained = Explained { slug, schedules, held: None, shows: None, remote, error, kept: Vec::new() };
            Ok((explained, row.text(3)?))
        },
    )?;
    // Nobody could read its UID, but a person can.
    let meant = |(e, body): &(Explained, String)| {
        e.remote.as_ref().is_some_and(|r| decode(r.as_str()).ends_with(&wanted)) || body.contains(&wanted)
    };
    let aside = aside.into_iter().filter(meant).map(|(explained, _)| explained);
    found.extend(aside);
    Ok(found)
}

fn decode(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
