//! Ruby backtraces: crash first or crash last, quotes before and since 3.4, causes, Rails' log form.

use super::scan;
use super::{Frame, Language, ParsedException, ParsedTrace};

pub(super) fn parse(lines: &[&str]) -> Option<ParsedTrace> {
    let mut chain: Vec<ParsedException> = Vec::new();
    let mut unhandled = false;
    let mut head: Vec<&str> = Vec::new();
    // Frames of the crash-last form stand above the exception, outermost first.
    let mut above: Vec<Frame> = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        if let Some((frame, text)) = crash_line(line) {
            let (exception, next) = with_text(lines, at, text);
            at = next;
            let mut exception = exception;
            let crash_last = !above.is_empty();
            exception.frames = std::mem::take(&mut above);
            if crash_last {
                exception.frames.push(frame);
            } else {
                exception.frames.push(frame);
                at = frames_below(lines, at, &mut exception.frames);
                exception.frames.reverse();
            }
            unhandled |= chain.is_empty() && head.is_empty();
            chain.push(exception);
            head.clear();
        } else if let Some((numbered, frame)) = frame_line(line) {
            if numbered {
                above.push(frame);
                continue;
            }
            let mut frames = vec![frame];
            at = frames_below(lines, at, &mut frames);
            frames.reverse();
            if chain.is_empty() {
                chain.push(ParsedException { frames, ..head_of(&head) });
            }
            head.clear();
        } else if !line.trim().is_empty() && !is_traceback(line) {
            head.push(line);
            if head.len() > scan::HEAD_LINES_MAX {
                head.remove(0);
            }
        }
    }
    // The exception that was raised last is printed first, its causes below it.
    chain.reverse();
    (!chain.is_empty()).then_some(ParsedTrace { language: Language::Ruby, exceptions: chain, unhandled, fatal: false })
}

fn is_traceback(line: &str) -> bool {
    line.trim() == "Traceback (most recent call last):"
}

/// True for a line that is a frame or a crash line of this language.
pub(crate) fn is_frame(line: &str) -> bool {
    frame_line(line).is_some() || crash_line(line).is_some()
}

/// `app.rb:3:in 'Cart#pay': text (RuntimeError)`: the frame, and the text with the type.
pub(crate) fn crash_line(line: &str) -> Option<(Frame, &str)> {
    let line = line.trim_end();
    let (place, text) = match line.find(":in ") {
        Some(at) => {
            let (place, label) = (line.get(..at)?, line.get(at + 4..)?);
            let label = label.strip_prefix(['`', '\''])?;
            let end = label.find("': ")?;
            return Some((frame(place, label.get(..end))?, label.get(end + 3..)?));
        }
        None => line.split_once(": ")?,
    };
    // At top level without a label: `app.rb:3: text (Type)`.
    let has_type = split_type(text).is_some();
    let frame = frame(place, None)?;
    (has_type && place.contains(".rb:")).then_some((frame, text))
}

/// `text (Net::ReadTimeout)` → text and type.
fn split_type(text: &str) -> Option<(&str, &str)> {
    let (value, name) = text.trim_end().strip_suffix(')')?.rsplit_once('(')?;
    let is_class = scan::is_name(name, &[':']) && name.starts_with(|c: char| c.is_uppercase());
    is_class.then(|| (value.trim_end(), name))
}

/// Reads the type off the text. Of a text with several lines the type stands at the end of the first.
fn with_text(lines: &[&str], at: usize, text: &str) -> (ParsedException, usize) {
    if text == "unhandled exception" {
        return (ParsedException { exception_type: scan::some("RuntimeError"), ..ParsedException::default() }, at);
    }
    let mut next = at;
    let mut rest: Vec<&str> = Vec::new();
    while let Some(line) = lines.get(next) {
        let ends = frame_line(line).is_some() || crash_line(line).is_some() || line.trim().is_empty();
        if ends || rest.len() >= scan::HEAD_LINES_MAX {
            break;
        }
        rest.push(line);
        next += 1;
    }
    let (first, name) = split_type(text).map_or((text, None), |(first, name)| (first, Some(name)));
    let mut all = vec![first];
    // Without a frame behind them the lines are other output, not text.
    let owned = lines.get(next).is_some_and(|line| frame_line(line).is_some());
    if owned {
        all.extend(rest);
    } else {
        next = at;
    }
    (named(name.unwrap_or("RuntimeError"), scan::join(&all)), next)
}

