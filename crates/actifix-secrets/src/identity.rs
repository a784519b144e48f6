//! Which rules these are: what was scanned with the same ones need not be scanned again.
use crate::builtin::BUILTIN_RULES;
use crate::engine::Engine;

impl Engine {
    /// A hash over the built-in rules and the version of this crate. Rules that a caller adds are its own to hash.
    pub fn builtin_hash() -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
        for (name, text) in BUILTIN_RULES {
            for part in [name, text] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part.as_bytes());
            }
        }
        *hasher.finalize().as_bytes()
    }
}
