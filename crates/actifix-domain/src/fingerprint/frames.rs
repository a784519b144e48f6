//! The frames of one stack as lines: no line numbers, no paths, recursion folded.

use super::line;
use crate::event::{Frame, Stacktrace};
use crate::function_name::{self, Language};
use crate::parameterize::parameterize;
use crate::title;

/// Innermost frames that are kept.
const KEPT_MAX: usize = 8;
/// Longest cycle of frames that counts as recursion.
const CYCLE_MAX: usize = 4;
/// Characters of a line of code that may stand for a function without name.
const CODE_CHARS_MAX: usize = 120;
/// Frames of a stack that are looked at, innermost first; normalisation keeps 100.
const FRAMES_MAX: usize = 1_000;

/// The lines of one stack.
pub(super) struct FrameLines<'a> {
    /// `f:<module>|<function>`, caller first, at most [`KEPT_MAX`].
    pub(super) lines: Vec<String>,
    /// They are the application's own frames.
    pub(super) in_app: bool,
    innermost: Option<(Language, &'a Frame)>,
}

impl<'a> FrameLines<'a> {
    /// The own frames of a stack if there are any, else all.
    pub(super) fn of(stack: Option<&'a Stacktrace>, language: Language) -> Self {
        let frames = stack.map(|stack| stack.frames.as_slice()).unwrap_or_default();
        let frames = frames.get(frames.len().saturating_sub(FRAMES_MAX)..).unwrap_or_default();
        let own = |frame: &Frame| frame.in_app != Some(false);
        let in_app = frames.iter().any(own);
        let mut lines = Vec::with_capacity(frames.len());
        let mut innermost = None;
        for frame in frames.iter().filter(|frame| !in_app || own(frame)) {
            let language = Language::or(frame, language);
            if let Some(text) = frame_line(language, frame) {
                lines.push(text);
                innermost = Some((language, frame));
            }
        }
        let mut lines = (1..=CYCLE_MAX).fold(lines, fold_cycles);
        lines.drain(..lines.len().saturating_sub(KEPT_MAX));
        Self { lines, in_app, innermost }
    }

    /// The place of the innermost frame, for people.
    pub(super) fn place(&self) -> Option<String> {
        self.innermost.and_then(|(language, frame)| title::place(language, frame))
    }
}

/// Nothing for a frame that says nothing stable.
fn frame_line(language: Language, frame: &Frame) -> Option<String> {
    let sent = frame.function.as_deref().unwrap_or_default();
    if sent.contains(": ") {
        return None;
    }
    let name = function_name::normalize(language, sent);
    let module = function_name::module(language, frame);
    let text = if function_name::is_unknown(&name) {
        let code = parameterize(frame.context_line.as_deref()?);
        if !(1..=CODE_CHARS_MAX).contains(&code.chars().count()) {
            return None;
        }
        joined(&module, &format!("~{code}"))
    } else {
        joined(&module, &name)
    };
    Some(line("f:", &text))
}

/// `<module>|<function>`. Where one of them holds the separator itself, the length of the module stands before it, so
/// that no two pairs read the same: such lines have three separators or more, all others one.
fn joined(module: &str, function: &str) -> String {
    if module.contains('|') || function.contains('|') {
        format!("{}|{module}|{function}", module.chars().count())
    } else {
        format!("{module}|{function}")
    }
}

/// Scans from the start; whenever the last `length` kept lines equal those before them, drops them.
fn fold_cycles(lines: Vec<String>, length: usize) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(lines.len());
    for text in lines {
        kept.push(text);
        let (before, last) = kept.split_at(kept.len().saturating_sub(length));
        if last.len() == length && before.ends_with(last) {
            kept.truncate(kept.len() - length);
        }
    }
    kept
}
