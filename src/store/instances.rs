//! The time index: instances of events inside the horizon, for free/busy and a month's query.

use super::calendars::{Calendar, Source};
use super::resources::{self, Resource};
use super::tx::Row;
use super::{Result, Tx};
use crate::ical::recur::{self, ANY_ZONE};
use crate::ical::{Instant, Object, Span, Window};
use crate::ids::{CalendarId, ResourceId, UserId};

/// An instance longer than this stands apart, so that the others are found by a bounded range of `start`.
const LONG: i64 = 8 * 86_400;
/// More instances than this inside the horizon are not written down.
const MOST: usize = 1500;

/// A calendar that a free/busy is made of, and how fresh it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contributor {
    pub slug: String,
    /// `None`: a member that is configured and not there (yet): nothing is known of it.
    pub id: Option<CalendarId>,
    /// Mirrors: when it was last read whole and well, `None` = never.
    pub fresh_at: Option<Instant>,
    /// True when no upstream is involved, so that it can not be stale.
    pub local: bool,
    /// Its events leave their owner free.
    pub transparent: bool,
}

/// The calendar itself, or the members of a unified one in their order.
pub fn contributors(tx: &mut Tx<'_>, calendar: &Calendar) -> Result<Vec<Contributor>> {
    match calendar.source {
        Source::Unified { .. } => {
            let mut members = tx.query(
                "SELECT m.slug, c.id, c.pulled_at, CASE WHEN c.source = 'local' THEN 1 ELSE 0 END,
                    COALESCE(c.own_transparent, c.given_transparent, 0)
               FROM members m LEFT JOIN calendars c ON c.user_id = ?2 AND c.slug = m.slug AND c.active = 1
                         AND c.grant_id IS NULL
              WHERE m.unified_id = ?1 ORDER BY m.position",
                &[calendar.id.into(), calendar.members_of().into()],
                |row| {
                    // How another user calls their calendars is for that user to know.
                    let theirs = calendar.share.as_ref().map(|_| calendar.slug.clone());
                    let member = contributor(row)?;
                    Ok(Contributor { slug: theirs.unwrap_or(member.slug), ..member })
                },
            )?;
            // What was granted is mostly one calendar, and who looks at that wants to know of it.
            if let (Some(_), [one]) = (&calendar.share, members.as_mut_slice()) {
                one.transparent = false;
            }
            Ok(members)
        }
        _ => Ok(vec![Contributor {
            slug: calendar.slug.clone(),
            id: Some(calendar.id),
            fresh_at: calendar.pulled_at,
            local: calendar.source == Source::Local,
            // Who names one calendar wants to know of that one.
            transparent: false,
        }]),
    }
}

/// Every calendar of a user that holds events of its own, by slug.
pub fn contributors_of(tx: &mut Tx<'_>, user: UserId) -> Result<Vec<Contributor>> {
    tx.query(
        "SELECT slug, id, pulled_at, CASE WHEN source = 'local' THEN 1 ELSE 0 END,
                COALESCE(own_transparent, given_transparent)
           FROM calendars WHERE user_id = ?1 AND active = 1 AND source <> 'unified' ORDER BY slug",
        &[user.into()],
        contributor,
    )
}

/// Five columns: slug, id, pulled_at, local, transparent.
fn contributor(row: &Row<'_>) -> Result<Contributor> {
    Ok(Contributor {
        slug: row.text(0)?,
        id: row.opt_int(1)?.map(CalendarId),
        fresh_at: row.opt_instant(2)?,
        local: row.bool(3)?,
        transparent: row.bool(4)?,
    })
}

/// The calendars whose index answers for `calendar`.
pub(super) fn members(tx: &mut Tx<'_>, calendar: &Calendar) -> Result<Vec<CalendarId>> {
    match calendar.source {
        Source::Unified { .. } => Ok(contributors(tx, calendar)?.into_iter().filter_map(|c| c.id).collect()),
        _ => Ok(vec![calendar.id]),
    }
}

/// What the time index does not say of a calendar's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Objects that the index does not hold (dense events, and what is no event, task or journal; or all that may reach
    /// into the window when it leaves the horizon): expand them.
    pub objects: Vec<Resource>,
    /// When upstream has something that could not be read: nothing is known of that time.
    pub unknown: Vec<Window>,
}

