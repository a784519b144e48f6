//! The vault and what lies under it.

use crate::secrets::SecretText;
use actifix_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What may be told of a stored secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecretRecord {
    /// Name.
    pub name: String,
    /// Size of the value, bytes.
    pub size: u64,
    /// When the name was set first.
    pub created_at: Timestamp,
    /// When the value was set last.
    pub updated_at: Timestamp,
    /// Counts the values under this name, from 1.
    pub version: u64,
}

/// A stored secret as it lies in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecret {
    /// What may be told.
    pub record: SecretRecord,
    /// Name and value, sealed.
    pub sealed: Vec<u8>,
}

/// Where the root key comes from, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultStatus {
    /// Kind of place: `file`, `keyring`, `systemd`, `passphrase`, `environment`.
    pub backend: String,
    /// `open`, else what is the matter: `new`, `locked`, `absent`, `wrong_key`, `unreachable`, `refused`, `damaged`.
    pub state: String,
    /// The place itself, for people.
    pub place: String,
    /// Short keyed hash of the root key; tells two keys apart and nothing else.
    pub key_id: Option<String>,
    /// When this key was recorded.
    pub recorded_at: Option<Timestamp>,
    /// Backend of a new key that waits to be used for the first time.
    pub pending: Option<String>,
    /// What is the matter and what to do, where the state is not `open`.
    pub problem: Option<String>,
}

/// What a new root key shall be.
#[derive(Clone, Debug, Default)]
pub struct Rotation {
    /// Where it shall come from; none: from where the present one does.
    pub backend: Option<String>,
    /// Where a key file shall lie, absolute.
    pub key_file: Option<PathBuf>,
    /// The key or passphrase itself, for backends that this program cannot write to.
    pub material: Option<SecretText>,
}
