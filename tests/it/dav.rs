//! CalDAV as clients see it: `fixtures/dav/*.http` are exchanges, request in, answer out, byte for byte.
//!
//! A file is lines of `#` that say what it shows, then exchanges. `UPDATE=1 cargo test --test it dav` writes what is
//! answered into the files, for a person to read.
//!
//! ```text
//! PROPFIND /dav/anna/work/            the request line
//! Depth: 0                            its headers
//!                                     an empty line
//! <propfind …                         its body
//! --- 207                             the status of the answer
//! ETag: "…"                           headers that say something, see `HEADERS`
//!                                     an empty line
//! <?xml …                             the body
//! ===                                 the next exchange
//! ```
//!
//! Every file begins in the same world, see `world`: it is 2026-06-01T08:00:00Z, and Anna has the local calendars `work`
//! and `home`, the upstream calendar `team` that she can only read, `all` over `work` and `team`, and `shown`, where
//! `work` is masked as busy and `team` to titles. What is in them are the files of `fixtures/dav/world/`. Ben has nothing.
//!
//! Epochs are random: `{work}` stands for the calendar's, and `{~}` for that of a home (in requests: Anna's). In requests, `{token:1}` is the first sync token that an answer
//! of the file had, and `{etag:work/x.ics}` the present etag of that resource. `{masked:shown/UID}` is what a mask in
//! `shown` makes of a UID; because names made of it sort in no order that lasts, answers with such names are shown in the
//! order of their texts.
//! Calendar data has its CRLF on the wire and a plain line end in the files; in XML it shows as `&#13;`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use calgate::app::App;
use calgate::clock::Clock;
use calgate::dav::props::PROPS;
use calgate::ical::{Instant, Kind, Object, redact};
use calgate::ids::{Etag, Name, RemoteId};
use calgate::secrets::Secrets;
use calgate::store::calendars::{self, Calendar, Given};
use calgate::store::resources::{self, Version};
use calgate::store::subscriptions::Subject;
use calgate::store::users::{self, Actor};
use calgate::store::{self, accounts, homes, shape, unified};
use calgate::{config, dav};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;

use crate::kit;

pub(crate) const CONFIG: &str = r##"
[server]
public_url = "https://cal.example.org"

[limits]
body = "64 KiB"

[[user]]
name = "anna"
display_name = "Anna Muster"
email = ["anna@example.org", "a.muster@example.com"]
timezone = "Europe/Berlin"

[[user.calendar]]
name = "work"
display_name = "Work"
color = "#1565C0"

[[user.calendar]]
name = "home"
display_name = "Home & <garden>"

[[user.account]]
name = "office"
kind = "caldav"
url = "https://dav.example.com/"
username = "anna"
password = "sealed"

[[user.unified]]
name = "all"
display_name = "All"
members = ["work", "team"]
write_to = "work"

[[user.unified]]
name = "shown"
display_name = "Shown"
members = [{ calendar = "work", mask = "busy" }, { calendar = "team", mask = "title" }, "home"]

[[user]]
name = "ben"
email = "ben@example.org"

[[user]]
name = "cora"
email = "cora@example.org"
free_busy = "nobody"

[[user.account]]
name = "office"
kind = "caldav"
url = "https://dav.example.net/"
username = "cora"
password = "sealed"
"##;

/// 2026-06-01T08:00:00Z, a Monday.
const NOW: Instant = Instant(1_780_300_800);

/// Headers that are shown, and compared, when they are there.
const HEADERS: [&str; 12] = [
    "allow",
    "etag",
    "content-location",
    "schedule-tag",
    "last-modified",
    "location",
    "retry-after",
    "preference-applied",
    "content-type",
    "content-length",
    "cache-control",
    "vary",
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/dav")
}

struct World {
    app: Arc<App>,
    anna: Actor,
    /// The sync tokens that answers had, in order.
    tokens: Mutex<Vec<String>>,
    /// Every UID that was ever put.
    uids: Mutex<BTreeSet<String>>,
}

async fn world() -> World {
    world_at("https://cal.example.org").await
}

async fn world_at(public_url: &str) -> World {
    world_with(public_url, "").await
}

/// `more`: tables of the configuration besides those of [`CONFIG`], which has `[limits]` already.
async fn world_with(public_url: &str, more: &str) -> World {
    let text = CONFIG.replace("https://cal.example.org", public_url);
    let text = match more.strip_prefix("[limits]\n") {
        Some(limits) => text.replace("[limits]\n", &format!("[limits]\n{limits}")),
        None => text,
    };
    let mut config = config::parse(&text, Path::new("gateway.toml")).unwrap_or_else(|c| panic!("{c:?}"));
    config.storage.url = "sqlite::memory:".to_owned();
    let app = App::open(config, Secrets::ephemeral(), Clock::held(NOW)).await.unwrap();
    let (anna, uids) = furnish(&app).await;
    World { app, anna, tokens: Mutex::default(), uids: Mutex::new(uids) }
}

