//! One file of many objects: the VTIMEZONEs they need, each once, and their components behind them.
//!
//! It goes over the objects twice and keeps nothing of them but zones, so that a file can be written while its objects
//! come from elsewhere: [`File::see`] for each, [`File::open`], [`File::put`] for each in the same order, [`File::close`].

use std::collections::{HashMap, HashSet};

use jiff::tz::TimeZone;
use memchr::{memchr, memchr2};

use super::read::is_clean;
use super::text::end_of_param;
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
    /// TZIDs that were asked of [`is_certain`], and what it said.
    certain: HashMap<String, bool>,
    /// Whether a component was written.
    begun: bool,
}

impl File {
    /// An empty one.
    pub fn new(form: Form) -> File {
        File {
            form,
            defined: HashMap::new(),
            order: Vec::new(),
            named: HashMap::new(),
            certain: HashMap::new(),
            begun: false,
        }
    }

    /// Takes notice of the zones of an object, whose first instant is `first`.
    pub fn see(&mut self, calendar: &Component, first: Option<Instant>) {
        self.take(calendar.clone(), first);
    }

    /// The same of an object's text. False: nothing was done, the object has to be read for it.
    pub fn see_text(&mut self, text: &str, first: Option<Instant>) -> bool {
        let Some(plain) = self.plain(text) else { return false };
        let first = first.unwrap_or(Instant(0));
        for id in plain.zones {
            match self.named.get_mut(id) {
                Some(known) => *known = first.min(*known),
                None => drop(self.named.insert(id.to_owned(), first)),
            }
        }
        true
    }

    /// Writes the components of an object onto `out`, as [`File::put`] gives them. False: nothing was done, the object has to
    /// be read for it.
    pub fn put_text(&mut self, text: &str, out: &mut String) -> bool {
        let Some(plain) = self.plain(text).filter(|p| p.zones.iter().all(|id| self.named.contains_key(*id))) else {
            return false;
        };
        plain.components.iter().for_each(|lines| out.push_str(lines));
        true
    }

