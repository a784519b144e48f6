//! Alerts from the change to the channel, with a real store, a clock in hand and a courier that writes down what it is
//! given.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use actifix_app::App;
use actifix_app::alerts::AddEndpoint;
use actifix_app::app::AppSettings;
use actifix_app::error::{Error, Result};
use actifix_app::ingest::OwnEvent;
use actifix_app::ports::{
    Clock, Courier, DeliveryQuery, OutboundAnswer, OutboundMail, OutboundRequest, Store, Vault,
};
use actifix_app::tickets::{Completion, ListTickets};
use actifix_domain::access::Actor;
use actifix_domain::alert::{
    AlertRule, Conditions, ENDPOINTS_MAX, Failure, Mute, QuietHours, RULES_MAX, Trigger,
};
use actifix_domain::id::{ProjectId, TicketId};
use actifix_domain::lifecycle::Evidence;
use actifix_domain::ticket::Priority;
use actifix_domain::time::{DAY, HOUR, MINUTE, SECOND};
use actifix_store::StoreOptions;
use actifix_testkit::{FakeClock, NOW, OrderedIds, settings};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

#[path = "outbox/bounds.rs"]
mod bounds;
#[path = "outbox/changes.rs"]
mod changes;

/// What the courier was given.
#[derive(Clone, Debug)]
struct Given {
    url: String,
    method: &'static str,
    id: String,
    /// The list of signatures.
    signature: String,
    body: Value,
}

type Answers = VecDeque<Result<OutboundAnswer, Failure>>;

/// Answers as it is told to, by a part of the address; 200 otherwise.
#[derive(Default)]
struct FakeCourier {
    given: Mutex<Vec<Given>>,
    answers: Mutex<Vec<(String, Answers)>>,
}

impl FakeCourier {
    fn given(&self) -> Vec<Given> {
        self.given.lock().unwrap().clone()
    }

    fn to(&self, part: &str) -> Vec<Given> {
        self.given().into_iter().filter(|given| given.url.contains(part)).collect()
    }

    fn will(&self, part: &str, answers: impl IntoIterator<Item = Result<OutboundAnswer, Failure>>) {
        self.answers.lock().unwrap().push((part.to_owned(), answers.into_iter().collect()));
    }
}

fn status(status: u16) -> Result<OutboundAnswer, Failure> {
    Ok(OutboundAnswer { status, retry_after_seconds: None, body: Vec::new() })
}

#[async_trait]
impl Courier for FakeCourier {
    async fn send(&self, request: OutboundRequest) -> Result<OutboundAnswer, Failure> {
        let header = |name: &str| {
            request
                .headers
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.reveal().to_owned())
        };
        let url = request.url.reveal().to_owned();
        self.given.lock().unwrap().push(Given {
            url: url.clone(),
            method: request.method,
            id: header("webhook-id").unwrap_or_default(),
            signature: header("webhook-signature").unwrap_or_default(),
            body: serde_json::from_slice(&request.body).unwrap_or_default(),
        });
        let mut answers = self.answers.lock().unwrap();
        let told = answers.iter_mut().find(|(part, queue)| url.contains(part.as_str()) && !queue.is_empty());
        told.and_then(|(_, queue)| queue.pop_front()).unwrap_or_else(|| status(200))
    }

    async fn mail(&self, mail: OutboundMail) -> Result<(), Failure> {
        self.given.lock().unwrap().push(Given {
            url: format!("mail:{}", mail.host),
            method: "MAIL",
            id: mail.message_id,
            signature: String::new(),
            body: json!({ "subject": mail.subject, "text": mail.text }),
        });
        Ok(())
    }
}

/// Seals by turning bits, which is enough to see that what is kept is not what was given.
struct TurningVault;

impl Vault for TurningVault {
    fn derive(&self, purpose: &'static str) -> [u8; 32] {
        let mut key = [7; 32];
        for (slot, byte) in key.iter_mut().zip(purpose.bytes()) {
            *slot ^= byte;
        }
        key
    }

    fn seal(&self, purpose: &'static str, clear: &[u8]) -> Result<Vec<u8>> {
        Ok(purpose.bytes().chain(clear.iter().map(|byte| !byte)).collect())
    }

