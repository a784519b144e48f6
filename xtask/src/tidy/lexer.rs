//! A lexer of Rust that knows just enough: where code ends and comments, strings and characters begin.
//!
//! Its output keeps every offset and line of the input, so that rules can search in code alone.

/// A comment or the inside of a string literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Byte offset in the file.
    pub at: usize,
    pub text: String,
}

#[derive(Debug)]
pub struct Lexed {
    pub code: String,
    pub comments: Vec<Span>,
    pub strings: Vec<Span>,
}

/// Splits a file. Linear in its length; text that is not Rust gives some split, never a panic.
pub fn lex(text: &str) -> Lexed {
    let mut lexer = Lexer { text, code: text.as_bytes().to_vec(), comments: Vec::new(), strings: Vec::new() };
    let mut at = 0;
    while at < text.len() {
        at = lexer.token(at);
    }
    // Only whole characters were blanked, so that this loses nothing.
    let code = String::from_utf8_lossy(&lexer.code).into_owned();
    Lexed { code, comments: lexer.comments, strings: lexer.strings }
}

struct Lexer<'a> {
    text: &'a str,
    code: Vec<u8>,
    comments: Vec<Span>,
    strings: Vec<Span>,
}

impl Lexer<'_> {
    /// Handles what begins at `at` and gives the offset behind it.
    fn token(&mut self, at: usize) -> usize {
        match self.byte(at) {
            Some(b'/') if self.byte(at + 1) == Some(b'/') => {
                let end = self.find("\n", at).unwrap_or(self.text.len());
                self.comment(at, end)
            }
            Some(b'/') if self.byte(at + 1) == Some(b'*') => {
                let end = self.block_comment_end(at);
                self.comment(at, end)
            }
            Some(b'"') => self.string(at),
            Some(b'\'') => self.character_or_lifetime(at),
            Some(byte) if is_word(byte) => self.word(at),
            _ => at + 1,
        }
    }

    /// An identifier or number; one that prefixes a raw string takes the string with it.
    fn word(&mut self, at: usize) -> usize {
        let mut end = at;
        while self.byte(end).is_some_and(is_word) {
            end += 1;
        }
        let word = self.text.get(at..end).unwrap_or_default();
        if matches!(word, "r" | "br" | "cr") {
            let mut hashes = 0;
            while self.byte(end + hashes) == Some(b'#') {
                hashes += 1;
            }
            if self.byte(end + hashes) == Some(b'"') {
                return self.raw_string(end + hashes + 1, hashes);
            }
        }
        end
    }

    fn raw_string(&mut self, inside: usize, hashes: usize) -> usize {
        let terminator = format!("\"{}", "#".repeat(hashes));
        let end = self.find(&terminator, inside).unwrap_or(self.text.len());
        self.literal(inside, end);
        (end + terminator.len()).min(self.text.len())
    }

    fn string(&mut self, quote: usize) -> usize {
        let mut end = quote + 1;
        while let Some(byte) = self.byte(end) {
            match byte {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        let end = end.min(self.text.len());
        self.literal(quote + 1, end);
        (end + 1).min(self.text.len())
    }

    /// `'x'` and `'\n'` are characters; `'a` without a closing quote is a lifetime or label.
    fn character_or_lifetime(&mut self, quote: usize) -> usize {
        let inside = quote + 1;
        let end = if self.byte(inside) == Some(b'\\') {
            self.find("'", inside + 2)
        } else {
            let character = self.text.get(inside..).and_then(|rest| rest.chars().next());
            let end = inside + character.map_or(0, char::len_utf8);
            (self.byte(end) == Some(b'\'')).then_some(end)
        };
        let Some(end) = end else { return inside };
        self.blank(inside, end);
        end + 1
    }

    fn block_comment_end(&self, at: usize) -> usize {
        let mut depth = 0_usize;
        let mut end = at;
        while end < self.text.len() {
            match (self.byte(end), self.byte(end + 1)) {
                (Some(b'/'), Some(b'*')) => {
                    depth += 1;
                    end += 2;
                }
                (Some(b'*'), Some(b'/')) => {
                    depth = depth.saturating_sub(1);
                    end += 2;
                    if depth == 0 {
                        return end;
                    }
                }
                _ => end += 1,
            }
        }
        self.text.len()
    }

    fn comment(&mut self, from: usize, to: usize) -> usize {
        self.comments.push(Span { at: from, text: self.text.get(from..to).unwrap_or_default().to_owned() });
        self.blank(from, to);
        to
    }

    fn literal(&mut self, from: usize, to: usize) {
        self.strings.push(Span { at: from, text: self.text.get(from..to).unwrap_or_default().to_owned() });
        self.blank(from, to);
    }

    fn blank(&mut self, from: usize, to: usize) {
        for byte in self.code.iter_mut().take(to).skip(from) {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn find(&self, what: &str, from: usize) -> Option<usize> {
        self.text.get(from..)?.find(what).map(|offset| from + offset)
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, code: &str, strings: &[&str], comments: &[&str]) {
        let lexed = lex(text);
        assert_eq!(lexed.code, code);
        assert_eq!(lexed.code.len(), text.len());
        assert_eq!(lexed.strings.iter().map(|span| span.text.as_str()).collect::<Vec<_>>(), strings);
        assert_eq!(lexed.comments.iter().map(|span| span.text.as_str()).collect::<Vec<_>>(), comments);
    }

    #[test]
    fn comments_end_at_the_line_or_at_their_own_level() {
        check("a // b\nc", "a     \nc", &[], &["// b"]);
        check("a /* b /* c */ d */ e", "a                   e", &[], &["/* b /* c */ d */"]);
    }

    #[test]
    fn strings_may_hold_quotes_escapes_and_comment_marks() {
        check(r#"f("a // \" b") // c"#, r#"f("         ")     "#, &[r#"a // \" b"#], &["// c"]);
        check("r#\"a \" b\"# c", "r#\"     \"# c", &["a \" b"], &[]);
        check("br\"\\\" c", "br\" \" c", &["\\"], &[]);
        check("b\"x\" c", "b\" \" c", &["x"], &[]);
    }

    #[test]
    fn characters_are_told_from_lifetimes() {
        check("'{' '\\'' 'é' f::<'a>('\"')", "' ' '  ' '  ' f::<'a>(' ')", &[], &[]);
        check("&'static str \"s\"", "&'static str \" \"", &["s"], &[]);
    }

    #[test]
    fn raw_identifiers_are_code() {
        check("r#type = r", "r#type = r", &[], &[]);
    }

    #[test]
    fn unfinished_text_ends_at_its_end() {
        for text in ["\"abc", "\"abc\\", "r##\"abc\"#", "/* abc", "'\\", "'", "é'"] {
            assert_eq!(lex(text).code.len(), text.len(), "{text}");
        }
    }
}
