//! The targets of the scanner on the generated corpus. Seeds differ from those that the rules were written with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use actifix_secrets::Engine;
use actifix_testkit::corpus::{CONTEXTS, FAMILIES, NEGATIVES, Report, Row, cases, measure};

const SEED: u64 = 20_261_124;

fn worst(report: &Report) -> String {
    let slips: Vec<String> = report
        .slips
        .iter()
        .take(20)
        .map(|slip| format!("{} | {} | {}", slip.of, slip.at, slip.text))
        .collect();
    slips.join("\n")
}

#[test]
fn the_scanner_keeps_its_targets() {
    let report = measure(&Engine::builtin(), SEED, 1);
    assert!(report.all.share() >= 0.97, "recall {}\n{}", report.all.share(), worst(&report));
    assert!(report.all.whole_share() >= 0.99, "whole {}\n{}", report.all.whole_share(), worst(&report));
    assert!(report.clean.share() <= 0.03, "false positives {}\n{}", report.clean.share(), worst(&report));
    let low =
        |(name, row): (&&'static str, &Row)| (row.share() < 0.95).then(|| format!("{name} {}", row.share()));
    let contexts: Vec<String> = report.contexts.iter().filter_map(low).collect();
    assert!(contexts.is_empty(), "{contexts:?}\n{}", worst(&report));
    let low =
        |(name, row): (&&'static str, &Row)| (row.share() < 0.7).then(|| format!("{name} {}", row.share()));
    let families: Vec<String> = report.families.iter().filter_map(low).collect();
    assert!(families.is_empty(), "{families:?}\n{}", worst(&report));
}

#[test]
fn the_first_vendors_are_found_in_every_context() {
    let engine = Engine::builtin();
    let mut missed = Vec::new();
    for case in cases(SEED + 1, 2) {
        let vendor =
            ["aws ", "openai ", "github ", "stripe "].iter().any(|vendor| case.family.starts_with(vendor));
        let covers = |found: &actifix_secrets::Match| {
            found.span.start <= case.secret.start && case.secret.end <= found.span.end
        };
        if vendor && !engine.scan(&case.text).iter().any(covers) {
            let text = String::from_utf8_lossy(&case.text[case.secret.start.saturating_sub(80)..]);
            missed.push(format!("{} | {} | {text}", case.family, case.context));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn the_corpus_is_broad_and_repeats_itself() {
    let names: BTreeSet<&str> = FAMILIES.iter().map(|family| family.family).collect();
    assert_eq!(names.len(), FAMILIES.len());
    assert!(names.len() >= 220, "{}", names.len());
    assert_eq!(CONTEXTS.len(), 18);
    assert!(NEGATIVES.len() >= 12);
    let texts = |seed| cases(seed, 1).take(400).map(|case| case.text).collect::<Vec<_>>();
    assert_eq!(texts(5), texts(5));
    assert_ne!(texts(5), texts(6));
    for case in cases(5, 1).take(2_000) {
        assert!(case.secret.start < case.secret.end && case.secret.end <= case.text.len(), "{}", case.family);
    }
}

/// What comes in pieces is read with an overlap, so a credential across the end of a piece is in the text as a whole.
#[test]
fn a_credential_lies_across_the_end_of_a_chunk() {
    for case in cases(5, 1).filter(|case| case.context == "chunk boundary") {
        assert!(
            (case.secret.start..case.secret.end).contains(&(64 << 10)),
            "{} {:?}",
            case.family,
            case.secret
        );
    }
}
