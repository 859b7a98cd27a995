//! REPORT: calendar-multiget, calendar-query and free-busy-query (RFC 4791 7), sync-collection (RFC 6578).
//!
//! Each is answered from one snapshot, so what is listed and the token beside it can not disagree. `Depth` is not looked
//! at: for multiget and sync-collection the RFCs say so, and for a query clients send all of 0, 1 and nothing and mean
//! what is in the calendar.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use jiff::tz::TimeZone;

use super::path::{self, Target};
use super::propfind::{Shelf, scene, with_preference};
use super::props::{CONTENT_TYPE as CALENDAR_TYPE, Node, Row, Scene};
use super::request::{self, Fetch, Prefer, Report, Zone};
use super::response::{self, Answer, MAX_ANSWER, bare_response};
use super::sheet::{Data, Sheet};
use super::xml::escape;
use super::{Asked, Error};
use crate::busy;
use crate::ical::filter::{self, CompFilter};
use crate::ical::select::{self, Select};
use crate::ical::{Component, Kind, Object, Window, recur, zone};
use crate::store::Tx;
use crate::store::calendars::{self, Calendar, Need};
use crate::store::resources::{self, Listed, Resource, TokenExpired};

pub async fn answer(asked: Asked<'_>) -> Result<Answer, Error> {
    let report = request::report(asked.body, &asked.limits)?;
    request::depth(asked.headers)?;
    let prefer = Prefer::read(asked.headers);
    let scene = scene(&asked);
    let target = asked.target.clone();
    let store = &asked.app.store;
    let sheet = |want: &Fetch| Sheet::new(want.wanted.clone(), prefer.minimal, true);
    let body = match (report, &asked.target) {
        (Report::Multiget { want, hrefs }, Target::Home { .. } | Target::Calendar { .. } | Target::Resource { .. }) => {
            let sheet = sheet(&want);
            store.read(move |tx| multiget(tx, &scene, &target, sheet, &want.select, &hrefs)).await?
        }
        (Report::Query { want, filter, zone }, Target::Calendar { .. } | Target::Resource { .. }) => {
            let sheet = sheet(&want);
            store.read(move |tx| query(tx, &scene, &target, sheet, &want.select, &filter, zone.as_ref())).await?
        }
        (Report::Sync { want, token, limit }, Target::Calendar { .. }) => {
            let sheet = sheet(&want);
            store.read(move |tx| sync(tx, &scene, &target, sheet, &want.select, &token, limit)).await?
        }
        (Report::FreeBusy { window }, Target::Calendar { .. }) => return free_busy(asked, window).await,
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

/// A calendar whose rows are given.
struct Place<'a> {
    calendar: &'a Calendar,
    /// With its final slash.
    href: String,
    shelf: Shelf,
    zone: TimeZone,
}

impl<'a> Place<'a> {
    fn of(tx: &mut Tx<'_>, calendar: &'a Calendar, page: &Page<'_>) -> Result<Place<'a>, Error> {
        let target = Target::Calendar { owner: calendar.owner.clone(), slug: calendar.slug.clone() };
        Ok(Place {
            calendar,
            href: target.href(&page.scene.base),
            shelf: Shelf::of(tx, page.scene, &page.sheet, calendar)?,
            zone: zone::named(&calendar.zone).unwrap_or(TimeZone::UTC),
        })
    }
}

/// Writes rows, under the limits of an answer.
struct Page<'a> {
    scene: &'a Scene,
    sheet: Sheet,
    select: &'a Select,
    selected: usize,
    out: String,
}

impl<'a> Page<'a> {
    fn new(scene: &'a Scene, sheet: Sheet, select: &'a Select) -> Page<'a> {
        let mut out = String::new();
        response::open_root("D:multistatus", &mut out);
        Page { scene, sheet, select, selected: 0, out }
    }

    fn wants_data(&self) -> bool {
        self.sheet.wants_data()
    }

    /// A row without calendar data.
    fn listed(&mut self, place: &Place<'_>, row: &Listed) -> Result<(), Error> {
        self.row(place, row.into(), &Data::None)
    }

    /// A row with its calendar data, if that is wanted. `object`: the parsed body, where the caller has it.
    fn whole(&mut self, place: &Place<'_>, resource: &Resource, object: Option<&Object>) -> Result<(), Error> {
        let row = Row::from(resource);
        if !self.wants_data() {
            return self.row(place, row, &Data::None);
        }
        if *self.select == Select::default() {
            return self.row(place, row, &Data::Text(&resource.body));
        }
        let parsed;
        let object = match object {
            Some(object) => object,
            None => match Object::parse(&resource.body) {
                Ok(object) => {
                    parsed = object;
                    &parsed
                }
                // What we hold and can not read is given as it is: hiding it would be worse.
                Err(_) => return self.row(place, row, &Data::Text(&resource.body)),
            },
        };
        match select::select(object, self.select, &place.zone, self.scene.limits.expansion()) {
            Ok(text) => {
                self.selected += text.len();
                if self.selected > self.scene.limits.expanded {
                    return Err(Error::too_large());
                }
                self.row(place, row, &Data::Text(&text))
            }
            Err(recur::Error::TooMany) => {
                self.row(place, row, &Data::Failed(StatusCode::INSUFFICIENT_STORAGE, "<C:max-instances/>"))
            }
            Err(recur::Error::Unreadable(_)) => {
                self.row(place, row, &Data::Failed(StatusCode::FORBIDDEN, "<C:supported-calendar-data/>"))
            }
        }
    }

    fn row(&mut self, place: &Place<'_>, row: Row<'_>, data: &Data<'_>) -> Result<(), Error> {
        let name = row.name.as_str();
        let node = Node::Resource(place.calendar, row, place.shelf.access(name));
        self.sheet.respond(self.scene, (&place.href, name), &node, place.shelf.dead(name), data, &mut self.out);
        if self.out.len() > MAX_ANSWER { Err(Error::too_large()) } else { Ok(()) }
    }

    fn finish(mut self) -> String {
        self.out.push_str("</D:multistatus>\n");
        self.out
    }
}

