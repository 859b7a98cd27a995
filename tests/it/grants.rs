//! Calendars that one user grants to another: what is seen, what may be written, and what becomes of it when the grant
//! changes. Each test on both engines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use calgate::app::App;
use calgate::ical::Mask;
use calgate::ids::{Etag, Name, Seq};
use calgate::store::calendars::{self, Calendar, Denied, Need};
use calgate::store::grants::{self, May, NotGranted};
use calgate::store::properties::{self, Dead};
use calgate::store::resources::{self, Version};
use calgate::store::users::{self, Actor};
use calgate::store::{self, Tx, declared, homes, unified};
use calgate::sync::write::{self, Condition, Place, Refusal};

use crate::kit::{self, NOW, actor, event, on_both_engines};

on_both_engines! {
    a_grant_is_a_calendar_in_the_others_home,
    what_is_private_is_time_and_nothing_else,
    who_may_write_writes_into_the_owners_calendar,
    another_grant_is_news_and_nothing_else_is,
    what_is_taken_back_is_gone_at_once,
    what_is_called_the_same_later_is_not_granted,
    what_is_unified_is_granted_as_what_it_is_made_of,
    what_is_declared_is_changed_by_the_file_alone,
    a_slug_that_is_taken_is_left_to_its_owner,
    what_was_granted_is_not_granted_on,
    nobody_waits_for_ever_when_all_write_into_all,
}

const HOME: &str = r##"
[[user]]
name = "anna"
display_name = "Anna Muster"
email = "anna@example.com"
[[user.calendar]]
name = "team"
display_name = "Team"
color = "#1565C0"
[[user.calendar]]
name = "own"
[[user.unified]]
name = "all"
members = [{ calendar = "team", mask = "title" }, "own"]

[[user]]
name = "bert"
[[user.calendar]]
name = "bert"
"##;

/// Does something with a calendar that `who` opens.
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

async fn grant(app: &App, owner: &str, slug: &str, to: &str, may: May) -> Result<(), NotGranted> {
    let (owner, to, slug) = (actor(app, owner).await, actor(app, to).await, slug.to_owned());
    let done = app.store.write(move |tx| {
        let calendar = calendars::open(tx, &owner, &owner.name, &slug, Need::Read).map_err(|e| panic!("{e}"));
        grants::add(tx, &calendar.unwrap(), to.user, may, "", NOW)
    });
    done.await
}

async fn take_back(app: &App, owner: &str, slug: &str, to: &str) -> Result<bool, NotGranted> {
    let (owner, to, slug) = (actor(app, owner).await, actor(app, to).await, slug.to_owned());
    let done = app.store.write(move |tx| {
        let calendar = calendars::open(tx, &owner, &owner.name, &slug, Need::Read).map_err(|e| panic!("{e}"));
        grants::remove(tx, &calendar.unwrap(), to.user)
    });
    done.await
}

async fn put(app: &App, slug: &str, file: &str, uid: &str, lines: &str) {
    let (file, object) = (Name::new(file).unwrap(), event(uid, lines));
    let save = move |tx: &mut Tx<'_>, calendar: Calendar| {
        resources::save(tx, &calendar, &file, Version::Client(Some(&object)), NOW)
    };
    with(app, "anna", slug, Need::Write, save).await.unwrap();
}

/// Name and text of what `who` sees in a calendar.
async fn seen(app: &App, who: &str, slug: &str) -> BTreeMap<String, String> {
    let all = with(app, who, slug, Need::Read, |tx, calendar| resources::all(tx, &calendar)).await.unwrap();
    all.into_iter().map(|r| (r.name.to_string(), r.body)).collect()
}

async fn home(app: &App, who: &str) -> Vec<Calendar> {
    let actor = actor(app, who).await;
    app.store.read(move |tx| calendars::home(tx, &actor, &actor.name)).await.unwrap()
}

async fn slugs(app: &App, who: &str) -> Vec<String> {
    home(app, who).await.into_iter().map(|c| c.slug).collect()
}

