//! From text to a search: one pass that splits terms, then one small parser per kind of value.

use super::{Condition, NUMBER_MAX, Pattern, Range, SEARCH_CHARS_MAX, Search, SearchError, TERMS_MAX, Term};
use crate::event::Level;
use crate::ticket::{Priority, Status};
use crate::time::{DAY, HOUR, MINUTE, Timestamp};
use std::collections::BTreeSet;

/// Before the name of a tag that is named like a known word.
pub(super) const TAG_PREFIX: &str = "tags.";
/// Longest name of a tag, in bytes.
const TAG_BYTES_MAX: usize = 200;
/// Length of a ticket's id, in bytes.
const ID_BYTES: usize = "ACT-20261124-7K3QF".len();
/// Longest relative age, in its unit; keeps arithmetic far from overflow.
const AGE_MAX: i64 = 100_000;
/// Words that are not names of tags.
const KNOWN: [&str; 14] = [
    "is",
    "id",
    "priority",
    "level",
    "project",
    "release",
    "environment",
    "platform",
    "user",
    "assigned",
    "count",
    "users",
    "first_seen",
    "last_seen",
];
/// What `is:` understands.
const IS_WORDS: [&str; 11] = [
    "open",
    "held",
    "in_progress",
    "in_review",
    "resolved",
    "ignored",
    "unresolved",
    "regressed",
    "unhandled",
    "assigned",
    "unassigned",
];

/// Whether the tag's name is read as one without [`TAG_PREFIX`].
pub(super) fn is_plain_tag(key: &str) -> bool {
    !KNOWN.contains(&key) && !key.starts_with(TAG_PREFIX)
}

pub(super) fn search(text: &str, now: Timestamp) -> Result<Search, SearchError> {
    if text.chars().count() > SEARCH_CHARS_MAX {
        return Err(error(
            format!("the search is longer than {SEARCH_CHARS_MAX} characters"),
            0,
            "leave something out",
        ));
    }
    let mut terms = Vec::new();
    let mut scanner = Scanner { text, at: 0 };
    while let Some(raw) = scanner.next_term()? {
        if terms.len() == TERMS_MAX {
            return Err(error(
                format!("the search has more than {TERMS_MAX} terms"),
                raw.at,
                "leave something out",
            ));
        }
        let negated = raw.negated;
        let (cond, opposite) = condition(raw, now)?;
        terms.push(Term { negated: negated != opposite, cond });
    }
    Ok(Search { terms })
}

/// One term, split but not understood yet.
struct RawTerm {
    negated: bool,
    /// What stands before the first colon, if that can be a name.
    key: Option<String>,
    value: Value,
    at: usize,
}

/// A value with its quotes and escapes resolved.
struct Value {
    pieces: Vec<String>,
    quoted: bool,
    at: usize,
}

impl Value {
    /// Its text with stars as they are, for values that have no wildcards.
    fn text(&self) -> String {
        self.pieces.join("*")
    }

