//! A corpus of texts with and without credentials, made from a seed: every family of credentials in every context that
//! errors, settings and sources have, and texts that look like it and hold none.
//!
//! The families are written from what vendors publish about their formats, apart from the rules of the engine, so that a
//! rule that fits its own examples only is found out. No complete credential stands in the sources: all are made at run time.
mod contexts;
mod dice;
mod families;
mod forms;
mod measure;
mod negatives;

use std::ops::Range;

pub use contexts::{CONTEXTS, Context};
pub use dice::Dice;
pub use families::{FAMILIES, Family, Kind};
pub use measure::{Report, Row, Slip, measure};
pub use negatives::{NEGATIVES, Negative};

/// A text with one credential.
#[derive(Debug, Clone)]
pub struct Case {
    /// Name of the family.
    pub family: &'static str,
    /// Name of the context.
    pub context: &'static str,
    /// The text.
    pub text: Vec<u8>,
    /// Where the credential stands in it, as it is encoded there.
    pub secret: Range<usize>,
}

/// All families in all contexts they can stand in, `rounds` of each.
pub fn cases(seed: u64, rounds: u64) -> impl Iterator<Item = Case> {
    FAMILIES.iter().enumerate().flat_map(move |(number, family)| {
        CONTEXTS.iter().enumerate().flat_map(move |(place, context)| {
            (0..rounds).filter_map(move |round| {
                let mut dice = Dice::new(seed ^ (number as u64) << 32 ^ (place as u64) << 16 ^ round);
                context.case(family, &mut dice)
            })
        })
    })
}

/// All kinds of texts without credentials, `rounds` of each: (kind, text).
pub fn clean(seed: u64, rounds: u64) -> impl Iterator<Item = (&'static str, String)> {
    NEGATIVES.iter().enumerate().flat_map(move |(number, negative)| {
        (0..rounds).map(move |round| {
            let mut dice = Dice::new(seed ^ 0xc1ea_0000_0000 ^ (number as u64) << 16 ^ round);
            (negative.name, negative.text(&mut dice))
        })
    })
}
