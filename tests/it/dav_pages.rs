//! Answers that go out page by page, while what they tell of changes: a client that follows the token misses nothing, a
//! cut answer never looks whole, and no answer is held as a whole. docs/decisions/0016-answers-are-written-page-by-page.md

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use calgate::app::App;
use calgate::body::Body;
use calgate::ical::Object;
use calgate::ids::Name;
use calgate::store::calendars::{self, Need};
use calgate::store::resources::{self, Version};
use calgate::store::users::Actor;
use http::{Response, StatusCode};
use http_body_util::BodyExt;

use crate::kit::{self, Dice};

const HOME: &str = r#"
[[user]]
name = "anna"
email = "anna@example.com"

[[user.calendar]]
name = "work"

[[user.calendar]]
name = "home"

[[user.unified]]
name = "all"
members = ["work", "home"]
write_to = "work"
"#;

/// Enough for several pages of a listing.
const MANY: u32 = 1_300;
/// No page is larger than that: the size at which a page is full, and one more response.
const LARGEST: usize = (128 << 10) + 8 * 1024;

kit::on_both_engines![
    who_follows_the_token_misses_nothing,
    a_query_tells_what_is_there_when_it_is_told,
    what_gets_another_name_is_told_under_one_of_them,
    a_calendar_that_goes_away_cuts_its_answer,
    a_home_of_many_calendars_is_told_page_by_page,
    what_is_known_in_time_is_an_error_and_a_short_answer_is_whole,
];

async fn anna(app: &App) -> Actor {
    kit::actor(app, "anna").await
}

/// Something that happens to a calendar: the object of that number is written, or removed (`None`).
type Change = (u32, Option<u32>);

fn object(number: u32, revision: u32) -> Object {
    kit::event(
        &format!("u{number}"),
        &format!(
            "DTSTART:202606{:02}T120000Z\nDURATION:PT1H\nSEQUENCE:{revision}\nSUMMARY:{}",
            number % 28 + 1,
            // A thousand of them are more than a page of a file.
            "x".repeat(60)
        ),
    )
}

async fn change(app: &App, slug: &'static str, changes: Vec<Change>) {
    let anna = anna(app).await;
    let done = app.store.write(move |tx| {
        let calendar = calendars::open(tx, &anna, "anna", slug, Need::Write)?;
        for (number, revision) in changes {
            let name = Name::new(&format!("{number}.ics")).expect("a name");
            let object = revision.map(|revision| object(number, revision));
            if object.is_some() || resources::get(tx, &calendar, &name)?.is_some() {
                resources::save(tx, &calendar, &name, Version::Client(object.as_ref()), kit::NOW)?;
            }
        }
        Ok::<_, calendars::Denied>(())
    });
    done.await.expect("the changes are made");
}

async fn filled(url: &str) -> Arc<App> {
    let app = kit::app(url, HOME).await;
    change(&app, "work", (0..MANY).map(|number| (number, Some(0))).collect()).await;
    app
}

async fn send(app: &Arc<App>, method: &str, path: &str, depth: &str, body: &str) -> Response<Body> {
    kit::ask(app, &anna(app).await, method, path, &[("depth", depth)], body).await
}

/// Reads an answer to its end; between two pages `meanwhile` happens.
async fn read(answer: Response<Body>, mut meanwhile: impl AsyncFnMut(usize)) -> Result<(String, usize), String> {
    assert_eq!(answer.status(), StatusCode::MULTI_STATUS);
    let (mut body, mut text, mut pages) = (answer.into_body(), Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let page = frame.map_err(|cut| cut.to_string())?.into_data().expect("data");
        assert!(page.len() <= LARGEST, "a page of {} bytes", page.len());
        text.extend_from_slice(&page);
        pages += 1;
        meanwhile(pages).await;
    }
    let text = String::from_utf8(text).expect("UTF-8");
    assert!(text.ends_with("</D:multistatus>\n"));
    Ok((text, pages))
}

/// What a multistatus says of resources: their etags; `None`: 404.
fn told(text: &str) -> Vec<(String, Option<String>)> {
    let mut told = Vec::new();
    for one in text.split("<D:response>").skip(1) {
        let between =
            |a: &str, b: &str| one.split_once(a).and_then(|(_, rest)| rest.split_once(b)).map(|(found, _)| found);
        let href = between("<D:href>", "</D:href>").expect("an href");
        let Some(name) = href.rsplit('/').next().filter(|name| !name.is_empty()) else { continue };
        told.push((name.to_owned(), between("<D:getetag>", "</D:getetag>").map(str::to_owned)));
    }
    told
}

