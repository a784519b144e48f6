//! Python tracebacks: chains, exception groups, syntax errors.

use super::scan;
use super::{Frame, Language, ParsedException, ParsedTrace};

const HEADER: &str = "Traceback (most recent call last):";
const GROUP_HEADER: &str = "Exception Group Traceback (most recent call last):";
const CONTEXT: &str = "During handling of the above exception, another exception occurred:";
const CAUSE: &str = "The above exception was the direct cause of the following exception:";
/// Roots below which a path is a module path.
const LIBRARY_ROOTS: [&str; 2] = ["/site-packages/", "/dist-packages/"];
/// Folders that images and platforms put the application's root in.
const APP_ROOTS: [&str; 6] = ["/usr/src/app/", "/opt/app/", "/var/task/", "/workspace/", "/code/", "/app/"];

/// One line of a traceback, its margin taken off.
struct Line<'a> {
    depth: usize,
    text: &'a str,
}

pub(super) fn parse(lines: &[&str]) -> Option<ParsedTrace> {
    let start = lines.iter().position(|line| is_header(line))?;
    let body = lines.get(start..)?;
    let base = scan::indent(strip_margin(body.first()?).1);
    let margin_free: Vec<Line<'_>> = body.iter().map(|line| read_line(line, base)).collect();
    let mut reader = Reader { exceptions: Vec::new(), open_groups: Vec::new(), next_id: 0 };
    let mut at = 0;
    while let Some(line) = margin_free.get(at) {
        at = if line.text == HEADER || line.text == GROUP_HEADER {
            reader.block(&margin_free, at)
        } else {
            reader.between(&margin_free, at)
        };
    }
    let mut exceptions = reader.finish();
    name_main(&mut exceptions);
    (!exceptions.is_empty()).then_some(ParsedTrace {
        language: Language::Python,
        exceptions,
        unhandled: false,
        fatal: false,
    })
}

/// True for the line that starts a traceback, inside an exception group too.
pub(crate) fn is_header(line: &str) -> bool {
    let text = strip_margin(line).1.trim();
    text == HEADER || text == GROUP_HEADER
}

/// True for the lines that stand between the tracebacks of a chain.
pub(crate) fn is_chain_line(line: &str) -> bool {
    let text = strip_margin(line).1.trim();
    text == CONTEXT || text == CAUSE
}

/// Takes off what exception groups put before a line (`  | `, `  + `): number of margins, rest.
fn strip_margin(line: &str) -> (usize, &str) {
    let trimmed = line.trim_start();
    let spaces = line.len() - trimmed.len();
    if spaces >= 2
        && let Some(rest) = trimmed.strip_prefix(['|', '+'])
        && (rest.is_empty() || rest.starts_with([' ', '-']))
    {
        return (spaces.div_ceil(2), rest.strip_prefix(' ').unwrap_or(rest));
    }
    (0, line)
}

fn read_line(line: &str, base: usize) -> Line<'_> {
    let (depth, rest) = strip_margin(line);
    let own = scan::indent(rest).min(base);
    Line { depth, text: rest.get(own..).unwrap_or(rest).trim_end() }
}

struct Reader {
    exceptions: Vec<ParsedException>,
    /// Numbers of the groups that enclose the current line, with their depths.
    open_groups: Vec<(usize, u32)>,
    next_id: u32,
}

