//! POST: to a calendar, of calendar data (RFC 5995), which becomes a new resource whose name is ours to choose; or of XML,
//! whose root says what is wanted.

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, StatusCode};

use super::path::{self, Target};
use super::request::{self, Prefer};
use super::response::{self, Answer};
use super::{Asked, Error, push, put, share, xml};
use crate::ids::Name;
use crate::store::calendars::{self, Denied, Need};
use crate::store::{resources, unified};
use crate::sync::write::{self, Condition, Place, Refusal};

/// Whether what is posted says that it is calendar data; all else is XML.
pub fn is_calendar_data(headers: &HeaderMap) -> bool {
    let said = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    said.split(';').next().is_some_and(|t| {
        t.trim().eq_ignore_ascii_case("text/calendar") || t.trim().eq_ignore_ascii_case("application/calendar+json")
    })
}

/// XML, read once: what it is about is told by its root.
pub async fn xml(asked: Asked<'_>) -> Result<Answer, Error> {
    enum Wanted {
        Push(push::Register),
        Share(Vec<share::Wish>),
    }
    let wanted = match xml::parse(asked.body) {
        Ok(root) if root.is(push::PUSH, "push-register") => Wanted::Push(push::read(&root)?),
        _ if !matches!(asked.target, Target::Calendar { .. }) => {
            return Err(Error::not_allowed(&asked.target, "only a calendar can be added to or shared"));
        }
        Ok(root) if root.is(share::CS, "share") => Wanted::Share(share::read(&root)?),
        Ok(_) => {
            let what =
                "the body of this POST must be CS:share or push-register, or its Content-Type one of calendar data";
            return Err(Error::bad(what));
        }
        Err(why) => return Err(Error::bad(why)),
    };
    match wanted {
        Wanted::Push(wanted) => push::register(asked, wanted).await,
        Wanted::Share(wishes) => share::answer(asked, wishes).await,
    }
}

/// Somebody else may take a name between the choice and the write; not so often.
const TRIES: usize = 5;

/// Calendar data.
pub async fn answer(asked: Asked<'_>) -> Result<Answer, Error> {
    let Target::Calendar { owner, slug } = asked.target.clone() else {
        return Err(Error::not_allowed(&asked.target, "only a calendar can be added to"));
    };
    let prefer = Prefer::read(asked.headers);
    let condition = request::condition(asked.headers, &asked.base, &asked.target)?;
    if condition != Condition::default() {
        let why = "what is added is new: it has no version that a condition could be about";
        return Err(Error::new(StatusCode::PRECONDITION_FAILED, why));
    }
    let read = put::read(&asked, prefer)?;
    let new = Condition { none_match: Some(Vec::new()), ..Condition::default() };
    let mut tries = 0;
    loop {
        let name = free_name(&asked, &owner, &slug, read.object.uid()).await?;
        let place = Place { owner: owner.clone(), slug: slug.clone(), name };
        tries += 1;
        let done = match write::put(asked.app, asked.actor, &place, read.object.clone(), &new).await {
            Ok(done) => done,
            Err(Refusal::Condition { current: Some(_) }) if tries < TRIES => continue,
            Err(Refusal::UidTaken { name }) => return Err(taken(&asked, &owner, &slug, &name)),
            Err(refusal) => return Err(asked.refused(refusal)),
        };
        let mut answer = put::written(&asked, &place, done, read.altered, prefer, Prefer::WRITING).await?;
        let href = path::resource(&asked.base, &owner, &slug, place.name.as_str());
        response::header(&mut answer, LOCATION, &href);
        return Ok(answer);
    }
}

/// `UID.ics` where it is free: some clients look there first.
async fn free_name(asked: &Asked<'_>, owner: &str, slug: &str, uid: &str) -> Result<Name, Error> {
    let (actor, at, uid) = (asked.actor.clone(), (owner.to_owned(), slug.to_owned()), uid.to_owned());
    let found = asked.app.store.read(move |tx| -> Result<Result<Name, Name>, Denied> {
        let calendar = calendars::open(tx, &actor, &at.0, &at.1, Need::Read)?;
        if let Some(there) = resources::by_uid(tx, &calendar, &uid)? {
            return Ok(Err(there.name));
        }
        Ok(Ok(resources::free_name(tx, &calendar, Some(unified::plain_name(&uid)), &uid)?))
    });
    found.await.map_err(|e| asked.denied(e))?.map_err(|name| taken(asked, owner, slug, &name))
}

fn taken(asked: &Asked<'_>, owner: &str, slug: &str, name: &Name) -> Error {
    let there = path::resource(&asked.base, owner, slug, name.as_str());
    let message = "this calendar has a resource with the same UID";
    Error::refused(response::condition_with_href("C:no-uid-conflict", &there), message)
}
