//! Other programs at the live database.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::Field;
use super::load::{self, Ledger, Plan};
use crate::process;

/// Takes the engine's own lock for writers in the shared memory of the log (SQLite, `walIndexWriteLock`), as another
/// engine would that our guard did not stop.
const HOLD_LOCK: &str = "import fcntl,sys\n\
    f=open(sys.argv[1],'r+b')\n\
    fcntl.lockf(f, fcntl.LOCK_EX, 1, 120)\n\
    print('held', flush=True)\n\
    sys.stdin.read()\n";

/// What a careless person runs.
const EXCLUSIVE: &str = "import sqlite3,sys\n\
    d=sqlite3.connect(sys.argv[1], timeout=1, isolation_level=None)\n\
    d.execute('BEGIN EXCLUSIVE')\n\
    d.execute('DELETE FROM events')\n\
    d.execute('COMMIT')\n";

/// Another process holds the lock for writers for some seconds.
pub fn locked(field: &Field) -> Result<String> {
    let home = field.home("locked")?;
    let node = home.serve()?;
    let ledger = Mutex::new(Ledger::default());
    let held_for = Duration::from_secs(if field.quick { 8 } else { 60 });
    let plan = Plan { clients: 8, pause: Duration::from_millis(20), ..Plan::default() };
    load::beside(&node, plan, &ledger, |acknowledged| {
        let taken = |more: u64| move || Ok(acknowledged.load(Ordering::Relaxed) >= more);
        load::until("events are taken", taken(50))?;
        exclusive_is_refused(&home.database())?;
        let mut holder = hold(&home.path.join("data/actifix.db-shm"))?;
        let began = Instant::now();
        // People are told the same as SDKs: to come again, not that something is broken.
        let made = node.call("POST", "/api/v1/projects", Some(&json!({ "name": "while-locked" })))?;
        if made.status != 503 || made.header("retry-after").is_none() {
            bail!("a change by the API was answered with {} {}", made.status, made.text());
        }
        std::thread::sleep(held_for.saturating_sub(began.elapsed()));
        let health = node.client()?.ask("GET", "/healthz", "", b"")?.status;
        let ready = node.client()?.ask("GET", "/readyz", "", b"")?.status;
        let read = node.call("GET", "/api/v1/tickets?limit=1", None)?.status;
        drop(holder.stdin.take());
        holder.wait().context("cannot wait")?;
        if (health, read) != (200, 200) || ready == 200 {
            bail!("while it was locked: health {health}, ready {ready}, reading {read}");
        }
        let before = acknowledged.load(Ordering::Relaxed);
        load::until("events are taken again", taken(before + 50))
    })?;
    let busy = node.metric("actifix_db_busy_total")?;
    load::compare(&node, &ledger)?;
    let ledger_now = load::lock(&ledger);
    let refused = ledger_now.refused.clone();
    if refused.keys().any(|status| *status != 503) || ledger_now.without_retry_after > 0 || busy < 1.0 {
        bail!(
            "answers {refused:?}, {} without Retry-After, {busy} times busy",
            ledger_now.without_retry_after
        );
    }
    let many = refused.get(&503).copied().unwrap_or(0);
    if many == 0 {
        bail!("nothing was refused: was the lock held?");
    }
    drop(ledger_now);
    Ok(format!(
        "BEGIN EXCLUSIVE of Python is refused; with the writers' lock held for {} s: {many} refused with 503, and a change of \
         the API too, reading went on, not ready, then taken again; {}",
        held_for.as_secs(),
        load::told(&ledger)
    ))
}

fn hold(shared: &Path) -> Result<Child> {
    let mut child = Command::new("python3")
        .args(["-c", HOLD_LOCK])
        .arg(shared)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start python3")?;
    let mut line = String::new();
    let pipe = child.stdout.take().context("no pipe")?;
    BufReader::new(pipe).read_line(&mut line).context("cannot read")?;
    if line.trim() == "held" { Ok(child) } else { bail!("the lock was not taken: {line}") }
}

fn exclusive_is_refused(database: &Path) -> Result<()> {
    let mut python = Command::new("python3");
    python.args(["-c", EXCLUSIVE]).arg(database);
    match process::output(&mut python) {
        Ok(_) => bail!("Python deleted events of the live database"),
        Err(error) if format!("{error:#}").contains("database is locked") => Ok(()),
        Err(error) => Err(error.context("Python failed in another way")),
    }
}

/// The distribution's own `sqlite3`, older than what is safe beside ours, writes and folds the log.
pub fn foreign(field: &Field) -> Result<String> {
    let home = field.home("foreign")?;
    let node = home.serve()?;
    let ledger = Mutex::new(Ledger::default());
    let version = process::output(Command::new("sqlite3").arg("-version"))?;
    let version = version.split_whitespace().next().unwrap_or_default().to_owned();
    let rounds = if field.quick { 3 } else { 30 };
    load::beside(&node, Plan { clients: 3, ..Plan::default() }, &ledger, |acknowledged| {
        load::until("events are taken", || Ok(acknowledged.load(Ordering::Relaxed) > 50))?;
        for _ in 0..rounds {
            for sql in [
                "DELETE FROM events;",
                "PRAGMA wal_checkpoint(TRUNCATE);",
                "SELECT count(*) FROM events;",
                "PRAGMA journal_mode=DELETE;",
                "VACUUM;",
            ] {
                let mut shell = Command::new("sqlite3");
                shell.args(["-bail", "-batch"]).arg(home.database()).arg(sql);
                match process::output(&mut shell) {
                    // It asks for a mode that it does not get, and says which one stays.
                    Ok(said) if sql.contains("journal_mode") && said.trim() != "delete" => {}
                    Ok(said) => bail!("sqlite3 {version} was let in: {sql} {said}"),
                    Err(error) if format!("{error:#}").contains("locked") => {}
                    Err(error) => return Err(error.context("sqlite3 failed in another way")),
                }
            }
        }
        Ok(())
    })?;
    load::compare(&node, &ledger)?;
    node.kill()?;
    let node = home.serve()?;
    load::compare(&node, &ledger)?;
    Ok(format!("sqlite3 {version}: every read and write refused ({rounds} rounds); {}", load::told(&ledger)))
}
