//! Rate limits: a limit of n per minute is a bucket of n that refills evenly (`ingest.md` §9).

use crate::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};
use serde::{Deserialize, Serialize};

/// Largest capacity of a bucket, in events. With the longest period it bounds every product below to a `u64`.
pub const CAPACITY_MAX: u64 = 100_000_000;
/// Longest refill period, in microseconds: one day.
pub const PERIOD_MAX_MICROS: u64 = DAY as u64;
/// Steps back of the clock up to this are jitter between threads; longer ones mean that the clock was set.
pub const JITTER_MAX_MICROS: i64 = MINUTE;

/// One limit: `events` per `per_micros`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Capacity; 0 refuses everything.
    pub events: u64,
    /// Time in which an empty bucket becomes full, in microseconds.
    pub per_micros: u64,
}

impl Limit {
    /// `events` per minute.
    pub const fn per_minute(events: u32) -> Self {
        Self { events: events as u64, per_micros: MINUTE as u64 }
    }

    /// `events` per hour.
    pub const fn per_hour(events: u32) -> Self {
        Self { events: events as u64, per_micros: HOUR as u64 }
    }

    /// `events` per day.
    pub const fn per_day(events: u32) -> Self {
        Self { events: events as u64, per_micros: DAY as u64 }
    }
}

/// Fill of one bucket. The default is a fresh one that admits its whole capacity at once.
///
/// `level` counts what was used and not refilled yet, in units of 1/`per_micros` event, so that refilling is exact
/// integer arithmetic: `elapsed × capacity` units flow back per call and nothing is lost by rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bucket {
    level: u64,
    at: Timestamp,
}

impl Bucket {
    /// Takes `n` events at `now` from a bucket of `capacity` that refills in `per_micros`, all or none.
    ///
    /// More than the capacity at once counts as the capacity, so that one large request passes an idle bucket
    /// instead of being refused for ever. Limits are clamped to [`CAPACITY_MAX`] and [`PERIOD_MAX_MICROS`].
    ///
    /// # Errors
    /// Whole seconds, at least 1, after which the same call would succeed if nobody else took anything.
    pub fn take(&mut self, capacity: u64, per_micros: u64, n: u64, now: Timestamp) -> Result<(), u64> {
        let limit = Limit { events: capacity, per_micros };
        self.refill(limit, now);
        self.fits(limit, n)?;
        self.charge(limit, n);
        Ok(())
    }

    /// Whole events that could be taken at `now`.
    pub fn free(&self, limit: Limit, now: Timestamp) -> u64 {
        let mut copy = *self;
        copy.refill(limit, now);
        let limit = limit.clamped();
        (limit.full() - copy.level) / limit.per_micros
    }

    /// Whether nothing was taken for so long that it is full again, whatever its capacity.
    pub fn is_idle(&self, per_micros: u64, now: Timestamp) -> bool {
        now.since(self.at) >= i64::try_from(per_micros).unwrap_or(i64::MAX)
    }

    fn refill(&mut self, limit: Limit, now: Timestamp) {
        let limit = limit.clamped();
        let elapsed = now.since(self.at);
        if elapsed < 0 {
            if elapsed < -JITTER_MAX_MICROS {
                self.at = now;
            }
        } else {
            let elapsed = elapsed.unsigned_abs().min(limit.per_micros);
            self.level = self.level.saturating_sub(elapsed.saturating_mul(limit.events));
            self.at = now;
        }
        self.level = self.level.min(limit.full());
    }

    fn fits(self, limit: Limit, n: u64) -> Result<(), u64> {
        let limit = limit.clamped();
        let second = SECOND.unsigned_abs();
        if n == 0 {
            return Ok(());
        }
        if limit.events == 0 {
            return Err(limit.per_micros.div_ceil(second).max(1));
        }
        let wanted = n.min(limit.events).saturating_mul(limit.per_micros);
        let excess = self.level.saturating_add(wanted).saturating_sub(limit.full());
        if excess == 0 {
            return Ok(());
        }
        Err(excess.div_ceil(limit.events).div_ceil(second).max(1))
    }

