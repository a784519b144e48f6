//! .NET stacks: `--->` inner exceptions, `--- End of`, async and lambda names as the SDK demangles them.

use super::scan;
use super::{Frame, Language, ParsedException, ParsedTrace};

const INNER: &str = "---> ";
const INNER_END: &str = "--- End of inner exception stack trace ---";
const UNHANDLED: [&str; 3] = ["Unhandled exception. ", "Unhandled Exception: ", "Unhandled exception: "];

pub(super) fn parse(lines: &[&str]) -> Option<ParsedTrace> {
    let first = lines.iter().position(|line| frame_line(line).is_some())?;
    let start = first.saturating_sub(scan::HEAD_LINES_MAX);
    let head = lines.get(start..first).unwrap_or_default();
    let unhandled = head.iter().any(|line| UNHANDLED.iter().any(|word| line.starts_with(word)));
    // `open`: outermost first, those whose frames are still to come; `done`: innermost first.
    let mut open: Vec<ParsedException> = heads(head);
    let mut done: Vec<ParsedException> = Vec::new();
    for line in lines.get(first..).unwrap_or_default() {
        let text = line.trim();
        if let Some(frame) = frame_line(line) {
            if let Some(current) = open.last_mut() {
                current.frames.push(frame);
            }
        } else if text == INNER_END {
            if open.len() > 1 {
                done.extend(open.pop());
            }
        } else if text.starts_with("--- End of") || text.is_empty() {
            // A rethrow at another place: the frames go on.
        } else {
            break;
        }
    }
    open.reverse();
    done.append(&mut open);
    for exception in &mut done {
        exception.frames.reverse();
    }
    Some(ParsedTrace { language: Language::DotNet, exceptions: done, unhandled, fatal: false })
}

/// The exceptions named above the first frame, outermost first; at least one.
fn heads(lines: &[&str]) -> Vec<ParsedException> {
    let mut parts: Vec<Vec<&str>> = vec![Vec::new()];
    for line in lines {
        let line = UNHANDLED.iter().find_map(|word| line.strip_prefix(word)).unwrap_or(line);
        let own_line = line.trim_start();
        if let Some(inner) = own_line.strip_prefix(INNER) {
            parts.push(vec![inner]);
            continue;
        }
        // The .NET Framework prints all heads in one line.
        for (at, piece) in line.split(" ---> ").enumerate() {
            if at > 0 {
                parts.push(Vec::new());
            }
            if let Some(part) = parts.last_mut() {
                part.push(piece);
            }
        }
    }
    parts.truncate(super::EXCEPTIONS_MAX);
    parts.iter().map(|part| exception(part)).collect()
}

fn exception(lines: &[&str]) -> ParsedException {
    let cleaned: Vec<&str> = lines.iter().map(|line| without_inner_number(line)).collect();
    let (exception_type, value) = match scan::find_head(&cleaned) {
        Some((name, value)) => (scan::some(name), value),
        None => (None, None),
    };
    ParsedException { exception_type, value, ..ParsedException::default() }
}

/// `(Inner Exception #0) System.X: y` → `System.X: y`
fn without_inner_number(line: &str) -> &str {
    line.strip_prefix("(Inner Exception #").and_then(|rest| rest.split_once(") ")).map_or(line, |(_, rest)| rest)
}

/// True for a line that is a frame of this language.
pub(crate) fn is_frame(line: &str) -> bool {
    frame_line(line).is_some()
}

/// `   at Acme.Cart.Parse[T](String s, Int32 n) in /src/Cart.cs:line 12`
fn frame_line(line: &str) -> Option<Frame> {
    let text = line.trim_start().strip_prefix("at ")?;
    let (name, rest) = text.split_once('(')?;
    let (arguments, place) = rest.rsplit_once(" in ").map_or((rest, None), |(args, place)| (args, Some(place)));
    let (arguments, _) = arguments.rsplit_once(')')?;
    let name = name.trim_end();
    let java_place = arguments == "Native Method" || arguments == "Unknown Source" || arguments.contains(':');
    if name.is_empty() || java_place || name.contains(' ') || !name.contains('.') {
        return None;
    }
    let (module, function) = names(name);
    let mut frame = Frame { function: scan::some(&function), module: scan::some(&module), ..Frame::default() };
    if is_runtime(&module) {
        frame.in_app = Some(false);
    }
    if let Some((file, line)) = place.and_then(|place| place.trim_end().rsplit_once(":line ")) {
        frame.filename = scan::some(scan::base_name(file));
        frame.abs_path = scan::some(file);
        frame.lineno = scan::number(line);
    }
    Some(frame)
}

fn is_runtime(module: &str) -> bool {
    ["System.", "Microsoft.", "Interop.", "Interop+", "Internal."].iter().any(|start| module.starts_with(start))
}

/// Declaring type and method, as the SDK sends them.
fn names(name: &str) -> (String, String) {
    let (module, method) = match name.strip_suffix("..ctor") {
        Some(module) => (module, ".ctor"),
        None => match name.strip_suffix("..cctor") {
            Some(module) => (module, ".cctor"),
            None => split_method(name),
        },
    };
    let method = method.split_once('[').map_or(method, |(method, _)| method);
    // `Acme.Cart.<LoadAsync>d__3` + `MoveNext`: the state machine of an async method.
    if let Some((owner, generated)) = module.rsplit_once(".<").or_else(|| module.rsplit_once("+<")) {
        if method == "MoveNext"
            && let Some((function, _)) = generated.split_once(">d")
        {
            return (owner.to_owned(), function.to_owned());
        }
        return (format!("{owner}+<{generated}"), lambda(method));
    }
    (module.to_owned(), lambda(method))
}

/// Splits before the last `.` that does not stand in `<…>` or `[…]`.
fn split_method(name: &str) -> (&str, &str) {
    let mut depth = 0_i32;
    for (at, c) in name.char_indices().rev() {
        match c {
            '>' | ']' => depth += 1,
            '<' | '[' => depth -= 1,
            '.' if depth == 0 => {
                return (name.get(..at).unwrap_or(""), name.get(at + 1..).unwrap_or(""));
            }
            _ => {}
        }
    }
    ("", name)
}

/// `<Main>b__0_1` → `Main { <lambda> }`
fn lambda(method: &str) -> String {
    let inner = method.strip_prefix('<').and_then(|rest| rest.split_once(">b__"));
    inner.map_or_else(|| method.to_owned(), |(outer, _)| format!("{outer} {{ <lambda> }}"))
}
