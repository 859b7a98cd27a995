//! All other HTTP: the server, every URL, who is asking, feeds, health.
//!
//! `server.rs` takes a connection, `guests.rs` counts those of strangers, `deadlines.rs` keeps it from lingering,
//! `proxies.rs` says who is behind it, `router.rs` knows every URL,
//! `auth.rs` makes an actor.

mod auth;
mod deadlines;
mod feed;
mod guests;
mod health;
mod login;
mod pages;
mod proxies;
mod router;
pub mod server;
pub mod setup;
mod throttle;
mod tls;

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use crate::app::App;
use crate::body::Body;
use crate::store;

/// What the requests of one server share.
struct Web {
    app: Arc<App>,
    doors: auth::Doors,
    /// Connections without a login, by address.
    guests: Arc<guests::Guests>,
    /// Wrong feed tokens by address.
    wrong_tokens: throttle::Throttle<throttle::Block>,
    /// Pages of feeds that are being made. Their addresses are given to the world, so they must not take what logins need.
    feeding: Arc<tokio::sync::Semaphore>,
}

impl Web {
    fn new(app: Arc<App>) -> Web {
        Web {
            app,
            doors: auth::Doors::new(),
            guests: Arc::default(),
            wrong_tokens: throttle::Throttle::new(60, 60),
            feeding: Arc::new(tokio::sync::Semaphore::new(feed::AT_ONCE)),
        }
    }
}

/// An answer in one or two sentences; gets its line end here.
fn say(status: StatusCode, words: &str) -> Response<Body> {
    let mut answer = Response::new(Body::from(format!("{words}\n")));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// The same, with when to come back.
fn say_later(status: StatusCode, seconds: i64, words: &str) -> Response<Body> {
    let mut answer = say(status, words);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    answer
}

/// What a client hears when the store did not answer; what happened goes to the log and not to the client.
fn store_trouble(trouble: &store::Error) -> Response<Body> {
    match trouble {
        store::Error::Busy => say_later(StatusCode::SERVICE_UNAVAILABLE, 5, "There is too much to do. Try again soon."),
        store::Error::Unavailable(_) => {
            tracing::error!("{trouble}");
            say_later(StatusCode::SERVICE_UNAVAILABLE, 30, "The database can not be used now. Try again later.")
        }
        store::Error::Broken(_) => {
            tracing::error!("{trouble}");
            say(StatusCode::INTERNAL_SERVER_ERROR, "Something is wrong here. Its log says what.")
        }
    }
}
