//! A loop of requests, and what it cost.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::servers::Server;
use crate::wire::{Connection, Request};

/// What a loop of requests came to.
pub struct Figures {
    /// Of the server, per request.
    pub cpu: Duration,
    pub p50: Duration,
    pub p99: Duration,
    /// Per second.
    pub rate: f64,
}

impl Figures {
    /// Of what each request took, all together `took` and `cpu` of the server.
    fn of(mut times: Vec<Duration>, cpu: Duration, took: Duration) -> Figures {
        times.sort_unstable();
        Figures {
            cpu: cpu / times.len() as u32,
            p50: at(&times, 0.5),
            p99: at(&times, 0.99),
            rate: times.len() as f64 / took.as_secs_f64(),
        }
    }
}

/// The time that this share of them does not exceed.
fn at(sorted: &[Duration], share: f64) -> Duration {
    sorted.get((sorted.len().saturating_sub(1) as f64 * share) as usize).copied().unwrap_or_default()
}

/// What [`paced`] came to.
pub struct Paced {
    pub figures: Figures,
    /// The p99 of what reads, and of PUT, which waits for the disk.
    pub reads: Duration,
    pub writes: Duration,
    /// By how many bytes the server's own memory grew with the connections.
    pub held: u64,
}

/// How long a loop may be.
#[derive(Clone, Copy)]
pub struct Bounds {
    pub time: Duration,
    pub requests: usize,
}

/// Sends what `make` makes of 0, 1, 2, … over `connections` connections until a bound is reached.
/// An answer that is not 2xx is an error: a wrong answer is no measurement.
pub fn measure(
    server: &Server,
    connections: usize,
    bounds: Bounds,
    make: &(dyn Fn(usize) -> Request + Sync),
) -> io::Result<Figures> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (before, begun) = (server.cpu(), Instant::now());
    let loops: Vec<io::Result<Vec<Duration>>> = std::thread::scope(|scope| {
        let one = || {
            let mut connection = Connection::new(&server.address);
            let mut times = Vec::new();
            while begun.elapsed() < bounds.time && !failed.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= bounds.requests {
                    break;
                }
                let request = make(number);
                let sent = Instant::now();
                let answer = connection.pass(&request);
                times.push(sent.elapsed());
                let wrong = match answer {
                    Ok(answer) if (200..300).contains(&answer.status) => continue,
                    Ok(answer) => io::Error::other(format!("{} answered {}", server.name, answer.status)),
                    Err(e) => e,
                };
                failed.store(true, Ordering::Relaxed);
                return Err(wrong);
            }
            Ok(times)
        };
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|t| t.join().expect("a loop does not panic")).collect()
    });
    let (took, cpu) = (begun.elapsed(), server.cpu() - before);
    let times = loops.into_iter().collect::<io::Result<Vec<_>>>()?.concat();
    Ok(Figures::of(times, cpu, took))
}

/// Sends what `make` makes from `clients` connections, each of which asks once in every `pause`, evenly spread, for
/// `time`.
pub fn paced(
    server: &Server,
    clients: usize,
    pause: Duration,
    time: Duration,
    make: &(dyn Fn(usize) -> Request + Sync),
) -> io::Result<Paced> {
    let memory = server.memory().anonymous;
    let rounds = (time.as_secs_f64() / pause.as_secs_f64()) as usize;
    // All connect and ask once before anything counts.
    let ready = Barrier::new(clients + 1);
    let counted = Barrier::new(clients + 1);
    let next = AtomicUsize::new(0);
    let (mut before, mut held, mut begun) = (Duration::ZERO, 0, Instant::now());
    let loops: Vec<io::Result<Vec<(bool, Duration)>>> = std::thread::scope(|scope| {
        let (ready, counted, next) = (&ready, &counted, &next);
        let one = move |client: usize| {
            let mut connection = Connection::new(&server.address);
            let first = connection.pass(&make(next.fetch_add(1, Ordering::Relaxed)));
            ready.wait();
            counted.wait();
            first?;
            let begun = Instant::now() + pause.mul_f64(client as f64 / clients as f64);
            let mut times = Vec::with_capacity(rounds);
            for round in 0..rounds {
                let request = make(next.fetch_add(1, Ordering::Relaxed));
                // From when it was to be sent: who is kept waiting does not ask less.
                let due = begun + pause * round as u32;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let answer = connection.pass(&request)?;
                if !(200..300).contains(&answer.status) {
                    return Err(io::Error::other(format!("{} answered {}", server.name, answer.status)));
                }
                times.push((request.method == "PUT", due.elapsed()));
            }
            Ok(times)
        };
        let spawn = |client| std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, move || one(client));
        let threads: Vec<_> = (0..clients).map(|client| spawn(client).expect("a thread starts")).collect();
        ready.wait();
        (before, held, begun) = (server.cpu(), server.memory().anonymous.saturating_sub(memory), Instant::now());
        counted.wait();
        threads.into_iter().map(|t| t.join().expect("a loop does not panic")).collect()
    });
    let (took, cpu) = (begun.elapsed(), server.cpu() - before);
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for each in loops {
        for (writing, time) in each? {
            if writing { writes.push(time) } else { reads.push(time) }
        }
    }
    let figures = Figures::of([reads.as_slice(), &writes].concat(), cpu, took);
    reads.sort_unstable();
    writes.sort_unstable();
    Ok(Paced { figures, reads: at(&reads, 0.99), writes: at(&writes, 0.99), held })
}

/// What the disk of the run takes to keep 4 KiB at the end of a file: the median, and the p99.
pub fn sync(folder: &Path) -> io::Result<(Duration, Duration)> {
    let path = folder.join("synced");
    let mut file = File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..200 {
        let begun = Instant::now();
        file.write_all(&[1; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    std::fs::remove_file(path)?;
    times.sort_unstable();
    Ok((at(&times, 0.5), at(&times, 0.99)))
}
