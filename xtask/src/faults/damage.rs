//! Bytes that flip, files that go missing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::Field;
use super::load::{self, Ledger, Plan, Random};
use super::node::{Home, Node, Setting};
use crate::process;

/// Bytes of the header of a log, and before each of its pages.
const LOG_HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// What a refused configuration or a lost file ends with.
const EXIT_CONFIG: i32 = 78;

/// Where a byte flips.
#[derive(Debug, Clone)]
struct Flip {
    file: &'static str,
    kind: String,
    /// Places of this kind: start and length.
    places: Vec<(usize, usize)>,
}

/// What became of a flip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    /// The start was refused.
    Refused,
    /// It was found by the look for damage, or where it was read.
    Found,
    /// Nothing that is shown changed.
    Harmless,
}

/// One byte flips in each kind of page, in the log and in the shared memory; what is served is what was written.
pub fn flips(field: &Field) -> Result<String> {
    let (clean, killed) = templates(field)?;
    let of = |home: &Home| -> Result<Vec<String>> {
        shown(&home.copy(&field.folder.join("flip"))?.serve()?)?.context("the template is damaged")
    };
    let baselines = [of(&clean)?, of(&killed)?];
    let mut kinds = pages(&clean)?;
    kinds.extend(frames(&killed)?);
    let each = if field.quick { 1 } else { 30 };
    let mut random = Random::seeded(0xf11b);
    let mut counts: BTreeMap<(String, Seen), u64> = BTreeMap::new();
    for flip in &kinds {
        let (template, baseline) = match (flip.file, &baselines) {
            ("actifix.db", [baseline, _]) => (&clean, baseline),
            (_, [_, baseline]) => (&killed, baseline),
        };
        for _ in 0..each {
            let home = template.copy(&field.folder.join("flip"))?;
            let path = home.path.join("data").join(flip.file);
            let mut bytes = fs::read(&path).context("cannot read")?;
            let (start, length) = flip
                .places
                .get(random.below(flip.places.len() as u64) as usize)
                .copied()
                .context("no place")?;
            let place = start + random.below(length as u64) as usize;
            let bit = 1u8 << random.below(8);
            *bytes.get_mut(place).context("behind the end")? ^= bit;
            fs::write(&path, &bytes).context("cannot write")?;
            let seen = judge(&home, baseline).with_context(|| {
                format!("bit {bit:#04x} of byte {place} of {} ({})", flip.file, flip.kind)
            })?;
            *counts.entry((flip.kind.clone(), seen)).or_default() += 1;
        }
    }
    let total: u64 = counts.values().sum();
    let of = |wanted: Seen| {
        counts.iter().filter(|((_, seen), _)| *seen == wanted).map(|(_, many)| many).sum::<u64>()
    };
    let names: Vec<&str> = kinds.iter().map(|flip| flip.kind.as_str()).collect();
    Ok(format!(
        "{total} flips in {}: {} starts refused, {} found, {} changed nothing that is shown; none served as data",
        names.join(", "),
        of(Seen::Refused),
        of(Seen::Found),
        of(Seen::Harmless)
    ))
}

/// Starts on the damaged files and compares what is shown.
fn judge(home: &Home, baseline: &[String]) -> Result<Seen> {
    let node = match Node::try_start(home, &Setting::default())? {
        Ok(node) => node,
        Err(refused) if refused.status.code().is_some_and(|code| code == 74 || code == EXIT_CONFIG) => {
            if !refused.printed.contains("error: ") || refused.printed.contains("panicked") {
                bail!("a start without a word: {}", refused.printed);
            }
            return Ok(Seen::Refused);
        }
        Err(refused) => bail!("the start ended with {}: {}", refused.status, refused.printed),
    };
    let Some(now) = shown(&node)? else { return Ok(Seen::Found) };
    let report = node.call("POST", "/api/v1/integrity/check", Some(&json!({})))?;
    let intact = report.status == 200 && report.json()?.get("intact") == Some(&Value::Bool(true));
    if now == baseline {
        return Ok(if intact { Seen::Harmless } else { Seen::Found });
    }
    // A list leaves out what is damaged, and the look for damage names it.
    if !intact && now.iter().all(|item| baseline.contains(item)) {
        return Ok(Seen::Found);
    }
    bail!("what is shown changed, and {}", if intact { "nobody noticed" } else { "it was served as data" })
}

