//! The automaton over all keywords as one flat table. The pass over a text is one load per byte, and the same pass
//! tells which kinds of bytes the text has, so that most detectors need no pass of their own.
use aho_corasick::automaton::Automaton;
use aho_corasick::dfa::DFA;
use aho_corasick::{Anchored, MatchKind, StartKind};

/// Kinds of bytes that a pass has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen(u16);

/// The kinds stand above the class, which takes the low byte.
const AT_SIGN: u16 = 1 << 8;
const DIGIT: u16 = 1 << 9;
const COLON: u16 = 1 << 10;
const DOT: u16 = 1 << 11;
const UPPER: u16 = 1 << 12;

/// Marks a transition into a state where keywords end. It lies outside the table, so the bounds check of the next step
/// is the test for a match.
const MATCH: u32 = 1 << 31;

impl Seen {
    /// A sign that every e-mail address has.
    pub(crate) fn at_sign(self) -> bool {
        self.0 & AT_SIGN != 0
    }
    /// A decimal digit.
    pub(crate) fn digit(self) -> bool {
        self.0 & DIGIT != 0
    }
    /// A separator of IP addresses.
    pub(crate) fn dot_or_colon(self) -> bool {
        self.0 & (DOT | COLON) != 0
    }
    /// An upper-case letter.
    pub(crate) fn upper(self) -> bool {
        self.0 & UPPER != 0
    }
}

/// Keywords that end in one state: (number, bytes).
type Ends = Box<[(u16, u16)]>;

/// All keywords, ASCII case ignored, overlapping ones too.
pub(crate) struct Table {
    /// The class of each byte, and its kind above it.
    classes: Box<[u16; 256]>,
    /// Row by row, one column per class: the offset of the next row.
    next: Box<[u32]>,
    start: u32,
    stride: u32,
    /// What ends in each state where anything does; these states are the first.
    ends: Box<[Ends]>,
}

impl Table {
    /// Compiles the keywords; none if there are too many of them (the bounds on rules exclude it).
    pub(crate) fn new(keywords: &[&str]) -> Option<Self> {
        let automaton = DFA::builder()
            .match_kind(MatchKind::Standard)
            .start_kind(StartKind::Unanchored)
            .ascii_case_insensitive(true)
            .build(keywords)
            .ok()?;
        let (classes, bytes) = classes(keywords)?;
        let states = states(&automaton, &bytes)?;
        let stride = u32::try_from(bytes.len()).ok()?;
        let rows = u32::try_from(states.order.len()).ok()?;
        if rows.checked_mul(stride)? >= MATCH {
            return None;
        }
        let mut next = Vec::with_capacity(states.order.len() * bytes.len());
        let mut ends = Vec::with_capacity(states.matching);
        for state in &states.order {
            for byte in &bytes {
                let to = automaton.next_state(Anchored::No, *state, *byte);
                let row = *states.row.get(to.as_usize())? * stride;
                next.push(if automaton.is_match(to) { row | MATCH } else { row });
            }
            if automaton.is_match(*state) {
                let mut list = Vec::new();
                for nth in 0..automaton.match_len(*state) {
                    let pattern = automaton.match_pattern(*state, nth);
                    let length = u16::try_from(automaton.pattern_len(pattern)).ok()?;
                    list.push((u16::try_from(pattern.as_usize()).ok()?, length));
                }
                ends.push(list.into_boxed_slice());
            }
        }
        let start = automaton.start_state(Anchored::No).ok()?;
        let start = *states.row.get(start.as_usize())? * stride;
        Some(Self { classes, next: next.into(), start, stride, ends: ends.into() })
    }

    /// Calls `hit(number of the keyword, start, end)` for each keyword in the text.
    #[inline]
    pub(crate) fn pass(&self, text: &[u8], mut hit: impl FnMut(u16, usize, usize)) -> Seen {
        let (mut state, mut seen, mut pos) = (self.start, 0_u16, 0_usize);
        let next: &[u32] = &self.next;
        loop {
            let rest = text.get(pos..).unwrap_or(&[]);
            let mut end = text.len();
            for (index, byte) in rest.iter().enumerate() {
                let class = self.classes.get(usize::from(*byte)).copied().unwrap_or(0);
                seen |= class;
                match next.get((state + u32::from(class & 0xff)) as usize) {
                    Some(row) => state = *row,
                    None => {
                        end = pos + index;
                        break;
                    }
                }
            }
            if state & MATCH == 0 {
                return Seen(seen);
            }
            state &= !MATCH;
            for (keyword, length) in self.ends.get((state / self.stride) as usize).into_iter().flatten() {
                hit(*keyword, end.saturating_sub(usize::from(*length)), end);
            }
            pos = end;
        }
    }
}

