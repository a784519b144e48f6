//! Short-lived access tokens and the keys that sign them.

use crate::FakeClock;
use crate::fixtures::act;
use actifix_app::error::Error;
use actifix_app::ports::{
    AccessRecord, Clock, Holder, HolderId, SessionRecord, SessionsOf, SigningKeyRecord, Store, TokenRecord,
    UserRecord,
};
use actifix_domain::access::{Role, Scope};
use actifix_domain::id::ProjectId;
use actifix_domain::time::{DAY, MINUTE, Timestamp};
use std::sync::Arc;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    keys(store.as_ref(), &clock).await;
    tokens(store.as_ref(), &clock).await;
}

async fn keys(store: &dyn Store, clock: &FakeClock) {
    let now = clock.now();
    let key = |number: u8, made_at| SigningKeyRecord {
        id: format!("key{number}"),
        public: [number; 32],
        sealed: vec![number],
        created_at: made_at,
        retires_at: None,
    };
    assert_eq!(store.signing_keys(now).await.unwrap(), []);
    store.replace_signing_key(None, now, &key(1, now), &act()).await.unwrap();
    assert_eq!(store.signing_keys(now).await.unwrap(), [key(1, now)]);
    let second = store.replace_signing_key(None, now, &key(2, now), &act()).await;
    assert!(matches!(second, Err(Error::Conflict { .. })), "another one signs: {second:?}");
    let until = now.plus(MINUTE);
    store.replace_signing_key(Some("key1"), until, &key(2, now), &act()).await.unwrap();
    let former = SigningKeyRecord { retires_at: Some(until), ..key(1, now) };
    assert_eq!(store.signing_keys(now).await.unwrap(), [key(2, now), former], "the one that signs is first");
    let third = store.replace_signing_key(Some("key2"), until, &key(3, now), &act()).await;
    assert!(matches!(third, Err(Error::Conflict { .. })), "two verify already: {third:?}");
    assert_eq!(store.signing_keys(until).await.unwrap(), [key(2, now)], "retired");
    store.replace_signing_key(Some("key2"), until.plus(MINUTE), &key(3, until), &act()).await.unwrap();
    assert_eq!(store.signing_keys(until).await.unwrap().len(), 2);
    store.replace_signing_key(Some("key3"), until, &key(4, until), &act()).await.unwrap();
    assert_eq!(store.signing_keys(now).await.unwrap(), [key(4, until)], "all others ended at once");
}

async fn tokens(store: &dyn Store, clock: &FakeClock) {
    let now = clock.now();
    let token = TokenRecord {
        id: "tok1".to_owned(),
        name: "t".to_owned(),
        hash: [1; 32],
        scopes: [Scope::TicketsRead].into(),
        project: None,
        created_at: now,
        expires_at: now.plus(DAY),
        revoked_at: None,
        replaced: false,
        last_used_at: None,
        warned_days: None,
    };
    let access = |number: u32, holder: HolderId| AccessRecord {
        id: format!("access{number}"),
        key_id: "key4".to_owned(),
        holder,
        scopes: [Scope::TicketsRead].into(),
        project: (number == 2).then_some(ProjectId(7)),
        epoch: 3,
        created_at: now,
        expires_at: now.plus(MINUTE),
    };
    let of_token = HolderId::Token("tok1".to_owned());
    let of_session = HolderId::Session("ses1".to_owned());
    assert!(store.holder(&of_token).await.unwrap().is_none());
    store.add_token(&token, &act()).await.unwrap();
    assert!(matches!(store.holder(&of_token).await.unwrap(), Some(Holder::Token(found)) if found == token));
    begin_session(store, clock).await;
    assert!(matches!(
        store.holder(&of_session).await.unwrap(),
        Some(Holder::Session(session, user)) if session.id == "ses1" && user.name == "jo"
    ));
    for (number, holder) in [(1, &of_token), (2, &of_token), (3, &of_session)] {
        let row = access(number, holder.clone());
        store.add_access(&row, &act()).await.unwrap();
        let (found, _) = store.access(&row.id).await.unwrap().unwrap();
        assert_eq!(found, row);
    }
    assert!(store.access("access9").await.unwrap().is_none());
    assert!(store.end_access("access1", &act()).await.unwrap());
    assert!(!store.end_access("access1", &act()).await.unwrap(), "once");
    assert!(store.access("access1").await.unwrap().is_none());
    store.end_sessions(SessionsOf::One("ses1".to_owned()), &act()).await.unwrap();
    assert!(store.access("access3").await.unwrap().is_none(), "without its holder it is nothing");
    let mut refused = None;
    for number in 10..1_020 {
        if let Err(error) = store.add_access(&access(number, of_token.clone()), &act()).await {
            refused = Some((number, error));
            break;
        }
    }
    let Some((number, Error::Throttled { retry_after_seconds })) = refused else {
        panic!("no bound: {refused:?}")
    };
    assert_eq!((number, retry_after_seconds), (1_009, 61), "until the first of them ends");
    let later = AccessRecord {
        created_at: now.plus(MINUTE),
        expires_at: now.plus(2 * MINUTE),
        ..access(2_000, of_token.clone())
    };
    store.add_access(&later, &act()).await.unwrap();
}

/// An account that nobody logs in to.
pub(crate) fn user(id: &str, name: &str, now: Timestamp) -> UserRecord {
    UserRecord {
        id: id.to_owned(),
        name: name.to_owned(),
        role: Role::Viewer,
        verifier: "v".to_owned(),
        created_at: now,
        password_at: now,
        disabled_at: None,
        epoch: 1,
        second_factor: false,
        version: 1,
    }
}

async fn begin_session(store: &dyn Store, clock: &FakeClock) {
    let now = clock.now();
    let user = user("user1", "jo", now);
    store.add_user(&user, &act()).await.unwrap();
    let session = SessionRecord {
        hash: [5; 32],
        id: "ses1".to_owned(),
        user_id: user.id.clone(),
        user: user.name.clone(),
        created_at: now,
        seen_at: now,
        authenticated_at: now,
        expires_at: now.plus(DAY),
        network: None,
    };
    store.begin_session(&session, &user, &act()).await.unwrap();
}
