//! Every limit of the wire in one file (`ingest.md` §6).
//!
//! [`Limits`] holds what an operator may set; the constants are fixed, because no real client comes near them.

use serde::{Deserialize, Serialize};

/// One kibibyte.
pub const KIB: u64 = 1024;
/// One mebibyte.
pub const MIB: u64 = 1024 * KIB;

/// Longest `Content-Encoding` header that is read, in bytes.
pub const CONTENT_ENCODING_BYTES_MAX: usize = 256;
/// Most codings undone for one body (`identity` does not count).
pub const CODINGS_MAX: usize = 2;
/// Base 2 logarithm of the largest zstd window: 8 MiB, what RFC 8878 asks every decoder to support.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Compressed bytes handed to a decoder at a time.
pub const DECODE_CHUNK_BYTES: usize = 16 * 1024;
/// Compressed bytes looked at to tell zlib from raw deflate.
pub const DEFLATE_PROBE_BYTES: usize = 4 * 1024;

/// Longest DSN that is read, in bytes.
pub const DSN_BYTES_MAX: usize = 2048;
/// Longest `X-Sentry-Auth` or `Authorization` header that is read, in bytes.
pub const AUTH_HEADER_BYTES_MAX: usize = 4096;
/// Most members of an authentication header, and most pairs of a query string, that are read.
pub const AUTH_PAIRS_MAX: usize = 100;
/// Most keys that one request may present; more cannot all be needed.
pub const AUTH_KEYS_MAX: usize = 16;

/// Longest number, in bytes, kept as text when it fits no number type.
pub const JSON_NUMBER_TEXT_BYTES_MAX: usize = 256;
/// Nested containers kept of an envelope or item header; real ones have four.
pub const HEADER_DEPTH_MAX: usize = 10;
/// Most values (weighed, see [`crate::json::JsonLimits`]) of an envelope header. Real ones stay below 500.
pub const ENVELOPE_HEADER_VALUES_MAX: usize = 10_000;
/// Most values (weighed likewise) of an item header. There may be 500 of them, so this bounds what they cost in all
/// to 20 MiB; real ones stay below 50.
pub const ITEM_HEADER_VALUES_MAX: usize = 1000;
/// Longest item type that is kept of an unknown item, in characters.
pub const ITEM_TYPE_CHARS_MAX: usize = 64;
/// Bytes that the envelope framer buffers.
pub const FRAME_BUFFER_BYTES: usize = 32 * 1024;

/// Most parts of a multipart body.
pub const PARTS_MAX: usize = 500;
/// Most bytes of the headers of one part.
pub const PART_HEADER_BYTES_MAX: usize = 8 * 1024;
/// Longest multipart boundary in bytes (RFC 2046 allows 70; some clients use more).
pub const BOUNDARY_BYTES_MAX: usize = 200;
/// Longest part name, file name or content type that is kept, in characters.
pub const PART_TEXT_CHARS_MAX: usize = 256;

