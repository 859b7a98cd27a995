//! The two floors: what no server can be much better than.
//!
//! `floor-static` gives the right bytes from memory. `floor-sqlite` renders every answer from rows of an indexed SQLite
//! database, with a table of instances for time ranges, and makes each write a durable transaction. Neither knows
//! users, and neither parses what it is sent.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::civil::Date;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, params};

use crate::data::{self, Window};

/// What a floor answers: status and body.
type Given = (u16, Bytes);
/// Method, path and body to what is answered.
type Answer = dyn Fn(&str, &str, &[u8]) -> Given + Send + Sync;

/// Serves recorded answers; `recorded` is what `record` wrote.
pub fn serve_static(listener: TcpListener, recorded: &Path) {
    let text = std::fs::read(recorded).expect("the recorded answers");
    let mut answers: HashMap<Vec<u8>, Bytes> = HashMap::new();
    let mut rest = &text[..];
    while !rest.is_empty() {
        let key = take(&mut rest).to_vec();
        answers.insert(key, Bytes::copy_from_slice(take(&mut rest)));
    }
    serve(
        listener,
        Arc::new(move |method: &str, path: &str, body: &[u8]| {
            if method == "PUT" || method == "DELETE" {
                return (204, Bytes::new());
            }
            match answers.get(&key(method, path, body)) {
                Some(bytes) => (if method == "GET" { 200 } else { 207 }, bytes.clone()),
                None => (404, Bytes::new()),
            }
        }),
    );
}

/// Writes answers down for `serve_static`: (method, path, body of the request, answer).
pub fn record(file: &Path, answers: &[(&str, &str, &str, Vec<u8>)]) -> std::io::Result<()> {
    let mut out = Vec::new();
    for (method, path, body, answer) in answers {
        for part in [&key(method, path, body.as_bytes()), answer] {
            out.extend((part.len() as u64).to_le_bytes());
            out.extend(part);
        }
    }
    std::fs::write(file, out)
}

fn take<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let (length, after) = rest.split_first_chunk::<8>().expect("a length");
    let (part, after) = after.split_at(u64::from_le_bytes(*length) as usize);
    *rest = after;
    part
}

fn key(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    [method.as_bytes(), b" ", path.as_bytes(), b" ", body].concat()
}

/// Makes the database of these calendars (name and number of objects) and serves it; `ready` is called in between.
pub fn serve_sqlite(
    listener: TcpListener,
    folder: &Path,
    calendars: &[(String, u32)],
    today: Date,
    ready: impl FnOnce(),
) {
    let file = folder.join("floor.db");
    fill(&file, calendars, today).expect("the database is filled");
    let store = Store { writer: Mutex::new(open(&file)), file };
    ready();
    serve(
        listener,
        Arc::new(move |method: &str, path: &str, body: &[u8]| {
            store.answer(method, path, body).unwrap_or_else(|e| (500, Bytes::from(e.to_string())))
        }),
    );
}

