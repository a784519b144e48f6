//! Bodies of events: JSON, compressed with a dictionary that both sides know.
//!
//! Compression runs in the task that brings the event, not on the writer, so that the writer only moves bytes.
//! A dictionary is a file `dict/NNN.zdict`, made by the testkit's trainer from normalised fixtures; a body names the
//! version that it needs, so that a new one never touches old rows. Version 0 is none.

use crate::fault::{Fault, Result};
use actifix_domain::event::{Event, Provenance};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::cell::RefCell;
use std::io::Read;
use std::sync::OnceLock;
use zstd::bulk::Compressor;
use zstd::dict::EncoderDictionary;

/// Strength of compression.
const LEVEL: i32 = 3;
/// Longest body in clear, bytes; the pipeline's limits keep events far below it.
pub(crate) const CLEAR_BYTES_MAX: u64 = 16 << 20;
/// Dictionaries by version, from 1. Old ones stay for ever: rows need them.
const DICTIONARIES: &[&[u8]] = &[include_bytes!("../../dict/001.zdict")];

/// A compressed body.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    /// Version of the dictionary; 0 is none.
    pub(crate) dict: u32,
    /// Compressed bytes.
    pub(crate) data: Vec<u8>,
}

/// What is inside a body: the event and what we know of it.
#[derive(Serialize)]
struct Sheet<'a> {
    event: &'a Event,
    provenance: &'a Provenance,
    redactions: &'a [(String, String)],
}

/// A body that was read.
#[derive(Deserialize)]
pub(crate) struct Opened {
    /// The event as JSON text.
    pub(crate) event: Box<RawValue>,
    /// How it came in.
    pub(crate) provenance: Provenance,
    /// Rule and path of each secret taken out.
    pub(crate) redactions: Vec<(String, String)>,
}

/// Buffers larger than this are given back after use, bytes.
const SCRATCH_BYTES_MAX: usize = 1 << 20;

thread_local! {
    static PRESS: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    /// What is written anew for every body: its clear form, and room for the compressed one.
    static SCRATCH: RefCell<[Vec<u8>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

fn newest() -> Option<(u32, &'static EncoderDictionary<'static>)> {
    static NEWEST: OnceLock<EncoderDictionary<'static>> = OnceLock::new();
    let bytes = DICTIONARIES.last().filter(|bytes| !bytes.is_empty())?;
    let version = u32::try_from(DICTIONARIES.len()).ok()?;
    Some((version, NEWEST.get_or_init(|| EncoderDictionary::copy(bytes, LEVEL))))
}

/// Serialises and compresses an event.
pub(crate) fn close(event: &Event, provenance: &Provenance, redactions: &[(String, String)]) -> Result<Body> {
    SCRATCH.with_borrow_mut(|[clear, out]| {
        clear.clear();
        serde_json::to_writer(&mut *clear, &Sheet { event, provenance, redactions })?;
        let body = compress_in(clear, out);
        for buffer in [clear, out] {
            if buffer.capacity() > SCRATCH_BYTES_MAX {
                *buffer = Vec::new();
            }
        }
        body
    })
}

/// Compresses bytes of any kind.
pub(crate) fn compress(clear: &[u8]) -> Result<Body> {
    compress_in(clear, &mut Vec::new())
}

/// Compresses with room that may be used again; what is returned is as long as it must be.
fn compress_in(clear: &[u8], out: &mut Vec<u8>) -> Result<Body> {
    let failed = |error: std::io::Error| Fault::Defect(format!("compression: {error}"));
    let dictionary = newest();
    let data = PRESS.with_borrow_mut(|slot| -> std::io::Result<Vec<u8>> {
        let press = match slot {
            Some(press) => press,
            None => {
                let mut press = match dictionary {
                    Some((_, dictionary)) => Compressor::with_prepared_dictionary(dictionary)?,
                    None => Compressor::new(LEVEL)?,
                };
                // Four bytes per body, so that one that changed on the disk does not open.
                press.include_checksum(true)?;
                slot.insert(press)
            }
        };
        out.clear();
        out.reserve(zstd::zstd_safe::compress_bound(clear.len()));
        press.compress_to_buffer(clear, out)?;
        Ok(out.as_slice().to_vec())
    });
    Ok(Body { dict: dictionary.map_or(0, |(version, _)| version), data: data.map_err(failed)? })
}

/// Reverse of [`compress`], bounded.
pub(crate) fn decompress(dict: u32, data: &[u8]) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Fault::Defect(format!("decompression: {error}"));
    let dictionary: &[u8] = match dict.checked_sub(1) {
        None => &[],
        Some(place) => {
            usize::try_from(place).ok().and_then(|place| DICTIONARIES.get(place)).copied().ok_or_else(
                || Fault::Defect(format!("body needs dictionary {dict}, which this version lacks")),
            )?
        }
    };
    let mut clear = Vec::new();
    let reader = zstd::stream::read::Decoder::with_dictionary(data, dictionary).map_err(failed)?;
    reader.take(CLEAR_BYTES_MAX).read_to_end(&mut clear).map_err(failed)?;
    Ok(clear)
}

/// Reads a body.
pub(crate) fn open(dict: u32, data: &[u8]) -> Result<Opened> {
    Ok(serde_json::from_slice(&decompress(dict, data)?)?)
}

/// Makes a dictionary from JSON texts of events, for a new file `dict/NNN.zdict`. The samples must hold no secrets:
/// parts of them become part of every installation.
///
/// # Errors
/// When there are too few samples.
pub fn train_dictionary(samples: &[Vec<u8>], bytes_max: usize) -> std::io::Result<Vec<u8>> {
    zstd::dict::from_samples(samples, bytes_max)
}
