//! A root key from a passphrase: Argon2id with a stored salt.

use super::error::VaultError;
use super::key::Key;
use actifix_app::accounts::check_password;
use actifix_app::ports::Ids;
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Shortest passphrase, characters (NIST SP 800-63B-4 for a secret that stands alone).
pub const PASSPHRASE_MIN: usize = 15;
/// Longest passphrase, characters.
pub const PASSPHRASE_MAX: usize = 1_024;
/// Most memory that a record may ask for, KiB: a changed record must not exhaust the machine.
const MEMORY_KIB_MAX: u32 = 1 << 20;
/// Most passes that a record may ask for.
const PASSES_MAX: u32 = 64;

/// How the passphrase becomes a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stretch {
    /// 16 bytes, hex.
    salt: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Stretch {
    /// With a new salt: 64 MiB, 3 passes, about half a second.
    pub fn random(ids: &dyn Ids) -> Self {
        let mut salt = [0u8; 16];
        ids.random(&mut salt);
        Self { salt: hex::encode(salt), memory_kib: 64 << 10, passes: 3, lanes: 1 }
    }

    /// The key of a passphrase that is chosen now: one that is not easily guessed, since who copies the home may try as
    /// many as they like.
    pub fn first_key(&self, passphrase: &str, origin: &str) -> Result<Key, VaultError> {
        let bare = usable(passphrase, origin)?;
        check_password(bare, &["actifix"])
            .map_err(|why| VaultError::Guessable { origin: origin.to_owned(), why })?;
        self.key(passphrase, origin)
    }

    /// The key of a passphrase. `origin` says where the passphrase came from.
    pub fn key(&self, passphrase: &str, origin: &str) -> Result<Key, VaultError> {
        let passphrase = usable(passphrase, origin)?;
        let refused =
            || VaultError::Usage("the parameters of the passphrase in vault.json are not valid".into());
        if self.memory_kib > MEMORY_KIB_MAX || self.passes > PASSES_MAX || self.lanes != 1 {
            return Err(refused());
        }
        let salt = hex::decode(&self.salt).map_err(|_| refused())?;
        let params =
            Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(|_| refused())?;
        let mut key = Zeroizing::new([0u8; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &salt, key.as_mut())
            .map_err(|_| refused())?;
        Ok(Key::from_bytes(key))
    }
}

/// The passphrase without the line break that it came with.
fn usable<'a>(passphrase: &'a str, origin: &str) -> Result<&'a str, VaultError> {
    let passphrase = passphrase.trim_end_matches(['\r', '\n']);
    match passphrase.chars().count() {
        PASSPHRASE_MIN..=PASSPHRASE_MAX => Ok(passphrase),
        _ => Err(VaultError::Passphrase {
            origin: origin.to_owned(),
            min: PASSPHRASE_MIN,
            max: PASSPHRASE_MAX,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::SystemIds;

    #[test]
    fn a_passphrase_gives_its_key_and_no_other() {
        let stretch = Stretch { memory_kib: 64, passes: 1, ..Stretch::random(&SystemIds) };
        let other = Stretch { memory_kib: 64, passes: 1, ..Stretch::random(&SystemIds) };
        let key = stretch.key("correct horse battery", "t").unwrap();
        assert_eq!(stretch.key("correct horse battery\r\n", "t").unwrap(), key, "a newline is none of it");
        assert_ne!(stretch.key("correct horse battery ", "t").unwrap(), key, "a space is");
        assert_ne!(other.key("correct horse battery", "t").unwrap(), key, "salted");
        for bad in ["", "fourteen chars", &"x".repeat(PASSPHRASE_MAX + 1)] {
            assert!(matches!(stretch.key(bad, "t"), Err(VaultError::Passphrase { .. })));
        }
        let common = "passwordpassword";
        assert!(stretch.key(common, "t").is_ok(), "one that was taken goes on to open its home");
        assert!(matches!(stretch.first_key(common, "t"), Err(VaultError::Guessable { .. })));
        assert!(
            Stretch { memory_kib: u32::MAX, ..stretch.clone() }.key("correct horse battery", "t").is_err()
        );
    }

    #[test]
    fn the_defaults_are_above_the_floor() {
        let stretch = Stretch::random(&SystemIds);
        assert!(stretch.memory_kib >= 19 << 10 && stretch.passes >= 2 && stretch.salt.len() == 32);
    }
}
