//! How many events the writer stores in a second: mixed, one hot ticket, all different. Run it in release:
//! `cargo run --release -p actifix-store --example writer_speed [EVENTS [CLIENTS]]`.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

use actifix_app::ports::{Clock, Recorded, Store};
use actifix_domain::id::ProjectId;
use actifix_domain::throttle::ThrottleConfig;
use actifix_domain::time::Timestamp;
use actifix_store::StoreOptions;
use actifix_testkit::{EventBuilder, act, submission};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

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
    let number =
        |place, otherwise| std::env::args().nth(place).and_then(|arg| arg.parse().ok()).unwrap_or(otherwise);
    let (events, clients): (u64, u64) = (number(1, 60_000), number(2, 256));
    for (name, tickets) in [("mixed", 2_000), ("hot", 1), ("unique", u64::MAX)] {
        let dir = std::env::current_dir().unwrap().join("target/writer_speed");
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let clock = Arc::new(RealClock(Instant::now()));
        let mut options = StoreOptions::new(dir.join("data"), clock.clone(), [7; 32]);
        options.throttle = ThrottleConfig { enabled: false, ..ThrottleConfig::default() };
        let store = actifix_store::open(options).await.unwrap();
        let project = store.create_project(None, "bench", None, clock.now(), &act()).await.unwrap().id;
        let seconds = drive(&store, clock, project, events, tickets, clients).await;
        let stats = store.stats().await.unwrap();
        store.close().await.unwrap();
        let size = std::fs::metadata(dir.join("data/actifix.db")).unwrap().len();
        #[allow(clippy::cast_precision_loss)]
        let rate = events as f64 / seconds;
        println!(
            "{name:>7}: {rate:8.0} events/s, {} stored, {} bytes of database per event",
            stats.events,
            size / events
        );
        let _ = std::fs::remove_dir_all(&dir);
    }
}

async fn drive(
    store: &Arc<dyn Store>,
    clock: Arc<RealClock>,
    project: ProjectId,
    events: u64,
    tickets: u64,
    clients_many: u64,
) -> f64 {
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..clients_many {
        let (store, next, clock) = (Arc::clone(store), Arc::clone(&next), Arc::clone(&clock));
        clients.push(tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= events {
                    return;
                }
                let sent = submission(project, clock.now(), [event(number, tickets, clock.now())]);
                let recorded: Vec<Recorded> = store.ingest(sent).await.unwrap().events;
                assert_eq!(recorded.len(), 1);
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    started.elapsed().as_secs_f64()
}

/// An event whose id looks random and whose ticket is one of `tickets`, some of them far more often than others.
fn event(number: u64, tickets: u64, now: Timestamp) -> EventBuilder {
    let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let ticket = if tickets == u64::MAX {
        number
    } else {
        (scattered >> 33) % tickets % (1 + (scattered >> 20) % tickets)
    };
    EventBuilder::new(scattered, &format!("kind {ticket}"))
        .with(|event| {
            event.event_id =
                actifix_domain::id::EventId((u128::from(scattered) << 64 | u128::from(number)).to_be_bytes());
            event.extra.insert("payload".to_owned(), payload(number).into());
        })
        .at(now)
        .sample_after(0)
        .release(&format!("web@1.{}", number % 5))
        .environment(["production", "staging"][usize::try_from(number % 2).unwrap()])
        .tag("browser", ["Firefox 130", "Chrome 129", "Safari 18"][usize::try_from(number % 3).unwrap()])
        .tag("os", "Linux")
        .tag("server", &format!("web-{}", number % 8))
        .user(scattered % 5_000)
}

/// About 6 KB that compress as text does.
fn payload(number: u64) -> String {
    let mut text = String::new();
    for line in 0..60_u64 {
        let noise = (number + line).wrapping_mul(0x2545_f491_4f6c_dd1d);
        text.push_str(&format!(
            "step {line}: handled request {noise:016x} by worker {} within limits\n",
            noise % 97
        ));
    }
    text
}
