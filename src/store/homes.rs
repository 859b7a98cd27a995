//! Homes as collections: their sync token, and which calendars came, changed or went since one.
//!
//! The contents of a calendar move its own `seq`, on the clock of the user in whose home it stands. What else a client
//! sees of it (its name, its colour, what may be done with it) is held against what was noted here the last time, by
//! [`settle`], which whoever changes such things calls in the same transaction; that has a clock of its own, so that no
//! token of a calendar moves with it.

use std::collections::{HashMap, HashSet};

use super::calendars::{self, Calendar, Denied};
use super::users::Actor;
use super::{Error, Result, Tx, subscriptions};
use crate::ids::{Seq, UserId};
use crate::secrets;

/// Where a home stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    pub epoch: i64,
    /// Of the user's clock: the contents of every calendar up to there.
    pub seq: Seq,
    /// Of a clock of the home's own: what calendars there are, and how they look.
    pub looks: Seq,
}

impl Home {
    /// The sync token of this snapshot: a URI.
    pub fn token(&self) -> String {
        format!("urn:calgate:home:{:x}:{}.{}", self.epoch, self.looks, self.seq)
    }

    /// Where a token of this home stands; `None`: malformed, another home's or a calendar's, or from the future.
    pub fn read_token(&self, token: &str) -> Option<Home> {
        let (_, numbers) = token.strip_prefix("urn:calgate:home:")?.split_once(':')?;
        let (looks, seq) = numbers.split_once('.')?;
        let home = Home { epoch: self.epoch, seq: Seq(seq.parse().ok()?), looks: Seq(looks.parse().ok()?) };
        let past = (0..=self.seq.0).contains(&home.seq.0) && (0..=self.looks.0).contains(&home.looks.0);
        (past && home.token() == token).then_some(home)
    }
}

/// Where the home of a user stands.
pub fn home(tx: &mut Tx<'_>, user: UserId) -> Result<Home> {
    find(tx, user)?.ok_or_else(|| Error::Broken("a user has no clock".to_owned()))
}

/// Where the home of who asks stands. A login is remembered for a while: its user may be gone.
pub fn own(tx: &mut Tx<'_>, actor: &Actor) -> Result<Home, Denied> {
    find(tx, actor.user)?.ok_or(Denied::Missing)
}

fn find(tx: &mut Tx<'_>, user: UserId) -> Result<Option<Home>> {
    tx.one("SELECT epoch, seq, looks FROM clocks WHERE user_id = ?1", &[user.into()], |row| {
        Ok(Home { epoch: row.int(0)?, seq: Seq(row.int(1)?), looks: Seq(row.int(2)?) })
    })
}

/// What became of a calendar of a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub slug: String,
    /// `None`: it is gone.
    pub live: Option<Calendar>,
}

/// What changed in a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    pub changes: Vec<Change>,
    /// Where the client stands when it has seen these changes.
    pub home: Home,
    /// True: the limit cut it, ask again from there.
    pub more: bool,
}

/// The calendars of a home that came, changed in any way, or went after `from` stood; `None`: all that are there. First
/// those that came, went or look different, then those whose contents changed; a page may end between any two.
pub fn since(tx: &mut Tx<'_>, actor: &Actor, owner: &str, from: Option<Home>, limit: u32) -> Result<Since, Denied> {
    let calendars = calendars::home(tx, actor, owner)?;
    let now = own(tx, actor)?;
    let noted = noted(tx, actor.user)?;
    // At first everything is new, and what changes from now on is told afterwards.
    let from_looks = from.map_or(Seq(-1), |from| from.looks);
    let from_seq = from.map_or(now.seq, |from| from.seq);
    // One that was not noted, or not noted as gone, is told until it is.
    let unknown = Seq(now.looks.0 + 1);
    let mut looks: Vec<(Seq, Change)> = Vec::new();
    let mut contents: Vec<(Seq, Change)> = Vec::new();
    let mut there = HashSet::new();
    for calendar in calendars {
        let at = noted.get(&calendar.slug).filter(|note| note.live).map_or(unknown, |note| note.seq);
        let seq = calendar.seq;
        there.insert(calendar.slug.clone());
        let change = Change { slug: calendar.slug.clone(), live: Some(calendar) };
        if at > from_looks {
            looks.push((at, change));
        } else if seq > from_seq {
            contents.push((seq, change));
        }
    }
    for (slug, note) in noted.iter().filter(|(slug, _)| from.is_some() && !there.contains(*slug)) {
        let at = if note.live { unknown } else { note.seq };
        if at > from_looks {
            looks.push((at, Change { slug: slug.clone(), live: None }));
        }
    }
    let order = |a: &(Seq, Change), b: &(Seq, Change)| (a.0, &a.1.slug).cmp(&(b.0, &b.1.slug));
    looks.sort_by(order);
    contents.sort_by(order);
    let limit = limit as usize;
    let (all_looks, all) = (looks.len(), looks.len() + contents.len());
    let mut home = now;
    if limit < all_looks {
        // What is told until it is noted has one number.
        let mut end = limit;
        while end > 0 && end < all_looks && looks[end].0 == looks[end - 1].0 {
            end += 1;
        }
        looks.truncate(end);
        contents.clear();
        home =
            Home { seq: from_seq, looks: looks.last().map_or(from_looks.max(Seq(0)), |l| l.0.min(now.looks)), ..now };
    } else if limit < all {
        contents.truncate(limit - all_looks);
        home.seq = contents.last().map_or(from_seq, |c| c.0);
    }
    let changes: Vec<Change> = looks.into_iter().chain(contents).map(|(_, change)| change).collect();
    Ok(Since { more: changes.len() < all, changes, home })
}

