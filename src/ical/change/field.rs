//! What a component says, field by field.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::super::{Component, Property};
use super::said::{Reader, address, line_said, part_said, short, time_said};

/// A field of a component: what is compared and merged as one. Named after its leading property or component.
///
/// Lines that only make sense together are one field:
/// - `DTSTART`: with DTEND, DUE, DURATION and the makers' all-day flags. A start of one side with the end of the other
///   is a length that nobody gave.
/// - `RRULE`: all RRULEs and EXRULEs; in a merge with DTSTART too when one side changed the pattern of the rule and the
///   other the day or form of the start: a Tuesday with BYDAY=MO is neither side's.
/// - `ORGANIZER`: in a merge with all ATTENDEEs when the two sides name different organizers.
/// - `CONFERENCE`: all CONFERENCE lines and the makers' own: numbers and codes of one meeting.
/// - `DESCRIPTION`: with STYLED-DESCRIPTION and X-ALT-DESC, the same text again.
/// - `LOCATION`: with GEO and X-APPLE-STRUCTURED-LOCATION, the same place again.
/// - `TRANSP`: with X-MICROSOFT-CDO-BUSYSTATUS and -INTENDEDSTATUS.
/// - `STATUS`: with COMPLETED and PERCENT-COMPLETE of a VTODO.
///
/// What there are several of has one field for each, told apart by `key`: ATTENDEE by address, ATTACH, RELATED-TO, IMAGE,
/// LINK, CONCEPT and REFID by value, components (VALARM, PARTICIPANT, VLOCATION, VRESOURCE, …) by UID or else by what they
/// say. CATEGORIES, RESOURCES and RDATE are one field each, and sets: a merge takes what either side added and leaves out
/// what either took away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field {
    /// Upper case: `SUMMARY`, `VALARM`.
    pub name: String,
    /// Which of several: a mail address in lower case without `mailto:`, a URI, a UID, a number.
    pub key: Option<String>,
}

impl Field {
    pub(super) fn of(name: &str) -> Field {
        Field { name: name.to_owned(), key: None }
    }

    fn keyed(name: &str, key: impl Into<String>) -> Field {
        Field { name: name.to_owned(), key: Some(key.into()) }
    }

    /// True for what each person has for themselves: alarms, what was acknowledged or snoozed, the colour. An answer of
    /// one's own is personal too, but that shows only in the lines: see [`super::Change::is_personal`].
    pub fn is_personal(&self) -> bool {
        let own = ["VALARM", "ACKNOWLEDGED", "COLOR", "X-MOZ-LASTACK", "X-MOZ-GENERATION", "X-APPLE-CALENDAR-COLOR"];
        own.contains(&self.name.as_str()) || self.name.starts_with("X-MOZ-SNOOZE")
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            None => f.write_str(&self.name),
            Some(key) => write!(f, "{} {key}", self.name),
        }
    }
}

/// A component by its fields.
#[derive(Clone)]
pub(super) struct Sheet<'a> {
    pub component: Cow<'a, Component>,
    pub entries: BTreeMap<Field, Entry>,
}

/// Where in the component a field stands, and what it says. A field that is not there says nothing, as one does that
/// says what holds anyway (TRANSP:OPAQUE).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub said: String,
    pub lines: Vec<usize>,
    pub parts: Vec<usize>,
}

impl<'a> Sheet<'a> {
    /// `model` is the sheet that its components are matched with; without one they are numbered.
    pub fn of(component: Cow<'a, Component>, reader: &Reader<'_>, model: Option<&Sheet<'_>>) -> Sheet<'a> {
        let mut found: BTreeMap<Field, (Vec<String>, Entry)> = BTreeMap::new();
        for (at, property) in component.properties.iter().enumerate() {
            let Some(field) = field_of(component.name(), property) else { continue };
            let set = is_set(&field);
            let (saids, entry) = found.entry(field).or_default();
            entry.lines.push(at);
            // The times are said together.
            let said = if TIMES.contains(&property.name()) { None } else { line_said(property, reader) };
            match said {
                Some(said) if set => saids.extend(said.split('\n').map(str::to_owned)),
                said => saids.extend(said),
            }
        }
        if let Some((saids, _)) = found.get_mut(&Field::of("DTSTART")).filter(|_| component.name() != "VCALENDAR") {
            saids.push(time_said(&component, reader, None));
        }
        for (at, key, said) in parts(&component, reader, model) {
            let (saids, entry) = found.entry(Field::keyed(component.components[at].name(), key)).or_default();
            saids.push(said);
            entry.parts.push(at);
        }
        let entries = found.into_iter().map(|(field, (mut saids, mut entry))| {
            saids.sort_unstable();
            if is_set(&field) {
                saids.dedup();
            }
            entry.said = if saids.len() == 1 { saids.remove(0) } else { saids.join("\n") };
            (field, entry)
        });
        let entries = entries.collect();
        Sheet { component, entries }
    }

    pub fn empty(name: &str) -> Sheet<'static> {
        Sheet { component: Cow::Owned(Component::new(name)), entries: BTreeMap::new() }
    }

