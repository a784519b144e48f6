//! Where the repository lies and which files it has.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Folders of the root that hold no source: builds, git, and the home of a server run here.
const SKIPPED_IN_ROOT: &[&str] = &["target", ".git", "data", ".actifix"];
/// What a fuzz crate leaves behind, by the end of its path.
const SKIPPED_IN_FUZZ: &[&str] = &["fuzz/target", "fuzz/corpus", "fuzz/artifacts"];

/// More files than this under the root means that something was unpacked where it does not belong.
const FILES_MAX: usize = 20_000;

/// The repository, known by the folder of its root manifest.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Finds the root: the parent of this crate's folder, as cargo names it when it runs us.
    ///
    /// The folder compiled in is used when the program is started without cargo.
    pub fn locate() -> Result<Self> {
        let manifest_folder = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest_folder.parent().context("the xtask folder has no parent")?.to_path_buf();
        if !root.join("Cargo.toml").is_file() {
            bail!("no Cargo.toml in {}; run `cargo xtask` inside the repository", root.display());
        }
        Ok(Self { root })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo builds.
    pub fn target_folder(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.path("target"), PathBuf::from)
    }

    /// Absolute path of a file named relative to the root.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Text of a file named relative to the root.
    pub fn read(&self, relative: &str) -> Result<String> {
        fs::read_to_string(self.path(relative)).with_context(|| format!("cannot read {relative}"))
    }

    /// Relative paths, with `/`, of all files of the tree that could be sources or data; sorted.
    pub fn files(&self) -> Result<Vec<String>> {
        let mut files = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            let entries =
                fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
            for entry in entries {
                let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
                let kind = entry.file_type().context("cannot tell what a folder entry is")?;
                let relative = self.relative(&entry.path())?;
                if is_skipped(&relative) {
                    continue;
                }
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    files.push(relative);
                }
            }
            if files.len() > FILES_MAX {
                bail!("more than {FILES_MAX} files under the root; is something unpacked in the tree?");
            }
        }
        files.sort();
        Ok(files)
    }

    fn relative(&self, path: &Path) -> Result<String> {
        let relative = path.strip_prefix(&self.root).context("a file outside of the root")?;
        let text = relative.to_str().with_context(|| format!("{} is not UTF-8", relative.display()))?;
        Ok(text.replace('\\', "/"))
    }
}

/// In a git worktree `.git` is a file, so this is asked about files too.
fn is_skipped(relative: &str) -> bool {
    SKIPPED_IN_ROOT.contains(&relative)
        || SKIPPED_IN_FUZZ.iter().any(|end| relative.ends_with(end))
        || relative.ends_with("node_modules")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_are_skipped_and_sources_of_the_same_name_are_not() {
        assert!(is_skipped("target"));
        assert!(is_skipped(".git"));
        assert!(is_skipped("crates/actifix-protocol/fuzz/corpus"));
        assert!(!is_skipped("crates/actifix-domain/src/data"));
        assert!(!is_skipped("crates/actifix-secrets/src/target"));
    }

    #[test]
    fn the_walk_finds_this_file_by_its_relative_path() {
        let files = Workspace::locate().unwrap().files().unwrap();
        assert!(files.iter().any(|file| file == "xtask/src/workspace.rs"));
    }
}
