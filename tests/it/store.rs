//! The store: each test on both engines.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use calgate::app::App;
use calgate::ical::{Instant, Kind, Mask, Object, Window, redact};
use calgate::ids::{CalendarId, Etag, Name, RemoteId, Seq};
use calgate::store::calendars::{self, Calendar, Denied, Given, Need, Token};
use calgate::store::jobs::{self, Duty};
use calgate::store::resources::{self, Version};
use calgate::store::subscriptions::{self, State, Subject};
use calgate::store::users::{self, Actor};
use calgate::store::walk::{Parts, Walk};
use calgate::store::{self, Store, Tx, accounts, app_passwords, homes, logins, properties, shape, unified};
use calgate::sync::write;

use crate::kit::{self, Change, NOW, Since, event, on_both_engines};

on_both_engines! {
    what_is_hidden_takes_no_room,
    a_glance_sees_one_snapshot_and_changes_nothing,
    a_closure_that_fails_leaves_nothing,
    what_was_written_together_is_counted_one_by_one,
    tokens_are_exact_while_eight_write,
    a_token_is_read_by_its_own_calendar_alone,
    the_index_and_expansion_agree,
    the_unified_calendar_shows_each_uid_once,
    a_mask_hides_in_the_row_itself,
    what_can_no_longer_be_read_is_masked_as_not_known,
    a_changed_mask_is_news_and_nothing_else_is,
    what_a_declared_calendar_takes_follows_the_file,
    a_masked_row_has_a_name_that_says_nothing,
    a_masked_row_finds_its_name_taken,
    names_that_clients_have_taken_keep_nothing_out,
    a_change_of_mask_is_one_that_goes_and_one_that_comes,
    what_was_never_seen_unmasked_gets_a_plain_name,
    a_mask_says_what_the_owner_answered,
    what_may_be_written_through_a_unified_calendar_is_listed,
    a_reload_loses_no_token,
    a_common_secret_is_made_anew_once,
    a_message_is_noted_at_the_subscription_it_was_for,
    a_duty_is_done_once,
    a_duty_asked_for_while_it_is_done_is_done_again,
    a_dead_workers_duty_is_taken_over,
    users_accounts_and_app_passwords_made_by_command_stay,
    no_number_is_given_twice,
    of_many_that_poll_one_gets_the_password,
    programs_that_wait_are_few_and_not_for_long,
    dead_properties_are_forgotten_with_what_they_are_of,
    a_unified_calendar_hears_of_a_member_that_goes,
    a_unified_calendar_that_was_hidden_has_missed_nothing,
}

const HOME: &str = r#"
[[user]]
name = "anna"
email = "anna@example.com"
timezone = "Europe/Berlin"
[[user.calendar]]
name = "one"
[[user.calendar]]
name = "two"
[[user.unified]]
name = "all"
members = ["one", "two"]
write_to = "one"
"#;

async fn anna(app: &App) -> Actor {
    kit::actor(app, "anna").await
}

