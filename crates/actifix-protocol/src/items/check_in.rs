//! Heartbeats of scheduled jobs.

use crate::event::Clock;
use crate::event::cut::cut_text;
use crate::event::field::{text, whole};
use crate::event::{environment_name, release_name};
use actifix_domain::time::Timestamp;
use serde_json::Value;

/// Longest slug of a monitor, in bytes.
pub const SLUG_BYTES_MAX: usize = 128;
/// Longest run believed, in microseconds: 400 days.
const DURATION_MAX: i64 = 400 * actifix_domain::time::DAY;
/// Longest schedule, time zone or id, in characters.
const WORD_CHARS_MAX: usize = 128;
/// Largest number of minutes or units in a configuration.
const NUMBER_MAX: u32 = 1_000_000;

/// How a run is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckInStatus {
    /// It ended well.
    Ok,
    /// It began.
    InProgress,
    /// It failed.
    Error,
}

impl CheckInStatus {
    /// The word of the protocol; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        match word.trim().to_ascii_lowercase().as_str() {
            "ok" => Some(Self::Ok),
            "in_progress" => Some(Self::InProgress),
            "error" => Some(Self::Error),
            _ => None,
        }
    }
}

/// State of one run of one monitor.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckIn {
    /// Which monitor: 1 to [`SLUG_BYTES_MAX`] of `a-z0-9_-.`.
    pub monitor_slug: String,
    /// Which run.
    pub check_in_id: Option<String>,
    /// How it is going.
    pub status: CheckInStatus,
    /// How long it took, microseconds.
    pub duration: Option<i64>,
    /// Environment.
    pub environment: Option<String>,
    /// Release.
    pub release: Option<String>,
    /// When, corrected and bounded as that of an event.
    pub timestamp: Timestamp,
    /// What the program says about its schedule.
    pub monitor_config: Option<MonitorConfig>,
}

/// What a program says about its schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonitorConfig {
    /// When runs are due.
    pub schedule: Option<Schedule>,
    /// How late a run may begin, minutes.
    pub checkin_margin_minutes: Option<u32>,
    /// How long it may take, minutes.
    pub max_runtime_minutes: Option<u32>,
    /// Failures in a row before it counts.
    pub failure_issue_threshold: Option<u32>,
    /// Successes in a row before it is well again.
    pub recovery_threshold: Option<u32>,
    /// Name of a time zone; not checked.
    pub timezone: Option<String>,
}

/// When runs are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Five fields; not checked.
    Crontab(String),
    /// Every so often.
    Interval {
        /// How many units, at least 1.
        value: u32,
        /// The unit.
        unit: IntervalUnit,
    },
}

/// Unit of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntervalUnit {
    /// 60 s
    Minute,
    /// 60 minutes
    Hour,
    /// 24 hours
    Day,
    /// 7 days
    Week,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

/// Reads a `check_in` item; `None` without a slug or a known status.
pub fn check_in(value: Value, received_at: Timestamp, sent_at: Option<&Value>) -> Option<CheckIn> {
    let Value::Object(mut item) = value else { return None };
    let slug = item.remove("monitor_slug").or_else(|| item.remove("monitor_id"))?;
    let timestamp = item.remove("timestamp").unwrap_or_default();
    Some(CheckIn {
        monitor_slug: slug_of(slug.as_str()?)?,
        check_in_id: item.remove("check_in_id").and_then(word),
        status: CheckInStatus::parse(item.get("status")?.as_str()?)?,
        duration: item.get("duration").and_then(duration),
        environment: item.remove("environment").and_then(|name| environment_name(name).ok()?),
        release: item.remove("release").and_then(|name| release_name(name).ok()?),
        timestamp: Clock::new(received_at, sent_at).bound(timestamp).0,
        monitor_config: item.remove("monitor_config").and_then(monitor_config),
    })
}

/// Reads a check-in by URL from its decoded query. No status is `ok`: the plain URL is a heartbeat.
pub fn check_in_from_query(
    slug: &str,
    query: &[(String, String)],
    received_at: Timestamp,
) -> Option<CheckIn> {
    let get = |key: &str| query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let value = |key: &str| get(key).map(|text| Value::String(text.to_owned()));
    Some(CheckIn {
        monitor_slug: slug_of(slug)?,
        check_in_id: value("check_in_id").and_then(word),
        status: get("status").map_or(Some(CheckInStatus::Ok), CheckInStatus::parse)?,
        duration: value("duration").as_ref().and_then(duration),
        environment: value("environment").and_then(|name| environment_name(name).ok()?),
        release: None,
        timestamp: received_at,
        monitor_config: None,
    })
}

/// Lower case; anything but letters, digits, `_`, `-`, `.` becomes `-`, so that a slug is safe in keys and paths.
fn slug_of(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text.len() > SLUG_BYTES_MAX {
        return None;
    }
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let slug: String = text.chars().map(|c| if fine(c) { c.to_ascii_lowercase() } else { '-' }).collect();
    slug.bytes().any(|byte| byte.is_ascii_alphanumeric()).then_some(slug)
}

/// Seconds to microseconds; negative and endless ones are unknown.
fn duration(value: &Value) -> Option<i64> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    // `as` saturates.
    (seconds.is_finite() && seconds >= 0.0).then(|| ((seconds * 1e6).round() as i64).min(DURATION_MAX))
}

fn word(value: Value) -> Option<String> {
    let mut word = text(value)?;
    cut_text(&mut word, WORD_CHARS_MAX);
    Some(word)
}

fn monitor_config(value: Value) -> Option<MonitorConfig> {
    let Value::Object(mut config) = value else { return None };
    let timezone = config.remove("timezone").and_then(word);
    let schedule = config.remove("schedule").and_then(schedule);
    let number = |key: &str| config.get(key).and_then(positive);
    Some(MonitorConfig {
        schedule,
        checkin_margin_minutes: number("checkin_margin"),
        max_runtime_minutes: number("max_runtime"),
        failure_issue_threshold: number("failure_issue_threshold"),
        recovery_threshold: number("recovery_threshold"),
        timezone,
    })
}

fn schedule(value: Value) -> Option<Schedule> {
    let Value::Object(mut schedule) = value else { return None };
    let value = schedule.remove("value")?;
    match schedule.get("type").and_then(Value::as_str)? {
        "crontab" => word(value).map(Schedule::Crontab),
        "interval" => {
            let unit = match schedule.get("unit").and_then(Value::as_str)? {
                "minute" => IntervalUnit::Minute,
                "hour" => IntervalUnit::Hour,
                "day" => IntervalUnit::Day,
                "week" => IntervalUnit::Week,
                "month" => IntervalUnit::Month,
                "year" => IntervalUnit::Year,
                _ => return None,
            };
            Some(Schedule::Interval { value: positive(&value)?, unit })
        }
        _ => None,
    }
}

fn positive(value: &Value) -> Option<u32> {
    whole(value).and_then(|number| u32::try_from(number).ok()).filter(|n| (1..=NUMBER_MAX).contains(n))
}
