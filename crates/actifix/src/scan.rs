//! The scanner: finds secrets in trees, commits, histories and streams with the engine that also redacts events.
//!
//! What is here reads files and git objects and decides which candidates of the engine a person has to see. Values
//! never leave: a [`Hit`] holds a mask and a hash.

mod allow;
mod baseline;
mod batch;
mod config;
mod content;
pub mod git;
mod inspect;
mod lines;
mod names;
mod progress;
mod report;
mod runs;
mod stream;
mod tree;
mod wide;

pub use baseline::Baseline;
pub use batch::Batch;
pub use config::{CONFIG_NAME, Config};
pub use inspect::{Place, Scanner, View};
pub use names::printable;
pub use progress::Progress;
pub use report::{Format, write};
pub use stream::scan_reader;
pub use tree::{Trees, scan_trees};

use actifix_secrets::Severity;
use std::sync::Arc;

/// Findings kept in one run; more are counted, the exit code knows of them.
pub const HITS_MAX: usize = 10_000;
/// Remarks (a pipe skipped, a file unreadable) kept in one run; more are counted.
pub const NOTES_MAX: usize = 200;
/// Dropped candidates told by `--explain`.
pub const DROPPED_MAX: usize = 10_000;

/// Shorter names hold no token.
pub const NAME_BYTES_MIN: usize = runs::CHARS_MIN;

/// A secret, where it stands, and what to do. Never the value.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Stable id of the rule.
    pub rule: Arc<str>,
    /// How bad it is here; can differ from the rule's own.
    pub severity: Severity,
    /// Path as bytes, `/` between its parts, relative to the root of the scan. A secret in it is masked.
    pub path: Arc<[u8]>,
    /// What of the file holds it.
    pub part: Part,
    /// Counted from 1.
    pub line: u64,
    /// In characters, counted from 1.
    pub column: u64,
    /// Line of the last character.
    pub end_line: u64,
    /// Column after the last character.
    pub end_column: u64,
    /// At most the first four characters.
    pub masked: String,
    /// Hash over rule, path and value, 24 hex digits. No line: it survives edits around the secret.
    pub fingerprint: String,
    /// The commit that brought it in, when a history was read.
    pub commit: Option<Arc<Origin>>,
}

/// What of a file, a branch or a tag holds a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What is in it.
    Content,
    /// Its name.
    Name,
}

/// Where in a history something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Hex id of the commit.
    pub id: String,
    /// Time of the commit, seconds since 1970.
    pub seconds: i64,
    /// Place in the history: a commit's number is higher than its parents'. Clocks lie, and many commits share a second.
    pub order: u64,
}

/// A candidate that was dropped, and why.
#[derive(Clone, Debug)]
pub struct Dropped {
    /// What it would have been.
    pub hit: Hit,
    /// One phrase.
    pub reason: String,
}
