//! Walks over a spanned TOML table and gathers every mistake with its place. Knows no key by name; `read.rs` does.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Complaint;

/// Why a value can not be taken, and what to write instead (may be empty).
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    pub message: String,
    pub hint: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hint.as_str() {
            "" => f.write_str(&self.message),
            hint => write!(f, "{}. {hint}", self.message),
        }
    }
}

impl std::error::Error for Wrong {}

impl Wrong {
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Wrong {
        Wrong { message: message.into(), hint: hint.into() }
    }
}

/// A table of the file.
#[derive(Clone)]
pub(super) struct Section<'t> {
    /// How a person writes it: `[server]`, `[[user.account]]`, `tls`.
    pub title: &'static str,
    /// Every key it may have.
    pub keys: &'static [&'static str],
    /// `None`: it is not in the file, so every key has its default.
    table: Option<&'t DeTable<'t>>,
    /// Where it begins.
    pub at: Range<usize>,
    /// Keys that seem to be here under a misspelt name.
    slips: Vec<&'static str>,
}

impl<'t> Section<'t> {
    pub fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|t| t.contains_key(key))
    }

    fn value(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        debug_assert!(self.keys.contains(&key), "{} does not list {key}", self.title);
        self.table?.get(key)
    }
}

/// One reading of one file.
pub(super) struct Walk<'t> {
    text: &'t str,
    file: String,
    /// Absolute; where relative paths begin.
    pub dir: PathBuf,
    /// Whether the environment and the files that are referred to are looked at.
    pub follow: bool,
    /// The text has syntax errors: what seems to be missing may stand where it could not be read.
    pub broken: bool,
    /// Where the lines with syntax errors begin.
    broken_lines: HashSet<usize>,
    found: Vec<(Range<usize>, Wrong)>,
    /// Values that no complaint may show.
    hidden: Vec<Range<usize>>,
}

