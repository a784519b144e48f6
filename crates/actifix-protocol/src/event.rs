//! Turns a redacted Sentry event, of any SDK and age, into [`Event`] (`ingest.md` §10).
//!
//! Nothing here fails on an odd type: a field that can't be what it should be is kept as text, in the nearest
//! `data` map or in `other`. Architecture invariant: no clock and no random source; time of receipt and a
//! fallback id are arguments. Input is redacted and free of control characters.

mod breadcrumbs;
mod contexts;
pub(crate) mod cut;
mod exception;
pub(crate) mod field;
mod message;
mod request;
mod stacktrace;
mod tags;
mod user;

use self::cut::{cut_text, cut_value};
use self::field::{Rest, list, text};
use crate::when;
use actifix_domain::event::{Event, EventType, Level, Sdk, Transport};
use actifix_domain::id::EventId;
use actifix_domain::release;
use actifix_domain::time::{DAY, MINUTE, SECOND, Timestamp};
use serde_json::Value;

/// Most images of `debug_meta` kept.
pub const IMAGES_MAX: usize = 1_000;
/// Most parts of a fingerprint kept.
pub const FINGERPRINT_PARTS_MAX: usize = 64;
/// Longest environment, in characters.
pub const ENVIRONMENT_CHARS_MAX: usize = 64;
/// From this difference between the sender's clock and ours on, in microseconds, the sender's is corrected.
const DRIFT_MIN: i64 = 55 * MINUTE;
/// How far ahead of receipt an event may lie, in microseconds.
const AHEAD_MAX: i64 = 60 * SECOND;
/// How old an event may be, in microseconds.
const AGE_MAX: i64 = 30 * DAY;
/// Longest original time kept as text, in characters.
const CLIENT_TIMESTAMP_CHARS_MAX: usize = 64;

/// What the normaliser has to know beside the event itself.
#[derive(Clone, Debug)]
pub struct NormaliseContext<'a> {
    /// When the request arrived.
    pub received_at: Timestamp,
    /// `sent_at` of the envelope header, whatever it is.
    pub sent_at: Option<&'a Value>,
    /// The id of an event that has none.
    pub fallback_event_id: EventId,
    /// `event_id` of the envelope header; wins over the payload's.
    pub header_event_id: Option<EventId>,
    /// Address of the sender, only when the project keeps addresses.
    pub peer_ip: Option<String>,
    /// By which door the event came.
    pub transport: Transport,
}

/// A payload in our shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalised {
    /// The event; title empty, culprit as sent, `in_app` as sent.
    pub event: Event,
}

/// Why a payload is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEvent {
    /// Performance data sent as an event; dropped as an unsupported item.
    #[error("a transaction, not an event")]
    Transaction,
}

/// Reads one event. Linear in the size of the value, which is taken apart, not copied.
pub fn normalise(value: Value, ctx: &NormaliseContext<'_>) -> Result<Normalised, NotAnEvent> {
    let map = match value {
        Value::Object(map) => map,
        // Even what is no event at all may be the only trace of a failure.
        other => return Ok(Normalised { event: from_scrap(other, ctx) }),
    };
    if map.get("type").and_then(Value::as_str) == Some("transaction") {
        return Err(NotAnEvent::Transaction);
    }
    let mut reading = Reading::new(ctx);
    for (key, value) in map {
        if !value.is_null() {
            reading.member(&key, value);
        }
    }
    Ok(Normalised { event: reading.finish(ctx) })
}

/// Severity by word or by Python's number; unknown → error.
pub(crate) fn level(value: &Value) -> Option<Level> {
    if let Some(number) = field::whole(value) {
        return match number {
            10..=19 => Some(Level::Debug),
            20..=29 => Some(Level::Info),
            30..=39 => Some(Level::Warning),
            40..=49 => Some(Level::Error),
            50.. => Some(Level::Fatal),
            _ => None,
        };
    }
    value.as_str().and_then(|word| word.trim().parse().ok())
}

/// A value that names no release or environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misnamed;

/// The release that a value names, by the one rule for their names; none where it is empty.
///
/// # Errors
/// It breaks that rule.
pub fn release_name(value: Value) -> Result<Option<String>, Misnamed> {
    name(value, release::is_valid_version)
}

