//! The ingest pipeline.

mod redacted;

pub use redacted::Redacted;
