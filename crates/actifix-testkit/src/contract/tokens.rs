//! API tokens.

use crate::FakeClock;
use crate::fixtures::act;
use actifix_app::error::Error;
use actifix_app::ports::{Clock, Store, TOKEN_USE_MICROS, TokenRecord};
use actifix_domain::access::Scope;
use actifix_domain::id::ProjectId;
use actifix_domain::time::{DAY, Timestamp};
use std::sync::Arc;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    let token = |number: u8| TokenRecord {
        id: format!("tok{number}"),
        name: format!("token {number}"),
        hash: [number; 32],
        scopes: [Scope::TicketsRead, Scope::EventsWrite].into(),
        project: (number == 2).then_some(ProjectId(5)),
        created_at: clock.now().plus(i64::from(number)),
        expires_at: clock.now().plus(DAY),
        revoked_at: None,
        replaced: false,
        last_used_at: None,
        warned_days: None,
    };
    for number in 1..=3 {
        store.add_token(&token(number), &act()).await.unwrap();
    }
    assert!(matches!(store.add_token(&token(1), &act()).await, Err(Error::Conflict { .. })));
    assert_eq!(store.token_by_hash(&[2; 32]).await.unwrap(), Some(token(2)));
    assert_eq!(store.token_by_hash(&[9; 32]).await.unwrap(), None);
    assert_eq!(store.tokens().await.unwrap(), [token(3), token(2), token(1)], "newest first");
    let now = clock.now();
    assert_eq!(store.revoke_tokens(Some("tok2"), now, &act()).await.unwrap(), 1);
    assert_eq!(store.revoke_tokens(Some("tok2"), now, &act()).await.unwrap(), 0, "once");
    let revoked = store.token_by_hash(&[2; 32]).await.unwrap().unwrap();
    assert_eq!(revoked.revoked_at, Some(now));
    assert_eq!(store.revoke_tokens(None, now, &act()).await.unwrap(), 2);
    uses_are_noted_coarsely(&store, now).await;
    a_warning_is_given_once_and_only_for_fewer_days(&store).await;
    a_rotation_has_one_winner(&store, now).await;
}

async fn one(store: &Arc<dyn Store>, id: &str) -> TokenRecord {
    store.tokens().await.unwrap().into_iter().find(|token| token.id == id).unwrap()
}

async fn uses_are_noted_coarsely(store: &Arc<dyn Store>, now: Timestamp) {
    let note = async |at: Timestamp| {
        store.note_token_uses(vec![("tok1".to_owned(), at), ("nobody".to_owned(), at)]).await.unwrap();
        one(store, "tok1").await.last_used_at
    };
    assert_eq!(note(now).await, Some(now));
    assert_eq!(note(now.plus(TOKEN_USE_MICROS - 1)).await, Some(now), "not written again so soon");
    let later = now.plus(TOKEN_USE_MICROS);
    assert_eq!(note(later).await, Some(later));
    assert_eq!(note(now).await, Some(later), "never backwards");
    assert_eq!(one(store, "tok2").await.last_used_at, None);
}

async fn a_warning_is_given_once_and_only_for_fewer_days(store: &Arc<dyn Store>) {
    let warn = async |days| store.note_token_warning("tok3", days).await.unwrap();
    assert_eq!((warn(7).await, warn(7).await, warn(14).await, warn(1).await), (true, false, false, true));
    assert_eq!(one(store, "tok3").await.warned_days, Some(1));
}

async fn a_rotation_has_one_winner(store: &Arc<dyn Store>, now: Timestamp) {
    let named = |id: &str, hash: u8| TokenRecord {
        id: id.to_owned(),
        name: id.to_owned(),
        hash: [hash; 32],
        scopes: [Scope::TicketsRead].into(),
        project: None,
        created_at: now,
        expires_at: now.plus(DAY),
        revoked_at: None,
        replaced: false,
        last_used_at: None,
        warned_days: None,
    };
    store.add_token(&named("old", 50), &act()).await.unwrap();
    let (first, second, act) = (named("new1", 51), named("new2", 52), act());
    let (a, b) = tokio::join!(
        store.rotate_token("old", now.plus(5), &first, &act),
        store.rotate_token("old", now.plus(6), &second, &act)
    );
    let (won, lost) = if a.is_ok() { ("new1", "new2") } else { ("new2", "new1") };
    assert!(matches!((a, b), (Ok(()), Err(Error::Conflict { .. })) | (Err(Error::Conflict { .. }), Ok(()))));
    let all = store.tokens().await.unwrap();
    assert!(all.iter().any(|token| token.id == won) && !all.iter().any(|token| token.id == lost));
    let old = one(store, "old").await;
    assert!(old.replaced && old.expires_at < now.plus(7), "it is good for the overlap alone");
    let nobody = store.rotate_token("nobody", now, &named("new3", 53), &act).await;
    assert!(matches!(nobody, Err(Error::NotFound { .. })), "{nobody:?}");
}
