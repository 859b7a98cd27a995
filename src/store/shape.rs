//! What unified calendars are made of, granted ones too, and the way there when that changes: in short transactions, for
//! while one of them writes, nobody else does.
//!
//! A transaction that makes a calendar another one (a grant, another mask, a member more) begins the way, and goes it to the
//! end if it has room for so many rows. Otherwise the rest is a duty (`sync/shape.rs`), which goes on from where the row of
//! the calendar says. It goes through the calendar's own rows, for those that nothing stands behind any more, and then
//! through each member's, by id. What is written meanwhile is brought up by `unified::refresh` as ever, and is met again or
//! not: to bring a UID up twice is to do it once.
//!
//! A calendar that is new is veiled until it is filled: nobody takes a half for the whole. So is a granted one as soon as it
//! shows more than it may by now. Otherwise it is seen all the time, and its sync token tells of each row as it comes.
//!
//! What is taken away is out of sight in the transaction that says so, and its rows go by and by.

use super::calendars::{Calendar, Source};
use super::grants::May;
use super::jobs::{self, Duty, Lease};
use super::tx::Value;
use super::unified::{self, Unified};
use super::{Result, Tx, grants, homes, instances, resources};
use crate::ical::{Instant, Mask};
use crate::ids::{CalendarId, ResourceId, UserId};

/// Rows that one transaction brings up or takes away beside what it is about.
pub(super) const ROOM: usize = 500;
/// Rows that may be looked at in place of one that is changed.
const LOOKS: usize = 10;

/// Brings every unified calendar of a user, and every calendar that shows what the user granted, on the way to the members
/// it now has, where that is something else than before. The user's clock is locked by the caller, who takes no other lock
/// afterwards. Rows that stay the same keep their seq: no sync token is lost, and clients hear of what changed and nothing
/// else. So do those of the home.
pub fn reshape(tx: &mut Tx<'_>, user: UserId, now: Instant) -> Result<()> {
    grants::settle(tx, user, now)?;
    let unified = tx.query(
        "SELECT id FROM calendars WHERE user_id = ?1 AND source = 'unified' AND grant_id IS NULL
         UNION ALL
         SELECT c.id FROM grants g JOIN calendars c ON c.grant_id = g.id WHERE g.owner_id = ?1
         ORDER BY id",
        &[user.into()],
        |row| row.int(0).map(CalendarId),
    )?;
    for id in unified {
        let unified = Unified::of(tx, id)?;
        reshape_one(tx, &unified, now)?;
    }
    homes::settle(tx, user)
}

fn reshape_one(tx: &mut Tx<'_>, unified: &Unified, now: Instant) -> Result<()> {
    let Some(state) = State::of(tx, unified.id)? else { return Ok(()) };
    let made = made_of(tx, unified)?;
    let target = describe(tx, unified, &made)?;
    match &state.filling {
        Some(filling) if *filling == target => return Ok(()),
        None if state.shape == target && !state.veiled => return Ok(()),
        _ => {}
    }
    // In the middle of the way its rows are of both.
    let before = [Some(&state.shape), state.filling.as_ref()];
    let reveals = before.into_iter().flatten().any(|before| reveals(before, unified.may, &made));
    let veil = unified.may.is_some() && reveals && !state.veiled;
    tx.execute(
        "UPDATE calendars SET filling = ?2, filling_calendar = 0, filling_row = 0,
                veiled = CASE WHEN CAST(?3 AS BIGINT) = 1 THEN 1 ELSE veiled END
          WHERE id = ?1",
        &[unified.id.into(), (&target).into(), veil.into()],
    )?;
    let filled = fill(tx, unified, now)?;
    if !filled {
        jobs::due_now(tx, Duty::Shape, now)?;
    }
    // Of the owner's own home the caller says so, when all is done.
    let shown = !state.veiled;
    let is_shown = filled || shown && !veil;
    if shown != is_shown && unified.may.is_some() { homes::settle(tx, unified.user) } else { Ok(()) }
}

/// How far a calendar is.
struct State {
    shape: String,
    filling: Option<String>,
    veiled: bool,
    /// The calendar whose rows are gone through, and the last of them.
    at: (i64, i64),
}

