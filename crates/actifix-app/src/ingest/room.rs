//! Room for the bodies of requests in flight (`ingest.md` §6): one budget, of which nobody may take it all.
//!
//! Room is taken as bytes arrive, never for what a header promises: else a few requests that send nothing would
//! hold the whole budget. And each key, each peer, and all senders that have not named a key yet have a share only,
//! so that none of them can shut out the others.

use super::answer::Refusal;
use actifix_domain::id::PublicKey;
use actifix_domain::network::client_network;
use actifix_protocol::limits::Limits;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The budget is counted in units of this many bytes.
const UNIT_BYTES: u64 = 1_024;
/// Bytes of one body that may be read before its sender is known: a header line of 64 KiB decoded, in any coding
/// (zstd shows nothing of a block of 128 KiB before it is whole).
pub const STRANGER_BYTES_MAX: u64 = 256 * 1_024;
/// Owners of shares that are remembered before those without a request are looked for.
const OWNERS_MAX: usize = 10_000;

/// Who holds a share of the budget.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Owner {
    /// All requests of an ingest key: half of the budget.
    Key(PublicKey),
    /// All requests from one address (of IPv6: one network of 64 bits): three quarters, as it may be a proxy.
    Peer(IpAddr),
    /// Requests from one address that have not shown a key yet: an eighth.
    Stranger(IpAddr),
    /// All requests that have not shown a key yet: a quarter.
    Strangers,
}

/// The budget and its shares.
#[derive(Debug)]
pub(super) struct ByteBudget {
    all: Arc<Semaphore>,
    units: usize,
    /// Least size of a share of somebody known: the largest request must fit.
    request_units: usize,
    /// Longest wait for room.
    wait: Duration,
    shares: Mutex<HashMap<Owner, Weak<Semaphore>>>,
}

impl ByteBudget {
    pub(super) fn new(limits: &Limits) -> Self {
        let units_of = |bytes: u64| {
            let units = bytes.div_ceil(UNIT_BYTES);
            usize::try_from(units).unwrap_or(Semaphore::MAX_PERMITS).clamp(1, Semaphore::MAX_PERMITS)
        };
        let units = units_of(limits.inflight_bytes_max);
        Self {
            all: Arc::new(Semaphore::new(units)),
            units,
            request_units: units_of(limits.request_bytes_max),
            wait: Duration::from_millis(limits.inflight_wait_milliseconds_max),
            shares: Mutex::default(),
        }
    }

    /// An empty room for a request from `peer`, whose sender may be known already.
    pub(super) fn room(self: &Arc<Self>, peer: Option<IpAddr>, key: Option<&PublicKey>) -> ByteRoom {
        let mut room = ByteRoom { budget: Arc::clone(self), bytes: 0, units: 0, shares: Vec::new() };
        let peer = peer.map(client_network);
        match key {
            Some(key) => room.shares.push(self.share(Owner::Key(key.clone()))),
            None => {
                room.shares.extend(peer.map(|peer| self.share(Owner::Stranger(peer))));
                room.shares.push(self.share(Owner::Strangers));
            }
        }
        room.shares.extend(peer.map(|peer| self.share(Owner::Peer(peer))));
        room.shares.push(Share { of: Arc::clone(&self.all), held: None, lasts: true });
        room
    }

