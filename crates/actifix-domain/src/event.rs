//! The event: one report of one error, normalised to one shape whatever SDK or protocol sent it.
//!
//! Field names are those of `ingest.md` §10.2; the JSON form of this struct is what is stored and what the API shows.

use crate::id::{EventId, PublicKey};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::str::FromStr;

/// Longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 200;
/// Longest string kept in an event, in characters; longer ones are cut with `…`.
pub const STRING_CHARS_MAX: usize = 8_192;

/// Severity as the sender states it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For developers only.
    Debug,
    /// Worth knowing.
    Info,
    /// Something is off.
    Warning,
    /// Something failed.
    #[default]
    Error,
    /// The program ended.
    Fatal,
}

impl Level {
    /// All levels, least severe first.
    pub const ALL: [Self; 5] = [Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Fatal];

    /// The word used everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

impl FromStr for Level {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "trace" | "debug" => Self::Debug,
            "info" | "log" | "notice" => Self::Info,
            "warn" | "warning" => Self::Warning,
            "error" | "err" => Self::Error,
            "fatal" | "critical" | "emergency" | "alert" | "panic" => Self::Fatal,
            _ => return Err("unknown level; one of debug, info, warning, error, fatal".to_owned()),
        })
    }
}

/// What sort of report an event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventType {
    /// An exception was reported.
    Error,
    /// A message was reported.
    #[default]
    Default,
    /// A browser security report.
    Csp,
    /// Words of a user.
    Feedback,
}

/// How an event came in (`ingest.md` §10.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Sentry protocol.
    Sentry,
    /// OpenTelemetry over HTTP.
    Otlp,
    /// Own JSON API.
    Json,
    /// Own command line.
    Cli,
    /// Log lines.
    Log,
}

/// How much the sender of an event is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OriginClass {
    /// Holder of a browser key: anyone.
    Anyone,
    /// Holder of a server key.
    Server,
    /// Holder of an API token, or the local command line.
    Token,
}

/// Where an event came from; facts of ours, not of the sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The ingest key, when one was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PublicKey>,
    /// By which door.
    pub transport: Transport,
    /// How much the sender is trusted.
    pub origin_class: OriginClass,
}

/// A free JSON map, keys sorted.
pub type FreeMap = Map<String, Value>;

fn is_empty_map(map: &FreeMap) -> bool {
    map.is_empty()
}

/// One normalised event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// Identity within the project.
    pub event_id: EventId,
    /// Sort of report.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// When it happened, corrected for clock drift and bounded by the time of receipt.
    pub timestamp: Timestamp,
    /// The sender's own time where it was not believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_timestamp: Option<String>,
    /// Severity.
    pub level: Level,
    /// One line that names the event; set by [`crate::title::title`].
    pub title: String,
    /// Place of the failure; set by [`crate::title::culprit`]. Before that, what the sender gave.
    pub culprit: String,
    /// Language family: `python`, `javascript`, `node`, `native`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Name of the logger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logger: Option<String>,
    /// Route or task name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
    /// Host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Release, at most 250 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Distribution of a release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dist: Option<String>,
    /// Environment, at most 64 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Exception chain, oldest first; the last one is the one caught.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exception: Vec<Exception>,
    /// Message with its template and parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logentry: Option<LogEntry>,
    /// Stack of a message event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stacktrace: Option<Stacktrace>,
    /// Threads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub threads: Vec<Thread>,
    /// What happened before; the last 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub breadcrumbs: Vec<Breadcrumb>,
    /// The HTTP request that was being served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// The user that was affected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// Short keys and values to search by.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Maps by name.
    #[serde(skip_serializing_if = "is_empty_map")]
    pub contexts: FreeMap,
    /// Anything the program added.
    #[serde(skip_serializing_if = "is_empty_map")]
    pub extra: FreeMap,
    /// Installed packages and versions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub modules: BTreeMap<String, String>,
    /// What the SDK sent as fingerprint; one input of grouping.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fingerprint: Vec<String>,
    /// The reporting SDK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sdk: Option<Sdk>,
    /// Loaded images (`debug_meta.images`), as sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub debug_images: Vec<Value>,
    /// Browser security report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csp: Option<Csp>,
    /// Fields that the protocol does not name, redacted and cut.
    #[serde(skip_serializing_if = "is_empty_map")]
    pub other: FreeMap,
    /// What was odd about the input; words of ours only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// One exception of a chain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exception {
    /// Class.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub exception_type: Option<String>,
    /// Text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Module of the class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Thread that raised it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// How it was caught.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<Mechanism>,
    /// Where it was raised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stacktrace: Option<Stacktrace>,
}

