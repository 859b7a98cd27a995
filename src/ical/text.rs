//! Content lines ↔ components (RFC 5545 3.1). Keeps what it does not know; limits come before memory.

use std::borrow::Cow;
use std::fmt::Write as _;

use memchr::{memchr, memchr2, memchr3, memmem};

use super::Error;

/// Components of one object, VALARMs and observances included.
const MAX_COMPONENTS: usize = 5_000;
/// Components of a file that holds many objects.
const MAX_COMPONENTS_OF_FILE: usize = 500_000;
/// Properties of one component.
const MAX_PROPERTIES: usize = 10_000;
/// Parameters of one property, and values of one parameter.
const MAX_PARAMS: usize = 100;
const MAX_VALUES: usize = 5_000;
const MAX_DEPTH: usize = 32;
/// Octets of a content line without its line end (RFC 5545 3.1).
const FOLD: usize = 75;

/// `BEGIN:NAME` … `END:NAME`: its properties and components in the order they came.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Component {
    /// Upper case: `VEVENT`.
    pub name: String,
    pub properties: Vec<Property>,
    pub components: Vec<Component>,
}

/// One content line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Property {
    /// Upper case: `DTSTART`.
    pub name: String,
    /// Names in upper case, values unquoted and with RFC 6868 undone.
    pub params: Vec<(String, Vec<String>)>,
    /// As it stands after the colon, unfolded, escapes not undone.
    pub value: String,
}

impl Component {
    /// An empty component of that name (upper case).
    pub fn new(name: &str) -> Component {
        Component { name: name.to_owned(), properties: Vec::new(), components: Vec::new() }
    }

    /// Parses exactly one VCALENDAR. Tolerates LF line ends, a BOM and lower-case names.
    pub fn parse(text: &str) -> Result<Component, Error> {
        let mut calendars = parse_stream(text, MAX_COMPONENTS)?;
        match calendars.len() {
            0 => Err(error(0, "there is no VCALENDAR in it; send one that begins with BEGIN:VCALENDAR")),
            1 => Ok(calendars.remove(0)),
            _ => Err(error(second_calendar(text), "a second VCALENDAR begins here; send exactly one")),
        }
    }

    /// Parses a file of one or more VCALENDARs, as big as a whole calendar.
    pub(super) fn parse_file(text: &str) -> Result<Vec<Component>, Error> {
        parse_stream(text, MAX_COMPONENTS_OF_FILE)
    }

    /// Prints with CRLF, folded at 75 octets on character borders.
    pub fn print(&self) -> String {
        let mut out = String::with_capacity(256 + 48 * self.properties.len() + 512 * self.components.len());
        self.print_to(&mut out);
        out
    }

    fn print_to(&self, out: &mut String) {
        out.push_str("BEGIN:");
        out.push_str(&self.name);
        out.push_str("\r\n");
        let mut line = String::new();
        for property in &self.properties {
            line.clear();
            property.line_to(&mut line);
            fold_to(&line, out);
        }
        for component in &self.components {
            component.print_to(out);
        }
        out.push_str("END:");
        out.push_str(&self.name);
        out.push_str("\r\n");
    }

    /// The first property of that name (upper case).
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|p| p.name == name)
    }

    /// All properties of that name (upper case).
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Property> {
        self.properties.iter().filter(move |p| p.name == name)
    }

    /// The raw value of the first property of that name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.property(name).map(|p| p.value.as_str())
    }

    /// Puts `property` where the first of its name stands, or at the end; others of its name go.
    pub fn set(&mut self, property: Property) {
        let at = self.properties.iter().position(|p| p.name == property.name).unwrap_or(self.properties.len());
        self.remove(&property.name);
        self.properties.insert(at, property);
    }

    /// Takes all properties of that name (upper case) away.
    pub fn remove(&mut self, name: &str) {
        self.properties.retain(|p| p.name != name);
    }
}

impl Property {
    /// `NAME:value`; the value as it stands in the text, escapes made (see [`escape`]).
    pub fn new(name: &str, value: impl Into<String>) -> Property {
        Property { name: name.to_owned(), params: Vec::new(), value: value.into() }
    }

