//! jCal (RFC 7265): calendar data as JSON, both ways.
//!
//! What is said stays the same; how it is written does not. From text to jCal and back these may differ: folds, quotes,
//! the case of names, line ends; which escapes TEXT is written with (NEL, LS and PS come back as `\n`); how a number, a
//! date, a time and a rule are spelled (`+05` is `5`, FREQ comes first); the place of VALUE among the parameters, and
//! whether it is written where it says what goes without saying. A date where VALUE says that it is a time (or the
//! other way round) gets the VALUE that is right. A parameter given twice becomes one of several values. What is not
//! of the type it should be travels as `unknown`, as it stands, without its VALUE. Binary without ENCODING gets one,
//! and what is text in BASE64 is text (RFC 7265 3.2).

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::names::{self, Shape, Type};
use super::read::{self, Limits, MAX_DEPTH, MAX_LINE, MAX_PARAMS, MAX_PROPERTIES, MAX_VALUES, is_name};
use super::text::{escape, is_control, unescape};
use super::time::{self, Duration};
use super::{Component, Error, Property};

/// Values of one property. A content line that is not too long can hardly hold more dates.
const MOST_VALUES: usize = 200_000;

/// A property whose type is not known carries its value as it stands in the text (RFC 7265 5).
const UNKNOWN: &str = "unknown";

/// The component as jCal: `["vcalendar", [property, …], [component, …]]`, without white space. Controls and what
/// some readers take for line ends (NEL, LS, PS) are escaped.
pub fn print(component: &Component) -> String {
    let mut out = String::new();
    component_to(component, &mut out);
    out
}

/// Reads jCal of exactly one VCALENDAR, alone or in a stream of one. The limits of [`Component::parse`] hold.
///
/// The error names the line of the JSON and the place as RFC 6901 has it: `/1/0/3: …`. [`super::Object::of`] makes an
/// object of what comes out.
pub fn parse(json: &str) -> Result<Component, Error> {
    let mut calendars = read(json, read::OBJECT)?;
    match calendars.len() {
        0 => Err(Error { line: 1, reason: "there is no vcalendar in it; send one".to_owned() }),
        1 => Ok(calendars.remove(0)),
        _ => Err(Error { line: 0, reason: "/1: a second vcalendar; send exactly one".to_owned() }),
    }
}

/// Reads a jCal stream (RFC 7265 3.2): one VCALENDAR, or an array of any number of them, as big as a whole calendar.
pub fn parse_stream(json: &str) -> Result<Vec<Component>, Error> {
    read(json, read::of_file(json.len()))
}

fn component_to(component: &Component, out: &mut String) {
    out.push('[');
    string_to(&component.name().to_ascii_lowercase(), out);
    out.push_str(",[");
    listed(&component.properties, out, property_to);
    out.push_str("],[");
    listed(&component.components, out, component_to);
    out.push_str("]]");
}

fn property_to(property: &Property, out: &mut String) {
    out.push('[');
    string_to(&property.name().to_ascii_lowercase(), out);
    out.push_str(",{");
    let shown = shown(property);
    let mut params: Vec<(String, Vec<Cow<'_, str>>)> = Vec::new();
    for param in property.params() {
        let name = param.name().to_ascii_lowercase();
        if name.is_empty() || name == "value" || name == "encoding" && shown.decoded {
            continue;
        }
        // No name may come twice in an object of JSON.
        match params.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.extend(param.values()),
            None => params.push((name, param.values().collect())),
        }
    }
    listed(&params, out, |(name, values), out| {
        string_to(name, out);
        out.push(':');
        match values.as_slice() {
            [] => out.push_str("\"\""),
            [value] => string_to(value, out),
            values => {
                out.push('[');
                listed(values, out, |value, out| string_to(value, out));
                out.push(']');
            }
        }
    });
    out.push_str("},");
    string_to(&shown.kind, out);
    out.push(',');
    out.push_str(&shown.values);
    out.push(']');
}

/// Writes what is listed, with commas between.
fn listed<'a, T>(list: &'a [T], out: &mut String, mut write: impl FnMut(&'a T, &mut String)) {
    for (at, one) in list.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(one, out);
    }
}

