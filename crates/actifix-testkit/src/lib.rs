//! For tests only: a clock that is set, ids that are counted, builders of events, and the contract that every store
//! must keep. Never in a release build.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "tests spawn and await their own tasks")]

mod clock;
mod fixtures;
mod ids;
mod settings;
mod vault;

pub mod contract;
pub mod corpus;

pub use clock::FakeClock;
pub use fixtures::{EventBuilder, NOW, act, finding, submission};
pub use ids::OrderedIds;
pub use settings::settings;
pub use vault::OpenVault;
