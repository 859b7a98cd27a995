//! PUT: read it or refuse it; what happens then is `sync::write`'s to say. What it has in common with POST is here too.

use bytes::Bytes;
use http::header::{CONTENT_LOCATION, CONTENT_TYPE, ETAG, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::path::{self, Target};
use super::props::CONTENT_TYPE as CALENDAR_TYPE;
use super::request::{self, Prefer};
use super::response::{self, Answer, quoted};
use super::{Asked, Error, no_parent};
use crate::config::Limits;
use crate::ical::{Component, Object, jcal};
use crate::store::calendars::{self, Denied, Need};
use crate::store::{resources, scheduling};
use crate::sync::limits;
use crate::sync::write::{self, Done, Place, Refusal};

/// RFC 6638 8.2.
pub const SCHEDULE_TAG: HeaderName = HeaderName::from_static("schedule-tag");

pub async fn answer(asked: Asked<'_>) -> Result<Answer, Error> {
    let Target::Resource { owner, slug, name } = asked.target.clone() else {
        return Err(Error::not_allowed(&asked.target, "a collection can not be put"));
    };
    let prefer = Prefer::read(asked.headers);
    let read = read(&asked, prefer)?;
    let condition = request::condition(asked.headers, &asked.base, &asked.target)?;
    let place = Place { owner, slug, name };
    let done = match write::put(asked.app, asked.actor, &place, read.object, &condition).await {
        Ok(done) => done,
        Err(Refusal::Denied(Denied::Missing)) => return Err(no_parent()),
        // RFC 8144 3.2: who asks to see what was written is shown what is there instead.
        Err(Refusal::Condition { current: Some(_) }) if prefer.representation => {
            if let Some(answer) = represent(&asked, &place, StatusCode::PRECONDITION_FAILED).await? {
                return Ok(response::with_preference(answer, &prefer.applied(Prefer::WRITING)));
            }
            return Err(asked.refused(Refusal::Condition { current: None }));
        }
        Err(refusal) => return Err(asked.refused(refusal)),
    };
    written(&asked, &place, done, read.altered, prefer, Prefer::WRITING).await
}

/// What a body says.
pub struct Read {
    pub object: Object,
    /// Something had to be put right: what is kept is not what was sent.
    pub altered: bool,
}

/// Reads the body of a PUT or POST as an object that may be kept.
pub fn read(asked: &Asked<'_>, prefer: Prefer) -> Result<Read, Error> {
    if asked.headers.contains_key(HeaderName::from_static("content-range")) {
        return Err(Error::bad("a part of a resource can not be put (RFC 9110 14.5)"));
    }
    let json = check_type(asked.headers)?;
    if asked.body.len() > asked.limits.object {
        return Err(too_large(&asked.limits));
    }
    let read = match json {
        false => Object::read_octets(asked.body, prefer.reading()),
        true => match std::str::from_utf8(asked.body) {
            Ok(text) => jcal::parse(text).and_then(|calendar| Object::of(&calendar)),
            Err(_) => return Err(Error::refused("<C:valid-calendar-data/>", "jCal is written in UTF-8")),
        },
    };
    let object = read.map_err(|e| {
        // RFC 4791 5.3.2.1 tells what is no calendar data from calendar data that can not be one resource.
        let text = String::from_utf8_lossy(asked.body);
        let calendar = if json { jcal::parse(&text) } else { Component::parse(&text) };
        let other = calendar.is_ok_and(|c| !is_one_object(&c));
        let condition = if other { "<C:valid-calendar-object-resource/>" } else { "<C:valid-calendar-data/>" };
        Error::refused(condition, e.to_string())
    })?;
    limits::check(&object, asked.limits.attendees)?;
    let altered = object.text().as_bytes() != asked.body;
    Ok(Read { object, altered })
}

/// What calendar data beyond the limit is refused with.
pub(super) fn too_large(limits: &Limits) -> Error {
    Error::refused("<C:max-resource-size/>", format!("a resource may have at most {} bytes", limits.object))
}

/// Whether a calendar is of one UID and one kind, and no message on its way (RFC 4791 4.1).
fn is_one_object(calendar: &Component) -> bool {
    let mut contents = calendar.components.iter().filter(|c| c.name() != "VTIMEZONE" && !c.name().starts_with("X-"));
    let Some(first) = contents.next() else { return false };
    calendar.property("METHOD").is_none()
        && first.value("UID").is_some_and(|uid| !uid.trim().is_empty())
        && contents.all(|c| c.name() == first.name() && c.value("UID") == first.value("UID"))
}

/// The answer to a write that was made: 201 or 204, or what was written where that is preferred.
pub async fn written(
    asked: &Asked<'_>,
    place: &Place,
    done: Done,
    altered: bool,
    prefer: Prefer,
    possible: Prefer,
) -> Result<Answer, Error> {
    let applied = prefer.applied(possible);
    if prefer.representation {
        let status = if done.created { StatusCode::CREATED } else { StatusCode::OK };
        if let Some(answer) = represent(asked, place, status).await? {
            return Ok(response::with_preference(answer, &applied));
        }
    }
    // 204 and not 200 for what was there before: Evolution asks for it.
    let mut answer = response::empty(if done.created { StatusCode::CREATED } else { StatusCode::NO_CONTENT });
    // What had to be repaired is not what was sent: without an ETag the client fetches it (RFC 4791 5.3.4).
    if let Some(etag) = done.etag.as_ref().filter(|_| !altered) {
        response::header(&mut answer, ETAG, &quoted(etag));
    }
    // This one is of what was kept (RFC 6638 3.2.10).
    if let Some(tag) = &done.schedule_tag {
        response::header(&mut answer, SCHEDULE_TAG, &format!("\"{tag}\""));
    }
    // It is gone again, so what it was is not told.
    let applied =
        if prefer.representation { Prefer { representation: false, ..prefer }.applied(possible) } else { applied };
    Ok(if applied.is_empty() { answer } else { response::with_preference(answer, &applied) })
}

/// What is at `place` now, as a GET would give it; `None`: nothing.
async fn represent(asked: &Asked<'_>, place: &Place, status: StatusCode) -> Result<Option<Answer>, Error> {
    let (actor, at) = (asked.actor.clone(), place.clone());
    let found = asked.app.store.read(move |tx| -> Result<_, Denied> {
        let calendar = calendars::open(tx, &actor, &at.owner, &at.slug, Need::Read)?;
        let Some(resource) = resources::get(tx, &calendar, &at.name)? else { return Ok(None) };
        let tag = scheduling::tag_of(tx, &calendar, &resource.body)?;
        Ok(Some((resource, tag)))
    });
    let Some((resource, tag)) = found.await? else { return Ok(None) };
    let mut answer = response::empty(status);
    response::header(&mut answer, ETAG, &quoted(&resource.etag));
    if let Some(tag) = tag {
        response::header(&mut answer, SCHEDULE_TAG, &format!("\"{tag}\""));
    }
    let href = path::resource(&asked.base, &place.owner, &place.slug, place.name.as_str());
    response::header(&mut answer, CONTENT_LOCATION, &href);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(CALENDAR_TYPE));
    *answer.body_mut() = Bytes::from(resource.body).into();
    Ok(Some(answer))
}

/// Text in UTF-8 of the type text/calendar, or jCal (true). A client that says nothing (cadaver) is taken to send text.
pub(super) fn check_type(headers: &HeaderMap) -> Result<bool, Error> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(false) };
    let value = value.to_str().unwrap_or("").to_ascii_lowercase();
    let mut parts = value.split(';').map(str::trim);
    let charset = |p: &str| {
        let charset = p.strip_prefix("charset=")?.trim_matches(['"', '\'']).to_owned();
        Some(matches!(charset.as_str(), "utf-8" | "utf8" | "us-ascii"))
    };
    let json = match parts.next() {
        Some("text/calendar") => false,
        Some("application/calendar+json") => true,
        _ => {
            let message = "send text/calendar or application/calendar+json";
            return Err(Error::refused("<C:supported-calendar-data/>", message));
        }
    };
    if parts.any(|p| charset(p) == Some(false)) {
        return Err(Error::refused("<C:supported-calendar-data/>", "send text/calendar in UTF-8"));
    }
    Ok(json)
}