/// A string of JSON. Besides what must be escaped, so is what does not show and what ends a line for some readers.
fn string_to(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The type and the values of a property in JSON.
struct Shown {
    kind: Cow<'static, str>,
    values: String,
    /// The value was BASE64 and is none any more.
    decoded: bool,
}

fn shown(property: &Property) -> Shown {
    let (name, value) = (property.name(), property.value());
    let raw = |kind: Cow<'static, str>| {
        let mut values = String::new();
        string_to(value, &mut values);
        Shown { kind, values, decoded: false }
    };
    let said = property.param("VALUE").filter(|said| !said.is_empty());
    let known = names::known(name);
    let declared = match (&said, known) {
        (None, None) => return raw(Cow::Borrowed(UNKNOWN)),
        (None, Some(known)) => known.value,
        (Some(said), _) => match Type::of(said) {
            Some(declared) => declared,
            // A type that nobody here knows keeps its name, and its value its spelling.
            None if is_name(said) => return raw(Cow::Owned(said.to_ascii_lowercase())),
            None => return raw(Cow::Borrowed(UNKNOWN)),
        },
    };
    let base64 = property.param("ENCODING").is_some_and(|encoding| encoding.eq_ignore_ascii_case("BASE64"));
    if base64 && declared == Type::Uri && said.is_none() {
        // What old programs attach without VALUE=BINARY.
        return raw(Cow::Borrowed(Type::Binary.name()));
    }
    if base64
        && declared == Type::Text
        && let Ok(octets) = BASE64.decode(value.trim())
        && let Ok(text) = String::from_utf8(octets)
    {
        let mut values = String::new();
        string_to(&text, &mut values);
        return Shown { kind: Cow::Borrowed(declared.name()), values, decoded: true };
    }
    // A property that nobody knows may have one value or several; a comma that is not escaped stands between two.
    let shape = known.map_or(Shape::List, |known| known.shape);
    for kind in likely(name, declared) {
        let mut values = String::new();
        if values_to(kind, shape, value, &mut values).is_some() {
            return Shown { kind: Cow::Borrowed(kind.name()), values, decoded: false };
        }
    }
    raw(Cow::Borrowed(UNKNOWN))
}

/// What a value may be that is declared as one of them: times are known by their form, which everybody reads them by.
fn likely(name: &str, declared: Type) -> Vec<Type> {
    use Type::{Date, DateTime, Duration, Period};
    match (name, declared) {
        ("RDATE", Date | DateTime | Period) => vec![DateTime, Date, Period],
        ("TRIGGER", DateTime | Duration) => vec![Duration, DateTime],
        (_, Date | DateTime) => vec![DateTime, Date],
        _ => vec![declared],
    }
}

/// Types whose values may hold commas and semicolons of their own.
fn is_whole(kind: Type) -> bool {
    matches!(kind, Type::Binary | Type::CalAddress | Type::Recur | Type::Uri | Type::XmlReference)
}

/// All values of a property in JSON, with commas between; `None` when one of them is not of that type.
fn values_to(kind: Type, shape: Shape, value: &str, out: &mut String) -> Option<()> {
    let between = match shape {
        _ if is_whole(kind) => None,
        Shape::One => None,
        Shape::List => Some(','),
        Shape::Fields => Some(';'),
    };
    let Some(between) = between else { return value_to(kind, value, out) };
    let values = split(value, between);
    let fields = shape == Shape::Fields && values.len() > 1;
    if fields {
        out.push('[');
    }
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        value_to(kind, value, out)?;
    }
    if fields {
        out.push(']');
    }
    Some(())
}

/// Parts at each `between` that no backslash stands before.
fn split(value: &str, between: char) -> Vec<&str> {
    let mut escaped = false;
    let here = |c: char| {
        let found = c == between && !escaped;
        escaped = c == '\\' && !escaped;
        found
    };
    value.split(here).collect()
}

/// One value in JSON (RFC 7265 3.6).
fn value_to(kind: Type, value: &str, out: &mut String) -> Option<()> {
    let trimmed = value.trim();
    match kind {
        Type::Text | Type::Uid => string_to(&unescape(value), out),
        Type::Binary | Type::CalAddress | Type::Uri | Type::XmlReference => string_to(value, out),
        Type::Boolean if trimmed.eq_ignore_ascii_case("TRUE") => out.push_str("true"),
        Type::Boolean if trimmed.eq_ignore_ascii_case("FALSE") => out.push_str("false"),
        Type::Boolean => return None,
        Type::Integer => out.push_str(&integer(trimmed)?.to_string()),
        Type::Float => out.push_str(&float(trimmed)?),
        Type::Duration => string_to(Duration::parse(trimmed).map(|_| trimmed)?, out),
        Type::Date | Type::DateTime | Type::Time | Type::UtcOffset => string_to(&spaced(kind, trimmed)?, out),
        Type::Period => {
            let (start, end) = trimmed.split_once('/')?;
            out.push('[');
            value_to(Type::DateTime, start, out)?;
            out.push(',');
            value_to(period_end(end), end, out)?;
            out.push(']');
        }
        Type::Recur => recur_to(trimmed, out)?,
    }
    Some(())
}

