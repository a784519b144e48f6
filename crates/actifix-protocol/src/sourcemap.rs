//! Source maps (ECMA-426): where each place of a minified script stood in the source.
//!
//! A map is read once, when it is uploaded; what is kept of it is an [`Index`] without any source text. Sizes are
//! bounded before anything is decoded: a map of a few MiB may claim millions of places.

mod functions;
mod index;

pub use index::{Index, Place};

use index::{Builder, NONE, Token};
use serde::Deserialize;
use serde_json::value::RawValue;
use sourcemap::DecodedMap;
use std::borrow::Cow;

/// Places of one map. A script of 1 MiB has about 300,000.
pub const MAP_TOKENS_MAX: usize = 1_000_000;
/// Sources of one map.
pub const MAP_SOURCES_MAX: usize = 20_000;
/// Names of one map.
pub const MAP_NAMES_MAX: usize = 200_000;
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
    /// Too large.
    #[error(
        "a source map has more than {MAP_TOKENS_MAX} places, {MAP_SOURCES_MAX} sources or {MAP_NAMES_MAX} names: split the bundle into chunks"
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
    #[serde(borrow, default)]
    sections: Option<Vec<Section<'a>>>,
}

#[derive(Deserialize)]
struct Section<'a> {
    #[serde(borrow, default)]
    map: Option<&'a RawValue>,
}

impl Map {
    /// Reads a map; with its script also which function is where.
    ///
    /// # Errors
    /// See [`MapError`].
    pub fn read(json: &[u8], script: Option<&[u8]>) -> Result<Self, MapError> {
        let json = without_guard(json);
        if segments(json, true)? > MAP_TOKENS_MAX {
            return Err(MapError::TooLarge);
        }
        let map = match sourcemap::decode_slice(json).map_err(|_| MapError::Broken)? {
            DecodedMap::Regular(map) => map,
            DecodedMap::Index(index) => index.flatten().map_err(|_| MapError::Broken)?,
            // Maps of another engine have another form of functions; their places are the same.
            DecodedMap::Hermes(_) => return Err(MapError::Broken),
        };
        let (sources, names) = (map.get_source_count(), map.get_name_count());
        let too_many = |many: u32, most: usize| usize::try_from(many).unwrap_or(usize::MAX) > most;
        if too_many(sources, MAP_SOURCES_MAX) || too_many(names, MAP_NAMES_MAX) {
            return Err(MapError::TooLarge);
        }
        let mut tokens: Vec<Token> = map
            .tokens()
            .filter(|token| token.has_source())
            .map(|token| Token {
                line: token.get_dst_line(),
                column: token.get_dst_col(),
                source: token.get_src_id(),
                source_line: token.get_src_line(),
                source_column: token.get_src_col(),
                name: if token.has_name() { token.get_raw_token().name_id } else { NONE },
            })
            .collect();
        tokens.sort_unstable_by_key(|token| (token.line, token.column));
        let found = script.map(|script| functions::find(&String::from_utf8_lossy(script), &tokens));
        Ok(Self {
            sources: (0..sources)
                .map(|number| Source {
                    path: map.get_source(number).unwrap_or_default().to_owned(),
                    content: map.get_source_contents(number).map(str::to_owned),
                })
                .collect(),
            names: (0..names).map(|number| map.get_name(number).unwrap_or_default().to_owned()).collect(),
            builder: Builder::new(&tokens, found.unwrap_or_default()),
        })
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

/// Places that a map claims, counted without decoding one.
fn segments(json: &[u8], may_be_index: bool) -> Result<usize, MapError> {
    let head: Head<'_> = serde_json::from_slice(json).map_err(|_| MapError::Broken)?;
    let own =
        head.mappings.map_or(0, |text| text.bytes().filter(|byte| matches!(byte, b',' | b';')).count() + 1);
    let Some(sections) = head.sections else { return Ok(own) };
    // An index in an index is against the standard.
    if !may_be_index || sections.len() > SECTIONS_MAX {
        return Err(MapError::Broken);
    }
    let mut many = own;
    for section in sections {
        let map = section.map.ok_or(MapError::Broken)?;
        many = many.saturating_add(segments(map.get().as_bytes(), false)?);
    }
    Ok(many)
}

#[cfg(test)]
mod tests;
