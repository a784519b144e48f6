//! The echo rule: what was secret in one place is secret in all places of the envelope.
use std::collections::{HashMap, HashSet};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use crate::bytes::redaction_token;
use crate::detect::checks::is_trivial_echo;

/// Shortest spelling that is looked for.
const ECHO_BYTES_MIN: usize = 8;
/// Longest value that is looked for elsewhere, in bytes.
const ECHO_BYTES_MAX: usize = 4_096;

/// Bytes that are looked at together, and how far apart: one of the looks falls into each echo of 8 bytes.
const LOOK_BYTES: usize = 3;
const LOOK_EVERY: usize = ECHO_BYTES_MIN - LOOK_BYTES + 1;
/// Size of the set of looks, in words of 64 bits: 16,384 bits, in which one secret fills about 50.
const LOOK_WORDS: usize = 256;
/// What a byte of a form costs to compile, in bytes of plain search.
const COMPILE_WORK: usize = 8;
/// So many looks that found something are compared in one text; the matcher is quicker at more.
const LOOKS_COMPARED_MAX: u32 = 64;
/// So many forms cost less to compare than to compile.
const FORMS_COMPARED_MAX: usize = 64;

/// The values seen, and the matcher over all their spellings.
#[derive(Default)]
pub(crate) struct Echoes {
    seen: HashSet<String>,
    values: Vec<(String, u16)>,
    /// How many of the values have their spellings in `forms`.
    spelled: usize,
    forms: Vec<(String, u16)>,
    /// Bytes of the shortest form.
    shortest: usize,
    /// Three bytes of all forms, hashed: most texts end with this.
    looks: Option<Box<[u64; LOOK_WORDS]>>,
    compiled: Option<(AhoCorasick, Vec<u16>)>,
}

