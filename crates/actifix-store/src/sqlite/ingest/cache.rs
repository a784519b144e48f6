//! What the writer remembers between batches, so that a hot ticket is not read again for each.

use crate::fault::Result;
use crate::sqlite::alerts;
use crate::sqlite::rows::TicketRow;
use crate::sqlite::throttles::Settings;
use actifix_domain::alert::{Interests, Window};
use actifix_domain::id::{Fingerprint, ProjectId};
use actifix_domain::throttle::ThrottleState;
use actifix_domain::time::{MINUTE, Timestamp};
use rusqlite::Connection;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

/// Tickets and keys of one generation; two generations are kept.
const GENERATION: usize = 4_096;

/// A ticket and what is known of its side tables.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) row: TicketRow,
    /// Values per facet key, once they were counted.
    pub(crate) facets: Option<BTreeMap<String, usize>>,
    /// Mean of the 24 hours before the hour named first.
    pub(crate) trailing: Option<(i64, f64)>,
    /// The latest hour in which it spiked.
    pub(crate) spiked: Option<i64>,
}

impl Known {
    pub(crate) fn new(row: TicketRow) -> Self {
        Self { row, facets: None, trailing: None, spiked: None }
    }
}

/// State of a project's throttle as it is on disk, and how many tickets it holds back.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    pub(crate) throttle: ThrottleState,
    pub(crate) held: u64,
}

/// Memory of the writer. Always equal to the disk, or empty: a failed transaction clears it.
pub(crate) struct Cache {
    pub(crate) throttle: Settings,
    tickets: Generations<i64, Known>,
    keys: Generations<(ProjectId, Fingerprint), i64>,
    admissions: HashMap<ProjectId, Admission>,
    /// Errors beyond the cap of held tickets, and when the brake counted each.
    refused: Generations<(ProjectId, Fingerprint), Timestamp>,
    next_event: Option<i64>,
    /// What rules listen for; read again after a rule or channel changed.
    interests: Option<Arc<Interests>>,
    /// Events that count for rates, by ticket and rule.
    rates: Generations<(i64, String), Window>,
}

impl Cache {
    pub(crate) fn new(throttle: Settings) -> Self {
        Self {
            throttle,
            tickets: Generations::default(),
            keys: Generations::default(),
            admissions: HashMap::new(),
            refused: Generations::default(),
            next_event: None,
            interests: None,
            rates: Generations::default(),
        }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.tickets.clear();
        self.keys.clear();
        self.admissions.clear();
        self.refused.clear();
        self.next_event = None;
        self.interests = None;
        self.rates.clear();
    }

    /// What rules listen for.
    pub(crate) fn interests(&mut self, db: &Connection) -> Result<Arc<Interests>> {
        if let Some(interests) = &self.interests {
            return Ok(Arc::clone(interests));
        }
        let interests = Arc::new(alerts::interests(db)?);
        self.interests = Some(Arc::clone(&interests));
        Ok(interests)
    }

    /// A rule or channel changed. Rates are counted anew.
    pub(crate) fn forget_interests(&mut self) {
        self.interests = None;
        self.rates.clear();
    }

    /// The events of a ticket that count for the rate of a rule; put them back.
    pub(crate) fn take_rate(&mut self, ticket: i64, rule: &str) -> Window {
        self.rates.take(&(ticket, rule.to_owned())).unwrap_or_default()
    }

    pub(crate) fn put_rate(&mut self, ticket: i64, rule: &str, window: Window) {
        self.rates.put((ticket, rule.to_owned()), window);
    }

    /// Forgets a ticket that was changed elsewhere.
    pub(crate) fn forget_ticket(&mut self, seq: i64) {
        self.tickets.take(&seq);
    }

    pub(crate) fn take_ticket(&mut self, seq: i64) -> Option<Known> {
        self.tickets.take(&seq)
    }

    pub(crate) fn put_ticket(&mut self, known: Known) {
        self.tickets.put(known.row.seq, known);
    }

    pub(crate) fn key(&mut self, project: ProjectId, key: Fingerprint) -> Option<i64> {
        let seq = self.keys.take(&(project, key))?;
        self.keys.put((project, key), seq);
        Some(seq)
    }

    pub(crate) fn put_key(&mut self, project: ProjectId, key: Fingerprint, seq: i64) {
        self.keys.put((project, key), seq);
    }

    pub(crate) fn take_admission(&mut self, project: ProjectId) -> Option<Admission> {
        self.admissions.remove(&project)
    }

    pub(crate) fn forget_admission(&mut self, project: ProjectId) {
        self.admissions.remove(&project);
    }

    pub(crate) fn put_admission(&mut self, project: ProjectId, admission: Admission) {
        self.admissions.insert(project, admission);
    }

    /// Whether an error beyond the cap was counted within the last minute; if not it is counted now.
    ///
    /// Only so many are remembered: of more than [`GENERATION`] different ones a minute some count twice, which is
    /// a flood anyway.
    pub(crate) fn was_refused(&mut self, project: ProjectId, key: Fingerprint, now: Timestamp) -> bool {
        let counted = self.refused.take(&(project, key));
        let known = counted.is_some_and(|at| (-MINUTE..MINUTE).contains(&now.since(at)));
        self.refused.put((project, key), counted.filter(|_| known).unwrap_or(now));
        known
    }

    /// The next number of an event. A number may be given again once its event is deleted, which is why whoever
    /// follows one compares the id too.
    pub(crate) fn next_event(&mut self, db: &Connection) -> Result<i64> {
        let number = match self.next_event {
            Some(number) => number,
            None => db.query_row("SELECT coalesce(max(seq), 0) + 1 FROM events", [], |row| row.get(0))?,
        };
        self.next_event = Some(number + 1);
        Ok(number)
    }
}

/// A number that no ticket ever had. It is taken in the caller's transaction: undone with it, never given twice.
pub(crate) fn next_ticket(db: &Connection) -> Result<i64> {
    Ok(db
        .prepare_cached("UPDATE sequences SET next = next + 1 WHERE name = 'tickets' RETURNING next - 1")?
        .query_row([], |row| row.get(0))?)
}

/// A map that forgets what was not used for two generations: bounded, and cheap on each use.
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V> Default for Generations<K, V> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<K: Hash + Eq, V> Generations<K, V> {
    fn take(&mut self, key: &K) -> Option<V> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    fn put(&mut self, key: K, value: V) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_are_bounded_and_keep_what_is_used() {
        let mut map: Generations<usize, usize> = Generations::default();
        for number in 0..20 * GENERATION {
            let hot = map.take(&usize::MAX).unwrap_or(7);
            map.put(usize::MAX, hot);
            map.put(number, number);
            assert!(map.young.len() + map.old.len() <= 2 * GENERATION);
        }
        assert_eq!(map.take(&usize::MAX), Some(7));
        assert_eq!(map.take(&0), None);
    }
}
