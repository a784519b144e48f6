//! The wire: other people's shapes in, plain data out.
//!
//! Everything here reads hostile bytes. So it is pure (no I/O, async, clock or randomness), every loop and buffer
//! has a bound in [`limits`] or beside its code, and nothing panics on any input. What comes out of [`json`] has no
//! control, escape or invisible characters left, so that redaction sees what a reader would see.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod answer;
pub mod applecrash;
pub mod artifacts;
pub mod auth;
pub mod dsn;
pub mod encoding;
pub mod envelope;
pub mod event;
pub mod items;
pub mod json;
pub mod legacy;
pub mod limits;
pub mod logs;
pub mod minidump;
pub mod multipart;
pub mod otlp;
pub mod security;
pub mod sourcemap;
pub mod stacktext;
pub mod when;