async fn reload(app: &App, url: &str, text: &str) {
    let config = kit::config(url, text);
    app.store.write(move |tx| declared::apply(tx, &config, NOW)).await.expect("a reload");
}

const NOON: &str = "DTSTART:20260610T120000Z\nDTEND:20260610T130000Z\nSUMMARY:Noon\nLOCATION:Harbour";

async fn a_grant_is_a_calendar_in_the_others_home(url: String) {
    let app = kit::app(&url, HOME).await;
    put(&app, "team", "noon.ics", "noon", NOON).await;
    assert_eq!(slugs(&app, "bert").await, ["bert"]);
    grant(&app, "anna", "team", "bert", May::Read).await.unwrap();
    let theirs = home(&app, "bert").await.pop().unwrap();
    assert_eq!((theirs.slug.as_str(), theirs.owner.as_str()), ("team.anna", "bert"));
    assert_eq!((theirs.display_name.as_str(), theirs.color.as_str()), ("Team (Anna Muster)", "#1565C0"));
    assert!(!theirs.writable);
    let mine = home(&app, "anna").await.into_iter().find(|c| c.slug == "team").unwrap();
    assert_eq!(mine.granted.iter().map(|g| (g.to_name.as_str(), g.may)).collect::<Vec<_>>(), [("bert", May::Read)]);
    assert_ne!(mine.epoch, theirs.epoch, "a token of the one is none of the other");
    assert_eq!(seen(&app, "bert", "team.anna").await, seen(&app, "anna", "team").await);

    // What changes for the owner is the next line of the other's sync report, and moves nothing else of the other.
    let other = home(&app, "bert").await[0].token();
    put(&app, "team", "late.ics", "late", NOON).await;
    let since = with(&app, "bert", "team.anna", Need::Read, move |tx, calendar| {
        Ok(kit::since(tx, &calendar, Some(theirs.seq), 10)?.changes.len())
    });
    assert_eq!(since.await.unwrap(), 1);
    assert_eq!(home(&app, "bert").await[0].token(), other);

    // The owner's new name is seen; the other's own name for it stays.
    let edit = |name: &str| calendars::Edit { display_name: Some(name.to_owned()), ..calendars::Edit::default() };
    let (ours, own) = (edit("Crew"), edit("Annas"));
    with(&app, "anna", "team", Need::Read, move |tx, c| calendars::edit(tx, &c, &ours)).await.unwrap();
    assert_eq!(home(&app, "bert").await[1].display_name, "Crew (Anna Muster)");
    with(&app, "bert", "team.anna", Need::Read, move |tx, c| calendars::edit(tx, &c, &own)).await.unwrap();
    assert_eq!(home(&app, "bert").await[1].display_name, "Annas");
    assert_eq!(home(&app, "anna").await.into_iter().find(|c| c.slug == "team").unwrap().display_name, "Crew");

    // A grant opens the one door in the other's home, and none in the owner's.
    let bert = actor(&app, "bert").await;
    let direct = app.store.read(move |tx| calendars::open(tx, &bert, "anna", "team", Need::Read));
    assert_eq!(direct.await.unwrap_err(), Denied::Missing);
    let refused = with(&app, "bert", "team.anna", Need::Write, |_, _| Ok(())).await.unwrap_err();
    assert_eq!(refused, Denied::ReadOnly("anna lets you only look at this calendar".to_owned()));
}

