//! `multipart/form-data` (RFC 7578), read from memory; parts are slices of the body.

use memchr::memmem;

use crate::json::clean;
use crate::limits::{BOUNDARY_BYTES_MAX, PART_HEADER_BYTES_MAX, PART_TEXT_CHARS_MAX, PARTS_MAX};

/// One field or file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Name of the field, cleaned, at most [`PART_TEXT_CHARS_MAX`] characters.
    pub name: String,
    /// Name of the file without folders, cleaned and cut likewise: to show, never a path to use.
    pub filename: Option<String>,
    /// Media type as sent, cleaned and cut likewise.
    pub content_type: Option<String>,
    /// The content, exactly.
    pub bytes: &'a [u8],
}

/// Why a body is no usable form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MultipartError {
    /// The content type is not `multipart/form-data`; answer 415.
    #[error("{}", crate::answer::UNSUPPORTED_TYPE)]
    Type,
    /// The content type names no boundary, or an absurd one.
    #[error("multipart body without boundary")]
    Boundary,
    /// A part without end, or the closing line is missing.
    #[error("multipart body ends too early")]
    Incomplete,
    /// A part whose headers make no sense.
    #[error("invalid multipart headers")]
    Header,
    /// More than [`PARTS_MAX`] parts, or headers over [`PART_HEADER_BYTES_MAX`]; answer 413.
    #[error("multipart body has too many or too large parts")]
    TooLarge,
}

impl MultipartError {
    /// The HTTP status that answers it.
    pub fn status(self) -> u16 {
        match self {
            Self::Type => 415,
            Self::TooLarge => 413,
            Self::Boundary | Self::Incomplete | Self::Header => 400,
        }
    }
}

/// Reads all parts of `body`, whose size the caller has bounded. Linear in its length.
///
/// # Errors
/// See [`MultipartError`].
pub fn parse<'a>(content_type: &str, body: &'a [u8]) -> Result<Vec<Part<'a>>, MultipartError> {
    let delimiter = format!("--{}", boundary(content_type)?).into_bytes();
    let finder = memmem::Finder::new(&delimiter);
    let mut parts = Vec::new();
    let mut at = next_delimiter(body, 0, &finder, delimiter.len()).ok_or(MultipartError::Incomplete)?;
    // Ends: each turn moves past a delimiter.
    loop {
        let start = match at.after {
            After::Close => return Ok(parts),
            After::Part(start) => start,
        };
        if parts.len() == PARTS_MAX {
            return Err(MultipartError::TooLarge);
        }
        let next = next_delimiter(body, start, &finder, delimiter.len()).ok_or(MultipartError::Incomplete)?;
        parts.push(part(body.get(start..next.content_end).unwrap_or_default())?);
        at = next;
    }
}

/// A line that separates parts.
struct Delimiter {
    /// Where the content before it ends, without the line break that belongs to the delimiter.
    content_end: usize,
    after: After,
}

enum After {
    /// A part begins here.
    Part(usize),
    /// No more parts.
    Close,
}

/// The next delimiter at the start of a line. The same text inside a line, or as the beginning of a longer word, is
/// content.
fn next_delimiter(body: &[u8], from: usize, finder: &memmem::Finder<'_>, length: usize) -> Option<Delimiter> {
    let mut search = from;
    loop {
        let at = search + finder.find(body.get(search..)?)?;
        search = at + length;
        let before = body.get(from..at).unwrap_or_default();
        let line_start = before.ends_with(b"\n") || (before.is_empty());
        let rest = body.get(search..).unwrap_or_default();
        let after = if rest.starts_with(b"--") {
            Some(After::Close)
        } else {
            let blanks = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
            match rest.get(blanks..) {
                Some([b'\r', b'\n', ..]) => Some(After::Part(search + blanks + 2)),
                Some([b'\n', ..]) => Some(After::Part(search + blanks + 1)),
                _ => None,
            }
        };
        if let (true, Some(after)) = (line_start, after) {
            let content = before.strip_suffix(b"\n").unwrap_or(before);
            let content = content.strip_suffix(b"\r").unwrap_or(content);
            return Some(Delimiter { content_end: from + content.len(), after });
        }
    }
}

