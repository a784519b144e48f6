//! A power failure, by a model of a disk: what was written and not yet synced may be there, or not, or in part.
//!
//! The server runs under strace, which writes down each write, truncation and sync of the database and its log, with their
//! bytes. From that every state is built that a disk may be in when the power goes at one of those calls, and opened.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Field;
use super::load::{self, Ledger, Plan, Random};
use super::node::{Home, Node, Setting};
use crate::process;

/// What a disk writes in one piece.
const SECTOR: usize = 512;
/// Longest data that the tracer keeps of one call.
const DATA_BYTES_MAX: &str = "1000000";

/// One call, as far as a disk is concerned.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Call {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
    Sync,
    Remove,
}

/// A call on a file, and when it began.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub when: f64,
    pub file: usize,
    pub call: Call,
}

/// Files of which calls are noted; the database is the first.
const FILES: [&str; 2] = ["actifix.db", "actifix.db-wal"];

pub fn run(field: &Field) -> Result<String> {
    let home = field.home("power")?;
    // A clean stop: what is on the disk now is whole.
    let before = home.copy(&field.folder.join("power-before"))?;
    let trace = field.folder.join("power.trace");
    let ledger = Mutex::new(Ledger::default());
    record(&home, &trace, if field.quick { 8 } else { 40 }, &ledger)?;
    let steps = read(&trace)?;
    let syncs = steps.iter().filter(|step| step.call == Call::Sync).count();
    let acknowledged = load::lock(&ledger).acknowledged.clone();
    if acknowledged.is_empty() || steps.is_empty() {
        bail!("nothing was recorded: {} events, {} calls", acknowledged.len(), steps.len());
    }
    let start: Vec<Vec<u8>> =
        FILES.iter().map(|name| fs::read(before.path.join("data").join(name)).unwrap_or_default()).collect();
    let mut random = Random::seeded(0x50_e4);
    let (mut states, mut opened) = (0, 0);
    for end in ends(&steps, field.quick) {
        let now = steps.get(end).map_or(f64::MAX, |step| step.when);
        let durable: Vec<&String> =
            acknowledged.iter().filter(|(_, at)| **at < now).map(|(id, _)| id).collect();
        let past = steps.get(..end).unwrap_or_default();
        for variant in variants(past, &mut random, field.quick) {
            let disk = build(&start, past, &variant);
            // The model's own check, by another SQLite, of every state; ours opens some of them.
            let place = field.folder.join("power-state");
            lay(&disk, &place)?;
            let missing = judged(&place, &durable)?;
            if missing > 0 {
                bail!(
                    "power off at call {end} of {}, {}: {missing} of {} acknowledged events are lost",
                    steps.len(),
                    variant.name,
                    durable.len()
                );
            }
            states += 1;
            if states % if field.quick { 25 } else { 40 } == 0 {
                opens(&before, &disk, field, &durable).with_context(|| {
                    format!("power off at call {end} of {}, {}", steps.len(), variant.name)
                })?;
                opened += 1;
            }
        }
    }
    Ok(format!(
        "{} calls with {syncs} syncs recorded over {} events; {states} states of the disk are whole and hold what was \
         acknowledged; {opened} of them opened by our server",
        steps.len(),
        acknowledged.len()
    ))
}

/// The calls before which the power goes: beside each sync, and others evenly.
fn ends(steps: &[Step], quick: bool) -> Vec<usize> {
    let stride = (steps.len() / if quick { 6 } else { 150 }).max(1);
    let is_sync = |number: usize| steps.get(number).is_some_and(|step| step.call == Call::Sync);
    let beside = |end: usize| is_sync(end) || (end > 0 && is_sync(end - 1));
    (0..=steps.len()).filter(|end| end % stride == 0 || beside(*end)).collect()
}

