//! `actifix backup …`

use super::client::{Client, encoded};
use super::output::{self, ago, grouped, items, number, plural, text, time};
use super::sheet::{Fit, Sheet};
use super::{CliError, Global, exit};
use crate::backup::{self, Identities, ReadError, RestoreError, Trust};
use crate::home::Home;
use crate::system::SystemClock;
use crate::vault::{Ask, HomeVault};
use crate::wire;
use actifix_app::ports::Clock;
use clap::Subcommand;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Backups.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Make a key: its secret side opens backups, its recipient is configured.
    #[command(
        after_help = "Example:\n  actifix backup keygen --out backup.key   # prints age1…, for backup.recipients; move the file to another place"
    )]
    Keygen {
        /// New file for the secret side; default: print it, as `age-keygen` does.
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Make a backup now, while the server goes on.
    #[command(after_help = "Example:\n  actifix backup create")]
    Create {
        /// Further recipient of age (age1…), besides those of backup.recipients; may be repeated.
        #[arg(long, value_name = "AGE1…")]
        recipient: Vec<String>,
    },
    /// Which backups there are, and when each was last restored on trial.
    #[command(after_help = "Example:\n  actifix backup list")]
    List,
    /// Restore a backup into a temporary home, look at everything in it, remove that home.
    #[command(
        after_help = "Examples:\n  actifix backup verify                                      the newest, on the server\n  actifix backup verify actifix-….tar.zst.age --identity backup.key   a file, anywhere"
    )]
    Verify {
        /// Name on the server, or with --identity a file; default: the newest.
        backup: Option<String>,
        /// File with the secret side of a key: the file is read here, without a server.
        #[arg(long, short, value_name = "FILE", requires = "backup")]
        identity: Option<PathBuf>,
    },
    /// Make a home from a backup; nothing that is there is written over.
    #[command(
        after_help = "Example:\n  actifix --home /srv/actifix backup restore actifix-….tar.zst.age --identity backup.key"
    )]
    Restore {
        /// File of the backup; a name is looked for in the backups of the home too.
        backup: PathBuf,
        /// File with the secret side of a key.
        #[arg(long, short, value_name = "FILE")]
        identity: PathBuf,
        /// Directory to make the home in; default: the home.
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
}

/// `actifix backup …`
pub async fn run(global: &Global, command: BackupCommand) -> Result<ExitCode, CliError> {
    match command {
        BackupCommand::Keygen { out } => keygen(global, out.as_deref()),
        BackupCommand::Create { recipient } => create(global, &recipient).await,
        BackupCommand::List => list(global).await,
        BackupCommand::Verify { backup: Some(file), identity: Some(identity) } => {
            verify_file(global, Path::new(&file), &identity)
        }
        BackupCommand::Verify { backup, .. } => verify(global, backup.as_deref()).await,
        BackupCommand::Restore { backup, identity, to } => restore(global, &backup, &identity, to),
    }
}

