//! `actifix incident …`

use super::client::Client;
use super::output::{self, number, text, time};
use super::{CliError, Global, exit};
use crate::bundle::{self, BundleError, Member};
use crate::system::SystemClock;
use crate::vault::ask_terminal;
use actifix_app::evidence::{Signature, is_signed};
use actifix_app::incident::Kind;
use actifix_app::ports::Clock;
use actifix_app::secrets::SecretText;
use clap::Subcommand;
use serde_json::{Value, json};
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Most bytes of a pasted credential that are read.
const PASTED_BYTES_MAX: u64 = 64 << 10;

/// Incident response.
#[derive(Debug, Subcommand)]
pub enum IncidentCommand {
    /// End every session and token at once; until it is lifted nobody logs in and no token is made.
    #[command(
        after_help = "Examples:\n  actifix incident lockdown\n  actifix incident lockdown --stop-ingest    SDKs are told to wait too"
    )]
    Lockdown {
        /// Refuse events too: where an ingest key is used to flood or to deceive.
        #[arg(long)]
        stop_ingest: bool,
    },
    /// End the lockdown; what it ended stays ended.
    #[command(after_help = "Example:\n  actifix incident lift")]
    Lift,
    /// Where it stands: a lockdown, steps under way, steps of the last order.
    #[command(after_help = "Example:\n  actifix incident status")]
    Status,
    /// Replace what opens something: everything, some kinds, or one credential that leaked.
    #[command(
        after_help = "Examples:\n  actifix incident rotate --all\n  actifix incident rotate --kind tokens --kind sessions\n  actifix incident rotate --leaked < leaked.txt"
    )]
    Rotate {
        /// All kinds.
        #[arg(long, conflicts_with_all = ["kind", "leaked"])]
        all: bool,
        /// tokens, sessions, jwt-keys, webhook-secrets, dsn-keys or root-key; may be repeated.
        #[arg(long, value_name = "KIND", conflicts_with = "leaked")]
        kind: Vec<Kind>,
        /// Read one credential from the terminal without echo, or from standard input; find what it is and revoke it.
        #[arg(long)]
        leaked: bool,
    },
    /// Write a signed report: what the audit log says, in order, with what is missing in it marked.
    #[command(
        after_help = "Examples:\n  actifix incident report --out report.tar.zst\n  actifix incident report --since 2026-11-01T00:00:00Z --out report.tar.zst.age --recipient age1…"
    )]
    Report {
        /// New file.
        #[arg(long, short, value_name = "FILE")]
        out: PathBuf,
        /// RFC 3339; default 7 days ago.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// RFC 3339; default now.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// Encrypt it for this recipient of age (age1…); may be repeated.
        #[arg(long, value_name = "AGE1…")]
        recipient: Vec<String>,
    },
    /// Look whether a report is as it was signed.
    #[command(after_help = "Example:\n  actifix incident verify report.tar.zst --key 0f3c…")]
    Verify {
        /// The report, decrypted.
        file: PathBuf,
        /// Public key of the installation that it must be from, hex, as `report` printed it.
        #[arg(long, value_name = "HEX")]
        key: Option<String>,
    },
}

/// `actifix incident …`
pub async fn run(global: &Global, command: IncidentCommand) -> Result<ExitCode, CliError> {
    match command {
        IncidentCommand::Lockdown { stop_ingest } => {
            let body = json!({ "stop_ingest": stop_ingest });
            order(global, "/api/v1/incident/lockdown", &body).await
        }
        IncidentCommand::Lift => {
            let answer = ask(global, "/api/v1/incident/lift", &json!({})).await?;
            if global.json {
                output::json(&answer)?;
            } else {
                output::line("lifted: people can log in and tokens can be made; what was ended stays ended")?;
            }
            Ok(ExitCode::SUCCESS)
        }
        IncidentCommand::Status => status(global).await,
        IncidentCommand::Rotate { leaked: true, .. } => leaked(global).await,
        IncidentCommand::Rotate { all, kind, .. } => {
            let kinds = if all { Kind::ALL.to_vec() } else { kind };
            if kinds.is_empty() {
                return Err(CliError::usage("say what: --all, --kind KIND, or --leaked"));
            }
            let words: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
            order(global, "/api/v1/incident/rotate", &json!({ "kinds": words })).await
        }
        IncidentCommand::Report { out, since, until, recipient } => {
            report(global, &out, since.as_deref(), until.as_deref(), &recipient).await
        }
        IncidentCommand::Verify { file, key } => verify(global, &file, key.as_deref()),
    }
}

async fn ask(global: &Global, path: &str, body: &Value) -> Result<Value, CliError> {
    let client = Client::connect_existing(global).await?;
    let answer = client.post_long(path, body).await;
    client.close().await?;
    answer
}