impl State {
    fn of(tx: &mut Tx<'_>, id: CalendarId) -> Result<Option<State>> {
        tx.one(
            "SELECT shape, filling, veiled, filling_calendar, filling_row FROM calendars WHERE id = ?1",
            &[id.into()],
            |row| {
                Ok(State {
                    shape: row.text(0)?,
                    filling: row.opt_text(1)?,
                    veiled: row.bool(2)?,
                    at: (row.int(3)?, row.int(4)?),
                })
            },
        )
    }
}

/// A member that is there.
struct Made {
    mask: Mask,
    id: CalendarId,
}

fn made_of(tx: &mut Tx<'_>, unified: &Unified) -> Result<Vec<Made>> {
    tx.query(
        "SELECT m.mask, c.id FROM members m
           JOIN calendars c ON c.user_id = ?2 AND c.slug = m.slug AND c.active = 1 AND c.grant_id IS NULL
          WHERE m.unified_id = ?1 ORDER BY m.position",
        &[unified.id.into(), unified.owner.into()],
        |row| {
            // A mask that is not known hides everything.
            let mask = Mask::from_name(&row.text(0)?).unwrap_or(Mask::Busy);
            Ok(Made { mask, id: CalendarId(row.int(1)?) })
        },
    )
}

const GRANTED: &str = "granted:";
const APART: &str = "apart";

/// What the rows of a unified calendar are made of, besides the members' objects. Of a masked member that is also who
/// its owner is, from which follows what they declined, and what this calgate makes of a mask.
fn describe(tx: &mut Tx<'_>, unified: &Unified, made: &[Made]) -> Result<String> {
    let mut shape = unified.may.map_or(String::new(), |may| format!("{GRANTED}{}\n", may.name()));
    if unified.is_apart() {
        shape += APART;
        shape.push('\n');
    }
    for member in made {
        shape += &line(member, member.mask);
        if member.mask != Mask::Full || unified.hides_private() {
            let me = instances::addresses(tx, member.id)?;
            shape += &format!(":{}:{}", env!("CARGO_PKG_VERSION"), me.join(" "));
        }
        shape.push('\n');
    }
    Ok(shape)
}

fn line(member: &Made, mask: Mask) -> String {
    format!("{}:{}", member.id.0, mask.name())
}

/// Whether what was made of `before` can not be shown on the way to `after`: there was nothing, or it may show what is
/// hidden in the other. It does not when each member is still there, in the same order, and hides no more, and nothing that hides
/// anything came before one of them; what came after all of them is behind them for every UID.
fn reveals(before: &str, may: Option<May>, after: &[Made]) -> bool {
    let mut lines = before.lines().filter(|line| *line != APART).peekable();
    let was = lines.next_if(|line| line.starts_with(GRANTED)).map(|line| May::read(&line[GRANTED.len()..]));
    let hid = was.is_some_and(May::hides_private);
    let hides = may.is_some_and(May::hides_private);
    if lines.peek().is_none() || was.is_some() != may.is_some() || hides && !hid {
        return true;
    }
    for member in after {
        let Some(old) = lines.peek() else { break };
        let same = Mask::ALL.into_iter().filter(|mask| *mask <= member.mask).any(|mask| {
            let rest = old.strip_prefix(&line(member, mask));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        });
        if same {
            lines.next();
        } else if member.mask != Mask::Full {
            return true;
        }
    }
    lines.next().is_some()
}

/// Goes on filling a calendar as far as there is room. True: it is filled, and shown; its home may not know that yet.
fn fill(tx: &mut Tx<'_>, unified: &Unified, now: Instant) -> Result<bool> {
    let Some(state) = State::of(tx, unified.id)? else { return Ok(true) };
    let (mut calendar, mut after) = state.at;
    loop {
        let through = match calendar {
            0 => own_rows(tx, unified, &mut after, now)?,
            _ => member_rows(tx, unified, CalendarId(calendar), &mut after, now)?,
        };
        if !through {
            tx.execute(
                "UPDATE calendars SET filling_calendar = ?2, filling_row = ?3 WHERE id = ?1",
                &[unified.id.into(), Value::Int(calendar), Value::Int(after)],
            )?;
            return Ok(false);
        }
        match next_member(tx, unified, calendar)? {
            Some(next) => (calendar, after) = (next, 0),
            None => break,
        }
    }
    tx.execute("UPDATE calendars SET shape = filling, filling = NULL, veiled = 0 WHERE id = ?1", &[unified.id.into()])?;
    Ok(true)
}