/// Runs the server under the tracer, and one client.
fn record(home: &Home, trace: &Path, events: u64, ledger: &Mutex<Ledger>) -> Result<()> {
    let (database, log) = (home.database(), home.log());
    let arguments = [
        "--seccomp-bpf",
        "-ttt",
        "-y",
        "-xx",
        "-s",
        DATA_BYTES_MAX,
        "-e",
        "trace=pwrite64,ftruncate,fdatasync,fsync,unlink,unlinkat",
        "-P",
        &database.display().to_string(),
        "-P",
        &log.display().to_string(),
    ];
    let node = Node::start(home, &Setting::traced(&arguments, trace))?;
    let plan = Plan { clients: 1, each: events, seed: 7, ..Plan::default() };
    load::run(&node, plan, ledger, &false.into(), &0.into());
    // Folds the log into the database, which are calls of their own kind.
    node.stop(Duration::from_secs(60))?;
    // The tracer outlives the server by a moment.
    let mut size = 0;
    load::until("the tracer has written all", || {
        let now = fs::metadata(trace).map(|found| found.len()).unwrap_or(0);
        let same = now == size && now > 0;
        size = now;
        std::thread::sleep(Duration::from_millis(100));
        Ok(same)
    })
}

/// Reads a trace: `PID SECONDS call(…) = result`.
fn read(trace: &Path) -> Result<Vec<Step>> {
    let text = fs::read_to_string(trace).context("cannot read the trace")?;
    let mut begun: BTreeMap<&str, String> = BTreeMap::new();
    let mut steps = Vec::new();
    for line in text.lines() {
        let Some((pid, rest)) = line.split_once(char::is_whitespace) else { continue };
        let rest = rest.trim_start();
        if let Some(start) = rest.strip_suffix("<unfinished ...>") {
            begun.insert(pid, start.to_owned());
            continue;
        }
        let whole = match rest.split_once(" resumed>") {
            Some((_, end)) => begun.remove(pid).unwrap_or_default() + end,
            None => rest.to_owned(),
        };
        steps.extend(parse(&whole)?);
    }
    Ok(steps)
}

/// One call; none where it concerns no file of ours, or failed.
pub(super) fn parse(line: &str) -> Result<Option<Step>> {
    let Some((when, call)) = line.split_once(' ') else { return Ok(None) };
    let Ok(when) = when.parse::<f64>() else { return Ok(None) };
    let Some((name, rest)) = call.split_once('(') else { return Ok(None) };
    let Some((arguments, result)) = rest.rsplit_once(") = ") else { return Ok(None) };
    let result = result.split_whitespace().next().and_then(|word| word.parse::<i64>().ok()).unwrap_or(-1);
    // Paths come as `\x2f…` under -xx.
    let decoded = unescape(arguments);
    let of_ours = |text: &str| FILES.iter().rposition(|name| text.contains(&format!("/data/{name}")));
    let shown =
        String::from_utf8_lossy(decoded.get(..decoded.len().min(4_096)).unwrap_or_default()).into_owned();
    let Some(file) = of_ours(&shown) else { return Ok(None) };
    if result < 0 {
        return Ok(None);
    }
    let number = |word: Option<&str>| word.and_then(|word| word.trim().parse::<usize>().ok());
    let call = match name {
        "pwrite64" => {
            let (_, data) = arguments.split_once(", \"").context("a write without data")?;
            let (data, numbers) = data.rsplit_once("\", ").context("a write that was cut short")?;
            let at = number(numbers.split(',').nth(1)).context("a write without a place")?;
            let mut bytes = unescape(data);
            bytes.truncate(usize::try_from(result).unwrap_or(0));
            Call::Write { at, bytes }
        }
        "ftruncate" => {
            Call::Truncate(number(arguments.rsplit(',').next()).context("a truncation without a size")?)
        }
        "fdatasync" | "fsync" => Call::Sync,
        "unlink" | "unlinkat" => Call::Remove,
        _ => return Ok(None),
    };
    Ok(Some(Step { when, file, call }))
}

