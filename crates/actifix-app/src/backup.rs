//! Backups: made while everything goes on, readable only by whom they are for, and believed only after they were
//! restored once.
//!
//! A backup is a moment of the database, page by page, with the files that belong to it; the shelf (a port) encrypts it
//! on its way to the disk. The record of what was made and verified is kept in the database that is backed up, the truth
//! about what is there is the shelf.

mod plan;

pub(crate) use plan::DOUBTED_KEPT_MAX;
use plan::Plan;

use crate::app::App;
use crate::blocking::{blocking, to_the_end};
use crate::error::{Error, Result};
use crate::ports::{
    BackupFile, BackupMade, BackupShelf, BackupVerdict, BackupView, SnapshotFacts, UpkeepKind, UpkeepRun,
};
use crate::retention::seconds;
use actifix_domain::access::{Actor, Scope};
use actifix_domain::alert::{Signal, Trigger};
use actifix_domain::audit::{Action, AuditRecord};
use actifix_domain::clock::{Jump, is_of_another_clock};
use actifix_domain::time::{HOUR, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError};
use tokio::sync::Mutex;

/// Runs that are read to tell what is known of each backup.
const RUNS_MAX: u32 = 1_000;
/// A failed backup is tried again after this time.
const RETRY: i64 = HOUR;
/// An overdue backup is told again after this time; rules hold repetitions back by their cooldown besides.
const OVERDUE_EVERY: i64 = HOUR;
/// Of the reason, told with an alert.
const WHY_CHARS_MAX: usize = 300;
/// Further recipients of one backup.
const RECIPIENTS_MAX: usize = 16;

/// The shelf, and whether somebody works on it.
#[derive(Default)]
pub(crate) struct Backups {
    shelf: OnceLock<Arc<dyn BackupShelf>>,
    busy: Arc<Mutex<()>>,
    /// When it was last told that a backup is overdue.
    overdue_told: std::sync::Mutex<Option<Timestamp>>,
}

impl App {
    /// Says where backups are kept. Called once, where the App is put together.
    pub fn keep_backups_on(&self, shelf: Arc<dyn BackupShelf>) {
        // The first one stays: there is one place for backups.
        let _set_before = self.backups.shelf.set(shelf);
    }

    fn shelf(&self) -> Result<Arc<dyn BackupShelf>> {
        let shelf = self.backups.shelf.get();
        shelf.map(Arc::clone).ok_or_else(|| Error::conflict("this process keeps no backups"))
    }

    /// All backups, newest first, with what is known of each.
    pub async fn list_backups(&self, actor: &Actor) -> Result<Vec<BackupView>> {
        Self::require(actor, Scope::Admin, None)?;
        let shelf = self.shelf()?;
        let files = blocking(move || shelf.list()).await?;
        let mut known: BTreeMap<String, UpkeepRun> = BTreeMap::new();
        for run in self.store.runs(Some(UpkeepKind::Verification), RUNS_MAX).await? {
            known.entry(run.target.clone()).or_insert(run);
        }
        let view = |file: BackupFile| {
            let run = known.get(&file.name);
            let verified_at = run.filter(|run| run.ok).map(|run| run.finished_at);
            let problem = run.filter(|run| !run.ok).map(|run| first_fault(&run.detail));
            BackupView { file, verified_at, problem }
        };
        Ok(files.into_iter().map(view).collect())
    }

    /// What was done, latest first: backups, verifications, restores.
    pub async fn backup_runs(&self, actor: &Actor) -> Result<Vec<UpkeepRun>> {
        Self::require(actor, Scope::Admin, None)?;
        let mut runs = self.store.runs(None, RUNS_MAX).await?;
        runs.retain(|run| {
            matches!(run.kind, UpkeepKind::Backup | UpkeepKind::Verification | UpkeepKind::Restore)
        });
        runs.truncate(200);
        Ok(runs)
    }

    /// Makes a backup for the configured recipients and these. It goes on when whoever asked goes away.
    pub async fn create_backup(
        self: &Arc<Self>,
        actor: &Actor,
        recipients: Vec<String>,
    ) -> Result<BackupMade> {
        self.begin_backup(actor, recipients, true).await
    }

