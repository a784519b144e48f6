//! Searches that people keep.

use super::accounts::added;
use crate::FakeClock;
use actifix_app::error::Error;
use actifix_app::ports::{Clock, SavedView, Store};
use actifix_domain::access::Role;
use std::sync::Arc;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    let now = clock.now();
    let jo = added(&store, "jo", Role::Viewer, now).await;
    let kim = added(&store, "kim", Role::Viewer, now).await;
    let view = |name: &str, search: &str| SavedView { name: name.to_owned(), search: search.to_owned() };
    assert_eq!(store.views(&jo.id).await.unwrap(), []);
    store.save_view(&jo.id, &view("mine", "is:open"), 2, now).await.unwrap();
    store.save_view(&jo.id, &view("it's \"mine\"; --", "x"), 2, now).await.unwrap();
    let third = store.save_view(&jo.id, &view("third", "y"), 2, now).await;
    assert!(matches!(third, Err(Error::Conflict { stale: false, .. })), "{third:?}");
    // The same name is replaced, however many there are.
    store.save_view(&jo.id, &view("mine", "is:held"), 2, now).await.unwrap();
    let expected = [view("it's \"mine\"; --", "x"), view("mine", "is:held")];
    assert_eq!(store.views(&jo.id).await.unwrap(), expected);
    // Others have their own.
    assert_eq!(store.views(&kim.id).await.unwrap(), []);
    assert!(!store.remove_view(&kim.id, "mine").await.unwrap());
    assert!(store.remove_view(&jo.id, "mine").await.unwrap());
    assert!(!store.remove_view(&jo.id, "mine").await.unwrap());
    assert_eq!(store.views(&jo.id).await.unwrap().len(), 1);
}
