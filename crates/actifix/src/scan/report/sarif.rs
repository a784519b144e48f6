//! SARIF 2.1.0 (OASIS), as code hosts read it.

use super::super::{Batch, Config, Hit, Part, names};
use super::{description, fix};
use actifix_secrets::Severity;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

pub fn report(batch: &Batch, config: &Config) -> serde_json::Result<String> {
    let mut index = BTreeMap::new();
    let mut rules = Vec::new();
    for hit in &batch.hits {
        index.entry(hit.rule.to_string()).or_insert_with(|| {
            rules.push(rule(hit, config));
            rules.len() - 1
        });
    }
    let results: Vec<Value> =
        batch.hits.iter().map(|hit| result(hit, config, index.get(&*hit.rule).copied())).collect();
    let notes: Vec<Value> =
        batch.notes.iter().map(|note| json!({ "level": "warning", "message": { "text": note } })).collect();
    let report = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "actifix",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": batch.totals.unread == 0,
                "toolExecutionNotifications": notes,
            }],
            "results": results,
        }],
    });
    serde_json::to_string_pretty(&report).map(|text| text + "\n")
}

fn rule(hit: &Hit, config: &Config) -> Value {
    json!({
        "id": &*hit.rule,
        "shortDescription": { "text": description(config, hit) },
        "fullDescription": { "text": description(config, hit) },
        "help": { "text": fix(config, hit) },
        "defaultConfiguration": { "level": level(hit.severity) },
        // What code hosts sort by: 0 to 10, as in CVSS.
        "properties": { "tags": ["security", "secret"], "security-severity": score(hit.severity) },
    })
}

fn result(hit: &Hit, config: &Config, rule_index: Option<usize>) -> Value {
    let mut value = json!({
        "ruleId": &*hit.rule,
        "level": level(hit.severity),
        "message": { "text": format!("{}{} ({})", if hit.part == Part::Name { "In the name: " } else { "" }, description(config, hit), hit.masked) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": names::uri(&hit.path) },
            "region": {
                "startLine": hit.line,
                "startColumn": hit.column,
                "endLine": hit.end_line,
                "endColumn": hit.end_column,
            },
        }}],
        "partialFingerprints": { "actifix/v1": hit.fingerprint },
        "properties": { "severity": hit.severity.to_string() },
    });
    if let Some(index) = rule_index {
        value["ruleIndex"] = Value::from(index);
    }
    if let Some(commit) = &hit.commit {
        value["properties"]["commit"] = Value::from(commit.id.as_str());
    }
    value
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    }
}

fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "3.0",
    }
}
