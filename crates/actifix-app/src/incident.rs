//! Incident response: a lockdown, and the rotation of everything that opens something.
//!
//! What is to be done is written down before the first step and after each one, in the same transaction as its record in
//! the audit log: a process that is killed goes on where it was. Only one operator acts at a time; another is told who.

mod leaked;
mod report;
mod steps;

pub use leaked::{Leaked, LeakedState};
pub use report::{Gap, IncidentReport, gaps};

use crate::app::App;
use crate::blocking::to_the_end;
use crate::error::{Error, Result};
use crate::ports::IncidentRow;
use crate::secrets::SecretText;
use actifix_domain::access::{Actor, Scope};
use actifix_domain::audit::Action;
use actifix_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use tokio::sync::Mutex;

/// Logins and new tokens are refused.
const LOCKED: u8 = 1;
/// Ingest is refused too.
const SILENT: u8 = 2;
/// SDKs that are told to rest in a lockdown ask again after this time, seconds.
pub(crate) const INGEST_RETRY_SECONDS: u64 = 300;

/// What stands in the memory of the one process that owns the home.
#[derive(Default)]
pub(crate) struct Incident {
    level: AtomicU8,
    busy: Arc<Mutex<()>>,
    /// Who is at it, for the one who is not let.
    holder: StdMutex<String>,
}

impl Incident {
    pub(crate) fn stops_ingest(&self) -> bool {
        self.level.load(Ordering::Acquire) >= SILENT
    }

    fn set(&self, lockdown: Option<&Lockdown>) {
        let level = lockdown.map_or(0, |lockdown| if lockdown.ingest_stopped { SILENT } else { LOCKED });
        self.level.store(level, Ordering::Release);
        metrics::gauge!("actifix_lockdown").set(f64::from(level));
    }
}

/// What is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// All API tokens are revoked, and with them the access tokens that they got.
    Tokens,
    /// All sessions end.
    Sessions,
    /// Another key signs access tokens; none that was given out is good any more.
    JwtKeys,
    /// Signing secrets of webhooks, outgoing and incoming, without overlap.
    WebhookSecrets,
    /// Every ingest key is replaced: DSNs change.
    DsnKeys,
    /// The root key is replaced and everything is wrapped anew.
    RootKey,
}

impl Kind {
    /// All, in the order in which they are done: what opens most, first.
    pub const ALL: [Self; 6] =
        [Self::Tokens, Self::Sessions, Self::JwtKeys, Self::WebhookSecrets, Self::DsnKeys, Self::RootKey];
    /// What a lockdown ends.
    const LOCKDOWN: [Self; 3] = [Self::Tokens, Self::Sessions, Self::JwtKeys];

    /// The word used in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Sessions => "sessions",
            Self::JwtKeys => "jwt-keys",
            Self::WebhookSecrets => "webhook-secrets",
            Self::DsnKeys => "dsn-keys",
            Self::RootKey => "root-key",
        }
    }
}

impl FromStr for Kind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// How far a step came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It was not begun, or not ended.
    #[default]
    Waiting,
    /// Done.
    Done,
    /// A person has to do (the rest of) it; the detail says what.
    Todo,
    /// It did not work; the detail says why.
    Failed,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What is rotated.
    pub kind: Kind,
    /// How far it came.
    pub stage: Stage,
    /// When that was.
    pub at: Option<Timestamp>,
    /// Names of what is done already, where that cannot be seen from the things themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Counts and what to do; never a secret.
    #[serde(default)]
    pub detail: Value,
}

/// Steps that were ordered together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// `lockdown` or `rotate`.
    pub what: String,
    /// Who ordered it.
    pub by: String,
    /// When; keys that are younger were made by it.
    pub started_at: Timestamp,
    /// When the last step ended.
    pub finished_at: Option<Timestamp>,
    /// Times that it was taken up again.
    #[serde(default)]
    pub resumed: u32,
    /// In their order.
    pub steps: Vec<Step>,
}

impl Job {
    fn new(what: &str, by: String, started_at: Timestamp, kinds: &[Kind]) -> Self {
        let step = |kind: &Kind| Step {
            kind: *kind,
            stage: Stage::Waiting,
            at: None,
            names: Vec::new(),
            detail: json!({}),
        };
        let steps = kinds.iter().map(step).collect();
        Self { what: what.to_owned(), by, started_at, finished_at: None, resumed: 0, steps }
    }

