//! Text → components: lines, folds, heads of lines, and the tree they make. Damage is put right here, limits come first.

use std::borrow::Cow;
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memchr2};

use super::repair::{Damage, Reading, Repairs};
use super::text::{
    Component, PRODID, Place, Property, Source, decode_param, end_of_param, escape, is_control, is_of_name, param_to,
};
use super::{Error, names};

/// Octets of one unfolded content line: what an object of the largest size may hold in one attachment.
pub(super) const MAX_LINE: usize = 2 << 20;
/// Content lines and components of one object, VALARMs and observances included.
pub(super) const OBJECT: Limits = Limits { lines: 200_000, components: 5_000, file: false };
/// The same of a file of many objects of that many octets: honest lines take more than 8 octets, components more than 64.
pub(super) fn of_file(octets: usize) -> Limits {
    Limits { lines: OBJECT.lines + octets / 8, components: OBJECT.components + octets / 64, file: true }
}
/// Properties of one component.
pub(super) const MAX_PROPERTIES: usize = 10_000;
/// Parameters of one property, and values of one parameter.
pub(super) const MAX_PARAMS: usize = 100;
pub(super) const MAX_VALUES: usize = 5_000;
pub(super) const MAX_DEPTH: usize = 32;

#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub lines: usize,
    pub components: usize,
    /// It is a file: lines before the first calendar do not tell what the rest is.
    file: bool,
}

/// What was read, and what had to be put right for it.
#[derive(Debug)]
pub(super) struct Read {
    pub calendars: Vec<Component>,
    pub repairs: Repairs,
    /// The text that the tree shares.
    pub text: Arc<str>,
}

/// Octets as text, and the lines (from 1) of what was no UTF-8. A fold may split a character (RFC 5545 3.1): such a fold
/// is moved behind it. Other octets that are no UTF-8 are read as Windows-1252, which old programs write; UTF-16 by its mark.
pub(super) fn decode(octets: &[u8]) -> (Cow<'_, str>, Vec<usize>) {
    if let [0xff, 0xfe, rest @ ..] | [0xfe, 0xff, rest @ ..] = octets {
        let little = octets[0] == 0xff;
        let unit = |pair: &[u8]| {
            let pair = [pair[0], pair.get(1).copied().unwrap_or(0)];
            if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
        };
        return (
            Cow::Owned(char::decode_utf16(rest.chunks(2).map(unit)).map(|c| c.unwrap_or('\u{fffd}')).collect()),
            vec![1],
        );
    }
    let mut out = String::new();
    let mut odd = Vec::new();
    let mut rest = octets;
    let mut line = 1;
    loop {
        let (good, bad) = match std::str::from_utf8(rest) {
            Ok(text) if out.is_empty() => return (Cow::Borrowed(text), odd),
            Ok(text) => {
                out.push_str(text);
                return (Cow::Owned(out), odd);
            }
            Err(e) => rest.split_at(e.valid_up_to()),
        };
        out.push_str(std::str::from_utf8(good).unwrap_or_default());
        line += memchr_iter(b'\n', good).count();
        if let Some((char, fold, used)) = split_character(bad) {
            out.push(char);
            out.push_str(fold);
            line += 1;
            rest = &bad[used..];
        } else {
            if odd.last() != Some(&line) {
                odd.push(line);
            }
            out.push(windows_1252(bad[0]));
            rest = &bad[1..];
        }
    }
}

