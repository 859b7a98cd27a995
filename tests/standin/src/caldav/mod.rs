//! A CalDAV server (RFC 4791, 6578) on 127.0.0.1 with a free port. It ends when it is dropped.
//!
//! ```text
//! /                                  current-user-principal
//! /.well-known/caldav                → /, or what [`Manners::well_known`] says
//! /principals/anna/                  home sets, addresses
//! /calendars/anna/work/              a calendar
//! /calendars/anna/work/standup.ics   an object
//! ```
//!
//! What it is comes from [`Server::user`] and [`Server::calendar`]; how it behaves for good from [`Manners`]; what goes
//! wrong once from [`Server::fault`]. `answer.rs` makes the answers, `state.rs` holds what they are made of.

mod answer;
mod state;
mod xml;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use state::State;
pub use state::{
    AutoSchedule, BadToken, Calendar, Fault, Hrefs, Logged, Manners, Role, Stored, UidConflict, WellKnown,
};

/// A running server, and everything a test wants to do to it behind the client's back.
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    /// Starts an empty server on a free port.
    pub async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let state = Arc::new(Mutex::new(State::default()));
        let accepting = tokio::spawn(accept(listener, state.clone()));
        Server { address, state, accepting }
    }

    /// `http://127.0.0.1:PORT`, without a final slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a login, with its principal and an empty home `/calendars/{user}/`.
    pub fn user(&self, user: &str, password: &str) -> &Server {
        self.state().add_user(user, password);
        self
    }

    /// Adds another home set for a user: a path, or a whole URL on another server.
    pub fn home(&self, user: &str, home: &str) -> &Server {
        self.state().add_home(user, home);
        self
    }

    /// Adds a collection and gives its path. `edit` changes what it is before anybody sees it.
    pub fn calendar(&self, user: &str, slug: &str, edit: impl FnOnce(&mut Calendar)) -> String {
        let path = format!("/calendars/{user}/{slug}/");
        let mut calendar = Calendar::new(slug);
        edit(&mut calendar);
        self.state().calendars.insert(path.clone(), calendar);
        path
    }

    /// Changes how the server behaves from now on.
    pub fn manners(&self, edit: impl FnOnce(&mut Manners)) -> &Server {
        edit(&mut self.state().manners);
        self
    }

    /// Somebody else creates or replaces an object.
    pub fn put(&self, calendar: &str, name: &str, text: &str) -> &Server {
        self.state().store(calendar, name, text);
        self
    }

    /// Somebody else deletes an object. False: it was not there.
    pub fn remove(&self, calendar: &str, name: &str) -> bool {
        self.state().remove(calendar, name)
    }

    /// The objects of a calendar, name and stored state, by name.
    pub fn objects(&self, calendar: &str) -> Vec<(String, Stored)> {
        let state = self.state();
        let calendar = state.calendars.get(calendar);
        calendar.map(|c| c.objects.iter().map(|(n, o)| (n.clone(), o.clone())).collect()).unwrap_or_default()
    }

    /// Paths of all collections, in order.
    pub fn calendars(&self) -> Vec<String> {
        self.state().calendars.keys().cloned().collect()
    }

    /// Lets the next `times` requests of that method (`*`: any) whose path holds `path` go wrong. Queued faults are
    /// used up in the order in which they were queued.
    pub fn fault(&self, method: &str, path: &str, times: usize, fault: Fault) -> &Server {
        self.state().queue_fault(method, path, times, fault);
        self
    }

    /// Forgets all faults that were not used.
    pub fn heal(&self) -> &Server {
        self.state().faults.clear();
        self
    }

    /// Forgets which changes led to the present: every sync token given so far is invalid.
    pub fn forget_history(&self) -> &Server {
        self.state().forget_history();
        self
    }

    /// Every request since the start or since [`Server::clear_log`], in the order of arrival.
    pub fn log(&self) -> Vec<Logged> {
        self.state().log.clone()
    }

    pub fn clear_log(&self) -> &Server {
        self.state().log.clear();
        self
    }

    /// How many requests of a method the log holds.
    pub fn count(&self, method: &str) -> usize {
        self.state().log.iter().filter(|l| l.method == method).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// A test that panicked while it held the lock has failed already; the others go on.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    // Dropped with the task, and with it every connection ends.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let state = state.clone();
        connections.spawn(async move {
            let serve = service_fn(move |request| serve(state.clone(), request));
            // A connection that ends in an error is what some faults are made of.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), serve).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Result<Response<Reply>, Cut> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Err(Cut) };
    let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    let asked = answer::Asked::new(&parts, body);
    let (fault, entry) = {
        let mut state = lock(&state);
        (state.take_fault(&asked.method, &asked.path), state.note(&asked))
    };
    let plain = |state: &Mutex<State>| lock(state).answer(&asked);
    let answer = match fault {
        None => plain(&state),
        Some(Fault::DropBefore) => return Err(Cut),
        Some(Fault::DropAfter) => {
            let _ = plain(&state);
            return Err(Cut);
        }
        Some(Fault::StatusAfter(status)) => {
            let _ = plain(&state);
            answer::Answer::new(status).body("text/plain", "something went wrong after it was done")
        }
        Some(Fault::Hang) => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            return Err(Cut);
        }
        Some(Fault::Slow(delay)) => {
            tokio::time::sleep(delay).await;
            plain(&state)
        }
        Some(Fault::Truncated) => {
            let mut answer = plain(&state);
            answer.cut = true;
            answer
        }
        Some(Fault::HalfBody) => {
            let mut answer = plain(&state);
            answer.body.truncate(answer.body.len() / 2);
            answer
        }
        Some(Fault::Object(bytes)) => {
            let mut answer = plain(&state);
            answer.body = bytes;
            answer
        }
        Some(Fault::Status(status, body)) => answer::Answer::new(status).body("text/plain", &body),
        Some(Fault::Xml(status, body)) => answer::Answer::new(status).body("application/xml", &body),
        Some(Fault::WebPage) => answer::Answer::new(200).body("text/html", "<!DOCTYPE html><html><p>Please log in</p>"),
        Some(Fault::Unauthorized) => answer::unauthorized(),
        Some(Fault::Unavailable(after)) => answer::Answer::new(503).header("retry-after", &after),
        Some(Fault::Redirect(status, to)) => answer::Answer::new(status).header("location", &to),
        Some(Fault::Endless) => {
            if let Some(logged) = lock(&state).log.get_mut(entry) {
                logged.status = 200;
            }
            return Ok(Response::new(Reply { rest: Bytes::from(vec![b' '; 64 << 10]), then: Then::Again }));
        }
    };
    if let Some(logged) = lock(&state).log.get_mut(entry) {
        logged.status = answer.status;
    }
    let dav = match lock(&state).manners.auto_schedule {
        AutoSchedule::Everywhere | AutoSchedule::WithoutOutbox => "1, 3, calendar-access, calendar-auto-schedule",
        AutoSchedule::InOptions if asked.method == "OPTIONS" => "1, 3, calendar-access, calendar-auto-schedule",
        AutoSchedule::No | AutoSchedule::InOptions => "1, 3, calendar-access",
    };
    let mut response = Response::builder().status(answer.status).header("dav", dav);
    for (name, value) in &answer.headers {
        response = response.header(name.as_str(), value.as_str());
    }
    let mut rest = Bytes::from(answer.body);
    let mut then = Then::End;
    if answer.cut {
        response = response.header(header::CONTENT_LENGTH, rest.len());
        rest.truncate(rest.len() / 2);
        then = Then::Cut;
    }
    Ok(response.body(Reply { rest, then }).expect("our own headers are valid"))
}

/// The connection is to be cut.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut on demand")
    }
}

impl std::error::Error for Cut {}

impl From<Infallible> for Cut {
    fn from(never: Infallible) -> Cut {
        match never {}
    }
}

/// A body that can end badly.
struct Reply {
    rest: Bytes,
    then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    End,
    Cut,
    Again,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.then == Then::Again {
            return Poll::Ready(Some(Ok(Frame::data(self.rest.clone()))));
        }
        let rest = std::mem::take(&mut self.rest);
        Poll::Ready(match (rest.is_empty(), self.then) {
            (false, _) => Some(Ok(Frame::data(rest))),
            (true, Then::Cut) => Some(Err(Cut)),
            (true, _) => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.then == Then::End
    }

    fn size_hint(&self) -> SizeHint {
        match self.then {
            Then::End => SizeHint::with_exact(self.rest.len() as u64),
            Then::Cut | Then::Again => SizeHint::default(),
        }
    }
}
