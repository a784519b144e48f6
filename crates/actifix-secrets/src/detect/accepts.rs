//! Whether what stands behind a sensitive name is its value: no expression, no type, no state, no word of a sentence.
use super::assign::STATEMENT_BYTES_MAX;
use super::checks::{
    chosen_word, is_expression, is_gibberish, is_nothing, is_prose, looks_random, random_in_two_cases,
    secret_like,
};
use super::hunt::Hunt;
use super::prose::{is_code, is_code_name};
use super::value::{Joint, LOOK_BYTES_MAX, Value, blanks, quote, value_at};
use super::words::Named;
use crate::bytes::{at, before, escape_before, has, is_name, run, slice};
use crate::rule::Strength;

impl Hunt<'_> {
    /// Whether the value of a name is to go.
    pub(super) fn accepts(&self, named: Named, value: Value) -> bool {
        let word = slice(self.text, value.start, value.end);
        if is_nothing(word) {
            return false;
        }
        if !value.quoted {
            let call = word.strip_suffix(b"()").is_some_and(|name| name.iter().all(|b| is_name(*b)));
            let opens =
                matches!(word, [b'{' | b'[' | b'(', ..]) && crate::bytes::redaction_token(word, 0) == 0;
            // `S["password"]` and `f("x")`: the quote ended the word.
            let indexes = matches!(word.last(), Some(b'[' | b'('))
                && word.first().is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'$' | b'_' | b'@'));
            if call
                || indexes
                || is_member(word)
                || (opens && word.len() < 3)
                || (self.code && is_expression(statement(word)))
            {
                return false;
            }
            if opens && matches!(at(self.text, value.end), b'"' | b'\'' | b'\\') {
                // An object or list in JSON: its members have names of their own.
                return false;
            }
            if is_prose(word) && value.joint != Joint::Flag {
                return false;
            }
        }
        if value.quoted && between_literals(word, self.code) {
            return false;
        }
        if matches!(value.joint, Joint::Tuple | Joint::Line) && !self.stands_alone(word) {
            return false;
        }
        match (named.strength, value.joint) {
            (Strength::Prose, Joint::Line) => secret_like(word) || looks_random(word, 12),
            (Strength::About, _) => random_in_two_cases(word),
            (Strength::Weak, joint) => {
                let assigned = matches!(joint, Joint::Assigned | Joint::Flag | Joint::Element)
                    || (named.chosen && value.quoted);
                secret_like(word)
                    || looks_random(word, 12)
                    || (!self.code && named.chosen && is_gibberish(word))
                    || (assigned && !self.code && (chosen_word(named, word) || is_gibberish(word)))
            }
            (Strength::Prose, Joint::Colon) if !value.quoted => secret_like(word) || looks_random(word, 12),
            _ => true,
        }
    }

    /// `password=<x>`: a value between signs that no placeholder has.
    pub(super) fn bracketed(&self, value: Value) -> Option<Value> {
        let start = value.start + 1;
        let end = run(self.text, start, LOOK_BYTES_MAX, |b| b > b' ' && !matches!(b, b'<' | b'>' | b'"'));
        let found = !value.quoted && at(self.text, value.start) == b'<' && at(self.text, end) == b'>';
        (found && looks_random(slice(self.text, start, end), 8)).then_some(Value { start, end, ..value })
    }

    /// `credentials: bob / x`: the first word is the user's name.
    pub(super) fn second_word(&self, name_start: usize, value: Value) -> Option<Value> {
        let name = slice(self.text, name_start, self.name_done);
        let slash = blanks(self.text, value.end);
        let pair = !value.quoted
            && (has(name, 0, b"creds") || has(name, 0, b"credential"))
            && slash > value.end
            && has(self.text, slash, b"/ ");
        let start = blanks(self.text, slash + 1);
        pair.then(|| value_at(self.text, start, value.joint, self.look(start)))
    }

    /// `PIN: 4711`: after a colon a number is a secret only under a name for codes.
    pub(super) fn is_short_code(&self, name_start: usize, value: Value) -> bool {
        let name = slice(self.text, name_start, self.name_done);
        !self.code && is_code_name(name) && is_code(name, slice(self.text, value.start, value.end))
    }

    /// Whether a value is all of a line `X-Auth-Token: word`: in a header a word is a value, too.
    pub(super) fn is_header(&self, named: Named, name_start: usize, value: Value) -> bool {
        let text = self.text;
        let name = slice(text, name_start, self.name_done);
        let first = matches!(before(text, name_start), 0 | b'\n' | b'\r' | b'"' | b'\'')
            || escape_before(text, name_start) == 2;
        let last = matches!(at(text, value.end), 0 | b'\n' | b'\r' | b'"' | b'\'' | b'\\');
        let word = slice(text, value.start, value.end);
        value.joint == Joint::Colon
            && named.strength == Strength::Prose
            && name.contains(&b'-')
            && first
            && last
            && word.len() >= 8
            && !is_prose(word)
            && !is_nothing(word)
            && !(self.code && is_expression(word))
    }

    /// Whether the line before the name says that a word follows: `ENV NAME word`, `setx NAME word`,
    /// `machine h login u password word`.
    pub(super) fn declares(&self, name_start: usize) -> bool {
        let head = slice(self.text, name_start.saturating_sub(STATEMENT_BYTES_MAX), name_start);
        let line = head.rsplit(|b| matches!(b, b'\n' | b'\r')).next().unwrap_or(head);
        let user =
            memchr::memmem::find(line, b" login ").map_or(line.len(), |found| found + b" login ".len());
        let netrc = !slice(line, user, line.len()).trim_ascii().is_empty()
            && memchr::memmem::find(line, b"machine ").is_some();
        // The name may be the end of a longer word: `config set //registry.example.net/:_authToken x`.
        let words = memchr::memrchr(b' ', line).map_or(&[][..], |last| slice(line, 0, last));
        const SETTERS: [&[u8]; 8] = [
            b"setenv",
            b"set -x",
            b"set -gx",
            b"set -Ux",
            b"set -xg",
            b"git config",
            b"git config --global",
            b"config set",
        ];
        let sets = SETTERS.iter().any(|setter| words.trim_ascii_end().ends_with(setter));
        matches!(line.trim_ascii(), b"ENV" | b"setx" | b"SETX") || netrc || sets
    }

    /// Whether a statement about a user of a database stands before the name: `ALTER USER bob WITH PASSWORD 'x'`.
    pub(super) fn sets_password(&self, name_start: usize) -> bool {
        let value = blanks(self.text, self.name_done);
        if quote(self.text, value).is_none() {
            return false;
        }
        let from = name_start.saturating_sub(STATEMENT_BYTES_MAX);
        let head = slice(self.text, from, name_start).to_ascii_lowercase();
        let has = |word: &[u8]| memchr::memmem::find(&head, word).is_some();
        (has(b"alter ") || has(b"create ")) && (has(b" user ") || has(b" role ") || has(b" login "))
    }

    /// Whether a word that no sign ties to its name is more than a label of it.
    pub(super) fn stands_alone(&self, word: &[u8]) -> bool {
        const LABELS: [&[u8]; 8] =
            [b"hidden", b"input", b"label", b"required", b"optional", b"boolean", b"varchar", b"default"];
        let label = LABELS.iter().any(|label| word.eq_ignore_ascii_case(label));
        let about = [&b"type"[..], b"field", b"input"]
            .iter()
            .any(|ending| word.len() > ending.len() && has(word, word.len() - ending.len(), ending));
        let open = about
            || word.contains(&b' ')
            || word.contains(&b'|')
            || word.ends_with(b":")
            || word.contains(&b'(');
        let sure = secret_like(word) || looks_random(word, 8);
        word.len() >= 6 && !is_prose(word) && !label && !open && (sure || !self.code)
    }

    /// A word that stands in source code is a value there; it is replaced elsewhere only if it looks like one.
    pub(super) fn echoes(&self, value: Value) -> bool {
        !self.code || looks_random(slice(self.text, value.start, value.end), 8)
    }
}

