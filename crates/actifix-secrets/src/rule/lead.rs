//! How long a token surely is that begins with one of a rule's keywords, read from its pattern by the build script: the search
//! need not look at a keyword of two bytes where no long token stands.
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::data::Lead;

/// What a match of `pattern` that begins with `keyword` has at least.
///
/// # Errors
/// The pattern cannot be read.
pub(crate) fn lead(pattern: &str, keyword: &str) -> Result<Lead, Box<regex_syntax::Error>> {
    let hir = ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).map_err(Box::new)?;
    let behind = least(vec![Piece::Whole(&hir)], keyword.as_bytes()).unwrap_or(0);
    let own = keyword.bytes().take_while(|byte| is_run(*byte)).count();
    Ok(Lead { from: if own == keyword.len() { own + behind } else { own }, behind })
}

/// What is left of a pattern, the next piece last.
#[derive(Clone, Copy)]
enum Piece<'h> {
    Whole(&'h Hir),
    Repeated { what: &'h Hir, min: u32, max: Option<u32> },
}

/// The least number of run bytes behind `key` in what the pieces match; none if they do not begin with it.
fn least(mut pieces: Vec<Piece<'_>>, key: &[u8]) -> Option<usize> {
    let hir = match pieces.pop() {
        None => return Some(0),
        Some(Piece::Repeated { what, min, max }) => return repeated(pieces, what, (min, max), key),
        Some(Piece::Whole(hir)) => hir,
    };
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => least(pieces, key),
        HirKind::Capture(capture) => {
            pieces.push(Piece::Whole(&capture.sub));
            least(pieces, key)
        }
        HirKind::Concat(parts) => {
            pieces.extend(parts.iter().rev().map(Piece::Whole));
            least(pieces, key)
        }
        HirKind::Alternation(parts) => parts
            .iter()
            .filter_map(|part| {
                let mut pieces = pieces.clone();
                pieces.push(Piece::Whole(part));
                least(pieces, key)
            })
            .min(),
        HirKind::Repetition(repetition) => {
            repeated(pieces, &repetition.sub, (repetition.min, repetition.max), key)
        }
        HirKind::Literal(literal) => {
            let (mut key, mut count) = (key, 0);
            for byte in &*literal.0 {
                if let Some((first, rest)) = key.split_first() {
                    if !byte.eq_ignore_ascii_case(first) {
                        return None;
                    }
                    key = rest;
                } else if is_run(*byte) {
                    count += 1;
                } else {
                    return Some(count);
                }
            }
            Some(count + least(pieces, key)?)
        }
        HirKind::Class(class) => match key.split_first() {
            Some((first, rest)) if may_be(class, *first) => least(pieces, rest),
            Some(_) => None,
            None if is_run_class(class) => Some(1 + least(pieces, key)?),
            None => Some(0),
        },
    }
}

fn repeated<'h>(
    mut pieces: Vec<Piece<'h>>,
    what: &'h Hir,
    (min, max): (u32, Option<u32>),
    key: &[u8],
) -> Option<usize> {
    let length = what.properties().minimum_len().unwrap_or(0);
    if max == Some(0) {
        return least(pieces, key);
    }
    if key.is_empty() {
        if is_all_run(what) {
            return Some(min as usize * length + least(pieces, key)?);
        }
        let once = least(vec![Piece::Whole(what)], key)?;
        return if min == 0 { Some(once.min(least(pieces, key)?)) } else { Some(once) };
    }
    if length == 0 {
        // It could go on for ever without a byte of the keyword.
        return Some(0);
    }
    let without = if min == 0 { least(pieces.clone(), key) } else { None };
    pieces.push(Piece::Repeated { what, min: min.saturating_sub(1), max: max.map(|max| max - 1) });
    pieces.push(Piece::Whole(what));
    without.into_iter().chain(least(pieces, key)).min()
}

fn is_run(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'/')
}

/// Whether all that it matches are run bytes.
fn is_all_run(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty => true,
        HirKind::Look(_) => false,
        HirKind::Literal(literal) => literal.0.iter().all(|byte| is_run(*byte)),
        HirKind::Class(class) => is_run_class(class),
        HirKind::Repetition(repetition) => is_all_run(&repetition.sub),
        HirKind::Capture(capture) => is_all_run(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().all(is_all_run),
    }
}

/// The bytes of a class; all of them if it is one of other characters.
fn bytes_of(class: &Class) -> Vec<u8> {
    let all = (0..=u8::MAX).collect::<Vec<u8>>();
    match class {
        Class::Bytes(class) => class.iter().flat_map(|range| range.start()..=range.end()).collect(),
        Class::Unicode(class) if class.is_ascii() => class
            .iter()
            .flat_map(|range| u32::from(range.start())..=u32::from(range.end()))
            .filter_map(|code| u8::try_from(code).ok())
            .collect(),
        Class::Unicode(_) => all,
    }
}

fn is_run_class(class: &Class) -> bool {
    bytes_of(class).into_iter().all(is_run)
}

/// Whether a class has a byte of a keyword, in any case.
fn may_be(class: &Class, byte: u8) -> bool {
    bytes_of(class).iter().any(|member| member.eq_ignore_ascii_case(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pattern_demands_behind_its_keyword() {
        for (pattern, keyword, from, behind) in [
            ("ab_[A-Za-z0-9]{36}", "ab_", 39, 36),
            ("ab_[A-Za-z0-9]{36}", "AB", 39, 37),
            // Of two forms only that of the keyword counts, and of two that have it the shorter.
            ("QV[a-z]{30}|YC[a-z]{38}|t1\\.[a-z]{10}", "yc", 40, 38),
            ("k-(?:x[a-z]{9}|[0-9]{20})", "k-", 12, 10),
            ("s(?:[ab]-|c\\.)[0-9]{9,}", "sc.", 2, 9),
            ("[12]/[0-9]{12,20}(?:/[0-9]{12,20})?:[0-9]{32}", "1/", 14, 12),
            // What may be there and is none of the bytes ends the run.
            ("sl\\.(?:u\\.)?[a-z]{120,}", "sl.", 2, 1),
            ("st-(?:u-)?[a-z]{120,}", "st-", 123, 120),
            ("a_[a-z]{3}=?[a-z]{50}", "a_", 5, 3),
            ("a_[a-z=]{50}", "a_", 2, 0),
            ("a_(?:[a-z]{5}=){3}", "a_", 7, 5),
            ("(?i:token)-[0-9a-f]{20}", "token-", 26, 20),
            ("(?:pre )?ab_[a-z]{20}", "ab_", 23, 20),
            ("(?:pre )?ab_[a-z]{20}", "pre ", 3, 23),
            ("(a[0-9]{4}){1,3}b", "a", 6, 5),
            // A keyword with which no match begins promises nothing.
            ("x[a-z]{20}", "y", 1, 0),
        ] {
            assert_eq!(lead(pattern, keyword).unwrap(), Lead { from, behind }, "{pattern} {keyword}");
        }
        assert!(lead("a(", "a").is_err());
    }
}