/// A character whose octets a fold parts: the character, the fold, and the octets of both.
fn split_character(octets: &[u8]) -> Option<(char, &'static str, usize)> {
    let length = match octets.first()? {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let front = 1 + octets[1..].iter().take_while(|b| **b & 0xc0 == 0x80).count();
    let folds: [(&[u8], &str); 4] = [(b"\r\n ", "\r\n "), (b"\r\n\t", "\r\n\t"), (b"\n ", "\n "), (b"\n\t", "\n\t")];
    let (raw, fold) = folds.into_iter().find(|(raw, _)| octets[front.min(octets.len())..].starts_with(raw))?;
    let behind = octets.get(front + raw.len()..front + raw.len() + usize::checked_sub(length, front)?)?;
    let whole = [&octets[..front], behind].concat();
    let char = std::str::from_utf8(&whole).ok()?.chars().next()?;
    Some((char, fold, front + raw.len() + behind.len()))
}

/// The octets that Windows-1252 and ISO 8859-1 have different characters for.
fn windows_1252(octet: u8) -> char {
    const HIGH: &str = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";
    match octet {
        0x80..=0x9f => HIGH.chars().nth(usize::from(octet - 0x80)).unwrap_or('\u{fffd}'),
        octet => char::from(octet),
    }
}

/// Reads a text of exactly one VCALENDAR.
pub(super) fn one(text: Arc<str>, reading: Reading) -> Result<(Component, Read), Error> {
    let mut read = read(text, reading, OBJECT)?;
    match read.calendars.len() {
        0 => Err(error(0, "there is no VCALENDAR in it; send one that begins with BEGIN:VCALENDAR")),
        1 => Ok((read.calendars.remove(0), read)),
        _ => Err(error(read.calendars[1].line(), "a second VCALENDAR begins here; send exactly one")),
    }
}

/// Reads a file of one or more VCALENDARs, as big as a whole calendar.
pub(super) fn file(text: &str, reading: Reading) -> Result<Read, Error> {
    read(Arc::from(text), reading, of_file(text.len()))
}

fn read(text: Arc<str>, reading: Reading, limits: Limits) -> Result<Read, Error> {
    if u32::try_from(text.len()).is_err() {
        return Err(error(0, "the text is longer than 4 GiB"));
    }
    let mut repairs = Repairs::new(reading);
    let text = of_lines(text, &mut repairs)?;
    let mut tree = Tree { text: &text, open: Vec::new(), done: Vec::new(), components: 0, limits };
    let mut lines = Lines::new(&text);
    if lines.next > 0 {
        repairs.make(1, Damage::ByteOrderMark)?;
    }
    while let Some(line) = lines.line()? {
        if line.number > limits.lines {
            return Err(error(line.number, format!("there are more than {} lines", limits.lines)));
        }
        if let Some(damage) = line.damage {
            repairs.make(line.number, damage)?;
        }
        if !line.text(&text).trim_ascii().is_empty() {
            tree.take(line, &mut repairs)?;
        }
    }
    if let Some(line) = lines.bare {
        repairs.make(line, Damage::LineEnds)?;
    }
    let calendars = tree.end(&mut repairs)?;
    Ok(Read { calendars, repairs, text })
}

/// Old programs end lines with CR alone, and templates indent them all.
fn of_lines(text: Arc<str>, repairs: &mut Repairs) -> Result<Arc<str>, Error> {
    let indent = text.len() - text.trim_start_matches([' ', '\t']).len();
    if indent > 0 && text[indent..].get(..6).is_some_and(|begin| begin.eq_ignore_ascii_case("BEGIN:")) {
        repairs.make(1, Damage::Indented)?;
        let indent = &text[..indent];
        let lines = text.split_inclusive('\n').map(|line| line.strip_prefix(indent).unwrap_or(line));
        return Ok(Arc::from(lines.collect::<String>()));
    }
    if memchr(b'\n', text.as_bytes()).is_some() || memchr(b'\r', text.as_bytes()).is_none() {
        return Ok(text);
    }
    repairs.make(1, Damage::Returns)?;
    Ok(Arc::from(text.replace('\r', "\r\n")))
}

fn error(line: usize, reason: impl Into<String>) -> Error {
    Error { line, reason: reason.into() }
}

/// Whether no line holds a control character or one that no XML can carry. Some good texts are not told to be clean.
pub(super) fn is_clean(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Without branches, so that the compiler may look at many octets at once. U+FFFE and U+FFFF begin with 0xef, as some
    // good characters do: these are looked at again line by line.
    let odd =
        |a: u8, b: u8| (is_control(a) & (a != b'\n') & (a != b'\r')) | ((a == b'\r') & (b != b'\n')) | (a == 0xef);
    let behind = bytes.get(1..).unwrap_or_default();
    !bytes.iter().zip(behind).fold(false, |bad, (a, b)| bad | odd(*a, *b))
        && !bytes.last().is_some_and(|last| odd(*last, 0))
}

/// The unfolded lines of a text.
struct Lines<'a> {
    text: &'a str,
    /// Where the next line begins, and the number of the last.
    next: usize,
    number: usize,
    /// No line holds a control character or one that no XML can carry.
    clean: bool,
    /// The first line that ends with LF alone.
    bare: Option<usize>,
}

/// One line as it stands.
struct Line {
    /// Counted from 1: where it begins.
    number: usize,
    /// From its first octet to the first of the next, empty lines behind it included.
    place: Place,
    /// Where its text begins and ends, when it is all in one piece.
    start: usize,
    end: usize,
    /// Its text, when it was folded or held control characters.
    own: Option<String>,
    /// What was wrong with it: its text as it came is not kept.
    damage: Option<Damage>,
}

