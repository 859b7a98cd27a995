//! A connection that does not wait for ever: the time-outs hyper has not, in one place under HTTP/1.1, HTTP/2 and TLS.
//!
//! The time a request body may take is not here but where it is read (`router.rs`), because it has an answer: 408.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::config::Limits;

/// How long what may take.
#[derive(Clone, Copy)]
pub struct Times {
    /// From the first byte of a request head (for the first request: from the connection) to its last.
    pub head: Duration,
    /// Between two requests.
    idle: Duration,
    /// For the other side to take some of what we write.
    write: Duration,
}

impl Times {
    pub fn of(limits: &Limits) -> Times {
        Times { head: limits.head_time, idle: limits.keep_alive, write: limits.write_pause }
    }
}

/// Without a byte in either direction while a request is being answered: a peer that is gone, or one that holds its
/// HTTP/2 window shut.
const STILL: Duration = Duration::from_secs(120);

/// What an HTTP/2 connection begins with; no HTTP/1 method begins with it.
pub const PREFACE: [u8; 3] = *b"PRI";

/// What the connection has to know of the requests on it.
pub struct Requests {
    begun: AtomicUsize,
    open: AtomicUsize,
    since: Instant,
    /// When the last of them ended, in milliseconds after `since`.
    ended: AtomicU64,
}

impl Default for Requests {
    fn default() -> Requests {
        Requests {
            begun: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            since: Instant::now(),
            ended: AtomicU64::new(0),
        }
    }
}

impl Requests {
    /// A request head was read whole. It is being answered until what this returns is dropped.
    pub fn begin(self: &Arc<Requests>) -> Open {
        self.begun.fetch_add(1, Ordering::AcqRel);
        self.open.fetch_add(1, Ordering::AcqRel);
        Open(Arc::clone(self))
    }

    /// When the last one ended; before the first: when the connection began.
    fn ended(&self) -> Instant {
        self.since + Duration::from_millis(self.ended.load(Ordering::Acquire))
    }
}

/// A request that is being answered.
pub struct Open(Arc<Requests>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.ended.store(self.0.since.elapsed().as_millis() as u64, Ordering::Release);
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A stream whose reads and writes fail when the other side is too slow. An idle one simply ends.
pub struct Deadlines<S> {
    stream: S,
    requests: Arc<Requests>,
    times: Times,
    /// How much of [`PREFACE`] was seen; `None`: something else came, this is HTTP/1.
    preface: Option<usize>,
    /// How many requests had begun when we last looked.
    begun: usize,
    /// Since when a head is being read.
    head_since: Option<Instant>,
    /// When a byte last went in either direction.
    moved: Instant,
    reading: Pin<Box<Sleep>>,
    /// Runs while a write waits.
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> Deadlines<S> {
    /// `begun`: since when the head of the first request may come.
    pub fn new(stream: S, begun: Instant, requests: Arc<Requests>, times: Times) -> Deadlines<S> {
        Deadlines {
            stream,
            requests,
            times,
            preface: Some(0),
            begun: 0,
            head_since: Some(begun),
            moved: begun,
            reading: Box::pin(sleep_until(begun + times.head)),
            writing: None,
        }
    }

    fn is_http2(&self) -> bool {
        self.preface == Some(PREFACE.len())
    }

    /// Forgets the head that was being read when its request has begun.
    fn look(&mut self) {
        let begun = self.requests.begun.load(Ordering::Acquire);
        if begun != self.begun {
            self.begun = begun;
            self.head_since = None;
        }
    }

    fn note_read(&mut self, bytes: &[u8]) {
        self.moved = Instant::now();
        for byte in bytes {
            match self.preface {
                Some(seen) if seen < PREFACE.len() => {
                    self.preface = (*byte == PREFACE[seen]).then_some(seen + 1);
                }
                _ => break,
            }
        }
        if self.is_http2() {
            // Frames come at any time, and heads in several of them; a request has to be begun by one.
            self.head_since = None;
        } else if self.head_since.is_none() && self.requests.open.load(Ordering::Acquire) == 0 {
            self.head_since = Some(self.moved);
        }
    }

    /// Until when there has to be something to read, and what it means if there is not.
    fn deadline(&self) -> (Instant, Late) {
        if self.requests.open.load(Ordering::Acquire) > 0 {
            (self.moved + STILL, Late::Still)
        } else if let Some(since) = self.head_since {
            (since + self.times.head, Late::Head)
        } else {
            let since = if self.is_http2() { self.requests.ended() } else { self.moved };
            (since + self.times.idle, Late::Idle)
        }
    }

    /// Called when a read waits.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let (deadline, late) = self.deadline();
            if deadline <= Instant::now() {
                return Poll::Ready(match late {
                    Late::Idle => Ok(()),
                    Late::Head => Err(too_late("the head of a request did not come")),
                    Late::Still => Err(too_late("nothing moved while a request was open")),
                });
            }
            // A timer that is too early wakes us for nothing, once; setting it at each read would cost more.
            if self.reading.deadline() > deadline || self.reading.is_elapsed() {
                self.reading.as_mut().reset(deadline);
            }
            ready!(self.reading.as_mut().poll(cx));
        }
    }

    /// Passes on how a write went, and fails it when it waits for too long.
    fn written<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.moved = Instant::now();
            self.writing = None;
            return done;
        }
        let write = self.times.write;
        let waiting = self.writing.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + write)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(too_late("the other side took nothing")))
    }
}

