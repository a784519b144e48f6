//! Source maps (ECMA-426): where each place of a minified script stood in the source.
//!
//! A map is read once, when it is uploaded; what is kept of it is an [`Index`] without any source text. Sizes are
//! bounded before anything is decoded: a map of a few MiB may claim millions of places.

mod functions;
mod index;
mod parts;

pub use index::{Index, Place};

use index::Builder;
use parts::Parts;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;

/// Places of one map. A script of 1 MiB has about 300,000.
pub const MAP_TOKENS_MAX: usize = 1_000_000;
/// Sources of one map.
pub const MAP_SOURCES_MAX: usize = 20_000;
/// Names of one map.
pub const MAP_NAMES_MAX: usize = 200_000;
/// Scopes of functions that one map names beside its places, as those of React Native do.
pub const MAP_SCOPES_MAX: usize = 1_000_000;
/// Values of its JSON in all: elements of lists and members of objects, whatever they are for. A real map has one for
/// each name and two for each source; decoded, a value takes up to thirty times the bytes of its text.
pub const MAP_VALUES_MAX: usize = 500_000;
/// Bytes that the root of the sources may come to, written before each of them.
const MAP_ROOTS_BYTES_MAX: usize = 64 << 20;
/// Sections of an index map.
const SECTIONS_MAX: usize = 1_000;
/// What may stand before a map so that a browser does not run it.
const GUARD: &[u8] = b")]}";

/// Why a map was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// Not a source map.
    #[error(
        "a source map cannot be read: it is not JSON of version 3, or its mappings are broken; build it again"
    )]
    Broken,
    /// In its script, in a form that is not read.
    #[error(
        "the source map in a script is not base64 of JSON (`sourceMappingURL=data:application/json;base64,…`): let the build write .map files"
    )]
    Inline,
    /// Too large.
    #[error(
        "a source map has more than {MAP_TOKENS_MAX} places, {MAP_SOURCES_MAX} sources, {MAP_NAMES_MAX} names, {MAP_SCOPES_MAX} scopes of functions or {MAP_VALUES_MAX} values in all: split the bundle into chunks"
    )]
    TooLarge,
}

/// One source of a map.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name, with the root of the sources before it.
    pub path: String,
    /// Its text, where the map brings it.
    pub content: Option<String>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("has_content", &self.content.is_some()).finish_non_exhaustive()
    }
}

/// A map that was read. Not redacted.
pub struct Map {
    /// The sources.
    pub sources: Vec<Source>,
    /// Names of the source.
    pub names: Vec<String>,
    builder: Builder,
}

impl std::fmt::Debug for Map {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Map").field("sources", &self.sources.len()).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    mappings: Option<Cow<'a, str>>,
    #[serde(rename = "sourceRoot", borrow, default)]
    source_root: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    sections: Option<Vec<Section<'a>>>,
    #[serde(borrow, default)]
    x_facebook_sources: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Section<'a> {
    #[serde(borrow, default)]
    map: Option<&'a RawValue>,
}

/// What a map claims to hold.
#[derive(Default)]
struct Claimed {
    places: usize,
    scopes: usize,
    /// Of the longest root of sources.
    root_bytes: usize,
}

impl Map {
    /// Reads a map; with its script also which function is where.
    ///
    /// # Errors
    /// See [`MapError`].
    pub fn read(json: &[u8], script: Option<&[u8]>) -> Result<Self, MapError> {
        let json = without_guard(json);
        let values = values(json);
        if values > MAP_VALUES_MAX {
            return Err(MapError::TooLarge);
        }
        let claimed = claimed(json, true)?;
        // Decoding writes the root before each source, of which there are no more than values.
        if claimed.root_bytes.saturating_mul(values) > MAP_ROOTS_BYTES_MAX {
            return Err(MapError::TooLarge);
        }
        if claimed.places > MAP_TOKENS_MAX || claimed.scopes > MAP_SCOPES_MAX {
            return Err(MapError::TooLarge);
        }
        let mut parts = {
            let decoded = sourcemap::decode_slice(json).map_err(|_| MapError::Broken)?;
            Parts::of(&decoded)?
        };
        parts.tokens.sort_unstable_by_key(|token| (token.line, token.column));
        // Where the map itself tells the function of each place, the script has nothing to add.
        let script = script.filter(|_| !parts.are_scoped);
        let found = script.map(|script| functions::find(&String::from_utf8_lossy(script), &parts.tokens));
        let builder = Builder::new(&parts.tokens, found.unwrap_or_default(), parts.are_scoped);
        Ok(Self { sources: parts.sources, names: parts.names, builder })
    }

    /// The names that functions have in the script, each once.
    pub fn minified_functions(&self) -> Vec<String> {
        self.builder.minified_functions()
    }

    /// Forgets the functions with these names in the script.
    pub fn forget_functions(&mut self, minified: &HashSet<String>) {
        self.builder.forget_functions(minified);
    }

    /// What is kept of the map, with sources and names as they are now: redacted by the caller.
    pub fn into_index(self) -> Index {
        self.builder.finish(self.sources.into_iter().map(|source| source.path).collect(), self.names)
    }
}

/// Some servers put a line before JSON that breaks it as a script.
fn without_guard(json: &[u8]) -> &[u8] {
    if !json.starts_with(GUARD) {
        return json;
    }
    let end = memchr::memchr(b'\n', json).map_or(json.len(), |at| at + 1);
    json.get(end..).unwrap_or_default()
}

/// Values of a text of JSON, by the commas outside of its strings: nothing is decoded, so nothing can be claimed.
fn values(json: &[u8]) -> usize {
    let (mut many, mut rest) = (1, json);
    loop {
        let end = memchr::memchr(b'"', rest).unwrap_or(rest.len());
        let (outside, from_quote) = rest.split_at(end);
        many += memchr::memchr_iter(b',', outside).count();
        let Some((_, inside)) = from_quote.split_first() else { return many };
        rest = behind_string(inside);
    }
}

/// What follows the quote that ends a string.
fn behind_string(mut inside: &[u8]) -> &[u8] {
    while let Some(at) = memchr::memchr2(b'"', b'\\', inside) {
        let is_escape = inside.get(at) == Some(&b'\\');
        inside = inside.get(at + 1 + usize::from(is_escape)..).unwrap_or_default();
        if !is_escape {
            return inside;
        }
    }
    &[]
}

/// What a map claims, counted without decoding any of it.
fn claimed(json: &[u8], may_be_index: bool) -> Result<Claimed, MapError> {
    let head: Head<'_> = serde_json::from_slice(json).map_err(|_| MapError::Broken)?;
    let parts = |text: &str| text.bytes().filter(|byte| matches!(byte, b',' | b';')).count() + 1;
    let mut all = Claimed {
        places: head.mappings.map_or(0, |text| parts(&text)),
        scopes: head.x_facebook_sources.map_or(0, |raw| parts(raw.get())),
        root_bytes: head.source_root.map_or(0, |root| root.len()),
    };
    let Some(sections) = head.sections else { return Ok(all) };
    // An index in an index is against the standard.
    if !may_be_index || sections.len() > SECTIONS_MAX {
        return Err(MapError::Broken);
    }
    for section in sections {
        let map = section.map.ok_or(MapError::Broken)?;
        let one = claimed(map.get().as_bytes(), false)?;
        all.places = all.places.saturating_add(one.places);
        all.scopes = all.scopes.saturating_add(one.scopes);
        all.root_bytes = all.root_bytes.max(one.root_bytes);
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
