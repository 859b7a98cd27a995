//! SQLite: open, pragmas, one writer thread with group commit, several readers, backup.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use rusqlite::{Connection, OpenFlags};

use super::tx::{Engine, Row, Tx, Value};
use super::{Error, Result, Work, schema};

/// Readers beside the writer. Requests wait for a reader, not for the writer.
const READERS: usize = 4;
/// Transactions that one sync to disk may carry.
const GROUP: usize = 128;

/// Opens the file, brings its schema up to date and starts the threads.
/// A database in memory has one connection, which reads and writes.
pub(super) fn start(file: Option<&Path>, queue: usize, groups: Arc<AtomicU64>) -> Result<(Sender<Work>, Sender<Work>)> {
    let (writes, write_queue) = crossbeam_channel::bounded(queue);
    let (reads, read_queue) = crossbeam_channel::bounded(queue);
    let writer = open(file)?;
    schema::migrate(&mut Tx { engine: Engine::Sqlite(&writer) })?;
    match file {
        None => {
            spawn("store", move || write_loop(&writer, &write_queue, &groups));
            return Ok((writes.clone(), writes));
        }
        Some(_) => spawn("store-writer", move || write_loop(&writer, &write_queue, &groups)),
    }
    for n in 0..READERS {
        let (db, queue) = (open(file)?, read_queue.clone());
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

fn open(file: Option<&Path>) -> Result<Connection> {
    let flags = OpenFlags::default();
    let db = match file {
        Some(file) => Connection::open_with_flags(file, flags),
        None => Connection::open_in_memory_with_flags(flags),
    }
    .map_err(|e| match file {
        Some(file) => Error::Unavailable(format!("{} can not be opened: {e}", file.display())),
        None => error(e),
    })?;
    db.busy_timeout(Duration::from_secs(10)).map_err(error)?;
    db.set_prepared_statement_cache_capacity(256);
    // FULL: what was acknowledged survives power loss; group commit keeps it fast.
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA cache_size = -16384; PRAGMA mmap_size = 1073741824; PRAGMA temp_store = MEMORY;",
    )
    .map_err(error)?;
    Ok(db)
}

/// Takes whatever has queued up while the last group was written to disk, runs each in a savepoint of its own, and
/// syncs once for all of them. Nobody is told before the sync.
fn write_loop(db: &Connection, queue: &Receiver<Work>, groups: &AtomicU64) {
    while let Ok(first) = queue.recv() {
        if let Err(e) = db.execute_batch("BEGIN IMMEDIATE") {
            first.refuse(&error(e));
            continue;
        }
        let mut told = Vec::new();
        let mut next = Some(first);
        while let Some(work) = next {
            if let Some(finish) = run_in_savepoint(db, work) {
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

fn run_in_savepoint(db: &Connection, work: Work) -> Option<super::Finish> {
    let run = |sql: &str| db.prepare_cached(sql).and_then(|mut s| s.execute([])).map_err(error);
    if let Err(e) = run("SAVEPOINT one") {
        work.refuse(&e);
        return None;
    }
    // A panic drops the sender, which the waiting side takes for `Broken`.
    let finish = catch_unwind(AssertUnwindSafe(|| (work.run)(&mut Tx { engine: Engine::Sqlite(db) }))).ok();
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
    let run = |sql: &str| db.prepare_cached(sql).and_then(|mut s| s.execute([])).map_err(error);
    while let Ok(work) = queue.recv() {
        if let Err(e) = run("BEGIN") {
            work.refuse(&e);
            continue;
        }
        let finish = catch_unwind(AssertUnwindSafe(|| (work.run)(&mut Tx { engine: Engine::Sqlite(db) }))).ok();
        let _ = run("ROLLBACK");
        if let Some(finish) = finish {
            (finish.tell)(Ok(()));
        }
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
    // A restored calendar is another one: the numbers that were given after the copy was made will be given again, for
    // other changes, and a client that kept one would miss those. What is masked carries UIDs made of the epoch, so
    // the unified calendars are made anew at the next start.
    copy.execute_batch(
        "PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;
         UPDATE calendars SET epoch = random() & 9223372036854775807, shape = '';",
    )
    .map_err(error)
}

pub(super) fn execute(db: &Connection, sql: &'static str, params: &[Value<'_>]) -> Result<u64> {
    let mut statement = db.prepare_cached(sql).map_err(error)?;
    let changed = statement.execute(rusqlite::params_from_iter(params)).map_err(error)?;
    Ok(changed as u64)
}

pub(super) fn each(
    db: &Connection,
    sql: &'static str,
    params: &[Value<'_>],
    each: &mut dyn FnMut(&Row<'_>) -> Result<()>,
) -> Result<()> {
    let mut statement = db.prepare_cached(sql).map_err(error)?;
    let mut rows = statement.query(rusqlite::params_from_iter(params)).map_err(error)?;
    while let Some(row) = rows.next().map_err(error)? {
        each(&Row::Sqlite(row))?;
    }
    Ok(())
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
