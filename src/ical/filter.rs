//! calendar-query filters (RFC 4791 9.7) against an object, and what of it to give back (9.6).

use std::cell::RefCell;

use jiff::tz::TimeZone;

use super::recur::{self, Instance};
use super::text::Property;
use super::time::{self, DAY, Duration};
use super::zone::{self, Zones};
use super::{Component, Instant, Kind, Object, Window};

/// `CALDAV:comp-filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompFilter {
    pub name: String,
    pub is_not_defined: bool,
    pub time_range: Option<Window>,
    pub props: Vec<PropFilter>,
    pub comps: Vec<CompFilter>,
}

/// `CALDAV:prop-filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropFilter {
    pub name: String,
    pub is_not_defined: bool,
    pub time_range: Option<Window>,
    pub text: Option<TextMatch>,
    pub params: Vec<ParamFilter>,
}

/// `CALDAV:param-filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamFilter {
    pub name: String,
    pub is_not_defined: bool,
    pub text: Option<TextMatch>,
}

/// `CALDAV:text-match`: a substring unless `kind` says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextMatch {
    pub text: String,
    pub collation: Collation,
    pub negate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collation {
    /// `i;ascii-casemap`, the default.
    AsciiCasemap,
    /// `i;octet`.
    Octet,
    /// `i;unicode-casemap`.
    UnicodeCasemap,
}

impl CompFilter {
    /// The whole window this filter confines VEVENTs to, when it is nothing but
    /// VCALENDAR / VEVENT / time-range: the question the time index answers alone.
    pub fn only_event_window(&self) -> Option<Window> {
        let [event] = self.comps.as_slice() else { return None };
        let plain = self.is("VCALENDAR") && self.time_range.is_none() && self.props.is_empty();
        let only = event.is("VEVENT") && event.props.is_empty() && event.comps.is_empty();
        event.time_range.filter(|_| plain && only)
    }

    /// A window outside of which nothing can match; `None`: every time may.
    pub fn window(&self) -> Option<Window> {
        let timed = |c: &&CompFilter| c.is("VEVENT") || c.is("VTODO") || c.is("VJOURNAL");
        self.comps.iter().filter(timed).find_map(|c| c.time_range).filter(|_| self.is("VCALENDAR"))
    }

    /// The one component kind below VCALENDAR that can match, if the filter names just one.
    pub fn kind(&self) -> Option<Kind> {
        if !self.is("VCALENDAR") {
            return None;
        }
        self.comps.iter().filter(|c| !c.is_not_defined).find_map(|c| match c.name.to_ascii_uppercase().as_str() {
            "VEVENT" => Some(Kind::Event),
            "VTODO" => Some(Kind::Todo),
            "VJOURNAL" => Some(Kind::Journal),
            "VFREEBUSY" | "VAVAILABILITY" => Some(Kind::Other),
            _ => None,
        })
    }

    /// Asks for a component of that name (not for its absence).
    fn is(&self, name: &str) -> bool {
        !self.is_not_defined && self.name.eq_ignore_ascii_case(name)
    }
}

/// Whether `object` matches a filter whose root is VCALENDAR. Floating times are taken in `zone`.
/// An object whose times can not be told matches every time range: unknown is not absent.
pub fn matches(filter: &CompFilter, object: &Object, zone: &TimeZone) -> bool {
    let calendar = object.calendar();
    if !filter.name.eq_ignore_ascii_case(calendar.name()) {
        return filter.is_not_defined;
    }
    let asked = Asked { object, zone, zones: Zones::of(calendar), last: RefCell::new(None) };
    !filter.is_not_defined
        && filter.time_range.is_none_or(|w| calendar.components.iter().any(|c| asked.in_range(c, None, w)))
        && filter.props.iter().all(|p| asked.prop(p, calendar))
        && filter.comps.iter().all(|c| asked.comp(c, calendar, None))
}

/// The question's object and zone, and the last expansion made for it.
struct Asked<'a> {
    object: &'a Object,
    zone: &'a TimeZone,
    zones: Zones<'a>,
    last: RefCell<Option<Expansion<'a>>>,
}

const YEAR: i64 = 366 * DAY;

type Expansion<'a> = (Window, Result<Vec<Instance<'a>>, recur::Error>);