    /// An object of which every component goes into the file as it stands, because the world knows all zones that it names.
    /// Nearly all are so, and to copy their lines costs a tenth of what it costs to read and print them.
    fn plain<'a>(&mut self, text: &'a str) -> Option<Plain<'a>> {
        let plain = Plain::of(text).filter(|_| self.form == Form::Text)?;
        let certain = |id: &&str| match self.certain.get(*id) {
            Some(certain) => *certain,
            None => *self.certain.entry((*id).to_owned()).or_insert_with(|| is_certain(id)),
        };
        plain.zones.iter().all(certain).then_some(plain)
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
        let meant = meant_by_name(&object);
        let (zones, mut rest): (Vec<_>, Vec<_>) = object.components.into_iter().partition(|c| c.name() == "VTIMEZONE");
        let mut used = Vec::new();
        rest.iter().for_each(|c| object::zone_names(c, &mut used));
        let used: HashSet<String> = used.into_iter().map(|id| id.into_owned()).collect();
        let mut brought = HashSet::new();
        let mut renamed = HashMap::new();
        for zone in zones {
            let Some(id) = zone.property("TZID").map(Property::text).filter(|id| used.contains(id)) else { continue };
            if meant.contains(&id) {
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
                let unknown = || self.defined.contains_key(id).then(|| format!("{id} (not defined)"));
                let other = match renamed.get(id) {
                    None if !brought.contains(id) && !is_well_known(id) => likely().or_else(unknown),
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
        // A name that the world knows stays the world's: it may stand in other objects without any rules.
        let mut taken = is_well_known(id);
        let mut name = id.to_owned();
        for number in 2.. {
            match self.defined.get(&name) {
                None if !taken => break,
                Some(same) if same.components == zone.components => return name,
                _ => (name, taken) = (format!("{id} ({number})"), false),
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

/// A text that can be taken apart at its lines.
struct Plain<'a> {
    /// All but the zones, each with its BEGIN, its END and every line end.
    components: Vec<&'a str>,
    /// The TZIDs that are named in them, some more than once.
    zones: Vec<&'a str>,
}

impl<'a> Plain<'a> {
    /// `None`: something in it is written as few programs write it, so that only who reads all of it can tell what is what.
    fn of(text: &'a str) -> Option<Plain<'a>> {
        if !is_clean(text) {
            return None;
        }
        let mut plain = Plain { components: Vec::new(), zones: Vec::new() };
        let mut open: Vec<&str> = Vec::new();
        // Where the component below VCALENDAR began, and whether a fold may follow: a name or parameters that are folded
        // would have to be put together first.
        let (mut begin, mut foldable, mut at) = (0, false, 0);
        while at < text.len() {
            let length = memchr(b'\n', &text.as_bytes()[at..])?;
            let (start, line) = (at, text[at..at + length].strip_suffix('\r')?);
            at += length + 1;
            let bytes = line.as_bytes();
            if matches!(bytes.first(), Some(b' ' | b'\t')) && foldable {
                continue;
            }
            let end = memchr2(b':', b';', bytes)?;
            let (name, plainly) = (&line[..end], bytes[end] == b':');
            foldable = true;
            if name.eq_ignore_ascii_case("BEGIN") {
                let of = &line[end + 1..];
                let known = matches!(of, "VEVENT" | "VTODO" | "VJOURNAL" | "VFREEBUSY" | "VTIMEZONE" | "VCALENDAR");
                let fits = match open.len() {
                    0 => of == "VCALENDAR" && start == 0,
                    1 => of != "VCALENDAR",
                    _ => !known,
                };
                if name != "BEGIN" || !plainly || !fits || !is_upper(of) {
                    return None;
                }
                if open.len() == 1 {
                    begin = start;
                }
                open.push(of);
                foldable = false;
            } else if name.eq_ignore_ascii_case("END") {
                if name != "END" || !plainly || open.pop() != Some(&line[end + 1..]) {
                    return None;
                }
                match open.len() {
                    0 => return (at == text.len()).then_some(plain),
                    1 if &line[end + 1..] != "VTIMEZONE" => plain.components.push(&text[begin..at]),
                    _ => {}
                }
                foldable = false;
            } else if !plainly {
                let mut param = end;
                while bytes[param] == b';' {
                    let behind = end_of_param(bytes, param + 1)?;
                    let (name, value) = line[param + 1..behind].split_once('=')?;
                    if name.eq_ignore_ascii_case("TZID") && open.get(1) != Some(&"VTIMEZONE") {
                        if value.contains(['"', '^', ',']) {
                            return None;
                        }
                        plain.zones.push(value);
                    }
                    param = behind;
                }
            }
        }
        None
    }
}

fn is_upper(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-')
}

/// The TZIDs of an object's own VTIMEZONEs that mean what the world means by the name, rules or not: whoever reads them
/// here goes by the name.
fn meant_by_name(object: &Component) -> HashSet<String> {
    let zones = zone::Zones::of(object);
    let ids = object.components.iter().filter(|c| c.name() == "VTIMEZONE").filter_map(|c| c.property("TZID"));
    ids.map(Property::text).filter(|id| is_certain(id) || zones.get_by_name(id)).collect()
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

    /// What an object's own rules say, and what a name says without any, is not lost beside objects that mean another zone
    /// by the same name.
    #[test]
    fn each_object_keeps_what_its_names_mean() {
        const EAST: &str = "DTSTART:19700101T000000\nTZOFFSETFROM:-0500\nTZOFFSETTO:-0500";
        const UNIX: &str = "/freeassociation.sourceforge.net/Europe/Berlin";
        let text = written(
            Form::Text,
            &[
                event("a", "EST", ONE),
                event("b", "EST", EAST),
                event("c", "EST", ""),
                event("d", "EST", TWO),
                event("e", "Customized Time Zone", ONE),
                event("f", "Customized Time Zone", ""),
                event("g", UNIX, ONE),
                event("h", UNIX, TWO),
            ],
        );
        let expect = [
            "TZID:EST (2)",
            "TZID:EST (3)",
            "TZID:Customized Time Zone",
            "TZID:EST",
            "TZID:Europe/Berlin",
            "DTSTART;TZID=EST (2)",
            "DTSTART;TZID=EST",
            "DTSTART;TZID=EST",
            "DTSTART;TZID=EST (3)",
            "DTSTART;TZID=Customized Time Zone",
            "DTSTART;TZID=Customized Time Zone (not defined)",
            "DTSTART;TZID=Europe/Berlin",
            "DTSTART;TZID=Europe/Berlin",
        ];
        assert_eq!(names(&text), expect, "{text}");
    }

    #[test]
    fn lines_are_copied_where_a_tree_would_say_the_same() {
        let check = |text: &str, copied: bool| {
            let object = Object::parse(text).unwrap();
            let (mut by_line, mut by_tree) = (File::new(Form::Text), File::new(Form::Text));
            let first = object.span().first;
            assert_eq!(by_line.see_text(text, first), copied, "{text}");
            if !copied {
                return;
            }
            by_tree.see(object.calendar(), first);
            assert_eq!(by_line.open(Vec::new(), Instant(0)), by_tree.open(Vec::new(), Instant(0)));
            let mut out = String::new();
            assert!(by_line.put_text(text, &mut out), "{text}");
            assert_eq!(out, by_tree.put(object.calendar().clone(), first));
            assert!(!File::new(Form::Text).put_text(text, &mut out) || !text.contains(";TZID="), "a zone was not seen");
            assert!(!File::new(Form::Json).see_text(text, first), "jCal is no copy");
        };
        let known = event("a", "Europe/Berlin", ONE).calendar().print_new();
        check(&known, true);
        check(&event("a", "Ours", ONE).calendar().print_new(), false);
        let with = |from: &str, to: &str| {
            assert!(known.contains(from), "{from}");
            known.replace(from, to)
        };
        let alarm =
            "BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:a;TZID=x\r\n b\r\nTRIGGER:PT0S\r\nEND:VALARM\r\nEND:VEVENT";
        check(&with("END:VEVENT", alarm), true);
        check(&with("END:VEVENT", "X-A;B=\";TZID=:\":c\r\nEND:VEVENT"), true);
        check(&with("END:VCALENDAR", "BEGIN:X-MORE\r\nEND:X-MORE\r\nEND:VCALENDAR"), true);
        check(&with(";TZID=Europe/Berlin:", ";TZID=\"Europe/Berlin\":"), false);
        check(&with(";TZID=Europe/Berlin:", ";TZID=Euro\r\n pe/Berlin:"), false);
        check(&with("DTSTART;TZ", "DTSTART;T\r\n Z"), false);
        check(&with("BEGIN:VEVENT", "BEGIN:VEV\r\n ENT"), false);
        check(&with("BEGIN:VEVENT", "begin:vevent"), false);
        check(&with("BEGIN:VEVENT", "\r\nBEGIN:VEVENT"), false);
        check(&with("\r\n", "\n"), false);
        check(&with("END:VEVENT", "BEGIN:VALARM\r\nACTION:AUDIO\r\nTRIGGER:PT0S\r\nEND:VEVENT"), false);
        check(&with("BEGIN:VCALENDAR", "\u{feff}BEGIN:VCALENDAR"), false);
        check(&with("UID:", "UID:\u{7}"), false);
        check(known.trim_end(), false);
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