fn part(bytes: &[u8]) -> Result<Part<'_>, MultipartError> {
    let mut out = Part { name: String::new(), filename: None, content_type: None, bytes: &[] };
    let mut named = false;
    let mut rest = bytes;
    let mut used = 0usize;
    loop {
        // A client that sends no content may leave out the empty line before it too.
        if rest.is_empty() {
            break;
        }
        let head = rest.get(..rest.len().min(PART_HEADER_BYTES_MAX)).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', head) else {
            let long = rest.len() > PART_HEADER_BYTES_MAX;
            return Err(if long { MultipartError::TooLarge } else { MultipartError::Header });
        };
        used += end + 1;
        if used > PART_HEADER_BYTES_MAX {
            return Err(MultipartError::TooLarge);
        }
        let line = rest.get(..end).unwrap_or_default();
        rest = rest.get(end + 1..).unwrap_or_default();
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or(MultipartError::Header)?;
        if name.trim().eq_ignore_ascii_case("content-disposition") {
            named = disposition(value, &mut out);
        } else if name.trim().eq_ignore_ascii_case("content-type") {
            out.content_type = Some(shown(value));
        }
    }
    if !named {
        return Err(MultipartError::Header);
    }
    out.bytes = rest;
    Ok(out)
}

/// Takes name and file name; false when it is no form field.
fn disposition(value: &str, out: &mut Part<'_>) -> bool {
    let mut named = false;
    let mut extended = false;
    for (place, member) in split_parameters(value).enumerate() {
        if place == 0 {
            if !member.eq_ignore_ascii_case("form-data") {
                return false;
            }
            continue;
        }
        let Some((name, value)) = member.split_once('=') else { continue };
        let value = unquoted(value.trim());
        match name.trim().to_ascii_lowercase().as_str() {
            "name" => {
                out.name = shown(&value);
                named = true;
            }
            "filename" if !extended => out.filename = Some(base_name(&value)),
            "filename*" => {
                if let Some((_, encoded)) = value.split_once("''") {
                    let bytes = percent_decoded(encoded);
                    out.filename = Some(base_name(&String::from_utf8_lossy(&bytes)));
                    extended = true;
                }
            }
            _ => {}
        }
    }
    named
}

fn boundary(content_type: &str) -> Result<String, MultipartError> {
    let mut members = split_parameters(content_type);
    let media_type = members.next().unwrap_or_default();
    if !media_type.eq_ignore_ascii_case("multipart/form-data") {
        return Err(MultipartError::Type);
    }
    members
        .filter_map(|member| member.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))
        .map(|(_, value)| unquoted(value.trim()))
        .filter(|value| (1..=BOUNDARY_BYTES_MAX).contains(&value.len()))
        .ok_or(MultipartError::Boundary)
}

/// What stands between semicolons; those inside quotes do not count.
fn split_parameters(text: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let literal = std::mem::take(&mut escaped);
        match c {
            '\\' if quoted && !literal => escaped = true,
            '"' if !literal => quoted = !quoted,
            _ => {}
        }
        c == ';' && !quoted
    })
    .map(str::trim)
}

/// Without the quotes around it. Backslashes before other characters than quotes stay: old browsers send paths.
fn unquoted(value: &str) -> String {
    match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\\\"", "\"").replace("%22", "\""),
        None => value.to_owned(),
    }
}

fn base_name(path: &str) -> String {
    shown(path.rsplit(['/', '\\']).next().unwrap_or_default())
}

fn shown(text: &str) -> String {
    clean(text).trim().chars().take(PART_TEXT_CHARS_MAX).collect()
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let decoded = hex.filter(|_| byte == b'%').and_then(|two| u8::from_str_radix(two, 16).ok());
        out.push(decoded.unwrap_or(byte));
        rest = if decoded.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    out
}

#[cfg(test)]
mod tests;