/// Opens a calendar of anna's and does something with it in one transaction.
async fn with<T: Send + 'static>(
    app: &App,
    slug: &str,
    f: impl FnOnce(&mut Tx<'_>, Calendar) -> store::Result<T> + Send + 'static,
) -> T {
    let (actor, slug) = (anna(app).await, slug.to_owned());
    let done = app.store.write(move |tx| {
        let calendar = calendars::open(tx, &actor, "anna", &slug, Need::Write)?;
        f(tx, calendar).map_err(Denied::from)
    });
    done.await.unwrap_or_else(|e| panic!("{e}"))
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

async fn put(app: &App, slug: &str, file: &str, uid: &str, lines: &str) -> Seq {
    let (file, object) = (name(file), event(uid, lines));
    with(app, slug, move |tx, calendar| resources::save(tx, &calendar, &file, Version::Client(Some(&object)), NOW))
        .await
}

async fn remove(app: &App, slug: &str, file: &str) -> Seq {
    let file = name(file);
    with(app, slug, move |tx, calendar| resources::save(tx, &calendar, &file, Version::Client(None), NOW)).await
}

/// `name etag` of what is live, by name.
async fn listing(app: &App, slug: &str) -> BTreeMap<String, String> {
    let listed = with(app, slug, |tx, calendar| resources::list(tx, &calendar)).await;
    listed.into_iter().map(|l| (l.name.to_string(), l.etag.0)).collect()
}

async fn token(app: &App, slug: &str) -> String {
    with(app, slug, |_, calendar| Ok(calendar.token())).await
}

async fn since(app: &App, slug: &str, seq: Option<Seq>, limit: u32) -> Since {
    with(app, slug, move |tx, calendar| kit::since(tx, &calendar, seq, limit)).await
}

const AT_NOON: &str = "DTSTART:20260610T120000Z\nDTEND:20260610T130000Z\nSUMMARY:Noon";

/// A user can not remove what they do not see, so it leaves them the room that they have; it takes it again when it is back.
async fn what_is_hidden_takes_no_room(url: String) {
    let app = kit::app(&url, HOME).await;
    let octets = async || {
        let anna = anna(&app).await;
        app.store.read(move |tx| resources::octets(tx, anna.user)).await.expect("a sum")
    };
    put(&app, "one", "a.ics", "a", AT_NOON).await;
    let one = octets().await;
    assert_eq!(one, event("a", AT_NOON).text().len() as i64);
    put(&app, "two", "b.ics", "b", AT_NOON).await;
    assert_eq!(octets().await, 2 * one);
    let without = HOME.replace("[[user.calendar]]\nname = \"two\"\n", "").replace(", \"two\"", "");
    app.apply(kit::config(&url, &without)).await.expect("a reload");
    assert_eq!(octets().await, one);
    app.apply(kit::config(&url, HOME)).await.expect("a reload");
    assert_eq!(octets().await, 2 * one);
}

async fn a_closure_that_fails_leaves_nothing(url: String) {
    let store = kit::store(&url);
    let add = |tx: &mut Tx<'_>, name: &str| users::add(tx, name, None, &[], "UTC");
    let failed = store.write(move |tx| {
        add(tx, "ghost")?;
        Err::<(), _>(store::Error::Broken("no".to_owned()))
    });
    assert_eq!(failed.await, Err(store::Error::Broken("no".to_owned())));
    let panicked = store.write(move |tx| -> store::Result<()> {
        add(tx, "ghost")?;
        panic!("on purpose");
    });
    assert!(matches!(panicked.await, Err(store::Error::Broken(_))));
    let left = store.write(move |tx| {
        add(tx, "bert")?;
        users::list(tx)
    });
    let left: Vec<String> = left.await.expect("the store goes on").into_iter().map(|u| u.name).collect();
    assert_eq!(left, ["bert"]);
}

async fn what_was_written_together_is_counted_one_by_one(url: String) {
    let app = kit::app(&url, HOME).await;
    let writes = (0..50).map(|n| {
        let app = app.clone();
        tokio::spawn(async move { put(&app, "one", &format!("{n}.ics"), &format!("u{n}"), AT_NOON).await })
    });
    let mut seen = HashSet::new();
    for write in writes.collect::<Vec<_>>() {
        assert!(seen.insert(write.await.expect("a write")), "no two changes have the same number");
    }
    assert_eq!(listing(&app, "one").await.len(), 50);
    // Of the same bytes nobody has to hear.
    let before = token(&app, "one").await;
    put(&app, "one", "7.ics", "u7", AT_NOON).await;
    assert_eq!(token(&app, "one").await, before);
}

/// A client that follows only the token, in pages, holds what a listing gives, while eight others write.
async fn tokens_are_exact_while_eight_write(url: String) {
    let app = kit::app(&url, HOME).await;
    let writers: Vec<_> = (0..8)
        .map(|w| {
            let app = app.clone();
            tokio::spawn(async move {
                for n in 0..25 {
                    let slug = if n % 3 == 0 { "two" } else { "one" };
                    let (file, uid) = (format!("{w}-{}.ics", n % 7), format!("{w}-{}-{slug}", n % 7));
                    match n % 5 {
                        4 if listing(&app, slug).await.contains_key(&file) => {
                            remove(&app, slug, &file).await;
                        }
                        _ => {
                            put(&app, slug, &file, &uid, &format!("{AT_NOON}\nLOCATION:{w} {n}")).await;
                        }
                    }
                }
            })
        })
        .collect();
    let mut held: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    let mut at: BTreeMap<&str, Option<Seq>> = BTreeMap::new();
    loop {
        let done = writers.iter().all(|w| w.is_finished());
        for slug in ["one", "two", "all"] {
            loop {
                let page = since(&app, slug, at.get(slug).copied().flatten(), 3).await;
                let mine = held.entry(slug).or_default();
                for change in page.changes {
                    match change.live {
                        Some(etag) => mine.insert(change.name.to_string(), etag),
                        None => mine.remove(change.name.as_str()),
                    };
                }
                at.insert(slug, Some(page.seq));
                if !page.more {
                    break;
                }
            }
        }
        if done {
            break;
        }
    }
    for writer in writers {
        writer.await.expect("a writer");
    }
    for slug in ["one", "two", "all"] {
        assert_eq!(held[slug], listing(&app, slug).await, "{slug}");
    }
}

async fn a_token_is_read_by_its_own_calendar_alone(url: String) {
    let app = kit::app(&url, HOME).await;
    put(&app, "one", "a.ics", "a", AT_NOON).await;
    put(&app, "two", "b.ics", "b", AT_NOON).await;
    let (one, two) = (token(&app, "one").await, token(&app, "two").await);
    with(&app, "one", move |_, calendar| {
        assert_eq!(calendar.read_token(&one), Some(Token { seq: calendar.seq, begun: None }));
        let (epoch, seq) = one.rsplit_once(':').expect("a colon");
        let future = format!("{epoch}:{}", calendar.seq.0 + 1);
        for wrong in [two.as_str(), &future, "", "urn:calgate:", "urn:calgate:0:0", &format!("{epoch}:-1"), seq] {
            assert_eq!(calendar.read_token(wrong), None, "{wrong:?}");
        }
        Ok(())
    })
    .await;
}

/// What the time index answers alone is what expanding every object answers.
async fn the_index_and_expansion_agree(url: String) {
    let app = kit::app(&url, HOME).await;
    let events = [
        ("single", "DTSTART:20260610T120000Z\nDTEND:20260610T130000Z"),
        ("point", "DTSTART:20260610T120000Z"),
        (
            "weekly",
            "DTSTART;TZID=Europe/Berlin:20250106T090000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;BYDAY=MO,WE\nEXDATE;TZID=Europe/Berlin:20260610T090000",
        ),
        ("daily-until", "DTSTART:20260601T230000Z\nDURATION:PT2H\nRRULE:FREQ=DAILY;UNTIL=20260609T230000Z"),
        ("all-day", "DTSTART;VALUE=DATE:20260610\nDTEND;VALUE=DATE:20260611"),
        ("floating", "DTSTART:20260609T233000\nDTEND:20260610T003000"),
        ("month-long", "DTSTART;VALUE=DATE:20260520\nDTEND;VALUE=DATE:20260620"),
        ("yearly", "DTSTART;VALUE=DATE:19800610\nRRULE:FREQ=YEARLY"),
        ("elsewhere", "DTSTART:20260801T120000Z\nDTEND:20260801T130000Z"),
    ];
    for (n, (uid, lines)) in events.iter().enumerate() {
        put(&app, if n % 2 == 0 { "one" } else { "two" }, &format!("{uid}.ics"), uid, lines).await;
    }
    let day = 86_400;
    let mut hits = 0;
    for start in (0..40).map(|n| NOW.0 + (n - 10) * day / 2 + n * 1800) {
        for length in [60, 3600, day, 9 * day] {
            let window = Window::new(Instant(start), Instant(start + length)).expect("a window");
            for slug in ["one", "two", "all"] {
                let (index, exact) = with(&app, slug, move |tx, calendar| {
                    let mut found = Walk::in_window(tx, &calendar, window, true)?;
                    assert!(found.decided, "inside the horizon");
                    let mut index = Vec::new();
                    found.walk.page(tx, &calendar, Parts::default(), u32::MAX, |seen| {
                        index.push(name(seen.name));
                        Ok(true)
                    })?;
                    index.sort_unstable();
                    let zone = calgate::ical::zone::named(&calendar.zone).expect("a zone");
                    let mut exact = Vec::new();
                    for resource in resources::all(tx, &calendar)? {
                        let object = calgate::ical::Object::parse(&resource.body).expect("an object");
                        let found = calgate::ical::recur::instances(&object, window, &zone, Default::default());
                        if !found.expect("an expansion").is_empty() {
                            exact.push(resource.name);
                        }
                    }
                    Ok((index, exact))
                })
                .await;
                assert_eq!(index, exact, "{slug} {window:?}");
                hits += exact.len();
            }
        }
    }
    assert!(hits > 500, "the windows meet events: {hits}");
}

async fn the_unified_calendar_shows_each_uid_once(url: String) {
    let app = kit::app(&url, HOME).await;
    put(&app, "one", "x.ics", "shared", AT_NOON).await;
    put(&app, "two", "y.ics", "shared", &format!("{AT_NOON}\nLOCATION:two")).await;
    put(&app, "two", "z.ics", "alone", AT_NOON).await;
    put(&app, "two", "odd.ics", "an odd/UID", AT_NOON).await;
    let all = listing(&app, "all").await;
    assert_eq!(all.len(), 3);
    assert_eq!(all["shared.ics"], listing(&app, "one").await["x.ics"], "the first member shows it");
    assert_eq!(all["alone.ics"], listing(&app, "two").await["z.ics"]);

    // When the first loses it, the second shows it, under the same name.
    remove(&app, "one", "x.ics").await;
    assert_eq!(listing(&app, "all").await["shared.ics"], listing(&app, "two").await["y.ics"]);
    let before = token(&app, "all").await;
    remove(&app, "two", "y.ics").await;
    assert!(!listing(&app, "all").await.contains_key("shared.ics"));
    assert_ne!(token(&app, "all").await, before);
    // And back: the name of a UID is for ever.
    put(&app, "two", "other.ics", "shared", AT_NOON).await;
    assert!(listing(&app, "all").await.contains_key("shared.ics"));
}

fn masked(mask: Mask) -> String {
    HOME.replace(r#""two"]"#, &format!(r#"{{ calendar = "two", mask = "{}" }}]"#, mask.name()))
}

async fn a_mask_hides_in_the_row_itself(url: String) {
    let secret = format!("{AT_NOON}\nLOCATION:Secret lair\nDESCRIPTION:Secret plan\nX-SECRET:Secret");
    for (mask, shown) in [(Mask::Busy, false), (Mask::Title, true)] {
        let app = kit::app(&url, &masked(mask)).await;
        put(&app, "two", "s.ics", "secret-uid", &secret).await;
        let bodies = with(&app, "all", |tx, calendar| resources::all(tx, &calendar)).await;
        assert_eq!(bodies.len(), 1);
        let body = &bodies[0].body;
        assert!(!body.contains("Secret") && !body.contains("secret-uid"), "{body}");
        assert_eq!(body.contains("Noon"), shown, "{body}");
        assert_eq!(bodies[0].etag, resources::etag_of(body));
    }
}

/// An earlier reader took what this one refuses: neither it nor its neighbours keep the gateway from starting.
async fn what_can_no_longer_be_read_is_masked_as_not_known(url: String) {
    let app = kit::app(&url, HOME).await;
    put(&app, "two", "a.ics", "a", AT_NOON).await;
    put(&app, "two", "b.ics", "b", AT_NOON).await;
    with(&app, "two", |tx, _| {
        let body = "BEGIN:VCALENDAR\r\nSUMMARY:Secret".into();
        tx.execute("UPDATE resources SET body = ?1 WHERE uid = 'a' AND body IS NOT NULL", &[body])
    })
    .await;
    app.apply(kit::config(&url, &masked(Mask::Busy))).await.expect("a reload");
    let shown = with(&app, "all", |tx, calendar| resources::all(tx, &calendar)).await;
    let mut bodies: Vec<&str> = shown.iter().map(|r| r.body.as_str()).collect();
    bodies.sort_by_key(|body| body.contains("Not known"));
    assert_eq!(bodies.len(), 2);
    assert!(!bodies[0].contains("Not known") && bodies[1].contains("Not known"), "{bodies:?}");
    assert!(!bodies[1].contains("Secret") && bodies[1].contains("TRANSP:OPAQUE"), "{}", bodies[1]);
}

async fn a_changed_mask_is_news_and_nothing_else_is(url: String) {
    let app = kit::app(&url, HOME).await;
    put(&app, "one", "a.ics", "a", AT_NOON).await;
    put(&app, "two", "b.ics", "b", AT_NOON).await;
    let seq = with(&app, "all", |_, calendar| Ok(calendar.seq)).await;
    app.apply(kit::config(&url, &masked(Mask::Busy))).await.expect("a reload");
    let news = since(&app, "all", Some(seq), 100).await;
    let news: Vec<&str> = news.changes.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(news, ["b.ics", &hidden(&app, "b").await]);
}

/// The name of what a mask in `all` makes of a UID.
async fn hidden(app: &App, uid: &'static str) -> String {
    with(app, "all", move |tx, calendar| {
        Ok(format!("{}.ics", redact::masked_uid(uid, &unified::viewer(tx, calendar.id)?)))
    })
    .await
}

async fn names(app: &App, slug: &str) -> Vec<String> {
    listing(app, slug).await.into_keys().collect()
}

/// `name` for what is there, `-name` for what is gone, in the order it happened.
async fn news(app: &App, seq: &mut Seq) -> Vec<String> {
    let since = since(app, "all", Some(*seq), 100).await;
    *seq = since.seq;
    let shown = |c: &Change| format!("{}{}", if c.live.is_some() { "" } else { "-" }, c.name);
    since.changes.iter().map(shown).collect()
}

async fn a_masked_row_has_a_name_that_says_nothing(url: String) {
    let app = kit::app(&url, &masked(Mask::Busy)).await;
    let uids = ["plain-uid", "odd/UID with spaces", "shared"];
    for uid in uids {
        put(&app, "two", &format!("{}.ics", &uid[..3]), uid, AT_NOON).await;
    }
    let mut expect = Vec::new();
    for uid in uids {
        expect.push(hidden(&app, uid).await);
    }
    expect.sort();
    assert_eq!(names(&app, "all").await, expect);
    assert_eq!(names(&app, "two").await, ["odd.ics", "pla.ics", "sha.ics"], "the member's own names stay");

    // It is the name for ever: through changes, a deletion, and a mask that hides less.
    let mut seq = with(&app, "all", |_, calendar| Ok(calendar.seq)).await;
    let name = hidden(&app, "plain-uid").await;
    put(&app, "two", "pla.ics", "plain-uid", &AT_NOON.replace("10T12", "10T11")).await;
    assert_eq!(news(&app, &mut seq).await, [name.as_str()]);
    remove(&app, "two", "pla.ics").await;
    assert_eq!(news(&app, &mut seq).await, [format!("-{name}")]);
    put(&app, "two", "other.ics", "plain-uid", AT_NOON).await;
    assert_eq!(news(&app, &mut seq).await, [name.as_str()]);
    app.apply(kit::config(&url, &masked(Mask::Title))).await.expect("a reload");
    assert_eq!(names(&app, "all").await, expect);

    // A member in front that hides nothing shows the same UID under its own name; when it goes, the other is back.
    news(&app, &mut seq).await;
    let name = hidden(&app, "shared").await;
    put(&app, "one", "x.ics", "shared", AT_NOON).await;
    assert_eq!(news(&app, &mut seq).await, [format!("-{name}"), "shared.ics".to_owned()]);
    remove(&app, "one", "x.ics").await;
    assert_eq!(news(&app, &mut seq).await, ["-shared.ics".to_owned(), name]);
    // All that is stored under the UID is still found by it: that is what is shown once.
    let held = with(&app, "all", |tx, calendar| resources::by_uid(tx, &calendar, "shared")).await;
    assert_eq!(held.map(|r| r.name.to_string()), Some(hidden(&app, "shared").await));
}

/// A client may give its own object any name, also one that a masked row would have had.
async fn a_masked_row_finds_its_name_taken(url: String) {
    let app = kit::app(&url, &masked(Mask::Busy)).await;
    let taken = hidden(&app, "b").await;
    let (name, object) = (name(&taken), event("a", AT_NOON));
    with(&app, "all", move |tx, all| unified::reserve(tx, &all, &name, "a", NOW)).await;
    with(&app, "one", move |tx, one| {
        let file = Name::new("a.ics").expect("a name");
        resources::save(tx, &one, &file, Version::Client(Some(&object)), NOW)
    })
    .await;
    put(&app, "two", "b.ics", "b", AT_NOON).await;
    let other = unified::hashed_name(taken.trim_end_matches(".ics")).to_string();
    let mut expect = [taken.clone(), other.clone()];
    expect.sort();
    assert_eq!(names(&app, "all").await, expect);
    // Both keep what they have.
    put(&app, "one", "a.ics", "a", &AT_NOON.replace("10T12", "10T11")).await;
    put(&app, "two", "b.ics", "b", &AT_NOON.replace("10T12", "10T11")).await;
    assert_eq!(names(&app, "all").await, expect);
    for (uid, name) in [("a", taken), ("b", other)] {
        let row = with(&app, "all", move |tx, calendar| resources::by_uid(tx, &calendar, uid)).await;
        assert_eq!(row.map(|r| r.name.to_string()), Some(name), "{uid}");
    }
}

async fn names_that_clients_have_taken_keep_nothing_out(url: String) {
    let app = kit::app(&url, &masked(Mask::Busy)).await;
    let hidden = hidden(&app, "b").await;
    let hashed = |uid: &str| unified::hashed_name(uid).to_string();
    let other = hashed(hidden.trim_end_matches(".ics"));
    for (n, file) in [hidden, other.clone(), "b.ics".to_owned(), hashed("b")].into_iter().enumerate() {
        let (file, uid) = (name(&file), format!("a{n}"));
        let reserved = uid.clone();
        with(&app, "all", move |tx, all| unified::reserve(tx, &all, &file, &reserved, NOW)).await;
        put(&app, "one", &format!("{uid}.ics"), &uid, AT_NOON).await;
    }
    put(&app, "two", "b.ics", "b", AT_NOON).await;
    let shown = async || {
        let row = with(&app, "all", |tx, calendar| resources::by_uid(tx, &calendar, "b")).await;
        row.map(|row| row.name.to_string())
    };
    let becomes = async |text: &str| app.apply(kit::config(&url, text)).await.expect("a reload");
    assert_eq!(shown().await, Some(format!("2-{other}")));
    becomes(HOME).await;
    assert_eq!(shown().await, Some(format!("2-{}", hashed("b"))));
    becomes(&masked(Mask::Busy)).await;
    assert_eq!(shown().await, Some(format!("2-{other}")), "it keeps the name it had");
    assert_eq!(names(&app, "all").await.len(), 5);
}

async fn a_change_of_mask_is_one_that_goes_and_one_that_comes(url: String) {
    let app = kit::app(&url, HOME).await;
    put(&app, "one", "a.ics", "a", AT_NOON).await;
    // The client's own name of a row is kept as long as the row hides nothing.
    let (mine, object) = (name("mine.ics"), event("b", AT_NOON));
    with(&app, "all", move |tx, all| unified::reserve(tx, &all, &mine, "b", NOW)).await;
    let file = name("b.ics");
    with(&app, "two", move |tx, two| resources::save(tx, &two, &file, Version::Client(Some(&object)), NOW)).await;
    assert_eq!(names(&app, "all").await, ["a.ics", "mine.ics"]);

    let mut seq = with(&app, "all", |_, calendar| Ok(calendar.seq)).await;
    let hidden = hidden(&app, "b").await;
    let becomes = async |text: &str| app.apply(kit::config(&url, text)).await.expect("a reload");
    becomes(&masked(Mask::Busy)).await;
    assert_eq!(news(&app, &mut seq).await, ["-mine.ics", &hidden]);
    becomes(&masked(Mask::Busy)).await;
    assert_eq!(news(&app, &mut seq).await, [""; 0]);
    becomes(&masked(Mask::Title)).await;
    assert_eq!(news(&app, &mut seq).await, [hidden.as_str()]);
    becomes(HOME).await;
    assert_eq!(news(&app, &mut seq).await, [&format!("-{hidden}"), "mine.ics"]);
    assert_eq!(listing(&app, "all").await["mine.ics"], listing(&app, "two").await["b.ics"]);
    assert_eq!(names(&app, "all").await, ["a.ics", "mine.ics"]);
}

async fn what_a_declared_calendar_takes_follows_the_file(url: String) {
    let tasks = HOME.replacen("name = \"one\"", "name = \"one\"\ncomponents = [\"VTODO\"]", 1);
    let app = kit::app(&url, &tasks).await;
    let takes = async || with(&app, "one", |_, calendar| Ok(calendar.components)).await;
    let put = async |name: &str, text: &str| {
        let place = write::Place { owner: "anna".to_owned(), slug: "one".to_owned(), name: self::name(name) };
        write::put(&app, &anna(&app).await, &place, Object::parse(text).unwrap(), &write::Condition::default()).await
    };
    let noon = kit::event_text("e", AT_NOON);
    let todo = noon.replace("VEVENT", "VTODO").replace("UID:e", "UID:t").replace("DTEND", "DUE");
    assert_eq!(takes().await, [Kind::Todo]);
    assert_eq!(put("e.ics", &noon).await, Err(write::Refusal::Component));
    assert!(put("t.ics", &todo).await.is_ok());
    app.apply(kit::config(&url, HOME)).await.expect("a reload");
    assert_eq!(takes().await, [Kind::Event, Kind::Todo, Kind::Journal]);
    assert!(put("e.ics", &noon).await.is_ok());
    app.apply(kit::config(&url, &tasks)).await.expect("a reload");
    assert_eq!(takes().await, [Kind::Todo]);
    assert_eq!(names(&app, "one").await, ["e.ics", "t.ics"], "what is there stays");
}

async fn what_was_never_seen_unmasked_gets_a_plain_name(url: String) {
    let app = kit::app(&url, &masked(Mask::Busy)).await;
    put(&app, "two", "b.ics", "b", AT_NOON).await;
    let mut seq = with(&app, "all", |_, calendar| Ok(calendar.seq)).await;
    let was = hidden(&app, "b").await;
    app.apply(kit::config(&url, HOME)).await.expect("a reload");
    assert_eq!(news(&app, &mut seq).await, [&format!("-{was}"), "b.ics"]);
    remove(&app, "two", "b.ics").await;
    put(&app, "two", "b.ics", "b", AT_NOON).await;
    assert_eq!(news(&app, &mut seq).await, ["b.ics"]);

    // A client that asks for the old name has it: it is its own object now, and hides nothing.
    remove(&app, "two", "b.ics").await;
    let (again, object) = (name(&was), event("b", AT_NOON));
    with(&app, "all", move |tx, all| unified::reserve(tx, &all, &again, "b", NOW)).await;
    with(&app, "one", move |tx, one| {
        let file = Name::new("b.ics").expect("a name");
        resources::save(tx, &one, &file, Version::Client(Some(&object)), NOW)
    })
    .await;
    put(&app, "one", "b.ics", "b", &AT_NOON.replace("10T12", "10T11")).await;
    assert_eq!(names(&app, "all").await, [was]);
}

async fn a_mask_says_what_the_owner_answered(url: String) {
    let app = kit::app(&url, &masked(Mask::Busy)).await;
    let invited = |answer: &str, who: &str| format!("{AT_NOON}\nATTENDEE;PARTSTAT={answer}:mailto:{who}");
    put(&app, "two", "d.ics", "d", &invited("DECLINED", "anna@example.com")).await;
    put(&app, "two", "t.ics", "t", &invited("TENTATIVE", "anna@example.com")).await;
    put(&app, "two", "o.ics", "o", &invited("DECLINED", "Anna.Old@example.com")).await;
    let said = async |uid: &'static str| {
        let row = with(&app, "all", move |tx, calendar| resources::by_uid(tx, &calendar, uid)).await;
        let body = row.expect("a row").body;
        assert!(!body.contains("example") && !body.contains("Noon"), "{body}");
        let lines = body.lines().filter(|l| l.starts_with("STATUS:") || l.starts_with("TRANSP:"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(said("d").await, ["TRANSP:TRANSPARENT"]);
    assert_eq!(said("t").await, ["STATUS:TENTATIVE", "TRANSP:OPAQUE"]);
    assert_eq!(said("o").await, ["TRANSP:OPAQUE"]);

    // She has another address than was known: what she answered under it is now hers, and nothing else is news.
    let mut seq = with(&app, "all", |_, calendar| Ok(calendar.seq)).await;
    let both = r#"email = ["anna@example.com", "anna.old@example.com"]"#;
    let config = masked(Mask::Busy).replace(r#"email = "anna@example.com""#, both);
    app.apply(kit::config(&url, &config)).await.expect("a reload");
    assert_eq!(said("o").await, ["TRANSP:TRANSPARENT"]);
    assert_eq!(news(&app, &mut seq).await, [hidden(&app, "o").await]);
}

/// Three members: one that may be written, one that is masked, one that its upstream gives read-only.
async fn what_may_be_written_through_a_unified_calendar_is_listed(url: String) {
    let members = r#"["one", { calendar = "two", mask = "title" }, "team"]"#;
    let account = r#"
[[user.account]]
name = "office"
kind = "caldav"
url = "https://dav.example.com/"
username = "anna"
password = "sealed"
"#;
    let home = HOME.replace(r#"["one", "two"]"#, members) + account;
    let app = kit::app(&url, &home).await;
    put(&app, "one", "a.ics", "a", AT_NOON).await;
    put(&app, "two", "b.ics", "b", AT_NOON).await;
    let team = async |writable: bool| {
        let user = anna(&app).await.user;
        let made = app.store.write(move |tx| {
            let account = accounts::by_name(tx, user, "office")?.expect("the account");
            let given = Given {
                name: "Team",
                color: "",
                text: "",
                writable,
                components: &[Kind::Event],
                ..calendars::Given::default()
            };
            let id = calendars::mirror(tx, &account, "team", &RemoteId::from("/team/"), "Team", &given, NOW)?;
            shape::reshape(tx, user, NOW)?;
            Ok::<_, store::Error>(id)
        });
        made.await.expect("a mirror").expect("a free slug")
    };
    let id = team(false).await;
    let object = event("c", AT_NOON);
    let saved = app.store.write(move |tx| {
        let team = calendars::for_engine(tx, id)?.expect("the mirror");
        let (remote, etag) = (RemoteId::from("/team/c.ics"), Etag::from("1"));
        let to = Version::Agreed { object: &object, remote: &remote, etag: &etag };
        resources::save(tx, &team, &Name::new("c.ics").expect("a name"), to, NOW)
    });
    saved.await.expect("a save");
    assert_eq!(names(&app, "all").await.len(), 3);

    let check = async |expect: &[&str]| {
        let writable = with(&app, "all", |tx, calendar| {
            let mut writable = Vec::new();
            for row in resources::list(tx, &calendar)? {
                if unified::is_writable(tx, calendar.id, row.name.as_str())? {
                    writable.push(row.name.to_string());
                }
            }
            Ok(writable)
        })
        .await;
        assert_eq!(writable, expect);
    };
    check(&["a.ics"]).await;
    team(true).await;
    check(&["a.ics", "c.ics"]).await;
    remove(&app, "one", "a.ics").await;
    check(&["c.ics"]).await;
}

async fn a_reload_loses_no_token(url: String) {
    let app = kit::app(&url, HOME).await;
    put(&app, "one", "a.ics", "a", AT_NOON).await;
    let before = [token(&app, "one").await, token(&app, "all").await];
    app.apply(kit::config(&url, HOME)).await.expect("a reload");
    app.apply(kit::config(&url, "")).await.expect("everything is taken away");
    let gone = app.store.read(|tx| users::by_name(tx, "anna")).await.expect("a read");
    assert_eq!(gone, None, "a user that is no longer declared can not log in");
    app.apply(kit::config(&url, HOME)).await.expect("and it comes back");
    assert_eq!([token(&app, "one").await, token(&app, "all").await], before);
    assert_eq!(listing(&app, "all").await.len(), 1);
}

async fn claim(store: &Store, now: Instant) -> Option<jobs::Lease> {
    let holder = calgate::secrets::new_token();
    store.write(move |tx| jobs::claim(tx, &holder, now)).await.expect("a claim")
}

/// Of nodes that start at one time with another key file, each finds that it can not open what is there.
async fn a_common_secret_is_made_anew_once(url: String) {
    let store = kit::store(&url);
    let made = store.write(|tx| {
        let old = subscriptions::common_secret(tx, "vapid", b"old")?;
        Ok::<_, store::Error>((
            subscriptions::begin_anew(tx, "vapid", &old, b"new")?,
            subscriptions::begin_anew(tx, "vapid", &old, b"newer")?,
            subscriptions::common_secret(tx, "vapid", b"newest")?,
        ))
    });
    let new = b"new".to_vec();
    assert_eq!(made.await, Ok((new.clone(), new.clone(), new)));
}

/// A message may be on its way for long. Should its subscription end meanwhile, and SQLite give its number to another,
/// that one is not meant.
async fn a_message_is_noted_at_the_subscription_it_was_for(url: String) {
    let app = kit::app(&url, HOME).await;
    let anna = anna(&app).await.user;
    let left = app.store.write(move |tx| {
        let state = |text: &str| State { content: text.to_owned(), look: text.to_owned() };
        let subscribe = |tx: &mut Tx<'_>, token: &str| {
            let new = subscriptions::New {
                token,
                receiver: b"sealed",
                receiver_hash: token.as_bytes(),
                triggers: subscriptions::Triggers { content: true, look: true },
                expires: NOW.plus(3600),
                app_password: None,
                password: None,
            };
            subscriptions::save(tx, anna, Subject::Home(anna), &new, &state("new"), NOW).expect("there is room");
        };
        subscribe(tx, "first");
        assert!(subscriptions::remove(tx, anna, "first")?);
        subscribe(tx, "second");
        subscriptions::told(tx, "first", &state("told"))?;
        subscriptions::pass_over(tx, "first", &state("new"), &state("passed"))?;
        subscriptions::failed(tx, "first", NOW, NOW.plus(60))?;
        subscriptions::forget(tx, "first")?;
        subscriptions::of(tx, anna, NOW)
    });
    let left = left.await.expect("a list");
    let left: Vec<_> = left.into_iter().map(|s| (s.token, s.content, s.look, s.tries)).collect();
    let new = Some("new".to_owned());
    assert_eq!(left, [("second".to_owned(), new.clone(), new, 0)]);
}

async fn a_duty_is_done_once(url: String) {
    let store = Arc::new(kit::store(&url));
    store
        .write(|tx| (0..40).try_for_each(|n| jobs::ensure(tx, Duty::Pull(CalendarId(n)), NOW)))
        .await
        .expect("forty duties");
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut mine = Vec::new();
                while let Some(lease) = claim(&store, NOW).await {
                    mine.push(lease.duty);
                }
                mine
            })
        })
        .collect();
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await.expect("a worker"));
    }
    assert_eq!(all.len(), 40);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 40, "each went to one worker");
}

