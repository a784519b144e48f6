//! Inputs that are not one JSON value: heartbeats by URL, native crashes, attachments alone.

use super::answer::Refusal;
use super::decode::{Decoded, RawFile, Shape, broken};
use super::{Delivery, OtlpSignal};
use crate::app::App;
use actifix_domain::event::{Event, EventType, Level, LogEntry};
use actifix_domain::id::{EventId, ProjectId};
use actifix_domain::outcome::{Outcome, Reason};
use actifix_domain::time::Timestamp;
use actifix_protocol::items::{IntervalUnit, MonitorConfig, Schedule};
use actifix_protocol::minidump::{self, MinidumpError, MinidumpFacts};
use actifix_protocol::multipart::{self, MultipartError, Part};
use actifix_protocol::otlp::DedupeKey;
use actifix_protocol::{applecrash, json};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Pairs of a query that are looked at.
const QUERY_PAIRS_MAX: usize = 100;
/// Failures whose other report is waited for.
const RECENT_MAX: usize = 2_000;

/// The report of a native crash, not read yet.
#[derive(Clone, Debug)]
pub(super) enum Crash {
    /// A dump among the files of an envelope.
    Dump(Bytes),
    /// The dump of a form; without it the form is nothing.
    Form(Bytes),
    /// Apple's text.
    AppleReport(Bytes),
}

/// Failures that OTLP reported lately, to know the same one by its other signal.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<VecDeque<(ProjectId, OtlpSignal, DedupeKey)>>);

impl Recent {
    /// Whether the other signal reported the same failure.
    pub(super) fn seen_by_other(&self, project: ProjectId, signal: OtlpSignal, key: &DedupeKey) -> bool {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !key.trace_id.is_empty()
            && recent.iter().any(|(p, s, known)| *p == project && *s != signal && known.is_same_failure(key))
    }

    /// Remembers failures that are stored. Not before: the other report may be the only one that is kept.
    pub(super) fn remember(&self, project: ProjectId, signal: OtlpSignal, keys: Vec<DedupeKey>) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.extend(
            keys.into_iter().filter(|key| !key.trace_id.is_empty()).map(|key| (project, signal, key)),
        );
        let beyond = recent.len().saturating_sub(RECENT_MAX);
        recent.drain(..beyond);
    }
}

/// Decoded pairs of a query.
pub(super) fn query_pairs(query: &str) -> Vec<(String, String)> {
    let clean = |text: &str| json::clean(text).into_owned();
    url::form_urlencoded::parse(query.as_bytes())
        .take(QUERY_PAIRS_MAX)
        .map(|(name, value)| (clean(&name), clean(&value)))
        .collect()
}

/// A heartbeat by URL in the form of its item, so that it is redacted and read like one.
pub(super) fn check_in_value(slug: &str, query: &str) -> Value {
    let mut map = Map::new();
    map.insert("monitor_slug".into(), json!(json::clean(slug)));
    map.insert("status".into(), json!("ok"));
    for (name, value) in query_pairs(query) {
        if name == "duration" {
            map.insert(name, value.parse::<f64>().map_or(Value::Null, |seconds| json!(seconds)));
        } else if matches!(name.as_str(), "status" | "environment" | "check_in_id") {
            map.insert(name, json!(value));
        }
    }
    Value::Object(map)
}

/// The event of a monitor that failed, in our words.
pub(crate) fn monitor_event(
    event_id: EventId,
    slug: &str,
    message: String,
    environment: Option<String>,
    release: Option<String>,
    timestamp: Timestamp,
) -> Event {
    Event {
        event_id,
        event_type: EventType::Default,
        timestamp,
        level: Level::Error,
        logentry: Some(LogEntry { message: Some(message), ..LogEntry::default() }),
        logger: Some("actifix.monitor".to_owned()),
        tags: [("monitor.slug".to_owned(), slug.to_owned())].into(),
        environment,
        release,
        ..Event::default()
    }
}

/// A monitor's configuration as the store keeps it.
pub(super) fn config_value(config: &MonitorConfig) -> Value {
    let schedule = match &config.schedule {
        Some(Schedule::Crontab(text)) => json!({ "type": "crontab", "value": text }),
        Some(Schedule::Interval { value, unit }) => {
            let unit = match unit {
                IntervalUnit::Minute => "minute",
                IntervalUnit::Hour => "hour",
                IntervalUnit::Day => "day",
                IntervalUnit::Week => "week",
                IntervalUnit::Month => "month",
                IntervalUnit::Year => "year",
            };
            json!({ "type": "interval", "value": value, "unit": unit })
        }
        None => Value::Null,
    };
    json!({
        "schedule": schedule,
        "checkin_margin": config.checkin_margin_minutes,
        "max_runtime": config.max_runtime_minutes,
        "timezone": config.timezone,
    })
}

