//! Content lines ↔ components (RFC 5545 3.1). Keeps what it does not know; limits come before memory.
//!
//! A tree shares the text it was read from. Each line knows where it stood there, with its case, folds, quotes and line
//! end: what was not changed is printed as it came, octet for octet. What was changed is printed as RFC 5545 has it.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memchr3};

use super::repair::{Reading, Repair, Spot};
use super::{Error, names, read};

/// Octets of a content line without its line end (RFC 5545 3.1).
const FOLD: usize = 75;

/// What stands for the program that made a calendar when that did not say.
pub const PRODID: &str = "-//calgate//EN";

/// `BEGIN:NAME` … `END:NAME`: its properties and components in the order they came.
///
/// Two are equal when they say the same line by line, however it is written.
#[derive(Clone)]
pub struct Component {
    name: Cow<'static, str>,
    /// In the order they came; new ones may be put anywhere.
    pub properties: Vec<Property>,
    /// In the order they came.
    pub components: Vec<Component>,
    /// Its BEGIN and END in the text it was read from.
    pub(super) source: Option<(Arc<str>, Place, Place)>,
}

/// A stretch of a text, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub start: u32,
    pub end: u32,
}

/// One content line.
///
/// Two are equal when name, parameters and value are, however they are folded and quoted.
#[derive(Clone)]
pub struct Property {
    /// The text it was read from, or a line of its own.
    pub(super) text: Arc<str>,
    /// The line in `text`: unfolded, names in upper case, no line end.
    pub(super) line: Place,
    /// Octets of the name; where in the line the value begins.
    pub(super) name: u32,
    pub(super) value: u32,
    pub(super) source: Source,
}

/// Where a property stood, folds and line end included.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Nowhere: it was made.
    None,
    /// It stood there, and says something else now.
    Was(Arc<str>, Place),
    /// In its own `text`.
    Here(Place),
    /// The line had to be unfolded or put in upper case.
    There(Arc<str>, Place),
}

impl Component {
    /// An empty component of that name (upper case).
    pub fn new(name: &str) -> Component {
        Component::named(names::component(name))
    }

    pub(super) fn named(name: Cow<'static, str>) -> Component {
        Component { name, properties: Vec::new(), components: Vec::new(), source: None }
    }

    /// The same with properties behind those it has.
    #[must_use]
    pub fn with(mut self, properties: impl IntoIterator<Item = Property>) -> Component {
        self.properties.extend(properties);
        self
    }

    /// The same with components behind those it has.
    #[must_use]
    pub fn with_components(mut self, components: impl IntoIterator<Item = Component>) -> Component {
        self.components.extend(components);
        self
    }

    /// Parses exactly one VCALENDAR, and puts right what [`Damage`] names.
    pub fn parse(text: &str) -> Result<Component, Error> {
        Component::read(text, Reading::Tolerant).map(|(calendar, _)| calendar)
    }

    /// Parses exactly one VCALENDAR; with the repairs that were made, in the order of their lines.
    pub fn read(text: &str, reading: Reading) -> Result<(Component, Vec<Repair>), Error> {
        let (calendar, read) = read::one(Arc::from(text), reading)?;
        Ok((calendar, read.repairs.into_made(&read.text)))
    }

    /// Upper case: `VEVENT`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was not changed as it came; the rest with CRLF, folded at 75 octets on character borders.
    pub fn print(&self) -> String {
        let mut out = Printer { out: String::with_capacity(self.size()), run: None };
        self.print_to(&mut out);
        out.flush();
        out.out
    }

    /// Prints a text that is new as a whole, from lines that may have come from several: each ends with CRLF.
    pub fn print_new(&self) -> String {
        let text = self.print();
        let bytes = text.as_bytes();
        let whole = memchr_iter(b'\n', bytes).all(|at| at > 0 && bytes[at - 1] == b'\r');
        if whole && text.ends_with('\n') {
            return text;
        }
        let mut out = String::with_capacity(text.len() + text.len() / 16);
        for line in text.lines() {
            out.push_str(line);
            out.push_str("\r\n");
        }
        out
    }

