//! Push: one change, once, and what upstream then holds.
//!
//! Whatever a server answers to a PUT, the object is read back: many rewrite what they are given, some of them with a strong
//! etag, and what they add must not be overwritten by the next change. A PUT whose answer was lost is repeated by the engine; then
//! the precondition fails, the object there says the same, and that is success.
//!
//! That an object is not there is believed when its calendar is: see [`Caldav::still_there`].

use ::http::header::{self, HeaderName};
use url::Url;

use super::super::http::{self, Answer};
use super::xml::{self, CALDAV, DAV, Element};
use super::{Caldav, href, responses};
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

/// `{calendar}{key}.ics`, with the path as the server wrote it: an absolute id is its origin and that path.
pub(super) fn id_of(account: &Caldav, calendar: &RemoteId, key: &str) -> Result<RemoteId, Error> {
    let folder = account.calendar_url(calendar)?;
    let path = calendar.as_str().strip_prefix(&folder.origin().ascii_serialization()).unwrap_or(calendar.as_str());
    Ok(RemoteId(format!("{}/{key}.ics", path.trim_end_matches('/'))))
}

/// Makes it under that name, if nothing is there.
async fn create(
    account: &Caldav,
    calendar: &RemoteId,
    key: &str,
    after: &Object,
) -> Result<Option<RemoteObject>, Error> {
    let folder = account.calendar_url(calendar)?;
    let id = id_of(account, calendar, key)?;
    let Some(url) = account.object_url(calendar, &id)? else {
        return Err(Error::Refused("its name can not be a name in this calendar".to_owned()));
    };
    let answer = put(account, &url, (header::IF_NONE_MATCH, "*".to_owned()), after).await?;
    match answer.status.as_u16() {
        200..=299 => written(account, &folder, &url, &id, &answer).await,
        400 | 403 | 409 | 412 => {
            // Something may have this name; or the UID, because the server keeps objects under names of its own.
            let named = if answer.status.as_u16() == 412 { account.get(&url, &id).await? } else { None };
            let there = match named {
                None => by_uid(account, &folder, &answer, after).await?,
                there => there,
            };
            match there {
                // It says the same, so it is ours: the answer to an earlier attempt was lost.
                Some(there) if says(&there, after) => Ok(Some(there)),
                // Other words: ours from an earlier attempt that the server rewrote, or somebody else's.
                Some(there) => Err(Error::Exists(Box::new(there))),
                None if answer.status.as_u16() == 412 && !speaks_of_uid(&answer) => {
                    Err(retry(&url, "says that the object is there, and does not show it"))
                }
                None => Err(refused(account, &folder, &answer).await),
            }
        }
        404 | 410 => {
            account.still_there(&folder).await?;
            let (host, status) = (http::place(&url), answer.status);
            Err(Error::Refused(format!("{host} answered {status} to a new object, though its calendar is there")))
        }
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
    let url = account.object_url(calendar, id)?.ok_or(Error::Missing)?;
    let answer = put(account, &url, (header::IF_MATCH, quoted(etag)), after).await?;
    let answer = match answer.status.as_u16() {
        412 => match account.get(&url, id).await? {
            None => return Err(account.still_there(&folder).await.err().unwrap_or(Error::Missing)),
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
        404 | 410 => Err(account.still_there(&folder).await.err().unwrap_or(Error::Missing)),
        _ => Err(refused(account, &folder, &answer).await),
    }
}

async fn delete(
    account: &Caldav,
    calendar: &RemoteId,
    id: &RemoteId,
    etag: &Etag,
) -> Result<Option<RemoteObject>, Error> {
    let folder = account.calendar_url(calendar)?;
    let url = account.object_url(calendar, id)?.ok_or(Error::Missing)?;
    let condition = vec![(header::IF_MATCH, quoted(etag))];
    let mut answer = account.ask("DELETE", &url, condition, "").await?;
    if answer.status.as_u16() == 412 {
        match account.get(&url, id).await? {
            None => return account.still_there(&folder).await.map(|()| None),
            Some(there) if is_vague(etag) && there.etag == *etag => {
                answer = account.ask("DELETE", &url, Vec::new(), "").await?;
            }
            Some(_) => return Err(Error::Stale),
        }
    }
    match answer.status.as_u16() {
        200..=206 | 208..=299 => Ok(None),
        404 | 410 => account.still_there(&folder).await.map(|()| None),
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

/// The object of this calendar that has the UID of `sent` already, if that is why it was refused. Few servers name it, as
/// RFC 4791 5.3.2.1 wants; many give the precondition alone, with any status, or only words.
async fn by_uid(account: &Caldav, folder: &Url, answer: &Answer, sent: &Object) -> Result<Option<RemoteObject>, Error> {
    if !speaks_of_uid(answer) {
        return Ok(None);
    }
    let error = xml::document(&answer.body).unwrap_or_default();
    let named = error.find(CALDAV, "no-uid-conflict").and_then(|c| c.child(DAV, "href"));
    let named = named.and_then(|href| inside(folder, &answer.url, &href.text));
    let id = match named {
        Some(id) => Some(id),
        None => search(account, folder, sent).await?,
    };
    match id {
        Some(id) => account.get(&super::at(folder, id.as_str()), &id).await,
        None => Ok(None),
    }
}

fn speaks_of_uid(answer: &Answer) -> bool {
    let body = &answer.body[..answer.body.len().min(64 << 10)];
    body.windows(3).any(|three| three.eq_ignore_ascii_case(b"uid"))
}

/// Searches the calendar for the UID of an object. A server that can not search finds nothing; one that does not look at
/// the filter gives more than was asked for.
async fn search(account: &Caldav, folder: &Url, sent: &Object) -> Result<Option<RemoteId>, Error> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<c:calendar-query xmlns:d=\"DAV:\" xmlns:c=\"{CALDAV}\">\
         <d:prop><d:getetag/><c:calendar-data/></d:prop><c:filter><c:comp-filter name=\"VCALENDAR\">\
         <c:comp-filter name=\"{}\"><c:prop-filter name=\"UID\"><c:text-match collation=\"i;octet\">{}</c:text-match>\
         </c:prop-filter></c:comp-filter></c:comp-filter></c:filter></c:calendar-query>",
        sent.kind().name(),
        xml::escape(sent.uid())
    );
    let answer = account.report(folder, "1", body).await?;
    if (400..500).contains(&answer.status.as_u16()) {
        return Ok(None);
    }
    let mut found = None;
    responses(&answer, "searching for an object", |response| {
        let text = response.prop(CALDAV, "calendar-data").map(|data| data.text.as_str());
        if text.and_then(|text| Object::parse(text).ok()).is_some_and(|object| object.uid() == sent.uid()) {
            found = found.take().or_else(|| inside(folder, &answer.url, &response.href));
        }
    })?;
    Ok(found)
}

/// Whether what is there says the same as what was sent.
fn says(there: &RemoteObject, sent: &Object) -> bool {
    there.text == sent.text() || Object::parse(&there.text).is_ok_and(|there| change::same(&there, sent))
}

/// The same where it may be for want of the calendar: RFC 4918 9.7.1 answers 409 to a PUT into what is not there.
async fn refused(account: &Caldav, folder: &Url, answer: &Answer) -> Error {
    let there = match answer.status.as_u16() {
        409 => account.still_there(folder).await,
        _ => Ok(()),
    };
    there.err().unwrap_or_else(|| refusal(answer))
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
    let named = |name: &str| error.children.iter().any(|c: &Element| c.name == name);
    // Space comes back, whatever status its want is told with.
    if named("quota-not-exceeded") || named("sufficient-disk-space") {
        return Error::Retry {
            after: answer.retry_after(),
            why: format!("{host} has no space left (writing an object)"),
        };
    }
    match (error.children.iter().find_map(|c| words(&c.name)), status) {
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
