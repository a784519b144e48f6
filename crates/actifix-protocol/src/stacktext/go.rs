//! Go panics and fatal errors with their goroutine dumps.

use super::scan;
use super::{Frame, Language, ParsedException, ParsedTrace};

pub(super) fn parse(lines: &[&str]) -> Option<ParsedTrace> {
    let first = lines.iter().position(|line| starts_goroutine(line))?;
    let start = first.saturating_sub(scan::HEAD_LINES_MAX);
    let head = lines.get(start..first).unwrap_or_default();
    let (mut exceptions, from_panic) = heads(head);
    let frames = frames_from(lines.get(first + 1..).unwrap_or_default());
    if frames.is_empty() {
        return None;
    }
    if exceptions.is_empty() {
        exceptions.push(ParsedException::default());
    }
    if let Some(last) = exceptions.last_mut() {
        last.frames = frames;
    }
    let served = head.iter().any(|line| line.contains("panic serving "));
    let ended = from_panic && !served;
    Some(ParsedTrace { language: Language::Go, exceptions, unhandled: from_panic, fatal: ended })
}

/// `goroutine 12 [running]:`
pub(crate) fn starts_goroutine(line: &str) -> bool {
    let number = line.strip_prefix("goroutine ").and_then(|rest| rest.split_once(" ["));
    number.is_some_and(|(number, state)| {
        number.bytes().all(|byte| byte.is_ascii_digit() || byte == b' ') && state.trim_end().ends_with("]:")
    })
}

/// The panics above the dump, oldest first, and whether there was one.
fn heads(lines: &[&str]) -> (Vec<ParsedException>, bool) {
    let mut exceptions: Vec<ParsedException> = Vec::new();
    let mut texts: Vec<&str> = Vec::new();
    let mut kind = "";
    let mut seen = false;
    for line in lines {
        let text = line.trim_start();
        let found = [("panic: ", "panic"), ("fatal error: ", "fatal error")]
            .iter()
            .find_map(|(word, kind)| text.strip_prefix(word).map(|rest| (rest, *kind)))
            .or_else(|| served_panic(text).map(|rest| (rest, "panic")));
        if let Some((rest, found)) = found {
            if seen {
                exceptions.push(exception(kind, &texts));
            }
            texts = vec![rest];
            kind = found;
            seen = true;
        } else if seen && !text.is_empty() && !text.starts_with("[signal ") && !text.starts_with("goroutine ") {
            texts.push(line);
        }
    }
    if seen {
        exceptions.push(exception(kind, &texts));
    }
    (exceptions, seen)
}

/// `2026/11/24 09:47:29 http: panic serving 10.0.0.1:5000: text`
fn served_panic(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("panic serving ")?;
    rest.split_once(": ").map(|(_, text)| text)
}

fn exception(kind: &str, lines: &[&str]) -> ParsedException {
    let value = scan::join(lines).map(|text| {
        let text = text.split_once(" [recovered").map_or(text.as_str(), |(text, _)| text);
        text.to_owned()
    });
    let text = value.as_deref().unwrap_or("");
    ParsedException { exception_type: Some(type_of(kind, text)), value, ..ParsedException::default() }
}

/// The Go SDK sends the type of the recovered value. The text shows it for errors of the runtime and for
/// values with a named type (`main.Code(3)`); all others are a plain panic.
fn type_of(kind: &str, text: &str) -> String {
    if text.starts_with("runtime error: index out of range") || text.starts_with("runtime error: slice bounds") {
        return "runtime.boundsError".to_owned();
    }
    if text.starts_with("runtime error: ") {
        return "runtime.errorString".to_owned();
    }
    if text.starts_with("interface conversion: ") {
        return "*runtime.TypeAssertionError".to_owned();
    }
    let named = text.split_once('(').map(|(name, _)| name).filter(|name| name.contains('.'));
    match named {
        Some(name) if scan::is_name(name, &['.', '/']) => name.to_owned(),
        _ => kind.to_owned(),
    }
}

/// Frames of the first goroutine, caller first, without the runtime's own and what stands above the panic.
fn frames_from(lines: &[&str]) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    let mut function: Option<&str> = None;
    for line in lines {
        if line.trim().is_empty() || starts_goroutine(line) {
            break;
        }
        if let Some(place) = place_line(line) {
            if let Some(name) = function.take() {
                if name == "panic" || name == "runtime.gopanic" || name.starts_with("runtime/debug.") {
                    frames.clear();
                } else {
                    frames.extend(frame(name, place));
                }
            }
        } else if line.starts_with("created by ") {
            break;
        } else if line.starts_with([' ', '\t']) {
            // "\t...additional frames elided..."
        } else {
            function = line.trim_end().rfind('(').and_then(|_| function_name(line));
        }
    }
    frames.reverse();
    frames
}

/// `main.(*Server).handle(0xc000, {0x1, 0x2})` → `main.(*Server).handle`
fn function_name(line: &str) -> Option<&str> {
    let text = line.trim_end();
    let text = text.strip_suffix(')')?;
    let mut depth = 1_i32;
    for (at, c) in text.char_indices().rev() {
        match c {
            ')' => depth += 1,
            '(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text.get(..at).filter(|name| !name.is_empty() && !name.contains(' '));
        }
    }
    None
}

/// `\t/src/main.go:42 +0x1d`: file and line.
fn place_line(line: &str) -> Option<(&str, u32)> {
    let text = line.strip_prefix(['\t', ' '])?.trim();
    let text = text.split_once(" +0x").map_or(text, |(text, _)| text);
    let (file, line, column) = scan::location(text)?;
    (column.is_none() && file.contains('.')).then_some((file, line))
}

/// True for a line that only a goroutine dump has.
pub(crate) fn is_dump_line(line: &str) -> bool {
    starts_goroutine(line)
        || place_line(line).is_some()
        || line.starts_with("created by ")
        || line.starts_with("[signal ")
        || line.starts_with("\tpanic: ")
        || line.starts_with("exit status ")
        || function_name(line).is_some_and(|name| name.contains('.') || name == "panic")
}

fn frame(name: &str, (file, line): (&str, u32)) -> Option<Frame> {
    let (package, function) = split_package(name);
    if package == "runtime" {
        return None;
    }
    let function = without_brackets(function);
    Some(Frame {
        function: scan::some(&function),
        module: scan::some(&package.replace("%2e", ".")),
        filename: scan::some(scan::base_name(file)),
        abs_path: scan::some(file),
        lineno: Some(line),
        ..Frame::default()
    })
}

/// `example.com/shop/pay.(*Gateway).charge` → package path, `(*Gateway).charge`
fn split_package(name: &str) -> (&str, &str) {
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let dot = name.get(slash..).and_then(|rest| rest.find('.')).map(|at| slash + at);
    match dot {
        Some(dot) => (name.get(..dot).unwrap_or(""), name.get(dot + 1..).unwrap_or("")),
        None => ("", name),
    }
}

/// Generic arguments are not part of a name: `Map[...]` → `Map`.
fn without_brackets(name: &str) -> String {
    let mut depth = 0_u32;
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}
