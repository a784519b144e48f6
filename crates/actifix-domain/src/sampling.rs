//! Sampling of bodies: a storm of one group must not fill the disk, and its counts must stay exact.

/// Whether the body of this event is kept for good.
///
/// `count_in_hour` is the ordinal of the event among those of its ticket in the clock hour (UTC) of its receipt,
/// 1 for the first. `sample_after` is how many of an hour are all kept, 0 = no sampling. Beyond it the bodies
/// whose ordinal is a power of two stay, so that a storm of n events keeps about log2(n) of them, spread over its
/// whole length. When this is false the outcome is `sampled`: counters and last-seen move, and the body takes the
/// ticket's one place for its latest event, in which the next one replaces it.
pub const fn keeps_body(count_in_hour: u64, sample_after: u32) -> bool {
    sample_after == 0 || count_in_hour <= sample_after as u64 || count_in_hour.is_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_first_hundred_only_powers_of_two_stay() {
        for (ordinal, sample_after, kept) in [
            (1, 100, true),
            (100, 100, true),
            (101, 100, false),
            (127, 100, false),
            (128, 100, true),
            (129, 100, false),
            (1 << 40, 100, true),
            (u64::MAX, 100, false),
            (u64::MAX, 0, true),
            (3, 1, false),
            (2, 1, true),
        ] {
            assert_eq!(keeps_body(ordinal, sample_after), kept, "{ordinal} of {sample_after}");
        }
    }

    #[test]
    fn a_storm_of_a_million_keeps_few_bodies() {
        let kept = (1..=1_000_000).filter(|ordinal| keeps_body(*ordinal, 100)).count();
        assert_eq!(kept, 100 + 13, "100, then 128, 256, … 524288");
    }
}
