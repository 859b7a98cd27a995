//! hyper: accept, limits, timeouts, shutdown, request ids.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

use super::auth::Who;
use super::deadlines::{self, Deadlines, Requests, Times};
use super::guests::Seat;
use super::throttle::Block;
use super::tls::Certificate;
use super::{Web, login, proxies, router, say};
use crate::app::App;
use crate::body::{Body, Cut};
use crate::secrets;

/// Bytes of a request head under HTTP/1.1; beyond it 431.
const MAX_HEAD: usize = 16 * 1024;
/// Header lines of a request; beyond it 431.
pub(super) const MAX_HEADERS: usize = 100;
/// Bytes of all headers of a request under HTTP/2.
const MAX_HEADER_LIST: u32 = 64 * 1024;
/// Requests at one time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// HTTP/2 streams that were opened and reset before we looked (the "rapid reset" flood).
const MAX_PENDING_RESETS: usize = 20;
/// Bytes that an HTTP/2 connection, and a stream of it, may send before we have read them: what each client can make us
/// hold. HTTP/1.1 needs no such number, it waits in the kernel.
const CONNECTION_WINDOW: u32 = 256 * 1024;
const STREAM_WINDOW: u32 = 128 * 1024;
/// For what is being answered when we are told to stop.
const FAREWELL: Duration = Duration::from_secs(30);

/// Listens and serves until `stop` is told; then finishes what is being answered and returns.
/// `ready` hears the address that is listened on.
pub async fn run(
    app: Arc<App>,
    mut stop: watch::Receiver<bool>,
    ready: oneshot::Sender<SocketAddr>,
) -> Result<(), String> {
    let config = app.config.load_full();
    let certificate = Arc::new(Certificate::open(&config)?);
    let (listener, address) = listen(config.server.listen)?;
    let places = u32::try_from(config.limits.connections).unwrap_or(u32::MAX).clamp(1, 1 << 20);
    let room = Arc::new(Semaphore::new(places as usize));
    let web = Arc::new(Web::new(app));
    // Nobody minds: whoever started us may not care for the address.
    let _ = ready.send(address);
    tracing::info!(%address, "listening on {address}");

    while let Some((stream, peer)) = next(&listener, &mut stop).await {
        // Beyond the cap a connection is told so and closed. Were accepting paused instead, the kernel would queue
        // clients that wait in silence until they give up, and a health check could not tell full from dead.
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            turn_away(&stream, config.server.tls.is_some());
            continue;
        };
        let (web, certificate, stop) = (Arc::clone(&web), Arc::clone(&certificate), stop.clone());
        tokio::spawn(async move {
            meet(web, stream, peer, &certificate, stop).await;
            drop(place);
        });
    }

    drop(listener);
    // Each connection holds a place until its last answer is written.
    if timeout(FAREWELL, room.acquire_many(places)).await.is_err() {
        let open = places as usize - room.available_permits();
        tracing::warn!(open, "{open} connections were still open {} s after the stop", FAREWELL.as_secs());
    }
    Ok(())
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    use socket2::{Domain, Protocol, Socket, Type};
    let open = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A restart must not wait for the old connections' last words.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        TcpListener::from_std(socket.into())
    };
    let listener = open().map_err(|e| match e.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{address} is in use by another program: stop it, or change `listen` in [server]")
        }
        io::ErrorKind::PermissionDenied => {
            format!("{address} needs more rights than calgate has: take a port from 1024 on in `listen`")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("{address} is no address of this machine: change `listen` in [server]")
        }
        _ => format!("{address} can not be listened on: {e}"),
    })?;
    let address = listener.local_addr().map_err(|e| format!("{address} can not be listened on: {e}"))?;
    Ok((listener, address))
}