impl App {
    /// The crash that comes as a file of an envelope; an event has one, so that further reports are files like any
    /// other. A dump beside an event completes it; alone, either kind of report is an event of its own.
    pub(super) fn find_crash(&self, decoded: &mut Decoded) {
        let of_type = |kind: &str| decoded.files.iter().find(|file| file.attachment_type == kind);
        let dump = of_type("event.minidump").filter(|file| minidump::is_dump(&file.bytes));
        let report = of_type("event.applecrashreport");
        let event = decoded.items.iter_mut().find(|item| item.shape == Shape::Event);
        let crash = match (dump, report, &event) {
            (Some(dump), ..) => Crash::Dump(dump.bytes.clone()),
            (None, Some(report), None) => Crash::AppleReport(report.bytes.clone()),
            _ => return,
        };
        match event {
            Some(item) => item.crash = Some(Box::new(crash)),
            None => self.push_crash(Value::Null, crash, decoded),
        }
    }

    fn push_crash(&self, event: Value, crash: Crash, decoded: &mut Decoded) {
        let mut item = self.raw(Shape::Event, event);
        item.crash = Some(Box::new(crash));
        decoded.items.push(item);
    }

    /// Reads the crash reports of events that passed the limits: unpacking and walking a dump is the dearest thing
    /// that a request can ask for, so that whoever is over a limit does not get it.
    pub(super) fn read_crashes(&self, decoded: &mut Decoded) -> Result<(), Refusal> {
        let mut left_bytes = decoded.unpack_left_bytes;
        for item in &mut decoded.items {
            let Some(crash) = item.crash.take() else { continue };
            let sent = std::mem::take(&mut item.value);
            item.value = match *crash {
                Crash::Dump(dump) => match minidump::parse(&dump, std::mem::take(&mut left_bytes)) {
                    Ok(facts) => minidump::to_event(facts, sent),
                    // The dump is a file of the event all the same.
                    Err(_) if !sent.is_null() => sent,
                    Err(_) => minidump::to_event(MinidumpFacts::default(), sent),
                },
                Crash::Form(dump) => {
                    let facts = minidump::parse(&dump, std::mem::take(&mut left_bytes))
                        .map_err(|error| broken(Reason::Framing, &error.to_string()))?;
                    minidump::to_event(facts, sent)
                }
                Crash::AppleReport(text) => applecrash::to_event(&text, &self.settings.limits),
            };
        }
        Ok(())
    }

    /// A native crash: facts are taken from the memory image, the image itself is a file like any other.
    pub(super) fn decode_minidump(&self, delivery: &Delivery, decoded: &mut Decoded) -> Result<(), Refusal> {
        let limits = &self.settings.limits;
        let body = Bytes::from(self.whole(delivery, limits.decoded_bytes_max)?);
        decoded.unpack_left_bytes = limits.decoded_bytes_max.saturating_sub(body.len() as u64);
        let parts = multipart::parse(&delivery.content_type, &body).map_err(refuse_multipart)?;
        let mut fields = Vec::new();
        let mut dump = None;
        for part in parts {
            if part.name == "upload_file_minidump" {
                dump = Some(body.slice_ref(part.bytes));
                self.push_file(&body, &part, "event.minidump", decoded);
            } else if part.filename.is_some() {
                self.push_file(&body, &part, "event.attachment", decoded);
            } else {
                fields.push((part.name.clone(), String::from_utf8_lossy(part.bytes).into_owned()));
            }
        }
        let dump = dump.ok_or_else(|| broken(Reason::Framing, "no field upload_file_minidump"))?;
        if !minidump::is_dump(&dump) {
            return Err(broken(Reason::Framing, &MinidumpError::Magic.to_string()));
        }
        let json_limits = limits.json();
        let sentry =
            minidump::form_fields_to_value(fields, |text| json::parse(text.as_bytes(), &json_limits).ok());
        self.push_crash(sentry, Crash::Form(dump), decoded);
        Ok(())
    }

    /// Attachments of an earlier event.
    pub(super) fn decode_attachments(
        &self,
        delivery: &Delivery,
        event_id: EventId,
        decoded: &mut Decoded,
    ) -> Result<(), Refusal> {
        let body = Bytes::from(self.whole(delivery, self.settings.limits.attachments_bytes_max)?);
        let parts = multipart::parse(&delivery.content_type, &body).map_err(refuse_multipart)?;
        decoded.files_of = Some(event_id);
        for part in parts {
            if part.filename.is_some() {
                self.push_file(&body, &part, "event.attachment", decoded);
            }
        }
        Ok(())
    }

    /// Keeps a part as a file, without a copy of it.
    fn push_file(&self, body: &Bytes, part: &Part<'_>, attachment_type: &str, decoded: &mut Decoded) {
        if part.bytes.len() as u64 > self.settings.limits.attachment_bytes_max {
            decoded.count(Outcome::Invalid, Reason::TooLarge, "attachment", 1);
            return;
        }
        decoded.files.push(RawFile {
            name: part.filename.clone().unwrap_or_else(|| part.name.clone()),
            content_type: part.content_type.clone().unwrap_or_default(),
            attachment_type: attachment_type.to_owned(),
            bytes: body.slice_ref(part.bytes),
        });
    }
}

fn refuse_multipart(error: MultipartError) -> Refusal {
    match error.status() {
        413 => Refusal::TooLarge("multipart body"),
        415 => Refusal::Unsupported("content type"),
        _ => broken(Reason::Framing, &error.to_string()),
    }
}