impl<'t> Walk<'t> {
    pub fn new(text: &'t str, file: &Path, dir: PathBuf, follow: bool) -> Walk<'t> {
        let file = file.display().to_string();
        Walk {
            text,
            file,
            dir,
            follow,
            broken: false,
            broken_lines: HashSet::new(),
            found: Vec::new(),
            hidden: Vec::new(),
        }
    }

    /// Notes a mistake at `at`.
    pub fn complain(&mut self, at: Range<usize>, wrong: Wrong) {
        // In a line that could not be read, what was understood of it is not what the writer meant.
        if !self.broken_lines.contains(&self.line_of(at.start).start) {
            self.found.push((at, wrong));
        }
    }

    /// Notes a syntax error. Its line may hold a secret that no key could be found for.
    pub fn syntax(&mut self, error: &toml::de::Error) {
        self.broken = true;
        let at = error.span().unwrap_or(0..0);
        let line = self.line_of(at.start);
        if let Some(value) = secret_by_look(&self.text[line.clone()]) {
            self.hidden.push(line.start + value..line.end);
        }
        // The first error of a line is the cause of those behind it.
        if self.broken_lines.insert(line.start) {
            let wrong = match error.message() {
                "duplicate key" => Wrong::new(
                    format!("`{}` stands here for the second time", &self.text[at.clone()]),
                    "Keep one of them.",
                ),
                message if message.contains("string") => {
                    Wrong::new(message, "A text needs a quotation mark at both ends.")
                }
                message if message.contains("array") => Wrong::new(message, "Is a \"]\" missing in a line above?"),
                // A word without quotation marks is taken for the beginning of a number or of `true`.
                message if message.starts_with("invalid ") => {
                    Wrong::new("this is no value", "Put a text between quotation marks.")
                }
                message => Wrong::new(message, ""),
            };
            self.found.push((at, wrong));
        }
    }

    /// Never shows the value at `key` if it is a `secret`. A value that is no text is never shown.
    pub fn hide_if(&mut self, of: &Section<'t>, key: &str, secret: impl FnOnce(&str) -> bool) {
        if let Some(value) = of.value(key)
            && value.get_ref().as_str().is_none_or(secret)
        {
            self.hidden.push(value.span());
        }
    }

    /// Where the value at `key` stands; the section's place when it is not there.
    pub fn place_of(&self, of: &Section<'t>, key: &str) -> Range<usize> {
        of.value(key).map_or(of.at.clone(), Spanned::span)
    }

    /// The whole file as a section.
    pub fn root(
        &mut self,
        root: &'t Spanned<DeTable<'t>>,
        title: &'static str,
        keys: &'static [&'static str],
    ) -> Section<'t> {
        self.section(title, keys, root.get_ref(), 0..0)
    }

    /// The table at `key`; an empty one when there is none.
    pub fn table(
        &mut self,
        of: &Section<'t>,
        key: &str,
        title: &'static str,
        keys: &'static [&'static str],
    ) -> Section<'t> {
        let nothing = Section { title, keys, table: None, at: of.at.clone(), slips: Vec::new() };
        let Some(value) = of.value(key) else { return nothing };
        match value.get_ref() {
            DeValue::Table(table) => self.section(title, keys, table, self.head(value.span())),
            other => {
                let message = format!("`{key}` must be a section, not {}", kind(other));
                self.complain(value.span(), Wrong::new(message, format!("Write it as {title}.")));
                nothing
            }
        }
    }

    /// The tables at `key`: `[[key]]`, or a list of inline tables.
    pub fn tables(
        &mut self,
        of: &Section<'t>,
        key: &str,
        title: &'static str,
        keys: &'static [&'static str],
    ) -> Vec<Section<'t>> {
        let Some(value) = of.value(key) else { return Vec::new() };
        let DeValue::Array(list) = value.get_ref() else {
            let message = format!("`{key}` must be a list of sections, not {}", kind(value.get_ref()));
            self.complain(self.head(value.span()), Wrong::new(message, format!("Write {title}, in double brackets.")));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in list.iter() {
            match item.get_ref() {
                DeValue::Table(table) => sections.push(self.section(title, keys, table, self.head(item.span()))),
                other => {
                    let message = format!("`{key}` must be a list of sections, not of {}", kind(other));
                    self.complain(item.span(), Wrong::new(message, format!("Write {title}, in double brackets.")));
                }
            }
        }
        sections
    }

    /// The text at `key` as `read` understands it. `None`: it is not there, or was complained about.
    pub fn text<T>(
        &mut self,
        of: &Section<'t>,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<Spanned<T>> {
        let value = of.value(key)?;
        self.text_of(value, key, read)
    }

    /// Like [`Walk::text`], and complains when it is not there.
    pub fn needed<T>(
        &mut self,
        of: &Section<'t>,
        key: &str,
        hint: &str,
        read: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<Spanned<T>> {
        if !of.has(key) {
            self.missing(of, key, hint);
        }
        self.text(of, key, read)
    }

    /// Complains that `key` is missing, unless it is misspelt or may stand in a part that could not be read.
    pub fn missing(&mut self, of: &Section<'t>, key: &str, hint: &str) {
        if of.table.is_some() && !of.slips.contains(&key) && !self.broken {
            self.complain(of.at.clone(), Wrong::new(format!("`{key}` is missing in {}", of.title), hint));
        }
    }

    /// The whole number at `key`, not below `from` and not above `to`.
    pub fn number(&mut self, of: &Section<'t>, key: &str, from: usize, to: usize) -> Option<usize> {
        let value = of.value(key)?;
        let DeValue::Integer(number) = value.get_ref() else {
            let message = format!("`{key}` must be a whole number, not {}", kind(value.get_ref()));
            let hint = match value.get_ref() {
                DeValue::String(text) if text.parse::<u64>().is_ok() => "Write it without quotation marks.",
                _ => "Write it in digits and without quotation marks: 10_000.",
            };
            self.complain(value.span(), Wrong::new(message, hint));
            return None;
        };
        match usize::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if (from..=to).contains(&number) => Some(number),
            _ => {
                let message = format!("`{key}` must be between {from} and {to}");
                self.complain(value.span(), Wrong::new(message, ""));
                None
            }
        }
    }

    pub fn yes_or_no(&mut self, of: &Section<'t>, key: &str) -> Option<bool> {
        let value = of.value(key)?;
        let DeValue::Boolean(yes) = value.get_ref() else {
            let message = format!("`{key}` must be true or false, not {}", kind(value.get_ref()));
            let hint = match value.get_ref() {
                DeValue::String(text) if matches!(text.as_ref(), "true" | "false") => {
                    "Write it without quotation marks."
                }
                _ => "Write true or false, without quotation marks.",
            };
            self.complain(value.span(), Wrong::new(message, hint));
            return None;
        };
        Some(*yes)
    }

    /// A number, or a text that `read` understands: for sizes.
    pub fn number_or_text<T>(
        &mut self,
        of: &Section<'t>,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let value = of.value(key)?;
        let result = match value.get_ref() {
            DeValue::Integer(number) => read(number.as_str()),
            DeValue::String(text) => read(text),
            other => Err(Wrong::new(format!("`{key}` must be a number or a text, not {}", kind(other)), "")),
        };
        result.map_err(|wrong| self.complain(value.span(), wrong)).ok()
    }

    /// A text or a list of texts.
    pub fn texts<T>(
        &mut self,
        of: &Section<'t>,
        key: &str,
        mut read: impl FnMut(&str) -> Result<T, Wrong>,
    ) -> Vec<Spanned<T>> {
        let Some(value) = of.value(key) else { return Vec::new() };
        match value.get_ref() {
            DeValue::Array(list) => list.iter().filter_map(|item| self.text_of(item, key, &mut read)).collect(),
            _ => self.text_of(value, key, &mut read).into_iter().collect(),
        }
    }

    /// The list at `key`, whose items are texts or tables. `None`: not there, or not a list.
    pub fn items(
        &mut self,
        of: &Section<'t>,
        key: &str,
        title: &'static str,
        keys: &'static [&'static str],
    ) -> Option<Vec<Item<'t>>> {
        let value = of.value(key)?;
        let DeValue::Array(list) = value.get_ref() else {
            let message = format!("`{key}` must be a list, not {}", kind(value.get_ref()));
            self.complain(value.span(), Wrong::new(message, format!("Write {key} = [\"…\", \"…\"].")));
            return None;
        };
        let mut items = Vec::new();
        for item in list.iter() {
            match item.get_ref() {
                DeValue::String(text) => items.push(Item::Text(Spanned::new(item.span(), text.as_ref()))),
                DeValue::Table(table) => items.push(Item::Table(self.section(title, keys, table, item.span()))),
                other => {
                    let message = format!("an item of `{key}` must be a text or a table, not {}", kind(other));
                    self.complain(item.span(), Wrong::new(message, ""));
                }
            }
        }
        Some(items)
    }

    /// All complaints in the order of the file.
    pub fn complaints(mut self) -> Vec<Complaint> {
        let mut found = std::mem::take(&mut self.found);
        found.sort_by_key(|(at, _)| at.start);
        let mut complaints: Vec<Complaint> = Vec::new();
        let (mut line, mut counted) = (1, 0);
        for (at, wrong) in found {
            let start = at.start.clamp(counted, self.text.len());
            line += self.text[counted..start].matches('\n').count();
            counted = start;
            complaints.push(self.place(line, at, wrong));
        }
        complaints.dedup();
        complaints
    }

    fn text_of<T>(
        &mut self,
        value: &'t Spanned<DeValue<'t>>,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<Spanned<T>> {
        let result = match value.get_ref() {
            DeValue::String(text) => read(text),
            other => {
                // What would be wrong with the bare value says best how to write it.
                let hint = match other {
                    DeValue::Integer(number) => read(number.as_str()).err().map(|wrong| wrong.hint),
                    DeValue::Array(_) | DeValue::Table(_) => Some(String::new()),
                    _ => None,
                };
                let hint = hint.unwrap_or_else(|| "Put the value between quotation marks.".to_owned());
                Err(Wrong::new(format!("`{key}` must be a text, not {}", kind(other)), hint))
            }
        };
        match result {
            Ok(read) => Some(Spanned::new(value.span(), read)),
            Err(wrong) => {
                self.complain(value.span(), wrong);
                None
            }
        }
    }

    /// A table that is there; complains about its unknown keys.
    fn section(
        &mut self,
        title: &'static str,
        keys: &'static [&'static str],
        table: &'t DeTable<'t>,
        at: Range<usize>,
    ) -> Section<'t> {
        let mut slips = Vec::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if keys.contains(&name) {
                continue;
            }
            let near = nearest(name, keys.iter().copied());
            slips.extend(near);
            let hint = match near {
                Some(near) => format!("Did you mean `{near}`?"),
                None => format!("Known here: {}.", list_of(keys)),
            };
            if near.is_some_and(is_secret_key) || is_secret_key(name) {
                self.hidden.push(value.span());
            }
            self.complain(key.span(), Wrong::new(format!("unknown key `{name}` in {title}"), hint));
        }
        Section { title, keys, table: Some(table), at, slips }
    }

    /// The first line of a span: where a section is complained about.
    fn head(&self, at: Range<usize>) -> Range<usize> {
        let line = self.line_of(at.start);
        at.start..at.end.min(line.end)
    }

    fn line_of(&self, at: usize) -> Range<usize> {
        let at = at.min(self.text.len());
        let start = self.text[..at].rfind('\n').map_or(0, |n| n + 1);
        let end = self.text[start..].find('\n').map_or(self.text.len(), |n| start + n);
        // A line end of Windows is no part of the line.
        let end = if self.text[start..end].ends_with('\r') { end - 1 } else { end };
        start..end
    }

    /// A complaint with its line. Hidden parts become `"***"`, and the mark follows.
    fn place(&self, number: usize, at: Range<usize>, wrong: Wrong) -> Complaint {
        let line = self.line_of(at.start);
        let start = at.start.clamp(line.start, line.end);
        let end = at.end.clamp(start, line.end);
        let count = |from: usize, to: usize| self.text[from..to].chars().count();

        let mut hidden: Vec<Range<usize>> = (self.hidden.iter())
            .map(|h| h.start.max(line.start)..h.end.min(line.end))
            .filter(|h| h.start < h.end)
            .collect();
        // A key that could not be placed may still set a secret.
        if let Some(value) = secret_by_look(&self.text[line.clone()])
            && !hidden.iter().any(|h| h.end > line.start + value)
            && !is_reference(&self.text[line.start + value..line.end])
        {
            hidden.push(line.start + value..line.end);
        }
        hidden.sort_by_key(|h| h.start);

        let (mut text, mut mark, mut width) = (String::new(), None, None);
        let mut done = line.start;
        for h in hidden.into_iter().chain(std::iter::once(line.end..line.end)) {
            let h = h.start.max(done)..h.end.max(done);
            // The mark begins or ends in the shown part before this hidden one, or in the hidden one itself.
            let shown = text.chars().count();
            if mark.is_none() && start < h.end.max(h.start + 1) {
                mark = Some(shown + count(done, start.min(h.start).max(done)) + 1);
            }
            text.push_str(&self.text[done..h.start]);
            if !h.is_empty() {
                text.push_str("\"***\"");
            }
            if let (None, Some(mark)) = (width, mark)
                && end <= h.end
            {
                let until = if end <= h.start { shown + count(done, end.max(done)) } else { text.chars().count() };
                width = Some((until + 1).saturating_sub(mark));
            }
            done = h.end;
        }
        Complaint {
            file: self.file.clone(),
            line: number,
            column: count(line.start, start) + 1,
            text,
            mark: mark.unwrap_or(1),
            width: width.unwrap_or(1).max(1),
            message: wrong.message,
            hint: wrong.hint,
        }
    }
}

