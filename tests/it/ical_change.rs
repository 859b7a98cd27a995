//! What differs between two objects, and what becomes of three: cases in texts, and properties that hold for all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use calgate::ical::change::{self, Change, Conflict, Lines, Place, What, Winner, between, merge};
use calgate::ical::{Component, Instant, Object, Property, Window, recur, zone};
use jiff::civil;
use jiff::tz::TimeZone;
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

/// Start, end, which instance, and title.
type Happening = (Instant, Instant, Option<Instant>, String);

/// When an object happens in the years around the cases, and what is said then. `None`: not to be known.
fn happens(object: &Object) -> Option<Vec<Happening>> {
    let window = Window::new(Instant(1_704_067_200), Instant(1_861_920_000)).unwrap();
    let limits = recur::Limits { instances: 20_000, steps: 100_000 };
    let found = recur::instances(object, window, &TimeZone::UTC, limits).ok()?;
    let alive = found.into_iter().filter(|i| i.component.value("STATUS") != Some("CANCELLED"));
    let title = |c: &Component| c.value("SUMMARY").unwrap_or_default().replace('\\', "");
    let mut out: Vec<_> = alive.map(|i| (i.start, i.end, i.recurrence_id, title(i.component))).collect();
    out.sort_unstable();
    Some(out)
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
        assert_eq!(happens(a), happens(b), "{}\n---\n{}", shown(a), shown(b));
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
    // Which instances are disputed depends on which rule stands, where that is disputed.
    let by_rule = |c: &Conflict| c.place == Place::Master && c.field.as_ref().is_none_or(|f| f.name == "RRULE");
    if merged.conflicts.iter().any(by_rule) {
        assert!(other.conflicts.iter().any(by_rule));
    } else {
        assert_eq!(merged.conflicts.len(), other.conflicts.len());
    }
    if merged.conflicts.is_empty() {
        assert_eq!(merged.object.text(), other.object.text());
    }
}

/// A daily series as a person thinks of it; how it is written is drawn anew each time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Series {
    hour: i64,
    title: u8,
    place: u8,
    text: u8,
    answer: u8,
    guests: BTreeSet<u8>,
    words: BTreeSet<u8>,
    alarms: BTreeSet<u8>,
    extra: u8,
    color: u8,
    /// Days that are more, six hours later.
    more: BTreeSet<i64>,
    last: Option<i64>,
    removed: BTreeSet<i64>,
    overrides: BTreeMap<i64, Override>,
}

/// What is different in one instance; the rest is as the series has it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct Override {
    title: Option<u8>,
    hour: Option<i64>,
}

#[derive(Clone, Debug)]
enum Edit {
    Title(u8),
    Place(u8),
    Text(u8),
    Answer(u8),
    Guest(u8),
    Word(u8),
    Alarm(u8),
    Extra(u8),
    Color(u8),
    More(i64),
    Last(i64),
    Move(i64),
    Remove(i64),
    Retitle(i64, u8),
    Shift(i64, i64),
    Reset(i64),
}

impl Edit {
    /// Two edits of different areas have nothing to do with each other.
    fn area(&self) -> (u8, i64) {
        match self {
            Edit::Title(_) => (0, 0),
            Edit::Place(_) => (1, 0),
            Edit::Text(_) => (2, 0),
            Edit::Answer(_) => (3, 0),
            Edit::Guest(n) => (4, i64::from(*n)),
            Edit::Word(n) => (5, i64::from(*n)),
            Edit::Alarm(n) => (6, i64::from(*n)),
            Edit::Extra(_) => (7, 0),
            Edit::Color(_) => (8, 0),
            Edit::More(day) => (9, *day),
            Edit::Last(_) => (10, 0),
            Edit::Move(_) => (11, 0),
            Edit::Remove(day) | Edit::Retitle(day, _) | Edit::Shift(day, _) | Edit::Reset(day) => (12, *day),
        }
    }

