//! What one thread, or a whole run, has found. Bounded: beyond the bounds only counters move.

use super::{DROPPED_MAX, Dropped, HITS_MAX, Hit, NOTES_MAX};
use std::collections::HashMap;

/// Counters of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files, blobs or streams that were looked at.
    pub files: u64,
    /// Bytes that went through the engine.
    pub bytes: u64,
    /// Of these, files that hold no text: what is text in them was searched for tokens of known formats only.
    pub binary: u64,
    /// Files that the configuration leaves out; nobody looked into them.
    pub skipped: u64,
    /// Pipes, sockets and devices; nobody looked into them.
    pub special: u64,
    /// Submodules: only their commit id belongs to this repository.
    pub submodules: u64,
    /// Files that were only moved: what is in them was committed before.
    pub moved: u64,
    /// Commits of a history.
    pub commits: u64,
    /// Commits that a former scan has read, with the same rules.
    pub commits_known: u64,
    /// Findings suppressed by an inline marker.
    pub allowed_inline: u64,
    /// Findings suppressed by the configuration.
    pub allowed_config: u64,
    /// Findings suppressed by the baseline.
    pub baselined: u64,
    /// Findings beyond [`HITS_MAX`].
    pub hits_more: u64,
    /// Remarks beyond [`NOTES_MAX`].
    pub notes_more: u64,
    /// Things that could not be read: the scan is not complete.
    pub unread: u64,
}

/// Findings, dropped candidates, remarks and counters.
#[derive(Debug, Default)]
pub struct Batch {
    /// What a person has to see.
    pub hits: Vec<Hit>,
    /// What was dropped, when asked for.
    pub dropped: Vec<Dropped>,
    /// Remarks for standard error.
    pub notes: Vec<String>,
    /// Counters.
    pub totals: Totals,
}

impl Batch {
    /// Adds a finding.
    pub fn hit(&mut self, hit: Hit) {
        if self.hits.len() < HITS_MAX {
            self.hits.push(hit);
        } else {
            self.totals.hits_more += 1;
        }
    }

    /// Adds a dropped candidate.
    pub fn drop_candidate(&mut self, hit: Hit, reason: impl Into<String>) {
        if self.dropped.len() < DROPPED_MAX {
            self.dropped.push(Dropped { hit, reason: reason.into() });
        }
    }

    /// Adds a remark that does not make the scan incomplete.
    pub fn note(&mut self, text: impl Into<String>) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(text.into());
        } else {
            self.totals.notes_more += 1;
        }
    }

    /// Adds a remark on something that could not be read: the scan is then an error, unless it has findings.
    pub fn unread(&mut self, text: impl Into<String>) {
        self.totals.unread += 1;
        self.note(text);
    }

    /// Takes all of another one.
    pub fn merge(&mut self, other: Self) {
        for hit in other.hits {
            self.hit(hit);
        }
        for dropped in other.dropped {
            self.drop_candidate(dropped.hit, dropped.reason);
        }
        for note in other.notes {
            self.note(note);
        }
        let (to, from) = (&mut self.totals, other.totals);
        to.files += from.files;
        to.bytes += from.bytes;
        to.binary += from.binary;
        to.skipped += from.skipped;
        to.special += from.special;
        to.submodules += from.submodules;
        to.moved += from.moved;
        to.commits += from.commits;
        to.commits_known += from.commits_known;
        to.allowed_inline += from.allowed_inline;
        to.allowed_config += from.allowed_config;
        to.baselined += from.baselined;
        to.hits_more += from.hits_more;
        to.notes_more += from.notes_more;
        to.unread += from.unread;
    }

    /// Sorts by place, so that two runs print the same, and keeps the oldest of equal findings in a history.
    pub fn settle(&mut self) {
        let mut first: HashMap<String, u64> = HashMap::new();
        for hit in &self.hits {
            if let Some(commit) = &hit.commit {
                let oldest = first.entry(hit.fingerprint.clone()).or_insert(commit.order);
                *oldest = commit.order.min(*oldest);
            }
        }
        self.hits.retain(|hit| {
            hit.commit
                .as_ref()
                .is_none_or(|commit| first.get(&hit.fingerprint).is_none_or(|oldest| *oldest == commit.order))
        });
        self.hits.sort_by(by_place);
        self.hits.dedup_by(|a, b| by_place(a, b).is_eq());
        self.dropped.sort_by(|a, b| by_place(&a.hit, &b.hit));
        self.notes.sort();
        self.notes.dedup();
    }
}

/// The order of findings. Those of a history can share a place; then the older one comes first.
fn by_place(a: &Hit, b: &Hit) -> std::cmp::Ordering {
    let order = |hit: &Hit| hit.commit.as_ref().map_or(0, |commit| commit.order);
    (&a.path, a.part, a.line, a.column, &a.rule, order(a), &a.fingerprint).cmp(&(
        &b.path,
        b.part,
        b.line,
        b.column,
        &b.rule,
        order(b),
        &b.fingerprint,
    ))
}
