use super::*;
use crate::time::SECOND;
use proptest::prelude::{Just, Strategy, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use std::collections::BTreeMap;

const T0: i64 = 1_795_513_649_000_000;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(T0 + micros)
}

fn flood(state: &mut ThrottleState, config: &ThrottleConfig, n: u32, now: Timestamp) -> Decision {
    (0..n).map(|_| state.decide(config, Priority::P0, now)).last().unwrap()
}

#[test]
fn defaults_are_those_of_the_product_and_unknown_settings_are_refused() {
    let config: ThrottleConfig = serde_json::from_str("{}").unwrap();
    assert_eq!(
        serde_json::to_value(&config).unwrap(),
        serde_json::json!({
            "enabled": true, "p2_per_hour": 15, "p3_per_4_hours": 5, "p4_per_day": 2,
            "brake_new_per_minute": 200, "brake_hard_new_per_minute": 1000, "held_max": 10000
        })
    );
    assert_eq!(config.validate(), Ok(()));
    assert!(serde_json::from_str::<ThrottleConfig>(r#"{"p2_per_hours": 1}"#).is_err());
}

#[test]
fn settings_out_of_bounds_are_named() {
    let with = |change: fn(&mut ThrottleConfig)| {
        let mut config = ThrottleConfig::default();
        change(&mut config);
        config.validate().unwrap_err()
    };
    assert_eq!(with(|c| c.p4_per_day = 10_001), "throttle.p4_per_day is 10001; it must be from 0 to 10000");
    assert!(with(|c| c.brake_new_per_minute = 0).contains("brake_new_per_minute is 0"));
    assert!(with(|c| c.held_max = 0).contains("held_max"));
    assert_eq!(
        with(|c| c.brake_hard_new_per_minute = 100),
        "throttle.brake_hard_new_per_minute is 100, below brake_new_per_minute (200)"
    );
}

/// What is said of held tickets is what holds them, and never a budget where there is none.
#[test]
fn what_holds_a_priority_is_told_with_its_figures() {
    let config = ThrottleConfig::default();
    let told = |state: &ThrottleState, now| -> Vec<(Priority, HoldReason)> {
        state.view(&config, now).waiting.iter().map(|of| (of.priority, of.reason)).collect()
    };
    let mut state = ThrottleState::default();
    assert_eq!(told(&state, at(0)), []);
    state.decide(&config, Priority::P4, at(0));
    assert_eq!(told(&state, at(0)), [], "one of two");
    state.decide(&config, Priority::P4, at(0));
    assert_eq!(told(&state, at(0)), [(Priority::P4, HoldReason::PriorityLimit)]);
    let budget = state.view(&config, at(0)).waiting_of(Priority::P4).unwrap();
    assert_eq!(budget.why, "the budget of new P4 tickets is used up: 2 tickets in a day");
    assert!(
        budget.until.starts_with("when the budget frees, 20") && budget.until.ends_with(" UTC"),
        "{}",
        budget.until
    );

    flood(&mut state, &config, 200, at(SECOND));
    let soft = [Priority::P2, Priority::P3, Priority::P4].map(|priority| (priority, HoldReason::BrakeSoft));
    assert_eq!(told(&state, at(SECOND)), soft);
    assert_eq!(state.view(&config, at(SECOND)).waiting_of(Priority::P1), None, "the soft brake lets P1 in");
    flood(&mut state, &config, 800, at(SECOND));
    assert_eq!(told(&state, at(SECOND)), Priority::ALL.map(|priority| (priority, HoldReason::BrakeHard)));
    let hard = state.view(&config, at(SECOND)).waiting_of(Priority::P0).unwrap();
    assert_eq!(
        hard.why,
        "the brake is on: more than 1,000 new tickets in a minute hold tickets of every priority, P0 and P1 too"
    );
    assert_eq!(hard.until, "when fewer than 500 new tickets a minute came for a whole minute");
    assert_eq!(
        told(&state, at(10 * MINUTE)),
        [(Priority::P4, HoldReason::PriorityLimit)],
        "the budget is left"
    );
    let never = ThrottleConfig { p3_per_4_hours: 0, ..config.clone() };
    let view = ThrottleState::default().view(&never, at(0));
    assert_eq!(view.waiting_of(Priority::P3).unwrap().until, "never by itself: the limit is 0");
    assert_eq!(ThrottleState::default().view(&ThrottleConfig { enabled: false, ..never }, at(0)).waiting, []);
}

#[test]
fn each_budget_is_exact_at_both_edges_of_its_window() {
    let config = ThrottleConfig::default();
    for (priority, limit, window) in
        [(Priority::P2, 15, HOUR), (Priority::P3, 5, 4 * HOUR), (Priority::P4, 2, DAY)]
    {
        let mut state = ThrottleState::default();
        for i in 0..limit {
            assert!(state.decide(&config, priority, at(i)).admitted, "{priority:?} {i}");
        }
        let held = state.decide(&config, priority, at(window - 1));
        assert_eq!(held.reason, Some(HoldReason::PriorityLimit), "a microsecond before the first leaves");
        assert!(state.decide(&config, priority, at(window)).admitted, "the first has left");
        assert!(!state.decide(&config, priority, at(window)).admitted, "only one has");
        assert!(state.decide(&config, priority, at(window + 1)).admitted);
    }
}

#[test]
fn p0_and_p1_have_no_budget() {
    let config = ThrottleConfig::default();
    let mut state = ThrottleState::default();
    for i in 0..200 {
        let priority = if i % 2 == 0 { Priority::P0 } else { Priority::P1 };
        assert!(state.decide(&config, priority, at(i)).admitted);
    }
    assert_eq!(state.free_budget(&config, Priority::P1, at(200)), u32::MAX);
}

#[test]
fn the_soft_brake_holds_from_the_first_beyond_the_threshold() {
    let config = ThrottleConfig::default();
    let mut state = ThrottleState::default();
    assert_eq!(flood(&mut state, &config, 200, at(0)).brake_change, None);
    let now = at(59 * SECOND);
    let decision = state.decide(&config, Priority::P2, now);
    assert_eq!(
        decision,
        Decision {
            admitted: false,
            reason: Some(HoldReason::BrakeSoft),
            brake_change: Some(BrakeChange { from: Brake::Off, to: Brake::Soft, at: now }),
        }
    );
    for priority in [Priority::P3, Priority::P4] {
        assert_eq!(state.decide(&config, priority, now).reason, Some(HoldReason::BrakeSoft));
    }
    assert!(state.decide(&config, Priority::P1, now).admitted);
    assert!(state.decide(&config, Priority::P0, now).admitted);
    assert_eq!(state.view(&config, now).new_last_minute, 205, "held ones count in the rate");
    assert_eq!(state.view(&config, now).priorities[0].used, 0, "held ones use no budget");
}

#[test]
fn the_hard_brake_holds_everything() {
    let config = ThrottleConfig::default();
    let mut state = ThrottleState::default();
    assert!(flood(&mut state, &config, 1_000, at(0)).admitted);
    let decision = state.decide(&config, Priority::P0, at(1));
    assert_eq!(decision.reason, Some(HoldReason::BrakeHard));
    assert_eq!(
        decision.brake_change.map(|c| (c.from, c.to)),
        Some((Brake::Soft, Brake::Hard)),
        "it went through soft before"
    );
    assert_eq!(state.free_budget(&config, Priority::P0, at(1)), 0);
    assert!(!state.take_promotion(&config, Priority::P0, at(1)));
}

/// Second 0 of the flood starts a whole second, so that the ring's seconds are the test's seconds.
#[test]
fn the_brake_releases_after_a_full_calm_minute_however_rarely_anyone_looks() {
    let config = ThrottleConfig::default();
    for looks in [vec![], (0..119).collect::<Vec<i64>>()] {
        let mut state = ThrottleState::default();
        flood(&mut state, &config, 201, at(0));
        for second in looks {
            assert_eq!(state.tick(&config, at(second * SECOND)), None, "second {second}");
        }
        assert_eq!(state.tick(&config, at(120 * SECOND - 1)), None, "calm since second 60 only");
        assert_eq!(state.view(&config, at(120 * SECOND - 1)).brake, Brake::Soft);
        assert_eq!(state.view(&config, at(120 * SECOND)).brake, Brake::Off);
        assert_eq!(
            state.tick(&config, at(120 * SECOND)),
            Some(BrakeChange { from: Brake::Soft, to: Brake::Off, at: at(120 * SECOND) })
        );
        assert_eq!(state.tick(&config, at(121 * SECOND)), None, "once");
    }
}

#[test]
fn a_rate_at_half_of_the_threshold_does_not_release() {
    let config = ThrottleConfig::default();
    let mut state = ThrottleState::default();
    flood(&mut state, &config, 201, at(0));
    // 100 a minute is half of 200: not below it.
    for minute in 1..=10 {
        flood(&mut state, &config, 100, at(minute * MINUTE - SECOND));
        assert_eq!(state.view(&config, at(minute * MINUTE)).brake, Brake::Soft, "minute {minute}");
    }
    // 99 a minute is below.
    for minute in 11..=13 {
        flood(&mut state, &config, 99, at(minute * MINUTE - SECOND));
    }
    assert_eq!(state.view(&config, at(13 * MINUTE)).brake, Brake::Off);
}

#[test]
fn hard_goes_down_by_way_of_soft_when_the_rate_is_between() {
    let config = ThrottleConfig::default();
    let mut state = ThrottleState::default();
    flood(&mut state, &config, 1_001, at(0));
    let mut seen = Vec::new();
    for second in 1..600 {
        if second <= 300 {
            for _ in 0..5 {
                seen.extend(state.decide(&config, Priority::P4, at(second * SECOND)).brake_change);
            }
        }
        seen.extend(state.tick(&config, at(second * SECOND)));
    }
    let steps: Vec<_> = seen.iter().map(|c| (c.from, c.to, c.at.since(at(0)) / SECOND)).collect();
    // 300 a minute keep it soft; after second 300 the rate halves to below 100 when 19 seconds of it are left.
    assert_eq!(steps, [(Brake::Hard, Brake::Soft, 120), (Brake::Soft, Brake::Off, 401)]);
}

#[test]
fn promotions_use_the_same_budget_and_do_not_feed_the_brake() {
    let config = ThrottleConfig::default();
    let mut state = ThrottleState::default();
    for _ in 0..10 {
        assert!(state.decide(&config, Priority::P2, at(0)).admitted);
    }
    assert_eq!(state.free_budget(&config, Priority::P2, at(1)), 5);
    for _ in 0..5 {
        assert!(state.take_promotion(&config, Priority::P2, at(1)));
    }
    assert!(!state.take_promotion(&config, Priority::P2, at(1)));
    assert!(!state.decide(&config, Priority::P2, at(1)).admitted);
    assert_eq!(state.view(&config, at(1)).new_last_minute, 11);
    assert_eq!(state.free_budget(&config, Priority::P2, at(HOUR)), 10);
}

#[test]
fn nothing_is_promoted_while_the_brake_holds_its_priority() {
    let config = ThrottleConfig::default();
    let mut state = ThrottleState::default();
    flood(&mut state, &config, 201, at(0));
    assert_eq!(state.free_budget(&config, Priority::P2, at(1)), 0);
    assert!(!state.take_promotion(&config, Priority::P2, at(1)));
    assert!(state.take_promotion(&config, Priority::P1, at(1)));
    assert!(state.take_promotion(&config, Priority::P2, at(120 * SECOND)), "it would be released by now");
    assert!(state.tick(&config, at(120 * SECOND)).is_some(), "and the change is still told");
}

#[test]
fn the_view_tells_when_a_place_is_free_again() {
    let mut config = ThrottleConfig::default();
    let mut state = ThrottleState::default();
    for i in 0..5 {
        assert!(state.decide(&config, Priority::P3, at(i)).admitted);
    }
    let p3 = |state: &ThrottleState, config: &ThrottleConfig, now| state.view(config, now).priorities[1];
    assert_eq!(
        p3(&state, &config, at(10)),
        PriorityUse {
            priority: Priority::P3,
            used: 5,
            limit: 5,
            window_seconds: 14_400,
            frees_at: Some(at(4 * HOUR)),
        }
    );
    assert_eq!(p3(&state, &config, at(4 * HOUR)).frees_at, None);
    config.p3_per_4_hours = 2;
    assert_eq!(p3(&state, &config, at(10)).frees_at, Some(at(4 * HOUR + 3)), "three must leave first");
    config.p3_per_4_hours = 0;
    assert_eq!(p3(&state, &config, at(10)).frees_at, None, "never");
}

#[test]
fn disabled_admits_everything_and_lets_go_of_the_brake() {
    let config = ThrottleConfig::default();
    let off = ThrottleConfig { enabled: false, ..config.clone() };
    let mut state = ThrottleState::default();
    flood(&mut state, &config, 1_001, at(0));
    let decision = state.decide(&off, Priority::P4, at(1));
    assert!(decision.admitted);
    assert_eq!(decision.brake_change.map(|c| (c.from, c.to)), Some((Brake::Hard, Brake::Off)));
    for i in 0..5_000 {
        assert!(state.decide(&off, Priority::P4, at(i)).admitted);
    }
    assert_eq!(state.free_budget(&off, Priority::P4, at(1)), u32::MAX);
}

#[test]
fn reset_forgets_windows_and_releases_the_brake() {
    let config = ThrottleConfig::default();
    let mut state = ThrottleState::default();
    assert!(state.decide(&config, Priority::P4, at(0)).admitted);
    flood(&mut state, &config, 1_001, at(0));
    assert_eq!(state.reset(at(1)).map(|c| (c.from, c.to)), Some((Brake::Hard, Brake::Off)));
    assert_eq!(state.free_budget(&config, Priority::P4, at(1)), 2);
}

#[test]
fn jitter_between_threads_neither_frees_nor_blocks() {
    let config = ThrottleConfig::default();
    let mut state = ThrottleState::default();
    assert!(state.decide(&config, Priority::P4, at(0)).admitted);
    assert!(state.decide(&config, Priority::P4, at(-30 * SECOND)).admitted);
    assert!(!state.decide(&config, Priority::P4, at(-30 * SECOND)).admitted);
    assert!(!state.decide(&config, Priority::P4, at(DAY - SECOND)).admitted);
    assert!(state.decide(&config, Priority::P4, at(DAY)).admitted);
}

#[test]
fn a_clock_set_back_a_year_does_not_stick_anything() {
    let config = ThrottleConfig::default();
    let mut state = ThrottleState::default();
    let wrong = at(366 * DAY);
    for _ in 0..2 {
        assert!(state.decide(&config, Priority::P4, wrong).admitted);
    }
    flood(&mut state, &config, 1_001, wrong);
    assert!(!state.decide(&config, Priority::P4, at(0)).admitted, "what was used stays used");
    assert_eq!(
        state.view(&config, at(0)).priorities[2].frees_at,
        Some(at(DAY)),
        "a day from now, not in a year"
    );
    assert!(state.tick(&config, at(119 * SECOND)).is_none());
    assert_eq!(state.tick(&config, at(121 * SECOND)).map(|c| c.to), Some(Brake::Off));
    assert!(state.decide(&config, Priority::P4, at(DAY)).admitted);
}

#[test]
fn a_damaged_state_heals() {
    let far = "2999-01-01T00:00:00.000000Z";
    let json = format!(
        r#"{{"latest":"{far}","p2":["{far}","{far}"],
            "brake":{{"level":"hard","second":9223372036854775807,"slots":[4294967295,4294967295,7],
                      "calm_soft":"{far}","calm_hard":"{far}"}}}}"#
    );
    let mut state: ThrottleState = serde_json::from_str(&json).unwrap();
    let config = ThrottleConfig::default();
    state.tick(&config, at(0));
    assert_eq!(state.tick(&config, at(3 * MINUTE)).map(|c| c.to), Some(Brake::Off));
    assert_eq!(state.free_budget(&config, Priority::P2, at(HOUR)), 15);
}