/// All tickets and events as a reader gets them; none where a read was refused as damaged.
fn shown(node: &Node) -> Result<Option<Vec<String>>> {
    let mut all = Vec::new();
    let Some(tickets) = whole_list(node, "/api/v1/tickets?project=1")? else { return Ok(None) };
    for ticket in tickets {
        let id = ticket.get("id").and_then(Value::as_str).context("no id")?.to_owned();
        all.push(ticket.to_string());
        let Some(events) = whole_list(node, &format!("/api/v1/tickets/{id}/events"))? else {
            return Ok(None);
        };
        for event in events {
            let id = event.get("event_id").and_then(Value::as_str).context("no id")?;
            let answer = node.call("GET", &format!("/api/v1/events/{id}"), None)?;
            if answer.status >= 500 {
                return Ok(None);
            }
            all.push(format!("{event} {} {}", answer.status, answer.text()));
        }
    }
    // Each start listens elsewhere, which links say.
    let here = node.address.to_string();
    let mut all: Vec<String> = all.into_iter().map(|text| text.replace(&here, "here")).collect();
    all.sort();
    Ok(Some(all))
}

fn whole_list(node: &Node, path: &str) -> Result<Option<Vec<Value>>> {
    let answer =
        node.call("GET", &format!("{path}{}limit=200", if path.contains('?') { '&' } else { '?' }), None)?;
    // A token whose row is damaged opens nothing.
    if answer.status >= 500 || answer.status == 401 {
        return Ok(None);
    }
    Ok(answer.json()?.get("items").and_then(Value::as_array).cloned())
}

/// A home that stopped in an orderly way, and one with the same events whose server was killed.
fn templates(field: &Field) -> Result<(Home, Home)> {
    let home = field.home("flip-template")?;
    let node = home.serve()?;
    let ledger = Mutex::new(Ledger::default());
    let plan = Plan { clients: 1, each: 60, noise_bytes: 9_000, ..Plan::default() };
    load::run(&node, plan, &ledger, &false.into(), &0.into());
    node.signal("STOP")?;
    let killed = home.copy(&field.folder.join("flip-killed"))?;
    node.signal("CONT")?;
    node.stop(Duration::from_secs(30))?;
    Ok((home, killed))
}

/// Places by the type of their page (SQLite file format, section 1.6).
fn pages(home: &Home) -> Result<Vec<Flip>> {
    let bytes = fs::read(home.database()).context("cannot read the database")?;
    let size = page_bytes(&bytes);
    let mut kinds: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
    kinds.insert("header", vec![(0, 100)]);
    for (number, page) in bytes.chunks_exact(size).enumerate() {
        let first = page.get(if number == 0 { 100 } else { 0 }).copied().unwrap_or(0);
        let kind = match first {
            2 => "index interior",
            5 => "table interior",
            10 => "index leaf",
            13 => "table leaf",
            _ => "overflow or free",
        };
        let start = number * size + if number == 0 { 100 } else { 0 };
        kinds.entry(kind).or_default().push((start, size - if number == 0 { 100 } else { 0 }));
    }
    Ok(kinds
        .into_iter()
        .map(|(kind, places)| Flip { file: "actifix.db", kind: kind.to_owned(), places })
        .collect())
}

fn page_bytes(database: &[u8]) -> usize {
    match database.get(16..18).and_then(|two| two.try_into().ok()).map(u16::from_be_bytes) {
        Some(1) => 65_536,
        Some(size) if size >= 512 => usize::from(size),
        _ => 4_096,
    }
}

