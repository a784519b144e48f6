//! Values of sensitive names in text: `name=value`, `name: value`, `--name value`, JSON at any level of escaping, SQL.
use super::auth;
use super::checks::{
    chosen_word, is_expression, is_gibberish, is_nothing, is_prose, looks_random, random_in_two_cases,
    secret_like,
};
use super::declared;
use super::grid;
use super::hunt::Hunt;
use super::notation::{self, Around};
use super::prose::{is_code, is_code_name};
use super::value::{
    FIRST_BYTES_MAX, Joint, LOOK_BYTES_MAX, VALUE_BYTES_MAX, Value, after_name, blanks, closed_at, closed_by,
    quote, quoted_at, value_at, word_end,
};
use super::words::{NAME_BYTES_MAX, Named};
use crate::bytes::{at, before, escape_before, has, is_name, run, slice};
use crate::rule::{Detector, Strength};

/// How far before the name of a resource its `arn:` stands.
const ARN_BYTES_MAX: usize = 96;
/// How far before `IDENTIFIED BY` its statement begins.
pub(super) const STATEMENT_BYTES_MAX: usize = 120;

/// So many refused values in one word are looked at to their ends.
const REFUSED_MAX: u32 = 4;
/// Work of the detectors in bytes of plain search: of one name, and per byte of the head of a value. The
/// rest of a value costs twice as much as search.
const NAME_WORK: usize = 150;
const VALUE_WORK: usize = 8;
const HEAD_BYTES: usize = 64;

/// Endings that make a name a file: `token.py:33` assigns nothing.
const FILE_ENDINGS: &[&[u8]] = &[
    b"py", b"js", b"ts", b"rs", b"go", b"rb", b"java", b"kt", b"cs", b"php", b"jsx", b"tsx", b"mjs", b"cjs",
    b"c", b"h", b"cpp", b"html", b"vue", b"svelte", b"json", b"yml", b"yaml", b"toml", b"lock", b"md",
    b"txt", b"conf", b"css", b"map", b"ex", b"exs", b"swift", b"scala", b"dart", b"sql", b"xml", b"svg",
    b"png",
];

