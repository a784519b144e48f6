//! Whether a deployment is as the hardening guide says: one check per line, each with its evidence.
//!
//! Facts are gathered by the program (the port [`Surroundings`]) and from the store; what they mean is decided here from
//! values alone, so that each check can be broken by a test. The same checks run on demand, at the start of
//! `serve --production`, which refuses on a failed one that needs no running server, and once an hour.

mod boxes;
mod catalogue;
mod facts;
mod machine;
mod probes;
mod upkeep;

pub use catalogue::{check_ids, judge, start_checks};
pub use facts::{
    AdminFact, Answer, Area, BackupFacts, ChannelFact, CoreFact, Deployment, DiskFact, Encryption, Facts,
    FileFact, FileSystemFact, Holder, IntegrityFact, Kept, KeyPlace, ListenerFact, Live, LogFacts, Machine,
    RateProbe, RepositoryFact, RuleFact, TlsProbe, TokenFact,
};

use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{AuditQuery, Surroundings, UpkeepKind};
use crate::retention::seconds;
use actifix_domain::access::{Actor, Role, Scope};
use actifix_domain::alert::{Signal, Trigger};
use actifix_domain::time::{HOUR, Timestamp};
use actifix_domain::words::plural;
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::MutexGuard;

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It holds.
    Pass,
    /// It holds, but not as well as it could.
    Warn,
    /// It cannot be told; never taken for a pass.
    Unknown,
    /// It does not.
    Fail,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pass, Self::Warn, Self::Unknown, Self::Fail];

    /// The word used in JSON, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
            Self::Fail => "fail",
        }
    }
}

/// How bad it is when a check fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody gets in, or data is lost.
    Critical,
    /// One more thing gone wrong, and somebody gets in or data is lost.
    High,
    /// A protection is missing that others stand behind.
    Medium,
    /// It will hurt one day.
    Low,
}

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Who gets in, and what they did.
    Access,
    /// Keys, tokens, passwords of others.
    Secrets,
    /// What others can reach.
    Network,
    /// The database, its copies and the disk.
    Data,
    /// Whether somebody notices.
    Operation,
}

impl Group {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Access, Self::Secrets, Self::Network, Self::Data, Self::Operation];

    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Secrets => "secrets",
            Self::Network => "network",
            Self::Data => "data",
            Self::Operation => "operation",
        }
    }
}

/// One line of the checklist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable name.
    pub id: &'static str,
    /// What it is about.
    pub group: Group,
    /// How bad it is when it fails.
    pub severity: Severity,
    /// What should hold.
    pub title: &'static str,
    /// It is a box of the guide's checklist.
    pub guide: bool,
    /// Whether it holds.
    pub state: State,
    /// What was looked at, and what was seen. Never a secret.
    pub evidence: String,
    /// What to do, with the command; empty when it passes.
    pub advice: String,
}

/// How many checks are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// That hold.
    pub pass: usize,
    /// That hold, but not as well as they could.
    pub warn: usize,
    /// That cannot be told.
    pub unknown: usize,
    /// That do not.
    pub fail: usize,
}

/// All checks of one look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DoctorReport {
    /// When.
    pub checked_at: Timestamp,
    /// Judged as a deployment that others reach; else what only matters there warns.
    pub production: bool,
    /// No check fails.
    pub healthy: bool,
    /// How many are in which state.
    pub counts: Counts,
    /// Each check, by group.
    pub checks: Vec<Check>,
}

impl DoctorReport {
    fn new(checked_at: Timestamp, production: bool, checks: Vec<Check>) -> Self {
        let count = |state| checks.iter().filter(|check| check.state == state).count();
        let counts = Counts {
            pass: count(State::Pass),
            warn: count(State::Warn),
            unknown: count(State::Unknown),
            fail: count(State::Fail),
        };
        Self { checked_at, production, healthy: counts.fail == 0, counts, checks }
    }
}

/// What a judge says.
struct Found {
    state: State,
    evidence: String,
    advice: String,
}

/// Something that is not as it should be.
struct Problem {
    state: State,
    evidence: String,
    advice: String,
}

impl Problem {
    fn fail(evidence: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Fail, evidence: evidence.into(), advice: advice.into() }
    }

    fn warn(evidence: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Warn, evidence: evidence.into(), advice: advice.into() }
    }

    fn unknown(evidence: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Unknown, evidence: evidence.into(), advice: advice.into() }
    }
}

/// Problems that are told of one check.
const PROBLEMS_MAX: usize = 8;
/// What to do where only a running server can tell.
const START_IT: &str =
    "start the server (`actifix serve --production`), then run `actifix doctor --production` again";

