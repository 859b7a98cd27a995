//! One UID: the master, its overrides, and the text they came from. The only model of an event.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::repair::{Damage, Reading, Repair, Repairs, Spot};
use super::rule::Rule;
use super::time::{self, Duration, Frame, When, Written};
use super::vtimezone::MAX_OBSERVANCES;
use super::zone::Zones;
use super::{Component, Error, Instant, Property, change, mend, read, recur};

/// Alarms of one component. Attendees are as many as a component can have properties: that clients may
/// put fewer is not decided here.
const MAX_ALARMS: usize = 100;

/// What an object is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// VEVENT.
    Event,
    /// VTODO.
    Todo,
    /// VJOURNAL.
    Journal,
    /// VFREEBUSY, VAVAILABILITY and whatever else a calendar may hold.
    Other,
}

impl Kind {
    /// The component's name: `VEVENT`; `Other` has none and gives an empty text.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Event => "VEVENT",
            Kind::Todo => "VTODO",
            Kind::Journal => "VJOURNAL",
            Kind::Other => "",
        }
    }
}

/// The first and last instant an object touches, half-open; `None` on a side means without bound.
/// An object without any time (a VTODO that has none) is without bound on both sides.
/// Floating and all-day times depend on who looks: they are taken as UTC and widened by 14 hours on both sides,
/// so that the span holds in every zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first instant that any instance may touch.
    pub first: Option<Instant>,
    /// One that none touches any more; it may be later than the last end.
    pub last: Option<Instant>,
}

/// Parsed calendar data of one UID. Cheap to read, kept beside the very text it came from.
#[derive(Clone, Debug)]
pub struct Object {
    text: Arc<str>,
    calendar: Component,
    uid: String,
    kind: Kind,
    repairs: Vec<Repair>,
}

impl Object {
    /// Exactly one VCALENDAR with components of exactly one UID and one kind (RFC 4791 4.1), besides VTIMEZONEs.
    /// No METHOD. What [`Damage`] names is put right. The error names the line and what to do.
    ///
    /// A rule that can not be followed (RSCALE, a part that is not known) is no error: [`recur`] says so when asked.
    pub fn parse(text: &str) -> Result<Object, Error> {
        Object::read(text, Reading::Tolerant)
    }

    /// The same; a strict reader refuses what a tolerant one would put right.
    pub fn read(text: &str, reading: Reading) -> Result<Object, Error> {
        let (mut calendar, read) = read::one(Arc::from(text), reading)?;
        let mut repairs = read.repairs;
        mend::mend(&mut calendar, &read.text, &mut repairs)?;
        let checked = check(&calendar, &read.text, &mut repairs);
        let (uid, kind) = checked.map_err(|fault| fault.told(&read.text))?;
        let altered = repairs.alter();
        let repairs = repairs.into_made(&read.text);
        let text = if altered { Arc::from(calendar.print()) } else { read.text };
        Ok(Object { text, calendar, uid, kind, repairs })
    }

    /// The same for octets. A fold may split a character; what is no UTF-8 is read as Windows-1252.
    pub fn read_octets(octets: &[u8], reading: Reading) -> Result<Object, Error> {
        let (text, odd) = read::decode(octets);
        if let (Reading::Strict, Some(line)) = (reading, odd.first()) {
            return Err(Error { line: *line, reason: Damage::Encoding.to_string() });
        }
        let mut object = Object::read(&text, reading)?;
        object.repairs.extend(odd.into_iter().map(|line| Repair { line, damage: Damage::Encoding }));
        object.repairs.sort_by_key(|r| r.line);
        Ok(object)
    }

    /// A tree as an object: printed, with what was not changed as it came. The rules of [`Object::parse`] hold.
    pub fn of(calendar: &Component) -> Result<Object, Error> {
        Object::parse(&calendar.print())
    }

    /// The object with its tree changed by `change`. The rules of [`Object::parse`] hold for what comes out.
    pub fn with(&self, change: impl FnOnce(&mut Component)) -> Result<Object, Error> {
        let mut calendar = self.calendar.clone();
        change(&mut calendar);
        Object::of(&calendar)
    }

    /// Exactly what was parsed, unless a repair had to alter it: then what was not repaired as it came.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What was put right in reading, in the order of the lines of the text as it was sent.
    pub fn repairs(&self) -> &[Repair] {
        &self.repairs
    }

    /// The UID that all its components share, as it stands in the text.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// What its components are.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The VCALENDAR.
    pub fn calendar(&self) -> &Component {
        &self.calendar
    }

    /// From when to when it touches time: what an index of objects holds. See [`Span`].
    pub fn span(&self) -> Span {
        recur::span(self)
    }

    /// `None`: only overrides were sent (an invitation to one instance).
    pub fn master(&self) -> Option<&Component> {
        self.components().find(|c| c.property("RECURRENCE-ID").is_none())
    }

    /// The components with a RECURRENCE-ID, in the order they came.
    pub fn overrides(&self) -> impl Iterator<Item = &Component> {
        self.components().filter(|c| c.property("RECURRENCE-ID").is_some())
    }

    /// The master and the overrides, in the order they came. VTIMEZONEs and a maker's own `X-` components are not
    /// among them.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        self.calendar.components.iter().filter(|c| is_content(c))
    }
}

/// What a file of many objects is made of.
#[derive(Debug)]
pub struct Parts {
    /// In the order their UIDs first come; the error of one is why it is left out, with its line in the file.
    pub objects: Vec<Result<Object, Error>>,
    /// What was left out, in the order of the errors: its UID and all that the file says of it, as a calendar of its own.
    pub left: Vec<Left>,
    /// What was put right in the file.
    pub repairs: Vec<Repair>,
}

/// What a file says of one UID that is no object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// As it stands in the text.
    pub uid: String,
    /// A VCALENDAR around it, with the zones it names where they could be told.
    pub text: String,
}