/// The member with the lowest id over `after`: whatever the order is that they have, each is gone through once.
fn next_member(tx: &mut Tx<'_>, unified: &Unified, after: i64) -> Result<Option<i64>> {
    let next = tx.one(
        "SELECT MIN(c.id) FROM members m
           JOIN calendars c ON c.user_id = ?2 AND c.slug = m.slug AND c.active = 1 AND c.grant_id IS NULL
          WHERE m.unified_id = ?1 AND c.id > ?3",
        &[unified.id.into(), unified.owner.into(), Value::Int(after)],
        |row| row.opt_int(0),
    )?;
    Ok(next.flatten())
}

/// Brings up the calendar's own rows that show no member's, after the row `after`, which moves along. True: there are no
/// more.
fn own_rows(tx: &mut Tx<'_>, unified: &Unified, after: &mut i64, now: Instant) -> Result<bool> {
    let room = tx.room;
    let most = room.max(1) * LOOKS;
    let (mut stale, mut looked, mut full) = (Vec::new(), 0, false);
    let (id, owner, from) = (unified.id, unified.owner, *after);
    tx.each_while(
        "SELECT r.id, r.uid, CASE WHEN EXISTS (
                    SELECT 1 FROM resources o
                      JOIN calendars c ON c.id = o.calendar_id AND c.user_id = ?2 AND c.active = 1 AND c.grant_id IS NULL
                      JOIN members m ON m.unified_id = ?1 AND m.slug = c.slug
                     WHERE o.id = r.origin_id) THEN 1 ELSE 0 END
           FROM resources r WHERE r.calendar_id = ?1 AND r.live = 1 AND r.id > ?3 ORDER BY r.id LIMIT ?4",
        &[id.into(), owner.into(), Value::Int(from), Value::Int(most as i64)],
        |row| {
            if !row.bool(2)? {
                if stale.len() == room {
                    full = true;
                    return Ok(false);
                }
                stale.push(row.text(1)?);
            }
            looked += 1;
            *after = row.int(0)?;
            Ok(true)
        },
    )?;
    for uid in &stale {
        unified::refresh_one(tx, unified, uid, now)?;
    }
    tx.take(stale.len() + looked / LOOKS);
    Ok(!full && looked < most)
}

/// Brings up what a member holds, after its row `after`, which moves along. True: there is no more.
fn member_rows(tx: &mut Tx<'_>, unified: &Unified, member: CalendarId, after: &mut i64, now: Instant) -> Result<bool> {
    let room = tx.room;
    // One more, to see whether there is one.
    let mut rows = tx.query(
        "SELECT id, uid FROM resources WHERE calendar_id = ?1 AND live = 1 AND id > ?2 ORDER BY id LIMIT ?3",
        &[member.into(), Value::Int(*after), Value::Int(room as i64 + 1)],
        |row| Ok((row.int(0)?, row.text(1)?)),
    )?;
    let through = rows.len() <= room;
    rows.truncate(room);
    for (id, uid) in &rows {
        unified::refresh_one(tx, unified, uid, now)?;
        *after = *id;
    }
    tx.take(rows.len());
    Ok(through)
}

/// Takes a calendar away that is hidden already, with all that is in it. Nothing finds it any more; its name is free at
/// once. Its rows go at once too when there is room, and nothing shows them.
pub(super) fn discard(tx: &mut Tx<'_>, id: CalendarId) -> Result<()> {
    let room = tx.room as i64;
    let few = |tx: &mut Tx<'_>, sql: &'static str, most: i64| {
        let count = tx.one(sql, &[id.into(), Value::Int(most + 1)], |row| row.int(0))?.unwrap_or(0);
        Ok((count <= most).then_some(count as usize))
    };
    let rows =
        few(tx, "SELECT COUNT(*) FROM (SELECT 1 FROM resources WHERE calendar_id = ?1 LIMIT ?2) AS counted", room)?;
    let indexed = few(
        tx,
        "SELECT COUNT(*) FROM (SELECT 1 FROM instances WHERE calendar_id = ?1 LIMIT ?2) AS counted",
        room * LOOKS as i64,
    )?;
    if let (Some(rows), Some(indexed)) = (rows, indexed) {
        let shown = tx.one(
            "SELECT 1 FROM resources r JOIN resources u ON u.origin_id = r.id WHERE r.calendar_id = ?1 LIMIT 1",
            &[id.into()],
            |_| Ok(()),
        )?;
        if shown.is_none() {
            tx.take(rows + indexed / LOOKS);
            return tx.execute("DELETE FROM calendars WHERE id = ?1", &[id.into()]).map(|_| ());
        }
    }
    tx.execute("DELETE FROM members WHERE unified_id = ?1", &[id.into()])?;
    tx.execute("DELETE FROM subscriptions WHERE calendar_id = ?1", &[id.into()])?;
    // A name that nobody can type.
    tx.execute(
        "UPDATE calendars SET active = 0, source = 'gone', grant_id = NULL, account_id = NULL, filling = NULL, held = 0,
                octets = 0,
                slug = slug || ' (gone ' || CAST(id AS TEXT) || ')'
          WHERE id = ?1",
        &[id.into()],
    )?;
    jobs::due_now(tx, Duty::Shape, Instant(0))
}

