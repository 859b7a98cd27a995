//! One file of many objects: the VTIMEZONEs they need, each once, and their components behind them.
//!
//! It goes over the objects twice and keeps nothing of them but zones, so that a file can be written while its objects
//! come from elsewhere: [`File::see`] for each, [`File::open`], [`File::put`] for each in the same order, [`File::close`].

use std::collections::{HashMap, HashSet};

use jiff::tz::TimeZone;

use super::{Component, Instant, Property, jcal, object, zone};

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// RFC 5545.
    Text,
    /// jCal (RFC 7265).
    Json,
}

/// A VTIMEZONE made here holds for so long after the file was made.
const AHEAD: i64 = 5 * 366 * 86_400;

/// A file that is being written.
pub struct File {
    form: Form,
    /// TZID → its definition.
    defined: HashMap<String, Component>,
    /// TZIDs in the order they came.
    order: Vec<String>,
    /// Zones that are named and known by their name, with the first instant they are needed for.
    named: HashMap<String, Instant>,
    /// Whether a component was written.
    begun: bool,
}

impl File {
    /// An empty one.
    pub fn new(form: Form) -> File {
        File { form, defined: HashMap::new(), order: Vec::new(), named: HashMap::new(), begun: false }
    }

    /// Takes notice of the zones of an object, whose first instant is `first`.
    pub fn see(&mut self, calendar: &Component, first: Option<Instant>) {
        self.take(calendar.clone(), first);
    }

    /// The beginning: the calendar's own properties, and every zone. Zones that the world knows by name are written anew
    /// from the first instant that anything seen needs, up to some years after `now`.
    pub fn open(&mut self, properties: Vec<Property>, now: Instant) -> String {
        let mut zones: Vec<Component> = self.order.iter().filter_map(|id| self.defined.get(id)).cloned().collect();
        let mut named: Vec<_> = self.named.iter().filter(|(id, _)| !self.defined.contains_key(*id)).collect();
        named.sort();
        for (id, first) in named {
            if let Some(zone) = zone::named(id) {
                zones.push(zone::vtimezone(id, &zone, *first, now.max(*first).plus(AHEAD)));
            }
        }
        self.begun = !zones.is_empty();
        let head = Component::new("VCALENDAR").with(properties).with_components(zones);
        let (mut text, end) = match self.form {
            Form::Text => (head.print_new(), "END:VCALENDAR\r\n"),
            Form::Json => (jcal::print(&head), "]]"),
        };
        text.truncate(text.len() - end.len());
        text
    }

    /// The components of an object; its VTIMEZONEs stand at the beginning, or, should it be another one by now than was
    /// seen, before it.
    pub fn put(&mut self, calendar: Component, first: Option<Instant>) -> String {
        let mut out = String::new();
        let (defined, named): (usize, HashSet<String>) = (self.order.len(), self.named.keys().cloned().collect());
        let rest = self.take(calendar, first);
        let mut components: Vec<Component> = Vec::new();
        components.extend(self.order[defined..].iter().filter_map(|id| self.defined.get(id)).cloned());
        for (id, first) in self.named.iter().filter(|(id, _)| !named.contains(*id)) {
            components.extend(zone::named(id).map(|z| zone::vtimezone(id, &z, *first, first.plus(AHEAD))));
        }
        components.extend(rest);
        for component in components {
            match self.form {
                Form::Text => out.push_str(&component.print_new()),
                Form::Json => {
                    if std::mem::replace(&mut self.begun, true) {
                        out.push(',');
                    }
                    out.push_str(&jcal::print(&component));
                }
            }
        }
        out
    }

    /// The end.
    pub fn close(&self) -> &'static str {
        match self.form {
            Form::Text => "END:VCALENDAR\r\n",
            Form::Json => "]]\n",
        }
    }

    /// Takes the zones out of an object; gives back the rest, which names them as the file does. Asked again for the same
    /// object, it says the same.
    fn take(&mut self, object: Component, first: Option<Instant>) -> Vec<Component> {
        let (zones, mut rest): (Vec<_>, Vec<_>) = object.components.into_iter().partition(|c| c.name() == "VTIMEZONE");
        let mut used = Vec::new();
        rest.iter().for_each(|c| object::zone_names(c, &mut used));
        let used: HashSet<String> = used.into_iter().map(|id| id.into_owned()).collect();
        let mut brought = HashSet::new();
        let mut renamed = HashMap::new();
        for zone in zones {
            let Some(id) = zone.property("TZID").map(Property::text).filter(|id| used.contains(id)) else { continue };
            if is_certain(&id) {
                continue;
            }
            let taken = self.define(&id, zone);
            brought.insert(taken.clone());
            if taken != id {
                renamed.insert(id, taken);
            }
        }
        for component in &mut rest {
            each_tzid(component, &mut |id| {
                // A name that is only likely means what it means here, and not what another object defines by it.
                let likely = || zone::named(id)?.iana_name().filter(|name| !name.is_empty()).map(str::to_owned);
                let other = match renamed.get(id) {
                    None if !brought.contains(id) && !is_well_known(id) => likely(),
                    other => other.cloned(),
                };
                let id = other.as_deref().unwrap_or(id);
                if !brought.contains(id) {
                    let since = first.unwrap_or(Instant(0));
                    let known = self.named.entry(id.to_owned()).or_insert(since);
                    *known = since.min(*known);
                }
                other
            });
        }
        rest
    }

    /// The TZID under which the file has `zone`: its own, unless somebody else means another zone by it.
    fn define(&mut self, id: &str, mut zone: Component) -> String {
        let well_known = is_well_known(id);
        let mut name = id.to_owned();
        for number in 2.. {
            match self.defined.get(&name) {
                None => break,
                Some(same) if well_known || same.components == zone.components => return name,
                Some(_) => name = format!("{id} ({number})"),
            }
        }
        if name != id {
            zone.set(Property::new("TZID", &name));
        }
        self.order.push(name.clone());
        self.defined.insert(name.clone(), zone);
        name
    }
}

