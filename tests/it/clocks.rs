//! PostgreSQL: users' clocks that another session has locked. Who waits for them, who is told to come again, and who
//! does not even notice.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use calgate::app::App;
use calgate::ids::Name;
use calgate::store::calendars::{self, Denied, Need};
use calgate::store::grants::{self, May, NotGranted};
use calgate::store::users::{self, Actor};
use calgate::store::{self, Tx, resources};
use calgate::sync::write::{self, Condition, Done, Place, Refusal};
use postgres::{Client, NoTls};
use tokio::sync::oneshot;

use crate::kit::{self, NOW, event};

/// Much longer than anything here takes: what is not there by then never comes.
const LONG: Duration = Duration::from_secs(60);

/// A session of nobody's, by which the database is held, or looked at.
struct Session(mpsc::Sender<Work>);

type Work = Box<dyn FnOnce(&mut Client) + Send>;

impl Session {
    fn open(url: &str) -> Session {
        let (work, todo) = mpsc::channel::<Work>();
        let url = url.to_owned();
        // The driver runs an event loop of its own, which may not be started inside ours.
        std::thread::spawn(move || {
            let mut client = Client::connect(&url, NoTls).expect("a session");
            todo.into_iter().for_each(|work| work(&mut client));
        });
        Session(work)
    }

    async fn run<T: Send + 'static>(&self, f: impl FnOnce(&mut Client) -> T + Send + 'static) -> T {
        let (answer, answered) = oneshot::channel();
        self.0.send(Box::new(move |client| drop(answer.send(f(client))))).expect("the session is there");
        answered.await.expect("an answer")
    }

    async fn say(&self, sql: &'static str) {
        self.run(move |client| client.batch_execute(sql)).await.expect(sql);
    }

    /// Until so many of the test's own sessions wait for a lock.
    async fn until_waiting(&self, sessions: i64) {
        let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                          AND application_name = current_setting('application_name')";
        let waited = tokio::time::timeout(LONG, async {
            while self.run(|client| client.query_one(waiting, &[]).expect("a look").get::<_, i64>(0)).await < sessions {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{sessions} sessions wait"));
    }
}

/// A database of its own, in which the test's sessions are told from those of other tests.
fn url() -> Option<String> {
    let url = kit::postgres_url()?;
    let schema = url.rsplit("%3D").next()?.to_owned();
    Some(format!("{url}&application_name={schema}"))
}

/// Users with a calendar `c` each.
fn users(names: &[&str]) -> String {
    names.iter().map(|name| format!("[[user]]\nname = \"{name}\"\n[[user.calendar]]\nname = \"c\"\n")).collect()
}

async fn actor(app: &App, name: &str) -> Actor {
    let name = name.to_owned();
    let user = app.store.read(move |tx| users::by_name(tx, &name)).await.expect("a read");
    Actor::of(&user.expect("the user is there"))
}

/// `who` puts an event of that UID into a calendar of their home.
fn put(app: &Arc<App>, who: &Actor, slug: &str, uid: &str) -> tokio::task::JoinHandle<Result<Done, Refusal>> {
    let (app, who, object) = (app.clone(), who.clone(), event(uid, "DTSTART:20260610T120000Z\nSUMMARY:Noon"));
    let name = Name::new(&format!("{uid}.ics")).expect("a name");
    let place = Place { owner: who.name.clone(), slug: slug.to_owned(), name };
    tokio::spawn(async move { write::put(&app, &who, &place, object, &Condition::default()).await })
}

/// A node that was suspended or cut off in the middle of a transaction keeps what it has locked. Whoever needs that is
/// told to come again, however many they are, and everybody else's changes are made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_held_stops_those_who_need_it_and_nobody_else() {
    let Some(url) = url() else { return };
    let app = kit::app(&url, &users(&["anna", "bert"])).await;
    let (anna, bert) = (actor(&app, "anna").await, actor(&app, "bert").await);
    let (node, look) = (Session::open(&url), Session::open(&url));
    node.say("BEGIN; SELECT seq FROM clocks WHERE user_id = (SELECT id FROM users WHERE name = 'anna') FOR UPDATE")
        .await;
    // So many that they would be waiting for much longer still, if each waited as long as the first.
    let hers: Vec<_> = (0..60).map(|n| put(&app, &anna, "c", &format!("a{n}"))).collect();
    look.until_waiting(4).await;
    let his = tokio::time::timeout(LONG, put(&app, &bert, "c", "b")).await.expect("he does not wait for her clock");
    assert!(his.expect("a task").is_ok());
    for hers in hers {
        let hers = tokio::time::timeout(LONG, hers).await.expect("she is not left waiting").expect("a task");
        assert!(matches!(hers, Err(Refusal::Store(store::Error::Busy))), "{:?}", hers.err());
    }
    node.say("ROLLBACK").await;
    assert!(put(&app, &anna, "c", "a0").await.expect("a task").is_ok_and(|done| done.created), "nothing was left");
}

/// What is granted while writers wait for the clocks of those they reach changes whom they reach: they wait for these as
/// well, and none of them is sent away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_sent_away_because_grants_change() {
    let Some(url) = url() else { return };
    let app = kit::app(&url, &users(&["anna", "bert", "carl", "dora", "emil"])).await;
    let (other, look) = (kit::store(&url), Session::open(&url));
    let (carl, dora) = (actor(&app, "carl").await, actor(&app, "dora").await);
    let grant = |tx: &mut Tx<'_>, owner: &Actor, to: &Actor| {
        let calendar = calendars::open(tx, owner, &owner.name, "c", Need::Read).expect("her calendar");
        grants::add(tx, &calendar, to.user, May::Write, "", NOW)
    };
    let (owner, to) = (dora.clone(), carl.clone());
    app.store.write(move |tx| grant(tx, &owner, &to)).await.expect("a grant");
    // Of numbers after and before those that are waited for already.
    for name in ["emil", "bert", "anna"] {
        let new = actor(&app, name).await;
        let (granted, wait) = oneshot::channel();
        let (go, gone) = mpsc::channel();
        let (owner, to) = (dora.clone(), new.clone());
        let granting = other.write(move |tx| {
            let done = grant(tx, &owner, &to);
            granted.send(()).expect("the test waits");
            gone.recv_timeout(LONG).expect("the test goes on");
            done
        });
        let waiting = async {
            wait.await.expect("it is granted");
            let puts = [
                put(&app, &dora, "c", &format!("{name}-dora")),
                put(&app, &carl, "c.dora", &format!("{name}-carl")),
                put(&app, &new, "c", &format!("{name}-own")),
            ];
            look.until_waiting(3).await;
            go.send(()).expect("it waits");
            for put in puts {
                assert!(put.await.expect("a task").expect("nobody is sent away").created);
            }
        };
        let (granted, ()) = tokio::join!(granting, waiting);
        granted.expect("a grant");
        let seen = app.store.read(move |tx| {
            let shown = calendars::open(tx, &new, &new.name, "c.dora", Need::Read)?;
            Ok::<_, calendars::Denied>(resources::list(tx, &shown)?)
        });
        let seen: Vec<String> = seen.await.expect("a list").into_iter().map(|listed| listed.name.to_string()).collect();
        for who in ["dora", "carl"] {
            assert!(seen.contains(&format!("{name}-{who}.ics")), "{name} sees what {who} put: {seen:?}");
        }
    }
}