async fn what_is_private_is_time_and_nothing_else(url: String) {
    let app = kit::app(&url, HOME).await;
    put(&app, "team", "open.ics", "open", NOON).await;
    for (n, class) in ["CLASS:PRIVATE", "CLASS:confidential", "CLASS:X-BOARD-ONLY"].into_iter().enumerate() {
        put(&app, "team", &format!("{n}.ics"), &format!("secret-{n}"), &format!("{NOON}\n{class}")).await;
    }
    for (may, titles, places) in [(May::Busy, 0, 0), (May::Title, 1, 0), (May::Read, 1, 1), (May::Write, 4, 4)] {
        grant(&app, "anna", "team", "bert", may).await.unwrap();
        let seen = seen(&app, "bert", "team.anna").await;
        let with = |text: &str| seen.values().filter(|body| body.contains(text)).count();
        assert_eq!((seen.len(), with("SUMMARY:Noon"), with("Harbour")), (4, titles, places), "{may:?}: {seen:?}");
        assert_eq!(with("20260610T120000Z"), 4, "the time is told");
        let named = seen.iter().filter(|(name, body)| name.contains("secret") || body.contains("secret")).count();
        assert_eq!(named, if may == May::Write { 3 } else { 0 }, "{may:?}: {seen:?}");
    }
    // What becomes private takes its name and its text away.
    grant(&app, "anna", "team", "bert", May::Read).await.unwrap();
    assert!(seen(&app, "bert", "team.anna").await.contains_key("open.ics"));
    put(&app, "team", "open.ics", "open", &format!("{NOON}\nCLASS:PRIVATE")).await;
    let seen = seen(&app, "bert", "team.anna").await;
    assert!(
        seen.len() == 4 && !seen.contains_key("open.ics") && !seen.values().any(|b| b.contains("Noon")),
        "{seen:?}"
    );
    // The owner's own unified calendar shows their own titles to them.
    let all = self::seen(&app, "anna", "all").await;
    assert!(all.values().all(|body| body.contains("SUMMARY:Noon")), "{all:?}");
}

async fn who_may_write_writes_into_the_owners_calendar(url: String) {
    let app = kit::app(&url, HOME).await;
    put(&app, "team", "noon.ics", "noon", NOON).await;
    let bert = actor(&app, "bert").await;
    let place =
        |name: &str| Place { owner: "bert".to_owned(), slug: "team.anna".to_owned(), name: Name::new(name).unwrap() };
    let any = Condition::default();
    for may in [May::Busy, May::Title, May::Read] {
        grant(&app, "anna", "team", "bert", may).await.unwrap();
        let refused = write::put(&app, &bert, &place("new.ics"), event("new", NOON), &any).await;
        assert!(matches!(refused, Err(Refusal::Denied(Denied::ReadOnly(_)))), "{may:?}: {refused:?}");
        let name = seen(&app, "bert", "team.anna").await.into_keys().next().unwrap();
        let refused = write::delete(&app, &bert, &place(&name), &any).await;
        assert!(matches!(refused, Err(Refusal::Denied(Denied::ReadOnly(_)))), "{may:?}: {refused:?}");
        let writable = with(&app, "bert", "team.anna", Need::Read, writable).await.unwrap();
        assert!(writable.is_empty(), "{may:?}");
    }
    grant(&app, "anna", "team", "bert", May::Write).await.unwrap();
    assert!(home(&app, "bert").await[1].writable);
    let done = write::put(&app, &bert, &place("new.ics"), event("new", NOON), &any).await.unwrap();
    assert!(done.created && done.etag.is_some());
    assert_eq!(seen(&app, "anna", "team").await.into_keys().collect::<Vec<_>>(), ["new.ics", "noon.ics"]);
    let there = with(&app, "bert", "team.anna", Need::Read, |tx, c| resources::list(tx, &c)).await.unwrap();
    let etag: Etag = there[1].etag.clone();
    let fits = Condition { matches: Some(vec![etag]), ..Condition::default() };
    let moved = event("noon", &NOON.replace("T12", "T11"));
    write::put(&app, &bert, &place("noon.ics"), moved.clone(), &fits).await.unwrap();
    assert_eq!(seen(&app, "anna", "team").await["noon.ics"], moved.text());
    let stale = write::put(&app, &bert, &place("noon.ics"), event("noon", NOON), &fits).await;
    assert!(matches!(stale, Err(Refusal::Condition { current: Some(_) })), "{stale:?}");
    write::delete(&app, &bert, &place("noon.ics"), &any).await.unwrap();
    assert_eq!(seen(&app, "anna", "team").await.into_keys().collect::<Vec<_>>(), ["new.ics"]);
    // A password that may only read writes nowhere.
    let reader = Actor { may_write: false, ..bert };
    let refused = write::delete(&app, &reader, &place("new.ics"), &any).await;
    assert!(matches!(refused, Err(Refusal::Denied(Denied::ReadOnly(_)))), "{refused:?}");
}

