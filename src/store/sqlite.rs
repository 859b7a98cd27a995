//! SQLite: open, pragmas, one writer thread with group commit, several readers, backup.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::tx::{Engine, Row, Tx, Value};
use super::{Error, Result, Work, schema};

/// Threads that read, for what takes its time. Requests wait for a reader, not for the writer.
const READERS: usize = 2;
/// Connections beside those of the threads, see `Store::glance`: as many as threads serve requests, within bounds.
const IDLE: std::ops::RangeInclusive<usize> = 2..=8;
/// KiB of pages that all connections which read keep together, however many there are.
const READERS_CACHE: usize = 16 << 10;
/// Transactions that one sync to disk may carry.
const GROUP: usize = 128;

/// Opens the file, brings its schema up to date and starts the threads.
/// A database in memory has one connection, which reads and writes.
pub(super) fn start(
    file: Option<&Path>,
    queue: usize,
    groups: Arc<AtomicU64>,
    room: Arc<AtomicUsize>,
) -> Result<(Sender<Work>, Sender<Work>)> {
    let (writes, write_queue) = crossbeam_channel::bounded(queue);
    let (reads, read_queue) = crossbeam_channel::bounded(queue);
    let writer = open(file)?;
    schema::migrate(&mut Tx::new(Engine::Sqlite(&writer)))?;
    match file {
        None => {
            spawn("store", move || write_loop(&writer, &write_queue, &groups, &room));
            return Ok((writes.clone(), writes));
        }
        Some(_) => spawn("store-writer", move || write_loop(&writer, &write_queue, &groups, &room)),
    }
    for n in 0..READERS {
        let (db, queue) = (reader(file)?, read_queue.clone());
        spawn(&format!("store-reader-{n}"), move || read_loop(&db, &queue));
    }
    Ok((writes, reads))
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().name(name.to_owned());
    // A thread that can not be started leaves the queue without an end: every call then answers `Unavailable`.
    if let Err(e) = thread.spawn(run) {
        tracing::error!(error = %e, "a store thread could not be started");
    }
}

pub(super) fn open(file: Option<&Path>) -> Result<Connection> {
    let flags = OpenFlags::default();
    let db = match file {
        Some(file) => Connection::open_with_flags(file, flags),
        None => Connection::open_in_memory_with_flags(flags),
    }
    .map_err(|e| match file {
        Some(file) => Error::Unavailable(format!("{} can not be opened: {}", file.display(), why_not(file, &e))),
        None => error(e),
    })?;
    db.busy_timeout(Duration::from_secs(10)).map_err(error)?;
    // Else a statement whose plan might be better for other parameters is prepared again for each of them, which costs
    // more than running it. The indexes are made so that one plan is the right one.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(error)?;
    db.set_prepared_statement_cache_capacity(256);
    // FULL: what was acknowledged survives power loss; group commit keeps it fast.
    // The file is not mapped: pages of it would count as ours, once for each connection in what `ps` shows, until they are
    // as many as the file has; and a disk that fails would end the process instead of one read. To copy a page out of the
    // kernel's cache costs no more than to map it, where what is looked at again stands in our own.
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA cache_size = -16384; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;",
    )
    .map_err(|e| match file {
        Some(file) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            Error::Broken(format!("{} is no database; look at `[storage] url` in the configuration", file.display()))
        }
        _ => error(e),
    })?;
    Ok(db)
}

/// Why a file can not be opened. SQLite says only that it can not.
fn why_not(file: &Path, e: &rusqlite::Error) -> String {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.exists() => format!("there is no folder {}", folder.display()),
        _ if file.is_dir() => "it is a folder".to_owned(),
        _ => match std::fs::OpenOptions::new().append(true).open(file) {
            Err(why) if why.kind() == std::io::ErrorKind::PermissionDenied => "this user may not".to_owned(),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => "this user may not make it there".to_owned(),
            _ => e.to_string(),
        },
    }
}

