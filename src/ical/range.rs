//! When components and properties are, for a time range: the tables of RFC 4791 9.9 and RFC 7953 7.2.2.
//!
//! Windows are half-open; floating and all-day times are taken in the reader's zone. What can not be told (a zone that is
//! not known, a rule that can not be followed, more instances than are gone through) is in every range: unknown is not
//! absent. What does not recur is never expanded, and what recurs no further than the first instance that decides.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use jiff::tz::TimeZone;

use super::names::{self, Type};
use super::recur::{self, Error, Instance, Limits, Series};
use super::time::{self, DAY, Duration, Frame, When};
use super::zone::Zones;
use super::{Component, Instant, Kind, Object, Property, Window, freebusy};

const YEAR: i64 = 366 * DAY;
/// Of a long window, the years that are expanded at once, at most; and how often, before it is given up.
const MOST_YEARS: i64 = 16;
const MOST_STRETCHES: usize = 64;
/// AVAILABLEs of one UID that are taken together (RFC 7953 8 wants a limit).
const MOST_AVAILABLE: usize = 200;
/// Overrides for all that follow, of which each is followed: who has more has no series.
const MOST_TURNS: usize = 50;

/// The times of one object, read when they are first asked for.
pub(super) struct Times<'a> {
    object: &'a Object,
    zone: &'a TimeZone,
    zones: Zones<'a>,
    series: OnceCell<Result<Option<Series<'a>>, Error>>,
    alone: OnceCell<Vec<Instance<'a>>>,
    last: RefCell<Option<(Window, Expanded<'a>)>>,
    /// The same as if there were no overrides.
    plain: RefCell<Option<(Window, Expanded<'a>)>>,
    /// The AVAILABLEs of one UID in one VAVAILABILITY, that were asked for last.
    group: RefCell<Option<Group>>,
}

type Group = (*const Component, Option<String>, Rc<Option<Object>>);

type Expanded<'a> = Result<Rc<Vec<Instance<'a>>>, Error>;

impl<'a> Times<'a> {
    pub fn of(object: &'a Object, zone: &'a TimeZone) -> Times<'a> {
        let zones = Zones::of(object.calendar());
        Times {
            object,
            zone,
            zones,
            series: OnceCell::new(),
            alone: OnceCell::new(),
            last: RefCell::default(),
            plain: RefCell::default(),
            group: RefCell::default(),
        }
    }

    /// Whether `component` overlaps `window`. `own`: the component of the object that it stands in, for a VALARM or an
    /// AVAILABLE; `None` when it is itself one.
    pub fn in_range(&self, component: &Component, own: Option<&Component>, window: Window) -> bool {
        match (component.name(), own) {
            ("VEVENT" | "VJOURNAL", None) => self.any_instance(component, window, |i| overlaps(i, window)),
            ("VTODO", None) => self.todo_in_range(component, window),
            ("VFREEBUSY", None) => self.freebusy_in_range(component, window),
            ("VAVAILABILITY", None) => self.availability_in_range(component, window),
            ("VALARM", Some(own)) => self.alarm_in_range(component, own, window),
            ("AVAILABLE", Some(own)) => self.available_in_range(component, own, window),
            // RFC 4791 9.9 gives a time range no meaning for others. One that an object is made of has times, though,
            // and we do not know them.
            _ => own.is_none() && self.object.components().any(|c| std::ptr::eq(c, component)),
        }
    }

    /// Whether the value of `property`, one of `component`'s, lies in `window` (the last paragraphs of RFC 4791 9.9): any
    /// of several values, each instance's own for the start and end of what recurs. A DATE is its midnight; a PERIOD
    /// lies where it overlaps.
    pub fn value_in_range(&self, property: &Property, component: &Component, window: Window) -> bool {
        if let Some(of_end) = self.moves(property.name(), component) {
            return self.any_instance_at(component, of_end, window);
        }
        property.value().split(',').any(|value| self.one_in_range(value, property, window))
    }

    /// Whether `component`, which has no property of that name, has an effective one in `window`: DTEND of a VEVENT and
    /// DUE of a VTODO are where DTSTART and DURATION put them (RFC 4791 9.9).
    pub fn effective_in_range(&self, name: &str, component: &Component, window: Window) -> bool {
        let named = matches!((component.name(), name), ("VEVENT", "DTEND") | ("VTODO", "DUE"));
        let both = component.said("DTSTART").is_some() && component.said("DURATION").is_some();
        named && both && self.any_instance_at(component, true, window)
    }

    /// Whether that property of a component differs from instance to instance: `Some(true)` with its end.
    fn moves(&self, name: &str, component: &Component) -> Option<bool> {
        let of_end = match (name, component.name()) {
            ("DTSTART", "VEVENT" | "VTODO" | "VJOURNAL") => false,
            ("DTEND", "VEVENT") | ("DUE", "VTODO") => true,
            _ => return None,
        };
        let several = ["RRULE", "RDATE"].iter().any(|name| component.said(name).is_some()) || is_turn(component);
        several.then_some(of_end)
    }

    fn any_instance_at(&self, component: &Component, of_end: bool, window: Window) -> bool {
        let inside = |at: Instant| window.start <= at && at < window.end;
        // One that ends where the window starts does not overlap it.
        let wide = Window { start: window.start.plus(-1), end: window.end };
        self.any_instance(component, wide, |i| inside(if of_end { i.end } else { i.start }))
    }

    fn one_in_range(&self, value: &str, property: &Property, window: Window) -> bool {
        let Window { start, end } = window;
        let (first, last) = value.split_once('/').map_or((value, None), |(first, last)| (first, Some(last)));
        let timed = |known: names::Known| matches!(known.value, Type::DateTime | Type::Period);
        let Some((wall, written)) = time::parse(first) else {
            // What should be a time and is none may well be one that matches.
            return !value.trim().is_empty() && names::known(property.name()).is_some_and(timed);
        };
        let Ok(when) = recur::when_of(wall, written, property, &self.zones) else { return true };
        let at = when.at(self.zone);
        let until = match last.map(|last| (time::parse(last), Duration::parse(last))) {
            None => return start <= at && at < end,
            Some((Some((wall, written)), _)) => match recur::when_of(wall, written, property, &self.zones) {
                Ok(when) => when.at(self.zone),
                Err(_) => return true,
            },
            Some((None, Some(length))) => shifted(at, length, &when.frame, self.zone),
            Some((None, None)) => return true,
        };
        start < until && end > at
    }

    /// The instances that overlap `window` by the table of their kind, by start; at most `limits`.
    pub fn overlapping(&self, window: Window, limits: Limits) -> Result<Vec<Instance<'a>>, Error> {
        let Some(series) = self.series()? else { return Ok(Vec::new()) };
        if self.object.kind() != Kind::Todo {
            return series.instances(window, self.zone, limits);
        }
        let mut found = series.instances(wider(window), self.zone, limits)?;
        found.retain(|i| todo_overlaps(i, window));
        Ok(found)
    }

    /// Whether the override `component` has to do with `window` (RFC 4791 9.6.6): where it is, or where its instance
    /// would have been. One that stands for all that follows: any of its instances.
    pub fn impacts(&self, component: &Component, window: Window) -> bool {
        if self.in_range(component, None, window) {
            return true;
        }
        let Ok(Some(series)) = self.series() else { return true };
        if is_turn(component) {
            return self.would_have(series, component, window);
        }
        series.original(component, self.zone).is_some_and(|i| match self.object.kind() {
            Kind::Todo => todo_overlaps(&i, window),
            _ => overlaps(&i, window),
        })
    }

    /// Whether one of the instances that `turn` changes would have been in `window`.
    fn would_have(&self, series: &Series<'a>, turn: &Component, window: Window) -> bool {
        let turns = series.turns(self.zone);
        if turns.len() > MOST_TURNS {
            return true;
        }
        let governs = |start: Instant| {
            turns.iter().rev().find(|(from, _)| *from <= start).is_some_and(|(_, c)| std::ptr::eq(*c, turn))
        };
        let plain = || match Series::of(self.object)? {
            Some(series) => series.without_overrides().instances(wider(window), self.zone, Limits::default()),
            None => Ok(Vec::new()),
        };
        match once(&self.plain, window, plain) {
            Ok(found) => found.iter().any(|i| match self.object.kind() {
                Kind::Todo => governs(i.start) && todo_overlaps(i, window),
                _ => governs(i.start) && overlaps(i, window),
            }),
            Err(_) => true,
        }
    }

    fn series(&self) -> Result<Option<&Series<'a>>, Error> {
        self.series.get_or_init(|| Series::of(self.object)).as_ref().map(Option::as_ref).map_err(Error::clone)
    }

    /// Whether an instance that `component` stands for `holds`. Only those that overlap `window` can.
    fn any_instance(&self, component: &Component, window: Window, holds: impl Fn(&Instance<'_>) -> bool) -> bool {
        let series = match self.series() {
            Err(_) => return true,
            Ok(None) => return false,
            Ok(Some(series)) => series,
        };
        let holds = |i: &Instance<'_>| std::ptr::eq(i.component, component) && holds(i);
        let by_itself = component.property("RECURRENCE-ID").is_some() && !is_turn(component);
        if by_itself || !series.recurs() {
            return self.alone.get_or_init(|| series.alone(self.zone)).iter().any(holds);
        }
        if window.end.0.saturating_sub(window.start.0) <= 2 * YEAR {
            return self.expanded(series, window).map_or(true, |found| found.iter().any(holds));
        }
        is_turn(component) && series.turns(self.zone).len() > MOST_TURNS
            || self.any_of_many(series, component, window, holds)
    }

    /// The same for a long window, stretch by stretch: most that recur do so soon.
    fn any_of_many(
        &self,
        series: &Series<'a>,
        component: &Component,
        window: Window,
        holds: impl Fn(&Instance<'_>) -> bool,
    ) -> bool {
        let span = self.object.span();
        let mut from = span.first.map_or(window.start, |first| first.max(window.start));
        let end = span.last.map_or(window.end, |last| last.min(window.end));
        // Nothing follows an override before it.
        if is_turn(component)
            && let Some(own) = component.said("DTSTART").and_then(|p| recur::when(p, &self.zones).ok())
        {
            from = from.max(own.at(self.zone));
        }
        let mut years = 1;
        for _ in 0..MOST_STRETCHES {
            if from >= end {
                return false;
            }
            let to = from.plus(years * YEAR).min(end);
            match self.expanded(series, Window { start: from, end: to }) {
                Ok(found) if found.iter().any(&holds) => return true,
                Ok(_) => {}
                Err(_) => return true,
            }
            from = to;
            years = (years * 4).min(MOST_YEARS);
        }
        true
    }

    fn expanded(&self, series: &Series<'a>, window: Window) -> Expanded<'a> {
        once(&self.last, window, || series.instances(window, self.zone, Limits::default()))
    }

    /// `None`: it has no such property. `Some(Err)`: its time can not be told.
    fn at(&self, component: &Component, name: &str) -> Option<Result<When, Error>> {
        component.said(name).map(|p| recur::when(p, &self.zones))
    }

    /// The eight rows of VTODO: four by instance, four for what has no time but when it was made and done.
    fn todo_in_range(&self, todo: &Component, window: Window) -> bool {
        let Window { start, end } = window;
        let instant = |name: &str| match self.at(todo, name) {
            None => Ok(None),
            Some(Ok(when)) => Ok(Some(when.at(self.zone))),
            Some(Err(e)) => Err(e),
        };
        if todo.said("DTSTART").or(todo.said("DUE")).is_some() {
            return self.any_instance(todo, wider(window), |i| todo_overlaps(i, window));
        }
        // An override without a time of its own is when its instance was.
        if let Some(id) = todo.property("RECURRENCE-ID") {
            return recur::when(id, &self.zones).map_or(true, |when| {
                let at = when.at(self.zone);
                start <= at && end > at
            });
        }
        match (instant("COMPLETED"), instant("CREATED")) {
            (Err(_), _) | (_, Err(_)) => true,
            (Ok(Some(done)), Ok(Some(made))) => (start <= made || start <= done) && (end >= made || end >= done),
            (Ok(Some(done)), Ok(None)) => start <= done && end >= done,
            (Ok(None), Ok(Some(made))) => end > made,
            (Ok(None), Ok(None)) => true,
        }
    }

    fn freebusy_in_range(&self, component: &Component, window: Window) -> bool {
        if let (Some(start), Some(end)) = (self.at(component, "DTSTART"), self.at(component, "DTEND")) {
            let (Ok(start), Ok(end)) = (start, end) else { return true };
            return window.start <= end.at(self.zone) && window.end > start.at(self.zone);
        }
        let mut periods = freebusy::of(component, &self.zones, self.zone);
        periods.any(|p| p.map_or(true, |(start, end, _)| window.start < end && window.end > start))
    }

    /// RFC 7953 7.2.2: a side that is not given is open.
    fn availability_in_range(&self, component: &Component, window: Window) -> bool {
        let start = self.at(component, "DTSTART");
        let length = component.said("DURATION").map(|p| Duration::parse(p.value()));
        let ends_in_time = match (&start, self.at(component, "DTEND"), length) {
            (_, Some(Ok(end)), _) => window.start < end.at(self.zone),
            (Some(Ok(start)), None, Some(Some(length))) => {
                window.start < shifted(start.at(self.zone), length, &start.frame, self.zone)
            }
            _ => true,
        };
        let starts_in_time = match start {
            Some(Ok(start)) => window.end > start.at(self.zone),
            _ => true,
        };
        ends_in_time && starts_in_time
    }

    /// An AVAILABLE recurs like a VEVENT, among those of its UID (RFC 7953 3.1).
    fn available_in_range(&self, component: &Component, own: &Component, window: Window) -> bool {
        let uid = component.value("UID");
        let siblings = available(own, uid);
        let mut group = self.group.borrow_mut();
        let object = match &*group {
            Some((of, known, object)) if std::ptr::eq(*of, own) && known.as_deref() == uid => Rc::clone(object),
            _ => {
                let object = Rc::new(as_events(self.object.calendar(), &siblings).ok());
                *group = Some((std::ptr::from_ref(own), uid.map(str::to_owned), Rc::clone(&object)));
                object
            }
        };
        let Some(object) = &*object else { return true };
        let at = siblings.iter().position(|c| std::ptr::eq(*c, component));
        let event = at.and_then(|at| object.components().nth(at));
        event.is_some_and(|event| Times::of(object, self.zone).in_range(event, None, window))
    }

    /// Whether the trigger of `alarm`, or a repetition of it, is in `window`, for any instance that `own` stands for.
    fn alarm_in_range(&self, alarm: &Component, own: &Component, window: Window) -> bool {
        let Some(trigger) = alarm.said("TRIGGER") else { return false };
        let pause = alarm.said("DURATION").and_then(|p| Duration::parse(p.value())).filter(|d| d.nominal() > 0);
        let repeat = alarm.said("REPEAT").and_then(|p| p.value().trim().parse::<i64>().ok()).unwrap_or(0);
        let rings = Rings { pause: pause.unwrap_or_default(), repeat: repeat.clamp(0, 1_000_000), zone: self.zone };
        let Some(offset) = Duration::parse(trigger.value()) else {
            return recur::when(trigger, &self.zones)
                .map_or(true, |when| rings.any(when.at(self.zone), &Frame::Zone(TimeZone::UTC), window));
        };
        let of_end = trigger.param("RELATED").is_some_and(|r| r.eq_ignore_ascii_case("END"));
        let Some(frame) = self.frame(own, of_end) else { return true };
        // Nominal days are shorter or longer than 24 hours by what the clock is moved, at most a day.
        let slack = if offset.days != 0 || rings.pause.days != 0 { DAY } else { 1 };
        let wide = Window {
            start: window.start.plus(-offset.nominal() - rings.length() - slack),
            end: window.end.plus(-offset.nominal() + slack),
        };
        self.any_instance(own, wide, |i| {
            let anchor = if of_end { i.end } else { i.start };
            rings.any(shifted(anchor, offset, &frame, self.zone), &frame, window)
        })
    }

    /// The clock that a trigger's nominal days follow: that of the end, where it has one of its own, else of the start
    /// (RFC 5545 3.8.6.3). `None`: it can not be told.
    fn frame(&self, own: &Component, of_end: bool) -> Option<Frame> {
        let end = self.at(own, if own.name() == "VTODO" { "DUE" } else { "DTEND" });
        // The instances of an override for all that follows keep the clock of the series.
        let master = self.object.master().filter(|_| is_turn(own) && !of_end).and_then(|m| self.at(m, "DTSTART"));
        let start = master.or_else(|| self.at(own, "DTSTART"));
        let (first, other) = if of_end { (end, start) } else { (start, end) };
        match first.or(other) {
            Some(when) => when.ok().map(|when| when.frame),
            // Without a time there is no instance either.
            None => Some(Frame::Floating),
        }
    }
}

/// What is `kept` of that window, or what is `made` of it now.
fn once<'a>(
    kept: &RefCell<Option<(Window, Expanded<'a>)>>,
    window: Window,
    made: impl FnOnce() -> Result<Vec<Instance<'a>>, Error>,
) -> Expanded<'a> {
    let mut kept = kept.borrow_mut();
    match &*kept {
        Some((of, found)) if *of == window => found.clone(),
        _ => {
            let found = made().map(Rc::new);
            *kept = Some((window, found.clone()));
            found
        }
    }
}

/// The rings of one alarm: the first, and `repeat` more, each `pause` after the one before.
struct Rings<'a> {
    pause: Duration,
    repeat: i64,
    zone: &'a TimeZone,
}

