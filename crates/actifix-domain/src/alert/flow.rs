//! How often a rule speaks: cooldown, quiet hours, burst, digest.

use super::{AlertRule, Signal};
use crate::ticket::Priority;
use crate::time::{MINUTE, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Subjects whose cooldown is remembered per rule; beyond, the one said longest ago is forgotten.
pub const TOLD_MAX: usize = 1_000;
/// Signals that a digest shows; the others are counted.
pub const SAMPLES_MAX: usize = 10;
/// Messages about P0 of one window that do not wait for the digest: enough to be woken by, too few to drown in.
pub const URGENT_MAX: usize = 3;
/// States that are remembered over all rules and projects; beyond, the one that was used longest ago goes.
pub const RULE_STATES_MAX: usize = 1_000;

/// What becomes of a signal that matched a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Said now, in a message of its own.
    Send,
    /// Counted in the digest.
    Gathered,
    /// The same was said within the cooldown.
    Repeated,
}

/// What was held back, to be said in one message.
#[derive(Clone, Debug, PartialEq)]
pub struct Digest {
    /// The most urgent of them, and of those the first; at most [`SAMPLES_MAX`].
    pub samples: Vec<Signal>,
    /// How many there were in all.
    pub count: u64,
}

/// What a rule remembers of one project, or of the installation. Plain bounded data, kept with the signals that it was decided on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleState {
    /// When each subject was told last.
    told: BTreeMap<String, Timestamp>,
    /// When the messages of the present window were sent.
    sent: Vec<Timestamp>,
    /// When messages about P0 were sent past the burst.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    urgent: Vec<Timestamp>,
    /// What the digest shows.
    samples: Vec<Signal>,
    /// What the digest counts.
    gathered: u64,
    /// When the digest is said.
    digest_at: Option<Timestamp>,
    /// It holds what may be said in quiet hours.
    pressing: bool,
}

impl RuleState {
    /// Decides about a signal that matches the rule.
    pub fn offer(&mut self, rule: &AlertRule, signal: &Signal, now: Timestamp) -> Verdict {
        self.clamp(rule, now);
        let key = signal.key();
        let cooldown = i64::from(rule.cooldown_minutes) * MINUTE;
        if self.told.get(&key).is_some_and(|told| now.since(*told) < cooldown) {
            return Verdict::Repeated;
        }
        if cooldown > 0 {
            self.remember(key, now, cooldown);
        }
        let pressing = is_pressing(rule, signal);
        if let Some(end) = quiet_until(rule, now)
            && !pressing
        {
            self.gather(signal, end);
            return Verdict::Gathered;
        }
        // Once a digest gathers, everything goes into it, so that what comes later is not told before it; but what
        // may be said at night does not wait for the morning.
        let waits = self.digest_at.is_some() && !pressing;
        if !waits && self.has_room(rule, now) {
            self.sent.push(now);
            return Verdict::Send;
        }
        if signal.priority == Some(Priority::P0) && self.has_urgent_room(rule, now) {
            self.urgent.push(now);
            return Verdict::Send;
        }
        self.pressing |= pressing;
        self.gather(signal, now.plus(window(rule)));
        Verdict::Gathered
    }

    /// The digest, once it is due.
    pub fn take_digest(&mut self, rule: &AlertRule, now: Timestamp) -> Option<Digest> {
        self.clamp(rule, now);
        if self.digest_at.is_none_or(|at| now < at) {
            return None;
        }
        if let Some(end) = quiet_until(rule, now)
            && !self.pressing
        {
            self.digest_at = Some(end);
            return None;
        }
        let _room = self.has_room(rule, now);
        self.sent.push(now);
        self.take_gathered()
    }

    /// What was held back, before its time: the rule goes or becomes another, or the state is given up.
    pub fn take_gathered(&mut self) -> Option<Digest> {
        (self.digest_at, self.pressing) = (None, false);
        let digest =
            Digest { samples: std::mem::take(&mut self.samples), count: std::mem::take(&mut self.gathered) };
        (digest.count > 0).then_some(digest)
    }

    /// When [`RuleState::take_digest`] has something.
    pub const fn digest_at(&self) -> Option<Timestamp> {
        self.digest_at
    }

