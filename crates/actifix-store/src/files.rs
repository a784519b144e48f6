//! The one place that opens files which hold data: private from the first byte, never through a link.
//!
//! A database that another account can read is a leak that no query shows, so modes are set by descriptor,
//! whatever the umask, and checked again on each start.

use rustix::fs::{FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Mode of data files.
const FILE_MODE: u32 = 0o600;
/// Mode of data directories.
const DIR_MODE: u32 = 0o700;
/// Directories above that are looked at.
const PARENTS_MAX: usize = 256;
/// Longest text read from a lock or marker file, bytes.
const NOTE_BYTES_MAX: u64 = 256;

/// Why a file or directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("cannot {action} {path}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A link where a file of ours must be.
    #[error(
        "{path} is a symbolic link: data files are never opened through links; move the file itself there"
    )]
    Link {
        /// Where.
        path: PathBuf,
    },
    /// Something else than a plain file or directory.
    #[error("{path} is not a {expected}: remove it or choose another home")]
    Kind {
        /// Where.
        path: PathBuf,
        /// What it must be.
        expected: &'static str,
    },
    /// It belongs to somebody else.
    #[error("{path} belongs to user {owner}, not to the user that runs this program: change its owner")]
    Owner {
        /// Where.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// It has a second name, so that somebody may keep a way to it.
    #[error(
        "{path} has a second name (a hard link), by which others may read or change it: copy it to a new file, remove both names, move the copy there"
    )]
    Linked {
        /// Where.
        path: PathBuf,
    },
    /// A directory above in which anybody can exchange files.
    #[error("anybody can exchange files in {path}: `chmod o-w` it, or choose another home")]
    Parent {
        /// Where.
        path: PathBuf,
    },
    /// A process that is not ours has the database open.
    #[error(
        "process {pid}, which is not actifix, has {path} open: an older SQLite can damage it; end that process, and read copies or backups instead"
    )]
    Foreign {
        /// Where.
        path: PathBuf,
        /// Whose lock was found.
        pid: i32,
    },
    /// Another process has it.
    #[error("another actifix (pid {pid}) uses {path}: stop it, or choose another home")]
    Locked {
        /// Where.
        path: PathBuf,
        /// Who holds it, as it wrote itself.
        pid: String,
    },
}

impl FileError {
    fn system(action: &'static str, path: &Path, errno: Errno) -> Self {
        if errno == Errno::LOOP {
            return Self::Link { path: path.to_owned() };
        }
        Self::System { action, path: path.to_owned(), source: errno.into() }
    }
}

/// Makes a private directory (0700), or checks and repairs the one that is there.
pub fn private_dir(path: &Path) -> Result<(), FileError> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(DIR_MODE)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(FileError::system("create", path, errno)),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
        if errno == Errno::NOTDIR {
            return match std::fs::symlink_metadata(path) {
                Ok(found) if found.file_type().is_symlink() => FileError::Link { path: path.to_owned() },
                _ => FileError::Kind { path: path.to_owned(), expected: "directory" },
            };
        }
        FileError::system("open", path, errno)
    })?;
    make_private(&dir, path, FileType::Directory, DIR_MODE)
}

/// Refuses a directory that others could exchange for one of theirs: one above it is open to everybody. A sticky one,
/// such as /tmp, is not.
pub fn check_parents(path: &Path) -> Result<(), FileError> {
    for folder in path.ancestors().skip(1).take(PARENTS_MAX) {
        let stat = rustix::fs::stat(folder).map_err(|errno| FileError::system("look at", folder, errno))?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        if mode.contains(Mode::WOTH) && !mode.contains(Mode::SVTX) {
            return Err(FileError::Parent { path: folder.to_owned() });
        }
    }
    Ok(())
}

/// What [`private_file`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The file was made by this call.
    Created,
    /// It was there, with so many bytes.
    Existing {
        /// Size, bytes.
        size: u64,
    },
}

/// Makes an empty private file (0600), or checks and repairs the one that is there. Links are refused.
pub fn private_file(path: &Path) -> Result<Found, FileError> {
    let (fd, found) = open_private(path)?;
    drop(fd);
    Ok(found)
}

/// As [`private_file`] where there is a file; nothing when there is none.
pub fn check_private_file(path: &Path) -> Result<(), FileError> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => private_file(path).map(|_| ()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(FileError::System { action: "look at", path: path.to_owned(), source }),
    }
}

/// Makes an empty private file (0600) that must not be there yet, and opens it for writing.
pub fn create_new(path: &Path) -> Result<File, FileError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::from_raw_mode(FILE_MODE))
        .map_err(|errno| FileError::system("create", path, errno))?;
    make_private(&fd, path, FileType::RegularFile, FILE_MODE)?;
    Ok(File::from(fd))
}