    /// The same with one more parameter.
    pub fn with_param(mut self, name: &str, value: impl Into<String>) -> Property {
        self.params.push((name.to_owned(), vec![value.into()]));
        self
    }

    /// The first value of a parameter (upper case).
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(n, _)| n == name).and_then(|(_, v)| v.first()).map(String::as_str)
    }

    /// The value as TEXT with its escapes undone (RFC 5545 3.3.11).
    pub fn text(&self) -> String {
        unescape(&self.value).into_owned()
    }

    fn line_to(&self, line: &mut String) {
        line.push_str(&self.name);
        for (name, values) in &self.params {
            line.push(';');
            line.push_str(name);
            line.push('=');
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    line.push(',');
                }
                param_to(value, line);
            }
        }
        line.push(':');
        // A line end in a value would let it speak as lines of its own.
        if memchr2(b'\r', b'\n', self.value.as_bytes()).is_some() {
            line.push_str(&self.value.replace("\r\n", "\\n").replace(['\r', '\n'], "\\n"));
        } else {
            line.push_str(&self.value);
        }
    }
}

/// A TEXT value with its escapes made (RFC 5545 3.3.11).
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
            '\n' => out.push_str("\\n"),
            // What a content line may not hold is left out.
            c if c.is_ascii_control() && c != '\t' => {}
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

/// Octets as text. A fold may split a character (RFC 5545 3.1), so octets that are not UTF-8 as they stand are
/// unfolded first; what still is not UTF-8 is refused with its line.
pub fn decode(octets: &[u8]) -> Result<Cow<'_, str>, Error> {
    if let Ok(text) = std::str::from_utf8(octets) {
        return Ok(Cow::Borrowed(text));
    }
    let mut unfolded = Vec::with_capacity(octets.len());
    let mut rest = octets;
    while let Some(at) = memchr(b'\n', rest) {
        let end = if at > 0 && rest[at - 1] == b'\r' { at - 1 } else { at };
        if matches!(rest.get(at + 1), Some(b' ' | b'\t')) {
            unfolded.extend_from_slice(&rest[..end]);
            rest = &rest[at + 2..];
        } else {
            unfolded.extend_from_slice(&rest[..=at]);
            rest = &rest[at + 1..];
        }
    }
    unfolded.extend_from_slice(rest);
    String::from_utf8(unfolded).map(Cow::Owned).map_err(|_| {
        let good = std::str::from_utf8(octets).err().map_or(0, |e| e.valid_up_to());
        error(1 + memchr::memchr_iter(b'\n', &octets[..good]).count(), "this is not UTF-8; send the text as UTF-8")
    })
}

/// The line (from 1) of the `nth` component below VCALENDAR, VTIMEZONEs counted, or of a property in it.
/// For error messages: the tree itself keeps no lines. 0 when there is none.
pub(super) fn line_of(text: &str, nth: usize, property: Option<&str>) -> usize {
    let mut depth = 0;
    let mut seen = 0;
    let mut begin = 0;
    for line in Lines::new(text) {
        let Ok((number, line)) = line else { return begin };
        let name = &line[..memchr2(b':', b';', line.as_bytes()).unwrap_or(line.len())];
        if name.eq_ignore_ascii_case("BEGIN") {
            depth += 1;
            if depth == 2 {
                seen += 1;
                if seen == nth + 1 {
                    begin = number;
                    if property.is_none() {
                        return number;
                    }
                }
            }
        } else if name.eq_ignore_ascii_case("END") {
            if begin > 0 && depth == 2 {
                return begin;
            }
            depth -= 1;
        } else if begin > 0 && depth == 2 && property.is_some_and(|p| name.eq_ignore_ascii_case(p)) {
            return number;
        }
    }
    begin
}

/// The line (from 1) of a property of the VCALENDAR itself; 0 when there is none.
pub(super) fn line_of_calendar_property(text: &str, property: &str) -> usize {
    let mut depth = 0;
    for (number, line) in Lines::new(text).map_while(Result::ok) {
        let name = &line[..memchr2(b':', b';', line.as_bytes()).unwrap_or(line.len())];
        if name.eq_ignore_ascii_case("BEGIN") {
            depth += 1;
        } else if name.eq_ignore_ascii_case("END") {
            depth -= 1;
        } else if depth == 1 && name.eq_ignore_ascii_case(property) {
            return number;
        }
    }
    0
}

