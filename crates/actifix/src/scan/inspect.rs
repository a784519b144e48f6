//! One text through the engine: candidates become findings with a place, a mask and a fingerprint.

use super::allow::{Inline, inline};
use super::batch::Batch;
use super::config::Config;
use super::content::Content;
use super::lines::Lines;
use super::runs::Runs;
use super::{Hit, Origin, Part, names};
use actifix_secrets::{Dropped, Match, Severity};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// Separates the hashes of the scanner from all other hashes of equal values.
const FINGERPRINT_CONTEXT: &str = "actifix 2026 scan: content fingerprint of a finding";
/// Card numbers have a check digit and no more: in a binary file one in ten numbers is one.
const CARD_RULE: &str = "card";
/// By so many bytes the engine tells UTF-16 without a mark.
const ENGINE_HEAD_BYTES: usize = 512;
/// Bytes of a fingerprint.
const FINGERPRINT_BYTES: usize = 12;

/// What decides about findings: configuration and flags. Shared by all threads.
#[derive(Debug)]
pub struct Scanner {
    config: Config,
    /// Keep dropped candidates.
    pub explain: bool,
    /// Tokens with a wrong checksum are findings of severity low.
    pub strict: bool,
    /// Markers of other scanners count.
    pub foreign_markers: bool,
    /// Markers in the text count; not on a server, where the text is the pusher's.
    pub markers: bool,
    fingerprint_key: [u8; 32],
}

/// Where a text comes from.
#[derive(Clone, Debug)]
pub struct Place {
    /// Path as bytes.
    pub path: Arc<[u8]>,
    /// Commit, when a history is read.
    pub commit: Option<Arc<Origin>>,
}

/// The part of a text that is to be told.
#[derive(Debug)]
pub struct View<'a> {
    /// Number of the line in which the text begins.
    pub first_line: u64,
    /// Only findings that begin here: the rest is context that another window tells.
    pub starts: Range<usize>,
    /// Only findings that touch one of these, sorted by start: added lines. None: all.
    pub touching: Option<&'a [Range<usize>]>,
}

impl View<'_> {
    /// All of a text.
    pub fn whole(text: &[u8]) -> Self {
        Self { first_line: 1, starts: 0..text.len().saturating_add(1), touching: None }
    }

    /// Bytes that no other window tells, in a text of so many bytes.
    pub fn own_bytes(&self, length: usize) -> u64 {
        self.starts.end.min(length).saturating_sub(self.starts.start) as u64
    }

    fn shows(&self, span: &Range<usize>) -> bool {
        let touches = self.touching.is_none_or(|ranges| {
            let first = ranges.partition_point(|range| range.end <= span.start);
            ranges.get(first).is_some_and(|range| range.start < span.end)
        });
        touches && self.starts.contains(&span.start)
    }
}

