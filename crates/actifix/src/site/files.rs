//! Where the root key is, what lies in the home and how, what stands in the configuration.

use crate::config::environment;
use crate::home::Home;
use crate::telemetry;
use crate::vault::HomeVault;
use actifix_app::doctor::{Area, FileFact, KeyPlace, LogFacts};
use actifix_app::error::Result;
use actifix_app::ports::Vault;
use actifix_domain::time::{SECOND, Timestamp};
use actifix_secrets::Engine;
use actifix_store::files::Unsafe;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files of a home that are looked at.
const FILES_MAX: usize = 10_000;
/// Bytes of the configuration that are looked at.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Secrets in it that are told.
const PLANTED_MAX: usize = 20;

/// Where the root key comes from; any file within the home that holds it counts, whatever this start was given, as it is
/// in every copy of the home.
pub fn key_place(home: &Home, vault: &HomeVault) -> Result<KeyPlace> {
    let status = vault.status()?;
    let recorded = (status.backend == "file").then(|| PathBuf::from(&status.place));
    let lying = std::iter::once(home.private().join("root.key")).chain(recorded);
    for path in lying {
        if fs::symlink_metadata(&path).is_ok() && is_within(home, &path.display().to_string()) {
            return Ok(KeyPlace::InHome(path.display().to_string()));
        }
    }
    if environment("ACTIFIX_MASTER_KEY").is_some() {
        return Ok(KeyPlace::Apart("ACTIFIX_MASTER_KEY".to_owned()));
    }
    if let Some(path) = environment("ACTIFIX_MASTER_KEY_FILE") {
        let what = "the file that ACTIFIX_MASTER_KEY_FILE names";
        return Ok(if is_within(home, &path) {
            KeyPlace::InHome(path)
        } else {
            KeyPlace::Apart(what.to_owned())
        });
    }
    Ok(KeyPlace::Apart(status.place))
}

fn is_within(home: &Home, path: &str) -> bool {
    let resolved = fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
    let root = fs::canonicalize(home.root()).unwrap_or_else(|_| home.root().to_owned());
    resolved.starts_with(root)
}

/// What looks like a secret in the configuration file: the line and the rule, never the text.
pub fn planted(home: &Home) -> Vec<(usize, String)> {
    let mut text = Vec::new();
    let Ok(file) = File::open(home.config()) else { return Vec::new() };
    if file.take(CONFIG_BYTES_MAX).read_to_end(&mut text).is_err() {
        return Vec::new();
    }
    let found = Engine::builtin().scan(&text).into_iter().filter(|found| found.reported());
    let told = found.take(PLANTED_MAX).map(|found| {
        let before = text.get(..found.span.start).unwrap_or_default();
        (1 + before.iter().filter(|byte| **byte == b'\n').count(), found.rule.to_string())
    });
    told.collect()
}

/// Directories and files that hold data, with what is wrong with each, and with what was until this process mended it.
pub fn all(home: &Home, mended: &[Unsafe]) -> Vec<FileFact> {
    let mut found = Vec::new();
    for entry in mended.iter().filter(|entry| entry.repaired) {
        let wrong = format!("{} until this command put it right", entry.what);
        found.push(fact(home, &entry.path, Some(wrong)));
    }
    // Of the home itself only who may exchange what is in it: the rest of it may be somebody's project.
    match look_at(home.root(), true) {
        Ok((wrong, _)) => found.push(fact(home, home.root(), wrong)),
        Err(error) => found.push(fact(home, home.root(), Some(error.to_string()))),
    }
    let mut waiting = vec![home.data(), home.private()];
    if home.config().exists() {
        waiting.push(home.config());
    }
    while let Some(path) = waiting.pop() {
        if found.len() >= FILES_MAX {
            found.push(fact(home, home.root(), Some("more files than are looked at".to_owned())));
            break;
        }
        match look_at(&path, path == home.config()) {
            Ok((wrong, inside)) => {
                found.push(fact(home, &path, wrong));
                waiting.extend(inside);
            }
            // It went between the listing and the look: it holds nothing any more.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => found.push(fact(home, &path, Some(error.to_string()))),
        }
    }
    found
}

fn fact(home: &Home, path: &Path, wrong: Option<String>) -> FileFact {
    let area = if path.starts_with(home.logs()) {
        Area::Logs
    } else if path.starts_with(home.backups()) {
        Area::Backups
    } else {
        Area::Data
    };
    let name = path.strip_prefix(home.root()).unwrap_or(path).display().to_string();
    FileFact { path: if name.is_empty() { ".".to_owned() } else { name }, area, wrong }
}

/// What is wrong with a path, and what lies in it.
fn look_at(path: &Path, readable: bool) -> io::Result<(Option<String>, Vec<PathBuf>)> {
    // The configuration may lie elsewhere: a package keeps it under /etc.
    let meta = if readable { fs::metadata(path)? } else { fs::symlink_metadata(path)? };
    let mode = meta.mode() & 0o7777;
    let inside = if meta.is_dir() {
        fs::read_dir(path)?
            .take(FILES_MAX)
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<_>>()?
    } else {
        Vec::new()
    };
    // The configuration holds no secrets, only references: others may read it, not write it.
    let forbidden = if readable { 0o022 } else { 0o077 };
    let owner = rustix::process::geteuid().as_raw();
    let wrong = if meta.is_symlink() {
        Some("a symbolic link".to_owned())
    } else if mode & forbidden != 0 {
        Some(format!("mode {mode:04o}"))
    } else if meta.uid() != owner && meta.uid() != 0 {
        Some(format!("belongs to user {}", meta.uid()))
    } else {
        None
    };
    Ok((wrong, inside))
}

/// The server's own logs, of which so many bytes are kept.
pub fn logs(home: &Home, bytes_max: u64) -> LogFacts {
    let file_bytes_max = telemetry::file_bytes_max(bytes_max);
    let mut facts = LogFacts { bytes_max, file_bytes_max, ..LogFacts::default() };
    let Ok(entries) = fs::read_dir(home.logs()) else { return facts };
    facts.is_there = true;
    for entry in entries.take(FILES_MAX).flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        facts.bytes = facts.bytes.saturating_add(meta.size());
        facts.largest_bytes = facts.largest_bytes.max(meta.size());
        if ![telemetry::LOG, telemetry::AUTH].iter().any(|name| *entry.file_name() == *format!("{name}.log"))
        {
            facts.closed_files += 1;
            facts.closed_at = facts.closed_at.max(Some(changed_at(&meta)));
        }
    }
    facts
}

/// When a file was changed last.
pub fn changed_at(meta: &Metadata) -> Timestamp {
    Timestamp::from_micros(meta.mtime().saturating_mul(SECOND).saturating_add(meta.mtime_nsec() / 1_000))
}
