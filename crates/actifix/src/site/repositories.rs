//! Whether the commits of the repositories that matter here are scanned for secrets.

use crate::cli::installed_hooks;
use crate::home::Home;
use crate::scan::git::Repo;
use actifix_app::doctor::RepositoryFact;
use actifix_secrets::Engine;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Repositories that are looked at; the configuration takes no more.
const REPOSITORIES_MAX: usize = 100;
/// Files of a CI that are looked at.
const CI_FILES_MAX: usize = 200;
/// Bytes of each.
const CI_BYTES_MAX: u64 = 256 << 10;
/// Files in which a CI is described.
const CI_FILES: [&str; 9] = [
    ".gitlab-ci.yml",
    ".pre-commit-config.yaml",
    ".circleci/config.yml",
    ".woodpecker.yml",
    ".drone.yml",
    "azure-pipelines.yml",
    "bitbucket-pipelines.yml",
    "Jenkinsfile",
    ".travis.yml",
];
/// Folders of such files.
const CI_FOLDERS: [&str; 4] = [".github/workflows", ".gitea/workflows", ".forgejo/workflows", ".woodpecker"];

/// Those that are named, else the one that the home lies in.
pub fn look(home: &Home, named: &[String]) -> Vec<RepositoryFact> {
    if !named.is_empty() {
        return named
            .iter()
            .take(REPOSITORIES_MAX)
            .map(|name| look_at(name, &home.root().join(name)))
            .collect();
    }
    // Whether a repository is around the home at all is a question, not an error.
    match Repo::at(home.root()) {
        Ok(repo) => {
            let root = repo.root().unwrap_or_else(|| repo.common_dir()).display().to_string();
            vec![RepositoryFact { path: root, guards: guards(&repo), unreadable: None }]
        }
        Err(_) => Vec::new(),
    }
}

fn look_at(name: &str, path: &Path) -> RepositoryFact {
    let name = name.to_owned();
    match Repo::at(path) {
        Ok(repo) => RepositoryFact { path: name, guards: guards(&repo), unreadable: None },
        Err(error) => RepositoryFact { path: name, guards: Vec::new(), unreadable: Some(error.to_string()) },
    }
}

/// What scans the commits of a repository.
fn guards(repo: &Repo) -> Vec<String> {
    let mut found: Vec<String> =
        installed_hooks(repo).into_iter().map(|kind| format!("the {kind} hook")).collect();
    let Some(root) = repo.root() else { return found };
    let mut files: Vec<PathBuf> = CI_FILES.iter().map(|name| root.join(name)).collect();
    for folder in CI_FOLDERS {
        let entries = fs::read_dir(root.join(folder)).into_iter().flatten();
        files.extend(entries.flatten().take(CI_FILES_MAX).map(|entry| entry.path()));
    }
    let ci = files.into_iter().filter(|path| scans(path));
    found.extend(ci.map(|path| path.strip_prefix(root).unwrap_or(&path).display().to_string()));
    found
}

/// Whether a file tells a CI to run our scanner, outside of its comments.
fn scans(path: &Path) -> bool {
    let mut text = String::new();
    let Ok(file) = File::open(path) else { return false };
    if file.take(CI_BYTES_MAX).read_to_string(&mut text).is_err() {
        return false;
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#') && !line.starts_with("//"));
    let mut lines = lines.map(|line| line.trim_start_matches("- "));
    lines.any(|line| {
        line.contains("actifix scan")
            || (line.starts_with("id:") && line.contains("actifix"))
            || (line.starts_with("uses:") && line.contains("/actifix@"))
    })
}

/// Whether the scanner of this program finds a secret that has just been made up, and not a sentence.
pub fn scanner_works() -> bool {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut number = 0x9e37_79b9_u32;
    let body: String = (0..16)
        .filter_map(|_| {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            DIGITS.get(usize::try_from(number >> 27).unwrap_or(0)).map(|byte| char::from(*byte))
        })
        .collect();
    let engine = Engine::builtin();
    let finds = |text: &str| engine.scan(text.as_bytes()).iter().any(actifix_secrets::Match::reported);
    finds(&format!("aws_access_key_id = {}{body}\n", ["AK", "IA"].concat()))
        && !finds("The quick brown fox jumps over the lazy dog.\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ci_file_counts_where_it_runs_the_scanner_and_not_where_it_speaks_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ci.yml");
        for (text, expected) in [
            ("jobs:\n  scan:\n    steps:\n      - run: actifix scan --history\n", true),
            ("steps:\n  - uses: someone/actifix@v1\n", true),
            ("repos:\n  - repo: x\n    hooks:\n      - id: actifix-scan\n", true),
            ("# - run: actifix scan\nsteps:\n  - run: make\n", false),
            ("steps:\n  - run: echo actifix\n", false),
            ("", false),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(scans(&file), expected, "{text}");
        }
        assert!(!scans(dir.path()), "a folder is no file");
    }

    #[test]
    fn the_scanner_is_tried_on_what_it_should_find() {
        assert!(scanner_works());
    }
}
