//! Counters that SDKs send about themselves and about sessions.

use crate::event::field::{text, whole};
use crate::event::{environment_name, release_name};
use serde_json::Value;

/// Most entries read of one report.
pub const REPORT_ENTRIES_MAX: usize = 100;
/// Largest number believed in one entry: anyone can send it.
pub const QUANTITY_MAX: u64 = 1_000_000;
/// What unknown words count as; metrics must not have labels of strangers.
const OTHER: &str = "other";

const REASONS: [&str; 17] = [
    "queue_overflow",
    "cache_overflow",
    "buffer_overflow",
    "ratelimit_backoff",
    "network_error",
    "sample_rate",
    "before_send",
    "event_processor",
    "send_error",
    "internal_sdk_error",
    "insufficient_data",
    "backpressure",
    "no_parent_span",
    "ignored",
    "invalid",
    "too_large",
    "callback_error",
];
const CATEGORIES: [&str; 20] = [
    "error",
    "default",
    "security",
    "attachment",
    "feedback",
    "monitor",
    "log_item",
    "log_byte",
    "session",
    "transaction",
    "span",
    "profile",
    "profile_chunk",
    "profile_chunk_ui",
    "replay",
    "metric_bucket",
    "trace_metric",
    "statsd",
    "user_report_v2",
    "internal",
];

/// What an SDK threw away before sending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientReport {
    /// One entry per reason and category, as sent.
    pub discarded: Vec<Discarded>,
}

/// One count of a client report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discarded {
    /// A known reason, or `other`.
    pub reason: &'static str,
    /// A known category, or `other`.
    pub category: &'static str,
    /// How many, 1 to [`QUANTITY_MAX`].
    pub quantity: u64,
}

/// Reads a `client_report` item; entries without a positive number are left out.
pub fn client_report(value: &Value) -> ClientReport {
    let entries =
        value.get("discarded_events").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let read = |entry: &Value| {
        Some(Discarded {
            reason: known(entry.get("reason"), &REASONS),
            category: known(entry.get("category"), &CATEGORIES),
            quantity: count(entry.get("quantity"))?,
        })
    };
    ClientReport { discarded: entries.iter().take(REPORT_ENTRIES_MAX).filter_map(read).collect() }
}

fn known(word: Option<&Value>, words: &[&'static str]) -> &'static str {
    let word = word.and_then(Value::as_str).unwrap_or_default();
    words.iter().find(|known| **known == word).copied().unwrap_or(OTHER)
}

fn count(value: Option<&Value>) -> Option<u64> {
    value.and_then(whole).and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0).map(|n| n.min(QUANTITY_MAX))
}

/// What one item adds to the counters of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionCounters {
    /// Release; sessions without one are counted under none.
    pub release: Option<String>,
    /// Environment.
    pub environment: Option<String>,
    /// Sessions begun.
    pub sessions: u64,
    /// Sessions with errors that did not crash.
    pub errored: u64,
    /// Sessions that crashed or ended abnormally.
    pub crashed: u64,
}

/// Reads a `session` item: one state of one session.
///
/// A session sends several: it is counted when it begins (`init`), errored with its first error, crashed with its
/// last state. So nothing has to be remembered about single sessions.
pub fn session(value: Value) -> SessionCounters {
    let mut counters = attributes(&value);
    let errors = value.get("errors").and_then(whole).unwrap_or(0);
    let begins = value.get("init").and_then(crate::event::field::flag).unwrap_or(false);
    let crashed = matches!(value.get("status").and_then(Value::as_str), Some("crashed" | "abnormal"));
    counters.sessions = u64::from(begins);
    counters.crashed = u64::from(crashed);
    counters.errored = u64::from(!crashed && ((begins && errors > 0) || errors == 1));
    counters
}

/// Reads a `sessions` item: counts by minute, added up.
pub fn sessions(value: &Value) -> SessionCounters {
    let mut counters = attributes(value);
    let groups = value.get("aggregates").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for group in groups.iter().take(REPORT_ENTRIES_MAX) {
        let count = |key: &str| count(group.get(key)).unwrap_or(0);
        let (errored, crashed) = (count("errored"), count("crashed") + count("abnormal"));
        counters.sessions += count("exited") + errored + crashed;
        counters.errored += errored;
        counters.crashed += crashed;
    }
    counters
}

fn attributes(value: &Value) -> SessionCounters {
    let attribute = |key: &str| text(value.get("attrs")?.get(key)?.clone()).map(Value::String);
    SessionCounters {
        release: attribute("release").and_then(|name| release_name(name).ok()?),
        environment: attribute("environment").and_then(|name| environment_name(name).ok()?),
        ..SessionCounters::default()
    }
}
