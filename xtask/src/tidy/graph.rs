//! The crate graph, exactly as ARCHITECTURE.md draws it.

use anyhow::{Context, Result};
use toml::Table;

use super::Finding;
use crate::workspace::Workspace;

const RULE_GRAPH: &str = "crate-graph";
const RULE_PURE: &str = "pure-dependency";
const RULE_EDGE: &str = "edge-dependency";
const RULE_MANIFEST: &str = "manifest";

/// Each crate with those of ours that it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("actifix-domain", &[]),
    ("actifix-secrets", &[]),
    ("actifix-protocol", &["actifix-domain"]),
    ("actifix-app", &["actifix-domain", "actifix-protocol", "actifix-secrets"]),
    ("actifix-store", &["actifix-app", "actifix-domain"]),
    ("actifix-web", &["actifix-app", "actifix-domain"]),
    (
        "actifix",
        &[
            "actifix-app",
            "actifix-domain",
            "actifix-protocol",
            "actifix-secrets",
            "actifix-store",
            "actifix-web",
        ],
    ),
    ("actifix-testkit", &["actifix-app", "actifix-domain", "actifix-secrets"]),
    ("xtask", &[]),
];

/// Crates whose tests may use the testkit: it stands on the application, so the pure ones cannot.
const TESTKIT: &str = "actifix-testkit";
const TESTKIT_USERS: &[&str] = &["actifix-app", "actifix-store", "actifix-web", "actifix"];

const PURE_CRATES: &[&str] = &["actifix-domain", "actifix-protocol", "actifix-secrets"];

/// Runtimes, I/O, clocks and randomness: what a pure crate must not have, even unused.
const IMPURE_DEPENDENCIES: &[&str] = &[
    "async-std",
    "async-trait",
    "axum",
    "chrono",
    "crossbeam-channel",
    "deadpool-postgres",
    "fastrand",
    "futures",
    "futures-util",
    "getrandom",
    "gix",
    "hyper",
    "hyper-util",
    "ignore",
    "keyring",
    "lettre",
    "libc",
    "memmap2",
    "mio",
    "nix",
    "notify",
    "postgres",
    "rand",
    "rayon",
    "reqwest",
    "rusqlite",
    "rustix",
    "smol",
    "socket2",
    "sqlx",
    "tempfile",
    "time",
    "tokio",
    "tokio-postgres",
    "tokio-util",
    "tower",
    "tower-http",
    "tracing-subscriber",
    "ureq",
    "uuid",
    "walkdir",
];

/// Dependencies that belong to one edge: name, crates that may have them, why.
const CONFINED: &[(&str, &[&str], &str)] = &[
    ("anyhow", &["actifix", "xtask"], "errors below the binary are typed; use thiserror"),
    ("rusqlite", &["actifix-store"], "SQL stays in the store"),
    ("tokio-postgres", &["actifix-store"], "SQL stays in the store"),
    ("deadpool-postgres", &["actifix-store"], "SQL stays in the store"),
    ("axum", &["actifix-web", "actifix"], "HTTP stays at the edge"),
    ("hyper", &["actifix-web", "actifix"], "HTTP stays at the edge"),
    ("reqwest", &["actifix"], "outbound connections are made by the binary's outbound module"),
    ("clap", &["actifix", "xtask"], "only the binary reads arguments"),
];

pub fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in workspace.files()?.iter().filter(|path| is_member(path)) {
        findings.extend(check_manifest(path, &workspace.read(path)?)?);
    }
    Ok(findings)
}

fn is_member(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts.as_slice(), ["crates", _, "Cargo.toml"] | ["xtask", "Cargo.toml"])
}

/// A table of dependencies in a manifest.
struct Dependencies {
    names: Vec<String>,
    /// Only for tests, benches and examples.
    is_dev: bool,
}

