//! DELETE: of a resource by `sync::write`, of a calendar that a client made.

use http::StatusCode;

use super::path::Target;
use super::response::{self, Answer};
use super::{Asked, Error, request};
use crate::store::calendars::{self, Need};
use crate::store::properties;
use crate::sync::write::{self, Place, Refusal};

pub async fn answer(asked: Asked<'_>) -> Result<Answer, Error> {
    let refused = |e| asked.refused(e);
    match asked.target.clone() {
        Target::Resource { owner, slug, name } => {
            let condition = request::condition(asked.headers, &asked.base, &asked.target)?;
            write::delete(asked.app, asked.actor, &Place { owner, slug, name }, &condition).await.map_err(refused)?;
        }
        Target::Calendar { owner, slug } => {
            // With all that is in it, whatever Depth says (RFC 4918 9.6.1).
            let condition = request::condition(asked.headers, &asked.base, &asked.target)?;
            let (actor, now, key) = (asked.actor.clone(), asked.app.clock.now(), asked.target.key());
            let removed = asked.app.store.write(move |tx| -> Result<(), Refusal> {
                let calendar = calendars::open(tx, &actor, &owner, &slug, Need::Remove)?;
                if !condition.holds_for_collection(tx, &actor)? {
                    return Err(Refusal::Condition { current: None });
                }
                calendars::remove(tx, &calendar, now)?;
                Ok(properties::forget_below(tx, &key)?)
            });
            removed.await.map_err(refused)?;
            // The rows of what is large are deleted by a duty.
            asked.app.wake.notify_one();
        }
        target => return Err(Error::not_allowed(&target, "this can not be removed")),
    }
    Ok(response::empty(StatusCode::NO_CONTENT))
}
