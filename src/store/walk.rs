//! Walking through a calendar page by page: each page is a short read of its own, so nobody who reads slowly holds a
//! snapshot. What that means for what is read: `docs/decisions/0016-answers-are-written-page-by-page.md`.

use jiff::tz::TimeZone;

use super::calendars::{Calendar, Source};
use super::resources::kind;
use super::tx::Row;
use super::{Error, Result, Tx, instances};
use crate::ical::{Instant, Kind, Window, recur};
use crate::ids::{Name, ResourceId, Seq};

/// A row as it is looked at: its texts are the statement's own, and nothing is copied.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'r> {
    pub name: &'r str,
    pub etag: &'r str,
    /// Of [`Walk::Changes`] alone; else 0.
    pub seq: Seq,
    /// False: a tombstone.
    pub live: bool,
    /// An event, 0 and 0, unless details were asked for.
    pub kind: Kind,
    /// Bytes of the body.
    pub size: i64,
    pub changed_at: Instant,
    /// Empty unless bodies were asked for.
    pub body: &'r str,
    /// The first moment that it touches; unknown unless it was asked for.
    pub first: Option<Instant>,
}

/// What of a row is looked at besides its name and etag: in a long listing to read a column costs as much as to write one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Its kind, its size and when it changed.
    pub details: bool,
    pub body: bool,
    /// Where bodies are: the first moment that it touches.
    pub first: bool,
}

/// Which rows of a calendar are walked through, and how far that has come.
#[derive(Clone, Debug)]
pub enum Walk {
    /// All live ones with an id after this one, by id: a row that gets another name keeps its place.
    Live { after: ResourceId },
    /// What has a seq after `after` and up to `until`, by seq; live ones alone, or tombstones as well.
    /// A row that changes while this goes on leaves the range: it is news for whoever asks again from `until`.
    Changes { after: Seq, until: Seq, tombstones: bool },
    /// These rows (of a unified calendar: the rows that refer to them), from `at` on. One that is gone is passed over.
    Rows { ids: Vec<ResourceId>, at: usize },
}

/// What is known of a window from the time index.
pub struct Found {
    pub walk: Walk,
    /// True: these are the events in the window. False: `ical::filter` decides which of these are in it.
    pub decided: bool,
}

impl Walk {
    /// All live rows.
    pub fn all() -> Walk {
        Walk::Live { after: ResourceId(0) }
    }

