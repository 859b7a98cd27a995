//! Large calendars are shared, masked in another way and taken away in short transactions. Each test on both engines, with
//! so little room in a transaction that a handful of events is large.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use calgate::app::App;
use calgate::config::Limits;
use calgate::ids::{CalendarId, Name, Seq};
use calgate::store::calendars::{self, Calendar, Denied, Need};
use calgate::store::grants::{self, May, NotGranted};
use calgate::store::jobs::{self, Duty};
use calgate::store::resources::{self, Version};
use calgate::store::shape::{self, Step};
use calgate::store::users;
use calgate::store::{self, Tx, declared};
use calgate::sync;
use calgate::sync::write::{self, Condition, Refusal};
use tokio::sync::watch;

use crate::kit::{self, NOW, actor, event, on_both_engines};

on_both_engines! {
    no_transaction_changes_more_than_it_has_room_for,
    what_is_written_meanwhile_is_in_it,
    who_writes_what_is_not_shown_yet_finds_it,
    what_may_be_seen_no_more_is_out_of_sight_at_once,
    what_may_be_seen_besides_is_told_as_it_comes,
    a_change_of_mind_in_the_middle_is_the_last_word,
    what_is_taken_back_is_gone_and_its_rows_go_later,
    a_calendar_that_goes_is_told_of_where_it_was_shown,
    another_worker_goes_on_where_one_died,
    two_nodes_fill_it_while_all_write,
    a_killed_server_ends_what_it_began,
}

const HOME: &str = r#"
[[user]]
name = "anna"
[[user.calendar]]
name = "team"
[[user.calendar]]
name = "own"
[[user.unified]]
name = "all"
members = ["team", { calendar = "own", mask = "MASK" }]
write_to = "team"

[[user]]
name = "bert"
[[user.calendar]]
name = "bert"

[[user]]
name = "carl"
"#;

/// Objects that one transaction has room for, and those of a calendar.
const ROOM: usize = 5;
const MANY: usize = 23;

fn home_with(mask: &str) -> String {
    HOME.replace("MASK", mask)
}

async fn small_rooms(url: &str) -> Arc<App> {
    let app = kit::app(url, &home_with("title")).await;
    app.store.set_room(ROOM);
    app
}

async fn with<T: Send + 'static>(
    app: &App,
    who: &str,
    slug: &str,
    need: Need,
    f: impl FnOnce(&mut Tx<'_>, Calendar) -> store::Result<T> + Send + 'static,
) -> Result<T, Denied> {
    let (actor, slug) = (actor(app, who).await, slug.to_owned());
    let done = app.store.write(move |tx| {
        let calendar = calendars::open(tx, &actor, &actor.name, &slug, need)?;
        f(tx, calendar).map_err(Denied::from)
    });
    done.await
}

async fn grant(app: &App, slug: &str, to: &str, may: May) {
    let (owner, to, slug) = (actor(app, "anna").await, actor(app, to).await, slug.to_owned());
    let done = app.store.write(move |tx| {
        let calendar = calendars::open(tx, &owner, "anna", &slug, Need::Read).map_err(|e| panic!("{e}")).unwrap();
        grants::add(tx, &calendar, to.user, may, "", NOW)
    });
    let done: Result<(), NotGranted> = done.await;
    done.unwrap();
}

async fn take_back(app: &App, slug: &str, to: &str) {
    let (owner, to, slug) = (actor(app, "anna").await, actor(app, to).await, slug.to_owned());
    let done = app.store.write(move |tx| {
        let calendar = calendars::open(tx, &owner, "anna", &slug, Need::Read).map_err(|e| panic!("{e}")).unwrap();
        grants::remove(tx, &calendar, to.user)
    });
    assert_eq!(done.await, Ok(true));
}

async fn reload(app: &App, url: &str, mask: &str) {
    let config = kit::config(url, &home_with(mask));
    app.store.write(move |tx| declared::apply(tx, &config, NOW)).await.expect("a reload");
}

const LINES: &str = "DTSTART:20260610T120000Z\nDTEND:20260610T130000Z\nSUMMARY:Noon\nLOCATION:Harbour";

