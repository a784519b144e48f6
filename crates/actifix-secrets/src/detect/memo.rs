//! The names looked up last: a text that says `token` says it often, and to read a name costs as much as to search a
//! line for keywords.
use std::cell::{Cell, OnceCell};

use super::words::Named;

/// Names that are remembered, a power of two. One that falls on the place of another takes it.
const SLOTS: usize = 64;
/// Longer names are looked up anew each time.
const NAME_BYTES_MAX: usize = 30;

/// The readings of names under the same settings.
#[derive(Default)]
pub(crate) struct NameMemo {
    slots: OnceCell<Box<[Cell<Slot>; SLOTS]>>,
}

/// A name as it stands, and its reading; of length 0 if it is free.
#[derive(Clone, Copy)]
struct Slot {
    length: u8,
    name: [u8; NAME_BYTES_MAX],
    named: Option<Named>,
}

impl NameMemo {
    /// The reading of a name, looked up if it is not known.
    #[inline]
    pub(crate) fn get(&self, name: &[u8], lookup: impl FnOnce(&[u8]) -> Option<Named>) -> Option<Named> {
        let slots = self.slots.get_or_init(|| Box::new([const { Cell::new(Slot::FREE) }; SLOTS]));
        let Some(cell) = slots.get(slot_of(name)).filter(|_| (1..=NAME_BYTES_MAX).contains(&name.len()))
        else {
            return lookup(name);
        };
        let known = cell.get();
        if known.name.get(..usize::from(known.length)) == Some(name) {
            return known.named;
        }
        let named = lookup(name);
        let mut slot = Slot { length: u8::try_from(name.len()).unwrap_or(0), named, ..Slot::FREE };
        if let Some(place) = slot.name.get_mut(..name.len()) {
            place.copy_from_slice(name);
            cell.set(slot);
        }
        named
    }
}

impl Slot {
    const FREE: Self = Self { length: 0, name: [0; NAME_BYTES_MAX], named: None };
}

/// The length and the first and last bytes tell names apart well enough.
#[inline]
fn slot_of(name: &[u8]) -> usize {
    let mixed = name
        .iter()
        .rev()
        .take(8)
        .chain(name.iter().take(4))
        .fold(name.len() as u64, |mixed, byte| mixed << 5 ^ mixed >> 3 ^ u64::from(*byte));
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58) as usize & (SLOTS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{Detector, Strength};

    fn reading(rule: u16) -> Named {
        Named { rule, strength: Strength::Strong, detector: Detector::Name, chosen: false }
    }

    #[test]
    fn a_name_is_known_by_all_of_its_bytes() {
        let memo = NameMemo::default();
        for round in 0..3 {
            for number in 0..500_u16 {
                let name = format!("name_{number}");
                let mut asked = false;
                let named = memo.get(name.as_bytes(), |_| {
                    asked = true;
                    Some(reading(number))
                });
                assert_eq!(named, Some(reading(number)), "{round}");
                assert_eq!(memo.get(name.as_bytes(), |_| None), Some(reading(number)));
                assert!(asked || round > 0);
            }
        }
        assert_eq!(memo.get(b"", |_| None), None);
        let long = [b'a'; NAME_BYTES_MAX + 1];
        assert_eq!(memo.get(&long, |_| Some(reading(1))), Some(reading(1)));
        assert_eq!(memo.get(&long, |_| None), None);
    }
}
