//! Who may do what, tried: every method at every kind of place, by everybody. And what is hidden, searched for in every
//! answer that somebody can get who sees a part.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use calgate::app::App;
use calgate::ids::Name;
use calgate::store::calendars::{self, Denied, Need};
use calgate::store::resources::{self, Version};
use calgate::store::users::{self, Actor};
use calgate::{dav, ical};
use http::{Response, StatusCode};

use crate::kit::{self, NOW};

const HOME: &str = r#"
[[user]]
name = "anna"
display_name = "Anna Muster"
email = "anna@example.com"
timezone = "Europe/Berlin"
[[user.calendar]]
name = "work"
[[user.grant]]
calendar = "work"
to = "busy"
may = "busy"
[[user.grant]]
calendar = "work"
to = "title"
may = "title"
[[user.grant]]
calendar = "work"
to = "read"
[[user.grant]]
calendar = "work"
to = "write"
may = "write"

[[user]]
name = "busy"
[[user]]
name = "title"
[[user]]
name = "read"
[[user]]
name = "write"
[[user]]
name = "other"
email = "other@example.com"
"#;

/// What nobody is to see who sees a part: each stands in one place of [`SECRET`].
const HIDDEN: [&str; 10] = [
    "hidden-uid",
    "hidden-place",
    "hidden-words",
    "hidden-guest",
    "hidden-host",
    "hidden-value",
    "hidden-alarm",
    "hidden-file",
    "hidden-tag",
    "hidden-name",
];
const TITLE: &str = "hidden-title";

const SECRET: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:hidden-uid\r\n\
    DTSTAMP:20260101T000000Z\r\nCREATED:20260102T030405Z\r\nDTSTART:20260610T120000Z\r\nDTEND:20260610T130000Z\r\n\
    RRULE:FREQ=DAILY;COUNT=5\r\nSUMMARY:hidden-title\r\nLOCATION:hidden-place\r\nDESCRIPTION:hidden-words\r\n\
    ORGANIZER;CN=hidden-host:mailto:hidden-host@example.com\r\n\
    ATTENDEE;CN=hidden-guest;PARTSTAT=TENTATIVE:mailto:hidden-guest@example.com\r\nX-OWN;X-PAR=hidden-value:hidden-value\r\n\
    ATTACH:https://example.com/hidden-file\r\nCATEGORIES:hidden-tag\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\n\
    TRIGGER:-PT15M\r\nDESCRIPTION:hidden-alarm\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

/// Who asks: a user, and whether by a password that may only read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Who(&'static str, bool);

struct World {
    app: Arc<App>,
}

impl World {
    async fn new() -> World {
        let app = kit::app("sqlite::memory:", HOME).await;
        let world = World { app };
        world.put("anna", "work", "hidden-name.ics", SECRET).await;
        world.put("anna", "work", "private.ics", &secret("hidden-uid-private", "CLASS:PRIVATE")).await;
        world
    }

    async fn put(&self, who: &'static str, slug: &'static str, name: &str, text: &str) {
        let (actor, name) = (kit::actor(&self.app, who).await, Name::new(name).unwrap());
        let object = ical::Object::parse(text).unwrap();
        let done = self.app.store.write(move |tx| {
            let calendar = calendars::open(tx, &actor, who, slug, Need::Write)?;
            Ok::<_, Denied>(resources::save(tx, &calendar, &name, Version::Client(Some(&object)), NOW)?)
        });
        done.await.unwrap();
    }

    async fn send(&self, who: Who, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
        let actor = Actor { may_write: !who.1, ..kit::actor(&self.app, who.0).await };
        kit::whole(kit::ask(&self.app, &actor, method, path, headers, body).await).await
    }

    /// The names of what `who` sees in a calendar of theirs.
    async fn names(&self, who: &'static str, slug: &'static str) -> Vec<String> {
        let actor = kit::actor(&self.app, who).await;
        let list = self.app.store.read(move |tx| {
            let calendar = calendars::open(tx, &actor, who, slug, Need::Read)?;
            Ok::<_, Denied>(resources::list(tx, &calendar)?)
        });
        list.await.unwrap().into_iter().map(|l| l.name.to_string()).collect()
    }
}

