//! Instances of an object in a window: the only place that expands.
//!
//! `rule.rs` says which wall times a rule gives. Here they become instants, and DTSTART, RDATE, EXDATE, UNTIL and the
//! overrides are taken together.

use jiff::tz::TimeZone;

use super::rule::{Freq, Rule};
use super::time::{self, DAY, Duration, Frame, When, Written};
use super::zone::{self, InOrder, Zones};
use super::{Component, Instant, Kind, Object, Property, Span, Window, freebusy};

/// How far the wall clock of any zone is from UTC, at most: what makes a span of floating times hold everywhere.
pub const ANY_ZONE: i64 = 14 * 3600;

/// One happening in time of a VEVENT, VTODO or VJOURNAL.
#[derive(Clone, Debug)]
pub struct Instance<'a> {
    /// When it happens, half-open; `start == end` for an event without length.
    pub start: Instant,
    /// The first instant behind it.
    pub end: Instant,
    /// True for DATE values.
    pub all_day: bool,
    /// The instant its rule put it at: equal to `start` unless an override moved it. `None` when it does not recur.
    pub recurrence_id: Option<Instant>,
    /// The master, or the override that stands for it.
    pub component: &'a Component,
}

/// Overrides of one object.
pub const MAX_OVERRIDES: usize = 3_000;
/// Times that the RDATEs and EXDATEs of one component name together.
pub const MAX_DATES: usize = 10_000;
/// RRULEs of one component, and EXRULEs.
pub const MAX_RULES: usize = 10;
/// Seconds over which a MINUTELY or SECONDLY rule is followed at once: 31 days.
pub const FINE_WINDOW: i64 = 31 * DAY;

/// Why an object was not expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// More instances or steps than the limit, or a MINUTELY or SECONDLY rule over more than [`FINE_WINDOW`]: answer 507
    /// or 403, never a part.
    TooMany,
    /// A rule we can not read (or RSCALE): what it means is unknown, and unknown is busy.
    Unreadable(String),
}

/// How much work one call may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Instances given back.
    pub instances: usize,
    /// Steps of the search, those that give nothing included.
    pub steps: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { instances: 10_000, steps: 100_000 }
    }
}

/// The instances that overlap `window` (RFC 4791 9.9: one without length overlaps when its start is inside), by start.
/// Floating and all-day times are taken in `zone`. Overrides that were moved into or out of the window are honoured.
/// DTSTART is an instance even where its rule does not give it, and COUNT counts it (RFC 5545 3.8.5.3; an EXRULE gives it
/// only where it meets it). Rules end with the year 9999, and are followed from the window on: what lies between it and
/// DTSTART is walked only to count, and where a rule gives as many in each period it is counted without a walk.
///
/// Errors: [`Error::TooMany`] before more than `limits` is spent; [`Error::Unreadable`] for a rule, time or zone whose
/// meaning is not known.
pub fn instances<'a>(
    object: &'a Object,
    window: Window,
    zone: &TimeZone,
    limits: Limits,
) -> Result<Vec<Instance<'a>>, Error> {
    let Some(series) = Series::of(object)? else { return Ok(Vec::new()) };
    series.instances(window, zone, limits)
}

/// What an instance does to the time of a person (RFC 5545 3.2.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Busy {
    /// TRANSPARENT, CANCELLED, or declined by the person.
    Free = 0,
    /// STATUS:TENTATIVE, or tentatively accepted by the person.
    Tentative = 1,
    /// Taken.
    Busy = 2,
    /// Out of office (X-MICROSOFT-CDO-BUSYSTATUS:OOF), or not known.
    Unavailable = 3,
}

/// The kind of busy that a component means for the person with these addresses (lower case, without `mailto:`).
/// TRANSP, STATUS, PARTSTAT of the attendee that is the person, X-MICROSOFT-CDO-BUSYSTATUS.
pub fn busy(component: &Component, me: &[String]) -> Busy {
    let is = |name: &str, start: &str| {
        component
            .value(name)
            .is_some_and(|v| v.trim().get(..start.len()).is_some_and(|v| v.eq_ignore_ascii_case(start)))
    };
    // TRANSPARENT-NOCONFLICT is what RFC 2445 drafts called it.
    if is("TRANSP", "TRANSPARENT") || is("STATUS", "CANCELLED") {
        return Busy::Free;
    }
    // Who answered with several addresses is as busy as the busiest answer says.
    // NEEDS-ACTION is busy: the time is asked for, and to hand it out again would be a guess.
    let answer = component
        .all("ATTENDEE")
        .filter(|a| is_me(a, me))
        .map(|a| match a.param("PARTSTAT") {
            Some(p) if p.eq_ignore_ascii_case("DECLINED") => Busy::Free,
            Some(p) if p.eq_ignore_ascii_case("TENTATIVE") => Busy::Tentative,
            _ => Busy::Busy,
        })
        .max();
    if answer == Some(Busy::Free) {
        return Busy::Free;
    }
    if is("X-MICROSOFT-CDO-BUSYSTATUS", "OOF") {
        return Busy::Unavailable;
    }
    if is("X-MICROSOFT-CDO-BUSYSTATUS", "FREE") {
        return Busy::Free;
    }
    let tentative = is("STATUS", "TENTATIVE") || is("X-MICROSOFT-CDO-BUSYSTATUS", "TENTATIVE");
    if tentative || answer == Some(Busy::Tentative) { Busy::Tentative } else { Busy::Busy }
}

pub(super) fn is_me(attendee: &Property, me: &[String]) -> bool {
    is_mine(attendee.value(), attendee.param("EMAIL").as_deref(), me)
}

/// The same of the value and the EMAIL of an ATTENDEE.
pub(super) fn is_mine(value: &str, email: Option<&str>, me: &[String]) -> bool {
    let address = |text: &str| {
        let text = text.trim().to_lowercase();
        me.iter().any(|m| *m == text.strip_prefix("mailto:").unwrap_or(&text))
    };
    address(value) || email.is_some_and(address)
}

/// One row of the time index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// An instant; when `floating`, wall-clock seconds as they would be in UTC, for [`super::zone::resolve`].
    pub start: i64,
    /// The first second behind it, counted as `start` is.
    pub end: i64,
    /// True for floating and all-day times: the reader's zone decides.
    pub floating: bool,
    /// What it does to the time of the owner.
    pub busy: Busy,
}

impl Entry {
    /// Its first instant and the first behind it for a reader in `zone`, equal when it has no length. What a gap of that
    /// zone swallows keeps the length that it has on the wall, as its instance does.
    pub fn ends(&self, zone: &TimeZone) -> (Instant, Instant) {
        match self.floating {
            false => (Instant(self.start), Instant(self.end)),
            true => {
                let start = zone::resolve(self.start, zone);
                (start, wall_end(self.start, self.end - self.start, &Frame::Floating, start, zone))
            }
        }
    }
}

/// The time index of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// What [`Object::span`] says.
    pub span: Span,
    /// The instances of a VEVENT inside the horizon. Empty when `dense`.
    pub entries: Vec<Entry>,
    /// True when there are too many instances to write down, or the rule can not be read, or it is not a VEVENT:
    /// the span selects, and [`instances`] decides when asked.
    pub dense: bool,
}

