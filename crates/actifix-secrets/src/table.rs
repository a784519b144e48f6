//! The search for all keywords at once. A text is walked byte by byte without a chain of dependent loads: two bytes
//! select a mask, the third a bit of it, and only where the bit is set (some percent of all places) whole keywords are
//! compared. The same walk tells which kinds of bytes the text has, so that most detectors need no pass of their own.
use crate::bytes::{has, starts_token};

/// Kinds of bytes that a pass has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen(u16);

/// Classes of bytes: 26 letters in any case, digits, four groups of punctuation, and 0 for all else.
const CLASS_BITS: u32 = 5;
const CLASSES: usize = 1 << CLASS_BITS;
const CLASS_MASK: u16 = (1 << CLASS_BITS) - 1;

/// The kinds stand above the class.
const AT_SIGN: u16 = 1 << 8;
const DIGIT: u16 = 1 << 9;
const COLON: u16 = 1 << 10;
const DOT: u16 = 1 << 11;
const UPPER: u16 = 1 << 12;

/// The bit in which upper and lower case differ, in each byte.
const CASE_BITS: u64 = 0x2020_2020_2020_2020;

/// Size of the set of first four bytes, in words of 64 bits: a thousand keywords fill some percent of its 32,768 bits.
const HEAD_WORDS: usize = 512;
/// Bytes that are looked at in one go.
const BLOCK_BYTES: usize = 8;
/// Longest escape before a token, in bytes.
const ESCAPE_BYTES_MAX: usize = 6;

/// Hits that are collected before they are handed out: a text of keywords must not fill the memory.
const HITS_MAX: usize = 1_024;
/// Groups of keywords with the same three first classes.
const GROUPS_MAX: usize = 1 << 15;

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
}

/// A keyword of the table.
pub(crate) struct Word<'w> {
    /// In lower case.
    pub text: &'w str,
    /// It begins a token: inside a word (`pat` in `path`) nobody looks at it.
    pub begins: bool,
}

/// Where a keyword stands in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    /// Number of the keyword.
    pub keyword: u16,
    pub start: usize,
    pub end: usize,
}

/// A keyword as it is compared.
struct Entry {
    /// The first 8 bytes with the bit of the case set, and which of them there are.
    head: u64,
    head_mask: u64,
    keyword: u16,
    begins: bool,
}

/// Keywords with the same three first classes.
#[derive(Clone, Copy)]
struct Group {
    /// Where they are among the entries.
    from: u32,
    to: u32,
    /// Mask of the classes that may stand in the fourth place.
    fourth: u32,
}

/// All keywords, ASCII case ignored, overlapping ones too.
pub(crate) struct Table {
    /// The class of each byte, and its kinds above it.
    classes: Box<[u16; 256]>,
    /// For each pair of classes a mask of the classes that go on to a keyword.
    third: Box<[u32; CLASSES * CLASSES]>,
    /// For each pair of classes the number of its first group; one group per bit of its mask.
    first: Box<[u16; CLASSES * CLASSES]>,
    /// For each pair of classes a mask of the classes with which a keyword of less than four bytes begins: anywhere, and
    /// only at the start of a token.
    short: Box<[(u32, u32); CLASSES * CLASSES]>,
    /// The first four bytes of all others, hashed.
    heads: Box<[u64; HEAD_WORDS]>,
    groups: Box<[Group]>,
    entries: Box<[Entry]>,
    words: Box<[Box<[u8]>]>,
}

/// How far a text was walked.
#[derive(Default)]
pub(crate) struct Walk {
    pos: usize,
    seen: u16,
    /// Class of the byte before `pos`.
    last: usize,
    /// Mask of the two bytes before `pos`.
    mask: u32,
    /// The list was full before the text was at its end.
    full: bool,
}

impl Walk {
    /// Kinds of the bytes so far.
    #[inline]
    pub(crate) fn seen(&self) -> Seen {
        Seen(self.seen)
    }
}

