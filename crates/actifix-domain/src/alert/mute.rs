//! Silence about one ticket.

use super::{Signal, Trigger};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Nothing is said about a ticket until one of these comes true. Without any it is muted for good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mute {
    /// Until then.
    pub until: Option<Timestamp>,
    /// Until the ticket has so many events.
    pub until_count: Option<u64>,
    /// Until it comes back after being resolved.
    pub until_regression: bool,
}

impl Mute {
    /// Whether it still holds for this signal about the ticket.
    pub fn holds(&self, signal: &Signal, now: Timestamp) -> bool {
        let ended = self.until.is_some_and(|until| now >= until)
            || self.until_count.is_some_and(|count| signal.count >= count)
            || (self.until_regression && signal.trigger == Trigger::Regressed);
        !ended
    }
}
