//! Use cases: every feature of Actifix exists exactly once, here. Edges translate.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod error;
pub mod ingest;
pub mod ports;
