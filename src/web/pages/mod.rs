//! Pages for people: the layout they share, and what a browser may do with them. A page is a template beside this file
//! and a struct where its data is made; nothing here needs a script.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use super::say;
use crate::body::Body;
use crate::secrets;

/// Stands in every page, so that a page is one answer.
pub const STYLE: &str = include_str!("style.css");

/// Nothing but our own style, and forms that come back to us.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = STANDARD.encode(secrets::sha256(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).expect("it is of ASCII letters and signs")
});

/// A page as an answer. It is for one person at one time, so nobody keeps it.
pub(super) fn page(status: StatusCode, page: &impl Template) -> Response<Body> {
    let Ok(text) = page.render() else {
        return say(StatusCode::INTERNAL_SERVER_ERROR, "Something is wrong here: a page could not be written.");
    };
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// A page that says one thing.
#[derive(Template)]
#[template(path = "said.html")]
pub(super) struct Said<'a> {
    pub title: &'a str,
    pub words: &'a str,
    /// All is well.
    pub good: bool,
}
