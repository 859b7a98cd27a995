//! `make bench-ical`: the calendar data of calgate beside other engines, in one run; prints tables of docs/performance.md.
//!
//! Times are of the processor, medians of rounds in which the engines take turns, so that a busy machine troubles all of
//! them alike. What is read must be whole and what is found must be as many, or the run fails.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use calgate::busy::{self, Period};
use calgate::ical::recur::{self, Busy, Limits};
use calgate::ical::{Component, Instant, Object, Window, zone};
use clap::Parser;
use jiff::tz::TimeZone;

#[path = "../data.rs"]
#[allow(dead_code)]
mod data;

type Error = Box<dyn std::error::Error>;

#[derive(Parser)]
#[command(about = "parsing, printing, expanding and merging beside other engines")]
struct Arguments {
    /// Calendar files to read.
    #[arg(long, default_value = "fixtures/ical")]
    corpus: PathBuf,
    /// A python with icalendar and dateutil; without it they are left out.
    #[arg(long)]
    python: Option<PathBuf>,
    /// The program made of tests/bench/peers/libical.c; without it libical is left out.
    #[arg(long)]
    libical: Option<PathBuf>,
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match text(&arguments).and_then(|()| rules(&arguments)).and_then(|()| free_busy(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

/// Seconds this process has had of the processor.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or_default() / 1e9
}

/// One engine's work, that takes its turn.
struct Engine<'a> {
    name: &'static str,
    work: Box<dyn FnMut() -> usize + 'a>,
    seconds: Vec<f64>,
    found: usize,
}

impl<'a> Engine<'a> {
    fn new(name: &'static str, work: impl FnMut() -> usize + 'a) -> Engine<'a> {
        Engine { name, work: Box::new(work), seconds: Vec::new(), found: 0 }
    }

    /// Seconds of one piece of work: the median.
    fn median(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }
}

/// Lets the engines take turns, each for at least a twentieth of a second a round.
fn take_turns(engines: &mut [Engine<'_>], rounds: usize) {
    for _ in 0..rounds {
        for engine in engines.iter_mut() {
            let begun = cpu();
            // To ask for the time costs some microseconds: ever more pieces of work in a row.
            let (mut times, mut batch) = (0u32, 1);
            while cpu() - begun < 0.05 {
                for _ in 0..batch {
                    engine.found = (engine.work)();
                }
                times += batch;
                batch = (batch * 2).min(10_000);
            }
            engine.seconds.push((cpu() - begun) / f64::from(times));
        }
    }
}

fn peer(program: &Path, arguments: &[&str], jump: bool) -> Result<Vec<f64>, Error> {
    let mut command = Command::new(program);
    command.args(arguments);
    if jump {
        command.env("JUMP", "1");
    }
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{}: {}", program.display(), String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).split_whitespace().filter_map(|n| n.parse().ok()).collect())
}

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/peers.py");

fn text(arguments: &Arguments) -> Result<(), Error> {
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    for entry in std::fs::read_dir(&arguments.corpus)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "ics")
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            // Every engine gets what every engine takes: CRLF, one calendar.
            let text = text.replace("\r\n", "\n").replace('\n', "\r\n");
            let all = Component::parse(&text).is_ok()
                && text.parse::<icalendar::Calendar>().is_ok()
                && calcard::icalendar::ICalendar::parse(&text).is_ok();
            if all {
                files.push((path, text));
            }
        }
    }
    files.sort();
    let texts: Vec<&str> = files.iter().map(|(_, text)| text.as_str()).collect();
    let names: Vec<&str> = files.iter().filter_map(|(path, _)| path.to_str()).collect();
    compare(arguments, &format!("{} of {}", files.len(), arguments.corpus.display()), &texts, &names)?;
    let today = jiff::Zoned::now().date();
    let made: Vec<String> = (0..1_000).map(|number| data::item("text", number, today).text).collect();
    let texts: Vec<&str> = made.iter().map(String::as_str).collect();
    compare(arguments, "1,000 meetings with a description and a time zone", &texts, &[])
}