/// `\x41` as its byte; all else as it is.
fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len() / 4 + 16);
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = bytes.get(at..at + 4).filter(|four| four.starts_with(b"\\x"));
        let value =
            hex.and_then(|four| u8::from_str_radix(std::str::from_utf8(four.get(2..)?).ok()?, 16).ok());
        match value {
            Some(value) => {
                out.push(value);
                at += 4;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

/// Which of the calls that were not yet synced reached the disk.
#[derive(Debug)]
pub(super) struct Variant {
    name: String,
    /// By number of the call; a write may be there in part: which of its sectors.
    kept: BTreeMap<usize, Vec<bool>>,
}

/// Calls after the last sync of their file.
fn pending(past: &[Step]) -> Vec<usize> {
    let synced = |file: usize| past.iter().rposition(|step| step.file == file && step.call == Call::Sync);
    let last = [synced(0), synced(1)];
    (0..past.len())
        .filter(|number| {
            past.get(*number).is_some_and(|step| {
                step.call != Call::Sync
                    && last.get(step.file).copied().flatten().is_none_or(|sync| *number > sync)
            })
        })
        .collect()
}

/// None, all, each prefix, and some by chance with torn writes.
fn variants(past: &[Step], random: &mut Random, quick: bool) -> Vec<Variant> {
    let pending = pending(past);
    let whole = |number: &usize| (*number, vec![true]);
    let mut all = vec![Variant { name: "nothing of what was not synced".to_owned(), kept: BTreeMap::new() }];
    if pending.is_empty() {
        return all;
    }
    let prefixes = if quick { 1 } else { pending.len().min(4) };
    for many in 0..prefixes {
        let kept = pending.get(..pending.len() - many).unwrap_or_default();
        let name = format!("the first {} of {} calls", kept.len(), pending.len());
        all.push(Variant { name, kept: kept.iter().map(whole).collect() });
    }
    for round in 0..if quick { 1 } else { 3 } {
        let mut kept = BTreeMap::new();
        for number in &pending {
            if let Some(Step { call: Call::Write { bytes, .. }, .. }) = past.get(*number) {
                kept.insert(
                    *number,
                    (0..bytes.len().div_ceil(SECTOR)).map(|_| random.below(2) == 0).collect(),
                );
            } else if random.below(2) == 0 {
                kept.insert(*number, vec![true]);
            }
        }
        all.push(Variant { name: format!("sectors by chance ({round})"), kept });
    }
    all
}

/// The files as they are on the disk then.
fn build(start: &[Vec<u8>], past: &[Step], variant: &Variant) -> Vec<Option<Vec<u8>>> {
    let pending = pending(past);
    let mut files: Vec<Option<Vec<u8>>> =
        start.iter().map(|bytes| (!bytes.is_empty()).then(|| bytes.clone())).collect();
    for (number, step) in past.iter().enumerate() {
        let sectors = if pending.contains(&number) {
            match variant.kept.get(&number) {
                Some(sectors) => sectors.clone(),
                None => continue,
            }
        } else {
            vec![true]
        };
        let Some(file) = files.get_mut(step.file) else { continue };
        match &step.call {
            Call::Write { at, bytes } => {
                let content = file.get_or_insert_default();
                let whole = sectors == [true];
                for (sector, part) in bytes.chunks(SECTOR).enumerate() {
                    if whole || sectors.get(sector) == Some(&true) {
                        put(content, at + sector * SECTOR, part);
                    }
                }
            }
            Call::Truncate(size) => file.get_or_insert_default().resize(*size, 0),
            Call::Remove => *file = None,
            Call::Sync => {}
        }
    }
    files
}

fn put(content: &mut Vec<u8>, at: usize, part: &[u8]) {
    if content.len() < at + part.len() {
        content.resize(at + part.len(), 0);
    }
    if let Some(place) = content.get_mut(at..at + part.len()) {
        place.copy_from_slice(part);
    }
}

fn lay(disk: &[Option<Vec<u8>>], folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).context("cannot clear a folder")?;
    }
    fs::create_dir_all(folder).context("cannot make a folder")?;
    for (name, bytes) in FILES.iter().zip(disk) {
        if let Some(bytes) = bytes {
            fs::write(folder.join(name), bytes).context("cannot write a file")?;
        }
    }
    Ok(())
}

