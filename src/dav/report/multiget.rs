//! calendar-multiget (RFC 4791 7.9).

use std::collections::HashSet;

use http::StatusCode;

use crate::body::Body;
use crate::dav::page::{self, FULL, Page, Place, Writer};
use crate::dav::path::Target;
use crate::dav::response::{self, bare_response};
use crate::dav::xml::escape;
use crate::dav::{Asked, Error};
use crate::store::Tx;
use crate::store::calendars::{self, Need};

/// Every href that was asked gets a response, in the order asked; 404 when nothing is there, and also when it is nothing
/// of the collection that was asked (which looks the same to whoever may not see it).
///
/// What is asked for more than once, in whatever spelling, is answered once: a multistatus has one response for an href
/// (RFC 4918 14.24), and a large object a thousand times would be much to give for little.
pub async fn body(asked: &Asked<'_>, mut writer: Writer, hrefs: Vec<String>) -> Result<Body, Error> {
    let target = asked.target.clone();
    let mut next = 0;
    let mut told = HashSet::new();
    page::body(asked.app, writer.pace(), move |tx, out| {
        let places = places(tx, &writer, &target)?;
        if next == 0 {
            response::open_root("D:multistatus", out);
        }
        while let Some(href) = hrefs.get(next) {
            if out.len() >= FULL {
                return Ok(Page::More(writer.pace()));
            }
            next += 1;
            let read = Target::read_href(href, &writer.scene.base);
            // As we print hrefs where we can, so that the client knows it again; else as it came.
            let mut shown = String::new();
            match &read {
                Some(target @ Target::Resource { .. }) => shown = target.href(&writer.scene.base),
                _ => escape(href, &mut shown),
            }
            if !told.insert(shown.clone()) {
                continue;
            }
            if let Some(Target::Resource { owner, slug, name }) = &read
                && let Some(place) = places.iter().find(|p| p.calendar.slug == *slug && p.calendar.owner == *owner)
                && writer.one(tx, place, name.as_str(), out)?
            {
                continue;
            }
            bare_response(&shown, StatusCode::NOT_FOUND, "", out);
        }
        response::close_root("D:multistatus", out);
        Ok(Page::Last)
    })
    .await
}

fn places(tx: &mut Tx<'_>, writer: &Writer, target: &Target) -> Result<Vec<Place>, Error> {
    let calendars = match target {
        Target::Home { owner } => calendars::home(tx, &writer.scene.actor, owner)?,
        Target::Calendar { owner, slug } | Target::Resource { owner, slug, .. } => {
            vec![calendars::open(tx, &writer.scene.actor, owner, slug, Need::Read)?]
        }
        _ => return Err(Error::not_found()),
    };
    calendars.into_iter().map(|calendar| Place::of(tx, &writer.scene, &writer.sheet, calendar)).collect()
}
