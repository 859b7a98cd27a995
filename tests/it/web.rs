//! The server over real sockets: what it refuses, how long it waits, how it stops, who comes in, and what a feed shows.

mod front;
mod people;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use calgate::app::App;
use calgate::clock::Clock;
use calgate::config;
use calgate::ical::{Instant, Kind, Object};
use calgate::ids::{Name, RemoteId};
use calgate::secrets::{self, Secret, Secrets};
use calgate::store::resources::{self, Version};
use calgate::store::{self, Tx, accounts, app_passwords, calendars, instances, shape, users};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// 2026-06-01T08:20:00Z, a Monday.
pub(crate) const NOW: Instant = Instant(1_780_302_000);
pub(crate) const PASSWORD: &str = "correct horse";
const BUSY_TOKEN: &str = "busy-5sGxP0rVq3xJ8mZpR5tK";
pub(crate) const FULL_TOKEN: &str = "full-5sGxP0rVq3xJ8mZpR5tK";
const FREEBUSY_TOKEN: &str = "freebusy-0rVq3xJ8mZpR5tK";
const TEAM_TOKEN: &str = "team-busy-0rVq3xJ8mZpR5tK";
pub(crate) const MASKED_TOKEN: &str = "masked-0rVq3xJ8mZpR5tK77";

/// A gateway on a folder and a port of its own, at a clock that stands still.
pub(crate) struct Gateway {
    pub(crate) app: Arc<App>,
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    done: JoinHandle<Result<(), String>>,
    folder: PathBuf,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What [`PASSWORD`] is kept as. Made once for all tests: it takes its time.
pub(crate) fn hash() -> &'static str {
    static HASH: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| secrets::hash_password(&Secret::new(PASSWORD)));
    HASH.as_str()
}

/// The configuration of most tests; `server` and `sync` are more lines of those sections.
fn configuration(folder: &Path, server: &str, sync: &str) -> config::Config {
    let hash = hash();
    let public_url = if server.contains("public_url") { "" } else { "public_url = \"https://cal.example.org\"" };
    let text = format!(
        r##"
        [server]
        listen = "127.0.0.1:0"
        {public_url}
        {server}
        [sync]
        {sync}
        [[user]]
        name = "anna"
        password = "{hash}"
        email = ["anna@example.org"]
        timezone = "Europe/Berlin"
        [[user.account]]
        name = "work"
        kind = "caldav"
        url = "https://dav.example.com/"
        username = "anna"
        password = "sealed"
        [[user.account.calendar]]
        remote = "Team"
        name = "team"
        [[user.calendar]]
        name = "private"
        display_name = "Private, and more"
        [[user.unified]]
        name = "all"
        members = ["private", "team"]
        write_to = "private"
        [[user.unified]]
        name = "masked"
        members = [{{ calendar = "team", mask = "busy" }}, "private"]
        [[user.feed]]
        calendar = "all"
        kind = "freebusy"
        token = "{FREEBUSY_TOKEN}"
        [[user.feed]]
        calendar = "team"
        kind = "busy"
        token = "{TEAM_TOKEN}"
        [[user.feed]]
        calendar = "masked"
        kind = "full"
        token = "{MASKED_TOKEN}"
        [[user.feed]]
        calendar = "private"
        kind = "busy"
        token = "{BUSY_TOKEN}"
        [[user.feed]]
        calendar = "private"
        kind = "full"
        token = "{FULL_TOKEN}"
        [[user]]
        name = "bert"
        "##
    );
    read(folder, &text)
}

/// The configuration `text`, with a database in the folder.
fn read(folder: &Path, text: &str) -> config::Config {
    match config::parse(text, &folder.join("gateway.toml")) {
        Ok(mut config) => {
            config.storage.url = format!("sqlite:{}", folder.join("calgate.db").display());
            config
        }
        Err(complaints) => panic!("{}", complaints.iter().map(ToString::to_string).collect::<String>()),
    }
}

pub(crate) async fn start_with(server: &str, sync: &str) -> Gateway {
    let folder = folder();
    let config = configuration(&folder, server, sync);
    start_in(folder, config).await
}

/// With a configuration that the test wrote itself; it says where to listen.
pub(crate) async fn start_on(text: &str) -> Gateway {
    let folder = folder();
    let config = read(&folder, text);
    start_in(folder, config).await
}

fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("calgate-web-{}", secrets::hex(&secrets::random::<8>())));
    std::fs::create_dir(&folder).unwrap();
    folder
}

async fn start_in(folder: PathBuf, config: config::Config) -> Gateway {
    let app = App::open(config, Secrets::ephemeral(), Clock::held(NOW)).await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let (ready, address) = oneshot::channel();
    let done = tokio::spawn(calgate::web::server::run(Arc::clone(&app), stopped, ready));
    let address = address.await.unwrap();
    Gateway { app, address, stop, done, folder }
}

async fn start() -> Gateway {
    start_with("", "").await
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// A connection that sends bytes as they are.
pub(crate) struct Wire<S> {
    pub(crate) stream: S,
    /// Read and not yet looked at.
    held: Vec<u8>,
}

impl<S: AsyncRead + tokio::io::AsyncWrite + Unpin> Wire<S> {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The other side may have hung up by now; what it said before is what the test asks for.
        let _ = self.stream.write_all(bytes.as_ref()).await;
        let _ = self.stream.flush().await;
    }

    /// More bytes; false at the end.
    async fn more(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        let read = timeout(Duration::from_secs(100), self.stream.read(&mut bytes)).await.expect("the server hangs");
        let n = read.unwrap_or(0);
        self.held.extend_from_slice(&bytes[..n]);
        n > 0
    }

    /// Whether something comes that nobody asked for. The end of the connection is nothing.
    async fn more_soon(&mut self) -> bool {
        !self.held.is_empty() || timeout(Duration::from_millis(5), self.more()).await.unwrap_or(false)
    }

    /// The next answer; `None`: the connection ended. `head`: it answers a HEAD.
    pub(crate) async fn answer_to(&mut self, head: bool) -> Option<Answer> {
        let end = loop {
            if let Some(at) = self.held.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more().await {
                assert!(self.held.is_empty(), "half an answer: {:?}", String::from_utf8_lossy(&self.held));
                return None;
            }
        };
        let text = String::from_utf8(self.held.drain(..end).collect()).unwrap();
        let mut lines = text.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HashMap<String, String> = lines
            .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{line:?}")))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let bodyless = head || status == 304 || status == 204 || status < 200;
        let length = match headers.get("content-length") {
            Some(length) if !bodyless => length.parse().unwrap(),
            _ => 0,
        };
        while self.held.len() < length {
            assert!(self.more().await, "half a body");
        }
        if !bodyless && headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            let body = String::from_utf8(self.chunks().await).unwrap();
            return Some(Answer { status, headers, body });
        }
        let body = String::from_utf8(self.held.drain(..length).collect()).unwrap();
        Some(Answer { status, headers, body })
    }

    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        self.answer_to(false).await
    }

    /// A body in chunks, to its end.
    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = self.held.windows(2).position(|w| w == b"\r\n") {
                    break at;
                }
                assert!(self.more().await, "half a chunk");
            };
            let length = usize::from_str_radix(std::str::from_utf8(&self.held[..end]).unwrap(), 16).unwrap();
            while self.held.len() < end + 2 + length + 2 {
                assert!(self.more().await, "half a chunk");
            }
            body.extend_from_slice(&self.held[end + 2..end + 2 + length]);
            self.held.drain(..end + 2 + length + 2);
            if length == 0 {
                return body;
            }
        }
    }
}

pub(crate) async fn wire(gateway: &Gateway) -> Wire<TcpStream> {
    wire_to(gateway.address).await
}

pub(crate) async fn wire_to(address: SocketAddr) -> Wire<TcpStream> {
    Wire { stream: TcpStream::connect(address).await.unwrap(), held: Vec::new() }
}

pub(crate) fn basic(name: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{name}:{password}")))
}

