//! `gateway.toml` → rows: what is declared is there, what is no longer declared is hidden, nothing is lost.

use std::collections::HashMap;

use super::accounts::{self, Password, Take};
use super::calendars::{self, Given};
use super::jobs::{self, Duty};
use super::unified::{self, Member};
use super::{Error, Result, Tx, grants, instances, numbers, shape, users};
use crate::config::{self, Config};
use crate::ical::{Instant, Kind};
use crate::ids::{AccountId, UserId};
use crate::secrets;

/// The kinds of objects that a calendar is said to hold before its upstream told.
const KINDS: &[Kind] = &[Kind::Event, Kind::Todo, Kind::Journal];

/// Makes the database hold what `config` declares. Calendars keep their epoch and seq, so no sync token is lost.
pub fn apply(tx: &mut Tx<'_>, config: &Config, now: Instant) -> Result<()> {
    // Whoever writes takes a clock first and its rows afterwards; in the other order two could wait for each other.
    tx.wait_for_clocks()?;
    // The feeds of all who were declared, also of those who are not any more: a name that comes back brings none.
    tx.execute("DELETE FROM feeds WHERE user_id IN (SELECT id FROM users WHERE declared = 1)", &[])?;
    tx.execute("UPDATE users SET active = 0 WHERE declared = 1", &[])?;
    let mut ids = HashMap::new();
    for user in &config.users {
        let id = declare_user(tx, user)?;
        ids.insert(user.name.as_str(), id);
        declare_accounts(tx, id, user, now)?;
        declare_calendars(tx, id, user, now)?;
        tx.execute("DELETE FROM feeds WHERE user_id = ?1", &[id.into()])?;
        for feed in &user.feeds {
            let hash = secrets::sha256(feed.token.reveal().as_bytes());
            tx.execute(
                "INSERT INTO feeds (token_hash, user_id, slug, kind) VALUES (?1, ?2, ?3, ?4)",
                &[hash.as_slice().into(), id.into(), (&feed.calendar).into(), feed.kind.name().into()],
            )?;
        }
    }
    let mut granted = Vec::new();
    for user in &config.users {
        // `config` has found all of these names.
        let known =
            user.grants.iter().filter_map(|g| Some((*ids.get(user.name.as_str())?, g, *ids.get(g.to.as_str())?)));
        granted.extend(known.map(|(owner, grant, to)| (owner, grant.calendar.clone(), to, grant.may)));
    }
    grants::declare(tx, &granted)?;
    let users = tx.query("SELECT id FROM users WHERE active = 1 ORDER BY id", &[], |row| row.int(0).map(UserId))?;
    for user in users {
        shape::reshape(tx, user, now)?;
    }
    tidy_jobs(tx, now)
}

fn declare_user(tx: &mut Tx<'_>, user: &config::User) -> Result<UserId> {
    let addresses = user.addresses.join("\n");
    let before = tx.one("SELECT addresses FROM users WHERE name = ?1", &[(&user.name).into()], |row| row.text(0))?;
    let next = numbers::next(tx, "users")?;
    let id = tx.one(
        "INSERT INTO users (name, password, display_name, addresses, zone, free_busy, declared, active, id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, 1, ?7)
         ON CONFLICT (name) DO UPDATE SET password = excluded.password, display_name = excluded.display_name,
             addresses = excluded.addresses, zone = excluded.zone, free_busy = excluded.free_busy, declared = 1,
             active = 1
         RETURNING id",
        &[
            (&user.name).into(),
            user.password.as_deref().into(),
            (&user.display_name).into(),
            (&addresses).into(),
            (&user.zone).into(),
            user.free_busy.name().into(),
            next.into(),
        ],
        |row| row.int(0).map(UserId),
    )?;
    let id = id.ok_or_else(|| Error::Broken("an upsert gave no id".to_owned()))?;
    users::add_clock(tx, id)?;
    if before.is_some_and(|before| before != addresses) {
        instances::reindex_user(tx, id)?;
    }
    Ok(id)
}

fn declare_accounts(tx: &mut Tx<'_>, user: UserId, declared: &config::User, now: Instant) -> Result<()> {
    tx.execute("UPDATE accounts SET active = 0 WHERE user_id = ?1 AND declared = 1", &[user.into()])?;
    for account in &declared.accounts {
        let take = match account.calendars.is_empty() {
            true => Take::All,
            false => Take::Some(account.calendars.clone()),
        };
        let (url, login) = (&account.url, &account.login);
        let id = accounts::upsert(tx, user, &account.name, &account.kind, url, login, &take, true)?;
        match &account.password {
            config::Password::Reference(reference) => {
                accounts::set_password(tx, id, &Password::Reference(reference.clone()))?;
            }
            // What was sealed stays sealed; a reference that stood here before does not.
            config::Password::Sealed => {
                tx.execute("UPDATE accounts SET reference = NULL WHERE id = ?1", &[id.into()])?;
            }
        }
        if let Take::Some(taken) = &take {
            expect_mirrors(tx, user, id, taken, now)?;
        }
        jobs::due_now(tx, Duty::Discover(id), now)?;
    }
    // Mirrors of an account that is no longer declared are hidden; of one that is back, shown.
    tx.execute(
        "UPDATE calendars SET active = (SELECT a.active FROM accounts a WHERE a.id = calendars.account_id)
          WHERE user_id = ?1 AND declared = 1 AND source = 'mirror'
            AND account_id IN (SELECT id FROM accounts WHERE declared = 1 AND take = '' OR active = 0)",
        &[user.into()],
    )
    .map(|_| ())
}

