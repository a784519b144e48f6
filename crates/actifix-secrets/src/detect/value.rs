//! Where a value starts and ends after a name: separators, quotes at any level of escaping, unquoted words.
use crate::bytes::{at, before, has, run, slice};

/// Longest value that is followed to its end; longer ones are cut here and the rest is looked at anew.
pub(crate) const VALUE_BYTES_MAX: usize = 64 << 10;
/// How much of a value is looked at to tell what it is; of one that goes, the rest follows.
pub(crate) const FIRST_BYTES_MAX: usize = 4 << 10;
/// How much of a value is looked at that stands in a word with many names whose values were refused.
pub(crate) const LOOK_BYTES_MAX: usize = 40;

/// Longest value between doubled quotes.
const DOUBLED_BYTES_MAX: usize = 256;

/// How name and value are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joint {
    /// `=`, `:=`, `=>`, `%3D`, or a colon after a quoted name.
    Assigned,
    /// A colon after a bare name, as in headers, YAML and prose.
    Colon,
    /// White space only.
    Space,
    /// White space after `--name`.
    Flag,
    /// `<name>value</name>`.
    Element,
    /// `('name', 'value')`.
    Tuple,
    /// On the line after the name.
    Line,
}

/// A value and how it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub start: usize,
    pub end: usize,
    pub quoted: bool,
    pub joint: Joint,
}

/// Skips spaces and tabs, at most 16.
pub(crate) fn blanks(text: &[u8], pos: usize) -> usize {
    run(text, pos, 16, |b| b == b' ' || b == b'\t')
}

/// An opening or closing quote at `pos`: (length with its backslashes, level, quote byte).
pub(crate) fn quote(text: &[u8], pos: usize) -> Option<(usize, usize, u8)> {
    let slashes = run(text, pos, 8, |b| b == b'\\') - pos;
    let byte = at(text, pos + slashes);
    if matches!(byte, b'"' | b'\'' | b'`') {
        return Some((slashes + 1, slashes, byte));
    }
    if slashes > 0 {
        return None;
    }
    if byte == b'&'
        && let Some(length) = entity(text, pos)
    {
        return Some((length, 0, b'&'));
    }
    if has(text, pos, b"%22") || has(text, pos, b"%27") {
        return Some((3, 0, b'%'));
    }
    None
}

/// Length of an HTML entity of a quote at `pos`.
fn entity(text: &[u8], pos: usize) -> Option<usize> {
    const ENTITIES: [&[u8]; 6] = [b"&quot;", b"&#39;", b"&#34;", b"&apos;", b"&#x27;", b"&#x22;"];
    ENTITIES.iter().find(|entity| has(text, pos, entity)).map(|entity| entity.len())
}

/// What follows the closing quote of a value that ends at `end`.
pub(crate) fn closed_by(text: &[u8], end: usize) -> usize {
    quote(text, end).map_or(end, |(length, ..)| end + length)
}

/// Reads what follows the name that ends at `pos`; at most `max` bytes of the value.
pub(crate) fn after_name(text: &[u8], name_start: usize, pos: usize, max: usize) -> Option<Value> {
    let mut next = pos;
    let mut quoted_name = false;
    if let Some((length, _, _)) = quote(text, next) {
        quoted_name = true;
        next += length;
    }
    if at(text, next) >= 0x80 {
        // `«name»: x`, `„name“ = x`
        let closing: [&[u8]; 5] = ["»", "”", "“", "’", "」"].map(str::as_bytes);
        next += closing.iter().find(|mark| has(text, next, mark)).map_or(0, |mark| mark.len());
    }
    if at(text, next) == b']'
        || (at(text, next) == b')' && at(text, next + 1) == b':' && opened(text, name_start))
    {
        // `user[password]=x`, `Symbol(password): x`, `AnyHashable("password"): x`
        next += 1;
    } else if has(text, next, b"%5D") {
        next += 3;
    }
    if at(text, next) == b'>' && before(text, name_start) == b'<' && !is_placeholder(text, name_start) {
        let start = next + 1;
        let end = run(text, start, max, |b| b != b'<');
        return Some(Value { start, end, quoted: true, joint: Joint::Element });
    }
    if quoted_name && let Some(start) = attribute(text, next) {
        return Some(value_at(text, start, Joint::Assigned, max));
    }
    let gap = blanks(text, next);
    let (length, joint) = separator(text, gap, quoted_name)?;
    if length == 0 {
        if gap == next {
            return None;
        }
        let flag = before(text, name_start) == b'-' && gap > next && !quoted_name;
        return Some(Value {
            start: gap,
            end: gap,
            quoted: false,
            joint: if flag { Joint::Flag } else { Joint::Space },
        });
    }
    let mut start = blanks(text, gap + length);
    if quoted_name && matches!(at(text, start), b'\n' | b'\r') {
        start = run(text, start, 256, |b| b.is_ascii_whitespace());
    }
    Some(value_at(text, start, joint, max))
}

