//! JVM stacks: `Caused by:`, `... n more`, `Suppressed:`, module and loader prefixes, packaging data.

use super::scan;
use super::{Frame, Language, ParsedException, ParsedTrace};

const CAUSED_BY: &str = "Caused by: ";
const SUPPRESSED: &str = "Suppressed: ";
const THREAD: &str = "Exception in thread \"";
/// Packages of the runtime itself.
const RUNTIME: [&str; 10] = [
    "java.", "javax.", "jdk.", "sun.", "com.sun.", "kotlin.", "kotlinx.", "scala.", "android.", "com.android.",
];

pub(super) fn parse(lines: &[&str]) -> Option<ParsedTrace> {
    let first = lines.iter().position(|line| frame_line(line).is_some())?;
    let start = first.saturating_sub(scan::HEAD_LINES_MAX);
    let head = lines.get(start..first).unwrap_or_default();
    let unhandled = head.iter().any(|line| line.starts_with(THREAD));
    let cleaned: Vec<&str> = head.iter().map(|line| without_thread(line)).collect();
    // A head that is a cause already (the text began in the middle) still names its exception.
    let cleaned: Vec<&str> = cleaned.iter().map(|line| line.strip_prefix(CAUSED_BY).unwrap_or(line)).collect();
    // Innermost frame first while reading, as printed; turned round at the end.
    let mut chain = vec![exception(&cleaned)];
    let mut suppressed_at: Option<usize> = None;
    let mut at = first;
    while let Some(line) = lines.get(at) {
        let text = line.trim_start();
        let indent = scan::indent(line);
        at += 1;
        if text.starts_with(SUPPRESSED) {
            suppressed_at.get_or_insert(indent);
        } else if suppressed_at.is_some_and(|open| indent > open) {
            // Frames and causes of a suppressed exception: not part of the chain.
        } else if let Some(frame) = frame_line(line) {
            suppressed_at = None;
            if let Some(last) = chain.last_mut() {
                last.frames.push(frame);
            }
        } else if let Some(count) = more_count(text) {
            share_frames(&mut chain, count);
        } else if text.starts_with(CAUSED_BY) {
            suppressed_at = None;
            let (cause, next) = read_cause(lines, at - 1);
            chain.push(cause);
            at = next;
        } else if !text.is_empty() {
            break;
        }
    }
    for exception in &mut chain {
        exception.frames.reverse();
    }
    chain.reverse();
    Some(ParsedTrace { language: Language::Java, exceptions: chain, unhandled, fatal: false })
}

fn without_thread(line: &str) -> &str {
    let inner = line.strip_prefix(THREAD).and_then(|rest| rest.split_once("\" "));
    inner.map_or(line, |(_, rest)| rest)
}

/// Reads `Caused by: T: text` with the further lines of its text; answers the index behind them.
fn read_cause<'a>(lines: &[&'a str], at: usize) -> (ParsedException, usize) {
    let mut head: Vec<&'a str> = Vec::new();
    let mut next = at;
    while let Some(line) = lines.get(next) {
        let text = line.trim_start();
        let ends = frame_line(line).is_some() || more_count(text).is_some();
        if ends || head.len() > scan::HEAD_LINES_MAX || (next > at && text.starts_with(CAUSED_BY)) {
            break;
        }
        head.push(if next == at { text.strip_prefix(CAUSED_BY).unwrap_or(text) } else { line });
        next += 1;
    }
    (exception(&head), next)
}

fn exception(head: &[&str]) -> ParsedException {
    let (name, value) = match scan::find_head(head) {
        Some((name, value)) => (Some(name), value),
        None => (None, None),
    };
    let (module, class) = name.map_or((None, None), |name| {
        let (module, class) = scan::split_module(name);
        (module.and_then(scan::some), scan::some(class))
    });
    ParsedException { exception_type: class, value, module, ..ParsedException::default() }
}

/// `... 12 more` and `... 12 common frames omitted`
fn more_count(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("... ")?;
    let (count, words) = rest.split_once(' ')?;
    let known = words.starts_with("more") || words.starts_with("common frames omitted");
    known.then(|| scan::number(count)).flatten().and_then(|count| usize::try_from(count).ok())
}

/// The printer leaves out the frames that a cause shares with its effect; SDKs send them, so they are put back.
fn share_frames(chain: &mut [ParsedException], count: usize) {
    let [.., effect, cause] = chain else { return };
    let start = effect.frames.len().saturating_sub(count);
    let shared = effect.frames.get(start..).unwrap_or_default().to_vec();
    let room = super::FRAMES_MAX.saturating_sub(cause.frames.len());
    cause.frames.extend(shared.into_iter().take(room));
}

/// True for a line that is a frame of this language.
pub(crate) fn is_frame(line: &str) -> bool {
    frame_line(line).is_some()
}

/// `at java.base/java.lang.Thread.run(Thread.java:840) ~[lib.jar:1.2]`
fn frame_line(line: &str) -> Option<Frame> {
    let text = line.trim_start().strip_prefix("at ")?;
    let (name, rest) = text.split_once('(')?;
    let (place, _) = rest.split_once(')')?;
    let name = match name.rsplit_once('/') {
        Some((prefix, name)) if !prefix.contains("$$Lambda") => name,
        _ => name,
    };
    if name.contains(' ') {
        return None;
    }
    let (class, method) = name.rsplit_once('.')?;
    if class.is_empty() || method.is_empty() {
        return None;
    }
    let mut frame = Frame {
        function: scan::some(method),
        module: scan::some(class),
        in_app: RUNTIME.iter().any(|package| class.starts_with(package)).then_some(false),
        ..Frame::default()
    };
    match place {
        "Native Method" | "Unknown Source" => {}
        _ => {
            let (file, number) = place.split_once(':').map_or((place, None), |(f, n)| (f, scan::number(n)));
            let is_source = file == "SourceFile"
                || file.rsplit_once('.').is_some_and(|(stem, end)| {
                    !stem.is_empty() && (2..=6).contains(&end.len()) && scan::is_name(end, &[])
                });
            if !is_source || file.contains([' ', ',']) || (place.contains(':') && number.is_none()) {
                return None;
            }
            frame.filename = scan::some(file);
            frame.lineno = number;
        }
    }
    Some(frame)
}