impl Scanner {
    /// A scanner with a configuration and no flags.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            explain: false,
            strict: false,
            foreign_markers: false,
            markers: true,
            fingerprint_key: blake3::derive_key(FINGERPRINT_CONTEXT, b""),
        }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Changes when anything does that decides what a scan of a history reports.
    pub fn rules_hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.config.rules_hash());
        hasher.update(&[u8::from(self.strict), u8::from(self.foreign_markers), u8::from(self.markers)]);
        *hasher.finalize().as_bytes()
    }

    /// Scans one text and adds what it finds to the batch.
    pub fn text(&self, place: &Place, text: &[u8], view: &View<'_>, batch: &mut Batch) {
        let found = self.candidates(text, batch);
        if !found.is_empty() {
            self.tell(place, text, found, view, batch);
        }
    }

    /// All that could be a secret in a text, in order.
    pub fn candidates(&self, text: &[u8], batch: &mut Batch) -> Vec<Match> {
        batch.totals.bytes += text.len() as u64;
        self.search(text)
    }

    fn search(&self, text: &[u8]) -> Vec<Match> {
        let mut found = self.config.engine.candidates(&without_mark(text));
        if self.strict {
            for one in found.iter_mut().filter(|one| one.dropped == Some(Dropped::Checksum)) {
                (one.dropped, one.severity) = (None, Severity::Low);
            }
        }
        if !self.explain {
            found.retain(Match::reported);
        }
        found
    }

    /// Scans what is in memory, all of it.
    pub fn content(&self, place: &Place, bytes: &[u8], content: &Content<'_>, batch: &mut Batch) {
        match &content.text {
            Some(text) => self.text(place, text, &View::whole(text), batch),
            None => {
                batch.totals.binary += 1;
                batch.totals.bytes += bytes.len() as u64;
            }
        }
        self.rest(place, bytes, content, batch);
    }

    /// Scans what the text of a content does not show.
    pub fn rest(&self, place: &Place, bytes: &[u8], content: &Content<'_>, batch: &mut Batch) {
        if let Some(strays) = &content.strays {
            self.strays(place, &content.runs, strays, content.more, batch);
        } else {
            self.runs(place, bytes, &content.runs, &View::whole(bytes), batch);
        }
    }

    /// Scans runs of text among other bytes, for tokens that are known by their format: a name and a value that stand
    /// in one run of a binary file belong together by chance only.
    pub fn runs(&self, place: &Place, bytes: &[u8], runs: &Runs, view: &View<'_>, batch: &mut Batch) {
        if runs.is_empty() {
            return;
        }
        let mut lines = Lines::new(bytes, view.first_line);
        for found in self.tokens(&runs.text) {
            let span = runs.origin(&found.span);
            if !view.shows(&span) {
                continue;
            }
            let value = runs.text.get(found.span.clone()).unwrap_or_default();
            let mut hit = self.hit(place, value, &found);
            lines.span(&span).apply(&mut hit);
            self.settle_unmarked(hit, &place.path, found.dropped, batch);
        }
    }

    /// Scans plain text that stood between the characters of a wide one.
    pub fn strays(&self, place: &Place, runs: &Runs, text: &[u8], more: bool, batch: &mut Batch) {
        self.runs(place, text, runs, &View::whole(text), batch);
        if more {
            batch.unread(format!(
                "{}: two encodings in one file, not all of it was scanned",
                names::printable(&place.path)
            ));
        }
    }

    /// Scans the name of something: of a file, a branch, a tag.
    pub fn name(&self, place: &Place, name: &[u8], batch: &mut Batch) {
        self.formats(place, name, Part::Name, batch);
    }

    /// Scans a short text for formats only: a name is no assignment.
    pub fn formats(&self, place: &Place, text: &[u8], part: Part, batch: &mut Batch) {
        if text.len() < super::runs::CHARS_MIN {
            return;
        }
        for found in self.tokens(text) {
            let hit = self.hit(place, text.get(found.span.clone()).unwrap_or_default(), &found);
            self.settle_unmarked(Hit { part, ..hit }, &place.path, found.dropped, batch);
        }
    }

    /// Whether anything in a text is known by its format.
    pub fn has_formats(&self, text: &[u8]) -> bool {
        !self.tokens(text).is_empty()
    }

    /// Candidates that are known by their format.
    fn tokens(&self, text: &[u8]) -> Vec<Match> {
        let mut found = self.search(text);
        found.retain(|one| one.tier == 1 && &*one.rule != CARD_RULE);
        found
    }

    /// A finding where no marker can stand.
    fn settle_unmarked(&self, hit: Hit, path: &[u8], dropped: Option<Dropped>, batch: &mut Batch) {
        if let Some(reason) = dropped {
            batch.drop_candidate(hit, reason.to_string());
        } else if self.config.allows(&hit.rule, path, &hit.fingerprint) {
            batch.totals.allowed_config += 1;
            if self.explain {
                batch.drop_candidate(hit, "the configuration allows it");
            }
        } else {
            batch.hit(hit);
        }
    }

    /// A path as it may be told: a secret in it is masked.
    pub fn shown(&self, path: &Arc<[u8]>) -> Arc<[u8]> {
        let found = if path.len() < super::runs::CHARS_MIN { Vec::new() } else { self.tokens(path) };
        let mut shown = Vec::with_capacity(path.len());
        let mut at = 0;
        for found in found.iter().filter(|found| found.reported()) {
            if found.span.start < at {
                continue;
            }
            shown.extend_from_slice(path.get(at..found.span.start).unwrap_or_default());
            shown.extend_from_slice(mask(path.get(found.span.clone()).unwrap_or_default()).as_bytes());
            at = found.span.end;
        }
        if at == 0 {
            return Arc::clone(path);
        }
        shown.extend_from_slice(path.get(at..).unwrap_or_default());
        Arc::from(shown)
    }

    /// Adds candidates to the batch, unless somebody accepted them.
    pub fn tell(&self, place: &Place, text: &[u8], found: Vec<Match>, view: &View<'_>, batch: &mut Batch) {
        let mut lines = Lines::new(text, view.first_line);
        for found in found.iter().filter(|found| view.shows(&found.span)) {
            let mut hit = self.hit(place, text.get(found.span.clone()).unwrap_or_default(), found);
            lines.span(&found.span).apply(&mut hit);
            if found.dropped.is_some() || !self.markers {
                self.settle_unmarked(hit, &place.path, found.dropped, batch);
            } else {
                self.settle(hit, &place.path, text, found.span.start, batch);
            }
        }
    }

    /// A finding that nobody has accepted goes into the batch.
    fn settle(&self, hit: Hit, path: &[u8], text: &[u8], start: usize, batch: &mut Batch) {
        let marker = inline(text, start, &hit.rule, self.foreign_markers);
        if self.config.allows(&hit.rule, path, &hit.fingerprint) {
            return self.settle_unmarked(hit, path, None, batch);
        }
        match marker {
            Inline::Allowed => {
                batch.totals.allowed_inline += 1;
                if self.explain {
                    batch.drop_candidate(hit, "a marker in the text allows it");
                }
            }
            Inline::NoReason => {
                batch.note(format!(
                    "{}:{}: `actifix:allow {}` gives no reason, so it does not count",
                    names::printable(&hit.path),
                    hit.line,
                    hit.rule
                ));
                batch.hit(hit);
            }
            Inline::None => batch.hit(hit),
        }
    }

    /// The finding without its place in the text.
    fn hit(&self, place: &Place, value: &[u8], found: &Match) -> Hit {
        Hit {
            rule: Arc::clone(&found.rule),
            severity: found.severity,
            path: self.shown(&place.path),
            part: Part::Content,
            line: 1,
            column: 1,
            end_line: 1,
            end_column: 1,
            masked: mask(value),
            fingerprint: self.fingerprint(&found.rule, &place.path, value),
            commit: place.commit.clone(),
        }
    }

    fn fingerprint(&self, rule: &str, path: &[u8], value: &[u8]) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.fingerprint_key);
        for part in [rule.as_bytes(), path, value] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let hash = hasher.finalize();
        hash.to_hex().chars().take(FINGERPRINT_BYTES * 2).collect()
    }
}

