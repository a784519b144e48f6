//! For people: place, severity, rule, mask; then what to do, once per rule.

use super::super::{Batch, Config, Hit, Part, names};
use super::{description, fix};
use actifix_secrets::Severity;
use console::{Style, style};
use std::collections::BTreeSet;

/// Characters of a commit id that people compare.
const SHORT_COMMIT: usize = 12;

pub fn report(batch: &Batch, config: &Config, colours: bool) -> String {
    let mut out = String::new();
    let mut told = BTreeSet::new();
    for hit in &batch.hits {
        out.push_str(&line(hit, description(config, hit), colours));
        out.push('\n');
        let fix = fix(config, hit);
        if !fix.is_empty() && told.insert(hit.rule.to_string()) {
            out.push_str(&format!("    what to do: {fix}\n"));
        }
    }
    for dropped in &batch.dropped {
        let shown = line(&dropped.hit, description(config, &dropped.hit), false);
        out.push_str(&format!("dropped: {shown}\n    because {}\n", dropped.reason));
    }
    out
}

fn line(hit: &Hit, description: &str, colours: bool) -> String {
    let severity = style(hit.severity.to_string()).force_styling(colours);
    let severity = match hit.severity {
        Severity::Critical => severity.red().bold(),
        Severity::High => severity.red(),
        Severity::Medium => severity.yellow(),
        Severity::Low => severity.dim(),
    };
    let place = Style::new().bold().force_styling(colours);
    let place = place.apply_to(format!("{}:{}:{}", names::printable(&hit.path), hit.line, hit.column));
    let name = if hit.part == Part::Name { " in the name" } else { "" };
    let commit = hit.commit.as_ref().map_or(String::new(), |commit| {
        format!(" in commit {}", commit.id.get(..SHORT_COMMIT).unwrap_or(&commit.id))
    });
    format!(
        "{place}{name}{commit}: {severity} {}: {description} ({}) [fingerprint {}]",
        hit.rule, hit.masked, hit.fingerprint
    )
}
