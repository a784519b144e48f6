//! Room on the disk: a reserve that is given back when it runs out, so that people can still log in and delete.
//!
//! While the disk is nearly full events are refused (senders try again) and everything else goes on, in the room of
//! the reserve. It comes back by itself when there is room again, on the disk or within the database.

use crate::files;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Size of the reserve, bytes: a few thousand logins, or the log of a retention run.
pub(crate) const RESERVE_BYTES: u64 = 16 << 20;
/// Below this much free room events are refused, bytes.
pub(crate) const LOW_BYTES: u64 = 16 << 20;
/// From this much on they are taken again and the reserve is made anew, bytes.
pub(crate) const ENOUGH_BYTES: u64 = 2 * RESERVE_BYTES + LOW_BYTES;
/// Time between two looks, microseconds.
const LOOK_MICROS: i64 = 1_000_000;
/// Name of the reserve beside the database.
const RESERVE: &str = "reserve";

/// How much is free where a path lies, bytes.
pub type FreeBytes = Box<dyn Fn(&Path) -> std::io::Result<u64> + Send + Sync>;

/// What is asked of the system.
pub(crate) fn free_bytes(path: &Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The reserve and what is known of the disk.
pub(crate) struct Space {
    dir: PathBuf,
    free: FreeBytes,
    tight: AtomicBool,
    next_look: AtomicI64,
}

impl Space {
    pub(crate) fn new(dir: &Path, free: FreeBytes) -> Self {
        Self { dir: dir.to_owned(), free, tight: AtomicBool::new(false), next_look: AtomicI64::new(i64::MIN) }
    }

    /// Whether only what frees room, and people, may write.
    pub(crate) fn is_tight(&self) -> bool {
        self.tight.load(Ordering::Relaxed)
    }

    /// Looks at the disk, once a second at most. `inside` tells how much is free within the database.
    pub(crate) fn look(&self, now_micros: i64, inside: impl FnOnce() -> u64) {
        if now_micros < self.next_look.load(Ordering::Relaxed) {
            return;
        }
        self.next_look.store(now_micros.saturating_add(LOOK_MICROS), Ordering::Relaxed);
        let Ok(free) = (self.free)(&self.dir) else { return };
        #[allow(clippy::cast_precision_loss)] // a gauge
        metrics::gauge!("actifix_disk_free_bytes").set(free as f64);
        if !self.is_tight() && free < LOW_BYTES {
            self.run_out();
            self.next_look.store(now_micros.saturating_add(LOOK_MICROS), Ordering::Relaxed);
        } else if self.is_tight() && free.saturating_add(inside()) >= ENOUGH_BYTES {
            self.tight.store(false, Ordering::Relaxed);
            metrics::gauge!("actifix_disk_tight").set(0.0);
            tracing::info!(free_bytes = free, "store.disk_has_room: events are taken again");
        }
        if !self.is_tight() && free >= ENOUGH_BYTES {
            self.refill();
        }
    }

    /// The disk is full: gives the reserve back.
    pub(crate) fn run_out(&self) {
        if !self.tight.swap(true, Ordering::Relaxed) {
            metrics::gauge!("actifix_disk_tight").set(1.0);
            tracing::error!(
                "store.disk_full: events are refused until there is room: delete what is not needed, run retention, or enlarge the disk"
            );
        }
        // Whoever comes next looks again: it may have been a bound of the database, or room came.
        self.next_look.store(i64::MIN, Ordering::Relaxed);
        let path = self.dir.join(RESERVE);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, "store.reserve_not_released");
            }
            _ => {}
        }
    }

    /// Puts the reserve there, whole.
    fn refill(&self) {
        let path = self.dir.join(RESERVE);
        if std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_file() && found.len() == RESERVE_BYTES)
        {
            return;
        }
        if let Err(error) = files::reserve(&path, RESERVE_BYTES) {
            tracing::warn!(%error, "store.no_reserve: a full disk will keep people out too");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn the_reserve_goes_when_room_does_and_comes_back_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let free = Arc::new(AtomicU64::new(1 << 40));
        let seen = Arc::clone(&free);
        let space = Space::new(dir.path(), Box::new(move |_| Ok(seen.load(Ordering::Relaxed))));
        let reserve = dir.path().join(RESERVE);
        let blocks = || {
            use std::os::unix::fs::MetadataExt;
            std::fs::metadata(&reserve)
                .map(|found| (found.len(), found.blocks() * 512, found.mode() & 0o777))
                .ok()
        };
        space.look(0, || 0);
        let (length, really, mode) = blocks().unwrap();
        assert_eq!((length, mode), (RESERVE_BYTES, 0o600));
        assert!(really >= RESERVE_BYTES, "the room must be taken, not promised: {really}");
        free.store(LOW_BYTES - 1, Ordering::Relaxed);
        space.look(1, || 0);
        assert!(!space.is_tight(), "not looked at again within a second");
        space.look(LOOK_MICROS, || 0);
        assert!(space.is_tight() && blocks().is_none());
        free.store(ENOUGH_BYTES - 1, Ordering::Relaxed);
        space.look(2 * LOOK_MICROS, || 0);
        assert!(space.is_tight(), "no flapping at the border");
        space.look(3 * LOOK_MICROS, || 1);
        assert!(!space.is_tight(), "room within the database counts");
        assert!(blocks().is_none(), "but makes no reserve");
        free.store(ENOUGH_BYTES, Ordering::Relaxed);
        space.look(4 * LOOK_MICROS, || 0);
        assert!(blocks().is_some());
    }
}