/// The names of what may be written.
fn writable(tx: &mut Tx<'_>, calendar: Calendar) -> store::Result<Vec<Name>> {
    let mut names: Vec<Name> = resources::list(tx, &calendar)?.into_iter().map(|row| row.name).collect();
    let mut failed = Ok(());
    names.retain(|name| {
        unified::is_writable(tx, calendar.id, name.as_str()).unwrap_or_else(|e| {
            failed = Err(e);
            false
        })
    });
    failed.map(|()| names)
}

/// `name` of what is live and `-name` of what is gone, since a seq.
async fn news(app: &App, seq: Seq) -> (Vec<String>, Seq) {
    let read =
        with(app, "bert", "team.anna", Need::Read, move |tx, calendar| kit::since(tx, &calendar, Some(seq), 1000));
    let since = read.await.unwrap();
    let line = |c: &kit::Change| format!("{}{}", if c.live.is_some() { "" } else { "-" }, c.name);
    (since.changes.iter().map(line).collect(), since.seq)
}

async fn another_grant_is_news_and_nothing_else_is(url: String) {
    let app = kit::app(&url, HOME).await;
    put(&app, "team", "noon.ics", "noon", NOON).await;
    grant(&app, "anna", "team", "bert", May::Read).await.unwrap();
    let before = home(&app, "bert").await.pop().unwrap();
    grant(&app, "anna", "team", "bert", May::Read).await.unwrap();
    assert_eq!(home(&app, "bert").await.pop().unwrap(), before, "the same again is no news");
    grant(&app, "anna", "team", "bert", May::Write).await.unwrap();
    let (changes, seq) = news(&app, before.seq).await;
    assert!(changes.is_empty(), "who may write sees the same as who may read: {changes:?}");
    grant(&app, "anna", "team", "bert", May::Busy).await.unwrap();
    let (changes, seq) = news(&app, seq).await;
    assert!(changes.len() == 2 && changes[0] == "-noon.ics" && !changes[1].starts_with('-'), "{changes:?}");
    // What is hidden may change as it likes.
    put(&app, "team", "noon.ics", "noon", &NOON.replace("Harbour", "Castle")).await;
    assert!(news(&app, seq).await.0.is_empty());
    grant(&app, "anna", "team", "bert", May::Read).await.unwrap();
    let (changes, _) = news(&app, seq).await;
    assert!(changes.len() == 2 && changes[0].starts_with('-') && changes[1] == "noon.ics", "{changes:?}");
    // Both homes tell of it, the owner's and the other's.
    for (who, slug) in [("anna", "team"), ("bert", "team.anna")] {
        let actor = actor(&app, who).await;
        let at = actor.clone();
        let before = app.store.read(move |tx| homes::home(tx, at.user)).await.unwrap();
        grant(&app, "anna", "team", "bert", May::Write).await.unwrap();
        let told = app.store.read(move |tx| homes::since(tx, &actor, &actor.name, Some(before), 100)).await.unwrap();
        assert_eq!(told.changes.iter().map(|c| c.slug.as_str()).collect::<Vec<_>>(), [slug], "the home of {who}");
        grant(&app, "anna", "team", "bert", May::Read).await.unwrap();
    }
    let after = home(&app, "bert").await.pop().unwrap();
    assert_eq!((after.id, after.epoch), (before.id, before.epoch), "it is the same calendar all along");
}

