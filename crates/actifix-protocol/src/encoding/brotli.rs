//! `br`, strictly as in RFC 7932: windows up to 16 MiB, the "large window" extension refused.

use std::io::{self, Read};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::DecodeError;
use crate::limits::DECODE_CHUNK_BYTES;

/// Reads a brotli stream. The ready-made reader of the library turns the large window on, so this one is ours.
pub(super) struct Brotli<R> {
    input: R,
    chunk: Vec<u8>,
    start: usize,
    end: usize,
    input_ended: bool,
    state: Box<State>,
    done: bool,
}

type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

impl<R: Read> Brotli<R> {
    pub(super) fn new(input: R) -> Self {
        let state = BrotliState::new_strict(
            StandardAlloc::default(),
            StandardAlloc::default(),
            StandardAlloc::default(),
        );
        Self {
            input,
            chunk: vec![0; DECODE_CHUNK_BYTES],
            start: 0,
            end: 0,
            input_ended: false,
            state: Box::new(state),
            done: false,
        }
    }

    /// Reads more input; false at its end.
    fn fill(&mut self) -> io::Result<bool> {
        if self.start != self.end {
            return Ok(true);
        }
        if !self.input_ended {
            self.start = 0;
            self.end = self.input.read(&mut self.chunk)?;
            self.input_ended = self.end == 0;
        }
        Ok(!self.input_ended)
    }
}

impl<R: Read> Read for Brotli<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() || self.done {
            return Ok(0);
        }
        loop {
            let mut left_in = self.end - self.start;
            let mut left_out = out.len();
            let (mut made, mut total) = (0usize, 0usize);
            let result = BrotliDecompressStream(
                &mut left_in,
                &mut self.start,
                &self.chunk,
                &mut left_out,
                &mut made,
                out,
                &mut total,
                &mut self.state,
            );
            match result {
                BrotliResult::ResultFailure => return Err(DecodeError::Corrupt.into()),
                BrotliResult::ResultSuccess => {
                    self.done = true;
                    if self.fill()? {
                        return Err(DecodeError::Corrupt.into());
                    }
                    return Ok(made);
                }
                BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput if made > 0 => return Ok(made),
                BrotliResult::NeedsMoreInput => {
                    // All of the chunk is inside the decoder now; what it could not use yet it keeps itself.
                    self.start = self.end;
                    if !self.fill()? {
                        return Err(DecodeError::Corrupt.into());
                    }
                }
                BrotliResult::NeedsMoreOutput => return Err(DecodeError::Corrupt.into()),
            }
        }
    }
}
