//! UTF-16 and UTF-32, turned into UTF-8 while they are read.

use super::runs::{PLAIN_WIDTH, Runs};
use std::io::{self, Read};

/// Bytes decoded at a time.
const CHUNK_BYTES: usize = 16 << 10;
/// Plain text inside of such a file: honest ones have none, so more of it than this is not kept.
const STRAYS_BYTES_MAX: usize = 4 << 20;

/// How characters are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Bytes of a unit: 2 or 4.
    pub unit: usize,
    /// The low byte comes first.
    pub little: bool,
    /// Bytes of the mark at the start.
    pub mark: usize,
}

impl Form {
    /// The units of whole pieces of `bytes`.
    fn units(self, bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
        bytes.chunks_exact(self.unit).map(move |unit| {
            let add = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
            if self.little { unit.iter().rev().fold(0, add) } else { unit.iter().fold(0, add) }
        })
    }

    /// Whether bytes make sense in this form. A mark alone does not say so: two bytes before a text must not hide it.
    pub fn fits(self, bytes: &[u8]) -> bool {
        let bytes = bytes.get(self.mark..).unwrap_or_default();
        let printable =
            bytes.iter().filter(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t')).count();
        let (mut all, mut good) = (0, 0);
        for character in self.characters(bytes) {
            all += 1;
            good += usize::from(character.is_some_and(is_usual));
        }
        // Pairs of letters of plain text are rare signs of other scripts; whole texts of them are plain text.
        all > 0 && good * 10 >= all * 9 && printable * 4 <= bytes.len() * 3
    }

    fn characters(self, bytes: &[u8]) -> Box<dyn Iterator<Item = Option<char>> + '_> {
        if self.unit == 4 {
            return Box::new(self.units(bytes).map(char::from_u32));
        }
        let units = self.units(bytes).map(|unit| u16::try_from(unit).unwrap_or(u16::MAX));
        Box::new(char::decode_utf16(units).map(Result::ok))
    }
}

/// No control character, nothing that Unicode keeps free.
fn is_usual(character: char) -> bool {
    let private = matches!(u32::from(character), 0xe000..=0xf8ff | 0xf_0000..);
    let free = u32::from(character) & 0xfffe == 0xfffe || matches!(u32::from(character), 0xfdd0..=0xfdef);
    let layout = matches!(character, '\n' | '\r' | '\t' | '\u{c}' | '\u{1b}');
    !private && !free && (layout || !character.is_control())
}

/// A reader of UTF-8. What is no character becomes the replacement character.
pub struct Wide<R> {
    inner: R,
    form: Form,
    raw: Vec<u8>,
    /// Bytes of `raw` that are not decoded yet stand at its start.
    pending: usize,
    /// A high surrogate that waits for its other half.
    high: Option<u16>,
    out: Vec<u8>,
    given: usize,
    ended: bool,
    strays: Strays,
}

/// Plain text between the characters: who mixes the two must not hide one of them.
#[derive(Debug, Default)]
pub struct Strays {
    /// Runs, one a line.
    pub text: Vec<u8>,
    /// There was more than is kept.
    pub more: bool,
    /// End of the last chunk, which can hold the begin of a run.
    tail: Vec<u8>,
}

impl Strays {
    fn add(&mut self, bytes: &[u8], ended: bool) {
        self.tail.extend_from_slice(bytes);
        // A run that reaches the end goes on in the next chunk. Of one that is longer than a chunk the end is looked at
        // again with what follows.
        let open = self.tail.iter().rev().take_while(|byte| (b' '..=b'~').contains(*byte)).count();
        let keep = if ended { 0 } else { open.min(CHUNK_BYTES) };
        let end = if ended || open > CHUNK_BYTES { self.tail.len() } else { self.tail.len() - keep };
        let whole = self.tail.get(..end).unwrap_or_default();
        let runs = Runs::of(whole, PLAIN_WIDTH);
        if self.text.len() + runs.text.len() > STRAYS_BYTES_MAX {
            self.more = true;
        } else {
            self.text.extend_from_slice(&runs.text);
        }
        self.tail.drain(..self.tail.len() - keep);
    }
}

impl<R: Read> Wide<R> {
    /// Reads on after the mark.
    pub fn new(inner: R, form: Form) -> Self {
        Self {
            inner,
            form,
            raw: vec![0; CHUNK_BYTES],
            pending: 0,
            high: None,
            out: Vec::new(),
            given: 0,
            ended: false,
            strays: Strays::default(),
        }
    }

    /// What was no part of the text, once all was read.
    pub fn into_strays(self) -> Strays {
        self.strays
    }

    fn decode_chunk(&mut self) -> io::Result<()> {
        self.out.clear();
        self.given = 0;
        let filled = super::stream::fill(&mut self.inner, &mut self.raw, self.pending)?;
        self.ended = filled < self.raw.len();
        let bytes = self.raw.get(..filled).unwrap_or_default();
        self.strays.add(bytes.get(self.pending..).unwrap_or_default(), self.ended);
        let whole = filled - filled % self.form.unit;
        let units = self.form.units(bytes.get(..whole).unwrap_or_default());
        if self.form.unit == 4 {
            for unit in units {
                push(&mut self.out, char::from_u32(unit));
            }
        } else {
            let mut wide: Vec<u16> = Vec::with_capacity(filled / 2 + 1);
            wide.extend(self.high.take());
            wide.extend(units.map(|unit| u16::try_from(unit).unwrap_or(u16::MAX)));
            if !self.ended {
                self.high = wide.pop_if(|unit| (0xd800..0xdc00).contains(unit));
            }
            for character in char::decode_utf16(wide) {
                push(&mut self.out, character.ok());
            }
        }
        self.raw.copy_within(whole..filled, 0);
        self.pending = filled - whole;
        Ok(())
    }
}

fn push(out: &mut Vec<u8>, character: Option<char>) {
    let mut bytes = [0; 4];
    let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
}

impl<R: Read> Read for Wide<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.out.len() {
            if self.ended {
                return Ok(0);
            }
            self.decode_chunk()?;
        }
        let ready = self.out.get(self.given..).unwrap_or_default();
        let count = ready.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), ready.get(..count)) {
            to.copy_from_slice(from);
        }
        self.given += count;
        Ok(count)
    }
}