fn period_end(end: &str) -> Type {
    if end.contains(['P', 'p']) { Type::Duration } else { Type::DateTime }
}

/// An integer that each reader of JSON can hold: beyond 2^53 many lose the last digits.
fn integer(text: &str) -> Option<i64> {
    text.parse().ok().filter(|n: &i64| n.unsigned_abs() <= 1 << 53)
}

/// A FLOAT as a number of JSON, digit by digit: `+1.` is `1`, `-.50` is `-0.50`.
fn float(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    // More digits before the point than this are infinite for most readers.
    if !all_digits(whole) || !all_digits(part) || whole.len() + part.len() == 0 || whole.len() > 300 {
        return None;
    }
    let whole = Some(whole.trim_start_matches('0')).filter(|w| !w.is_empty()).unwrap_or("0");
    let point = if part.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{part}"))
}

/// How jCal writes what the text writes without `-` and `:`. `d` is a digit, `s` a sign.
const DATE: &str = "dddd-dd-dd";
const DATE_TIME: &[&str] = &["dddd-dd-ddTdd:dd:dd", "dddd-dd-ddTdd:dd:ddZ"];
const TIME: &[&str] = &["dd:dd:dd", "dd:dd:ddZ"];
const UTC_OFFSET: &[&str] = &["sdd:dd", "sdd:dd:dd"];

fn patterns(kind: Type) -> &'static [&'static str] {
    match kind {
        Type::DateTime => DATE_TIME,
        Type::Time => TIME,
        Type::UtcOffset => UTC_OFFSET,
        _ => &[DATE],
    }
}

/// A date, time or offset of the text as jCal writes it. `None`: it is none, or there is no such day or time.
fn spaced(kind: Type, text: &str) -> Option<String> {
    let text = text.to_ascii_uppercase();
    if !is_real(kind, &text) {
        return None;
    }
    patterns(kind).iter().find_map(|pattern| {
        let mut chars = text.chars();
        let mut out = String::with_capacity(pattern.len());
        for p in pattern.chars() {
            let c = if matches!(p, '-' | ':') { p } else { chars.next().filter(|c| fits(p, *c))? };
            out.push(c);
        }
        chars.next().is_none().then_some(out)
    })
}

/// The other way.
fn unspaced(kind: Type, text: &str) -> Option<String> {
    let plain = patterns(kind).iter().find_map(|pattern| {
        let same = pattern.len() == text.len() && pattern.chars().zip(text.chars()).all(|(p, c)| fits(p, c));
        let kept = |(p, c): (char, char)| (!matches!(p, '-' | ':')).then_some(c);
        same.then(|| pattern.chars().zip(text.chars()).filter_map(kept).collect::<String>())
    })?;
    is_real(kind, &plain).then_some(plain)
}

fn fits(pattern: char, c: char) -> bool {
    match pattern {
        'd' => c.is_ascii_digit(),
        's' => matches!(c, '+' | '-'),
        p => p == c,
    }
}

fn is_real(kind: Type, text: &str) -> bool {
    let clock = |digits: &str| time::parse(&format!("19700101T{digits}")).is_some();
    match kind {
        Type::Time => clock(text),
        // Hours, minutes, and seconds where there are any.
        Type::UtcOffset => text.get(1..).is_some_and(|digits| clock(digits) || clock(&format!("{digits}00"))),
        Type::Date | Type::DateTime => time::parse(text).is_some(),
        _ => true,
    }
}

/// Rule parts whose values are numbers.
const NUMBERS: &[&str] = &[
    "count",
    "interval",
    "bysecond",
    "byminute",
    "byhour",
    "bymonthday",
    "byyearday",
    "byweekno",
    "bymonth",
    "bysetpos",
];

const WEEKDAYS: [&str; 7] = ["SU", "MO", "TU", "WE", "TH", "FR", "SA"];