async fn put(app: &App, slug: &str, number: usize, text: &str) {
    let (name, uid) = (Name::new(&format!("{slug}{number}.ics")).unwrap(), format!("{slug}-{number}"));
    let class = if number % 7 == 3 { "\nCLASS:PRIVATE" } else { "" };
    let object = event(&uid, &format!("{LINES}\nDESCRIPTION:{text}{class}"));
    let save = move |tx: &mut Tx<'_>, calendar: Calendar| {
        resources::save(tx, &calendar, &name, Version::Client(Some(&object)), NOW)
    };
    with(app, "anna", slug, Need::Write, save).await.unwrap();
}

async fn delete(app: &App, slug: &str, number: usize) {
    let name = Name::new(&format!("{slug}{number}.ics")).unwrap();
    let save =
        move |tx: &mut Tx<'_>, calendar: Calendar| resources::save(tx, &calendar, &name, Version::Client(None), NOW);
    with(app, "anna", slug, Need::Write, save).await.unwrap();
}

async fn put_many(app: &App, slug: &str) {
    for number in 0..MANY {
        put(app, slug, number, "first").await;
    }
}

/// Name and text of what `who` sees in a calendar; `None`: it is not there.
async fn seen(app: &App, who: &str, slug: &str) -> Option<BTreeMap<String, String>> {
    match with(app, who, slug, Need::Read, |tx, calendar| resources::all(tx, &calendar)).await {
        Ok(all) => Some(all.into_iter().map(|r| (r.name.to_string(), r.body)).collect()),
        Err(Denied::Missing) => None,
        Err(e) => panic!("{e}"),
    }
}

async fn texts(app: &App, who: &str, slug: &str) -> Vec<String> {
    let mut texts: Vec<String> = seen(app, who, slug).await.expect("it is there").into_values().collect();
    texts.sort();
    texts
}

/// Every row there is: what it holds, by id.
type Rows = BTreeMap<i64, (i64, String, i64, i64, String)>;

async fn rows(app: &App) -> Rows {
    let read = app.store.read(|tx| {
        tx.query("SELECT id, calendar_id, uid, live, seq, COALESCE(body, '') FROM resources", &[], |row| {
            Ok((row.int(0)?, (row.int(1)?, row.text(2)?, row.int(3)?, row.int(4)?, row.text(5)?)))
        })
    });
    read.await.expect("a read").into_iter().collect()
}

/// How many objects, of however many calendars, are not what they were.
fn changed(before: &Rows, after: &Rows) -> usize {
    let ids: BTreeSet<&i64> = before.keys().chain(after.keys()).collect();
    let moved = ids.into_iter().filter(|id| before.get(id) != after.get(id));
    let objects: BTreeSet<(i64, &str)> =
        moved.filter_map(|id| after.get(id).or(before.get(id))).map(|row| (row.0, row.1.as_str())).collect();
    objects.len()
}

/// One transaction of the duty on each calendar that waits; false: none does.
async fn step(app: &App) -> bool {
    let waiting = app.store.read(shape::waiting).await.expect("a read");
    for id in &waiting {
        assert!(matches!(step_of(app, *id).await, Step::More | Step::Done));
    }
    !waiting.is_empty()
}

async fn step_of(app: &App, id: CalendarId) -> Step {
    let lease = app.store.write(|tx| jobs::claim_this(tx, Duty::Shape, "test/1", NOW)).await.expect("a write");
    let lease = lease.expect("nobody else has it");
    let held = lease.clone();
    let step = app.store.write(move |tx| shape::step(tx, &held, id, NOW)).await.expect("a step");
    let finish = move |tx: &mut Tx<'_>| jobs::finish(tx, &lease, jobs::NEVER, false);
    app.store.write::<_, store::Error, _>(finish).await.expect("it ends");
    step
}

async fn to_the_end(app: &App) {
    for _ in 0..1000 {
        if !step(app).await {
            return;
        }
    }
    panic!("it does not come to an end");
}

