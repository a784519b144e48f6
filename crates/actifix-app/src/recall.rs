//! What was read from the store a moment ago, so that the next request need not ask again.
//!
//! An entry is believed for a time counted from before it was read: being used does not renew it. A change forgets all
//! entries and begins a new epoch; what was read in an older one is not remembered any more, so that a read that was
//! under way while a token was revoked cannot bring the token back.

use actifix_domain::time::SECOND;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Entries by key, at most as many as the bound says.
pub(crate) struct Recall<K, V> {
    entries_max: usize,
    life_micros: i64,
    state: Mutex<State<K, V>>,
}

struct State<K, V> {
    epoch: u64,
    entries: HashMap<K, (i64, V)>,
}

/// A read that has begun: when, and in which epoch.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Read {
    began_at: i64,
    epoch: u64,
}

/// What is known of a key.
pub(crate) enum Recalled<V> {
    /// This, read a moment ago.
    Known(V),
    /// Nothing: ask the store, then [`Recall::put`].
    Ask(Read),
}

/// Credentials that are remembered.
const CREDENTIALS_MAX: usize = 1_000;
/// How long a credential is believed; a change by another process takes effect within this time.
const CREDENTIAL_MICROS: i64 = SECOND;

impl<K: Eq + Hash, V: Clone> Recall<K, V> {
    /// For rows of credentials.
    pub(crate) fn of_credentials() -> Self {
        Self::new(CREDENTIALS_MAX, CREDENTIAL_MICROS)
    }

    pub(crate) fn new(entries_max: usize, life_micros: i64) -> Self {
        let state = State { epoch: 0, entries: HashMap::new() };
        Self { entries_max, life_micros, state: Mutex::new(state) }
    }

    /// What is remembered at `now`, microseconds of a clock that never goes back.
    pub(crate) fn get(&self, key: &K, now: i64) -> Recalled<V> {
        let state = self.state();
        match state.entries.get(key) {
            Some((at, value)) if now.saturating_sub(*at) < self.life_micros => Recalled::Known(value.clone()),
            _ => Recalled::Ask(Read { began_at: now, epoch: state.epoch }),
        }
    }

    /// Remembers what `read` brought, unless something changed since it began.
    pub(crate) fn put(&self, read: Read, key: K, value: V) {
        let mut state = self.state();
        if state.epoch != read.epoch {
            return;
        }
        if state.entries.len() >= self.entries_max && !state.entries.contains_key(&key) {
            let life = self.life_micros;
            state.entries.retain(|_, (at, _)| read.began_at.saturating_sub(*at) < life);
            if state.entries.len() >= self.entries_max {
                return;
            }
        }
        state.entries.insert(key, (read.began_at, value));
    }

    /// Forgets everything, what is being read now included. Called after a change is durable.
    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.epoch = state.epoch.wrapping_add(1);
        state.entries.clear();
    }

    fn state(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(recall: &Recall<u32, &'static str>, key: u32, now: i64) -> Read {
        match recall.get(&key, now) {
            Recalled::Ask(read) => read,
            Recalled::Known(value) => panic!("{key} is known at {now}: {value}"),
        }
    }

    fn known(recall: &Recall<u32, &'static str>, key: u32, now: i64) -> Option<&'static str> {
        match recall.get(&key, now) {
            Recalled::Known(value) => Some(value),
            Recalled::Ask(_) => None,
        }
    }

    #[test]
    fn a_read_from_before_a_revocation_is_not_remembered() {
        let recall = Recall::new(10, 100);
        let stale = ask(&recall, 1, 0);
        recall.forget();
        recall.put(stale, 1, "good");
        assert_eq!(known(&recall, 1, 1), None, "the row was read before it was revoked");
        recall.put(ask(&recall, 1, 1), 1, "revoked");
        recall.put(stale, 1, "good");
        assert_eq!(known(&recall, 1, 2), Some("revoked"));
    }

    #[test]
    fn being_used_does_not_make_an_entry_younger() {
        let recall = Recall::new(10, 100);
        recall.put(ask(&recall, 1, 0), 1, "row");
        for now in (0..100).step_by(10) {
            assert_eq!(known(&recall, 1, now), Some("row"));
        }
        assert_eq!(known(&recall, 1, 100), None, "counted from before it was read");
    }

    #[test]
    fn strangers_do_not_displace_what_is_known() {
        let recall = Recall::new(3, 100);
        recall.put(ask(&recall, 0, 0), 0, "mine");
        for key in 1..50 {
            recall.put(ask(&recall, key, 1), key, "noise");
        }
        assert_eq!(known(&recall, 0, 2), Some("mine"));
        recall.put(ask(&recall, 99, 100), 99, "later");
        assert_eq!(known(&recall, 99, 101), Some("later"), "what is over makes room");
        assert!(recall.state().entries.len() <= 3);
    }
}