/// Whether the element that a name begins is what a usage says of a flag: `--password <PASSWORD>`.
pub(crate) fn is_placeholder(text: &[u8], name_start: usize) -> bool {
    const FLAG_BYTES_MAX: usize = 64;
    let open = name_start.saturating_sub(1);
    let head = slice(text, open.saturating_sub(FLAG_BYTES_MAX), open);
    let flag = head.trim_ascii_end();
    let word = flag.rsplit(|b| *b <= b' ').next().unwrap_or(flag);
    flag.len() < head.len() && memchr::memmem::find(word, b"--").is_some()
}

/// Whether a name stands in `Symbol(password)` or `AnyHashable("password")`, which maps print as keys.
fn opened(text: &[u8], name_start: usize) -> bool {
    let quotes = usize::from(matches!(before(text, name_start), b'"' | b'\''));
    let open = name_start.saturating_sub(quotes);
    [&b"Symbol("[..], b"AnyHashable("].iter().any(|head| slice(text, 0, open).ends_with(head))
}

/// `"Password" value="x"` in XML and `name="password"` CR LF CR LF in multipart bodies.
fn attribute(text: &[u8], pos: usize) -> Option<usize> {
    if has(text, pos, b"\r\n\r\n") {
        return Some(pos + 4);
    }
    if has(text, pos, b"\n\n") {
        return Some(pos + 2);
    }
    let next = blanks(text, pos);
    if next > pos && has(text, next, b"value=") { Some(next + 6) } else { None }
}

/// The separator at `pos`, its length 0 when there is only white space.
fn separator(text: &[u8], pos: usize, quoted_name: bool) -> Option<(usize, Joint)> {
    let colon = if quoted_name { Joint::Assigned } else { Joint::Colon };
    match (at(text, pos), at(text, pos + 1)) {
        (b'=', b'>') | (b':', b'=') | (b'-', b'>') => Some((2, Joint::Assigned)),
        (b'=', b'=') => Some((if at(text, pos + 2) == b'=' { 3 } else { 2 }, Joint::Assigned)),
        (b'=', _) => Some((1, Joint::Assigned)),
        (b':', b':') => None,
        (b':', _) => Some((1, colon)),
        (b'%', b'3') if has(text, pos, b"%3D") => Some((3, Joint::Assigned)),
        (b'%', b'3') if has(text, pos, b"%3A") => Some((3, colon)),
        // Full-width `＝` and `：`.
        (0xef, 0xbc) if at(text, pos + 2) == 0x9d => Some((3, Joint::Assigned)),
        (0xef, 0xbc) if at(text, pos + 2) == 0x9a => Some((3, colon)),
        (b'\\', b'u') if has(text, pos, b"\\u003d") => Some((6, Joint::Assigned)),
        (b'\\', b'u') if has(text, pos, b"\\u003a") => Some((6, colon)),
        _ => Some((0, Joint::Space)),
    }
}

/// The quoted value that starts at `pos`, if a quote is there.
pub(crate) fn quoted_at(text: &[u8], pos: usize, joint: Joint, max: usize) -> Option<Value> {
    let start = wrapped(text, pos);
    let (length, level, byte) = quote(text, start)?;
    let from = start + length;
    // `password=''x''` inside of a quoted text.
    let inner = at(text, from + 1);
    if length == 1
        && byte == b'\''
        && at(text, from) == byte
        && (inner.is_ascii_alphanumeric() || inner >= 0x80)
    {
        let from = from + 1;
        let window = slice(text, from, from + DOUBLED_BYTES_MAX.min(max));
        if let Some(end) = memchr::memmem::find(window, b"''") {
            return Some(Value { start: from, end: from + end, quoted: true, joint });
        }
    }
    // `"""x"""`
    if length == 1 && at(text, from) == byte && at(text, from + 1) == byte {
        let from = from + 2;
        let window = slice(text, from, from + max);
        let end = memchr::memmem::find(window, &[byte; 3]).unwrap_or(window.len());
        return Some(Value { start: from, end: from + end, quoted: true, joint });
    }
    Some(Value { start: from, end: closing(text, from, level, byte, max), quoted: true, joint })
}

