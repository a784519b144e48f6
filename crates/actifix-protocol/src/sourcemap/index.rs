//! What is kept of a map: places in order, packed, in blocks that can be read alone.
//!
//! A place takes about six bytes. Memory for places that were unpacked would be four times that, for every map in use.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};

/// "No name" in a token.
pub(super) const NONE: u32 = u32::MAX;
/// Places of one block: a lookup unpacks at most as many.
const BLOCK: usize = 64;
/// The form that is written.
const FORM: u32 = 1;
/// Functions before a place that one lookup compares, from the nearest on.
const FUNCTIONS_LOOKED_AT_MAX: usize = 5_000;

/// One place of the script and the place of the source that it came from. All count from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Token {
    pub line: u32,
    pub column: u32,
    pub source: u32,
    pub source_line: u32,
    pub source_column: u32,
    pub name: u32,
}

/// A function of the script: where its name stands, and the number of its name in the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Function {
    #[serde(rename = "l")]
    pub line: u32,
    #[serde(rename = "c")]
    pub column: u32,
    #[serde(rename = "m")]
    pub minified: String,
    #[serde(rename = "n")]
    pub name: u32,
}

/// Where a block begins: in the script, and in the packed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Block(u32, u32, u32);

/// A place of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Number of the source.
    pub source: u32,
    /// Name of the source.
    pub path: &'a str,
    /// Line, from 0.
    pub line: u32,
    /// Column, from 0.
    pub column: u32,
    /// The identifier that stood there; the function around it where [`Index::is_scoped`].
    pub name: Option<&'a str>,
}

/// What is kept of a map.
#[derive(Debug, Serialize, Deserialize)]
pub struct Index {
    form: u32,
    sources: Vec<String>,
    names: Vec<String>,
    functions: Vec<Function>,
    blocks: Vec<Block>,
    #[serde(with = "text")]
    packed: Vec<u8>,
    /// The names of places are those of the functions around them.
    #[serde(default)]
    scoped: bool,
}

/// The packed bytes in JSON.
mod text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD_NO_PAD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD_NO_PAD.decode(text).map_err(serde::de::Error::custom)
    }
}

/// An index without its texts, which are redacted before they are added.
pub(super) struct Builder {
    functions: Vec<Function>,
    blocks: Vec<Block>,
    packed: Vec<u8>,
    scoped: bool,
}

impl Builder {
    /// `tokens` are in order.
    pub(super) fn new(tokens: &[Token], mut functions: Vec<Function>, scoped: bool) -> Self {
        let (mut blocks, mut packed) = (Vec::with_capacity(tokens.len() / BLOCK + 1), Vec::new());
        for block in tokens.chunks(BLOCK) {
            let first = block.first().copied().unwrap_or_default();
            blocks.push(Block(first.line, first.column, u32::try_from(packed.len()).unwrap_or(u32::MAX)));
            let mut before = Token { line: first.line, ..Token::default() };
            for token in block {
                pack(&mut packed, &mut before, *token);
            }
        }
        functions.sort_by_key(|one| (one.line, one.column));
        Self { functions, blocks, packed, scoped }
    }

    pub(super) fn minified_functions(&self) -> Vec<String> {
        let names: BTreeSet<&str> = self.functions.iter().map(|one| one.minified.as_str()).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    pub(super) fn forget_functions(&mut self, minified: &HashSet<String>) {
        self.functions.retain(|one| !minified.contains(&one.minified));
    }

    pub(super) fn finish(self, sources: Vec<String>, names: Vec<String>) -> Index {
        Index {
            form: FORM,
            sources,
            names,
            functions: self.functions,
            blocks: self.blocks,
            packed: self.packed,
            scoped: self.scoped,
        }
    }
}

impl Index {
    /// The form in which it is stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the stored form; none where it is another one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(bytes).ok().filter(|index| index.form == FORM)
    }

    /// Bytes in memory, about.
    pub fn weight(&self) -> usize {
        let texts = |list: &[String]| list.iter().map(|text| text.len() + size_of::<String>()).sum::<usize>();
        let functions =
            self.functions.iter().map(|one| one.minified.len() + size_of::<Function>()).sum::<usize>();
        self.packed.len()
            + self.blocks.len() * size_of::<Block>()
            + functions
            + texts(&self.sources)
            + texts(&self.names)
    }