#[test]
fn the_state_survives_json() {
    let config = ThrottleConfig::default();
    let mut state = ThrottleState::default();
    for priority in Priority::ALL {
        state.decide(&config, priority, at(0));
    }
    flood(&mut state, &config, 300, at(1));
    let copy: ThrottleState = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
    assert_eq!(copy, state);
}

#[test]
fn an_error_that_comes_again_is_not_one_more() {
    let config = ThrottleConfig { p4_per_day: 1, ..ThrottleConfig::default() };
    let mut state = ThrottleState::default();
    assert!(state.decide(&config, Priority::P4, at(0)).admitted);
    assert_eq!(state.decide(&config, Priority::P4, at(1)).reason, Some(HoldReason::PriorityLimit));
    for _ in 0..5_000 {
        let again = state.decide_again(&config, Priority::P4, at(2));
        assert_eq!((again.reason, again.brake_change), (Some(HoldReason::PriorityLimit), None));
    }
    assert_eq!(state.view(&config, at(3)).new_last_minute, 2);
    // It finds the budget that the others leave, and uses it.
    assert!(state.decide_again(&config, Priority::P4, at(DAY + 1)).admitted);
    assert!(!state.decide_again(&config, Priority::P4, at(DAY + 2)).admitted);
}

#[test]
fn reasons_have_one_word_everywhere() {
    for reason in [HoldReason::PriorityLimit, HoldReason::BrakeSoft, HoldReason::BrakeHard] {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
    }
}

