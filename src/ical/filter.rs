//! calendar-query filters (RFC 4791 9.7, and the tests of draft-daboo-caldav-extensions 3) against an object.
//!
//! `range.rs` knows what is in a time range, `collation.rs` what is the same text. Here is which of a component's
//! properties and components have to match, and what of a filter an index may answer.

use std::borrow::Cow;

use jiff::tz::TimeZone;

pub use super::collation::{Collation, MatchType, Sought};
use super::names::{self, Shape, Type};
use super::range::Times;
use super::text::{Property, unescape};
use super::{Component, Kind, Object, Window};

/// `CALDAV:comp-filter` (RFC 4791 9.7.1): of the components of that name, one must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompFilter {
    /// In any case; `*` is a component of any name.
    pub name: String,
    /// There must be none of that name. Nothing else is looked at.
    pub is_not_defined: bool,
    /// Which of the conditions below must hold of one and the same component; without any it need only be there.
    pub test: Test,
    /// Half-open; the component overlaps it by the tables of RFC 4791 9.9.
    pub time_range: Option<Window>,
    /// Conditions on its own properties.
    pub props: Vec<PropFilter>,
    /// Conditions on the components in it.
    pub comps: Vec<CompFilter>,
}

/// `CALDAV:prop-filter` (RFC 4791 9.7.2): of the properties of that name, one must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PropFilter {
    /// In any case.
    pub name: String,
    /// There must be none of that name. Nothing else is looked at.
    pub is_not_defined: bool,
    /// Which of the conditions below must hold of one and the same property; without any it need only be there.
    pub test: Test,
    /// Half-open; the value lies in it.
    pub time_range: Option<Window>,
    /// Its text matches.
    pub text: Option<TextMatch>,
    /// Conditions on its parameters.
    pub params: Vec<ParamFilter>,
}

/// `CALDAV:param-filter` (RFC 4791 9.7.3): the parameter is there, and its text matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParamFilter {
    /// In any case.
    pub name: String,
    /// There must be none of that name. Nothing else is looked at.
    pub is_not_defined: bool,
    /// Its text matches; `None`: it need only be there.
    pub text: Option<TextMatch>,
}

/// `CALDAV:text-match` (RFC 4791 9.7.5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextMatch {
    /// As it is meant: without the escapes of RFC 5545.
    pub text: Sought,
    /// What counts as the same text.
    pub collation: Collation,
    /// Where in the value the text is looked for.
    pub match_type: MatchType,
    /// It must not match: of several values none may.
    pub negate: bool,
}

/// How many of the conditions of a filter must hold (draft-daboo-caldav-extensions 3.1): RFC 4791 knows `All`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Test {
    /// `allof`.
    #[default]
    All,
    /// `anyof`.
    Any,
}

impl Test {
    /// Without any condition there is nothing that does not hold.
    fn holds(self, mut conditions: impl Iterator<Item = bool>) -> bool {
        match self {
            Test::All => conditions.all(|holds| holds),
            Test::Any => match conditions.next() {
                None | Some(true) => true,
                Some(false) => conditions.any(|holds| holds),
            },
        }
    }
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

    /// A window that the [span](Object::span) of whatever matches overlaps, half-open; `None`: it may be at any time.
    pub fn window(&self) -> Option<Window> {
        if !self.is("VCALENDAR") {
            return None;
        }
        let either = |a: Window, b: Window| Window { start: a.start.min(b.start), end: a.end.max(b.end) };
        match self.needs() {
            Test::All => self.time_range.or_else(|| self.comps.iter().find_map(CompFilter::confines)),
            // Each of the conditions may be the one that holds.
            Test::Any if !self.props.is_empty() => None,
            Test::Any => {
                let windows = self.time_range.map(Some).into_iter().chain(self.comps.iter().map(CompFilter::confines));
                windows.reduce(|a, b| a.zip(b).map(|(a, b)| either(a, b))).flatten()
            }
        }
    }

    /// The time range that a component of an object's own has to overlap.
    fn confines(&self) -> Option<Window> {
        let timed = ["VEVENT", "VTODO", "VJOURNAL", "*"].iter().any(|name| self.is(name));
        self.time_range.filter(|_| timed && self.needs() == Test::All)
    }

    /// The [kind](Object::kind) of whatever matches; `None`: it may be of any.
    pub fn kind(&self) -> Option<Kind> {
        if !self.is("VCALENDAR") {
            return None;
        }
        match self.needs() {
            Test::All => self.comps.iter().find_map(CompFilter::names_kind),
            Test::Any if self.time_range.is_some() || !self.props.is_empty() => None,
            Test::Any => {
                let mut kinds = self.comps.iter().map(CompFilter::names_kind);
                let first = kinds.next().flatten();
                first.filter(|first| kinds.all(|kind| kind == Some(*first)))
            }
        }
    }