impl Line {
    fn text<'a>(&'a self, text: &'a str) -> &'a str {
        self.own.as_deref().unwrap_or(&text[self.start..self.end])
    }
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Lines<'a> {
        let next = text.len() - text.trim_start_matches('\u{feff}').len();
        Lines { text, next, number: 0, clean: is_clean(text), bare: None }
    }

    /// The next line that says something.
    fn line(&mut self) -> Result<Option<Line>, Error> {
        // Lines that say nothing belong to the one behind them.
        let mut before = None;
        loop {
            let start = self.next;
            if start >= self.text.len() {
                return Ok(None);
            }
            let number = self.number + 1;
            let first = self.physical();
            let mut own: Option<String> = None;
            let mut damage = None;
            loop {
                match self.text.as_bytes().get(self.next..).unwrap_or_default() {
                    [b' ' | b'\t', ..] => {
                        let (more, after_nothing) = (self.next + 1, self.after_nothing());
                        let end = self.physical();
                        let more = &self.text[more..end];
                        // White space below an empty line is an empty line too; anything else goes on with the fold.
                        if after_nothing && more.trim_ascii().is_empty() {
                            continue;
                        }
                        if after_nothing {
                            damage = Some(Damage::BrokenFold);
                        }
                        let own = own.get_or_insert_with(|| self.text[start..first].to_owned());
                        if own.len() + more.len() > MAX_LINE {
                            return Err(too_long(number));
                        }
                        own.push_str(more);
                    }
                    [b'\n', ..] | [b'\r', b'\n', ..] => {
                        self.physical();
                    }
                    _ => break,
                }
            }
            if first - start > MAX_LINE {
                return Err(too_long(number));
            }
            let mut line = Line {
                number,
                // The text is known to be shorter than 4 GiB.
                place: Place { start: before.unwrap_or(start) as u32, end: self.next as u32 },
                start,
                end: first,
                own,
                damage,
            };
            if !self.clean {
                line.clean(self.text);
            }
            let says = line.text(self.text).as_bytes();
            if says.first().is_some_and(|b| *b > b' ') || !says.trim_ascii().is_empty() || line.damage.is_some() {
                return Ok(Some(line));
            }
            before = before.or(Some(start));
        }
    }

    /// The line before the next one is empty.
    fn after_nothing(&self) -> bool {
        let before = self.text.as_bytes()[..self.next].strip_suffix(b"\n").unwrap_or_default();
        let before = before.strip_suffix(b"\r").unwrap_or(before);
        before.last() == Some(&b'\n')
    }

    /// Moves to the next physical line; gives where the text of this one ends.
    fn physical(&mut self) -> usize {
        self.number += 1;
        let bytes = self.text.as_bytes();
        let start = self.next;
        let Some(length) = memchr(b'\n', &bytes[start..]) else {
            self.next = bytes.len();
            return bytes.len();
        };
        self.next = start + length + 1;
        if length > 0 && bytes[start + length - 1] == b'\r' {
            start + length - 1
        } else {
            self.bare.get_or_insert(self.number);
            start + length
        }
    }
}

fn too_long(number: usize) -> Error {
    error(number, format!("the line is longer than {MAX_LINE} octets"))
}

impl Line {
    /// Leaves out what no line may hold, and the marks that files which were joined carry along. A return before the line
    /// end is part of it.
    fn clean(&mut self, text: &str) {
        let given = self.text(text);
        let marked = given.trim_start_matches('\u{feff}');
        let line = marked.trim_end_matches('\r');
        let bad = |c: char| c.is_ascii() && is_control(c as u8) || matches!(c, '\u{fffe}' | '\u{ffff}');
        let controls = marked.len() < given.len() || line.contains(bad);
        let own = (controls || line.len() < given.len()).then(|| line.replace(bad, ""));
        if own.is_some() {
            self.own = own;
        }
        if controls {
            self.damage = Some(Damage::Control);
        }
    }
}

/// The components that are open, and those that are done.
struct Tree<'t> {
    text: &'t Arc<str>,
    open: Vec<Open>,
    done: Vec<Component>,
    components: usize,
    limits: Limits,
}

struct Open {
    component: Component,
    line: usize,
    begin: Option<Place>,
    /// The last line was one of its properties: a text that was broken goes on in it, with this.
    broken: Option<String>,
}

impl<'t> Tree<'t> {
    fn take(&mut self, line: Line, repairs: &mut Repairs) -> Result<(), Error> {
        let text = self.text;
        let content = line.text(text);
        match content.as_bytes() {
            [b'E' | b'e', b'N' | b'n', b'D' | b'd', b':', ..] if !self.is_prose(content, 4) => {
                return self.take_end(&line, content[4..].trim(), repairs);
            }
            [b'B' | b'b', b'E' | b'e', b'G' | b'g', b'I' | b'i', b'N' | b'n', b':', ..]
                if !self.is_prose(content, 6) =>
            {
                return self.take_begin(&line, content[6..].trim(), repairs);
            }
            _ => {}
        }
        let Some(open) = self.open.last_mut() else {
            // An object that begins with something else is something else: a page, a message, one that was withheld.
            if self.done.is_empty() && !self.limits.file {
                return Err(error(line.number, Damage::Outside.to_string()));
            }
            return repairs.make(line.number, Damage::Outside);
        };
        if open.component.properties.len() >= MAX_PROPERTIES {
            let reason = format!("{} has more than {MAX_PROPERTIES} properties", open.component.name());
            return Err(error(line.number, reason));
        }
        let prose = matches!(content.get(..4), Some(name) if name.eq_ignore_ascii_case("END:"))
            || matches!(content.get(..6), Some(name) if name.eq_ignore_ascii_case("BEGIN:"));
        if prose {
            return open.broken(content, line.number, repairs);
        }
        match head(content).map_err(|reason| error(line.number, reason))? {
            Head::Plain { name, value } if line.own.is_none() => {
                let place = Place { start: line.start as u32, end: line.end as u32 };
                open.push(Property {
                    text: text.clone(),
                    line: place,
                    name: name as u32,
                    value: value as u32,
                    source: Source::Here(line.place),
                });
            }
            Head::Plain { name, value } | Head::Unusual { name, value } => {
                let property = normal(content, name, value);
                let source = match line.damage {
                    Some(_) => Source::Was(text.clone(), line.place),
                    None => Source::There(text.clone(), line.place),
                };
                open.push(Property { source, ..property });
            }
            Head::Damaged(damage, property) => {
                repairs.make(line.number, damage)?;
                open.push(property);
            }
            Head::None => return open.broken(content, line.number, repairs),
        }
        Ok(())
    }

