//! People and their sessions.

use crate::FakeClock;
use crate::fixtures::act;
use actifix_app::error::Error;
use actifix_app::ports::{AuditQuery, Clock, SessionRecord, SessionsOf, Store, UserRecord};
use actifix_domain::access::Role;
use actifix_domain::audit::{Action, AuditRecord};
use actifix_domain::time::{DAY, HOUR, MINUTE, Timestamp};
use std::sync::Arc;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    names_are_unique_and_found(&store, &clock).await;
    a_write_is_decided_on_a_version(&store, &clock).await;
    of_two_who_set_a_password_one_is_told_to_look_again(&store, &clock).await;
    a_session_begins_only_on_what_the_login_saw(&store, &clock).await;
    a_change_ends_what_was_issued_before(&store, &clock).await;
    sessions_are_listed_touched_and_ended(&store, &clock).await;
    the_last_administrator_stays_whoever_closes_whom(&store, &clock).await;
}

/// A person of a test.
pub(crate) fn person(name: &str, role: Role, now: Timestamp) -> UserRecord {
    UserRecord {
        id: format!("{:0<16}", name.replace(|c: char| !c.is_ascii_alphanumeric(), "")),
        name: name.to_owned(),
        role,
        verifier: format!("verifier of {name}"),
        created_at: now,
        password_at: now,
        disabled_at: None,
        epoch: 1,
        version: 1,
        second_factor: false,
    }
}

/// A session of a test.
pub(crate) fn session(user: &UserRecord, number: u8, now: Timestamp) -> SessionRecord {
    SessionRecord {
        hash: [number; 32],
        id: format!("{number:016x}"),
        user_id: user.id.clone(),
        user: user.name.clone(),
        created_at: now,
        seen_at: now,
        authenticated_at: now,
        expires_at: now.plus(7 * DAY),
        network: Some("192.0.2.1".to_owned()),
    }
}

pub(crate) async fn added(store: &Arc<dyn Store>, name: &str, role: Role, now: Timestamp) -> UserRecord {
    let user = person(name, role, now);
    store.add_user(&user, &act()).await.unwrap();
    user
}

async fn names_are_unique_and_found(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let jo = added(store, "jo", Role::Viewer, clock.now()).await;
    let twin = UserRecord { id: "another".to_owned(), ..jo.clone() };
    assert!(matches!(store.add_user(&twin, &act()).await, Err(Error::Conflict { stale: false, .. })));
    assert_eq!(store.user("jo").await.unwrap(), Some(jo.clone()));
    assert_eq!(store.user_by_id(&jo.id).await.unwrap(), Some(jo.clone()));
    assert_eq!(store.user("Jo").await.unwrap(), None, "names come canonical");
    assert_eq!(store.user_by_id("jo").await.unwrap(), None);
    added(store, "al", Role::Operator, clock.now()).await;
    let names: Vec<String> = store.users().await.unwrap().into_iter().map(|user| user.name).collect();
    assert_eq!(names, ["al", "jo"], "by name");
}

async fn a_write_is_decided_on_a_version(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let read = store.user("jo").await.unwrap().unwrap();
    let changed = UserRecord {
        role: Role::Operator,
        verifier: "another".to_owned(),
        password_at: clock.now().plus(5),
        disabled_at: Some(clock.now().plus(6)),
        ..read.clone()
    };
    let saved = store.save_user(&changed, false, &act()).await.unwrap();
    assert_eq!(saved, UserRecord { version: read.version + 1, ..changed.clone() });
    let record = AuditRecord::system(clock.now(), Action::UserDisabled, "user:stale");
    let stale = store.save_user(&changed, true, &record).await;
    assert!(matches!(stale, Err(Error::Conflict { stale: true, .. })), "{stale:?}");
    let query = AuditQuery { action: Some(Action::UserDisabled), limit: 10, ..AuditQuery::default() };
    assert_eq!(store.audit_log(query).await.unwrap().items, [], "what did not happen is not in the log");
    assert_eq!(
        store.user("jo").await.unwrap(),
        Some(saved.clone()),
        "and changed nothing, its epoch included"
    );
    let nobody = UserRecord { id: "nobody".to_owned(), ..saved };
    assert!(matches!(store.save_user(&nobody, false, &act()).await, Err(Error::NotFound { .. })));
}