/// The time index of `object` for `horizon`; at most `limit` entries, else dense, as is what floats and has a length in
/// hours (RFC 5545 3.3.6), which is another one on the wall across a change of offset, and a series that floats in part.
/// Floating entries are those that may lie in the horizon in some zone.
pub fn index(object: &Object, horizon: Window, me: &[String], limit: usize) -> Index {
    let series = Series::of(object);
    let span = span_of(object, &series);
    let dense = Index { span, entries: Vec::new(), dense: true };
    let (Kind::Event, Ok(Some(series))) = (object.kind(), series) else { return dense };
    // Where an exact length ends on the wall depends on the reader's zone, and an entry holds a wall time. Which instance
    // a time in a zone names, of those that float, does too.
    if series.floats_exactly() || series.floats_in_part() {
        return dense;
    }
    let limits = Limits { instances: limit, steps: 20_000 };
    // A wall time read as if in UTC is the wall time itself.
    let Ok(found) = series.expand(horizon, &TimeZone::UTC, ANY_ZONE, limits) else { return dense };
    let mut last: Option<(&Component, Busy)> = None;
    let entries = found.into_iter().map(|Found { instance, floats }| {
        let kind = match last {
            Some((component, kind)) if std::ptr::eq(component, instance.component) => kind,
            _ => busy(instance.component, me),
        };
        last = Some((instance.component, kind));
        Entry { start: instance.start.0, end: instance.end.0, floating: floats, busy: kind }
    });
    Index { span, entries: entries.collect(), dense: false }
}

/// See [`Object::span`].
pub(super) fn span(object: &Object) -> Span {
    span_of(object, &Series::of(object))
}

fn span_of(object: &Object, series: &Result<Option<Series<'_>>, Error>) -> Span {
    const OPEN: Span = Span { first: None, last: None };
    let (first, last) = match (object.kind(), series) {
        (Kind::Other, _) => return freebusy::span(object),
        (_, Err(_) | Ok(None)) => return OPEN,
        // What has no time of its own may be in any window (RFC 4791 9.9), whenever the others are.
        (Kind::Todo, _) if object.components().any(|c| c.said("DTSTART").or(c.said("DUE")).is_none()) => return OPEN,
        (_, Ok(Some(series))) => match series.bounds() {
            Ok(bounds) => bounds,
            Err(_) => return OPEN,
        },
    };
    match object.kind() {
        // The tables of RFC 4791 9.9 let a VTODO match at both of its ends.
        Kind::Todo => Span { first: Some(first.plus(-1)), last: last.map(|l| l.plus(1)) },
        // What has no length is still somewhere.
        _ => Span { first: Some(first), last: last.map(|l| l.max(first.plus(1))) },
    }
}

/// The DATE or DATE-TIME of a property, in the zone its TZID names.
pub(super) fn when(property: &Property, zones: &Zones<'_>) -> Result<When, Error> {
    let Some((wall, written)) = time::parse(property.value()) else {
        return Err(Error::Unreadable(format!("{}:{} is no time", property.name(), property.value())));
    };
    when_of(wall, written, property, zones)
}

/// The same of one value of a property that has several.
pub(super) fn when_of(wall: i64, written: Written, property: &Property, zones: &Zones<'_>) -> Result<When, Error> {
    let date = property.param("VALUE").is_some_and(|v| v.eq_ignore_ascii_case("DATE"));
    let frame = match (written, property.param("TZID").as_deref()) {
        (Written::Date, _) => Frame::Date,
        // VALUE=DATE before a DATE-TIME: the day is what was meant.
        _ if date => return Ok(When { wall: wall.div_euclid(DAY) * DAY, frame: Frame::Date }),
        (Written::Utc, _) => Frame::Zone(TimeZone::UTC),
        (Written::Local, None | Some("")) => Frame::Floating,
        (Written::Local, Some(tzid)) => match zones.get(tzid) {
            Some(zone) => Frame::Zone(zone),
            None => {
                return Err(Error::Unreadable(format!("the time zone {tzid} is not known, and no VTIMEZONE says it")));
            }
        },
    };
    Ok(When { wall, frame })
}

/// How long an instance is: first along the wall clock, then exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Length {
    wall: i64,
    exact: i64,
}

impl Length {
    const NONE: Length = Length { wall: 0, exact: 0 };

    fn of(duration: Duration) -> Length {
        Length { wall: duration.days * DAY, exact: duration.seconds }
    }

    /// From one time to another: dates and floating times along the wall clock; with a zone the exact time between
    /// counts for all instances (RFC 5545 3.8.5.3). An end of another form than the start is meant as the start is: what
    /// floats or is a DATE in the start's zone, and beside a start that floats what the end's own clock shows.
    fn between(start: &When, end: &When) -> Length {
        let wall = end.wall - start.wall;
        match (&start.frame, &end.frame) {
            (Frame::Date | Frame::Floating, _) => Length { wall, exact: 0 },
            (Frame::Zone(zone), of) => {
                let other = matches!(of, Frame::Zone(other) if other != zone);
                let end = if other { end.at(zone) } else { start.frame.at(end.wall, zone) };
                let exact = end.0 - start.at(zone).0;
                // A gap that both lie in, or one of them, leaves no time between them. By the clock it was meant.
                Length { wall: 0, exact: if exact <= 0 && wall > 0 && !other { wall } else { exact } }
            }
        }
    }

    fn is_negative(self) -> bool {
        self.wall + self.exact < 0
    }

    fn end(self, wall: i64, frame: &Frame, start: Instant, reader: &TimeZone) -> Instant {
        let end = if self.wall == 0 { start } else { wall_end(wall, self.wall, frame, start, reader) };
        // Only a VTODO may be due before it starts; it has no length then.
        end.plus(self.exact).max(start)
    }

    fn longest(self) -> i64 {
        (self.wall + self.exact).max(0)
    }
}

/// Where `length` seconds along the clock end that begin at `wall`, which is `start`. What a gap leaves nothing of
/// begins behind the gap and is as long as the clock says.
fn wall_end(wall: i64, length: i64, frame: &Frame, start: Instant, reader: &TimeZone) -> Instant {
    let end = frame.at(wall + length, reader);
    if length > 0 && end <= start { start.plus(length) } else { end }
}

/// A component with its own time.
struct Timed<'a> {
    component: &'a Component,
    start: When,
    length: Length,
}

impl<'a> Timed<'a> {
    /// `None`: it has no time.
    fn of(component: &'a Component, zones: &Zones<'_>) -> Result<Option<Timed<'a>>, Error> {
        let end = match component.name() {
            "VTODO" => "DUE",
            _ => "DTEND",
        };
        let end = component.said(end).map(|p| when(p, zones)).transpose()?;
        let Some(start) = component.said("DTSTART").map(|p| when(p, zones)).transpose()? else {
            return Ok(match end {
                Some(due) if component.name() == "VTODO" => Some(Timed { component, start: due, length: Length::NONE }),
                _ => None,
            });
        };
        let length = match (end, component.said("DURATION").map(Property::value)) {
            // A last day where the day after it belongs (RFC 5545 3.6.1): many write a single day so, and all show the day.
            (Some(end), _) if start.is_date() && end.wall <= start.wall && component.name() != "VTODO" => {
                Length { wall: DAY, exact: 0 }
            }
            (Some(end), _) => Length::between(&start, &end),
            (None, Some(text)) => match Duration::parse(text) {
                // Of a DATE, PT24H is written by programs that mean P1D (RFC 5545 3.6.1 allows days and weeks alone).
                Some(Duration { days, seconds }) if start.is_date() => {
                    Length::of(Duration { days: days + seconds / DAY, seconds: seconds % DAY })
                }
                Some(duration) => Length::of(duration),
                None => return Err(Error::Unreadable(format!("DURATION:{text} is no duration"))),
            },
            (None, None) if start.is_date() && component.name() != "VTODO" => Length { wall: DAY, exact: 0 },
            (None, None) => Length::NONE,
        };
        // What time it takes nobody knows: read as none, it would be free. A VTODO takes none.
        if length.is_negative() && component.name() != "VTODO" {
            return Err(Error::Unreadable(format!("this {} ends before it starts", component.name())));
        }
        Ok(Some(Timed { component, start, length }))
    }
}

struct Override<'a> {
    timed: Timed<'a>,
    id: When,
    /// RANGE=THISANDFUTURE: it stands for all instances from there on.
    future: bool,
}

