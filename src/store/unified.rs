//! What the unified calendar shows: written down whenever a member changes, in the same transaction.
//!
//! A unified row refers to its origin's row and copies nothing; where a mask hides something, the masked body is written
//! down in its place, so that no filter, error or search can probe what is hidden. It shows, for each UID, the first
//! member in order that has it. Somebody else who may write in it is shown what is masked beside all that is not: were it
//! one row for each UID there too, they could make a UID and see whether what is hidden has it.
//!
//! A calendar that another user granted is made in the same way, of that user's calendars (`grants.rs`). What happens when
//! either is made of something else than before is in `shape.rs`.
//!
//! The column `uid` is the origin's UID for every row, masked or not: it is what rows are found by, and is shown to
//! nobody. What is shown is the name, and a masked row's is made of the masked UID.

use super::calendars::{self, Calendar};
use super::grants::May;
use super::resources::{self, Grown};
use super::tx::Value;
use super::{Error, Result, Tx, instances};
use crate::ical::redact::Viewer;
use crate::ical::{Instant, Mask, Object, Span, redact};
use crate::ids::{CalendarId, Name, ResourceId, UserId};
use crate::secrets;

/// A member of a unified calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub slug: String,
    pub mask: Mask,
}

/// The members of a unified calendar, in order.
pub fn members(tx: &mut Tx<'_>, unified: CalendarId) -> Result<Vec<Member>> {
    tx.query("SELECT slug, mask FROM members WHERE unified_id = ?1 ORDER BY position", &[unified.into()], |row| {
        // A mask that is not known hides everything.
        Ok(Member { slug: row.text(0)?, mask: Mask::from_name(&row.text(1)?).unwrap_or(Mask::Busy) })
    })
}

/// Says what a unified calendar is made of. `shape::reshape` makes it so.
pub(super) fn set_members(tx: &mut Tx<'_>, unified: CalendarId, members: &[Member], write_to: &str) -> Result<()> {
    tx.execute("DELETE FROM members WHERE unified_id = ?1", &[unified.into()])?;
    for (position, member) in (0..).zip(members) {
        tx.execute(
            "INSERT INTO members (unified_id, position, slug, mask) VALUES (?1, ?2, ?3, ?4)",
            &[unified.into(), Value::Int(position), (&member.slug).into(), member.mask.name().into()],
        )?;
    }
    tx.execute("UPDATE calendars SET write_to = ?2 WHERE id = ?1", &[unified.into(), write_to.into()]).map(|_| ())
}

/// The etag of a row that no object was ever shown by: its name waits for one.
const RESERVED: &str = "reserved";

/// The name of a UID's row: the UID itself where it can be a name, because clients guess `UID.ics`.
pub fn plain_name(uid: &str) -> Name {
    let plain = uid.len() <= 200 && uid.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@+~".contains(c));
    let plain = plain.then(|| Name::new(&format!("{uid}.ics"))).flatten();
    plain.filter(|_| !uid.starts_with('.')).unwrap_or_else(|| hashed_name(uid))
}

/// A name that any UID can have.
pub fn hashed_name(uid: &str) -> Name {
    let hash: String = secrets::sha256(uid.as_bytes())[..20].iter().map(|b| format!("{b:02x}")).collect();
    Name::new(&format!("{hash}.ics")).expect("hexadecimal digits are a name")
}

/// Brings the rows of `uid` up to date in every unified calendar that `calendar` is a member of, hidden ones as well: one
/// that is shown again has missed nothing.
pub(super) fn refresh(tx: &mut Tx<'_>, calendar: &Calendar, uid: &str, now: Instant) -> Result<()> {
    for unified in over(tx, calendar)? {
        refresh_one(tx, &unified, uid, now)?;
    }
    Ok(())
}

/// A client is about to create `uid` under `name` in a unified calendar: its row is to have that name for ever.
/// (Until a mask hides it.) The row appears with the save into the member, which has to follow in the same transaction.
pub fn reserve(tx: &mut Tx<'_>, unified: &Calendar, name: &Name, uid: &str, now: Instant) -> Result<()> {
    tx.execute(
        "INSERT INTO resources (calendar_id, name, uid, kind, live, seq, etag, size, changed_at, dense, dirty)
         VALUES (?1, ?2, ?3, 0, 0, 0, 'reserved', 0, ?4, 0, 0)
         ON CONFLICT (calendar_id, name) DO UPDATE SET uid = excluded.uid, etag = 'reserved' WHERE resources.live = 0",
        &[unified.id.into(), name.as_str().into(), uid.into(), now.into()],
    )
    .map(|_| ())
}

