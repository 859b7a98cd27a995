//! calendar-query (RFC 4791 7.8). The time index answers alone what it can; else it says what to look at, and
//! `ical::filter` decides.

use std::collections::VecDeque;

use http::StatusCode;
use jiff::tz::TimeZone;

use crate::body::Body;
use crate::dav::page::{self, Choice, Pace, Page, Place, Writer};
use crate::dav::path::Target;
use crate::dav::request::Zone;
use crate::dav::{Asked, Error, response};
use crate::ical::filter::{self, CompFilter};
use crate::ical::{Component, Kind, Object, zone};
use crate::ids::Seq;
use crate::store::Tx;
use crate::store::calendars::{self, Need};
use crate::store::walk::{Found, Seen, Walk};

/// `nothing`: nothing that has calendar data is asked about.
pub async fn body(
    asked: &Asked<'_>,
    mut writer: Writer,
    filter: CompFilter,
    zone: Option<Zone>,
    nothing: bool,
) -> Result<Body, Error> {
    let target = asked.target.clone();
    let zone = zone.as_ref().map(read_zone).transpose()?.flatten();
    // What is still to be looked through; `None` before the first page.
    let mut rest: Option<VecDeque<Target>> = None;
    let mut left: Option<Search> = None;
    let mut pace = first_pace(&writer, &filter);
    page::body(asked.app, pace, move |tx, out| {
        let rest = match &mut rest {
            Some(rest) => rest,
            None => {
                let mut targets = VecDeque::from([target.clone()]);
                if let Target::Home { owner } = &target {
                    let calendars = calendars::home(tx, &writer.scene.actor, owner)?.into_iter();
                    let each =
                        calendars.filter(|_| !nothing).map(|c| Target::Calendar { owner: c.owner, slug: c.slug });
                    targets = each.collect();
                }
                response::open_root("D:multistatus", out);
                rest.insert(targets)
            }
        };
        if let Some(search) = &mut left {
            search.again(tx, &writer)?;
        } else if let Some(next) = rest.front() {
            match Search::of(tx, &writer, next, &filter, zone.as_ref(), pace) {
                Ok(Some(search)) => left = Some(search),
                // Not here.
                Ok(None) => {
                    pace = Pace::Slow;
                    return Ok(Page::More(pace));
                }
                // One of a home that went away meanwhile is not in it any more.
                Err(e) if e.status == StatusCode::NOT_FOUND && matches!(target, Target::Home { .. }) => {}
                Err(e) => return Err(e),
            }
            rest.pop_front();
        }
        let mut next = writer.pace();
        if let Some(search) = &mut left {
            next = search.pace(&writer);
            if next == Pace::Slow && pace == Pace::Quick {
                pace = next;
                return Ok(Page::More(pace));
            }
            if search.page(tx, &mut writer, &filter, out)? {
                left = None;
            }
        }
        if left.is_none() && rest.is_empty() {
            response::close_root("D:multistatus", out);
            return Ok(Page::Last);
        }
        let page = Page::more(next, out);
        if let Page::More(next) = page {
            pace = next;
        }
        Ok(page)
    })
    .await
}

/// Quick: a listing, and a window that the time index may decide, unless it turns out that there is too much in it.
fn first_pace(writer: &Writer, filter: &CompFilter) -> Pace {
    let quick = one_kind(filter).is_some() || filter.only_event_window().is_some();
    if quick { writer.pace() } else { Pace::Slow }
}

/// Entries of the time index that are looked through where others have to wait for it.
const LIGHT: u32 = 1_000;

/// A query on its way through one calendar.
struct Search {
    place: Place,
    /// The state of the calendar in which `how` was right.
    as_of: Seq,
    how: How,
    walk: Walk,
}

/// What tells whether a row is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// All that the walk comes to are, or those of that kind.
    Walk(Option<Kind>),
    /// The filter, which reads the object.
    Filter,
}

