//! Rules for files and modules: their names and lengths.

use super::Finding;
use super::source::SourceFile;

const RULE_NAME: &str = "module-name";
const RULE_LAYOUT: &str = "module-layout";
const RULE_LENGTH: &str = "file-length";

/// Names that say nothing about what is inside, and so attract everything.
const VAGUE_NAMES: &[&str] =
    &["util", "utils", "prelude", "helper", "helpers", "common", "misc", "shared", "stuff"];

/// Wished and enforced length of a file, in lines without inline tests.
const FILE_LINES_WISHED: usize = 500;
const FILE_LINES_MAX: usize = 700;

pub fn check(file: &SourceFile) -> Vec<Finding> {
    let mut findings = vague_names(file);
    findings.extend(layout(file));
    findings.extend(too_long(file));
    findings
}

/// A file above the wished length: no finding, but whoever edits it should think of a seam.
pub fn long_file_note(file: &SourceFile) -> Option<Finding> {
    let lines = file.lines_without_tests();
    let is_long = !file.is_test && lines > FILE_LINES_WISHED && lines <= FILE_LINES_MAX;
    let text = format!("{lines} lines without tests, {FILE_LINES_WISHED} are wished; look for a seam");
    is_long.then(|| Finding::new(&file.path, 1, RULE_LENGTH, text))
}

fn vague_names(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut push = |line, name: &str| {
        let why =
            format!("`{name}` says nothing about what is inside; name the module after its one purpose");
        findings.push(Finding::new(&file.path, line, RULE_NAME, why));
    };
    let parts = file.path.trim_end_matches(".rs").split('/');
    if let Some(name) = parts.into_iter().find(|part| VAGUE_NAMES.contains(part)) {
        push(1, name);
    }
    for at in file.find_token("mod") {
        let rest = file.code.get(at + "mod".len()..).unwrap_or_default().trim_start();
        let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        if VAGUE_NAMES.contains(&name) {
            push(file.line(at), name);
        }
    }
    findings
}

fn layout(file: &SourceFile) -> Option<Finding> {
    let why = "many tabs called mod.rs; write `foo.rs` beside the folder `foo`";
    // Below tests/, cargo takes every `foo.rs` for a test of its own; mod.rs is the way to share.
    (file.path.ends_with("/mod.rs") && !file.path.contains("/tests/"))
        .then(|| Finding::new(&file.path, 1, RULE_LAYOUT, why))
}

fn too_long(file: &SourceFile) -> Option<Finding> {
    let lines = file.lines_without_tests();
    let why = format!("{lines} lines without tests, {FILE_LINES_MAX} at most; split it by concern");
    (!file.is_test && lines > FILE_LINES_MAX).then(|| Finding::new(&file.path, 1, RULE_LENGTH, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        check(&SourceFile::new(path, text)).iter().map(|finding| (finding.rule, finding.line)).collect()
    }

    #[test]
    fn vague_modules_are_refused_as_file_folder_and_declaration() {
        assert_eq!(rules("crates/a/src/utils.rs", ""), [(RULE_NAME, 1)]);
        assert_eq!(rules("crates/a/src/helpers/time.rs", ""), [(RULE_NAME, 1)]);
        assert_eq!(rules("crates/a/src/lib.rs", "\nmod common;"), [(RULE_NAME, 2)]);
        assert_eq!(rules("crates/a/src/lib.rs", "pub mod prelude { }"), [(RULE_NAME, 1)]);
        assert_eq!(rules("crates/a/src/lib.rs", "mod commonmark;\nfn utils() {}"), []);
    }

    #[test]
    fn a_module_lies_beside_its_folder() {
        assert_eq!(rules("crates/a/src/b/mod.rs", ""), [(RULE_LAYOUT, 1)]);
        assert_eq!(rules("crates/a/src/b.rs", ""), []);
        assert_eq!(rules("crates/a/tests/support/mod.rs", ""), []);
    }

    #[test]
    fn length_counts_without_tests() {
        let at_most = "fn a() {}\n".repeat(FILE_LINES_MAX);
        assert_eq!(rules("crates/a/src/b.rs", &at_most), []);
        assert_eq!(rules("crates/a/src/b.rs", &format!("{at_most}fn b() {{}}\n")), [(RULE_LENGTH, 1)]);
        let with_tests = format!("{at_most}#[cfg(test)]\nmod tests {{\n    fn b() {{}}\n}}\n");
        assert_eq!(rules("crates/a/src/b.rs", &with_tests), []);
        assert_eq!(rules("crates/a/tests/it/b.rs", &"fn a() {}\n".repeat(FILE_LINES_MAX + 1)), []);
    }

    #[test]
    fn a_long_file_is_noted_before_it_is_refused() {
        let note = |lines: usize| long_file_note(&SourceFile::new("crates/a/src/b.rs", &"\n".repeat(lines)));
        assert_eq!(note(FILE_LINES_WISHED), None);
        assert!(note(FILE_LINES_WISHED + 1).is_some());
        assert_eq!(note(FILE_LINES_MAX + 1), None);
    }
}
