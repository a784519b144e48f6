//! A new root key takes over from the old one.
//!
//! 1. The record names both: the data key lies in it under the old key and under the new one.
//! 2. The new key comes to its place.
//! 3. The record names the new one alone, and the old key is removed from its place.
//!
//! Each step is one atomic change of one thing, so that a crash before, between or after them leaves a home that opens
//! with the key that is in place. Where this program cannot write to the place (systemd, environment, passphrase) step 3
//! happens at the first start with the new key, and until then either opens the home.

use super::error::VaultError;
use super::key::Key;
use super::keyfile::{self, Readers};
use super::keyring;
use super::passphrase::Stretch;
use super::record::{Backend, Place, Record, Slot};
use super::source::{self, KeySources, Material};
use super::{lock, lost, sealing_failed, status_of};
use actifix_app::ports::{Ids, Rotation, VaultStatus};
use actifix_domain::time::Timestamp;
use std::path::{Path, PathBuf};

/// Where a test may end the process, as it were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing has changed.
    Begun,
    /// The record names both keys.
    Announced,
    /// The new key is in its place.
    Placed,
    /// The record names the new key alone.
    Finished,
}

/// What the new key shall be.
#[derive(Debug)]
pub struct Wish {
    backend: Option<Backend>,
    key_file: Option<PathBuf>,
    material: Option<actifix_app::secrets::SecretText>,
}

impl Wish {
    /// Reads what the App asks for.
    pub fn from_port(rotation: Rotation) -> Result<Self, VaultError> {
        let backend = rotation.backend.as_deref().map(Backend::named).transpose()?;
        Ok(Self { backend, key_file: rotation.key_file, material: rotation.material })
    }
}

/// Whether a key may lie there.
pub fn check_wish(private: &Path, backend: Backend, key_file: Option<&Path>) -> Result<(), VaultError> {
    let Some(path) = key_file else { return Ok(()) };
    let usage = |text: &str| Err(VaultError::Usage(format!("key file {}: {text}", path.display())));
    if backend != Backend::File {
        return usage("only the backend `file` has one");
    }
    if !path.is_absolute() {
        return usage("give an absolute path");
    }
    let parent = path.parent().unwrap_or(path);
    let Ok(parent) = std::fs::canonicalize(parent) else {
        return usage("its directory does not exist");
    };
    let home = private.parent().map(std::fs::canonicalize);
    if let Some(Ok(home)) = home
        && (parent.starts_with(home.join("data")) || parent.starts_with(home.join(".actifix/backups")))
    {
        return usage("a key beside the data or the backups that it protects is no protection");
    }
    Ok(())
}

/// Makes the change. `reached` is told of each step and may stop it there.
pub fn rotate(
    private: &Path,
    data: &Key,
    wish: Wish,
    ids: &dyn Ids,
    now: Timestamp,
    reached: &dyn Fn(Step) -> Result<(), VaultError>,
) -> Result<VaultStatus, VaultError> {
    rotate_by(private, data, wish, ids, now, reached, &put)
}

/// Brings the new key to its place.
pub(super) type Put<'a> = dyn Fn(&Path, &Record, &Key) -> Result<(), VaultError> + 'a;

pub(super) fn rotate_by(
    private: &Path,
    data: &Key,
    wish: Wish,
    ids: &dyn Ids,
    now: Timestamp,
    reached: &dyn Fn(Step) -> Result<(), VaultError>,
    put: &Put<'_>,
) -> Result<VaultStatus, VaultError> {
    let _lock = lock(private)?;
    let mut record = Record::read(private)?.ok_or_else(|| lost(private))?;
    let backend = wish.backend.unwrap_or(record.current.backend);
    check_wish(private, backend, wish.key_file.as_deref())?;
    let same_backend = backend == record.current.backend;
    let place = Place {
        key_file: wish.key_file.clone().or_else(|| record.current.key_file.clone().filter(|_| same_backend)),
        stretch: (backend == Backend::Passphrase).then(|| Stretch::random(ids)),
        ..Place::of(backend)
    };
    let root = new_key(&place, wish, ids)?;
    if record.current.is_of(&root) {
        return Err(VaultError::Usage("the new key is the old one".to_owned()));
    }
    check_free(private, &record, &place)?;
    reached(Step::Begun)?;
    record.next = Some(Slot::seal(place, &record.home_id, &root, data, ids, now).ok_or_else(sealing_failed)?);
    record.write(private)?;
    reached(Step::Announced)?;
    if !backend.is_written_by_us() {
        return Ok(status_of(private, &record));
    }
    if let Err(error) = put(private, &record, &root) {
        // It may have come to its place all the same, over the old one. Only where the old one is seen to be there is
        // the change called off; else the record keeps both, and the next start finds out, as after a crash.
        if is_in_place(private, &record) {
            record.next = None;
            record.write(private)?;
        }
        return Err(error);
    }
    reached(Step::Placed)?;
    finish(private, &mut record)?;
    reached(Step::Finished)?;
    Ok(status_of(private, &record))
}

