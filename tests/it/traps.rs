//! Traps that young CalDAV servers fell into, each with what it did to clients: one test a trap, as a client would find it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant as Clock};

use calgate::ical::Object;
use calgate::ids::Name;
use calgate::store::resources::{self, Version};
use calgate::store::{self, calendars};

use crate::client::{Seen, ask, house, say};
use crate::web::{Gateway, NOW, PASSWORD, basic, event, wire};

const NS: &str =
    "xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\" xmlns:CS=\"http://calendarserver.org/ns/\"";
const CALENDAR: &str = "Content-Type: text/calendar\r\n";

async fn seen(gateway: &Gateway, method: &str, path: &str, headers: &str, body: &str) -> Seen {
    Seen::of(ask(gateway, method, path, headers, body).await, "")
}

async fn propfind(gateway: &Gateway, path: &str, depth: u8, props: &str) -> Seen {
    let body = format!("<D:propfind {NS}><D:prop>{props}</D:prop></D:propfind>");
    let seen = seen(gateway, "PROPFIND", path, &format!("Depth: {depth}\r\n"), &body).await;
    assert_eq!(seen.answer.status, 207, "{path}");
    seen
}

async fn sync(gateway: &Gateway, path: &str, token: &str, more: &str, props: &str) -> Seen {
    let body = format!(
        "<D:sync-collection {NS}><D:sync-token>{token}</D:sync-token><D:sync-level>1</D:sync-level>{more}\
         <D:prop>{props}</D:prop></D:sync-collection>"
    );
    seen(gateway, "REPORT", path, "Depth: 0\r\n", &body).await
}

async fn query(gateway: &Gateway, path: &str, data: &str, start: &str, end: &str) -> Seen {
    let body = format!(
        "<C:calendar-query {NS}><D:prop><D:getetag/>{data}</D:prop><C:filter><C:comp-filter name=\"VCALENDAR\">\
         <C:comp-filter name=\"VEVENT\"><C:time-range start=\"{start}\" end=\"{end}\"/></C:comp-filter></C:comp-filter>\
         </C:filter></C:calendar-query>"
    );
    seen(gateway, "REPORT", path, "Depth: 1\r\n", &body).await
}

async fn busy(gateway: &Gateway, path: &str, start: &str, end: &str) -> crate::web::Answer {
    let body = format!("<C:free-busy-query {NS}><C:time-range start=\"{start}\" end=\"{end}\"/></C:free-busy-query>");
    ask(gateway, "REPORT", path, "Depth: 1\r\n", &body).await
}

async fn put(gateway: &Gateway, path: &str, text: &str) -> crate::web::Answer {
    ask(gateway, "PUT", path, CALENDAR, text).await
}

async fn token(gateway: &Gateway, path: &str) -> String {
    propfind(gateway, path, 0, "<D:sync-token/>").await.prop(path, "D:sync-token").expect("a token").text.clone()
}

/// The client that is told of everything anew keeps what was deleted meanwhile, for ever.
#[tokio::test(flavor = "multi_thread")]
async fn trap_01_an_invalid_token_is_never_taken_for_none() {
    let gateway = house().await;
    let (work, of_home) = (token(&gateway, "/dav/anna/work/").await, token(&gateway, "/dav/anna/").await);
    let of_all = token(&gateway, "/dav/anna/all/").await;
    let (epoch, seq) = work.rsplit_once(':').expect("a token");
    let future = format!("{epoch}:{}", seq.parse::<u64>().expect("a number") + 1);
    let long = "urn:".repeat(2_000);
    for path in ["/dav/anna/work/", "/dav/anna/all/", "/dav/anna/"] {
        let own = token(&gateway, path).await;
        let others = [&work, &of_home, &of_all].into_iter().filter(|token| **token != own).map(String::as_str);
        let never = ["x", "0", "urn:calgate:", "urn:calgate:0:1", "http://other.example/ns/sync/7", " urn : x ", &long];
        let (grown, two) = (format!("{own}0"), format!("{own} 1"));
        for token in others.chain(never).chain([future.as_str(), &grown, &two]) {
            let refused = sync(&gateway, path, token, "", "<D:getetag/>").await;
            assert_eq!(refused.answer.status, 403, "{token:?} at {path}");
            assert!(refused.answer.body.contains("<D:valid-sync-token/>"), "{token:?} at {path}");
            assert!(!refused.answer.body.contains("<D:response>"), "{token:?} at {path}");
        }
        assert_eq!(sync(&gateway, path, &own, "", "<D:getetag/>").await.answer.status, 207, "{path}");
    }
}

