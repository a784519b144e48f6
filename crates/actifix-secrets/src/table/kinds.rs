//! Which kinds of bytes stand where in a block.
use super::lanes::{LANES, Lanes};
use crate::bytes::at;

/// Bytes that are looked at in one go: as many as a mask has bits.
pub(super) const BLOCK_BYTES: usize = 64;
/// A block and what windows at its end reach beyond it.
pub(super) const VIEW_BYTES: usize = BLOCK_BYTES + 8;

/// Kinds of bytes and pairs that a pass has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen(u8);

const AT_SIGN: u8 = 1;
const COLON: u8 = 1 << 1;
const DOT: u8 = 1 << 2;
const UPPER: u8 = 1 << 3;
const DIGIT: u8 = 1 << 4;
const PERCENT: u8 = 1 << 5;
const ESCAPED: u8 = 1 << 6;
/// What the rare signs can be.
const RARE: u8 = AT_SIGN | PERCENT | ESCAPED;

impl Seen {
    /// A sign that every e-mail address has.
    #[inline]
    pub(crate) fn at_sign(self) -> bool {
        self.0 & AT_SIGN != 0
    }
    /// A decimal digit.
    #[inline]
    pub(crate) fn digit(self) -> bool {
        self.0 & DIGIT != 0
    }
    /// A separator of IPv4 addresses.
    #[inline]
    pub(crate) fn dot(self) -> bool {
        self.0 & DOT != 0
    }
    /// A separator of IPv6 addresses.
    #[inline]
    pub(crate) fn colon(self) -> bool {
        self.0 & COLON != 0
    }
    /// An upper-case letter.
    #[inline]
    pub(crate) fn upper(self) -> bool {
        self.0 & UPPER != 0
    }
    /// An escape of ASCII in a URL: `%2` to `%7`.
    #[inline]
    pub(crate) fn percent(self) -> bool {
        self.0 & PERCENT != 0
    }
    /// Some of the escapes that hide letters: `\/`, `\x4` to `\x7`, `&#`.
    #[inline]
    pub(crate) fn escaped(self) -> bool {
        self.0 & ESCAPED != 0
    }
    /// Anything of that.
    #[inline]
    pub(crate) fn hidden(self) -> bool {
        self.0 & (PERCENT | ESCAPED) != 0
    }
}

/// Where the bytes of a block are, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Masks {
    /// Letters and digits.
    pub word: u64,
    /// `_`, `-`, `+` and `/`.
    pub glue: u64,
    pub digit: u64,
}

impl Masks {
    /// Bytes of both base64 alphabets.
    #[inline]
    pub(super) fn run(self) -> u64 {
        self.word | self.glue
    }
}

/// Sorts the first `N` bytes of a block into kinds.
#[inline]
pub(super) fn classify<const N: usize>(view: &[u8; VIEW_BYTES], seen: &mut Seen) -> Masks {
    // Most texts have these soon.
    let common = seen.0 & (COLON | DOT | UPPER) != COLON | DOT | UPPER;
    let (mut colons, mut dots, mut uppers) = (Lanes::none(), Lanes::none(), Lanes::none());
    let mut masks = Masks::default();
    let mut rare = 0;
    let (parts, _) = view.as_chunks::<LANES>();
    for number in 0..N / LANES {
        let Some(bytes) = parts.get(number).map(Lanes::of) else { break };
        let shift = number * LANES;
        let digits = bytes.within(b'0', 10);
        let words = digits.or(bytes.folded().within(b'a', 26));
        let glue = bytes.is(b'_').or(bytes.is(b'-')).or(bytes.is(b'+')).or(bytes.is(b'/'));
        masks.word |= u64::from(words.bits()) << shift;
        masks.glue |= u64::from(glue.bits()) << shift;
        masks.digit |= u64::from(digits.bits()) << shift;
        let signs = bytes.is(b'@').or(bytes.is(b'%')).or(bytes.is(b'\\')).or(bytes.is(b'&'));
        rare |= u64::from(signs.bits()) << shift;
        if common {
            colons = colons.or(bytes.is(b':'));
            dots = dots.or(bytes.is(b'.'));
            uppers = uppers.or(bytes.within(b'A', 26));
        }
    }
    if common {
        seen.0 |=
            kind(colons.bits() != 0, COLON) | kind(dots.bits() != 0, DOT) | kind(uppers.bits() != 0, UPPER);
    }
    seen.0 |= kind(masks.digit != 0, DIGIT);
    if rare != 0 && seen.0 & RARE != RARE {
        seen.0 |= rare_kinds(view, rare);
    }
    masks
}

/// The kinds of the signs that begin at the places that are set.
fn rare_kinds(view: &[u8; VIEW_BYTES], mut places: u64) -> u8 {
    let mut kinds = 0;
    while places != 0 {
        let place = places.trailing_zeros() as usize;
        kinds |= match [at(view, place), at(view, place + 1), at(view, place + 2)] {
            [b'@', ..] => AT_SIGN,
            [b'%', b'2'..=b'7', _] => PERCENT,
            [b'\\', b'/', _] | [b'&', b'#', _] | [b'\\', b'x' | b'X', b'4'..=b'7'] => ESCAPED,
            _ => 0,
        };
        places &= places - 1;
    }
    kinds
}

#[inline]
fn kind(is: bool, kind: u8) -> u8 {
    if is { kind } else { 0 }
}

/// Where a byte stands in the block, the case of letters ignored; others may pass for it.
#[inline]
pub(super) fn places(view: &[u8; VIEW_BYTES], byte: u8) -> u64 {
    let (parts, _) = view.as_chunks::<LANES>();
    let mut places = 0;
    for number in 0..BLOCK_BYTES / LANES {
        let Some(bytes) = parts.get(number).map(Lanes::of) else { break };
        places |= u64::from(bytes.folded().is(byte | 0x20).bits()) << (number * LANES);
    }
    places
}

/// The places from which on `count` bits are set.
#[inline]
pub(super) fn long(mut bits: u128, count: usize) -> u64 {
    let mut known = 1;
    while known < count {
        let step = known.min(count - known);
        bits &= bits >> step;
        known += step;
    }
    bits as u64
}