impl Search {
    /// `None`: it is too much to look through at that pace.
    fn of(
        tx: &mut Tx<'_>,
        writer: &Writer,
        target: &Target,
        filter: &CompFilter,
        zone: Option<&TimeZone>,
        pace: Pace,
    ) -> Result<Option<Search>, Error> {
        let (Target::Calendar { owner, slug } | Target::Resource { owner, slug, .. }) = target else {
            return Err(Error::not_found());
        };
        let calendar = calendars::open(tx, &writer.scene.actor, owner, slug, Need::Read)?;
        let mut place = Place::of(tx, &writer.scene, &writer.sheet, calendar)?;
        if let Some(zone) = zone {
            place.zone = zone.clone();
        }
        let (how, walk) = if let Target::Resource { name, .. } = target {
            let walk = Walk::only(tx, &place.calendar, name)?.ok_or_else(Error::not_found)?;
            (How::Filter, walk)
        } else if let Some(kind) = one_kind(filter) {
            (How::Walk(kind), Walk::all())
        } else if let Some(window) = filter.window() {
            if pace == Pace::Quick && !Walk::is_light(tx, &place.calendar, window, LIGHT)? {
                return Ok(None);
            }
            let events = zone.is_none() && filter.only_event_window() == Some(window);
            let Found { walk, decided } = Walk::in_window(tx, &place.calendar, window, events)?;
            (if decided { How::Walk(Some(Kind::Event)) } else { How::Filter }, walk)
        } else {
            (How::Filter, Walk::all())
        };
        Ok(Some(Search { as_of: place.calendar.seq, place, how, walk }))
    }

    /// Goes on in a later page.
    fn again(&mut self, tx: &mut Tx<'_>, writer: &Writer) -> Result<(), Error> {
        self.place = self.place.again(tx, &writer.scene, &writer.sheet)?;
        // Rows that changed since the index was asked may have moved out of the window.
        if self.place.calendar.seq != self.as_of && matches!(self.walk, Walk::Rows { .. }) {
            self.how = How::Filter;
        }
        Ok(())
    }

    /// How long the next page takes.
    fn pace(&self, writer: &Writer) -> Pace {
        if self.how == How::Filter { Pace::Slow } else { writer.pace() }
    }

    /// Writes the next page; true: it was the last one of this calendar.
    fn page(
        &mut self,
        tx: &mut Tx<'_>,
        writer: &mut Writer,
        filter: &CompFilter,
        out: &mut String,
    ) -> Result<bool, Error> {
        let kind = filter.kind();
        let zone = self.place.zone.clone();
        let decide = |seen: &Seen<'_>| {
            if kind.is_some_and(|kind| kind != seen.kind) {
                return None;
            }
            match Object::parse(seen.body) {
                Ok(object) => filter::matches(filter, &object, &zone).then_some(Some(object)),
                // What we hold and can not read may be what is looked for.
                Err(_) => Some(None),
            }
        };
        let choice = match self.how {
            How::Walk(None) => Choice::All,
            How::Walk(Some(kind)) => Choice::Kind(kind),
            How::Filter => Choice::Decide(&decide),
        };
        let (_, over) = writer.rows(tx, &self.place, &mut self.walk, &choice, None, out)?;
        Ok(over)
    }
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

/// The zone that a query brings along: by its name, or by rules of its own.
fn read_zone(sent: &Zone) -> Result<Option<TimeZone>, Error> {
    match sent {
        Zone::Id(id) => {
            let message = || format!("there is no time zone of the name {id:?}");
            zone::named(id).map(Some).ok_or_else(|| Error::refused("<C:valid-timezone/>", message()))
        }
        Zone::Text(text) => {
            let message = |e| format!("the timezone of the query can not be read: {e}");
            Component::parse(text.trim_start()).map_err(|e| Error::refused("<C:valid-calendar-data/>", message(e)))?;
            let message = "the rules of the query's timezone can not be followed";
            zone::of_calendar_text(text).map(Some).ok_or_else(|| Error::refused("<C:valid-calendar-data/>", message))
        }
    }
}
