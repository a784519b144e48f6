//! Limits of the API: per token or person, else per client network, and one for the whole instance.
//!
//! All are sliding windows on the monotonic clock (`actifix_domain::sliding`), decided under one lock, so that fifty
//! connections at once get exactly what one would. They are written with each tick and read at the start, so that a
//! restart gives nobody a second hour. What ingest may take is decided elsewhere (`ingest::Gate`), and attempts to log in
//! are (`login::gate`).

mod probe;

pub use probe::{PROBE_HEADER, PROBE_PER_MINUTE, Probed};
mod busiest;

pub(crate) use busiest::Busiest;
pub use busiest::Busy;

use crate::app::App;
use crate::error::Result;
use crate::ports::ApiCounter;
use actifix_domain::access::{Actor, Scope};
use actifix_domain::network::client_network;
use actifix_domain::sliding::{SLOTS, Window};
use actifix_domain::time::{DAY, HOUR, MINUTE, SECOND};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Tokens and sessions that are told apart; there are fewer (`TOKENS_MAX` of the store).
const CREDENTIALS_MAX: usize = 5_000;
/// Client networks that are told apart. Further ones share [`SHARDS`] windows.
const NETWORKS_MAX: usize = 10_000;
/// Windows for networks beyond the bound: neighbours share one, so that a sender of many addresses shuts out its
/// neighbours first.
const SHARDS: u8 = 64;
/// Credentials that were good lately: they pass although others of their network failed too often.
const PROVEN_MAX: usize = 10_000;
/// How long a credential counts as proven.
const PROVEN_MICROS: i64 = HOUR;
/// At most this often windows of no use any more are looked for.
const SWEEP_MICROS: i64 = SECOND;

/// What an operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiLimits {
    /// Requests per minute and principal.
    pub per_minute: u32,
    /// Requests per hour and principal.
    pub per_hour: u32,
    /// Requests of the instance per day.
    pub instance_per_day: u32,
    /// Share of the day that only administrators may use, per cent.
    pub admin_reserve_percent: u32,
    /// Attempts to log in per minute, of each account, known device and network.
    pub login_per_minute: u32,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            per_minute: 600,
            per_hour: 10_000,
            instance_per_day: 1_000_000,
            admin_reserve_percent: 10,
            login_per_minute: 10,
        }
    }
}

/// Whose quota a request uses.
#[derive(Clone, Copy, Debug)]
pub enum Principal<'a> {
    /// The holder of a token, or a person in whichever session.
    Actor(&'a Actor),
    /// Nobody that is known: the client's network. None counts as one network.
    Network(Option<IpAddr>),
    /// Who sends events with keys that nobody has: its network, so that trying costs no more than that.
    Keyless(Option<IpAddr>),
}

impl Principal<'_> {
    /// Word for metrics.
    const fn class(self) -> &'static str {
        match self {
            Self::Actor(_) => "api",
            Self::Network(_) => "anonymous",
            Self::Keyless(_) => "keyless",
        }
    }
}

/// State of one quota, as it is told to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// `minute`, `hour`, `day`.
    pub name: &'static str,
    /// Requests per window.
    pub limit: u64,
    /// Length of the window, seconds.
    pub window_seconds: u64,
    /// What is left now.
    pub remaining: u64,
    /// Seconds until more is left.
    pub eases_seconds: u64,
}

/// What was decided about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may go on; then it was counted.
    pub admitted: bool,
    /// Seconds to wait; 0 when it was admitted.
    pub retry_after_seconds: u64,
    /// The quotas that apply.
    pub quotas: Vec<Quota>,
    /// A name of the principal that tells nothing about it.
    pub partition: [u8; 8],
}

type Id = [u8; 16];

const KIND_ACTOR: u8 = 1;
const KIND_NETWORK: u8 = 2;
const KIND_SHARD: u8 = 4;
const KIND_CREDENTIAL: u8 = 5;
const KIND_DAY: u8 = 6;
const KIND_KEYLESS: u8 = 7;