/// The next connection; `None`: we are told to stop.
async fn next(listener: &TcpListener, stop: &mut watch::Receiver<bool>) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            biased;
            () = told(stop) => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(connection) => return Some(connection),
            Err(e) if is_of_one_connection(&e) => {}
            Err(e) => {
                // Out of file descriptors or memory: some connection has to end first. Asking at once would spin.
                tracing::error!("no connection can be accepted now: {e}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Returns when we are told to stop, or nobody is left to tell us.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn turn_away(stream: &TcpStream, tls: bool) {
    const FULL: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    if !tls {
        // A new socket has room for it; if not, the closed connection says enough.
        let _ = stream.try_write(FULL);
    }
    tracing::debug!("a connection was turned away: as many are open as may be");
}

async fn meet(
    web: Arc<Web>,
    mut stream: TcpStream,
    mut address: SocketAddr,
    certificate: &Certificate,
    mut stop: watch::Receiver<bool>,
) {
    let begun = Instant::now();
    // What is to be sent is there as a whole, or page by page: waiting for more only delays it.
    let _ = stream.set_nodelay(true);
    let config = web.app.config.load_full();
    let times = Times::of(&config.limits);
    let is_proxy = |address: SocketAddr| config.server.trusted_proxies.iter().any(|n| n.contains(address.ip()));
    if config.server.proxy_protocol && is_proxy(address) {
        match timeout(times.head, proxies::header(&mut stream)).await {
            Ok(Ok(said)) => address = said.unwrap_or(address),
            Ok(Err(e)) => return tracing::debug!("a proxy was not understood: {e}"),
            Err(_) => return tracing::debug!("a proxy did not say for whom it comes"),
        }
    }
    // Behind a connection of a proxy are many clients.
    let seat = match is_proxy(address) {
        true => None,
        false => match web.guests.enter(Block::of(address.ip()), config.limits.connections_per_address) {
            None => return turn_away(&stream, config.server.tls.is_some()),
            seat => seat,
        },
    };
    let tls = certificate.current(&config).await;
    drop(config);
    // Each part in a box of its own, so that a connection has no room for what is over, or for TLS that it has not.
    let Some(tls) = tls else {
        let version = tokio::select! {
            version = timeout(times.head, spoken(&stream)) => version,
            () = told(&mut stop) => return,
        };
        let Ok(version) = version else { return tracing::debug!("a client said nothing") };
        let met = Met { begun, version, peer: Peer { address, tls: false }, seat, times };
        return Box::pin(serve(web, stream, met, stop)).await;
    };
    match timeout(times.head, Box::pin(TlsAcceptor::from(tls).accept(stream))).await {
        Ok(Ok(stream)) => {
            let version = match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Version::Http2,
                Some(b"http/1.1") => Version::Http1,
                _ => Version::Unknown,
            };
            let met = Met { begun: Instant::now(), version, peer: Peer { address, tls: true }, seat, times };
            Box::pin(serve(web, stream, met, stop)).await;
        }
        Ok(Err(e)) => tracing::debug!("no TLS with a client: {e}"),
        Err(_) => tracing::debug!("no TLS with a client: it was too slow"),
    }
}

/// What is known of a connection when its first request comes.
struct Met {
    /// Since when the head of that request may come.
    begun: Instant,
    version: Version,
    peer: Peer,
    seat: Option<Seat>,
    times: Times,
}

/// The HTTP of a connection.
enum Version {
    Http1,
    Http2,
    /// Found out from what comes.
    Unknown,
}

/// What a client speaks, by its first bytes, which stay where they are. Where they are read to find out they come apart
/// from the rest, and hyper makes its buffer twice as large for as long as the connection lives.
async fn spoken(stream: &TcpStream) -> Version {
    let mut first = [0; deadlines::PREFACE.len()];
    match stream.peek(&mut first).await {
        Ok(_) if first == deadlines::PREFACE => Version::Http2,
        Ok(read @ 1..) if deadlines::PREFACE.starts_with(&first[..read]) => Version::Unknown,
        _ => Version::Http1,
    }
}

/// The other end of a connection; of a request: the client, where a trusted proxy says who it is.
#[derive(Clone, Copy)]
pub(super) struct Peer {
    pub address: SocketAddr,
    pub tls: bool,
}