fn priority() -> impl Strategy<Value = Priority> {
    prop_oneof![
        Just(Priority::P0),
        Just(Priority::P1),
        Just(Priority::P2),
        Just(Priority::P3),
        Just(Priority::P4)
    ]
}

/// What the specification says, told naively: all times are kept, and the brake is run second by second.
#[derive(Default)]
struct Model {
    admitted: BTreeMap<Priority, Vec<i64>>,
    seconds: Vec<i64>,
    brake: Brake,
    calm: [i64; 2],
    clock: i64,
}

impl Model {
    fn rate(&self, second: i64) -> u32 {
        let count = self.seconds.iter().rev().take_while(|s| **s >= second - 59).count();
        u32::try_from(count).unwrap()
    }

    fn note(&mut self, config: &ThrottleConfig, second: i64) {
        let rate = self.rate(second);
        let thresholds = [config.brake_new_per_minute, config.brake_hard_new_per_minute];
        for (calm, threshold) in self.calm.iter_mut().zip(thresholds) {
            if rate * 2 >= threshold {
                *calm = second + 1;
            }
        }
    }

    /// Reckons in whole seconds, so the test sends whole seconds.
    fn decide(&mut self, config: &ThrottleConfig, priority: Priority, second: i64) -> bool {
        while self.clock < second {
            self.clock += 1;
            self.note(config, self.clock);
        }
        let calm_for = |calm: i64| second - calm >= 60;
        self.brake = match self.brake {
            Brake::Off => Brake::Off,
            _ if calm_for(self.calm[0]) => Brake::Off,
            Brake::Hard if calm_for(self.calm[1]) => Brake::Soft,
            level => level,
        };
        self.seconds.push(second);
        self.note(config, second);
        let rate = self.rate(second);
        if rate > config.brake_hard_new_per_minute {
            self.brake = Brake::Hard;
        } else if rate > config.brake_new_per_minute {
            self.brake = self.brake.max(Brake::Soft);
        }
        if self.brake.holds(priority) {
            return false;
        }
        let Some((limit, window)) = config.budget(priority) else { return true };
        let admitted = self.admitted.entry(priority).or_default();
        let used = admitted.iter().filter(|at| (second - **at) * SECOND < window).count();
        if used >= limit as usize {
            return false;
        }
        admitted.push(second);
        true
    }
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn decides_as_the_naive_model_does(
        steps in prop::collection::vec((priority(), prop_oneof![6 => 0..3_i64, 1 => 0..90_i64, 1 => 0..5_000_i64]), 1..120),
        p2 in 0..6_u32,
        soft in 1..12_u32,
        hard in 0..12_u32,
    ) {
        let config = ThrottleConfig {
            p2_per_hour: p2,
            brake_new_per_minute: soft,
            brake_hard_new_per_minute: soft + hard,
            ..ThrottleConfig::default()
        };
        let start = T0 / SECOND;
        let mut model = Model { clock: start - 1, calm: [start, start], ..Model::default() };
        let mut state = ThrottleState::default();
        let mut second = start;
        for (i, (priority, pause)) in steps.into_iter().enumerate() {
            second += pause;
            let now = Timestamp::from_micros(second * SECOND);
            let expected = model.decide(&config, priority, second);
            let decision = state.decide(&config, priority, now);
            prop_assert_eq!(decision.admitted, expected, "step {} {:?} at {}", i, priority, second - start);
            prop_assert_eq!(decision.admitted, decision.reason.is_none());
            prop_assert_eq!(state.view(&config, now).new_last_minute, model.rate(second));
        }
    }