    /// Nothing is left for a person.
    pub fn is_clean(&self) -> bool {
        self.steps.iter().all(|step| step.stage == Stage::Done)
    }
}

/// A lockdown that goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lockdown {
    /// Since when.
    pub since: Timestamp,
    /// Who ordered it.
    pub by: String,
    /// Events are refused too.
    pub ingest_stopped: bool,
}

/// Where incident response stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IncidentState {
    /// The lockdown, if there is one.
    pub lockdown: Option<Lockdown>,
    /// What was ordered and is not done.
    pub job: Option<Job>,
    /// What was done last.
    pub last: Option<Job>,
}

/// What a finished order gives.
#[derive(Debug)]
pub struct Done {
    /// Where it stands now; `last` is the order.
    pub state: IncidentState,
    /// Secrets that receivers need, by name: shown now and never again.
    pub shown: Vec<(String, SecretText)>,
}

impl App {
    /// Refuses what a lockdown does not let.
    pub(crate) fn require_open(&self) -> Result<()> {
        if self.incident.level.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        Err(Error::Unavailable {
            message: "the server is locked down: its operator ends that with `actifix incident lift`",
            retry_after_seconds: INGEST_RETRY_SECONDS,
        })
    }

    /// Where incident response stands.
    pub async fn incident(&self, actor: &Actor) -> Result<IncidentState> {
        Self::require(actor, Scope::Admin, None)?;
        Ok(self.incident_state().await?.1)
    }

    async fn incident_state(&self) -> Result<(u64, IncidentState)> {
        let IncidentRow { version, state } = self.store.incident().await?;
        if state.is_null() {
            return Ok((version, IncidentState::default()));
        }
        let state = serde_json::from_value(state);
        Ok((
            version,
            state.map_err(|_| Error::conflict("the state of the incident is damaged in the database"))?,
        ))
    }

    /// Puts a lockdown of an earlier process into force. Called before anybody can connect.
    pub async fn restore_incident(&self) -> Result<()> {
        let state = self.incident_state().await?.1;
        self.incident.set(state.lockdown.as_ref());
        if let Some(lockdown) = &state.lockdown {
            tracing::warn!(
                by = lockdown.by,
                ingest_stopped = lockdown.ingest_stopped,
                "incident.locked_down"
            );
        }
        Ok(())
    }

    /// Goes on with what a killed process left undone; none where nothing was.
    pub async fn resume_incident(self: &Arc<Self>) -> Result<Option<Done>> {
        if self.incident_state().await?.1.job.is_none() {
            return Ok(None);
        }
        self.order(&Actor::System, |_, _| Ok(None)).await.map(Some)
    }

    /// Ends every session, token and access token; until it is lifted nobody logs in and no token is made. With
    /// `stop_ingest` SDKs are told to wait as well.
    pub async fn lock_down(self: &Arc<Self>, actor: &Actor, stop_ingest: bool) -> Result<Done> {
        Self::require(actor, Scope::Admin, None)?;
        self.require_fresh(actor)?;
        let app = Arc::clone(self);
        let done = self
            .order(actor, move |actor, state| {
                let now = app.now();
                let lockdown = Lockdown { since: now, by: actor.label(), ingest_stopped: stop_ingest };
                // In force from here on, whatever the disk says: what is made in this moment would outlive it.
                app.incident.set(Some(&lockdown));
                state.lockdown = Some(lockdown);
                Ok(Some(Job::new("lockdown", actor.label(), now, &Kind::LOCKDOWN)))
            })
            .await?;
        tracing::error!(by = actor.label(), stop_ingest, "incident.locked_down");
        Ok(done)
    }

    /// Ends a lockdown. What it ended stays so.
    pub async fn lift_lockdown(&self, actor: &Actor) -> Result<IncidentState> {
        only_local(actor)?;
        let _busy = self.take_turn(actor)?;
        let (version, mut state) = self.incident_state().await?;
        if state.lockdown.take().is_none() {
            return Err(Error::conflict("the server is not locked down"));
        }
        self.save_state(actor, version, &state, json!({ "step": "lifted" })).await?;
        self.incident.set(None);
        tracing::warn!(by = actor.label(), "incident.lifted");
        Ok(state)
    }

