//! Log lines become events: JSON lines of the usual loggers, plain lines with a level, stack traces of eight
//! languages (`actifix ingest logs`, `actifix run`).
//!
//! [`LogReader`] is a state machine without I/O: lines go in, finished events come out, whatever the pieces in
//! which the lines arrive. Lines below the level leave no trace in memory. Events are raw: redaction follows.

use actifix_domain::event::Level;
use serde_json::Value;

mod header;
mod join;
mod json_line;
mod logfmt;
mod pending;
mod wrap;

use pending::Pending;

/// Lines of one event; those beyond are cut and counted in the event.
pub const EVENT_LINES_MAX: usize = 1_000;
/// Bytes of one event's lines; lines beyond are cut and counted in the event.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;
/// Bytes of one line; the rest of a longer one is cut.
pub const LINE_BYTES_MAX: usize = 256 * 1024;

/// How lines are to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// JSON where a line is a JSON object, else plain.
    #[default]
    Auto,
    /// JSON only; other lines are skipped.
    Json,
    /// Plain only; a line in braces is text.
    Plain,
}

/// What becomes an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// How lines are to be read.
    pub format: LogFormat,
    /// From this level on a line becomes an event; a stack trace always does.
    pub min_level: Level,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { format: LogFormat::Auto, min_level: Level::Error }
    }
}

/// One event out of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEvent {
    /// Raw event in the Sentry shape, without `event_id`.
    pub value: Value,
    /// Number of its first line, from 1.
    pub first_line_no: u64,
    /// How many lines it spans, cut ones included.
    pub lines: u64,
}

/// Reads lines and joins them to events.
#[derive(Debug, Default)]
pub struct LogReader {
    options: LogOptions,
    line_no: u64,
    pending: Option<Pending>,
    /// The unfinished last line of what was fed.
    carry: Vec<u8>,
    binary_lines: u64,
    foreign_lines: u64,
}

impl LogReader {
    /// A reader at the start of a log.
    pub fn new(options: LogOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Takes bytes cut anywhere. A last line without newline waits for the rest or for [`Self::flush`].
    pub fn feed(&mut self, chunk: &[u8]) -> Vec<LogEvent> {
        let mut events = Vec::new();
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_BYTES_MAX.saturating_sub(self.carry.len());
            let (body, ended) = match piece.split_last() {
                Some((b'\n', body)) => (body, true),
                _ => (piece, false),
            };
            self.carry.extend_from_slice(body.get(..room).unwrap_or(body));
            if ended {
                self.end_line(&mut events);
            }
        }
        events
    }

    /// Takes one line, with or without its line end. Answers the events that are finished by it: an event
    /// is finished by the first line that is not part of it.
    pub fn push(&mut self, line: &str) -> Vec<LogEvent> {
        let mut events = Vec::new();
        self.take(line, &mut events);
        events
    }

    /// Finishes the event under way: at the end of input, or when nothing came for a while.
    pub fn flush(&mut self) -> Vec<LogEvent> {
        let mut events = Vec::new();
        if !self.carry.is_empty() {
            self.end_line(&mut events);
        }
        self.finish(&mut events);
        events
    }

    fn end_line(&mut self, events: &mut Vec<LogEvent>) {
        let bytes = std::mem::take(&mut self.carry);
        // A power failure leaves zeros where the next line begins.
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let text = bytes.get(zeros..).unwrap_or_default();
        if text.contains(&0) {
            self.line_no = self.line_no.saturating_add(1);
            self.binary_lines = self.binary_lines.saturating_add(1);
            return;
        }
        self.take(&String::from_utf8_lossy(text), events);
    }

    /// Lines that were skipped since they hold zeros, which no text does.
    pub const fn binary_lines(&self) -> u64 {
        self.binary_lines
    }

    /// Lines that are of no layout that is known: no level, no time, no stack trace; with [`LogFormat::Json`] no JSON.
    pub const fn foreign_lines(&self) -> u64 {
        self.foreign_lines
    }

    fn take(&mut self, line: &str, events: &mut Vec<LogEvent>) {
        self.line_no = self.line_no.saturating_add(1);
        let line = crate::stacktext::head(line, LINE_BYTES_MAX).trim_end_matches(['\n', '\r']);
        let line = wrap::without_escapes(line);
        let line = wrap::unwrap(&line, self.options.format);
        if self.options.format != LogFormat::Plain
            && let Some(map) = json_line::object(&line.text)
        {
            self.finish(events);
            if let Some(value) = json_line::event(map, self.options.min_level) {
                events.push(LogEvent { value, first_line_no: self.line_no, lines: 1 });
            }
            return;
        }
        let is_blank = line.text.trim().is_empty();
        if self.options.format == LogFormat::Json {
            self.foreign_lines = self.foreign_lines.saturating_add(u64::from(!is_blank));
            return self.finish(events);
        }
        if let Some(pending) = &mut self.pending
            && pending.join(&line)
        {
            return;
        }
        self.finish(events);
        self.pending = Pending::start(line, self.line_no);
        if self.pending.is_none() && !is_blank {
            self.foreign_lines = self.foreign_lines.saturating_add(1);
        }
    }

    fn finish(&mut self, events: &mut Vec<LogEvent>) {
        if let Some(pending) = self.pending.take() {
            events.extend(pending.into_event(self.options.min_level));
        }
    }
}

#[cfg(test)]
mod tests;
