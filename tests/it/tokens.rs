//! What a client that follows only its tokens comes to know: of a home, of a calendar, and after what is forgotten.

use std::collections::BTreeSet;

use calgate::app::App;
use calgate::ical::Instant;
use calgate::ids::{Name, Seq};
use calgate::store::calendars::{self, Calendar, Denied, Edit, Need, New};
use calgate::store::homes::{self, Home};
use calgate::store::resources::{self, Version};
use calgate::store::users::{self, Actor};
use calgate::store::{self, Tx, prune};

use crate::kit::{self, NOW, event, on_both_engines};

on_both_engines! {
    a_home_tells_what_came_changed_and_went,
    a_home_is_told_in_pages,
    what_was_deleted_long_ago_is_forgotten_with_its_tokens,
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
[[user]]
name = "ben"
"#;

async fn anna(app: &App) -> Actor {
    kit::actor(app, "anna").await
}

/// Does something in one transaction for anna.
async fn write<T: Send + 'static>(
    app: &App,
    f: impl FnOnce(&mut Tx<'_>, &Actor) -> Result<T, Denied> + Send + 'static,
) -> T {
    let actor = anna(app).await;
    app.store.write(move |tx| f(tx, &actor)).await.unwrap_or_else(|e| panic!("{e}"))
}

async fn put(app: &App, slug: &'static str, file: &str, object: Option<&str>, at: Instant) {
    let name = Name::new(&format!("{file}.ics")).expect("a name");
    let object = object.map(|title| event(file, &format!("DTSTART:20260610T120000Z\nSUMMARY:{title}")));
    write(app, move |tx, actor| {
        let calendar = calendars::open(tx, actor, "anna", slug, Need::Write)?;
        Ok(resources::save(tx, &calendar, &name, Version::Client(object.as_ref()), at).map(|_| ())?)
    })
    .await;
}

/// What a home says of its calendars since then: `one`, `-two` for one that is gone, and `…` where the limit cut it.
async fn news(app: &App, from: Option<Home>, limit: u32) -> (String, Home) {
    let since = write(app, move |tx, actor| homes::since(tx, actor, "anna", from, limit)).await;
    let mut said: Vec<String> =
        since.changes.iter().map(|c| format!("{}{}", if c.live.is_some() { "" } else { "-" }, c.slug)).collect();
    said.extend(since.more.then(|| "…".to_owned()));
    (said.join(" "), since.home)
}

async fn a_home_tells_what_came_changed_and_went(url: String) {
    let app = kit::app(&url, HOME).await;
    let (said, start) = news(&app, None, 100).await;
    assert_eq!(said.split(' ').collect::<BTreeSet<_>>(), BTreeSet::from(["all", "one", "two"]));
    assert_eq!(news(&app, Some(start), 100).await, (String::new(), start));

    // Its contents, and those of the unified calendar with it.
    put(&app, "one", "a", Some("Noon"), NOW).await;
    let (said, now) = news(&app, Some(start), 100).await;
    assert_eq!(said, "one all");
    // Its look.
    let rename = |name: &'static str| {
        move |tx: &mut Tx<'_>, actor: &Actor| {
            let two = calendars::open(tx, actor, "anna", "two", Need::Read)?;
            Ok(calendars::edit(tx, &two, &Edit { display_name: Some(name.to_owned()), ..Edit::default() })?)
        }
    };
    write(&app, rename("Other")).await;
    let (said, renamed) = news(&app, Some(now), 100).await;
    assert_eq!(said, "two");
    assert_ne!(renamed.token(), now.token());
    write(&app, rename("Other")).await;
    assert_eq!(news(&app, Some(renamed), 100).await, (String::new(), renamed), "the same again is no change");
    // One that is made, renamed, and goes.
    write(&app, |tx, actor| {
        calendars::create(tx, actor, "anna", "new", &New::default(), NOW)
            .map(|_| ())
            .map_err(|e| Denied::ReadOnly(format!("{e:?}")))
    })
    .await;
    let (said, made) = news(&app, Some(renamed), 100).await;
    assert_eq!(said, "new");
    write(&app, |tx, actor| {
        let new = calendars::open(tx, actor, "anna", "new", Need::Write)?;
        calendars::remove(tx, &new, NOW)
    })
    .await;
    let (said, gone) = news(&app, Some(made), 100).await;
    assert_eq!(said, "-new");
    assert_eq!(news(&app, Some(start), 100).await.0, "two -new one all", "and all of it to who was away");
    // A reload that changes nothing is no news; one that takes a calendar away is, and so is one with another name.
    app.apply(kit::config(&url, HOME)).await.expect("a reload");
    assert_eq!(news(&app, Some(gone), 100).await, (String::new(), gone));
    let without = HOME.replace("[[user.calendar]]\nname = \"two\"\n", "").replace("\"one\", \"two\"", "\"one\"");
    app.apply(kit::config(&url, &without.replace("name = \"all\"", "name = \"all\"\ndisplay_name = \"Everything\"")))
        .await
        .expect("a reload");
    let (said, fewer) = news(&app, Some(gone), 100).await;
    assert_eq!(said.split(' ').collect::<BTreeSet<_>>(), BTreeSet::from(["all", "-two"]));
    app.apply(kit::config(&url, HOME)).await.expect("a reload");
    let (said, _) = news(&app, Some(fewer), 100).await;
    assert_eq!(said.split(' ').collect::<BTreeSet<_>>(), BTreeSet::from(["all", "two"]));

    // Whose token it is.
    let ben = app.store.read(|tx| {
        let ben = users::by_name(tx, "ben")?.expect("ben is there");
        homes::home(tx, ben.id)
    });
    let ben: Result<Home, store::Error> = ben.await;
    let ben = ben.expect("a home");
    let (_, now) = news(&app, None, 100).await;
    assert_eq!(now.read_token(&now.token()), Some(now));
    assert_eq!(now.read_token(&start.token()), Some(start));
    assert_eq!(now.read_token(&ben.token()), None, "another home's");
    assert_eq!(start.read_token(&now.token()), None, "from the future");
    let (head, numbers) = now.token().rsplit_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a token");
    for wrong in ["0", "-1.0", "0.-1", "+0.0", "00.0", "0.0.0", "99999999999999999999.0", ".", "1e1.0"] {
        assert_eq!(now.read_token(&format!("{head}:{wrong}")), None, "{wrong}");
    }
    assert_eq!(now.read_token(&format!("{head}:{numbers} ")), None);
    let calendar = write(&app, |tx, actor| calendars::open(tx, actor, "anna", "one", Need::Read)).await;
    assert_eq!(now.read_token(&calendar.token()), None, "a calendar's");
    assert_eq!(calendar.read_token(&now.token()), None, "nor the other way round");
}