/// A name the world knows is one zone, however each program wrote its rules down: an IANA name, or the Windows name of
/// one. What is only likely to mean a zone (`Eastern`) is what its own rules say.
fn is_well_known(id: &str) -> bool {
    let zone = zone::named(id);
    let Some(iana) = zone.as_ref().and_then(TimeZone::iana_name) else { return false };
    let is = |name: &str| name.eq_ignore_ascii_case(id);
    is(iana) || zone::windows_name(iana).is_some_and(is)
}

/// A name so well known that no object's own rules for it are needed: an abbreviation (`EST`) is not.
fn is_certain(id: &str) -> bool {
    (id.contains('/') || id.contains(' ')) && is_well_known(id)
}

/// Shows `f` each TZID, and puts in its place what `f` gives.
fn each_tzid(component: &mut Component, f: &mut impl FnMut(&str) -> Option<String>) {
    for property in &mut component.properties {
        let other = property.param("TZID").and_then(|id| f(&id));
        if let Some(other) = other {
            property.set_param("TZID", &other);
        }
    }
    for inner in &mut component.components {
        each_tzid(inner, f);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ical::Object;

    fn event(uid: &str, zone: &str, rules: &str) -> Object {
        let zones = match rules {
            "" => String::new(),
            rules => format!("BEGIN:VTIMEZONE\nTZID:{zone}\nBEGIN:STANDARD\n{rules}\nEND:STANDARD\nEND:VTIMEZONE\n"),
        };
        let text = format!(
            "BEGIN:VCALENDAR\nVERSION:2.0\n{zones}BEGIN:VEVENT\nUID:{uid}\nDTSTART;TZID={zone}:20260105T090000\nEND:VEVENT\n\
             END:VCALENDAR\n"
        );
        Object::parse(&text).unwrap()
    }

    const ONE: &str = "DTSTART:19700101T000000\nTZOFFSETFROM:+0130\nTZOFFSETTO:+0130";
    const TWO: &str = "DTSTART:19700101T000000\nTZOFFSETFROM:+0230\nTZOFFSETTO:+0230";

    fn written(form: Form, objects: &[Object]) -> String {
        let mut file = File::new(form);
        objects.iter().for_each(|o| file.see(o.calendar(), o.span().first));
        let mut text = file.open(vec![Property::new("VERSION", "2.0")], Instant(1_780_300_800));
        objects.iter().for_each(|o| text += &file.put(o.calendar().clone(), o.span().first));
        text + file.close()
    }

    /// The lines that say which zone is which.
    fn names(text: &str) -> Vec<&str> {
        text.lines().filter(|l| l.contains("TZID")).map(|l| l.trim_end_matches(":20260105T090000")).collect()
    }

    #[test]
    fn each_zone_is_there_once() {
        let text = written(
            Form::Text,
            &[
                event("a", "Ours", ONE),
                event("b", "Europe/Berlin", ONE),
                event("c", "Ours", TWO),
                event("d", "Ours", ONE),
                event("e", "Europe/Berlin", ""),
                event("f", "Nowhere/AtAll", ""),
            ],
        );
        let expect = [
            "TZID:Ours",
            "TZID:Ours (2)",
            "TZID:Europe/Berlin",
            "DTSTART;TZID=Ours",
            "DTSTART;TZID=Europe/Berlin",
            "DTSTART;TZID=Ours (2)",
            "DTSTART;TZID=Ours",
            "DTSTART;TZID=Europe/Berlin",
            "DTSTART;TZID=Nowhere/AtAll",
        ];
        assert_eq!(names(&text), expect, "{text}");
        // A well-known one is written anew, and begins where it is needed.
        assert!(text.contains("TZOFFSETTO:+0200") && !text.contains("19160430"), "{text}");
        assert!(Component::parse(&text).is_ok(), "{text}");
    }

    #[test]
    fn both_forms_say_the_same() {
        let objects = [event("a", "Ours", ONE), event("c", "Ours", TWO)];
        let json = written(Form::Json, &objects);
        let read = jcal::parse(&json).unwrap_or_else(|e| panic!("{e}\n{json}"));
        let text = Component::parse(&written(Form::Text, &objects)).unwrap();
        assert_eq!(read.components.len(), text.components.len());
        assert_eq!(names(&read.print_new()), names(&text.print_new()));
        let empty = written(Form::Json, &[]);
        assert_eq!(empty, "[\"vcalendar\",[[\"version\",{},\"text\",\"2.0\"]],[]]\n");
        let utc = Object::parse(
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nDTSTART:20260105T090000Z\nEND:VEVENT\nEND:VCALENDAR\n",
        );
        let two = [utc.clone().unwrap(), utc.unwrap()];
        assert_eq!(jcal::parse(&written(Form::Json, &two)).unwrap().components.len(), 2);
    }
}
