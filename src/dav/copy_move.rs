//! COPY and MOVE (RFC 4918 9.8, 9.9) of a resource from one place to another, in the same calendar or in another one.
//! What may go where, and how nothing is lost on the way, is `sync::relocate`'s to say.

use http::StatusCode;

use super::path::Target;
use super::request::{self, Prefer};
use super::response::Answer;
use super::{Asked, Error, put};
use crate::sync::relocate::{self, How};
use crate::sync::write::{Place, Refusal};

pub async fn answer(asked: Asked<'_>, moves: bool) -> Result<Answer, Error> {
    let (what, done_to) = if moves { ("moved", "MOVE") } else { ("copied", "COPY") };
    let Target::Resource { owner, slug, name } = asked.target.clone() else {
        let why = format!("a whole calendar can not be {what}: {done_to} what is in it, one by one");
        return Err(Error::new(StatusCode::FORBIDDEN, why));
    };
    let from = Place { owner, slug, name };
    let destination = request::destination(asked.headers, &asked.base)?;
    let Target::Resource { owner, slug, name } = destination.clone() else {
        let why = "a calendar resource can be in a calendar only: Destination must be a name in one";
        return Err(Error::refused("<C:calendar-collection-location-ok/>", why));
    };
    let to = Place { owner, slug, name };
    let prefer = Prefer::read(asked.headers);
    let condition = request::condition(asked.headers, &asked.base, &asked.target)?;
    let how = How { moves, overwrite: request::overwrite(asked.headers)?, condition };
    match relocate::relocate(asked.app, asked.actor, &from, &to, &how).await {
        Ok(done) => put::written(&asked, &to, done.without_etag(), false, prefer, Prefer::CARRYING).await,
        // What hinders is where it is.
        Err(refusal @ (Refusal::Denied(_) | Refusal::Missing)) => Err(asked.refused(refusal)),
        Err(refusal) => Err(Error::of_refusal(refusal, &destination, &asked.base)),
    }
}
