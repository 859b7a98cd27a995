//! The one outbound client: limits, timeouts, redirects by hand, and where credentials may go.
//!
//! It speaks HTTP and no more: a status is an answer, not an error. What a status means to an account is said by
//! [`Answer::trouble`], which the providers use when they know no better. Nothing here prints a path, a query or a header.

use std::error::Error as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ::http::{Method, StatusCode};
use base64::Engine as _;
use bytes::Bytes;
use url::{Host, Url};

use super::Error;
use crate::secrets::Secret;

/// How many redirects are followed.
const HOPS: usize = 5;
/// No upstream is waited for longer than this, whatever its Retry-After says.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// What one request may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// From the first byte sent to the last byte read, all redirects included.
    pub whole: Duration,
    /// Largest answer in bytes, after decompression.
    pub body: usize,
}

impl Default for Limits {
    /// 10 s, 60 s, 50 MiB: a listing of a hundred thousand objects fits.
    fn default() -> Limits {
        Limits { connect: Duration::from_secs(10), whole: Duration::from_secs(60), body: 50 << 20 }
    }
}

/// Which addresses may be connected to. Checked for literals before each hop, and for names when they are resolved,
/// so that the address that was checked is the address that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Networks {
    /// Any: a server at home is an upstream like others.
    Any,
    /// Only addresses of the public internet.
    Public,
}

/// Makes every request that leaves the house. Connections are kept and shared.
pub struct Client {
    inner: reqwest::Client,
    limits: Limits,
    networks: Networks,
}

/// Who asks, and the origin that may know. The password goes to that origin, and to others of the same site
/// (`caldav.icloud.com` → `p12-caldav.icloud.com`) if the connection is not worse; see [`may_know`].
#[derive(Clone)]
pub struct Login {
    pub home: Url,
    pub user: String,
    pub password: Secret,
}

/// One request. Its method and body are kept over redirects, whatever their status.
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
}

/// What came back, whole.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Where it came from, after redirects.
    pub url: Url,
    /// True: a redirect led to another site, and the credentials were not sent there.
    pub withheld: bool,
    /// Whether the protocol vouches for the end of the body. False: the connection's end was its end, and may have come early.
    pub framed: bool,
}

impl Default for Client {
    fn default() -> Client {
        Client::new()
    }
}

impl Client {
    pub fn new() -> Client {
        Client::with(Limits::default(), Networks::Any)
    }

    pub fn with(limits: Limits, networks: Networks) -> Client {
        // reqwest takes the process-wide provider when it builds; a second installation is refused and means the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("calgate/", env!("CARGO_PKG_VERSION")))
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(limits.connect)
                .dns_resolver(Arc::new(Resolver { networks }))
        };
        // The system's trust store first, for it knows the administrator's own authorities.
        // A bare container has none: then the list that Mozilla keeps.
        let inner = builder().build().or_else(|_| builder().tls_backend_preconfigured(mozilla_roots()).build());
        Client { inner: inner.expect("a client over the built-in roots can always be built"), limits, networks }
    }

    /// Sends `request`, follows redirects, and reads the answer whole.
    /// `Err` is always [`Error::Retry`] or [`Error::Refused`], with a sentence for people.
    pub async fn send(&self, login: Option<&Login>, request: Request) -> Result<Answer, Error> {
        let host = place(&request.url);
        match tokio::time::timeout(self.limits.whole, self.follow(login, request)).await {
            Ok(answer) => answer,
            Err(_) => Err(retry(format!("{host} did not answer within {} s", self.limits.whole.as_secs_f32()))),
        }
    }

    /// Whether `url` names an address that is not connected to. (What a name stands for is seen when it is used.)
    pub fn refuses(&self, url: &Url) -> bool {
        literal(url).is_some_and(|address| !allowed(self.networks, address))
    }

    /// Sends `request` without a login to where it says and nowhere else: a redirect is an answer. Otherwise as
    /// [`Client::send`].
    pub async fn send_once(&self, request: Request) -> Result<Answer, Error> {
        let host = place(&request.url);
        let once = async {
            let answer = self.hop(None, &request.method, &request.url, &request.headers, &request.body).await?;
            self.read(answer, request.url, false).await
        };
        match tokio::time::timeout(self.limits.whole, once).await {
            Ok(answer) => answer,
            Err(_) => Err(retry(format!("{host} did not answer within {} s", self.limits.whole.as_secs_f32()))),
        }
    }

    async fn follow(&self, login: Option<&Login>, request: Request) -> Result<Answer, Error> {
        let mut url = request.url;
        let mut withheld = false;
        for _ in 0..=HOPS {
            let known = login.is_none_or(|login| may_know(&login.home, &url));
            withheld |= !known;
            // Somebody's calendar is as much a secret as the password: a body that changes things stays in the house.
            if !known && matches!(request.method, Method::PUT | Method::POST | Method::DELETE) {
                return Err(Error::Refused(format!("the server sends on to {}, which is another site", place(&url))));
            }
            let answer =
                self.hop(login.filter(|_| known), &request.method, &url, &request.headers, &request.body).await?;
            let Some(next) = redirect(&url, &answer) else {
                return self.read(answer, url, withheld).await;
            };
            if next.scheme() == "http" && url.scheme() == "https" {
                let why = format!("{} sends on to an address without TLS, which is not followed", place(&url));
                return Err(Error::Refused(why));
            }
            url = next;
        }
        Err(retry(format!("{} redirects more than {HOPS} times", place(&url))))
    }

    /// One request on the wire. Pacing, when accounts get a budget, belongs before the send.
    async fn hop(
        &self,
        login: Option<&Login>,
        method: &Method,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        body: &Bytes,
    ) -> Result<reqwest::Response, Error> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::Refused(format!(
                "an address with {}: can not be used, only https: and http:",
                url.scheme()
            )));
        }
        if literal(url).is_some_and(|address| !allowed(self.networks, address)) {
            return Err(Error::Refused(format!("{} is in a private network, which is not reached", place(url))));
        }
        let mut request = self.inner.request(method.clone(), bare(url)).body(body.clone());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(login) = login {
            request = request.header(header::AUTHORIZATION, basic(login)?);
        }
        let sent = request.send().await;
        let status = sent.as_ref().map_or(0, |a| a.status().as_u16());
        tracing::debug!(%method, host = place(url), status, "upstream request");
        sent.map_err(|e| failure(&e, url))
    }

    async fn read(&self, mut answer: reqwest::Response, url: Url, withheld: bool) -> Result<Answer, Error> {
        let (status, headers) = (answer.status(), answer.headers().clone());
        let framed = answer.version() >= ::http::Version::HTTP_2
            || headers.contains_key(header::CONTENT_LENGTH)
            || headers.contains_key(header::TRANSFER_ENCODING);
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| failure(&e, &url))? {
            if body.len() + chunk.len() > self.limits.body {
                let limit = self.limits.body;
                return Err(retry(format!("the answer of {} is longer than {limit} bytes", place(&url))));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body, url, withheld, framed })
    }
}

