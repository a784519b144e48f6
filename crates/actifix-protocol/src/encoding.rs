//! Undoing `Content-Encoding`, as a stream with a hard cap on what comes out (`ingest.md` §6).
//!
//! A few hundred bytes of brotli are 200 MiB of zeros. So output is counted while it is produced, at every layer of
//! a list of codings, and nobody ever holds more of it than the reader asked for.

use std::fmt;
use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use crate::limits::{
    CODINGS_MAX, CONTENT_ENCODING_BYTES_MAX, DECODE_CHUNK_BYTES, Limits, ZSTD_WINDOW_LOG_MAX, to_usize,
};

mod brotli;
mod deflate;

/// Why a body could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes in or out than allowed; answer 413.
    #[error("request body too large")]
    TooLarge,
    /// A coding that we do not know, or more than two of them; answer 415.
    #[error("unsupported content encoding")]
    Unsupported,
    /// Bytes that are no valid stream of their coding, or a stream that ends early; answer 400.
    #[error("broken content encoding")]
    Corrupt,
}

impl DecodeError {
    /// What went wrong behind an error of [`Decoder`]; an error of any other origin counts as [`Self::Corrupt`].
    pub fn of(error: &io::Error) -> Self {
        error.get_ref().and_then(|inner| inner.downcast_ref()).copied().unwrap_or(Self::Corrupt)
    }

    /// The HTTP status that answers it.
    pub fn status(self) -> u16 {
        match self {
            Self::TooLarge => 413,
            Self::Unsupported => 415,
            Self::Corrupt => 400,
        }
    }
}

impl From<DecodeError> for io::Error {
    fn from(error: DecodeError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// Reads the decoded body. Every error it returns is a [`DecodeError`] inside (see [`DecodeError::of`]).
///
/// Memory: at most one window per coding (gzip, deflate 32 KiB; zstd 8 MiB; brotli 16 MiB) and small buffers.
pub struct Decoder<'a> {
    inner: Capped<Box<dyn Read + 'a>>,
}

impl fmt::Debug for Decoder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("left_bytes", &self.inner.left).finish_non_exhaustive()
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.inner.read(out).map_err(|error| DecodeError::of(&error).into())
    }
}

impl Decoder<'_> {
    /// Bytes that may still come out: what is left of the limit for a request.
    pub fn left_bytes(&self) -> u64 {
        self.inner.left
    }

    /// The whole decoded body, at most `bytes_max` of it.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`] when there is more, [`DecodeError::Corrupt`] for a broken stream.
    pub fn read_all(mut self, bytes_max: u64) -> Result<Vec<u8>, DecodeError> {
        let mut out = Vec::new();
        let limit = bytes_max.saturating_add(1);
        self.by_ref().take(limit).read_to_end(&mut out).map_err(|error| DecodeError::of(&error))?;
        if out.len() > to_usize(bytes_max) { Err(DecodeError::TooLarge) } else { Ok(out) }
    }
}

/// A reader of `body` with the codings of the header undone, from the right. Absent header: `""`.
///
/// # Errors
/// [`DecodeError::Unsupported`] for an unknown coding or more than two, [`DecodeError::TooLarge`] for a body over
/// the limit for compressed requests. Everything else shows while reading.
pub fn decoder<'a>(
    content_encoding: &str,
    body: &'a [u8],
    limits: &Limits,
) -> Result<Decoder<'a>, DecodeError> {
    let codings = parse_codings(content_encoding)?;
    if body.len() > to_usize(limits.request_bytes_max) {
        return Err(DecodeError::TooLarge);
    }
    let cap = limits.decoded_bytes_max;
    let mut reader: Box<dyn Read + 'a> = Box::new(body);
    for coding in codings.iter().rev() {
        // Each layer has the cap, else an inner one could burn time without ever letting a byte out.
        reader = Box::new(Capped { inner: coding.open(reader)?, left: cap });
    }
    Ok(Decoder { inner: Capped { inner: reader, left: cap } })
}

/// The body of a deflate stream, zlib-wrapped or raw, for callers that know the coding from elsewhere.
pub(crate) fn inflate(body: &[u8], bytes_max: u64) -> Result<Vec<u8>, DecodeError> {
    let reader: Box<dyn Read + '_> = Box::new(deflate::Inflate::new(body));
    Decoder { inner: Capped { inner: reader, left: bytes_max } }.read_all(bytes_max)
}

/// The content of a gzip stream, for callers that know the coding from elsewhere.
///
/// # Errors
/// [`DecodeError::TooLarge`] when there is more than `bytes_max`, [`DecodeError::Corrupt`] for a broken stream.
pub fn gunzip(body: &[u8], bytes_max: u64) -> Result<Vec<u8>, DecodeError> {
    let reader: Box<dyn Read + '_> = Box::new(MultiGzDecoder::new(body));
    Decoder { inner: Capped { inner: reader, left: bytes_max } }.read_all(bytes_max)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    fn open<'a>(self, input: Box<dyn Read + 'a>) -> Result<Box<dyn Read + 'a>, DecodeError> {
        Ok(match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(DECODE_CHUNK_BYTES, input))),
            Self::Deflate => Box::new(deflate::Inflate::new(input)),
            Self::Brotli => Box::new(brotli::Brotli::new(input)),
            Self::Zstd => {
                let input = BufReader::with_capacity(DECODE_CHUNK_BYTES, input);
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(input).map_err(|_| DecodeError::Corrupt)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| DecodeError::Corrupt)?;
                Box::new(decoder)
            }
        })
    }
}

fn parse_codings(header: &str) -> Result<Vec<Coding>, DecodeError> {
    if header.len() > CONTENT_ENCODING_BYTES_MAX {
        return Err(DecodeError::Unsupported);
    }
    let mut codings = Vec::new();
    for word in header.split(',') {
        let coding = match word.trim().to_ascii_lowercase().as_str() {
            // sentry-ruby sends the header with an empty value.
            "" | "identity" => continue,
            "gzip" | "x-gzip" => Coding::Gzip,
            "deflate" => Coding::Deflate,
            "br" => Coding::Brotli,
            "zstd" => Coding::Zstd,
            _ => return Err(DecodeError::Unsupported),
        };
        if codings.len() == CODINGS_MAX {
            return Err(DecodeError::Unsupported);
        }
        codings.push(coding);
    }
    Ok(codings)
}

/// Lets `left` more bytes pass, then fails unless the inner reader is at its end.
struct Capped<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            // Exactly at the cap is fine: only a further byte is too much.
            let mut probe = [0u8; 1];
            return match self.inner.read(&mut probe)? {
                0 => Ok(0),
                _ => Err(DecodeError::TooLarge.into()),
            };
        }
        let want = out.len().min(to_usize(self.left));
        let count = self.inner.read(out.get_mut(..want).unwrap_or_default())?;
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
