//! Applies the migrations, each once and in order, in one transaction.

use super::tx::{Engine, Tx};
use super::{Error, Result, postgres, sqlite};

/// Every migration there is; the number is its place, from 1.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_masking.sql"),
    include_str!("migrations/0003_logins.sql"),
    include_str!("migrations/0004_grants.sql"),
    include_str!("migrations/0005_homes.sql"),
    include_str!("migrations/0006_scheduling.sql"),
    include_str!("migrations/0007_moves.sql"),
    include_str!("migrations/0008_push.sql"),
    include_str!("migrations/0009_arrivals.sql"),
    include_str!("migrations/0010_numbers.sql"),
    include_str!("migrations/0011_listed_by_id.sql"),
    include_str!("migrations/0012_room.sql"),
    include_str!("migrations/0013_device_numbers.sql"),
    include_str!("migrations/0014_filling.sql"),
];

/// Brings the schema up to date. Refuses a database that a newer calgate wrote: it would be misread.
pub(super) fn migrate(tx: &mut Tx<'_>) -> Result<()> {
    batch(tx, "CREATE TABLE IF NOT EXISTS schema_versions (version INTEGER NOT NULL)")?;
    let done = tx.one("SELECT COALESCE(MAX(version), 0) FROM schema_versions", &[], |r| r.int(0))?.unwrap_or(0);
    let known = MIGRATIONS.len() as i64;
    if done > known {
        return Err(Error::Broken(format!(
            "it has schema {done}, and this calgate knows only {known}: run the newer calgate, or restore a backup"
        )));
    }
    for (version, sql) in (1..).zip(MIGRATIONS).skip(done as usize) {
        if let Engine::Sqlite(db) = &tx.engine {
            sqlite::batch(db, "BEGIN IMMEDIATE")?;
        }
        // Another process may have been faster between our look and our lock.
        let raced =
            tx.one("SELECT 1 FROM schema_versions WHERE version = ?1", &[version.into()], |_| Ok(()))?.is_some();
        if !raced {
            batch(tx, sql)?;
            if version == 2 {
                fill_masking(tx)?;
            }
            tx.execute("INSERT INTO schema_versions (version) VALUES (?1)", &[version.into()])?;
        }
        if let Engine::Sqlite(db) = &tx.engine {
            sqlite::batch(db, "COMMIT")?;
        }
    }
    Ok(())
}

/// Gives each calendar that has none a secret of its own; new ones come with one.
fn fill_masking(tx: &mut Tx<'_>) -> Result<()> {
    let bare = tx.query("SELECT id FROM calendars WHERE masking IS NULL ORDER BY id", &[], |row| row.int(0))?;
    for id in bare {
        let secret = crate::secrets::random::<32>();
        tx.execute("UPDATE calendars SET masking = ?2 WHERE id = ?1", &[id.into(), secret.as_slice().into()])?;
    }
    Ok(())
}

