//! Any bytes under any coding: no panic, and never more output than the cap.
#![no_main]

use actifix_protocol::encoding::decoder;
use actifix_protocol::legacy::store_body;
use actifix_protocol::limits::Limits;
use actifix_protocol::multipart;
use libfuzzer_sys::fuzz_target;

const CODINGS: [&str; 8] = ["", "gzip", "deflate", "br", "zstd", "gzip, br", "deflate, zstd", "br, deflate"];

fuzz_target!(|data: &[u8]| {
    let limits = Limits { decoded_bytes_max: 100_000, event_bytes_max: 50_000, ..Limits::default() };
    let Some((&first, body)) = data.split_first() else { return };
    let coding = CODINGS[usize::from(first) % CODINGS.len()];
    let Ok(reader) = decoder(coding, body, &limits) else { return };
    let Ok(out) = reader.read_all(u64::MAX) else { return };
    assert!(out.len() <= 100_000);
    if let Ok(event) = store_body(&out, &limits) {
        assert!(event.len() <= 50_000);
    }
    let _ = multipart::parse("multipart/form-data; boundary=xyz", &out);
});
