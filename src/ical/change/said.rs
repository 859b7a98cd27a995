//! One form for all the ways to write a line or a time: what is equal here means the same.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::names::{self, Shape, Type};
use super::super::text::unescape;
use super::super::time::{self, DAY, Duration, Frame, Written};
use super::super::zone::Zones;
use super::super::{Component, Instant, Property};

/// The zones of all objects that are compared, each known by a number.
#[derive(Default)]
pub(super) struct Book {
    zones: RefCell<Vec<TimeZone>>,
}

impl Book {
    fn number(&self, zone: &TimeZone) -> usize {
        let mut zones = self.zones.borrow_mut();
        zones.iter().position(|known| alike(known, zone)).unwrap_or_else(|| {
            zones.push(zone.clone());
            zones.len() - 1
        })
    }
}

/// Whether two zones are one under two names. Two that the tz database names are when all their history is the same; one
/// that a VTIMEZONE says is known by what it does from 2000 on.
fn alike(a: &TimeZone, b: &TimeZone) -> bool {
    if a == b {
        return true;
    }
    let named = a.iana_name().is_some() && b.iana_name().is_some();
    let from = if named { Timestamp::MIN } else { Timestamp::from_second(946_684_800).unwrap_or(Timestamp::MIN) };
    steps(a, from).eq(steps(b, from))
}

/// The offset at `from`, and each change of it up to 2037.
fn steps(zone: &TimeZone, from: Timestamp) -> impl Iterator<Item = (i64, i32)> {
    let last = 2_145_916_800;
    let mut offset = zone.to_offset(from).seconds();
    let first = (i64::MIN, offset);
    let changes = zone.following(from).map(|t| (t.timestamp().as_second(), t.offset().seconds()));
    std::iter::once(first).chain(changes.take_while(move |(at, _)| *at < last).filter(move |(_, to)| {
        let changed = *to != offset;
        offset = *to;
        changed
    }))
}

/// What ties a time to the time line, with a name that is the same for all ways to write it.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    pub frame: Frame,
    pub name: Rc<str>,
}

impl Clock {
    pub fn is_date(&self) -> bool {
        matches!(self.frame, Frame::Date)
    }
}

/// Reads the values of one object.
pub(super) struct Reader<'a> {
    pub zones: Zones<'a>,
    book: &'a Book,
    clocks: RefCell<HashMap<String, Clock>>,
}

impl<'a> Reader<'a> {
    pub fn of(calendar: &'a Component, book: &'a Book) -> Reader<'a> {
        Reader { zones: Zones::of(calendar), book, clocks: RefCell::default() }
    }

    pub fn clock(&self, tzid: &str) -> Clock {
        if let Some(clock) = self.clocks.borrow().get(tzid) {
            return clock.clone();
        }
        let clock = match self.zones.get(tzid) {
            Some(zone) => self.zone(zone),
            // Not known: by the clock on the wall, and no other zone is the same.
            None => Clock { frame: Frame::Floating, name: Rc::from(format!("?{tzid}")) },
        };
        self.clocks.borrow_mut().insert(tzid.to_owned(), clock.clone());
        clock
    }

    fn zone(&self, zone: TimeZone) -> Clock {
        let name = Rc::from(format!("@{}", self.book.number(&zone)));
        Clock { frame: Frame::Zone(zone), name }
    }

    pub fn utc(&self) -> Clock {
        self.zone(TimeZone::UTC)
    }

    /// One value of a property of DATEs or DATE-TIMEs: wall seconds and their clock.
    pub fn time(&self, property: &Property, value: &str) -> Option<(i64, Clock)> {
        let (wall, written) = time::parse(value)?;
        let date = || Clock { frame: Frame::Date, name: Rc::from("date") };
        let says_date = || property.param("VALUE").is_some_and(|v| v.eq_ignore_ascii_case("DATE"));
        Some(match (written, property.param("TZID").as_deref()) {
            (Written::Date, _) => (wall, date()),
            _ if says_date() => (wall.div_euclid(DAY) * DAY, date()),
            (Written::Utc, _) => (wall, self.utc()),
            (Written::Local, None | Some("")) => (wall, Clock { frame: Frame::Floating, name: Rc::from("floating") }),
            (Written::Local, Some(tzid)) => (wall, self.clock(tzid)),
        })
    }

    /// The time of the first property of that name.
    pub fn time_of(&self, component: &Component, name: &str) -> Option<(i64, Clock)> {
        let property = component.said(name)?;
        self.time(property, property.value())
    }
}

