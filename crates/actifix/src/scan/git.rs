//! Git, read with `gix`: the only module that names it. Nothing here runs a program or a hook of the repository.

mod added;
mod blobs;
mod history;
mod objects;
mod pack;
mod staged;
mod state;
mod walk;

pub use history::{Extent, scan_history};
pub use staged::scan_staged;

use gix::bstr::ByteSlice;
use objects::Objects;
use std::fmt;
use std::path::{Path, PathBuf};

/// Refs that are read; more are an error, not a part of the history silently left out.
const REFS_MAX: usize = 1_000_000;

/// Why a repository cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct GitError(String);

impl GitError {
    /// One line: what was attempted and what came of it.
    fn new(what: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self(format!("{what}: {error}"))
    }
}

/// An opened repository.
pub struct Repo {
    inner: gix::Repository,
    /// Objects of a push that is not accepted yet.
    quarantine: Option<PathBuf>,
}

impl fmt::Debug for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repo").field("dir", &self.inner.git_dir()).finish_non_exhaustive()
    }
}

impl Repo {
    /// The repository that holds a folder, or that git names in the environment of a hook (`GIT_DIR`,
    /// `GIT_INDEX_FILE`: a partial commit has an index of its own).
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn discover(folder: &Path) -> Result<Self, GitError> {
        let sync = gix::ThreadSafeRepository::discover_with_environment_overrides(folder)
            .map_err(|error| GitError::new(format!("no git repository at {}", folder.display()), error))?;
        Ok(Self { inner: sync.to_thread_local(), quarantine: None })
    }

    /// Also reads the objects in this folder: those of a push that waits for the verdict of a hook.
    pub fn with_quarantine(mut self, folder: Option<PathBuf>) -> Self {
        self.quarantine = folder;
        self
    }

    /// Root of the working tree; none in a bare repository.
    pub fn root(&self) -> Option<&Path> {
        self.inner.workdir()
    }

    /// Folder that all working trees of the repository share.
    pub fn common_dir(&self) -> &Path {
        self.inner.common_dir()
    }

    /// Where git looks for hooks, and whether `core.hooksPath` says so.
    pub fn hooks_dir(&self) -> (PathBuf, bool) {
        let configured = self.inner.config_snapshot().trusted_path("core.hooksPath").ok().flatten();
        match configured {
            // Git runs hooks in the root of the working tree, or in the repository if that is bare.
            Some(path) => (self.root().unwrap_or_else(|| self.inner.git_dir()).join(path), true),
            None => (self.common_dir().join("hooks"), false),
        }
    }

    /// Paths of all files in the index, relative to the root.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn tracked(&self) -> Result<Vec<PathBuf>, GitError> {
        let index = self.inner.index_or_empty().map_err(|error| GitError::new("index", error))?;
        let files = index.entries().iter().filter(|entry| {
            entry.mode == gix::index::entry::Mode::FILE
                || entry.mode == gix::index::entry::Mode::FILE_EXECUTABLE
        });
        Ok(files.filter_map(|entry| entry.path(&index).to_path().ok().map(Path::to_owned)).collect())
    }

    /// Ids that refs and a detached HEAD name, commits only.
    fn tips(&self) -> Result<Vec<gix::ObjectId>, GitError> {
        let fail = |error: gix::Error| GitError::new("refs", error);
        let platform = self.inner.references().map_err(fail)?;
        let mut tips = Vec::new();
        for reference in platform.all().map_err(fail)? {
            let mut reference = reference.map_err(fail)?;
            // A ref to nothing (a branch that is not born, a lost object) has no history; tags of trees have none.
            if let Ok(commit) = reference.peel_to_commit() {
                tips.push(commit.id);
            }
            if tips.len() > REFS_MAX {
                return Err(GitError(format!("more than {REFS_MAX} refs")));
            }
        }
        if let Ok(head) = self.inner.head_commit() {
            tips.push(head.id);
        }
        tips.sort();
        tips.dedup();
        Ok(tips)
    }

    /// Annotated tags: their messages are text of people as well.
    fn tags(&self) -> Result<Vec<gix::ObjectId>, GitError> {
        let fail = |error: gix::Error| GitError::new("tags", error);
        let platform = self.inner.references().map_err(fail)?;
        let mut tags = Vec::new();
        for reference in platform.tags().map_err(fail)?.take(REFS_MAX) {
            // Whether it is a tag or the commit itself is seen when it is read.
            tags.extend(reference.map_err(fail)?.try_id().map(gix::Id::detach));
        }
        Ok(tags)
    }

    fn objects(&self) -> Result<Objects, GitError> {
        Objects::open(&self.inner, self.quarantine.as_deref())
    }
}