impl Hunt<'_> {
    /// A sensitive word stands at `start..end`; `whole` if it only counts as a word of its own.
    pub(super) fn name(&mut self, start: usize, end: usize, whole: bool) {
        let text = self.text;
        if start < self.covered || end <= self.name_done || inside_word(text, start, end, whole) {
            return;
        }
        let (name_start, name_end) = name_around(text, start, end);
        let name = slice(text, name_start, name_end);
        let arn = before(text, name_start) == b':'
            && memchr::memmem::find(
                slice(text, name_start.saturating_sub(ARN_BYTES_MAX), name_start),
                b"arn:",
            )
            .is_some();
        if slice(text, name_start.saturating_sub(10), name_start) == b"[redacted:" || arn || is_file(name) {
            self.name_done = name_end;
            return;
        }
        self.name_done = name_end;
        self.work += NAME_WORK;
        let Some(named) = self.named(name) else { return };
        if named.strength != Strength::About
            && (self.column(name_start, name_end, named.rule)
                || (grid::may_head(text, name_start, name_end)
                    && (self.grid(name_start, name_end, named.rule)
                        || self.ruled(name_start, name_end, named.rule))))
        {
            return;
        }
        let max = self.look(name_end);
        let values = Around { text, start: name_start, end: name_end, max }.values();
        if !values.is_empty() {
            for value in values {
                self.apart(named, value);
            }
            return;
        }
        let cell = notation::cell(text, name_end, max).or_else(|| notation::doubled(text, name_end, max));
        if let Some(value) = cell {
            let word = slice(text, value.start, value.end);
            if value.joint == Joint::Assigned || secret_like(word) {
                self.apart(named, value);
            }
        } else if let Some(value) = after_name(text, name_start, name_end, max) {
            self.value(named, name_start, value);
        } else if let Some(value) = declared::apart(text, name_end, self.look(name_end)) {
            self.apart(named, value);
        } else {
            self.after_comma(named, name_start, name_end);
        }
    }

    /// How much of a value after `pos` is looked at. Names whose values are refused may stand close together in one long
    /// word, and each of them would look at all of the rest of it: after some of them a short look has to do.
    pub(super) fn look(&self, pos: usize) -> usize {
        if pos < self.refused_end && self.refused >= REFUSED_MAX { LOOK_BYTES_MAX } else { FIRST_BYTES_MAX }
    }

    /// Notes a value that was looked at and stays.
    pub(super) fn refuse(&mut self, value: Value) {
        self.refused = if value.start < self.refused_end { self.refused + 1 } else { 1 };
        self.refused_end = self.refused_end.max(value.end);
        self.work += value_work(value.end.saturating_sub(value.start));
    }

    /// The whole of a value of which a short look has seen the start.
    fn whole(&self, value: Value) -> Value {
        // The look may have ended some signs before its bound.
        if value.end - value.start + 8 < self.look(value.start) {
            return value;
        }
        let end = if !value.quoted {
            word_end(self.text, value.start, VALUE_BYTES_MAX)
        } else if let Some(end) = closed_at(self.text, value.start) {
            end
        } else {
            run(self.text, value.end, VALUE_BYTES_MAX, |b| b != b'<')
        };
        Value { end: end.max(value.end), ..value }
    }

    /// A value goes.
    fn take(&mut self, named: Named, value: Value) {
        let value = self.whole(value);
        self.work += value_work(value.end.saturating_sub(value.start));
        self.add(value.start, value.end, named.rule, self.echoes(value));
        self.covered = self.covered.max(value.end);
        // `password = "x" -> "y"` of a plan: the next value stands there, too.
        let arrow = blanks(self.text, closed_by(self.text, value.end));
        if value.quoted
            && (has(self.text, arrow, b"->") || has(self.text, arrow, b"=>"))
            && let Some(next) =
                quoted_at(self.text, blanks(self.text, arrow + 2), value.joint, self.look(arrow))
            && !is_nothing(slice(self.text, next.start, next.end))
        {
            self.add(next.start, next.end, named.rule, self.echoes(next));
            self.covered = self.covered.max(next.end);
        }
    }

    fn value(&mut self, named: Named, name_start: usize, value: Value) {
        if named.detector == Detector::Authorization && value.joint != Joint::Space {
            return self.authorization(named, value);
        }
        if named.detector == Detector::Cookie && value.joint != Joint::Space {
            return self.cookie(named, value);
        }
        match value.joint {
            Joint::Space if self.protocol(name_start, self.name_done) => {}
            Joint::Space if self.declares(name_start) || self.sets_password(name_start) => {
                let value = value_at(self.text, value.start, Joint::Flag, self.look(value.start));
                if self.accepts(named, value) {
                    self.take(named, value);
                }
            }
            Joint::Space => match declared::apart(self.text, self.name_done, self.look(self.name_done))
                .or_else(|| self.compared(self.name_done, self.look(self.name_done)))
            {
                Some(value) => self.apart(named, value),
                None => self.prose(named, name_start, value.start),
            },
            Joint::Flag => {
                let value = value_at(self.text, value.start, Joint::Flag, self.look(value.start));
                let word = slice(self.text, value.start, value.end);
                if !is_nothing(word) && word.first() != Some(&b'-') && self.accepts(named, value) {
                    let value = self.whole(value);
                    self.add(value.start, value.end, named.rule, true);
                    self.covered = self.covered.max(value.end);
                } else {
                    self.refuse(value);
                }
            }
            _ => {
                let code = self.is_code_value(name_start, value);
                let value = self.bracketed(value).unwrap_or(value);
                let value = self.second_word(name_start, value).unwrap_or(value);
                if !code
                    && (self.accepts(named, value)
                        || self.is_header(named, name_start, value)
                        || self.is_short_code(name_start, value))
                {
                    return self.take(named, value);
                }
                self.refuse(value);
                if code {
                    return;
                }
                if let Some(value) = declared::typed(self.text, value.start, self.look(value.start)) {
                    self.apart(named, value);
                } else if matches!(value.joint, Joint::Colon) && before(self.text, name_start) != b'"' {
                    self.prose(named, name_start, value.start);
                }
            }
        }
    }

    /// A value that does not follow its name at once.
    pub(super) fn apart(&mut self, named: Named, value: Value) {
        if named.detector == Detector::Authorization && matches!(value.joint, Joint::Tuple | Joint::Element) {
            return self.authorization(named, value);
        }
        if self.accepts(named, value) {
            self.take(named, value);
        } else {
            self.refuse(value);
        }
    }

    /// Whether the value of a name is to go.
    fn accepts(&self, named: Named, value: Value) -> bool {
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
    fn bracketed(&self, value: Value) -> Option<Value> {
        let start = value.start + 1;
        let end = run(self.text, start, LOOK_BYTES_MAX, |b| b > b' ' && !matches!(b, b'<' | b'>' | b'"'));
        let found = !value.quoted && at(self.text, value.start) == b'<' && at(self.text, end) == b'>';
        (found && looks_random(slice(self.text, start, end), 8)).then_some(Value { start, end, ..value })
    }

    /// `credentials: bob / x`: the first word is the user's name.
    fn second_word(&self, name_start: usize, value: Value) -> Option<Value> {
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
    fn is_short_code(&self, name_start: usize, value: Value) -> bool {
        let name = slice(self.text, name_start, self.name_done);
        !self.code && is_code_name(name) && is_code(name, slice(self.text, value.start, value.end))
    }

    /// Whether a value is all of a line `X-Auth-Token: word`: in a header a word is a value, too.
    fn is_header(&self, named: Named, name_start: usize, value: Value) -> bool {
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
    fn declares(&self, name_start: usize) -> bool {
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
    fn sets_password(&self, name_start: usize) -> bool {
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
    fn stands_alone(&self, word: &[u8]) -> bool {
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
    fn echoes(&self, value: Value) -> bool {
        !self.code || looks_random(slice(self.text, value.start, value.end), 8)
    }

    fn authorization(&mut self, named: Named, value: Value) {
        let short = self.look(value.start) == LOOK_BYTES_MAX;
        let max = if short { LOOK_BYTES_MAX } else { VALUE_BYTES_MAX };
        let end = if value.quoted { value.end } else { auth::unquoted_end(self.text, value.start, max) };
        let Some((from, to)) = auth::credential(self.text, value.start, end) else {
            return self.refuse(Value { end, ..value });
        };
        let word = Value { start: from, end: to, ..value };
        let schemed = from > value.start;
        let word_bytes = slice(self.text, from, to);
        let prose = !value.quoted
            && (is_prose(word_bytes)
                || (value.joint == Joint::Colon
                    && !schemed
                    && !secret_like(word_bytes)
                    && !is_gibberish(word_bytes)));
        if prose
            || (!value.quoted && self.code && is_expression(word_bytes))
            || (!schemed && !self.accepts(named, word) && !is_gibberish(word_bytes))
        {
            return self.refuse(Value { end: to, ..value });
        }
        self.take(named, word);
    }

    fn cookie(&mut self, named: Named, value: Value) {
        let text = self.text;
        // A line without pairs has none after a later name either.
        let max = if value.start < self.cookie_done { LOOK_BYTES_MAX } else { VALUE_BYTES_MAX };
        let end = if value.quoted { value.end } else { auth::line_end(text, value.start, max) };
        self.work += end.saturating_sub(value.start);
        let mut pairs = false;
        auth::cookies(text, value.start, end, |name, start, end| {
            pairs = true;
            let word = slice(text, start, end);
            let by_name = self
                .named(name)
                .filter(|found| found.strength != Strength::About)
                .map(|found| found.rule)
                .filter(|_| !is_nothing(word) && word.len() > 3);
            let rule = by_name.or_else(|| auth::cookie_like_session(word).then_some(named.rule));
            if let Some(rule) = rule {
                self.add(start, end, rule, true);
            }
        });
        let whole = slice(text, value.start, value.end);
        if pairs {
            self.covered = self.covered.max(end);
        } else {
            self.cookie_done = self.cookie_done.max(end);
            if secret_like(whole) && !is_nothing(whole) {
                self.take(named, value);
            } else {
                self.refuse(value);
            }
        }
    }

    /// `-u name:password` of curl and others; `pos` is after the flag.
    pub(super) fn user_flag(&mut self, pos: usize) {
        let start = blanks(self.text, pos);
        let value = value_at(self.text, start, Joint::Flag, VALUE_BYTES_MAX);
        let word = slice(self.text, value.start, value.end);
        let Some(colon) = memchr::memchr(b':', word) else { return };
        let password = slice(word, colon + 1, word.len());
        let host = password.starts_with(b"//") || password.iter().all(u8::is_ascii_digit);
        if let Some(named) = self.named(b"password")
            && !host
            && !is_nothing(password)
        {
            self.add(value.start + colon + 1, value.end, named.rule, true);
        }
    }

    /// `?key=x`, `&sig=x`; `pos` is after the `=`.
    pub(super) fn query(&mut self, pos: usize) {
        if pos < self.covered {
            return;
        }
        let value = value_at(self.text, pos, Joint::Assigned, self.look(pos));
        let word = slice(self.text, value.start, value.end);
        if let Some(rule) = self.engine.special.query_token
            && !is_nothing(word)
            && (looks_random(word, 12) || (word.len() >= 20 && secret_like(word)))
        {
            let value = self.whole(value);
            self.add(value.start, value.end, rule, true);
            self.covered = self.covered.max(value.end);
        } else {
            self.refuse(value);
        }
    }
}

/// Work of judging a value of some bytes.
fn value_work(bytes: usize) -> usize {
    VALUE_WORK * bytes.min(HEAD_BYTES) + 2 * bytes.saturating_sub(HEAD_BYTES)
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

/// Whether letters around a whole word make another word of it: `compass`, `author`.
fn inside_word(text: &[u8], start: usize, end: usize, whole: bool) -> bool {
    let (first, last) = (at(text, start), before(text, end));
    let (prev, next) = (before(text, start), at(text, end));
    let goes_on = next.is_ascii_lowercase() || (next.is_ascii_uppercase() && last.is_ascii_uppercase());
    let camel = first.is_ascii_uppercase() && !prev.is_ascii_uppercase();
    let started = prev.is_ascii_alphabetic() && !camel && escape_before(text, start) == 0;
    let acronym = first.is_ascii_uppercase() && at(text, start + 1).is_ascii_lowercase();
    goes_on || (whole && started && !acronym)
}

/// The whole name around a sensitive word.
pub(super) fn name_around(text: &[u8], start: usize, end: usize) -> (usize, usize) {
    let mut from = start;
    let limit = start.saturating_sub(NAME_BYTES_MAX / 2);
    while from > limit && is_name(before(text, from)) {
        if escape_before(text, from) > 0 {
            break;
        }
        from -= 1;
    }
    while from < start && matches!(at(text, from), b'-' | b'.') {
        from += 1;
    }
    if from < start && at(text, from) == b'D' && before(text, from) == b'-' {
        // `-DapiKey=x` of Java
        from += 1;
    }
    let mut to = run(text, end, NAME_BYTES_MAX / 2, is_name);
    while to > end && matches!(before(text, to), b'.' | b'-') {
        to -= 1;
    }
    (from, to)
}

fn is_file(name: &[u8]) -> bool {
    memchr::memrchr(b'.', name).is_some_and(|dot| {
        let ending = slice(name, dot + 1, name.len());
        FILE_ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
    })
}
