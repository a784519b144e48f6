//! Inline markers: `actifix:allow <rule> reason` on the line of a finding or alone on the line above.

use super::lines::{line_end, line_start};

const MARKER: &[u8] = b"actifix:allow";
/// Markers of other scanners; they name no rule and no reason, so they count only when asked for.
const FOREIGN: &[&[u8]] =
    &[b"gitleaks:allow", b"pragma: allowlist secret", b"kingfisher:ignore", b"betterleaks:allow"];

/// What a marker says about a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inline {
    /// There is none.
    None,
    /// It is meant and complete.
    Allowed,
    /// It names this rule but gives no reason, so it does not count.
    NoReason,
}

/// Looks for a marker for `rule` around the finding that starts at `pos`.
pub fn inline(text: &[u8], pos: usize, rule: &str, foreign: bool) -> Inline {
    let start = line_start(text, pos);
    let own = text.get(start..line_end(text, pos)).unwrap_or_default();
    let above = start.checked_sub(1).map(|end| {
        let line = text.get(line_start(text, end)..end).unwrap_or_default();
        if is_comment(line) { line } else { &[] }
    });
    let mut seen = Inline::None;
    for line in [Some(own), above].into_iter().flatten() {
        match marker(line, rule) {
            Inline::Allowed => return Inline::Allowed,
            Inline::NoReason => seen = Inline::NoReason,
            Inline::None => {}
        }
        if foreign && FOREIGN.iter().any(|mark| memchr::memmem::find(line, mark).is_some()) {
            return Inline::Allowed;
        }
    }
    seen
}

fn marker(line: &[u8], rule: &str) -> Inline {
    let mut seen = Inline::None;
    for at in memchr::memmem::find_iter(line, MARKER) {
        let rest = line.get(at + MARKER.len()..).unwrap_or_default();
        if !rest.first().is_some_and(u8::is_ascii_whitespace) {
            continue;
        }
        let rest = rest.trim_ascii_start();
        let end = rest
            .iter()
            .position(|byte| !(byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_'))
            .unwrap_or(rest.len());
        if rest.get(..end) != Some(rule.as_bytes()) {
            continue;
        }
        let reason = rest.get(end..).unwrap_or_default();
        // `*/` and `-->` end the comment; they are no reason.
        if reason.iter().filter(|byte| byte.is_ascii_alphanumeric()).count() >= 3 {
            return Inline::Allowed;
        }
        seen = Inline::NoReason;
    }
    seen
}

/// A line that holds nothing but a comment.
fn is_comment(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    [&b"#"[..], b"//", b"/*", b"*", b"--", b";", b"<!--", b"%", b"\"", b"'", b"REM "]
        .iter()
        .any(|opener| line.starts_with(opener))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Inline {
        inline(text.as_bytes(), text.find("VALUE").unwrap(), "password", false)
    }

    #[test]
    fn a_marker_needs_the_rule_and_a_reason() {
        assert_eq!(at("p = VALUE # actifix:allow password only in the demo"), Inline::Allowed);
        assert_eq!(at("# actifix:allow password only in the demo\np = VALUE"), Inline::Allowed);
        assert_eq!(at("p = VALUE # actifix:allow password"), Inline::NoReason);
        assert_eq!(at("p = VALUE <!-- actifix:allow password -->"), Inline::NoReason);
        assert_eq!(at("p = VALUE # actifix:allow api_key only in the demo"), Inline::None);
        assert_eq!(at("p = VALUE # actifix:allow password_x only in the demo"), Inline::None);
        assert_eq!(
            at("q = 1 # actifix:allow password for that one\np = VALUE"),
            Inline::None,
            "another line's"
        );
        assert_eq!(at("p = VALUE\n# actifix:allow password too late"), Inline::None);
    }

    #[test]
    fn markers_of_others_count_when_asked_for() {
        let text = "p = VALUE # gitleaks:allow";
        assert_eq!(at(text), Inline::None);
        assert_eq!(inline(text.as_bytes(), 4, "password", true), Inline::Allowed);
    }
}
