//! The directory of backups.

use super::draft::Draft;
use super::read::{ReadError, Unpacked, unpack};
use super::{DATABASE, Identities, Manifest, Trust, created_at, parse_recipient};
use crate::files;
use crate::home::Home;
use crate::vault::Record;
use actifix_app::error::{Error, Result};
use actifix_app::ports::{BackupFile, BackupShelf, BackupVerdict, Ids, SnapshotSink};
use actifix_domain::time::Timestamp;
use actifix_domain::words::many;
use actifix_store::files::Unsafe;
use age::x25519::Recipient;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Backups that are listed.
const LISTED_MAX: usize = 1_000;
/// Entries of the directory that are looked at.
const ENTRIES_MAX: usize = 100_000;
/// What temporary homes are called.
const TEMPORARY: &str = ".verify-";

/// Where the backups of a home lie, and who can read new ones.
pub struct Shelf {
    /// The directory; made on first use.
    pub dir: PathBuf,
    /// The home.
    pub home: PathBuf,
    /// Who can read new ones.
    pub recipients: Vec<Recipient>,
    /// By which the server looks into its own backups.
    pub own: Identities,
    /// Key of the chain of the audit log.
    pub audit_key: [u8; 32],
    /// Key of the seals.
    pub seal_key: [u8; 32],
    /// Random parts of names.
    pub ids: Arc<dyn Ids>,
}

impl Shelf {
    fn path(&self, name: &str) -> Result<PathBuf> {
        // A name that is none of ours could be a path.
        created_at(name).map(|_| self.dir.join(name)).ok_or(Error::NotFound { what: "backup" })
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries.take(ENTRIES_MAX) {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }
}

impl BackupShelf for Shelf {
    fn recipients(&self) -> Vec<String> {
        self.recipients.iter().map(Recipient::to_string).collect()
    }

    fn begin(&self, at: Timestamp, recipients: &[String]) -> Result<Box<dyn SnapshotSink>> {
        let mut all = self.recipients.clone();
        for text in recipients {
            all.push(parse_recipient(text).map_err(|why| Error::invalid("recipients", why))?);
        }
        if all.is_empty() {
            return Err(Error::conflict(
                "nobody could read a backup: backup.recipients was empty at the start. Make a key with `actifix backup keygen`, keep it elsewhere, set backup.recipients to its recipient (age1…), and restart the server if one runs",
            ));
        }
        all.extend(self.own.recipient());
        files::private_dir(&self.dir).map_err(Error::internal)?;
        let mut random = [0u8; 4];
        self.ids.random(&mut random);
        let draft =
            Draft::begin(&self.dir, &self.home, &all, self.seal_key, at, random).map_err(|error| {
                if error.kind() == io::ErrorKind::StorageFull {
                    return Error::Unavailable {
                        message: "the disk of the backups is full",
                        retry_after_seconds: 60,
                    };
                }
                Error::internal(error)
            })?;
        Ok(Box::new(draft))
    }

    fn list(&self) -> Result<Vec<BackupFile>> {
        let mut found = Vec::new();
        for name in self.names().map_err(Error::internal)? {
            let Some(created_at) = created_at(&name) else { continue };
            let size = match std::fs::symlink_metadata(self.dir.join(&name)) {
                Ok(meta) if meta.is_file() => meta.len(),
                _ => continue,
            };
            found.push(BackupFile { name, size, created_at });
        }
        found.sort_by(|a, b| (b.created_at, &b.name).cmp(&(a.created_at, &a.name)));
        found.truncate(LISTED_MAX);
        Ok(found)
    }

    fn verify(&self, name: &str) -> Result<BackupVerdict> {
        let root_key = Record::read(&Home::at(&self.home).private()).ok().flatten();
        let root_key = root_key.map(|record| record.current.key_id);
        let trust = Trust::Keys { audit: self.audit_key, seal: self.seal_key, root_key };
        verify(&self.path(name)?, &self.own, &trust).map_err(|error| match error {
            ReadError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Error::Unavailable {
                    message: "there is no room to restore a backup into",
                    retry_after_seconds: 60,
                }
            }
            ReadError::WrongKey => Error::conflict(
                "it was not made by this installation: verify it with --identity and the key that it is for",
            ),
            error @ ReadError::Newer { .. } => Error::conflict(error.to_string()),
            other => Error::internal(other),
        })
    }

