//! Looks at the write-ahead log before the engine does.
//!
//! The engine takes the log up to its first frame that does not add up, and drops the rest without a word: right after a
//! power failure, where only what nobody was told of can be torn, and wrong when a byte flipped in what was acknowledged.
//! The two can be told apart: each commit is on the disk before the next transaction is written, so that a frame behind a
//! later commit proves that everything before that commit was whole once. A log that is gone is another silent loss: a
//! mark beside it says that there has to be one.

use super::care;
use crate::files::{self, FileError};
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Bytes of the header of a log (SQLite file format, section 4.1).
const HEADER_BYTES: usize = 32;
/// Bytes before each page.
const FRAME_HEADER_BYTES: usize = 24;
/// First word of a log whose sums are over little-endian words; with the lowest bit set they are big-endian.
const MAGIC: u32 = 0x377f_0682;
/// Where the size of a page stands in a database.
const PAGE_SIZE_AT: usize = 16;
/// Read at once.
const BUFFER_BYTES: usize = 256 << 10;
/// Name of the mark beside the database.
const MARK: &str = "unclosed";

/// The running sum of a log.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sum(u32, u32);

impl Sum {
    fn over(self, bytes: &[u8], big_endian: bool) -> Self {
        let Self(mut first, mut second) = self;
        for pair in bytes.chunks_exact(8) {
            let (a, b) = (word(pair, 0, big_endian), word(pair, 4, big_endian));
            first = first.wrapping_add(a).wrapping_add(second);
            second = second.wrapping_add(b).wrapping_add(first);
        }
        Self(first, second)
    }

    /// As it stands at `at`.
    fn stored(bytes: &[u8], at: usize) -> Self {
        Self(word(bytes, at, true), word(bytes, at + 4, true))
    }
}

fn word(bytes: &[u8], at: usize, big_endian: bool) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).unwrap_or([0; 4]);
    if big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
}

/// What is wrong with the log of the database at `path`, if it is such that the engine would lose what was acknowledged.
/// To be asked before the engine opens the database.
pub(crate) fn damage(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(care::log_path(path)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
    let mut header = [0u8; HEADER_BYTES];
    if !fill(&mut reader, &mut header)? {
        return Ok(None);
    }
    let big_endian = word(&header, 0, true) == MAGIC | 1;
    let header_sum = Sum::stored(&header, 24);
    let whole = word(&header, 0, true) | 1 == MAGIC | 1
        && Sum(0, 0).over(header.get(..24).unwrap_or_default(), big_endian) == header_sum;
    let page_bytes = if whole { word(&header, 8, true) as usize } else { page_bytes_of(path)? };
    if !(512..=65_536).contains(&page_bytes) {
        return Ok(None);
    }
    let salts = whole.then(|| Sum::stored(&header, 16));
    let mut walk = Walk { big_endian, last: header_sum, salts, broken: (!whole).then_some(0), ended: false };
    let mut frame = vec![0u8; FRAME_HEADER_BYTES + page_bytes];
    let mut number = 0u64;
    while fill(&mut reader, &mut frame)? {
        number += 1;
        if let Some(place) = walk.step(number, &frame) {
            return Ok(Some(match place {
                0 => "the header of the write-ahead log is not what was written".to_owned(),
                place => format!("frame {place} of the write-ahead log is not what was written"),
            }));
        }
    }
    Ok(None)
}

/// A way through the frames.
struct Walk {
    big_endian: bool,
    /// The sum that stands in the frame before.
    last: Sum,
    /// Of the generation of frames that counts; where the header cannot tell, the one of the first frame.
    salts: Option<Sum>,
    /// The first frame that does not add up; 0 is the header.
    broken: Option<u64>,
    /// A commit was seen at or behind it.
    ended: bool,
}

impl Walk {
    /// Takes a frame; the place of the damage once it is proven.
    fn step(&mut self, number: u64, frame: &[u8]) -> Option<u64> {
        let salts = Sum::stored(frame, 8);
        let wanted = *self.salts.get_or_insert(salts);
        let stored = Sum::stored(frame, 16);
        let sum = self
            .last
            .over(frame.get(..8).unwrap_or_default(), self.big_endian)
            .over(frame.get(FRAME_HEADER_BYTES..).unwrap_or_default(), self.big_endian);
        self.last = stored;
        let (is_whole, is_commit) = (salts == wanted && sum == stored, word(frame, 4, true) > 0);
        match self.broken {
            None if is_whole => {}
            None => {
                self.broken = Some(number);
                self.ended = is_commit;
            }
            // The header is on the disk before the first frame is written: a whole frame proves it.
            Some(0) if is_whole => return Some(0),
            Some(place) => {
                if is_whole && self.ended {
                    return Some(place);
                }
                self.ended |= is_commit && salts == wanted;
            }
        }
        None
    }
}

/// Fills the buffer; false where the file ends before.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn page_bytes_of(path: &Path) -> io::Result<usize> {
    let mut head = [0u8; PAGE_SIZE_AT + 2];
    if !fill(&mut File::open(path)?, &mut head)? {
        return Ok(0);
    }
    let bytes = head.get(PAGE_SIZE_AT..).and_then(|two| two.try_into().ok()).unwrap_or([0; 2]);
    Ok(match u16::from_be_bytes(bytes) {
        1 => 65_536,
        other => usize::from(other),
    })
}

