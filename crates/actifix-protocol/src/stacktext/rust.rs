//! Rust panics, with and without a backtrace, and the error chains of the usual report types.

use super::scan;
use super::{Frame, Language, ParsedException, ParsedTrace};

pub(super) fn parse(lines: &[&str]) -> Option<ParsedTrace> {
    panic_trace(lines).or_else(|| report(lines))
}

/// True for the line that starts a panic.
pub(crate) fn is_panic(line: &str) -> bool {
    panic_head(line).is_some()
}

/// What follows `thread 'main' panicked at `; newer versions print the thread's number too.
fn panic_head(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("thread '")?;
    let (_, rest) = rest.split_once('\'')?;
    let (between, rest) = rest.split_once(" panicked at ")?;
    let number = between.trim().trim_matches(['(', ')']);
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some(rest)
}

fn panic_trace(lines: &[&str]) -> Option<ParsedTrace> {
    let first = lines.iter().position(|line| is_panic(line))?;
    let rest = panic_head(lines.get(first)?)?.trim_end();
    let below = lines.get(first + 1..).unwrap_or_default();
    let end = below.iter().position(|line| is_end_of_text(line)).unwrap_or(below.len());
    let (value, place) = match rest.strip_suffix(':').and_then(scan::location) {
        Some(place) => (scan::join(below.get(..end).unwrap_or_default()), Some(place)),
        None => old_form(rest, below.get(..end).unwrap_or_default()),
    };
    let mut frames = backtrace(below.get(end..).unwrap_or_default());
    if frames.is_empty() {
        frames.extend(place.map(|place| located(None, place)));
    }
    let exception = ParsedException {
        exception_type: Some("panic".to_owned()),
        value,
        frames,
        ..ParsedException::default()
    };
    Some(ParsedTrace { language: Language::Rust, exceptions: vec![exception], unhandled: true, fatal: true })
}

/// Text and place of `'text', src/main.rs:1:2`, where the text may go on over several lines.
fn old_form<'a>(first: &'a str, below: &[&'a str]) -> (Option<String>, Option<(&'a str, u32, Option<u32>)>) {
    let mut all = vec![first];
    all.extend(below);
    let last = all.iter().rposition(|line| line.contains("', ")).unwrap_or(0);
    let lines = all.get(..=last).unwrap_or_default();
    let place = lines.last().and_then(|line| line.rsplit_once("', ")).and_then(|(_, place)| scan::location(place));
    let text = lines.join("\n");
    let text = text.rsplit_once("', ").map_or(text.as_str(), |(text, _)| text);
    (scan::some(text.strip_prefix('\'').unwrap_or(text).trim()), place)
}

fn is_end_of_text(line: &str) -> bool {
    let text = line.trim();
    text.eq_ignore_ascii_case("stack backtrace:") || text.starts_with("note: ") || is_panic(line)
}

/// `Error: text`, `Caused by:` with indented texts, `Stack backtrace:` with frames.
fn report(lines: &[&str]) -> Option<ParsedTrace> {
    let caused = lines.iter().position(|line| line.trim() == "Caused by:");
    let stack = lines.iter().position(|line| is_backtrace_head(line));
    let first = caused.or(stack)?;
    let head = lines.get(..first).unwrap_or_default();
    let start = head.iter().rposition(|line| line.trim_start().starts_with("Error: "))?;
    let mut texts: Vec<&str> = head.get(start..).unwrap_or_default().to_vec();
    if let Some(text) = texts.first_mut() {
        *text = text.trim_start().strip_prefix("Error: ").unwrap_or(text);
    }
    let mut chain = vec![scan::join(&texts)];
    if let Some(caused) = caused {
        let end = stack.filter(|stack| *stack > caused).unwrap_or(lines.len());
        chain.extend(causes(lines.get(caused + 1..end).unwrap_or_default()));
    }
    let frames = stack.map(|stack| backtrace(lines.get(stack..).unwrap_or_default())).unwrap_or_default();
    if frames.is_empty() && chain.len() < 2 {
        return None;
    }
    let mut exceptions: Vec<ParsedException> = chain
        .into_iter()
        .rev()
        .map(|value| ParsedException {
            exception_type: Some("Error".to_owned()),
            value,
            ..ParsedException::default()
        })
        .collect();
    if let Some(outermost) = exceptions.last_mut() {
        outermost.frames = frames;
    }
    Some(ParsedTrace { language: Language::Rust, exceptions, unhandled: false, fatal: false })
}

/// True for the line above the frames.
pub(crate) fn is_backtrace_head(line: &str) -> bool {
    line.trim().eq_ignore_ascii_case("stack backtrace:")
}

/// `    0: text` per cause; a single cause has no number.
fn causes(lines: &[&str]) -> Vec<Option<String>> {
    let mut texts: Vec<String> = Vec::new();
    for line in lines.iter().take_while(|line| line.trim().is_empty() || line.starts_with([' ', '\t'])) {
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        match text.split_once(": ").filter(|(number, _)| scan::number(number).is_some()) {
            Some((_, text)) => texts.push(text.to_owned()),
            None => match texts.last_mut() {
                Some(last) => {
                    last.push('\n');
                    last.push_str(text);
                }
                None => texts.push(text.to_owned()),
            },
        }
        if texts.len() >= super::EXCEPTIONS_MAX {
            break;
        }
    }
    texts.into_iter().map(Some).collect()
}

/// Numbered frames below `stack backtrace:`, caller first, without the panic machinery nearest to the crash.
fn backtrace(lines: &[&str]) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    let Some(head) = lines.iter().position(|line| is_backtrace_head(line)) else { return frames };
    for line in lines.get(head + 1..).unwrap_or_default() {
        if let Some(name) = numbered(line) {
            frames.push(Frame { function: scan::some(&without_hash(name)), ..Frame::default() });
        } else if let Some(place) = line.trim().strip_prefix("at ").and_then(scan::location) {
            if let Some(frame) = frames.last_mut().filter(|frame| frame.lineno.is_none()) {
                *frame = located(frame.function.take(), place);
            }
        } else if !line.trim().is_empty() {
            break;
        }
    }
    let entry = frames.iter().rposition(|frame| {
        frame.function.as_deref().is_some_and(|name| name.ends_with("rust_begin_unwind"))
    });
    if let Some(entry) = entry {
        frames.drain(..=entry);
    }
    frames.reverse();
    frames
}

/// `  12:     0x55d0 - shop::pay::charge` → the name.
fn numbered(line: &str) -> Option<&str> {
    let (number, name) = line.trim_start().split_once(": ")?;
    scan::number(number)?;
    let name = name.trim();
    let name = match name.split_once(" - ") {
        Some((address, name)) if address.starts_with("0x") => name.trim(),
        _ => name,
    };
    (!name.is_empty() && line.starts_with(' ')).then_some(name)
}

/// Symbols end in `::h` and 16 hex digits, which change with every build.
fn without_hash(name: &str) -> String {
    let hash = name.rsplit_once("::h").filter(|(_, hash)| {
        hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    hash.map_or(name, |(name, _)| name).to_owned()
}

fn located(function: Option<String>, (file, line, column): (&str, u32, Option<u32>)) -> Frame {
    Frame {
        function,
        filename: scan::some(scan::base_name(file)),
        abs_path: scan::some(file),
        lineno: Some(line),
        colno: column,
        ..Frame::default()
    }
}
