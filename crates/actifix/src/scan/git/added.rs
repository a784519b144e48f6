//! Which lines of a text are new, in linear time.
//!
//! What begins and ends alike is cut off; of the middle, a line is new when the old texts hold it less often. A line
//! that only moved, inside a file or from a file that is removed in the same commit, adds nothing.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

/// Lines of old texts, counted.
#[derive(Debug, Default)]
pub struct Known {
    hasher: RandomState,
    counts: HashMap<u64, u32>,
}

impl Known {
    /// Counts the lines of an old text.
    pub fn add(&mut self, text: &[u8]) {
        for line in text.split(|byte| *byte == b'\n') {
            *self.counts.entry(self.hash(line)).or_insert(0) += 1;
        }
    }

    fn hash(&self, line: &[u8]) -> u64 {
        self.hasher.hash_one(line.trim_ascii())
    }

    /// Whether the line is one of the old ones, which is then used up.
    fn take(&mut self, line: &[u8]) -> bool {
        let hash = self.hash(line);
        match self.counts.get_mut(&hash) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }
}

/// Byte ranges of the new lines, neighbours joined, in order.
pub fn added(new: &[u8], old: &[u8], mut moved: Known) -> Vec<Range<usize>> {
    let (start, end) = changed(new, old);
    moved.add(middle(old, start, new.len() - end));
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut at = start;
    for line in new.get(start..end).unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
        let range = at..at + line.len();
        at = range.end;
        if line.trim_ascii().is_empty() || moved.take(line.strip_suffix(b"\n").unwrap_or(line)) {
            continue;
        }
        match ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => ranges.push(range),
        }
    }
    ranges
}

/// The old text without the `start` bytes and the `tail` bytes that it shares with the new one.
fn middle(old: &[u8], start: usize, tail: usize) -> &[u8] {
    old.get(start..old.len().saturating_sub(tail)).unwrap_or_default()
}

/// The part of `new` between what begins and ends like `old`, on whole lines.
fn changed(new: &[u8], old: &[u8]) -> (usize, usize) {
    let alike = new.iter().zip(old).take_while(|(a, b)| a == b).count();
    if alike == new.len() && alike == old.len() {
        return (alike, alike);
    }
    let start = memchr::memrchr(b'\n', new.get(..alike).unwrap_or_default()).map_or(0, |newline| newline + 1);
    let room = new.len().min(old.len()) - start;
    let same = new.iter().rev().zip(old.iter().rev()).take(room).take_while(|(a, b)| a == b).count();
    let tail = new.get(new.len() - same..).unwrap_or_default();
    // The tail begins after a line end, so that the line before it is looked at whole.
    let end = memchr::memchr(b'\n', tail).map_or(new.len(), |newline| new.len() - same + newline + 1);
    (start, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(new: &str, old: &str, moved: &str) -> Vec<String> {
        let mut known = Known::default();
        if !moved.is_empty() {
            known.add(moved.as_bytes());
        }
        added(new.as_bytes(), old.as_bytes(), known)
            .into_iter()
            .flat_map(|range| new[range].lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn only_new_lines_are_added() {
        assert_eq!(lines("a\nb\nc\n", "a\nc\n", ""), ["b"]);
        assert_eq!(lines("a\nc\n", "a\nb\nc\n", ""), Vec::<String>::new());
        assert_eq!(lines("a\nb\n", "", ""), ["a", "b"]);
        assert_eq!(lines("a\nbX\nc", "a\nb\nc", ""), ["bX"]);
        assert_eq!(lines("a\nb", "a\nb", ""), Vec::<String>::new());
        assert_eq!(lines("a\nb\n", "a\nb", ""), Vec::<String>::new());
        assert_eq!(lines("aa\n", "a\n", ""), ["aa"]);
        assert_eq!(lines("x\na\n", "a\n", ""), ["x"]);
        assert_eq!(lines("a\r\nb\r\n", "a\nb\n", ""), Vec::<String>::new(), "only line ends changed");
    }

    #[test]
    fn a_line_that_moved_is_not_new_and_a_second_copy_is() {
        assert_eq!(lines("b\na\n", "a\nb\n", ""), Vec::<String>::new());
        assert_eq!(lines("k\nx\nk\n", "k\nx\n", ""), ["k"]);
        assert_eq!(lines("a\nb\nnew\n", "", "a\nb\n"), ["new"], "moved from a removed file");
    }
}