impl Rings<'_> {
    /// About how long it rings, days as 24 hours.
    fn length(&self) -> i64 {
        self.pause.nominal() * self.repeat
    }

    fn any(&self, first: Instant, frame: &Frame, window: Window) -> bool {
        let at = |n: i64| {
            let length = Duration { days: self.pause.days * n, seconds: self.pause.seconds * n };
            shifted(first, length, frame, self.zone)
        };
        let more = if self.pause == Duration::default() { 0 } else { self.repeat };
        // The earliest that is not before the window: each is later than the one before.
        let (mut low, mut high) = (0, more);
        while low < high {
            let middle = (low + high) / 2;
            if at(middle) < window.start { low = middle + 1 } else { high = middle }
        }
        let at = at(low);
        window.start <= at && at < window.end
    }
}

/// `at` and `length`: days along the clock of `frame`, then the rest exactly (RFC 5545 3.3.6).
pub(super) fn shifted(at: Instant, length: Duration, frame: &Frame, reader: &TimeZone) -> Instant {
    let at = match length.days {
        0 => at,
        days => frame.at(frame.wall(at, reader).saturating_add(days.saturating_mul(DAY)), reader),
    };
    at.plus(length.seconds)
}

/// An override for its instance and all that follow.
pub(super) fn is_turn(component: &Component) -> bool {
    let id = component.property("RECURRENCE-ID").and_then(|id| id.param("RANGE"));
    id.is_some_and(|range| range.eq_ignore_ascii_case("THISANDFUTURE"))
}

