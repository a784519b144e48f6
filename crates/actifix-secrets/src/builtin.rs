//! The built-in rules, as the build script left them: a process that scans eight lines must not read 120 KB of TOML.
use crate::rule::{Leads, RawRule, RuleFile};

mod files;

/// The rule files one after the other, as JSON.
pub(crate) const RULES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/rules.json"));

/// The files with their names, in the order they are read.
///
/// # Errors
/// The build was broken; a test reads them.
pub(crate) fn files() -> Result<impl Iterator<Item = File>, serde_json::Error> {
    let files: Vec<(RuleFile<RawRule<String>>, Vec<Leads>)> = serde_json::from_slice(RULES)?;
    Ok(files::RULE_FILES.iter().zip(files).map(|(name, (rules, leads))| File { name, rules, leads }))
}

/// A file with what the build script read in its patterns.
pub(crate) struct File {
    pub name: &'static str,
    pub rules: RuleFile<RawRule<String>>,
    /// One for each rule.
    pub leads: Vec<Leads>,
}