impl Asked<'_> {
    /// RFC 4791 9.7.1. `grand` is the component `parent` stands in, when it is one of an object's own.
    fn comp(&self, filter: &CompFilter, parent: &Component, own: Option<&Component>) -> bool {
        let mut named = parent.components.iter().filter(|c| c.name().eq_ignore_ascii_case(&filter.name));
        if filter.is_not_defined {
            return named.next().is_none();
        }
        named.any(|c| {
            // Cheap questions first.
            filter.props.iter().all(|p| self.prop(p, c))
                && filter.comps.iter().all(|f| self.comp(f, c, own.or(Some(c))))
                && filter.time_range.is_none_or(|w| self.in_range(c, own, w))
        })
    }

    /// RFC 4791 9.7.2.
    fn prop(&self, filter: &PropFilter, component: &Component) -> bool {
        let mut named = component.properties.iter().filter(|p| p.name().eq_ignore_ascii_case(&filter.name));
        if filter.is_not_defined {
            return named.next().is_none();
        }
        named.any(|p| {
            filter.time_range.is_none_or(|w| self.value_in_range(p, w))
                && filter.text.as_ref().is_none_or(|t| t.holds(&p.text()))
                && filter.params.iter().all(|f| f.holds(p))
        })
    }

    /// Whether a DATE or DATE-TIME value lies in `window`, a DATE with any part of its day.
    fn value_in_range(&self, property: &Property, window: Window) -> bool {
        property.value().split(',').any(|value| {
            let value = value.split('/').next().unwrap_or_default();
            let Some((wall, written)) = time::parse(value) else { return false };
            // A zone that is not known may well be one where it matches.
            let Ok(when) = recur::when_of(wall, written, property, &self.zones) else { return true };
            let at = when.at(self.zone);
            let end = if when.is_date() { when.frame.at(when.wall + DAY, self.zone) } else { at.plus(1) };
            at < window.end && end > window.start
        })
    }

    /// RFC 4791 9.9. `own`: the VEVENT or VTODO that `component` (a VALARM) belongs to.
    fn in_range(&self, component: &Component, own: Option<&Component>, window: Window) -> bool {
        match component.name() {
            "VEVENT" => self.any_instance(component, window, |_| true),
            "VTODO" => self.todo_in_range(component, window),
            "VJOURNAL" => self.any_instance(component, window, |i| i.all_day || i.start >= window.start),
            "VFREEBUSY" => self.freebusy_in_range(component, window),
            "VALARM" => own.is_some_and(|own| self.alarm_in_range(component, own, window)),
            "VAVAILABILITY" => {
                let at = |name: &str| component.property(name).and_then(|p| self.at(p));
                at("DTSTART").is_none_or(|start| start < window.end) && at("DTEND").is_none_or(|end| end > window.start)
            }
            _ => false,
        }
    }

    /// Whether an instance that `component` stands for overlaps `window` and `holds`.
    fn any_instance(&self, component: &Component, window: Window, holds: impl Fn(&Instance<'_>) -> bool) -> bool {
        let found = |w: Window| self.expanded(w, |i| std::ptr::eq(i.component, component) && holds(i));
        // Most that recur do so soon: of a long window a year first, and all of it only when that finds nothing.
        if window.end.0.saturating_sub(window.start.0) > 2 * YEAR {
            let first = self.object.span().first.map_or(window.start, |first| first.max(window.start));
            let year = Window { start: first, end: first.plus(YEAR).min(window.end) };
            if year.start < year.end && found(year) == Ok(true) {
                return true;
            }
        }
        found(window).unwrap_or(true)
    }

    fn expanded(&self, window: Window, holds: impl Fn(&Instance<'_>) -> bool) -> Result<bool, recur::Error> {
        let mut last = self.last.borrow_mut();
        if last.as_ref().is_none_or(|(of, _)| *of != window) {
            let found = recur::instances(self.object, window, self.zone, recur::Limits::default());
            *last = Some((window, found));
        }
        match &*last {
            Some((_, Ok(found))) => Ok(found.iter().any(holds)),
            Some((_, Err(e))) => Err(e.clone()),
            None => Ok(false),
        }
    }

    fn at(&self, property: &Property) -> Option<Instant> {
        recur::when(property, &self.zones).ok().map(|when| when.at(self.zone))
    }

    /// The eight rows of VTODO. Some of them hold at the very end of the window: it is asked a second wider.
    fn todo_in_range(&self, todo: &Component, window: Window) -> bool {
        let Window { start, end } = window;
        let has = |name: &str| todo.property(name).is_some();
        let wide = Window { start: start.plus(-1), end: end.plus(1) };
        match (has("DTSTART"), has("DURATION"), has("DUE")) {
            (true, true, false) => self.any_instance(todo, wide, |i| start <= i.end && (end > i.start || end >= i.end)),
            (true, _, true) => self
                .any_instance(todo, wide, |i| (start < i.end || start <= i.start) && (end > i.start || end >= i.end)),
            (true, false, false) => self.any_instance(todo, wide, |i| start <= i.start && end > i.start),
            (false, _, true) => self.any_instance(todo, wide, |i| start < i.end && end >= i.end),
            (false, _, false) => {
                let at = |name: &str| todo.property(name).and_then(|p| self.at(p));
                match (at("COMPLETED"), at("CREATED")) {
                    (Some(done), Some(made)) => (start <= made || start <= done) && (end >= made || end >= done),
                    (Some(done), None) => start <= done && end >= done,
                    (None, Some(made)) => end > made,
                    (None, None) => true,
                }
            }
        }
    }

    fn freebusy_in_range(&self, component: &Component, window: Window) -> bool {
        let at = |name: &str| component.property(name).and_then(|p| self.at(p));
        if let (Some(start), Some(end)) = (at("DTSTART"), at("DTEND")) {
            return window.start <= end && window.end > start;
        }
        let mut periods = component.all("FREEBUSY").flat_map(|p| p.value().split(',')).filter_map(period);
        periods.any(|p| window.start < p.end && window.end > p.start)
    }

    /// A trigger, and its repetitions, of any instance that `own` stands for.
    fn alarm_in_range(&self, alarm: &Component, own: &Component, window: Window) -> bool {
        let Some(trigger) = alarm.property("TRIGGER") else { return false };
        let number = |name: &str| alarm.value(name).and_then(|v| v.trim().parse::<i64>().ok()).unwrap_or(0);
        let pause = alarm.value("DURATION").and_then(Duration::parse).map_or(0, Duration::nominal);
        let repeat = if pause > 0 { number("REPEAT").clamp(0, 1_000_000) } else { 0 };
        let rings = |at: Instant| {
            // The first repetition at or after the window's start, if there is one so late.
            let later = if at < window.start && repeat > 0 { (window.start.0 - at.0 + pause - 1) / pause } else { 0 };
            let at = at.plus(later.min(repeat) * pause);
            window.start <= at && at < window.end
        };
        let Some(offset) = Duration::parse(trigger.value()).map(Duration::nominal) else {
            return self.at(trigger).is_some_and(rings);
        };
        let of_end = trigger.param("RELATED").is_some_and(|r| r.eq_ignore_ascii_case("END"));
        let wide = Window { start: window.start.plus(-offset - repeat * pause - 1), end: window.end.plus(-offset + 1) };
        self.any_instance(own, wide, |i| rings(if of_end { i.end } else { i.start }.plus(offset)))
    }
}

/// A PERIOD in UTC, with an end or a duration.
fn period(text: &str) -> Option<Window> {
    let (start, end) = text.trim().split_once('/')?;
    let (start, _) = time::parse(start)?;
    let end = match time::parse(end) {
        Some((end, _)) => end,
        None => start + Duration::parse(end)?.nominal(),
    };
    Some(Window { start: Instant(start), end: Instant(end) })
}

impl ParamFilter {
    fn holds(&self, property: &Property) -> bool {
        let mut named = property.params().filter(|p| p.name().eq_ignore_ascii_case(&self.name));
        if self.is_not_defined {
            return named.next().is_none();
        }
        named.any(|param| {
            let values: Vec<_> = param.values().collect();
            // A parameter of several values is looked at value by value, and once when it has none.
            self.text.as_ref().is_none_or(|t| match values.as_slice() {
                [] => t.holds(""),
                values if t.negate => values.iter().all(|v| t.holds(v)),
                values => values.iter().any(|v| t.holds(v)),
            })
        })
    }
}

impl TextMatch {
    /// Whether `text` contains ours, by the collation, or does not when negated (RFC 4791 9.7.5).
    fn holds(&self, text: &str) -> bool {
        let found = match self.collation {
            Collation::Octet => text.contains(&self.text),
            Collation::AsciiCasemap => text.to_ascii_lowercase().contains(&self.text.to_ascii_lowercase()),
            Collation::UnicodeCasemap => text.to_lowercase().contains(&self.text.to_lowercase()),
        };
        found != self.negate
    }
}

/// `CALDAV:comp` inside `calendar-data`: which components and properties to give back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompSelect {
    pub name: String,
    /// `None`: all (`allprop`).
    pub props: Option<Vec<PropSelect>>,
    /// `None`: all (`allcomp`).
    pub comps: Option<Vec<CompSelect>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropSelect {
    pub name: String,
    pub novalue: bool,
}

/// `CALDAV:calendar-data` as asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Select {
    pub comp: Option<CompSelect>,
    pub expand: Option<Window>,
    pub limit_recurrence_set: Option<Window>,
    pub limit_freebusy_set: Option<Window>,
}

