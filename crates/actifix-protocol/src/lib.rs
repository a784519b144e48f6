//! Other people's wire shapes, read leniently and within bounds, and turned into ours.
//!
//! Pure: no I/O, no clock, no random source; hostile bytes in, domain types out.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod event;
pub mod items;
pub mod minidump;
pub mod security;
pub mod when;
