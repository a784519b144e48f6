//! Evidence: what proves a ticket resolved (`agents.md` §4). Nothing is resolved without it, by any door.

use serde::{Deserialize, Serialize};

/// Longest root cause, in characters.
const ROOT_CAUSE_CHARS_MAX: usize = 8_192;
/// Longest reason, in characters.
const REASON_CHARS_MAX: usize = 1_000;
/// Longest test command, in characters.
const COMMAND_CHARS_MAX: usize = 1_000;
/// Least characters of a statement in words; fewer say nothing.
const WORDS_CHARS_MIN: usize = 10;
/// Hex digits of a commit id: an abbreviated SHA-1 … a full SHA-256.
const COMMIT_HEX: std::ops::RangeInclusive<usize> = 7..=64;
/// Hex digits of an output digest (SHA-256).
const DIGEST_HEX: std::ops::RangeInclusive<usize> = 64..=64;

/// Whether a kind of evidence must be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// May be left out.
    Optional,
    /// Must be given, or a reason why not.
    #[default]
    OrReason,
    /// Must be given; a reason does not do.
    Required,
}

/// What a project asks of evidence. The root cause in words is always asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvidencePolicy {
    /// A commit that fixes it.
    pub commit: Need,
    /// A test that failed before and passes after.
    pub test: Need,
    /// The CI's signed confirmation resolves what is in review.
    pub ci: bool,
}

/// One run of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestRun {
    /// Exit code of the command.
    pub exit_code: i32,
    /// SHA-256 of its output, 64 hex digits.
    pub output_digest: String,
    /// Commit that it ran on, 7 to 64 hex digits.
    pub commit: String,
}

/// One command that failed before the fix and passes after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestProof {
    /// The command, the same in both runs; at most 1,000 characters.
    pub command: String,
    /// Before the fix: exit code not 0.
    pub before: TestRun,
    /// After it: exit code 0, on another commit.
    pub after: TestRun,
}

/// Claims of whoever completes a ticket. What of them was verified is stored apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Evidence {
    /// Why it failed, in words; 10 to 8,192 characters.
    pub root_cause: String,
    /// Commit that fixes it, 7 to 64 hex digits.
    pub commit: Option<String>,
    /// Why there is none; 10 to 1,000 characters.
    pub no_commit_reason: Option<String>,
    /// Test that proves it.
    pub test: Option<TestProof>,
    /// Why there is none; 10 to 1,000 characters.
    pub no_test_reason: Option<String>,
}

/// One thing that evidence lacks, or that cannot be taken as it is. Words of ours only, never what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Field of [`Evidence`].
    pub field: &'static str,
    /// What is asked.
    pub why: &'static str,
}

impl Evidence {
    /// Whether this is complete under `policy`.
    ///
    /// # Errors
    /// Everything that is missing, at once, so that one more attempt is enough.
    pub fn check(&self, policy: &EvidencePolicy) -> Result<(), Vec<Missing>> {
        let mut missing = Vec::new();
        let mut lacks = |field, why| missing.push(Missing { field, why });
        if !is_words(&self.root_cause, ROOT_CAUSE_CHARS_MAX) {
            lacks("root_cause", "say why it failed, in 10 to 8,192 characters");
        }
        for (field, reason) in
            [("no_commit_reason", &self.no_commit_reason), ("no_test_reason", &self.no_test_reason)]
        {
            if reason.as_ref().is_some_and(|text| !is_words(text, REASON_CHARS_MAX)) {
                lacks(field, "give the reason in 10 to 1,000 characters");
            }
        }
        match (&self.commit, policy.commit) {
            (Some(commit), _) if !is_hex(commit, &COMMIT_HEX) => {
                lacks("commit", "give the commit's id, 7 to 64 hex digits");
            }
            (None, Need::Required) => lacks("commit", "the project asks for the commit that fixes it"),
            (None, Need::OrReason) if self.no_commit_reason.is_none() => {
                lacks("commit", "give the commit that fixes it, or no_commit_reason");
            }
            _ => {}
        }
        match (&self.test, policy.test) {
            (Some(proof), _) => proof.check(&mut lacks),
            (None, Need::Required) => {
                lacks("test", "the project asks for a test that failed before and passes after");
            }
            (None, Need::OrReason) if self.no_test_reason.is_none() => {
                lacks("test", "give a test that failed before and passes after, or no_test_reason");
            }
            _ => {}
        }
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }
}

impl TestProof {
    fn check(&self, lacks: &mut impl FnMut(&'static str, &'static str)) {
        if shown_chars(&self.command) == 0 || self.command.chars().count() > COMMAND_CHARS_MAX {
            lacks("test.command", "give the command, at most 1,000 characters");
        }
        if self.before.exit_code == 0 {
            lacks("test.before", "the test must fail before the fix");
        }
        if self.after.exit_code != 0 {
            lacks("test.after", "the test must pass after the fix");
        }
        for (field, run) in [("test.before", &self.before), ("test.after", &self.after)] {
            if !is_hex(&run.commit, &COMMIT_HEX) {
                lacks(field, "give the commit that it ran on, 7 to 64 hex digits");
            }
            if !is_hex(&run.output_digest, &DIGEST_HEX) {
                lacks(field, "give the SHA-256 of its output, 64 hex digits");
            }
        }
        if same_commit(&self.before.commit, &self.after.commit) {
            lacks("test.after", "both runs are of one commit, so the fix cannot be the difference");
        }
    }
}

/// Whether there is something to read: of what nobody sees nothing counts, and of blanks in a row one.
fn is_words(text: &str, chars_max: usize) -> bool {
    shown_chars(text) >= WORDS_CHARS_MIN && text.chars().count() <= chars_max
}

/// Characters that a reader sees, and the single blanks between them.
fn shown_chars(text: &str) -> usize {
    let visible: String = text.chars().filter(|c| c.is_whitespace() || !is_invisible(*c)).collect();
    let words = visible.split_whitespace();
    words.map(|word| word.chars().count() + 1).sum::<usize>().saturating_sub(1)
}

/// Characters that draw nothing: controls, what Unicode lets programs ignore, and letters whose glyph is blank.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

fn is_hex(text: &str, digits: &std::ops::RangeInclusive<usize>) -> bool {
    digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// One id may be the abbreviation of the other.
fn same_commit(a: &str, b: &str) -> bool {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    a.starts_with(&b) || b.starts_with(&a)
}
