//! Maps that are in use, in memory: bounded in bytes, those that were not needed for longest go first.

use super::Lines;
use crate::ports::MapKey;
use crate::recall::Recall;
use actifix_domain::id::ProjectId;
use actifix_domain::time::{SECOND, Timestamp};
use actifix_protocol::sourcemap::Index;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of maps and sources in memory: some tens of usual maps.
const BYTES_MAX: usize = 48 << 20;
/// Answers to "which map is it" that are remembered.
const FOUND_MAX: usize = 2_000;
/// How long such an answer is believed; an upload to this process forgets them at once.
const FOUND_MICROS: i64 = 10 * SECOND;
/// Maps whose use waits to be written.
const USES_MAX: usize = 1_000;
/// What an entry takes besides its content, bytes.
const ENTRY_BYTES: usize = 128;

/// What is kept.
#[derive(Clone)]
enum Kept {
    Map(Arc<Index>),
    Source(Arc<Lines>),
}

/// A map, or one of its sources.
type Key = (u64, Option<u32>);

struct Entry {
    kept: Kept,
    weight: usize,
    used: u64,
}

#[derive(Default)]
struct State {
    entries: HashMap<Key, Entry>,
    bytes: usize,
    clock: u64,
}

/// The cache.
pub(crate) struct Cache {
    /// Numbers of maps by what events name them by.
    pub(crate) found: Recall<(ProjectId, MapKey), Option<u64>>,
    /// Whether a project has any map.
    pub(crate) any: Recall<ProjectId, bool>,
    state: Mutex<State>,
    uses: Mutex<HashMap<u64, Timestamp>>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            found: Recall::new(FOUND_MAX, FOUND_MICROS),
            any: Recall::new(FOUND_MAX, FOUND_MICROS),
            state: Mutex::default(),
            uses: Mutex::default(),
        }
    }
}

impl Cache {
    /// Forgets which map is whose: one was uploaded or removed. What a map holds never changes under its number, so it
    /// stays: else an upload to one project would have the maps of all others read anew.
    pub(crate) fn forget(&self) {
        self.found.forget();
        self.any.forget();
    }

    pub(crate) fn map(&self, map: u64) -> Option<Arc<Index>> {
        match self.get((map, None)) {
            Some(Kept::Map(index)) => Some(index),
            _ => None,
        }
    }

    pub(crate) fn source(&self, map: u64, number: u32) -> Option<Arc<Lines>> {
        match self.get((map, Some(number))) {
            Some(Kept::Source(lines)) => Some(lines),
            _ => None,
        }
    }

    pub(crate) fn put_map(&self, map: u64, index: &Arc<Index>) {
        self.put((map, None), Kept::Map(Arc::clone(index)), index.weight());
    }

    pub(crate) fn put_source(&self, map: u64, number: u32, lines: &Arc<Lines>) {
        self.put((map, Some(number)), Kept::Source(Arc::clone(lines)), lines.weight());
    }

    /// Remembers that a map was needed.
    pub(crate) fn note_use(&self, map: u64, now: Timestamp) {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        if uses.len() < USES_MAX || uses.contains_key(&map) {
            uses.insert(map, now);
        }
    }

    pub(crate) fn take_uses(&self) -> Vec<(u64, Timestamp)> {
        std::mem::take(&mut *self.uses.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }

    fn get(&self, key: Key) -> Option<Kept> {
        let mut state = self.state();
        state.clock += 1;
        let now = state.clock;
        let entry = state.entries.get_mut(&key)?;
        entry.used = now;
        Some(entry.kept.clone())
    }

    fn put(&self, key: Key, kept: Kept, weight: usize) {
        let weight = weight.saturating_add(ENTRY_BYTES);
        if weight > BYTES_MAX {
            return;
        }
        let mut state = self.state();
        state.clock += 1;
        let used = state.clock;
        if let Some(before) = state.entries.insert(key, Entry { kept, weight, used }) {
            state.bytes -= before.weight;
        }
        state.bytes += weight;
        // Ends: each turn takes an entry out, and one alone is within the bound.
        while state.bytes > BYTES_MAX {
            let oldest = state.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key);
            let Some(gone) = oldest.and_then(|key| state.entries.remove(&key)) else { return };
            state.bytes -= gone.weight;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_needed_for_longest_goes_first_and_bytes_are_bounded() {
        let cache = Cache::default();
        let text = Arc::new(Lines::new("x".repeat(BYTES_MAX / 4)));
        for number in 0..3 {
            cache.put_source(1, number, &text);
        }
        assert!(cache.source(1, 0).is_some(), "used again");
        cache.put_source(1, 3, &text);
        assert!(cache.source(1, 1).is_none(), "the one that was not needed for longest");
        assert!(cache.source(1, 0).is_some() && cache.source(1, 2).is_some() && cache.source(1, 3).is_some());
        cache.put_source(2, 0, &Arc::new(Lines::new("y".repeat(BYTES_MAX + 1))));
        assert!(cache.source(2, 0).is_none(), "larger than all of it");
        assert!(cache.state().bytes <= BYTES_MAX);
        cache.forget();
        assert!(cache.source(1, 0).is_some(), "an upload makes no other map be read anew");
    }
}
