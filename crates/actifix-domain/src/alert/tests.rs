use super::*;
use crate::ticket::Priority::{P0, P1, P2, P3, P4};
use crate::time::{DAY, HOUR, MINUTE, SECOND};
use proptest::prelude::*;
use std::net::IpAddr;

const NOON: Timestamp = Timestamp::from_micros(1_795_000_000_000_000 / DAY * DAY + 12 * HOUR);

fn rule(triggers: &[Trigger]) -> AlertRule {
    AlertRule { name: "r".into(), triggers: triggers.to_vec(), ..AlertRule::default() }
}

fn signal(trigger: Trigger, subject: &str) -> Signal {
    Signal {
        project: Some(ProjectId(1)),
        level: Some(Level::Error),
        priority: Some(P1),
        environment: Some("production".into()),
        release: Some("shop@2.1.0".into()),
        culprit: "shop/payment.py in charge".into(),
        tags: BTreeMap::from([("region".to_owned(), "eu-1".to_owned())]),
        ..Signal::new(trigger, NOON, subject, "PaymentError: declined")
    }
}

#[test]
fn a_rule_hears_its_triggers_where_its_conditions_hold() {
    let base = rule(&[Trigger::New, Trigger::Regressed]);
    let when = |when: Conditions| AlertRule { when, ..base.clone() };
    let globs = |pattern: &str| vec![pattern.to_owned()];
    for (rule, hears) in [
        (base.clone(), true),
        (AlertRule { enabled: false, ..base.clone() }, false),
        (rule(&[Trigger::Spike]), false),
        (AlertRule { project: Some(ProjectId(1)), ..base.clone() }, true),
        (AlertRule { project: Some(ProjectId(2)), ..base.clone() }, false),
        (when(Conditions { priority_min: Some(P1), ..Conditions::default() }), true),
        (when(Conditions { priority_min: Some(P0), ..Conditions::default() }), false),
        (when(Conditions { level_min: Some(Level::Fatal), ..Conditions::default() }), false),
        (when(Conditions { level_min: Some(Level::Warning), ..Conditions::default() }), true),
        (when(Conditions { environment: globs("prod*"), ..Conditions::default() }), true),
        (when(Conditions { environment: globs("staging"), ..Conditions::default() }), false),
        (when(Conditions { release: globs("shop@2.*"), ..Conditions::default() }), true),
        (when(Conditions { source: globs("shop/payment.py*"), ..Conditions::default() }), true),
        (when(Conditions { source: globs("cart*"), ..Conditions::default() }), false),
        (when(Conditions { tags: [("region".into(), "eu-*".into())].into(), ..Conditions::default() }), true),
        (when(Conditions { tags: [("zone".into(), "*".into())].into(), ..Conditions::default() }), false),
    ] {
        assert_eq!(rule.matches(&signal(Trigger::New, "a")), hears, "{rule:?}");
    }
    let own = Signal { rule: Some("other".into()), ..signal(Trigger::New, "a") };
    assert!(!base.matches(&own), "a threshold of another rule");
    let bare = Signal { environment: None, ..signal(Trigger::New, "a") };
    assert!(!when(Conditions { environment: globs("*"), ..Conditions::default() }).matches(&bare));
}