    fn names_kind(&self) -> Option<Kind> {
        match self.name.to_ascii_uppercase().as_str() {
            _ if self.is_not_defined => None,
            "VEVENT" => Some(Kind::Event),
            "VTODO" => Some(Kind::Todo),
            "VJOURNAL" => Some(Kind::Journal),
            "VFREEBUSY" | "VAVAILABILITY" => Some(Kind::Other),
            _ => None,
        }
    }

    /// [`Test::Any`] only where there are several conditions to choose from.
    fn needs(&self) -> Test {
        let conditions = usize::from(self.time_range.is_some()) + self.props.len() + self.comps.len();
        if conditions > 1 { self.test } else { Test::All }
    }

    /// Asks for a component of that name (not for its absence).
    fn is(&self, name: &str) -> bool {
        !self.is_not_defined && self.name.eq_ignore_ascii_case(name)
    }

    fn names(&self, component: &Component) -> bool {
        self.name == "*" || self.name.eq_ignore_ascii_case(component.name())
    }
}

/// Whether `object` matches a filter whose root is VCALENDAR. Floating and all-day times are taken in `zone`.
/// An object whose times can not be told matches every time range: unknown is not absent.
pub fn matches(filter: &CompFilter, object: &Object, zone: &TimeZone) -> bool {
    let calendar = object.calendar();
    if filter.is_not_defined || !filter.names(calendar) {
        return filter.is_not_defined && !filter.names(calendar);
    }
    let asked = Asked { times: Times::of(object, zone) };
    // A time range on the calendar itself means what is in it.
    let ranges = filter.time_range.iter().map(|w| object.components().any(|c| asked.times.in_range(c, None, *w)));
    filter.test.holds(asked.inside(filter, calendar, None).chain(ranges))
}

/// What is asked of one object.
struct Asked<'a> {
    times: Times<'a>,
}

impl Asked<'_> {
    /// RFC 4791 9.7.1. `own`: the component of the object that `parent` is or stands in; `None` at the calendar.
    fn comp(&self, filter: &CompFilter, parent: &Component, own: Option<&Component>) -> bool {
        let mut named = parent.components.iter().filter(|c| filter.names(c));
        if filter.is_not_defined {
            return named.next().is_none();
        }
        named.any(|c| {
            let ranges = filter.time_range.iter().map(|w| self.times.in_range(c, own, *w));
            filter.test.holds(self.inside(filter, c, own.or(Some(c))).chain(ranges))
        })
    }

    /// The conditions on what `component` holds: the cheap ones, which a time range comes behind.
    fn inside<'s>(
        &'s self,
        filter: &'s CompFilter,
        component: &'s Component,
        own: Option<&'s Component>,
    ) -> impl Iterator<Item = bool> + 's {
        let props = filter.props.iter().map(move |f| self.prop(f, component));
        props.chain(filter.comps.iter().map(move |f| self.comp(f, component, own)))
    }

    /// RFC 4791 9.7.2.
    fn prop(&self, filter: &PropFilter, component: &Component) -> bool {
        let mut named = component.properties.iter().filter(|p| p.name().eq_ignore_ascii_case(&filter.name)).peekable();
        if filter.is_not_defined {
            return named.peek().is_none();
        }
        match named.peek() {
            // No property, and yet an end to ask for, of which there is nothing but its time.
            None => filter.time_range.is_some_and(|w| {
                let others = || filter.text.is_none() && filter.params.iter().all(|f| f.is_not_defined);
                let name = filter.name.to_ascii_uppercase();
                (filter.test == Test::Any || others()) && self.times.effective_in_range(&name, component, w)
            }),
            Some(_) => named.any(|p| {
                let texts = filter.text.iter().map(|t| t.holds_of_value(p));
                let params = filter.params.iter().map(|f| f.holds(p));
                let ranges = filter.time_range.iter().map(|w| self.times.value_in_range(p, component, *w));
                filter.test.holds(texts.chain(params).chain(ranges))
            }),
        }
    }
}

impl ParamFilter {
    /// RFC 4791 9.7.3.
    fn holds(&self, property: &Property) -> bool {
        let mut named = property.params().filter(|p| p.name().eq_ignore_ascii_case(&self.name));
        if self.is_not_defined {
            return named.next().is_none();
        }
        named.any(|param| {
            // A parameter of several values is looked at value by value, and once when it has none.
            self.text.as_ref().is_none_or(|t| match param.values().next() {
                None => t.holds_of_any(std::iter::once(Cow::Borrowed(""))),
                Some(_) => t.holds_of_any(param.values()),
            })
        })
    }
}

