//! A loop of requests, and what it cost.

use std::io;
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
                let answer = connection.send(&request);
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
    let mut times = Vec::new();
    for each in loops {
        times.extend(each?);
    }
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Ok(Figures {
        cpu: cpu / times.len() as u32,
        p50: at(0.5),
        p99: at(0.99),
        rate: times.len() as f64 / took.as_secs_f64(),
    })
}
