//! Where the map of a script is: what its manifest or its last lines say.

use super::absurd;
use crate::sourcemap::MapError;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::memmem;

/// Lines of a script that are looked at, from the last one: the comment stands at the end, in some builds followed by
/// others.
const LINES_MAX: usize = 20;
/// How an address begins that is the map itself.
const DATA: &str = "data:";
/// How a comment begins that names a map.
const COMMENTS: [&[u8]; 2] = [b"//# sourceMappingURL=", b"//@ sourceMappingURL="];
/// Base64 with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where the map of a script is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapReference {
    /// In the script itself.
    Inline,
    /// At an address, relative to that of the script.
    At(String),
}

impl MapReference {
    /// Reads a reference; none where it is not one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.starts_with(DATA) {
            return Some(Self::Inline);
        }
        let usable = !text.is_empty() && !text.contains(char::is_whitespace) && !absurd(text);
        usable.then(|| Self::At(text.to_owned()))
    }

    /// The reference in a script's last lines, for bundles whose manifest lists none.
    pub fn in_script(script: &[u8]) -> Option<Self> {
        let address = address_in(script)?;
        if address.starts_with(DATA.as_bytes()) {
            return Some(Self::Inline);
        }
        std::str::from_utf8(address).ok().and_then(Self::parse)
    }
}

/// The map that stands in a script itself.
///
/// # Errors
/// [`MapError::Inline`] where there is none, or none that can be read.
pub fn inline_map(script: &[u8]) -> Result<Vec<u8>, MapError> {
    let address = address_in(script).and_then(|address| address.strip_prefix(DATA.as_bytes()));
    let address = address.ok_or(MapError::Inline)?;
    let comma = memchr::memchr(b',', address).ok_or(MapError::Inline)?;
    let (kind, data) = address.split_at_checked(comma).ok_or(MapError::Inline)?;
    if memmem::find(kind, b";base64").is_none() {
        return Err(MapError::Inline);
    }
    BASE64.decode(data.get(1..).unwrap_or_default()).map_err(|_| MapError::Inline)
}

/// The address in the last comment that names a map.
fn address_in(script: &[u8]) -> Option<&[u8]> {
    script.rsplit(|byte| *byte == b'\n').take(LINES_MAX).find_map(|line| {
        let line = line.trim_ascii();
        COMMENTS.iter().find_map(|comment| line.strip_prefix(*comment)).map(<[u8]>::trim_ascii)
    })
}

/// The URL of a script's map: its reference, resolved against the script's own URL (which may begin with `~`).
pub fn map_url(script: &str, reference: &str) -> String {
    let is_whole = reference.contains("://") || reference.starts_with("~/");
    if is_whole {
        return reference.to_owned();
    }
    let root_end = match script.find("://") {
        Some(scheme) => script
            .get(scheme + 3..)
            .and_then(|rest| rest.find('/'))
            .map_or(script.len(), |at| scheme + 3 + at),
        None => script.find('/').unwrap_or(0),
    };
    let (root, path) = script.split_at_checked(root_end).unwrap_or(("", script));
    let mut parts: Vec<&str> = if reference.starts_with('/') {
        Vec::new()
    } else {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        folder.split('/').filter(|part| !part.is_empty()).collect()
    };
    for part in reference.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    format!("{root}/{}", parts.join("/"))
}