/// Puts into the calendars what is in them; Anna, and the UIDs that were put.
pub(crate) async fn furnish(app: &App) -> (Actor, BTreeSet<String>) {
    let mut files = Vec::new();
    for slug in ["work", "team"] {
        let mut names: Vec<PathBuf> =
            std::fs::read_dir(fixtures().join("world").join(slug)).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        for file in names {
            let text = std::fs::read_to_string(&file).unwrap().replace('\n', "\r\n");
            let name = file.file_name().unwrap().to_str().unwrap().replace('_', " ");
            files.push((slug, Name::new(&name).unwrap(), Object::parse(&text).unwrap()));
        }
    }
    let uids = files.iter().map(|(.., object)| object.uid().to_owned()).collect();
    let anna = app
        .store
        .write(move |tx| {
            let user = users::by_name(tx, "anna")?.unwrap();
            let account = accounts::by_name(tx, user.id, "office")?.unwrap();
            let given = Given {
                name: "Team",
                color: "",
                text: "What the others do",
                writable: false,
                components: &[Kind::Event],
                ..Given::default()
            };
            let remote = RemoteId::from("/dav/team/");
            let team = calendars::mirror(tx, &account, "team", &remote, "Team", &given, NOW)?.unwrap();
            shape::reshape(tx, user.id, NOW)?;
            calendars::pulled(tx, team, None, true, NOW)?;
            for (slug, name, object) in &files {
                let calendar = calendars::home(tx, &Actor::of(&user), "anna").unwrap();
                let calendar = calendar.iter().find(|c| c.slug == *slug).unwrap();
                let (remote, etag) = (RemoteId(format!("/dav/team/{name}")), Etag::from("1"));
                let to = match *slug {
                    "team" => Version::Agreed { object, remote: &remote, etag: &etag },
                    _ => Version::Client(Some(object)),
                };
                resources::save(tx, calendar, name, to, NOW)?;
            }
            Ok::<_, store::Error>(Actor::of(&user))
        })
        .await
        .unwrap();
    (anna, uids)
}

impl World {
    /// Upstream turns out to hold that object in a calendar that mirrors it.
    async fn hold(&self, path: &str, text: &[u8]) -> Response<Bytes> {
        let (anna, name) = (self.anna.clone(), Name::new(path.rsplit('/').next().unwrap()).unwrap());
        let slug = path.rsplit('/').nth(1).unwrap().to_owned();
        let object = Object::parse(std::str::from_utf8(text).unwrap()).unwrap();
        let held = self.app.store.write(move |tx| {
            let calendar = calendars::open(tx, &anna, "anna", &slug, calendars::Need::Read)?;
            let (remote, etag) = (RemoteId(format!("/dav/{slug}/{name}")), Etag::from("1"));
            let to = Version::Agreed { object: &object, remote: &remote, etag: &etag };
            Ok::<_, calendars::Denied>(resources::save(tx, &calendar, &name, to, NOW).map(|_| ())?)
        });
        held.await.unwrap();
        Response::new(Bytes::new())
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response<Bytes> {
        let lines = std::str::from_utf8(body).unwrap_or("").lines();
        self.uids.lock().unwrap().extend(lines.filter_map(|l| l.strip_prefix("UID:")).map(str::to_owned));
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        let mut anna = self.anna.clone();
        for (name, value) in headers {
            match *name {
                // Not a header that is sent: what the password of this request may do.
                "Test-Read-Only" => anna.may_write = false,
                // Nor this: nobody asks, it is there.
                "Test-Upstream" => return self.hold(path, body).await,
                // Nor this: who asks.
                "Test-User" => {
                    let name = (*value).to_owned();
                    let user = self.app.store.read(move |tx| users::by_name(tx, &name)).await.unwrap().unwrap();
                    anna = Actor { may_write: anna.may_write, ..Actor::of(&user) };
                }
                name => request = request.header(name, *value),
            }
        }
        let answer = dav::handle(&self.app, &anna, request.body(Bytes::copy_from_slice(body)).unwrap()).await;
        let (head, body) = answer.into_parts();
        Response::from_parts(head, body.collect().await.unwrap().to_bytes())
    }

    /// The epoch of anna's home: `{~}`.
    async fn home_epoch(&self) -> String {
        let user = self.anna.user;
        let home = self.app.store.read(move |tx| homes::home(tx, user)).await;
        home.map(|home: homes::Home| format!("{:x}", home.epoch)).unwrap_or_else(|e: store::Error| panic!("{e}"))
    }

    /// What is random in the properties of WebDAV-Push, and how that is written in the files.
    async fn pushed(&self) -> Vec<(String, String)> {
        let all = self.app.store.read(calendars::every).await.unwrap();
        let Some(push) = self.app.push.load_full() else { return Vec::new() };
        let key = (push.public_key().to_owned(), "{vapid}".to_owned());
        let home = (push.topic(Subject::Home(self.anna.user)), "{topic:~}".to_owned());
        let topics = all.iter().map(|c| (push.topic(Subject::Calendar(c.id)), format!("{{topic:{}}}", c.slug)));
        topics.chain([key, home]).collect()
    }

    /// Slugs and epochs of the calendars there are now.
    async fn epochs(&self) -> Vec<(String, String)> {
        let all = self.app.store.read(calendars::every).await.unwrap();
        // Anna's by their names alone, Ben's with his before it.
        let name = |c: &Calendar| if c.owner == "anna" { c.slug.clone() } else { format!("{}/{}", c.owner, c.slug) };
        all.into_iter().map(|c| (name(&c), format!("{:x}", c.epoch))).collect()
    }

    /// What masks make of UIDs in `shown`, and how that is written in the files.
    async fn masked(&self) -> Vec<(String, String)> {
        let anna = self.anna.clone();
        let viewer = self.app.store.read(move |tx| {
            let shown = calendars::open(tx, &anna, "anna", "shown", calendars::Need::Read)?;
            Ok::<_, calendars::Denied>(unified::viewer(tx, shown.id)?)
        });
        let viewer = viewer.await.unwrap();
        let uids = self.uids.lock().unwrap();
        uids.iter().map(|uid| (redact::masked_uid(uid, &viewer), format!("{{masked:shown/{uid}}}"))).collect()
    }

    /// Puts in what a request can not know beforehand.
    async fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (slug, epoch) in self.epochs().await {
            text = text.replace(&format!("{{{slug}}}"), &epoch);
        }
        text = text.replace("{~}", &self.home_epoch().await);
        for (at, token) in self.tokens.lock().unwrap().iter().enumerate() {
            text = text.replace(&format!("{{token:{}}}", at + 1), token);
        }
        for (masked, written) in self.masked().await {
            text = text.replace(&written, &masked);
        }
        while let Some(at) = text.find("{etag:") {
            let end = at + text[at..].find('}').unwrap();
            let (slug, name) = text[at + 6..end].split_once('/').unwrap();
            let (anna, slug, name) = (self.anna.clone(), slug.to_owned(), Name::new(name).unwrap());
            let found = self.app.store.read(move |tx| {
                let calendar = calendars::open(tx, &anna, "anna", &slug, calendars::Need::Read)?;
                Ok::<_, calendars::Denied>(resources::get(tx, &calendar, &name)?)
            });
            let etag = found.await.unwrap().map_or("none".to_owned(), |r| r.etag.0);
            text.replace_range(at..=end, &format!("\"{etag}\""));
        }
        text
    }
}