fn check_manifest(path: &str, text: &str) -> Result<Vec<Finding>> {
    let manifest: Table = text.parse().with_context(|| format!("cannot parse {path}"))?;
    let name = manifest
        .get("package")
        .and_then(|package| package.get("name"))
        .and_then(toml::Value::as_str)
        .with_context(|| format!("{path} names no package"))?;
    let finding = |rule, at: &str, message: String| Finding::new(path, line_of(text, at), rule, message);
    let Some((_, allowed)) = ARROWS.iter().find(|(crate_name, _)| *crate_name == name) else {
        let why =
            format!("`{name}` is not in the drawing; a new crate needs a decision, ARCHITECTURE.md and tidy");
        return Ok(vec![finding(RULE_GRAPH, "name", why)]);
    };
    let mut findings = Vec::new();
    if manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool)
        != Some(true)
    {
        let why = "no `[lints] workspace = true`; lints are declared once, in the root manifest".to_owned();
        findings.push(finding(RULE_MANIFEST, "[package]", why));
    }
    for (dependency, value) in dependency_tables(&manifest).flat_map(|(_, table)| table) {
        if value.get("workspace").and_then(toml::Value::as_bool) != Some(true) {
            let why = format!("`{dependency}` has its own version; declare it in [workspace.dependencies]");
            findings.push(finding(RULE_MANIFEST, dependency, why));
        }
    }
    for dependencies in all_dependencies(&manifest) {
        for dependency in &dependencies.names {
            if let Some((rule, why)) = refusal(name, allowed, dependency, dependencies.is_dev) {
                findings.push(finding(rule, dependency, why));
            }
        }
    }
    Ok(findings)
}

/// Why a crate may not have a dependency, if so.
fn refusal(name: &str, allowed: &[&str], dependency: &str, is_dev: bool) -> Option<(&'static str, String)> {
    if dependency == TESTKIT {
        let fine = is_dev && TESTKIT_USERS.contains(&name);
        let why = format!("`{name}` -> testkit; it is a dev-dependency of {} only", TESTKIT_USERS.join(", "));
        return (!fine).then_some((RULE_GRAPH, why));
    }
    if ARROWS.iter().any(|(ours, _)| *ours == dependency) {
        let why = format!(
            "`{name}` -> `{dependency}` is not drawn in ARCHITECTURE.md; move the code or go through a port"
        );
        return (!allowed.contains(&dependency)).then_some((RULE_GRAPH, why));
    }
    if is_dev {
        return None;
    }
    if PURE_CRATES.contains(&name) && IMPURE_DEPENDENCIES.contains(&dependency) {
        let why = format!(
            "`{name}` is pure: no runtime, I/O, clock or randomness; `{dependency}` belongs to an edge"
        );
        return Some((RULE_PURE, why));
    }
    let (_, crates, why) = CONFINED.iter().find(|(confined, _, _)| *confined == dependency)?;
    (!crates.contains(&name)).then(|| (RULE_EDGE, format!("`{dependency}` in `{name}`: {why}")))
}

fn all_dependencies(manifest: &Table) -> Vec<Dependencies> {
    let tables = dependency_tables(manifest);
    tables
        .map(|(kind, table)| Dependencies {
            names: table.iter().map(|(key, value)| package_name(key, value)).collect(),
            is_dev: kind == "dev-dependencies",
        })
        .collect()
}

/// A renamed dependency counts under the name of its package.
fn package_name(key: &str, value: &toml::Value) -> String {
    value.get("package").and_then(toml::Value::as_str).unwrap_or(key).to_owned()
}

/// The dependency tables of a manifest, those of single targets included.
fn dependency_tables(manifest: &Table) -> impl Iterator<Item = (&'static str, &Table)> {
    const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let targets = manifest.get("target").and_then(toml::Value::as_table).into_iter().flatten();
    let places = targets.filter_map(|(_, target)| target.as_table()).chain([manifest]);
    places.flat_map(|place| KINDS.iter().filter_map(|kind| Some((*kind, place.get(*kind)?.as_table()?))))
}