    fn make(&self, s: &mut Series) {
        fn toggle<T: Ord>(set: &mut BTreeSet<T>, of: T) {
            if !set.remove(&of) {
                set.insert(of);
            }
        }
        match *self {
            Edit::Title(n) => s.title = n,
            Edit::Place(n) => s.place = n,
            Edit::Text(n) => s.text = n,
            Edit::Answer(n) => s.answer = n,
            Edit::Guest(n) => toggle(&mut s.guests, n),
            Edit::Word(n) => toggle(&mut s.words, n),
            Edit::Alarm(n) => toggle(&mut s.alarms, n),
            Edit::Extra(n) => s.extra = n,
            Edit::Color(n) => s.color = n,
            Edit::More(day) => toggle(&mut s.more, day),
            Edit::Last(day) => s.last = Some(day),
            Edit::Move(hour) => s.hour = hour,
            Edit::Remove(day) => {
                s.removed.insert(day);
                s.overrides.remove(&day);
            }
            Edit::Retitle(day, title) => {
                s.removed.remove(&day);
                s.overrides.entry(day).or_default().title = Some(title);
            }
            Edit::Shift(day, hour) => {
                s.removed.remove(&day);
                s.overrides.entry(day).or_default().hour = Some(hour);
            }
            Edit::Reset(day) => {
                s.overrides.remove(&day);
            }
        }
    }
}

/// `day` days after the first of March 2026, across the change to summer time.
fn local(day: i64, hour: i64) -> String {
    let date = civil::date(2026, 3, 1).saturating_add(jiff::Span::new().days(day));
    format!("{}T{hour:02}0000", date.strftime("%Y%m%d"))
}

fn berlin() -> TimeZone {
    zone::named("Europe/Berlin").unwrap()
}

fn in_utc(day: i64, hour: i64) -> String {
    let at = civil::DateTime::strptime("%Y%m%dT%H%M%S", local(day, hour)).unwrap();
    at.to_zoned(berlin()).unwrap().timestamp().strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// A source of small numbers that decide how a thing is written.
struct Style(u64);

impl Style {
    fn pick(&mut self, of: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % of
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.pick(at as u64 + 1) as usize);
        }
    }

    /// An instance in one of the forms that mean it.
    fn instance(&mut self, name: &str, day: i64, hour: i64, by_date: bool) -> String {
        match self.pick(4) {
            0 => format!("{name}:{}", in_utc(day, hour)),
            1 => format!("{name};TZID=\"W. Europe Standard Time\":{}", local(day, hour)),
            2 if by_date => format!("{name};VALUE=DATE:{}", &local(day, hour)[..8]),
            _ => format!("{name};TZID=Europe/Berlin:{}", local(day, hour)),
        }
    }

    fn start(&mut self, day: i64, hour: i64) -> Vec<String> {
        let zone = if self.pick(2) == 0 { "Europe/Berlin" } else { "/mozilla.org/1/Europe/Berlin" };
        let end = match self.pick(2) {
            0 => "DURATION:PT1H".to_owned(),
            _ => format!("DTEND;TZID={zone}:{}", local(day, hour + 1)),
        };
        vec![format!("DTSTART;TZID={zone}:{}", local(day, hour)), end]
    }
}

impl Series {
    fn plain() -> Series {
        Series {
            hour: 9,
            title: 0,
            place: 0,
            text: 0,
            answer: 0,
            guests: BTreeSet::new(),
            words: BTreeSet::new(),
            alarms: BTreeSet::new(),
            extra: 0,
            color: 0,
            more: BTreeSet::new(),
            last: None,
            removed: BTreeSet::new(),
            overrides: BTreeMap::new(),
        }
    }

    fn with(&self, edits: &[Edit]) -> Series {
        let mut series = self.clone();
        edits.iter().for_each(|edit| edit.make(&mut series));
        series
    }

    /// The fields of the master that differ.
    fn differs(&self, other: &Series) -> BTreeSet<String> {
        let fields = [
            ("SUMMARY", self.title != other.title),
            ("LOCATION", self.place != other.place),
            ("DESCRIPTION", self.text != other.text),
            ("ATTENDEE anna@example.org", self.answer != other.answer),
            ("CATEGORIES", self.words != other.words),
            ("VALARM", self.alarms != other.alarms),
            ("X-EXTRA", self.extra != other.extra),
            ("COLOR", self.color != other.color),
            ("RDATE", self.more != other.more),
            ("RRULE", self.last != other.last),
            ("DTSTART", self.hour != other.hour),
        ];
        let guests = self.guests.symmetric_difference(&other.guests);
        let guests = guests.map(|n| format!("ATTENDEE guest{n}@example.org"));
        fields.into_iter().filter(|f| f.1).map(|f| f.0.to_owned()).chain(guests).collect()
    }