/// Whoever grants a calendar waits for who removes it; and what is called the same later is not what was granted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_removed_meanwhile_is_not_granted() {
    let Some(url) = url() else { return };
    let app = kit::app(&url, &users(&["anna", "bert"])).await;
    let (other, look) = (kit::store(&url), Session::open(&url));
    let (anna, bert) = (actor(&app, "anna").await, actor(&app, "bert").await);
    let make = |tx: &mut Tx<'_>, anna: &Actor| {
        calendars::create(tx, anna, "anna", "team", &calendars::New::default(), NOW).expect("the name is free");
    };
    let owner = anna.clone();
    let made = app.store.write(move |tx| {
        make(tx, &owner);
        Ok::<_, store::Error>(())
    });
    made.await.expect("a calendar");
    let (removed, wait) = oneshot::channel();
    let (go, gone) = mpsc::channel();
    let owner = anna.clone();
    let removing = other.write(move |tx| {
        let calendar = calendars::open(tx, &owner, "anna", "team", Need::Remove)?;
        calendars::remove(tx, &calendar, NOW)?;
        removed.send(()).expect("the test waits");
        gone.recv_timeout(LONG).expect("the test goes on");
        Ok::<_, Denied>(())
    });
    let granting = async {
        wait.await.expect("it is removed");
        let granted = app.store.write({
            let owner = anna.clone();
            move |tx| {
                let calendar = calendars::open(tx, &owner, "anna", "team", Need::Read).expect("it is seen still");
                grants::add(tx, &calendar, bert.user, May::Read, "", NOW)
            }
        });
        let going_on = async {
            look.until_waiting(1).await;
            go.send(()).expect("it waits");
        };
        tokio::join!(granted, going_on).0
    };
    let (removed, granted) = tokio::join!(removing, granting);
    removed.expect("it is removed");
    assert_eq!(granted, Err(NotGranted::Store(store::Error::Busy)), "who asks again is told that it is gone");
    let again = app.store.write(move |tx| {
        make(tx, &anna);
        grants::given(tx, anna.user)
    });
    assert_eq!(again.await, Ok(Vec::new()), "nobody was granted the next one");
}
