//! Removing what a reader does not see (`ingest.md` §10.4).
//!
//! Done before redaction: a secret with an invisible character inside would pass every detector, and show whole to
//! whoever copies it. Done for safety too: escapes drive terminals, bidi marks and tag characters deceive readers.

use std::borrow::Cow;

/// `text` without control characters (all but tab and newline; CRLF becomes newline), terminal escape sequences,
/// bidi controls, zero-width characters, variation selectors and tag characters.
///
/// Linear in the length of the text; borrows when there is nothing to remove.
pub fn clean(text: &str) -> Cow<'_, str> {
    let Some(first) = text.char_indices().find(|&(_, c)| goes(c)).map(|(at, _)| at) else {
        return Cow::Borrowed(text);
    };
    let (kept, mut rest) = text.split_at_checked(first).unwrap_or(("", text));
    let mut out = String::with_capacity(text.len());
    out.push_str(kept);
    // Each turn takes one character that goes (or the sequence it begins) and the text up to the next one.
    while let Some(c) = rest.chars().next() {
        rest = rest.get(unwanted_length(rest, c)..).unwrap_or_default();
        let run = rest.find(goes).unwrap_or(rest.len());
        let (kept, after) = rest.split_at_checked(run).unwrap_or((rest, ""));
        out.push_str(kept);
        rest = after;
    }
    Cow::Owned(out)
}

/// First bytes, in UTF-8, of all non-ASCII characters that [`goes`] names; others never need a second look.
pub(super) const fn is_suspect_lead(byte: u8) -> bool {
    matches!(byte, 0xC2 | 0xCD | 0xD8 | 0xE1 | 0xE2 | 0xE3 | 0xEF | 0xF3)
}

/// Characters that never stay.
fn goes(c: char) -> bool {
    matches!(
        c,
        '\u{0}'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
            | '\u{ad}' // soft hyphen
            | '\u{34f}' // combining grapheme joiner
            | '\u{61c}' // Arabic letter mark
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
            | '\u{17b4}' | '\u{17b5}' // invisible Khmer vowels
            | '\u{180b}'..='\u{180f}' // Mongolian selectors and separator
            | '\u{200b}'..='\u{200f}' // zero width space, joiners, direction marks
            | '\u{202a}'..='\u{202e}' // bidi embeddings and overrides
            | '\u{2060}'..='\u{206f}' // word joiner, invisible operators, bidi isolates
            | '\u{fe00}'..='\u{fe0f}' // variation selectors
            | '\u{feff}' // byte order mark
            | '\u{fff9}'..='\u{fffb}' // interlinear annotation
            | '\u{e0000}'..='\u{e0fff}' // tags and further selectors
    )
}

/// Length of what goes at the start of `text`, which begins with `c`: the character, or its whole sequence.
fn unwanted_length(text: &str, c: char) -> usize {
    let own = c.len_utf8();
    let after = text.get(own..).unwrap_or_default();
    let sequence = match (c, after.bytes().next()) {
        ('\u{1b}', Some(b'[')) => csi_length(after.get(1..).unwrap_or_default()).map(|n| n + 1),
        ('\u{1b}', Some(b']' | b'P' | b'X' | b'^' | b'_')) => {
            command_length(after.get(1..).unwrap_or_default()).map(|n| n + 1)
        }
        ('\u{1b}', Some(b'(' | b')' | b'*' | b'+')) => charset_length(after),
        // Two-character escapes: only the escape goes. A text after a stray escape must not lose its first letter.
        ('\u{9b}', _) => csi_length(after),
        ('\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}', _) => command_length(after),
        _ => None,
    };
    own + sequence.unwrap_or(0)
}

/// After the introducer: parameters, intermediates, one final byte. `None` when it is no such sequence.
///
/// What it scans in vain holds no further introducer, so all scans together stay linear.
fn csi_length(text: &str) -> Option<usize> {
    let body = text.bytes().take_while(|b| (0x20..=0x3F).contains(b)).count();
    text.as_bytes().get(body).filter(|b| (0x40..=0x7E).contains(*b)).map(|_| body + 1)
}

