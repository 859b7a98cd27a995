//! PostgreSQL: connect, TLS, isolation, and how our SQL is said there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked};
use postgres::{Client, Config, IsolationLevel, Transaction};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tx::{Engine, InVain, Row, Statements, Tx, Value};
use super::{Error, Result, Work, schema};

/// Connections that write, and connections that read. Users lock their own clock, so writers rarely wait.
const WRITERS: usize = 4;
const READERS: usize = 4;

/// What every connection says at first. Nobody waits for another's lock for longer than `lock_timeout`: the writers of a
/// node are few, and everybody's. A node that is not heard of any more, in the middle of a transaction or not, is given up
/// by the server, and its locks with it.
const PATIENCE: &str = "SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '30s';
    SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3";

pub(super) fn start(url: &str, queue: usize, room: &Arc<AtomicUsize>) -> Result<(Sender<Work>, Sender<Work>)> {
    let mut config: Config = url.parse().map_err(|e| Error::Unavailable(format!("the storage URL is wrong: {e}")))?;
    notice_silence(&mut config, url);
    let in_vain = Arc::new(InVain::default());
    let (writes, write_queue) = crossbeam_channel::bounded(queue);
    let (reads, read_queue) = crossbeam_channel::bounded(queue);
    {
        // With all patience: who starts while another node migrates waits for as long as that takes.
        let mut connection = Connection::open(&config, in_vain.clone())?;
        // Several nodes may start at once: one migrates, the others wait for it.
        connection.client.batch_execute("SELECT pg_advisory_lock(7232646)").map_err(error)?;
        connection.run(false, schema::migrate)?;
    }
    for (kind, count, queue, read_only) in
        [("writer", WRITERS, &write_queue, false), ("reader", READERS, &read_queue, true)]
    {
        for n in 0..count {
            let (config, queue, in_vain, room) = (config.clone(), queue.clone(), in_vain.clone(), room.clone());
            let thread = std::thread::Builder::new().name(format!("store-{kind}-{n}"));
            thread
                .spawn(move || work_loop(&config, &queue, &in_vain, read_only, &room))
                .map_err(|e| Error::Unavailable(e.to_string()))?;
        }
    }
    Ok((writes, reads))
}

/// A server that does not answer any more is noticed in about a minute, and not in hours. What the URL says holds.
fn notice_silence(config: &mut Config, url: &str) {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(10));
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(Duration::from_secs(60));
    }
    if !url.contains("keepalives") {
        config.keepalives_idle(Duration::from_secs(30));
        config.keepalives_interval(Duration::from_secs(10));
        config.keepalives_retries(3);
    }
}

struct Connection {
    client: Client,
    statements: Statements,
    in_vain: Arc<InVain>,
}

impl Connection {
    fn open(config: &Config, in_vain: Arc<InVain>) -> Result<Connection> {
        let mut roots = rustls::RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::Broken(e.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = config.connect(MakeRustlsConnect::new(tls)).map_err(|e| Error::Unavailable(explain(&e)))?;
        Ok(Connection { client, statements: Statements::new(), in_vain })
    }

    /// See [`PATIENCE`].
    fn impatient(mut self) -> Result<Connection> {
        self.client.batch_execute(PATIENCE).map_err(error)?;
        Ok(self)
    }

    /// Reads are one snapshot (REPEATABLE READ); writes lock what they depend on, and then see what was committed
    /// before (READ COMMITTED).
    fn run<T>(&mut self, read_only: bool, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        let mut tx = self.begin(read_only)?;
        let out = f(&mut tx)?;
        commit(tx)?;
        Ok(out)
    }

    fn begin(&mut self, read_only: bool) -> Result<Tx<'_>> {
        let level = if read_only { IsolationLevel::RepeatableRead } else { IsolationLevel::ReadCommitted };
        let tx = self.client.build_transaction().isolation_level(level).read_only(read_only).start().map_err(error)?;
        let (statements, in_vain) = (&mut self.statements, self.in_vain.as_ref());
        Ok(Tx::new(Engine::Postgres { tx, statements, in_vain, taken: Vec::new() }))
    }
}

fn commit(tx: Tx<'_>) -> Result<()> {
    match tx.engine {
        Engine::Postgres { tx, .. } => tx.commit().map_err(error),
        Engine::Sqlite(_) => Ok(()),
    }
}

/// Whoever asked for it is told that all went well: its own error says what did not.
fn rollback(tx: Tx<'_>) -> Result<()> {
    drop(tx);
    Ok(())
}