/// Reading and printing of some texts; of the engines outside only when the texts are files.
fn compare(arguments: &Arguments, title: &str, texts: &[&str], names: &[&str]) -> Result<(), Error> {
    let total: usize = texts.iter().map(|text| text.len()).sum();
    let lines: usize = texts.iter().map(|text| text.lines().count()).sum();
    println!("\n## Text: {title}, {} kB, {} octets a line\n", total / 1000, total / lines);

    let mut reading = [
        Engine::new("calgate, tree", || texts.iter().map(|t| Component::parse(t).unwrap().components.len()).sum()),
        Engine::new("calgate, object (checked)", || texts.iter().filter(|t| Object::parse(t).is_ok()).count()),
        Engine::new("calcard", || {
            texts.iter().map(|t| calcard::icalendar::ICalendar::parse(t).unwrap().components.len()).sum()
        }),
        Engine::new("icalendar", || {
            texts.iter().map(|t| t.parse::<icalendar::Calendar>().unwrap().components.len()).sum()
        }),
    ];
    take_turns(&mut reading, arguments.rounds);
    let ours: Vec<Component> = texts.iter().map(|t| Component::parse(t).unwrap()).collect();
    // Each line built anew: nothing of the text it came from is left to copy.
    let rebuilt: Vec<Component> = ours.iter().map(anew).collect();
    let theirs: Vec<_> = texts.iter().map(|t| calcard::icalendar::ICalendar::parse(t).unwrap()).collect();
    let icalendar: Vec<icalendar::Calendar> = texts.iter().map(|t| t.parse().unwrap()).collect();
    let mut printing = [
        Engine::new("calgate, tree", || ours.iter().map(|c| c.print().len()).sum()),
        Engine::new("calgate, every line changed", || rebuilt.iter().map(|c| c.print().len()).sum()),
        Engine::new("calcard", || theirs.iter().map(|c| c.to_string().len()).sum()),
        Engine::new("icalendar", || icalendar.iter().map(|c| c.to_string().len()).sum()),
    ];
    take_turns(&mut printing, arguments.rounds);
    if printing[0].found != total {
        return Err("what was printed is not what was read".into());
    }
    println!("| engine | parse MB/s | print MB/s |\n|---|---|---|");
    let rate = |engines: &[Engine<'_>], name: &str| {
        engines.iter().find(|e| e.name == name).map_or("-".to_owned(), |e| {
            let bytes = if e.name.starts_with("calgate, o") { total } else { e.found.max(total) };
            let bytes = if std::ptr::eq(engines.as_ptr(), e) || bytes < total { total } else { bytes };
            format!("{:.0}", bytes as f64 / e.median() / 1e6)
        })
    };
    for name in ["calgate, tree", "calgate, object (checked)", "calgate, every line changed", "calcard", "icalendar"] {
        println!("| {name} | {} | {} |", rate(&reading, name), rate(&printing, name));
    }
    if names.is_empty() {
        return Ok(());
    }
    if let Some(libical) = &arguments.libical {
        let figures = peer(libical, &[&["text"], names].concat(), false)?;
        println!("| libical | {:.0} | {:.0} |", figures[0], figures[1]);
    }
    if let Some(python) = &arguments.python {
        let figures = peer(python, &[&[PEERS, "text"], names].concat(), false)?;
        println!("| python icalendar | {:.2} | {:.2} |", figures[0], figures[1]);
    }
    Ok(())
}

fn anew(component: &Component) -> Component {
    let lines = component.properties.iter().map(|p| p.renamed(p.name()));
    Component::new(component.name()).with(lines).with_components(component.components.iter().map(anew))
}

const START: &str = "20060102T090000";

