//! JavaScript stacks: V8 (`at f (file:1:2)`), Firefox and Safari (`f@url:1:2`), causes as Node prints them.

use super::scan;
use super::{Frame, Language, ParsedException, ParsedTrace};

const UNCAUGHT: [&str; 4] = ["Uncaught (in promise) ", "Uncaught ", "Unhandled Rejection: ", "error: Uncaught "];

pub(super) fn parse(lines: &[&str]) -> Option<ParsedTrace> {
    let mut exceptions: Vec<ParsedException> = Vec::new();
    let mut head: Vec<&str> = Vec::new();
    let mut aggregate = false;
    let mut unhandled = false;
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        if frame_line(line).is_none() {
            aggregate |= line.trim_start().starts_with("[errors]:");
            unhandled |= line.starts_with("Node.js v") || UNCAUGHT.iter().any(|word| line.starts_with(word));
            head.push(line);
            if head.len() > scan::HEAD_LINES_MAX {
                head.remove(0);
            }
            at += 1;
            continue;
        }
        let (frames, next) = frames_from(lines, at);
        at = next;
        let cause = head.iter().rposition(|line| cause_text(line).is_some());
        if exceptions.is_empty() || cause.is_some() || aggregate {
            exceptions.push(exception(&head, cause, frames));
        }
        head.clear();
    }
    exceptions.reverse();
    (!exceptions.is_empty()).then_some(ParsedTrace {
        language: Language::JavaScript,
        exceptions,
        unhandled,
        fatal: false,
    })
}

/// `[cause]: TypeError: x` and `Caused by: TypeError: x`.
fn cause_text(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("[cause]: ").or_else(|| line.strip_prefix("Caused by: "))
}

fn exception(head: &[&str], cause: Option<usize>, frames: Vec<Frame>) -> ParsedException {
    let start = cause.unwrap_or(0);
    let cleaned: Vec<&str> = head
        .get(start..)
        .unwrap_or_default()
        .iter()
        .map(|line| {
            let line = cause_text(line).unwrap_or(line);
            UNCAUGHT.iter().find_map(|word| line.strip_prefix(word)).unwrap_or(line)
        })
        .collect();
    let (exception_type, value) = match scan::find_head(&cleaned) {
        Some((name, value)) => (scan::some(name), value),
        None => custom_head(&cleaned).unwrap_or_default(),
    };
    ParsedException { exception_type, value, frames, ..ParsedException::default() }
}

/// `PaymentDeclined: x` directly above the frames: classes of an application need not end in `Error`.
fn custom_head(lines: &[&str]) -> Option<(Option<String>, Option<String>)> {
    let line = lines.iter().rev().find(|line| !line.trim().is_empty())?;
    let (name, text) = line.trim().split_once(": ")?;
    let is_class = scan::is_name(name, &[]) && name.starts_with(|c: char| c.is_ascii_uppercase());
    let is_level = name.chars().all(|c| c.is_ascii_uppercase());
    (is_class && !is_level).then(|| (scan::some(name), scan::some(text.trim())))
}

/// Reads the run of frames that starts at `at`; answers them caller first, and the index behind the run.
fn frames_from(lines: &[&str], at: usize) -> (Vec<Frame>, usize) {
    let mut frames = Vec::new();
    let mut next = at;
    while let Some(frame) = lines.get(next).and_then(|line| frame_line(line)) {
        frames.push(frame);
        next += 1;
    }
    frames.reverse();
    (frames, next)
}

/// True for a line that is a frame of this language.
pub(crate) fn is_frame(line: &str) -> bool {
    frame_line(line).is_some()
}

fn frame_line(line: &str) -> Option<Frame> {
    let text = line.trim();
    let text = text.strip_suffix(" {").unwrap_or(text);
    match text.strip_prefix("at ") {
        Some(rest) => v8_frame(rest),
        None => gecko_frame(text),
    }
}

fn v8_frame(text: &str) -> Option<Frame> {
    let text = text.strip_prefix("async ").unwrap_or(text);
    let Some((function, place)) = text.split_once(" (").and_then(|(f, p)| Some((f, p.strip_suffix(')')?))) else {
        let (file, line, column) = scan::location(text)?;
        column?;
        return Some(frame(None, file, line, column));
    };
    let (function, place) = match function.split_once(" [as ") {
        Some((function, _)) => (function, place),
        // `Foo.x [as y] (file:1:2)`: the first ` (` may stand in the alias only in hostile text.
        None => (function, place),
    };
    let function = function.strip_prefix("async ").unwrap_or(function);
    if let Some(inner) = place.strip_prefix("eval at ") {
        let outer = inner.rsplit_once(", ").map_or(inner, |(outer, _)| outer);
        let place = outer.rsplit_once('(').map_or(outer, |(_, place)| place).trim_end_matches(')');
        let (file, line, column) = scan::location(place)?;
        return Some(frame(Some(function), file, line, column));
    }
    if place == "<anonymous>" || place == "native" || place.starts_with("index ") {
        return Some(Frame {
            function: scan::some(function),
            filename: scan::some(if place == "native" { "[native code]" } else { "<anonymous>" }),
            in_app: Some(false),
            ..Frame::default()
        });
    }
    let (file, line, column) = scan::location(place)?;
    column?;
    Some(frame(Some(function), file, line, column))
}

/// `f@https://host/app.js:1:2`, `@url:1:2`, `async*f@url:1:2`, `f@[native code]`.
fn gecko_frame(text: &str) -> Option<Frame> {
    let (function, place) = text.rsplit_once('@').filter(|(f, _)| !f.contains(' '))?;
    let function = function.strip_prefix("async*").unwrap_or(function);
    let function = function.rsplit('/').find(|part| !part.is_empty() && *part != "<").unwrap_or(function);
    if place == "[native code]" {
        return Some(Frame {
            function: scan::some(function),
            filename: Some("[native code]".to_owned()),
            in_app: Some(false),
            ..Frame::default()
        });
    }
    let (file, line, column) = scan::location(place)?;
    let is_url = file.contains("://") || file.starts_with('/');
    (is_url && column.is_some()).then(|| frame(Some(function), file, line, column))
}

fn frame(function: Option<&str>, file: &str, line: u32, column: Option<u32>) -> Frame {
    let file = file.strip_prefix("file://").unwrap_or(file);
    let function = function.filter(|function| !function.is_empty()).unwrap_or("?");
    Frame {
        function: scan::some(function),
        module: module_of(file),
        filename: scan::some(file),
        abs_path: scan::some(file),
        lineno: Some(line),
        colno: column,
        in_app: file.starts_with("node:").then_some(false),
        ..Frame::default()
    }
}

/// As the Node SDK names modules: the file without its end; below `node_modules` the package path before it.
fn module_of(file: &str) -> Option<String> {
    if file.contains("://") || file.contains('?') || file.starts_with('<') {
        return None;
    }
    let base = scan::base_name(file);
    let stem = base.rsplit_once('.').map_or(base, |(stem, _)| stem);
    if let Some((_, inside)) = file.rsplit_once("/node_modules/")
        && let Some((folder, _)) = inside.rsplit_once('/')
    {
        return Some(format!("{}:{stem}", folder.replace('/', ".")));
    }
    scan::some(stem)
}
