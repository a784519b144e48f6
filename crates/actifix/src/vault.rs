//! The root key of an installation and what is derived from it.
//!
//! One 256-bit root key; every other key is derived from it by purpose, so that none is stored. It comes from
//! `ACTIFIX_MASTER_KEY` or `ACTIFIX_MASTER_KEY_FILE`, else from a 0400 file outside `data/`, made on first start.

use actifix_app::error::Error;
use actifix_app::ports::{Ids, Vault};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of the nonce that stands before each ciphertext.
const NONCE_BYTES: usize = 24;
/// Name of the key file within `.actifix/`.
const KEY_FILE: &str = "root.key";
/// Separates keys of this program from any other use of the same root key.
const CONTEXT: &str = "actifix 2026-11 vault v1 ";

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The text is not a key.
    #[error("{origin}: not a root key: expected 64 hex digits; make one with `openssl rand -hex 32`")]
    Malformed {
        /// Variable or file.
        origin: String,
    },
    /// Both variables are set.
    #[error("ACTIFIX_MASTER_KEY and ACTIFIX_MASTER_KEY_FILE are both set: keep one")]
    Ambiguous,
    /// A file cannot be read or made.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Data exists, its key does not.
    #[error(
        "{path} is missing although this home holds data: put the key file back, or give the key in ACTIFIX_MASTER_KEY_FILE; a new key could not open what is sealed"
    )]
    Absent {
        /// Where it should be.
        path: PathBuf,
    },
    /// The key is not the one that this home was made with.
    #[error(
        "the root key from {origin} is not the one of this home: use the key that this home was made with"
    )]
    Wrong {
        /// Variable or file.
        origin: String,
    },
}

/// Where a root key may come from besides the key file.
#[derive(Default)]
pub struct KeySources {
    /// `ACTIFIX_MASTER_KEY`
    pub key: Option<String>,
    /// `ACTIFIX_MASTER_KEY_FILE`
    pub file: Option<PathBuf>,
}

impl fmt::Debug for KeySources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySources")
            .field("key", &self.key.as_ref().map(|_| "…"))
            .field("file", &self.file)
            .finish()
    }
}

/// The root key in memory.
pub struct RootKey {
    key: [u8; 32],
    ids: Arc<dyn Ids>,
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(…)")
    }
}