/// A rule as an object (RFC 7265 3.6.10, RFC 7529 5). `None`: it is no list of parts, or one comes twice.
fn recur_to(rule: &str, out: &mut String) -> Option<()> {
    let mut seen: Vec<String> = Vec::new();
    out.push('{');
    for part in rule.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=')?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if !is_name(&name) || seen.contains(&name) || seen.len() >= MAX_PARAMS {
            return None;
        }
        if !seen.is_empty() {
            out.push(',');
        }
        string_to(&name, out);
        out.push(':');
        let is_number = NUMBERS.contains(&name.as_str());
        let one_to = |value: &str, out: &mut String| match integer(value) {
            Some(n) if is_number => out.push_str(&n.to_string()),
            _ => string_to(value, out),
        };
        match value.split(',').map(str::trim).collect::<Vec<_>>().as_slice() {
            _ if name == "until" => {
                let until = spaced(Type::DateTime, value).or_else(|| spaced(Type::Date, value))?;
                string_to(&until, out);
            }
            values @ [_, _, ..] if is_number || name == "byday" => {
                out.push('[');
                listed(values, out, |value, out| one_to(value, out));
                out.push(']');
            }
            _ => one_to(value, out),
        }
        seen.push(name);
    }
    out.push('}');
    (!seen.is_empty()).then_some(())
}

fn read(json: &str, limits: Limits) -> Result<Vec<Component>, Error> {
    let reader = Reader { limits, path: RefCell::default(), lines: Cell::new(0), components: Cell::new(0) };
    let mut from = serde_json::Deserializer::from_str(json);
    let read = Stream { reader: &reader }.deserialize(&mut from).and_then(|read| from.end().map(|()| read));
    read.map_err(|e| Error { line: e.line(), reason: format!("{}{}", reader.place(), reason(&e)) })
}

/// What serde_json says, without where: that is said apart.
fn reason(e: &serde_json::Error) -> String {
    let said = e.to_string();
    let at = format!(" at line {} column {}", e.line(), e.column());
    said.strip_suffix(&at).unwrap_or(&said).to_owned()
}

/// What is read so far, for the limits, and where.
struct Reader {
    limits: Limits,
    path: RefCell<Vec<Step>>,
    lines: Cell<usize>,
    components: Cell<usize>,
}

/// Into an array or an object.
enum Step {
    At(usize),
    Named(String),
}

impl Reader {
    /// The place that is being read (RFC 6901): `/1/0/1/tzid: `.
    fn place(&self) -> String {
        let path = self.path.borrow();
        let steps = path.iter().map(|step| match step {
            Step::At(at) => format!("/{at}"),
            Step::Named(name) => format!("/{}", shortened(name).replace('~', "~0").replace('/', "~1")),
        });
        let path: String = steps.collect();
        if path.is_empty() { path } else { path + ": " }
    }

    /// Reads one step further down. Where that fails the path stays.
    fn below<T, E>(&self, step: Step, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.path.borrow_mut().push(step);
        let read = read()?;
        self.path.borrow_mut().pop();
        Ok(read)
    }

    /// The element of an array at `at`.
    fn next<'de, A: SeqAccess<'de>, S: DeserializeSeed<'de>>(
        &self,
        seq: &mut A,
        at: usize,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.below(Step::At(at), || seq.next_element_seed(seed))
    }

    /// The same where there must be one.
    fn need<'de, A: SeqAccess<'de>, S: DeserializeSeed<'de>>(
        &self,
        seq: &mut A,
        at: usize,
        seed: S,
    ) -> Result<S::Value, A::Error> {
        self.below(Step::At(at), || {
            seq.next_element_seed(seed)?.ok_or_else(|| A::Error::invalid_length(at, &"more elements"))
        })
    }

    /// Counts what is that many content lines.
    fn count<E: serde::de::Error>(&self, lines: usize) -> Result<(), E> {
        self.lines.set(self.lines.get() + lines);
        match self.lines.get() > self.limits.lines {
            true => Err(E::custom(format!("there are more than {} lines", self.limits.lines))),
            false => Ok(()),
        }
    }
}

/// What a parameter takes of its line, quotes and escapes aside.
fn length_of(name: &str, values: &[String]) -> usize {
    1 + name.len() + values.iter().map(|value| 1 + value.len()).sum::<usize>()
}

fn too_long<E: serde::de::Error>() -> E {
    E::custom(format!("the line is longer than {MAX_LINE} octets"))
}

/// As much of a text as an error may show.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect::<String>().escape_debug().to_string()
}

/// A name in upper case.
fn name_of<E: serde::de::Error>(name: &str, what: &str) -> Result<String, E> {
    let upper = name.to_ascii_uppercase();
    // A property of one of these two names would not be one.
    if !is_name(name) || what == "property" && matches!(upper.as_str(), "BEGIN" | "END") {
        return Err(E::custom(format!("\"{}\" is no name of a {what}", shortened(name))));
    }
    Ok(upper)
}