async fn of_two_who_set_a_password_one_is_told_to_look_again(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let user = added(store, "raced", Role::Viewer, clock.now()).await;
    let with = |verifier: &str| UserRecord { verifier: verifier.to_owned(), ..user.clone() };
    let (one, two, act) = (with("one"), with("two"), act());
    let (first, second) = tokio::join!(store.save_user(&one, true, &act), store.save_user(&two, true, &act));
    let won = match (&first, &second) {
        (Ok(won), Err(Error::Conflict { stale: true, .. }))
        | (Err(Error::Conflict { stale: true, .. }), Ok(won)) => won,
        both => unreachable!("one wins: {both:?}"),
    };
    assert_eq!(store.user("raced").await.unwrap().as_ref(), Some(won), "whole, and not a mixture");
}

async fn a_session_begins_only_on_what_the_login_saw(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let user = added(store, "si", Role::Viewer, clock.now()).await;
    let now = clock.now();
    let refused = async |seen: &UserRecord| {
        let begun = store.begin_session(&session(&user, 9, now), seen, &act()).await;
        assert!(matches!(begun, Err(Error::Conflict { .. })), "{begun:?}");
        assert_eq!(store.session(&[9; 32]).await.unwrap(), None);
    };
    refused(&UserRecord { verifier: "a former one".to_owned(), ..user.clone() }).await;
    refused(&UserRecord { epoch: user.epoch + 1, ..user.clone() }).await;
    let closed = UserRecord { disabled_at: Some(now), ..user.clone() };
    let closed = store.save_user(&closed, false, &act()).await.unwrap();
    refused(&user).await;
    store.save_user(&UserRecord { disabled_at: None, ..closed }, false, &act()).await.unwrap();
    store.begin_session(&session(&user, 9, now), &user, &act()).await.unwrap();
    let (found, whose) = store.session(&[9; 32]).await.unwrap().unwrap();
    assert_eq!((found, whose.name), (session(&user, 9, now), "si".to_owned()));
    // A stronger verifier of the same password is taken, unless it was changed meanwhile.
    store.upgrade_verifier(&user.id, "not this one", "never").await.unwrap();
    store.upgrade_verifier(&user.id, &user.verifier, "stronger").await.unwrap();
    assert_eq!(store.user("si").await.unwrap().unwrap().verifier, "stronger");
}

async fn a_change_ends_what_was_issued_before(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let user = added(store, "ep", Role::Viewer, clock.now()).await;
    let now = clock.now();
    let mut number = 20;
    let mut begin = async |user: &UserRecord| {
        number += 1;
        store.begin_session(&session(user, number, now), user, &act()).await.unwrap();
        [number; 32]
    };
    let hash = begin(&user).await;
    let kept = store.save_user(&user, false, &act()).await.unwrap();
    assert_eq!(kept.epoch, user.epoch);
    assert!(store.session(&hash).await.unwrap().is_some());
    let changed = store.save_user(&kept, true, &act()).await.unwrap();
    assert_eq!(changed.epoch, user.epoch + 1);
    assert_eq!(store.session(&hash).await.unwrap(), None);
    begin(&changed).await;
    assert_eq!(store.end_sessions(SessionsOf::User(user.id.clone()), &act()).await.unwrap(), 1);
    let ended = store.user("ep").await.unwrap().unwrap();
    assert_eq!(ended.epoch, changed.epoch + 1);
    begin(&ended).await;
    assert!(store.end_sessions(SessionsOf::All, &act()).await.unwrap() >= 1);
    let all = store.user("ep").await.unwrap().unwrap();
    assert_eq!(all.epoch, ended.epoch + 1);
    // Who has no session may still hold what was issued: it ends, and the log says so.
    let record = AuditRecord::system(now, Action::SessionKilled, "session:nobody's");
    assert_eq!(store.end_sessions(SessionsOf::All, &record).await.unwrap(), 0);
    assert_eq!(store.user("ep").await.unwrap().unwrap().epoch, all.epoch + 1);
    let query = AuditQuery { action: Some(Action::SessionKilled), limit: 1, ..AuditQuery::default() };
    assert_eq!(store.audit_log(query).await.unwrap().items[0].record, record);
}

