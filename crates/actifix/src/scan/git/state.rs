//! What was scanned before, so that the next scan of a history costs what is new.
//!
//! It lies in the folder that all working trees of the repository share. It names the commits whose whole history was
//! scanned with the same rules, and the blobs in which something was found: those are scanned again, so that two scans
//! report the same. It holds no value and no hash of one.

use super::GitError;
use gix::ObjectId;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Findings remembered; with more of them nothing is remembered, and the next scan is a whole one.
pub const HITS_MAX: usize = super::super::HITS_MAX;
/// Larger files are not ours.
const STATE_BYTES_MAX: u64 = 16 << 20;
/// Version of the format.
const VERSION: u32 = 2;

/// What one whole scan leaves.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    version: u32,
    /// Hash of everything that decides what a scan reports, hex.
    rules: String,
    /// Commits; each with all that they reach is scanned.
    pub tips: Vec<String>,
    /// Commits scanned so far: the next one gets this number.
    pub commits: u64,
    /// Where something was found.
    pub hits: Vec<Known>,
}

/// A blob, commit message or name to scan again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Hex id; of the commit itself for its message and for names that it brought in.
    pub object: String,
    /// The commit that brought it in.
    pub commit: String,
    /// Bytes of the path in hex: names are not always text.
    pub path: String,
    /// Number of the commit: a secret is told where it came in.
    pub order: u64,
}

impl State {
    pub fn new(rules: &[u8; 32], tips: &[ObjectId], commits: u64, mut hits: Vec<Known>) -> Self {
        hits.sort();
        hits.dedup();
        let tips = tips.iter().map(|tip| tip.to_hex().to_string()).collect();
        Self { version: VERSION, rules: hex::encode(rules), tips, commits, hits }
    }

    /// The state of an earlier scan with the same rules. None if there is none, or if it is of no use: it only saves
    /// work.
    pub fn load(common_dir: &Path, rules: &[u8; 32]) -> Option<Self> {
        let path = file(common_dir);
        let meta = std::fs::symlink_metadata(&path).ok()?;
        if !meta.is_file() || meta.len() > STATE_BYTES_MAX {
            return None;
        }
        let state: Self = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
        (state.version == VERSION && state.rules == hex::encode(rules)).then_some(state)
    }

    /// Keeps it for the next scan.
    pub fn save(&self, common_dir: &Path) -> Result<(), GitError> {
        let path = file(common_dir);
        let text = serde_json::to_vec(self).map_err(|error| GitError::new("scan state", error))?;
        let folder = path.parent().unwrap_or(common_dir);
        crate::files::private_dir(folder)
            .and_then(|()| crate::files::replace(&path, &text))
            .map_err(|error| GitError::new(path.display(), error))
    }
}

fn file(common_dir: &Path) -> PathBuf {
    common_dir.join("actifix").join("scanned.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_of_other_rules_or_of_somebody_else_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let known =
            Known { object: "aa".to_owned(), commit: "bb".to_owned(), path: hex::encode(b"a\xff"), order: 7 };
        let state = State::new(&[1; 32], &[], 9, vec![known.clone(), known]);
        state.save(dir.path()).unwrap();
        let loaded = State::load(dir.path(), &[1; 32]).unwrap();
        assert_eq!(loaded, state);
        assert_eq!(loaded.hits.len(), 1);
        assert_eq!(hex::decode(&loaded.hits[0].path).unwrap(), b"a\xff");
        assert_eq!(State::load(dir.path(), &[2; 32]), None);
        std::fs::write(file(dir.path()), "{}").unwrap();
        assert_eq!(State::load(dir.path(), &[1; 32]), None);
    }
}