/// The value that starts at `pos`: wrappers (`Some("x")`, `b'x'`) and quotes are left outside.
pub(crate) fn value_at(text: &[u8], pos: usize, joint: Joint, max: usize) -> Value {
    if let Some(value) = quoted_at(text, pos, joint, max) {
        return value;
    }
    Value { start: pos, end: word_end(text, pos, max), quoted: false, joint }
}

/// Steps over `b`, `rb`, `Some(`, `SecretStr(` and the like when a quote follows.
fn wrapped(text: &[u8], pos: usize) -> usize {
    // `$'x'` of a shell, `<<"x">>` of Erlang, `@"x"` of Objective-C, `~c"x"` of Elixir, `chr "x"` of R.
    const PREFIXES: [&[u8]; 6] = [b"$", b"<<", b"@", b"~c", b"~s", b"chr "];
    let prefixed =
        PREFIXES.iter().find(|prefix| has(text, pos, prefix)).map_or(pos, |prefix| pos + prefix.len());
    if prefixed > pos && quote(text, prefixed).is_some() {
        return prefixed;
    }
    let name = run(text, pos, 24, |b| b.is_ascii_alphanumeric() || b == b'_');
    let next = if at(text, name) == b'(' { name + 1 } else { name };
    let short = next == name && name - pos <= 2;
    if (short || next > name) && quote(text, next).is_some() { next } else { pos }
}

/// Where the quoted text that starts at `from` ends: at its quote with as many backslashes as the opening one had, else
/// at the end of the line.
fn closing(text: &[u8], from: usize, level: usize, byte: u8, max: usize) -> usize {
    let limit = text.len().min(from + max);
    let mut pos = from;
    while pos < limit {
        #[cfg(test)]
        crate::bytes::steps::add(0);
        match (at(text, pos), byte) {
            (b'&', b'&') if entity(text, pos).is_some() => return pos,
            (b'%', b'%') if has(text, pos, b"%22") || has(text, pos, b"%27") => return pos,
            (now, want) if now == want && want != b'&' && want != b'%' => {
                let slashes = slashes_before(text, from, pos);
                let doubled = want == b'\'' && level == 0 && at(text, pos + 1) == b'\'' && pos > from;
                if doubled {
                    pos += 2;
                    continue;
                }
                let closes = match (level, slashes) {
                    (0, 0) => true,
                    (0, _) => slashes.is_multiple_of(2) && !goes_on(text, pos + 1),
                    _ => slashes <= level,
                };
                if closes {
                    return pos - if level == 0 { 0 } else { slashes };
                }
            }
            _ => {}
        }
        pos += 1;
    }
    let line = run(text, from, max, |b| b != b'\n' && b != b'\r');
    if line < limit { line } else { limit }
}

/// Whether a quote before `pos` that backslashes precede ends nothing: the `repr` of JSON doubles the backslash of a quote
/// in a value, and what is behind a value is no part of a word.
fn goes_on(text: &[u8], pos: usize) -> bool {
    !matches!(
        at(text, pos),
        0 | b',' | b'}' | b']' | b')' | b':' | b';' | b'\'' | b'"' | b'`' | b'<' | b'>' | b'&' | b'|'
    ) && !at(text, pos).is_ascii_whitespace()
}

/// End of the quoted text that starts at `start`, by the quote before it.
pub(crate) fn closed_at(text: &[u8], start: usize) -> Option<usize> {
    const QUOTE_BYTES_MAX: usize = 9;
    (1..=QUOTE_BYTES_MAX.min(start)).rev().find_map(|length| {
        let (found, level, byte) = quote(text, start - length)?;
        (found == length).then(|| closing(text, start, level, byte, VALUE_BYTES_MAX))
    })
}

fn slashes_before(text: &[u8], from: usize, pos: usize) -> usize {
    slice(text, from, pos).iter().rev().take(16).take_while(|b| **b == b'\\').count()
}