    #[test]
    fn never_admits_more_than_the_limit_in_any_window(
        pauses in prop::collection::vec(0..HOUR, 1..200),
        limit in 0..8_u32,
        promote in prop::collection::vec(prop::bool::ANY, 200),
    ) {
        let config = ThrottleConfig { p2_per_hour: limit, ..ThrottleConfig::default() };
        let mut state = ThrottleState::default();
        let mut now = at(0);
        let mut admitted = Vec::new();
        for (pause, promote) in pauses.into_iter().zip(promote) {
            now = now.plus(pause / 20);
            let free = state.free_budget(&config, Priority::P2, now);
            let passed = if promote {
                state.take_promotion(&config, Priority::P2, now)
            } else {
                state.decide(&config, Priority::P2, now).admitted
            };
            prop_assert_eq!(passed, free > 0);
            if passed {
                admitted.push(now);
            }
        }
        for (i, first) in admitted.iter().enumerate() {
            let within = admitted[i..].iter().filter(|at| at.since(*first) < HOUR).count();
            prop_assert!(within <= limit as usize, "{} in an hour", within);
        }
    }

    #[test]
    fn a_mad_clock_neither_grows_nor_sticks_it(
        steps in prop::collection::vec((priority(), prop::num::i64::ANY), 1..300),
        end in -1_000 * DAY..1_000 * DAY,
    ) {
        let config = ThrottleConfig { brake_new_per_minute: 5, brake_hard_new_per_minute: 9, ..ThrottleConfig::default() };
        let mut state = ThrottleState::default();
        for (priority, micros) in steps {
            state.decide(&config, priority, Timestamp::from_micros(micros));
        }
        prop_assert!(state.p2.len() <= 15 && state.p3.len() <= 5 && state.p4.len() <= 2);
        state.tick(&config, at(end));
        state.tick(&config, at(end + 4 * MINUTE));
        let view = state.view(&config, at(end + 4 * MINUTE));
        prop_assert_eq!(view.brake, Brake::Off);
        prop_assert_eq!(state.free_budget(&config, Priority::P4, at(end + DAY + 2 * MINUTE)), 2);
    }
}
