//! The engine against two stand-in CalDAV servers: what is written, lost, changed at once, refused, or answered with rubbish.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use calgate::app::App;
use calgate::busy;
use calgate::ical::recur::Busy;
use calgate::ical::{Instant, Window};
use calgate::ids::{Etag, Name};
use calgate::store::calendars::{self, Need};
use calgate::store::resources;
use calgate::store::users::Actor;
use calgate::store::{self, accounts, properties};
use calgate::sync::jobs;
use calgate::sync::pull::{self, Quiet};
use calgate::sync::write::{self, Condition, Done, Place, Refusal};
use standin::caldav::{BadToken, Fault, Server};
use tokio::sync::watch;

use crate::kit::{self, Folder, event, event_text, on_both_engines};

on_both_engines! {
    what_is_put_arrives_where_it_belongs,
    a_change_upstream_arrives_here,
    what_upstream_removes_takes_its_properties_along,
    a_write_while_upstream_is_away_is_kept_and_sent_later,
    a_write_while_upstream_is_away_is_refused_where_that_is_wished,
    a_create_whose_answer_was_lost_makes_one_object,
    our_own_lost_write_is_nobody_elses,
    what_is_deleted_before_its_create_was_heard_of_stays_deleted,
    one_rows_trouble_cuts_no_other,
    one_row_that_always_fails_holds_up_no_other,
    a_refused_change_takes_back_no_promise,
    what_is_deleted_and_put_again_at_once_stays,
    a_mirror_is_bound_to_what_it_was_found_as,
    an_account_that_moves_to_another_server_holds_what_that_one_has,
    time_that_can_not_be_read_is_not_free,
    a_server_that_takes_any_token_is_listed_once_a_day,
    two_that_write_and_send_at_once_wait_for_no_each_other,
    a_change_on_both_sides_keeps_both_versions,
    a_delete_here_and_a_change_there_loses_nothing,
    a_change_here_and_a_delete_there_loses_nothing,
    what_upstream_refuses_is_told_and_not_kept,
    what_upstream_rewrites_is_read_back_and_settles,
    a_lost_cursor_is_no_news,
    rubbish_from_upstream_deletes_nothing,
    what_can_not_be_read_is_set_aside,
    preconditions_hold_one_winner,
    what_may_not_be_written_is_refused,
}

pub const NOON: &str = "DTSTART:20260610T120000Z\nDTEND:20260610T130000Z\nSUMMARY:Noon";

pub struct House {
    pub app: Arc<App>,
    pub work: Server,
    pub home: Server,
    stop: watch::Sender<bool>,
    _folder: Folder,
}

pub const WORK: &str = "/calendars/anna/work/";
pub const HOME: &str = "/calendars/anna/home/";

impl House {
    /// Anna has a calendar at each of two servers, and one over both that writes to work.
    pub async fn new(url: &str, sync: &str) -> House {
        let folder = Folder::new();
        let password = folder.path().join("password");
        std::fs::write(&password, "secret").expect("a password file");
        let (work, home) = (Server::start().await, Server::start().await);
        work.user("anna", "secret").calendar("anna", "work", |c| c.name = "Work".to_owned());
        home.user("anna", "secret").calendar("anna", "home", |c| c.name = "Home".to_owned());
        let account = |name: &str, server: &Server| {
            format!(
                "[[user.account]]\nname = \"{name}\"\nkind = \"caldav\"\nurl = \"{}\"\nusername = \"anna\"\n\
                 password = \"file:{}\"\n[[user.account.calendar]]\nremote = \"{name}\"\nname = \"{name}\"\n",
                server.url(),
                password.display()
            )
        };
        let text = format!(
            "[sync]\ninterval = \"1h\"\nwrite_wait = \"3s\"\n{sync}\n[[user]]\nname = \"anna\"\n{}{}\
             [[user.unified]]\nname = \"all\"\nmembers = [\"work\", \"home\"]\nwrite_to = \"work\"\n",
            account("work", &work),
            account("home", &home)
        );
        let app = kit::app(url, &text).await;
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(jobs::run(app.clone(), stopped));
        let house = House { app, work, home, stop, _folder: folder };
        house.discover().await;
        house.pull("work").await.expect("a first pull");
        house.pull("home").await.expect("a first pull");
        house
    }

    pub async fn discover(&self) {
        let accounts = self.app.store.read(|tx| accounts::list(tx, None)).await.expect("accounts");
        for account in accounts {
            pull::discover(&self.app, account.id).await.expect("a discovery");
        }
    }

    pub async fn actor(&self) -> Actor {
        kit::actor(&self.app, "anna").await
    }

    pub async fn calendar(&self, slug: &str) -> calendars::Calendar {
        let (actor, slug) = (self.actor().await, slug.to_owned());
        let opened = self.app.store.read(move |tx| calendars::open(tx, &actor, "anna", &slug, Need::Read)).await;
        opened.unwrap_or_else(|e| panic!("{e}"))
    }