fn over(tx: &mut Tx<'_>, calendar: &Calendar) -> Result<Vec<Unified>> {
    let found = tx.query(
        "SELECT u.id AS id FROM members m JOIN calendars u ON u.id = m.unified_id AND u.grant_id IS NULL
          WHERE m.slug = ?2 AND u.user_id = ?1
         UNION ALL
         SELECT u.id FROM grants g JOIN calendars u ON u.grant_id = g.id
           JOIN members m ON m.unified_id = u.id AND m.slug = ?2
          WHERE g.owner_id = ?1
         ORDER BY id",
        &[calendar.user.into(), (&calendar.slug).into()],
        |row| row.int(0).map(CalendarId),
    )?;
    found.into_iter().map(|id| Unified::of(tx, id)).collect()
}

/// Who sees a unified calendar, as masked UIDs are made.
pub fn viewer(tx: &mut Tx<'_>, unified: CalendarId) -> Result<Viewer> {
    calendars::viewer(tx, unified, "unified")
}

pub(super) struct Unified {
    pub(super) id: CalendarId,
    /// Whose it is: who sees it, and whose clock it goes by.
    pub(super) user: UserId,
    /// Whose its members are: another's, where a grant shows them.
    pub(super) owner: UserId,
    /// `None`: the user's own.
    pub(super) may: Option<May>,
    /// Masked UIDs are made with it: they say nothing in another calendar.
    viewer: Viewer,
}

impl Unified {
    pub(super) fn of(tx: &mut Tx<'_>, id: CalendarId) -> Result<Unified> {
        let found = tx.one(
            "SELECT c.user_id, COALESCE(g.owner_id, c.user_id), g.may
               FROM calendars c LEFT JOIN grants g ON g.id = c.grant_id WHERE c.id = ?1",
            &[id.into()],
            |row| {
                let may = row.opt_text(2)?.map(|may| May::read(&may));
                Ok((UserId(row.int(0)?), UserId(row.int(1)?), may))
            },
        )?;
        let (user, owner, may) = found.ok_or_else(|| Error::Broken("a unified calendar is not there".to_owned()))?;
        Ok(Unified { id, user, owner, may, viewer: viewer(tx, id)? })
    }

    /// Whether what is private is hidden from who sees it: from others, but not from those who may change everything.
    pub(super) fn hides_private(&self) -> bool {
        self.may.is_some_and(May::hides_private)
    }

    /// Whether what is masked is shown beside what is not, of the same UID.
    pub(super) fn is_apart(&self) -> bool {
        self.may == Some(May::Write)
    }

    /// What its rows are chosen among: for each UID one of each.
    fn lanes(&self) -> &'static [Lane] {
        match self.is_apart() {
            true => &[Lane::Full, Lane::Masked],
            false => &[Lane::All],
        }
    }

    /// The names that a row of `uid` can have where a mask hides something.
    fn masked_names(&self, uid: &str) -> Names {
        Names::of(&redact::masked_uid(uid, &self.viewer))
    }
}

/// Which members and rows are looked at together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    All,
    /// What no mask hides, and rows that have shown such or wait for it.
    Full,
    Masked,
}

impl Lane {
    fn has(self, row: &Shown, masked_names: &Names) -> bool {
        let masked = match row.live {
            true => row.masked,
            false => row.etag != RESERVED && masked_names.have(&row.name),
        };
        match self {
            Lane::All => true,
            Lane::Full => !masked,
            Lane::Masked => masked,
        }
    }
}

/// The names that a row of a UID can have, as long as no client gives it another.
struct Names {
    plain: Name,
    hashed: Name,
}

impl Names {
    fn of(uid: &str) -> Names {
        Names { plain: plain_name(uid), hashed: hashed_name(uid) }
    }

    /// In the order in which they are tried. Without an end: clients call what is theirs as they like, and could keep an
    /// object out that had no more than a few.
    fn all(&self) -> impl Iterator<Item = Name> {
        let more = (2_u32..).filter_map(|n| Name::new(&format!("{n}-{}", self.hashed)));
        [&self.plain, &self.hashed].into_iter().cloned().chain(more)
    }

    fn have(&self, name: &Name) -> bool {
        let number = |front: &str| front.strip_suffix('-').is_some_and(|n| n.parse::<u32>().is_ok());
        let front = name.as_str().strip_suffix(self.hashed.as_str());
        *name == self.plain || front.is_some_and(|front| front.is_empty() || number(front))
    }
}

/// What the member in front holds of a UID.
struct Origin {
    id: ResourceId,
    calendar: CalendarId,
    etag: String,
    kind: i64,
    size: i64,
    first: Option<i64>,
    last: Option<i64>,
    mask: Mask,
}

/// A row that shows a UID, or once did, or is reserved for it.
struct Shown {
    id: ResourceId,
    name: Name,
    live: bool,
    origin: Option<ResourceId>,
    etag: String,
    /// It has a body of its own. Not so for a tombstone.
    masked: bool,
}

