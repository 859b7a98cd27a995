//! `make bench`: calgate beside two floors, Radicale and Xandikos, in one run; prints the table of docs/performance.md.
//!
//! Every answer is checked against what the generator (data.rs) knows before it is timed.

mod data;
mod floor;
mod measure;
mod ops;
mod servers;
mod wire;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use jiff::civil::Date;

use measure::{Bounds, Figures, Paced, measure};
use ops::{Expected, Op};
use servers::{Folder, Memory, Server};
use wire::{Connection, Request};

#[derive(Parser)]
#[command(about = "calgate beside two floors, Radicale and Xandikos")]
struct Arguments {
    #[command(subcommand)]
    floor: Option<Floor>,
    /// The calgate to measure.
    #[arg(long, default_value = "target/release/calgate")]
    calgate: PathBuf,
    /// A python that has Radicale and Xandikos; without it they are left out.
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

impl Cell {
    fn cpu(&self) -> Option<Duration> {
        self.one.as_ref().or(self.eight.as_ref()).map(|f| f.cpu)
    }
}

struct Line {
    name: String,
    /// How many times floor-sqlite's CPU it may take; `None`: there is no such goal.
    goal: Option<f64>,
    /// calgate, floor-sqlite, floor-static, Radicale, Xandikos.
    cells: [Cell; 5],
}

/// The goals: CPU a request, as a multiple of floor-sqlite's in the same run.
fn goal(name: &str) -> Option<f64> {
    Some(match name {
        "propfind0" | "sync_noop" | "sync_incr10" | "get_one" | "query_etags" => 2.5,
        "put_new" | "put_update" | "delete" => 2.5,
        "multiget100" | "propfind1" | MANY | "sync_initial" | "get_ics" | "freebusy90" => 1.5,
        "query_month" | "query_expand" => 2.0,
        "mixed, 100 clients" => 3.0,
        _ => return None,
    })
}

struct Bench {
    /// In the order of [`Line::cells`]; a peer may be away.
    servers: [Option<Server>; 5],
    bounds: Bounds,
    /// Of the run.
    folder: PathBuf,
    only: Option<String>,
    lines: Vec<Line>,
    /// What calgate and the floors answered wrongly, which fails the run.
    wrong: Wrong,
    /// What the peers answered wrongly, which is told in place of a figure.
    notes: Vec<String>,
}

const NAMES: [&str; 5] = ["calgate", "floor-sqlite", "floor-static", "Radicale", "Xandikos"];
/// The first of them are not peers: they are measured with eight connections too, and have to answer rightly.
const OURS: usize = 3;

impl Bench {
    fn calgate(&self) -> &Server {
        self.servers[0].as_ref().expect("calgate was started")
    }

    /// One line: what `measured` says of each of the first `servers` servers, unless other lines are asked for.
    fn row(
        &mut self,
        name: &str,
        size: usize,
        servers: usize,
        mut measured: impl FnMut(&Server, usize) -> Result<Cell, String>,
    ) {
        let title = if size == 0 { name.to_owned() } else { format!("{name}, {size}") };
        if self.only.as_deref().is_some_and(|part| !title.contains(part)) {
            return;
        }
        eprintln!("{title}");
        let mut cells: [Cell; 5] = Default::default();
        for (at, server) in self.servers.iter().enumerate().take(servers) {
            let Some(server) = server else { continue };
            match measured(server, at) {
                Ok(cell) => cells[at] = cell,
                Err(why) => {
                    eprintln!("  {}: {why}", NAMES[at]);
                    let note = format!("{title}: {}: {why}", NAMES[at]);
                    // Others may answer as they like; we may not.
                    if at < OURS { self.wrong.push(note) } else { self.notes.push(note) }
                }
            }
        }
        self.lines.push(Line { name: title, goal: goal(name), cells });
    }

    /// Measures one line on every server; `op` makes the request and the check for one of them.
    fn line(&mut self, name: &str, size: usize, op: impl Fn(&Server, usize) -> Result<Op, String>) {
        let bounds = self.bounds;
        self.row(name, size, NAMES.len(), |server, at| timed(server, op(server, at), at < OURS, bounds));
    }

    /// Measures requests that are never the same, so that only their status tells whether they were right: those of the
    /// numbers from `from` on, at most `most` for each number of connections.
    fn writes(
        &mut self,
        name: &str,
        size: usize,
        make: &(dyn Fn(&Server, usize) -> Request + Sync),
        from: &[AtomicUsize; 5],
        most: impl Fn(usize) -> usize,
    ) {
        let time = self.bounds.time;
        self.row(name, size, NAMES.len(), |server, at| {
            // A number is never used twice on one server: the same text again would be no change.
            let make = |_| make(server, from[at].fetch_add(1, Ordering::Relaxed));
            match most(at) {
                0 => Ok(Cell::default()),
                requests => one_and_eight(server, Bounds { time, requests }, at < OURS, &make),
            }
        });
    }