fn error(line: usize, reason: impl Into<String>) -> Error {
    Error { line, reason: reason.into() }
}

fn second_calendar(text: &str) -> usize {
    Lines::new(text)
        .map_while(Result::ok)
        .filter(|(_, line)| line.eq_ignore_ascii_case("BEGIN:VCALENDAR"))
        .nth(1)
        .map_or(0, |(number, _)| number)
}

/// The unfolded lines of a text, each with the number of the line it begins on.
struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Lines<'a> {
        Lines { rest: text.strip_prefix('\u{feff}').unwrap_or(text), number: 0 }
    }

    /// The next line as it was sent, without its line end.
    fn physical(&mut self) -> Result<&'a str, Error> {
        self.number += 1;
        let (line, rest) = match memchr(b'\n', self.rest.as_bytes()) {
            Some(at) => (&self.rest[..at], &self.rest[at + 1..]),
            None => (self.rest, ""),
        };
        self.rest = rest;
        let line = line.trim_end_matches('\r');
        // A fold without branches, so that the compiler may look at many octets at once.
        if line.bytes().fold(false, |bad, b| bad | (b < 0x20 && b != b'\t')) {
            let c = line.chars().find(|c| (*c as u32) < 0x20 && *c != '\t').unwrap_or('\0');
            let reason = format!("there is a control character (U+{:04X}) here; take it out", c as u32);
            return Err(error(self.number, reason));
        }
        Ok(line)
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<(usize, Cow<'a, str>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let number = self.number + 1;
        let mut line = match self.physical() {
            Ok(line) => Cow::Borrowed(line),
            Err(e) => return Some(Err(e)),
        };
        while matches!(self.rest.as_bytes().first(), Some(b' ' | b'\t')) {
            match self.physical() {
                Ok(more) => line.to_mut().push_str(&more[1..]),
                Err(e) => return Some(Err(e)),
            }
        }
        Some(Ok((number, line)))
    }
}

fn parse_stream(text: &str, max_components: usize) -> Result<Vec<Component>, Error> {
    // The two characters that are no control characters and that XML can not carry either.
    for bad in ["\u{fffe}", "\u{ffff}"] {
        if let Some(at) = memmem::find(text.as_bytes(), bad.as_bytes()) {
            let line = 1 + memchr::memchr_iter(b'\n', &text.as_bytes()[..at]).count();
            return Err(error(line, "there is a character here that no text may hold (U+FFFE or U+FFFF); take it out"));
        }
    }
    let mut done = Vec::new();
    let mut open: Vec<(Component, usize)> = Vec::new();
    let mut components = 0;
    for line in Lines::new(text) {
        let (number, line) = line?;
        let Some(end) = memchr2(b':', b';', line.as_bytes()) else {
            if line.trim().is_empty() {
                continue;
            }
            return Err(error(
                number,
                "there is no colon on this line; write NAME:value, and fold with a leading space",
            ));
        };
        let name = &line[..end];
        if name.eq_ignore_ascii_case("BEGIN") {
            let name = line[end + 1..].trim_end().to_ascii_uppercase();
            components += 1;
            check_begin(&name, number, &open, components, max_components)?;
            open.push((Component::new(&name), number));
        } else if name.eq_ignore_ascii_case("END") {
            let name = line[end + 1..].trim_end();
            let Some((component, began)) = open.pop() else {
                return Err(error(number, format!("END:{name} closes nothing; take it out")));
            };
            if !component.name.eq_ignore_ascii_case(name) {
                let reason = format!("END:{name} does not close BEGIN:{} of line {began}", component.name);
                return Err(error(number, reason));
            }
            match open.last_mut() {
                Some((parent, _)) => parent.components.push(component),
                None => done.push(component),
            }
        } else {
            let Some((component, _)) = open.last_mut() else {
                return Err(error(number, "this line stands outside BEGIN:VCALENDAR … END:VCALENDAR; take it out"));
            };
            if component.properties.len() >= MAX_PROPERTIES {
                let reason = format!("{} has more than {MAX_PROPERTIES} properties", component.name);
                return Err(error(number, reason));
            }
            component.properties.push(property(&line, end).map_err(|reason| error(number, reason))?);
        }
    }
    match open.pop() {
        Some((component, began)) => {
            Err(error(began, format!("BEGIN:{0} has no END:{0}; the text may have been cut off", component.name)))
        }
        None => Ok(done),
    }
}