fn token(text: &str) -> String {
    let rest = text.rsplit_once("<D:sync-token>").expect("a token").1;
    rest.split_once("</D:sync-token>").expect("its end").0.to_owned()
}

fn sync(token: &str, limit: Option<u32>) -> String {
    let limit = limit.map_or(String::new(), |n| format!("<D:limit><D:nresults>{n}</D:nresults></D:limit>"));
    format!(
        "<D:sync-collection xmlns:D=\"DAV:\"><D:sync-token>{token}</D:sync-token><D:sync-level>1</D:sync-level>{limit}\
         <D:prop><D:getetag/></D:prop></D:sync-collection>"
    )
}

const LIST: &str = "<D:propfind xmlns:D=\"DAV:\"><D:prop><D:sync-token/><D:getetag/></D:prop></D:propfind>";

/// What is there, by name.
async fn truth(app: &App, slug: &'static str) -> BTreeMap<String, String> {
    let anna = anna(app).await;
    let listed = app.store.read(move |tx| {
        let calendar = calendars::open(tx, &anna, "anna", slug, Need::Read)?;
        Ok::<_, calendars::Denied>(resources::list(tx, &calendar)?)
    });
    let listed = listed.await.expect("a listing");
    listed.into_iter().map(|l| (l.name.to_string(), format!("\"{}\"", l.etag))).collect()
}

/// Some objects are written anew, some removed, some that were not there made, all over the calendar.
fn changes(dice: &mut Dice, revision: u32) -> Vec<Change> {
    let count = 1 + dice.below(12);
    let one = |_| {
        let number = dice.below(u64::from(MANY) + 200) as u32;
        (number, if dice.below(3) == 0 { None } else { Some(revision) })
    };
    (0..count).map(one).collect()
}

/// Listings, first syncs and deltas with and without a limit, from the calendar and from a unified one over it, with
/// changes between all pages: what a client holds that takes what it is told and goes on from the token is, when
/// everything is quiet, what is there; and it was never told of an object that was not there.
async fn who_follows_the_token_misses_nothing(url: String) {
    let app = filled(&url).await;
    let mut dice = Dice(1);
    let (mut revision, mut pages_seen) = (0, 0);
    for (slug, path) in [("work", "/dav/anna/work/"), ("all", "/dav/anna/all/")] {
        for way in ["listing", "first sync", "limited sync"] {
            let mut held: BTreeMap<String, String> = BTreeMap::new();
            // Everything that was ever there, so that nothing else is told.
            let mut known: BTreeSet<(String, String)> = truth(&app, slug).await.into_iter().collect();
            let limit = (way == "limited sync").then_some(600);
            let mut at = String::new();
            for round in 0.. {
                let answer = match (way, round) {
                    ("listing", 0) => send(&app, "PROPFIND", path, "1", LIST).await,
                    _ => send(&app, "REPORT", path, "1", &sync(&at, limit)).await,
                };
                let busy = round < 4;
                let (text, pages) = read(answer, async |_| {
                    if busy {
                        revision += 1;
                        change(&app, "work", changes(&mut dice, revision)).await;
                        known.extend(truth(&app, slug).await);
                    }
                })
                .await
                .expect("nothing cuts it");
                pages_seen = pages_seen.max(pages);
                let told = told(&text);
                assert!(limit.is_none_or(|limit| told.len() <= limit as usize), "{}", told.len());
                for (name, etag) in told {
                    match etag {
                        Some(etag) => {
                            assert!(known.contains(&(name.clone(), etag.clone())), "{name} {etag} was never there");
                            held.insert(name, etag);
                        }
                        None => drop(held.remove(&name)),
                    }
                }
                // A listing has the token of the first page, before all rows.
                at = token(&text);
                if !busy && !text.contains("number-of-matches-within-limits") {
                    break;
                }
            }
            assert!(held == truth(&app, slug).await, "{slug}, {way}: what is held is not what is there");
        }
    }
    assert!(pages_seen >= 3, "no answer had more than {pages_seen} pages");
}

