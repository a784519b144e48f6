//! Whether the wall clock can be believed before anything is deleted by its age.
//!
//! A machine whose clock is years ahead finds everything too old. So the newest time that was believed is kept (the
//! mark), moves on only in steps that a clock which is right can make, and a leap beyond that has to be accepted by a
//! person. Time is an argument.

use crate::time::{DAY, HOUR, Timestamp};
use std::fmt;

/// How far the clock may be ahead of the mark, microseconds: longer than a server is switched off for an update, shorter
/// than the shortest time for which anything is kept by default.
pub const AHEAD_MAX: i64 = 7 * DAY;
/// How far it may be behind, microseconds: time zones set wrongly and corrected are not worth a word.
pub const BEHIND_MAX: i64 = DAY;
/// The mark moves on in steps of at least this, microseconds: it costs a write.
pub const MARK_EVERY: i64 = HOUR;

/// A clock that is not where it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// What it shows.
    pub now: Timestamp,
    /// The newest time that was believed.
    pub mark: Timestamp,
}

impl Jump {
    /// Whether the clock leapt, seen from the newest time that was believed.
    pub const fn between(mark: Timestamp, now: Timestamp) -> Option<Self> {
        let ahead = now.since(mark);
        if ahead > AHEAD_MAX || ahead < -BEHIND_MAX { Some(Self { now, mark }) } else { None }
    }

    /// How far, microseconds; below zero it went back.
    pub const fn micros(self) -> i64 {
        self.now.since(self.mark)
    }
}

/// `the clock is 3650 days ahead of …`
impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, way) =
            (self.micros().saturating_abs() / DAY, if self.micros() < 0 { "behind" } else { "ahead of" });
        let unit = if days == 1 { "day" } else { "days" };
        write!(f, "the clock is {days} {unit} {way} the last time that was believed ({})", self.mark)
    }
}

/// Whether something dated so was written under another clock than the one that shows `now`.
pub const fn is_of_another_clock(written_at: Timestamp, now: Timestamp) -> bool {
    written_at.since(now) > BEHIND_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Timestamp = Timestamp::from_micros(20_000 * DAY);

    #[test]
    fn the_clock_may_be_a_week_ahead_and_a_day_behind() {
        for (moved, jumped) in [
            (0, false),
            (AHEAD_MAX, false),
            (AHEAD_MAX + 1, true),
            (3_650 * DAY, true),
            (i64::MAX, true),
            (-BEHIND_MAX, false),
            (-BEHIND_MAX - 1, true),
            (i64::MIN, true),
        ] {
            assert_eq!(Jump::between(MARK, MARK.plus(moved)).is_some(), jumped, "{moved}");
        }
    }

    #[test]
    fn it_says_how_far_and_which_way() {
        let said = |moved| Jump::between(MARK, MARK.plus(moved)).unwrap().to_string();
        assert!(said(3_650 * DAY).starts_with("the clock is 3650 days ahead of the last time"));
        assert!(said(-DAY - HOUR).starts_with("the clock is 1 day behind the last time"));
    }
}
