//! Values that stand in a sentence with their name: behind it, behind who they belong to, or in front of it.
use super::checks::{is_nothing, is_prose, is_unpronounceable, looks_random, looks_random_far, secret_like};
use super::hunt::Hunt;
use super::value::{Joint, blanks, quote, value_at};
use super::words::{NAME_BYTES_MAX, Named};
use crate::bytes::{at, before, has, is_name, run, slice};
use crate::rule::Strength;

/// How far after a sensitive word a random-looking word is taken for its value.
const PROSE_BYTES_MAX: usize = 80;
const PROSE_WORDS_MAX: usize = 8;
/// How far before a name its value is looked for.
const AHEAD_BYTES_MAX: usize = 96;
/// How far before a name a comma makes it one of a list.
const LIST_BYTES: usize = 24;
/// What a byte of prose costs, in bytes of plain search.
const PROSE_WORK: usize = 3;
/// Digits of a code that is a secret under a name that says so, and of one with a gap in it.
const CODE_DIGITS_MIN: usize = 4;
const CODE_DIGITS_MAX: usize = 10;

/// Words after which the value follows at once.
const CONNECTORS: &[&[u8]] = &[
    b"is",
    b"was",
    b"are",
    b"=",
    b":",
    b"to",
    b"->",
    b"with",
    b"value",
    b"set",
    b"now",
    b"currently",
    b"has",
    b"been",
    b"changed",
    b"reset",
    b"rotated",
    b"provided",
    b"given",
    b"received",
    b"got",
    b"ist",
    b"lautet",
    b"war",
    b"est",
    b"es",
    b"era",
    "é".as_bytes(),
    "è".as_bytes(),
    b"jest",
    "är".as_bytes(),
    b"er",
    "→".as_bytes(),
    "—".as_bytes(),
    "–".as_bytes(),
    b"-",
];
/// Of these, the ones that say so at the end of a longer phrase: `password for bob is x`.
const SURE_CONNECTORS: &[&[u8]] = &[b"is", b"was", b"=", b"ist", b"lautet", b"est", b"es"];

/// Words that whose it is follows.
const OWNERS: &[&[u8]] = &[b"for", b"of", b"on", "für".as_bytes(), b"von", b"pour", b"de", b"para"];

