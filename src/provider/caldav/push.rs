//! Push: one change, once, and what upstream then holds.
//!
//! Whatever a server answers to a PUT, the object is read back: many rewrite what they are given, some of them with a strong
//! etag, and what they add must not be overwritten by the next change. A PUT whose answer was lost is repeated by the engine; then
//! the precondition fails, the object there says the same, and that is success.

use ::http::header::{self, HeaderName};
use url::Url;

use super::super::http::{self, Answer};
use super::xml::{self, CALDAV, DAV, Element};
use super::{Caldav, href};
use crate::ical::{Object, change};
use crate::ids::{Etag, RemoteId};
use crate::provider::{Error, Op, RemoteObject};

pub(super) async fn push(account: &Caldav, calendar: &RemoteId, op: Op<'_>) -> Result<Option<RemoteObject>, Error> {
    match op {
        Op::Create { key, after } => create(account, calendar, key, after).await,
        Op::Update { id, etag, before, after } => update(account, calendar, id, etag, before, after).await,
        Op::Delete { id, etag } => delete(account, calendar, id, etag).await,
    }
}

/// `{calendar}{key}.ics`, if nothing is there.
async fn create(
    account: &Caldav,
    calendar: &RemoteId,
    key: &str,
    after: &Object,
) -> Result<Option<RemoteObject>, Error> {
    let folder = account.calendar_url(calendar)?;
    // The path as the server wrote it: an absolute id is its origin and that path.
    let path = calendar.as_str().strip_prefix(&folder.origin().ascii_serialization()).unwrap_or(calendar.as_str());
    let id = RemoteId(format!("{}/{key}.ics", path.trim_end_matches('/')));
    let url = account.object_url(calendar, &id)?;
    let answer = put(account, &url, (header::IF_NONE_MATCH, "*".to_owned()), after).await?;
    match answer.status.as_u16() {
        200..=299 => written(account, &folder, &url, &id, &answer).await,
        // Something has this name. If it says the same, it is ours: the answer to an earlier attempt was lost.
        412 => match account.get(&url, &id).await? {
            Some(there) if says(&there, after) => Ok(Some(there)),
            // Other words under our name: ours from an earlier attempt that the server rewrote, or somebody else's.
            Some(there) => Err(Error::Exists(Box::new(there))),
            None => Err(retry(&url, "says that the object is there, and does not show it")),
        },
        400 | 403 | 409 => match uid_conflict(&folder, &answer) {
            // Some servers keep objects under names of their own; then this is the earlier attempt again.
            Some(other) => match account.get(&super::at(&folder, other.as_str()), &other).await? {
                Some(there) if says(&there, after) => Ok(Some(there)),
                Some(there) => Err(Error::Exists(Box::new(there))),
                None => Err(refusal(&answer)),
            },
            None => Err(refusal(&answer)),
        },
        404 | 410 => Err(Error::Missing),
        _ => Err(refusal(&answer)),
    }
}

async fn update(
    account: &Caldav,
    calendar: &RemoteId,
    id: &RemoteId,
    etag: &Etag,
    before: &Object,
    after: &Object,
) -> Result<Option<RemoteObject>, Error> {
    let folder = account.calendar_url(calendar)?;
    let url = account.object_url(calendar, id)?;
    let answer = put(account, &url, (header::IF_MATCH, quoted(etag)), after).await?;
    let answer = match answer.status.as_u16() {
        412 => match account.get(&url, id).await? {
            None => return Err(Error::Missing),
            Some(there) if says(&there, after) => return Ok(Some(there)),
            // RFC 9110 13.1.1: If-Match never fits a weak etag. Then having just read it is all there is to hold on to.
            Some(there) if is_vague(etag) && there.etag == *etag && says(&there, before) => {
                put_over(account, &url, after).await?
            }
            Some(_) => return Err(Error::Stale),
        },
        _ => answer,
    };
    match answer.status.as_u16() {
        200..=299 => written(account, &folder, &url, id, &answer).await,
        404 | 410 => Err(Error::Missing),
        _ => Err(refusal(&answer)),
    }
}

async fn delete(
    account: &Caldav,
    calendar: &RemoteId,
    id: &RemoteId,
    etag: &Etag,
) -> Result<Option<RemoteObject>, Error> {
    let url = account.object_url(calendar, id)?;
    let condition = vec![(header::IF_MATCH, quoted(etag))];
    let mut answer = account.ask("DELETE", &url, condition, "").await?;
    if answer.status.as_u16() == 412 {
        match account.get(&url, id).await? {
            None => return Ok(None),
            Some(there) if is_vague(etag) && there.etag == *etag => {
                answer = account.ask("DELETE", &url, Vec::new(), "").await?;
            }
            Some(_) => return Err(Error::Stale),
        }
    }
    match answer.status.as_u16() {
        200..=206 | 208..=299 | 404 | 410 => Ok(None),
        _ => Err(refusal(&answer)),
    }
}

