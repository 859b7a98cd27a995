//! A model of sync over DAV: clients that follow nothing but tokens, with limits of any size, while others write by every
//! way there is. Whenever it is quiet each holds what a PROPFIND lists, and a token is refused when what it stands for was
//! forgotten or made anew, and only then.
//!
//! A transaction has so little room that all calendars are large: they are filled in steps, between which all else happens.
//!
//! All follows from a seed. `CALGATE_TEST_SEED` and `CALGATE_TEST_STEPS` ask for another one, and for more.

use std::collections::BTreeMap;
use std::sync::Arc;

use calgate::app::App;
use calgate::ids::{CalendarId, Seq};
use calgate::store::calendars::{self, Calendar, Denied, Need};
use calgate::store::grants::{self, May, NotGranted};
use calgate::store::jobs::{self, Duty};
use calgate::store::shape::{self, Step};
use calgate::store::users::{self, Actor};
use calgate::store::walk::{Parts, Walk};
use calgate::store::{self, Tx, prune};
use http::StatusCode;

use crate::kit::{self, Dice};

kit::on_both_engines![who_follows_the_token_holds_what_is_listed];

/// Anna's calendar `trip` comes and goes.
const HOME: &str = r#"
[[user]]
name = "anna"
email = "anna@example.com"
[[user.calendar]]
name = "one"
[[user.calendar]]
name = "two"
[[user.unified]]
name = "all"
members = ["one", { calendar = "two", mask = "MASK" }]
write_to = "one"

[[user]]
name = "bert"
email = "bert@example.com"
"#;

const DAY: i64 = 86_400;
/// Objects that one transaction has room for beside what it is about.
const ROOM: usize = 3;

/// What was done, for who has to find out why.
struct Steps {
    seed: u64,
    done: Vec<String>,
}

impl Drop for Steps {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("CALGATE_TEST_SEED={}\n{}", self.seed, self.done.join("\n"));
        }
    }
}

/// Who follows a collection, and what they hold of it.
struct Client {
    user: &'static str,
    /// `None`: the home.
    slug: Option<&'static str>,
    token: String,
    /// Answers by href, as they came.
    held: BTreeMap<String, String>,
    /// True: the last answer was cut by its limit.
    more: bool,
    /// What the token stands for, as the model knows it: which making of the calendar, and what was seen of it.
    epoch: i64,
    seen: Seq,
    begun: Option<Seq>,
}

const FOLLOWED: [(&str, Option<&str>); 8] = [
    ("anna", Some("one")),
    ("anna", Some("two")),
    ("anna", Some("trip")),
    ("anna", Some("all")),
    ("bert", Some("one.anna")),
    ("bert", Some("all.anna")),
    ("anna", None),
    ("bert", None),
];

impl Client {
    fn path(&self) -> String {
        match self.slug {
            Some(slug) => format!("/dav/{}/{slug}/", self.user),
            None => format!("/dav/{}/", self.user),
        }
    }

    fn forget(&mut self) {
        self.token.clear();
        self.held.clear();
        (self.more, self.begun) = (false, None);
    }
}

struct Model {
    app: Arc<App>,
    url: String,
    dice: Dice,
    steps: Steps,
    clients: Vec<Client>,
    /// The number of the last tombstone that was forgotten, by the making of the calendar.
    forgotten: BTreeMap<i64, Seq>,
    /// How often each thing happened, so that nothing is tested by never happening.
    count: BTreeMap<&'static str, u32>,
    revision: u32,
}

impl Model {
    async fn actor(&self, name: &str) -> Actor {
        kit::actor(&self.app, name).await
    }

    fn happened(&mut self, what: &'static str) {
        *self.count.entry(what).or_default() += 1;
    }

