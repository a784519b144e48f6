//! The home: where everything of an installation lies.

use crate::files;
use actifix_store::files::Unsafe;
use std::io;
use std::path::{Path, PathBuf};

/// The directory of an installation and the names within it.
#[derive(Clone, Debug)]
pub struct Home(PathBuf);

impl Home {
    /// The home at `root`; nothing is made yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// `actifix.toml`
    pub fn config(&self) -> PathBuf {
        self.0.join("actifix.toml")
    }

    /// `data/`
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// `data/actifix.db`
    pub fn database(&self) -> PathBuf {
        self.data().join("actifix.db")
    }

    /// `.actifix/`
    pub fn private(&self) -> PathBuf {
        self.0.join(".actifix")
    }

    /// `.actifix/logs/`
    pub fn logs(&self) -> PathBuf {
        self.private().join("logs")
    }

    /// `.actifix/ticket_throttle_history.json`
    pub fn throttle_history(&self) -> PathBuf {
        self.private().join("ticket_throttle_history.json")
    }

    /// `.actifix/backups/`
    pub fn backups(&self) -> PathBuf {
        self.private().join("backups")
    }

    /// `.actifix/audit.head`: where the audit log ends, outside the database.
    pub fn audit_head(&self) -> PathBuf {
        self.private().join("audit.head")
    }

    /// `.actifix/served.json`: what the server was told when it started.
    pub fn served(&self) -> PathBuf {
        self.private().join("served.json")
    }

    /// `.actifix/actifix.sock`: the door for commands on the same machine.
    pub fn socket(&self) -> PathBuf {
        self.private().join("actifix.sock")
    }

    /// Whether an installation was made here.
    pub fn exists(&self) -> bool {
        self.database().exists()
    }

    /// Makes the directories. A home of ours in which others could exchange files is closed to them, which is told.
    pub fn create(&self) -> io::Result<Option<Unsafe>> {
        let found = files::close_to_others(&self.0)?;
        for dir in [self.data(), self.private(), self.logs()] {
            let named = |error: io::Error| {
                let dir = dir.strip_prefix(&self.0).unwrap_or(&dir);
                io::Error::new(error.kind(), format!("{}: {error}", dir.display()))
            };
            files::private_dir(&dir).map_err(named)?;
        }
        Ok(found)
    }
}
