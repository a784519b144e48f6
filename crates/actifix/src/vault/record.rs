//! `.actifix/vault.json`: which backend was chosen, how to know its key again, and the data key under it.
//!
//! It holds no clear key. While a new root key takes over, the data key lies in it twice, under the old one and under
//! the new one, so that either opens the home whatever moment a power failure chooses.

use super::error::VaultError;
use super::key::Key;
use super::passphrase::Stretch;
use actifix_app::ports::Ids;
use actifix_domain::time::Timestamp;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Name of the record within `.actifix/`.
pub const RECORD_FILE: &str = "vault.json";
/// The form that this program writes.
const FORMAT: u32 = 1;
/// Largest record, bytes.
const RECORD_BYTES_MAX: u64 = 16 << 10;

/// Where a root key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// A 0400 file outside `data/`.
    File,
    /// The keyring of the login session.
    Keyring,
    /// A credential that systemd lends to the service.
    Systemd,
    /// Stretched from what a person knows.
    Passphrase,
    /// `ACTIFIX_MASTER_KEY` or the file that `ACTIFIX_MASTER_KEY_FILE` names.
    Environment,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::File, Self::Keyring, Self::Systemd, Self::Passphrase, Self::Environment];

    /// As in the record and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Keyring => "keyring",
            Self::Systemd => "systemd",
            Self::Passphrase => "passphrase",
            Self::Environment => "environment",
        }
    }

    /// The backend of this name.
    pub fn named(name: &str) -> Result<Self, VaultError> {
        Self::ALL.into_iter().find(|backend| backend.as_str() == name).ok_or_else(|| {
            VaultError::Usage(
                "backend: expected file, keyring, systemd, passphrase or environment".to_owned(),
            )
        })
    }

    /// Whether the key is fetched from a place, rather than given with each start.
    pub const fn has_place(self) -> bool {
        matches!(self, Self::File | Self::Keyring | Self::Systemd)
    }

    /// Whether this program puts the key there itself.
    pub const fn is_written_by_us(self) -> bool {
        matches!(self, Self::File | Self::Keyring)
    }
}

/// One root key, and the data key under it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// Where the key comes from.
    pub backend: Backend,
    /// Where the key file lies, if not in `.actifix/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// How the passphrase is stretched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stretch: Option<Stretch>,
    /// When this key was recorded.
    pub recorded_at: Timestamp,
    /// Short keyed hash.
    pub key_id: String,
    /// Long keyed hash: whether a key is this one.
    pub check: String,
    /// The data key, sealed under the root key.
    pub data_key: String,
}

/// The whole record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    format: u32,
    /// Tells the entries of several homes in one keyring apart.
    pub home_id: String,
    /// The key that is in use.
    pub current: Slot,
    /// The key that takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Slot>,
}

impl Record {
    /// A record with one key.
    pub fn new(home_id: String, current: Slot) -> Self {
        Self { format: FORMAT, home_id, current, next: None }
    }

    /// Reads the record of a home; none when there is no such file.
    pub fn read(private: &Path) -> Result<Option<Self>, VaultError> {
        let path = private.join(RECORD_FILE);
        let io = |source: std::io::Error| VaultError::Io { path: path.clone(), source };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(io(errno.into())),
        };
        let mut bytes = Vec::new();
        File::from(fd).take(RECORD_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
        Self::parse(&path, &bytes).map(Some)
    }

    /// Reads what stood in the file at `path`.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, VaultError> {
        let damaged = |what: String| VaultError::Damaged { path: path.to_owned(), what };
        if bytes.len() as u64 > RECORD_BYTES_MAX {
            return Err(damaged("larger than 16 KiB".to_owned()));
        }
        let format = serde_json::from_slice::<serde_json::Value>(bytes)
            .map_err(|error| damaged(format!("not JSON (line {})", error.line())))?
            .get("format")
            .and_then(serde_json::Value::as_u64);
        if format != Some(u64::from(FORMAT)) {
            return Err(damaged("written by a newer actifix, or not a record at all".to_owned()));
        }
        // The parser's own text may repeat content.
        serde_json::from_slice(bytes).map_err(|_| damaged("a member is missing or wrong".to_owned()))
    }

    /// Writes the record: a crash leaves the old one or the new one.
    pub fn write(&self, private: &Path) -> Result<(), VaultError> {
        let path = private.join(RECORD_FILE);
        let io = |source: std::io::Error| VaultError::Io { path: path.clone(), source };
        let text = serde_json::to_string_pretty(self).map_err(|error| io(error.into()))?;
        crate::files::replace(&path, format!("{text}\n").as_bytes()).map_err(io)
    }
}

impl Slot {
    /// Puts `data` under `root`.
    pub fn seal(
        place: Place,
        home_id: &str,
        root: &Key,
        data: &Key,
        ids: &dyn Ids,
        now: Timestamp,
    ) -> Option<Self> {
        Some(Self {
            backend: place.backend,
            key_file: place.key_file,
            stretch: place.stretch,
            recorded_at: now,
            key_id: root.id(),
            check: root.check(),
            data_key: root.wrap(&bound(place.backend, home_id), data, ids)?,
        })
    }

    /// Whether `root` is the key of this slot.
    pub fn is_of(&self, root: &Key) -> bool {
        // Both sides are hashes of what the holder of the key knows already: nothing is learnt from the time it takes.
        self.check == root.check()
    }

    /// The data key; none when the slot was changed.
    pub fn open(&self, home_id: &str, root: &Key) -> Option<Key> {
        root.unwrap_key(&bound(self.backend, home_id), &self.data_key)
    }
}

/// Where a new key shall come from.
#[derive(Clone, Debug)]
pub struct Place {
    /// The backend.
    pub backend: Backend,
    /// Where a key file lies, if not in `.actifix/`.
    pub key_file: Option<PathBuf>,
    /// How a passphrase is stretched.
    pub stretch: Option<Stretch>,
}

impl Place {
    /// A place that needs no more words.
    pub const fn of(backend: Backend) -> Self {
        Self { backend, key_file: None, stretch: None }
    }
}

/// What a wrapped data key is bound to.
fn bound(backend: Backend, home_id: &str) -> String {
    format!("actifix vault {FORMAT} {home_id} {}", backend.as_str())
}