/// What is busy in `window`, for free/busy: calls `each` for all that the index holds of it, mostly in the order of their
/// starts, and gives the rest. Free ones are left out; there are some beside the window, which floating ones may be in.
pub fn busy(
    tx: &mut Tx<'_>,
    calendar: CalendarId,
    window: Window,
    mut each: impl FnMut(&recur::Entry),
) -> Result<Rest> {
    let Some(calendar) = super::calendars::for_engine(tx, calendar)? else {
        return Ok(Rest { objects: Vec::new(), unknown: vec![window] });
    };
    let unknown = tx.query(
        "SELECT first, last FROM set_aside WHERE calendar_id = ?1 AND busy = 1
            AND (first IS NULL OR first < ?3) AND (last IS NULL OR last > ?2)",
        &[calendar.id.into(), window.start.into(), window.end.into()],
        |row| {
            let start = row.opt_instant(0)?.unwrap_or(window.start);
            let end = row.opt_instant(1)?.unwrap_or(window.end);
            Ok(Window { start, end })
        },
    )?;
    if !in_horizon(tx, calendar.id, window)? {
        return Ok(Rest { objects: resources::in_window(tx, &calendar, window)?, unknown });
    }
    each_busy(tx, calendar.id, window, |entry| each(entry))?;
    let mut dense = Vec::new();
    each_dense_taking(tx, calendar.id, window, |id| dense.push(id))?;
    let mut objects = Vec::new();
    for id in dense {
        objects.extend(resources::by_id(tx, id)?);
    }
    Ok(Rest { objects, unknown })
}

/// Every entry that is not free and may overlap `window` in some zone. Free/busy reads thousands, so there are as few
/// columns and conditions as can be: what is beside the window is for the reader to leave out.
fn each_busy(tx: &mut Tx<'_>, calendar: CalendarId, window: Window, mut each: impl FnMut(&recur::Entry)) -> Result<()> {
    let (start, end) = (window.start.plus(-ANY_ZONE), window.end.plus(ANY_ZONE));
    tx.each(
        "SELECT start, finish, 4 * floating + busy FROM instances
          WHERE calendar_id = ?1 AND long = 0 AND start < ?3 AND start > ?4 AND finish > ?2 AND busy > 0
         UNION ALL
         SELECT start, finish, 4 * floating + busy FROM instances
          WHERE calendar_id = ?1 AND long = 1 AND start < ?3 AND finish > ?2 AND busy > 0",
        &[calendar.into(), start.into(), end.into(), start.plus(-LONG - 1).into()],
        |row| {
            let how = row.int(2)?;
            each(&recur::Entry { start: row.int(0)?, end: row.int(1)?, floating: how >= 4, busy: busy_of(how & 3) });
            Ok(())
        },
    )
}

/// A text that changes whenever what is set aside of a calendar does: for the ETags of what is made from it.
pub fn aside(tx: &mut Tx<'_>, calendar: CalendarId) -> Result<String> {
    let mut marks = String::new();
    tx.each(
        "SELECT remote_id, remote_etag FROM set_aside WHERE calendar_id = ?1 AND busy = 1 ORDER BY remote_id",
        &[calendar.into()],
        |row| {
            marks += &format!("{} {}\n", row.text(0)?, row.text(1)?);
            Ok(())
        },
    )?;
    Ok(marks)
}

/// Whether the index of a calendar reaches over `window`.
pub(super) fn in_horizon(tx: &mut Tx<'_>, calendar: CalendarId, window: Window) -> Result<bool> {
    let inside = tx.one(
        "SELECT 1 FROM calendars WHERE id = ?1 AND indexed_from + ?4 <= ?2 AND indexed_until - ?4 >= ?3",
        &[calendar.into(), window.start.into(), window.end.into(), ANY_ZONE.into()],
        |_| Ok(()),
    )?;
    Ok(inside.is_some())
}