    /// Lines that series and instance share.
    fn lines(&self, title: u8, style: &mut Style) -> Vec<String> {
        let mut lines = vec![format!("SUMMARY:Title\\, {title}"), format!("X-EXTRA:{}", self.extra)];
        lines.extend((self.place > 0).then(|| format!("LOCATION:Room {}", self.place)));
        lines.extend((self.text > 0).then(|| format!("DESCRIPTION:Line\\n{}", self.text)));
        lines.extend((self.color > 0).then(|| format!("COLOR:c{}", self.color)));
        let answer = ["NEEDS-ACTION", "ACCEPTED", "DECLINED"][usize::from(self.answer % 3)];
        lines.push(match style.pick(2) {
            0 => format!("ATTENDEE;CN=Anna;PARTSTAT={answer}:mailto:{ME}"),
            _ => format!("ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT={};CN=\"Anna\":MAILTO:{ME}", answer.to_lowercase()),
        });
        lines.extend(self.guests.iter().map(|n| format!("ATTENDEE:mailto:guest{n}@example.org")));
        let words: Vec<String> = self.words.iter().map(|n| format!("word{n}")).collect();
        match style.pick(2) {
            0 => lines.extend(words.iter().map(|word| format!("CATEGORIES:{word}"))),
            _ => lines.extend((!words.is_empty()).then(|| format!("CATEGORIES:{}", words.join(",")))),
        }
        lines.extend((style.pick(2) == 0).then(|| "TRANSP:OPAQUE".to_owned()));
        lines.extend((style.pick(2) == 0).then(|| format!("LAST-MODIFIED:202601{:02}T000000Z", 1 + style.pick(28))));
        lines
    }

    fn written(&self, seed: u64) -> Object {
        let style = &mut Style(seed);
        let alarms: String = self
            .alarms
            .iter()
            .map(|n| format!("BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT{n}M\r\nEND:VALARM\r\n"))
            .collect();
        let mut parts = Vec::new();
        let mut master = self.lines(self.title, style);
        master.extend(style.start(0, self.hour));
        let end = match (self.last, style.pick(2)) {
            (None, _) => String::new(),
            (Some(last), 0) => format!(";COUNT={}", last + 1),
            (Some(last), _) => format!(";UNTIL={}", in_utc(last, self.hour)),
        };
        let rule = ["FREQ=DAILY", "INTERVAL=1;FREQ=DAILY", "FREQ=daily;WKST=SU"][style.pick(3) as usize];
        master.push(format!("RRULE:{rule}{end}"));
        for day in &self.removed {
            // A DATE would take away what else there is on that day.
            let alone = !self.more.contains(day);
            master.push(style.instance("EXDATE", *day, self.hour, alone));
        }
        for day in &self.more {
            master.push(style.instance("RDATE", *day, self.hour + 6, false));
        }
        style.shuffle(&mut master);
        parts.push((master, alarms.clone()));
        for (day, o) in &self.overrides {
            let mut lines = self.lines(o.title.unwrap_or(self.title), style);
            lines.push(style.instance("RECURRENCE-ID", *day, self.hour, false));
            lines.extend(style.start(*day, o.hour.unwrap_or(self.hour)));
            style.shuffle(&mut lines);
            parts.push((lines, alarms.clone()));
        }
        style.shuffle(&mut parts);
        let mut text = String::from("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Test//EN\r\n");
        for (lines, alarms) in parts {
            let lines = lines.join("\r\n");
            text += &format!("BEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\n{lines}\r\n{alarms}END:VEVENT\r\n");
        }
        Object::parse(&(text + "END:VCALENDAR\r\n")).unwrap()
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    let day = || 1..40i64;
    prop_oneof![
        (0..4u8).prop_map(Edit::Title),
        (0..4u8).prop_map(Edit::Place),
        (0..4u8).prop_map(Edit::Text),
        (0..3u8).prop_map(Edit::Answer),
        (0..4u8).prop_map(Edit::Guest),
        (0..4u8).prop_map(Edit::Word),
        (1..5u8).prop_map(Edit::Alarm),
        (0..4u8).prop_map(Edit::Extra),
        (0..4u8).prop_map(Edit::Color),
        day().prop_map(Edit::More),
        (45..60i64).prop_map(Edit::Last),
        (6..12i64).prop_map(Edit::Move),
        day().prop_map(Edit::Remove),
        // Other titles than those of the series: one that says what the series says could not be told from none.
        (day(), 10..14u8).prop_map(|(day, n)| Edit::Retitle(day, n)),
        (day(), 13..16i64).prop_map(|(day, hour)| Edit::Shift(day, hour)),
        day().prop_map(Edit::Reset),
    ]
}

/// A series by lines of which each kind is drawn by itself.
#[derive(Clone, Debug)]
struct Drawn {
    start: &'static str,
    rules: &'static [&'static str],
    more: &'static str,
    gone: &'static str,
    organizer: &'static str,
    title: u8,
}

