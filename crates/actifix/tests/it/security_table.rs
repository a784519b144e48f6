//! `docs/security-tests.md` names a test for each row of the threat model and each advisory; each name must exist.

use std::collections::BTreeSet;
use std::path::Path;

const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/security-tests.md"));
/// Advisories and rows of the page; a line that is lost must not go unnoticed.
const LINES_MIN: usize = 60;

/// Names of all test functions of the repository.
pub fn tests_in(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                tests_in(&path, names);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source");
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                    is_test = true;
                } else if let Some((_, rest)) =
                    line.split_once("fn ").filter(|_| is_test && !line.starts_with("//"))
                {
                    names.insert(rest.split('(').next().expect("a name").to_owned());
                    is_test = false;
                }
            }
        }
    }
}

#[test]
fn every_row_of_the_table_names_tests_that_exist() {
    let mut names = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for folder in ["crates", "xtask"] {
        tests_in(&root.join(folder), &mut names);
    }
    assert!(names.len() > 800, "{}", names.len());
    let rows: Vec<Vec<&str>> = PAGE
        .lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("| ---"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() >= LINES_MIN, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for row in rows.iter().filter(|row| row.last() != Some(&"tests")) {
        let named: Vec<&str> = row.last().expect("a cell").split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            wrong.push(format!("{:?} names no test", row[0]));
        }
        for name in named {
            // `xtask` commands are proofs of their own kind; everything else is a function.
            let known =
                name.starts_with("cargo xtask ") || names.contains(name.rsplit("::").next().unwrap_or(name));
            if !known {
                wrong.push(format!("{:?}: there is no test {name}", row[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
