//! A quick look for a word in the title and culprit of a ticket.
//!
//! The index of words knows all of a ticket's words, but to ask it about one ticket costs as much as to look through
//! some hundred titles. Most tickets that have a word have it in their title, so that is looked at first. The answer
//! "yes" is certain; everything else is left to the index.

use crate::fault::Result;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

/// Name of the function in SQL: `has_word(title, culprit, word, at_start_only)`.
const NAME: &str = "has_word";

/// Lets statements of a connection call `has_word`.
pub(crate) fn register(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function(NAME, 4, flags, |arguments| {
        let text = |place: usize| arguments.get_raw(place).as_str().unwrap_or_default();
        let start: bool = arguments.get(3)?;
        Ok(stands_in(text(0), text(2), start) || stands_in(text(1), text(2), start))
    })?;
    Ok(())
}

/// Whether a text can be looked for here: one word of ASCII letters and digits, which the index cuts as we do.
pub(crate) fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether `word` certainly stands in `text` as a word of its own, or with `start` as the start of one. Beside letters
/// that are not ASCII nothing is certain.
fn stands_in(text: &str, word: &str, start: bool) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    if !word.iter().all(u8::is_ascii_alphanumeric) || word.is_empty() {
        return false;
    }
    let border = |byte: Option<&u8>| byte.is_none_or(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric());
    text.windows(word.len()).enumerate().any(|(at, window)| {
        window.eq_ignore_ascii_case(word)
            && border(at.checked_sub(1).and_then(|before| text.get(before)))
            && (start || border(text.get(at + word.len())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_is_certain() {
        for (text, word, start, found) in [
            ("Declined: card", "declined", false, true),
            ("a report", "port", false, false),
            ("import failed", "port", true, false),
            ("PaymentError", "payment", false, false),
            ("PaymentError", "payment", true, true),
            ("x_port", "port", false, true),
            ("würzburg", "rzburg", true, false),
            ("cafés", "caf", false, false),
            ("", "a", false, false),
            ("a", "", true, false),
            ("a b", "a b", false, false),
        ] {
            assert_eq!(stands_in(text, word, start), found, "{word} in {text}");
        }
    }
}