/// VEVENT and VJOURNAL: what has no length is in the window that it starts in.
fn overlaps(i: &Instance<'_>, window: Window) -> bool {
    i.start < window.end && (i.end > window.start || i.start == i.end && i.start >= window.start)
}

/// The first four rows of VTODO.
fn todo_overlaps(i: &Instance<'_>, window: Window) -> bool {
    let Window { start, end } = window;
    let has = |name: &str| i.component.said(name).is_some();
    match (has("DTSTART"), has("DURATION"), has("DUE")) {
        (true, true, false) => start <= i.end && (end > i.start || end >= i.end),
        (true, _, true) => (start < i.end || start <= i.start) && (end > i.start || end >= i.end),
        (true, false, false) => start <= i.start && end > i.start,
        (false, _, _) => start < i.end && end >= i.end,
    }
}

/// Some rows of VTODO hold at the very ends of the window.
fn wider(window: Window) -> Window {
    Window { start: window.start.plus(-1), end: window.end.plus(1) }
}

/// A PERIOD in UTC, with an end or a duration.
pub(super) fn period(text: &str) -> Option<Window> {
    let (start, end) = text.trim().split_once('/')?;
    let (start, _) = time::parse(start)?;
    let end = match time::parse(end) {
        Some((end, _)) => end,
        None => start + Duration::parse(end)?.nominal(),
    };
    Some(Window { start: Instant(start), end: Instant(end) })
}