/// A seed that reads arrays by `elements`; `$expecting` is what stands in the error about anything else.
macro_rules! array {
    ($name:ident, $value:ty, $expecting:literal $(, $more:item)?) => {
        impl<'de> DeserializeSeed<'de> for $name<'_> {
            type Value = $value;

            fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<$value, D::Error> {
                from.deserialize_any(self)
            }
        }

        impl<'de> Visitor<'de> for $name<'_> {
            type Value = $value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($expecting)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<$value, A::Error> {
                self.elements(seq)
            }

            $($more)?
        }
    };
}

/// One VCALENDAR, or an array of them.
struct Stream<'r> {
    reader: &'r Reader,
}

array!(Stream, Vec<Component>, "[\"vcalendar\", properties, components] or an array of these");

impl Stream<'_> {
    fn elements<'de, A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Component>, A::Error> {
        let reader = self.reader;
        let mut calendars = Vec::new();
        while let Some(element) = reader.next(&mut seq, calendars.len(), InStream { reader })? {
            match element {
                Element::Calendar(calendar) => calendars.push(calendar),
                Element::Name(name) if calendars.is_empty() => {
                    return Ok(vec![OfComponent { reader, depth: 1 }.behind(&name, seq)?]);
                }
                Element::Name(_) => return Err(A::Error::custom("a calendar is expected in a stream, not a text")),
            }
        }
        Ok(calendars)
    }
}

/// The first element says what the array is.
struct InStream<'r> {
    reader: &'r Reader,
}

enum Element {
    Name(String),
    Calendar(Component),
}

array!(
    InStream,
    Element,
    "\"vcalendar\" or a calendar",
    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Element, E> {
        Ok(Element::Name(name.to_owned()))
    }
);

impl InStream<'_> {
    fn elements<'de, A: SeqAccess<'de>>(self, seq: A) -> Result<Element, A::Error> {
        OfComponent { reader: self.reader, depth: 1 }.elements(seq).map(Element::Calendar)
    }
}

/// `[name, properties, components]`.
struct OfComponent<'r> {
    reader: &'r Reader,
    /// 1 is the VCALENDAR.
    depth: usize,
}

array!(OfComponent, Component, "a component: [name, properties, components]");

impl OfComponent<'_> {
    fn elements<'de, A: SeqAccess<'de>>(self, mut seq: A) -> Result<Component, A::Error> {
        let name = self.reader.need(&mut seq, 0, Text)?;
        self.behind(&name, seq)
    }

    /// What follows the name.
    fn behind<'de, A: SeqAccess<'de>>(self, name: &str, mut seq: A) -> Result<Component, A::Error> {
        let reader = self.reader;
        let limits = &reader.limits;
        let name = reader.below(Step::At(0), || {
            let name = name_of(name, "component")?;
            if self.depth > MAX_DEPTH {
                return Err(A::Error::custom(format!("components are nested deeper than {MAX_DEPTH}")));
            }
            if (self.depth == 1) != (name == "VCALENDAR") {
                return Err(A::Error::custom("a vcalendar stands at the top, and nowhere else"));
            }
            reader.components.set(reader.components.get() + 1);
            if reader.components.get() > limits.components {
                return Err(A::Error::custom(format!("there are more than {} components", limits.components)));
            }
            reader.count(2)?;
            Ok(name)
        })?;
        let properties = reader.need(&mut seq, 1, Properties { reader })?;
        let components = reader.need(&mut seq, 2, Components { reader, depth: self.depth + 1 })?;
        match seq.next_element::<IgnoredAny>()? {
            None => Ok(Component::new(&name).with(properties).with_components(components)),
            Some(_) => Err(A::Error::custom("a component has three elements: name, properties, components")),
        }
    }
}

struct Components<'r> {
    reader: &'r Reader,
    depth: usize,
}

array!(Components, Vec<Component>, "an array of components");

impl Components<'_> {
    fn elements<'de, A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Component>, A::Error> {
        let (reader, depth) = (self.reader, self.depth);
        let mut components = Vec::new();
        while let Some(component) = reader.next(&mut seq, components.len(), OfComponent { reader, depth })? {
            components.push(component);
        }
        Ok(components)
    }
}

struct Properties<'r> {
    reader: &'r Reader,
}

array!(Properties, Vec<Property>, "an array of properties");

impl Properties<'_> {
    fn elements<'de, A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Property>, A::Error> {
        let reader = self.reader;
        let mut properties = Vec::new();
        while let Some(property) = reader.next(&mut seq, properties.len(), OfProperty { reader })? {
            if properties.len() >= MAX_PROPERTIES {
                return Err(A::Error::custom(format!("there are more than {MAX_PROPERTIES} properties")));
            }
            properties.push(property);
        }
        Ok(properties)
    }
}

