//! Under which root key an older backup is now.
//!
//! A backup holds the record of the vault as it was: the data key under the root key of that day. A new root key wraps the
//! same data key anew, so whoever has the present root key and any later record of the same installation has the data key
//! of the older backups too. Such a record is in the home, and in each backup that was made since. What it says is not
//! believed but tried: it opens with the root key at hand or not at all, and the seal of the backup must fit.

use super::read::vault_record;
use super::{Identities, created_at};
use crate::home::Home;
use crate::vault::{HomeVault, Material, Record, VaultError};
use std::path::{Path, PathBuf};

/// Entries of the directory that are looked at.
const ENTRIES_MAX: usize = 100_000;
/// Backups beside this one that are opened up to their record, newest first: more than a plan keeps.
const BACKUPS_MAX: usize = 200;
/// Different records that are tried: a passphrase takes half a second for each, and a new one comes with a new key only.
const RECORDS_MAX: usize = 16;

/// A record of the installation of `own` that `given` opens, and what its vault derives.
pub(super) fn find<const N: usize>(
    own: &Record,
    given: &Material,
    present: &Home,
    backup: &Path,
    identities: &Identities,
    purposes: [&'static str; N],
) -> Option<(Record, [[u8; 32]; N])> {
    let mut tried = vec![own.clone()];
    let of_home = Record::read(&present.private()).ok().flatten();
    let beside = others(backup).into_iter().filter_map(|path| {
        let bytes = vault_record(&path, identities).ok()??;
        Record::parse(&path, &bytes).ok()
    });
    for record in of_home.into_iter().chain(beside) {
        if record.home_id != own.home_id || tried.contains(&record) {
            continue;
        }
        if tried.len() > RECORDS_MAX {
            break;
        }
        if let Ok(keys) = HomeVault::derive_by(&record, given, purposes) {
            return Some((record, keys));
        }
        tried.push(record);
    }
    None
}

/// The backups beside this one, newest first.
fn others(backup: &Path) -> Vec<PathBuf> {
    let beside = match backup.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Ok(entries) = std::fs::read_dir(beside) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .take(ENTRIES_MAX)
        .flatten()
        .filter_map(|entry| Some((created_at(entry.file_name().to_str()?)?, entry.path())))
        .filter(|(_, path)| path.file_name() != backup.file_name())
        .filter(|(_, path)| std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file()))
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.truncate(BACKUPS_MAX);
    found.into_iter().map(|(_, path)| path).collect()
}

/// Which key it takes, and what else would do.
pub(super) fn missing(own: &Record, given: &Material, why: &VaultError) -> String {
    let why = match why {
        // "Use the key that this home was made with" is what follows here, in more words.
        VaultError::Wrong { .. } => format!("the key from {} is another", given.origin),
        other => other.to_string(),
    };
    format!(
        "the root key at hand is not that of this backup: {why}. It takes root key {} (in use since {}): give that one in \
         ACTIFIX_MASTER_KEY_FILE; or, if the root key was changed after this backup, give the present one and put a later \
         backup of the same installation beside this file, or name the home with --home",
        own.current.key_id, own.current.recorded_at
    )
}
