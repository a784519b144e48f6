//! Chunks of uploads, bundles of source maps.

use super::Case;
use crate::FakeClock;
use crate::fixtures::act;
use actifix_app::error::Error;
use actifix_app::ports::{
    BundleKey, ChunkRoom, ChunkUsage, MapKey, NewSourceMap, RetentionPolicy, SealedChunk, Store,
};
use actifix_domain::debug_id::DebugId;
use actifix_domain::time::{DAY, HOUR, Timestamp};
use std::sync::Arc;

const ID: DebugId = DebugId([7; 16]);

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    let case = Case::new(&store, &clock, "maps").await;
    chunks_are_bounded_by_owner_and_age(&case).await;
    a_bundle_is_seen_when_it_is_whole(&case).await;
    what_nobody_needs_goes(&case).await;
}

fn chunk(number: u8) -> SealedChunk {
    SealedChunk { checksum: [number; 20], sealed: vec![number; 100] }
}

fn room(since: Timestamp) -> ChunkRoom {
    ChunkRoom { chunks_max: 3, bytes_max: 1_000, all_chunks_max: 4, all_bytes_max: 1_000, since }
}

async fn chunks_are_bounded_by_owner_and_age(case: &Case) {
    let (store, owner, now) = (&case.store, Some(case.project), case.now());
    let long_ago = now.plus(-HOUR);
    store.put_chunks(owner, vec![chunk(1), chunk(2), chunk(2)], room(long_ago), now).await.unwrap();
    assert_eq!(store.missing_chunks(owner, vec![[1; 20], [3; 20]]).await.unwrap(), [[3; 20]]);
    assert_eq!(store.missing_chunks(None, vec![[1; 20]]).await.unwrap(), [[1; 20]], "another owner's");
    assert_eq!(store.chunk(None, [1; 20]).await.unwrap(), None);
    assert_eq!(store.chunk_usage(owner).await.unwrap(), ChunkUsage { chunks: 2, bytes: 200 });
    assert_eq!(store.chunk_usage(None).await.unwrap(), ChunkUsage::default(), "another owner's");
    let too_many = store.put_chunks(owner, vec![chunk(3), chunk(4)], room(long_ago), now).await;
    assert!(matches!(too_many, Err(Error::Conflict { stale: false, .. })), "{too_many:?}");
    assert_eq!(
        store.missing_chunks(owner, vec![[3; 20]]).await.unwrap(),
        [[3; 20]],
        "none of a refused request"
    );
    store.put_chunks(None, vec![chunk(3), chunk(4)], room(long_ago), now).await.unwrap();
    let all_full = store.put_chunks(None, vec![chunk(5)], room(long_ago), now).await;
    assert!(matches!(all_full, Err(Error::Conflict { .. })), "{all_full:?}");
    // What came before the bound is forgotten with the next request.
    store.put_chunks(None, vec![chunk(5)], room(now.plus(1)), now.plus(1)).await.unwrap();
    assert_eq!(store.missing_chunks(owner, vec![[1; 20]]).await.unwrap(), [[1; 20]]);
    assert_eq!(store.chunk(None, [5; 20]).await.unwrap(), Some(vec![5; 100]));
    store.drop_chunks(None, vec![[5; 20]]).await.unwrap();
    assert_eq!(store.chunk(None, [5; 20]).await.unwrap(), None);
}

fn map(text: &str) -> NewSourceMap {
    NewSourceMap {
        debug_id: Some(ID),
        url: "~/app.js.map".to_owned(),
        scripts: vec!["~/app.js".to_owned()],
        index: format!("index of {text}").into_bytes(),
        sources: vec![(0, text.to_owned()), (3, "another".to_owned())],
    }
}

fn key(case: &Case, checksum: u8, release: &str, dist: &str) -> BundleKey {
    BundleKey {
        project: case.project,
        checksum: [checksum; 20],
        release: release.to_owned(),
        dist: dist.to_owned(),
    }
}

async fn written(case: &Case, key: &BundleKey, text: &str) -> u64 {
    let before = case.store.has_bundle(key).await.unwrap();
    let number = case.store.begin_bundle(key, case.now()).await.unwrap();
    assert!(case.store.add_source_map(number, map(text)).await.unwrap() > 0);
    assert_eq!(case.store.has_bundle(key).await.unwrap(), before, "not before its end");
    case.store.finish_bundle(number, &act()).await.unwrap();
    number
}