    /// About how long it will be in print.
    pub(super) fn size(&self) -> usize {
        let lines = self.properties.iter().map(|p| p.line.len() + p.line.len() / 32 + 4).sum::<usize>();
        lines + 2 * self.name.len() + 16 + self.components.iter().map(Component::size).sum::<usize>()
    }

    fn print_to<'a>(&'a self, out: &mut Printer<'a>) {
        match &self.source {
            Some((text, begin, _)) => out.copy(text, *begin),
            None => out.line(&["BEGIN:", &self.name]),
        }
        let mut components = self.components.iter().peekable();
        for property in &self.properties {
            // A component that stood before this property stays before it.
            while let Some(component) = components.next_if(|c| c.stood_before(property)) {
                component.print_to(out);
            }
            property.print_to(out);
        }
        for component in components {
            component.print_to(out);
        }
        match &self.source {
            Some((text, _, end)) => out.copy(text, *end),
            None => out.line(&["END:", &self.name]),
        }
    }

    fn stood_before(&self, property: &Property) -> bool {
        let Some((text, begin, _)) = &self.source else { return false };
        property.stood().is_some_and(|(other, place)| Arc::ptr_eq(text, other) && begin.start < place.start)
    }

    /// The first property of that name (upper case).
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|p| p.is(name))
    }

    /// All properties of that name (upper case).
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Property> {
        self.properties.iter().filter(move |p| p.is(name))
    }

    /// The first property of that name (upper case) that says anything: one without a value is as good as none.
    pub(super) fn said(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|p| p.is(name) && !p.value().trim_ascii().is_empty())
    }

    /// Where its BEGIN stands in the text it was read from; line 0 when it was made.
    pub(super) fn spot(&self) -> Spot {
        self.source.as_ref().map_or(Spot::Line(0), |(_, begin, _)| Spot::Octet(begin.start as usize))
    }

    /// The line of its BEGIN in the text it was read from, counted from 1; 0 when it was made.
    pub(super) fn line(&self) -> usize {
        self.source.as_ref().map_or(0, |(text, ..)| self.spot().line(text))
    }

    /// The raw value of the first property of that name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.property(name).map(Property::value)
    }

    /// Puts `property` where the first of its name stands, or at the end; others of its name go.
    pub fn set(&mut self, property: Property) {
        match self.properties.iter().position(|p| p.is(property.name())) {
            None => self.properties.push(property),
            Some(at) => {
                let property = property.in_place_of(&self.properties[at]);
                self.remove(property.name());
                self.properties.insert(at, property);
            }
        }
    }

    /// Takes all properties of that name (upper case) away.
    pub fn remove(&mut self, name: &str) {
        self.properties.retain(|p| !p.is(name));
    }
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple(&self.name).field(&self.properties).field(&self.components).finish()
    }
}

impl PartialEq for Component {
    fn eq(&self, other: &Component) -> bool {
        self.name == other.name && self.properties == other.properties && self.components == other.components
    }
}

impl Eq for Component {}

impl Hash for Component {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.properties.hash(state);
        self.components.hash(state);
    }
}

impl Place {
    fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    fn of(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }
}

impl Property {
    /// `NAME:value`; the value as it stands in the text, escapes made (see [`escape`]). A line end in it becomes `\n`,
    /// other control characters are left out: a value can not speak as lines of its own. Nor can a name: what is no letter,
    /// digit or hyphen is left out of it.
    pub fn new(name: &str, value: impl AsRef<str>) -> Property {
        let value = value.as_ref();
        let mut line = String::with_capacity(name.len() + 1 + value.len());
        name_to(name, &mut line);
        let name = line.len();
        line.push(':');
        value_to(value, &mut line);
        Property::of_line(line, name, name + 1)
    }