    async fn send(
        &mut self,
        user: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (StatusCode, String) {
        let answer = kit::ask(&self.app, &self.actor(user).await, method, path, headers, body).await;
        let (head, body) = kit::whole(answer).await.into_parts();
        self.steps.done.push(format!("{user}: {method} {path} {headers:?} → {}", head.status.as_u16()));
        assert!(!head.status.is_server_error() || head.status == StatusCode::INSUFFICIENT_STORAGE);
        (head.status, String::from_utf8(body.to_vec()).expect("UTF-8"))
    }

    /// A calendar as its user has it; `None`: it is not there.
    async fn calendar(&self, user: &str, slug: &'static str) -> Option<Calendar> {
        let actor = self.actor(user).await;
        let open = self.app.store.read(move |tx| calendars::open(tx, &actor, &actor.name, slug, Need::Read)).await;
        match open {
            Ok(calendar) => Some(calendar),
            Err(Denied::Missing) => None,
            Err(e) => panic!("{e}"),
        }
    }

    /// Every row of a calendar, with its number; true: it is a tombstone.
    async fn rows(&self, id: CalendarId) -> BTreeMap<String, (Seq, bool)> {
        let read = self.app.store.read(move |tx| {
            let mut rows = BTreeMap::new();
            let Some(calendar) = calendars::for_engine(tx, id)? else { return Ok(rows) };
            let mut walk = Walk::Changes { after: Seq(-1), until: calendar.seq, tombstones: true };
            walk.page(tx, &calendar, Parts::default(), 100_000, |seen| {
                rows.insert(seen.name.to_owned(), (seen.seq, !seen.live));
                Ok(true)
            })?;
            Ok::<_, store::Error>(rows)
        });
        read.await.expect("a read")
    }

    async fn making(&self) -> Vec<Option<i64>> {
        let mut making = Vec::new();
        for (user, slug) in FOLLOWED {
            making.push(match slug {
                Some(slug) => self.calendar(user, slug).await.map(|c| c.epoch),
                None => None,
            });
        }
        making
    }

    /// Something is written, in one of the ways there are.
    async fn write(&mut self) {
        let place = |dice: &mut Dice| {
            let (user, slug) = dice.of(&[
                ("anna", "one"),
                ("anna", "one"),
                ("anna", "two"),
                ("anna", "trip"),
                ("anna", "all"),
                ("bert", "one.anna"),
                ("bert", "all.anna"),
            ]);
            (user, slug, format!("/dav/{user}/{slug}/n{}.ics", dice.below(9)))
        };
        let (user, slug, path) = place(&mut self.dice);
        self.revision += 1;
        let text = |uid: u64, revision: u32| {
            let day = revision % 28 + 1;
            let lines = format!("DTSTART:202606{day:02}T120000Z\nDURATION:PT1H\nSUMMARY:{revision}");
            kit::event_text(&format!("u{uid}"), &lines)
        };
        let typed = [("Content-Type", "text/calendar")];
        let (revision, number) = (self.revision, path.bytes().rev().nth(4).map_or(0, u64::from));
        match self.dice.below(20) {
            0..8 => {
                let (status, _) = self.send(user, "PUT", &path, &typed, &text(number, revision)).await;
                self.happened(match status {
                    StatusCode::CREATED => "created",
                    StatusCode::NO_CONTENT => "changed",
                    _ => "not put",
                });
            }
            8..12 => {
                let (status, _) = self.send(user, "DELETE", &path, &[], "").await;
                self.happened(if status.is_success() { "deleted" } else { "not deleted" });
            }
            // Another object under the name of one that went.
            12..14 => {
                let (status, _) = self.send(user, "DELETE", &path, &[], "").await;
                let other = text(1000 + self.dice.below(4), revision);
                let (made, _) = self.send(user, "PUT", &path, &typed, &other).await;
                if status.is_success() && made.is_success() {
                    self.happened("another of the same name");
                }
            }
            14..17 => {
                let (.., to) = place(&mut self.dice);
                let to =
                    to.replace("/dav/anna/", &format!("/dav/{user}/")).replace("/dav/bert/", &format!("/dav/{user}/"));
                let to = match self.dice.below(2) {
                    0 => to,
                    // A new name in the same calendar.
                    _ => format!("/dav/{user}/{slug}/n{}.ics", self.dice.below(12)),
                };
                let (status, _) = self.send(user, "MOVE", &path, &[("Destination", &to), ("Overwrite", "T")], "").await;
                self.happened(if status.is_success() { "moved" } else { "not moved" });
            }
            _ => {
                let body = format!(
                    "<D:propertyupdate xmlns:D=\"DAV:\"><D:set><D:prop><D:displayname>{revision}</D:displayname></D:prop>\
                     </D:set></D:propertyupdate>"
                );
                let (status, answer) = self.send(user, "PROPPATCH", &format!("/dav/{user}/{slug}/"), &[], &body).await;
                if status == StatusCode::MULTI_STATUS && answer.contains("200 OK") {
                    self.happened("called otherwise");
                }
            }
        }
    }

    /// A calendar goes, or comes.
    async fn come_and_go(&mut self) {
        let (status, _) = self.send("anna", "DELETE", "/dav/anna/trip/", &[], "").await;
        if status.is_success() {
            self.happened("removed");
        }
        if !status.is_success() || self.dice.below(2) == 0 {
            let (status, _) = self.send("anna", "MKCALENDAR", "/dav/anna/trip/", &[], "").await;
            assert_eq!(status, StatusCode::CREATED);
            self.happened("made");
        }
    }

    /// The file says another mask, or the same again.
    async fn reload(&mut self) {
        let mask = self.dice.of(&["full", "title", "busy"]);
        self.steps.done.push(format!("the mask of two in all is {mask}"));
        self.app.apply(kit::config(&self.url, &HOME.replace("MASK", mask))).await.expect("a reload");
    }

    async fn share(&mut self) {
        let (slug, may) =
            self.dice.of(&[("one", May::Write), ("one", May::Read), ("all", May::Read), ("all", May::Busy)]);
        self.steps.done.push(format!("bert may {} {slug}", may.name()));
        let (anna, bert) = (self.actor("anna").await, self.actor("bert").await);
        let now = self.app.clock.now();
        let done = self.app.store.write(move |tx| {
            let calendar = calendars::open(tx, &anna, "anna", slug, Need::Read).map_err(|e| panic!("{e}"));
            grants::add(tx, &calendar.unwrap(), bert.user, may, "", now)
        });
        let done: Result<(), NotGranted> = done.await;
        done.expect("it is granted");
    }

    /// So many transactions of the duty that fills calendars, of any that waits.
    async fn fill(&mut self, steps: u64) {
        let now = self.app.clock.now();
        for _ in 0..steps {
            let waiting = self.app.store.read(shape::waiting).await.expect("a read");
            if waiting.is_empty() {
                return;
            }
            let id = self.dice.of(&waiting);
            let step = self.app.store.write(move |tx| {
                let lease = jobs::claim_this(tx, Duty::Shape, "model/1", now)?.expect("nobody else has it");
                let step = shape::step(tx, &lease, id, now)?;
                jobs::finish(tx, &lease, jobs::NEVER, false)?;
                Ok::<_, store::Error>(step)
            });
            let step = step.await.expect("a step");
            assert!(matches!(step, Step::More | Step::Done), "{step:?}");
            self.steps.done.push(format!("{id} is filled: {step:?}"));
            self.happened(if step == Step::More { "filled in part" } else { "filled" });
        }
    }

    /// What was filled in steps is what would be made of everything at once.
    async fn is_as_if_made_at_once(&mut self) {
        let numbers = async || {
            let read = self.app.store.read(|tx| {
                tx.query("SELECT id, seq, live FROM resources ORDER BY id", &[], |row| {
                    Ok((row.int(0)?, row.int(1)?, row.int(2)?))
                })
            });
            let numbers: store::Result<Vec<(i64, i64, i64)>> = read.await;
            numbers.expect("a read")
        };
        let (before, now) = (numbers().await, self.app.clock.now());
        self.app.store.set_room(1_000_000);
        let anew = self.app.store.write(move |tx| {
            tx.execute("UPDATE calendars SET shape = 'another' WHERE source = 'unified'", &[])?;
            for user in users::list(tx)? {
                shape::reshape(tx, user.id, now)?;
            }
            Ok::<_, store::Error>(())
        });
        anew.await.expect("all is made anew");
        self.app.store.set_room(ROOM);
        assert_eq!(numbers().await, before);
    }

    /// What was deleted more than a day ago is forgotten, and all but the last few whenever it was.
    async fn prune(&mut self) {
        let most = self.dice.of(&[0, 2, 1000]);
        let before = self.app.clock.now().plus(-DAY);
        self.steps.done.push(format!("what was deleted before {} is forgotten, and all but {most}", before.utc()));
        // Twice: a member's tombstone goes after the unified one that shows it.
        for _ in 0..2 {
            for id in self.app.store.read(prune::calendars).await.expect("a read") {
                let read = self.app.store.read(move |tx| calendars::for_engine(tx, id));
                let found: Result<Option<Calendar>, store::Error> = read.await;
                let Some(epoch) = found.expect("a read").map(|calendar| calendar.epoch) else { continue };
                let before_rows = self.rows(id).await;
                let step = move |tx: &mut Tx<'_>| prune::tombstones(tx, id, before, most, 3);
                while self.app.store.write::<_, store::Error, _>(step).await.expect("a step") {}
                let left = self.rows(id).await;
                for (name, (seq, gone)) in before_rows {
                    if !left.contains_key(&name) {
                        assert!(gone, "{name} was there");
                        let last = self.forgotten.entry(epoch).or_insert(seq);
                        *last = seq.max(*last);
                        self.happened("forgotten");
                    }
                }
            }
        }
    }

    /// One client asks once.
    async fn ask(&mut self, who: usize, limit: Option<u64>) {
        let (user, slug) = (self.clients[who].user, self.clients[who].slug);
        let path = self.clients[who].path();
        let calendar = match slug {
            Some(slug) => self.calendar(user, slug).await,
            None => None,
        };
        let rows = match &calendar {
            Some(calendar) => self.rows(calendar.id).await,
            None => BTreeMap::new(),
        };
        let limited = limit.map_or(String::new(), |n| format!("<D:limit><D:nresults>{n}</D:nresults></D:limit>"));
        let token = self.clients[who].token.clone();
        let body = format!(
            "<D:sync-collection xmlns:D=\"DAV:\"><D:sync-token>{token}</D:sync-token><D:sync-level>1</D:sync-level>{limited}\
             {PROPS}</D:sync-collection>"
        );
        self.steps.done.push(format!("{token:?}, at most {limit:?}"));
        let (status, text) = self.send(user, "REPORT", &path, &[("Depth", "0")], &body).await;
        if status == StatusCode::NOT_FOUND {
            assert!(slug.is_some() && calendar.is_none(), "{path} is there");
            self.clients[who].forget();
            return;
        }
        if let Some(calendar) = &calendar {
            let client = &self.clients[who];
            let stands = client.begun.unwrap_or(client.seen);
            let lost = self.forgotten.get(&calendar.epoch).is_some_and(|last| *last > stands);
            let invalid = !token.is_empty() && (client.epoch != calendar.epoch || lost);
            assert_eq!(status == StatusCode::FORBIDDEN, invalid, "{path}: {text}");
            if invalid {
                assert!(text.contains("<D:valid-sync-token/>"), "{text}");
                self.happened(if lost { "refused, forgotten" } else { "refused, made anew" });
                self.clients[who].forget();
                return;
            }
        }
        assert_eq!(status, StatusCode::MULTI_STATUS, "{path}: {text}");
        let told = responses(&text);
        let more = told.iter().any(|(href, said)| *href == path && said.contains("507"));
        let told: Vec<_> = told.into_iter().filter(|(href, _)| *href != path).collect();
        if slug.is_some() {
            assert!(limit.is_none_or(|limit| told.len() as u64 <= limit), "more than {limit:?} are told");
        }
        assert!(!more || !told.is_empty(), "a page of nothing would never end");
        let client = &mut self.clients[who];
        let mut last = client.seen;
        if token.is_empty() {
            last = Seq(0);
            client.begun = calendar.as_ref().map(|c| c.seq);
        }
        for (href, said) in told {
            // A property that is not there is told with the others; what is gone is told alone.
            let is_gone = !said.contains("<D:propstat>") && said.contains("404 Not Found");
            let name = href.rsplit('/').next().unwrap_or_default();
            if let Some((seq, gone)) = rows.get(name) {
                assert!(*seq > last, "{name} is told out of order");
                assert_eq!(*gone, is_gone, "{name}");
                last = *seq;
            } else {
                assert!(slug.is_none(), "{name} was never there");
            }
            match is_gone {
                true => drop(client.held.remove(&href)),
                false => drop(client.held.insert(href, said)),
            }
        }
        let rest = text.rsplit_once("<D:sync-token>").expect("a token").1;
        client.token = rest.split_once("</D:sync-token>").expect("its end").0.to_owned();
        client.more = more;
        if let Some(calendar) = calendar {
            client.epoch = calendar.epoch;
            client.seen = if more { last } else { calendar.seq };
            client.begun = client.begun.filter(|begun| more && client.seen < *begun);
        }
        self.happened(if more { "cut" } else { "told to the end" });
    }

    /// Nobody writes: each client goes on to the end, and then holds what is listed.
    async fn quiet(&mut self) {
        for who in 0..self.clients.len() {
            let limit = self.limit();
            for round in 0.. {
                assert!(round < 300, "it comes to an end");
                self.ask(who, limit).await;
                if !self.clients[who].more && !self.clients[who].token.is_empty() {
                    break;
                }
                let gone = self.clients[who].token.is_empty() && self.is_gone(who).await;
                if gone {
                    break;
                }
            }
            let path = self.clients[who].path();
            let body = format!("<D:propfind xmlns:D=\"DAV:\">{PROPS}</D:propfind>");
            let user = self.clients[who].user;
            let (status, text) = self.send(user, "PROPFIND", &path, &[("Depth", "1")], &body).await;
            let mut listed: BTreeMap<String, String> = BTreeMap::new();
            if status != StatusCode::NOT_FOUND {
                listed.extend(responses(&text).into_iter().filter(|(href, _)| *href != path));
                // The boxes of scheduling never come nor go.
                listed.retain(|href, _| !href.ends_with("/inbox/") && !href.ends_with("/outbox/"));
            }
            assert_eq!(self.clients[who].held, listed, "{path}");
        }
        self.happened("quiet");
    }

    async fn is_gone(&self, who: usize) -> bool {
        let (user, slug) = FOLLOWED[who];
        match slug {
            Some(slug) => self.calendar(user, slug).await.is_none(),
            None => false,
        }
    }

    fn limit(&mut self) -> Option<u64> {
        let limit = self.dice.of(&[1, 1, 2, 3, 5, 100]);
        (self.dice.below(4) > 0).then_some(limit)
    }

    async fn step(&mut self) {
        let before = self.making().await;
        let roll = self.dice.below(100);
        match roll {
            0..46 => self.write().await,
            46..78 => {
                let who = self.dice.below(self.clients.len() as u64) as usize;
                let limit = self.limit();
                self.ask(who, limit).await;
            }
            78..82 => self.prune().await,
            82..90 => {
                let steps = 1 + self.dice.below(4);
                self.fill(steps).await;
            }
            90..91 => {
                let hours = 1 + self.dice.below(40);
                self.app.clock.advance(hours as i64 * 3600);
                self.steps.done.push(format!("{hours} hours go by"));
            }
            91..94 => self.come_and_go().await,
            94..95 => self.reload().await,
            95..96 => self.share().await,
            _ => self.quiet().await,
        }
        // Nothing else makes a calendar another one, or lets it be seen.
        let after = self.making().await;
        let gone = before.iter().zip(&after).any(|(before, after)| before.is_some() && after.is_none());
        match roll {
            _ if before == after => {}
            82..=89 if !gone => self.happened("in sight"),
            91..=93 if !gone => self.happened("made anew"),
            94..=95 if gone => self.happened("out of sight"),
            91..=95 => {}
            _ => panic!("a calendar became another one: {before:?}, {after:?}"),
        }
    }
}

/// Of resources the etag, of calendars what changes with their contents and their look.
const PROPS: &str = "<D:prop><D:getetag/><D:sync-token/><D:displayname/></D:prop>";

/// The responses of a multistatus: what is behind each href.
fn responses(text: &str) -> Vec<(String, String)> {
    let each = text.split("<D:response><D:href>").skip(1);
    each.map(|one| {
        let (href, rest) = one.split_once("</D:href>").expect("an href");
        (href.to_owned(), rest.split("</D:response>").next().unwrap_or_default().to_owned())
    })
    .collect()
}

async fn who_follows_the_token_holds_what_is_listed(url: String) {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
    };
    let (seed, steps) = (number("CALGATE_TEST_SEED", 1), number("CALGATE_TEST_STEPS", 600));
    let app = kit::app(&url, &HOME.replace("MASK", "title")).await;
    let clients = FOLLOWED.map(|(user, slug)| Client {
        user,
        slug,
        token: String::new(),
        held: BTreeMap::new(),
        more: false,
        epoch: 0,
        seen: Seq(0),
        begun: None,
    });
    let mut model = Model {
        app,
        url,
        dice: Dice(seed),
        steps: Steps { seed, done: Vec::new() },
        clients: clients.into(),
        forgotten: BTreeMap::new(),
        count: BTreeMap::new(),
        revision: 0,
    };
    model.app.store.set_room(ROOM);
    model.share().await;
    for _ in 0..steps {
        model.step().await;
    }
    model.fill(u64::MAX).await;
    model.is_as_if_made_at_once().await;
    model.quiet().await;
    let needed = [
        "created",
        "changed",
        "deleted",
        "another of the same name",
        "moved",
        "called otherwise",
        "removed",
        "made",
        "made anew",
        "filled in part",
        "out of sight",
        "in sight",
        "forgotten",
        "refused, forgotten",
        "refused, made anew",
        "cut",
        "told to the end",
        "quiet",
    ];
    if steps >= 600 {
        for what in needed {
            assert!(model.count.contains_key(what), "{what}: never; {:?}", model.count);
        }
    }
}