fn keygen(global: &Global, out: Option<&Path>) -> Result<ExitCode, CliError> {
    let (secret, recipient) = backup::generate(&SystemClock::new().now().to_string());
    let Some(path) = out else {
        output::raw(secret.as_bytes())?;
        output::note(format!("Public key: {recipient}"));
        return Ok(ExitCode::SUCCESS);
    };
    crate::files::write_new(path, secret.as_bytes(), 0o600)
        .map_err(|error| CliError::new(exit::CANNOT_CREATE, format!("{}: {error}", path.display())))?;
    if global.json {
        output::json(&json!({ "recipient": recipient, "file": path }))?;
    } else {
        output::line(&recipient)?;
        output::note(format!(
            "{} opens every backup made for this key: keep it away from the server, and a copy of it elsewhere",
            path.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(global: &Global, recipients: &[String]) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let made = client.post_long("/api/v1/backups", &json!({ "recipients": recipients })).await;
    let of_home = client.is_of_home();
    client.close().await?;
    let made = made?;
    let readers = made.get("recipients").and_then(Value::as_array);
    let readers: BTreeSet<&str> = readers.into_iter().flatten().filter_map(Value::as_str).collect();
    if global.json {
        output::json(&made)?;
    } else {
        output::line(text(&made, "name"))?;
        output::note(format!(
            "{} bytes, opened by the keys of {}; the root key is not in it: keep that apart too (docs/backups.md)",
            grouped(number(&made, "size")),
            readers.iter().copied().collect::<Vec<_>>().join(", ")
        ));
    }
    if of_home && is_outdated(global, recipients, &readers) {
        output::note(
            "backup.recipients is another one since the server started, and this backup is for those of its start: restart the server, then make a backup again",
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a backup is for others than the configuration says now. Where it says nothing, the server was told in another
/// way.
fn is_outdated(global: &Global, further: &[String], readers: &BTreeSet<&str>) -> bool {
    let Ok(loaded) = wire::load_config(&Home::at(&global.home)) else { return false };
    if !loaded.sources.contains_key("backup.recipients") {
        return false;
    }
    let wanted = loaded.config.backup.recipients.iter().chain(further);
    let wanted: BTreeSet<&str> = wanted.map(String::as_str).collect();
    wanted != *readers
}

async fn list(global: &Global) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let answer = client.get("/api/v1/backups", &[]).await;
    client.close().await?;
    let answer = answer?;
    if global.json {
        output::json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    if items(&answer).is_empty() {
        output::line("There are no backups: `actifix backup create` makes one.")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut sheet = Sheet::new(&[
        ("NAME", Fit::Whole),
        ("MADE", Fit::Whole),
        ("BYTES", Fit::Whole),
        ("VERIFIED", Fit::Whole),
        ("PROBLEM", Fit::Cut),
    ]);
    for item in items(&answer) {
        let verified = ago(item, "verified_at");
        sheet.row([
            text(item, "name").to_owned(),
            ago(item, "created_at"),
            grouped(number(item, "size")),
            if verified.is_empty() { "never".to_owned() } else { verified },
            text(item, "problem").to_owned(),
        ]);
    }
    output::line(sheet.render())?;
    Ok(ExitCode::SUCCESS)
}

async fn verify(global: &Global, name: Option<&str>) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let path = format!("/api/v1/backups/{}/verify", encoded(name.unwrap_or("latest")));
    let verdict = client.post_long(&path, &json!({})).await;
    client.close().await?;
    tell(global, &verdict?)
}

/// Without a server. Who made it, and whether the audit log's chain is whole, can be told where the root key is at hand.
fn verify_file(global: &Global, file: &Path, identity: &Path) -> Result<ExitCode, CliError> {
    let identities = Identities::from_file(identity).map_err(CliError::usage)?;
    let home = Home::at(&global.home);
    let sources = wire::key_sources(Ask::Nobody);
    let file = found(global, file);
    let trust = Trust::AtHand {
        home: &home,
        present: &home,
        sources: &sources,
        backup: &file,
        identities: &identities,
    };
    let verdict = backup::verify(&file, &identities, &trust).map_err(cannot_read)?;
    tell(global, &json!(verdict))
}

fn tell(global: &Global, verdict: &Value) -> Result<ExitCode, CliError> {
    let intact = verdict.get("intact").and_then(Value::as_bool).unwrap_or(false);
    if global.json {
        output::json(verdict)?;
    } else {
        let many = |table: &str| verdict.get("counts").map_or(0, |counts| number(counts, table));
        if intact {
            output::line(format!(
                "{}: whole; {}, {}, audit log up to {}{}",
                text(verdict, "name"),
                plural(many("events"), "event", "events"),
                plural(many("tickets"), "ticket", "tickets"),
                grouped(number(verdict, "audit_head")),
                if verdict.get("audit_verified") == Some(&Value::Bool(true)) {
                    ", its chain whole"
                } else {
                    ""
                },
            ))?;
            tell_unchecked(verdict);
            tell_former_key(verdict);
        }
        for fault in verdict.get("faults").and_then(Value::as_array).into_iter().flatten() {
            output::line(format!("{}: {}", text(verdict, "name"), fault.as_str().unwrap_or_default()))?;
        }
    }
    Ok(if intact { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Says so where nobody could tell who made it.
fn tell_unchecked(verdict: &Value) {
    if text(verdict, "authenticity") == "not_checked" {
        output::note(
            "authenticity not checked: root key absent; whoever knows the recipients could have made it: give the key in ACTIFIX_MASTER_KEY_FILE to check",
        );
    }
}

/// Says so where it was made before the root key was changed.
fn tell_former_key(verdict: &Value) {
    let former = text(verdict, "former_root_key");
    if !former.is_empty() {
        output::note(format!(
            "made under the former root key {former}: the present one opens it where a later backup lies beside it, or \
             with the home; alone it takes {former}"
        ));
    }
}

fn restore(global: &Global, file: &Path, identity: &Path, to: Option<PathBuf>) -> Result<ExitCode, CliError> {
    crate::process::keep_files_private();
    let identities = Identities::from_file(identity).map_err(CliError::usage)?;
    let home = Home::at(to.unwrap_or_else(|| global.home.clone()));
    let file = found(global, file);
    let (present, sources) = (Home::at(&global.home), wire::key_sources(Ask::Nobody));
    let done =
        backup::restore(&file, &identities, &home, &present, &sources).map_err(|error| match error {
            RestoreError::Read(error) => cannot_read(error),
            RestoreError::Occupied(_) => CliError::new(exit::CANNOT_CREATE, error.to_string()),
            RestoreError::Unsound(_) => CliError::new(1, error.to_string()),
            RestoreError::Io { .. } => CliError::new(exit::IO, error.to_string()),
        })?;
    let vault = HomeVault::inspect(&home.private(), true, &wire::key_sources(Ask::Terminal));
    let verdict = json!(done.verdict);
    if global.json {
        output::json(&json!({
            "home": home.root(), "verdict": verdict, "root_key": vault.state, "kept_config": done.kept_config,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(format!(
        "{}: made from the backup of {} UTC",
        home.root().display(),
        time(&verdict, "created_at")
    ))?;
    tell_unchecked(&verdict);
    if done.kept_config {
        output::note("actifix.toml was there and stays; that of the backup was not taken");
    }
    let former = text(&verdict, "former_root_key");
    if !former.is_empty() {
        output::note(format!(
            "it was made under the former root key {former}; this home takes the present one"
        ));
    }
    if vault.state != "open" {
        output::note(format!(
            "next: put root key {} where the vault looks for it ({}), or give it in ACTIFIX_MASTER_KEY_FILE; if the \
             root key was changed since and that one is gone, restore anew with the present one in \
             ACTIFIX_MASTER_KEY_FILE and a later backup beside this one",
            vault.key_id.as_deref().unwrap_or_default(),
            vault.place
        ));
    }
    output::note(
        "then start the server; sessions are ended; tokens that were revoked since the backup are valid again: `actifix token list`, `actifix token revoke`",
    );
    Ok(ExitCode::SUCCESS)
}

/// A name that is no file here is looked for among the backups of the home.
fn found(global: &Global, file: &Path) -> PathBuf {
    let in_home = Home::at(&global.home).backups().join(file);
    if !file.exists() && file.components().count() == 1 && in_home.exists() {
        in_home
    } else {
        file.to_owned()
    }
}

fn cannot_read(error: ReadError) -> CliError {
    let code = match &error {
        ReadError::Io { .. } => exit::IO,
        ReadError::WrongKey | ReadError::Newer { .. } => exit::USAGE,
        ReadError::Damaged(_) => 1,
    };
    CliError::new(code, error.to_string())
}
