//! Small scanners that the parsers share. None of them indexes, so none can panic on hostile text.

/// The first `bytes_max` bytes of `text`, cut at a character.
pub(crate) fn head(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    let mut end = bytes_max;
    while end > 0 && !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or("")
}

/// Cuts `text` in place to `bytes_max` bytes.
pub(crate) fn cut(text: &mut String, bytes_max: usize) {
    let keep = head(text, bytes_max).len();
    text.truncate(keep);
}

/// A decimal number that is the whole text.
pub(crate) fn number(text: &str) -> Option<u32> {
    if text.is_empty() || text.len() > 9 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Splits `file:12:34` or `file:12` from the right: file, line, column.
pub(crate) fn location(text: &str) -> Option<(&str, u32, Option<u32>)> {
    let (rest, last) = text.rsplit_once(':')?;
    let last = number(last)?;
    if let Some((file, line)) = rest.rsplit_once(':')
        && let Some(line) = number(line)
        && !file.is_empty()
    {
        return Some((file, line, Some(last)));
    }
    (!rest.is_empty()).then_some((rest, last, None))
}

/// What follows the last `/` or `\`.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Number of leading spaces and tabs.
pub(crate) fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t']).len()
}

/// Joins the lines of a text to one, without the empty ends.
pub(crate) fn join(lines: &[&str]) -> Option<String> {
    let text = lines.join("\n");
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A name of the form `a.b_c.Dd$1`: letters of any script, digits, `_`, `$`, and the extra bytes given;
/// never starting with a digit or ending with a separator.
pub(crate) fn is_name(text: &str, extra: &[char]) -> bool {
    let Some(first) = text.chars().next() else { return false };
    text.len() <= 512
        && (first.is_alphabetic() || first == '_' || first == '$')
        && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$' || extra.contains(&c))
        && !text.ends_with(extra)
}

/// A class name as exceptions have it: upper case after the last separator, or a telling end.
pub(crate) fn is_exception_name(text: &str) -> bool {
    if !is_name(text, &['.', ':']) || text.contains(":::") {
        return false;
    }
    let last = text.rsplit(['.', ':', '$']).next().unwrap_or(text);
    let qualified = last.len() < text.len();
    let telling = ["Error", "Exception", "Throwable", "Failure", "Fault", "Warning", "Interrupt", "Exit", "Timeout", "Group"];
    telling.iter().any(|end| last.ends_with(end))
        || (qualified && last.chars().next().is_some_and(char::is_uppercase))
}

/// Splits at the last `.` into module and name.
pub(crate) fn split_module(name: &str) -> (Option<&str>, &str) {
    match name.rsplit_once('.') {
        Some((module, last)) if !module.is_empty() && !last.is_empty() => (Some(module), last),
        _ => (None, name),
    }
}

/// `Some(text)` unless it is empty.
pub(crate) fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Reads `Type: text`, `Type [CODE]: text` or a bare `Type`; the type must look like an exception's.
pub(crate) fn exception_head(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let (name, text) = match line.split_once(": ") {
        Some((name, text)) => (name, text),
        None => (line.trim_end_matches(':'), ""),
    };
    let name = name.split_once(" [").map_or(name, |(name, _)| name);
    is_exception_name(name).then_some((name, text.trim()))
}

/// Finds the exception in the lines above the first frame of a stack: type, text with its further lines.
///
/// The first line with an exception at its start wins, since texts may have lines that look like one; failing
/// that, an exception that stands inside a line (`ERROR order failed TypeError: x`).
pub(crate) fn find_head<'a>(lines: &[&'a str]) -> Option<(&'a str, Option<String>)> {
    for (at, line) in lines.iter().enumerate() {
        if let Some((name, text)) = exception_head(line) {
            let mut all = vec![text];
            all.extend(lines.get(at + 1..).unwrap_or_default());
            return Some((name, join(&all)));
        }
    }
    let last = lines.iter().rev().find(|line| !line.trim().is_empty())?;
    let (name, text) = embedded_head(last)?;
    Some((name, some(text.trim())))
}

/// `… TypeError: x` → `TypeError`, `x`: the first word that names an exception and is followed by `: `.
fn embedded_head(line: &str) -> Option<(&str, &str)> {
    let mut rest = head(line, 4096);
    while let Some((before, after)) = rest.split_once(": ") {
        let word = before.rsplit([' ', '\t', '(', '"']).next().unwrap_or(before);
        if is_exception_name(word) {
            return Some((word, after));
        }
        rest = after;
    }
    None
}

/// Lines above a stack that may belong to its head.
pub(crate) const HEAD_LINES_MAX: usize = 50;
