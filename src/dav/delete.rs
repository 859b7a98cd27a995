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
            forget(&asked).await;
        }
        Target::Calendar { owner, slug } => {
            let (actor, now, key) = (asked.actor.clone(), asked.app.clock.now(), asked.target.key());
            let removed = asked.app.store.write(move |tx| -> Result<(), Denied> {
                let calendar = calendars::open(tx, &actor, &owner, &slug, Need::Remove)?;
                calendars::remove(tx, &calendar, now)?;
                Ok(properties::forget(tx, &key)?)
            });
            removed.await.map_err(|e| asked.denied(e))?;
        }
        target => return Err(Error::not_allowed(&target, "this can not be removed")),
    }
    Ok(response::empty(StatusCode::NO_CONTENT))
}

/// Drops the dead properties of a resource that is gone. Nearly always there are none, which costs a look and no write;
/// what is left behind when this fails would be seen again only on a new resource of the same name.
async fn forget(asked: &Asked<'_>) {
    let (user, key) = (asked.actor.user, asked.target.key());
    let look = key.clone();
    let any = asked.app.store.read(move |tx| properties::list(tx, user, &look)).await;
    if any.is_ok_and(|list| !list.is_empty())
        && let Err(e) = asked.app.store.write(move |tx| properties::forget(tx, &key)).await
    {
        tracing::warn!(reason = %e, "the properties of a removed resource were not dropped");
    }
}
