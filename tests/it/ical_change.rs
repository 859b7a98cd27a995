//! What differs between two objects, and what becomes of three: cases in texts, and properties that hold for all.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use calgate::ical::change::{self, Change, Conflict, Lines, What, Winner, between, merge};
use calgate::ical::{Component, Object, Property};
use proptest::prelude::*;

/// The user of the cases, whose own answer is personal.
const ME: &str = "anna@example.org";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/ical/change")
}

/// Blocks of lines with an empty line between. A block is a VEVENT without what all of them have; one that begins with
/// BEGIN stands for itself, one that begins with CALENDAR holds lines of the VCALENDAR.
type Blocks = Vec<Vec<String>>;

fn blocks(text: &str) -> Blocks {
    let blocks = text.split("\n\n").map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>());
    blocks.filter(|block| !block.is_empty()).collect()
}

/// `-LINE` takes a line away, `+LINE` puts one there or at the end of the first block, `@2` goes to the second block,
/// `-@2` takes it away, and a block without marks is one more.
fn edited(base: &Blocks, edit: &str) -> Blocks {
    let mut out = base.clone();
    let mut gone = Vec::new();
    for block in blocks(edit) {
        if !block[0].starts_with(['+', '-', '@']) {
            out.push(block);
            continue;
        }
        let (mut at, mut line) = (0, None);
        for edit in block {
            let block = |text: &str| text.parse::<usize>().unwrap_or_else(|_| panic!("{edit}")) - 1;
            if let Some(number) = edit.strip_prefix("-@") {
                gone.push(block(number));
            } else if let Some(number) = edit.strip_prefix('@') {
                (at, line) = (block(number), None);
            } else if let Some(old) = edit.strip_prefix('-') {
                let find = |lines: &Vec<String>| lines.iter().position(|l| l == old);
                at = if find(&out[at]).is_some() {
                    at
                } else {
                    out.iter().position(|l| find(l).is_some()).unwrap_or(at)
                };
                let place = find(&out[at]).unwrap_or_else(|| panic!("no line {old} to take away"));
                out[at].remove(place);
                line = Some(place);
            } else {
                let new = edit.strip_prefix('+').unwrap_or_else(|| panic!("{edit}: neither + nor -"));
                let place = line.unwrap_or(out[at].len());
                out[at].insert(place, new.to_owned());
                line = Some(place + 1);
            }
        }
    }
    gone.sort_unstable();
    gone.into_iter().rev().for_each(|at| drop(out.remove(at)));
    out
}

