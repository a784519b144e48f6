//! Sliding windows: never more than a limit within any span of a period, wherever the span begins.
//!
//! A bucket that refills lets a sender have its whole capacity and then the refill of a period, twice the limit within
//! one period; a counter that is reset by the clock lets it have twice the limit at the edge. Here the period is cut
//! into slots and the oldest one counts until it is wholly over, so that the error is on the safe side: a request is
//! remembered for at most one slot longer than the period.

/// Slots of a period.
pub const SLOTS: usize = 60;
/// Slots that a span of one period can touch.
const RING: usize = SLOTS + 1;

/// Counts of one period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    counts: [u32; RING],
    /// Number of the newest slot, from the start of the clock.
    newest: i64,
    sum: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { counts: [0; RING], newest: 0, sum: 0 }
    }
}

impl Window {
    /// How many were taken within the period before `now`. Times are microseconds of a clock that never goes back.
    pub fn used(&mut self, period: i64, now: i64) -> u64 {
        let slot = now.div_euclid(slot_length(period));
        let steps = slot.saturating_sub(self.newest);
        if steps <= 0 {
            return self.sum;
        }
        for step in 1..=steps.min(RING as i64) {
            if let Some(count) = self.counts.get_mut(place(self.newest.saturating_add(step))) {
                self.sum = self.sum.saturating_sub(u64::from(*count));
                *count = 0;
            }
        }
        self.newest = slot;
        self.sum
    }

    /// Counts one more, whatever the limit.
    pub fn add(&mut self, period: i64, now: i64) {
        let _used = self.used(period, now);
        if let Some(count) = self.counts.get_mut(place(self.newest)) {
            *count = count.saturating_add(1);
            self.sum = self.sum.saturating_add(1);
        }
    }

    /// Microseconds until fewer than `limit` are counted; 0 when they are already.
    pub fn wait(&mut self, limit: u64, period: i64, now: i64) -> i64 {
        let mut left = self.used(period, now);
        for (slot, count) in self.slots() {
            if left < limit {
                break;
            }
            left = left.saturating_sub(u64::from(count));
            if left < limit {
                return leaves(slot, period).saturating_sub(now).max(0);
            }
        }
        if left < limit { 0 } else { period }
    }

    /// Microseconds until the oldest of those that are counted is forgotten; the period when there are none.
    pub fn eases(&mut self, period: i64, now: i64) -> i64 {
        let _used = self.used(period, now);
        let oldest = self.slots().find(|(_, count)| *count > 0);
        oldest.map_or(period, |(slot, _)| leaves(slot, period).saturating_sub(now).max(0))
    }

    /// The counts, oldest first, to be kept over a restart.
    pub fn kept(&mut self, period: i64, now: i64) -> Vec<u32> {
        let _used = self.used(period, now);
        self.slots().map(|(_, count)| count).collect()
    }

    /// From what [`Window::kept`] gave, `age` microseconds ago by the wall clock. An age below zero, after the clock
    /// was set back, counts as none: then more is remembered than there was, never less.
    pub fn restored(kept: &[u32], age: i64, period: i64, now: i64) -> Self {
        let newest = now.div_euclid(slot_length(period));
        let mut window = Self { newest, ..Self::default() };
        let over = age.max(0).div_euclid(slot_length(period));
        for (back, count) in kept.iter().rev().take(RING).enumerate() {
            let back = i64::try_from(back).unwrap_or(i64::MAX).saturating_add(over);
            if back < RING as i64
                && let Some(slot) = window.counts.get_mut(place(newest.saturating_sub(back)))
            {
                *slot = *count;
                window.sum = window.sum.saturating_add(u64::from(*count));
            }
        }
        window
    }

    /// Numbers and counts of the slots, oldest first.
    fn slots(&self) -> impl Iterator<Item = (i64, u32)> {
        let oldest = self.newest.saturating_sub(SLOTS as i64);
        (oldest..=self.newest).map(|slot| (slot, self.counts.get(place(slot)).copied().unwrap_or(0)))
    }
}

fn slot_length(period: i64) -> i64 {
    (period / SLOTS as i64).max(1)
}

/// When a slot no longer counts.
fn leaves(slot: i64, period: i64) -> i64 {
    slot.saturating_add(RING as i64).saturating_mul(slot_length(period))
}

fn place(slot: i64) -> usize {
    usize::try_from(slot.rem_euclid(RING as i64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{HOUR, MINUTE, SECOND};
    use proptest::prelude::*;

    fn take(window: &mut Window, limit: u64, period: i64, now: i64) -> bool {
        let free = window.used(period, now) < limit;
        if free {
            window.add(period, now);
        }
        free
    }

    #[test]
    fn the_edge_of_a_window_gives_nothing_twice() {
        let mut window = Window::default();
        let end = 60 * MINUTE;
        assert!((0..100).all(|_| take(&mut window, 100, HOUR, end - 1)));
        for later in [0, 1, MINUTE, 30 * MINUTE, 59 * MINUTE] {
            assert!(!take(&mut window, 100, HOUR, end + later), "{later}");
        }
        let wait = window.wait(100, HOUR, end);
        assert!(wait > 59 * MINUTE && wait <= 61 * MINUTE, "{wait}");
        assert!(!take(&mut window, 100, HOUR, end + wait - 1));
        assert!(take(&mut window, 100, HOUR, end + wait));
    }

    #[test]
    fn a_restart_forgets_nothing_of_the_period() {
        let mut window = Window::default();
        for _ in 0..10 {
            window.add(HOUR, 5 * SECOND);
        }
        let kept = window.kept(HOUR, 6 * SECOND);
        for (age, used) in
            [(0, 10), (-2 * HOUR, 10), (30 * MINUTE, 10), (59 * MINUTE, 10), (61 * MINUTE, 0), (i64::MAX, 0)]
        {
            assert_eq!(Window::restored(&kept, age, HOUR, 0).used(HOUR, 0), used, "{age}");
        }
        // A list of another length is not trusted to be ours.
        assert_eq!(Window::restored(&[7; 500], 0, HOUR, 0).used(HOUR, 0), 7 * 61);
    }

    proptest! {
        #[test]
        fn no_span_of_a_period_holds_more_than_the_limit(
            gaps in prop::collection::vec(0i64..4_000_000, 1..400),
            limit in 1u64..40,
        ) {
            let mut window = Window::default();
            let (mut now, mut taken) = (0i64, Vec::new());
            for gap in gaps {
                now += gap;
                if take(&mut window, limit, MINUTE, now) {
                    taken.push(now);
                } else {
                    // A refusal is not for ever, and what is told is enough.
                    let wait = window.wait(limit, MINUTE, now);
                    prop_assert!(wait > 0 && wait <= MINUTE + SECOND);
                    prop_assert!(window.clone().used(MINUTE, now + wait) < limit);
                }
            }
            for (place, start) in taken.iter().enumerate() {
                let within = taken[place..].iter().take_while(|at| **at - start < MINUTE).count();
                prop_assert!(within as u64 <= limit);
            }
        }
    }
}