/// `[name, parameters, type, value, …]`.
struct OfProperty<'r> {
    reader: &'r Reader,
}

array!(OfProperty, Property, "a property: [name, parameters, type, value, …]");

impl OfProperty<'_> {
    fn elements<'de, A: SeqAccess<'de>>(self, mut seq: A) -> Result<Property, A::Error> {
        let reader = self.reader;
        reader.count(1)?;
        let name = reader.need(&mut seq, 0, Text)?;
        let name = reader.below(Step::At(0), || name_of(&name, "property"))?;
        let params = reader.need(&mut seq, 1, Params { reader })?;
        let kind = reader.need(&mut seq, 2, Text)?;
        let values = reader.below(Step::At(2), || Values::of(&name, &kind).map_err(A::Error::custom))?;

        let mut property = Property::new(&name, "");
        if let Some(said) = &values.said {
            property = property.with_param("VALUE", said);
        }
        // Octets are BASE64 and say so (RFC 5545 3.1.3).
        if values.kind == Some(Type::Binary) && !params.iter().any(|(name, _)| name == "ENCODING") {
            property = property.with_param("ENCODING", "BASE64");
        }
        // VALUE is told by the type (RFC 7265 3.5.1).
        for (name, values) in params.iter().filter(|(name, _)| name != "VALUE") {
            property = property.with_values(name, values.iter().map(String::as_str));
        }
        let head: usize = name.len() + params.iter().map(|(name, values)| length_of(name, values)).sum::<usize>();
        let mut value = String::new();
        let mut at = 3;
        while let Some(raw) = reader.next(&mut seq, at, std::marker::PhantomData::<&RawValue>)? {
            reader.below(Step::At(at), || {
                if at - 3 >= MOST_VALUES {
                    return Err(A::Error::custom(format!("there are more than {MOST_VALUES} values")));
                }
                values.add(at - 3, raw.get(), &mut value).map_err(A::Error::custom)?;
                match head + value.len() > MAX_LINE {
                    true => Err(too_long()),
                    false => Ok(()),
                }
            })?;
            at += 1;
        }
        if at == 3 {
            return Err(A::Error::custom("a property has at least one value"));
        }
        property.set_value(&value);
        Ok(property)
    }
}

/// A string; `need` says where.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        String::deserialize(from)
    }
}

/// Names in upper case, each once, with their values.
struct Params<'r> {
    reader: &'r Reader,
}

type Named = Vec<(String, Vec<String>)>;

impl<'de> DeserializeSeed<'de> for Params<'_> {
    type Value = Named;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Named, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Params<'_> {
    type Value = Named;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of parameters")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named, A::Error> {
        let reader = self.reader;
        let mut params = Named::new();
        let mut length = 0;
        while let Some(name) = map.next_key::<String>()? {
            let values = reader.below(Step::Named(name.clone()), || map.next_value_seed(OfParam { reader }))?;
            reader.below(Step::Named(name.clone()), || {
                let name = name_of(&name, "parameter")?;
                if params.iter().any(|(known, _)| *known == name) {
                    return Err(A::Error::custom("this parameter is there twice; send an array of its values"));
                }
                if params.len() >= MAX_PARAMS {
                    return Err(A::Error::custom(format!("there are more than {MAX_PARAMS} parameters")));
                }
                length += length_of(&name, &values);
                if length > MAX_LINE {
                    return Err(too_long());
                }
                params.push((name, values));
                Ok(())
            })?;
        }
        Ok(params)
    }
}

/// A string or an array of strings.
struct OfParam<'r> {
    reader: &'r Reader,
}

array!(
    OfParam,
    Vec<String>,
    "a string or an array of strings",
    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Vec<String>, E> {
        Ok(vec![value.to_owned()])
    }
);

impl OfParam<'_> {
    fn elements<'de, A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<String>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = self.reader.next(&mut seq, values.len(), Text)? {
            if values.len() >= MAX_VALUES {
                return Err(A::Error::custom(format!("there are more than {MAX_VALUES} values")));
            }
            values.push(value);
        }
        Ok(values)
    }
}

/// How the values of one property are written in a content line.
struct Values {
    /// `None`: as they stand.
    kind: Option<Type>,
    /// What VALUE has to say of it.
    said: Option<String>,
    /// There may be several; each may be an array of fields.
    several: bool,
    fields: bool,
}

