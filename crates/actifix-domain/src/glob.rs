//! Globs of project rules: `*` is any text, `?` one character, everything else itself.

/// Longest pattern, in characters.
pub const PATTERN_CHARS_MAX: usize = 256;
/// Longest piece between two `*` that holds a `?`, in characters: one machine word searches for it in one pass.
pub const PIECE_CHARS_MAX: usize = 64;

/// A pattern, ready to match whole texts in time linear in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    /// What stands before the first `*`, between them, and after the last.
    pieces: Vec<String>,
    ignore_case: bool,
}

impl Glob {
    /// Reads a pattern. With `ignore_case`, ASCII letters match in either case.
    ///
    /// # Errors
    /// An empty or overlong pattern, with words for the person who wrote it.
    pub fn parse(pattern: &str, ignore_case: bool) -> Result<Self, String> {
        if pattern.is_empty() {
            return Err("the pattern is empty; `*` matches everything".to_owned());
        }
        if pattern.chars().count() > PATTERN_CHARS_MAX {
            return Err(format!("the pattern is longer than {PATTERN_CHARS_MAX} characters"));
        }
        let pattern = if ignore_case { pattern.to_ascii_lowercase() } else { pattern.to_owned() };
        let pieces: Vec<String> = pattern.split('*').map(str::to_owned).collect();
        if pieces.iter().any(|piece| piece.contains('?') && piece.chars().count() > PIECE_CHARS_MAX) {
            return Err(format!("text with `?` between two `*` is longer than {PIECE_CHARS_MAX} characters"));
        }
        Ok(Self { pieces, ignore_case })
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        if self.ignore_case && text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.matches_exactly(&text.to_ascii_lowercase());
        }
        self.matches_exactly(text)
    }

    fn matches_exactly(&self, text: &str) -> bool {
        let [first, middle @ .., last] = self.pieces.as_slice() else {
            return self.pieces.first().is_some_and(|piece| after_start(piece, text) == Some(""));
        };
        let Some(mut rest) = after_start(first, text) else { return false };
        for piece in middle {
            // The leftmost place leaves the most text for the others, so it is the only one to try.
            let Some(after) = after_first(piece, rest) else { return false };
            rest = after;
        }
        ends_with(last, rest)
    }
}

/// What follows `piece` at the start of `text`.
fn after_start<'a>(piece: &str, text: &'a str) -> Option<&'a str> {
    if !piece.contains('?') {
        return text.strip_prefix(piece);
    }
    let mut chars = text.chars();
    for wanted in piece.chars() {
        let char = chars.next()?;
        if wanted != '?' && wanted != char {
            return None;
        }
    }
    Some(chars.as_str())
}

fn ends_with(piece: &str, text: &str) -> bool {
    if !piece.contains('?') {
        return text.ends_with(piece);
    }
    let mut chars = text.chars().rev();
    piece.chars().rev().all(|wanted| chars.next().is_some_and(|char| wanted == '?' || wanted == char))
}

/// What follows the leftmost `piece` in `text`.
fn after_first<'a>(piece: &str, text: &'a str) -> Option<&'a str> {
    if !piece.contains('?') {
        let at = text.find(piece)?;
        return text.get(at + piece.len()..);
    }
    // Shift-and: bit n of `state` says that the last n + 1 characters match the first n + 1 of the piece.
    let mut masks: Vec<(char, u64)> = Vec::new();
    let mut any = 0u64;
    let mut last = 0u64;
    for (place, wanted) in piece.chars().take(PIECE_CHARS_MAX).enumerate() {
        last = 1 << place;
        if wanted == '?' {
            any |= last;
            continue;
        }
        match masks.binary_search_by_key(&wanted, |(char, _)| *char) {
            Ok(at) => {
                if let Some((_, mask)) = masks.get_mut(at) {
                    *mask |= last;
                }
            }
            Err(at) => masks.insert(at, (wanted, last)),
        }
    }
    let mut state = 0u64;
    for (at, char) in text.char_indices() {
        let known = masks.binary_search_by_key(&char, |(char, _)| *char).ok().and_then(|at| masks.get(at));
        state = (state << 1 | 1) & (any | known.map_or(0, |(_, mask)| *mask));
        if state & last != 0 {
            return text.get(at + char.len_utf8()..);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Glob, PATTERN_CHARS_MAX};
    use proptest::{prop_assert_eq, proptest};

    fn matches(pattern: &str, text: &str) -> bool {
        Glob::parse(pattern, false).unwrap().matches(text)
    }

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text) in [
            ("*", ""),
            ("app.*", "app.pay"),
            ("*timeout*", "a timeout\nof b"),
            ("a?c", "aüc"),
            ("*b?d*", "abcbxbed"),
            ("a*b*c", "a-b-b-c"),
            ("src/*/x.py", "src/a/b/x.py"),
            ("*?", "x"),
            ("a**b", "ab"),
        ] {
            assert!(matches(pattern, text), "{pattern:?} {text:?}");
        }
        for (pattern, text) in
            [("a", "ab"), ("?", ""), ("*?", ""), ("ab*bc", "abc"), ("a?*?b", "axb"), ("A*", "ab")]
        {
            assert!(!matches(pattern, text), "{pattern:?} {text:?}");
        }
        assert!(Glob::parse("*TimeOut*", true).unwrap().matches("read TIMEOUT"));
    }

    #[test]
    fn bad_patterns_are_refused_with_words() {
        assert!(Glob::parse("", false).unwrap_err().contains("empty"));
        assert!(Glob::parse(&"x".repeat(PATTERN_CHARS_MAX + 1), false).unwrap_err().contains("256"));
        assert!(Glob::parse(&format!("*{}?*", "x".repeat(64)), false).unwrap_err().contains("64"));
    }

    /// The textbook definition, exponential but plain.
    fn plain(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => {
                plain(rest, text) || text.split_first().is_some_and(|(_, tail)| plain(pattern, tail))
            }
            (Some(('?', rest)), Some((_, tail))) => plain(rest, tail),
            (Some((a, rest)), Some((b, tail))) => a == b && plain(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab?*]{1,8}", text in "[ab]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), plain(&chars(&pattern), &chars(&text)));
        }
    }
}
