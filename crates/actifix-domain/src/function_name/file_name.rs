//! Names of script files without what bundlers add to them.

use super::is_number;

/// Hex digits of a content hash that a bundler puts into a file name, fewest and most.
const HASH_HEX: std::ops::RangeInclusive<usize> = 8..=32;
/// Characters of a content hash in the wider alphabet, before the ending of a script.
const HASH_WIDE: usize = 8;
/// The same for bundlers that are set to other lengths; these must look like chance.
const HASH_OTHER: std::ops::RangeInclusive<usize> = 9..=24;
/// Of a hash that holds a `-` itself, neighbours that are of different kinds.
const CHANGES_MIN: usize = 5;
const SCRIPTS: [&str; 3] = [".js", ".mjs", ".cjs"];
/// What stands for the number of a chunk, which changes with each build as its hash does.
const CHUNK: &str = "chunk";

/// The last part of a path or URL, lower case, without query and content hash
/// (`https://x/app.3f2a91c8.js?v=1` → `app.js`). Empty when it has no dot: that is a page, not a file.
pub fn base_name(path: &str) -> String {
    let path = path.find(['?', '#']).and_then(|end| path.get(..end)).unwrap_or(path);
    let name = path.rfind(['/', '\\']).and_then(|at| path.get(at + 1..)).unwrap_or(path);
    if !name.contains('.') {
        return String::new();
    }
    without_hash(name).to_lowercase()
}

/// Drops parts that are a content hash: they stand between `.`, `_` or `-` and a `.`.
fn without_hash(name: &str) -> String {
    let script = SCRIPTS.iter().any(|ending| name.ends_with(ending));
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while !rest.is_empty() {
        // One part: its separator (none for the first) and what follows up to the next separator.
        let separator = usize::from(rest.starts_with(['.', '_', '-']));
        let body = rest.get(separator..).unwrap_or_default();
        let end = separator + body.find(['.', '_', '-']).unwrap_or(body.len());
        let (part, tail) = rest.split_at(end);
        let body = part.get(separator..).unwrap_or_default();
        let closed = separator == 1 && tail.starts_with('.');
        // Eight letters from a to f are no word, but `_` joins what people write.
        let letters = script && !part.starts_with('_') && is_all(body, |byte| byte.is_ascii_hexdigit());
        if closed && (is_hex_hash(body) || (letters && HASH_HEX.contains(&body.len()))) {
            if script && is_number(&out) {
                CHUNK.clone_into(&mut out);
            }
        } else {
            out.push_str(part);
        }
        rest = tail;
    }
    for ending in SCRIPTS {
        if let Some(kept) = out.strip_suffix(ending).and_then(without_wide_hash) {
            let kept = if is_number(kept) { CHUNK } else { kept };
            return format!("{kept}{ending}");
        }
    }
    out
}

/// The stem before a final `-` and hash in the wider alphabet.
fn without_wide_hash(stem: &str) -> Option<&str> {
    let (kept, hash) = stem.rsplit_once('-')?;
    if is_wide_hash(hash) || is_other_hash(hash) {
        return Some(kept);
    }
    // The alphabet of such hashes has a `-` as well.
    let at = stem.len().checked_sub(HASH_WIDE + 1)?;
    let hash = stem.get(at..)?.strip_prefix('-')?;
    let wide = is_all(hash, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    (wide && is_mixed(hash) && changes(hash) >= CHANGES_MIN).then(|| stem.get(..at)).flatten()
}

fn is_all(text: &str, belongs: impl Fn(u8) -> bool) -> bool {
    text.bytes().all(belongs)
}

/// Letters in both cases and a digit.
fn is_mixed(text: &str) -> bool {
    let has = |is: fn(&u8) -> bool| text.bytes().any(|byte| is(&byte));
    has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit)
}

/// How many neighbours are of different kinds: words have few, chance has many.
fn changes(text: &str) -> usize {
    let kind = |byte: &u8| match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        other => *other,
    };
    text.as_bytes().iter().zip(text.as_bytes().iter().skip(1)).filter(|(a, b)| kind(a) != kind(b)).count()
}

fn is_other_hash(text: &str) -> bool {
    HASH_OTHER.contains(&text.len())
        && is_all(text, |byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && is_mixed(text)
        && changes(text) * 2 >= text.len()
}

fn is_hex_hash(text: &str) -> bool {
    HASH_HEX.contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && text.bytes().any(|byte| byte.is_ascii_digit())
}

fn is_wide_hash(text: &str) -> bool {
    text.len() == HASH_WIDE
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && (text.bytes().any(|byte| byte.is_ascii_digit())
            || text.bytes().skip(1).any(|byte| byte.is_ascii_uppercase()))
}
