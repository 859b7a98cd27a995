//! REPORT: calendar-multiget, calendar-query and free-busy-query (RFC 4791 7), sync-collection (RFC 6578); one file each.
//!
//! `Depth` is not looked at: for multiget and sync-collection the RFCs say so, and for a query clients send all of 0, 1
//! and nothing and mean what is in the calendar. At a home, 0 says that nothing in it is meant.

mod free_busy;
mod home;
mod multiget;
mod query;
mod sync;

use http::header::VARY;

use super::page::Writer;
use super::path::Target;
use super::propfind::{scene, with_preference};
use super::request::{self, Depth, Fetch, Prefer, Report};
use super::response::{self, Answer};
use super::sheet::Sheet;
use super::{Asked, Error, principals, schedule};
use crate::ical::select::Select;

pub async fn answer(asked: Asked<'_>) -> Result<Answer, Error> {
    let report = request::report(asked.body, &asked.limits)?;
    let depth = request::depth(asked.headers)?;
    let timezones = request::timezones(asked.headers)?;
    let prefer = Prefer::read(asked.headers);
    let scene = scene(&asked);
    let writer = |want: Fetch| Writer {
        scene,
        sheet: Sheet::new(want.wanted, prefer.minimal, true),
        select: Select { timezones, ..want.select },
        json: want.json,
        selected: 0,
    };
    let body = match (report, &asked.target) {
        (report @ (Report::Multiget { .. } | Report::Query { .. } | Report::Sync { .. }), Target::Inbox { owner }) => {
            schedule::report(&asked, owner, report).await?.into()
        }
        (Report::Multiget { want, hrefs }, Target::Home { .. } | Target::Calendar { .. } | Target::Resource { .. }) => {
            multiget::body(&asked, writer(want), hrefs).await?
        }
        (
            Report::Query { want, filter, zone },
            Target::Home { .. } | Target::Calendar { .. } | Target::Resource { .. },
        ) => {
            // RFC 4791 7.8: at a home, who says 0 asks about the home itself, which has no calendar data.
            let nothing = depth == Some(Depth::Zero) && matches!(asked.target, Target::Home { .. });
            query::body(&asked, writer(want), filter, zone, nothing).await?
        }
        (Report::Sync { want, token, limit, .. }, Target::Calendar { .. }) => {
            sync::body(&asked, writer(want), token, limit).await?
        }
        (Report::Sync { want, token, limit, deep }, Target::Home { .. }) => {
            home::body(&asked, writer(want), token, limit, deep).await?
        }
        (Report::FreeBusy { window }, Target::Home { .. } | Target::Calendar { .. }) => {
            return free_busy::answer(asked, window).await;
        }
        (Report::Other(name), _) if principals::has(&name) => return principals::answer(asked).await,
        (other, _) => return Err(unsupported(&other)),
    };
    let mut answer = with_preference(response::multistatus(body), prefer);
    if timezones.is_some() {
        response::header(&mut answer, VARY, "Brief, Prefer, CalDAV-Timezones");
    }
    Ok(answer)
}

/// RFC 3253 3.6.
fn unsupported(report: &Report) -> Error {
    let name = match report {
        Report::Multiget { .. } => "calendar-multiget",
        Report::Query { .. } => "calendar-query",
        Report::Sync { .. } => "sync-collection",
        Report::FreeBusy { .. } => "free-busy-query",
        Report::Other(name) => &name.name,
    };
    let name: String = name.chars().take(80).collect();
    let message = format!("the report {name} is not answered here; see supported-report-set");
    Error::refused("<D:supported-report/>", message)
}