/// The AVAILABLEs of that UID in a VAVAILABILITY.
pub(super) fn available<'c>(own: &'c Component, uid: Option<&str>) -> Vec<&'c Component> {
    own.components.iter().filter(|c| c.name() == "AVAILABLE" && c.value("UID") == uid).collect()
}

/// AVAILABLEs of a VCALENDAR as the VEVENTs of an object, in the same order. The error says why they make none.
pub(super) fn as_events(calendar: &Component, available: &[&Component]) -> Result<Object, String> {
    if available.len() > MOST_AVAILABLE {
        return Err(format!("more than {MOST_AVAILABLE} of them have one UID"));
    }
    let zones = calendar.components.iter().filter(|c| c.name() == "VTIMEZONE").cloned();
    let events = available.iter().map(|c| {
        let mut event = Component::new("VEVENT").with(c.properties.iter().cloned());
        if c.said("UID").is_none() {
            event.set(Property::new("UID", "-"));
        }
        event.with_components(c.components.iter().cloned())
    });
    Object::of(&Component::new("VCALENDAR").with_components(zones.chain(events))).map_err(|e| e.reason)
}

#[cfg(test)]
mod tests {
    use super::super::zone;
    use super::*;

    static UTC: TimeZone = TimeZone::UTC;

    fn window(from: &str, to: &str) -> Window {
        let at = |text: &str| match text {
            "-" => None,
            text => Some(Instant(time::parse(text).unwrap().0)),
        };
        Window { start: at(from).unwrap_or(Instant::MIN), end: at(to).unwrap_or(Instant::MAX) }
    }

    fn calendar(inside: &str) -> Object {
        let text = format!("BEGIN:VCALENDAR\nVERSION:2.0\n{inside}END:VCALENDAR\n").replace("\n\n", "\n");
        Object::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
    }

    fn object(kind: &str, lines: &str) -> Object {
        calendar(&format!("BEGIN:{kind}\nUID:1\n{lines}\nEND:{kind}\n"))
    }

    fn rings(kind: &str, lines: &str, alarm: &str, from: &str, to: &str, reader: &TimeZone) -> bool {
        let object = object(kind, &format!("{lines}BEGIN:VALARM\n{alarm}\nEND:VALARM"));
        let own = object.components().next().unwrap();
        Times::of(&object, reader).in_range(&own.components[0], Some(own), window(from, to))
    }

    /// Rows: the component's lines, a window, whether it overlaps. Each is a row of a table in RFC 4791 9.9.
    fn check_ranges(kind: &str, rows: &[(&str, &str, &str, bool)]) {
        for (lines, from, to, expect) in rows {
            let object = object(kind, lines);
            let component = object.components().next().unwrap();
            let w = window(from, to);
            let got = Times::of(&object, &UTC).in_range(component, None, w);
            assert_eq!(got, *expect, "{lines:?} {from} {to}");
            // What is in range is also found by the span that the store keeps.
            let span = object.span();
            let found = span.first.is_none_or(|f| f < w.end) && span.last.is_none_or(|l| l > w.start);
            assert!(found || !expect, "{lines:?} {from} {to}: {span:?}");
        }
    }

    #[test]
    fn events_by_time() {
        const NINE_TO_TEN: &str = "DTSTART:20260105T090000Z\nDTEND:20260105T100000Z";
        check_ranges(
            "VEVENT",
            &[
                (NINE_TO_TEN, "20260105T100000Z", "20260105T110000Z", false),
                (NINE_TO_TEN, "20260105T095959Z", "20260105T110000Z", true),
                (NINE_TO_TEN, "20260105T080000Z", "20260105T090000Z", false),
                (NINE_TO_TEN, "20260105T080000Z", "20260105T090001Z", true),
                (NINE_TO_TEN, "20260105T095959Z", "-", true),
                (NINE_TO_TEN, "20260105T100000Z", "-", false),
                (NINE_TO_TEN, "-", "20260105T090000Z", false),
                (NINE_TO_TEN, "-", "20260105T090001Z", true),
                ("DTSTART:20260105T090000Z\nDURATION:PT1H", "20260105T095959Z", "20260105T110000Z", true),
                ("DTSTART:20260105T090000Z\nDURATION:PT0S", "20260105T090000Z", "20260105T110000Z", true),
                ("DTSTART:20260105T090000Z\nDURATION:PT0S", "20260105T080000Z", "20260105T090000Z", false),
                ("DTSTART:20260105T090000Z", "20260105T090000Z", "20260105T110000Z", true),
                ("DTSTART;VALUE=DATE:20260105", "20260105T235959Z", "20260107T000000Z", true),
                ("DTSTART;VALUE=DATE:20260105", "20260106T000000Z", "20260107T000000Z", false),
                ("DTSTART:19700101T090000Z\nRRULE:FREQ=YEARLY", "21990101T000000Z", "21990102T000000Z", true),
                ("DTSTART:19700101T090000Z\nRRULE:FREQ=YEARLY", "21990102T000000Z", "21991231T000000Z", false),
                ("DTSTART:20260105T090000Z\nRRULE:FREQ=DAILY", "20300101T000000Z", "-", true),
                ("DTSTART:20260105T090000Z\nRRULE:FREQ=DAILY;UNTIL=20260107T090000Z", "20300101T000000Z", "-", false),
                // Unknown is not absent.
                ("DTSTART;TZID=Nowhere:20260105T090000", "20300101T000000Z", "20310101T000000Z", true),
                (
                    "DTSTART:20260105T090000Z\nRRULE:FREQ=YEARLY;RSCALE=HEBREW",
                    "20300101T000000Z",
                    "20310101T000000Z",
                    true,
                ),
            ],
        );
    }