    /// A line that is known to be one.
    pub(super) fn of_line(line: String, name: usize, value: usize) -> Property {
        // A line is shorter than the longest text there can be.
        let place = Place { start: 0, end: line.len() as u32 };
        Property { text: Arc::from(line), line: place, name: name as u32, value: value as u32, source: Source::None }
    }

    fn line(&self) -> &str {
        self.line.of(&self.text)
    }

    /// What can be copied as it came.
    fn source(&self) -> Option<(&Arc<str>, Place)> {
        self.stood().filter(|_| !matches!(self.source, Source::Was(..)))
    }

    /// Where it stands in the text it was read from, or stood before it was changed.
    fn stood(&self) -> Option<(&Arc<str>, Place)> {
        match &self.source {
            Source::None => None,
            Source::Here(place) => Some((&self.text, *place)),
            Source::There(text, place) | Source::Was(text, place) => Some((text, *place)),
        }
    }

    /// Where it stands in the text it was read from; line 0 when it was made.
    pub(super) fn spot(&self) -> Spot {
        self.stood().map_or(Spot::Line(0), |(_, place)| Spot::Octet(place.start as usize))
    }

    /// Upper case: `DTSTART`.
    pub fn name(&self) -> &str {
        &self.line()[..self.name as usize]
    }

    fn is(&self, name: &str) -> bool {
        self.name as usize == name.len() && self.name().as_bytes() == name.as_bytes()
    }

    /// As it stands after the colon, unfolded, escapes not undone.
    pub fn value(&self) -> &str {
        &self.line()[self.value as usize..]
    }

    /// Its name and parameters as they are written.
    pub(super) fn raw_head(&self) -> &str {
        &self.line()[..self.value as usize - 1]
    }

    /// The value as TEXT with its escapes undone (RFC 5545 3.3.11).
    pub fn text(&self) -> String {
        unescape(self.value()).into_owned()
    }

    /// Its parameters, in order.
    pub fn params(&self) -> impl Iterator<Item = Param<'_>> {
        // With the colon behind them, which ends the last one.
        let mut rest = &self.line()[self.name as usize..self.value as usize];
        std::iter::from_fn(move || {
            let param = rest.strip_prefix(';')?;
            let end = end_of_param(param.as_bytes(), 0)?;
            rest = &param[end..];
            let (name, values) = match param[..end].split_once('=') {
                Some((name, values)) => (name, Some(values)),
                None => (&param[..end], None),
            };
            Some(Param { name, values })
        })
    }

    /// The first value of a parameter (upper case), unquoted and with RFC 6868 undone.
    pub fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        if self.name + 1 == self.value {
            return None;
        }
        self.params().find(|p| p.name == name)?.values().next()
    }

    /// The same with one more parameter.
    #[must_use]
    pub fn with_param(self, name: &str, value: &str) -> Property {
        self.with_values(name, [value])
    }

    /// The same with one more parameter of several values.
    #[must_use]
    pub fn with_values<'a>(self, name: &str, values: impl IntoIterator<Item = &'a str>) -> Property {
        let mut head = self.line()[..self.value as usize - 1].to_owned();
        param_to(name, values, &mut head);
        self.rebuilt(head, None)
    }

    /// Gives it another value (see [`Property::new`]).
    pub fn set_value(&mut self, value: &str) {
        let head = self.line()[..self.value as usize - 1].to_owned();
        *self = self.rebuilt(head, Some(value));
    }

    /// Gives a parameter (upper case) one value, where it stands or behind the others.
    pub fn set_param(&mut self, name: &str, value: &str) {
        let mut head = self.name().to_owned();
        let mut known = false;
        for param in self.params() {
            if param.name == name {
                if !known {
                    param_to(name, [value], &mut head);
                }
                known = true;
            } else {
                param.raw_to(&mut head);
            }
        }
        if !known {
            param_to(name, [value], &mut head);
        }
        *self = self.rebuilt(head, None);
    }

    /// Keeps the parameters that `keep` says so of.
    pub fn retain_params(&mut self, mut keep: impl FnMut(&Param<'_>) -> bool) {
        let mut head = self.name().to_owned();
        let mut all = true;
        for param in self.params() {
            if keep(&param) {
                param.raw_to(&mut head);
            } else {
                all = false;
            }
        }
        if !all {
            *self = self.rebuilt(head, None);
        }
    }

    /// The same under another name (upper case).
    #[must_use]
    pub fn renamed(&self, name: &str) -> Property {
        let mut line = String::with_capacity(self.line.len());
        name_to(name, &mut line);
        let name = line.len();
        line.push_str(&self.line()[self.name as usize..self.value as usize]);
        let value = line.len();
        line.push_str(self.value());
        Property::of_line(line, name, value)
    }

    /// `head` is the name and the parameters.
    fn rebuilt(&self, mut head: String, value: Option<&str>) -> Property {
        head.push(':');
        let at = head.len();
        match value {
            Some(value) => value_to(value, &mut head),
            None => head.push_str(self.value()),
        }
        Property::of_line(head, self.name as usize, at).in_place_of(self)
    }

    /// The same where another one stands or stood.
    pub(super) fn in_place_of(mut self, other: &Property) -> Property {
        if let (Source::None, Some((text, place))) = (&self.source, other.stood()) {
            self.source = Source::Was(text.clone(), place);
        }
        self
    }

    fn print_to<'a>(&'a self, out: &mut Printer<'a>) {
        match self.source() {
            Some((text, place)) => out.copy(text, place),
            None => out.fold(self.line()),
        }
    }
}

