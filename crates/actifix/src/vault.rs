//! The vault of an installation: a root key from one recorded place, a data key under it, and what is derived from that.
//!
//! The root key seals one random data key, which lies in `.actifix/vault.json`; every other key is derived from the data
//! key by purpose. So a new root key changes one small file, and derived keys (of hashes, of sealed values) outlive it.
//! The place of the root key is chosen once and recorded. It is never exchanged for another because the first one is
//! locked or silent: that would be how a second key comes to exist.

mod error;
mod key;
mod keyfile;
mod keyring;
mod passphrase;
mod record;
mod rotate;
mod source;

#[cfg(test)]
mod tests;

pub use error::VaultError;
pub use record::{Backend, RECORD_FILE, Record};
pub use rotate::check_wish;
pub use source::{Ask, KeySources, Material, ask_terminal};

/// Reads a file that holds a secret, if nobody else can read or exchange it; none when there is no such file.
pub fn read_private_text(
    path: &Path,
    bytes_max: usize,
) -> Result<Option<zeroize::Zeroizing<String>>, VaultError> {
    keyfile::read_bounded(path, Readers::Owner, bytes_max)
}

use crate::files;
use actifix_app::error::Error;
use actifix_app::ports::{Ids, Rotation, Vault, VaultStatus};
use actifix_app::secrets::SecretText;
use actifix_domain::time::Timestamp;
use key::Key;
use keyfile::Readers;
use passphrase::Stretch;
use record::{Place, Slot};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name of the lock within `.actifix/`, held while the record or a key changes.
const LOCK_FILE: &str = "vault.lock";
/// Check value of homes that were made before there was a record; their root key was the data key itself.
const OLD_CHECK_FILE: &str = "root.check";
/// Longest old check value, bytes.
const OLD_CHECK_BYTES_MAX: usize = 256;

/// An open vault. It holds the data key; the root key is forgotten as soon as it has opened it.
pub struct HomeVault {
    data: Key,
    ids: Arc<dyn Ids>,
    private: PathBuf,
    /// Where the key of this start came from, if that is not the place that the record names.
    overridden_by: Option<String>,
}

impl fmt::Debug for HomeVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HomeVault").field("private", &self.private).finish_non_exhaustive()
    }
}

/// How a fresh home shall keep its root key.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// None: what the process was given, else a key file.
    pub backend: Option<Backend>,
    /// Where a key file shall lie, absolute.
    pub key_file: Option<PathBuf>,
}

impl HomeVault {
    /// Opens the vault of a home, or makes one where there is no data yet. `private` is `.actifix/`.
    pub fn open(
        private: &Path,
        has_data: bool,
        sources: &KeySources,
        ids: Arc<dyn Ids>,
        now: Timestamp,
    ) -> Result<Self, VaultError> {
        // A person is asked before the lock is taken: others need not wait for an answer.
        let given = match Record::read(private)? {
            Some(record) => given_for(&record, sources)?,
            None => sources.given()?,
        };
        let _lock = lock(private)?;
        let mut overridden_by = None;
        let data = match Record::read(private)? {
            Some(record) => {
                let (record, data) = open_record(private, record, sources, given.as_ref(), Mend::Yes)?;
                if record.current.backend.has_place() {
                    overridden_by = given.map(|material| material.origin);
                }
                data
            }
            None if private.join(OLD_CHECK_FILE).exists() => {
                adopt(private, given.as_ref(), ids.as_ref(), now)?
            }
            None if has_data => return Err(VaultError::Lost { path: private.join(RECORD_FILE) }),
            None => {
                let wish = Wish::default();
                make(private, &wish, sources, given.as_ref(), ids.as_ref(), now)?
            }
        };
        Ok(Self { data, ids, private: private.to_owned(), overridden_by })
    }

    /// Makes the vault of a home that has none, in the way that is wished.
    pub fn create(
        private: &Path,
        has_data: bool,
        wish: &Wish,
        sources: &KeySources,
        ids: Arc<dyn Ids>,
        now: Timestamp,
    ) -> Result<VaultStatus, VaultError> {
        let given = match wish.backend {
            Some(Backend::Passphrase) => Some(sources.passphrase("New passphrase of the root key: ")?),
            _ => sources.given()?,
        };
        if let (Some(material), Some(Backend::File | Backend::Keyring | Backend::Systemd)) =
            (&given, wish.backend)
        {
            return Err(VaultError::Usage(format!(
                "a key is given by {}: unset it, or choose the backend `environment`",
                material.origin
            )));
        }
        let _lock = lock(private)?;
        if let Some(record) = Record::read(private)? {
            return Err(VaultError::Chosen { backend: record.current.backend.as_str() });
        }
        if has_data || private.join(OLD_CHECK_FILE).exists() {
            return Err(VaultError::Chosen { backend: Backend::File.as_str() });
        }
        make(private, wish, sources, given.as_ref(), ids.as_ref(), now)?;
        let record = Record::read(private)?.ok_or_else(|| lost(private))?;
        Ok(status_of(private, &record))
    }

