//! One JSON document: findings, what was dropped, counters.

use super::super::{Batch, Config, Hit, Part, names};
use super::{description, fix, rule};
use actifix_secrets::Rule;
use serde_json::{Value, json};

pub fn report(batch: &Batch, config: &Config, unused: &[String]) -> serde_json::Result<String> {
    let totals = &batch.totals;
    let mut report = json!({
        "findings": batch.hits.iter().map(|hit| finding(hit, config)).collect::<Vec<_>>(),
        "summary": {
            "findings": batch.hits.len() as u64 + totals.hits_more,
            "files": totals.files,
            "bytes": totals.bytes,
            "binary": totals.binary,
            "commits": totals.commits,
            "commits_known": totals.commits_known,
            "skipped": {
                "config": totals.skipped,
                "special": totals.special,
                "submodules": totals.submodules,
                "moved": totals.moved,
            },
            "unread": totals.unread,
            "suppressed": {
                "inline": totals.allowed_inline,
                "config": totals.allowed_config,
                "baseline": totals.baselined,
            },
        },
        "notes": batch.notes,
        "unused_baseline": unused,
    });
    if !batch.dropped.is_empty()
        && let Some(report) = report.as_object_mut()
    {
        let dropped = batch.dropped.iter().map(|dropped| {
            let mut value = finding(&dropped.hit, config);
            value["reason"] = Value::from(dropped.reason.as_str());
            value
        });
        report.insert("dropped".to_owned(), dropped.collect());
    }
    serde_json::to_string_pretty(&report).map(|text| text + "\n")
}

fn finding(hit: &Hit, config: &Config) -> Value {
    let mut value = json!({
        "rule": &*hit.rule,
        "severity": hit.severity.to_string(),
        "description": description(config, hit),
        "vendor": rule(config, hit).map_or("", Rule::vendor),
        "path": names::printable(&hit.path),
        "part": match hit.part { Part::Content => "content", Part::Name => "name" },
        "line": hit.line,
        "column": hit.column,
        "end_line": hit.end_line,
        "end_column": hit.end_column,
        "masked": hit.masked,
        "fingerprint": hit.fingerprint,
        "fix": fix(config, hit),
    });
    if let Some(commit) = &hit.commit {
        value["commit"] = Value::from(commit.id.as_str());
        value["commit_time"] = Value::from(commit.seconds);
    }
    value
}
