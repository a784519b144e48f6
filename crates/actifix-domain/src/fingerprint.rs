//! Grouping `actifix-group/1`: which events are one ticket (`ingest.md` §13).
//!
//! The key is a hash over a few lines of text, so that it can be explained: the lines are kept with the ticket
//! and say in plain words why two events met.

mod explain;
mod frames;

pub use explain::{EXPLANATION_LINE_CHARS_MAX, EXPLANATION_LINES_MAX, Explanation, Step};

use crate::event::{Event, Exception, Frame, Stacktrace};
use crate::function_name::{self, Language};
use crate::id::Fingerprint;
use crate::matcher;
use crate::parameterize::parameterize;
use crate::project::{FingerprintRule, RULES_MAX};
use crate::title;
use frames::FrameLines;
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// The algorithm; first line under every hash. A change of any rule needs a new name.
pub const VERSION: &str = "actifix-group/1";
/// Exceptions of a chain, or members of an exception group, that shape the key.
pub const BLOCKS_MAX: usize = 5;
/// Exceptions of an event that are looked at.
pub const EXCEPTIONS_MAX: usize = 1_000;
/// Bytes between the braces of a `{{ variable }}`; longer ones are text.
const VARIABLE_BYTES_MAX: usize = 256;

/// What grouping says about one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// The ticket's key.
    pub key: Fingerprint,
    /// Key of tickets that look alike (same error type at the same place); only listed, never merged by itself.
    pub near_key: Option<Fingerprint>,
    /// The lines under the hash, without the version.
    pub lines: Vec<String>,
    /// The same for people, bounded.
    pub explanation: Explanation,
}

/// Groups a redacted event. Wants [`crate::in_app::apply`] to have run, and `event.culprit` still to be what the
/// sender gave. Project rules come first, the first that matches wins. Pure, linear in the event.
pub fn group(event: &Event, rules: &[FingerprintRule]) -> Grouping {
    let language = Language::of_event(event);
    let last =
        event.last_exception().map(|exception| FrameLines::of(exception.stacktrace.as_ref(), language));
    let near_key = near_key(event, last.as_ref());
    let rule = rules
        .iter()
        .take(RULES_MAX)
        .position(|rule| !rule.fingerprint.is_empty() && matcher::all_match(&rule.matchers, event));
    let parts = match rule.and_then(|index| rules.get(index)) {
        Some(rule) => rule.fingerprint.as_slice(),
        None => event.fingerprint.as_slice(),
    };
    let wants_default = matches!(parts, [] | [_]) && parts.iter().all(|part| is_default(part));
    let derived = (wants_default || parts.iter().any(|part| part.contains("default")))
        .then(|| derive(event, language, last));
    let outcome = match derived {
        Some(derived) if wants_default => derived,
        derived => {
            let default_key = derived.map(|derived| hash_lines(&derived.lines).to_string());
            Derived {
                lines: custom_lines(event, language, parts, default_key.as_deref()),
                ..Derived::new(Step::Fingerprint)
            }
        }
    };
    Grouping {
        key: hash_lines(&outcome.lines),
        near_key,
        explanation: Explanation::new(outcome.step, rule, &outcome.lines, outcome.in_app, outcome.place),
        lines: outcome.lines,
    }
}

/// First 32 hex digits of SHA-256 over the lines, [`VERSION`] before them. Lines must hold no newline; those
/// that [`group`] makes never do.
pub fn hash_lines<T: AsRef<str>>(lines: &[T]) -> Fingerprint {
    let mut hash = Sha256::new();
    hash.update(VERSION.as_bytes());
    for line in lines {
        hash.update(b"\n");
        hash.update(line.as_ref().as_bytes());
    }
    let digest = hash.finalize();
    let mut key = [0u8; 16];
    for (to, from) in key.iter_mut().zip(digest.iter()) {
        *to = *from;
    }
    Fingerprint(key)
}

/// Key of the ticket for a monitor that failed or was missed.
pub fn monitor_key(slug: &str) -> Fingerprint {
    hash_lines(&[line("k:", slug)])
}

/// Key of the ticket that collects feedback which belongs to no other ticket.
pub fn feedback_key() -> Fingerprint {
    hash_lines(&["b:feedback"])
}

/// Key of the ticket that stands for all that the cap on held tickets refused.
pub fn flood_key() -> Fingerprint {
    hash_lines(&["t:flood"])
}

