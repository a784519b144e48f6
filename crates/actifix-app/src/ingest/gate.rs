//! Before any decoding: who sends, from where, and is there room (`ingest.md` §4, §5, §6, §9).

use super::OtlpSignal;
use super::answer::{Limited, Refusal};
use super::origin::{self, OriginVerdict};
use super::room::{ByteBudget, ByteRoom};
use super::special::Recent;
use crate::app::{App, AppSettings};
use crate::incident::INGEST_RETRY_SECONDS;
use crate::projects::KnownKey;
use actifix_domain::bucket::{self, Bucket, Limit, RateLimits};
use actifix_domain::id::{ProjectId, PublicKey};
use actifix_domain::outcome::Reason;
use actifix_domain::time::{DAY, HOUR, MINUTE, Timestamp};
use actifix_protocol::auth::{self, Found};
use actifix_protocol::otlp::DedupeKey;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Buckets that are remembered before those are forgotten that are full again.
const BUCKETS_MAX: usize = 20_000;

/// What a request shows of itself before its body.
#[derive(Clone, Debug, Default)]
pub struct Knock<'a> {
    /// Project of the path; `Some(Err)` when it is not a number.
    pub path_project: Option<Option<ProjectId>>,
    /// Keys found in headers, query, path and envelope header, in that order.
    pub keys: Vec<Found>,
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Referer`.
    pub referer: Option<&'a str>,
    /// Address of the client.
    pub address: Option<IpAddr>,
}

impl Knock<'_> {
    /// With nothing but a key.
    pub fn with_key(key: PublicKey) -> Self {
        Self { keys: vec![Found::Key(key)], ..Self::default() }
    }

    /// Adds the key that an envelope's header names.
    pub fn add_key(&mut self, key: PublicKey) {
        self.keys.push(Found::Key(key));
    }
}

/// A request that may send.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Its key and project.
    pub known: Arc<KnownKey>,
    /// It came with an `Origin`: a browser, whatever the key says.
    pub with_origin: bool,
    /// Put this into `Access-Control-Allow-Origin`.
    pub echo_origin: bool,
    /// Origin to name in the project's page.
    pub unlisted_origin: Option<String>,
}

/// Limits and budgets that live in memory.
pub struct Gate {
    rates: RateLimits,
    disabled: bool,
    buckets: Mutex<HashMap<BucketId, Bucket>>,
    bytes: Arc<ByteBudget>,
    pub(crate) decoders: Arc<Semaphore>,
    recent: Recent,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum BucketId {
    Request(PublicKey),
    Key(PublicKey),
    ProjectMinute(ProjectId),
    ProjectHour(ProjectId),
    ProjectDay(ProjectId),
    InstanceMinute,
    InstanceDay,
}

impl BucketId {
    /// Microseconds in which it fills.
    const fn period(&self) -> i64 {
        match self {
            Self::Request(_) | Self::Key(_) | Self::ProjectMinute(_) | Self::InstanceMinute => MINUTE,
            Self::ProjectHour(_) => HOUR,
            Self::ProjectDay(_) | Self::InstanceDay => DAY,
        }
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("rates", &self.rates)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

impl Gate {
    pub(crate) fn new(settings: &AppSettings) -> Self {
        Self {
            rates: settings.rates,
            disabled: settings.rate_limit_disabled,
            buckets: Mutex::new(HashMap::new()),
            bytes: Arc::new(ByteBudget::new(&settings.limits)),
            decoders: Arc::new(Semaphore::new(settings.decode_parallel.max(1))),
            recent: Recent::default(),
        }
    }

    /// The coarse limit on requests of a key, before decoding.
    fn admit_request(&self, known: &KnownKey, now: Timestamp) -> Result<(), Limited> {
        let limit = self.rates.key(known.key.rate_per_minute);
        let asked = [(BucketId::Request(known.key.public_key.clone()), limit, Reason::Key)];
        match self.take(1, now, asked) {
            (_, Some(limited)) => Err(limited),
            (_, None) => Ok(()),
        }
    }

    /// The limits on events, after framing: how many of `events` may pass, and why no more.
    pub(super) fn admit_events(
        &self,
        known: &KnownKey,
        events: u64,
        now: Timestamp,
    ) -> (u64, Option<Limited>) {
        let project = known.project.id;
        let [project_minute, project_hour, project_day] = self.rates.project();
        let [instance_minute, instance_day] = self.rates.instance();
        let key = self.rates.key(known.key.rate_per_minute);
        let asked = [
            (BucketId::Key(known.key.public_key.clone()), key, Reason::Key),
            (BucketId::ProjectMinute(project), project_minute, Reason::Project),
            (BucketId::ProjectHour(project), project_hour, Reason::Project),
            (BucketId::ProjectDay(project), project_day, Reason::Project),
            (BucketId::InstanceMinute, instance_minute, Reason::Instance),
            (BucketId::InstanceDay, instance_day, Reason::Instance),
        ];
        self.take(events, now, asked)
    }

    /// Whether OTLP's other signal reported the same failure a moment ago.
    pub(super) fn seen_by_other_signal(
        &self,
        project: ProjectId,
        signal: OtlpSignal,
        key: &DedupeKey,
    ) -> bool {
        self.recent.seen_by_other(project, signal, key)
    }

    /// Remembers failures that one signal of OTLP reported.
    pub(super) fn remember(&self, project: ProjectId, signal: OtlpSignal, keys: Vec<DedupeKey>) {
        if !keys.is_empty() {
            self.recent.remember(project, signal, keys);
        }
    }

    /// Takes as many of `n` as all buckets have, and charges all of them. Who did not get all is told the longest
    /// wait that any bucket asks for.
    fn take<const N: usize>(
        &self,
        n: u64,
        now: Timestamp,
        asked: [(BucketId, Limit, Reason); N],
    ) -> (u64, Option<Limited>) {
        if self.disabled || n == 0 {
            return (n, None);
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() > BUCKETS_MAX {
            buckets.retain(|id, bucket| !bucket.is_idle(id.period().unsigned_abs(), now));
        }
        if buckets.len() > BUCKETS_MAX {
            // So many keys within a minute: theirs begin anew; what a project or the instance used is not forgotten.
            buckets.retain(|id, _| !matches!(id, BucketId::Request(_) | BucketId::Key(_)));
        }
        let mut states = asked.each_ref().map(|(id, ..)| buckets.get(id).copied().unwrap_or_default());
        let (mut free, mut reason) = (n, None);
        for (state, (_, limit, why)) in states.iter().zip(&asked) {
            let room = state.free(*limit, now);
            if room < free {
                (free, reason) = (room, Some(*why));
            }
        }
        let mut pairs: Vec<(&mut Bucket, Limit)> =
            states.iter_mut().zip(&asked).map(|(state, (_, limit, _))| (state, *limit)).collect();
        // What is free in each fits into all of them.
        let taken = bucket::take_all(&mut pairs, free, now).map_or(0, |()| free);
        let limited = reason.map(|reason| {
            let wait = bucket::take_all(&mut pairs, n.saturating_sub(taken), now).err().unwrap_or(1);
            Limited { reason, retry_after: wait.max(1), categories: Vec::new() }
        });
        buckets.extend(asked.into_iter().map(|(id, ..)| id).zip(states));
        (taken, limited)
    }
}

impl App {
    /// An empty room in the byte budget of requests in flight.
    pub fn byte_room(&self, peer: Option<IpAddr>, pass: Option<&Pass>) -> ByteRoom {
        self.gate.bytes.room(peer, pass.map(|pass| &pass.known.key.public_key))
    }

    /// Decides whether a request may send, before its body is decoded. `Ok(None)`: no key so far, but the
    /// envelope's header may still bring one.
    pub async fn knock(&self, knock: &Knock<'_>) -> Result<Option<Pass>, Refusal> {
        match auth::resolve(&knock.keys)? {
            Some(key) => self.admit_key(&key, knock).await.map(Some),
            None => Ok(None),
        }
    }

    async fn admit_key(&self, key: &PublicKey, knock: &Knock<'_>) -> Result<Pass, Refusal> {
        if self.incident.stops_ingest() {
            let message = "events are not taken now";
            return Err(Refusal::Overload { message, retry_after: INGEST_RETRY_SECONDS });
        }
        let known = match self.recalled_key(key) {
            Some(known) => known,
            // Looking up costs a read of the database, which a stranger gets so many of.
            None => {
                if let Some(retry_after) = self.keyless_wait(knock.address) {
                    return Err(Refusal::TooManyKeys { retry_after });
                }
                let found = self.known_key(key).await.map_err(|error| super::refuse_error(&error))?;
                if found.is_none() {
                    self.count_keyless(knock.address);
                }
                found
            }
        };
        let known = known.filter(|known| known.key.enabled).ok_or(Refusal::UnknownKey)?;
        match knock.path_project {
            Some(Some(project)) if project != known.project.id => return Err(Refusal::UnknownKey),
            Some(None) => return Err(Refusal::UnknownKey),
            _ => {}
        }
        let verdict = origin::judge(&known.key.allowed_origins, knock.origin, knock.referer);
        let OriginVerdict::Accept { echo, unlisted } = verdict else { return Err(Refusal::Origin) };
        let now = Timestamp::from_micros(self.clock.monotonic_micros());
        self.gate.admit_request(&known, now).map_err(Refusal::Limited)?;
        Ok(Pass {
            with_origin: knock.origin.is_some(),
            echo_origin: echo && knock.origin.is_some(),
            unlisted_origin: if unlisted { knock.origin.and_then(origin::nameable) } else { None },
            known,
        })
    }

    /// Whether a preflight from `origin` may read answers: asked of the key, or of all keys of the project.
    pub async fn preflight(&self, knock: &Knock<'_>) -> bool {
        let Some(from) = knock.origin else { return false };
        let echoed = |allowed: &[String]| {
            matches!(origin::judge(allowed, Some(from), None), OriginVerdict::Accept { echo: true, .. })
        };
        if let Some(Found::Key(key)) = knock.keys.first() {
            let known = match self.recalled_key(key) {
                Some(known) => known,
                None if self.keyless_wait(knock.address).is_some() => None,
                None => {
                    let found = self.known_key(key).await.ok().flatten();
                    if found.is_none() {
                        self.count_keyless(knock.address);
                    }
                    found
                }
            };
            return known.is_some_and(|known| echoed(&known.key.allowed_origins));
        }
        let Some(Some(project)) = knock.path_project else { return false };
        let lists = match self.recalled_origins(project) {
            Some(lists) => lists,
            None if self.keyless_wait(knock.address).is_some() => return false,
            None => match self.project_origins(project).await {
                Ok(lists) => {
                    if lists.is_empty() {
                        self.count_keyless(knock.address);
                    }
                    lists
                }
                Err(_) => return false,
            },
        };
        lists.iter().any(|allowed| echoed(allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_keys_do_not_give_a_project_its_hour_back() {
        let gate = Gate::new(&AppSettings {
            public_url: String::new(),
            limits: actifix_protocol::limits::Limits::default(),
            announce_dropped_kinds: false,
            rates: RateLimits::default(),
            api_limits: crate::limits::ApiLimits::default(),
            rate_limit_disabled: false,
            sample_after: 0,
            retention: crate::ports::RetentionPolicy::default(),
            backup_every_hours: None,
            outbound: Default::default(),
            outbound_timeout_seconds: 5,
            in_effect: Vec::new(),
            decode_parallel: 1,
            cors_origins: Vec::new(),
            security_txt: None,
        });
        let (project, limit) = (ProjectId(1), Limit::per_hour(100));
        let now = |micros: i64| Timestamp::from_micros(micros);
        let hour = || [(BucketId::ProjectHour(project), limit, Reason::Project)];
        assert_eq!(gate.take(100, now(0), hour()).0, 100);
        for number in 0..=BUCKETS_MAX as u128 + 10 {
            let key: PublicKey = format!("{number:032x}").parse().unwrap();
            let minute = [(BucketId::Request(key), Limit::per_minute(10), Reason::Key)];
            assert_eq!(gate.take(1, now(1), minute).0, 1);
        }
        assert_eq!(gate.take(1, now(2), hour()).0, 0, "used up before, used up now");
        assert!(gate.buckets.lock().unwrap().len() <= BUCKETS_MAX + 1);
        assert_eq!(gate.take(1, now(HOUR), hour()).0, 1);
    }
}