/// What was cut away is never told: the client believes that it has all of it.
#[tokio::test(flavor = "multi_thread")]
async fn trap_02_the_last_token_does_not_come_with_a_list_that_was_cut() {
    let gateway = house().await;
    let path = "/dav/anna/work/";
    let last = token(&gateway, path).await;
    let listed = propfind(&gateway, path, 1, "<D:getetag/>").await.hrefs().expect("hrefs");
    let members: BTreeSet<String> = listed.into_iter().filter(|href| href != path).collect();
    assert_eq!(members.len(), 4);
    for limit in 1..=5 {
        let (mut now, mut told) = (String::new(), BTreeSet::new());
        loop {
            let more = format!("<D:limit><D:nresults>{limit}</D:nresults></D:limit>");
            let page = sync(&gateway, path, &now, &more, "<D:getetag/>").await;
            let hrefs = page.hrefs().expect("a page");
            let cut = hrefs.iter().any(|href| href == path);
            let new: Vec<String> = hrefs.into_iter().filter(|href| href != path).collect();
            assert!(new.len() <= limit, "{new:?}");
            told.extend(new);
            let next = page.token().expect("a token").to_owned();
            assert_ne!(next, now, "the client goes round in circles");
            assert_eq!(cut, next != last, "507 says that there is more, and the last token that there is not");
            now = next;
            if !cut {
                break;
            }
        }
        assert_eq!(told, members, "pages of {limit}");
    }
}

/// Evolution ignores a token that is no URI, and asks for everything each time.
#[tokio::test(flavor = "multi_thread")]
async fn trap_03_a_token_is_a_uri() {
    let gateway = house().await;
    for path in ["/dav/anna/work/", "/dav/anna/team/", "/dav/anna/all/", "/dav/anna/"] {
        let listed = token(&gateway, path).await;
        let told = sync(&gateway, path, "", "", "<D:displayname/>").await;
        for token in [listed.as_str(), told.token().expect("a token")] {
            let (scheme, rest) = token.split_once(':').expect("a scheme");
            assert!(!scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphabetic()), "{token}");
            let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=%".contains(&b);
            assert!(!rest.is_empty() && rest.bytes().all(legal), "{token}");
        }
    }
}

/// With one token for an account, each change makes every calendar be listed.
#[tokio::test(flavor = "multi_thread")]
async fn trap_04_a_change_in_one_calendar_is_no_work_for_another() {
    let gateway = house().await;
    let state = async |path: &str| {
        let seen = propfind(&gateway, path, 0, "<D:sync-token/><CS:getctag/>").await;
        let text = |prop| seen.prop(path, prop).expect("it is there").text.clone();
        (text("D:sync-token"), text("CS:getctag"))
    };
    let before = [state("/dav/anna/work/").await, state("/dav/anna/team/").await, state("/dav/anna/all/").await];
    let text = event("UID:x\nDTSTART:20260610T090000Z");
    assert_eq!(put(&gateway, "/dav/anna/home/x.ics", &text).await.status, 201);
    assert_eq!([state("/dav/anna/work/").await, state("/dav/anna/team/").await, state("/dav/anna/all/").await], before);
    assert_eq!(put(&gateway, "/dav/anna/work/x.ics", &text).await.status, 201);
    let after = [state("/dav/anna/work/").await, state("/dav/anna/team/").await, state("/dav/anna/all/").await];
    assert_eq!(before[1], after[1]);
    for (before, after) in [(&before[0], &after[0]), (&before[2], &after[2])] {
        assert!(before.0 != after.0 && before.1 != after.1, "where it changed both move");
    }
}

