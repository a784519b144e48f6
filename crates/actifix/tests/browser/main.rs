//! The dashboard in a real browser: Debian's Chromium, steered by chromedriver, against the real binary.
//!
//! A binary of its own, so that the runner can keep the number of browsers small (`.config/nextest.toml`). A page that is
//! added gets its line in `walk.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests fail by panicking and are clients: files, processes and sockets are theirs"
)]

mod actions;
#[allow(dead_code, reason = "shared with the tests of the program from outside, which need more of it")]
#[path = "../it/authority.rs"]
mod authority;
mod drives;
#[allow(dead_code, reason = "shared with the tests of the program from outside, which need more of it")]
#[path = "../it/harness.rs"]
mod harness;
mod hostile;
#[allow(dead_code, reason = "shared with the tests of the program from outside, which need more of it")]
#[path = "../it/http.rs"]
mod http;
mod keyboard;
mod live;
#[allow(dead_code, reason = "shared with the tests of the program from outside, which need more of it")]
#[path = "../it/people.rs"]
mod people;
mod signing_in;
#[allow(dead_code, reason = "shared with the tests of the program from outside, which need more of it")]
#[path = "../it/sink.rs"]
mod sink;
mod stage;
mod system;
mod visitor;
mod walk;
#[allow(dead_code, reason = "shared with xtask, which takes pictures with it")]
mod webdriver;
