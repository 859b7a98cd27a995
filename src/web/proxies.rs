//! What a proxy says of the client behind it, believed only from `trusted_proxies`: `Forwarded` (RFC 7239),
//! `X-Forwarded-For`, `X-Forwarded-Host`, and the PROXY protocol.
//!
//! The client's address is taken for counting and for the log, and the host that it asked for to know our own addresses by
//! in what it sends. Scheme, host and path of every answer come from `public_url`, whatever a proxy says.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::header::{FORWARDED, HeaderName};
use http::{HeaderMap, HeaderValue};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::config::Network;

/// Who sent a request that came from `peer`: the last address that is no trusted proxy's. Each proxy appends the one that
/// it was asked by, so what stands further left was written by that one and says nothing.
///
/// A proxy writes one of the two headers and passes the other on as the client sent it. Where both are there and do not
/// say the same, nobody can tell which is which: then it is the proxy itself that counts.
pub fn client(trusted: &[Network], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        return peer;
    }
    let back = |name: &HeaderName, read: fn(&str) -> Vec<Option<IpAddr>>| {
        let lines: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
        let hops = lines.iter().flat_map(|line| line.to_str().map_or_else(|_| vec![None], read)).collect::<Vec<_>>();
        let mut last = peer;
        for hop in hops.into_iter().rev() {
            // One that hides the address it was asked by, or wrote none, is as far as can be seen.
            let Some(hop) = hop else { break };
            last = hop;
            if !is_trusted(hop) {
                break;
            }
        }
        (!lines.is_empty()).then_some(last)
    };
    match (back(&FORWARDED, forwarded), back(&X_FORWARDED_FOR, forwarded_for)) {
        (None, None) => peer,
        (Some(one), None) | (None, Some(one)) => one,
        (Some(one), Some(other)) if one == other => one,
        (Some(_), Some(_)) => peer,
    }
}

/// Leaves in `X-Forwarded-Host` the hosts that the client asked for, as the trusted proxy `peer` says there or in
/// `Forwarded`; of anybody else it leaves none.
pub fn keep_hosts(trusted: &[Network], peer: IpAddr, headers: &mut HeaderMap) {
    const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
    if !headers.contains_key(&X_FORWARDED_HOST) && !headers.contains_key(FORWARDED) {
        return;
    }
    let mut hosts = Vec::new();
    if trusted.iter().any(|network| network.contains(peer)) {
        let lines = |name: &HeaderName| headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
        hosts.extend(lines(&X_FORWARDED_HOST).flat_map(|line| line.split(',').map(str::trim)));
        let pairs = lines(&FORWARDED).flat_map(|line| split(line, ',')).flat_map(|element| split(element, ';'));
        hosts.extend(pairs.filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim().eq_ignore_ascii_case("host").then(|| value.trim().trim_matches('"'))
        }));
    }
    let kept = hosts.into_iter().filter(|host| !host.is_empty()).collect::<Vec<_>>().join(",");
    headers.remove(&X_FORWARDED_HOST);
    if let Some(kept) = HeaderValue::from_str(&kept).ok().filter(|kept| !kept.is_empty()) {
        headers.insert(X_FORWARDED_HOST, kept);
    }
}

/// RFC 7239 section 4: `for=192.0.2.60;proto=http, for="[2001:db8::1]:4711"`. Quotes may hold the signs that divide.
fn forwarded(line: &str) -> Vec<Option<IpAddr>> {
    let mut hops = Vec::new();
    for element in split(line, ',') {
        let mut of_for = split(element, ';').into_iter().filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim().eq_ignore_ascii_case("for").then_some(value.trim())
        });
        let value = of_for.next().filter(|_| of_for.next().is_none());
        hops.push(value.and_then(|value| {
            match value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) {
                // An address needs no escapes.
                Some(inside) => address(inside),
                None => address(value),
            }
        }));
    }
    hops
}