    /// The place of the source for a place of the script, both from 0: that of the last token of the same line at or
    /// before it.
    pub fn lookup(&self, line: u32, column: u32) -> Option<Place<'_>> {
        let after = self.blocks.partition_point(|block| (block.0, block.1) <= (line, column));
        let number = after.checked_sub(1)?;
        let block = self.blocks.get(number)?;
        let start = usize::try_from(block.2).ok()?;
        let end = match self.blocks.get(after) {
            Some(next) => usize::try_from(next.2).ok()?,
            None => self.packed.len(),
        };
        let mut bytes = self.packed.get(start..end)?;
        let (mut token, mut best) = (Token { line: block.0, ..Token::default() }, None);
        for _ in 0..BLOCK {
            let Some(next) = unpack(&mut bytes, token) else { break };
            if (next.line, next.column) > (line, column) {
                break;
            }
            token = next;
            best = Some(next);
        }
        let token = best.filter(|token| token.line == line)?;
        Some(Place {
            source: token.source,
            path: self.sources.get(usize::try_from(token.source).ok()?)?,
            line: token.source_line,
            column: token.source_column,
            name: self.name(token.name),
        })
    }

    /// Whether the name of a place is that of the function around it. Maps of React Native tell these themselves; of others
    /// [`Self::function`] knows some.
    pub fn is_scoped(&self) -> bool {
        self.scoped
    }

    /// The function of the source that is called `minified` around a place of the script.
    pub fn function(&self, line: u32, column: u32, minified: &str) -> Option<&str> {
        let end = self.functions.partition_point(|one| (one.line, one.column) <= (line, column));
        let before = self.functions.get(..end)?;
        let found = before.iter().rev().take(FUNCTIONS_LOOKED_AT_MAX).find(|one| one.minified == minified)?;
        self.name(found.name)
    }

    fn name(&self, number: u32) -> Option<&str> {
        let name = self.names.get(usize::try_from(number).ok()?)?;
        (!name.is_empty()).then_some(name.as_str())
    }
}

/// Writes a token as differences. The column is from the start of its line, the name as it is.
fn pack(out: &mut Vec<u8>, before: &mut Token, token: Token) {
    let line = token.line.wrapping_sub(before.line);
    let column = if line == 0 { token.column.wrapping_sub(before.column) } else { token.column };
    number(out, u64::from(line));
    number(out, u64::from(column));
    signed(out, token.source, before.source);
    signed(out, token.source_line, before.source_line);
    signed(out, token.source_column, before.source_column);
    number(out, if token.name == NONE { 0 } else { u64::from(token.name) + 1 });
    *before = token;
}

fn unpack(bytes: &mut &[u8], before: Token) -> Option<Token> {
    let line = u32::try_from(take(bytes)?).ok()?;
    let column = u32::try_from(take(bytes)?).ok()?;
    let source = take_signed(bytes, before.source)?;
    let source_line = take_signed(bytes, before.source_line)?;
    let source_column = take_signed(bytes, before.source_column)?;
    let name = take(bytes)?;
    Some(Token {
        line: before.line.checked_add(line)?,
        column: if line == 0 { before.column.checked_add(column)? } else { column },
        source,
        source_line,
        source_column,
        name: match name.checked_sub(1) {
            Some(name) => u32::try_from(name).ok()?,
            None => NONE,
        },
    })
}

/// A number in groups of seven bits, the low ones first.
fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for place in 0..10 {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(place * 7)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A difference: the sign in the lowest bit.
fn signed(out: &mut Vec<u8>, value: u32, before: u32) {
    let difference = i64::from(value) - i64::from(before);
    let sign = u64::from(difference < 0);
    number(out, difference.unsigned_abs() << 1 | sign);
}

fn take_signed(bytes: &mut &[u8], before: u32) -> Option<u32> {
    let value = take(bytes)?;
    let size = i64::try_from(value >> 1).ok()?;
    let difference = if value & 1 == 1 { -size } else { size };
    u32::try_from(i64::from(before).checked_add(difference)?).ok()
}
