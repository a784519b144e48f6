//! The only door to every use case.

use crate::accounts::Verifiers;
use crate::alerts::AlertState;
use crate::audit::Rollup;
use crate::backup::Backups;
use crate::care::BrakeSeen;
use crate::clock::ClockMark;
use crate::doctor::Doctor;
use crate::error::{Error, Result};
use crate::evidence::EvidenceKey;
use crate::hooks::HooksUnderWay;
use crate::idempotency::InFlight;
use crate::incident::Incident;
use crate::ingest::{Counters, Gate, Refusals};
use crate::jwt::KeyRing;
use crate::limits::{ApiLimits, Busiest, Limiter};
use crate::live::Streams;
use crate::oidc::SignInCell;
use crate::ports::{AccessRecord, Holder};
use crate::ports::{Clock, Ids, Store, Vault};
use crate::projects::KeyCache;
use crate::recall::Recall;
use crate::review::ReviewState;
use crate::security_txt::SecurityTxt;
use crate::source_maps::SourceMaps;
use crate::tokens::{TokenCache, TokenUses};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::alert::AddressPolicy;
use actifix_domain::bucket::RateLimits;
use actifix_domain::id::ProjectId;
use actifix_domain::time::{SECOND, Timestamp};
use actifix_protocol::limits::Limits;
use actifix_secrets::Engine;
use std::fmt;
use std::sync::Arc;

/// What an operator may set that use cases need.
#[derive(Clone, Debug)]
pub struct AppSettings {
    /// Base of DSNs and links, without a slash at the end; may hold a path prefix.
    pub public_url: String,
    /// Sizes of what is received.
    pub limits: Limits,
    /// Tell SDKs which kinds are not stored, so that they stop sending them.
    pub announce_dropped_kinds: bool,
    /// Rates of what is received.
    pub rates: RateLimits,
    /// Rates of the API.
    pub api_limits: ApiLimits,
    /// `ACTIFIX_RATE_LIMIT_DISABLED=1`: no rate is limited.
    pub rate_limit_disabled: bool,
    /// Bodies kept per ticket and clock hour before sampling, where a project says nothing; 0 = all.
    pub sample_after: u32,
    /// What is kept, and for how long.
    pub retention: crate::ports::RetentionPolicy,
    /// Hours between two backups of the server; none: it makes none, since nobody could read them.
    pub backup_every_hours: Option<u32>,
    /// Requests that are decoded at the same time; at least 1.
    pub decode_parallel: usize,
    /// Which addresses alerts may be sent to.
    pub outbound: AddressPolicy,
    /// Time for one attempt at an alert, 1 to 30.
    pub outbound_timeout_seconds: u64,
    /// Every setting as it applies, for people to look at.
    pub in_effect: Vec<Setting>,
    /// Origins whose pages may read answers, as they were when the server started; reviews show them.
    pub cors_origins: Vec<String>,
    /// Whom to tell of security holes of this instance, where its owner said so.
    pub security_txt: Option<SecurityTxt>,
}

/// A setting as it applies. Secrets stand in it as what refers to them, or masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key.
    pub key: String,
    /// Its value, as JSON.
    pub value: String,
    /// Where it comes from: `default`, a file, the name of a variable.
    pub source: String,
}

/// How long an answer about readiness is given again.
const READY_MICROS: i64 = SECOND;
const NOT_READY: Error =
    Error::Unavailable { message: "the store does not read or write", retry_after_seconds: 1 };

/// When readiness was proven last, and whether it was.
#[derive(Default)]
struct Readiness(tokio::sync::Mutex<Option<(i64, bool)>>);

/// The ports and the state that use cases share.
pub struct App {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) settings: AppSettings,
    pub(crate) keys: KeyCache,
    pub(crate) token_cache: TokenCache,
    pub(crate) access_cache: Recall<String, (AccessRecord, Holder)>,
    pub(crate) key_ring: KeyRing,
    pub(crate) sign_in: SignInCell,
    /// How this installation is named in what it signs: not by an address, which may be another one tomorrow.
    pub(crate) installation: String,
    pub(crate) token_uses: TokenUses,
    pub(crate) gate: Gate,
    pub(crate) counters: Counters,
    pub(crate) refusals: Refusals,
    pub(crate) limiter: Limiter,
    pub(crate) busiest: Busiest,
    pub(crate) brake: BrakeSeen,
    /// Signed requests that are being done.
    pub(crate) hooks_under_way: HooksUnderWay,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) backups: Backups,
    pub(crate) doctor: Doctor,
    pub(crate) streams: Arc<Streams>,
    pub(crate) incident: Incident,
    pub(crate) reviews: ReviewState,
    pub(crate) evidence: EvidenceKey,
    pub(crate) clock_mark: ClockMark,
    readiness: Readiness,
    pub(crate) alerts: AlertState,
    pub(crate) rollup: Rollup,
    pub(crate) verifiers: Verifiers,
    pub(crate) source_maps: SourceMaps,
    /// Keys derived from the vault once: of finding hashes, user hashes, file digests.
    pub(crate) finding_key: [u8; 32],
    pub(crate) user_key: [u8; 32],
    pub(crate) peer_key: [u8; 32],
    pub(crate) digest_key: [u8; 32],
    pub(crate) answer_key: [u8; 32],
    pub(crate) log_key: [u8; 32],
    pub(crate) csrf_key: [u8; 32],
    pub(crate) device_key: [u8; 32],
    pub(crate) login_key: [u8; 32],
    pub(crate) challenge_key: [u8; 32],
    pub(crate) recovery_key: [u8; 32],
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A name that no other installation has, and that tells nothing.
fn installation(vault: &dyn Vault) -> String {
    let id = vault.derive("installation");
    format!("urn:actifix:{}", hex::encode(id.first_chunk::<16>().map_or(&id[..], |half| half)))
}

