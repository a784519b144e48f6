//! What stands before a value: the name it is assigned to, and how.
use crate::bytes::{before, is_name, slice};

/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Blanks, quotes and backslashes that are stepped over at one place.
const STEP_MAX: usize = 16;

/// What stands before a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'t> {
    /// The name, empty if there is none.
    pub name: &'t [u8],
    /// A quote opens the value.
    pub quoted: bool,
    /// `=`, `:`, `=>` or the like stands between.
    pub assigned: bool,
    /// The byte before the name, 0 at the start.
    pub before_name: u8,
}

/// Reads backward from the start of a value.
pub(crate) fn place(text: &[u8], start: usize) -> Place<'_> {
    let mut pos = start;
    let unquoted = back(text, pos, is_quote);
    let quoted = unquoted < pos;
    pos = unquoted;
    if quoted {
        // `b"…"`, `f"…"`, and `Secret("…")`.
        let letters = back(text, pos, |b| b.is_ascii_alphabetic());
        if pos - letters <= 2 && !is_name(before(text, letters)) {
            pos = letters;
        }
        if before(text, pos) == b'(' {
            pos = back(text, pos - 1, |b| is_name(b) || b == b':');
        }
    }
    pos = back(text, pos, is_blank);
    let separator = back(text, pos, |b| matches!(b, b'=' | b':' | b'>' | b'-' | b'~'));
    let mut assigned = slice(text, separator, pos).iter().any(|b| matches!(b, b'=' | b':' | b'>'));
    pos = if assigned { separator } else { pos };
    if !assigned && pos >= 3 && slice(text, pos - 3, pos).eq_ignore_ascii_case(b"%3d") {
        (assigned, pos) = (true, pos - 3);
    }
    pos = back(text, pos, is_blank);
    pos = back(text, pos, |b| is_quote(b) || b == b']');
    let mut name = back_max(text, pos, NAME_BYTES_MAX, is_name);
    if before(text, name) == b'\\' && pos > name {
        // `\nname=`: the letter belongs to the escape.
        name += 1;
    }
    Place { name: slice(text, name, pos), quoted, assigned, before_name: before(text, name) }
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`' | b'\\')
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn back(text: &[u8], pos: usize, class: impl Fn(u8) -> bool) -> usize {
    back_max(text, pos, STEP_MAX, class)
}

fn back_max(text: &[u8], pos: usize, max: usize, class: impl Fn(u8) -> bool) -> usize {
    let mut pos = pos;
    for _ in 0..max {
        if pos == 0 || !class(before(text, pos)) {
            break;
        }
        pos -= 1;
    }
    pos
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_before_values() {
        let name = |text: &str| {
            let found = place(text.as_bytes(), text.find("VALUE").unwrap());
            (String::from_utf8_lossy(found.name).into_owned(), found.quoted, found.assigned)
        };
        let is = |name: &str, quoted, assigned| (name.to_owned(), quoted, assigned);
        assert_eq!(name("a_key = \"VALUE\""), is("a_key", true, true));
        assert_eq!(name("{\\\"a_key\\\":\\\"VALUE\\\"}"), is("a_key", true, true));
        assert_eq!(name("x\\na_key=VALUE"), is("a_key", false, true));
        assert_eq!(name("'k' => b'VALUE'"), is("k", true, true));
        assert_eq!(name("k: Secret(\"VALUE\")"), is("k", true, true));
        assert_eq!(name("the token VALUE"), is("token", false, false));
        assert_eq!(name("VALUE"), is("", false, false));
    }
}