/// How long a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// It does not say when it ends.
    Open,
    /// Days along the wall clock, then seconds.
    Nominal(i64, i64),
    Exact(i64),
}

/// When a component is by itself: a form in which equal times are equal. `moved` is taken from the wall time of start.
pub(super) fn time_said(component: &Component, reader: &Reader<'_>, moved: Option<(i64, &Clock)>) -> String {
    let end_name = if component.name() == "VTODO" { "DUE" } else { "DTEND" };
    let end = reader.time_of(component, end_name);
    let Some((wall, clock)) = reader.time_of(component, "DTSTART") else {
        return end.map(|(wall, clock)| format!("until {wall}{}", clock.name)).unwrap_or_default();
    };
    let (length, ends_in) = length(component, wall, &clock, end);
    let (wall, name) = match moved {
        Some((seconds, to)) => (wall - seconds, &to.name),
        None => (wall, &clock.name),
    };
    let mut said = format!("{wall}{name}");
    match length {
        Length::Open => {}
        Length::Nominal(days, seconds) => said += &format!(" {days}d{seconds}"),
        Length::Exact(seconds) => said += &format!(" {seconds}"),
    }
    if let Some(ends_in) = ends_in {
        said += &format!(" to {}", ends_in.name);
    }
    said
}

/// The length of a component, and the clock of its end when that is another one.
pub(super) fn length(
    component: &Component,
    wall: i64,
    clock: &Clock,
    end: Option<(i64, Clock)>,
) -> (Length, Option<Clock>) {
    let utc = &TimeZone::UTC;
    let start = clock.frame.at(wall, utc);
    if let Some((end, ends_in)) = end {
        if clock.frame.floats() && ends_in.frame.floats() {
            return (Length::Exact(end - wall), None);
        }
        let exact = ends_in.frame.at(end, utc).0 - start.0;
        return (Length::Exact(exact), (ends_in.name != clock.name).then_some(ends_in));
    }
    match component.said("DURATION").and_then(|p| Duration::parse(p.value())) {
        Some(d) if clock.frame.floats() => (Length::Exact(d.nominal()), None),
        // Along a series a nominal day is not always as long.
        Some(d) if d.days != 0 && recurs(component) => (Length::Nominal(d.days, d.seconds), None),
        Some(d) => {
            let end = clock.frame.at(wall + d.days * DAY, utc).0 + d.seconds;
            (Length::Exact(end - start.0), None)
        }
        None if component.name() == "VTODO" => (Length::Open, None),
        None if clock.is_date() => (Length::Exact(DAY), None),
        None => (Length::Exact(0), None),
    }
}

/// Whether a component has a rule or dates of its own.
pub(super) fn recurs(component: &Component) -> bool {
    component.said("RRULE").is_some() || component.said("RDATE").is_some()
}

/// Whether an override stands for all that follows (RFC 5545 3.2.13).
pub(super) fn is_future(component: &Component) -> bool {
    let id = component.property("RECURRENCE-ID");
    id.and_then(|id| id.param("RANGE")).is_some_and(|r| r.eq_ignore_ascii_case("THISANDFUTURE"))
}
/// A key is for telling apart; what is long is known by its beginning and its digest.
pub(super) fn short(value: &str) -> String {
    if value.len() <= 200 {
        return value.to_owned();
    }
    let start: String = value.chars().take(20).collect();
    format!("{start}…{}", super::digest_of(&Component::new("").with([Property::new("X", value)])))
}

