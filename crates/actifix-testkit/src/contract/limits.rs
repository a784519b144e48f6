//! What was used of the API's limits.

use crate::FakeClock;
use actifix_app::ports::{ApiCounter, Clock, Store};
use actifix_domain::time::{DAY, MINUTE};
use std::sync::Arc;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    let now = clock.now();
    let row = |number: u8, counts: &[u32], saved_at| ApiCounter {
        principal: [number; 16],
        saved_at,
        counts: counts.to_vec(),
    };
    assert_eq!(store.api_counters(now).await.unwrap(), []);
    store.save_api_counters(vec![row(1, &[1, u32::MAX, 0], now), row(2, &[], now)], now).await.unwrap();
    let later = now.plus(MINUTE);
    store.save_api_counters(vec![row(2, &[5], later)], later).await.unwrap();
    let rows = store.api_counters(later).await.unwrap();
    assert_eq!(rows, [row(2, &[5], later), row(1, &[1, u32::MAX, 0], now)], "the newest first");
    let next_day = now.plus(DAY + 1);
    assert_eq!(store.api_counters(next_day).await.unwrap(), [row(2, &[5], later)]);
    store.save_api_counters(vec![row(3, &[9], next_day)], next_day).await.unwrap();
    assert_eq!(store.api_counters(now).await.unwrap().len(), 2, "what is older than a day is gone");
}
