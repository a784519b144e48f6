//! Looks for values in bytes, in every form in which a careless program writes them down.

use std::path::Path;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;

/// Shorter forms are found in anything by chance.
const FORM_BYTES_MIN: usize = 8;

/// Values that are looked for.
#[derive(Debug)]
pub struct Needles {
    automaton: AhoCorasick,
    /// Name of the value and of the form, per pattern.
    names: Vec<(String, &'static str)>,
}

/// One value found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leak {
    pub name: String,
    pub form: &'static str,
    pub place: String,
    /// Bytes around it.
    pub around: String,
}

impl Needles {
    /// From pairs of a name that may be shown and a value.
    pub fn new<'a>(values: impl IntoIterator<Item = (String, &'a str)>) -> Self {
        let mut names = Vec::new();
        let mut patterns = Vec::new();
        for (name, value) in values {
            for (form, bytes) in forms(value) {
                if bytes.len() >= FORM_BYTES_MIN || bytes == value.as_bytes() {
                    names.push((name.clone(), form));
                    patterns.push(bytes);
                }
            }
        }
        let automaton =
            AhoCorasick::builder().match_kind(MatchKind::Standard).build(&patterns).expect("patterns");
        Self { automaton, names }
    }

    /// Every value in `bytes`; one report per value and form.
    pub fn search(&self, place: &str, bytes: &[u8]) -> Vec<Leak> {
        let mut leaks: Vec<Leak> = Vec::new();
        for hit in self.automaton.find_overlapping_iter(bytes) {
            let (name, form) = &self.names[hit.pattern().as_usize()];
            if leaks.iter().any(|leak| leak.name == *name && leak.form == *form) {
                continue;
            }
            let around = &bytes[hit.start().saturating_sub(60)..(hit.end() + 30).min(bytes.len())];
            leaks.push(Leak {
                name: name.clone(),
                form,
                place: place.to_owned(),
                around: String::from_utf8_lossy(around).escape_debug().to_string(),
            });
        }
        leaks
    }

    /// Every value in the files.
    pub fn search_files<P: AsRef<Path>>(&self, files: &[(P, Vec<u8>)]) -> Vec<Leak> {
        files
            .iter()
            .flat_map(|(path, bytes)| self.search(&path.as_ref().display().to_string(), bytes))
            .collect()
    }
}

/// All forms of a value.
fn forms(value: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = value.as_bytes();
    let mut all = vec![("raw", bytes.to_vec())];
    all.push(("hex", hex::encode(bytes).into_bytes()));
    all.push(("hex", hex::encode_upper(bytes).into_bytes()));
    for upper in [true, false] {
        all.push((
            "url",
            percent(bytes, upper, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)),
        ));
        all.push(("url", percent(bytes, upper, |byte| byte.is_ascii_alphanumeric())));
        all.push((
            "url",
            percent(bytes, upper, |byte| {
                byte.is_ascii_alphanumeric() || b"-._~!$&'()*,;=:@/?".contains(&byte)
            }),
        ));
    }
    let json = serde_json::to_string(value).expect("text");
    let json = json.trim_matches('"');
    all.push(("json", json.as_bytes().to_vec()));
    all.push(("json", json.replace('/', "\\/").into_bytes()));
    all.push(("json", json.replace('\\', "\\\\").replace('/', "\\\\/").into_bytes()));
    let escaped: String = value.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    all.push(("json", escaped.into_bytes()));
    for alphabet in [STANDARD, URL_SAFE] {
        for shift in 0..3 {
            all.push(("base64", base64_inside(bytes, &alphabet, shift)));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|(_, bytes)| seen.insert(bytes.clone()));
    all
}

fn percent(bytes: &[u8], upper: bool, keep: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in bytes {
        if keep(*byte) {
            out.push(*byte);
        } else if upper {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            out.extend_from_slice(format!("%{byte:02x}").as_bytes());
        }
    }
    out
}

/// The digits of base64 that depend on the value alone when `shift` unknown bytes stand before it and unknown
/// ones after it.
fn base64_inside(bytes: &[u8], alphabet: &Alphabet, shift: usize) -> Vec<u8> {
    let mut padded = vec![0; shift];
    padded.extend_from_slice(bytes);
    let digits = GeneralPurpose::new(alphabet, NO_PAD).encode(&padded).into_bytes();
    let first = (shift * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    digits[first..last].to_vec()
}

#[test]
fn a_value_is_found_in_every_form() {
    let value = "Tr0ub4dor/&3+\"correct horse\"";
    let needles = Needles::new([("value".to_owned(), value)]);
    let json = serde_json::json!({ "a": [value] }).to_string();
    let json_in_json = serde_json::json!({ "a": json }).to_string();
    let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let mut all =
        vec![value.to_owned(), json, format!("x={encoded}").replace('+', "%20"), hex::encode(value)];
    for before in ["", "a", "ab", "abc"] {
        let text = format!("{before}{value}{before}");
        all.push(base64::engine::general_purpose::STANDARD.encode(&text));
        all.push(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&text));
    }
    for text in &all {
        assert!(!needles.search("", text.as_bytes()).is_empty(), "{text}");
    }
    assert!(needles.search("", b"Tr0ub4dor is not all of it").is_empty());
    // Escaped twice, the quotes differ; what stands between them is the same.
    assert!(json_in_json.contains("Tr0ub4dor"));
}