    #[test]
    fn todos_by_time() {
        const SPAN: &str = "DTSTART:20260105T090000Z\nDUE:20260105T100000Z";
        const LONG: &str = "DTSTART:20260105T090000Z\nDURATION:PT1H";
        const START: &str = "DTSTART:20260105T090000Z";
        const DUE: &str = "DUE:20260105T100000Z";
        const DONE: &str = "CREATED:20260105T090000Z\nCOMPLETED:20260105T100000Z";
        check_ranges(
            "VTODO",
            &[
                // DTSTART and DURATION
                (LONG, "20260105T100000Z", "20260105T110000Z", true),
                (LONG, "20260105T100001Z", "20260105T110000Z", false),
                (LONG, "20260105T080000Z", "20260105T090000Z", false),
                (LONG, "20260105T080000Z", "20260105T090001Z", true),
                // DTSTART and DUE
                (SPAN, "20260105T100000Z", "20260105T110000Z", false),
                (SPAN, "20260105T095959Z", "20260105T110000Z", true),
                (SPAN, "20260105T080000Z", "20260105T090000Z", false),
                (SPAN, "20260105T080000Z", "20260105T090001Z", true),
                // DTSTART alone
                (START, "20260105T090000Z", "20260105T110000Z", true),
                (START, "20260105T080000Z", "20260105T090000Z", false),
                // DUE alone
                (DUE, "20260105T100000Z", "20260105T110000Z", false),
                (DUE, "20260105T090000Z", "20260105T100000Z", true),
                (DUE, "20260105T080000Z", "20260105T095959Z", false),
                // COMPLETED and CREATED
                (DONE, "20260105T100000Z", "20260105T110000Z", true),
                (DONE, "20260105T100001Z", "20260105T110000Z", false),
                (DONE, "20260105T080000Z", "20260105T090000Z", true),
                (DONE, "20260105T080000Z", "20260105T085959Z", false),
                ("COMPLETED:20260105T100000Z", "20260105T100000Z", "20260105T110000Z", true),
                ("COMPLETED:20260105T100000Z", "20260105T090000Z", "20260105T100000Z", true),
                ("COMPLETED:20260105T100000Z", "20260105T100001Z", "20260105T110000Z", false),
                ("CREATED:20260105T090000Z", "20300101T000000Z", "20310101T000000Z", true),
                ("CREATED:20260105T090000Z", "20260105T080000Z", "20260105T090000Z", false),
                ("SUMMARY:no time", "20300101T000000Z", "20310101T000000Z", true),
                // An instance of one that recurs
                ("DTSTART:20260105T090000Z\nRRULE:FREQ=WEEKLY", "20260112T090000Z", "20260112T100000Z", true),
                ("DTSTART:20260105T090000Z\nRRULE:FREQ=WEEKLY", "20260112T090001Z", "20260119T090000Z", false),
            ],
        );
    }

    #[test]
    fn journals_and_freebusy_by_time() {
        check_ranges(
            "VJOURNAL",
            &[
                ("DTSTART:20260105T090000Z", "20260105T090000Z", "20260105T100000Z", true),
                ("DTSTART:20260105T090000Z", "20260105T080000Z", "20260105T090000Z", false),
                ("DTSTART;VALUE=DATE:20260105", "20260105T230000Z", "20260106T100000Z", true),
                ("DTSTART;VALUE=DATE:20260105", "20260106T000000Z", "20260106T100000Z", false),
                ("SUMMARY:no time", "20260105T000000Z", "20260106T000000Z", false),
            ],
        );
        const BOUNDS: &str = "DTSTART:20260105T090000Z\nDTEND:20260105T100000Z";
        const PERIODS: &str = "FREEBUSY:20260105T090000Z/PT1H,20260107T090000Z/20260107T100000Z";
        check_ranges(
            "VFREEBUSY",
            &[
                (BOUNDS, "20260105T100000Z", "20260105T110000Z", true),
                (BOUNDS, "20260105T100001Z", "20260105T110000Z", false),
                (BOUNDS, "20260105T080000Z", "20260105T090000Z", false),
                (PERIODS, "20260105T095959Z", "20260106T000000Z", true),
                (PERIODS, "20260105T100000Z", "20260107T090000Z", false),
                (PERIODS, "20260105T100000Z", "20260107T090001Z", true),
                ("COMMENT:nothing", "20260105T100000Z", "20260107T090001Z", false),
            ],
        );
    }