    pub fn said(&self, field: &Field) -> &str {
        self.entries.get(field).map_or("", |e| e.said.as_str())
    }

    pub fn lines(&self, field: &Field) -> Lines {
        let Some(entry) = self.entries.get(field) else { return Lines::default() };
        Lines {
            properties: entry.lines.iter().map(|at| self.component.properties[*at].clone()).collect(),
            components: entry.parts.iter().map(|at| self.component.components[*at].clone()).collect(),
        }
    }

    /// Takes the fields for which `of` says so together under `name`.
    pub fn unite(&mut self, name: &str, of: impl Fn(&Field) -> bool) {
        let lead = Field::of(name);
        let fields: Vec<Field> = self.entries.keys().filter(|f| of(f)).cloned().collect();
        let mut whole = Entry::default();
        for field in fields {
            let Some(entry) = self.entries.remove(&field) else { continue };
            if !entry.said.is_empty() {
                whole.said += &format!("{field}\n{}\n", entry.said);
            }
            whole.lines.extend(entry.lines);
            whole.parts.extend(entry.parts);
        }
        whole.lines.sort_unstable();
        self.entries.insert(lead, whole);
    }

    /// The fields of both, in order.
    pub fn fields<'s>(sheets: &[&'s Sheet<'_>]) -> Vec<&'s Field> {
        let mut fields: Vec<&Field> = sheets.iter().flat_map(|s| s.entries.keys()).collect();
        fields.sort_unstable();
        fields.dedup();
        fields
    }

    /// Whether both say the same in every field.
    pub fn same(&self, other: &Sheet<'_>) -> bool {
        let says = |a: &Sheet<'_>, b: &Sheet<'_>| a.entries.iter().all(|(f, e)| e.said == b.said(f));
        says(self, other) && says(other, self)
    }
}

/// The lines of a field as an object has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// In the order of the object.
    pub properties: Vec<Property>,
    /// For fields that are components, and for an instance as a whole.
    pub components: Vec<Component>,
}

impl Lines {
    /// True when the field is not there.
    pub fn is_empty(&self) -> bool {
        self.properties.is_empty() && self.components.is_empty()
    }
}

const TIMES: [&str; 4] = ["DTSTART", "DTEND", "DUE", "DURATION"];

/// Fields whose values are a set. RDATE is one too, and is taken care of with the series.
pub(super) fn is_set(field: &Field) -> bool {
    matches!(field.name.as_str(), "CATEGORIES" | "RESOURCES")
}

/// The field a line belongs to. `None`: it says nothing of its own, or is looked at elsewhere.
fn field_of(component: &str, property: &Property) -> Option<Field> {
    let name = property.name();
    let value = property.value().trim();
    Some(match name {
        "UID" | "DTSTAMP" | "CREATED" | "LAST-MODIFIED" | "PRODID" | "SEQUENCE" => return None,
        "VERSION" | "CALSCALE" | "METHOD" if component == "VCALENDAR" => return None,
        "EXDATE" | "RDATE" if component != "AVAILABLE" => return None,
        "DTSTART" | "DTEND" | "DUE" | "DURATION" => Field::of("DTSTART"),
        "X-MICROSOFT-CDO-ALLDAYEVENT" | "X-MICROSOFT-MSNCALENDAR-ALLDAYEVENT" => Field::of("DTSTART"),
        "RRULE" | "EXRULE" => Field::of("RRULE"),
        "LOCATION" | "GEO" | "X-APPLE-STRUCTURED-LOCATION" => Field::of("LOCATION"),
        "DESCRIPTION" | "STYLED-DESCRIPTION" | "X-ALT-DESC" => Field::of("DESCRIPTION"),
        "CONFERENCE" | "X-GOOGLE-CONFERENCE" | "X-MICROSOFT-SKYPETEAMSMEETINGURL" => Field::of("CONFERENCE"),
        name if name.starts_with("X-MICROSOFT-ONLINEMEETING") => Field::of("CONFERENCE"),
        "TRANSP" | "X-MICROSOFT-CDO-BUSYSTATUS" | "X-MICROSOFT-CDO-INTENDEDSTATUS" => Field::of("TRANSP"),
        "STATUS" | "COMPLETED" | "PERCENT-COMPLETE" => Field::of("STATUS"),
        "ATTENDEE" => Field::keyed(name, address(property)),
        "ATTACH" | "RELATED-TO" | "IMAGE" | "LINK" | "CONCEPT" | "REFID" | "REQUEST-STATUS" => {
            Field::keyed(name, short(value))
        }
        _ => Field::of(name),
    })
}

