//! Runs of printable text among other bytes, as `strings` finds them: a token in an executable, an image or a database
//! is as public as one in a text.
//!
//! Each sixteenth byte is looked at first, so that what holds no text costs next to nothing.

use std::ops::Range;

/// Characters of the shortest run; formats with a check are longer.
pub const CHARS_MIN: usize = 16;
/// Bytes of one character: plain, UTF-16, UTF-32.
pub const ALL_WIDTHS: &[usize] = &[1, 2, 4];
/// Without plain text, which somebody else has looked at.
pub const WIDE_WIDTHS: &[usize] = &[2, 4];
/// Plain text only.
pub const PLAIN_WIDTH: &[usize] = &[1];
/// Zeros between two characters at most.
const ZEROS_MAX: usize = 3;

/// The runs of some bytes, one a line, and where each stood.
#[derive(Debug, Default)]
pub struct Runs {
    /// All runs, each with a line end after it.
    pub text: Vec<u8>,
    /// Start in [`Runs::text`], start in the bytes, bytes of a character.
    places: Vec<(usize, usize, usize)>,
}

impl Runs {
    /// The runs of [`CHARS_MIN`] or more characters of these widths. Time is linear in the bytes.
    pub fn of(bytes: &[u8], widths: &[usize]) -> Self {
        let mut runs = Self::default();
        let (mut probe, mut done) = (0, 0);
        while probe < bytes.len() {
            let found = last_character(bytes, probe, done)
                .and_then(|at| widths.iter().find_map(|width| run(bytes, at, *width, done)));
            let Some((start, count, width)) = found else {
                probe += CHARS_MIN;
                continue;
            };
            runs.places.push((runs.text.len(), start, width));
            runs.text.extend(bytes.iter().skip(start).step_by(width).take(count));
            runs.text.push(b'\n');
            done = start + (count - 1) * width + 1;
            probe = done.next_multiple_of(CHARS_MIN);
        }
        runs
    }

    /// No run was found.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Where a span of [`Runs::text`] stood in the bytes.
    pub fn origin(&self, span: &Range<usize>) -> Range<usize> {
        let after = self.places.partition_point(|(start, _, _)| *start <= span.start);
        let place = after.checked_sub(1).and_then(|nth| self.places.get(nth));
        let Some((start, origin, width)) = place.copied() else { return span.clone() };
        let from = origin + (span.start - start) * width;
        from..from + span.len() * width
    }
}

fn is_text(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r')
}

fn text_at(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(|byte| is_text(*byte))
}

/// The character at `probe`, or just before it if zeros follow it up to there.
fn last_character(bytes: &[u8], probe: usize, done: usize) -> Option<usize> {
    let mut at = probe;
    for _ in 0..=ZEROS_MAX {
        match bytes.get(at) {
            Some(byte) if is_text(*byte) => return Some(at),
            Some(0) if at > done => at -= 1,
            _ => return None,
        }
    }
    None
}

/// Start and number of characters of the run of this width around `at`, if it is long enough.
fn run(bytes: &[u8], at: usize, width: usize, done: usize) -> Option<(usize, usize, usize)> {
    let zeros =
        |from: usize| bytes.get(from + 1..from + width).is_some_and(|gap| gap.iter().all(|b| *b == 0));
    let mut start = at;
    while let Some(before) = start.checked_sub(width).filter(|before| *before >= done) {
        if !text_at(bytes, before) || !zeros(before) {
            break;
        }
        start = before;
    }
    let mut last = at;
    while zeros(last) && text_at(bytes, last + width) {
        last += width;
    }
    let count = (last - start) / width + 1;
    (count >= CHARS_MIN).then_some((start, count, width))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8], widths: &[usize]) -> Vec<String> {
        String::from_utf8(Runs::of(bytes, widths).text).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn runs_of_every_width_are_found_at_every_offset() {
        let word = "a_word_of_20_letters";
        for offset in 0..40 {
            for width in [1, 2, 4] {
                let mut bytes = vec![0xfe; offset];
                for byte in word.bytes() {
                    bytes.push(byte);
                    bytes.extend(std::iter::repeat_n(0, width - 1));
                }
                bytes.extend([0xfe; 9]);
                let runs = Runs::of(&bytes, ALL_WIDTHS);
                assert_eq!(runs.text, format!("{word}\n").as_bytes(), "{offset} {width}");
                assert_eq!(runs.origin(&(2..5)), offset + 2 * width..offset + 5 * width);
            }
        }
    }

    #[test]
    fn short_runs_and_other_widths_are_left_out() {
        assert!(Runs::of(&[0; 4096], ALL_WIDTHS).is_empty());
        assert_eq!(lines(b"fifteen letters\0a word of sixteen\xff", ALL_WIDTHS), ["a word of sixteen"]);
        assert!(Runs::of(b"a word of sixteen letters", WIDE_WIDTHS).is_empty());
        let two = b"a word of sixteen\0and another one of them";
        assert_eq!(lines(two, PLAIN_WIDTH), ["a word of sixteen", "and another one of them"]);
    }

    #[test]
    fn hostile_bytes_cost_no_more_than_their_number() {
        // Runs that are just too short, in all widths: each is tried and none is kept.
        let bytes = b"fifteen letters\0".repeat(1 << 16);
        assert!(Runs::of(&bytes, ALL_WIDTHS).is_empty());
    }
}
