//! Redaction of one string: all detectors, all decoded views, repeated until nothing more is found.
use crate::bytes::redaction_token;
use crate::detect::hunt::Hunt;
use crate::detect::{Span, decode, fold, personal, shape};
use crate::engine::Engine;
use crate::finding;
use crate::settings::{BudgetExceeded, PersonalData};
use crate::table::{Found, Seen, Walk};

use super::level::{Escapes, Kind, Level};
use super::node::Node;
use super::session::Session;

/// A replacement changes what stands next to the rest, so the text is looked at again until nothing changes. Two passes
/// are the rule; what still changes after these is replaced as a whole.
const PASSES_MAX: usize = 8;
/// In shorter texts, in bytes, there is nothing to find.
const TEXT_BYTES_MIN: usize = 6;
/// What it costs to replace a span, and to decode a byte, in bytes of plain search.
const SPAN_WORK: usize = 100;
const DECODE_WORK: usize = 2;
/// The shortest IP address, `1.1.1.1`.
const IP_BYTES_MIN: usize = 7;

/// What the place of a string says about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// A line of source code.
    pub code: bool,
    /// A version, where four numbers are no address.
    pub version: bool,
    /// An id: 17 digits and more in one piece are no card there.
    pub id: bool,
    /// A time or an address of memory, where digits in one piece are no card.
    pub time: bool,
}

impl Place {
    /// Whether what looks like a card number is one in this place. One in ten numbers has a valid check digit, so long ids
    /// stay; but an id of 16 digits that begins as cards do is rarer than a card in a wrong field.
    pub(crate) fn may_be_card(self, number: &[u8]) -> bool {
        let grouped = !number.iter().all(u8::is_ascii_digit);
        grouped || !(self.time || (self.id && number.len() > 16))
    }

    /// What a value in this place has from the place above it.
    pub(crate) fn below(self, above: Self) -> Self {
        Self { code: self.code || above.code, ..self }
    }
}