    fn open(&self, purpose: &'static str, sealed: &[u8]) -> Result<Vec<u8>> {
        let rest =
            sealed.strip_prefix(purpose.as_bytes()).ok_or_else(|| Error::conflict("another purpose"))?;
        Ok(rest.iter().map(|byte| !byte).collect())
    }
}

struct House {
    app: Arc<App>,
    store: Arc<dyn Store>,
    clock: Arc<FakeClock>,
    courier: Arc<FakeCourier>,
    _dir: TempDir,
}

impl House {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let clock = Arc::new(FakeClock::at(NOW));
        let options = StoreOptions::new(dir.path().join("data"), clock.clone(), [7; 32]);
        let store = actifix_store::open(options).await.unwrap();
        let settings =
            AppSettings { rate_limit_disabled: true, sample_after: 100, decode_parallel: 2, ..settings() };
        let app = App::new(
            store.clone(),
            clock.clone(),
            Arc::new(OrderedIds::default()),
            Arc::new(TurningVault),
            settings,
        );
        let courier = Arc::new(FakeCourier::default());
        app.set_courier(courier.clone());
        app.create_project(&Actor::System, Some(ProjectId(1)), "default").await.unwrap();
        Self { app, store, clock, courier, _dir: dir }
    }

    async fn channel(&self, name: &str) {
        self.add(json!({ "name": name, "kind": "webhook", "url": format!("https://{name}.example.net/in") }))
            .await;
    }

    async fn add(&self, channel: Value) {
        let add: AddEndpoint = serde_json::from_value(channel).unwrap();
        self.app.add_endpoint(&Actor::System, add).await.unwrap();
    }

    async fn rule(&self, rule: AlertRule) {
        self.app.save_rule(&Actor::System, rule).await.unwrap();
    }

    async fn record(&self, message: &str, priority: Priority) -> TicketId {
        let event = OwnEvent { message: message.to_owned(), priority: Some(priority), ..OwnEvent::default() };
        self.app.record(&Actor::System, event).await.unwrap().ticket_id.unwrap()
    }

    /// Routes and delivers until nothing more happens.
    async fn settle(&self) {
        loop {
            let before = self.courier.given().len();
            self.app.route_signals().await.unwrap();
            self.app.deliver_due().await.unwrap();
            if self.courier.given().len() == before {
                return;
            }
        }
    }

    async fn log(&self, state: &str) -> usize {
        let query = DeliveryQuery { state: Some(state.to_owned()), limit: 200, ..DeliveryQuery::default() };
        self.app.deliveries(&Actor::System, query).await.unwrap().items.len()
    }

    async fn tickets(&self) -> Vec<String> {
        let page = self.app.tickets(&Actor::System, ListTickets::default()).await.unwrap();
        page.items.into_iter().map(|ticket| ticket.title).collect()
    }
}

fn new_tickets() -> AlertRule {
    AlertRule { name: "new".into(), triggers: vec![Trigger::New], ..AlertRule::default() }
}

#[tokio::test]
async fn the_defaults_tell_of_p0_and_p1_and_of_what_comes_back() {
    let house = House::new().await;
    house.record("nobody listens", Priority::P0).await;
    house.channel("ops").await;
    house.settle().await;
    assert!(house.courier.given().is_empty(), "what happened before is not told");
    house.record("quiet", Priority::P2).await;
    let id = house.record("loud", Priority::P1).await;
    house.settle().await;
    let given = house.courier.given();
    assert_eq!(given.len(), 1, "{given:?}");
    let data = &given[0].body["data"];
    assert_eq!((&given[0].body["type"], &data["rule"]), (&json!("alert.new"), &json!("default-new")));
    assert_eq!(data["changes"][0]["ticket"], json!(id));
    assert_eq!(data["changes"][0]["url"], json!(format!("https://errors.example.net/tickets/{id}")));
    let evidence = Evidence {
        root_cause: "a test of what comes back".into(),
        no_commit_reason: Some("nothing to change".into()),
        no_test_reason: Some("nothing to change".into()),
        ..Evidence::default()
    };
    let completion = Completion { evidence, resolved_in: None, in_next_release: false };
    house.app.complete(&Actor::System, &id, completion, None, None).await.unwrap();
    house.clock.advance(MINUTE);
    house.record("loud", Priority::P1).await;
    house.settle().await;
    let types: Vec<Value> =
        house.courier.given().into_iter().map(|given| given.body["type"].clone()).collect();
    assert_eq!(types, [json!("alert.new"), json!("alert.regressed")]);
}

