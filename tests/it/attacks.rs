//! Attacks over the wire, one test a class: what is sent, what is answered, how long it may take, that nothing leaks, and
//! that others notice nothing. The numbers are those of the list of threats; calendar data by itself is attacked in
//! `ical_hostile.rs`, and time-outs are held in `web.rs`.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::dav::well_formed;
use crate::web::{self, Answer, FULL_TOKEN, Gateway, PASSWORD, basic, change, device, event, start_with, wire};

const XMLNS: &str = "xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\"";
/// What only Bert may read.
const BERTS: &str = "berts-canary";
/// No single request takes longer, in a debug build on a machine that does other things as well.
const GUARD: Duration = Duration::from_secs(30);

/// A gateway with two people who do not know of each other.
struct Scene {
    gateway: Gateway,
    anna: String,
    bert: String,
}

async fn scene() -> Scene {
    scene_with("", "").await
}

async fn scene_with(server: &str, limits: &str) -> Scene {
    let gateway = start_with(server, limits).await;
    let (_, password) = device(&gateway, "bert", false).await;
    let (_, phone) = device(&gateway, "anna", false).await;
    let scene = Scene { anna: basic("anna", phone.reveal()), bert: basic("bert", password.reveal()), gateway };
    let bert = scene.bert.clone();
    assert_eq!(scene.ask(&bert, "MKCALENDAR", "/dav/bert/secret/", "", b"").await.status, 201);
    let made = scene.put_as(&bert, "/dav/bert/secret/b.ics", &with_title("b", BERTS)).await;
    assert_eq!(made.status, 201);
    let made = scene.put("/dav/anna/private/a.ics", &with_title("a", "lunch")).await;
    assert_eq!(made.status, 201, "{made:?}");
    scene
}

fn with_title(uid: &str, title: &str) -> String {
    event(&format!("UID:{uid}\nDTSTART:20260601T100000Z\nDTEND:20260601T110000Z\nSUMMARY:{title}"))
}

impl Scene {
    /// One request on a connection of its own, under the guard. What is answered is never the server's fault and says
    /// nothing of its insides, nor of Bert's unless Bert asks.
    async fn ask(&self, who: &str, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let begun = Instant::now();
        let mut wire = wire(&self.gateway).await;
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{who}{headers}Content-Length: {length}\r\n\r\n");
        wire.send([head.as_bytes(), body].concat()).await;
        let answer = wire.answer_to(method == "HEAD").await.expect("an answer");
        let (took, shown) = (begun.elapsed(), format!("{method} {}", &path[..path.len().min(100)]));
        assert!(took < GUARD, "{shown} took {took:?}");
        assert_ne!(answer.status, 500, "{shown}: {}", answer.body);
        let mut said = answer.body.to_lowercase();
        answer.headers.values().for_each(|value| said.push_str(&value.to_lowercase()));
        for leak in ["panicked", "sqlite", "no such table", "postgres", ".rs:", "root:x:", "\\src\\", PASSWORD] {
            assert!(!said.contains(leak), "{shown} tells {leak:?}: {said:.2000}");
        }
        assert!(who == self.bert || !said.contains(BERTS), "{shown} tells what is Bert's");
        answer
    }

    /// As Anna.
    async fn send(&self, method: &str, path: &str, headers: &str, body: impl AsRef<[u8]>) -> Answer {
        self.ask(&self.anna, method, path, headers, body.as_ref()).await
    }

    async fn put_as(&self, who: &str, path: &str, text: &str) -> Answer {
        self.ask(who, "PUT", path, "Content-Type: text/calendar\r\n", text.as_bytes()).await
    }

    async fn put(&self, path: &str, text: &str) -> Answer {
        self.put_as(&self.anna, path, text).await
    }

    async fn report(&self, path: &str, body: &str) -> Answer {
        self.send("REPORT", path, "Depth: 1\r\n", body).await
    }

    /// Names of Anna's resources.
    async fn names(&self) -> Vec<String> {
        let listed = self.send("PROPFIND", "/dav/anna/private/", "Depth: 1\r\n", "").await;
        assert_eq!(listed.status, 207);
        let hrefs = listed.body.split("<D:href>/dav/anna/private/").skip(1);
        let names = hrefs.map(|rest| rest.split('<').next().unwrap().to_owned());
        let mut names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
        names.sort();
        names
    }

    /// Nothing happened to anybody.
    async fn unharmed(&self) {
        let begun = Instant::now();
        let read = self.ask(&self.bert, "GET", "/dav/bert/secret/b.ics", "", b"").await;
        assert!(read.status == 200 && read.body.contains(BERTS), "Bert's event is gone: {read:?}");
        let listed = self.ask(&self.bert, "PROPFIND", "/dav/bert/", "Depth: 1\r\n", b"").await;
        assert_eq!((listed.status, listed.body.matches("secret").count() > 0), (207, true));
        let lunch = self.send("GET", "/dav/anna/private/a.ics", "", "").await;
        assert!(lunch.status == 200 && lunch.body.contains("lunch"), "Anna's event is gone: {lunch:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "others wait: {:?}", begun.elapsed());
    }
}

/// A place that must never be connected to.
struct Trap {
    address: std::net::SocketAddr,
    caught: oneshot::Receiver<()>,
}

async fn trap() -> Trap {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, caught) = oneshot::channel();
    tokio::spawn(async move {
        if listener.accept().await.is_ok() {
            let _ = tell.send(());
        }
    });
    Trap { address, caught }
}

impl Trap {
    async fn caught_nothing(self) {
        assert!(timeout(Duration::from_millis(300), self.caught).await.is_err(), "an outbound request was made");
    }
}

fn propfind(inside: &str) -> String {
    format!("<D:propfind {XMLNS}><D:prop>{inside}</D:prop></D:propfind>")
}

fn query(filter: &str) -> String {
    format!(
        "<C:calendar-query {XMLNS}><D:prop><D:getetag/><C:calendar-data/></D:prop><C:filter>\
         <C:comp-filter name=\"VCALENDAR\">{filter}</C:comp-filter></C:filter></C:calendar-query>"
    )
}

fn multiget(hrefs: &[String]) -> String {
    let hrefs: String = hrefs.iter().map(|href| format!("<D:href>{href}</D:href>")).collect();
    format!("<C:calendar-multiget {XMLNS}><D:prop><D:getetag/><C:calendar-data/></D:prop>{hrefs}</C:calendar-multiget>")
}

// XML.