#[test]
fn rules_that_make_no_sense_are_refused_by_member() {
    let good = rule(&[Trigger::New]);
    assert_eq!(good.validate(), Ok(()));
    for (member, bad) in [
        ("name", AlertRule { name: "A b".into(), ..good.clone() }),
        ("name", AlertRule { name: "x".repeat(65), ..good.clone() }),
        ("triggers", AlertRule { triggers: vec![], ..good.clone() }),
        ("rate", rule(&[Trigger::Rate])),
        ("rate", AlertRule { rate: Some(Rate { count: 1, minutes: 1 }), ..good.clone() }),
        ("rate", AlertRule { rate: Some(Rate { count: 0, minutes: 1 }), ..rule(&[Trigger::Rate]) }),
        ("rate", AlertRule { rate: Some(Rate { count: 1, minutes: 1_441 }), ..rule(&[Trigger::Rate]) }),
        ("users", rule(&[Trigger::Users])),
        ("users", AlertRule { users: Some(0), ..rule(&[Trigger::Users]) }),
        ("burst", AlertRule { burst: 0, ..good.clone() }),
        ("digest_minutes", AlertRule { digest_minutes: 0, ..good.clone() }),
        ("cooldown_minutes", AlertRule { cooldown_minutes: 10_081, ..good.clone() }),
        ("endpoints", AlertRule { endpoints: vec!["a".into(); 51], ..good.clone() }),
        (
            "when",
            AlertRule {
                when: Conditions { release: vec![String::new()], ..Conditions::default() },
                ..good.clone()
            },
        ),
    ] {
        assert_eq!(bad.validate().unwrap_err().0, member, "{bad:?}");
    }
    assert!(default_rules().iter().all(|rule| rule.validate().is_ok()));
    for text in ["{\"triggers\":[\"new\"],\"colour\":1}", "{\"triggers\":[\"never\"]}"] {
        assert!(serde_json::from_str::<AlertRule>(text).is_err(), "{text}");
    }
}

#[test]
fn the_same_is_said_once_within_the_cooldown() {
    let rule = rule(&[Trigger::New, Trigger::Regressed]);
    let mut state = RuleState::default();
    assert_eq!(state.offer(&rule, &signal(Trigger::New, "a"), NOON), Verdict::Send);
    assert_eq!(state.offer(&rule, &signal(Trigger::New, "a"), NOON.plus(59 * MINUTE)), Verdict::Repeated);
    assert_eq!(state.offer(&rule, &signal(Trigger::Regressed, "a"), NOON.plus(MINUTE)), Verdict::Send);
    assert_eq!(state.offer(&rule, &signal(Trigger::New, "b"), NOON.plus(MINUTE)), Verdict::Send);
    assert_eq!(state.offer(&rule, &signal(Trigger::New, "a"), NOON.plus(60 * MINUTE)), Verdict::Send);
    // The clock goes back: silence for no longer than the cooldown from then on.
    let back = NOON.plus(-DAY);
    assert_eq!(state.offer(&rule, &signal(Trigger::New, "a"), back), Verdict::Repeated);
    assert_eq!(state.offer(&rule, &signal(Trigger::New, "a"), back.plus(HOUR)), Verdict::Send);
}

#[test]
fn a_flood_ends_in_one_digest() {
    let rule = AlertRule { burst: 3, digest_minutes: 10, ..rule(&[Trigger::New]) };
    let mut state = RuleState::default();
    let verdicts: Vec<Verdict> = (0..500)
        .map(|number| {
            state.offer(&rule, &signal(Trigger::New, &format!("t{number}")), NOON.plus(number * SECOND / 10))
        })
        .collect();
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Send).count(), 3);
    let due = state.digest_at().unwrap();
    assert_eq!(state.take_digest(&rule, due.plus(-1)), None);
    let digest = state.take_digest(&rule, due).unwrap();
    assert_eq!((digest.count, digest.samples.len()), (497, SAMPLES_MAX));
    assert_eq!(digest.samples[0].subject, "t3");
    assert_eq!(state.take_digest(&rule, due.plus(DAY)), None, "once");
}

#[test]
fn p0_does_not_wait_behind_noise_and_is_named() {
    let rule = AlertRule { burst: 3, digest_minutes: 10, ..rule(&[Trigger::New]) };
    let mut state = RuleState::default();
    let mut offer = |priority, subject: String| {
        state.offer(&rule, &Signal { priority: Some(priority), ..signal(Trigger::New, &subject) }, NOON)
    };
    for number in 0..100 {
        offer(P3, format!("noise{number}"));
    }
    let urgent: Vec<Verdict> = (0..20).map(|number| offer(P0, format!("urgent{number}"))).collect();
    let sent = urgent.iter().take_while(|verdict| **verdict == Verdict::Send).count();
    assert_eq!(sent, URGENT_MAX);
    assert!(urgent[sent..].iter().all(|verdict| *verdict == Verdict::Gathered), "not without bound");
    let digest = state.take_digest(&rule, NOON.plus(10 * MINUTE)).unwrap();
    let named: Vec<&str> = digest.samples.iter().map(|sample| sample.subject.as_str()).collect();
    let most: Vec<String> = (sent..sent + SAMPLES_MAX).map(|number| format!("urgent{number}")).collect();
    assert_eq!(named, most);
    assert_eq!(digest.count, 97 + 17);
}

