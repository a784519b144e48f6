//! Stacks and frames.

use super::cut::{as_map, cut_map, free_map};
use super::field::{Rest, flag, line, text, whole};
use actifix_domain::event::{Frame, FreeMap, Minified, Stacktrace};
use serde_json::Value;

/// Most frames kept of one stack.
pub const FRAMES_MAX: usize = FRAMES_FIRST + FRAMES_LAST;
/// Frames kept from the outer end of a longer stack.
const FRAMES_FIRST: usize = 25;
/// Frames kept from the end that failed.
const FRAMES_LAST: usize = 75;
/// Most lines of code kept on either side of the failing one.
const CONTEXT_LINES_MAX: usize = 20;

/// A stack in any of its forms; `None` if nothing is in it. Unknown members go to `rest` under `path`.
pub(crate) fn stacktrace(value: Value, path: &str, rest: &mut Rest) -> Option<Stacktrace> {
    let mut stack = Stacktrace::default();
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match key.as_str() {
                    "frames" => frames(value, &mut stack),
                    "registers" => stack.registers = free_map(value),
                    "frames_omitted" => add_omitted(&value, &mut stack),
                    "raw" => stack.raw = text(value),
                    _ => rest.keep(path, &key, value),
                }
            }
        }
        other => frames(other, &mut stack),
    }
    (stack != Stacktrace::default()).then_some(stack)
}

fn frames(value: Value, stack: &mut Stacktrace) {
    let mut list = match value {
        Value::Array(list) => list,
        Value::Object(map) => vec![Value::Object(map)],
        other => {
            stack.raw = text(other);
            return;
        }
    };
    list.retain(|frame| !frame.is_null());
    if list.len() > FRAMES_MAX {
        let cut = list.len() - FRAMES_MAX;
        list.drain(FRAMES_FIRST..FRAMES_FIRST + cut);
        add_left_out(cut, stack);
    }
    stack.frames = list.into_iter().map(frame).collect();
}

/// `[from, to]`: what the SDK itself left out.
fn add_omitted(value: &Value, stack: &mut Stacktrace) {
    if let Some([from, to]) = value.as_array().map(Vec::as_slice)
        && let (Some(from), Some(to)) = (whole(from), whole(to))
    {
        add_left_out(usize::try_from(to.saturating_sub(from)).unwrap_or(0), stack);
    }
}

fn add_left_out(count: usize, stack: &mut Stacktrace) {
    if count > 0 {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        stack.frames_left_out = Some(stack.frames_left_out.unwrap_or(0).saturating_add(count));
    }
}

fn frame(value: Value) -> Frame {
    let mut frame = Frame::default();
    let Value::Object(map) = value else {
        frame.data = free_map(value);
        return frame;
    };
    // What can't be read as what it should be; joins `data` in the end.
    let mut odd = FreeMap::new();
    for (key, value) in map {
        if !value.is_null() {
            member(&mut frame, &mut odd, key, value);
        }
    }
    if !odd.is_empty() {
        odd.append(&mut frame.data);
        frame.data = odd;
    }
    cut_map(&mut frame.data);
    frame
}

fn member(frame: &mut Frame, odd: &mut FreeMap, key: String, value: Value) {
    match key.as_str() {
        "function" => frame.function = text(value),
        "raw_function" => frame.raw_function = text(value),
        "module" => frame.module = text(value),
        "filename" => frame.filename = text(value),
        "abs_path" => frame.abs_path = text(value),
        "context_line" => frame.context_line = Some(line(value)),
        "pre_context" => {
            let mut lines = lines(value);
            lines.drain(..lines.len().saturating_sub(CONTEXT_LINES_MAX));
            frame.pre_context = lines;
        }
        "post_context" => {
            frame.post_context = lines(value);
            frame.post_context.truncate(CONTEXT_LINES_MAX);
        }
        "vars" => frame.vars = vars(value),
        "package" => frame.package = text(value),
        "platform" => frame.platform = text(value),
        "instruction_addr" => frame.instruction_addr = address(value),
        "symbol_addr" => frame.symbol_addr = address(value),
        "image_addr" => frame.image_addr = address(value),
        "addr_mode" => frame.addr_mode = text(value),
        "data" => frame.data = as_map(value),
        "minified" if value.is_object() => frame.minified = Some(Box::new(minified(value))),
        "lineno" | "colno" | "in_app" => match (key.as_str(), number(&value), flag(&value)) {
            ("lineno", Some(number), _) => frame.lineno = Some(number),
            ("colno", Some(number), _) => frame.colno = Some(number),
            ("in_app", _, Some(flag)) => frame.in_app = Some(flag),
            _ => {
                odd.insert(key, value);
            }
        },
        _ => {
            odd.insert(key, value);
        }
    }
}

/// What a frame was before a source map was applied to it.
fn minified(value: Value) -> Minified {
    let mut out = Minified::default();
    let Value::Object(map) = value else { return out };
    for (key, value) in map {
        match key.as_str() {
            "function" => out.function = text(value),
            "module" => out.module = text(value),
            "filename" => out.filename = text(value),
            "abs_path" => out.abs_path = text(value),
            "lineno" => out.lineno = number(&value),
            "colno" => out.colno = number(&value),
            _ => {}
        }
    }
    out
}

fn number(value: &Value) -> Option<u32> {
    whole(value).and_then(|number| u32::try_from(number).ok())
}

fn address(value: Value) -> Option<String> {
    match value.as_u64() {
        Some(number) => Some(format!("{number:#x}")),
        None => text(value),
    }
}

fn lines(value: Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.into_iter().map(line).collect(),
        other => text(other).into_iter().collect(),
    }
}

/// Local variables; the keys of maps in them may come in quotes (`"'sku'"`), which are taken off.
fn vars(value: Value) -> FreeMap {
    let mut vars = free_map(value);
    unquote_members(&mut vars);
    vars
}

/// Recursion is bounded by the depth of the cut before it.
fn unquote(value: &mut Value) {
    match value {
        Value::Object(map) => unquote_members(map),
        Value::Array(list) => list.iter_mut().for_each(unquote),
        _ => {}
    }
}

fn unquote_members(map: &mut FreeMap) {
    map.values_mut().for_each(unquote);
    // Two keys of one text: the quoted one keeps its quotes.
    let quoted: Vec<String> =
        map.keys().filter(|key| bare(key).is_some_and(|bare| !map.contains_key(bare))).cloned().collect();
    for key in quoted {
        if let (Some(value), Some(bare)) = (map.remove(&key), bare(&key)) {
            map.insert(bare.to_owned(), value);
        }
    }
}

fn bare(key: &str) -> Option<&str> {
    key.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).filter(|bare| !bare.is_empty())
}