async fn a_duty_asked_for_while_it_is_done_is_done_again(url: String) {
    let store = kit::store(&url);
    let duty = Duty::Push(CalendarId(7));
    store.write(move |tx| jobs::due_now(tx, duty, NOW)).await.expect("due");
    let lease = claim(&store, NOW).await.expect("it is due");
    assert_eq!(claim(&store, NOW).await, None, "it is being done");
    store.write(move |tx| jobs::due_now(tx, duty, NOW)).await.expect("asked again");
    let held = lease.clone();
    assert!(store.write(move |tx| jobs::renew(tx, &held, NOW)).await.expect("renewed"));
    store.write(move |tx| jobs::finish(tx, &lease, jobs::NEVER, false)).await.expect("done");
    let again = claim(&store, NOW).await.expect("it is due again");
    store.write(move |tx| jobs::finish(tx, &again, jobs::NEVER, false)).await.expect("done");
    assert_eq!(claim(&store, NOW).await, None, "and now nobody asks");
}

async fn a_dead_workers_duty_is_taken_over(url: String) {
    let store = kit::store(&url);
    store.write(|tx| jobs::ensure(tx, Duty::Horizon, NOW)).await.expect("due");
    let dead = claim(&store, NOW).await.expect("it is due");
    let later = NOW.plus(jobs::LEASE);
    assert_eq!(store.read(jobs::next).await, Ok(Some(later)), "the loop wakes when the lease ends");
    let taken = claim(&store, later).await.expect("the lease has ended");
    assert_eq!(taken.duty, dead.duty);
    assert!(
        !store.write(move |tx| jobs::renew(tx, &dead, later)).await.expect("asked"),
        "the dead one is told to stop"
    );

    // A server that comes back need not wait for the leases of its own earlier run.
    let mine = Duty::Pull(CalendarId(1));
    let claim_as = |holder: &'static str| store.write(move |tx| jobs::claim_this(tx, mine, holder, later));
    assert!(claim_as("here/1").await.expect("asked").is_some());
    store.write(|tx| jobs::release(tx, "her")).await.expect("another node's");
    assert_eq!(claim_as("here/2").await.expect("asked"), None);
    store.write(|tx| jobs::release(tx, "here")).await.expect("ours");
    assert!(claim_as("here/2").await.expect("asked").is_some());
}

