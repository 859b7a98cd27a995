//! DELETE: of a resource by `sync::write`, of a calendar that a client made.

use http::StatusCode;

use super::path::Target;
use super::response::{self, Answer};
use super::{Asked, Error, request};
use crate::store::calendars::{self, Denied, Need};
use crate::store::properties;
use crate::sync::write::{self, Place};

pub async fn answer(asked: Asked<'_>) -> Result<Answer, Error> {
    let refused = |e| asked.refused(e);
    match asked.target.clone() {
        Target::Resource { owner, slug, name } => {
            let condition = request::condition(asked.headers);
            write::delete(asked.app, asked.actor, &Place { owner, slug, name }, &condition).await.map_err(refused)?;
        }
        Target::Calendar { owner, slug } => {
            let (actor, now, key) = (asked.actor.clone(), asked.app.clock.now(), asked.target.key());
            let removed = asked.app.store.write(move |tx| -> Result<(), Denied> {
                let calendar = calendars::open(tx, &actor, &owner, &slug, Need::Write)?;
                calendars::remove(tx, &calendar, now)?;
                Ok(properties::forget_below(tx, &key)?)
            });
            removed.await.map_err(|e| asked.denied(e))?;
        }
        target => return Err(Error::not_allowed(&target, "this can not be removed")),
    }
    Ok(response::empty(StatusCode::NO_CONTENT))
}