/// An object's times, read.
pub(super) struct Series<'a> {
    master: Option<Timed<'a>>,
    rules: Vec<Rule>,
    exrules: Vec<Rule>,
    /// With the length of a PERIOD.
    rdates: Vec<(When, Option<Length>)>,
    exdates: Vec<When>,
    overrides: Vec<Override<'a>>,
}

struct Found<'a> {
    instance: Instance<'a>,
    floats: bool,
}

/// One start of the master, before it is known what happens there.
#[derive(Clone, Copy)]
struct Start {
    at: Instant,
    wall: i64,
    /// That of a PERIOD; else it is the master's.
    length: Option<Length>,
}

/// Starts that a property names, by instant or by day.
#[derive(Default)]
struct Named {
    instants: Vec<i64>,
    days: Vec<i64>,
}

impl Named {
    fn of<'w>(times: impl Iterator<Item = &'w When>, master: &Frame, reader: &TimeZone) -> Named {
        let mut named = Named::default();
        for when in times {
            match (&when.frame, master) {
                // A DATE names all instances of its day, and a DATE series has no times to compare.
                (Frame::Date, _) | (_, Frame::Date) => named.days.push(when.wall.div_euclid(DAY)),
                // Without a zone it is meant as the series is.
                (Frame::Floating, _) => named.instants.push(master.at(when.wall, reader).0),
                _ => named.instants.push(when.at(reader).0),
            }
        }
        named.instants.sort_unstable();
        named.days.sort_unstable();
        named
    }

    fn has(&self, start: &Start) -> bool {
        self.instants.binary_search(&start.at.0).is_ok() || self.days.binary_search(&start.wall.div_euclid(DAY)).is_ok()
    }
}

impl<'a> Series<'a> {
    /// `None`: nothing in it has a time.
    pub(super) fn of(object: &'a Object) -> Result<Option<Series<'a>>, Error> {
        let zones = Zones::of(object.calendar());
        let mut series = Series {
            master: None,
            rules: Vec::new(),
            exrules: Vec::new(),
            rdates: Vec::new(),
            exdates: Vec::new(),
            overrides: Vec::new(),
        };
        if let Some(master) = object.master() {
            series.master = Timed::of(master, &zones)?;
            if let Some(timed) = &series.master {
                series.rules = rules(master, "RRULE", timed)?;
                series.exrules = rules(master, "EXRULE", timed)?;
                series.rdates = rdates(master, &zones)?;
                series.exdates = exdates(master, &zones)?;
            }
        }
        for component in object.overrides() {
            let Some(timed) = Timed::of(component, &zones)? else { continue };
            let Some(id) = component.property("RECURRENCE-ID") else { continue };
            let future = id.param("RANGE").is_some_and(|r| r.eq_ignore_ascii_case("THISANDFUTURE"));
            series.overrides.push(Override { timed, id: when(id, &zones)?, future });
        }
        Ok((series.master.is_some() || !series.overrides.is_empty()).then_some(series))
    }

    /// See [`instances`].
    pub(super) fn instances(
        &self,
        window: Window,
        reader: &TimeZone,
        limits: Limits,
    ) -> Result<Vec<Instance<'a>>, Error> {
        Ok(self.expand(window, reader, 0, limits)?.into_iter().map(|found| found.instance).collect())
    }

    /// Whether there may be more instances than components.
    pub(super) fn recurs(&self) -> bool {
        !self.rules.is_empty() || !self.rdates.is_empty() || self.overrides.iter().any(|o| o.future)
    }