/// What is seen is what would be made of everything at once.
async fn is_as_if_made_at_once(app: &App) {
    assert!(app.store.read(shape::waiting).await.unwrap().is_empty());
    let before = rows(app).await;
    app.store.set_room(1_000_000);
    let anew = app.store.write(|tx| {
        tx.execute("UPDATE calendars SET shape = 'another' WHERE source = 'unified'", &[])?;
        for user in users::list(tx)? {
            shape::reshape(tx, user.id, NOW)?;
        }
        Ok::<_, store::Error>(())
    });
    anew.await.unwrap();
    app.store.set_room(ROOM);
    assert!(app.store.read(shape::waiting).await.unwrap().is_empty());
    assert_eq!(rows(app).await, before);
}

async fn no_transaction_changes_more_than_it_has_room_for(url: String) {
    let app = small_rooms(&url).await;
    put_many(&app, "team").await;
    put_many(&app, "own").await;
    is_as_if_made_at_once(&app).await;
    let mut rows_before = rows(&app).await;
    let mut transactions = 0;
    for change in 0..9 {
        match change {
            0 => grant(&app, "team", "bert", May::Read).await,
            1 => grant(&app, "all", "bert", May::Write).await,
            2 => grant(&app, "team", "bert", May::Busy).await,
            3 => grant(&app, "team", "bert", May::Title).await,
            4 => reload(&app, &url, "full").await,
            5 => reload(&app, &url, "busy").await,
            6 => grant(&app, "all", "bert", May::Read).await,
            7 => take_back(&app, "team", "bert").await,
            _ => take_back(&app, "all", "bert").await,
        }
        let mut steps = 0;
        loop {
            let rows_after = rows(&app).await;
            let count = changed(&rows_before, &rows_after);
            assert!(count <= ROOM, "the change {change}, transaction {steps}: {count} objects");
            rows_before = rows_after;
            let Some(id) = app.store.read(shape::waiting).await.unwrap().first().copied() else { break };
            assert!(matches!(step_of(&app, id).await, Step::More | Step::Done));
            steps += 1;
        }
        assert!(steps >= MANY / ROOM, "the change {change} took {steps} transactions more");
        transactions += steps;
        is_as_if_made_at_once(&app).await;
    }
    assert!(transactions > 9 * MANY / ROOM, "{transactions}");
    assert_eq!(seen(&app, "anna", "all").await.unwrap().len(), 2 * MANY);
    let left = app.store.read(|tx| tx.query("SELECT slug FROM calendars ORDER BY slug", &[], |row| row.text(0)));
    let left: store::Result<Vec<String>> = left.await;
    assert_eq!(left.unwrap(), ["all", "bert", "own", "team"]);

    // What is small needs no second transaction, as long as the first has room.
    for number in ROOM - 1..MANY {
        delete(&app, "team", number).await;
    }
    app.store.set_room(ROOM + MANY / 10);
    grant(&app, "team", "bert", May::Busy).await;
    assert_eq!(texts(&app, "bert", "team.anna").await.len(), ROOM - 1);
    // Nor is there room for two of them.
    take_back(&app, "team", "bert").await;
    to_the_end(&app).await;
    app.store.set_room(ROOM);
    let (anna, bert, carl) = (actor(&app, "anna").await, actor(&app, "bert").await, actor(&app, "carl").await);
    let both = app.store.write(move |tx| {
        grants::lock_all(tx)?;
        let calendar = calendars::open(tx, &anna, "anna", "team", Need::Read).map_err(|e| panic!("{e}")).unwrap();
        grants::add(tx, &calendar, bert.user, May::Read, "", NOW)?;
        grants::add(tx, &calendar, carl.user, May::Read, "", NOW)
    });
    both.await.unwrap();
    assert!(seen(&app, "bert", "team.anna").await.is_some() && seen(&app, "carl", "team.anna").await.is_none());
    to_the_end(&app).await;
    assert_eq!(texts(&app, "carl", "team.anna").await.len(), ROOM - 1);
}

