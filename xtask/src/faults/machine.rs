//! What a machine does: its clock jumps, its memory ends, it stands still.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::Field;
use super::load::{self, Ledger, Plan};
use super::node::{Home, Node, Setting};
use super::report::NOT_POSSIBLE;

/// API requests of a minute in the scenario about clocks.
const PER_MINUTE: u64 = 40;
/// Memory of the narrow and of the usual group, bytes (`security.md`: OOM).
const NARROW: u64 = 128 << 20;
const USUAL: u64 = 256 << 20;

/// The wall clock jumps under a running server.
pub fn clock(field: &Field) -> Result<String> {
    let Some(library) = faketime() else {
        bail!("libfaketime is not where Debian puts it");
    };
    let home = field.home("clock")?;
    let hand = field.folder.join("clock.txt");
    let set = |text: &str| fs::write(&hand, format!("{text}\n")).context("cannot set the clock");
    set("+0")?;
    let setting = Setting::default()
        .with("LD_PRELOAD", library.display().to_string())
        .with("FAKETIME_TIMESTAMP_FILE", hand.display().to_string())
        .with("FAKETIME_NO_CACHE", "1")
        .with("DONT_FAKE_MONOTONIC", "1")
        .with("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let node = Node::start(&home, &setting)?;
    let ledger = Mutex::new(Ledger::default());
    let mut serial = 0u64;
    let mut events = || -> Result<()> {
        let mut client = node.client()?;
        for _ in 0..5 {
            serial += 1;
            let status = load::send(&mut client, &home.key, &format!("{serial:032x}"), 200, &ledger);
            if status != Some(200) {
                bail!("an event was answered with {status:?}");
            }
        }
        Ok(())
    };
    let year = || -> Result<String> {
        let tickets = node.get("/api/v1/tickets?project=1&limit=200")?;
        let seen = tickets.get("items").and_then(Value::as_array).into_iter().flatten();
        let latest = seen.filter_map(|ticket| ticket.get("last_seen")?.as_str()).max();
        Ok(latest.unwrap_or_default().chars().take(4).collect())
    };
    events()?;
    let now = year()?;
    let made_later = at_later_time(&node, &set)?;
    for jump in ["+2h", "-2h", "+1h", "+0"] {
        set(jump)?;
        events().with_context(|| format!("at {jump}"))?;
        if node.call("GET", "/api/v1/tickets?limit=1", None)?.status != 200 {
            bail!("at {jump} a valid token opens nothing");
        }
    }
    let refused = with_token(&node, &made_later)?;
    if refused != 401 {
        bail!("a token of two hours later is answered with {refused}");
    }
    for jump in ["+10y", "+13y"] {
        set(jump)?;
        events().with_context(|| format!("at {jump}"))?;
        if node.call("GET", "/api/v1/tickets?limit=1", None)?.status != 401 {
            bail!("at {jump} a token of 90 days is valid");
        }
    }
    set("+0")?;
    let last = year()?;
    if last <= now {
        bail!("the clock did not move: {now}, {last}");
    }
    load::compare(&node, &ledger)?;
    node.stop(Duration::from_secs(30))?;
    let limited = limits_hold(&home, setting, &set)?;
    let node = home.serve()?;
    load::compare(&node, &ledger)?;
    Ok(format!(
        "two hours on and back, ten years on, past 2038 (year {last}) and back: every event taken once; tokens end by the \
         wall clock, one of two hours later is refused; {limited}; {}",
        load::told(&ledger)
    ))
}

/// A short-lived token, made two hours later than now.
fn at_later_time(node: &Node, set: &impl Fn(&str) -> Result<()>) -> Result<String> {
    set("+2h")?;
    let made = node.post("/api/v1/auth/token", &json!({}))?;
    set("+0")?;
    let token = made.get("access_token").or_else(|| made.get("token")).and_then(Value::as_str);
    Ok(token.with_context(|| format!("no token in {made}"))?.to_owned())
}

fn with_token(node: &Node, token: &str) -> Result<u16> {
    let lines = format!("Authorization: Bearer {token}\r\n");
    Ok(node.client()?.ask("GET", "/api/v1/tickets?limit=1", &lines, b"")?.status)
}

/// A limit per minute counts by a clock that does not jump.
fn limits_hold(home: &Home, setting: Setting, set: &impl Fn(&str) -> Result<()>) -> Result<String> {
    let setting = setting
        .with("ACTIFIX_RATE_LIMIT_DISABLED", "")
        .with("ACTIFIX_LIMITS__API_PER_MINUTE", PER_MINUTE.to_string());
    let node = Node::start(home, &setting)?;
    let began = Instant::now();
    let ask = || Ok::<u16, anyhow::Error>(node.call("GET", "/api/v1/tickets?limit=1", None)?.status);
    let mut allowed = 0;
    while ask()? == 200 {
        allowed += 1;
        if allowed > 2 * PER_MINUTE {
            bail!("{allowed} requests of {PER_MINUTE} were allowed");
        }
    }
    for jump in ["+2h", "-2h", "+0"] {
        set(jump)?;
        let mut more = 0;
        while ask()? == 200 {
            more += 1;
        }
        // What came back meanwhile, by a clock that goes on evenly.
        let due = 2 + PER_MINUTE * began.elapsed().as_secs() / 60;
        if more > due {
            bail!("after a jump to {jump} {more} more requests were allowed, {due} were due");
        }
    }
    set("+0")?;
    node.stop(Duration::from_secs(30))?;
    Ok("limits go by a clock that does not jump".to_owned())
}

fn faketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?;
    let mut places: Vec<PathBuf> =
        folders.flatten().map(|entry| entry.path().join("faketime/libfaketimeMT.so.1")).collect();
    places.push("/usr/lib/faketime/libfaketimeMT.so.1".into());
    places.into_iter().find(|place| place.exists())
}

