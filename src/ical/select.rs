//! `CALDAV:calendar-data` (RFC 4791 9.6): what of an object to give back.
//!
//! Lines that are not touched keep their octets, and an object that nothing is taken from is its own text.

use std::collections::{BTreeSet, HashMap};

use jiff::tz::TimeZone;

use super::object::zone_names;
use super::range::{self, Times};
use super::recur::{self, Error, Instance, Limits};
use super::time::{self, Duration, Written};
use super::zone::{self, Zones};
use super::{Component, Instant, Kind, Object, Property, Window};

/// `CALDAV:comp`: which properties and components of one to give back (RFC 4791 9.6.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompSelect {
    /// In any case; the outermost is VCALENDAR.
    pub name: String,
    /// `None`: all (`allprop`).
    pub props: Option<Vec<PropSelect>>,
    /// `None`: all (`allcomp`).
    pub comps: Option<Vec<CompSelect>>,
}

/// `CALDAV:prop` (RFC 4791 9.6.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PropSelect {
    /// In any case.
    pub name: String,
    /// Name and parameters, without the value.
    pub novalue: bool,
}

/// `CALDAV:calendar-data` as asked for. Windows are half-open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Select {
    /// `None`: all of it.
    pub comp: Option<CompSelect>,
    /// Each instance by itself (RFC 4791 9.6.5).
    pub expand: Option<Window>,
    /// Only the overrides that have to do with a window (RFC 4791 9.6.6). Without meaning beside `expand`.
    pub limit_recurrence_set: Option<Window>,
    /// Only the FREEBUSY periods in a window (RFC 4791 9.6.7).
    pub limit_freebusy_set: Option<Window>,
    /// Whether the VTIMEZONEs of zones that the tz database names are put in where they are missing, or left out
    /// (RFC 7809 3.1); `None`: they are as they came.
    pub timezones: Option<bool>,
}

/// The text of `object` as `select` asks for it; `object.text()` itself when that takes nothing away.
/// Floating and all-day times are taken in `zone`. `limits` are those of `expand`, which alone can fail, and `room` is how
/// many octets the instances may have that it gives.
pub fn select(object: &Object, select: &Select, zone: &TimeZone, limits: Limits, room: usize) -> Result<String, Error> {
    let mut calendar;
    let mut changed = select.expand.is_some();
    match select.expand {
        Some(window) => calendar = expanded(object, window, zone, limits, room)?,
        None if *select == Select::default() => return Ok(object.text().to_owned()),
        None => {
            calendar = object.calendar().clone();
            if let Some(window) = select.limit_recurrence_set {
                changed |= limit_recurrence_set(object, &mut calendar, window, zone);
            }
        }
    }
    if let Some(window) = select.limit_freebusy_set {
        changed |= limit_freebusy_set(&mut calendar, window);
    }
    match select.timezones {
        Some(true) => changed |= with_zones(&mut calendar, object.span().first, object.span().last),
        Some(false) => {
            let before = calendar.components.len();
            let known = |c: &Component| c.name() == "VTIMEZONE" && c.value("TZID").is_some_and(zone::is_iana);
            calendar.components.retain(|c| !known(c));
            changed |= calendar.components.len() < before;
        }
        None => {}
    }
    if let Some(comp) = &select.comp {
        changed |= if comp.name.eq_ignore_ascii_case(calendar.name()) {
            pick(&mut calendar, comp)
        } else {
            // Who names a component within asks for it in its calendar.
            let within = CompSelect { name: String::new(), props: None, comps: Some(vec![comp.clone()]) };
            pick(&mut calendar, &within)
        };
    }
    Ok(match changed {
        false => object.text().to_owned(),
        true if select.expand.is_some() => calendar.print_new(),
        true => calendar.print(),
    })
}

