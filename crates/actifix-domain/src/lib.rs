//! The pure middle of Actifix: types, rules and state machines.
//!
//! Nothing here does I/O, awaits, reads a clock or draws a random number: time and ids are arguments.
//! Whoever reads this crate learns what an event, a ticket and a decision are without meeting SQL or HTTP.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod access;
pub mod alert;
pub mod approval;
pub mod audit;
pub mod bucket;
pub mod clock;
pub mod commit;
pub mod cron;
pub mod debug_id;
pub mod event;
pub mod fingerprint;
pub mod function_name;
pub mod glob;
pub mod id;
pub mod in_app;
pub mod lifecycle;
pub mod login;
pub mod matcher;
pub mod network;
pub mod outcome;
pub mod parameterize;
pub mod priority;
pub mod project;
pub mod release;
pub mod review;
pub mod sampling;
pub mod search;
pub mod sliding;
pub mod throttle;
pub mod ticket;
pub mod time;
pub mod title;
pub mod words;