impl Answer {
    /// A header as text; `None`: it is not there or not ASCII.
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// Whether it is a web page, which is what login walls and error pages of proxies are made of.
    pub fn is_web_page(&self) -> bool {
        let typed = self.header(header::CONTENT_TYPE).is_some_and(|t| t.to_ascii_lowercase().contains("html"));
        let start = String::from_utf8_lossy(&self.body[..self.body.len().min(200)]).trim_start().to_ascii_lowercase();
        typed || start.starts_with("<!doctype html") || start.starts_with("<html")
    }

    /// How long the server asks us to wait (RFC 9110 10.2.3). A date is taken relative to the answer's own Date,
    /// so that a wrong clock here or there does no harm; without Date it says nothing.
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(self.header(header::RETRY_AFTER)?, self.header(header::DATE))
    }

    /// What a status means to an account when the caller knows no better; `doing` ends the sentence
    /// "… while …": `reading the calendar`.
    pub fn trouble(&self, doing: &str) -> Error {
        let host = place(&self.url);
        let code = self.status.as_u16();
        match code {
            _ if self.withheld => Error::Reconnect {
                why: format!(
                    "the server sends on to {host}, which is another site, and the password was not sent there; \
                     if that is the right server, use its address for the account"
                ),
            },
            401 => Error::Reconnect { why: format!("{host} does not take this user name and password") },
            407 => retry(format!("a proxy before {host} wants a login")),
            403 => Error::Refused(format!("{host} forbids it ({doing})")),
            404 | 410 => Error::Missing,
            413 => Error::Refused(format!("{host} finds it too large ({doing})")),
            507 => Error::Retry { after: self.retry_after(), why: format!("{host} has no space left ({doing})") },
            // Somebody is writing there just now; servers that take one write at a time say so to every other.
            423 => Error::Retry {
                after: Some(self.retry_after().unwrap_or(Duration::from_millis(200))),
                why: format!("{host} answered 423 (locked) while {doing}"),
            },
            408 | 425 | 429 | 500 | 502..=504 | 506 | 508..=599 => Error::Retry {
                after: self.retry_after(),
                why: format!("{host} answered {} while {doing}", self.status),
            },
            _ if self.is_web_page() => retry(format!("{host} answered with a web page while {doing}")),
            200..=399 => retry(format!("{host} answered {} while {doing}, which makes no sense", self.status)),
            _ => Error::Refused(format!("{host} answered {} while {doing}", self.status)),
        }
    }
}