async fn what_is_taken_back_is_gone_at_once(url: String) {
    let app = kit::app(&url, HOME).await;
    put(&app, "team", "noon.ics", "noon", NOON).await;
    grant(&app, "anna", "team", "bert", May::Read).await.unwrap();
    let first = home(&app, "bert").await.pop().unwrap();
    let bert = actor(&app, "bert").await.user;
    let (of_calendar, of_event) = ("/dav/bert/team.anna/", "/dav/bert/team.anna/noon.ics");
    let noted = app.store.write(move |tx| -> Result<(), properties::NotSet> {
        let dead = |xml: &str| Dead { ns: String::new(), name: "note".to_owned(), xml: xml.to_owned() };
        properties::set(tx, bert, of_calendar, &dead("<note/>"), 1 << 10)?;
        properties::set(tx, bert, of_event, &dead("<note/>"), 1 << 10)
    });
    assert!(noted.await.is_ok());
    assert!(take_back(&app, "anna", "team", "bert").await.unwrap());
    let kept = app.store.read(move |tx| {
        Ok::<_, store::Error>(
            [properties::list(tx, bert, of_calendar)?, properties::list(tx, bert, of_event)?].concat(),
        )
    });
    assert_eq!(kept.await, Ok(Vec::new()), "the next calendar of that name would have them");
    assert!(!take_back(&app, "anna", "team", "bert").await.unwrap());
    assert_eq!(slugs(&app, "bert").await, ["bert"]);
    let missing = with(&app, "bert", "team.anna", Need::Read, |_, _| Ok(())).await.unwrap_err();
    assert_eq!(missing, Denied::Missing);
    assert_eq!(app.store.read(calendars::every).await.unwrap().len(), 4, "no rows are left behind");
    put(&app, "team", "noon.ics", "noon", &NOON.replace("Noon", "Later")).await;
    // Granted again it is another calendar: no token of before fits.
    grant(&app, "anna", "team", "bert", May::Read).await.unwrap();
    let again = home(&app, "bert").await.pop().unwrap();
    assert_eq!(again.slug, first.slug);
    assert_eq!(again.read_token(&first.token()), None);

    // Whom it was granted to may take it out of their home, also where they may only read.
    with(&app, "bert", "team.anna", Need::Remove, |tx, calendar| {
        calendars::remove(tx, &calendar, NOW).map_err(|e| panic!("{e}"))
    })
    .await
    .unwrap();
    assert_eq!(slugs(&app, "bert").await, ["bert"]);
    assert!(home(&app, "anna").await.iter().all(|c| c.granted.is_empty()));
    assert_eq!(seen(&app, "anna", "team").await.len(), 1, "nothing of the owner's is gone");

    // A user who goes takes along what they granted, and what they were granted.
    let ghost = app.store.write(|tx| users::add(tx, "carl", None, &[], "UTC")).await.unwrap().unwrap();
    let carl = Actor { user: ghost, name: "carl".to_owned(), may_write: true, app_password: None };
    let made = app.store.write(move |tx| {
        calendars::create(tx, &carl, "carl", "mine", &calendars::New::default(), NOW).map_err(|e| panic!("{e:?}"))
    });
    let _: Calendar = made.await.map_err(|e: store::Error| e).unwrap();
    grant(&app, "carl", "mine", "bert", May::Write).await.unwrap();
    grant(&app, "anna", "team", "carl", May::Read).await.unwrap();
    assert_eq!(slugs(&app, "bert").await, ["bert", "mine.carl"]);
    assert!(app.store.write(|tx| users::remove(tx, "carl", NOW)).await.unwrap());
    assert_eq!(slugs(&app, "bert").await, ["bert"]);
    assert!(home(&app, "anna").await.iter().all(|c| c.granted.is_empty()));
}

async fn what_is_called_the_same_later_is_not_granted(url: String) {
    let app = kit::app(&url, HOME).await;
    let anna = actor(&app, "anna").await;
    let make = |anna: Actor| {
        app.store.write(move |tx| {
            let new = calendars::New::default();
            let made = calendars::create(tx, &anna, "anna", "trip", &new, NOW).map(|c| c.slug);
            made.map_err(|e| store::Error::Broken(format!("{e:?}")))
        })
    };
    make(anna.clone()).await.unwrap();
    grant(&app, "anna", "trip", "bert", May::Write).await.unwrap();
    assert_eq!(slugs(&app, "bert").await, ["bert", "trip.anna"]);
    with(&app, "anna", "trip", Need::Remove, |tx, calendar| {
        calendars::remove(tx, &calendar, NOW).map_err(|e| panic!("{e}"))
    })
    .await
    .unwrap();
    assert_eq!(slugs(&app, "bert").await, ["bert"]);
    make(anna).await.unwrap();
    assert_eq!(slugs(&app, "bert").await, ["bert"], "a new calendar is not the one that was shared");
}

