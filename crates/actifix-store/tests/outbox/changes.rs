//! What people change of channels, rules and mutes while something is on its way.

use super::*;
use actifix_app::ingest::UserInput;
use actifix_domain::alert::default_rules;

/// Two of `new_tickets` per ten minutes, the rest in a digest.
fn gathering() -> AlertRule {
    AlertRule { burst: 2, ..new_tickets() }
}

/// Tickets beyond the burst: `burst` of them are told, `more` gathered.
async fn gather(house: &House, burst: usize, more: usize) -> Vec<TicketId> {
    let mut ids = Vec::new();
    for word in words().take(burst + more) {
        ids.push(record_in(house, "1", &format!("{word} broke")).await);
    }
    house.settle().await;
    ids
}

fn digests(given: &[Given]) -> Vec<&Given> {
    given.iter().filter(|given| given.body["type"] == "alert.digest").collect()
}

#[tokio::test]
async fn a_message_is_given_up_after_eight_attempts() {
    let house = House::new().await;
    // Tickets about channels that fail are of P2, and not told here.
    let when = Conditions { priority_min: Some(Priority::P1), ..Conditions::default() };
    house.rule(AlertRule { when, ..new_tickets() }).await;
    house.channel("away").await;
    house.courier.will("away.example", (0..99).map(|_| Err(Failure::Connect)));
    house.record("one", Priority::P1).await;
    for _ in 0..20 {
        house.settle().await;
        house.clock.advance(HOUR + MINUTE);
    }
    assert_eq!(house.courier.to("away").len(), 8);
    assert_eq!((house.log("pending").await, house.log("dead").await), (0, 1));
}

#[tokio::test]
async fn a_replaced_key_and_secret_sign_for_the_overlap_and_no_longer() {
    let house = House::new().await;
    house.rule(new_tickets()).await;
    house
        .add(
            json!({ "name": "ops", "kind": "webhook", "url": "https://ops.example.net/in", "ed25519": true }),
        )
        .await;
    let told = async |words: &str| {
        house.record(words, Priority::P1).await;
        house.settle().await;
        let list = house.courier.given().pop().unwrap().signature;
        let many = |kind: &str| list.split(' ').filter(|one| one.starts_with(kind)).count();
        (many("v1,"), many("v1a,"))
    };
    assert_eq!(told("before it is replaced").await, (1, 1));
    let rotated = house.app.rotate_endpoint(&Actor::System, "ops", 24).await.unwrap();
    assert!(rotated.public_key.is_some() && rotated.former_ends_at.is_some());
    assert_eq!(told("while receivers change over").await, (2, 2));
    house.app.rotate_endpoint(&Actor::System, "ops", 24).await.unwrap();
    assert_eq!(told("replaced twice, of which one is kept").await, (2, 2));
    house.clock.advance(24 * HOUR);
    assert_eq!(told("after the overlap").await, (1, 1));
    house.app.rotate_endpoint(&Actor::System, "ops", 0).await.unwrap();
    assert_eq!(told("without an overlap").await, (1, 1));
}

#[tokio::test]
async fn conditions_on_environment_and_tags_hold_for_every_change_of_a_ticket() {
    let house = House::new().await;
    house.channel("ops").await;
    let when = Conditions {
        environment: vec!["prod".into()],
        tags: [("region".to_owned(), "eu-*".to_owned())].into(),
        ..Conditions::default()
    };
    let rule = AlertRule {
        name: "prod".into(),
        triggers: vec![Trigger::New, Trigger::Users, Trigger::Resolved],
        users: Some(2),
        when,
        ..AlertRule::default()
    };
    house.rule(rule).await;
    let record = async |message: &str, environment: &str, user: &str| {
        let event = OwnEvent {
            message: message.to_owned(),
            priority: Some(Priority::P4),
            environment: Some(environment.to_owned()),
            tags: [("region".to_owned(), json!("eu-1"))].into(),
            user: Some(UserInput::Id(user.to_owned())),
            ..OwnEvent::default()
        };
        house.app.record(&Actor::System, event).await.unwrap().ticket_id.unwrap()
    };
    // Two tickets of P4 a day are let in; further ones are held.
    let id = record("first broke", "prod", "ada").await;
    record("second broke", "staging", "ada").await;
    record("second broke", "staging", "bob").await;
    let held = record("third broke", "prod", "ada").await;
    let foreign = record("fourth broke", "staging", "ada").await;
    record("first broke", "prod", "bob").await;
    house.app.promote(&Actor::System, "1", Some(&held), 1).await.unwrap();
    house.app.promote(&Actor::System, "1", Some(&foreign), 1).await.unwrap();
    resolve(&house, &id).await;
    house.settle().await;
    let told: Vec<(Value, Value)> = house
        .courier
        .given()
        .into_iter()
        .map(|given| (given.body["type"].clone(), given.body["data"]["changes"][0].clone()))
        .collect();
    let about: Vec<(&str, &str)> = told
        .iter()
        .map(|(kind, change)| (kind.as_str().unwrap(), change["ticket"].as_str().unwrap()))
        .collect();
    let (id, held) = (id.as_str(), held.as_str());
    let expected = [("alert.new", id), ("alert.users", id), ("alert.new", held), ("alert.resolved", id)];
    assert_eq!(about, expected, "and nothing of staging");
    for (_, change) in &told {
        assert_eq!((&change["environment"], &change["tags"]["region"]), (&json!("prod"), &json!("eu-1")));
    }
}

