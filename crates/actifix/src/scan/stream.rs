//! Reading in windows: memory stays the same for a file of ten gigabytes, and nothing is lost at the seams.

use super::batch::Batch;
use super::inspect::{Place, Scanner, View};
use super::lines::newlines;
use std::io::{self, Read};

/// Bytes in one window. Files below it are read at once.
pub const WINDOW_BYTES: usize = 1 << 20;
/// What two windows share; longer than the longest secret, twice: half is context before it, half after.
const OVERLAP_BYTES: usize = 128 << 10;
/// A NUL among the first bytes makes a file binary, as for git.
const HEAD_BYTES: usize = 8 << 10;

/// What a stream turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Text, all of it scanned.
    Text,
    /// No text, not scanned.
    Binary,
}

/// Scans a stream. `buffer` is a thread's own and is used again and again.
///
/// # Errors
/// The stream cannot be read.
pub fn scan_reader(
    scanner: &Scanner,
    place: &Place,
    mut reader: impl Read,
    buffer: &mut Vec<u8>,
    batch: &mut Batch,
) -> io::Result<Seen> {
    buffer.resize(WINDOW_BYTES, 0);
    let filled = fill(&mut reader, buffer, 0)?;
    let head = buffer.get(..filled).unwrap_or_default();
    batch.totals.files += 1;
    match encoding(head) {
        Encoding::Binary => {
            batch.totals.binary += 1;
            Ok(Seen::Binary)
        }
        Encoding::Utf8 => {
            windows(scanner, place, &mut reader, buffer, filled, batch)?;
            Ok(Seen::Text)
        }
        Encoding::Utf16 { little, mark } => {
            let start = head.get(mark..).unwrap_or_default().to_vec();
            let mut decoded = Utf16::new(io::Cursor::new(start).chain(reader), little);
            let filled = fill(&mut decoded, buffer, 0)?;
            windows(scanner, place, &mut decoded, buffer, filled, batch)?;
            Ok(Seen::Text)
        }
    }
}

/// The text of bytes that are in memory already: decoded if need be, none if binary.
pub fn text_of(bytes: &[u8]) -> Option<std::borrow::Cow<'_, [u8]>> {
    match encoding(bytes) {
        Encoding::Binary => None,
        Encoding::Utf8 => Some(bytes.into()),
        Encoding::Utf16 { little, mark } => {
            let mut text = Vec::with_capacity(bytes.len());
            let rest = bytes.get(mark..).unwrap_or_default();
            // Reading from memory does not fail.
            Utf16::new(rest, little).read_to_end(&mut text).ok()?;
            Some(text.into())
        }
    }
}

enum Encoding {
    Utf8,
    /// `mark`: bytes of the byte order mark.
    Utf16 {
        little: bool,
        mark: usize,
    },
    Binary,
}

fn encoding(bytes: &[u8]) -> Encoding {
    let head = bytes.get(..HEAD_BYTES.min(bytes.len())).unwrap_or_default();
    match head {
        // The same mark and two NULs begin UTF-32, which nobody writes.
        [0xff, 0xfe, 0, 0, ..] => Encoding::Binary,
        [0xff, 0xfe, ..] => Encoding::Utf16 { little: true, mark: 2 },
        [0xfe, 0xff, ..] => Encoding::Utf16 { little: false, mark: 2 },
        _ if memchr::memchr(0, head).is_none() => Encoding::Utf8,
        _ => unmarked(head).map_or(Encoding::Binary, |little| Encoding::Utf16 { little, mark: 0 }),
    }
}

/// The order of UTF-16 without a mark, as some editors write it: ASCII, each byte beside a NUL.
fn unmarked(head: &[u8]) -> Option<bool> {
    /// Fewer units say nothing.
    const UNITS_MIN: usize = 16;
    let (units, _) = head.as_chunks::<2>();
    let text = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t');
    let mostly =
        |is: &dyn Fn(&[u8; 2]) -> bool| units.iter().filter(|unit| is(unit)).count() * 10 >= units.len() * 9;
    if units.len() < UNITS_MIN {
        None
    } else if mostly(&|[low, high]| text(*low) && *high == 0) {
        Some(true)
    } else if mostly(&|[high, low]| text(*low) && *high == 0) {
        Some(false)
    } else {
        None
    }
}

/// Scans window after window; `filled` bytes of the first are in the buffer.
fn windows(
    scanner: &Scanner,
    place: &Place,
    reader: &mut impl Read,
    buffer: &mut [u8],
    mut filled: usize,
    batch: &mut Batch,
) -> io::Result<()> {
    // Findings of this window begin at `from` or later: before that they were the last window's.
    let (mut from, mut first_line) = (0, 1);
    loop {
        let last = filled < buffer.len();
        // A secret that begins in the second half of the overlap might be cut, and is the next window's.
        let to = if last { filled + 1 } else { filled - OVERLAP_BYTES / 2 };
        let window = buffer.get(..filled).unwrap_or_default();
        let view = View { first_line, starts: from..to, touching: None };
        scanner.text(place, window, &view, batch);
        if last {
            return Ok(());
        }
        let keep = filled - OVERLAP_BYTES;
        first_line += newlines(window.get(..keep).unwrap_or_default());
        batch.totals.bytes -= OVERLAP_BYTES as u64;
        buffer.copy_within(keep..filled, 0);
        from = to - keep;
        filled = fill(reader, buffer, filled - keep)?;
    }
}

