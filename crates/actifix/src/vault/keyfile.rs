//! Files that hold a key: who may read them is checked before they are believed.

use super::error::VaultError;
use super::key::Key;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Largest key file, bytes.
const FILE_BYTES_MAX: usize = 4 << 10;

/// Who may read a key file besides its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Nobody: mode 0400 or 0600.
    Owner,
    /// The group too: systemd lends its files to the service by an access list, which shows as rights of the group.
    Group,
}

impl Readers {
    const fn forbidden(self) -> u32 {
        match self {
            Self::Owner => 0o177,
            Self::Group => 0o137,
        }
    }
}

/// Reads a key file as text; none when there is no such file.
pub fn read(path: &Path, readers: Readers) -> Result<Option<Zeroizing<String>>, VaultError> {
    read_bounded(path, readers, FILE_BYTES_MAX)
}

/// Reads any file that holds a secret of at most `bytes_max`; none when there is no such file.
pub fn read_bounded(
    path: &Path,
    readers: Readers,
    bytes_max: usize,
) -> Result<Option<Zeroizing<String>>, VaultError> {
    let io = |source: std::io::Error| VaultError::Io { path: path.to_owned(), source };
    // Never waits for a pipe that somebody has put there.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(Errno::LOOP) => {
            return Err(refused(path, "it is a symbolic link: put the file itself there"));
        }
        Err(errno) => return Err(io(errno.into())),
    };
    let stat = rustix::fs::fstat(&fd).map_err(|errno| io(errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(refused(path, "it is not a plain file"));
    }
    let user = rustix::process::geteuid().as_raw();
    if stat.st_uid != user && stat.st_uid != 0 {
        return Err(refused(
            path,
            &format!(
                "it belongs to user {}, not to the user that runs this program: change its owner",
                stat.st_uid
            ),
        ));
    }
    if Mode::from_raw_mode(stat.st_mode).as_raw_mode() & readers.forbidden() != 0 {
        return Err(refused(
            path,
            "others can read it or change it: `chmod 0400` it, and replace the secret if they did",
        ));
    }
    check_parents(path)?;
    let mut text = Zeroizing::new(String::with_capacity(bytes_max + 1));
    let mut reader = File::from(fd).take(u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1));
    match reader.read_to_string(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            return Err(refused(path, "it is not text"));
        }
        Err(error) => return Err(io(error)),
    }
    if text.len() > bytes_max {
        return Err(refused(path, &format!("it is larger than {bytes_max} bytes: is this the right file?")));
    }
    Ok(Some(text))
}

/// Writes a key, replacing the file: a crash leaves the old key or the new one, never a part.
pub fn write(path: &Path, key: &Key) -> Result<(), VaultError> {
    check_parents(path)?;
    let mut line = Zeroizing::new(String::with_capacity(65));
    line.push_str(&key.text());
    line.push('\n');
    crate::files::replace_read_only(path, line.as_bytes())
        .map_err(|source| VaultError::Io { path: path.to_owned(), source })
}

/// Removes a key file that is not needed any more.
pub fn remove(path: &Path) {
    if let Err(error) = crate::files::remove_durably(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), error = %error, "vault.old_key_not_removed");
    }
}

/// A directory in which others can exchange files makes the mode of a file worthless.
fn check_parents(path: &Path) -> Result<(), VaultError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let parent =
        std::fs::canonicalize(&parent).map_err(|source| VaultError::Io { path: parent.clone(), source })?;
    let user = rustix::process::geteuid().as_raw();
    for (height, folder) in parent.ancestors().enumerate() {
        let stat = rustix::fs::stat(folder)
            .map_err(|errno| VaultError::Io { path: folder.to_owned(), source: errno.into() })?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        // Further up a sticky directory such as /tmp is fine: what is ours in it stays ours.
        let open = mode.contains(Mode::WOTH) && (height == 0 || !mode.contains(Mode::SVTX));
        if open {
            return Err(refused(
                path,
                &format!(
                    "anybody can exchange files in {}: `chmod o-w` it, or move the key",
                    folder.display()
                ),
            ));
        }
        if height == 0 && stat.st_uid != user && stat.st_uid != 0 {
            return Err(refused(
                path,
                &format!("its directory {} belongs to user {}: move the key", folder.display(), stat.st_uid),
            ));
        }
    }
    Ok(())
}

fn refused(path: &Path, why: &str) -> VaultError {
    VaultError::Refused { path: path.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::SystemIds;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn why(path: &Path) -> String {
        match read(path, Readers::Owner) {
            Err(VaultError::Refused { why, .. }) => why,
            other => panic!("not refused: {:?}", other.map(|text| text.is_some())),
        }
    }

    #[test]
    fn only_a_private_plain_file_is_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(read(&path, Readers::Owner).unwrap().is_none());
        let key = Key::random(&SystemIds);
        write(&path, &key).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
        assert_eq!(Key::parse(&read(&path, Readers::Owner).unwrap().unwrap()), Some(key));
        for mode in [0o444, 0o640, 0o604, 0o644, 0o420, 0o777, 0o500] {
            chmod(&path, mode);
            assert!(why(&path).contains("chmod 0400"), "{mode:o}");
        }
        chmod(&path, 0o440);
        assert!(read(&path, Readers::Group).unwrap().is_some(), "lent by systemd");
        for mode in [0o444, 0o460, 0o640 | 0o001] {
            chmod(&path, mode);
            assert!(read(&path, Readers::Group).is_err(), "{mode:o}");
        }
        chmod(&path, 0o600);
        assert!(read(&path, Readers::Owner).unwrap().is_some());
    }

    #[test]
    fn links_pipes_directories_and_large_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write(&path, &Key::random(&SystemIds)).unwrap();
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(why(&link).contains("symbolic link"));
        assert!(why(dir.path()).contains("plain file"));
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        assert!(why(&pipe).contains("plain file"));
        let large = dir.path().join("large");
        fs::write(&large, "a".repeat(5_000)).unwrap();
        chmod(&large, 0o600);
        assert!(why(&large).contains("larger than 4096"));
    }

    #[test]
    fn a_directory_that_others_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let path = inner.join("key");
        write(&path, &Key::random(&SystemIds)).unwrap();
        chmod(&inner, 0o777);
        assert!(why(&path).contains("anybody can exchange"));
        chmod(&inner, 0o1777);
        assert!(why(&path).contains("anybody can exchange"), "not even a sticky one");
        chmod(&inner, 0o700);
        chmod(dir.path(), 0o777);
        assert!(why(&path).contains("anybody can exchange"), "nor above it");
        chmod(dir.path(), 0o1777);
        assert!(read(&path, Readers::Owner).unwrap().is_some(), "a sticky one above is fine");
    }
}
