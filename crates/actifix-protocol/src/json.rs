//! JSON as clients really send it, read in one pass into plain values.
//!
//! Repaired on the way (`ingest.md` §6): `NaN` and the infinities become null, lone surrogates and invalid UTF-8
//! become U+FFFD, of duplicate keys the last wins, a leading byte order mark is skipped, control characters that
//! stand unescaped in strings are accepted. Everything else is strict. Strings and keys come out [cleaned](clean()).
//!
//! Numbers: integers that fit stay integers, others become f64. A number that no finite type holds, or an integer
//! beyond 64 bits, stays a string of its own text (up to [`crate::limits::JSON_NUMBER_TEXT_BYTES_MAX`] bytes, beyond that
//! `"[truncated]"`): an identifier must not lose digits.
//!
//! There is no recursion, so depth costs no stack: containers nested deeper than allowed become `"[truncated]"`.

use serde_json::{Map, Value};

mod clean;
mod number;
mod text;

pub use clean::clean;

/// What stands in place of a part that was too deep or too long to keep.
pub const TRUNCATED: &str = "[truncated]";

/// Bounds of one document. See [`crate::limits::Limits::json`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonLimits {
    /// Nested containers that are kept.
    pub depth_max: usize,
    /// Nested containers that are survived; more is an error.
    pub depth_refused: usize,
    /// Values, containers included, that are kept; more is an error. Weighed by the memory that they cost: a scalar
    /// counts 1, a list 3 more, a map 15 more and each key of it 2 more, so that a unit is about 40 bytes.
    pub values_max: usize,
}

impl Default for JsonLimits {
    fn default() -> Self {
        crate::limits::Limits::default().json()
    }
}

/// Why a document is beyond repair. Tells where, never what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Nothing but white space.
    #[error("empty document")]
    Empty,
    /// Not JSON at this byte.
    #[error("invalid JSON at byte {at}")]
    Syntax {
        /// Offset in bytes from the start of the input.
        at: usize,
    },
    /// The input ends inside a value.
    #[error("JSON ends too early")]
    Incomplete,
    /// Something follows the document.
    #[error("text after the JSON document at byte {at}")]
    Trailing {
        /// Offset in bytes from the start of the input.
        at: usize,
    },
    /// Nested beyond all measure.
    #[error("JSON nested too deeply")]
    TooDeep,
    /// More values than one document may have.
    #[error("too many values")]
    TooManyValues,
}

/// Reads one document.
///
/// # Errors
/// [`JsonError`] when the bytes are beyond the repairs named above; answer 400 with reason `json`.
pub fn parse(bytes: &[u8], limits: &JsonLimits) -> Result<Value, JsonError> {
    Parser { bytes, at: 0, values: 0, limits: *limits }.document()
}

/// What a list costs beyond a scalar: room for four members.
const LIST_WEIGHT: usize = 3;
/// What a map costs beyond a scalar: a tree node has room for eleven members, even if it holds one.
const MAP_WEIGHT: usize = 15;
/// What a key costs: its text has an allocation of its own.
const KEY_WEIGHT: usize = 2;

/// Containers that are open, with what is in them so far.
enum Open {
    List(Vec<Value>),
    Map(Map<String, Value>, String),
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Weight of the values so far.
    values: usize,
    limits: JsonLimits,
}

