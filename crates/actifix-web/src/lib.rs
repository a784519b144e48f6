//! The HTTP faces: ingest, API, metrics. Translation only; every decision is made in `actifix-app`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod server;
