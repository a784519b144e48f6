//! From byte offsets to lines and columns, computed for findings only.

use std::ops::Range;

/// A line longer than this counts its columns from the cut, so that a finding in a file of one line costs no more.
const LINE_BYTES_MAX: usize = 64 << 10;

/// First and last place of a span: (line, column), the end column exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Line of the first byte, counted from 1.
    pub line: u64,
    /// Column of the first byte in characters, counted from 1.
    pub column: u64,
    /// Line of the last byte.
    pub end_line: u64,
    /// Column after the last byte.
    pub end_column: u64,
}

impl Span {
    /// Puts a finding there.
    pub fn apply(self, hit: &mut super::Hit) {
        (hit.line, hit.column, hit.end_line, hit.end_column) =
            (self.line, self.column, self.end_line, self.end_column);
    }
}

/// Counts lines forward: spans must come in order of their start.
#[derive(Debug)]
pub struct Lines<'a> {
    text: &'a [u8],
    /// Offset up to which lines were counted, and the line there.
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    /// Starts at the beginning of `text`, whose first byte stands in line `first`.
    pub fn new(text: &'a [u8], first: u64) -> Self {
        Self { text, at: 0, line: first }
    }

    /// The place of a span.
    pub fn span(&mut self, span: &Range<usize>) -> Span {
        self.line += newlines(self.text.get(self.at..span.start).unwrap_or_default());
        self.at = span.start.max(self.at);
        let inside = self.text.get(span.clone()).unwrap_or_default();
        let end_line = self.line + newlines(inside);
        Span {
            line: self.line,
            column: column(self.text, span.start),
            end_line,
            end_column: column(self.text, span.end),
        }
    }
}

/// Number of line ends.
pub fn newlines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

/// Offset of the first byte of the line that holds `pos`, at most [`LINE_BYTES_MAX`] before it.
pub fn line_start(text: &[u8], pos: usize) -> usize {
    let from = pos.saturating_sub(LINE_BYTES_MAX);
    let before = text.get(from..pos).unwrap_or_default();
    memchr::memrchr(b'\n', before).map_or(from, |newline| from + newline + 1)
}

/// Offset of the end of the line that holds `pos`, at most [`LINE_BYTES_MAX`] after it.
pub fn line_end(text: &[u8], pos: usize) -> usize {
    let to = pos.saturating_add(LINE_BYTES_MAX).min(text.len());
    let after = text.get(pos..to).unwrap_or_default();
    memchr::memchr(b'\n', after).map_or(to, |newline| pos + newline)
}

fn column(text: &[u8], pos: usize) -> u64 {
    let before = text.get(line_start(text, pos)..pos).unwrap_or_default();
    // Continuation bytes of UTF-8 are no characters of their own.
    1 + before.iter().filter(|byte| **byte & 0xc0 != 0x80).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters_and_lines_go_on_from_the_window() {
        let text = "a\nkälte=x\nb".as_bytes();
        let start = text.iter().position(|byte| *byte == b'x').unwrap();
        let mut lines = Lines::new(text, 10);
        assert_eq!(
            lines.span(&(start..start + 3)),
            Span { line: 11, column: 7, end_line: 12, end_column: 2 }
        );
        assert_eq!(lines.span(&(text.len()..text.len())).line, 12);
    }
}