    #[test]
    fn alarms_by_time() {
        let event = "DTSTART:20260105T090000Z\nDTEND:20260105T100000Z\n";
        let weekly = "DTSTART:20260105T090000Z\nDTEND:20260105T100000Z\nRRULE:FREQ=WEEKLY\n";
        let nowhere = "DTSTART;TZID=Nowhere:20260105T090000\n";
        let cases = [
            (event, "TRIGGER:-PT15M", "20260105T084500Z", "20260105T084501Z", true),
            (event, "TRIGGER:-PT15M", "20260105T084501Z", "20260105T100000Z", false),
            (event, "TRIGGER:-PT15M", "20260105T080000Z", "20260105T084500Z", false),
            (event, "TRIGGER;RELATED=END:PT5M", "20260105T100500Z", "20260105T100501Z", true),
            (event, "TRIGGER;RELATED=END:PT5M", "20260105T090000Z", "20260105T100500Z", false),
            (event, "TRIGGER;VALUE=DATE-TIME:20260101T120000Z", "20260101T120000Z", "20260101T130000Z", true),
            (event, "TRIGGER;VALUE=DATE-TIME:20260101T120000Z", "20260105T000000Z", "20260106T000000Z", false),
            (event, "TRIGGER:-PT15M\nREPEAT:3\nDURATION:PT5M", "20260105T085900Z", "20260105T090001Z", true),
            (event, "TRIGGER:-PT15M\nREPEAT:3\nDURATION:PT5M", "20260105T090001Z", "20260105T100000Z", false),
            (event, "TRIGGER:-PT15M\nREPEAT:3\nDURATION:PT5M", "20260105T085100Z", "20260105T085500Z", false),
            (weekly, "TRIGGER:-P1D", "20270103T090000Z", "20270103T090001Z", true),
            (weekly, "TRIGGER:-P1D", "20270103T090001Z", "20270104T090000Z", false),
            (event, "ACTION:AUDIO", "20260105T000000Z", "20260106T000000Z", false),
            // Unknown is not absent, and what is known is known.
            (event, "TRIGGER:soon", "20260105T000000Z", "20260106T000000Z", true),
            (nowhere, "TRIGGER:-PT5M", "20260105T000000Z", "20260106T000000Z", true),
            (nowhere, "TRIGGER;VALUE=DATE-TIME:20260101T120000Z", "20260105T000000Z", "20260106T000000Z", false),
            // Without both of them it does not ring again.
            (event, "TRIGGER:-PT15M\nREPEAT:3", "20260105T084501Z", "20260105T100000Z", false),
            (event, "TRIGGER:-PT15M\nDURATION:PT5M", "20260105T084501Z", "20260105T100000Z", false),
            (event, "TRIGGER:-PT15M\nREPEAT:99999999\nDURATION:PT5M", "20300105T084501Z", "20300105T100000Z", true),
        ];
        for (lines, alarm, from, to, expect) in cases {
            assert_eq!(rings("VEVENT", lines, alarm, from, to, &UTC), expect, "{alarm} {from} {to}");
        }
    }

    #[test]
    fn availability_by_time() {
        const FROM: &str = "DTSTART:20260105T090000Z";
        const TO: &str = "DTEND:20260107T090000Z";
        const BOTH: &str = "DTSTART:20260105T090000Z\nDTEND:20260107T090000Z";
        const LONG: &str = "DTSTART:20260105T090000Z\nDURATION:P2D";
        let mut rows = vec![
            (FROM, "20260101T000000Z", "20260105T090000Z", false),
            (FROM, "20260101T000000Z", "20260105T090001Z", true),
            (FROM, "20900101T000000Z", "20900105T090001Z", true),
            (TO, "19700101T000000Z", "19700102T000000Z", true),
            (TO, "20260107T090000Z", "-", false),
            (TO, "20260107T085959Z", "-", true),
            ("SUMMARY:always", "19700101T000000Z", "19700102T000000Z", true),
            ("DURATION:P2D", "19700101T000000Z", "19700102T000000Z", true),
            ("DTSTART;TZID=Nowhere:20260105T090000", "19700101T000000Z", "19700102T000000Z", true),
        ];
        for closed in [BOTH, LONG] {
            rows.extend([
                (closed, "20260101T000000Z", "20260105T090000Z", false),
                (closed, "20260101T000000Z", "20260105T090001Z", true),
                (closed, "20260107T090000Z", "20260108T000000Z", false),
                (closed, "20260107T085959Z", "20260108T000000Z", true),
            ]);
        }
        check_ranges("VAVAILABILITY", &rows);
        let available = calendar(
            "BEGIN:VAVAILABILITY\nUID:1\n\
             BEGIN:AVAILABLE\nUID:a\nDTSTART;TZID=Europe/Berlin:20260105T090000\nDURATION:PT3H\nRRULE:FREQ=WEEKLY\nEND:AVAILABLE\n\
             BEGIN:AVAILABLE\nUID:a\nRECURRENCE-ID;TZID=Europe/Berlin:20260112T090000\n\
             DTSTART;TZID=Europe/Berlin:20260113T090000\nDURATION:PT3H\nEND:AVAILABLE\n\
             BEGIN:AVAILABLE\nDTSTART:20260107T090000Z\nEND:AVAILABLE\n\
             BEGIN:AVAILABLE\nUID:b\nSUMMARY:when?\nEND:AVAILABLE\nEND:VAVAILABILITY\n",
        );
        let own = available.components().next().unwrap();
        let times = Times::of(&available, &UTC);
        let cases = [
            (0, "20260105T080000Z", "20260105T110000Z", true),
            (0, "20260112T080000Z", "20260112T110000Z", false),
            (1, "20260112T080000Z", "20260112T110000Z", false),
            (1, "20260113T080000Z", "20260113T110000Z", true),
            (0, "20300701T000000Z", "20300708T000000Z", true),
            (2, "20260107T090000Z", "20260107T090001Z", true),
            (2, "20260107T090001Z", "20260108T090001Z", false),
            // What can not be an instance may be one.
            (3, "20300701T000000Z", "20300708T000000Z", true),
        ];
        for (at, from, to, expect) in cases {
            assert_eq!(times.in_range(&own.components[at], Some(own), window(from, to)), expect, "{at} {from}");
        }
    }