#[tokio::test]
async fn a_flood_of_five_thousand_sends_a_handful() {
    let house = House::new().await;
    house.channel("ops").await;
    for number in 0..5_000u32 {
        // Words that differ, so that each is a ticket of its own.
        let word: String =
            format!("{number:04}").bytes().map(|digit| char::from(b'a' + digit - b'0')).collect();
        house.record(&format!("flood {word} broke"), Priority::P1).await;
        house.clock.advance(SECOND / 100);
        if number % 500 == 0 {
            house.settle().await;
        }
    }
    house.settle().await;
    for _ in 0..12 {
        house.clock.advance(5 * MINUTE);
        house.app.promote_due().await.unwrap();
        house.settle().await;
    }
    let given = house.courier.given();
    let of = |kind: &str| given.iter().filter(|given| given.body["type"] == json!(kind)).count();
    let told: u64 = given
        .iter()
        .filter(|given| given.body["data"]["rule"] == json!("default-new"))
        .map(|given| given.body["data"]["count"].as_u64().unwrap())
        .sum();
    assert!(given.len() <= 40, "{} messages", given.len());
    assert!(of("alert.brake") >= 1, "the brake is told");
    assert!(of("alert.digest") >= 1 && told >= 1_000, "{told} tickets told, in digests as well");
}