/// One exchange as it is written down.
struct Exchange {
    request: String,
    answer: String,
}

fn read(text: &str) -> (String, Vec<Exchange>) {
    let mut intro = String::new();
    let mut rest = text;
    while rest.starts_with('#') || rest.starts_with('\n') {
        let end = rest.find('\n').map_or(rest.len(), |at| at + 1);
        intro.push_str(&rest[..end]);
        rest = &rest[end..];
    }
    let exchanges = rest
        .split("\n===\n")
        .map(|one| {
            let (request, answer) = one.split_once("\n--- ").unwrap_or((one.trim_end_matches('\n'), ""));
            Exchange { request: request.to_owned(), answer: answer.trim_end().to_owned() }
        })
        .collect();
    (intro, exchanges)
}

/// Sends the request of an exchange and writes the answer down.
async fn play(world: &World, request: &str) -> String {
    let request = world.fill(request).await;
    let (head, body) = request.split_once("\n\n").unwrap_or((&request, ""));
    let mut lines = head.lines();
    let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
    let headers: Vec<(&str, &str)> = lines.map(|l| l.split_once(':').unwrap()).map(|(n, v)| (n, v.trim())).collect();
    let body = if body.starts_with("BEGIN:") { format!("{body}\n").replace('\n', "\r\n") } else { body.to_owned() };
    let answer = world.send(method, path, &headers, body.as_bytes()).await;

    assert_ne!(answer.status(), StatusCode::UNAUTHORIZED, "401 is for the web layer");
    let mut shown = format!("{}\n", answer.status().as_str());
    for name in HEADERS {
        if let Some(value) = answer.headers().get(name) {
            let value = value.to_str().unwrap();
            let plain =
                value == "application/xml; charset=utf-8" || value == "Brief, Prefer" || value == "private, no-cache";
            if name == "etag" && path.split('?').next().is_some_and(|path| path.ends_with('/')) {
                // Made of the epoch, which is random.
                let weak = if value.starts_with("W/") { "W/ " } else { "" };
                writeln!(shown, "etag: {weak}of this state").unwrap();
            } else if !plain {
                writeln!(shown, "{name}: {value}").unwrap();
            }
        }
    }
    if method == "OPTIONS" {
        writeln!(shown, "dav: {}", answer.headers()["dav"].to_str().unwrap()).unwrap();
    }
    let body = std::str::from_utf8(answer.body()).unwrap();
    if answer.headers().get("content-type").is_some_and(|t| t.as_bytes().starts_with(b"application/xml")) {
        well_formed(body);
        assert!(!body.contains('\r'), "a bare CR in XML is lost on its way");
    }
    for rest in body.split("<D:sync-token>").skip(1) {
        world.tokens.lock().unwrap().extend(rest.split_once("</D:sync-token>").map(|(token, _)| token.to_owned()));
    }
    let mut body = body.replace("\r\n", "\n");
    let mut homes = body.split("urn:calgate:home:");
    let mut steady = homes.next().unwrap_or_default().to_owned();
    for rest in homes {
        steady += &format!("urn:calgate:home:{{~}}{}", &rest[rest.find(':').unwrap_or(0)..]);
    }
    body = steady;
    for (slug, epoch) in world.epochs().await {
        body = body.replace(&format!("urn:calgate:{epoch}:"), &format!("urn:calgate:{{{slug}}}:"));
    }
    // So are the identities that are made of epochs.
    let mut at = 0;
    while let Some(found) = body[at..].find("urn:uuid:") {
        at += found + "urn:uuid:".len();
        let end = at + body[at..].find('<').unwrap();
        if end - at == 36 {
            body.replace_range(at..end, "...");
        }
    }
    // What a mask makes of a UID is another one in every installation.
    for (masked, shown) in world.masked().await {
        body = body.replace(&masked, &shown);
    }
    for (random, shown) in world.pushed().await {
        body = body.replace(&random, &shown);
    }
    if body.contains("<D:multistatus") && body.contains("}.ics</D:href>") {
        body = in_order(&body);
    }
    if !body.is_empty() {
        write!(shown, "\n{body}").unwrap();
    }
    shown.trim_end().to_owned()
}