    /// `Begin: 9 pm` in a text that was broken: what stands there is the name of no component that is known, open, or a
    /// maker's own.
    fn is_prose(&self, content: &str, colon: usize) -> bool {
        let (word, name) = content.split_at(colon);
        let (spaced, name) = (name.starts_with(' '), name.trim_ascii());
        let plain = !spaced && is_name(name);
        if plain && (!has_lower(word.as_bytes()) || name.bytes().any(|b| b.is_ascii_alphabetic())) {
            return false;
        }
        let in_text = self.open.last().is_some_and(|open| open.broken.is_some());
        let meant = matches!(names::component(name), Cow::Borrowed(_))
            || self.open.iter().any(|open| open.component.name().eq_ignore_ascii_case(name));
        in_text && !meant && !name.is_empty()
    }

    fn take_begin(&mut self, line: &Line, name: &str, repairs: &mut Repairs) -> Result<(), Error> {
        let number = line.number;
        if !is_name(name) {
            return Err(error(number, "BEGIN names no component"));
        }
        let name = names::component(name);
        if self.open.is_empty() && name != "VCALENDAR" {
            repairs.make(number, Damage::NoCalendar)?;
            self.begin("VCALENDAR".into(), number, None)?;
            let lines = [Property::new("VERSION", "2.0"), Property::new("PRODID", PRODID)];
            self.open[0].component.properties.extend(lines);
        }
        // It stands in nothing.
        while !self.open.is_empty() && name == "VCALENDAR" {
            repairs.make(number, Damage::MissingEnd)?;
            self.close(None);
        }
        // These stand below a VCALENDAR and nowhere else.
        while self.open.len() > 1
            && matches!(name.as_ref(), "VEVENT" | "VTODO" | "VJOURNAL" | "VFREEBUSY" | "VTIMEZONE")
        {
            repairs.make(number, Damage::MissingEnd)?;
            self.close(None);
        }
        let place = line.damage.is_none().then_some(line.place);
        self.begin(name, number, place)
    }

    fn begin(&mut self, name: Cow<'static, str>, line: usize, begin: Option<Place>) -> Result<(), Error> {
        if self.open.len() >= MAX_DEPTH {
            return Err(error(line, format!("components are nested deeper than {MAX_DEPTH}")));
        }
        self.components += 1;
        if self.components > self.limits.components {
            return Err(error(line, format!("there are more than {} components", self.limits.components)));
        }
        if let Some(parent) = self.open.last_mut() {
            parent.mend();
        }
        self.open.push(Open { component: Component::named(name), line, begin, broken: None });
        Ok(())
    }

    fn take_end(&mut self, line: &Line, name: &str, repairs: &mut Repairs) -> Result<(), Error> {
        let Some(nth) = self.open.iter().rposition(|o| o.component.name().eq_ignore_ascii_case(name)) else {
            return repairs.make(line.number, Damage::StrayEnd);
        };
        while self.open.len() > nth + 1 {
            repairs.make(line.number, Damage::MissingEnd)?;
            self.close(None);
        }
        self.close(line.damage.is_none().then_some(line.place));
        Ok(())
    }

    /// Closes the innermost component.
    fn close(&mut self, end: Option<Place>) {
        let Some(mut open) = self.open.pop() else { return };
        open.mend();
        let Open { mut component, begin, .. } = open;
        component.source = begin.zip(end).map(|(begin, end)| (self.text.clone(), begin, end));
        match self.open.last_mut() {
            Some(parent) => parent.component.components.push(component),
            None => self.done.push(component),
        }
    }

    /// A VCALENDAR may have lost its last line. A text that ends within a component was cut off, and nobody can tell what
    /// more there was.
    fn end(mut self, repairs: &mut Repairs) -> Result<Vec<Component>, Error> {
        if let [_, .., open] | [open] = self.open.as_slice()
            && (self.open.len() > 1 || open.component.components.is_empty())
        {
            let (line, name) = (open.line, &open.component.name());
            return Err(error(line, format!("BEGIN:{name} has no END:{name}; the text may have been cut off")));
        }
        if let Some(open) = self.open.last() {
            repairs.make(open.line, Damage::MissingEnd)?;
            self.close(None);
        }
        Ok(self.done)
    }
}

impl Open {
    fn push(&mut self, property: Property) {
        self.mend();
        self.component.properties.push(property);
        self.broken = Some(String::new());
    }