#[tokio::test]
async fn what_a_rule_gathered_is_told_when_the_rule_goes_is_replaced_or_switched_off() {
    let other = || AlertRule { name: "other".into(), triggers: vec![Trigger::Spike], ..AlertRule::default() };
    for case in ["removed", "disabled", "replaced", "untouched"] {
        let house = House::new().await;
        house.rule(gathering()).await;
        house.rule(other()).await;
        house.channel("ops").await;
        gather(&house, 2, 3).await;
        assert_eq!(house.courier.given().len(), 2);
        match case {
            "removed" => house.app.remove_rule(&Actor::System, "new").await.unwrap(),
            "disabled" => house.rule(AlertRule { enabled: false, ..gathering() }).await,
            "replaced" => house.rule(AlertRule { digest_minutes: 60, ..gathering() }).await,
            _ => {
                house.rule(gathering()).await;
                house.rule(AlertRule { cooldown_minutes: 5, ..other() }).await;
            }
        }
        house.settle().await;
        let given = house.courier.given();
        let at_once = digests(&given).len();
        assert_eq!(at_once, usize::from(case != "untouched"), "{case}");
        house.clock.advance(HOUR);
        house.settle().await;
        let given = house.courier.given();
        let told = digests(&given);
        assert_eq!(told.len(), 1, "{case}: once, and not again when it would have been due");
        assert_eq!(told[0].body["data"]["count"], 3, "{case}");
    }
}

#[tokio::test]
async fn the_first_rule_of_ones_own_loses_nothing_of_the_defaults() {
    let house = House::new().await;
    house.channel("ops").await;
    let burst = usize::try_from(default_rules()[0].burst).unwrap();
    gather(&house, burst, 4).await;
    assert_eq!(house.courier.given().len(), burst);
    house
        .rule(AlertRule { name: "mine".into(), triggers: vec![Trigger::Spike], ..AlertRule::default() })
        .await;
    // Decided with the change, not later: a stop in between loses nothing either.
    assert_eq!(house.log("pending").await, 1);
    house.settle().await;
    let given = house.courier.given();
    let told = digests(&given);
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0].body["data"]["rule"], &told[0].body["data"]["count"]),
        (&json!("default-new"), &json!(4))
    );
}

#[tokio::test]
async fn what_was_gathered_for_one_project_never_reaches_the_channels_of_another() {
    let house = House::new().await;
    house.app.create_project(&Actor::System, Some(ProjectId(2)), "other").await.unwrap();
    for name in ["one", "two"] {
        house.channel(name).await;
    }
    let to = |name: &str, project| AlertRule {
        endpoints: vec![name.to_owned()],
        project: Some(ProjectId(project)),
        ..gathering()
    };
    house.rule(to("one", 1)).await;
    gather(&house, 2, 3).await;
    house.rule(to("two", 2)).await;
    house.settle().await;
    house.clock.advance(HOUR);
    house.settle().await;
    assert_eq!(house.courier.to("two.example").len(), 0, "it hears of its own project only");
    let given = house.courier.to("one.example");
    assert_eq!((given.len(), digests(&given).len()), (3, 1), "whoever it was gathered for has it");
}

