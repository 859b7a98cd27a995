//! The provider suite: what every provider must do, run against its stand-in; then what is special to each.
//!
//! A new provider adds a type that is [`Upstream`] and one line to `suite!` at the end of the first part.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use calgate::ical::{Kind, Object};
use calgate::ids::{Cursor, Etag, RemoteId};
use calgate::provider::http::{Client, Limits, Networks};
use calgate::provider::{Error, Known, Next, Op, Page, Provider, RemoteObject, Settings};
use calgate::secrets::Secret;
use standin::caldav::{self, AutoSchedule, BadToken, Fault, Hrefs, Manners, Role, UidConflict, WellKnown};

/// A stand-in with one account, anna, and one calendar in it.
trait Upstream: Sized {
    async fn start() -> Self;
    fn open(&self, password: &str) -> Box<dyn Provider>;
    fn calendar(&self) -> RemoteId;
    /// Somebody else writes or deletes.
    fn put(&self, name: &str, text: &str);
    fn remove(&self, name: &str);
    /// Texts by name.
    fn objects(&self) -> BTreeMap<String, String>;
    /// The next answer to a write is lost after the write was done.
    fn lose_next_answer(&self);
    /// The server is away until it is back.
    fn away(&self, away: bool);
    fn forget_cursors(&self);
}

struct Caldav {
    server: caldav::Server,
    calendar: String,
}

impl Upstream for Caldav {
    async fn start() -> Caldav {
        let server = caldav::Server::start().await;
        server.user("anna", "secret");
        let calendar = server.calendar("anna", "work", |c| c.name = "Work".to_owned());
        Caldav { server, calendar }
    }

    fn open(&self, password: &str) -> Box<dyn Provider> {
        open_at(&self.server.url(), password)
    }

    fn calendar(&self) -> RemoteId {
        RemoteId(self.calendar.clone())
    }

    fn put(&self, name: &str, text: &str) {
        self.server.put(&self.calendar, name, text);
    }

    fn remove(&self, name: &str) {
        assert!(self.server.remove(&self.calendar, name), "{name} is not there");
    }

    fn objects(&self) -> BTreeMap<String, String> {
        self.server.objects(&self.calendar).into_iter().map(|(name, stored)| (name, stored.text)).collect()
    }

    fn lose_next_answer(&self) {
        self.server.fault("PUT", "", 1, Fault::DropAfter);
    }

    fn away(&self, away: bool) {
        match away {
            true => self.server.fault("*", "", usize::MAX, Fault::Status(503, "down".to_owned())),
            false => self.server.heal(),
        };
    }

    fn forget_cursors(&self) {
        self.server.forget_history();
    }
}

/// Short, so that a server that hangs is noticed within the patience of a test.
fn impatient() -> Arc<Client> {
    let limits = Limits { connect: Duration::from_secs(2), whole: Duration::from_millis(600), body: 1 << 20 };
    Arc::new(Client::with(limits, Networks::Any))
}

fn open_at(url: &str, password: &str) -> Box<dyn Provider> {
    let settings = Settings {
        url: url.parse().unwrap(),
        login: "anna".to_owned(),
        password: Secret::new(password),
        http: Arc::new(Client::new()),
    };
    calgate::provider::open("caldav", settings).unwrap()
}

fn event(uid: &str, title: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20260101T000000Z\r\n\
         DTSTART:20260302T090000Z\r\nDTEND:20260302T100000Z\r\nSUMMARY:{title}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

fn object(uid: &str, title: &str) -> Object {
    Object::parse(&event(uid, title)).unwrap()
}

/// What the engine would hold: it follows pages as the contract of [`Provider::pull`] says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Mirror {
    held: BTreeMap<String, (Etag, String)>,
    cursor: Option<Cursor>,
}

/// What a sync brought: ids that came, ids that went.
#[derive(Debug, Default, PartialEq, Eq)]
struct News {
    came: usize,
    went: usize,
    pages: usize,
}

impl Mirror {
    /// Pulls to the end. A lost cursor begins anew, once. Nothing is kept of a pull that ends in an error.
    async fn sync(&mut self, provider: &dyn Provider, calendar: &RemoteId) -> Result<News, Error> {
        let mut next = self.clone();
        let news = match next.run(provider, calendar).await {
            Err(Error::CursorLost) => {
                next = Mirror { cursor: None, ..self.clone() };
                next.run(provider, calendar).await
            }
            other => other,
        }?;
        *self = next;
        Ok(news)
    }

    async fn run(&mut self, provider: &dyn Provider, calendar: &RemoteId) -> Result<News, Error> {
        let mut news = News::default();
        let mut seen: Vec<String> = Vec::new();
        loop {
            let known = self.held.iter().map(|(id, (etag, _))| (RemoteId(id.clone()), etag.clone())).collect::<Known>();
            let page: Page = provider.pull(calendar, self.cursor.as_ref(), &known).await?;
            news.pages += 1;
            seen.extend(page.objects.iter().map(|o| o.id.0.clone()));
            seen.extend(page.unchanged.iter().map(|id| id.0.clone()));
            for RemoteObject { id, etag, text } in page.objects {
                news.came += 1;
                self.held.insert(id.0, (etag, text));
            }
            for id in page.gone {
                news.went += usize::from(self.held.remove(&id.0).is_some());
            }
            match page.next {
                Next::More(cursor) => self.cursor = Some(cursor),
                Next::Done { cursor, whole } => {
                    self.cursor = cursor;
                    let before = self.held.len();
                    if whole {
                        self.held.retain(|id, _| seen.contains(id));
                    }
                    news.went += before - self.held.len();
                    return Ok(news);
                }
            }
            assert!(news.pages < 100, "pages without end");
        }
    }

    /// Texts by name, as the stand-in shows them.
    fn objects(&self) -> BTreeMap<String, String> {
        let name = |id: &str| {
            let last = id.rsplit('/').next().unwrap_or_default();
            percent_encoding::percent_decode_str(last).decode_utf8_lossy().into_owned()
        };
        self.held.iter().map(|(id, (_, text))| (name(id), text.clone())).collect()
    }
}

/// The kind of an outcome, for tables.
fn kind<T>(outcome: &Result<T, Error>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(Error::Retry { .. }) => "retry",
        Err(Error::Reconnect { .. }) => "reconnect",
        Err(Error::Stale) => "stale",
        Err(Error::Exists(_)) => "exists",
        Err(Error::CursorLost) => "cursor lost",
        Err(Error::Refused(_)) => "refused",
        Err(Error::Missing) => "missing",
    }
}

// What every provider must do.

async fn lists_its_calendars<U: Upstream>() {
    let up = U::start().await;
    let listed = up.open("secret").calendars().await.unwrap();
    assert_eq!(listed.iter().map(|c| (&c.id, c.name.as_str())).collect::<Vec<_>>(), [(&up.calendar(), "Work")]);
    assert!(listed[0].writable && listed[0].components.contains(&Kind::Event));
    assert_eq!(up.open("secret").identity().await.unwrap().addresses, ["anna@example.com"]);
}

async fn a_wrong_password_asks_the_user<U: Upstream>() {
    let up = U::start().await;
    let provider = up.open("wrong");
    assert_eq!(kind(&provider.identity().await), "reconnect");
    assert_eq!(kind(&provider.calendars().await), "reconnect");
    assert_eq!(kind(&provider.pull(&up.calendar(), None, &Known::new()).await), "reconnect");
}

async fn a_pull_follows_what_others_do<U: Upstream>() {
    let up = U::start().await;
    let (provider, calendar, mut mirror) = (up.open("secret"), up.calendar(), Mirror::default());
    for n in 1..=5 {
        up.put(&format!("{n}.ics"), &event(&n.to_string(), "first"));
    }
    assert_eq!(mirror.sync(&*provider, &calendar).await.unwrap().came, 5);
    assert_eq!(mirror.objects(), up.objects());
    up.put("2.ics", &event("2", "second"));
    up.put("6.ics", &event("6", "new"));
    up.remove("4.ics");
    let news = mirror.sync(&*provider, &calendar).await.unwrap();
    assert_eq!((news.came, news.went), (2, 1));
    assert_eq!(mirror.objects(), up.objects());
    let news = mirror.sync(&*provider, &calendar).await.unwrap();
    assert_eq!((news.came, news.went), (0, 0), "nothing happened, nothing is told");
}