/// The text of `object` as `select` asks for it. With an empty `select` it is `object.text()` itself.
pub fn select(
    object: &Object,
    select: &Select,
    zone: &TimeZone,
    limits: recur::Limits,
) -> Result<String, recur::Error> {
    if *select == Select::default() {
        return Ok(object.text().to_owned());
    }
    let mut calendar = match select.expand {
        Some(window) => expanded(object, window, zone, limits)?,
        None => object.calendar().clone(),
    };
    if let Some(window) = select.limit_recurrence_set {
        limit_recurrence_set(object, &mut calendar, window, zone);
    }
    if let Some(window) = select.limit_freebusy_set {
        limit_freebusy_set(&mut calendar, window);
    }
    Ok(match &select.comp {
        Some(comp) => picked(&calendar, comp).print_new(),
        None => calendar.print_new(),
    })
}

/// RFC 4791 9.6.5: each instance by itself, in UTC, with RECURRENCE-ID where it recurs; no rules, no VTIMEZONE.
/// DATE and floating values stay what they are: they name no time zone.
fn expanded(
    object: &Object,
    window: Window,
    zone: &TimeZone,
    limits: recur::Limits,
) -> Result<Component, recur::Error> {
    let calendar = object.calendar();
    let zones = Zones::of(calendar);
    let mut out = Component::new(calendar.name()).with(calendar.properties.iter().cloned());
    if object.kind() == Kind::Other {
        out.components = object.components().cloned().collect();
        return Ok(out);
    }
    for instance in recur::instances(object, window, zone, limits)? {
        let source = instance.component;
        let like = |name: &str, at: Instant, of: Option<&Property>| written(name, at, of, instance.all_day, zone);
        let mut component = in_utc(source, &zones);
        ["RRULE", "RDATE", "EXRULE", "EXDATE", "RECURRENCE-ID"].iter().for_each(|name| component.remove(name));
        let start = source.property("DTSTART");
        let end = if source.name() == "VTODO" { "DUE" } else { "DTEND" };
        if start.is_some() {
            component.set(like("DTSTART", instance.start, start));
        }
        if source.property(end).is_some() || source.property("DURATION").is_some() {
            // As an end: a nominal duration would be read along another zone's clock.
            component.remove("DURATION");
            component.set(like(end, instance.end, source.property(end).or(start)));
        }
        if let Some(id) = instance.recurrence_id {
            let of = object.master().and_then(|m| m.property("DTSTART")).or(source.property("RECURRENCE-ID"));
            let date = of.is_some_and(|p| matches!(time::parse(p.value()), Some((_, time::Written::Date))));
            let at = component.properties.iter().position(|p| p.name() == "DTSTART").map_or(0, |n| n + 1);
            component.properties.insert(at, written("RECURRENCE-ID", id, of, date, zone));
        }
        out.components.push(component);
    }
    Ok(out)
}

