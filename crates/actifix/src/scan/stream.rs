//! Reading in windows: memory stays the same for a file of ten gigabytes, and nothing is lost at the seams.

use super::batch::Batch;
use super::content::{Kind, hidden, kind};
use super::inspect::{Place, Scanner, View};
use super::lines::newlines;
use super::runs::{ALL_WIDTHS, PLAIN_WIDTH, Runs};
use super::wide::Wide;
use std::io::{self, Read};

/// Bytes in one window. Files below it are read at once.
pub const WINDOW_BYTES: usize = 1 << 20;
/// What two windows share; longer than the longest secret, twice: half is context before it, half after.
const OVERLAP_BYTES: usize = 128 << 10;

/// What a stream turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Text, all of it scanned.
    Text,
    /// No text: what is text in it was searched for tokens.
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
    match kind(head) {
        Kind::Binary => {
            batch.totals.binary += 1;
            windows(&mut reader, buffer, filled, |window, view| {
                batch.totals.bytes += view.own_bytes(window.len());
                scanner.runs(place, window, &Runs::of(window, ALL_WIDTHS), view, batch);
            })?;
            Ok(Seen::Binary)
        }
        Kind::Plain => {
            texts(scanner, place, &mut reader, buffer, filled, batch)?;
            Ok(Seen::Text)
        }
        Kind::Wide(form) => {
            let start = head.get(form.mark..).unwrap_or_default().to_vec();
            let mut decoder = Wide::new(io::Cursor::new(start).chain(reader), form);
            let filled = fill(&mut decoder, buffer, 0)?;
            texts(scanner, place, &mut decoder, buffer, filled, batch)?;
            let strays = decoder.into_strays();
            scanner.strays(place, &Runs::of(&strays.text, PLAIN_WIDTH), &strays.text, strays.more, batch);
            Ok(Seen::Text)
        }
    }
}

/// Scans all windows of a text, and what a text can hide.
fn texts(
    scanner: &Scanner,
    place: &Place,
    reader: &mut impl Read,
    buffer: &mut [u8],
    filled: usize,
    batch: &mut Batch,
) -> io::Result<()> {
    windows(reader, buffer, filled, |window, view| {
        let before = batch.totals.bytes;
        scanner.text(place, window, view, batch);
        // What two windows share counts once.
        batch.totals.bytes = before + view.own_bytes(window.len());
        scanner.runs(place, window, &hidden(window), view, batch);
    })
}

/// Gives window after window to `scan`; `filled` bytes of the first are in the buffer.
fn windows(
    reader: &mut impl Read,
    buffer: &mut [u8],
    mut filled: usize,
    mut scan: impl FnMut(&[u8], &View<'_>),
) -> io::Result<()> {
    // Findings of this window begin at `from` or later: before that they were the last window's.
    let (mut from, mut first_line) = (0, 1);
    loop {
        let last = filled < buffer.len();
        // A secret that begins in the second half of the overlap might be cut, and is the next window's.
        let to = if last { filled + 1 } else { filled - OVERLAP_BYTES / 2 };
        let window = buffer.get(..filled).unwrap_or_default();
        scan(window, &View { first_line, starts: from..to, touching: None });
        if last {
            return Ok(());
        }
        let keep = filled - OVERLAP_BYTES;
        first_line += newlines(window.get(..keep).unwrap_or_default());
        buffer.copy_within(keep..filled, 0);
        from = to - keep;
        filled = fill(reader, buffer, filled - keep)?;
    }
}

/// Reads until the buffer is full or the stream ends; gives the filled length.
pub(super) fn fill(reader: &mut impl Read, buffer: &mut [u8], mut filled: usize) -> io::Result<usize> {
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

#[cfg(test)]
mod tests {
    use super::super::config::Config;
    use super::super::content::Content;
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
            assert_eq!(Content::of(&bytes).text.unwrap(), text.as_bytes());
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
    fn a_token_in_a_binary_file_is_found_wherever_it_stands() {
        for width in [1, 2, 4] {
            for at in [9_000, WINDOW_BYTES - 20, WINDOW_BYTES - OVERLAP_BYTES / 2 - 7, 2 * WINDOW_BYTES] {
                let mut bytes: Vec<u8> =
                    (0..at as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 | 0x80).collect();
                bytes[3] = 0;
                for byte in token(1).bytes() {
                    bytes.push(byte);
                    bytes.extend(std::iter::repeat_n(0, width - 1));
                }
                bytes.extend([0x80; 300]);
                let (seen, batch) = scan(&bytes);
                assert_eq!((seen, batch.hits.len()), (Seen::Binary, 1), "{width} {at}");
                assert_eq!((batch.totals.binary, batch.totals.bytes), (1, bytes.len() as u64));
            }
        }
    }

    #[test]
    fn a_zero_or_a_mark_switches_nothing_off() {
        let name = format!("password = \"{}\"", ["Kq8vTz31", "LmWp77aa"].concat());
        let long = "words of a text, ".repeat(20);
        for (head, tail) in [("a\0b\n", ""), ("\0", long.as_str()), (long.as_str(), "\0\0\0")] {
            let text = format!("{head}key {}\n{long}\n{name}\n{tail}", token(1));
            assert_eq!(scan(text.as_bytes()).1.hits.len(), 2, "{head:?}");
        }
        for mark in [&b"\xff\xfe"[..], b"\xfe\xff", b"\xff\xfe\xff", b"\xff\xfe\0\0", b"\0"] {
            let bytes = [mark, token(1).as_bytes(), b"\n"].concat();
            assert_eq!(scan(&bytes).1.hits.len(), 1, "{mark:?}");
        }
        let mut late = vec![b' '; 2 * WINDOW_BYTES];
        late.extend_from_slice(format!("\0 {}", token(1)).as_bytes());
        assert_eq!(scan(&late).1.hits.len(), 1);
        let mut wide = vec![b'.'; 9_000];
        wide.extend(token(1).bytes().flat_map(|byte| [byte, 0]));
        assert_eq!(scan(&wide).1.hits.len(), 1, "wide text after plain text");
    }
}