impl Table {
    /// Compiles the keywords; none if there are too many of them (the bounds on rules exclude it).
    pub(crate) fn new(words: &[Word<'_>]) -> Option<Self> {
        let classes = classes();
        let known = classes.clone();
        let class =
            |byte: u8| usize::from(known.get(usize::from(byte)).map_or(0, |class| class & CLASS_MASK));
        // Keywords by their three first classes; one that is shorter stands under all that may follow.
        let mut grams: Vec<(usize, u16)> = Vec::new();
        for (number, word) in words.iter().enumerate() {
            let number = u16::try_from(number).ok()?;
            let mut bytes = word.text.bytes().map(class);
            let Some(first) = bytes.next() else { continue };
            let (second, third) = (bytes.next(), bytes.next());
            for second in second.map_or(0..CLASSES, |class| class..class + 1) {
                for third in third.map_or(0..CLASSES, |class| class..class + 1) {
                    grams.push(((first * CLASSES + second) * CLASSES + third, number));
                }
            }
        }
        grams.sort_unstable();
        let mut table = Self {
            classes,
            third: Box::new([0; CLASSES * CLASSES]),
            first: Box::new([0; CLASSES * CLASSES]),
            short: Box::new([(0, 0); CLASSES * CLASSES]),
            heads: Box::new([0; HEAD_WORDS]),
            groups: Box::default(),
            entries: Box::default(),
            words: words.iter().map(|word| word.text.as_bytes().into()).collect(),
        };
        let (mut groups, mut entries): (Vec<Group>, Vec<Entry>) = (Vec::new(), Vec::new());
        let mut open = None;
        for (gram, number) in grams {
            let pair = gram / CLASSES;
            if open != Some(gram) {
                open = Some(gram);
                let mask = table.third.get_mut(pair)?;
                if *mask == 0 {
                    *table.first.get_mut(pair)? = u16::try_from(groups.len()).ok()?;
                }
                *mask |= 1 << (gram % CLASSES);
                let from = u32::try_from(entries.len()).ok()?;
                groups.push(Group { from, to: from, fourth: 0 });
            }
            let word = words.get(usize::from(number))?;
            let group = groups.last_mut()?;
            group.to += 1;
            if let Some(head) = word.text.as_bytes().first_chunk() {
                let (place, bit) = head_slot(head);
                *table.heads.get_mut(place)? |= bit;
            } else {
                let short = table.short.get_mut(pair)?;
                let mask = if word.begins { &mut short.1 } else { &mut short.0 };
                *mask |= 1 << (gram % CLASSES);
            }
            group.fourth |= word.text.as_bytes().get(3).map_or(u32::MAX, |byte| 1 << class(*byte));
            entries.push(entry(word, number));
        }
        if groups.len() > GROUPS_MAX {
            return None;
        }
        (table.groups, table.entries) = (groups.into(), entries.into());
        Some(table)
    }

    /// Collects the keywords of a text, or the first of very many.
    #[inline]
    pub(crate) fn start(&self, text: &[u8], hits: &mut Vec<Hit>) -> Walk {
        hits.clear();
        let mut walk = Walk::default();
        walk.full = self.advance(text, &mut walk, hits);
        walk
    }

    /// Brings them in the order of their ends and of these in that of their starts, and collects the rest. If there are
    /// very many, `full` is called with the first of them, which it takes out of the list.
    #[inline]
    pub(crate) fn go_on(
        &self,
        text: &[u8],
        mut walk: Walk,
        hits: &mut Vec<Hit>,
        mut full: impl FnMut(&[Hit]),
    ) -> Seen {
        while walk.full {
            sort(hits);
            // What is found later starts at most two bytes before `pos`, so it ends after these.
            let settled = hits.partition_point(|hit| hit.end < walk.pos);
            full(hits.get(..settled).unwrap_or(&[]));
            hits.drain(..settled);
            walk.full = self.advance(text, &mut walk, hits);
        }
        sort(hits);
        walk.seen()
    }

    /// Walks on to the end of the text, or until the list is full: then true.
    #[inline]
    fn advance(&self, text: &[u8], walk: &mut Walk, hits: &mut Vec<Hit>) -> bool {
        let rest = text.get(walk.pos..).unwrap_or(&[]);
        // Eight bytes in one go: a branch for each of them costs more than looking at it.
        let (blocks, tail) = rest.as_chunks::<BLOCK_BYTES>();
        for block in blocks {
            let ends = self.look(block, walk);
            if ends != 0 {
                self.compare_all(text, walk.pos, ends, hits);
            }
            walk.pos += BLOCK_BYTES;
            if hits.len() >= HITS_MAX {
                return true;
            }
        }
        let ends = self.look(tail, walk);
        self.compare_all(text, walk.pos, ends, hits);
        walk.pos += tail.len();
        if hits.len() >= HITS_MAX && !tail.is_empty() {
            return true;
        }
        // Keywords of one or two bytes at the end.
        let one = self.mask(walk.last, 0);
        for (mask, before) in [(walk.mask, 2), (one, 1)] {
            if mask & 1 != 0 {
                self.compare(text, text.len().wrapping_sub(before), hits);
            }
        }
        false
    }

    /// The places in some bytes at which the third byte of a keyword could stand, as bits.
    #[inline]
    fn look(&self, block: &[u8], walk: &mut Walk) -> u32 {
        let (classes, third): (&[u16; 256], &[u32; CLASSES * CLASSES]) = (&self.classes, &self.third);
        let (mut seen, mut last, mut mask, mut ends) = (walk.seen, walk.last, walk.mask, 0);
        for (place, byte) in block.iter().enumerate() {
            let entry = classes.get(usize::from(*byte)).copied().unwrap_or(0);
            let class = usize::from(entry & CLASS_MASK);
            ends |= (mask >> class & 1) << place;
            mask = third.get((last & (CLASSES - 1)) * CLASSES + class).copied().unwrap_or(0);
            seen |= entry;
            last = class;
        }
        (walk.seen, walk.last, walk.mask) = (seen, last, mask);
        ends
    }

    /// Compares the keywords whose third byte stands at one of the places in the block at `pos`.
    #[inline(never)]
    fn compare_all(&self, text: &[u8], pos: usize, ends: u32, hits: &mut Vec<Hit>) {
        let mut left = ends;
        while left != 0 {
            // The first keyword of a text may begin before it, as its first bytes are looked for after two of class 0.
            let start = (pos + left.trailing_zeros() as usize).wrapping_sub(2);
            if self.may_start(text, start) {
                self.compare(text, start, hits);
            }
            left &= left - 1;
        }
    }

    /// Whether the first four bytes at `start` are those of a keyword, or three of a shorter one: common words (`con`, `ser`,
    /// `res`) begin as keywords do.
    #[inline]
    fn may_start(&self, text: &[u8], start: usize) -> bool {
        let Some(head) = text.get(start..).and_then(<[u8]>::first_chunk::<4>) else { return true };
        let (place, bit) = head_slot(head);
        if self.heads.get(place).is_some_and(|word| word & bit != 0) {
            return true;
        }
        let class =
            |byte: u8| usize::from(self.classes.get(usize::from(byte)).map_or(0, |class| class & CLASS_MASK));
        let [first, second, third, _] = *head;
        let pair = class(first) * CLASSES + class(second);
        let (anywhere, begins) = self.short.get(pair).copied().unwrap_or_default();
        let third = class(third);
        anywhere >> third & 1 != 0 || (begins >> third & 1 != 0 && may_start_token(text, start))
    }

    #[inline]
    fn mask(&self, last: usize, class: usize) -> u32 {
        self.third.get(last * CLASSES + class).copied().unwrap_or(0)
    }

    /// Compares the keywords that could start at `start` (it lies before the text for its first bytes).
    #[inline(never)]
    fn compare(&self, text: &[u8], start: usize, hits: &mut Vec<Hit>) {
        let Some(rest) = text.get(start..) else { return };
        let class = |pos: usize| {
            let class = rest.get(pos).and_then(|byte| self.classes.get(usize::from(*byte))).copied();
            usize::from(class.unwrap_or(0) & CLASS_MASK)
        };
        let pair = class(0) * CLASSES + class(1);
        let before = self.third.get(pair).map_or(0, |mask| (mask & ((1 << class(2)) - 1)).count_ones());
        let group = self.first.get(pair).map_or(0, |first| usize::from(*first)) + before as usize;
        let Some(Group { from, to, fourth }) = self.groups.get(group) else { return };
        if fourth >> class(3) & 1 == 0 {
            return;
        }
        let head = match rest.first_chunk::<8>() {
            Some(head) => u64::from_le_bytes(*head) | CASE_BITS,
            None => rest.iter().rev().fold(0, |head, byte| head << 8 | u64::from(*byte | 0x20)),
        };
        for entry in self.entries.get(*from as usize..*to as usize).unwrap_or(&[]) {
            if head & entry.head_mask == entry.head {
                self.compare_whole(entry, text, start, hits);
            }
        }
    }

    #[inline(never)]
    fn compare_whole(&self, entry: &Entry, text: &[u8], start: usize, hits: &mut Vec<Hit>) {
        if let Some(word) = self.words.get(usize::from(entry.keyword))
            && (!entry.begins || starts_token(text, start))
            && has(text, start, word)
        {
            hits.push(Hit { keyword: entry.keyword, start, end: start + word.len() });
        }
    }
}

/// Where the first four bytes of a keyword are in the set of them, case ignored.
#[inline]
fn head_slot(head: &[u8; 4]) -> (usize, u64) {
    let hash = (u32::from_le_bytes(*head) | CASE_BITS as u32).wrapping_mul(0x9E37_79B1) >> 17;
    ((hash >> 6) as usize, 1 << (hash & 63))
}

/// Whether a token could start at `pos`: not inside of a word, unless an escape stands there.
#[inline]
fn may_start_token(text: &[u8], pos: usize) -> bool {
    let before = text.get(pos.saturating_sub(ESCAPE_BYTES_MAX)..pos).unwrap_or(&[]);
    !before.last().is_some_and(u8::is_ascii_alphanumeric) || before.iter().any(|b| matches!(b, b'\\' | b'%'))
}

fn entry(word: &Word<'_>, keyword: u16) -> Entry {
    let (mut head, mut head_mask) = (0_u64, 0_u64);
    for byte in word.text.bytes().take(8).collect::<Vec<u8>>().iter().rev() {
        head = head << 8 | u64::from(*byte | 0x20);
        head_mask = head_mask << 8 | 0xff;
    }
    Entry { head, head_mask, keyword, begins: word.begins }
}

fn sort(hits: &mut [Hit]) {
    if !hits.is_sorted_by_key(|hit| (hit.end, hit.start)) {
        hits.sort_unstable_by_key(|hit| (hit.end, hit.start));
    }
}

/// The class and kinds of each byte.
fn classes() -> Box<[u16; 256]> {
    let mut classes = Box::new([0_u16; 256]);
    for (byte, class) in (0..=u8::MAX).zip(classes.iter_mut()) {
        *class = match byte {
            b'a'..=b'z' => u16::from(byte - b'a') + 1,
            b'A'..=b'Z' => u16::from(byte - b'A') + 1,
            b'0'..=b'9' => 27,
            b'_' | b'.' => 28,
            b'-' | b'+' => 29,
            b':' | b'/' => 30,
            b'%' | b'\\' | b'&' | b'?' | b';' => 31,
            _ => 0,
        };
        *class |= match byte {
            b'@' => AT_SIGN,
            b'0'..=b'9' => DIGIT,
            b':' => COLON,
            b'.' => DOT,
            b'A'..=b'Z' => UPPER,
            _ => 0,
        };
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(words: &[&str]) -> Table {
        let words: Vec<Word<'_>> = words.iter().map(|text| Word { text, begins: false }).collect();
        Table::new(&words).unwrap()
    }

    /// All hits, also those handed out early.
    fn hits(table: &Table, text: &[u8]) -> (Vec<(u16, usize, usize)>, Seen) {
        let (mut early, mut hits) = (Vec::new(), Vec::new());
        let walk = table.start(text, &mut hits);
        let seen = table.go_on(text, walk, &mut hits, |hits| early.extend_from_slice(hits));
        early.append(&mut hits);
        (early.iter().map(|hit| (hit.keyword, hit.start, hit.end)).collect(), seen)
    }

    #[test]
    fn keywords_are_found_in_any_case_and_inside_each_other() {
        let table = table(&["pat", "github_pat_", "hub", "@", "t_", "pw"]);
        let (found, seen) = hits(&table, b"x GitHub_PAT_1 pa\xff@ pw");
        assert_eq!(found, [(2, 5, 8), (0, 9, 12), (1, 2, 13), (4, 11, 13), (3, 18, 19), (5, 20, 22)]);
        assert!(seen.at_sign() && seen.digit() && seen.upper() && !seen.dot() && !seen.colon());
        for (text, want) in [("@", (3, 0, 1)), ("pw", (5, 0, 2)), ("hUb", (2, 0, 3)), ("a@", (3, 1, 2))] {
            assert_eq!(hits(&table, text.as_bytes()).0, [want], "{text}");
        }
        for text in ["", "p", "pa", "hu", "ap"] {
            assert_eq!(hits(&table, text.as_bytes()).0, [], "{text}");
        }
    }

    #[test]
    fn only_whole_keywords_are_hits() {
        // The bit of the case, the class and the first eight bytes are shared by others.
        let table = table(&["a_b:c", "password_hash"]);
        for text in ["a.b:c", "a\x7fb:c", "a_b\x1ac", "password_hasp", "a_b/c", "a_b:"] {
            assert_eq!(hits(&table, text.as_bytes()).0, [], "{text:?}");
        }
        assert_eq!(hits(&table, b"A_B:C").0, [(0, 0, 5)]);
    }

    #[test]
    fn a_keyword_inside_a_word_may_not_count() {
        let table = Table::new(&[Word { text: "pat", begins: true }]).unwrap();
        assert_eq!(hits(&table, b"spat -pat \\npat %3Dpat").0.len(), 3);
    }

    #[test]
    fn very_many_hits_come_in_order() {
        let table = table(&["pwd", "pw", "wdpwdpwd"]);
        let text = b"pwd".repeat(5_000);
        let (found, _) = hits(&table, &text);
        assert_eq!(found.len(), 5_000 + 5_000 + 4_998);
        assert!(found.is_sorted_by_key(|(_, start, end)| (*end, *start)));
    }

    /// The reference: every keyword compared at every byte.
    fn everywhere(words: &[Word<'_>], text: &[u8]) -> Vec<(u16, usize, usize)> {
        let mut found = Vec::new();
        for start in 0..text.len() {
            for (number, word) in (0..).zip(words) {
                let word_ok = has(text, start, word.text.as_bytes());
                if word_ok && (!word.begins || starts_token(text, start)) {
                    found.push((number, start, start + word.text.len()));
                }
            }
        }
        found.sort_by_key(|(_, start, end)| (*end, *start));
        found
    }

    #[test]
    fn the_masks_hide_no_keyword() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut below = |max: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % max as u64) as usize
        };
        for _ in 0..300 {
            let letters: &[u8] =
                [&b"ab"[..], b"a%2-_.:/", b"abcdefghijklmnopqrstuvwxyz0123456789_- =\\%"][below(3)];
            let texts: Vec<String> = (0..1 + below(60))
                .map(|_| (0..1 + below(9)).map(|_| char::from(letters[below(letters.len())])).collect())
                .collect();
            let mut texts = texts;
            texts.sort();
            texts.dedup();
            let words: Vec<Word<'_>> = texts
                .iter()
                .map(|text| Word {
                    text,
                    begins: text.len() > 2 && text.as_bytes()[0].is_ascii_alphanumeric(),
                })
                .collect();
            let table = Table::new(&words).unwrap();
            let mut text: Vec<u8> = Vec::new();
            for _ in 0..below(40) {
                match below(4) {
                    0 => text.push(below(256) as u8),
                    1 => text.push(letters[below(letters.len())].to_ascii_uppercase()),
                    _ => text.extend_from_slice(words[below(words.len())].text.as_bytes()),
                }
            }
            assert_eq!(
                hits(&table, &text).0,
                everywhere(&words, &text),
                "{:?}",
                String::from_utf8_lossy(&text)
            );
        }
    }

    #[test]
    fn no_keywords_are_a_table_too() {
        let table = table(&[]);
        let (found, seen) = hits(&table, b"a.b");
        assert!(found.is_empty() && seen.dot());
    }
}