async fn users_accounts_and_app_passwords_made_by_command_stay(url: String) {
    let app = kit::app(&url, HOME).await;
    let made = app.store.write(|tx| {
        let user = users::add(tx, "bert", Some("hash"), &["bert@example.com".to_owned()], "UTC")?.expect("free");
        assert_eq!(users::add(tx, "anna", None, &[], "UTC")?, None, "a declared name is taken");
        let id = app_passwords::add(tx, user, "phone", &[1; 32], false, NOW)?;
        let take = accounts::Take::All;
        let sealed = accounts::Password::Sealed(vec![1, 2, 3]);
        accounts::add(tx, user, "work", "caldav", "https://example.com/", "bert", &sealed, &take)?.expect("free");
        Ok::<_, store::Error>((user, id))
    });
    let (user, id) = made.await.expect("made");
    app.apply(kit::config(&url, HOME)).await.expect("a reload");
    let found = app.store.write(move |tx| {
        let found = app_passwords::find(tx, &[1; 32])?.map(|(_, user)| user.name);
        let account = accounts::by_name(tx, user, "work")?.expect("the account is there");
        assert_eq!(account.password, accounts::Password::Sealed(vec![1, 2, 3]));
        assert!(app_passwords::revoke(tx, user, id)?);
        assert!(!app_passwords::revoke(tx, user, id)?);
        assert_eq!(app_passwords::find(tx, &[1; 32])?, None);
        assert!(!users::remove(tx, "anna", NOW)?, "who is declared is removed in gateway.toml");
        assert!(users::remove(tx, "bert", NOW)?);
        assert_eq!(accounts::list(tx, None)?, []);
        Ok::<_, store::Error>(found)
    });
    assert_eq!(found.await.expect("found").as_deref(), Some("bert"));
}

