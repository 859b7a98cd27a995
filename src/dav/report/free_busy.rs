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
use crate::store::calendars::{self, Need, Source};

pub async fn answer(asked: Asked<'_>, window: Window) -> Result<Answer, Error> {
    let target = asked.target.clone();
    let rules = asked.app.config.load().sync.clone();
    let (actor, now) = (asked.actor.clone(), asked.app.clock.now());
    let again = u32::try_from(rules.interval.as_secs()).unwrap_or(u32::MAX).max(1);
    let read = asked.app.store.read(move |tx| {
        let (calendars, of) = match &target {
            // Of a home that is the time of its owner: all calendars that are theirs, and not made of others.
            Target::Home { owner } => {
                let mut calendars = calendars::home(tx, &actor, owner)?;
                calendars.retain(|c| c.share.is_none() && !matches!(c.source, Source::Unified { .. }));
                (calendars, owner.clone())
            }
            Target::Calendar { owner, slug } => {
                (vec![calendars::open(tx, &actor, owner, slug, Need::Read)?], format!("{owner}-{slug}"))
            }
            _ => return Err(Error::not_found()),
        };
        let mut answer = busy::Answer { periods: Vec::new(), unknown: Vec::new() };
        for calendar in &calendars {
            let one = busy::gather(tx, calendar, window, &rules, now).map_err(|e| match e {
                busy::Error::Stale(member) => Error::later(
                    again,
                    format!("the calendar {member:?} was not read for too long, so it is not known what is free"),
                ),
                busy::Error::Store(e) => e.into(),
            })?;
            answer.periods.extend(one.periods);
            answer.unknown.extend(one.unknown);
        }
        answer.periods = busy::merge(answer.periods, window);
        let uid = format!("freebusy-{of}-{}-{}", window.start.0, window.end.0);
        Ok::<String, Error>(busy::to_ical(&answer, window, None, now, &uid, None))
    });
    let mut answer = Response::new(Body::from(read.await?));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(CALENDAR_TYPE));
    response::header(&mut answer, CACHE_CONTROL, "private, no-cache");
    Ok(answer)
}