/// Mirrors that are named in the configuration are there, empty, before their upstream was ever reached: clients see
/// them, and free/busy knows that it does not know.
fn expect_mirrors(
    tx: &mut Tx<'_>,
    user: UserId,
    account: AccountId,
    taken: &[accounts::Taken],
    now: Instant,
) -> Result<()> {
    tx.execute("UPDATE calendars SET active = 0 WHERE account_id = ?1 AND source = 'mirror'", &[account.into()])?;
    for one in taken {
        grants::make_way(tx, user, &one.slug)?;
        let name = one.display_name.as_deref().unwrap_or(&one.slug);
        let given = Given {
            name,
            color: one.color.as_deref().unwrap_or(""),
            text: "",
            writable: false,
            components: KINDS,
            transparent: false,
            schedules: false,
        };
        match calendars::find_any(tx, user, &one.slug)? {
            None => {
                calendars::insert(tx, user, &one.slug, "mirror", Some(account), &given, true, now)?;
            }
            Some(found) if found.source != "mirror" => {
                return Err(Error::Unavailable(format!(
                    "the calendar {:?} is there already and is none of an account: give the one in gateway.toml another name",
                    one.slug
                )));
            }
            Some(found) => calendars::give_to(tx, &found, account, now)?,
        }
    }
    Ok(())
}

fn declare_calendars(tx: &mut Tx<'_>, user: UserId, declared: &config::User, now: Instant) -> Result<()> {
    tx.execute(
        "UPDATE calendars SET active = 0 WHERE user_id = ?1 AND declared = 1 AND source IN ('local', 'unified')",
        &[user.into()],
    )?;
    for calendar in &declared.calendars {
        let color = calendar.color.as_deref().unwrap_or("");
        let given = Given { components: &calendar.components, ..looks(&calendar.display_name, color) };
        declare(tx, user, "local", &calendar.slug, &given, now)?;
    }
    for calendar in &declared.unified {
        let color = calendar.color.as_deref().unwrap_or("");
        declare(tx, user, "unified", &calendar.slug, &looks(&calendar.display_name, color), now)?;
        let Some(found) = calendars::find_any(tx, user, &calendar.slug)? else { continue };
        if found.source != "unified" {
            continue;
        }
        let members: Vec<Member> =
            calendar.members.iter().map(|m| Member { slug: m.slug.clone(), mask: m.mask }).collect();
        unified::set_members(tx, found.id, &members, &calendar.write_to)?;
    }
    Ok(())
}

/// A calendar that takes everything.
fn looks<'a>(name: &'a str, color: &'a str) -> Given<'a> {
    Given { name, color, text: "", writable: true, components: KINDS, transparent: false, schedules: false }
}

fn declare(tx: &mut Tx<'_>, user: UserId, source: &str, slug: &str, given: &Given<'_>, now: Instant) -> Result<()> {
    grants::make_way(tx, user, slug)?;
    match calendars::find_any(tx, user, slug)? {
        None => calendars::insert(tx, user, slug, source, None, given, true, now).map(|_| ()),
        Some(found) if found.source == source => tx
            .execute(
                "UPDATE calendars SET active = 1, declared = 1, given_name = ?2, given_color = ?3, components = ?4
                  WHERE id = ?1",
                &[
                    found.id.into(),
                    given.name.into(),
                    given.color.into(),
                    (&calendars::write_components(given.components)).into(),
                ],
            )
            .map(|_| ()),
        Some(found) if found.active => Err(Error::Unavailable(format!(
            "the calendar {slug:?} is there already and is not {source}: give the one in gateway.toml another name"
        ))),
        // A hidden one of another source: its rows stay under a name that nobody can type.
        Some(found) => {
            tx.execute(
                "UPDATE calendars SET slug = slug || ' (hidden ' || CAST(id AS TEXT) || ')' WHERE id = ?1",
                &[found.id.into()],
            )?;
            calendars::insert(tx, user, slug, source, None, given, true, now).map(|_| ())
        }
    }
}

/// Every active account is read and every active mirror is pulled; nobody works for what is hidden.
fn tidy_jobs(tx: &mut Tx<'_>, now: Instant) -> Result<()> {
    let accounts =
        tx.query("SELECT a.id, a.active * u.active FROM accounts a JOIN users u ON u.id = a.user_id", &[], |row| {
            Ok((AccountId(row.int(0)?), row.bool(1)?))
        })?;
    for (account, active) in accounts {
        match active {
            true => jobs::ensure(tx, Duty::Discover(account), now)?,
            false => jobs::drop_duty(tx, Duty::Discover(account))?,
        }
    }
    let mirrors = tx.query(
        "SELECT c.id, c.active * a.active * u.active FROM calendars c
           JOIN accounts a ON a.id = c.account_id JOIN users u ON u.id = c.user_id
          WHERE c.source = 'mirror' AND c.remote_id IS NOT NULL",
        &[],
        |row| Ok((crate::ids::CalendarId(row.int(0)?), row.bool(1)?)),
    )?;
    for (calendar, active) in mirrors {
        if active {
            jobs::ensure(tx, Duty::Pull(calendar), now)?;
            jobs::ensure(tx, Duty::Push(calendar), now)?;
        } else {
            jobs::drop_duty(tx, Duty::Pull(calendar))?;
            jobs::drop_duty(tx, Duty::Push(calendar))?;
        }
    }
    jobs::ensure(tx, Duty::Horizon, now)?;
    jobs::ensure(tx, Duty::Prune, now)?;
    jobs::ensure(tx, Duty::Shape, now)
}
