//! Work that nobody asks for: counters, promotion, the throttle's history, monitors, retention.

use crate::home::Home;
use crate::lifecycle::Live;
use crate::wire::Wired;
use actifix_app::App;
use actifix_app::ports::ThrottleRecord;
use actifix_domain::access::Actor;
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
/// Retention.
const RETENTION: Duration = Duration::from_secs(3_600);

/// Tokens that end soon.
const TOKENS: Duration = Duration::from_secs(600);
/// Certificates that were renewed.
const CERTIFICATES: Duration = Duration::from_secs(3_600);

/// Starts all workers; they end when `stop` turns true.
pub fn start(
    tasks: &mut JoinSet<()>,
    home: &Home,
    wired: &Wired,
    live: &Arc<Live>,
    stop: watch::Receiver<bool>,
) {
    let app = &wired.app;
    let live = Arc::clone(live);
    tasks.spawn(every(CERTIFICATES, stop.clone(), Arc::clone(app), move |app| {
        let live = Arc::clone(&live);
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
    crate::process::started_at(app.now().seconds());
    crate::process::observe();
    tasks.spawn(every(FIGURES, stop.clone(), Arc::clone(app), |_| async { crate::process::observe() }));
    tasks.spawn(every(RETENTION, stop, Arc::clone(app), |app| async move {
        match app.run_retention(&Actor::System, false).await {
            Ok(report) => {
                metrics::gauge!("actifix_retention_last_success_timestamp_seconds")
                    .set(app.now().seconds() as f64);
                tracing::info!(events = report.events, tickets = report.tickets, "retention ran");
            }
            Err(error) => tracing::error!(error = %error, "retention failed"),
        }
    }));
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
        work(Arc::clone(&app)).await;
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