impl Reader {
    /// Reads one `Traceback` block; answers the index of the line after it.
    fn block(&mut self, lines: &[Line<'_>], start: usize) -> usize {
        let mut frames: Vec<Frame> = Vec::new();
        let mut at = start + 1;
        while let Some(line) = lines.get(at) {
            if let Some(frame) = frame_line(line.text) {
                frames.push(frame);
            } else if line.text.starts_with("    ") {
                code_line(&mut frames, line.text.trim());
            } else if line.text.starts_with("  ") && !frames.is_empty() {
                // "[Previous line repeated 12 more times]"
            } else {
                break;
            }
            at += 1;
        }
        let depth = lines.get(start).map_or(0, |line| line.depth);
        self.exception(lines, at, frames, depth)
    }

    /// Reads the `Type: text` line and the further lines of its text.
    fn exception(&mut self, lines: &[Line<'_>], at: usize, mut frames: Vec<Frame>, depth: usize) -> usize {
        let Some(head) = lines.get(at).filter(|line| !line.text.is_empty()) else {
            if !frames.is_empty() {
                self.push(ParsedException { frames, ..ParsedException::default() }, depth);
            }
            return at.max(1);
        };
        let (name, first) = head.text.split_once(": ").unwrap_or((head.text.trim_end_matches(':'), ""));
        if !scan::is_name(name, &['.', '<', '>']) {
            if !frames.is_empty() {
                self.push(ParsedException { frames, ..ParsedException::default() }, depth);
            }
            return at + 1;
        }
        let mut text = vec![first];
        let mut next = at + 1;
        while let Some(line) = lines.get(next) {
            if is_end_of_text(line.text) || line.depth != head.depth {
                break;
            }
            text.push(line.text);
            next += 1;
        }
        let is_group = name.ends_with("ExceptionGroup");
        let mut value = scan::join(&text);
        if is_group && let Some(text) = &mut value {
            trim_group_count(text);
        }
        // A syntax error names the bad file in a frame without function: that line is no caller.
        if name.ends_with("SyntaxError") || name.ends_with("IndentationError") {
            frames.retain(|frame| frame.function.is_some() || frame.lineno.is_some());
        }
        let (module, class) = scan::split_module(name);
        let exception = ParsedException {
            exception_type: scan::some(class),
            value,
            module: module.and_then(scan::some),
            frames,
            is_group,
            ..ParsedException::default()
        };
        self.push(exception, depth);
        next
    }

    fn push(&mut self, mut exception: ParsedException, depth: usize) {
        if exception.is_group || !self.open_groups.is_empty() {
            while self.open_groups.last().is_some_and(|(open, _)| *open >= depth) {
                self.open_groups.pop();
            }
            let id = self.next_id;
            self.next_id += 1;
            exception.exception_id = Some(id);
            exception.parent_id = self.open_groups.last().map(|(_, parent)| *parent);
            if exception.is_group {
                self.open_groups.push((depth, id));
            }
        }
        self.exceptions.push(exception);
    }

    /// A line between blocks: a member of a group may have no traceback of its own (`| ValueError: 1`).
    fn between(&mut self, lines: &[Line<'_>], at: usize) -> usize {
        let Some(line) = lines.get(at) else { return at + 1 };
        let (name, _) = line.text.split_once(": ").unwrap_or((line.text, ""));
        let is_member = line.depth > 1 && !self.open_groups.is_empty() && scan::is_exception_name(name);
        if is_member { self.exception(lines, at, Vec::new(), line.depth) } else { at + 1 }
    }

    /// Oldest first: chains are printed that way already; trees are printed from the root down.
    fn finish(self) -> Vec<ParsedException> {
        let (tree, chain): (Vec<_>, Vec<_>) =
            self.exceptions.into_iter().partition(|exception| exception.exception_id.is_some());
        chain.into_iter().chain(tree.into_iter().rev()).collect()
    }
}

/// `  File "/srv/x.py", line 12, in f`
fn frame_line(text: &str) -> Option<Frame> {
    let rest = text.strip_prefix("  File \"")?;
    let (path, rest) = rest.split_once("\", line ")?;
    let (line, function) = match rest.split_once(", in ") {
        Some((line, function)) => (line, Some(function.trim())),
        None => (rest, None),
    };
    let module = module_of(path);
    let depth = module.as_deref().map_or(1, |module| module.split('.').count());
    let package = scan::base_name(path) == "__init__.py";
    Some(Frame {
        function: function.and_then(scan::some),
        filename: Some(tail(path, depth + usize::from(package))),
        module,
        abs_path: scan::some(path),
        lineno: Some(scan::number(line.trim())?),
        ..Frame::default()
    })
}

/// Keeps the printed line of code; the caret line below it marks a part of it only.
fn code_line(frames: &mut [Frame], text: &str) {
    let is_marker = !text.is_empty() && text.chars().all(|c| matches!(c, '^' | '~' | ' '));
    if let Some(frame) = frames.last_mut()
        && frame.context_line.is_none()
        && !is_marker
        && !text.is_empty()
    {
        frame.context_line = scan::some(text);
    }
}

fn is_end_of_text(text: &str) -> bool {
    text.is_empty()
        || text == CONTEXT
        || text == CAUSE
        || text == HEADER
        || text == GROUP_HEADER
        || (text.starts_with("+-") && text.ends_with("--"))
        || (text.starts_with('-') && text.ends_with("----"))
}

/// `2 jobs failed (2 sub-exceptions)` → `2 jobs failed`, which is what the SDK sends.
fn trim_group_count(text: &mut String) {
    if let Some(open) = text.rfind(" (")
        && let Some(inner) = text.get(open..)
        && (inner.ends_with(" sub-exceptions)") || inner.ends_with(" sub-exception)"))
    {
        text.truncate(open);
    }
}

/// The module as Python would name it, as well as a path tells. The root of an application is not in the
/// text: known roots are cut off, of other absolute paths only the file's own name is certain.
fn module_of(path: &str) -> Option<String> {
    if let Some(frozen) = path.strip_prefix("<frozen ") {
        return scan::some(frozen.trim_end_matches('>'));
    }
    if path.starts_with('<') {
        return None;
    }
    let path = path.replace('\\', "/");
    let relative = LIBRARY_ROOTS
        .iter()
        .find_map(|root| path.rsplit_once(root).map(|(_, rest)| rest))
        .or_else(|| standard_library(&path))
        .or_else(|| path.rsplit_once("/src/").map(|(_, rest)| rest))
        .or_else(|| APP_ROOTS.iter().find_map(|root| path.strip_prefix(root)))
        .unwrap_or_else(|| if is_absolute(&path) { scan::base_name(&path) } else { path.as_str() });
    let stem = relative.strip_suffix(".py").or_else(|| relative.strip_suffix(".pyx")).unwrap_or(relative);
    let stem = stem.trim_start_matches("./");
    if scan::base_name(stem) == "__main__" {
        return Some("__main__".to_owned());
    }
    let stem = stem.strip_suffix("/__init__").unwrap_or(stem);
    scan::some(&stem.replace('/', "."))
}

fn is_absolute(path: &str) -> bool {
    path.starts_with('/') || path.get(1..3) == Some(":/")
}

/// `/usr/lib/python3.11/json/decoder.py` → `json/decoder.py`
fn standard_library(path: &str) -> Option<&str> {
    let (_, rest) = path.rsplit_once("/lib/python")?;
    let (version, rest) = rest.split_once('/')?;
    (version.starts_with(|c: char| c.is_ascii_digit()) && version.len() <= 8).then_some(rest)
}

/// The last `count` parts of a path.
fn tail(path: &str, count: usize) -> String {
    let parts: Vec<&str> = path.split(['/', '\\']).collect();
    let start = parts.len().saturating_sub(count.max(1));
    parts.get(start..).unwrap_or_default().join("/")
}

/// The file whose module-level code is outermost is the script that was run: Python calls it `__main__`.
fn name_main(exceptions: &mut [ParsedException]) {
    let script = exceptions.iter().rev().flat_map(|exception| exception.frames.first()).find_map(|frame| {
        let is_script = frame.function.as_deref() == Some("<module>");
        is_script.then(|| frame.abs_path.clone()).flatten()
    });
    let Some(script) = script else { return };
    for frame in exceptions.iter_mut().flat_map(|exception| &mut exception.frames) {
        if frame.abs_path.as_deref() == Some(&script) {
            frame.module = Some("__main__".to_owned());
        }
    }
}