impl Echoes {
    /// Remembers a value unless it is short, long or common; false if there are already `max`.
    pub(crate) fn remember(&mut self, value: &str, rule: u16, max: usize) -> bool {
        let value = value.trim().trim_matches(['\'', '"']);
        if value.len() > ECHO_BYTES_MAX || is_trivial_echo(value) || self.seen.contains(value) {
            return true;
        }
        if value.contains("[redacted:") {
            return true;
        }
        if self.values.len() >= max {
            return false;
        }
        self.seen.insert(value.to_owned());
        self.values.push((value.to_owned(), rule));
        self.compiled = None;
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Spells the values that are new.
    #[cold]
    fn spell(&mut self) {
        let looks = self.looks.get_or_insert_with(|| Box::new([0; LOOK_WORDS]));
        for (value, rule) in self.values.get(self.spelled..).unwrap_or(&[]) {
            for form in spellings(value) {
                for [a, b, c] in form.as_bytes().array_windows().take(LOOK_EVERY) {
                    let (word, bit) = look_slot(*a, *b, *c);
                    if let Some(word) = looks.get_mut(word) {
                        *word |= bit;
                    }
                }
                self.forms.push((form, *rule));
            }
        }
        self.shortest = self.forms.iter().map(|(form, _)| form.len()).min().unwrap_or(ECHO_BYTES_MIN);
        self.spelled = self.values.len();
    }

    /// Whether an echo could stand in a text: every form has the three bytes at one of the places looked at.
    #[inline]
    pub(crate) fn may_stand_in(&mut self, text: &[u8]) -> bool {
        if self.spelled < self.values.len() {
            self.spell();
        }
        if text.len() < self.shortest.max(ECHO_BYTES_MIN) {
            return false;
        }
        self.looks_known(text)
    }

    fn looks_known(&self, text: &[u8]) -> bool {
        let Some(looks) = self.looks.as_deref() else { return false };
        let (places, rest) = text.as_chunks::<LOOK_EVERY>();
        let (mut pos, mut compared) = (0, 0);
        for [a, b, c, ..] in places {
            let (word, bit) = look_slot(*a, *b, *c);
            if looks.get(word).is_some_and(|word| word & bit != 0) {
                compared += 1;
                if compared > LOOKS_COMPARED_MAX || self.stands_around(text, pos) {
                    return true;
                }
            }
            pos += LOOK_EVERY;
        }
        match rest {
            [a, b, c, ..] => {
                let (word, bit) = look_slot(*a, *b, *c);
                looks.get(word).is_some_and(|word| word & bit != 0) && self.stands_around(text, pos)
            }
            _ => false,
        }
    }

    /// Whether one of the forms stands around a look. Many forms are left to the matcher.
    #[cold]
    fn stands_around(&self, text: &[u8], pos: usize) -> bool {
        self.forms.len() > FORMS_COMPARED_MAX
            || self.forms.iter().any(|(form, _)| {
                (0..LOOK_EVERY.min(pos + 1)).any(|offset| {
                    text.get(pos - offset..).is_some_and(|part| part.starts_with(form.as_bytes()))
                })
            })
    }

    /// What it costs to look for the forms, in bytes of plain search.
    pub(crate) fn compile_cost(&self) -> usize {
        if self.compiled.is_some() {
            return 0;
        }
        self.forms.iter().map(|(form, _)| COMPILE_WORK * form.len()).sum()
    }

    fn compile(&mut self) -> Option<&(AhoCorasick, Vec<u16>)> {
        if self.compiled.is_none() {
            let mut forms: HashMap<&str, u16> = HashMap::new();
            for (form, rule) in &self.forms {
                forms.entry(form).or_insert(*rule);
            }
            let mut forms: Vec<(&str, u16)> = forms.into_iter().collect();
            forms.sort_unstable();
            let rules = forms.iter().map(|(_, rule)| *rule).collect();
            let matcher = AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(forms.iter().map(|(form, _)| form.as_bytes()))
                .ok()?;
            self.compiled = Some((matcher, rules));
        }
        self.compiled.as_ref()
    }

    /// Where echoes stand in a text, without overlaps and outside of redaction tokens: (start, end, rule).
    #[cold]
    pub(crate) fn find(&mut self, text: &str) -> Vec<(usize, usize, u16)> {
        let Some((matcher, rules)) = self.compile() else { return Vec::new() };
        let mut found = Vec::new();
        for hit in matcher.find_iter(text.as_bytes()) {
            if let Some(rule) = rules.get(hit.pattern().as_usize())
                && !inside_token(text.as_bytes(), hit.start())
            {
                found.push((hit.start(), hit.end(), *rule));
            }
        }
        found
    }
}

/// Where three bytes are in the set of looks.
#[inline]
fn look_slot(a: u8, b: u8, c: u8) -> (usize, u64) {
    // The upper bits of a product mix all of the lower ones.
    let hash = u32::from_le_bytes([a, b, c, 0]).wrapping_mul(0x9E37_79B1) >> 18;
    ((hash >> 6) as usize, 1 << (hash & 63))
}

fn inside_token(text: &[u8], pos: usize) -> bool {
    let from = pos.saturating_sub(90);
    text.get(from..=pos)
        .and_then(|part| memchr::memrchr(b'[', part))
        .is_some_and(|open| from + open + redaction_token(text, from + open) > pos)
}

/// A value as it stands in plain text, JSON, JSON in JSON, URLs and base64.
fn spellings(value: &str) -> Vec<String> {
    let mut all = vec![value.to_owned()];
    let json = json(value);
    all.push(json.replace('\\', "\\\\").replace('"', "\\\""));
    all.push(json.replace('/', "\\/"));
    all.push(json);
    all.push(percent(value, false));
    all.push(percent(value, true));
    let encoded = STANDARD.encode(value);
    all.push(encoded.trim_end_matches('=').to_owned());
    all.push(URL_SAFE.encode(value).trim_end_matches('=').to_owned());
    // The last characters depend on what follows: of longer values the sure part is enough.
    if !value.len().is_multiple_of(3) && value.len() >= 12 {
        let sure = value.len() / 3 * 4;
        if let Some(part) = encoded.get(..sure) {
            all.push(part.to_owned());
        }
    }
    all.sort_unstable();
    all.dedup();
    all.retain(|form| form.len() >= ECHO_BYTES_MIN);
    all
}

fn json(value: &str) -> String {
    let quoted = serde_json::to_string(value).unwrap_or_default();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or("").to_owned()
}

fn percent(value: &str, form: bool) -> String {
    let mut out = String::with_capacity(value.len() * 2);
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else if form && byte == b' ' {
            out.push('+');
        } else {
            out.push('%');
            for nibble in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_found_wherever_it_stands() {
        // Few values are compared, many are compiled.
        for others in [0, 40] {
            let mut echoes = Echoes::default();
            assert!(echoes.remember("q7#Lm9/x", 1, 100));
            for other in 0..others {
                assert!(echoes.remember(&format!("zZ8!{other:03}~wK"), 2, 100));
            }
            let find = |echoes: &mut Echoes, text: &str| {
                if echoes.may_stand_in(text.as_bytes()) { echoes.find(text) } else { Vec::new() }
            };
            for offset in 0..20 {
                for form in spellings("q7#Lm9/x") {
                    let text = format!("{}{form}{}", "-".repeat(offset), "-".repeat(offset % 3));
                    let found = find(&mut echoes, &text);
                    assert_eq!(found, [(offset, offset + form.len(), 1)], "{text}");
                }
            }
            assert!(find(&mut echoes, "q7#Lm9/y and nothing else").is_empty());
        }
    }
}