/// Memory ends under load. A kill by the kernel is a kill; what was acknowledged stays.
pub fn memory(field: &Field) -> Result<String> {
    let mut told = Vec::new();
    for limit in [USUAL, NARROW] {
        let Some(group) = Group::make(limit) else {
            return Ok(format!("{NOT_POSSIBLE}: memory cgroups cannot be made here"));
        };
        let home = field.home("memory")?;
        let script = format!("echo $$ > {}; shift; exec \"$@\"", group.processes().display());
        let node = Node::start(&home, &Setting::script(&script, &home, &[]))?;
        let ledger = Mutex::new(Ledger::default());
        let plan = Plan {
            clients: 64,
            each: if field.quick { 3 } else { 12 },
            noise_bytes: 300_000,
            ..Plan::default()
        };
        load::run(&node, plan, &ledger, &false.into(), &0.into());
        let (alive, peak) = match node.status("VmHWM:") {
            Ok(kib) => (true, kib << 10),
            Err(_) => (false, limit),
        };
        let killed = !alive || node.client().is_err();
        if killed && limit == USUAL {
            bail!("{} MiB do not carry the greatest load: it was killed", limit >> 20);
        }
        if peak > limit {
            bail!("it took {} MiB of {} MiB", peak >> 20, limit >> 20);
        }
        node.kill()?;
        let node = Node::start(&home, &Setting::script(&script, &home, &[]))?;
        load::compare(&node, &ledger)?;
        told.push(format!(
            "{} MiB: {}, {}",
            limit >> 20,
            if killed { "killed by the kernel".to_owned() } else { format!("peak {} MiB", peak >> 20) },
            load::told(&ledger)
        ));
        node.kill()?;
        drop(group);
    }
    Ok(told.join("; "))
}

/// A cgroup with a bound of its memory, removed at the end.
struct Group(PathBuf);

impl Group {
    fn make(limit: u64) -> Option<Self> {
        let name = format!("actifix-faults-{}-{limit}", std::process::id());
        for (root, file) in
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]
        {
            let folder = Path::new(root).join(&name);
            if fs::create_dir(&folder).is_ok() {
                let group = Self(folder);
                if fs::write(group.0.join(file), limit.to_string()).is_ok() {
                    return Some(group);
                }
            }
        }
        None
    }

    fn processes(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The kernel lets go of the last process a moment after its end.
        for _ in 0..200 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The machine stands still for a while, as a virtual one that is moved does.
pub fn pause(field: &Field) -> Result<String> {
    let home = field.home("pause")?;
    let node = home.serve()?;
    let ledger = Mutex::new(Ledger::default());
    let made = node.post("/api/v1/events", &json!({ "message": "leased", "type": "Leased" }))?;
    let ticket = made.get("ticket_id").and_then(Value::as_str).context("no ticket")?.to_owned();
    let path = |verb: &str| format!("/api/v1/tickets/{ticket}/{verb}");
    let claimed = node.post(&path("claim"), &json!({ "minutes": 1 }))?;
    let stands = Duration::from_secs(if field.quick { 3 } else { 75 });
    let plan = Plan { clients: 6, ..Plan::default() };
    load::beside(&node, plan, &ledger, |acknowledged| {
        let taken = |more: u64| move || Ok(acknowledged.load(Ordering::Relaxed) >= more);
        load::until("events are taken", taken(50))?;
        node.signal("STOP")?;
        std::thread::sleep(stands);
        node.signal("CONT")?;
        let before = acknowledged.load(Ordering::Relaxed);
        load::until("events are taken again", taken(before + 50))
    })?;
    let mut told = String::new();
    if !field.quick {
        let find = |name: &str| {
            claimed.get(name).or_else(|| claimed.get("lease")?.get(name)).cloned().unwrap_or(Value::Null)
        };
        let stale = json!({ "lease_id": find("lease_id"), "fence": find("fence"), "minutes": 5 });
        let late = node.call("POST", &path("renew"), Some(&stale))?;
        if (200..300).contains(&late.status) {
            bail!("a lease that ended during the pause was prolonged: {}", late.text());
        }
        let again = node.post(&path("claim"), &json!({ "minutes": 1 }))?;
        let fence = again.get("fence").or_else(|| again.get("lease")?.get("fence")).and_then(Value::as_u64);
        if fence <= find("fence").as_u64() {
            bail!("the fencing number did not rise: {claimed}, {again}");
        }
        told = format!(
            "a lease of a minute ended, its holder is refused with {}, the next has a higher fence; ",
            late.status
        );
    }
    // The ticket of the lease is no event of the clients.
    load::lock(&ledger).sent.extend(load::stored(&node)?.into_keys());
    load::compare(&node, &ledger)?;
    Ok(format!("stood still for {} s: {told}{}", stands.as_secs(), load::told(&ledger)))
}