/// RFC 4791 9.6.5: each instance in `window` by itself, in UTC, with RECURRENCE-ID where it recurs; no rules and no
/// VTIMEZONE. DATE and floating values stay what they are: they name no time zone.
fn expanded(object: &Object, window: Window, zone: &TimeZone, limits: Limits, room: usize) -> Result<Component, Error> {
    let calendar = object.calendar();
    let mut out = Component::new(calendar.name()).with(calendar.properties.iter().cloned());
    let times = Times::of(object, zone);
    if object.kind() == Kind::Other {
        for component in object.components().filter(|c| times.in_range(c, None, window)) {
            out.components.push(expanded_other(object, component, window, zone, limits, room)?);
        }
        return Ok(out);
    }
    let zones = Zones::of(calendar);
    let in_window = times.overlapping(window, limits)?;
    let mut sizes: HashMap<*const Component, usize> = HashMap::new();
    let size = |i: &Instance<'_>| *sizes.entry(std::ptr::from_ref(i.component)).or_insert_with(|| i.component.size());
    // A long component many times over is looked at before it is written.
    if in_window.iter().map(size).sum::<usize>() > room {
        return Err(Error::TooMany);
    }
    out.components.extend(in_window.iter().map(|i| one(object, i, &zones, zone)));
    // A VTODO may have no time, and be in the window for all that.
    let has_time = |c: &Component| c.said("DTSTART").or(c.said("DUE")).is_some();
    if object.kind() == Kind::Todo {
        let rest = object.components().filter(|c| !has_time(c) && times.in_range(c, None, window));
        out.components.extend(rest.map(|c| {
            let mut component = in_utc(c, &zones);
            RECURRENCE.iter().for_each(|name| component.remove(name));
            component
        }));
    }
    Ok(out)
}

/// Puts in the VTIMEZONEs of zones that are named, known, and not there. True: one was put in.
fn with_zones(calendar: &mut Component, first: Option<Instant>, last: Option<Instant>) -> bool {
    let mut named = Vec::new();
    calendar.components.iter().for_each(|c| zone_names(c, &mut named));
    let named: BTreeSet<String> = named.into_iter().map(|id| id.into_owned()).collect();
    let there = |id: &str| calendar.components.iter().any(|c| c.name() == "VTIMEZONE" && c.value("TZID") == Some(id));
    let (first, last) = (first.unwrap_or(Instant(0)), last.unwrap_or(Instant::MAX));
    let missing = named.iter().filter(|id| zone::is_iana(id) && !there(id));
    let zones: Vec<Component> =
        missing.filter_map(|id| Some(zone::vtimezone(id, &zone::named(id)?, first, last))).collect();
    let any = !zones.is_empty();
    calendar.components.splice(0..0, zones);
    any
}

/// What says how a component recurs.
const RECURRENCE: [&str; 4] = ["RRULE", "RDATE", "EXRULE", "EXDATE"];

/// A VFREEBUSY, or a VAVAILABILITY with each AVAILABLE in `window` by itself.
fn expanded_other(
    object: &Object,
    component: &Component,
    window: Window,
    zone: &TimeZone,
    limits: Limits,
    room: usize,
) -> Result<Component, Error> {
    let zones = Zones::of(object.calendar());
    let mut out = in_utc(component, &zones);
    if let Some(end) = end_of_availability(component, &zones) {
        out.properties.iter_mut().filter(|p| p.name() == "DURATION").for_each(|p| *p = end.clone());
    }
    let mut done: Vec<Option<&str>> = Vec::new();
    let mut instances: Vec<Component> = Vec::new();
    for uid in component.components.iter().filter(|c| c.name() == "AVAILABLE").map(|c| c.value("UID")) {
        if done.contains(&uid) {
            continue;
        }
        done.push(uid);
        let events =
            range::as_events(object.calendar(), &range::available(component, uid)).map_err(|_| Error::TooMany)?;
        let left = limits.instances.saturating_sub(instances.len());
        let found = expanded(&events, window, zone, Limits { instances: left, ..limits }, room)?;
        instances.extend(found.components.into_iter().map(|event| {
            Component::new("AVAILABLE")
                .with(event.properties.into_iter().filter(|p| uid.is_some() || p.name() != "UID"))
                .with_components(event.components)
        }));
    }
    out.components.retain(|c| c.name() != "AVAILABLE");
    out.components.extend(instances);
    Ok(out)
}

