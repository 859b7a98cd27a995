//! free-busy-query (RFC 4791 7.10): one VFREEBUSY, and no multistatus.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};

use crate::body::Body;
use crate::busy;
use crate::dav::path::Target;
use crate::dav::props::CONTENT_TYPE as CALENDAR_TYPE;
use crate::dav::response::{self, Answer};
use crate::dav::{Asked, Error};
use crate::ical::Window;
use crate::store::calendars::{self, Need};
use crate::store::users;

pub async fn answer(asked: Asked<'_>, window: Window) -> Result<Answer, Error> {
    let target = asked.target.clone();
    let rules = asked.app.config.load().sync.clone();
    let (actor, now) = (asked.actor.clone(), asked.app.clock.now());
    let again = u32::try_from(rules.interval.as_secs()).unwrap_or(u32::MAX).max(1);
    let read = asked.app.store.read(move |tx| {
        let (gathered, of) = match &target {
            // Of a home that is the time of its owner, as the outbox tells it.
            Target::Home { owner } if *owner == actor.name => {
                let user = users::by_id(tx, actor.user)?.ok_or_else(Error::not_found)?;
                (busy::gather_of(tx, &user, window, &rules, now), owner.clone())
            }
            Target::Calendar { owner, slug } => {
                let calendar = calendars::open(tx, &actor, owner, slug, Need::Read)?;
                (busy::gather(tx, &calendar, window, &rules, now), format!("{owner}-{slug}"))
            }
            _ => return Err(Error::not_found()),
        };
        let answer = gathered.map_err(|e| match e {
            busy::Error::Stale(member) => Error::later(
                again,
                format!("the calendar {member:?} was not read for too long, so it is not known what is free"),
            ),
            busy::Error::Store(e) => e.into(),
        })?;
        let uid = format!("freebusy-{of}-{}-{}", window.start.0, window.end.0);
        Ok::<String, Error>(busy::to_ical(&answer, window, None, now, &uid, None))
    });
    let mut answer = Response::new(Body::from(read.await?));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(CALENDAR_TYPE));
    response::header(&mut answer, CACHE_CONTROL, "private, no-cache");
    Ok(answer)
}