/// `at` as a property in the form of `of`: a DATE, floating, or UTC.
fn written(name: &str, at: Instant, of: Option<&Property>, date: bool, reader: &TimeZone) -> Property {
    let floats = of.is_some_and(|p| {
        p.param("TZID").is_none() && matches!(time::parse(p.value()), Some((_, time::Written::Local)))
    });
    if date {
        Property::new(name, time::format_date(zone::wall(at, reader))).with_param("VALUE", "DATE")
    } else if floats {
        Property::new(name, time::format_local(zone::wall(at, reader)))
    } else {
        Property::new(name, time::format_utc(at))
    }
}

/// The component with all times that name a zone in UTC, those below it included.
fn in_utc(component: &Component, zones: &Zones<'_>) -> Component {
    let property = |p: &Property| {
        let zoned = p.param("TZID").is_some();
        match recur::when(p, zones) {
            Ok(when) if zoned && !when.frame.floats() => {
                let mut utc = Property::new(p.name(), time::format_utc(when.at(&TimeZone::UTC)));
                for param in p.params().filter(|param| param.name() != "TZID") {
                    let values: Vec<_> = param.values().collect();
                    utc = utc.with_values(param.name(), values.iter().map(|v| v.as_ref()));
                }
                utc
            }
            _ => p.clone(),
        }
    };
    Component::new(component.name())
        .with(component.properties.iter().map(property))
        .with_components(component.components.iter().map(|c| in_utc(c, zones)))
}