    /// The root key for looking into a backup: the one of the environment, else the key file in `private`, else none. The
    /// record of a backup may be forged, so the place of a key that it names is not looked at.
    pub fn key_at_hand(private: &Path, sources: &KeySources) -> Result<Option<Material>, VaultError> {
        if let Some(given) = sources.given()? {
            return Ok(Some(given));
        }
        let path = private.join(source::KEY_FILE);
        let Some(text) = keyfile::read(&path, Readers::Owner)? else { return Ok(None) };
        let text = SecretText::new(text.trim_end().to_owned());
        Ok(Some(Material { text, origin: path.display().to_string() }))
    }

    /// What the vault of this record derives, if `given` is a key of it. The data key stays when the root key changes, so
    /// that any record of an installation that a key opens derives the same.
    pub fn derive_by<const N: usize>(
        record: &Record,
        given: &Material,
        purposes: [&'static str; N],
    ) -> Result<[[u8; 32]; N], VaultError> {
        let nowhere = Path::new("");
        for slot in std::iter::once(&record.current).chain(&record.next) {
            let (root, _) =
                source::fetch(nowhere, &record.home_id, slot, &KeySources::default(), Some(given))?;
            if slot.is_of(&root) {
                let data = unwrap_slot(nowhere, record, slot, &root)?;
                return Ok(purposes.map(|purpose| data.derive(purpose)));
            }
        }
        Err(VaultError::Wrong { origin: given.origin.clone() })
    }

    /// How the vault of a home stands, without changing anything.
    pub fn inspect(private: &Path, has_data: bool, sources: &KeySources) -> VaultStatus {
        let record = match Record::read(private) {
            Ok(Some(record)) => record,
            Ok(None) => return without_record(private, has_data),
            Err(error) => return trouble(unknown_place(), &error),
        };
        let opened = given_for(&record, sources)
            .and_then(|given| open_record(private, record.clone(), sources, given.as_ref(), Mend::No));
        match opened {
            Ok(_) => status_of(private, &record),
            Err(error) => trouble(status_of(private, &record), &error),
        }
    }
}

impl Vault for HomeVault {
    fn derive(&self, purpose: &'static str) -> [u8; 32] {
        self.data.derive(purpose)
    }

    fn seal(&self, purpose: &'static str, clear: &[u8]) -> Result<Vec<u8>, Error> {
        self.data
            .seal(purpose, purpose.as_bytes(), clear, self.ids.as_ref())
            .ok_or_else(|| Error::internal("sealing failed"))
    }

    fn open(&self, purpose: &'static str, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        self.data.open(purpose, purpose.as_bytes(), sealed).ok_or_else(|| {
            Error::conflict("sealed data cannot be opened: it was damaged or belongs to another root key")
        })
    }

    fn status(&self) -> Result<VaultStatus, Error> {
        let record = Record::read(&self.private).map_err(as_conflict)?;
        let record = record.ok_or_else(|| as_conflict(lost(&self.private)))?;
        Ok(status_of(&self.private, &record))
    }

    fn rotate(&self, rotation: Rotation, now: Timestamp) -> Result<VaultStatus, Error> {
        if let Some(origin) = &self.overridden_by {
            // The new key would lie where the record says, and the next start would be given the old one again.
            return Err(Error::conflict(format!(
                "the key of this start came from {origin} and not from the place that this home records: start without \
                 it, then rotate (`--backend environment` makes it the recorded place)"
            )));
        }
        let wish = rotate::Wish::from_port(rotation).map_err(as_conflict)?;
        rotate::rotate(&self.private, &self.data, wish, self.ids.as_ref(), now, &|_| Ok(()))
            .map_err(as_conflict)
    }
}

/// Whether an unfinished change of keys is brought to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mend {
    Yes,
    No,
}

/// What the process was given for this record, a person being asked only where it takes a passphrase.
fn given_for(record: &Record, sources: &KeySources) -> Result<Option<Material>, VaultError> {
    let stretched = |slot: &Slot| slot.stretch.is_some();
    if stretched(&record.current) || record.next.as_ref().is_some_and(stretched) {
        let given = sources.given()?;
        if given.is_some() || !stretched(&record.current) {
            return Ok(given);
        }
        return sources.passphrase("Passphrase of the root key: ").map(Some);
    }
    sources.given()
}