async fn sessions_are_listed_touched_and_ended(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let (now, later) = (clock.now(), clock.now().plus(MINUTE));
    let (a, b) = (added(store, "aa", Role::Viewer, now).await, added(store, "bb", Role::Viewer, now).await);
    for (user, number) in [(&a, 1), (&a, 2), (&b, 3)] {
        store.begin_session(&session(user, number, now), user, &act()).await.unwrap();
    }
    store.touch_session(&[1; 32], later, false).await.unwrap();
    store.touch_session(&[2; 32], later.plus(1), true).await.unwrap();
    store.touch_session(&[2; 32], now.plus(-HOUR), true).await.unwrap();
    let found = store.sessions(Some(&a.id), now).await.unwrap();
    let times: Vec<_> = found.iter().map(|one| (one.hash[0], one.seen_at, one.authenticated_at)).collect();
    assert_eq!(
        times,
        [(2, later.plus(1), later.plus(1)), (1, later, now)],
        "last seen first, never backwards"
    );
    assert_eq!(store.sessions(None, now).await.unwrap().len(), 3);
    assert_eq!(store.sessions(None, now.plus(7 * DAY)).await.unwrap(), [], "all have ended by then");
    let epoch = a.epoch;
    assert_eq!(store.end_sessions(SessionsOf::One(format!("{:016x}", 1)), &act()).await.unwrap(), 1);
    assert_eq!(store.end_sessions(SessionsOf::One(format!("{:016x}", 1)), &act()).await.unwrap(), 0, "once");
    assert_eq!(
        store.user("aa").await.unwrap().unwrap().epoch,
        epoch,
        "one's going is no reason for the others"
    );
    assert!(store.session(&[2; 32]).await.unwrap().is_some());
    // So many of one person, then the one that was not used for longest makes room.
    for number in 100..155 {
        let at = later.plus(i64::from(number) * MINUTE);
        store.begin_session(&session(&b, number, at), &b, &act()).await.unwrap();
    }
    let of_b = store.sessions(Some(&b.id), now).await.unwrap();
    assert_eq!((of_b.len(), of_b[0].hash[0], of_b[49].hash[0]), (50, 154, 105));
}

async fn the_last_administrator_stays_whoever_closes_whom(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let now = clock.now();
    let (a, b) = (added(store, "ann", Role::Admin, now).await, added(store, "ben", Role::Admin, now).await);
    let close = |user: &UserRecord| UserRecord { disabled_at: Some(now), ..user.clone() };
    let (one, two, act) = (close(&a), close(&b), act());
    let (first, second) = tokio::join!(store.save_user(&one, true, &act), store.save_user(&two, true, &act));
    let refused = [&first, &second].into_iter().filter(|end| end.is_err()).count();
    assert_eq!(refused, 1, "{first:?} {second:?}");
    let left = if first.is_ok() { b } else { a };
    let demoted = UserRecord { role: Role::Viewer, ..left.clone() };
    let refused = store.save_user(&demoted, true, &act).await;
    assert!(matches!(refused, Err(Error::Conflict { stale: false, .. })), "{refused:?}");
    assert_eq!(store.user(&left.name).await.unwrap(), Some(left));
}
