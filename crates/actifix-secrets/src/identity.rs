//! Which rules these are: what was scanned with the same ones need not be scanned again.
use crate::builtin::RULES;
use crate::engine::Engine;

impl Engine {
    /// A hash over the built-in rules and the version of this crate. Rules that a caller adds are its own to hash.
    pub fn builtin_hash() -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
        hasher.update(RULES);
        *hasher.finalize().as_bytes()
    }
}
