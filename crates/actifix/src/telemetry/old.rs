//! Closed files of a log: `NAME-000042.log`, soon compressed to `NAME-000042.log.zst`.
//!
//! They have numbers rather than times, so that their order does not depend on a clock.

use actifix_domain::time::Timestamp;
use actifix_store::files::create_new;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Strength of compression: lines of a log shrink to a tenth with the least.
const LEVEL: i32 = 3;
/// Files of a log that are looked at.
const FILES_MAX: usize = 100_000;

/// A closed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Counts up with each file.
    pub number: u64,
    /// Where it lies.
    pub path: PathBuf,
    /// Whether it is compressed.
    pub compressed: bool,
    /// Size, bytes.
    pub bytes: u64,
    /// When its last line was written.
    pub written_at: Timestamp,
}

impl Closed {
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            // Another process was faster.
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

pub(super) fn file_name(name: &str, number: u64) -> String {
    format!("{name}-{number:06}.log")
}

/// Number and kind behind a name of a closed file.
fn number_of(name: &str, file: &str) -> Option<(u64, bool)> {
    let rest = file.strip_prefix(name)?.strip_prefix('-')?;
    let (digits, compressed) = match rest.strip_suffix(".log.zst") {
        Some(digits) => (digits, true),
        None => (rest.strip_suffix(".log")?, false),
    };
    let plain = digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
    Some((digits.parse().ok().filter(|_| plain)?, compressed))
}

/// All closed files of a log, oldest first. One that is compressed and not yet removed is told once, by its compressed
/// form, which has its name only since it is whole.
pub fn closed(dir: &Path, name: &str) -> io::Result<Vec<Closed>> {
    let mut files: Vec<Closed> = Vec::new();
    for entry in fs::read_dir(dir)?.take(FILES_MAX) {
        let entry = entry?;
        let Some((number, compressed)) = entry.file_name().to_str().and_then(|file| number_of(name, file))
        else {
            continue;
        };
        match entry.metadata() {
            Ok(meta) if meta.is_file() => files.push(Closed {
                number,
                path: entry.path(),
                compressed,
                bytes: meta.len(),
                written_at: Timestamp::from_micros(meta.mtime().saturating_mul(1_000_000)),
            }),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    files.sort_by_key(|file| (file.number, !file.compressed));
    files.dedup_by_key(|file| file.number);
    Ok(files)
}

/// What a closed file says, at most `bytes_max` of it.
pub fn read_closed(file: &Closed, bytes_max: u64) -> io::Result<Vec<u8>> {
    let source = File::open(&file.path)?;
    let mut bytes = Vec::new();
    if file.compressed {
        zstd::stream::read::Decoder::new(source)?.take(bytes_max).read_to_end(&mut bytes)?;
    } else {
        source.take(bytes_max).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Compresses what is closed and not compressed, after `make_room` for as much; and removes what a killed process left.
pub(super) fn compress_all(
    dir: &Path,
    name: &str,
    make_room: impl Fn(u64) -> io::Result<()>,
) -> io::Result<()> {
    remove_leftovers(dir, name)?;
    for file in closed(dir, name)?.into_iter().filter(|file| !file.compressed) {
        make_room(file.bytes)?;
        match compress(&file.path) {
            // Pruned for room, or compressed by another process.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Drafts without their source, and sources whose compressed form is whole.
fn remove_leftovers(dir: &Path, name: &str) -> io::Result<()> {
    for entry in fs::read_dir(dir)?.take(FILES_MAX) {
        let path = entry?.path();
        let Some(file) = path.file_name().and_then(|file| file.to_str()) else { continue };
        let draft_of = file.strip_suffix(".zst.part").filter(|source| number_of(name, source).is_some());
        let left = match draft_of {
            Some(source) => !dir.join(source).exists(),
            None => {
                matches!(number_of(name, file), Some((_, false))) && dir.join(format!("{file}.zst")).exists()
            }
        };
        if left {
            crate::files::remove_durably(&path)?;
        }
    }
    Ok(())
}

/// The source goes only when its compressed form is whole and durable under its name. False when another process is at
/// it.
fn compress(path: &Path) -> io::Result<bool> {
    let source = File::open(path)?;
    if flock(&source, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    let with = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let (part, whole) = (with(".zst.part"), with(".zst"));
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let draft = create_new(&part).map_err(io::Error::other)?;
    if let Err(error) = write_compressed(&source, draft) {
        // Half a draft on a full disk would keep it full.
        let _second_fault = fs::remove_file(&part);
        return Err(error);
    }
    fs::rename(&part, &whole)?;
    crate::files::remove_durably(path)?;
    Ok(true)
}

fn write_compressed(mut source: &File, draft: File) -> io::Result<()> {
    let written_at = source.metadata()?.modified()?;
    let mut encoder = zstd::stream::write::Encoder::new(draft, LEVEL)?;
    encoder.include_checksum(true)?;
    io::copy(&mut source, &mut encoder)?;
    let draft = encoder.finish()?;
    // Its age is that of its lines.
    draft.set_modified(written_at)?;
    draft.sync_all()
}