async fn serve<S>(web: Arc<Web>, stream: S, met: Met, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Met { begun, version, peer, seat, times } = met;
    let requests = Arc::new(Requests::default());
    let stream = TokioIo::new(Deadlines::new(stream, begun, Arc::clone(&requests), times));
    // As long as nobody has logged in.
    let seat = Arc::new(Mutex::new(seat));
    let service = service_fn(move |request: Request<Incoming>| {
        let open = requests.begin();
        let (web, seat) = (Arc::clone(&web), Arc::clone(&seat));
        // Apart, and gone with the answer: hyper keeps room for what it is given here as long as the connection lives.
        Box::pin(async move { Ok::<_, Infallible>(answer(&web, peer, request, open, &seat).await) })
    });
    let protocol = protocol(version);
    let mut connection = pin!(protocol.serve_connection(stream, service));
    let done = tokio::select! {
        done = connection.as_mut() => done,
        () = told(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(e) = done {
        tracing::debug!("a connection ended early: {e}");
    }
}

fn protocol(version: Version) -> auto::Builder<TokioExecutor> {
    let mut protocol = auto::Builder::new(TokioExecutor::new());
    // hyper's own time for a head runs between requests too; deadlines.rs tells the two apart.
    protocol.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(MAX_HEAD).max_headers(MAX_HEADERS);
    protocol
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_header_list_size(MAX_HEADER_LIST)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW);
    match version {
        Version::Http1 => protocol.http1_only(),
        Version::Http2 => protocol.http2_only(),
        Version::Unknown => protocol,
    }
}

/// The body of an answer; while it is being written its request counts as open.
struct Answer {
    body: Body,
    /// Of a body that goes out page by page: how much has gone, and what the log is told when it is through.
    streamed: Option<(usize, Line)>,
    _open: deadlines::Open,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Some((bytes, Line { id, method, path, .. })) = &mut self.streamed {
            match &polled {
                Poll::Ready(Some(Ok(frame))) => *bytes += frame.data_ref().map_or(0, Bytes::len),
                Poll::Ready(Some(Err(cut))) => {
                    tracing::error!(id, %method, path, reason = %cut, "the answer to {method} {path} was cut off: {cut}");
                }
                _ => {}
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some((bytes, line)) = &self.streamed {
            line.write(*bytes);
        }
    }
}

/// What the log tells of a request.
struct Line {
    begun: Instant,
    id: String,
    client: IpAddr,
    method: Method,
    path: String,
    status: StatusCode,
    user: Option<Who>,
    /// No login was sent.
    anonymous: bool,
}

impl Line {
    /// `bytes`: those of the body that were taken.
    fn write(&self, bytes: usize) {
        let Line { id, client, method, path, .. } = self;
        let (status, ms) = (self.status.as_u16(), self.begun.elapsed().as_millis() as u64);
        let user = self.user.as_ref().map_or("-", |who| &who.0);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(id, %client, %method, path, status, ms, user, bytes, "{method} {path} {status}")
            };
        }
        match status {
            // Every client asks once without its password, and many do each time.
            401 if self.anonymous => line!(debug),
            500.. => line!(warn),
            _ => line!(info),
        }
    }
}

