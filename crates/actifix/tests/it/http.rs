//! A small HTTP/1.1 client that can also send what no well-behaved client would.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// No answer of the server takes longer; a test that waits this long has found a hang.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);
/// Requests over this size are written by a thread of their own, since the answer may come before their end.
const WRITE_AHEAD_BYTES: usize = 64 * 1024;
/// Largest answer that is read, bytes.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body without its framing.
    pub body: Vec<u8>,
    /// Statuses of the 1xx answers before it.
    pub interim: Vec<u16>,
}

impl Answer {
    /// First header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// How often a header is there.
    pub fn count(&self, name: &str) -> usize {
        self.headers.iter().filter(|(known, _)| known == name).count()
    }

    /// Body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{} is not JSON ({error}): {}", self.status, self.text()))
    }
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`.
    Sized,
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    framing: Framing,
}

impl Request {
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            framing: Framing::Sized,
        }
    }

    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target).body(body)
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// The bytes that go over the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("Host: 127.0.0.1\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let bodyless = self.body.is_empty() && matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS");
        match self.framing {
            Framing::Sized if bodyless => head.push_str("\r\n"),
            Framing::Sized => head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len())),
            Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n\r\n"),
        }
        let mut bytes = head.into_bytes();
        match self.framing {
            Framing::Sized => bytes.extend_from_slice(&self.body),
            Framing::Chunked => bytes.extend_from_slice(&chunked(&self.body)),
        }
        bytes
    }
}

/// A body in chunks of changing, odd sizes.
pub fn chunked(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 64);
    let mut rest = body;
    let mut size = 7;
    while !rest.is_empty() {
        let (chunk, tail) = rest.split_at(size.min(rest.len()));
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        rest = tail;
        size = (size * 3 + 1) % 65_521;
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// A connection that stays open between requests.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
        stream.set_write_timeout(Some(ANSWER_DEADLINE))?;
        let reader = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, reader })
    }

    /// Sends bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will be sent.
    pub fn finish_writing(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Sends a request and reads its answer.
    pub fn exchange(&mut self, bytes: &[u8]) -> io::Result<Answer> {
        let without_body = bytes.starts_with(b"HEAD ");
        if bytes.len() <= WRITE_AHEAD_BYTES {
            // The server may answer and close before it has read all: the answer counts, not the failed write.
            let written = self.stream.write_all(bytes);
            return match self.read(without_body) {
                Err(error) => Err(written.err().unwrap_or(error)),
                answer => answer,
            };
        }
        let mut writer = self.stream.try_clone()?;
        std::thread::scope(|scope| {
            scope.spawn(move || writer.write_all(bytes));
            let answer = self.read(without_body);
            if answer.is_err() {
                let _already_closed = self.stream.shutdown(Shutdown::Both);
            }
            answer
        })
    }

    /// Reads one answer; 1xx answers before it are noted.
    pub fn read(&mut self, without_body: bool) -> io::Result<Answer> {
        let mut interim = Vec::new();
        loop {
            let (status, headers) = self.read_head()?;
            if (100..200).contains(&status) {
                interim.push(status);
                continue;
            }
            let body = if without_body || status == 204 || status == 304 {
                Vec::new()
            } else {
                self.body(&headers)?
            };
            return Ok(Answer { status, headers, body, interim });
        }
    }

    /// Reads status and headers of one answer, which may be an interim one.
    pub fn read_head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        let line = self.line()?;
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| io::Error::other(format!("no status line: {line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok((status, headers));
            }
            let (name, value) =
                line.split_once(':').ok_or_else(|| io::Error::other("a header without colon"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// Reads one chunk of a body that goes on; an empty one is its end.
    pub fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let size = self.line()?;
        let size = u64::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        let mut chunk = Vec::new();
        self.reader.by_ref().take(size.min(ANSWER_BYTES_MAX)).read_to_end(&mut chunk)?;
        self.line()?;
        Ok(chunk)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.reader.by_ref().take(64 * 1024).read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    fn body(&mut self, headers: &[(String, String)]) -> io::Result<Vec<u8>> {
        let header =
            |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let mut body = Vec::new();
        if header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            loop {
                let size = self.line()?;
                let size = u64::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
                let read = self.reader.by_ref().take(size.min(ANSWER_BYTES_MAX)).read_to_end(&mut body)?;
                if read as u64 != size {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
                self.line()?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        let length = header("content-length").and_then(|text| text.parse::<u64>().ok());
        let limit = length.unwrap_or(ANSWER_BYTES_MAX).min(ANSWER_BYTES_MAX);
        let read = self.reader.by_ref().take(limit).read_to_end(&mut body)?;
        if length.is_some_and(|length| read as u64 != length) {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        Ok(body)
    }
}

/// Sends bytes over a new connection and reads the answer.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> io::Result<Answer> {
    Connection::open(address)?.exchange(bytes)
}