    /// RFC 5545 3.3.6: a day before is the same time of the day before, whatever the clocks do between.
    #[test]
    fn alarms_follow_the_wall_clock() {
        const BERLIN: &str = "DTSTART;TZID=Europe/Berlin:20260329T090000\n";
        const TOKYO_END: &str = "DTSTART;TZID=Europe/Berlin:20260328T230000\nDTEND;TZID=Asia/Tokyo:20260329T160000\n";
        const DAY_LONG: &str = "DTSTART;VALUE=DATE:20260329\n";
        const FLOATING: &str = "DTSTART:20260329T090000\n";
        const DUE: &str = "DUE;TZID=Europe/Berlin:20260329T090000\n";
        const TODO: &str = "DTSTART;TZID=Europe/Berlin:20260328T080000\nDURATION:P1D\n";
        let cases = [
            // The night of summer time lies between.
            ("VEVENT", BERLIN, "TRIGGER:-P1D", "20260328T080000Z"),
            ("VEVENT", BERLIN, "TRIGGER:-PT24H", "20260328T070000Z"),
            ("VEVENT", BERLIN, "TRIGGER:-P1DT1H", "20260328T070000Z"),
            ("VEVENT", BERLIN, "TRIGGER:-P2D\nREPEAT:2\nDURATION:P1D", "20260328T080000Z"),
            ("VEVENT", BERLIN, "TRIGGER:-P2D\nREPEAT:2\nDURATION:P1D", "20260329T070000Z"),
            ("VEVENT", BERLIN, "TRIGGER:-P2D\nREPEAT:2\nDURATION:PT24H", "20260329T080000Z"),
            // The end has a clock of its own.
            ("VEVENT", TOKYO_END, "TRIGGER;RELATED=END:-P1D", "20260328T070000Z"),
            ("VEVENT", TOKYO_END, "TRIGGER;RELATED=START:P1D", "20260329T210000Z"),
            // Midnights of the reader.
            ("VEVENT", DAY_LONG, "TRIGGER:PT9H", "20260329T080000Z"),
            ("VEVENT", DAY_LONG, "TRIGGER;RELATED=END:-PT1H", "20260329T210000Z"),
            ("VEVENT", DAY_LONG, "TRIGGER:-P1W", "20260321T230000Z"),
            ("VEVENT", FLOATING, "TRIGGER:-P1D", "20260328T080000Z"),
            // DUE stands for a start that is not there.
            ("VTODO", DUE, "TRIGGER:-P1D", "20260328T080000Z"),
            ("VTODO", DUE, "TRIGGER;RELATED=END:-PT1H", "20260329T060000Z"),
            ("VTODO", TODO, "TRIGGER;RELATED=END:PT0S", "20260329T060000Z"),
        ];
        let berlin = zone::named("Europe/Berlin").unwrap();
        // Of what recurs only instances near the window are looked at: near by that clock.
        let weekly = |lines: &str| format!("{lines}RRULE:FREQ=WEEKLY;INTERVAL=20\n");
        let cases = cases.into_iter().flat_map(|(kind, lines, alarm, at)| {
            let recurring = lines.contains("DTSTART").then(|| (kind, weekly(lines), alarm, at));
            [Some((kind, lines.to_owned(), alarm, at)), recurring]
        });
        for (kind, lines, alarm, at) in cases.flatten() {
            let lines = lines.as_str();
            let second = |by: i64| time::format_utc(Instant(time::parse(at).unwrap().0 + by));
            assert!(rings(kind, lines, alarm, at, &second(1), &berlin), "{lines}{alarm} {at}");
            let before = alarm.contains("REPEAT") || !rings(kind, lines, alarm, "-", at, &berlin);
            assert!(before && !rings(kind, lines, alarm, &second(1), &second(3600), &berlin), "{lines}{alarm} {at}");
        }
    }

    const MOVED: &str = "BEGIN:VEVENT\nUID:1\nDTSTART:20260105T090000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY\n\
        EXDATE:20260107T090000Z\nBEGIN:VALARM\nTRIGGER:-PT15M\nEND:VALARM\nEND:VEVENT\n\
        BEGIN:VEVENT\nUID:1\nRECURRENCE-ID:20260106T090000Z\nDTSTART:20260301T120000Z\nDURATION:PT1H\n\
        BEGIN:VALARM\nTRIGGER:-PT5M\nEND:VALARM\nEND:VEVENT\n\
        BEGIN:VEVENT\nUID:1\nRECURRENCE-ID:20260107T090000Z\nDTSTART:20260107T120000Z\nEND:VEVENT\n";

    /// An alarm belongs to the instances of the component that it stands in, and so does the time.
    #[test]
    fn overrides_answer_for_themselves() {
        let object = calendar(MOVED);
        let times = Times::of(&object, &UTC);
        // Component, its alarm or itself, and a window.
        let cases = [
            (0, false, "20260106T000000Z", "20260107T000000Z", false),
            (1, false, "20260106T000000Z", "20260107T000000Z", false),
            (1, false, "20260301T120000Z", "20260301T120001Z", true),
            // EXDATE takes an instance away, overridden or not.
            (2, false, "20260107T000000Z", "20260108T000000Z", false),
            (0, true, "20260105T084500Z", "20260105T084501Z", true),
            (0, true, "20260106T000000Z", "20260107T000000Z", false),
            (0, true, "20260301T084500Z", "20260301T084501Z", true),
            (0, true, "20260301T114500Z", "20260301T115501Z", false),
            (1, true, "20260301T115500Z", "20260301T115501Z", true),
            (1, true, "20260301T084500Z", "20260301T084501Z", false),
            // A rule without end says nothing of an override that is over.
            (1, false, "20270101T000000Z", "-", false),
            (1, false, "-", "20260301T120000Z", false),
            (1, true, "20270101T000000Z", "-", false),
            (0, false, "20270101T000000Z", "-", true),
            (0, false, "-", "20260105T090000Z", false),
            (0, false, "-", "20260105T090001Z", true),
        ];
        for (at, alarm, from, to, expect) in cases {
            let own = object.components().nth(at).unwrap();
            let got = match alarm {
                true => times.in_range(&own.components[0], Some(own), window(from, to)),
                false => times.in_range(own, None, window(from, to)),
            };
            assert_eq!(got, expect, "{at} {alarm} {from} {to}");
        }
    }

    #[test]
    fn all_that_follow_move_with_their_override() {
        let object = calendar(
            "BEGIN:VEVENT\nUID:1\nDTSTART:19900105T090000Z\nRRULE:FREQ=DAILY\nEND:VEVENT\n\
             BEGIN:VEVENT\nUID:1\nRECURRENCE-ID;RANGE=THISANDFUTURE:20280105T090000Z\nDTSTART:20280105T120000Z\nEND:VEVENT\n",
        );
        let times = Times::of(&object, &UTC);
        let turn = object.components().nth(1).unwrap();
        let cases = [
            ("20300105T120000Z", "20300105T120001Z", true),
            ("20300105T090000Z", "20300105T120000Z", false),
            ("20270105T000000Z", "20270106T000000Z", false),
            ("-", "20280105T120000Z", false),
            ("-", "20280105T120001Z", true),
            ("20900101T000000Z", "-", true),
        ];
        for (from, to, expect) in cases {
            assert_eq!(times.in_range(turn, None, window(from, to)), expect, "{from} {to}");
        }
    }