/// Splits a file of any number of UIDs (and VCALENDARs) into objects, each with the VTIMEZONEs it names: those of its own
/// calendar, or else of the first calendar that has them. Lines before the first calendar are passed over, METHOD is taken
/// away (what cancels or answers is no object), and so is what names or paints the file as a whole; who has no UID is given
/// one that says what it says, and of two that are the same instance the newer one stays. A maker's own `X-` components go
/// with the object they stand beside where a calendar has one UID alone; beside several they belong to none, and are left
/// out. The error is one of the text as a whole, or that its objects take more than [`MAX_GROWTH`] octets for each octet of
/// the text and [`MIN_ROOM`] in all.
pub fn split(text: &str) -> Result<Parts, Error> {
    let read = read::file(text, Reading::Tolerant)?;
    let mut repairs = read.repairs;
    let mut heads: Vec<Head> = Vec::new();
    let mut groups: Vec<Group> = Vec::new();
    let mut at: HashMap<String, usize> = HashMap::new();
    for mut calendar in read.calendars {
        mend::mend(&mut calendar, &read.text, &mut repairs)?;
        let method = calendar.value("METHOD").unwrap_or_default().trim().to_ascii_uppercase();
        calendar.remove("METHOD");
        calendar.properties.retain(|p| !of_the_file(p.name()));
        let taken = matches!(method.as_str(), "" | "PUBLISH" | "REQUEST" | "ADD").then_some(()).ok_or(method);
        let mut zones: HashMap<String, Component> = HashMap::new();
        let mut beside = Vec::new();
        let mut of_calendar: HashSet<usize> = HashSet::new();
        for mut component in std::mem::take(&mut calendar.components) {
            if component.name() == "VTIMEZONE" {
                zones.entry(component.value("TZID").unwrap_or_default().to_owned()).or_insert(component);
                continue;
            }
            if !is_content(&component) {
                beside.push(component);
                continue;
            }
            if component.said("UID").is_none() {
                repairs.make_at(component.spot(), &read.text, Damage::NoUid)?;
                let uid = format!("{}@calgate", change::digest_of(&component));
                component.set(Property::new("UID", uid));
            }
            let next = groups.len();
            let index = *at.entry(component.value("UID").unwrap_or_default().to_owned()).or_insert(next);
            if index == next {
                groups.push(Group {
                    head: heads.len(),
                    components: Vec::new(),
                    beside: Vec::new(),
                    taken: taken.clone(),
                });
            }
            of_calendar.insert(index);
            groups[index].components.push((heads.len(), component));
        }
        if let (Some(only), 1) = (of_calendar.iter().next(), of_calendar.len()) {
            groups[*only].beside.append(&mut beside);
        }
        heads.push(Head { calendar, zones });
    }
    let mut zones: HashMap<&str, usize> = HashMap::new();
    for (nth, head) in heads.iter().enumerate() {
        head.zones.keys().for_each(|name| {
            zones.entry(name).or_insert(nth);
        });
    }
    let file = File { heads: &heads, zones };
    let most = MIN_ROOM.saturating_add(text.len().saturating_mul(MAX_GROWTH));
    let mut room = most;
    let mut objects = Vec::with_capacity(groups.len());
    let mut left = Vec::new();
    for mut group in groups {
        group.keep_the_newer(&read.text, &mut repairs)?;
        let begin = group.components.first().map_or(Spot::Line(0), |(_, c)| c.spot());
        let uid = group.components.first().and_then(|(_, c)| c.value("UID")).unwrap_or_default().to_owned();
        let (zones, fault) = match group.zones(&file) {
            Ok(zones) => (zones, None),
            Err(fault) => (Vec::new(), Some(fault)),
        };
        let own = group.into_tree(zones, &file);
        // What is twice as big as there is room is not even printed.
        if own.size() / 2 > room {
            return Err(too_much(most));
        }
        let checked = match fault {
            Some(fault) => Err(fault),
            // Here, where its places are those of the file.
            None => check(&own, "", &mut Repairs::new(Reading::Tolerant)).map(|_| ()),
        };
        // By itself, so that it does not keep the whole file. Its own lines are not those of the file.
        let object = checked.and_then(|()| Object::of(&own).map_err(|e| Fault { at: begin, reason: e.reason }));
        let taken = match &object {
            Ok(object) => object.text().len(),
            Err(_) => {
                let text = own.print_new();
                let length = text.len();
                left.push(Left { uid, text });
                length
            }
        };
        room = room.checked_sub(taken).ok_or_else(|| too_much(most))?;
        objects.push(object);
    }
    Ok(Parts { objects: with_lines(objects, &read.text), left, repairs: repairs.into_made(&read.text) })
}

/// Whether a property of a VCALENDAR speaks of the whole file, and not of each object in it: its name, its look, when to
/// fetch it again (RFC 7986 5, and what was used before it).
fn of_the_file(name: &str) -> bool {
    const NAMES: [&str; 15] = [
        "NAME",
        "DESCRIPTION",
        "UID",
        "LAST-MODIFIED",
        "URL",
        "CATEGORIES",
        "REFRESH-INTERVAL",
        "SOURCE",
        "COLOR",
        "IMAGE",
        "X-PUBLISHED-TTL",
        "X-PRIMARY-CALENDAR",
        "X-APPLE-CALENDAR-COLOR",
        "X-FUNAMBOL-COLOR",
        "X-OUTLOOK-COLOR",
    ];
    NAMES.contains(&name) || name.starts_with("X-WR-")
}

/// The same for octets: what is no UTF-8 is read as Windows-1252.
pub fn split_octets(octets: &[u8]) -> Result<Parts, Error> {
    let (text, odd) = read::decode(octets);
    let mut parts = split(&text)?;
    parts.repairs.extend(odd.into_iter().map(|line| Repair { line, damage: Damage::Encoding }));
    parts.repairs.sort_by_key(|r| r.line);
    Ok(parts)
}

/// Octets of all objects of a file for each octet of it: an event of 300 octets may bring a zone of 10 kB.
pub const MAX_GROWTH: usize = 32;
/// Octets that the objects of any file may take besides.
pub const MIN_ROOM: usize = 4 << 20;

fn too_much(most: usize) -> Error {
    let reason = format!(
        "its objects, each with its zones and what its calendar says, take more than {most} octets; split the file, or \
         shorten its VTIMEZONEs"
    );
    Error { line: 0, reason }
}

/// The errors get their lines in one walk over the text.
fn with_lines(objects: Vec<Result<Object, Fault>>, text: &str) -> Vec<Result<Object, Error>> {
    let octet = |fault: &Fault| match fault.at {
        Spot::Octet(octet) => Some(octet),
        Spot::Line(_) => None,
    };
    let mut spots: Vec<usize> = objects.iter().filter_map(|o| octet(o.as_ref().err()?)).collect();
    spots.sort_unstable();
    let (mut seen, mut line) = (0, 1);
    let mut lines: HashMap<usize, usize> = HashMap::with_capacity(spots.len());
    for spot in spots {
        line += memchr::memchr_iter(b'\n', &text.as_bytes()[seen..spot]).count();
        seen = spot;
        lines.insert(spot, line);
    }
    let told = |fault: Fault| match fault.at {
        Spot::Octet(octet) => Error { line: lines.get(&octet).copied().unwrap_or(0), reason: fault.reason },
        Spot::Line(line) => Error { line, reason: fault.reason },
    };
    objects.into_iter().map(|object| object.map_err(told)).collect()
}

/// Why something is no object, and where; the line is not counted yet.
struct Fault {
    at: Spot,
    reason: String,
}