/// The client holds what it sent, and an ETag for what it has never seen: its next write fails, or loses something.
#[tokio::test(flavor = "multi_thread")]
async fn trap_05_an_etag_after_a_put_is_for_these_very_bytes() {
    let gateway = house().await;
    let good = event("UID:a\nDTSTART:20260610T090000Z\nX-ODD;P=\"1\":kept , as it came");
    let plain = good.replace("\r\n", "\n");
    let repaired = event("UID:a\nDTSTART:2026-06-10T09:00:00Z\nSUMMARY:one\nline more");
    let mut with = 0;
    for (name, text) in [("good", &good), ("plain", &plain), ("repaired", &repaired)] {
        let path = format!("/dav/anna/work/{name}.ics");
        let text = text.replace("UID:a", &format!("UID:{name}"));
        let stored = put(&gateway, &path, &text).await;
        assert_eq!(stored.status, 201, "{name}");
        let read = ask(&gateway, "GET", &path, "", "").await;
        let etag = stored.header("etag");
        assert_eq!(!etag.is_empty(), read.body == text, "{name}: an ETag and other bytes, or none and the same");
        assert!(etag.is_empty() || etag == read.header("etag"), "{name}");
        with += usize::from(!etag.is_empty());
    }
    assert!((1..=2).contains(&with), "{with} of three had one");
}

/// A client that believes in locks sends LOCK before each write, and gives up when it is refused.
#[tokio::test(flavor = "multi_thread")]
async fn trap_06_locks_are_not_claimed() {
    let gateway = house().await;
    let paths = ["/", "/dav/", "/dav/principals/anna/", "/dav/anna/", "/dav/anna/work/", "/dav/anna/work/lunch.ics"];
    for path in paths {
        let claimed = ask(&gateway, "OPTIONS", path, "", "").await;
        let classes: Vec<&str> = claimed.header("dav").split(", ").collect();
        assert!(classes.contains(&"1") && !classes.contains(&"2"), "{path}: {classes:?}");
        assert!(!claimed.header("allow").contains("LOCK"), "{path}");
    }
    let body = "<D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype>\
                </D:lockinfo>";
    for path in &paths[3..] {
        assert_eq!(ask(&gateway, "LOCK", path, "Depth: 0\r\n", body).await.status, 405, "{path}");
        let seen = propfind(&gateway, path, 0, "<D:supportedlock/>").await;
        assert!(seen.prop(path, "D:supportedlock").expect("it is there").children.is_empty(), "{path}");
    }
}

/// A class that is misspelt is not heard; `calendar-auto-schedule` where nobody sends keeps every invitation at home.
#[tokio::test(flavor = "multi_thread")]
async fn trap_07_every_class_is_spelt_right_and_automatic_scheduling_is_not_claimed() {
    let gateway = house().await;
    let known = [
        "1",
        "3",
        "access-control",
        "extended-mkcol",
        "calendar-access",
        "calendar-availability",
        "calendar-no-timezone",
        "calendar-query-extended",
        "calendar-managed-attachments",
        "calendar-schedule",
        "calendarserver-sharing",
        "calendarserver-principal-search",
        "calendarserver-principal-property-search",
        "calendarserver-home-sync",
        "calendarserver-subscribed",
        "calendar-proxy",
        "webdav-push",
        "add-member",
    ];
    for path in
        ["/dav/", "/dav/principals/anna/", "/dav/anna/", "/dav/anna/work/", "/dav/anna/all/", "/dav/anna/inbox/"]
    {
        let asked = ask(&gateway, "OPTIONS", path, "", "").await;
        let found = propfind(&gateway, path, 0, "<D:resourcetype/>").await.answer;
        for dav in [asked.header("dav"), found.header("dav")] {
            let classes: Vec<&str> = dav.split(", ").collect();
            assert!(classes.contains(&"calendar-access"), "{path}: {dav}");
            let strange: Vec<&&str> = classes.iter().filter(|class| !known.contains(class)).collect();
            assert!(strange.is_empty(), "{path}: {strange:?}");
        }
    }
}