    fn pattern(self) -> Pattern {
        Pattern::from_pieces(self.pieces)
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn next_term(&mut self) -> Result<Option<RawTerm>, SearchError> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        let at = self.at;
        if self.rest().is_empty() {
            return Ok(None);
        }
        // A mark with nothing behind it is text.
        let negated = self
            .rest()
            .strip_prefix(['-', '!'])
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(char::is_whitespace));
        if negated {
            self.at += 1;
        }
        let key = key_of(self.rest()).map(str::to_owned);
        if let Some(key) = &key {
            self.at += key.len() + 1;
        }
        let value = self.value()?;
        Ok(Some(RawTerm { negated, key, value, at }))
    }

    /// Reads up to white space outside quotes.
    fn value(&mut self) -> Result<Value, SearchError> {
        let start = self.at;
        let mut pieces = vec![String::new()];
        let mut quoted = false;
        let mut open_quote = None;
        let mut end = self.text.len();
        let mut chars = self.rest().char_indices().peekable();
        while let Some((offset, c)) = chars.next() {
            let at = start + offset;
            let literal = match c {
                '"' => {
                    quoted = true;
                    open_quote = if open_quote.is_some() { None } else { Some(at) };
                    continue;
                }
                '*' => {
                    pieces.push(String::new());
                    continue;
                }
                '\\' => {
                    chars.next_if(|(_, next)| matches!(next, '"' | '\\' | '*')).map_or('\\', |(_, next)| next)
                }
                c if c.is_whitespace() && open_quote.is_none() => {
                    end = at;
                    break;
                }
                c if c.is_whitespace() => ' ',
                c if c.is_control() => {
                    return Err(error("a control character cannot be searched", at, "remove it"));
                }
                c => c,
            };
            if let Some(piece) = pieces.last_mut() {
                piece.push(literal);
            }
        }
        if let Some(at) = open_quote {
            return Err(error(
                "a quotation mark is not closed",
                at,
                "add one at the end, or write \\\" for the character",
            ));
        }
        self.at = end;
        Ok(Value { pieces, quoted, at: start })
    }
}

/// The name before the first colon, unless this looks like text (`http://…`, `std::fmt`, `TypeError:`).
fn key_of(term: &str) -> Option<&str> {
    let (key, value) = term.split_once(':')?;
    let is_name = key.len() <= TAG_BYTES_MAX + TAG_PREFIX.len()
        && key.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        && key != TAG_PREFIX;
    let is_text = value.is_empty()
        || value.starts_with("//")
        || value.starts_with(':')
        || value.starts_with(char::is_whitespace);
    (is_name && (KNOWN.contains(&key) || !is_text)).then_some(key)
}

/// The condition, and whether it must be turned round (`is:unassigned`).
fn condition(raw: RawTerm, now: Timestamp) -> Result<(Condition, bool), SearchError> {
    let value = raw.value;
    let text = value.text();
    let Some(key) = raw.key.as_deref() else {
        if text.is_empty() {
            return Err(error(
                "there is nothing between the quotation marks",
                raw.at,
                "write a word or a phrase",
            ));
        }
        if !value.quoted && (text == "OR" || text == "AND") {
            return Err(error(
                format!("terms cannot be joined with {text}: all of them must hold"),
                raw.at,
                "give several values with commas (is:open,held), or write \"OR\" for the word",
            ));
        }
        return Ok((Condition::Text(text), false));
    };
    if text.is_empty() && !value.quoted {
        return Err(error(
            format!("{key}: has no value"),
            raw.at,
            format!("write {key}:VALUE, or \"{key}:\" to search for the text"),
        ));
    }
    let at = value.at;
    let cond = match key {
        "is" => return is_word(&text, at),
        "priority" => Condition::Priority(set(
            &text,
            at,
            &Priority::ALL,
            |text| text.parse().ok(),
            "priority",
            "P0, P1, P2, P3 and P4",
        )?),
        "level" => Condition::Level(set(
            &text,
            at,
            &Level::ALL,
            |text| text.parse().ok(),
            "level",
            "debug, info, warning, error and fatal",
        )?),
        "id" => Condition::Id(id_end(&text, at)?),
        "project" => Condition::Project(value.pattern()),
        "release" => Condition::Release(value.pattern()),
        "environment" => Condition::Environment(value.pattern()),
        "platform" => Condition::Platform(value.pattern()),
        "assigned" => Condition::AssignedTo(value.pattern()),
        "user" => Condition::User(text),
        "count" => Condition::Count(numbers(&text, at)?),
        "users" => Condition::Users(numbers(&text, at)?),
        "first_seen" => Condition::FirstSeen(times(&text, at, now)?),
        "last_seen" => Condition::LastSeen(times(&text, at, now)?),
        key => {
            let key = key.strip_prefix(TAG_PREFIX).unwrap_or(key).to_owned();
            Condition::Tag { key, value: value.pattern() }
        }
    };
    Ok((cond, false))
}

