//! What the kernel tells of this process and of the disk. What it does not tell stays unknown.

use super::files::changed_at;
use super::processes;
use crate::home::Home;
use actifix_app::doctor::{CoreFact, DiskFact, Encryption, FileSystemFact, Machine};
use rustix::process::{Resource, getrlimit};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of the list of mounts that are read.
const MOUNTS_MAX: usize = 10_000;
/// Disks below a disk that are followed: partitions, RAID, LVM, encryption.
const LAYERS_MAX: usize = 8;

/// Looks at all of it.
pub fn look(home: &Home) -> Machine {
    let data = fs::canonicalize(home.data()).unwrap_or_else(|_| home.data());
    let database = home.database();
    let changed = [database.clone(), with_suffix(&database, "-wal")];
    let newest =
        changed.iter().filter_map(|path| fs::symlink_metadata(path).ok()).map(|meta| changed_at(&meta));
    let (holders, hidden_processes) = processes::holders(&data);
    Machine {
        core: Some(core()),
        entropy_bits: fs::read_to_string("/proc/sys/kernel/random/entropy_avail")
            .ok()
            .and_then(|text| text.trim().parse().ok()),
        // systemd-timesyncd leaves this file when the clock was set by another one; others leave nothing to be seen.
        is_synchronised: Path::new("/run/systemd/timesync/synchronized").exists().then_some(true),
        newest_file_at: newest.max(),
        disk: rustix::fs::statvfs(&data).ok().map(|disk| DiskFact {
            free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
            total_bytes: disk.f_blocks.saturating_mul(disk.f_frsize),
        }),
        file_system: file_system(&data),
        holders,
        hidden_processes,
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn core() -> CoreFact {
    #[cfg(target_os = "linux")]
    let is_dumpable = rustix::process::dumpable_behavior()
        .ok()
        .map(|behavior| behavior != rustix::process::DumpableBehavior::NotDumpable);
    #[cfg(not(target_os = "linux"))]
    let is_dumpable = None;
    CoreFact { bytes_max: getrlimit(Resource::Core).current, is_dumpable }
}

fn file_system(data: &Path) -> Option<FileSystemFact> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let (kind, mount) = mount_of(&mounts, data)?;
    Some(FileSystemFact { kind, mount, encryption: encryption(data) })
}

/// Kind and root of the file system that holds a path: the deepest mount above it, of several the last.
fn mount_of(mounts: &str, path: &Path) -> Option<(String, String)> {
    let found = mounts.lines().take(MOUNTS_MAX).filter_map(|line| {
        let (place, source) = line.split_once(" - ")?;
        let mount = unescaped(place.split(' ').nth(4)?);
        path.starts_with(&mount).then(|| (source.split(' ').next().unwrap_or_default().to_owned(), mount))
    });
    found.max_by_key(|(_, mount)| mount.len())
}

/// Blanks and the like stand in octal there.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(target_os = "linux")]
fn encryption(data: &Path) -> Encryption {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    let Ok(stat) = statx(CWD, data, AtFlags::empty(), StatxFlags::BASIC_STATS) else {
        return Encryption::Unknown;
    };
    if stat.stx_attributes.contains(StatxAttributes::ENCRYPTED) {
        return Encryption::By("fscrypt".to_owned());
    }
    let device = format!("/sys/dev/block/{}:{}", stat.stx_dev_major, stat.stx_dev_minor);
    encrypted_below(Path::new(&device), LAYERS_MAX)
        .map_or(Encryption::Unknown, |how| Encryption::By(how.to_owned()))
}

#[cfg(not(target_os = "linux"))]
fn encryption(_data: &Path) -> Encryption {
    Encryption::Unknown
}

/// By what a disk is encrypted, or every disk below it.
fn encrypted_below(device: &Path, layers: usize) -> Option<&'static str> {
    let mapped = fs::read_to_string(device.join("dm/uuid")).unwrap_or_default();
    if mapped.starts_with("CRYPT-LUKS") {
        return Some("LUKS");
    }
    if mapped.starts_with("CRYPT-") {
        return Some("dm-crypt");
    }
    if layers == 0 {
        return None;
    }
    let below: Vec<_> = fs::read_dir(device.join("slaves")).ok()?.flatten().collect();
    let mut how = None;
    for entry in below {
        how = Some(encrypted_below(&entry.path(), layers - 1)?);
    }
    how
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_of_a_path_is_the_deepest_above_it() {
        let mounts = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                      30 22 0:40 / /srv rw - nfs4 host:/export rw\n\
                      31 22 0:41 / /srv\\040two rw - tmpfs none rw\n\
                      32 22 0:42 / /srv/data rw shared:9 master:1 - xfs /dev/sdb1 rw\n";
        for (path, expected) in [
            ("/home/a", ("ext4", "/")),
            ("/srv/x", ("nfs4", "/srv")),
            ("/srv two/x", ("tmpfs", "/srv two")),
            ("/srv/data/x", ("xfs", "/srv/data")),
            ("/srvx", ("ext4", "/")),
        ] {
            let found = mount_of(mounts, Path::new(path)).unwrap();
            assert_eq!((found.0.as_str(), found.1.as_str()), expected, "{path}");
        }
        assert_eq!(mount_of("", Path::new("/")), None);
    }

    #[test]
    fn a_disk_is_encrypted_where_all_below_it_are() {
        let root = tempfile::tempdir().unwrap();
        let disk = |path: &str, uuid: &str| {
            fs::create_dir_all(root.path().join(path).join("dm")).unwrap();
            fs::write(root.path().join(path).join("dm/uuid"), uuid).unwrap();
        };
        disk("luks", "CRYPT-LUKS2-0123-home\n");
        disk("lvm", "LVM-0123\n");
        disk("lvm/slaves/a", "CRYPT-LUKS2-1\n");
        disk("lvm/slaves/b", "CRYPT-LUKS2-2\n");
        disk("half", "LVM-0123\n");
        disk("half/slaves/a", "CRYPT-LUKS2-1\n");
        disk("half/slaves/b", "LVM-9\n");
        disk("plain", "LVM-1\n");
        for (name, expected) in
            [("luks", Some("LUKS")), ("lvm", Some("LUKS")), ("half", None), ("plain", None), ("absent", None)]
        {
            assert_eq!(encrypted_below(&root.path().join(name), LAYERS_MAX), expected, "{name}");
        }
    }
}
