//! Every URL of the program, on one screen; and what is refused before anything else is looked at.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ALLOW, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, EXPECT, HOST, LOCATION};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::auth::Sender;
use super::server::{MAX_HEADERS, Peer};
use super::{Web, auth, feed, health, login, say, setup};
use crate::body::Body;
use crate::config::{Limits, PublicUrl};
use crate::dav;
use crate::dav::path::{self, Target};

/// What a feed's URL begins with.
pub const FEED: &str = "/feed/";

/// Gives a request of HTTP/2 the Host that it says in its URL (RFC 9113 8.3.1): what is behind looks in one place.
pub fn name_host<B>(request: &mut Request<B>) {
    if request.version() == Version::HTTP_2
        && !request.headers().contains_key(HOST)
        && let Some(host) = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok())
    {
        request.headers_mut().insert(HOST, host);
    }
}

/// Makes the URL of a request one inside this server: without what proxies may have left of `public_url` in front of it.
pub fn take_prefix(public_url: &PublicUrl, uri: &mut Uri) {
    let inside = public_url.inside(uri.path());
    if inside.len() == uri.path().len() {
        return;
    }
    let whole = match uri.query() {
        Some(query) => format!("{inside}?{query}"),
        None => inside.to_owned(),
    };
    if let Ok(inside) = Uri::try_from(whole) {
        *uri = inside;
    }
}

/// Answers one request, whose URL is one inside this server. The body is read only by who may send one.
pub async fn route(web: &Web, peer: Peer, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    if let Some(refusal) = refusal(&head) {
        discard(&head, body);
        return refusal;
    }
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    let url = head.uri.path();
    let answer = match url {
        // Before login and Depth: clients come here with any method, and without knowing either (RFC 6764 section 5).
        "/.well-known/caldav" | "/.well-known/caldav/" => moved(web, &Target::Root { bare: false }),
        // Thunderbird and GNOME ask OPTIONS of paths we do not have, and without login.
        _ if head.method == Method::OPTIONS && !(is_dav(url) && head.headers.contains_key(AUTHORIZATION)) => {
            dav::options(&web.app, url)
        }
        "/" if !reads => return dav(web, peer, head, body).await,
        "/dav" => return dav(web, peer, head, body).await,
        _ if url.starts_with("/dav/") => return dav(web, peer, head, body).await,
        _ if url.starts_with(dav::push::ADDRESS) => return dav(web, peer, head, body).await,
        // Who tries the paths of other servers is sent on; who is to be logged in hears that first, as everywhere.
        _ if let Some(target) = path::elsewhere(url) => {
            if !reads && let Err(refusal) = auth::actor(web, peer.address.ip(), &head.headers).await {
                discard(&head, body);
                return refusal;
            }
            moved(web, &target)
        }
        _ if login::is_here(url) => return login(web, peer, head, body).await,

        _ if url != "/" && !is_ours(url) => nothing_here(web),
        _ if !reads => only_reads(),
        "/" => front(web),
        _ if setup::is_here(url) => setup::get(web, peer, &head).await,
        "/healthz" => health::live(),
        "/readyz" => health::ready(web).await,
        "/robots.txt" => robots(web),
        _ => feed::get(web, peer, &head).await,
    };
    discard(&head, body);
    answer
}

fn is_dav(path: &str) -> bool {
    matches!(path, "/" | "/dav") || path.starts_with("/dav/")
}

fn is_ours(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/robots.txt") || path.starts_with(FEED) || setup::is_here(path)
}

/// Login, body, answer, in this order: who may not come in is not listened to.
async fn dav(web: &Web, peer: Peer, mut head: Parts, body: Incoming) -> Response<Body> {
    // A browser adds the login that it remembers by itself, whatever page makes it send something.
    let reads = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if !reads && matches!(auth::sender(web, &head.headers), Sender::OtherSite | Sender::Hidden) {
        discard(&head, body);
        return say(StatusCode::FORBIDDEN, "A page of another site may change nothing here.");
    }
    let actor = match auth::actor(web, peer.address.ip(), &head.headers).await {
        Ok(actor) => actor,
        Err(refusal) => {
            discard(&head, body);
            return refusal;
        }
    };
    // It has done its work; what is not there can not be logged or sent on.
    head.headers.remove(AUTHORIZATION);
    let limits = web.app.config.load().limits;
    let mut answer = match read(&head, body, limits.body, &limits).await {
        Ok(body) => dav::handle(&web.app, &actor, Request::from_parts(head, body)).await,
        Err(refusal) if refusal.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            dav::too_large(&head.method, head.uri.path(), &head.headers, &limits).unwrap_or(refusal)
        }
        Err(refusal) => refusal,
    };
    answer.extensions_mut().insert(auth::Who(actor.name));
    answer
}

/// The login flow of programs that send their user to a browser.
async fn login(web: &Web, peer: Peer, head: Parts, body: Incoming) -> Response<Body> {
    let limits = web.app.config.load().limits;
    match read(&head, body, login::MOST, &limits).await {
        Ok(body) => login::answer(web, peer.address.ip(), &head, &body).await,
        Err(refusal) => refusal,
    }
}