/// A multistatus with its responses in the order of their texts.
fn in_order(body: &str) -> String {
    let (head, rest) = body.split_once("<D:response>").unwrap();
    let (list, tail) = rest.rsplit_once("</D:response>\n").unwrap();
    let mut list: Vec<&str> = list.split("</D:response>\n<D:response>").collect();
    list.sort_unstable();
    format!("{head}<D:response>{}</D:response>\n{tail}", list.join("</D:response>\n<D:response>"))
}

/// Reads the XML to its end; every prefix in it must be declared.
pub(crate) fn well_formed(text: &str) {
    let mut reader = quick_xml::NsReader::from_str(text);
    let mut depth = 0;
    loop {
        let event = reader.read_resolved_event().unwrap_or_else(|e| panic!("{e}: {text}"));
        match event {
            (quick_xml::name::ResolveResult::Unknown(prefix), _) => panic!("prefix {prefix:?} in {text}"),
            (_, quick_xml::events::Event::Start(_)) => depth += 1,
            (_, quick_xml::events::Event::End(_)) => depth -= 1,
            (_, quick_xml::events::Event::Eof) => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0, "{text}");
}

fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(fixtures())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "http"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn every_exchange_in_fixtures_dav() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = String::new();
    for file in files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let (intro, exchanges) = read(&text);
        assert!(intro.starts_with('#'), "{} does not say what it shows", file.display());
        let world = world().await;
        let mut played = intro;
        for (at, exchange) in exchanges.iter().enumerate() {
            let answer = play(&world, &exchange.request).await;
            if answer != exchange.answer {
                let name = file.file_name().unwrap().to_string_lossy();
                writeln!(
                    wrong,
                    "\n{name}, exchange {}: {}\n  expected {}\n  answered {}",
                    at + 1,
                    exchange.request.lines().next().unwrap_or(""),
                    exchange.answer.replace('\n', "\n           "),
                    answer.replace('\n', "\n           "),
                )
                .unwrap();
            }
            let border = if at == 0 { "" } else { "===\n" };
            write!(played, "{border}{}\n--- {answer}\n", exchange.request).unwrap();
        }
        if update && played != text {
            std::fs::write(&file, played).unwrap();
        }
    }
    assert!(update || wrong.is_empty(), "{wrong}");
}

