//! Keywords at the starts of long tokens.
use crate::bytes::has;

/// The bit in which upper and lower case differ, in each byte.
const CASE_BITS: u16 = 0x2020;
/// Pairs of first bytes, as bits.
const PAIR_WORDS: usize = 1 << 10;
/// Lists of keywords, by their first bytes.
const LISTS: usize = 1 << 8;

/// A keyword and its number.
type Keyword = (Box<[u8]>, u16);

/// Keywords by their first two bytes, and those that end where a run begins.
pub(super) struct Starts {
    /// Which pairs begin a keyword.
    pairs: Box<[u64; PAIR_WORDS]>,
    lists: Box<[Vec<Keyword>; LISTS]>,
    ends: Vec<Keyword>,
    /// The last bytes of those.
    last: [bool; 256],
}

impl Default for Starts {
    fn default() -> Self {
        Self {
            pairs: Box::new([0; PAIR_WORDS]),
            lists: Box::new([const { Vec::new() }; LISTS]),
            ends: Vec::new(),
            last: [false; 256],
        }
    }
}

impl Starts {
    /// Adds a keyword of two and more bytes that begins a long token.
    pub(super) fn begin(&mut self, keyword: &[u8], number: u16) {
        let Some(pair) = pair(keyword, 0) else { return };
        let (place, bit) = slot(pair);
        if let (Some(pairs), Some(list)) = (self.pairs.get_mut(place), self.lists.get_mut(list(pair))) {
            *pairs |= bit;
            list.push((keyword.into(), number));
        }
    }

    /// Adds a keyword that a long run follows.
    pub(super) fn end(&mut self, keyword: &[u8], number: u16) {
        if let Some(last) = keyword.last().and_then(|byte| self.last.get_mut(usize::from(*byte))) {
            *last = true;
        }
        self.ends.push((keyword.into(), number));
    }

    /// Calls `found` with the keywords that begin at `pos`.
    #[inline]
    pub(super) fn at(&self, text: &[u8], pos: usize, mut found: impl FnMut(u16, usize)) {
        let Some(pair) = pair(text, pos) else { return };
        let (place, bit) = slot(pair);
        if self.pairs.get(place).is_some_and(|pairs| pairs & bit != 0) {
            for (keyword, number) in self.lists.get(list(pair)).into_iter().flatten() {
                if has(text, pos, keyword) {
                    found(*number, pos);
                }
            }
        }
    }

    /// Whether a keyword before a run ends with this byte.
    #[inline]
    pub(super) fn ends_with(&self, byte: u8) -> bool {
        self.last.get(usize::from(byte)).copied().unwrap_or(false)
    }

    /// Calls `found` with the keywords that end before `pos`, where a run begins.
    pub(super) fn before(&self, text: &[u8], pos: usize, mut found: impl FnMut(u16, usize)) {
        for (keyword, number) in &self.ends {
            if let Some(start) = pos.checked_sub(keyword.len())
                && has(text, start, keyword)
            {
                found(*number, start);
            }
        }
    }
}

#[inline]
fn pair(text: &[u8], pos: usize) -> Option<u16> {
    let pair = text.get(pos..).and_then(<[u8]>::first_chunk)?;
    Some(u16::from_le_bytes(*pair) | CASE_BITS)
}

#[inline]
fn slot(pair: u16) -> (usize, u64) {
    (usize::from(pair >> 6), 1 << (pair & 63))
}

#[inline]
fn list(pair: u16) -> usize {
    usize::from(pair.wrapping_mul(0x9E37) >> 8)
}