    /// The same; `asked` is false for the plan, whose backup must not be refused unseen.
    async fn begin_backup(
        self: &Arc<Self>,
        actor: &Actor,
        recipients: Vec<String>,
        asked: bool,
    ) -> Result<BackupMade> {
        Self::require(actor, Scope::Admin, None)?;
        if recipients.len() > RECIPIENTS_MAX {
            return Err(Error::invalid("recipients", format!("at most {RECIPIENTS_MAX}")));
        }
        let shelf = self.shelf()?;
        let busy = Arc::clone(&self.backups.busy).try_lock_owned().map_err(|_| BUSY)?;
        let record = self.audit(actor, Action::BackupDone, "backup", None, json!({}));
        let app = Arc::clone(self);
        to_the_end(async move {
            let _busy = busy;
            let file = app.make(&shelf, &recipients, asked, record).await?;
            Ok(BackupMade { file, recipients: shelf.recipients().into_iter().chain(recipients).collect() })
        })
        .await
    }

    async fn make(
        &self,
        shelf: &Arc<dyn BackupShelf>,
        recipients: &[String],
        asked: bool,
        mut record: AuditRecord,
    ) -> Result<BackupFile> {
        let started_at = self.now();
        let doubt = self.clock_jump();
        let made = self.copy(shelf, started_at, recipients).await;
        // What cannot be asked for so is told to whoever asks: no backup of the installation failed.
        if let (true, Err(error @ (Error::Invalid(_) | Error::Conflict { .. }))) = (asked, &made) {
            tracing::warn!(why = %told(error), "backup.refused");
            return made.map(|(file, _)| file);
        }
        let (target, detail) = match &made {
            Ok((file, facts)) => (file.name.clone(), mark_of(file, facts, doubt)),
            Err(error) => (String::new(), json!({ "error": told(error) })),
        };
        let finished_at = self.now();
        let failed = made.is_err().then(|| {
            let why = detail.get("error").and_then(Value::as_str).unwrap_or_default();
            alarm("create", finished_at, "A backup could not be made".to_owned(), why)
        });
        if made.is_ok() {
            metrics::gauge!("actifix_backup_last_success_timestamp_seconds").set(seconds(finished_at));
            tracing::info!(name = target, "backup.made");
        } else {
            metrics::counter!("actifix_backup_failures_total", "step" => "create").increment(1);
            let why = detail.get("error").and_then(Value::as_str).unwrap_or_default();
            tracing::error!(why, "backup.failed: the former backups are as they were");
        }
        record.target = format!("backup:{target}");
        record.detail = json!({ "step": "created", "result": detail });
        if made.is_err() {
            record.result = actifix_domain::audit::Verdict::Failed;
        }
        let kind = UpkeepKind::Backup;
        let run = UpkeepRun { kind, target, started_at, finished_at, ok: made.is_ok(), detail };
        self.note_run(run, record.bounded()).await;
        self.raise(failed).await;
        made.map(|(file, _)| file)
    }

    async fn copy(
        &self,
        shelf: &Arc<dyn BackupShelf>,
        at: Timestamp,
        recipients: &[String],
    ) -> Result<(BackupFile, SnapshotFacts)> {
        let (begun_on, recipients) = (Arc::clone(shelf), recipients.to_vec());
        let sink = blocking(move || begun_on.begin(at, &recipients)).await?;
        let (facts, sink) = self.store.snapshot(sink).await?;
        let file = blocking(move || sink.finish().map_err(from_io)).await?;
        Ok((file, facts))
    }

    /// Restores a backup into a temporary home and looks at everything in it: that is a drill, and it is recorded.
    /// Without a name the newest.
    pub async fn verify_backup(self: &Arc<Self>, actor: &Actor, name: Option<&str>) -> Result<BackupVerdict> {
        Self::require(actor, Scope::Admin, None)?;
        let shelf = self.shelf()?;
        let listed_on = Arc::clone(&shelf);
        let files = blocking(move || listed_on.list()).await?;
        let found = files.into_iter().find(|file| name.is_none_or(|name| name == file.name));
        let name = found.ok_or(Error::NotFound { what: "backup" })?.name;
        let busy = Arc::clone(&self.backups.busy).try_lock_owned().map_err(|_| BUSY)?;
        let record = self.audit(actor, Action::BackupDone, format!("backup:{name}"), None, json!({}));
        let app = Arc::clone(self);
        to_the_end(async move {
            let _busy = busy;
            app.try_restore(shelf, name, record).await
        })
        .await
    }