/// Deletes rows of a calendar that is gone, as far as there is room.
fn sweep(tx: &mut Tx<'_>, id: CalendarId, now: Instant) -> Result<Step> {
    // What a unified calendar still shows waits until that knows: its tombstone has to be told.
    let rows = tx.query(
        "SELECT r.id, (SELECT COUNT(*) FROM instances i WHERE i.resource_id = r.id) FROM resources r
          WHERE r.calendar_id = ?1 AND NOT EXISTS (SELECT 1 FROM resources u WHERE u.origin_id = r.id) LIMIT ?2",
        &[id.into(), Value::Int(tx.room as i64)],
        |row| Ok((ResourceId(row.int(0)?), row.int(1)? as usize)),
    )?;
    let nothing = rows.is_empty();
    for (row, indexed) in rows {
        if tx.room == 0 {
            return Ok(Step::More);
        }
        tx.execute("DELETE FROM resources WHERE id = ?1", &[row.into()])?;
        tx.take(1 + indexed / LOOKS);
    }
    if tx.one("SELECT 1 FROM resources WHERE calendar_id = ?1 LIMIT 1", &[id.into()], |_| Ok(()))?.is_some() {
        return Ok(if nothing { Step::Waits } else { Step::More });
    }
    tx.execute("DELETE FROM calendars WHERE id = ?1", &[id.into()])?;
    // What was on its way there goes back to where it was.
    if !resources::bereft(tx)?.is_empty() {
        jobs::due_now(tx, Duty::Prune, now)?;
    }
    Ok(Step::Done)
}

/// The calendars that are on the way: first those that are filled, then those whose rows are deleted.
pub fn waiting(tx: &mut Tx<'_>) -> Result<Vec<CalendarId>> {
    let read = |row: &super::tx::Row<'_>| row.int(0).map(CalendarId);
    let mut all = tx.query("SELECT id FROM calendars WHERE filling IS NOT NULL ORDER BY id", &[], read)?;
    all.extend(tx.query("SELECT id FROM calendars WHERE source = 'gone' ORDER BY id", &[], read)?);
    Ok(all)
}

/// What the rows of a calendar are made of, by which a reader in several looks knows that they are still the same ones;
/// `None`: they are on the way from one to another.
pub fn whole(tx: &mut Tx<'_>, id: CalendarId) -> Result<Option<String>> {
    let shape =
        tx.one("SELECT shape FROM calendars WHERE id = ?1 AND filling IS NULL", &[id.into()], |row| row.text(0))?;
    Ok(shape)
}

/// Somebody is about to write `uid` in a calendar. Should that be on its way, it has the rows of that UID before all
/// others: what is decided then is what would be decided when it is filled.
pub fn hasten(tx: &mut Tx<'_>, calendar: &Calendar, uid: &str, now: Instant) -> Result<()> {
    if !matches!(calendar.source, Source::Unified { .. }) || whole(tx, calendar.id)?.is_some() {
        return Ok(());
    }
    let unified = Unified::of(tx, calendar.id)?;
    unified::refresh_one(tx, &unified, uid, now)
}

