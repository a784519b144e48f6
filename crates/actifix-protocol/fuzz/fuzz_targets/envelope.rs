//! Any bytes as an envelope: no panic, nothing over its limit is kept, and a fault has a status of its own.
#![no_main]

use actifix_protocol::envelope::{EnvelopeError, EnvelopeReader};
use actifix_protocol::json;
use actifix_protocol::limits::Limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = Limits { event_bytes_max: 512, attachments_bytes_max: 1024, items_max: 20, ..Limits::default() };
    let read = EnvelopeReader::open(data, &limits)
        .map_err(EnvelopeError::from)
        .and_then(|reader| reader.read_items(|header| header.kind().want(&limits)));
    let envelope = match read {
        Ok(envelope) => envelope,
        Err(error) => {
            assert!(matches!(error.fault.status(), 400 | 413));
            *error.partial
        }
    };
    let mut attached = 0u64;
    for item in &envelope.items {
        let bytes = item.payload.len() as u64;
        assert!(bytes <= item.header.kind().bytes_max(&limits));
        if item.header.item_type == "attachment" {
            attached += bytes;
        }
        let _ = json::parse(&item.payload, &limits.json());
    }
    assert!(attached <= limits.attachments_bytes_max);
    assert!((envelope.items.len() + envelope.dropped.len()) as u64 <= limits.items_max);
});