/// Whether there are events that may be in `window` and that the index does not hold.
pub(super) fn has_dense_event(tx: &mut Tx<'_>, calendar: CalendarId, window: Window) -> Result<bool> {
    let found = tx.one(
        "SELECT 1 FROM resources
          WHERE calendar_id = ?1 AND dense = 1 AND live = 1 AND kind = 0
            AND (first IS NULL OR first < ?3) AND (last IS NULL OR last >= ?2) LIMIT 1",
        &[calendar.into(), window.start.into(), window.end.into()],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// Whether the index looks at no more than `most` entries to answer for `window`, which this does not either.
/// What is beyond its horizon is more.
pub(super) fn is_light(tx: &mut Tx<'_>, calendar: CalendarId, window: Window, most: i64) -> Result<bool> {
    if !in_horizon(tx, calendar, window)? {
        return Ok(false);
    }
    // What is read, not what is found: whatever these ranges hold is looked at (`each_overlapping`, `each_dense`).
    let seen = tx.one(
        "SELECT COUNT(*) FROM (
             SELECT 1 FROM instances WHERE calendar_id = ?1 AND long = 0 AND start < ?3 AND start > ?2
             UNION ALL
             SELECT 1 FROM instances WHERE calendar_id = ?1 AND long = 1 AND start < ?3
             UNION ALL
             SELECT 1 FROM resources
              WHERE calendar_id = ?1 AND dense = 1 AND live = 1 AND (first IS NULL OR first < ?3)
             LIMIT ?4
         ) AS seen",
        &[
            calendar.into(),
            window.start.plus(-ANY_ZONE - LONG - 1).into(),
            window.end.plus(ANY_ZONE).into(),
            most.saturating_add(1).into(),
        ],
        |row| row.int(0),
    )?;
    Ok(seen.is_some_and(|seen| seen <= most))
}

/// Every entry that overlaps `window`, with its row; floating ones that may, in some zone.
pub(super) fn each_overlapping(
    tx: &mut Tx<'_>,
    calendar: CalendarId,
    window: Window,
    mut each: impl FnMut(&recur::Entry, ResourceId),
) -> Result<()> {
    // The second part of the key bounds the range of `start`: nothing that is not long can reach in from further back.
    // What is floating is looked for in a window that is wider by what zones can differ, and decided by the reader.
    let (start, end) = (window.start.plus(-ANY_ZONE), window.end.plus(ANY_ZONE));
    tx.each(
        "SELECT start, finish, floating, busy, resource_id FROM instances
          WHERE calendar_id = ?1 AND long = 0 AND start < ?3 AND start > ?4
            AND (finish > ?2 OR finish = start AND start >= ?2)
            AND (floating = 1 OR start < ?6 AND (finish > ?5 OR finish = start AND start >= ?5))
         UNION ALL
         SELECT start, finish, floating, busy, resource_id FROM instances
          WHERE calendar_id = ?1 AND long = 1 AND start < ?3 AND finish > ?2
            AND (floating = 1 OR start < ?6 AND finish > ?5)",
        &[
            calendar.into(),
            start.into(),
            end.into(),
            start.plus(-LONG - 1).into(),
            window.start.into(),
            window.end.into(),
        ],
        |row| {
            each(&entry(row)?, ResourceId(row.int(4)?));
            Ok(())
        },
    )
}

/// The first four columns: start, finish, floating, busy.
fn entry(row: &Row<'_>) -> Result<recur::Entry> {
    Ok(recur::Entry { start: row.int(0)?, end: row.int(1)?, floating: row.bool(2)?, busy: busy_of(row.int(3)?) })
}

fn busy_of(number: i64) -> recur::Busy {
    match number {
        0 => recur::Busy::Free,
        1 => recur::Busy::Tentative,
        2 => recur::Busy::Busy,
        _ => recur::Busy::Unavailable,
    }
}

/// Every live row that the index does not hold and whose span touches `window`.
pub(super) fn each_dense(
    tx: &mut Tx<'_>,
    calendar: CalendarId,
    window: Window,
    mut each: impl FnMut(ResourceId),
) -> Result<()> {
    tx.each(
        "SELECT id FROM resources
          WHERE calendar_id = ?1 AND dense = 1 AND live = 1
            AND (first IS NULL OR first < ?3) AND (last IS NULL OR last >= ?2)",
        &[calendar.into(), window.start.into(), window.end.into()],
        |row| {
            each(ResourceId(row.int(0)?));
            Ok(())
        },
    )
}

/// The same for what may take time: events, and VFREEBUSY and VAVAILABILITY, which the index never holds.
fn each_dense_taking(
    tx: &mut Tx<'_>,
    calendar: CalendarId,
    window: Window,
    mut each: impl FnMut(ResourceId),
) -> Result<()> {
    tx.each(
        "SELECT id FROM resources
          WHERE calendar_id = ?1 AND dense = 1 AND live = 1 AND kind IN (0, 3)
            AND (first IS NULL OR first < ?3) AND (last IS NULL OR last >= ?2)",
        &[calendar.into(), window.start.into(), window.end.into()],
        |row| {
            each(ResourceId(row.int(0)?));
            Ok(())
        },
    )
}

// What keeps it.

/// The time index of an object in a calendar: inside its horizon, for the person whose calendar it is.
pub(super) fn index_of(tx: &mut Tx<'_>, calendar: &Calendar, object: &Object) -> Result<recur::Index> {
    let found = tx.one(
        "SELECT c.indexed_from, c.indexed_until, u.addresses, COALESCE(a.addresses, ''), COALESCE(a.login, '')
           FROM calendars c JOIN users u ON u.id = c.user_id LEFT JOIN accounts a ON a.id = c.account_id
          WHERE c.id = ?1",
        &[calendar.id.into()],
        |row| {
            let horizon = Window { start: row.instant(0)?, end: row.instant(1)? };
            Ok((horizon, addresses_row(row, 2)?))
        },
    )?;
    let Some((horizon, me)) = found else {
        return Err(super::Error::Broken("an object is saved into no calendar".to_owned()));
    };
    Ok(recur::index(object, horizon, &me, MOST))
}

/// The addresses under which the owner of a calendar is invited there: the user's own, and the account's. Lower case.
pub fn addresses(tx: &mut Tx<'_>, calendar: CalendarId) -> Result<Vec<String>> {
    let found = tx.one(
        "SELECT u.addresses, COALESCE(a.addresses, ''), COALESCE(a.login, '')
           FROM calendars c JOIN users u ON u.id = c.user_id LEFT JOIN accounts a ON a.id = c.account_id
          WHERE c.id = ?1",
        &[calendar.into()],
        |row| addresses_row(row, 0),
    )?;
    Ok(found.unwrap_or_default())
}

/// The same of all calendars that `calendar` is made of, each address once.
pub fn addresses_in(tx: &mut Tx<'_>, calendar: &Calendar) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for member in members(tx, calendar)? {
        all.extend(addresses(tx, member)?);
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// Three columns from `at` on: the user's addresses, the account's, its login.
fn addresses_row(row: &Row<'_>, at: usize) -> Result<Vec<String>> {
    let texts = [row.text(at)?, row.text(at + 1)?, row.text(at + 2)?];
    Ok(texts.iter().flat_map(|t| t.lines()).filter(|a| a.contains('@')).map(str::to_lowercase).collect())
}

/// Writes the entries of a row in place of what was there. Most changes leave the time as it is, and then nothing is
/// written.
pub(super) fn replace(
    tx: &mut Tx<'_>,
    calendar: CalendarId,
    resource: ResourceId,
    entries: &[recur::Entry],
) -> Result<()> {
    let mut held = tx.query(
        "SELECT start, finish, floating, busy FROM instances WHERE resource_id = ?1",
        &[resource.into()],
        entry,
    )?;
    let key = |e: &recur::Entry| (e.start, e.end, e.floating, e.busy);
    held.sort_unstable_by_key(key);
    let mut wanted = entries.to_vec();
    wanted.sort_unstable_by_key(key);
    wanted.dedup();
    if held == wanted {
        return Ok(());
    }
    clear(tx, resource)?;
    for entry in &wanted {
        tx.execute(
            "INSERT INTO instances (calendar_id, long, start, finish, floating, busy, resource_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            &[
                calendar.into(),
                (entry.end - entry.start > LONG).into(),
                entry.start.into(),
                entry.end.into(),
                entry.floating.into(),
                (entry.busy as i64).into(),
                resource.into(),
            ],
        )?;
    }
    Ok(())
}

pub(super) fn clear(tx: &mut Tx<'_>, resource: ResourceId) -> Result<()> {
    tx.execute("DELETE FROM instances WHERE resource_id = ?1", &[resource.into()]).map(|_| ())
}

/// Calendars whose horizon ends before `until`.
pub fn short_of(tx: &mut Tx<'_>, until: Instant) -> Result<Vec<CalendarId>> {
    tx.query(
        "SELECT id FROM calendars WHERE source <> 'unified' AND indexed_until < ?1 ORDER BY id",
        &[until.into()],
        |row| row.int(0).map(CalendarId),
    )
}

/// Moves a calendar's horizon and writes anew what that changes. No etag, no seq and no body changes.
pub fn reindex(tx: &mut Tx<'_>, calendar: CalendarId, horizon: Window) -> Result<()> {
    let Some(calendar) = super::calendars::for_engine(tx, calendar)? else { return Ok(()) };
    tx.lock_clock(calendar.user)?;
    tx.execute(
        "UPDATE calendars SET indexed_from = ?2, indexed_until = ?3 WHERE id = ?1",
        &[calendar.id.into(), horizon.start.into(), horizon.end.into()],
    )?;
    for resource in resources::all(tx, &calendar)? {
        let index = match Object::parse(&resource.body) {
            Ok(object) => index_of(tx, &calendar, &object)?,
            // What was stored was parsed before; if it can not be any more, its span selects it, and asking says so.
            Err(_) => recur::Index { span: Span { first: None, last: None }, entries: Vec::new(), dense: true },
        };
        tx.execute(
            "UPDATE resources SET dense = ?2 WHERE id = ?1 AND dense <> ?2",
            &[resource.id.into(), index.dense.into()],
        )?;
        replace(tx, calendar.id, resource.id, &index.entries)?;
    }
    Ok(())
}

/// The person has other addresses than before: what they declined is worked out again.
pub fn reindex_user(tx: &mut Tx<'_>, user: UserId) -> Result<()> {
    let calendars = tx.query(
        "SELECT id, indexed_from, indexed_until FROM calendars WHERE user_id = ?1 AND source <> 'unified' ORDER BY id",
        &[user.into()],
        |row| Ok((CalendarId(row.int(0)?), Window { start: row.instant(1)?, end: row.instant(2)? })),
    )?;
    for (id, horizon) in calendars {
        reindex(tx, id, horizon)?;
    }
    Ok(())
}
