//! The set of four-byte windows. Only every second place of a text is looked up, so each keyword has a window that stands at an
//! even place if the keyword does, and one that does if the keyword stands at an odd one: the rarest four bytes of it. Keywords
//! of three and four bytes have a byte less in one of them, which may be any.
use super::kinds::{BLOCK_BYTES, VIEW_BYTES};
use crate::bytes::at;

/// The bit in which upper and lower case differ, in each byte.
const CASE_BITS: u64 = 0x2020_2020_2020_2020;
/// Size of the set in words of 64 bits: some percent of its bits are set.
const SET_BITS: u32 = 19;
const SET_WORDS: usize = 1 << (SET_BITS - 6);
/// Lists of windows, by a hash of three of their bytes.
const LISTS: usize = 1 << 10;

/// A window of a keyword.
#[derive(Clone, Copy)]
struct Window {
    /// Its bytes with the bit of the case set, and which of them are known.
    bytes: u32,
    mask: u32,
    keyword: u16,
    /// Where the keyword begins after the window's start, 1 at most, or how far before it.
    ahead: i8,
}

/// Windows by three of their bytes.
struct Lists {
    /// Where the list of each hash begins.
    from: Box<[u16; LISTS + 1]>,
    windows: Box<[Window]>,
}

/// The windows of all keywords of three and more bytes.
pub(super) struct Windows {
    set: Box<[u64; SET_WORDS]>,
    /// Windows of which the first three bytes are known, and of which only the last three are.
    head: Lists,
    tail: Lists,
}

impl Windows {
    /// Chooses a window of each keyword for each parity; none if there are too many.
    pub(super) fn new(keywords: &[(&[u8], u16)]) -> Option<Self> {
        let mut set = Box::new([0; SET_WORDS]);
        let (mut head, mut tail) = (Vec::new(), Vec::new());
        for (keyword, number) in keywords {
            for parity in [0, 1] {
                let (offset, bytes, mask) =
                    candidates(keyword, parity).max_by_key(|(_, bytes, mask)| rarity(*bytes, *mask))?;
                let window = Window { bytes, mask, keyword: *number, ahead: i8::try_from(-offset).ok()? };
                for filled in fillings(bytes, mask) {
                    let (place, bit) = slot(filled);
                    *set.get_mut(place)? |= bit;
                }
                if mask & 0xff == 0 { tail.push(window) } else { head.push(window) }
            }
        }
        Some(Self {
            set,
            head: Lists::new(head, |window| window.bytes)?,
            tail: Lists::new(tail, |window| window.bytes >> 8)?,
        })
    }

    /// The places of a block at which a window may stand, as bits: one for every second place.
    #[inline]
    pub(super) fn look(&self, view: &[u8; VIEW_BYTES], left: usize) -> u32 {
        let (eights, _) = view.as_chunks::<8>();
        let mut places = 0;
        let pairs = eights.iter().zip(eights.iter().skip(1)).zip((0..32).step_by(4));
        for ((eight, next), shift) in pairs.take(left.div_ceil(8).min(BLOCK_BYTES / 8)) {
            let even = u64::from_le_bytes(*eight) | CASE_BITS;
            let odd = even >> 16 | (u64::from_le_bytes(*next) | CASE_BITS) << 48;
            let found = self.holds(even as u32)
                | self.holds(odd as u32) << 1
                | self.holds((even >> 32) as u32) << 2
                | self.holds((odd >> 32) as u32) << 3;
            places |= found << shift;
        }
        places
    }

    #[inline]
    fn holds(&self, bytes: u32) -> u32 {
        let hash = hash(bytes);
        let word = self.set.get((hash >> (32 - SET_BITS + 6)) as usize).copied().unwrap_or(0);
        (word >> (hash >> (32 - SET_BITS) & 63)) as u32 & 1
    }

    /// Calls `found` with the keywords, and where they begin, of which a window stands at `place`.
    #[inline]
    pub(super) fn compare(&self, text: &[u8], place: usize, mut found: impl FnMut(u16, usize)) {
        let bytes = match text.get(place..).and_then(<[u8]>::first_chunk) {
            Some(bytes) => u32::from_le_bytes(*bytes),
            None => (0..4).rev().fold(0, |all, offset| all << 8 | u32::from(at(text, place + offset))),
        } | CASE_BITS as u32;
        for window in self.head.list(bytes).iter().chain(self.tail.list(bytes >> 8)) {
            if bytes & window.mask == window.bytes
                && let Some(start) = place.checked_add_signed(isize::from(window.ahead))
            {
                found(window.keyword, start);
            }
        }
    }
}

