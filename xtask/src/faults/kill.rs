//! Ends of the process: at random moments, before every call that makes something durable, by a supervisor.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Field;
use super::load::{self, BegunEvent, Ledger, Plan, Random};
use super::node::{Home, Node, Setting};
use crate::process;

/// A server that was killed is there again within this time (`security.md`: kill -9).
const RESTART_MAX: Duration = Duration::from_secs(2);
/// A stop takes no longer (`security.md`: SIGTERM).
const STOP_MAX: Duration = Duration::from_secs(10);
/// Calls before which a sweep kills, at most.
const SWEEP_MAX: u32 = 400;
/// Events of one step of a sweep over ingest.
const SWEEP_EVENTS: u64 = 24;

/// kill -9 after a random time under load, again and again.
pub fn random(field: &Field) -> Result<String> {
    let home = field.home("kill-random")?;
    let ledger = Mutex::new(Ledger::default());
    let mut random = Random::seeded(0xacce_97ed);
    let (rounds, every) = if field.quick { (8, 8) } else { (200, 40) };
    let mut slowest = Duration::ZERO;
    let mut node = home.serve()?;
    for round in 0..rounds {
        let plan = Plan { each: 40, seed: random.next(), ..Plan::default() };
        load::beside(&node, plan, &ledger, |_| {
            std::thread::sleep(Duration::from_millis(random.below(250)));
            node.signal("KILL")
        })?;
        node.kill()?;
        node = home.serve()?;
        slowest = slowest.max(node.started_in);
        if node.started_in > RESTART_MAX.mul_f64(crowd()) {
            bail!("round {round}: the start took {:.1} s", node.started_in.as_secs_f64());
        }
        if round % every == every - 1 {
            load::compare(&node, &ledger).with_context(|| format!("after {} kills", round + 1))?;
        }
    }
    load::send_again(&node, &ledger)?;
    load::compare(&node, &ledger)?;
    Ok(format!(
        "{rounds} kills: {}; slowest start {} ms, at {:.1} processes a core",
        load::told(&ledger),
        slowest.as_millis(),
        crowd()
    ))
}

/// How many times more processes want to run here than can: on a machine that others use all takes longer.
fn crowd() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(1.0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (load / cores as f64).max(1.0)
}

/// Killed at the entry of the Nth call, for every N that a short load reaches.
pub fn every_sync(field: &Field) -> Result<String> {
    let seed = field.home("kill-sync-seed")?;
    let mut told = Vec::new();
    for (call, step) in [
        ("fsync,fdatasync", if field.quick { 7 } else { 1 }),
        ("pwrite64", if field.quick { 60 } else { 13 }),
    ] {
        let (mut place, mut kills) = (1, 0);
        loop {
            let home = seed.copy(&field.folder.join("kill-sync"))?;
            let ledger = Mutex::new(Ledger::default());
            if !under_load(field, &home, call, place, &ledger)? {
                break;
            }
            kills += 1;
            let node = home.serve().with_context(|| format!("after a kill at {call} {place}"))?;
            load::compare(&node, &ledger).with_context(|| format!("killed at {call} {place}"))?;
            load::send_again(&node, &ledger)?;
            load::compare(&node, &ledger)?;
            place += step;
            if place > SWEEP_MAX {
                break;
            }
        }
        if kills == 0 {
            bail!("no {call} was reached");
        }
        told.push(format!("{kills} kills at {call} 1 to {place}"));
    }
    Ok(format!("{}; nothing acknowledged was lost", told.join(", ")))
}

/// Whether the server was killed before the load was through.
fn under_load(field: &Field, home: &Home, call: &str, place: u32, ledger: &Mutex<Ledger>) -> Result<bool> {
    let inject = format!("inject={call}:signal=KILL:when={place}");
    let trace = format!("trace={call}");
    let setting = Setting::traced(&["-e", &trace, "-e", &inject], &field.folder.join("kill-sync.trace"));
    let mut node = match Node::try_start(home, &setting)? {
        Ok(node) => node,
        Err(refused) if refused.status.code().is_none() => return Ok(true),
        Err(refused) => bail!("it ended by itself: {}", refused.printed),
    };
    let plan = Plan { clients: 1, each: SWEEP_EVENTS, seed: u64::from(place), ..Plan::default() };
    load::run(&node, plan, ledger, &false.into(), &0.into());
    if load::lock(ledger).acknowledged.len() as u64 == SWEEP_EVENTS {
        return Ok(false);
    }
    let status = node.wait(STOP_MAX)?.context("events failed, and the server lives")?;
    match status.code() {
        None => Ok(true),
        Some(code) => bail!("it ended by itself with {code}: {}", node.printed()),
    }
}