/// A query has no token: each object it tells is there, and in the window, when it is told.
async fn a_query_tells_what_is_there_when_it_is_told(url: String) {
    let app = filled(&url).await;
    let query = "<C:calendar-query xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\"><D:prop><D:getetag/></D:prop>\
         <C:filter><C:comp-filter name=\"VCALENDAR\"><C:comp-filter name=\"VEVENT\">\
         <C:time-range start=\"20260601T000000Z\" end=\"20260701T000000Z\"/></C:comp-filter></C:comp-filter></C:filter>\
         </C:calendar-query>";
    let answer = send(&app, "REPORT", "/dav/anna/work/", "1", query).await;
    let (text, pages) = read(answer, async |page| {
        if page == 1 {
            // The last ones: one goes, one moves out of the window, one changes inside it.
            change(&app, "work", vec![(MANY - 1, None), (MANY - 3, Some(7))]).await;
            let anna = anna(&app).await;
            let moved = kit::event(&format!("u{}", MANY - 2), "DTSTART:20260801T120000Z\nDURATION:PT1H");
            let saved = app.store.write(move |tx| {
                let calendar = calendars::open(tx, &anna, "anna", "work", Need::Write)?;
                let name = Name::new(&format!("{}.ics", MANY - 2)).expect("a name");
                Ok::<_, calendars::Denied>(resources::save(
                    tx,
                    &calendar,
                    &name,
                    Version::Client(Some(&moved)),
                    kit::NOW,
                )?)
            });
            saved.await.expect("it is moved");
        }
    })
    .await
    .expect("nothing cuts it");
    assert!(pages > 1, "{pages} pages");
    let mut expect = truth(&app, "work").await;
    expect.remove(&format!("{}.ics", MANY - 2));
    let told: BTreeMap<String, String> =
        told(&text).into_iter().map(|(name, etag)| (name, etag.expect("an etag"))).collect();
    assert_eq!(told.len(), MANY as usize - 2);
    assert!(told == expect);
}

/// An object that is there all the time is in a listing, a query and a file, though it is renamed before they come to it.
async fn what_gets_another_name_is_told_under_one_of_them(url: String) {
    let app = filled(&url).await;
    // Behind the first page in every order, and before it by its other name.
    let (last, here, there) = (9_999, "9999.ics", "000.ics");
    change(&app, "work", vec![(last, Some(0))]).await;
    let rename = async |from: &str, to: &str| {
        let anna = anna(&app).await;
        let (from, to) = (Name::new(from).expect("a name"), Name::new(to).expect("a name"));
        let done = app.store.write(move |tx| {
            let calendar = calendars::open(tx, &anna, "anna", "work", Need::Write)?;
            Ok::<_, calendars::Denied>(resources::rename(tx, &calendar, &from, &to, kit::NOW)?)
        });
        assert!(done.await.expect("a write"), "it is not renamed");
    };
    let query = "<C:calendar-query xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\"><D:prop><D:getetag/></D:prop>\
         <C:filter><C:comp-filter name=\"VCALENDAR\"><C:comp-filter name=\"VEVENT\"/></C:comp-filter></C:filter>\
         </C:calendar-query>";
    for (method, body) in [("PROPFIND", LIST), ("REPORT", query)] {
        let answer = send(&app, method, "/dav/anna/work/", "1", body).await;
        let (text, pages) = read(answer, async |page| {
            if page == 1 {
                rename(here, there).await;
            }
        })
        .await
        .expect("nothing cuts it");
        assert!(pages > 1, "{pages} pages");
        let told = told(&text);
        assert_eq!(told.len(), MANY as usize + 1, "{method}");
        assert!(told.iter().any(|(name, _)| name == there), "{method}: an object is lost");
        rename(there, here).await;
    }
    let answer = send(&app, "GET", "/dav/anna/work/", "0", "").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.headers()["etag"].to_str().expect("text").starts_with("W/\""), "not every body is of one state");
    let (mut body, mut text, mut pages) = (answer.into_body(), Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        text.extend_from_slice(&frame.expect("nothing cuts it").into_data().expect("data"));
        pages += 1;
        if pages == 1 {
            rename(here, there).await;
        }
    }
    let text = String::from_utf8(text).expect("UTF-8");
    assert!(pages > 1 && text.ends_with("END:VCALENDAR\r\n"), "{pages} pages");
    assert_eq!(text.matches("BEGIN:VEVENT").count(), MANY as usize + 1);
    assert!(text.contains(&format!("UID:u{last}\r\n")), "an object is lost");
    // Nothing of it is read for who wants the head.
    let head = send(&app, "HEAD", "/dav/anna/work/", "0", "").await;
    assert_eq!(head.status(), StatusCode::OK);
    assert!(head.body().whole().is_some_and(Bytes::is_empty));
}

