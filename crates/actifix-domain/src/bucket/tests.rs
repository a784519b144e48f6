use super::*;
use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(1_795_513_649_000_000 + micros)
}

const M: u64 = 60_000_000;

#[test]
fn a_bucket_gives_its_capacity_at_once_and_then_refills_evenly() {
    let mut bucket = Bucket::default();
    assert_eq!(bucket.take(60, M, 60, at(0)), Ok(()));
    assert_eq!(bucket.take(60, M, 1, at(0)), Err(1));
    assert_eq!(bucket.take(60, M, 1, at(SECOND - 1)), Err(1));
    assert_eq!(bucket.take(60, M, 1, at(SECOND)), Ok(()));
    assert_eq!(bucket.take(60, M, 30, at(SECOND)), Err(30));
    assert_eq!(bucket.free(Limit::per_minute(60), at(11 * SECOND)), 10);
    assert_eq!(bucket.take(60, M, 60, at(61 * SECOND)), Ok(()), "full again");
}

#[test]
fn refused_takes_cost_nothing_and_waiting_as_told_is_enough() {
    let mut bucket = Bucket::default();
    assert_eq!(bucket.take(7, M, 7, at(0)), Ok(()));
    for _ in 0..1_000 {
        assert_eq!(bucket.take(7, M, 2, at(0)), Err(18));
    }
    assert_eq!(bucket.take(7, M, 2, at(18 * SECOND)), Ok(()));
}

#[test]
fn odd_limits_are_safe() {
    for (capacity, per, n, expected) in [
        (0, M, 1, Err(60)),
        (0, M, 0, Ok(())),
        (0, 0, 1, Err(1)),
        (1, 0, 1, Ok(())),
        (10, M, 1_000, Ok(())),
        (u64::MAX, u64::MAX, u64::MAX, Ok(())),
        (u64::MAX, 0, u64::MAX, Ok(())),
    ] {
        assert_eq!(Bucket::default().take(capacity, per, n, at(0)), expected, "{n} of {capacity} per {per}");
    }
    let mut bucket = Bucket::default();
    assert_eq!(bucket.take(u64::MAX, u64::MAX, u64::MAX, at(0)), Ok(()));
    assert_eq!(bucket.take(u64::MAX, u64::MAX, u64::MAX, at(0)), Err(86_400));
}

#[test]
fn jitter_gives_nothing_away_and_a_clock_set_back_does_not_block() {
    let mut bucket = Bucket::default();
    assert_eq!(bucket.take(60, M, 60, at(0)), Ok(()));
    let mut passed = 0;
    for i in 0..1_000 {
        passed += u32::from(bucket.take(60, M, 1, at(-(i % 2) * 500_000)).is_ok());
    }
    assert_eq!(passed, 0, "a clock going to and fro must not refill it");
    assert!(bucket.take(60, M, 1, at(-DAY)).is_err());
    assert_eq!(bucket.take(60, M, 1, at(-DAY + SECOND)), Ok(()), "refills from the new time on");
}

#[test]
fn a_long_limit_that_refuses_does_not_use_up_a_short_one() {
    let (mut minute, mut day) = (Bucket::default(), Bucket::default());
    let limits = [Limit::per_minute(10), Limit::per_day(2)];
    let mut take = |n| take_all(&mut [(&mut minute, limits[0]), (&mut day, limits[1])], n, at(0));
    assert_eq!(take(2), Ok(()));
    assert_eq!(take(1), Err(43_200));
    assert_eq!(minute.free(limits[0], at(0)), 8);
}

#[test]
fn limits_of_the_specification() {
    let limits: RateLimits = serde_json::from_str("{}").unwrap();
    assert_eq!(limits.validate(), Ok(()));
    assert_eq!(limits.key(None), Limit { events: 12_000, per_micros: M });
    assert_eq!(limits.key(Some(5)).events, 5);
    assert_eq!(limits.project().map(|limit| limit.events), [24_000, 500_000, 5_000_000]);
    assert_eq!(limits.instance().map(|limit| limit.events), [120_000, 20_000_000]);
    assert!(serde_json::from_str::<RateLimits>(r#"{"key_per_hour": 1}"#).is_err());
    let bad = RateLimits { project_per_day: 0, ..limits };
    assert_eq!(bad.validate(), Err("project_per_day is 0; it must be from 1 to 100000000".to_owned()));
}

proptest! {
    #[test]
    fn never_more_than_capacity_and_refill_and_never_less(
        steps in prop::collection::vec((0..5_000_000_u64, 1..20_u64), 1..300),
        capacity in 1..50_u64,
    ) {
        let mut bucket = Bucket::default();
        let mut now = 0_u64;
        let mut taken = 0_u64;
        for (pause, n) in steps {
            now += pause;
            let before = bucket;
            let free = bucket.free(Limit { events: capacity, per_micros: M }, at(now as i64));
            match bucket.take(capacity, M, n, at(now as i64)) {
                Ok(()) => {
                    taken += n.min(capacity);
                    prop_assert!(free >= n.min(capacity));
                }
                Err(seconds) => {
                    prop_assert!(free < n);
                    let mut later = before;
                    let then = at(now as i64 + seconds as i64 * SECOND);
                    prop_assert_eq!(later.take(capacity, M, n, then), Ok(()), "waited as told");
                }
            }
            prop_assert!(taken * M <= capacity * M + now * capacity, "more than refilled");
        }
    }

    #[test]
    fn any_state_and_time_is_safe(
        level in prop::num::u64::ANY, at_micros in prop::num::i64::ANY, now in prop::num::i64::ANY,
        capacity in prop::num::u64::ANY, per in prop::num::u64::ANY, n in prop::num::u64::ANY,
    ) {
        let mut bucket = Bucket { level, at: Timestamp::from_micros(at_micros) };
        if let Err(seconds) = bucket.take(capacity, per, n, Timestamp::from_micros(now)) {
            prop_assert!((1..=86_400).contains(&seconds));
        }
    }
}
