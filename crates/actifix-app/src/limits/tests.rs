use super::*;
use actifix_domain::access::Role;
use actifix_domain::time::Timestamp;

fn limiter(per_minute: u32, per_hour: u32, per_day: u32) -> Limiter {
    let limits = ApiLimits {
        per_minute,
        per_hour,
        instance_per_day: per_day,
        admin_reserve_percent: 10,
        login_per_minute: 10,
    };
    Limiter::new(limits, false, [7; 32])
}

fn token(id: &str, role: Role) -> Actor {
    Actor::Token { id: id.to_owned(), scopes: role.scopes(), project: None }
}

fn network(text: &str) -> Principal<'static> {
    Principal::Network(Some(text.parse().unwrap()))
}

fn admitted(limiter: &Limiter, principal: Principal<'_>, many: usize, now: i64) -> usize {
    (0..many).filter(|_| limiter.decide(principal, true, now).admitted).count()
}

#[test]
fn fifty_at_once_get_exactly_the_limit() {
    let limiter = limiter(600, 10_000, 1_000_000);
    let actor = token("a", Role::Viewer);
    let all: usize = std::thread::scope(|scope| {
        let each: Vec<_> = (0..50)
            .map(|_| scope.spawn(|| admitted(&limiter, Principal::Actor(&actor), 40, 5 * SECOND)))
            .collect();
        each.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(all, 600);
    let refused = limiter.decide(Principal::Actor(&actor), true, 5 * SECOND);
    assert!(!refused.admitted && (56..=61).contains(&refused.retry_after_seconds), "{refused:?}");
    assert!(limiter.decide(Principal::Actor(&token("b", Role::Viewer)), true, 5 * SECOND).admitted);
}

#[test]
fn one_network_of_ipv6_is_one_client_and_tokens_of_one_network_are_many() {
    let limiter = limiter(10, 100, 1_000);
    let hops: usize =
        (0..40).map(|last| admitted(&limiter, network(&format!("2001:db8::{last:x}")), 1, 0)).sum();
    assert_eq!(hops, 10);
    assert_eq!(admitted(&limiter, network("2001:db8:0:1::1"), 1, 0), 1);
    assert_eq!(admitted(&limiter, network("192.0.2.1"), 20, 0), 10);
    assert_eq!(admitted(&limiter, network("::ffff:192.0.2.1"), 1, 0), 0);
    for id in ["a", "b", "c"] {
        assert_eq!(admitted(&limiter, Principal::Actor(&token(id, Role::Agent)), 20, 0), 10);
    }
}

/// Draft 11 of RateLimit: `t` is what is left of the window that `w` tells.
#[test]
fn no_quota_eases_later_than_its_window_is_long() {
    for offset in [0, 1, SECOND / 2, SECOND - 1, MINUTE + 1, HOUR - 1] {
        let limiter = limiter(10, 12, 1_000);
        let actor = token("a", Role::Viewer);
        for step in 0..20 {
            let decision = limiter.decide(Principal::Actor(&actor), true, offset + step * 7 * SECOND / 3);
            for quota in &decision.quotas {
                assert!(quota.eases_seconds <= quota.window_seconds, "{offset} {step}: {quota:?}");
            }
        }
    }
}

#[test]
fn the_hour_holds_where_the_minute_would_not() {
    let limiter = limiter(10, 25, 1_000);
    let actor = token("a", Role::Viewer);
    let mut all = 0;
    for minute in 0..60 {
        all += admitted(&limiter, Principal::Actor(&actor), 20, minute * 62 * SECOND / 2);
    }
    assert_eq!(all, 25);
    let refused = limiter.decide(Principal::Actor(&actor), true, 31 * MINUTE);
    let hour = refused.quotas.iter().find(|quota| quota.name == "hour").unwrap();
    assert_eq!((hour.limit, hour.remaining, hour.window_seconds), (25, 0, 3_600));
}

#[test]
fn the_day_of_the_instance_keeps_a_reserve_for_administrators() {
    let limiter = limiter(1_000, 1_000, 100);
    assert_eq!(admitted(&limiter, Principal::Actor(&token("a", Role::Operator)), 200, 0), 90);
    assert_eq!(admitted(&limiter, Principal::Actor(&token("b", Role::Viewer)), 1, 0), 0);
    assert_eq!(admitted(&limiter, Principal::Actor(&token("c", Role::Admin)), 200, 0), 10);
    let refused = limiter.decide(Principal::Actor(&token("c", Role::Admin)), true, 0);
    assert!(refused.quotas.iter().any(|quota| quota.name == "day" && quota.remaining == 0));
    // Strangers never use the day up.
    assert_eq!(admitted(&limiter, network("192.0.2.1"), 5, 0), 5);
}

#[test]
fn a_restart_gives_nobody_a_second_hour() {
    let before = limiter(10, 10, 100);
    let actor = token("a", Role::Viewer);
    admitted(&before, Principal::Actor(&actor), 10, HOUR);
    admitted(&before, network("192.0.2.1"), 10, HOUR);
    let saved = |wall: i64| {
        let rows = before.take_unwritten(HOUR);
        before.state.lock().unwrap().unwritten.extend(rows.iter().map(|(id, _)| *id));
        let row =
            |(principal, counts)| ApiCounter { principal, saved_at: Timestamp::from_micros(wall), counts };
        rows.into_iter().map(row).collect::<Vec<_>>()
    };
    let wall = 1_000 * DAY;
    for (later, free) in [(0, 0), (30 * MINUTE, 0), (-2 * HOUR, 0), (62 * MINUTE, 10)] {
        let after = limiter(10, 10, 100);
        after.restore(saved(wall), wall + later, 3 * SECOND);
        assert_eq!(admitted(&after, Principal::Actor(&actor), 20, 3 * SECOND), free, "{later}");
        assert_eq!(admitted(&after, network("192.0.2.1"), 20, 3 * SECOND), free, "{later}");
        assert_eq!(after.state.lock().unwrap().day.used(DAY, 3 * SECOND), 10 + free as u64);
    }
}

#[test]
fn a_flood_of_networks_is_bounded_and_shuts_out_its_neighbours_first() {
    let limiter = limiter(10, 100, 1_000);
    let actor = token("a", Role::Viewer);
    assert_eq!(admitted(&limiter, Principal::Actor(&actor), 3, 0), 3);
    for number in 0..30_000u32 {
        let address = IpAddr::V6((0x2001_0db8u128 << 96 | u128::from(number) << 64).into());
        limiter.decide(Principal::Network(Some(address)), true, 0);
    }
    {
        let state = limiter.state.lock().unwrap();
        assert!(state.networks.len() <= NETWORKS_MAX && state.shards.len() <= usize::from(SHARDS));
    }
    assert_eq!(admitted(&limiter, network("2001:db8:0:ffff::1"), 1, 0), 0, "a neighbour of the flood");
    let far =
        (1..40).filter(|third| admitted(&limiter, network(&format!("198.{third}.0.1")), 1, 0) == 1).count();
    assert!(far >= 30, "{far} of 39 strangers elsewhere still get an answer");
    assert_eq!(admitted(&limiter, Principal::Actor(&actor), 20, 0), 7, "who is known notices nothing");
    // When the flood is over, its room is given to others.
    assert_eq!(admitted(&limiter, network("203.0.113.9"), 1, 2 * HOUR), 1);
    assert!(limiter.state.lock().unwrap().networks.len() < 10);
}

#[test]
fn a_proven_credential_passes_where_its_network_may_not() {
    let limiter = limiter(10, 100, 1_000);
    limiter.prove(b"good", 0);
    assert!(limiter.is_proven(b"good", PROVEN_MICROS - 1) && !limiter.is_proven(b"good", PROVEN_MICROS));
    assert!(!limiter.is_proven(b"bad", 0));
    for number in 0..20_000u32 {
        limiter.prove(&number.to_be_bytes(), 0);
    }
    assert!(limiter.state.lock().unwrap().proven.len() <= PROVEN_MAX);
}
