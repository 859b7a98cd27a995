//! REPORT: calendar-multiget, calendar-query and free-busy-query (RFC 4791 7), sync-collection (RFC 6578); one file each.
//!
//! `Depth` is not looked at: for multiget and sync-collection the RFCs say so, and for a query clients send all of 0, 1
//! and nothing and mean what is in the calendar.

mod free_busy;
mod multiget;
mod query;
mod sync;

use super::page::Writer;
use super::path::Target;
use super::propfind::{scene, with_preference};
use super::request::{self, Fetch, Prefer, Report};
use super::response::{self, Answer};
use super::sheet::Sheet;
use super::{Asked, Error, principals, schedule};

pub async fn answer(asked: Asked<'_>) -> Result<Answer, Error> {
    let report = request::report(asked.body, &asked.limits)?;
    request::depth(asked.headers)?;
    let prefer = Prefer::read(asked.headers);
    let scene = scene(&asked);
    let writer = |want: Fetch| Writer {
        scene,
        sheet: Sheet::new(want.wanted, prefer.minimal, true),
        select: want.select,
        selected: 0,
    };
    let body = match (report, &asked.target) {
        (report @ (Report::Multiget { .. } | Report::Query { .. } | Report::Sync { .. }), Target::Inbox { owner }) => {
            schedule::report(&asked, owner, report).await?.into()
        }
        (Report::Multiget { want, hrefs }, Target::Home { .. } | Target::Calendar { .. } | Target::Resource { .. }) => {
            multiget::body(&asked, writer(want), hrefs).await?
        }
        (Report::Query { want, filter, zone }, Target::Calendar { .. } | Target::Resource { .. }) => {
            query::body(&asked, writer(want), filter, zone).await?
        }
        (Report::Sync { want, token, limit }, Target::Calendar { .. }) => {
            sync::body(&asked, writer(want), token, limit).await?
        }
        (Report::FreeBusy { window }, Target::Calendar { .. }) => return free_busy::answer(asked, window).await,
        (Report::Other(name), _) if principals::has(&name) => return principals::answer(asked).await,
        (other, _) => return Err(unsupported(&other)),
    };
    Ok(with_preference(response::multistatus(body), prefer))
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