/// Opens with the key that takes over, if there is one and it is in its place, else with the one in use.
fn open_record(
    private: &Path,
    mut record: Record,
    sources: &KeySources,
    given: Option<&Material>,
    mend: Mend,
) -> Result<(Record, Key), VaultError> {
    let mut abandoned = false;
    if let Some(next) = record.next.clone() {
        match next_key(private, &record, &next, sources, given) {
            NextKey::Here(root) => {
                let data = unwrap_slot(private, &record, &next, &root)?;
                if mend == Mend::Yes {
                    rotate::finish(private, &mut record)?;
                }
                return Ok((record, data));
            }
            NextKey::Never => abandoned = true,
            NextKey::Unknown => {}
        }
    }
    let current = record.current.clone();
    let (root, origin) = source::fetch(private, &record.home_id, &current, sources, given)?;
    if !current.is_of(&root) {
        return Err(VaultError::Wrong { origin });
    }
    let data = unwrap_slot(private, &record, &current, &root)?;
    if mend == Mend::Yes && abandoned {
        record.next = None;
        record.write(private)?;
    }
    Ok((record, data))
}

/// Whether the key that takes over is in its place.
enum NextKey {
    /// Yes.
    Here(Key),
    /// No, and it never came there: the change was cut short before.
    Never,
    /// That cannot be told now, or it is for a person to bring it.
    Unknown,
}

fn next_key(
    private: &Path,
    record: &Record,
    next: &Slot,
    sources: &KeySources,
    given: Option<&Material>,
) -> NextKey {
    if given.is_some()
        && let Ok((root, _)) = source::fetch(private, &record.home_id, next, sources, given)
        && next.is_of(&root)
    {
        return NextKey::Here(root);
    }
    match source::fetch(private, &record.home_id, next, sources, None) {
        Ok((root, _)) if next.is_of(&root) => NextKey::Here(root),
        Ok(_) | Err(VaultError::Absent { .. }) if next.backend.is_written_by_us() => NextKey::Never,
        _ => NextKey::Unknown,
    }
}

fn unwrap_slot(private: &Path, record: &Record, slot: &Slot, root: &Key) -> Result<Key, VaultError> {
    slot.open(&record.home_id, root).ok_or_else(|| VaultError::Damaged {
        path: private.join(RECORD_FILE),
        what: "the key is right, but the data key under it was changed".to_owned(),
    })
}

/// Makes key and record of a fresh home.
fn make(
    private: &Path,
    wish: &Wish,
    sources: &KeySources,
    given: Option<&Material>,
    ids: &dyn Ids,
    now: Timestamp,
) -> Result<Key, VaultError> {
    let backend = wish.backend.unwrap_or_else(|| match (given, sources.credential()) {
        (Some(material), _) if source::is_passphrase(material) => Backend::Passphrase,
        (Some(_), _) => Backend::Environment,
        (None, Some(path)) if path.exists() => Backend::Systemd,
        _ => Backend::File,
    });
    check_wish(private, backend, wish.key_file.as_deref())?;
    let mut id = [0u8; 8];
    ids.random(&mut id);
    let home_id = hex::encode(id);
    let place = Place {
        key_file: wish.key_file.clone(),
        stretch: (backend == Backend::Passphrase).then(|| Stretch::random(ids)),
        ..Place::of(backend)
    };
    let root = first_key(private, &place, sources, given, ids)?;
    if backend == Backend::Keyring {
        keyring::store(&home_id, &root)?;
    }
    let data = Key::random(ids);
    let slot = Slot::seal(place, &home_id, &root, &data, ids, now).ok_or_else(sealing_failed)?;
    Record::new(home_id, slot).write(private)?;
    Ok(data)
}

/// The root key of a fresh home. A key file that is there already, from a start that was cut short or put there by hand,
/// is taken.
fn first_key(
    private: &Path,
    place: &Place,
    sources: &KeySources,
    given: Option<&Material>,
    ids: &dyn Ids,
) -> Result<Key, VaultError> {
    match place.backend {
        Backend::Keyring => Ok(Key::random(ids)),
        Backend::File => {
            let path = source::key_file(private, place.key_file.as_ref());
            if let Some(key) = source::key_of_file(&path, Readers::Owner)? {
                return Ok(key);
            }
            let key = Key::random(ids);
            keyfile::write(&path, &key)?;
            Ok(key)
        }
        Backend::Passphrase => match (given, &place.stretch) {
            (Some(material), Some(stretch)) => stretch.first_key(material.text.reveal(), &material.origin),
            _ => Err(VaultError::Usage("a passphrase is needed".to_owned())),
        },
        Backend::Environment => source::parse(given.ok_or_else(|| {
            VaultError::Usage(
                "backend `environment`: set ACTIFIX_MASTER_KEY or ACTIFIX_MASTER_KEY_FILE to 64 hex digits"
                    .to_owned(),
            )
        })?),
        Backend::Systemd => {
            let path = sources.credential().ok_or_else(|| {
                VaultError::Usage(
                    "backend `systemd`: CREDENTIALS_DIRECTORY is not set: run it in the service".to_owned(),
                )
            })?;
            source::key_of_file(&path, Readers::Group)?
                .ok_or_else(|| VaultError::Usage(format!("backend `systemd`: {} is missing", path.display())))
        }
    }
}