    /// Gives the last property what went on below it.
    fn mend(&mut self) {
        if let (Some(more), Some(text)) = (self.broken.take(), self.component.properties.last_mut())
            && !more.is_empty()
        {
            text.set_value(&format!("{}{more}", text.value()));
        }
    }

    /// A line that is no property: part of the text before it, when that is one.
    fn broken(&mut self, content: &str, line: usize, repairs: &mut Repairs) -> Result<(), Error> {
        let free = |p: &Property| match names::known(p.name()) {
            Some(known) => {
                known.value == names::Type::Text && !matches!(p.name(), "UID" | "STATUS" | "TRANSP" | "CLASS")
            }
            None => true,
        };
        match (&mut self.broken, self.component.properties.last().filter(|p| free(p))) {
            (Some(more), Some(text)) => {
                repairs.make(line, Damage::BrokenText)?;
                more.push_str("\\n");
                more.push_str(&escape(content));
                if text.raw_head().len() + text.value().len() + more.len() >= MAX_LINE {
                    return Err(too_long(line));
                }
                Ok(())
            }
            _ => repairs.make(line, Damage::StrayLine),
        }
    }
}

pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_of_name)
}

/// What a line begins with, and where its value does.
enum Head {
    /// As we keep it.
    Plain {
        name: usize,
        value: usize,
    },
    /// Lower case or parameters that say nothing: kept in a form of our own.
    Unusual {
        name: usize,
        value: usize,
    },
    Damaged(Damage, Property),
    /// It is no property.
    None,
}

/// Looks at a line up to its value. The error is a limit.
fn head(line: &str) -> Result<Head, String> {
    let bytes = line.as_bytes();
    let (name, mut unusual) = end_of_name(bytes, 0);
    if name == 0 || !matches!(bytes.get(name), Some(b':' | b';')) {
        let Some(name) = memchr2(b':', b';', bytes) else { return Ok(without_value(line)) };
        return match line[..name].trim_ascii() {
            trimmed if is_name(trimmed) => spaced(line, trimmed, &line[name..]),
            _ => Ok(Head::None),
        };
    }
    // Of these two there is one form alone.
    if bytes[name] == b';' && (line[..name].eq_ignore_ascii_case("BEGIN") || line[..name].eq_ignore_ascii_case("END")) {
        return Ok(Head::None);
    }
    // An address in a text that was broken: `https://…`.
    if bytes[name..].starts_with(b"://")
        && matches!(&line[..name], "http" | "https" | "Http" | "Https" | "ftp" | "webcal")
    {
        return Ok(Head::None);
    }
    let mut at = name;
    let mut params = 0;
    while bytes[at] == b';' {
        params += 1;
        if params > MAX_PARAMS {
            return Err(format!("{} has more than {MAX_PARAMS} parameters", &line[..name]));
        }
        let begin = at + 1;
        let Some(end) = end_of_param(bytes, begin) else { return unclosed(line, name) };
        let (name_end, lower) = end_of_name(bytes, begin);
        let param = &line[begin..name_end];
        if param.is_empty() && name_end == end {
            // `;;` and `;:` say nothing.
            unusual = true;
        } else if param.is_empty() || name_end != end && bytes[name_end] != b'=' {
            return Ok(Head::None);
        }
        if end - name_end > MAX_VALUES && memchr_iter(b',', &bytes[name_end..end]).count() >= MAX_VALUES {
            return Err(format!("{param} has more than {MAX_VALUES} values"));
        }
        unusual |= lower;
        at = end;
    }
    let value = at + 1;
    Ok(if unusual { Head::Unusual { name, value } } else { Head::Plain { name, value } })
}

/// Where the name that begins at `at` ends, and whether any of it is in lower case.
fn end_of_name(line: &[u8], at: usize) -> (usize, bool) {
    let mut lower = false;
    let length = line[at..].iter().position(|b| {
        lower |= b.is_ascii_lowercase();
        !is_of_name(char::from(*b))
    });
    (length.map_or(line.len(), |length| at + length), lower)
}

fn has_lower(bytes: &[u8]) -> bool {
    bytes.iter().any(u8::is_ascii_lowercase)
}

/// A property from a line whose head was looked at: names in upper case, empty parameters gone.
fn normal(line: &str, name: usize, value: usize) -> Property {
    let mut out = String::with_capacity(line.len());
    out.push_str(&line[..name]);
    out.make_ascii_uppercase();
    let mut rest = &line[name..value];
    while let Some(param) = rest.strip_prefix(';') {
        let Some(end) = end_of_param(param.as_bytes(), 0) else { break };
        rest = &param[end..];
        if end > 0 {
            let name_end = param[..end].find('=').unwrap_or(end);
            out.push(';');
            out.push_str(&param[..name_end].to_ascii_uppercase());
            out.push_str(&param[name_end..end]);
        }
    }
    out.push(':');
    let at = out.len();
    out.push_str(&line[value..]);
    Property::of_line(out, name, at)
}

