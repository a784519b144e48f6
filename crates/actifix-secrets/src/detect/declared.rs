//! Values that a vendor's name says what they are, and values that stand apart from their name: typed declarations,
//! Terraform defaults, name and value pairs of manifests.
use super::hunt::Hunt;
use super::value::{Joint, Value, after_name, blanks, quote, quoted_at, value_at};
use crate::bytes::{at, has, is_name, run, slice, starts_token};
use crate::rule::Rule;

/// Longest type between a name and its value: `Option<&'static str>`.
const TYPE_BYTES_MAX: usize = 48;
/// How far behind the name of a Terraform variable its default is looked for.
const DEFAULT_BYTES_MAX: usize = 400;
/// Longest value of a vendor's form.
const FORM_BYTES_MAX: usize = 1_024;
/// Words after the name of a vendor: `datadog api key`.
const NAME_WORDS_MAX: usize = 3;
/// How far around an identifier its secret is looked for.
const NEAR_BEFORE_MAX: usize = 300;
const NEAR_AFTER_MAX: usize = 500;
/// Words of the value's length that are looked at there.
const NEAR_WORDS_MAX: usize = 32;

/// What the name of a credential ends in.
const CREDENTIAL_ENDINGS: &[&[u8]] = &[
    b"key",
    b"token",
    b"secret",
    b"password",
    b"passwd",
    b"pwd",
    b"pass",
    b"auth",
    b"pat",
    b"credential",
    b"credentials",
    b"keys",
    b"tokens",
    b"signature",
];

impl Hunt<'_> {
    /// The name of a vendor stands at `start..end`: in the name of a credential, its value has the vendor's form.
    pub(super) fn vendor(&mut self, index: u16, start: usize, end: usize) {
        let text = self.text;
        let Some(rule) = self.engine.rule(index) else { return };
        let (from, to) = super::assign::name_around(text, start, end);
        let Some(to) = credential_name(text, from, to) else { return };
        let max = self.look(to);
        let Some(mut value) = after_name(text, from, to, max) else {
            self.form(index, rule, apart(text, to, max));
            return;
        };
        if value.joint == Joint::Space {
            let word = value_at(text, value.start, Joint::Flag, max);
            self.form(index, rule, apart(text, to, max).or(Some(word)));
            return;
        }
        if value.joint == Joint::Flag {
            value = value_at(text, value.start, Joint::Flag, max);
        }
        if !self.form(index, rule, Some(value)) {
            self.refuse(value);
            self.form(index, rule, typed(text, value.start, max));
        }
    }

    /// Takes a value that has the form of the rule.
    fn form(&mut self, index: u16, rule: &Rule, value: Option<Value>) -> bool {
        let Some(mut value) = value else { return false };
        if value.end - value.start > FORM_BYTES_MAX {
            return false;
        }
        let text = self.text;
        // `"'x'"` is how Python prints a text in JSON; other scripts and signs end the value.
        let quotes = |b: u8| matches!(b, b'\'' | b'"' | b'\\');
        value.start = run(text, value.start, 4, quotes).min(value.end);
        value.end = run(text, value.start, value.end - value.start, |b| b.is_ascii() && !quotes(b));
        let found = rule.regex().is_some_and(|regex| regex.is_match(slice(text, value.start, value.end)));
        if found {
            self.add(value.start, value.end, index, true);
        }
        found
    }

    /// An identifier stands at `keyword`: a word of its secret's form, with upper case, lower case and digits, stands near.
    pub(super) fn near(&mut self, index: u16, keyword: usize) {
        let text = self.text;
        let Some(rule) = self.engine.rule(index) else { return };
        let id_end = run(text, keyword, 64, |b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if id_end - keyword < rule.unbroken || !starts_token(text, keyword) {
            return;
        }
        self.work += NEAR_BEFORE_MAX + NEAR_AFTER_MAX;
        let (from, to) = (keyword.saturating_sub(NEAR_BEFORE_MAX), text.len().min(id_end + NEAR_AFTER_MAX));
        let mut pos = from;
        for _ in 0..NEAR_WORDS_MAX {
            while pos < to && !is_secret_byte(at(text, pos)) {
                pos += 1;
            }
            if pos >= to {
                return;
            }
            // An escape such as `\n` before the word is none of its bytes.
            let mut start = pos;
            if crate::bytes::before(text, start) == b'\\' && matches!(at(text, start), b'n' | b't' | b'r') {
                start += 1;
            }
            let end = run(text, start, 256, is_secret_byte);
            let word = slice(text, start, end);
            if rule.regex().is_some_and(|regex| regex.is_match(word))
                && is_mixed(word)
                && at(text, end) != b'='
            {
                self.add(start, end, index, true);
            }
            pos = end.max(pos + 1);
        }
    }
}

fn is_secret_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+')
}

/// Upper case, lower case and digits: no hash, no path, no word.
fn is_mixed(word: &[u8]) -> bool {
    word.iter().any(u8::is_ascii_uppercase)
        && word.iter().any(u8::is_ascii_lowercase)
        && word.iter().any(u8::is_ascii_digit)
        && super::checks::entropy(word) > 4.0
}