async fn what_is_written_meanwhile_is_in_it(url: String) {
    let app = small_rooms(&url).await;
    put_many(&app, "team").await;
    grant(&app, "team", "bert", May::Write).await;
    let granted = with(&app, "anna", "team", Need::Read, |_, calendar| Ok(calendar.granted.len())).await.unwrap();
    assert_eq!(granted, 1, "who shared it sees that at once");
    let mut round = 0;
    while seen(&app, "bert", "team.anna").await.is_none() {
        // Some that are there already, some that are not, one that comes and two that go.
        put(&app, "team", round, "again").await;
        put(&app, "team", MANY - 1 - round, "again").await;
        put(&app, "team", 100 + round, "new").await;
        delete(&app, "team", round + 8).await;
        if round > 0 {
            delete(&app, "team", 99 + round).await;
        }
        assert!(step(&app).await, "it is not shown and nothing waits");
        round += 1;
    }
    assert!(round >= 3, "{round}");
    assert_eq!(texts(&app, "bert", "team.anna").await, texts(&app, "anna", "team").await);
    is_as_if_made_at_once(&app).await;
}

/// One UID does not come twice into a member because the unified calendar does not show it yet.
async fn who_writes_what_is_not_shown_yet_finds_it(url: String) {
    let app = small_rooms(&url).await;
    let members = r#"members = ["team", { calendar = "own", mask = "MASK" }]"#;
    let without = HOME.replace(members, r#"members = ["own"]"#).replace("write_to = \"team\"\n", "");
    let without = kit::config(&url, &without);
    app.store.write(move |tx| declared::apply(tx, &without, NOW)).await.expect("a reload");
    put_many(&app, "team").await;
    reload(&app, &url, "title").await;
    let shown = seen(&app, "anna", "all").await.expect("anna's calendar");
    assert!(
        ["team-20.ics", "team-21.ics", "team-22.ics"].iter().all(|name| !shown.contains_key(*name)),
        "it is filled already"
    );
    let anna = actor(&app, "anna").await;
    let place = |name: &str| write::Place {
        owner: "anna".to_owned(),
        slug: "all".to_owned(),
        name: Name::new(name).expect("a name"),
    };
    let again = |number: usize| event(&format!("team-{number}"), &format!("{LINES}\nDESCRIPTION:again"));
    let put = write::put(&app, &anna, &place("other.ics"), again(20), &Condition::default()).await;
    let name = Name::new("team-20.ics").expect("a name");
    assert_eq!(put, Err(Refusal::UidTaken { name }));
    let put = write::put(&app, &anna, &place("team-21.ics"), again(21), &Condition::default()).await.expect("a change");
    assert!(!put.created);
    let (room, by) = (write::Room::of(&Limits::default()), anna.clone());
    let taken = app.store.write(move |tx| write::take(tx, &by, ("anna", "all"), &[again(22)], false, room, NOW)).await;
    assert_eq!(taken, Ok(vec![write::Taken::Kept]));
    to_the_end(&app).await;
    is_as_if_made_at_once(&app).await;
    let all = seen(&app, "anna", "team").await.expect("anna's calendar");
    assert_eq!(all.len(), MANY);
    assert!(all["team21.ics"].contains("again"));
}

async fn what_may_be_seen_no_more_is_out_of_sight_at_once(url: String) {
    let app = small_rooms(&url).await;
    put_many(&app, "team").await;
    grant(&app, "team", "bert", May::Write).await;
    to_the_end(&app).await;
    for (may, places, titles) in [(May::Read, MANY - 3, MANY - 3), (May::Title, 0, MANY - 3), (May::Busy, 0, 0)] {
        let before = with(&app, "bert", "team.anna", Need::Read, |_, calendar| Ok(calendar)).await.unwrap();
        grant(&app, "team", "bert", may).await;
        let mut steps = 0;
        while seen(&app, "bert", "team.anna").await.is_none() {
            let bert = actor(&app, "bert").await;
            let home = app.store.read(move |tx| calendars::home(tx, &bert, "bert")).await.unwrap();
            assert!(home.iter().all(|c| c.slug != "team.anna"));
            assert!(step(&app).await, "it is not shown and nothing waits");
            steps += 1;
        }
        assert!(steps >= MANY / ROOM, "{may:?}: {steps}");
        let all = texts(&app, "bert", "team.anna").await;
        let with_text = |text: &str| all.iter().filter(|body| body.contains(text)).count();
        assert_eq!((all.len(), with_text("Harbour"), with_text("SUMMARY:Noon")), (MANY, places, titles), "{may:?}");
        // It is the same calendar, and what it tells since the token of before makes of the one what is the other.
        let after = with(&app, "bert", "team.anna", Need::Read, |_, calendar| Ok(calendar)).await.unwrap();
        assert_eq!((after.id, after.epoch), (before.id, before.epoch));
    }
    // Where a member that hides less goes, what it showed goes too, before any that hides more shows the same.
    grant(&app, "all", "bert", May::Read).await;
    to_the_end(&app).await;
    reload(&app, &url, "full").await;
    assert!(seen(&app, "bert", "all.anna").await.is_some());
    put_many(&app, "own").await;
    assert_eq!(texts(&app, "bert", "all.anna").await.iter().filter(|t| t.contains("Harbour")).count(), 2 * (MANY - 3));
    reload(&app, &url, "title").await;
    assert!(seen(&app, "bert", "all.anna").await.is_none(), "all of it is titles alone from now on");
    assert!(seen(&app, "anna", "all").await.is_some(), "what hides from others does not take it from its owner");
    to_the_end(&app).await;
    assert_eq!(texts(&app, "bert", "all.anna").await.iter().filter(|t| t.contains("Harbour")).count(), MANY - 3);
    is_as_if_made_at_once(&app).await;
}

/// A client that follows nothing but the token.
struct Client {
    seq: Option<Seq>,
    held: BTreeMap<String, String>,
}

impl Client {
    async fn ask(&mut self, app: &App, who: &str, slug: &str) {
        let seq = self.seq;
        let read = with(app, who, slug, Need::Read, move |tx, calendar| kit::since(tx, &calendar, seq, 10_000));
        let since = read.await.unwrap();
        for change in since.changes {
            match change.live {
                Some(etag) => drop(self.held.insert(change.name.to_string(), etag)),
                None => drop(self.held.remove(change.name.as_str())),
            }
        }
        self.seq = Some(since.seq);
        let listed = with(app, who, slug, Need::Read, |tx, calendar| resources::list(tx, &calendar)).await.unwrap();
        let listed: BTreeMap<String, String> =
            listed.into_iter().map(|row| (row.name.to_string(), row.etag.as_str().to_owned())).collect();
        assert_eq!(self.held, listed);
    }
}

async fn what_may_be_seen_besides_is_told_as_it_comes(url: String) {
    let app = small_rooms(&url).await;
    put_many(&app, "team").await;
    grant(&app, "team", "bert", May::Busy).await;
    to_the_end(&app).await;
    let mut client = Client { seq: None, held: BTreeMap::new() };
    client.ask(&app, "bert", "team.anna").await;
    for may in [May::Title, May::Read, May::Write] {
        grant(&app, "team", "bert", may).await;
        let mut states = BTreeSet::new();
        loop {
            client.ask(&app, "bert", "team.anna").await;
            assert_eq!(client.held.len(), MANY, "each is seen all the time, as it was or as it is");
            states.insert(client.held.values().cloned().collect::<Vec<_>>());
            if !step(&app).await {
                break;
            }
        }
        // Of what is private more is seen by who may write, and by nobody else.
        assert!(states.len() >= if may == May::Write { 2 } else { MANY / ROOM }, "{may:?}: {}", states.len());
    }
    assert_eq!(texts(&app, "bert", "team.anna").await, texts(&app, "anna", "team").await);
    is_as_if_made_at_once(&app).await;
}

async fn a_change_of_mind_in_the_middle_is_the_last_word(url: String) {
    let app = small_rooms(&url).await;
    put_many(&app, "team").await;
    grant(&app, "team", "bert", May::Title).await;
    to_the_end(&app).await;
    grant(&app, "team", "bert", May::Read).await;
    assert!(step(&app).await);
    let half = texts(&app, "bert", "team.anna").await;
    assert!(half.iter().any(|t| t.contains("Harbour")) && half.iter().filter(|t| !t.contains("Harbour")).count() > 3);
    // Back to what it was made of: some of its rows are not.
    grant(&app, "team", "bert", May::Title).await;
    assert!(seen(&app, "bert", "team.anna").await.is_none());
    assert!(step(&app).await);
    // And forth again: what is out of sight stays so until it is whole.
    grant(&app, "team", "bert", May::Read).await;
    assert!(seen(&app, "bert", "team.anna").await.is_none());
    to_the_end(&app).await;
    let all = texts(&app, "bert", "team.anna").await;
    assert_eq!(all.iter().filter(|t| t.contains("Harbour")).count(), MANY - 3);
    // Taken back in the middle, and granted anew before its rows are gone: another calendar under the same name.
    let before = with(&app, "bert", "team.anna", Need::Read, |_, calendar| Ok(calendar)).await.unwrap();
    grant(&app, "team", "bert", May::Busy).await;
    take_back(&app, "team", "bert").await;
    grant(&app, "team", "bert", May::Busy).await;
    to_the_end(&app).await;
    let after = with(&app, "bert", "team.anna", Need::Read, |_, calendar| Ok(calendar)).await.unwrap();
    assert_eq!(after.slug, before.slug);
    assert!(after.id != before.id && after.read_token(&before.token()).is_none());
    assert!(texts(&app, "bert", "team.anna").await.iter().all(|t| !t.contains("Noon")));
    is_as_if_made_at_once(&app).await;
}

async fn what_is_taken_back_is_gone_and_its_rows_go_later(url: String) {
    let app = small_rooms(&url).await;
    put_many(&app, "team").await;
    for to in ["bert", "carl"] {
        grant(&app, "team", to, May::Read).await;
    }
    to_the_end(&app).await;
    take_back(&app, "team", "bert").await;
    // The other is filled no more and leaves by themselves.
    let removed = with(&app, "carl", "team.anna", Need::Remove, |tx, calendar| {
        calendars::remove(tx, &calendar, NOW).map_err(|e| panic!("{e}"))
    });
    removed.await.unwrap();
    for who in ["bert", "carl"] {
        assert!(seen(&app, who, "team.anna").await.is_none());
        let name = who.to_owned();
        let told = app.store.read(move |tx| {
            let user = users::by_name(tx, &name)?.expect("the user is there");
            resources::explain(tx, user.id, "team-5")
        });
        assert!(told.await.unwrap().is_empty(), "nothing is told of what is gone");
    }
    assert!(rows(&app).await.len() > 2 * MANY, "the rows are there still");
    put(&app, "team", 5, "later").await;
    to_the_end(&app).await;
    let all = rows(&app).await;
    let live = all.values().filter(|row| row.2 == 1).count();
    assert_eq!(live, 2 * MANY, "those of the calendar, and of what shows it to its owner");
    let left = app
        .store
        .read(|tx| tx.query("SELECT slug FROM calendars WHERE slug <> 'bert' ORDER BY slug", &[], |row| row.text(0)));
    let left: store::Result<Vec<String>> = left.await;
    assert_eq!(left.unwrap(), ["all", "own", "team"]);
}

async fn a_calendar_that_goes_is_told_of_where_it_was_shown(url: String) {
    let app = small_rooms(&url).await;
    let anna = actor(&app, "anna").await;
    // As if its owner's client had made it.
    let first = app.store.write(|tx| {
        tx.one("UPDATE calendars SET declared = 0 WHERE slug = 'team' RETURNING id", &[], |row| row.int(0))
    });
    let first: store::Result<Option<i64>> = first.await;
    let first = first.unwrap().expect("it is there");
    put_many(&app, "team").await;
    put_many(&app, "own").await;
    grant(&app, "all", "bert", May::Read).await;
    to_the_end(&app).await;
    let mut mine = Client { seq: None, held: BTreeMap::new() };
    mine.ask(&app, "anna", "all").await;
    let mut theirs = Client { seq: None, held: BTreeMap::new() };
    theirs.ask(&app, "bert", "all.anna").await;
    assert_eq!((mine.held.len(), theirs.held.len()), (2 * MANY, 2 * MANY));
    let removed = with(&app, "anna", "team", Need::Remove, |tx, calendar| {
        calendars::remove(tx, &calendar, NOW).map_err(|e| panic!("{e}"))
    });
    removed.await.unwrap();
    assert!(seen(&app, "anna", "team").await.is_none());
    // Its name is free at once, and what comes under it is another calendar.
    let second = app.store.write(move |tx| {
        let made = calendars::create(tx, &anna, "anna", "team", &calendars::New::default(), NOW).map(|c| c.id);
        made.map_err(|e| store::Error::Broken(format!("{e:?}")))
    });
    assert_ne!(first, second.await.unwrap().0);
    put(&app, "team", 1, "of another team").await;
    let mut steps = 0;
    loop {
        mine.ask(&app, "anna", "all").await;
        if seen(&app, "bert", "all.anna").await.is_some() {
            theirs.ask(&app, "bert", "all.anna").await;
        }
        if !step(&app).await {
            break;
        }
        steps += 1;
    }
    assert!(steps >= MANY / ROOM, "{steps}");
    assert_eq!((mine.held.len(), theirs.held.len()), (MANY + 1, MANY + 1));
    assert_eq!(seen(&app, "anna", "team").await.unwrap().len(), 1);
    assert!(rows(&app).await.values().all(|row| row.0 != first), "nothing is left of the first");
    is_as_if_made_at_once(&app).await;
}

/// Runs the workers of `app` until nothing waits.
async fn work(app: &Arc<App>) {
    let (stop, stopped) = watch::channel(false);
    let workers = tokio::spawn(sync::jobs::run(app.clone(), stopped));
    for _ in 0..3000 {
        if app.store.read(shape::waiting).await.expect("a read").is_empty() {
            stop.send(true).expect("they run");
            workers.await.expect("they end");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the workers do not come to an end");
}

async fn another_worker_goes_on_where_one_died(url: String) {
    let app = small_rooms(&url).await;
    put_many(&app, "team").await;
    let texts_of_team = texts(&app, "anna", "team").await;
    grant(&app, "team", "bert", May::Write).await;
    grant(&app, "team", "carl", May::Read).await;
    // A node that dies with the lease in its hands, between two transactions.
    let (node, id) = (app.node.clone(), app.store.read(shape::waiting).await.unwrap()[0]);
    let dies = app.store.write(move |tx| {
        let lease = jobs::claim_this(tx, Duty::Shape, &format!("{node}/1"), NOW)?.expect("nobody has it");
        shape::step(tx, &lease, id, NOW)
    });
    assert_eq!(dies.await.unwrap(), Step::More);
    drop(app);
    // It starts anew: the lease was its own.
    let app = small_rooms(&url).await;
    assert!(seen(&app, "bert", "team.anna").await.is_none(), "the start did not fill it");
    work(&app).await;
    assert_eq!(texts(&app, "bert", "team.anna").await, texts_of_team);
    is_as_if_made_at_once(&app).await;

    // Another node's lease is taken over when it ends, and what its holder does then comes to nothing.
    take_back(&app, "team", "bert").await;
    let id = app.store.read(shape::waiting).await.unwrap()[0];
    let other = app.store.write(|tx| jobs::claim_this(tx, Duty::Shape, "elsewhere/1", NOW)).await.unwrap().unwrap();
    let claim = |now| app.store.write(move |tx| jobs::claim_this(tx, Duty::Shape, "here/1", now));
    assert_eq!(claim(NOW).await.unwrap(), None);
    app.clock.advance(jobs::LEASE + 1);
    let ours = claim(app.clock.now()).await.unwrap().expect("the lease has ended");
    let lost = app.store.write(move |tx| shape::step(tx, &other, id, NOW)).await;
    assert_eq!(lost, Ok(Step::Lost));
    let now = app.clock.now();
    app.store.write::<_, store::Error, _>(move |tx| jobs::finish(tx, &ours, now, false)).await.unwrap();
    work(&app).await;
    assert!(rows(&app).await.len() <= 4 * MANY);
}

async fn two_nodes_fill_it_while_all_write(url: String) {
    let apps = [small_rooms(&url).await, small_rooms(&url).await];
    put_many(&apps[0], "team").await;
    grant(&apps[0], "team", "bert", May::Write).await;
    grant(&apps[1], "all", "carl", May::Title).await;
    let (stop, stopped) = watch::channel(false);
    let workers: Vec<_> = apps.iter().map(|app| tokio::spawn(sync::jobs::run(app.clone(), stopped.clone()))).collect();
    for round in 0..30 {
        let app = &apps[round % 2];
        put(app, "team", round, "again").await;
        put(app, "own", round, "mine").await;
        if round == 10 {
            grant(app, "all", "carl", May::Busy).await;
        }
        if round == 20 {
            grant(app, "team", "carl", May::Read).await;
        }
    }
    for _ in 0..3000 {
        if apps[0].store.read(shape::waiting).await.expect("a read").is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.send(true).unwrap();
    for worker in workers {
        worker.await.expect("it ends");
    }
    let [app, _] = &apps;
    assert_eq!(texts(app, "bert", "team.anna").await, texts(app, "anna", "team").await);
    let masked = texts(app, "carl", "all.anna").await;
    assert_eq!(masked.len(), 60);
    assert!(masked.iter().all(|text| !text.contains("Noon")));
    is_as_if_made_at_once(app).await;
}

/// A real server, with as much room as it has, is killed in the middle of a calendar that is large for it.
async fn a_killed_server_ends_what_it_began(url: String) {
    const EVENTS: usize = 1300;
    let app = kit::app(&url, &home_with("title")).await;
    let fill = |tx: &mut Tx<'_>, calendar: Calendar| {
        for number in 0..EVENTS {
            let name = Name::new(&format!("{number}.ics")).expect("a name");
            let object = event(&format!("e-{number}"), LINES);
            resources::save(tx, &calendar, &name, Version::Client(Some(&object)), NOW)?;
        }
        Ok(())
    };
    with(&app, "anna", "team", Need::Write, fill).await.unwrap();
    let folder = kit::Folder::new();
    let config = format!(
        "[storage]\nurl = \"{url}\"\n[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"http://localhost\"\n\
         pid_file = \"calgate.pid\"\n[secrets]\nkey_file = \"calgate.key\"\n{}",
        home_with("title")
    );
    std::fs::write(folder.path().join("gateway.toml"), config).unwrap();
    let calgate = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_calgate"));
        command.args(arguments).current_dir(folder.path()).env_clear().stderr(Stdio::null());
        command
    };
    let said = calgate(&["grant", "add", "anna/team", "bert", "--may", "busy"]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&said.stdout),
        "bert may see when time is taken in anna/team\n  It is large: it is filled when `calgate serve` runs, and bert sees \
         all of it when that is done.\n"
    );
    assert!(seen(&app, "bert", "team.anna").await.is_none());
    let filled = async || {
        let count = app.store.read(|tx| {
            tx.one(
                "SELECT COUNT(*) FROM resources r JOIN calendars c ON c.id = r.calendar_id
                  WHERE c.slug = 'team.anna' AND r.live = 1",
                &[],
                |row| row.int(0),
            )
        });
        let count: store::Result<Option<i64>> = count.await;
        count.unwrap().unwrap_or(0) as usize
    };
    let mut kills = 0;
    for _ in 0..20 {
        let before = filled().await;
        let mut server = calgate(&["serve"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert!(said.contains("listens on"), "{said}");
        for _ in 0..3000 {
            if filled().await > before || seen(&app, "bert", "team.anna").await.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        server.kill().unwrap();
        server.wait().unwrap();
        kills += 1;
        if seen(&app, "bert", "team.anna").await.is_some() {
            break;
        }
        let now = filled().await;
        assert!(now > before && now < EVENTS, "{before} and then {now}");
    }
    assert!(kills >= 2, "it was killed {kills} times");
    let all = texts(&app, "bert", "team.anna").await;
    assert!(all.len() == EVENTS && all.iter().all(|text| !text.contains("Noon")));
    assert!(app.store.read(shape::waiting).await.unwrap().is_empty());
}