impl Hunt<'_> {
    /// `password hunter2`, `my token is 'x'`, `password authentication failed for user "svc" (x)`. The name starts at
    /// `name_start`, the words after it at `start`.
    pub(super) fn prose(&mut self, named: Named, name_start: usize, start: usize) {
        if named.strength == Strength::About {
            return;
        }
        if !self.behind(named, name_start, start) {
            self.ahead(named, name_start);
        }
    }

    /// Looks for a value behind its name; true if something goes or the words belong to another name.
    fn behind(&mut self, named: Named, name_start: usize, start: usize) -> bool {
        let text = self.text;
        let name = slice(text, name_start, self.name_done);
        let code = is_code_name(name);
        let limit = text.len().min(start + PROSE_BYTES_MAX);
        let mut pos = blanks(text, start);
        // The value may stand here; and only one that nobody takes for a word of the sentence.
        let (mut adjacent, mut again, mut from_to, mut owned) = (true, false, false, false);
        // A number stands right there, or behind `is`.
        let mut number = code;
        for _ in 0..PROSE_WORDS_MAX {
            if pos >= limit || matches!(at(text, pos), b'\n' | b'\r') {
                return false;
            }
            let quoted = quote(text, pos).is_some();
            if quoted && (adjacent || again) && self.quoted_word(named, pos, adjacent) {
                return true;
            }
            let (from, to, next) = prose_word(text, pos);
            self.work += PROSE_WORK * (next - pos);
            let word = slice(text, from, to);
            if adjacent && self.begins_with_name(word) {
                // `secret password=x`: the second name has the value.
                return true;
            }
            if adjacent || again || (from_to && has(text, blanks(text, next), b"to ")) {
                let end = if number { self.code_end(name, from, to) } else { None };
                let secret = end.or_else(|| self.adjacent_secret(named, word).then_some(to));
                if let Some(end) = secret {
                    self.add(from, end, named.rule, true);
                    return true;
                }
                if adjacent && let Some((from, to)) = self.second_of_pair(named, name_start, from, to) {
                    self.add(from, to, named.rule, true);
                    return true;
                }
            }
            if !self.code && looks_random_far(word) {
                if let Some(rule) = self.engine.special.secret_word {
                    self.add(from, to, rule, true);
                }
                return true;
            }
            let signed = to < next && matches!(at(text, to), b':' | b'=') || matches!(word, b":" | b"=");
            owned |= adjacent && OWNERS.contains(&word);
            adjacent = adjacent && CONNECTORS.iter().any(|known| word.eq_ignore_ascii_case(known));
            from_to = word == b"from";
            number = code && adjacent && (SURE_CONNECTORS.contains(&word) || matches!(word, b":" | b"->"));
            // `password for bob is x`, `password for bob: x`
            let sure = signed || SURE_CONNECTORS.contains(&word);
            again = owned && named.strength == Strength::Strong && sure;
            pos = blanks(text, next);
            if next == pos && at(text, next) > b' ' {
                return false;
            }
        }
        false
    }

    /// A quoted word where the value may stand; right after its name it need not look like one.
    fn quoted_word(&mut self, named: Named, pos: usize, adjacent: bool) -> bool {
        let text = self.text;
        let value = value_at(text, pos, Joint::Space, self.look(pos));
        let word = slice(text, value.start, value.end);
        let sure = adjacent
            && named.strength == Strength::Strong
            && !word.contains(&b' ')
            && word.len() >= 4
            && !is_prose(word)
            && !names_a_thing(text, word, value.end);
        let looks = if adjacent { secret_like(word) } else { self.adjacent_secret(named, word) };
        let goes = !self.code && !is_nothing(word) && (sure || looks) && value.end < text.len();
        if goes {
            self.add(value.start, value.end, named.rule, true);
            self.covered = self.covered.max(value.end);
        }
        goes
    }

    /// `"x" is not a valid password`, `used x as the password`, `4711 is your login code`; the name starts at `name_start`.
    pub(super) fn ahead(&mut self, named: Named, name_start: usize) {
        const ARTICLES: &[&[u8]] =
            &[b"a", b"an", b"the", b"my", b"your", b"his", b"her", b"their", b"our", b"its", b"no", b"not"];
        const VERBS: &[&[u8]] = &[b"is", b"was", b"as", b"isn't"];
        if self.code || !matches!(before(self.text, name_start), b' ') {
            return;
        }
        let from = name_start.saturating_sub(AHEAD_BYTES_MAX);
        let head = slice(self.text, from, name_start);
        let head = head.rsplit(|b| matches!(b, b'\n' | b'\r')).next().unwrap_or(head);
        self.work += head.len();
        let from = name_start - head.len();
        let mut end = head.trim_ascii_end().len();
        let last = |end: usize| {
            let head = slice(head, 0, end).trim_ascii_end();
            let start = memchr::memrchr(b' ', head).map_or(0, |found| found + 1);
            (start, head.len())
        };
        // One adjective (`valid`), articles and `not`, then the verb.
        let (mut adjectives, mut seen) = (0, 0);
        loop {
            let (start, stop) = last(end);
            let word = slice(head, start, stop);
            seen += 1;
            if start == 0 || seen > 5 {
                return;
            }
            end = start;
            if VERBS.contains(&word) {
                break;
            }
            if !ARTICLES.contains(&word) {
                adjectives += 1;
                if adjectives > 1 || !word.iter().all(u8::is_ascii_alphabetic) {
                    return;
                }
            }
        }
        let (start, _) = last(end);
        let (start, stop, _) = prose_word(head, start);
        let word = slice(head, start, stop);
        let name = slice(self.text, name_start, self.name_done);
        if self.adjacent_secret(named, word) || (is_code_name(name) && is_code(name, word)) {
            self.add(from + start, from + stop, named.rule, true);
        }
    }

    /// `the password, hunter2`, `bad password, got hunter2`: in a list of words the next one is no value.
    pub(super) fn after_comma(&mut self, named: Named, name_start: usize, name_end: usize) {
        let text = self.text;
        let list = slice(text, name_start.saturating_sub(LIST_BYTES), name_start).contains(&b',')
            || at(text, name_end) != b','
            || at(text, name_end + 1) != b' ';
        if named.strength == Strength::About {
            return;
        }
        if list || self.code || named.strength != Strength::Strong {
            return self.ahead(named, name_start);
        }
        let (from, to, next) = prose_word(text, name_end + 2);
        self.work += PROSE_WORK * (next - name_end);
        if [&b"got"[..], b"was", b"is", b"received"].contains(&slice(text, from, to)) {
            self.behind(named, name_start, next);
        } else if at(text, to) != b',' && self.adjacent_secret(named, slice(text, from, to)) {
            self.add(from, to, named.rule, true);
        }
    }

    /// `password=x`, `api_key:x`.
    fn begins_with_name(&self, word: &[u8]) -> bool {
        memchr::memchr2(b'=', b':', slice(word, 0, NAME_BYTES_MAX)).is_some_and(|sign| {
            let name = slice(word, 0, sign);
            sign > 1 && name.iter().all(|b| is_name(*b)) && self.named(name).is_some()
        })
    }

    fn adjacent_secret(&self, named: Named, word: &[u8]) -> bool {
        if self.code
            || word.iter().any(|b| b"(){}<>;|\\".contains(b))
            || is_nothing(word)
            || word.starts_with(b"/")
        {
            return false;
        }
        match named.strength {
            Strength::Strong => {
                let path = word.contains(&b'/') && !looks_random(word, 32);
                (secret_like(word) || letters_and_digits(word) || is_unpronounceable(word)) && !path
            }
            Strength::Prose => looks_random(word, 12),
            Strength::Weak => looks_random(word, 16),
            Strength::About => false,
        }
    }

    /// The end of a code of digits that stands at `from..to`, also of one in two groups.
    fn code_end(&self, name: &[u8], from: usize, to: usize) -> Option<usize> {
        let text = self.text;
        if self.code {
            return None;
        }
        let second = run(text, to + 1, 5, |b| b.is_ascii_digit());
        let group = |digits: usize| (3..=4).contains(&digits);
        let all_digits = slice(text, from, to).iter().all(u8::is_ascii_digit);
        if all_digits && at(text, to) == b' ' && group(to - from) && second - to - 1 == to - from {
            return Some(second);
        }
        is_code(name, slice(text, from, to)).then_some(to)
    }

    /// `credentials bob/x`, `creds bob:x`: the second word of the pair.
    fn second_of_pair(
        &self,
        named: Named,
        name_start: usize,
        from: usize,
        to: usize,
    ) -> Option<(usize, usize)> {
        const NAMES: [&[u8]; 3] = [b"creds", b"credential", b"credentials"];
        let name = slice(self.text, name_start, self.name_done);
        if !NAMES.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            return None;
        }
        let slash = from + memchr::memchr(b'/', slice(self.text, from, to))?;
        let second = slice(self.text, slash + 1, to);
        let user = slice(self.text, from, slash);
        let named_user = !user.is_empty() && user.iter().all(|b| is_name(*b));
        (named_user && !second.contains(&b'/') && self.adjacent_secret(named, second))
            .then_some((slash + 1, to))
    }
}