impl PartialEq for Property {
    fn eq(&self, other: &Property) -> bool {
        let same_params = || {
            let mut ours = self.params();
            let mut theirs = other.params();
            loop {
                match (ours.next(), theirs.next()) {
                    (None, None) => return true,
                    (Some(a), Some(b)) if a.name == b.name && a.values().eq(b.values()) => {}
                    _ => return false,
                }
            }
        };
        self.line() == other.line() || self.is(other.name()) && self.value() == other.value() && same_params()
    }
}

impl Eq for Property {}

impl Hash for Property {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Parameters may be written in two ways and be equal.
        self.name().hash(state);
        self.value().hash(state);
    }
}

impl std::fmt::Debug for Property {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.line())
    }
}

/// One parameter of a property.
#[derive(Clone, Copy, Debug)]
pub struct Param<'a> {
    name: &'a str,
    /// As written, quotes and all; `None`: there is no equals sign.
    values: Option<&'a str>,
}

impl<'a> Param<'a> {
    /// Upper case: `TZID`.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Its values, unquoted and with RFC 6868 undone.
    pub fn values(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        self.values.into_iter().flat_map(param_values)
    }

    fn raw_to(&self, line: &mut String) {
        line.push(';');
        line.push_str(self.name);
        if let Some(values) = self.values {
            line.push('=');
            line.push_str(values);
        }
    }
}

/// What stands behind the equals sign of a parameter: its values, unquoted and with RFC 6868 undone.
pub(super) fn param_values(values: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut rest = Some(values);
    std::iter::from_fn(move || {
        let values = rest?;
        let end = end_of_value(values.as_bytes(), 0).unwrap_or(values.len());
        rest = values[end..].strip_prefix(',');
        Some(decode_param(&values[..end]))
    })
}

/// Where the parameter that begins at `at` ends: at the next `;` or `:` outside of quotes.
pub(super) fn end_of_param(line: &[u8], at: usize) -> Option<usize> {
    let mut at = at + memchr3(b'=', b';', b':', &line[at..])?;
    while matches!(line[at], b'=' | b',') {
        at = end_of_value(line, at + 1)?;
    }
    Some(at)
}