/// Limits that an operator may set. Sizes in bytes, unless the name says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// A request body as it arrives, still compressed.
    pub request_bytes_max: u64,
    /// A request body after decompression.
    pub decoded_bytes_max: u64,
    /// The header line of an envelope or of an item, without its newline.
    pub header_line_bytes_max: u64,
    /// Items in one envelope.
    pub items_max: u64,
    /// Nested containers in a JSON document; deeper ones become `"[truncated]"`.
    pub json_depth_max: u64,
    /// Nested containers at which the document is refused.
    pub json_depth_refused: u64,
    /// Values in one JSON document, weighed by the memory that they cost (about 40 bytes a unit).
    pub json_values_max: u64,
    /// An event, feedback, store or security body.
    pub event_bytes_max: u64,
    /// A container of logs, spans or metrics; also any kind without a limit of its own.
    pub container_bytes_max: u64,
    /// A check-in.
    pub check_in_bytes_max: u64,
    /// A client report.
    pub client_report_bytes_max: u64,
    /// One attachment.
    pub attachment_bytes_max: u64,
    /// All attachments of one envelope.
    pub attachments_bytes_max: u64,
    /// Time to read one request, in seconds.
    pub request_read_seconds_max: u64,
    /// Bytes of all requests in flight.
    pub inflight_bytes_max: u64,
    /// Time that a request waits for the budget above before 503, in milliseconds.
    pub inflight_wait_milliseconds_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes_max: 20 * MIB,
            decoded_bytes_max: 50 * MIB,
            header_line_bytes_max: 64 * KIB,
            items_max: 500,
            json_depth_max: 100,
            json_depth_refused: 10_000,
            json_values_max: 1_000_000,
            event_bytes_max: MIB,
            container_bytes_max: MIB,
            check_in_bytes_max: 100 * KIB,
            client_report_bytes_max: 4 * KIB,
            attachment_bytes_max: 10 * MIB,
            attachments_bytes_max: 25 * MIB,
            request_read_seconds_max: 30,
            inflight_bytes_max: 64 * MIB,
            inflight_wait_milliseconds_max: 1000,
        }
    }
}

/// Longest time that may be set for reading one request, seconds.
pub const READ_SECONDS_CEILING: u64 = 3_600;

impl Limits {
    /// Whether the limits can work together.
    ///
    /// # Errors
    /// A sentence that says which cannot.
    pub fn validate(&self) -> Result<(), &'static str> {
        let sizes = [
            self.request_bytes_max,
            self.decoded_bytes_max,
            self.header_line_bytes_max,
            self.items_max,
            self.json_depth_max,
            self.event_bytes_max,
            self.container_bytes_max,
            self.check_in_bytes_max,
            self.client_report_bytes_max,
            self.attachment_bytes_max,
            self.attachments_bytes_max,
        ];
        if sizes.contains(&0) {
            return Err("each size, number of items and depth must be at least 1");
        }
        if self.inflight_bytes_max < self.request_bytes_max {
            return Err("in_flight_bytes_max must have room for one request of compressed_bytes_max");
        }
        if !(1..=READ_SECONDS_CEILING).contains(&self.request_read_seconds_max) {
            return Err("request_read_seconds_max must be from 1 to 3600");
        }
        if self.json_depth_refused < self.json_depth_max {
            return Err("json_depth_refused must not be below json_depth_max");
        }
        Ok(())
    }

    /// The part of the limits that the JSON parser needs.
    pub fn json(&self) -> crate::json::JsonLimits {
        crate::json::JsonLimits {
            depth_max: to_usize(self.json_depth_max).min(JSON_DEPTH_CEILING),
            depth_refused: to_usize(self.json_depth_refused).min(JSON_SKIP_CEILING),
            values_max: to_usize(self.json_values_max),
        }
    }
}

/// Highest depth that may be configured to be kept: later stages walk values by recursion.
pub const JSON_DEPTH_CEILING: usize = 128;
/// Highest depth that may be configured to be skipped over (one byte of memory per level).
pub const JSON_SKIP_CEILING: usize = 1_000_000;

/// A limit as a length in memory; more than memory can hold means the largest length.
pub fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_fill_what_a_configuration_leaves_out_and_unknown_keys_are_errors() {
        let some: Limits = serde_json::from_str(r#"{"items_max":7}"#).unwrap();
        assert_eq!(some, Limits { items_max: 7, ..Limits::default() });
        assert!(serde_json::from_str::<Limits>(r#"{"item_max":7}"#).is_err());
    }

    #[test]
    fn a_configured_depth_cannot_reach_what_recursion_survives() {
        let wild = Limits { json_depth_max: u64::MAX, json_depth_refused: u64::MAX, ..Limits::default() };
        assert_eq!(wild.json().depth_max, JSON_DEPTH_CEILING);
        assert_eq!(wild.json().depth_refused, JSON_SKIP_CEILING);
    }
}