#[test]
fn quiet_hours_hold_back_until_the_morning_but_not_what_is_pressing() {
    let quiet = QuietHours { hours: "22:00-07:00 Europe/Berlin".parse().unwrap(), except: Some(P0) };
    let rule = AlertRule { quiet: Some(quiet), ..rule(&[Trigger::New]) };
    let mut state = RuleState::default();
    let night = Timestamp::parse("2026-11-24T23:30:00Z").unwrap();
    assert_eq!(state.offer(&rule, &signal(Trigger::New, "a"), night), Verdict::Gathered);
    let pressing = Signal { priority: Some(P0), ..signal(Trigger::New, "b") };
    assert_eq!(state.offer(&rule, &pressing, night), Verdict::Send, "though a digest waits");
    let morning = Timestamp::parse("2026-11-25T06:00:00Z").unwrap();
    assert_eq!(state.digest_at(), Some(morning), "07:00 in Berlin");
    assert_eq!(state.take_digest(&rule, morning.plus(-1)), None);
    assert_eq!(state.take_digest(&rule, morning).unwrap().count, 1);
    for (text, inside, outside) in [
        ("09:00-17:00", "2026-11-24T09:00:00Z", "2026-11-24T17:00:00Z"),
        ("22:00-07:00", "2026-11-24T06:59:00Z", "2026-11-24T07:00:00Z"),
        // Summer and winter time.
        ("08:00-09:00 America/New_York", "2026-07-01T12:30:00Z", "2026-12-01T12:30:00Z"),
    ] {
        let hours: DailyHours = text.parse().unwrap();
        assert!(hours.contain(Timestamp::parse(inside).unwrap()), "{text}");
        assert!(!hours.contain(Timestamp::parse(outside).unwrap()), "{text}");
        assert_eq!(hours.to_string().parse(), Ok(hours));
    }
    for bad in [
        "",
        "22-7",
        "22:00",
        "24:00-07:00",
        "22:60-07:00",
        "07:00-07:00",
        "22:00-07:00 Nowhere/City",
        "2:00-3:00",
    ] {
        assert!(bad.parse::<DailyHours>().is_err(), "{bad}");
    }
}

#[test]
fn a_mute_ends_by_time_count_or_return() {
    let seen = |count| Signal { count, ..signal(Trigger::Rate, "a") };
    let until = |mute: Mute, count, now: Timestamp| mute.holds(&seen(count), now);
    assert!(until(Mute::default(), u64::MAX, NOON.plus(365 * DAY)), "for good");
    let mute = Mute { until: Some(NOON), ..Mute::default() };
    assert!(until(mute.clone(), 1, NOON.plus(-1)) && !until(mute, 1, NOON));
    let mute = Mute { until_count: Some(100), ..Mute::default() };
    assert!(until(mute.clone(), 99, NOON) && !until(mute, 100, NOON));
    let mute = Mute { until_regression: true, ..Mute::default() };
    assert!(until(mute.clone(), 1, NOON) && !mute.holds(&signal(Trigger::Regressed, "a"), NOON));
}

#[test]
fn a_rate_that_sways_is_said_once() {
    let rate = Rate { count: 10, minutes: 10 };
    let mut window = Window::default();
    let said = |window: &mut Window, from: i64, many: i64, gap: i64| -> usize {
        (0..many).filter(|number| window.count(rate, from + number * gap)).count()
    };
    assert_eq!(said(&mut window, 0, 9, SECOND), 0);
    assert_eq!(
        said(&mut window, 10 * SECOND, 100, 55 * SECOND),
        1,
        "sways around the threshold for 90 minutes"
    );
    let later = 4 * HOUR;
    assert_eq!(said(&mut window, later, 10, SECOND), 1, "said anew after it fell below half");
}