impl Drawn {
    /// Those kinds of lines that `take` says, the rest as another one has them.
    fn over(&self, base: &Drawn, take: [bool; 6]) -> Drawn {
        let of = |at: usize| if take[at] { self } else { base };
        Drawn {
            start: of(0).start,
            rules: of(1).rules,
            more: of(2).more,
            gone: of(3).gone,
            organizer: of(4).organizer,
            title: of(5).title,
        }
    }

    fn written(&self) -> Object {
        let rules: Vec<String> = self.rules.iter().map(|rule| format!("RRULE:{rule}")).collect();
        let title = format!("SUMMARY:{}", self.title);
        let start = format!("DTSTART:{}", self.start);
        let lines = [&start, "DURATION:PT1H", &rules.join("\n"), self.more, self.gone, self.organizer, &title];
        let lines: Vec<&str> = lines.into_iter().flat_map(str::lines).collect();
        object(&blocks(&lines.join("\n")))
    }
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let start = ["20260105T090000Z", "20260105T100000Z", "20260112T090000Z", "20260107T090000Z"];
    let rules: [&[&str]; 8] = [
        &["FREQ=DAILY;COUNT=15"],
        &["FREQ=DAILY;UNTIL=20260119T120000Z"],
        &["FREQ=WEEKLY;COUNT=5"],
        &["FREQ=WEEKLY;BYDAY=MO,WE;COUNT=9"],
        &["FREQ=WEEKLY;BYDAY=MO,WE"],
        &["FREQ=DAILY;COUNT=12", "FREQ=WEEKLY;COUNT=8"],
        &["FREQ=DAILY;UNTIL=20260116T100000Z", "FREQ=WEEKLY"],
        &["FREQ=DAILY", "FREQ=WEEKLY;UNTIL=20260116T100000Z"],
    ];
    let more = ["", "RDATE:20260301T090000Z", "RDATE:20260108T150000Z", "RDATE:20260301T090000Z,20260108T090000Z"];
    let gone = ["", "EXDATE:20260114T090000Z", "EXDATE:20260114T100000Z", "EXDATE:20260115T090000Z,20260112T090000Z"];
    let organizer = ["", "ORGANIZER:mailto:a@example.org", "ORGANIZER;CN=B:mailto:b@example.org"];
    let pick = prop::sample::select::<&'static str>;
    (
        pick(start.to_vec()),
        prop::sample::select(rules.to_vec()),
        pick(more.to_vec()),
        pick(gone.to_vec()),
        pick(organizer.to_vec()),
        0..3u8,
    )
        .prop_map(|(start, rules, more, gone, organizer, title)| Drawn {
            start,
            rules,
            more,
            gone,
            organizer,
            title,
        })
}

fn edits(most: usize) -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec(edit(), 0..most)
}

/// Without overrides that are new and say nothing: those are told, and are no difference in what is said.
fn differences(a: &Object, b: &Object) -> Vec<Change> {
    between(a, b).into_iter().filter(|c| c.what != What::Echo).collect()
}