impl Lists {
    fn new(mut windows: Vec<Window>, key: impl Fn(&Window) -> u32) -> Option<Self> {
        windows.sort_by_key(|window| list(key(window)));
        let mut from = Box::new([0; LISTS + 1]);
        for (number, from) in from.iter_mut().enumerate() {
            *from = u16::try_from(windows.partition_point(|window| list(key(window)) < number)).ok()?;
        }
        Some(Self { from, windows: windows.into() })
    }

    /// The windows that may have these three bytes.
    #[inline]
    fn list(&self, bytes: u32) -> &[Window] {
        let number = list(bytes);
        let (from, to) = (self.from.get(number), self.from.get(number + 1));
        let (Some(from), Some(to)) = (from, to) else { return &[] };
        self.windows.get(usize::from(*from)..usize::from(*to)).unwrap_or(&[])
    }
}

#[inline]
fn hash(bytes: u32) -> u32 {
    bytes.wrapping_mul(0x9E37_79B1)
}

#[inline]
fn slot(bytes: u32) -> (usize, u64) {
    let hash = hash(bytes) >> (32 - SET_BITS);
    ((hash >> 6) as usize, 1 << (hash & 63))
}

/// The list of windows with these three bytes; what is above them does not count.
#[inline]
fn list(bytes: u32) -> usize {
    (bytes << 8).wrapping_mul(0x9E37_79B1) as usize >> 22 & (LISTS - 1)
}

/// The windows of a keyword that begin an even number of bytes after its start, or an odd one: (offset, bytes, mask).
fn candidates(keyword: &[u8], parity: isize) -> impl Iterator<Item = (isize, u32, u32)> {
    // At least three bytes of a window are the keyword's, and all four if it has five.
    let short = isize::from(keyword.len() < 5);
    let last = keyword.len().cast_signed() - 4 + short;
    (-short..=last).filter(move |offset| offset.rem_euclid(2) == parity).map(|offset| {
        let (mut bytes, mut mask) = (0, 0);
        for place in (offset..offset + 4).rev() {
            let known = usize::try_from(place).ok().and_then(|place| keyword.get(place));
            bytes = bytes << 8 | known.map_or(0, |byte| u32::from(byte | 0x20));
            mask = mask << 8 | if known.is_some() { 0xff } else { 0 };
        }
        (offset, bytes, mask)
    })
}

/// A window with all that its unknown byte can be.
fn fillings(bytes: u32, mask: u32) -> impl Iterator<Item = u32> {
    let shift = if mask & 0xff == 0 { 0 } else { 24 };
    let values = if mask == u32::MAX { 0..1 } else { 0..256_u32 };
    values.filter(move |byte| mask == u32::MAX || byte & 0x20 != 0).map(move |byte| bytes | byte << shift)
}

/// Parts of common words of programs that are made of letters that are not common.
const COMMON: [&[u8; 4]; 49] = [
    b"----", b" for", b" fro", b" key", b"able", b"ampl", b"back", b"cens", b"ciph", b"code", b"conf",
    b"cont", b"cryp", b"d by", b"data", b"d_co", b"ect_", b"ence", b"func", b"gith", b"hash", b"iphe",
    b"ivat", b"key_", b"lice", b"lock", b"numb", b"ock ", b"orag", b"ourc", b"para", b"path", b"pher",
    b"priv", b"push", b"requ", b"ring", b"riva", b"rom ", b"rypt", b"sign", b"sion", b"sser", b"tabl",
    b"thub", b"with", b"word", b"writ", b"_key",
];

/// How rare a window is in source code, roughly.
fn rarity(bytes: u32, mask: u32) -> u32 {
    let weight = |byte: u8| match byte {
        b' ' | b'e' | b't' => 1,
        b'a' | b'i' | b'n' | b'o' | b'r' | b's' => 2,
        // The underscore with the bit of the case.
        b'c' | b'd' | b'l' | b'u' | 0x7f | b'm' | b'p' | b'f' => 3,
        b'b' | b'g' | b'h' | b'.' | b',' | b'=' | b'"' | b'(' | b':' | b'/' | b'-' => 4,
        b'y' | b'v' | b'w' | b'k' | b'0' | b'1' => 5,
        _ => 6,
    };
    if COMMON.iter().any(|common| u32::from_le_bytes(**common) | CASE_BITS as u32 == bytes) {
        return 0;
    }
    let known = bytes.to_le_bytes().into_iter().zip(mask.to_le_bytes()).filter(|(_, mask)| *mask != 0);
    known.map(|(byte, _)| weight(byte)).sum()
}