    /// Replaces what opens something; each kind is a step.
    pub async fn rotate_all(self: &Arc<Self>, actor: &Actor, kinds: &[Kind]) -> Result<Done> {
        only_local(actor)?;
        let mut kinds = kinds.to_vec();
        kinds.sort();
        kinds.dedup();
        if kinds.is_empty() {
            return Err(Error::invalid("kinds", "at least one"));
        }
        let app = Arc::clone(self);
        self.order(actor, move |actor, _| Ok(Some(Job::new("rotate", actor.label(), app.now(), &kinds))))
            .await
    }

    /// Only one at a time.
    fn take_turn(&self, actor: &Actor) -> Result<tokio::sync::OwnedMutexGuard<()>> {
        let mut holder = self.incident.holder.lock().unwrap_or_else(PoisonError::into_inner);
        match Arc::clone(&self.incident.busy).try_lock_owned() {
            Ok(turn) => {
                *holder = actor.label();
                Ok(turn)
            }
            Err(_) => Err(Error::conflict(format!(
                "{holder} is at it: nothing was done by this order; see `actifix incident status`, then repeat it"
            ))),
        }
    }

    /// Writes an order down and carries it out, to its end even if whoever gave it goes away. What was left undone before
    /// is done first.
    async fn order(
        self: &Arc<Self>,
        actor: &Actor,
        plan: impl FnOnce(&Actor, &mut IncidentState) -> Result<Option<Job>> + Send + 'static,
    ) -> Result<Done> {
        let turn = self.take_turn(actor)?;
        let (app, actor) = (Arc::clone(self), actor.clone());
        to_the_end(async move {
            let _turn = turn;
            let (mut version, mut state) = app.incident_state().await?;
            let mut shown = Vec::new();
            if let Some(job) = &mut state.job {
                job.resumed += 1;
                version = app.carry_out(&actor, version, &mut state, &mut shown).await?;
            }
            if let Some(job) = plan(&actor, &mut state)? {
                let detail = json!({ "step": "ordered", "what": job.what, "kinds": job.steps.iter().map(|step| step.kind).collect::<Vec<_>>() });
                state.job = Some(job);
                version = app.save_state(&actor, version, &state, detail).await?;
                app.carry_out(&actor, version, &mut state, &mut shown).await?;
            }
            Ok(Done { state, shown })
        })
        .await
    }

    /// Does the steps that wait. One that fails does not stop those after it: in an incident less is worse.
    async fn carry_out(
        &self,
        actor: &Actor,
        mut version: u64,
        state: &mut IncidentState,
        shown: &mut Vec<(String, SecretText)>,
    ) -> Result<u64> {
        let Some(mut job) = state.job.clone() else { return Ok(version) };
        for place in 0..job.steps.len() {
            let started_at = job.started_at;
            let Some(step) = job.steps.get_mut(place).filter(|step| step.stage == Stage::Waiting) else {
                continue;
            };
            let kind = step.kind;
            if let Err(error) = self.take_step(actor, step, started_at, shown).await {
                step.stage = Stage::Failed;
                step.detail = json!({ "why": crate::backup::told(&error) });
                tracing::error!(error = %error, kind = kind.as_str(), "incident.step_failed");
            }
            step.at = Some(self.now());
            let detail = json!({ "step": kind, "stage": step.stage, "result": step.detail });
            state.job = Some(job.clone());
            version = self.save_state(actor, version, state, detail).await?;
        }
        job.finished_at = Some(self.now());
        let detail =
            json!({ "step": "finished", "what": job.what, "clean": job.is_clean(), "resumed": job.resumed });
        (state.last, state.job) = (Some(job), None);
        self.save_state(actor, version, state, detail).await
    }

    async fn save_state(
        &self,
        actor: &Actor,
        version: u64,
        state: &IncidentState,
        detail: Value,
    ) -> Result<u64> {
        let audit = self.audit(actor, Action::IncidentStep, "incident", None, detail);
        self.store.save_incident(version, &json!(state), &audit).await
    }
}

/// What changes every credential is for whoever owns the machine: a stolen administrator's token must not do it.
fn only_local(actor: &Actor) -> Result<()> {
    match actor {
        Actor::System => Ok(()),
        _ => Err(Error::Forbidden { needs: "a command on the server's own machine" }),
    }
}