const SCHEMA: &str = "
    CREATE TABLE calendars (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, seq INTEGER NOT NULL) STRICT;
    CREATE TABLE objects (
        calendar INTEGER NOT NULL, name TEXT NOT NULL, etag TEXT NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX object_names ON objects (calendar, name, etag);
    CREATE INDEX object_seqs ON objects (calendar, seq);
    CREATE TABLE instances (
        calendar INTEGER NOT NULL, start INTEGER NOT NULL, finish INTEGER NOT NULL, object INTEGER NOT NULL, busy INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX instance_objects ON instances (object);
    CREATE INDEX instance_times ON instances (calendar, start, finish, object, busy);
";

/// The longest instance in seconds: how far before a window one that reaches into it may begin.
const LONGEST: i64 = 3 * 86_400;

fn open(file: &Path) -> Connection {
    let connection = Connection::open(file).expect("the database opens");
    // Else statements are prepared again for each new parameter, now that there are statistics.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).expect("the setting holds");
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA mmap_size = 1073741824; PRAGMA busy_timeout = 5000;")
        .expect("the pragmas hold");
    connection
}

fn fill(file: &Path, calendars: &[(String, u32)], today: Date) -> rusqlite::Result<()> {
    let mut connection = open(file);
    connection.execute_batch(SCHEMA)?;
    let tx = connection.transaction()?;
    for (name, count) in calendars {
        tx.execute("INSERT INTO calendars (path, seq) VALUES (?1, ?2)", params![path(name), count])?;
        let calendar = tx.last_insert_rowid();
        for number in 0..*count {
            let item = data::item(name, number, today);
            tx.prepare_cached("INSERT INTO objects (calendar, name, etag, seq, body) VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![calendar, item.name, format!("{number:x}-0"), number, item.text.as_bytes()])?;
            let object = tx.last_insert_rowid();
            for (start, finish) in item.instances {
                tx.prepare_cached(
                    "INSERT INTO instances (calendar, start, finish, object, busy) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![calendar, start, finish, object, item.busy])?;
            }
        }
    }
    tx.commit()?;
    connection.execute_batch("ANALYZE; PRAGMA wal_checkpoint(TRUNCATE);")
}

/// Where the floors keep a calendar.
fn path(calendar: &str) -> String {
    format!("/{calendar}/")
}

struct Store {
    file: PathBuf,
    writer: Mutex<Connection>,
}

thread_local! {
    /// One reading connection a thread.
    static READER: RefCell<Option<Connection>> = const { RefCell::new(None) };
}

impl Store {
    fn answer(&self, method: &str, path: &str, body: &[u8]) -> rusqlite::Result<Given> {
        match method {
            "PUT" => return self.put(path, body),
            "DELETE" => return self.delete(path),
            _ => {}
        }
        READER.with_borrow_mut(|reader| read(reader.get_or_insert_with(|| open(&self.file)), method, path, body))
    }

    fn put(&self, path: &str, body: &[u8]) -> rusqlite::Result<Given> {
        let (folder, name) = split(path);
        let mut writer = self.writer.lock().expect("no writer panicked");
        let tx = writer.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let (calendar, seq): (i64, i64) = tx
            .prepare_cached("UPDATE calendars SET seq = seq + 1 WHERE path = ?1 RETURNING id, seq")?
            .query_row([folder], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let etag = format!("{seq:x}");
        let changed = tx
            .prepare_cached("UPDATE objects SET etag = ?3, seq = ?4, body = ?5 WHERE calendar = ?1 AND name = ?2")?
            .execute(params![calendar, name, etag, seq, body])?;
        if changed == 0 {
            tx.prepare_cached("INSERT INTO objects (calendar, name, etag, seq, body) VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![calendar, name, etag, seq, body])?;
            // It does not parse, so it can not know when: one row, as one event has.
            tx.prepare_cached(
                "INSERT INTO instances (calendar, start, finish, object, busy) VALUES (?1, 0, 1, ?2, 0)",
            )?
            .execute(params![calendar, tx.last_insert_rowid()])?;
        }
        tx.commit()?;
        Ok((if changed == 0 { 201 } else { 204 }, Bytes::new()))
    }
}

impl Store {
    fn delete(&self, path: &str) -> rusqlite::Result<Given> {
        let (folder, name) = split(path);
        let mut writer = self.writer.lock().expect("no writer panicked");
        let tx = writer.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let calendar: i64 = tx
            .prepare_cached("UPDATE calendars SET seq = seq + 1 WHERE path = ?1 RETURNING id")?
            .query_row([folder], |row| row.get(0))?;
        let object: Option<i64> = tx
            .prepare_cached("DELETE FROM objects WHERE calendar = ?1 AND name = ?2 RETURNING rowid")?
            .query_row(params![calendar, name], |row| row.get(0))
            .optional()?;
        tx.prepare_cached("DELETE FROM instances WHERE object = ?1")?.execute([object])?;
        tx.commit()?;
        Ok((if object.is_some() { 204 } else { 404 }, Bytes::new()))
    }
}

fn split(path: &str) -> (&str, &str) {
    path.split_at(path.rfind('/').map_or(0, |at| at + 1))
}

/// The requests that are measured and no others, told apart by what must stand in them.
fn read(db: &Connection, method: &str, path: &str, body: &[u8]) -> rusqlite::Result<Given> {
    let (folder, name) = split(path);
    let text = std::str::from_utf8(body).unwrap_or_default();
    if text.contains("free-busy-query") {
        return free_busy(db, folder, text);
    }
    let (calendar, seq): (i64, i64) = db
        .prepare_cached("SELECT id, seq FROM calendars WHERE path = ?1")?
        .query_row([folder], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if method == "GET" && name.is_empty() {
        return whole(db, calendar);
    }
    if method == "GET" {
        let body: Vec<u8> = db
            .prepare_cached("SELECT body FROM objects WHERE calendar = ?1 AND name = ?2")?
            .query_row(params![calendar, name], |row| row.get(0))?;
        return Ok((200, Bytes::from(body)));
    }
    let mut out = Multistatus::new(path);
    if method == "PROPFIND" {
        out.token(seq);
        if text.contains("getetag") {
            let mut rows =
                db.prepare_cached("SELECT name, etag FROM objects INDEXED BY object_names WHERE calendar = ?1")?;
            let mut rows = rows.query([calendar])?;
            while let Some(row) = rows.next()? {
                out.resource(row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?, None);
            }
        }
    } else if text.contains("calendar-multiget") {
        let mut find = db.prepare_cached("SELECT etag, body FROM objects WHERE calendar = ?1 AND name = ?2")?;
        for href in text.split("<D:href>").skip(1).filter_map(|rest| rest.split("</D:href>").next()) {
            let name = split(href).1;
            find.query_row(params![calendar, name], |row| {
                out.resource(name, row.get_ref(0)?.as_str()?, Some(row.get_ref(1)?.as_blob()?));
                Ok(())
            })?;
        }
    } else if text.contains("sync-collection") {
        let since: i64 = between(text, "urn:floor:", "<").and_then(|s| s.parse().ok()).unwrap_or(-1);
        let mut rows =
            db.prepare_cached("SELECT name, etag FROM objects WHERE calendar = ?1 AND seq > ?2 ORDER BY seq")?;
        let mut rows = rows.query(params![calendar, since])?;
        while let Some(row) = rows.next()? {
            out.resource(row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?, None);
        }
        return Ok((207, out.end_with_token(seq)));
    } else {
        let window = asked(text);
        let mut rows = db.prepare_cached(
            "SELECT name, etag, body FROM objects WHERE rowid IN (
                SELECT object FROM instances WHERE calendar = ?1 AND start < ?3 AND start > ?2 - ?4 AND finish > ?2)",
        )?;
        let mut rows = rows.query(params![calendar, window.start, window.end, LONGEST])?;
        let with_data = text.contains("calendar-data");
        if text.contains("C:expand") {
            drop(rows);
            expand(db, calendar, window, &mut out)?;
            return Ok((207, out.end()));
        }
        while let Some(row) = rows.next()? {
            let body = if with_data { Some(row.get_ref(2)?.as_blob()?) } else { None };
            out.resource(row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?, body);
        }
    }
    Ok((207, out.end()))
}

/// A whole calendar as one file: the events of all objects, and each time zone once.
fn whole(db: &Connection, calendar: i64) -> rusqlite::Result<Given> {
    let (mut zones, mut events) = (Vec::new(), String::new());
    let mut rows = db.prepare_cached("SELECT body FROM objects WHERE calendar = ?1")?;
    let mut rows = rows.query([calendar])?;
    while let Some(row) = rows.next()? {
        let body = std::str::from_utf8(row.get_ref(0)?.as_blob()?).unwrap_or_default();
        let (head, event) = body.split_at(body.find("BEGIN:VEVENT").unwrap_or(0));
        if let Some(zone) = head.find("BEGIN:VTIMEZONE").map(|at| &head[at..])
            && !zones.iter().any(|known| known == zone)
        {
            zones.push(zone.to_owned());
        }
        events.push_str(event.strip_suffix("END:VCALENDAR\r\n").unwrap_or(event));
    }
    let text =
        ["BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//floor//EN\r\n", &zones.concat(), &events, "END:VCALENDAR\r\n"];
    Ok((200, Bytes::from(text.concat())))
}

/// Each instance as an event of its own, at its time.
fn expand(db: &Connection, calendar: i64, window: Window, out: &mut Multistatus<'_>) -> rusqlite::Result<()> {
    let mut rows = db.prepare_cached(
        "SELECT i.object, i.start, i.finish, o.name, o.etag, o.body FROM instances i JOIN objects o ON o.rowid = i.object
          WHERE i.calendar = ?1 AND i.start < ?3 AND i.start > ?2 - ?4 AND i.finish > ?2 ORDER BY i.object, i.start",
    )?;
    let mut rows = rows.query(params![calendar, window.start, window.end, LONGEST])?;
    let (mut object, mut name, mut etag) = (0, String::new(), String::new());
    let mut text = String::new();
    loop {
        let row = rows.next()?;
        let next: i64 = row.map_or(Ok(0), |row| row.get(0))?;
        if next != object && object != 0 {
            text.push_str("END:VCALENDAR\n");
            out.resource(&name, &etag, Some(text.as_bytes()));
        }
        let Some(row) = row else { return Ok(()) };
        if next != object {
            object = next;
            (name, etag) = (row.get(3)?, row.get(4)?);
            text = "BEGIN:VCALENDAR\nVERSION:2.0\n".to_owned();
        }
        let body = std::str::from_utf8(row.get_ref(5)?.as_blob()?).unwrap_or_default();
        let event = &body[body.find("BEGIN:VEVENT").unwrap_or(0)..];
        for line in event.split_inclusive("\r\n").filter(|line| !line.starts_with("END:VCALENDAR")) {
            if line.starts_with("DTSTART") {
                let (start, end) = (data::stamp(row.get(1)?), data::stamp(row.get(2)?));
                let _ = write!(text, "DTSTART:{start}\nDTEND:{end}\nRECURRENCE-ID:{start}\n");
            } else if !["DTEND", "DURATION", "RRULE"].iter().any(|name| line.starts_with(name)) {
                text.push_str(line);
            }
        }
    }
}

/// Of one calendar, or of all twenty when it is asked of `/every/`.
fn free_busy(db: &Connection, folder: &str, text: &str) -> rusqlite::Result<Given> {
    let window = asked(text);
    let mut periods = Vec::new();
    let mut find = db.prepare_cached(
        "SELECT start, finish FROM instances WHERE calendar = ?1 AND start < ?3 AND start > ?2 - ?4 AND finish > ?2 AND busy = 1",
    )?;
    let mut calendars = db.prepare_cached("SELECT id FROM calendars WHERE path LIKE ?1")?;
    let mut calendars = calendars.query([if folder == "/every/" { "/busy%" } else { folder }])?;
    while let Some(calendar) = calendars.next()? {
        let calendar: i64 = calendar.get(0)?;
        let mut rows = find.query(params![calendar, window.start, window.end, LONGEST])?;
        while let Some(row) = rows.next()? {
            periods.push((row.get(0)?, row.get(1)?));
        }
    }
    let mut out = String::from("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//floor//EN\r\nBEGIN:VFREEBUSY\r\n");
    for (start, end) in data::merged(periods, window) {
        let _ = write!(out, "FREEBUSY;FBTYPE=BUSY:{}/{}\r\n", data::stamp(start), data::stamp(end));
    }
    out.push_str("END:VFREEBUSY\r\nEND:VCALENDAR\r\n");
    Ok((200, Bytes::from(out)))
}

/// The window of `<C:time-range start="…" end="…"/>`.
fn asked(text: &str) -> Window {
    let read = |name: &str| {
        let stamp = between(text, &format!("{name}=\""), "\"").unwrap_or("19700101T000000Z");
        jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", stamp)
            .and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC))
            .map_or(0, |time| time.timestamp().as_second())
    };
    Window { start: read("start"), end: read("end") }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

struct Multistatus<'a> {
    folder: &'a str,
    out: String,
}

const OK: &str = "</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>";

impl<'a> Multistatus<'a> {
    fn new(path: &'a str) -> Multistatus<'a> {
        let head = r#"<?xml version="1.0" encoding="utf-8"?><D:multistatus xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">"#;
        Multistatus { folder: split(path).0, out: head.to_owned() }
    }

    /// The collection itself.
    fn token(&mut self, seq: i64) {
        let folder = self.folder;
        let _ = write!(
            self.out,
            "<D:response><D:href>{folder}</D:href><D:propstat><D:prop><D:sync-token>urn:floor:{seq}</D:sync-token>{OK}"
        );
    }

    fn resource(&mut self, name: &str, etag: &str, body: Option<&[u8]>) {
        let folder = self.folder;
        let _ = write!(
            self.out,
            "<D:response><D:href>{folder}{name}</D:href><D:propstat><D:prop><D:getetag>\"{etag}\"</D:getetag>"
        );
        if let Some(body) = body {
            self.out.push_str("<C:calendar-data>");
            // Nothing in these objects needs escaping but the line ends.
            for line in std::str::from_utf8(body).unwrap_or_default().split('\r') {
                self.out.push_str(line);
            }
            self.out.push_str("</C:calendar-data>");
        }
        self.out.push_str(OK);
    }

    fn end(mut self) -> Bytes {
        self.out.push_str("</D:multistatus>");
        Bytes::from(self.out)
    }

    fn end_with_token(mut self, seq: i64) -> Bytes {
        let _ = write!(self.out, "<D:sync-token>urn:floor:{seq}</D:sync-token>");
        self.end()
    }
}

/// hyper over `answer`, on as many threads as there are cores.
fn serve(listener: TcpListener, answer: Arc<Answer>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async move {
        listener.set_nonblocking(true).expect("a socket that does not block");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            let answer = answer.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let answer = answer.clone();
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
                        let (status, body) = answer(parts.method.as_str(), parts.uri.path(), &body);
                        let mut response = Response::new(Full::new(body));
                        *response.status_mut() = hyper::StatusCode::from_u16(status).expect("a status of ours");
                        Ok::<_, Infallible>(response)
                    }
                });
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}