/// RFC 4791 7.9: every href that was asked gets a response, in the order asked; 404 when nothing is there, and also
/// when it is nothing of the collection that was asked (which looks the same to whoever may not see it).
fn multiget(
    tx: &mut Tx<'_>,
    scene: &Scene,
    target: &Target,
    sheet: Sheet,
    select: &Select,
    hrefs: &[String],
) -> Result<String, Error> {
    let calendars = match target {
        Target::Home { owner } => calendars::home(tx, &scene.actor, owner)?,
        Target::Calendar { owner, slug } | Target::Resource { owner, slug, .. } => {
            vec![calendars::open(tx, &scene.actor, owner, slug, Need::Read)?]
        }
        Target::Root { .. } | Target::Principals | Target::Principal { .. } => return Err(Error::not_found()),
    };
    let mut page = Page::new(scene, sheet, select);
    let mut places: Vec<Place<'_>> = Vec::with_capacity(calendars.len());
    for calendar in &calendars {
        places.push(Place::of(tx, calendar, &page)?);
    }
    for href in hrefs {
        let read = Target::read_href(href, &scene.base);
        let mut found = None;
        if let Some(Target::Resource { owner, slug, name }) = &read
            && let Some(place) = places.iter().find(|p| p.calendar.slug == *slug && p.calendar.owner == *owner)
        {
            found = resources::get(tx, place.calendar, name)?.map(|resource| (place, resource));
        }
        match found {
            Some((place, resource)) => page.whole(place, &resource, None)?,
            None => {
                // As we print hrefs where we can, so that the client knows it again; else as it came.
                let mut shown = String::new();
                match read {
                    Some(target @ Target::Resource { .. }) => shown = target.href(&scene.base),
                    _ => escape(href, &mut shown),
                }
                bare_response(&shown, StatusCode::NOT_FOUND, "", &mut page.out);
            }
        }
    }
    Ok(page.finish())
}