/// Opens a file of ours for a lock alone.
pub(crate) fn open_for_lock(path: &Path) -> Result<File, FileError> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| FileError::system("open", path, errno))?;
    Ok(File::from(fd))
}

/// Makes a private file that takes up `bytes` on the disk.
pub(crate) fn reserve(path: &Path, bytes: u64) -> Result<(), FileError> {
    let (fd, _) = open_private(path)?;
    let mut file = File::from(fd);
    let taken = match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        Ok(()) => file.set_len(bytes),
        // A file system that cannot promise room gets it written.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            std::io::copy(&mut std::io::repeat(0).take(bytes), &mut file).map(|_| ())
        }
        Err(errno) => Err(errno.into()),
    };
    taken.and_then(|()| file.sync_all()).map_err(|source| {
        // Half a reserve would only make a full disk fuller.
        let _gone = std::fs::remove_file(path);
        FileError::System { action: "reserve room in", path: path.to_owned(), source }
    })
}

/// Makes what happened to the names in a directory durable.
pub fn sync_dir(path: &Path) -> Result<(), FileError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|source| FileError::System {
        action: "sync",
        path: path.to_owned(),
        source,
    })
}

/// As [`check_private_file`], without opening the file: closing a descriptor of a file that the database engine has
/// open would give up the engine's locks on it (POSIX), and another process could damage the database then.
pub fn check_in_place(path: &Path) -> Result<(), FileError> {
    match look(path, Want::Private(FILE_MODE)) {
        Ok(_) => Ok(()),
        Err(FileError::System { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// What is wrong with a file or directory of ours, and whether it was put right.
#[derive(Clone, Debug)]
pub struct Unsafe {
    /// Where.
    pub path: PathBuf,
    /// What was found.
    pub what: String,
    /// Whether it is as it must be now.
    pub repaired: bool,
}

/// Looks at a directory and all that is in it, at most `entries_max`: takes away what group and others may do, and
/// tells of links, of second names and of foreign owners. Nothing is opened.
pub fn tend_tree(root: &Path, entries_max: usize) -> Vec<Unsafe> {
    let (mut found, mut waiting, mut looked_at) = (Vec::new(), vec![root.to_owned()], 0usize);
    while let Some(path) = waiting.pop() {
        looked_at += 1;
        if looked_at > entries_max {
            let what = format!("more than {entries_max} files: the others were not looked at");
            found.push(Unsafe { path: root.to_owned(), what, repaired: false });
            break;
        }
        match look(&path, Want::OwnerOnly) {
            Ok(seen) => {
                if let Some(mode) = seen.repaired_from {
                    found.push(Unsafe {
                        path: path.clone(),
                        what: format!("mode {mode:04o}"),
                        repaired: true,
                    });
                }
                if seen.kind == FileType::Directory {
                    match std::fs::read_dir(&path) {
                        Ok(entries) => waiting
                            .extend(entries.take(entries_max).filter_map(|entry| Some(entry.ok()?.path()))),
                        Err(error) => {
                            found.push(Unsafe { path, what: error.to_string(), repaired: false });
                        }
                    }
                }
            }
            // It went between the listing and the look.
            Err(FileError::System { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => found.push(Unsafe { what: error.to_string(), path, repaired: false }),
        }
    }
    found
}

/// What a look accepts.
#[derive(Clone, Copy)]
enum Want {
    /// A plain file with this mode.
    Private(u32),
    /// Anything of ours; what group and others may do is taken away.
    OwnerOnly,
}

struct Seen {
    kind: FileType,
    repaired_from: Option<u32>,
}

/// Looks at a path by a descriptor that cannot read or write (`O_PATH`), so that what is judged is what is repaired.
fn look(path: &Path, want: Want) -> Result<Seen, FileError> {
    #[cfg(target_os = "linux")]
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    #[cfg(not(target_os = "linux"))]
    if let Want::Private(_) = want {
        // Without O_PATH a look would give up the engine's locks; the files were checked before it opened them.
        return Ok(Seen { kind: FileType::RegularFile, repaired_from: None });
    }
    let fd = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| FileError::system("look at", path, errno))?;
    let stat = rustix::fs::fstat(&fd).map_err(|errno| FileError::system("look at", path, errno))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::Symlink {
        return Err(FileError::Link { path: path.to_owned() });
    }
    if matches!(want, Want::Private(_)) && kind != FileType::RegularFile {
        return Err(FileError::Kind { path: path.to_owned(), expected: "plain file" });
    }
    check_owner(&stat, path, kind)?;
    let mode = stat.st_mode & 0o7777;
    let wanted = match want {
        Want::Private(wanted) => wanted,
        Want::OwnerOnly => mode & 0o700,
    };
    if mode == wanted {
        return Ok(Seen { kind, repaired_from: None });
    }
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        let by_descriptor = format!("/proc/self/fd/{}", fd.as_raw_fd());
        rustix::fs::chmod(by_descriptor.as_str(), Mode::from_raw_mode(wanted))
            .map_err(|errno| FileError::system("set the mode of", path, errno))?;
    }
    #[cfg(not(target_os = "linux"))]
    rustix::fs::fchmod(&fd, Mode::from_raw_mode(wanted))
        .map_err(|errno| FileError::system("set the mode of", path, errno))?;
    Ok(Seen { kind, repaired_from: Some(mode) })
}

fn check_owner(stat: &rustix::fs::Stat, path: &Path, kind: FileType) -> Result<(), FileError> {
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(FileError::Owner { path: path.to_owned(), owner: stat.st_uid });
    }
    if kind == FileType::RegularFile && stat.st_nlink > 1 {
        return Err(FileError::Linked { path: path.to_owned() });
    }
    Ok(())
}

/// Writes a small private file, replacing what it held.
pub fn write_note(path: &Path, text: &str) -> Result<(), FileError> {
    let (fd, _) = open_private(path)?;
    let mut file = File::from(fd);
    fill(&mut file, text).map_err(|source| FileError::System {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

/// Puts a small private file in the place of the one that is there: a reader, or a crash, meets the old or the new.
pub fn replace_note(path: &Path, text: &str) -> Result<(), FileError> {
    let wrap = |action: &'static str| {
        move |source: std::io::Error| FileError::System { action, path: path.to_owned(), source }
    };
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    write_note(&temporary, text)?;
    std::fs::rename(&temporary, path).map_err(wrap("replace"))?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => {
            File::open(parent).and_then(|dir| dir.sync_all()).map_err(wrap("sync the directory of"))
        }
        _ => Ok(()),
    }
}

/// A held lock; dropping it, or the end of the process however it comes, gives it back.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the exclusive lock `path` and writes our process id into it.
pub fn lock(path: &Path) -> Result<Lock, FileError> {
    let (fd, _) = open_private(path)?;
    let mut file = File::from(fd);
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            return Err(FileError::Locked { path: path.to_owned(), pid: holder(&mut file) });
        }
        Err(errno) => return Err(FileError::system("lock", path, errno)),
    }
    fill(&mut file, &format!("{}\n", std::process::id())).map_err(|source| FileError::System {
        action: "write",
        path: path.to_owned(),
        source,
    })?;
    Ok(Lock { _file: file })
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(NOTE_BYTES_MAX).read_to_string(&mut text);
    let pid = text.trim();
    if read.is_ok() && !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit()) {
        pid.to_owned()
    } else {
        "unknown".to_owned()
    }
}

fn fill(file: &mut File, text: &str) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.set_len(0)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn open_private(path: &Path) -> Result<(OwnedFd, Found), FileError> {
    let mode = Mode::from_raw_mode(FILE_MODE);
    let base = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::open(path, base | OFlags::CREATE | OFlags::EXCL, mode) {
        Ok(fd) => {
            make_private(&fd, path, FileType::RegularFile, FILE_MODE)?;
            return Ok((fd, Found::Created));
        }
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(FileError::system("create", path, errno)),
    }
    // NONBLOCK: a pipe put in our place must not stop the start.
    let fd = rustix::fs::open(path, base | OFlags::NONBLOCK, Mode::empty())
        .map_err(|errno| FileError::system("open", path, errno))?;
    make_private(&fd, path, FileType::RegularFile, FILE_MODE)?;
    let size = rustix::fs::fstat(&fd).map_err(|errno| FileError::system("look at", path, errno))?.st_size;
    Ok((fd, Found::Existing { size: u64::try_from(size).unwrap_or(0) }))
}

/// Refuses what is not ours or not of the right kind; takes away what group and others may do.
fn make_private(fd: &OwnedFd, path: &Path, kind: FileType, mode: u32) -> Result<(), FileError> {
    let stat = rustix::fs::fstat(fd).map_err(|errno| FileError::system("look at", path, errno))?;
    if FileType::from_raw_mode(stat.st_mode) != kind {
        let expected = if kind == FileType::Directory { "directory" } else { "plain file" };
        return Err(FileError::Kind { path: path.to_owned(), expected });
    }
    check_owner(&stat, path, kind)?;
    let found = stat.st_mode & 0o7777;
    if found != mode {
        if found & 0o077 != 0 {
            tracing::warn!(path = %path.display(), found = %format!("{found:o}"), set = %format!("{mode:o}"),
                "store.mode_repaired: others could read or write this");
        }
        rustix::fs::fchmod(fd, Mode::from_raw_mode(mode))
            .map_err(|errno| FileError::system("set the mode of", path, errno))?;
    }
    Ok(())
}
