//! What the scanner reports: candidates of the text and of its decoded parts, weighed by filters that redaction does not
//! have. Redaction must not miss, a scanner must not cry wolf, so the two share the search and not the verdict.
pub(crate) mod documented;
pub(crate) mod filter;
mod looks;
pub(crate) mod place;
pub(crate) mod words;

use std::sync::Arc;

use crate::bytes::{is_base64, run, slice};
use crate::detect::hunt::{Hunt, Marks};
use crate::detect::memo::NameMemo;
use crate::detect::{Span, checks, decode, shape};
use crate::engine::Engine;
use crate::finding::{Dropped, Match};
use crate::rule::Severity;
use crate::settings::Settings;
use crate::table::Found;

/// Decoded parts inside of decoded parts.
const DEPTH_MAX: usize = 2;
/// Decoded bytes per input: beyond it parts stay as they are.
const DECODED_BYTES_MAX: usize = 8 << 20;
/// Lines with escapes are decoded in pieces of this many bytes.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Two values of one pair stand at most this many bytes apart: some lines.
const PAIR_BYTES_MAX: usize = 1_024;
/// Hex words of text: 20 bytes and more.
const HEX_MIN: usize = 40;
const HEX_MAX: usize = 64 << 10;

/// A candidate: where it stands in the input, and its value, which is another one where it was decoded.
struct Candidate {
    start: usize,
    end: usize,
    rule: u16,
    weight: Weight,
}

/// What the filters said while the text around the value was at hand.
struct Weight {
    checksum: Option<bool>,
    placeholder: bool,
    entropy: f32,
    dropped: Option<Dropped>,
    decoded: bool,
}

/// All candidates by position, each with the reason why it is not reported, if there is one.
pub(crate) fn candidates(engine: &Engine, text: &[u8]) -> Vec<Match> {
    let mut scan = Scan {
        engine,
        settings: Settings::default(),
        memo: NameMemo::default(),
        found: Vec::new(),
        decoded: 0,
        lists: Vec::new(),
    };
    match utf16(text) {
        Some((plain, offset)) => {
            scan.text(plain.as_bytes(), 0);
            // One byte of ASCII stands for two; other text has no exact place.
            let exact = plain.is_ascii();
            for found in &mut scan.found {
                (found.start, found.end) = if exact {
                    (found.start * 2 + offset, found.end * 2 + offset)
                } else {
                    wide_place(&plain, found.start, found.end, offset)
                };
            }
        }
        None => scan.text(text, 0),
    }
    let mut found = scan.found;
    found.sort_by_key(|candidate| (candidate.start, candidate.end, candidate.rule));
    found.dedup_by_key(|candidate| (candidate.start, candidate.end, candidate.rule));
    shadow(engine, &mut found);
    let mut matches: Vec<Match> = found.iter().filter_map(|candidate| to_match(engine, candidate)).collect();
    pair(engine, &mut matches);
    matches
}

fn to_match(engine: &Engine, candidate: &Candidate) -> Option<Match> {
    let rule = engine.rule(candidate.rule)?;
    Some(Match {
        rule: Arc::clone(&rule.id),
        severity: rule.severity,
        tier: rule.tier,
        span: candidate.start..candidate.end,
        checksum: candidate.weight.checksum,
        placeholder: candidate.weight.placeholder,
        entropy: candidate.weight.entropy,
        low_entropy: candidate.weight.entropy < rule.entropy,
        decoded: candidate.weight.decoded,
        dropped: candidate.weight.dropped,
    })
}

struct Scan<'e> {
    engine: &'e Engine,
    settings: Settings,
    memo: NameMemo,
    found: Vec<Candidate>,
    /// Bytes of decoded text so far.
    decoded: usize,
    /// Lists to be used again, one per depth.
    lists: Vec<Found>,
}

