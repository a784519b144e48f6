//! Attempts to log in.

use crate::FakeClock;
use crate::fixtures::act;
use actifix_app::ports::{Clock, LoginKey, LoginTaken, Store};
use actifix_domain::login::{LoginEnd, LoginKind};
use actifix_domain::time::{DAY, MINUTE, SECOND, Timestamp};
use std::sync::Arc;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    an_attempt_is_counted_on_all_or_on_none(&store, &clock).await;
    many_at_once_get_exactly_what_is_left(&store, &clock).await;
    how_it_ended_corrects_the_count(&store, &clock).await;
    what_closes_an_account_is_not_forgotten_in_a_flood(&store, &clock).await;
}

fn key(kind: LoginKind, number: u16) -> LoginKey {
    let mut id = [0u8; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    LoginKey { kind, id }
}

fn counted(failures: u32) -> LoginTaken {
    LoginTaken::Counted { failures }
}

async fn an_attempt_is_counted_on_all_or_on_none(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let now = clock.now();
    let (account, network) = (key(LoginKind::Account, 1), key(LoginKind::Network, 1));
    let other = key(LoginKind::Account, 2);
    assert_eq!(store.login_wait(&[account, network], 2, now).await.unwrap(), 0);
    assert_eq!(store.take_login(&[account, network], 2, now).await.unwrap(), counted(0));
    assert_eq!(store.take_login(&[other, network], 2, now.plus(5)).await.unwrap(), counted(0));
    let refused = LoginTaken::Wait { micros: MINUTE - 10 };
    assert_eq!(store.take_login(&[account, network], 2, now.plus(10)).await.unwrap(), refused);
    assert_eq!(store.login_wait(&[network], 2, now.plus(10)).await.unwrap(), MINUTE - 10);
    let keys = [account, other, network, key(LoginKind::Name, 1)];
    assert_eq!(store.login_failures(&keys).await.unwrap(), [1, 1, 2, 0], "and nothing of the refused one");
    assert_eq!(store.take_login(&[account, network], 2, now.plus(MINUTE)).await.unwrap(), counted(1));
    assert_eq!(store.login_failures(&[]).await.unwrap(), Vec::<u32>::new());
}

async fn many_at_once_get_exactly_what_is_left(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let (device, now) = (key(LoginKind::Device, 7), clock.now());
    let keys = [device];
    let take = async || {
        let mut mine = 0;
        for _ in 0..5 {
            if store.take_login(&keys, 3, now).await.unwrap() != (LoginTaken::Wait { micros: MINUTE }) {
                mine += 1;
            }
        }
        mine
    };
    let (a, b, c, d) = tokio::join!(take(), take(), take(), take());
    assert_eq!(a + b + c + d, 3);
}

async fn how_it_ended_corrects_the_count(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let now = clock.now();
    let (device, network) = (key(LoginKind::Device, 8), key(LoginKind::Network, 8));
    let at = |second: i64| now.plus(second * SECOND);
    for second in 0..4 {
        store.take_login(&[device, network], 10, at(second)).await.unwrap();
    }
    store.settle_login(&[(device, LoginEnd::Right), (network, LoginEnd::Passed)]).await.unwrap();
    assert_eq!(store.login_failures(&[device, network]).await.unwrap(), [0, 3]);
    store.settle_login(&[(network, LoginEnd::Unseen)]).await.unwrap();
    assert_eq!(store.login_failures(&[network]).await.unwrap(), [2]);
    assert_eq!(store.login_wait(&[network], 4, at(5)).await.unwrap(), 0, "three were looked at");
    assert!(store.login_wait(&[device], 4, at(5)).await.unwrap() > 0, "four were");
    store.forget_login(&[device], &act()).await.unwrap();
    assert_eq!(store.login_wait(&[device], 1, at(5)).await.unwrap(), 0);
}

async fn what_closes_an_account_is_not_forgotten_in_a_flood(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let start = clock.now();
    let (account, name) = (key(LoginKind::Account, 900), key(LoginKind::Name, 900));
    store.take_login(&[account], 10, start).await.unwrap();
    store.take_login(&[name], 10, start).await.unwrap();
    let later: Timestamp = start.plus(2 * DAY);
    for number in 0..3 {
        store.take_login(&[key(LoginKind::Name, number)], 10, later).await.unwrap();
        store.take_login(&[key(LoginKind::Account, 901 + number)], 10, later).await.unwrap();
    }
    assert_eq!(
        store.login_failures(&[account, name]).await.unwrap(),
        [1, 0],
        "what says nothing more is gone"
    );
}