/// DTEND in place of a DURATION of days along the clock of a zone, which in UTC are others.
fn end_of_availability(component: &Component, zones: &Zones<'_>) -> Option<Property> {
    let length = component.said("DURATION").and_then(|p| Duration::parse(p.value())).filter(|d| d.days != 0)?;
    let start = recur::when(component.said("DTSTART")?, zones).ok().filter(|when| !when.frame.floats())?;
    let utc = &TimeZone::UTC;
    let end = range::shifted(start.at(utc), length, &start.frame, utc);
    (component.name() == "VAVAILABILITY").then(|| Property::new("DTEND", time::format_utc(end)))
}

/// One instance as a component of its own.
fn one(object: &Object, instance: &Instance<'_>, zones: &Zones<'_>, reader: &TimeZone) -> Component {
    let source = instance.component;
    let start = source.said("DTSTART");
    let end = if source.name() == "VTODO" { "DUE" } else { "DTEND" };
    let mut component = in_utc(source, zones);
    component.properties.retain(|p| p.name() != "RECURRENCE-ID" && !RECURRENCE.contains(&p.name()));
    for property in &mut component.properties {
        match property.name() {
            "DTSTART" => *property = written(source.property("DTSTART"), "DTSTART", instance.start, instance, reader),
            name if name == end => *property = written(source.property(end), end, instance.end, instance, reader),
            _ => {}
        }
    }
    // Nominal days in UTC are not those of another zone.
    let is_length = |p: &Property| {
        let walls = zone::wall(instance.end, reader) - zone::wall(instance.start, reader);
        Duration::parse(p.value()).is_some_and(|length| match length.days {
            0 => length.seconds == instance.end.0 - instance.start.0,
            _ => (floats(start) || instance.all_day) && length.nominal() == walls,
        })
    };
    if let Some(at) = component.properties.iter().position(|p| p.name() == "DURATION") {
        if component.said(end).is_some() {
            component.remove("DURATION");
        } else if !is_length(&component.properties[at]) {
            component.properties[at] =
                written(start.map(|s| s.renamed(end)).as_ref(), end, instance.end, instance, reader);
        }
    } else if component.said(end).is_none() && start.is_some() && longer(instance, reader) {
        // A PERIOD of RDATE has a length that the component does not.
        component.properties.push(written(start.map(|s| s.renamed(end)).as_ref(), end, instance.end, instance, reader));
    }
    if let Some(id) = instance.recurrence_id {
        let of = object.master().and_then(|m| m.said("DTSTART")).or(source.property("RECURRENCE-ID"));
        let at = component.properties.iter().position(|p| p.name() == "DTSTART").map_or(0, |n| n + 1);
        let date = of.is_some_and(|p| matches!(time::parse(p.value()), Some((_, Written::Date))) || says_date(p));
        component.properties.insert(at, Property::new("RECURRENCE-ID", said(id, date, floats(of), reader)));
        if date {
            component.properties[at].set_param("VALUE", "DATE");
        }
    }
    component
}

/// Whether an instance lasts longer than it would without an end.
fn longer(instance: &Instance<'_>, reader: &TimeZone) -> bool {
    let todo = instance.component.name() == "VTODO";
    let length = zone::wall(instance.end, reader) - zone::wall(instance.start, reader);
    length > if instance.all_day && !todo { time::DAY } else { 0 }
}

fn says_date(property: &Property) -> bool {
    property.param("VALUE").is_some_and(|v| v.eq_ignore_ascii_case("DATE"))
}

fn floats(property: Option<&Property>) -> bool {
    property.is_some_and(|p| {
        p.param("TZID").is_none_or(|zone| zone.is_empty())
            && matches!(time::parse(p.value()), Some((_, Written::Local)))
    })
}

fn said(at: Instant, date: bool, floats: bool, reader: &TimeZone) -> String {
    match (date, floats) {
        (true, _) => time::format_date(zone::wall(at, reader)),
        (_, true) => time::format_local(zone::wall(at, reader)),
        _ => time::format_utc(at),
    }
}

