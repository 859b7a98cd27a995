//! All SQL, and nothing else has any. `Store` owns the threads that own the connections; `tx.rs` is what a closure sees.

pub mod accounts;
pub mod app_passwords;
pub mod calendars;
pub mod declared;
pub mod feeds;
pub mod grants;
pub mod homes;
pub mod instances;
pub mod jobs;
pub mod logins;
mod numbers;
mod postgres;
pub mod properties;
pub mod prune;
pub mod resources;
pub mod scheduling;
mod schema;
pub mod shape;
mod sqlite;
pub mod subscriptions;
pub mod tx;
pub mod unified;
pub mod users;
pub mod walk;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Sender, TrySendError};
use tokio::sync::oneshot;

pub use tx::Tx;

/// Why the store did not answer. What to do next, not what happened: that is in the text, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The queue is full, or somebody else holds what is needed: answer 503 with Retry-After. Nothing was changed.
    Busy,
    /// The database can not be reached, or the disk is full: 503, nothing was changed.
    Unavailable(String),
    /// A defect of ours or a damaged database: 500, nothing was changed.
    Broken(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Busy => f.write_str("the database has too much to do"),
            Error::Unavailable(why) => write!(f, "the database can not be used: {why}"),
            Error::Broken(why) => write!(f, "the database refused: {why}"),
        }
    }
}

impl std::error::Error for Error {}

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Closures that may wait for a connection. More than that is answered with 503 instead of a growing heap.
const QUEUE: usize = 1024;

/// The database: SQLite in a file, or PostgreSQL by URL.
pub struct Store {
    writes: Sender<Work>,
    reads: Sender<Work>,
    /// SQLite in a file: connections for who looks something up on a thread of their own.
    idle: Mutex<Vec<sqlite::Idle>>,
    /// SQLite: where it lies.
    file: Option<PathBuf>,
    groups: Arc<AtomicU64>,
    room: Arc<AtomicUsize>,
}

/// A closure on its way to a store thread.
struct Work {
    run: Box<dyn FnOnce(&mut Tx<'_>) -> Finish + Send>,
    /// Tells the caller that it never ran.
    refuse: Box<dyn FnOnce(Error) + Send>,
}

impl Work {
    fn refuse(self, e: &Error) {
        (self.refuse)(e.clone());
    }
}

/// What is left to do once the fate of the transaction is known.
struct Finish {
    /// False: roll back.
    keep: bool,
    tell: Box<dyn FnOnce(Result<()>) + Send>,
}

impl Store {
    /// Opens `url` (`sqlite:PATH`, `sqlite::memory:` or `postgres://…`) and brings its schema up to date.
    /// Refuses a database that a newer calgate wrote. Blocks: call it before the server starts.
    pub fn open(url: &str) -> Result<Store> {
        let groups = Arc::new(AtomicU64::new(0));
        let room = Arc::new(AtomicUsize::new(shape::ROOM));
        if url == "sqlite::memory:" {
            let (writes, reads) = sqlite::start(None, QUEUE, groups.clone(), room.clone())?;
            return Ok(Store { writes, reads, idle: Mutex::default(), file: None, groups, room });
        }
        if let Some(path) = url.strip_prefix("sqlite:") {
            let file = PathBuf::from(path);
            let (writes, reads) = sqlite::start(Some(&file), QUEUE, groups.clone(), room.clone())?;
            let idle = Mutex::new(sqlite::idle(&file)?);
            return Ok(Store { writes, reads, idle, file: Some(file), groups, room });
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            // The driver runs an event loop of its own, which may not be started inside ours.
            let (url, also) = (url.to_owned(), room.clone());
            let started = std::thread::spawn(move || postgres::start(&url, QUEUE, &also)).join();
            let (writes, reads) = started.map_err(|_| Error::Broken("the start panicked".to_owned()))??;
            return Ok(Store { writes, reads, idle: Mutex::default(), file: None, groups, room });
        }
        Err(Error::Unavailable("a storage URL begins with sqlite: or postgres://".to_owned()))
    }

    /// Runs `f` on one snapshot.
    pub async fn read<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        send(&self.reads, f).await
    }

    /// Runs `f` on one snapshot, as [`Store::read`] does, if it takes no longer than some thousand rows: on SQLite right
    /// here when a connection is free, because to wake another thread and be woken again costs more than most of what
    /// is looked up. While it runs nothing else runs on this thread.
    pub async fn glance<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let taken = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(mut connection) = taken else { return send(&self.reads, f).await };
        let out = connection.run(f);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        out.unwrap_or_else(|e| Err(e.into()))
    }

    /// Runs `f` in a transaction; `Err` rolls back. When this returns `Ok`, the change survives power loss.
    /// A caller that goes away does not stop it: the change is made whole, or not at all.
    pub async fn write<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        send(&self.writes, f).await
    }

    /// How often SQLite synced to disk for us since the start: writes that come together share one.
    /// PostgreSQL groups commits by itself, and this stays 0.
    pub fn groups(&self) -> u64 {
        self.groups.load(Ordering::Relaxed)
    }

    /// From now on a transaction changes at most so many rows beside what it is about (`shape.rs`): to see with small
    /// calendars how large ones go.
    pub fn set_room(&self, rows: usize) {
        self.room.store(rows, Ordering::Relaxed);
    }

    /// Copies the database into `to` (which may not exist) while it is in use. SQLite only.
    pub async fn backup(&self, to: &Path) -> Result<()> {
        let Some(file) = self.file.clone() else {
            return Err(Error::Unavailable("only an SQLite file is backed up here: use pg_dump".to_owned()));
        };
        let to = to.to_owned();
        let done = tokio::task::spawn_blocking(move || sqlite::backup(&file, &to)).await;
        done.map_err(|e| Error::Broken(e.to_string()))?
    }
}

async fn send<T, E, F>(queue: &Sender<Work>, f: F) -> Result<T, E>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let (answer, waiting) = oneshot::channel();
    // Whichever of the two closures runs takes the sender.
    let answer = Arc::new(Mutex::new(Some(answer)));
    let also = answer.clone();
    let tell = move |answer: &Mutex<Option<oneshot::Sender<Result<T, E>>>>, result| {
        if let Ok(mut slot) = answer.lock()
            && let Some(sender) = slot.take()
        {
            // The caller may be gone; what was done stays done.
            let _ = sender.send(result);
        }
    };
    let work = Work {
        run: Box::new(move |tx| {
            let out = f(tx);
            Finish {
                keep: out.is_ok(),
                tell: Box::new(move |committed| {
                    let result = match (out, committed) {
                        (Ok(_), Err(e)) => Err(e.into()),
                        (out, _) => out,
                    };
                    tell(&answer, result);
                }),
            }
        }),
        refuse: Box::new(move |e| tell(&also, Err(e.into()))),
    };
    match queue.try_send(work) {
        Ok(()) => {}
        Err(TrySendError::Full(_)) => return Err(Error::Busy.into()),
        Err(TrySendError::Disconnected(_)) => return Err(Error::Unavailable("the store has stopped".to_owned()).into()),
    }
    waiting.await.unwrap_or_else(|_| Err(Error::Broken("a closure panicked".to_owned()).into()))
}