impl Shown {
    /// Whether it can go on to show its UID under `mask`. A name that says the UID must not stand for what is hidden;
    /// and the name of what was hidden is not taken for more than that, so that a change of mask reads as what it is:
    /// one resource goes, and another one comes.
    fn suits(&self, mask: Mask, masked_names: &Names) -> bool {
        match mask {
            Mask::Full if self.live => !self.masked,
            Mask::Full => self.etag == RESERVED || !masked_names.have(&self.name),
            Mask::Busy | Mask::Title => masked_names.have(&self.name),
        }
    }
}

/// The rows of a UID: the live ones first, of which there is at most one in a lane, then what is reserved.
fn rows_of(tx: &mut Tx<'_>, unified: &Unified, uid: &str) -> Result<Vec<Shown>> {
    tx.query(
        "SELECT id, name, live, origin_id, etag, CASE WHEN body IS NULL THEN 0 ELSE 1 END FROM resources
          WHERE calendar_id = ?1 AND uid = ?2
          ORDER BY live DESC, CASE WHEN etag = 'reserved' THEN 0 ELSE 1 END, id",
        &[unified.id.into(), uid.into()],
        |row| {
            let name = row.text(1)?;
            Ok(Shown {
                id: ResourceId(row.int(0)?),
                name: Name::new(&name).ok_or_else(|| Error::Broken(format!("resources.name is {name:?}")))?,
                live: row.bool(2)?,
                origin: row.opt_int(3)?.map(ResourceId),
                etag: row.text(4)?,
                masked: row.bool(5)?,
            })
        },
    )
}

/// Brings the rows of `uid` up to date. Does nothing where they are.
pub(super) fn refresh_one(tx: &mut Tx<'_>, unified: &Unified, uid: &str, now: Instant) -> Result<()> {
    unified.lanes().iter().try_for_each(|lane| refresh_lane(tx, unified, *lane, uid, now))
}

fn refresh_lane(tx: &mut Tx<'_>, unified: &Unified, lane: Lane, uid: &str, now: Instant) -> Result<()> {
    let origin = in_front(tx, unified, lane, uid)?;
    let masked_names = unified.masked_names(uid);
    let mut rows = rows_of(tx, unified, uid)?;
    rows.retain(|row| lane.has(row, &masked_names));
    let Some(origin) = origin else {
        return rows.iter().filter(|row| row.live).try_for_each(|row| bury(tx, unified, row.id, now));
    };
    let (mask, body) = match origin.mask {
        Mask::Full if !unified.hides_private() => (Mask::Full, None),
        mask => masked(tx, unified, &origin, mask)?,
    };
    let etag = body.as_ref().map_or_else(|| origin.etag.clone(), |body| resources::etag_of(body).0);
    let row = rows.iter().find(|row| row.suits(mask, &masked_names));
    // More than one where lanes were shown apart, and are so no more.
    for other in rows.iter().filter(|other| other.live && row.is_none_or(|row| row.id != other.id)) {
        bury(tx, unified, other.id, now)?;
    }
    if let Some(row) = row
        && row.live
        && let Some(shown) = row.origin
        && row.etag == etag
    {
        // The same bytes from another member: nobody can tell.
        if shown != origin.id {
            tx.execute("UPDATE resources SET origin_id = ?2 WHERE id = ?1", &[row.id.into(), origin.id.into()])?;
        }
        return Ok(());
    }
    let id = match (row, mask) {
        (Some(row), _) => row.id,
        (None, Mask::Full) => insert(tx, unified, &Names::of(uid), uid, now)?,
        (None, _) => insert(tx, unified, &masked_names, uid, now)?,
    };
    let seq = resources::tick(tx, unified.user)?;
    let size = body.as_ref().map_or(origin.size, |body| body.len() as i64);
    tx.execute(
        "UPDATE resources SET live = 1, origin_id = ?2, body = ?3, etag = ?4, size = ?5, kind = ?6, seq = ?7,
                changed_at = ?8, first = ?9, last = ?10
          WHERE id = ?1",
        &[
            id.into(),
            origin.id.into(),
            body.as_deref().into(),
            (&etag).into(),
            size.into(),
            origin.kind.into(),
            seq.into(),
            now.into(),
            origin.first.into(),
            origin.last.into(),
        ],
    )?;
    resources::changed(tx, unified.id, seq, Grown::default(), now)
}

/// Makes a row a tombstone.
fn bury(tx: &mut Tx<'_>, unified: &Unified, id: ResourceId, now: Instant) -> Result<()> {
    let seq = resources::tick(tx, unified.user)?;
    tx.execute(
        "UPDATE resources SET live = 0, body = NULL, origin_id = NULL, seq = ?2, changed_at = ?3 WHERE id = ?1",
        &[id.into(), seq.into(), now.into()],
    )?;
    tx.execute(
        "DELETE FROM properties WHERE path = (SELECT '/dav/' || u.name || '/' || c.slug || '/' || r.name
           FROM resources r JOIN calendars c ON c.id = r.calendar_id JOIN users u ON u.id = c.user_id WHERE r.id = ?1)",
        &[id.into()],
    )?;
    resources::changed(tx, unified.id, seq, Grown::default(), now)
}