/// First line that begins with the text, else the first.
fn line_of(text: &str, start: &str) -> usize {
    text.lines().position(|line| line.starts_with(start)).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(name: &str, rest: &str) -> Vec<(&'static str, usize)> {
        let text = format!("[package]\nname = \"{name}\"\n[lints]\nworkspace = true\n{rest}");
        let findings = check_manifest("crates/x/Cargo.toml", &text).unwrap();
        findings.iter().map(|finding| (finding.rule, finding.line)).collect()
    }

    fn depends(table: &str, dependency: &str) -> String {
        format!("[{table}]\n{dependency}.workspace = true\n")
    }

    #[test]
    fn drawn_arrows_are_fine_and_all_others_are_not() {
        for (from, allowed) in ARROWS {
            for (to, _) in ARROWS.iter().filter(|(to, _)| *to != TESTKIT && to != from) {
                let found = rules(from, &depends("dependencies", to));
                let expected: &[_] = if allowed.contains(to) { &[] } else { &[(RULE_GRAPH, 6)] };
                assert_eq!(found, expected, "{from} -> {to}");
            }
        }
    }

    #[test]
    fn web_and_store_never_meet_not_even_in_tests() {
        assert_eq!(rules("actifix-web", &depends("dev-dependencies", "actifix-store")), [(RULE_GRAPH, 6)]);
        assert_eq!(rules("actifix-store", &depends("build-dependencies", "actifix-web")), [(RULE_GRAPH, 6)]);
        let target = depends("target.'cfg(unix)'.dependencies", "actifix-store");
        assert_eq!(rules("actifix-web", &target), [(RULE_GRAPH, 6)]);
    }

    #[test]
    fn the_testkit_is_for_tests_of_what_stands_on_the_application() {
        assert_eq!(rules("actifix-store", &depends("dev-dependencies", TESTKIT)), []);
        assert_eq!(rules("actifix-store", &depends("dependencies", TESTKIT)), [(RULE_GRAPH, 6)]);
        assert_eq!(rules("actifix-domain", &depends("dev-dependencies", TESTKIT)), [(RULE_GRAPH, 6)]);
    }

    #[test]
    fn pure_crates_have_no_world() {
        for pure in PURE_CRATES {
            for dependency in IMPURE_DEPENDENCIES {
                assert_eq!(
                    rules(pure, &depends("dependencies", dependency)),
                    [(RULE_PURE, 6)],
                    "{dependency}"
                );
            }
            assert_eq!(rules(pure, &depends("dependencies", "serde")), []);
            assert_eq!(rules(pure, &depends("dev-dependencies", "tempfile")), []);
        }
    }

    #[test]
    fn libraries_of_an_edge_stay_there() {
        assert_eq!(rules("actifix-app", &depends("dependencies", "anyhow")), [(RULE_EDGE, 6)]);
        assert_eq!(rules("actifix-web", &depends("dependencies", "rusqlite")), [(RULE_EDGE, 6)]);
        assert_eq!(rules("actifix-store", &depends("dependencies", "rusqlite")), []);
    }

    #[test]
    fn renaming_hides_nothing() {
        let renamed = "[dependencies]\nharmless = { workspace = true, package = \"tokio\" }\n";
        assert_eq!(rules("actifix-domain", renamed).first().map(|(rule, _)| *rule), Some(RULE_PURE));
    }

    #[test]
    fn versions_and_lints_are_declared_once() {
        assert_eq!(rules("actifix-app", "[dependencies]\nserde = \"1\"\n"), [(RULE_MANIFEST, 6)]);
        let bare = check_manifest("crates/x/Cargo.toml", "[package]\nname = \"actifix-app\"\n").unwrap();
        assert_eq!(bare.first().map(|finding| finding.rule), Some(RULE_MANIFEST));
    }

    #[test]
    fn a_crate_outside_of_the_drawing_is_refused() {
        assert_eq!(rules("actifix-extra", ""), [(RULE_GRAPH, 2)]);
    }
}
