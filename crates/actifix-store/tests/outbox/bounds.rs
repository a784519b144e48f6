//! What people see where more comes than there is room for.

use super::{House, status};
use actifix_app::ports::DeliveryQuery;
use actifix_domain::access::Actor;
use actifix_domain::alert::{AlertRule, RULE_STATES_MAX, Signal, Trigger};
use actifix_domain::id::ProjectId;
use actifix_domain::time::HOUR;
use actifix_testkit::NOW;

/// How many changes the messages of a rule stand for.
fn told(house: &House, rule: &str) -> u64 {
    let given = house.courier.given();
    let of = given.iter().filter(|given| given.body["data"]["rule"] == rule);
    of.map(|given| given.body["data"]["count"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn changes_beyond_what_can_wait_become_one_ticket_that_says_how_many() {
    let house = House::new().await;
    house.channel("ops").await;
    let triggers = vec![Trigger::Expiry];
    house
        .rule(AlertRule { name: "ends".into(), triggers, cooldown_minutes: 0, ..AlertRule::default() })
        .await;
    let signal = |number: u32| Signal::new(Trigger::Expiry, NOW, format!("token:{number}"), "a token ends");
    house.app.raise_signals((0..10_040).map(signal).collect()).await.unwrap();
    for _ in 0..2 {
        house.app.tend_outbox().await.unwrap();
    }
    let titles = house.tickets().await;
    let lost: Vec<&String> =
        titles.iter().filter(|title| title.contains("40 changes are not told")).collect();
    assert_eq!(lost.len(), 1, "{titles:?}");
    house.settle().await;
    house.clock.advance(HOUR);
    house.settle().await;
    assert_eq!(told(&house, "ends"), 10_000, "all others are told");
    // One more that is lost is one more event of the same ticket.
    house.app.raise_signals((20_000..30_001).map(signal).collect()).await.unwrap();
    house.app.tend_outbox().await.unwrap();
    let lost = house.tickets().await.into_iter().filter(|title| title.contains("not told")).count();
    assert_eq!(lost, 1);
}

#[tokio::test]
async fn rules_that_forget_say_first_what_they_held_back() {
    let house = House::new().await;
    house.channel("ops").await;
    house
        .rule(AlertRule {
            name: "leaks".into(),
            triggers: vec![Trigger::Finding],
            burst: 1,
            ..AlertRule::default()
        })
        .await;
    let projects = i64::try_from(RULE_STATES_MAX).unwrap() + 5;
    let signal = |project: i64, word: &str| {
        let mut signal =
            Signal::new(Trigger::Finding, NOW, format!("{word}:{project}"), "a secret was found");
        signal.project = Some(ProjectId(project));
        signal
    };
    // One of each project is said, the other is held back until its digest.
    let signals = (1..=projects).flat_map(|project| [signal(project, "a"), signal(project, "b")]).collect();
    house.app.raise_signals(signals).await.unwrap();
    house.app.route_signals().await.unwrap();
    assert_eq!(house.store.rule_states().await.unwrap().len(), RULE_STATES_MAX, "no more are remembered");
    let before = house.store.backlog().await.unwrap();
    assert!(before[0].pending > 0);
    house.clock.advance(HOUR);
    house.app.route_signals().await.unwrap();
    // More than may wait for one channel: the rest is in the log as given up, and counted.
    let after = house.app.endpoint(&Actor::System, "ops").await.unwrap();
    let all = u64::try_from(projects).unwrap() * 2;
    assert_eq!(after.pending + after.dead, all, "nothing is lost in silence");
    let query = DeliveryQuery { state: Some("dead".to_owned()), limit: 200, ..DeliveryQuery::default() };
    let dead = house.app.deliveries(&Actor::System, query).await.unwrap().items;
    assert!(dead.iter().all(|given_up| given_up.last_failure.as_deref() == Some("overflow")));
}

#[tokio::test]
async fn the_log_of_a_channel_that_is_not_there_is_no_empty_log() {
    let house = House::new().await;
    house.channel("ops").await;
    house.courier.will("ops.example", [status(200)]);
    let of = async |name: &str| {
        let query = DeliveryQuery { endpoint: Some(name.to_owned()), ..DeliveryQuery::default() };
        house.app.deliveries(&Actor::System, query).await.map(|page| page.items.len())
    };
    assert_eq!(of("ops").await.unwrap(), 0);
    assert!(of("opps").await.unwrap_err().to_string().contains("not found"));
}
