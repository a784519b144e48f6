//! Whether coding agents may have a ticket (`agents.md` §1).
//!
//! Whoever holds a public key can plant text in an error, and an agent that reads it may obey it. So a ticket that
//! only anyone's events speak of is kept from agents until enough independent senders met it, or a person approves.

use crate::words::{many, plural};
use serde::{Deserialize, Serialize};

/// Addresses remembered per ticket; more do not change what is decided.
pub const PEERS_MAX: usize = 8;
/// Largest `agent_min_events`.
pub const EVENTS_MAX: u32 = 1_000_000;

/// Where a ticket's events came from, as far as it matters for agents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// A person let agents have it.
    pub approved: bool,
    /// Events of class `server` or `token`; all others are `anyone`'s.
    pub trusted_events: u64,
    /// Keyed hashes of different addresses that sent events of class `anyone`, at most [`PEERS_MAX`], sorted.
    pub peers: Vec<u64>,
}

impl Origins {
    /// Notes an event.
    pub fn note(&mut self, trusted: bool, peer: Option<u64>) {
        if trusted {
            self.trusted_events = self.trusted_events.saturating_add(1);
        } else if let Some(peer) = peer
            && self.peers.len() < PEERS_MAX
            && let Err(place) = self.peers.binary_search(&peer)
        {
            self.peers.insert(place, peer);
        }
    }

    /// What two tickets that become one come from. A ticket is approved as it is: one that was not is not by the other.
    pub fn absorb(&mut self, other: &Self) {
        self.approved &= other.approved;
        self.trusted_events = self.trusted_events.saturating_add(other.trusted_events);
        for peer in &other.peers {
            self.note(false, Some(*peer));
        }
    }

    /// What is left after some of the events went to another ticket: nobody knows whose they were.
    pub fn forget(&mut self) {
        self.trusted_events = 0;
        self.peers.clear();
    }

    /// Whether agents may have a ticket of `count` events, and why, in words of ours.
    pub fn judge(&self, count: u64, policy: AgentPolicy) -> (Approval, String) {
        if self.approved {
            return (Approval::Approved, "a person approved it".to_owned());
        }
        if self.trusted_events > 0 {
            return (Approval::NotNeeded, "a trusted sender reported it too".to_owned());
        }
        let AgentPolicy { min_events, min_peers } = policy;
        let in_words = |events: u64, peers: u64| {
            format!("{} from {}", many(events, "event"), plural(peers, "address", "addresses"))
        };
        let there = in_words(count, self.peers.len() as u64);
        if count >= u64::from(min_events) && self.peers.len() >= usize::from(min_peers) {
            return (Approval::NotNeeded, there);
        }
        let wanted = in_words(min_events.into(), min_peers.into());
        let reason = format!(
            "anyone may have sent all of it ({there}): agents get it after {wanted}, after one of a server key, or when a \
             person approves it"
        );
        (Approval::NeedsApproval, reason)
    }
}

/// What it takes before agents get a ticket that only anyone's events speak of. Both must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentPolicy {
    /// Events.
    pub min_events: u32,
    /// Different addresses.
    pub min_peers: u8,
}

/// Whether agents may have a ticket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// Not before a person approves it, or more senders meet it.
    #[default]
    NeedsApproval,
    /// A person approved it.
    Approved,
    /// Its events suffice.
    NotNeeded,
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: AgentPolicy = AgentPolicy { min_events: 10, min_peers: 3 };

    fn from(peers: &[u64]) -> Origins {
        let mut origins = Origins::default();
        for peer in peers {
            origins.note(false, Some(*peer));
        }
        origins
    }

    #[test]
    fn anyone_needs_both_events_and_addresses() {
        for (peers, count, expected) in [
            (&[1, 2, 3][..], 10, Approval::NotNeeded),
            (&[1, 2, 3], 9, Approval::NeedsApproval),
            (&[1, 2, 2, 1], 5_000, Approval::NeedsApproval),
            (&[], 10, Approval::NeedsApproval),
        ] {
            assert_eq!(from(peers).judge(count, POLICY).0, expected, "{count} from {peers:?}");
        }
        let (_, reason) = from(&[1]).judge(1, POLICY);
        assert!(reason.contains("(1 event from 1 address)") && reason.contains("10 events from 3 addresses"));
    }

    #[test]
    fn one_trusted_event_or_a_person_lifts_it() {
        let mut origins = from(&[1]);
        origins.note(true, None);
        assert_eq!(origins.judge(2, POLICY).0, Approval::NotNeeded);
        let approved = Origins { approved: true, ..from(&[1]) };
        assert_eq!(approved.judge(1, POLICY).0, Approval::Approved);
    }

    #[test]
    fn addresses_are_bounded_and_merged_tickets_add_them_up() {
        assert_eq!(from(&(0..100).collect::<Vec<_>>()).peers.len(), PEERS_MAX);
        let mut one = Origins { approved: true, ..from(&[1, 2]) };
        one.absorb(&from(&[2, 3]));
        assert_eq!((one.peers.as_slice(), one.approved), (&[1, 2, 3][..], false));
        one.forget();
        assert_eq!(one.judge(100, POLICY).0, Approval::NeedsApproval);
    }
}
