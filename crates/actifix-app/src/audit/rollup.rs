//! Refusals that come in numbers: the first of a minute are written, the rest are added up.

use actifix_domain::audit::{Action, AuditRecord};
use actifix_domain::network::client_network;
use actifix_domain::time::{MINUTE, Timestamp};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Refusals of one kind and network that get a row of their own within a minute.
pub(crate) const ROWS_PER_MINUTE: u32 = 20;
/// Networks that are told apart at the same time; further ones share one sum.
const NETWORKS_MAX: usize = 10_000;

struct Slot {
    started: i64,
    written: u32,
    added_up: u64,
    last: AuditRecord,
}

/// Sums of the present minute. They live in memory: a crash loses at most a minute's sum, never one of the rows.
#[derive(Default)]
pub(crate) struct Rollup(Mutex<HashMap<(Action, String), Slot>>);

impl Rollup {
    /// The record if it gets a row of its own.
    pub(crate) fn admit(&self, record: AuditRecord, monotonic: i64) -> Option<AuditRecord> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (record.action, network_of(&record));
        if slots.len() >= NETWORKS_MAX && !slots.contains_key(&key) {
            key.1 = "others".to_owned();
        }
        let slot = slots.entry(key).or_insert_with(|| Slot {
            started: monotonic,
            written: 0,
            added_up: 0,
            last: record.clone(),
        });
        if slot.written < ROWS_PER_MINUTE {
            slot.written += 1;
            return Some(record);
        }
        slot.added_up += 1;
        slot.last = record;
        None
    }

    /// One record for each sum whose minute is over, or for all.
    pub(crate) fn due(&self, monotonic: i64, now: Timestamp, every: bool) -> Vec<AuditRecord> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        slots.retain(|_, slot| {
            if !every && monotonic.saturating_sub(slot.started) < MINUTE {
                return true;
            }
            if slot.added_up > 0 {
                let mut record = slot.last.clone();
                record.detail = json!({ "further": slot.added_up, "last": record.detail });
                record.at = now;
                due.push(record.bounded());
            }
            false
        });
        due
    }
}

/// Whose budget a refusal uses: that of the client's network, as a client of IPv6 has 2^64 addresses.
fn network_of(record: &AuditRecord) -> String {
    let address = record.network.as_deref();
    match address.map(|text| text.parse().map(client_network)) {
        Some(Ok(network)) => network.to_string(),
        _ => address.unwrap_or(&record.actor).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_becomes_a_few_rows_and_one_exact_sum() {
        let rollup = Rollup::default();
        let now = Timestamp::from_micros(0);
        let mut record = AuditRecord::system(now, Action::LoginFailed, "user:admin");
        record.network = Some("192.0.2.1".to_owned());
        let rows = (0..1_000).filter(|_| rollup.admit(record.clone(), 0).is_some()).count();
        assert_eq!(rows, ROWS_PER_MINUTE as usize);
        let mut other = record.clone();
        other.network = Some("192.0.2.2".to_owned());
        assert!(rollup.admit(other, 0).is_some(), "another network has rows of its own");
        assert!(rollup.due(MINUTE - 1, now, false).is_empty());
        let due = rollup.due(MINUTE, now, false);
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].detail["further"], 1_000 - u64::from(ROWS_PER_MINUTE));
        assert!(rollup.admit(record, MINUTE).is_some(), "the next minute begins anew");
    }

    #[test]
    fn all_addresses_of_one_client_network_share_its_rows() {
        let rollup = Rollup::default();
        let refused = |address: &str| {
            let mut record =
                AuditRecord::system(Timestamp::from_micros(0), Action::LoginFailed, "user:admin");
            record.network = Some(address.to_owned());
            rollup.admit(record, 0)
        };
        let rows: Vec<_> = (0..500).filter_map(|host| refused(&format!("2001:db8:1:2::{host:x}"))).collect();
        assert_eq!(rows.len(), ROWS_PER_MINUTE as usize);
        assert_eq!(rows[7].network.as_deref(), Some("2001:db8:1:2::7"), "the row names the address itself");
        assert!(refused("2001:db8:1:3::1").is_some());
    }

    #[test]
    fn networks_beyond_the_bound_share_a_sum() {
        let rollup = Rollup::default();
        for number in 0..NETWORKS_MAX * 2 {
            let mut record = AuditRecord::system(Timestamp::from_micros(0), Action::LoginFailed, "x");
            record.network = Some(number.to_string());
            rollup.admit(record, 0);
        }
        assert!(rollup.0.lock().unwrap().len() <= NETWORKS_MAX + 1);
        let sum: u64 = rollup
            .due(0, Timestamp::from_micros(0), true)
            .iter()
            .filter_map(|record| record.detail["further"].as_u64())
            .sum();
        assert_eq!(sum, (NETWORKS_MAX as u64) - u64::from(ROWS_PER_MINUTE), "counted, not lost");
    }
}