    pub async fn pull(&self, slug: &str) -> Result<pull::Report, String> {
        pull::pull(&self.app, self.calendar(slug).await.id, &Quiet).await
    }

    pub fn place(slug: &str, name: &str) -> Place {
        Place { owner: "anna".to_owned(), slug: slug.to_owned(), name: Name::new(name).expect("a name") }
    }

    pub async fn put(&self, slug: &str, name: &str, uid: &str, lines: &str) -> Result<Done, Refusal> {
        self.put_if(slug, name, uid, lines, &Condition::default()).await
    }

    pub async fn put_if(&self, slug: &str, name: &str, uid: &str, lines: &str, c: &Condition) -> Result<Done, Refusal> {
        write::put(&self.app, &self.actor().await, &House::place(slug, name), event(uid, lines), c).await
    }

    pub async fn delete(&self, slug: &str, name: &str) -> Result<(), Refusal> {
        write::delete(&self.app, &self.actor().await, &House::place(slug, name), &Condition::default()).await
    }

    /// name → body.
    pub async fn here(&self, slug: &str) -> BTreeMap<String, String> {
        let calendar = self.calendar(slug).await;
        let all = self.app.store.read(move |tx| resources::all(tx, &calendar)).await;
        let all: Vec<resources::Resource> = all.unwrap_or_else(|e: store::Error| panic!("{e}"));
        all.into_iter().map(|r| (r.name.to_string(), r.body)).collect()
    }

    /// name → body, as the server holds it.
    pub fn there(server: &Server, path: &str) -> BTreeMap<String, String> {
        server.objects(path).into_iter().map(|(name, stored)| (name, stored.text)).collect()
    }

    pub async fn kept(&self, uid: &str) -> Vec<String> {
        let (actor, uid) = (self.actor().await, uid.to_owned());
        let found = self.app.store.read(move |tx| resources::explain(tx, actor.user, &uid)).await;
        let found: Vec<resources::Explained> = found.unwrap_or_else(|e: store::Error| panic!("{e}"));
        found.into_iter().flat_map(|e| e.kept).map(|k| k.body).collect()
    }

