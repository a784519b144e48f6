//! Tables with lines around them: the results of `psql` and `mysql`, Markdown.
use super::checks::{is_nothing, secret_like};
use super::hunt::Hunt;
use crate::bytes::{at, before, has, is_name, run, slice};

/// Longest header line and row, and rows that are followed.
const LINE_BYTES_MAX: usize = 1_024;
const ROWS_MAX: usize = 1_000;
/// Sensitive columns of one header line that are followed.
const COLUMNS_MAX: u32 = 8;

impl Hunt<'_> {
    /// The name at `start..end` heads a column between bars: its cells in the rows below the ruler.
    pub(super) fn grid(&mut self, start: usize, end: usize, rule: u16) -> bool {
        let text = self.text;
        let after = run(text, end, 64, |b| b == b' ');
        let left =
            slice(text, 0, start).iter().rev().take(64).find(|b| **b != b' ').copied().unwrap_or(b'\n');
        let bars = at(text, after) == b'|' || (left == b'|' && matches!(at(text, after), b'\n' | b'\r' | 0));
        let (head_end, columns) = self.grid_head;
        // In the rows of a grid no other one begins.
        let same = start < head_end && columns < COLUMNS_MAX;
        if (start < self.grid_done && !same) || !bars || !matches!(left, b'|' | b'\n' | b'\r') {
            return false;
        }
        let from = start.saturating_sub(LINE_BYTES_MAX);
        let line = from + memchr::memrchr(b'\n', slice(text, from, start)).map_or(0, |found| found + 1);
        let stop = run(text, end, LINE_BYTES_MAX, |b| b != b'\n');
        self.work += stop - line;
        self.grid_done = stop;
        let ruler =
            run(text, stop + 1, LINE_BYTES_MAX, |b| matches!(b, b'-' | b'+' | b'|' | b':' | b' ' | b'='));
        let ruled = memchr::memmem::find(slice(text, stop + 1, ruler), b"--").is_some();
        self.work += ruler.saturating_sub(stop);
        if !ruled || !matches!(at(text, ruler), b'\n' | b'\r') {
            return false;
        }
        let count = |part: &[u8]| part.iter().filter(|b| **b == b'|').count();
        let (index, all) = (count(slice(text, line, start)), count(slice(text, line, stop)));
        self.grid_head = (stop, if same { columns + 1 } else { 1 });
        let mut pos = after_line(text, ruler);
        for _ in 0..ROWS_MAX {
            let row_end = run(text, pos, 4 * LINE_BYTES_MAX, |b| b != b'\n');
            let row = slice(text, pos, row_end);
            self.work += row.len();
            if row.is_empty() || count(row) < all {
                break;
            }
            let skipped: usize = row.split(|b| *b == b'|').take(index).map(|part| part.len() + 1).sum();
            let mut parts = row.split(|b| *b == b'|');
            let cell = if count(row) == all {
                parts.nth(index).unwrap_or(&[])
            } else {
                // A bar in a value: all the rest of the row may be it.
                slice(row, skipped, row.len())
            };
            let lead = cell.iter().take_while(|b| **b == b' ').count();
            let word = cell.trim_ascii();
            if !is_nothing(word) {
                self.add(pos + skipped + lead, pos + skipped + lead + word.len(), rule, true);
            }
            pos = after_line(text, row_end);
        }
        self.grid_done = self.grid_done.max(pos);
        true
    }
}

impl Hunt<'_> {
    /// The name at `start..end` heads a column without bars, above a ruler: the results of PowerShell and SQL*Plus.
    pub(super) fn ruled(&mut self, start: usize, end: usize, rule: u16) -> bool {
        let text = self.text;
        if start < self.grid_done {
            return false;
        }
        let from = start.saturating_sub(LINE_BYTES_MAX);
        let line = from + memchr::memrchr(b'\n', slice(text, from, start)).map_or(0, |found| found + 1);
        let stop = run(text, end, LINE_BYTES_MAX, |b| b != b'\n');
        let ruler_start = stop + 1;
        let ruler = run(text, ruler_start, LINE_BYTES_MAX, |b| matches!(b, b'-' | b' '));
        self.work += stop - line;
        let column = start - line;
        // The ruler has its dashes where the name begins.
        let from = ruler_start + column;
        let dashes = run(text, from, LINE_BYTES_MAX, |b| b == b'-');
        let begins = column == 0 || at(text, from - 1) == b' ';
        let whole = matches!(at(text, ruler), b'\n' | b'\r');
        let head = slice(text, line, stop);
        let rest = slice(head, end - line, dashes - ruler_start);
        let cell_ends = rest.iter().all(|b| matches!(b, b' ' | b'\r'));
        if dashes < from + 3 || dashes > ruler || !begins || !whole || !cell_ends || !is_table_head(head) {
            return false;
        }
        // A single column looks like a heading of Markdown.
        let single = head.trim_ascii().len() == end - start;
        let mut pos = after_line(text, ruler);
        for _ in 0..ROWS_MAX {
            let row_end = run(text, pos, LINE_BYTES_MAX, |b| b != b'\n');
            self.work += row_end - pos;
            let row = slice(text, pos, row_end);
            if row.trim_ascii().is_empty() {
                break;
            }
            let cell = slice(row, column, row.len());
            let word = slice(cell, 0, cell.iter().position(|b| *b <= b' ').unwrap_or(cell.len()));
            let heading = single && (row.trim_ascii().len() != word.len() || !secret_like(word));
            if !is_nothing(word) && !heading {
                self.add(pos + column, pos + column + word.len(), rule, true);
            }
            pos = after_line(text, row_end);
        }
        self.grid_done = self.grid_done.max(pos);
        true
    }
}

/// Names with blanks between them.
fn is_table_head(line: &[u8]) -> bool {
    line.iter().all(|b| is_name(*b) || matches!(b, b' ' | b'\r')) && line.split(|b| *b == b' ').count() < 64
}

fn after_line(text: &[u8], end: usize) -> usize {
    end + if has(text, end, b"\r\n") { 2 } else { 1 }
}

/// Whether a name can head a column: nothing but bars, blanks and line breaks stand around it.
pub(super) fn may_head(text: &[u8], start: usize, end: usize) -> bool {
    let edge = |b: u8| matches!(b, b' ' | b'|' | b'\n' | b'\r' | 0);
    edge(before(text, start)) && edge(at(text, end)) && !is_name(at(text, end))
}