/// `PROPTEST_CASES=2000 cargo test` draws more.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn how_it_is_written_is_no_change(base in edits(12), one in any::<u64>(), other in any::<u64>()) {
        let series = Series::plain().with(&base);
        let (a, b) = (series.written(one), series.written(other));
        let changes = between(&a, &b);
        prop_assert!(changes.is_empty(), "{}\n---\n{}\n{changes:#?}", a.text(), b.text());
    }

    /// Each edit is told, and nothing else.
    #[test]
    fn what_is_edited_is_told(base in edits(12), edits in edits(6), seed in any::<u64>()) {
        let before = Series::plain().with(&base);
        let after = before.with(&edits);
        let (a, b) = (before.written(seed), after.written(seed.wrapping_add(1)));
        let changes = between(&a, &b);
        prop_assert_eq!(changes.is_empty(), before == after, "{}\n---\n{}", a.text(), b.text());
        prop_assert_eq!(between(&b, &a).is_empty(), before == after);
        let fields: BTreeSet<String> = changes
            .iter()
            .filter(|c| c.place == Place::Master)
            .filter_map(|c| match &c.what {
                What::Field { field, .. } if field.name == "VALARM" => Some("VALARM".to_owned()),
                What::Field { field, .. } => Some(field.to_string()),
                _ => None,
            })
            .collect();
        prop_assert_eq!(fields, before.differs(&after));
        let count = |what: &What| changes.iter().filter(|c| c.what == *what).count();
        prop_assert_eq!(count(&What::Removed), after.removed.difference(&before.removed).count());
        prop_assert_eq!(count(&What::Restored), before.removed.difference(&after.removed).count());
        let reset = |day: &&i64| !after.overrides.contains_key(day) && !after.removed.contains(day);
        prop_assert_eq!(count(&What::Reset), before.overrides.keys().filter(reset).count());
        let moved = (after.hour - before.hour) * 3_600;
        let moves = changes.iter().filter(|c| c.place == Place::Master && c.what == What::Moved { seconds: moved }).count();
        prop_assert_eq!(moves, usize::from(moved != 0));
        let cut = after.last.is_some_and(|last| before.last.is_none_or(|before| before > last));
        prop_assert_eq!(changes.iter().any(|c| matches!(c.what, What::Split { .. })), cut);
    }

    /// Edits that have nothing to do with each other are all in the result, and there is nothing else in it.
    #[test]
    fn disjoint_edits_survive(
        base in edits(12),
        ours in edits(8),
        theirs in edits(8),
        seed in any::<u64>(),
    ) {
        let base = Series::plain().with(&base);
        let areas: BTreeSet<_> = ours.iter().map(Edit::area).collect();
        // Who moves the series moves what another one puts at a time of its own: that is no disjoint edit.
        let moves = |edits: &[Edit]| edits.iter().any(|e| matches!(e, Edit::Move(_)));
        let theirs: Vec<Edit> = theirs
            .into_iter()
            .filter(|e| !areas.contains(&e.area()))
            .filter(|e| !(moves(&ours) && matches!(e, Edit::Shift(..))))
            .filter(|e| !(matches!(e, Edit::Move(_)) && ours.iter().any(|e| matches!(e, Edit::Shift(..)))))
            .collect();
        let [b, o, t] = [base.clone(), base.with(&ours), base.with(&theirs)].map(|s| s.written(seed));
        let expect = base.with(&ours).with(&theirs).written(seed);
        let merged = merge(&b, &o, &t, Winner::Theirs).unwrap();
        prop_assert!(merged.conflicts.is_empty(), "{:?}", merged.conflicts);
        let differences = differences(&expect, &merged.object);
        prop_assert!(
            differences.is_empty(),
            "base\n{}\nours\n{}\ntheirs\n{}\nmerged\n{}\n{differences:#?}", b.text(), o.text(), t.text(), merged.object.text()
        );
    }

    /// Edits that may meet.
    #[test]
    fn merges_hold(base in edits(10), ours in edits(8), theirs in edits(8), seed in any::<[u64; 3]>()) {
        let base = Series::plain().with(&base);
        let sides = [base.clone(), base.with(&ours), base.with(&theirs)];
        let [b, o, t] = [0, 1, 2].map(|at: usize| sides[at].written(seed[at]));
        hold(&b, &o, &t);
    }

    /// Rules, cuts, dates and organizers of any kind on both sides.
    #[test]
    fn merges_of_rules_hold(base in drawn(), ours in drawn(), theirs in drawn(), take in any::<[[bool; 6]; 2]>()) {
        let [ours, theirs] = [(ours, take[0]), (theirs, take[1])].map(|(side, take)| side.over(&base, take));
        let [b, o, t] = [&base, &ours, &theirs].map(Drawn::written);
        hold(&b, &o, &t);
    }

    /// Who changes when a series is and who changes what it is have nothing to do with each other.
    #[test]
    fn times_and_texts_merge(base in drawn(), times in drawn(), texts in drawn(), take in any::<[bool; 6]>()) {
        let [a, b, c, d, e, f] = take;
        let times = times.over(&base, [a, b, c, d, false, false]);
        let texts = texts.over(&base, [false, false, false, false, e, f]);
        let both = texts.over(&times, [false, false, false, false, e, f]);
        let [base, times, texts, both] = [base, times, texts, both].map(|d| d.written());
        for (ours, theirs) in [(&times, &texts), (&texts, &times)] {
            let merged = merge(&base, ours, theirs, Winner::Theirs).unwrap();
            prop_assert!(merged.conflicts.is_empty(), "{:?}", merged.conflicts);
            let changes = between(&merged.object, &both);
            prop_assert!(changes.is_empty(), "{}\n---\n{}\n{changes:#?}", merged.object.text(), both.text());
            prop_assert_eq!(happens(&merged.object), happens(&both));
        }
    }

    /// Whatever is in the objects, a merge ends, and what comes of it can be read.
    #[test]
    fn no_lines_make_it_panic(lines in prop::collection::vec(
        prop::sample::select(vec![
            "RRULE:FREQ=WEEKLY;COUNT=3", "RRULE:FREQ=MONTHLY;RSCALE=HEBREW", "EXDATE:nonsense,20260112T090000Z", "EXDATE:",
            "RDATE;VALUE=PERIOD:20260107T090000Z/PT1H,20260108T090000Z/20260108T100000Z", "RDATE:,", "ATTENDEE:", "ATTENDEE:x",
            "DTEND;TZID=Nowhere:20260105T120000", "DURATION:P1D", "CATEGORIES:,\\,,a\\", "SEQUENCE:999999999999", "SEQUENCE:x",
            "ORGANIZER:mailto:a@example.org", "ORGANIZER;EMAIL=b@example.org:urn:uuid:1", "GEO:1;x", "PRIORITY:high",
            "BEGIN:VALARM\nTRIGGER;VALUE=DATE-TIME:20260101T000000Z\nEND:VALARM", "BEGIN:VALARM\nEND:VALARM", "X-A;B:c",
            "EXRULE:FREQ=DAILY", "STATUS:CANCELLED", "ATTACH;ENCODING=BASE64;VALUE=BINARY:AAAA", "COMMENT:a", "COMMENT:b",
        ]), 0..8), cut in 0..8usize, starts in prop::collection::vec(prop::sample::select(vec![
            "DTSTART:20260105T090000Z", "DTSTART:20260105", "DTSTART:20260105T090000", "DTSTART;TZID=Nowhere:20260105T090000",
            "DTSTART;TZID=Europe/Berlin:20260329T023000", "DTSTART:99991231T235959Z", "DTSTART:00010101",
        ]), 3), ids in prop::collection::vec(prop::sample::select(vec![
            "20260112T090000Z", "20260112", "20260112T090000", "00010101T000000Z", "99991231",
        ]), 3)) {
        let write = |at: usize, lines: &[&str]| {
            let lines: String = lines.iter().map(|l| format!("{l}\n")).collect();
            Object::parse(&format!(
                "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\n{}\n{lines}END:VEVENT\nBEGIN:VEVENT\nUID:1\n{}\nRECURRENCE-ID:{}\n\
                 END:VEVENT\nEND:VCALENDAR\n", starts[at], starts[0], ids[at]
            ))
        };
        let cut = cut.min(lines.len());
        let objects = (write(0, &lines), write(1, &lines[cut..]), write(2, &lines[..cut]));
        if let (Ok(b), Ok(o), Ok(t)) = objects {
            prop_assert!(between(&o, &o.with(|_| ()).unwrap()).is_empty());
            let _ = between(&b, &o);
            for winner in [Winner::Ours, Winner::Theirs] {
                let merged = merge(&b, &o, &t, winner);
                if let Ok(merged) = merged {
                    prop_assert!(Object::parse(merged.object.text()).is_ok());
                }
            }
        }
    }
}