    /// What stands in the object by itself, whenever it is: DTSTART and the overrides, without rules and RDATEs.
    pub(super) fn alone(&self, reader: &TimeZone) -> Vec<Instance<'a>> {
        let utc = Frame::Zone(TimeZone::UTC);
        let frame = self.master.as_ref().map_or(&utc, |m| &m.start.frame);
        let gone = Named::of(self.exdates.iter(), frame, reader);
        let taken = Named::of(self.overrides.iter().map(|o| &o.id), frame, reader);
        let instance = |timed: &Timed<'a>, id: Option<Instant>| {
            let start = timed.start.at(reader);
            let end = timed.length.end(timed.start.wall, &timed.start.frame, start, reader);
            let all_day = timed.start.is_date();
            Instance { start, end, all_day, recurrence_id: id, component: timed.component }
        };
        let mut found = Vec::with_capacity(self.overrides.len() + 1);
        if let Some(master) = &self.master {
            let start = Start { at: master.start.at(reader), wall: master.start.wall, length: None };
            let recurs = self.recurs() || !self.overrides.is_empty();
            if !gone.has(&start) && !taken.has(&start) {
                found.push(instance(master, recurs.then_some(start.at)));
            }
        }
        for o in &self.overrides {
            let id = self.start_named(&o.id, reader);
            if self.master.is_none() || !gone.has(&id) {
                found.push(instance(&o.timed, Some(id.at)));
            }
        }
        found
    }

    /// What the master would make of the instance that `component` overrides; without a master no more is known of it
    /// than its start. `None`: it is no override that has a time.
    pub(super) fn original(&self, component: &Component, reader: &TimeZone) -> Option<Instance<'a>> {
        let o = self.overrides.iter().find(|o| std::ptr::eq(o.timed.component, component))?;
        let id = self.start_named(&o.id, reader);
        let timed = self.master.as_ref().unwrap_or(&o.timed);
        let length = self.master.as_ref().map_or(Length::NONE, |master| master.length);
        let end = length.end(id.wall, &timed.start.frame, id.at, reader);
        let all_day = timed.start.is_date();
        Some(Instance { start: id.at, end, all_day, recurrence_id: Some(id.at), component: timed.component })
    }

    /// The overrides that stand for all that follows, and from which instant on.
    pub(super) fn turns(&self, reader: &TimeZone) -> Vec<(Instant, &'a Component)> {
        let future = self.overrides.iter().filter(|o| o.future);
        let mut turns: Vec<_> = future.map(|o| (self.start_named(&o.id, reader).at, o.timed.component)).collect();
        turns.sort_by_key(|(from, _)| *from);
        turns
    }

    /// The same without its overrides.
    pub(super) fn without_overrides(mut self) -> Series<'a> {
        self.overrides.clear();
        self
    }

    /// The instances that overlap `window`, those of floating times when they do so widened by `widen` seconds.
    fn expand(&self, window: Window, reader: &TimeZone, widen: i64, limits: Limits) -> Result<Vec<Found<'a>>, Error> {
        let mut steps = limits.steps;
        let mut found: Vec<Found<'a>> = Vec::new();
        let mut give = |timed: &Timed<'a>, wall: i64, start: Instant, length: Length, id: Option<Instant>| {
            let end = length.end(wall, &timed.start.frame, start, reader);
            let floats = timed.start.frame.floats();
            let widen = if floats { widen } else { 0 };
            let (from, to) = (window.start.plus(-widen), window.end.plus(widen));
            let overlaps = start < to && (end > from || start == end && start >= from);
            if overlaps {
                if found.len() >= limits.instances {
                    return Err(Error::TooMany);
                }
                let all_day = timed.start.is_date();
                let instance = Instance { start, end, all_day, recurrence_id: id, component: timed.component };
                found.push(Found { instance, floats });
            }
            Ok(())
        };

        let utc = Frame::Zone(TimeZone::UTC);
        let frame = self.master.as_ref().map_or(&utc, |m| &m.start.frame);
        let gone = Named::of(self.exdates.iter(), frame, reader);
        for o in &self.overrides {
            let id = self.start_named(&o.id, reader);
            // EXDATE takes an instance away whatever else is said of it.
            if self.master.is_some() && gone.has(&id) {
                continue;
            }
            let start = o.timed.start.at(reader);
            give(&o.timed, o.timed.start.wall, start, o.timed.length, Some(id.at))?;
        }
        if let Some(master) = &self.master {
            let recurs = !self.rules.is_empty() || !self.rdates.is_empty() || !self.overrides.is_empty();
            let taken = match self.overrides.is_empty() {
                true => Named::default(),
                false => Named::of(self.overrides.iter().map(|o| &o.id), frame, reader),
            };
            let futures = self.futures(reader)?;
            for start in self.starts(master, window, reader, widen, &futures, &mut steps)? {
                if gone.has(&start) || taken.has(&start) {
                    continue;
                }
                let id = recurs.then_some(start.at);
                match futures.iter().rev().find(|f| f.from <= start.at) {
                    // The instance keeps its distance from the override it follows.
                    Some(future) => {
                        let wall = start.wall + future.moved;
                        let timed = Timed {
                            component: future.timed.component,
                            start: When { wall, frame: frame.clone() },
                            length: future.timed.length,
                        };
                        give(&timed, wall, frame.at(wall, reader), timed.length, id)?;
                    }
                    None => {
                        let length = start.length.unwrap_or(master.length);
                        give(master, start.wall, start.at, length, id)?;
                    }
                }
            }
        }
        found.sort_by_key(|f| (f.instance.start, f.instance.recurrence_id));
        Ok(found)
    }

    /// The instant and wall time of the series that a RECURRENCE-ID names.
    fn start_named(&self, id: &When, reader: &TimeZone) -> Start {
        let start = |at: Instant, wall: i64| Start { at, wall, length: None };
        let Some(master) = &self.master else { return start(id.at(reader), id.wall) };
        let frame = &master.start.frame;
        match (&id.frame, frame) {
            (_, Frame::Date) => {
                let wall = id.wall.div_euclid(DAY) * DAY;
                start(frame.at(wall, reader), wall)
            }
            (Frame::Date, _) => {
                let wall = id.wall + master.start.wall.rem_euclid(DAY);
                start(frame.at(wall, reader), wall)
            }
            (Frame::Floating, _) => start(frame.at(id.wall, reader), id.wall),
            _ => {
                let at = id.at(reader);
                start(at, frame.wall(at, reader))
            }
        }
    }

    /// The overrides that stand for all that follows, by start.
    fn futures(&self, reader: &TimeZone) -> Result<Vec<Future<'_, 'a>>, Error> {
        let Some(master) = &self.master else { return Ok(Vec::new()) };
        let mut futures = Vec::new();
        for o in self.overrides.iter().filter(|o| o.future) {
            if o.timed.start.is_date() != master.start.is_date() {
                let reason = "RANGE=THISANDFUTURE turns a series of times into one of days, or back";
                return Err(Error::Unreadable(reason.to_owned()));
            }
            let id = self.start_named(&o.id, reader);
            let moved = wall_by(&master.start.frame, &o.timed.start, reader) - id.wall;
            futures.push(Future { from: id.at, moved, timed: &o.timed });
        }
        futures.sort_by_key(|f| f.from);
        Ok(futures)
    }

    /// The starts of the master that may overlap `window`, each once, by instant. EXDATE and overrides are not looked at.
    fn starts(
        &self,
        master: &Timed<'a>,
        window: Window,
        reader: &TimeZone,
        widen: i64,
        futures: &[Future<'_, 'a>],
        steps: &mut usize,
    ) -> Result<Vec<Start>, Error> {
        let frame = &master.start.frame;
        let first = Start { at: master.start.at(reader), wall: master.start.wall, length: None };
        let mut starts = vec![first];
        for (when, length) in &self.rdates {
            starts.push(self.added(master, when, *length, reader));
        }
        if !self.rules.is_empty() {
            let longest = futures.iter().map(|f| f.timed.length.longest()).fold(master.length.longest(), i64::max);
            let later = futures.iter().map(|f| f.moved).fold(0, i64::max);
            let earlier = futures.iter().map(|f| f.moved).fold(0, i64::min);
            // Offsets may differ shortly before and after; a wall time too many does no harm.
            let near = |at: Instant| [-DAY, 0, DAY].map(|s| frame.wall(at.plus(s), reader).saturating_sub(s));
            let [from, to] = [window.start, window.end].map(near);
            let from = from.into_iter().fold(i64::MAX, i64::min).saturating_sub(widen + longest + later);
            let to = to.into_iter().fold(i64::MIN, i64::max).saturating_add(widen - earlier);
            let mut walls = Vec::new();
            for rule in self.rules.iter().chain(&self.exrules) {
                if fine_stretch(rule, &first, window, frame, reader) > FINE_WINDOW {
                    return Err(Error::TooMany);
                }
            }
            for rule in &self.rules {
                walls.clear();
                rule.walk(first.wall, from, to.min(end_of(rule)), steps, &mut walls)?;
                let mut order = InOrder::of(frame.zone(reader));
                let many = walls.len() > 8;
                let at = |wall| if many { order.at(wall) } else { frame.at(wall, reader) };
                let timed = walls.iter().copied().zip(walls.iter().copied().map(at));
                let timed = timed.map(|(wall, at)| Start { at, wall, length: None });
                starts.extend(timed.filter(|start| holds(rule, start, frame)));
            }
            for rule in &self.exrules {
                walls.clear();
                rule.walk_excluded(first.wall, from, to.min(end_of(rule)), steps, &mut walls)?;
                walls.retain(|wall| {
                    holds(rule, &Start { at: frame.at(*wall, reader), wall: *wall, length: None }, frame)
                });
                starts.retain(|start| walls.binary_search(&start.wall).is_err());
            }
        }
        // Of two wall times that are one instant the later is the real one, the other lies in a gap. A PERIOD may give the
        // same start as a rule or another one does: the longer stays.
        starts.sort_unstable_by(|a, b| (a.at, b.wall).cmp(&(b.at, a.wall)));
        starts.dedup_by(|next, kept| {
            if next.at == kept.at && next.length != kept.length {
                let end =
                    |length: Option<Length>| length.unwrap_or(master.length).end(kept.wall, frame, kept.at, reader);
                kept.length = std::cmp::max_by_key(kept.length, next.length, |length| end(*length));
            }
            next.at == kept.at
        });
        Ok(starts)
    }

    /// What an RDATE adds to the series.
    fn added(&self, master: &Timed<'a>, when: &When, length: Option<Length>, reader: &TimeZone) -> Start {
        let wall = if when.is_date() { when.wall } else { wall_by(&master.start.frame, when, reader) };
        Start { at: when.at(reader), wall, length }
    }

    /// Whether something in it floats and has a length in exact time.
    fn floats_exactly(&self) -> bool {
        let timed = self.master.iter().chain(self.overrides.iter().map(|o| &o.timed));
        let periods = self.rdates.iter().filter_map(|(when, length)| Some((&when.frame, (*length)?)));
        timed
            .map(|t| (&t.start.frame, t.length))
            .chain(periods)
            .any(|(frame, length)| frame.floats() && length.exact != 0)
    }

    /// Whether some of what is compared to the master's times floats and the rest does not.
    fn floats_in_part(&self) -> bool {
        let Some(master) = &self.master else { return false };
        let futures = self.overrides.iter().filter(|o| o.future).map(|o| &o.timed.start);
        let named = self.exdates.iter().chain(self.overrides.iter().map(|o| &o.id));
        // A time without zone, or a day, that names an instance of a series in a zone is by its clock, whoever reads.
        let named = named.filter(|when| !when.frame.floats());
        let mut compared = self.rdates.iter().map(|(when, _)| when).chain(futures).chain(named);
        compared.any(|when| when.frame.floats() != master.start.frame.floats())
    }

    /// The first instant and one that is not before the last, `None` when there is none; floating times widened.
    fn bounds(&self) -> Result<(Instant, Option<Instant>), Error> {
        let utc = &TimeZone::UTC;
        let mut first = Instant::MAX;
        let mut last = Some(Instant::MIN);
        let mut include = |frame: &Frame, start: Instant, end: Option<Instant>| {
            let widen = if frame.floats() { ANY_ZONE } else { 0 };
            first = first.min(start.plus(-widen));
            last = last.zip(end).map(|(last, end)| last.max(end.plus(widen)).max(start.plus(1)));
        };
        for o in &self.overrides {
            let (start, frame) = (o.timed.start.at(utc), &o.timed.start.frame);
            include(frame, start, Some(o.timed.length.end(o.timed.start.wall, frame, start, utc)));
        }
        let Some(master) = &self.master else { return Ok((first, last)) };
        let frame = &master.start.frame;
        let start = master.start.at(utc);
        let futures = self.futures(utc)?;
        let longest = futures.iter().map(|f| f.timed.length.longest()).fold(master.length.longest(), i64::max);
        let earlier = futures.iter().map(|f| f.moved).fold(0, i64::min);
        let later = futures.iter().map(|f| f.moved).fold(0, i64::max);
        // Along the clock of a zone, days and moves may be longer or shorter by a change of its offset.
        let nominal = futures.iter().map(|f| f.timed.length).chain([master.length]).any(|l| l.wall != 0);
        let slack = if !frame.floats() && (nominal || !futures.is_empty()) { DAY } else { 0 };
        include(frame, start, Some(master.length.end(master.start.wall, frame, start, utc)));
        for (when, length) in &self.rdates {
            let start = self.added(master, when, *length, utc);
            let end = length.unwrap_or(master.length).end(start.wall, frame, start.at, utc);
            // Either of the two may be what the reader's zone decides.
            include(frame, start.at, Some(end));
            include(&when.frame, start.at, Some(end));
        }
        if !futures.is_empty() {
            let starts = || self.rdates.iter().map(|(when, _)| when).chain([&master.start]);
            let floating = starts().find(|when| when.frame.floats()).map_or(frame, |when| &when.frame);
            for start in starts().map(|when| when.at(utc)) {
                let earlier = if earlier < 0 { earlier - slack } else { 0 };
                include(floating, start.plus(earlier), Some(start.plus(longest + later + slack)));
            }
        }
        for rule in &self.rules {
            // An end that is too late does no harm.
            let last = match (rule.count, rule.until, frame) {
                (None, Some((until, Written::Utc)), Frame::Zone(_)) => Some(Instant(until).max(start)),
                _ => last_of(rule, master.start.wall).map(|wall| frame.at(wall, utc)),
            };
            let end = last.map(|last| last.plus((longest + later + slack).max(1)));
            include(frame, start, end);
        }
        Ok((first, last))
    }
}

