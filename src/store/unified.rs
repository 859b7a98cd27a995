//! What the unified calendar shows: written down whenever a member changes, in the same transaction.
//!
//! A unified row refers to its origin's row and copies nothing; where a mask hides something, the masked body is written
//! down in its place, so that no filter, error or search can probe what is hidden. It shows, for each UID, the first
//! member in order that has it.

use super::calendars::Calendar;
use super::tx::Value;
use super::{Error, Result, Tx, resources};
use crate::ical::{Instant, Mask, Object, redact};
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

/// Says what a unified calendar is made of. `reshape` makes it so.
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
/// The row appears with the save into the member, which has to follow in the same transaction.
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
    tx.query(
        "SELECT u.id, u.epoch FROM members m JOIN calendars u ON u.id = m.unified_id
          WHERE m.slug = ?2 AND u.user_id = ?1 ORDER BY u.id",
        &[calendar.user.into(), (&calendar.slug).into()],
        |row| Ok(Unified { id: CalendarId(row.int(0)?), user: calendar.user, epoch: row.int(1)? }),
    )
}

struct Unified {
    id: CalendarId,
    user: UserId,
    /// Masked UIDs are hashed with it: they say nothing in another calendar.
    epoch: i64,
}

/// What the member in front holds of a UID.
struct Origin {
    id: ResourceId,
    etag: String,
    kind: i64,
    size: i64,
    first: Option<i64>,
    last: Option<i64>,
    mask: Mask,
}

fn refresh_one(tx: &mut Tx<'_>, unified: &Unified, uid: &str, now: Instant) -> Result<()> {
    let origin = in_front(tx, unified, uid)?;
    let row = tx.one(
        "SELECT id, live, origin_id, etag FROM resources WHERE calendar_id = ?1 AND uid = ?2
          ORDER BY live DESC, CASE WHEN etag = 'reserved' THEN 0 ELSE 1 END, id LIMIT 1",
        &[unified.id.into(), uid.into()],
        |row| Ok((ResourceId(row.int(0)?), row.bool(1)?, row.opt_int(2)?.map(ResourceId), row.text(3)?)),
    )?;
    let Some(origin) = origin else {
        if let Some((id, true, ..)) = row {
            let seq = resources::tick(tx, unified.user)?;
            tx.execute(
                "UPDATE resources SET live = 0, body = NULL, origin_id = NULL, seq = ?2, changed_at = ?3 WHERE id = ?1",
                &[id.into(), seq.into(), now.into()],
            )?;
            resources::changed(tx, unified.id, seq, now)?;
        }
        return Ok(());
    };
    let masked = match origin.mask {
        Mask::Full => None,
        mask => Some(masked(tx, unified, origin.id, mask)?),
    };
    let etag = masked.as_ref().map_or_else(|| origin.etag.clone(), |body| resources::etag_of(body).0);
    if let Some((id, true, Some(shown), old)) = &row
        && *old == etag
    {
        // The same bytes from another member: nobody can tell.
        if *shown != origin.id {
            tx.execute("UPDATE resources SET origin_id = ?2 WHERE id = ?1", &[(*id).into(), origin.id.into()])?;
        }
        return Ok(());
    }
    let id = match row {
        Some((id, ..)) => id,
        None => insert(tx, unified, uid, now)?,
    };
    let seq = resources::tick(tx, unified.user)?;
    let size = masked.as_ref().map_or(origin.size, |body| body.len() as i64);
    tx.execute(
        "UPDATE resources SET live = 1, origin_id = ?2, body = ?3, etag = ?4, size = ?5, kind = ?6, seq = ?7,
                changed_at = ?8, first = ?9, last = ?10
          WHERE id = ?1",
        &[
            id.into(),
            origin.id.into(),
            masked.as_deref().into(),
            (&etag).into(),
            size.into(),
            origin.kind.into(),
            seq.into(),
            now.into(),
            origin.first.into(),
            origin.last.into(),
        ],
    )?;
    resources::changed(tx, unified.id, seq, now)
}

/// The first member's row of a UID; of several in one member the first by name.
fn in_front(tx: &mut Tx<'_>, unified: &Unified, uid: &str) -> Result<Option<Origin>> {
    tx.one(
        "SELECT r.id, r.etag, r.kind, r.size, r.first, r.last, m.mask
           FROM members m
           JOIN calendars c ON c.user_id = ?2 AND c.slug = m.slug AND c.active = 1
           JOIN resources r ON r.calendar_id = c.id AND r.uid = ?3 AND r.live = 1
          WHERE m.unified_id = ?1 ORDER BY m.position, r.name LIMIT 1",
        &[unified.id.into(), unified.user.into(), uid.into()],
        |row| {
            Ok(Origin {
                id: ResourceId(row.int(0)?),
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

fn masked(tx: &mut Tx<'_>, unified: &Unified, origin: ResourceId, mask: Mask) -> Result<String> {
    let body = tx.one("SELECT body FROM resources WHERE id = ?1", &[origin.into()], |row| row.text(0))?;
    let body = body.ok_or_else(|| Error::Broken("a unified row has lost its origin".to_owned()))?;
    let object = Object::parse(&body).map_err(|e| Error::Broken(format!("a stored object can not be read: {e}")))?;
    Ok(redact::redact(&object, mask, &format!("{:x}", unified.epoch)))
}

/// A new row under the first of its names that is free.
fn insert(tx: &mut Tx<'_>, unified: &Unified, uid: &str, now: Instant) -> Result<ResourceId> {
    for name in [plain_name(uid), hashed_name(uid)] {
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

/// Brings every unified calendar of a user to the members it now has, where that is something else than before.
/// Rows that stay the same keep their seq: no sync token is lost, and clients hear of what changed and nothing else.
pub fn reshape(tx: &mut Tx<'_>, user: UserId, now: Instant) -> Result<()> {
    let unified = tx.query(
        "SELECT id, epoch, shape FROM calendars WHERE user_id = ?1 AND source = 'unified' ORDER BY id",
        &[user.into()],
        |row| Ok((Unified { id: CalendarId(row.int(0)?), user, epoch: row.int(1)? }, row.text(2)?)),
    )?;
    for (unified, before) in unified {
        let mut shape = String::new();
        tx.each(
            "SELECT m.slug, m.mask, c.id FROM members m
               JOIN calendars c ON c.user_id = ?2 AND c.slug = m.slug AND c.active = 1
              WHERE m.unified_id = ?1 ORDER BY m.position",
            &[unified.id.into(), user.into()],
            |row| {
                shape += &format!("{}:{}:{}\n", row.text(0)?, row.text(1)?, row.int(2)?);
                Ok(())
            },
        )?;
        if shape == before {
            continue;
        }
        tx.lock_clock(user)?;
        let uids = tx.query(
            "SELECT r.uid FROM resources r WHERE r.calendar_id = ?1 AND r.live = 1
             UNION
             SELECT r.uid FROM members m
               JOIN calendars c ON c.user_id = ?2 AND c.slug = m.slug AND c.active = 1
               JOIN resources r ON r.calendar_id = c.id AND r.live = 1
              WHERE m.unified_id = ?1",
            &[unified.id.into(), user.into()],
            |row| row.text(0),
        )?;
        for uid in uids {
            refresh_one(tx, &unified, &uid, now)?;
        }
        tx.execute("UPDATE calendars SET shape = ?2 WHERE id = ?1", &[unified.id.into(), (&shape).into()])?;
    }
    Ok(())
}
