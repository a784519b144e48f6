//! Second factors.

use super::accounts::{added, session};
use crate::FakeClock;
use crate::fixtures::act;
use actifix_app::error::Error;
use actifix_app::ports::{AuditQuery, Clock, FactorRecord, Store};
use actifix_domain::access::Role;
use actifix_domain::audit::{Action, AuditRecord};
use actifix_domain::time::Timestamp;
use std::sync::Arc;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    an_enrolment_is_finished_once(&store, &clock).await;
    a_step_is_taken_once_and_never_an_earlier_one(&store).await;
    a_recovery_code_is_used_once_by_one(&store, &clock).await;
    it_goes_with_its_codes(&store, &clock).await;
}

fn begun(user_id: &str, sealed: u8, now: Timestamp) -> FactorRecord {
    FactorRecord {
        user_id: user_id.to_owned(),
        sealed: vec![sealed; 40],
        created_at: now,
        confirmed_at: None,
        last_step: 0,
        recovery_left: 0,
    }
}

async fn an_enrolment_is_finished_once(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let now = clock.now();
    let jo = added(store, "jo", Role::Viewer, now).await;
    for number in [1, 2] {
        store.begin_session(&session(&jo, number, now), &jo, &act()).await.unwrap();
    }
    assert_eq!(store.factor(&jo.id).await.unwrap(), None);
    let (first, second) = (begun(&jo.id, 1, now), begun(&jo.id, 2, now));
    store.begin_factor(&first, &act()).await.unwrap();
    assert_eq!(store.factor(&jo.id).await.unwrap(), Some(first.clone()));
    store.begin_factor(&second, &act()).await.unwrap();
    assert!(!store.take_step(&jo.id, 5).await.unwrap(), "nothing is asked for yet");
    assert!(!store.user("jo").await.unwrap().unwrap().second_factor);
    let codes = vec![[1; 32], [2; 32], [3; 32]];
    let keep = format!("{:016x}", 2);
    let former = store.confirm_factor(&first, 7, codes.clone(), &keep, now, &act()).await;
    assert!(matches!(former, Err(Error::Conflict { .. })), "another was begun since: {former:?}");
    store.confirm_factor(&second, 7, codes.clone(), &keep, now, &act()).await.unwrap();
    let again = store.confirm_factor(&second, 8, codes, &keep, now, &act()).await;
    assert!(matches!(again, Err(Error::Conflict { .. })), "{again:?}");
    let confirmed = FactorRecord { confirmed_at: Some(now), last_step: 7, recovery_left: 3, ..second };
    assert_eq!(store.factor(&jo.id).await.unwrap(), Some(confirmed));
    let after = store.user("jo").await.unwrap().unwrap();
    assert_eq!((after.second_factor, after.epoch), (true, jo.epoch + 1));
    assert_eq!(store.session(&[1; 32]).await.unwrap(), None, "what began without it ends");
    assert!(store.session(&[2; 32]).await.unwrap().is_some(), "but for the one that it was done in");
    let other = store.begin_factor(&begun(&jo.id, 3, now), &act()).await;
    assert!(matches!(other, Err(Error::Conflict { .. })), "one in use is not replaced: {other:?}");
}

async fn a_step_is_taken_once_and_never_an_earlier_one(store: &Arc<dyn Store>) {
    let id = store.user("jo").await.unwrap().unwrap().id;
    assert!(!store.take_step(&id, 7).await.unwrap(), "the one that confirmed it is taken");
    let (a, b, c, d) = tokio::join!(
        store.take_step(&id, 9),
        store.take_step(&id, 9),
        store.take_step(&id, 9),
        store.take_step(&id, 9)
    );
    let won = [a, b, c, d].into_iter().filter(|taken| *taken.as_ref().unwrap()).count();
    assert_eq!(won, 1);
    assert!(!store.take_step(&id, 8).await.unwrap(), "nor an earlier one");
    assert!(store.take_step(&id, 10).await.unwrap());
    assert!(!store.take_step("nobody", 10).await.unwrap());
}

async fn a_recovery_code_is_used_once_by_one(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let (id, now) = (store.user("jo").await.unwrap().unwrap().id, clock.now());
    let record = AuditRecord::system(now, Action::TotpRecovered, "user:jo");
    let take = async |hash: [u8; 32]| store.take_recovery_code(&id, &hash, now, &record).await.unwrap();
    let (a, b, c, d) = tokio::join!(take([1; 32]), take([1; 32]), take([1; 32]), take([1; 32]));
    assert_eq!([a, b, c, d].into_iter().filter(|taken| *taken).count(), 1);
    assert!(!take([1; 32]).await && !take([9; 32]).await);
    assert_eq!(store.factor(&id).await.unwrap().unwrap().recovery_left, 2);
    let query = AuditQuery { action: Some(Action::TotpRecovered), limit: 10, ..AuditQuery::default() };
    assert_eq!(store.audit_log(query).await.unwrap().items.len(), 1, "what failed is not in the log");
    let other = added(store, "other", Role::Viewer, now).await;
    assert!(!store.take_recovery_code(&other.id, &[2; 32], now, &record).await.unwrap(), "of another person");
    store.replace_recovery_codes(&id, vec![[4; 32]], &act()).await.unwrap();
    assert!(!take([2; 32]).await, "the former are void");
    assert!(take([4; 32]).await);
    let none = store.replace_recovery_codes(&other.id, vec![[4; 32]], &act()).await;
    assert!(matches!(none, Err(Error::NotFound { .. })), "{none:?}");
}

async fn it_goes_with_its_codes(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let (jo, now) = (store.user("jo").await.unwrap().unwrap(), clock.now());
    store.replace_recovery_codes(&jo.id, vec![[5; 32]], &act()).await.unwrap();
    store.begin_session(&session(&jo, 3, now), &jo, &act()).await.unwrap();
    assert!(store.remove_factor(&jo.id, false, &act()).await.unwrap());
    assert!(!store.remove_factor(&jo.id, true, &act()).await.unwrap(), "once");
    assert_eq!(store.factor(&jo.id).await.unwrap(), None);
    assert!(!store.take_recovery_code(&jo.id, &[5; 32], now, &act()).await.unwrap());
    assert!(store.session(&[3; 32]).await.unwrap().is_some(), "whoever ends one's own goes on");
    let factor = begun(&jo.id, 6, now);
    store.begin_factor(&factor, &act()).await.unwrap();
    store.confirm_factor(&factor, 1, vec![], &format!("{:016x}", 3), now, &act()).await.unwrap();
    let before = store.user("jo").await.unwrap().unwrap();
    assert!(store.remove_factor(&jo.id, true, &act()).await.unwrap());
    let after = store.user("jo").await.unwrap().unwrap();
    assert_eq!((after.epoch, after.second_factor), (before.epoch + 1, false));
    assert_eq!(store.session(&[3; 32]).await.unwrap(), None);
}