/// A login that is remembered, a duty in hand and a stream that is being written know things by their number.
async fn no_number_is_given_twice(url: String) {
    let app = kit::app(&url, HOME).await;
    let mut seen = Vec::new();
    for name in ["bert", "carl", "bert"] {
        let numbers = app.store.write(move |tx| {
            let user = users::add(tx, name, None, &[], "UTC")?.expect("the name is free");
            let sealed = accounts::Password::Sealed(vec![1]);
            let account =
                accounts::add(tx, user, "work", "caldav", "https://example.com/", name, &sealed, &accounts::Take::All)?;
            let actor = Actor::of(&users::by_id(tx, user)?.expect("just made"));
            let new = calendars::New::default();
            let mut made = Vec::new();
            for slug in ["one", "two"] {
                calendars::create(tx, &actor, name, slug, &new, NOW).unwrap_or_else(|e| panic!("{e:?}"));
                let calendar = calendars::open(tx, &actor, name, slug, Need::Remove).unwrap_or_else(|e| panic!("{e}"));
                calendars::remove(tx, &calendar, NOW).unwrap_or_else(|e| panic!("{e}"));
                made.push(calendar.id.0);
            }
            let device = app_passwords::add(tx, user, "phone", name.as_bytes(), false, NOW)?;
            assert!(app_passwords::revoke(tx, user, device)?);
            let next = app_passwords::add(tx, user, "phone", name.as_bytes(), false, NOW)?;
            assert!(next > device, "a phone that is known still is not taken for the next");
            assert!(users::remove(tx, name, NOW)?);
            // Who was here a moment ago reaches nothing of whoever comes.
            assert_eq!(users::by_id(tx, actor.user)?, None);
            Ok::<_, store::Error>((user.0, account.expect("free").0, made[0], made[1], device))
        });
        seen.push(numbers.await.expect("made and removed"));
    }
    assert!(seen.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1 && a.3 < b.2 && a.4 < b.4), "{seen:?}");
    assert!(seen.iter().all(|n| n.2 < n.3), "{seen:?}");
    // A file that is read once more takes numbers and changes none.
    let before = anna(&app).await.user;
    app.apply(kit::config(&url, HOME)).await.expect("a reload");
    assert_eq!(anna(&app).await.user, before);
}

