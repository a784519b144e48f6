//! Use cases: every feature of Actifix exists exactly once, here. Edges translate.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod accounts;
pub mod alerts;
pub mod app;
pub mod audit;
pub mod auth_log;
pub mod backup;
mod blocking;
pub mod care;
mod clock;
pub mod delivery;
pub mod diagnostics;
pub mod doctor;
pub mod error;
pub mod evidence;
pub mod factors;
mod figures;
pub mod hooks;
pub mod idempotency;
pub mod import;
pub mod incident;
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
pub mod releases;
pub mod retention;
pub mod review;
pub mod secrets;
pub mod security_txt;
pub mod sessions;
pub mod source_maps;
pub mod tickets;
pub mod tokens;
pub mod views;

pub use app::App;