/// A ticket's id or its end, in upper case.
fn id_end(text: &str, at: usize) -> Result<String, SearchError> {
    let is_end = text.len() <= ID_BYTES && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if text.is_empty() || !is_end {
        let hint = "write id:ACT-20261124-7K3QF or id:7K3QF, or tags.id: for a tag of this name";
        return Err(error("not the id of a ticket or its end", at, hint));
    }
    Ok(text.to_ascii_uppercase())
}

fn is_word(text: &str, at: usize) -> Result<(Condition, bool), SearchError> {
    let cond = match text {
        "regressed" => Condition::Regressed,
        "unhandled" => Condition::Unhandled,
        "assigned" => Condition::Assigned,
        "unassigned" => return Ok((Condition::Assigned, true)),
        "unresolved" => Condition::Status([Status::Open, Status::InProgress, Status::InReview].into()),
        list => {
            let mut statuses = BTreeSet::new();
            let mut offset = 0;
            for word in list.split(',') {
                let status = word.parse().map_err(|_| unknown_is(word, at + offset))?;
                statuses.insert(status);
                offset += word.len() + 1;
            }
            Condition::Status(statuses)
        }
    };
    Ok((cond, false))
}

fn unknown_is(word: &str, at: usize) -> SearchError {
    if IS_WORDS.contains(&word) {
        return error(format!("is:{word} stands alone"), at, "only statuses can be listed with commas");
    }
    let nearest = IS_WORDS.iter().min_by_key(|known| distance(word, known)).copied().unwrap_or("open");
    let hint = if distance(word, nearest) <= nearest.len() / 2 {
        format!("did you mean is:{nearest}?")
    } else {
        format!("one of {}", IS_WORDS.join(", "))
    };
    error("is: does not know this word", at, hint)
}

/// Edit distance, for hints. Both sides are short: `word` is cut, so that it stays linear in the search.
fn distance(word: &str, known: &str) -> usize {
    const WORD_CHARS_MAX: usize = 24;
    let word: Vec<char> = word.chars().take(WORD_CHARS_MAX).flat_map(char::to_lowercase).collect();
    let mut row: Vec<usize> = (0..=word.len()).collect();
    for (i, known_char) in known.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, word_char) in row.iter_mut().skip(1).zip(&word) {
            let above = *cell;
            let replaced = diagonal + usize::from(*word_char != known_char);
            left = replaced.min(above + 1).min(left + 1);
            *cell = left;
            diagonal = above;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

/// Comparison before a value.
#[derive(Clone, Copy)]
enum Operator {
    Less,
    AtMost,
    Greater,
    AtLeast,
}

fn operator(text: &str) -> (Option<Operator>, &str) {
    for (sign, operator) in
        [("<=", Operator::AtMost), (">=", Operator::AtLeast), ("<", Operator::Less), (">", Operator::Greater)]
    {
        if let Some(rest) = text.strip_prefix(sign) {
            return (Some(operator), rest);
        }
    }
    (None, text)
}

/// One, several with commas, or all on one side of one.
fn set<T: Copy + Ord>(
    text: &str,
    at: usize,
    all: &[T],
    parse: impl Fn(&str) -> Option<T>,
    what: &str,
    words: &str,
) -> Result<BTreeSet<T>, SearchError> {
    let unknown = |at| error(format!("unknown {what}"), at, format!("the {what} is one of {words}"));
    let (operator, rest) = operator(text);
    if let Some(operator) = operator {
        let border = parse(rest).ok_or_else(|| unknown(at))?;
        let chosen: BTreeSet<T> = all
            .iter()
            .copied()
            .filter(|value| match operator {
                Operator::Less => *value < border,
                Operator::AtMost => *value <= border,
                Operator::Greater => *value > border,
                Operator::AtLeast => *value >= border,
            })
            .collect();
        if chosen.is_empty() {
            return Err(error(format!("no {what} lies there"), at, format!("in rising order: {words}")));
        }
        return Ok(chosen);
    }
    let mut chosen = BTreeSet::new();
    let mut offset = 0;
    for word in text.split(',') {
        chosen.insert(parse(word).ok_or_else(|| unknown(at + offset))?);
        offset += word.len() + 1;
    }
    Ok(chosen)
}

fn numbers(text: &str, at: usize) -> Result<Range<u64>, SearchError> {
    let parse = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten().filter(|number| *number <= NUMBER_MAX).ok_or_else(
            || {
                error(
                    format!("not a number from 0 to {NUMBER_MAX}"),
                    at,
                    "write for example 5, >100, <=20 or 10..50",
                )
            },
        )
    };
    if let Some((min, max)) = text.split_once("..") {
        return ordered(parse(min)?, parse(max)?, at);
    }
    let (operator, rest) = operator(text);
    let number = parse(rest)?;
    let nothing = || error("no number is below 0", at, "write for example 0 or >0");
    Ok(match operator {
        None => Range { min: Some(number), max: Some(number) },
        Some(Operator::Greater) => Range { min: Some((number + 1).min(NUMBER_MAX)), max: None },
        Some(Operator::AtLeast) => Range { min: Some(number), max: None },
        Some(Operator::Less) => Range { min: None, max: Some(number.checked_sub(1).ok_or_else(nothing)?) },
        Some(Operator::AtMost) => Range { min: None, max: Some(number) },
    })
}