/// Where the value that begins at `at` ends: at the next `,`, `;` or `:` outside of quotes. Text behind the closing quote
/// is no value of its own: some write it, it stays with its value.
fn end_of_value(line: &[u8], at: usize) -> Option<usize> {
    let at = match line.get(at) {
        Some(b'"') => at + 2 + memchr(b'"', &line[at + 1..])?,
        _ => at,
    };
    Some(at + memchr3(b',', b';', b':', &line[at..])?)
}

/// A value of a parameter as it is meant: without quotes, and RFC 6868 undone: `^n` is a line end, `^'` a double quote,
/// `^^` a circumflex.
pub(super) fn decode_param(value: &str) -> Cow<'_, str> {
    let value = match value.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
        None => Cow::Borrowed(value),
        Some((quoted, "")) => Cow::Borrowed(quoted),
        Some((quoted, behind)) => Cow::Owned(format!("{quoted}{behind}")),
    };
    if memchr(b'^', value.as_bytes()).is_none() {
        return value;
    }
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        let decoded = match (c, chars.peek()) {
            ('^', Some('n')) => '\n',
            ('^', Some('\'')) => '"',
            ('^', Some('^')) => '^',
            _ => {
                out.push(c);
                continue;
            }
        };
        chars.next();
        out.push(decoded);
    }
    Cow::Owned(out)
}

/// Writes `;NAME=value,value`, quoted where it must be, and by RFC 6868 what quotes can not hold.
pub(super) fn param_to<'a>(name: &str, values: impl IntoIterator<Item = &'a str>, line: &mut String) {
    line.push(';');
    name_to(name, line);
    for (at, value) in values.into_iter().enumerate() {
        line.push(if at == 0 { '=' } else { ',' });
        let quote = memchr3(b':', b';', b',', value.as_bytes()).is_some();
        if quote {
            line.push('"');
        }
        for c in value.chars() {
            match c {
                '^' => line.push_str("^^"),
                '"' => line.push_str("^'"),
                '\n' => line.push_str("^n"),
                c if c.is_ascii_control() && c != '\t' => {}
                c => line.push(c),
            }
        }
        if quote {
            line.push('"');
        }
    }
}

/// Writes a name: letters in upper case, digits, hyphens, and what some makers use beside them.
fn name_to(name: &str, line: &mut String) {
    let start = line.len();
    line.extend(name.chars().filter(|c| is_of_name(*c)).map(|c| c.to_ascii_uppercase()));
    if line.len() == start {
        line.push_str("X-NONE");
    }
}

/// What a name is made of (RFC 5545 3.1), and what some makers use beside that.
pub(super) fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// Writes a value so that it stays in its line.
fn value_to(value: &str, line: &mut String) {
    if !value.bytes().any(is_control) {
        line.push_str(value);
        return;
    }
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                chars.next_if_eq(&'\n');
                line.push_str("\\n");
            }
            '\n' => line.push_str("\\n"),
            c if c.is_ascii() && is_control(c as u8) => {}
            c => line.push(c),
        }
    }
}

/// What a content line may not hold (RFC 5545 3.1): control characters but the tab.
pub(super) fn is_control(b: u8) -> bool {
    b < 0x20 && b != b'\t' || b == 0x7f
}

/// A TEXT value with its escapes made (RFC 5545 3.3.11). What some readers take for a line end besides CR and LF (NEL, LS,
/// PS) is written as one; other control characters are left out.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' | ';' | ',' => {
                out.push('\\');
                out.push(c);
            }
            '\r' => {
                chars.next_if_eq(&'\n');
                out.push_str("\\n");
            }
            '\n' | '\u{85}' | '\u{2028}' | '\u{2029}' => out.push_str("\\n"),
            c if c.is_control() && c != '\t' => {}
            c => out.push(c),
        }
    }
    out
}

