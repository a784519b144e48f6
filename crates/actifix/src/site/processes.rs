//! Other processes that have the database open, and the SQLite in them. While a server runs its lock keeps them from
//! reading and writing, but they wait, and are there when it stops.

use actifix_app::doctor::Holder;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Processes that are looked at.
const PROCESSES_MAX: usize = 20_000;
/// Open files of each.
const FILES_MAX: usize = 4_096;
/// Processes that are told.
const HOLDERS_MAX: usize = 20;
/// Bytes of a library that are searched.
const LIBRARY_BYTES_MAX: u64 = 32 << 20;
/// Bytes of the list of what a process has mapped.
const MAPS_BYTES_MAX: u64 = 4 << 20;

/// Who has a file of this directory open that is the engine's, and how many processes could not be looked at. None
/// where the system does not tell.
pub fn holders(data: &Path) -> (Option<Vec<Holder>>, usize) {
    let Ok(entries) = fs::read_dir("/proc") else { return (None, 0) };
    let own = std::process::id();
    let files: Vec<PathBuf> =
        ["actifix.db", "actifix.db-wal", "actifix.db-shm"].iter().map(|name| data.join(name)).collect();
    let (mut found, mut hidden) = (Vec::new(), 0);
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids.filter(|pid| *pid != own).take(PROCESSES_MAX) {
        match has_open(pid, &files) {
            Ok(true) if found.len() < HOLDERS_MAX => found.push(holder(pid)),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => hidden += 1,
            // It ended in the meantime.
            Err(_) => {}
        }
    }
    (Some(found), hidden)
}

fn has_open(pid: u32, files: &[PathBuf]) -> std::io::Result<bool> {
    let open = fs::read_dir(format!("/proc/{pid}/fd"))?.take(FILES_MAX).flatten();
    Ok(open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|path| files.contains(&path)))
}

fn holder(pid: u32) -> Holder {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    // The name is of its own choice.
    let program = name.trim().chars().filter(|c| !c.is_control()).take(32).collect();
    Holder { pid, program, engine: engine(pid) }
}

/// Version of the SQLite that a process has mapped.
fn engine(pid: u32) -> Option<String> {
    let mut maps = String::new();
    fs::File::open(format!("/proc/{pid}/maps")).ok()?.take(MAPS_BYTES_MAX).read_to_string(&mut maps).ok()?;
    let mut libraries: Vec<&str> = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .filter(|path| path.rsplit('/').next().is_some_and(|name| name.contains("sqlite")))
        .collect();
    libraries.sort_unstable();
    libraries.dedup();
    libraries.into_iter().find_map(|path| {
        let mut bytes = Vec::new();
        // As the process sees it, which may have another root.
        let file =
            fs::File::open(format!("/proc/{pid}/root{path}")).or_else(|_| fs::File::open(path)).ok()?;
        file.take(LIBRARY_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        version_in(&bytes)
    })
}

/// The version that a library carries: the text between two zero bytes that reads `3.40.1`.
fn version_in(bytes: &[u8]) -> Option<String> {
    memchr::memmem::find_iter(bytes, b"\x003.").find_map(|start| {
        let rest = bytes.get(start + 1..)?;
        let text = rest.get(..rest.iter().take(12).position(|byte| *byte == 0)?)?;
        let text = std::str::from_utf8(text).ok()?;
        let parts: Vec<&str> = text.split('.').collect();
        let is_version = parts.len() == 3
            && parts
                .iter()
                .all(|part| !part.is_empty() && part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit()));
        is_version.then(|| text.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_among_other_texts() {
        assert_eq!(version_in(b"x\x003.14\x00y\x003.40.1\x00z").as_deref(), Some("3.40.1"));
        assert_eq!(version_in(b"\x003.51.3"), None, "it has no end");
        assert_eq!(version_in(b"\x003.a.1\x00\x003..1\x00"), None);
    }

    #[test]
    fn who_has_the_file_open_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("actifix.db");
        fs::write(&path, b"").unwrap();
        let dir = fs::canonicalize(dir.path()).unwrap();
        assert_eq!(holders(&dir).0, Some(Vec::new()));
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .stdin(fs::File::open(&path).unwrap())
            .spawn()
            .unwrap();
        let found = holders(&dir).0.unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].pid, found[0].engine.as_deref()), (child.id(), None));
    }
}
