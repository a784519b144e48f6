//! Decompression bombs cost neither memory nor time. Alone in its binary, so that the peak is its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Read as _;

use actifix_protocol::encoding::{DecodeError, decoder};
use actifix_protocol::envelope::{EnvelopeFault, read_envelope};
use actifix_protocol::limits::Limits;

const BOMB_BYTES: u64 = 200 << 20;
/// What a bomb may add to the peak (`security.md` §4).
const PEAK_GROWTH_KIB_MAX: u64 = 20 * 1024;

/// Highest resident memory of this process so far, in KiB; `None` where the system does not tell.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// An envelope whose one event, or one attachment, is 200 MiB of zeros.
fn bombs(item: &str) -> Vec<(&'static str, Vec<u8>)> {
    let head = format!("{{}}\n{{\"type\":\"{item}\"}}\n").into_bytes();
    let content = || std::io::Cursor::new(head.clone()).chain(std::io::repeat(0).take(BOMB_BYTES));
    let mut gzip = Vec::new();
    flate2::read::GzEncoder::new(content(), flate2::Compression::fast()).read_to_end(&mut gzip).unwrap();
    let mut br = Vec::new();
    let params = brotli::enc::BrotliEncoderParams { quality: 2, lgwin: 24, ..Default::default() };
    brotli::BrotliCompress(&mut content(), &mut br, &params).unwrap();
    vec![("gzip", gzip), ("br", br), ("zstd", zstd::encode_all(content(), 1).unwrap())]
}

#[test]
fn a_bomb_is_refused_before_it_is_in_memory() {
    let limits = Limits::default();
    for item in ["event", "attachment", "replay_video"] {
        for (encoding, body) in bombs(item) {
            let before = peak_kib();
            let reader = decoder(encoding, &body, &limits).unwrap();
            let error = read_envelope(reader, &limits, |header| header.kind().want(&limits)).unwrap_err();
            let want = match item {
                "event" => EnvelopeFault::EventTooLarge,
                _ => EnvelopeFault::Decode(DecodeError::TooLarge),
            };
            assert_eq!(error.fault, want, "{item} {encoding}");
            if let (Some(before), Some(after)) = (before, peak_kib()) {
                assert!(after - before < PEAK_GROWTH_KIB_MAX, "{item} {encoding}: {} KiB", after - before);
            }
        }
    }
}
