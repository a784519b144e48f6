//! `deflate`: zlib-wrapped by the standard, raw by old clients.

use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress, Status};

use super::DecodeError;
use crate::limits::{DECODE_CHUNK_BYTES, DEFLATE_PROBE_BYTES};

/// Reads a deflate stream of either kind. Unlike the ready-made readers it reports a stream that ends early.
pub(super) struct Inflate<R> {
    input: R,
    chunk: Vec<u8>,
    start: usize,
    end: usize,
    input_ended: bool,
    /// Chosen at the first read, when enough input is there to tell.
    state: Option<Decompress>,
    done: bool,
}

impl<R: Read> Inflate<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            chunk: vec![0; DECODE_CHUNK_BYTES],
            start: 0,
            end: 0,
            input_ended: false,
            state: None,
            done: false,
        }
    }

    /// Refills the chunk when it is used up.
    fn fill(&mut self) -> io::Result<()> {
        if self.start == self.end && !self.input_ended {
            self.start = 0;
            self.end = self.input.read(&mut self.chunk)?;
            self.input_ended = self.end == 0;
        }
        Ok(())
    }

    /// Looks at the first bytes: what zlib can begin to read is zlib, all else is taken for raw.
    fn choose(&mut self) -> io::Result<Decompress> {
        while self.end < DEFLATE_PROBE_BYTES && !self.input_ended {
            let count = self.input.read(self.chunk.get_mut(self.end..).unwrap_or_default())?;
            self.end += count;
            self.input_ended = count == 0;
        }
        let seen = self.chunk.get(..self.end).unwrap_or_default();
        let mut scratch = [0u8; DEFLATE_PROBE_BYTES];
        let zlib = Decompress::new(true).decompress(seen, &mut scratch, FlushDecompress::None).is_ok();
        Ok(Decompress::new(zlib))
    }
}

impl<R: Read> Read for Inflate<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() || self.done {
            return Ok(0);
        }
        let mut state = match self.state.take() {
            Some(state) => state,
            None => self.choose()?,
        };
        // Each turn uses up input or makes output; a turn that does neither ends the loop below.
        loop {
            self.fill()?;
            let before = (state.total_in(), state.total_out());
            let chunk = self.chunk.get(self.start..self.end).unwrap_or_default();
            let status =
                state.decompress(chunk, out, FlushDecompress::None).map_err(|_| DecodeError::Corrupt)?;
            let used = usize::try_from(state.total_in() - before.0).unwrap_or(usize::MAX);
            let made = usize::try_from(state.total_out() - before.1).unwrap_or(usize::MAX);
            self.start = self.start.saturating_add(used).min(self.end);
            if status == Status::StreamEnd {
                self.done = true;
                self.fill()?;
                if self.start != self.end {
                    return Err(DecodeError::Corrupt.into());
                }
                return Ok(made);
            }
            if made > 0 {
                self.state = Some(state);
                return Ok(made);
            }
            if used == 0 && (self.input_ended || self.start != self.end) {
                return Err(DecodeError::Corrupt.into());
            }
        }
    }
}