impl Values {
    /// For a property of that name (upper case) whose type identifier is `kind`.
    fn of(name: &str, kind: &str) -> Result<Values, String> {
        let known = names::known(name);
        let (several, fields) = known.map_or((true, true), |k| (k.shape == Shape::List, k.shape == Shape::Fields));
        if kind.eq_ignore_ascii_case(UNKNOWN) {
            return Ok(Values { kind: None, said: None, several: true, fields: false });
        }
        let Some(kind) = Type::of(kind) else {
            return match is_name(kind) {
                true => Ok(Values { kind: None, said: Some(kind.to_ascii_uppercase()), several: true, fields: false }),
                false => Err(format!("\"{}\" is no type of a value", shortened(kind))),
            };
        };
        let goes_without_saying = known.is_some_and(|known| known.value == kind && !known.stated);
        let said = (!goes_without_saying).then(|| kind.name().to_ascii_uppercase());
        Ok(Values { kind: Some(kind), said, several, fields })
    }

    /// Adds one element of the property's array, the `nth`, to the value of the line.
    fn add(&self, nth: usize, json: &str, line: &mut String) -> Result<(), String> {
        if nth > 0 {
            if !self.several {
                return Err("this property has one value".to_owned());
            }
            line.push(',');
        }
        match json.as_bytes().first() {
            Some(b'[') if self.kind == Some(Type::Period) => {
                let mut ends = Vec::new();
                array_of(json, 2, |end| string(end).map(|end| ends.push(end)))?;
                let [start, end] = ends.as_slice() else { return Err("a period has a start and an end".to_owned()) };
                line.push_str(&dated(&[Type::DateTime], start)?);
                line.push('/');
                line.push_str(&dated(&[period_end(end)], end)?);
                Ok(())
            }
            Some(b'[') if self.fields => {
                let mut at = 0;
                array_of(json, MAX_VALUES, |field| {
                    if at > 0 {
                        line.push(';');
                    }
                    at += 1;
                    self.one(field, line)
                })
            }
            _ => self.one(json, line),
        }
    }

    /// One value that has no parts, or is a rule.
    fn one(&self, json: &str, line: &mut String) -> Result<(), String> {
        let Some(kind) = self.kind else {
            line.push_str(&string(json)?);
            return Ok(());
        };
        match kind {
            Type::Text | Type::Uid => line.push_str(&escape(&string(json)?)),
            Type::Binary | Type::CalAddress | Type::Uri | Type::XmlReference => line.push_str(&string(json)?),
            Type::Boolean => line.push_str(match json {
                "true" => "TRUE",
                "false" => "FALSE",
                _ => return Err("true or false is expected".to_owned()),
            }),
            Type::Integer => line.push_str(&whole(json)?),
            Type::Float => line.push_str(&decimal(json)?),
            Type::Date | Type::DateTime | Type::Time | Type::UtcOffset | Type::Duration => {
                line.push_str(&dated(&[kind], &string(json)?)?);
            }
            Type::Period => return Err("a period is an array of a start and an end".to_owned()),
            Type::Recur => rule(json, line)?,
        }
        Ok(())
    }
}

/// A string of JSON, undone.
fn string(json: &str) -> Result<Cow<'_, str>, String> {
    match json.as_bytes() {
        // Without escapes it is what stands between the quotes.
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => Ok(Cow::Borrowed(&json[1..json.len() - 1])),
        [b'"', ..] => serde_json::from_str(json).map(Cow::Owned).map_err(|e| reason(&e)),
        _ => Err(format!("a string is expected, not {}", shortened(json))),
    }
}

/// A date, time, offset or duration of jCal, as a content line has it.
fn dated(kinds: &[Type], text: &str) -> Result<String, String> {
    let found = kinds.iter().find_map(|kind| match kind {
        Type::Duration => Duration::parse(text).map(|_| text.trim().to_owned()),
        kind => unspaced(*kind, text),
    });
    found.ok_or_else(|| {
        let forms: Vec<&str> = kinds
            .iter()
            .map(|kind| match kind {
                Type::Date => "2026-01-31",
                Type::DateTime => "2026-01-31T09:00:00 (with Z for UTC)",
                Type::Time => "09:00:00",
                Type::UtcOffset => "+01:00",
                _ => "PT1H",
            })
            .collect();
        format!("\"{}\" is no {}; write {}", shortened(text), kinds[0].name(), forms.join(" or "))
    })
}

fn number(json: &str) -> Result<f64, String> {
    let is_number = json.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    json.parse()
        .ok()
        .filter(|n: &f64| is_number && n.is_finite())
        .ok_or_else(|| format!("a number is expected, not {}", shortened(json)))
}