    /// Lets the time pass after which what failed is tried again, and waits until nothing is left to send.
    pub async fn settle(&self) {
        for _ in 0..60 {
            self.app.clock.advance(3600);
            self.app.wake.notify_one();
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut left = 0;
            for slug in ["work", "home"] {
                let id = self.calendar(slug).await.id;
                let unsent = self.app.store.read(move |tx| resources::unsent(tx, id, 100)).await;
                left += unsent.unwrap_or_else(|e: store::Error| panic!("{e}")).len();
            }
            if left == 0 {
                return;
            }
        }
        panic!("something is never sent");
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}

async fn what_is_put_arrives_where_it_belongs(url: String) {
    let house = House::new(&url, "").await;
    house.home.put(HOME, "party.ics", &event_text("party", NOON));
    house.pull("home").await.expect("a pull");

    // New: to `write_to`, under the client's name on both sides.
    let done = house.put("all", "mine.ics", "fresh", NOON).await.expect("a create");
    assert!(done.created && !done.pending);
    let text = event_text("fresh", NOON);
    assert_eq!(done.etag, Some(resources::etag_of(&text)));
    assert_eq!(House::there(&house.work, WORK)["mine.ics"], text, "the client's bytes arrive");
    assert_eq!(house.here("all").await["mine.ics"], text, "and come back");

    // Old: to where it came from.
    let changed = format!("{NOON}\nLOCATION:Garden");
    let done = house.put("all", "party.ics", "party", &changed).await.expect("a change");
    assert!(!done.created && !done.pending);
    assert_eq!(House::there(&house.home, HOME)["party.ics"], event_text("party", &changed));
    assert!(!House::there(&house.work, WORK).contains_key("party.ics"));

    house.delete("all", "party.ics").await.expect("a delete");
    assert_eq!(House::there(&house.home, HOME).len(), 0);
    assert_eq!(house.here("all").await.len(), 1);

    // One write here is one write there, and the next pull has nothing to tell.
    assert_eq!(house.work.count("PUT"), 1);
    let before = house.calendar("all").await.token();
    assert_eq!(house.pull("work").await, Ok(pull::Report::default()));
    assert_eq!(house.calendar("all").await.token(), before);
}

async fn a_change_upstream_arrives_here(url: String) {
    let house = House::new(&url, "").await;
    for (uid, lines) in [("a", NOON), ("b", NOON)] {
        house.work.put(WORK, &format!("{uid}.ics"), &event_text(uid, lines));
    }
    assert_eq!(house.pull("work").await.expect("a pull").changed, 2);
    house.work.put(WORK, "a.ics", &event_text("a", &format!("{NOON}\nLOCATION:Moved")));
    house.work.remove(WORK, "b.ics");
    let report = house.pull("work").await.expect("a pull");
    assert_eq!((report.changed, report.removed), (1, 1));
    let all = house.here("all").await;
    assert_eq!(all.keys().collect::<Vec<_>>(), ["a.ics"]);
    assert!(all["a.ics"].contains("Moved"));
}

/// Dead properties go with the resource, whoever removes it, and stay when its removal is refused.
async fn what_upstream_removes_takes_its_properties_along(url: String) {
    let house = House::new(&url, "").await;
    let user = house.actor().await.user;
    let paths = ["/dav/anna/work/a.ics", "/dav/anna/all/a.ics"];
    let keep = async || {
        house.put("work", "a.ics", "a", NOON).await.expect("a create");
        house.pull("work").await.expect("a pull");
        let kept = house.app.store.write(move |tx| -> Result<(), properties::NotSet> {
            let dead =
                properties::Dead { ns: "x:".to_owned(), name: "p".to_owned(), xml: "<p xmlns=\"x:\"/>".to_owned() };
            paths.iter().try_for_each(|path| properties::set(tx, user, path, &dead, 1 << 20))
        });
        kept.await.expect("it is kept");
    };
    let left = async || {
        let counted = house.app.store.read(move |tx| -> Result<usize, store::Error> {
            Ok(properties::list(tx, user, paths[0])?.len() + properties::list(tx, user, paths[1])?.len())
        });
        counted.await.expect("a count")
    };
    keep().await;
    house.work.remove(WORK, "a.ics");
    assert_eq!(house.pull("work").await.expect("a pull").removed, 1);
    assert_eq!(left().await, 0);
    keep().await;
    house.delete("work", "a.ics").await.expect("a delete");
    assert_eq!(left().await, 0);
    keep().await;
    house.work.fault("DELETE", "a.ics", 1, Fault::Status(403, "no".to_owned()));
    assert!(matches!(house.delete("work", "a.ics").await, Err(Refusal::Upstream(_))));
    assert!(left().await > 0);
}

async fn a_write_while_upstream_is_away_is_kept_and_sent_later(url: String) {
    let house = House::new(&url, "upstream_away = \"keep\"").await;
    house.work.fault("*", "/", usize::MAX, Fault::Status(500, "down".to_owned()));
    let done = house.put("all", "mine.ics", "mine", NOON).await.expect("it is kept");
    assert!(done.created && done.pending);
    assert!(house.here("all").await.contains_key("mine.ics"));
    let done = house.put("work", "mine.ics", "mine", &format!("{NOON}\nLOCATION:Later")).await.expect("also kept");
    assert!(!done.created && done.pending);
    assert_eq!(House::there(&house.work, WORK).len(), 0);
    house.work.heal();
    house.settle().await;
    assert!(House::there(&house.work, WORK)["mine.ics"].contains("Later"));
    assert_eq!(House::there(&house.work, WORK).len(), 1);
}

async fn a_write_while_upstream_is_away_is_refused_where_that_is_wished(url: String) {
    let house = House::new(&url, "upstream_away = \"refuse\"").await;
    house.put("work", "old.ics", "old", NOON).await.expect("it is up");
    let before = house.here("all").await;
    house.work.fault("*", "/", usize::MAX, Fault::Unavailable("120".to_owned()));
    let refused = |r: Result<Done, Refusal>| matches!(r, Err(Refusal::Later(_)));
    assert!(refused(house.put("all", "mine.ics", "mine", NOON).await));
    assert!(refused(house.put("all", "old.ics", "old", &format!("{NOON}\nLOCATION:New")).await));
    assert!(matches!(house.delete("all", "old.ics").await, Err(Refusal::Later(_))));
    assert_eq!(house.here("all").await, before, "nothing was kept");
    house.work.heal();
    house.settle().await;
    assert_eq!(House::there(&house.work, WORK).len(), 1, "and nothing is sent later");
    house.put("all", "mine.ics", "mine", NOON).await.expect("it is up again");
}

async fn a_create_whose_answer_was_lost_makes_one_object(url: String) {
    for rewrites in [false, true] {
        let (url, _folder) = if rewrites { kit::sqlite_url() } else { (url.clone(), Folder::new()) };
        let house = House::new(&url, "").await;
        house.work.manners(|m| m.rewrites = rewrites);
        house.work.fault("PUT", WORK, 1, Fault::DropAfter);
        house.put("all", "mine.ics", "mine", NOON).await.expect("it is kept");
        house.settle().await;
        assert_eq!(House::there(&house.work, WORK).len(), 1);
        // The upstream's text is what both sides hold in the end.
        house.pull("work").await.expect("a pull");
        assert_eq!(house.here("work").await, House::there(&house.work, WORK));
        assert_eq!(house.here("all").await.len(), 1);
    }
}

/// The answer to a write is lost, and the client writes on: upstream's version is our own earlier one, not a conflict.
async fn our_own_lost_write_is_nobody_elses(url: String) {
    let house = House::new(&url, "").await;
    house.put("work", "old.ics", "old", NOON).await.expect("a create");
    for (name, uid) in [("new.ics", "new"), ("old.ics", "old")] {
        let say = |n: u32| format!("{NOON}\nLOCATION:{n}");
        house.work.fault("PUT", name, 1, Fault::DropAfter);
        // Upstream takes the first version and is away at once: nobody hears of it.
        house.work.fault("GET", name, 1, Fault::DropBefore);
        let first = house.put("work", name, uid, &say(1)).await.expect("it is kept");
        assert!(first.pending);
        house.work.fault("*", "/", usize::MAX, Fault::Status(500, String::new()));
        assert!(house.put("work", name, uid, &say(2)).await.expect("it is kept").pending);
        // Back to what was said first, which is what upstream was sent and we never heard of.
        assert!(house.put("work", name, uid, &say(3)).await.expect("it is kept").pending);
        house.work.heal();
        house.settle().await;
        let there = House::there(&house.work, WORK);
        assert!(there[name].contains("LOCATION:3"), "{}", there[name]);
        assert_eq!(house.here("work").await, there);
        assert_eq!(house.kept(uid).await, Vec::<String>::new(), "nobody else wrote");
    }
    // To what both sides had agreed on before: it has to be sent all the same.
    house.work.fault("PUT", "old.ics", 1, Fault::DropAfter);
    house.work.fault("GET", "old.ics", 1, Fault::DropBefore);
    house.put("work", "old.ics", "old", &format!("{NOON}\nLOCATION:4")).await.expect("it is kept");
    house.put("work", "old.ics", "old", &format!("{NOON}\nLOCATION:3")).await.expect("it is kept");
    house.settle().await;
    house.pull("work").await.expect("a pull");
    assert!(House::there(&house.work, WORK)["old.ics"].contains("LOCATION:3"));
    assert!(house.here("work").await["old.ics"].contains("LOCATION:3"));
}

async fn what_is_deleted_before_its_create_was_heard_of_stays_deleted(url: String) {
    let house = House::new(&url, "").await;
    house.work.fault("PUT", "lost.ics", 1, Fault::DropAfter);
    house.work.fault("GET", "lost.ics", 1, Fault::DropBefore);
    assert!(house.put("all", "lost.ics", "lost", NOON).await.expect("it is kept").pending);
    assert_eq!(House::there(&house.work, WORK).len(), 1, "upstream has it");
    house.delete("all", "lost.ics").await.expect("a delete");
    house.settle().await;
    assert_eq!(House::there(&house.work, WORK).len(), 0);
    house.pull("work").await.expect("a pull");
    assert_eq!(house.here("all").await.len(), 0);
    // One that never arrived is deleted without a word upstream.
    house.work.fault("PUT", "never.ics", 1, Fault::DropBefore);
    house.put("all", "never.ics", "never", NOON).await.expect("it is kept");
    house.delete("all", "never.ics").await.expect("a delete");
    house.settle().await;
    assert_eq!(house.here("all").await.len(), 0);
}

async fn one_rows_trouble_cuts_no_other(url: String) {
    let house = Arc::new(House::new(&url, "").await);
    house.work.fault("PUT", "bad.ics", 1, Fault::Status(500, String::new()));
    house.work.fault("PUT", "good", 6, Fault::Slow(Duration::from_millis(150)));
    // A server that takes one write at a time is asked again in a moment, and nobody hears of it.
    house.work.fault("PUT", "locked.ics", 2, Fault::Status(423, "Locked".to_owned()));
    let names = ["good1.ics", "good2.ics", "bad.ics", "good3.ics", "locked.ics"];
    let puts: Vec<_> = names
        .into_iter()
        .map(|name| {
            let house = house.clone();
            tokio::spawn(async move { house.put("work", name, name, NOON).await.expect("it is kept") })
        })
        .collect();
    for put in puts {
        put.await.expect("a put");
    }
    house.settle().await;
    assert_eq!(House::there(&house.work, WORK).len(), 5);
    for (name, text) in House::there(&house.work, WORK) {
        assert_eq!(text, house.here("work").await[&name], "{name}");
    }
    let twice = house.work.log().iter().filter(|l| l.method == "PUT" && l.path.contains("good")).count();
    assert_eq!(twice, 3, "what was begun was brought to its end");
}

async fn one_row_that_always_fails_holds_up_no_other(url: String) {
    let house = House::new(&url, "").await;
    house.work.fault("PUT", "poison.ics", usize::MAX, Fault::Status(500, "no".to_owned()));
    assert!(house.put("work", "poison.ics", "poison", NOON).await.expect("it is kept").pending);
    for n in 0..10 {
        let done = house.put("work", &format!("{n}.ics"), &format!("u{n}"), NOON).await.expect("a create");
        assert!(!done.pending, "{n} was sent");
    }
    assert_eq!(House::there(&house.work, WORK).len(), 10);
    house.work.heal();
    house.settle().await;
    assert_eq!(House::there(&house.work, WORK).len(), 11);
}

/// A version that was kept with a 2xx is not taken back when a later one is refused.
async fn a_refused_change_takes_back_no_promise(url: String) {
    let house = House::new(&url, "").await;
    house.work.fault("*", "/", usize::MAX, Fault::Status(500, String::new()));
    assert!(house.put("work", "a.ics", "a", NOON).await.expect("it is kept").pending);
    let kept = house.here("work").await;
    house.work.heal();
    house.work.fault("PUT", "a.ics", 2, Fault::Status(403, "no".to_owned()));
    let refused = house.put("work", "a.ics", "a", &format!("{NOON}\nLOCATION:Second")).await;
    assert!(matches!(refused, Err(Refusal::Upstream(_))), "{refused:?}");
    assert_eq!(house.here("work").await, kept, "the first version is what was promised");
    house.work.heal();
    // The same bytes once more are a new attempt, and not the old verdict.
    let again = house.put("work", "a.ics", "a", NOON).await.expect("a create");
    assert!(!again.pending, "{again:?}");
    assert_eq!(House::there(&house.work, WORK), kept);
}

/// Undo: deleted, and put again under another name before upstream heard of the deletion.
async fn what_is_deleted_and_put_again_at_once_stays(url: String) {
    for slug in ["all", "work"] {
        let (url, _folder) = if slug == "all" { (url.clone(), Folder::new()) } else { kit::sqlite_url() };
        let house = House::new(&url, "").await;
        house.put(slug, "a.ics", "a", NOON).await.expect("a create");
        house.work.fault("*", "/", usize::MAX, Fault::Status(500, String::new()));
        house.delete(slug, "a.ics").await.expect("a delete");
        let changed = format!("{NOON}\nLOCATION:Again");
        assert!(house.put(slug, "b.ics", "a", &changed).await.expect("it is kept").pending);
        house.work.heal();
        house.settle().await;
        house.pull("work").await.expect("a pull");
        let there: Vec<String> = House::there(&house.work, WORK).into_values().collect();
        assert_eq!(there, [event_text("a", &changed)], "{slug}");
        assert_eq!(house.here(slug).await.get("b.ics"), Some(&event_text("a", &changed)), "{slug}");
    }
}

async fn a_mirror_is_bound_to_what_it_was_found_as(url: String) {
    let house = House::new(&url, "").await;
    house.put("work", "a.ics", "a", NOON).await.expect("a create");
    let before = house.calendar("work").await;
    // A colleague shares a calendar of the same name, which is listed first.
    house.work.calendar("anna", "a-shared", |c| c.name = "work".to_owned());
    house.discover().await;
    assert_eq!(house.calendar("work").await.source, before.source);
    assert_eq!(house.here("work").await.len(), 1);
    assert_eq!(house.calendar("work").await.token(), before.token());
}

/// The same paths and the same etags at another server, and nothing in common.
async fn an_account_that_moves_to_another_server_holds_what_that_one_has(url: String) {
    let house = House::new(&url, "").await;
    house.work.put(WORK, "a.ics", &event_text("a", NOON)).put(WORK, "b.ics", &event_text("b", NOON));
    house.pull("work").await.expect("a pull");
    let token = house.calendar("all").await.token();
    let other = Server::start().await;
    other.user("anna", "secret").calendar("anna", "work", |c| c.name = "Work".to_owned());
    other.put(WORK, "a.ics", &event_text("a", &format!("{NOON}\nLOCATION:Other")));
    let mut config = (**house.app.config.load()).clone();
    let account = config.users[0].accounts.iter_mut().find(|a| a.name == "work").expect("the account");
    account.url = other.url();
    house.app.apply(config).await.expect("a reload");
    assert_eq!(house.calendar("work").await.pulled_at, None, "nothing is known of the new place yet");
    house.discover().await;
    house.pull("work").await.expect("a pull");
    assert_eq!(house.here("work").await, House::there(&other, WORK));
    assert_ne!(house.calendar("all").await.token(), token);
    assert_eq!(House::there(&house.work, WORK).len(), 2, "the old place is left as it was");
}

async fn time_that_can_not_be_read_is_not_free(url: String) {
    let house = House::new(&url, "").await;
    let broken = event_text("broken", "DTSTART:20260610T120000Z\nDTEND:20260610T110000Z");
    house.work.put(WORK, "broken.ics", &broken);
    assert_eq!(house.pull("work").await.expect("a pull").set_aside, 1);
    let calendar = house.calendar("all").await;
    let rules = house.app.config.load().sync.clone();
    let busy = |from: i64, calendar: calendars::Calendar| {
        let (now, rules) = (house.app.clock.now(), rules.clone());
        let window = Window::new(Instant(from), Instant(from + 86_400)).expect("a window");
        house.app.store.read(move |tx| busy::gather(tx, &calendar, window, &rules, now))
    };
    // 2026-06-10, and a month later.
    let then = busy(1_781_049_600, calendar.clone()).await.expect("an answer");
    assert!(then.periods.iter().any(|p| p.kind == Busy::Unavailable), "{then:?}");
    let later = busy(1_783_641_600, calendar).await.expect("an answer");
    assert_eq!(later.periods, []);
}

async fn a_server_that_takes_any_token_is_listed_once_a_day(url: String) {
    let house = House::new(&url, "").await;
    house.work.put(WORK, "a.ics", &event_text("a", NOON));
    house.pull("work").await.expect("a pull");
    house.work.manners(|m| m.bad_token = BadToken::TellNothing).forget_history();
    house.work.put(WORK, "b.ics", &event_text("b", NOON));
    house.work.forget_history();
    house.pull("work").await.expect("it says that nothing changed");
    assert_eq!(house.here("work").await.len(), 1);
    house.app.clock.advance(86_401);
    house.pull("work").await.expect("a pull");
    assert_eq!(house.here("work").await.len(), 2);
}

/// Clients that write while workers send and take: nobody is told that two waited for each other.
async fn two_that_write_and_send_at_once_wait_for_no_each_other(url: String) {
    let house = Arc::new(House::new(&url, "").await);
    let writers: Vec<_> = (0..6)
        .map(|w| {
            let house = house.clone();
            tokio::spawn(async move {
                for n in 0..10 {
                    let slug = if n % 2 == 0 { "all" } else { "home" };
                    let (name, uid) = (format!("{w}-{n}.ics"), format!("{w}-{n}"));
                    house.put(slug, &name, &uid, NOON).await.expect("a write");
                    if n % 3 == 0 {
                        house.app.apply((**house.app.config.load()).clone()).await.expect("a reload");
                        house.work.put(WORK, &format!("theirs-{w}-{n}.ics"), &event_text(&format!("t{w}-{n}"), NOON));
                        house.pull("work").await.expect("a pull");
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer");
    }
    house.settle().await;
    house.pull("work").await.expect("a pull");
    assert_eq!(house.here("work").await, House::there(&house.work, WORK));
    assert_eq!(house.here("home").await, House::there(&house.home, HOME));
}

async fn a_change_on_both_sides_keeps_both_versions(url: String) {
    let house = House::new(&url, "").await;
    house.put("work", "a.ics", "a", NOON).await.expect("a create");
    house.work.put(WORK, "a.ics", &event_text("a", &format!("{NOON}\nLOCATION:Theirs")));
    let refused = house.put("work", "a.ics", "a", &format!("{NOON}\nLOCATION:Ours")).await;
    let theirs = event_text("a", &format!("{NOON}\nLOCATION:Theirs"));
    let Err(Refusal::Condition { current }) = refused else { panic!("{refused:?}") };
    assert_eq!(current, Some(resources::etag_of(&theirs)), "the client is told what is there now");
    assert_eq!(house.here("all").await["a.ics"], theirs);
    assert_eq!(House::there(&house.work, WORK)["a.ics"], theirs);
    let kept = house.kept("a").await;
    assert!(kept.len() == 1 && kept[0].contains("Ours"), "{kept:?}");
}

async fn a_delete_here_and_a_change_there_loses_nothing(url: String) {
    let house = House::new(&url, "").await;
    house.put("work", "a.ics", "a", NOON).await.expect("a create");
    let theirs = event_text("a", &format!("{NOON}\nLOCATION:Theirs"));
    house.work.put(WORK, "a.ics", &theirs);
    assert!(matches!(house.delete("all", "a.ics").await, Err(Refusal::Condition { .. })));
    assert_eq!(house.here("all").await["a.ics"], theirs);
    house.delete("all", "a.ics").await.expect("now it is known");
    assert_eq!(House::there(&house.work, WORK).len(), 0);
}

async fn a_change_here_and_a_delete_there_loses_nothing(url: String) {
    let house = House::new(&url, "").await;
    house.put("work", "a.ics", "a", NOON).await.expect("a create");
    house.work.remove(WORK, "a.ics");
    house.put("all", "a.ics", "a", &format!("{NOON}\nLOCATION:Ours")).await.expect("the change wins");
    house.settle().await;
    let there = House::there(&house.work, WORK);
    assert!(there.len() == 1 && there["a.ics"].contains("Ours"), "{there:?}");
    // Deleted on both sides is agreed.
    house.work.remove(WORK, "a.ics");
    house.delete("all", "a.ics").await.expect("it is gone");
    house.pull("work").await.expect("a pull");
    assert_eq!(house.here("all").await.len(), 0);
}

async fn what_upstream_refuses_is_told_and_not_kept(url: String) {
    let house = House::new(&url, "").await;
    house.put("work", "a.ics", "a", NOON).await.expect("a create");
    let before = house.here("all").await;
    house.work.fault("PUT", WORK, usize::MAX, Fault::Status(403, "no".to_owned()));
    house.work.fault("DELETE", WORK, usize::MAX, Fault::Status(403, "no".to_owned()));
    assert!(matches!(house.put("all", "b.ics", "b", NOON).await, Err(Refusal::Upstream(_))));
    let changed = house.put("all", "a.ics", "a", &format!("{NOON}\nLOCATION:New")).await;
    assert!(matches!(changed, Err(Refusal::Upstream(_))), "{changed:?}");
    assert!(matches!(house.delete("all", "a.ics").await, Err(Refusal::Upstream(_))));
    assert_eq!(house.here("all").await, before);
    house.work.heal();
    house.settle().await;
    assert_eq!(House::there(&house.work, WORK), house.here("work").await);
}

async fn what_upstream_rewrites_is_read_back_and_settles(url: String) {
    let house = House::new(&url, "").await;
    house.work.manners(|m| m.rewrites = true);
    let done = house.put("all", "a.ics", "a", NOON).await.expect("a create");
    assert_eq!(done.etag, None, "what GET gives is not what was put");
    assert_eq!(house.here("work").await, House::there(&house.work, WORK));
    let writes = house.work.count("PUT");
    house.pull("work").await.expect("a pull");
    house.settle().await;
    assert_eq!(house.work.count("PUT"), writes, "it settles after one write");
}

async fn a_lost_cursor_is_no_news(url: String) {
    for bad in [BadToken::Refuse(403, true), BadToken::Refuse(409, false), BadToken::TellAll] {
        let (url, _folder) =
            if bad == BadToken::Refuse(403, true) { (url.clone(), Folder::new()) } else { kit::sqlite_url() };
        let house = House::new(&url, "").await;
        for n in 0..5 {
            house.work.put(WORK, &format!("{n}.ics"), &event_text(&format!("u{n}"), NOON));
        }
        house.pull("work").await.expect("a pull");
        let token = house.calendar("all").await.token();
        house.work.manners(|m| m.bad_token = bad).forget_history();
        house.work.clear_log();
        assert_eq!(house.pull("work").await, Ok(pull::Report::default()), "{bad:?}");
        assert_eq!(house.calendar("all").await.token(), token, "{bad:?}");
        // What changed while it was lost is seen all the same.
        house.work.remove(WORK, "3.ics");
        house.work.put(WORK, "4.ics", &event_text("u4", &format!("{NOON}\nLOCATION:New")));
        house.work.forget_history();
        let mut report = house.pull("work").await.expect("a pull");
        if bad == BadToken::TellAll {
            // It looks like any other list of changes: what is gone is seen when everything is listed.
            assert_eq!((report.changed, report.removed), (1, 0));
            let id = house.calendar("work").await.id;
            house.app.store.write(move |tx| calendars::forget_cursor(tx, id)).await.expect("forgotten");
            report.removed = house.pull("work").await.expect("a pull").removed;
        }
        assert_eq!((report.changed, report.removed), (1, 1), "{bad:?}");
    }
}

async fn rubbish_from_upstream_deletes_nothing(url: String) {
    let house = House::new(&url, "").await;
    for n in 0..20 {
        house.work.put(WORK, &format!("{n}.ics"), &event_text(&format!("u{n}"), NOON));
    }
    house.pull("work").await.expect("a pull");
    house.home.put(HOME, "h.ics", &event_text("h", NOON));
    let before = house.here("work").await;
    let faults = [
        Fault::WebPage,
        Fault::Unauthorized,
        Fault::Status(500, String::new()),
        Fault::Status(404, String::new()),
        Fault::Truncated,
        Fault::HalfBody,
        Fault::DropBefore,
        Fault::DropAfter,
        Fault::Xml(207, "<multistatus xmlns=\"DAV:\"/>".to_owned()),
        Fault::Xml(207, "<multistatus xmlns=\"DAV:\">".to_owned()),
        Fault::Status(200, String::new()),
    ];
    for fault in faults {
        // With a cursor, and without one: what is listed then is everything there is.
        for forget in [false, true] {
            house.work.fault("*", WORK, usize::MAX, fault.clone());
            if forget {
                let id = house.calendar("work").await.id;
                house.app.store.write(move |tx| calendars::forget_cursor(tx, id)).await.expect("forgotten");
            }
            let pulled = house.pull("work").await;
            assert!(pulled.is_err() || pulled == Ok(pull::Report::default()), "{fault:?}: {pulled:?}");
            assert_eq!(house.here("work").await, before, "{fault:?}");
            if pulled.is_err() {
                assert!(house.calendar("work").await.error.is_some(), "{fault:?} is said at the calendar");
                let said = house.app.store.read(|tx| accounts::list(tx, None)).await.expect("accounts");
                let said: Vec<bool> = said.iter().map(|a| a.error.is_some()).collect();
                assert_eq!(said, [false, true], "{fault:?} is said at the account work, and not at home");
            }
            house.work.heal();
        }
    }
    // A listing that says nothing, or half, and looks well.
    house.work.manners(|m| m.sync = false);
    for lies in [true, false] {
        house.work.manners(|m| (m.lists_nothing, m.lists_half) = (lies, !lies));
        let _ = house.pull("work").await;
        assert_eq!(house.here("work").await, before);
    }
    house.pull("home").await.expect("the other account goes on");
    assert_eq!(house.here("home").await.len(), 1);
}

async fn what_can_not_be_read_is_set_aside(url: String) {
    let house = House::new(&url, "").await;
    house.work.put(WORK, "good.ics", &event_text("good", NOON));
    house.work.put(WORK, "bad.ics", "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:bad\r\nEND:VCALENDAR\r\n");
    let report = house.pull("work").await.expect("the good one is taken");
    assert_eq!((report.changed, report.set_aside), (1, 1));
    assert_eq!(house.here("all").await.keys().collect::<Vec<_>>(), ["good.ics"]);
    let actor = house.actor().await;
    let said = house.app.store.read(move |tx| resources::explain(tx, actor.user, "bad")).await;
    let said: Vec<resources::Explained> = said.unwrap_or_else(|e: store::Error| panic!("{e}"));
    assert!(said.iter().any(|e| e.error.is_some()), "{said:?}");
    // Mended upstream, it is there.
    house.work.put(WORK, "bad.ics", &event_text("bad", NOON));
    house.pull("work").await.expect("a pull");
    assert_eq!(house.here("all").await.len(), 2);
}

async fn preconditions_hold_one_winner(url: String) {
    let house = Arc::new(House::new(&url, "").await);
    let done = house.put("work", "a.ics", "a", NOON).await.expect("a create");
    let matches = Condition { matches: Some(vec![done.etag.expect("an etag")]), ..Condition::default() };
    let writers: Vec<_> = (0..20)
        .map(|n| {
            let (house, matches) = (house.clone(), matches.clone());
            tokio::spawn(
                async move { house.put_if("all", "a.ics", "a", &format!("{NOON}\nLOCATION:{n}"), &matches).await },
            )
        })
        .collect();
    let mut won = 0;
    for writer in writers {
        match writer.await.expect("a writer") {
            Ok(_) => won += 1,
            Err(Refusal::Condition { current }) => assert!(current.is_some()),
            Err(e) => panic!("{e:?}"),
        }
    }
    assert_eq!(won, 1);
    let nothing = Condition { none_match: Some(vec![]), ..Condition::default() };
    let taken = house.put_if("all", "a.ics", "a", NOON, &nothing).await;
    assert!(matches!(taken, Err(Refusal::Condition { current: Some(_) })), "{taken:?}");
    let something = Condition { matches: Some(vec![]), ..Condition::default() };
    let absent = house.put_if("all", "b.ics", "b", NOON, &something).await;
    assert_eq!(absent, Err(Refusal::Condition { current: None }));
    let stale = Condition { matches: Some(vec![Etag::from("stale")]), ..Condition::default() };
    assert!(house.put_if("all", "a.ics", "a", NOON, &stale).await.is_err());
}

async fn what_may_not_be_written_is_refused(url: String) {
    let house = House::new(&url, "").await;
    house.home.calendar("anna", "home", |c| (c.read_only, c.name) = (true, "Home".to_owned()));
    house.home.put(HOME, "h.ics", &event_text("h", NOON));
    house.discover().await;
    house.pull("home").await.expect("a pull");
    let denied = |r: &Result<Done, Refusal>| matches!(r, Err(Refusal::Denied(calendars::Denied::ReadOnly(_))));
    for slug in ["home", "all"] {
        let put = house.put(slug, "h.ics", "h", &format!("{NOON}\nLOCATION:New")).await;
        assert!(denied(&put), "{slug}: {put:?}");
        assert!(house.delete(slug, "h.ics").await.is_err());
    }
    assert!(house.put("all", "new.ics", "new", NOON).await.is_ok(), "what is new goes to work");
    let again = house.put("all", "other.ics", "new", NOON).await;
    assert_eq!(again, Err(Refusal::UidTaken { name: Name::new("new.ics").expect("a name") }));
    let renamed = house.put("all", "new.ics", "changed-uid", NOON).await;
    assert_eq!(renamed, Err(Refusal::UidChanged));
    assert_eq!(house.delete("all", "nothing.ics").await, Err(Refusal::Missing));
}
