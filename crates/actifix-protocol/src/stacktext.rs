//! Stack traces as languages print them, turned into frames.
//!
//! OTLP and log files carry a stack as plain text. Grouping and the culprit need frames, so the text of eight
//! languages is parsed into the form that the Sentry SDK of the same language would have sent: an error seen
//! through both doors then lands in one ticket. Parsers are hand-written scanners, linear in the text; what
//! they do not understand they leave out, and text that is no trace yields `None`.

use serde_json::{Map, Value, json};

mod dotnet;
mod go;
mod java;
mod javascript;
mod php;
mod python;
mod ruby;
mod rust;
mod scan;

pub(crate) use scan::{head, is_name};

/// Bytes of a text that are looked at; the rest is ignored.
pub const TEXT_BYTES_MAX: usize = 1024 * 1024;
/// Lines of a text that are looked at.
pub const LINES_MAX: usize = 20_000;
/// Frames kept of one exception; of longer stacks the ones nearest to the crash stay.
pub const FRAMES_MAX: usize = 500;
/// Exceptions kept of one chain; of longer chains the outermost stay.
pub const EXCEPTIONS_MAX: usize = 50;
/// Bytes kept of one exception's text.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// A language whose stack traces are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// CPython and PyPy.
    Python,
    /// V8, Firefox, Safari, Node, Deno, Bun.
    JavaScript,
    /// Java, Kotlin, Scala and what else runs on a JVM.
    Java,
    /// Go.
    Go,
    /// Ruby, both print orders and both quote styles.
    Ruby,
    /// C#, F#, VB on .NET.
    DotNet,
    /// Rust panics and backtraces.
    Rust,
    /// PHP.
    Php,
}

impl Language {
    /// All of them, in the order in which a text without a hint is tried: the unmistakable ones first.
    pub const ALL: [Self; 8] = [
        Self::Python,
        Self::Rust,
        Self::Go,
        Self::Php,
        Self::Ruby,
        Self::DotNet,
        Self::Java,
        Self::JavaScript,
    ];

    /// The word that events use as `platform`.
    pub const fn platform(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::JavaScript => "javascript",
            Self::Java => "java",
            Self::Go => "go",
            Self::Ruby => "ruby",
            Self::DotNet => "csharp",
            Self::Rust => "native",
            Self::Php => "php",
        }
    }

    /// The language behind a `platform` or a `telemetry.sdk.language`; `None` where stacks are not understood.
    pub fn from_platform(word: &str) -> Option<Self> {
        Some(match word {
            "python" => Self::Python,
            "javascript" | "node" | "nodejs" | "webjs" | "typescript" => Self::JavaScript,
            "java" | "kotlin" | "scala" | "android" => Self::Java,
            "go" => Self::Go,
            "ruby" => Self::Ruby,
            "csharp" | "dotnet" => Self::DotNet,
            "rust" => Self::Rust,
            "php" => Self::Php,
            _ => return None,
        })
    }
}

/// One frame, named as the language's SDK names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Function; `?` where JavaScript has none.
    pub function: Option<String>,
    /// Module, package or class, as the language has it.
    pub module: Option<String>,
    /// Short file name.
    pub filename: Option<String>,
    /// Long file name or URL.
    pub abs_path: Option<String>,
    /// Line, from 1.
    pub lineno: Option<u32>,
    /// Column, from 1.
    pub colno: Option<u32>,
    /// Set only where the text leaves no doubt.
    pub in_app: Option<bool>,
    /// The line of code, where the trace prints it.
    pub context_line: Option<String>,
}

impl Frame {
    /// The frame as a member of `stacktrace.frames`.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        let texts = [
            ("function", &self.function),
            ("module", &self.module),
            ("filename", &self.filename),
            ("abs_path", &self.abs_path),
            ("context_line", &self.context_line),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                map.insert(key.to_owned(), Value::String(text.clone()));
            }
        }
        for (key, number) in [("lineno", self.lineno), ("colno", self.colno)] {
            if let Some(number) = number {
                map.insert(key.to_owned(), number.into());
            }
        }
        if let Some(in_app) = self.in_app {
            map.insert("in_app".to_owned(), Value::Bool(in_app));
        }
        Value::Object(map)
    }
}

/// One exception of a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedException {
    /// Class, without its module where SDKs of the language split it off.
    pub exception_type: Option<String>,
    /// Text.
    pub value: Option<String>,
    /// Module of the class.
    pub module: Option<String>,
    /// Caller first, crash last.
    pub frames: Vec<Frame>,
    /// A node of a tree of exceptions, not an error of its own (Python's exception groups).
    pub is_group: bool,
    /// Number of the parent within a tree, counted like `exception_id`.
    pub parent_id: Option<u32>,
    /// Number within a tree; only set for the members of one.
    pub exception_id: Option<u32>,
}

impl ParsedException {
    /// The exception as a member of `exception.values`; `mechanism` is left to the caller, except for trees.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        let texts = [("type", &self.exception_type), ("value", &self.value), ("module", &self.module)];
        for (key, text) in texts {
            if let Some(text) = text {
                map.insert(key.to_owned(), Value::String(text.clone()));
            }
        }
        if !self.frames.is_empty() {
            let frames: Vec<Value> = self.frames.iter().map(Frame::to_value).collect();
            map.insert("stacktrace".to_owned(), json!({ "frames": frames }));
        }
        if let Some(id) = self.exception_id {
            let mut mechanism = Map::new();
            mechanism.insert("type".to_owned(), "chained".into());
            mechanism.insert("exception_id".to_owned(), id.into());
            if let Some(parent) = self.parent_id {
                mechanism.insert("parent_id".to_owned(), parent.into());
            }
            if self.is_group {
                mechanism.insert("is_exception_group".to_owned(), true.into());
            }
            map.insert("mechanism".to_owned(), Value::Object(mechanism));
        }
        Value::Object(map)
    }
}

