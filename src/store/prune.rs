//! Tombstones do not stay for ever: what was deleted long ago is forgotten, and sync tokens from before it are refused.

use super::{Result, Tx, calendars};
use crate::ical::Instant;
use crate::ids::{CalendarId, ResourceId, Seq};

/// Tombstones that one calendar may have; beyond that the oldest go, however old they are.
pub const MOST: i64 = 100_000;

/// Every calendar there is, hidden or not.
pub fn calendars(tx: &mut Tx<'_>) -> Result<Vec<CalendarId>> {
    tx.query("SELECT id FROM calendars ORDER BY id", &[], |row| row.int(0).map(CalendarId))
}

/// Forgets at most `limit` of a calendar's tombstones: those from before `before`, and of more than `most` the oldest. One
/// that has still to be sent upstream stays, and so does one that a unified calendar's row stands for, or that a move has not
/// been settled for. True: there may be more.
pub fn tombstones(tx: &mut Tx<'_>, calendar: CalendarId, before: Instant, most: i64, limit: u32) -> Result<bool> {
    let user = tx.one("SELECT user_id FROM calendars WHERE id = ?1", &[calendar.into()], |row| {
        row.int(0).map(crate::ids::UserId)
    })?;
    let Some(user) = user else { return Ok(false) };
    calendars::lock_of(tx, user)?;
    let oldest_kept = tx.one(
        "SELECT seq FROM resources WHERE calendar_id = ?1 AND live = 0 ORDER BY seq DESC LIMIT 1 OFFSET ?2",
        &[calendar.into(), most.into()],
        |row| row.int(0),
    )?;
    let rows = tx.query(
        "SELECT r.id, r.seq FROM resources r
          WHERE r.calendar_id = ?1 AND r.live = 0 AND r.dirty = 0 AND (r.changed_at < ?2 OR r.seq <= ?3)
            AND NOT EXISTS (SELECT 1 FROM resources u WHERE u.origin_id = r.id)
            AND NOT EXISTS (SELECT 1 FROM resources m WHERE m.arrival_id = r.id)
          ORDER BY r.seq LIMIT ?4",
        &[calendar.into(), before.into(), oldest_kept.unwrap_or(-1).into(), i64::from(limit).into()],
        |row| Ok((ResourceId(row.int(0)?), Seq(row.int(1)?))),
    )?;
    let Some((_, last)) = rows.last() else { return Ok(false) };
    // Who has seen less than the last of them would not hear of it.
    tx.execute("UPDATE calendars SET floor = ?2 WHERE id = ?1 AND floor < ?2", &[calendar.into(), (*last).into()])?;
    for (id, _) in &rows {
        tx.execute("DELETE FROM resources WHERE id = ?1 AND live = 0", &[(*id).into()])?;
    }
    Ok(rows.len() == limit as usize)
}