fn object(blocks: &Blocks) -> Object {
    let mut text = String::from("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//Test//EN\n");
    for block in blocks {
        match block[0].as_str() {
            "CALENDAR" => text += &(block[1..].join("\n") + "\n"),
            first if first.starts_with("BEGIN:") => text += &(block.join("\n") + "\n"),
            _ => {
                let lines = block.join("\n");
                text += &format!("BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\n{lines}\nEND:VEVENT\n");
            }
        }
    }
    let text = (text + "END:VCALENDAR\n").replace('\n', "\r\n");
    Object::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// An object as blocks again.
fn shown(object: &Object) -> String {
    let hidden = ["UID:1", "DTSTAMP:20260101T000000Z", "BEGIN:VEVENT", "END:VEVENT"];
    let calendar = object.calendar();
    let fixed = ["VERSION", "PRODID"];
    let own: Vec<Property> = calendar.properties.iter().filter(|p| !fixed.contains(&p.name())).cloned().collect();
    let mut out: Vec<String> = Vec::new();
    if !own.is_empty() {
        out.push(format!("CALENDAR\n{}", lines(&Lines { properties: own, components: Vec::new() }).join("\n")));
    }
    for component in &calendar.components {
        let text = component.print();
        let event = component.name() == "VEVENT";
        out.push(text.lines().filter(|l| !event || !hidden.contains(l)).collect::<Vec<_>>().join("\n"));
    }
    out.join("\n\n") + "\n"
}

fn lines(lines: &Lines) -> Vec<String> {
    let mut all = Component::new("X").with(lines.properties.iter().cloned());
    all.components = lines.components.clone();
    let text = all.print().replace("\r\n ", "").replace("\n ", "");
    let count = text.lines().count();
    let hidden = ["UID:1", "DTSTAMP:20260101T000000Z"];
    text.lines().skip(1).take(count - 2).filter(|l| !hidden.contains(l)).map(str::to_owned).collect()
}

fn told(change: &Change) -> String {
    let what = match &change.what {
        What::Field { field, .. } => field.to_string(),
        What::Moved { seconds } => format!("moved by {seconds} s"),
        What::AllDay(true) => "all-day now".to_owned(),
        What::AllDay(false) => "timed now".to_owned(),
        What::Zone { before, after } => {
            let name = |zone: &Option<String>| zone.clone().unwrap_or("floating".to_owned());
            format!("zone {} to {}", name(before), name(after))
        }
        What::Recurs(true) => "recurs now".to_owned(),
        What::Recurs(false) => "does not recur any more".to_owned(),
        What::Begins { at } => format!("begins at {at}"),
        What::Split { at } => format!("split at {at}"),
        What::Removed => "removed".to_owned(),
        What::Restored => "restored".to_owned(),
        What::Reset => "reset".to_owned(),
        What::Echo => "an override that says nothing".to_owned(),
    };
    let personal = if change.is_personal(&[ME.to_owned()]) { " (personal)" } else { "" };
    let mut out = format!("{}: {what}{personal}\n", change.place);
    if let What::Field { before, after, .. } = &change.what {
        lines(before).iter().for_each(|l| out += &format!("  - {l}\n"));
        lines(after).iter().for_each(|l| out += &format!("  + {l}\n"));
    }
    out
}

fn disputed(conflict: &Conflict) -> String {
    let field = conflict.field.as_ref().map_or("as a whole".to_owned(), ToString::to_string);
    let mut out = format!("{}: {field}\n", conflict.place);
    for (who, value) in [("ours", &conflict.ours), ("theirs", &conflict.theirs)] {
        let lines = lines(value);
        if lines.is_empty() {
            out += &format!("  {who} nothing\n");
        }
        lines.iter().for_each(|l| out += &format!("  {who} {l}\n"));
    }
    out
}

/// The cases of a file: `# name`, then sections `== name`.
fn cases(file: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let text = fs::read_to_string(fixtures().join(file)).unwrap();
    let cases = text.split("\n# ").map(|case| case.trim_start_matches("# "));
    cases
        .map(|case| {
            let (name, rest) = case.split_once('\n').unwrap();
            let sections = rest.split("== ").skip(1).map(|section| {
                let (name, text) = section.split_once('\n').unwrap();
                (name.to_owned(), text.trim_matches('\n').to_owned())
            });
            (name.to_owned(), sections.collect())
        })
        .collect()
}

/// Runs each case and puts what came of it into its sections. `UPDATE=1 cargo test` writes them again.
fn run(
    file: &str,
    least: usize,
    given: &[&str],
    gets: &[&str],
    case: impl Fn(&BTreeMap<String, String>) -> Vec<String>,
) {
    let mut wrong = Vec::new();
    let mut out = String::new();
    let cases = cases(file);
    assert!(cases.len() >= least, "{} cases in {file}", cases.len());
    for (name, sections) in &cases {
        // Shown when it fails.
        println!("{name}");
        out += &format!("# {name}\n");
        for section in given.iter().filter(|s| sections.contains_key(**s)) {
            out += &format!("== {section}\n{}\n", sections[*section]).replace("\n\n\n", "\n\n");
        }
        for (section, got) in gets.iter().zip(case(sections)) {
            let got = got.trim_matches('\n');
            out += &format!("== {section}\n{got}\n").replace("\n\n\n", "\n\n");
            let expect = sections.get(*section).map(String::as_str).unwrap_or_default();
            if got != expect {
                wrong.push(format!("{name}: {section}\n{got}\n--- expected\n{expect}"));
            }
        }
        out.push('\n');
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(fixtures().join(file), out.trim_end_matches('\n').to_owned() + "\n").unwrap();
    } else {
        assert!(wrong.is_empty(), "{} of {file} differ:\n{}", wrong.len(), wrong.join("\n\n"));
    }
}

#[test]
fn changes_are_told_as_the_texts_have_it() {
    run("between.txt", 40, &["before", "after"], &["changes"], |sections| {
        let before = blocks(&sections["before"]);
        let (before, after) = (object(&before), object(&edited(&before, &sections["after"])));
        assert!(between(&before, &before).is_empty() && between(&after, &after).is_empty());
        let changes = between(&before, &after);
        assert_eq!(changes.is_empty(), between(&after, &before).is_empty(), "{}", shown(&after));
        vec![changes.iter().map(told).collect()]
    });
}

#[test]
fn merges_come_out_as_the_texts_have_it() {
    let given = ["base", "ours", "theirs", "winner"];
    run("merge.txt", 40, &given, &["merged", "conflicts"], |sections| {
        let base = blocks(&sections["base"]);
        let [ours, theirs] = ["ours", "theirs"].map(|side| object(&edited(&base, &sections[side])));
        let base = object(&base);
        let winner = match sections.get("winner").map(String::as_str) {
            Some("ours") => Winner::Ours,
            None => Winner::Theirs,
            other => panic!("{other:?}"),
        };
        hold(&base, &ours, &theirs);
        let merged = merge(&base, &ours, &theirs, winner).unwrap();
        vec![shown(&merged.object), merged.conflicts.iter().map(disputed).collect()]
    });
}

/// What holds for every three objects.
fn hold(base: &Object, ours: &Object, theirs: &Object) {
    let made = |a: &Object, b: &Object, c: &Object| merge(a, b, c, Winner::Theirs).unwrap();
    let says = |a: &Object, b: &Object| {
        let changes = between(a, b);
        assert!(
            changes.is_empty(),
            "{}\n---\n{}---\n{}",
            shown(a),
            shown(b),
            changes.iter().map(told).collect::<String>()
        );
    };
    for side in [ours, theirs] {
        for (merged, exact) in
            [(made(base, side, base), false), (made(base, base, side), true), (made(base, side, side), true)]
        {
            assert!(merged.conflicts.is_empty(), "{:?}", merged.conflicts);
            says(&merged.object, side);
            if exact {
                assert_eq!(merged.object.text(), side.text());
            }
        }
    }
    let merged = made(base, ours, theirs);
    let swapped = merge(base, theirs, ours, Winner::Ours).unwrap();
    assert_eq!(
        merged.conflicts.len(),
        swapped.conflicts.len(),
        "{}\n---\n{}",
        shown(&merged.object),
        shown(&swapped.object)
    );
    says(&merged.object, &swapped.object);
    assert_eq!(Object::parse(merged.object.text()).unwrap().uid(), base.uid());
    let other = merge(base, ours, theirs, Winner::Ours).unwrap();
    assert_eq!(merged.conflicts.len(), other.conflicts.len());
    if merged.conflicts.is_empty() {
        assert_eq!(merged.object.text(), other.object.text());
    }
}

proptest! {
    #[test]
    fn placeholder(_n in 0..2) {}
}

#[test]
fn digests_stay() {
    let _ = change::digest;
}