/// What no URL of ours takes.
fn refusal(head: &Parts) -> Option<Response<Body>> {
    const MAX_URI: usize = 8 * 1024;
    let uri = head.uri.path().len() + head.uri.query().map_or(0, |q| q.len() + 1);
    if uri > MAX_URI {
        return Some(say(StatusCode::URI_TOO_LONG, "The URL is longer than 8 KiB."));
    }
    if head.headers.len() > MAX_HEADERS {
        return Some(say(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "There are more than 100 header lines."));
    }
    // RFC 9112 section 3.2. Nothing here is made from it; but who sends two wants to be understood in two ways.
    let hosts = head.headers.get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && head.version == Version::HTTP_11) {
        return Some(say(StatusCode::BAD_REQUEST, "A request has one Host header."));
    }
    // RFC 9110 10.1.1: there is one expectation that can be met.
    let asks = head.headers.get_all(EXPECT).iter().any(|v| !v.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if asks {
        return Some(say(StatusCode::EXPECTATION_FAILED, "Nothing can be expected but 100-continue."));
    }
    // A small request could unpack to a huge one, and no calendar client sends them.
    let packed = head.headers.get_all(CONTENT_ENCODING).iter().any(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity"));
    packed.then(|| say(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Requests are taken without Content-Encoding."))
}

/// The whole body, under its limits in size and time.
async fn read(head: &Parts, mut body: Incoming, limit: usize, limits: &Limits) -> Result<Bytes, Response<Body>> {
    enum Stopped {
        TooLarge,
        TooSlow,
        Broken,
    }
    let declared = body.size_hint().lower();
    let reading = async {
        if declared > limit as u64 {
            return Err(Stopped::TooLarge);
        }
        let mut bytes = BytesMut::with_capacity(declared as usize);
        while !body.is_end_stream()
            && let Some(frame) = within(limits.body_pause, body.frame()).await.map_err(|_| Stopped::TooSlow)?
        {
            // Trailers say nothing to us.
            let Ok(data) = frame.map_err(|_| Stopped::Broken)?.into_data() else { continue };
            if bytes.len() + data.len() > limit {
                return Err(Stopped::TooLarge);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.freeze())
    };
    let stopped = match within(limits.body_time, reading).await {
        Ok(Ok(bytes)) => return Ok(bytes),
        Ok(Err(stopped)) => stopped,
        Err(_) => Stopped::TooSlow,
    };
    Err(match stopped {
        Stopped::TooLarge => {
            discard_up_to(UNREAD.max(4 * limit), head, body);
            say(StatusCode::PAYLOAD_TOO_LARGE, &format!("The body is larger than {limit} bytes."))
        }
        Stopped::TooSlow => closing(head, say(StatusCode::REQUEST_TIMEOUT, "The body came too slowly.")),
        Stopped::Broken => closing(head, say(StatusCode::BAD_REQUEST, "The body is broken.")),
    })
}

/// [`timeout`], but its clock is only started for what is not done at the task's next turn. Nearly every body comes
/// together with its head, and to start a clock wakes a thread, which costs more than to read the body.
async fn within<F: Future>(limit: Duration, work: F) -> Result<F::Output, Elapsed> {
    let mut work = pin!(work);
    let mut waited = false;
    let soon = poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if waited => Poll::Ready(None),
        Poll::Pending => {
            waited = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    });
    match soon.await {
        Some(done) => Ok(done),
        None => timeout(limit, work).await,
    }
}

/// The answer after which an HTTP/1 connection can not go on.
fn closing(head: &Parts, mut answer: Response<Body>) -> Response<Body> {
    if head.version <= Version::HTTP_11 {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// Octets of a body that nobody wants, from whomever it comes.
const UNREAD: usize = 1024 * 1024;

fn discard(head: &Parts, body: Incoming) {
    discard_up_to(UNREAD, head, body);
}

/// Lets a body that nobody wants run out beside the answer. A client that is still sending could lose the answer if
/// the connection were closed under it, and could not use the connection again.
fn discard_up_to(most: usize, head: &Parts, mut body: Incoming) {
    // A client that asks before it sends is answered, and sends nothing.
    let waits = head.headers.get(EXPECT).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if body.is_end_stream() || waits {
        return;
    }
    tokio::spawn(timeout(Duration::from_secs(10), async move {
        let mut seen = 0;
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > most {
                break;
            }
        }
    }));
}

/// To a place of ours. From the configuration, never from Host.
fn moved(web: &Web, target: &Target) -> Response<Body> {
    let config = web.app.config.load();
    let base = &config.server.public_url;
    let to = format!("{}{}", base.origin(), target.href(base));
    let mut answer = say(StatusCode::MOVED_PERMANENTLY, &format!("CalDAV is at {to}"));
    if let Ok(to) = HeaderValue::from_str(&to) {
        answer.headers_mut().insert(LOCATION, to);
    }
    answer
}

fn front(web: &Web) -> Response<Body> {
    let config = web.app.config.load();
    let words = format!(
        "This is calgate, a CalDAV gateway.\n\n\
         Give your calendar program this address, your user name and an app password:\n\n    {}/dav/\n",
        config.server.public_url
    );
    say(StatusCode::OK, words.trim_end())
}

fn nothing_here(web: &Web) -> Response<Body> {
    let words = format!("There is nothing here. CalDAV is at {}/dav/", web.app.config.load().server.public_url);
    say(StatusCode::NOT_FOUND, &words)
}

fn robots(web: &Web) -> Response<Body> {
    let config = web.app.config.load();
    say(StatusCode::OK, &format!("User-agent: *\nDisallow: {}/dav/", config.server.public_url.prefix()))
}

fn only_reads() -> Response<Body> {
    let mut answer = say(StatusCode::METHOD_NOT_ALLOWED, "This can only be read.");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    answer
}