enum Late {
    Head,
    Idle,
    Still,
}

fn too_late(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for Deadlines<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.look();
        let before = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                let bytes = &buf.filled()[before..];
                if !bytes.is_empty() {
                    this.note_read(bytes);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Pending => this.poll_late(cx),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Deadlines<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.written(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Not written(): a flush with nothing to send is no sign of life.
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Pending => self.written(cx, Poll::Pending),
            done => done,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_shutdown(cx) {
            Poll::Pending => self.written(cx, Poll::Pending),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{sleep, timeout};

    use super::*;

    /// A connection on a clock that stands still: our side, their side, the requests on it.
    fn pair() -> (Deadlines<DuplexStream>, DuplexStream, Arc<Requests>) {
        let (ours, theirs) = duplex(64);
        let requests = Arc::new(Requests::default());
        (Deadlines::new(ours, Instant::now(), Arc::clone(&requests), Times::of(&Limits::default())), theirs, requests)
    }

    /// Reads for `seconds`: what came, or why it ended, or that it still waits.
    async fn read(ours: &mut Deadlines<DuplexStream>, seconds: u64) -> Result<String, &'static str> {
        let mut bytes = [0; 64];
        match timeout(Duration::from_secs(seconds), ours.read(&mut bytes)).await {
            Err(_) => Err("waits"),
            Ok(Err(e)) if e.kind() == io::ErrorKind::TimedOut => Err("too late"),
            Ok(Err(e)) => panic!("{e}"),
            Ok(Ok(0)) => Err("end"),
            Ok(Ok(n)) => Ok(String::from_utf8_lossy(&bytes[..n]).into_owned()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_is_dropped_after_ten_seconds() {
        let (mut ours, _theirs, _) = pair();
        assert_eq!(read(&mut ours, 9).await, Err("waits"));
        assert_eq!(read(&mut ours, 2).await, Err("too late"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_is_dropped_ten_seconds_after_it_began() {
        let (mut ours, mut theirs, requests) = pair();
        drop(requests.begin());
        ours.look();
        sleep(Duration::from_secs(50)).await;
        for _ in 0..9 {
            theirs.write_all(b"G").await.unwrap();
            assert_eq!(read(&mut ours, 1).await, Ok("G".to_owned()));
            assert_eq!(read(&mut ours, 1).await, Err("waits"));
        }
        assert_eq!(read(&mut ours, 2).await, Err("too late"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_ends_after_75_seconds() {
        let (mut ours, _theirs, requests) = pair();
        drop(requests.begin());
        assert_eq!(read(&mut ours, 74).await, Err("waits"));
        assert_eq!(read(&mut ours, 2).await, Err("end"));
    }

    /// Frames are no requests: neither pings nor a head that drips keep a connection.
    #[tokio::test(start_paused = true)]
    async fn http2_ends_75_seconds_after_its_last_request_whatever_comes() {
        let (mut ours, mut theirs, requests) = pair();
        theirs.write_all(b"PRI * HTTP/2.0").await.unwrap();
        read(&mut ours, 1).await.unwrap();
        let mut frames = async |ours: &mut Deadlines<DuplexStream>, count: usize| {
            for _ in 0..count {
                theirs.write_all(b"frame").await.unwrap();
                read(ours, 1).await.unwrap();
                assert_eq!(read(ours, 10).await, Err("waits"));
            }
        };
        frames(&mut ours, 5).await;
        let open = requests.begin();
        frames(&mut ours, 10).await;
        drop(open);
        frames(&mut ours, 7).await;
        assert_eq!(read(&mut ours, 6).await, Err("end"));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_ends_while_a_request_is_answered_until_two_minutes_pass_in_silence() {
        let (mut ours, mut theirs, requests) = pair();
        theirs.write_all(b"GET").await.unwrap();
        read(&mut ours, 1).await.unwrap();
        let open = requests.begin();
        assert_eq!(read(&mut ours, 119).await, Err("waits"));
        ours.write_all(b"x").await.unwrap();
        assert_eq!(read(&mut ours, 119).await, Err("waits"));
        assert_eq!(read(&mut ours, 2).await, Err("too late"));
        drop(open);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_nobody_takes_fails_after_thirty_seconds() {
        let (mut ours, mut theirs, _) = pair();
        ours.write_all(&[0; 64]).await.unwrap();
        let full = tokio::spawn(async move { (ours.write(&[0; 64]).await, ours) });
        sleep(Duration::from_secs(29)).await;
        assert!(!full.is_finished());
        // Some progress is enough for thirty seconds more.
        theirs.read_exact(&mut [0; 8]).await.unwrap();
        let (taken, mut ours) = full.await.unwrap();
        assert_eq!(taken.unwrap(), 8);
        let full = tokio::spawn(async move { ours.write(&[0; 64]).await });
        sleep(Duration::from_secs(29)).await;
        assert!(!full.is_finished());
        sleep(Duration::from_secs(2)).await;
        assert_eq!(full.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