    /// A VTODO whose components do not all have a time may be anywhere, and its span says so.
    #[test]
    fn to_dos_with_and_without_a_time() {
        const MASTER: &str = "BEGIN:VTODO\nUID:1\nDTSTART:20260105T090000Z\nRRULE:FREQ=DAILY\nEND:VTODO\n";
        let object = calendar(&format!(
            "{MASTER}BEGIN:VTODO\nUID:1\nRECURRENCE-ID:20260107T090000Z\nCOMPLETED:20200101T000000Z\nEND:VTODO\n"
        ));
        let times = Times::of(&object, &UTC);
        let done = object.overrides().next().unwrap();
        assert!(times.in_range(done, None, window("20260107T090000Z", "20260107T090001Z")));
        assert!(!times.in_range(done, None, window("20260107T090001Z", "20260108T000000Z")));
        assert!(!times.in_range(done, None, window("20200101T000000Z", "20200102T000000Z")));
        assert_eq!((object.span().first, object.span().last), (None, None));
        let unread = "BEGIN:VTODO\nUID:1\nCOMPLETED:soon\nEND:VTODO\n";
        assert!(Times::of(&calendar(unread), &UTC).in_range(
            calendar(unread).components().next().unwrap(),
            None,
            window("20200101T000000Z", "20200102T000000Z")
        ));
    }

    #[test]
    fn what_has_no_table_is_in_range_when_an_object_is_made_of_it() {
        let object = calendar(
            "BEGIN:VTIMEZONE\nTZID:x\nBEGIN:STANDARD\nDTSTART:19700101T000000\nEND:STANDARD\nEND:VTIMEZONE\n\
             BEGIN:X-OURS\nDTSTART:20260105T090000Z\nEND:X-OURS\nBEGIN:VPOLL\nUID:1\nDTSTART:20260105T090000Z\nEND:VPOLL\n",
        );
        let times = Times::of(&object, &UTC);
        let of = &object.calendar().components;
        let got: Vec<_> = of.iter().map(|c| times.in_range(c, None, window("20300101T000000Z", "-"))).collect();
        assert_eq!(got, [false, false, true]);
        assert!(!times.in_range(&of[0].components[0], Some(&of[0]), window("-", "20300101T000000Z")));
    }

    #[test]
    fn values_of_properties() {
        const DAILY: &str =
            "DTSTART;TZID=Europe/Berlin:20260105T090000\nDTEND;TZID=Europe/Berlin:20260105T100000\nRRULE:FREQ=DAILY";
        const LONG: &str = "DTSTART:20260105T090000Z\nDURATION:PT1H";
        const STAMPS: &str = "DTSTART:20260105T090000Z\nCREATED:20260101T000000Z\nX-WHEN:20260102T000000Z\nSUMMARY:20260102\n\
            DTSTAMP:yesterday\nLAST-MODIFIED;TZID=Nowhere:20260101T000000\n\
            RDATE;VALUE=PERIOD:20260201T090000Z/PT2H,20260202T090000Z/20260202T100000Z\n\
            EXDATE;VALUE=DATE:20260301,20260305";
        // Lines, the property, a window in which it is, and one beside.
        let cases = [
            (DAILY, "DTSTART", "20260105T080000Z", "20260105T080001Z", true),
            (DAILY, "DTSTART", "20300705T070000Z", "20300705T070001Z", true),
            (DAILY, "DTSTART", "20300705T070001Z", "20300706T070000Z", false),
            (DAILY, "DTEND", "20300705T080000Z", "20300705T080001Z", true),
            (DAILY, "DTEND", "20300705T070000Z", "20300705T080000Z", false),
            (LONG, "DTEND", "20260105T100000Z", "20260105T100001Z", true),
            (LONG, "DTEND", "20260105T090000Z", "20260105T100000Z", false),
            (LONG, "DUE", "20260105T100000Z", "20260105T100001Z", false),
            (STAMPS, "DTEND", "20260105T090000Z", "20260105T100000Z", false),
            (STAMPS, "CREATED", "20260101T000000Z", "20260101T000001Z", true),
            (STAMPS, "CREATED", "20251231T000000Z", "20260101T000000Z", false),
            (STAMPS, "X-WHEN", "20260101T000000Z", "20260102T000001Z", true),
            (STAMPS, "DTSTAMP", "20200101T000000Z", "20200102T000000Z", true),
            (STAMPS, "LAST-MODIFIED", "20200101T000000Z", "20200102T000000Z", true),
            (STAMPS, "RDATE", "20260201T105959Z", "20260201T120000Z", true),
            (STAMPS, "RDATE", "20260201T110000Z", "20260202T090000Z", false),
            (STAMPS, "RDATE", "20260201T110000Z", "20260202T090001Z", true),
            // A DATE is its midnight.
            (STAMPS, "EXDATE", "20260305T000000Z", "20260305T000001Z", true),
            (STAMPS, "EXDATE", "20260305T000001Z", "20260306T000000Z", false),
            (STAMPS, "UID", "-", "20300101T000000Z", false),
        ];
        for (lines, name, from, to, expect) in cases {
            let object = object("VEVENT", lines);
            let own = object.components().next().unwrap();
            let times = Times::of(&object, &UTC);
            let w = window(from, to);
            let got = match own.property(name) {
                Some(property) => times.value_in_range(property, own, w),
                None => times.effective_in_range(name, own, w),
            };
            assert_eq!(got, expect, "{name} {from} {to}");
        }
    }

    /// What does not recur is decided without expanding; a long window is gone through no further than it must be.
    #[test]
    fn work_is_bounded() {
        let single = object("VEVENT", "DTSTART:20260105T090000Z");
        let times = Times::of(&single, &UTC);
        assert!(times.in_range(single.components().next().unwrap(), None, window("-", "20900101T000000Z")));
        assert!(times.last.borrow().is_none());
        let daily = object("VEVENT", "DTSTART:19700105T090000Z\nRRULE:FREQ=DAILY");
        let times = Times::of(&daily, &UTC);
        assert!(times.in_range(daily.components().next().unwrap(), None, window("20260101T000000Z", "-")));
        let last = times.last.borrow();
        let (of, found) = last.as_ref().unwrap();
        assert_eq!((of.end.0 - of.start.0, found.as_ref().unwrap().len()), (YEAR, 366));
        // More than is gone through: it is busy as far as anybody knows.
        let seconds = object("VEVENT", "DTSTART:19700105T090000Z\nRRULE:FREQ=SECONDLY");
        let times = Times::of(&seconds, &UTC);
        assert!(times.in_range(seconds.components().next().unwrap(), None, window("20260101T000000Z", "-")));
    }
}