/// Takes whatever has queued up while the last group was written to disk, runs each in a savepoint of its own, and
/// syncs once for all of them. Nobody is told before the sync.
fn write_loop(db: &Connection, queue: &Receiver<Work>, groups: &AtomicU64, room: &AtomicUsize) {
    while let Ok(first) = queue.recv() {
        if let Err(e) = db.execute_batch("BEGIN IMMEDIATE") {
            first.refuse(&error(e));
            continue;
        }
        let mut told = Vec::new();
        let mut next = Some(first);
        while let Some(work) = next {
            if let Some(finish) = run_in_savepoint(db, work, room.load(Ordering::Relaxed)) {
                told.push(finish);
            }
            next = if told.len() < GROUP { queue.try_recv().ok() } else { None };
        }
        let committed = db.execute_batch("COMMIT").map_err(error);
        groups.fetch_add(1, Ordering::Relaxed);
        if committed.is_err() {
            let _ = db.execute_batch("ROLLBACK");
        }
        for finish in told {
            (finish.tell)(committed.clone());
        }
    }
}

fn run_in_savepoint(db: &Connection, work: Work, room: usize) -> Option<super::Finish> {
    let run = |sql: &str| db.prepare_cached(sql).and_then(|mut s| s.execute([])).map_err(error);
    if let Err(e) = run("SAVEPOINT one") {
        work.refuse(&e);
        return None;
    }
    // A panic drops the sender, which the waiting side takes for `Broken`.
    let mut tx = Tx { engine: Engine::Sqlite(db), room };
    let finish = catch_unwind(AssertUnwindSafe(|| (work.run)(&mut tx))).ok();
    if !finish.as_ref().is_some_and(|f| f.keep)
        && let Err(e) = run("ROLLBACK TO one")
    {
        tracing::error!(error = %e, "a savepoint could not be rolled back");
    }
    if let Err(e) = run("RELEASE one") {
        tracing::error!(error = %e, "a savepoint could not be released");
    }
    finish
}

fn read_loop(db: &Connection, queue: &Receiver<Work>) {
    while let Ok(work) = queue.recv() {
        if let Err(e) = plain(db, "BEGIN") {
            work.refuse(&e);
            continue;
        }
        let finish = catch_unwind(AssertUnwindSafe(|| (work.run)(&mut Tx::new(Engine::Sqlite(db))))).ok();
        let _ = plain(db, "ROLLBACK");
        if let Some(finish) = finish {
            (finish.tell)(Ok(()));
        }
    }
}

fn plain(db: &Connection, sql: &str) -> Result<()> {
    db.prepare_cached(sql).and_then(|mut s| s.execute([])).map(|_| ()).map_err(error)
}

/// A connection that does not write.
fn reader(file: Option<&Path>) -> Result<Connection> {
    let db = open(file)?;
    let cache = READERS_CACHE / (READERS + idle_connections());
    db.execute_batch(&format!("PRAGMA cache_size = -{cache}; PRAGMA query_only = ON;")).map_err(error)?;
    Ok(db)
}

/// A connection that no thread owns.
pub(super) struct Idle(Connection);

/// The connections for `Store::glance`.
pub(super) fn idle(file: &Path) -> Result<Vec<Idle>> {
    (0..idle_connections()).map(|_| reader(Some(file)).map(Idle)).collect()
}

fn idle_connections() -> usize {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    threads.clamp(*IDLE.start(), *IDLE.end())
}