/// The components of a component that are fields: their place, key and what they say.
///
/// They are those of the model that have the same UID, or else say the same; when as many are left on both sides they are
/// the same in order, with changes. What is left then is new, and known by its UID or by what it says, so that two sides
/// that add the same one agree.
fn parts(component: &Component, reader: &Reader<'_>, model: Option<&Sheet<'_>>) -> Vec<(usize, String, String)> {
    let mut found: Vec<(usize, Option<String>, String)> = Vec::new();
    for (at, part) in component.components.iter().enumerate() {
        let inside = part.name() != "VTIMEZONE" && (component.name() != "VCALENDAR" || part.name().starts_with("X-"));
        if inside {
            found.push((at, None, part_said(part, reader)));
        }
    }
    if found.is_empty() {
        return Vec::new();
    }
    let mut free = Free::of(model);
    let name = |at: usize| component.components[at].name();
    let uid = |at: usize| {
        let part = &component.components[at];
        let uid = part.said("UID").or_else(|| part.said("X-WR-ALARMUID"))?.value().trim();
        // Several of one UID: overrides inside VAVAILABILITY.
        Some(match part.value("RECURRENCE-ID") {
            Some(id) => format!("{uid} {id}"),
            None => uid.to_owned(),
        })
    };
    for (at, key, _) in &mut found {
        *key = uid(*at).and_then(|uid| free.take(name(*at), 0, &uid));
    }
    // Two of different names are two. Alarms alone get new UIDs from the providers.
    let named = |at: usize| name(at) != "VALARM" && uid(at).is_some();
    for (at, key, said) in found.iter_mut().filter(|f| f.1.is_none()) {
        *key = free.take(name(*at), if named(*at) { 2 } else { 1 }, said);
    }
    let left = |found: &[(usize, Option<String>, String)], kind: &str| {
        found.iter().filter(|f| f.1.is_none() && name(f.0) == kind && !named(f.0)).count()
    };
    let mut kinds: Vec<&str> = found.iter().filter(|f| f.1.is_none()).map(|f| name(f.0)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let mut rest = free.rest(kind).into_iter();
        let pairs = rest.len() == left(&found, kind);
        for (nth, (at, key, said)) in found.iter_mut().filter(|f| f.1.is_none() && name(f.0) == kind).enumerate() {
            *key = Some(match (model, uid(*at)) {
                (None, uid) => uid.unwrap_or_else(|| (nth + 1).to_string()),
                (Some(_), _) if pairs && !named(*at) => rest.next().unwrap_or_default(),
                (Some(_), Some(uid)) => uid,
                (Some(_), None) => {
                    let digest = super::digest_of(&Component::new("").with([Property::new("X", &*said)]));
                    format!("+{}", &digest[..8])
                }
            });
        }
    }
    found.into_iter().map(|(at, key, said)| (at, key.unwrap_or_default(), said)).collect()
}

/// The components of a model that nothing was matched with yet.
struct Free<'m> {
    /// Kind, key, what it says; taken or not.
    all: Vec<(&'m str, &'m str, &'m str, bool)>,
    /// Which of them have a name that tells them from others.
    named: Vec<bool>,
    /// By kind and key, by kind and what it says, and by that of those without a name.
    by: [HashMap<&'m str, HashMap<&'m str, Vec<usize>>>; 3],
}

impl<'m> Free<'m> {
    fn of(model: Option<&'m Sheet<'_>>) -> Free<'m> {
        let known = model.into_iter().flat_map(|m| m.entries.iter()).filter(|(_, e)| !e.parts.is_empty());
        let has_name = |(field, entry): (&Field, &Entry)| {
            let part = |m: &'m Sheet<'_>| entry.parts.first().and_then(|at| m.component.components.get(*at));
            let uid = model.and_then(part).and_then(|part| part.said("UID"));
            field.name != "VALARM" && uid.is_some()
        };
        let named = known.clone().map(has_name).collect();
        let all = known.map(|(f, e)| (f.name.as_str(), f.key.as_deref().unwrap_or_default(), e.said.as_str(), false));
        let mut free = Free { all: all.collect(), named, by: Default::default() };
        for (at, (kind, key, said, _)) in free.all.iter().enumerate().rev() {
            free.by[0].entry(*kind).or_default().entry(*key).or_default().push(at);
            free.by[1].entry(*kind).or_default().entry(*said).or_default().push(at);
            if !free.named[at] {
                free.by[2].entry(*kind).or_default().entry(*said).or_default().push(at);
            }
        }
        free
    }

    /// The key of one that is still free.
    fn take(&mut self, kind: &str, by: usize, what: &str) -> Option<String> {
        let places = self.by[by].get_mut(kind)?.get_mut(what)?;
        let at = std::iter::from_fn(|| places.pop()).find(|at| !self.all[*at].3)?;
        self.all[at].3 = true;
        Some(self.all[at].1.to_owned())
    }

    fn rest(&self, kind: &str) -> Vec<String> {
        let free = self.all.iter().zip(&self.named).filter(|(f, named)| f.0 == kind && !f.3 && !**named);
        free.map(|(f, _)| f.1.to_owned()).collect()
    }
}