    fn charge(&mut self, limit: Limit, n: u64) {
        let limit = limit.clamped();
        let wanted = n.min(limit.events).saturating_mul(limit.per_micros);
        self.level = self.level.saturating_add(wanted).min(limit.full());
    }
}

impl Limit {
    fn clamped(self) -> Self {
        Self {
            events: self.events.min(CAPACITY_MAX),
            per_micros: self.per_micros.clamp(1, PERIOD_MAX_MICROS),
        }
    }

    /// Units of a full bucket; at most 8.64e18, so that twice that still fits a `u64`. Only after `clamped`.
    const fn full(self) -> u64 {
        self.events.saturating_mul(self.per_micros)
    }
}

/// Takes `n` events from several buckets (minute, hour, day), all or none: what a longer limit refuses must not use
/// up a shorter one.
///
/// # Errors
/// The longest wait that any of them asks for, in seconds.
pub fn take_all(buckets: &mut [(&mut Bucket, Limit)], n: u64, now: Timestamp) -> Result<(), u64> {
    let mut wait = 0;
    for (bucket, limit) in &mut *buckets {
        bucket.refill(*limit, now);
        if let Err(seconds) = bucket.fits(*limit, n) {
            wait = wait.max(seconds);
        }
    }
    if wait > 0 {
        return Err(wait);
    }
    for (bucket, limit) in buckets {
        bucket.charge(*limit, n);
    }
    Ok(())
}

/// Limits of ingest, in events (`ingest.md` §9): the last defence of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// Per ingest key and minute, unless the key has its own.
    pub key_per_minute: u32,
    /// Per project and minute.
    pub project_per_minute: u32,
    /// Per project and hour.
    pub project_per_hour: u32,
    /// Per project and day.
    pub project_per_day: u32,
    /// Whole instance, per minute.
    pub instance_per_minute: u32,
    /// Whole instance, per day.
    pub instance_per_day: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            key_per_minute: 12_000,
            project_per_minute: 24_000,
            project_per_hour: 500_000,
            project_per_day: 5_000_000,
            instance_per_minute: 120_000,
            instance_per_day: 20_000_000,
        }
    }
}

impl RateLimits {
    /// Whether every limit is from 1 to [`CAPACITY_MAX`].
    ///
    /// # Errors
    /// A sentence that names the first setting out of bounds.
    pub fn validate(&self) -> Result<(), String> {
        for (name, value) in [
            ("key_per_minute", self.key_per_minute),
            ("project_per_minute", self.project_per_minute),
            ("project_per_hour", self.project_per_hour),
            ("project_per_day", self.project_per_day),
            ("instance_per_minute", self.instance_per_minute),
            ("instance_per_day", self.instance_per_day),
        ] {
            if !(1..=CAPACITY_MAX).contains(&u64::from(value)) {
                return Err(format!("{name} is {value}; it must be from 1 to {CAPACITY_MAX}"));
            }
        }
        Ok(())
    }

    /// Limit of a key, by its own rate if it has one.
    pub fn key(&self, own_per_minute: Option<u32>) -> Limit {
        Limit::per_minute(own_per_minute.unwrap_or(self.key_per_minute))
    }

    /// Limits of a project: minute, hour, day.
    pub const fn project(&self) -> [Limit; 3] {
        [
            Limit::per_minute(self.project_per_minute),
            Limit::per_hour(self.project_per_hour),
            Limit::per_day(self.project_per_day),
        ]
    }

    /// Limits of the instance: minute, day.
    pub const fn instance(&self) -> [Limit; 2] {
        [Limit::per_minute(self.instance_per_minute), Limit::per_day(self.instance_per_day)]
    }
}

#[cfg(test)]
mod tests;