#[tokio::test(flavor = "multi_thread")]
async fn s01_document_types_are_refused_and_nothing_is_fetched() {
    let scene = scene().await;
    let trap = trap().await;
    let url = format!("http://{}/x.dtd", trap.address);
    let laughs: String =
        (1..20).map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10))).collect();
    let documents = [
        "<!DOCTYPE a>".to_owned(),
        format!("<!DOCTYPE a SYSTEM \"{url}\">"),
        format!("<!DOCTYPE a PUBLIC \"-//x\" \"{url}\">"),
        "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>".to_owned(),
        format!("<!DOCTYPE a [<!ENTITY % p SYSTEM \"{url}\"> %p;]>"),
        format!("<!DOCTYPE a [<!ENTITY l0 \"ha\">{laughs}]>"),
        format!("<!DOCTYPE a [<!ENTITY x \"{}\">]>", "y".repeat(100_000)),
        "<!doctype a>".to_owned(),
        "<!--x--><!DOCTYPE a>".to_owned(),
        "<?xml version=\"1.0\"?>\n<!DOCTYPE a>".to_owned(),
    ];
    for document in &documents {
        for (method, path, root) in [
            ("PROPFIND", "/dav/anna/private/", "D:propfind"),
            ("PROPPATCH", "/dav/anna/private/", "D:propertyupdate"),
            ("REPORT", "/dav/anna/private/", "C:calendar-query"),
            ("MKCALENDAR", "/dav/anna/new/", "C:mkcalendar"),
        ] {
            let body = format!("{document}<{root} {XMLNS}>&x;&l19;</{root}>");
            let answer = scene.send(method, path, "", &body).await;
            assert_eq!(answer.status, 400, "{method} {document:.60}: {}", answer.body);
        }
        let wide: Vec<u8> = [vec![0xFF, 0xFE], document.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat();
        assert_eq!(scene.send("PROPFIND", "/dav/anna/", "", wide).await.status, 400);
    }
    // Without a DTD there is nothing to refuse, and nothing happens either.
    let include =
        format!("<x xmlns=\"http://www.w3.org/2001/XInclude\" href=\"file:///etc/passwd\"/><y href=\"{url}\"/>");
    let sheet = format!("<?xml-stylesheet href=\"{url}\"?>{}", propfind(&include));
    assert_eq!(scene.send("PROPFIND", "/dav/anna/private/", "Depth: 0\r\n", &sheet).await.status, 207);
    trap.caught_nothing().await;
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s02_xml_that_costs_is_refused_or_answered_soon() {
    let scene = scene().await;
    let much = 1_900_000;
    let attributes = |n: usize| (0..n).map(|n| format!(" a{n}=''")).collect::<String>();
    let namespaces = |n: usize| (0..n).map(|n| format!(" xmlns:n{n}='u'")).collect::<String>();
    let nested: String = (0..60)
        .map(|d| format!("<a{}>", (0..60).map(|n| format!(" xmlns:p{d}x{n}='u'")).collect::<String>()))
        .collect();
    let refused = [
        ("attributes", format!("<a{}/>", attributes(80_000))),
        ("the same attribute", format!("<a{}/>", " a=''".repeat(100_000))),
        ("namespaces", format!("<a{}/>", namespaces(80_000))),
        ("namespaces within each other", format!("{nested}{}{}", "<b/>".repeat(20_000), "</a>".repeat(60))),
        ("depth", "<a>".repeat(much / 3)),
        ("depth, closed", format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000))),
        ("siblings", format!("<a>{}</a>", "<b/>".repeat(much / 4))),
        ("a long name", format!("<{}/>", "a".repeat(much))),
        ("a long prefix", format!("<{}:a/>", "a".repeat(much))),
        ("a long namespace", format!("<a xmlns='{}'/>", "u".repeat(much))),
        ("a tag without end", format!("<a {}", " ".repeat(much))),
        ("quotes without end", format!("<a b='{}", "x".repeat(much))),
        ("a comment without end", format!("<a><!--{}", "-".repeat(much))),
        ("an instruction without end", format!("<a><?{}", "?".repeat(much))),
        ("brackets", "<".repeat(much)),
        ("references", format!("<a>{}", "&".repeat(much))),
        ("long references", format!("<a>&{};</a>", "x".repeat(much))),
        ("CDATA without end", format!("<a><![CDATA[{}", "]]".repeat(much / 2))),
    ];
    for (name, body) in &refused {
        for method in ["PROPFIND", "REPORT"] {
            let answer = scene.send(method, "/dav/anna/private/", "Depth: 0\r\n", body).await;
            assert_eq!(answer.status, 400, "{name}: {:.300}", answer.body);
            assert!(answer.body.len() < 4096, "{name}: the answer repeats what was sent");
        }
    }
    let read = [
        ("a long comment", propfind(&format!("<!--{}-->", "x".repeat(much)))),
        ("comments", propfind(&"<!---->".repeat(much / 7))),
        ("instructions", propfind(&"<?a?>".repeat(much / 5))),
        ("a long text", propfind(&"x".repeat(much))),
        ("CDATA", propfind(&"<![CDATA[x]]>".repeat(much / 13))),
        ("references", propfind(&"&#120;".repeat(much / 6))),
        ("attributes in many elements", propfind(&format!("<x{}/>", attributes(64)).repeat(400))),
    ];
    for (name, body) in &read {
        let answer = scene.send("PROPFIND", "/dav/anna/private/", "Depth: 0\r\n", body).await;
        assert_eq!(answer.status, 207, "{name}: {:.300}", answer.body);
    }
    let large = propfind(&"x".repeat(3 << 20));
    assert_eq!(scene.send("PROPFIND", "/dav/anna/private/", "Depth: 0\r\n", &large).await.status, 413);
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s03_xml_that_is_not_well_formed_is_400() {
    let scene = scene().await;
    let bodies: &[&[u8]] = &[
        b"nonsense",
        b"<a>",
        b"<a></b>",
        b"<a/><b/>",
        b"<a/>text",
        b"<a b=c/>",
        b"<a b='1' b='2'/>",
        b"<x:a/>",
        b"<a>&nbsp;</a>",
        b"<a>&#0;</a>",
        b"<a>\x00</a>",
        b"<a>\x0b</a>",
        b"<a>\xff\xfe</a>",
        b"<a>\xc0\xaf</a>",
        b"<a>\xed\xa0\x80</a>",
        b"<a>]]></a>",
        b"<?xml version='1.0' encoding='iso-8859-1'?><a/>",
        b"\xff\xfe<\x00a",
        b"\x00<\x00a",
        b"{\"a\": 1}",
        b"BEGIN:VCALENDAR",
    ];
    for body in bodies {
        for method in ["PROPFIND", "PROPPATCH", "REPORT"] {
            let answer = scene.send(method, "/dav/anna/private/", "", body).await;
            assert_eq!(answer.status, 400, "{method} {}", body.escape_ascii());
            well_formed(&answer.body);
        }
    }
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s04_stored_text_is_text_in_every_answer() {
    let scene = scene().await;
    let evil = "</D:displayname><evil xmlns='urn:e'/>]]>&lt;&amp;\"'<![CDATA[<!--\u{fffd}";
    let coded = evil.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let patch = format!(
        "<D:propertyupdate {XMLNS}><D:set><D:prop><D:displayname>{coded}</D:displayname>\
         <x xmlns=\"urn:x&quot;&gt;&lt;evil/&gt;\" a=\"&quot;&gt;&lt;evil/&gt;\">{coded}</x></D:prop></D:set></D:propertyupdate>"
    );
    assert_eq!(scene.send("PROPPATCH", "/dav/anna/private/", "", &patch).await.status, 207);
    // In calendar data XML would not allow some of what is there.
    let summary = "</C:calendar-data><evil/>]]>&amp;\u{fffe}\u{ffff}\u{85}\u{2028}";
    let name = "a%22%3E%3Cevil%2F%3E&'.ics".replace("%2F", "");
    let made = scene.put(&format!("/dav/anna/private/{name}"), &with_title("evil", summary)).await;
    assert!(matches!(made.status, 201 | 403), "{made:?}");
    assert_eq!(made.status, 201);
    let everything = "<D:allprop/><D:include><C:calendar-description/></D:include>";
    for (method, path, body) in [
        ("PROPFIND", "/dav/anna/", format!("<D:propfind {XMLNS}>{everything}</D:propfind>")),
        ("PROPFIND", "/dav/anna/private/", format!("<D:propfind {XMLNS}>{everything}</D:propfind>")),
        ("PROPFIND", "/dav/anna/private/", format!("<D:propfind {XMLNS}><D:propname/></D:propfind>")),
        ("REPORT", "/dav/anna/private/", query("")),
        ("REPORT", "/dav/anna/private/", multiget(&[format!("/dav/anna/private/{name}").replace('&', "&amp;"), coded])),
    ] {
        let answer = scene.send(method, path, "Depth: 1\r\n", &body).await;
        assert_eq!(answer.status, 207, "{}", answer.body);
        well_formed(&answer.body);
        assert!(!answer.body.contains("<evil"), "{}", answer.body);
    }
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s05_protected_properties_stay_and_nothing_is_done_by_halves() {
    let scene = scene().await;
    let protected = [
        "<D:getetag>x</D:getetag>",
        "<D:resourcetype><D:collection/></D:resourcetype>",
        "<D:owner><D:href>/dav/principals/bert/</D:href></D:owner>",
        "<D:sync-token>urn:x</D:sync-token>",
        "<D:current-user-privilege-set/>",
        "<D:current-user-principal><D:href>/dav/principals/bert/</D:href></D:current-user-principal>",
        "<C:max-resource-size>1</C:max-resource-size>",
        "<C:supported-calendar-component-set/>",
        "<CS:getctag xmlns:CS=\"http://calendarserver.org/ns/\">x</CS:getctag>",
    ];
    for one in protected {
        let patch = format!(
            "<D:propertyupdate {XMLNS}><D:set><D:prop><D:displayname>taken over</D:displayname>{one}</D:prop></D:set>\
             </D:propertyupdate>"
        );
        let answer = scene.send("PROPPATCH", "/dav/anna/private/", "", &patch).await;
        assert_eq!(answer.status, 207, "{one}: {}", answer.body);
        for words in ["403 Forbidden", "<D:cannot-modify-protected-property/>", "424 Failed Dependency"] {
            assert!(answer.body.contains(words), "{one}: {}", answer.body);
        }
        let shown = scene.send("PROPFIND", "/dav/anna/private/", "Depth: 0\r\n", "").await;
        assert!(!shown.body.contains("taken over"), "{one}");
    }
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s06_a_flood_of_properties_meets_a_quota() {
    let scene = scene().await;
    let patch = |name: &str, size: usize| {
        let text = "x".repeat(size);
        format!(
            "<D:propertyupdate {XMLNS}><D:set><D:prop><x:{name} xmlns:x=\"urn:x\">{text}</x:{name}></D:prop></D:set>\
             </D:propertyupdate>"
        )
    };
    let quota = async |name: &str, size: usize| {
        let answer = scene.send("PROPPATCH", "/dav/anna/private/", "", patch(name, size)).await;
        assert_eq!(answer.status, 207);
        answer.body.contains("507 Insufficient Storage") && answer.body.contains("<D:quota-not-exceeded/>")
    };
    assert!(quota("large", 65 << 10).await);
    let mut taken = 0;
    while taken < 40 && !quota(&format!("p{taken}"), 60 << 10).await {
        taken += 1;
    }
    assert_eq!(taken, 17, "1 MiB at one place");
    // Others have theirs, and other places too.
    let answer = scene.send("PROPPATCH", "/dav/anna/private/a.ics", "", patch("x", 60 << 10)).await;
    assert!(answer.body.contains("200 OK"), "{}", answer.body);
    let many: String = (0..501).map(|n| format!("<x{n}/>")).collect();
    assert_eq!(scene.send("PROPFIND", "/dav/anna/private/", "Depth: 0\r\n", propfind(&many)).await.status, 400);
    let many = format!("<D:propertyupdate {XMLNS}><D:set><D:prop>{many}</D:prop></D:set></D:propertyupdate>");
    assert_eq!(scene.send("PROPPATCH", "/dav/anna/private/", "", many).await.status, 400);
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s07_packed_bodies_are_refused_unopened() {
    let scene = scene().await;
    for coding in ["gzip", "x-gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip", "GZIP", "nonsense", ""] {
        for method in ["PROPFIND", "PUT", "REPORT"] {
            let headers = format!("Content-Encoding: {coding}\r\n");
            let answer = scene.send(method, "/dav/anna/private/x.ics", &headers, "\u{1f}\u{8b}\u{8}").await;
            assert_eq!(answer.status, 415, "{method} {coding:?}");
        }
    }
    assert_eq!(scene.names().await, ["a.ics"]);
    scene.unharmed().await;
}

// What is asked for.

#[tokio::test(flavor = "multi_thread")]
async fn s08_little_can_not_ask_for_much() {
    let scene = scene().await;
    let hrefs = |n: usize| vec!["/dav/anna/private/none.ics".to_owned(); n];
    assert_eq!(scene.report("/dav/anna/private/", &multiget(&hrefs(5000))).await.status, 207);
    let refused = scene.report("/dav/anna/private/", &multiget(&hrefs(5001))).await;
    assert!(matches!(refused.status, 403 | 507) && refused.body.contains("number-of-matches-within-limits"));
    let filters = "<C:prop-filter name=\"X\"/>".repeat(501);
    let refused = scene
        .report("/dav/anna/private/", &query(&format!("<C:comp-filter name=\"VEVENT\">{filters}</C:comp-filter>")))
        .await;
    assert!(refused.status == 403 && refused.body.contains("valid-filter"), "{refused:?}");
    let long = "x".repeat(10_000);
    let filter = format!(
        "<C:comp-filter name=\"VEVENT\"><C:prop-filter name=\"SUMMARY\"><C:text-match>{long}</C:text-match>\
         </C:prop-filter></C:comp-filter>"
    );
    assert_eq!(scene.report("/dav/anna/private/", &query(&filter)).await.status, 403);

    // One object of 100 KiB, asked for a thousand times.
    let large = event(&format!("UID:large\nDTSTART:20260601T100000Z\nDESCRIPTION:{}", "x".repeat(100_000)));
    assert_eq!(scene.put("/dav/anna/private/large.ics", &large).await.status, 201);
    let answer =
        scene.report("/dav/anna/private/", &multiget(&vec!["/dav/anna/private/large.ics".to_owned(); 1000])).await;
    assert!(answer.body.len() < 80 << 20, "{} MiB were answered", answer.body.len() >> 20);

    // 300 instances of 1000 characters each and more of them than may be.
    let series = event(&format!(
        "UID:series\nDTSTART:20260101T100000Z\nDTEND:20260101T110000Z\nRRULE:FREQ=DAILY\nDESCRIPTION:{}",
        "x".repeat(50_000)
    ));
    assert_eq!(scene.put("/dav/anna/private/series.ics", &series).await.status, 201);
    for (from, to, most) in [("20260101", "20460101", 64 << 20), ("20260101", "20270101", 64 << 20)] {
        let expand = query("<C:comp-filter name=\"VEVENT\"/>").replace(
            "<C:calendar-data/>",
            &format!("<C:calendar-data><C:expand start=\"{from}T000000Z\" end=\"{to}T000000Z\"/></C:calendar-data>"),
        );
        let answer = scene.report("/dav/anna/private/", &expand).await;
        assert!(matches!(answer.status, 207 | 403 | 507) && answer.body.len() < most, "{}", answer.status);
    }
    let years = |body: &str, n: u32| {
        body.replace("FROM", "20000101T000000Z").replace("TO", &format!("{}0101T000000Z", 2000 + n))
    };
    let free = format!("<C:free-busy-query {XMLNS}><C:time-range start=\"FROM\" end=\"TO\"/></C:free-busy-query>");
    assert_eq!(scene.report("/dav/anna/private/", &years(&free, 20)).await.status, 200);
    assert_eq!(scene.report("/dav/anna/private/", &years(&free, 21)).await.status, 403);
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s09_hostile_hrefs_are_not_found() {
    let scene = scene().await;
    let trap = trap().await;
    let hrefs: Vec<String> = [
        &format!("http://{}/dav/bert/secret/b.ics", trap.address),
        &format!("//{}/x", trap.address),
        "file:///etc/passwd",
        "/dav/bert/secret/b.ics",
        "/dav/anna/../bert/secret/b.ics",
        "/dav/anna/private/../../bert/secret/b.ics",
        "/dav/anna/private/%2e%2e/%2e%2e/bert/secret/b.ics",
        "/dav/anna/private/..%2f..%2fbert%2fsecret%2fb.ics",
        "../../bert/secret/b.ics",
        "b.ics",
        "javascript:alert(1)",
        "data:text/calendar,x",
        "/dav/anna/private/%00",
        "/dav/anna/private/%ff",
        "?",
        "#",
        "",
        "/dav/anna/private/a.ics/../../../bert/secret/b.ics",
    ]
    .iter()
    .map(|href| (*href).to_owned())
    .chain(["x".repeat(100_000), format!("/dav/anna/private/{}", "%41".repeat(10_000))])
    .collect();
    for path in ["/dav/anna/private/", "/dav/anna/"] {
        let answer = scene.report(path, &multiget(&hrefs)).await;
        assert_eq!(answer.status, 207);
        well_formed(&answer.body);
        let statuses = answer.body.matches("<D:status>HTTP/1.1 404 Not Found</D:status>").count();
        assert_eq!(statuses, answer.body.matches("<D:response>").count(), "each is told as not found");
        assert!(!answer.body.contains("200 OK"));
    }
    trap.caught_nothing().await;
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s10_bad_time_ranges_are_refused() {
    let scene = scene().await;
    let ranges = [
        "",
        "start=\"\" end=\"\"",
        "start=\"20260102T000000Z\" end=\"20260101T000000Z\"",
        "start=\"20260101T000000Z\" end=\"20260101T000000Z\"",
        "start=\"20260101\" end=\"20260102\"",
        "start=\"20260101T000000\" end=\"20260102T000000\"",
        "start=\"2026-01-01T00:00:00Z\" end=\"2026-02-01T00:00:00Z\"",
        "start=\"20261301T000000Z\" end=\"20270101T000000Z\"",
        "start=\"20260230T000000Z\" end=\"20270101T000000Z\"",
        "start=\"99999999T999999Z\" end=\"99999999T999999Z\"",
        "start=\"-20260101T00000Z\" end=\"20270101T000000Z\"",
        "start=\"20260101T250000Z\"",
        "start=\"' OR 1=1\"",
    ];
    for range in ranges {
        let body = query(&format!("<C:comp-filter name=\"VEVENT\"><C:time-range {range}/></C:comp-filter>"));
        let answer = scene.report("/dav/anna/private/", &body).await;
        assert!(matches!(answer.status, 400 | 403) && answer.body.contains("<C:valid-filter/>"), "{range}: {answer:?}");
        let free = format!("<C:free-busy-query {XMLNS}><C:time-range {range}/></C:free-busy-query>");
        assert!(matches!(scene.report("/dav/anna/private/", &free).await.status, 400 | 403), "{range}");
        let expand =
            query("").replace("<C:calendar-data/>", &format!("<C:calendar-data><C:expand {range}/></C:calendar-data>"));
        assert!(matches!(scene.report("/dav/anna/private/", &expand).await.status, 400 | 403), "{range}");
    }
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s11_texts_never_become_statements() {
    let scene = scene().await;
    let texts = [
        "' OR '1'='1",
        "' OR 1=1 --",
        "'; DROP TABLE resources; --",
        "\" OR \"\"=\"",
        "a.ics' UNION SELECT * FROM users --",
        "%' OR name LIKE '%",
        "\\",
        "?1",
        "$1",
        "%",
        "_",
    ];
    for text in texts {
        let coded: String = text.bytes().map(|b| format!("%{b:02X}")).collect();
        let coded = coded.replace("%2F", "x");
        let xml = text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        for path in
            [format!("/dav/anna/private/{coded}"), format!("/dav/anna/{coded}/"), format!("/dav/{coded}/secret/b.ics")]
        {
            let answer = scene.send("GET", &path, "", "").await;
            assert_eq!(answer.status, 404, "{path}");
        }
        let filter = format!(
            "<C:comp-filter name=\"VEVENT\"><C:prop-filter name=\"UID\"><C:text-match>{xml}</C:text-match></C:prop-filter>\
             <C:prop-filter name=\"{xml}\"/></C:comp-filter>"
        );
        let answer = scene.report("/dav/anna/private/", &query(&filter)).await;
        assert!(!answer.body.contains("<D:response>"), "{text}: {}", answer.body);
        let sync = format!(
            "<D:sync-collection {XMLNS}><D:sync-token>{xml}</D:sync-token><D:sync-level>1</D:sync-level><D:prop/>\
             </D:sync-collection>"
        );
        assert_eq!(scene.report("/dav/anna/private/", &sync).await.status, 403, "{text}");
        let who = basic(text, text);
        assert_eq!(scene.ask(&who, "PROPFIND", "/dav/", "", b"").await.status, 401, "{text}");
        assert_eq!(scene.ask("", "GET", &format!("/feed/{coded}.ics"), "", b"").await.status, 404, "{text}");
        // As data it is kept as it is.
        let made = scene.put(&format!("/dav/anna/private/q{coded}"), &with_title(&format!("q{text}"), text)).await;
        assert_eq!(made.status, 201, "{text}");
        assert_eq!(scene.send("GET", &format!("/dav/anna/private/q{coded}"), "", "").await.status, 200, "{text}");
        let condition = format!("If-Match: \"{}\"\r\n", text.replace('"', ""));
        assert_eq!(
            scene.send("DELETE", &format!("/dav/anna/private/q{coded}"), &condition, "").await.status,
            412,
            "{text}"
        );
        assert_eq!(scene.send("DELETE", &format!("/dav/anna/private/q{coded}"), "", "").await.status, 204, "{text}");
    }
    assert_eq!(scene.names().await, ["a.ics"]);
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_sync_tokens_can_not_be_made_up() {
    let scene = scene().await;
    let bert = scene.bert.clone();
    let token_of = async |who: &str, path: &str| {
        let answer = scene.ask(who, "PROPFIND", path, "Depth: 0\r\n", propfind("<D:sync-token/>").as_bytes()).await;
        let token = answer.body.split("<D:sync-token>").nth(1).and_then(|rest| rest.split('<').next());
        token.unwrap_or_else(|| panic!("{}", answer.body)).to_owned()
    };
    let own = token_of(&scene.anna, "/dav/anna/private/").await;
    let berts = token_of(&bert, "/dav/bert/secret/").await;
    let all = token_of(&scene.anna, "/dav/anna/all/").await;
    let (start, seq) = own.rsplit_once(':').unwrap();
    let seq: u64 = seq.parse().unwrap();
    let forged = [
        berts,
        all,
        format!("{start}:{}", seq + 1),
        format!("{start}:{}", u64::MAX),
        format!("{start}:-1"),
        format!("{start}:+{seq}"),
        format!("{start}: {seq}"),
        format!("{start}:0x1"),
        format!("{start}:"),
        format!("{start}:{seq}:1"),
        format!("{start}:{}", "9".repeat(100_000)),
        format!("urn:calgate:0:{seq}"),
        "urn:calgate::".to_owned(),
        "data:,1".to_owned(),
        "0".to_owned(),
        "x".repeat(500_000),
    ];
    let sync = |token: &str| {
        format!(
            "<D:sync-collection {XMLNS}><D:sync-token>{token}</D:sync-token><D:sync-level>1</D:sync-level>\
             <D:prop><D:getetag/></D:prop></D:sync-collection>"
        )
    };
    assert_eq!(scene.report("/dav/anna/private/", &sync(&own)).await.status, 207);
    for token in &forged {
        let answer = scene.report("/dav/anna/private/", &sync(token)).await;
        let refused = answer.status == 403 && answer.body.contains("<D:valid-sync-token/>");
        assert!(refused, "{token:.80}: {} {:.300}", answer.status, answer.body);
    }
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_paths_lead_nowhere_else() {
    let scene = scene().await;
    let paths = [
        "/dav/anna/../bert/secret/b.ics",
        "/dav/anna/%2e%2e/bert/secret/b.ics",
        "/dav/anna/%2E%2E/%2e./secret/b.ics",
        "/dav/anna/private/..%2f..%2fbert%2fsecret%2fb.ics",
        "/dav/anna/private/..%5c..%5cbert%5csecret%5cb.ics/x",
        "/dav/anna/private/%2e%2e/%2e%2e/bert/secret/b.ics",
        "/dav/anna/..;/bert/secret/b.ics",
        "/dav/anna/%c0%ae%c0%ae/bert/secret/b.ics",
        "/dav/anna/%00/../bert/secret/b.ics",
        "/dav/anna/private/a.ics%00.txt",
        "/dav/anna/private/a%0d%0aSet-Cookie:x.ics",
        "/dav/../../../etc/passwd",
        "/../../etc/passwd",
        "/feed/../dav/bert/secret/b.ics",
        "/dav/./bert/secret/b.ics/x",
        "/dav%2fbert%2fsecret%2fb.ics",
        "/%64%61%76/bert/secret/b.ics",
        "/dav/anna/private/\u{2e}\u{2e}/\u{2e}\u{2e}/bert/secret/b.ics",
        "/remote.php/dav/../../dav/bert/secret/b.ics",
    ];
    for path in paths {
        for method in ["GET", "PROPFIND", "DELETE"] {
            let answer = scene.send(method, path, "Depth: 0\r\n", "").await;
            assert!(matches!(answer.status, 400 | 404 | 405 | 301), "{method} {path}: {answer:?}");
        }
        let made = scene.put(path, &with_title("x", "x")).await;
        assert!(matches!(made.status, 400 | 403 | 404 | 405 | 409 | 301), "{path}: {made:?}");
    }
    // Decoded once: a name with a percent sign in it is that name.
    let name = "/dav/anna/private/%252e%252e%252fb.ics";
    assert_eq!(scene.put(name, &with_title("percent", "x")).await.status, 201);
    assert_eq!(scene.names().await, ["%252e%252e%252fb.ics", "a.ics"]);
    assert_eq!(scene.send("DELETE", name, "", "").await.status, 204);
    scene.unharmed().await;
}

// HTTP.

#[tokio::test(flavor = "multi_thread")]
async fn s14_no_second_request_is_smuggled() {
    let scene = scene().await;
    let inner = "GET /robots.txt HTTP/1.1\r\nHost: x\r\n\r\n";
    let check = async |headers: &str, body: &str| {
        let mut wire = wire(&scene.gateway).await;
        let anna = &scene.anna;
        wire.send(format!("PUT /dav/anna/private/s.ics HTTP/1.1\r\nHost: x\r\n{anna}{headers}\r\n{body}{inner}")).await;
        let mut answers = Vec::new();
        while let Some(answer) = wire.answer().await {
            answers.push(answer.status);
        }
        assert!(answers.len() == 1 && answers[0] >= 400, "{headers:?} {body:?}: {answers:?}");
    };
    check("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n").await;
    check("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n").await;
    check("Content-Length: 3\r\nContent-Length: 4\r\n", "abc").await;
    check("Content-Length: 3, 4\r\n", "abc").await;
    check("Content-Length: 0x3\r\n", "abc").await;
    check("Content-Length: 3 \u{b}\r\n", "abc").await;
    check("Content-Length : 3\r\n", "abc").await;
    check("Content-Length: 99999999999999999999\r\n", "abc").await;
    check("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n").await;
    check("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n").await;
    check("Transfer-Encoding : chunked\r\n", "0\r\n\r\n").await;
    check("X: y\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\n").await;
    for chunk in
        ["FFFFFFFFFFFFFFFFF\r\n", "-1\r\n", "0x1\r\na\r\n", "1;\u{1}\r\n", "+1\r\na\r\n", "1 1\r\na\r\n", "\r\n"]
    {
        check("Transfer-Encoding: chunked\r\n", chunk).await;
    }
    assert_eq!(scene.names().await, ["a.ics"]);
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s15_nothing_is_made_of_host_or_of_what_strangers_forward() {
    let scene = scene().await;
    let headers = "X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: http\r\nX-Forwarded-For: 10.0.0.1\r\n\
                   X-Forwarded-Prefix: /evil\r\nForwarded: for=10.0.0.1;host=evil.example;proto=http\r\n\
                   X-Original-URL: /evil\r\nX-Rewrite-URL: /evil\r\n";
    for (start, expect) in [
        ("GET /.well-known/caldav HTTP/1.1\r\nHost: evil.example\r\n", 301),
        ("GET http://evil.example/.well-known/caldav HTTP/1.1\r\nHost: evil.example\r\n", 301),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n", 200),
        ("GET /evil.not HTTP/1.1\r\nHost: evil.example\r\n", 404),
        ("PROPFIND /dav/ HTTP/1.1\r\nHost: evil.example\r\nDepth: 1\r\n", 207),
        ("GET /dav/anna/ HTTP/1.1\r\nHost: evil.example\r\n", 200),
        ("PROPFIND /remote.php/dav/ HTTP/1.1\r\nHost: evil.example\r\n", 301),
    ] {
        let mut wire = wire(&scene.gateway).await;
        wire.send(format!("{start}{headers}{}Content-Length: 0\r\n\r\n", scene.anna)).await;
        let answer = wire.answer().await.expect("an answer");
        assert_eq!(answer.status, expect, "{start}");
        assert!(!answer.body.contains("evil.example") && !answer.body.contains("/evil/"), "{start}: {}", answer.body);
        if expect == 301 {
            assert_eq!(answer.header("location"), "https://cal.example.org/dav/", "{start}");
        }
    }
    // Who is no trusted proxy can not be somebody else with each wrong password.
    let mut statuses = Vec::new();
    for n in 0..11 {
        let wrong = format!("{}X-Forwarded-For: 203.0.113.{n}\r\n", basic("nobody", "wrong"));
        statuses.push(scene.ask(&wrong, "PROPFIND", "/dav/", "", b"").await.status);
    }
    assert_eq!(statuses, [vec![401; 10], vec![429]].concat());
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s53_a_page_of_another_site_changes_nothing() {
    let scene = scene().await;
    let share = "<CS:share xmlns:CS=\"http://calendarserver.org/ns/\" xmlns:D=\"DAV:\"><CS:set>\
                 <D:href>/dav/principals/bert/</D:href><CS:read-write/></CS:set></CS:share>";
    for from in [
        "Sec-Fetch-Site: cross-site\r\nOrigin: https://evil.example\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
    ] {
        for (method, path, body) in [
            ("POST", "/dav/anna/private/", share),
            ("PUT", "/dav/anna/private/x.ics", ""),
            ("DELETE", "/dav/anna/private/a.ics", ""),
        ] {
            let answer = scene.send(method, path, &format!("Content-Type: text/plain\r\n{from}"), body).await;
            assert_eq!(answer.status, 403, "{from} {method}: {answer:?}");
            assert!(answer.body.contains("another site"), "{answer:?}");
        }
    }
    // Thunderbird says so of every request.
    let answer = scene.send("PROPFIND", "/dav/anna/private/", "Sec-Fetch-Site: same-origin\r\nDepth: 0\r\n", "").await;
    assert_eq!(answer.status, 207, "{answer:?}");
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s16_odd_methods_and_overrides_do_nothing() {
    let scene = scene().await;
    for method in ["TRACE", "CONNECT", "PATCH", "LINK", "DEBUG", "get", "FOO", "DELETE2", "BPROPFIND"] {
        for path in ["/dav/anna/private/a.ics", "/dav/anna/private/", "/", "/healthz"] {
            let answer = scene.send(method, path, "Max-Forwards: 0\r\n", "").await;
            assert!(matches!(answer.status, 400 | 401 | 404 | 405 | 501), "{method} {path}: {answer:?}");
            assert!(!answer.body.contains("Max-Forwards"), "{method} gives back what was sent");
        }
    }
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        for method in ["POST", "GET"] {
            let answer =
                scene.send(method, "/dav/anna/private/a.ics", &format!("{name}: DELETE\r\n"), "_method=DELETE").await;
            assert!(matches!(answer.status, 200 | 405), "{answer:?}");
        }
    }
    let part = "Content-Type: text/calendar\r\nContent-Range: bytes 0-9/100\r\n";
    assert_eq!(scene.send("PUT", "/dav/anna/private/a.ics", part, with_title("a", "part")).await.status, 400);
    for range in ["bytes=0-1", "bytes=99999999-", "bytes=-1", &format!("bytes={}", "0-1,".repeat(2000))] {
        let answer = scene.send("GET", "/dav/anna/private/a.ics", &format!("Range: {range}\r\n"), "").await;
        assert!(matches!(answer.status, 200 | 206 | 416), "{answer:?}");
    }
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s17_collections_stay_where_they_are() {
    let scene = scene().await;
    let trap = trap().await;
    for path in
        ["/", "/dav/", "/dav/principals/", "/dav/principals/anna/", "/dav/anna/", "/dav/bert/", "/dav/bert/secret/"]
    {
        let answer = scene.send("DELETE", path, "Depth: infinity\r\n", "").await;
        assert!(matches!(answer.status, 403..=405), "DELETE {path}: {answer:?}");
    }
    for path in [
        "/dav/anna/",
        "/dav/anna/private/",
        "/dav/",
        "/dav/bert/secret/",
        "/dav/anna/none/x.ics",
        "/dav/bert/secret/x.ics",
    ] {
        let answer = scene.put(path, &with_title("x", "x")).await;
        assert!(matches!(answer.status, 403 | 404 | 405 | 409), "PUT {path}: {answer:?}");
    }
    let to = [
        // Known by its path alone: what is said of a host is never asked, and leads past no right.
        &format!("http://{}/dav/bert/secret/x.ics", trap.address),
        &format!("http://{}/elsewhere/x.ics", trap.address),
        "/dav/bert/secret/x.ics",
        "/dav/anna/../bert/secret/x.ics",
        "/dav/anna/private/a.ics",
        "/dav/anna/private/a.ics/x",
        "/dav/anna/private/",
        "/dav/anna/",
        "/dav/",
        "/",
        "",
        "nonsense",
    ];
    for method in ["COPY", "MOVE"] {
        for from in ["/dav/anna/private/a.ics", "/dav/anna/private/", "/dav/anna/", "/dav/"] {
            for to in to {
                let headers = format!("Destination: {to}\r\nOverwrite: T\r\nDepth: infinity\r\n");
                let answer = scene.send(method, from, &headers, "").await;
                assert!(
                    (400..500).contains(&answer.status) || answer.status == 502,
                    "{method} {from} {to}: {answer:?}"
                );
            }
        }
        let answer = scene.send(method, "/dav/bert/secret/b.ics", "Destination: /dav/anna/private/x.ics\r\n", "").await;
        assert!(matches!(answer.status, 403..=405), "{answer:?}");
    }
    trap.caught_nothing().await;
    assert_eq!(scene.names().await, ["a.ics"]);
    scene.unharmed().await;
}

// Who comes in.

#[tokio::test(flavor = "multi_thread")]
async fn s18_credentials_of_every_wrong_form() {
    let scene = scene().await;
    let check = async |headers: &str, expect: u16| {
        let answer = scene.ask(headers, "PROPFIND", "/dav/anna/", "Depth: 0\r\n", b"").await;
        assert_eq!(answer.status, expect, "{headers:.100}");
        let challenge = if expect == 401 { r#"Basic realm="calgate", charset="UTF-8""# } else { "" };
        assert_eq!(answer.header("www-authenticate"), challenge, "{headers:.100}");
        assert!(!answer.body.contains("multistatus"));
    };
    for (headers, expect) in [
        ("", 401),
        ("Authorization: \r\n", 401),
        ("Authorization: Basic\r\n", 400),
        ("Authorization: Basic \r\n", 400),
        ("Authorization: Basic ====\r\n", 400),
        ("Authorization: Basic Og==\r\n", 401),
        ("Authorization: Basic YW5uYQ==\r\n", 400),
        ("Authorization: Basic \u{ff}\u{fe}\r\n", 400),
        ("Authorization: Bearer eyJhbGciOiJub25lIn0.e30.\r\n", 401),
        ("Authorization: Digest username=\"anna\", uri=\"/\"\r\n", 401),
        ("Authorization: Negotiate YII=\r\n", 401),
        ("Authorization: BasicYW5uYTp4\r\n", 401),
        ("Proxy-Authorization: Basic YW5uYTp4\r\n", 401),
        ("X-Remote-User: anna\r\nRemote-User: anna\r\nX-Forwarded-User: anna\r\n", 401),
        ("Cookie: user=anna; session=1\r\n", 401),
    ] {
        check(headers, expect).await;
    }
    check(&format!("{}{}", scene.anna, scene.bert), 400).await;
    check(&basic("anna", "wrong"), 401).await;
    check(&basic("anna", &"x".repeat(1025)), 400).await;
    check(&basic(&"x".repeat(1025), "x"), 400).await;
    check(&basic("anna\0", "x"), 400).await;
    check(&basic("anna\r\nX: y", "x"), 400).await;
    let (_, berts) = scene.bert.split_once("Basic ").unwrap();
    check(&format!("Authorization: Basic {}A\r\n", berts.trim_end()), 400).await;
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s19_who_has_a_login_here_can_not_be_told() {
    let scene = scene().await;
    // The first hash of a process pays for memory that the next ones have.
    scene.ask(&basic("carl", "wrong"), "PROPFIND", "/dav/", "", b"").await;
    let mut seen: Vec<(u16, String, Vec<String>, Duration)> = Vec::new();
    for who in ["anna", "bert", "nobody"] {
        let mut fastest = Duration::MAX;
        let mut last = None;
        for n in 0..3 {
            let begun = Instant::now();
            last = Some(scene.ask(&basic(who, &format!("wrong {n}")), "PROPFIND", "/dav/anna/", "", b"").await);
            fastest = fastest.min(begun.elapsed());
        }
        let answer = last.unwrap();
        let mut headers: Vec<String> = answer.headers.iter().map(|(n, v)| format!("{n}: {v}")).collect();
        headers.retain(|h| !h.starts_with("x-request-id") && !h.starts_with("date"));
        headers.sort();
        seen.push((answer.status, answer.body, headers, fastest));
    }
    for other in &seen[1..] {
        assert_eq!((other.0, &other.1, &other.2), (401, &seen[0].1, &seen[0].2));
        // One hash each, which is nearly all of the time. Bert has no password, and nobody is not there.
        assert!(
            other.3 * 3 > seen[0].3 && seen[0].3 * 3 > other.3,
            "{:?}",
            seen.iter().map(|s| s.3).collect::<Vec<_>>()
        );
    }
    // A principal, a home and a calendar of others look as those of nobody.
    for path in ["/dav/principals/WHO/", "/dav/WHO/", "/dav/WHO/secret/", "/dav/WHO/secret/b.ics"] {
        let mut told = Vec::new();
        for who in ["bert", "nobody"] {
            let answer = scene.send("PROPFIND", &path.replace("WHO", who), "Depth: 0\r\n", "").await;
            told.push((answer.status, answer.body.replace(who, "WHO")));
        }
        assert_eq!(told[0], told[1], "{path}");
    }
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s20_wrong_passwords_come_to_an_end_for_who_tries_them() {
    let scene = scene().await;
    let known = basic("anna", PASSWORD);
    assert_eq!(scene.ask(&known, "PROPFIND", "/dav/", "Depth: 0\r\n", b"").await.status, 207);
    for n in 0..10 {
        assert_eq!(scene.ask(&basic("anna", &format!("wrong {n}")), "PROPFIND", "/dav/", "", b"").await.status, 401);
    }
    let refused = scene.ask(&basic("anna", "wrong"), "PROPFIND", "/dav/", "", b"").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "300"));
    // The right one is not told from a wrong one any more: it would be a way to go on trying.
    assert_eq!(scene.ask(&basic("ANNA", "wrong"), "PROPFIND", "/dav/", "", b"").await.status, 429);
    // Whoever was in stays in, and an app password is no guess.
    assert_eq!(scene.ask(&known, "PROPFIND", "/dav/", "Depth: 0\r\n", b"").await.status, 207);
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s21_hashes_are_nobodys_lever() {
    let scene = scene().await;
    let known = basic("anna", PASSWORD);
    scene.ask(&known, "PROPFIND", "/dav/", "Depth: 0\r\n", b"").await;
    let address = scene.gateway.address;
    let flood: Vec<_> = (0..120)
        .map(|n| {
            let wrong = basic(&format!("user{n}"), "wrong");
            tokio::spawn(async move {
                let mut wire = web::wire_to(address).await;
                wire.send(format!("PROPFIND /dav/ HTTP/1.1\r\nHost: x\r\n{wrong}Content-Length: 0\r\n\r\n")).await;
                wire.answer().await.expect("an answer").status
            })
        })
        .collect();
    // In the midst of it nobody waits who needs no hash.
    for _ in 0..5 {
        let begun = Instant::now();
        for who in [&known, &scene.bert] {
            assert_eq!(scene.ask(who, "PROPFIND", "/dav/", "Depth: 0\r\n", b"").await.status, 207);
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    let mut counts = [0; 3];
    for one in flood {
        match one.await.unwrap() {
            401 => counts[0] += 1,
            429 => counts[1] += 1,
            503 => counts[2] += 1,
            other => panic!("{other}"),
        }
    }
    // 60 from one address in five minutes, and of them no more than may wait.
    assert!(counts[0] <= 60 && counts[1] + counts[2] >= 60, "{counts:?}");
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s22_bodies_of_strangers_are_not_taken_in() {
    let scene = scene().await;
    for headers in ["Content-Length: 999999999\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut wire = wire(&scene.gateway).await;
        wire.send(format!("PUT /dav/anna/private/x.ics HTTP/1.1\r\nHost: x\r\n{headers}\r\n")).await;
        let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        let mut sent = 0;
        while sent < 64 << 20 {
            match timeout(Duration::from_secs(3), wire.stream.write_all(piece.as_bytes())).await {
                Ok(Ok(())) => sent += piece.len(),
                _ => break,
            }
        }
        // A megabyte is read, and what the kernel holds on its way.
        assert!(sent < 24 << 20, "{} MiB were taken", sent >> 20);
    }
    scene.unharmed().await;
}

// Others' things.

#[tokio::test(flavor = "multi_thread")]
async fn s23_what_is_anothers_looks_like_what_is_not() {
    let scene = scene().await;
    let methods = [
        "GET",
        "HEAD",
        "PUT",
        "DELETE",
        "PROPFIND",
        "PROPPATCH",
        "REPORT",
        "MKCALENDAR",
        "MKCOL",
        "POST",
        "COPY",
        "MOVE",
        "LOCK",
        "UNLOCK",
        "ACL",
        "SEARCH",
        "OPTIONS",
    ];
    let body_of = |method: &str| match method {
        "PUT" => with_title("x", "x"),
        "PROPFIND" => propfind("<D:displayname/><D:getetag/><D:owner/>"),
        "PROPPATCH" => format!(
            "<D:propertyupdate {XMLNS}><D:set><D:prop><D:displayname>x</D:displayname></D:prop></D:set></D:propertyupdate>"
        ),
        "REPORT" => query(""),
        _ => String::new(),
    };
    for method in methods {
        let headers = match method {
            "PUT" => "Content-Type: text/calendar\r\n",
            "COPY" | "MOVE" => "Destination: /dav/anna/private/x.ics\r\n",
            _ => "Depth: 0\r\n",
        };
        for (theirs, absent) in [
            ("/dav/bert/", "/dav/nobody/"),
            ("/dav/principals/bert/", "/dav/principals/nobody/"),
            ("/dav/bert/secret/", "/dav/nobody/secret/"),
            ("/dav/bert/secret/b.ics", "/dav/nobody/secret/b.ics"),
            ("/dav/bert/secret/b.ics", "/dav/bert/absent/b.ics"),
            ("/dav/bert/secret/b.ics", "/dav/bert/secret/absent.ics"),
        ] {
            let one = scene.send(method, theirs, headers, body_of(method)).await;
            let other = scene.send(method, absent, headers, body_of(method)).await;
            let plain = |answer: &Answer, path: &str| answer.body.replace(path, "PATH");
            assert_eq!(
                (one.status, plain(&one, theirs)),
                (other.status, plain(&other, absent)),
                "{method} {theirs} {absent}"
            );
            assert!(one.status >= 400 || method == "OPTIONS", "{method} {theirs}: {one:?}");
            assert_eq!(one.header("etag"), "");
            let anonymous = scene.ask("", method, theirs, headers, body_of(method).as_bytes()).await;
            assert!(anonymous.status == 401 || method == "OPTIONS", "{method} {theirs} without a login: {anonymous:?}");
        }
    }
    assert_eq!(scene.names().await, ["a.ics"]);
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s24_who_may_only_read_writes_nothing_and_a_mask_hides_everywhere() {
    let scene = scene().await;
    let (_, tablet) = device(&scene.gateway, "anna", true).await;
    let reader = basic("anna", tablet.reveal());
    let patch = format!(
        "<D:propertyupdate {XMLNS}><D:set><D:prop><D:displayname>x</D:displayname></D:prop></D:set></D:propertyupdate>"
    );
    let text = with_title("x", "x");
    for (method, path, headers, body) in [
        ("PUT", "/dav/anna/private/x.ics", "Content-Type: text/calendar\r\n", text.as_str()),
        ("PUT", "/dav/anna/private/a.ics", "Content-Type: text/calendar\r\n", &text),
        ("DELETE", "/dav/anna/private/a.ics", "", ""),
        ("DELETE", "/dav/anna/private/", "", ""),
        ("PROPPATCH", "/dav/anna/private/", "", &patch),
        ("PROPPATCH", "/dav/anna/private/a.ics", "", &patch),
        ("PROPPATCH", "/dav/anna/", "", &patch),
        ("MKCALENDAR", "/dav/anna/new/", "", ""),
        ("COPY", "/dav/anna/private/a.ics", "Destination: /dav/anna/private/x.ics\r\n", ""),
        ("MOVE", "/dav/anna/private/a.ics", "Destination: /dav/anna/private/x.ics\r\n", ""),
        ("POST", "/dav/anna/private/", "Content-Type: text/calendar\r\n", &text),
    ] {
        let answer = scene.ask(&reader, method, path, headers, body.as_bytes()).await;
        assert!(matches!(answer.status, 400 | 403 | 405), "{method} {path}: {answer:?}");
    }
    assert_eq!(scene.names().await, ["a.ics"]);

    let title = "masked-canary";
    web::team_read_at(&scene.gateway, web::NOW).await;
    let more = "DESCRIPTION:masked-canary\nLOCATION:masked-canary\nATTENDEE;CN=masked-canary:mailto:masked-canary@example.org\n\
                CATEGORIES:masked-canary\nURL:https://masked-canary.example\nX-MASKED-CANARY:1\nRRULE:FREQ=DAILY;COUNT=3";
    let text =
        event(&format!("UID:masked-canary\nDTSTART:20260602T100000Z\nDTEND:20260602T110000Z\nSUMMARY:{title}\n{more}"));
    web::put(&scene.gateway, "team", text).await;
    let expand = "<C:calendar-data><C:expand start=\"20260601T000000Z\" end=\"20260701T000000Z\"/></C:calendar-data>";
    let named = |text: &str| {
        query(&format!(
            "<C:comp-filter name=\"VEVENT\"><C:prop-filter name=\"SUMMARY\"><C:text-match>{text}</C:text-match></C:prop-filter>\
             </C:comp-filter>"
        ))
    };
    let sync = format!(
        "<D:sync-collection {XMLNS}><D:sync-token/><D:sync-level>1</D:sync-level><D:prop><D:getetag/><C:calendar-data/>\
         </D:prop></D:sync-collection>"
    );
    let masked = "/dav/anna/masked/";
    let mut told = vec![
        scene.send("PROPFIND", masked, "Depth: 1\r\n", format!("<D:propfind {XMLNS}><D:allprop/></D:propfind>")).await,
        scene.report(masked, &query("")).await,
        scene.report(masked, &query("").replace("<C:calendar-data/>", expand)).await,
        scene.report(masked, &named("masked")).await,
        scene.report(masked, &sync).await,
        scene.report(masked, &format!("<C:free-busy-query {XMLNS}><C:time-range start=\"20260601T000000Z\" end=\"20260701T000000Z\"/></C:free-busy-query>")).await,
        scene.send("GET", masked, "", "").await,
        scene.send("GET", "/dav/anna/masked/masked-canary.ics", "", "").await,
        scene.put("/dav/anna/masked/masked.ics", &with_title("masked-canary", "probe")).await,
        scene.ask("", "GET", &format!("/feed/{}.ics?start=2026-06-01", web::MASKED_TOKEN), "", b"").await,
        scene.ask("", "GET", &format!("/feed/{}.ifb?start=2026-06-01", web::MASKED_TOKEN), "", b"").await,
    ];
    let listed = told[1].body.clone();
    assert!(listed.contains("VEVENT"), "it is told that time is taken: {listed}");
    for href in listed.split("<D:href>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()) {
        told.push(scene.send("GET", &href, "", "").await);
    }
    for answer in told {
        let text = answer.body.to_lowercase().replace("masked-canary.ics</d:href>", "");
        assert!(!text.contains("masked-canary"), "{answer:?}");
    }
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s25_of_many_writers_one_wins() {
    let scene = scene().await;
    // Each round writes other texts: to write what is there already changes nothing, and its etag stays.
    let race = async |round: u32, condition: String| {
        let many: Vec<_> = (0..20)
            .map(|n| {
                let (address, anna, condition) = (scene.gateway.address, scene.anna.clone(), condition.clone());
                tokio::spawn(async move {
                    let text = with_title("race", &format!("number {n} of {round}"));
                    let mut wire = web::wire_to(address).await;
                    let length = text.len();
                    wire.send(format!(
                        "PUT /dav/anna/private/race.ics HTTP/1.1\r\nHost: x\r\n{anna}{condition}Content-Type: text/calendar\r\n\
                         Content-Length: {length}\r\n\r\n{text}"
                    ))
                    .await;
                    let answer = wire.answer().await.expect("an answer");
                    (answer.status, answer.header("etag").to_owned(), n)
                })
            })
            .collect();
        let mut won = Vec::new();
        for one in many {
            match one.await.unwrap() {
                (201 | 204, etag, n) => won.push((etag, n)),
                (412, ..) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(won.len(), 1, "{condition}");
        let now = scene.send("GET", "/dav/anna/private/race.ics", "", "").await;
        assert!(now.body.contains(&format!("number {} of {round}\r\n", won[0].1)), "what won is what is there");
        assert_eq!(now.header("etag"), won[0].0);
        won.remove(0).0
    };
    let etag = race(1, "If-None-Match: *\r\n".to_owned()).await;
    race(2, format!("If-Match: {etag}\r\n")).await;
    scene.unharmed().await;
}

// Calendar data: that each is bounded by itself stands in `ical_hostile.rs`; here it goes the whole way.

/// Puts it, and if it is taken asks for it in every way that looks into it.
async fn goes_the_whole_way(scene: &Scene, name: &str, text: &str) -> u16 {
    let put = scene.put("/dav/anna/private/bomb.ics", text).await;
    assert!(matches!(put.status, 201 | 204 | 400 | 403 | 413), "{name}: {} {:.500}", put.status, put.body);
    if put.status < 300 {
        let expand =
            "<C:calendar-data><C:expand start=\"20260601T000000Z\" end=\"20270601T000000Z\"/></C:calendar-data>";
        let range = "<C:time-range start=\"20260601T000000Z\" end=\"20260701T000000Z\"/>";
        let event = |inside: &str| query(&format!("<C:comp-filter name=\"VEVENT\">{inside}</C:comp-filter>"));
        let alarm = format!("<C:comp-filter name=\"VALARM\">{range}</C:comp-filter>");
        for body in [
            event(range),
            event(&alarm),
            event(range).replace("<C:calendar-data/>", expand),
            format!("<C:free-busy-query {XMLNS}>{range}</C:free-busy-query>"),
        ] {
            let answer = scene.report("/dav/anna/private/", &body).await;
            assert!(matches!(answer.status, 200 | 207 | 403 | 507), "{name}: {} {:.500}", answer.status, answer.body);
            assert!(answer.body.len() < 64 << 20, "{name}");
        }
        scene.ask("", "GET", &format!("/feed/{FULL_TOKEN}.ifb?start=2026-06-01"), "", b"").await;
        assert_eq!(scene.send("DELETE", "/dav/anna/private/bomb.ics", "", "").await.status, 204, "{name}");
    }
    put.status
}

#[tokio::test(flavor = "multi_thread")]
async fn s26_rules_never_run_away() {
    let scene = scene().await;
    for rule in [
        "FREQ=SECONDLY",
        "FREQ=SECONDLY;COUNT=1000000000",
        "FREQ=DAILY;COUNT=1000000000",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=-1",
        "FREQ=DAILY;INTERVAL=99999999999999999999",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31;BYDAY=MO",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MINUTELY;BYHOUR=3;BYMINUTE=61",
        "FREQ=YEARLY;BYYEARDAY=366;BYWEEKNO=1",
        "FREQ=YEARLY;BYEASTER=0",
        "FREQ=DAILY;UNTIL=99991231T235959Z",
        "FREQ=DAILY;UNTIL=19000101T000000Z",
        "FREQ=DAILY;BYSETPOS=-366",
        "FREQ=MONTHLY;BYDAY=5MO,-5MO;BYSETPOS=400",
        "FREQ=SECONDLY;BYSECOND=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15;BYMINUTE=0;BYHOUR=0;BYMONTHDAY=29;BYMONTH=2;BYDAY=SU",
        "FREQ=NONSENSE",
        "COUNT=1",
    ] {
        let text = event(&format!("UID:bomb\nDTSTART:20260101T000000Z\nDTEND:20260101T000100Z\nRRULE:{rule}"));
        goes_the_whole_way(&scene, rule, &text).await;
    }
    let dates = |n: usize| {
        (0..n).map(|n| format!("2026{:02}{:02}T{:02}0000Z", 1 + n % 12, 1 + n % 28, n % 24)).collect::<Vec<_>>()
    };
    for (name, lines) in [
        ("RDATE", format!("RDATE:{}", dates(20_000).join(","))),
        ("EXDATE", format!("RRULE:FREQ=HOURLY\nEXDATE:{}", dates(9_000).join(","))),
        ("EXRULE", "RRULE:FREQ=SECONDLY\nEXRULE:FREQ=SECONDLY".to_owned()),
        ("rules", "RRULE:FREQ=SECONDLY\n".repeat(500)),
        ("a long event", "RRULE:FREQ=DAILY\nX-A:1".to_owned()),
    ] {
        let text = event(&format!("UID:bomb\nDTSTART:19000101T000000Z\nDURATION:P9000D\n{lines}"));
        goes_the_whole_way(&scene, name, &text).await;
    }
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s27_zones_never_run_away() {
    let scene = scene().await;
    let part = |kind: &str, lines: &str| {
        format!(
            "BEGIN:{kind}\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\n{lines}END:{kind}\r\n"
        )
    };
    let zones = [
        ("observances", part("STANDARD", "").repeat(5_000)),
        ("every second", part("STANDARD", "RRULE:FREQ=SECONDLY\r\n")),
        (
            "both every second",
            [part("STANDARD", "RRULE:FREQ=SECONDLY\r\n"), part("DAYLIGHT", "RRULE:FREQ=SECONDLY\r\n")].concat(),
        ),
        ("never", part("STANDARD", "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30\r\n")),
        ("dates", part("STANDARD", &"RDATE:19800101T000000\r\n".repeat(4_000))),
        ("odd offsets", part("STANDARD", "").replace("+0100", "+9999").replace("+0200", "-9999")),
        ("no offsets", part("STANDARD", "").replace("+0100", "").replace("+0200", "x")),
        ("nothing in it", String::new()),
        ("zones in zones", "BEGIN:VTIMEZONE\r\nTZID:X\r\n".repeat(100)),
    ];
    for (name, inside) in &zones {
        let text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VTIMEZONE\r\nTZID:Odd/Zone\r\n{inside}END:VTIMEZONE\r\n\
             BEGIN:VEVENT\r\nUID:bomb\r\nDTSTAMP:20260101T000000Z\r\nDTSTART;TZID=Odd/Zone:20260601T020000\r\n\
             RRULE:FREQ=DAILY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        );
        goes_the_whole_way(&scene, name, &text).await;
        let sent = text.replace('&', "&amp;").replace('<', "&lt;");
        let body = query("<C:comp-filter name=\"VEVENT\"/>")
            .replace("</C:filter>", &format!("</C:filter><C:timezone>{sent}</C:timezone>"));
        let answer = scene.report("/dav/anna/private/", &body).await;
        assert!(matches!(answer.status, 207 | 403), "{name}: {:.500}", answer.body);
    }
    for zone in ["Mars/Olympus", "", "../../etc/passwd", "America/Argentina/../../../etc/passwd", "x\u{fffd}"] {
        let text = event(&format!("UID:bomb\nDTSTART;TZID=\"{zone}\":20260329T023000\nRRULE:FREQ=DAILY"));
        goes_the_whole_way(&scene, zone, &text).await;
        let body = query("").replace("</C:filter>", &format!("</C:filter><C:timezone-id>{zone}</C:timezone-id>"));
        assert!(matches!(scene.report("/dav/anna/private/", &body).await.status, 207 | 403), "{zone}");
    }
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s28_objects_of_every_odd_shape_and_size() {
    let scene = scene().await;
    let much = 1_900_000;
    let inside = |lines: &str| event(&format!("UID:bomb\nDTSTART:20260601T100000Z\n{lines}"));
    let refused = [
        ("nothing", String::new()),
        ("no calendar", "hello".to_owned()),
        ("nested", "BEGIN:X\r\n".repeat(much / 9)),
        ("no end", inside("").replace("END:VEVENT\r\nEND:VCALENDAR\r\n", "")),
        ("two UIDs", format!("{}{}", inside(""), inside("").replace("UID:bomb", "UID:other"))),
        ("components", inside(&"BEGIN:VALARM\nEND:VALARM\n".repeat(much / 30))),
        ("properties", inside(&"X:1\n".repeat(much / 6))),
        ("parameters", inside(&format!("X{}:1", ";A=1".repeat(much / 4)))),
        ("values", inside(&format!("X;A={}:1", "1,".repeat(much / 2)))),
        ("attendees", inside(&"ATTENDEE:mailto:a@example.org\n".repeat(3_000))),
        ("a method", inside("").replace("VERSION:2.0\r\n", "VERSION:2.0\r\nMETHOD:REQUEST\r\n")),
    ];
    for (name, text) in &refused {
        let status = goes_the_whole_way(&scene, name, text).await;
        assert!(status >= 400, "{name} was taken");
    }
    for (name, text) in [
        ("a long line", inside(&format!("DESCRIPTION:{}", "x".repeat(much)))),
        ("a long UID", inside("").replace("UID:bomb", &format!("UID:{}", "x".repeat(100_000)))),
        ("folds", inside(&format!("DESCRIPTION:{}", "\r\n x".repeat(20_000)))),
        ("octets", inside("DESCRIPTION:\u{1}\u{2}\u{7f}")),
        ("an alarm before time", inside("BEGIN:VALARM\nACTION:DISPLAY\nTRIGGER:-P99999999W\nEND:VALARM")),
        ("an odd duration", inside("DURATION:P99999999999999999999D")),
        ("a year", inside("").replace("20260601T100000Z", "99991231T235959Z")),
        ("a year that is not", inside("").replace("20260601T100000Z", "00000101T000000Z")),
    ] {
        goes_the_whole_way(&scene, name, &text).await;
    }
    let large = scene.put("/dav/anna/private/bomb.ics", &inside(&format!("DESCRIPTION:{}", "x".repeat(3 << 20)))).await;
    assert!(large.status == 403 && large.body.contains("<C:max-resource-size/>"), "{large:?}");
    assert_eq!(scene.names().await, ["a.ics"]);
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s29_no_text_becomes_a_line() {
    let scene = scene().await;
    let lines = "SUMMARY:one\\nATTENDEE:mailto:injected@example.org\nDESCRIPTION;X=\"a^nATTENDEE:mailto:injected@example.org\":two\r\
                 ATTENDEE:mailto:injected@example.org\nLOCATION:three\u{2028}ATTENDEE:mailto:injected@example.org\u{85}X:1\nCOMMENT:\u{b}\u{c}four";
    let text = event(&format!("UID:lines\nDTSTART:20260601T100000Z\nDTEND:20260601T110000Z\n{lines}"));
    assert_eq!(scene.put("/dav/anna/private/lines.ics", &text).await.status, 201);
    let name = "x&#10;ATTENDEE:mailto:injected@example.org&#13;&#10;X:1";
    let patch = format!(
        "<D:propertyupdate {XMLNS}><D:set><D:prop><D:displayname>{name}</D:displayname></D:prop></D:set></D:propertyupdate>"
    );
    assert_eq!(scene.send("PROPPATCH", "/dav/anna/private/", "", patch).await.status, 207);
    let expand = "<C:calendar-data><C:expand start=\"20260601T000000Z\" end=\"20260701T000000Z\"/></C:calendar-data>";
    for answer in [
        scene.ask("", "GET", &format!("/feed/{FULL_TOKEN}.ics?start=2026-06-01"), "", b"").await,
        scene
            .report(
                "/dav/anna/private/",
                &query("<C:comp-filter name=\"VEVENT\"/>").replace("<C:calendar-data/>", expand),
            )
            .await,
        scene.send("GET", "/dav/anna/private/", "", "").await,
    ] {
        let text = answer.body.replace("\r\n ", "").replace("&#13;\n ", "");
        let injected = text.split(['\n', '\r']).any(|line| line.starts_with("ATTENDEE") || line.starts_with("X:"));
        assert!(!injected, "{text}");
    }
    // Nor a header.
    for path in
        ["/dav/anna/private/a%0d%0aX-Injected:%201.ics", "/feed/%0d%0aX-Injected:%201.ics", "/%0d%0aX-Injected:1"]
    {
        for method in ["GET", "PUT", "PROPFIND"] {
            let answer = scene.send(method, path, "", "").await;
            assert!(!answer.headers.keys().any(|name| name.contains("injected")), "{answer:?}");
        }
    }
    scene.unharmed().await;
}

/// No mail goes out from here; what a mail would be addressed by is read in one place, where others are asked about.
#[tokio::test(flavor = "multi_thread")]
async fn s33_an_address_is_one_address_and_never_a_line() {
    let scene = scene().await;
    let asking = |organizer: &str, attendee: &str| {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nMETHOD:REQUEST\r\nBEGIN:VFREEBUSY\r\nUID:f\r\n\
             DTSTAMP:20260101T000000Z\r\nDTSTART:20260601T000000Z\r\nDTEND:20260602T000000Z\r\n\
             ORGANIZER{organizer}\r\nATTENDEE{attendee}\r\nEND:VFREEBUSY\r\nEND:VCALENDAR\r\n"
        )
    };
    let post = async |organizer: &str, attendee: &str| {
        let body = asking(organizer, attendee);
        scene.send("POST", "/dav/anna/outbox/", "Content-Type: text/calendar\r\n", body).await
    };
    let anna = ":mailto:anna@example.org";
    for known in [anna, ":MAILTO:Anna%40example.org"] {
        let told = post(anna, known).await;
        assert!(told.status == 200 && told.body.contains("2.0;Success"), "{known}: {told:?}");
    }
    for address in [
        "anna@example.org%0d%0aBcc:victim@example.org",
        "anna@example.org%0ABcc:victim@example.org",
        "anna%0d@example.org",
        "anna@example.org%00",
        "%00anna@example.org",
        "anna@example.org,victim@example.org",
        "anna@example.org;victim@example.org",
        "anna@example.org?bcc=victim@example.org&body=x",
        "anna@example.org%3Fbcc=victim@example.org",
        "<anna@example.org>",
        "Anna <anna@example.org>",
        "%22anna%0a%22@example.org",
        "anna@example.org\\nBcc:victim@example.org",
        "anna@example.org\r\n Bcc:victim@example.org",
        "anna@example.org\u{2028}Bcc:victim@example.org",
        "%ff%fe@example.org",
        "",
    ] {
        let hostile = format!(":mailto:{address}");
        let told = post(anna, &hostile).await;
        assert!(told.status == 200 && told.body.contains("3.7;Invalid calendar user"), "{address:?}: {told:?}");
        well_formed(&told.body);
        let refused = post(&hostile, anna).await;
        assert!(refused.status == 403 && refused.body.contains("<C:organizer-allowed/>"), "{address:?}: {refused:?}");
        for answer in [told, refused] {
            assert!(!answer.body.lines().any(|line| line.trim_start().starts_with("Bcc")), "{address:?}: {answer:?}");
            assert!(!answer.headers.keys().any(|name| name == "bcc"), "{address:?}: {answer:?}");
        }
    }
    // What stands beside an address is given back in its parameter.
    let told = post(anna, &format!(";CN=\"a^nBcc:victim@example.org\";X=\"b\"{anna}")).await;
    assert!(told.status == 200 && told.body.contains("2.0;Success"), "{told:?}");
    assert!(!told.body.lines().any(|line| line.starts_with("Bcc")), "{told:?}");
    scene.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s34_what_an_event_points_to_is_never_fetched() {
    let scene = scene().await;
    let trap = trap().await;
    let url = format!("http://{}/", trap.address);
    let lines = format!(
        "ATTACH:{url}\nIMAGE;VALUE=URI:{url}\nCONFERENCE;VALUE=URI:{url}\nURL:{url}\nATTENDEE;DIR=\"{url}\":mailto:x@example.org\n\
         SOURCE;VALUE=URI:{url}\nTZURL:{url}\nBEGIN:VALARM\nACTION:AUDIO\nATTACH:{url}\nTRIGGER:-PT1M\nEND:VALARM\n\
         BEGIN:VALARM\nACTION:PROCEDURE\nATTACH:{url}\nTRIGGER:-PT1M\nEND:VALARM"
    );
    let text = event(&format!("UID:points\nDTSTART:20260601T100000Z\nDTEND:20260601T110000Z\n{lines}"));
    assert_eq!(scene.put("/dav/anna/private/points.ics", &text).await.status, 201);
    scene.report("/dav/anna/private/", &query("")).await;
    scene.ask("", "GET", &format!("/feed/{FULL_TOKEN}.ics?start=2026-06-01"), "", b"").await;
    change(&scene.gateway, |_| Ok(())).await;
    trap.caught_nothing().await;
    scene.unharmed().await;
}

/// One thread, so that what is logged for this test is logged to it.
#[tokio::test]
async fn s35_nothing_that_was_stored_or_sent_is_in_the_log_at_its_finest() {
    let (log, _listening) = web::Log::of_this_thread();
    let scene = scene().await;
    let canary = |n: usize| format!("logged-canary-{n}");
    let text = event(&format!(
        "UID:u\nDTSTART:20260601T100000Z\nDTEND:20260601T110000Z\nSUMMARY:{}\nLOCATION:{}\nDESCRIPTION:{}\n\
         ATTENDEE;CN={}:mailto:{}@example.org\nX-{}:1",
        canary(1),
        canary(2),
        canary(3),
        canary(4),
        canary(5),
        canary(6)
    ));
    assert_eq!(scene.put("/dav/anna/private/u.ics", &text).await.status, 201);
    scene.put("/dav/anna/private/u.ics", &text.replace("END:VEVENT", "BEGIN:X")).await;
    scene.put("/dav/anna/private/u.ics", &text.replace("UID:u", "UID:v")).await;
    scene.put("/dav/anna/private/w.ics", &text).await;
    let dead = format!(
        "<D:propertyupdate {XMLNS}><D:set><D:prop><x xmlns=\"urn:x\">{}</x><C:calendar-description>{}</C:calendar-description>\
         </D:prop></D:set></D:propertyupdate>",
        canary(7),
        canary(8)
    );
    scene.send("PROPPATCH", "/dav/anna/private/", "", &dead).await;
    scene.send("PROPPATCH", "/dav/anna/private/", "", &dead[..dead.len() - 9]).await;
    let filter = format!(
        "<C:comp-filter name=\"VEVENT\"><C:prop-filter name=\"SUMMARY\"><C:text-match>{}</C:text-match></C:prop-filter></C:comp-filter>",
        canary(9)
    );
    scene.report("/dav/anna/private/", &query(&filter)).await;
    scene.report("/dav/anna/private/", &query("")).await;
    scene.send("PROPFIND", "/dav/anna/private/", "Depth: 1\r\n", "").await;
    scene.ask(&basic("anna", &canary(10)), "PROPFIND", "/dav/", "", b"").await;
    scene.ask(&basic("anna", PASSWORD), "PROPFIND", "/dav/", "Depth: 0\r\n", b"").await;
    scene.ask("", "GET", &format!("/feed/{FULL_TOKEN}.ics?start=2026-06-01"), "", b"").await;
    scene.ask("", "GET", &format!("/feed/{}.ics", canary(11)), "", b"").await;
    let cookie = format!("Cookie: session={}\r\nX-Secret: {}\r\n", canary(12), canary(13));
    scene.send("GET", "/dav/anna/private/u.ics", &cookie, "").await;
    scene.send("DELETE", "/dav/anna/private/u.ics", "", "").await;

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.lines().filter(|line| line.contains("\"status\":")).count() > 10, "the log was not seen");
    let (_, annas) = scene.anna.trim_end().split_once("Basic ").unwrap();
    let (_, berts) = scene.bert.trim_end().split_once("Basic ").unwrap();
    for secret in ["logged-canary", "LOGGED-CANARY", BERTS, PASSWORD, FULL_TOKEN, annas, berts] {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret:?} is in the log");
    }
}