    /// Many clients at once, each with a connection of its own, as fast as they are answered.
    fn many(&mut self, name: &str, size: usize, clients: usize, expected: &Expected) {
        let bounds = self.bounds;
        // The peers answer a handful of requests at a time, and would be measured by how they queue.
        self.row(name, size, 2, |server, _| {
            let token = ops::token(server, expected)?;
            let figures = measure(server, clients, bounds, &|n| ops::mixed(server, expected, &token, n));
            Ok(Cell { one: None, eight: Some(figures.map_err(|e| e.to_string())?) })
        });
    }

    /// A thousand clients that each ask once a second.
    fn paced(&mut self, expected: &Expected) {
        let name = "mixed_paced, 1000 clients at 1000/s";
        let time = self.bounds.time.max(Duration::from_secs(4));
        let mut told = Vec::new();
        let folder = &self.folder.clone();
        self.row(name, 0, 2, |server, at| {
            let token = ops::token(server, expected)?;
            let make = |n: usize| ops::mixed(server, expected, &token, 20_000_000 + n);
            let paced = measure::paced(server, 1000, Duration::from_secs(1), time, &make);
            let Paced { figures, reads, writes, held } = paced.map_err(|e| e.to_string())?;
            told.push(format!(
                "{name}: {}: {:.1} % of a core, {:.1} KiB more of its own memory a connection; p99 {}: {} of what reads, {} of \
                 PUT",
                NAMES[at],
                figures.cpu.as_secs_f64() * figures.rate * 100.0,
                held as f64 / 1000.0 / 1024.0,
                self::time(Some(figures.p99)),
                self::time(Some(reads)),
                self::time(Some(writes)),
            ));
            if at == 0 {
                let (p50, p99) = measure::sync(folder).map_err(|e| e.to_string())?;
                let [p50, p99] = [p50, p99].map(|took| self::time(Some(took)));
                told.push(format!("{name}: just after that the disk took {p50} to keep 4 KiB, p99 {p99}"));
            }
            Ok(Cell { one: None, eight: Some(figures) })
        });
        self.notes.extend(told);
    }
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
    let (mut radicale, mut xandikos) = (None, None);
    if let Some(python) = &arguments.python {
        radicale = Some(servers::radicale(python, &folder.0, &sizes, today)?);
        xandikos = Some(servers::xandikos(python, &folder.0, &sizes, today)?);
    }
    let fixed = record(&folder.0, &sqlite, &expected, today)?;
    let mut bench = Bench {
        servers: [Some(calgate), Some(sqlite), Some(fixed), radicale, xandikos],
        bounds: Bounds { time: Duration::from_millis(arguments.time), requests: usize::MAX },
        folder: folder.0.clone(),
        only: arguments.only.clone(),
        lines: Vec::new(),
        wrong: Vec::new(),
        notes: Vec::new(),
    };
    let mut memory = vec![("at the start", bench.calgate().memory())];

