//! The emergency brake: rate of new tickets over the last 60 seconds, and the level that follows from it.

use super::{Brake, ThrottleConfig};
use crate::time::{MINUTE, SECOND, Timestamp};
use serde::{Deserialize, Serialize};

/// Counters of the ring, one per second.
const SLOTS: usize = 60;

/// Rate and level. The window is the current second and the 59 before it.
///
/// `calm_soft` and `calm_hard` tell since when the rate has been below half of the threshold. They are found second by
/// second as the ring moves on, so that the moment of release does not depend on how often anyone looks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct BrakeState {
    level: Brake,
    since: Option<Timestamp>,
    second: i64,
    slots: Vec<u32>,
    calm_soft: Option<Timestamp>,
    calm_hard: Option<Timestamp>,
}

impl BrakeState {
    /// Level now.
    pub(super) const fn level(&self) -> Brake {
        self.level
    }

    /// Since when it has this level; none when it is off.
    pub(super) const fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// New tickets in the window that ends with the latest `advance`.
    pub(super) fn rate(&self) -> u32 {
        self.slots.iter().take(SLOTS).fold(0, |sum: u32, count| sum.saturating_add(*count))
    }

    /// Off, and everything forgotten.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Level at `now`, if nothing comes in until then.
    pub(super) fn level_at(&self, config: &ThrottleConfig, now: Timestamp) -> Brake {
        if self.level == Brake::Off {
            return Brake::Off;
        }
        let mut copy = self.clone();
        copy.advance(config, now);
        copy.level
    }

    /// Moves the window to `now` and releases the brake if it is time.
    pub(super) fn advance(&mut self, config: &ThrottleConfig, now: Timestamp) {
        self.slots.resize(SLOTS, 0);
        let target = now.seconds();
        if target < self.second {
            self.restart_at(target);
        }
        // Calm cannot begin in the future; a damaged state must not stick the brake.
        self.calm_soft = self.calm_soft.map(|at| at.min(now));
        self.calm_hard = self.calm_hard.map(|at| at.min(now));
        self.note_calm(config, Timestamp::from_micros(self.second.saturating_mul(SECOND)));
        // After 60 steps the ring is empty and nothing changes any more.
        let steps = target.saturating_sub(self.second).min(SLOTS as i64);
        for step in 1..=steps {
            let second = self.second.saturating_add(step);
            if let Some(slot) = self.slots.get_mut(slot_of(second)) {
                *slot = 0;
            }
            self.note_calm(config, Timestamp::from_micros(second.saturating_mul(SECOND)));
        }
        self.second = target;
        let level = self.level_after_calm(now);
        self.set(level, now);
    }

    /// Counts one would-be new ticket at `now`, after `advance`, and engages the brake if it is time.
    pub(super) fn count(&mut self, config: &ThrottleConfig, now: Timestamp) {
        if let Some(slot) = self.slots.get_mut(slot_of(self.second)) {
            *slot = slot.saturating_add(1);
        }
        self.note_calm(config, now);
        let rate = self.rate();
        let level = if rate > config.brake_hard_new_per_minute {
            Brake::Hard
        } else if rate > config.brake_new_per_minute {
            Brake::Soft
        } else {
            Brake::Off
        };
        self.set(self.level.max(level), now);
    }

    fn set(&mut self, level: Brake, now: Timestamp) {
        if level != self.level {
            self.level = level;
            self.since = (level != Brake::Off).then_some(now);
        }
    }

    /// The clock was set back: what the ring holds counts as of now, so that it leaves the window in a minute.
    fn restart_at(&mut self, second: i64) {
        let rate = self.rate();
        self.slots.fill(0);
        if let Some(slot) = self.slots.get_mut(slot_of(second)) {
            *slot = rate;
        }
        self.second = second;
        self.since = self.since.map(|at| at.min(Timestamp::from_micros(second.saturating_mul(SECOND))));
        self.calm_soft = None;
        self.calm_hard = None;
    }

    fn note_calm(&mut self, config: &ThrottleConfig, at: Timestamp) {
        let twice = u64::from(self.rate()) * 2;
        for (calm, threshold) in [
            (&mut self.calm_soft, config.brake_new_per_minute),
            (&mut self.calm_hard, config.brake_hard_new_per_minute),
        ] {
            if twice < u64::from(threshold) {
                calm.get_or_insert(at);
            } else {
                *calm = None;
            }
        }
    }

    fn level_after_calm(&self, now: Timestamp) -> Brake {
        let calm_for_a_minute =
            |calm: Option<Timestamp>| calm.is_some_and(|since| now.since(since) >= MINUTE);
        match self.level {
            Brake::Off => Brake::Off,
            _ if calm_for_a_minute(self.calm_soft) => Brake::Off,
            Brake::Hard if !calm_for_a_minute(self.calm_hard) => Brake::Hard,
            Brake::Hard | Brake::Soft => Brake::Soft,
        }
    }
}

fn slot_of(second: i64) -> usize {
    usize::try_from(second.rem_euclid(SLOTS as i64)).unwrap_or(0)
}