    fn remove(&self, name: &str) -> Result<()> {
        files::remove_durably(&self.path(name)?).map_err(Error::internal)
    }

    fn tidy(&self) -> Result<()> {
        for name in self.names().map_err(Error::internal)? {
            let path = self.dir.join(&name);
            let part = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".part"));
            let gone = if part.and_then(created_at).is_some() {
                std::fs::remove_file(&path)
            } else if name.starts_with(TEMPORARY) {
                std::fs::remove_dir_all(&path)
            } else {
                continue;
            };
            match gone {
                Ok(()) => tracing::info!(name, "backup.remains_removed"),
                Err(error) => tracing::warn!(%error, name, "backup.remains_not_removed"),
            }
        }
        Ok(())
    }
}

/// Looks at the directory and at the backups in it: takes away what group and others may do, tells of links and foreign
/// owners. Other files there are not ours.
pub fn tend(dir: &Path, entries_max: usize) -> Vec<Unsafe> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut found = Vec::new();
    if let Err(error) = actifix_store::files::private_dir(dir) {
        found.push(Unsafe { path: dir.to_owned(), what: error.to_string(), repaired: false });
    }
    for entry in entries.take(entries_max).flatten() {
        if entry.file_name().to_str().is_some_and(|name| created_at(name).is_some()) {
            found.extend(actifix_store::files::tend_tree(&entry.path(), 1));
        }
    }
    found
}

/// Puts a backup into a temporary home beside it, looks at everything, and removes that home.
pub fn verify(
    path: &Path,
    identities: &Identities,
    trust: &Trust<'_>,
) -> std::result::Result<BackupVerdict, ReadError> {
    let beside = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let temporary = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempdir_in(beside)
        .map_err(|source| ReadError::Io { path: beside.to_owned(), source })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut verdict = BackupVerdict { name, ..BackupVerdict::default() };
    match unpack(path, identities, temporary.path()) {
        Ok(unpacked) => look(&unpacked, temporary.path(), trust, &mut verdict),
        // These say that nobody can tell, not that it is bad.
        Err(error @ (ReadError::Io { .. } | ReadError::WrongKey | ReadError::Newer { .. })) => {
            return Err(error);
        }
        Err(error) => verdict.faults.push(error.to_string()),
    }
    verdict.intact = verdict.faults.is_empty();
    Ok(verdict)
}

/// Judges who made what was put back, and compares it with what was noted when the backup was made.
pub(super) fn look(unpacked: &Unpacked, home: &Path, trust: &Trust<'_>, verdict: &mut BackupVerdict) {
    let manifest: &Manifest = &unpacked.manifest;
    verdict.created_at = Some(manifest.created_at);
    let audit_key = trust.judge(unpacked, home, verdict);
    // An old one of ours under a new name is as good as a forged one.
    if created_at(&verdict.name).is_some_and(|named| named != manifest.created_at) {
        verdict
            .faults
            .push(format!("its name tells another time than {}, when it was made", manifest.created_at));
    }
    if !verdict.faults.is_empty() {
        return;
    }
    let inspection = match actifix_store::inspect(&home.join(DATABASE), audit_key) {
        Ok(inspection) => inspection,
        Err(why) => return verdict.faults.push(format!("the database does not open: {why}")),
    };
    verdict.faults.extend(inspection.faults);
    verdict.audit_head = inspection.audit.seq;
    verdict.audit_verified = inspection.audit_verified;
    if verdict.faults.is_empty() {
        for (table, noted) in &manifest.counts {
            let found = inspection.counts.get(table).copied().unwrap_or(0);
            if found != *noted {
                verdict
                    .faults
                    .push(format!("{table} has {}, not the {noted} that were noted", many(found, "row")));
            }
        }
        let hash = blake3::Hash::from_bytes(inspection.audit.hash).to_hex();
        if inspection.audit.seq != manifest.mark.audit_seq
            || (manifest.mark.audit_seq > 0 && hash.as_str() != manifest.mark.audit_hash)
        {
            verdict.faults.push("the audit log ends elsewhere than was noted".to_owned());
        }
    }
    verdict.counts = inspection.counts;
}