fn secret(uid: &str, line: &str) -> String {
    SECRET.replace("UID:hidden-uid", &format!("UID:{uid}")).replace("DTSTART:", &format!("{line}\r\nDTSTART:"))
}

fn plain(uid: &str) -> String {
    kit::event_text(uid, "DTSTART:20260610T120000Z\nDTEND:20260610T130000Z\nSUMMARY:Mine")
}

const PROPFIND: &str = r#"<propfind xmlns="DAV:"><prop><displayname/><resourcetype/></prop></propfind>"#;
const PROPPATCH: &str =
    r#"<propertyupdate xmlns="DAV:"><set><prop><x xmlns="urn:x">1</x></prop></set></propertyupdate>"#;
const EXPAND: &str = r#"<expand-property xmlns="DAV:"><property name="owner"/></expand-property>"#;
const SHARE: &str = r#"<CS:share xmlns:CS="http://calendarserver.org/ns/" xmlns="DAV:"><CS:set><href>mailto:other@example.com</href><CS:read/></CS:set></CS:share>"#;

/// A method, its headers, its body.
type Sent = (&'static str, Vec<(&'static str, String)>, String);

/// Every method with a body that it takes.
fn methods(path: &str) -> Vec<Sent> {
    let to = |name: &str| {
        let parent = path.trim_end_matches('/').rsplit_once('/').map_or("", |(parent, _)| parent);
        vec![("Destination", format!("http://127.0.0.1{parent}/{name}"))]
    };
    let none = Vec::new;
    vec![
        ("OPTIONS", none(), String::new()),
        ("GET", none(), String::new()),
        ("HEAD", none(), String::new()),
        ("PROPFIND", vec![("Depth", "0".to_owned())], PROPFIND.to_owned()),
        ("REPORT", none(), EXPAND.to_owned()),
        ("PROPPATCH", none(), PROPPATCH.to_owned()),
        ("POST", vec![("Content-Type", "text/xml".to_owned())], SHARE.to_owned()),
        ("PUT", vec![("Content-Type", "text/calendar".to_owned())], plain("hidden-uid")),
        ("MKCALENDAR", none(), String::new()),
        ("MKCOL", none(), String::new()),
        ("COPY", to("copied.ics"), String::new()),
        ("MOVE", to("moved.ics"), String::new()),
        ("LOCK", none(), String::new()),
        ("UNLOCK", none(), String::new()),
        ("ACL", none(), String::new()),
        ("DELETE", none(), String::new()),
    ]
}

/// Status and body, without what says which place was asked for.
fn told(answer: &Response<Bytes>, path: &str) -> (StatusCode, String) {
    let body = String::from_utf8_lossy(answer.body()).replace(path.trim_end_matches('/'), "PATH");
    (answer.status(), body)
}

/// What is another's looks, by every method, like what is not there.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_anothers_looks_like_what_is_not_there() {
    let world = World::new().await;
    // Beside each place something that is not there, at the same depth.
    let places = [
        ("/dav/anna/", "/dav/nobody/"),
        ("/dav/anna/work/", "/dav/nobody/work/"),
        ("/dav/anna/work/hidden-name.ics", "/dav/nobody/work/hidden-name.ics"),
        ("/dav/anna/work/", "/dav/anna/nothing/"),
        ("/dav/anna/work/hidden-name.ics", "/dav/anna/work/nothing.ics"),
        ("/dav/anna/inbox/", "/dav/nobody/inbox/"),
        ("/dav/anna/outbox/", "/dav/nobody/outbox/"),
    ];
    let mut tried = 0;
    for who in [Who("other", false), Who("other", true), Who("busy", false), Who("read", false), Who("write", false)] {
        for (there, absent) in places {
            for ((method, headers, body), (_, headers_of_absent, _)) in methods(there).into_iter().zip(methods(absent))
            {
                let as_str = |h: &[(&'static str, String)]| -> Vec<(&'static str, String)> { h.to_vec() };
                let (h, a) = (as_str(&headers), as_str(&headers_of_absent));
                let h: Vec<(&str, &str)> = h.iter().map(|(n, v)| (*n, v.as_str())).collect();
                let a: Vec<(&str, &str)> = a.iter().map(|(n, v)| (*n, v.as_str())).collect();
                let first = told(&world.send(who, method, there, &h, &body).await, there);
                let second = told(&world.send(who, method, absent, &a, &body).await, absent);
                assert_eq!(first, second, "{who:?} {method} {there} and {absent}");
                assert!(method == "OPTIONS" || first.0.is_client_error() || first.0 == 501, "{who:?} {method} {there}");
                tried += 1;
            }
        }
        if who.0 == "other" {
            let (there, absent) = ("/dav/principals/anna/", "/dav/principals/nobody/");
            for (method, _, body) in methods(there) {
                let first = told(&world.send(who, method, there, &[], &body).await, there);
                assert_eq!(first, told(&world.send(who, method, absent, &[], &body).await, absent), "{who:?} {method}");
            }
        }
    }
    assert!(tried > 500);
}