/// `like` with another time, in its form: a DATE, floating, or UTC. What it says already stays as it is written.
fn written(like: Option<&Property>, name: &str, at: Instant, instance: &Instance<'_>, reader: &TimeZone) -> Property {
    let value = said(at, instance.all_day, floats(like), reader);
    let Some(like) = like else { return Property::new(name, value) };
    let mut property = like.clone();
    property.retain_params(|p| p.name() != "TZID");
    if property.value() != value {
        property.set_value(&value);
    }
    if instance.all_day && !says_date(&property) {
        property.set_param("VALUE", "DATE");
    }
    property
}

/// The component with all times that name a zone in UTC, those below it included.
fn in_utc(component: &Component, zones: &Zones<'_>) -> Component {
    let property = |p: &Property| {
        let utc = |text: &str| -> Option<String> {
            let (wall, written) = time::parse(text)?;
            let when = recur::when_of(wall, written, p, zones).ok()?;
            (!when.frame.floats()).then(|| time::format_utc(when.at(&TimeZone::UTC)))
        };
        // Several values, or a period.
        let values = || -> Option<String> {
            let mut out = String::new();
            for value in p.value().split_inclusive([',', '/']) {
                let (text, sign) = value.split_at(value.len() - usize::from(value.ends_with([',', '/'])));
                match Duration::parse(text).filter(|_| out.ends_with('/')) {
                    Some(_) => out += text,
                    None => out += &utc(text)?,
                }
                out += sign;
            }
            Some(out)
        };
        match p.param("TZID").and_then(|_| values()) {
            Some(value) => {
                let mut property = p.clone();
                property.retain_params(|param| param.name() != "TZID");
                property.set_value(&value);
                property
            }
            None => p.clone(),
        }
    };
    Component::new(component.name())
        .with(component.properties.iter().map(property))
        .with_components(component.components.iter().map(|c| in_utc(c, zones)))
}

/// RFC 4791 9.6.6: the master and what is not an override stay. What can not be told stays. True: something went.
fn limit_recurrence_set(object: &Object, calendar: &mut Component, window: Window, zone: &TimeZone) -> bool {
    let times = Times::of(object, zone);
    let stays = |c: &Component| c.property("RECURRENCE-ID").is_none() || times.impacts(c, window);
    // The tree is a copy: its components stand where those of the object do.
    let keep: Vec<bool> = object.calendar().components.iter().map(stays).collect();
    let mut keep = keep.into_iter();
    let before = calendar.components.len();
    calendar.components.retain(|_| keep.next().unwrap_or(true));
    calendar.components.len() < before
}

/// RFC 4791 9.6.7: of FREEBUSY only the periods that overlap `window`. True: something went.
fn limit_freebusy_set(calendar: &mut Component, window: Window) -> bool {
    let mut changed = false;
    for component in calendar.components.iter_mut().filter(|c| c.name() == "VFREEBUSY") {
        component.properties.retain_mut(|property| {
            if property.name() != "FREEBUSY" {
                return true;
            }
            let inside = |text: &&str| range::period(text).is_none_or(|p| p.start < window.end && p.end > window.start);
            let left = property.value().split(',').filter(inside).collect::<Vec<_>>().join(",");
            if left.len() != property.value().len() {
                changed = true;
                property.set_value(&left);
            }
            !left.is_empty()
        });
    }
    changed
}

