//! The user's configuration of the scanner: own rules, rules switched off, places and findings that are accepted.
//!
//! Rules stand in it in the format of the built-in ones. A configuration inside a scanned tree changes what a local
//! scan reports; a server's hook takes only the file that its administrator names.

use actifix_secrets::{Engine, RuleError, RuleSource};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file that is read when it lies in the root of the scan.
pub const CONFIG_NAME: &str = ".actifix-scan.toml";
/// Larger configurations are refused.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// More entries are refused.
const ALLOW_MAX: usize = 1_000;
/// More patterns in one entry are refused.
const PATHS_MAX: usize = 1_000;

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{path}: {problem}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It is no TOML, or has a key that means nothing.
    #[error("{path}:{line}: {problem}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A rule is broken.
    #[error(transparent)]
    Rule(#[from] RuleError),
}

/// A compiled configuration.
#[derive(Debug)]
pub struct Config {
    /// The rules: built-in ones and the user's.
    pub engine: Arc<Engine>,
    /// A baseline that is always used.
    pub baseline: Option<PathBuf>,
    /// What it switches off or accepts, one phrase each.
    off: Vec<String>,
    allow: Vec<Allow>,
    /// Text of the file, for the hash of the rule set.
    text: String,
}

/// One accepted thing.
#[derive(Debug)]
struct Allow {
    rule: Option<String>,
    paths: Option<Gitignore>,
    fingerprints: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "the engine reads the fields of rules; here they are only known names")]
