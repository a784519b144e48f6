//! How urgent a ticket is, and why (`product.md`, Priority).

use crate::event::Level;
use crate::ticket::Priority;

/// Name of the event tag by which a program sets the priority of its own event.
pub const TAG: &str = "actifix.priority";
/// Events in an hour below which a rate is no spike, however quiet the ticket was.
pub const SPIKE_EVENTS_MIN: u64 = 100;
/// How many times its trailing hourly mean a ticket must reach to spike.
pub const SPIKE_FACTOR: f64 = 10.0;

/// Priority of a new ticket and the reason in words of ours.
///
/// What was set explicitly (JSON API, CLI, tag [`TAG`]) wins, since whoever sends it knows this one error; then the
/// project's first matching rule; then level and handling. The ceiling of the sender caps all three, so that the
/// holder of a browser key cannot cry P0 by any of them.
pub fn derive(
    level: Level,
    unhandled: bool,
    explicit: Option<Priority>,
    rule: Option<Priority>,
    ceiling: Priority,
) -> (Priority, String) {
    let (wanted, why) = match (explicit, rule) {
        (Some(priority), _) => (priority, "set by the sender".to_owned()),
        (None, Some(priority)) => (priority, "rule of the project".to_owned()),
        (None, None) => from_level(level, unhandled),
    };
    // A lower number is more urgent, so the cap is the larger of the two.
    let capped = wanted.max(ceiling);
    if capped == wanted {
        return (wanted, why);
    }
    (
        capped,
        format!(
            "{why} would be {}, capped at {}, the most this sender may cause",
            wanted.as_str(),
            capped.as_str()
        ),
    )
}

fn from_level(level: Level, unhandled: bool) -> (Priority, String) {
    let priority = match (level, unhandled) {
        (Level::Fatal, _) => Priority::P0,
        (Level::Error, true) => Priority::P1,
        (Level::Error, false) => Priority::P2,
        (Level::Warning, _) => Priority::P3,
        (Level::Info | Level::Debug, _) => Priority::P4,
    };
    let handling = if level == Level::Error && unhandled { " and unhandled" } else { "" };
    (priority, format!("level {}{handling}", level.as_str()))
}

/// What raises a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raise {
    /// It came back after being resolved.
    Regressed,
    /// Its rate spiked.
    Spike,
}

/// Priority and reason of a ticket that is raised one step, or none when nothing changes.
///
/// A ticket is raised once in its life (`already_raised`), never above the ceiling of the sender whose event is the
/// cause, and a ticket at P0 stays there.
pub fn raise(
    current: Priority,
    already_raised: bool,
    ceiling: Priority,
    cause: Raise,
) -> Option<(Priority, String)> {
    let raised = current.raised();
    if already_raised || raised == current || raised < ceiling {
        return None;
    }
    let why = match cause {
        Raise::Regressed => "came back after it was resolved",
        Raise::Spike => "its rate spiked",
    };
    Some((raised, format!("raised from {}: {why}", current.as_str())))
}

/// Whether a ticket's rate spikes: at least [`SPIKE_FACTOR`] times its trailing hourly mean and at least
/// [`SPIKE_EVENTS_MIN`] events in this hour. A ticket without a past has the mean 0; a mean that is no number or
/// negative never spikes.
pub fn spike(count_this_hour: u64, trailing_hourly_mean: f64) -> bool {
    #[allow(clippy::cast_precision_loss)] // beyond 2^53 events in an hour the last digits do not matter
    let count = count_this_hour as f64;
    count_this_hour >= SPIKE_EVENTS_MIN
        && trailing_hourly_mean.is_finite()
        && trailing_hourly_mean >= 0.0
        && count >= SPIKE_FACTOR * trailing_hourly_mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{P0, P1, P2, P3, P4};

    #[test]
    fn level_and_handling_decide_when_nobody_set_it() {
        for (level, unhandled, priority, why) in [
            (Level::Fatal, false, P0, "level fatal"),
            (Level::Fatal, true, P0, "level fatal"),
            (Level::Error, true, P1, "level error and unhandled"),
            (Level::Error, false, P2, "level error"),
            (Level::Warning, true, P3, "level warning"),
            (Level::Info, false, P4, "level info"),
            (Level::Debug, true, P4, "level debug"),
        ] {
            assert_eq!(derive(level, unhandled, None, None, P0), (priority, why.to_owned()));
        }
    }

    #[test]
    fn what_was_set_beats_the_rules_and_rules_beat_the_level() {
        assert_eq!(derive(Level::Fatal, true, Some(P4), Some(P1), P0).0, P4);
        assert_eq!(derive(Level::Fatal, true, None, Some(P3), P0), (P3, "rule of the project".to_owned()));
    }

    #[test]
    fn a_browser_key_cannot_cry_p0_by_any_door() {
        for (level, explicit, rule) in
            [(Level::Fatal, None, None), (Level::Info, Some(P0), None), (Level::Info, None, Some(P0))]
        {
            let (priority, why) = derive(level, true, explicit, rule, P1);
            assert_eq!(priority, P1);
            assert!(why.ends_with("would be P0, capped at P1, the most this sender may cause"), "{why}");
        }
    }

    #[test]
    fn raised_one_step_once_and_not_above_the_ceiling() {
        assert_eq!(
            raise(P3, false, P0, Raise::Spike),
            Some((P2, "raised from P3: its rate spiked".to_owned()))
        );
        assert_eq!(raise(P3, true, P0, Raise::Regressed), None, "once");
        assert_eq!(raise(P0, false, P0, Raise::Regressed), None, "already at the top");
        assert_eq!(raise(P1, false, P1, Raise::Regressed), None, "a browser key cannot raise to P0");
        assert_eq!(raise(P1, false, P0, Raise::Regressed).map(|r| r.0), Some(P0));
    }

    #[test]
    fn a_spike_needs_ten_times_the_mean_and_a_hundred_events() {
        for (count, mean, spikes) in [
            (99, 0.0, false),
            (100, 0.0, true),
            (100, 10.0, true),
            (100, 10.1, false),
            (1_000, 100.0, true),
            (999, 100.0, false),
            (u64::MAX, 1.0, true),
            (1_000, f64::NAN, false),
            (1_000, f64::INFINITY, false),
            (1_000, -1.0, false),
        ] {
            assert_eq!(spike(count, mean), spikes, "{count} at a mean of {mean}");
        }
    }
}