async fn a_lost_cursor_costs_a_listing_and_no_object<U: Upstream>() {
    let up = U::start().await;
    let (provider, calendar, mut mirror) = (up.open("secret"), up.calendar(), Mirror::default());
    up.put("1.ics", &event("1", "a"));
    up.put("2.ics", &event("2", "b"));
    mirror.sync(&*provider, &calendar).await.unwrap();
    up.remove("1.ics");
    up.forget_cursors();
    let cursor = mirror.cursor.clone();
    assert_eq!(kind(&provider.pull(&calendar, cursor.as_ref(), &Known::new()).await), "cursor lost");
    let news = mirror.sync(&*provider, &calendar).await.unwrap();
    assert_eq!((news.came, news.went), (0, 1));
    assert_eq!(mirror.objects(), up.objects());
    assert_eq!(
        kind(&provider.pull(&calendar, Some(&Cursor::from("what is this?")), &Known::new()).await),
        "cursor lost"
    );
}

async fn a_server_that_is_away_takes_nothing_with_it<U: Upstream>() {
    let up = U::start().await;
    let (provider, calendar, mut mirror) = (up.open("secret"), up.calendar(), Mirror::default());
    up.put("1.ics", &event("1", "a"));
    mirror.sync(&*provider, &calendar).await.unwrap();
    let before = mirror.clone();
    up.away(true);
    assert_eq!(kind(&mirror.sync(&*provider, &calendar).await), "retry");
    assert_eq!(kind(&provider.calendars().await), "retry");
    let op = Op::Create { key: "k", after: &object("k", "k") };
    assert_eq!(kind(&provider.push(&calendar, op).await), "retry");
    assert_eq!(mirror, before);
    up.away(false);
    assert_eq!(mirror.sync(&*provider, &calendar).await.unwrap().came, 0);
}

async fn creating_twice_makes_one<U: Upstream>() {
    let up = U::start().await;
    let (provider, calendar) = (up.open("secret"), up.calendar());
    let new = object("once", "made once");
    up.lose_next_answer();
    assert_eq!(kind(&provider.push(&calendar, Op::Create { key: "once", after: &new }).await), "retry");
    let made = provider.push(&calendar, Op::Create { key: "once", after: &new }).await.unwrap().unwrap();
    assert_eq!(up.objects().len(), 1);
    assert_eq!(made.text, new.text());
    assert_eq!(provider.fetch(&calendar, &made.id).await.unwrap().as_ref(), Some(&made));
    // Other words under that name are not replaced: they are given to the engine, which knows what to do with them.
    let other = object("once", "something else");
    let outcome = provider.push(&calendar, Op::Create { key: "once", after: &other }).await;
    assert_eq!(outcome, Err(Error::Exists(Box::new(made))));
    assert_eq!(up.objects().into_values().collect::<Vec<_>>(), [new.text()]);
}

async fn an_update_and_a_delete_hold_to_the_etag<U: Upstream>() {
    let up = U::start().await;
    let (provider, calendar) = (up.open("secret"), up.calendar());
    let (first, second, third) = (object("u", "first"), object("u", "second"), object("u", "third"));
    let made = provider.push(&calendar, Op::Create { key: "u", after: &first }).await.unwrap().unwrap();
    let update = |etag: Etag, before, after| {
        let (provider, calendar, id) = (&provider, &calendar, &made.id);
        async move { provider.push(calendar, Op::Update { id, etag: &etag, before, after }).await }
    };
    let changed = update(made.etag.clone(), &first, &second).await.unwrap().unwrap();
    assert_eq!(changed.text, second.text(), "the bytes go up as they are");
    assert_ne!(changed.etag, made.etag);
    assert_eq!(kind(&update(made.etag.clone(), &first, &third).await), "stale");
    // The answer to an update is lost, and the update is repeated.
    up.lose_next_answer();
    assert_eq!(kind(&update(changed.etag.clone(), &second, &third).await), "retry");
    let again = update(changed.etag.clone(), &second, &third).await.unwrap().unwrap();
    assert_eq!(again.text, third.text());
    let delete = |etag: Etag| {
        let (provider, calendar, id) = (&provider, &calendar, &made.id);
        async move { provider.push(calendar, Op::Delete { id, etag: &etag }).await }
    };
    assert_eq!(kind(&delete(made.etag.clone()).await), "stale");
    assert_eq!(delete(again.etag.clone()).await, Ok(None));
    assert_eq!(delete(again.etag.clone()).await, Ok(None), "what is gone is deleted");
    assert_eq!(provider.fetch(&calendar, &made.id).await, Ok(None));
    assert_eq!(kind(&update(again.etag.clone(), &third, &first).await), "missing");
}

async fn our_own_write_is_no_news<U: Upstream>() {
    let up = U::start().await;
    let (provider, calendar, mut mirror) = (up.open("secret"), up.calendar(), Mirror::default());
    mirror.sync(&*provider, &calendar).await.unwrap();
    let made = provider.push(&calendar, Op::Create { key: "k", after: &object("k", "k") }).await.unwrap().unwrap();
    mirror.held.insert(made.id.0, (made.etag, made.text));
    let news = mirror.sync(&*provider, &calendar).await.unwrap();
    assert_eq!((news.came, news.went), (0, 0));
}

macro_rules! suite {
    ($($provider:ident: $upstream:ty;)*) => {$(
        mod $provider {
            use super::*;
            suite!(@ $upstream: lists_its_calendars a_wrong_password_asks_the_user a_pull_follows_what_others_do
                a_lost_cursor_costs_a_listing_and_no_object a_server_that_is_away_takes_nothing_with_it
                creating_twice_makes_one an_update_and_a_delete_hold_to_the_etag our_own_write_is_no_news);
        }
    )*};
    (@ $upstream:ty: $($test:ident)*) => {$(
        #[tokio::test]
        async fn $test() {
            super::$test::<$upstream>().await;
        }
    )*};
}

suite! {
    caldav_suite: Caldav;
}

// What is special to CalDAV.

/// How a server differs from a good one.
type Edit = fn(&mut Manners);

/// Every way a CalDAV server may be, with the same story: five objects, two changed, one gone, two new, then all gone.
#[tokio::test]
async fn every_rung_of_the_ladder_ends_in_the_same_state() {
    let rungs: &[(&str, Edit)] = &[
        ("sync-collection", |_| {}),
        ("sync-collection without ctag", |m| m.ctag = false),
        ("sync-collection, two at a time", |m| m.sync_page = Some(2)),
        ("ctag", |m| m.sync = false),
        ("etags alone", |m| (m.sync, m.ctag) = (false, false)),
        ("multiget leaves out members", |m| m.multiget_skips = true),
        ("multiget without etags", |m| m.multiget_without_etags = true),
        ("no multiget", |m| m.no_multiget = true),
        ("weak etags", |m| m.weak_etags = true),
        ("hrefs encoded to the limit", |m| m.hrefs = Hrefs::Overencoded),
        ("absolute hrefs", |m| m.hrefs = Hrefs::Absolute),
        ("hrefs from elsewhere", |m| {
            m.sync = false;
            let strangers = ["/calendars/anna/home/x.ics", "/calendars/anna/work/../home/y.ics", "/etc/passwd", "/"];
            m.lists_strangers = strangers.map(str::to_owned).to_vec();
        }),
    ];
    for (rung, manners) in rungs {
        let up = Caldav::start().await;
        up.server.manners(manners);
        let (provider, calendar, mut mirror) = (up.open("secret"), up.calendar(), Mirror::default());
        for n in 1..=5 {
            up.put(&format!("{n} ä@b.ics"), &event(&format!("{n}@b"), "first & <last>"));
        }
        mirror.sync(&*provider, &calendar).await.unwrap();
        assert_eq!(mirror.objects(), up.objects(), "{rung}: at first");
        up.put("2 ä@b.ics", &event("2@b", "second"));
        up.put("3 ä@b.ics", &event("3@b", "second"));
        up.remove("4 ä@b.ics");
        up.put("6.ics", &event("6", "new"));
        up.put("7.ics", &event("7", "new"));
        let news = mirror.sync(&*provider, &calendar).await.unwrap();
        assert_eq!((news.came, news.went), (4, 1), "{rung}");
        assert_eq!(mirror.objects(), up.objects(), "{rung}: after changes");
        up.server.clear_log();
        let news = mirror.sync(&*provider, &calendar).await.unwrap();
        assert_eq!((news.came, news.went), (0, 0), "{rung}: a second pull does nothing");
        assert_eq!(up.server.count("GET"), 0, "{rung}: and fetches nothing");
        for name in up.objects().keys() {
            up.remove(name);
        }
        mirror.sync(&*provider, &calendar).await.unwrap();
        assert_eq!(mirror.objects(), BTreeMap::new(), "{rung}: emptied");
    }
}

