//! The rules of the house, held by reading the sources: who may name whom, what each file begins with, and that docs and
//! fixtures speak of what is there. Each rule is a function of texts, and is shown to find a planted fault.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file by its path below the repository, with `/`.
type Files = BTreeMap<String, String>;

/// Who may name whom: a room under `src/`, and the rooms it may name besides itself and the common ones.
const LAYERS: &[(&str, &[&str])] = &[
    ("web", &["dav", "body", "sync", "export", "busy", "store", "ical"]),
    ("dav", &["body", "sync", "export", "busy", "store", "ical"]),
    ("body", &[]),
    ("sync", &["store", "provider", "ical"]),
    ("export", &["busy", "store", "ical"]),
    ("busy", &["store", "ical"]),
    ("store", &["ical"]),
    ("provider", &["ical"]),
    ("ical", &[]),
];

/// May be named by all but `ical`.
const COMMON: &[&str] = &["app", "clock", "config", "ids", "secrets"];

fn layers(files: &Files) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in files {
        let Some(room) = room(path) else { continue };
        let Some((_, below)) = LAYERS.iter().find(|(name, _)| *name == room) else { continue };
        for (line, code) in code_lines(text) {
            for named in named_rooms(code) {
                let common = COMMON.contains(&named) && room != "ical";
                if named != room && !common && !below.contains(&named) && is_room(named) {
                    faults.push(format!("{path}:{line}: {room} may not name {named}"));
                }
            }
        }
    }
    faults
}

fn is_room(name: &str) -> bool {
    COMMON.contains(&name) || LAYERS.iter().any(|(room, _)| *room == name)
}

/// The room of a source file: `src/dav/put.rs` and `src/dav.rs` are of `dav`.
fn room(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("src/")?;
    rest.split('/').next().map(|first| first.strip_suffix(".rs").unwrap_or(first))
}

/// What follows `crate::`, alone or in braces: `crate::{busy, store::Tx}` names busy and store.
fn named_rooms(code: &str) -> Vec<&str> {
    let mut named = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let mut depth = 0;
                let mut start = 0;
                for (i, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth > 0 => depth -= 1,
                        ',' | '}' if depth == 0 => {
                            named.push(first_word(list[start..i].trim_start()));
                            start = i + 1;
                            if c == '}' {
                                break;
                            }
                        }
                        _ => {}
                    }
                }
            }
            None => named.push(first_word(rest)),
        }
    }
    named
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// Lines with their numbers from 1, comments left out.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(n, l)| (n + 1, l)).filter(|(_, l)| !l.trim_start().starts_with("//"))
}

/// Words, and the only places where they may stand.
const WORDS: &[(&[&str], &[&str], &str)] = &[
    (
        &["SELECT ", "INSERT INTO ", "DELETE FROM ", "CREATE TABLE ", "UPDATE resources", "rusqlite", "postgres::"],
        &["src/store/"],
        "SQL stands in src/store alone",
    ),
    (&["reqwest"], &["src/provider/"], "requests leave through src/provider alone"),
    (
        &["SystemTime::now", "Timestamp::now", "Zoned::now", "Utc::now", "Local::now"],
        &["src/clock.rs"],
        "the system clock is read in src/clock.rs alone (deadlines of waiting are not the time of day)",
    ),
    (&["provider::caldav"], &["src/provider/"], "a kind of upstream has a name in src/provider alone"),
];

fn words(files: &Files) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| path.starts_with("src/")) {
        for (line, code) in code_lines(text) {
            for (words, places, rule) in WORDS {
                if words.iter().any(|w| code.contains(w)) && !places.iter().any(|p| path.starts_with(p)) {
                    faults.push(format!("{path}:{line}: {rule}"));
                }
            }
        }
    }
    faults
}

