//! COPY and MOVE between calendars of two upstreams, with everything that can go wrong on the way: what was moved is in
//! one of the two places at the least, and in the end in exactly one.

use calgate::store::{accounts, calendars, grants, resources, users};
use calgate::sync::relocate::{self, How};
use calgate::sync::write::{Done, Refusal};
use standin::caldav::Fault;

use crate::engine::{HOME, House, NOON, WORK};
use crate::kit::{event_text, on_both_engines};

on_both_engines! {
    a_move_between_upstreams_arrives_and_then_leaves,
    a_create_that_is_refused_gives_the_source_back,
    a_create_that_is_refused_later_gives_the_source_back,
    what_can_not_be_given_back_holds_up_nothing_else,
    a_create_whose_answer_is_lost_makes_one_object,
    what_may_be_anybodys_takes_nothing_away,
    the_source_stays_while_the_target_is_away,
    a_removal_that_is_refused_takes_the_target_back,
    a_removal_that_waits_is_sent_later,
    a_change_at_the_source_meanwhile_lives,
    another_object_at_the_target_lives,
    there_and_back_again_before_anybody_hears,
    a_removal_at_the_target_before_it_arrives,
    what_was_moved_to_somebody_who_goes_comes_back,
    a_move_from_here_to_an_upstream_and_back,
    a_meeting_stays_where_it_tells_people,
    a_meeting_does_not_get_to_a_second_upstream_by_two_steps,
    another_name_is_no_news_upstream,
    refused_while_upstream_is_away,
}

async fn carry(house: &House, from: (&str, &str), to: (&str, &str), moves: bool) -> Result<Done, Refusal> {
    let how = How { moves, overwrite: true, ..How::default() };
    let (from, to) = (House::place(from.0, from.1), House::place(to.0, to.1));
    relocate::relocate(&house.app, &house.actor().await, &from, &to, &how).await
}

async fn moved(house: &House, from: (&str, &str), to: (&str, &str)) -> Result<Done, Refusal> {
    carry(house, from, to, true).await
}

/// Where the object is, here and at the upstreams: `work`, `home`, or both.
async fn places(house: &House) -> (String, String) {
    let mut here = Vec::new();
    for slug in ["work", "home"] {
        here.extend((!house.here(slug).await.is_empty()).then_some(slug));
    }
    let mut there = Vec::new();
    for (server, path, slug) in [(&house.work, WORK, "work"), (&house.home, HOME, "home")] {
        there.extend((!House::there(server, path).is_empty()).then_some(slug));
    }
    (here.join(" "), there.join(" "))
}

fn at(slug: &str) -> (String, String) {
    (slug.to_owned(), slug.to_owned())
}

/// A house with `a.ics` at work.
async fn house(url: &str, sync: &str) -> House {
    let house = House::new(url, sync).await;
    house.put("work", "a.ics", "a", NOON).await.expect("a create");
    house
}

async fn settled(house: &House, slug: &str) {
    house.settle().await;
    for slug in ["work", "home"] {
        house.pull(slug).await.expect("a pull");
    }
    house.settle().await;
    come_to(house, at(slug)).await;
}