fn ordered<T: PartialOrd>(min: T, max: T, at: usize) -> Result<Range<T>, SearchError> {
    if min > max {
        return Err(error("the range ends before it starts", at, "write the smaller one first"));
    }
    Ok(Range { min: Some(min), max: Some(max) })
}

/// A written time stands for a span: a date for its day, a time for its microsecond, an age for the moment.
struct Span {
    first: Timestamp,
    last: Timestamp,
    is_age: bool,
}

fn times(text: &str, at: usize, now: Timestamp) -> Result<Range<Timestamp>, SearchError> {
    let parse = |text: &str| {
        span(text, now).ok_or_else(|| {
            error(
                "not a time",
                at,
                "write an age (-30m, -24h, -7d, -2w), a date (2026-11-24) or a time (2026-11-24T09:00:00Z)",
            )
        })
    };
    if let Some((min, max)) = text.split_once("..") {
        return ordered(parse(min)?.first, parse(max)?.last, at);
    }
    let (operator, rest) = operator(text);
    let span = parse(rest)?;
    Ok(match operator {
        None if span.is_age => Range { min: Some(span.first), max: None },
        None => Range { min: Some(span.first), max: Some(span.last) },
        Some(Operator::Greater) => Range { min: Some(span.last.plus(1)), max: None },
        Some(Operator::AtLeast) => Range { min: Some(span.first), max: None },
        Some(Operator::Less) => Range { min: None, max: Some(span.first.plus(-1)) },
        Some(Operator::AtMost) => Range { min: None, max: Some(span.last) },
    })
}

fn span(text: &str, now: Timestamp) -> Option<Span> {
    if let Some(age) = text.strip_prefix('-') {
        let unit = age.chars().last()?;
        let number = age.strip_suffix(unit)?;
        let micros = match unit {
            'm' => MINUTE,
            'h' => HOUR,
            'd' => DAY,
            'w' => 7 * DAY,
            _ => return None,
        };
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let number: i64 = number.parse().ok().filter(|number| *number <= AGE_MAX)?;
        let first = now.plus(-number * micros);
        return Some(Span { first, last: first, is_age: true });
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>()
        && text.len() == "2026-11-24".len()
    {
        let first = Timestamp::parse(&format!("{date}T00:00:00Z"))?;
        return Some(Span { first, last: first.plus(DAY - 1), is_age: false });
    }
    let first = Timestamp::parse(text)?;
    Some(Span { first, last: first, is_age: false })
}

fn error(message: impl Into<String>, at: usize, hint: impl Into<String>) -> SearchError {
    SearchError { message: message.into(), at, hint: hint.into() }
}