#[test]
fn nobody_is_interested_without_a_channel_and_projects_have_their_own() {
    let rules = [
        rule(&[Trigger::New]),
        AlertRule { name: "s".into(), project: Some(ProjectId(2)), ..rule(&[Trigger::Spike]) },
        AlertRule { name: "off".into(), enabled: false, ..rule(&[Trigger::Finding]) },
    ];
    let none = Interests::new(&rules, false, true);
    assert!(none.of(ProjectId(1)).is_empty() && none.of(ProjectId(2)).is_empty());
    let some = Interests::new(&rules, true, false);
    assert!(some.of(ProjectId(1)).has(Trigger::New) && !some.of(ProjectId(1)).has(Trigger::Spike));
    assert!(some.of(ProjectId(2)).has(Trigger::New) && some.of(ProjectId(2)).has(Trigger::Spike));
    assert!(!some.of(ProjectId(1)).has(Trigger::Finding) && !some.everywhere().has(Trigger::Resolved));
    assert!(Interests::new(&[], true, true).everywhere().has(Trigger::Resolved));
}

#[test]
fn only_public_addresses_are_public() {
    for bad in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "169.254.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.170",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::10.0.0.1",
        "::8.8.8.8",
        "::ffff:0:8.8.8.8",
        "64:ff9b::10.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::8.8.8.8",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2002:808:808::1",
        "2001::1",
        "2001:db8::1",
        "2001:10::1",
        "2001:20::1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "100::1",
        "5f00::1",
        "4000::1",
    ] {
        assert!(!is_public(bad.parse().unwrap()), "{bad}");
    }
    for good in [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "198.17.255.255",
        "198.20.0.1",
        "223.255.255.254",
        "169.253.0.1",
        "2606:4700::1111",
        "2a00:1450::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2001:4860:4860::8888",
    ] {
        assert!(is_public(good.parse().unwrap()), "{good}");
    }
    let policy = AddressPolicy { allow_private: vec!["10.0.0.0/8".parse().unwrap()] };
    let of = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
    assert!(policy.permits_all(&of(&["10.1.2.3", "8.8.8.8", "::ffff:10.1.2.3"])));
    assert!(!policy.permits_all(&of(&["8.8.8.8", "192.168.0.1"])), "one bad address spoils the name");
    assert!(!policy.permits_all(&[]));
    assert!(!policy.permits("64:ff9b::10.0.0.1".parse().unwrap()));
}

#[test]
fn statuses_have_classes() {
    for (status, failure) in [
        (301, Failure::Redirect),
        (308, Failure::Redirect),
        (400, Failure::Refused),
        (404, Failure::Refused),
        (408, Failure::Unavailable),
        (410, Failure::Gone),
        (429, Failure::RateLimited),
        (500, Failure::Unavailable),
        (502, Failure::Unavailable),
        (504, Failure::Unavailable),
        (100, Failure::Protocol),
        (600, Failure::Protocol),
    ] {
        assert_eq!(Failure::of_status(status), failure, "{status}");
    }
}

fn priorities() -> impl Strategy<Value = Priority> {
    prop::sample::select(vec![P0, P1, P2, P3, P4])
}

