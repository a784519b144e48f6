//! Keeps other programs out of the live database.
//!
//! The engine's locks let any program with an SQLite of its own in, and releases before 3.51.3 lose commits when two
//! processes share a write-ahead log. Every reader or writer must lock the "pending" byte for a moment before it may
//! look at the file, so that byte is locked for as long as the store is open: by an open file description lock, which,
//! other than POSIX locks, does not mix with those of this process. Our own connections are let in by the first one,
//! which held its lock before.

use crate::files::FileError;
use std::path::Path;

/// Where the engine locks: the pending byte; 511 further ones follow it (SQLite file format, section 1.7).
#[cfg(target_os = "linux")]
const PENDING_BYTE: i64 = 0x4000_0000;
/// All bytes that the engine locks.
#[cfg(target_os = "linux")]
const LOCK_BYTES: i64 = 512;

#[cfg(target_os = "linux")]
mod system {
    use super::{FileError, LOCK_BYTES, PENDING_BYTE, Path};
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc;
    use std::fs::File;

    fn range(kind: libc::c_int, length: i64) -> libc::flock {
        libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: PENDING_BYTE,
            l_len: length,
            l_pid: 0,
        }
    }

    fn failed(path: &Path, action: &'static str, errno: nix::errno::Errno) -> FileError {
        FileError::System { action, path: path.to_owned(), source: errno.into() }
    }

    /// Refuses to start beside a process that has the database open. To be asked before the engine opens it here.
    pub(crate) fn refuse_others(path: &Path) -> Result<(), FileError> {
        let wrap = |source| FileError::System { action: "open", path: path.to_owned(), source };
        let file = File::open(path).map_err(wrap)?;
        let mut asked = range(libc::F_WRLCK, LOCK_BYTES);
        fcntl(&file, FcntlArg::F_GETLK(&mut asked))
            .map_err(|errno| failed(path, "ask for locks of", errno))?;
        if i32::from(asked.l_type) == libc::F_UNLCK {
            return Ok(());
        }
        Err(FileError::Foreign { path: path.to_owned(), pid: asked.l_pid })
    }

    /// The lock. Its file must be closed after all connections: closing it gives up the engine's own locks.
    #[derive(Debug)]
    pub(crate) struct Guard(File);

    impl Guard {
        /// Takes the lock; to be called when a connection of ours is in.
        pub(crate) fn take(path: &Path) -> Result<Self, FileError> {
            let file = crate::files::open_for_lock(path)?;
            fcntl(&file, FcntlArg::F_OFD_SETLK(&range(libc::F_WRLCK, 1))).map_err(|errno| match errno {
                // Somebody slipped in since the question; who, the kernel does not say any more.
                nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES => {
                    FileError::Foreign { path: path.to_owned(), pid: 0 }
                }
                errno => failed(path, "lock", errno),
            })?;
            Ok(Self(file))
        }

        /// Lets others in again, and our last connection do what it does at the end.
        pub(crate) fn release(&self) {
            if let Err(errno) = fcntl(&self.0, FcntlArg::F_OFD_SETLK(&range(libc::F_UNLCK, 1))) {
                tracing::warn!(error = %errno, "store.guard_not_released");
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{FileError, Path};

    /// There is no lock of this kind here.
    pub(crate) fn refuse_others(_path: &Path) -> Result<(), FileError> {
        Ok(())
    }

    #[derive(Debug)]
    pub(crate) struct Guard;

    impl Guard {
        pub(crate) fn take(_path: &Path) -> Result<Self, FileError> {
            Ok(Self)
        }

        pub(crate) fn release(&self) {}
    }
}

pub(crate) use system::{Guard, refuse_others};