/// The engine takes a text that begins with a mark or with zeros for UTF-16. Here it is decoded already, or begins in the
/// middle of something, and nothing after the mark must be lost.
fn without_mark(text: &[u8]) -> Cow<'_, [u8]> {
    let head = text.get(..ENGINE_HEAD_BYTES.min(text.len())).unwrap_or_default();
    let marked = matches!(head, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
    if !marked && memchr::memchr(0, head).is_none() {
        return Cow::Borrowed(text);
    }
    let length = head.len();
    let mut plain = text.to_vec();
    for (at, byte) in plain.iter_mut().enumerate().take(length) {
        if *byte == 0 || (marked && at < 2) {
            *byte = b'\n';
        }
    }
    Cow::Owned(plain)
}

/// At most the first four characters, fewer of short values.
fn mask(value: &[u8]) -> String {
    let shown = match value.len() {
        16.. => 4,
        8..16 => 2,
        _ => 0,
    };
    let head: Vec<u8> = value.iter().copied().take(shown).take_while(u8::is_ascii_graphic).collect();
    let mut masked = String::from_utf8(head).unwrap_or_default();
    masked.push('…');
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str, view: Option<View<'_>>) -> Batch {
        let scanner = Scanner::new(Config::builtin());
        let place = Place { path: Arc::from(&b"a.env"[..]), commit: None };
        let mut batch = Batch::default();
        scanner.text(&place, text.as_bytes(), &view.unwrap_or(View::whole(text.as_bytes())), &mut batch);
        batch
    }

    fn secret() -> String {
        ["Zk3vQ9", "xLw2RtY7"].concat()
    }

    #[test]
    fn a_finding_has_a_place_and_no_value() {
        let batch = scan(&format!("A=1\nDB_PASSWORD={}\n", secret()), None);
        let hit = &batch.hits[0];
        assert_eq!((hit.line, hit.column, hit.end_line, hit.end_column), (2, 13, 2, 27));
        assert_eq!(hit.masked, "Zk…");
        assert!(!format!("{hit:?}").contains(&secret()));
    }

    #[test]
    fn a_fingerprint_survives_edits_around_the_secret() {
        let one = scan(&format!("DB_PASSWORD={}", secret()), None);
        let two = scan(&format!("x\n\nDB_PASSWORD='{}'  # new", secret()), None);
        assert_eq!(one.hits[0].fingerprint, two.hits[0].fingerprint);
    }

    #[test]
    fn only_what_touches_added_lines_is_told() {
        let text = format!("A_PASSWORD={}1\nB_PASSWORD={}2\n", secret(), secret());
        let second = text.find("B_").unwrap();
        let ranges = std::slice::from_ref(&(second..text.len())).to_vec();
        let view = View { first_line: 1, starts: 0..text.len(), touching: Some(&ranges) };
        let batch = scan(&text, Some(view));
        assert_eq!(batch.hits.len(), 1);
        assert_eq!(batch.hits[0].line, 2);
    }
}