/// Lets Python's SQLite judge a state; how many of the acknowledged events are not in it.
fn judged(folder: &Path, durable: &[&String]) -> Result<usize> {
    const CODE: &str = "import sqlite3,sys\n\
        d=sqlite3.connect(sys.argv[1])\n\
        told=d.execute('pragma integrity_check').fetchone()[0]\n\
        assert told=='ok', told\n\
        for (i,) in d.execute('select event_id from events'): print(i)\n";
    let mut python = Command::new("python3");
    python.args(["-c", CODE]).arg(folder.join("actifix.db"));
    let found = process::output(&mut python).context("the database is damaged")?;
    let found: std::collections::BTreeSet<String> =
        found.lines().map(|line| line.trim().replace('-', "")).collect();
    Ok(durable.iter().filter(|id| !found.contains(id.as_str())).count())
}

/// Our own server on such a disk: it must take it for what it is.
fn opens(before: &Home, disk: &[Option<Vec<u8>>], field: &Field, durable: &[&String]) -> Result<()> {
    let home = before.copy(&field.folder.join("power-home"))?;
    for (name, bytes) in FILES.iter().zip(disk) {
        let path = home.path.join("data").join(name);
        match bytes {
            Some(bytes) => fs::write(path, bytes).context("cannot write a file")?,
            None => drop(fs::remove_file(path)),
        }
    }
    let node = home.serve()?;
    let stored = load::stored(&node)?;
    let lost = durable.iter().filter(|id| !stored.contains_key(id.as_str())).count();
    if lost > 0 { bail!("{lost} acknowledged events are lost") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_as_the_tracer_writes_them() {
        let line = r#"1764533000.250000 pwrite64(9<\x2f\x61\x2f\x64\x61\x74\x61\x2f\x61\x63\x74\x69\x66\x69\x78\x2e\x64\x62\x2d\x77\x61\x6c>, "\x00\x22\x41", 3, 32) = 3"#;
        let step = parse(line).unwrap().unwrap();
        assert_eq!((step.when, step.file), (1_764_533_000.25, 1));
        assert_eq!(step.call, Call::Write { at: 32, bytes: vec![0, 0x22, 0x41] });
        let sync = r"1764533000.250000 fdatasync(9</a/data/actifix.db>) = 0";
        assert_eq!(parse(sync).unwrap().unwrap().call, Call::Sync);
        let failed = r"1.0 fdatasync(9</a/data/actifix.db>) = -1 EIO (Input/output error)";
        assert!(parse(failed).unwrap().is_none());
        let cut = r"1.0 ftruncate(9</a/data/actifix.db-wal>, 0) = 0";
        assert_eq!(parse(cut).unwrap().unwrap().call, Call::Truncate(0));
    }

    #[test]
    fn what_was_not_synced_may_be_there_or_not() {
        let write =
            |at, byte: u8| Step { when: 0.0, file: 1, call: Call::Write { at, bytes: vec![byte; 4] } };
        let sync = Step { when: 0.0, file: 1, call: Call::Sync };
        let past = [write(0, 1), sync, write(4, 2), write(0, 3)];
        assert_eq!(pending(&past), [2, 3]);
        let start = [vec![9], Vec::new()];
        let none = Variant { name: String::new(), kept: BTreeMap::new() };
        assert_eq!(build(&start, &past, &none), [Some(vec![9]), Some(vec![1; 4])]);
        let last = Variant { name: String::new(), kept: [(3, vec![true])].into() };
        assert_eq!(build(&start, &past, &last)[1], Some(vec![3; 4]));
    }
}