/// By its first and last instance alone, a series is found in its gaps, and one whose end was misjudged in none of them.
#[tokio::test(flavor = "multi_thread")]
async fn trap_08_a_series_is_found_where_it_is_and_not_between() {
    let gateway = house().await;
    let yearly = event("UID:y\nDTSTART:20200229T090000Z\nDURATION:PT1H\nRRULE:FREQ=YEARLY\nEXDATE:20240229T090000Z");
    let dates = event("UID:d\nDTSTART:20200101T090000Z\nDURATION:PT1H\nRDATE:20300101T090000Z");
    assert_eq!(put(&gateway, "/dav/anna/home/y.ics", &yearly).await.status, 201);
    assert_eq!(put(&gateway, "/dav/anna/home/d.ics", &dates).await.status, 201);
    for (start, end, expect) in [
        ("20200229T000000Z", "20200301T000000Z", &["y"][..]),
        ("20210101T000000Z", "20220101T000000Z", &[]),
        ("20240229T000000Z", "20240301T000000Z", &[]),
        ("20280229T080000Z", "20280229T090000Z", &[]),
        ("20280229T095900Z", "20280301T000000Z", &["y"]),
        ("20300101T000000Z", "20300102T000000Z", &["d"]),
        ("20250601T000000Z", "20250602T000000Z", &[]),
        ("20310101T000000Z", "20320101T000000Z", &[]),
        ("20480101T000000Z", "20490101T000000Z", &["y"]),
    ] {
        let found = query(&gateway, "/dav/anna/home/", "", start, end).await;
        let expect: Vec<String> = expect.iter().map(|name| format!("/dav/anna/home/{name}.ics")).collect();
        assert_eq!(found.hrefs().expect("hrefs"), expect, "{start}");
    }
}

/// 32 bits of seconds end in January 2038.
#[tokio::test(flavor = "multi_thread")]
async fn trap_09_time_goes_on_after_2038() {
    let gateway = house().await;
    let series = event("UID:s\nDTSTART:19700105T090000Z\nDURATION:PT1H\nRRULE:FREQ=WEEKLY");
    let single = event("UID:e\nDTSTART;VALUE=DATE:20990704\nSUMMARY:Far");
    assert_eq!(put(&gateway, "/dav/anna/home/s.ics", &series).await.status, 201);
    assert_eq!(put(&gateway, "/dav/anna/home/e.ics", &single).await.status, 201);
    // 2199-01-07 is a Monday.
    let data = "<C:calendar-data><C:expand start=\"21990101T000000Z\" end=\"21990108T000000Z\"/></C:calendar-data>";
    let found = query(&gateway, "/dav/anna/home/", data, "21990101T000000Z", "21990108T000000Z").await;
    assert_eq!(found.hrefs().expect("hrefs"), ["/dav/anna/home/s.ics"]);
    let text = &found.prop("/dav/anna/home/s.ics", "C:calendar-data").expect("data").text;
    assert!(text.contains("DTSTART:21990107T090000Z"), "{text}");
    let found = query(&gateway, "/dav/anna/home/", "", "20990704T100000Z", "20990704T110000Z").await;
    assert_eq!(found.hrefs().expect("hrefs"), ["/dav/anna/home/e.ics"]);
    let times = busy(&gateway, "/dav/anna/home/", "20380118T000000Z", "20380120T000000Z").await;
    assert!(times.body.contains(":20380118T090000Z/"), "{}", times.body);
}

