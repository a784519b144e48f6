//! Work that nobody asks for: counters, promotion, the throttle's history, monitors, retention.

use crate::home::Home;
use crate::lifecycle::Live;
use crate::telemetry::Log;
use crate::wire::Wired;
use actifix_app::App;
use actifix_app::ports::ThrottleRecord;
use actifix_domain::access::Actor;
use actifix_store::files::Unsafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// Counters, promotion, history.
const TICK: Duration = Duration::from_secs(1);
/// Monitors that missed a run or run too long.
const MONITORS: Duration = Duration::from_secs(30);
/// The age of the key that signs short-lived tokens.
const SIGNING_KEYS: Duration = Duration::from_secs(3_600);
/// Figures of the process.
const FIGURES: Duration = Duration::from_secs(5);
/// Whether the clock can be believed.
const CLOCK: Duration = Duration::from_secs(60);
/// Retention.
const RETENTION: Duration = Duration::from_secs(3_600);

/// Reviews that are due.
const REVIEWS: Duration = Duration::from_secs(3_600);
/// Closed files of the log.
const LOGS: Duration = Duration::from_secs(60);
/// Modes and owners of files.
const FILES: Duration = Duration::from_secs(3_600);
/// Files that are looked at.
const FILES_MAX: usize = 100_000;
/// Whether the daily look for damage is due.
const INTEGRITY: Duration = Duration::from_secs(3_600);
/// Whether a backup is due.
const BACKUPS: Duration = Duration::from_secs(300);
/// Tokens that end soon.
const TOKENS: Duration = Duration::from_secs(600);
/// What ends soon.
const ALARMS: Duration = Duration::from_secs(3_600);
/// Checks of the deployment, and the first of them after the start.
const DOCTOR: Duration = Duration::from_secs(3_600);
const DOCTOR_FIRST: Duration = Duration::from_secs(60);

/// Certificates that were renewed.
const CERTIFICATES: Duration = Duration::from_secs(3_600);

/// Starts all workers; they end when `stop` turns true.
pub fn start(
    tasks: &mut JoinSet<()>,
    home: &Home,
    wired: &Wired,
    (live, log): (&Arc<Live>, &Arc<Log>),
    stop: watch::Receiver<bool>,
) {
    let app = &wired.app;
    let renewed = Arc::clone(live);
    tasks.spawn(every(CERTIFICATES, stop.clone(), Arc::clone(app), move |app| {
        let live = Arc::clone(&renewed);
        async move {
            // What is wrong is in the log.
            let _renewal = crate::certificate::reload_all(&live.certificates, app.now());
        }
    }));
    tasks.spawn(ticker(Arc::clone(app), home.throttle_history(), stop.clone()));
    tasks.spawn(every(MONITORS, stop.clone(), Arc::clone(app), |app| async move {
        if let Err(error) = app.check_monitors().await {
            tracing::error!(error = %error, "monitors were not checked");
        }
    }));
    tasks.spawn(every(SIGNING_KEYS, stop.clone(), Arc::clone(app), |app| async move {
        if let Err(error) = app.tend_signing_keys().await {
            tracing::error!(error = %error, "the signing key was not replaced");
        }
    }));
    tasks.spawn(every(TOKENS, stop.clone(), Arc::clone(app), |app| async move {
        if let Err(error) = app.warn_of_token_expiry().await {
            tracing::error!(error = %error, "tokens that end soon were not looked for");
        }
    }));
    tasks.spawn(Arc::clone(app).run_outbox(stop.clone()));
    tasks.spawn(until_stopped(stop.clone(), resume_incident(Arc::clone(app))));
    tasks.spawn(every(REVIEWS, stop.clone(), Arc::clone(app), |app| async move {
        if let Err(error) = app.tend_reviews().await {
            tracing::error!(error = %error, "reviews that are due were not looked for");
        }
    }));
    let dated = Arc::clone(log);
    tasks.spawn(every(CLOCK, stop.clone(), Arc::clone(app), move |app| {
        let log = Arc::clone(&dated);
        async move {
            if let Err(error) = app.observe_clock().await {
                tracing::error!(error = %error, "the clock was not looked at");
            }
            log.believe_until(app.clock_believed_until());
        }
    }));
    let tended = Arc::clone(log);
    tasks.spawn(every(LOGS, stop.clone(), Arc::clone(app), move |_| tend_log(Arc::clone(&tended))));
    let certificates = Arc::clone(live);
    tasks.spawn(every(ALARMS, stop.clone(), Arc::clone(app), move |app| {
        let certificates = Arc::clone(&certificates);
        async move {
            if let Err(error) = crate::alarms::raise(&app, &certificates.certificates).await {
                tracing::error!(error = %error, "alarms were not raised");
            }
        }
    }));
    tasks.spawn(until_stopped(stop.clone(), doctor(Arc::clone(app), stop.clone())));
    crate::process::started_at(app.now().seconds());
    crate::process::observe();
    tasks.spawn(every(FIGURES, stop.clone(), Arc::clone(app), |_| async { crate::process::observe() }));
    tasks.spawn(every(RETENTION, stop.clone(), Arc::clone(app), |app| async move {
        match app.run_retention(&Actor::System, false).await {
            Ok(report) => {
                tracing::info!(events = report.events, tickets = report.tickets, "retention ran");
            }
            Err(error) => tracing::error!(error = %error, "retention failed"),
        }
    }));
    tell_files(&wired.files);
    let (tended, shelf) = (home.clone(), crate::wire::backups_of(home, &wired.config));
    tasks.spawn(every(FILES, stop.clone(), Arc::clone(app), move |_| {
        tend_files(tended.clone(), shelf.clone())
    }));
    tasks.spawn(until_stopped(stop.clone(), {
        every(INTEGRITY, stop.clone(), Arc::clone(app), |app| async move {
            if let Err(error) = app.tend_integrity().await {
                tracing::error!(error = %error, "integrity was not checked");
            }
        })
    }));
    tasks.spawn(until_stopped(stop.clone(), backups(Arc::clone(app), stop)));
}