/// Says that a log is there that holds what was acknowledged: made with the first commit after an opening, before anybody
/// is answered, and taken away at an orderly end, before the log goes.
pub(crate) struct Unclosed {
    path: PathBuf,
    log: PathBuf,
    made: bool,
}

impl Unclosed {
    /// The mark beside the database at `path`.
    pub(crate) fn of(path: &Path) -> Self {
        Self { path: path.with_file_name(MARK), log: care::log_path(path), made: false }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the last one who wrote did not come to an orderly end.
    pub(crate) fn is_there(&self) -> bool {
        std::fs::symlink_metadata(&self.path).is_ok()
    }

    /// Whether there is more in the log than its header.
    pub(crate) fn log_holds_frames(&self) -> bool {
        std::fs::symlink_metadata(&self.log).is_ok_and(|found| found.len() > HEADER_BYTES as u64)
    }

    /// A commit succeeded.
    pub(crate) fn make(&mut self) {
        // A transaction that wrote nothing leaves no log, and then none can be lost.
        if self.made || !self.log_holds_frames() {
            return;
        }
        match self.place() {
            Ok(()) => self.made = true,
            // A full disk must not keep the room of the reserve from those who free it.
            Err(error) => {
                tracing::warn!(%error, "store.mark_not_made: the loss of the log would not be noticed")
            }
        }
    }

    fn place(&self) -> Result<(), FileError> {
        files::private_file(&self.path)?;
        match self.path.parent() {
            Some(dir) => files::sync_dir(dir),
            None => Ok(()),
        }
    }

    /// The log goes now.
    pub(crate) fn remove(&mut self) {
        self.made = false;
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, path = %self.path.display(), "store.mark_not_removed");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests damage files")]
mod tests {
    use super::*;
    use rusqlite::Connection;

    /// A database whose log holds several transactions, as a kill leaves it: both files.
    fn killed(dir: &Path) -> (PathBuf, Vec<u8>) {
        let path = dir.join("a.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (x)")
            .unwrap();
        for number in 0..12 {
            db.execute("INSERT INTO t VALUES (?1)", [format!("{number}{}", "x".repeat(3_000))]).unwrap();
        }
        let log = std::fs::read(care::log_path(&path)).unwrap();
        let copy = dir.join("copy.db");
        std::fs::copy(&path, &copy).unwrap();
        drop(db);
        (copy, log)
    }

    fn judged(path: &Path, log: &[u8]) -> Option<String> {
        std::fs::write(care::log_path(path), log).unwrap();
        damage(path).unwrap()
    }

    /// Rows that the engine still finds.
    fn rows(path: &Path) -> i64 {
        let db = Connection::open(path).unwrap();
        let many = db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap_or(-1);
        // The engine must not take the log into the copy.
        db.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        many
    }

    #[test]
    fn a_flipped_byte_that_the_engine_drops_frames_for_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (path, log) = killed(dir.path());
        assert_eq!(judged(&path, &log), None);
        assert_eq!(rows(&path), 12);
        let frame = FRAME_HEADER_BYTES + 4_096;
        let frames = (log.len() - HEADER_BYTES) / frame;
        assert!(frames > 20, "{frames}");
        // Frames of the last transactions: nobody can tell a torn one from a flipped one.
        let last = log.len() - 4 * frame;
        let mut silent = 0;
        for place in (0..last).step_by(61).chain(0..HEADER_BYTES).chain(HEADER_BYTES..HEADER_BYTES + 24) {
            let mut bytes = log.clone();
            bytes[place] ^= 0x20;
            let told = judged(&path, &bytes);
            if rows(&path) != 12 {
                silent += 1;
                assert!(told.is_some(), "a flip at {place} of {} loses rows in silence", log.len());
            }
        }
        assert!(silent > 100, "{silent}");
    }

    #[test]
    fn what_a_power_failure_leaves_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let (path, log) = killed(dir.path());
        let frame = FRAME_HEADER_BYTES + 4_096;
        // Any end, and a last transaction of which sectors are missing.
        for end in (0..log.len()).step_by(509) {
            assert_eq!(judged(&path, &log[..end]), None, "cut at {end}");
        }
        for sector in 0..frame / 512 {
            let mut bytes = log.clone();
            let at = log.len() - frame + sector * 512;
            let end = (at + 512).min(bytes.len());
            bytes[at..end].fill(0);
            assert_eq!(judged(&path, &bytes), None, "sector {sector} of the last frame");
        }
        // A log that began anew over the frames of an older generation.
        std::fs::write(care::log_path(&path), b"").unwrap();
        let db = Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA wal_autocheckpoint = 0; CREATE TABLE IF NOT EXISTS t (x)").unwrap();
        for number in 0..20 {
            db.execute("INSERT INTO t VALUES (?1)", [number]).unwrap();
        }
        db.execute_batch("PRAGMA wal_checkpoint(RESTART); INSERT INTO t VALUES (1)").unwrap();
        assert_eq!(damage(&path).unwrap(), None);
    }
}
