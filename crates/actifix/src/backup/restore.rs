//! Making a home from a backup. Nothing that is there is written over, and until the last rename there is no
//! installation: a crash leaves none, or the whole.

use super::read::{ReadError, unpack};
use super::shelf::look;
use super::{Identities, Manifest, Trust};
use crate::files;
use crate::home::Home;
use crate::vault::{KeySources, RECORD_FILE};
use actifix_app::ports::BackupVerdict;
use serde_json::json;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Tells the first start that this home was made from a backup.
pub const NOTE: &str = "restored.json";

/// Why there is no home.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Something is there.
    #[error("{0} is there: a restore never writes over anything; name an empty directory with --home")]
    Occupied(PathBuf),
    /// The backup cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is not whole.
    #[error("it was not put back, since it is not whole: {0}")]
    Unsound(String),
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What was made.
#[derive(Debug)]
pub struct Restored {
    /// What was found in the backup.
    pub verdict: BackupVerdict,
    /// The home had a configuration, which stays.
    pub kept_config: bool,
}

/// Makes the home at `home` from the backup at `path`. Where a root key is at hand, only from one that was made
/// by it or by one before it; `present` is the home of the installation, if that is still there.
pub fn restore(
    path: &Path,
    identities: &Identities,
    home: &Home,
    present: &Home,
    sources: &KeySources,
) -> Result<Restored, RestoreError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| RestoreError::Io { path, source }
    };
    let is_there = |path: &Path| std::fs::symlink_metadata(path).is_ok();
    // A restore that was cut short leaves its note and no data: it may be begun again.
    let begun = is_there(&home.private().join(NOTE));
    for occupied in [home.data(), home.private().join(RECORD_FILE)] {
        if is_there(&occupied) && !(begun && occupied != home.data()) {
            return Err(RestoreError::Occupied(occupied));
        }
    }
    files::private_dir(home.root()).map_err(io(home.root()))?;
    let stage =
        tempfile::Builder::new().prefix(".restore-").tempdir_in(home.root()).map_err(io(home.root()))?;
    let unpacked = unpack(path, identities, stage.path())?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut verdict = BackupVerdict { name: name.clone(), ..BackupVerdict::default() };
    let trust = Trust::AtHand { home, present, sources, backup: path, identities };
    look(&unpacked, stage.path(), &trust, &mut verdict);
    verdict.intact = verdict.faults.is_empty();
    if !verdict.intact {
        return Err(RestoreError::Unsound(verdict.faults.join("; ")));
    }
    let staged = Home::at(stage.path());
    // The look made them; a database that is at rest has none.
    for suffix in ["-wal", "-shm"] {
        let mut beside = staged.database().into_os_string();
        beside.push(suffix);
        let _there_or_not = std::fs::remove_file(PathBuf::from(beside));
    }
    let note = note(&name, &unpacked.manifest).to_string();
    files::replace(&staged.private().join(NOTE), note.as_bytes()).map_err(io(&staged.private()))?;
    let kept_config = std::fs::symlink_metadata(home.config()).is_ok();
    if !kept_config && staged.config().exists() {
        place(&staged.config(), &home.config())?;
    }
    // Logs and the like of a start that failed may lie there.
    files::private_dir(&home.private()).map_err(io(&home.private()))?;
    for name in [NOTE, RECORD_FILE, "audit.head", "ticket_throttle_history.json"] {
        let (from, into) = (staged.private().join(name), home.private().join(name));
        if from.exists() {
            std::fs::rename(&from, &into).map_err(io(&into))?;
        }
    }
    File::open(home.private()).and_then(|dir| dir.sync_all()).map_err(io(&home.private()))?;
    // From here on there is an installation.
    place(&staged.data(), &home.data())?;
    File::open(home.root()).and_then(|dir| dir.sync_all()).map_err(io(home.root()))?;
    Ok(Restored { verdict, kept_config })
}

fn note(name: &str, manifest: &Manifest) -> serde_json::Value {
    json!({ "name": name, "created_at": manifest.created_at, "mark": manifest.mark })
}

/// Moves to a name that must be free.
fn place(from: &Path, into: &Path) -> Result<(), RestoreError> {
    files::rename_new(from, into).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => RestoreError::Occupied(into.to_owned()),
        _ => RestoreError::Io { path: into.to_owned(), source },
    })
}
