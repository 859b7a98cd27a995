//! The least HTTP/1.1 client: blocking, one connection, so that what is measured is the server.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

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
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(Duration::from_secs(300)))?;
                BufReader::with_capacity(64 * 1024, stream)
            }
        };
        stream.get_mut().write_all(&request.bytes)?;
        let (answer, keep) = read(&mut stream)?;
        if keep {
            self.stream = Some(stream);
        }
        Ok(answer)
    }
}

/// The answer, and whether the connection may be used again.
fn read(stream: &mut impl BufRead) -> io::Result<(Answer, bool)> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|s| s.trim().parse().ok()).ok_or_else(|| wrong("no status line"))?;
    let mut keep = line.starts_with("HTTP/1.1");
    let (mut length, mut chunked) = (None, false);
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match (name.to_ascii_lowercase().as_str(), value.trim().to_ascii_lowercase().as_str()) {
            ("content-length", n) => {
                length = Some(n.parse::<usize>().map_err(|_| wrong("a length that is no number"))?)
            }
            ("transfer-encoding", "chunked") => chunked = true,
            ("connection", "close") => keep = false,
            _ => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            line.clear();
            stream.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16).map_err(|_| wrong("a chunk without a size"))?;
            let from = body.len();
            body.resize(from + size, 0);
            stream.read_exact(&mut body[from..])?;
            line.clear();
            stream.read_line(&mut line)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = length {
        body.resize(length, 0);
        stream.read_exact(&mut body)?;
    } else if !matches!(status, 204 | 304) {
        keep = false;
        stream.read_to_end(&mut body)?;
    }
    Ok((Answer { status, body }, keep))
}