/// Name, rule, EXDATEs.
const RULES: [(&str, &str, bool); 4] = [
    ("DAILY", "FREQ=DAILY", false),
    ("WEEKLY;BYDAY=MO,WE,FR", "FREQ=WEEKLY;BYDAY=MO,WE,FR", false),
    ("MONTHLY;BYDAY=-1FR", "FREQ=MONTHLY;BYDAY=-1FR", false),
    ("YEARLY, 10 EXDATE", "FREQ=YEARLY;BYMONTH=1;BYDAY=1MO", true),
];

fn rules(arguments: &Arguments) -> Result<(), Error> {
    println!("\n## Windows of 90 days, thirty years after DTSTART: windows a second\n");
    println!(
        "| rule | instances | calgate, parsed object | calgate, from text | one year after | `rrule` as it is | libical | \
         libical, told where to begin | dateutil | × libical | × `rrule` |\n|---|---|---|---|---|---|---|---|---|---|---|"
    );
    for (name, rule, excluded) in RULES {
        let exdates: String = (2006..2016).map(|y| format!("EXDATE;TZID=Europe/Berlin:{y}0101T090000\r\n")).collect();
        let exdates = if excluded { exdates } else { String::new() };
        let text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//calgate//bench//EN\r\nBEGIN:VEVENT\r\nUID:1\r\n\
             DTSTAMP:20060101T000000Z\r\nDTSTART;TZID=Europe/Berlin:{START}\r\nDURATION:PT1H\r\nRRULE:{rule}\r\n{exdates}\
             END:VEVENT\r\nEND:VCALENDAR\r\n"
        );
        let object = Object::parse(&text)?;
        let window = |year: i16| {
            let begin = jiff::civil::date(year, 1, 1).to_zoned(TimeZone::UTC).map(|z| z.timestamp().as_second());
            let start = Instant(begin.unwrap_or_default());
            Window { start, end: start.plus(90 * 86_400) }
        };
        let utc = TimeZone::UTC;
        let find = |object: &Object, window: Window| {
            recur::instances(object, window, &utc, Limits::default()).map_or(usize::MAX, |found| found.len())
        };
        let plain = format!("DTSTART:{START}Z\nRRULE:{rule}");
        let at = |year: i32| {
            let day = chrono::NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default();
            day.and_time(chrono::NaiveTime::MIN).and_utc().with_timezone(&rrule::Tz::UTC)
        };
        let (low, high) = (at(2036), at(2036) + chrono::Duration::days(90));
        let mut engines = [
            Engine::new("object", || find(black_box(&object), window(2036))),
            Engine::new("text", || Object::parse(black_box(&text)).map_or(usize::MAX, |o| find(&o, window(2036)))),
            Engine::new("near", || find(black_box(&object), window(2007))),
            Engine::new("rrule", || {
                let set: rrule::RRuleSet = plain.parse().expect("a rule of ours");
                set.after(low).before(high).all(65_535).dates.len()
            }),
        ];
        take_turns(&mut engines, arguments.rounds);
        let found = engines[0].found;
        if engines[1].found != found || engines[3].found != found {
            return Err(format!("{name}: {found}, {} and {} instances", engines[1].found, engines[3].found).into());
        }
        let rates: Vec<f64> = engines.iter().map(|e| 1.0 / e.median()).collect();
        let mut libical = Vec::new();
        if let Some(program) = &arguments.libical {
            for jump in [false, true] {
                libical.push(peer(program, &["rule", rule, START, "20360101T000000"], jump)?[0]);
            }
        }
        let dateutil = match &arguments.python {
            Some(python) => Some(peer(python, &[PEERS, "rule", rule, START, "20360101T000000"], false)?[0]),
            None => None,
        };
        let cell = |rate: Option<f64>| rate.map_or("-".to_owned(), |r| format!("{r:.0}"));
        println!(
            "| {name} | {found} | {:.0} | {:.0} | {:.0} | {:.0} | {} | {} | {} | {} | {:.0} |",
            rates[0],
            rates[1],
            rates[2],
            rates[3],
            cell(libical.first().copied()),
            cell(libical.get(1).copied()),
            cell(dateutil),
            cell(libical.get(1).map(|l| rates[0] / l)),
            rates[0] / rates[3],
        );
    }
    Ok(())
}

