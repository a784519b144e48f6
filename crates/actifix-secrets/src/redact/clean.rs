//! Texts in which nothing was found: file names, modules and types repeat from frame to frame, and whole stack traces
//! from event to event.
use super::text::Place;

/// Texts that are remembered, a power of two. One that falls on the place of another takes it.
const SLOTS: usize = 4_096;
/// Shorter texts cost as little to look at.
const TEXT_BYTES_MIN: usize = 8;
/// Longer texts seldom come twice.
const TEXT_BYTES_MAX: usize = 512;
/// All texts together; when they are more, remembering starts anew.
const ALL_BYTES_MAX: usize = 512 << 10;

/// The clean texts met so far. They are kept as they are and compared in full: a hash could be met on purpose.
#[derive(Default)]
pub(crate) struct CleanMemo {
    slots: Option<Box<[Slot; SLOTS]>>,
    texts: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    start: u32,
    /// In bytes, 0 for a free one.
    length: u16,
    place: Place,
    any: bool,
}

impl CleanMemo {
    /// Whether anything in a text was worth a look, if it is known to be clean in such a place.
    #[inline]
    pub(crate) fn get(&self, text: &str, place: Place) -> Option<bool> {
        let text = text.as_bytes();
        if !(TEXT_BYTES_MIN..=TEXT_BYTES_MAX).contains(&text.len()) {
            return None;
        }
        let slot = self.slots.as_ref()?.get(slot_of(text))?;
        let (start, length) = (slot.start as usize, usize::from(slot.length));
        let same = length == text.len()
            && slot.place == place
            && self.texts.get(start..start + length) == Some(text);
        same.then_some(slot.any)
    }

    /// Remembers a clean text.
    pub(crate) fn put(&mut self, text: &str, place: Place, any: bool) {
        let text = text.as_bytes();
        let Ok(length) = u16::try_from(text.len()) else { return };
        if !(TEXT_BYTES_MIN..=TEXT_BYTES_MAX).contains(&text.len()) {
            return;
        }
        if self.texts.len() + text.len() > ALL_BYTES_MAX {
            self.texts.clear();
            self.slots = None;
        }
        let slots = self.slots.get_or_insert_with(|| Box::new([Slot::default(); SLOTS]));
        if let Some(slot) = slots.get_mut(slot_of(text)) {
            let Ok(start) = u32::try_from(self.texts.len()) else { return };
            *slot = Slot { start, length, place, any };
            self.texts.extend_from_slice(text);
        }
    }
}

/// First, middle and last bytes and the length tell texts apart well enough.
#[inline]
fn slot_of(text: &[u8]) -> usize {
    let eight = |part: Option<&[u8; 8]>| part.map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let middle = text.get(text.len() / 2..).and_then(<[u8]>::first_chunk);
    let mixed = eight(text.first_chunk())
        ^ eight(text.last_chunk()).rotate_left(23)
        ^ eight(middle).rotate_left(41)
        ^ text.len() as u64;
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 52) as usize & (SLOTS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_by_all_of_its_bytes_and_its_place() {
        let code = Place { code: true, ..Place::default() };
        let mut memo = CleanMemo::default();
        let text = "site-packages/flask/application_context.py";
        memo.put(text, code, true);
        assert_eq!(memo.get(text, code), Some(true));
        assert_eq!(memo.get(text, Place::default()), None);
        for pos in 0..text.len() {
            let mut other = text.to_owned();
            other.replace_range(pos..=pos, "X");
            assert_eq!(memo.get(&other, code), None, "{other}");
        }
        assert_eq!(memo.get(&text[1..], code), None);
    }

    #[test]
    fn the_memory_has_a_bound() {
        let mut memo = CleanMemo::default();
        for number in 0..10_000 {
            let text = format!("{number:0>200}");
            memo.put(&text, Place::default(), false);
            assert_eq!(memo.get(&text, Place::default()), Some(false));
            assert!(memo.texts.len() <= ALL_BYTES_MAX);
        }
        for text in ["short".to_owned(), "long".repeat(1 + TEXT_BYTES_MAX / 4)] {
            memo.put(&text, Place::default(), false);
            assert_eq!(memo.get(&text, Place::default()), None);
        }
    }
}
