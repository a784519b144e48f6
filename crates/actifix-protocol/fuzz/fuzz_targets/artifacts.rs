//! Bundles and maps: whatever the bytes are, an answer within the bounds.
#![no_main]

use actifix_protocol::artifacts::{Bundle, MapReference, inline_map};
use actifix_protocol::sourcemap::{Index, Map};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(mut bundle) = Bundle::open(data) {
        for file in std::mem::take(&mut bundle.files) {
            let _content = bundle.read(&file);
        }
    }
    if let Ok(map) = Map::read(data, Some(data)) {
        let stored = map.into_index().to_bytes();
        let index = Index::from_bytes(&stored).expect("what was written is read");
        for column in [0, 1, 80, u32::MAX] {
            let _place = index.lookup(0, column);
        }
    }
    if let Ok(map) = inline_map(data) {
        assert_eq!(MapReference::in_script(data), Some(MapReference::Inline));
        let _read = Map::read(&map, Some(data));
    }
    let _changed = Index::from_bytes(data).map(|index| index.lookup(0, 7).is_some());
});