impl RootKey {
    /// Finds the root key of a home, or makes one where there is no data yet. `private` is `.actifix/`.
    pub fn load(
        private: &Path,
        has_data: bool,
        sources: KeySources,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, VaultError> {
        let (key, origin) = match (sources.key, sources.file) {
            (Some(_), Some(_)) => return Err(VaultError::Ambiguous),
            (Some(text), None) => {
                let origin = "ACTIFIX_MASTER_KEY".to_owned();
                (parse(&text).ok_or_else(|| VaultError::Malformed { origin: origin.clone() })?, origin)
            }
            (None, Some(path)) => (read_key(&path)?, path.display().to_string()),
            (None, None) => {
                let path = private.join(KEY_FILE);
                let key = if path.exists() {
                    read_key(&path)?
                } else if has_data {
                    return Err(VaultError::Absent { path });
                } else {
                    make_key(&path, ids.as_ref())?
                };
                (key, path.display().to_string())
            }
        };
        let root = Self { key, ids };
        root.check(&private.join("root.check"), &origin)?;
        Ok(root)
    }

    /// Compares with the stored check value, or stores it.
    fn check(&self, path: &Path, origin: &str) -> Result<(), VaultError> {
        let value = hex(&self.derive("check"));
        match std::fs::read_to_string(path) {
            Ok(stored) if stored.trim() == value => Ok(()),
            Ok(_) => Err(VaultError::Wrong { origin: origin.to_owned() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                crate::files::write_new(path, value.as_bytes(), 0o600)
                    .map_err(|source| VaultError::Io { path: path.to_owned(), source })
            }
            Err(source) => Err(VaultError::Io { path: path.to_owned(), source }),
        }
    }

    fn cipher(&self, purpose: &'static str) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.derive(purpose).into())
    }
}

impl Vault for RootKey {
    fn derive(&self, purpose: &'static str) -> [u8; 32] {
        blake3::derive_key(&format!("{CONTEXT}{purpose}"), &self.key)
    }

    fn seal(&self, purpose: &'static str, clear: &[u8]) -> Result<Vec<u8>, Error> {
        let mut nonce = [0u8; NONCE_BYTES];
        self.ids.random(&mut nonce);
        let sealed = self
            .cipher(purpose)
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: clear, aad: purpose.as_bytes() })
            .map_err(|_| Error::internal("sealing failed"))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    fn open(&self, purpose: &'static str, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let (nonce, rest) = sealed
            .split_at_checked(NONCE_BYTES)
            .ok_or_else(|| Error::conflict("sealed data is too short: it was damaged"))?;
        self.cipher(purpose)
            .decrypt(XNonce::from_slice(nonce), Payload { msg: rest, aad: purpose.as_bytes() })
            .map_err(|_| {
                Error::conflict("sealed data cannot be opened: it was damaged or belongs to another root key")
            })
    }
}

fn parse(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut key = [0u8; 32];
    for (slot, pair) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *slot = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(key)
}

fn read_key(path: &Path) -> Result<[u8; 32], VaultError> {
    let wrap = |source| VaultError::Io { path: path.to_owned(), source };
    let mut text = String::new();
    File::open(path).map_err(wrap)?.take(1_024).read_to_string(&mut text).map_err(wrap)?;
    parse(&text).ok_or_else(|| VaultError::Malformed { origin: path.display().to_string() })
}

fn make_key(path: &Path, ids: &dyn Ids) -> Result<[u8; 32], VaultError> {
    let mut key = [0u8; 32];
    ids.random(&mut key);
    let mut line = hex(&key).into_bytes();
    line.write_all(b"\n").ok();
    crate::files::write_new(path, &line, 0o400)
        .map_err(|source| VaultError::Io { path: path.to_owned(), source })?;
    Ok(key)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::SystemIds;

    fn load(dir: &Path, has_data: bool, sources: KeySources) -> Result<RootKey, VaultError> {
        RootKey::load(dir, has_data, sources, Arc::new(SystemIds))
    }

    #[test]
    fn sealed_bytes_open_again_and_only_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let root = load(dir.path(), false, KeySources::default()).unwrap();
        let sealed = root.seal("quarantine", b"hunter2").unwrap();
        assert!(!sealed.windows(7).any(|w| w == b"hunter2"));
        assert_eq!(root.open("quarantine", &sealed).unwrap(), b"hunter2");
        assert!(root.open("other", &sealed).is_err());
        for place in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[place] ^= 1;
            assert!(root.open("quarantine", &bad).is_err(), "{place}");
        }
        assert!(root.open("quarantine", b"short").is_err());
    }

    #[test]
    fn wrong_and_absent_keys_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        drop(load(dir.path(), false, KeySources::default()).unwrap());
        let other = KeySources { key: Some("ab".repeat(32)), file: None };
        assert!(matches!(load(dir.path(), true, other), Err(VaultError::Wrong { .. })));
        std::fs::remove_file(dir.path().join(KEY_FILE)).unwrap();
        assert!(matches!(load(dir.path(), true, KeySources::default()), Err(VaultError::Absent { .. })));
        let bad = KeySources { key: Some("xyz".into()), file: None };
        let text = load(dir.path(), true, bad).unwrap_err().to_string();
        assert!(text.contains("64 hex digits") && !text.contains("xyz"));
    }

    #[test]
    fn the_key_file_is_for_the_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        drop(load(dir.path(), false, KeySources::default()).unwrap());
        let mode = std::fs::metadata(dir.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o400);
    }
}
