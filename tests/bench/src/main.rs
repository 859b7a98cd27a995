//! `make bench`: calgate beside two floors and Radicale, in one run; prints the table of docs/performance.md.
//!
//! Every answer is checked against what the generator (data.rs) knows before it is timed.

mod data;
mod floor;
mod measure;
mod ops;
mod servers;
mod wire;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use jiff::civil::Date;

use measure::{Bounds, Figures, measure};
use ops::{Expected, Op};
use servers::{Folder, Server};
use wire::{Connection, Request};

#[derive(Parser)]
#[command(about = "calgate beside two floors and Radicale")]
struct Arguments {
    #[command(subcommand)]
    floor: Option<Floor>,
    /// The calgate to measure.
    #[arg(long, default_value = "target/release/calgate")]
    calgate: PathBuf,
    /// A python that has Radicale; without it Radicale is left out.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Milliseconds a loop.
    #[arg(long, default_value_t = 1000)]
    time: u64,
    /// A twentieth of the objects: to see whether it works.
    #[arg(long)]
    small: bool,
    /// Only the lines with this in their name, as `GET, 10000`: to look at one thing closely.
    #[arg(long)]
    only: Option<String>,
}

/// What the bench starts as child processes of its own.
#[derive(Subcommand)]
enum Floor {
    /// Recorded answers from memory.
    Static { recorded: PathBuf },
    /// Answers from rows.
    Sqlite { folder: PathBuf, today: Date, calendars: Vec<String> },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.floor {
        Some(floor) => serve(floor),
        None => bench(&arguments),
    };
    match result {
        Ok(wrong) if wrong.is_empty() => ExitCode::SUCCESS,
        Ok(wrong) => {
            eprintln!("wrong answers:\n{}", wrong.join("\n"));
            ExitCode::FAILURE
        }
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

type Wrong = Vec<String>;
type Error = Box<dyn std::error::Error>;

fn serve(floor: &Floor) -> Result<Wrong, Error> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    match floor {
        Floor::Static { recorded } => {
            println!("{port}");
            floor::serve_static(listener, recorded);
        }
        Floor::Sqlite { folder, today, calendars } => {
            let calendars: Vec<(String, u32)> = calendars
                .iter()
                .filter_map(|c| {
                    c.split_once('=').and_then(|(name, count)| Some((name.to_owned(), count.parse().ok()?)))
                })
                .collect();
            floor::serve_sqlite(listener, folder, &calendars, *today, || println!("{port}"));
        }
    }
    Ok(Vec::new())
}

/// One server's figures for one line.
#[derive(Default)]
struct Cell {
    one: Option<Figures>,
    eight: Option<Figures>,
}

struct Line {
    name: String,
    calgate: Cell,
    sqlite: Cell,
    fixed: Cell,
    radicale: Cell,
}

fn bench(arguments: &Arguments) -> Result<Wrong, Error> {
    let begun = Instant::now();
    let today = jiff::Zoned::now().date();
    let folder = Folder::new()?;
    let share = if arguments.small { 20 } else { 1 };
    let sizes: Vec<(String, u32)> = vec![("small".into(), 1_000), ("large".into(), 10_000 / share)];
    let busy: Vec<(String, u32)> = (0..20).map(|n| (format!("busy{n:02}"), 2_000 / share)).collect();
    let all: Vec<(String, u32)> = [sizes.clone(), busy.clone()].concat();
    let expected: Vec<Expected> = all.iter().map(|(name, count)| Expected::new(name, *count, today)).collect();
    let names = |calendars: &[(String, u32)]| calendars.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();

    let described: Vec<String> = all.iter().map(|(name, count)| format!("{name}={count}")).collect();
    let (place, day) = (folder.0.display().to_string(), today.to_string());
    let mut start = vec!["sqlite", &place, &day];
    start.extend(described.iter().map(String::as_str));
    let sqlite = servers::floor("floor-sqlite", &start)?;
    let calgate = servers::calgate(&arguments.calgate, &folder.0, &names(&all), &names(&busy))?;
    let radicale = match &arguments.python {
        // One calendar for free/busy: it has no request over several.
        Some(python) => Some(servers::radicale(python, &folder.0, &all[..3], today)?),
        None => None,
    };
    let fixed = record(&folder.0, &sqlite, &expected, today)?;
    let bounds = Bounds { time: Duration::from_millis(arguments.time), requests: usize::MAX };
    let few = Bounds { time: bounds.time, requests: 20 };

    let wanted = |name: &str| arguments.only.as_deref().is_none_or(|part| name.contains(part));
    let free_busy_name = |calendars: u32| format!("free/busy of {calendars} × {}, 90 days", expected[2].items.len());
    let free_busy = [20, 1].into_iter().any(|calendars| wanted(&free_busy_name(calendars)));

    let (mut lines, mut wrong) = (Vec::new(), Vec::new());
    for each in expected.iter().take(if free_busy { expected.len() } else { 2 }) {
        let figures = measure(&calgate, 8, Bounds { time: Duration::MAX, requests: each.items.len() }, &|n| {
            ops::load(&calgate, each, n)
        })?;
        eprintln!("{}: {} objects put, {:.0}/s", each.calendar, each.items.len(), figures.rate);
        if each.calendar == "large" {
            let name = format!("filling by PUT, {}", each.items.len());
            let calgate = Cell { eight: Some(figures), one: None };
            lines.push(Line {
                name,
                calgate,
                sqlite: Cell::default(),
                fixed: Cell::default(),
                radicale: Cell::default(),
            });
        }
    }
    let run = |server: &Server, op: Result<Op, String>, eight: bool, bounds: Bounds, wrong: &mut Wrong| -> Cell {
        timed(server, op, eight, bounds).unwrap_or_else(|why| {
            eprintln!("  {}: {why}", server.name);
            // Others may answer as they like; we may not.
            if server.name != "Radicale" {
                wrong.push(format!("{}: {why}", server.name));
            }
            Cell::default()
        })
    };
    for each in &expected[..2] {
        let size = each.items.len();
        for at in 0..7 {
            let op = |server: &Server| match at {
                0..6 => Ok(ops::reads(server, each).swap_remove(at)),
                _ => ops::sync_after_ten(server, each),
            };
            // The fixed floor's token is the one that was recorded.
            let fixed_op = || if at < 6 { op(&fixed) } else { Ok(recorded_sync(&fixed, each)) };
            let name = format!("{}, {size}", fixed_op()?.name);
            if !wanted(&name) {
                continue;
            }
            eprintln!("{name}");
            lines.push(Line {
                name,
                calgate: run(&calgate, op(&calgate), true, bounds, &mut wrong),
                sqlite: run(&sqlite, op(&sqlite), true, bounds, &mut wrong),
                fixed: run(&fixed, fixed_op(), true, bounds, &mut wrong),
                radicale: radicale.as_ref().map(|r| run(r, op(r), false, few, &mut wrong)).unwrap_or_default(),
            });
        }
        for update in [true, false] {
            // A number is never used twice on one server: the same text again would be no change.
            let put = |server: &Server, eight: bool, bounds: Bounds| -> Result<Cell, Error> {
                let next = AtomicUsize::new(size);
                let make = |_| match (update, next.fetch_add(1, Ordering::Relaxed)) {
                    (true, number) => ops::update(server, each, number),
                    (false, number) => ops::create(server, &each.calendar, number),
                };
                let one = Some(measure(server, 1, bounds, &make)?);
                Ok(Cell { one, eight: if eight { Some(measure(server, 8, bounds, &make)?) } else { None } })
            };
            let name = format!("PUT {}, {size}", if update { "of a change" } else { "of a new one" });
            if !wanted(&name) {
                continue;
            }
            eprintln!("{name}");
            lines.push(Line {
                name,
                calgate: put(&calgate, true, bounds)?,
                sqlite: put(&sqlite, true, bounds)?,
                fixed: put(&fixed, true, bounds)?,
                radicale: radicale.as_ref().map_or(Ok(Cell::default()), |r| put(r, false, few))?,
            });
        }
    }
    let members = || expected[2..].iter().flat_map(|e| e.items.iter());
    let every = |server: &Server| Ok(ops::free_busy(server, &server.path("every"), members(), today));
    if wanted(&free_busy_name(20)) {
        eprintln!("{}", free_busy_name(20));
        lines.push(Line {
            name: free_busy_name(20),
            calgate: run(&calgate, every(&calgate), true, bounds, &mut wrong),
            sqlite: run(&sqlite, every(&sqlite), true, bounds, &mut wrong),
            fixed: run(&fixed, every(&fixed), true, bounds, &mut wrong),
            radicale: Cell::default(),
        });
    }
    let alone = |server: &Server| Ok(ops::free_busy(server, &server.path("busy00"), expected[2].items.iter(), today));
    if wanted(&free_busy_name(1)) {
        eprintln!("{}", free_busy_name(1));
        lines.push(Line {
            name: free_busy_name(1),
            calgate: run(&calgate, alone(&calgate), true, bounds, &mut wrong),
            sqlite: run(&sqlite, alone(&sqlite), true, bounds, &mut wrong),
            fixed: run(&fixed, alone(&fixed), true, bounds, &mut wrong),
            radicale: radicale.as_ref().map(|r| run(r, alone(r), false, few, &mut wrong)).unwrap_or_default(),
        });
    }
    print(&lines, &calgate, begun.elapsed());
    Ok(wrong)
}

/// Asks once and checks the answer, then measures with one connection and, if wanted, with eight.
fn timed(server: &Server, op: Result<Op, String>, eight: bool, bounds: Bounds) -> Result<Cell, String> {
    let op = op?;
    let answer = Connection::new(&server.address).send(&op.request).map_err(|e| e.to_string())?;
    (op.check)(&answer).map_err(|why| format!("{}: {why}", op.name))?;
    let again = |connections| measure(server, connections, bounds, &|_| op.request.clone()).map_err(|e| e.to_string());
    Ok(Cell { one: Some(again(1)?), eight: if eight { Some(again(8)?) } else { None } })
}

/// floor-static, fed with what floor-sqlite answers.
fn record(folder: &Path, sqlite: &Server, expected: &[Expected], today: Date) -> Result<Server, Error> {
    let mut requests: Vec<Request> = Vec::new();
    for each in &expected[..2] {
        requests.extend(ops::reads(sqlite, each).into_iter().map(|op| op.request));
        requests.push(recorded_sync(sqlite, each).request);
    }
    for path in ["every", "busy00"] {
        requests.push(ops::free_busy(sqlite, &sqlite.path(path), std::iter::empty(), today).request);
    }
    let mut connection = Connection::new(&sqlite.address);
    let mut answers = Vec::new();
    for request in &requests {
        answers.push((request.method, request.path.as_str(), request.body.as_str(), connection.send(request)?.body));
    }
    let file = folder.join("recorded");
    floor::record(&file, &answers)?;
    Ok(servers::floor("floor-static", &["static", &file.display().to_string()])?)
}

/// The sync-collection of the floors before anything was changed: the last ten objects.
fn recorded_sync(server: &Server, expected: &Expected) -> Op {
    ops::sync_from(server, expected, &format!("urn:floor:{}", expected.items.len() - 11))
}

fn print(lines: &[Line], calgate: &Server, took: Duration) {
    println!("{}\n", machine());
    println!(
        "| what | calgate CPU | p50 | p99 | per s, 1 conn. | per s, 8 | p99, 8 | floor-sqlite CPU | floor-static CPU | Radicale CPU | × floor-sqlite | Radicale ÷ calgate |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for line in lines {
        let cpu = |cell: &Cell| cell.one.as_ref().or(cell.eight.as_ref()).map(|f| f.cpu);
        let ours = cpu(&line.calgate);
        let ratio = |a: Option<Duration>, b: Option<Duration>| match (a, b) {
            (Some(a), Some(b)) if !b.is_zero() => format!("{:.1}", a.as_secs_f64() / b.as_secs_f64()),
            _ => "-".to_owned(),
        };
        let one = |f: fn(&Figures) -> String| line.calgate.one.as_ref().map_or("-".to_owned(), f);
        let eight = |f: fn(&Figures) -> String| line.calgate.eight.as_ref().map_or("-".to_owned(), f);
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            line.name,
            time(ours),
            one(|f| time(Some(f.p50))),
            one(|f| time(Some(f.p99))),
            one(|f| format!("{:.0}", f.rate)),
            eight(|f| format!("{:.0}", f.rate)),
            eight(|f| time(Some(f.p99))),
            time(cpu(&line.sqlite)),
            time(cpu(&line.fixed)),
            time(cpu(&line.radicale)),
            ratio(ours, cpu(&line.sqlite)),
            ratio(cpu(&line.radicale), ours),
        );
    }
    println!(
        "\ncalgate at the end: {:.0} MiB. The run took {:.0} s.",
        calgate.memory() as f64 / 1048576.0,
        took.as_secs_f64()
    );
}

/// With three figures, in the unit that suits.
fn time(duration: Option<Duration>) -> String {
    let Some(duration) = duration else { return "-".to_owned() };
    let (value, unit) = match duration.as_nanos() as f64 / 1000.0 {
        micros if micros < 1000.0 => (micros, "µs"),
        micros if micros < 1_000_000.0 => (micros / 1000.0, "ms"),
        micros => (micros / 1_000_000.0, "s"),
    };
    let digits = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {unit}")
}

fn machine() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map_or("unknown", |l| l.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let load = read("/proc/loadavg");
    format!(
        "{}: {cores} cores of {model}, Linux {}, load {} at the end.",
        jiff::Zoned::now().date(),
        read("/proc/sys/kernel/osrelease").trim(),
        load.split(' ').next().unwrap_or("?")
    )
}