/// The same exchanges where `public_url` has a path: every answer is the same, but that each href in it, and each URL of
/// ours, has that path.
#[tokio::test(flavor = "multi_thread")]
async fn every_href_has_the_path_of_public_url() {
    const PATH: &str = "/our/cal/";
    let mut wrong = String::new();
    for file in files() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let world = world_at("https://cal.example.org/our/cal").await;
        for (at, exchange) in read(&text).1.into_iter().enumerate() {
            let answer = play(&world, &exchange.request).await;
            let elements =
                answer.split("<D:href").skip(1).filter_map(|rest| rest.split_once('>')?.1.split("</").next());
            let locations = ["location: ", "content-location: "];
            let headers = answer.lines().filter_map(|line| locations.iter().find_map(|name| line.strip_prefix(name)));
            for href in elements.chain(headers) {
                let ours = href.starts_with('/') || href.contains("cal.example.org");
                // What can not be read is given back as it came.
                let echoed =
                    exchange.request.contains(&format!(">{href}<")) || exchange.request.contains(&format!(":{href}\n"));
                if ours && !href.contains(PATH) && !echoed {
                    writeln!(wrong, "{name}, exchange {}: {href} lacks the path", at + 1).unwrap();
                }
            }
            let length = |line: &&str| !line.starts_with("content-length: ");
            let lines = |text: &str| text.lines().filter(length).map(str::to_owned).collect::<Vec<_>>();
            let (answered, expected) = (lines(&answer.replace(PATH, "/")), lines(&exchange.answer));
            for (answered, expected) in answered.iter().zip(&expected).filter(|(a, e)| a != e) {
                writeln!(wrong, "{name}, exchange {}:\n  {expected}\n  {answered}", at + 1).unwrap();
            }
            assert_eq!(answered.len(), expected.len(), "{name}, exchange {}: {answer}", at + 1);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Trap of many young servers: `calendar-auto-schedule` where nothing is sent keeps clients from sending themselves, and
/// guests never hear; left out where an upstream sends, they hear twice.
#[tokio::test(flavor = "multi_thread")]
async fn auto_schedule_is_claimed_where_an_upstream_sends_invitations_and_nowhere_else() {
    let world = world().await;
    let mirror = async |name: &'static str, slug: &'static str, schedules: bool| {
        let made = world.app.store.write(move |tx| {
            let user = users::by_name(tx, name)?.unwrap();
            let account = accounts::by_name(tx, user.id, "office")?.unwrap();
            let given = Given { name: slug, writable: true, components: &[Kind::Event], schedules, ..Given::default() };
            let remote = RemoteId(format!("/{slug}/"));
            calendars::mirror(tx, &account, slug, &remote, slug, &given, NOW)?;
            Ok::<_, store::Error>(Actor::of(&user))
        });
        made.await.unwrap()
    };
    let claims = async |actor: &Actor, path: &str| {
        let request = Request::builder().method("PROPFIND").uri(path).header("depth", "0");
        let answer = dav::handle(&world.app, actor, request.body(Bytes::new()).unwrap()).await;
        let said = answer.headers()["dav"].to_str().unwrap();
        assert!(said.split(", ").any(|token| token == "calendar-availability"), "{path}: {said}");
        said.split(", ").any(|token| token == "calendar-auto-schedule")
    };
    let anna = mirror("anna", "sending", true).await;
    for (path, expect) in [
        ("/dav/anna/sending/", true),
        ("/dav/anna/work/", false),
        ("/dav/anna/team/", false),
        ("/dav/anna/all/", false),
        ("/dav/anna/", false),
        ("/dav/anna/inbox/", false),
        ("/dav/principals/anna/", false),
        ("/dav/cora/", false),
        ("/", false),
    ] {
        assert_eq!(claims(&anna, path).await, expect, "{path}");
    }
    // Whatever can be put into the home is sent: then the home says so too.
    let cora = mirror("cora", "meetings", true).await;
    for path in ["/dav/cora/meetings/", "/dav/cora/", "/dav/principals/cora/", "/dav/cora/inbox/", "/dav/cora/outbox/"]
    {
        assert!(claims(&cora, path).await, "{path}");
    }
    // One that is not sent from, and the home claims nothing any more.
    mirror("cora", "notes", false).await;
    assert!(claims(&cora, "/dav/cora/meetings/").await);
    assert!(!claims(&cora, "/dav/cora/").await && !claims(&cora, "/dav/principals/cora/").await);
}

/// RFC 5842 3.1: no two collections have one identity, and each keeps its own.
#[tokio::test]
async fn each_collection_has_an_identity_of_its_own() {
    let world = world_at("https://cal.example.org").await;
    let ask = async || {
        let body = b"<propfind xmlns='DAV:'><prop><resource-id/></prop></propfind>";
        let answer = world.send("PROPFIND", "/dav/anna/", &[("Depth", "1")], body).await;
        let text = std::str::from_utf8(answer.body()).unwrap().to_owned();
        text.split("urn:uuid:").skip(1).map(|rest| rest[..36].to_owned()).collect::<Vec<_>>()
    };
    let first = ask().await;
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 6, "{first:?}");
    world
        .send(
            "PROPPATCH",
            "/dav/anna/work/",
            &[],
            b"<propertyupdate xmlns='DAV:'><set><prop><displayname>x</displayname></prop></set></propertyupdate>",
        )
        .await;
    assert_eq!(ask().await, first);
}

/// What is full takes nothing more, and what is there can still be changed.
#[tokio::test]
async fn what_is_full_takes_no_more() {
    let world = world_with("https://cal.example.org", "[limits]\nobjects = 6\ncalendars = 6\nattendees = 2\n").await;
    let event = |uid: &str, guests: usize| {
        let guests: String = (0..guests).map(|n| format!("ATTENDEE:mailto:{n}@example.org\r\n")).collect();
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
             DTSTAMP:20260101T000000Z\r\nDTSTART:20260601T000000Z\r\n{guests}END:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    };
    let send = async |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        let answer = world.send(method, path, headers, body.as_bytes()).await;
        (answer.status().as_u16(), std::str::from_utf8(answer.body()).unwrap().to_owned())
    };
    let typed = [("Content-Type", "text/calendar")];
    // Four are there already.
    assert_eq!(send("PUT", "/dav/anna/work/5.ics", &[], &event("5", 2)).await.0, 201);
    let (status, why) = send("PUT", "/dav/anna/work/6.ics", &[], &event("6", 3)).await;
    assert_eq!(status, 403);
    assert!(why.contains("<C:max-attendees-per-instance/>"), "{why}");
    assert_eq!(send("POST", "/dav/anna/work/", &typed, &event("6", 0)).await.0, 201);
    for (method, path, headers) in [
        ("PUT", "/dav/anna/work/7.ics", &[][..]),
        ("PUT", "/dav/anna/all/7.ics", &[][..]),
        ("POST", "/dav/anna/work/", &typed[..]),
    ] {
        let (status, why) = send(method, path, headers, &event("7", 0)).await;
        assert_eq!(status, 507, "{method} {path}");
        assert!(why.contains("<D:quota-not-exceeded/>"), "{why}");
    }
    assert_eq!(send("PUT", "/dav/anna/home/7.ics", &[], &event("7", 0)).await.0, 201);
    let to_work = [("Destination", "/dav/anna/work/7.ics")];
    assert_eq!(send("MOVE", "/dav/anna/home/7.ics", &to_work, "").await.0, 507);
    assert_eq!(send("COPY", "/dav/anna/home/7.ics", &to_work, "").await.0, 507);
    assert_eq!(send("PUT", "/dav/anna/work/5.ics", &[], &event("5", 0)).await.0, 204);
    assert_eq!(send("DELETE", "/dav/anna/work/5.ics", &[], "").await.0, 204);
    assert_eq!(send("MOVE", "/dav/anna/home/7.ics", &to_work, "").await.0, 201);
    assert_eq!(send("PUT", "/dav/anna/work/8.ics", &[], &event("8", 0)).await.0, 507);
    // Five calendars are there already.
    assert_eq!(send("MKCALENDAR", "/dav/anna/sixth/", &[], "").await.0, 201);
    let (status, why) = send("MKCALENDAR", "/dav/anna/seventh/", &[], "").await;
    assert_eq!(status, 507);
    assert!(why.contains("<D:quota-not-exceeded/>"), "{why}");
}

