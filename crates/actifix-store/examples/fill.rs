//! Fills a database through the store's own ingest: `fill DATA_DIR TICKETS EVENTS`.
//!
//! The directory must hold a database with a project 1, as `actifix serve` makes it. A fifth of the events are new
//! tickets, two fifths go to the thousand latest tickets, two fifths to any ticket: the cold ones are what slows a
//! store down as it grows. The last line is JSON with the time per event in each twentieth of the run.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for measuring, never in a release"
)]

use actifix_app::ports::{Clock, Store, Submission};
use actifix_domain::event::Level;
use actifix_domain::id::ProjectId;
use actifix_domain::throttle::ThrottleConfig;
use actifix_domain::ticket::Priority;
use actifix_domain::time::Timestamp;
use actifix_store::StoreOptions;
use actifix_testkit::{EventBuilder, submission};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;

/// Events of one submission.
const GROUP: u64 = 256;
/// Submissions under way at once: some are prepared while one is written.
const UNDER_WAY: usize = 4;
/// Parts of the run that are timed.
const PARTS: u64 = 20;
/// Time that the events are spread over, microseconds: 30 days.
const SPREAD: u64 = 30 * 24 * 3_600 * 1_000_000;
/// Tickets that get most events.
const RECENT: u64 = 1_000;
/// Variables of an event, so that a body is about 1 KB.
const EXTRA: usize = 12;

struct RealClock(Instant);

impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
    }

    fn monotonic_micros(&self) -> i64 {
        i64::try_from(self.0.elapsed().as_micros()).unwrap()
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().unwrap();
    let tickets: u64 = arguments.next().unwrap().parse().unwrap();
    let events: u64 = arguments.next().unwrap().parse().unwrap();
    let clock = Arc::new(RealClock(Instant::now()));
    let mut options = StoreOptions::new(directory, clock.clone(), [7; 32]);
    options.throttle = ThrottleConfig { enabled: false, ..ThrottleConfig::default() };
    let store = actifix_store::open(options).await.unwrap();
    let plan = Plan { tickets, events, start: clock.now().micros() - i64::try_from(SPREAD).unwrap() };
    let mut micros = Vec::new();
    for part in 0..PARTS {
        let (from, to) = (events * part / PARTS, events * (part + 1) / PARTS);
        let started = Instant::now();
        record(&store, &plan, from, to).await;
        let each = started.elapsed().as_secs_f64() * 1e6 / (to - from).max(1) as f64;
        println!("{to} events, {each:.1} us per event");
        micros.push((each * 100.0).round() / 100.0);
    }
    store.close().await.unwrap();
    println!("{{\"micros_per_event\":{micros:?}}}");
}

async fn record(store: &Arc<dyn Store>, plan: &Plan, from: u64, to: u64) {
    let mut under_way = JoinSet::new();
    let mut next = from;
    while next < to {
        if under_way.len() >= UNDER_WAY {
            under_way.join_next().await.unwrap().unwrap();
        }
        let end = (next + GROUP).min(to);
        let (plan, store, first) = (plan.clone(), Arc::clone(store), next);
        under_way.spawn(async move {
            let recorded = store.ingest(plan.submission(first, end)).await.unwrap();
            assert_eq!(recorded.events.len() as u64, end - first);
        });
        next = end;
    }
    while let Some(done) = under_way.join_next().await {
        done.unwrap();
    }
}

/// Which events there are; each is a function of its number.
#[derive(Clone)]
struct Plan {
    tickets: u64,
    events: u64,
    /// Microseconds since 1970.
    start: i64,
}

impl Plan {
    fn submission(&self, from: u64, to: u64) -> Submission {
        let at = self.at(to);
        submission(ProjectId(1), at, (from..to).map(|number| self.event(number)))
    }

    fn at(&self, number: u64) -> Timestamp {
        let offset = u128::from(SPREAD) * u128::from(number) / u128::from(self.events.max(1));
        Timestamp::from_micros(self.start + i64::try_from(offset).unwrap())
    }

    /// The ticket of an event.
    fn ticket(&self, number: u64) -> u64 {
        let known = (number * self.tickets / self.events).max(1);
        let dice = mix(number);
        let before = number.saturating_sub(1) * self.tickets / self.events;
        if number == 0 || known > before.max(1) {
            known - 1
        } else if dice.is_multiple_of(2) {
            known - 1 - (dice >> 8) % known.min(RECENT)
        } else {
            (dice >> 8) % known
        }
    }

    fn event(&self, number: u64) -> EventBuilder {
        let ticket = self.ticket(number);
        let dice = mix(number ^ 0xabcd);
        let (noun, place) = (word(ticket, 40), word(ticket / 40, 2_000));
        let priority = match ticket % 20 {
            0 => Priority::P1,
            1..=12 => Priority::P2,
            13..=17 => Priority::P3,
            _ => Priority::P4,
        };
        EventBuilder::new(number + 1, &format!("ticket {ticket}"))
            .title(&format!("Declined: {noun} of {place} w{} failed in step {ticket}", ticket % 9_000))
            .at(self.at(number))
            .priority(priority)
            .user(dice % 100_000)
            .sample_after(0)
            .release(&format!("shop@2.{}.0", ticket / 7 % 8))
            .environment(if ticket.is_multiple_of(5) { "staging" } else { "production" })
            .tag("worker", &(ticket % 16).to_string())
            .tag("shard", &format!("s{}", ticket % 5_000))
            .with(|event| {
                event.culprit = format!("shop.{noun} in handle_{place}");
                event.level = if ticket.is_multiple_of(50) { Level::Fatal } else { Level::Error };
                for key in 0..EXTRA {
                    let value = format!(
                        "{:x} {} {}",
                        mix(dice + key as u64),
                        word(dice >> key, 500),
                        word(dice, 300)
                    );
                    event.extra.insert(format!("{noun}_{key}"), value.into());
                }
            })
    }
}

/// A number that looks random.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A word out of `words`.
fn word(number: u64, words: u64) -> String {
    const PARTS: [&str; 8] = ["bas", "ket", "or", "der", "in", "voi", "ce", "lum"];
    let mut left = mix(number % words);
    (0..4)
        .map(|_| {
            left >>= 3;
            PARTS.iter().cycle().nth(usize::try_from(left % 8).unwrap()).unwrap().to_owned()
        })
        .collect()
}