async fn of_many_that_poll_one_gets_the_password(url: String) {
    let app = kit::app(&url, HOME).await;
    let user = anna(&app).await.user;
    for round in 0..20_u8 {
        let (poll, page) = ([round; 32], [100 + round; 32]);
        app.store
            .write(move |tx| -> store::Result<()> {
                assert_eq!(logins::ask(tx, (&poll, &page), "DAVx5/4.5", "192.0.2.1", NOW)?, Ok(()));
                // Nobody let it in: nothing is to be had.
                assert_eq!(logins::take(tx, &poll, &[1], NOW)?, None);
                assert!(!logins::is_granted(tx, &poll, NOW)?);
                assert!(logins::grant(tx, &page, user, NOW)?);
                assert!(!logins::grant(tx, &page, user, NOW)?);
                // What was granted can not be denied any more.
                logins::deny(tx, &page)?;
                logins::is_granted(tx, &poll, NOW).map(|granted| assert!(granted))
            })
            .await
            .expect("a write");
        let polls: Vec<_> = (0..8_u8)
            .map(|n| {
                let app = Arc::clone(&app);
                tokio::spawn(async move { app.store.write(move |tx| logins::take(tx, &poll, &[round, n], NOW)).await })
            })
            .collect();
        let mut won = 0;
        for one in polls {
            won += usize::from(one.await.expect("it ran").expect("a write").is_some());
        }
        assert_eq!(won, 1, "round {round}");
    }
    let made = app.store.read(move |tx| app_passwords::list(tx, user)).await.expect("a read");
    assert_eq!(made.len(), 20);
    assert!(made.iter().all(|p| p.label == "DAVx5/4.5" && !p.read_only));
}