/// Whether the password of the account at `home` may be sent to `url`: the same origin; or the same host or
/// registrable domain (by the public suffix list) by TLS. Plain HTTP is trusted with it only at `home` itself.
/// Addresses have no domain: there it is the same address.
pub fn may_know(home: &Url, url: &Url) -> bool {
    if home.origin() == url.origin() {
        return true;
    }
    let same_site = match (home.host(), url.host()) {
        (Some(Host::Domain(a)), Some(Host::Domain(b))) => a == b || site(a).is_some_and(|s| Some(s) == site(b)),
        (a, b) => a.is_some() && a == b,
    };
    same_site && url.scheme() == "https"
}

/// The registrable domain: `icloud.com` of `p12-caldav.icloud.com`. A name under no listed suffix has none.
fn site(host: &str) -> Option<&str> {
    let domain = psl::domain(host.as_bytes())?;
    domain.suffix().is_known().then(|| std::str::from_utf8(domain.as_bytes()).ok())?
}

/// `host` or `host:port`, for sentences and logs.
pub fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or("nowhere");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The URL without user name, password and fragment.
pub fn bare(url: &Url) -> Url {
    let mut url = url.clone();
    // Both fail only on URLs that have no host, which have no user either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    url
}

fn retry(why: String) -> Error {
    Error::Retry { after: None, why }
}

fn basic(login: &Login) -> Result<HeaderValue, Error> {
    let pair = zeroize::Zeroizing::new(format!("{}:{}", login.user, login.password.reveal()));
    let coded = zeroize::Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(pair.as_bytes()));
    let mut value = HeaderValue::from_str(&format!("Basic {}", coded.as_str()))
        .map_err(|_| Error::Reconnect { why: "the password can not be sent".to_owned() })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Where an answer sends us on to; `None`: it is the answer.
fn redirect(from: &Url, answer: &reqwest::Response) -> Option<Url> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let to = answer.headers().get(header::LOCATION)?.to_str().ok()?;
    from.join(to).ok().map(|url| bare(&url))
}

fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    if value.bytes().all(|b| b.is_ascii_digit()) && !value.is_empty() {
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST_WAIT));
    }
    let at = |text: &str| jiff::fmt::rfc2822::parse(text).ok().map(|z| z.timestamp().as_second());
    let seconds = at(value)?.saturating_sub(at(date?)?);
    Some(Duration::from_secs(seconds.max(0) as u64).min(LONGEST_WAIT))
}

/// Why a request came to nothing, in words that hold no secret and no path.
fn failure(error: &reqwest::Error, url: &Url) -> Error {
    let host = place(url);
    if error.is_timeout() {
        return retry(format!("{host} can not be reached: it did not answer in time"));
    }
    let mut cause = error.source();
    while let Some(at) = cause {
        if at.is::<NotPublic>() {
            return Error::Refused(format!("{host} is in a private network, which is not reached"));
        }
        if at.is::<Unresolved>() {
            return retry(format!("{host} can not be reached: there is no such host (DNS)"));
        }
        if let Some(tls) = at.downcast_ref::<rustls::Error>() {
            return retry(match tls {
                rustls::Error::InvalidMessage(_) => format!("{host} does not speak TLS; is the address http: there?"),
                tls => format!("{host} can not be trusted: {tls}"),
            });
        }
        let io = at.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return retry(format!("{host} can not be reached: it refuses connections"));
        }
        // An I/O error that wraps another does not show it as its source, and TLS errors come wrapped twice.
        if let Some(inner) = io.and_then(|io| io.get_ref()) {
            cause = Some(inner);
            continue;
        }
        cause = at.source();
    }
    match error.is_connect() {
        true => retry(format!("{host} can not be reached")),
        false => retry(format!("{host} cut the connection, or its answer was damaged")),
    }
}

