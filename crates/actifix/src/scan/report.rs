//! Findings as text, JSON, SARIF 2.1.0 and annotations of GitHub Actions.

mod github;
mod json;
mod sarif;
mod text;

use super::{Batch, Config, Hit};
use actifix_secrets::Rule;
use clap::ValueEnum;

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// SARIF 2.1.0, for code hosts and editors.
    Sarif,
    /// Annotations of GitHub Actions.
    Github,
}

/// The report of a finished scan.
///
/// # Errors
/// Never in practice: everything in it is a string or a number.
pub fn write(
    format: Format,
    batch: &Batch,
    config: &Config,
    unused: &[String],
    colours: bool,
) -> serde_json::Result<String> {
    match format {
        Format::Text => Ok(text::report(batch, config, colours)),
        Format::Json => json::report(batch, config, unused),
        Format::Sarif => sarif::report(batch, config),
        Format::Github => Ok(github::report(batch, config)),
    }
}

/// The rule of a finding.
fn rule<'a>(config: &'a Config, hit: &Hit) -> Option<&'a Rule> {
    config.engine.rules().find(|rule| rule.id() == &*hit.rule)
}

fn description<'a>(config: &'a Config, hit: &Hit) -> &'a str {
    rule(config, hit).map_or("", Rule::description)
}

fn fix<'a>(config: &'a Config, hit: &Hit) -> &'a str {
    rule(config, hit).map_or("", Rule::fix)
}