/// RFC 4791 9.6.1: leaves the parts of `component` that `comp` names. True: something went.
fn pick(component: &mut Component, comp: &CompSelect) -> bool {
    let mut changed = false;
    if let Some(wanted) = &comp.props {
        component.properties.retain_mut(|p| {
            let want = wanted.iter().find(|w| w.name.eq_ignore_ascii_case(p.name()));
            let drop_value = want.is_some_and(|w| w.novalue) && !p.value().is_empty();
            if drop_value {
                p.set_value("");
            }
            changed |= want.is_none() || drop_value;
            want.is_some()
        });
    }
    if let Some(wanted) = &comp.comps {
        component.components.retain_mut(|c| match wanted.iter().find(|w| w.name.eq_ignore_ascii_case(c.name())) {
            Some(want) => {
                changed |= pick(c, want);
                true
            }
            None => {
                changed = true;
                false
            }
        });
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: &str, to: &str) -> Window {
        let at = |text: &str| Instant(time::parse(text).unwrap().0);
        Window { start: at(from), end: at(to) }
    }

    const SERIES: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\n\
        END:VTIMEZONE\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;TZID=Europe/Berlin:20260105T090000\r\nDURATION:PT1H\r\n\
        RRULE:FREQ=DAILY;COUNT=5\r\nEXDATE;TZID=Europe/Berlin:20260106T090000\r\nSUMMARY:a\r\nEND:VEVENT\r\n\
        BEGIN:VEVENT\r\nUID:1\r\nRECURRENCE-ID;TZID=Europe/Berlin:20260107T090000\r\n\
        DTSTART;TZID=Europe/Berlin:20260107T120000\r\nDTEND;TZID=Europe/Berlin:20260107T130000\r\nSUMMARY:b\r\n\
        END:VEVENT\r\nEND:VCALENDAR\r\n";

    fn selected(source: &str, ask: &Select) -> String {
        let text =
            select(&Object::parse(source).unwrap(), ask, &TimeZone::UTC, recur::Limits::default(), 1 << 20).unwrap();
        // One line a component.
        let text = text.replace("\r\n", "\n").replace("\nEND:", " /").replace('\n', " ");
        text.replace("BEGIN:V", "\nV").trim().to_owned()
    }

    #[test]
    fn expands() {
        assert_eq!(
            select(&Object::parse(SERIES).unwrap(), &Select::default(), &TimeZone::UTC, Default::default(), 0).unwrap(),
            SERIES
        );
        let ask = Select { expand: Some(window("20260106", "20260109")), ..Select::default() };
        assert_eq!(
            selected(SERIES, &ask),
            "VCALENDAR VERSION:2.0 PRODID:x \n\
             VEVENT UID:1 DTSTART:20260107T110000Z RECURRENCE-ID:20260107T080000Z DTEND:20260107T120000Z SUMMARY:b /VEVENT \n\
             VEVENT UID:1 DTSTART:20260108T080000Z RECURRENCE-ID:20260108T080000Z DURATION:PT1H SUMMARY:a /VEVENT \
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

    fn of(kind: &str, lines: &str) -> String {
        format!("BEGIN:VCALENDAR\nBEGIN:{kind}\nUID:1\n{lines}\nEND:{kind}\nEND:VCALENDAR\n").replace("\n\n", "\n")
    }

    /// What an instance looks like by itself: the component's lines, the window, and the lines of the first instance.
    #[test]
    fn instances_stand_alone() {
        let cases = [
            // The night of summer time is 23 hours long; in UTC a day is not.
            (
                "VEVENT",
                "DTSTART;TZID=Europe/Berlin:20260328T120000\nDURATION:P1D\nRRULE:FREQ=DAILY",
                "20260328",
                "DTSTART:20260328T110000Z RECURRENCE-ID:20260328T110000Z DTEND:20260329T100000Z",
            ),
            (
                "VEVENT",
                "DTSTART;TZID=Europe/Berlin:20260328T120000\nDURATION:PT24H\nRRULE:FREQ=DAILY",
                "20260328",
                "DTSTART:20260328T110000Z RECURRENCE-ID:20260328T110000Z DURATION:PT24H",
            ),
            ("VEVENT", "DTSTART:20260328T120000\nDURATION:P1D", "20260328", "DTSTART:20260328T120000 DURATION:P1D"),
            (
                "VEVENT",
                "DTSTART;VALUE=DATE:20260328\nDURATION:P1D\nRRULE:FREQ=DAILY",
                "20260329",
                "DTSTART;VALUE=DATE:20260329 RECURRENCE-ID;VALUE=DATE:20260329 DURATION:P1D",
            ),
            ("VEVENT", "DTSTART:20260328", "20260328", "DTSTART;VALUE=DATE:20260328"),
            // Parameters stay, the zone goes; a line that says it already stays as it is written.
            (
                "VEVENT",
                "DTSTART;X-A=1;TZID=Europe/Berlin:20260328T120000\nDTEND;TZID=Asia/Tokyo;X-B=2:20260328T203000\nX-C:1",
                "20260328",
                "DTSTART;X-A=1:20260328T110000Z DTEND;X-B=2:20260328T113000Z X-C:1",
            ),
            ("VEVENT", "dtstart:20260328T1100\n 00Z", "20260328", "dtstart:20260328T1100  00Z"),
            // Lists and periods name zones too.
            (
                "VEVENT",
                "DTSTART:20260328T110000Z\nX-L;TZID=Europe/Berlin:20260328T120000,20260329T120000/P1D\nX-M;TZID=Europe/Berlin:noon",
                "20260328",
                "DTSTART:20260328T110000Z X-L:20260328T110000Z,20260329T100000Z/P1D X-M;TZID=Europe/Berlin:noon",
            ),
            // The length of a PERIOD is that of its instance alone.
            (
                "VEVENT",
                "DTSTART:20260301T110000Z\nDTEND:20260301T120000Z\nRDATE;VALUE=PERIOD:20260328T110000Z/PT3H",
                "20260328",
                "DTSTART:20260328T110000Z RECURRENCE-ID:20260328T110000Z DTEND:20260328T140000Z",
            ),
            (
                "VEVENT",
                "DTSTART:20260301T110000Z\nDURATION:PT1H\nRDATE;VALUE=PERIOD:20260328T110000Z/PT3H",
                "20260328",
                "DTSTART:20260328T110000Z RECURRENCE-ID:20260328T110000Z DTEND:20260328T140000Z",
            ),
            (
                "VEVENT",
                "DTSTART:20260301T110000Z\nRDATE;VALUE=PERIOD:20260328T110000Z/PT3H",
                "20260328",
                "DTSTART:20260328T110000Z RECURRENCE-ID:20260328T110000Z DTEND:20260328T140000Z",
            ),
            // A relative alarm stays one; an absolute one is in UTC.
            (
                "VEVENT",
                "DTSTART;TZID=Europe/Berlin:20260328T120000\nBEGIN:VALARM\nTRIGGER:-P1D\nEND:VALARM\n\
                 BEGIN:VALARM\nTRIGGER;VALUE=DATE-TIME;TZID=Europe/Berlin:20260328T110000\nEND:VALARM",
                "20260328",
                "DTSTART:20260328T110000Z \nVALARM TRIGGER:-P1D /VALARM \nVALARM TRIGGER;VALUE=DATE-TIME:20260328T100000Z /VALARM",
            ),
            ("VJOURNAL", "DTSTART;VALUE=DATE:20260328", "20260328", "DTSTART;VALUE=DATE:20260328"),
            // The tables of VTODO decide: due at the very end of the window, or without a time.
            ("VTODO", "DUE:20260329T000000Z", "20260328", "DUE:20260329T000000Z"),
            (
                "VTODO",
                "DTSTART:20260328T110000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY",
                "20260328",
                "DTSTART:20260328T110000Z RECURRENCE-ID:20260328T110000Z DURATION:PT1H",
            ),
            ("VTODO", "SUMMARY:some day", "20260328", "SUMMARY:some day"),
            ("VTODO", "COMPLETED:20260328T110000Z", "20260328", "COMPLETED:20260328T110000Z"),
            ("VTODO", "COMPLETED:20260330T110000Z", "20260328", "-"),
            ("VEVENT", "DTSTART:20260329T000000Z", "20260328", "-"),
        ];
        for (kind, lines, day, expect) in cases {
            let start = Instant(time::parse(day).unwrap().0);
            let ask = Select { expand: Some(Window { start, end: start.plus(time::DAY) }), ..Select::default() };
            let text = selected(&of(kind, lines), &ask);
            let first =
                text.split(&format!("\n{kind} UID:1 ")).nth(1).and_then(|t| t.split(&format!(" /{kind}")).next());
            assert_eq!(first.unwrap_or("-"), expect, "{lines}");
        }
    }

    /// A few instances of something long are an answer, a year of them is none.
    #[test]
    fn expanded_data_is_bounded_in_octets() {
        let lines = format!("DTSTART:20260105T090000Z\nRRULE:FREQ=DAILY\nDESCRIPTION:{}", "x".repeat(100_000));
        let object = Object::parse(&of("VEVENT", &lines)).unwrap();
        let ask = |to| Select { expand: Some(window("20260105", to)), ..Select::default() };
        let length = |to, room| {
            select(&object, &ask(to), &TimeZone::UTC, Limits::default(), room).map(|text| text.len() / 100_000)
        };
        assert_eq!(length("20260108", 400_000), Ok(3));
        assert_eq!(length("20260108", 300_000), Err(Error::TooMany));
        assert_eq!(length("20270105", 32 << 20), Err(Error::TooMany));
    }

    #[test]
    fn availability_loses_its_zone() {
        let source = of(
            "VAVAILABILITY",
            "DTSTART;TZID=Europe/Berlin:20260328T120000\nDURATION:P1D\nBEGIN:AVAILABLE\n\
             DTSTART;TZID=Europe/Berlin:20260328T120000\nRRULE:FREQ=HOURLY;INTERVAL=2;COUNT=2\nEND:AVAILABLE",
        );
        let ask = Select { expand: Some(window("20260328", "20260330")), ..Select::default() };
        assert_eq!(
            selected(&source, &ask),
            "VCALENDAR \nVAVAILABILITY UID:1 DTSTART:20260328T110000Z DTEND:20260329T100000Z BEGIN:AVAILABLE \
             DTSTART:20260328T110000Z RECURRENCE-ID:20260328T110000Z /AVAILABLE BEGIN:AVAILABLE DTSTART:20260328T130000Z \
             RECURRENCE-ID:20260328T130000Z /AVAILABLE /VAVAILABILITY /VCALENDAR"
        );
        let few = Limits { instances: 1, steps: 1_000 };
        let object = Object::parse(&source).unwrap();
        assert_eq!(select(&object, &ask, &TimeZone::UTC, few, 1 << 20), Err(Error::TooMany));
        let ask = Select { expand: Some(window("20260401", "20260402")), ..Select::default() };
        assert_eq!(selected(&source, &ask), "VCALENDAR /VCALENDAR");
    }

    /// What takes nothing away gives the text itself; what takes something leaves the rest octet for octet.
    #[test]
    fn what_is_not_touched_keeps_its_octets() {
        let source = "begin:vcalendar\nVersion:2.0\r\nPRODID:x\nBEGIN:VEVENT\nuid:1\nDTSTART:20260105T090000Z\n\
            RRULE:FREQ=DAILY\nSummary:fol\n ded\nBEGIN:VALARM\nEND:VALARM\nX-BEHIND:1\nEND:VEVENT\n\
            BEGIN:VEVENT\nUID:1\nRECURRENCE-ID:20260106T090000Z\nDTSTART:20260106T100000Z\nEND:VEVENT\nEND:VCALENDAR";
        let object = Object::parse(source).unwrap();
        let text = |ask: &Select| select(&object, ask, &TimeZone::UTC, Limits::default(), 0).unwrap();
        let limited = |from, to| Select { limit_recurrence_set: Some(window(from, to)), ..Select::default() };
        assert_eq!(text(&limited("20260106", "20260107")), source);
        let override_ = &source[source.rfind("BEGIN:VEVENT").unwrap()..source.rfind("END:VCALENDAR").unwrap()];
        assert_eq!(text(&limited("20260107", "20260108")), source.replace(override_, ""));
        let all = CompSelect { name: "vcalendar".to_owned(), props: None, comps: None };
        assert_eq!(text(&Select { comp: Some(all.clone()), ..Select::default() }), source);
        let prop = |name: &str, novalue| PropSelect { name: name.to_owned(), novalue };
        let event = CompSelect {
            name: "VEVENT".to_owned(),
            props: Some(["UID", "DTSTART", "RECURRENCE-ID", "SUMMARY"].map(|name| prop(name, false)).to_vec()),
            comps: Some(Vec::new()),
        };
        let expect = source.replace("RRULE:FREQ=DAILY\n", "").replace("BEGIN:VALARM\nEND:VALARM\nX-BEHIND:1\n", "");
        let within = CompSelect { comps: Some(vec![event.clone()]), ..all };
        assert_eq!(text(&Select { comp: Some(within), ..Select::default() }), expect);
        // A component alone is meant within its calendar.
        assert_eq!(text(&Select { comp: Some(event), ..Select::default() }), expect);
        let freebusy = Select { limit_freebusy_set: Some(window("20260106", "20260107")), ..Select::default() };
        assert_eq!(text(&freebusy), source);
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
        // Beside expand there are no overrides any more.
        let both = Select { expand: Some(window("20260107", "20260108")), ..ask("20300101", "20300102") };
        assert!(selected(SERIES, &both).contains("SUMMARY:b"));
    }

    /// RFC 4791 9.6.6: an override for all that follow stays when any of its instances is, or would have been, there.
    #[test]
    fn overrides_for_all_that_follow() {
        let turn = |id: &str, start: &str| {
            format!(
                "BEGIN:VEVENT\nUID:1\nRECURRENCE-ID;RANGE=THISANDFUTURE:{id}\nDTSTART:{start}\nSUMMARY:{id}\nEND:VEVENT\n"
            )
        };
        let source = format!(
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nDTSTART:20260101T090000Z\nRRULE:FREQ=DAILY;UNTIL=20260131T090000Z\n\
             END:VEVENT\n{}{}END:VCALENDAR\n",
            turn("20260110T090000Z", "20260110T150000Z"),
            turn("20260120T090000Z", "20260121T150000Z")
        );
        // The window, and whether the first and the second stay.
        let cases = [
            ("20260105", "20260106", false, false),
            ("20260112T150000Z", "20260112T150001Z", true, false),
            ("20260112T090000Z", "20260112T090001Z", true, false),
            ("20260112T100000Z", "20260112T110000Z", false, false),
            // Where its first instance would have been, and where it now is.
            ("20260120T090000Z", "20260120T090001Z", false, true),
            ("20260120T150000Z", "20260120T150001Z", false, false),
            ("20260201T150000Z", "20260201T150001Z", false, true),
            ("20260202", "20270202", false, false),
        ];
        for (from, to, first, second) in cases {
            let text = selected(&source, &Select { limit_recurrence_set: Some(window(from, to)), ..Select::default() });
            let has = |id: &str| text.contains(&format!("SUMMARY:{id}"));
            assert_eq!((has("20260110T090000Z"), has("20260120T090000Z")), (first, second), "{from}");
        }
    }

    /// Without a master no more is known of what would have been than its start.
    #[test]
    fn overrides_that_can_not_be_told_stay() {
        let single = "DTSTART;TZID=Europe/Berlin:20260105T090000\nDTEND;TZID=Europe/Berlin:20260105T100000";
        let orphan = |zone: &str| {
            of("VEVENT", &format!("RECURRENCE-ID:20260201T090000Z\n{}", single.replace("Europe/Berlin", zone)))
        };
        let ask = |from, to| Select { limit_recurrence_set: Some(window(from, to)), ..Select::default() };
        let stays = |source: &str, from, to| selected(source, &ask(from, to)).contains("RECURRENCE-ID");
        assert!(stays(&orphan("Europe/Berlin"), "20260105", "20260106"));
        assert!(!stays(&orphan("Europe/Berlin"), "20260106", "20260107"));
        assert!(stays(&orphan("Europe/Berlin"), "20260201T090000Z", "20260201T090001Z"));
        assert!(!stays(&orphan("Europe/Berlin"), "20260201T090001Z", "20260202"));
        assert!(stays(&orphan("Nowhere"), "20260106", "20260107"));
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
        // RFC 4791 9.6.4: without the value, and with the parameters.
        let start = CompSelect { name: "VEVENT".to_owned(), props: Some(vec![prop("DTSTART", true)]), comps: None };
        let text = selected(SERIES, &Select { comp: Some(start), ..Select::default() });
        assert!(text.contains("VEVENT DTSTART;TZID=Europe/Berlin: /VEVENT"), "{text}");
    }
}