/// Whatever the limit, and whatever happens between the pages, who goes on from page to page knows all in the end.
async fn a_home_is_told_in_pages(url: String) {
    let app = kit::app(&url, HOME).await;
    for limit in [1, 2, 3] {
        let mut from = None;
        let mut known = BTreeSet::new();
        for page in 0.. {
            assert!(page < 20, "it comes to an end");
            let (said, home) = news(&app, from, limit).await;
            assert!(said.split(' ').filter(|s| !s.is_empty() && *s != "…").count() <= limit as usize, "{said}");
            for slug in said.split(' ').filter(|s| !s.is_empty() && *s != "…") {
                match slug.strip_prefix('-') {
                    Some(gone) => known.remove(gone),
                    None => known.insert(slug.to_owned()),
                };
            }
            from = Some(home);
            if !said.ends_with('…') {
                break;
            }
            if page == 0 {
                put(&app, "two", &format!("p{limit}"), Some("x"), NOW).await;
            }
        }
        assert_eq!(known, BTreeSet::from(["all", "one", "two"].map(str::to_owned)), "{limit}");
        let (said, _) = news(&app, from, 100).await;
        assert_eq!(said, "", "nothing is left for the token of the last page");
    }
}

async fn what_was_deleted_long_ago_is_forgotten_with_its_tokens(url: String) {
    let app = kit::app(&url, HOME).await;
    let day = 86_400;
    for file in ["a", "b", "c"] {
        put(&app, "one", file, Some("x"), NOW).await;
    }
    let seq = |slug: &'static str| {
        write(&app, move |tx, actor| Ok(calendars::open(tx, actor, "anna", slug, Need::Read)?.seq))
    };
    let gone_since = |slug: &'static str, seq| {
        write(&app, move |tx, actor| {
            let calendar = calendars::open(tx, actor, "anna", slug, Need::Read)?;
            let token = Calendar { seq, ..calendar.clone() }.token();
            let Some(seen) = calendar.read_token(&token) else { return Ok(None) };
            let since = kit::since(tx, &calendar, Some(seen.seq), 100)?;
            Ok(Some(since.changes.iter().filter(|c| c.live.is_none()).count()))
        })
    };
    let (first, first_all) = (seq("one").await, seq("all").await);
    put(&app, "one", "a", None, NOW).await;
    put(&app, "one", "b", None, NOW.plus(50 * day)).await;
    let (second, second_all) = (seq("one").await, seq("all").await);
    assert_eq!((gone_since("one", first).await, gone_since("all", first_all).await), (Some(2), Some(2)));

    // Those from before the fiftieth day, in as many small steps as it takes.
    let forget = |before: Instant, most: i64| {
        let app = app.clone();
        async move {
            // Twice: a member's tombstone goes after the unified one that shows it.
            for _ in 0..2 {
                for calendar in app.store.read(prune::calendars).await.expect("a read") {
                    let step = move |tx: &mut Tx<'_>| prune::tombstones(tx, calendar, before, most, 1);
                    let mut steps = 0;
                    while app.store.write::<_, store::Error, _>(step).await.expect("a step") {
                        steps += 1;
                        assert!(steps < 100, "it comes to an end");
                    }
                }
            }
        }
    };
    forget(NOW.plus(50 * day), 100).await;
    assert_eq!((gone_since("one", first).await, gone_since("all", first_all).await), (None, None), "too old");
    assert_eq!((gone_since("one", second).await, gone_since("all", second_all).await), (Some(0), Some(0)));
    // Who had seen the first go hears of the second.
    let between = Seq(second.0 - 2);
    assert_eq!(gone_since("one", between).await, Some(1));
    // However young: no more than so many.
    forget(NOW, 0).await;
    assert_eq!((gone_since("one", between).await, gone_since("one", second).await), (None, Some(0)));
    let listed = write(&app, |tx, actor| {
        let calendar = calendars::open(tx, actor, "anna", "all", Need::Read)?;
        Ok(resources::list(tx, &calendar)?.len())
    });
    assert_eq!(listed.await, 1, "what is live stays");
}
