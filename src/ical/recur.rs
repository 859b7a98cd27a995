//! Instances of an object in a window: the only place that expands.
//!
//! `rule.rs` says which wall times a rule gives. Here they become instants, and DTSTART, RDATE, EXDATE, UNTIL and the
//! overrides are taken together.

use jiff::tz::TimeZone;

use super::rule::{Freq, Rule};
use super::time::{self, DAY, Duration, Frame, When, Written};
use super::zone::{InOrder, Zones};
use super::{Component, Instant, Kind, Object, Property, Span, Window};

/// How far the wall clock of any zone is from UTC, at most: what makes a span of floating times hold everywhere.
const ANY_ZONE: i64 = 14 * 3600;

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
#[derive(Clone, Copy, Debug)]
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

fn is_me(attendee: &Property, me: &[String]) -> bool {
    let address = |text: &str| {
        let text = text.trim().to_lowercase();
        me.iter().any(|m| *m == text.strip_prefix("mailto:").unwrap_or(&text))
    };
    address(attendee.value()) || attendee.param("EMAIL").is_some_and(|email| address(&email))
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
/// hours (RFC 5545 3.3.6), which is another one on the wall across a change of offset.
/// Floating entries are those that may lie in the horizon in some zone.
pub fn index(object: &Object, horizon: Window, me: &[String], limit: usize) -> Index {
    let series = Series::of(object);
    let span = span_of(object, &series);
    let dense = Index { span, entries: Vec::new(), dense: true };
    let (Kind::Event, Ok(Some(series))) = (object.kind(), series) else { return dense };
    // Where an exact length ends on the wall depends on the reader's zone, and an entry holds a wall time.
    if series.floats_exactly() {
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
        (Kind::Other, _) | (_, Err(_) | Ok(None)) => return OPEN,
        // What has no time of its own may be in any window (RFC 4791 9.9), whenever the others are.
        (Kind::Todo, _) if object.components().any(|c| c.said("DTSTART").or(c.said("DUE")).is_none()) => return OPEN,
        (_, Ok(Some(series))) => series.bounds(),
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
    /// counts for all instances (RFC 5545 3.8.5.3).
    fn between(start: &When, end: &When) -> Length {
        match start.frame {
            Frame::Date | Frame::Floating if end.frame.floats() => Length { wall: end.wall - start.wall, exact: 0 },
            _ => Length { wall: 0, exact: end.at(&TimeZone::UTC).0 - start.at(&TimeZone::UTC).0 },
        }
    }

    fn end(self, wall: i64, frame: &Frame, start: Instant, reader: &TimeZone) -> Instant {
        let end = if self.wall == 0 { start } else { frame.at(wall + self.wall, reader) };
        // A length that is negative is none.
        end.plus(self.exact).max(start)
    }

    fn longest(self) -> i64 {
        (self.wall + self.exact).max(0)
    }
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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Start {
    at: Instant,
    wall: i64,
    length: Option<(i64, i64)>,
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
                        let length = start.length.map_or(master.length, |(wall, exact)| Length { wall, exact });
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
            let moved = master.start.frame.wall(o.timed.start.at(reader), reader) - id.wall;
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
            let at = when.at(reader);
            let wall = if when.is_date() { when.wall } else { frame.wall(at, reader) };
            starts.push(Start { at, wall, length: length.map(|l| (l.wall, l.exact)) });
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
        // A PERIOD says more than a rule that gives the same start: of two the longer one stays. Of two wall times that
        // are one instant the later is the real one, the other lies in a gap.
        starts.sort_unstable_by(|a, b| (a.at, b.length, b.wall).cmp(&(b.at, a.length, a.wall)));
        starts.dedup_by_key(|s| s.at);
        Ok(starts)
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

    /// The first instant and one that is not before the last, `None` when there is none; floating times widened.
    fn bounds(&self) -> (Instant, Option<Instant>) {
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
        let Some(master) = &self.master else { return (first, last) };
        let frame = &master.start.frame;
        let start = master.start.at(utc);
        include(frame, start, Some(master.length.end(master.start.wall, frame, start, utc)));
        for (when, length) in &self.rdates {
            let start = when.at(utc);
            let end = length.unwrap_or(master.length).end(when.wall, &when.frame, start, utc);
            include(&when.frame, start, Some(end));
        }
        let futures = self.futures(utc).unwrap_or_default();
        let longest = futures.iter().map(|f| f.timed.length.longest()).fold(master.length.longest(), i64::max);
        let moved = futures.iter().map(|f| f.moved).fold(0, i64::max);
        for rule in &self.rules {
            // An end that is too late does no harm.
            let last = match (rule.count, rule.until, frame) {
                (None, Some((until, Written::Utc)), Frame::Zone(_)) => Some(Instant(until).max(start)),
                _ => last_of(rule, master.start.wall).map(|wall| frame.at(wall, utc)),
            };
            let end = last.map(|last| last.plus((longest + moved).max(1)));
            include(frame, start, end);
            for future in &futures {
                include(frame, start.plus(future.moved.min(0)), end);
            }
        }
        (first, last)
    }
}

/// An override with RANGE=THISANDFUTURE: from which instance on, and how far it moved it.
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
            found.push((start, length));
        }
    }
    Ok(found)
}

/// An EXDATE that is no time takes nothing away: what is too much is seen, what is missing is not.
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
