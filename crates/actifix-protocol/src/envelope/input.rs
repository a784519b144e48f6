//! Bytes of an envelope, in the pieces that framing asks for.

use std::io::{self, Read};

use crate::encoding::DecodeError;
use crate::limits::{FRAME_BUFFER_BYTES, to_usize};

/// A buffered reader that never holds more than its buffer and what a caller asked to keep.
pub(super) struct Input<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
    /// Bytes that may still come: the framer's own cap, for readers that have none.
    left: u64,
}

/// A line or payload that was read.
pub(super) struct Taken {
    /// What was kept; empty when it was over the limit.
    pub(super) bytes: Vec<u8>,
    /// How many bytes there were, kept or not.
    pub(super) length: u64,
    /// True when there were more than the limit.
    pub(super) over: bool,
    /// True when it ended as it should (newline, or all bytes asked for), false at the end of input.
    pub(super) complete: bool,
}

impl<R: Read> Input<R> {
    pub(super) fn new(reader: R, bytes_max: u64) -> Self {
        Self { reader, buffer: vec![0; FRAME_BUFFER_BYTES], start: 0, end: 0, ended: false, left: bytes_max }
    }

    /// Takes bytes up to the next newline, which is taken too but not returned. With `max` of `None` nothing is
    /// kept.
    pub(super) fn line(&mut self, max: Option<u64>) -> Result<Taken, DecodeError> {
        self.up_to_newline(max, false)
    }

    /// Like [`Self::line`], but stops early once the line is over `max`.
    pub(super) fn short_line(&mut self, max: u64) -> Result<Taken, DecodeError> {
        self.up_to_newline(Some(max), true)
    }

    fn up_to_newline(&mut self, max: Option<u64>, stop_when_over: bool) -> Result<Taken, DecodeError> {
        let mut taken = Taken::new();
        // Ends: each turn takes a piece, or finds the end of the input.
        loop {
            let seen = self.fill()?;
            if seen.is_empty() || (stop_when_over && taken.over) {
                return Ok(taken);
            }
            let newline = memchr::memchr(b'\n', seen);
            let piece = newline.unwrap_or(seen.len());
            taken.add(seen.get(..piece).unwrap_or_default(), max);
            self.start += piece + usize::from(newline.is_some());
            if newline.is_some() {
                taken.complete = true;
                return Ok(taken);
            }
        }
    }

    /// Takes exactly `count` bytes, kept when `keep`.
    pub(super) fn exactly(&mut self, count: u64, keep: bool) -> Result<Taken, DecodeError> {
        let mut taken = Taken::new();
        let mut missing = count;
        while missing > 0 {
            let seen = self.fill()?;
            if seen.is_empty() {
                return Ok(taken);
            }
            let piece = seen.len().min(to_usize(missing));
            taken.add(seen.get(..piece).unwrap_or_default(), keep.then_some(u64::MAX));
            self.start += piece;
            missing -= piece as u64;
        }
        taken.complete = true;
        Ok(taken)
    }

    /// The next byte without taking it; `None` at the end.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, DecodeError> {
        Ok(self.fill()?.first().copied())
    }

    /// Takes one byte that was peeked at.
    pub(super) fn take_byte(&mut self) {
        self.start = (self.start + 1).min(self.end);
    }

    fn fill(&mut self) -> Result<&[u8], DecodeError> {
        // Ends: a turn either fills the buffer, or sets `ended`, or was interrupted by a signal.
        while self.start == self.end && !self.ended {
            self.start = 0;
            self.end = 0;
            match self.reader.read(&mut self.buffer) {
                Ok(0) => self.ended = true,
                Ok(count) if count as u64 > self.left => return Err(DecodeError::TooLarge),
                Ok(count) => {
                    self.end = count.min(self.buffer.len());
                    self.left -= count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    return Err(DecodeError::of(&error));
                }
            }
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }
}

impl Taken {
    fn new() -> Self {
        Self { bytes: Vec::new(), length: 0, over: false, complete: false }
    }

    fn add(&mut self, piece: &[u8], max: Option<u64>) {
        self.length = self.length.saturating_add(piece.len() as u64);
        let Some(max) = max else { return };
        if self.length > max {
            self.over = true;
            // Given back at once: what is dropped must not be held.
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(piece);
        }
    }
}
