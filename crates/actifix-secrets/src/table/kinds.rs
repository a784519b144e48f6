//! Which kinds of bytes stand where in a block. The loops have no branches and fixed lengths, so that the compiler makes vector
//! instructions of them.

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
/// `\x`, which may go on to a letter.
const MAYBE: u8 = 1 << 7;

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
    let (mut words, mut glues, mut digits) = ([0; N], [0; N], [0; N]);
    for (((byte, word), glue), digit) in view.iter().zip(&mut words).zip(&mut glues).zip(&mut digits) {
        let decimal = u8::from(byte.wrapping_sub(b'0') < 10);
        *word = decimal | u8::from((byte | 0x20).wrapping_sub(b'a') < 26);
        *glue = u8::from(*byte == b'_')
            | u8::from(*byte == b'-')
            | u8::from(*byte == b'+')
            | u8::from(*byte == b'/');
        *digit = decimal;
    }
    let masks = Masks { word: bits(&words), glue: bits(&glues), digit: bits(&digits) };
    // Most blocks have none of the rare kinds, and most texts have all of the others soon.
    if seen.0 & (COLON | DOT | UPPER) != COLON | DOT | UPPER || holds_rare::<N>(view) {
        seen.0 |= kinds::<N>(view);
    }
    seen.0 |= kind(masks.digit != 0, DIGIT);
    masks
}

#[inline]
fn holds_rare<const N: usize>(view: &[u8; VIEW_BYTES]) -> bool {
    let mut rare = 0;
    for (byte, next) in view.iter().zip(view.iter().skip(1)).take(N) {
        rare |= u8::from(*byte == b'@')
            | u8::from(*byte == b'%')
            | u8::from(*byte == b'\\')
            | (u8::from(*byte == b'&') & u8::from(*next == b'#'));
    }
    rare != 0
}

/// All kinds of the first `N` bytes of a block but that of digits.
#[inline]
fn kinds<const N: usize>(view: &[u8; VIEW_BYTES]) -> u8 {
    let mut kinds = 0;
    for (byte, next) in view.iter().zip(view.iter().skip(1)).take(N) {
        kinds |= kind(*byte == b'@', AT_SIGN)
            | kind(*byte == b':', COLON)
            | kind(*byte == b'.', DOT)
            | kind(byte.wrapping_sub(b'A') < 26, UPPER)
            | kind((*byte == b'%') & (next.wrapping_sub(b'2') < 6), PERCENT)
            | kind((*byte == b'\\') & (*next == b'/'), ESCAPED)
            | kind((*byte == b'&') & (*next == b'#'), ESCAPED)
            | kind((*byte == b'\\') & (next | 0x20 == b'x'), MAYBE);
    }
    if kinds & MAYBE != 0 {
        let escape = |part: &[u8]| matches!(part, [b'\\', b'x' | b'X', b'4'..=b'7']);
        kinds |= kind(view.windows(3).take(N).any(escape), ESCAPED);
    }
    kinds & !MAYBE
}

#[inline]
fn kind(is: bool, kind: u8) -> u8 {
    if is { kind } else { 0 }
}

/// The bytes, each 0 or 1, as bits.
#[inline]
fn bits(bytes: &[u8]) -> u64 {
    let (eights, _) = bytes.as_chunks::<8>();
    // The product brings bit `8 n` to bit `56 + n`, and no two others to the same.
    let bits = |eight: &[u8; 8]| u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    eights.iter().rev().fold(0, |all, eight| all << 8 | bits(eight))
}

/// Whether a byte, or a pair of them, may begin in the block, the case of letters ignored.
#[inline]
pub(super) fn holds(view: &[u8; VIEW_BYTES], first: u8, second: Option<u8>) -> bool {
    let (first, any, second) = (first | 0x20, second.is_none(), second.unwrap_or(0) | 0x20);
    let pairs = view.iter().zip(view.iter().skip(1)).take(BLOCK_BYTES);
    pairs
        .fold(false, |found, (byte, next)| found | ((byte | 0x20 == first) & (any | (next | 0x20 == second))))
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
