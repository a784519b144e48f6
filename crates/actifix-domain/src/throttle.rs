//! Throttle of new tickets, per project (`product.md`, Throttle). Events of known tickets never meet it.
//!
//! Two guards: a budget per priority in a sliding window, and an emergency brake on the rate of all new tickets.
//! What they refuse becomes `held`, never lost. The state is plain bounded data that its caller stores; time comes
//! in as an argument, and a clock that was set back neither sticks a brake nor makes the state grow.

mod brake;
mod waiting;

pub use waiting::Waiting;

use crate::ticket::Priority;
use crate::time::{DAY, HOUR, MINUTE, Timestamp};
use brake::BrakeState;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Largest limit of a priority window; also the bound of what one window remembers.
pub const WINDOW_MAX: u32 = 10_000;
/// Largest threshold of the brake, in new tickets per minute.
pub const BRAKE_MAX: u32 = 1_000_000;
/// Largest cap of held fingerprints per project.
pub const HELD_MAX: u32 = 100_000;
/// Steps back of the clock up to this are jitter between threads; longer ones mean that the clock was set.
const JITTER_MAX_MICROS: i64 = MINUTE;

/// Settings of the throttle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThrottleConfig {
    /// Off admits every new ticket and counts nothing.
    pub enabled: bool,
    /// New P2 tickets in any hour; 0 holds all.
    pub p2_per_hour: u32,
    /// New P3 tickets in any 4 hours; 0 holds all.
    pub p3_per_4_hours: u32,
    /// New P4 tickets in any 24 hours; 0 holds all.
    pub p4_per_day: u32,
    /// More new tickets than this in a minute hold P2 to P4.
    pub brake_new_per_minute: u32,
    /// More new tickets than this in a minute hold P0 and P1 too.
    pub brake_hard_new_per_minute: u32,
    /// Held fingerprints per project; beyond it only counters move.
    pub held_max: u32,
}

impl Default for ThrottleConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            p2_per_hour: 15,
            p3_per_4_hours: 5,
            p4_per_day: 2,
            brake_new_per_minute: 200,
            brake_hard_new_per_minute: 1_000,
            held_max: 10_000,
        }
    }
}

impl ThrottleConfig {
    /// Whether all settings are within their bounds.
    ///
    /// # Errors
    /// A sentence that names the first setting that is not.
    pub fn validate(&self) -> Result<(), String> {
        for (name, value, min, max) in [
            ("p2_per_hour", self.p2_per_hour, 0, WINDOW_MAX),
            ("p3_per_4_hours", self.p3_per_4_hours, 0, WINDOW_MAX),
            ("p4_per_day", self.p4_per_day, 0, WINDOW_MAX),
            ("brake_new_per_minute", self.brake_new_per_minute, 1, BRAKE_MAX),
            ("brake_hard_new_per_minute", self.brake_hard_new_per_minute, 1, BRAKE_MAX),
            ("held_max", self.held_max, 1, HELD_MAX),
        ] {
            if !(min..=max).contains(&value) {
                return Err(format!("throttle.{name} is {value}; it must be from {min} to {max}"));
            }
        }
        if self.brake_hard_new_per_minute < self.brake_new_per_minute {
            return Err(format!(
                "throttle.brake_hard_new_per_minute is {}, below brake_new_per_minute ({})",
                self.brake_hard_new_per_minute, self.brake_new_per_minute
            ));
        }
        Ok(())
    }

    /// Limit and window in microseconds of a priority; none for P0 and P1, which have no budget.
    pub fn budget(&self, priority: Priority) -> Option<(u32, i64)> {
        let (limit, window) = match priority {
            Priority::P0 | Priority::P1 => return None,
            Priority::P2 => (self.p2_per_hour, HOUR),
            Priority::P3 => (self.p3_per_4_hours, 4 * HOUR),
            Priority::P4 => (self.p4_per_day, DAY),
        };
        Some((limit.min(WINDOW_MAX), window))
    }
}

/// Level of the emergency brake. Ordered: `Off < Soft < Hard`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Brake {
    /// New tickets pass, within the budgets.
    #[default]
    Off,
    /// P2 to P4 are held.
    Soft,
    /// All new tickets are held.
    Hard,
}

impl Brake {
    /// The word used in JSON, metrics and on the terminal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Soft => "soft",
            Self::Hard => "hard",
        }
    }

    /// Whether this level holds new tickets of `priority`.
    pub fn holds(self, priority: Priority) -> bool {
        match self {
            Self::Off => false,
            Self::Soft => priority > Priority::P1,
            Self::Hard => true,
        }
    }
}

/// The brake went from one level to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrakeChange {
    /// Level before.
    pub from: Brake,
    /// Level from now on.
    pub to: Brake,
    /// When.
    pub at: Timestamp,
}

/// Why a new ticket was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// The budget of its priority is used up.
    PriorityLimit,
    /// Too many new tickets in the last minute.
    BrakeSoft,
    /// So many that P0 and P1 wait too.
    BrakeHard,
}

