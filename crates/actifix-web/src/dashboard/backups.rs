//! Backups: listed, made, restored on trial; and whether rows and pages are whole.

use super::acts::{self, Done, End, News};
use super::forms::{Sent, Viewer};
use super::shell::{Nav, Shell, answer, bytes, render};
use super::text::{Marked, When, many, marked, span};
use actifix_app::App;
use actifix_app::error::Error;
use actifix_app::ports::{BackupView, UpkeepKind, UpkeepRun};
use actifix_app::sessions::LiveSession;
use actifix_domain::time::{HOUR, Timestamp};
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use std::sync::Arc;

/// Backups that are shown.
const ROWS: usize = 50;
/// Runs that are shown.
const RUNS: usize = 20;
/// Characters of what is wrong that are shown.
const PROBLEM_CHARS: usize = 300;

struct Row {
    name: String,
    size: String,
    made: When,
    verified: Option<When>,
    problem: Marked,
    whole: bool,
    broken: bool,
}

struct Run {
    what: &'static str,
    target: String,
    at: When,
    took: String,
    ok: bool,
    problem: Marked,
}

#[derive(Template)]
#[template(path = "backups.html")]
struct BackupsPage {
    s: Shell,
    rows: Vec<Row>,
    more: usize,
    runs: Vec<Run>,
    integrity: Option<Run>,
    every_hours: Option<u32>,
    daily: u32,
    weekly: u32,
    sentence: &'static str,
    consequence: String,
}

/// Backups.
pub async fn list(State(app): State<Arc<App>>, viewer: Viewer, Query(done): Query<Done>) -> Response {
    answer(page(&app, &viewer.0, done.into()).await)
}

async fn page(app: &App, live: &LiveSession, news: News) -> Result<Response, Error> {
    let actor = &live.actor;
    let backups = app.list_backups(actor).await?;
    let runs = app.backup_runs(actor).await?;
    let integrity = app.last_integrity(actor).await?;
    let s = Shell::load(app, live, Nav::Backups, "Backups").await?.news(news);
    let settings = app.settings();
    let (sentence, consequence) = sentence(&backups, settings.backup_every_hours, s.now);
    Ok(render(&BackupsPage {
        more: backups.len().saturating_sub(ROWS),
        rows: backups.into_iter().take(ROWS).map(|backup| row(backup, s.now)).collect(),
        runs: runs.into_iter().take(RUNS).map(|run| of_run(run, s.now)).collect(),
        integrity: integrity.map(|run| of_run(run, s.now)),
        every_hours: settings.backup_every_hours,
        daily: settings.retention.backups_daily,
        weekly: settings.retention.backups_weekly,
        sentence,
        consequence,
        s,
    }))
}

/// What the newest backup is worth: a fact, and what follows from it.
fn sentence(backups: &[BackupView], every: Option<u32>, now: Timestamp) -> (&'static str, String) {
    let Some(newest) = backups.first() else {
        let why = match every {
            Some(hours) => format!("The server makes one every {hours} h."),
            None => "Nobody could read one: name a recipient in backup.recipients, and restart the server."
                .to_owned(),
        };
        return ("There is no backup.", why);
    };
    let age = now.since(newest.file.created_at);
    let old = every.is_some_and(|hours| age > 2 * i64::from(hours) * HOUR);
    match (old, &newest.problem, &newest.verified_at) {
        (_, Some(_), _) => ("The newest backup cannot be restored.", "Make a new one now.".to_owned()),
        (true, ..) => ("The newest backup is old.", format!("It was made {} ago.", span(age))),
        (false, None, Some(at)) => {
            let (made, proven) = (span(age), span(now.since(*at)));
            ("The newest backup is whole.", format!("Made {made} ago, restored on trial {proven} ago."))
        }
        (false, None, None) => {
            ("The newest backup is not tried.", format!("It was made {} ago; verify it.", span(age)))
        }
    }
}

fn row(view: BackupView, now: Timestamp) -> Row {
    Row {
        size: bytes(view.file.size),
        made: When::new(view.file.created_at, now),
        verified: view.verified_at.map(|at| When::new(at, now)),
        whole: view.verified_at.is_some() && view.problem.is_none(),
        broken: view.problem.is_some(),
        problem: marked(view.problem.as_deref().unwrap_or_default(), PROBLEM_CHARS),
        name: view.file.name,
    }
}

fn of_run(run: UpkeepRun, now: Timestamp) -> Run {
    let problem = match (run.ok, run.detail.get("error"), run.detail.get("faults")) {
        (true, ..) => String::new(),
        (false, Some(error), _) => error.as_str().unwrap_or_default().to_owned(),
        (false, None, Some(faults)) => {
            let faults = faults.as_array().into_iter().flatten().filter_map(|fault| fault.as_str());
            faults.take(3).collect::<Vec<_>>().join("; ")
        }
        (false, None, None) => "see the audit log".to_owned(),
    };
    Run {
        what: match run.kind {
            UpkeepKind::Backup => "backup made",
            UpkeepKind::Verification => "restored on trial",
            UpkeepKind::Restore => "home restored",
            UpkeepKind::Retention => "retention",
            UpkeepKind::Integrity => "looked through",
        },
        target: run.target,
        at: When::new(run.finished_at, now),
        took: span(run.finished_at.since(run.started_at)),
        ok: run.ok,
        problem: marked(&problem, PROBLEM_CHARS),
    }
}

/// Makes a backup, tries one, looks through everything.
pub async fn act(State(app): State<Arc<App>>, sent: Sent) -> Response {
    let actor = &sent.live.actor;
    let name = sent.fields.get("name");
    let ended = match sent.fields.get("act") {
        Some("create") => app.create_backup(actor, Vec::new()).await.map(|_| "backup"),
        Some("verify") => match app.verify_backup(actor, name).await {
            Ok(verdict) if verdict.intact => Ok("verified"),
            Ok(verdict) => Err(Error::conflict(format!(
                "the backup is not whole: {}",
                verdict.faults.iter().take(3).map(String::as_str).collect::<Vec<_>>().join("; ")
            ))),
            Err(error) => Err(error),
        },
        Some("integrity") => match app.check_integrity(actor).await {
            Ok(report) if report.intact => Ok("intact"),
            Ok(report) => Err(Error::conflict(format!(
                "{} and {} of the file: restore a backup",
                many(report.damaged.len() as u64, "damaged row"),
                many(report.structure.len() as u64, "fault")
            ))),
            Err(error) => Err(error),
        },
        _ => Err(acts::unknown()),
    };
    acts::finish(&app, "/backups", ended.map(End::Word), |news| page(&app, &sent.live, news)).await
}
