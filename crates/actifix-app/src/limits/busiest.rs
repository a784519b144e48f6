//! Who runs into limits most: counted by hashed names in a sketch of fixed size, so that neither memory nor labels grow
//! with the number of those who try.

use crate::app::App;
use crate::error::Result;
use actifix_domain::access::{Actor, Scope};
use actifix_domain::time::Timestamp;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Names that are kept.
const NAMES_MAX: usize = 50;

/// One that ran into a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Busy {
    /// Which limit.
    pub class: &'static str,
    /// Keyed hash of the token, key or network; the same until the root key's data key changes.
    pub key: String,
    /// Times that it was refused: at least `count` less `error`, at most `count`.
    pub count: u64,
    /// What may belong to others whose place it took.
    pub error: u64,
    /// When it was refused last.
    pub last_at: Timestamp,
}

#[derive(Clone, Copy)]
struct Cell {
    count: u64,
    error: u64,
    last_at: Timestamp,
}

type Name = (&'static str, [u8; 8]);

/// "Space-saving" of Metwally, Agrawal and El Abbadi: whoever is refused more often than one in so many times as there
/// are cells is among them.
#[derive(Default)]
pub(crate) struct Busiest(Mutex<HashMap<Name, Cell>>);

impl Busiest {
    /// Counts; the sum that this one has now.
    fn note(&self, class: &'static str, key: [u8; 8], times: u64, now: Timestamp) -> u64 {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = cells.get_mut(&(class, key)) {
            cell.count = cell.count.saturating_add(times);
            cell.last_at = now;
            return cell.count;
        }
        let mut error = 0;
        if cells.len() >= NAMES_MAX
            && let Some((least, count)) =
                cells.iter().map(|(name, cell)| (*name, cell.count)).min_by_key(|(_, count)| *count)
        {
            cells.remove(&least);
            error = count;
        }
        let count = error.saturating_add(times);
        cells.insert((class, key), Cell { count, error, last_at: now });
        count
    }

    fn list(&self) -> Vec<Busy> {
        let cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<Busy> = cells
            .iter()
            .map(|((class, key), cell)| Busy {
                class,
                key: hex::encode(key),
                count: cell.count,
                error: cell.error,
                last_at: cell.last_at,
            })
            .collect();
        list.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
        list
    }
}

impl App {
    /// Counts a refusal by a limit: by class for metrics, by hashed name for who asks; the log tells of the 1st, 10th,
    /// 100th and so on of each.
    pub(crate) fn was_limited(&self, class: &'static str, key: [u8; 8], times: u64) {
        metrics::counter!("actifix_rate_limited_total", "class" => class).increment(times);
        let count = self.busiest.note(class, key, times, self.now());
        let before = count.saturating_sub(times);
        if digits(count) > digits(before) {
            tracing::warn!(class, key = hex::encode(key), count, "rate.limited");
        }
    }

    /// A name for somebody that tells nothing about them.
    pub(crate) fn limited_name(&self, who: &[u8]) -> [u8; 8] {
        let hash = blake3::keyed_hash(&self.peer_key, who);
        hash.as_bytes().first_chunk().copied().unwrap_or_default()
    }

    /// Who ran into limits most since the start, most first; at most 50.
    pub fn busiest(&self, actor: &Actor) -> Result<Vec<Busy>> {
        Self::require(actor, Scope::MetricsRead, None)?;
        Ok(self.busiest.list())
    }
}

/// Digits of a count; 0 has none.
fn digits(count: u64) -> u32 {
    count.checked_ilog10().map_or(0, |log| log + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_are_refused_most_are_kept_whoever_else_comes() {
        let busiest = Busiest::default();
        let now = Timestamp::default();
        for round in 0..10_000u64 {
            busiest.note("api", round.to_be_bytes(), 1, now);
            if round % 5 == 0 {
                busiest.note("login", [0xff; 8], 1, now);
            }
        }
        let list = busiest.list();
        assert_eq!(list.len(), NAMES_MAX);
        let top = &list[0];
        assert_eq!((top.class, top.key.as_str()), ("login", "ffffffffffffffff"));
        assert!(top.count >= 2_000 && top.count - top.error <= 2_000, "{top:?}");
    }

    #[test]
    fn each_tenfold_is_told_once() {
        let told: Vec<u64> = (1..=1_000).filter(|count| digits(*count) > digits(count - 1)).collect();
        assert_eq!(told, [1, 10, 100, 1_000]);
    }
}
