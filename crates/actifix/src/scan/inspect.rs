//! One text through the engine: candidates become findings with a place, a mask and a fingerprint.

use super::allow::{Inline, inline};
use super::batch::Batch;
use super::config::Config;
use super::lines::Lines;
use super::{Hit, Origin, names};
use actifix_secrets::{Dropped, Match, Severity};
use std::ops::Range;
use std::sync::Arc;

/// Separates the hashes of the scanner from all other hashes of equal values.
const FINGERPRINT_CONTEXT: &str = "actifix 2026 scan: content fingerprint of a finding";
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
        let mut found = self.config.engine.candidates(text);
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

    /// Adds candidates to the batch, unless somebody accepted them.
    pub fn tell(&self, place: &Place, text: &[u8], found: Vec<Match>, view: &View<'_>, batch: &mut Batch) {
        let mut lines = Lines::new(text, view.first_line);
        for found in found.iter().filter(|found| view.shows(&found.span)) {
            let hit = self.hit(place, text, found, &mut lines);
            match found.dropped {
                Some(reason) => batch.drop_candidate(hit, reason.to_string()),
                None => self.settle(hit, text, found.span.start, batch),
            }
        }
    }

    /// A finding that nobody has accepted goes into the batch.
    fn settle(&self, hit: Hit, text: &[u8], start: usize, batch: &mut Batch) {
        if self.config.allows(&hit.rule, &hit.path, &hit.fingerprint) {
            batch.totals.allowed_config += 1;
            if self.explain {
                batch.drop_candidate(hit, "the configuration allows it");
            }
            return;
        }
        let marker =
            if self.markers { inline(text, start, &hit.rule, self.foreign_markers) } else { Inline::None };
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

    fn hit(&self, place: &Place, text: &[u8], found: &Match, lines: &mut Lines<'_>) -> Hit {
        let value = text.get(found.span.clone()).unwrap_or_default();
        let span = lines.span(&found.span);
        Hit {
            rule: Arc::clone(&found.rule),
            severity: found.severity,
            path: Arc::clone(&place.path),
            line: span.line,
            column: span.column,
            end_line: span.end_line,
            end_column: span.end_column,
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