/// RFC 4791 9.6.6: of the overrides only those that are in `window`, or whose instance would have been. What stands
/// for all that follows stays when that may reach the window; what can not be told stays.
fn limit_recurrence_set(object: &Object, calendar: &mut Component, window: Window, zone: &TimeZone) {
    let zones = Zones::of(object.calendar());
    let length = object.master().map_or(0, |master| {
        let alone = |name: &str| master.property(name).and_then(|p| recur::when(p, &zones).ok());
        let at = |name: &str| alone(name).map(|when| when.at(zone).0);
        let duration = master.value("DURATION").and_then(Duration::parse).map(Duration::nominal);
        at("DTEND").zip(at("DTSTART")).map(|(end, start)| end - start).or(duration).unwrap_or(0)
    });
    let overlaps = |start: Instant, end: Instant| start < window.end && end.max(start.plus(1)) > window.start;
    calendar.components.retain(|c| {
        let Some(id) = c.property("RECURRENCE-ID") else { return true };
        let Ok(id_at) = recur::when(id, &zones) else { return true };
        let day = if id_at.is_date() { DAY } else { 0 };
        let id_at = id_at.at(zone);
        if id.param("RANGE").is_some() && id_at < window.end || overlaps(id_at, id_at.plus(length.max(day))) {
            return true;
        }
        let all = recur::own_window(c, &zones, zone);
        all.is_none_or(|w| overlaps(w.start, w.end))
    });
}

/// RFC 4791 9.6.7: of FREEBUSY only the periods that overlap `window`.
fn limit_freebusy_set(calendar: &mut Component, window: Window) {
    for component in calendar.components.iter_mut().filter(|c| c.name() == "VFREEBUSY") {
        for property in component.properties.iter_mut().filter(|p| p.name() == "FREEBUSY") {
            let inside = |text: &&str| period(text).is_none_or(|p| p.start < window.end && p.end > window.start);
            let inside = property.value().split(',').filter(inside).collect::<Vec<_>>().join(",");
            if inside.len() != property.value().len() {
                property.set_value(&inside);
            }
        }
        component.properties.retain(|p| p.name() != "FREEBUSY" || !p.value().is_empty());
    }
}