/// A TEXT value with its escapes undone; an escape that is none keeps its character.
pub(super) fn unescape(value: &str) -> Cow<'_, str> {
    if memchr(b'\\', value.as_bytes()).is_none() {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => out.push('\n'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Collects what is printed; stretches of one text that follow each other are copied as one.
struct Printer<'a> {
    out: String,
    run: Option<(&'a Arc<str>, Place)>,
}

impl<'a> Printer<'a> {
    fn copy(&mut self, text: &'a Arc<str>, place: Place) {
        if let Some((of, run)) = &mut self.run
            && Arc::ptr_eq(of, text)
            && run.end == place.start
        {
            run.end = place.end;
            return;
        }
        self.flush();
        self.run = Some((text, place));
    }

    fn flush(&mut self) {
        if let Some((text, place)) = self.run.take() {
            self.at_line_start();
            self.out.push_str(place.of(text));
        }
    }

    /// The last line of a text may have come without a line end.
    fn at_line_start(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push_str("\r\n");
        }
    }

    fn line(&mut self, parts: &[&str]) {
        self.flush();
        self.at_line_start();
        parts.iter().for_each(|part| self.out.push_str(part));
        self.out.push_str("\r\n");
    }

    fn fold(&mut self, line: &str) {
        self.flush();
        self.at_line_start();
        let mut rest = line;
        let mut room = FOLD;
        while rest.len() > room {
            let mut at = room;
            while !rest.is_char_boundary(at) {
                at -= 1;
            }
            self.out.push_str(&rest[..at]);
            self.out.push_str("\r\n ");
            rest = &rest[at..];
            // The space that marks the fold counts.
            room = FOLD - 1;
        }
        self.out.push_str(rest);
        self.out.push_str("\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_valid_lines() {
        let mut c = Component::new("VCALENDAR");
        c.properties.push(Property::new("X", "ü".repeat(60)).with_param("CN", "Doe, \"J\"\n^"));
        c.properties.push(Property::new("Y", "a\r\nEND:VCALENDAR\u{7}"));
        let text = c.print();
        assert!(text.split("\r\n").all(|l| l.len() <= FOLD), "{text}");
        assert!(text.contains("X;CN=\"Doe, ^'J^'^n^^\":ü"), "{text}");
        assert!(text.contains("\r\nY:a\\nEND:VCALENDAR\r\n"), "{text}");
        let again = Component::parse(&text).unwrap();
        assert_eq!(again, c);
    }

    #[test]
    fn escapes_text_both_ways() {
        for (plain, escaped) in [
            ("a;b,c\\d", "a\\;b\\,c\\\\d"),
            ("x\r\ny\nz", "x\\ny\\nz"),
            ("tab\tbel\u{7}", "tab\tbel"),
            ("x\u{2028}ATTENDEE:y\u{85}z", "x\\nATTENDEE:y\\nz"),
        ] {
            assert_eq!(escape(plain), escaped);
        }
        for (value, plain) in [("a\\,b\\;c\\\\n\\N\\\"", "a,b;c\\n\n\""), ("end\\", "end\\")] {
            assert_eq!(Property::new("X", value).text(), plain);
        }
    }

    /// A text in which everything is unlike what we would write.
    const ODD: &str = "\r\n \r\nbegin:vcalendar\r\nVersion:2.0\nPRODID:-//A//B//EN\r\n\r\nBEGIN:X-ODD\r\nEND:x-odd\r\n\
        Summary;Language=en;;X-a=\"1\",2;b:fol\r\n d\r\n\ted\nBEGIN:VEVENT\r\nUID:1\r\nBEGIN:VALARM\r\nEND:VALARM\r\n\
        X-BEHIND:the alarm\r\nATTENDEE;CN=\"a^'b\":mailto:a@example.org\r\nEND:VEVENT\r\n  \r\nEND:VCALENDAR";

    #[test]
    fn what_was_not_changed_is_printed_as_it_came() {
        let tree = Component::parse(ODD).unwrap();
        assert_eq!(tree.print(), ODD);
        assert_eq!(tree.clone().print(), ODD);
        let summary = tree.property("SUMMARY").unwrap();
        assert_eq!((summary.name(), summary.value()), ("SUMMARY", "folded"));
        let params: Vec<String> =
            summary.params().map(|p| format!("{}={}", p.name(), p.values().collect::<Vec<_>>().join("|"))).collect();
        assert_eq!(params, ["LANGUAGE=en", "X-A=1|2", "B="]);
    }

    #[test]
    fn a_change_changes_its_line_alone() {
        let change = |f: &dyn Fn(&mut Component)| {
            let mut tree = Component::parse(ODD).unwrap();
            f(&mut tree);
            let text = tree.print();
            let lines = |text: &str| text.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>();
            let (old, new) = (lines(ODD), lines(&text));
            let added: Vec<String> = new.iter().filter(|l| !old.contains(l)).cloned().collect();
            let gone: Vec<String> = old.iter().filter(|l| !new.contains(l)).cloned().collect();
            assert_eq!(Component::parse(&text).unwrap(), tree);
            (added.concat(), gone.concat())
        };
        let said = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(change(&|c| c.components[1].set(Property::new("UID", "2"))), said("UID:2\r\n", "UID:1\r\n"));
        assert_eq!(change(&|c| c.properties[0].set_value("3")), said("VERSION:3\r\n", "Version:2.0\n"));
        assert_eq!(
            change(&|c| c.components[1].properties[2].set_param("CN", "c;d")),
            said("ATTENDEE;CN=\"c;d\":mailto:a@example.org\r\n", "ATTENDEE;CN=\"a^'b\":mailto:a@example.org\r\n")
        );
        assert_eq!(change(&|c| c.components[1].remove("X-BEHIND")), said("", "X-BEHIND:the alarm\r\n"));
        assert_eq!(
            change(&|c| c.properties[2].retain_params(|p| p.name() == "X-A")),
            said("SUMMARY;X-A=\"1\",2:folded\r\n", "Summary;Language=en;;X-a=\"1\",2;b:fol\r\n d\r\n\ted\n")
        );
        // The END that came without a line end gets one when something follows it, and only then.
        let twice =
            Component::new("X").with_components([Component::parse(ODD).unwrap(), Component::parse(ODD).unwrap()]);
        assert_eq!(twice.print(), format!("BEGIN:X\r\n{ODD}\r\n{ODD}\r\nEND:X\r\n"));
        assert!(!twice.print_new().replace("\r\n", "").contains('\n'));
    }

    #[test]
    fn equal_is_what_says_the_same() {
        let line = |text: &str| Component::parse(&format!("BEGIN:VCALENDAR\n{text}\nEND:VCALENDAR")).unwrap();
        assert_eq!(line("X;a=b;C=\"d\":e"), line("x;A=\"b\";c=d:\n e"));
        assert_ne!(line("X;A=b:e"), line("X;A=c:e"));
        assert_ne!(line("X;A=b:e"), line("X;A=b;A=b:e"));
        assert_ne!(line("X;A=b:e"), line("X:e"));
    }

    #[test]
    fn builds_and_changes_properties() {
        let mut p = Property::new("X", "v").with_param("A", "1").with_values("B", ["2,3", "4"]);
        assert_eq!(format!("{p:?}"), "\"X;A=1;B=\\\"2,3\\\",4:v\"");
        assert_eq!(p.param("B").as_deref(), Some("2,3"));
        p.set_param("A", "\"q\"");
        assert_eq!(p.param("A").as_deref(), Some("\"q\""));
        assert_eq!((p.renamed("Y").name(), p.renamed("Y").value()), ("Y", "v"));
        let mut c = Component::parse("BEGIN:VCALENDAR\nA:1\nB:2\nA:3\nEND:VCALENDAR").unwrap();
        c.set(Property::new("A", "4"));
        c.set(Property::new("C", "5"));
        c.remove("B");
        let line: Vec<String> = c.properties.iter().map(|p| format!("{}{}", p.name(), p.value())).collect();
        assert_eq!(line, ["A4", "C5"]);
    }
}
