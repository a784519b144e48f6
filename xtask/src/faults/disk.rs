//! Disks that fail, are full, or cannot be written.

use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::Field;
use super::load::{self, Ledger, Plan};
use super::node::{Home, Node, Setting};
use crate::process;

/// What a program answers whose input or output failed (`sysexits.h`).
const EXIT_IO: i32 = 74;
/// A failed disk ends the process within this time.
const END_MAX: Duration = Duration::from_secs(30);
/// Room again is noticed within this time.
const RECOVERY_MAX: Duration = Duration::from_secs(20);
/// Password of the administrator of homes here.
const PASSWORD: &str = "violet tractor hums quietly";

/// The disk says that what it was given is not on it: from then on nothing is acknowledged, and the process ends.
pub fn sync_fails(field: &Field) -> Result<String> {
    let mut told = Vec::new();
    let cases: &[(&str, &str, u32)] = &[
        ("fsync,fdatasync", "EIO", 9),
        ("fsync,fdatasync", "EIO", 14),
        ("pwrite64", "EIO", 40),
        ("pwrite64", "EROFS", 60),
        ("fsync,fdatasync", "ENOSPC", 11),
    ];
    for (call, errno, place) in cases.iter().take(if field.quick { 2 } else { cases.len() }) {
        let home = field.home("sync-fails")?;
        let ledger = Mutex::new(Ledger::default());
        let inject = format!("inject={call}:error={errno}:when={place}+");
        let trace = format!("trace={call}");
        let setting = Setting::traced(&["-e", &trace, "-e", &inject], &field.folder.join("sync-fails.trace"));
        let mut node = Node::start(&home, &setting)?;
        let plan = Plan { clients: 3, each: 2_000, ..Plan::default() };
        load::run(&node, plan, &ledger, &false.into(), &0.into());
        let status = node.wait(END_MAX)?.with_context(|| format!("{call} {errno}: it goes on"))?;
        if status.code() != Some(EXIT_IO) {
            bail!("{call} {errno}: it ended with {status}: {}", node.printed());
        }
        let before = load::lock(&ledger).acknowledged.len();
        // What a supervisor does.
        let node = home.serve()?;
        load::compare(&node, &ledger).with_context(|| format!("{call} {errno}"))?;
        load::send_again(&node, &ledger)?;
        load::compare(&node, &ledger)?;
        told.push(format!("{call} {errno}: {before} acknowledged before it ended with {EXIT_IO}"));
    }
    Ok(format!("{}; all kept, the rest taken when sent again", told.join("; ")))
}

/// A home on a file system that cannot be written: a start says so and ends.
pub fn read_only(field: &Field) -> Result<String> {
    let home = field.home("read-only")?;
    let node = home.serve()?;
    let ledger = Mutex::new(Ledger::default());
    load::run(&node, Plan { each: 5, ..Plan::default() }, &ledger, &false.into(), &0.into());
    node.stop(END_MAX)?;
    let script = "home=$1; shift; mount --bind \"$home\" \"$home\" && mount -o remount,ro,bind \"$home\" && exec \"$@\"";
    let setting = Setting::script(script, &home, &["unshare", "-rm"]);
    let refused = match Node::try_start(&home, &setting)? {
        Ok(_) => bail!("it serves what it cannot write"),
        Err(refused) => refused,
    };
    let line = refused.printed.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
    if refused.status.code() != Some(EXIT_IO) || !line.contains("Read-only file system") {
        bail!("it ended with {}: {}", refused.status, refused.printed);
    }
    let node = home.serve()?;
    load::compare(&node, &ledger)?;
    Ok(format!("ended with {EXIT_IO}: {}", line.split(": ").skip(1).collect::<Vec<_>>().join(": ")))
}

/// A disk of 64 MiB that somebody else fills, and frees, again and again. Who fills it does not take the room of the reserve
/// too where the server gave it back meanwhile.
pub fn full(field: &Field) -> Result<String> {
    let home = field.home("full")?;
    let mut set = home.command();
    set.args(["admin", "set-password", "--stdin"]);
    with_input(set, PASSWORD)?;
    let orders = home.path.join("orders");
    process::run(Command::new("mkfifo").arg(&orders))?;
    let script = "home=$1; shift; cp -a \"$home/data\" \"$home/seed\"; \
        mount -t tmpfs -o size=64m,mode=0700 tmpfs \"$home/data\" && cp -a \"$home/seed/.\" \"$home/data/\" || exit 1; \
        (exec <>\"$home/orders\"; while read -r order; do case $order in \
          fill) head -c 100000000 /dev/zero > \"$home/data/ballast\" 2>/dev/null; \
            [ -e \"$home/data/reserve\" ] || truncate -s -16M \"$home/data/ballast\"; echo full > \"$home/done\";; \
          free) rm -f \"$home/data/ballast\"; echo free > \"$home/done\";; end) exit 0;; esac; done) >/dev/null 2>&1 & \
        exec \"$@\"";
    let node = Node::start(&home, &Setting::script(script, &home, &["unshare", "-rm"]))?;
    let result = rounds(field, &home, &node, &orders);
    let _ended = order(&home, &orders, "end", "");
    let told = result?;
    node.stop(END_MAX)?;
    Ok(told)
}