/// What the calendars of a user hold is counted by the byte, whatever is done with them, and is bounded.
#[tokio::test]
async fn what_is_stored_is_counted_and_bounded() {
    const ALL: i64 = 1 << 20;
    let world = world_with("https://cal.example.org", "[limits]\nstorage = \"1 MiB\"\n").await;
    let event = |uid: &str, size: usize| {
        let description = format!("{}\r\n ", "x".repeat(60)).repeat(size / 60);
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
             DTSTAMP:20260101T000000Z\r\nDTSTART:20260601T000000Z\r\nDESCRIPTION:{description}\r\n\
             END:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    };
    let send = async |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        let answer = world.send(method, path, headers, body.as_bytes()).await;
        (answer.status().as_u16(), std::str::from_utf8(answer.body()).unwrap().to_owned())
    };
    let numbers = async |path: &str, depth: &str, name: &str| -> Vec<i64> {
        let body = format!("<propfind xmlns=\"DAV:\"><prop><{name}/></prop></propfind>");
        let (_, answer) = send("PROPFIND", path, &[("Depth", depth)], &body).await;
        let tag = format!("<D:{name}>");
        answer.split(&tag).skip(1).map(|rest| rest.split('<').next().unwrap().parse().unwrap()).collect()
    };
    let holds = async |what: &str| -> i64 {
        let mut sum = 0;
        for calendar in ["/dav/anna/work/", "/dav/anna/home/", "/dav/anna/team/", "/dav/anna/new/"] {
            sum += numbers(calendar, "1", "getcontentlength").await.iter().sum::<i64>();
        }
        for path in ["/dav/anna/", "/dav/anna/work/", "/dav/anna/all/"] {
            assert_eq!(numbers(path, "0", "quota-used-bytes").await, [sum], "{path} after {what}");
            assert_eq!(numbers(path, "0", "quota-available-bytes").await, [(ALL - sum).max(0)], "{path} after {what}");
        }
        sum
    };
    assert!(holds("nothing").await > 0);
    for n in 0..15 {
        assert_eq!(
            send("PUT", &format!("/dav/anna/home/f{n}.ics"), &[], &event(&format!("f{n}"), 60_000)).await.0,
            201
        );
    }
    let at_first = holds("it was nearly full").await;
    let large = event("large", 40_000);
    for (path, uid, size, status) in [
        ("/dav/anna/home/1.ics", "1", 40_000, 201),
        ("/dav/anna/all/2.ics", "2", 40_000, 201),
        ("/dav/anna/home/3.ics", "3", 40_000, 507),
        ("/dav/anna/all/3.ics", "3", 40_000, 507),
        ("/dav/anna/home/1.ics", "1", 60_000, 507),
        ("/dav/anna/home/1.ics", "1", 39_000, 204),
        ("/dav/anna/all/2.ics", "2", 41_000, 204),
        ("/dav/anna/home/3.ics", "3", 3_000, 201),
    ] {
        let (answer, why) = send("PUT", path, &[], &event(uid, size)).await;
        assert_eq!(answer, status, "{path} {size}: {why}");
        assert!(status != 507 || why.contains("<D:quota-not-exceeded/>"), "{why}");
        holds(&format!("PUT {path} {size}")).await;
    }
    assert_eq!(send("MKCALENDAR", "/dav/anna/new/", &[], "").await.0, 201);
    let to = |path| [("Destination", path)];
    assert_eq!(send("COPY", "/dav/anna/home/1.ics", &to("/dav/anna/new/1.ics"), "").await.0, 507);
    holds("a copy without room").await;
    assert_eq!(send("COPY", "/dav/anna/home/3.ics", &to("/dav/anna/new/3.ics"), "").await.0, 201);
    holds("a copy").await;
    // To move takes no room.
    assert_eq!(send("MOVE", "/dav/anna/home/1.ics", &to("/dav/anna/new/1.ics"), "").await.0, 201);
    holds("a move").await;
    assert_eq!(send("MOVE", "/dav/anna/new/1.ics", &to("/dav/anna/new/2.ics"), "").await.0, 201);
    holds("another name").await;
    assert_eq!(send("PUT", "/dav/anna/home/large.ics", &[], &large).await.0, 507);
    assert_eq!(send("DELETE", "/dav/anna/new/", &[], "").await.0, 204);
    holds("a calendar less").await;
    assert_eq!(send("PUT", "/dav/anna/home/large.ics", &[], &large).await.0, 201);
    for path in ["/dav/anna/home/large.ics", "/dav/anna/all/2.ics", "/dav/anna/home/3.ics"] {
        assert_eq!(send("DELETE", path, &[], "").await.0, 204);
    }
    assert_eq!(holds("it was all removed").await, at_first);
    // What others have stored is theirs to know.
    let asks = |path| numbers(path, "0", "quota-used-bytes");
    assert_eq!(asks("/dav/principals/anna/").await, [0i64; 0]);
    assert_eq!(asks("/dav/anna/work/standup.ics").await, [0i64; 0]);
}

