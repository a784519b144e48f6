//! Backups as files: what is in one, how it is encrypted, written, read again and put back.
//!
//! A backup is a tar archive, compressed by zstd, encrypted by age (X25519, one or more recipients), so that
//! `age -d -i KEY FILE | zstd -d | tar x` opens it without this program. Everything streams: neither memory nor disk ever
//! holds the whole in clear. The root key is never in it. Since recipients are public, a seal over the hashes of all that
//! is in it, with a key that takes the root key, tells whether this installation made it.

mod draft;
mod keys;
mod name;
mod read;
mod restore;
mod roots;
mod seal;
mod shelf;

pub use keys::{Identities, generate, holds_identity, own_identity, parse_recipient};
use name::created_at;
pub use read::ReadError;
pub use restore::{NOTE, RestoreError, restore};
pub use seal::{SEAL_PURPOSE, Trust};
pub use shelf::{Shelf, tend, verify};

use actifix_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Form of the archive. 2 has a seal.
const FORMAT: u32 = 2;
/// Says what is in the archive; its first member.
const MANIFEST: &str = "manifest.json";
/// Hashes of all members before it.
const DIGESTS: &str = "digests.json";
/// Says who made it; the last member.
const SEAL: &str = "seal.json";
/// The database.
const DATABASE: &str = "data/actifix.db";
/// What the witness of the audit log said at the mark.
const WITNESS: &str = ".actifix/audit.head";
/// Files of the home that are taken along, where they are there. The root key is none of them, nor is anything that
/// could hold one.
const FILES: [&str; 3] = ["actifix.toml", VAULT, ".actifix/ticket_throttle_history.json"];
/// The record of the vault.
const VAULT: &str = ".actifix/vault.json";
/// Largest member besides the database, bytes.
const MEMBER_BYTES_MAX: u64 = 16 << 20;
/// Block of a tar archive, bytes.
const BLOCK: u64 = 512;

/// What is in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    /// Version of the program that made it.
    program: String,
    created_at: Timestamp,
    schema_version: u64,
    engine_version: String,
    page_bytes: u64,
    pages: u64,
    mark: Mark,
    /// Rows of every table.
    counts: BTreeMap<String, u64>,
}

/// The moment of a backup: nothing later is in it, and everything before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Number of the last event.
    last_event: u64,
    /// Number of the last row of the audit log.
    audit_seq: u64,
    /// Its hash, hex.
    audit_hash: String,
}
