//! `actifix diagnostics`: a bundle for whoever helps, made of what is let out and nothing else.

use super::client::Client;
use super::logs::earlier;
use super::output;
use super::{CliError, Global};
use crate::bundle::{self, Member, redacted};
use crate::config::{Loaded, Source};
use crate::home::Home;
use crate::system::SystemClock;
use crate::telemetry::LOG;
use crate::wire;
use actifix_app::ports::Clock;
use actifix_secrets::{Engine, Settings};
use clap::Args;
use serde_json::{Map, Value, json};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Lines of the log that are taken along.
const LOG_LINES: usize = 500;
/// Bytes of the end of the open log that are read.
const LOG_BYTES: u64 = 1 << 20;
/// Files of the home that are listed.
const FILES_MAX: usize = 1_000;

/// A sanitised bundle.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  actifix diagnostics\n  actifix diagnostics --out for-support.tar.zst.age --recipient age1…\nRead it before you send it: `zstd -dc FILE | tar x`."
)]
pub struct DiagnosticsArgs {
    /// New file; default actifix-diagnostics-TIME.tar.zst in the present directory.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Encrypt it for this recipient of age (age1…); may be repeated.
    #[arg(long, value_name = "AGE1…")]
    recipient: Vec<String>,
}

/// `actifix diagnostics`
pub async fn run(global: &Global, args: DiagnosticsArgs) -> Result<ExitCode, CliError> {
    let home = Home::at(&global.home);
    let now = SystemClock::new().now();
    let client = Client::connect_existing(global).await?;
    let served = !client.is_alone();
    let facts = client.get("/api/v1/diagnostics", &[]).await;
    let figures = client.get_text("/metrics").await;
    client.close().await?;
    let engine = Engine::builtin();
    let settings = Settings::default();
    let clean = |text: &str| redacted(text, &engine, &settings);
    let document = |name, value: &Value| Member { name, text: clean(&format!("{value:#}")) };
    let mut members = vec![document("facts.json", &facts?), document("platform.json", &platform(served))];
    if let Ok(loaded) = wire::load_config(&home) {
        members.push(document("config.json", &configuration(&loaded)));
    }
    members.push(document("files.json", &files(&home)));
    if let Some(figures) = figures? {
        members.push(Member { name: "metrics.txt", text: clean(&figures) });
    }
    let log = log_tail(&home.logs()).map_err(|error| CliError::io(&home.logs(), error))?;
    members.push(Member { name: "log-tail.jsonl", text: clean(&log) });
    let ending = if args.recipient.is_empty() { "tar.zst" } else { "tar.zst.age" };
    let stamp: String = now.to_string().chars().filter(char::is_ascii_digit).take(14).collect();
    let out = args.out.unwrap_or_else(|| PathBuf::from(format!("actifix-diagnostics-{stamp}.{ending}")));
    bundle::write(&out, "actifix diagnostics", &members, &args.recipient, now)
        .map_err(super::incident::refused)?;
    let names: Vec<&str> = members.iter().map(|member| member.name).collect();
    if global.json {
        output::json(&json!({ "file": out, "members": names, "encrypted": !args.recipient.is_empty() }))?;
    } else {
        output::line(out.display().to_string())?;
        output::note(format!("holds {}; read it before you send it", names.join(", ")));
    }
    Ok(ExitCode::SUCCESS)
}

/// Settings that were set, with the place where; secrets are references, and what names people or addresses is masked as
/// everywhere.
fn configuration(loaded: &Loaded) -> Value {
    let values = loaded.config.values();
    let sources: Map<String, Value> =
        loaded.sources.iter().map(|(key, source)| (key.clone(), json!(named(source)))).collect();
    json!({ "values": values, "set_by": sources })
}

fn named(source: &Source) -> &str {
    match source {
        Source::File => "actifix.toml",
        Source::Environment(name) => name,
    }
}

fn platform(served: bool) -> Value {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({
        "os": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
        "kernel": kernel.trim(),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "program": env!("CARGO_PKG_VERSION"),
        "debug_build": cfg!(debug_assertions),
        "keyring": cfg!(feature = "keyring"),
        "server_runs": served,
    })
}

/// Names within the home, modes and sizes: what is wrong there is wrong often.
fn files(home: &Home) -> Value {
    let mut found = Vec::new();
    let mut waiting = vec![home.data(), home.private()];
    while let Some(path) = waiting.pop() {
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if found.len() >= FILES_MAX {
            break;
        }
        found.push(json!({
            "name": path.strip_prefix(home.root()).unwrap_or(&path).display().to_string(),
            "mode": format!("{:04o}", meta.mode() & 0o7777),
            "own": meta.uid() == rustix::process::geteuid().as_raw(),
            "bytes": meta.len(),
            "link": meta.is_symlink(),
        }));
        if meta.is_dir() {
            waiting.extend(
                fs::read_dir(&path).into_iter().flatten().flatten().take(FILES_MAX).map(|entry| entry.path()),
            );
        }
    }
    Value::Array(found)
}

fn log_tail(dir: &Path) -> std::io::Result<String> {
    let mut lines: Vec<String> = Vec::new();
    match fs::File::open(dir.join(format!("{LOG}.log"))) {
        Ok(mut file) => {
            let from = file.metadata()?.len().saturating_sub(LOG_BYTES);
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.take(LOG_BYTES).read_to_end(&mut bytes)?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            // The first one may be half a line.
            lines.extend(text.lines().skip(usize::from(from > 0)).map(str::to_owned));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if lines.len() < LOG_LINES && dir.is_dir() {
        let more = earlier(dir, LOG, LOG_LINES - lines.len())?;
        lines = more.into_iter().chain(lines).collect();
    }
    let over = lines.len().saturating_sub(LOG_LINES);
    Ok(lines.split_off(over).join("\n") + "\n")
}
