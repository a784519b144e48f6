//! Workflow commands of GitHub Actions: one annotation per finding.

use super::super::{Batch, Config, Hit, Part, names};
use super::{description, fix};
use actifix_secrets::Severity;

pub fn report(batch: &Batch, config: &Config) -> String {
    batch.hits.iter().map(|hit| annotation(hit, config) + "\n").collect()
}

fn annotation(hit: &Hit, config: &Config) -> String {
    let kind = match hit.severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "notice",
    };
    let commit = hit.commit.as_ref().map_or(String::new(), |commit| format!(" in commit {}", commit.id));
    let message = format!(
        "{}{} ({}){commit}. {} [fingerprint {}]",
        if hit.part == Part::Name { "In the name: " } else { "" },
        description(config, hit),
        hit.masked,
        fix(config, hit),
        hit.fingerprint
    );
    // Columns are left out where a finding spans lines: the runner refuses them there.
    let columns = if hit.line == hit.end_line {
        format!(",col={},endColumn={}", hit.column, hit.end_column)
    } else {
        String::new()
    };
    format!(
        "::{kind} file={},line={},endLine={}{columns},title={}::{}",
        property(&names::printable(&hit.path)),
        hit.line,
        hit.end_line,
        property(&format!("Secret: {}", hit.rule)),
        data(&message)
    )
}

/// A file name must not end the command or begin another one.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}
