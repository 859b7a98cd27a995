//! What is shown to a person and asked of one.

use std::io::{IsTerminal, Write};

use calgate::ical::Instant;
use calgate::secrets::Secret;

use super::Failure;

/// Whether to write in colour there.
pub fn colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Prints a line on standard output. Whoever reads it may have read enough and be gone; that is no failure.
pub fn say(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stdout(), "{}", line.as_ref());
}

/// Prints a value as JSON.
pub fn say_json(value: &serde_json::Value) {
    say(format!("{value:#}"));
}

/// Prints rows under a head, in columns. `none` is said when there are no rows.
pub fn say_table(head: &[&str], rows: &[Vec<String>], none: &str) {
    if rows.is_empty() {
        return say(none);
    }
    let head: Vec<String> = head.iter().map(|h| (*h).to_owned()).collect();
    let width = |column: usize| {
        rows.iter().chain([&head]).filter_map(|row| row.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for row in std::iter::once(&head).chain(rows) {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        say(cells.join("  ").trim_end());
    }
}

/// An instant for people: `2026-11-21 09:30 UTC`.
pub fn when(at: Option<Instant>) -> String {
    let time = at.and_then(|at| jiff::Timestamp::from_second(at.0).ok());
    time.map_or_else(|| "never".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// An instant for programs: RFC 3339, or null.
pub fn when_json(at: Option<Instant>) -> serde_json::Value {
    let time = at.and_then(|at| jiff::Timestamp::from_second(at.0).ok());
    time.map(|time| time.to_string()).into()
}

/// A text of somebody else's on one line of ours, without control characters.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A password that exists elsewhere: asked for once on the terminal, or the first line of standard input.
pub fn password(stdin: bool, prompt: &str) -> Result<Secret, Failure> {
    let typed = match stdin {
        true => first_line()?,
        false => ask(prompt)?,
    };
    match typed.reveal() {
        "" => Err(Failure::new("the password is empty", "")),
        _ => Ok(typed),
    }
}

/// A new password: asked for twice on the terminal, or the first line of standard input.
pub fn new_password(stdin: bool) -> Result<Secret, Failure> {
    /// Of NIST SP 800-63B.
    const SHORTEST: usize = 8;
    let typed = password(stdin, "New password: ")?;
    if typed.reveal().chars().count() < SHORTEST {
        return Err(Failure::new(format!("the password has fewer than {SHORTEST} characters"), "Choose a longer one."));
    }
    if !stdin && ask("Once more: ")?.reveal() != typed.reveal() {
        return Err(Failure::new("the two are not the same", "Nothing was changed; try again."));
    }
    Ok(typed)
}

/// Asks before something that can not be taken back. `yes` answers for the person.
pub fn confirm(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new("this can not be taken back, and there is no terminal to ask on", "Say --yes."));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    match read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        true => Ok(()),
        false => Err(Failure::new("nothing was changed", "")),
    }
}

fn ask(prompt: &str) -> Result<Secret, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            "there is no terminal to ask for the password on",
            "Give it on standard input, with --password-stdin.",
        ));
    }
    rpassword::prompt_password(prompt)
        .map(Secret::new)
        .map_err(|e| Failure::new(format!("the password could not be read: {e}"), ""))
}

fn first_line() -> Result<Secret, Failure> {
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line) {
        Ok(_) => {
            let secret = Secret::new(line.trim_end_matches(['\r', '\n']));
            zeroize::Zeroize::zeroize(&mut line);
            Ok(secret)
        }
        Err(e) => Err(Failure::new(format!("the password could not be read from standard input: {e}"), "")),
    }
}
