//! The keyword search hides nothing: a pattern that is tried at every byte finds what it finds at its keywords.
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::Engine;
use crate::detect::hunt::{Hunt, rule_at};
use crate::rule::{Detector, Rule};
use crate::settings::Settings;

#[path = "../../tests/support/mod.rs"]
mod support;

/// Rule, start and end.
type Found = BTreeSet<(String, usize, usize)>;

fn is_bare(rule: &Rule) -> bool {
    rule.detector == Detector::Pattern && rule.before == 0
}

/// With the keyword search and all cheap tests behind it.
fn by_keywords(engine: &Engine, text: &[u8]) -> Found {
    let settings = Settings::default();
    let memo = crate::detect::memo::NameMemo::default();
    let mut hunt = Hunt::new(engine, &settings, &memo, text, false);
    hunt.run(&mut crate::table::Found::default());
    let spans = hunt.spans.iter().filter_map(|span| Some((engine.rule(span.rule)?, span)));
    spans
        .filter(|(rule, _)| is_bare(rule))
        .map(|(rule, span)| (rule.id().to_owned(), span.start, span.end))
        .collect()
}

/// With nothing but the pattern, at every byte.
fn everywhere(engine: &Engine, text: &[u8]) -> Found {
    let mut found = Found::new();
    for rule in engine.rules().filter(|rule| is_bare(rule)) {
        // A format does not stand inside of itself: the search goes on behind what it found.
        let mut done = 0;
        for pos in 0..text.len() {
            if pos < done {
                continue;
            }
            if let Some((start, end)) = rule_at(rule, text, pos) {
                found.insert((rule.id().to_owned(), start, end));
                done = end;
            }
        }
    }
    found
}

/// Samples of all rules, whole, cut and glued, with noise and the bytes that tokens stand between.
fn text() -> impl Strategy<Value = String> {
    let engine = Engine::builtin();
    let samples: Vec<String> = engine
        .rules()
        .flat_map(|rule| rule.examples().iter().chain(rule.counter_examples()))
        .zip(0..)
        .map(|(pieces, seed)| support::expand(&pieces.concat(), seed))
        .filter(|sample| sample.is_ascii() && sample.len() < 300)
        .collect();
    let sample = prop::sample::select(samples);
    let cut = (sample.clone(), 0..100_usize, 0..100_usize).prop_map(|(sample, from, to)| {
        let (from, to) = (sample.len() * from / 100, sample.len() * to / 100);
        sample.get(from.min(to)..from.max(to)).unwrap_or_default().to_owned()
    });
    let between = prop::sample::select(vec![
        " ", "\"", "'", "=", "\\n", "&", "?k=", "%3D", "/", ":", ",", "\n", "_", "-", "x", "\\\"", "é",
        "\\u003d",
    ]);
    let piece = prop_oneof![
        3 => sample,
        2 => cut,
        3 => between.prop_map(str::to_owned),
        1 => "[ -~]{0,16}",
    ];
    prop::collection::vec(piece, 1..7).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_keyword_search_and_the_patterns_alone_agree(text in text()) {
        let engine = Engine::builtin();
        let (fast, slow) = (by_keywords(&engine, text.as_bytes()), everywhere(&engine, text.as_bytes()));
        prop_assert_eq!(fast, slow, "{}", text);
    }
}
