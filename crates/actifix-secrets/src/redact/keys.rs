//! What is known of the keys of one session: the frames of a stack trace repeat the same few.
use super::text::Place;

/// Keys that are remembered, a power of two. A key that falls on the place of another takes it.
const SLOTS: usize = 128;
/// Longer keys are looked at anew each time.
const KEY_BYTES_MAX: usize = 16;

/// What there is to know of a key in which nothing is to be redacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownKey {
    /// A word of a sensitive name stands in it.
    pub named: bool,
    /// What it says about its value.
    pub place: Place,
}

/// The keys met so far.
#[derive(Default)]
pub(crate) struct KeyMemo {
    slots: Option<Box<[Slot; SLOTS]>>,
}

#[derive(Clone, Copy)]
struct Slot {
    mark: Mark,
    known: KnownKey,
}

/// All bytes of a key of up to 16 bytes: its length and its first and last eight, which overlap.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark {
    length: usize,
    head: u64,
    tail: u64,
}

impl Mark {
    /// No key has it.
    const FREE: Self = Self { length: usize::MAX, head: 0, tail: 0 };

    #[inline]
    fn of(key: &[u8]) -> Option<Self> {
        let (head, tail) = if let (Some(head), Some(tail)) = (key.first_chunk(), key.last_chunk()) {
            (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
        } else if let (Some(head), Some(tail)) = (key.first_chunk(), key.last_chunk()) {
            (u64::from(u32::from_le_bytes(*head)), u64::from(u32::from_le_bytes(*tail)))
        } else {
            (key.iter().fold(0, |head, byte| head << 8 | u64::from(*byte)), 0)
        };
        (key.len() <= KEY_BYTES_MAX).then_some(Self { length: key.len(), head, tail })
    }

    #[inline]
    fn place(self) -> usize {
        let mixed =
            (self.head ^ self.tail.rotate_left(29) ^ self.length as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 57) as usize & (SLOTS - 1)
    }
}

impl KeyMemo {
    #[inline]
    pub(crate) fn get(&self, key: &str) -> Option<KnownKey> {
        let mark = Mark::of(key.as_bytes())?;
        let slot = self.slots.as_ref()?.get(mark.place())?;
        (slot.mark == mark).then_some(slot.known)
    }

    pub(crate) fn put(&mut self, key: &str, known: KnownKey) {
        let Some(mark) = Mark::of(key.as_bytes()) else { return };
        let free = Slot { mark: Mark::FREE, known };
        let slots = self.slots.get_or_insert_with(|| Box::new([free; SLOTS]));
        if let Some(slot) = slots.get_mut(mark.place()) {
            *slot = Slot { mark, known };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_all_of_its_bytes() {
        let known = KnownKey { named: true, place: Place::default() };
        for length in 0..=KEY_BYTES_MAX {
            let mut memo = KeyMemo::default();
            let key = "abcdefghijklmnop".get(..length).unwrap();
            assert_eq!(memo.get(key), None);
            memo.put(key, known);
            assert_eq!(memo.get(key), Some(known));
            for pos in 0..length {
                let mut other = key.to_owned();
                other.replace_range(pos..=pos, "X");
                assert_eq!(memo.get(&other), None, "{other}");
            }
            assert_eq!(memo.get(&format!("{key}a")), None);
        }
    }

    #[test]
    fn a_key_takes_the_place_of_another_and_long_ones_are_not_kept() {
        let known = KnownKey { named: false, place: Place::default() };
        let mut memo = KeyMemo::default();
        for number in 0..1_000 {
            memo.put(&format!("k{number}"), known);
            assert_eq!(memo.get(&format!("k{number}")), Some(known));
        }
        let long = "k".repeat(KEY_BYTES_MAX + 1);
        memo.put(&long, known);
        assert_eq!(memo.get(&long), None);
    }
}