impl Scan<'_> {
    /// Looks through a text and what is encoded in it.
    fn text(&mut self, text: &[u8], depth: usize) {
        let mut found = self.lists.pop().unwrap_or_default();
        self.look_through(text, depth, &mut found);
        self.lists.push(found);
    }

    fn look_through(&mut self, text: &[u8], depth: usize, lists: &mut Found) {
        let (spans, marks) = self.hunt(text, lists);
        for span in spans {
            self.push(text, span, depth > 0);
        }
        if depth >= DEPTH_MAX {
            return;
        }
        if marks.percent || marks.escaped {
            self.lines(text, marks, depth);
        }
        if marks.seen.upper() && !lists.runs.is_empty() {
            let mut words = Vec::new();
            decode::base64_words(text, &lists.runs, |start, end, plain| {
                words.push((start, end, plain.to_owned()))
            });
            for (start, end, plain) in words {
                self.inner(&plain, start, end, depth);
            }
        }
        if marks.seen.digit() {
            for (start, end, plain) in hex_words(text, &lists.runs) {
                self.inner(&plain, start, end, depth);
            }
        }
    }

    fn hunt(&self, text: &[u8], lists: &mut Found) -> (Vec<Span>, Marks) {
        let mut hunt = Hunt::new(self.engine, &self.settings, &self.memo, text, false);
        hunt.run(lists);
        let (mut spans, marks) = (std::mem::take(&mut hunt.spans), hunt.marks);
        if let Some(rule) = self.engine.special.card {
            shape::cards_among(text, &lists.numbers, |start, end| {
                spans.push(Span { start, end, rule, echo: true })
            });
        }
        (spans, marks)
    }

    fn push(&mut self, text: &[u8], span: Span, decoded: bool) {
        let span = Span { end: ascii_end(text, &span), ..span };
        if let Some(weight) = weigh(self.engine, text, &span, decoded) {
            self.found.push(Candidate { start: span.start, end: span.end, rule: span.rule, weight });
        }
    }

    /// A word of the text that is itself an encoded text: what is found in it is reported as the whole word.
    fn inner(&mut self, plain: &str, start: usize, end: usize, depth: usize) {
        if !self.charge(plain.len()) {
            return;
        }
        let from = self.found.len();
        self.text(plain.as_bytes(), depth + 1);
        for candidate in self.found.iter_mut().skip(from) {
            (candidate.start, candidate.end) = (start, end);
        }
    }

    /// Decodes the lines that have escapes.
    fn lines(&mut self, text: &[u8], marks: Marks, depth: usize) {
        let mut pos = 0;
        while pos < text.len() {
            // Most lines have no escape.
            let rest = slice(text, pos, text.len());
            let next = match (marks.percent, marks.escaped) {
                (true, true) => memchr::memchr2(b'%', b'\\', rest),
                (true, false) => memchr::memchr(b'%', rest),
                _ => memchr::memchr(b'\\', rest),
            };
            let Some(next) = next else { return };
            let head = slice(rest, next.saturating_sub(LINE_BYTES_MAX / 2), next);
            pos += next - head.len() + memchr::memrchr(b'\n', head).map_or(0, |found| found + 1);
            let window = slice(text, pos, pos.saturating_add(LINE_BYTES_MAX));
            let end = pos + memchr::memchr(b'\n', window).map_or(window.len(), |found| found + 1);
            let line = slice(text, pos, end);
            if marks.percent && memchr::memchr(b'%', line).is_some() {
                self.view(line, pos, decode::percent, depth);
            }
            if marks.escaped && has_escape(line) {
                self.view(line, pos, decode::json_escapes, depth);
            }
            pos = end.max(pos + 1);
        }
    }

    fn view(&mut self, line: &[u8], offset: usize, decode: fn(&str) -> Option<decode::View>, depth: usize) {
        let Some(view) = std::str::from_utf8(line).ok().and_then(decode) else { return };
        if !self.charge(view.text.len()) {
            return;
        }
        let from = self.found.len();
        self.text(view.text.as_bytes(), depth + 1);
        for candidate in self.found.iter_mut().skip(from) {
            if let Some((start, end)) = view.to_origin(candidate.start, candidate.end) {
                (candidate.start, candidate.end) = (offset + start, offset + end);
            }
        }
    }

    fn charge(&mut self, bytes: usize) -> bool {
        self.decoded = self.decoded.saturating_add(bytes);
        self.decoded <= DECODED_BYTES_MAX
    }
}