impl Fault {
    fn told(self, text: &str) -> Error {
        Error { line: self.at.line(text), reason: self.reason }
    }
}

impl From<Error> for Fault {
    fn from(e: Error) -> Fault {
        Fault { at: Spot::Line(e.line), reason: e.reason }
    }
}

/// What the objects of one calendar share.
struct Head {
    /// The calendar without its components.
    calendar: Component,
    /// Its VTIMEZONEs by their TZIDs.
    zones: HashMap<String, Component>,
}

struct File<'a> {
    heads: &'a [Head],
    /// Which is the first calendar that has a TZID.
    zones: HashMap<&'a str, usize>,
}

impl File<'_> {
    /// What a TZID means in a calendar.
    fn zone(&self, head: usize, name: &str) -> Option<&Component> {
        self.heads[head].zones.get(name).or_else(|| self.heads[*self.zones.get(name)?].zones.get(name))
    }
}

/// What a file says of one UID.
struct Group {
    /// The calendar it first stands in.
    head: usize,
    /// With the calendar each stands in.
    components: Vec<(usize, Component)>,
    /// What a maker put beside them.
    beside: Vec<Component>,
    /// Or the METHOD that makes it no object.
    taken: Result<(), String>,
}

impl Group {
    fn keep_the_newer(&mut self, text: &str, repairs: &mut Repairs) -> Result<(), Error> {
        let id = |c: &Component| {
            let of = c.property("RECURRENCE-ID").map(|p| format!("{:?} {}", p.param("TZID"), p.value()));
            (c.name().to_owned(), of)
        };
        let age = |c: &Component| {
            let sequence: i64 = c.value("SEQUENCE").and_then(|n| n.trim().parse().ok()).unwrap_or(0);
            (sequence, c.value("DTSTAMP").unwrap_or_default().to_owned())
        };
        let mut newest: HashMap<(String, Option<String>), usize> = HashMap::new();
        let mut gone = vec![false; self.components.len()];
        for (at, (_, component)) in self.components.iter().enumerate() {
            match newest.entry(id(component)) {
                Entry::Vacant(free) => {
                    free.insert(at);
                }
                Entry::Occupied(mut taken) if age(component) >= age(&self.components[*taken.get()].1) => {
                    gone[taken.insert(at)] = true;
                }
                Entry::Occupied(_) => gone[at] = true,
            }
        }
        for ((_, component), _) in self.components.iter().zip(&gone).filter(|(_, gone)| **gone) {
            repairs.make_at(component.spot(), text, Damage::Twice)?;
        }
        let mut gone = gone.into_iter();
        self.components.retain(|_| gone.next() != Some(true));
        Ok(())
    }

