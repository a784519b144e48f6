//! The HTTP faces: ingest, API, pages, health, metrics. Translation only; every decision is made in `actifix-app`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod api;
pub mod client;
mod contact;
pub mod cookies;
pub mod cors;
pub mod dashboard;
pub mod extract;
pub mod health;
pub mod hooks;
pub mod ingest;
pub mod layers;
pub mod limits;
mod misfit;
pub mod problem;
pub mod router;
pub mod sentry_api;
pub mod server;
pub mod tls;

pub use router::{Edge, Module, router};
