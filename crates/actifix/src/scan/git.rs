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
pub use staged::{file_in_head, scan_staged};

use gix::bstr::ByteSlice;
use objects::Objects;
use std::fmt;
use std::path::{Path, PathBuf};

/// Refs that are read; more are an error, not a part of the history silently left out.
const REFS_MAX: usize = 1_000_000;

/// Object folders that the environment names.
const OBJECT_FOLDERS_MAX: usize = 64;

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
    /// Folders with objects besides its own.
    more_objects: Vec<PathBuf>,
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
        let mut inner = sync.to_thread_local();
        // A push takes what is there, not what a replacement shows instead.
        inner.objects.ignore_replacements = true;
        refuse_reftable(&inner)?;
        Ok(Self { inner, more_objects: Vec::new() })
    }

    /// The repository that holds a folder, whatever the environment names.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn at(folder: &Path) -> Result<Self, GitError> {
        let sync = gix::ThreadSafeRepository::discover(folder)
            .map_err(|error| GitError::new(format!("no git repository at {}", folder.display()), error))?;
        Ok(Self { inner: sync.to_thread_local(), more_objects: Vec::new() })
    }

    /// Also reads the objects in these folders: where git keeps those of a push that waits for the verdict of a hook
    /// (`GIT_OBJECT_DIRECTORY`), or of a commit that somebody makes aside (`GIT_ALTERNATE_OBJECT_DIRECTORIES`).
    ///
    /// # Errors
    /// There are more of them than anybody uses.
    pub fn with_objects_in(mut self, folders: Vec<PathBuf>) -> Result<Self, GitError> {
        if folders.len() > OBJECT_FOLDERS_MAX {
            return Err(GitError(format!(
                "more than {OBJECT_FOLDERS_MAX} object folders in the environment"
            )));
        }
        self.more_objects = folders;
        Ok(self)
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

    /// Names and ids of all refs, and of a detached HEAD.
    fn refs(&self) -> Result<Vec<(Vec<u8>, gix::ObjectId)>, GitError> {
        let fail = |error: gix::Error| GitError::new("refs", error);
        let platform = self.inner.references().map_err(fail)?;
        let mut refs = Vec::new();
        for reference in platform.all().map_err(fail)? {
            let reference = reference.map_err(fail)?;
            // What another ref names is found there.
            if let Some(id) = reference.try_id() {
                refs.push((reference.name().as_bstr().to_vec(), id.detach()));
            }
            if refs.len() > REFS_MAX {
                return Err(GitError(format!("more than {REFS_MAX} refs")));
            }
        }
        if let Ok(head) = self.inner.head_id() {
            refs.push((b"HEAD".to_vec(), head.detach()));
        }
        Ok(refs)
    }

    fn objects(&self) -> Result<Objects, GitError> {
        Objects::open(&self.inner, &self.more_objects)
    }
}

/// Refs in a table are not read; what cannot be read must not look empty or broken.
fn refuse_reftable(repo: &gix::Repository) -> Result<(), GitError> {
    let storage = repo.config_snapshot().string("extensions.refStorage");
    if storage.is_some_and(|storage| storage.eq_ignore_ascii_case(b"reftable")) {
        return Err(GitError(
            "this repository keeps its refs as a reftable, which is not supported; `git refs migrate \
             --ref-format=files` changes it, `actifix scan` without --staged and --history reads its files as they are"
                .to_owned(),
        ));
    }
    Ok(())
}