/// `config.secrets.database`: names in a row, one of which says that they are code.
fn is_member(word: &[u8]) -> bool {
    const OWNERS: [&[u8]; 26] = [
        b"config",
        b"settings",
        b"self",
        b"this",
        b"process",
        b"os",
        b"env",
        b"app",
        b"request",
        b"req",
        b"params",
        b"form",
        b"args",
        b"options",
        b"opts",
        b"ctx",
        b"context",
        b"conf",
        b"cfg",
        b"secrets",
        b"vars",
        b"var",
        b"local",
        b"module",
        b"props",
        b"state",
    ];
    if !word.contains(&b'.') {
        return false;
    }
    let mut parts = word.split(|b| *b == b'.');
    let owner = parts.next().is_some_and(|first| OWNERS.contains(&first));
    let names = |part: &[u8]| !part.is_empty() && part.iter().all(|b| b.is_ascii_alphabetic() || *b == b'_');
    owner && parts.all(names)
}

/// Source code up to the end of its statement or argument.
fn statement(word: &[u8]) -> &[u8] {
    let end = word.iter().position(|b| matches!(b, b';' | b',')).unwrap_or(word.len());
    slice(word, 0, end)
}

/// `"password=" + x["a"]`: what follows the quote is code, because the quote closed a literal.
fn between_literals(word: &[u8], code: bool) -> bool {
    let starts = matches!(word.trim_ascii_start().first(), Some(b'+' | b')' | b',' | b'%' | b'.' | b']'));
    let ends = matches!(word.trim_ascii_end().last(), Some(b'[' | b'(' | b'+' | b',' | b'{'));
    starts && (code || ends)
}
