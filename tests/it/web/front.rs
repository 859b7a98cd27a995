//! What stands before the answers: proxies and what they say, bodies that nobody reads, connections by address, floods of
//! HTTP/2 frames, and every address that somebody may type or a program may try.

use std::time::Instant as Clock;

use super::*;

// Behind a proxy.

/// The statuses of so many wrong logins of one user, each with these headers.
async fn wrong(gateway: &Gateway, count: usize, headers: impl Fn(usize) -> String) -> Vec<u16> {
    let mut statuses = Vec::new();
    for n in 0..count {
        let headers = format!("{}{}", basic("nobody", &format!("wrong {n}")), headers(n));
        statuses.push(login(gateway, &headers).await.status);
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_each_client_is_counted_by_itself() {
    let gateway = start_with("trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]", "").await;
    let from = |client: &'static str| move |_: usize| format!("X-Forwarded-For: {client}\r\n");
    let many = [vec![401; 10], vec![429]].concat();
    assert_eq!(wrong(&gateway, 11, from("203.0.113.1")).await, many);
    assert_eq!(wrong(&gateway, 1, from("203.0.113.2")).await, [401]);
    assert_eq!(wrong(&gateway, 1, from("203.0.113.1, 10.1.1.1")).await, [429], "through two proxies");
    // What the client itself wrote stands further left, and helps nobody.
    let lies = |n: usize| format!("X-Forwarded-For: 198.51.100.{n}, 203.0.113.1\r\n");
    assert_eq!(wrong(&gateway, 2, lies).await, [429, 429]);
    let lies = |n: usize| format!("Forwarded: for=198.51.100.{n}\r\nX-Forwarded-For: 203.0.113.3\r\n");
    assert_eq!(wrong(&gateway, 11, lies).await, many, "a header that the proxy let through");
    assert_eq!(wrong(&gateway, 1, |_| "Forwarded: for=\"[2001:db8::1]:5\"\r\n".to_owned()).await, [401]);
}

/// A proxy may be asked for another name than `public_url` has, and pass on another Host: who moves an event says the name
/// that it knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_destination_may_name_the_host_that_a_trusted_proxy_was_asked_for() {
    for (trusted, expect) in [("trusted_proxies = [\"127.0.0.1\"]", 201), ("", 502)] {
        let gateway = start_with(trusted, "").await;
        let anna = basic("anna", PASSWORD);
        let text = event("UID:a\nDTSTART:20260610T090000Z");
        let kind = "Content-Type: text/calendar\r\n";
        assert_eq!(crate::client::ask(&gateway, "PUT", "/dav/anna/private/a.ics", kind, &text).await.status, 201);
        for (header, name) in [("X-Forwarded-Host: ", "b"), ("Forwarded: for=192.0.2.1;host=", "c")] {
            let headers = format!(
                "{anna}{header}other.example\r\nDestination: https://other.example/dav/anna/private/{name}.ics\r\n"
            );
            let from = if name == "b" || expect != 201 { "a" } else { "b" };
            let moved = ask(&gateway, "MOVE", &format!("/dav/anna/private/{from}.ics"), &headers).await;
            assert_eq!(moved.status, expect, "{trusted} {header}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_protocol_says_who_comes() {
    let gateway = start_with("trusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true", "").await;
    let ask = async |before: &[u8], password: &str| {
        let mut wire = wire(&gateway).await;
        let anna = basic("nobody", password);
        let request = format!("PROPFIND /dav/ HTTP/1.1\r\nHost: x\r\n{anna}Content-Length: 0\r\n\r\n");
        wire.send([before, request.as_bytes()].concat()).await;
        wire.answer().await.map(|answer| answer.status)
    };
    let from = |client: &str| format!("PROXY TCP4 {client} 192.0.2.2 4711 443\r\n").into_bytes();
    for n in 0..10 {
        assert_eq!(ask(&from("203.0.113.1"), &format!("wrong {n}")).await, Some(401));
    }
    assert_eq!(ask(&from("203.0.113.1"), "wrong").await, Some(429));
    assert_eq!(ask(&from("203.0.113.2"), "wrong").await, Some(401));
    let mut second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    second.extend([203, 0, 113, 1, 192, 0, 2, 2, 0, 1, 0, 2]);
    assert_eq!(ask(&second, "wrong").await, Some(429), "version 2, the same client");
    // Without a header nobody is answered: whoever came past the proxy could say anything.
    assert_eq!(ask(b"", "wrong").await, None);
    assert_eq!(ask(b"PROXY TCP4 nonsense\r\n", "wrong").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_holds_so_many_connections_until_it_logs_in() {
    let gateway = start_with("", "[limits]\nconnections_per_address = 3").await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut one = wire(&gateway).await;
        one.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(one.answer().await.expect("an answer").status, 200);
        held.push(one);
    }
    let mut fourth = wire(&gateway).await;
    assert_eq!(fourth.answer().await.expect("an answer").status, 503);
    assert!(fourth.answer().await.is_none());
    // Who has logged in is no stranger any more.
    let (_, phone) = device(&gateway, "anna", false).await;
    let anna = basic("anna", phone.reveal());
    let propfind = format!("PROPFIND /dav/ HTTP/1.1\r\nHost: x\r\nDepth: 0\r\n{anna}Content-Length: 0\r\n\r\n");
    held[0].send(&propfind).await;
    assert_eq!(held[0].answer().await.expect("an answer").status, 207);
    let mut next = wire(&gateway).await;
    next.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(next.answer().await.expect("an answer").status, 200);
    let mut full = wire(&gateway).await;
    assert_eq!(full.answer().await.expect("an answer").status, 503);

    // A proxy brings many.
    let gateway = start_with("trusted_proxies = [\"127.0.0.1\"]", "[limits]\nconnections_per_address = 3").await;
    let mut held = Vec::new();
    for _ in 0..10 {
        let mut one = wire(&gateway).await;
        one.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(one.answer().await.expect("an answer").status, 200);
        held.push(one);
    }
}

// Bodies that nobody reads.

/// After an answer that did not need the body, the next request on the connection is answered for what it is; or the
/// connection was closed, and the answer came whole all the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_unread_body_is_never_taken_for_the_next_request() {
    let gateway = start_with("", "[limits]\nbody = \"64 KiB\"").await;
    let (_, phone) = device(&gateway, "anna", false).await;
    let anna = basic("anna", phone.reveal());
    let inner = "GET /robots.txt HTTP/1.1\r\nHost: x\r\n\r\n";
    let cases = [
        (401, "PUT /dav/anna/private/x.ics", String::new()),
        (401, "PROPFIND /remote.php/dav/", String::new()),
        (301, "PROPFIND /.well-known/caldav", String::new()),
        (301, "PROPFIND /remote.php/dav/", anna.clone()),
        (404, "PROPFIND /nothing", anna.clone()),
        (404, "PROPFIND /dav/anna/private/none/deep/x", anna.clone()),
        (405, "POST /healthz", String::new()),
        (405, "PUT /dav/anna/private/", anna.clone()),
        (200, "OPTIONS /dav/anna/", String::new()),
        (400, "PUT /dav/anna/private/x.ics", format!("{anna}Content-Range: bytes 0-1/2\r\n")),
        (415, "PUT /dav/anna/private/x.ics", format!("{anna}Content-Encoding: gzip\r\n")),
        (417, "PUT /dav/anna/private/x.ics", format!("{anna}Expect: a miracle\r\n")),
        (501, "FOO /dav/anna/", anna.clone()),
    ];
    for (expect, start, headers) in &cases {
        for size in [1, 40_000, 900_000] {
            // The body is made of requests: whoever took it for some would answer them.
            let body = inner.repeat(size / inner.len() + 1);
            let (length, chunk) = (body.len(), format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
            for (framing, body) in [
                (format!("Content-Length: {length}\r\n"), &body),
                ("Transfer-Encoding: chunked\r\n".to_owned(), &chunk),
            ] {
                let mut wire = wire(&gateway).await;
                wire.send(format!("{start} HTTP/1.1\r\nHost: x\r\n{headers}{framing}\r\n")).await;
                wire.send(body).await;
                let answer = wire.answer().await.unwrap_or_else(|| panic!("{start} {size}: no answer"));
                // A body that is read before it is looked at may be too large.
                let unread = if start.starts_with("PUT /dav/anna/private/x.ics") { 403 } else { 413 };
                let too_large = answer.status == unread && length > 64 << 10;
                assert!(answer.status == *expect || too_large, "{start} {size}: {answer:?}");
                wire.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
                let next = wire.answer().await;
                assert!(
                    next.is_none_or(|next| next.body == "ok\n"),
                    "{start} {size}: what came next was not what was asked"
                );
                assert!(!wire.more_soon().await, "{start} {size}: more answers than requests");
            }
        }
    }
    // Too large itself: declared, and found out.
    for framing in ["Content-Length: 900000\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut wire = wire(&gateway).await;
        wire.send(format!("PUT /dav/anna/private/x.ics HTTP/1.1\r\nHost: x\r\n{anna}{framing}\r\n")).await;
        let body = "x".repeat(900_000);
        match framing.starts_with('C') {
            true => wire.send(&body).await,
            false => wire.send(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())).await,
        }
        let answer = wire.answer().await.expect("an answer");
        assert!(answer.status == 403 && answer.body.contains("<C:max-resource-size/>"), "{answer:?}");
        wire.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(wire.answer().await.is_none_or(|next| next.status == 200));
    }
}

// Addresses.

/// Wherever a program begins, it comes to its principal: by the answer, or by a redirect to one of ours.
#[tokio::test(flavor = "multi_thread")]
async fn every_address_leads_to_the_principal() {
    for (public_url, prefix) in [("https://cal.example.org", ""), ("https://cal.example.org/our/cal", "/our/cal")] {
        let gateway = start_with(&format!("public_url = \"{public_url}\""), "").await;
        let (_, phone) = device(&gateway, "anna", false).await;
        let anna = basic("anna", phone.reveal());
        let agents = [
            "",
            "User-Agent: macOS/26.2 (25C56) accountsd/1.0\r\n",
            "User-Agent: DAVx5/4.5 (2026/01/01; dav4jvm)\r\n",
            "User-Agent: x\r\n",
        ];
        for path in [
            "/",
            "/dav",
            "/dav/",
            "/dav/principals/",
            "/dav/principals/anna/",
            "/dav/principals/anna",
            "/dav/anna/",
            "/dav/anna",
            "/dav/anna/private/",
            "/dav/anna/private",
            "/.well-known/caldav",
            "/.well-known/caldav/",
            "/remote.php/dav",
            "/remote.php/dav/",
            "/remote.php/dav/calendars/anna/private/",
            "/remote.php/webdav",
            "/SOGo/dav",
            "/SOGo/dav/anna/",
            "/caldav",
            "/caldav/",
            "/cal",
            "/principals",
            "/principals/",
            "/principals/users/anna/",
            "/calendars/",
            "/calendars/anna/",
            "/calendars/anna/private/",
        ] {
            for agent in agents {
                let options = ask(&gateway, "OPTIONS", path, agent).await;
                let redirected = path.starts_with("/.well-known");
                assert_eq!(options.status, if redirected { 301 } else { 200 }, "OPTIONS {path}");
                assert!(redirected || options.header("dav").contains("calendar-access"), "OPTIONS {path}: {options:?}");

                let body = "<D:propfind xmlns:D='DAV:'><D:prop><D:current-user-principal/></D:prop></D:propfind>";
                let headers = format!("{agent}Depth: 0\r\nContent-Length: {}\r\n", body.len());
                let (mut at, mut asked_to_log_in) = (format!("{prefix}{path}"), false);
                let mut sent = String::new();
                let answer = loop {
                    let mut wire = wire(&gateway).await;
                    wire.send(format!("PROPFIND {at} HTTP/1.1\r\nHost: x\r\n{sent}{headers}\r\n{body}")).await;
                    let answer = wire.answer().await.expect("an answer");
                    match answer.status {
                        401 if sent.is_empty() => {
                            assert_eq!(answer.header("www-authenticate"), r#"Basic realm="calgate", charset="UTF-8""#);
                            asked_to_log_in = true;
                            sent.clone_from(&anna);
                        }
                        301 | 308 => {
                            let to = answer.header("location").strip_prefix("https://cal.example.org").expect("ours");
                            assert_ne!(to, at, "{path} goes in circles");
                            at = to.to_owned();
                        }
                        _ => break answer,
                    }
                };
                assert!(asked_to_log_in, "{path} with {agent:?}: nobody asked who it is");
                assert_eq!(answer.status, 207, "{path} with {agent:?}: {answer:?}");
                let principal = format!("<D:current-user-principal><D:href>{prefix}/dav/principals/anna/</D:href>");
                assert!(answer.body.contains(&principal), "{path} with {agent:?}: {}", answer.body);
                assert!(
                    answer.body.contains(&format!("<D:href>{at}")),
                    "{path}: its own place is in the answer: {answer:?}"
                );
            }
        }
        // Programs that put an address together double slashes, those in front as well.
        for path in ["//dav/anna/", "//dav//anna//private", "///dav/anna/private/"] {
            let body = "<D:propfind xmlns:D='DAV:'><D:prop><D:resourcetype/></D:prop></D:propfind>";
            let length = format!("{anna}Depth: 0\r\nContent-Length: {}\r\n", body.len());
            for at in [format!("{prefix}{path}"), format!("/{prefix}{path}")] {
                let mut wire = wire(&gateway).await;
                wire.send(format!("PROPFIND {at} HTTP/1.1\r\nHost: x\r\n{length}\r\n{body}")).await;
                let answer = wire.answer().await.expect("an answer");
                assert_eq!(answer.status, 207, "{at}: {answer:?}");
                assert!(answer.body.contains(&format!("<D:href>{prefix}/dav/anna/")), "{at}: {answer:?}");
            }
        }
        // What is nowhere is nowhere, and a person who types an address is led on without a login.
        assert_eq!(ask(&gateway, "PROPFIND", "/remote.php/other", &anna).await.status, 404);
        let led = ask(&gateway, "GET", "/remote.php/dav", "").await;
        assert_eq!((led.status, led.header("location")), (301, format!("{public_url}/dav/").as_str()));
    }
}

// Floods of HTTP/2 frames (RFC 9113), written by hand.

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// GET http://x/, in HPACK.
const GET_ROOT: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'x'];
/// The same as a POST.
const POST_ROOT: &[u8] = &[0x83, 0x86, 0x84, 0x41, 1, b'x'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Sends frames until they are all sent, nobody takes them any more for a while, or the connection ends; reads beside it.
/// What came back: the kinds of the frames and how many bytes could be sent.
async fn flood(gateway: &Gateway, frames: impl Iterator<Item = Vec<u8>>) -> (Vec<u8>, usize) {
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let kinds = tokio::spawn(async move {
        let mut kinds = Vec::new();
        let mut head = [0; 9];
        while timeout(Duration::from_secs(5), reader.read_exact(&mut head)).await.is_ok_and(|read| read.is_ok()) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            kinds.push(head[3]);
            let mut payload = vec![0; length];
            if reader.read_exact(&mut payload).await.is_err() {
                break;
            }
        }
        kinds
    });
    let mut sent = 0;
    let start = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    for bytes in std::iter::once(start).chain(frames) {
        match timeout(Duration::from_secs(3), writer.write_all(&bytes)).await {
            Ok(Ok(())) => sent += bytes.len(),
            _ => break,
        }
    }
    let kinds = kinds.await.unwrap();
    drop(writer);
    (kinds, sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn s58_floods_of_frames_are_cut_and_others_do_not_notice() {
    let gateway = std::sync::Arc::new(start().await);
    let odd = |n: u32| 2 * n + 1;
    let (done, mut watched) = watch::channel(false);
    let others = {
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move {
            let mut slowest = Duration::ZERO;
            while !*watched.borrow_and_update() {
                let begun = Clock::now();
                assert_eq!(ask(&gateway, "GET", "/readyz", "").await.status, 200);
                slowest = slowest.max(begun.elapsed());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            slowest
        })
    };

    // Opened and taken back, faster than anybody can answer (CVE-2023-44487).
    let resets = (0..20_000).map(|n| {
        let open = frame(HEADERS, END_HEADERS | END_STREAM, odd(n), GET_ROOT);
        [open, frame(RST_STREAM, 0, odd(n), &8u32.to_be_bytes())].concat()
    });
    let (kinds, sent) = flood(&gateway, resets).await;
    assert!(kinds.contains(&GOAWAY), "{sent} bytes of requests that were taken back");

    // A head that never ends (CVE-2024-27316).
    let field = [&[0x40, 1, b'a', 127, 0x81, 0x7d][..], &[b'x'; 16_000]].concat();
    let head = std::iter::once(frame(HEADERS, END_STREAM, 1, GET_ROOT));
    let endless = head.chain((0..2_000).map(|_| frame(CONTINUATION, 0, 1, &field)));
    let (kinds, sent) = flood(&gateway, endless).await;
    assert!(kinds.contains(&GOAWAY) && sent < 16 << 20, "{} MiB of a head were taken", sent >> 20);
    let drip = std::iter::once(frame(HEADERS, END_STREAM, 1, GET_ROOT))
        .chain((0..100_000).map(|_| frame(CONTINUATION, 0, 1, &[])));
    let (kinds, sent) = flood(&gateway, drip).await;
    assert!(kinds.contains(&GOAWAY) && sent < 500_000, "{sent} bytes of empty continuations were taken");

    // Data that is none.
    let open = std::iter::once(frame(HEADERS, END_HEADERS, 1, POST_ROOT));
    let (kinds, _) = flood(&gateway, open.chain((0..200).map(|_| frame(DATA, 0, 1, &[]).repeat(1_000)))).await;
    assert!(kinds.contains(&GOAWAY), "data without data");

    // What has to be answered is answered one by one, as fast as it is taken; what is impossible ends the connection.
    flood(&gateway, (0..200).map(|_| frame(PING, 0, 0, &[7; 8]).repeat(500))).await;
    flood(&gateway, (0..200).map(|_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]).repeat(500))).await;
    let (kinds, _) = flood(&gateway, (0..10).map(|_| frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffffu32.to_be_bytes()))).await;
    assert!(kinds.contains(&GOAWAY), "a window beyond all bounds");
    // More at once than may be: the surplus is refused, the others are answered.
    let many = (0..500).map(|n| frame(HEADERS, END_HEADERS, odd(n), POST_ROOT));
    let (kinds, _) = flood(&gateway, many).await;
    let of = |kind: u8| kinds.iter().filter(|k| **k == kind).count();
    assert!(of(RST_STREAM) > 0 && of(HEADERS) >= 100, "{} answered, {} refused", of(HEADERS), of(RST_STREAM));

    done.send(true).unwrap();
    let slowest = others.await.unwrap();
    assert!(slowest < Duration::from_secs(5), "others waited {slowest:?}");
    assert_eq!(ask(&gateway, "GET", "/healthz", "").await.status, 200);
}

/// Time-outs of HTTP/2, on a clock that jumps to whatever comes next.
#[tokio::test]
async fn s59_http2_without_a_request_ends_however_busy_it_looks() {
    let gateway = start().await;
    ask(&gateway, "GET", "/healthz", "").await;
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let mut pinging = wire(&gateway).await;
    pinging.send([PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
    let ended = loop {
        tokio::select! {
            more = pinging.more() => if !more { break begun.elapsed() },
            () = tokio::time::sleep(Duration::from_secs(7)) => pinging.send(frame(PING, 0, 0, &[7; 8])).await,
        }
    };
    assert!((75..=77).contains(&ended.as_secs()), "{ended:?}");

    let begun = tokio::time::Instant::now();
    let mut dripping = wire(&gateway).await;
    dripping.send([PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(HEADERS, END_STREAM, 1, GET_ROOT)].concat()).await;
    let ended = loop {
        tokio::select! {
            more = dripping.more() => if !more { break begun.elapsed() },
            () = tokio::time::sleep(Duration::from_secs(9)) => dripping.send(frame(CONTINUATION, 0, 1, &[0x40, 1, b'a', 1, b'b'])).await,
        }
    };
    assert!((75..=77).contains(&ended.as_secs()), "{ended:?}");
}

/// A client that asks and does not take the answer.
#[tokio::test]
async fn s59_who_takes_nothing_is_left_after_thirty_seconds() {
    let gateway = start().await;
    let text = event(&format!("UID:large\nDTSTART:20260601T100000Z\nDESCRIPTION:{}", "x".repeat(1_900_000)));
    put(&gateway, "private", text).await;
    let anna = basic("anna", PASSWORD);
    ask(&gateway, "GET", "/dav/anna/private/large.ics", &anna).await;
    let mut wire = wire(&gateway).await;
    // More than the kernel holds for both sides.
    let get = format!("GET /dav/anna/private/large.ics HTTP/1.1\r\nHost: x\r\n{anna}\r\n");
    wire.send(get.repeat(40)).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(31)).await;
    tokio::time::resume();
    let mut taken = 0;
    while timeout(Duration::from_secs(20), wire.more()).await.expect("the connection was left") {
        taken += std::mem::take(&mut wire.held).len();
    }
    assert!(taken < 40 * 1_900_000, "everything was sent");
}