/// The environment that a value names: within its length, no line break, no `/` at the ends.
pub(crate) fn environment_name(value: Value) -> Result<Option<String>, Misnamed> {
    name(value, |text| {
        !text.contains(['\n', '\r'])
            && !text.starts_with('/')
            && !text.ends_with('/')
            && text.chars().nth(ENVIRONMENT_CHARS_MAX).is_none()
    })
}

fn name(value: Value, is_valid: impl FnOnce(&str) -> bool) -> Result<Option<String>, Misnamed> {
    let Some(text) = text(value) else { return Ok(None) };
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Ok(None);
    }
    if !is_valid(trimmed) {
        return Err(Misnamed);
    }
    Ok(Some(if trimmed.len() == text.len() { text } else { trimmed.to_owned() }))
}

/// The sender's clock against ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    received_at: Timestamp,
    shift: i64,
}

impl Clock {
    pub(crate) fn new(received_at: Timestamp, sent_at: Option<&Value>) -> Self {
        let drift = sent_at.and_then(when::parse).map_or(0, |sent| received_at.since(sent));
        let shift = if drift.unsigned_abs() >= DRIFT_MIN.unsigned_abs() { drift } else { 0 };
        Self { received_at, shift }
    }

    /// A time of the sender on our clock.
    pub(crate) fn correct(self, time: Timestamp) -> Timestamp {
        time.plus(self.shift)
    }

    /// The event's own time within its bounds; where the sender was not believed, also what it said.
    pub(crate) fn bound(self, value: Value) -> (Timestamp, Option<String>) {
        let corrected = when::parse(&value).map(|time| self.correct(time));
        let fine = corrected.filter(|time| {
            let age = self.received_at.since(*time);
            (-AHEAD_MAX..=AGE_MAX).contains(&age)
        });
        let said = || {
            text(value).map(|mut text| {
                cut_text(&mut text, CLIENT_TIMESTAMP_CHARS_MAX);
                text
            })
        };
        match fine {
            Some(time) if self.shift == 0 => (time, None),
            Some(time) => (time, said()),
            None => (self.received_at, said()),
        }
    }
}

/// A field and its older name; the name wins.
#[derive(Default)]
struct Named {
    name: Value,
    alias: Value,
}

impl Named {
    fn take(&mut self) -> Value {
        let alias = std::mem::take(&mut self.alias);
        let name = std::mem::take(&mut self.name);
        if name.is_null() { alias } else { name }
    }
}

/// An event half read.
struct Reading {
    event: Event,
    rest: Rest,
    clock: Clock,
    event_id: Value,
    timestamp: Value,
    exception: Named,
    logentry: Named,
    message: Value,
    stacktrace: Named,
    threads: Named,
    breadcrumbs: Named,
    request: Named,
    user: Named,
    csp: Named,
    release: Named,
    server_name: Named,
    declared_type: Option<EventType>,
}

impl Reading {
    fn new(ctx: &NormaliseContext<'_>) -> Self {
        Self {
            event: Event::default(),
            rest: Rest::default(),
            clock: Clock::new(ctx.received_at, ctx.sent_at),
            event_id: Value::Null,
            timestamp: Value::Null,
            exception: Named::default(),
            logentry: Named::default(),
            message: Value::Null,
            stacktrace: Named::default(),
            threads: Named::default(),
            breadcrumbs: Named::default(),
            request: Named::default(),
            user: Named::default(),
            csp: Named::default(),
            release: Named::default(),
            server_name: Named::default(),
            declared_type: None,
        }
    }