fn work_loop(config: &Config, queue: &Receiver<Work>, in_vain: &Arc<InVain>, read_only: bool, room: &AtomicUsize) {
    let mut held: Option<Connection> = None;
    while let Ok(work) = queue.recv() {
        // A connection that was cut is made anew for the next piece of work: a restart of the database heals itself.
        if held.as_ref().is_none_or(|c| c.client.is_closed()) {
            held = None;
            match Connection::open(config, in_vain.clone()).and_then(Connection::impatient) {
                Ok(connection) => held = Some(connection),
                Err(e) => {
                    work.refuse(&e);
                    continue;
                }
            }
        }
        let Some(connection) = &mut held else { continue };
        let mut tx = match connection.begin(read_only) {
            Ok(tx) => tx,
            Err(e) => {
                work.refuse(&e);
                continue;
            }
        };
        tx.room = room.load(Ordering::Relaxed);
        // Dropping a transaction rolls it back; a panic drops the sender as well, which the waiting side notices.
        if let Ok(finish) = catch_unwind(AssertUnwindSafe(|| (work.run)(&mut tx))) {
            (finish.tell)(if finish.keep && !read_only { commit(tx) } else { rollback(tx) });
        }
    }
}

pub(super) fn execute(
    tx: &mut Transaction<'_>,
    statements: &mut Statements,
    sql: &'static str,
    params: &[Value<'_>],
) -> Result<u64> {
    let statement = prepare(tx, statements, sql)?;
    let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|p| p as _).collect();
    tx.execute(&statement, &params).map_err(error)
}

pub(super) fn each_while(
    tx: &mut Transaction<'_>,
    statements: &mut Statements,
    sql: &'static str,
    params: &[Value<'_>],
    each: &mut dyn FnMut(&Row<'_>) -> Result<bool>,
) -> Result<()> {
    let statement = prepare(tx, statements, sql)?;
    // Row by row as they come, not all of them first; what is not wanted any more is read and dropped by the driver.
    let mut rows = tx.query_raw(&statement, params.iter().copied()).map_err(error)?;
    while let Some(row) = rows.next().map_err(error)? {
        if !each(&Row::Postgres(&row))? {
            break;
        }
    }
    Ok(())
}

/// A literal such as 0 or 1 is four bytes wide there, a column of ours eight.
pub(super) fn int(row: &::postgres::Row, column: usize) -> Result<Option<i64>> {
    match row.columns().get(column).map(|c| c.type_()) {
        Some(&Type::INT4) => row.try_get::<_, Option<i32>>(column).map(|v| v.map(i64::from)),
        _ => row.try_get(column),
    }
    .map_err(error)
}

pub(super) fn batch(tx: &mut Transaction<'_>, sql: &str) -> Result<()> {
    tx.batch_execute(&translate(sql)).map_err(error)
}

fn prepare(tx: &mut Transaction<'_>, statements: &mut Statements, sql: &'static str) -> Result<::postgres::Statement> {
    if let Some(statement) = statements.get(&sql.as_ptr()) {
        return Ok(statement.clone());
    }
    let statement = tx.prepare(&translate(sql)).map_err(error)?;
    statements.insert(sql.as_ptr(), statement.clone());
    Ok(statement)
}

/// Our SQL as PostgreSQL wants it: `?1` is `$1`, and the types of the schema have other names.
fn translate(sql: &str) -> String {
    sql.replace('?', "$")
        .replace("INTEGER PRIMARY KEY", "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY")
        .replace("INTEGER", "BIGINT")
        .replace("BLOB", "BYTEA")
        .replace(" STRICT, WITHOUT ROWID", "")
        .replace(" STRICT", "")
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(v) if *ty == Type::INT4 => i32::try_from(*v)?.to_sql(ty, out),
            Value::Int(v) => v.to_sql(ty, out),
            Value::Text(v) => v.to_sql(ty, out),
            Value::Blob(v) => v.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Trouble with the connection or the server's resources passes, and so does another's lock; anything else is a defect.
pub(super) fn error(e: ::postgres::Error) -> Error {
    use ::postgres::error::SqlState;
    let why = explain(&e);
    match e.code() {
        None => Error::Unavailable(why),
        Some(code) if *code == SqlState::LOCK_NOT_AVAILABLE => Error::Busy,
        Some(code)
            if matches!(code.code().get(..2), Some("08" | "53" | "57" | "58"))
                || *code == SqlState::T_R_SERIALIZATION_FAILURE
                || *code == SqlState::T_R_DEADLOCK_DETECTED
                || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT =>
        {
            Error::Unavailable(why)
        }
        Some(_) => Error::Broken(why),
    }
}

/// The driver's `Display` says only "db error": the server's own words are in its source.
fn explain(e: &::postgres::Error) -> String {
    match e.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => match std::error::Error::source(e) {
            Some(source) => format!("{e}: {source}"),
            None => e.to_string(),
        },
    }
}