/// What would be more than may be expanded is not made at all, of one object as of many.
#[tokio::test]
async fn no_more_is_expanded_than_the_limit() {
    let world = world_with("https://cal.example.org", "[limits]\nexpanded = \"16 KiB\"\n").await;
    let text =
        kit::event_text("long", &format!("DTSTART:20260601T100000Z\nRRULE:FREQ=DAILY\nSUMMARY:{}", "x".repeat(3000)));
    assert_eq!(world.send("PUT", "/dav/anna/work/long.ics", &[], text.as_bytes()).await.status(), 201);
    let expanded = async |end: &str| {
        let body = format!(
            "<C:calendar-multiget xmlns='DAV:' xmlns:C='urn:ietf:params:xml:ns:caldav'><prop><C:calendar-data>\
             <C:expand start='20260601T000000Z' end='{end}'/></C:calendar-data></prop>\
             <href>/dav/anna/work/long.ics</href></C:calendar-multiget>"
        );
        let answer = world.send("REPORT", "/dav/anna/work/", &[], body.as_bytes()).await;
        let text = std::str::from_utf8(answer.body()).unwrap();
        (text.matches("BEGIN:VEVENT").count(), text.contains("507 Insufficient Storage"))
    };
    assert_eq!(expanded("20260604T000000Z").await, (3, false));
    assert_eq!(expanded("20260611T000000Z").await, (0, true));
}

/// Where hrefs lead to one and the same large thing again and again, its octets are counted each time.
#[tokio::test]
async fn what_is_followed_is_bounded() {
    let world = world().await;
    for name in ["one", "two"] {
        let text = "x".repeat(60_000);
        let patch = format!(
            "<propertyupdate xmlns='DAV:'><set><prop><{name} xmlns='urn:x'>{text}</{name}></prop></set></propertyupdate>"
        );
        let answer = world.send("PROPPATCH", "/dav/principals/anna/", &[], patch.as_bytes()).await;
        assert!(std::str::from_utf8(answer.body()).unwrap().contains("200 OK"));
    }
    for number in 0..80 {
        let made = world.send("MKCALENDAR", &format!("/dav/anna/c{number}/"), &[], b"").await;
        assert_eq!(made.status(), StatusCode::CREATED);
    }
    let large = "<property name='one' namespace='urn:x'/><property name='two' namespace='urn:x'/>";
    let expand = async |what: &str| {
        let body = format!("<expand-property xmlns='DAV:'>{what}</expand-property>");
        let answer = world.send("REPORT", "/dav/anna/inbox/", &[], body.as_bytes()).await;
        (answer.status().as_u16(), String::from_utf8(answer.body().to_vec()).unwrap())
    };
    let (status, told) = expand(&format!("<property name='owner'>{large}</property>")).await;
    assert_eq!((status, told.len() > 120_000), (207, true));
    let of_all = format!(
        "<property name='calendar-free-busy-set' namespace='urn:ietf:params:xml:ns:caldav'><property name='owner'>{large}\
         </property></property>"
    );
    let (status, told) = expand(&of_all).await;
    assert_eq!(status, 507, "{} octets", told.len());
    assert!(told.contains("<D:number-of-matches-within-limits/>"), "{told}");
}

/// Every row of the table is asked for in some exchange, and no two rows are of one name.
#[test]
fn every_property_is_in_an_exchange() {
    let files = std::fs::read_dir(fixtures()).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_file());
    let texts: String = files.map(|p| std::fs::read_to_string(p).unwrap()).collect();
    for (at, prop) in PROPS.iter().enumerate() {
        let shown = format!("<{}:{}", prop.ns.prefix(), prop.name);
        assert!(texts.contains(&shown), "{shown} is in no exchange");
        assert!(!PROPS[..at].iter().any(|p| p.ns == prop.ns && p.name == prop.name), "{shown} is there twice");
    }
}

/// Requests that are nearly right: elements, attributes and texts of the protocols, put together at random.
mod nearly_right {
    use proptest::prelude::*;

