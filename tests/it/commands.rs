//! The configuration and the commands: wrong files and their complaints, and the real binary on folders of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The complaints about each `fixtures/config/NAME.toml` are `NAME.expect`. `UPDATE=1` writes them.
#[test]
fn complaints_are_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/config");
    let mut wrong = Vec::new();
    for file in files(&folder, "toml") {
        let text = std::fs::read_to_string(&file).unwrap();
        let shown = match calgate::config::parse(&text, &file) {
            Ok(_) => "no complaint\n".to_owned(),
            Err(complaints) => complaints.iter().map(|c| format!("{c}\n\n")).collect(),
        };
        let shown = shown.replace(&format!("{}/", folder.display()), "");
        assert!(!shown.contains("for-eyes") && !shown.contains("for/eyes"), "a secret is shown for {file:?}:\n{shown}");
        let expect = file.with_extension("expect");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expect, &shown).unwrap();
        }
        if std::fs::read_to_string(&expect).unwrap_or_default() != shown {
            wrong.push(format!("{}:\n{shown}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each `fixtures/commands/NAME.session` is what a person types and sees, in an empty folder. `UPDATE=1` writes what is
/// seen. A line `$ …` is a command; what comes on standard error is marked with `!`, an exit code other than 0 with `=`.
#[test]
fn sessions_are_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/commands");
    let mut wrong = Vec::new();
    for file in files(&folder, "session") {
        let expect = std::fs::read_to_string(&file).unwrap();
        let seen = play(&expect);
        assert!(!replies(&seen).contains("not-for-eyes"), "a secret is shown in {}:\n{seen}", file.display());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, &seen).unwrap();
        } else if seen != expect {
            wrong.push(format!("{} is now:\n{seen}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What was answered, without what was typed.
fn replies(session: &str) -> String {
    session.lines().filter(|l| !l.starts_with(['$', '|'])).collect::<Vec<_>>().join("\n")
}

/// Types the commands of a session and gives the session as it is now.
fn play(session: &str) -> String {
    let folder = Folder::new();
    let mut seen = String::new();
    let mut lines = session.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(typed) = line.strip_prefix("$ ") else {
            if line.starts_with('#') || line.is_empty() {
                seen += &format!("{line}\n");
            }
            continue;
        };
        seen += &format!("{line}\n");
        if let Some(file) = typed.strip_prefix("write ") {
            let mut text = String::new();
            while let Some(line) = lines.next_if(|l| l.starts_with('|')) {
                seen += &format!("{line}\n");
                text += &format!("{}\n", line[1..].strip_prefix(' ').unwrap_or(&line[1..]));
            }
            std::fs::write(folder.path.join(file), text).unwrap();
        } else if let Some(file) = typed.strip_prefix("remove ") {
            std::fs::remove_file(folder.path.join(file)).unwrap();
        } else {
            let typed = typed.strip_prefix("calgate").expect("a session types calgate, write or remove");
            let (arguments, input) = typed.split_once(" < ").unwrap_or((typed, ""));
            let (code, out, err) = folder.calgate(arguments, input);
            seen += &steady(&out, &folder);
            seen += &steady(&err, &folder).lines().map(|l| format!("! {l}").trim_end().to_owned() + "\n").collect::<String>();
            if code != 0 {
                seen += &format!("= {code}\n");
            }
        }
    }
    seen
}

/// An output without what differs from run to run: folders, times, random texts.
fn steady(output: &str, folder: &Folder) -> String {
    let is_random = |word: &str| {
        let word = word.trim_matches(['"', ',']);
        let app_password = word.split('-').count() > 4 && word.split('-').all(|part| part.len() == 4);
        app_password || word.len() == 32 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let is_time = |word: &str| {
        let word = word.trim_matches(['"', ',']);
        word.len() >= 20 && word.starts_with("20") && word.ends_with('Z') && word.contains('T')
    };
    let mut text = String::new();
    for line in output.replace(&folder.path.display().to_string(), "HERE").lines() {
        let line = line.replace(env!("CARGO_PKG_VERSION"), "VERSION");
        let words: Vec<String> = (line.split(' '))
            .map(|word| match word.trim_matches(['"', ',']) {
                inner if is_random(word) => word.replace(inner, "RANDOM"),
                inner if is_time(word) => word.replace(inner, "TIME"),
                inner if is_date(inner) => "DATE".to_owned(),
                inner if is_clock(inner) => "CLOCK".to_owned(),
                _ => word.to_owned(),
            })
            .collect();
        // A size depends on the schema.
        let line = words.join(" ");
        let line = match line.split_once(" bytes") {
            Some((before, "")) => {
                format!("{} SIZE bytes", before.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end())
            }
            _ => line,
        };
        text += &format!("{}\n", line.trim_end());
    }
    text
}

fn is_date(word: &str) -> bool {
    word.len() == 10 && word.starts_with("20") && word.bytes().filter(|b| *b == b'-').count() == 2
}

fn is_clock(word: &str) -> bool {
    word.len() == 5 && word.as_bytes()[2] == b':' && word.bytes().filter(u8::is_ascii_digit).count() == 4
}

/// A folder of its own for one test, removed at the end.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("calgate-commands-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder { path }
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path.join(file), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_calgate"));
        command.args(arguments).current_dir(&self.path);
        // The width of help texts, and nothing of the machine that the tests run on.
        command.env_clear().env("COLUMNS", "120").env("RUST_BACKTRACE", "0");
        command
    }

    /// Runs it to its end: exit code, standard output, standard error.
    fn calgate(&self, arguments: &str, input: &str) -> (i32, String, String) {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let mut child = self
            .command(&arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built");
        // A command that takes no input may have ended already.
        let _ = child.stdin.take().unwrap().write_all(format!("{input}\n").as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("output is UTF-8");
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|f| f.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    assert!(!files.is_empty(), "no .{extension} in {}", folder.display());
    files
}