impl Parser<'_> {
    fn document(mut self) -> Result<Value, JsonError> {
        if self.bytes.starts_with(b"\xEF\xBB\xBF") {
            self.at = 3;
        }
        if self.peek().is_none() {
            return Err(JsonError::Empty);
        }
        let mut open: Vec<Open> = Vec::new();
        // Ends: each turn of either loop reads at least one byte, or finds that there is none.
        loop {
            let Some(mut value) = self.value(&mut open)? else { continue };
            // A value is complete: put it where it belongs, and close what closes after it.
            loop {
                let Some(container) = open.last_mut() else {
                    return if self.peek().is_some() {
                        Err(JsonError::Trailing { at: self.at })
                    } else {
                        Ok(value)
                    };
                };
                let next = self.peek().ok_or(JsonError::Incomplete)?;
                match (container, next) {
                    (Open::List(list), b',') => {
                        self.at += 1;
                        list.push(value);
                        break;
                    }
                    (Open::Map(map, key), b',') => {
                        self.at += 1;
                        map.insert(std::mem::take(key), value);
                        *key = self.key()?;
                        break;
                    }
                    (Open::List(list), b']') => {
                        list.push(value);
                        value = Value::Array(std::mem::take(list));
                    }
                    (Open::Map(map, key), b'}') => {
                        map.insert(std::mem::take(key), value);
                        value = Value::Object(std::mem::take(map));
                    }
                    _ => return Err(JsonError::Syntax { at: self.at }),
                }
                self.at += 1;
                open.pop();
            }
        }
    }

    /// Reads a scalar whole, or opens a container (`None`).
    fn value(&mut self, open: &mut Vec<Open>) -> Result<Option<Value>, JsonError> {
        let first = self.peek().ok_or(JsonError::Incomplete)?;
        self.count(1)?;
        let value = match first {
            b'"' => Value::String(self.string()?),
            b'{' | b'[' if open.len() >= self.limits.depth_max => {
                self.skip_container(open.len())?;
                Value::from(TRUNCATED)
            }
            b'{' => {
                self.at += 1;
                if self.peek() != Some(b'}') {
                    self.count(MAP_WEIGHT)?;
                    let key = self.key()?;
                    open.push(Open::Map(Map::new(), key));
                    return Ok(None);
                }
                self.at += 1;
                Value::Object(Map::new())
            }
            b'[' => {
                self.at += 1;
                if self.peek() != Some(b']') {
                    self.count(LIST_WEIGHT)?;
                    open.push(Open::List(Vec::new()));
                    return Ok(None);
                }
                self.at += 1;
                Value::Array(Vec::new())
            }
            b't' => self.word(b"true", Value::Bool(true))?,
            b'f' => self.word(b"false", Value::Bool(false))?,
            b'n' => self.word(b"null", Value::Null)?,
            b'N' => self.word(b"NaN", Value::Null)?,
            b'I' => self.word(b"Infinity", Value::Null)?,
            b'-' if self.rest().starts_with(b"-I") => self.word(b"-Infinity", Value::Null)?,
            b'-' | b'0'..=b'9' => self.number()?,
            _ => return Err(JsonError::Syntax { at: self.at }),
        };
        Ok(Some(value))
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<String, JsonError> {
        match self.peek() {
            Some(b'"') => {}
            Some(_) => return Err(JsonError::Syntax { at: self.at }),
            None => return Err(JsonError::Incomplete),
        }
        self.count(KEY_WEIGHT)?;
        let key = self.string()?;
        match self.peek() {
            Some(b':') => self.at += 1,
            Some(_) => return Err(JsonError::Syntax { at: self.at }),
            None => return Err(JsonError::Incomplete),
        }
        Ok(key)
    }

    /// Adds to the weight of the document.
    fn count(&mut self, weight: usize) -> Result<(), JsonError> {
        self.values += weight;
        if self.values > self.limits.values_max { Err(JsonError::TooManyValues) } else { Ok(()) }
    }

    fn word(&mut self, word: &[u8], value: Value) -> Result<Value, JsonError> {
        if !self.rest().starts_with(word) {
            return Err(JsonError::Syntax { at: self.at });
        }
        self.at += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let (value, length) = number::parse(self.rest()).ok_or(JsonError::Syntax { at: self.at })?;
        self.at += length;
        Ok(value)
    }

    fn string(&mut self) -> Result<String, JsonError> {
        let body = self.rest().get(1..).unwrap_or_default();
        match text::parse(body) {
            Ok((text, used)) => {
                self.at += used + 1;
                Ok(text)
            }
            Err(text::Broken::Ends) => Err(JsonError::Incomplete),
            Err(text::Broken::At(offset)) => Err(JsonError::Syntax { at: self.at + 1 + offset }),
        }
    }

    /// Passes over a container whose content is not wanted. Brackets must match and strings must end; the rest of
    /// the grammar is not checked, as nothing of it is kept.
    fn skip_container(&mut self, depth: usize) -> Result<(), JsonError> {
        let mut closers: Vec<u8> = Vec::new();
        loop {
            let byte = self.byte().ok_or(JsonError::Incomplete)?;
            match byte {
                b'{' | b'[' => {
                    closers.push(if byte == b'{' { b'}' } else { b']' });
                    if depth.saturating_add(closers.len()) > self.limits.depth_refused {
                        return Err(JsonError::TooDeep);
                    }
                }
                b'}' | b']' => {
                    if closers.pop() != Some(byte) {
                        return Err(JsonError::Syntax { at: self.at });
                    }
                    if closers.is_empty() {
                        self.at += 1;
                        return Ok(());
                    }
                }
                b'"' => {
                    let body = self.rest().get(1..).unwrap_or_default();
                    self.at += text::length(body).ok_or(JsonError::Incomplete)? + 1;
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// The next byte that is not white space, without taking it.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte()? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
