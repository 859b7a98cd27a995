//! PUT: read it or refuse it; what happens then is `sync::write`'s to say.

use http::header::{CONTENT_TYPE, ETAG, HeaderName};
use http::{HeaderMap, StatusCode};

use super::path::Target;
use super::response::{self, Answer, quoted};
use super::{Asked, Error, no_parent, request};
use crate::ical::{Object, jcal};
use crate::store::calendars::Denied;
use crate::sync::write::{self, Place, Refusal};

pub async fn answer(asked: Asked<'_>) -> Result<Answer, Error> {
    let Target::Resource { owner, slug, name } = asked.target.clone() else {
        return Err(Error::not_allowed(&asked.target, "a collection can not be put"));
    };
    if asked.headers.contains_key(HeaderName::from_static("content-range")) {
        return Err(Error::bad("a part of a resource can not be put (RFC 9110 14.5)"));
    }
    let json = check_type(asked.headers)?;
    let most = asked.limits.object;
    if asked.body.len() > most {
        return Err(Error::refused("<C:max-resource-size/>", format!("a resource may have at most {most} bytes")));
    }
    let read = match json {
        false => Object::read_octets(asked.body, request::reading(asked.headers)),
        true => match std::str::from_utf8(asked.body) {
            Ok(text) => jcal::parse(text).and_then(|calendar| Object::of(&calendar)),
            Err(_) => return Err(Error::refused("<C:valid-calendar-data/>", "jCal is written in UTF-8")),
        },
    };
    let object = read.map_err(|e| Error::refused("<C:valid-calendar-data/>", e.to_string()))?;
    let altered = object.text().as_bytes() != asked.body;
    let condition = request::condition(asked.headers);
    let place = Place { owner, slug, name };
    let done =
        write::put(asked.app, asked.actor, &place, object, &condition).await.map_err(|refusal| match refusal {
            Refusal::Denied(Denied::Missing) => no_parent(),
            refusal => asked.refused(refusal),
        })?;
    // 204 and not 200 for what was there before: Evolution asks for it.
    let mut answer = response::empty(if done.created { StatusCode::CREATED } else { StatusCode::NO_CONTENT });
    // What had to be repaired is not what was sent: without an ETag the client fetches it (RFC 4791 5.3.4).
    if let Some(etag) = done.etag.as_ref().filter(|_| !altered) {
        response::header(&mut answer, ETAG, &quoted(etag));
    }
    Ok(answer)
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