/// SDKs send the whole class as type and its namespace once more as module.
fn named(name: &str, value: Option<String>) -> ParsedException {
    ParsedException {
        exception_type: scan::some(name),
        value,
        module: name.rsplit_once("::").and_then(|(module, _)| scan::some(module)),
        ..ParsedException::default()
    }
}

/// `RuntimeError (text):` (Rails), `RuntimeError: text`, `text (RuntimeError)`.
fn head_of(lines: &[&str]) -> ParsedException {
    for (at, line) in lines.iter().enumerate() {
        let line = line.trim();
        if let Some((name, text)) = line.strip_suffix("):").and_then(|line| line.split_once(" ("))
            && scan::is_name(name, &[':'])
            && name.starts_with(|c: char| c.is_uppercase())
        {
            return named(name, scan::some(text));
        }
        if let Some((text, name)) = split_type(line)
            && scan::is_exception_name(name)
        {
            return named(name, scan::some(text));
        }
        if let Some((name, value)) = scan::find_head(lines.get(at..=at).unwrap_or_default()) {
            return named(name, value);
        }
    }
    ParsedException::default()
}

fn frames_below(lines: &[&str], at: usize, frames: &mut Vec<Frame>) -> usize {
    let mut next = at;
    while let Some(line) = lines.get(next) {
        let text = line.trim();
        if let Some((_, frame)) = frame_line(line) {
            frames.push(frame);
        } else if !(text.starts_with("... ") && text.ends_with(" levels...")) {
            break;
        }
        next += 1;
    }
    next
}

/// `\tfrom app.rb:9:in '<main>'`, `\t 2: from …` (numbered: crash last), `app.rb:9:in 'pay'`.
fn frame_line(line: &str) -> Option<(bool, Frame)> {
    let text = line.trim();
    let (numbered, text) = match text.split_once(": from ") {
        Some((number, rest)) if scan::number(number).is_some() => (true, rest),
        _ => (false, text.strip_prefix("from ").unwrap_or(text)),
    };
    let from = numbered || line.trim_start().starts_with("from ");
    match text.split_once(":in ") {
        Some((place, label)) => {
            let label = label.strip_prefix(['`', '\''])?.strip_suffix('\'')?;
            Some((numbered, frame(place, Some(label))?))
        }
        None if from => Some((numbered, frame(text, None)?)),
        None => None,
    }
}

fn frame(place: &str, label: Option<&str>) -> Option<Frame> {
    let (file, line, column) = scan::location(place)?;
    if column.is_some() || file.contains("://") {
        return None;
    }
    let (module, function) = label.map_or((None, None), split_label);
    let inside = file.rsplit_once("/gems/").map(|(_, rest)| rest);
    Some(Frame {
        function: function.and_then(scan::some),
        module: module.and_then(scan::some),
        filename: scan::some(inside.unwrap_or(file).trim_start_matches("./")),
        abs_path: scan::some(file),
        lineno: Some(line),
        ..Frame::default()
    })
}

/// `Shop::Cart#pay` → module and method, as the SDK's pattern does; `block in Shop::Cart#pay` stays whole.
fn split_label(label: &str) -> (Option<&str>, Option<&str>) {
    match label.split_once('#') {
        Some((module, method)) if scan::is_name(module, &[':']) => (Some(module), Some(method)),
        _ => (None, Some(label)),
    }
}
