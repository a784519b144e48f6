//! The contract that every store keeps, run on SQLite.

#![allow(clippy::unwrap_used)]

use actifix_app::ports::Store;
use actifix_domain::throttle::ThrottleConfig;
use actifix_store::StoreOptions;
use actifix_testkit::{FakeClock, NOW, contract};
use std::sync::Arc;
use tempfile::TempDir;

async fn fresh(throttle: ThrottleConfig) -> (TempDir, Arc<dyn Store>, Arc<FakeClock>) {
    let dir = TempDir::new().unwrap();
    let clock = Arc::new(FakeClock::at(NOW));
    let mut options = StoreOptions::new(dir.path().join("data"), clock.clone(), [7; 32]);
    options.throttle = throttle;
    let store = actifix_store::open(options).await.unwrap();
    (dir, store, clock)
}

fn open_gates() -> ThrottleConfig {
    ThrottleConfig { enabled: false, ..ThrottleConfig::default() }
}

macro_rules! contract {
    ($($noun:ident: $throttle:expr;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $noun() {
                let (_dir, store, clock) = fresh($throttle).await;
                contract::$noun::run(Arc::clone(&store), clock).await;
                store.close().await.unwrap();
            }
        )*
    };
}

fn three_held() -> ThrottleConfig {
    ThrottleConfig { held_max: 3, ..ThrottleConfig::default() }
}

contract! {
    access: open_gates();
    accounts: open_gates();
    alerts: open_gates();
    alert_bounds: open_gates();
    factors: open_gates();
    logins: open_gates();
    operations: open_gates();
    answers: open_gates();
    audit: open_gates();
    identities: open_gates();
    ingest: open_gates();
    regressions: open_gates();
    releases: open_gates();
    throttle: three_held();
    tickets: open_gates();
    lists: open_gates();
    events: open_gates();
    projects: open_gates();
    tokens: open_gates();
    secrets: open_gates();
    care: open_gates();
    limits: open_gates();
    views: open_gates();
    source_maps: open_gates();
}