#[tokio::test]
async fn whether_invitations_are_sent_is_what_the_server_says_and_has_a_place_for() {
    for (manner, expect) in [
        (AutoSchedule::No, false),
        (AutoSchedule::Everywhere, true),
        (AutoSchedule::InOptions, true),
        (AutoSchedule::WithoutOutbox, false),
    ] {
        let upstream = Caldav::start().await;
        upstream.server.manners(|m| m.auto_schedule = manner);
        let calendars = upstream.open("secret").calendars().await.unwrap();
        assert!(!calendars.is_empty() && calendars.iter().all(|c| c.schedules == expect), "{manner:?}");
    }
    // A server in trouble has not said that it sends nothing.
    let upstream = Caldav::start().await;
    upstream.server.manners(|m| m.auto_schedule = AutoSchedule::InOptions);
    upstream.server.fault("OPTIONS", "", usize::MAX, Fault::Status(500, "trouble".to_owned()));
    assert!(matches!(upstream.open("secret").calendars().await, Err(Error::Retry { .. })));
}

#[tokio::test]
async fn an_unchanged_ctag_costs_one_request() {
    let up = Caldav::start().await;
    up.server.manners(|m| m.sync = false);
    let (provider, calendar, mut mirror) = (up.open("secret"), up.calendar(), Mirror::default());
    up.put("1.ics", &event("1", "a"));
    mirror.sync(&*provider, &calendar).await.unwrap();
    up.server.clear_log();
    let known = Known::from([(RemoteId::from("/calendars/anna/work/1.ics"), Etag::from("e1"))]);
    let page = provider.pull(&calendar, mirror.cursor.as_ref(), &known).await.unwrap();
    assert_eq!(page.next, Next::Done { cursor: mirror.cursor.clone(), whole: false });
    assert!(page.objects.is_empty() && page.gone.is_empty() && page.unchanged.is_empty());
    assert_eq!(up.server.log().len(), 1);
}

#[tokio::test]
async fn a_large_calendar_comes_in_pages_and_changes_meanwhile_are_not_lost() {
    for sync in [true, false] {
        let up = Caldav::start().await;
        up.server.manners(|m| m.sync = sync);
        let (provider, calendar, mut mirror) = (up.open("secret"), up.calendar(), Mirror::default());
        for n in 0..1201 {
            up.put(&format!("{n:04}.ics"), &event(&n.to_string(), "a"));
        }
        let first = provider.pull(&calendar, None, &Known::new()).await.unwrap();
        let Next::More(cursor) = first.next else { panic!("one page holds it all") };
        // Between two pages: before and after the place where the first page ended, and to another process.
        up.put("0001.ics", &event("1", "changed"));
        up.remove("0002.ics");
        up.remove("1100.ics");
        let other = up.open("secret");
        for object in first.objects {
            mirror.held.insert(object.id.0, (object.etag, object.text));
        }
        mirror.cursor = Some(cursor);
        let mut kept = mirror.held.clone();
        loop {
            let page = other.pull(&calendar, mirror.cursor.as_ref(), &Known::new()).await.unwrap();
            kept.extend(page.objects.into_iter().map(|o| (o.id.0, (o.etag, o.text))));
            match page.next {
                Next::More(cursor) => mirror.cursor = Some(cursor),
                Next::Done { cursor, whole } => {
                    assert!(whole);
                    mirror.cursor = cursor;
                    break;
                }
            }
        }
        mirror.held = kept;
        mirror.sync(&*other, &calendar).await.unwrap();
        assert_eq!(mirror.objects(), up.objects());
    }
}

#[tokio::test]
async fn many_changes_come_in_pages_of_ours_too() {
    let up = Caldav::start().await;
    let (provider, calendar, mut mirror) = (up.open("secret"), up.calendar(), Mirror::default());
    mirror.sync(&*provider, &calendar).await.unwrap();
    for n in 0..620 {
        up.put(&format!("{n:04}.ics"), &event(&n.to_string(), "a"));
    }
    let news = mirror.sync(&*provider, &calendar).await.unwrap();
    assert!(news.pages > 1 && news.came == 620, "{news:?}");
    assert_eq!(mirror.objects(), up.objects());
}

#[tokio::test]
async fn a_refused_token_is_a_lost_cursor_in_all_its_forms() {
    let forms = [(403, true), (403, false), (400, false), (405, false), (409, true), (410, false), (412, false)];
    for (status, said) in forms.into_iter().chain([(418, false), (500, false), (501, false), (404, false)]) {
        let up = Caldav::start().await;
        up.server.manners(|m| m.bad_token = BadToken::Refuse(status, said));
        let (provider, calendar, mut mirror) = (up.open("secret"), up.calendar(), Mirror::default());
        up.put("1.ics", &event("1", "a"));
        mirror.sync(&*provider, &calendar).await.unwrap();
        up.server.forget_history();
        let pulled = provider.pull(&calendar, mirror.cursor.as_ref(), &Known::new()).await;
        assert_eq!(kind(&pulled), "cursor lost", "{status}");
        mirror.sync(&*provider, &calendar).await.unwrap();
        assert_eq!(mirror.objects(), up.objects(), "{status}");
    }
}

#[tokio::test]
async fn a_token_that_any_server_takes_still_leads_to_the_truth_or_to_nothing() {
    for (manner, truth) in [(BadToken::TellAll, true), (BadToken::TellNothing, false)] {
        let up = Caldav::start().await;
        up.server.manners(|m| m.bad_token = manner);
        let (provider, calendar, mut mirror) = (up.open("secret"), up.calendar(), Mirror::default());
        up.put("1.ics", &event("1", "a"));
        mirror.sync(&*provider, &calendar).await.unwrap();
        let before = mirror.objects();
        up.server.forget_history();
        up.put("1.ics", &event("1", "b"));
        mirror.cursor = Some(Cursor::from("sync garbage"));
        mirror.sync(&*provider, &calendar).await.unwrap();
        assert_eq!(mirror.objects(), if truth { up.objects() } else { before });
        // What the server did not tell is found by asking without a cursor.
        mirror.cursor = None;
        mirror.sync(&*provider, &calendar).await.unwrap();
        assert_eq!(mirror.objects(), up.objects());
    }
}