    /// Whether it would decide like a new one from now on.
    pub fn is_idle(&self, rule: &AlertRule, now: Timestamp) -> bool {
        let cooldown = i64::from(rule.cooldown_minutes) * MINUTE;
        let mut sent = self.sent.iter().chain(&self.urgent);
        self.digest_at.is_none()
            && self.told.values().all(|at| now.since(*at) >= cooldown)
            && sent.all(|at| now.since(*at) >= window(rule))
    }

    /// When it decided last.
    pub fn used_at(&self) -> Option<Timestamp> {
        self.told.values().chain(&self.sent).chain(&self.urgent).max().copied()
    }

    fn gather(&mut self, signal: &Signal, due: Timestamp) {
        self.gathered = self.gathered.saturating_add(1);
        let place = self.samples.partition_point(|known| urgency(known) <= urgency(signal));
        if place < SAMPLES_MAX {
            self.samples.insert(place, signal.clone());
            self.samples.truncate(SAMPLES_MAX);
        }
        self.digest_at = Some(self.digest_at.map_or(due, |at| at.min(due)));
    }

    /// Whether the burst of the window that ends now has room; forgets what lies before it.
    fn has_room(&mut self, rule: &AlertRule, now: Timestamp) -> bool {
        let window = window(rule);
        self.sent.retain(|at| now.since(*at) < window);
        self.sent.len() < usize::try_from(rule.burst).unwrap_or(usize::MAX)
    }

    fn has_urgent_room(&mut self, rule: &AlertRule, now: Timestamp) -> bool {
        let window = window(rule);
        self.urgent.retain(|at| now.since(*at) < window);
        self.urgent.len() < URGENT_MAX
    }

    fn remember(&mut self, key: String, now: Timestamp, cooldown: i64) {
        self.told.insert(key, now);
        if self.told.len() > TOLD_MAX {
            self.told.retain(|_, told| now.since(*told) < cooldown);
        }
        while self.told.len() > TOLD_MAX {
            let Some(oldest) = self.told.iter().min_by_key(|(_, told)| **told).map(|(key, _)| key.clone())
            else {
                break;
            };
            self.told.remove(&oldest);
        }
    }

    /// A clock that was set back must not silence a rule for longer than it says: nothing lies in the future but the
    /// digest, and that no further off than the rule would put it now. Whether something did.
    pub fn clamp(&mut self, rule: &AlertRule, now: Timestamp) -> bool {
        let ahead = self.told.values().chain(&self.sent).chain(&self.urgent).any(|at| *at > now);
        if ahead {
            self.told.values_mut().for_each(|at| *at = (*at).min(now));
            self.sent.iter_mut().chain(&mut self.urgent).for_each(|at| *at = (*at).min(now));
        }
        let latest = now.plus(window(rule)).max(quiet_until(rule, now).unwrap_or(now));
        let late = self.digest_at.is_some_and(|at| at > latest);
        if late {
            self.digest_at = Some(latest);
        }
        ahead || late
    }
}

/// The lower, the sooner it is shown. What has no priority is about the installation and stands after P1.
fn urgency(signal: &Signal) -> u8 {
    match signal.priority {
        Some(Priority::P0) => 0,
        Some(Priority::P1) => 1,
        None => 2,
        Some(Priority::P2) => 3,
        Some(Priority::P3) => 4,
        Some(Priority::P4) => 5,
    }
}

fn window(rule: &AlertRule) -> i64 {
    i64::from(rule.digest_minutes) * MINUTE
}

/// When the quiet hours end; none where there are none now.
fn quiet_until(rule: &AlertRule, now: Timestamp) -> Option<Timestamp> {
    let quiet = rule.quiet.as_ref()?;
    quiet.hours.contain(now).then(|| quiet.hours.end_after(now))
}

/// Whether the signal is said in quiet hours as well.
fn is_pressing(rule: &AlertRule, signal: &Signal) -> bool {
    let except = rule.quiet.as_ref().and_then(|quiet| quiet.except);
    matches!((except, signal.priority), (Some(least), Some(priority)) if priority <= least)
}