fn first_lines(files: &Files) -> Vec<String> {
    let rust = files.iter().filter(|(path, _)| path.ends_with(".rs"));
    let silent = rust.filter(|(_, text)| !text.starts_with("//! "));
    silent.map(|(path, _)| format!("{path}: does not begin with a `//!` line that says what it is")).collect()
}

/// Paths in back quotes in docs: from the repository's root, or below `src/` as in the ten-second map.
fn docs(files: &Files, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| path.ends_with(".md")) {
        for (n, line) in text.lines().enumerate() {
            for quoted in line.split('`').skip(1).step_by(2) {
                let named = quoted.trim_end_matches('/');
                let is_path = ["src/", "tests/", "docs/", "fixtures/", ".ci/"].iter().any(|p| quoted.starts_with(p))
                    || named.ends_with(".rs") && named.contains('/');
                let pattern = |c: char| c.is_whitespace() || "*…<>{}".contains(c) || c.is_uppercase();
                if is_path && !named.contains(pattern) && !exists(named) && !exists(&format!("src/{named}")) {
                    faults.push(format!("{path}:{}: there is no {quoted}", n + 1));
                }
            }
        }
    }
    faults
}

/// A fixture is used when the tests or the sources name it, or the folder it stands in.
fn fixtures(files: &Files) -> Vec<String> {
    let rust: Vec<&String> =
        files.iter().filter(|(p, _)| p.ends_with(".rs") || p.ends_with(".py")).map(|(_, t)| t).collect();
    let mut known: BTreeMap<String, bool> = BTreeMap::new();
    let mut named = |text: String| *known.entry(text).or_insert_with_key(|text| rust.iter().any(|t| t.contains(text)));
    let mut faults = Vec::new();
    for path in files.keys().filter(|p| p.starts_with("fixtures/") && !p.ends_with(".md")) {
        // A folder that a test names stands for all in it: it is asked for first, and once.
        let mut places: Vec<&Path> = Path::new(path).ancestors().take_while(|p| *p != Path::new("fixtures")).collect();
        places.reverse();
        if !places.into_iter().any(|place| named(place.to_string_lossy().into_owned())) {
            faults.push(format!("{path}: no test names it"));
        }
    }
    faults
}

fn unfinished(files: &Files) -> Vec<String> {
    let marks = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[ig", "nore"), concat!("FIX", "ME")];
    let mut faults = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| path.ends_with(".rs")) {
        for (line, code) in code_lines(text).filter(|(_, code)| marks.iter().any(|m| code.contains(m))) {
            faults.push(format!("{path}:{line}: unfinished: {}", code.trim()));
        }
    }
    faults
}

/// The fuzz targets are built with `src/ical` alone, apart from the workspace: each crate it uses stands in both manifests.
fn fuzz(files: &Files) -> Vec<String> {
    let below = |path: &str| path.strip_prefix("src/ical/").is_some();
    let used = files.iter().filter(|(path, _)| below(path)).flat_map(|(_, text)| {
        let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
        shipped
            .lines()
            .filter_map(|line| line.strip_prefix("use "))
            .map(first_word)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    let used: std::collections::BTreeSet<String> = used.collect();
    let manifest = |path: &str| files.get(path).cloned().unwrap_or_default();
    let (ours, theirs) = (manifest("Cargo.toml"), manifest("tests/fuzz/Cargo.toml"));
    let names = |manifest: &str, name: &str| {
        manifest.lines().any(|line| line.split([' ', '=']).next().is_some_and(|first| first.replace('-', "_") == name))
    };
    let missing = used.iter().filter(|name| names(&ours, name) && !names(&theirs, name));
    missing.map(|name| format!("tests/fuzz/Cargo.toml: src/ical uses {name}, and it is not there")).collect()
}

fn repository() -> (PathBuf, Files) {
    fn walk(root: &Path, folder: &Path, files: &mut Files) {
        for entry in std::fs::read_dir(folder).expect("a folder can be read").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | ".git" | "node_modules" | "tmp" | "__pycache__") {
                    walk(root, &path, files);
                }
            } else {
                let below = path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
                let text = std::fs::read(&path).map(|b| String::from_utf8_lossy(&b).into_owned());
                files.insert(below, text.unwrap_or_default());
            }
        }
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut files = Files::new();
    walk(&root, &root, &mut files);
    (root, files)
}

