//! A file of lines that never grows beyond its bounds: closed by size and by age, and written by several processes at
//! once without a torn or a lost line.
//!
//! Whoever writes holds the file's lock, and looks after it got it whether the file still has its name: so that no line
//! goes into a file that another process has closed. Locks are never waited for without an end: a process that was
//! stopped while it held one costs lines of the log, not requests.

use super::line::LINE_BYTES_MAX;
use super::old::{self, Closed};
use actifix_app::ports::Clock;
use actifix_domain::time::{DAY, Timestamp};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A file is closed at this size, bytes; smaller where all together may not be much larger.
const FILE_BYTES_MAX: u64 = 50 << 20;
/// Files that share the bytes of all.
const FILES_SHARED: u64 = 10;
/// A file is closed when its first line is so old, or was written so far in what is the future now.
const FILE_AGE_MAX: i64 = DAY;
/// Times that a lock which somebody else holds is tried: half a second in all, and then, until somebody got it, once.
const TRIES_MAX: u32 = 1_000;
/// Wait between two tries.
const TRY_AFTER: Duration = Duration::from_micros(500);
/// Start of a file in which the time of its first line stands, bytes.
const HEAD_BYTES: u64 = 64;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Closed files, days since their last line; 0 = for ever.
    pub(super) days: u32,
    /// All files together, bytes.
    pub(super) total_bytes: u64,
    /// One file, bytes.
    pub(super) file_bytes: u64,
}

impl Bounds {
    /// Of 0 bytes and 0 days nothing is removed.
    pub(super) const fn new(days: u32, total_bytes: u64) -> Self {
        let share = total_bytes / FILES_SHARED;
        let file_bytes = if total_bytes == 0 || share > FILE_BYTES_MAX { FILE_BYTES_MAX } else { share };
        Self { days, total_bytes: if total_bytes == 0 { u64::MAX } else { total_bytes }, file_bytes }
    }
}

/// A log.
pub(super) struct LogFile {
    dir: PathBuf,
    name: &'static str,
    path: PathBuf,
    bounds: Bounds,
    clock: Arc<dyn Clock>,
    /// No later time is believed, microseconds; before anybody said so none is.
    believed_until: AtomicI64,
    kept: Mutex<Kept>,
    /// Opens a file for appending: another one in tests.
    opens: fn(&Path) -> io::Result<File>,
}

#[derive(Default)]
struct Kept {
    open: Option<Open>,
    /// Somebody held the lock for longer than it was waited for.
    given_up: bool,
}

struct Open {
    file: File,
    /// Time of the first line; none until the file was looked at.
    begun: Option<Timestamp>,
}

impl LogFile {
    pub(super) fn new(dir: &Path, name: &'static str, bounds: Bounds, clock: Arc<dyn Clock>) -> Self {
        let path = dir.join(format!("{name}.log"));
        Self {
            dir: dir.to_owned(),
            name,
            path,
            bounds,
            clock,
            believed_until: AtomicI64::new(i64::MIN),
            kept: Mutex::default(),
            opens: crate::files::append,
        }
    }

    /// Says until when the clock is believed: what is removed by its age waits from then on.
    pub(super) fn believe_until(&self, until: Option<Timestamp>) {
        self.believed_until.store(until.map_or(i64::MIN, Timestamp::micros), Ordering::Relaxed);
    }