async fn what_is_unified_is_granted_as_what_it_is_made_of(url: String) {
    let app = kit::app(&url, HOME).await;
    put(&app, "team", "a.ics", "a", NOON).await;
    put(&app, "own", "b.ics", "b", NOON).await;
    put(&app, "own", "c.ics", "c", &format!("{NOON}\nCLASS:PRIVATE")).await;
    grant(&app, "anna", "all", "bert", May::Read).await.unwrap();
    let sees = seen(&app, "bert", "all.anna").await;
    let with_text = |text: &str| sees.values().filter(|b| b.contains(text)).count();
    // The team's are titles to their owner here, so they are no more to others; what is private is time.
    assert_eq!((sees.len(), with_text("SUMMARY:Noon"), with_text("Harbour")), (3, 2, 1), "{sees:?}");
    put(&app, "own", "d.ics", "d", NOON).await;
    assert_eq!(seen(&app, "bert", "all.anna").await.len(), 4, "what the owner writes is seen");

    grant(&app, "anna", "all", "bert", May::Write).await.unwrap();
    let bert = actor(&app, "bert").await;
    let place = Place { owner: "bert".to_owned(), slug: "all.anna".to_owned(), name: Name::new("e.ics").unwrap() };
    write::put(&app, &bert, &place, event("e", NOON), &Condition::default()).await.unwrap();
    assert!(seen(&app, "anna", "own").await.contains_key("e.ics"), "what is new goes where the owner's would");
    let list = with(&app, "bert", "all.anna", Need::Read, writable).await.unwrap();
    assert_eq!(list.len(), 4, "what its owner sees a part of, nobody writes there");

    // Another making of the unified calendar is another making of what is granted of it.
    reload(
        &app,
        &url,
        &HOME.replace("members = [{ calendar = \"team\", mask = \"title\" }, \"own\"]", "members = [\"team\"]"),
    )
    .await;
    assert_eq!(seen(&app, "bert", "all.anna").await.into_keys().collect::<Vec<_>>(), ["a.ics"]);
    let masks = with(&app, "bert", "all.anna", Need::Read, |tx, c| unified::members(tx, c.id)).await.unwrap();
    assert_eq!(masks.into_iter().map(|m| m.mask).collect::<Vec<_>>(), [Mask::Full]);
}

async fn what_is_declared_is_changed_by_the_file_alone(url: String) {
    let granted = HOME.replace(
        "[[user]]\nname = \"bert\"",
        "[[user.grant]]\ncalendar = \"team\"\nto = \"bert\"\nmay = \"busy\"\n\n[[user]]\nname = \"bert\"",
    );
    let app = kit::app(&url, &granted).await;
    put(&app, "team", "noon.ics", "noon", NOON).await;
    let before = home(&app, "bert").await.pop().unwrap();
    assert!(before.share.as_ref().is_some_and(|s| s.declared && s.may == May::Busy));
    reload(&app, &url, &granted).await;
    assert_eq!(home(&app, "bert").await.pop().unwrap(), before, "a reload is no news");
    assert_eq!(grant(&app, "anna", "team", "bert", May::Write).await, Err(NotGranted::Declared));
    assert_eq!(take_back(&app, "anna", "team", "bert").await, Err(NotGranted::Declared));
    let left = with(&app, "bert", "team.anna", Need::Remove, |tx, calendar| {
        Ok(calendars::remove(tx, &calendar, NOW).unwrap_err())
    });
    assert!(matches!(left.await.unwrap(), Denied::ReadOnly(_)));
    reload(&app, &url, &granted.replace("\"busy\"", "\"read\"")).await;
    assert_eq!(seen(&app, "bert", "team.anna").await.into_keys().collect::<Vec<_>>(), ["noon.ics"]);
    reload(&app, &url, HOME).await;
    assert_eq!(slugs(&app, "bert").await, ["bert"]);
}

