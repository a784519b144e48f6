//! What lies where backups are kept, and whether a key to them lies beside it.

use crate::backup::holds_identity;
use crate::config::BackupConfig;
use crate::home::Home;
use actifix_app::doctor::BackupFacts;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Entries of a directory that are looked at.
const ENTRIES_MAX: usize = 10_000;
/// Files of one kind that are told.
const TOLD_MAX: usize = 20;
/// Files that are larger are no keys, bytes.
const KEY_BYTES_MAX: u64 = 64 << 10;
/// What a file of age begins with.
const AGE: &[u8] = b"age-encryption.org/v1\n";

/// Looks at both.
pub fn look(home: &Home, config: &BackupConfig) -> BackupFacts {
    let dir = config.directory.as_ref().map_or_else(|| home.backups(), |dir| home.root().join(dir));
    let name = dir.strip_prefix(home.root()).unwrap_or(&dir).display().to_string();
    let mut facts =
        BackupFacts { recipients: config.recipients.len(), directory: name, ..BackupFacts::default() };
    match plain_files(&dir) {
        Ok(plain) => facts.plain = plain,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => facts.unreadable = Some(error.to_string()),
    }
    for place in [home.root().to_owned(), home.data(), home.private(), dir] {
        facts.identities.extend(identities(home, &place));
    }
    facts.identities.dedup();
    facts.identities.truncate(TOLD_MAX);
    facts
}

/// Files that are not encrypted. What is being written is under a name of its own until it is whole.
fn plain_files(dir: &Path) -> io::Result<Vec<String>> {
    let mut plain = Vec::new();
    for entry in fs::read_dir(dir)?.take(ENTRIES_MAX) {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let ours_for_now = name.starts_with(".verify-") || (name.starts_with('.') && name.ends_with(".part"));
        if !ours_for_now && plain.len() < TOLD_MAX && !is_age(&entry.path())? {
            plain.push(name);
        }
    }
    Ok(plain)
}

fn is_age(path: &Path) -> io::Result<bool> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        // Retention removed it in the meantime.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    if !meta.is_file() {
        return Ok(false);
    }
    let mut start = Vec::new();
    File::open(path)?.take(AGE.len() as u64).read_to_end(&mut start)?;
    Ok(start == AGE)
}

fn identities(home: &Home, place: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(place) else { return Vec::new() };
    let files = entries.take(ENTRIES_MAX).flatten().map(|entry| entry.path());
    files
        .filter(|path| is_identity(path).unwrap_or(false))
        .map(|path: PathBuf| path.strip_prefix(home.root()).unwrap_or(&path).display().to_string())
        .collect()
}

fn is_identity(path: &Path) -> io::Result<bool> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_file() || meta.len() > KEY_BYTES_MAX {
        return Ok(false);
    }
    let mut text = zeroize::Zeroizing::new(Vec::new());
    File::open(path)?.take(KEY_BYTES_MAX).read_to_end(&mut text)?;
    Ok(holds_identity(&text))
}