/// What is given back is nothing that waits to be sent: it is looked for a while.
async fn come_to(house: &House, expected: (String, String)) {
    for _ in 0..100 {
        if places(house).await == expected {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(places(house).await, expected);
}

async fn a_move_between_upstreams_arrives_and_then_leaves(url: String) {
    let house = house(&url, "").await;
    let before = house.calendar("all").await.token();
    let done = moved(&house, ("work", "a.ics"), ("home", "b.ics")).await.expect("a move");
    let etag = Some(resources::etag_of(&event_text("a", NOON)));
    assert_eq!(done, Done { created: true, etag, schedule_tag: None, pending: false });
    assert_eq!(places(&house).await, at("home"));
    assert_eq!(House::there(&house.home, HOME)["b.ics"], event_text("a", NOON));
    // First it arrived, then it left; and who looks at both at once sees no change.
    assert_eq!((house.home.count("PUT"), house.work.count("DELETE")), (1, 1));
    assert_eq!(house.calendar("all").await.token(), before);
    // With the same UID there already, under that name: it is replaced.
    house.put("work", "a.ics", "a", &format!("{NOON}\nLOCATION:Newer")).await.expect("a create");
    let done = moved(&house, ("work", "a.ics"), ("home", "b.ics")).await.expect("a move");
    assert!(!done.created);
    assert!(House::there(&house.home, HOME)["b.ics"].contains("Newer"));
    settled(&house, "home").await;
    // A copy is in both.
    carry(&house, ("home", "b.ics"), ("work", "c.ics"), false).await.expect("a copy");
    assert_eq!(places(&house).await, at("work home"));
}

async fn a_create_that_is_refused_gives_the_source_back(url: String) {
    let house = house(&url, "").await;
    let token = house.calendar("work").await.token();
    house.home.fault("PUT", "b.ics", usize::MAX, Fault::Status(403, "no".to_owned()));
    let refused = moved(&house, ("work", "a.ics"), ("home", "b.ics")).await;
    assert!(matches!(&refused, Err(Refusal::Upstream(_))), "{refused:?}");
    assert_eq!(places(&house).await, at("work"));
    assert_eq!(house.work.count("DELETE"), 0);
    assert_ne!(house.calendar("work").await.token(), token, "who saw it go sees it come back");
    house.home.heal();
    settled(&house, "work").await;
    assert_eq!(house.work.count("PUT"), 1, "nothing was sent to give it back");
}

/// Nobody waits any more: the gateway was away, or the client.
async fn a_create_that_is_refused_later_gives_the_source_back(url: String) {
    let house = house(&url, "upstream_away = \"keep\"").await;
    house.home.fault("*", "/", usize::MAX, Fault::Status(500, String::new()));
    let done = moved(&house, ("work", "a.ics"), ("home", "b.ics")).await.expect("it is kept");
    assert!(done.pending);
    assert_eq!(places(&house).await, ("home".to_owned(), "work".to_owned()), "here it has moved, there it has not");
    house.home.heal();
    house.home.fault("PUT", "b.ics", usize::MAX, Fault::Status(403, "no".to_owned()));
    settled(&house, "work").await;
    assert_eq!(house.work.count("DELETE"), 0);
    assert_eq!(house.here("work").await["a.ics"], event_text("a", NOON));
}

/// An earlier reader took what this one does not.
async fn what_can_not_be_given_back_holds_up_nothing_else(url: String) {
    let house = house(&url, "upstream_away = \"keep\"").await;
    house.home.fault("*", "/", usize::MAX, Fault::Status(500, String::new()));
    assert!(moved(&house, ("work", "a.ics"), ("home", "b.ics")).await.expect("it is kept").pending);
    let spoil = "UPDATE resources SET moved = 'BEGIN:VCALENDAR' WHERE moved IS NOT NULL";
    assert_eq!(house.app.store.write(move |tx| tx.execute(spoil, &[])).await, Ok(1));
    house.home.heal();
    house.home.fault("PUT", "b.ics", usize::MAX, Fault::Status(403, "no".to_owned()));
    house.settle().await;
    let refused = "SELECT 1 FROM resources WHERE moved_back = 1";
    let refused = house.app.store.read(move |tx| tx.one(refused, &[], |_| Ok(())));
    assert_eq!(refused.await, Ok(Some(())));
    let done = house.put("home", "c.ics", "c", NOON).await.expect("a create");
    assert!(!done.pending, "it is sent all the same");
    assert!(House::there(&house.home, HOME).contains_key("c.ics"));
}

async fn a_create_whose_answer_is_lost_makes_one_object(url: String) {
    for fault in [Fault::DropAfter, Fault::DropBefore] {
        let (url, _folder) = match fault {
            Fault::DropAfter => (url.clone(), crate::kit::Folder::new()),
            _ => crate::kit::sqlite_url(),
        };
        let house = house(&url, "").await;
        house.home.fault("PUT", HOME, 1, fault);
        moved(&house, ("work", "a.ics"), ("home", "b.ics")).await.expect("it is kept");
        settled(&house, "home").await;
        assert_eq!(House::there(&house.home, HOME).len(), 1);
    }
}

/// A server that rewrites what it is given, and whose answer was lost, has something that nobody can tell from somebody
/// else's. Then the source is given back: twice is better than not at all.
async fn what_may_be_anybodys_takes_nothing_away(url: String) {
    let house = house(&url, "").await;
    house.home.manners(|m| m.rewrites = true);
    house.home.fault("PUT", HOME, 1, Fault::DropAfter);
    moved(&house, ("work", "a.ics"), ("home", "b.ics")).await.expect("it is kept");
    house.settle().await;
    house.pull("home").await.expect("a pull");
    house.settle().await;
    come_to(&house, at("work home")).await;
    assert_eq!(house.here("work").await["a.ics"], event_text("a", NOON));
    assert_eq!(house.work.count("DELETE"), 0);
}

async fn the_source_stays_while_the_target_is_away(url: String) {
    let house = house(&url, "upstream_away = \"keep\"").await;
    house.home.fault("*", "/", usize::MAX, Fault::Status(500, String::new()));
    moved(&house, ("work", "a.ics"), ("home", "b.ics")).await.expect("it is kept");
    // Other writes to where it came from go their way, and its removal does not.
    house.put("work", "other.ics", "other", NOON).await.expect("a create");
    house.delete("work", "other.ics").await.expect("a delete");
    house.pull("work").await.expect("a pull");
    assert_eq!(House::there(&house.work, WORK).keys().collect::<Vec<_>>(), ["a.ics"]);
    assert_eq!(house.here("work").await.len(), 0);
    house.home.heal();
    settled(&house, "home").await;
}

async fn a_removal_that_is_refused_takes_the_target_back(url: String) {
    let house = house(&url, "").await;
    house.work.fault("DELETE", "a.ics", usize::MAX, Fault::Status(403, "no".to_owned()));
    let refused = moved(&house, ("work", "a.ics"), ("home", "b.ics")).await;
    assert!(matches!(&refused, Err(Refusal::Upstream(_))), "{refused:?}");
    house.work.heal();
    settled(&house, "work").await;
}

async fn a_removal_that_waits_is_sent_later(url: String) {
    for fault in [Fault::Status(500, String::new()), Fault::DropAfter] {
        let (url, _folder) = match fault {
            Fault::DropAfter => crate::kit::sqlite_url(),
            _ => (url.clone(), crate::kit::Folder::new()),
        };
        let house = house(&url, "upstream_away = \"keep\"").await;
        house.work.fault("DELETE", "a.ics", 1, fault);
        let done = moved(&house, ("work", "a.ics"), ("home", "b.ics")).await.expect("it has arrived");
        assert!(done.pending);
        settled(&house, "home").await;
    }
}

/// What somebody else changes at the source before it is removed there is not lost by its removal.
async fn a_change_at_the_source_meanwhile_lives(url: String) {
    let house = house(&url, "").await;
    house.work.put(WORK, "a.ics", &event_text("a", &format!("{NOON}\nLOCATION:Theirs")));
    let refused = moved(&house, ("work", "a.ics"), ("home", "b.ics")).await;
    assert!(matches!(&refused, Err(Refusal::Condition { current: Some(_) })), "{refused:?}");
    settled(&house, "work").await;
    assert!(house.here("work").await["a.ics"].contains("Theirs"));
}

async fn another_object_at_the_target_lives(url: String) {
    let house = house(&url, "").await;
    house.home.put(HOME, "x.ics", &event_text("a", &format!("{NOON}\nLOCATION:Theirs")));
    let refused = moved(&house, ("work", "a.ics"), ("home", "b.ics")).await;
    assert!(matches!(&refused, Err(Refusal::Condition { .. })), "{refused:?}");
    house.settle().await;
    house.pull("home").await.expect("a pull");
    assert_eq!(places(&house).await, at("work home"));
    assert_eq!(house.here("work").await["a.ics"], event_text("a", NOON));
    assert!(house.here("home").await.values().next().expect("theirs").contains("Theirs"));
    assert_eq!(house.work.count("DELETE"), 0);
}

async fn there_and_back_again_before_anybody_hears(url: String) {
    for name in ["a.ics", "c.ics"] {
        let (url, _folder) = match name {
            "a.ics" => (url.clone(), crate::kit::Folder::new()),
            _ => crate::kit::sqlite_url(),
        };
        let house = house(&url, "upstream_away = \"keep\"").await;
        house.home.fault("*", "/", usize::MAX, Fault::Status(500, String::new()));
        assert!(moved(&house, ("work", "a.ics"), ("home", "b.ics")).await.expect("it is kept").pending);
        moved(&house, ("home", "b.ics"), ("work", name)).await.expect("and back");
        assert_eq!(house.here("work").await.keys().collect::<Vec<_>>(), [name]);
        house.home.heal();
        settled(&house, "work").await;
        assert_eq!(house.here("work").await[name], event_text("a", NOON));
        assert_eq!(house.work.count("DELETE"), 0, "upstream has heard nothing of it");
    }
}

/// Who removes what they have moved means it, wherever upstream has it.
async fn a_removal_at_the_target_before_it_arrives(url: String) {
    let house = house(&url, "upstream_away = \"keep\"").await;
    house.home.fault("*", "/", usize::MAX, Fault::Status(500, String::new()));
    moved(&house, ("work", "a.ics"), ("home", "b.ics")).await.expect("it is kept");
    house.delete("home", "b.ics").await.expect("it is kept");
    house.home.heal();
    settled(&house, "").await;
}

/// What has not arrived is not gone with whom it was moved to, and nothing that comes later is taken for its arrival.
async fn what_was_moved_to_somebody_who_goes_comes_back(url: String) {
    let house = house(&url, "upstream_away = \"keep\"").await;
    house.home.user("bert", "secret").calendar("bert", "team", |c| c.name = "Team".to_owned());
    let folder = crate::kit::Folder::new();
    std::fs::write(folder.path().join("password"), "secret").expect("a password file");
    let password = accounts::Password::Reference(format!("file:{}", folder.path().join("password").display()));
    let server = house.home.url();
    let make = house.app.store.write(move |tx| {
        let bert = users::add(tx, "bert", None, &[], "UTC")?.expect("the name is free");
        accounts::add(tx, bert, "at", "caldav", &server, "bert", &password, &accounts::Take::All)?;
        Ok::<_, calgate::store::Error>(bert)
    });
    let bert = make.await.expect("a user");
    house.discover().await;
    let anna = house.actor().await.user;
    let team = house.app.store.write(move |tx| -> Result<_, calendars::Denied> {
        let bert = users::by_id(tx, bert)?.map(|user| users::Actor::of(&user)).expect("he is there");
        let team = calendars::open(tx, &bert, "bert", "team", calendars::Need::Read)?;
        grants::add(tx, &team, anna, grants::May::Write, "", crate::kit::NOW).unwrap_or_else(|e| panic!("{e}"));
        Ok(team.id)
    });
    let team = team.await.unwrap_or_else(|e| panic!("{e}"));
    calgate::sync::pull::pull(&house.app, team, &calgate::sync::pull::Quiet).await.expect("a first pull");
    house.home.fault("*", "/", usize::MAX, Fault::Status(500, String::new()));
    assert!(moved(&house, ("work", "a.ics"), ("team.bert", "b.ics")).await.expect("it is kept").pending);
    assert_eq!(places(&house).await, (String::new(), "work".to_owned()));

    let gone = house.app.store.write(|tx| users::remove(tx, "bert", crate::kit::NOW));
    assert!(gone.await.expect("bert goes"));
    // The row that comes next may have the number of the one that went.
    house.home.heal();
    house.put("home", "z.ics", "z", NOON).await.expect("a create");
    house.delete("home", "z.ics").await.expect("a delete");
    house.app.wake.notify_one();
    settled(&house, "work").await;
    assert_eq!(house.here("work").await["a.ics"], event_text("a", NOON));
    assert_eq!((house.work.count("PUT"), house.work.count("DELETE")), (1, 0), "upstream has heard nothing of it");
}

async fn a_move_from_here_to_an_upstream_and_back(url: String) {
    let house = House::new(&url, "").await;
    let actor = house.actor().await;
    let make = house.app.store.write(move |tx| {
        let new = calendars::New::default();
        calendars::create(tx, &actor, "anna", "own", &new, crate::kit::NOW)
    });
    make.await.unwrap_or_else(|e| panic!("{e:?}"));
    house.put("own", "a.ics", "a", NOON).await.expect("a create");
    house.work.fault("PUT", "a.ics", 1, Fault::Status(403, "no".to_owned()));
    let refused = moved(&house, ("own", "a.ics"), ("work", "a.ics")).await;
    assert!(matches!(&refused, Err(Refusal::Upstream(_))), "{refused:?}");
    assert_eq!(house.here("own").await.len(), 1);
    assert_eq!(places(&house).await, at(""));
    moved(&house, ("own", "a.ics"), ("work", "a.ics")).await.expect("a move");
    assert_eq!((house.here("own").await.len(), places(&house).await), (0, at("work")));
    // And the other way: refused upstream, it stays there.
    house.work.fault("DELETE", "a.ics", 1, Fault::Status(403, "no".to_owned()));
    let refused = moved(&house, ("work", "a.ics"), ("own", "a.ics")).await;
    assert!(matches!(&refused, Err(Refusal::Upstream(_))), "{refused:?}");
    assert_eq!((house.here("own").await.len(), places(&house).await), (0, at("work")));
    moved(&house, ("work", "a.ics"), ("own", "a.ics")).await.expect("a move");
    assert_eq!((house.here("own").await.len(), places(&house).await), (1, at("")));
}

/// A removal would be mailed to everybody as a cancellation, and a second create as a second invitation.
async fn a_meeting_stays_where_it_tells_people(url: String) {
    let house = House::new(&url, "").await;
    let meeting = format!("{NOON}\nORGANIZER:mailto:anna@example.com\nATTENDEE:mailto:guest@example.org");
    house.put("work", "m.ics", "m", &meeting).await.expect("a create");
    for moves in [true, false] {
        let refused = carry(&house, ("work", "m.ics"), ("home", "m.ics"), moves).await;
        assert!(matches!(&refused, Err(Refusal::NotMovable(_))), "{refused:?}");
    }
    assert_eq!(places(&house).await, at("work"));
    assert_eq!((house.work.count("PUT"), house.work.count("DELETE"), house.home.count("PUT")), (1, 0, 0));
}

async fn a_meeting_does_not_get_to_a_second_upstream_by_two_steps(url: String) {
    let house = House::new(&url, "").await;
    let actor = house.actor().await;
    let make = house.app.store.write(move |tx| {
        let new = calgate::store::calendars::New::default();
        calgate::store::calendars::create(tx, &actor, "anna", "own", &new, crate::kit::NOW)
    });
    make.await.unwrap_or_else(|e| panic!("{e:?}"));
    let meeting = format!("{NOON}\nORGANIZER:mailto:anna@example.com\nATTENDEE:mailto:guest@example.org");
    house.put("work", "m.ics", "m", &meeting).await.expect("a create");
    carry(&house, ("work", "m.ics"), ("own", "m.ics"), false).await.expect("a copy of one's own");
    for moves in [false, true] {
        let refused = carry(&house, ("own", "m.ics"), ("home", "m.ics"), moves).await;
        assert!(matches!(&refused, Err(Refusal::NotMovable(_))), "{refused:?}");
    }
    assert_eq!((places(&house).await, house.home.count("PUT")), (at("work"), 0));
    assert_eq!(house.here("own").await.len(), 1);
    // Once no other upstream has it, or what that has is no meeting, nobody is invited twice.
    house.put("work", "m.ics", "m", NOON).await.expect("a change");
    carry(&house, ("own", "m.ics"), ("home", "m.ics"), false).await.expect("nobody was invited");
    house.delete("work", "m.ics").await.expect("a removal");
    house.delete("home", "m.ics").await.expect("a removal");
    moved(&house, ("own", "m.ics"), ("home", "m.ics")).await.expect("it is nowhere else");
    assert_eq!(places(&house).await, at("home"));
}

async fn another_name_is_no_news_upstream(url: String) {
    let house = house(&url, "").await;
    moved(&house, ("work", "a.ics"), ("work", "b.ics")).await.expect("a move");
    moved(&house, ("work", "b.ics"), ("work", "a.ics")).await.expect("and back");
    moved(&house, ("work", "a.ics"), ("work", "c.ics")).await.expect("a move");
    house.put("work", "c.ics", "a", &format!("{NOON}\nLOCATION:New")).await.expect("a change");
    assert_eq!((house.work.count("PUT"), house.work.count("DELETE")), (2, 0));
    assert!(House::there(&house.work, WORK)["a.ics"].contains("New"), "upstream's name is its own");
    house.pull("work").await.expect("a pull");
    assert_eq!(house.here("work").await.keys().collect::<Vec<_>>(), ["c.ics"]);
    // A create on its way is known by its name.
    house.work.fault("*", "/", usize::MAX, Fault::Status(500, String::new()));
    house.put("work", "n.ics", "n", NOON).await.expect("it is kept");
    let refused = moved(&house, ("work", "n.ics"), ("work", "m.ics")).await;
    assert!(matches!(&refused, Err(Refusal::Later(_))), "{refused:?}");
}

async fn refused_while_upstream_is_away(url: String) {
    let house = house(&url, "upstream_away = \"refuse\"").await;
    house.home.fault("*", "/", usize::MAX, Fault::Unavailable("120".to_owned()));
    let refused = moved(&house, ("work", "a.ics"), ("home", "b.ics")).await;
    assert!(matches!(&refused, Err(Refusal::Later(_))), "{refused:?}");
    assert_eq!(places(&house).await, at("work"));
    house.home.heal();
    settled(&house, "work").await;
    house.work.fault("DELETE", "/", usize::MAX, Fault::Unavailable("120".to_owned()));
    let refused = moved(&house, ("work", "a.ics"), ("home", "b.ics")).await;
    assert!(matches!(&refused, Err(Refusal::Later(_))), "{refused:?}");
    house.work.heal();
    settled(&house, "work").await;
}