/// The first member's row of a UID in a lane; of several in one member the first by name.
fn in_front(tx: &mut Tx<'_>, unified: &Unified, lane: Lane, uid: &str) -> Result<Option<Origin>> {
    let lane = match lane {
        Lane::All => 0,
        Lane::Full => 1,
        Lane::Masked => 2,
    };
    tx.one(
        "SELECT r.id, r.etag, r.kind, r.size, r.first, r.last, m.mask, c.id
           FROM members m
           JOIN calendars c ON c.user_id = ?2 AND c.slug = m.slug AND c.active = 1 AND c.grant_id IS NULL
           JOIN resources r ON r.calendar_id = c.id AND r.uid = ?3 AND r.live = 1
          WHERE m.unified_id = ?1
            AND CAST(?4 AS BIGINT) IN (0, CASE WHEN m.mask = 'full' THEN 1 ELSE 2 END)
          ORDER BY m.position, r.name LIMIT 1",
        &[unified.id.into(), unified.owner.into(), uid.into(), Value::Int(lane)],
        |row| {
            Ok(Origin {
                id: ResourceId(row.int(0)?),
                calendar: CalendarId(row.int(7)?),
                etag: row.text(1)?,
                kind: row.int(2)?,
                size: row.int(3)?,
                first: row.opt_int(4)?,
                last: row.opt_int(5)?,
                mask: Mask::from_name(&row.text(6)?).unwrap_or(Mask::Busy),
            })
        },
    )
}

/// What is shown of an object under `mask`, and the mask that it is then under: of what is private, others see the time.
/// No body: it is shown as it is.
fn masked(tx: &mut Tx<'_>, unified: &Unified, origin: &Origin, mask: Mask) -> Result<(Mask, Option<String>)> {
    let stored = tx.one("SELECT body, uid FROM resources WHERE id = ?1", &[origin.id.into()], |row| {
        Ok((row.text(0)?, row.text(1)?))
    })?;
    let (body, uid) = stored.ok_or_else(|| Error::Broken("a unified row has lost its origin".to_owned()))?;
    // What an earlier reader took and this one refuses must not stop the others: its time is told, as not known.
    let Ok(object) = Object::parse(&body) else {
        let span = Span { first: origin.first.map(Instant), last: origin.last.map(Instant) };
        return Ok((Mask::Busy, Some(redact::not_known(&uid, span, &unified.viewer))));
    };
    let mask = if unified.hides_private() && redact::is_private(&object) { Mask::Busy } else { mask };
    if mask == Mask::Full {
        return Ok((mask, None));
    }
    let me = instances::addresses(tx, origin.calendar)?;
    Ok((mask, Some(redact::redact(&object, mask, &unified.viewer, &me))))
}

/// A new row under the first of `names` that is free.
fn insert(tx: &mut Tx<'_>, unified: &Unified, names: &Names, uid: &str, now: Instant) -> Result<ResourceId> {
    for name in names.all() {
        let id = tx.one(
            "INSERT INTO resources (calendar_id, name, uid, kind, live, seq, etag, size, changed_at, dense, dirty)
             VALUES (?1, ?2, ?3, 0, 0, 0, '', 0, ?4, 0, 0)
             ON CONFLICT (calendar_id, name) DO NOTHING RETURNING id",
            &[unified.id.into(), name.as_str().into(), uid.into(), now.into()],
            |row| row.int(0).map(ResourceId),
        )?;
        if let Some(id) = id {
            return Ok(id);
        }
    }
    Err(Error::Broken(format!("no name is free for the UID {uid:?}")))
}

/// Whether who sees a unified calendar may replace or remove the resource of that name: what `sync::write` decides when it
/// is tried.
pub fn is_writable(tx: &mut Tx<'_>, unified: CalendarId, name: &str) -> Result<bool> {
    let found = tx.one(
        "SELECT 1 FROM resources r
           JOIN resources o ON o.id = r.origin_id
           JOIN calendars c ON c.id = o.calendar_id AND c.active = 1 AND c.writable = 1
           JOIN members m ON m.unified_id = r.calendar_id AND m.slug = c.slug AND m.mask = 'full'
           JOIN calendars u ON u.id = r.calendar_id
           LEFT JOIN grants g ON g.id = u.grant_id
          WHERE r.calendar_id = ?1 AND r.live = 1 AND COALESCE(g.may, 'write') = 'write' AND r.name = ?2",
        &[unified.into(), name.into()],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}