/// Killed anywhere in its very first start: migrations, keys, marks. The next start makes it whole.
pub fn first_start(field: &Field) -> Result<String> {
    let mut told = Vec::new();
    let step = if field.quick { 9 } else { 1 };
    for call in ["fsync,fdatasync", "rename", "unlink,unlinkat", "mkdir"] {
        let (mut place, mut kills) = (1, 0);
        while place <= SWEEP_MAX {
            let path = field.fresh("first-start")?;
            let home = Home::bare(&field.binary, &path, "")?;
            let inject = format!("inject={call}:signal=KILL:when={place}");
            let trace = format!("trace={call}");
            let output = field.folder.join("first-start.trace");
            match Node::try_start(&home, &Setting::traced(&["-e", &trace, "-e", &inject], &output))? {
                Ok(node) => {
                    drop(node);
                    break;
                }
                Err(refused) if refused.status.code().is_none() => {}
                Err(refused) => bail!("{call} {place}: it ended by itself: {}", refused.printed),
            }
            kills += 1;
            works_after_all(home)
                .with_context(|| format!("after a kill at {call} {place} of the first start"))?;
            place += step;
        }
        told.push(format!("{kills} at {call}"));
    }
    Ok(format!("kills {}; each time the next start finished it", told.join(", ")))
}

fn works_after_all(mut home: Home) -> Result<()> {
    let node = home.serve()?;
    drop(node);
    home.settle()?;
    let node = home.serve()?;
    let ledger = Mutex::new(Ledger::default());
    load::run(&node, Plan { clients: 1, each: 2, ..Plan::default() }, &ledger, &false.into(), &0.into());
    if load::lock(&ledger).acknowledged.len() != 2 {
        bail!("events are not taken");
    }
    let found = node.post("/api/v1/integrity/check", &serde_json::json!({}))?;
    if found.get("intact") != Some(&Value::Bool(true)) {
        bail!("not intact: {found}");
    }
    Ok(())
}

/// Killed anywhere while a backup is made: those that were there stay, a half one is none.
pub fn backup(field: &Field) -> Result<String> {
    let seed = field.home("kill-backup-seed")?;
    let key = field.folder.join("kill-backup.key");
    let _former = fs::remove_file(&key);
    let mut keygen = seed.command();
    let recipient = process::output(keygen.args(["backup", "keygen", "--out"]).arg(&key))?.trim().to_owned();
    process::output(seed.command().args(["record", "before"]))?;
    process::output(seed.command().args(["backup", "create", "--recipient", &recipient]))?;
    let mut told = Vec::new();
    for (call, step) in
        [("fsync,fdatasync", 1), ("renameat2", 1), ("write", if field.quick { 40 } else { 11 })]
    {
        let (mut place, mut kills) = (1, 0);
        while place <= SWEEP_MAX {
            let home = seed.copy(&field.folder.join("kill-backup"))?;
            if !backup_killed(field, &home, &recipient, call, place)? {
                break;
            }
            kills += 1;
            all_whole(&home, &key).with_context(|| format!("after a kill at {call} {place} of a backup"))?;
            place += step;
        }
        told.push(format!("{kills} at {call}"));
    }
    Ok(format!("kills {}; every backup that is listed restores", told.join(", ")))
}

