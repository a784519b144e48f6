//! Decision notes: numbered without gap, titled with their number.

use super::Finding;
use super::source::TextFile;

const RULE_DECISION: &str = "decision-number";

const FOLDER: &str = "docs/decisions/";

/// Lines that a note may have: half a page, some air included.
const NOTE_LINES_MAX: usize = 80;

pub fn check(files: &[TextFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut next = 0_usize;
    for file in files {
        let Some(name) = file.path.strip_prefix(FOLDER).filter(|name| *name != "README.md") else { continue };
        let mut push = |message: String| findings.push(Finding::new(&file.path, 1, RULE_DECISION, message));
        let Some(number) = number_of(name) else {
            push("a decision is called NNNN-its-subject.md".to_owned());
            continue;
        };
        if number != next {
            push(format!("number {number:04}, but {next:04} comes next; numbers have no gap and no double"));
        }
        next = number + 1;
        if !file.text.starts_with(&format!("# {number:04}: ")) {
            push(format!("the first line is `# {number:04}: Title`"));
        }
        if file.text.lines().count() > NOTE_LINES_MAX {
            push(format!(
                "longer than {NOTE_LINES_MAX} lines; a decision is half a page, the rest is documentation"
            ));
        }
    }
    findings
}

/// The number of `0042-subject.md`.
fn number_of(name: &str) -> Option<usize> {
    let (digits, subject) = name.strip_suffix(".md")?.split_once('-')?;
    let is_number = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !subject.is_empty() && !subject.contains('/')).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<TextFile> = files
            .iter()
            .map(|(name, text)| TextFile { path: format!("{FOLDER}{name}"), text: (*text).to_owned() })
            .collect();
        check(&files).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn numbers_run_from_zero_without_gap() {
        let (a, b, d) =
            (("0000-a.md", "# 0000: A\n"), ("0001-b.md", "# 0001: B\n"), ("0003-d.md", "# 0003: D\n"));
        assert!(messages(&[a, b, ("README.md", "")]).is_empty());
        assert!(messages(&[a, b, d])[0].contains("0002 comes next"));
        assert!(messages(&[a, ("0000-c.md", "# 0000: C\n")])[0].contains("0001 comes next"));
    }

    #[test]
    fn name_title_and_length_are_fixed() {
        assert!(messages(&[("first.md", "")])[0].contains("NNNN"));
        assert!(messages(&[("0000-a.md", "# A\n")])[0].contains("# 0000: Title"));
        let long = format!("# 0000: A\n{}", "x\n".repeat(NOTE_LINES_MAX));
        assert!(messages(&[("0000-a.md", &long)])[0].contains("half a page"));
    }

    #[test]
    fn other_folders_are_left_alone() {
        assert!(check(&[TextFile { path: "docs/backup.md".to_owned(), text: String::new() }]).is_empty());
    }
}
