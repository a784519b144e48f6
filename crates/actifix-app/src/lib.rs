//! Use cases: every feature of Actifix exists exactly once, here. Edges translate.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod accounts;
pub mod alerts;
pub mod app;
pub mod audit;
pub mod backup;
pub mod care;
pub mod delivery;
pub mod doctor;
pub mod error;
pub mod factors;
pub mod hooks;
pub mod idempotency;
pub mod import;
pub mod ingest;
pub mod integrity;
pub mod jws;
pub mod jwt;
pub mod limits;
pub mod live;
pub mod login;
pub mod monitors;
pub mod oidc;
pub mod outbox;
pub mod ports;
pub mod projects;
mod recall;
pub mod retention;
pub mod secrets;
pub mod sessions;
pub mod tickets;
pub mod tokens;
pub mod views;

pub use app::App;
