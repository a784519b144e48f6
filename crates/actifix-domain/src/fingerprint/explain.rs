//! Why an event belongs to its ticket, in a form that is stored and read by people.

use super::VERSION;
use serde::{Deserialize, Serialize};

/// Lines of an explanation.
pub const EXPLANATION_LINES_MAX: usize = 64;
/// Longest line of an explanation, in characters; longer ones are cut with `…`.
pub const EXPLANATION_LINE_CHARS_MAX: usize = 1_100;

/// The step of the algorithm that gave the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// A fingerprint of the sender or of a project rule.
    Fingerprint,
    /// What a page's policy blocked.
    Csp,
    /// Types and frames of the exceptions.
    Exceptions,
    /// The text of the message.
    Message,
    /// The stack alone.
    Stack,
    /// Transaction, culprit or level: nothing better was known.
    Fallback,
}

/// Why an event belongs to its ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The algorithm.
    pub version: String,
    /// Its step that gave the key.
    pub step: Step,
    /// Index of the project's fingerprint rule that matched, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    /// The lines under the hash, at most [`EXPLANATION_LINES_MAX`], each cut to [`EXPLANATION_LINE_CHARS_MAX`].
    pub lines: Vec<String>,
    /// The frames among the lines are the application's own.
    #[serde(default)]
    pub in_app: bool,
    /// Where it happened, in the form of a culprit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

impl Explanation {
    pub(super) fn new(
        step: Step,
        rule: Option<usize>,
        lines: &[String],
        in_app: bool,
        place: Option<String>,
    ) -> Self {
        Self {
            version: VERSION.to_owned(),
            step,
            rule,
            lines: lines.iter().take(EXPLANATION_LINES_MAX).map(|line| cut(line)).collect(),
            in_app,
            place: place.map(|place| cut(&place)),
        }
    }

    /// One sentence in plain words, such as
    /// `grouped by exception type and in-app frames: PaymentError in orders.place_order`.
    pub fn sentence(&self) -> String {
        let by_rule = self.rule.map(|rule| format!(" (fingerprint rule {} of the project)", rule + 1));
        format!("grouped by {}{}", self.reason(), by_rule.unwrap_or_default())
    }

    fn reason(&self) -> String {
        match self.step {
            Step::Fingerprint => {
                let whose = if self.rule.is_some() { "the project's" } else { "the sender's" };
                format!("{whose} fingerprint: {}", self.all("c:").join(", "))
            }
            Step::Csp => format!("what the page's policy blocked: {}", self.all("p:").join(", ")),
            Step::Exceptions => self.exceptions(),
            Step::Message => format!("the text of the message: {}", self.first("m:")),
            Step::Stack => {
                format!(
                    "the {} of the stack: {}",
                    self.frames(),
                    self.place.as_deref().unwrap_or("unknown place")
                )
            }
            Step::Fallback => {
                format!("transaction, culprit or level, for want of anything better: {}", self.first("z:"))
            }
        }
    }

    fn exceptions(&self) -> String {
        let name = self.first("e:");
        let more = match self.all("e:").len().saturating_sub(1) {
            0 => String::new(),
            1 => " and one more exception".to_owned(),
            more => format!(" and {more} more exceptions"),
        };
        // The second line tells what the first exception had: frames, or only its text.
        match self.lines.get(1).and_then(|line| line.strip_prefix("v:")) {
            Some("") => format!("exception type: {name}{more}"),
            Some(text) => format!("exception type and text: {name}: {text}{more}"),
            None => {
                // A place in a file holds an "in" of its own.
                let joined =
                    |place: &str| format!(" {} {place}", if place.contains(" in ") { "at" } else { "in" });
                let place = self.place.as_deref().map(joined).unwrap_or_default();
                format!("exception type and {}: {name}{place}{more}", self.frames())
            }
        }
    }

    fn frames(&self) -> &'static str {
        if self.in_app { "in-app frames" } else { "library frames" }
    }

    fn all(&self, mark: &str) -> Vec<&str> {
        self.lines.iter().filter_map(|line| line.strip_prefix(mark)).collect()
    }

    fn first(&self, mark: &str) -> &str {
        self.lines.iter().find_map(|line| line.strip_prefix(mark)).unwrap_or_default()
    }
}

fn cut(line: &str) -> String {
    if line.len() <= EXPLANATION_LINE_CHARS_MAX || line.chars().nth(EXPLANATION_LINE_CHARS_MAX).is_none() {
        return line.to_owned();
    }
    line.chars().take(EXPLANATION_LINE_CHARS_MAX - 1).chain(['…']).collect()
}