impl Found {
    fn pass(evidence: impl Into<String>) -> Self {
        Self { state: State::Pass, evidence: evidence.into(), advice: String::new() }
    }

    /// The worst of the problems; without one it passes, for what was `seen`.
    fn of(mut problems: Vec<Problem>, seen: impl Into<String>) -> Self {
        // What is worst comes first; the others keep their order.
        problems.sort_by_key(|problem| std::cmp::Reverse(problem.state));
        let Some(state) = problems.first().map(|problem| problem.state) else { return Self::pass(seen) };
        let further = problems.len().saturating_sub(PROBLEMS_MAX);
        let (mut evidence, mut advice, mut told) = (Vec::new(), Vec::new(), BTreeSet::new());
        for problem in problems.into_iter().take(PROBLEMS_MAX) {
            evidence.push(problem.evidence);
            if told.insert(problem.advice.clone()) {
                advice.push(problem.advice);
            }
        }
        if further > 0 {
            evidence.push(format!("and {further} more"));
        }
        Self { state, evidence: evidence.join("; "), advice: advice.join("; ") }
    }
}

/// What the App remembers of looks.
#[derive(Default)]
pub(crate) struct Doctor {
    surroundings: OnceLock<Arc<dyn Surroundings>>,
    /// One look at a time: probes and a reading of the whole audit log are not for many at once.
    looking: tokio::sync::Mutex<()>,
    last: Mutex<Option<DoctorReport>>,
    /// Checks that failed when they were looked at last.
    failing: Mutex<BTreeSet<&'static str>>,
}

impl App {
    /// Says who looks around this installation. Called once, where the App is put together.
    pub fn look_around_with(&self, surroundings: Arc<dyn Surroundings>) {
        // The first one stays: an App has one place.
        let _set_before = self.doctor.surroundings.set(surroundings);
    }

    /// Looks at everything, as strictly as the server was started (`serve --production` or not).
    pub async fn doctor(&self, actor: &Actor) -> Result<DoctorReport> {
        self.examine(actor, false).await
    }

    /// Looks at everything; with `production` as strictly as a deployment needs that others reach.
    pub async fn examine(&self, actor: &Actor, production: bool) -> Result<DoctorReport> {
        Self::require(actor, Scope::Admin, None)?;
        let looking = self.doctor.looking.lock().await;
        self.look(&looking, production).await
    }

    /// Looks at everything; whoever holds the lock looks alone.
    async fn look(&self, _looking: &MutexGuard<'_, ()>, production: bool) -> Result<DoctorReport> {
        let probe = self.begin_probe();
        let site = self.surroundings()?.look(Some(&probe)).await;
        self.end_probe();
        let facts = Facts { site: site?, kept: self.kept_facts(true).await? };
        let now = self.now();
        if facts.site.live.is_some() {
            // Figures and alerts are of the server as it was started, however strictly somebody asks.
            self.note(&DoctorReport::new(now, facts.site.production, judge(&facts, facts.site.production)))
                .await?;
        }
        let production = production || facts.site.production;
        let report = DoctorReport::new(now, production, judge(&facts, production));
        *self.doctor.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(report.clone());
        Ok(report)
    }

    /// What the last look found; looks where nobody has yet. Who asks meanwhile waits for that one look.
    pub async fn examined(&self, actor: &Actor) -> Result<DoctorReport> {
        if let Some(report) = self.last_examination(actor)? {
            return Ok(report);
        }
        let looking = self.doctor.looking.lock().await;
        match self.last_examination(actor)? {
            Some(report) => Ok(report),
            None => self.look(&looking, false).await,
        }
    }