fn free_busy(arguments: &Arguments) -> Result<(), Error> {
    let today = jiff::Zoned::now().date();
    let asked = data::Window::from_today(today, 90);
    let window = Window { start: Instant(asked.start), end: Instant(asked.end) };
    let mut texts = Vec::new();
    let mut expected = Vec::new();
    for calendar in 0..20 {
        for number in 0..2_000 {
            let item = data::item(&format!("c{calendar}"), number, today);
            if item.busy {
                expected.extend(item.instances.iter().copied().filter(|i| asked.touches(*i)));
            }
            texts.push(without_description(&item.text));
        }
    }
    let total: usize = texts.iter().map(String::len).sum();
    let expected = data::merged(expected, asked);
    let utc = zone::named("UTC").unwrap_or(TimeZone::UTC);
    let of_object = |object: &Object, periods: &mut Vec<Period>| {
        let found = recur::instances(object, window, &utc, Limits::default()).unwrap_or_default();
        periods.extend(found.iter().filter_map(|i| {
            let kind = recur::busy(i.component, &[]);
            (kind != Busy::Free).then_some(Period { window: Window { start: i.start, end: i.end }, kind })
        }));
    };
    let objects: Vec<Object> = texts.iter().map(|t| Object::parse(t)).collect::<Result<_, _>>()?;
    let horizon = Window { start: window.start.plus(-366 * 86_400), end: window.end.plus(366 * 86_400) };
    let mut index: Vec<recur::Entry> =
        objects.iter().flat_map(|o| recur::index(o, horizon, &[], 1_000).entries).collect();
    index.sort_by_key(|e| e.start);
    let in_index = |index: &[recur::Entry]| -> Vec<Period> {
        let before = index.partition_point(|e| e.start < window.start.0 - 86_400 * 31);
        let behind = index.partition_point(|e| e.start < window.end.0);
        let of =
            |e: &recur::Entry| Period { window: Window { start: Instant(e.start), end: Instant(e.end) }, kind: e.busy };
        index[before..behind].iter().filter(|e| e.busy != Busy::Free && e.end > window.start.0).map(of).collect()
    };
    let mut engines = [
        Engine::new("parse", || texts.iter().filter(|t| Object::parse(t).is_ok()).count()),
        Engine::new("expand", || {
            let mut periods = Vec::new();
            objects.iter().for_each(|o| of_object(o, &mut periods));
            busy::merge(periods, window).len()
        }),
        Engine::new("index", || busy::merge(in_index(&index), window).len()),
    ];
    take_turns(&mut engines, arguments.rounds);
    for engine in &engines[1..] {
        if engine.found != expected.len() {
            return Err(format!("free/busy: {} periods, not {}", engine.found, expected.len()).into());
        }
    }
    let [parse, expand, index] = [0, 1, 2].map(|at| engines[at].median() * 1e3);
    println!(
        "\n## Free/busy of 20 × 2,000 objects, 90 days: {:.1} MB, {} periods\n",
        total as f64 / 1e6,
        expected.len()
    );
    println!(
        "| from text: parse and check | expand and merge | together | from the index in memory |\n|---|---|---|---|"
    );
    println!("| {parse:.0} ms | {expand:.0} ms | {:.0} ms | {index:.2} ms |", parse + expand);
    Ok(())
}

/// An object of about half a kilobyte.
fn without_description(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in text.split_inclusive("\r\n") {
        inside = line.starts_with("DESCRIPTION") || inside && line.starts_with(' ');
        if !inside {
            out.push_str(line);
        }
    }
    out
}
