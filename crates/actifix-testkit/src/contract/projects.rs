//! Projects and keys.

use super::Case;
use crate::FakeClock;
use crate::fixtures::act;
use actifix_app::error::Error;
use actifix_app::ports::{Clock, Store, Submission};
use actifix_domain::id::{ProjectId, PublicKey};
use actifix_domain::project::{KEYS_MAX, KeyKind, ProjectKey};
use std::sync::Arc;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    projects_are_made_and_saved(&store, &clock).await;
    keys_are_kept(&Case::new(&store, &clock, "keys").await).await;
    keys_are_replaced_or_not(&store, &clock).await;
}

async fn projects_are_made_and_saved(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let now = clock.now();
    let shop = store.create_project(Some(ProjectId(42)), "shop", None, now, &act()).await.unwrap();
    assert_eq!((shop.id, shop.version, shop.created_at), (ProjectId(42), 1, now));
    let next = store.create_project(None, "next", None, now, &act()).await.unwrap();
    assert_eq!(next.id, ProjectId(43));
    for (id, name) in [(Some(ProjectId(42)), "other"), (None, "shop")] {
        let again = store.create_project(id, name, None, now, &act()).await;
        assert!(matches!(again, Err(Error::Conflict { stale: false, .. })), "{again:?}");
    }
    for name in ["", "123", "a/b", "-x", &"x".repeat(65)] {
        assert!(
            matches!(store.create_project(None, name, None, now, &act()).await, Err(Error::Invalid(_))),
            "{name}"
        );
    }
    let mut changed = shop.clone();
    changed.name = "store".to_owned();
    changed.settings.sample_after = Some(7);
    let saved = store.save_project(&changed, &act()).await.unwrap();
    assert_eq!((saved.version, saved.settings.sample_after), (2, Some(7)));
    assert!(matches!(store.save_project(&changed, &act()).await, Err(Error::Conflict { stale: true, .. })));
    assert_eq!(store.project(shop.id).await.unwrap(), Some(saved.clone()));
    assert_eq!(store.project_by_name("store").await.unwrap(), Some(saved.clone()));
    assert_eq!(store.project_by_name("shop").await.unwrap(), None);
    let mut taken = next.clone();
    taken.name = "store".to_owned();
    assert!(matches!(store.save_project(&taken, &act()).await, Err(Error::Conflict { stale: false, .. })));
    assert_eq!(store.projects().await.unwrap(), [saved, next]);
}

async fn keys_are_kept(case: &Case) {
    let key = ProjectKey {
        project: case.project,
        public_key: "0123456789abcdef".parse::<PublicKey>().unwrap(),
        label: "web".to_owned(),
        kind: KeyKind::Server,
        enabled: true,
        allowed_origins: vec!["https://a.example".to_owned()],
        rate_per_minute: Some(60),
        created_at: case.now(),
        version: 1,
    };
    case.store.add_key(&key, &act()).await.unwrap();
    assert!(matches!(case.store.add_key(&key, &act()).await, Err(Error::Conflict { .. })));
    assert_eq!(case.store.key(&key.public_key).await.unwrap(), Some(key.clone()));
    let off = ProjectKey { enabled: false, kind: KeyKind::Browser, rate_per_minute: None, ..key.clone() };
    let off = case.store.save_key(&off, &act()).await.unwrap();
    assert_eq!((off.enabled, off.kind, off.version), (false, KeyKind::Browser, 2));
    assert_eq!(case.store.key(&key.public_key).await.unwrap(), Some(off.clone()));
    let stale = case.store.save_key(&ProjectKey { label: "late".to_owned(), ..key.clone() }, &act()).await;
    assert!(matches!(stale, Err(Error::Conflict { stale: true, .. })), "{stale:?}");
    let unknown = ProjectKey { public_key: "ffff".parse().unwrap(), ..key.clone() };
    assert!(matches!(case.store.save_key(&unknown, &act()).await, Err(Error::NotFound { .. })));
    let nowhere = ProjectKey { project: ProjectId(999_999), ..unknown };
    assert!(matches!(case.store.add_key(&nowhere, &act()).await, Err(Error::NotFound { .. })));
    for number in 0..25 {
        case.clock.advance(1);
        let mut sent = Submission::new(case.project, case.now());
        sent.unlisted_origin = Some((key.public_key.clone(), format!("https://o{number}.example")));
        case.store.ingest(sent).await.unwrap();
    }
    let keys = case.store.keys(case.project).await.unwrap();
    assert_eq!((keys.len(), &keys[0].key), (1, &off));
    assert_eq!(keys[0].unlisted_origins.len(), 20);
    assert_eq!(keys[0].unlisted_origins[0], "https://o24.example", "latest first");
}

/// Neither a project without its key nor two enabled keys in the place of one.
async fn keys_are_replaced_or_not(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let (now, named) = (clock.now(), |name: &str| name.parse::<PublicKey>().unwrap());
    let first = ProjectKey {
        project: ProjectId(999_999),
        public_key: named("aaaa000000000001"),
        label: "default".to_owned(),
        kind: KeyKind::Browser,
        enabled: true,
        allowed_origins: Vec::new(),
        rate_per_minute: None,
        created_at: now,
        version: 1,
    };
    let made = store.create_project(None, "rotation", Some(&first), now, &act()).await.unwrap();
    let first = ProjectKey { project: made.id, ..first };
    assert_eq!(store.key(&first.public_key).await.unwrap(), Some(first.clone()));
    let twin = store.create_project(None, "rotation-2", Some(&first), now, &act()).await;
    assert!(matches!(twin, Err(Error::Conflict { .. })), "{twin:?}");
    assert_eq!(store.project_by_name("rotation-2").await.unwrap(), None, "not without its key");
    let second = ProjectKey { public_key: named("aaaa000000000002"), ..first.clone() };
    store.replace_key(&first, &second, &act()).await.unwrap();
    assert!(!store.key(&first.public_key).await.unwrap().unwrap().enabled);
    // Decided on what is no longer so, or where there is no room: nothing of it happens.
    let third = ProjectKey { public_key: named("aaaa000000000003"), ..first.clone() };
    let stale = store.replace_key(&first, &third, &act()).await;
    assert!(matches!(stale, Err(Error::Conflict { stale: true, .. })), "{stale:?}");
    for number in store.keys(made.id).await.unwrap().len()..KEYS_MAX {
        let more = ProjectKey { public_key: named(&format!("bbbb{number:012}")), ..first.clone() };
        store.add_key(&more, &act()).await.unwrap();
    }
    assert!(matches!(
        store.replace_key(&second, &third, &act()).await,
        Err(Error::Conflict { stale: false, .. })
    ));
    assert!(store.key(&second.public_key).await.unwrap().unwrap().enabled);
    assert_eq!(store.key(&third.public_key).await.unwrap(), None);
}