/// Where a poll looks at every event, clients that ask each minute are all that a server does.
#[tokio::test(flavor = "multi_thread")]
async fn trap_10_a_poll_costs_the_same_however_much_is_there() {
    let gateway = house().await;
    let filled = gateway.app.store.write(|tx| {
        let calendar = calendars::every(tx)?.into_iter().find(|c| c.owner == "anna" && c.slug == "home").expect("home");
        for number in 0..3_000 {
            let object = Object::parse(&event(&format!("UID:{number}\nDTSTART:20260610T090000Z"))).expect("an object");
            let name = Name::new(&format!("{number}.ics")).expect("a name");
            resources::save(tx, &calendar, &name, Version::Client(Some(&object)), NOW)?;
        }
        Ok::<_, store::Error>(())
    });
    filled.await.expect("it is filled");
    // The best of many: what else the machine does only adds to it.
    let best = async |method: &str, path: &str, body: &str| {
        let mut wire = wire(&gateway).await;
        let mut best = Duration::MAX;
        let headers = format!("{}Depth: 0\r\n", basic("anna", PASSWORD));
        for _ in 0..40 {
            let begun = Clock::now();
            assert_eq!(say(&mut wire, method, path, &headers, body).await.status, 207);
            best = best.min(begun.elapsed());
        }
        best
    };
    let poll = format!("<D:propfind {NS}><D:prop><CS:getctag/><D:sync-token/></D:prop></D:propfind>");
    let (few, many) =
        (best("PROPFIND", "/dav/anna/work/", &poll).await, best("PROPFIND", "/dav/anna/home/", &poll).await);
    assert!(many < 4 * few + Duration::from_millis(1), "{few:?} for 4 events, {many:?} for 3000");
    let nothing = |token: &str| {
        format!(
            "<D:sync-collection {NS}><D:sync-token>{token}</D:sync-token><D:sync-level>1</D:sync-level><D:prop>\
             <D:getetag/></D:prop></D:sync-collection>"
        )
    };
    let few = best("REPORT", "/dav/anna/work/", &nothing(&token(&gateway, "/dav/anna/work/").await)).await;
    let many = best("REPORT", "/dav/anna/home/", &nothing(&token(&gateway, "/dav/anna/home/").await)).await;
    assert!(many < 4 * few + Duration::from_millis(1), "no news: {few:?} for 4 events, {many:?} for 3000");
}

/// Thunderbird shows time without a type as not known; of several components clients read the first.
#[tokio::test(flavor = "multi_thread")]
async fn trap_11_busy_time_says_its_type_and_is_one_component() {
    let gateway = house().await;
    let maybe = event("UID:m\nDTSTART:20260603T090000Z\nDURATION:PT1H\nSTATUS:TENTATIVE");
    assert_eq!(put(&gateway, "/dav/anna/work/m.ics", &maybe).await.status, 201);
    let told = busy(&gateway, "/dav/anna/work/", "20260601T000000Z", "20260701T000000Z").await;
    assert_eq!(told.status, 200);
    assert_eq!(told.body.matches("BEGIN:VFREEBUSY").count(), 1, "{}", told.body);
    let times: Vec<&str> = told.body.lines().filter(|line| line.starts_with("FREEBUSY")).collect();
    assert!(times.len() > 3, "{times:?}");
    assert!(times.iter().all(|line| line.starts_with("FREEBUSY;FBTYPE=BUSY")), "{times:?}");
    assert!(times.iter().any(|line| line.starts_with("FREEBUSY;FBTYPE=BUSY-TENTATIVE:20260603T090000Z/")), "{times:?}");
}

/// A client that asks for instances and gets the series shows one event, on its first day.
#[tokio::test(flavor = "multi_thread")]
async fn trap_12_expand_is_heard_in_multiget() {
    let gateway = house().await;
    let href = "/dav/anna/work/standup.ics";
    let body = format!(
        "<C:calendar-multiget {NS}><D:prop><D:getetag/><C:calendar-data><C:expand start=\"20260608T000000Z\" \
         end=\"20260612T000000Z\"/></C:calendar-data></D:prop><D:href>{href}</D:href></C:calendar-multiget>"
    );
    let told = seen(&gateway, "REPORT", "/dav/anna/work/", "Depth: 1\r\n", &body).await;
    let text = &told.prop(href, "C:calendar-data").expect("data").text;
    assert_eq!(text.matches("BEGIN:VEVENT").count(), 3, "{text}");
    assert!(!text.contains("RRULE") && text.matches("RECURRENCE-ID").count() == 3, "{text}");
}