/// Overrides that are each changed on both sides: ten times as many take about ten times as long, and not a hundred.
#[test]
fn large_objects_merge_soon() {
    let write = |overrides: i64, hour: usize, title: &str, place: &str| {
        let mut text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Test//EN\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\n\
             DTSTART;TZID=Europe/Berlin:20200101T{hour:02}0000\r\nRRULE:FREQ=DAILY\r\nSUMMARY:{title}\r\nEND:VEVENT\r\n"
        );
        for day in 0..overrides {
            let date = civil::date(2020, 1, 1).saturating_add(jiff::Span::new().days(day)).strftime("%Y%m%d");
            text += &format!(
                "BEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\n\
                 RECURRENCE-ID;TZID=Europe/Berlin:{date}T{hour:02}0000\r\nDTSTART;TZID=Europe/Berlin:{date}T{hour:02}3000\r\n\
                 DURATION:PT1H\r\nSUMMARY:{title} {day}\r\nLOCATION:{place}\r\nATTENDEE:mailto:{ME}\r\nDESCRIPTION:Text\r\n\
                 END:VEVENT\r\n"
            );
        }
        Object::parse(&(text + "END:VCALENDAR\r\n")).unwrap()
    };
    let time = |overrides: i64| {
        let base = write(overrides, 9, "a", "Room");
        let (ours, theirs) = (write(overrides, 10, "a", "Hall"), write(overrides, 9, "b", "Room"));
        let began = std::time::Instant::now();
        let changes = between(&base, &ours);
        let told = began.elapsed();
        let merged = merge(&base, &ours, &theirs, Winner::Theirs).unwrap();
        let all = began.elapsed();
        println!("{overrides} overrides: between {told:?}, merge {:?}", all - told);
        assert_eq!(changes.len() as i64, 2 + overrides);
        assert!(merged.conflicts.is_empty());
        assert!(between(&merged.object, &write(overrides, 10, "b", "Hall")).is_empty());
        all
    };
    let few = (0..3).map(|_| time(300)).min().unwrap();
    let many = time(3_000);
    assert!(many < few * 40, "{few:?} for 300 and {many:?} for 3,000");
}

