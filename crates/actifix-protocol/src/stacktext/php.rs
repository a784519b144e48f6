//! PHP: uncaught exceptions, `Next` chains, `Stack trace:` lists, Monolog's form.

use super::scan;
use super::{Frame, Language, ParsedException, ParsedTrace};

const STACK: [&str; 2] = ["Stack trace:", "[stacktrace]"];

/// One exception's head: class, text, file, line.
struct Head<'a> {
    class: &'a str,
    value: Option<String>,
    file: &'a str,
    line: u32,
}

pub(super) fn parse(lines: &[&str]) -> Option<ParsedTrace> {
    let mut exceptions: Vec<ParsedException> = Vec::new();
    let mut unhandled = false;
    let mut fatal = false;
    let mut head: Vec<&str> = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        fatal |= line.contains("Fatal error: ");
        unhandled |= line.contains("Uncaught ");
        if !is_stack_head(line) {
            head.push(line);
            if head.len() > scan::HEAD_LINES_MAX {
                head.remove(0);
            }
            continue;
        }
        let calls: Vec<Call<'_>> =
            lines.get(at..).unwrap_or_default().iter().map_while(|line| call_line(line)).collect();
        at += calls.len();
        exceptions.extend(exception(read_head(&head), &calls));
        head.clear();
    }
    let fatal = fatal && unhandled;
    (!exceptions.is_empty()).then_some(ParsedTrace { language: Language::Php, exceptions, unhandled, fatal })
}

/// True for the line above the list of calls.
pub(crate) fn is_stack_head(line: &str) -> bool {
    STACK.contains(&line.trim())
}

/// True for a line of the list, or the line that ends it.
pub(crate) fn is_call(line: &str) -> bool {
    call_line(line).is_some() || line.starts_with("  thrown in ") || line.starts_with("Next ")
}

/// One call: where it was made, and of what.
struct Call<'a> {
    place: Option<(&'a str, u32)>,
    function: Option<&'a str>,
}

/// `#0 /app/x.php(12): Acme\Cart->pay(Object(Order))`, `#1 [internal function]: f()`, `#2 {main}`
fn call_line(line: &str) -> Option<Call<'_>> {
    let text = line.trim().strip_prefix('#')?;
    let (number, rest) = text.split_once(' ')?;
    scan::number(number)?;
    if rest.starts_with("{main}") {
        return Some(Call { place: None, function: None });
    }
    let (place, function) = rest.split_once(": ")?;
    let function = function.split_once('(').map_or(function, |(function, _)| function);
    let place = place.strip_suffix(')').and_then(|place| place.rsplit_once('('));
    let place = place.and_then(|(file, line)| Some((file, scan::number(line)?)));
    Some(Call { place, function: scan_function(function) })
}

fn scan_function(name: &str) -> Option<&str> {
    (!name.is_empty() && name.len() <= 512).then_some(name)
}

/// Finds the head in the lines above `Stack trace:`; the text may have several lines.
fn read_head<'a>(lines: &[&'a str]) -> Option<Head<'a>> {
    lines.iter().enumerate().rev().find_map(|(at, line)| {
        let below = lines.get(at + 1..).unwrap_or_default();
        monolog_head(line).or_else(|| uncaught_head(line, below))
    })
}

/// `PHP Fatal error:  Uncaught Acme\PayError: text in /app/x.php:12`, `Next Acme\PayError: …`
fn uncaught_head<'a>(line: &'a str, below: &[&'a str]) -> Option<Head<'a>> {
    let text = match line.split_once("Uncaught ") {
        Some((_, text)) => text,
        None => line.strip_prefix("Next ").unwrap_or(line).trim_start(),
    };
    // The text is missing in `Uncaught Exception in /app/x.php:12`.
    let (class, rest) = match text.split_once(": ") {
        Some((class, rest)) if is_class(class) => (class, rest),
        _ => {
            let (class, _) = text.split_once(" in ")?;
            (class, text.get(class.len()..)?)
        }
    };
    if !is_class(class) {
        return None;
    }
    let mut all = vec![rest];
    all.extend(below.iter().filter(|line| !line.trim().is_empty()));
    let (last, before) = all.split_last()?;
    let (end, place) = last.rsplit_once(" in ").or_else(|| last.strip_prefix("in ").map(|place| ("", place)))?;
    let (file, line) = place.trim().rsplit_once(':')?;
    let mut texts = before.to_vec();
    texts.push(end);
    Some(Head { class, value: scan::join(&texts), file, line: scan::number(line)? })
}

/// `… [object] (Acme\PayError(code: 0): text at /app/x.php:12)`
fn monolog_head(line: &str) -> Option<Head<'_>> {
    let (_, rest) = line.rsplit_once("[object] (")?;
    let (class, rest) = rest.split_once("(code: ")?;
    let (_, rest) = rest.split_once("): ")?;
    let (text, place) = rest.trim_end().strip_suffix(')')?.rsplit_once(" at ")?;
    let (file, line) = place.rsplit_once(':')?;
    is_class(class).then(|| Some(Head { class, value: scan::some(text), file, line: scan::number(line)? }))?
}

fn is_class(name: &str) -> bool {
    scan::is_name(name, &['\\', '@']) && name.contains(|c: char| c.is_uppercase())
}

/// The list tells where each function was called; a frame says where inside a function the program was. So
/// each place belongs to the function of the next call, as the SDK shifts them too.
fn exception(head: Option<Head<'_>>, calls: &[Call<'_>]) -> Option<ParsedException> {
    if head.is_none() && calls.is_empty() {
        return None;
    }
    let mut place = head.as_ref().map(|head| (head.file, head.line));
    let mut frames = Vec::new();
    for call in calls {
        if place.is_some() || call.function.is_some() {
            frames.push(frame(place, call.function));
        }
        place = call.place;
    }
    if place.is_some() {
        frames.push(frame(place, None));
    }
    frames.reverse();
    let (class, value) = head.map_or((None, None), |head| (scan::some(head.class), head.value));
    Some(ParsedException { exception_type: class, value, frames, ..ParsedException::default() })
}

fn frame(place: Option<(&str, u32)>, function: Option<&str>) -> Frame {
    Frame {
        function: function.map(|name| name.replace("->", "::")),
        filename: place.and_then(|(file, _)| scan::some(file)),
        abs_path: place.and_then(|(file, _)| scan::some(file)),
        lineno: place.map(|(_, line)| line),
        ..Frame::default()
    }
}
