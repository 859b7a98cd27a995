//! Whether we live, and whether we can work. Both without login and without a word on what is inside.

use std::time::Duration;

use http::{Response, StatusCode};

use super::{Web, say, say_later};
use crate::body::Body;
use crate::store;

/// The process answers.
pub fn live() -> Response<Body> {
    say(StatusCode::OK, "ok")
}

/// The store answers too. Otherwise 503, and in one word why; the details are in the log.
pub async fn ready(web: &Web) -> Response<Body> {
    // Through the same queue as every request: full there is not ready here.
    let asked = web.app.store.read(|_| Ok::<_, store::Error>(()));
    let why = match tokio::time::timeout(Duration::from_secs(5), asked).await {
        Ok(Ok(())) => return say(StatusCode::OK, "ready"),
        Err(_) => "slow",
        Ok(Err(trouble)) => {
            tracing::warn!("not ready: {trouble}");
            match trouble {
                store::Error::Busy => "busy",
                store::Error::Unavailable(_) => "unavailable",
                store::Error::Broken(_) => "broken",
            }
        }
    };
    say_later(StatusCode::SERVICE_UNAVAILABLE, 5, &format!("not ready: the database is {why}"))
}
