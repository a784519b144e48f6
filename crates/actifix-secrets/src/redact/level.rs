//! How deep in decoded views a text is, and what there is left to decode in it.
use crate::detect::decode::DEPTH_MAX;
use crate::detect::hunt::Marks;

/// A way in which text is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Percent,
    Json,
    /// Percent escapes with `+` for a blank.
    Form,
}

/// The signs of the encodings in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Escapes {
    percents: usize,
    backslashes: usize,
    /// None where a `+` is just a plus.
    pub pluses: usize,
}

impl Escapes {
    pub(crate) fn of(text: &[u8], marks: Marks) -> Self {
        let count = |byte: u8| memchr::memchr_iter(byte, text).count();
        let form = memchr::memchr(b'+', text).is_some()
            && (marks.percent || memchr::memmem::find(text, b"--").is_some());
        Self {
            percents: if marks.percent { count(b'%') } else { 0 },
            backslashes: if marks.escaped { count(b'\\') } else { 0 },
            pluses: if form { count(b'+') } else { 0 },
        }
    }
}

/// The place of a text in a chain of views.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    pub depth: usize,
    /// How the text was decoded, and the signs in what it was decoded from.
    from: Option<(Kind, Escapes)>,
}

impl Level {
    pub(crate) const TOP: Self = Self::plain(0);
    /// Nothing is decoded any more.
    pub(crate) const LAST: Self = Self::plain(DEPTH_MAX);

    /// A text of its own.
    pub(crate) const fn plain(depth: usize) -> Self {
        Self { depth, from: None }
    }

    /// A view of this text.
    pub(crate) fn below(self, kind: Kind, escapes: Escapes) -> Self {
        Self { depth: self.depth + 1, from: Some((kind, escapes)) }
    }

    /// Whether decoding shows something that the other views of the texts above do not: signs of another encoding count
    /// only if the last decoding brought them to light. Otherwise all orders of all encodings would be gone through.
    pub(crate) fn brings(self, kind: Kind, now: Escapes) -> bool {
        if self.depth >= DEPTH_MAX {
            return false;
        }
        let Some((last, before)) = self.from else { return true };
        match kind {
            Kind::Percent => last != Kind::Json || now.percents > before.percents,
            Kind::Json => last == Kind::Json || now.backslashes > before.backslashes,
            Kind::Form => now.pluses > before.pluses,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_inside_of_others_are_decoded_and_no_two_twice() {
        let marks = Marks { percent: true, escaped: true, ..Marks::default() };
        let escapes = |text: &str| Escapes::of(text.as_bytes(), marks);
        let both = escapes("a%20b \\/ c+d");
        assert!(Level::TOP.brings(Kind::Percent, both) && Level::TOP.brings(Kind::Json, both));
        let below = Level::TOP.below(Kind::Percent, both);
        assert!(!below.brings(Kind::Json, escapes("a b \\/ c+d")));
        assert!(!below.brings(Kind::Form, escapes("a b \\/ c+d")));
        assert!(below.brings(Kind::Json, escapes("a b \\/ \\u0070 c+d")));
        assert!(below.brings(Kind::Percent, both));
        assert!(!Level::LAST.brings(Kind::Percent, both));
    }
}