#[tokio::test]
async fn a_digest_comes_in_time_after_the_clock_was_set_back() {
    let house = House::new().await;
    house.rule(gathering()).await;
    house.channel("ops").await;
    house.clock.set_wall(NOW.plus(30 * DAY));
    gather(&house, 2, 3).await;
    house.clock.set_wall(NOW);
    house.settle().await;
    house.clock.advance(9 * MINUTE);
    house.settle().await;
    assert_eq!(digests(&house.courier.given()).len(), 0);
    house.clock.advance(MINUTE);
    house.settle().await;
    assert_eq!(digests(&house.courier.given()).len(), 1);
}

#[tokio::test]
async fn an_issue_is_opened_again_each_time_its_ticket_comes_back() {
    let house = House::new().await;
    issues(&house).await;
    house.courier.will("/issues", [numbered(17)]);
    let id = house.record("comes back", Priority::P1).await;
    house.settle().await;
    for round in 0..3 {
        house.clock.advance(MINUTE);
        resolve(&house, &id).await;
        house.settle().await;
        house.clock.advance(MINUTE);
        house.record("comes back", Priority::P1).await;
        house.settle().await;
        let last = house.courier.given().pop().unwrap();
        assert!(last.method == "PATCH" && last.url.ends_with("/issues/17"), "{last:?}");
        assert_eq!(last.body["state"], "open", "round {round}: it must not stay closed within the cooldown");
    }
}

#[tokio::test]
async fn a_ticket_that_was_muted_meanwhile_is_not_named_in_the_digest() {
    let house = House::new().await;
    house.rule(gathering()).await;
    house.channel("ops").await;
    let ids = gather(&house, 2, 3).await;
    house.app.mute_ticket(&Actor::System, &ids[3], Some(Mute::default())).await.unwrap();
    house.clock.advance(HOUR);
    house.settle().await;
    let given = house.courier.given();
    let data = &digests(&given)[0].body["data"];
    assert_eq!((&data["count"], &data["muted"]), (&json!(2), &json!(1)));
    let text = data.to_string();
    assert!(!text.contains(ids[3].as_str()) && text.contains(ids[4].as_str()), "{text}");
    // Where nothing is left, nothing is said.
    let later = record_in(&house, "1", "much later").await;
    for word in ["one", "two"] {
        record_in(&house, "1", &format!("{word} afterwards")).await;
    }
    house.settle().await;
    let page = house.app.tickets(&Actor::System, ListTickets::default()).await.unwrap();
    for ticket in page.items.iter().filter(|ticket| ticket.id != later) {
        house.app.mute_ticket(&Actor::System, &ticket.id, Some(Mute::default())).await.unwrap();
    }
    let before = house.courier.given().len();
    house.clock.advance(HOUR);
    house.settle().await;
    assert_eq!(house.courier.given().len(), before);
}

#[tokio::test]
async fn switching_a_channel_on_tries_it_at_once_although_it_was_on() {
    let house = House::new().await;
    house.rule(new_tickets()).await;
    house.channel("ops").await;
    house.courier.will("ops.example", (0..6).map(|_| Err(Failure::Connect)));
    house.record("told when it is mended", Priority::P1).await;
    for _ in 0..6 {
        house.settle().await;
        house.clock.advance(HOUR);
    }
    house.clock.advance(-HOUR);
    let view = house.app.endpoint(&Actor::System, "ops").await.unwrap();
    assert!(view.record.enabled && view.record.streak == 6 && view.breaker != "closed", "{view:?}");
    let before = house.courier.given().len();
    house.settle().await;
    assert_eq!(house.courier.given().len(), before, "it waits");
    // Replacing the secret mends no way.
    house.app.rotate_endpoint(&Actor::System, "ops", 1).await.unwrap();
    assert_eq!(house.app.endpoint(&Actor::System, "ops").await.unwrap().record.streak, 6);
    house.app.switch_endpoint(&Actor::System, "ops", true).await.unwrap();
    let view = house.app.endpoint(&Actor::System, "ops").await.unwrap();
    assert_eq!((view.record.streak, view.record.next_attempt_at, view.breaker), (0, None, "closed"));
    house.settle().await;
    let given = house.courier.given();
    let next = given.get(before).expect("it is tried at once");
    assert_eq!(next.body["data"]["changes"][0]["title"], "told when it is mended");
    assert_eq!(house.log("pending").await, 0, "nor does what came after it wait");
}