    const NAMES: &[&str] = &[
        "D:propfind",
        "D:prop",
        "D:allprop",
        "D:propname",
        "D:include",
        "D:propertyupdate",
        "D:set",
        "D:remove",
        "D:href",
        "D:sync-collection",
        "D:sync-token",
        "D:sync-level",
        "D:limit",
        "D:nresults",
        "D:mkcol",
        "D:resourcetype",
        "D:collection",
        "D:displayname",
        "D:getetag",
        "C:calendar-query",
        "C:calendar-multiget",
        "C:free-busy-query",
        "C:filter",
        "C:comp-filter",
        "C:prop-filter",
        "C:param-filter",
        "C:text-match",
        "C:time-range",
        "C:is-not-defined",
        "C:calendar-data",
        "C:expand",
        "C:limit-recurrence-set",
        "C:comp",
        "C:mkcalendar",
        "C:calendar",
        "C:calendar-timezone",
        "C:timezone",
        "C:timezone-id",
        "C:supported-calendar-component-set",
        "A:calendar-color",
        "x:unknown",
        "none",
    ];
    const ATTRIBUTES: &[&str] = &[
        "name=\"VCALENDAR\"",
        "name=\"VEVENT\"",
        "name=\"VTODO\"",
        "name=\"SUMMARY\"",
        "name=\"\"",
        "start=\"20260601T000000Z\" end=\"20260608T000000Z\"",
        "start=\"20260601T000000Z\"",
        "end=\"00010101T000000Z\"",
        "start=\"99991231T235959Z\"",
        "start=\"nonsense\"",
        "collation=\"i;octet\"",
        "negate-condition=\"yes\"",
        "xml:lang=\"de\"",
        "x:y=\"&lt;&#13;\"",
        "name=\"VEVENT\" name=\"VEVENT\"",
        "y:z=\"1\"",
        "novalue=\"yes\"",
    ];
    const TEXTS: &[&str] = &[
        "",
        "1",
        "infinite",
        "#FF0000",
        "/dav/anna/work/lunch.ics",
        "urn:calgate:0:1",
        "&amp;",
        "&#0;",
        "<![CDATA[<]]>",
        "BEGIN:VCALENDAR\r\nEND:VCALENDAR",
        "Europe/Berlin",
        "\u{1F4C5}",
        "<",
        "]]>",
        "<!-- -- -->",
        "99999999999999999999",
    ];

    fn element() -> impl Strategy<Value = String> {
        let leaf = proptest::sample::select(TEXTS).prop_map(str::to_owned);
        leaf.prop_recursive(6, 40, 5, |inner| {
            let attributes = proptest::collection::vec(proptest::sample::select(ATTRIBUTES), 0..3);
            (proptest::sample::select(NAMES), attributes, proptest::collection::vec(inner, 0..5)).prop_map(
                |(name, attributes, inside)| {
                    let attributes: String = attributes.iter().map(|a| format!(" {a}")).collect();
                    format!("<{name}{attributes}>{}</{name}>", inside.concat())
                },
            )
        })
    }

    /// A body whose root is one that is known, with namespaces declared, and now and then cut off.
    pub fn body() -> impl Strategy<Value = String> {
        let ns = "xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\" xmlns:A=\"http://apple.com/ns/ical/\" \
                  xmlns:x=\"urn:x\"";
        let inside = proptest::collection::vec(element(), 0..5);
        (proptest::sample::select(NAMES), inside, 0..12usize).prop_map(move |(root, inside, cut)| {
            let mut text = format!("<{root} {ns}>{}</{root}>", inside.concat());
            if cut == 0 {
                let middle = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                text.truncate(middle);
            }
            text
        })
    }
}

/// Whatever is sent, the answer is one of WebDAV's, its XML is well-formed, and nobody panics.
#[test]
fn no_request_is_the_fault_of_the_server() {
    use proptest::test_runner::{Config, TestRunner};

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(world());
    let targets: &[&str] = &[
        "/",
        "/dav/principals/anna/",
        "/dav/anna/",
        "/dav/anna/work/",
        "/dav/anna/all/",
        "/dav/anna/work/lunch.ics",
        "/dav/anna/new/",
    ];
    let methods: &[&str] = &["PROPFIND", "PROPPATCH", "REPORT", "MKCALENDAR", "MKCOL", "PUT", "DELETE"];
    let strategy = (
        proptest::sample::select(methods),
        proptest::sample::select(targets),
        proptest::sample::select(&["0", "1", "infinity", "x"][..]),
        nearly_right::body(),
    );
    // Were they all refused for one and the same reason, nothing would have been tried.
    let understood = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config { cases: 1500, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&strategy, |(method, target, depth, body)| {
        let answer = runtime.block_on(world.send(method, target, &[("Depth", depth)], body.as_bytes()));
        let status = answer.status().as_u16();
        let fine = matches!(status, 200..=299 | 400 | 403 | 404 | 405 | 409 | 412 | 413 | 415 | 507);
        proptest::prop_assert!(fine, "{status} for {method} {target}: {body}");
        understood.set(understood.get() + usize::from(status != 400));
        if answer.headers().get("content-type").is_some_and(|t| t.as_bytes().starts_with(b"application/xml")) {
            well_formed(std::str::from_utf8(answer.body()).unwrap());
        }
        Ok(())
    });
    outcome.unwrap_or_else(|e| panic!("{e}"));
    assert!(understood.get() > 300, "only {} were understood", understood.get());
}