/// What is not taken from ours stays as theirs wrote it, and what is taken is written as it should be.
#[test]
fn what_is_untouched_stays_as_theirs_wrote_it() {
    let base = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Base//EN\r\nBEGIN:VEVENT\r\nUID:1\r\n\
        DTSTAMP:20260101T000000Z\r\nDTSTART:20260105T090000Z\r\nSUMMARY:Standup\r\nATTENDEE:mailto:b@example.org\r\n\
        END:VEVENT\r\nEND:VCALENDAR\r\n";
    let theirs = "BEGIN:VCALENDAR\nprodid:-//Theirs//EN\nVersion:2.0\n\nBEGIN:VEVENT\nattendee;cn=\"b\":mailto:B@example.org\n\
        summary;x-a=\"1\":Stand\n up\nDTSTAMP:20260202T000000Z\nX-LONG:a\n b\n\tc\nUID:1\nBEGIN:VALARM\nTRIGGER:-PT5M\n\
        END:VALARM\nX-BEHIND:1\nDTSTART:20260105T090000Z\nEND:VEVENT\nEND:VCALENDAR";
    let long = "Daily ".repeat(20);
    let ours = base.replace("DTSTART:", &format!("LOCATION:{long}\r\nDTSTART:"));
    let [base, ours, theirs] = [base, &ours, theirs].map(|text| Object::parse(text).unwrap());
    let merged = merge(&base, &ours, &theirs, Winner::Theirs).unwrap();
    assert!(merged.conflicts.is_empty());
    let place = Component::new("X").with([Property::new("LOCATION", &long)]).print();
    let place = place.strip_prefix("BEGIN:X\r\n").and_then(|p| p.strip_suffix("END:X\r\n")).unwrap();
    assert!(place.lines().all(|line| line.len() <= 75) && place.lines().count() > 1);
    assert_eq!(merged.object.text().replace(place, ""), theirs.text());
}