async fn programs_that_wait_are_few_and_not_for_long(url: String) {
    let app = kit::app(&url, HOME).await;
    let user = anna(&app).await.user;
    app.store
        .write(move |tx| -> store::Result<()> {
            let later = |seconds| Instant(NOW.0 + seconds);
            for n in 0..10 {
                assert_eq!(logins::ask(tx, (&[n; 32], &[100 + n; 32]), "x", "192.0.2.1", later(n.into()))?, Ok(()));
            }
            let more = (&[50; 32], &[150; 32]);
            assert_eq!(logins::ask(tx, more, "x", "192.0.2.1", later(60))?, Err(20 * 60 - 60));
            assert_eq!(logins::ask(tx, more, "x", "192.0.2.2", later(60))?, Ok(()));
            // The first is over: its place is free, and nothing can be done with it.
            let over = later(20 * 60);
            assert_eq!(logins::page(tx, &[100; 32], over)?, None);
            assert!(!logins::grant(tx, &[100; 32], user, over)?);
            assert_eq!(logins::page(tx, &[101; 32], over)?, Some(("x".to_owned(), false)));
            assert!(logins::grant(tx, &[101; 32], user, over)?);
            assert_eq!(logins::page(tx, &[101; 32], over)?, Some(("x".to_owned(), true)));
            assert_eq!(logins::take(tx, &[1; 32], &[1], later(20 * 60 + 1))?, None, "too late");
            assert_eq!(logins::ask(tx, (&[60; 32], &[160; 32]), "x", "192.0.2.1", over)?, Ok(()));
            // Who is not let in is gone.
            logins::deny(tx, &[160; 32])?;
            assert_eq!(logins::page(tx, &[160; 32], over)?, None);
            Ok(())
        })
        .await
        .expect("a write");
}

async fn a_unified_calendar_hears_of_a_member_that_goes(url: String) {
    // A member that is not declared: it was made by a client.
    let text = HOME.replace("[[user.calendar]]\nname = \"two\"\n", "");
    let mut config = kit::config(&url, HOME);
    config.users[0].calendars.retain(|c| c.slug != "two");
    assert!(!text.contains("name = \"two\""));
    let app = kit::app(&url, "").await;
    app.apply(config).await.expect("applied");
    let actor = anna(&app).await;
    let made = app.store.write(move |tx| {
        calendars::create(tx, &actor, "anna", "two", &calendars::New::default(), NOW)
            .map_err(|e| Denied::ReadOnly(format!("{e:?}")))
    });
    made.await.unwrap_or_else(|e| panic!("{e}"));
    put(&app, "two", "a.ics", "a", AT_NOON).await;
    assert_eq!(listing(&app, "all").await.len(), 1);
    let seq = with(&app, "all", |_, calendar| Ok(calendar.seq)).await;
    let actor = anna(&app).await;
    let removed = app.store.write(move |tx| {
        let two = calendars::open(tx, &actor, "anna", "two", Need::Write)?;
        calendars::remove(tx, &two, NOW)
    });
    removed.await.unwrap_or_else(|e| panic!("{e}"));
    let news = since(&app, "all", Some(seq), 10).await;
    let news: Vec<_> = news.changes.iter().map(|c| (c.name.as_str(), c.live.is_some())).collect();
    assert_eq!(news, [("a.ics", false)], "a client that follows the token hears of it");
}

async fn a_unified_calendar_that_was_hidden_has_missed_nothing(url: String) {
    let app = kit::app(&url, HOME).await;
    put(&app, "one", "a.ics", "a", AT_NOON).await;
    put(&app, "one", "b.ics", "b", AT_NOON).await;
    let without = HOME.split("[[user.unified]]").next().expect("a head").to_owned();
    app.apply(kit::config(&url, &without)).await.expect("it is taken out");
    remove(&app, "one", "a.ics").await;
    put(&app, "one", "c.ics", "c", AT_NOON).await;
    app.apply(kit::config(&url, HOME)).await.expect("and put back");
    assert_eq!(listing(&app, "all").await.keys().collect::<Vec<_>>(), ["b.ics", "c.ics"]);
    let bodies = with(&app, "all", |tx, calendar| resources::all(tx, &calendar)).await;
    assert_eq!(bodies.len(), 2);
}

