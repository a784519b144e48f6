//! The search for all keywords at once, in one pass over blocks of a text. Each block is sorted into kinds of bytes, 64 at a
//! time; every second place of it is looked up in a set of four-byte windows, of which each keyword has one for even and one for
//! odd places; and only where the set has a window (some percent of all places) whole keywords are compared. Keywords that begin
//! a long token, most of the two to four bytes that vendors begin their tokens with, are looked for in long tokens only.
use crate::bytes::{has, starts_token};

mod kinds;
mod lanes;
mod starts;
mod windows;

#[cfg(test)]
mod tests;

pub(crate) use kinds::Seen;

use kinds::{BLOCK_BYTES, Masks, VIEW_BYTES, classify, long};
use starts::Starts;
use windows::Windows;

/// A token of this many bytes is a long one.
pub(crate) const RUN_MIN: usize = 14;
/// Words that may be encoded text have at least this many bytes.
const WORD_MIN: usize = crate::detect::decode::BASE64_MIN;
/// Fewest digits of a card number in one piece.
const CARD_MIN: usize = 14;
/// Shorter keywords have no window of their own.
const WINDOW_MIN: usize = 2;
/// Hits that are collected before they are handed out: a text of keywords must not fill the memory.
const HITS_MAX: usize = 1_024;

/// Where a keyword counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    Anywhere,
    /// It begins a token: inside a word (`pat` in `path`) nobody looks at it.
    First,
    /// It begins a token of [`RUN_MIN`] bytes of letters, digits and `_-+/`.
    InRun,
    /// It begins a token, and [`RUN_MIN`] such bytes follow it, of which its last byte is none.
    BeforeRun,
}

/// A keyword of the table.
pub(crate) struct Word<'w> {
    /// In lower case.
    pub text: &'w str,
    pub stands: Stands,
}

/// Where a keyword stands in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    /// Number of the keyword.
    pub keyword: u16,
    pub start: usize,
    pub end: usize,
}

/// What a pass finds.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Keywords, not more than very many at a time.
    pub hits: Vec<Hit>,
    /// Where runs of 24 and more letters, digits and `_-+/` begin: one per 25 bytes of text at most.
    pub runs: Vec<usize>,
    /// Where numbers begin that could be those of cards: one per 15 bytes of text at most.
    pub numbers: Vec<usize>,
}

/// All keywords, ASCII case ignored, overlapping ones too.
pub(crate) struct Table {
    windows: Windows,
    starts: Starts,
    /// Keywords of one byte.
    tiny: Box<[u16]>,
    words: Box<[(Box<[u8]>, Stands)]>,
}

/// How far a text was walked.
#[derive(Default)]
pub(crate) struct Walk {
    pos: usize,
    seen: Seen,
    /// Kinds of bytes of the two blocks before `pos`; the runs of the last one are not looked at yet.
    last: Masks,
    before: Masks,
    /// The list was full before the text was at its end.
    full: bool,
}

impl Walk {
    /// Kinds of the bytes so far.
    #[inline]
    pub(crate) fn seen(&self) -> Seen {
        self.seen
    }
}