/// For work that takes minutes: a stop does not wait for it. A backup that is cut off leaves no file under its name.
async fn until_stopped(mut stop: watch::Receiver<bool>, work: impl Future<Output = ()> + Send) {
    tokio::select! {
        () = work => {}
        () = stopped(&mut stop) => {}
    }
}

/// Modes, owners, links of everything that holds data; modes are put right.
pub fn look_at_files(home: &Home, backups: &Path) -> Vec<Unsafe> {
    let trees = [home.data(), home.private()];
    let mut found: Vec<Unsafe> =
        trees.iter().flat_map(|tree| actifix_store::files::tend_tree(tree, FILES_MAX)).collect();
    // Whoever may exchange files in the home itself exchanges these directories whole.
    match crate::files::close_to_others(home.root()) {
        Ok(closed) => found.extend(closed),
        Err(error) => {
            let path = home.root().to_owned();
            found.push(Unsafe { path, what: error.to_string(), repaired: false });
        }
    }
    // Elsewhere may lie what is not ours.
    if !backups.starts_with(home.private()) {
        found.extend(crate::backup::tend(backups, FILES_MAX));
    }
    found
}

/// Says what was found.
pub fn tell_files(found: &[Unsafe]) {
    for entry in found {
        let path = entry.path.display();
        if entry.repaired {
            tracing::warn!(%path, found = entry.what, "files.repaired: others could read or write this");
        } else {
            tracing::error!(%path, found = entry.what, "files.unsafe");
        }
    }
    let bad = found.iter().filter(|entry| !entry.repaired).count();
    metrics::gauge!("actifix_files_unsafe").set(bad as f64);
}

/// What was ordered before the last process ended is still ordered.
async fn resume_incident(app: Arc<App>) {
    match app.resume_incident().await {
        Ok(Some(done)) => {
            let clean = done.state.last.is_some_and(|job| job.is_clean());
            tracing::warn!(clean, "incident.resumed: `actifix incident status` says what was done");
        }
        Ok(None) => {}
        Err(error) => tracing::error!(error = %error, "incident.not_resumed: order it again"),
    }
}

async fn tend_log(log: Arc<Log>) {
    if let Err(error) = tokio::task::spawn_blocking(move || log.tend()).await {
        tracing::error!(%error, "the log was not tended");
    }
}

