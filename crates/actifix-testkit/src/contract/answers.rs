//! Answers that are given again.

use crate::FakeClock;
use actifix_app::ports::{Clock, KeptAnswer, Store};
use actifix_domain::time::DAY;
use std::sync::Arc;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    let answer = |number: u8, request: u8| KeptAnswer {
        key: [number; 32],
        request: [request; 32],
        sealed: vec![number; 40],
        expires_at: clock.now().plus(DAY),
    };
    let now = clock.now();
    assert_eq!(store.kept_answer(&[1; 32], now).await.unwrap(), None);
    store.keep_answer(answer(1, 7), now).await.unwrap();
    store.keep_answer(answer(2, 7), now).await.unwrap();
    assert_eq!(store.kept_answer(&[1; 32], now).await.unwrap(), Some(answer(1, 7)));
    store.keep_answer(answer(1, 8), now).await.unwrap();
    assert_eq!(store.kept_answer(&[1; 32], now).await.unwrap(), Some(answer(1, 8)), "the later one");
    let end = now.plus(DAY);
    assert_eq!(store.kept_answer(&[1; 32], end).await.unwrap(), None, "it has ended");
    let later = KeptAnswer { key: [3; 32], expires_at: end.plus(DAY), ..answer(3, 7) };
    store.keep_answer(later.clone(), end).await.unwrap();
    assert_eq!(store.kept_answer(&[1; 32], now).await.unwrap(), None, "and was swept away");
    assert_eq!(store.kept_answer(&[3; 32], end).await.unwrap(), Some(later));
}