/// End of an unquoted value. Closing brackets and list separators end it only where something else begins after them,
/// so that `p=a)b` goes whole and `f(p=a)` keeps its bracket.
pub(crate) fn word_end(text: &[u8], start: usize, max: usize) -> usize {
    let limit = text.len().min(start + max);
    let mut pos = start;
    let mut open = 0_usize;
    while pos < limit {
        let byte = at(text, pos);
        let next = at(text, pos + 1);
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b'"' | b'\'' | b'`' | b'<' | b'>' | 0x0b | 0x0c | 0 => break,
            b'[' => {
                let token = crate::bytes::redaction_token(text, pos);
                if token > 0 {
                    pos += token;
                    continue;
                }
                open += 1;
            }
            b'(' | b'{' => open += 1,
            b')' | b']' | b'}' if open > 0 => open -= 1,
            b'\\' if matches!(next, b'n' | b'r' | b't' | b'"' | b'\'' | b'\\') => break,
            b'\\' if next == b'u' && has(text, pos, b"\\u0026") => break,
            b')' | b']' | b'}' if ends_after(text, pos + 1) => break,
            b',' | b';' | b'&' | b'|' if ends_after(text, pos + 1) || name_follows(text, pos + 1) => break,
            b'%' if has(text, pos, b"%26") && name_follows(text, pos + 3) => break,
            b'%' if has(text, pos, b"%20")
                || has(text, pos, b"%22")
                || has(text, pos, b"%0A")
                || has(text, pos, b"%0D") =>
            {
                break;
            }
            _ => {}
        }
        pos += 1;
    }
    let mut end = pos.min(limit);
    #[cfg(test)]
    crate::bytes::steps::add(end - start);
    while end > start && matches!(before(text, end), b'.' | b',' | b':') && end - start > 1 {
        end -= 1;
    }
    end
}

/// Whether nothing of the value can follow: white space, end, another closer or quote.
fn ends_after(text: &[u8], pos: usize) -> bool {
    matches!(
        at(text, pos),
        b' ' | b'\t'
            | b'\n'
            | b'\r'
            | b'"'
            | b'\''
            | b'`'
            | b')'
            | b']'
            | b'}'
            | b','
            | b';'
            | b'<'
            | b'>'
            | b'\\'
            | b'.'
            | b'{'
            | 0
    )
}

/// Whether `name=`, `name:` or `"name"` starts at `pos`, as in `a=1&b=2` and `amp;b=2`.
fn name_follows(text: &[u8], pos: usize) -> bool {
    let end = run(text, pos, 64, |b| crate::bytes::is_name(b) || matches!(b, b'[' | b']' | b'$' | b'@'));
    end > pos && (matches!(at(text, end), b'=' | b':' | b';') || has(text, end, b"%3D"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, name: &str) -> String {
        let start = text.find(name).unwrap();
        let found = after_name(text.as_bytes(), start, start + name.len(), VALUE_BYTES_MAX).unwrap();
        text[found.start..found.end].to_owned()
    }

    #[test]
    fn values_end_where_they_end() {
        assert_eq!(value("pw=abc retry=3", "pw"), "abc");
        assert_eq!(value("f(pw=abc, x=1)", "pw"), "abc");
        assert_eq!(value("f(pw=a)b)", "pw"), "a)b");
        assert_eq!(value("pw=a,b c", "pw"), "a,b");
        assert_eq!(value("pw=a,b=c", "pw"), "a");
        assert_eq!(value("pw=a&b=c", "pw"), "a");
        assert_eq!(value("pw=a&amp;b=c", "pw"), "a");
        assert_eq!(value(r#"{"pw":"a\"b"}"#, "pw"), r#"a\"b"#);
        assert_eq!(value(r#"{\"pw\":\"a b\",\"x\":1}"#, "pw"), "a b");
        assert_eq!(value(r#"{\\\"pw\\\":\\\"a b\\\",\\\"x\\\":1}"#, "pw"), "a b");
        assert_eq!(value("pw = 'it''s' or", "pw"), "it''s");
        assert_eq!(value("<pw>a b</pw>", "pw"), "a b");
        assert_eq!(value("pw: Some(\"abc\")", "pw"), "abc");
        assert_eq!(value("'pw': b'abc'", "pw"), "abc");
        assert_eq!(value("'pw' => 'abc'", "pw"), "abc");
        assert_eq!(value("u[pw]=abc&x=1", "pw"), "abc");
        assert_eq!(value("pw%3Dabc%26x%3D1", "pw"), "abc");
    }
}
