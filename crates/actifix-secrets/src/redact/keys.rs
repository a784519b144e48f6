//! What is known of the keys of one session: the frames of a stack trace repeat the same few.
use super::text::Place;

/// Keys that are remembered, a power of two. A key that falls on the place of another takes it.
const SLOTS: usize = 128;
/// Longer keys are looked at anew each time.
const KEY_BYTES_MAX: usize = 48;

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
    slots: Vec<Option<Slot>>,
}

#[derive(Clone, Copy)]
struct Slot {
    length: u8,
    key: [u8; KEY_BYTES_MAX],
    known: KnownKey,
}

impl KeyMemo {
    #[inline]
    pub(crate) fn get(&self, key: &str) -> Option<KnownKey> {
        let slot = self.slots.get(place(key.as_bytes()))?.as_ref()?;
        (slot.key.get(..usize::from(slot.length)) == Some(key.as_bytes())).then_some(slot.known)
    }

    pub(crate) fn put(&mut self, key: &str, known: KnownKey) {
        let Ok(length) = u8::try_from(key.len()) else { return };
        let mut bytes = [0; KEY_BYTES_MAX];
        let Some(part) = bytes.get_mut(..key.len()) else { return };
        part.copy_from_slice(key.as_bytes());
        if self.slots.is_empty() {
            self.slots = vec![None; SLOTS];
        }
        if let Some(slot) = self.slots.get_mut(place(key.as_bytes())) {
            *slot = Some(Slot { length, key: bytes, known });
        }
    }
}

/// Four bytes and the length tell the keys of an event apart well enough; the whole key is compared afterwards.
#[inline]
fn place(key: &[u8]) -> usize {
    let byte = |pos: usize| u32::from(key.get(pos).copied().unwrap_or(0));
    let ends = byte(0) | byte(key.len() / 2) << 8 | byte(key.len().wrapping_sub(1)) << 16;
    let mixed = (ends ^ (key.len() as u32) << 24).wrapping_mul(0x9E37_79B1);
    (mixed >> 25) as usize & (SLOTS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_all_of_its_bytes() {
        let mut memo = KeyMemo::default();
        let known = KnownKey { named: true, place: Place::default() };
        assert_eq!(memo.get("axxbxxc"), None);
        memo.put("axxbxxc", known);
        assert_eq!(memo.get("axxbxxc"), Some(known));
        assert_eq!(memo.get("axxbyyc"), None);
        memo.put("axxbyyc", KnownKey { named: false, ..known });
        assert_eq!(memo.get("axxbxxc"), None);
        memo.put(&"k".repeat(KEY_BYTES_MAX + 1), known);
        assert_eq!(memo.get(&"k".repeat(KEY_BYTES_MAX + 1)), None);
        memo.put("", known);
        assert_eq!(memo.get(""), Some(known));
    }
}