fn mozilla_roots() -> rustls::ClientConfig {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .expect("ring knows the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// Resolves names by the system and lets through only addresses that may be connected to.
struct Resolver {
    networks: Networks,
}

/// The host has addresses, and none that we may connect to.
#[derive(Debug, thiserror::Error)]
#[error("only private addresses")]
struct NotPublic;

/// The host has no address.
#[derive(Debug, thiserror::Error)]
#[error("no address")]
struct Unresolved;

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let networks = self.networks;
        Box::pin(async move {
            let found: Vec<SocketAddr> = match tokio::net::lookup_host((name.as_str(), 0)).await {
                Ok(found) => found.collect(),
                Err(_) => return Err(Unresolved.into()),
            };
            if found.is_empty() {
                return Err(Unresolved.into());
            }
            let open: Vec<SocketAddr> = found.into_iter().filter(|a| allowed(networks, a.ip())).collect();
            if open.is_empty() {
                return Err(NotPublic.into());
            }
            Ok(Box::new(open.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// The one place that decides whether an address may be connected to.
fn allowed(networks: Networks, address: IpAddr) -> bool {
    networks == Networks::Any || public(address)
}

/// Whether an address belongs to the public internet (IANA special-purpose registries, RFC 6890).
fn public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => public_v4(v4),
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => public_v4(v4),
            // Only 2000::/3 is handed out, and in it the documentation and protocol blocks are not.
            None => {
                let [a, b, ..] = v6.segments();
                let special = a == 0x2001 && (b < 0x200 || b == 0xdb8) || a == 0x3fff && b < 0x1000;
                (a & 0xe000) == 0x2000 && !special
            }
        },
    }
}

fn public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || a == 100 && (64..128).contains(&b)
        || a == 192 && b == 0 && (c == 0 || c == 2)
        || a == 192 && b == 88 && c == 99
        || a == 198 && (b == 18 || b == 19 || b == 51 && c == 100)
        || a == 203 && b == 0 && c == 113
        || a >= 224)
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, 6to4, NAT64.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match s {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => Some(of(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(of(high, low)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stay_on_the_site_they_were_given_for() {
        let check = |home: &str, to: &str, expect: bool| {
            let (home, to) = (Url::parse(home).unwrap(), Url::parse(to).unwrap());
            assert_eq!(may_know(&home, &to), expect, "{home} → {to}");
        };
        check("https://caldav.icloud.com/", "https://caldav.icloud.com:443/x", true);
        check("https://caldav.icloud.com/", "https://p12-caldav.icloud.com/x", true);
        check("https://caldav.icloud.com/", "https://icloud.com.evil.example.com/", false);
        check("https://caldav.icloud.com/", "http://p12-caldav.icloud.com/", false);
        check("https://caldav.icloud.com/", "http://caldav.icloud.com/", false);
        check("https://alice.github.io/", "https://eve.github.io/", false);
        check("https://a.co.uk/", "https://b.co.uk/", false);
        check("https://posteo.de/", "https://posteo.de:8443/", true);
        check("http://dav.example.com/", "https://dav.example.com/", true);
        check("http://dav.example.com/", "http://www.example.com/", false);
        check("http://127.0.0.1:8001/", "http://127.0.0.1:8001/x", true);
        check("http://127.0.0.1:8001/", "http://127.0.0.1:8002/x", false);
        check("http://127.0.0.1:8001/", "http://localhost:8001/", false);
        check("http://nas/", "https://nas/", true);
        check("https://nas/", "https://other/", false);
        check("https://nas.lan/", "https://tv.lan/", false);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_beside_the_answers_own() {
        let check = |value: &str, date: Option<&str>, expect: Option<u64>| {
            assert_eq!(retry_after(value, date), expect.map(Duration::from_secs), "{value}");
        };
        check("120", None, Some(120));
        check(" 0 ", None, Some(0));
        check("99999999999999999999999", None, Some(86_400));
        check("-1", None, None);
        check("", None, None);
        check("soon", Some("Sun, 06 Nov 1994 08:49:37 GMT"), None);
        check("Sun, 06 Nov 1994 08:51:37 GMT", Some("Sun, 06 Nov 1994 08:49:37 GMT"), Some(120));
        check("Sun, 06 Nov 1994 08:41:37 GMT", Some("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0));
        check("Sun, 06 Nov 1994 08:51:37 GMT", None, None);
    }

    #[test]
    fn private_and_special_addresses_are_not_public() {
        let check = |text: &str, expect: bool| {
            assert_eq!(public(text.parse().unwrap()), expect, "{text}");
        };
        for text in ["1.1.1.1", "17.248.1.1", "192.0.1.1", "198.20.0.1", "223.255.255.255", "100.128.0.1", "172.32.0.1"]
        {
            check(text, true);
        }
        for text in ["0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "172.31.9.9"] {
            check(text, false);
        }
        for text in ["192.0.0.8", "192.0.2.1", "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1"]
        {
            check(text, false);
        }
        for text in ["2606:4700::1111", "2a00:1450::1", "64:ff9b::101:101", "2002:101:101::"] {
            check(text, true);
        }
        for text in ["::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fc00::1", "fd12::1", "ff02::1"] {
            check(text, false);
        }
        for text in ["2001:db8::1", "2001::1", "2002:7f00:1::", "64:ff9b::a9fe:a9fe", "3fff::1", "255.255.255.255"] {
            check(text, false);
        }
    }

    #[test]
    fn what_is_said_of_a_url_holds_no_user_and_no_path() {
        let url = Url::parse("https://anna:secret@dav.example.com:8443/anna@example.com/?q#f").unwrap();
        assert_eq!(place(&url), "dav.example.com:8443");
        assert_eq!(bare(&url).as_str(), "https://dav.example.com:8443/anna@example.com/?q");
    }
}