impl Idle {
    /// Runs `f` on one snapshot, here and now.
    pub(super) fn run<T>(&mut self, f: impl FnOnce(&mut Tx<'_>) -> T) -> Result<T> {
        plain(&self.0, "BEGIN")?;
        let out = catch_unwind(AssertUnwindSafe(|| f(&mut Tx::new(Engine::Sqlite(&self.0)))));
        let _ = plain(&self.0, "ROLLBACK");
        out.map_err(|_| Error::Broken("a closure panicked".to_owned()))
    }
}

/// Copies the database of `file` into `to` while it is in use. `to` appears when it is whole and on the disk, or not.
pub(super) fn backup(file: &Path, to: &Path) -> Result<()> {
    let failed = |e: std::io::Error| Error::Unavailable(format!("{} can not be written: {e}", to.display()));
    // Absolute, because SQLite takes what begins with `file:` for a URL.
    let to = std::path::absolute(to).map_err(failed)?;
    if to.exists() {
        return Err(Error::Unavailable(format!("{} is there already", to.display())));
    }
    let mut part = to.clone().into_os_string();
    part.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(part);
    let copied = copy(file, &part).and_then(|()| {
        let folder = to.parent().unwrap_or(Path::new("/"));
        let kept = File::open(&part).and_then(|copy| copy.sync_all());
        kept.and_then(|()| std::fs::rename(&part, &to)).and_then(|()| File::open(folder)?.sync_all()).map_err(failed)
    });
    if copied.is_err() {
        let mut journal = part.clone().into_os_string();
        journal.push("-journal");
        let _ = std::fs::remove_file(journal);
        let _ = std::fs::remove_file(&part);
    }
    copied
}

/// One read transaction, however much is written meanwhile; a copy page by page would begin again at every write.
fn copy(file: &Path, part: &Path) -> Result<()> {
    let Some(name) = part.to_str() else {
        return Err(Error::Unavailable(format!("{} is not UTF-8, which SQLite needs", part.display())));
    };
    open(Some(file))?.execute("VACUUM INTO ?1", [name]).map_err(error)?;
    let copy = Connection::open(part).map_err(error)?;
    // A restored calendar is another one, and so is a home: the numbers that were given after the copy was made will be given again, for
    // other changes, and a client that kept one would miss those.
    copy.execute_batch(
        "PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;
         UPDATE calendars SET epoch = random() & 9223372036854775807;
         UPDATE clocks SET epoch = random() & 9223372036854775807 WHERE epoch <> 0;",
    )
    .map_err(error)
}

pub(super) fn execute(db: &Connection, sql: &'static str, params: &[Value<'_>]) -> Result<u64> {
    let mut statement = db.prepare_cached(sql).map_err(error)?;
    let changed = statement.execute(rusqlite::params_from_iter(params)).map_err(error)?;
    #[cfg(test)]
    tests::count(&statement);
    Ok(changed as u64)
}

pub(super) fn each_while(
    db: &Connection,
    sql: &'static str,
    params: &[Value<'_>],
    each: &mut dyn FnMut(&Row<'_>) -> Result<bool>,
) -> Result<()> {
    let mut statement = db.prepare_cached(sql).map_err(error)?;
    let mut rows = statement.query(rusqlite::params_from_iter(params)).map_err(error)?;
    while let Some(row) = rows.next().map_err(error)? {
        if !each(&Row::Sqlite(row))? {
            break;
        }
    }
    #[cfg(test)]
    {
        drop(rows);
        tests::count(&statement);
    }
    Ok(())
}

/// See [`Tx::each_of`].
pub(super) fn each_of<'v, const N: usize>(
    db: &Connection,
    sql: &'static str,
    keys: impl IntoIterator<Item = [Value<'v>; N]>,
    each: &mut dyn FnMut(&Row<'_>) -> Result<bool>,
) -> Result<usize> {
    let mut statement = db.prepare_cached(sql).map_err(error)?;
    let mut run = 0;
    let mut go_on = true;
    for params in keys {
        run += 1;
        let mut rows = statement.query(rusqlite::params_from_iter(params)).map_err(error)?;
        while go_on && let Some(row) = rows.next().map_err(error)? {
            go_on = each(&Row::Sqlite(row))?;
        }
        if !go_on {
            break;
        }
    }
    #[cfg(test)]
    tests::count(&statement);
    Ok(run)
}

pub(super) fn int(row: &rusqlite::Row<'_>, column: usize) -> Result<Option<i64>> {
    let value = row.get_ref(column).map_err(error)?;
    value.as_i64_or_null().map_err(|e| Error::Broken(format!("column {column}: {e}")))
}

pub(super) fn text<'r>(row: &'r rusqlite::Row<'_>, column: usize) -> Result<Option<&'r str>> {
    let value = row.get_ref(column).map_err(error)?;
    value.as_str_or_null().map_err(|e| Error::Broken(format!("column {column}: {e}")))
}

pub(super) fn batch(db: &Connection, sql: &str) -> Result<()> {
    db.execute_batch(sql).map_err(error)
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, ValueRef};
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(v) => ValueRef::Integer(*v),
            Value::Text(v) => ValueRef::Text(v.as_bytes()),
            Value::Blob(v) => ValueRef::Blob(v),
        }))
    }
}