fn check_begin(
    name: &str,
    line: usize,
    open: &[(Component, usize)],
    components: usize,
    max_components: usize,
) -> Result<(), Error> {
    if open.is_empty() && name != "VCALENDAR" {
        return Err(error(line, format!("BEGIN:{name} stands outside a VCALENDAR; begin with BEGIN:VCALENDAR")));
    }
    if !is_name(name) {
        return Err(error(line, "BEGIN names no component"));
    }
    if open.len() >= MAX_DEPTH {
        return Err(error(line, format!("components are nested deeper than {MAX_DEPTH}")));
    }
    if components > max_components {
        return Err(error(line, format!("there are more than {max_components} components")));
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn upper(name: &str) -> String {
    let mut name = name.to_owned();
    name.make_ascii_uppercase();
    name
}

/// One content line whose name is `end` octets long.
fn property(line: &str, end: usize) -> Result<Property, String> {
    let name = &line[..end];
    if !is_name(name) {
        return Err("a line begins with a property name of letters, digits and hyphens".to_owned());
    }
    let mut params = Vec::new();
    let mut rest = &line[end..];
    while let Some(after) = rest.strip_prefix(';') {
        if params.len() >= MAX_PARAMS {
            return Err(format!("{name} has more than {MAX_PARAMS} parameters"));
        }
        rest = param(after, &mut params).ok_or_else(|| format!("{name} has parameters but no colon and value"))??;
    }
    // `param` stops at ';' or ':' only.
    let value = rest.strip_prefix(':').unwrap_or(rest);
    Ok(Property { name: upper(name), params, value: value.to_owned() })
}

type Params = Vec<(String, Vec<String>)>;

/// Reads one parameter up to the ';' or ':' behind it. `None`: the line ends before.
fn param<'a>(text: &'a str, params: &mut Params) -> Option<Result<&'a str, String>> {
    let at = memchr3(b'=', b';', b':', text.as_bytes())?;
    let name = &text[..at];
    let mut rest = &text[at..];
    let mut values = Vec::new();
    while rest.starts_with(['=', ',']) {
        if values.len() >= MAX_VALUES {
            return Some(Err(format!("{name} has more than {MAX_VALUES} values")));
        }
        rest = &rest[1..];
        if let Some(quoted) = rest.strip_prefix('"') {
            let close = memchr(b'"', quoted.as_bytes())?;
            let mut value = decode_param(&quoted[..close]).into_owned();
            rest = &quoted[close + 1..];
            // Text behind the closing quote is no value of its own: some write it, it stays with its value.
            let next = memchr3(b',', b';', b':', rest.as_bytes())?;
            value.push_str(&rest[..next]);
            rest = &rest[next..];
            values.push(value);
        } else {
            let next = memchr3(b',', b';', b':', rest.as_bytes())?;
            values.push(decode_param(&rest[..next]).into_owned());
            rest = &rest[next..];
        }
    }
    // `;;` and `;:` say nothing.
    if !name.is_empty() {
        if !is_name(name) {
            return Some(Err("a parameter name is made of letters, digits and hyphens".to_owned()));
        }
        params.push((upper(name), values));
    }
    Some(Ok(rest))
}