#[tokio::test]
async fn channels_fail_alone_in_order_and_with_one_id() {
    let house = House::new().await;
    house.rule(new_tickets()).await;
    house.channel("good").await;
    house.channel("bad").await;
    house.courier.will("bad.example", [Err(Failure::Timeout), status(503), status(200)]);
    house.record("one", Priority::P2).await;
    house.settle().await;
    house.record("two", Priority::P2).await;
    house.settle().await;
    assert_eq!(house.courier.to("good").len(), 2, "one channel does not wait for another");
    assert_eq!(house.courier.to("bad").len(), 1, "two waits for one");
    for _ in 0..4 {
        house.clock.advance(20 * SECOND);
        house.settle().await;
    }
    let bad = house.courier.to("bad");
    let titles: Vec<&str> =
        bad.iter().map(|given| given.body["data"]["changes"][0]["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["one", "one", "one", "two"]);
    assert!(bad[0].id == bad[1].id && bad[1].id == bad[2].id && bad[2].id != bad[3].id);
    assert_eq!(bad[0].body, bad[2].body, "each attempt says the same");
    assert_eq!((house.log("delivered").await, house.log("pending").await), (4, 0));
}

#[tokio::test]
async fn what_receivers_answer_is_heeded() {
    let house = House::new().await;
    // Tickets about channels that fail are of P2, and not told here.
    let when = Conditions { priority_min: Some(Priority::P1), ..Conditions::default() };
    house.rule(AlertRule { when, ..new_tickets() }).await;
    for name in ["slow", "gone", "wrong", "moved"] {
        house.channel(name).await;
    }
    let later = OutboundAnswer { status: 429, retry_after_seconds: Some(600), body: Vec::new() };
    house.courier.will("slow.example", [Ok(later)]);
    house.courier.will("gone.example", [status(410)]);
    house.courier.will("wrong.example", (0..9).map(|_| status(400)));
    house.courier.will("moved.example", (0..99).map(|_| status(301)));
    house.record("one", Priority::P1).await;
    house.settle().await;
    for _ in 0..10 {
        house.clock.advance(59 * SECOND);
        house.settle().await;
    }
    assert_eq!(house.courier.to("slow").len(), 1, "not before Retry-After");
    house.clock.advance(20 * SECOND);
    house.settle().await;
    assert_eq!(house.courier.to("slow").len(), 2);
    assert_eq!(house.courier.to("gone").len(), 1, "410 ends it");
    let gone = house.app.endpoint(&Actor::System, "gone").await.unwrap().record;
    assert!(!gone.enabled && gone.disabled_reason.unwrap().contains("410"));
    assert_eq!(house.courier.to("wrong").len(), 3, "a message that is wrong is not sent for ever");
    assert!(house.courier.to("moved").len() >= 3, "a redirect is a failure, and not followed");
    assert!(house.courier.given().iter().all(|given| given.url.ends_with(".example.net/in")));
    // After a day it is given up.
    house.clock.advance(DAY);
    house.settle().await;
    house.app.tend_outbox().await.unwrap();
    assert_eq!(house.log("pending").await, 0);
    assert_eq!(house.log("dead").await, 3);
}

#[tokio::test]
async fn a_channel_that_is_unreachable_is_one_ticket_and_a_slow_probe() {
    let house = House::new().await;
    house.rule(new_tickets()).await;
    house.channel("dead").await;
    house.courier.will("dead.example", (0..10_000).map(|_| Err(Failure::Connect)));
    for number in 0..30u8 {
        let word = char::from(b'a' + number % 26).to_string().repeat(usize::from(number / 26) + 3);
        house.record(&format!("broken {word}"), Priority::P1).await;
        house.settle().await;
        house.clock.advance(10 * MINUTE);
    }
    let about: Vec<String> =
        house.tickets().await.into_iter().filter(|title| title.contains("WebhookUnreachable")).collect();
    assert_eq!(about.len(), 1, "{about:?}");
    assert!(!about[0].contains("example.net"), "the address is not told: {}", about[0]);
    let attempts = house.courier.to("dead").len();
    assert!(attempts < 40, "{attempts} attempts in five hours");
    let view = house.app.endpoint(&Actor::System, "dead").await.unwrap();
    assert!(view.breaker != "closed" && view.record.streak >= 5 && view.pending > 0);
    assert_eq!(view.record.last_failure.as_deref(), Some("connect"));
}

#[tokio::test]
async fn messages_behind_an_open_breaker_are_sent_when_a_test_arrives() {
    let house = House::new().await;
    house.rule(new_tickets()).await;
    house.channel("dead").await;
    house.courier.will("dead.example", (0..8).map(|_| Err(Failure::TlsExpired)));
    let ids =
        [house.record("broken aaa", Priority::P1).await, house.record("broken bbb", Priority::P1).await];
    while house.app.endpoint(&Actor::System, "dead").await.unwrap().record.streak < 7 {
        house.settle().await;
        house.clock.advance(HOUR);
    }
    house.clock.advance(-HOUR);
    let test = async || house.app.test_endpoint(&Actor::System, "dead", true).await.unwrap();
    // One that does not arrive changes nothing.
    assert_eq!(test().await.failure, Some("tls_expired"));
    house.settle().await;
    let view = house.app.endpoint(&Actor::System, "dead").await.unwrap();
    assert!(view.breaker == "open" && view.pending >= 2, "{view:?}");
    let waiting = usize::try_from(view.pending).unwrap();
    let before = house.courier.to("dead").len();
    assert!(test().await.delivered);
    house.settle().await;
    let told: Vec<Value> = house.courier.to("dead")[before..]
        .iter()
        .map(|given| given.body["data"]["changes"][0]["ticket"].clone())
        .collect();
    assert_eq!(told.len(), 1 + waiting, "the test, and what waited: {told:?}");
    assert_eq!(told[1..3], ids.map(|id| json!(id.to_string())), "in their order");
    let view = house.app.endpoint(&Actor::System, "dead").await.unwrap();
    assert_eq!((view.breaker, view.pending, view.record.streak), ("closed", 0, 0));
}

#[tokio::test]
async fn channels_rules_and_sources_are_as_many_as_there_may_be_and_no_more() {
    let house = House::new().await;
    for number in 0..ENDPOINTS_MAX {
        house.channel(&format!("c{number}")).await;
    }
    let add = json!({ "name": "more", "kind": "webhook", "url": "https://more.example.net/in" });
    let add: AddEndpoint = serde_json::from_value(add).unwrap();
    let refused = house.app.add_endpoint(&Actor::System, add).await.unwrap_err();
    assert!(refused.to_string().contains("remove one first"), "{refused}");
    for number in 0..RULES_MAX {
        house.rule(AlertRule { name: format!("r{number}"), ..new_tickets() }).await;
    }
    house.rule(AlertRule { name: "r0".into(), burst: 3, ..new_tickets() }).await;
    let refused = house.app.save_rule(&Actor::System, new_tickets()).await.unwrap_err();
    assert!(refused.to_string().contains("remove one first"), "{refused}");
    assert!(house.app.rotate_endpoint(&Actor::System, "c0", 168).await.is_ok());
    assert!(matches!(house.app.rotate_endpoint(&Actor::System, "c0", 169).await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn what_leaves_the_house_is_redacted_once_more() {
    let house = House::new().await;
    house.rule(new_tickets()).await;
    house.channel("ops").await;
    house.add(json!({ "name": "s", "kind": "slack", "url": "https://slack.example.net/in" })).await;
    house.add(json!({ "name": "m", "kind": "mail", "url": "smtp://mail.example.net", "from": "a@example.net", "to": ["b@example.net"] })).await;
    // Written into the outbox past every other guard.
    let key = format!("AKIA{}", "Z7QX2M4N6P8R3T5V");
    let password = ["cor", "rect", "horse9!"].concat();
    let mut signal =
        actifix_domain::alert::Signal::new(Trigger::New, NOW, "x", format!("login with {key} failed"));
    signal.project = Some(ProjectId(1));
    signal.culprit = format!("postgres://app:{password}@db.internal/shop");
    signal.detail = format!("Authorization: Bearer {}", "d1f4".repeat(10));
    signal.tags.insert("password".to_owned(), password.clone());
    signal.priority = Some(Priority::P1);
    house.store.raise_signals(vec![signal]).await.unwrap();
    house.settle().await;
    let given = house.courier.given();
    assert_eq!(given.len(), 3);
    for given in given {
        let text = given.body.to_string();
        for secret in [key.as_str(), password.as_str(), &"d1f4".repeat(10)] {
            assert!(!text.contains(secret), "{} got {secret}: {text}", given.url);
        }
        assert!(text.contains("login with"), "{text}");
    }
}

#[tokio::test]
async fn mutes_quiet_hours_and_cooldown_hold_and_nothing_is_lost() {
    let house = House::new().await;
    let quiet = QuietHours { hours: "09:00-10:00".parse().unwrap(), except: Some(Priority::P0) };
    house.rule(AlertRule { quiet: Some(quiet), ..new_tickets() }).await;
    house.channel("ops").await;
    // 09:47: quiet.
    house.record("held back", Priority::P1).await;
    house.record("pressing", Priority::P0).await;
    house.settle().await;
    assert_eq!(house.courier.given().len(), 1);
    house.clock.advance(HOUR);
    house.settle().await;
    let given = house.courier.given();
    assert_eq!(given.len(), 2, "the digest comes after the quiet hours");
    assert_eq!(given[1].body["data"]["changes"][0]["title"], "held back");
    let rate = AlertRule {
        name: "busy".into(),
        triggers: vec![Trigger::Rate],
        rate: Some(actifix_domain::alert::Rate { count: 3, minutes: 10 }),
        cooldown_minutes: 0,
        ..AlertRule::default()
    };
    house.rule(rate).await;
    let id = house.record("busy", Priority::P2).await;
    house.settle().await;
    let before = house.courier.given().len();
    house
        .app
        .mute_ticket(&Actor::System, &id, Some(Mute { until_count: Some(6), ..Mute::default() }))
        .await
        .unwrap();
    for _ in 0..4 {
        house.record("busy", Priority::P2).await;
        house.settle().await;
    }
    assert_eq!(house.courier.given().len(), before, "muted");
    house.clock.advance(HOUR);
    for _ in 0..4 {
        house.record("busy", Priority::P2).await;
        house.settle().await;
    }
    assert_eq!(house.courier.given().len(), before + 1, "the mute ended by count");
    assert_eq!(house.store.ticket_mute(&id).await.unwrap(), None);
    let trial = house
        .app
        .dry_run_rule(&Actor::System, AlertRule { name: "t".into(), ..new_tickets() })
        .await
        .unwrap();
    assert_eq!((trial.matched, trial.would_have_sent, trial.digests), (3, 3, 0));
}

#[tokio::test]
async fn an_issue_is_opened_once_and_closed_with_its_ticket() {
    let house = House::new().await;
    let token = ["ghp", "_", &"a1B2".repeat(9)].concat();
    house.add(json!({ "name": "issues", "kind": "github", "target": "acme/shop", "token": token })).await;
    let made = OutboundAnswer { status: 201, retry_after_seconds: None, body: b"{\"number\": 17}".to_vec() };
    // The first answer is lost; the second attempt finds what the first one opened.
    house.courier.will("/issues", [Err(Failure::Broken)]);
    let id = house.record("refund twice", Priority::P1).await;
    house.settle().await;
    let marked =
        json!([{ "number": 16, "body": "x" }, { "number": 17, "body": format!("y <!-- actifix:{id} -->") }]);
    let found =
        OutboundAnswer { status: 200, retry_after_seconds: None, body: marked.to_string().into_bytes() };
    house.courier.will("/issues?", [Ok(found)]);
    house.courier.will("/issues/17", [Ok(made.clone()), Ok(made)]);
    house.clock.advance(MINUTE);
    house.settle().await;
    let evidence = Evidence {
        root_cause: "refunds were not idempotent".into(),
        commit: Some("0123456".into()),
        no_test_reason: Some("covered elsewhere".into()),
        ..Evidence::default()
    };
    house
        .app
        .complete(
            &Actor::System,
            &id,
            Completion { evidence, resolved_in: None, in_next_release: false },
            None,
            None,
        )
        .await
        .unwrap();
    house.settle().await;
    let given = house.courier.given();
    let calls: Vec<(&str, &str)> = given
        .iter()
        .map(|given| (given.method, given.url.trim_start_matches("https://api.github.com/repos/acme/shop")))
        .collect();
    assert_eq!(
        calls,
        [
            ("POST", "/issues"),
            ("GET", "/issues?state=all&labels=actifix&per_page=100"),
            ("PATCH", "/issues/17"),
            ("PATCH", "/issues/17")
        ]
    );
    assert_eq!(given[3].body["state"], "closed");
    assert!(given[0].body["body"].as_str().unwrap().contains(&format!("<!-- actifix:{id} -->")));
}

#[tokio::test]
async fn sealed_channels_cannot_be_exchanged_for_one_another() {
    let house = House::new().await;
    house.channel("one").await;
    house.channel("two").await;
    let mut all = house.store.endpoints().await.unwrap();
    let clear: Vec<u8> = all[0].sealed.clone();
    assert!(!String::from_utf8_lossy(&clear).contains("one.example.net"), "sealed");
    all[0].sealed = all[1].sealed.clone();
    house.store.save_endpoint(&all[0], &actifix_testkit::act()).await.unwrap();
    assert!(house.app.test_endpoint(&Actor::System, "one", true).await.is_err());
    assert!(house.app.test_endpoint(&Actor::System, "two", false).await.is_err(), "production asks");
    assert!(house.app.test_endpoint(&Actor::System, "two", true).await.unwrap().delivered);
    let given = house.courier.given();
    assert_eq!(given.len(), 1);
    assert_eq!(
        (&given[0].body["type"], &given[0].body["data"]["test"]),
        (&json!("alert.test"), &json!(true))
    );
    assert_eq!(house.clock.now(), NOW);
}

#[tokio::test]
async fn all_channels_of_one_host_are_told() {
    let house = House::new().await;
    house.rule(new_tickets()).await;
    for name in ["a", "b", "c", "d", "e", "f"] {
        house
            .add(json!({ "name": name, "kind": "webhook", "url": format!("https://one.example.net/{name}") }))
            .await;
    }
    house.record("told to all", Priority::P1).await;
    house.settle().await;
    let mut told: Vec<String> = house.courier.given().into_iter().map(|given| given.url).collect();
    told.sort();
    assert_eq!(told, ["a", "b", "c", "d", "e", "f"].map(|name| format!("https://one.example.net/{name}")));
}

#[tokio::test]
async fn a_message_that_was_never_tried_does_not_end_in_silence() {
    let house = House::new().await;
    house
        .rule(AlertRule {
            when: Conditions { priority_min: Some(Priority::P1), ..Conditions::default() },
            ..new_tickets()
        })
        .await;
    house.channel("mute").await;
    house.record("not told", Priority::P1).await;
    house.app.route_signals().await.unwrap();
    house.clock.advance(DAY);
    house.app.tend_outbox().await.unwrap();
    assert!(house.courier.given().is_empty());
    let titles = house.tickets().await;
    assert!(
        titles.iter().any(|title| title.contains("alerts to mute are not delivered: expired")),
        "{titles:?}"
    );
}

/// An event of a project, with a message that makes it a ticket of its own.
async fn record_in(house: &House, project: &str, message: &str) -> TicketId {
    let event = OwnEvent {
        message: message.to_owned(),
        priority: Some(Priority::P1),
        project: Some(project.to_owned()),
        ..OwnEvent::default()
    };
    house.app.record(&Actor::System, event).await.unwrap().ticket_id.unwrap()
}

fn words() -> impl Iterator<Item = String> {
    ('a'..='z').map(|letter| format!("{letter}{letter}{letter}"))
}

#[tokio::test]
async fn projects_hear_nothing_of_one_another_and_do_not_silence_one_another() {
    let house = House::new().await;
    house.app.create_project(&Actor::System, Some(ProjectId(2)), "other").await.unwrap();
    house.rule(AlertRule { burst: 2, ..new_tickets() }).await;
    for (name, project) in [("one", "1"), ("two", "2")] {
        house.add(json!({ "name": name, "kind": "webhook", "url": format!("https://{name}.example.net/in"), "project": project })).await;
    }
    // Noise of one project, then a few words of the other, all before the digest is due.
    for word in words() {
        record_in(&house, "1", &format!("internal {word} broke")).await;
    }
    house.settle().await;
    record_in(&house, "2", "refund failed").await;
    house.settle().await;
    let two = house.courier.to("two.example");
    assert_eq!(two.len(), 1, "the noise of another project uses up nothing here: {two:?}");
    record_in(&house, "2", "basket lost").await;
    record_in(&house, "2", "voucher expired").await;
    house.settle().await;
    house.clock.advance(HOUR);
    house.settle().await;
    let (one, two) = (house.courier.to("one.example"), house.courier.to("two.example"));
    assert!(one.iter().all(|given| !given.body.to_string().contains("voucher")), "{one:?}");
    assert!(two.iter().all(|given| !given.body.to_string().contains("internal")), "{two:?}");
    let count = |given: &[Given]| -> u64 {
        given.iter().map(|given| given.body["data"]["count"].as_u64().unwrap()).sum()
    };
    assert_eq!((count(&one), count(&two)), (26, 3), "each of all that is its own");
    house.clock.advance(2 * HOUR);
    record_in(&house, "1", "much later").await;
    house.settle().await;
    assert_eq!(house.store.rule_states().await.unwrap().len(), 1, "what is idle is forgotten");
}

async fn issues(house: &House) {
    let token = ["ghp", "_", &"a1B2".repeat(9)].concat();
    house.add(json!({ "name": "issues", "kind": "github", "target": "acme/shop", "token": token })).await;
}

fn numbered(number: u64) -> Result<OutboundAnswer, Failure> {
    let body = json!({ "number": number }).to_string().into_bytes();
    Ok(OutboundAnswer { status: 201, retry_after_seconds: None, body })
}

async fn resolve(house: &House, id: &TicketId) {
    let evidence = Evidence {
        root_cause: "a test of issues".into(),
        no_commit_reason: Some("nothing to change".into()),
        no_test_reason: Some("nothing to change".into()),
        ..Evidence::default()
    };
    let completion = Completion { evidence, resolved_in: None, in_next_release: false };
    house.app.complete(&Actor::System, id, completion, None, None).await.unwrap();
}

#[tokio::test]
async fn an_issue_is_closed_once_whatever_the_rules_listen_for() {
    let house = House::new().await;
    // A rule that says it at once, one that gathers it, and one that names the channel.
    let rule = |name: &str| AlertRule {
        name: name.into(),
        triggers: vec![Trigger::New, Trigger::Resolved],
        ..AlertRule::default()
    };
    house.rule(rule("all")).await;
    house.rule(AlertRule { endpoints: vec![], burst: 1, ..rule("few") }).await;
    issues(&house).await;
    house.rule(AlertRule { endpoints: vec!["issues".into()], ..rule("named") }).await;
    house.channel("ops").await;
    house.courier.will("/issues", [numbered(17)]);
    let id = house.record("refund twice", Priority::P1).await;
    house.settle().await;
    resolve(&house, &id).await;
    house.settle().await;
    house.clock.advance(HOUR);
    house.settle().await;
    let closed: Vec<Given> =
        house.courier.to("/issues").into_iter().filter(|given| given.body["state"] == "closed").collect();
    assert_eq!(closed.len(), 1, "{closed:?}");
    let told = house.courier.to("ops.example");
    assert!(
        told.iter().any(|given| given.body["type"] == "alert.resolved"),
        "people are told as the rules say: {told:?}"
    );
}

#[tokio::test]
async fn each_ticket_of_a_digest_has_its_issue() {
    let house = House::new().await;
    house.rule(AlertRule { burst: 2, ..new_tickets() }).await;
    issues(&house).await;
    for word in words() {
        record_in(&house, "1", &format!("{word} broke")).await;
    }
    house.settle().await;
    house.clock.advance(HOUR);
    house.settle().await;
    let opened = house.courier.given();
    assert_eq!(opened.len(), 26);
    assert!(
        opened.iter().all(|given| given.method == "POST" && given.url.ends_with("/issues")),
        "{opened:?}"
    );
}

#[tokio::test]
async fn an_issue_that_is_gone_stops_nothing_else() {
    for gone in [301, 404, 410] {
        let house = House::new().await;
        issues(&house).await;
        house.courier.will("/issues/17", [status(gone), status(gone)]);
        house.courier.will("/issues", [numbered(17), numbered(18)]);
        let id = house.record("comes back", Priority::P1).await;
        house.settle().await;
        resolve(&house, &id).await;
        house.settle().await;
        house.clock.advance(HOUR);
        house.record("comes back", Priority::P1).await;
        house.settle().await;
        let calls: Vec<(&str, String)> = house
            .courier
            .given()
            .iter()
            .map(|given| (given.method, given.url.rsplit("/shop").next().unwrap().to_owned()))
            .collect();
        let call = |method, path: &str| (method, path.to_owned());
        let expected = [
            call("POST", "/issues"),
            call("PATCH", "/issues/17"),
            call("PATCH", "/issues/17"),
            call("POST", "/issues"),
        ];
        assert_eq!(calls[..4], expected, "{gone}: {calls:?}");
        let record = house.app.endpoint(&Actor::System, "issues").await.unwrap().record;
        assert!(record.enabled && record.streak == 0, "{gone}: {record:?}");
        assert_eq!(house.log("pending").await, 0, "{gone}");
    }
}

#[tokio::test]
async fn a_repository_without_issues_is_not_one_that_is_gone() {
    let house = House::new().await;
    issues(&house).await;
    house.courier.will("/issues", [status(410)]);
    house.record("no issues here", Priority::P1).await;
    house.settle().await;
    assert!(house.app.endpoint(&Actor::System, "issues").await.unwrap().record.enabled);
    let house = House::new().await;
    issues(&house).await;
    house.courier.will("/shop", [status(410), status(410)]);
    house.record("no repository", Priority::P1).await;
    house.settle().await;
    assert!(!house.app.endpoint(&Actor::System, "issues").await.unwrap().record.enabled);
}

#[tokio::test]
async fn the_issue_of_a_muted_ticket_is_closed_with_it() {
    let house = House::new().await;
    issues(&house).await;
    house.courier.will("/issues", [numbered(17)]);
    let id = house.record("muted", Priority::P1).await;
    house.settle().await;
    house.app.mute_ticket(&Actor::System, &id, Some(Mute::default())).await.unwrap();
    resolve(&house, &id).await;
    house.settle().await;
    let last = house.courier.given().pop().unwrap();
    assert!(last.method == "PATCH" && last.url.ends_with("/issues/17"), "{last:?}");
    assert_eq!(last.body["state"], "closed");
}
