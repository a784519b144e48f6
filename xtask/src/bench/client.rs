//! A blocking HTTP/1.1 client over one kept connection. Small, so that it takes little of the cores it measures on.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Bytes of an answer's body.
const BODY_BYTES_MAX: usize = 32 << 20;
/// No answer may take longer.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes that are read at once.
const CHUNK: usize = 16 * 1024;

/// One connection.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// Status, head and body of an answer.
#[derive(Debug)]
pub struct Answer<'a> {
    pub status: u16,
    /// Status line and headers.
    pub head: &'a str,
    pub body: &'a [u8],
}

impl Client {
    /// The connection is made by the first request. Only loopback: a bench must not load other machines.
    pub fn new(address: SocketAddr) -> Result<Self> {
        if !address.ip().is_loopback() {
            bail!("{address} is not a loopback address; the bench measures servers that it started");
        }
        Ok(Self { address, stream: None, buffer: Vec::with_capacity(CHUNK) })
    }

    /// Sends a whole request, head and body, and reads the answer.
    pub fn send(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        stream.write_all(request).context("cannot send a request")?;
        self.buffer.clear();
        let head_end = loop {
            let seen = self.buffer.len().saturating_sub(3);
            self.fill(&mut stream)?;
            if let Some(found) = self.buffer[seen..].windows(4).position(|window| window == b"\r\n\r\n") {
                break seen + found + 4;
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                bail!("the head of an answer is longer than {HEAD_BYTES_MAX} bytes");
            }
        };
        let head = Head::parse(&self.buffer[..head_end])?;
        let whole = head_end + head.length;
        while self.buffer.len() < whole {
            self.fill(&mut stream)?;
        }
        if self.buffer.len() > whole {
            bail!("the answer is longer than it says");
        }
        if !head.closes {
            self.stream = Some(stream);
        }
        let text =
            std::str::from_utf8(&self.buffer[..head_end]).context("the head of an answer is not text")?;
        Ok(Answer { status: head.status, head: text, body: &self.buffer[head_end..whole] })
    }

    fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, TIMEOUT)
            .with_context(|| format!("cannot connect to {}", self.address))?;
        stream.set_nodelay(true).context("cannot switch Nagle off")?;
        stream.set_read_timeout(Some(TIMEOUT)).context("cannot set a timeout")?;
        stream.set_write_timeout(Some(TIMEOUT)).context("cannot set a timeout")?;
        Ok(stream)
    }

    fn fill(&mut self, stream: &mut TcpStream) -> Result<()> {
        let old = self.buffer.len();
        self.buffer.resize(old + CHUNK, 0);
        let read = stream.read(&mut self.buffer[old..]).context("cannot read an answer")?;
        self.buffer.truncate(old + read);
        if read == 0 {
            bail!("the server closed the connection in the middle of an answer");
        }
        Ok(())
    }
}

struct Head {
    status: u16,
    length: usize,
    closes: bool,
}

impl Head {
    fn parse(head: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(head).context("the head of an answer is not text")?;
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|status| status.parse().ok())
            .context("an answer without a status")?;
        let mut parsed = Self { status, length: 0, closes: false };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                parsed.length = value.parse().context("a content-length that is no number")?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                bail!("an answer with transfer-encoding {value}, which this client does not read");
            } else if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close") {
                parsed.closes = true;
            }
        }
        if parsed.length > BODY_BYTES_MAX {
            bail!("an answer of {} bytes is longer than {BODY_BYTES_MAX}", parsed.length);
        }
        Ok(parsed)
    }
}

/// A GET with an optional bearer token.
pub fn get(path: &str, token: Option<&str>) -> Vec<u8> {
    let authorization = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_and_unknown_framings_refused() {
        let head =
            Head::parse(b"HTTP/1.1 429 Too Many\r\nContent-LENGTH: 12\r\nConnection: Close\r\n\r\n").unwrap();
        assert_eq!((head.status, head.length, head.closes), (429, 12, true));
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(Head::parse(b"nonsense\r\n\r\n").is_err());
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n").is_err());
    }

    #[test]
    fn other_machines_are_refused() {
        assert!(Client::new("192.0.2.1:80".parse().unwrap()).is_err());
    }
}