/// RFC 4791 7.8. The time index answers alone what it can; else the span selects and `ical::filter` decides.
fn query(
    tx: &mut Tx<'_>,
    scene: &Scene,
    target: &Target,
    sheet: Sheet,
    select: &Select,
    filter: &CompFilter,
    zone: Option<&Zone>,
) -> Result<String, Error> {
    let (Target::Calendar { owner, slug } | Target::Resource { owner, slug, .. }) = target else {
        return Err(Error::not_found());
    };
    let calendar = calendars::open(tx, &scene.actor, owner, slug, Need::Read)?;
    let mut page = Page::new(scene, sheet, select);
    let mut place = Place::of(tx, &calendar, &page)?;
    let own_zone = match zone.map(read_zone).transpose()?.flatten() {
        Some(zone) => {
            place.zone = zone;
            false
        }
        None => true,
    };
    if let Target::Resource { name, .. } = target {
        let resource = resources::get(tx, &calendar, name)?.ok_or_else(Error::not_found)?;
        decide(&mut page, &place, filter, &[resource])?;
        return Ok(page.finish());
    }
    if let Some(kind) = one_kind(filter) {
        if page.wants_data() {
            for resource in resources::all(tx, &calendar)?.iter().filter(|r| kind.is_none_or(|k| r.kind == k)) {
                page.whole(&place, resource, None)?;
            }
        } else {
            for row in resources::list(tx, &calendar)?.iter().filter(|r| kind.is_none_or(|k| r.kind == k)) {
                page.listed(&place, row)?;
            }
        }
        return Ok(page.finish());
    }
    if let Some(window) = filter.only_event_window().filter(|_| own_zone) {
        if page.wants_data() {
            if let Some(rows) = resources::whole_in_window(tx, &calendar, window)? {
                for resource in &rows {
                    page.whole(&place, resource, None)?;
                }
                return Ok(page.finish());
            }
        } else if let Some(rows) = resources::listed_in_window(tx, &calendar, window)? {
            for row in &rows {
                page.listed(&place, row)?;
            }
            return Ok(page.finish());
        }
    }
    let candidates = match filter.window() {
        Some(window) => resources::in_window(tx, &calendar, window)?,
        None => resources::all(tx, &calendar)?,
    };
    decide(&mut page, &place, filter, &candidates)?;
    Ok(page.finish())
}

/// Writes those of `candidates` that match.
fn decide(page: &mut Page<'_>, place: &Place<'_>, filter: &CompFilter, candidates: &[Resource]) -> Result<(), Error> {
    let kind = filter.kind();
    for resource in candidates.iter().filter(|r| kind.is_none_or(|k| r.kind == k)) {
        match Object::parse(&resource.body) {
            Ok(object) if filter::matches(filter, &object, &place.zone) => {
                page.whole(place, resource, Some(&object))?;
            }
            Ok(_) => {}
            // What we hold and can not read may be what is looked for.
            Err(_) => page.whole(place, resource, None)?,
        }
    }
    Ok(())
}

/// `Some` when the filter asks for nothing but a kind of component (`Some(None)`: for all there is).
fn one_kind(filter: &CompFilter) -> Option<Option<Kind>> {
    let bare = |f: &CompFilter| !f.is_not_defined && f.time_range.is_none() && f.props.is_empty();
    match filter.comps.as_slice() {
        [] if bare(filter) => Some(None),
        [one] if bare(filter) && bare(one) && one.comps.is_empty() => {
            [Kind::Event, Kind::Todo, Kind::Journal].into_iter().find(|k| k.name() == one.name).map(Some)
        }
        _ => None,
    }
}

