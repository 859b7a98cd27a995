//! WebDAV and CalDAV: method × target → one of the files below.
//!
//! `path.rs` says what a URL means, `request.rs` what a body asks, `props.rs` which properties there are, `response.rs`
//! how an answer is written, `sheet.rs` how one is filled row by row, `page.rs` how a long one goes out page by page; the
//! other files are one method each.

pub mod acl;
pub mod copy_move;
pub mod delete;
pub mod get;
pub mod mkcalendar;
pub mod options;
pub mod page;
pub mod path;
pub mod post;
pub mod principals;
pub mod propfind;
pub mod proppatch;
pub mod props;
pub mod push;
pub mod put;
pub mod report;
pub mod request;
pub mod response;
pub mod schedule;
pub mod share;
pub mod sheet;
pub mod whole;
pub mod xml;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};

use crate::app::App;
use crate::body::Body;
use crate::config::{Limits, PublicUrl};
use crate::ids::Etag;
use crate::store;
use crate::store::calendars::Denied;
use crate::store::users::Actor;
use crate::sync::write::Refusal;
use crate::sync::{limits, notify};
use path::Target;
use response::Answer;

/// Seconds after which a client may ask again when the store has too much to do.
const RETRY_SOON: u32 = 5;

/// One request, as the files below take it.
pub struct Asked<'a> {
    pub app: &'a Arc<App>,
    /// What every href begins with.
    pub base: PublicUrl,
    pub limits: Limits,
    pub actor: &'a Actor,
    pub target: Target,
    /// What stands behind the `?` of the URL.
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    pub body: &'a Bytes,
}

impl Asked<'_> {
    /// The href of what was asked for.
    pub fn href(&self) -> String {
        self.target.href(&self.base)
    }

    /// What a refused write is answered with.
    pub fn refused(&self, refusal: Refusal) -> Error {
        Error::of_refusal(refusal, &self.target, &self.base)
    }

    /// What is answered to who may not.
    pub fn denied(&self, denied: Denied) -> Error {
        Error::of_denied(denied, &self.target, &self.base)
    }
}

/// Answers one DAV request. The body was read under its limits; the actor was made by `web/auth.rs`; the path has lost
/// the prefix of `public_url`.
/// Whatever was sent, the answer is never 401 and never a 5xx that is not the store's or an upstream's trouble.
pub async fn handle(app: &Arc<App>, actor: &Actor, request: Request<Bytes>) -> Answer {
    let method = request.method().as_str().to_owned();
    let target = Target::read(request.uri().path());
    let writes = !matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "PROPFIND" | "REPORT");
    let quiet = if writes { push::quiet(app, actor, request.headers()).await } else { None };
    let mut answer = match route(app, actor, &method, target.clone(), &request).await {
        Ok(answer) => {
            if let Some(quiet) = quiet
                && let Some(deed) = push::deed(&method, target.as_ref(), &answer)
                && let Err(e) = quiet.settle(app, deed).await
            {
                tracing::debug!(reason = %e, "a client will hear of its own change");
            }
            if writes {
                notify::soon(app);
            }
            answer
        }
        Err(error) => {
            match &error.log {
                Some(reason) if error.status == StatusCode::INTERNAL_SERVER_ERROR => {
                    tracing::error!(method, reason, "{method} failed: {reason}");
                }
                Some(reason) => tracing::warn!(method, reason, "{method} was put off: {reason}"),
                None => {}
            }
            response::error(&error)
        }
    };
    if !answer.headers().contains_key("dav") && matches!(method.as_str(), "PROPFIND" | "REPORT") {
        // A report, or an error: what the calendar can do is not looked up for it.
        answer = options::with_dav(answer, &options::dav(app, target.as_ref(), false));
    }
    if method == "HEAD" {
        // How long an answer would be is only known when it has been made.
        if let Some(length) = answer.body().whole().map(Bytes::len).filter(|length| *length > 0) {
            answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        *answer.body_mut() = Body::default();
    }
    answer
}

/// What is answered to calendar data that is larger than any body may be; `None`: it would be none. No object is larger
/// than a body, so it is the object that is too large (RFC 4791 5.3.2.1).
pub fn too_large(method: &Method, path: &str, headers: &HeaderMap, limits: &Limits) -> Option<Answer> {
    let data = match (method, Target::read(path)?) {
        (&Method::PUT, Target::Resource { .. }) => put::check_type(headers).is_ok(),
        (&Method::POST, Target::Calendar { .. } | Target::Outbox { .. }) => post::is_calendar_data(headers),
        _ => false,
    };
    data.then(|| response::error(&put::too_large(limits)))
}

