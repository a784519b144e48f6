//! Values with wildcards, and how values are quoted.

use std::fmt;

/// A value in which `*` stands for any text, also none. Compared case-sensitively.
///
/// Held as the literal pieces between the wildcards: one piece is an exact value, `a*b` is `["a", "b"]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    pieces: Vec<String>,
}

impl Pattern {
    /// An exact value; a `*` in it is a star.
    pub fn exact(value: impl Into<String>) -> Self {
        Self { pieces: vec![value.into()] }
    }

    /// From the pieces between wildcards; empty ones in the middle (`a**b`) mean nothing and are dropped.
    pub fn from_pieces(pieces: Vec<String>) -> Self {
        let last = pieces.len().saturating_sub(1);
        let mut pieces: Vec<String> = pieces
            .into_iter()
            .enumerate()
            .filter(|(i, piece)| *i == 0 || *i == last || !piece.is_empty())
            .map(|(_, piece)| piece)
            .collect();
        if pieces.is_empty() {
            pieces.push(String::new());
        }
        Self { pieces }
    }

    /// The value, when there is no wildcard.
    pub fn as_exact(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [value] => Some(value),
            _ => None,
        }
    }

    /// Whether `value` fits. Linear in its length for each piece: the leftmost place of a piece is always good
    /// enough, so nothing is ever tried twice.
    pub fn matches(&self, value: &str) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else { return value.is_empty() };
        let Some((last, middle)) = rest.split_last() else { return value == first };
        let Some(mut value) = value.strip_prefix(first.as_str()) else { return false };
        for piece in middle {
            match value.find(piece.as_str()).and_then(|at| value.get(at + piece.len()..)) {
                Some(after) => value = after,
                None => return false,
            }
        }
        value.ends_with(last.as_str())
    }

    /// For `column LIKE $1 ESCAPE '\'`. Note that SQLite's LIKE ignores the case of ASCII letters, GLOB does not.
    pub fn to_like(&self) -> String {
        self.join("%", |out, c| {
            if matches!(c, '%' | '_' | '\\') {
                out.push('\\');
            }
            out.push(c);
        })
    }

    /// For SQLite's `column GLOB $1`.
    pub fn to_glob(&self) -> String {
        self.join("*", |out, c| match c {
            '*' => out.push_str("[*]"),
            '?' => out.push_str("[?]"),
            '[' => out.push_str("[[]"),
            c => out.push(c),
        })
    }

    fn join(&self, wildcard: &str, mut push: impl FnMut(&mut String, char)) -> String {
        let mut out = String::new();
        for (i, piece) in self.pieces.iter().enumerate() {
            if i > 0 {
                out.push_str(wildcard);
            }
            for c in piece.chars() {
                push(&mut out, c);
            }
        }
        out
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.join("*", push_escaped);
        if self.pieces.iter().all(|piece| is_bare(piece)) && !text.is_empty() {
            f.write_str(&text)
        } else {
            write!(f, "\"{text}\"")
        }
    }
}

/// Prints a value without wildcards, quoted if need be.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_bare(self.0) && !self.0.is_empty() {
            return f.write_str(self.0);
        }
        let mut text = String::new();
        for c in self.0.chars() {
            push_escaped(&mut text, c);
        }
        write!(f, "\"{text}\"")
    }
}

fn push_escaped(out: &mut String, c: char) {
    if matches!(c, '"' | '\\' | '*') {
        out.push('\\');
    }
    out.push(c);
}

/// Whether a value needs no quotes: letters, digits and what cannot be mistaken for syntax, not at its start either.
fn is_bare(text: &str) -> bool {
    !text.starts_with(['-', '/'])
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '/' | '+'))
}
