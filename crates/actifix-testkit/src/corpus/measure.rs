//! How well the engine does on the corpus.
use std::collections::BTreeMap;

use actifix_secrets::Engine;

use super::{cases, clean};

/// Slips that a report keeps, so that it stays readable.
const SLIPS_MAX: usize = 2_000;

/// Counts of one family, context or kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Row {
    /// Texts.
    pub texts: u64,
    /// Texts in which something was reported where the credential stands, or at all in clean texts.
    pub reported: u64,
    /// Texts in which one report covers all of the credential.
    pub whole: u64,
}

impl Row {
    /// Share of texts in which something was reported.
    pub fn share(&self) -> f64 {
        if self.texts == 0 { 1.0 } else { self.reported as f64 / self.texts as f64 }
    }

    /// Share of the reported credentials that are covered whole.
    pub fn whole_share(&self) -> f64 {
        if self.reported == 0 { 1.0 } else { self.whole as f64 / self.reported as f64 }
    }
}

/// One text on which the engine was wrong.
#[derive(Debug, Clone)]
pub struct Slip {
    /// Family, or kind of clean text.
    pub of: &'static str,
    /// Context, or the rule that reported something in a clean text.
    pub at: String,
    /// The text, its first 400 characters.
    pub text: String,
}

/// What was counted.
#[derive(Debug, Default)]
pub struct Report {
    /// All credentials.
    pub all: Row,
    /// All clean texts.
    pub clean: Row,
    /// By family.
    pub families: BTreeMap<&'static str, Row>,
    /// By context.
    pub contexts: BTreeMap<&'static str, Row>,
    /// Clean texts by kind.
    pub kinds: BTreeMap<&'static str, Row>,
    /// The first slips.
    pub slips: Vec<Slip>,
}

/// Scans the whole corpus of a seed.
pub fn measure(engine: &Engine, seed: u64, rounds: u64) -> Report {
    let mut report = Report::default();
    for case in cases(seed, rounds) {
        let found = engine.scan(&case.text);
        let hit = found
            .iter()
            .any(|found| found.span.start < case.secret.end && case.secret.start < found.span.end);
        let whole = found
            .iter()
            .any(|found| found.span.start <= case.secret.start && case.secret.end <= found.span.end);
        for row in [
            &mut report.all,
            report.families.entry(case.family).or_default(),
            report.contexts.entry(case.context).or_default(),
        ] {
            row.texts += 1;
            row.reported += u64::from(hit);
            row.whole += u64::from(whole);
        }
        if !whole {
            let from = case.secret.start.saturating_sub(200);
            let text = String::from_utf8_lossy(&case.text[from..]);
            report.slip(case.family, case.context.to_owned(), &text);
        }
    }
    for (kind, text) in clean(seed, rounds * 20) {
        let found = engine.scan(text.as_bytes());
        for row in [&mut report.clean, report.kinds.entry(kind).or_default()] {
            row.texts += 1;
            row.reported += u64::from(!found.is_empty());
        }
        if let Some(first) = found.first() {
            report.slip(kind, first.rule.to_string(), &text);
        }
    }
    report
}

impl Report {
    fn slip(&mut self, of: &'static str, at: String, text: &str) {
        if self.slips.len() < SLIPS_MAX {
            self.slips.push(Slip { of, at, text: text.chars().take(400).collect() });
        }
    }
}
