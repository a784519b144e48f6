//! What is used of a decoded map, whichever of the three forms it has: plain, in sections, or with the functions of its
//! places beside them (`x_facebook_sources`, which Metro writes for React Native and Hermes).

use super::index::{NONE, Token};
use super::{MAP_NAMES_MAX, MAP_SOURCES_MAX, MapError, Source};
use crate::limits::to_usize;
use sourcemap::{DecodedMap, SourceMap};
use std::collections::HashMap;

/// Places, sources and names of a map.
#[derive(Default)]
pub(super) struct Parts {
    pub tokens: Vec<Token>,
    pub sources: Vec<Source>,
    pub names: Vec<String>,
    /// The names of places are those of the functions around them, not of what stands there.
    pub are_scoped: bool,
    source_numbers: HashMap<String, u32>,
    name_numbers: HashMap<String, u32>,
}

impl Parts {
    /// What a map holds. Its places are in no order.
    pub(super) fn of(map: &DecodedMap) -> Result<Self, MapError> {
        let mut parts = Self { are_scoped: is_scoped(map), ..Self::default() };
        parts.add(map, (0, 0))?;
        Ok(parts)
    }

    /// Adds a map whose script begins at a line and column of the whole.
    fn add(&mut self, map: &DecodedMap, offset: (u32, u32)) -> Result<(), MapError> {
        match map {
            DecodedMap::Regular(map) => self.add_named(map, offset),
            DecodedMap::Hermes(map) if self.are_scoped => {
                self.add_places(map, offset, |parts, token| {
                    // The decoder counts lines of scopes from 1.
                    let countable = Some(*token).filter(|token| token.get_src_line() < u32::MAX);
                    let scope = countable.and_then(|token| map.get_scope_for_token(token));
                    scope.map_or(Ok(NONE), |name| parts.name(name))
                })
            }
            DecodedMap::Hermes(map) => self.add_named(map, offset),
            DecodedMap::Index(index) => {
                for section in index.sections() {
                    let map = section.get_sourcemap().ok_or(MapError::Broken)?;
                    self.add(map, section.get_offset())?;
                }
                Ok(())
            }
        }
    }

    /// Adds a map whose places have the names that stand there.
    fn add_named(&mut self, map: &SourceMap, offset: (u32, u32)) -> Result<(), MapError> {
        if place(map.get_name_count()) > MAP_NAMES_MAX {
            return Err(MapError::TooLarge);
        }
        let numbers = (0..map.get_name_count())
            .map(|number| self.name(map.get_name(number).unwrap_or_default()))
            .collect::<Result<Vec<u32>, _>>()?;
        self.add_places(map, offset, |_, token| {
            let number =
                Some(token).filter(|token| token.has_name()).map(|token| token.get_raw_token().name_id);
            Ok(number.and_then(|number| numbers.get(place(number))).copied().unwrap_or(NONE))
        })
    }

    fn add_places(
        &mut self,
        map: &SourceMap,
        (first_line, first_column): (u32, u32),
        name: impl Fn(&mut Self, &sourcemap::Token<'_>) -> Result<u32, MapError>,
    ) -> Result<(), MapError> {
        let numbers = (0..map.get_source_count())
            .map(|number| self.source(map, number))
            .collect::<Result<Vec<u32>, _>>()?;
        for token in map.tokens().filter(sourcemap::Token::has_source) {
            let (line, column) = token.get_dst();
            let shift = if line == 0 { first_column } else { 0 };
            let token = Token {
                line: line.checked_add(first_line).ok_or(MapError::Broken)?,
                column: column.checked_add(shift).ok_or(MapError::Broken)?,
                source: *numbers.get(place(token.get_src_id())).ok_or(MapError::Broken)?,
                source_line: token.get_src_line(),
                source_column: token.get_src_col(),
                name: name(self, &token)?,
            };
            self.tokens.push(token);
        }
        Ok(())
    }

    /// The number of a source; several sections may share it.
    fn source(&mut self, map: &SourceMap, number: u32) -> Result<u32, MapError> {
        let path = map.get_source(number).unwrap_or_default();
        let content = map.get_source_contents(number);
        if let Some(known) = self.source_numbers.get(path)
            && let Some(source) = self.sources.get(place(*known))
            && source.content.as_deref() == content
        {
            return Ok(*known);
        }
        let next = next(self.sources.len(), MAP_SOURCES_MAX)?;
        self.source_numbers.insert(path.to_owned(), next);
        self.sources.push(Source { path: path.to_owned(), content: content.map(str::to_owned) });
        Ok(next)
    }

    fn name(&mut self, name: &str) -> Result<u32, MapError> {
        if let Some(known) = self.name_numbers.get(name) {
            return Ok(*known);
        }
        let next = next(self.names.len(), MAP_NAMES_MAX)?;
        self.names.push(name.to_owned());
        self.name_numbers.insert(name.to_owned(), next);
        Ok(next)
    }
}

fn place(number: u32) -> usize {
    to_usize(u64::from(number))
}

/// The number of what is added to a list.
fn next(many: usize, most: usize) -> Result<u32, MapError> {
    u32::try_from(many).ok().filter(|_| many < most).ok_or(MapError::TooLarge)
}

/// Whether each place of a map has the function around it.
fn is_scoped(map: &DecodedMap) -> bool {
    match map {
        DecodedMap::Regular(_) => false,
        DecodedMap::Hermes(_) => true,
        DecodedMap::Index(index) => {
            let mut maps = index.sections().filter_map(|section| section.get_sourcemap()).peekable();
            maps.peek().is_some() && maps.all(|map| matches!(map, DecodedMap::Hermes(_)))
        }
    }
}