#[test]
fn the_house_is_in_order() {
    let (root, files) = repository();
    assert!(files.len() > 60, "the walk found the repository");
    let mut faults = layers(&files);
    faults.extend(words(&files));
    faults.extend(first_lines(&files));
    faults.extend(docs(&files, |path| root.join(path).exists()));
    faults.extend(fixtures(&files));
    faults.extend(unfinished(&files));
    faults.extend(fuzz(&files));
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn planted(path: &str, text: &str) -> Files {
    Files::from([(path.to_owned(), text.to_owned())])
}

#[test]
fn a_planted_fault_is_found() {
    let up = |path, text| layers(&planted(path, text)).len();
    assert_eq!(up("src/ical/text.rs", "use crate::clock::Clock;"), 1, "ical names nothing of ours");
    assert_eq!(up("src/dav/put.rs", "use crate::provider::Error;"), 1);
    assert_eq!(up("src/dav/put.rs", "use crate::{ids::Name, provider::{self, Error}, store::Tx};"), 1);
    assert_eq!(up("src/store/mod.rs", "let x = crate::provider::KINDS;"), 1);
    assert_eq!(up("src/store/mod.rs", "    crate::dav::handle()"), 1);
    assert_eq!(up("src/busy.rs", "use crate::sync::plan;"), 1);
    assert_eq!(up("src/dav/put.rs", "use crate::{store::{Tx, Store}, sync::write};\nuse crate::app::App;"), 0);
    assert_eq!(up("src/dav/put.rs", "// use crate::provider::Error;"), 0);
    assert_eq!(up("src/commands/sync.rs", "use crate::provider::Error;"), 0);

    assert_eq!(words(&planted("src/dav/put.rs", "//! x\nlet s = \"SELECT 1\";")).len(), 1);
    assert_eq!(words(&planted("src/sync/push.rs", "use reqwest::Client;")).len(), 1);
    assert_eq!(words(&planted("src/busy.rs", "let now = SystemTime::now();")).len(), 1);
    assert_eq!(words(&planted("src/store/users.rs", "\"SELECT 1\"")).len(), 0);

    assert_eq!(first_lines(&planted("src/x.rs", "use std::fmt;\n")).len(), 1);
    assert_eq!(unfinished(&planted("src/x.rs", concat!("//! x\nfn f() { todo", "!() }"))).len(), 1);

    let mut files = planted("src/ical/text.rs", "//! x\nuse memchr::memchr;\nuse std::fmt;");
    files.insert("Cargo.toml".to_owned(), "memchr = \"2\"".to_owned());
    assert_eq!(fuzz(&files).len(), 1);
    files.insert("tests/fuzz/Cargo.toml".to_owned(), "memchr = \"2\"".to_owned());
    assert_eq!(fuzz(&files).len(), 0);

    let nothing = |_: &str| false;
    assert_eq!(docs(&planted("docs/a.md", "See `src/gone.rs` and `dav/gone.rs`."), nothing).len(), 2);
    assert_eq!(docs(&planted("docs/a.md", "See `dav/put.rs`."), |p| p == "src/dav/put.rs").len(), 0);
    assert_eq!(docs(&planted("docs/a.md", "Not paths: `PUT`, `a/b`, `src/*.rs`."), nothing).len(), 0);

    let mut files = planted("fixtures/dav/lost.http", "");
    assert_eq!(fixtures(&files).len(), 1);
    files.insert("tests/it/dav.rs".to_owned(), "read(\"fixtures/dav\")".to_owned());
    assert_eq!(fixtures(&files).len(), 0);
}