/// An INTEGER. A number that is whole is one, however it is written.
fn whole(json: &str) -> Result<String, String> {
    let n = number(json)?;
    if let Ok(n) = json.parse::<i64>() {
        return Ok(n.to_string());
    }
    match n.fract() == 0.0 && n.abs() <= (1u64 << 53) as f64 {
        true => Ok((n as i64).to_string()),
        false => Err(format!("a whole number is expected, not {}", shortened(json))),
    }
}

/// A FLOAT: the digits as they stand; what has an exponent is written without.
fn decimal(json: &str) -> Result<String, String> {
    let n = number(json)?;
    Ok(if json.contains(['e', 'E']) { n.to_string() } else { json.to_owned() })
}

/// A rule (RFC 7265 3.6.10). FREQ comes first, as RFC 5545 3.3.10 has it for old readers, and RSCALE beside it.
fn rule(json: &str, line: &mut String) -> Result<(), String> {
    let mut parts: Vec<(String, String)> = Vec::new();
    object_of(json, |name, json| {
        let name = name_of::<serde_json::Error>(name, "rule part").map_err(|e| reason(&e))?;
        if parts.iter().any(|(known, _)| *known == name) {
            return Err(format!("the rule part {name} is there twice"));
        }
        if parts.len() >= MAX_PARAMS {
            return Err(format!("there are more than {MAX_PARAMS} rule parts"));
        }
        let mut value = String::new();
        let one = |json: &str, value: &mut String| {
            if json.starts_with('"') {
                let text = string(json)?;
                if text.contains(|c: char| c == ';' || c.is_ascii() && is_control(c as u8)) {
                    return Err(format!("the rule part {name} holds what no rule part may"));
                }
                value.push_str(&text);
                return Ok(());
            }
            value.push_str(&whole(json)?);
            Ok(())
        };
        if name == "UNTIL" {
            value = dated(&[Type::Date, Type::DateTime], &string(json)?)?;
        } else if name == "WKST" && !json.starts_with('"') {
            // ical.js counts the days from Sunday, 1.
            let day = whole(json)?.parse().ok().and_then(|day: usize| WEEKDAYS.get(day.checked_sub(1)?));
            value.push_str(day.ok_or("WKST is a day from 1 (Sunday) to 7, or its name")?);
        } else if json.starts_with('[') {
            let mut seen = 0;
            array_of(json, MAX_VALUES, |json| {
                if seen > 0 {
                    value.push(',');
                }
                seen += 1;
                one(json, &mut value)
            })?;
        } else {
            one(json, &mut value)?;
        }
        parts.push((name, value));
        Ok(())
    })?;
    if parts.is_empty() {
        return Err("a rule has at least FREQ".to_owned());
    }
    parts.sort_by_key(|(name, _)| !matches!(name.as_str(), "FREQ" | "RSCALE"));
    for (at, (name, value)) in parts.iter().enumerate() {
        let between = if at == 0 { "" } else { ";" };
        line.push_str(&format!("{between}{name}={value}"));
    }
    Ok(())
}

/// Calls `each` with the elements of an array as they stand, not more than `most`.
fn array_of<'a>(json: &'a str, most: usize, each: impl FnMut(&'a str) -> Result<(), String>) -> Result<(), String> {
    struct Elements<F>(usize, F);

    impl<'de, F: FnMut(&'de str) -> Result<(), String>> Visitor<'de> for Elements<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
            let mut seen = 0;
            while let Some(raw) = seq.next_element::<&RawValue>()? {
                seen += 1;
                if seen > self.0 {
                    return Err(A::Error::custom(format!("there are more than {} values", self.0)));
                }
                (self.1)(raw.get()).map_err(A::Error::custom)?;
            }
            Ok(())
        }
    }

    serde_json::Deserializer::from_str(json).deserialize_seq(Elements(most, each)).map_err(|e| reason(&e))
}

/// Calls `each` with the names and values of an object as they stand.
fn object_of<'a>(json: &'a str, each: impl FnMut(&str, &'a str) -> Result<(), String>) -> Result<(), String> {
    struct Members<F>(F);

    impl<'de, F: FnMut(&str, &'de str) -> Result<(), String>> Visitor<'de> for Members<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a rule: an object of its parts")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some((name, raw)) = map.next_entry::<String, &RawValue>()? {
                (self.0)(&name, raw.get()).map_err(A::Error::custom)?;
            }
            Ok(())
        }
    }

    serde_json::Deserializer::from_str(json).deserialize_map(Members(each)).map_err(|e| reason(&e))
}
