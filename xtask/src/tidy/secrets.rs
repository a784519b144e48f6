//! No complete secret and no path of somebody's machine in the tree.
//!
//! Scanners of code hosts, and people, cannot tell a sample from a leak. Samples in sources are put
//! together at run time; whole ones lie under `testdata`, which is marked as such.

use std::sync::LazyLock;

use anyhow::{Context, Result};
use regex::Regex;

use super::Finding;
use super::source::{SourceFile, TextFile};

const RULE_SECRET: &str = "secret-literal";
const RULE_PATH: &str = "machine-path";

/// Shapes that are secrets by themselves: name, pattern. Linear-time, ASCII, each with its own prefix.
const SHAPES: &[(&str, &str)] = &[
    ("AWS access key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    ("GitHub token", r"\bgh[pousr]_[0-9A-Za-z]{36}"),
    ("GitHub token", r"\bgithub_pat_[0-9A-Za-z_]{40}"),
    ("GitLab token", r"\bglpat-[0-9A-Za-z_-]{20}"),
    ("Stripe key", r"\b[sr]k_(?:live|test)_[0-9A-Za-z]{16}"),
    ("Slack token", r"\bxox[abeoprs]-[0-9A-Za-z-]{16}"),
    ("Slack webhook", r"hooks\.slack\.com/services/T[0-9A-Z]{6,}/B[0-9A-Z]{6,}/[0-9A-Za-z]{16}"),
    ("Google API key", r"\bAIza[0-9A-Za-z_-]{35}"),
    ("OpenAI key", r"\bsk-(?:proj-|svcacct-)?[0-9A-Za-z_-]{32}"),
    ("Anthropic key", r"\bsk-ant-[0-9A-Za-z_-]{24}"),
    ("npm token", r"\bnpm_[0-9A-Za-z]{36}"),
    ("PyPI token", r"\bpypi-AgE[0-9A-Za-z_-]{32}"),
    ("SendGrid key", r"\bSG\.[0-9A-Za-z_-]{20,24}\.[0-9A-Za-z_-]{40}"),
    ("Twilio key", r"\b(?:SK|AC)[0-9a-f]{32}\b"),
    ("JSON web token", r"\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10}"),
    ("age key", r"\bAGE-SECRET-KEY-1[0-9A-Z]{58}"),
    ("private key", r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY-----"),
];

/// Folders that exist on one machine only.
const MACHINE_PATH: &str = r"(?:^|[^0-9A-Za-z_.~/-])(/(?:work|root)/[0-9A-Za-z_.-]+)";
const HOME_PATH: &str = r"(?:^|[^0-9A-Za-z_.~/-])(/(?:home|Users)/[0-9A-Za-z_.-]+)";

/// Secrets and machine paths in any text file but captured data.
pub fn check(file: &TextFile) -> Vec<Finding> {
    if file.is_testdata() {
        return Vec::new();
    }
    let Ok(patterns) = patterns() else {
        let message = "a pattern of this rule does not compile; see its tests";
        return vec![Finding::new("xtask/src/tidy/secrets.rs", 1, RULE_SECRET, message)];
    };
    let mut findings = Vec::new();
    for (name, pattern) in &patterns.shapes {
        // What vendors print in their documentation ends in EXAMPLE and opens nothing.
        for found in pattern.find_iter(&file.text).filter(|found| !found.as_str().ends_with("EXAMPLE")) {
            let why = format!("looks like a {name}; put it together at run time, or keep it under testdata");
            findings.push(Finding::new(&file.path, line_of(&file.text, found.start()), RULE_SECRET, why));
        }
    }
    findings.extend(machine_paths(file, patterns));
    findings
}

fn machine_paths(file: &TextFile, patterns: &Patterns) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut push = |at, path: &str| {
        let why =
            format!("`{path}` exists on one machine only; name it relative to the repository or the home");
        findings.push(Finding::new(&file.path, line_of(&file.text, at), RULE_PATH, why));
    };
    for found in patterns.machine_path.captures_iter(&file.text).filter_map(|captures| captures.get(1)) {
        push(found.start(), found.as_str());
    }
    // Tests of stack traces name homes of people who do not exist; elsewhere a home is somebody's.
    let source = file.path.ends_with(".rs").then(|| SourceFile::new(&file.path, &file.text));
    for found in patterns.home_path.captures_iter(&file.text).filter_map(|captures| captures.get(1)) {
        if !source.as_ref().is_some_and(|source| source.is_test_at(found.start())) {
            push(found.start(), found.as_str());
        }
    }
    findings
}

struct Patterns {
    shapes: Vec<(&'static str, Regex)>,
    machine_path: Regex,
    home_path: Regex,
}

fn patterns() -> std::result::Result<&'static Patterns, &'static anyhow::Error> {
    static PATTERNS: LazyLock<Result<Patterns>> = LazyLock::new(|| {
        let compile = |pattern: &str| Regex::new(pattern).with_context(|| format!("pattern {pattern}"));
        let shapes = SHAPES.iter().map(|(name, pattern)| Ok((*name, compile(pattern)?)));
        Ok(Patterns {
            shapes: shapes.collect::<Result<_>>()?,
            machine_path: compile(MACHINE_PATH)?,
            home_path: compile(HOME_PATH)?,
        })
    });
    PATTERNS.as_ref()
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        let file = TextFile { path: path.to_owned(), text: text.to_owned() };
        check(&file).iter().map(|finding| (finding.rule, finding.line)).collect()
    }

    #[test]
    fn a_documented_example_is_no_secret() {
        assert_eq!(rules("a.toml", &format!("k = \"AK{}IOSFODNN7EXAMPLE\"", "IA")), []);
    }

    /// One whole sample per shape, put together here so that this file holds none.
    fn samples() -> Vec<(&'static str, String)> {
        let (digits, letters) = ("0123456789", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP");
        let long = format!("{digits}{letters}");
        let cut = |count: usize| long.chars().cycle().take(count).collect::<String>();
        let upper = |count: usize| cut(count).to_ascii_uppercase();
        vec![
            ("AWS access key", format!("AK{}{}", "IA", upper(16))),
            ("GitHub token", format!("gh{}_{}", "p", cut(36))),
            ("GitHub token", format!("github_{}_{}", "pat", cut(60))),
            ("GitLab token", format!("gl{}-{}", "pat", cut(20))),
            ("Stripe key", format!("sk_{}_{}", "live", cut(24))),
            ("Slack token", format!("xo{}-{}", "xb", cut(30))),
            (
                "Slack webhook",
                format!("https://hooks.slack.com/{}/T0000000/B0000000/{}", "services", cut(24)),
            ),
            ("Google API key", format!("AI{}{}", "za", cut(35))),
            ("OpenAI key", format!("sk-{}-{}", "proj", cut(48))),
            ("Anthropic key", format!("sk-{}-{}", "ant", cut(40))),
            ("npm token", format!("np{}_{}", "m", cut(36))),
            ("PyPI token", format!("py{}-AgE{}", "pi", cut(40))),
            ("SendGrid key", format!("S{}.{}.{}", "G", cut(22), cut(43))),
            ("Twilio key", format!("S{}{}", "K", "0a".repeat(16))),
            ("JSON web token", format!("ey{0}{1}.ey{0}{1}.{1}", "J", cut(20))),
            ("age key", format!("AGE-{}-KEY-1{}", "SECRET", upper(58))),
            ("private key", format!("-----BEGIN RSA {} KEY-----", "PRIVATE")),
        ]
    }

    #[test]
    fn every_shape_is_found_and_named() {
        let samples = samples();
        assert_eq!(samples.len(), SHAPES.len());
        for ((name, _), (sample_name, sample)) in SHAPES.iter().zip(&samples) {
            assert_eq!(name, sample_name);
            let file = TextFile { path: "docs/a.md".to_owned(), text: format!("one\nkey = \"{sample}\"\n") };
            let findings = check(&file);
            assert!(
                findings.iter().any(|finding| finding.line == 2 && finding.message.contains(name)),
                "{name}: {findings:?}"
            );
        }
    }

    #[test]
    fn captured_data_may_hold_whole_samples() {
        let (_, sample) = samples().swap_remove(0);
        assert_eq!(rules("testdata/sentry/a.http", &sample), []);
        assert_eq!(rules("crates/a/testdata/b.json", &sample), []);
    }

    #[test]
    fn patterns_prefixes_and_masked_values_are_no_secrets() {
        for text in [
            "AKIA[0-9A-Z]{16}",
            "keywords = [\"ghp_\", \"xoxb-\", \"sk_live_\"]",
            "-----BEGIN (?:RSA )?PRIVATE KEY-----",
            "AKIA****************",
            "task-list-item-with-a-rather-long-name-indeed",
            "checksum = \"0a0caa6ff3beabf0df34c091c4a3e11b0a0caa6ff3beabf0df34c091c4a3e11b\"",
        ] {
            assert_eq!(rules("crates/a/src/b.rs", text), [], "{text}");
        }
    }

    #[test]
    fn machine_paths_are_found_wherever_they_stand() {
        for (folder, name) in [("work", "main"), ("root", ".cargo"), ("home", "ann"), ("Users", "ann")] {
            let path = format!("/{folder}/{name}");
            assert_eq!(rules("docs/a.md", &format!("a\nsee `{path}/x`")), [(RULE_PATH, 2)], "{path}");
        }
        assert_eq!(
            rules("docs/a.md", "ask /etc/actifix.toml, a/work/b, ~/work/c, https://x/home/y, /homework"),
            []
        );
    }

    #[test]
    fn tests_may_name_homes_but_not_the_machine() {
        let home = format!("let a = \"/{}/ann/app.py\";", "home");
        assert_eq!(rules("crates/a/tests/it/b.rs", &home), []);
        assert_eq!(rules("crates/a/src/b.rs", &format!("#[cfg(test)]\nmod tests {{\n{home}\n}}")), []);
        assert_eq!(rules("crates/a/src/b.rs", &home), [(RULE_PATH, 1)]);
        assert_eq!(rules("crates/a/tests/it/b.rs", &format!("\"/{}/x\"", "work")), [(RULE_PATH, 1)]);
    }
}
