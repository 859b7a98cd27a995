//! What every room's tests build with: a store on either engine, a configuration, an app on a clock that stands still, who
//! asks it, and numbers that are drawn.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};

use bytes::Bytes;
use calgate::app::App;
use calgate::body::Body;
use calgate::clock::Clock;
use calgate::config::{self, Config};
use calgate::dav;
use calgate::ical::{Instant, Object};
use calgate::ids::{Name, Seq};
use calgate::secrets::Secrets;
use calgate::store::calendars::Calendar;
use calgate::store::users::{self, Actor};
use calgate::store::walk::{Parts, Walk};
use calgate::store::{self, Store, Tx};
use http::{Request, Response};
use http_body_util::BodyExt;

/// 2026-06-01T00:00:00Z, where the clock of every test stands at first.
pub const NOW: Instant = Instant(1_780_272_000);

/// A database of its own in a file that goes away with the test.
pub fn sqlite_url() -> (String, Folder) {
    let folder = Folder::new();
    (format!("sqlite:{}", folder.path().join("calgate.db").display()), folder)
}

/// A schema of its own on the server that `CALGATE_TEST_POSTGRES` names; `None` without one, and says so once.
pub fn postgres_url() -> Option<String> {
    static SAID: Once = Once::new();
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let Ok(server) = std::env::var("CALGATE_TEST_POSTGRES") else {
        // Not `println!`, which the test runner keeps to itself.
        SAID.call_once(|| {
            let _ = writeln!(std::io::stderr(), "skipped: no PostgreSQL");
        });
        return None;
    };
    let name = format!("calgate_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
    let create = format!("DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}");
    let at = server.clone();
    // The driver runs an event loop of its own, which may not be started inside ours.
    let made = std::thread::spawn(move || {
        let mut client = postgres::Client::connect(&at, postgres::NoTls).expect("CALGATE_TEST_POSTGRES can be reached");
        client.batch_execute(&create).expect("a schema can be made");
    });
    made.join().expect("a schema can be made");
    let sign = if server.contains('?') { '&' } else { '?' };
    Some(format!("{server}{sign}options=-csearch_path%3D{name}"))
}

/// A folder under the system's temporary one, removed when dropped.
pub struct Folder(std::path::PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("calgate-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary folder can be made");
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Makes `NAME` two tests: `NAME::sqlite` and `NAME::postgres`.
macro_rules! on_both_engines {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let (url, _folder) = crate::kit::sqlite_url();
                super::$name(url).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(url) = crate::kit::postgres_url() {
                    super::$name(url).await;
                }
            }
        }
    )*};
}
pub(crate) use on_both_engines;

/// Opens a store on `url`.
pub fn store(url: &str) -> Store {
    let url = url.to_owned();
    Store::open(&url).expect("the store opens")
}

/// A configuration as `gateway.toml` would say it, on the storage `url`.
pub fn config(url: &str, text: &str) -> Config {
    let text = format!("[storage]\nurl = \"{url}\"\n{text}");
    match config::parse(&text, Path::new("/nowhere/gateway.toml")) {
        Ok(config) => config,
        Err(complaints) => {
            let said: Vec<String> = complaints.iter().map(ToString::to_string).collect();
            panic!("the test's configuration is wrong:\n{}", said.join("\n"));
        }
    }
}

/// An app on that storage and configuration, with a clock that stands at [`NOW`].
pub async fn app(url: &str, text: &str) -> Arc<App> {
    App::open(config(url, text), Secrets::ephemeral(), Clock::held(NOW)).await.expect("the app opens")
}

/// A user of the app, as one who asks.
pub async fn actor(app: &App, name: &str) -> Actor {
    let name = name.to_owned();
    let user = app.store.read(move |tx| users::by_name(tx, &name)).await.expect("a read");
    Actor::of(&user.expect("the user is there"))
}

/// What the DAV face answers, page by page as it comes.
pub async fn ask(
    app: &Arc<App>,
    actor: &Actor,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::copy_from_slice(body.as_bytes())).expect("a request");
    dav::handle(app, actor, request).await
}

/// An answer as a whole.
pub async fn whole(answer: Response<Body>) -> Response<Bytes> {
    let (head, body) = answer.into_parts();
    Response::from_parts(head, body.collect().await.expect("nothing cuts it").to_bytes())
}

/// SplitMix64: from a seed the same numbers everywhere.
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// From `low` to `high`, both included.
    pub fn number(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as u64) as i64
    }

    pub fn chance(&mut self, percent: i64) -> bool {
        self.number(1, 100) <= percent
    }

    pub fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize].clone()
    }
}

/// A VEVENT: `lines` are its content lines besides UID and DTSTAMP.
pub fn event_text(uid: &str, lines: &str) -> String {
    let lines = lines.trim().lines().map(|l| format!("{}\r\n", l.trim())).collect::<String>();
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
         DTSTAMP:20260101T000000Z\r\n{lines}END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

pub fn event(uid: &str, lines: &str) -> Object {
    Object::parse(&event_text(uid, lines)).expect("the test's event is one")
}

/// A page of what changed in a calendar.
pub struct Since {
    pub changes: Vec<Change>,
    /// What was seen with it.
    pub seq: Seq,
    pub more: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub name: Name,
    /// Its etag; `None`: it is gone.
    pub live: Option<String>,
}

/// What changed after `seq`, as a sync report tells it; `None` is the first one.
pub fn since(tx: &mut Tx<'_>, calendar: &Calendar, seq: Option<Seq>, limit: u32) -> store::Result<Since> {
    let after = seq.unwrap_or(Seq(0));
    let mut walk = Walk::Changes { after, until: calendar.seq, tombstones: seq.is_some() };
    let mut changes = Vec::new();
    let over = walk.page(tx, calendar, Parts::default(), limit, |seen| {
        let name = Name::new(seen.name).expect("a name");
        changes.push(Change { name, live: seen.live.then(|| seen.etag.to_owned()) });
        Ok(true)
    })?;
    let more = !over && walk.goes_on(tx, calendar)?;
    let Walk::Changes { after, .. } = walk else { panic!("it is another walk") };
    Ok(Since { changes, seq: if more { after } else { calendar.seq }, more })
}