/// Operating system command and its like: up to BEL or the string terminator on the same line. `None` when it does
/// not end: then only its introducer goes, and the text stays.
///
/// Stops at the next escape or control, so all scans together stay linear.
fn command_length(text: &str) -> Option<usize> {
    let end = text.find(|c: char| c.is_control() && c != '\t')?;
    let rest = text.get(end..)?;
    if rest.starts_with('\u{7}') {
        Some(end + 1)
    } else if rest.starts_with("\u{1b}\\") || rest.starts_with('\u{9c}') {
        Some(end + 2)
    } else {
        None
    }
}

/// `ESC ( B` and its like.
fn charset_length(after: &str) -> Option<usize> {
    after.as_bytes().get(1).filter(|b| matches!(b, b'0' | b'A' | b'B')).map(|_| 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_does_not_see_goes_and_the_rest_stays() {
        let table = [
            ("plain text, tab\tand\nnewline", "plain text, tab\tand\nnewline"),
            ("a\r\nb\rc", "a\nbc"),
            ("a\0b\u{8}c\u{7f}d\u{85}e", "abcde"),
            ("\u{1b}[31mred\u{1b}[0m \u{1b}[38;5;12;48:2m!", "red !"),
            ("\u{1b}]8;;https://x.example.net\u{7}link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{9b}31mred\u{9d}0;title\u{9c}", "red"),
            ("\u{1b}(Bx\u{1b}cy\u{1b}7", "xcy7"),
            ("\u{1b}Ptmux;x\u{1b}\\y", "y"),
            ("gh\u{200b}p\u{200d}_\u{2060}ab\u{feff}c\u{200c}", "ghp_abc"),
            ("user\u{202e}nimda\u{202c} \u{2066}x\u{2069}", "usernimda x"),
            ("hi\u{e0068}\u{e0069}\u{e007f}\u{fe0f}\u{ad}", "hi"),
            ("Grüße, 日本語, שלום, 🙂, naïve", "Grüße, 日本語, שלום, 🙂, naïve"),
            ("", ""),
        ];
        for (text, cleaned) in table {
            assert_eq!(clean(text), cleaned, "{text:?}");
            assert_eq!(clean(&clean(text)), cleaned);
        }
    }

    #[test]
    fn an_unfinished_sequence_takes_no_text_with_it() {
        for (text, cleaned) in [
            ("\u{1b}]0;password=hunter2\nnext", "]0;password=hunter2\nnext"),
            ("\u{1b}]never ends", "]never ends"),
            ("\u{1b}[12\nx", "[12\nx"),
            ("\u{1b}", ""),
            ("\u{1b}[", "["),
            ("\u{1b}password=x", "password=x"),
        ] {
            assert_eq!(clean(text), cleaned, "{text:?}");
        }
    }

    #[test]
    fn a_wall_of_openers_costs_linear_time() {
        for opener in ["\u{1b}]", "\u{1b}[0", "\u{9d}", "\u{1b}P\t", "\u{1b}[;;;;", "\u{200b}"] {
            let wall = opener.repeat(200_000);
            assert!(clean(&wall).len() <= wall.len());
        }
    }

    #[test]
    fn every_character_that_goes_has_a_lead_byte_that_is_looked_at() {
        let mut utf8 = [0u8; 4];
        for c in (0u32..=0x10_FFFF).filter_map(char::from_u32).filter(|&c| goes(c) && !c.is_ascii()) {
            let lead = c.encode_utf8(&mut utf8).as_bytes()[0];
            assert!(is_suspect_lead(lead), "{c:?}");
        }
    }

    #[test]
    fn a_string_without_blemish_is_not_copied() {
        assert!(matches!(clean("Grüße"), Cow::Borrowed(_)));
    }
}
