//! Use cases: every feature of Actifix exists exactly once, here. Edges translate.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod app;
pub mod care;
pub mod doctor;
pub mod error;
pub mod idempotency;
pub mod ingest;
pub mod limits;
pub mod monitors;
pub mod ports;
pub mod projects;
pub mod tickets;
pub mod tokens;

pub use app::App;
