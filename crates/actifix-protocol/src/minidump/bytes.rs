//! Checked reads from a dump.

use super::read::{MAGIC_BYTES, has_magic};
use super::{MinidumpError, NAME_UNITS_MAX};
use crate::json::clean;
use std::io::Read;

/// Bytes of a dump and their order.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a> {
    pub(super) all: &'a [u8],
    pub(super) big_endian: bool,
}

impl<'a> Bytes<'a> {
    /// `len` bytes from `at` on, if they exist.
    pub(super) fn part(self, at: usize, len: usize) -> Option<&'a [u8]> {
        self.all.get(at..at.checked_add(len)?)
    }

    fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        let mut bytes: [u8; N] = self.part(at, N)?.try_into().ok()?;
        if self.big_endian {
            bytes.reverse();
        }
        Some(bytes)
    }

    pub(super) fn u16(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub(super) fn u32(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    pub(super) fn u64(self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    /// A 32-bit number used as offset or count.
    pub(super) fn size(self, at: usize) -> Option<usize> {
        self.u32(at).and_then(|number| usize::try_from(number).ok())
    }

    /// A text with its length in bytes before it, in UTF-16; at most [`NAME_UNITS_MAX`] units, cleaned.
    pub(super) fn string(self, at: usize) -> Option<String> {
        if at == 0 {
            return None;
        }
        let units = (self.size(at)? / 2).min(NAME_UNITS_MAX);
        let start = at.checked_add(4)?;
        let units = (0..units).map_while(|n| self.u16(start.checked_add(n * 2)?));
        let text: String = char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect();
        let text = clean(&text);
        (!text.is_empty()).then(|| text.into_owned())
    }
}

/// Undoes gzip, with a bound. What does not begin like a dump is not unpacked any further.
pub(super) fn unpack(packed: impl Read, bytes_max: u64) -> Result<Vec<u8>, MinidumpError> {
    let mut reader = flate2::read::MultiGzDecoder::new(packed).take(bytes_max.saturating_add(1));
    let mut out = vec![0; MAGIC_BYTES];
    reader.read_exact(&mut out).map_err(|_| MinidumpError::Packed)?;
    if !has_magic(&out) {
        return Err(MinidumpError::Magic);
    }
    reader.read_to_end(&mut out).map_err(|_| MinidumpError::Packed)?;
    if out.len() as u64 > bytes_max {
        return Err(MinidumpError::Packed);
    }
    Ok(out)
}

/// The first bytes of what is packed.
pub(super) fn first_unpacked(bytes: &[u8]) -> Option<[u8; MAGIC_BYTES]> {
    let mut first = [0; MAGIC_BYTES];
    flate2::read::MultiGzDecoder::new(bytes).read_exact(&mut first).ok()?;
    Some(first)
}