/// One line under the hash: white space runs become one space, so that no field can forge a line.
fn line(mark: &str, text: &str) -> String {
    let mut out = String::with_capacity(mark.len() + text.len());
    out.push_str(mark);
    let mut space = false;
    for char in text.chars() {
        let blank = char.is_whitespace();
        if !(blank && space) {
            out.push(if blank { ' ' } else { char });
        }
        space = blank;
    }
    out
}

/// What steps 2 to 6 give.
struct Derived {
    step: Step,
    lines: Vec<String>,
    /// The frames among the lines are the application's own.
    in_app: bool,
    /// Place of the first block's innermost frame, for people.
    place: Option<String>,
}

impl Derived {
    fn new(step: Step) -> Self {
        Self { step, lines: Vec::new(), in_app: false, place: None }
    }

    fn one(step: Step, line: String) -> Self {
        Self { lines: vec![line], ..Self::new(step) }
    }
}

fn derive(event: &Event, language: Language, last: Option<FrameLines<'_>>) -> Derived {
    csp(event)
        .or_else(|| exceptions(event, language, last))
        .or_else(|| message(event))
        .or_else(|| stack(event, language))
        .unwrap_or_else(|| fallback(event))
}

fn csp(event: &Event) -> Option<Derived> {
    let csp = event.csp.as_ref()?;
    if csp.directive.trim().is_empty() && csp.blocked.trim().is_empty() {
        return None;
    }
    let lines = vec![line("p:", &csp.directive), line("p:", &blocked_origin(&csp.blocked))];
    Some(Derived { lines, ..Derived::new(Step::Csp) })
}

/// `scheme://host` of a URL, without user and port; words such as `inline` as they are.
fn blocked_origin(blocked: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = blocked.split_once("://") else { return Cow::Borrowed(blocked) };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_port = authority.rsplit('@').next().unwrap_or_default();
    let host = match host_port.rsplit_once(':') {
        // The colons of an IPv6 address stand inside brackets.
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host_port,
    };
    Cow::Owned(format!("{scheme}://{host}").to_ascii_lowercase())
}

/// One exception's lines: its type, then its frames, or its text where there are none.
struct Block {
    lines: Vec<String>,
    in_app: bool,
    place: Option<String>,
}

impl Block {
    fn new(name: &str, exception: &Exception, frames: FrameLines<'_>) -> Self {
        let mut lines = vec![line("e:", name)];
        let place = frames.place();
        if frames.lines.is_empty() {
            lines.push(line("v:", &parameterize(exception.value.as_deref().unwrap_or_default())));
        }
        lines.extend(frames.lines);
        Self { lines, in_app: frames.in_app, place }
    }
}

fn exceptions(event: &Event, language: Language, last: Option<FrameLines<'_>>) -> Option<Derived> {
    let typed = || {
        event
            .exception
            .iter()
            .rev()
            .take(EXCEPTIONS_MAX)
            .filter_map(|exception| Some((title::real_type(exception)?, exception)))
    };
    let is_group = |exception: &Exception| {
        exception.mechanism.as_ref().and_then(|mechanism| mechanism.is_exception_group) == Some(true)
    };
    let grouped = typed().any(|(_, exception)| is_group(exception));
    let members_exist = grouped && typed().any(|(_, exception)| !is_group(exception));
    let mut last = last;
    let mut block = |(name, exception): (&str, &Exception)| {
        let is_last = event.last_exception().is_some_and(|last| std::ptr::eq(last, exception));
        let ready = if is_last { last.take() } else { None };
        Block::new(
            name,
            exception,
            ready.unwrap_or_else(|| FrameLines::of(exception.stacktrace.as_ref(), language)),
        )
    };
    let blocks: Vec<Block> = if members_exist {
        let mut members: Vec<(String, Block)> = typed()
            .filter(|(_, exception)| !is_group(exception))
            .map(&mut block)
            .map(|block| (block.lines.join("\n"), block))
            .collect();
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        members.dedup_by(|(a, _), (b, _)| a == b);
        members.into_iter().take(BLOCKS_MAX).map(|(_, block)| block).collect()
    } else {
        typed().take(BLOCKS_MAX).map(&mut block).collect()
    };
    let (in_app, place) = blocks.first().map(|block| (block.in_app, block.place.clone()))?;
    let lines = blocks.into_iter().flat_map(|block| block.lines).collect();
    Some(Derived { step: Step::Exceptions, lines, in_app, place })
}

