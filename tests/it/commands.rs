//! The configuration and the commands: wrong files and their complaints, and the real binary on folders of its own.

use std::path::{Path, PathBuf};

/// The complaints about each `fixtures/config/NAME.toml` are `NAME.expect`. `UPDATE=1` writes them.
#[test]
fn complaints_are_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/config");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut wrong = Vec::new();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "toml")) {
        let text = std::fs::read_to_string(file).unwrap();
        let shown = match calgate::config::parse(&text, file) {
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