    /// Sorts one member of the payload; those that depend on others wait for [`Self::finish`].
    fn member(&mut self, key: &str, value: Value) {
        let event = &mut self.event;
        match key {
            "event_id" => self.event_id = value,
            "timestamp" => self.timestamp = value,
            "exception" => self.exception.name = value,
            "sentry.interfaces.Exception" => self.exception.alias = value,
            "logentry" => self.logentry.name = value,
            "sentry.interfaces.Message" => self.logentry.alias = value,
            "message" => self.message = value,
            "stacktrace" => self.stacktrace.name = value,
            "sentry.interfaces.Stacktrace" => self.stacktrace.alias = value,
            "threads" => self.threads.name = value,
            "sentry.interfaces.Threads" => self.threads.alias = value,
            "breadcrumbs" => self.breadcrumbs.name = value,
            "sentry.interfaces.Breadcrumbs" => self.breadcrumbs.alias = value,
            "request" => self.request.name = value,
            "sentry.interfaces.Http" => self.request.alias = value,
            "user" => self.user.name = value,
            "sentry.interfaces.User" => self.user.alias = value,
            "csp" => self.csp.name = value,
            "sentry.interfaces.Csp" => self.csp.alias = value,
            "release" => self.release.name = value,
            "version" => self.release.alias = value,
            "server_name" => self.server_name.name = value,
            "site" => self.server_name.alias = value,
            "level" => self.level(value),
            "type" => self.declare_type(value),
            "platform" => event.platform = text(value),
            "logger" => event.logger = text(value),
            "transaction" => event.transaction = text(value),
            "culprit" => event.culprit = text(value).unwrap_or_default(),
            "dist" => event.dist = text(value),
            "environment" => self.environment(value),
            "tags" => event.tags = tags::tags(value, &mut self.rest),
            "contexts" => event.contexts = contexts::contexts(value),
            "extra" => event.extra = cut::free_map(value),
            "modules" => event.modules = tags::modules(value, &mut self.rest),
            "fingerprint" => event.fingerprint = fingerprint(value),
            "sdk" => event.sdk = sdk(value, &mut self.rest),
            "debug_meta" => event.debug_images = images(value, &mut self.rest),
            "errors" => self.sdk_errors(value),
            // Says what the SDK cut; nothing of it helps a reader.
            "_meta" => {}
            _ => self.rest.keep("", key, value),
        }
    }

    fn level(&mut self, value: Value) {
        match level(&value) {
            Some(level) => self.event.level = level,
            None => {
                self.problem("the level is unknown; taken as error");
                self.rest.keep("", "level", value);
            }
        }
    }

    fn declare_type(&mut self, value: Value) {
        match value.as_str() {
            Some("error" | "default") => {}
            Some("csp") => self.declared_type = Some(EventType::Csp),
            Some("feedback") => self.declared_type = Some(EventType::Feedback),
            _ => self.rest.keep("", "type", value),
        }
    }

    fn environment(&mut self, value: Value) {
        match environment_name(value) {
            Ok(environment) => self.event.environment = environment,
            Err(Misnamed) => self.problem("the environment is not valid and was left out"),
        }
    }

    fn sdk_errors(&mut self, value: Value) {
        let count = list(value.clone()).len();
        if count > 0 {
            self.problem(&format!("the SDK reported {count} problems with this event"));
            self.rest.keep("", "errors", value);
        }
    }

    fn problem(&mut self, words: &str) {
        self.event.problems.push(words.to_owned());
    }

    fn finish(mut self, ctx: &NormaliseContext<'_>) -> Event {
        self.identity(ctx);
        let (timestamp, said) = self.clock.bound(std::mem::take(&mut self.timestamp));
        self.event.timestamp = timestamp;
        self.event.client_timestamp = said;
        match release_name(self.release.take()) {
            Ok(release) => self.event.release = release,
            Err(Misnamed) => self.problem("the release is not valid and was left out"),
        }
        self.event.server_name = text(self.server_name.take());
        self.failure();
        let rest = &mut self.rest;
        self.event.breadcrumbs = breadcrumbs::breadcrumbs(self.breadcrumbs.take(), self.clock);
        self.event.request = request::request(self.request.take(), rest);
        // A command line or log shipper has no user at the other end of the connection.
        let remote = !matches!(ctx.transport, Transport::Cli | Transport::Log);
        let peer_ip = ctx.peer_ip.as_deref().filter(|_| remote);
        self.event.user = user::user(self.user.take(), peer_ip);
        let csp = self.csp.take();
        if !csp.is_null() {
            self.event.csp = crate::security::csp_of_event(csp);
        }
        self.event.event_type = match self.declared_type {
            _ if !self.event.exception.is_empty() => EventType::Error,
            Some(declared) => declared,
            None if self.event.csp.is_some() => EventType::Csp,
            None => EventType::Default,
        };
        let (other, left_out) = self.rest.into_map();
        self.event.other = other;
        if left_out {
            self.event.problems.push("some unknown fields were left out".to_owned());
        }
        self.event
    }

