//! A small HTTP client that tells an answer from a part of one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Nothing takes longer, a pause of the server included.
const ANSWER_MAX: Duration = Duration::from_secs(150);
/// Bytes of a body.
const BODY_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a line of a head.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("no JSON: {}", self.text()))
    }
}

/// How an exchange ended.
#[derive(Debug)]
pub enum Outcome {
    Answered(Answer),
    /// The connection ended before a byte of the answer: nothing was promised.
    Nothing,
    /// It ended within an answer.
    Half,
}

/// A connection that stays open between requests.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    host: SocketAddr,
}

/// A request that the server has begun to read.
#[derive(Debug)]
pub struct Begun {
    client: Client,
    body: Vec<u8>,
}

impl Begun {
    /// Sends the rest.
    pub fn finish(mut self) -> Result<Answer> {
        self.client.stream.write_all(&self.body).context("cannot send the rest of what was begun")?;
        self.client.read().context("what was begun was not answered")
    }
}

impl Client {
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, ANSWER_MAX).context("cannot connect")?;
        stream.set_nodelay(true).context("nodelay")?;
        stream.set_read_timeout(Some(ANSWER_MAX)).context("timeout")?;
        stream.set_write_timeout(Some(ANSWER_MAX)).context("timeout")?;
        let reader = BufReader::new(stream.try_clone().context("cannot clone a socket")?);
        Ok(Self { stream, reader, host: address })
    }

    /// Sends a request; `lines` are further header lines, each with its end.
    pub fn exchange(&mut self, method: &str, path: &str, lines: &str, body: &[u8]) -> Outcome {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{lines}Content-Length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        // An answer may come although not all was taken.
        let _written = self.stream.write_all(&request);
        if !matches!(self.reader.fill_buf(), Ok([_, ..])) {
            return Outcome::Nothing;
        }
        match self.read() {
            Ok(answer) => Outcome::Answered(answer),
            Err(_) => Outcome::Half,
        }
    }

    /// Sends the head of a request, and waits until the server asks for the body: then it has begun.
    pub fn begin(mut self, path: &str, body: Vec<u8>) -> Result<Begun> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        self.stream.write_all(head.as_bytes()).context("cannot send")?;
        let line = self.line()?;
        if line.split(' ').nth(1) != Some("100") || !self.line()?.is_empty() {
            bail!("the server did not ask for the body: {line}");
        }
        Ok(Begun { client: self, body })
    }

    /// Sends a request that must be answered.
    pub fn ask(&mut self, method: &str, path: &str, lines: &str, body: &[u8]) -> Result<Answer> {
        match self.exchange(method, path, lines, body) {
            Outcome::Answered(answer) => Ok(answer),
            Outcome::Nothing => bail!("{method} {path}: the connection ended without an answer"),
            Outcome::Half => bail!("{method} {path}: the connection ended within an answer"),
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        (&mut self.reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).context("cannot read")?;
        if line.pop() != Some(b'\n') {
            bail!("cut off");
        }
        Ok(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned())
    }

    fn read(&mut self) -> Result<Answer> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|text| text.parse().ok()).context("no status")?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = u64::from_str_radix(self.line()?.trim(), 16).context("a chunk without a size")?;
                self.take(size, &mut answer.body)?;
                self.line()?;
                if size == 0 {
                    return Ok(answer);
                }
            }
        }
        let length = answer.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        self.take(length, &mut answer.body)?;
        Ok(answer)
    }

    fn take(&mut self, length: u64, into: &mut Vec<u8>) -> Result<()> {
        let length = length.min(BODY_BYTES_MAX);
        let read = (&mut self.reader).take(length).read_to_end(into).context("cannot read")?;
        if read as u64 == length { Ok(()) } else { bail!("cut off") }
    }
}