fn rounds(field: &Field, home: &Home, node: &Node, orders: &std::path::Path) -> Result<String> {
    let ledger = Mutex::new(Ledger::default());
    let rounds = if field.quick { 2 } else { 20 };
    let mut slowest = Duration::ZERO;
    let mut refused = 0u64;
    let mut serial = 0u64;
    let mut one = |ledger: &Mutex<Ledger>| -> Result<u16> {
        serial += 1;
        let mut client = node.client()?;
        load::send(&mut client, &home.key, &format!("{serial:032x}"), 400, ledger).context("no answer")
    };
    for round in 0..rounds {
        order(home, orders, "fill", "full")?;
        let began = Instant::now();
        while one(&ledger)? != 503 {
            if began.elapsed() > RECOVERY_MAX {
                bail!("round {round}: the disk is full, and events are taken");
            }
        }
        people_go_on(node).with_context(|| format!("round {round}, on a full disk"))?;
        if one(&ledger)? != 503 {
            bail!("round {round}: events are taken on a full disk");
        }
        order(home, orders, "free", "free")?;
        let began = Instant::now();
        while one(&ledger)? != 200 {
            if began.elapsed() > RECOVERY_MAX {
                bail!("round {round}: there is room, and events are refused");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        slowest = slowest.max(began.elapsed());
    }
    {
        let ledger = load::lock(&ledger);
        refused += ledger.refused.get(&503).copied().unwrap_or(0);
        let others: u64 =
            ledger.refused.iter().filter(|(status, _)| **status != 503).map(|(_, many)| many).sum();
        if others > 0 || ledger.without_retry_after > 0 {
            bail!(
                "answers: {:?}, {} of them without Retry-After",
                ledger.refused,
                ledger.without_retry_after
            );
        }
    }
    load::compare(node, &ledger)?;
    Ok(format!(
        "{rounds} times full: {refused} events refused with 503 and Retry-After, log-in, reading, deleting and retention \
         worked, taken again within {} ms; {}",
        slowest.as_millis(),
        load::told(&ledger)
    ))
}

/// What people do about a full disk.
fn people_go_on(node: &Node) -> Result<()> {
    let login = json!({ "username": "admin", "password": PASSWORD });
    let answer = node.client()?.ask(
        "POST",
        "/api/v1/auth/login",
        "Content-Type: application/json\r\n",
        login.to_string().as_bytes(),
    )?;
    if answer.status != 200 {
        bail!("log-in: {} {}", answer.status, answer.text());
    }
    let tickets = node.list("/api/v1/tickets?project=1")?;
    let id =
        tickets.first().and_then(|ticket| ticket.get("id")).and_then(|id| id.as_str()).unwrap_or_default();
    if !id.is_empty() {
        node.post(&format!("/api/v1/tickets/{id}/notes"), &json!({ "text": "the disk is full" }))?;
    }
    node.post("/api/v1/retention/run", &json!({}))?;
    Ok(())
}

fn order(home: &Home, orders: &std::path::Path, word: &str, done: &str) -> Result<()> {
    let answer = home.path.join("done");
    let _former = fs::remove_file(&answer);
    let mut pipe = fs::OpenOptions::new().write(true).read(true).open(orders).context("no pipe")?;
    writeln!(pipe, "{word}").context("cannot order")?;
    if done.is_empty() {
        return Ok(());
    }
    load::until("the disk is as ordered", || {
        Ok(fs::read_to_string(&answer).unwrap_or_default().trim() == done)
    })
}

/// Runs a command that reads its standard input.
pub(super) fn with_input(mut command: Command, input: &str) -> Result<()> {
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .context("cannot start a command")?;
    child.stdin.take().context("no pipe")?.write_all(input.as_bytes()).context("cannot write")?;
    let status = child.wait().context("cannot wait")?;
    if status.success() { Ok(()) } else { bail!("a command failed ({status})") }
}