    /// Forgets the open file: the next line opens what has the name then.
    pub(super) fn reopen(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).open = None;
    }

    /// Writes a line, or counts it as lost.
    pub(super) fn append_or_count(&self, line: &[u8]) {
        if self.append(line).is_err() {
            metrics::counter!("actifix_log_lines_lost_total").increment(1);
        }
    }

    /// Writes a line, which ends with its break.
    fn append(&self, line: &[u8]) -> io::Result<()> {
        self.locked(|open| {
            let size = open.file.metadata()?.len();
            let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
            let begun = self.begun(open, size)?;
            let now = self.clock.now();
            let full = size.saturating_add(length) > self.bounds.file_bytes;
            let old = now.since(begun).saturating_abs() >= FILE_AGE_MAX;
            if size > 0 && (full || old) {
                match self.close() {
                    Ok(()) => return Ok(Step::Again),
                    // Better a file that is too long than none, but never more than all may be.
                    Err(error) if size.saturating_add(length) > self.bounds.total_bytes => return Err(error),
                    Err(_) => metrics::counter!("actifix_log_failures_total").increment(1),
                }
            }
            write_whole(&open.file, size, line).map(Step::Done)
        })
    }

    /// Closes the file if it is old, then tends the closed ones; returns the bytes of all.
    pub(super) fn tend(&self) -> io::Result<u64> {
        if self.path.exists() {
            self.locked(|open| {
                let size = open.file.metadata()?.len();
                let begun = self.begun(open, size)?;
                if size > 0 && self.clock.now().since(begun).saturating_abs() >= FILE_AGE_MAX {
                    self.close()?;
                }
                Ok(Step::Done(()))
            })?;
        }
        old::compress_all(&self.dir, self.name, |room| self.prune(room))?;
        self.prune(0)?;
        let own = fs::symlink_metadata(&self.path).map_or(0, |meta| meta.len());
        Ok(own + old::closed(&self.dir, self.name)?.iter().map(|file| file.bytes).sum::<u64>())
    }

    /// Does `work` on the file that has the name, under its lock.
    fn locked<T>(&self, mut work: impl FnMut(&mut Open) -> io::Result<Step<T>>) -> io::Result<T> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..TRIES_MAX {
            let mut open = match kept.open.take().filter(|open| self.has_name(&open.file)) {
                Some(open) => open,
                None => self.open()?,
            };
            match flock(&open.file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    kept.open = Some(open);
                    if kept.given_up {
                        break;
                    }
                    // Holders need microseconds; nothing tells when they are done.
                    std::thread::park_timeout(TRY_AFTER);
                    continue;
                }
                Err(errno) => return Err(errno.into()),
            }
            kept.given_up = false;
            if !self.has_name(&open.file) {
                continue;
            }
            let done = work(&mut open);
            flock(&open.file, FlockOperation::Unlock)?;
            match done? {
                Step::Done(done) => {
                    kept.open = Some(open);
                    return Ok(done);
                }
                Step::Again => {}
            }
        }
        kept.given_up = true;
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn open(&self) -> io::Result<Open> {
        let file = match (self.opens)(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                crate::files::private_dir(&self.dir)?;
                (self.opens)(&self.path)?
            }
            other => other?,
        };
        Ok(Open { file, begun: None })
    }

    fn has_name(&self, file: &File) -> bool {
        let same = |a: fs::Metadata, b: fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        match (file.metadata(), fs::symlink_metadata(&self.path)) {
            (Ok(open), Ok(named)) => same(open, named),
            _ => false,
        }
    }

    /// Time of the first line. Looks at a file that this process did not write yet: half a line, which a full disk left
    /// when a process was killed, is taken away.
    fn begun(&self, open: &mut Open, size: u64) -> io::Result<Timestamp> {
        if let (Some(begun), true) = (open.begun, size > 0) {
            return Ok(begun);
        }
        let mut begun = self.clock.now();
        if size > 0 {
            let mut file = File::open(&self.path)?;
            let mut head = String::new();
            let _not_text = (&mut file).take(HEAD_BYTES).read_to_string(&mut head);
            let written =
                || Some(Timestamp::from_micros(file.metadata().ok()?.mtime().saturating_mul(1_000_000)));
            begun = time_in(&head).or_else(written).unwrap_or(begun);
            take_half_line_away(&open.file, &file, size)?;
        }
        open.begun = Some(begun);
        Ok(begun)
    }

    /// Gives the file, whose lock is held, the next number. Before it, what then would be too much is removed.
    fn close(&self) -> io::Result<()> {
        let number = old::closed(&self.dir, self.name)?.last().map_or(0, |file| file.number);
        self.prune(0)?;
        for ahead in 1..=u64::from(TRIES_MAX) {
            let path = self.dir.join(old::file_name(self.name, number.saturating_add(ahead)));
            match crate::files::rename_new(&self.path, &path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => {
                    metrics::counter!("actifix_log_rotations_total").increment(u64::from(other.is_ok()));
                    return other;
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Removes closed files that are too old, then the oldest until there is room for the open file, for what may become
    /// closed with it, and for `room` bytes more.
    fn prune(&self, room: u64) -> io::Result<()> {
        let files = old::closed(&self.dir, self.name)?;
        let now = self.clock.now();
        let believed = now.micros() <= self.believed_until.load(Ordering::Relaxed);
        let is_old = |file: &Closed| {
            believed
                && self.bounds.days > 0
                && now.since(file.written_at) >= i64::from(self.bounds.days).saturating_mul(DAY)
        };
        let (gone, kept): (Vec<Closed>, Vec<Closed>) = files.into_iter().partition(is_old);
        for file in gone {
            file.remove()?;
        }
        let mut total: u64 = kept.iter().map(|file| file.bytes).sum();
        let open = self.bounds.file_bytes.saturating_mul(2);
        let most = self.bounds.total_bytes.saturating_sub(open).saturating_sub(room);
        for file in kept {
            if total <= most {
                break;
            }
            total = total.saturating_sub(file.bytes);
            file.remove()?;
        }
        Ok(())
    }
}

/// How far work on the open file came.
enum Step<T> {
    Done(T),
    /// The file was closed: on with the next one.
    Again,
}

/// Writes all of a line or nothing of it.
fn write_whole(mut file: &File, size: u64, line: &[u8]) -> io::Result<()> {
    let failed = match file.write(line) {
        Ok(written) if written == line.len() => return Ok(()),
        Ok(_) => io::ErrorKind::StorageFull.into(),
        Err(error) => error,
    };
    // Where this fails as well, whoever opens the file next does it.
    let _second_fault = file.set_len(size);
    Err(failed)
}

fn take_half_line_away(writes: &File, mut reads: &File, size: u64) -> io::Result<()> {
    let most = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let from = size.saturating_sub(most);
    reads.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    reads.take(most).read_to_end(&mut end)?;
    if end.last() == Some(&b'\n') {
        return Ok(());
    }
    metrics::counter!("actifix_log_lines_lost_total").increment(1);
    let whole = end.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    writes.set_len(from + u64::try_from(whole).unwrap_or(0))
}

/// The time that a line begins with: in JSON as its first member, else as its first word.
fn time_in(head: &str) -> Option<Timestamp> {
    let text = head.strip_prefix("{\"timestamp\":\"").unwrap_or(head);
    Timestamp::parse(text.split(['"', ' ']).next()?)
}

#[cfg(test)]
mod tests;