/// An order ends with 1 where a person has to do more.
async fn order(global: &Global, path: &str, body: &Value) -> Result<ExitCode, CliError> {
    let answer = ask(global, path, body).await?;
    let state = answer.get("state").unwrap_or(&Value::Null);
    let last = state.get("last").unwrap_or(&Value::Null);
    if global.json {
        output::json(&answer)?;
    } else {
        print_state(state)?;
        for shown in answer.get("shown_once").and_then(Value::as_array).into_iter().flatten() {
            output::line(format!("new secret of {}: {}", text(shown, "for"), text(shown, "secret")))?;
        }
    }
    Ok(if is_clean(last) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn is_clean(job: &Value) -> bool {
    let mut steps = job.get("steps").and_then(Value::as_array).into_iter().flatten();
    steps.all(|step| text(step, "stage") == "done")
}

async fn status(global: &Global) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let answer = client.get("/api/v1/incident", &[]).await;
    client.close().await?;
    let answer = answer?;
    if global.json {
        output::json(&answer)?;
    } else {
        print_state(&answer)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_state(state: &Value) -> Result<(), CliError> {
    match state.get("lockdown").filter(|lockdown| !lockdown.is_null()) {
        Some(lockdown) => output::line(format!(
            "LOCKED DOWN since {} UTC by {}: nobody logs in, no token is made{}; `actifix incident lift` ends it",
            time(lockdown, "since"),
            text(lockdown, "by"),
            if lockdown.get("ingest_stopped") == Some(&Value::Bool(true)) {
                ", events are refused"
            } else {
                ", events are taken"
            },
        ))?,
        None => output::line("not locked down")?,
    }
    for (name, label) in [("job", "under way"), ("last", "last")] {
        let Some(job) = state.get(name).filter(|job| !job.is_null()) else { continue };
        let resumed = number(job, "resumed");
        output::line(format!(
            "{label}: {} ordered by {}, {} UTC{}",
            text(job, "what"),
            text(job, "by"),
            time(job, "started_at"),
            if resumed > 0 { format!(", taken up again {}", output::times(resumed)) } else { String::new() },
        ))?;
        for step in job.get("steps").and_then(Value::as_array).into_iter().flatten() {
            let detail = step.get("detail").unwrap_or(&Value::Null);
            output::line(format!(
                "  {:<8} {:<16} {}",
                text(step, "stage"),
                text(step, "kind"),
                told(detail)
            ))?;
        }
    }
    Ok(())
}

/// `revoked 3; then: …`
fn told(detail: &Value) -> String {
    let parts = detail.as_object().into_iter().flatten().filter_map(|(name, value)| {
        let value = match value {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            Value::Array(items) if items.is_empty() => return None,
            Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            other => other.to_string(),
        };
        Some(format!("{}: {value}", name.replace('_', " ")))
    });
    parts.collect::<Vec<_>>().join("; ")
}

/// The credential is neither argument nor variable, and no answer holds it.
async fn leaked(global: &Global) -> Result<ExitCode, CliError> {
    let pasted = if std::io::stdin().is_terminal() {
        ask_terminal("What leaked (not shown): ").ok_or_else(|| CliError::usage("no terminal to ask on"))?
    } else {
        let mut pasted = String::new();
        let read = std::io::stdin().take(PASTED_BYTES_MAX).read_to_string(&mut pasted);
        read.map_err(|_| CliError::usage("standard input: text of at most 64 KiB"))?;
        SecretText::new(pasted)
    };
    let answer = ask(global, "/api/v1/incident/leaked", &json!({ "credential": pasted.reveal() })).await?;
    let state = text(&answer, "state").to_owned();
    if global.json {
        output::json(&answer)?;
    } else {
        print_leaked(&answer)?;
    }
    Ok(if matches!(state.as_str(), "revoked" | "dead") { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn print_leaked(answer: &Value) -> Result<(), CliError> {
    let kind = text(answer, "kind").replace('_', " ");
    let name = text(answer, "name");
    output::line(match text(answer, "state") {
        "revoked" => format!("{kind} {name}: revoked"),
        "dead" => format!("{kind} {name}: was revoked or had expired before"),
        "foreign" => format!("{kind} {name}: kept here, given out by somebody else"),
        _ if kind.is_empty() => "unknown here".to_owned(),
        _ => format!("unknown here; it looks like: {kind}"),
    })?;
    output::line(format!("next: {}", text(answer, "next")))?;
    if !text(answer, "shown_once").is_empty() {
        output::line(format!("new secret: {}", text(answer, "shown_once")))?;
    }
    let touched = answer.get("touched").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if !touched.is_empty() {
        output::line(format!("what it did, latest first ({}):", touched.len()))?;
    }
    for row in touched {
        output::line(format!(
            "  {} UTC  {:<18} {:<8} {} {}",
            time(row, "at"),
            text(row, "action"),
            text(row, "result"),
            text(row, "target"),
            text(row, "network"),
        ))?;
    }
    for finding in answer.get("seen_in_findings").and_then(Value::as_array).into_iter().flatten() {
        output::line(format!(
            "it stood in events: actifix findings show {}",
            finding.as_str().unwrap_or_default()
        ))?;
    }
    Ok(())
}

async fn report(
    global: &Global,
    out: &Path,
    since: Option<&str>,
    until: Option<&str>,
    recipients: &[String],
) -> Result<ExitCode, CliError> {
    let answer = ask(global, "/api/v1/incident/report", &json!({ "since": since, "until": until })).await?;
    let document = text(&answer, "document").to_owned();
    let signature = answer.get("signature").cloned().unwrap_or_default();
    let told: Value = serde_json::from_str(&document).unwrap_or_default();
    let members = [
        Member { name: "timeline.txt", text: timeline(&told) },
        Member { name: "report.json", text: document },
        Member { name: "signature.json", text: format!("{signature:#}\n") },
    ];
    bundle::write(out, bundle::REPORT, &members, recipients, SystemClock::new().now()).map_err(refused)?;
    let verified = told.get("audit_log").and_then(|log| log.get("intact")) == Some(&Value::Bool(true));
    let many = |name: &str| told.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    let summary = json!({
        "file": out, "public_key": signature.get("public_key"), "audit_log_intact": verified, "rows": many("timeline"), "gaps": many("gaps"),
    });
    if global.json {
        output::json(&summary)?;
    } else {
        output::line(format!(
            "{}: {} acts, {} gaps, audit log {}",
            out.display(),
            many("timeline"),
            many("gaps"),
            if verified { "whole" } else { "NOT WHOLE: see report.json, and `actifix audit verify`" },
        ))?;
        output::line(format!("signed by {}", text(&summary, "public_key")))?;
    }
    Ok(if verified { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The report for people.
fn timeline(report: &Value) -> String {
    let mut lines = vec![format!(
        "Incident report of {} by actifix {}, all times UTC. The signed text is report.json.",
        text(report, "installation"),
        text(report, "program"),
    )];
    for gap in report.get("gaps").and_then(Value::as_array).into_iter().flatten() {
        lines.push(format!("GAP before row {}: {}", number(gap, "seq"), text(gap, "what")));
    }
    for row in report.get("timeline").and_then(Value::as_array).into_iter().flatten() {
        lines.push(format!(
            "{:>7}  {}  {:<20} {:<22} {:<8} {} {}",
            number(row, "seq"),
            time(row, "at"),
            text(row, "actor"),
            text(row, "action"),
            text(row, "result"),
            text(row, "target"),
            text(row, "network"),
        ));
    }
    lines.join("\n") + "\n"
}

fn verify(global: &Global, file: &Path, key: Option<&str>) -> Result<ExitCode, CliError> {
    let members = bundle::read(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => CliError::io(file, error),
        _ => CliError::new(1, format!("{}: {error}", file.display())),
    })?;
    let find = |name: &str| members.iter().find(|(member, _)| member == name).map(|(_, text)| text.as_str());
    let signature = find("signature.json").and_then(|text| serde_json::from_str::<Signature>(text).ok());
    let (Some(document), Some(signature)) = (find("report.json"), signature) else {
        return Err(CliError::new(1, format!("{}: holds no signed report", file.display())));
    };
    let signed = is_signed(document.as_bytes(), &signature);
    let ours = key.is_none_or(|key| key.eq_ignore_ascii_case(&signature.public_key));
    if global.json {
        output::json(
            &json!({ "signed": signed, "public_key": signature.public_key, "by_the_key_given": key.map(|_| ours) }),
        )?;
    } else if !signed {
        output::line("NOT as it was signed: it was changed, or the signature is another's")?;
    } else if !ours {
        output::line(format!("signed, but by another installation: {}", signature.public_key))?;
    } else {
        output::line(format!("as it was signed by {}", signature.public_key))?;
        if key.is_none() {
            output::note(
                "compare the key with the one that `actifix incident report` printed, or give it with --key",
            );
        }
    }
    Ok(if signed && ours { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Why a bundle was not written.
pub(super) fn refused(error: BundleError) -> CliError {
    let code = match &error {
        BundleError::Secret { .. } | BundleError::Large(_) => 1,
        BundleError::Recipient(_) => exit::USAGE,
        BundleError::Io { .. } => exit::CANNOT_CREATE,
    };
    CliError::new(code, error.to_string())
}