async fn a_bundle_is_seen_when_it_is_whole(case: &Case) {
    let store = &case.store;
    let (by_id, first) = (MapKey::DebugId(ID), key(case, 1, "r1", ""));
    assert_eq!(store.find_source_map(case.project, &by_id).await.unwrap(), None);
    let number = written(case, &first, "the text").await;
    assert!(store.has_bundle(&first).await.unwrap());
    assert!(!store.has_bundle(&key(case, 1, "r2", "")).await.unwrap(), "of another release");
    let found = store.find_source_map(case.project, &by_id).await.unwrap().unwrap();
    assert_eq!(store.source_map(found).await.unwrap().unwrap(), b"index of the text");
    assert_eq!(store.map_source(found, 0).await.unwrap().unwrap(), "the text");
    assert_eq!(store.map_source(found, 1).await.unwrap(), None);
    let other = Case::new(store, &case.clock, "no-maps").await;
    assert_eq!(store.find_source_map(other.project, &by_id).await.unwrap(), None, "another project's");
    assert!(!store.remove_bundle(other.project, number, Some(&act())).await.unwrap());

    let script = |release: &str, dist: &str, url: &str| MapKey::Script {
        release: release.to_owned(),
        dist: dist.to_owned(),
        urls: vec!["https://x.example/app.js".to_owned(), url.to_owned()],
    };
    let find = |key: MapKey| async move { store.find_source_map(case.project, &key).await.unwrap() };
    assert_eq!(find(script("r1", "", "~/app.js")).await, Some(found));
    assert_eq!(
        find(script("r1", "7", "~/app.js")).await,
        Some(found),
        "one without a distribution is for all"
    );
    assert_eq!(find(script("r2", "", "~/app.js")).await, None);
    assert_eq!(find(script("r1", "", "~/other.js")).await, None);
    written(case, &key(case, 2, "r1", "7"), "of the distribution").await;
    let of_dist = find(script("r1", "7", "~/app.js")).await.unwrap();
    assert_eq!(store.map_source(of_dist, 0).await.unwrap().unwrap(), "of the distribution");
    assert_eq!(find(script("r1", "8", "~/app.js")).await, Some(found));

    // The same again takes the place of the former.
    let again = written(case, &first, "the text").await;
    let page = store.bundles(case.project, None, 1).await.unwrap();
    assert_eq!(page.items[0].id, again);
    assert_eq!((page.items[0].maps, page.items[0].sources), (1, 2));
    assert_eq!(page.items[0].debug_ids, [ID]);
    let rest = store.bundles(case.project, page.next_cursor, 10).await.unwrap();
    assert_eq!(rest.items.len(), 1);
    assert_eq!(store.map_usage(case.project).await.unwrap().bundles, 2);
    assert!(store.remove_bundle(case.project, again, Some(&act())).await.unwrap());
    assert!(!store.remove_bundle(case.project, again, Some(&act())).await.unwrap());
    assert!(!store.has_bundle(&first).await.unwrap());
    store.sweep_bundles(case.now()).await.unwrap();
    assert_eq!(store.source_map(found).await.unwrap(), None, "its rows are gone");
    assert_eq!(store.map_source(found, 0).await.unwrap(), None);
    assert_eq!(store.map_usage(case.project).await.unwrap().bundles, 1);
    // One that was begun and never ended goes too.
    let begun = store.begin_bundle(&key(case, 9, "", ""), case.now()).await.unwrap();
    store.sweep_bundles(case.now().plus(1)).await.unwrap();
    assert!(store.add_source_map(begun, map("x")).await.is_err());
}

async fn what_nobody_needs_goes(case: &Case) {
    let store = &case.store;
    let policy = RetentionPolicy { source_maps_days: 10, ..RetentionPolicy::default() };
    let used = written(case, &key(case, 21, "used", ""), "used").await;
    let bundles = || async { store.bundles(case.project, None, 50).await.unwrap().items };
    let begun = case.now();
    let map_of_used = store
        .find_source_map(
            case.project,
            &MapKey::Script { release: "used".into(), dist: String::new(), urls: vec!["~/app.js".into()] },
        )
        .await
        .unwrap()
        .unwrap();
    store.note_map_uses(vec![(map_of_used, begun.plus(8 * DAY))]).await.unwrap();
    assert_eq!(bundles().await[0].used_at, Some(begun.plus(8 * DAY)));
    let later = begun.plus(11 * DAY);
    let would = store.run_retention(&policy, Some(later), true).await.unwrap();
    assert_eq!(would.source_maps, 1, "the one of the distribution, unused for eleven days");
    assert_eq!(bundles().await.len(), 2);
    assert_eq!(store.run_retention(&policy, Some(later), false).await.unwrap().source_maps, 1);
    let left: Vec<u64> = bundles().await.iter().map(|bundle| bundle.id).collect();
    assert_eq!(left, [used]);
    // Used every day, and old all the same.
    store.note_map_uses(vec![(map_of_used, begun.plus(41 * DAY))]).await.unwrap();
    assert_eq!(store.run_retention(&policy, Some(begun.plus(41 * DAY)), false).await.unwrap().source_maps, 1);
    assert_eq!(store.source_map(map_of_used).await.unwrap(), None);
}