    fn identity(&mut self, ctx: &NormaliseContext<'_>) {
        let sent = std::mem::take(&mut self.event_id);
        let payload = sent.as_str().and_then(|text| text.trim().parse().ok());
        if payload.is_none() && !sent.is_null() {
            self.problem("the event id is not valid");
            self.rest.keep("", "event_id", sent);
        }
        self.event.event_id = ctx.header_event_id.or(payload).unwrap_or(ctx.fallback_event_id);
    }

    /// Exceptions, threads, message: what failed.
    fn failure(&mut self) {
        let (exceptions, left_out) = exception::exceptions(self.exception.take(), &mut self.rest);
        self.event.exception = exceptions;
        if left_out > 0 {
            self.problem(&format!("{left_out} exceptions of the chain were left out"));
        }
        self.event.logentry =
            message::logentry(self.logentry.take(), std::mem::take(&mut self.message), &mut self.rest);
        let (threads, left_out) = exception::threads(self.threads.take(), &mut self.rest);
        self.event.threads = threads;
        if left_out > 0 {
            self.problem(&format!("{left_out} threads were left out"));
        }
        let mut stack = stacktrace::stacktrace(self.stacktrace.take(), "stacktrace", &mut self.rest);
        // The oldest SDKs send the stack of their only exception beside it.
        if let [only] = self.event.exception.as_mut_slice()
            && only.stacktrace.is_none()
        {
            only.stacktrace = stack.take();
        }
        self.event.stacktrace = stack;
    }
}

fn from_scrap(value: Value, ctx: &NormaliseContext<'_>) -> Event {
    let mut reading = Reading::new(ctx);
    reading.problem("the payload is not a map of fields");
    match value {
        Value::String(_) => reading.message = value,
        other => reading.rest.keep("", "payload", other),
    }
    reading.finish(ctx)
}

fn fingerprint(value: Value) -> Vec<String> {
    let parts = match value {
        Value::Array(parts) => parts,
        single => vec![single],
    };
    // Empty text stays: `["", "db"]` and `["db"]` are two fingerprints.
    let keep = |part: Value| match part {
        Value::Null => None,
        other => Some(field::line(other)),
    };
    let parts: Vec<String> = parts.into_iter().filter_map(keep).take(FINGERPRINT_PARTS_MAX).collect();
    if parts.iter().all(String::is_empty) { Vec::new() } else { parts }
}

fn sdk(value: Value, rest: &mut Rest) -> Option<Sdk> {
    let mut sdk = Sdk::default();
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match key.as_str() {
                    "name" => sdk.name = text(value),
                    "version" => sdk.version = text(value),
                    // An inventory of the SDK, up to 60 words in each event of Node, and no evidence.
                    "integrations" | "packages" | "features" | "settings" => {}
                    _ => rest.keep("sdk", &key, value),
                }
            }
        }
        other => sdk.name = text(other),
    }
    (sdk.name.is_some() || sdk.version.is_some()).then_some(sdk)
}

fn images(value: Value, rest: &mut Rest) -> Vec<Value> {
    let map = match value {
        Value::Object(map) => map,
        other => {
            rest.keep("", "debug_meta", other);
            return Vec::new();
        }
    };
    let mut images = Vec::new();
    for (key, value) in map {
        match (key.as_str(), value) {
            ("images", Value::Array(list)) => images = list,
            (_, value) => rest.keep("debug_meta", &key, value),
        }
    }
    images.retain(|image| !image.is_null());
    images.truncate(IMAGES_MAX);
    images.iter_mut().for_each(cut_value);
    images
}

/// Payloads of a captured request, for the tests of other modules.
#[cfg(test)]
pub(crate) use self::tests::captured_items;

#[cfg(test)]
mod tests;