/// The new key is in its place: it becomes the one in use, and the old one is removed.
pub fn finish(private: &Path, record: &mut Record) -> Result<(), VaultError> {
    let Some(next) = record.next.take() else { return Ok(()) };
    let old = std::mem::replace(&mut record.current, next);
    record.write(private)?;
    match old.backend {
        Backend::File => {
            let path = source::key_file(private, old.key_file.as_ref());
            let reused = record.current.backend == Backend::File
                && source::key_file(private, record.current.key_file.as_ref()) == path;
            if !reused {
                keyfile::remove(&path);
            }
        }
        Backend::Keyring => keyring::remove(&record.home_id, &old.key_id),
        Backend::Systemd | Backend::Passphrase | Backend::Environment => {}
    }
    tracing::info!(backend = record.current.backend.as_str(), "vault.key_taken_over");
    Ok(())
}

fn new_key(place: &Place, wish: Wish, ids: &dyn Ids) -> Result<Key, VaultError> {
    let material = wish.material.map(|text| Material { text, origin: "the new key".to_owned() });
    match (place.backend.is_written_by_us(), material, &place.stretch) {
        (true, None, _) => Ok(Key::random(ids)),
        (true, Some(_), _) => {
            Err(VaultError::Usage(format!("backend `{}` makes its own key", place.backend.as_str())))
        }
        (false, Some(material), Some(stretch)) => stretch.first_key(material.text.reveal(), &material.origin),
        (false, Some(material), None) => source::parse(&material),
        (false, None, _) => Err(VaultError::Usage(format!(
            "backend `{}` cannot be written to: give the new key with --new-key-file, or the new passphrase",
            place.backend.as_str()
        ))),
    }
}

/// A file that is not the key in use may be somebody else's key: it is never written over.
fn check_free(private: &Path, record: &Record, place: &Place) -> Result<(), VaultError> {
    if place.backend != Backend::File {
        return Ok(());
    }
    let path = source::key_file(private, place.key_file.as_ref());
    let in_use = record.current.backend == Backend::File
        && source::key_file(private, record.current.key_file.as_ref()) == path;
    if !in_use && std::fs::symlink_metadata(&path).is_ok() {
        return Err(VaultError::Usage(format!(
            "{} exists and is not the key in use: move it away or name another place",
            path.display()
        )));
    }
    Ok(())
}

/// Whether the key in use can be read back from its place.
fn is_in_place(private: &Path, record: &Record) -> bool {
    let found = source::fetch(private, &record.home_id, &record.current, &KeySources::default(), None);
    found.is_ok_and(|(root, _)| record.current.is_of(&root))
}

/// Brings the new key to its place, and proves that it can be fetched from there.
fn put(private: &Path, record: &Record, root: &Key) -> Result<(), VaultError> {
    let Some(next) = &record.next else { return Ok(()) };
    if next.backend == Backend::Keyring {
        return keyring::store(&record.home_id, root);
    }
    let path = source::key_file(private, next.key_file.as_ref());
    keyfile::write(&path, root)?;
    match source::key_of_file(&path, Readers::Owner)? {
        Some(found) if found == *root => Ok(()),
        _ => Err(VaultError::Refused { path, why: "it does not hold what was written to it".to_owned() }),
    }
}