    async fn try_restore(
        &self,
        shelf: Arc<dyn BackupShelf>,
        name: String,
        mut record: AuditRecord,
    ) -> Result<BackupVerdict> {
        let started_at = self.now();
        let asked = name.clone();
        let verdict = blocking(move || shelf.verify(&asked)).await;
        let finished_at = self.now();
        let (ok, detail) = match &verdict {
            Ok(verdict) => (verdict.intact, json!(verdict)),
            Err(error) => (false, json!({ "faults": [told(error)] })),
        };
        if ok {
            metrics::gauge!("actifix_backup_last_verified_timestamp_seconds").set(seconds(finished_at));
            tracing::info!(name, "backup.verified");
        } else {
            metrics::counter!("actifix_backup_failures_total", "step" => "verify").increment(1);
            tracing::error!(name, why = first_fault(&detail), "backup.not_restorable: make a new one now");
            record.result = actifix_domain::audit::Verdict::Failed;
        }
        record.detail = json!({ "step": "verified", "intact": ok, "faults": detail.get("faults") });
        let kind = UpkeepKind::Verification;
        let failed = (!ok).then(|| {
            alarm("verify", finished_at, format!("Backup {name} cannot be restored"), &first_fault(&detail))
        });
        let run = UpkeepRun { kind, target: name, started_at, finished_at, ok, detail };
        self.note_run(run, record.bounded()).await;
        self.raise(failed).await;
        verdict
    }

    /// Tells those who listen. What failed is in the log and in the record of runs whether or not this works.
    async fn raise(&self, signal: Option<Signal>) {
        if let Err(error) = self.raise_signals(signal.into_iter().collect()).await {
            tracing::error!(error = %error, "backup.alert_not_raised");
        }
    }

    /// What was done is done, whether or not the database can note it.
    async fn note_run(&self, run: UpkeepRun, audit: AuditRecord) {
        if let Err(error) = self.store.record_run(&run, Some(&audit)).await {
            tracing::error!(error = %error, kind = run.kind.as_str(), "upkeep.not_recorded");
        }
    }

    /// Records that this home was made from a backup, and ends every session of it: one that was ended since the backup
    /// would live again.
    pub async fn record_restore(&self, detail: Value) -> Result<()> {
        let name = detail.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let now = self.now();
        let audit =
            self.audit(&Actor::System, Action::SessionKilled, "all", None, json!({ "why": "restored" }));
        self.store.end_sessions(crate::ports::SessionsOf::All, &audit).await?;
        let audit = self.audit(
            &Actor::System,
            Action::BackupDone,
            format!("backup:{name}"),
            None,
            json!({ "step": "restored", "mark": detail.get("mark") }),
        );
        let kind = UpkeepKind::Restore;
        let run = UpkeepRun { kind, target: name, started_at: now, finished_at: now, ok: true, detail };
        self.store.record_run(&run, Some(&audit)).await
    }

    /// Tells the figures after a start, and removes what a killed process left.
    pub async fn begin_backups(&self) -> Result<()> {
        let shelf = self.shelf()?;
        blocking(move || shelf.tidy()).await?;
        for (kind, name) in [
            (UpkeepKind::Backup, "actifix_backup_last_success_timestamp_seconds"),
            (UpkeepKind::Verification, "actifix_backup_last_verified_timestamp_seconds"),
        ] {
            let runs = self.store.runs(Some(kind), RUNS_MAX).await?;
            let last = runs.iter().find(|run| run.ok).map_or(0.0, |run| seconds(run.finished_at));
            metrics::gauge!(name).set(last);
        }
        Ok(())
    }

    /// Makes, verifies and clears away backups as the plan says, and tells when there is none that is young enough. Called
    /// every few minutes.
    pub async fn tend_backups(self: &Arc<Self>) -> Result<()> {
        let Some(every_hours) = self.settings.backup_every_hours else { return Ok(()) };
        let done = self.follow_plan(every_hours).await;
        // After the plan was followed: whoever was switched off for days makes one first.
        self.tell_overdue(every_hours, done.as_ref().err()).await?;
        done
    }