impl TextMatch {
    /// Of a property that holds a list (CATEGORIES), of each of its values and of the list as it reads as a whole.
    fn holds_of_value(&self, property: &Property) -> bool {
        let raw = property.value();
        let known = names::known(property.name());
        // What is no TEXT has no escapes.
        if known.is_some_and(|k| k.value != Type::Text) {
            return self.holds_of_any(std::iter::once(Cow::Borrowed(raw)));
        }
        let whole = std::iter::once_with(|| unescape(raw));
        match known {
            Some(k) if k.shape == Shape::List => self.holds_of_any(values(raw).map(unescape).chain(whole)),
            _ => self.holds_of_any(whole),
        }
    }

    fn holds_of_any<'t>(&self, mut texts: impl Iterator<Item = Cow<'t, str>>) -> bool {
        texts.any(|text| self.collation.holds(self.match_type, &text, &self.text)) != self.negate
    }
}

/// The values of a list of TEXT: split at the commas that no backslash stands before.
fn values(raw: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    raw.split(move |c| {
        let splits = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        splits
    })
}

#[cfg(test)]
mod tests {
    use super::super::time;
    use super::*;
    use crate::ical::Instant;

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
        CompFilter { name: name.to_owned(), ..CompFilter::default() }
    }

    fn prop(name: &str) -> PropFilter {
        PropFilter { name: name.to_owned(), ..PropFilter::default() }
    }

    fn text(text: &str, collation: Collation, negate: bool) -> Option<TextMatch> {
        Some(TextMatch { text: text.into(), collation, negate, ..TextMatch::default() })
    }

    /// A filter VCALENDAR / `inner`.
    fn within(inner: CompFilter) -> CompFilter {
        CompFilter { comps: vec![inner], ..comp("VCALENDAR") }
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

    /// What a text is compared with: TEXT without its escapes, lists value by value and as a whole.
    #[test]
    fn values_of_text() {
        let event = object(
            "VEVENT",
            "DTSTART:20260105T090000Z\nCATEGORIES:Work\\, paid,Übung\nCATEGORIES:Home\nSUMMARY:one\\, two\\ntwo\n\
             URL:https://example.org/a\\nb\nX-OURS:a\\;b\nRESOURCES:room,beamer\\\\,key",
        );
        let cases = [
            ("SUMMARY", "one, two", MatchType::Contains, false, true),
            ("SUMMARY", "one, two\ntwo", MatchType::Equals, false, true),
            ("SUMMARY", "one", MatchType::Equals, false, false),
            ("SUMMARY", "one", MatchType::StartsWith, false, true),
            ("SUMMARY", "TWO", MatchType::EndsWith, false, true),
            ("SUMMARY", "two", MatchType::StartsWith, false, false),
            ("SUMMARY", "one", MatchType::StartsWith, true, false),
            ("CATEGORIES", "work, paid", MatchType::Equals, false, true),
            ("CATEGORIES", "Übung", MatchType::Equals, false, true),
            ("CATEGORIES", "home", MatchType::Equals, false, true),
            ("CATEGORIES", "paid,", MatchType::Contains, false, true),
            ("CATEGORIES", "paid", MatchType::StartsWith, false, false),
            // Of one property none of the values; another property is another matter.
            ("CATEGORIES", "Übung", MatchType::Equals, true, true),
            ("RESOURCES", "room", MatchType::Equals, true, false),
            ("RESOURCES", "key", MatchType::Equals, false, true),
            ("RESOURCES", "beamer\\", MatchType::Equals, false, true),
            ("X-OURS", "a;b", MatchType::Equals, false, true),
            ("URL", "a\\nb", MatchType::EndsWith, false, true),
            ("DTSTART", "20260105", MatchType::StartsWith, false, true),
        ];
        for (name, sought, match_type, negate, expect) in cases {
            let text = TextMatch { text: sought.into(), match_type, negate, ..TextMatch::default() };
            let filter = PropFilter { text: Some(text), ..prop(name) };
            let filter = within(CompFilter { props: vec![filter], ..comp("VEVENT") });
            assert_eq!(matches(&filter, &event, &TimeZone::UTC), expect, "{name} {sought}");
        }
    }

    /// draft-daboo-caldav-extensions 3.1: one of the conditions is enough, a time range among them.
    #[test]
    fn any_of_the_conditions() {
        let event =
            object("VEVENT", "DTSTART:20260105T090000Z\nSUMMARY:x\nATTENDEE;PARTSTAT=ACCEPTED:mailto:a@example.org");
        let hit = Some(window("20260105", "20260106"));
        let miss = Some(window("20260106", "20260107"));
        let any = |time_range, props: &[&str]| CompFilter {
            test: Test::Any,
            time_range,
            props: props.iter().map(|name| prop(name)).collect(),
            ..comp("VEVENT")
        };
        let attendee = |sought: &str, param: &str, test| {
            let params = vec![ParamFilter { name: param.to_owned(), ..ParamFilter::default() }];
            let text = text(sought, Collation::AsciiCasemap, false);
            CompFilter { props: vec![PropFilter { test, text, params, ..prop("ATTENDEE") }], ..comp("VEVENT") }
        };
        let cases = [
            (within(any(hit, &["LOCATION"])), true),
            (within(any(miss, &["SUMMARY"])), true),
            (within(any(miss, &["LOCATION", "URL"])), false),
            (within(any(None, &[])), true),
            (within(any(miss, &[])), false),
            (within(CompFilter { comps: vec![comp("VALARM")], ..any(miss, &[]) }), false),
            (CompFilter { test: Test::Any, comps: vec![comp("VTODO"), comp("VEVENT")], ..comp("VCALENDAR") }, true),
            (CompFilter { test: Test::Any, comps: vec![comp("VTODO"), comp("VJOURNAL")], ..comp("VCALENDAR") }, false),
            (within(attendee("a@", "ROLE", Test::Any)), true),
            (within(attendee("b@", "partstat", Test::Any)), true),
            (within(attendee("b@", "ROLE", Test::Any)), false),
            (within(attendee("a@", "ROLE", Test::All)), false),
            (within(CompFilter { props: vec![prop("SUMMARY")], ..comp("*") }), true),
            (within(CompFilter { is_not_defined: true, ..comp("*") }), false),
        ];
        for (filter, expect) in cases {
            assert_eq!(matches(&filter, &event, &TimeZone::UTC), expect, "{filter:?}");
        }
    }

    /// Floating and all-day times are those of the zone that is asked in.
    #[test]
    fn floating_times_by_the_zone_of_the_question() {
        let tokyo = crate::ical::zone::named("Asia/Tokyo").unwrap();
        let ask = |lines: &str, from, to, zone: &TimeZone| {
            let filter = within(CompFilter { time_range: Some(window(from, to)), ..comp("VEVENT") });
            matches(&filter, &object("VEVENT", lines), zone)
        };
        for (lines, from, to) in [
            ("DTSTART:20260105T090000", "20260105T000000Z", "20260105T000001Z"),
            ("DTSTART;VALUE=DATE:20260105", "20260104T150000Z", "20260104T150001Z"),
            ("DTSTART;VALUE=DATE:20260105", "20260105T145959Z", "20260105T150000Z"),
        ] {
            assert!(ask(lines, from, to, &tokyo), "{lines}");
        }
        assert!(!ask("DTSTART:20260105T090000", "20260105T000000Z", "20260105T000001Z", &TimeZone::UTC));
        assert!(!ask("DTSTART;VALUE=DATE:20260105", "20260105T150000Z", "20260105T150001Z", &tokyo));
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
        let any = |comps| CompFilter { test: Test::Any, comps, ..comp("VCALENDAR") };
        let later = |name: &str| CompFilter { time_range: Some(window("20260301", "20260401")), ..comp(name) };
        let both = window("20260101", "20260401");
        let cases = [
            (within(ranged("VEVENT")), Some(w), Some(w), Some(Kind::Event)),
            (within(comp("VEVENT")), None, None, Some(Kind::Event)),
            (within(more), None, Some(w), Some(Kind::Event)),
            (within(ranged("VTODO")), None, Some(w), Some(Kind::Todo)),
            (within(ranged("VFREEBUSY")), None, None, Some(Kind::Other)),
            (within(CompFilter { is_not_defined: true, ..comp("VEVENT") }), None, None, None),
            (comp("VCALENDAR"), None, None, None),
            (CompFilter { props: vec![prop("X")], ..within(ranged("VEVENT")) }, None, Some(w), Some(Kind::Event)),
            (within(ranged("*")), None, Some(w), None),
            (CompFilter { time_range: Some(w), ..comp("VCALENDAR") }, None, Some(w), None),
            // One of several is enough: all of them have to be where it is looked.
            (any(vec![ranged("VEVENT"), ranged("vevent")]), None, Some(w), Some(Kind::Event)),
            (any(vec![ranged("VEVENT"), later("VTODO")]), None, Some(both), None),
            (any(vec![ranged("VEVENT"), comp("VEVENT")]), None, None, Some(Kind::Event)),
            (any(vec![ranged("VEVENT")]), Some(w), Some(w), Some(Kind::Event)),
            (CompFilter { props: vec![prop("X")], ..any(vec![ranged("VEVENT")]) }, None, None, None),
            (
                within(CompFilter { test: Test::Any, props: vec![prop("X")], ..ranged("VEVENT") }),
                None,
                None,
                Some(Kind::Event),
            ),
        ];
        for (filter, only, outer, kind) in cases {
            assert_eq!((filter.only_event_window(), filter.window(), filter.kind()), (only, outer, kind), "{filter:?}");
        }
    }
}