/// The class and kind of each byte, and one byte of each class. Bytes of no keyword are class 0.
fn classes(keywords: &[&str]) -> Option<(Box<[u16; 256]>, Vec<u8>)> {
    let mut used = [false; 256];
    for byte in keywords.iter().flat_map(|keyword| keyword.bytes()) {
        *used.get_mut(usize::from(byte.to_ascii_lowercase()))? = true;
    }
    let mut classes = Box::new([0_u16; 256]);
    let free = (0..=u8::MAX).find(|byte| used.get(usize::from(byte.to_ascii_lowercase())) == Some(&false))?;
    let mut bytes = vec![free];
    for byte in 0..=u8::MAX {
        if used.get(usize::from(byte)) == Some(&true) {
            *classes.get_mut(usize::from(byte))? = u16::try_from(bytes.len()).ok().filter(|n| *n < 256)?;
            bytes.push(byte);
        }
    }
    for byte in b'A'..=b'Z' {
        *classes.get_mut(usize::from(byte))? = *classes.get(usize::from(byte.to_ascii_lowercase()))?;
    }
    for (byte, class) in (0..=u8::MAX).zip(classes.iter_mut()) {
        *class |= match byte {
            b'@' => AT_SIGN,
            b'0'..=b'9' => DIGIT,
            b':' => COLON,
            b'.' => DOT,
            b'A'..=b'Z' => UPPER,
            _ => 0,
        };
    }
    Some((classes, bytes))
}

struct States {
    /// States in the order of their rows.
    order: Vec<aho_corasick::automaton::StateID>,
    /// How many of them are matches; these come first.
    matching: usize,
    /// The row of each state.
    row: Vec<u32>,
}

/// All states that can be reached.
fn states(automaton: &DFA, bytes: &[u8]) -> Option<States> {
    let start = automaton.start_state(Anchored::No).ok()?;
    let mut known: Vec<bool> = Vec::new();
    let mut found = vec![start];
    let mut add = |state: aho_corasick::automaton::StateID| {
        let index = state.as_usize();
        if index >= known.len() {
            known.resize(index + 1, false);
        }
        known.get_mut(index).is_some_and(|known| !std::mem::replace(known, true))
    };
    add(start);
    let mut done = 0;
    while let Some(state) = found.get(done).copied() {
        for byte in bytes {
            let to = automaton.next_state(Anchored::No, state, *byte);
            if add(to) {
                found.push(to);
            }
        }
        done += 1;
    }
    let (mut order, rest): (Vec<_>, Vec<_>) = found.into_iter().partition(|state| automaton.is_match(*state));
    let matching = order.len();
    order.extend(rest);
    let mut row = vec![0; known.len()];
    for (number, state) in order.iter().enumerate() {
        *row.get_mut(state.as_usize())? = u32::try_from(number).ok()?;
    }
    Some(States { order, matching, row })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_found_in_any_case_and_inside_each_other() {
        let table = Table::new(&["pat", "github_pat_", "hub", "@", "t_"]).unwrap();
        let mut found = Vec::new();
        let seen =
            table.pass(b"x GitHub_PAT_1 pa\xff@", |keyword, start, end| found.push((keyword, start, end)));
        found.sort_unstable();
        assert_eq!(found, [(0, 9, 12), (1, 2, 13), (2, 5, 8), (3, 18, 19), (4, 11, 13)]);
        assert!(seen.at_sign() && seen.digit() && seen.upper() && !seen.dot_or_colon());
    }

    #[test]
    fn no_keywords_are_a_table_too() {
        let table = Table::new(&[]).unwrap();
        let mut hits = 0;
        assert!(table.pass(b"a.b", |_, _, _| hits += 1).dot_or_colon());
        assert_eq!(hits, 0);
    }
}