impl HoldReason {
    /// The word used in JSON, SQL and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PriorityLimit => "priority_limit",
            Self::BrakeSoft => "brake_soft",
            Self::BrakeHard => "brake_hard",
        }
    }
}

/// What is decided about one would-be new ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// It is opened; otherwise it is held.
    pub admitted: bool,
    /// Why it is held.
    pub reason: Option<HoldReason>,
    /// The brake changed because of it, or because of the time that went by.
    pub brake_change: Option<BrakeChange>,
}

/// Memory of the throttle of one project. Bounded: at most [`WINDOW_MAX`] times per window and 60 counters.
///
/// The default is a fresh one. It can be stored as JSON; one that was damaged in storage heals itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThrottleState {
    latest: Timestamp,
    p2: VecDeque<Timestamp>,
    p3: VecDeque<Timestamp>,
    p4: VecDeque<Timestamp>,
    brake: BrakeState,
}

impl ThrottleState {
    /// Decides about one would-be new ticket and remembers it. Call it exactly once for each, held ones included:
    /// those count in the rate that the brake watches, but use no budget.
    pub fn decide(&mut self, config: &ThrottleConfig, priority: Priority, now: Timestamp) -> Decision {
        self.judge(config, priority, now, true)
    }

    /// As [`Self::decide`], for an error that was refused, is no ticket for want of room, and comes again within the
    /// minute: it may find budget by now, but is not one more new error, so the brake's rate does not count it.
    pub fn decide_again(&mut self, config: &ThrottleConfig, priority: Priority, now: Timestamp) -> Decision {
        self.judge(config, priority, now, false)
    }

    fn judge(
        &mut self,
        config: &ThrottleConfig,
        priority: Priority,
        now: Timestamp,
        is_new: bool,
    ) -> Decision {
        let now = self.settle(now);
        let before = self.brake.level();
        if !config.enabled {
            self.brake.reset();
            return Decision { admitted: true, reason: None, brake_change: change(before, Brake::Off, now) };
        }
        self.brake.advance(config, now);
        if is_new {
            self.brake.count(config, now);
        }
        let brake_change = change(before, self.brake.level(), now);
        let reason = match self.brake.level() {
            Brake::Hard => Some(HoldReason::BrakeHard),
            Brake::Soft if Brake::Soft.holds(priority) => Some(HoldReason::BrakeSoft),
            Brake::Soft | Brake::Off => {
                (!self.take_budget(config, priority, now)).then_some(HoldReason::PriorityLimit)
            }
        };
        Decision { admitted: reason.is_none(), reason, brake_change }
    }

    /// Lets time go by: releases the brake once the rate was below half of its threshold for a whole minute.
    /// Call it about once a second while the brake is on; it may be called at any time.
    pub fn tick(&mut self, config: &ThrottleConfig, now: Timestamp) -> Option<BrakeChange> {
        let now = self.settle(now);
        let before = self.brake.level();
        if config.enabled {
            self.brake.advance(config, now);
        } else {
            self.brake.reset();
        }
        change(before, self.brake.level(), now)
    }

    /// How many held tickets of `priority` could be promoted at `now`: what is left of its budget, 0 while the brake
    /// holds this priority, `u32::MAX` where there is no budget.
    pub fn free_budget(&self, config: &ThrottleConfig, priority: Priority, now: Timestamp) -> u32 {
        if !config.enabled {
            return u32::MAX;
        }
        let now = self.effective(now);
        if self.brake.level_at(config, now).holds(priority) {
            return 0;
        }
        match (config.budget(priority), self.window(priority)) {
            (Some((limit, span)), Some(window)) => limit.saturating_sub(used(window, span, now)),
            _ => u32::MAX,
        }
    }

    /// Takes budget for the promotion of one held ticket; false leaves everything as it is. A promotion uses the same
    /// budget as a new ticket and is none itself, so the brake's rate does not count it.
    pub fn take_promotion(&mut self, config: &ThrottleConfig, priority: Priority, now: Timestamp) -> bool {
        if !config.enabled {
            return true;
        }
        let now = self.settle(now);
        !self.brake.level_at(config, now).holds(priority) && self.take_budget(config, priority, now)
    }

    /// Forgets all windows and the rate, and releases the brake (`throttle reset`).
    pub fn reset(&mut self, now: Timestamp) -> Option<BrakeChange> {
        let before = self.brake.level();
        *self = Self { latest: now, ..Self::default() };
        change(before, Brake::Off, now)
    }