impl Session<'_> {
    /// Redacts a string, none if nothing was found; and whether anything in it was worth a look.
    pub(crate) fn redact(
        &mut self,
        text: &str,
        place: Place,
        node: &Node<'_>,
    ) -> Result<(Option<String>, bool), BudgetExceeded> {
        match self.remembered(text, place)? {
            Some(any) => Ok((None, any)),
            None => self.redact_new(text, place, node),
        }
    }

    /// Whether anything in a text was worth a look, if it is known to be clean. It is input all the same.
    #[inline]
    pub(crate) fn remembered(&mut self, text: &str, place: Place) -> Result<Option<bool>, BudgetExceeded> {
        let known = self.memory.clean.get(text, place);
        if known.is_some() {
            self.input = self.input.saturating_add(text.len() as u64);
            self.charge(text.len())?;
        }
        Ok(known)
    }

    /// The same for a text that is not known to be clean.
    pub(crate) fn redact_new(
        &mut self,
        text: &str,
        place: Place,
        node: &Node<'_>,
    ) -> Result<(Option<String>, bool), BudgetExceeded> {
        self.input = self.input.saturating_add(text.len() as u64);
        let before = self.views;
        let (spans, any) = self.spans(text, place, Level::TOP)?;
        if spans.is_empty() {
            // A text with decoded views costs more than its bytes, and is to cost that each time.
            if before == self.views {
                self.memory.clean.put(text, place, any);
            }
            return Ok((None, any));
        }
        self.redact_spans(text, spans, place, node).map(|redacted| (Some(redacted), any))
    }

    /// Replaces the spans and then what comes to light by that.
    #[cold]
    fn redact_spans(
        &mut self,
        text: &str,
        spans: Vec<Span>,
        place: Place,
        node: &Node<'_>,
    ) -> Result<String, BudgetExceeded> {
        let mut current = self.replace(text, spans, node);
        for _ in 1..PASSES_MAX {
            let (spans, _) = self.spans(&current, place, Level::TOP)?;
            if spans.is_empty() {
                return Ok(current);
            }
            let next = self.replace(&current, spans, node);
            if next == current {
                return Ok(current);
            }
            current = next;
        }
        Ok("[redacted:unstable_text]".to_owned())
    }

    /// All spans of a text and of its decoded views, in coordinates of the text; and whether anything was worth a look.
    fn spans(&mut self, text: &str, place: Place, level: Level) -> Result<(Vec<Span>, bool), BudgetExceeded> {
        self.charge(text.len())?;
        // The shortest assignment that tells anything and the shortest address have 6 bytes.
        if text.len() < TEXT_BYTES_MIN && self.settings.sensitive_keys.matcher().is_none() {
            return Ok((Vec::new(), false));
        }
        let mut lists = std::mem::take(&mut self.lists);
        let walk = self.engine.start(text.as_bytes(), &mut lists);
        let found = if self.is_quiet(text, place, level.depth, &walk, &lists) && text.is_ascii() {
            Ok((Vec::new(), walk.seen().at_sign()))
        } else {
            self.detect(text, place, level, walk, &mut lists)
        };
        self.lists = lists;
        found
    }

    /// Whether nothing can stand in a text.
    #[inline]
    fn is_quiet(&self, text: &str, place: Place, depth: usize, walk: &Walk, lists: &Found) -> bool {
        let seen = walk.seen();
        // Base64 of text has upper case, hex of text digits.
        let word = depth < 2 && (seen.upper() || seen.digit()) && !lists.runs.is_empty();
        let email = seen.at_sign() && self.settings.email != PersonalData::Keep;
        let own_name = self.settings.sensitive_keys.matcher().is_some();
        let none = lists.hits.is_empty() && lists.numbers.is_empty() && !seen.hidden();
        none && !(word || email || own_name || self.may_hold_ip(text, place, seen))
    }

    #[inline]
    fn may_hold_ip(&self, text: &str, place: Place, seen: Seen) -> bool {
        // Four numbers, or the first group of a public IPv6 address.
        seen.digit()
            && (seen.dot() || seen.colon())
            && !place.version
            && text.len() >= IP_BYTES_MIN
            && self.settings.ip != PersonalData::Keep
    }

    /// Runs all detectors that have something to look at.
    fn detect(
        &mut self,
        text: &str,
        place: Place,
        level: Level,
        walk: Walk,
        lists: &mut Found,
    ) -> Result<(Vec<Span>, bool), BudgetExceeded> {
        let (engine, settings) = (self.engine, self.settings);
        let memo = std::mem::take(&mut self.memory.names);
        let mut hunt = Hunt::new(engine, settings, &memo, text.as_bytes(), place.code);
        hunt.work_max = self.work_left();
        hunt.go_on(walk, lists);
        let (mut spans, marks, work) = (hunt.spans, hunt.marks, hunt.work);
        self.memory.names = memo;
        self.charge(work + SPAN_WORK * spans.len())?;
        let (bytes, seen) = (text.as_bytes(), marks.seen);
        if let Some(rule) = engine.special.card {
            shape::cards_among(bytes, &lists.numbers, |start, end| {
                if place.may_be_card(bytes.get(start..end).unwrap_or(&[])) {
                    spans.push(Span { start, end, rule, echo: true });
                }
            });
        }
        self.personal(text, place, seen, &mut spans);
        let depth = level.depth;
        let escapes = Escapes::of(bytes, marks);
        if marks.percent && level.brings(Kind::Percent, escapes) {
            self.view(decode::percent(text), place, level.below(Kind::Percent, escapes), &mut spans)?;
        }
        if marks.escaped && level.brings(Kind::Json, escapes) {
            self.view(decode::json_escapes(text), place, level.below(Kind::Json, escapes), &mut spans)?;
        }
        if escapes.pluses > 0 && level.brings(Kind::Form, escapes) {
            self.view(decode::form(text), place, level.below(Kind::Form, escapes), &mut spans)?;
        }
        if depth == 0 && !text.is_ascii() {
            // What is encoded is ASCII and was looked at already.
            self.view(fold::fold(text), place, Level::LAST, &mut spans)?;
        }
        if depth < 2 && seen.upper() && !lists.runs.is_empty() {
            let mut words = Vec::new();
            decode::base64_words(bytes, &lists.runs, |start, end, plain| {
                words.push((start, end, plain.to_owned()))
            });
            self.words(words, place, Level::plain(depth + 1), &mut spans)?;
        }
        if depth < 2 && seen.digit() && !lists.runs.is_empty() {
            let mut words = Vec::new();
            decode::hex_words(bytes, &lists.runs, |start, end, plain| {
                words.push((start, end, plain.to_owned()))
            });
            self.words(words, place, Level::plain(depth + 1), &mut spans)?;
        }
        if !settings.allow.is_empty() {
            let tier = |span: &Span| engine.rule(span.rule).map_or(1, |rule| rule.tier());
            spans.retain(|span| {
                let personal =
                    Some(span.rule) == engine.special.email || Some(span.rule) == engine.special.ip;
                (tier(span) == 1 && !personal)
                    || text.get(span.start..span.end).is_none_or(|value| !settings.allow.contains(value))
            });
        }
        Ok((spans, marks.any))
    }

    /// The format of a value that goes as a whole, if it has a known one, else `rule`. Known formats inside of it are
    /// remembered, because they may stand elsewhere without it.
    pub(crate) fn surest(&mut self, value: &str, rule: u16) -> Result<u16, BudgetExceeded> {
        let (spans, _) = self.spans(value, Place::default(), Level::LAST)?;
        let inner = value.trim_matches(['\'', '"', ' ']);
        let mut best = rule;
        for span in spans {
            let tier = self.engine.rule(span.rule).map_or(3, |rule| rule.tier());
            let Some(found) = whole_value(value, &span).filter(|_| tier == 1 && span.echo) else {
                continue;
            };
            self.remember(found, span.rule)?;
            if found == inner {
                best = span.rule;
            }
        }
        Ok(best)
    }

    /// What the detectors find in a text that is not stored itself.
    pub(crate) fn found(&mut self, text: &str) -> Result<Vec<Span>, BudgetExceeded> {
        Ok(self.spans(text, Place::default(), Level::TOP)?.0)
    }

    fn personal(&self, text: &str, place: Place, seen: Seen, spans: &mut Vec<Span>) {
        let bytes = text.as_bytes();
        if seen.at_sign()
            && self.settings.email != PersonalData::Keep
            && let Some(rule) = self.engine.special.email
        {
            personal::emails(bytes, |start, end| spans.push(Span { start, end, rule, echo: false }));
        }
        if self.may_hold_ip(text, place, seen)
            && let Some(rule) = self.engine.special.ip
        {
            if seen.dot() {
                personal::ips_v4(bytes, |start, end| spans.push(Span { start, end, rule, echo: false }));
            }
            if seen.colon() {
                personal::ips_v6(bytes, |start, end| spans.push(Span { start, end, rule, echo: false }));
            }
        }
    }

    fn view(
        &mut self,
        view: Option<decode::View>,
        place: Place,
        level: Level,
        spans: &mut Vec<Span>,
    ) -> Result<(), BudgetExceeded> {
        let Some(view) = view else { return Ok(()) };
        self.views += 1;
        self.charge(DECODE_WORK * view.text.len())?;
        let (found, _) = self.spans(&view.text, place, level)?;
        for span in found {
            let Some((start, end)) = view.to_origin(span.start, span.end) else { continue };
            if span.echo
                && let Some(value) = whole_value(&view.text, &span)
            {
                self.remember(value, span.rule)?;
            }
            spans.push(Span { start, end, ..span });
        }
        Ok(())
    }

    /// Words that are encoded text: one with a secret in it goes as a whole.
    fn words(
        &mut self,
        words: Vec<(usize, usize, String)>,
        place: Place,
        level: Level,
        spans: &mut Vec<Span>,
    ) -> Result<(), BudgetExceeded> {
        for (start, end, plain) in words {
            self.views += 1;
            let (found, _) = self.spans(&plain, place, level)?;
            let mut rule = None;
            for span in &found {
                let tier = self.engine.rule(span.rule).map_or(3, |rule| rule.tier());
                let personal =
                    Some(span.rule) == self.engine.special.email || Some(span.rule) == self.engine.special.ip;
                if tier <= 2 && !personal {
                    rule = rule.or(Some(span.rule));
                    if span.echo
                        && let Some(value) = whole_value(&plain, span)
                    {
                        self.remember(value, span.rule)?;
                    }
                }
            }
            if let Some(rule) = rule {
                spans.push(Span { start, end, rule, echo: true });
            }
        }
        Ok(())
    }

    /// Builds the text with all spans replaced and notes each of them.
    fn replace(&mut self, text: &str, spans: Vec<Span>, node: &Node<'_>) -> String {
        for span in &spans {
            if span.echo
                && let Some(value) = whole_value(text, span)
            {
                self.remember_late(value, span.rule);
            }
        }
        let merged = merge(self.engine, text, spans);
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for span in merged {
            let (Some(before), Some(value)) = (text.get(done..span.start), text.get(span.start..span.end))
            else {
                continue;
            };
            out.push_str(before);
            self.token(&mut out, span.rule, value, node);
            done = span.end;
        }
        out.push_str(text.get(done..).unwrap_or(""));
        out
    }

    /// Appends the token of a value and notes the finding.
    pub(crate) fn token(&mut self, out: &mut String, rule: u16, value: &str, node: &Node<'_>) {
        let special = self.engine.special;
        let personal = if Some(rule) == special.email {
            Some(self.settings.email)
        } else if Some(rule) == special.ip {
            Some(self.settings.ip)
        } else {
            None
        };
        let Some(id) = self.engine.rule(rule).map(|rule| std::sync::Arc::clone(&rule.id)) else { return };
        out.push_str("[redacted:");
        out.push_str(&id);
        if personal == Some(PersonalData::Hash) {
            out.push(':');
            let hash = finding::hash(&self.settings.hash_key, value.to_ascii_lowercase().as_bytes());
            for byte in hash.iter().take(4) {
                out.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
                out.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
            }
        }
        out.push(']');
        self.note(rule, value, personal.is_none(), node);
    }
}