async fn a_slug_that_is_taken_is_left_to_its_owner(url: String) {
    let taken = format!("{HOME}\n[[user.calendar]]\nname = \"team.anna\"\n");
    let app = kit::app(&url, &taken).await;
    grant(&app, "anna", "team", "bert", May::Read).await.unwrap();
    assert_eq!(slugs(&app, "bert").await, ["bert", "team.anna", "team.anna-2"]);
    // And one that the file wants afterwards is given up.
    grant(&app, "anna", "own", "bert", May::Read).await.unwrap();
    reload(&app, &url, &format!("{taken}\n[[user.calendar]]\nname = \"own.anna\"\n")).await;
    assert_eq!(slugs(&app, "bert").await, ["bert", "own.anna", "team.anna", "own.anna-2", "team.anna-2"]);
    let own = home(&app, "bert").await;
    assert!(own[1].share.is_none() && own[1].writable && own[3].share.is_some());
}

async fn what_was_granted_is_not_granted_on(url: String) {
    let app = kit::app(&url, HOME).await;
    grant(&app, "anna", "team", "bert", May::Write).await.unwrap();
    assert_eq!(grant(&app, "bert", "team.anna", "anna", May::Read).await, Err(NotGranted::Borrowed));
    assert_eq!(grant(&app, "anna", "team", "anna", May::Read).await, Err(NotGranted::Oneself));
}

/// Everybody grants to everybody, in rings, and all write at once, also into what is not theirs, while grants come and go.
/// A deadlock would be `Unavailable`.
async fn nobody_waits_for_ever_when_all_write_into_all(url: String) {
    const NAMES: [&str; 4] = ["anna", "bert", "carl", "dora"];
    let users: String =
        NAMES.iter().map(|n| format!("[[user]]\nname = \"{n}\"\n[[user.calendar]]\nname = \"c\"\n")).collect();
    let app = kit::app(&url, &users).await;
    for owner in NAMES {
        for to in NAMES.into_iter().filter(|to| *to != owner) {
            grant(&app, owner, "c", to, May::Write).await.unwrap();
        }
    }
    let mut writers = Vec::new();
    for (w, who) in NAMES.iter().cycle().take(8).enumerate() {
        let app: Arc<App> = app.clone();
        writers.push(tokio::spawn(async move {
            let bert = actor(&app, who).await;
            for n in 0..15 {
                let owner = NAMES[(w + n) % 4];
                let slug = if owner == *who { "c".to_owned() } else { format!("c.{owner}") };
                let name = Name::new(&format!("{w}-{}.ics", n % 5)).unwrap();
                let place = Place { owner: (*who).to_owned(), slug, name };
                let object = event(&format!("{w}-{}-{owner}", n % 5), &format!("{NOON}\nCOMMENT:{n}"));
                match write::put(&app, &bert, &place, object, &Condition::default()).await {
                    Ok(_) => {}
                    Err(Refusal::Denied(_)) if place.slug == "c.dora" => {}
                    Err(e) => panic!("{e:?}"),
                }
            }
        }));
    }
    let granting = app.clone();
    let granter = tokio::spawn(async move {
        for n in 0..10 {
            let result = match n % 2 {
                0 => take_back(&granting, "dora", "c", "anna").await.map(|_| ()),
                _ => grant(&granting, "dora", "c", "anna", May::Write).await,
            };
            assert_eq!(result, Ok(()));
        }
    });
    for writer in writers {
        writer.await.expect("a writer");
    }
    granter.await.expect("who grants");
    grant(&app, "dora", "c", "anna", May::Write).await.unwrap();
    for owner in NAMES {
        for to in NAMES.into_iter().filter(|to| *to != owner) {
            let texts = |seen: BTreeMap<String, String>| seen.into_values().collect::<BTreeSet<_>>();
            let (theirs, own) = (seen(&app, to, &format!("c.{owner}")).await, seen(&app, owner, "c").await);
            assert_eq!(texts(theirs), texts(own), "{to} of {owner}");
        }
    }
}