async fn dead_properties_are_forgotten_with_what_they_are_of(url: String) {
    let app = kit::app(&url, HOME).await;
    let user = anna(&app).await.user;
    let kept = app.store.write(move |tx| -> Result<_, properties::NotSet> {
        let dead = properties::Dead { ns: "x:".to_owned(), name: "p".to_owned(), xml: "<p xmlns=\"x:\"/>".to_owned() };
        for path in ["/dav/anna/one/", "/dav/anna/one/a.ics", "/dav/anna/one/a.ics2", "/dav/anna/two/"] {
            properties::set(tx, user, path, &dead, 1 << 20)?;
        }
        assert!(properties::any_below(tx, user, "/dav/anna/one/")?);
        assert!(!properties::any_below(tx, user, "/dav/anna/two/")?, "a calendar is not below itself");
        properties::forget(tx, "/dav/anna/one/a.ics")?;
        let left = properties::list(tx, user, "/dav/anna/one/a.ics2")?.len();
        properties::forget_below(tx, "/dav/anna/one/")?;
        let below = properties::list(tx, user, "/dav/anna/one/a.ics2")?.len();
        Ok((left, below, properties::list(tx, user, "/dav/anna/two/")?.len()))
    });
    assert_eq!(kept.await, Ok((1, 0, 1)));
    let large = properties::Dead { ns: String::new(), name: "q".to_owned(), xml: "x".repeat(2 << 20) };
    let refused = app.store.write(move |tx| properties::set(tx, user, "/dav/anna/two/", &large, 1 << 20)).await;
    assert_eq!(refused, Err(properties::NotSet::Quota));
}

async fn a_glance_sees_one_snapshot_and_changes_nothing(url: String) {
    let app = kit::app(&url, HOME).await;
    put(&app, "one", "a.ics", "a", AT_NOON).await;
    // Far more at one time than there are connections for it.
    let glances: Vec<_> = (0..64)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move {
                let user = anna(&app).await;
                let look = move |tx: &mut Tx<'_>| {
                    let calendar = calendars::open(tx, &user, "anna", "one", Need::Read)?;
                    let before = resources::list(tx, &calendar)?.len();
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    Ok::<_, Denied>((before, resources::list(tx, &calendar)?.len(), calendar.seq))
                };
                app.store.glance(look).await.expect("a glance")
            })
        })
        .collect();
    put(&app, "one", "b.ics", "b", AT_NOON).await;
    for glance in glances {
        let (before, after, seq) = glance.await.expect("it does not panic");
        assert_eq!(before, after, "as of {seq}");
    }
    // What was written is seen at once by who was told so.
    let seen = async || with_glance(&app, "one", |tx, calendar| resources::list(tx, &calendar)).await.len();
    put(&app, "one", "c.ics", "c", AT_NOON).await;
    assert_eq!(seen().await, 3);
    // However a closure ends, the connection is as it was: more often than there are connections.
    for _ in 0..20 {
        let panicked = app.store.glance(|_| -> store::Result<()> { panic!("on purpose") }).await;
        assert!(matches!(panicked, Err(store::Error::Broken(_))));
        let wrote = app.store.glance(|tx| users::add(tx, "ghost", None, &[], "UTC").map(|_| ())).await;
        assert!(wrote.is_err(), "a glance does not write");
    }
    assert_eq!(seen().await, 3);
}

async fn with_glance<T: Send + 'static>(
    app: &App,
    slug: &'static str,
    look: impl FnOnce(&mut Tx<'_>, Calendar) -> store::Result<T> + Send + 'static,
) -> T {
    let user = anna(app).await;
    let found = app.store.glance(move |tx| {
        let calendar = calendars::open(tx, &user, "anna", slug, Need::Read)?;
        Ok::<_, Denied>(look(tx, calendar)?)
    });
    found.await.expect("a glance")
}

#[tokio::test]
async fn a_burst_of_writes_shares_its_syncs() {
    let (url, _folder) = kit::sqlite_url();
    let app = kit::app(&url, HOME).await;
    let before = app.store.groups();
    let writes: Vec<_> = (0..200)
        .map(|n| {
            let app = app.clone();
            tokio::spawn(async move { put(&app, "one", &format!("{n}.ics"), &format!("u{n}"), AT_NOON).await })
        })
        .collect();
    for write in writes {
        write.await.expect("a write");
    }
    let groups = app.store.groups() - before;
    assert!(groups < 200, "200 transactions took {groups} syncs");
}

/// The key that masked UIDs are made with is neither one of the key file, which is another at each of these starts, nor
/// one of the sync token, which is another after a restore.
#[tokio::test]
async fn masked_names_stay_through_restarts_and_backups() {
    let (url, folder) = kit::sqlite_url();
    let config = masked(Mask::Busy);
    let app = kit::app(&url, &config).await;
    put(&app, "two", "s.ics", "secret-uid", AT_NOON).await;
    let before = names(&app, "all").await;
    let copy = folder.path().join("copy.db");
    app.store.backup(&copy).await.expect("a backup");
    let token = with(&app, "all", |_, calendar| Ok(calendar.token())).await;
    let home = with(&app, "all", |tx, calendar| homes::home(tx, calendar.user)).await;
    drop(app);
    let again = kit::app(&url, &config).await;
    assert_eq!(names(&again, "all").await, before);
    assert_eq!(with(&again, "all", |tx, calendar| homes::home(tx, calendar.user)).await, home);
    let restored = kit::app(&format!("sqlite:{}", copy.display()), &config).await;
    assert_eq!(names(&restored, "all").await, before);
    assert_ne!(with(&restored, "all", |_, calendar| Ok(calendar.token())).await, token);
    // Once the copy has come as far as the original was, only the epoch tells a token of that one.
    put(&restored, "two", "t.ics", "other-uid", AT_NOON).await;
    let ours = with(&restored, "all", |tx, calendar| homes::home(tx, calendar.user)).await;
    assert!(ours.seq >= home.seq && ours.looks >= home.looks);
    assert_eq!(ours.read_token(&home.token()), None);
}

#[tokio::test]
async fn a_backup_is_whole_and_a_newer_database_is_refused() {
    let (url, folder) = kit::sqlite_url();
    let app = kit::app(&url, HOME).await;
    put(&app, "one", "a.ics", "a", AT_NOON).await;
    let copy = folder.path().join("copy.db");
    app.store.backup(&copy).await.expect("a backup");
    assert!(matches!(app.store.backup(&copy).await, Err(store::Error::Unavailable(_))), "nothing is written over");
    let copied = format!("sqlite:{}", copy.display());
    let app = kit::app(&copied, HOME).await;
    assert_eq!(listing(&app, "all").await.len(), 1);
    let db = rusqlite::Connection::open(&copy).expect("the file opens");
    db.execute_batch("INSERT INTO schema_versions (version) VALUES (9999)").expect("a newer calgate");
    drop(db);
    let refused = Store::open(&copied).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(refused.contains("newer calgate"), "{refused}");
}
