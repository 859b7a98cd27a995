//! The least HTTP/1.1 client: blocking, one connection, so that what is measured is the server.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A request, ready to be written.
#[derive(Clone)]
pub struct Request {
    pub method: &'static str,
    pub path: String,
    pub body: String,
    bytes: Vec<u8>,
}

impl Request {
    /// `headers`: whole lines, each with its line end.
    pub fn new(method: &'static str, path: impl Into<String>, headers: &str, body: impl Into<String>) -> Request {
        let (path, body) = (path.into(), body.into());
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{headers}\r\n");
        Request { method, bytes: [head.as_bytes(), body.as_bytes()].concat(), path, body }
    }
}

pub struct Answer {
    pub status: u16,
    /// From the request to the first line of the answer.
    pub first: Duration,
    /// Empty of [`Connection::pass`].
    pub body: Vec<u8>,
}

pub struct Connection {
    address: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    /// `address`: host and port. Connects when first used, and again when the server closed after an answer.
    pub fn new(address: &str) -> Connection {
        Connection { address: address.to_owned(), stream: None }
    }

    /// Sends once and reads the whole answer.
    pub fn send(&mut self, request: &Request) -> io::Result<Answer> {
        self.ask(request, true)
    }

    /// Sends once and reads the whole answer, of which the body is not kept.
    pub fn pass(&mut self, request: &Request) -> io::Result<Answer> {
        self.ask(request, false)
    }

    fn ask(&mut self, request: &Request, keep_body: bool) -> io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(Duration::from_secs(300)))?;
                BufReader::with_capacity(64 * 1024, stream)
            }
        };
        let sent = Instant::now();
        stream.get_mut().write_all(&request.bytes)?;
        let (answer, keep) = read(&mut stream, sent, keep_body)?;
        if keep {
            self.stream = Some(stream);
        }
        Ok(answer)
    }
}

/// The answer, and whether the connection may be used again.
fn read(stream: &mut impl BufRead, sent: Instant, keep_body: bool) -> io::Result<(Answer, bool)> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let first = sent.elapsed();
    let status = line.split(' ').nth(1).and_then(|s| s.trim().parse().ok()).ok_or_else(|| wrong("no status line"))?;
    let mut keep = line.starts_with("HTTP/1.1");
    let (mut length, mut chunked) = (None, false);
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match (name.to_ascii_lowercase().as_str(), value.trim().to_ascii_lowercase().as_str()) {
            ("content-length", n) => length = Some(n.parse::<u64>().map_err(|_| wrong("a length that is no number"))?),
            ("transfer-encoding", "chunked") => chunked = true,
            ("connection", "close") => keep = false,
            _ => {}
        }
    }
    let mut body = Body { kept: keep_body.then(Vec::new) };
    if chunked {
        loop {
            line.clear();
            stream.read_line(&mut line)?;
            let size = u64::from_str_radix(line.trim(), 16).map_err(|_| wrong("a chunk without a size"))?;
            body.take(stream, Some(size))?;
            line.clear();
            stream.read_line(&mut line)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = length {
        body.take(stream, Some(length))?;
    } else if !matches!(status, 204 | 304) {
        keep = false;
        body.take(stream, None)?;
    }
    Ok((Answer { status, first, body: body.kept.unwrap_or_default() }, keep))
}

struct Body {
    /// `None`: it is read and forgotten.
    kept: Option<Vec<u8>>,
}

impl Body {
    /// Reads that many bytes; `None`: all that come.
    fn take(&mut self, stream: &mut impl BufRead, length: Option<u64>) -> io::Result<()> {
        let mut part = stream.take(length.unwrap_or(u64::MAX));
        let read = match &mut self.kept {
            Some(kept) => part.read_to_end(kept)? as u64,
            None => io::copy(&mut part, &mut io::sink())?,
        };
        if length.is_some_and(|length| read < length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}