fn backup_killed(field: &Field, home: &Home, recipient: &str, call: &str, place: u32) -> Result<bool> {
    let mut command = std::process::Command::new("strace");
    command.args(["-D", "-f", "-qq", "-o"]).arg(field.folder.join("kill-backup.trace"));
    command.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:signal=KILL:when={place}")]);
    command.arg(&home.binary).arg("--home").arg(&home.path);
    command.args(["backup", "create", "--recipient", recipient]).env("NO_COLOR", "1");
    let output = command.stdin(std::process::Stdio::null()).output().context("cannot start strace")?;
    match output.status.code() {
        Some(0) => Ok(false),
        None => Ok(true),
        Some(code) => bail!("it ended with {code}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn all_whole(home: &Home, key: &Path) -> Result<()> {
    let list = home.cli_json(&["backup", "list"])?;
    let items = list.get("items").and_then(Value::as_array).context("no items")?.clone();
    if items.is_empty() {
        bail!("the backup of before is gone");
    }
    for item in &items {
        let name = item.get("name").and_then(Value::as_str).context("no name")?;
        let file = home.path.join(".actifix/backups").join(name);
        let mut verify = home.command();
        verify.args(["backup", "verify"]).arg(&file).arg("--identity").arg(key);
        process::output(&mut verify).with_context(|| format!("{name} does not restore"))?;
    }
    // What a kill left goes with the next server.
    let node = home.serve()?;
    let folder = home.path.join(".actifix/backups");
    load::until("remains of a backup go", || {
        Ok(fs::read_dir(&folder).context("no folder")?.flatten().all(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            !name.starts_with('.')
        }))
    })?;
    drop(node);
    Ok(())
}

/// Killed again and again while it starts, then left alone.
pub fn restarts(field: &Field) -> Result<String> {
    let home = field.home("restarts")?;
    let ledger = Mutex::new(Ledger::default());
    let node = home.serve()?;
    load::run(&node, Plan { each: 20, ..Plan::default() }, &ledger, &false.into(), &0.into());
    node.kill()?;
    let mut random = Random::seeded(0x10_0b);
    let rounds = if field.quick { 8 } else { 100 };
    for _ in 0..rounds {
        Node::start_and_kill(&home, Duration::from_millis(random.below(400)))?;
    }
    let node = home.serve()?;
    load::compare(&node, &ledger)?;
    Ok(format!("{rounds} starts killed within 400 ms; then {}", load::told(&ledger)))
}

/// SIGTERM under load: open requests are finished, nobody gets half an answer, what was acknowledged is there.
pub fn term(field: &Field) -> Result<String> {
    let home = field.home("term")?;
    let ledger = Mutex::new(Ledger::default());
    let rounds = if field.quick { 4 } else { 50 };
    let mut random = Random::seeded(0x7e_12);
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        let node = home.serve()?;
        let plan = Plan { each: 200, clients: 6, seed: random.next(), ..Plan::default() };
        let (status, took) = load::beside(&node, plan, &ledger, |acknowledged| {
            load::until("events are taken", || Ok(acknowledged.load(Ordering::Relaxed) > random.below(60)))?;
            stop_of(&node, BegunEvent::begin(&node, random.next(), &ledger)?, &ledger)
        })?;
        slowest = slowest.max(took);
        if status != Some(0) {
            bail!("round {round}: it ended with {status:?}: {}", node.printed());
        }
    }
    let node = home.serve()?;
    load::compare(&node, &ledger)?;
    let half = load::lock(&ledger).half;
    if half > 0 {
        bail!("{half} clients got half an answer");
    }
    Ok(format!(
        "{rounds} stops, slowest {} ms, what was begun was answered each time, no half answer; {}",
        slowest.as_millis(),
        load::told(&ledger)
    ))
}

/// Stops a server that others still talk to, one of whom has begun a request and goes on with it when nobody is let in any
/// more.
fn stop_of(node: &Node, begun: BegunEvent, ledger: &Mutex<Ledger>) -> Result<(Option<i32>, Duration)> {
    let began = std::time::Instant::now();
    node.signal("TERM")?;
    load::until("nobody is let in", || Ok(TcpStream::connect(node.address).is_err()))?;
    begun.finish(ledger)?;
    loop {
        // The process is a child that nobody waited for: it stays as a zombie, which has no address space.
        let state = fs::read_to_string(format!("/proc/{}/stat", node.pid())).unwrap_or_default();
        if state.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z')) {
            return Ok((exit_of(&state), began.elapsed()));
        }
        if began.elapsed() > STOP_MAX {
            bail!("it did not stop within {} s", STOP_MAX.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The exit code of a zombie: the last field of its line, as `wait` would give it.
fn exit_of(stat: &str) -> Option<i32> {
    let word: i32 = stat.split_whitespace().last()?.parse().ok()?;
    (word & 0x7f == 0).then_some(word >> 8 & 0xff)
}