/// A line without colon: a property that lost its value, or no property.
fn without_value(line: &str) -> Head {
    let line = line.trim_ascii();
    let is_property = is_name(line) && !has_lower(line.as_bytes()) && names::known(line).is_some();
    if is_property { Head::Damaged(Damage::NoValue, Property::new(line, "")) } else { Head::None }
}

/// `DTSTART : 20260105`: white space beside a name.
fn spaced(line: &str, name: &str, rest: &str) -> Result<Head, String> {
    let name = name.to_ascii_uppercase();
    if names::known(&name).is_none() && !name.starts_with("X-") || line.contains("://") {
        return Ok(Head::None);
    }
    let joined = format!("{name}{rest}");
    Ok(match head(&joined)? {
        Head::Plain { name, value } | Head::Unusual { name, value } => {
            let mut property = normal(&joined, name, value);
            let trimmed = property.value().trim_ascii_start().to_owned();
            property.set_value(&trimmed);
            Head::Damaged(Damage::SpacedName, property)
        }
        other => other,
    })
}

/// The parameters do not end before the line does: a quote was not closed, or there is no value at all.
fn unclosed(line: &str, name: usize) -> Result<Head, String> {
    let bytes = line.as_bytes();
    if memchr(b'"', bytes).is_none() {
        // Parameters and nothing behind them.
        let whole = format!("{line}:");
        return Ok(match head(&whole)? {
            Head::Plain { name, value } | Head::Unusual { name, value } if value == whole.len() => {
                Head::Damaged(Damage::NoValue, normal(&whole, name, value))
            }
            _ => Head::None,
        });
    }
    // The parameters before the quote are as good as ever. It is a character like any other here: the value begins behind
    // the next colon, or behind the one before an address.
    let (mut at, mut params) = (name, 0);
    while let Some(end) = end_of_param(bytes, at + 1) {
        (at, params) = (end, params + 1);
    }
    let rest = &line[at..];
    let Some(colon) = rest.find(":mailto:").or_else(|| rest.find(':')) else { return Ok(Head::None) };
    let mut head_of = line[..at].to_owned();
    for param in rest[..colon].split(';').skip(1) {
        let Some((of, value)) = param.split_once('=').filter(|(of, _)| is_name(of)) else { return Ok(Head::None) };
        params += 1;
        if params > MAX_PARAMS {
            return Err(format!("{} has more than {MAX_PARAMS} parameters", &line[..name]));
        }
        param_to(of, [decode_param(value.trim_matches('"')).as_ref()], &mut head_of);
    }
    head_of.push_str(&rest[colon..]);
    Ok(match head(&head_of)? {
        Head::Plain { name, value } | Head::Unusual { name, value } => {
            Head::Damaged(Damage::OpenQuote, normal(&head_of, name, value))
        }
        _ => Head::None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as one line a property, indented by depth, and the repairs behind it; or the error.
    fn tree(text: &str) -> String {
        fn show(c: &Component, depth: usize, out: &mut String) {
            let pad = "  ".repeat(depth);
            out.push_str(&format!("{pad}{}\n", c.name()));
            for p in &c.properties {
                out.push_str(&format!("{pad}  {}", p.name()));
                for param in p.params() {
                    out.push_str(&format!(" {}={:?}", param.name(), param.values().collect::<Vec<_>>()));
                }
                out.push_str(&format!(" = {}\n", p.value()));
            }
            c.components.iter().for_each(|c| show(c, depth + 1, out));
        }
        match one(Arc::from(text), Reading::Tolerant) {
            Ok((c, read)) => {
                let mut out = String::new();
                show(&c, 0, &mut out);
                for repair in read.repairs.into_made(text).iter().filter(|r| r.damage != Damage::LineEnds) {
                    out += &format!("{} {}\n", repair.line, repair.damage.name());
                }
                out
            }
            Err(e) => e.to_string(),
        }
    }

    /// A VCALENDAR around these lines; they begin on line 2.
    fn around(lines: &str) -> String {
        format!("BEGIN:VCALENDAR\n{lines}\nEND:VCALENDAR")
    }

    #[test]
    fn reads_what_producers_write() {
        let cases = [
            ("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n", "VCALENDAR\n  VERSION = 2.0\n"),
            ("begin:vcalendar\nversion:2.0\nEND:vCalendar\n\n \n\n", "VCALENDAR\n  VERSION = 2.0\n"),
            ("BEGIN:VCALENDAR\nX:a\n b\n\tc\nEND:VCALENDAR", "VCALENDAR\n  X = abc\n"),
            ("BEGIN:VCALENDAR\nX:a\r\r\nEND:VCALENDAR", "VCALENDAR\n  X = a\n"),
            ("BEGIN:VCALENDAR\nX:\nEND:VCALENDAR", "VCALENDAR\n  X = \n"),
            (
                "BEGIN:VCALENDAR\nX;P=\"a,b\",c;q=1;P=2:v:w;x\nEND:VCALENDAR",
                "VCALENDAR\n  X P=[\"a,b\", \"c\"] Q=[\"1\"] P=[\"2\"] = v:w;x\n",
            ),
            ("BEGIN:VCALENDAR\nX;CN=\"a^'b^n^^^x\":v\nEND:VCALENDAR", "VCALENDAR\n  X CN=[\"a\\\"b\\n^^x\"] = v\n"),
            ("BEGIN:VCALENDAR\nX;P=\"a\"b:v\nEND:VCALENDAR", "VCALENDAR\n  X P=[\"ab\"] = v\n"),
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
    fn repairs_by_name_what_good_clients_repair() {
        let cases = [
            ("\u{feff}BEGIN:VCALENDAR\nX:1\nEND:VCALENDAR", "VCALENDAR\n  X = 1\n1 byte-order-mark\n"),
            ("BEGIN:VCALENDAR\rX:1\rEND:VCALENDAR\r", "VCALENDAR\n  X = 1\n1 returns\n"),
            (
                &around("X:a\n \u{1}b\nY:\u{b}"),
                "VCALENDAR\n  X = ab\n  Y = \n2 control-character\n4 control-character\n",
            ),
            // A return within a line is no line end: what follows it can not speak for itself.
            (&around("X:a\rY:b"), "VCALENDAR\n  X = aY:b\n2 control-character\n"),
            (&around("X:a\u{ffff}"), "VCALENDAR\n  X = a\n2 control-character\n"),
            ("BEGIN:VCALENDAR\nEND:VCALENDAR\nX:1\nend", "VCALENDAR\n3 outside\n4 outside\n"),
            (
                "BEGIN:VEVENT\nUID:1\nEND:VEVENT\n",
                "VCALENDAR\n  VERSION = 2.0\n  PRODID = -//calgate//EN\n  VEVENT\n    UID = 1\n1 no-calendar\n1 missing-end\n",
            ),
            (&around("BEGIN:VEVENT\nUID:1"), "VCALENDAR\n  VEVENT\n    UID = 1\n4 missing-end\n"),
            (
                &around("BEGIN:VEVENT\nBEGIN:VALARM\nBEGIN:VEVENT\nEND:VEVENT"),
                "VCALENDAR\n  VEVENT\n    VALARM\n  VEVENT\n4 missing-end\n4 missing-end\n",
            ),
            ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VEVENT\n", "VCALENDAR\n  VEVENT\n1 missing-end\n"),
            (&around("END:VALARM"), "VCALENDAR\n2 stray-end\n"),
            (
                &around("LOCATION\nURL;VALUE=URI"),
                "VCALENDAR\n  LOCATION = \n  URL VALUE=[\"URI\"] = \n2 no-value\n3 no-value\n",
            ),
            (
                &around("DTSTART ;TZID=X: 20260105T090000\nX-A : b"),
                "VCALENDAR\n  DTSTART TZID=[\"X\"] = 20260105T090000\n  X-A = b\n2 spaced-name\n3 spaced-name\n",
            ),
            (
                &around("ATTENDEE;CN=\"Doe;ROLE=CHAIR:mailto:a@example.org"),
                "VCALENDAR\n  ATTENDEE CN=[\"Doe\"] ROLE=[\"CHAIR\"] = mailto:a@example.org\n2 open-quote\n",
            ),
            (
                &around("DESCRIPTION:one\ntwo, three\nJoin at: x\nhttps://example.org/a;b\nDTSTART:20260101\nstray"),
                "VCALENDAR\n  DESCRIPTION = one\\ntwo\\, three\\nJoin at: x\\nhttps://example.org/a\\;b\n  DTSTART = 20260101\n\
                 3 broken-text\n4 broken-text\n5 broken-text\n7 stray-line\n",
            ),
            (
                &around("DESCRIPTION:Party\nBegin: 9 pm\nEnd: 10 pm\nBegin:9\nUID:1"),
                "VCALENDAR\n  DESCRIPTION = Party\\nBegin: 9 pm\\nEnd: 10 pm\\nBegin:9\n  UID = 1\n\
                 3 broken-text\n4 broken-text\n5 broken-text\n",
            ),
            (
                &around("ATTENDEE;CN=a^'b^';MEMBER=\"mailto:a@x\",\"mailto:b@x\";X-Y=\"y:mailto:z@x"),
                "VCALENDAR\n  ATTENDEE CN=[\"a\\\"b\\\"\"] MEMBER=[\"mailto:a@x\", \"mailto:b@x\"] X-Y=[\"y\"] = mailto:z@x\n\
                 2 open-quote\n",
            ),
            (&around("BEGIN;X=1:VALARM\nEND;X=1:VALARM"), "VCALENDAR\n2 stray-line\n3 stray-line\n"),
            (&around("X;A B=c:d\nY Z:a"), "VCALENDAR\n2 stray-line\n3 stray-line\n"),
        ];
        for (text, expect) in cases {
            assert_eq!(tree(text), expect, "{text:?}");
            let printed = Component::parse(text).unwrap().print();
            let (again, read) = one(Arc::from(printed.as_str()), Reading::Tolerant).unwrap();
            assert_eq!(again, Component::parse(text).unwrap());
            assert!(!read.repairs.alter(), "{printed}");
        }
        // Strictly each of them is refused, at the line where it was repaired.
        for (text, expect) in cases {
            let text = text.replace('\n', "\r\n");
            let first = expect.lines().find_map(|l| l.split_once(' ')?.0.parse::<usize>().ok());
            let refused = one(Arc::from(text.as_str()), Reading::Strict).map(|_| ()).unwrap_err();
            assert!(first.is_none_or(|first| first == refused.line || refused.line == 2), "{text:?} {refused}");
        }
        assert!(one(Arc::from("BEGIN:VCALENDAR\nEND:VCALENDAR\n"), Reading::Strict).is_err());
        assert!(one(Arc::from("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"), Reading::Strict).is_ok());
    }

    #[test]
    fn refuses_with_the_line() {
        let deep = "BEGIN:VCALENDAR\n".to_owned() + &"BEGIN:X\n".repeat(40);
        let many = "BEGIN:VCALENDAR\n".to_owned() + &"BEGIN:X\nEND:X\n".repeat(5001) + "END:VCALENDAR\n";
        let wide = "BEGIN:VCALENDAR\n".to_owned() + &"X:1\n".repeat(10_001) + "END:VCALENDAR\n";
        let params = format!("BEGIN:VCALENDAR\nX{}:1\nEND:VCALENDAR\n", ";A=1".repeat(101));
        let values = format!("BEGIN:VCALENDAR\nX;A={}:1\nEND:VCALENDAR\n", "1,".repeat(5_001));
        let long = format!("BEGIN:VCALENDAR\nX:{}\nEND:VCALENDAR\n", "a".repeat(MAX_LINE));
        let folded = format!("BEGIN:VCALENDAR\nX:{}\nEND:VCALENDAR\n", "a\n ".repeat(MAX_LINE));
        let lines = format!("BEGIN:VCALENDAR\nX:1\n{}", "\n".repeat(200_000) + "END:VCALENDAR\n");
        // Escapes make a text longer than it came.
        let commas = around(&format!("DESCRIPTION:x\n({}", ",".repeat(1_200_000)));
        let open = around(&format!("X-A;A=\"b{}:v", ";A=b".repeat(400_000)));
        let cases = [
            ("", "there is no VCALENDAR"),
            ("<html>\nBEGIN:VCALENDAR\nEND:VCALENDAR", "line 1: this line stands outside"),
            ("BEGIN:VCALENDAR\nEND:VCALENDAR\nBEGIN:VCALENDAR\nEND:VCALENDAR", "line 3: a second VCALENDAR"),
            ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nX:1", "line 2: BEGIN:VEVENT has no END:VEVENT"),
            ("BEGIN:VCALENDAR\nVERSION:2.0\n", "line 1: BEGIN:VCALENDAR has no END:VCALENDAR"),
            ("BEGIN:VCALENDAR\nBEGIN: \nEND:VCALENDAR", "line 2: BEGIN names no component"),
            (&deep, "line 33: components are nested deeper than 32"),
            (&many, "more than 5000 components"),
            (&wide, "line 10002: VCALENDAR has more than 10000 properties"),
            (&params, "line 2: X has more than 100 parameters"),
            (&values, "line 2: A has more than 5000 values"),
            (&long, "line 2: the line is longer than 2097152 octets"),
            (&folded, "line 2: the line is longer than 2097152 octets"),
            (&lines, "there are more than 200000 lines"),
            (&commas, "line 3: the line is longer than 2097152 octets"),
            (&open, "line 2: X-A has more than 100 parameters"),
            ("BEGIN:VCALENDAR\nBEGIN:X\nBEGIN:VCALENDAR\nEND:VCALENDAR", "line 3: a second VCALENDAR begins here"),
        ];
        for (text, expect) in cases {
            let got = Component::parse(text).map(|_| ()).unwrap_err().to_string();
            assert!(got.contains(expect), "{got}\nwanted: {expect}");
        }
    }

    #[test]
    fn reads_octets_of_old_programs() {
        let read = |octets: &[u8]| {
            let (text, odd) = decode(octets);
            (text.into_owned(), odd)
        };
        // A fold moves behind the character that it split.
        assert_eq!(read(b"X:a\xc3\r\n \xbcb\r\n"), ("X:a\u{fc}\r\n b\r\n".to_owned(), vec![]));
        assert_eq!(read(b"X:\xe2\x82\n\t\xac"), ("X:\u{20ac}\n\t".to_owned(), vec![]));
        assert_eq!(
            read(b"A:1\nX:M\xfcller \x80\nY:\xc3\xbc"),
            ("A:1\nX:M\u{fc}ller \u{20ac}\nY:\u{fc}".to_owned(), vec![2])
        );
        assert_eq!(read(b"\xc3"), ("\u{c3}".to_owned(), vec![1]));
        assert_eq!(read(b"\xf0\x9f\r\n x"), ("\u{f0}\u{178}\r\n x".to_owned(), vec![1]));
    }
}