/// Places in the log and in the shared memory. The last transaction is left out: a power failure may tear it in the same
/// way, and nobody can tell.
fn frames(home: &Home) -> Result<Vec<Flip>> {
    let log = fs::read(home.log()).context("cannot read the log")?;
    let size =
        log.get(8..12).and_then(|four| four.try_into().ok()).map(u32::from_be_bytes).context("no log")?
            as usize;
    let frame = FRAME_HEADER_BYTES + size;
    let (mut starts, mut commits) = (Vec::new(), Vec::new());
    let salts = log.get(16..24).context("no salts")?;
    let mut at = LOG_HEADER_BYTES;
    while log.get(at + 8..at + 16) == Some(salts) && at + frame <= log.len() {
        if log.get(at + 4..at + 8) != Some(&[0; 4]) {
            commits.push(at);
        }
        starts.push(at);
        at += frame;
    }
    // Two transactions: the last commit frame, and what a single frame behind it would have to prove.
    let end = commits.iter().rev().nth(2).copied().context("the log holds too few transactions")?;
    let early: Vec<usize> = starts.into_iter().filter(|start| *start < end).collect();
    let shared = fs::metadata(home.path.join("data/actifix.db-shm")).map_or(0, |found| found.len() as usize);
    let mut flips = vec![
        Flip { file: "actifix.db-wal", kind: "log header".to_owned(), places: vec![(0, LOG_HEADER_BYTES)] },
        Flip {
            file: "actifix.db-wal",
            kind: "frame header".to_owned(),
            places: early.iter().map(|start| (*start, FRAME_HEADER_BYTES)).collect(),
        },
        Flip {
            file: "actifix.db-wal",
            kind: "frame".to_owned(),
            places: early.iter().map(|start| (start + FRAME_HEADER_BYTES, size)).collect(),
        },
    ];
    if shared > 0 {
        flips.push(Flip {
            file: "actifix.db-shm",
            kind: "shared memory".to_owned(),
            places: vec![(0, shared)],
        });
    }
    Ok(flips)
}

/// Files that are gone, empty or old: refused with a reason, or told by the audit log; never an empty installation.
pub fn lost(field: &Field) -> Result<String> {
    let (clean, killed) = templates(field)?;
    type Lose = fn(&Path) -> Result<()>;
    let remove: Lose = |path| fs::remove_file(path).context("cannot remove");
    let empty: Lose = |path| fs::write(path, "").context("cannot empty");
    let head: Lose = |path| {
        let bytes = fs::read(path).context("cannot read")?;
        fs::write(path, bytes.get(..LOG_HEADER_BYTES).unwrap_or_default()).context("cannot cut")
    };
    let half: Lose = |path| {
        let bytes = fs::read(path).context("cannot read")?;
        fs::write(path, bytes.get(..bytes.len() / 2).unwrap_or_default()).context("cannot cut")
    };
    let cases: [(&str, &Home, &str, Lose); 7] = [
        ("log removed", &killed, "actifix.db-wal", remove),
        ("log emptied", &killed, "actifix.db-wal", empty),
        ("log cut to its header", &killed, "actifix.db-wal", head),
        ("database removed", &clean, "actifix.db", remove),
        ("database emptied", &clean, "actifix.db", empty),
        ("database cut in half", &clean, "actifix.db", half),
        ("database emptied beside its log", &killed, "actifix.db", empty),
    ];
    for (what, template, name, lose) in &cases {
        let home = template.copy(&field.folder.join("lost"))?;
        let path = home.path.join("data").join(name);
        lose(&path)?;
        let before = fs::read(&path).ok();
        let refused = match Node::try_start(&home, &Setting::default())? {
            Ok(_) => bail!("{what}: it serves"),
            Err(refused) => refused,
        };
        let ended = refused.status.code();
        if !matches!(ended, Some(74 | EXIT_CONFIG)) || !refused.printed.contains("error: ") {
            bail!("{what}: it ended with {}: {}", refused.status, refused.printed);
        }
        if fs::read(&path).ok() != before {
            bail!("{what}: what was left was changed");
        }
    }
    old_copy(field, &clean)?;
    let names: Vec<&str> = cases.iter().map(|(what, ..)| *what).collect();
    Ok(format!(
        "refused with a reason, nothing changed: {}; an old copy of data/ is told by `audit verify`",
        names.join(", ")
    ))
}

/// A copy of `data/` from before something that the audit log knows of.
fn old_copy(field: &Field, template: &Home) -> Result<()> {
    let home = template.copy(&field.folder.join("lost"))?;
    let data = home.path.join("data");
    let aside = home.path.join("aside");
    process::run(Command::new("cp").arg("-a").arg(&data).arg(&aside))?;
    home.cli_json(&["token", "create", "--name", "later", "--role", "viewer"])?;
    fs::remove_dir_all(&data).context("cannot remove")?;
    fs::rename(&aside, &data).context("cannot put back")?;
    let verified = home.command().args(["audit", "verify"]).output().context("cannot start")?;
    if verified.status.success() {
        bail!(
            "an old copy of the data is taken for the newest: {}",
            String::from_utf8_lossy(&verified.stdout)
        );
    }
    Ok(())
}