    /// The VTIMEZONEs that it names. The error is what makes it no object.
    fn zones(&self, file: &File<'_>) -> Result<Vec<Component>, Fault> {
        let begin = || self.components.first().map_or(Spot::Line(0), |(_, c)| c.spot());
        if let Err(method) = &self.taken {
            let reason = format!("METHOD:{method} cancels or answers; it is no event that takes place");
            return Err(Fault { at: begin(), reason });
        }
        let mut zones: Vec<&Component> = Vec::new();
        let mut seen: HashMap<String, Option<&Component>> = HashMap::new();
        for (head, component) in &self.components {
            let mut names = Vec::new();
            zone_names(component, &mut names);
            let mut of_component: HashSet<&str> = HashSet::new();
            for name in names.iter().filter(|name| of_component.insert(name)) {
                let zone = file.zone(*head, name);
                match seen.get(name.as_ref()) {
                    None => {
                        zones.extend(zone);
                        seen.insert(name.to_string(), zone);
                    }
                    // One object has one zone of a name.
                    Some(other) if other.map(|z| &z.components) != zone.map(|z| &z.components) => {
                        let reason = format!("{name} is another zone here than in the calendar before; rename one");
                        return Err(Fault { at: component.spot(), reason });
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(zones.into_iter().cloned().collect())
    }

    /// The VCALENDAR of the object.
    fn into_tree(self, zones: Vec<Component>, file: &File<'_>) -> Component {
        let components = zones.into_iter().chain(self.components.into_iter().map(|(_, c)| c)).chain(self.beside);
        file.heads[self.head].calendar.clone().with_components(components)
    }
}

/// The TZIDs a component names, those below it included.
pub(super) fn zone_names<'a>(component: &'a Component, names: &mut Vec<std::borrow::Cow<'a, str>>) {
    names.extend(component.properties.iter().filter_map(|p| p.param("TZID")));
    component.components.iter().for_each(|c| zone_names(c, names));
}

fn is_content(component: &Component) -> bool {
    component.name() != "VTIMEZONE" && !component.name().starts_with("X-")
}

fn kind_of(component: &Component) -> Kind {
    match component.name() {
        "VEVENT" => Kind::Event,
        "VTODO" => Kind::Todo,
        "VJOURNAL" => Kind::Journal,
        _ => Kind::Other,
    }
}

/// The rules of RFC 4791 4.1 for a calendar that was read from `text`; gives the UID and the kind.
fn check(calendar: &Component, text: &str, repairs: &mut Repairs) -> Result<(String, Kind), Fault> {
    if let Some(method) = calendar.property("METHOD") {
        let reason = "METHOD makes this an invitation on its way, not a calendar object; take METHOD out";
        return Err(Fault { at: method.spot(), reason: reason.to_owned() });
    }
    if calendar.value("VERSION").is_none_or(|v| v.trim() != "2.0") || calendar.property("PRODID").is_none() {
        repairs.make_at(calendar.spot(), text, Damage::Missing)?;
    }
    for zone in calendar.components.iter().filter(|c| c.name() == "VTIMEZONE") {
        if zone.components.len() > MAX_OBSERVANCES {
            let reason =
                format!("a VTIMEZONE with more than {MAX_OBSERVANCES} observances; leave out those of other years");
            return Err(Fault { at: zone.spot(), reason });
        }
    }
    let zones = Zones::of(calendar);
    let mut first: Option<&Component> = None;
    let mut master: Option<&Component> = None;
    let contents = || calendar.components.iter().filter(|c| is_content(c));
    let of_all = contents().find(|c| c.property("RECURRENCE-ID").is_none());
    let mut ids: HashSet<(&str, Option<std::borrow::Cow<'_, str>>)> = HashSet::new();
    for component in calendar.components.iter().filter(|c| is_content(c)) {
        let fail = |property: Option<&str>, reason: String| {
            let at = property.and_then(|name| blamed(component, name)).map_or(component.spot(), Property::spot);
            Err(Fault { at, reason })
        };
        let name = component.name();
        let Some(uid) = component.value("UID").filter(|uid| !uid.trim().is_empty()) else {
            return fail(None, format!("this {name} has no UID; give it one"));
        };
        match first {
            Some(first) if first.value("UID") != Some(uid) => {
                return fail(Some("UID"), "a second UID; send each UID as an object of its own".to_owned());
            }
            Some(first) if first.name() != name => {
                return fail(None, format!("a {name} beside a {}; send one kind of component", first.name()));
            }
            _ => first = Some(component),
        }
        match component.property("RECURRENCE-ID") {
            Some(id) if !ids.insert((id.value(), id.param("TZID"))) => {
                return fail(Some("RECURRENCE-ID"), "a second override of the same instance; keep one".to_owned());
            }
            None if master.is_some() => {
                return fail(None, format!("a second {name} without RECURRENCE-ID for this UID; keep one"));
            }
            None => master = Some(component),
            _ if ids.len() > recur::MAX_OVERRIDES => {
                let most = recur::MAX_OVERRIDES;
                return fail(Some("RECURRENCE-ID"), format!("more than {most} overrides of one series; split it"));
            }
            _ => {}
        }
        if let Err((property, reason)) = check_sizes(component).and_then(|()| check_times(component)) {
            return fail(Some(property), reason);
        }
        note_forms(component, of_all, text, repairs)?;
        // What time it takes nobody knows: read as none, it would be free.
        if let Some(end) = end_before_start(component, &zones) {
            let name = end.name();
            return fail(Some(name), format!("{name} lies before DTSTART; put it at or after it"));
        }
    }
    let Some(first) = first else {
        let reason = "there is no VEVENT, VTODO or VJOURNAL in it; send one".to_owned();
        return Err(Fault { at: Spot::Line(0), reason });
    };
    // The line above proves that there is a UID.
    Ok((first.value("UID").unwrap_or_default().to_owned(), kind_of(first)))
}

/// The property of a name that a complaint is about: of several rules the one that can not be read, else the first.
fn blamed<'a>(component: &'a Component, name: &'a str) -> Option<&'a Property> {
    let said = |p: &&Property| !p.value().trim().is_empty();
    let mut rules = component.all(name).filter(said).take(if name == "RRULE" { recur::MAX_RULES } else { 0 });
    rules.find(|p| check_rule("RRULE", p.value()).is_err()).or_else(|| component.property(name))
}

type Complaint = (&'static str, String);

fn check_sizes(component: &Component) -> Result<(), Complaint> {
    if component.components.iter().filter(|c| c.name() == "VALARM").nth(MAX_ALARMS).is_some() {
        return Err(("", format!("there are more than {MAX_ALARMS} alarms; keep fewer")));
    }
    Ok(())
}

/// What must be readable of times before it is kept: the property to blame and why.
fn check_times(component: &Component) -> Result<(), Complaint> {
    if component.name() == "VEVENT" && component.said("DTSTART").is_none() {
        return Err(("DTSTART", "this VEVENT has no DTSTART; give it one".to_owned()));
    }
    let end = if component.name() == "VTODO" { "DUE" } else { "DTEND" };
    for name in ["DTSTART", end] {
        if let Some(p) = component.said(name).filter(|p| time::parse(p.value()).is_none()) {
            return Err((name, no_time(p)));
        }
    }
    if let Some(p) = component.property("RECURRENCE-ID").filter(|p| time::parse(p.value()).is_none()) {
        return Err(("RECURRENCE-ID", no_time(p)));
    }
    if let Some(text) = component.said("DURATION").map(Property::value) {
        match Duration::parse(text) {
            None => return Err(("DURATION", format!("DURATION:{text} is no duration; write PT1H or P1D"))),
            Some(length) if length.days < 0 || length.seconds < 0 => {
                return Err(("DURATION", format!("DURATION:{text} is less than nothing; write how long it takes")));
            }
            Some(_) => {}
        }
    }
    // Which of two is meant nobody knows.
    const ONCE: [&str; 5] = ["DTSTART", "DTEND", "DUE", "DURATION", "RECURRENCE-ID"];
    let mut said: [Option<&Property>; 5] = [None; 5];
    for property in &component.properties {
        let Some(at) = ONCE.iter().position(|name| *name == property.name()) else { continue };
        match said[at] {
            _ if property.value().trim_ascii().is_empty() => {}
            None => said[at] = Some(property),
            Some(first) if first == property => {}
            Some(_) => return Err((ONCE[at], format!("{} stands here twice and says two things; keep one", ONCE[at]))),
        }
    }
    for name in ["RRULE", "EXRULE"] {
        for (nth, property) in component.all(name).filter(|p| !p.value().trim().is_empty()).enumerate() {
            if nth >= recur::MAX_RULES {
                return Err((name, format!("more than {} lines {name}; say it in fewer", recur::MAX_RULES)));
            }
            // What an EXRULE takes away was never widely written: one that can not be read is kept and not followed.
            if name == "RRULE" {
                check_rule(name, property.value())?;
            }
        }
    }
    let mut dates = 0;
    for name in ["RDATE", "EXDATE"] {
        dates += component.all(name).map(|p| p.value().split(',').count()).sum::<usize>();
        if dates > recur::MAX_DATES {
            let reason = format!("more than {} times in RDATE and EXDATE; say them by a rule", recur::MAX_DATES);
            return Err((name, reason));
        }
    }
    Ok(())
}

fn end_before_start<'a>(component: &'a Component, zones: &Zones<'_>) -> Option<&'a Property> {
    let end = component.said(if component.name() == "VTODO" { "DUE" } else { "DTEND" })?;
    let start = recur::when(component.said("DTSTART")?, zones).ok()?;
    let finish = recur::when(end, zones).ok()?;
    is_before(&finish, &start).then_some(end)
}

fn no_time(p: &Property) -> String {
    format!("{}:{} is no time; write 20260131 or 20260131T090000 (with Z for UTC)", p.name(), p.value())
}

/// Names what is read in spite of its form, each kind once a component.
fn note_forms(
    component: &Component,
    master: Option<&Component>,
    text: &str,
    repairs: &mut Repairs,
) -> Result<(), Error> {
    let form = |p: &Property| time::parse(p.value().split([',', '/']).next()?).map(|(_, written)| written);
    let start = component.said("DTSTART");
    let start_form = start.and_then(form);
    let start_of_all = master.and_then(|m| m.said("DTSTART")).and_then(form);
    // A zone asks for an end in UTC.
    let until_form = match start_form {
        Some(Written::Local) if start.is_some_and(|s| s.param("TZID").is_some()) => Some(Written::Utc),
        form => form,
    };
    let mut noted: Vec<(Damage, &Property)> = Vec::new();
    let mut note = |damage: Damage, p| {
        if noted.iter().all(|(other, _)| *other != damage) {
            noted.push((damage, p));
        }
    };
    let mut stamped = false;
    for p in &component.properties {
        let empty = || p.value().trim_ascii().is_empty();
        match p.name() {
            "DTSTAMP" => stamped = true,
            "RRULE" | "EXRULE" | "URL" | "DURATION" if empty() => note(Damage::EmptyValue, p),
            "DURATION" if component.said("DTEND").or(component.said("DUE")).is_some() => {
                note(Damage::EndAndDuration, p)
            }
            name @ ("DTSTART" | "DTEND" | "DUE" | "RECURRENCE-ID" | "EXDATE" | "RDATE") => {
                let Some(form) = form(p) else {
                    if empty() {
                        note(Damage::EmptyValue, p);
                    }
                    continue;
                };
                let is_date = form == Written::Date;
                if is_date != p.param("VALUE").is_some_and(|v| v.eq_ignore_ascii_case("DATE")) {
                    note(Damage::DateForm, p);
                }
                let of_instance = matches!(name, "EXDATE" | "RDATE" | "RECURRENCE-ID");
                if of_instance && start_of_all.is_some_and(|start| (start == Written::Date) != is_date) {
                    note(Damage::InstanceForm, p);
                }
            }
            "RRULE" => {
                let Ok(rule) = Rule::parse(p.value()) else { continue };
                if rule.until.zip(until_form).is_some_and(|((_, form), wanted)| form != wanted) {
                    note(Damage::UntilForm, p);
                }
                if rule.count.is_some() && rule.until.is_some() {
                    note(Damage::CountAndUntil, p);
                }
                let has = |wanted: &str| p.value().split(';').any(|part| part.trim().eq_ignore_ascii_case(wanted));
                if has("INTERVAL=0") {
                    note(Damage::ZeroInterval, p);
                }
                if has("COUNT=0") {
                    note(Damage::ZeroCount, p);
                }
            }
            _ => {}
        }
    }
    if !stamped {
        repairs.make_at(component.spot(), text, Damage::Missing)?;
    }
    noted.into_iter().try_for_each(|(damage, p)| repairs.make_at(p.spot(), text, damage))
}

fn is_before(end: &When, start: &When) -> bool {
    match (&end.frame, &start.frame) {
        // In a gap the clock of one zone goes on, and the instants may turn around.
        (Frame::Zone(of), Frame::Zone(from)) if of == from => end.wall < start.wall,
        (Frame::Zone(_), Frame::Zone(_)) => end.at(&jiff::tz::TimeZone::UTC) < start.at(&jiff::tz::TimeZone::UTC),
        // Of two forms that do not compare, the day must do.
        (Frame::Zone(_), _) | (_, Frame::Zone(_)) => end.wall + time::DAY < start.wall,
        _ => end.wall < start.wall,
    }
}

/// Refuses what would cost too much or means nothing. A rule that is merely not followed here passes.
fn check_rule(name: &'static str, value: &str) -> Result<(), Complaint> {
    let has = |name: &str| value.to_ascii_uppercase().split(';').any(|p| p.trim().starts_with(name));
    match Rule::parse(value) {
        Err(reason) if !has("RSCALE") && !has("SKIP") && !has("X-") => {
            Err((name, format!("the rule can not be read: {reason}")))
        }
        _ => Ok(()),
    }
}

/// What can be made of the time of an event that can not be parsed: every date that its lines name, and a day on either
/// side. Never too little: a rule or a DURATION leaves the end open, and so does an end that can not be read; where a
/// start, an RDATE or a RECURRENCE-ID can not be read, or an event has no start, both sides are open. `None`: the text
/// surely holds no event, and takes no time.
pub fn rough_span(text: &str) -> Option<Span> {
    const OPEN: Span = Span { first: None, last: None };
    // However it is folded, broken or mixed with control characters.
    let shown: String = text.chars().filter(char::is_ascii_graphic).map(|c| c.to_ascii_uppercase()).collect();
    if !shown.contains("VEVENT") {
        // What is no whole calendar may stand for anything.
        let whole = shown.contains("BEGIN:VCALENDAR") && shown.contains("END:VCALENDAR");
        return if whole { None } else { Some(OPEN) };
    }
    let lone_returns = text.bytes().filter(|b| *b == b'\r').count() > text.matches("\r\n").count();
    if lone_returns && text.contains('\n') {
        return Some(OPEN);
    }
    let lines = rough_lines(text);
    let is_event = |line: &&String| line.starts_with("BEGIN") && line.contains("VEVENT");
    // What stands before the first event is of zones.
    let mut days: Vec<i64> = Vec::new();
    let (mut open, mut endless, mut no_start) = (false, false, false);
    for line in lines.iter().skip_while(|line| !is_event(line)) {
        if is_event(&line) || line.starts_with("END") && line.contains("VEVENT") {
            open |= no_start;
            no_start = is_event(&line);
            continue;
        }
        let end = line.bytes().position(|b| !b.is_ascii_alphanumeric() && b != b'-').unwrap_or(line.len());
        let name = &line[..end];
        endless |= matches!(name, "RRULE" | "DURATION");
        if !matches!(name, "DTSTART" | "DTEND" | "RECURRENCE-ID" | "RDATE") {
            continue;
        }
        no_start &= name != "DTSTART";
        for value in value_of(&line[end..]).split(',') {
            for (nth, part) in value.split('/').enumerate() {
                match rough_day(part.trim()) {
                    Some(day) => days.push(day),
                    None if name == "DTEND" || nth > 0 => endless = true,
                    None => open = true,
                }
            }
        }
    }
    if open || no_start {
        return Some(OPEN);
    }
    let first = days.iter().min().map(|at| Instant(at - time::DAY));
    let last = days.iter().max().map(|at| Instant(at + 2 * time::DAY)).filter(|_| !endless);
    Some(Span { first, last })
}

/// Unfolded and in upper case, without empty lines and control characters; CR ends a line, too.
fn rough_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.split(['\r', '\n']).filter(|line| !line.is_empty()) {
        let said = line.chars().filter(|c| !c.is_control() && *c != '\u{feff}').map(|c| c.to_ascii_uppercase());
        match lines.last_mut() {
            Some(before) if line.starts_with([' ', '\t']) => {
                // A tab that folds is a control character and is gone; a space is not.
                before.extend(said.skip(usize::from(line.starts_with(' '))));
            }
            _ => lines.push(said.collect::<String>().trim_start().to_owned()),
        }
    }
    lines
}

/// What stands behind the first colon that is not in quotes; the whole line when there is none.
fn value_of(rest: &str) -> &str {
    let mut quoted = false;
    let colon = rest.bytes().position(|b| {
        quoted ^= b == b'"';
        b == b':' && !quoted
    });
    colon.map_or(rest, |at| &rest[at + 1..])
}

/// The second at which the day of a date or a time begins, as if it was in UTC. What stands behind the day may be
/// anything a time is made of; no zone moves it by more than a day.
fn rough_day(value: &str) -> Option<i64> {
    let (day, rest) = value.split_at_checked(8)?;
    let of_time =
        rest.is_empty() || rest.starts_with('T') && rest[1..].bytes().all(|b| b.is_ascii_digit() || b == b'Z');
    if !of_time || !day.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let day: u32 = day.parse().ok()?;
    let (y, m, d) = (day / 10_000, day / 100 % 100, day % 100);
    let date = jiff::civil::Date::new(i16::try_from(y).ok()?, i8::try_from(m).ok()?, i8::try_from(d).ok()?).ok()?;
    Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = "BEGIN:VEVENT\nUID:1\nDTSTART:20260105T090000Z\nEND:VEVENT\n";

    fn calendar(inside: &str) -> String {
        format!("BEGIN:VCALENDAR\nVERSION:2.0\n{inside}END:VCALENDAR\n")
    }

    fn event(lines: &str) -> String {
        calendar(&format!("BEGIN:VEVENT\nUID:1\n{lines}\nEND:VEVENT\n"))
    }

    #[test]
    fn refuses_with_the_line_and_what_to_do() {
        let todo = EVENT.replace("VEVENT", "VTODO");
        let cases = [
            (calendar(""), "there is no VEVENT"),
            (calendar("BEGIN:VTIMEZONE\nTZID:x\nEND:VTIMEZONE\n"), "there is no VEVENT"),
            (calendar(&format!("METHOD:REQUEST\n{EVENT}")), "line 3: METHOD makes this"),
            (calendar("BEGIN:VEVENT\nDTSTART:20260101\nEND:VEVENT\n"), "line 3: this VEVENT has no UID"),
            (calendar("BEGIN:VEVENT\nUID:\nDTSTART:20260101\nEND:VEVENT\n"), "line 3: this VEVENT has no UID"),
            (calendar("BEGIN:VEVENT\nUID:1\nEND:VEVENT\n"), "line 3: this VEVENT has no DTSTART"),
            (calendar(&format!("{EVENT}{}", EVENT.replace("UID:1", "UID:2"))), "line 8: a second UID"),
            (calendar(&format!("{EVENT}{todo}")), "line 7: a VTODO beside a VEVENT"),
            (calendar(&format!("{EVENT}{EVENT}")), "line 7: a second VEVENT without RECURRENCE-ID"),
            (
                calendar(&EVENT.replace("UID:1", "UID:1\nRECURRENCE-ID:20260101").repeat(2)),
                "line 10: a second override of the same instance",
            ),
            (event("DTSTART:tomorrow"), "line 5: DTSTART:tomorrow is no time"),
            (
                event(&format!("DTSTART:20260105{}", "\nBEGIN:VALARM\nEND:VALARM".repeat(101))),
                "line 3: there are more than 100 alarms",
            ),
            (event("DTSTART:20260105T100000Z\nDURATION:-PT1H"), "line 6: DURATION:-PT1H is less than nothing"),
            (event("DTSTART:20260105T100000Z\nDURATION:P1M"), "line 6: DURATION:P1M is no duration"),
            (
                event("DTSTART:20260105T100000Z\nDTEND:\nDTEND:20260105T110000Z\nDTEND:20260105T180000Z"),
                "DTEND stands here twice",
            ),
            (event("DTSTART:20260105T100000Z\nDTEND:20260105T090000Z"), "line 6: DTEND lies before DTSTART"),
            (event("DTSTART;VALUE=DATE:20260105\nDTEND;VALUE=DATE:20260104"), "line 6: DTEND lies before DTSTART"),
            (
                event("DTSTART:20260105\nRRULE:FREQ=DAILY\nRRULE:\nRRULE:FREQ=DAILY;COUNT=x"),
                "line 8: the rule can not be read: COUNT=x is no number",
            ),
            (event("DTSTART:20260105\nRRULE:FREQ=DAILY;INTERVAL=10001"), "INTERVAL=10001 is not between"),
            (event("DTSTART:20260105\nRRULE:COUNT=1"), "the rule has no FREQ"),
            (
                event(&format!("DTSTART:20260105\n{}X-A:1", "RRULE:FREQ=DAILY\n".repeat(11))),
                "line 6: more than 10 lines RRULE",
            ),
            (
                event(&format!("DTSTART:20260105\nRDATE:20260106\nEXDATE:{}20260107", "20260107,".repeat(9_999))),
                "line 7: more than 10000 times in RDATE and EXDATE",
            ),
            (
                calendar(
                    &(0..3_001)
                        .map(|n| {
                            format!(
                                "BEGIN:VEVENT\nUID:1\nRECURRENCE-ID:{:04}0101\nDTSTART:20260101\nEND:VEVENT\n",
                                n + 1
                            )
                        })
                        .collect::<String>(),
                ),
                "line 15005: more than 3000 overrides of one series",
            ),
            (
                calendar(&format!(
                    "BEGIN:VTIMEZONE\nTZID:x\n{}END:VTIMEZONE\n{EVENT}",
                    "BEGIN:STANDARD\nEND:STANDARD\n".repeat(301)
                )),
                "line 3: a VTIMEZONE with more than 300 observances",
            ),
            (event("DTSTART:20260105\nRRULE:FREQ=DAILY;UNTIL=soon"), "UNTIL=soon is no time"),
            (event("DTSTART:20260105\nRRULE:FREQ=WEEKLY;BYMONTHDAY=1"), "BYMONTHDAY does not go with this FREQ"),
        ];
        for (text, expect) in cases {
            let got = Object::parse(&text).expect_err(&text).to_string();
            assert!(got.contains(expect), "{got}\nwanted: {expect}");
        }
    }

    #[test]
    fn takes_what_good_programs_write() {
        let cases = [
            EVENT.to_owned(),
            EVENT.replace("VEVENT", "VTODO").replace("DTSTART:20260105T090000Z\n", ""),
            format!("X-NOTE:1\nBEGIN:X-OURS\nEND:X-OURS\n{EVENT}"),
            format!("BEGIN:VTIMEZONE\nTZID:x\nEND:VTIMEZONE\n{EVENT}"),
            EVENT.replace("UID:1", "UID:1\nRRULE:"),
            EVENT.replace("UID:1", "UID:1\nRRULE:FREQ=DAILY;INTERVAL=0;"),
            EVENT.replace("UID:1", "UID:1\nRRULE:RSCALE=CHINESE;FREQ=YEARLY"),
            EVENT.replace("UID:1", "UID:1\nDTEND:20260105T090000Z"),
            // In a gap, where the instant of the start is behind that of the end.
            EVENT.replace(
                "DTSTART:20260105T090000Z",
                "DTSTART;TZID=Europe/Berlin:20260329T023000\nDTEND;TZID=Europe/Berlin:20260329T030000",
            ),
            EVENT.replace("UID:1", "UID:1\nRECURRENCE-ID:20260101T090000Z"),
            format!("{EVENT}{}", EVENT.replace("UID:1", "UID:1\nRECURRENCE-ID:20260101T090000Z")),
        ];
        for inside in cases {
            let text = calendar(&inside);
            let object = Object::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!((object.text(), object.uid()), (text.as_str(), "1"));
            let components = object.components().count();
            assert_eq!(components, object.overrides().count() + usize::from(object.master().is_some()));
        }
    }

    /// Which damage of `event` is named, at which line; strictly the first of them is refused.
    #[test]
    fn names_what_it_reads_in_spite_of_its_form() {
        let cases = [
            ("DTSTART:20260105T100000Z\nDTEND:20260105T110000Z\nDURATION:PT1H", "7 end-and-duration"),
            ("DTSTART:20260105T100000Z\nRRULE:\nURL:\nDTEND: ", "6 empty-value"),
            ("DTSTART:20260105", "5 date-form"),
            ("DTSTART;VALUE=DATE:20260105T090000", "5 date-form"),
            ("DTSTART;TZID=Europe/Berlin:20260105T090000\nRRULE:FREQ=DAILY;UNTIL=20260110", "6 until-form"),
            ("DTSTART;TZID=Europe/Berlin:20260105T090000\nRRULE:FREQ=DAILY;UNTIL=20260110T090000", "6 until-form"),
            ("DTSTART;TZID=Europe/Berlin:20260105T090000\nRRULE:FREQ=DAILY;UNTIL=20260110T080000Z", ""),
            ("DTSTART;VALUE=DATE:20260105\nRRULE:FREQ=DAILY;UNTIL=20260110T080000Z", "6 until-form"),
            ("DTSTART:20260105T090000\nRRULE:FREQ=DAILY;UNTIL=20260110T080000", ""),
            ("DTSTART:20260105T090000Z\nRRULE:FREQ=DAILY\nEXDATE;VALUE=DATE:20260106", "7 instance-form"),
            ("DTSTART;VALUE=DATE:20260105\nRRULE:FREQ=DAILY\nRDATE:20260106T000000Z", "7 instance-form"),
            ("DTSTART:20260105T090000Z\nRRULE:FREQ=DAILY;COUNT=3;UNTIL=20260110T080000Z", "6 count-and-until"),
            ("DTSTART:20260105T090000Z\nRRULE:FREQ=DAILY;INTERVAL=0", "6 zero-interval"),
            ("DTSTART:20260105T090000Z\nRRULE:FREQ=DAILY;COUNT=0", "6 zero-count"),
        ];
        for (lines, expect) in cases {
            let text = calendar(&format!(
                "PRODID:-//test//EN\nBEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\n{lines}\nEND:VEVENT\n"
            ))
            .replace('\n', "\r\n");
            let object = Object::parse(&text).unwrap();
            assert_eq!(object.text(), text);
            let said: Vec<String> =
                object.repairs().iter().map(|r| format!("{} {}", r.line - 2, r.damage.name())).collect();
            assert_eq!(said.join(", "), expect, "{lines}");
            let strict = Object::read(&text, Reading::Strict).map(|_| ()).map_err(|e| e.line - 2);
            assert_eq!(strict.err(), object.repairs().first().map(|r| r.line - 2), "{lines}");
        }
        // Which comes first, the master or an override of another form, says nothing of the form.
        let of = |id: &str, lines: &str| {
            format!("BEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\n{id}{lines}\r\nEND:VEVENT\r\n")
        };
        let day = of("RECURRENCE-ID:20260106T090000Z\r\n", "DTSTART;VALUE=DATE:20260106");
        let master = of("", "DTSTART:20260105T090000Z\r\nRRULE:FREQ=DAILY");
        for parts in [format!("{day}{master}"), format!("{master}{day}"), day.clone()] {
            let text = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//t//EN\r\n{parts}END:VCALENDAR\r\n");
            assert!(Object::read(&text, Reading::Strict).is_ok(), "{text}");
        }
        let bare = Object::parse(&calendar(EVENT)).unwrap();
        let said: Vec<_> = bare.repairs().iter().map(|r| r.damage.name()).collect();
        assert_eq!(said, ["line-ends", "missing-property", "missing-property"]);
    }

    /// What a mended line keeps, and what it is not taken for.
    #[test]
    fn mending_changes_the_time_alone() {
        let cases = [
            (
                "RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=(UTC+01:00) Amsterdam, Berlin:20260106T090000",
                "RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=\"(UTC+01:00) Amsterdam, Berlin\":20260106T090000",
            ),
            (
                "RDATE;X-A=1;TZID=tzone://Microsoft/Utc:20260106T090000",
                "RDATE;X-A=1;TZID=\"tzone://Microsoft/Utc\":20260106T090000",
            ),
            (
                "RDATE;TZID=America/New_York:2026-01-07T09:00:00,2026-01-08T14:00:00Z",
                "RDATE;TZID=America/New_York:20260107T090000,20260108T140000Z",
            ),
            ("RDATE;TZID=America/New_York:2026-01-07T09:00:00+01:00", "RDATE:20260107T080000Z"),
            ("DURATION;X-A=1:P2H", "DURATION;X-A=1:PT2H"),
        ];
        for (line, expect) in cases {
            let object = Object::parse(&event(&format!("DTSTART:20260105T090000Z\n{line}"))).unwrap();
            let unfolded = object.text().replace("\r\n ", "");
            assert!(unfolded.contains(&format!("\n{expect}\r\n")), "{unfolded}");
        }
    }

    #[test]
    fn what_had_to_be_altered_is_printed_and_the_rest_as_it_came() {
        let text = "BEGIN:VCALENDAR\r\nversion:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:20260105T090000Z\r\n\
            SUMMARY:M\u{fc}ller\u{1}\r\nLOCATION\r\nx-a:f\r\n olded\r\nEND:VCALENDAR\r\n";
        let octets: Vec<u8> = text.chars().map(|c| c as u8).collect();
        let object = Object::read_octets(&octets, Reading::Tolerant).unwrap();
        let expect =
            text.replace('\u{1}', "").replace("LOCATION", "LOCATION:").replace("olded\r\n", "olded\r\nEND:VEVENT\r\n");
        assert_eq!(object.text(), expect);
        assert_eq!(Object::parse(object.text()).unwrap().text(), expect);
        let said: Vec<_> = object.repairs().iter().map(|r| format!("{} {}", r.line, r.damage.name())).collect();
        let lexical = ["6 control-character", "6 encoding", "7 no-value", "10 missing-end"];
        assert!(lexical.iter().all(|l| said.contains(&(*l).to_owned())), "{said:?}");
        assert_eq!(Object::read_octets(&octets, Reading::Strict).unwrap_err().line, 6);
        let changed = object.with(|c| c.components[0].set(Property::new("SUMMARY", "new"))).unwrap();
        assert_eq!(changed.text(), expect.replace("M\u{fc}ller", "new"));
    }

    #[test]
    fn spans_hold_in_every_zone() {
        let cases = [
            ("DTSTART:20260105T090000Z", "20260105T090000Z 20260105T090001Z"),
            ("DTSTART:20260105T090000Z\nDTEND:20260105T100000Z", "20260105T090000Z 20260105T100000Z"),
            ("DTSTART:20260105", "20260104T100000Z 20260106T140000Z"),
            ("DTSTART:20260105T090000\nDURATION:PT1H", "20260104T190000Z 20260106T000000Z"),
            ("DTSTART:20260105T090000Z\nRRULE:FREQ=DAILY", "20260105T090000Z open"),
            ("DTSTART:20260105T090000Z\nRRULE:FREQ=DAILY;COUNT=3", "20260105T090000Z 20260107T090001Z"),
            ("DTSTART:20260105T090000Z\nRRULE:FREQ=YEARLY;COUNT=100000", "20260105T090000Z open"),
            ("DTSTART:20260105T090000Z\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=2", "20260105T090000Z open"),
            ("DTSTART:20260105T090000Z\nRRULE:FREQ=DAILY;UNTIL=20260107T090000Z", "20260105T090000Z 20260107T090001Z"),
            ("DTSTART:20260105T090000Z\nRDATE:20251201T090000Z,20270105T090000Z", "20251201T090000Z 20270105T090001Z"),
            ("DTSTART;TZID=Nowhere:20260105T090000", "open open"),
        ];
        for (lines, expect) in cases {
            let span = Object::parse(&event(lines)).unwrap().span();
            let side = |at: Option<Instant>| at.map_or("open".to_owned(), time::format_utc);
            assert_eq!(format!("{} {}", side(span.first), side(span.last)), expect, "{lines}");
        }
        let todo = calendar("BEGIN:VTODO\nUID:1\nEND:VTODO\n");
        assert_eq!(Object::parse(&todo).unwrap().span(), Span { first: None, last: None });
    }

    #[test]
    fn what_can_not_be_parsed_still_has_a_rough_time() {
        let day = 86_400;
        let at = |text: &str| rough_span(text).map(|s| (s.first.map(|i| i.0 / day), s.last.map(|i| i.0 / day)));
        let event =
            |lines: &str| format!("BEGIN:VCALENDAR\nMETHOD:REQUEST\nBEGIN:VEVENT\n{lines}\nEND:VEVENT\nEND:VCALENDAR");
        assert_eq!(at(&event("DTSTART:20260610T120000Z\nDTEND:20260610T130000Z")), Some((Some(20_613), Some(20_616))));
        assert_eq!(at(&event("DTSTART;VALUE=DATE:20260610\nRRULE:FREQ=DAILY")), Some((Some(20_613), None)));
        assert_eq!(at(&event("SUMMARY:when?")), Some((None, None)));
        assert_eq!(at("a page that wants a login"), Some((None, None)));
        assert_eq!(at("BEGIN:VCALENDAR\nBEGIN:VTODO\nDUE:20260610\nEND:VTODO\nEND:VCALENDAR"), None);
        assert_eq!(at("BEGIN:VCALENDAR\nBEGIN:VTODO\nDUE:20260610\nEND:VTODO\n"), Some((None, None)));
    }

    #[test]
    fn a_rough_time_never_says_too_little() {
        let day = 86_400;
        let at = |text: &str| rough_span(text).map(|s| (s.first.map(|i| i.0 / day), s.last.map(|i| i.0 / day)));
        let start = "DTSTART:20260610T120000Z";
        let event = |lines: &str| format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\n{lines}\nEND:VEVENT\nEND:VCALENDAR");
        let (known, no_end, open) =
            (Some((Some(20_613), Some(20_616))), Some((Some(20_613), None)), Some((None, None)));
        let cases = [
            (start.to_owned(), known),
            (format!("{start}\nDTEND:2026/08/10"), no_end),
            (format!("{start}\nDTEND:tomorrow"), no_end),
            (format!("{start}\nDTEND;TZID=\"a:b\":20260610T130000"), known),
            (format!("{start}\nDTEND;TZID=\"a:20260610T130000"), no_end),
            (format!("{start}\nDTEND :20260810"), Some((Some(20_613), Some(20_677)))),
            (format!("{start}\nDT\n END:20260810"), Some((Some(20_613), Some(20_677)))),
            (format!("{start}\n DTEND:20260810"), open),
            (format!("{start}\nRDATE:20260611T120000Z\n ,20270101T120000Z"), Some((Some(20_613), Some(20_821)))),
            (format!("{start}\nRDATE:20260611T120000Z\n\n\t,20270101T120000Z"), Some((Some(20_613), Some(20_821)))),
            (format!("{start}\nRDATE:20260611T120000Z,\n20270101T120000Z"), open),
            (format!("{start}\nRDATE:some day"), open),
            (format!("{start}\nRDATE;VALUE=PERIOD:20260610T120000Z/PT900H"), no_end),
            (format!("{start}\nDURA\n TION:P90D"), no_end),
            ("DTSTART:10 June".to_owned(), open),
            ("DTSTART:20260610+90".to_owned(), open),
            (format!("{start}\nEND:VEVENT\nBEGIN:VEVENT\nDTEND:20260610"), open),
            (format!("{start}\nRECURRENCE-ID:once"), open),
        ];
        for (lines, expect) in cases {
            assert_eq!(at(&event(&lines)), expect, "{lines}");
            assert_eq!(at(&event(&lines).replace('\n', "\r\n")), expect, "{lines}");
            assert_eq!(at(&event(&lines).replace('\n', "\r")), expect, "{lines}");
        }
        let whole = event(start);
        for begin in ["BEGIN:VEVENT;X=1", "begin:vevent", "BEGIN:VEV\n ENT", "BEGIN:VEV\u{1}ENT", "BEGIN: VEVENT "] {
            assert_eq!(at(&whole.replace("BEGIN:VEVENT", begin)), known, "{begin}");
        }
        assert_eq!(at(&whole.replace("BEGIN:VEVENT", "BEGIN:VEV\rENT")), open);
        assert_eq!(at(&whole.replace("BEGIN:", "BEGIN")), known);
        assert_eq!(at(&whole.replace("BEGIN:V", "V")), open);
    }
}