/// An item of a list that holds names and tables.
pub(super) enum Item<'t> {
    Text(Spanned<&'t str>),
    Table(Section<'t>),
}

/// The word of `known` that `word` is a slip of, if there is one.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(64).flat_map(char::to_lowercase).collect();
    let allowed = match word.len() {
        0..=2 => 1,
        3..=5 => 2,
        _ => word.len() / 3,
    };
    known
        .into_iter()
        .map(|k| (distance(&word, &k.to_lowercase().chars().collect::<Vec<_>>()), k))
        .min_by_key(|(d, _)| *d)
        .filter(|(d, k)| *d <= allowed && *d < k.chars().count())
        .map(|(_, k)| k)
}

/// A text between quotation marks as a message may show it: one line, and not more than it takes to know it again.
pub(super) fn quoted(text: &str) -> String {
    let mut line: String = text.chars().take_while(|c| *c != '\n' && *c != '\r').take(60).collect();
    line.retain(|c| !c.is_control());
    match line.len() == text.len() {
        true => format!("\"{line}\""),
        false => format!("\"{line}…\""),
    }
}

/// `` `a`, `b` and `c` ``.
pub fn list_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// How many letters must be put in, taken out, changed, or swapped with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn is_secret_key(key: &str) -> bool {
    let key = key.trim().to_lowercase();
    ["pass", "pwd", "token", "secret"].iter().any(|part| key.contains(part))
        || nearest(&key, ["password", "token"]).is_some()
}

/// Whether a value says where a secret is, and not what it is.
fn is_reference(value: &str) -> bool {
    let value = value.trim_start_matches(['"', '\'']);
    ["env:", "file:", "sealed"].iter().any(|word| value.starts_with(word))
}

/// Where the value begins in a line that seems to set a secret.
fn secret_by_look(line: &str) -> Option<usize> {
    let ends = line.char_indices().filter(|(_, c)| matches!(c, ' ' | '\t' | '=' | ':' | '"' | '\''));
    for (at, _) in ends {
        let key = line[..at].rsplit(['{', ',', '=']).next().unwrap_or("").trim_start();
        // Behind an equals sign, what stands between quotation marks is a value.
        let value = key.starts_with(['"', '\'']) && line[..at].contains('=');
        if !value && is_secret_key(key) {
            let rest = line[at..].trim_start_matches([' ', '\t', '=', ':']);
            return Some(line.len() - rest.len());
        }
    }
    // A slip may have cut the key in two: `pass=word = "…"`.
    let letters: String = line[..line.rfind('=')?].chars().filter(|c| c.is_alphanumeric()).collect();
    is_secret_key(&letters).then(|| line.find(['=', '"', '\'']).unwrap_or(0))
}