    fn share(&self, owner: Owner) -> Share {
        let stranger_units = usize::try_from(STRANGER_BYTES_MAX / UNIT_BYTES).unwrap_or(1);
        let (units, lasts) = match owner {
            Owner::Key(_) => ((self.units / 2).max(self.request_units), true),
            Owner::Peer(_) => ((self.units / 4 * 3).max(self.request_units), true),
            Owner::Stranger(_) => ((self.units / 8).max(stranger_units), false),
            Owner::Strangers => ((self.units / 4).max(stranger_units), false),
        };
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if shares.len() >= OWNERS_MAX {
            // Those with a request are as many as there are connections at most.
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let known = shares.get(&owner).and_then(Weak::upgrade);
        let of = known.unwrap_or_else(|| {
            let of = Arc::new(Semaphore::new(units.min(self.units)));
            shares.insert(owner, Arc::downgrade(&of));
            of
        });
        Share { of, held: None, lasts }
    }
}

/// What one request holds of one share.
#[derive(Debug)]
struct Share {
    of: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    /// Still counts when the sender is known.
    lasts: bool,
}

impl Share {
    async fn take(&mut self, units: u32) -> bool {
        let Ok(more) = Arc::clone(&self.of).acquire_many_owned(units).await else { return false };
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        true
    }
}

/// Room for a body that is being read; freed when dropped.
#[derive(Debug)]
pub struct ByteRoom {
    budget: Arc<ByteBudget>,
    bytes: u64,
    units: u64,
    /// Narrow ones first: who waits for a share of its own holds nothing of the whole.
    shares: Vec<Share>,
}

impl ByteRoom {
    /// Makes room for `more` bytes that arrived; waits a while at most.
    ///
    /// # Errors
    /// [`Refusal::Overload`]: a share or the budget is spent.
    pub async fn grow(&mut self, more: u64) -> Result<(), Refusal> {
        self.bytes = self.bytes.saturating_add(more);
        let wanted = self.bytes.div_ceil(UNIT_BYTES).saturating_sub(self.units);
        if wanted == 0 {
            return Ok(());
        }
        let Ok(units) = u32::try_from(wanted) else { return Err(FULL) };
        let shares = &mut self.shares;
        let all = async {
            for share in shares {
                if !share.take(units).await {
                    return false;
                }
            }
            true
        };
        match tokio::time::timeout(self.budget.wait, all).await {
            Ok(true) => {
                self.units += wanted;
                Ok(())
            }
            _ => Err(FULL),
        }
    }

    /// The sender showed its key: what the request holds counts on the key from now on.
    ///
    /// # Errors
    /// [`Refusal::Overload`]: the key's share is spent.
    pub async fn admit(&mut self, key: &PublicKey) -> Result<(), Refusal> {
        let mut share = self.budget.share(Owner::Key(key.clone()));
        let Ok(units) = u32::try_from(self.units) else { return Err(FULL) };
        match tokio::time::timeout(self.budget.wait, share.take(units)).await {
            Ok(true) => {
                self.shares.retain(|share| share.lasts);
                self.shares.insert(0, share);
                Ok(())
            }
            _ => Err(FULL),
        }
    }
}

const FULL: Refusal = Refusal::Overload { message: "too many bytes in flight", retry_after: 2 };

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(kib: u64) -> Arc<ByteBudget> {
        let limits = Limits {
            inflight_bytes_max: kib * 1_024,
            request_bytes_max: 1_024,
            inflight_wait_milliseconds_max: 1,
            ..Limits::default()
        };
        Arc::new(ByteBudget::new(&limits))
    }

    fn key(digit: char) -> PublicKey {
        digit.to_string().repeat(32).parse().unwrap()
    }

    fn peer(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[tokio::test]
    async fn no_key_and_no_stranger_takes_it_all() {
        let budget = budget(4_096);
        let mut greedy = budget.room(peer(1), Some(&key('a')));
        greedy.grow(2_048 * 1_024).await.unwrap();
        assert!(greedy.grow(1).await.is_err(), "half is the share of a key");
        let mut same = budget.room(peer(2), Some(&key('a')));
        assert!(same.grow(1).await.is_err());
        let mut other = budget.room(peer(2), Some(&key('b')));
        other.grow(512 * 1_024).await.unwrap();
        let mut strangers = Vec::new();
        for last in 10..30 {
            let mut room = budget.room(peer(last), None);
            if room.grow(STRANGER_BYTES_MAX).await.is_ok() {
                strangers.push(room);
            }
        }
        assert_eq!(strangers.len(), 4, "a quarter for all who have shown no key");
        other.grow(256 * 1_024).await.unwrap();
        drop(greedy);
        same.grow(1).await.unwrap();
    }

    #[tokio::test]
    async fn who_shows_a_key_gives_the_share_of_strangers_back() {
        let budget = budget(1_024);
        let mut first = budget.room(peer(1), None);
        first.grow(200 * 1_024).await.unwrap();
        assert!(budget.room(peer(1), None).grow(200 * 1_024).await.is_err());
        first.admit(&key('a')).await.unwrap();
        budget.room(peer(1), None).grow(200 * 1_024).await.unwrap();
        first.grow(312 * 1_024).await.unwrap();
        assert!(first.grow(1).await.is_err());
    }
}