struct File {
    #[serde(default)]
    allow: Vec<toml::Spanned<RawAllow>>,
    baseline: Option<PathBuf>,
    #[serde(default)]
    rule: Vec<toml::Value>,
    #[serde(default)]
    disable: Vec<String>,
    vendor: Option<toml::Value>,
    fix: Option<toml::Value>,
    unbroken: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAllow {
    rule: Option<String>,
    paths: Option<Vec<String>>,
    #[serde(default)]
    fingerprints: Vec<String>,
    reason: String,
}

impl Config {
    /// The built-in rules and nothing accepted.
    pub fn builtin() -> Self {
        Self {
            engine: Engine::builtin(),
            baseline: None,
            off: Vec::new(),
            allow: Vec::new(),
            text: String::new(),
        }
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// The file cannot be read, means nothing, or holds a broken rule; with file and line.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let fail = |problem: String| ConfigError::Read { path: path.to_owned(), problem };
        let meta = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?;
        if !meta.is_file() || meta.len() > CONFIG_BYTES_MAX {
            return Err(fail(format!("is no file of at most {CONFIG_BYTES_MAX} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        Self::parse(path, text)
    }

    /// Parses a configuration; `path` is for messages and what is relative to it.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(path: &Path, text: String) -> Result<Self, ConfigError> {
        let fail = |offset: usize, problem: String| ConfigError::Parse {
            path: path.to_owned(),
            line: 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count(),
            problem,
        };
        let file: File = toml::from_str(&text)
            .map_err(|error| fail(error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
        if file.allow.len() > ALLOW_MAX {
            return Err(fail(0, format!("more than {ALLOW_MAX} allow entries")));
        }
        let mut off: Vec<String> = file.disable.iter().map(|rule| format!("rule {rule}")).collect();
        off.extend(file.allow.iter().map(|entry| entry.as_ref().phrase()));
        off.extend(file.baseline.iter().map(|path| format!("what the baseline {} names", path.display())));
        let mut allow = Vec::new();
        for entry in file.allow {
            let offset = entry.span().start;
            allow.push(Allow::build(entry.into_inner()).map_err(|problem| fail(offset, problem))?);
        }
        let engine = if file.rule.is_empty() && file.disable.is_empty() {
            Engine::builtin()
        } else {
            let name = path.display().to_string();
            Arc::new(Engine::from_rules(&[RuleSource { name, text: rules_only(&text) }])?)
        };
        for entry in &allow {
            if let Some(rule) = &entry.rule
                && !engine.rules().any(|known| known.id() == rule)
            {
                let offset = text.find(rule.as_str()).unwrap_or(0);
                return Err(fail(offset, format!("there is no rule `{rule}`")));
            }
        }
        let baseline = file.baseline.map(|baseline| path.parent().unwrap_or(Path::new(".")).join(baseline));
        Ok(Self { engine, baseline, off, allow, text })
    }

    /// What it switches off or accepts, one phrase each.
    pub fn off(&self) -> &[String] {
        &self.off
    }

    /// Whether a whole file is accepted, whatever is in it: it then need not be read.
    pub fn skips(&self, path: &[u8]) -> bool {
        self.allow
            .iter()
            .any(|entry| entry.rule.is_none() && entry.fingerprints.is_empty() && entry.covers_path(path))
    }

    /// Whether a finding is accepted.
    pub fn allows(&self, rule: &str, path: &[u8], fingerprint: &str) -> bool {
        self.allow.iter().any(|entry| {
            entry.rule.as_deref().is_none_or(|wanted| wanted == rule)
                && entry.covers_path(path)
                && (entry.fingerprints.is_empty() || entry.fingerprints.iter().any(|one| one == fingerprint))
        })
    }

    /// Changes when anything does that decides what a scan reports: rules, this file, the program.
    pub fn rules_hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
        hasher.update(&Engine::builtin_hash());
        hasher.update(self.text.as_bytes());
        *hasher.finalize().as_bytes()
    }
}

impl RawAllow {
    /// What the entry accepts, in words.
    fn phrase(&self) -> String {
        let what = match (&self.rule, self.fingerprints.len()) {
            (None, 0) => "everything".to_owned(),
            (None, 1) => "1 finding".to_owned(),
            (None, count) => format!("{count} findings"),
            (Some(rule), 0) => format!("rule {rule}"),
            (Some(rule), count) => format!("rule {rule} ({count} by fingerprint)"),
        };
        match &self.paths {
            Some(paths) => format!("{what} in {}", paths.join(", ")),
            None => what,
        }
    }
}

impl Allow {
    fn build(raw: RawAllow) -> Result<Self, String> {
        if raw.reason.trim().len() < 3 {
            return Err("an allow entry needs a reason".to_owned());
        }
        if raw.rule.is_none() && raw.paths.is_none() && raw.fingerprints.is_empty() {
            return Err(
                "an allow entry needs a rule, paths or fingerprints; without them it would allow everything"
                    .to_owned(),
            );
        }
        let paths = match &raw.paths {
            Some(patterns) => Some(compile(patterns)?),
            None => None,
        };
        Ok(Self { rule: raw.rule, paths, fingerprints: raw.fingerprints })
    }

    fn covers_path(&self, path: &[u8]) -> bool {
        use std::os::unix::ffi::OsStrExt;
        let Some(paths) = &self.paths else { return true };
        // The matcher wants a path below its root; one with a root is outside of it.
        if path.first() == Some(&b'/') {
            return false;
        }
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        paths.matched_path_or_any_parents(path, false).is_ignore()
    }
}

/// Patterns as in `.gitignore`.
fn compile(patterns: &[String]) -> Result<Gitignore, String> {
    if patterns.is_empty() || patterns.len() > PATHS_MAX {
        return Err(format!("paths must hold 1 to {PATHS_MAX} patterns"));
    }
    let mut builder = GitignoreBuilder::new("");
    for pattern in patterns {
        builder.add_line(None, pattern).map_err(|error| format!("pattern `{pattern}`: {error}"))?;
    }
    builder.build().map_err(|error| error.to_string())
}

/// The text without what is not about rules, on the same lines: the engine names lines in its errors.
fn rules_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut other = false;
    let mut top = true;
    for line in text.lines() {
        let start = line.trim();
        if start.starts_with("[[") {
            other = start.starts_with("[[allow]]");
            top = false;
        }
        let ours = other || (top && start.starts_with("baseline"));
        if !ours {
            out.push_str(line);
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("conf/scan.toml"), text.to_owned())
    }

    const FULL: &str = r#"
baseline = "known.json"
disable = ["jwt"]

[[allow]]
paths = ["testdata/", "*.lock"]
reason = "made for the tests"

[[allow]]
rule = "password"
paths = ["docs/**"]
reason = "examples"

[[rule]]
id = "acme_token"
description = "Token of the Acme service"
severity = "high"
keywords = ["acme_"]
pattern = 'acme_[a-z0-9]{20}'
"#;

    #[test]
    fn rules_and_exceptions_stand_in_one_file() {
        let config = parse(FULL).unwrap();
        assert_eq!(config.baseline.as_deref(), Some(Path::new("conf/known.json")));
        assert!(config.engine.rules().any(|rule| rule.id() == "acme_token"));
        assert!(!config.engine.rules().any(|rule| rule.id() == "jwt"));
        assert!(
            config.skips(b"testdata/a/b.json")
                && config.skips(b"x/testdata/b")
                && config.skips(b"Cargo.lock")
        );
        assert!(
            !config.skips(b"docs/a.md") && !config.skips(b"src/testdata.rs") && !config.skips(b"/testdata/x")
        );
        assert!(config.allows("password", b"docs/a.md", "f") && !config.allows("api_key", b"docs/a.md", "f"));
    }

    #[test]
    fn what_is_wrong_is_said_with_file_and_line() {
        let broken = FULL.replace("acme_[a-z0-9]{20}", "acme_[a-z");
        assert!(
            parse(&broken).unwrap_err().to_string().starts_with("conf/scan.toml:19:"),
            "{:?}",
            parse(&broken)
        );
        let unknown = FULL.replace("rule = \"password\"", "rule = \"pasword\"");
        let text = parse(&unknown).unwrap_err().to_string();
        assert_eq!(text, "conf/scan.toml:10: there is no rule `pasword`");
        assert!(
            parse("[[allow]]\nreason = \"why not\"").unwrap_err().to_string().contains("allow everything")
        );
        assert!(
            parse("[[allow]]\npaths = [\"x\"]\nreason = \"\"").unwrap_err().to_string().contains("a reason")
        );
        assert!(
            parse("[[allow]]\npaths = [\"x\"]\nreasons = \"abc\"").unwrap_err().to_string().contains(":3:")
        );
    }

    #[test]
    fn the_hash_changes_with_the_rules() {
        assert_ne!(parse(FULL).unwrap().rules_hash(), Config::builtin().rules_hash());
        assert_eq!(Config::builtin().rules_hash(), Config::builtin().rules_hash());
    }
}