/// Whether numbers are secrets under a name: `card_pin`, `cvc`, `OTP`, `login code`.
pub(super) fn is_code_name(name: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 8] = [b"pin", b"cvc", b"cvv", b"cvc2", b"cvv2", b"otp", b"code", b"codes"];
    ENDINGS.iter().any(|ending| {
        let start = name.len().wrapping_sub(ending.len());
        name.len() >= ending.len() && has(name, start, ending)
    })
}

/// Digits as in a code, or letters and digits in two groups: `4711`, `4711-0022`, `G-471100`.
pub(super) fn is_code(name: &[u8], word: &[u8]) -> bool {
    // Codes of cards have three; a pin of three digits is one of a chip.
    let card = [&b"cv"[..], b"security", b"card"]
        .iter()
        .any(|part| memchr::memmem::find(&name.to_ascii_lowercase(), part).is_some());
    let least = if card { CODE_DIGITS_MIN - 1 } else { CODE_DIGITS_MIN };
    let digits = word.iter().filter(|b| b.is_ascii_digit()).count();
    let marked = word.strip_prefix(b"G-").unwrap_or(word);
    let plain = marked.iter().all(u8::is_ascii_digit) && digits >= least;
    let groups = marked.len() == 9
        && at(marked, 4) == b'-'
        && marked.iter().enumerate().all(|(at, b)| at == 4 || b.is_ascii_digit());
    (plain || groups) && digits <= CODE_DIGITS_MAX
}

/// `"db-credentials" not found`: a name with parts, of something that is or is not there.
fn names_a_thing(text: &[u8], word: &[u8], end: usize) -> bool {
    const VERBS: [&[u8]; 8] = [
        b"not ",
        b"does ",
        b"already ",
        b"is missing",
        b"in namespace",
        b"could not ",
        b"cannot ",
        b"was not ",
    ];
    let named = word.iter().all(|b| b.is_ascii_lowercase() || matches!(b, b'-' | b'_' | b'.' | b'/'))
        && word.iter().any(|b| matches!(b, b'-' | b'_' | b'.' | b'/'));
    let next = blanks(text, super::value::closed_by(text, end));
    named && VERBS.iter().any(|verb| has(text, next, verb))
}

/// `hunter2`, but not the names of algorithms that stand after "password" as well.
fn letters_and_digits(word: &[u8]) -> bool {
    const ALGORITHMS: [&[u8]; 10] =
        [b"sha", b"md5", b"base", b"utf", b"pbkdf", b"argon", b"oauth", b"http", b"scrypt", b"bcrypt"];
    let plain = word.len() >= 6 && word.iter().all(u8::is_ascii_alphanumeric);
    let mixed =
        word.iter().any(u8::is_ascii_digit) && word.iter().filter(|b| b.is_ascii_alphabetic()).count() >= 3;
    plain && mixed && !ALGORITHMS.iter().any(|name| has(word, 0, name))
}

/// The word at `pos` without quotes and brackets around it: (start, end, start of what follows).
fn prose_word(text: &[u8], pos: usize) -> (usize, usize, usize) {
    let next = run(text, pos, 256, |b| b > b' ');
    let mut from = run(text, pos, 8, |b| b"\\\"'`([{<".contains(&b)).min(next);
    if crate::bytes::redaction_token(text, from.saturating_sub(1)) > 0 {
        from -= 1;
    }
    let mut to = next;
    while to > from && b"\\\"'`)]}>.,;:!?".contains(&before(text, to)) {
        to -= 1;
    }
    (from, to, next)
}