impl Table {
    /// Compiles the keywords; none if there are too many of them (the bounds on rules exclude it).
    pub(crate) fn new(words: &[Word<'_>]) -> Option<Self> {
        let (mut windows, mut starts, mut tiny) = (Vec::new(), Starts::default(), Vec::new());
        for (number, word) in words.iter().enumerate() {
            let number = u16::try_from(number).ok()?;
            let bytes = word.text.as_bytes();
            match word.stands {
                Stands::InRun if bytes.len() > 1 => starts.begin(bytes, number),
                Stands::BeforeRun if !bytes.is_empty() => starts.end(bytes, number),
                _ if bytes.len() >= WINDOW_MIN => windows.push((bytes, number)),
                _ if !bytes.is_empty() => tiny.push(number),
                _ => {}
            }
        }
        Some(Self {
            windows: Windows::new(&windows)?,
            starts,
            tiny: tiny.into(),
            words: words.iter().map(|word| (word.text.as_bytes().into(), word.stands)).collect(),
        })
    }

    /// Collects the keywords of a text, or the first of very many.
    #[inline]
    pub(crate) fn start(&self, text: &[u8], found: &mut Found) -> Walk {
        found.hits.clear();
        found.runs.clear();
        found.numbers.clear();
        let mut walk = Walk::default();
        walk.full = self.advance(text, &mut walk, found);
        walk
    }

    /// Brings them in the order of their ends and of these in that of their starts, and collects the rest. If there are
    /// very many, `full` is called with the first of them, which it takes out of the list.
    #[inline]
    pub(crate) fn go_on(
        &self,
        text: &[u8],
        mut walk: Walk,
        found: &mut Found,
        mut full: impl FnMut(&[Hit]),
    ) -> Seen {
        while walk.full {
            sort(&mut found.hits);
            // What is found later ends behind the start of the last block, whose runs are not looked at yet.
            let open = walk.pos.saturating_sub(BLOCK_BYTES);
            let settled = found.hits.partition_point(|hit| hit.end < open);
            full(found.hits.get(..settled).unwrap_or(&[]));
            found.hits.drain(..settled);
            walk.full = self.advance(text, &mut walk, found);
        }
        sort(&mut found.hits);
        walk.seen
    }

    /// Walks on to the end of the text, or until the list is full: then true.
    fn advance(&self, text: &[u8], walk: &mut Walk, found: &mut Found) -> bool {
        while let Some(view) = text.get(walk.pos..).and_then(<[u8]>::first_chunk) {
            self.block(text, view, BLOCK_BYTES, walk, found);
            if found.hits.len() >= HITS_MAX {
                return true;
            }
        }
        // The rest is less than two blocks; zeros are of no kind.
        let mut padded = [0; BLOCK_BYTES + VIEW_BYTES];
        let rest = text.get(walk.pos..).unwrap_or(&[]);
        if let Some(part) = padded.get_mut(..rest.len()) {
            part.copy_from_slice(rest);
        }
        for from in [0, BLOCK_BYTES] {
            let left = rest.len().saturating_sub(from);
            if left > 0
                && let Some(view) = padded.get(from..).and_then(<[u8]>::first_chunk)
            {
                self.block(text, view, left, walk, found);
            }
        }
        self.settle(text, walk, Masks::default(), found);
        walk.last = Masks::default();
        false
    }

    /// Looks at the next block, of which `left` bytes are text, and what follows it.
    #[inline]
    fn block(&self, text: &[u8], view: &[u8; VIEW_BYTES], left: usize, walk: &mut Walk, found: &mut Found) {
        // Of a short text only the beginning is sorted.
        let masks = match left {
            ..=16 => classify::<16>(view, &mut walk.seen),
            17..=32 => classify::<32>(view, &mut walk.seen),
            _ => classify::<BLOCK_BYTES>(view, &mut walk.seen),
        };
        self.settle(text, walk, masks, found);
        (walk.before, walk.last) = (walk.last, masks);
        let mut places = self.windows.look(view, left);
        while places != 0 {
            let place = walk.pos + 2 * places.trailing_zeros() as usize;
            self.windows.compare(text, place, |keyword, start| self.whole(text, keyword, start, found));
            places &= places - 1;
        }
        for keyword in &self.tiny {
            self.tiny(text, view, walk.pos, *keyword, found);
        }
        walk.pos += BLOCK_BYTES;
    }

    /// Notes a keyword if it is at `start`, and may be.
    #[inline(never)]
    fn whole(&self, text: &[u8], keyword: u16, start: usize, found: &mut Found) {
        if let Some((word, stands)) = self.words.get(usize::from(keyword))
            && has(text, start, word)
            && may_stand(text, start, start + word.len(), *stands)
        {
            found.hits.push(Hit { keyword, start, end: start + word.len() });
        }
    }

    /// Looks for a keyword of one byte in the block at `pos`.
    #[inline]
    fn tiny(&self, text: &[u8], view: &[u8; VIEW_BYTES], pos: usize, keyword: u16, found: &mut Found) {
        if let Some(([only], _)) =
            self.words.get(usize::from(keyword)).map(|(word, stands)| (&**word, stands))
        {
            each(kinds::places(view, *only), |place| self.whole(text, keyword, pos + place, found));
        }
    }

    /// Looks at the runs that begin in the block before `walk.pos`; `next` is the one after it.
    #[inline]
    fn settle(&self, text: &[u8], walk: &Walk, next: Masks, found: &mut Found) {
        let (last, before) = (walk.last, walk.before);
        let Some(base) = walk.pos.checked_sub(BLOCK_BYTES) else { return };
        let run = last.run();
        let wide = u128::from(run) | u128::from(next.run()) << BLOCK_BYTES;
        let tokens = long(wide, RUN_MIN);
        if tokens != 0 {
            let first = run & !(run << 1 | before.run() >> 63);
            let begins = (first | (last.glue << 1 | before.glue >> 63)) & last.word & tokens;
            self.begins(text, base, begins, first & tokens, found);
            if first & tokens != 0 {
                let words = first & long(wide, WORD_MIN);
                each(words, |place| found.runs.push(base + place));
            }
        }
        if last.digit != 0 {
            let wide = u128::from(last.digit) | u128::from(next.digit) << BLOCK_BYTES;
            let first = last.digit & !(last.digit << 1 | before.digit >> 63);
            let four = first & long(wide, 4);
            if four != 0 {
                // A sign and more digits behind the four, or very many digits.
                let groups = !((wide >> 4) as u64) & (wide >> 5) as u64;
                each(four & (groups | long(wide, CARD_MIN)), |place| found.numbers.push(base + place));
            }
        }
    }

    /// Looks for keywords at the starts of long tokens; `runs` are those that begin a run.
    #[inline]
    fn begins(&self, text: &[u8], base: usize, begins: u64, runs: u64, found: &mut Found) {
        let look = |found: &mut Found, at: usize| {
            self.starts.at(text, at, |keyword, start| self.whole(text, keyword, start, found));
        };
        each(begins, |place| look(found, base + place));
        each(runs, |place| {
            let at = base + place;
            let last = crate::bytes::before(text, at);
            if matches!(last, b'\\' | b'%') {
                // The first bytes of a run can be those of an escape: `\n`, `%3D`, `\x3d`, `\u003d`.
                (at + 1..at + 6)
                    .filter(|at| crate::bytes::before(text, *at).is_ascii_alphanumeric())
                    .for_each(|at| look(found, at));
            }
            if self.starts.ends_with(last) {
                self.starts.before(text, at, |keyword, start| self.whole(text, keyword, start, found));
            }
        });
    }
}

/// Whether a keyword at `start..end` counts there.
#[inline]
fn may_stand(text: &[u8], start: usize, end: usize, stands: Stands) -> bool {
    let run = |from: usize| crate::bytes::run(text, from, RUN_MIN, crate::bytes::is_base64) == from + RUN_MIN;
    match stands {
        Stands::Anywhere => true,
        Stands::First => starts_token(text, start),
        Stands::InRun => starts_token(text, start) && run(start),
        Stands::BeforeRun => starts_token(text, start) && run(end),
    }
}

/// The places of the bits that are set.
#[inline]
fn each(mut bits: u64, mut look: impl FnMut(usize)) {
    while bits != 0 {
        look(bits.trailing_zeros() as usize);
        bits &= bits - 1;
    }
}

fn sort(hits: &mut [Hit]) {
    if !hits.is_sorted_by_key(|hit| (hit.end, hit.start)) {
        hits.sort_unstable_by_key(|hit| (hit.end, hit.start));
    }
}