/// Who an ATTENDEE or ORGANIZER is: the mail address in lower case, else the address as it is.
pub(super) fn address(property: &Property) -> String {
    let text = property.value().trim();
    match mail(text) {
        Some(mail) => mail,
        None => property.param("EMAIL").map_or_else(|| text.to_owned(), |email| email.trim().to_lowercase()),
    }
}

fn mail(text: &str) -> Option<String> {
    let scheme = text.get(..7)?;
    scheme.eq_ignore_ascii_case("mailto:").then(|| text[7..].trim().to_lowercase())
}

/// Parameters whose values are not told apart by case.
const KEYWORDS: &[&str] = &[
    "CUTYPE",
    "ENCODING",
    "FBTYPE",
    "FEATURE",
    "LANGUAGE",
    "ORDER",
    "PARTSTAT",
    "RANGE",
    "RELATED",
    "RELTYPE",
    "ROLE",
    "RSVP",
    "SCHEDULE-AGENT",
    "SCHEDULE-FORCE-SEND",
    "VALUE",
    "DISPLAY",
    "FMTTYPE",
];

/// Values that hold when nothing is said (RFC 5545 3.2, RFC 6638 7.1).
const DEFAULT_PARAMS: &[(&str, &str)] = &[
    ("CUTYPE", "INDIVIDUAL"),
    ("PARTSTAT", "NEEDS-ACTION"),
    ("RELATED", "START"),
    ("RELTYPE", "PARENT"),
    ("ROLE", "REQ-PARTICIPANT"),
    ("RSVP", "FALSE"),
    ("SCHEDULE-AGENT", "SERVER"),
];

/// Lines that say what holds when they are not there (RFC 5545 3.8).
const DEFAULTS: &[(&str, &str)] =
    &[("CLASS", "PUBLIC"), ("PERCENT-COMPLETE", "0"), ("PRIORITY", "0"), ("TRANSP", "OPAQUE"), ("REPEAT", "0")];

/// The parameters of a line in one form: those that hold anyway left out, sorted.
fn params_said(property: &Property, value: Option<Type>) -> String {
    let mut params: Vec<(String, String)> = Vec::new();
    for param in property.params() {
        let name = param.name();
        let keyword = KEYWORDS.contains(&name);
        let mut values: Vec<String> = param
            .values()
            .map(|v| if keyword { v.trim().to_ascii_uppercase() } else { mail(&v).unwrap_or_else(|| v.into_owned()) })
            .collect();
        values.sort_unstable();
        let said = values.join(",");
        let given = match (name, value) {
            // Said with the time.
            ("TZID" | "VALUE", Some(Type::DateTime | Type::Period)) => true,
            ("VALUE", Some(value)) => said.eq_ignore_ascii_case(value.name()),
            ("EMAIL", Some(Type::CalAddress)) => said.to_lowercase() == address(property),
            _ => DEFAULT_PARAMS.iter().any(|(n, v)| *n == name && *v == said),
        };
        if !given {
            params.push((name.to_owned(), said));
        }
    }
    params.sort_unstable();
    params.into_iter().map(|(name, said)| format!(";{name}={said}")).collect()
}