    /// What the last look found, without a new one.
    pub fn last_examination(&self, actor: &Actor) -> Result<Option<DoctorReport>> {
        Self::require(actor, Scope::Admin, None)?;
        Ok(self.doctor.last.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// The checks that `serve --production` refuses on.
    pub async fn check_start(&self) -> Result<Vec<Check>> {
        let site = self.surroundings()?.look(None).await?;
        Ok(start_checks(&Facts { kept: self.kept_facts(false).await?, site }))
    }

    /// Looks at everything. Called once an hour.
    pub async fn tend_doctor(&self) -> Result<()> {
        self.doctor(&Actor::System).await.map(|_| ())
    }

    /// Sets the figures, and tells those who listen which checks began to fail since the last look.
    async fn note(&self, report: &DoctorReport) -> Result<()> {
        for check in &report.checks {
            for state in State::ALL {
                let is = if check.state == state { 1.0 } else { 0.0 };
                metrics::gauge!("actifix_doctor_checks", "id" => check.id, "state" => state.as_str()).set(is);
            }
        }
        metrics::gauge!("actifix_doctor_last_run_timestamp_seconds").set(seconds(report.checked_at));
        self.raise_signals(self.begun_to_fail(report)).await
    }

    fn begun_to_fail(&self, report: &DoctorReport) -> Vec<Signal> {
        let mut failing = self.doctor.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut signals = Vec::new();
        for check in &report.checks {
            if check.state != State::Fail {
                if failing.remove(check.id) {
                    tracing::info!(id = check.id, state = check.state.as_str(), "doctor.check_fails_no_more");
                }
                continue;
            }
            if failing.insert(check.id) {
                tracing::warn!(
                    id = check.id,
                    evidence = check.evidence,
                    advice = check.advice,
                    "doctor.check_failed"
                );
                let title = format!("Check {} failed: {}", check.id, check.evidence);
                let subject = format!("doctor:{}", check.id);
                let mut signal = Signal::new(Trigger::Doctor, report.checked_at, subject, title);
                signal.detail.clone_from(&check.advice);
                signals.push(signal);
            }
        }
        signals
    }

    pub(crate) fn surroundings(&self) -> Result<&Arc<dyn Surroundings>> {
        self.doctor.surroundings.get().ok_or_else(|| Error::conflict("nobody looks around this process"))
    }

    /// What the store tells. With `whole` the audit log is read to its end.
    async fn kept_facts(&self, whole: bool) -> Result<Kept> {
        let endpoints = self.store.endpoints().await?;
        let projects: BTreeSet<_> =
            self.store.projects().await?.into_iter().map(|project| project.id).collect();
        let integrity = self.store.runs(Some(UpkeepKind::Integrity), 1).await?.pop();
        let act = AuditQuery { limit: 1, ..AuditQuery::default() };
        let last_act_at = self.store.audit_log(act).await?.items.first().map(|row| row.record.at);
        Ok(Kept {
            now: self.now(),
            admins: self.admin_facts().await?,
            ending_tokens: self.ending_tokens().await?,
            webhooks: self.webhook_facts().await?,
            channels: endpoints
                .into_iter()
                .map(|sealed| ChannelFact {
                    name: sealed.record.name,
                    project: sealed.record.project,
                    enabled: sealed.record.enabled,
                    streak: sealed.record.streak,
                    last_failure: sealed.record.last_failure,
                    disabled_reason: sealed.record.disabled_reason,
                })
                .collect(),
            rules: self
                .effective_rules()
                .await?
                .into_iter()
                .map(|rule| RuleFact {
                    project_is_gone: rule.project.is_some_and(|project| !projects.contains(&project)),
                    project: rule.project,
                    name: rule.name,
                    enabled: rule.enabled,
                    channels: rule.endpoints,
                })
                .collect(),
            backups: self.list_backups(&Actor::System).await?,
            backup_every_hours: self.settings.backup_every_hours,
            root_key_since: self.vault.status().ok().and_then(|vault| vault.recorded_at),
            integrity: integrity.map(|run| IntegrityFact { at: run.finished_at, intact: run.ok }),
            audit: if whole { Some(self.store.verify_audit().await?) } else { None },
            last_act_at,
            clock_jump: self.clock_jump(),
            engine_version: self.store.stats().await?.engine_version,
        })
    }

    async fn admin_facts(&self) -> Result<Vec<AdminFact>> {
        let users = self.store.users().await?.into_iter();
        let admins = users.filter(|user| user.role == Role::Admin && user.disabled_at.is_none());
        let fact = |user: crate::ports::UserRecord| {
            let is_weak = crate::accounts::is_below_floor(&user.verifier);
            AdminFact { name: user.name, is_weak }
        };
        Ok(admins.map(fact).collect())
    }

    /// Whether an administrator has a password, without which the server does not leave loopback.
    pub async fn admin_password_set(&self) -> Result<bool> {
        self.has_admin().await
    }
}

/// Whole hours, for people.
fn hours(micros: i64) -> i64 {
    micros / HOUR
}

/// `1 file`, `2 files`.
fn counted(count: usize, one: &str, more: &str) -> String {
    plural(u64::try_from(count).unwrap_or(u64::MAX), one, more)
}

/// Names, at most a few of them.
fn named<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
    let further = names.len().saturating_sub(PROBLEMS_MAX);
    let mut text = names.into_iter().take(PROBLEMS_MAX).collect::<Vec<_>>().join(", ");
    if further > 0 {
        text.push_str(&format!(" and {further} more"));
    }
    text
}

#[cfg(test)]
mod tests;