/// The windows of one principal.
#[derive(Clone, Debug, Default)]
struct Tracked {
    minute: Window,
    hour: Window,
}

#[derive(Debug, Default)]
struct State {
    credentials: HashMap<Id, Tracked>,
    networks: HashMap<Id, Tracked>,
    shards: HashMap<Id, Tracked>,
    day: Window,
    proven: HashMap<Id, i64>,
    probe: Option<probe::Probe>,
    /// Principals whose windows changed since they were written.
    unwritten: HashSet<Id>,
    swept_at: i64,
}

/// The limits and what was used of them.
pub(crate) struct Limiter {
    limits: ApiLimits,
    disabled: bool,
    key: [u8; 32],
    state: Mutex<State>,
}

impl Limiter {
    pub(crate) fn new(limits: ApiLimits, disabled: bool, key: [u8; 32]) -> Self {
        Self { limits, disabled, key, state: Mutex::default() }
    }

    /// A name that tells nothing; its first byte is the kind.
    fn id(&self, kind: u8, name: &[u8]) -> Id {
        let digest = Sha256::new().chain_update(self.key).chain_update([kind]).chain_update(name).finalize();
        let mut id = Id::default();
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        let [first, ..] = &mut id;
        *first = kind;
        id
    }

    fn network_id(&self, kind: u8, address: Option<IpAddr>) -> Id {
        match address.map(client_network) {
            Some(IpAddr::V4(v4)) => self.id(kind, &v4.octets()),
            Some(IpAddr::V6(v6)) => self.id(kind, &v6.octets()),
            None => self.id(kind, b""),
        }
    }

    /// The window that a network shares when no more are told apart: one of a few, by its /16 or /48.
    fn shard_id(&self, kind: u8, address: Option<IpAddr>) -> Id {
        let neighbours = match address.map(client_network) {
            Some(IpAddr::V4(v4)) => u64::from(v4.to_bits() >> 16),
            Some(IpAddr::V6(v6)) => u64::try_from(v6.to_bits() >> 80).unwrap_or(0),
            None => 0,
        };
        let [_, number, ..] = self.id(KIND_SHARD, &neighbours.to_be_bytes());
        self.id(KIND_SHARD, &[kind, number % SHARDS])
    }

