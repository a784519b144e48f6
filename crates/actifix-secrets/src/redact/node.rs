//! Where a value stands in an envelope, as a chain that lives on the stack. Most values are clean, so the path is
//! spelled only for a finding.
use super::text::Place;
use crate::finding::PATH_BYTES_MAX;

/// Longest part of a path, in bytes.
const PART_BYTES_MAX: usize = 64;
/// Room that an index needs at most: 20 digits and two brackets.
const INDEX_BYTES_MAX: usize = 22;

/// One step of a path.
#[derive(Clone, Copy)]
pub(crate) enum Part<'p> {
    /// The name of the part of the envelope.
    Root(&'p str),
    /// A key of a map.
    Key(&'p str),
    /// An element of a list.
    Index(usize),
    /// JSON inside of a string.
    Embedded,
    /// Nothing to see.
    Same,
}

/// A value's place and what is known of it from above.
#[derive(Clone, Copy)]
pub(crate) struct Node<'p> {
    above: Option<&'p Node<'p>>,
    part: Part<'p>,
    /// What the place says about a string in it.
    pub place: Place,
    /// Nesting of values.
    pub depth: usize,
    /// Nesting of JSON in strings.
    pub embedded: usize,
}

impl<'p> Node<'p> {
    /// The top of a part of the envelope.
    #[inline]
    pub(crate) fn root(path: &'p str) -> Self {
        Self { above: None, part: Part::Root(path), place: Place::default(), depth: 0, embedded: 0 }
    }

    /// A value inside of this one.
    #[inline]
    pub(crate) fn below<'n>(&'n self, part: Part<'n>, place: Place) -> Node<'n>
    where
        'p: 'n,
    {
        Node { above: Some(self), part, place, depth: self.depth + 1, embedded: self.embedded }
    }

    /// The JSON in this string.
    pub(crate) fn embedded<'n>(&'n self) -> Node<'n>
    where
        'p: 'n,
    {
        Node {
            above: Some(self),
            part: Part::Embedded,
            place: self.place,
            depth: 0,
            embedded: self.embedded + 1,
        }
    }

    /// The same place with another meaning.
    #[inline]
    pub(crate) fn placed(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// Spells the path; what exceeds its bounds is left out.
    pub(crate) fn path(&self) -> String {
        let mut parts = Vec::with_capacity(16);
        let mut node = Some(self);
        while let Some(Node { above, part, .. }) = node {
            parts.push(*part);
            node = *above;
        }
        let mut path = String::new();
        for part in parts.iter().rev() {
            match part {
                Part::Root(name) => push(&mut path, name),
                Part::Key(key) => {
                    push(&mut path, ".");
                    push(&mut path, key);
                }
                Part::Index(index) if path.len() + INDEX_BYTES_MAX <= PATH_BYTES_MAX => {
                    path.push_str(&format!("[{index}]"));
                }
                Part::Embedded => push(&mut path, "~"),
                Part::Index(_) | Part::Same => {}
            }
        }
        path
    }
}

fn push(path: &mut String, part: &str) {
    let room = PATH_BYTES_MAX.saturating_sub(path.len()).min(PART_BYTES_MAX);
    let mut end = room.min(part.len());
    while !part.is_char_boundary(end) {
        end -= 1;
    }
    path.push_str(part.get(..end).unwrap_or(""));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_spelled_within_their_bounds() {
        let root = Node::root("event");
        let extra = root.below(Part::Key("extra"), Place::default());
        let item = extra.below(Part::Index(12), Place::default());
        let same = item.below(Part::Same, Place::default());
        assert_eq!(same.embedded().below(Part::Key("k"), Place::default()).path(), "event.extra[12]~.k");
        assert_eq!(same.depth, 3);

        let long = "ü".repeat(100);
        let one = root.below(Part::Key(&long), Place::default());
        assert_eq!(one.path(), format!("event.{}", "ü".repeat(32)));
        let two = one.below(Part::Key(&long), Place::default());
        let three = two.below(Part::Key(&long), Place::default());
        let four = three.below(Part::Key(&long), Place::default());
        let five = four.below(Part::Index(1), Place::default());
        assert!(five.path().len() <= PATH_BYTES_MAX && five.path() == four.path());
    }
}