impl App {
    /// Wires the ports together.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        vault: Arc<dyn Vault>,
        settings: AppSettings,
    ) -> Arc<Self> {
        let gate = Gate::new(&settings);
        let limiter =
            Limiter::new(settings.api_limits, settings.rate_limit_disabled, vault.derive("api-limits"));
        Arc::new(Self {
            store,
            clock,
            engine: Engine::builtin(),
            settings,
            keys: KeyCache::default(),
            token_cache: Recall::of_credentials(),
            access_cache: Recall::of_credentials(),
            key_ring: Recall::of_credentials(),
            sign_in: SignInCell::new(),
            installation: installation(vault.as_ref()),
            token_uses: TokenUses::default(),
            counters: Counters::default(),
            refusals: Refusals::default(),
            busiest: Busiest::default(),
            brake: BrakeSeen::default(),
            in_flight: Arc::default(),
            backups: Backups::default(),
            doctor: Doctor::default(),
            streams: Arc::default(),
            incident: Incident::default(),
            reviews: ReviewState::default(),
            evidence: EvidenceKey::of(vault.as_ref()),
            clock_mark: ClockMark::default(),
            readiness: Readiness::default(),
            alerts: AlertState::default(),
            rollup: Rollup::default(),
            source_maps: SourceMaps::default(),
            verifiers: Verifiers::new(vault.derive("password-pepper"), Arc::clone(&ids)),
            csrf_key: vault.derive("csrf"),
            device_key: vault.derive("device"),
            login_key: vault.derive("login"),
            challenge_key: vault.derive("login-challenge"),
            recovery_key: vault.derive("recovery-codes"),
            finding_key: vault.derive("finding-hash"),
            user_key: vault.derive("user-hash"),
            peer_key: vault.derive("peer-hash"),
            digest_key: vault.derive("attachment-digest"),
            answer_key: vault.derive("answers"),
            log_key: vault.derive("log-lines"),
            gate,
            ids,
            limiter,
            hooks_under_way: HooksUnderWay::default(),
            vault,
        })
    }

    /// Now, by the injected clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Microseconds of a clock that never goes back.
    pub fn monotonic_micros(&self) -> i64 {
        self.clock.monotonic_micros()
    }

    /// A new id for a request, 16 hex digits.
    pub fn request_id(&self) -> String {
        let mut bytes = [0u8; 8];
        self.ids.random(&mut bytes);
        hex::encode(bytes)
    }

    /// What this installation was told.
    pub fn settings(&self) -> &AppSettings {
        &self.settings
    }

    /// Every setting as it applies, with where it comes from.
    pub fn settings_in_effect(&self, actor: &Actor) -> Result<&[Setting]> {
        Self::require(actor, Scope::Admin, None)?;
        Ok(&self.settings.in_effect)
    }

    /// Requires a right, in a project if one is given.
    pub(crate) fn require(actor: &Actor, scope: Scope, project: Option<ProjectId>) -> Result<()> {
        if actor.may(scope, project) { Ok(()) } else { Err(Error::Forbidden { needs: scope.as_str() }) }
    }

    /// As [`App::require`], but a stranger to the project must not learn that it exists.
    pub(crate) fn require_visible(
        actor: &Actor,
        scope: Scope,
        project: ProjectId,
        what: &'static str,
    ) -> Result<()> {
        match actor.bound_project() {
            Some(bound) if bound != project => Err(Error::NotFound { what }),
            _ => Self::require(actor, scope, Some(project)),
        }
    }

    /// The project that a list is confined to: what was asked for, else what the actor is bound to.
    pub(crate) fn confine(
        actor: &Actor,
        scope: Scope,
        asked: Option<ProjectId>,
    ) -> Result<Option<ProjectId>> {
        match (actor.bound_project(), asked) {
            (Some(bound), Some(asked)) if bound != asked => Err(Error::NotFound { what: "project" }),
            (Some(bound), _) => Self::require(actor, scope, Some(bound)).map(|()| Some(bound)),
            (None, asked) => Self::require(actor, scope, asked).map(|()| asked),
        }
    }

    /// Submissions that wait for the writer.
    pub fn queue_depth(&self) -> usize {
        self.store.queue_depth()
    }

    /// Whether reads and writes work. Anyone may ask and the proof costs a write, so it is made once a second at most,
    /// by one of those who ask; the others hear of the same.
    pub async fn ready(&self) -> Result<()> {
        let mut last = self.readiness.0.lock().await;
        let now = self.clock.monotonic_micros();
        let fine = match *last {
            Some((at, fine)) if now.saturating_sub(at) < READY_MICROS => fine,
            _ => {
                let result = self.store.ready().await;
                if let Err(error) = &result {
                    tracing::warn!(error = %error, "store.not_ready");
                }
                *last = Some((now, result.is_ok()));
                result.is_ok()
            }
        };
        if fine { Ok(()) } else { Err(NOT_READY) }
    }

    /// Stops the store after what it accepted is durable.
    pub async fn close(&self) -> Result<()> {
        self.store.close().await
    }
}