/// The template, so that the parameters do not matter; else what comes nearest.
fn message(event: &Event) -> Option<Derived> {
    let entry = event.logentry.as_ref();
    let template = entry.and_then(|entry| entry.message.as_deref());
    let formatted = entry.and_then(|entry| entry.formatted.as_deref());
    let value = event.last_exception().and_then(|exception| exception.value.as_deref());
    let text =
        [template, formatted, value].into_iter().flatten().map(parameterize).find(|text| !text.is_empty())?;
    Some(Derived::one(Step::Message, line("m:", &text)))
}

fn stack(event: &Event, language: Language) -> Option<Derived> {
    let read = |stack: &Stacktrace| !FrameLines::of(Some(stack), language).lines.is_empty();
    let frames = FrameLines::of(title::crash_stack(event, read), language);
    if frames.lines.is_empty() {
        return None;
    }
    let place = frames.place();
    let mut lines = vec!["s:".to_owned()];
    lines.extend(frames.lines);
    Some(Derived { step: Step::Stack, lines, in_app: frames.in_app, place })
}

fn fallback(event: &Event) -> Derived {
    let given = [event.transaction.as_deref(), Some(event.culprit.as_str())];
    let text = given.into_iter().flatten().find(|text| !text.trim().is_empty());
    Derived::one(Step::Fallback, line("z:", text.unwrap_or(event.level.as_str())))
}

fn near_key(event: &Event, last: Option<&FrameLines<'_>>) -> Option<Fingerprint> {
    let name = event.last_exception()?.exception_type.as_deref().filter(|name| !name.trim().is_empty())?;
    let frame = last?.lines.last()?;
    Some(hash_lines(&[line("n:", name).as_str(), frame.as_str()]))
}

/// A part that is nothing but `{{ default }}`.
fn is_default(part: &str) -> bool {
    let inner = part.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    inner.is_some_and(|name| name.trim() == "default")
}

fn custom_lines(
    event: &Event,
    language: Language,
    parts: &[String],
    default_key: Option<&str>,
) -> Vec<String> {
    parts
        .iter()
        .map(|part| line("c:", &fill_in(part, |name| variable(event, language, name, default_key))))
        .collect()
}

/// Replaces each `{{ name }}` that has a value; others stay as text.
fn fill_in<'a>(part: &'a str, value: impl Fn(&str) -> Option<Cow<'a, str>>) -> Cow<'a, str> {
    if !part.contains("{{") {
        return Cow::Borrowed(part);
    }
    let mut out = String::with_capacity(part.len());
    let mut rest = part;
    while let Some(at) = rest.find("{{") {
        let (before, opening) = rest.split_at(at);
        out.push_str(before);
        let inner = opening.get(2..).unwrap_or_default();
        let end = inner.as_bytes().windows(2).take(VARIABLE_BYTES_MAX).position(|pair| pair == b"}}");
        let name = end.and_then(|end| inner.get(..end));
        match name.and_then(|name| value(name.trim())) {
            Some(value) => {
                out.push_str(&value);
                rest = end.and_then(|end| inner.get(end + 2..)).unwrap_or_default();
            }
            None => {
                out.push_str("{{");
                rest = inner;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Value of a fingerprint variable, empty when the event has none; none when there is no such variable.
fn variable<'a>(
    event: &'a Event,
    language: Language,
    name: &str,
    default_key: Option<&str>,
) -> Option<Cow<'a, str>> {
    let text = |text: Option<&'a str>| Some(Cow::Borrowed(text.unwrap_or_default()));
    let last = event.last_exception();
    let of_frame = |read: fn(Language, &'a Frame) -> Option<Cow<'a, str>>| {
        let frame = title::culprit_frame(event);
        Some(frame.and_then(|frame| read(Language::or(frame, language), frame)).unwrap_or_default())
    };
    match name {
        "default" => default_key.map(|key| Cow::Owned(key.to_owned())),
        "type" => text(last.and_then(|exception| exception.exception_type.as_deref())),
        "value" => text(last.and_then(|exception| exception.value.as_deref())),
        "message" => text(title::message(event)),
        "function" => of_frame(title::known_function),
        "module" => of_frame(|language, frame| Some(function_name::module(language, frame))),
        "transaction" => text(event.transaction.as_deref()),
        "level" => text(Some(event.level.as_str())),
        "logger" => text(event.logger.as_deref()),
        _ => {
            let key = name.strip_prefix("tags.").filter(|key| !key.is_empty())?;
            text(event.tags.get(key).map(String::as_str))
        }
    }
}

#[cfg(test)]
mod tests;