    /// The windows of a principal, made if there is room for more, else those that it shares.
    fn tracked<'s>(
        &self,
        state: &'s mut State,
        principal: Principal<'_>,
        now: i64,
    ) -> (Id, &'s mut Tracked, Option<&'s mut Window>) {
        let State { credentials, networks, shards, day, swept_at, .. } = state;
        let (map, id, shared, bound) = match principal {
            Principal::Actor(actor) => {
                let id = self.id(KIND_ACTOR, actor.label().as_bytes());
                (credentials, id, self.id(KIND_SHARD, &[KIND_ACTOR]), CREDENTIALS_MAX)
            }
            Principal::Network(address) => {
                let id = self.network_id(KIND_NETWORK, address);
                (networks, id, self.shard_id(KIND_NETWORK, address), NETWORKS_MAX)
            }
            Principal::Keyless(address) => {
                let id = self.network_id(KIND_KEYLESS, address);
                (networks, id, self.shard_id(KIND_KEYLESS, address), NETWORKS_MAX)
            }
        };
        if map.len() >= bound && !map.contains_key(&id) && now.saturating_sub(*swept_at) >= SWEEP_MICROS {
            *swept_at = now;
            map.retain(|_, tracked| tracked.hour.used(HOUR, now) > 0);
        }
        let day = matches!(principal, Principal::Actor(_)).then_some(day);
        if map.len() >= bound && !map.contains_key(&id) {
            return (shared, shards.entry(shared).or_default(), day);
        }
        (id, map.entry(id).or_default(), day)
    }

    fn decide(&self, principal: Principal<'_>, charge: bool, now: i64) -> Decision {
        let limits = &self.limits;
        let (minute, hour) = (limits.per_minute, limits.per_hour);
        let reserve = match principal {
            Principal::Actor(actor) if actor.may(Scope::Admin, None) => 0,
            _ => u64::from(limits.admin_reserve_percent),
        };
        let day_limit = u64::from(limits.instance_per_day) * 100u64.saturating_sub(reserve) / 100;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (id, tracked, day) = self.tracked(&mut state, principal, now);
        let mut windows = vec![
            ("minute", &mut tracked.minute, u64::from(minute), MINUTE),
            ("hour", &mut tracked.hour, u64::from(hour), HOUR),
        ];
        windows.extend(day.map(|day| ("day", day, day_limit, DAY)));
        let wait =
            windows.iter_mut().map(|(_, window, limit, period)| window.wait(*limit, *period, now)).max();
        let wait = wait.unwrap_or(0);
        let admitted = wait == 0;
        if admitted && charge {
            windows.iter_mut().for_each(|(_, window, _, period)| window.add(*period, now));
        }
        let mut quotas: Vec<Quota> = windows
            .into_iter()
            .map(|(name, window, limit, period)| quota(name, window, limit, period, now))
            .collect();
        // How much of the day others used is told to those only whom it stops.
        quotas.retain(|quota| quota.name != "day" || quota.remaining == 0);
        if admitted && charge {
            state.unwritten.insert(id);
        }
        let [a, b, c, d, e, f, g, h, ..] = id;
        Decision { admitted, retry_after_seconds: seconds(wait), quotas, partition: [a, b, c, d, e, f, g, h] }
    }

    /// Whether this credential was good lately.
    fn is_proven(&self, credential: &[u8], now: i64) -> bool {
        let id = self.id(KIND_CREDENTIAL, credential);
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.proven.get(&id).is_some_and(|until| now < *until)
    }

    fn prove(&self, credential: &[u8], now: i64) {
        let id = self.id(KIND_CREDENTIAL, credential);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.proven.len() >= PROVEN_MAX {
            state.proven.retain(|_, until| now < *until);
        }
        if state.proven.len() < PROVEN_MAX || state.proven.contains_key(&id) {
            state.proven.insert(id, now.saturating_add(PROVEN_MICROS));
        }
    }

    fn day_id(&self) -> Id {
        self.id(KIND_DAY, b"")
    }

    /// What changed since the last call.
    fn take_unwritten(&self, now: i64) -> Vec<(Id, Vec<u32>)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = std::mem::take(&mut state.unwritten);
        if ids.is_empty() {
            return Vec::new();
        }
        let State { credentials, networks, shards, day, .. } = &mut *state;
        let mut rows = vec![(self.day_id(), day.kept(DAY, now))];
        for id in ids {
            let tracked =
                credentials.get_mut(&id).or_else(|| networks.get_mut(&id)).or_else(|| shards.get_mut(&id));
            if let Some(tracked) = tracked {
                let mut counts = tracked.minute.kept(MINUTE, now);
                counts.extend(tracked.hour.kept(HOUR, now));
                rows.push((id, counts));
            }
        }
        rows
    }

    fn restore(&self, rows: Vec<ApiCounter>, wall: i64, now: i64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            let age = wall.saturating_sub(row.saved_at.micros());
            if row.principal == self.day_id() {
                state.day = Window::restored(&row.counts, age, DAY, now);
            } else if let Some((minute, hour)) = row.counts.split_at_checked(SLOTS + 1) {
                let minute = Window::restored(minute, age, MINUTE, now);
                let mut hour = Window::restored(hour, age, HOUR, now);
                let (map, bound) = match row.principal {
                    [KIND_ACTOR, ..] => (&mut state.credentials, CREDENTIALS_MAX),
                    [KIND_SHARD, ..] => (&mut state.shards, 3 * usize::from(SHARDS)),
                    _ => (&mut state.networks, NETWORKS_MAX),
                };
                if hour.used(HOUR, now) > 0 && map.len() < bound {
                    map.insert(row.principal, Tracked { minute, hour });
                }
            }
        }
    }
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl App {
    /// Decides about a request and counts it; none when limits are switched off.
    pub fn limit_request(&self, principal: Principal<'_>) -> Option<Decision> {
        if self.limiter.disabled {
            return None;
        }
        let decision = self.limiter.decide(principal, true, self.clock.monotonic_micros());
        if !decision.admitted {
            self.was_limited(principal.class(), decision.partition, 1);
        }
        Some(decision)
    }

    /// Seconds to wait where a network asked for too many keys that nobody has; none while it may ask.
    pub(crate) fn keyless_wait(&self, address: Option<IpAddr>) -> Option<u64> {
        if self.limiter.disabled {
            return None;
        }
        let decision = self.limiter.decide(Principal::Keyless(address), false, self.clock.monotonic_micros());
        (!decision.admitted).then_some(decision.retry_after_seconds.max(1))
    }

    /// Counts a look-up that found nothing.
    pub(crate) fn count_keyless(&self, address: Option<IpAddr>) {
        let _decision = self.limit_request(Principal::Keyless(address));
    }

    /// Refuses a request before its credential is looked at: its network has used its quota up with requests that
    /// nobody signed, and the credential was not good lately. Nothing is counted on the quota.
    pub fn limit_stranger(&self, address: Option<IpAddr>, credential: &[u8]) -> Option<Decision> {
        if self.limiter.disabled {
            return None;
        }
        let now = self.clock.monotonic_micros();
        let stranger = Principal::Network(address);
        let decision = self.limiter.decide(stranger, false, now);
        if decision.admitted || self.limiter.is_proven(credential, now) {
            return None;
        }
        self.was_limited(stranger.class(), decision.partition, 1);
        Some(decision)
    }

    /// Remembers that a credential was good.
    pub fn prove_credential(&self, credential: &[u8]) {
        self.limiter.prove(credential, self.clock.monotonic_micros());
    }

    /// Writes what was used since the last call; called by a worker and before a stop.
    pub async fn flush_limits(&self) -> Result<()> {
        let now = self.now();
        let changed = self.limiter.take_unwritten(self.clock.monotonic_micros());
        if changed.is_empty() {
            return Ok(());
        }
        let ids: Vec<Id> = changed.iter().map(|(id, _)| *id).collect();
        let rows = changed
            .into_iter()
            .map(|(principal, counts)| ApiCounter { principal, saved_at: now, counts })
            .collect();
        let written = self.store.save_api_counters(rows, now).await;
        if written.is_ok() {
            metrics::counter!("actifix_limit_writes_total").increment(1);
        } else {
            let mut state = self.limiter.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.unwritten.extend(ids);
        }
        written
    }

    /// Takes over what was used before a restart.
    pub async fn restore_limits(&self) -> Result<()> {
        let rows = self.store.api_counters(self.now()).await?;
        self.limiter.restore(rows, self.now().micros(), self.clock.monotonic_micros());
        Ok(())
    }
}

fn quota(name: &'static str, window: &mut Window, limit: u64, period: i64, now: i64) -> Quota {
    Quota {
        name,
        limit,
        window_seconds: seconds(period),
        remaining: limit.saturating_sub(window.used(period, now)),
        // Draft 11: the time left of the window is no longer than the window.
        eases_seconds: seconds(window.eases(period, now)).min(seconds(period)),
    }
}

/// Whole seconds, rounded up.
fn seconds(micros: i64) -> u64 {
    u64::try_from(micros.max(0)).unwrap_or(0).div_ceil(SECOND.unsigned_abs())
}

#[cfg(test)]
mod tests;