/// A full disk or a locked file passes; anything else is a defect.
pub(super) fn error(e: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode::*;
    match e.sqlite_error_code() {
        Some(DiskFull | SystemIoFailure | DatabaseBusy | DatabaseLocked | CannotOpen | ReadOnly | OutOfMemory) => {
            Error::Unavailable(e.to_string())
        }
        _ => Error::Broken(e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use rusqlite::{Statement, StatementStatus};

    use super::*;
    use crate::ical::{Instant, Mask, Object, Window};
    use crate::ids::{Name, ResourceId, Seq};
    use crate::store::calendars::{self, Calendar, Need, New};
    use crate::store::resources::{self, Version};
    use crate::store::users::{self, Actor};
    use crate::store::walk::{Parts, Walk};
    use crate::store::{instances, unified};

    thread_local! {
        /// Steps of SQLite's machine: what statements cost, however busy the computer is.
        static STEPS: Cell<u64> = const { Cell::new(0) };
    }

    pub(super) fn count(statement: &Statement<'_>) {
        STEPS.set(STEPS.get() + statement.reset_status(StatementStatus::VmStep) as u64);
    }

    const NOW: Instant = Instant(1_772_323_200); // 2026-03-01
    const DAY: i64 = 86_400;
    const APRIL: Window = Window { start: Instant(NOW.0 + 31 * DAY), end: Instant(NOW.0 + 61 * DAY) };
    const JUNE: Window = Window { start: Instant(NOW.0 + 92 * DAY), end: Instant(NOW.0 + 122 * DAY) };

    fn object(number: u32, revision: u32) -> (Name, Object) {
        let text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:test\r\nBEGIN:VEVENT\r\nUID:{number}\r\n\
             DTSTAMP:20260101T000000Z\r\nSEQUENCE:{revision}\r\nDTSTART:202604{:02}T090000Z\r\nDURATION:PT1H\r\n\
             END:VEVENT\r\nEND:VCALENDAR\r\n",
            number % 30 + 1
        );
        (Name::new(&format!("{number}.ics")).unwrap(), Object::parse(&text).unwrap())
    }

    fn save(tx: &mut Tx<'_>, calendar: &Calendar, number: u32, revision: u32) {
        let (name, object) = object(number, revision);
        resources::save(tx, calendar, &name, Version::Client(Some(&object)), NOW).unwrap();
    }

    /// The steps of `ask` in a calendar of `size` objects in April, which a unified calendar shows (`slug`: all).
    fn steps(size: u32, slug: &str, ask: fn(&mut Tx<'_>, &Calendar)) -> u64 {
        let db = open(None).unwrap();
        let tx = &mut Tx::new(Engine::Sqlite(&db));
        schema::migrate(tx).unwrap();
        users::add(tx, "anna", None, &["anna@example.com".to_owned()], "UTC").unwrap();
        let actor = Actor::of(&users::by_name(tx, "anna").unwrap().unwrap());
        let work = calendars::create(tx, &actor, "anna", "work", &New::default(), NOW).unwrap();
        let all = calendars::create(tx, &actor, "anna", "all", &New::default(), NOW).unwrap();
        tx.execute("UPDATE calendars SET source = 'unified' WHERE id = ?1", &[all.id.into()]).unwrap();
        let member = unified::Member { slug: "work".to_owned(), mask: Mask::Full };
        unified::set_members(tx, all.id, &[member], "work").unwrap();
        (0..size).for_each(|number| save(tx, &work, number, 0));
        let calendar = calendars::open(tx, &actor, "anna", slug, Need::Read).unwrap();
        assert_eq!(resources::list(tx, &calendar).unwrap().len(), size as usize);
        STEPS.set(0);
        ask(tx, &calendar);
        STEPS.get()
    }

    #[test]
    fn what_is_asked_costs_what_the_answer_is_long() {
        let check = |what: &str, ask: fn(&mut Tx<'_>, &Calendar)| {
            for slug in ["work", "all"] {
                let (few, many) = (steps(20, slug, ask), steps(400, slug, ask));
                assert!(few > 0 && many < 2 * few, "{what} in {slug}: {few} steps of 20 objects, {many} of 400");
            }
        };
        check("get", |tx, c| drop(resources::get(tx, c, &object(7, 0).0).unwrap().unwrap()));
        check("a UID", |tx, c| drop(resources::by_uid(tx, c, "7").unwrap().unwrap()));
        check("a UID that is not there", |tx, c| assert!(resources::by_uid(tx, c, "none").unwrap().is_none()));
        check("nothing new", |tx, c| assert_eq!(rows(tx, c, since(c, 0), 10), 0));
        check("the last change", |tx, c| assert_ne!(rows(tx, c, since(c, 2), 10), 0));
        check("a page of a listing", |tx, c| {
            assert_eq!(rows(tx, c, Walk::Live { after: ResourceId(15) }, 5), 5);
        });
        check("a page of the initial sync", |tx, c| {
            let walk = Walk::Changes { after: Seq(c.seq.0 / 2), until: c.seq, tombstones: false };
            assert_eq!(rows(tx, c, walk, 5), 5);
        });
        check("an empty month", |tx, c| {
            let found = Walk::in_window(tx, c, JUNE, true).unwrap();
            assert!(found.decided);
            assert_eq!(rows(tx, c, found.walk, 10), 0);
        });
        check("whether a month is much", |tx, c| assert!(!Walk::is_light(tx, c, APRIL, 10).unwrap()));
        check("what may be in an empty month", |tx, c| assert!(resources::in_window(tx, c, JUNE).unwrap().is_empty()));
        check("free/busy", |tx, c| {
            instances::busy(tx, c.id, JUNE, |entry| panic!("{entry:?}")).unwrap();
        });
        check("what comes back", |tx, c| assert!(resources::moved_back(tx, c.id).unwrap().is_empty()));
        check("what is unsent", |tx, c| assert!(resources::unsent(tx, c.id, 10).unwrap().is_empty()));
        check("a change", |tx, _| {
            let work = member(tx);
            save(tx, &work, 7, 1);
        });
        check("a new object", |tx, _| {
            let work = member(tx);
            save(tx, &work, 1_000, 0);
        });
    }

    fn since(c: &Calendar, back: i64) -> Walk {
        Walk::Changes { after: Seq(c.seq.0 - back), until: c.seq, tombstones: true }
    }

    fn rows(tx: &mut Tx<'_>, calendar: &Calendar, mut walk: Walk, most: u32) -> usize {
        let mut count = 0;
        let parts = Parts { details: true, body: true, first: true };
        walk.page(tx, calendar, parts, most, |_| {
            count += 1;
            Ok(true)
        })
        .unwrap();
        count
    }

    fn member(tx: &mut Tx<'_>) -> Calendar {
        let actor = Actor::of(&users::by_name(tx, "anna").unwrap().unwrap());
        calendars::open(tx, &actor, "anna", "work", Need::Write).unwrap()
    }
}
