//! Channels, rules and mutes: what people set of alerts.

mod endpoints;
mod input;
mod rules;

pub use endpoints::{AddEndpoint, EndpointView, NewEndpoint, Rotated, Tested, judge_endpoint};
pub use input::{ProjectRef, QuietInput, RuleInput};
pub use rules::{DryRun, RuleView};

pub(crate) use endpoints::Opened;

use crate::outbox::Routing;
use crate::ports::Courier;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::Notify;

/// State of alerts that use cases share.
#[derive(Default)]
pub(crate) struct AlertState {
    /// The way out, given once at the start.
    pub(crate) courier: OnceLock<Arc<dyn Courier>>,
    /// Wakes the outbox before its next look.
    pub(crate) wake: Notify,
    /// What rules remember; also keeps two from deciding at once.
    pub(crate) routing: tokio::sync::Mutex<Routing>,
    /// Channels as they were opened last, by id.
    pub(crate) opened: Mutex<HashMap<String, Arc<Opened>>>,
}