struct Note {
    live: bool,
    seq: Seq,
    look: String,
}

fn noted(tx: &mut Tx<'_>, user: UserId) -> Result<HashMap<String, Note>> {
    let rows = tx.query("SELECT slug, live, seq, look FROM homes WHERE user_id = ?1", &[user.into()], |row| {
        Ok((row.text(0)?, Note { live: row.bool(1)?, seq: Seq(row.int(2)?), look: row.text(3)? }))
    })?;
    Ok(rows.into_iter().collect())
}

/// Notes what the home of a user now holds; what is something else than before takes the next number of
/// its clock.
/// The caller holds the clock.
pub fn settle(tx: &mut Tx<'_>, user: UserId) -> Result<()> {
    tx.execute(
        "UPDATE clocks SET epoch = ?2 WHERE user_id = ?1 AND epoch = 0",
        &[user.into(), secrets::random_epoch().max(1).into()],
    )?;
    let mut noted = noted(tx, user)?;
    for calendar in calendars::of_user(tx, user)? {
        let look = look(&calendar);
        if noted.remove(&calendar.slug).is_none_or(|note| !note.live || note.look != look) {
            note(tx, user, &calendar.slug, true, &look)?;
        }
    }
    for (slug, _) in noted.into_iter().filter(|(_, note)| note.live) {
        note(tx, user, &slug, false, "")?;
    }
    Ok(())
}

/// Notes that a client keeps something else of its own with a calendar than before.
pub fn touch(tx: &mut Tx<'_>, calendar: &Calendar) -> Result<()> {
    tx.lock_clock(calendar.user)?;
    settle(tx, calendar.user)?;
    let looks = tick(tx, calendar.user)?;
    let params = [calendar.user.into(), (&calendar.slug).into(), looks.into()];
    tx.execute("UPDATE homes SET seq = ?3 WHERE user_id = ?1 AND slug = ?2", &params).map(|_| ())
}

fn note(tx: &mut Tx<'_>, user: UserId, slug: &str, live: bool, look: &str) -> Result<()> {
    let looks = tick(tx, user)?;
    tx.execute(
        "INSERT INTO homes (user_id, slug, live, seq, look) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (user_id, slug) DO UPDATE SET live = excluded.live, seq = excluded.seq, look = excluded.look",
        &[user.into(), slug.into(), live.into(), looks.into(), look.into()],
    )
    .map(|_| ())
}

/// The next number of the home's own clock.
fn tick(tx: &mut Tx<'_>, user: UserId) -> Result<Seq> {
    let next =
        tx.one("UPDATE clocks SET looks = looks + 1 WHERE user_id = ?1 RETURNING looks", &[user.into()], |row| {
            row.int(0).map(Seq)
        })?;
    subscriptions::stir_home(tx, user)?;
    next.ok_or_else(|| Error::Broken("a user has no clock".to_owned()))
}

/// A digest of what a calendar is besides its contents, and how its mirroring goes. Another calendar under the same slug
/// looks different: it has another epoch.
fn look(calendar: &Calendar) -> String {
    let still = Calendar {
        seq: Seq(0),
        floor: Seq(0),
        changed_at: crate::ical::Instant(0),
        pulled_at: None,
        error: None,
        ..calendar.clone()
    };
    secrets::hex(&secrets::sha256(format!("{still:?}").as_bytes())[..16])
}