proptest! {
    #[test]
    fn what_matches_is_sent_gathered_or_a_repetition_and_never_too_much(
        steps in prop::collection::vec((0i64..120, 0u8..40, priorities(), 0u8..4), 1..300),
        burst in 1u32..6, digest_minutes in 1u32..30, cooldown_minutes in 0u32..90, quiet in any::<bool>(),
    ) {
        let quiet = quiet.then(|| QuietHours { hours: "13:00-14:30".parse().unwrap(), except: Some(P0) });
        let rule = AlertRule { burst, digest_minutes, cooldown_minutes, quiet, ..rule(&[Trigger::New]) };
        let mut state = RuleState::default();
        let (mut now, mut messages) = (NOON, Vec::new());
        let (mut offered, mut sent, mut repeated, mut told) = (0u64, 0u64, 0u64, 0u64);
        for (gap, subject, priority, ticks) in steps {
            now = now.plus(gap * SECOND);
            let signal = Signal { priority: Some(priority), ..signal(Trigger::New, &subject.to_string()) };
            offered += 1;
            match state.offer(&rule, &signal, now) {
                Verdict::Send => { sent += 1; messages.push(now); }
                Verdict::Repeated => repeated += 1,
                Verdict::Gathered => {}
            }
            for _ in 0..ticks {
                now = now.plus(SECOND);
                if let Some(digest) = state.take_digest(&rule, now) {
                    prop_assert!(digest.count > 0 && digest.samples.len() <= SAMPLES_MAX);
                    told += digest.count;
                    messages.push(now);
                }
            }
            // Kept and read again it is the same.
            let kept = serde_json::to_string(&state).unwrap();
            prop_assert_eq!(&serde_json::from_str::<RuleState>(&kept).unwrap(), &state);
        }
        let end = now.plus(2 * DAY + HOUR);
        // Once more where that end lies within the quiet hours.
        for at in [end, end.plus(2 * HOUR)] {
            told += state.take_digest(&rule, at).map_or(0, |digest| digest.count);
        }
        prop_assert_eq!(offered, sent + repeated + told, "nothing is lost");
        let window = i64::from(digest_minutes) * MINUTE;
        for (place, start) in messages.iter().enumerate() {
            let within = messages[place..].iter().take_while(|at| at.since(*start) < window).count();
            // The burst, P0 past it, and digests: one that was due, one at the end of quiet hours, one of what came since.
            prop_assert!(within <= burst as usize + URGENT_MAX + 3, "{within} within {digest_minutes} minutes");
        }
    }

    #[test]
    fn delays_grow_are_bounded_and_honour_what_was_asked(streak in 0u32..100, random: u64, asked in prop::option::of(0u64..1 << 40)) {
        let delay = delay_micros(streak, random, asked);
        prop_assert!(delay >= SECOND);
        prop_assert!(delay <= DELAY_MICROS_MAX.max(6 * HOUR));
        if let Some(seconds) = asked {
            prop_assert!(delay >= (seconds as i64).saturating_mul(SECOND).min(6 * HOUR));
        } else {
            prop_assert!(delay <= (5 * SECOND).saturating_mul(4_i64.saturating_pow(streak.saturating_sub(1))).min(DELAY_MICROS_MAX));
        }
    }

    #[test]
    fn a_window_says_at_most_once_per_threshold_of_events(
        gaps in prop::collection::vec(0i64..60, 1..400), count in 1u32..30, minutes in 1u32..20,
    ) {
        let (rate, mut window, mut now, mut said) = (Rate { count, minutes }, Window::default(), 0i64, 0u64);
        let events = gaps.len() as u64;
        for gap in gaps {
            now += gap * SECOND;
            said += u64::from(window.count(rate, now));
        }
        prop_assert!(said * u64::from(count.div_ceil(2)) <= events, "{said} of {events}");
    }

    #[test]
    fn no_form_of_a_private_address_is_public(octets: [u8; 4]) {
        let v4 = std::net::Ipv4Addr::from(octets);
        let [a, b, c, d] = octets;
        let nat64 = std::net::Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let judged = is_public(IpAddr::V4(v4));
        prop_assert_eq!(is_public(IpAddr::V6(v4.to_ipv6_mapped())), judged);
        prop_assert_eq!(is_public(IpAddr::V6(nat64)), judged);
        if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() {
            prop_assert!(!judged);
        }
    }
}