/// Reads until the buffer is full or the stream ends; gives the filled length.
fn fill(reader: &mut impl Read, buffer: &mut [u8], mut filled: usize) -> io::Result<usize> {
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        match reader.read(free) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Turns UTF-16 into UTF-8 while it is read. What is no UTF-16 becomes the replacement character.
struct Utf16<R> {
    inner: R,
    little: bool,
    raw: Vec<u8>,
    /// Bytes of `raw` that are not decoded yet stand at its start.
    pending: usize,
    /// A high surrogate that waits for its other half.
    high: Option<u16>,
    out: Vec<u8>,
    given: usize,
    ended: bool,
}

/// Bytes decoded at a time.
const CHUNK_BYTES: usize = 16 << 10;

impl<R: Read> Utf16<R> {
    fn new(inner: R, little: bool) -> Self {
        let (raw, out) = (vec![0; CHUNK_BYTES], Vec::new());
        Self { inner, little, raw, pending: 0, high: None, out, given: 0, ended: false }
    }

    fn decode_chunk(&mut self) -> io::Result<()> {
        self.out.clear();
        self.given = 0;
        let filled = fill(&mut self.inner, &mut self.raw, self.pending)?;
        self.ended = filled < self.raw.len();
        let mut units = Vec::with_capacity(filled / 2 + 1);
        units.extend(self.high.take());
        let (pairs, rest) = self.raw.get(..filled).unwrap_or_default().as_chunks::<2>();
        units.extend(
            pairs.iter().map(
                |pair| {
                    if self.little { u16::from_le_bytes(*pair) } else { u16::from_be_bytes(*pair) }
                },
            ),
        );
        self.pending = rest.len();
        let odd = rest.first().copied();
        if !self.ended {
            self.high = units.pop_if(|unit| (0xd800..0xdc00).contains(unit));
        }
        for character in char::decode_utf16(units) {
            let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
            let mut bytes = [0; 4];
            self.out.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
        }
        if let (Some(byte), Some(first)) = (odd, self.raw.first_mut()) {
            *first = byte;
        }
        Ok(())
    }
}

impl<R: Read> Read for Utf16<R> {
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

#[cfg(test)]
mod tests {
    use super::super::config::Config;
    use super::*;
    use std::sync::Arc;

    fn token(number: usize) -> String {
        // Letters that differ from number to number, so that no two are one finding.
        let tail: String =
            (0..24).map(|at| char::from(b'a' + ((number * 7 + at * 11 + at * at) % 26) as u8)).collect();
        ["sk", "_live_", "5T9x", &tail].concat()
    }

    fn scan(bytes: &[u8]) -> (Seen, Batch) {
        let scanner = Scanner::new(Config::builtin());
        let place = Place { path: Arc::from(&b"a.txt"[..]), commit: None };
        let (mut buffer, mut batch) = (Vec::new(), Batch::default());
        let seen = scan_reader(&scanner, &place, bytes, &mut buffer, &mut batch).unwrap();
        (seen, batch)
    }

    #[test]
    fn nothing_is_lost_or_doubled_at_the_seams() {
        let mut text = Vec::new();
        let mut lines = Vec::new();
        let mut line = 1;
        while text.len() < 5 * WINDOW_BYTES {
            if text.len() % 3 == 0 || lines.len() < 100 {
                text.extend_from_slice(format!("key {}\n", token(line as usize)).as_bytes());
                lines.push(line);
            } else {
                text.extend_from_slice(&[b'.'; 997]);
                text.push(b'\n');
            }
            line += 1;
        }
        let (_, batch) = scan(&text);
        let found: Vec<u64> = batch.hits.iter().map(|hit| hit.line).collect();
        assert_eq!(found, lines);
        assert_eq!(batch.totals.bytes, text.len() as u64);
    }

    #[test]
    fn utf16_is_decoded_in_both_orders() {
        let text = format!("grüße 😀\r\nkey {}\r\n", token(3));
        for little in [true, false] {
            let mut bytes = if little { vec![0xff, 0xfe] } else { vec![0xfe, 0xff] };
            for unit in text.encode_utf16() {
                bytes.extend(if little { unit.to_le_bytes() } else { unit.to_be_bytes() });
            }
            let (seen, batch) = scan(&bytes);
            assert_eq!((seen, batch.hits.len()), (Seen::Text, 1));
            assert_eq!((batch.hits[0].line, batch.hits[0].column), (2, 5));
            assert_eq!(text_of(&bytes).unwrap(), text.as_bytes());
            bytes.push(b'x');
            assert_eq!(scan(&bytes).1.hits.len(), 1, "an odd byte at the end harms nothing");
            let plain = format!("name of the key\nkey {}\n", token(3));
            let unmarked: Vec<u8> = plain
                .encode_utf16()
                .flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() })
                .collect();
            assert_eq!(scan(&unmarked).1.hits[0].line, 2, "without a mark as well");
        }
    }

    #[test]
    fn a_nul_near_the_start_makes_a_file_binary() {
        assert_eq!(scan(format!("\0 {}", token(1)).as_bytes()).0, Seen::Binary);
        let mut late = vec![b' '; HEAD_BYTES];
        late.extend_from_slice(format!("\0 {}", token(1)).as_bytes());
        assert_eq!(scan(&late).1.hits.len(), 1);
    }
}