/// RFC 4791 9.6.1: the parts of `component` that `comp` names.
fn picked(component: &Component, comp: &CompSelect) -> Component {
    let mut out = Component::new(component.name());
    out.properties = match &comp.props {
        None => component.properties.clone(),
        Some(wanted) => component
            .properties
            .iter()
            .filter_map(|p| {
                let want = wanted.iter().find(|w| w.name.eq_ignore_ascii_case(p.name()))?;
                Some(if want.novalue { Property::new(p.name(), "") } else { p.clone() })
            })
            .collect(),
    };
    out.components = match &comp.comps {
        None => component.components.clone(),
        Some(wanted) => component
            .components
            .iter()
            .filter_map(|c| Some(picked(c, wanted.iter().find(|w| w.name.eq_ignore_ascii_case(c.name()))?)))
            .collect(),
    };
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: &str, to: &str) -> Window {
        let at = |text: &str| match text {
            "-" => None,
            text => Some(Instant(time::parse(text).unwrap().0)),
        };
        Window { start: at(from).unwrap_or(Instant::MIN), end: at(to).unwrap_or(Instant::MAX) }
    }

    fn object(kind: &str, lines: &str) -> Object {
        let text = format!("BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:{kind}\nUID:1\n{lines}\nEND:{kind}\nEND:VCALENDAR\n");
        Object::parse(&text.replace("\n\n", "\n")).unwrap_or_else(|e| panic!("{e}\n{text}"))
    }

    fn comp(name: &str) -> CompFilter {
        CompFilter { name: name.to_owned(), is_not_defined: false, time_range: None, props: vec![], comps: vec![] }
    }

    fn prop(name: &str) -> PropFilter {
        PropFilter { name: name.to_owned(), is_not_defined: false, time_range: None, text: None, params: vec![] }
    }

    fn text(text: &str, collation: Collation, negate: bool) -> Option<TextMatch> {
        Some(TextMatch { text: text.to_owned(), collation, negate })
    }

    /// A filter VCALENDAR / `inner`.
    fn within(inner: CompFilter) -> CompFilter {
        CompFilter { comps: vec![inner], ..comp("VCALENDAR") }
    }

    /// Rows: the component's lines, a window, whether it matches. Each is a row of a table in RFC 4791 9.9.
    fn check_ranges(kind: &str, rows: &[(&str, &str, &str, bool)]) {
        for (lines, from, to, expect) in rows {
            let filter = within(CompFilter { time_range: Some(window(from, to)), ..comp(kind) });
            let object = object(kind, lines);
            assert_eq!(matches(&filter, &object, &TimeZone::UTC), *expect, "{lines:?} {from} {to}");
            // What matches is also found by the span that the store keeps.
            let span = object.span();
            let w = window(from, to);
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
        ];
        for (lines, alarm, from, to, expect) in cases {
            let object = object("VEVENT", &format!("{lines}BEGIN:VALARM\n{alarm}\nEND:VALARM"));
            let alarm_filter = CompFilter { time_range: Some(window(from, to)), ..comp("VALARM") };
            let filter = within(CompFilter { comps: vec![alarm_filter], ..comp("VEVENT") });
            assert_eq!(matches(&filter, &object, &TimeZone::UTC), expect, "{alarm} {from} {to}");
            // The alarm may ring far from the event: the filter names no window for the index.
            assert_eq!(filter.window(), None);
        }
    }

    #[test]
    fn properties_and_parameters() {
        use Collation::{AsciiCasemap, Octet, UnicodeCasemap};
        let object = object(
            "VEVENT",
            "DTSTART;TZID=Europe/Berlin:20260105T090000\nSUMMARY;LANGUAGE=de:Über\\, und ÜBER\nATTENDEE;PARTSTAT=NEEDS-ACTION;\n \
             MEMBER=\"mailto:a@x\",\"mailto:b@x\":mailto:lisa@example.com\nATTENDEE;PARTSTAT=ACCEPTED:mailto:max@example.com",
        );
        let with = |name: &str, text: Option<TextMatch>| PropFilter { text, ..prop(name) };
        let param = |name: &str, text: Option<TextMatch>, is_not_defined| {
            let params = vec![ParamFilter { name: name.to_owned(), is_not_defined, text }];
            PropFilter { params, ..prop("ATTENDEE") }
        };
        let absent = |name: &str| PropFilter { is_not_defined: true, ..prop(name) };
        let ranged = |name: &str, from, to| PropFilter { time_range: Some(window(from, to)), ..prop(name) };
        let cases = [
            (prop("SUMMARY"), true),
            (prop("summary"), true),
            (prop("LOCATION"), false),
            (absent("LOCATION"), true),
            (absent("SUMMARY"), false),
            (with("SUMMARY", text("BER", AsciiCasemap, false)), true),
            (with("SUMMARY", text(", und", AsciiCasemap, false)), true),
            (with("SUMMARY", text("über", AsciiCasemap, false)), false),
            (with("SUMMARY", text("über", UnicodeCasemap, false)), true),
            (with("SUMMARY", text("Über", Octet, false)), true),
            (with("SUMMARY", text("UND", Octet, false)), false),
            (with("SUMMARY", text("UND", AsciiCasemap, true)), false),
            (with("SUMMARY", text("nothing", AsciiCasemap, true)), true),
            (with("LOCATION", text("nothing", AsciiCasemap, true)), false),
            (with("ATTENDEE", text("MAX@", AsciiCasemap, false)), true),
            (param("PARTSTAT", None, false), true),
            (param("ROLE", None, false), false),
            (param("ROLE", None, true), true),
            (param("PARTSTAT", None, true), false),
            (param("PARTSTAT", text("needs", AsciiCasemap, false), false), true),
            (param("PARTSTAT", text("declined", AsciiCasemap, false), false), false),
            (param("MEMBER", text("b@x", AsciiCasemap, false), false), true),
            (param("MEMBER", text("b@x", AsciiCasemap, true), false), false),
            (ranged("DTSTART", "20260105T080000Z", "20260105T080001Z"), true),
            (ranged("DTSTART", "20260105T080001Z", "20260105T090000Z"), false),
            (ranged("SUMMARY", "-", "-"), false),
        ];
        for (filter, expect) in cases {
            let whole = within(CompFilter { props: vec![filter.clone()], ..comp("VEVENT") });
            assert_eq!(matches(&whole, &object, &TimeZone::UTC), expect, "{filter:?}");
        }
        // The text and the parameter must be of one and the same property.
        let mut both = param("PARTSTAT", text("ACCEPTED", AsciiCasemap, false), false);
        both.text = text("lisa", AsciiCasemap, false);
        assert!(!matches(&within(CompFilter { props: vec![both], ..comp("VEVENT") }), &object, &TimeZone::UTC));
    }

    #[test]
    fn components() {
        let event = object("VEVENT", "DTSTART:20260105T090000Z\nBEGIN:VALARM\nACTION:AUDIO\nEND:VALARM");
        let absent = |name: &str| CompFilter { is_not_defined: true, ..comp(name) };
        let inside = |inner: CompFilter| within(CompFilter { comps: vec![inner], ..comp("VEVENT") });
        let cases = [
            (comp("VCALENDAR"), true),
            (comp("VEVENT"), false),
            (absent("VCALENDAR"), false),
            (within(comp("VEVENT")), true),
            (within(comp("vevent")), true),
            (within(comp("VTODO")), false),
            (within(absent("VTODO")), true),
            (within(absent("VEVENT")), false),
            (inside(comp("VALARM")), true),
            (inside(absent("VALARM")), false),
            (CompFilter { comps: vec![comp("VEVENT"), comp("VTODO")], ..comp("VCALENDAR") }, false),
            (CompFilter { props: vec![prop("VERSION")], ..comp("VCALENDAR") }, true),
        ];
        for (filter, expect) in cases {
            assert_eq!(matches(&filter, &event, &TimeZone::UTC), expect, "{filter:?}");
        }
    }

    /// A time range and a text must hold of one component: the override, or the master where it still stands.
    #[test]
    fn an_override_answers_for_itself() {
        let text_of = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nDTSTART:20260105T090000Z\nRRULE:FREQ=DAILY;COUNT=3\n\
            SUMMARY:plain\nEND:VEVENT\nBEGIN:VEVENT\nUID:1\nRECURRENCE-ID:20260106T090000Z\nDTSTART:20260110T090000Z\n\
            SUMMARY:moved\nEND:VEVENT\nEND:VCALENDAR\n";
        let object = Object::parse(text_of).unwrap();
        let cases = [
            ("plain", "20260105T000000Z", "20260106T000000Z", true),
            ("plain", "20260106T000000Z", "20260107T000000Z", false),
            ("moved", "20260106T000000Z", "20260107T000000Z", false),
            ("moved", "20260110T000000Z", "20260111T000000Z", true),
            ("plain", "20260110T000000Z", "20260111T000000Z", false),
        ];
        for (title, from, to, expect) in cases {
            let props = vec![PropFilter { text: text(title, Collation::Octet, false), ..prop("SUMMARY") }];
            let filter = within(CompFilter { props, time_range: Some(window(from, to)), ..comp("VEVENT") });
            assert_eq!(matches(&filter, &object, &TimeZone::UTC), expect, "{title} {from}");
        }
    }

    #[test]
    fn knows_what_the_index_can_answer() {
        let w = window("20260101", "20260201");
        let ranged = |name: &str| CompFilter { time_range: Some(w), ..comp(name) };
        let more = CompFilter { props: vec![prop("SUMMARY")], ..ranged("VEVENT") };
        let cases = [
            (within(ranged("VEVENT")), Some(w), Some(w), Some(Kind::Event)),
            (within(comp("VEVENT")), None, None, Some(Kind::Event)),
            (within(more), None, Some(w), Some(Kind::Event)),
            (within(ranged("VTODO")), None, Some(w), Some(Kind::Todo)),
            (within(ranged("VFREEBUSY")), None, None, Some(Kind::Other)),
            (within(CompFilter { is_not_defined: true, ..comp("VEVENT") }), None, None, None),
            (comp("VCALENDAR"), None, None, None),
            (CompFilter { props: vec![prop("X")], ..within(ranged("VEVENT")) }, None, Some(w), Some(Kind::Event)),
        ];
        for (filter, only, outer, kind) in cases {
            assert_eq!((filter.only_event_window(), filter.window(), filter.kind()), (only, outer, kind), "{filter:?}");
        }
    }

    const SERIES: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\n\
        END:VTIMEZONE\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;TZID=Europe/Berlin:20260105T090000\r\nDURATION:PT1H\r\n\
        RRULE:FREQ=DAILY;COUNT=5\r\nEXDATE;TZID=Europe/Berlin:20260106T090000\r\nSUMMARY:a\r\nEND:VEVENT\r\n\
        BEGIN:VEVENT\r\nUID:1\r\nRECURRENCE-ID;TZID=Europe/Berlin:20260107T090000\r\n\
        DTSTART;TZID=Europe/Berlin:20260107T120000\r\nDTEND;TZID=Europe/Berlin:20260107T130000\r\nSUMMARY:b\r\n\
        END:VEVENT\r\nEND:VCALENDAR\r\n";

    fn selected(source: &str, ask: &Select) -> String {
        let text = select(&Object::parse(source).unwrap(), ask, &TimeZone::UTC, recur::Limits::default()).unwrap();
        // One line a component.
        text.replace("\r\nEND:", " /").replace("\r\n", " ").replace("BEGIN:V", "\nV").trim().to_owned()
    }

    #[test]
    fn expands() {
        assert_eq!(
            select(&Object::parse(SERIES).unwrap(), &Select::default(), &TimeZone::UTC, Default::default()).unwrap(),
            SERIES
        );
        let ask = Select { expand: Some(window("20260106", "20260109")), ..Select::default() };
        assert_eq!(
            selected(SERIES, &ask),
            "VCALENDAR VERSION:2.0 PRODID:x \n\
             VEVENT UID:1 DTSTART:20260107T110000Z RECURRENCE-ID:20260107T080000Z DTEND:20260107T120000Z SUMMARY:b /VEVENT \n\
             VEVENT UID:1 DTSTART:20260108T080000Z RECURRENCE-ID:20260108T080000Z SUMMARY:a DTEND:20260108T090000Z /VEVENT \
             /VCALENDAR"
        );
        let days = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nDTSTART;VALUE=DATE:20260105\nRRULE:FREQ=DAILY\nEND:VEVENT\nEND:VCALENDAR\n";
        assert_eq!(
            selected(days, &Select { expand: Some(window("20260107", "20260108")), ..Select::default() }),
            "VCALENDAR \nVEVENT UID:1 DTSTART;VALUE=DATE:20260107 RECURRENCE-ID;VALUE=DATE:20260107 /VEVENT /VCALENDAR"
        );
        let floating = "BEGIN:VCALENDAR\nBEGIN:VTODO\nUID:1\nDUE:20260105T100000\nEND:VTODO\nEND:VCALENDAR\n";
        assert_eq!(
            selected(floating, &Select { expand: Some(window("20260105", "20260106")), ..Select::default() }),
            "VCALENDAR \nVTODO UID:1 DUE:20260105T100000 /VTODO /VCALENDAR"
        );
    }

    #[test]
    fn limits_the_recurrence_set() {
        let ask = |from, to| Select { limit_recurrence_set: Some(window(from, to)), ..Select::default() };
        let has = |from, to| selected(SERIES, &ask(from, to)).contains("SUMMARY:b");
        // Where it is, where it would have been, and elsewhere.
        assert!(has("20260107T110000Z", "20260107T113000Z"));
        assert!(has("20260107T083000Z", "20260107T090000Z"));
        assert!(!has("20260107T093000Z", "20260107T100000Z"));
        assert!(selected(SERIES, &ask("20300101", "20300102")).contains("RRULE"));
    }

    #[test]
    fn limits_the_freebusy_set() {
        let source = "BEGIN:VCALENDAR\nBEGIN:VFREEBUSY\nUID:1\nFREEBUSY:20260105T090000Z/PT1H,20260107T090000Z/PT1H\n\
            FREEBUSY;FBTYPE=FREE:20260101T090000Z/PT1H\nEND:VFREEBUSY\nEND:VCALENDAR\n";
        let ask = Select { limit_freebusy_set: Some(window("20260107", "20260108")), ..Select::default() };
        assert_eq!(
            selected(source, &ask),
            "VCALENDAR \nVFREEBUSY UID:1 FREEBUSY:20260107T090000Z/PT1H /VFREEBUSY /VCALENDAR"
        );
    }

    #[test]
    fn gives_back_the_parts_asked_for() {
        let prop = |name: &str, novalue| PropSelect { name: name.to_owned(), novalue };
        let event = CompSelect {
            name: "VEVENT".to_owned(),
            props: Some(vec![prop("UID", false), prop("summary", true)]),
            comps: None,
        };
        let comp = CompSelect {
            name: "VCALENDAR".to_owned(),
            props: Some(vec![prop("VERSION", false)]),
            comps: Some(vec![event]),
        };
        assert_eq!(
            selected(SERIES, &Select { comp: Some(comp), ..Select::default() }),
            "VCALENDAR VERSION:2.0 \nVEVENT UID:1 SUMMARY: /VEVENT \nVEVENT UID:1 SUMMARY: /VEVENT /VCALENDAR"
        );
    }
}
