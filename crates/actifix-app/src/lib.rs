//! Use cases: every feature of Actifix exists exactly once, here. Edges translate.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod accounts;
pub mod app;
pub mod audit;
pub mod care;
pub mod doctor;
pub mod error;
pub mod factors;
pub mod idempotency;
pub mod ingest;
pub mod jws;
pub mod jwt;
pub mod limits;
pub mod login;
pub mod monitors;
pub mod oidc;
pub mod ports;
pub mod projects;
mod recall;
pub mod secrets;
pub mod sessions;
pub mod tickets;
pub mod tokens;

pub use app::App;