/// Three that are not versions of one object, and two that leave nothing of each other.
#[test]
fn what_can_not_be_merged_is_an_error() {
    let one = object(&blocks("DTSTART:20260105T090000Z"));
    let other = Object::parse(&one.text().replace("UID:1", "UID:2")).unwrap();
    let todo = Object::parse(&one.text().replace("VEVENT", "VTODO")).unwrap();
    for stranger in [&other, &todo] {
        assert!(merge(&one, stranger, &one, Winner::Ours).is_err());
        assert!(merge(stranger, &one, &one, Winner::Ours).is_err());
    }
    let guests = |from: usize| {
        let lines: Vec<String> = (from..from + 6_000).map(|n| format!("ATTENDEE:mailto:{n}@example.org")).collect();
        object(&blocks(&format!("DTSTART:20260105T090000Z\n{}", lines.join("\n"))))
    };
    let error = merge(&one, &guests(0), &guests(6_000), Winner::Ours).unwrap_err();
    assert!(error.reason.contains("more than 10000 properties"), "{error}");
}

/// Digests are stored: what an object's is must not change.
#[test]
fn digests_stay() {
    let base =
        blocks("DTSTART;TZID=Europe/Berlin:20260105T090000\nSUMMARY;LANGUAGE=en:Caf\u{e9}\nBEGIN:VALARM\nEND:VALARM");
    assert_eq!(change::digest(&object(&base)), "65e8a8aa2a0cb65e211597a44621c00d");
}

/// What is meant to cost much ends soon, in debug builds too.
#[test]
fn hostile_objects_end_soon() {
    let event = |lines: &str| {
        let text = format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\n{lines}\nEND:VEVENT\nEND:VCALENDAR\n");
        Object::parse(&text).unwrap_or_else(|e| panic!("{e}"))
    };
    let start = "DTSTART:20260105T090000Z";
    let many = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<Vec<_>>().join("\n");
    let dates = |from: usize, count: usize| many(count, &|n| format!("RDATE:{}", local((from + n) as i64, 5)));
    let long = |name: &str, hour: i64| {
        let values: Vec<String> = (0..9_999).map(|n| format!("{}Z", local(n, hour))).collect();
        format!("{name}:{}", values.join(","))
    };
    let parts = |at: usize| many(4_000, &|n| format!("BEGIN:X-P\nX-N:{}\nEND:X-P", n * at));
    let cases = [
        ["FREQ=SECONDLY", "FREQ=SECONDLY;COUNT=100000", "FREQ=SECONDLY;UNTIL=20990101T000000Z"]
            .map(|rule| format!("{start}\nRRULE:{rule}\nEXDATE:20300101T000000Z")),
        ["FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=DAILY;COUNT=100000", "FREQ=MINUTELY;BYMONTH=2;BYYEARDAY=200"]
            .map(|rule| format!("{start}\nRRULE:{rule}\nEXDATE:20300101T000000Z")),
        [0, 1, 2].map(|n| format!("{start}\n{}", dates(n, 9_000))),
        [0, 1, 2].map(|n| format!("{start}\n{}\nRRULE:FREQ=DAILY;INTERVAL=2", long("RDATE", n))),
        [0, 1, 2].map(|n| format!("{start}\n{}\nRRULE:FREQ=DAILY", long("EXDATE", n))),
        [0, 1, 2].map(|n| format!("{start}\n{}", many(9_000, &|i| format!("X-A:{}", i * 2 + n)))),
        [0, 1, 2].map(|n| format!("{start}\n{}", many(2_000, &|i| format!("ATTENDEE;X-N={n}:mailto:{i}@example.org")))),
        [0, 1, 2]
            .map(|n| format!("{start}\nCATEGORIES:{}", many(9_000, &|i| format!("w{}", i + n)).replace('\n', ","))),
        [1, 2, 3].map(|n| format!("{start}\n{}", parts(n))),
        [0, 1, 2].map(|n| {
            format!("{start}\n{}", many(100, &|i| format!("BEGIN:VALARM\nTRIGGER:-PT{}M\nEND:VALARM", i + n)))
        }),
    ];
    for (at, lines) in cases.iter().enumerate() {
        let [base, ours, theirs] = lines.each_ref().map(|lines| event(lines));
        let began = std::time::Instant::now();
        let _ = between(&base, &ours);
        let _ = merge(&base, &ours, &theirs, Winner::Ours);
        let took = began.elapsed();
        println!("{at}: {took:?}");
        assert!(took.as_secs() < 10, "{at}: {took:?}");
    }
}
