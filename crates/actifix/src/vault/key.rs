//! 256-bit keys: their text, what is derived from them, and how one wraps another.

use actifix_app::ports::Ids;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of the nonce that stands before each ciphertext.
const NONCE_BYTES: usize = 24;
/// Separates keys of this program from any other use of the same root key.
const CONTEXT: &str = "actifix 2026-11 vault v1 ";

/// One key. Its memory is overwritten when it is let go; no `Debug` prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<[u8; 32]>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// A new random one.
    pub fn random(ids: &dyn Ids) -> Self {
        let mut key = Zeroizing::new([0u8; 32]);
        ids.random(key.as_mut());
        Self(key)
    }

    /// From bytes.
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// From 64 hex digits, white space around them aside.
    pub fn parse(text: &str) -> Option<Self> {
        let mut key = Zeroizing::new([0u8; 32]);
        // In place: a vector would leave parts of the key behind in freed memory.
        hex::decode_to_slice(text.trim(), key.as_mut_slice()).ok()?;
        Some(Self(key))
    }

    /// 64 hex digits.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.0.as_ref()))
    }

    /// The key for a purpose.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(&format!("{CONTEXT}{purpose}"), self.0.as_ref())
    }

    /// What proves that a key is this one, and tells nothing of it.
    pub fn check(&self) -> String {
        hex::encode(self.derive("check"))
    }

    /// Short keyed hash for people: 16 hex digits.
    pub fn id(&self) -> String {
        let mut id = hex::encode(self.derive("id"));
        id.truncate(16);
        id
    }

    /// Encrypts and authenticates under the key for `purpose`; `bound` must be the same when it is opened.
    pub fn seal(&self, purpose: &str, bound: &[u8], clear: &[u8], ids: &dyn Ids) -> Option<Vec<u8>> {
        let mut nonce = [0u8; NONCE_BYTES];
        ids.random(&mut nonce);
        let payload = Payload { msg: clear, aad: bound };
        let sealed = self.cipher(purpose).encrypt(XNonce::from_slice(&nonce), payload).ok()?;
        Some([nonce.as_slice(), &sealed].concat())
    }

    /// Reverse of [`Key::seal`]; none on any change.
    pub fn open(&self, purpose: &str, bound: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_BYTES)?;
        let payload = Payload { msg: rest, aad: bound };
        self.cipher(purpose).decrypt(XNonce::from_slice(nonce), payload).ok()
    }

    /// Seals another key, as hex.
    pub fn wrap(&self, bound: &str, other: &Self, ids: &dyn Ids) -> Option<String> {
        Some(hex::encode(self.seal("wrap", bound.as_bytes(), other.0.as_ref(), ids)?))
    }

    /// Reverse of [`Key::wrap`].
    pub fn unwrap_key(&self, bound: &str, wrapped: &str) -> Option<Self> {
        let clear = Zeroizing::new(self.open("wrap", bound.as_bytes(), &hex::decode(wrapped).ok()?)?);
        let mut key = Zeroizing::new([0u8; 32]);
        if clear.len() != key.len() {
            return None;
        }
        key.copy_from_slice(&clear);
        Some(Self(key))
    }

    fn cipher(&self, purpose: &str) -> XChaCha20Poly1305 {
        let mut key = self.derive(purpose);
        let cipher = XChaCha20Poly1305::new(&key.into());
        key.zeroize();
        cipher
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::SystemIds;

    #[test]
    fn text_of_a_key_reads_back_and_nothing_else_does() {
        let key = Key::random(&SystemIds);
        assert_eq!(Key::parse(&format!(" {}\n", key.text().as_str())), Some(key.clone()));
        let text = key.text();
        for bad in
            [&text[..63], &text[..62], &format!("{}00", text.as_str()), "", &"g".repeat(64), &"é".repeat(32)]
        {
            assert_eq!(Key::parse(bad), None, "{bad}");
        }
        assert_eq!(format!("{key:?}"), "Key(…)");
    }

    #[test]
    fn a_wrapped_key_opens_in_its_place_and_only_unchanged() {
        let (root, data) = (Key::random(&SystemIds), Key::random(&SystemIds));
        let wrapped = root.wrap("home a", &data, &SystemIds).unwrap();
        assert_eq!(root.unwrap_key("home a", &wrapped), Some(data.clone()));
        assert_eq!(root.unwrap_key("home b", &wrapped), None);
        assert_eq!(data.unwrap_key("home a", &wrapped), None);
        for place in 0..wrapped.len() {
            let mut bad = wrapped.clone().into_bytes();
            bad[place] = if bad[place] == b'0' { b'1' } else { b'0' };
            assert_eq!(root.unwrap_key("home a", std::str::from_utf8(&bad).unwrap()), None, "{place}");
        }
    }
}
