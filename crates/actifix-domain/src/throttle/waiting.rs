//! Why new tickets of a priority are held at a moment, and what ends that: one answer for every face.

use super::{Brake, HoldReason, PriorityUse, ThrottleView};
use crate::ticket::Priority;
use crate::time::{DAY, SECOND};
use crate::words::{grouped, plural};
use serde::{Deserialize, Serialize};

/// What holds the tickets of one priority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The priority.
    pub priority: Priority,
    /// The guard that holds them.
    pub reason: HoldReason,
    /// The same in words, with the figures that it goes by.
    pub why: String,
    /// What lets them in.
    pub until: String,
}

impl ThrottleView {
    /// What holds tickets of `priority`; none where they are let in at once.
    pub fn waiting_of(&self, priority: Priority) -> Option<Waiting> {
        if !self.enabled {
            return None;
        }
        let (reason, why, until) = match self.brake {
            Brake::Hard => self.by_brake(HoldReason::BrakeHard),
            Brake::Soft if Brake::Soft.holds(priority) => self.by_brake(HoldReason::BrakeSoft),
            Brake::Soft | Brake::Off => {
                by_budget(self.priorities.iter().find(|of| of.priority == priority)?)?
            }
        };
        Some(Waiting { priority, reason, why, until })
    }

    fn by_brake(&self, reason: HoldReason) -> (HoldReason, String, String) {
        let (threshold, whom) = match reason {
            HoldReason::BrakeHard => {
                (self.brake_hard_new_per_minute, "tickets of every priority, P0 and P1 too")
            }
            _ => (self.brake_new_per_minute, "those of P2 to P4"),
        };
        let why = format!(
            "the brake is on: more than {} new tickets in a minute hold {whom}",
            grouped(threshold.into())
        );
        let half = grouped(threshold.div_ceil(2).into());
        (reason, why, format!("when fewer than {half} new tickets a minute came for a whole minute"))
    }
}

fn by_budget(of: &PriorityUse) -> Option<(HoldReason, String, String)> {
    if of.used < of.limit {
        return None;
    }
    let tickets = plural(of.limit.into(), "ticket", "tickets");
    let why =
        format!("the budget of new {} tickets is used up: {tickets} in {}", of.priority.as_str(), window(of));
    let until = match of.frees_at {
        Some(at) => format!("when the budget frees, {} UTC", at.to_string().get(..16)?.replace('T', " ")),
        None => "never by itself: the limit is 0".to_owned(),
    };
    Some((HoldReason::PriorityLimit, why, until))
}

fn window(of: &PriorityUse) -> String {
    let hours = u64::from(of.window_seconds) / 3_600;
    if i64::from(of.window_seconds) * SECOND == DAY {
        return "a day".to_owned();
    }
    if hours == 1 { "an hour".to_owned() } else { plural(hours, "hour", "hours") }
}