async fn tend_files(home: Home, backups: PathBuf) {
    match tokio::task::spawn_blocking(move || look_at_files(&home, &backups)).await {
        Ok(found) => tell_files(&found),
        Err(error) => tracing::error!(%error, "files were not looked at"),
    }
}

/// Looks at the deployment, first when the start is over.
async fn doctor(app: Arc<App>, stop: watch::Receiver<bool>) {
    tokio::time::sleep(DOCTOR_FIRST).await;
    every(DOCTOR, stop, app, |app| async move {
        if let Err(error) = app.tend_doctor().await {
            tracing::error!(error = %error, "the deployment was not looked at");
        }
    })
    .await;
}

/// Makes and verifies backups as they fall due.
async fn backups(app: Arc<App>, stop: watch::Receiver<bool>) {
    if let Err(error) = app.begin_backups().await {
        tracing::error!(error = %error, "backups were not looked at");
    }
    if app.settings().backup_every_hours.is_none() {
        tracing::warn!("no backups are made: set backup.recipients (docs/backups.md)");
    }
    every(BACKUPS, stop, app, |app| async move {
        if let Err(error) = app.tend_backups().await {
            tracing::error!(error = %error, "the backup that was due was not made");
        }
    })
    .await;
}

/// Calls `work` at once and then again after each `period`.
async fn every<F, W>(period: Duration, mut stop: watch::Receiver<bool>, app: Arc<App>, work: W)
where
    F: Future<Output = ()> + Send,
    W: Fn(Arc<App>) -> F + Send,
{
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = stopped(&mut stop) => return,
        }
        if !finished(work(Arc::clone(&app)), &mut stop).await {
            return;
        }
    }
}

/// Whether `work` came to its end before it was told to stop. It may take minutes (a first retention); each of its steps
/// is a transaction of its own, so that it may be left between any two of them.
async fn finished(work: impl Future<Output = ()>, stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = work => true,
        () = stopped(stop) => false,
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A closed channel means that the owner is gone: stop as well.
    let _closed_or_true = stop.wait_for(|stop| *stop).await;
}

async fn ticker(app: Arc<App>, history: PathBuf, mut stop: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut written: Option<Vec<ThrottleRecord>> = None;
    loop {
        let stopping = tokio::select! {
            _ = interval.tick() => false,
            () = stopped(&mut stop) => true,
        };
        tick(&app, &history, &mut written).await;
        if stopping {
            return;
        }
    }
}

async fn tick(app: &Arc<App>, history: &Path, written: &mut Option<Vec<ThrottleRecord>>) {
    if let Err(error) = app.observe_brake().await {
        tracing::warn!(error = %error, "the emergency brake was not looked at");
    }
    if let Err(error) = app.flush_counters().await {
        tracing::warn!(error = %error, "counters were not written");
    }
    if let Err(error) = app.tend_audit(false).await {
        tracing::warn!(error = %error, "the audit log was not tended");
    }
    if let Err(error) = app.flush_limits().await {
        tracing::warn!(error = %error, "what was used of the limits was not written");
    }
    if let Err(error) = app.flush_token_uses().await {
        tracing::warn!(error = %error, "which tokens were used was not written");
    }
    if let Err(error) = app.flush_source_map_uses().await {
        tracing::warn!(error = %error, "uses of source maps were not written");
    }
    match app.promote_due().await {
        Ok(promoted) if !promoted.is_empty() => {
            tracing::info!(count = promoted.len(), "held tickets were promoted")
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(error = %error, "held tickets were not promoted"),
    }
    match app.throttle_history(&Actor::System).await {
        Ok(records) if written.as_ref() != Some(&records) => {
            let document = serde_json::json!({ "version": 1, "written_at": app.now(), "decisions": records });
            let text = format!("{document:#}\n");
            match crate::files::replace(history, text.as_bytes()) {
                Ok(()) => *written = Some(records),
                Err(error) => tracing::warn!(error = %error, "the throttle's history was not written"),
            }
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(error = %error, "the throttle's history was not read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_does_not_wait_for_work_that_takes_long() {
        let (stop, mut told) = watch::channel(false);
        assert!(finished(async {}, &mut told).await);
        stop.send(true).unwrap();
        assert!(!finished(std::future::pending(), &mut told).await);
    }
}