/// 2: done. 4: not there (404, 409 where the parent is missing). 3: may not (403). 5: not possible here (405, 501, and
/// what the request itself lacks).
fn class(answer: &Response<Bytes>) -> char {
    let body = std::str::from_utf8(answer.body()).unwrap_or("");
    match answer.status().as_u16() {
        207 if body.contains("HTTP/1.1 403") => '3',
        200..=299 => '2',
        404 | 409 => '4',
        403 => '3',
        400 | 405 | 412 | 415 | 501 => '5',
        other => panic!("{other}: {body}"),
    }
}

/// Every method, at what is shared, by everybody it is shared with: one letter each, in the order of `methods`.
#[tokio::test(flavor = "multi_thread")]
async fn everybody_may_what_their_grant_says_and_nothing_else() {
    // Who, place in their home, and what comes of OPTIONS GET HEAD PROPFIND REPORT PROPPATCH POST PUT MKCALENDAR MKCOL
    // COPY MOVE LOCK UNLOCK ACL DELETE. A copy within one calendar has the UID of what is there, which is refused.
    let expected: &[(Who, &str, &str)] = &[
        (Who("anna", false), "calendar", "2222222535335553"),
        (Who("anna", true), "calendar", "2222233535335553"),
        (Who("write", false), "calendar", "2222223535335553"),
        (Who("write", true), "calendar", "2222233535335553"),
        (Who("read", false), "calendar", "2222223535335553"),
        (Who("read", true), "calendar", "2222233535335553"),
        (Who("title", false), "calendar", "2222223535335553"),
        (Who("busy", false), "calendar", "2222223535335553"),
        (Who("anna", false), "resource", "2222225233325552"),
        (Who("anna", true), "resource", "2222235333335553"),
        (Who("write", false), "resource", "2222225233325552"),
        (Who("write", true), "resource", "2222235333335553"),
        (Who("read", false), "resource", "2222225333335553"),
        (Who("read", true), "resource", "2222235333335553"),
        (Who("title", false), "resource", "2222225333335553"),
        (Who("busy", false), "resource", "2222225333335553"),
        (Who("busy", true), "resource", "2222235333335553"),
    ];
    let mut wrong = BTreeMap::new();
    for (who, kind, wanted) in expected {
        let slug = if who.0 == "anna" { "work" } else { "work.anna" };
        let mut got = String::new();
        for at in 0..16 {
            // Each in a world of its own: what one does, the next must not find.
            let world = World::new().await;
            let name = world.names(who.0, slug).await.into_iter().find(|n| !n.contains("private")).unwrap();
            let path = match *kind {
                "calendar" => format!("/dav/{}/{slug}/", who.0),
                _ => format!("/dav/{}/{slug}/{name}", who.0),
            };
            let (method, headers, body) = methods(&path).swap_remove(at);
            let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let before = world.names("anna", "work").await;
            let answer = world.send(*who, method, &path, &headers, &body).await;
            let class = class(&answer);
            got.push(class);
            if class != '2' {
                assert_eq!(world.names("anna", "work").await, before, "{who:?} {method} {kind}: refused, and done");
            }
        }
        if got != **wanted {
            wrong.insert((*who, *kind), (got, *wanted));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Bodies of REPORT that look for what is hidden.
fn probes(word: &str) -> Vec<String> {
    let query = |filter: &str, data: &str| {
        format!(
            r#"<C:calendar-query xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><prop><getetag/>{data}</prop><C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT">{filter}</C:comp-filter></C:comp-filter></C:filter></C:calendar-query>"#
        )
    };
    let mut probes: Vec<String> =
        ["SUMMARY", "LOCATION", "DESCRIPTION", "UID", "ATTENDEE", "ORGANIZER", "X-OWN", "CATEGORIES", "ATTACH"]
            .iter()
            .map(|name| {
                query(
                    &format!(r#"<C:prop-filter name="{name}"><C:text-match>{word}</C:text-match></C:prop-filter>"#),
                    "",
                )
            })
            .collect();
    probes.push(query(
        r#"<C:prop-filter name="ATTENDEE"><C:param-filter name="PARTSTAT"><C:text-match>TENTATIVE</C:text-match></C:param-filter></C:prop-filter>"#,
        "",
    ));
    probes.push(query(r#"<C:comp-filter name="VALARM"/>"#, ""));
    probes.push(query(r#"<C:prop-filter name="X-OWN"/>"#, ""));
    probes.push(query(r#"<C:prop-filter name="CREATED"/>"#, ""));
    probes
}

/// Everything that can be asked of a calendar, and all that is told: nothing of what is hidden is in it, and no question
/// finds what the answer does not show.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_hidden_is_in_any_answer() {
    let world = World::new().await;
    for (who, titles) in [("busy", 0), ("title", 1), ("read", 1)] {
        let who = Who(who, false);
        let home = format!("/dav/{}/", who.0);
        let calendar = format!("{home}work.anna/");
        let mut answers: Vec<(String, String)> = Vec::new();
        let mut ask = async |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
            let answer = world.send(who, method, path, headers, body).await;
            let head: String =
                answer.headers().iter().map(|(n, v)| format!("{n}: {}\n", v.to_str().unwrap())).collect();
            let text = format!("{}{}", head, String::from_utf8_lossy(answer.body()));
            answers.push((format!("{method} {path} {body}"), text.clone()));
            text
        };
        let names = world.names(who.0, "work.anna").await;
        assert_eq!(names.len(), 2);
        let hrefs: String = names.iter().map(|n| format!("<href>{calendar}{n}</href>")).collect();
        for (path, depth) in [(&home, "1"), (&calendar, "0"), (&calendar, "1")] {
            ask("PROPFIND", path, &[("Depth", depth)], "").await;
            ask("PROPFIND", path, &[("Depth", depth)], r#"<propfind xmlns="DAV:"><propname/></propfind>"#).await;
            let all: String =
                dav::props::PROPS.iter().map(|p| format!("<{} xmlns=\"{}\"/>", p.name, p.ns.uri())).collect();
            let all = format!(r#"<D:propfind xmlns:D="DAV:"><D:prop>{all}</D:prop></D:propfind>"#);
            ask("PROPFIND", path, &[("Depth", depth)], &all).await;
        }
        for name in &names {
            ask("GET", &format!("{calendar}{name}"), &[], "").await;
            ask("PUT", &format!("{calendar}{name}"), &[("If-Match", "\"no\"")], &plain("x")).await;
            ask("DELETE", &format!("{calendar}{name}"), &[("If-Match", "\"no\"")], "").await;
        }
        // Whether a UID or a name is there is not to be found out by trying to take it.
        ask("PUT", &format!("{calendar}try.ics"), &[], &plain("hidden-uid")).await;
        ask("GET", &format!("{calendar}hidden-uid-private.ics"), &[], "").await;
        let data = [
            "<C:calendar-data/>",
            r#"<C:calendar-data><C:expand start="20260601T000000Z" end="20260701T000000Z"/></C:calendar-data>"#,
            r#"<C:calendar-data><C:comp name="VCALENDAR"><C:comp name="VEVENT"><C:prop name="LOCATION"/><C:prop name="SUMMARY"/></C:comp></C:comp></C:calendar-data>"#,
        ];
        let range = r#"<C:time-range start="20260601T000000Z" end="20260701T000000Z"/>"#;
        for data in data {
            let ns = r#"xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav""#;
            ask(
                "REPORT",
                &calendar,
                &[],
                &format!("<C:calendar-multiget {ns}><prop><getetag/>{data}</prop>{hrefs}</C:calendar-multiget>"),
            )
            .await;
            ask(
                "REPORT",
                &home,
                &[],
                &format!("<C:calendar-multiget {ns}><prop>{data}</prop>{hrefs}</C:calendar-multiget>"),
            )
            .await;
            ask("REPORT", &calendar, &[], &format!(r#"<C:calendar-query {ns}><prop>{data}</prop><C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT">{range}</C:comp-filter></C:comp-filter></C:filter></C:calendar-query>"#)).await;
            ask("REPORT", &calendar, &[], &format!("<sync-collection {ns}><sync-token/><sync-level>1</sync-level><prop><getetag/>{data}</prop></sync-collection>")).await;
            ask("REPORT", &calendar, &[], &format!("<C:free-busy-query {ns}>{range}</C:free-busy-query>")).await;
        }
        let shown = |answers: &[(String, String)]| -> Vec<String> {
            let hidden = HIDDEN.iter().filter(|_| who.0 != "read").copied();
            let all: Vec<&str> = hidden.chain((titles == 0).then_some(TITLE)).collect();
            let mut found = Vec::new();
            for (asked, text) in answers {
                for word in all.iter().filter(|word| text.contains(*word) && !asked.contains(*word)) {
                    found.push(format!("{word} in the answer to {asked}:\n{text}"));
                }
                // Of what is private, nobody sees more than the time.
                if text.contains("hidden-uid-private") && !asked.contains("hidden-uid-private") {
                    found.push(format!("the private one in the answer to {asked}:\n{text}"));
                }
            }
            found
        };
        let found = shown(&answers);
        assert!(found.is_empty(), "{}", found.concat());
        assert!(answers.iter().any(|(_, text)| text.contains("20260612T120000Z")), "something was told");
        let told = answers.iter().filter(|(asked, text)| asked.starts_with("GET") && text.contains(TITLE)).count();
        assert_eq!(told, titles, "{who:?}");

        // Filters see what is shown and nothing else.
        for word in HIDDEN.into_iter().chain([TITLE]) {
            for probe in probes(word) {
                let answer = world.send(who, "REPORT", &calendar, &[], &probe).await;
                let text = String::from_utf8_lossy(answer.body()).into_owned();
                let hits = text.matches("<D:response>").count();
                let may = match who.0 {
                    "busy" => 0,
                    "title" if word == TITLE && probe.contains("SUMMARY") => 1,
                    "title" => 0,
                    _ => 1,
                };
                assert!(hits <= may, "{who:?} finds {hits} by {probe}:\n{text}");
            }
        }
    }
}

/// What OPTIONS offers is what is possible: a client that believes it shows no button that ends in an error.
#[tokio::test(flavor = "multi_thread")]
async fn allow_says_what_a_grant_allows() {
    let world = World::new().await;
    for (who, in_calendar, on_resource) in [
        (Who("anna", false), "PUT POST DELETE MOVE", "PUT DELETE MOVE"),
        (Who("anna", true), "", ""),
        (Who("write", false), "PUT POST DELETE MOVE", "PUT DELETE MOVE"),
        (Who("write", true), "", ""),
        // It can be left.
        (Who("read", false), "DELETE", ""),
        (Who("read", true), "", ""),
        (Who("title", false), "DELETE", ""),
        (Who("busy", false), "DELETE", ""),
    ] {
        let slug = if who.0 == "anna" { "work" } else { "work.anna" };
        let name = world.names(who.0, slug).await.into_iter().find(|n| !n.contains("private")).unwrap();
        let calendar = format!("/dav/{}/{slug}/", who.0);
        for (path, expect) in [(calendar.clone(), in_calendar), (format!("{calendar}{name}"), on_resource)] {
            let answer = world.send(who, "OPTIONS", &path, &[], "").await;
            let said = answer.headers()["allow"].to_str().unwrap();
            let writing = ["PUT", "POST", "DELETE", "MOVE"];
            let writing: Vec<&str> = said.split(", ").filter(|method| writing.contains(method)).collect();
            assert_eq!(writing.join(" "), expect, "{who:?} {path}");
        }
    }
}

/// `all` is made of what carl may see and change, and of what he sees as busy.
const SHARED: &str = r#"
[[user]]
name = "anna"
email = "anna@example.com"
[[user.calendar]]
name = "pub"
[[user.calendar]]
name = "hid"
[[user.unified]]
name = "all"
members = MEMBERS
write_to = "pub"
[[user.grant]]
calendar = "all"
to = "carl"
may = "write"

[[user]]
name = "carl"
[[user.calendar]]
name = "own"
"#;

/// All that carl gets to see when he tries to make the UID `hidden-uid` in every way there is, while what is hidden has
/// the UID `held`.
async fn tried(members: &str, held: &str) -> Vec<String> {
    let world = World { app: kit::app("sqlite::memory:", &SHARED.replace("MEMBERS", members)).await };
    world.put("anna", "hid", "held.ics", &secret(held, "X-NOTHING:1")).await;
    let carl = Who("carl", false);
    let all = "/dav/carl/all.anna";
    let block = world.names("carl", "all.anna").await;
    assert_eq!(block.len(), 1, "{block:?}");
    let text = plain("hidden-uid");
    let sync = r#"<sync-collection xmlns="DAV:"><sync-token/><sync-level>1</sync-level><prop><displayname/></prop></sync-collection>"#;
    let query = r#"<C:calendar-query xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><prop><displayname/></prop><C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT"><C:time-range start="20260601T000000Z" end="20260701T000000Z"/></C:comp-filter></C:comp-filter></C:filter></C:calendar-query>"#;
    let to_all = ("Destination", "/dav/carl/all.anna/moved.ics");
    let to_own = ("Destination", "/dav/carl/own/back.ics");
    let own = "/dav/carl/own/x.ics".to_owned();
    let at = |name: &str| format!("{all}/{name}");
    /// Method, path, headers, body.
    type Step<'a> = (&'a str, String, &'a [(&'a str, &'a str)], &'a str);
    let steps: [Step; 18] = [
        ("PUT", at("a.ics"), &[("If-None-Match", "*")], &text),
        ("GET", at("a.ics"), &[], ""),
        ("PUT", at("b.ics"), &[], &text),
        ("PUT", at("a.ics"), &[], &text),
        ("DELETE", at("a.ics"), &[], ""),
        ("GET", at("a.ics"), &[], ""),
        ("POST", at(""), &[("Content-Type", "text/calendar")], &text),
        ("POST", at(""), &[("Content-Type", "text/calendar")], &text),
        ("GET", at("hidden-uid.ics"), &[], ""),
        ("DELETE", at("hidden-uid.ics"), &[], ""),
        ("PUT", own.clone(), &[], &text),
        ("COPY", own.clone(), &[to_all], ""),
        ("GET", at("moved.ics"), &[], ""),
        ("DELETE", at("moved.ics"), &[], ""),
        ("MOVE", own.clone(), &[to_all], ""),
        ("GET", at("moved.ics"), &[], ""),
        ("MOVE", at("moved.ics"), &[to_own], ""),
        ("GET", at("moved.ics"), &[], ""),
    ];
    let mut seen = Vec::new();
    for (method, path, headers, body) in steps {
        let answer = world.send(carl, method, &path, headers, body).await;
        let mut told = format!("{method} {path}: {}", answer.status());
        for name in ["etag", "location"] {
            let value = answer.headers().get(name).map(|v| v.to_str().unwrap());
            told += &format!(" {}", value.unwrap_or("-"));
        }
        told += &String::from_utf8_lossy(answer.body());
        let mut names = world.names("carl", "all.anna").await;
        assert!(names.contains(&block[0]), "what is hidden goes on to take its time: {told}");
        names.sort_by_key(|name| *name != block[0]);
        told += &names.join(" ");
        for ask in [sync, query] {
            let answer = world.send(carl, "REPORT", &at(""), &[], ask).await;
            let text = String::from_utf8_lossy(answer.body()).into_owned();
            told += &format!(" {}", text.matches("<D:response>").count());
        }
        seen.push(told.replace(&block[0], "BLOCK"));
    }
    seen
}

/// Who may write in a calendar of which a part is masked does not find out which UIDs are in that part.
#[tokio::test(flavor = "multi_thread")]
async fn a_uid_that_is_hidden_is_made_like_any_other() {
    for members in [
        r#"["pub", { calendar = "hid", mask = "busy" }]"#,
        r#"[{ calendar = "hid", mask = "busy" }, "pub"]"#,
        r#"[{ calendar = "hid", mask = "title" }, "pub"]"#,
    ] {
        let (hit, miss) = (tried(members, "hidden-uid").await, tried(members, "other-uid").await);
        for (hit, miss) in hit.iter().zip(&miss) {
            assert_eq!(hit, miss, "{members}");
        }
        assert!(hit[0].contains(": 201 Created") && hit[0].ends_with("BLOCK a.ics 2 2"), "{}", hit[0]);
        assert!(hit[2].contains("no-uid-conflict") && hit[2].contains("a.ics"), "{}", hit[2]);
        assert!(hit[6].contains(": 201 Created") && hit[11].contains(": 201") && hit[14].contains(": 201"), "{hit:#?}");
    }
}

/// A right login is remembered for a minute. Whose user is removed meanwhile finds nothing, and no fault of the server.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_finds_nothing() {
    let world = World::new().await;
    world.app.store.write(|tx| users::add(tx, "gone", None, &[], "UTC")).await.unwrap().expect("the name is free");
    let actor = kit::actor(&world.app, "gone").await;
    let send = async |method: &str, path: &str, body: &str| {
        let headers = [("Content-Type", "text/calendar")];
        kit::ask(&world.app, &actor, method, path, &headers, body).await.status().as_u16()
    };
    let sync =
        "<D:sync-collection xmlns:D='DAV:'><D:sync-token/><D:sync-level>1</D:sync-level><D:prop/></D:sync-collection>";
    let busy = "<C:free-busy-query xmlns:C='urn:ietf:params:xml:ns:caldav'><C:time-range start='20260601T000000Z' \
                end='20260701T000000Z'/></C:free-busy-query>";
    assert_eq!(send("MKCALENDAR", "/dav/gone/c/", "").await, 201);
    assert_eq!(send("PROPFIND", "/dav/", "").await, 207);
    assert!(world.app.store.write(|tx| users::remove(tx, "gone", NOW)).await.unwrap());
    for (method, path, body) in [
        ("PROPFIND", "/", ""),
        ("PROPFIND", "/dav/", ""),
        ("PROPFIND", "/dav/principals/gone/", ""),
        ("PROPFIND", "/dav/gone/", ""),
        ("PROPFIND", "/dav/gone/inbox/", ""),
        ("PROPFIND", "/dav/gone/c/", ""),
        ("REPORT", "/dav/gone/", sync),
        ("REPORT", "/dav/gone/", busy),
        ("REPORT", "/dav/gone/c/", sync),
        ("GET", "/dav/gone/c/", ""),
        ("DELETE", "/dav/gone/c/", ""),
        ("PUT", "/dav/gone/c/a.ics", SECRET),
        ("POST", "/dav/gone/c/", SECRET),
        ("MKCALENDAR", "/dav/gone/d/", ""),
    ] {
        let status = send(method, path, body).await;
        assert!(matches!(status, 403 | 404 | 409), "{method} {path}: {status}");
    }
}