/// One request on a connection of its own. `headers`: whole lines.
async fn ask(gateway: &Gateway, method: &str, path: &str, headers: &str) -> Answer {
    let mut wire = wire(gateway).await;
    wire.send(format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")).await;
    wire.answer_to(method == "HEAD").await.expect("an answer")
}

/// Who `headers` are, as the gateway sees it: 401, 400, 429, 503, or anything else for "came in".
async fn login(gateway: &Gateway, headers: &str) -> Answer {
    ask(gateway, "PROPFIND", "/dav/", &format!("Depth: 0\r\nContent-Length: 0\r\n{headers}")).await
}

pub(crate) async fn change<T: Send + 'static>(
    gateway: &Gateway,
    f: impl FnOnce(&mut Tx<'_>) -> store::Result<T> + Send + 'static,
) -> T {
    gateway.app.store.write(f).await.unwrap()
}

pub(crate) async fn put(gateway: &Gateway, slug: &'static str, text: String) {
    let now = gateway.app.clock.now();
    change(gateway, move |tx| {
        let calendar = calendars::every(tx)?.into_iter().find(|c| c.slug == slug).expect("the calendar is there");
        let object = Object::parse(&text).expect("a good object");
        let name = Name::new(&format!("{}.ics", object.uid())).unwrap();
        resources::save(tx, &calendar, &name, Version::Client(Some(&object)), now)
    })
    .await;
}

/// A VCALENDAR of one VEVENT with these lines.
pub(crate) fn event(lines: &str) -> String {
    let lines: Vec<&str> = lines.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nDTSTAMP:20260101T000000Z\r\n{}\r\n\
         END:VEVENT\r\nEND:VCALENDAR\r\n",
        lines.join("\r\n")
    )
}

/// Makes the mirror `team`, last read at `at`.
pub(crate) async fn team_read_at(gateway: &Gateway, at: Instant) {
    change(gateway, move |tx| {
        let anna = users::by_name(tx, "anna")?.unwrap();
        let work = accounts::by_name(tx, anna.id, "work")?.unwrap();
        let given = calendars::Given {
            name: "Team",
            color: "",
            text: "",
            writable: true,
            components: &[Kind::Event],
            ..calendars::Given::default()
        };
        let id = calendars::mirror(tx, &work, "team", &RemoteId::from("/team/"), "Team", &given, at)?.unwrap();
        calendars::pulled(tx, id, None, true, at)
    })
    .await;
}

