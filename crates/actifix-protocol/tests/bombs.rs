//! Decompression bombs cost neither memory nor time. Alone in its binary, so that the peak is its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "a test that looks at its own process")]

use std::io::Read as _;

use actifix_protocol::encoding::{DecodeError, decoder};
use actifix_protocol::envelope::{EnvelopeFault, EnvelopeReader};
use actifix_protocol::limits::Limits;

/// More than the cap; compressed in one stream.
const STREAM_BYTES: u64 = 60 << 20;
/// 200 MiB of zeros, as a chain of gzip members or zstd frames of 1 MiB each.
const CHAIN_LENGTH: usize = 200;
/// What a bomb may add to the peak (`security.md` §4).
const PEAK_GROWTH_KIB_MAX: u64 = 20 * 1024;

/// Highest resident memory of this process so far, in KiB; `None` where the system does not tell.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Forgets the peak of the preparations, so that only what follows counts.
fn reset_peak() {
    let _ = std::fs::OpenOptions::new()
        .write(true)
        .open("/proc/self/clear_refs")
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"5"));
}

/// An envelope whose one item is nothing but zeros.
fn bombs(item: &str) -> Vec<(&'static str, Vec<u8>)> {
    let head = format!("{{}}\n{{\"type\":\"{item}\"}}\n").into_bytes();
    let zeros = vec![0u8; 1 << 20];
    let gzip = |data: &[u8]| {
        let mut out = Vec::new();
        flate2::read::GzEncoder::new(data, flate2::Compression::fast()).read_to_end(&mut out).unwrap();
        out
    };
    let zst = |data: &[u8]| zstd::encode_all(data, 1).unwrap();
    let chain = |pack: &dyn Fn(&[u8]) -> Vec<u8>| [pack(&head), pack(&zeros).repeat(CHAIN_LENGTH)].concat();
    let mut stream = std::io::Cursor::new(head.clone()).chain(std::io::repeat(0).take(STREAM_BYTES));
    let mut br = Vec::new();
    let params = brotli::enc::BrotliEncoderParams { quality: 1, lgwin: 24, ..Default::default() };
    brotli::BrotliCompress(&mut stream, &mut br, &params).unwrap();
    vec![("gzip", chain(&gzip)), ("br", br), ("zstd", chain(&zst))]
}

#[test]
fn a_bomb_is_refused_before_it_is_in_memory() {
    let limits = Limits::default();
    for item in ["event", "attachment", "replay_video"] {
        for (encoding, body) in bombs(item) {
            reset_peak();
            let before = peak_kib();
            let reader = decoder(encoding, &body, &limits).unwrap();
            let reader = EnvelopeReader::open(reader, &limits).unwrap();
            let error = reader.read_items(|header| header.kind().want(&limits)).unwrap_err();
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