/// Splits at a sign that stands outside of quotes.
fn split(text: &str, sign: char) -> Vec<&str> {
    let (mut parts, mut from, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if c == sign && !quoted => {
                parts.push(&text[from..at]);
                from = at + sign.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

fn forwarded_for(line: &str) -> Vec<Option<IpAddr>> {
    line.split(',').map(|hop| address(hop.trim())).collect()
}

/// With or without a port; IPv6 with brackets, or without both.
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip().to_canonical());
    }
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    inside.parse::<Ipv6Addr>().ok().map(|v6| IpAddr::V6(v6).to_canonical())
}

/// Reads the header of the PROXY protocol, version 1 or 2, and nothing behind it. `None`: the proxy speaks for itself, to
/// see whether we live. Anything else than such a header is an error: to guess would let a client say who it is.
pub async fn header<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<SocketAddr>> {
    const V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
    // The shortest header of either version is longer.
    let mut start = [0; 12];
    stream.read_exact(&mut start).await?;
    if &start == V2 { version_2(stream).await } else { version_1(&start, stream).await }
}

fn not_a_header(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no header of the PROXY protocol: {what}"))
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n`.
async fn version_1<S: AsyncRead + Unpin>(start: &[u8], stream: &mut S) -> io::Result<Option<SocketAddr>> {
    const LONGEST: usize = 107;
    if !start.starts_with(b"PROXY ") {
        return Err(not_a_header("it begins otherwise"));
    }
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= LONGEST {
            return Err(not_a_header("its line is too long"));
        }
        // Byte by byte: what comes behind it is not ours to take.
        line.push(stream.read_u8().await?);
    }
    let line = std::str::from_utf8(&line).map_err(|_| not_a_header("it is not ASCII"))?;
    let words: Vec<&str> = line.trim_end().split(' ').collect();
    let wrong = || not_a_header("its addresses can not be read");
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", kind @ ("TCP4" | "TCP6"), from, _, port, _] => {
            let from: IpAddr = from.parse().map_err(|_| wrong())?;
            let port: u16 = port.parse().map_err(|_| wrong())?;
            if from.is_ipv4() != (*kind == "TCP4") {
                return Err(wrong());
            }
            Ok(Some(SocketAddr::new(from.to_canonical(), port)))
        }
        _ => Err(wrong()),
    }
}

async fn version_2<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<SocketAddr>> {
    /// Addresses and what may be said besides; proxies send a few dozen bytes.
    const LONGEST: usize = 4096;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    if length > LONGEST {
        return Err(not_a_header("it is too long"));
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    let port = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
    match (head[0], head[1]) {
        (0x20, _) => Ok(None),
        (0x21, 0x11) if length >= 12 => {
            let from = Ipv4Addr::new(rest[0], rest[1], rest[2], rest[3]);
            Ok(Some((from, port(8)).into()))
        }
        (0x21, 0x21) if length >= 36 => {
            let mut from = [0; 16];
            from.copy_from_slice(&rest[..16]);
            Ok(Some(SocketAddr::new(IpAddr::from(from).to_canonical(), port(32))))
        }
        // Another family (a socket on the proxy's machine): it can not say who.
        (0x21, family) if family & 0xF0 != 0x10 && family & 0xF0 != 0x20 => Ok(None),
        _ => Err(not_a_header("its version, command or family is not known")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn from(peer: &str, lines: &[(&'static str, &str)]) -> String {
        let trusted: Vec<Network> = ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"]
            .iter()
            .map(|n| Network::read(n).unwrap_or_else(|w| panic!("{}", w.message)))
            .collect();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        client(&trusted, peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_client_is_the_last_that_is_no_proxy() {
        let x = |peer: &str, value: &str| from(peer, &[("x-forwarded-for", value)]);
        assert_eq!(x("127.0.0.1", "203.0.113.9"), "203.0.113.9");
        assert_eq!(x("::ffff:127.0.0.1", "203.0.113.9"), "203.0.113.9");
        assert_eq!(x("127.0.0.1", "203.0.113.9:4711"), "203.0.113.9");
        assert_eq!(x("127.0.0.1", "2001:db9::1"), "2001:db9::1");
        assert_eq!(x("127.0.0.1", "[2001:db9::1]:4711"), "2001:db9::1");
        assert_eq!(x("127.0.0.1", "[2001:db9::1]"), "2001:db9::1");
        assert_eq!(x("127.0.0.1", "::ffff:203.0.113.9"), "203.0.113.9");
        assert_eq!(x("127.0.0.1", "1.1.1.1, 203.0.113.9"), "203.0.113.9");
        assert_eq!(x("127.0.0.1", "1.1.1.1, 203.0.113.9, 10.1.2.3"), "203.0.113.9");
        assert_eq!(x("127.0.0.1", "10.9.9.9,10.1.2.3"), "10.9.9.9");
        // Who is no proxy of ours says nothing.
        assert_eq!(x("203.0.113.9", "1.1.1.1"), "203.0.113.9");
        // What can not be read ends the way back.
        assert_eq!(x("127.0.0.1", "unknown"), "127.0.0.1");
        assert_eq!(x("127.0.0.1", "1.1.1.1, , 10.1.2.3"), "10.1.2.3");
        assert_eq!(x("127.0.0.1", "1.1.1.1, x, 10.1.2.3"), "10.1.2.3");
        assert_eq!(x("127.0.0.1", ""), "127.0.0.1");
        assert_eq!(x("127.0.0.1", "\u{fc}"), "127.0.0.1");
        // Lines are one list, in their order.
        let lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(from("127.0.0.1", &lines), "203.0.113.9");
        assert_eq!(from("127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn forwarded_is_read_as_its_rfc_says() {
        let f = |value: &str| from("127.0.0.1", &[("forwarded", value)]);
        assert_eq!(f("for=203.0.113.9"), "203.0.113.9");
        assert_eq!(f("For=\"203.0.113.9:80\";proto=https;by=10.0.0.1"), "203.0.113.9");
        assert_eq!(f("proto=https; for=203.0.113.9"), "203.0.113.9");
        assert_eq!(f("for=\"[2001:db9:cafe::17]:4711\""), "2001:db9:cafe::17");
        assert_eq!(f("for=1.1.1.1, for=203.0.113.9, for=10.0.0.1"), "203.0.113.9");
        assert_eq!(f("for=203.0.113.9;host=\"a, for=1.1.1.1\""), "203.0.113.9");
        assert_eq!(f("for=1.1.1.1, for=_hidden, for=10.0.0.1"), "10.0.0.1");
        assert_eq!(f("for=1.1.1.1, proto=https"), "127.0.0.1");
        assert_eq!(f("for=1.1.1.1;for=2.2.2.2"), "127.0.0.1");
        assert_eq!(f("for=\"203.0.113.9"), "127.0.0.1");
        assert_eq!(f("host=\"\\\", for=1.1.1.1"), "127.0.0.1");
    }

    #[test]
    fn two_headers_that_differ_say_nothing() {
        let both = |a: &str, b: &str| from("127.0.0.1", &[("forwarded", a), ("x-forwarded-for", b)]);
        assert_eq!(both("for=203.0.113.9", "203.0.113.9"), "203.0.113.9");
        assert_eq!(both("for=1.1.1.1", "203.0.113.9"), "127.0.0.1");
        assert_eq!(both("nonsense", "203.0.113.9"), "127.0.0.1");
    }

    #[test]
    fn hosts_are_those_that_a_proxy_says() {
        let check = |peer: &str, lines: &[(&'static str, &'static str)], expect: Option<&str>| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            let trusted = [Network::read("127.0.0.1").unwrap_or_else(|w| panic!("{}", w.message))];
            keep_hosts(&trusted, peer.parse().unwrap(), &mut headers);
            let kept = headers.get("x-forwarded-host").map(|kept| kept.to_str().unwrap());
            assert_eq!(kept, expect, "{peer} {lines:?}");
        };
        check("127.0.0.1", &[], None);
        check("127.0.0.1", &[("x-forwarded-host", "cal.example.org")], Some("cal.example.org"));
        check("127.0.0.1", &[("x-forwarded-host", "a.example, b.example:8443")], Some("a.example,b.example:8443"));
        check("127.0.0.1", &[("forwarded", "for=1.1.1.1;Host=\"a.example:80\";proto=http")], Some("a.example:80"));
        check("127.0.0.1", &[("forwarded", "host=a, host=b"), ("x-forwarded-host", "c")], Some("c,a,b"));
        check("127.0.0.1", &[("forwarded", "for=1.1.1.1"), ("x-forwarded-host", " ")], None);
        check("203.0.113.9", &[("x-forwarded-host", "a.example"), ("forwarded", "host=b.example")], None);
    }

    /// What is read of `bytes`, and what is left of them.
    async fn proxied(bytes: &[u8]) -> Result<(Option<String>, usize), io::ErrorKind> {
        let mut stream = bytes;
        let read = header(&mut stream).await.map_err(|e| e.kind())?;
        Ok((read.map(|address| address.to_string()), stream.len()))
    }

    fn v2(command: u8, family: u8, length: u16, rest: &[u8]) -> Vec<u8> {
        let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        bytes.extend([command, family]);
        bytes.extend(length.to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    #[tokio::test]
    async fn the_proxy_protocol_is_read_to_its_end_and_no_further() {
        let is = |text: &str, left: usize| Ok((Some(text.to_owned()), left));
        let invalid = Err(io::ErrorKind::InvalidData);
        let check = async |bytes: &[u8], expect: Result<(Option<String>, usize), io::ErrorKind>| {
            assert_eq!(proxied(bytes).await, expect, "{}", bytes.escape_ascii());
        };
        check(b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\nGET /", is("192.0.2.1:4711", 5)).await;
        check(b"PROXY TCP6 2001:db8::1 ::1 4711 443\r\n", is("[2001:db8::1]:4711", 0)).await;
        check(b"PROXY UNKNOWN\r\nGET /", Ok((None, 5))).await;
        check(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", Ok((None, 0))).await;
        check(b"PROXY TCP4 2001:db8::1 ::1 4711 443\r\n", invalid.clone()).await;
        check(b"PROXY TCP4 192.0.2.1 192.0.2.2 70000 443\r\n", invalid.clone()).await;
        check(b"PROXY TCP4 192.0.2.1\r\n", invalid.clone()).await;
        check(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", invalid.clone()).await;
        check(format!("PROXY UNKNOWN {}\r\n", "x".repeat(100)).as_bytes(), invalid.clone()).await;
        check(b"PROXY TCP4 192.0", Err(io::ErrorKind::UnexpectedEof)).await;

        let four = [192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x67, 1, 187];
        check(&[v2(0x21, 0x11, 12, &four), b"GET /".to_vec()].concat(), is("192.0.2.1:4711", 5)).await;
        check(&v2(0x21, 0x11, 15, &[&four[..], &[4, 0, 0]].concat()), is("192.0.2.1:4711", 0)).await;
        let six = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 16], &[0x12, 0x67, 1, 187]].concat();
        check(&v2(0x21, 0x21, 36, &six), is("[2001:db8::1]:4711", 0)).await;
        check(&v2(0x20, 0, 0, b"GET"), Ok((None, 3))).await;
        check(&v2(0x21, 0x00, 0, b""), Ok((None, 0))).await;
        check(&v2(0x21, 0x11, 11, &four), invalid.clone()).await;
        check(&v2(0x31, 0x11, 12, &four), invalid.clone()).await;
        check(&v2(0x22, 0x11, 12, &four), invalid.clone()).await;
        check(&v2(0x21, 0x11, 5000, &[0; 5000]), invalid).await;
        check(&v2(0x21, 0x11, 12, &four[..3]), Err(io::ErrorKind::UnexpectedEof)).await;
    }

    proptest! {
        /// No header makes this panic, and who is no proxy is always believed to be who they are.
        #[test]
        fn any_header_is_survived(text in "[ -~]{0,60}", more in "(for=|\"|,|;|\\[|1\\.1\\.1\\.1|::1|_x| ){0,12}") {
            for value in [&text, &more] {
                for name in ["forwarded", "x-forwarded-for"] {
                    from("127.0.0.1", &[(name, value)]);
                    prop_assert_eq!(from("203.0.113.9", &[(name, value)]), "203.0.113.9");
                }
            }
        }
    }
}
