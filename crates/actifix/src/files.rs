//! The one place of this crate that makes files and directories. All are for the owner only, whatever the umask.

#![allow(clippy::disallowed_methods, reason = "this is the module that the ban points to")]

use actifix_store::files::Unsafe;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Makes a directory and its parents, each with mode 0700. Existing ones of ours are tightened to it.
pub fn private_dir(path: &Path) -> io::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) if !meta.is_dir() => {
            return Err(io::Error::other(
                "is not a directory (a symbolic link is not followed): remove it, or name another home",
            ));
        }
        Ok(meta) => made.map(|()| meta)?,
        Err(error) => return Err(made.err().unwrap_or(error)),
    };
    if meta.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Takes from group and others the right to exchange files in a directory of ours; a sticky one keeps its mode, as
/// nobody exchanges what is not theirs there. Tells what was found, if anything was wrong.
pub fn close_to_others(path: &Path) -> io::Result<Option<Unsafe>> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mode = meta.permissions().mode() & 0o7777;
    if mode & 0o1000 != 0 || mode & 0o022 == 0 {
        return Ok(None);
    }
    let found = |what, repaired| Ok(Some(Unsafe { path: path.to_owned(), what, repaired }));
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return found(format!("mode {mode:04o}, belongs to user {}", meta.uid()), false);
    }
    fs::set_permissions(path, Permissions::from_mode(mode & !0o022))?;
    found(format!("mode {mode:04o}"), true)
}

/// Makes a directory for what anybody may read (man pages), with its parents.
pub fn public_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(path)
}

/// Writes a new file durably; fails if anything stands there, a link included.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    sync_parent(path)
}

/// Replaces a file so that a reader, or a crash, meets the old content or the new, never a part.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with_mode(path, bytes, 0o600)
}

/// The same for a file that is shared with others through version control: anybody may read it.
pub fn replace_public(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with_mode(path, bytes, 0o644)
}

/// The same for a key: not even the owner writes to it by accident.
pub fn replace_read_only(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with_mode(path, bytes, 0o400)
}

/// Gives a file or directory a name that must be free.
pub fn rename_new(from: &Path, into: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, into, RenameFlags::NOREPLACE) {
        // A file system that cannot promise it: whoever writes here is us, under a lock.
        Err(Errno::INVAL | Errno::NOSYS) if fs::symlink_metadata(into).is_err() => fs::rename(from, into),
        Err(Errno::NOTEMPTY) => Err(io::ErrorKind::AlreadyExists.into()),
        other => Ok(other?),
    }
}

/// Removes a file, so that it stays removed after a power failure.
pub fn remove_durably(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    sync_parent(path)
}

/// The same for a program.
pub fn replace_program(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with_mode(path, bytes, 0o755)
}

fn replace_with_mode(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = Path::new(&temporary);
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_new(temporary, bytes, mode)?;
    fs::rename(temporary, path)?;
    sync_parent(path)
}

/// Opens a file for appending, made if absent; a symbolic link is refused.
pub fn append(path: &Path) -> io::Result<fs::File> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits();
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(i32::try_from(flags).map_err(io::Error::other)?)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => fs::File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_group_or_others_may_exchange_is_taken_from_them() {
        let dir = tempfile::tempdir().unwrap();
        let mode = || fs::metadata(dir.path()).unwrap().permissions().mode() & 0o7777;
        for (loose, closed) in [
            (0o775, 0o755),
            (0o770, 0o750),
            (0o777, 0o755),
            (0o702, 0o700),
            (0o755, 0o755),
            (0o700, 0o700),
            (0o1777, 0o1777),
        ] {
            fs::set_permissions(dir.path(), Permissions::from_mode(loose)).unwrap();
            let found = close_to_others(dir.path()).unwrap();
            assert_eq!((mode(), found.is_some()), (closed, loose != closed), "{loose:o}");
            assert!(found.is_none_or(|found| found.repaired && found.what == format!("mode {loose:04o}")));
        }
        assert!(close_to_others(&dir.path().join("none")).unwrap().is_none());
    }

    #[test]
    fn files_are_private_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        replace(&file, b"one").unwrap();
        replace(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(append(&link).is_err());
        assert!(write_new(&link, b"x", 0o600).is_err());
        private_dir(&dir.path().join("x/y")).unwrap();
        assert_eq!(fs::metadata(dir.path().join("x/y")).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
