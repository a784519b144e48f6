//! The search language of ticket lists: `is:unresolved priority:<=P1 release:web@5.* -environment:staging "no route"`.
//!
//! A search is a list of terms that all must hold; `-` or `!` before a term negates it. A term is a known word with a
//! value, `tag:value`, or text that stands in the ticket's title, culprit or latest message. The grammar is in
//! [`Search::parse`]; what comes out is typed, so that a store builds SQL from it without meeting the text again.

mod parse;
mod pattern;
mod range;

pub use pattern::Pattern;
pub use range::Range;

use crate::event::Level;
use crate::ticket::{Priority, Status};
use crate::time::Timestamp;
use std::collections::BTreeSet;
use std::fmt;

/// Longest search, in characters.
pub const SEARCH_CHARS_MAX: usize = 512;
/// Most terms of a search.
pub const TERMS_MAX: usize = 20;
/// Largest number in a search.
pub const NUMBER_MAX: u64 = 1_000_000_000_000_000;

/// A parsed search. The default has no term and finds everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// All must hold.
    pub terms: Vec<Term>,
}

/// One condition or its opposite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The condition must not hold.
    pub negated: bool,
    /// The condition.
    pub cond: Condition,
}

/// What is asked of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `is:open`, `is:open,held`, `is:unresolved` (open, in_progress or in_review): its status is one of these.
    Status(BTreeSet<Status>),
    /// `is:regressed`: open again after it was resolved.
    Regressed,
    /// `is:unhandled`: nobody caught the latest event.
    Unhandled,
    /// `is:assigned`; `is:unassigned` is its opposite.
    Assigned,
    /// `priority:P1`, `priority:P0,P1`, `priority:<=P1` (P0 and P1: by number): one of these.
    Priority(BTreeSet<Priority>),
    /// `level:error`, `level:error,fatal`, `level:>=warning`: one of these.
    Level(BTreeSet<Level>),
    /// `id:7K3QF`: its id, or one that was merged into it, is or ends with this.
    Id(String),
    /// `project:shop`: name or decimal id.
    Project(Pattern),
    /// `release:web@5.*`: an event of this release was seen.
    Release(Pattern),
    /// `environment:production`.
    Environment(Pattern),
    /// `platform:python`.
    Platform(Pattern),
    /// `user:42`: affected this user (id, name, e-mail or address as the event has it), compared by keyed hash, so
    /// without wildcards.
    User(String),
    /// `assigned:jo`: who works on it.
    AssignedTo(Pattern),
    /// `count:>100`: events.
    Count(Range<u64>),
    /// `users:>=3`: different users.
    Users(Range<u64>),
    /// `first_seen:-24h`, `first_seen:<2026-11-01`.
    FirstSeen(Range<Timestamp>),
    /// `last_seen:>-1h`.
    LastSeen(Range<Timestamp>),
    /// `browser:Firefox*`, or `tags.level:x` for a tag named like a known word: an event with this tag was seen.
    Tag {
        /// Name of the tag.
        key: String,
        /// Its value.
        value: Pattern,
    },
    /// A word or `"phrase"` in title, culprit or message, case ignored.
    Text(String),
}

/// Why a text is no search. Words of ours, and a place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at byte {at}); {hint}")]
pub struct SearchError {
    /// What is wrong.
    pub message: String,
    /// Byte offset of the term or value in the text.
    pub at: usize,
    /// What would work.
    pub hint: String,
}

impl Search {
    /// Names that were taken for tags, since they are no words of ours and stand without `tags.`. For hints.
    pub fn tag_names(&self) -> Vec<&str> {
        let names = self.terms.iter().filter_map(|term| match &term.cond {
            Condition::Tag { key, .. } => Some(key.as_str()),
            _ => None,
        });
        names.collect()
    }

    /// Parses a search; `now` is what relative times count from.
    ///
    /// Terms are separated by white space. Values may be quoted (`"…"`, with `\"`, `\\` and `\*` for the characters
    /// themselves); `*` in a value stands for any text. Known words:
    ///
    /// | word | value |
    /// | --- | --- |
    /// | `is` | a status or several (`open,held`), `unresolved`, `regressed`, `unhandled`, `assigned`, `unassigned` |
    /// | `priority`, `level` | one, several with commas, or `<`, `<=`, `>`, `>=` and one |
    /// | `project`, `release`, `environment`, `platform`, `assigned` | a value with wildcards; `""` for none |
    /// | `id` | a ticket's id or its end |
    /// | `user` | a value |
    /// | `count`, `users` | a number, `a..b`, or an operator and a number |
    /// | `first_seen`, `last_seen` | an age (`-24h`: since then; units `m`, `h`, `d`, `w`), a date (that UTC day), a time, `a..b`, or an operator and one of these |
    ///
    /// Anything else before a colon is the name of a tag. Text with `://` or `::` in it is text.
    ///
    /// # Errors
    /// The first thing that cannot be understood; also more than [`SEARCH_CHARS_MAX`] characters or [`TERMS_MAX`] terms.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, SearchError> {
        parse::search(text, now)
    }

    /// Whether it has no term.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }
}

/// The canonical form: what it prints is parsed to the same search again (as long as it is within the length limit,
/// since a relative time is printed as the longer absolute one).
impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, term) in self.terms.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{term}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negated {
            f.write_str("-")?;
        }
        write!(f, "{}", self.cond)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(set) => write_set(f, "is", set.iter().map(|status| status.as_str())),
            Self::Regressed => f.write_str("is:regressed"),
            Self::Unhandled => f.write_str("is:unhandled"),
            Self::Assigned => f.write_str("is:assigned"),
            Self::Priority(set) => write_set(f, "priority", set.iter().map(|priority| priority.as_str())),
            Self::Level(set) => write_set(f, "level", set.iter().map(|level| level.as_str())),
            Self::Id(end) => write!(f, "id:{end}"),
            Self::Project(value) => write!(f, "project:{value}"),
            Self::Release(value) => write!(f, "release:{value}"),
            Self::Environment(value) => write!(f, "environment:{value}"),
            Self::Platform(value) => write!(f, "platform:{value}"),
            Self::User(value) => write!(f, "user:{}", pattern::Quoted(value)),
            Self::AssignedTo(value) => write!(f, "assigned:{value}"),
            Self::Count(range) => write!(f, "count:{range}"),
            Self::Users(range) => write!(f, "users:{range}"),
            Self::FirstSeen(range) => write!(f, "first_seen:{range}"),
            Self::LastSeen(range) => write!(f, "last_seen:{range}"),
            Self::Tag { key, value } => {
                let prefix = if parse::is_plain_tag(key) { "" } else { parse::TAG_PREFIX };
                write!(f, "{prefix}{key}:{value}")
            }
            Self::Text(text) => write!(f, "{}", pattern::Quoted(text)),
        }
    }
}

fn write_set<'a>(f: &mut fmt::Formatter<'_>, key: &str, words: impl Iterator<Item = &'a str>) -> fmt::Result {
    write!(f, "{key}:")?;
    for (i, word) in words.enumerate() {
        write!(f, "{}{word}", if i > 0 { "," } else { "" })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