/// Each fault, on both rungs, on everything the calendar answers: the error it makes, and that nothing goes.
#[tokio::test]
async fn a_broken_answer_deletes_nothing() {
    let nothing_for = String::new;
    let faults = [
        (Fault::Status(500, nothing_for()), "retry"),
        (Fault::Status(502, nothing_for()), "retry"),
        (Fault::Status(429, nothing_for()), "retry"),
        (Fault::Status(403, nothing_for()), "refused"),
        (Fault::Status(200, nothing_for()), "retry"),
        (Fault::Status(207, nothing_for()), "retry"),
        (Fault::Xml(207, "<multistatus xmlns='DAV:'/>".to_owned()), "retry"),
        (Fault::Xml(207, "<!DOCTYPE a [<!ENTITY b 'c'>]><multistatus xmlns='DAV:'/>".to_owned()), "retry"),
        (Fault::Xml(207, "<a>".repeat(10_000)), "retry"),
        (Fault::WebPage, "retry"),
        (Fault::Unauthorized, "reconnect"),
        (Fault::Unavailable("30".to_owned()), "retry"),
        (Fault::Truncated, "retry"),
        (Fault::HalfBody, "retry"),
        (Fault::DropBefore, "retry"),
        (Fault::DropAfter, "retry"),
        (Fault::Hang, "retry"),
        (Fault::Endless, "retry"),
        (Fault::Redirect(302, "/calendars/anna/work/".to_owned()), "retry"),
        (Fault::Status(404, nothing_for()), "missing"),
    ];
    for sync in [true, false] {
        for (fault, expect) in &faults {
            let up = Caldav::start().await;
            up.server.manners(|m| m.sync = sync);
            let settings = Settings {
                url: up.server.url().parse().unwrap(),
                login: "anna".to_owned(),
                password: Secret::new("secret"),
                http: impatient(),
            };
            let provider = calgate::provider::open("caldav", settings).unwrap();
            let (calendar, mut mirror) = (up.calendar(), Mirror::default());
            for n in 1..=3 {
                up.put(&format!("{n}.ics"), &event(&n.to_string(), "a"));
            }
            mirror.sync(&*provider, &calendar).await.unwrap();
            up.put("1.ics", &event("1", "b"));
            let before = mirror.clone();
            up.server.fault("*", "/work/", usize::MAX, fault.clone());
            let outcome = mirror.sync(&*provider, &calendar).await;
            assert_eq!(kind(&outcome), *expect, "{fault:?}, sync {sync}: {outcome:?}");
            if let (Fault::Unavailable(_), Err(Error::Retry { after, .. })) = (fault, &outcome) {
                assert_eq!(*after, Some(Duration::from_secs(30)));
            }
            assert_eq!(mirror, before, "{fault:?}");
            up.server.heal();
            mirror.sync(&*provider, &calendar).await.unwrap();
            assert_eq!(mirror.objects(), up.objects(), "{fault:?}, healed");
        }
    }
}

/// The same for answers that are well-formed and wrong.
#[tokio::test]
async fn a_listing_that_lacks_something_deletes_nothing() {
    let manners: &[(&str, Edit, &str)] = &[
        ("nothing", |m| m.lists_nothing = true, "retry"),
        ("half", |m| m.lists_half = true, "ok"),
        ("without the calendar", |m| m.lists_without_itself = true, "retry"),
    ];
    for (what, edit, expect) in manners {
        let up = Caldav::start().await;
        up.server.manners(|m| (m.sync, m.ctag) = (false, false));
        let (provider, calendar, mut mirror) = (up.open("secret"), up.calendar(), Mirror::default());
        for n in 1..=4 {
            up.put(&format!("{n}.ics"), &event(&n.to_string(), "a"));
        }
        mirror.sync(&*provider, &calendar).await.unwrap();
        let before = mirror.objects();
        up.server.manners(edit);
        assert_eq!(kind(&mirror.sync(&*provider, &calendar).await), *expect, "{what}");
        assert_eq!(mirror.objects(), before, "{what}");
    }
}

#[tokio::test]
async fn one_object_that_can_not_be_read_holds_up_no_other() {
    let up = Caldav::start().await;
    let (provider, calendar, mut mirror) = (up.open("secret"), up.calendar(), Mirror::default());
    up.put("1.ics", &event("1", "a"));
    up.put("2.ics", "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:2\r\n");
    up.put("3.ics", &event("3", "a"));
    up.put("4.ics", &event("4", "a"));
    up.server.fault("GET", "4.ics", usize::MAX, Fault::Status(403, String::new()));
    up.server.manners(|m| m.no_multiget = true);
    mirror.sync(&*provider, &calendar).await.unwrap();
    // What is damaged, and what is listed and not given, are given on for the engine to set aside.
    let sound: Vec<bool> = mirror.objects().values().map(|text| Object::parse(text).is_ok()).collect();
    assert_eq!(sound, [true, false, true, false]);
}

