//! The length of functions.

use super::Finding;
use super::source::{SourceFile, item_end};

const RULE_LENGTH: &str = "function-length";

/// Lines from `fn` to its closing brace. About 70 are wished: what fits on a screen.
const FUNCTION_LINES_MAX: usize = 100;

/// Functions of tests may be tables and are not measured.
pub fn check(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for at in file.find_outside_tests("fn") {
        let Some(name) = name_behind(&file.code, at + "fn".len()) else { continue };
        let Some(end) = item_end(&file.code, at) else { continue };
        let lines = file.line(end) - file.line(at) + 1;
        if lines > FUNCTION_LINES_MAX {
            let why = format!(
                "`{name}` has {lines} lines, {FUNCTION_LINES_MAX} at most; keep the control flow, move leaves out"
            );
            findings.push(Finding::new(&file.path, file.line(at), RULE_LENGTH, why));
        }
    }
    findings
}

/// The name behind `fn`; none for a function pointer type.
fn name_behind(code: &str, at: usize) -> Option<&str> {
    let rest = code.get(at..)?.trim_start();
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    rest.get(..end).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_found(text: &str) -> Vec<usize> {
        check(&SourceFile::new("crates/a/src/b.rs", text)).iter().map(|finding| finding.line).collect()
    }

    fn function_of(lines: usize) -> String {
        format!("fn long(\n    a: [u8; 3],\n) {{\n{}}}\n", "    call();\n".repeat(lines - 4))
    }

    #[test]
    fn the_limit_is_inclusive() {
        assert_eq!(lines_found(&function_of(FUNCTION_LINES_MAX)), [0_usize; 0]);
        assert_eq!(lines_found(&format!("\n{}", function_of(FUNCTION_LINES_MAX + 1))), [2]);
    }

    #[test]
    fn braces_in_text_do_not_end_a_function() {
        let body = "    let a = '}'; let b = \"}\"; let c = r#\"}\"#; // }\n".repeat(FUNCTION_LINES_MAX);
        assert_eq!(lines_found(&format!("fn long() {{\n{body}}}\n")), [1]);
    }

    #[test]
    fn declarations_pointers_and_tests_have_no_length() {
        let filler = "\n".repeat(FUNCTION_LINES_MAX);
        assert_eq!(lines_found(&format!("trait A {{ fn a(); {filler} }}")), [0_usize; 0]);
        assert_eq!(lines_found(&format!("type A = fn(u8); {filler} struct B {{ }}")), [0_usize; 0]);
        assert_eq!(
            lines_found(&format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function_of(FUNCTION_LINES_MAX + 1))),
            [0_usize; 0]
        );
    }
}