async fn put(account: &Caldav, url: &Url, condition: (HeaderName, String), after: &Object) -> Result<Answer, Error> {
    let kind = (header::CONTENT_TYPE, "text/calendar; charset=utf-8".to_owned());
    account.ask("PUT", url, vec![kind, condition], after.text().to_owned()).await
}

async fn put_over(account: &Caldav, url: &Url, after: &Object) -> Result<Answer, Error> {
    let kind = (header::CONTENT_TYPE, "text/calendar; charset=utf-8".to_owned());
    account.ask("PUT", url, vec![kind], after.text().to_owned()).await
}

/// Reads back what a PUT made: where the server says it is, or a redirect led, else where it was put.
async fn written(
    account: &Caldav,
    folder: &Url,
    url: &Url,
    id: &RemoteId,
    answer: &Answer,
) -> Result<Option<RemoteObject>, Error> {
    let named = [answer.header(header::LOCATION), answer.header(header::CONTENT_LOCATION), Some(answer.url.path())];
    for other in named.into_iter().flatten().filter_map(|href| inside(folder, url, href)) {
        if href::key(other.as_str()) != href::key(id.as_str())
            && let Some(there) = account.get(&super::at(folder, other.as_str()), &other).await?
        {
            return Ok(Some(there));
        }
    }
    match account.get(url, id).await? {
        Some(there) => Ok(Some(there)),
        None => Err(retry(url, "took the object, and does not show it")),
    }
}

/// The id of an href, if it is in the calendar.
fn inside(folder: &Url, asked: &Url, href: &str) -> Option<RemoteId> {
    let path = href::path(asked.path(), href)?;
    href::is_member(&href::key(folder.path()), &href::key(&path)).then_some(RemoteId(path))
}

/// The object in this calendar that has the UID already, if the server names it (RFC 4791 5.3.2.1).
fn uid_conflict(folder: &Url, answer: &Answer) -> Option<RemoteId> {
    let error = xml::document(&answer.body).ok()?;
    let href = error.find(CALDAV, "no-uid-conflict")?.child(DAV, "href")?;
    inside(folder, &answer.url, href.text.trim())
}

/// Whether what is there says the same as what was sent.
fn says(there: &RemoteObject, sent: &Object) -> bool {
    there.text == sent.text() || Object::parse(&there.text).is_ok_and(|there| change::same(&there, sent))
}

/// Why the server did not take a change. A precondition is said in words; see [`Answer::trouble`] for the rest.
fn refusal(answer: &Answer) -> Error {
    let host = http::place(&answer.url);
    let status = answer.status.as_u16();
    // Error bodies come with these; a 5xx with a body is still trouble and no refusal.
    if !(400..500).contains(&status) || matches!(status, 401 | 404 | 408 | 410 | 423 | 425 | 429) {
        return answer.trouble("writing an object");
    }
    let error = xml::document(&answer.body).unwrap_or_default();
    let condition = error.children.iter().map(|c: &Element| c.name.as_str()).find(|name| words(name).is_some());
    match (condition.and_then(words), status) {
        (Some(words), _) => Error::Refused(format!("{host} refuses it: {words}")),
        (None, 403) => Error::Refused(format!("{host} does not let this account write to this calendar")),
        (None, 413) => answer.trouble("writing an object"),
        (None, _) => Error::Refused(format!("{host} refuses it ({})", answer.status)),
    }
}

/// The preconditions of RFC 4791 5.3.2.1, RFC 3744 7.1.1 and RFC 6638 3.2.4.1 in words.
fn words(precondition: &str) -> Option<&'static str> {
    Some(match precondition {
        "need-privileges" => "this account may not write to this calendar",
        "no-uid-conflict" | "unique-scheduling-object-resource" => {
            "another of its calendars has an object with this UID"
        }
        "supported-calendar-component" => "this calendar does not take this kind of object",
        "supported-calendar-data" | "valid-calendar-data" => "it does not understand the object",
        "valid-calendar-object-resource" => "it finds that the object breaks the rules for calendar objects",
        "max-resource-size" => "the object is too large",
        "min-date-time" | "max-date-time" => "a date in the object is out of its range",
        "max-instances" => "the object repeats too often",
        "max-attendees-per-instance" => "the object has too many attendees",
        "quota-not-exceeded" | "sufficient-disk-space" => "there is no space left",
        "allowed-organizer-scheduling-object-change" | "allowed-attendee-scheduling-object-change" => {
            "only the organizer may change this"
        }
        "same-organizer-in-all-components" => "all its instances must have one organizer",
        _ => return None,
    })
}

/// An etag as a header wants it: strong ones get their quotes back.
fn quoted(etag: &Etag) -> String {
    if is_weak(etag) { etag.as_str().to_owned() } else { format!("\"{}\"", etag.as_str()) }
}

/// Whether an etag can not be held against: weak, or none at all.
fn is_vague(etag: &Etag) -> bool {
    is_weak(etag) || etag.as_str().is_empty()
}

fn is_weak(etag: &Etag) -> bool {
    etag.as_str().starts_with("W/\"")
}

fn retry(url: &Url, what: &str) -> Error {
    Error::Retry { after: None, why: format!("{} {what}", http::place(url)) }
}