    /// What people are shown, as it is at `now`.
    pub fn view(&self, config: &ThrottleConfig, now: Timestamp) -> ThrottleView {
        let now = self.effective(now);
        let mut brake = self.brake.clone();
        brake.advance(config, now);
        let level = if config.enabled { brake.level() } else { Brake::Off };
        let priorities = [Priority::P2, Priority::P3, Priority::P4]
            .into_iter()
            .filter_map(|priority| {
                let (limit, span) = config.budget(priority)?;
                let window = self.window(priority)?;
                Some(PriorityUse {
                    priority,
                    used: used(window, span, now),
                    limit,
                    window_seconds: u32::try_from(span / crate::time::SECOND).unwrap_or(u32::MAX),
                    frees_at: frees_at(window, limit, span, now),
                })
            })
            .collect();
        let mut view = ThrottleView {
            enabled: config.enabled,
            brake: level,
            brake_since: (level > Brake::Off).then(|| brake.since()).flatten(),
            new_last_minute: brake.rate(),
            brake_new_per_minute: config.brake_new_per_minute,
            brake_hard_new_per_minute: config.brake_hard_new_per_minute,
            priorities,
            waiting: Vec::new(),
        };
        view.waiting = Priority::ALL.into_iter().filter_map(|priority| view.waiting_of(priority)).collect();
        view
    }

    fn window(&self, priority: Priority) -> Option<&VecDeque<Timestamp>> {
        match priority {
            Priority::P0 | Priority::P1 => None,
            Priority::P2 => Some(&self.p2),
            Priority::P3 => Some(&self.p3),
            Priority::P4 => Some(&self.p4),
        }
    }

    fn take_budget(&mut self, config: &ThrottleConfig, priority: Priority, now: Timestamp) -> bool {
        let Some((limit, span)) = config.budget(priority) else { return true };
        let window = match priority {
            Priority::P0 | Priority::P1 => return true,
            Priority::P2 => &mut self.p2,
            Priority::P3 => &mut self.p3,
            Priority::P4 => &mut self.p4,
        };
        while window.front().is_some_and(|at| now.since(*at) >= span) {
            window.pop_front();
        }
        if window.len() >= limit as usize {
            return false;
        }
        window.push_back(now);
        true
    }

    /// The time to reckon with: never before the latest one, unless the clock was set back.
    fn effective(&self, now: Timestamp) -> Timestamp {
        let back = self.latest.since(now);
        if (0..=JITTER_MAX_MICROS).contains(&back) { self.latest } else { now }
    }

    /// As `effective`, and keeps what is remembered sound: nothing lies in the future (a clock that was set back
    /// would block a window until it is reached again) and nothing exceeds its bound.
    fn settle(&mut self, now: Timestamp) -> Timestamp {
        let now = self.effective(now);
        self.latest = now;
        for window in [&mut self.p2, &mut self.p3, &mut self.p4] {
            let excess = window.len().saturating_sub(WINDOW_MAX as usize);
            window.drain(..excess);
            if window.back().is_some_and(|at| *at > now) {
                for at in window.iter_mut() {
                    *at = (*at).min(now);
                }
            }
        }
        now
    }
}

/// Times of `window` that still count at `now`; those in the future (the clock was set back) count too.
fn used(window: &VecDeque<Timestamp>, span: i64, now: Timestamp) -> u32 {
    let counting = window.iter().rev().take(WINDOW_MAX as usize).filter(|at| now.since(**at) < span).count();
    u32::try_from(counting).unwrap_or(u32::MAX)
}

/// When a place is free again; none when one is free now, or never is because the limit is 0.
fn frees_at(window: &VecDeque<Timestamp>, limit: u32, span: i64, now: Timestamp) -> Option<Timestamp> {
    let used = used(window, span, now);
    if limit == 0 || used < limit {
        return None;
    }
    // The newest `limit` must shrink by one: the oldest of them is the one to wait for.
    let index = window.len().checked_sub(limit as usize)?;
    Some(window.get(index)?.min(&now).plus(span))
}

fn change(from: Brake, to: Brake, at: Timestamp) -> Option<BrakeChange> {
    (from != to).then_some(BrakeChange { from, to, at })
}

/// State of the throttle of one project, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottleView {
    /// Off admits every new ticket.
    pub enabled: bool,
    /// Level of the brake.
    pub brake: Brake,
    /// Since when it is on.
    pub brake_since: Option<Timestamp>,
    /// New tickets in the last minute, held ones included.
    pub new_last_minute: u32,
    /// More than this hold P2 to P4.
    pub brake_new_per_minute: u32,
    /// More than this hold P0 and P1 too.
    pub brake_hard_new_per_minute: u32,
    /// Budgets of P2, P3 and P4.
    pub priorities: Vec<PriorityUse>,
    /// Priorities whose new tickets are held now, and why; the brake may hold all five.
    pub waiting: Vec<Waiting>,
}

/// Budget of one priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorityUse {
    /// The priority.
    pub priority: Priority,
    /// New tickets in the window.
    pub used: u32,
    /// Most that there may be.
    pub limit: u32,
    /// Length of the window, seconds.
    pub window_seconds: u32,
    /// When a place is free again; none when one is free now, or the limit is 0.
    pub frees_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests;
