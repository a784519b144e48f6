//! A server as a child process: start, what it says of itself, what the kernel says of it, stop.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::client::{Client, get};
use crate::process;

/// Lines that a server may print before it says where it listens.
const LINES_MAX: usize = 200;
/// A drain and a checkpoint of a large log may take this long.
const STOP_MAX: Duration = Duration::from_secs(120);
/// Between two looks whether a child has ended.
const LOOK: Duration = Duration::from_millis(5);
/// Blocks of `st_blocks`, by POSIX.
const BLOCK_BYTES: u64 = 512;
/// Files of a home.
const FILES_MAX: usize = 100_000;

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Kept open: a closed pipe would be an error to whoever prints.
    _output: BufReader<ChildStdout>,
    pub address: SocketAddr,
    /// Public key of the DSN.
    pub key: String,
    /// From the start of the process to the first 200 of `/healthz`.
    pub started_in: Duration,
    ticks_per_second: f64,
}

impl Server {
    /// Starts `actifix serve` on a home with every limit off that would keep an event from being stored.
    pub fn actifix(binary: &Path, home: &Path) -> Result<Self> {
        let mut command = Command::new(binary);
        command.arg("--home").arg(home).arg("serve");
        Self::start(command, home)
    }

    /// A new token that may read everything.
    pub fn token(binary: &Path, home: &Path) -> Result<String> {
        let mut command = Command::new(binary);
        command
            .arg("--home")
            .arg(home)
            .args(["token", "create", "--name", "bench", "--role", "viewer", "--json"]);
        let made: Value =
            serde_json::from_str(&process::output(&mut command)?).context("no JSON of a token")?;
        made.get("token").and_then(Value::as_str).map(str::to_owned).context("no token in the answer")
    }

    /// Starts any program that prints `listening on http://…` and `DSN …` as `actifix serve` does.
    pub fn start(mut command: Command, folder: &Path) -> Result<Self> {
        let log = fs::File::create(folder.join("stderr.log")).context("cannot create stderr.log")?;
        command
            .env("ACTIFIX_RATE_LIMIT_DISABLED", "1")
            .env("ACTIFIX_LIMITS__SAMPLE_AFTER", "0")
            .env("ACTIFIX_THROTTLE__ENABLED", "false")
            .env("ACTIFIX_LISTENERS__MAIN__BIND", "127.0.0.1:0")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let started = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        match Self::greet(child, output, started) {
            Ok(server) => Ok(server),
            Err(error) => {
                let said = fs::read_to_string(folder.join("stderr.log")).unwrap_or_default();
                Err(error.context(format!("the server said: {}", said.trim())))
            }
        }
    }

    fn greet(child: Child, mut output: BufReader<ChildStdout>, started: Instant) -> Result<Self> {
        let mut child = Guard(Some(child));
        let (mut address, mut key, mut started_in) = (None, None, None);
        let mut line = String::new();
        for _ in 0..LINES_MAX {
            line.clear();
            if output.read_line(&mut line).context("cannot read what the server prints")? == 0 {
                bail!("the server ended before it listened");
            }
            let text = line.trim();
            if let Some(url) = text.strip_prefix("listening on http://") {
                let bound: SocketAddr = url.parse().with_context(|| format!("no address: {url}"))?;
                let mut client = Client::new(bound)?;
                let status = client.send(&get("/healthz", None))?.status;
                if status != 200 {
                    bail!("/healthz answered {status}");
                }
                started_in = Some(started.elapsed());
                address = Some(bound);
            } else if let Some(dsn) = text.strip_prefix("DSN ") {
                key = dsn
                    .trim()
                    .split_once("://")
                    .and_then(|(_, rest)| rest.split_once('@'))
                    .map(|(key, _)| key.to_owned());
            } else if text.starts_with("Point an SDK") {
                break;
            }
        }
        let child = child.0.take().context("no child")?;
        Ok(Self {
            child,
            _output: output,
            address: address.context("the server did not say where it listens")?,
            key: key.context("the server did not print a DSN")?,
            started_in: started_in.context("the server never answered")?,
            ticks_per_second: ticks_per_second()?,
        })
    }

    /// CPU time of the process so far, all threads, user and system, seconds. The kernel counts in 10 ms.
    pub fn cpu_seconds(&self) -> Result<f64> {
        cpu_ticks(&self.child.id().to_string()).map(|ticks| ticks / self.ticks_per_second)
    }

    /// A size of `/proc/PID/status`, MB (10^6 bytes).
    pub fn memory_mb(&self, field: &str) -> Result<f64> {
        let text =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).context("no process status")?;
        let kib: f64 = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':')?.trim().strip_suffix("kB"))
            .and_then(|value| value.trim().parse().ok())
            .with_context(|| format!("no {field} in the process status"))?;
        Ok(kib * 1024.0 / 1e6)
    }

    /// Asks it to stop as a supervisor would; fails if it does not end well.
    pub fn stop(mut self) -> Result<()> {
        process::run(Command::new("kill").arg("-TERM").arg(self.child.id().to_string()))?;
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().context("cannot wait for the server")? {
                if !status.success() {
                    bail!("the server ended with {status}");
                }
                return Ok(());
            }
            if started.elapsed() > STOP_MAX {
                bail!("the server did not stop within {} s", STOP_MAX.as_secs());
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After a clean stop there is nothing left to kill; after an error nobody else would.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Kills a child that did not become a server.
struct Guard(Option<Child>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// CPU seconds of this process: the share of the cores that the clients took.
pub fn own_cpu_seconds() -> Result<f64> {
    Ok(cpu_ticks("self")? / ticks_per_second()?)
}

fn cpu_ticks(process: &str) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).context("no process statistics")?;
    // The name in brackets may hold spaces; utime and stime are the 14th and 15th field of all.
    let (_, fields) = text.rsplit_once(") ").context("unknown form of process statistics")?;
    let ticks: Vec<f64> = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    if ticks.len() != 2 {
        bail!("unknown form of process statistics");
    }
    Ok(ticks.iter().sum())
}

fn ticks_per_second() -> Result<f64> {
    let text = process::output(Command::new("getconf").arg("CLK_TCK"))?;
    text.trim().parse().context("CLK_TCK is no number")
}

/// Bytes of disk that a folder takes, holes left out.
pub fn disk_bytes(folder: &Path) -> Result<u64> {
    let mut total = 0;
    let mut folders = vec![folder.to_path_buf()];
    let mut seen = 0usize;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let entry = entry.context("cannot list a folder")?;
            let metadata = entry.metadata().context("cannot read the size of a file")?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                total += metadata.blocks() * BLOCK_BYTES;
            }
            seen += 1;
            if seen > FILES_MAX {
                bail!("more than {FILES_MAX} files in {}", folder.display());
            }
        }
    }
    Ok(total)
}
