//! Accounts as a sign-in provider names their owners.

use crate::FakeClock;
use crate::contract::access::user;
use crate::fixtures::act;
use actifix_app::error::Error;
use actifix_app::ports::{Clock, IDENTITIES_MAX, IdentityRecord, Store};
use actifix_domain::time::{MINUTE, SECOND};
use std::sync::Arc;

const ISSUER: &str = "https://id.example.net";

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    let now = clock.now();
    let identity = |subject: &str, user_id: &str| IdentityRecord {
        issuer: ISSUER.to_owned(),
        subject: subject.to_owned(),
        user_id: user_id.to_owned(),
        created_at: now,
    };
    let (jo, kim) = (user("user1", "jo", now), user("user2", "kim", now));
    store.add_user(&jo, &act()).await.unwrap();
    assert_eq!(store.identity(ISSUER, "1").await.unwrap(), None);
    store.link_identity(&identity("1", "user1"), None, &[act()]).await.unwrap();
    assert_eq!(store.identity(ISSUER, "1").await.unwrap(), Some(jo));
    assert_eq!(store.identity("https://id.example.net/", "1").await.unwrap(), None, "to the letter");
    assert_eq!(store.identity(ISSUER, "1 ").await.unwrap(), None);
    // With a new account: both or neither.
    store.link_identity(&identity("2", "user2"), Some(&kim), &[act(), act()]).await.unwrap();
    assert_eq!(store.identity(ISSUER, "2").await.unwrap(), Some(kim));
    for (what, identity, new_user) in [
        ("an identity of another account", identity("1", "user3"), Some(user("user3", "lee", now))),
        ("a name that is taken", identity("3", "user3"), Some(user("user3", "jo", now))),
        ("an identity twice", identity("2", "user1"), None),
    ] {
        let linked = store.link_identity(&identity, new_user.as_ref(), &[act()]).await;
        assert!(matches!(linked, Err(Error::Conflict { .. })), "{what}: {linked:?}");
    }
    assert_eq!(store.users().await.unwrap().len(), 2);
    for number in 1..IDENTITIES_MAX {
        store.link_identity(&identity(&format!("jo-{number}"), "user1"), None, &[act()]).await.unwrap();
    }
    let many = store.link_identity(&identity("one more", "user1"), None, &[act()]).await;
    assert!(matches!(many, Err(Error::Conflict { .. })), "{many:?}");
    assert_eq!(store.identities("user1").await.unwrap().len(), IDENTITIES_MAX);
    assert_eq!(store.unlink_identities("user1", &act()).await.unwrap(), IDENTITIES_MAX as u64);
    assert_eq!(store.identities("user1").await.unwrap(), []);
    assert_eq!(store.identity(ISSUER, "1").await.unwrap(), None);
    assert_eq!(store.identities("user2").await.unwrap().len(), 1);

    let ends = now.plus(MINUTE);
    assert!(store.spend_sign_in(&[1; 32], ends, now).await.unwrap());
    assert!(!store.spend_sign_in(&[1; 32], ends, now.plus(MINUTE - SECOND)).await.unwrap(), "once");
    assert!(store.spend_sign_in(&[2; 32], ends, now).await.unwrap());
    assert!(
        store.spend_sign_in(&[1; 32], ends.plus(MINUTE), ends).await.unwrap(),
        "nobody could bring it any more"
    );
}