/// How an exception was caught.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mechanism {
    /// Name of the hook.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub mechanism_type: Option<String>,
    /// False: nobody caught it. Absent counts as true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handled: Option<bool>,
    /// Made up by the SDK; its type says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<bool>,
    /// Number within a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception_id: Option<i64>,
    /// Number of the parent within a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<i64>,
    /// Attribute of the parent that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// A node of a tree of exceptions, not an error of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_exception_group: Option<bool>,
    /// Signal, errno, Mach exception.
    #[serde(skip_serializing_if = "is_empty_map")]
    pub meta: FreeMap,
    /// Other data of the SDK.
    #[serde(skip_serializing_if = "is_empty_map")]
    pub data: FreeMap,
}

/// Frames, caller first, crash last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stacktrace {
    /// The frames.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<Frame>,
    /// How many were cut out of the middle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_left_out: Option<u32>,
    /// Register values.
    #[serde(skip_serializing_if = "is_empty_map")]
    pub registers: FreeMap,
    /// The text that could not be parsed into frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}

/// One frame.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Frame {
    /// Function as the SDK cleaned it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Function as the compiler named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_function: Option<String>,
    /// Module or class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Short file name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Long file name or URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abs_path: Option<String>,
    /// Line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lineno: Option<u32>,
    /// Column, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub colno: Option<u32>,
    /// Code of the application itself. Before [`crate::in_app`] decided: what the SDK said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_app: Option<bool>,
    /// The line of code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_line: Option<String>,
    /// Lines before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_context: Vec<String>,
    /// Lines after it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_context: Vec<String>,
    /// Local variables.
    #[serde(skip_serializing_if = "is_empty_map")]
    pub vars: FreeMap,
    /// Library or image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Language of this frame where it differs from the event's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Address of the instruction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction_addr: Option<String>,
    /// Address of the symbol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol_addr: Option<String>,
    /// Address of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_addr: Option<String>,
    /// How addresses are to be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addr_mode: Option<String>,
    /// What the frame was before a source map told where it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minified: Option<Box<Minified>>,
    /// Other data of the SDK.
    #[serde(skip_serializing_if = "is_empty_map")]
    pub data: FreeMap,
}

/// A frame of a minified script, as the SDK sent it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Minified {
    /// Function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Short file name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Address of the script.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abs_path: Option<String>,
    /// Line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lineno: Option<u32>,
    /// Column, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub colno: Option<u32>,
}

/// A log message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogEntry {
    /// Template (`invoice %s rejected`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Parameters, list or map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<Value>,
    /// Template with parameters filled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formatted: Option<String>,
}

/// One thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Thread {
    /// Id as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// It crashed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crashed: Option<bool>,
    /// It reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<bool>,
    /// Its stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stacktrace: Option<Stacktrace>,
}

/// One thing that happened before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Breadcrumb {
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// `default`, `http`, `navigation`, …
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub crumb_type: Option<String>,
    /// Dotted category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Data.
    #[serde(skip_serializing_if = "is_empty_map")]
    pub data: FreeMap,
}

/// The HTTP request that was being served. `query_string`, `cookies` and `headers` are lists of pairs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Query.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query_string: Vec<(String, String)>,
    /// Body, text or structure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Cookies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<(String, String)>,
    /// Headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Server environment.
    #[serde(skip_serializing_if = "is_empty_map")]
    pub env: FreeMap,
}

/// The user that was affected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// Id as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// E-mail, masked unless the project keeps personal data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Address, masked unless the project keeps personal data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// Other data.
    #[serde(skip_serializing_if = "is_empty_map")]
    pub data: FreeMap,
    /// Place.
    #[serde(skip_serializing_if = "is_empty_map")]
    pub geo: FreeMap,
}

/// The reporting SDK.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sdk {
    /// `sentry.python`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A browser security report; URLs without query and fragment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Csp {
    /// Effective directive.
    pub directive: String,
    /// What was blocked: `scheme://host`, or `self`, `inline`, `eval`, `data`.
    pub blocked: String,
    /// The page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_url: Option<String>,
    /// The script or style that asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_file: Option<String>,
    /// `enforce` or `report`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disposition: Option<String>,
}

impl Event {
    /// The last exception of the chain: the one caught.
    pub fn last_exception(&self) -> Option<&Exception> {
        self.exception.last()
    }

    /// Nobody caught it: the last exception says `handled: false`.
    pub fn is_unhandled(&self) -> bool {
        self.last_exception()
            .and_then(|exception| exception.mechanism.as_ref())
            .and_then(|mechanism| mechanism.handled)
            == Some(false)
    }

    /// Every stack of the event, to change in place.
    pub fn stacktraces_mut(&mut self) -> impl Iterator<Item = &mut Stacktrace> {
        self.exception
            .iter_mut()
            .filter_map(|exception| exception.stacktrace.as_mut())
            .chain(self.threads.iter_mut().filter_map(|thread| thread.stacktrace.as_mut()))
            .chain(self.stacktrace.as_mut())
    }
}
