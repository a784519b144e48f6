//! Which function of the source a minified name stands for.
//!
//! A map names the identifiers of a script, not its functions. So each named place of the script is looked at: where the
//! text around it defines a function of that name, the pair is kept. A frame brings the minified name and a place in the
//! function; the last definition of that name before the place is the one.

use super::index::{Function, NONE, Token};

/// Text after a name that is looked at, bytes: room for the parameters of a function.
const AHEAD_BYTES_MAX: usize = 400;
/// Text before a name that is looked at, bytes: `async function* `.
const BEHIND_BYTES_MAX: usize = 24;
/// Longest minified name, bytes.
const NAME_BYTES_MAX: usize = 80;

/// Functions of a script, by place. One walk over the text: the places are in order.
pub(super) fn find(script: &str, tokens: &[Token]) -> Vec<Function> {
    let mut found = Vec::new();
    let mut lines = script.split('\n').enumerate().peekable();
    let mut cursor = Cursor::default();
    for token in tokens.iter().filter(|token| token.name != NONE) {
        let wanted = usize::try_from(token.line).unwrap_or(usize::MAX);
        while lines.peek().is_some_and(|(number, _)| *number < wanted) {
            lines.next();
            cursor = Cursor::default();
        }
        let Some((_, line)) = lines.peek() else { break };
        let Some(at) = cursor.advance(line, token.column) else { continue };
        if let Some(name) = defined_at(line, at) {
            found.push(Function {
                line: token.line,
                column: token.column,
                minified: name.to_owned(),
                name: token.name,
            });
        }
    }
    found
}

/// A place in a line: columns count UTF-16 units, text is UTF-8.
#[derive(Default)]
struct Cursor {
    column: u32,
    byte: usize,
}

impl Cursor {
    fn advance(&mut self, line: &str, column: u32) -> Option<usize> {
        if self.column > column {
            return None;
        }
        for c in line.get(self.byte..)?.chars() {
            if self.column >= column {
                break;
            }
            self.column += u32::try_from(c.len_utf16()).unwrap_or(1);
            self.byte += c.len_utf8();
        }
        (self.column == column).then_some(self.byte)
    }
}

/// The identifier at a place, if the text around it defines a function or class of that name.
fn defined_at(line: &str, at: usize) -> Option<&str> {
    let rest = line.get(at..)?;
    // No further than a name may reach: a script can be one word of many MiB with a million places in it.
    let letters = rest.char_indices().take_while(|(at, c)| *at <= NAME_BYTES_MAX && is_name(*c));
    let end = letters.last().map_or(0, |(at, c)| at + c.len_utf8());
    let name = rest.get(..end).filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX)?;
    let before = tail(line.get(..at)?);
    let after = head(rest.get(end..)?);
    (is_declared(before) || is_assigned(after) || is_method(after)).then_some(name)
}

/// `function name`, `function* name`, `class name`.
fn is_declared(before: &str) -> bool {
    let trimmed = before.trim_end();
    let word = trimmed.strip_suffix('*').map_or(trimmed, str::trim_end);
    let is_word = |keyword: &str| {
        word.strip_suffix(keyword).is_some_and(|rest| !rest.ends_with(is_name))
            && before.len() > keyword.len()
    };
    (trimmed.len() < before.len() || trimmed.ends_with('*')) && (is_word("function") || is_word("class"))
}

/// `name=function`, `name:async function`, `name=(a,b)=>`, `name=a=>`.
fn is_assigned(after: &str) -> bool {
    let after = after.trim_start();
    let Some(value) = after.strip_prefix([':', '=']).filter(|value| !value.starts_with('=')) else {
        return false;
    };
    let value = value.trim_start();
    let value = value.strip_prefix("async").map_or(value, str::trim_start);
    if value.strip_prefix("function").is_some_and(|rest| !rest.starts_with(is_name)) {
        return true;
    }
    let parameters = match value.strip_prefix('(') {
        Some(inside) => closing(inside),
        None => value.find(|c: char| !is_name(c)).filter(|end| *end > 0).and_then(|end| value.get(end..)),
    };
    parameters.is_some_and(|rest| rest.trim_start().starts_with("=>"))
}

/// `name(a,b){`.
fn is_method(after: &str) -> bool {
    after.strip_prefix('(').and_then(closing).is_some_and(|rest| rest.trim_start().starts_with('{'))
}

/// What follows the bracket that closes the one before `inside`.
fn closing(inside: &str) -> Option<&str> {
    let mut depth = 1u32;
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return inside.get(at + 1..);
        }
    }
    None
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

fn tail(text: &str) -> &str {
    let mut start = text.len().saturating_sub(BEHIND_BYTES_MAX);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text.get(start..).unwrap_or_default()
}

fn head(text: &str) -> &str {
    let mut end = text.len().min(AHEAD_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_told_from_uses() {
        for (text, name) in [
            ("function a(b){", Some("a")),
            ("async function* a(b){", Some("a")),
            ("class a{", Some("a")),
            (";a=function(){", Some("a")),
            ("{a:function(){", Some("a")),
            ("const a=(b,c)=>b", Some("a")),
            ("const a=async b=>b", Some("a")),
            ("{a(b,c){return", Some("a")),
            ("x=a(b)", None),
            ("a=b", None),
            ("a==(b)", None),
            ("myfunction a", None),
            ("functionally;a(b);", None),
            ("a=functional(b)", None),
        ] {
            let at = text.find('a').unwrap();
            let places: Vec<usize> = text.match_indices('a').map(|(at, _)| at).collect();
            let hit = places.iter().find_map(|at| {
                let single = !text[..*at].ends_with(is_name) && !text[*at + 1..].starts_with(is_name);
                single.then(|| defined_at(text, *at)).flatten()
            });
            assert_eq!(hit, name, "{text} at {at}");
        }
    }

    #[test]
    fn columns_count_utf16_units() {
        let token =
            |column, name| Token { line: 0, column, source: 0, source_line: 0, source_column: 0, name };
        let found = find("/*\u{1F980}*/function a(){}", &[token(15, 3)]);
        assert_eq!(found.len(), 1, "six units before the keyword, nine of it");
        assert_eq!((found[0].minified.as_str(), found[0].name), ("a", 3));
    }
}
