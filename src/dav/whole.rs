//! GET on a calendar: all of it as one file, as iCalendar or jCal (`Accept`), of a window (`start`, `end`), or each
//! instance by itself (`expand=1`).

use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LAST_MODIFIED, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::path::Target;
use super::props::CONTENT_TYPE as CALENDAR_TYPE;
use super::response::{self, Answer, http_date, quoted};
use super::{Asked, Error, page, request};
use crate::body::Body;
use crate::config::Limits;
use crate::export::{self, Ask, Export};
use crate::ical::file::Form;
use crate::ids::Etag;
use crate::secrets;
use crate::store::calendars::{self, Calendar, Need};
use crate::store::shape;
use crate::sync::write::Condition;

/// The type of jCal (RFC 7265 7).
pub const JSON_TYPE: &str = "application/calendar+json; charset=utf-8";

/// In which form calendar data is wanted; `None`: a page for people is, as every browser says.
pub fn wanted(headers: &HeaderMap) -> Option<Form> {
    match request::accepted(headers, &["text/calendar", "application/calendar+json", "text/html"]) {
        Some("text/html") => None,
        Some("application/calendar+json") => Some(Form::Json),
        // Who wants neither gets the one that everybody reads.
        _ => Some(Form::Text),
    }
}

/// The header that names a form.
pub fn content_type(form: Form) -> HeaderValue {
    HeaderValue::from_static(match form {
        Form::Text => CALENDAR_TYPE,
        Form::Json => JSON_TYPE,
    })
}

/// `head`: nobody takes the body.
pub async fn answer(asked: Asked<'_>, form: Form, head: bool) -> Result<Answer, Error> {
    let Target::Calendar { owner, slug } = asked.target.clone() else { return Err(Error::not_found()) };
    let (actor, query, limits) = (asked.actor.clone(), asked.query.to_owned(), asked.limits);
    // Whether it is what somebody has already is told below.
    let condition = request::condition(asked.headers, &asked.base, &asked.target)?;
    let condition = Condition { none_match: None, schedule_tag: None, ..condition };
    let found = asked.app.store.read(move |tx| {
        let calendar = calendars::open(tx, &actor, &owner, &slug, Need::Read)?;
        // Its etag is weak, and in no list of If-Match (RFC 9110 13.1.1).
        if !condition.holds_for_collection(tx, &actor)? {
            let why =
                "it is there in another state, or the condition has an etag: a calendar's is weak, and matches none";
            return Err(Error::new(StatusCode::PRECONDITION_FAILED, why));
        }
        let ask = ask(&query, &calendar, form, &limits)?;
        let Some(shape) = shape::whole(tx, calendar.id)? else {
            return Err(Error::later(10, "another calendar has become part of this one, and is not all there yet"));
        };
        Ok::<_, Error>((calendar, ask, shape))
    });
    let (calendar, ask, shape) = found.await?;
    let hash = secrets::sha256(export::version(&calendar, &ask).as_bytes());
    let etag = Etag(secrets::hex(&hash[..16]));
    let has = request::unless(asked.headers);
    let mut answer = if has.is_some_and(|list| list.is_empty() || list.contains(&etag)) {
        response::empty(StatusCode::NOT_MODIFIED)
    } else if head {
        // A body costs a reading of everything, and its length is not said then (RFC 9110 9.3.2).
        let mut answer = Response::new(Body::default());
        answer.headers_mut().insert(CONTENT_TYPE, content_type(form));
        answer
    } else {
        let (actor, opened) = (asked.actor.clone(), calendar.clone());
        let mut export = Export::of(&ask, export::head(&opened), opened.changed_at);
        let body = page::body(asked.app, page::Pace::Slow, move |tx, out| {
            let calendar = calendars::open(tx, &actor, &opened.owner, &opened.slug, Need::Read)?;
            // Nor are rows of two makings mixed, which would show an event twice.
            if calendar.epoch != opened.epoch || shape::whole(tx, calendar.id)?.as_ref() != Some(&shape) {
                return Err(Error::not_found());
            }
            if !export.next(tx, &calendar, None, out)? {
                return Ok(page::Page::More(page::Pace::Slow));
            }
            out.push_str(export.close());
            Ok(page::Page::Last)
        });
        let mut answer = Response::new(Body::default());
        *answer.body_mut() = body.await?;
        answer.headers_mut().insert(CONTENT_TYPE, content_type(form));
        answer
    };
    // Weak: what is written while it goes out may be in it, so one etag does not stand for the same bytes. It is of the
    // state before the first page: what is newer than that is asked for again, never taken for known.
    response::header(&mut answer, ETAG, &format!("W/{}", quoted(&etag)));
    response::header(&mut answer, LAST_MODIFIED, &http_date(calendar.changed_at));
    response::header(&mut answer, CACHE_CONTROL, "private, no-cache");
    response::header(&mut answer, VARY, "Accept");
    Ok(answer)
}

/// What the query of the URL asks for. `from` and `to` are other words for `start` and `end`.
fn ask(query: &str, calendar: &Calendar, form: Form, limits: &Limits) -> Result<Ask, Error> {
    let zone = calendar.time_zone();
    let said = |names: [&str; 2]| {
        url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| names.contains(&&**key)).map(|(_, value)| value)
    };
    let time = |names: [&str; 2]| match said(names) {
        None => Ok(None),
        Some(text) => export::instant(&text, &zone).map(Some).ok_or_else(|| {
            let names = names[0];
            let hint = "write 2026-06-01, 20260601T083000Z or 2026-06-01T08:30:00+02:00";
            Error::bad(format!("`{names}` is not a time: {hint}"))
        }),
    };
    let (from, to) = (time(["start", "from"])?, time(["end", "to"])?);
    let window = export::window(from, to).map_err(Error::bad)?;
    let expand = matches!(said(["expand", "expand"]).as_deref(), Some("1" | "true" | "yes"));
    if expand {
        let (Some(from), Some(to)) = (from, to) else {
            return Err(Error::bad("`expand` needs `start` and `end`"));
        };
        if to.0 - from.0 > limits.longest_window() {
            return Err(Error::refused(
                "<C:max-instances/>",
                "the time between `start` and `end` is too long to expand",
            ));
        }
    }
    Ok(Ask { form, window, expand, limits: limits.expansion(), octets: limits.expanded })
}

impl From<export::Error> for Error {
    fn from(e: export::Error) -> Error {
        match e {
            export::Error::TooMany => {
                let error =
                    Error::new(StatusCode::INSUFFICIENT_STORAGE, "there are too many instances: ask for less time");
                Error { condition: "<C:max-instances/>".into(), ..error }
            }
            export::Error::Store(e) => e.into(),
        }
    }
}