/// RFC 6868 undone: `^n` is a line end, `^'` a double quote, `^^` a circumflex.
fn decode_param(value: &str) -> Cow<'_, str> {
    if memchr(b'^', value.as_bytes()).is_none() {
        return Cow::Borrowed(value);
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

fn param_to(value: &str, line: &mut String) {
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

fn fold_to(line: &str, out: &mut String) {
    let mut rest = line;
    let mut room = FOLD;
    while rest.len() > room {
        let mut at = room;
        while !rest.is_char_boundary(at) {
            at -= 1;
        }
        out.push_str(&rest[..at]);
        out.push_str("\r\n ");
        rest = &rest[at..];
        // The space that marks the fold counts.
        room = FOLD - 1;
    }
    // Writing to a String never fails.
    let _ = write!(out, "{rest}\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as one line a property, indented by depth; or the error.
    fn tree(text: &str) -> String {
        fn show(c: &Component, depth: usize, out: &mut String) {
            let pad = "  ".repeat(depth);
            out.push_str(&format!("{pad}{}\n", c.name));
            for p in &c.properties {
                out.push_str(&format!("{pad}  {}", p.name));
                for (n, v) in &p.params {
                    out.push_str(&format!(" {n}={v:?}"));
                }
                out.push_str(&format!(" = {}\n", p.value));
            }
            c.components.iter().for_each(|c| show(c, depth + 1, out));
        }
        match Component::parse(text) {
            Ok(c) => {
                let mut out = String::new();
                show(&c, 0, &mut out);
                out
            }
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn reads_what_producers_write() {
        let cases = [
            ("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n", "VCALENDAR\n  VERSION = 2.0\n"),
            ("\u{feff}begin:vcalendar\nversion:2.0\nEND:vCalendar\n\n \n\n", "VCALENDAR\n  VERSION = 2.0\n"),
            ("BEGIN:VCALENDAR\nX:a\n b\n\tc\nEND:VCALENDAR", "VCALENDAR\n  X = abc\n"),
            ("BEGIN:VCALENDAR\nX:a\r\r\nEND:VCALENDAR", "VCALENDAR\n  X = a\n"),
            ("BEGIN:VCALENDAR\nX:\nEND:VCALENDAR", "VCALENDAR\n  X = \n"),
            (
                "BEGIN:VCALENDAR\nX;P=\"a,b\",c;q=1;P=2:v:w;x\nEND:VCALENDAR",
                "VCALENDAR\n  X P=[\"a,b\", \"c\"] Q=[\"1\"] P=[\"2\"] = v:w;x\n",
            ),
            ("BEGIN:VCALENDAR\nX;CN=\"a^'b^n^^^x\":v\nEND:VCALENDAR", "VCALENDAR\n  X CN=[\"a\\\"b\\n^^x\"] = v\n"),
            ("BEGIN:VCALENDAR\nX;:v\nY;A:v\nEND:VCALENDAR", "VCALENDAR\n  X = v\n  Y A=[] = v\n"),
            (
                "BEGIN:VCALENDAR\nBEGIN:VEVENT\nBEGIN:VALARM\nEND:VALARM\nEND:VEVENT\nEND:VCALENDAR",
                "VCALENDAR\n  VEVENT\n    VALARM\n",
            ),
        ];
        for (text, expect) in cases {
            assert_eq!(tree(text), expect, "{text:?}");
        }
    }

    #[test]
    fn refuses_with_the_line() {
        let deep = "BEGIN:VCALENDAR\n".to_owned() + &"BEGIN:X\n".repeat(40);
        let many = "BEGIN:VCALENDAR\n".to_owned() + &"BEGIN:X\nEND:X\n".repeat(5001) + "END:VCALENDAR\n";
        let wide = "BEGIN:VCALENDAR\n".to_owned() + &"X:1\n".repeat(10_001) + "END:VCALENDAR\n";
        let params = format!("BEGIN:VCALENDAR\nX{}:1\nEND:VCALENDAR\n", ";A=1".repeat(101));
        let cases = [
            ("", "there is no VCALENDAR"),
            ("<html>", "line 1: there is no colon"),
            ("BEGIN:VEVENT\nEND:VEVENT\n", "line 1: BEGIN:VEVENT stands outside"),
            ("X:1\nBEGIN:VCALENDAR\nEND:VCALENDAR", "line 1: this line stands outside"),
            ("BEGIN:VCALENDAR\nEND:VCALENDAR\nX:1", "line 3: this line stands outside"),
            ("BEGIN:VCALENDAR\nEND:VCALENDAR\nBEGIN:VCALENDAR\nEND:VCALENDAR", "line 3: a second VCALENDAR"),
            ("BEGIN:VCALENDAR\nX:a\n b\nBEGIN:VEVENT\nEND:VCALENDAR", "line 5: END:VCALENDAR does not close"),
            ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nX:1", "line 2: BEGIN:VEVENT has no END:VEVENT"),
            ("BEGIN:VCALENDAR\nEND:VCALENDAR\nEND:VEVENT", "line 3: END:VEVENT closes nothing"),
            ("BEGIN:VCALENDAR\nX:a\n \u{1}b\nEND:VCALENDAR", "line 3: there is a control character (U+0001)"),
            ("BEGIN:VCALENDAR\nX:a\rY:b\nEND:VCALENDAR", "line 2: there is a control character (U+000D)"),
            ("BEGIN:VCALENDAR\nX:a\u{ffff}\nEND:VCALENDAR", "line 2: there is a character"),
            ("BEGIN:VCALENDAR\nX;A=b\nEND:VCALENDAR", "line 2: X has parameters but no colon"),
            ("BEGIN:VCALENDAR\nX;A=\"b:c\nEND:VCALENDAR", "line 2: X has parameters but no colon"),
            ("BEGIN:VCALENDAR\nX Y:a\nEND:VCALENDAR", "line 2: a line begins with a property name"),
            (&deep, "line 33: components are nested deeper than 32"),
            (&many, "more than 5000 components"),
            (&wide, "line 10002: VCALENDAR has more than 10000 properties"),
            (&params, "line 2: X has more than 100 parameters"),
        ];
        for (text, expect) in cases {
            let got = Component::parse(text).expect_err(text).to_string();
            assert!(got.contains(expect), "{got}\nwanted: {expect}");
        }
    }

    #[test]
    fn prints_valid_lines() {
        let mut c = Component::new("VCALENDAR");
        c.properties.push(Property::new("X", "ü".repeat(60)).with_param("CN", "Doe, \"J\"\n^"));
        c.properties.push(Property::new("Y", "a\r\nEND:VCALENDAR"));
        let text = c.print();
        assert!(text.split("\r\n").all(|l| l.len() <= FOLD), "{text}");
        assert!(text.contains("X;CN=\"Doe, ^'J^'^n^^\":ü"), "{text}");
        assert!(text.contains("\r\nY:a\\nEND:VCALENDAR\r\n"), "{text}");
        let again = Component::parse(&text).unwrap();
        assert_eq!(again.properties[0], c.properties[0]);
    }

    #[test]
    fn escapes_text_both_ways() {
        for (plain, escaped) in
            [("a;b,c\\d", "a\\;b\\,c\\\\d"), ("x\r\ny\nz", "x\\ny\\nz"), ("tab\tbel\u{7}", "tab\tbel")]
        {
            assert_eq!(escape(plain), escaped);
        }
        for (value, plain) in [("a\\,b\\;c\\\\n\\N\\\"", "a,b;c\\n\n\""), ("end\\", "end\\")] {
            assert_eq!(Property::new("X", value).text(), plain);
        }
    }

    #[test]
    fn joins_a_character_that_a_fold_split() {
        let octets = b"BEGIN:VCALENDAR\r\nX:a\xc3\r\n \xbcb\r\nEND:VCALENDAR\r\n";
        assert_eq!(tree(&decode(octets).unwrap()), "VCALENDAR\n  X = aüb\n");
        assert_eq!(decode(b"BEGIN:VCALENDAR\nX:\xfc\n").unwrap_err().line, 2);
    }

    #[test]
    fn changes_in_place() {
        let mut c = Component::parse("BEGIN:VCALENDAR\nA:1\nB:2\nA:3\nEND:VCALENDAR").unwrap();
        c.set(Property::new("A", "4"));
        c.set(Property::new("C", "5"));
        c.remove("B");
        let line: Vec<String> = c.properties.iter().map(|p| format!("{}{}", p.name, p.value)).collect();
        assert_eq!(line, ["A4", "C5"]);
    }

    #[test]
    fn finds_lines_for_errors() {
        let text =
            "BEGIN:VCALENDAR\nMETHOD:X\nBEGIN:VTIMEZONE\nEND:VTIMEZONE\nBEGIN:VEVENT\nA:1\n 2\nB:3\nEND:VEVENT\n";
        assert_eq!(line_of(text, 1, None), 5);
        assert_eq!(line_of(text, 1, Some("B")), 8);
        assert_eq!(line_of(text, 1, Some("NONE")), 5);
        assert_eq!(line_of(text, 7, None), 0);
        assert_eq!(line_of_calendar_property(text, "METHOD"), 2);
    }
}