/// A status for one object that is listed, whether we hold an older version of it or nothing: the others come, it is given
/// on with the reason, and where the server is to blame it comes by itself once that is over.
#[tokio::test]
async fn an_object_that_is_listed_and_not_given_is_told_of() {
    for (status, passes) in
        [(403, false), (406, false), (451, false), (400, false), (500, true), (502, true), (503, true)]
    {
        for edit in [(|_| {}) as Edit, |m| m.sync = false, |m| (m.sync, m.ctag) = (false, false)] {
            for held in [true, false] {
                let what = format!("{status}, held {held}");
                let up = Caldav::start().await;
                up.server.manners(edit).manners(|m| m.no_multiget = true);
                let (provider, calendar, mut mirror) = (up.open("secret"), up.calendar(), Mirror::default());
                up.put("1.ics", &event("1", "a"));
                if held {
                    up.put("2.ics", &event("2", "a"));
                    mirror.sync(&*provider, &calendar).await.unwrap();
                }
                up.put("2.ics", &event("2", "b"));
                up.put("3.ics", &event("3", "b"));
                let listed = up.server.objects(&up.calendar)[1].1.etag.clone();
                up.server.fault("GET", "2.ics", usize::MAX, Fault::Status(status, String::new()));
                mirror.sync(&*provider, &calendar).await.unwrap_or_else(|e| panic!("{what}: {e}"));
                assert!(mirror.objects()["3.ics"].contains("SUMMARY:b"), "{what}");
                let (etag, text) = mirror.held["/calendars/anna/work/2.ics"].clone();
                let given = RemoteObject { id: RemoteId::from("2"), etag, text };
                assert!(given.withheld().is_some_and(|why| why.contains(&status.to_string())), "{what}: {given:?}");
                assert!(Object::parse(&given.text).is_err(), "{what}");
                assert_eq!(given.etag.as_str(), if passes { "" } else { &listed }, "{what}");
                // Nothing changes but that the server is well again.
                up.server.heal();
                mirror.sync(&*provider, &calendar).await.unwrap();
                assert_eq!(mirror.objects() == up.objects(), passes, "{what}");
                up.put("2.ics", &event("2", "c"));
                mirror.sync(&*provider, &calendar).await.unwrap();
                assert_eq!(mirror.objects(), up.objects(), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_fails_once_is_asked_once_more() {
    let up = Caldav::start().await;
    let (provider, calendar, mut mirror) = (up.open("secret"), up.calendar(), Mirror::default());
    up.put("1.ics", &event("1", "a"));
    up.server.fault("GET", "1.ics", 1, Fault::Status(500, String::new()));
    mirror.sync(&*provider, &calendar).await.unwrap();
    assert_eq!(mirror.objects(), up.objects());
}

/// What is about all objects, though it was said of one.
#[tokio::test]
async fn throttling_and_a_server_that_is_down_are_about_the_whole_pull() {
    let check = async |get: Fault, collection_too: bool, expect: &str| {
        let up = Caldav::start().await;
        up.server.manners(|m| m.no_multiget = true);
        let (provider, calendar, mut mirror) = (up.open("secret"), up.calendar(), Mirror::default());
        for n in 1..=3 {
            up.put(&format!("{n}.ics"), &event(&n.to_string(), "a"));
        }
        up.server.fault("GET", "2.ics", usize::MAX, get.clone());
        if collection_too {
            // It answers until it has listed everything.
            up.server.fault("PROPFIND", "/work/", 2, Fault::Slow(Duration::ZERO));
            up.server.fault("PROPFIND", "/work/", usize::MAX, get.clone());
        }
        assert_eq!(kind(&mirror.sync(&*provider, &calendar).await), expect, "{get:?}");
        assert_eq!(mirror, Mirror::default());
        up.server.heal();
        mirror.sync(&*provider, &calendar).await.unwrap();
        assert_eq!(mirror.objects(), up.objects(), "{get:?}");
    };
    check(Fault::Status(429, String::new()), false, "retry").await;
    check(Fault::Unavailable("7".to_owned()), false, "retry").await;
    check(Fault::Unauthorized, false, "reconnect").await;
    check(Fault::Status(500, String::new()), true, "retry").await;
    check(Fault::Status(403, String::new()), true, "retry").await;
    check(Fault::Status(404, String::new()), true, "retry").await;
}

/// A 404 or 410 of one object, and of everything: what each question and each change comes to then.
#[tokio::test]
async fn that_an_object_is_gone_is_believed_only_while_its_calendar_answers() {
    for status in [404, 410] {
        for (path, whole) in [("x.ics", false), ("/work/", true), ("", true)] {
            let up = Caldav::start().await;
            up.put("x.ics", &event("x", "a"));
            let (provider, calendar, new) = (up.open("secret"), up.calendar(), object("x", "a"));
            let id = RemoteId::from("/calendars/anna/work/x.ics");
            let etag = provider.fetch(&calendar, &id).await.unwrap().unwrap().etag;
            let (id, etag, none) = (&id, &etag, Ok(None));
            up.server.fault("*", path, usize::MAX, Fault::Status(status, String::new()));
            let check = |what: &str, outcome: Result<Option<RemoteObject>, Error>, expect: &str| {
                let expect = if whole { "retry" } else { expect };
                assert_eq!(kind(&outcome), expect, "{what}, {status} at {path:?}: {outcome:?}");
                assert!(outcome.is_err() || outcome == none, "{what}: {outcome:?}");
            };
            check("fetch", provider.fetch(&calendar, id).await, "ok");
            check("created", provider.created(&calendar, "x").await, "ok");
            check("delete", provider.push(&calendar, Op::Delete { id, etag }).await, "ok");
            let update = Op::Update { id, etag, before: &new, after: &new };
            check("update", provider.push(&calendar, update).await, "missing");
            check("create", provider.push(&calendar, Op::Create { key: "x", after: &new }).await, "refused");
            // The precondition fails first, and then the object is looked for.
            for method in ["DELETE", "PUT"] {
                up.server.heal().fault(method, "", usize::MAX, Fault::Status(412, String::new()));
                up.server.fault("*", path, usize::MAX, Fault::Status(status, String::new()));
                match method {
                    "DELETE" => check(method, provider.push(&calendar, Op::Delete { id, etag }).await, "ok"),
                    _ => check(method, provider.push(&calendar, update).await, "missing"),
                }
            }
            assert_eq!(up.objects().len(), 1);
        }
    }
    // A PUT into what is not there: the calendar is asked, and it is no refusal.
    let up = Caldav::start().await;
    let (provider, calendar) = (up.open("secret"), up.calendar());
    up.server.fault("PUT", "", usize::MAX, Fault::Status(409, String::new()));
    let create = Op::Create { key: "x", after: &object("x", "a") };
    assert_eq!(kind(&provider.push(&calendar, create).await), "refused");
    up.server.fault("PROPFIND", "/work/", usize::MAX, Fault::Status(404, String::new()));
    assert_eq!(kind(&provider.push(&calendar, create).await), "retry");
    // Something answers for it that is no calendar.
    let folder = "<multistatus xmlns='DAV:'><response><href>/calendars/anna/work/</href><propstat><prop><resourcetype>\
        <collection/></resourcetype></prop><status>HTTP/1.1 200 OK</status></propstat></response></multistatus>";
    up.server.heal().fault("PROPFIND", "/work/", usize::MAX, Fault::Xml(207, folder.to_owned()));
    let outcome = provider.fetch(&calendar, &RemoteId::from("/calendars/anna/work/x.ics")).await;
    assert_eq!(kind(&outcome), "retry", "{outcome:?}");
}

/// The server is there while it lists, and then answers 404 to everything.
#[tokio::test]
async fn a_server_that_goes_away_in_the_middle_of_a_pull_takes_nothing_with_it() {
    for multiget in [true, false] {
        for lists_half in [true, false] {
            let up = Caldav::start().await;
            up.server.manners(|m| (m.sync, m.ctag, m.no_multiget) = (false, false, !multiget));
            let (provider, calendar, mut mirror) = (up.open("secret"), up.calendar(), Mirror::default());
            for n in 1..=6 {
                up.put(&format!("{n}.ics"), &event(&n.to_string(), "a"));
            }
            mirror.sync(&*provider, &calendar).await.unwrap();
            // Either listed objects are to be read, or objects that a listing lacks are to be confirmed.
            match lists_half {
                true => drop(up.server.manners(|m| m.lists_half = true)),
                false => (1..=6).for_each(|n| up.put(&format!("{n}.ics"), &event(&n.to_string(), "b"))),
            }
            let before = mirror.clone();
            up.server.fault("PROPFIND", "/work/", 2, Fault::Slow(Duration::ZERO));
            up.server.fault("*", "", usize::MAX, Fault::Status(404, String::new()));
            let outcome = mirror.sync(&*provider, &calendar).await;
            assert_eq!(kind(&outcome), "retry", "multiget {multiget}, half {lists_half}: {outcome:?}");
            assert_eq!(mirror, before);
        }
    }
}

#[tokio::test]
async fn a_calendar_is_gone_when_that_is_said_where_it_was() {
    let itself = "<multistatus xmlns='DAV:'><response><href>/calendars/anna/work/</href>\
        <status>HTTP/1.1 404 Not Found</status></response></multistatus>";
    let table = [
        ("/work/", Fault::Status(404, String::new()), "missing"),
        ("/work/", Fault::Status(410, String::new()), "missing"),
        ("/work/", Fault::Xml(207, itself.to_owned()), "missing"),
        ("/calendars/", Fault::Status(404, String::new()), "retry"),
        ("", Fault::Status(404, String::new()), "retry"),
        ("", Fault::Status(410, String::new()), "retry"),
    ];
    for (path, fault, expect) in table {
        for sync in [true, false] {
            let up = Caldav::start().await;
            up.server.manners(|m| m.sync = sync);
            let (provider, calendar, mut mirror) = (up.open("secret"), up.calendar(), Mirror::default());
            up.put("1.ics", &event("1", "a"));
            mirror.sync(&*provider, &calendar).await.unwrap();
            if let Fault::Xml(..) = fault {
                up.server.fault("REPORT", "/work/", usize::MAX, Fault::Status(404, String::new()));
            }
            up.server.fault("*", path, usize::MAX, fault.clone());
            let outcome = mirror.sync(&*provider, &calendar).await;
            assert_eq!(kind(&outcome), expect, "{fault:?} at {path:?}, sync {sync}: {outcome:?}");
            let unread = up.open("secret").pull(&calendar, None, &Known::new()).await;
            assert_eq!(kind(&unread), expect, "{fault:?} at {path:?}, without a cursor");
        }
    }
    // A calendar that lists itself at Depth 0 and answers 404 to Depth 1 is not gone.
    let up = Caldav::start().await;
    up.server.fault("PROPFIND", "/work/", 1, Fault::Slow(Duration::ZERO));
    up.server.fault("PROPFIND", "/work/", 1, Fault::Status(404, String::new()));
    assert_eq!(kind(&up.open("secret").pull(&up.calendar(), None, &Known::new()).await), "retry");
}

/// Bytes that are no text: as a GET gives them, beside what a multiget made of them.
#[tokio::test]
async fn what_is_not_utf_8_or_holds_nul_is_not_taken_for_text() {
    let latin = |text: &str| text.chars().map(|c| c as u8).collect::<Vec<u8>>();
    let (umlaut, sound) = (event("2", "Gespräch"), event("2", "a real \u{fffd}"));
    let damaged = umlaut.replace('ä', "\u{fffd}");
    let table = [
        (damaged.clone(), latin(&umlaut), Some("UTF-8")),
        (event("2", "a\0b"), event("2", "a\0b").into_bytes(), Some("U+0000")),
        // The server's multiget lost it, and its GET has it; and U+FFFD itself is a character.
        (damaged, umlaut.clone().into_bytes(), None),
        (sound.clone(), sound.into_bytes(), None),
    ];
    for (stored, bytes, expect) in table {
        for multiget in [true, false] {
            let up = Caldav::start().await;
            up.server.manners(|m| m.no_multiget = !multiget);
            let (provider, calendar, mut mirror) = (up.open("secret"), up.calendar(), Mirror::default());
            up.put("1.ics", &event("1", "a"));
            up.put("2.ics", &stored);
            up.server.fault("GET", "2.ics", usize::MAX, Fault::Object(bytes.clone()));
            mirror.sync(&*provider, &calendar).await.unwrap();
            assert_eq!(mirror.objects()["1.ics"], event("1", "a"));
            let there =
                provider.fetch(&calendar, &RemoteId::from("/calendars/anna/work/2.ics")).await.unwrap().unwrap();
            assert_eq!(mirror.held[&there.id.0], (there.etag.clone(), there.text.clone()), "both ways give the same");
            assert!(!there.text.contains('\0'));
            match expect {
                Some(words) => {
                    assert!(there.withheld().is_some_and(|why| why.contains(words)), "{:?}", there.text);
                    assert!(Object::parse(&there.text).is_err());
                }
                None => assert_eq!(there.text.as_bytes(), bytes),
            }
        }
    }
}

/// However a server keeps its line ends, and whatever XML makes of them, an object has one text.
#[tokio::test]
async fn an_object_has_one_text_whichever_way_it_comes() {
    let (crlf, lf) = (event("u", "a"), event("u", "a").replace('\r', ""));
    let mixed = crlf.replacen("\r\n", "\n", 3);
    for stored in [&crlf, &lf, &mixed] {
        for edit in [(|_| {}) as Edit, |m| m.multiget_reprints = true, |m| m.no_multiget = true] {
            let up = Caldav::start().await;
            up.server.manners(edit);
            let (provider, calendar, mut mirror) = (up.open("secret"), up.calendar(), Mirror::default());
            up.put("1.ics", stored);
            up.put("2.ics", stored);
            mirror.sync(&*provider, &calendar).await.unwrap();
            assert_eq!(mirror.objects().into_values().collect::<Vec<_>>(), [crlf.clone(), crlf.clone()], "{stored:?}");
            let fetched = provider.fetch(&calendar, &RemoteId::from("/calendars/anna/work/1.ics")).await;
            assert_eq!(fetched.unwrap().unwrap().text, crlf, "{stored:?}");
        }
    }
    // What was written with CRLF comes back as it was written, also without an end to its last line.
    for sent in [crlf.clone(), crlf.trim_end().to_owned(), format!("{crlf}\r\n")] {
        let up = Caldav::start().await;
        let new = Object::parse(&sent).unwrap();
        let made = up.open("secret").push(&up.calendar(), Op::Create { key: "u", after: &new }).await;
        assert_eq!(made.unwrap().unwrap().text, sent);
    }
}

#[tokio::test]
async fn whatever_the_user_pastes_leads_to_the_calendars() {
    let server = caldav::Server::start().await;
    server.user("anna", "secret").home("anna", "/calendars/team/");
    server.calendar("anna", "work", |c| {
        c.name = "Work".to_owned();
        c.color = "#ff2968ff".to_owned();
        c.description = "What pays".to_owned();
    });
    server.calendar("anna", "tasks", |c| c.components = vec!["VTODO".to_owned()]);
    server.calendar("anna", "inbox", |c| c.role = Role::Inbox);
    server.calendar("anna", "feed", |c| c.role = Role::Subscribed);
    server.calendar("anna", "bin", |c| c.role = Role::Trash);
    server.calendar("anna", "folder", |c| c.role = Role::Folder);
    server.calendar("team", "Team A", |c| {
        c.name = String::new();
        c.read_only = true;
        c.components = Vec::new();
    });
    let expect = [
        "/calendars/anna/tasks/ tasks  writable [Todo]",
        "/calendars/anna/work/ Work #FF2968FF writable [Event]",
        "/calendars/team/Team%20A/ Team A  read-only [Event, Todo, Journal]",
    ];
    let starts =
        ["/", "", "/.well-known/caldav", "/principals/anna/", "/calendars/anna/", "/calendars/anna/work/", "/nothing/"];
    for start in starts {
        let listed = open_at(&format!("{}{start}", server.url()), "secret").calendars().await;
        let listed = listed.unwrap_or_else(|e| panic!("{start}: {e}"));
        let lines = listed.iter().map(|c| {
            let writable = if c.writable { "writable" } else { "read-only" };
            format!("{} {} {} {writable} {:?}", c.id, c.name, c.color, c.components)
        });
        // Both homes are asked; a calendar that was pasted itself is in one of them already.
        assert_eq!(lines.collect::<Vec<_>>(), expect, "{start}");
    }
    let described = open_at(&server.url(), "secret").calendars().await.unwrap();
    assert_eq!(described[1].description, "What pays");
}

#[tokio::test]
async fn a_calendar_in_no_home_is_found_by_its_own_url() {
    let server = caldav::Server::start().await;
    server.user("anna", "secret").user("bert", "secret");
    server.calendar("anna", "work", |_| {});
    let shared = server.calendar("bert", "shared", |_| {});
    let listed = open_at(&format!("{}{shared}", server.url()), "secret").calendars().await.unwrap();
    assert_eq!(listed.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(), ["/calendars/anna/work/", &shared]);
}

#[tokio::test]
async fn discovery_says_in_words_what_is_wrong() {
    // Nobody listens on the port of a listener that is gone.
    let away = format!("http://{}", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let empty = caldav::Server::start().await;
    empty.user("anna", "secret");
    let web = caldav::Server::start().await;
    web.fault("*", "", usize::MAX, Fault::WebPage);
    let locked = caldav::Server::start().await;
    let slow = caldav::Server::start().await;
    slow.fault("*", "", usize::MAX, Fault::Unavailable("120".to_owned()));
    let check = async |url: &str, expect: &str, words: &str| {
        let outcome = open_at(url, "secret").calendars().await;
        assert_eq!(kind(&outcome), expect, "{url}: {outcome:?}");
        let said = outcome.unwrap_err().to_string();
        assert!(said.contains(words), "{said:?} does not say {words:?}");
        assert!(!said.contains("secret") && !said.contains("http://"), "{said}");
    };
    check(&away, "retry", "refuses connections").await;
    check("http://no-such-host.invalid/", "retry", "no such host").await;
    check(&empty.url(), "retry", "no calendars").await;
    check(&web.url(), "refused", "does not speak CalDAV").await;
    check(&locked.url(), "reconnect", "user name and password").await;
    check(&slow.url(), "retry", "503").await;
    check("ftp://example.com/", "refused", "ftp").await;
    check(&empty.url().replace("http:", "https:"), "retry", "does not speak TLS").await;
    assert_eq!(locked.log().len(), 1, "a wrong password is tried once");
}

#[tokio::test]
async fn credentials_are_sent_to_no_other_origin() {
    let foreign = caldav::Server::start().await;
    foreign.user("anna", "secret");
    let theirs = foreign.calendar("anna", "work", |_| {});
    foreign.put(&theirs, "1.ics", &event("1", "not ours"));
    let check = async |server: &caldav::Server, what: &str| {
        let provider = open_at(&server.url(), "secret");
        let listed = provider.calendars().await;
        assert_eq!(kind(&listed), "reconnect", "{what}: {listed:?}");
        assert!(listed.unwrap_err().to_string().contains("another site"), "{what}");
        assert!(foreign.log().iter().all(|l| !l.authorized), "{what}: {:?}", foreign.log());
        assert!(!foreign.log().is_empty(), "{what}: the redirect was followed");
        foreign.clear_log();
    };
    let own = async || {
        let server = caldav::Server::start().await;
        server.user("anna", "secret");
        server
    };
    let redirecting = own().await;
    redirecting.fault("*", "", usize::MAX, Fault::Redirect(307, format!("{}/", foreign.url())));
    check(&redirecting, "redirect").await;
    let elsewhere = own().await;
    elsewhere.home("anna", &format!("{}/calendars/anna/", foreign.url()));
    check(&elsewhere, "home set on another server").await;

    // A pull and a push that are sent on: nothing is read there, and nothing is written.
    let up = Caldav::start().await;
    let provider = up.open("secret");
    up.server.fault("*", "/work/", usize::MAX, Fault::Redirect(308, format!("{}{theirs}", foreign.url())));
    assert_eq!(kind(&provider.pull(&up.calendar(), None, &Known::new()).await), "reconnect");
    let op = Op::Create { key: "k", after: &object("k", "k") };
    assert_eq!(kind(&provider.push(&up.calendar(), op).await), "refused");
    assert_eq!(foreign.objects(&theirs).len(), 1);
    assert!(foreign.log().iter().all(|l| !l.authorized && l.method != "PUT"));
}

#[tokio::test]
async fn a_redirect_on_the_same_origin_keeps_method_and_body() {
    for status in [301, 302, 303, 307, 308] {
        let up = Caldav::start().await;
        up.server.manners(|m| m.well_known = WellKnown::Redirect(status, "/principals/anna/".to_owned()));
        let provider = open_at(&format!("{}/.well-known/caldav", up.server.url()), "secret");
        assert_eq!(provider.calendars().await.unwrap().len(), 1, "{status}");
        let to = format!("{}new.ics", up.calendar);
        up.server.fault("PUT", "k.ics", 1, Fault::Redirect(status, to));
        let made = provider.push(&up.calendar(), Op::Create { key: "k", after: &object("k", "k") }).await.unwrap();
        assert_eq!(made.unwrap().id.as_str(), "/calendars/anna/work/new.ics", "{status}");
    }
}

#[tokio::test]
async fn a_calendar_that_moved_keeps_the_ids_of_its_objects() {
    for sync in [true, false] {
        let up = Caldav::start().await;
        up.server.manners(|m| m.sync = sync);
        let (provider, calendar, mut mirror) = (up.open("secret"), RemoteId::from("/old/place/"), Mirror::default());
        up.server.manners(|m| m.moved = Some(("/old/place/".to_owned(), "/calendars/anna/work/".to_owned())));
        for n in 1..=3 {
            up.put(&format!("{n}.ics"), &event(&n.to_string(), "a"));
        }
        mirror.sync(&*provider, &calendar).await.unwrap();
        assert_eq!(mirror.objects(), up.objects());
        assert!(mirror.held.keys().all(|id| id.starts_with("/old/place/")), "{:?}", mirror.held.keys());
        let made = provider.push(&calendar, Op::Create { key: "k", after: &object("k", "k") }).await.unwrap().unwrap();
        mirror.held.insert(made.id.0, (made.etag, made.text));
        up.remove("2.ics");
        up.put("3.ics", &event("3", "b"));
        let news = mirror.sync(&*provider, &calendar).await.unwrap();
        assert_eq!((news.came, news.went), (1, 1));
        assert_eq!(mirror.objects(), up.objects());
    }
}

#[tokio::test]
async fn a_private_network_is_not_reached_when_that_is_not_allowed() {
    let server = caldav::Server::start().await;
    server.user("anna", "secret");
    let port = server.url().rsplit(':').next().unwrap().to_owned();
    let client = Arc::new(Client::with(Limits::default(), Networks::Public));
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433", "169.254.169.254"] {
        let settings = Settings {
            url: format!("http://{host}:{port}/").parse().unwrap(),
            login: "anna".to_owned(),
            password: Secret::new("secret"),
            http: client.clone(),
        };
        let outcome = calgate::provider::open("caldav", settings).unwrap().calendars().await;
        assert_eq!(kind(&outcome), "refused", "{host}: {outcome:?}");
        assert!(outcome.unwrap_err().to_string().contains("private network"), "{host}");
    }
    assert_eq!(server.log(), []);
}

/// How servers answer a PUT, and what is returned then: always what is there.
#[tokio::test]
async fn a_put_returns_what_upstream_then_holds() {
    let manners: &[(&str, Edit, &str, bool)] = &[
        ("plain", |_| {}, "k.ics", false),
        ("no etag", |m| m.etag_on_put = false, "k.ics", false),
        ("weak etag", |m| m.weak_etags = true, "k.ics", false),
        ("rewritten", |m| m.rewrites = true, "k.ics", true),
        ("rewritten without etag", |m| (m.rewrites, m.etag_on_put) = (true, false), "k.ics", true),
        ("renamed", |m| m.renames = true, "kept-k.ics", false),
        ("If-None-Match ignored", |m| m.ignores_if_none_match = true, "k.ics", false),
    ];
    for (what, edit, name, rewritten) in manners {
        let up = Caldav::start().await;
        up.server.manners(edit);
        let (provider, calendar) = (up.open("secret"), up.calendar());
        let (first, second) = (object("k", "first"), object("k", "second"));
        let made = provider.push(&calendar, Op::Create { key: "k", after: &first }).await.unwrap().unwrap();
        assert_eq!(made.id.as_str(), format!("/calendars/anna/work/{name}"), "{what}");
        assert_eq!(Some(&made.text), up.objects().get(*name), "{what}");
        assert_eq!(made.text != first.text(), *rewritten, "{what}");
        assert_eq!(provider.fetch(&calendar, &made.id).await.unwrap().as_ref(), Some(&made), "{what}");
        let before = Object::parse(&made.text).unwrap();
        let op = Op::Update { id: &made.id, etag: &made.etag, before: &before, after: &second };
        let changed = provider.push(&calendar, op).await.unwrap().unwrap();
        assert_eq!(Some(&changed.text), up.objects().get(*name), "{what}");
        assert!(changed.text.contains("second"), "{what}");
        let op = Op::Delete { id: &changed.id, etag: &changed.etag };
        assert_eq!(provider.push(&calendar, op).await, Ok(None), "{what}");
        assert_eq!(up.objects(), BTreeMap::new(), "{what}");
    }
}

#[tokio::test]
async fn a_create_that_is_repeated_finds_the_object_under_the_servers_own_name() {
    let up = Caldav::start().await;
    up.server.manners(|m| m.renames = true);
    let (provider, calendar, new) = (up.open("secret"), up.calendar(), object("k", "k"));
    up.lose_next_answer();
    assert_eq!(kind(&provider.push(&calendar, Op::Create { key: "k", after: &new }).await), "retry");
    let made = provider.push(&calendar, Op::Create { key: "k", after: &new }).await.unwrap().unwrap();
    assert_eq!(made.id.as_str(), "/calendars/anna/work/kept-k.ics");
    assert_eq!(up.objects().len(), 1);
}

#[tokio::test]
async fn a_weak_etag_does_not_let_another_change_be_overwritten() {
    let up = Caldav::start().await;
    up.server.manners(|m| m.weak_etags = true);
    let (provider, calendar, first) = (up.open("secret"), up.calendar(), object("k", "first"));
    let made = provider.push(&calendar, Op::Create { key: "k", after: &first }).await.unwrap().unwrap();
    up.put("k.ics", &event("k", "by somebody else"));
    let op = Op::Update { id: &made.id, etag: &made.etag, before: &first, after: &object("k", "ours") };
    assert_eq!(kind(&provider.push(&calendar, op).await), "stale");
    assert_eq!(kind(&provider.push(&calendar, Op::Delete { id: &made.id, etag: &made.etag }).await), "stale");
    assert!(up.objects()["k.ics"].contains("by somebody else"));
}

/// What a server says to a PUT, and what the engine is told to do.
#[tokio::test]
async fn a_refusal_is_final_and_says_why_and_trouble_is_tried_again() {
    let error = |ns: &str, name: &str| format!("<error xmlns='DAV:'><x:{name} xmlns:x='{ns}'/></error>");
    let caldav = |status, name: &str| Fault::Xml(status, error("urn:ietf:params:xml:ns:caldav", name));
    let table = [
        (caldav(403, "no-uid-conflict"), "refused", "UID"),
        (caldav(409, "no-uid-conflict"), "refused", "UID"),
        (caldav(403, "max-resource-size"), "refused", "too large"),
        (caldav(403, "supported-calendar-component"), "refused", "kind of object"),
        (Fault::Xml(403, error("DAV:", "need-privileges")), "refused", "may not write"),
        (Fault::Status(403, "no".to_owned()), "refused", "does not let this account write"),
        (Fault::Status(400, "Calendar object with uid already exists".to_owned()), "refused", "400"),
        (Fault::Status(413, String::new()), "refused", "too large"),
        (Fault::Status(507, String::new()), "retry", "no space"),
        (Fault::Xml(507, "<error xmlns='DAV:'><quota-not-exceeded/></error>".to_owned()), "retry", "no space"),
        (Fault::Xml(403, "<error xmlns='DAV:'><quota-not-exceeded/></error>".to_owned()), "retry", "no space"),
        (Fault::Status(415, String::new()), "refused", "415"),
        (Fault::Status(409, String::new()), "refused", "409"),
        (Fault::Unauthorized, "reconnect", "password"),
        (Fault::Unavailable("7".to_owned()), "retry", "503"),
        (Fault::Status(429, String::new()), "retry", "429"),
        (Fault::Status(500, String::new()), "retry", "500"),
        (Fault::Status(423, String::new()), "retry", "423"),
        (Fault::DropBefore, "retry", "cut the connection"),
        (Fault::DropAfter, "retry", "cut the connection"),
    ];
    for (fault, expect, words) in table {
        let up = Caldav::start().await;
        up.put("u.ics", &event("u", "first"));
        let (provider, calendar) = (up.open("secret"), up.calendar());
        let there = provider.fetch(&calendar, &RemoteId(format!("{}u.ics", up.calendar))).await.unwrap().unwrap();
        let (first, second, new) = (object("u", "first"), object("u", "second"), object("n", "new"));
        let update = Op::Update { id: &there.id, etag: &there.etag, before: &first, after: &second };
        for op in [Op::Create { key: "n", after: &new }, update] {
            up.server.fault("PUT", "", 1, fault.clone());
            let outcome = provider.push(&calendar, op).await;
            assert_eq!(kind(&outcome), expect, "{fault:?}: {outcome:?}");
            let said = outcome.unwrap_err().to_string();
            assert!(said.contains(words), "{fault:?}: {said:?} does not say {words:?}");
        }
    }
}

#[tokio::test]
async fn the_object_that_has_the_uid_already_is_shown() {
    let forms = [UidConflict::Named, UidConflict::Bare(409), UidConflict::Bare(412), UidConflict::Words];
    for form in forms {
        let up = Caldav::start().await;
        up.server.manners(|m| m.uid_conflict = form);
        up.put("first.ics", &event("first", "of many"));
        up.put("other.ics", &event("same", "another"));
        let (provider, calendar) = (up.open("secret"), up.calendar());
        match provider.push(&calendar, Op::Create { key: "k", after: &object("same", "ours") }).await {
            Err(Error::Exists(there)) => assert_eq!(there.id.as_str(), "/calendars/anna/work/other.ics", "{form:?}"),
            other => panic!("{form:?}: {other:?}"),
        }
        // The same in the same words is what an earlier attempt made.
        let again = provider.push(&calendar, Op::Create { key: "k", after: &object("same", "another") }).await;
        assert_eq!(again.unwrap().unwrap().id.as_str(), "/calendars/anna/work/other.ics", "{form:?}");
        assert_eq!(up.objects().len(), 2, "{form:?}");
    }
}

#[tokio::test]
async fn an_id_that_leads_out_of_its_calendar_is_not_followed() {
    let up = Caldav::start().await;
    let (provider, calendar, new) = (up.open("secret"), up.calendar(), object("x", "x"));
    for id in ["/calendars/anna/home/x.ics", "/calendars/anna/work/../home/x.ics", "/", "/calendars/anna/work/"] {
        let (id, etag) = (&RemoteId::from(id), &Etag::from("e1"));
        assert_eq!(provider.fetch(&calendar, id).await, Ok(None), "{id}: it is not in this calendar");
        let update = Op::Update { id, etag, before: &new, after: &new };
        assert_eq!(kind(&provider.push(&calendar, update).await), "missing", "{id}");
        assert_eq!(kind(&provider.push(&calendar, Op::Delete { id, etag }).await), "missing", "{id}");
    }
    assert_eq!(up.server.log(), []);
}

/// The calendars of the demo, on every day of two weeks: each object is one that calgate takes, and the double booking is there.
#[test]
fn the_demo_has_sound_calendars_on_any_day() {
    let first = jiff::civil::date(2028, 2, 21);
    for today in first.series(jiff::Span::new().days(1)).take(14) {
        let mut busy = Vec::new();
        for name in ["meetings", "travel", "family"] {
            let file = format!("{}/fixtures/ical/demo/{name}.ics", env!("CARGO_MANIFEST_DIR"));
            let objects = standin::calendars::objects(&std::fs::read_to_string(file).unwrap(), today);
            for (file, text) in objects {
                let object = Object::parse(&text).unwrap_or_else(|e| panic!("{name}/{file} on {today}: {e}\n{text}"));
                if object.uid().starts_with("interview@") || object.uid().starts_with("dentist@") {
                    busy.push(object.span());
                }
            }
        }
        assert!(busy.len() == 2 && busy[0].first < busy[1].last && busy[1].first < busy[0].last, "{today}: {busy:?}");
    }
}

/// Everything that this thread logs, at the most talkative level, while an account is used well and badly.
#[tokio::test]
async fn the_log_holds_no_secret_and_nothing_of_what_is_in_a_calendar() {
    #[derive(Clone, Default)]
    struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);
    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines::default();
    let writer = lines.clone();
    let log =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    // While there is just one subscriber, a thread of another test decides by itself, and for all, that nobody listens.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let guard = tracing::subscriber::set_default(log);
    let up = Caldav::start().await;
    let url = up.server.url().replace("http://", "http://anna:canary-url@");
    let provider = open_at(&format!("{url}/principals/anna/?q=canary-query"), "secret");
    provider.calendars().await.unwrap();
    let new = object("canary-uid", "canary-title");
    provider.push(&up.calendar(), Op::Create { key: "canary-key", after: &new }).await.unwrap();
    provider.pull(&up.calendar(), None, &Known::new()).await.unwrap();
    up.server.fault("*", "", 1, Fault::Unauthorized);
    assert_eq!(kind(&provider.identity().await.and(provider.calendars().await)), "reconnect");
    up.server.fault("*", "", 1, Fault::Redirect(302, format!("{url}/canary-path/")));
    provider.calendars().await.unwrap();
    drop(guard);
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("upstream request"), "nothing was logged at all");
    for canary in ["canary", "secret", "YW5uYTpzZWNyZXQ="] {
        let line = log.lines().find(|line| line.contains(canary));
        assert_eq!(line, None, "{canary}");
    }
}