    let load = |bench: &mut Bench, each: &Expected| -> Result<(), Error> {
        let server = bench.calgate();
        let bounds = Bounds { time: Duration::MAX, requests: each.items.len() };
        let figures = measure(server, 8, bounds, &|n| ops::load(server, each, n))?;
        eprintln!("{}: {} objects put, {:.0}/s", each.calendar, each.items.len(), figures.rate);
        if each.calendar == "large" {
            let mut cells: [Cell; 5] = Default::default();
            cells[0].eight = Some(figures);
            bench.lines.push(Line { name: format!("filling by PUT, {}", each.items.len()), goal: None, cells });
        }
        Ok(())
    };
    for each in &expected[..2] {
        load(&mut bench, each)?;
    }
    memory.push(("with 11,000 objects", bench.calgate().memory()));
    for each in &expected[..2] {
        let size = each.items.len();
        for name in ops::READS {
            bench.line(name, size, |server, _| Ok(ops::read(name, server, each)));
        }
        bench.line("sync_noop", size, |server, at| {
            let token = if at == 2 { recorded_token(each, 1) } else { ops::token(server, each)? };
            Ok(ops::sync_noop(server, each, &token))
        });
        bench.line("sync_incr10", size, |server, at| {
            // The fixed floor's answer is the one that was recorded, of its last ten.
            if at == 2 {
                return Ok(recorded_sync(server, each));
            }
            let token = ops::token(server, each)?;
            let changed = ops::change_ten(server, each)?;
            Ok(ops::sync_of_ten(server, each, &token, changed))
        });
        let from = || std::array::from_fn(|_| AtomicUsize::new(size));
        let most = |at| if at < OURS { usize::MAX } else { 10 };
        bench.writes("put_update", size, &|server, number| ops::update(server, each, number), &from(), most);
        let created = from();
        bench.writes("put_new", size, &|server, number| ops::create(server, &each.calendar, number), &created, most);
        // As many as were made, and no more: half of them one by one, the others by eight.
        let half = |at: usize| (created[at].load(Ordering::Relaxed) - size) / 2;
        bench.writes("delete", size, &|server, number| ops::delete(server, &each.calendar, number), &from(), half);
        bench.many("mixed, 100 clients", size, 100, each);
        if size > 1_000 {
            bench.paced(each);
        }
    }
    memory.push(("after these", bench.calgate().memory()));
    if bench.only.as_deref().is_none_or(|part| "freebusy90 of 20".contains(part)) {
        for each in &expected[2..] {
            load(&mut bench, each)?;
        }
        memory.push(("with 51,000 objects", bench.calgate().memory()));
        let members = || expected[2..].iter().flat_map(|e| e.items.iter());
        bench.servers[3] = None;
        bench.servers[4] = None;
        bench.line("freebusy90 of 20", 0, |server, _| {
            Ok(ops::free_busy(server, &server.path("every"), members(), today))
        });
        storm(bench.calgate(), &expected)?;
        memory.push(("after everything was listed with its data by 8 at once, three times", bench.calgate().memory()));
    }
    bench.servers = Default::default();
    if bench.only.as_deref().is_none_or(|part| MANY.contains(part)) {
        let many = Expected::new("many", 100_000 / share, today);
        memory.extend(many_objects(&mut bench, &arguments.calgate, &many, today)?);
    }
    print(&bench, &memory, begun.elapsed());
    Ok(bench.wrong)
}

/// Everything in every calendar, with its data, by eight clients.
fn storm(server: &Server, expected: &[Expected]) -> Result<(), Error> {
    for _ in 0..3 {
        let bounds = Bounds { time: Duration::MAX, requests: expected.len() };
        measure(server, 8, bounds, &|n| ops::everything(server, &expected[n]))?;
    }
    Ok(())
}

const MANY: &str = "propfind1 of 100000";

/// A calendar as large as one may be, on servers of their own: how soon the first of a listing comes, what it costs, and
/// what memory is held then. calgate's is filled by its command, which is faster than to PUT.
fn many_objects(
    bench: &mut Bench,
    calgate: &Path,
    many: &Expected,
    today: Date,
) -> Result<[(&'static str, Memory); 3], Error> {
    let folder = bench.folder.join("many");
    fs::create_dir(&folder)?;
    let server = servers::calgate(calgate, &folder, slice::from_ref(&many.calendar), &[])?;
    let (begun, file) = (Instant::now(), folder.join("many.ics"));
    for part in many.items.chunks(10_000) {
        fs::write(&file, part.iter().map(|item| item.text.as_str()).collect::<String>())?;
        servers::import(calgate, &folder, &many.calendar, &file)?;
    }
    let each = begun.elapsed() / many.items.len() as u32;
    bench.notes.push(format!("{MANY}: imported in {} an object", time(Some(each))));
    let described = format!("{}={}", many.calendar, many.items.len());
    let floor = ["sqlite", &folder.display().to_string(), &today.to_string(), &described];
    bench.servers = [Some(server), Some(servers::floor("floor-sqlite", &floor)?), None, None, None];
    let imported = bench.calgate().memory();

    bench.line(MANY, 0, |server, _| Ok(ops::read("propfind1", server, many)));
    let listing = ops::read("propfind1", bench.calgate(), many).request;
    let first = || Connection::new(&bench.calgate().address).pass(&listing).map(|answer| answer.first);
    let mut firsts = (0..21).map(|_| first()).collect::<Result<Vec<_>, _>>()?;
    firsts.sort_unstable();
    let note = format!(
        "{MANY}: calgate: the first byte came after {} (of 21 the middle one), {} at the worst; the goal is 100 ms",
        time(Some(firsts[10])),
        time(Some(firsts[20]))
    );
    bench.notes.push(note);
    let listed = bench.calgate().memory();
    let bounds = Bounds { time: Duration::MAX, requests: 8 };
    measure(bench.calgate(), 8, bounds, &|_| ops::everything(bench.calgate(), many))?;
    Ok([
        ("another server, when 100,000 objects were imported", imported),
        ("after their listing", listed),
        ("after they were listed with their data by 8 at once", bench.calgate().memory()),
    ])
}

/// Asks once and checks the answer, then measures with one connection and, if wanted, with eight.
fn timed(server: &Server, op: Result<Op, String>, eight: bool, bounds: Bounds) -> Result<Cell, String> {
    let op = op?;
    let (before, asked) = (server.cpu(), Instant::now());
    let answer = Connection::new(&server.address).send(&op.request).map_err(|e| e.to_string())?;
    let (took, cpu) = (asked.elapsed(), server.cpu() - before);
    (op.check)(&answer)?;
    if !eight && took > bounds.time {
        // It was slow enough to be measured by that.
        return Ok(Cell {
            one: Some(Figures { cpu, p50: took, p99: took, rate: 1.0 / took.as_secs_f64() }),
            eight: None,
        });
    }
    let bounds = Bounds { requests: if eight { bounds.requests } else { 20 }, ..bounds };
    one_and_eight(server, bounds, eight, &|_| op.request.clone())
}

fn one_and_eight(
    server: &Server,
    bounds: Bounds,
    eight: bool,
    make: &(dyn Fn(usize) -> Request + Sync),
) -> Result<Cell, String> {
    let again = |connections| measure(server, connections, bounds, make).map_err(|e| e.to_string());
    Ok(Cell { one: Some(again(1)?), eight: if eight { Some(again(8)?) } else { None } })
}

/// floor-static, fed with what floor-sqlite answers.
fn record(folder: &Path, sqlite: &Server, expected: &[Expected], today: Date) -> Result<Server, Error> {
    let mut requests: Vec<Request> = Vec::new();
    for each in &expected[..2] {
        requests.extend(ops::READS.map(|name| ops::read(name, sqlite, each).request));
        requests.push(recorded_sync(sqlite, each).request);
        requests.push(ops::sync_noop(sqlite, each, &recorded_token(each, 1)).request);
    }
    requests.push(ops::free_busy(sqlite, &sqlite.path("every"), std::iter::empty(), today).request);
    let mut connection = Connection::new(&sqlite.address);
    let mut answers = Vec::new();
    for request in &requests {
        answers.push((request.method, request.path.as_str(), request.body.as_str(), connection.send(request)?.body));
    }
    let file = folder.join("recorded");
    floor::record(&file, &answers)?;
    Ok(servers::floor("floor-static", &["static", &file.display().to_string()])?)
}

/// The floors' token from before the last `back - 1` objects.
fn recorded_token(expected: &Expected, back: usize) -> String {
    format!("urn:floor:{}", expected.items.len() - back)
}

/// The sync-collection of the floors before anything was changed: the last ten objects.
fn recorded_sync(server: &Server, expected: &Expected) -> Op {
    let last = expected.items.iter().rev().take(10).map(|item| item.name.clone()).collect();
    ops::sync_of_ten(server, expected, &recorded_token(expected, 11), last)
}

fn print(bench: &Bench, memory: &[(&str, Memory)], took: Duration) {
    println!("{}\n", machine());
    println!(
        "| operation | calgate CPU | × floor-sqlite | goal | p50 | p99 | per s, 1 conn. | per s, 8 | p99, 8 | floor-sqlite CPU | floor-static CPU | Radicale CPU | Xandikos CPU | best peer ÷ calgate |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for Line { name, goal, cells } in &bench.lines {
        let cpu: Vec<Option<Duration>> = cells.iter().map(Cell::cpu).collect();
        let ratio = |a: Option<Duration>, b: Option<Duration>| match (a, b) {
            (Some(a), Some(b)) if !b.is_zero() => format!("{:.1}", a.as_secs_f64() / b.as_secs_f64()),
            _ => "-".to_owned(),
        };
        let one = |f: fn(&Figures) -> String| cells[0].one.as_ref().map_or("-".to_owned(), f);
        let eight = |f: fn(&Figures) -> String| cells[0].eight.as_ref().map_or("-".to_owned(), f);
        println!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            time(cpu[0]),
            ratio(cpu[0], cpu[1]),
            goal.map_or("-".to_owned(), |goal| format!("{goal}")),
            one(|f| time(Some(f.p50))),
            one(|f| time(Some(f.p99))),
            one(|f| format!("{:.0}", f.rate)),
            eight(|f| format!("{:.0}", f.rate)),
            eight(|f| time(Some(f.p99))),
            time(cpu[1]),
            time(cpu[2]),
            time(cpu[3]),
            time(cpu[4]),
            ratio(cpu[3].into_iter().chain(cpu[4]).min(), cpu[0]),
        );
    }
    println!("\nWhat is to be said beside it:\n");
    for note in bench.wrong.iter().chain(&bench.notes) {
        println!("- {note}");
    }
    println!("\n| calgate's memory (PSS), MiB | its own | of files | together |\n|---|---|---|---|");
    for (when, Memory { anonymous, files }) in memory {
        let [anonymous, files, all] = [*anonymous, *files, anonymous + files].map(|bytes| bytes as f64 / 1048576.0);
        println!("| {when} | {anonymous:.0} | {files:.0} | {all:.0} |");
    }
    println!("\nThe run took {:.0} s.", took.as_secs_f64());
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
