//! What must hold for a rule besides its trigger.

use super::Signal;
use crate::event::Level;
use crate::glob::Glob;
use crate::ticket::Priority;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Patterns of one condition.
const PATTERNS_MAX: usize = 20;
/// Tags that are asked for.
const TAGS_MAX: usize = 20;

/// All that are given must hold; of a list of patterns one must match. A signal without the field matches no pattern,
/// not even `*`; priority and level are not asked of signals about the installation, which have none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// At least this urgent: `P1` means P0 and P1.
    pub priority_min: Option<Priority>,
    /// At least this severe.
    pub level_min: Option<Level>,
    /// Environments, as globs.
    pub environment: Vec<String>,
    /// Releases, as globs.
    pub release: Vec<String>,
    /// Places of the failure (culprit), as globs.
    pub source: Vec<String>,
    /// Tags by name, as globs.
    pub tags: BTreeMap<String, String>,
}

impl Conditions {
    /// Whether the patterns can be read.
    ///
    /// # Errors
    /// What is wrong, for the person who wrote it.
    pub fn validate(&self) -> Result<(), String> {
        for (name, patterns) in
            [("environment", &self.environment), ("release", &self.release), ("source", &self.source)]
        {
            if patterns.len() > PATTERNS_MAX {
                return Err(format!("{name}: at most {PATTERNS_MAX} patterns"));
            }
            for pattern in patterns {
                Glob::parse(pattern, true).map_err(|why| format!("{name}: {why}"))?;
            }
        }
        if self.tags.len() > TAGS_MAX {
            return Err(format!("tags: at most {TAGS_MAX}"));
        }
        for (key, pattern) in &self.tags {
            if key.is_empty() || key.chars().count() > 200 {
                return Err("tags: a name of 1 to 200 characters".to_owned());
            }
            Glob::parse(pattern, true).map_err(|why| format!("tags: {why}"))?;
        }
        Ok(())
    }

    /// Whether all of them hold.
    pub fn hold(&self, signal: &Signal) -> bool {
        // A lower number is more urgent.
        let urgent = match (self.priority_min, signal.priority) {
            (Some(least), Some(priority)) => priority <= least,
            _ => true,
        };
        let severe = match (self.level_min, signal.level) {
            (Some(least), Some(level)) => level >= least,
            _ => true,
        };
        urgent
            && severe
            && any(&self.environment, signal.environment.as_deref())
            && any(&self.release, signal.release.as_deref())
            && any(&self.source, Some(signal.culprit.as_str()).filter(|text| !text.is_empty()))
            && self
                .tags
                .iter()
                .all(|(key, pattern)| signal.tags.get(key).is_some_and(|value| matches(pattern, value)))
    }
}

fn any(patterns: &[String], text: Option<&str>) -> bool {
    patterns.is_empty() || text.is_some_and(|text| patterns.iter().any(|pattern| matches(pattern, text)))
}

fn matches(pattern: &str, text: &str) -> bool {
    Glob::parse(pattern, true).is_ok_and(|glob| glob.matches(text))
}