/// Whether the user has a calendar of that name that is not shown before it is filled.
pub fn is_veiled(tx: &mut Tx<'_>, user: UserId, slug: &str) -> Result<bool> {
    let found = tx.one(
        "SELECT 1 FROM calendars WHERE user_id = ?1 AND slug = ?2 AND veiled = 1",
        &[user.into(), slug.into()],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// What one transaction of the duty has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to do.
    More,
    /// The calendar is what it has to be.
    Done,
    /// Nothing could be done before others are done.
    Waits,
    /// The lease was lost: another worker does it.
    Lost,
}

/// Goes on with one calendar, as far as one transaction has room.
pub fn step(tx: &mut Tx<'_>, lease: &Lease, id: CalendarId, now: Instant) -> Result<Step> {
    let Some(owner) = clock_of(tx, id)? else { return Ok(Step::Done) };
    tx.lock_clock(owner)?;
    if !jobs::renew(tx, lease, now)? {
        return Ok(Step::Lost);
    }
    // Its grant may have ended while we waited for the lock: then it goes by another clock.
    if clock_of(tx, id)? != Some(owner) {
        return Ok(Step::More);
    }
    if tx.one("SELECT 1 FROM calendars WHERE id = ?1 AND source = 'gone'", &[id.into()], |_| Ok(()))?.is_some() {
        return sweep(tx, id, now);
    }
    let Some(State { veiled, .. }) = State::of(tx, id)?.filter(|state| state.filling.is_some()) else {
        return Ok(Step::Done);
    };
    let unified = Unified::of(tx, id)?;
    if !fill(tx, &unified, now)? {
        return Ok(Step::More);
    }
    if veiled {
        homes::settle(tx, unified.user)?;
    }
    Ok(Step::Done)
}

/// Whose clock is locked to change a calendar.
fn clock_of(tx: &mut Tx<'_>, id: CalendarId) -> Result<Option<UserId>> {
    tx.one(
        "SELECT COALESCE(g.owner_id, c.user_id) FROM calendars c LEFT JOIN grants g ON g.id = c.grant_id WHERE c.id = ?1",
        &[id.into()],
        |row| row.int(0).map(UserId),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Members as `1:full 2:busy`.
    fn made(text: &str) -> Vec<Made> {
        let one = |text: &str| {
            let (id, mask) = text.split_once(':').unwrap();
            Made { mask: Mask::from_name(mask).unwrap(), id: CalendarId(id.parse().unwrap()) }
        };
        text.split_whitespace().map(one).collect()
    }

    #[test]
    fn what_may_show_too_much_is_known_from_what_it_was_made_of() {
        for (before, after, expect) in [
            ("", "1:full", true),
            ("1:full\n", "1:full", false),
            ("1:busy:0.1.0:a@b c@d\n", "1:busy", false),
            ("1:busy:0.1.0:a@b\n", "1:title", false),
            ("1:busy:0.1.0:\n", "1:full", false),
            ("1:title:0.1.0:\n", "1:busy", true),
            ("1:full\n", "1:title", true),
            // Another calendar under the name.
            ("1:full\n", "2:full", true),
            ("1:full\n", "12:full", true),
            ("12:full\n", "2:full", true),
            // One more: it hides nothing that is seen unless it hides anything and comes first.
            ("1:full\n", "1:full 2:busy", false),
            ("1:full\n", "2:full 1:full", false),
            ("1:full\n", "2:title 1:full", true),
            ("1:full\n2:full\n", "1:full 3:full 2:full", false),
            // One less, or another order.
            ("1:full\n2:full\n", "1:full", true),
            ("1:full\n2:full\n", "2:full", true),
            ("1:full\n", "", true),
            ("1:full\n2:title:0.1.0:\n", "2:title 1:full", true),
        ] {
            assert_eq!(reveals(before, None, &made(after)), expect, "{before:?} → {after}");
        }
        for (before, may, expect) in [
            ("granted:busy\n1:busy:0.1.0:\n", May::Title, false),
            ("granted:busy\n1:busy:0.1.0:\n", May::Write, false),
            ("granted:read\n1:full:0.1.0:\n", May::Write, false),
            ("granted:read\n1:full:0.1.0:\n", May::Read, false),
            ("granted:read\n1:full:0.1.0:\n", May::Title, true),
            // What is private.
            ("granted:write\napart\n1:full\n", May::Read, true),
            ("granted:write\napart\n1:full\n", May::Write, false),
            // It was empty.
            ("granted:read\n", May::Read, true),
            ("", May::Read, true),
        ] {
            let after = [Made { mask: may.mask(), id: CalendarId(1) }];
            assert_eq!(reveals(before, Some(may), &after), expect, "{before} → {}", may.name());
        }
    }
}
