//! Rows of credentials that were looked at lately, so that a busy holder costs no look-up per request.
//!
//! Writes of this process that may end a credential clear it, before they answer. A look-up that began before such a
//! write must not put its old row back after it: each clearing begins a new generation, and a row of an earlier one is
//! not taken.

use actifix_domain::time::SECOND;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// Rows that are remembered.
const ROWS_MAX: usize = 1_000;
/// How long a remembered row is believed; a change by another process takes effect within this time.
const ROW_MICROS: i64 = SECOND;

/// When a look-up began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u64);

pub(crate) struct RowCache<K, V>(Mutex<State<K, V>>);

struct State<K, V> {
    generation: u64,
    rows: HashMap<K, (i64, V)>,
}

impl<K, V> Default for RowCache<K, V> {
    fn default() -> Self {
        Self(Mutex::new(State { generation: 0, rows: HashMap::new() }))
    }
}

impl<K: Eq + Hash, V: Clone> RowCache<K, V> {
    /// What is remembered; else the generation to put the row with that is looked up now.
    pub(crate) fn get(&self, key: &K, now: i64) -> Result<V, Generation> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.rows.get(key) {
            Some((at, row)) if now.saturating_sub(*at) < ROW_MICROS => Ok(row.clone()),
            _ => Err(Generation(state.generation)),
        }
    }

    /// Remembers a row that was looked up since `generation`, unless something was cleared meanwhile.
    pub(crate) fn put(&self, generation: Generation, key: K, now: i64, row: V) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.generation != generation.0 {
            return;
        }
        if state.rows.len() >= ROWS_MAX {
            state.rows.clear();
        }
        state.rows.insert(key, (now, row));
    }

    /// Forgets all, and what is being looked up.
    pub(crate) fn clear(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.generation = state.generation.wrapping_add(1);
        state.rows.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_was_read_before_a_clearing_is_not_remembered_after_it() {
        let cache = RowCache::default();
        let early = cache.get(&1, 0).unwrap_err();
        cache.clear();
        cache.put(early, 1, 0, "old");
        let late = cache.get(&1, 0).unwrap_err();
        cache.put(late, 1, 0, "new");
        assert_eq!(cache.get(&1, ROW_MICROS - 1), Ok("new"));
        assert!(cache.get(&1, ROW_MICROS).is_err());
    }

    #[test]
    fn it_does_not_grow() {
        let cache = RowCache::default();
        for key in 0..3 * ROWS_MAX {
            let generation = cache.get(&key, 0).unwrap_err();
            cache.put(generation, key, 0, ());
        }
        assert!(cache.0.lock().unwrap().rows.len() <= ROWS_MAX);
    }
}
