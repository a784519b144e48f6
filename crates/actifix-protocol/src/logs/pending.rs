//! The event under way: its lines, and what becomes of them.

use super::header::{self, Header};
use super::join::{Joiner, Stage, starts};
use super::wrap::Line;
use super::{EVENT_BYTES_MAX, EVENT_LINES_MAX, LogEvent};
use crate::stacktext::{self, Language, ParsedTrace};
use actifix_domain::event::Level;
use serde_json::{Map, Value, json};

/// Lines that may become an event.
#[derive(Debug)]
pub(super) struct Pending {
    header: Option<Header>,
    timestamp: Option<String>,
    source: Option<String>,
    lines: Vec<String>,
    bytes: usize,
    cut_lines: u64,
    /// Empty lines at the end, which only count once another line follows.
    blank_lines: u64,
    first_line_no: u64,
    joiner: Joiner,
}

impl Pending {
    /// Starts with a log header or with the first line of a trace; other lines start nothing.
    pub fn start(line: Line, line_no: u64) -> Option<Self> {
        let header = header::parse(&line.text);
        let text = header.as_ref().map_or(line.text.as_str(), |header| header.message.as_str());
        let stage = starts(text);
        if header.is_none() && stage.is_none() {
            return None;
        }
        let joiner = Joiner::new(stage.unwrap_or(Stage::Record), header.is_some());
        let lines = vec![text.to_owned()];
        let bytes = text.len();
        Some(Self {
            header,
            timestamp: line.timestamp,
            source: line.source,
            lines,
            bytes,
            cut_lines: 0,
            blank_lines: 0,
            first_line_no: line_no,
            joiner,
        })
    }

    /// Takes the line if it goes on with this event.
    pub fn join(&mut self, line: &Line) -> bool {
        if line.source != self.source {
            return false;
        }
        let text = match header::parse(&line.text) {
            None => line.text.as_str(),
            // A system log puts its header before every line of a program, continuation lines too.
            Some(next) if next.level.is_none() && next.tag.is_some() && self.has_tag(&next) => {
                return self.take(&next.message);
            }
            Some(_) => return false,
        };
        self.take(text)
    }

    fn has_tag(&self, next: &Header) -> bool {
        self.header.as_ref().is_some_and(|header| header.tag == next.tag)
    }

    fn take(&mut self, text: &str) -> bool {
        let may_trace =
            self.header.as_ref().and_then(|header| header.level).is_none_or(|level| level >= Level::Warning);
        let is_new_trace = self.joiner.stage == Stage::Record && starts(text).is_some();
        if (is_new_trace && !may_trace) || !self.joiner.joins(text) {
            return false;
        }
        if text.trim().is_empty() {
            self.blank_lines += 1;
            return true;
        }
        for _ in 0..std::mem::take(&mut self.blank_lines) {
            self.keep("");
        }
        self.keep(text);
        true
    }

    fn keep(&mut self, text: &str) {
        let fits = self.lines.len() < EVENT_LINES_MAX && self.bytes + text.len() < EVENT_BYTES_MAX;
        if fits && self.cut_lines == 0 {
            self.bytes += text.len() + 1;
            self.lines.push(text.to_owned());
        } else {
            self.cut_lines += 1;
        }
    }

    /// The event, if the lines are one: severe enough, or a trace.
    pub fn into_event(self, min_level: Level) -> Option<LogEvent> {
        let level = self.header.as_ref().and_then(|header| header.level);
        let severe = level.is_some_and(|level| level >= min_level);
        let has_trace = self.lines.len() > 1 || self.joiner.stage != Stage::Record;
        if !severe && !has_trace {
            return None;
        }
        let text = self.lines.join("\n");
        let trace = has_trace
            .then(|| stacktext::parse(&text, None))
            .flatten()
            .filter(|trace| trace.frame_count() > 0 || trace.unhandled || severe);
        // A bare list of frames that names no error is a program looking at itself.
        let is_named = self.header.is_some() || trace.as_ref().is_some_and(names_an_error);
        if !(severe || trace.is_some()) || !is_named {
            return None;
        }
        let lines = self.lines.len() as u64 + self.cut_lines;
        let first_line_no = self.first_line_no;
        let mut members = Map::new();
        let fatal = trace.as_ref().is_some_and(|trace| trace.fatal);
        let level = level.unwrap_or(if fatal { Level::Fatal } else { Level::Error });
        members.insert("level".to_owned(), level.as_str().into());
        if let Some(trace) = &trace {
            members.insert("platform".to_owned(), trace.language.platform().into());
            let mut values = trace.to_values();
            if let Some(Value::Object(last)) = values.last_mut()
                && !last.contains_key("mechanism")
            {
                // A traceback that nobody logged is what a Python program that ends by it leaves behind.
                let unhandled = self.header.is_none() && trace.language == Language::Python;
                let kind = if unhandled { "excepthook" } else { "logging" };
                last.insert("mechanism".to_owned(), json!({ "type": kind, "handled": !unhandled }));
            }
            members.insert("exception".to_owned(), json!({ "values": values }));
        }
        self.describe(&mut members, trace.is_some());
        Some(LogEvent { value: Value::Object(members), first_line_no, lines })
    }

    /// Adds what the header and the wrapper know.
    fn describe(self, members: &mut Map<String, Value>, has_trace: bool) {
        let own_time = self.header.as_ref().and_then(|header| header.timestamp.clone());
        if let Some(timestamp) = own_time.or(self.timestamp) {
            members.insert("timestamp".to_owned(), timestamp.into());
        }
        if let Some(source) = self.source {
            members.insert("tags".to_owned(), json!({ "log.source": source }));
        }
        if self.cut_lines > 0 {
            let note = format!("[{} more lines cut]", self.cut_lines);
            members.insert("extra".to_owned(), json!({ "log.cut": note }));
        }
        let Some(header) = self.header else { return };
        if let Some(logger) = header.logger {
            members.insert("logger".to_owned(), logger.into());
        }
        if let Some(host) = header.host {
            members.insert("server_name".to_owned(), host.into());
        }
        let mut extra = header.fields;
        // The text of a record is its first line; without a trace its further lines belong to it.
        let message = match self.lines.split_first() {
            Some((first, rest)) if first.is_empty() || !has_trace => {
                let rest = if has_trace { rest.get(..1).unwrap_or_default() } else { rest };
                let mut all = vec![first.as_str()];
                all.extend(rest.iter().map(String::as_str));
                all.join("\n").trim().to_owned()
            }
            Some((first, _)) => first.trim().to_owned(),
            None => String::new(),
        };
        if !message.is_empty() {
            members.insert("logentry".to_owned(), json!({ "message": message }));
        }
        if !extra.is_empty() {
            if let Some(Value::Object(more)) = members.remove("extra") {
                extra.extend(more);
            }
            members.insert("extra".to_owned(), Value::Object(extra));
        }
    }
}

fn names_an_error(trace: &ParsedTrace) -> bool {
    trace.exceptions.iter().any(|exception| exception.exception_type.is_some() || exception.value.is_some())
}
