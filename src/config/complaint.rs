//! One mistake in a configuration file, and how it is shown to a person.

use std::fmt;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Complaint {
    pub file: String,
    /// From 1; 0: the whole file (not there, not UTF-8).
    pub line: usize,
    /// From 1, in characters of the file.
    pub column: usize,
    /// The line itself; a secret in it is shown as `"***"`.
    pub text: String,
    /// Where the mark begins in `text`, from 1, in characters. Differs from `column` behind a hidden secret.
    pub mark: usize,
    /// Characters to mark from `mark` on, at least 1.
    pub width: usize,
    pub message: String,
    /// What to do, as a sentence; empty: nothing to add.
    pub hint: String,
}

impl Complaint {
    /// A complaint about the file as a whole.
    pub fn whole(file: &str, message: impl Into<String>, hint: impl Into<String>) -> Complaint {
        Complaint {
            file: file.to_owned(),
            line: 0,
            column: 0,
            text: String::new(),
            mark: 0,
            width: 0,
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// The complaint as several lines, without a line end after the last; `colour` for a terminal.
    pub fn paint(&self, colour: bool) -> String {
        let paint = |code: &str, text: &str| match colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        };
        let (red, blue, bold, green) = ("1;31", "1;34", "1", "1;32");
        let mut lines = vec![format!("{} {}", paint(red, "error:"), paint(bold, &self.message))];
        if self.line == 0 {
            lines.push(format!(" {} {}", paint(blue, "-->"), self.file));
        } else {
            let number = self.line.to_string();
            let pad = " ".repeat(number.len());
            let bar = paint(blue, "|");
            lines.push(format!("{pad}{} {}:{}:{}", paint(blue, "-->"), self.file, self.line, self.column));
            lines.push(format!("{pad} {bar}"));
            lines.push(format!("{} {bar} {}", paint(blue, &number), self.text).trim_end().to_owned());
            // Tabs before the mark stay tabs, so that it stands under what it means on every terminal.
            let indent: String =
                self.text.chars().take(self.mark.max(1) - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            lines.push(format!("{pad} {bar} {indent}{}", paint(red, &"^".repeat(self.width.max(1)))));
        }
        if !self.hint.is_empty() {
            lines.push(format!("{} {}", paint(green, "hint:"), self.hint));
        }
        lines.join("\n")
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.paint(false))
    }
}