    async fn tell_overdue(&self, every_hours: u32, why: Option<&Error>) -> Result<()> {
        let runs = self.store.runs(Some(UpkeepKind::Verification), RUNS_MAX).await?;
        let now = self.now();
        // What a clock that was ahead wrote says nothing about today.
        let last = runs.iter().filter(|run| run.ok).map(|run| run.finished_at);
        let last = last.into_iter().find(|at| !is_of_another_clock(*at, now));
        // While the first one is being made by hand, none is missing.
        let first = last.is_none() && matches!(why, Some(Error::Unavailable { .. }));
        let overdue = is_overdue(last, every_hours, now) && !first;
        metrics::gauge!("actifix_backup_overdue").set(f64::from(u8::from(overdue)));
        {
            let mut told = self.backups.overdue_told.lock().unwrap_or_else(PoisonError::into_inner);
            if !overdue || told.is_some_and(|at| now.since(at).abs() < OVERDUE_EVERY) {
                return Ok(());
            }
            *told = Some(now);
        }
        let since = last.map_or_else(|| "ever".to_owned(), |last| format!("since {last}"));
        tracing::error!(since, "backup.overdue: none was made and found whole");
        let title = format!("No backup was made and found whole {since}");
        let why = why.map_or_else(|| "`actifix backup list` tells more".to_owned(), told);
        self.raise(Some(alarm("overdue", now, title, &why))).await;
        Ok(())
    }

    async fn follow_plan(self: &Arc<Self>, every_hours: u32) -> Result<()> {
        let (now, views) = (self.now(), self.list_backups(&Actor::System).await?);
        // One that cannot be restored is none, and one of a clock that was ahead must not make the next one wait for it.
        let newest = views.iter().filter(|view| view.problem.is_none()).map(|view| view.file.created_at);
        let newest = newest.into_iter().find(|at| !is_of_another_clock(*at, now));
        let root_key_since = self.vault.status().ok().and_then(|vault| vault.recorded_at);
        let due = is_due(newest, every_hours, root_key_since, now);
        // A disk that is full for a day must not be filled anew every few minutes.
        let mut rests = false;
        for kind in [UpkeepKind::Backup, UpkeepKind::Verification] {
            let last = self.store.runs(Some(kind), 1).await?.pop();
            rests |= last.is_some_and(|run| !run.ok && now.since(run.finished_at).abs() < RETRY);
        }
        if due && !rests {
            let made = self.begin_backup(&Actor::System, Vec::new(), false).await?;
            let verdict = self.verify_backup(&Actor::System, Some(&made.file.name)).await;
            let intact = verdict.as_ref().is_ok_and(|verdict| verdict.intact);
            self.clear_backups(intact).await?;
            verdict?;
        }
        Ok(())
    }

    /// Removes what need not be kept: by the plan, if the newest was found whole and the clock is believed; of what was
    /// made or dated under a clock that is not, and of what cannot be restored, what is too much.
    async fn clear_backups(&self, newest_is_whole: bool) -> Result<()> {
        let policy = &self.settings.retention;
        let plan = Plan { daily: policy.backups_daily, weekly: policy.backups_weekly };
        if plan.keeps_all() {
            return Ok(());
        }
        let jump = self.observe_clock().await?;
        let views = self.list_backups(&Actor::System).await?;
        let mut gone: BTreeMap<String, &'static str> = BTreeMap::new();
        if newest_is_whole && jump.is_none() {
            gone.extend(plan.surplus(&views, self.now()).into_iter().map(|name| (name, "plan")));
        }
        let broken = plan::unrestorable(&views).into_iter();
        gone.extend(broken.map(|name| (name, "too many that cannot be restored")));
        let runs = self.store.runs(Some(UpkeepKind::Backup), RUNS_MAX).await?;
        let doubted = plan::doubted(&views, &runs, jump.map_or_else(|| self.now(), |jump| jump.mark));
        let surplus = plan::too_many(&doubted);
        if let (Some(jump), false) = (jump, surplus.is_empty()) {
            tracing::warn!(
                why = %jump,
                kept = doubted.len() - surplus.len(),
                removed = surplus.len(),
                "backup.clock_not_believed: of the backups made since, the last ones and the first whole one stay"
            );
        }
        gone.extend(surplus.into_iter().map(|name| (name, "too many under a clock that is not believed")));
        for (name, why) in gone {
            let (shelf, removed) = (self.shelf()?, name.clone());
            blocking(move || shelf.remove(&removed)).await?;
            tracing::info!(name, why, "backup.removed");
            let detail = json!({ "step": "removed", "why": why });
            self.record_act(&Actor::System, Action::BackupDone, format!("backup:{name}"), detail).await?;
        }
        Ok(())
    }
}