// What is refused before it costs anything.

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_refused_by_the_rfcs_and_the_limits() {
    let gateway = start().await;
    let check = async |request: &[u8], statuses: &[u16], stays: bool| {
        let shown = String::from_utf8_lossy(&request[..request.len().min(80)]).into_owned();
        let mut wire = wire(&gateway).await;
        wire.send(request).await;
        let mut got = Vec::new();
        while let Some(answer) = wire.answer().await {
            got.push(answer.status);
            if got.len() == statuses.len() && stays {
                break;
            }
        }
        assert_eq!(got, statuses, "{shown:?}");
        if stays {
            wire.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
            assert_eq!(wire.answer().await.map(|a| a.status), Some(200), "{shown:?}");
        }
    };
    let get = |more: &str| format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{more}\r\n").into_bytes();
    check(&get(""), &[200], true).await;
    check(&[get(""), get("")].concat(), &[200, 200], true).await;
    check(&get("Connection: close\r\n"), &[200], false).await;
    check(b"GET /healthz HTTP/1.0\r\n\r\n", &[200], false).await;

    check(b"GET /healthz HTTP/1.1\r\n\r\n", &[400], true).await;
    check(&get("Host: y\r\n"), &[400], true).await;
    check(&get("X : y\r\n"), &[400], false).await;
    check(&get("X\x01: y\r\n"), &[400], false).await;
    check(b"GET\x01 / HTTP/1.1\r\nHost: x\r\n\r\n", &[400], false).await;
    check(b"GET / HTTP/3.7\r\nHost: x\r\n\r\n", &[400], false).await;

    check(&get(&format!("X: {}\r\n", "y".repeat(15_000))), &[200], true).await;
    check(&get(&format!("X: {}\r\n", "y".repeat(17_000))), &[431], false).await;
    check(&get(&"X: y\r\n".repeat(99)), &[200], true).await;
    check(&get(&"X: y\r\n".repeat(100)), &[431], false).await;
    let long = |n: usize| format!("GET /healthz?{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(n)).into_bytes();
    check(&long(8_000), &[200], true).await;
    check(&long(9_000), &[414], true).await;

    check(&get("Content-Encoding: gzip\r\n"), &[415], true).await;
    check(&get("Content-Encoding: identity\r\n"), &[200], true).await;
    check(b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", &[405], true).await;
    check(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", &[404], true).await;
    check(b"GET /feed/x/../../healthz HTTP/1.1\r\nHost: x\r\n\r\n", &[404], true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_second_request_is_smuggled_in_a_body() {
    let gateway = start().await;
    // What follows each would be a second request to who reads the first one's length in the other way.
    let check = async |headers: &str, body: &str, expect: &[u16]| {
        let mut wire = wire(&gateway).await;
        let inner = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
        wire.send(format!("PUT /dav/a HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}{inner}")).await;
        let mut got = Vec::new();
        while let Some(answer) = wire.answer().await {
            got.push(answer.status);
        }
        assert_eq!(got, expect, "{headers:?}");
    };
    check("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", &[401]).await;
    check("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n", &[401]).await;
    check("Content-Length: 3\r\nContent-Length: 4\r\n", "abc", &[400]).await;
    check("Content-Length: 3, 4\r\n", "abc", &[400]).await;
    check("Content-Length: -3\r\n", "abc", &[400]).await;
    check("Content-Length: +3\r\n", "abc", &[400]).await;
    check("Content-Length: 99999999999999999999\r\n", "abc", &[400]).await;
    check("Transfer-Encoding: gzip\r\n", "abc", &[400]).await;
    check("Transfer-Encoding: chunked, gzip\r\n", "abc", &[400]).await;
    check("Transfer-Encoding: xchunked\r\n", "abc", &[400]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_come_in_is_not_listened_to() {
    let gateway = start().await;
    // Refused, and the connection goes on after a body that nobody read.
    let mut one = wire(&gateway).await;
    for size in [0, 100, 100_000, 500_000] {
        one.send(format!("PUT /dav/anna/private/a.ics HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n")).await;
        one.send("x".repeat(size)).await;
        let answer = one.answer().await.expect("an answer");
        assert_eq!(
            (answer.status, answer.header("www-authenticate")),
            (401, r#"Basic realm="calgate", charset="UTF-8""#)
        );
        one.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(one.answer().await.expect("the connection goes on").status, 200);
    }
    // Refused before a byte of the body was sent.
    let mut two = wire(&gateway).await;
    two.send("PUT /dav/a HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n").await;
    assert_eq!(two.answer().await.expect("an answer").status, 401);
    // A client that asks is not told to go on.
    let mut three = wire(&gateway).await;
    three.send("PUT /dav/a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n").await;
    assert_eq!(three.answer().await.expect("an answer").status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_have_a_limit() {
    let gateway = start_with("", "[limits]\nbody = \"64 KiB\"").await;
    let anna = basic("anna", PASSWORD);
    let put = format!("PUT /dav/anna/private/a.ics HTTP/1.1\r\nHost: x\r\n{anna}");
    // Declared: nothing has to be sent. Of calendar data it is told in its own words (RFC 4791 5.3.2.1).
    let calendar = "Content-Type: text/calendar; charset=utf-8\r\n";
    let json = "Content-Type: application/calendar+json\r\n";
    let (xml, html) = ("Content-Type: text/xml\r\n", "Content-Type: text/html\r\n");
    for (status, start, headers) in [
        (403, "PUT /dav/anna/private/a.ics", ""),
        (403, "PUT /dav/anna/private/a.ics", json),
        (403, "PUT /dav/anna/nothing/a.ics", calendar),
        (413, "PUT /dav/anna/private/a.ics", html),
        (413, "PUT /dav/anna/private/", calendar),
        (403, "POST /dav/anna/private/", calendar),
        (403, "POST /dav/anna/outbox/", calendar),
        (413, "POST /dav/anna/private/", xml),
        (413, "POST /dav/anna/private/", ""),
        (413, "PROPFIND /dav/anna/private/", xml),
        (413, "REPORT /dav/anna/private/a.ics", calendar),
    ] {
        let mut declared = wire(&gateway).await;
        declared.send(format!("{start} HTTP/1.1\r\nHost: x\r\n{anna}{headers}Content-Length: 65537\r\n\r\n")).await;
        let answer = declared.answer().await.expect("an answer");
        assert_eq!(answer.status, status, "{start} {headers}");
        let said =
            "<C:max-resource-size/><CG:message xmlns:CG=\"urn:calgate\">a resource may have at most 65536 bytes<";
        assert_eq!(answer.body.contains(said), status == 403, "{start} {headers}: {answer:?}");
    }
    // Not declared.
    let mut chunked = wire(&gateway).await;
    chunked.send(format!("{put}Transfer-Encoding: chunked\r\n\r\n")).await;
    for _ in 0..17 {
        chunked.send(format!("1000\r\n{}\r\n", "x".repeat(4096))).await;
    }
    chunked.send("0\r\n\r\n").await;
    assert_eq!(chunked.answer().await.expect("an answer").status, 403);
    // Broken chunks.
    let mut broken = wire(&gateway).await;
    broken.send(format!("{put}Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n")).await;
    assert_eq!(broken.answer().await.expect("an answer").status, 400);
    assert!(broken.answer().await.is_none());
}

/// Many clients read no answer before all is sent, and lose it when the connection is closed under them.
#[tokio::test(flavor = "multi_thread")]
async fn who_sends_too_much_hears_so() {
    let gateway = start().await;
    let (anna, body) = (basic("anna", PASSWORD), "x".repeat(5 << 20));
    for framing in [format!("Content-Length: {}", body.len()), "Transfer-Encoding: chunked".to_owned()] {
        let mut wire = wire(&gateway).await;
        wire.send(format!("PUT /dav/anna/private/a.ics HTTP/1.1\r\nHost: x\r\n{anna}{framing}\r\n\r\n")).await;
        match framing.starts_with('C') {
            true => wire.stream.write_all(body.as_bytes()).await.expect("it is taken"),
            false => {
                let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
                wire.stream.write_all(chunks.as_bytes()).await.expect("it is taken");
            }
        }
        let answer = wire.answer().await.expect("an answer");
        assert!(answer.status == 403 && answer.body.contains("<C:max-resource-size/>"), "{framing}: {answer:?}");
        wire.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(wire.answer().await.expect("the connection goes on").status, 200, "{framing}");
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let url = format!("http://{}/dav/anna/private/a.ics", gateway.address);
    let put = client.put(url).basic_auth("anna", Some(PASSWORD)).header("content-type", "text/calendar");
    let answer = put.body(body).send().await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.version()), (403, reqwest::Version::HTTP_2));
    assert!(answer.text().await.unwrap().contains("<C:max-resource-size/>"));
}

#[tokio::test]
async fn slow_clients_are_dropped() {
    let gateway = start().await;
    let anna = basic("anna", PASSWORD);
    // From now on this login is known and asks the store nothing.
    login(&gateway, &anna).await;
    // The clock jumps to the next time-out whenever both sides wait.
    tokio::time::pause();

    let begun = tokio::time::Instant::now();
    let mut head = wire(&gateway).await;
    head.send("GET / HT").await;
    assert!(head.answer().await.is_none());
    assert_eq!(begun.elapsed().as_secs(), 10);

    let begun = tokio::time::Instant::now();
    let mut body = wire(&gateway).await;
    body.send(format!("PUT /dav/anna/private/a.ics HTTP/1.1\r\nHost: x\r\n{anna}Content-Length: 10\r\n\r\nabc")).await;
    let answer = body.answer().await.expect("an answer");
    assert_eq!((answer.status, answer.header("connection")), (408, "close"));
    assert!(body.answer().await.is_none());
    assert_eq!(begun.elapsed().as_secs(), 15);

    let mut drip = wire(&gateway).await;
    drip.send(format!("PUT /dav/anna/private/a.ics HTTP/1.1\r\nHost: x\r\n{anna}Content-Length: 1000\r\n\r\n")).await;
    let begun = tokio::time::Instant::now();
    let answer = loop {
        tokio::select! {
            answer = drip.answer() => break answer.expect("an answer"),
            () = tokio::time::sleep(Duration::from_secs(7)) => drip.stream.write_all(b"x").await.unwrap(),
        }
    };
    assert_eq!((answer.status, begun.elapsed().as_secs()), (408, 60));

    let begun = tokio::time::Instant::now();
    let mut idle = wire(&gateway).await;
    idle.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(idle.answer().await.expect("an answer").status, 200);
    assert!(idle.answer().await.is_none());
    assert_eq!(begun.elapsed().as_secs(), 75);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_cap_a_connection_hears_that_it_is_full() {
    let gateway = start_with("", "[limits]\nconnections = 2").await;
    let mut held = [wire(&gateway).await, wire(&gateway).await];
    for one in &mut held {
        one.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(one.answer().await.expect("an answer").status, 200);
    }
    let mut third = wire(&gateway).await;
    let answer = third.answer().await.expect("an answer");
    assert_eq!((answer.status, answer.header("retry-after")), (503, "10"));
    assert!(third.answer().await.is_none());
    drop(held);
    // Their places are free as soon as their ends are seen.
    for _ in 0..500 {
        let mut next = wire(&gateway).await;
        next.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        if next.answer().await.is_some_and(|a| a.status == 200) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the places were not given back");
}

// URLs.

#[tokio::test(flavor = "multi_thread")]
async fn every_url_answers_as_it_should() {
    let gateway = start().await;
    let check = async |method: &str, path: &str, status: u16, begins: &str| {
        let answer = ask(&gateway, method, path, "").await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.body.starts_with(begins), "{method} {path}: {}", answer.body);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
        assert_eq!(answer.header("strict-transport-security"), "");
        assert_eq!(answer.header("x-request-id").len(), 16);
        answer
    };
    check("GET", "/healthz", 200, "ok\n").await;
    let head = check("HEAD", "/healthz", 200, "").await;
    assert_eq!(head.header("content-length"), "3");
    check("GET", "/readyz", 200, "ready\n").await;
    assert!(check("GET", "/", 200, "This is calgate").await.body.contains("https://cal.example.org/dav/"));
    check("GET", "/robots.txt", 200, "User-agent").await;
    for method in ["GET", "PROPFIND", "OPTIONS", "POST"] {
        let moved = check(method, "/.well-known/caldav", 301, "").await;
        assert_eq!(moved.header("location"), "https://cal.example.org/dav/", "{method}");
    }
    check("PROPFIND", "/", 401, "Log in").await;
    check("PROPFIND", "/dav", 401, "Log in").await;
    check("PROPFIND", "/dav/", 401, "Log in").await;
    check("GET", "/dav/anna/private/a.ics", 401, "Log in").await;
    check("DELETE", "/davx", 404, "There is nothing here").await;
    let answer = ask(&gateway, "GET", "/healthz", "X-Request-Id: abc-1\r\n").await;
    assert_eq!(answer.header("x-request-id"), "abc-1");
}

/// Some proxies take the path away that they give to us, others leave it: both are understood, and every answer says
/// where things are on the client's side.
#[tokio::test(flavor = "multi_thread")]
async fn below_a_path_requests_are_understood_with_it_and_without_it() {
    let gateway = start_with("public_url = \"https://example.org/our/cal\"", "").await;
    let anna = basic("anna", PASSWORD);
    for prefix in ["/our/cal", "", "//our/cal"] {
        let well_known = ask(&gateway, "PROPFIND", &format!("{prefix}/.well-known/caldav"), "").await;
        assert_eq!((well_known.status, well_known.header("location")), (301, "https://example.org/our/cal/dav/"));
        let headers = format!("{anna}Depth: 0\r\nContent-Length: 0\r\n");
        for path in ["/dav/", "/dav/anna/", "/dav/anna/private/", "/dav/principals/anna/"] {
            let answer = ask(&gateway, "PROPFIND", &format!("{prefix}{path}"), &headers).await;
            let href = format!("<D:href>/our/cal{path}</D:href>");
            assert!(answer.status == 207 && answer.body.contains(&href), "{prefix}{path}: {answer:?}");
        }
        let help = ask(&gateway, "GET", &format!("{prefix}/dav/anna/"), &anna).await;
        assert!(help.body.contains("https://example.org/our/cal/dav/anna/\n"), "{}", help.body);
        let feed = ask(&gateway, "GET", &format!("{prefix}/feed/{FREEBUSY_TOKEN}.ifb?days=1"), "").await;
        assert_eq!(feed.status, 200, "{}", feed.body);
        assert_eq!(ask(&gateway, "GET", &format!("{prefix}/healthz"), "").await.status, 200);
        assert_eq!(ask(&gateway, "GET", &format!("{prefix}/else"), "").await.status, 404);
    }
    let root = ask(&gateway, "PROPFIND", "/our/cal", &format!("{anna}Depth: 0\r\nContent-Length: 0\r\n")).await;
    assert!(root.body.contains("<D:href>/our/cal/</D:href>"), "{}", root.body);
    assert_eq!(ask(&gateway, "GET", "/our/calendar/dav/", "").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_spoken_with_and_without_tls() {
    let gateway = start().await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let url = format!("http://{}", gateway.address);
    let many = (0..60).map(|n| {
        let (client, path) = (client.clone(), if n % 2 == 0 { "healthz" } else { "readyz" });
        let url = format!("{url}/{path}");
        tokio::spawn(async move { client.get(url).send().await.unwrap() })
    });
    for answer in many.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    }
    let check = async |request: reqwest::RequestBuilder, status: u16| {
        assert_eq!(request.send().await.unwrap().status().as_u16(), status);
    };
    check(client.get(format!("{url}/healthz?{}", "x".repeat(9_000))), 414).await;
    check(client.put(format!("{url}/dav/a")).body("x".repeat(300_000)), 401).await;
    check(client.head(format!("{url}/healthz")), 200).await;
    // Its authority is its Host.
    let to = async |host: &str, status: u16| {
        let mv = reqwest::Method::from_bytes(b"MOVE").unwrap();
        let request = client.request(mv, format!("{url}/dav/anna/private/none.ics"));
        let to = format!("{host}/dav/anna/private/b.ics");
        check(request.basic_auth("anna", Some(PASSWORD)).header("Destination", to), status).await;
    };
    to("https://elsewhere.example", 502).await;
    to("https://cal.example.org", 404).await;
    to(&url, 404).await;
    let many = (0..101).fold(client.get(format!("{url}/healthz")), |request, n| request.header(format!("x-{n}"), "y"));
    check(many, 431).await;
    check(client.get(format!("{url}/healthz")), 200).await;
}

// Stopping, and TLS.

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_cuts_no_request() {
    let mut gateway = start().await;
    let anna = basic("anna", PASSWORD);
    let came_in = login(&gateway, &anna).await.status;
    let mut idle = wire(&gateway).await;
    idle.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    idle.answer().await.expect("an answer");
    let mut busy = wire(&gateway).await;
    busy.send(format!("PROPFIND /dav/ HTTP/1.1\r\nHost: x\r\nDepth: 0\r\n{anna}Content-Length: 10\r\n\r\n     ")).await;
    // It is being answered when the server asks for its body.
    tokio::time::sleep(Duration::from_millis(200)).await;

    gateway.stop.send(true).unwrap();
    assert!(idle.answer().await.is_none(), "an idle connection ends at once");
    for _ in 0..500 {
        if TcpStream::connect(gateway.address).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(TcpStream::connect(gateway.address).await.is_err(), "nobody listens any more");
    assert!(!gateway.done.is_finished(), "one request is still open");
    busy.send("     ").await;
    let answer = busy.answer().await.expect("the open request is answered");
    // An empty body and one of spaces are told apart by nobody who reads XML; it was answered, not cut.
    assert!(answer.status == came_in || answer.status == 400, "{}", answer.status);
    assert!(busy.answer().await.is_none());
    assert_eq!((&mut gateway.done).await.unwrap(), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_http2_after_its_last_answer() {
    let mut gateway = start().await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let url = format!("http://{}", gateway.address);
    assert_eq!(client.get(format!("{url}/healthz")).send().await.unwrap().status(), 200);
    // Thirty logins whose passwords have to be hashed, two at a time: most are open when the stop comes.
    let open: Vec<_> = (0..30)
        .map(|n| {
            let request = client.get(format!("{url}/dav/")).basic_auth(format!("user-{n}"), Some("wrong"));
            tokio::spawn(request.send())
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!open.iter().all(JoinHandle::is_finished));
    gateway.stop.send(true).unwrap();
    for one in open {
        assert_eq!(one.await.unwrap().expect("no request is cut").status(), 401);
    }
    assert_eq!((&mut gateway.done).await.unwrap(), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_said_in_words() {
    let gateway = start().await;
    let config = configuration(&gateway.folder, "", "");
    let mut config = config.clone();
    config.server.listen = gateway.address;
    gateway.app.apply(config).await.unwrap();
    let (_stop, stopped) = watch::channel(false);
    let (ready, _) = oneshot::channel();
    let why = calgate::web::server::run(Arc::clone(&gateway.app), stopped, ready).await.unwrap_err();
    assert!(why.contains("in use") && why.contains("`listen`"), "{why}");
}

type Tls = tokio_rustls::client::TlsStream<TcpStream>;

/// A connection that trusts only `fixtures/tls/NAME.crt`; `None`: the server shows another certificate.
async fn tls_wire(gateway: &Gateway, name: &str, alpn: &[u8]) -> Option<Wire<Tls>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/tls/{name}.crt"));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file).unwrap()).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn));
    Some(Wire { stream, held: Vec::new() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_brings_the_new_certificate_to_new_connections() {
    let fixture = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls").join(name);
    let live = std::env::temp_dir().join(format!("calgate-tls-{}", secrets::hex(&secrets::random::<8>())));
    std::fs::create_dir(&live).unwrap();
    let install = |name: &str| {
        for ending in ["crt", "key"] {
            std::fs::copy(fixture(&format!("{name}.{ending}")), live.join(format!("live.{ending}"))).unwrap();
        }
    };
    install("first");
    let lines = format!(
        "tls = {{ certificate = {:?}, key = {:?} }}",
        live.join("live.crt").to_str().unwrap(),
        live.join("live.key").to_str().unwrap()
    );
    let gateway = start_with(&lines, "").await;
    // What `calgate reload` does once the file was found to be good.
    let reload = async || {
        let config = (*gateway.app.config.load_full()).clone();
        gateway.app.apply(config).await.unwrap();
    };

    let mut old = tls_wire(&gateway, "first", b"http/1.1").await.expect("the first certificate");
    old.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let answer = old.answer().await.expect("an answer");
    assert_eq!((answer.status, answer.header("strict-transport-security")), (200, "max-age=31536000"));
    assert!(tls_wire(&gateway, "first", b"h2").await.is_some());

    install("second");
    assert!(tls_wire(&gateway, "first", b"h2").await.is_some(), "not before the reload");
    reload().await;
    assert!(tls_wire(&gateway, "second", b"h2").await.is_some());
    assert!(tls_wire(&gateway, "first", b"h2").await.is_none());
    old.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(old.answer().await.expect("open connections go on").status, 200);

    std::fs::write(live.join("live.crt"), "no certificate").unwrap();
    reload().await;
    assert!(tls_wire(&gateway, "second", b"h2").await.is_some(), "a broken one leaves the old in force");
    // Plain HTTP on a TLS port ends without a word.
    let mut plain = wire(&gateway).await;
    plain.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut bytes = Vec::new();
    let _ = plain.stream.read_to_end(&mut bytes).await;
    assert!(!bytes.starts_with(b"HTTP/"), "{bytes:?}");
    std::fs::remove_dir_all(&live).unwrap();
}

// Who comes in.

pub(crate) async fn device(gateway: &Gateway, name: &'static str, read_only: bool) -> (i64, Secret) {
    let password = secrets::new_app_password();
    let hash = gateway.app.secrets.keyed_hash(password.reveal());
    let now = gateway.app.clock.now();
    let id = change(gateway, move |tx| {
        let user = users::by_name(tx, name)?.unwrap();
        app_passwords::add(tx, user.id, "phone", &hash, read_only, now)
    })
    .await;
    (id, password)
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_taken_or_refused() {
    let gateway = start().await;
    let (_, phone) = device(&gateway, "anna", false).await;
    let (_, bert) = device(&gateway, "bert", true).await;
    let check = async |headers: &str, expect: u16| {
        let answer = login(&gateway, headers).await;
        let got = if matches!(answer.status, 400 | 401 | 429 | 503) { answer.status } else { 207 };
        assert_eq!(got, expect, "{headers:?}");
        let challenge = if expect == 401 { r#"Basic realm="calgate", charset="UTF-8""# } else { "" };
        assert_eq!(answer.header("www-authenticate"), challenge, "{headers:?}");
    };
    check(&basic("anna", PASSWORD), 207).await;
    check(&basic("ANNA", PASSWORD), 207).await;
    check(&basic("anna", phone.reveal()), 207).await;
    check(&basic("anna", &phone.reveal().replace('-', "").to_uppercase()), 207).await;
    check(&basic("bert", bert.reveal()), 207).await;
    check("", 401).await;
    check(&basic("anna", "wrong"), 401).await;
    check(&basic("anna", ""), 401).await;
    check(&basic("bert", phone.reveal()), 401).await;
    check(&basic("bert", PASSWORD), 401).await;
    check(&basic("nobody", PASSWORD), 401).await;
    check(&basic("", ""), 401).await;
    check("Authorization: Bearer x\r\n", 401).await;
    check("Authorization: Basic %%%\r\n", 400).await;
    check(&format!("Authorization: Basic {}\r\n", STANDARD.encode("nocolon")), 400).await;
    check(&format!("Authorization: Basic {}\r\n", STANDARD.encode(b"anna:\xff")), 400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_are_counted_and_lock_nobody_out_who_is_known() {
    let gateway = start().await;
    let (_, phone) = device(&gateway, "anna", false).await;
    let known = basic("anna", PASSWORD);
    login(&gateway, &known).await;
    for n in 0..10 {
        assert_eq!(login(&gateway, &basic("anna", &format!("wrong {n}"))).await.status, 401);
    }
    let refused = login(&gateway, &basic("anna", "wrong 10")).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "300"));
    // Another user's count is their own.
    assert_eq!(login(&gateway, &basic("bert", "wrong")).await.status, 401);
    for headers in [&known, &basic("anna", phone.reveal())] {
        assert!(!matches!(login(&gateway, headers).await.status, 401 | 429));
    }
    // Still known whenever it is looked at again.
    for seconds in [61, 200] {
        gateway.app.clock.advance(seconds);
        assert!(!matches!(login(&gateway, &known).await.status, 401 | 429));
    }
    gateway.app.clock.advance(40);
    assert_eq!(login(&gateway, &basic("anna", "wrong 11")).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_connections_of_one_client_are_one_login() {
    let gateway = Arc::new(start().await);
    let anna = basic("anna", PASSWORD);
    // More than wrong passwords may be tried, and more than may wait for a hash.
    let all: Vec<_> = (0..50)
        .map(|_| {
            let (gateway, anna) = (gateway.clone(), anna.clone());
            tokio::spawn(async move { login(&gateway, &anna).await.status })
        })
        .collect();
    for one in all {
        assert!(!matches!(one.await.unwrap(), 401 | 429 | 503));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_away_works_for_a_minute_at_most() {
    let gateway = start().await;
    let (id, phone) = device(&gateway, "anna", false).await;
    let in_or_out = async |headers: &str| login(&gateway, headers).await.status != 401;
    let by_phone = basic("anna", phone.reveal());
    assert!(in_or_out(&by_phone).await);
    change(&gateway, move |tx| {
        let anna = users::by_name(tx, "anna")?.unwrap();
        app_passwords::revoke(tx, anna.id, id)
    })
    .await;
    gateway.app.clock.advance(60);
    assert!(!in_or_out(&by_phone).await);

    // A user made by command, whose password a command changes.
    let hash = |password: &str| secrets::hash_password(&Secret::new(password));
    let (old, new) = (hash("old password"), hash("new password"));
    change(&gateway, move |tx| users::add(tx, "carl", Some(&old), &[], "UTC")).await;
    assert!(in_or_out(&basic("carl", "old password")).await);
    change(&gateway, move |tx| users::set_password(tx, "carl", &new)).await;
    gateway.app.clock.advance(60);
    assert!(!in_or_out(&basic("carl", "old password")).await);
    assert!(in_or_out(&basic("carl", "new password")).await);

    // A reload takes away at once.
    assert!(in_or_out(&basic("anna", PASSWORD)).await);
    let mut config = configuration(&gateway.folder, "", "");
    config.users[0].password = Some(hash("another"));
    gateway.app.apply(config).await.unwrap();
    assert!(!in_or_out(&basic("anna", PASSWORD)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_use_of_an_app_password_is_noted_once_an_hour() {
    let gateway = start().await;
    let (_, phone) = device(&gateway, "anna", false).await;
    let last_used = async |expect: Instant| {
        for _ in 0..500 {
            let list = change(&gateway, |tx| {
                let anna = users::by_name(tx, "anna")?.unwrap();
                app_passwords::list(tx, anna.id)
            });
            if list.await[0].last_used == Some(expect) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        false
    };
    login(&gateway, &basic("anna", phone.reveal())).await;
    assert!(last_used(NOW).await);
    gateway.app.clock.advance(3599);
    login(&gateway, &basic("anna", phone.reveal())).await;
    gateway.app.clock.advance(3600);
    login(&gateway, &basic("anna", phone.reveal())).await;
    assert!(last_used(NOW.plus(7199)).await);
}

/// Puts events of 60 kB each into a calendar of Anna's. 200 are more than sockets hold, so that some of an answer is not
/// made before somebody reads.
async fn fill(gateway: &Gateway, slug: &'static str, count: usize) {
    let note = "y".repeat(60_000);
    change(gateway, move |tx| {
        let user = users::by_name(tx, "anna")?.expect("anna");
        let calendar = calendars::home(tx, &users::Actor::of(&user), "anna").expect("her home");
        let calendar = calendar.iter().find(|c| c.slug == slug).expect("it was made");
        for number in 0..count {
            let text = event(&format!("UID:{number}\nDTSTART:20260610T090000Z\nX-NOTE:{note}"));
            let object = Object::parse(&text).expect("an object");
            let name = Name::new(&format!("{number}.ics")).expect("a name");
            resources::save(tx, calendar, &name, Version::Client(Some(&object)), NOW)?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_is_streamed_and_one_that_is_cut_does_not_look_whole() {
    let gateway = start().await;
    let anna = basic("anna", PASSWORD);
    assert_eq!(ask(&gateway, "MKCALENDAR", "/dav/anna/brief/", &anna).await.status, 201);
    fill(&gateway, "brief", 400).await;
    let body = "<C:calendar-query xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\"><D:prop><C:calendar-data/></D:prop>\
                <C:filter><C:comp-filter name=\"VCALENDAR\"/></C:filter></C:calendar-query>";
    let request = format!(
        "REPORT /dav/anna/brief/ HTTP/1.1\r\nHost: x\r\n{anna}Depth: 1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );

    let mut reader = wire(&gateway).await;
    reader.send(&request).await;
    while !reader.held.ends_with(b"\r\n0\r\n\r\n") {
        assert!(reader.more().await, "the whole answer ends as one");
    }
    let whole = String::from_utf8(std::mem::take(&mut reader.held)).expect("UTF-8");
    assert!(whole.to_lowercase().contains("transfer-encoding: chunked"));
    assert_eq!(whole.matches("END:VCALENDAR").count(), 400);
    assert!(whole.contains("</D:multistatus>"));

    // The same again; nobody reads on, and the calendar goes away.
    reader.send(&request).await;
    assert!(reader.more().await);
    assert_eq!(ask(&gateway, "DELETE", "/dav/anna/brief/", &anna).await.status, 204);
    while reader.more().await {}
    let part = String::from_utf8_lossy(&reader.held);
    assert!(part.starts_with("HTTP/1.1 207"));
    assert!(!part.contains("</D:multistatus>") && !part.ends_with("\r\n0\r\n\r\n"));
    assert!(part.len() < whole.len());
}

/// What was logged, at the finest level, by everything.
#[derive(Clone, Default)]
pub(crate) struct Log(pub(crate) Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// What this thread logs, until what comes with it is dropped.
    pub(crate) fn of_this_thread() -> (Log, (tracing::Dispatch, tracing::subscriber::DefaultGuard)) {
        let log = Log::default();
        let to = log.clone();
        let subscriber = tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE);
        let subscriber = subscriber.with_writer(move || to.clone()).finish();
        // While there is just one subscriber, a thread of another test decides by itself, and for all, that nobody
        // listens.
        let second = tracing::Dispatch::new(tracing_subscriber::registry());
        (log, (second, tracing::subscriber::set_default(subscriber)))
    }
}

// One thread, so that what is logged for this test is logged to it.
#[tokio::test]
async fn the_log_has_a_line_for_each_request_and_no_secret() {
    let (log, _listening) = Log::of_this_thread();
    let gateway = start().await;
    some_events(&gateway).await;
    let (_, phone) = device(&gateway, "anna", false).await;
    login(&gateway, "").await;
    for password in [PASSWORD, phone.reveal(), "wrong-canary"] {
        login(&gateway, &basic("anna", password)).await;
    }
    ask(&gateway, "GET", "/dav/anna/private/lunch.ics", &basic("anna", PASSWORD)).await;
    ask(&gateway, "GET", &format!("/feed/{FULL_TOKEN}.ics?start=2026-06-01"), "X-Request-Id: mine\r\n").await;
    ask(&gateway, "GET", "/feed/guess-canary.ics", "").await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http2 = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let url = format!("http://{}/dav/", gateway.address);
    http2.get(url).basic_auth("anna", Some(PASSWORD)).send().await.unwrap();
    drop(http2);

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let bearer = |password: &str| STANDARD.encode(format!("anna:{password}"));
    for secret in [PASSWORD, phone.reveal(), "canary", FULL_TOKEN, "Zoe", &bearer(PASSWORD), &bearer(phone.reveal())] {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret:?} is in the log");
    }
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let requests: Vec<String> = lines
        .iter()
        .filter(|line| line["fields"]["status"].is_number())
        .map(|line| {
            let of = &line["fields"];
            assert!(of["ms"].is_number() && of["bytes"].is_number() && of["id"].is_string(), "{line}");
            format!(
                "{} {} by {}",
                line["level"].as_str().unwrap(),
                of["message"].as_str().unwrap(),
                of["user"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        requests,
        [
            "DEBUG PROPFIND /dav/ 401 by -",
            "INFO PROPFIND /dav/ 207 by anna",
            "INFO PROPFIND /dav/ 207 by anna",
            "INFO PROPFIND /dav/ 401 by -",
            "INFO GET /dav/anna/private/lunch.ics 200 by anna",
            "INFO GET /feed/***.ics 200 by -",
            "INFO GET /feed/***.ics 404 by -",
            "INFO GET /dav/ 200 by anna",
        ]
    );
    let mine = lines.iter().find(|line| line["fields"]["id"] == "mine").expect("the client's own id");
    assert_eq!(mine["fields"]["path"], "/feed/***.ics");
}

// Feeds.

/// Each `fixtures/feed/NAME.feed` is objects of the calendar `private`, and then what is asked, with the answer to it
/// unfolded, without the name of the program, and with masked UIDs by number. `UPDATE=1` writes the answers.
#[tokio::test(flavor = "multi_thread")]
async fn feeds_are_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/feed");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut parts = text.split("=== ");
        let objects = parts.next().unwrap();
        let gateway = start().await;
        team_read_at(&gateway, NOW).await;
        for object in objects.split_inclusive("END:VCALENDAR\n") {
            put(&gateway, "private", object.replace('\n', "\r\n")).await;
        }
        let mut shown = objects.to_owned();
        for part in parts {
            let asked = part.lines().next().unwrap();
            let (feed, rest) = asked.split_once('.').unwrap();
            let token = match feed {
                "freebusy" => FREEBUSY_TOKEN,
                "busy" => BUSY_TOKEN,
                "full" => FULL_TOKEN,
                other => panic!("{other}"),
            };
            let answer = ask(&gateway, "GET", &format!("/feed/{token}.{rest}"), "").await;
            assert_eq!(answer.status, 200, "{asked}: {}", answer.body);
            let long = answer.body.split("\r\n").find(|line| line.len() > 75);
            assert_eq!(long, None, "lines are folded");
            shown += &format!("=== {asked}\n{}\n", numbered(lines(&answer.body)).join("\n"));
        }
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, &shown).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), shown, "{}", file.display());
    }
}

/// The lines of a feed without those that name the program.
fn lines(body: &str) -> Vec<String> {
    let unfolded = body.replace("\r\n ", "");
    unfolded.split_terminator("\r\n").filter(|l| !l.starts_with("PRODID")).map(str::to_owned).collect()
}

/// Masked UIDs are others in each database: here they are numbered as they come.
fn numbered(mut lines: Vec<String>) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    for line in &mut lines {
        let Some((uid, rest)) = line.strip_prefix("UID:").and_then(|uid| uid.split_at_checked(40)) else { continue };
        if !uid.bytes().all(|b| b.is_ascii_hexdigit()) || !(rest.is_empty() || rest.starts_with('-')) {
            continue;
        }
        let (uid, rest) = (uid.to_owned(), rest.to_owned());
        let number = known.iter().position(|k| *k == uid).unwrap_or_else(|| {
            known.push(uid);
            known.len() - 1
        });
        *line = format!("UID:{{masked {}}}{rest}", number + 1);
    }
    lines
}

async fn some_events(gateway: &Gateway) {
    put(
        gateway,
        "private",
        event("UID:lunch\nSUMMARY:Lunch with Zoe\nLOCATION:Pier 7\nDTSTART:20260602T100000Z\nDTEND:20260602T110000Z"),
    )
    .await;
    put(
        gateway,
        "private",
        event("UID:maybe\nSUMMARY:Maybe\nSTATUS:TENTATIVE\nDTSTART:20260602T103000Z\nDTEND:20260602T120000Z"),
    )
    .await;
    put(
        gateway,
        "private",
        event("UID:free\nSUMMARY:Birthday\nTRANSP:TRANSPARENT\nDTSTART;VALUE=DATE:20260603\nDTEND;VALUE=DATE:20260604"),
    )
    .await;
    put(gateway, "private", event("UID:secret\nSUMMARY:Doctor\nCLASS:PRIVATE\nDTSTART;TZID=Europe/Berlin:20260604T090000\nDTEND;TZID=Europe/Berlin:20260604T100000")).await;
    put(
        gateway,
        "private",
        event(
            "UID:declined\nSUMMARY:All hands\nDTSTART:20260605T090000Z\nDTEND:20260605T100000Z\n\
             ORGANIZER:mailto:boss@example.com\nATTENDEE;PARTSTAT=DECLINED:mailto:anna@example.org",
        ),
    )
    .await;
    team_read_at(gateway, NOW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_free_busy_feed_merges_all_members() {
    let gateway = start().await;
    some_events(&gateway).await;
    put(
        &gateway,
        "team",
        event("UID:weekly\nDTSTART:20260602T110000Z\nDTEND:20260602T113000Z\nRRULE:FREQ=WEEKLY;COUNT=2"),
    )
    .await;
    let answer = ask(&gateway, "GET", &format!("/feed/{FREEBUSY_TOKEN}.ifb"), "Accept: text/html\r\n").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/calendar; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), "private, max-age=300");
    assert_eq!(answer.header("x-robots-tag"), "noindex");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(answer.header("last-modified"), "Mon, 01 Jun 2026 08:20:00 GMT");
    let uid = format!("UID:{}@calgate", secrets::hex(&secrets::sha256(FREEBUSY_TOKEN.as_bytes())[..16]));
    assert_eq!(
        lines(&answer.body),
        [
            "BEGIN:VCALENDAR",
            "VERSION:2.0",
            "CALSCALE:GREGORIAN",
            "METHOD:PUBLISH",
            "BEGIN:VFREEBUSY",
            &uid,
            "DTSTAMP:20260601T082000Z",
            "DTSTART:20260601T081500Z",
            "DTEND:20260731T081500Z",
            "ORGANIZER:mailto:anna@example.org",
            "FREEBUSY;FBTYPE=BUSY:20260602T100000Z/20260602T113000Z",
            "FREEBUSY;FBTYPE=BUSY-TENTATIVE:20260602T113000Z/20260602T120000Z",
            "FREEBUSY;FBTYPE=BUSY:20260604T070000Z/20260604T080000Z",
            "FREEBUSY;FBTYPE=BUSY:20260609T110000Z/20260609T113000Z",
            "END:VFREEBUSY",
            "END:VCALENDAR",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_read_in_every_usual_form() {
    let gateway = start().await;
    some_events(&gateway).await;
    let check = async |query: &str, expect: Result<(&str, &str), &str>| {
        let answer = ask(&gateway, "GET", &format!("/feed/{FREEBUSY_TOKEN}.ifb?{query}"), "").await;
        let lines = lines(&answer.body);
        let value = |name: &str| lines.iter().find_map(|l| l.strip_prefix(name)).unwrap_or_default().to_owned();
        match expect {
            Ok((start, end)) => {
                assert_eq!(answer.status, 200, "{query}: {}", answer.body);
                assert_eq!((value("DTSTART:").as_str(), value("DTEND:").as_str()), (start, end), "{query}");
            }
            Err(says) => {
                assert_eq!(answer.status, 400, "{query}");
                assert!(answer.body.contains(says), "{query}: {}", answer.body);
            }
        }
    };
    check("", Ok(("20260601T081500Z", "20260731T081500Z"))).await;
    check("other=1", Ok(("20260601T081500Z", "20260731T081500Z"))).await;
    check("start=20260701T000000Z", Ok(("20260701T000000Z", "20260830T000000Z"))).await;
    check("end=20260701T000000Z", Ok(("20260601T081500Z", "20260701T000000Z"))).await;
    check("start=2026-07-01&end=2026-07-02", Ok(("20260630T220000Z", "20260701T220000Z"))).await;
    check("start=2026-07-01T00:00:00Z&end=2026-07-01T01:00:00Z", Ok(("20260701T000000Z", "20260701T010000Z"))).await;
    check("start=2026-07-01T02:00:00%2B02:00&end=2026-07-02", Ok(("20260701T000000Z", "20260701T220000Z"))).await;
    check("start=2026-07-01T02:00:00+02:00&end=2026-07-02", Ok(("20260701T000000Z", "20260701T220000Z"))).await;
    check("start=2026-01-01T00:00:00Z&end=2027-01-02T00:00:00Z", Ok(("20260101T000000Z", "20270102T000000Z"))).await;
    check("start=2026-01-01T00:00:00Z&end=2027-01-02T00:00:01Z", Err("366 days")).await;
    check("start=2026-07-02&end=2026-07-01", Err("`end` has to be after `start`")).await;
    check("start=2026-07-02&end=2026-07-02", Err("`end` has to be after `start`")).await;
    check("start=tomorrow", Err("`start` is not a time")).await;
    check("end=", Err("`end` is not a time")).await;
    check("start=2026-13-01", Err("`start` is not a time")).await;
    check("start=20260701T000000", Err("`start` is not a time")).await;
    check("start=2026-07-01T00:00:00", Err("`start` is not a time")).await;
    check("start=9999-12-01", Err("`start` is not a time")).await;
    check("start=%F0%9F%98%80%F0%9F%98%80%F0%9F%98%80", Err("`start` is not a time")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_feed_says_no_more_than_busy() {
    let gateway = start().await;
    some_events(&gateway).await;
    let answer = ask(&gateway, "GET", &format!("/feed/{BUSY_TOKEN}.ics"), "").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/calendar; charset=utf-8"));
    for hidden in
        ["Zoe", "Pier", "Maybe", "Birthday", "Doctor", "hands", "boss", "lunch", "secret", "ATTENDEE", "LOCATION"]
    {
        assert!(!answer.body.contains(hidden), "{hidden}: {}", answer.body);
    }
    let lines = lines(&answer.body);
    let has = |line: &str| lines.iter().filter(|l| *l == line).count();
    assert_eq!(has("METHOD:PUBLISH"), 1);
    assert_eq!(has("X-WR-CALNAME:Private\\, and more"), 1);
    assert_eq!(has("REFRESH-INTERVAL;VALUE=DURATION:PT15M"), 1);
    assert_eq!(has("X-PUBLISHED-TTL:PT15M"), 1);
    assert_eq!(has("BEGIN:VEVENT"), 5);
    assert_eq!(has("DTSTART:20260602T100000Z"), 1);
    assert_eq!(has("STATUS:TENTATIVE"), 1);
    // The birthday, and the invitation that was declined.
    assert_eq!(has("TRANSP:TRANSPARENT"), 2);
    // The object brought none.
    assert_eq!(has("TZID:Europe/Berlin"), 1);
    assert_eq!(has("BEGIN:STANDARD"), 1);
    assert_eq!(has("BEGIN:DAYLIGHT"), 1);
    assert!(Object::parse(&put_back(&answer.body)).is_err(), "several UIDs in one file are no object");
    assert_eq!(ask(&gateway, "GET", &format!("/feed/{BUSY_TOKEN}.ifb"), "").await.status, 200);
}

/// What she answered under an address that only the account knows counts in a feed that masks, in a unified calendar that
/// masks, and in free/busy, and is seen in none of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_declined_invitation_is_free_under_every_mask() {
    let gateway = start().await;
    team_read_at(&gateway, NOW).await;
    let addresses = async |list: &'static [&'static str]| {
        change(&gateway, move |tx| {
            let anna = users::by_name(tx, "anna")?.unwrap();
            let work = accounts::by_name(tx, anna.id, "work")?.unwrap();
            let list: Vec<String> = list.iter().map(|a| (*a).to_owned()).collect();
            accounts::set_addresses(tx, work.id, &list)?;
            instances::reindex_user(tx, anna.id)?;
            shape::reshape(tx, anna.id, NOW)
        })
        .await;
    };
    addresses(&["anna@work.example"]).await;
    for (day, answer) in [(2, "DECLINED"), (3, "TENTATIVE"), (4, "ACCEPTED")] {
        put(
            &gateway,
            "team",
            event(&format!(
                "UID:{answer}\nSUMMARY:Hidden\nDTSTART:2026060{day}T100000Z\nDTEND:2026060{day}T110000Z\n\
                 ORGANIZER:mailto:boss@work.example\nATTENDEE;PARTSTAT={answer}:mailto:Anna@Work.example"
            )),
        )
        .await;
    }
    // DTSTART and what is said of the time, event by event, by time.
    let said = async |token: &str| {
        let body = ask(&gateway, "GET", &format!("/feed/{token}.ics"), "").await.body;
        for hidden in ["Hidden", "example", "ATTENDEE", "PARTSTAT", "DECLINED", "ACCEPTED"] {
            assert!(!body.contains(hidden), "{hidden}: {body}");
        }
        let lines = lines(&body);
        let events = lines.split(|l| l == "BEGIN:VEVENT").skip(1).map(|event| {
            let shown = |l: &&String| ["DTSTART:", "STATUS:", "TRANSP:"].iter().any(|name| l.starts_with(name));
            event.iter().filter(shown).cloned().collect::<Vec<_>>().join(" ")
        });
        let mut events: Vec<String> = events.collect();
        events.sort();
        events
    };
    let expect = [
        "DTSTART:20260602T100000Z TRANSP:TRANSPARENT",
        "DTSTART:20260603T100000Z STATUS:TENTATIVE TRANSP:OPAQUE",
        "DTSTART:20260604T100000Z TRANSP:OPAQUE",
    ];
    assert_eq!(said(TEAM_TOKEN).await, expect);
    assert_eq!(said(MASKED_TOKEN).await, expect);
    let free_busy = async || {
        let answer = ask(&gateway, "GET", &format!("/feed/{FREEBUSY_TOKEN}.ifb"), "").await;
        lines(&answer.body).into_iter().filter(|l| l.starts_with("FREEBUSY")).collect::<Vec<_>>()
    };
    let tentative = "FREEBUSY;FBTYPE=BUSY-TENTATIVE:20260603T100000Z/20260603T110000Z";
    let busy = "FREEBUSY;FBTYPE=BUSY:20260604T100000Z/20260604T110000Z";
    assert_eq!(free_busy().await, [tentative, busy]);

    // The account tells of other addresses: no event changed, and every answer did.
    let tag =
        async |token: &str| ask(&gateway, "GET", &format!("/feed/{token}.ics"), "").await.header("etag").to_owned();
    let before = [tag(TEAM_TOKEN).await, tag(MASKED_TOKEN).await];
    addresses(&["somebody@work.example"]).await;
    let opaque = [2, 3, 4].map(|day| format!("DTSTART:2026060{day}T100000Z TRANSP:OPAQUE"));
    assert_eq!(said(TEAM_TOKEN).await, opaque);
    assert_eq!(said(MASKED_TOKEN).await, opaque);
    assert_eq!(free_busy().await.len(), 3);
    assert_ne!(tag(TEAM_TOKEN).await, before[0]);
    assert_ne!(tag(MASKED_TOKEN).await, before[1]);
}

/// A feed without its METHOD.
fn put_back(body: &str) -> String {
    body.replace("METHOD:PUBLISH\r\n", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_feed_hides_only_what_is_private() {
    let gateway = start().await;
    some_events(&gateway).await;
    // Two programs, two definitions of a zone that only they know.
    for (uid, offset) in [("x", "+0300"), ("y", "+0400")] {
        let zone = format!(
            "BEGIN:VTIMEZONE\r\nTZID:Own\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:{offset}\r\n\
             TZOFFSETTO:{offset}\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT"
        );
        let lines = format!("UID:{uid}\nSUMMARY:In {offset}\nDTSTART;TZID=Own:20260610T090000\nDURATION:PT1H");
        put(&gateway, "private", event(&lines).replacen("BEGIN:VEVENT", &zone, 1)).await;
    }
    // Three, who mean three zones by a name that is only likely to mean one.
    for (uid, offset) in [("e1", Some("+1000")), ("e2", Some("+1100")), ("e3", None)] {
        let zone = offset.map_or("BEGIN:VEVENT".to_owned(), |offset| {
            format!(
                "BEGIN:VTIMEZONE\r\nTZID:Eastern\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n\
                 TZOFFSETFROM:{offset}\r\nTZOFFSETTO:{offset}\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT"
            )
        });
        let lines = format!("UID:{uid}\nDTSTART;TZID=Eastern:20260611T090000\nDURATION:PT1H");
        put(&gateway, "private", event(&lines).replacen("BEGIN:VEVENT", &zone, 1)).await;
    }
    let answer = ask(&gateway, "GET", &format!("/feed/{FULL_TOKEN}.ics"), "").await;
    let lines = lines(&answer.body);
    let has = |line: &str| lines.iter().filter(|l| *l == line).count();
    for name in ["Eastern", "Eastern (2)", "America/New_York"] {
        assert_eq!(has(&format!("TZID:{name}")), 1, "{name}: {}", answer.body);
        assert_eq!(has(&format!("DTSTART;TZID={name}:20260611T090000")), 1, "{name}: {}", answer.body);
    }
    assert_eq!([has("TZOFFSETTO:+1000"), has("TZOFFSETTO:+1100")], [1, 1]);
    assert_eq!(has("SUMMARY:Lunch with Zoe"), 1);
    assert_eq!(has("LOCATION:Pier 7"), 1);
    assert_eq!(has("UID:lunch"), 1);
    assert!(!answer.body.contains("Doctor") && !answer.body.contains("secret"), "{}", answer.body);
    assert_eq!(has("DTSTART;TZID=Europe/Berlin:20260604T090000"), 1);
    assert_eq!(has("TZID:Own"), 1);
    assert_eq!(has("TZID:Own (2)"), 1);
    assert_eq!(has("DTSTART;TZID=Own:20260610T090000"), 1);
    assert_eq!(has("DTSTART;TZID=Own (2):20260610T090000"), 1);
    // A part of it.
    let part = ask(&gateway, "GET", &format!("/feed/{FULL_TOKEN}.ics?start=2026-06-10&end=2026-06-11"), "").await;
    assert!(part.body.contains("In +0300") && !part.body.contains("Lunch"), "{}", part.body);
}

/// One that is taken away while somebody reads ends as what it is, and not as if that were all.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_feed_goes_out_page_by_page_and_one_that_is_taken_away_does_not_look_whole() {
    let gateway = start().await;
    fill(&gateway, "private", 200).await;
    let request = |query: &str| format!("GET /feed/{FULL_TOKEN}.ics{query} HTTP/1.1\r\nHost: x\r\n\r\n");
    for query in ["", "?start=2026-06-10&end=2026-06-11"] {
        let mut reader = wire(&gateway).await;
        reader.send(request(query)).await;
        let whole = reader.answer().await.expect("an answer");
        assert_eq!((whole.status, whole.header("transfer-encoding")), (200, "chunked"), "{query}");
        assert_eq!(whole.body.matches("END:VEVENT").count(), 200, "{query}");
        assert!(whole.body.ends_with("END:VCALENDAR\r\n"), "{query}");
    }

    // Slow readers keep nobody else from reading.
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut reader = wire(&gateway).await;
        reader.send(request("")).await;
        assert!(reader.more().await);
        slow.push(reader);
    }
    assert_eq!(ask(&gateway, "GET", &format!("/feed/{FREEBUSY_TOKEN}.ifb"), "").await.status, 200);

    let mut config = configuration(&gateway.folder, "", "");
    config.users[0].feeds.clear();
    gateway.app.apply(config).await.unwrap();
    for mut reader in slow {
        while reader.more().await {}
        let part = String::from_utf8_lossy(&reader.held);
        assert!(part.starts_with("HTTP/1.1 200"));
        assert!(!part.contains("END:VCALENDAR") && !part.ends_with("\r\n0\r\n\r\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etag_holds_until_something_changes() {
    let gateway = start().await;
    some_events(&gateway).await;
    for path in [format!("/feed/{FREEBUSY_TOKEN}.ifb"), format!("/feed/{FULL_TOKEN}.ics")] {
        let first = ask(&gateway, "GET", &path, "").await;
        let tag = first.header("etag").to_owned();
        // Events go out page by page, so one tag does not stand for the same bytes.
        let strong = if path.ends_with(".ics") { tag.strip_prefix("W/").expect("a weak one") } else { &tag };
        assert!(strong.starts_with('"') && strong.len() == 34, "{tag}");
        let has = format!("If-None-Match: \"other\", W/{strong}\r\n");
        let same = ask(&gateway, "GET", &path, &has).await;
        assert_eq!((same.status, same.body.as_str(), same.header("etag")), (304, "", tag.as_str()));
        assert_eq!(ask(&gateway, "GET", &path, "If-None-Match: \"other\"\r\n").await.status, 200);
        let head = ask(&gateway, "HEAD", &path, "").await;
        assert_eq!((head.status, head.header("etag")), (200, tag.as_str()));
        assert_eq!(head.header("content-length"), first.body.len().to_string());
        // The same bytes a minute later, and another answer after a change.
        gateway.app.clock.advance(60);
        assert_eq!(ask(&gateway, "GET", &path, "").await.body, first.body);
        put(
            &gateway,
            "private",
            event(&format!("UID:{}\nDTSTART:20260620T100000Z\nDTEND:20260620T110000Z", secrets::new_token())),
        )
        .await;
        let changed = ask(&gateway, "GET", &path, &has).await;
        assert_eq!(changed.status, 200);
        assert_ne!(changed.header("etag"), tag);
    }
    // The window of free/busy moves with the quarter of an hour.
    let path = format!("/feed/{FREEBUSY_TOKEN}.ifb");
    let has = format!("If-None-Match: {}\r\n", ask(&gateway, "GET", &path, "").await.header("etag"));
    gateway.app.clock.advance(900);
    assert_eq!(ask(&gateway, "GET", &path, &has).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_in_two_members_is_busy_when_it_is_in_one() {
    let gateway = start().await;
    team_read_at(&gateway, NOW).await;
    let path = format!("/feed/{FREEBUSY_TOKEN}.ifb");
    let times = "UID:both\nDTSTART:20260602T100000Z\nDTEND:20260602T110000Z";
    let busy = "FREEBUSY;FBTYPE=BUSY:20260602T100000Z/20260602T110000Z".to_owned();
    put(&gateway, "private", event(&format!("{times}\nTRANSP:TRANSPARENT"))).await;
    put(&gateway, "team", event(&format!("{times}\nTRANSP:TRANSPARENT"))).await;
    let first = ask(&gateway, "GET", &path, "").await;
    assert!(!lines(&first.body).contains(&busy));
    // The unified calendar shows the first member's version, and is the same as before.
    put(&gateway, "team", event(times)).await;
    let has = format!("If-None-Match: {}\r\n", first.header("etag"));
    let second = ask(&gateway, "GET", &path, &has).await;
    assert_eq!(second.status, 200);
    assert!(lines(&second.body).contains(&busy), "{}", second.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_is_never_free() {
    let gateway = start().await;
    let path = format!("/feed/{FREEBUSY_TOKEN}.ifb?start=20260701T000000Z&end=20260702T000000Z");
    let all = "FREEBUSY;FBTYPE=BUSY-UNAVAILABLE:20260701T000000Z/20260702T000000Z".to_owned();
    let unknown = async || lines(&ask(&gateway, "GET", &path, "").await.body).contains(&all);
    // The member is not there yet; then it is fresh; then it was not read for an hour; then it was again.
    assert!(unknown().await);
    team_read_at(&gateway, NOW).await;
    let has = format!("If-None-Match: {}\r\n", ask(&gateway, "GET", &path, "").await.header("etag"));
    assert!(!unknown().await);
    gateway.app.clock.advance(3600);
    assert!(!unknown().await);
    assert_eq!(ask(&gateway, "GET", &path, &has).await.status, 304);
    gateway.app.clock.advance(1);
    assert!(unknown().await);
    assert_eq!(ask(&gateway, "GET", &path, &has).await.status, 200, "nothing changed but the time");
    team_read_at(&gateway, gateway.app.clock.now()).await;
    assert!(!unknown().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_configuration_what_is_not_known_is_an_error() {
    let gateway = start_with("", "stale = \"error\"").await;
    let path = format!("/feed/{FREEBUSY_TOKEN}.ifb");
    let refused = ask(&gateway, "GET", &path, "If-None-Match: *\r\n").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "300"));
    team_read_at(&gateway, NOW).await;
    assert_eq!(ask(&gateway, "GET", &path, "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_as_wrong_as_any() {
    let gateway = start().await;
    let wrong = [
        "/feed/wrong.ifb".to_owned(),
        "/feed/wrong.ics?start=nonsense".to_owned(),
        "/feed/.ics".to_owned(),
        "/feed/".to_owned(),
        format!("/feed/{FREEBUSY_TOKEN}"),
        format!("/feed/{FREEBUSY_TOKEN}.txt"),
        // It has no events.
        format!("/feed/{FREEBUSY_TOKEN}.ics"),
        format!("/feed/{}.ics", FULL_TOKEN.to_uppercase()),
        format!("/feed/{}.ics", "x".repeat(5_000)),
    ];
    let mut seen = Vec::new();
    for path in &wrong {
        let mut answer = ask(&gateway, "GET", path, "").await;
        answer.headers.remove("x-request-id");
        answer.headers.remove("date");
        let mut headers: Vec<_> = answer.headers.into_iter().collect();
        headers.sort();
        seen.push((answer.status, answer.body, headers));
    }
    assert_eq!(seen[0].0, 404);
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:#?}");
    for n in wrong.len()..60 {
        assert_eq!(ask(&gateway, "GET", &format!("/feed/{n}.ics"), "").await.status, 404);
    }
    let refused = ask(&gateway, "GET", "/feed/61.ics", "").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "60"));
    // Who has the right one is not kept out by others at the same address.
    assert_eq!(ask(&gateway, "GET", &format!("/feed/{FULL_TOKEN}.ics"), "").await.status, 200);
    gateway.app.clock.advance(60);
    assert_eq!(ask(&gateway, "GET", "/feed/62.ics", "").await.status, 404);
}