/// What the clock of `frame` shows at a time. What lies in a gap of that clock keeps the wall time it is written with, from
/// which ends and moves are counted.
fn wall_by(frame: &Frame, when: &When, reader: &TimeZone) -> i64 {
    match (&when.frame, frame) {
        (Frame::Date | Frame::Floating, Frame::Date | Frame::Floating) => when.wall,
        (Frame::Zone(of), Frame::Zone(zone)) if of == zone => when.wall,
        _ => frame.wall(when.at(reader), reader),
    }
}

/// An override with RANGE=THISANDFUTURE: from which instance on, and how far it moved it.
/// How often a rule, the value of an RRULE, says that it gives a time; `None`: it does not say, or can not be followed.
pub fn count(rule: &str) -> Option<u32> {
    Rule::parse(rule).ok()?.count
}

struct Future<'s, 'a> {
    from: Instant,
    moved: i64,
    timed: &'s Timed<'a>,
}

/// How many seconds of the window a MINUTELY or SECONDLY rule may fall in; 0 for the others.
fn fine_stretch(rule: &Rule, first: &Start, window: Window, frame: &Frame, reader: &TimeZone) -> i64 {
    if rule.freq < Freq::Minutely {
        return 0;
    }
    let until = rule.until.map_or(i64::MAX, |(until, _)| until.saturating_add(DAY));
    // Cheap where COUNT can be counted; elsewhere the window decides.
    let last =
        rule.last(first.wall, i64::MAX, &mut 100).ok().flatten().map_or(i64::MAX, |wall| frame.at(wall, reader).0);
    window.end.0.min(until).min(last).saturating_sub(window.start.0.max(first.at.0))
}

/// A wall time that UNTIL lets nothing reach, whatever the zone; [`holds`] is exact.
fn end_of(rule: &Rule) -> i64 {
    rule.until.map_or(i64::MAX, |(until, _)| until + 2 * DAY)
}

/// Whether UNTIL, which is included, lets a start be. An UNTIL of another form than DTSTART is written often and
/// read so: a DATE means that whole day; beside a DATE or floating DTSTART a UTC time means what it shows.
fn holds(rule: &Rule, start: &Start, frame: &Frame) -> bool {
    match (rule.until, frame) {
        (None, _) => true,
        (Some((until, Written::Date)), _) | (Some((until, _)), Frame::Date) => {
            start.wall.div_euclid(DAY) <= until.div_euclid(DAY)
        }
        (Some((until, Written::Utc)), Frame::Zone(_)) => start.at.0 <= until,
        (Some((until, _)), _) => start.wall <= until,
    }
}

/// A wall time that is not before the rule's last, exact for COUNT; `None`: there is no last, or it is too far to find.
fn last_of(rule: &Rule, start: i64) -> Option<i64> {
    let until = rule.until.map(|(until, _)| (until + 2 * DAY).max(start));
    match (rule.last(start, until.unwrap_or(i64::MAX), &mut 20_000), until) {
        (Ok(Some(last)), _) => Some(last),
        (_, until) => until,
    }
}

fn rules(master: &Component, name: &str, timed: &Timed<'_>) -> Result<Vec<Rule>, Error> {
    // An empty rule is none.
    let lines = || master.all(name).filter(|p| !p.value().trim().is_empty());
    if lines().count() > MAX_RULES {
        return Err(Error::Unreadable(format!("more than {MAX_RULES} lines {name}")));
    }
    lines()
        .map(|p| Rule::parse(p.value()).and_then(|r| if timed.start.is_date() { r.of_dates() } else { Ok(r) }))
        .collect::<Result<_, String>>()
        .map_err(Error::Unreadable)
}

fn rdates(master: &Component, zones: &Zones<'_>) -> Result<Vec<(When, Option<Length>)>, Error> {
    let mut found = Vec::new();
    for property in master.all("RDATE") {
        for value in property.value().split(',').map(str::trim).filter(|v| !v.is_empty()) {
            let unreadable = || Error::Unreadable(format!("RDATE:{value} is no time"));
            let (start, end) = value.split_once('/').map_or((value, None), |(start, end)| (start, Some(end)));
            let (wall, written) = time::parse(start).ok_or_else(unreadable)?;
            let start = when_of(wall, written, property, zones)?;
            let length = match end.map(|end| (end, time::parse(end))) {
                None => None,
                Some((_, Some((wall, written)))) => {
                    Some(Length::between(&start, &when_of(wall, written, property, zones)?))
                }
                Some((text, None)) => Some(Length::of(Duration::parse(text).ok_or_else(unreadable)?)),
            };
            if length.is_some_and(Length::is_negative) {
                return Err(Error::Unreadable(format!("RDATE:{value} ends before it starts")));
            }
            found.push((start, length));
        }
    }
    Ok(found)
}