/// A line in one form for all ways to write it. `None`: it says nothing, or what holds anyway.
pub(super) fn line_said(property: &Property, reader: &Reader<'_>) -> Option<String> {
    let name = property.name();
    let raw = property.value();
    if name == "RECURRENCE-ID" {
        let range = property.param("RANGE").map(|r| r.to_ascii_uppercase())?;
        return (range == "THISANDFUTURE").then_some(range);
    }
    if raw.trim().is_empty() {
        return None;
    }
    let known = names::known(name);
    // Another type than the usual one: TRIGGER as a time, ATTACH as octets.
    let value = match property.param("VALUE").and_then(|v| Type::of(&v)) {
        Some(Type::Date) => Some(Type::DateTime),
        Some(Type::Binary) => None,
        Some(value) => Some(value),
        None => known.map(|k| k.value),
    };
    let params = params_said(property, value);
    let list = known.is_some_and(|k| k.shape == Shape::List);
    let said = match value {
        Some(Type::Text) if list => {
            return Some(
                items_said(raw).into_iter().map(|i| format!("{name}{params}:{i}")).collect::<Vec<_>>().join("\n"),
            );
        }
        Some(Type::Text) if KEYWORD_VALUES.contains(&name) => raw.trim().to_ascii_uppercase(),
        Some(Type::Text) if known.is_some_and(|k| k.shape == Shape::One) => unescape(raw).into_owned(),
        Some(Type::CalAddress) => address(property),
        Some(Type::DateTime) => {
            each(raw, |v| reader.time(property, v).map(|(wall, clock)| format!("{wall}{}", clock.name)))
        }
        Some(Type::Period) => each(raw, |v| period_said(property, v, reader)),
        Some(Type::Duration) => {
            Duration::parse(raw).map_or_else(|| raw.trim().to_owned(), |d| format!("{}d{}", d.days, d.seconds))
        }
        Some(Type::Integer) => raw.trim().parse::<i64>().map_or_else(|_| raw.trim().to_owned(), |n| n.to_string()),
        Some(Type::Float) => raw
            .split(';')
            .map(|v| v.trim().parse::<f64>().map_or_else(|_| v.trim().to_owned(), |n| n.to_string()))
            .collect::<Vec<_>>()
            .join(";"),
        Some(Type::Recur) => super::series::pattern(raw, None),
        _ => raw.trim().to_owned(),
    };
    if params.is_empty() && DEFAULTS.contains(&(name, said.as_str())) {
        return None;
    }
    Some(format!("{name}{params}:{said}"))
}

/// TEXT of which RFC 5545 lists the words.
const KEYWORD_VALUES: &[&str] = &["ACTION", "BUSYTYPE", "CLASS", "PARTICIPANT-TYPE", "PROXIMITY", "STATUS", "TRANSP"];

fn each(raw: &str, said: impl Fn(&str) -> Option<String>) -> String {
    let mut values: Vec<String> = raw.split(',').map(|v| said(v).unwrap_or_else(|| v.trim().to_owned())).collect();
    values.sort_unstable();
    values.dedup();
    values.join(",")
}

fn period_said(property: &Property, value: &str, reader: &Reader<'_>) -> Option<String> {
    let (start, end) = value.split_once('/')?;
    let (wall, clock) = reader.time(property, start)?;
    let length = match reader.time(property, end) {
        Some((end, _)) => end - wall,
        None => Duration::parse(end)?.nominal(),
    };
    Some(format!("{wall}{}+{length}", clock.name))
}

/// The values of a list of TEXT, as they are meant; in order, each once.
pub(super) fn items_said(raw: &str) -> Vec<String> {
    let mut items: Vec<String> =
        items(raw).into_iter().map(|i| unescape(i).trim().to_owned()).filter(|i| !i.is_empty()).collect();
    items.sort_unstable();
    items.dedup();
    items
}

/// The values of a list of TEXT, as they stand.
pub(super) fn items(raw: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, c) in raw.char_indices() {
        if c == ',' && !escaped {
            items.push(&raw[start..at]);
            start = at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    items.push(&raw[start..]);
    items
}

/// A component below another one: everything it says but its name.
pub(super) fn part_said(component: &Component, reader: &Reader<'_>) -> String {
    let counts = |p: &&Property| !matches!(p.name(), "UID" | "X-WR-ALARMUID" | "DTSTAMP" | "LAST-MODIFIED" | "CREATED");
    let mut lines: Vec<String> =
        component.properties.iter().filter(counts).filter_map(|p| line_said(p, reader)).collect();
    lines.extend(component.components.iter().map(|c| format!("BEGIN:{}\n{}\nEND", c.name(), part_said(c, reader))));
    lines.sort_unstable();
    lines.join("\n")
}
/// A DATE or DATE-TIME as `like` is written, for a wall time of the same clock.
pub(super) fn written_like(like: &str, wall: i64) -> String {
    match time::parse(like).map(|(_, written)| written) {
        Some(Written::Date) => time::format_date(wall),
        Some(Written::Utc) => time::format_utc(Instant(wall)),
        _ => time::format_local(wall),
    }
}