/// Where the name of a credential ends that starts at `from`; some words may follow its first part, which ends at `to`.
fn credential_name(text: &[u8], from: usize, to: usize) -> Option<usize> {
    let mut to = to;
    for _ in 0..NAME_WORDS_MAX {
        if is_credential_name(slice(text, from, to)) {
            return Some(to);
        }
        if at(text, to) != b' ' {
            return None;
        }
        let end = run(text, to + 1, 32, |b| b.is_ascii_alphabetic());
        if end == to + 1 {
            return None;
        }
        to = end;
    }
    is_credential_name(slice(text, from, to)).then_some(to)
}

/// Whether a name ends as names of credentials do, a number after it aside.
fn is_credential_name(name: &[u8]) -> bool {
    let mut end = name.len();
    while end > 0 && name.get(end - 1).is_some_and(|b| b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.'))
    {
        end -= 1;
    }
    let name = slice(name, 0, end);
    CREDENTIAL_ENDINGS.iter().any(|ending| {
        name.len() >= ending.len()
            && slice(name, name.len() - ending.len(), name.len()).eq_ignore_ascii_case(ending)
    })
}

/// The value after a type: `key: &str = "x"`, `key: string = 'x'`; `pos` is where the type starts.
pub(super) fn typed(text: &[u8], pos: usize, max: usize) -> Option<Value> {
    let end = run(text, pos, TYPE_BYTES_MAX, |b| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'_' | b'<' | b'>' | b'&' | b'\'' | b'[' | b']' | b'|' | b'?' | b'.' | b' ')
    });
    if at(text, end) != b'=' || matches!(at(text, end + 1), b'=' | b'>') {
        return None;
    }
    let start = blanks(text, end + 1);
    quoted_at(text, start, Joint::Assigned, max)
}

/// The value that stands apart from a name that ends at `pos`: `variable "x" { default = "y" }` of Terraform,
/// `name: x` and `value: y` on the next line of a manifest.
pub(super) fn apart(text: &[u8], pos: usize, max: usize) -> Option<Value> {
    let after_quote = pos + quote(text, pos).map_or(0, |(length, _, _)| length);
    let next = blanks(text, after_quote);
    if at(text, next) == b'{' && after_quote > pos {
        let block = run(text, next + 1, DEFAULT_BYTES_MAX, |b| b != b'}');
        let found = memchr::memmem::find(slice(text, next, block), b"default")?;
        let equals = blanks(text, next + found + b"default".len());
        if at(text, equals) != b'=' {
            return None;
        }
        return quoted_at(text, blanks(text, equals + 1), Joint::Assigned, max);
    }
    if has(text, next, b"\n[1] \"") {
        // As R prints a list.
        return quoted_at(text, next + b"\n[1] ".len(), Joint::Assigned, max);
    }
    if matches!(at(text, next), b'\n' | b'\r' | b',') || has(text, next, b"\\n") {
        let gap =
            run(text, next, 64, |b| b.is_ascii_whitespace() || matches!(b, b',' | b'"' | b'\'' | b'\\'));
        let gap = if has(text, next, b"\\n") { run(text, next + 2, 64, |b| b == b' ') } else { gap };
        if !has(text, gap, b"value") || is_name(at(text, gap + 5)) {
            return None;
        }
        let value = after_name(text, gap, gap + 5, max)?;
        return matches!(value.joint, Joint::Colon | Joint::Assigned).then_some(value);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_apart_from_their_names() {
        let word =
            |text: &str, value: Option<Value>| value.map(|value| text[value.start..value.end].to_owned());
        let text = "variable \"db_password\" {\n  type = string\n  default = \"abc\"\n}";
        let name_end = text.find("\" {").unwrap();
        assert_eq!(word(text, apart(text.as_bytes(), name_end, 99)).as_deref(), Some("abc"));
        let text = "- name: DB_PASSWORD\n  value: \"abc\"\n";
        assert_eq!(word(text, apart(text.as_bytes(), text.find('\n').unwrap(), 99)).as_deref(), Some("abc"));
        let text = "{\"name\":\"DB_PASSWORD\",\"value\":\"abc\"}";
        assert_eq!(
            word(text, apart(text.as_bytes(), text.find("\",\"value").unwrap(), 99)).as_deref(),
            Some("abc")
        );
        let text = "key: &'static str = \"abc\";";
        assert_eq!(word(text, typed(text.as_bytes(), 5, 99)).as_deref(), Some("abc"));
        assert_eq!(apart(b"password\n  other: x", 8, 99), None);
    }

    #[test]
    fn names_of_credentials() {
        for name in ["DATADOG_API_KEY", "datadogAppKey", "twilio.auth-token", "OKTA_TOKEN_2"] {
            assert!(is_credential_name(name.as_bytes()), "{name}");
        }
        for name in ["datadog_trace_id", "okta_url", "DATADOG_SITE", "keyboard"] {
            assert!(!is_credential_name(name.as_bytes()), "{name}");
        }
    }
}