/// Without MOVE, macOS shows a dialog that never ends when an event is dragged to another calendar.
#[tokio::test(flavor = "multi_thread")]
async fn trap_13_what_is_dragged_moves() {
    let gateway = house().await;
    let before = ask(&gateway, "GET", "/dav/anna/work/lunch.ics", "", "").await;
    let to = |path: &str| format!("Destination: https://cal.example.org{path}\r\n");
    let moved = ask(&gateway, "MOVE", "/dav/anna/work/lunch.ics", &to("/dav/anna/home/lunch.ics"), "").await;
    assert_eq!(moved.status, 201, "{}", moved.body);
    assert_eq!(ask(&gateway, "GET", "/dav/anna/work/lunch.ics", "", "").await.status, 404);
    assert_eq!(ask(&gateway, "GET", "/dav/anna/home/lunch.ics", "", "").await.body, before.body);
    let copied = ask(&gateway, "COPY", "/dav/anna/home/lunch.ics", &to("/dav/anna/work/again.ics"), "").await;
    assert_eq!(copied.status, 201, "{}", copied.body);
    assert_eq!(ask(&gateway, "GET", "/dav/anna/work/again.ics", "", "").await.body, before.body);
    let allow = ask(&gateway, "OPTIONS", "/dav/anna/home/lunch.ics", "", "").await;
    assert!(["COPY", "MOVE"].iter().all(|method| allow.header("allow").contains(method)), "{}", allow.header("allow"));
}

/// Thunderbird and GNOME take 204 for a failure.
#[tokio::test(flavor = "multi_thread")]
async fn trap_14_options_is_200() {
    let gateway = house().await;
    let mut wire = wire(&gateway).await;
    for path in [
        "/",
        "/dav/",
        "/dav/principals/",
        "/dav/anna/",
        "/dav/anna/work/",
        "/dav/anna/work/lunch.ics",
        "/dav/anna/none/",
        "/remote.php/dav",
        "/nothing",
    ] {
        for headers in [String::new(), basic("anna", PASSWORD)] {
            let answer = say(&mut wire, "OPTIONS", path, &headers, "").await;
            assert_eq!((answer.status, answer.header("content-length")), (200, "0"), "{path}");
        }
    }
}

/// When macOS 13 renamed its program, servers that knew it by name let nobody write any more.
#[tokio::test(flavor = "multi_thread")]
async fn trap_15_the_name_of_a_client_decides_nothing() {
    let gateway = house().await;
    let agents = [
        "",
        "User-Agent: macOS/13.0 (22A380) dataaccessd/1.0\r\n",
        "User-Agent: Mac+OS+X/10.11 (15A283) CalendarAgent/361\r\n",
        "User-Agent: iOS/18.1.1 (22B91) remindd/1.0\r\n",
        "User-Agent: curl/8\r\n",
        "User-Agent: Mozilla/5.0 Thunderbird/153.7\r\n",
        "User-Agent: never seen before\r\n",
    ];
    let body = format!(
        "<D:propfind {NS}><D:prop><D:current-user-privilege-set/><D:supported-report-set/><C:supported-calendar-component-set/>\
         <D:displayname/><D:owner/></D:prop></D:propfind>"
    );
    let mut told = BTreeSet::new();
    for (at, agent) in agents.iter().enumerate() {
        let listed = ask(&gateway, "PROPFIND", "/dav/anna/", &format!("Depth: 1\r\n{agent}"), &body).await;
        told.insert((listed.header("dav").to_owned(), listed.body));
        let text = event(&format!("UID:{at}\nDTSTART:20260610T090000Z"));
        let written =
            ask(&gateway, "PUT", &format!("/dav/anna/work/{at}.ics"), &format!("{CALENDAR}{agent}"), &text).await;
        let refused =
            ask(&gateway, "PUT", &format!("/dav/anna/team/{at}.ics"), &format!("{CALENDAR}{agent}"), &text).await;
        assert_eq!((written.status, refused.status), (201, 403), "{agent}");
    }
    assert_eq!(told.len(), 1, "they are told different things");
}