/// A signal about backups. Its subject names the day, so that a rule with a long cooldown says it again on the next.
fn alarm(step: &str, at: Timestamp, title: String, why: &str) -> Signal {
    let mut signal = Signal::new(Trigger::Backup, at, format!("backup:{step}:{}", at.day()), title);
    let why: String = why.chars().take(WHY_CHARS_MAX).collect();
    signal.detail = format!("{why}; the former backups are as they were (docs/backups.md)");
    signal
}

/// Whether the plan has one made now. Those before a change of the root key open with the former one, or beside one that was
/// made after it: so one is made.
fn is_due(
    newest: Option<Timestamp>,
    every_hours: u32,
    root_key_since: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    let Some(newest) = newest else { return true };
    now.since(newest) >= i64::from(every_hours.max(1)) * HOUR
        || root_key_since.is_some_and(|since| newest < since && since <= now)
}

/// Whether the last backup that was found whole is half as old again as the plan has it.
fn is_overdue(last: Option<Timestamp>, every_hours: u32, now: Timestamp) -> bool {
    let most = i64::from(every_hours.max(1)) * HOUR / 2 * 3;
    last.is_none_or(|last| now.since(last) > most)
}

const BUSY: Error = Error::Unavailable {
    message: "a backup is being made or verified: wait for its end",
    retry_after_seconds: 30,
};

fn mark_of(file: &BackupFile, facts: &SnapshotFacts, doubt: Option<Jump>) -> Value {
    let mut mark = json!({
        "size": file.size, "pages": facts.pages, "schema_version": facts.schema_version,
        "events": facts.counts.get("events"), "tickets": facts.counts.get("tickets"),
        "last_event": facts.last_event, "audit_head": facts.audit.seq,
    });
    if let (Some(members), Some(jump)) = (mark.as_object_mut(), doubt) {
        members.insert(plan::BELIEVED.to_owned(), json!(jump.mark));
    }
    mark
}

/// What may be told of an error: a fault of the system by its own text, since an operator has to act on it.
pub(crate) fn told(error: &Error) -> String {
    match error {
        Error::Internal(source) => source.to_string(),
        other => other.to_string(),
    }
}

fn first_fault(detail: &Value) -> String {
    let faults = detail.get("faults").and_then(Value::as_array);
    faults.and_then(|faults| faults.first()).and_then(Value::as_str).unwrap_or("not told").to_owned()
}

fn from_io(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::StorageFull {
        return Error::Unavailable { message: "the disk of the backups is full", retry_after_seconds: 60 };
    }
    Error::internal(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actifix_domain::time::DAY;

    const START: i64 = 20_000 * DAY;
    const NOW: Timestamp = Timestamp::from_micros(START);

    #[test]
    fn a_backup_is_due_by_age_and_once_after_the_root_key_was_changed() {
        let ago = |hours: i64| Some(Timestamp::from_micros(START - hours * HOUR));
        for (newest, key, due) in [
            (None, None, true),
            (ago(23), None, false),
            (ago(24), None, true),
            (ago(2), ago(3), false),
            (ago(3), ago(2), true),
            // Recorded by a clock that was ahead: one for each look would follow.
            (ago(3), ago(-1), false),
        ] {
            assert_eq!(is_due(newest, 24, key, NOW), due, "{newest:?} {key:?}");
        }
    }

    #[test]
    fn a_backup_is_overdue_half_an_interval_after_it_was_due() {
        let (now, ago) =
            (Timestamp::from_micros(START), |hours: i64| Some(Timestamp::from_micros(START - hours * HOUR)));
        for (last, overdue) in [
            (ago(0), false),
            (ago(24), false),
            (ago(36), false),
            (ago(37), true),
            (None, true),
            (ago(-5), false),
        ] {
            assert_eq!(is_overdue(last, 24, now), overdue, "{last:?}");
        }
        assert!(!is_overdue(ago(1), 0, now) && is_overdue(ago(2), 0, now));
    }
}