    /// The live rows that may be in `window`. `events`: nothing but events is asked for, with floating times in the
    /// calendar's own zone; so far the time index can decide alone.
    pub fn in_window(tx: &mut Tx<'_>, calendar: &Calendar, window: Window, events: bool) -> Result<Found> {
        let members = instances::members(tx, calendar)?;
        let (mut decided, mut ids) = (events, Vec::new());
        for member in &members {
            if !instances::in_horizon(tx, *member, window)? {
                let walk = Walk::Rows { ids: in_span(tx, calendar, window)?, at: 0 };
                return Ok(Found { walk, decided: false });
            }
            decided = decided && !instances::has_dense_event(tx, *member, window)?;
        }
        let zone = calendar.time_zone();
        for member in members {
            instances::each_overlapping(tx, member, window, |entry, id| {
                if !decided || overlaps(entry, window, &zone) {
                    ids.push(id);
                }
            })?;
            if !decided {
                instances::each_dense(tx, member, window, |id| ids.push(id))?;
            }
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(Found { walk: Walk::Rows { ids, at: 0 }, decided })
    }

    /// Whether [`Walk::in_window`] looks at no more than `most` entries of each calendar that it asks about.
    pub fn is_light(tx: &mut Tx<'_>, calendar: &Calendar, window: Window, most: u32) -> Result<bool> {
        for member in instances::members(tx, calendar)? {
            if !instances::is_light(tx, member, window, i64::from(most))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The live row of that name, if there is one.
    pub fn only(tx: &mut Tx<'_>, calendar: &Calendar, name: &Name) -> Result<Option<Walk>> {
        let found = tx.one(
            "SELECT COALESCE(origin_id, id) FROM resources WHERE calendar_id = ?1 AND name = ?2 AND live = 1",
            &[calendar.id.into(), name.as_str().into()],
            |row| row.int(0).map(ResourceId),
        )?;
        Ok(found.map(|id| Walk::Rows { ids: vec![id], at: 0 }))
    }

    /// Whether there is another row.
    pub fn goes_on(&self, tx: &mut Tx<'_>, calendar: &Calendar) -> Result<bool> {
        let mut more = false;
        self.clone().page(tx, calendar, Parts::default(), 1, |_| {
            more = true;
            Ok(false)
        })?;
        Ok(more)
    }

    /// Calls `each` for the next rows, `most` of them at most, until it says false, which is after the last row that it
    /// wants. True: there are no more.
    pub fn page(
        &mut self,
        tx: &mut Tx<'_>,
        calendar: &Calendar,
        parts: Parts,
        most: u32,
        mut each: impl FnMut(&Seen<'_>) -> Result<bool>,
    ) -> Result<bool> {
        let (id, limit) = (calendar.id, i64::from(most));
        let mut count = 0;
        let mut stopped = false;
        match self {
            Walk::Live { after } => {
                let params = [id.into(), (*after).into(), limit.into()];
                tx.each_while(if parts.body { LIVE_WHOLE } else { LIVE }, &params, |row| {
                    count += 1;
                    stopped = !each(&seen(row, parts)?)?;
                    *after = ResourceId(row.int(ID)?);
                    Ok(!stopped)
                })?;
            }
            Walk::Changes { after, until, tombstones } => {
                let params = [id.into(), (*after).into(), (*until).into(), limit.into()];
                let sql = match (*tombstones, parts.body) {
                    (true, false) => CHANGES,
                    (true, true) => CHANGES_WHOLE,
                    (false, false) => LIVE_CHANGES,
                    (false, true) => LIVE_CHANGES_WHOLE,
                };
                tx.each_while(sql, &params, |row| {
                    let mut seen = seen(row, parts)?;
                    (seen.seq, seen.live) = (Seq(row.int(SEQ)?), row.bool(LIVENESS)?);
                    count += 1;
                    stopped = !each(&seen)?;
                    *after = seen.seq;
                    Ok(!stopped)
                })?;
            }
            Walk::Rows { ids, at } => {
                let unified = matches!(calendar.source, Source::Unified { .. });
                let sql = match (unified, parts.body) {
                    (false, false) => ROW,
                    (false, true) => ROW_WHOLE,
                    (true, false) => SHOWN,
                    (true, true) => SHOWN_WHOLE,
                };
                let next = ids.iter().skip(*at).take(most as usize).map(|row_id| [(*row_id).into(), id.into()]);
                *at += tx.each_of(sql, next, |row| each(&seen(row, parts)?))?;
                return Ok(*at >= ids.len());
            }
        }
        Ok(!stopped && count < limit)
    }
}

/// One row by its name, if it is live; `each` is not called otherwise.
pub fn one(
    tx: &mut Tx<'_>,
    calendar: &Calendar,
    name: &str,
    parts: Parts,
    mut each: impl FnMut(&Seen<'_>) -> Result<()>,
) -> Result<()> {
    let params = [calendar.id.into(), name.into()];
    tx.each_while(if parts.body { ONE_WHOLE } else { ONE }, &params, |row| {
        each(&seen(row, parts)?)?;
        Ok(false)
    })
}

/// One SELECT for every walk: from the row alone, or with the body as well.
macro_rules! select_seen {
    (listed $end:literal) => {
        concat!(
            "SELECT r.name, r.etag, r.kind, r.size, r.changed_at, '', NULL, r.seq, r.live FROM resources r WHERE ",
            $end
        )
    };
    (whole $end:literal) => {
        concat!(
            "SELECT r.name, r.etag, r.kind, r.size, r.changed_at, COALESCE(r.body, o.body, ''), r.first, r.seq,
                    r.live
               FROM resources r LEFT JOIN resources o ON o.id = r.origin_id WHERE ",
            $end
        )
    };
}

/// The columns of these that [`seen`] does not read.
const SEQ: usize = 7;
const LIVENESS: usize = 8;
const ID: usize = 7;

// Without bodies an index answers alone; the one of what is live holds no seq, which nobody asks of a listing.
const LIVE: &str = "SELECT name, etag, kind, size, changed_at, '', NULL, id FROM resources
     WHERE calendar_id = ?1 AND live = 1 AND id > ?2 ORDER BY id LIMIT ?3";
const LIVE_WHOLE: &str = "SELECT r.name, r.etag, r.kind, r.size, r.changed_at, COALESCE(r.body, o.body, ''), r.first,
            r.id
       FROM resources r LEFT JOIN resources o ON o.id = r.origin_id
      WHERE r.calendar_id = ?1 AND r.live = 1 AND r.id > ?2 ORDER BY r.id LIMIT ?3";
const CHANGES: &str = select_seen!(listed "r.calendar_id = ?1 AND r.seq > ?2 AND r.seq <= ?3 ORDER BY r.seq LIMIT ?4");
const CHANGES_WHOLE: &str =
    select_seen!(whole "r.calendar_id = ?1 AND r.seq > ?2 AND r.seq <= ?3 ORDER BY r.seq LIMIT ?4");
const LIVE_CHANGES: &str =
    select_seen!(listed "r.calendar_id = ?1 AND r.seq > ?2 AND r.seq <= ?3 AND r.live = 1 ORDER BY r.seq LIMIT ?4");
const LIVE_CHANGES_WHOLE: &str =
    select_seen!(whole "r.calendar_id = ?1 AND r.seq > ?2 AND r.seq <= ?3 AND r.live = 1 ORDER BY r.seq LIMIT ?4");
const ROW: &str = select_seen!(listed "r.id = ?1 AND r.calendar_id = ?2 AND r.live = 1");
const ROW_WHOLE: &str = select_seen!(whole "r.id = ?1 AND r.calendar_id = ?2 AND r.live = 1");
const SHOWN: &str = select_seen!(listed "r.origin_id = ?1 AND r.calendar_id = ?2 AND r.live = 1");
const SHOWN_WHOLE: &str = select_seen!(whole "r.origin_id = ?1 AND r.calendar_id = ?2 AND r.live = 1");
const ONE: &str = select_seen!(listed "r.calendar_id = ?1 AND r.name = ?2 AND r.live = 1");
const ONE_WHOLE: &str = select_seen!(whole "r.calendar_id = ?1 AND r.name = ?2 AND r.live = 1");

fn seen<'r>(row: &'r Row<'_>, parts: Parts) -> Result<Seen<'r>> {
    let (name, etag) = (row.str(0)?, row.str(1)?);
    if name.is_empty() {
        return Err(Error::Broken("resources.name is empty".to_owned()));
    }
    let mut seen = Seen {
        name,
        etag,
        seq: Seq(0),
        live: true,
        kind: Kind::Event,
        size: 0,
        changed_at: Instant(0),
        body: "",
        first: None,
    };
    if parts.details {
        (seen.kind, seen.size, seen.changed_at) = (kind(row.int(2)?), row.int(3)?, row.instant(4)?);
    }
    if parts.body {
        seen.body = row.str(5)?;
    }
    if parts.first {
        seen.first = row.opt_instant(6)?;
    }
    Ok(seen)
}

/// RFC 4791 9.9: an instance without length is inside when its start is.
fn overlaps(entry: &recur::Entry, window: Window, zone: &TimeZone) -> bool {
    let (start, end) = entry.ends(zone);
    start < window.end && (end > window.start || end == start && start >= window.start)
}

/// Beyond the horizon the span of each resource selects: rows as [`Walk::Rows`] names them.
fn in_span(tx: &mut Tx<'_>, calendar: &Calendar, window: Window) -> Result<Vec<ResourceId>> {
    tx.query(
        "SELECT COALESCE(origin_id, id) FROM resources
          WHERE calendar_id = ?1 AND live = 1 AND (first IS NULL OR first < ?3) AND (last IS NULL OR last >= ?2)
          ORDER BY id",
        &[calendar.id.into(), window.start.into(), window.end.into()],
        |row| row.int(0).map(ResourceId),
    )
}