/// At each bound a rule holds; one more and it is refused, by the name of what is too much.
#[test]
fn rules_hold_at_each_bound_and_are_refused_beyond() {
    type Change = fn(&mut AlertRule, usize);
    let bounds: [(&str, usize, Change); 10] = [
        ("name", NAME_CHARS_MAX, |rule, many| rule.name = "n".repeat(many)),
        ("endpoints", RULE_ENDPOINTS_MAX, |rule, many| rule.endpoints = vec!["n".into(); many]),
        ("cooldown_minutes", COOLDOWN_MINUTES_MAX as usize, |rule, many| rule.cooldown_minutes = many as u32),
        ("burst", BURST_MAX as usize, |rule, many| rule.burst = many as u32),
        ("digest_minutes", WINDOW_MINUTES_MAX as usize, |rule, many| rule.digest_minutes = many as u32),
        ("rate", WINDOW_MINUTES_MAX as usize, |rule, many| {
            rule.triggers = vec![Trigger::Rate];
            rule.rate = Some(Rate { count: 1, minutes: many as u32 });
        }),
        ("rate", 1_000_000, |rule, many| {
            rule.triggers = vec![Trigger::Rate];
            rule.rate = Some(Rate { count: many as u32, minutes: 1 });
        }),
        ("users", 10_000, |rule, many| {
            rule.triggers = vec![Trigger::Users];
            rule.users = Some(many as u64);
        }),
        ("when", 20, |rule, many| rule.when.environment = vec!["prod*".into(); many]),
        ("when", 20, |rule, many| {
            rule.when.tags = (0..many).map(|number| (format!("t{number}"), "x".to_owned())).collect();
        }),
    ];
    for (what, most, change) in bounds {
        for (many, fits) in [(1, true), (most, true), (most + 1, false)] {
            let mut rule = rule(&[Trigger::New]);
            change(&mut rule, many);
            let judged = rule.validate().map_err(|(field, _)| field);
            assert_eq!(judged, if fits { Ok(()) } else { Err(what) }, "{what}: {many}");
        }
    }
}

#[test]
fn what_a_rule_remembers_is_bounded() {
    let (rule, mut state) =
        (AlertRule { cooldown_minutes: 60, ..rule(&[Trigger::New]) }, RuleState::default());
    for number in 0..=TOLD_MAX {
        let now = NOON.plus(i64::try_from(number).unwrap());
        let verdict = state.offer(&rule, &signal(Trigger::New, &format!("s{number}")), now);
        assert_ne!(verdict, Verdict::Repeated, "{number}");
    }
    let now = NOON.plus(MINUTE);
    let again =
        |state: &mut RuleState, subject: &str| state.offer(&rule, &signal(Trigger::New, subject), now);
    assert_eq!(again(&mut state, "s1"), Verdict::Repeated, "as many as are remembered");
    assert_ne!(again(&mut state, "s0"), Verdict::Repeated, "the oldest was forgotten");
}

#[test]
fn each_failure_has_one_word_and_says_what_to_do() {
    let mut words: Vec<&str> = Failure::ALL.iter().map(|failure| failure.as_str()).collect();
    for word in &words {
        assert!(explain(word).is_some_and(|said| said.len() > 20), "{word}");
    }
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Failure::ALL.len());
    assert!(explain("expired").is_some() && explain("overflow").is_some());
    assert_eq!(explain("of another release"), None);
}

#[test]
fn a_clock_that_was_set_back_delays_no_digest_beyond_what_the_rule_says() {
    let day = AlertRule { burst: 1, digest_minutes: 10, ..rule(&[Trigger::New]) };
    let quiet = QuietHours { hours: "11:00-13:00".parse().unwrap(), except: None };
    let quiet = AlertRule { quiet: Some(quiet), ..day.clone() };
    for (rule, due_within) in [(&day, 10 * MINUTE), (&quiet, HOUR)] {
        let mut state = RuleState::default();
        let ahead = NOON.plus(40 * DAY);
        for subject in ["a", "b"] {
            state.offer(rule, &signal(Trigger::New, subject), ahead);
        }
        assert!(state.digest_at().unwrap() > ahead);
        assert!(state.clamp(rule, NOON), "it lies too far off");
        assert_eq!(state.digest_at(), Some(NOON.plus(due_within)));
        assert!(!state.clamp(rule, NOON.plus(MINUTE)), "and does not move on with the clock");
        assert_eq!(state.take_digest(rule, NOON.plus(due_within - 1)), None);
        assert!(state.take_digest(rule, NOON.plus(due_within)).is_some());
    }
    // Quiet hours that were taken away hold nothing back.
    let mut state = RuleState::default();
    state.offer(&quiet, &signal(Trigger::New, "a"), NOON);
    assert_eq!(state.digest_at(), Some(NOON.plus(HOUR)));
    assert!(state.clamp(&day, NOON));
    assert_eq!(state.digest_at(), Some(NOON.plus(10 * MINUTE)));
}
