//! Stored secrets.

use crate::FakeClock;
use crate::fixtures::act;
use actifix_app::ports::{Clock, SecretRecord, Store};
use actifix_domain::time::SECOND;
use std::sync::Arc;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    assert_eq!(store.secrets().await.unwrap(), []);
    let first = clock.now();
    let made = store.save_secret("smtp.password", vec![1, 2, 3], 11, first, &act()).await.unwrap();
    let expected = SecretRecord {
        name: "smtp.password".to_owned(),
        size: 11,
        created_at: first,
        updated_at: first,
        version: 1,
    };
    assert_eq!(made, expected);
    store.save_secret("a", vec![9], 1, first, &act()).await.unwrap();

    let later = first.plus(SECOND);
    let replaced = store.save_secret("smtp.password", vec![4, 5], 7, later, &act()).await.unwrap();
    assert_eq!(replaced, SecretRecord { size: 7, updated_at: later, version: 2, ..expected });
    let found = store.secret("smtp.password").await.unwrap().unwrap();
    assert_eq!((found.record, found.sealed), (replaced.clone(), vec![4, 5]));
    let names: Vec<String> = store.secrets().await.unwrap().into_iter().map(|record| record.name).collect();
    assert_eq!(names, ["a", "smtp.password"], "by name");

    assert!(store.remove_secret("a", &act()).await.unwrap());
    assert!(!store.remove_secret("a", &act()).await.unwrap(), "once");
    assert_eq!(store.secret("a").await.unwrap(), None);
    assert_eq!(store.secrets().await.unwrap(), [replaced]);

    assert_eq!(store.vault_mark([7; 16]).await.unwrap(), [7; 16], "the first one stays");
    assert_eq!(store.vault_mark([8; 16]).await.unwrap(), [7; 16]);
}