/// Where a value without quotes ends before other scripts and signs that follow it at once: `key=x、了解`.
fn ascii_end(text: &[u8], span: &Span) -> usize {
    let value = slice(text, span.start, span.end);
    let ascii = value.iter().position(|b| !b.is_ascii()).unwrap_or(value.len());
    let quoted = matches!(crate::bytes::before(text, span.start), b'"' | b'\'' | b'`');
    if ascii < 8 || ascii == value.len() || quoted {
        return span.end;
    }
    let list = slice(value, 0, ascii).iter().rev().take_while(|b| matches!(b, b';' | b',')).count();
    span.start + ascii - list
}

/// `\u0041` or `\/`.
fn has_escape(line: &[u8]) -> bool {
    memchr::memchr_iter(b'\\', line).any(|at| {
        let rest = slice(line, at + 1, at + 4);
        rest.first() == Some(&b'/') || rest == b"u00"
    })
}

fn weigh(engine: &Engine, text: &[u8], span: &Span, decoded: bool) -> Option<Weight> {
    let rule = engine.rule(span.rule)?;
    let value = text.get(span.start..span.end)?;
    let checksum = rule.checksum.map(|kind| checks::checksum_ok(kind, value));
    let allowed = rule.allow.iter().any(|allow| value == allow.as_bytes());
    let placeholder = allowed || documented::is_documented(value) || checks::is_placeholder(value);
    let entropy = checks::entropy(value);
    let dropped = filter::verdict(&filter::Case {
        rule,
        text,
        start: span.start,
        end: span.end,
        value,
        checksum,
        placeholder,
        entropy,
    });
    Some(Weight { checksum, placeholder, entropy, dropped, decoded })
}

/// Of candidates that overlap, the surest is reported: a format before a name, the longer one, the earlier rule. Only
/// candidates that are reported themselves hide others.
fn shadow(engine: &Engine, found: &mut [Candidate]) {
    let rank = |candidate: &Candidate| {
        let rule = engine.rule(candidate.rule);
        let tier = rule.map_or(3, |rule| rule.tier);
        let length = candidate.end - candidate.start;
        (
            tier,
            std::cmp::Reverse(length),
            std::cmp::Reverse(rule.map_or(Severity::Low, |rule| rule.severity)),
            candidate.rule,
        )
    };
    let refused: Vec<(usize, usize)> = found
        .iter()
        .filter(|candidate| {
            let format = engine.rule(candidate.rule).is_some_and(|rule| rule.tier == 1);
            format
                && matches!(
                    candidate.weight.dropped,
                    Some(Dropped::Checksum | Dropped::Placeholder | Dropped::Public)
                )
        })
        .map(|candidate| (candidate.start, candidate.end))
        .collect();
    for candidate in found.iter_mut().filter(|candidate| candidate.weight.dropped.is_none()) {
        // What a format refuses is no secret under a name either.
        let named = engine.rule(candidate.rule).is_some_and(|rule| rule.tier > 1);
        let from = refused.partition_point(|(start, _)| *start < candidate.start);
        if named
            && refused
                .iter()
                .skip(from)
                .take(4)
                .any(|(start, end)| *start <= candidate.start + 2 && *end + 2 >= candidate.end)
        {
            candidate.weight.dropped = Some(Dropped::Overlap);
        }
    }
    // The winner of the group of overlapping candidates so far.
    let mut best: Option<usize> = None;
    for index in 0..found.len() {
        let Some(now) = found.get(index).filter(|candidate| candidate.weight.dropped.is_none()) else {
            continue;
        };
        let Some(before) = best.and_then(|best| found.get(best)).filter(|before| before.end > now.start)
        else {
            best = Some(index);
            continue;
        };
        // A short format inside a long value is part of it, and the whole value has to be named.
        let whole = |outer: &Candidate, inner: &Candidate| {
            outer.start <= inner.start
                && inner.end <= outer.end
                && (inner.end - inner.start) * 2 < outer.end - outer.start
        };
        let now_wins = if whole(before, now) && before.end - before.start > 512 {
            false
        } else {
            rank(now) < rank(before)
        };
        let loser = if now_wins { best.replace(index).unwrap_or(index) } else { index };
        if let Some(candidate) = found.get_mut(loser) {
            candidate.weight.dropped = Some(Dropped::Overlap);
        }
    }
}