/// A stack trace that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedTrace {
    /// Which language printed it.
    pub language: Language,
    /// The chain, oldest first; the last one is the one that was caught or that ended the program.
    pub exceptions: Vec<ParsedException>,
    /// The text itself says that nobody caught it (`Exception in thread`, `Uncaught`, a panic).
    pub unhandled: bool,
    /// The text itself says that the program ended by it (a panic, `PHP Fatal error`).
    pub fatal: bool,
}

impl ParsedTrace {
    /// The chain as `exception.values`, with the mechanism of the last one where the text tells it.
    pub fn to_values(&self) -> Vec<Value> {
        let mut values: Vec<Value> = self.exceptions.iter().map(ParsedException::to_value).collect();
        if self.unhandled
            && let Some(Value::Object(last)) = values.last_mut()
        {
            let kind =
                if matches!(self.language, Language::Rust | Language::Go) { "panic" } else { "generic" };
            let mechanism = last.entry("mechanism").or_insert_with(|| json!({}));
            if let Value::Object(mechanism) = mechanism {
                mechanism.insert("type".to_owned(), kind.into());
                mechanism.insert("handled".to_owned(), false.into());
            }
        }
        values
    }

    /// Frames of all exceptions together.
    pub fn frame_count(&self) -> usize {
        self.exceptions.iter().map(|exception| exception.frames.len()).sum()
    }
}

/// Parses the stack trace in `text`. `hint` is the language the sender named; it is tried first and alone
/// decides where two languages print alike. Text before and after the trace does no harm.
///
/// `None`: no language of ours finds at least one frame, or a whole exception without frames, in it.
pub fn parse(text: &str, hint: Option<Language>) -> Option<ParsedTrace> {
    let lines: Vec<&str> = scan::head(text, TEXT_BYTES_MAX).lines().take(LINES_MAX).collect();
    if let Some(language) = hint
        && let Some(trace) = parse_as(&lines, language)
    {
        return Some(trace);
    }
    let others = Language::ALL.into_iter().filter(|language| Some(*language) != hint);
    let mut best: Option<ParsedTrace> = None;
    for language in others {
        let Some(trace) = parse_as(&lines, language) else { continue };
        if trace.frame_count() > best.as_ref().map_or(0, ParsedTrace::frame_count) || best.is_none() {
            best = Some(trace);
        }
    }
    best
}

fn parse_as(lines: &[&str], language: Language) -> Option<ParsedTrace> {
    let mut trace = match language {
        Language::Python => python::parse(lines),
        Language::JavaScript => javascript::parse(lines),
        Language::Java => java::parse(lines),
        Language::Go => go::parse(lines),
        Language::Ruby => ruby::parse(lines),
        Language::DotNet => dotnet::parse(lines),
        Language::Rust => rust::parse(lines),
        Language::Php => php::parse(lines),
    }?;
    let surplus = trace.exceptions.len().saturating_sub(EXCEPTIONS_MAX);
    trace.exceptions.drain(..surplus);
    for exception in &mut trace.exceptions {
        let surplus = exception.frames.len().saturating_sub(FRAMES_MAX);
        exception.frames.drain(..surplus);
        if let Some(value) = &mut exception.value {
            scan::cut(value, VALUE_BYTES_MAX);
        }
    }
    (!trace.exceptions.is_empty()).then_some(trace)
}

/// What single lines say, for the reader that joins log lines to traces.
pub(crate) mod line {
    pub(crate) use super::go::{is_dump_line as is_go_dump, starts_goroutine as is_goroutine};
    pub(crate) use super::php::{is_call as is_php_call, is_stack_head as is_php_stack_head};
    pub(crate) use super::python::{is_chain_line as is_python_chain, is_header as is_python_header};
    pub(crate) use super::ruby::is_frame as is_ruby_frame;
    pub(crate) use super::rust::{is_backtrace_head as is_rust_backtrace_head, is_panic as is_rust_panic};
    pub(crate) use super::scan::exception_head;

    /// `RuntimeError (text):`, which Rails puts above a backtrace.
    pub(crate) fn is_rails_head(text: &str) -> bool {
        super::ruby::rails_head(text).is_some()
    }

    /// A frame of JavaScript, Java or .NET.
    pub(crate) fn is_at_frame(text: &str) -> bool {
        let is_at = text.trim_start().starts_with("at ");
        (is_at && (super::java::is_frame(text) || super::dotnet::is_frame(text)))
            || super::javascript::is_frame(text)
    }

    /// `... 12 more` without indentation.
    pub(crate) fn is_more(text: &str) -> bool {
        text.starts_with("... ") && text.ends_with(" more")
    }

    /// The line of a Ruby trace that names the exception.
    pub(crate) fn is_ruby_crash(text: &str) -> bool {
        super::ruby::crash_line(text).is_some()
    }
}

#[cfg(test)]
mod tests;