/// One event can cost hours of work and all memory (CVE-2025-59045).
#[tokio::test(flavor = "multi_thread")]
async fn trap_16_a_rule_without_end_is_bounded() {
    let gateway = house().await;
    let begun = Clock::now();
    let (start, end) = ("20260101T000000Z", "20300101T000000Z");
    for (at, rule) in [
        "FREQ=SECONDLY",
        "FREQ=MINUTELY;BYSECOND=0,1,2,3,4,5,6,7,8,9",
        "FREQ=HOURLY;BYMINUTE=0,15,30,45",
        "FREQ=DAILY;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11;BYMINUTE=0,10,20,30,40,50;BYSECOND=0,30",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=SECONDLY;INTERVAL=2147483647;COUNT=2147483647",
    ]
    .iter()
    .enumerate()
    {
        let path = format!("/dav/anna/home/{at}.ics");
        let stored =
            put(&gateway, &path, &event(&format!("UID:{at}\nDTSTART:20260101T000000Z\nDURATION:PT1S\nRRULE:{rule}")))
                .await;
        assert!(matches!(stored.status, 201 | 403), "{rule}: {}", stored.status);
        let expand = format!("<C:calendar-data><C:expand start=\"{start}\" end=\"{end}\"/></C:calendar-data>");
        let told = query(&gateway, "/dav/anna/home/", &expand, start, end).await.answer;
        assert!(matches!(told.status, 207 | 403 | 507), "{rule}: {}", told.status);
        assert!(told.body.len() < 32 << 20, "{rule}: {} bytes", told.body.len());
        let times = busy(&gateway, "/dav/anna/home/", start, end).await;
        assert!(matches!(times.status, 200 | 403 | 507), "{rule}: {}", times.status);
        // The others are read as if it were not there.
        assert_eq!(ask(&gateway, "GET", "/dav/anna/work/lunch.ics", "", "").await.status, 200);
        ask(&gateway, "DELETE", &path, "", "").await;
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

/// DAVx5 ends the whole sync at a member without an ETag, and calendars that are made of others were such.
#[tokio::test(flavor = "multi_thread")]
async fn trap_17_every_member_of_a_unified_calendar_has_an_etag() {
    let gateway = house().await;
    for path in ["/dav/anna/all/", "/dav/anna/shown/"] {
        let told = sync(&gateway, path, "", "", "<D:getetag/>").await;
        let hrefs = told.hrefs().expect("hrefs");
        assert_eq!(hrefs.len(), 5, "{path}");
        let list: String = hrefs.iter().map(|href| format!("<D:href>{href}</D:href>")).collect();
        let body = format!(
            "<C:calendar-multiget {NS}><D:prop><D:getetag/><C:calendar-data/></D:prop>{list}</C:calendar-multiget>"
        );
        let read = seen(&gateway, "REPORT", path, "", &body).await;
        let listed = propfind(&gateway, path, 1, "<D:getetag/>").await;
        for href in &hrefs {
            let etag = &told.prop(href, "D:getetag").expect("an etag").text;
            assert!(etag.len() > 2 && etag.starts_with('"'), "{etag}");
            assert_eq!(&read.prop(href, "D:getetag").expect("an etag").text, etag, "{href}");
            assert_eq!(&listed.prop(href, "D:getetag").expect("an etag").text, etag, "{href}");
            let alone = ask(&gateway, "GET", href, "", "").await;
            assert_eq!(alone.header("etag"), etag, "{href}");
            assert_eq!(read.prop(href, "C:calendar-data").expect("data").text, alone.body, "{href}");
        }
    }
}

/// With the ETag of the calendar, or of before, the next write is refused or loses what somebody else wrote.
#[tokio::test(flavor = "multi_thread")]
async fn trap_18_the_etag_of_an_event_is_its_own_wherever_it_stands() {
    let gateway = house().await;
    let path = "/dav/anna/work/x.ics";
    let mut had = BTreeSet::new();
    let mut first = String::new();
    for hour in [9, 10, 9] {
        let text = event(&format!("UID:x\nDTSTART:20260610T{hour:02}0000Z"));
        let written = put(&gateway, path, &text).await.header("etag").to_owned();
        assert!(!written.is_empty());
        let etag = |seen: &Seen| seen.prop(path, "D:getetag").expect("an etag").text.clone();
        let listed = propfind(&gateway, "/dav/anna/work/", 1, "<D:getetag/><CS:getctag/>").await;
        let told = sync(&gateway, "/dav/anna/work/", "", "", "<D:getetag/>").await;
        let read = ask(&gateway, "GET", path, "", "").await.header("etag").to_owned();
        let head = ask(&gateway, "HEAD", path, "", "").await.header("etag").to_owned();
        let alone = etag(&propfind(&gateway, path, 0, "<D:getetag/>").await);
        assert_eq!([&etag(&listed), &etag(&told), &read, &head, &alone], [&written; 5]);
        let ctag = &listed.prop("/dav/anna/work/", "CS:getctag").expect("a ctag").text;
        assert!(!written.contains(ctag.as_str()), "{ctag}");
        // Written again with it, and never again with it after that.
        let again = ask(&gateway, "PUT", path, &format!("{CALENDAR}If-Match: {written}\r\n"), &text).await;
        assert_eq!(again.status, 204);
        if had.is_empty() {
            first = written.clone();
        }
        had.insert(written);
    }
    assert!(had.len() >= 2, "{had:?}");
    let lunch = ask(&gateway, "GET", "/dav/anna/work/lunch.ics", "", "").await.header("etag").to_owned();
    assert!(!had.contains(&lunch));
    let later = event("UID:x\nDTSTART:20260611T090000Z");
    put(&gateway, path, &later).await;
    assert_eq!(ask(&gateway, "PUT", path, &format!("{CALENDAR}If-Match: {first}\r\n"), &later).await.status, 412);
}

/// What nobody read of a body is taken for the next request on that connection.
#[tokio::test(flavor = "multi_thread")]
async fn trap_19_a_body_that_nobody_reads_is_no_request() {
    let gateway = house().await;
    let hidden = "DELETE /dav/anna/work/lunch.ics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    let anna = basic("anna", PASSWORD);
    for (method, path, headers, expect) in [
        ("PUT", "/dav/anna/work/y.ics", String::new(), 401),
        ("PROPFIND", "/dav/anna/", basic("anna", "wrong"), 401),
        ("PROPFIND", "/.well-known/caldav", String::new(), 301),
        ("OPTIONS", "/dav/anna/work/", String::new(), 200),
        ("LOCK", "/dav/anna/work/", anna.clone(), 405),
        ("GET", "/dav/anna/work/lunch.ics", anna.clone(), 200),
        ("PUT", "/dav/anna/work/y.ics", format!("{anna}Content-Encoding: gzip\r\n"), 415),
    ] {
        let mut wire = wire(&gateway).await;
        let body = hidden.replace("Host: x\r\n", &format!("Host: x\r\n{anna}"));
        let length = format!("Content-Length: {}\r\n", body.len());
        wire.send(format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}{length}\r\n{body}")).await;
        assert_eq!(wire.answer().await.expect("an answer").status, expect, "{method} {path}");
        let next = say(&mut wire, "GET", "/dav/anna/work/lunch.ics", &anna, "").await;
        assert_eq!((next.status, next.body.contains("Lunch with Zo")), (200, true), "{method} {path}");
    }
}

/// A sync that tells only the properties that differ from before leaves out half of what the client asked for.
#[tokio::test(flavor = "multi_thread")]
async fn trap_20_a_sync_tells_every_property_that_was_asked_for() {
    let gateway = house().await;
    let path = "/dav/anna/work/";
    let before = token(&gateway, path).await;
    let text = event("UID:lunch@example.org\nDTSTART:20260603T100000Z\nDURATION:PT1H");
    assert_eq!(put(&gateway, "/dav/anna/work/lunch.ics", &text).await.status, 204);
    let props = "<D:getetag/><D:getcontenttype/><D:resourcetype/><D:getcontentlength/><D:displayname/>";
    for from in [before.as_str(), ""] {
        let told = sync(&gateway, path, from, "", props).await;
        for prop in ["D:getetag", "D:getcontenttype", "D:getcontentlength"] {
            let found = told.prop("/dav/anna/work/lunch.ics", prop).unwrap_or_else(|e| panic!("{prop}: {e}"));
            assert!(!found.text.is_empty(), "{prop}");
        }
        // The type of what is no collection is there, and empty.
        assert!(told.prop("/dav/anna/work/lunch.ics", "D:resourcetype").expect("it is told").children.is_empty());
        assert!(told.prop("/dav/anna/work/lunch.ics", "D:displayname").is_err(), "events have no name");
    }
}