/// Raises findings that stand near their other half.
fn pair(engine: &Engine, matches: &mut [Match]) {
    let mut raised = Vec::new();
    for (index, found) in matches.iter().enumerate() {
        let Some(rule) =
            engine.rules().find(|rule| rule.id == found.rule).filter(|rule| !rule.pair.is_empty())
        else {
            continue;
        };
        let near = |other: &Match| {
            let gap = other
                .span
                .start
                .saturating_sub(found.span.end)
                .max(found.span.start.saturating_sub(other.span.end));
            gap <= PAIR_BYTES_MAX && other.reported() && rule.pair.iter().any(|pair| **pair == *other.rule)
        };
        let from =
            matches.partition_point(|other| other.span.end.saturating_add(PAIR_BYTES_MAX) < found.span.start);
        if matches.iter().skip(from).take(256).any(near) {
            raised.push((index, rule.pair_severity));
        }
    }
    for (index, severity) in raised {
        if let Some(found) = matches.get_mut(index) {
            found.severity = severity;
        }
    }
}

/// Words of hex digits that hold printable text: (start, end, text). `runs` tells where longer runs of base64 begin: a word of
/// hex inside of another word is none.
fn hex_words(text: &[u8], runs: &[usize]) -> Vec<(usize, usize, String)> {
    let mut words = Vec::new();
    for start in runs.iter().copied() {
        // Printable text begins with one of these.
        if !matches!(text.get(start), Some(b'0' | b'2'..=b'7')) {
            continue;
        }
        let end = run(text, start, HEX_MAX, |b| b.is_ascii_hexdigit());
        let glued = text.get(end).is_some_and(|b| is_base64(*b));
        if end - start >= HEX_MIN
            && !glued
            && let Some(plain) = hex_text(slice(text, start, end))
        {
            words.push((start, end, plain));
        }
    }
    words
}

fn hex_text(word: &[u8]) -> Option<String> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut plain = String::with_capacity(word.len() / 2);
    for pair in word.chunks_exact(2) {
        let byte = u8::try_from(digit(pair.first()?)? * 16 + digit(pair.get(1)?)?).ok()?;
        if !matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t') {
            return None;
        }
        plain.push(char::from(byte));
    }
    word.len().is_multiple_of(2).then_some(plain)
}

/// UTF-16 text with a byte-order mark or with a zero in most pairs of its head: (text, offset of its first character).
fn utf16(text: &[u8]) -> Option<(String, usize)> {
    let (little, offset) = match text {
        [0xff, 0xfe, ..] => (true, 2),
        [0xfe, 0xff, ..] => (false, 2),
        _ => {
            let head = slice(text, 0, 512);
            let pairs = head.len() / 2;
            if pairs < 8 || !head.contains(&0) {
                return None;
            }
            let zeros = |odd: usize| head.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
            if zeros(1) * 10 >= pairs * 9 && zeros(0) == 0 {
                (true, 0)
            } else if zeros(0) * 10 >= pairs * 9 && zeros(1) == 0 {
                (false, 0)
            } else {
                return None;
            }
        }
    };
    if text.len() > DECODED_BYTES_MAX {
        return None;
    }
    let units: Vec<u16> = slice(text, offset, text.len())
        .chunks_exact(2)
        .filter_map(|pair| <[u8; 2]>::try_from(pair).ok())
        .map(|pair| if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
        .collect();
    Some((String::from_utf16_lossy(&units), offset))
}

/// The place of a span of UTF-16 text that was made UTF-8.
fn wide_place(plain: &str, start: usize, end: usize, offset: usize) -> (usize, usize) {
    let units = |to: usize| {
        plain.char_indices().take_while(|(at, _)| *at < to).map(|(_, c)| c.len_utf16()).sum::<usize>()
    };
    (units(start) * 2 + offset, units(end) * 2 + offset)
}