/// Takes over a home that was made before there was a record: its root key becomes the data key, so that all that was
/// derived from it stays.
fn adopt(private: &Path, given: Option<&Material>, ids: &dyn Ids, now: Timestamp) -> Result<Key, VaultError> {
    let check_path = private.join(OLD_CHECK_FILE);
    let io = |source: std::io::Error| VaultError::Io { path: check_path.clone(), source };
    let stored = std::fs::read(&check_path).map_err(io)?;
    let stored =
        String::from_utf8_lossy(stored.get(..stored.len().min(OLD_CHECK_BYTES_MAX)).unwrap_or_default())
            .trim()
            .to_owned();
    let (root, origin, backend) = match given {
        Some(material) => (source::parse(material)?, material.origin.clone(), Backend::Environment),
        None => {
            let path = source::key_file(private, None);
            let root = source::key_of_file(&path, Readers::Owner)?.ok_or_else(|| VaultError::Absent {
                origin: format!("{} is missing", path.display()),
                hint: "put the key file back, or give the key in ACTIFIX_MASTER_KEY_FILE".to_owned(),
            })?;
            (root, path.display().to_string(), Backend::File)
        }
    };
    if stored != root.check() {
        return Err(VaultError::Wrong { origin });
    }
    let mut id = [0u8; 8];
    ids.random(&mut id);
    let home_id = hex::encode(id);
    let slot = Slot::seal(Place::of(backend), &home_id, &root, &root, ids, now).ok_or_else(sealing_failed)?;
    Record::new(home_id, slot).write(private)?;
    files::remove_durably(&check_path).map_err(io)?;
    tracing::info!(backend = backend.as_str(), "vault.adopted");
    Ok(root)
}

/// Held while key or record change; given back when the process ends, however it ends.
fn lock(private: &Path) -> Result<std::fs::File, VaultError> {
    let path = private.join(LOCK_FILE);
    let io = |source: std::io::Error| VaultError::Io { path: path.clone(), source };
    let file = files::append(&path).map_err(io)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).map_err(|errno| io(errno.into()))?;
    Ok(file)
}

fn status_of(private: &Path, record: &Record) -> VaultStatus {
    let slot = &record.current;
    VaultStatus {
        backend: slot.backend.as_str().to_owned(),
        state: "open".to_owned(),
        place: source::place(private, slot),
        key_id: Some(slot.key_id.clone()),
        recorded_at: Some(slot.recorded_at),
        pending: record.next.as_ref().map(|next| next.backend.as_str().to_owned()),
        problem: None,
    }
}

fn without_record(private: &Path, has_data: bool) -> VaultStatus {
    let status = unknown_place();
    if private.join(OLD_CHECK_FILE).exists() {
        let note = "made by an older actifix; the next start records its key".to_owned();
        return VaultStatus {
            backend: "file".to_owned(),
            state: "new".to_owned(),
            problem: Some(note),
            ..status
        };
    }
    if has_data {
        return trouble(status, &lost(private));
    }
    let note = "no root key yet: the first start makes one, or choose with `actifix secrets init`".to_owned();
    VaultStatus { state: "new".to_owned(), problem: Some(note), ..status }
}

fn unknown_place() -> VaultStatus {
    VaultStatus {
        backend: "none".to_owned(),
        state: String::new(),
        place: String::new(),
        key_id: None,
        recorded_at: None,
        pending: None,
        problem: None,
    }
}

fn trouble(status: VaultStatus, error: &VaultError) -> VaultStatus {
    VaultStatus { state: error.state().to_owned(), problem: Some(error.to_string()), ..status }
}

fn lost(private: &Path) -> VaultError {
    VaultError::Lost { path: private.join(RECORD_FILE) }
}

fn sealing_failed() -> VaultError {
    VaultError::Usage("sealing failed".to_owned())
}

fn as_conflict(error: VaultError) -> Error {
    Error::conflict(error.to_string())
}