/// Answers OPTIONS, which needs no login.
pub fn options(app: &Arc<App>, path: &str) -> Answer {
    options::plain(app, Target::read(path).or_else(|| path::elsewhere(path)).as_ref(), true)
}

async fn route(
    app: &Arc<App>,
    actor: &Actor,
    method: &str,
    target: Option<Target>,
    request: &Request<Bytes>,
) -> Result<Answer, Error> {
    if let Some(token) = request.uri().path().strip_prefix(push::ADDRESS) {
        return push::end(app, actor, method, token).await;
    }
    if !options::KNOWN.contains(&method) {
        return Err(Error::new(StatusCode::NOT_IMPLEMENTED, format!("the method {} is not known here", brief(method))));
    }
    let Some(target) = target else {
        return Err(match method {
            "OPTIONS" => return Ok(options::plain(app, None, actor.may_write)),
            "PUT" | "MKCALENDAR" | "MKCOL" => match (method, parent(request.uri().path())) {
                ("PUT", Some(Target::Calendar { .. })) | ("MKCALENDAR" | "MKCOL", Some(Target::Home { .. })) => {
                    unfit_name()
                }
                ("PUT", _) | (_, Some(Target::Resource { .. }) | None) => no_parent(),
                _ => mkcalendar::wrong_place(),
            },
            _ => Error::not_found(),
        });
    };
    // Where something can be made is for `mkcalendar.rs` to say, which has preconditions for it.
    if method == "PUT"
        && let Some(error) = schedule::refuse_put(&target, &app.config.load().server.public_url)
    {
        return Err(error);
    }
    let possible = options::allowed(&target).split(", ").any(|m| m == method);
    // And what becomes of a whole calendar for `copy_move.rs`.
    let decided_there = match &target {
        Target::Calendar { .. } => matches!(method, "MKCALENDAR" | "MKCOL" | "COPY" | "MOVE"),
        _ => matches!(method, "MKCALENDAR" | "MKCOL"),
    };
    if !possible && !decided_there {
        return Err(Error::not_allowed(&target, format!("{method} is not possible here")));
    }
    let encoded =
        request.headers().get(CONTENT_ENCODING).is_some_and(|e| !e.as_bytes().eq_ignore_ascii_case(b"identity"));
    if encoded {
        return Err(Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send the body without a Content-Encoding"));
    }
    let config = app.config.load();
    let (base, limits) = (config.server.public_url.clone(), config.limits);
    drop(config);
    // What is put is calendar data, and read by itself.
    let adds = matches!(target, Target::Calendar { .. }) && post::is_calendar_data(request.headers());
    let body = match method {
        "PUT" => request.body().clone(),
        "POST" if adds => request.body().clone(),
        _ => xml::utf8(request.body()).map_err(Error::bad)?,
    };
    let query = request.uri().query().unwrap_or_default();
    let asked = Asked { app, base, limits, actor, target, query, headers: request.headers(), body: &body };
    match method {
        "OPTIONS" => options::answer(asked).await,
        "PROPFIND" => propfind::answer(asked).await,
        "PROPPATCH" => proppatch::answer(asked).await,
        "REPORT" => report::answer(asked).await,
        "GET" | "HEAD" => get::answer(asked, method == "HEAD").await,
        "PUT" => put::answer(asked).await,
        "POST" if matches!(asked.target, Target::Outbox { .. }) => schedule::post(asked).await,
        "POST" if adds => post::answer(asked).await,
        "POST" => post::xml(asked).await,
        "DELETE" => delete::answer(asked).await,
        "COPY" | "MOVE" => copy_move::answer(asked, method == "MOVE").await,
        "MKCALENDAR" | "MKCOL" => mkcalendar::answer(asked, method == "MKCOL").await,
        // `allowed` has no others.
        _ => Err(Error::new(StatusCode::NOT_IMPLEMENTED, "this method is not known here")),
    }
}

/// Enough of a text to recognise it by.
fn brief(text: &str) -> String {
    text.chars().take(40).collect()
}

/// RFC 4918 9.7.1: the collection that a resource is put into must be there.
fn no_parent() -> Error {
    Error::new(StatusCode::CONFLICT, "there is no calendar at this place to put anything into")
}

/// What the last segment of a path stands in.
fn parent(path: &str) -> Option<Target> {
    let (above, _) = path.trim_end_matches('/').rsplit_once('/')?;
    Target::read(above)
}

/// No resource can be called so, whatever calendar it would be in.
fn unfit_name() -> Error {
    let message = "nothing can have this name: it must be UTF-8, at most 255 bytes, without control characters and \
                   escaped slashes";
    Error::new(StatusCode::FORBIDDEN, message)
}

/// What is said instead of an answer. Everything that can go wrong becomes one of these, here and nowhere else.
#[derive(Clone, Debug)]
pub struct Error {
    pub status: StatusCode,
    /// The precondition as XML with the prefixes of [`response::Ns`]; empty: none has a name.
    pub condition: Cow<'static, str>,
    /// A sentence for people.
    pub message: String,
    pub etag: Option<Etag>,
    /// Seconds.
    pub retry_after: Option<u32>,
    pub allow: Option<&'static str>,
    /// What only the log may say.
    log: Option<Box<str>>,
}

impl Error {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Error {
        Error {
            status,
            condition: Cow::Borrowed(""),
            message: message.into(),
            etag: None,
            retry_after: None,
            allow: None,
            log: None,
        }
    }

    /// 400: the request can not be read.
    pub fn bad(message: impl Into<String>) -> Error {
        Error::new(StatusCode::BAD_REQUEST, message)
    }

    /// 403 with a precondition.
    pub fn refused(condition: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Error {
        Error { condition: condition.into(), ..Error::new(StatusCode::FORBIDDEN, message) }
    }

    pub fn not_found() -> Error {
        Error::new(StatusCode::NOT_FOUND, "there is nothing at this place")
    }

    pub fn not_allowed(target: &Target, message: impl Into<String>) -> Error {
        Error { allow: Some(options::allowed(target)), ..Error::new(StatusCode::METHOD_NOT_ALLOWED, message) }
    }

    pub fn read_only(href: &str, message: impl Into<String>) -> Error {
        let condition = format!(
            "<D:need-privileges><D:resource><D:href>{href}</D:href><D:privilege><D:write/></D:privilege></D:resource>\
             </D:need-privileges>"
        );
        Error::refused(condition, message)
    }

    /// What the log is told of an error that no client can be told any more.
    fn in_words(self) -> String {
        self.log.map_or(self.message, String::from)
    }

    /// 507: there is no room (RFC 4331 6).
    pub fn full(message: impl Into<String>) -> Error {
        let error = Error::new(StatusCode::INSUFFICIENT_STORAGE, message);
        Error { condition: Cow::Borrowed("<D:quota-not-exceeded/>"), ..error }
    }

    pub fn later(after: u32, message: impl Into<String>) -> Error {
        Error { retry_after: Some(after), ..Error::new(StatusCode::SERVICE_UNAVAILABLE, message) }
    }

    /// What refused a write at `target`.
    pub fn of_refusal(refusal: Refusal, target: &Target, base: &PublicUrl) -> Error {
        match refusal {
            Refusal::Denied(denied) => Error::of_denied(denied, target, base),
            Refusal::Condition { current } => {
                let message = match current {
                    Some(_) => "it is there in another version than the condition allows",
                    None => "the condition asks for something that is not there",
                };
                Error { etag: current, ..Error::new(StatusCode::PRECONDITION_FAILED, message) }
            }
            Refusal::Occupied { current } => {
                let message = "there is something at the destination already, and Overwrite says to leave it";
                Error { etag: Some(current), ..Error::new(StatusCode::PRECONDITION_FAILED, message) }
            }
            Refusal::UidTaken { name } => {
                let there = match target {
                    Target::Resource { owner, slug, .. } => path::resource(base, owner, slug, name.as_str()),
                    other => other.href(base),
                };
                let message = "this calendar has another resource with the same UID";
                Error::refused(response::condition_with_href("C:no-uid-conflict", &there), message)
            }
            Refusal::UidChanged => Error::refused(
                response::condition_with_href("C:no-uid-conflict", &target.href(base)),
                "the resource at this place has another UID; a UID can not be changed",
            ),
            Refusal::Component => Error::refused(
                "<C:supported-calendar-component/>",
                "this calendar does not take components of this kind",
            ),
            // Not `need-privileges`: DAVx5 would then throw the user's change away without a word.
            Refusal::Upstream(why) => Error::refused(
                "<C:valid-calendar-object-resource/>",
                format!("the upstream calendar refused it: {why}"),
            ),
            Refusal::Full => Error::full("this calendar has as many resources as it can have: remove some first"),
            Refusal::NoStorage => Error::full("these calendars hold as much as they may: remove some of it first"),
            Refusal::NoParent => no_parent(),
            Refusal::NotThere(why) => Error::read_only(&target.href(base), why),
            Refusal::NotMovable(why) => Error::new(StatusCode::FORBIDDEN, why),
            Refusal::Missing => Error::not_found(),
            Refusal::Later(after) => Error::later(
                u32::try_from(after.as_secs()).unwrap_or(u32::MAX).max(1),
                "the upstream calendar can not be reached; nothing was changed, try again later",
            ),
            Refusal::Store(e) => e.into(),
        }
    }

    /// What denied `target`.
    pub fn of_denied(denied: Denied, target: &Target, base: &PublicUrl) -> Error {
        match denied {
            Denied::Missing => Error::not_found(),
            Denied::ReadOnly(why) => Error::read_only(&target.href(base), why),
            Denied::Store(e) => e.into(),
        }
    }
}

impl From<store::Error> for Error {
    fn from(e: store::Error) -> Error {
        let log = Some(e.to_string().into_boxed_str());
        let error = match e {
            store::Error::Busy => Error::later(RETRY_SOON, "there is too much to do just now"),
            store::Error::Unavailable(_) => Error::later(RETRY_SOON, "the database can not be used just now"),
            store::Error::Broken(_) => {
                Error::new(StatusCode::INTERNAL_SERVER_ERROR, "something is wrong here; the log says what")
            }
        };
        Error { log, ..error }
    }
}

impl From<limits::Exceeded> for Error {
    fn from(e: limits::Exceeded) -> Error {
        Error::refused(e.condition, e.why)
    }
}

/// For reading, where a calendar is hidden or there.
impl From<Denied> for Error {
    fn from(e: Denied) -> Error {
        match e {
            Denied::Missing => Error::not_found(),
            Denied::ReadOnly(why) => Error::refused("<D:need-privileges/>", why),
            Denied::Store(e) => e.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::Name;

    /// What a refused write at `/dav/anna/work/a.ics` becomes: status, precondition, Retry-After, ETag.
    #[test]
    fn every_refusal_has_its_answer() {
        let base = PublicUrl::example("https://example.org/cal");
        let target = Target::read("/dav/anna/work/a.ics").unwrap();
        let check = |refusal: Refusal, status: u16, condition: &str, header: &str| {
            let error = Error::of_refusal(refusal.clone(), &target, &base);
            let answer = response::error(&error);
            assert_eq!(answer.status().as_u16(), status, "{refusal:?}");
            let body = std::str::from_utf8(answer.body().whole().unwrap()).unwrap();
            assert!(body.contains(&format!("{condition}<CG:message")), "{refusal:?}: {body}");
            let shown = ["retry-after", "etag"].iter().filter_map(|n| answer.headers().get(*n));
            let shown: Vec<&str> = shown.map(|v| v.to_str().unwrap()).collect();
            assert_eq!(shown.join(" "), header, "{refusal:?}");
            assert!(!body.contains("secret"), "what the database said is for the log: {body}");
        };
        let busy = store::Error::Busy;
        let away = store::Error::Unavailable("secret".to_owned());
        let broken = store::Error::Broken("secret".to_owned());
        let other = Name::new("b.ics").unwrap();
        check(Refusal::Denied(Denied::Missing), 404, "", "");
        check(Refusal::Denied(Denied::ReadOnly("why".to_owned())), 403, "</D:need-privileges>", "");
        check(Refusal::Condition { current: None }, 412, "", "");
        check(Refusal::Condition { current: Some("e".into()) }, 412, "", "\"e\"");
        let taken = "<C:no-uid-conflict><D:href>/cal/dav/anna/work/b.ics</D:href></C:no-uid-conflict>";
        check(Refusal::UidTaken { name: other }, 403, taken, "");
        check(Refusal::UidChanged, 403, "</C:no-uid-conflict>", "");
        check(Refusal::Occupied { current: "e".into() }, 412, "", "\"e\"");
        check(Refusal::Full, 507, "<D:quota-not-exceeded/>", "");
        check(Refusal::NoStorage, 507, "<D:quota-not-exceeded/>", "");
        check(Refusal::NoParent, 409, "", "");
        check(Refusal::NotThere("no".to_owned()), 403, "</D:need-privileges>", "");
        check(Refusal::NotMovable("no".to_owned()), 403, "", "");
        check(Refusal::Component, 403, "<C:supported-calendar-component/>", "");
        check(Refusal::Upstream("no".to_owned()), 403, "<C:valid-calendar-object-resource/>", "");
        check(Refusal::Missing, 404, "", "");
        check(Refusal::Later(Duration::from_secs(60)), 503, "", "60");
        check(Refusal::Later(Duration::ZERO), 503, "", "1");
        check(Refusal::Store(busy), 503, "", "5");
        check(Refusal::Store(away), 503, "", "5");
        check(Refusal::Store(broken), 500, "", "");
    }
}
