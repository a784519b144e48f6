//! Rules of style that hold everywhere: imports, markers of unfinished work, printing.

use super::Finding;
use super::source::SourceFile;

const RULE_GLOB: &str = "glob-import";
const RULE_UNFINISHED: &str = "unfinished";
const RULE_MARKER: &str = "marker-comment";
const RULE_IGNORED: &str = "ignored-test";
const RULE_PRINT: &str = "print";

/// Globs that tests may use: their own module, and proptest, whose macros need its names in scope.
const GLOBS_IN_TESTS: &[&str] = &["super::*", "proptest::prelude::*"];

/// Macros that stand for code that is not there, or that must not stay.
const UNFINISHED: &[&str] = &["todo!", "unimplemented!", "dbg!"];

/// Where printing is the purpose.
const PRINTERS: &[&str] = &["crates/actifix/src/cli"];
const PRINT_MACROS: &[&str] = &["println!", "eprintln!", "print!", "eprint!"];

pub fn check(file: &SourceFile) -> Vec<Finding> {
    let mut findings = glob_imports(file);
    findings.extend(unfinished(file));
    findings.extend(marker_comments(file));
    findings.extend(ignored_tests(file));
    findings.extend(prints(file));
    findings
}

fn glob_imports(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for at in file.find_token("use") {
        let statement =
            file.code.get(at..).and_then(|rest| rest.split_once(';')).map_or("", |(use_, _)| use_);
        let path = statement.trim_start_matches("use").trim();
        if !path.ends_with('*') && !path.contains("*,") && !path.contains("*}") && !path.contains("* }") {
            continue;
        }
        if !(file.is_test_at(at) && GLOBS_IN_TESTS.contains(&path)) {
            let why = format!("`use {path}` hides where a name comes from; import what is used by name");
            findings.push(Finding::new(&file.path, file.line(at), RULE_GLOB, why));
        }
    }
    findings
}

fn unfinished(file: &SourceFile) -> Vec<Finding> {
    let places = UNFINISHED.iter().flat_map(|name| file.find_token(name).map(move |at| (at, name)));
    places
        .map(|(at, name)| {
            let why = format!("`{name}` is work left open; finish it or leave the feature out");
            Finding::new(&file.path, file.line(at), RULE_UNFINISHED, why)
        })
        .collect()
}

fn marker_comments(file: &SourceFile) -> Vec<Finding> {
    // Assembled, so that this file does not hold the words that it looks for in comments.
    let markers = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    let mut findings = Vec::new();
    for comment in &file.comments {
        for (index, line) in comment.text.lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric());
            if let Some(word) = words.find(|word| markers.iter().any(|marker| marker == word)) {
                let why =
                    format!("a {word} comment is forgotten; do it now or file an issue and say why it waits");
                findings.push(Finding::new(&file.path, file.line(comment.at) + index, RULE_MARKER, why));
            }
        }
    }
    findings
}

fn ignored_tests(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, _) in file.code.match_indices("#[") {
        let attribute =
            file.code.get(at..).and_then(|rest| rest.split_once(']')).map_or("", |(text, _)| text);
        let mut words =
            attribute.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        let first = words.next();
        let ignores =
            first == Some("ignore") || (first == Some("cfg_attr") && words.any(|word| word == "ignore"));
        if ignores {
            let why = "an ignored test proves nothing; make it pass everywhere or delete it with its feature";
            findings.push(Finding::new(&file.path, file.line(at), RULE_IGNORED, why));
        }
    }
    findings
}

fn prints(file: &SourceFile) -> Vec<Finding> {
    if file.is_automation() || PRINTERS.iter().any(|place| file.path.starts_with(place)) {
        return Vec::new();
    }
    let places = PRINT_MACROS.iter().flat_map(|name| file.find_outside_tests(name).map(move |at| (at, name)));
    places
        .map(|(at, name)| {
            let why =
                format!("`{name}` outside of the CLI; log with tracing, or give the text to the caller");
            Finding::new(&file.path, file.line(at), RULE_PRINT, why)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn rules_at(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        check(&SourceFile::new(path, text)).iter().map(|finding| (finding.rule, finding.line)).collect()
    }

    #[track_caller]
    fn rules(text: &str) -> Vec<(&'static str, usize)> {
        rules_at("crates/actifix-app/src/sample.rs", text)
    }

    #[test]
    fn globs_are_refused_in_every_shape() {
        assert_eq!(rules("use a::*;"), [(RULE_GLOB, 1)]);
        assert_eq!(rules("\npub use a::b::*;"), [(RULE_GLOB, 2)]);
        assert_eq!(rules("use a::{b, c::*, d};"), [(RULE_GLOB, 1)]);
        assert_eq!(rules("use a::{b::{*}};"), [(RULE_GLOB, 1)]);
        assert_eq!(rules("use super::*;"), [(RULE_GLOB, 1)]);
    }

    #[test]
    fn names_and_the_globs_of_tests_are_fine() {
        assert_eq!(rules("use a::{b, c};\nfn f() { let x = 2 * 3; }"), []);
        assert_eq!(
            rules("#[cfg(test)]\nmod tests {\n    use super::*;\n    use proptest::prelude::*;\n}"),
            []
        );
        assert_eq!(rules("#[cfg(test)]\nmod tests {\n    use a::*;\n}"), [(RULE_GLOB, 3)]);
        assert_eq!(rules("// use a::*;\nlet s = \"use a::*;\";"), []);
    }

    #[test]
    fn unfinished_work_is_refused_in_tests_too() {
        for name in UNFINISHED {
            assert_eq!(rules(&format!("fn f() {{ {name}() }}")), [(RULE_UNFINISHED, 1)]);
        }
        assert_eq!(rules("#[cfg(test)]\nmod tests { fn f() { todo!() } }"), [(RULE_UNFINISHED, 2)]);
        assert_eq!(rules("fn todo() {} // todo!()"), []);
    }

    #[test]
    fn marker_comments_are_found_by_word_and_line() {
        let (marker, other) = (["TO", "DO"].concat(), ["FIX", "ME"].concat());
        assert_eq!(rules(&format!("// {marker}: later")), [(RULE_MARKER, 1)]);
        assert_eq!(rules(&format!("/* a\n b {other} */")), [(RULE_MARKER, 2)]);
        assert_eq!(rules(&format!("// {marker}S are not; nor is this\nlet s = \"{marker}\";")), []);
    }

    #[test]
    fn ignored_tests_are_refused() {
        assert_eq!(rules("#[test]\n#[ignore]\nfn f() {}"), [(RULE_IGNORED, 2)]);
        assert_eq!(rules("#[ignore = \"slow\"]\nfn f() {}"), [(RULE_IGNORED, 1)]);
        assert_eq!(rules("#[cfg_attr(miri, ignore)]\nfn f() {}"), [(RULE_IGNORED, 1)]);
        assert_eq!(rules("#[serde(ignore)]\nstruct A;\n#[must_use]\nfn ignore() {}"), []);
    }

    #[test]
    fn only_the_cli_prints() {
        for name in PRINT_MACROS {
            assert_eq!(rules(&format!("fn f() {{ {name}(\"a\") }}")), [(RULE_PRINT, 1)]);
        }
        for path in ["crates/actifix/src/cli/dsn.rs", "crates/actifix-web/build.rs", "xtask/src/a.rs"] {
            assert_eq!(rules_at(path, "fn f() { println!(\"a\") }"), []);
        }
        assert_eq!(rules("#[cfg(test)]\nmod tests { fn f() { println!(\"a\") } }"), []);
        assert_eq!(rules("fn f() { writeln!(out, \"a\") }"), []);
    }
}