/// An EXDATE that is no time takes nothing away: what is too much is seen, what is missing is not. One in a zone that is
/// not known may mean any instance, and is an error.
fn exdates(master: &Component, zones: &Zones<'_>) -> Result<Vec<When>, Error> {
    let mut found = Vec::new();
    for property in master.all("EXDATE") {
        for (wall, written) in property.value().split(',').filter_map(time::parse) {
            found.push(when_of(wall, written, property, zones)?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(lines: &str) -> Object {
        let text = format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\n{lines}\nEND:VEVENT\nEND:VCALENDAR\n");
        Object::parse(&text).unwrap()
    }

    fn window(from: &str, to: &str) -> Window {
        let at = |text: &str| Instant(time::parse(text).unwrap().0);
        Window { start: at(from), end: at(to) }
    }

    #[test]
    fn says_what_a_component_does_to_a_persons_time() {
        use super::Busy::{Busy, Free, Tentative, Unavailable};
        let cases = [
            ("", Busy),
            ("TRANSP:OPAQUE", Busy),
            ("TRANSP:transparent", Free),
            ("STATUS:CANCELLED", Free),
            ("STATUS:TENTATIVE", Tentative),
            ("STATUS:CONFIRMED", Busy),
            ("ATTENDEE;PARTSTAT=DECLINED:mailto:Me@Example.org", Free),
            ("ATTENDEE;PARTSTAT=declined;EMAIL=me@example.org:urn:uuid:1", Free),
            ("ATTENDEE;PARTSTAT=DECLINED:mailto:you@example.org", Busy),
            ("ATTENDEE;PARTSTAT=TENTATIVE:mailto:me@example.org", Tentative),
            ("ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:me@example.org", Busy),
            ("ATTENDEE:mailto:me@example.org", Busy),
            (
                "ATTENDEE;PARTSTAT=DECLINED:mailto:me@example.org\nATTENDEE;PARTSTAT=ACCEPTED:mailto:also@example.org",
                Busy,
            ),
            ("X-MICROSOFT-CDO-BUSYSTATUS:OOF", Unavailable),
            ("X-MICROSOFT-CDO-BUSYSTATUS:FREE", Free),
            ("X-MICROSOFT-CDO-BUSYSTATUS:TENTATIVE", Tentative),
            ("X-MICROSOFT-CDO-BUSYSTATUS:WORKINGELSEWHERE", Busy),
            ("X-MICROSOFT-CDO-BUSYSTATUS:OOF\nTRANSP:TRANSPARENT", Free),
            ("X-MICROSOFT-CDO-BUSYSTATUS:OOF\nATTENDEE;PARTSTAT=DECLINED:mailto:me@example.org", Free),
        ];
        let me = ["me@example.org".to_owned(), "also@example.org".to_owned()];
        for (lines, expect) in cases {
            let object = event(&format!("DTSTART:20260105T090000Z\n{lines}").replace("\n\n", "\n"));
            assert_eq!(busy(object.master().unwrap(), &me), expect, "{lines}");
        }
    }

    #[test]
    fn indexes_wall_times_for_what_floats() {
        let horizon = window("20260101", "20270101");
        let wall = |text: &str| time::parse(text).unwrap().0;
        let cases = [
            ("DTSTART:20260105T090000\nDTEND:20260105T100000", vec![("20260105T090000", "20260105T100000", true)]),
            ("DTSTART:20260105", vec![("20260105", "20260106", true)]),
            (
                "DTSTART;TZID=Asia/Tokyo:20260105T090000\nDURATION:PT1H",
                vec![("20260105T000000", "20260105T010000", false)],
            ),
            // In some zone it is still this year.
            ("DTSTART:20270101T080000", vec![("20270101T080000", "20270101T080000", true)]),
            ("DTSTART:20270101T150000", vec![]),
            ("DTSTART:20270101T080000Z", vec![]),
            (
                "DTSTART:20251230\nRRULE:FREQ=DAILY;COUNT=3",
                vec![("20251231", "20260101", true), ("20260101", "20260102", true)],
            ),
        ];
        for (lines, expect) in cases {
            let index = index(&event(lines), horizon, &[], 10);
            let got: Vec<_> = index.entries.iter().map(|e| (e.start, e.end, e.floating)).collect();
            let expect: Vec<_> = expect.into_iter().map(|(s, e, f)| (wall(s), wall(e), f)).collect();
            assert!(!index.dense);
            assert_eq!(got, expect, "{lines}");
        }
    }

    #[test]
    fn leaves_to_the_reader_what_is_too_much_or_not_known() {
        let horizon = window("20260101", "20270101");
        for lines in [
            "DTSTART:20260105T090000Z\nRRULE:FREQ=DAILY",
            "DTSTART:20260105T090000Z\nRRULE:FREQ=SECONDLY",
            "DTSTART:20260105T090000Z\nRRULE:FREQ=YEARLY;RSCALE=HEBREW",
            "DTSTART;TZID=Nowhere:20260105T090000",
        ] {
            let index = index(&event(lines), horizon, &[], 300);
            assert!(index.dense && index.entries.is_empty(), "{lines}");
        }
        let text = "BEGIN:VCALENDAR\nBEGIN:VTODO\nUID:1\nDUE:20260105\nEND:VTODO\nEND:VCALENDAR\n";
        assert!(super::index(&Object::parse(text).unwrap(), horizon, &[], 300).dense);
    }

    /// An hour of a floating time ends elsewhere on the wall where the clock is put forward in between.
    #[test]
    fn leaves_to_the_reader_what_ends_by_his_clock() {
        let horizon = window("20260101", "20270101");
        let cases = [
            ("DTSTART:20260329T013000\nDURATION:PT2H", true),
            ("DTSTART:20260329T013000\nDTEND:20260329T033000", false),
            ("DTSTART:20260329T013000\nDURATION:P1D", false),
            ("DTSTART:20260329\nDURATION:PT24H", false),
            ("DTSTART:20260329T013000Z\nDURATION:PT2H", false),
            ("DTSTART:20260329T013000\nRDATE;VALUE=PERIOD:20260330T013000/PT1H", true),
        ];
        for (lines, expect) in cases {
            assert_eq!(index(&event(lines), horizon, &[], 300).dense, expect, "{lines}");
        }
        let berlin = super::super::zone::named("Europe/Berlin").unwrap();
        let object = event(cases[0].0);
        let found = super::instances(&object, horizon, &berlin, Limits::default()).unwrap();
        assert_eq!(found[0].end.0 - found[0].start.0, 7200);
    }

    /// The instances through 2026 for a reader in a zone: `start/end` in UTC, or why there are none.
    fn listed(object: &Object, reader: &str) -> String {
        let reader = zone::named(reader).unwrap();
        let limits = Limits::default();
        match super::instances(object, window("20260101", "20270101"), &reader, limits) {
            Ok(found) => {
                let one = |i: &Instance<'_>| format!("{}/{}", time::format_utc(i.start), time::format_utc(i.end));
                found.iter().map(one).collect::<Vec<_>>().join(" ")
            }
            Err(Error::Unreadable(why)) => why,
            Err(Error::TooMany) => "too many".to_owned(),
        }
    }

    /// The same from the index; `None` when it is dense.
    fn indexed(object: &Object, reader: &str) -> Option<String> {
        let reader = zone::named(reader).unwrap();
        let index = index(object, window("20260101", "20270101"), &[], 300);
        let mut ends: Vec<_> = index.entries.iter().map(|e| e.ends(&reader)).collect();
        ends.sort();
        let one = |(start, end)| format!("{}/{}", time::format_utc(start), time::format_utc(end));
        (!index.dense).then(|| ends.into_iter().map(one).collect::<Vec<_>>().join(" "))
    }

    /// Both are of one form where programs keep to RFC 5545 3.8.2.2; where they do not, the end is meant as the start is,
    /// and what no reading gives a length is not free.
    #[test]
    fn an_end_of_another_form_than_the_start_has_a_length() {
        const YORK: &str = "DTSTART;TZID=America/New_York:20260105T090000";
        let cases = [
            (format!("{YORK}\nDTEND:20260105T100000"), "20260105T140000Z/20260105T150000Z"),
            (format!("{YORK}\nDTEND:20260105T150000Z"), "20260105T140000Z/20260105T150000Z"),
            (format!("{YORK}\nDTEND;TZID=Europe/Berlin:20260105T160000"), "20260105T140000Z/20260105T150000Z"),
            (format!("{YORK}\nDTEND;VALUE=DATE:20260107"), "20260105T140000Z/20260107T050000Z"),
            (
                "DTSTART:20260105T090000\nDTEND;TZID=America/New_York:20260105T100000".to_owned(),
                "20260105T080000Z/20260105T090000Z",
            ),
            ("DTSTART:20260105T090000\nDTEND;VALUE=DATE:20260106".to_owned(), "20260105T080000Z/20260105T230000Z"),
            ("DTSTART:20260105T090000Z\nDTEND:20260105T100000".to_owned(), "20260105T090000Z/20260105T100000Z"),
            (
                "DTSTART;VALUE=DATE:20260105\nDTEND;TZID=America/New_York:20260107T000000".to_owned(),
                "20260104T230000Z/20260106T230000Z",
            ),
            (
                format!("{YORK}\nRDATE;VALUE=PERIOD;TZID=America/New_York:20260106T090000/20260106T153000Z"),
                "20260105T140000Z/20260105T140000Z 20260106T140000Z/20260106T153000Z",
            ),
        ];
        for (lines, expect) in &cases {
            assert_eq!(listed(&event(lines), "Europe/Berlin"), *expect, "{lines}");
        }
    }

    /// Those that are refused when they are sent too: what was stored before is not free either.
    #[test]
    fn what_ends_before_it_starts_is_not_free() {
        let read = |kind: &str, lines: &str| {
            let text = format!("BEGIN:VCALENDAR\nBEGIN:{kind}\nUID:1\n{lines}\nEND:{kind}\nEND:VCALENDAR\n");
            let calendar = Component::parse(&text).unwrap();
            let zones = Zones::of(&calendar);
            let timed = Timed::of(&calendar.components[0], &zones);
            timed.and_then(|_| rdates(&calendar.components[0], &zones).map(|_| ()))
        };
        let cases = [
            "DTSTART;TZID=America/New_York:20260105T090000\nDTEND:20260105T080000",
            "DTSTART;TZID=America/New_York:20260105T090000\nDTEND;VALUE=DATE:20260105",
            "DTSTART;TZID=America/New_York:20260105T090000\nDURATION:-PT1H",
            "DTSTART:20260105T090000\nDTEND:20260105T080000",
            "DTSTART:20260105T090000\nDTEND:20260105T080000Z",
            "DTSTART:20260105\nDURATION:-P1D",
            "DTSTART:20260105T090000Z\nRDATE;VALUE=PERIOD:20260106T090000Z/20260106T080000Z",
            "DTSTART:20260105T090000Z\nRDATE;VALUE=PERIOD:20260106T090000Z/-PT1H",
        ];
        for lines in cases {
            let got = read("VEVENT", lines);
            let told = matches!(&got, Err(Error::Unreadable(why)) if why.ends_with(" ends before it starts"));
            assert!(told, "{lines}\n{got:?}");
        }
        // An end that is the start, and a DATE that is its own last day, are lengths.
        for lines in ["DTSTART:20260105T090000Z\nDTEND:20260105T090000Z", "DTSTART:20260105\nDTEND:20260105"] {
            assert_eq!(read("VEVENT", lines), Ok(()));
        }
        // A task that is due before it starts takes no time.
        assert_eq!(read("VTODO", "DTSTART:20260105T090000Z\nDUE:20260104T090000Z"), Ok(()));
    }

    /// In Berlin there is no time from two to three on 29 March.
    #[test]
    fn what_lies_in_a_gap_has_the_length_of_the_clock() {
        let cases = [
            ("DTSTART:20260329T023000\nDTEND:20260329T030000", "20260329T013000Z/20260329T020000Z"),
            ("DTSTART:20260329T020000\nDTEND:20260329T023000", "20260329T010000Z/20260329T013000Z"),
            (
                "DTSTART;TZID=Europe/Berlin:20260328T023000\nDURATION:PT1H\nRDATE;VALUE=PERIOD;TZID=Europe/Berlin:\n \
                20260329T023000/20260329T030000",
                "20260328T013000Z/20260328T023000Z 20260329T013000Z/20260329T020000Z",
            ),
            ("DTSTART:20260329T013000\nDTEND:20260329T033000", "20260329T003000Z/20260329T013000Z"),
            ("DTSTART:20260329T023000\nDTEND:20260329T023000", "20260329T013000Z/20260329T013000Z"),
            (
                "DTSTART:20260328T023000\nDTEND:20260328T030000\nRDATE:20260329T023000",
                "20260328T013000Z/20260328T020000Z 20260329T013000Z/20260329T020000Z",
            ),
        ];
        for (lines, expect) in cases {
            let object = event(lines);
            assert_eq!(listed(&object, "Europe/Berlin"), expect, "{lines}");
            assert_eq!(indexed(&object, "Europe/Berlin").as_deref(), Some(expect), "{lines}");
        }
    }

    /// What the index says, or leaves to the reader, is what expansion finds, wherever the reader is.
    #[test]
    fn index_and_instances_agree_on_mixed_forms() {
        let over = |id: &str, lines: &str| {
            let text = format!(
                "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nDTSTART:20260105T090000\nDTEND:20260105T100000\n\
                RRULE:FREQ=DAILY;COUNT=3\nEND:VEVENT\nBEGIN:VEVENT\nUID:1\nRECURRENCE-ID{id}\n{lines}\nEND:VEVENT\n\
                END:VCALENDAR\n"
            );
            Object::parse(&text).unwrap()
        };
        let cases = [
            (event("DTSTART:20260105T090000\nDTEND:20260105T100000\nRDATE:20260106T090000Z"), true),
            (event("DTSTART:20260105T090000Z\nDTEND:20260105T100000Z\nRDATE:20260106T090000"), true),
            (event("DTSTART:20260105T090000Z\nDTEND:20260105T100000Z\nRDATE;VALUE=DATE:20260107"), true),
            (event("DTSTART:20260105T090000\nDTEND:20260105T100000\nRDATE;VALUE=DATE:20260107"), false),
            (event("DTSTART:20260105\nRDATE:20260107T090000Z"), true),
            (
                event(
                    "DTSTART:20260105T090000\nDTEND:20260105T100000\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20260106T000000Z",
                ),
                true,
            ),
            (event("DTSTART:20260105T090000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20260106T090000"), false),
            (over(";RANGE=THISANDFUTURE:20260106T090000", "DTSTART:20260106T120000Z\nDTEND:20260106T130000Z"), true),
            (over(":20260106T090000Z", "DTSTART:20260106T120000\nDTEND:20260106T130000"), true),
            (over(":20260106T090000", "DTSTART:20260106T120000Z\nDTEND:20260106T130000Z"), false),
            (over(":20260106T090000", "DTSTART:20260106T120000\nDTEND:20260106T130000"), false),
        ];
        for (object, dense) in &cases {
            assert_eq!(indexed(object, "UTC").is_none(), *dense, "{}", object.calendar().print());
            for reader in ["UTC", "Asia/Tokyo", "America/New_York"] {
                let found = indexed(object, reader);
                assert!(
                    found.is_none_or(|found| found == listed(object, reader)),
                    "{reader}\n{}",
                    object.calendar().print()
                );
            }
        }
    }

    /// RANGE=THISANDFUTURE moves and lengthens DTSTART and RDATEs as it does the instances of a rule.
    #[test]
    fn spans_hold_what_an_override_makes_of_all_that_follows() {
        let cases = [
            ("DTSTART:20260105T090000Z\nDURATION:PT1H\nRDATE:20260301T090000Z", "20260105T110000Z", "PT30H"),
            ("DTSTART:20260105T090000Z\nDURATION:PT1H\nRDATE:20260301T090000Z", "20260220T090000Z", "PT1H"),
            ("DTSTART:20260105T090000Z\nDURATION:PT1H\nRDATE:20260301T090000Z", "20251220T090000Z", "PT1H"),
            ("DTSTART:20260105T090000Z\nDURATION:PT1H", "20260105T090000Z", "P3D"),
            (
                "DTSTART;TZID=Europe/Berlin:20260105T100000\nDURATION:PT1H\nRDATE;TZID=America/New_York:20261024T190000",
                "20260105T090000Z",
                "P1D",
            ),
        ];
        for (lines, moved, length) in cases {
            let text = format!(
                "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\n{lines}\nEND:VEVENT\nBEGIN:VEVENT\nUID:1\n\
                RECURRENCE-ID;RANGE=THISANDFUTURE:20260105T090000Z\nDTSTART:{moved}\nDURATION:{length}\nEND:VEVENT\n\
                END:VCALENDAR\n"
            );
            let object = Object::parse(&text).unwrap();
            let span = object.span();
            let found = super::instances(&object, Window::ALL, &TimeZone::UTC, Limits::default()).unwrap();
            assert!(!found.is_empty());
            for i in found {
                let inside = span.first.unwrap() <= i.start && i.end <= span.last.unwrap();
                assert!(inside, "{text}\n{} {} {span:?}", time::format_utc(i.start), time::format_utc(i.end));
            }
        }
        // The day that an RDATE of another zone adds is one by the clock of the series, and has 25 hours here.
        let object = event("DTSTART;TZID=Europe/Berlin:20260105T100000\nDURATION:P1D\nRDATE:20261024T150000Z");
        let last = super::instances(&object, Window::ALL, &TimeZone::UTC, Limits::default()).unwrap()[1].end;
        assert_eq!((last, object.span().last), (Instant(last.0), Some(last)));
        assert_eq!(time::format_utc(last), "20261025T160000Z");
    }

    #[test]
    fn of_two_lengths_at_one_start_the_longer_stays() {
        let rule = |length: &str, period: &str| {
            event(&format!("DTSTART:20260105T090000Z\nDURATION:{length}\nRDATE;VALUE=PERIOD:20260105T090000Z/{period}"))
        };
        let cases = [
            ("PT4H", "PT1H", "20260105T130000Z"),
            ("PT1H", "PT4H", "20260105T130000Z"),
            ("P1D", "PT25H", "20260106T100000Z"),
            ("PT25H", "P1D", "20260106T100000Z"),
            ("PT1H", "PT2H,20260105T090000Z/20260105T150000Z,20260105T090000Z/PT3H", "20260105T150000Z"),
        ];
        for (length, period, end) in cases {
            assert_eq!(listed(&rule(length, period), "UTC"), format!("20260105T090000Z/{end}"), "{length} {period}");
        }
    }

    #[test]
    fn an_exrule_takes_dtstart_away_where_it_meets_it() {
        let cases = [
            // A Monday.
            ("EXRULE:FREQ=WEEKLY", "20260106 20260107 20260108 20260109 20260110 20260111"),
            ("EXRULE:FREQ=WEEKLY;BYDAY=TU", "20260105 20260107 20260108 20260109 20260110 20260111"),
            // DTSTART is not counted where it is not met.
            ("EXRULE:FREQ=DAILY;BYDAY=TU,WE;COUNT=2", "20260105 20260108 20260109 20260110 20260111"),
            ("EXRULE:FREQ=DAILY;COUNT=2", "20260107 20260108 20260109 20260110 20260111"),
            ("EXRULE:FREQ=DAILY", ""),
        ];
        for (line, expect) in cases {
            let object = event(&format!("DTSTART:20260105\nRRULE:FREQ=DAILY;COUNT=7\n{line}"));
            for from in ["20250101", "20260104"] {
                let window = window(from, "20270101");
                let found = super::instances(&object, window, &TimeZone::UTC, Limits::default()).unwrap();
                let days: Vec<_> = found.iter().map(|i| time::format_date(i.start.0)).collect();
                assert_eq!(days.join(" "), expect, "{line}");
            }
        }
    }

    #[test]
    fn minutes_and_seconds_are_followed_for_31_days() {
        let cases = [
            ("FREQ=MINUTELY;INTERVAL=30", "20260201", true),
            ("FREQ=MINUTELY;INTERVAL=30", "20260202", false),
            ("FREQ=SECONDLY;INTERVAL=7200;UNTIL=20260120", "20280101", true),
            ("FREQ=SECONDLY;INTERVAL=7200;COUNT=5", "20280101", true),
            ("FREQ=SECONDLY;INTERVAL=7200;COUNT=5000", "20280101", false),
            ("FREQ=HOURLY;INTERVAL=5", "20260601", true),
        ];
        for (rule, to, expect) in cases {
            let object = event(&format!("DTSTART:20260101T000000Z\nRRULE:{rule}"));
            let found = super::instances(&object, window("20260101", to), &TimeZone::UTC, Limits::default());
            assert_eq!(found.is_ok(), expect, "{rule} {to}");
            assert!(found.is_ok() || found.err() == Some(Error::TooMany));
        }
    }

    #[test]
    fn overrides_have_their_own_busy_kind() {
        let text = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nDTSTART:20260105T090000Z\nRRULE:FREQ=DAILY;COUNT=3\nEND:VEVENT\n\
            BEGIN:VEVENT\nUID:1\nRECURRENCE-ID:20260106T090000Z\nDTSTART:20260106T090000Z\nSTATUS:CANCELLED\nEND:VEVENT\n\
            END:VCALENDAR\n";
        let index = index(&Object::parse(text).unwrap(), window("20260101", "20270101"), &[], 300);
        assert_eq!(index.entries.iter().map(|e| e.busy).collect::<Vec<_>>(), [Busy::Busy, Busy::Free, Busy::Busy]);
    }

    #[test]
    fn limits_hold() {
        let object = event("DTSTART:20260105T090000Z\nRRULE:FREQ=DAILY");
        let year = window("20260101", "20270101");
        let count = |instances, steps| {
            super::instances(&object, year, &TimeZone::UTC, Limits { instances, steps }).map(|found| found.len())
        };
        assert_eq!(count(361, 1_000), Ok(361));
        assert_eq!(count(360, 1_000), Err(Error::TooMany));
        assert_eq!(count(361, 100), Err(Error::TooMany));
    }

    /// RFC 4791 9.9: what has no length is in the window that begins with it and not in the one that ends with it.
    #[test]
    fn windows_are_half_open() {
        let cases = [
            ("DTSTART:20260105T090000Z", "20260105T090000Z", "20260105T100000Z", 1),
            ("DTSTART:20260105T090000Z", "20260105T080000Z", "20260105T090000Z", 0),
            ("DTSTART:20260105T090000Z\nDURATION:PT1H", "20260105T100000Z", "20260105T110000Z", 0),
            ("DTSTART:20260105T090000Z\nDURATION:PT1H", "20260105T095959Z", "20260105T110000Z", 1),
            ("DTSTART:20260105T090000Z\nDURATION:PT1H", "20260105T080000Z", "20260105T090000Z", 0),
            ("DTSTART:20260105", "20260106T000000Z", "20260107T000000Z", 0),
            ("DTSTART:20260105", "20260105T235959Z", "20260106T000000Z", 1),
        ];
        for (lines, from, to, expect) in cases {
            let object = event(lines);
            let found = super::instances(&object, window(from, to), &TimeZone::UTC, Limits::default()).unwrap();
            assert_eq!(found.len(), expect, "{lines} {from} {to}");
        }
    }
}