/// The zone that a query brings along. `Ok(None)`: a VTIMEZONE that names no zone we know; the calendar's own holds.
fn read_zone(sent: &Zone) -> Result<Option<TimeZone>, Error> {
    match sent {
        Zone::Id(id) => {
            let message = || format!("there is no time zone of the name {id:?}");
            zone::named(id).map(Some).ok_or_else(|| Error::refused("<C:valid-timezone/>", message()))
        }
        Zone::Text(text) => {
            let message = |e| format!("the timezone of the query can not be read: {e}");
            Component::parse(text.trim_start()).map_err(|e| Error::refused("<C:valid-calendar-data/>", message(e)))?;
            Ok(zone::of_calendar_text(text))
        }
    }
}

/// RFC 6578. A token that we did not give, or no longer can honour, is refused and never guessed at.
fn sync(
    tx: &mut Tx<'_>,
    scene: &Scene,
    target: &Target,
    sheet: Sheet,
    select: &Select,
    token: &str,
    limit: Option<u32>,
) -> Result<String, Error> {
    let Target::Calendar { owner, slug } = target else { return Err(Error::not_found()) };
    let calendar = calendars::open(tx, &scene.actor, owner, slug, Need::Read)?;
    let invalid = || {
        let message = "this sync token can not be gone on from: begin again with an empty one";
        Error::refused("<D:valid-sync-token/>", message)
    };
    let seq = match token {
        "" => None,
        token => Some(calendar.read_token(token).ok_or_else(invalid)?),
    };
    let since = resources::since(tx, &calendar, seq, limit.unwrap_or(u32::MAX)).map_err(|e| match e {
        TokenExpired::Expired => invalid(),
        TokenExpired::Store(e) => e.into(),
    })?;
    let mut page = Page::new(scene, sheet, select);
    let place = Place::of(tx, &calendar, &page)?;
    for change in &since.changes {
        match &change.live {
            Some(row) if !page.wants_data() => page.listed(&place, row)?,
            Some(row) => {
                if let Some(resource) = resources::get(tx, &calendar, &row.name)? {
                    page.whole(&place, &resource, None)?;
                }
            }
            None => {
                let mut href = place.href.clone();
                path::encode(change.name.as_str(), &mut href);
                bare_response(&href, StatusCode::NOT_FOUND, "", &mut page.out);
            }
        }
    }
    if since.more {
        let condition = "<D:number-of-matches-within-limits/>";
        bare_response(&place.href, StatusCode::INSUFFICIENT_STORAGE, condition, &mut page.out);
    }
    let seen = Calendar { seq: since.seq, ..calendar.clone() };
    page.out.push_str("<D:sync-token>");
    escape(&seen.token(), &mut page.out);
    page.out.push_str("</D:sync-token>\n");
    Ok(page.finish())
}

/// RFC 4791 7.10: one VFREEBUSY, and no multistatus.
async fn free_busy(asked: Asked<'_>, window: Window) -> Result<Answer, Error> {
    let Target::Calendar { owner, slug } = asked.target.clone() else { return Err(Error::not_found()) };
    let rules = asked.app.config.load().sync.clone();
    let (actor, now) = (asked.actor.clone(), asked.app.clock.now());
    let again = u32::try_from(rules.interval.as_secs()).unwrap_or(u32::MAX).max(1);
    let read = asked.app.store.read(move |tx| {
        let calendar = calendars::open(tx, &actor, &owner, &slug, Need::Read)?;
        let answer = busy::gather(tx, &calendar, window, &rules, now).map_err(|e| match e {
            busy::Error::Stale(member) => Error::later(
                again,
                format!("the calendar {member:?} was not read for too long, so it is not known what is free"),
            ),
            busy::Error::Store(e) => e.into(),
        })?;
        let uid = format!("freebusy-{owner}-{slug}-{}-{}", window.start.0, window.end.0);
        Ok::<String, Error>(busy::to_ical(&answer, window, None, now, &uid, None))
    });
    let mut answer = Response::new(Bytes::from(read.await?));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(CALENDAR_TYPE));
    response::header(&mut answer, CACHE_CONTROL, "private, no-cache");
    Ok(answer)
}