fn batch(tx: &mut Tx<'_>, sql: &str) -> Result<()> {
    match &mut tx.engine {
        Engine::Sqlite(db) => sqlite::batch(db, sql),
        Engine::Postgres { tx, .. } => postgres::batch(tx, sql),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database of the first schema gets what came later, and keeps what it had.
    #[test]
    fn an_older_database_is_brought_up_to_date() {
        let db = sqlite::open(None).unwrap();
        let tx = &mut Tx::new(Engine::Sqlite(&db));
        batch(tx, "CREATE TABLE schema_versions (version INTEGER NOT NULL)").unwrap();
        batch(tx, MIGRATIONS[0]).unwrap();
        let calendar = "INSERT INTO calendars (user_id, slug, source, declared, active, epoch, seq, floor, changed_at,
            given_name, given_color, given_text, timezone, zone, components, writable, indexed_from, indexed_until, shape)
            VALUES (1, 'SLUG', 'unified', 0, 1, 7, 0, 0, 0, '', '', '', '', '', 'VEVENT', 1, 0, 1, 'a shape')";
        batch(
            tx,
            &format!(
                "INSERT INTO schema_versions (version) VALUES (1);
                INSERT INTO users VALUES (1, 'anna', NULL, 'Anna', '', 'UTC', 0, 1);
                {}; {};",
                calendar.replace("SLUG", "all"),
                calendar.replace("SLUG", "more")
            ),
        )
        .unwrap();
        migrate(tx).unwrap();
        migrate(tx).unwrap();
        let rows = tx
            .query("SELECT masking, shape, epoch FROM calendars ORDER BY id", &[], |row| {
                Ok((row.opt_blob(0)?.unwrap_or_default(), row.text(1)?, row.int(2)?))
            })
            .unwrap();
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|(masking, shape, epoch)| masking.len() == 32 && shape.is_empty() && *epoch == 7));
        assert_ne!(rows[0].0, rows[1].0, "each has its own");
    }

    /// What was called as scheduling's places are now goes on under another name, and with all that speaks of it; what has
    /// that name already stays what it is.
    #[test]
    fn a_calendar_called_inbox_gets_another_name() {
        let db = sqlite::open(None).unwrap();
        let tx = &mut Tx::new(Engine::Sqlite(&db));
        batch(tx, "CREATE TABLE schema_versions (version INTEGER NOT NULL)").unwrap();
        for (version, sql) in (1..6).zip(MIGRATIONS) {
            batch(tx, sql).unwrap();
            batch(tx, &format!("INSERT INTO schema_versions (version) VALUES ({version})")).unwrap();
        }
        batch(
            tx,
            "INSERT INTO users VALUES (1, 'anna', NULL, 'Anna', '', 'UTC', 0, 1);
             INSERT INTO users VALUES (2, 'bert', NULL, 'Bert', '', 'UTC', 0, 1);",
        )
        .unwrap();
        for (slug, source) in
            [("inbox", "local"), ("outbox", "local"), ("outbox-calendar", "local"), ("all", "unified")]
        {
            batch(
                tx,
                &format!(
                    "INSERT INTO calendars (user_id, slug, source, declared, active, epoch, seq, floor, changed_at,
                        given_name, given_color, given_text, timezone, zone, components, writable, indexed_from,
                        indexed_until, shape, write_to)
                     VALUES (1, '{slug}', '{source}', 0, 1, 7, 0, 0, 0, '', '', '', '', '', 'VEVENT', 1, 0, 1, '', 'inbox')"
                ),
            )
            .unwrap();
        }
        batch(
            tx,
            "INSERT INTO members VALUES (4, 0, 'inbox', 'full'), (4, 1, 'outbox-calendar', 'full'), (4, 2, 'outbox', 'busy');
             INSERT INTO feeds VALUES (X'00', 1, 'outbox', 'full'), (X'01', 1, 'outbox-calendar', 'full'),
                                      (X'02', 2, 'outbox', 'full');
             INSERT INTO grants VALUES (1, 1, 'outbox', 2, 'write', '', 0), (2, 1, 'outbox-calendar', 2, 'read', '', 0);
             INSERT INTO calendars (user_id, slug, source, declared, active, epoch, seq, floor, changed_at, given_name,
                 given_color, given_text, timezone, zone, components, writable, indexed_from, indexed_until, shape,
                 write_to, grant_id)
             VALUES (2, 'outbox.anna', 'unified', 0, 1, 7, 0, 0, 0, '', '', '', '', '', 'VEVENT', 1, 0, 1, '', 'outbox', 1);
             INSERT INTO members VALUES (5, 0, 'outbox', 'full');
             INSERT INTO properties VALUES (1, '/dav/anna/inbox-calendar/a.ics', 'x:', 'y', '<left/>');
             INSERT INTO properties VALUES (1, '/dav/anna/outbox/', 'x:', 'y', '<out/>');
             INSERT INTO properties VALUES (1, '/dav/anna/outbox-calendar/', 'x:', 'y', '<other/>');
             INSERT INTO properties VALUES (1, '/dav/anna/inbox/a.ics', 'x:', 'y', '<y/>');
             INSERT INTO properties VALUES (1, '/dav/anna/all/inbox/', 'x:', 'y', '<y/>');",
        )
        .unwrap();
        migrate(tx).unwrap();
        let mut said = |sql: &'static str| tx.query(sql, &[], |row| row.text(0)).unwrap().join(" ");
        assert_eq!(
            said("SELECT slug FROM calendars ORDER BY id"),
            "inbox-calendar outbox-calendar-2 outbox-calendar all outbox.anna"
        );
        assert_eq!(
            said("SELECT slug FROM members ORDER BY unified_id, position"),
            "inbox-calendar outbox-calendar outbox-calendar-2 outbox-calendar-2"
        );
        assert_eq!(said("SELECT write_to FROM calendars WHERE slug = 'all'"), "inbox-calendar");
        assert_eq!(said("SELECT write_to FROM calendars WHERE slug = 'outbox.anna'"), "outbox-calendar-2");
        // Bert has no such calendar, and speaks of none of Anna's.
        assert_eq!(said("SELECT slug FROM feeds ORDER BY token_hash"), "outbox-calendar-2 outbox-calendar outbox");
        assert_eq!(said("SELECT slug FROM grants ORDER BY id"), "outbox-calendar-2 outbox-calendar");
        assert_eq!(
            said("SELECT path || xml FROM properties ORDER BY path"),
            "/dav/anna/all/inbox/<y/> /dav/anna/inbox-calendar/a.ics<y/> /dav/anna/outbox-calendar-2/<out/> \
             /dav/anna/outbox-calendar/<other/>"
        );
    }
}
