//! Which lines belong to the event under way: the print forms of eight languages, line by line.

use crate::stacktext::line::{self, exception_head};

/// Unindented lines of an exception's text that are waited for until its first frame.
const TEXT_LINES_MAX: u8 = 20;
/// The same where no log header proves that the next record will be recognised.
const TEXT_LINES_MAX_BARE: u8 = 3;
/// Empty lines in a row that a trace may have inside.
const BLANK_LINES_MAX: u8 = 2;

/// Where in a trace the event under way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A record without a trace so far.
    Record,
    /// The head of an exception was read, so many lines of its text ago.
    Head(u8),
    /// In the frames of Python; the flag: the exception's own line came.
    Python(bool),
    /// In frames that begin with `at`: JavaScript, Java, .NET.
    At,
    /// In a goroutine dump or the panic above it.
    Go,
    /// In a panic; how many lines of its text came.
    Rust(u8),
    /// In a backtrace.
    Ruby,
    /// In a stack trace or the head above it.
    Php,
}

/// Follows the lines of one event.
#[derive(Debug)]
pub(super) struct Joiner {
    pub stage: Stage,
    /// The event began with a recognised log header.
    has_header: bool,
    blank_lines: u8,
}

/// The stage that a line starts, when it starts a trace.
pub(super) fn starts(text: &str) -> Option<Stage> {
    if line::is_python_header(text) {
        Some(Stage::Python(false))
    } else if line::is_rust_panic(text) {
        Some(Stage::Rust(0))
    } else if text.starts_with("panic: ") || text.starts_with("fatal error: ") || line::is_goroutine(text) {
        Some(Stage::Go)
    } else if text.contains("Fatal error: ") && text.contains("Uncaught ") || line::is_php_stack_head(text) {
        Some(Stage::Php)
    } else if line::is_ruby_frame(text) {
        Some(Stage::Ruby)
    } else if is_head(text) {
        Some(Stage::Head(0))
    } else {
        None
    }
}

/// A line that names an exception whose frames are still to come.
fn is_head(text: &str) -> bool {
    text.starts_with("Exception in thread \"")
        || text.starts_with("Uncaught ")
        || (text.starts_with("Unhandled ") && text.contains(": "))
        || line::is_rails_head(text)
        || (!text.starts_with([' ', '\t']) && exception_head(text).is_some())
}

impl Joiner {
    pub fn new(stage: Stage, has_header: bool) -> Self {
        Self { stage, has_header, blank_lines: 0 }
    }

    /// True when `text` goes on with the event; moves on to the stage that it brings.
    pub fn joins(&mut self, text: &str) -> bool {
        if text.trim().is_empty() {
            self.blank_lines += 1;
            return self.stage != Stage::Record && self.blank_lines <= BLANK_LINES_MAX;
        }
        let after_blank = self.blank_lines > 0;
        let joined = if text.starts_with([' ', '\t']) {
            self.indented(text)
        } else {
            self.chained(text) || self.staged(text, after_blank)
        };
        if joined {
            self.blank_lines = 0;
        }
        joined
    }

    fn indented(&mut self, text: &str) -> bool {
        self.stage = match self.stage {
            Stage::Record if line::is_python_header(text) => Stage::Python(false),
            Stage::Record | Stage::Head(_) if line::is_at_frame(text) => Stage::At,
            Stage::Record | Stage::Head(_) if line::is_ruby_frame(text) => Stage::Ruby,
            Stage::Python(true) if line::is_python_header(text) => Stage::Python(false),
            stage => stage,
        };
        true
    }

    /// Lines that join traces of whatever language to what stands above them.
    fn chained(&mut self, text: &str) -> bool {
        if line::is_python_chain(text) && matches!(self.stage, Stage::Python(_)) {
            return true;
        }
        if line::is_rust_backtrace_head(text) || (text.trim() == "Caused by:" && self.stage != Stage::Record)
        {
            self.stage = Stage::Rust(TEXT_LINES_MAX);
            return true;
        }
        if text.starts_with("Caused by: ") && matches!(self.stage, Stage::At | Stage::Head(_)) {
            self.stage = Stage::Head(0);
            return true;
        }
        false
    }

    fn staged(&mut self, text: &str, after_blank: bool) -> bool {
        match self.stage {
            Stage::Record => match starts(text).filter(|_| !after_blank) {
                Some(stage) => {
                    self.stage = stage;
                    true
                }
                None => false,
            },
            Stage::Head(count) => self.head(text, count, after_blank),
            Stage::Python(done) => self.python(text, done, after_blank),
            Stage::At => {
                line::is_at_frame(text) || text == "}" || text.starts_with("Node.js v") || line::is_more(text)
            }
            Stage::Go => {
                line::is_go_dump(text) || text.starts_with("panic: ") || text.starts_with("fatal error: ")
            }
            Stage::Rust(count) => {
                let text_line = count == 0 && !after_blank;
                self.stage = Stage::Rust(count.saturating_add(1));
                text_line || text.starts_with("note: ")
            }
            Stage::Ruby => line::is_ruby_frame(text) && !(after_blank && line::is_ruby_crash(text)),
            Stage::Php => line::is_php_call(text) || line::is_php_stack_head(text),
        }
    }

    fn head(&mut self, text: &str, count: u8, after_blank: bool) -> bool {
        if line::is_at_frame(text) {
            self.stage = Stage::At;
        } else if line::is_ruby_frame(text) {
            self.stage = Stage::Ruby;
        } else if line::is_php_stack_head(text) {
            self.stage = Stage::Php;
        } else {
            let room = if self.has_header { TEXT_LINES_MAX } else { TEXT_LINES_MAX_BARE };
            self.stage = Stage::Head(count.saturating_add(1));
            return !after_blank && count < room && starts(text).is_none();
        }
        true
    }

    fn python(&mut self, text: &str, done: bool, after_blank: bool) -> bool {
        if line::is_python_header(text) {
            // A second traceback only belongs here behind the line that says so, and that stands after a blank.
            let joins = !done || after_blank;
            self.stage = Stage::Python(false);
            return joins;
        }
        if !done {
            if line::is_ruby_frame(text) {
                self.stage = Stage::Ruby;
            } else {
                self.stage = Stage::Python(true);
            }
            return true;
        }
        // Further lines of the exception's text: certain only where records have headers.
        self.has_header && !after_blank && starts(text).is_none()
    }
}
