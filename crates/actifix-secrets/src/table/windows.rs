//! The set of four-byte windows. Only every second place of a text is looked up, so each keyword has a window that stands at an
//! even place if the keyword does, and one that does if the keyword stands at an odd one: the rarest four bytes of it. Windows
//! of shorter keywords have bytes that may be any.
use super::kinds::{BLOCK_BYTES, VIEW_BYTES};
use crate::bytes::at;

/// The bit in which upper and lower case differ, in each byte of a window and of two bytes of it.
const CASE_BITS: u32 = 0x2020_2020;
const PAIR_CASE_BITS: u16 = 0x2020;
/// The bits of a byte that count in the set: upper and lower case have the same.
const BYTE_BITS: u8 = 0x1f;
/// Size of the set in words of 32 bits: some of a thousand of its bits are set.
const SET_BITS: u32 = 14;
const SET_WORDS: usize = 1 << SET_BITS;
/// Lists of windows, by a hash of three of their bytes: most are empty.
const LIST_BITS: u32 = 12;
const LISTS: usize = 1 << LIST_BITS;
/// Places in a block, and in as many bytes of it as are looked at together.
const PLACES: usize = BLOCK_BYTES / 2;
const PLACES_AT_ONCE: usize = 8;

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

/// The windows of all keywords of two and more bytes.
pub(super) struct Windows {
    /// A word for each hash of the last three bytes, a bit in it for the first one.
    set: Box<[u32; SET_WORDS]>,
    /// Windows of which the first three bytes are known, and of which only the last three are.
    head: Lists,
    tail: Lists,
    /// Windows of which fewer are known.
    loose: Box<[Window]>,
}

impl Windows {
    /// Chooses a window of each keyword for each parity; none if there are too many.
    pub(super) fn new(keywords: &[(&[u8], u16)]) -> Option<Self> {
        let mut set = Box::new([0; SET_WORDS]);
        let (mut head, mut tail, mut loose) = (Vec::new(), Vec::new(), Vec::new());
        for (keyword, number) in keywords {
            for parity in [0, 1] {
                let (offset, bytes, mask) =
                    candidates(keyword, parity).max_by_key(|(_, bytes, mask)| rarity(*bytes, *mask))?;
                let window = Window { bytes, mask, keyword: *number, ahead: i8::try_from(-offset).ok()? };
                add(&mut set, bytes, mask);
                let list = match mask.to_le_bytes() {
                    [0xff, 0xff, 0xff, _] => &mut head,
                    [_, 0xff, 0xff, 0xff] => &mut tail,
                    _ => &mut loose,
                };
                list.push(window);
            }
        }
        Some(Self {
            set,
            head: Lists::new(head, |window| window.bytes)?,
            tail: Lists::new(tail, |window| window.bytes >> 8)?,
            loose: loose.into(),
        })
    }

    /// The places of a block at which a window may stand, as bits: one for every second place.
    #[inline]
    pub(super) fn look(&self, view: &[u8; VIEW_BYTES], left: usize) -> u32 {
        // All hashes first: the compiler makes vector instructions of it.
        let mut hashes = [0; PLACES];
        let (middles, _) = view.get(1..).unwrap_or(&[]).as_chunks::<2>();
        let (lasts, _) = view.get(3..).unwrap_or(&[]).as_chunks::<2>();
        for ((own, middle), last) in hashes.iter_mut().zip(middles).zip(lasts) {
            *own = hash(u16::from_le_bytes(*middle), u16::from_le_bytes(*last));
        }
        // They go through memory: to take them out of vectors one by one costs more.
        let hashes = std::hint::black_box(hashes);
        let (hashes, _) = hashes.as_chunks::<PLACES_AT_ONCE>();
        let (parts, _) = view.as_chunks::<{ 2 * PLACES_AT_ONCE }>();
        let mut places = 0;
        for number in 0..left.div_ceil(2 * PLACES_AT_ONCE).min(PLACES / PLACES_AT_ONCE) {
            let (Some(hashes), Some(part)) = (hashes.get(number), parts.get(number)) else { break };
            let (pairs, _) = part.as_chunks::<2>();
            let mut found = 0;
            for (hash, [first, _]) in hashes.iter().rev().zip(pairs.iter().rev()) {
                let word = self.set.get(slot(*hash)).copied().unwrap_or(0);
                found = found << 1 | word >> (first & BYTE_BITS) & 1;
            }
            places |= found << (number * PLACES_AT_ONCE);
        }
        places
    }

    /// Calls `found` with the keywords, and where they begin, of which a window stands at `place`.
    #[inline]
    pub(super) fn compare(&self, text: &[u8], place: usize, mut found: impl FnMut(u16, usize)) {
        let bytes = match text.get(place..).and_then(<[u8]>::first_chunk) {
            Some(bytes) => u32::from_le_bytes(*bytes),
            None => (0..4).rev().fold(0, |all, offset| all << 8 | u32::from(at(text, place + offset))),
        } | CASE_BITS;
        for windows in [self.head.list(bytes), self.tail.list(bytes >> 8), &self.loose] {
            for window in windows {
                if bytes & window.mask == window.bytes
                    && let Some(start) = place.checked_add_signed(isize::from(window.ahead))
                {
                    found(window.keyword, start);
                }
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

/// The hash of the second and third byte of a window and of some bits of the last one; `last` may have a byte above it.
#[inline]
fn hash(middle: u16, last: u16) -> u16 {
    let last = (last & u16::from(BYTE_BITS)).wrapping_mul(0x79B1);
    (middle | PAIR_CASE_BITS).wrapping_mul(0x9E37).wrapping_add(last)
}

/// The upper bits of a hash mix all others.
#[inline]
fn slot(hash: u16) -> usize {
    usize::from(hash >> (u16::BITS - SET_BITS))
}

/// Adds a window with all that its unknown bytes can be.
fn add(set: &mut [u32; SET_WORDS], bytes: u32, mask: u32) {
    let ([first, second, third, last], known) =
        (bytes.to_le_bytes(), mask.to_le_bytes().map(|mask| mask != 0));
    let [first_known, _, third_known, last_known] = known;
    let bit = if first_known { 1 << (first & BYTE_BITS) } else { u32::MAX };
    for third in if third_known { third..=third } else { 0..=u8::MAX } {
        let middle = u16::from_le_bytes([second, third]);
        for last in if last_known { last..=last } else { 0..=BYTE_BITS } {
            if let Some(word) = set.get_mut(slot(hash(middle, u16::from(last)))) {
                *word |= bit;
            }
        }
    }
}

/// The list of windows with these three bytes; what is above them does not count.
#[inline]
fn list(bytes: u32) -> usize {
    ((bytes << 8).wrapping_mul(0x9E37_79B1) >> (u32::BITS - LIST_BITS)) as usize
}

/// The windows of a keyword that begin an even number of bytes after its start, or an odd one: (offset, bytes, mask).
fn candidates(keyword: &[u8], parity: isize) -> impl Iterator<Item = (isize, u32, u32)> {
    // At least three bytes of a window are the keyword's if it has so many, and all four if it has five. The second one always
    // is.
    let short = isize::from(keyword.len() < 5);
    let last = (keyword.len().cast_signed() - 4 + short).max(0);
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
    if COMMON.iter().any(|common| u32::from_le_bytes(**common) | CASE_BITS == bytes) {
        return 0;
    }
    let known = bytes.to_le_bytes().into_iter().zip(mask.to_le_bytes()).filter(|(_, mask)| *mask != 0);
    known.map(|(byte, _)| weight(byte)).sum()
}