/// Joins what overlaps; the surest rule names the result. Spans grow to whole characters and whole redaction tokens.
fn merge(engine: &Engine, text: &str, mut spans: Vec<Span>) -> Vec<Span> {
    for span in &mut spans {
        while span.start > 0 && !text.is_char_boundary(span.start) {
            span.start -= 1;
        }
        while span.end < text.len() && !text.is_char_boundary(span.end) {
            span.end += 1;
        }
        widen(text.as_bytes(), span);
    }
    spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
    drop_personal(engine, &mut spans);
    let tier = |span: &Span| engine.rule(span.rule).map_or(3, |rule| rule.tier());
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start < last.end => {
                let same = span.start == last.start && span.end == last.end;
                let sticks_out = span.end > last.end;
                if (same || sticks_out) && tier(&span) < tier(last) {
                    last.rule = span.rule;
                }
                last.end = last.end.max(span.end);
            }
            _ => merged.push(span),
        }
    }
    merged
}

/// A password in front of a host looks like an e-mail address: the password counts. `spans` are sorted.
fn drop_personal(engine: &Engine, spans: &mut Vec<Span>) {
    let personal =
        |span: &Span| Some(span.rule) == engine.special.email || Some(span.rule) == engine.special.ip;
    if !spans.iter().any(personal) || spans.iter().all(personal) {
        return;
    }
    let others: Vec<(usize, usize)> =
        spans.iter().filter(|span| !personal(span)).map(|span| (span.start, span.end)).collect();
    spans.retain(|span| {
        // The last of the others that begins before this one ends; longer ones before it were merged into it or end earlier.
        let next = others.partition_point(|(start, _)| *start < span.end);
        !personal(span)
            || !others
                .get(..next)
                .is_some_and(|before| before.iter().rev().take(8).any(|(_, end)| *end > span.start))
    });
}

/// The value of a span, to be looked for elsewhere; none if it is a part of a redaction token, as in
/// `//[redacted:url_password]@host`.
fn whole_value<'t>(text: &'t str, span: &Span) -> Option<&'t str> {
    let mut whole = *span;
    widen(text.as_bytes(), &mut whole);
    text.get(span.start..span.end).filter(|_| whole == *span)
}

/// A span that would cut a redaction token takes all of it.
fn widen(text: &[u8], span: &mut Span) {
    const TOKEN_BYTES_MAX: usize = 90;
    let from = span.start.saturating_sub(TOKEN_BYTES_MAX);
    if let Some(open) = text.get(from..span.start).and_then(|part| memchr::memrchr(b'[', part)) {
        let open = from + open;
        if open + redaction_token(text, open) > span.start {
            span.start = open;
        }
    }
    let from = span.end.saturating_sub(TOKEN_BYTES_MAX).max(span.start);
    if let Some(open) = text.get(from..span.end).and_then(|part| memchr::memrchr(b'[', part)) {
        let end = from + open + redaction_token(text, from + open);
        span.end = span.end.max(end);
    }
}