async fn a_calendar_that_goes_away_cuts_its_answer(url: String) {
    let app = filled(&url).await;
    let made = send(&app, "MKCALENDAR", "/dav/anna/brief/", "0", "").await;
    assert_eq!(made.status(), StatusCode::CREATED);
    change(&app, "brief", (0..MANY).map(|number| (number, Some(0))).collect()).await;
    for (method, body) in [("PROPFIND", LIST.to_owned()), ("REPORT", sync("", None))] {
        let answer = send(&app, method, "/dav/anna/brief/", "1", &body).await;
        let cut = read(answer, async |page| {
            if page == 1 {
                let gone = send(&app, "DELETE", "/dav/anna/brief/", "0", "").await;
                assert_eq!(gone.status(), StatusCode::NO_CONTENT);
                // Another one of the same name is not the one that was asked for.
                let made = send(&app, "MKCALENDAR", "/dav/anna/brief/", "0", "").await;
                assert_eq!(made.status(), StatusCode::CREATED);
            }
        })
        .await;
        assert!(cut.is_err(), "{method}: a part looks like the whole");
        change(&app, "brief", (0..MANY).map(|number| (number, Some(0))).collect()).await;
    }
}

/// What is said of a calendar may be long, and of calendars there may be many.
async fn a_home_of_many_calendars_is_told_page_by_page(url: String) {
    let app = kit::app(&url, HOME).await;
    let mut expect = BTreeSet::new();
    for number in 0..60 {
        let about = format!("{number}{}", "x".repeat(6_000));
        let made = format!(
            "<C:mkcalendar xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\"><D:set><D:prop>\
             <C:calendar-description>{about}</C:calendar-description></D:prop></D:set></C:mkcalendar>"
        );
        let path = format!("/dav/anna/c{number}/");
        assert_eq!(send(&app, "MKCALENDAR", &path, "0", &made).await.status(), StatusCode::CREATED);
        expect.insert((path, about));
    }
    let prop = "<D:prop><C:calendar-description xmlns:C=\"urn:ietf:params:xml:ns:caldav\"/></D:prop>";
    let list = format!("<D:propfind xmlns:D=\"DAV:\">{prop}</D:propfind>");
    let sync = format!(
        "<D:sync-collection xmlns:D=\"DAV:\"><D:sync-token/><D:sync-level>1</D:sync-level>{prop}</D:sync-collection>"
    );
    for (method, body) in [("PROPFIND", &list), ("REPORT", &sync)] {
        let (text, pages) = read(send(&app, method, "/dav/anna/", "1", body).await, async |_| {}).await.expect("all");
        assert!(pages >= 3, "{method}: {pages} pages");
        let between =
            |one: &str, a: &str, b: &str| -> Option<String> { Some(one.split_once(a)?.1.split_once(b)?.0.to_owned()) };
        let told: BTreeSet<(String, String)> = text
            .split("<D:response>")
            .filter_map(|one| {
                let about = between(one, "<C:calendar-description>", "</C:calendar-description>")?;
                Some((between(one, "<D:href>", "</D:href>")?, about))
            })
            .collect();
        assert!(told == expect, "{method}: {} of {} calendars", told.len(), expect.len());
        assert_eq!(text.matches("<D:response>").count(), if method == "PROPFIND" { 66 } else { 63 }, "{method}");
    }
}

async fn what_is_known_in_time_is_an_error_and_a_short_answer_is_whole(url: String) {
    let app = filled(&url).await;
    let statuses = [
        (send(&app, "PROPFIND", "/dav/anna/none/", "1", LIST).await, StatusCode::NOT_FOUND),
        (send(&app, "REPORT", "/dav/anna/work/", "1", &sync("urn:calgate:1:1", None)).await, StatusCode::FORBIDDEN),
        (send(&app, "REPORT", "/dav/anna/none/", "1", &sync("", None)).await, StatusCode::NOT_FOUND),
    ];
    for (answer, status) in statuses {
        assert_eq!(answer.status(), status);
        assert!(answer.body().whole().is_some());
    }
    let short = send(&app, "REPORT", "/dav/anna/work/", "1", &sync("", Some(50))).await;
    assert!(short.body().whole().is_some());
    let long = send(&app, "REPORT", "/dav/anna/work/", "1", &sync("", None)).await;
    assert!(long.body().whole().is_none());
    // Nobody takes the rest.
    drop(long);
    assert_eq!(truth(&app, "work").await.len(), MANY as usize);
}