/// One request: route it, whatever happens.
async fn answer(
    web: &Web,
    mut peer: Peer,
    mut request: Request<Incoming>,
    open: deadlines::Open,
    seat: &Mutex<Option<Seat>>,
) -> Response<Answer> {
    let begun = Instant::now();
    let config = web.app.config.load();
    router::name_host(&mut request);
    router::take_prefix(&config.server.public_url, request.uri_mut());
    let trusted = &config.server.trusted_proxies;
    let client = proxies::client(trusted, peer.address.ip(), request.headers());
    proxies::keep_hosts(trusted, peer.address.ip(), request.headers_mut());
    drop(config);
    peer.address.set_ip(client);
    let id = request_id(request.headers());
    let method = request.method().clone();
    let path = shown(request.uri().path());
    let anonymous = !request.headers().contains_key(AUTHORIZATION);

    let mut answer = match caught(pin!(router::route(web, peer, request))).await {
        Some(answer) => answer,
        None => {
            // What it said may hold what is in a calendar: the hook of the process tells what can be told, and where.
            tracing::error!(id, %method, path, "a defect: answering {method} {path} panicked");
            say(StatusCode::INTERNAL_SERVER_ERROR, &format!("Something is wrong here. Its log says what, under {id}."))
        }
    };
    finish(&method, peer, &id, &mut answer);
    let (status, user) = (answer.status(), answer.extensions_mut().remove::<Who>());
    if user.is_some() {
        seat.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
    let line = Line { begun, id, client, method, path, status, user, anonymous };
    answer.map(|body| {
        let streamed = match body.whole() {
            Some(bytes) => {
                line.write(bytes.len());
                None
            }
            None => Some((0, line)),
        };
        Answer { body, streamed, _open: open }
    })
}

/// What every answer carries.
fn finish(method: &Method, peer: Peer, id: &str, answer: &mut Response<Body>) {
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    const ALWAYS: [(HeaderName, &str); 3] = [
        (http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (http::header::REFERRER_POLICY, "no-referrer"),
        (http::header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    let length = answer.body().whole().map(Bytes::len);
    let headers = answer.headers_mut();
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if peer.tls {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    if method == Method::HEAD {
        if let Some(length) = length.filter(|length| *length > 0)
            && !headers.contains_key(CONTENT_LENGTH)
        {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        *answer.body_mut() = Body::default();
    }
}

/// The client's own id when it is short and clean, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let clean = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    match headers.get("x-request-id").and_then(|id| id.to_str().ok()).filter(clean) {
        Some(id) => id.to_owned(),
        None => secrets::hex(&secrets::random::<8>()),
    }
}

/// A path as the log may see it: what stands where a token stands is a secret, right or wrong.
fn shown(path: &str) -> String {
    if path.starts_with(login::PAGE) {
        return format!("{}***", login::PAGE);
    }
    match path.strip_prefix(router::FEED) {
        Some(rest) => match rest.rsplit_once('.') {
            Some((_, ending @ ("ics" | "ifb"))) => format!("{}***.{ending}", router::FEED),
            _ => format!("{}***", router::FEED),
        },
        None => path.to_owned(),
    }
}

/// Runs `work`; `None`: it panicked, and the connection goes on.
async fn caught<F: Future>(mut work: Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(done)) => Poll::Ready(Some(done)),
        Err(_) => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_taken_when_short_and_clean() {
        let check = |sent: &str, taken: bool| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", HeaderValue::from_bytes(sent.as_bytes()).unwrap());
            let id = request_id(&headers);
            assert_eq!(id == sent, taken, "{sent}");
            assert!(!id.is_empty());
        };
        check("7f3c-1.a_B", true);
        check("", false);
        check(&"a".repeat(64), true);
        check(&"a".repeat(65), false);
        check("a b", false);
        check("a\tb", false);
        check("a\"b", false);
        check("é", false);
    }

    #[test]
    fn no_token_is_shown() {
        let check = |path: &str, expect: &str| assert_eq!(shown(path), expect);
        check("/feed/s3cret.ics", "/feed/***.ics");
        check("/feed/s3cret.ifb", "/feed/***.ifb");
        check("/feed/s3cret", "/feed/***");
        check("/feed/s3cret/x.txt", "/feed/***");
        check("/feed/a.ics/s3cret", "/feed/***");
        check("/index.php/login/v2/flow/s3cret", "/index.php/login/v2/flow/***");
        check("/index.php/login/v2/flow/s3cret/x", "/index.php/login/v2/flow/***");
        check("/index.php/login/v2/poll", "/index.php/login/v2/poll");
        check("/dav/anna/", "/dav/anna/");
    }

    #[tokio::test]
    async fn a_panic_ends_its_request_and_no_more() {
        let late = async {
            tokio::task::yield_now().await;
            panic!("with {}", 1)
        };
        assert_eq!(caught(pin!(async { 7 })).await, Some(7));
        assert!(caught(pin!(async { panic!("plain") })).await.is_none());
        assert!(caught(pin!(late)).await.is_none());
    }
}
