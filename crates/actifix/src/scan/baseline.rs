//! A baseline: findings that were there before and are accepted for now, by content, so that it survives edits.

use super::{Batch, Hit, names};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// Larger baselines are refused.
const BASELINE_BYTES_MAX: u64 = 64 << 20;
/// Version of the format.
const VERSION: u32 = 1;

/// Accepted findings by fingerprint.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    version: u32,
    findings: BTreeMap<String, Entry>,
}

/// What a person reading the baseline wants to know; never the value.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    rule: String,
    path: String,
    masked: String,
}

impl Baseline {
    /// Reads a baseline.
    ///
    /// # Errors
    /// One line: the file cannot be read or is no baseline.
    pub fn read(path: &Path) -> Result<Self, String> {
        let fail = |problem: String| format!("baseline {}: {problem}", path.display());
        let meta = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?;
        if !meta.is_file() || meta.len() > BASELINE_BYTES_MAX {
            return Err(fail(format!("is no file of at most {BASELINE_BYTES_MAX} bytes")));
        }
        let bytes = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
        let baseline: Self = serde_json::from_slice(&bytes).map_err(|error| fail(error.to_string()))?;
        if baseline.version != VERSION {
            return Err(fail(format!("has version {}, this program knows {VERSION}", baseline.version)));
        }
        Ok(baseline)
    }

    /// Accepts all findings of a scan.
    pub fn of(hits: &[Hit]) -> Self {
        let findings = hits
            .iter()
            .map(|hit| {
                let entry = Entry {
                    rule: hit.rule.to_string(),
                    path: names::printable(&hit.path),
                    masked: hit.masked.clone(),
                };
                (hit.fingerprint.clone(), entry)
            })
            .collect();
        Self { version: VERSION, findings }
    }

    /// The file's text.
    ///
    /// # Errors
    /// Never in practice: the format has string keys only.
    pub fn to_text(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.findings.len()
    }

    /// Takes accepted findings out of a batch. Gives the entries that met nothing, one line each, when the scan saw
    /// everything (`whole`): then the secret is gone and the entry can go as well.
    pub fn apply(&self, batch: &mut Batch, whole: bool) -> Vec<String> {
        let mut used = HashSet::new();
        batch.hits.retain(|hit| {
            let known = self.findings.contains_key(&hit.fingerprint);
            if known {
                used.insert(hit.fingerprint.clone());
                batch.totals.baselined += 1;
            }
            !known
        });
        if !whole {
            return Vec::new();
        }
        self.findings
            .iter()
            .filter(|(fingerprint, _)| !used.contains(*fingerprint))
            .map(|(fingerprint, entry)| format!("{fingerprint} ({} in {})", entry.rule, entry.path))
            .collect()
    }
}
