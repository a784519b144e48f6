//! API tokens.

use crate::FakeClock;
use crate::fixtures::act;
use actifix_app::error::Error;
use actifix_app::ports::{Clock, Store, TokenRecord};
use actifix_domain::access::Scope;
use actifix_domain::id::ProjectId;
use actifix_domain::time::DAY;
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
}
