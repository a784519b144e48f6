//! `actifix secrets …`: the credential store and the root key above it.

use super::client::{Client, encoded};
use super::output::{self, items, number, text};
use super::sheet::{Fit, Sheet};
use super::{CliError, Global};
use crate::home::Home;
use crate::system::{SystemClock, SystemIds};
use crate::terminal::is_piped;
use crate::vault::{self, Ask, Backend, HomeVault, Wish, ask_terminal, read_private_text};
use crate::wire;
use actifix_app::ports::{Clock, VaultStatus};
use actifix_app::secrets::{SECRET_BYTES_MAX, SecretName, SecretText};
use actifix_domain::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};
use clap::{Args, Subcommand};
use console::style;
use serde_json::{Value, json};
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Most bytes that are read of a value: a line break at its end is no part of it.
const INPUT_BYTES_MAX: u64 = SECRET_BYTES_MAX as u64 + 3;
/// Largest file with a new key or passphrase, bytes.
const NEW_KEY_BYTES_MAX: usize = 4 << 10;

/// The credential store.
#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Choose where the root key of a new home comes from. Without this the first start makes a key file.
    #[command(
        after_help = "Examples:\n  actifix secrets init --backend keyring\n  actifix secrets init --backend file --key-file /etc/actifix/root.key\n  actifix secrets init --backend passphrase\n  ACTIFIX_MASTER_KEY_FILE=/run/keys/root actifix secrets init --backend environment"
    )]
    Init(InitArgs),
    /// Store a secret, or replace it. The value is asked for without echo, or read from standard input.
    #[command(
        after_help = "Examples:\n  actifix secrets set smtp.password\n  pass show slack | actifix secrets set slack-webhook\nIn actifix.toml it is then `secret:slack-webhook`."
    )]
    Set {
        /// Lower-case letters, digits, `.`, `_`, `-`.
        name: String,
        /// Read the value from standard input and do not ask; without a terminal that is so anyway. One line break at
        /// its end is dropped.
        #[arg(long)]
        stdin: bool,
    },
    /// Show a secret, on a terminal only.
    #[command(after_help = "Example:\n  actifix secrets get smtp.password")]
    Get {
        /// Which.
        name: String,
    },
    /// Names, ages and sizes; never values.
    #[command(after_help = "Example:\n  actifix secrets list --json")]
    List,
    /// Remove a secret.
    #[command(after_help = "Example:\n  actifix secrets remove smtp.password")]
    Remove {
        /// Which.
        name: String,
    },
    /// Where the root key comes from and whether it opens the vault; exit code 1 when it does not.
    #[command(after_help = "Example:\n  actifix secrets status --json")]
    Status,
    /// Give the installation a new root key, or move it to another backend. Everything stays readable.
    #[command(
        after_help = "Examples:\n  actifix secrets rotate-key\n  actifix secrets rotate-key --backend keyring\n  openssl rand -hex 32 > /run/keys/new && chmod 0400 /run/keys/new\n  actifix secrets rotate-key --backend environment --new-key-file /run/keys/new"
    )]
    RotateKey(RotateArgs),
}

/// Arguments of `secrets init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// file, keyring, systemd, passphrase or environment.
    #[arg(long)]
    backend: String,
    /// Where the key file shall lie; default `.actifix/root.key`.
    #[arg(long, value_name = "PATH")]
    key_file: Option<PathBuf>,
}

/// Arguments of `secrets rotate-key`.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// Move the key: file, keyring, systemd, passphrase or environment; default the present one.
    #[arg(long)]
    backend: Option<String>,
    /// Where the new key file shall lie.
    #[arg(long, value_name = "PATH")]
    key_file: Option<PathBuf>,
    /// Private file with the new key (64 hex digits) or passphrase, for systemd, environment and passphrase.
    #[arg(long, value_name = "PATH")]
    new_key_file: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(global: &Global, command: SecretsCommand) -> Result<ExitCode, CliError> {
    match command {
        SecretsCommand::Init(args) => init(global, args)?,
        SecretsCommand::Set { name, stdin } => set(global, &name, stdin).await?,
        SecretsCommand::Get { name } => get(global, &name).await?,
        SecretsCommand::List => list(global).await?,
        SecretsCommand::Remove { name } => remove(global, &name).await?,
        SecretsCommand::Status => return status(global).await,
        SecretsCommand::RotateKey(args) => rotate(global, args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn init(global: &Global, args: InitArgs) -> Result<(), CliError> {
    crate::process::keep_memory_private();
    let home = Home::at(&global.home);
    let backend = Backend::named(&args.backend).map_err(CliError::usage_of)?;
    vault::check_wish(&home.private(), backend, args.key_file.as_deref()).map_err(CliError::usage_of)?;
    home.create().map_err(|error| CliError::io(home.root(), error))?;
    let wish = Wish { backend: Some(backend), key_file: args.key_file };
    let sources = wire::key_sources(Ask::TerminalOrInput);
    let now = SystemClock::new().now();
    let made = HomeVault::create(&home.private(), home.exists(), &wish, &sources, Arc::new(SystemIds), now)
        .map_err(CliError::config)?;
    print_status(global, &json!(made))
}

async fn set(global: &Global, name: &str, stdin: bool) -> Result<(), CliError> {
    let name: SecretName = name.parse()?;
    // A value that cannot be stored is not asked for.
    let client = Client::connect(global).await?;
    let value = if stdin || is_piped() { read_input()? } else { ask_value(&name)? };
    let body = json!({ "name": name.as_str(), "value": value.reveal() });
    let saved = client.post("/api/v1/secrets", &body).await;
    client.close().await?;
    let saved = saved?;
    if global.json {
        return output::json(&saved);
    }
    let done = if number(&saved, "version") > 1 { "replaced" } else { "stored" };
    output::line(format!("{done} {name}; in actifix.toml it is `secret:{name}`"))
}

fn read_input() -> Result<SecretText, CliError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX + 3));
    std::io::stdin().lock().take(INPUT_BYTES_MAX).read_to_end(&mut bytes).map_err(CliError::other)?;
    let text = match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => text,
        Err(error) => {
            let _overwritten = Zeroizing::new(error.into_bytes());
            return Err(CliError::usage("the value is not UTF-8 text: encode it, such as with base64"));
        }
    };
    let value = without_line_break(text);
    if value.reveal().is_empty() {
        return Err(CliError::usage(
            "no value: standard input is empty; pipe the value in, or run it on a terminal to be asked",
        ));
    }
    Ok(value)
}

fn without_line_break(mut text: String) -> SecretText {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    SecretText::new(text)
}

fn ask_value(name: &SecretName) -> Result<SecretText, CliError> {
    ask_terminal(&format!("Value of {name}: "))
        .ok_or_else(|| CliError::usage("no terminal to ask on: send the value to standard input"))
}

async fn get(global: &Global, name: &str) -> Result<(), CliError> {
    let name: SecretName = name.parse()?;
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(CliError::usage(
            "a secret is shown on a terminal only: programs read it through a reference such as `secret:NAME` in actifix.toml",
        ));
    }
    let client = Client::connect_existing(global).await?;
    let answer = reveal(&client, &name).await;
    client.close().await?;
    let answer = answer?;
    output::raw(format!("{}\n", text(&answer, "value")).as_bytes())
}

/// Who reaches the home's own socket is its owner; that it is the person and not a terminal left open is proven by the
/// password of the administrator, once there is one.
async fn reveal(client: &Client, name: &SecretName) -> Result<Value, CliError> {
    let users = client.get("/api/v1/users", &[]).await?;
    let has_admin = output::items(&users)
        .iter()
        .any(|user| text(user, "role") == "admin" && user.get("disabled_at").is_none_or(Value::is_null));
    let password = match has_admin {
        true => Some(
            ask_terminal("Password of the administrator: ")
                .ok_or_else(|| CliError::usage("no terminal to ask for the administrator's password on"))?,
        ),
        false => None,
    };
    let body = json!({ "password": password.as_ref().map(SecretText::reveal) });
    client.post(&format!("/api/v1/secrets/{}/reveal", encoded(name.as_str())), &body).await
}

async fn list(global: &Global) -> Result<(), CliError> {
    let client = Client::connect_existing(global).await?;
    let answer = client.get("/api/v1/secrets", &[]).await;
    client.close().await?;
    let answer = answer?;
    if global.json {
        return output::json(&answer);
    }
    let now = SystemClock::new().now();
    let mut sheet = Sheet::new(&[
        ("NAME", Fit::Whole),
        ("AGE", Fit::Whole),
        ("BYTES", Fit::Spare(1)),
        ("SET (UTC)", Fit::Spare(2)),
    ]);
    for item in output::items(&answer) {
        sheet.row([
            text(item, "name").to_owned(),
            age(now, text(item, "updated_at")),
            output::grouped(number(item, "size")),
            output::time(item, "updated_at"),
        ]);
    }
    sheet.print("The store is empty: `actifix secrets set NAME` puts a secret in; `secret:NAME` in actifix.toml is then its value.")
}

/// `3 d`, `5 h`, `2 min`, `10 s`.
fn age(now: Timestamp, since: &str) -> String {
    let Some(since) = Timestamp::parse(since) else { return String::new() };
    let micros = now.since(since).max(0);
    for (unit, name) in [(DAY, "d"), (HOUR, "h"), (MINUTE, "min")] {
        if micros >= unit {
            return format!("{} {name}", micros / unit);
        }
    }
    format!("{} s", micros / SECOND)
}

async fn remove(global: &Global, name: &str) -> Result<(), CliError> {
    let name: SecretName = name.parse()?;
    let client = Client::connect_existing(global).await?;
    let removed = client.delete(&format!("/api/v1/secrets/{}", encoded(name.as_str()))).await;
    client.close().await?;
    removed?;
    if global.json {
        return output::json(&json!({ "removed": name.as_str() }));
    }
    output::line(format!("removed {name}"))
}

async fn status(global: &Global) -> Result<ExitCode, CliError> {
    let status = current_status(global).await?;
    print_status(global, &json!(status))?;
    Ok(if status.state == "open" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Asks the server if one runs; else looks at the home, which changes nothing there.
async fn current_status(global: &Global) -> Result<VaultStatus, CliError> {
    if let Some(client) = Client::running(global).await? {
        let answer = client.get("/api/v1/vault", &[]).await?;
        return serde_json::from_value(answer).map_err(CliError::other);
    }
    crate::process::keep_memory_private();
    let home = Home::at(&global.home);
    if !home.root().exists() {
        return Err(CliError::no_home(&home));
    }
    Ok(HomeVault::inspect(&home.private(), home.exists(), &wire::key_sources(Ask::Terminal)))
}

fn print_status(global: &Global, status: &Value) -> Result<(), CliError> {
    if global.json {
        return output::json(status);
    }
    let mut lines = Vec::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            lines.push(format!("{} {value}", style(format!("{name:<10}")).dim()));
        }
    };
    line("backend", text(status, "backend"));
    line("place", text(status, "place"));
    line("state", text(status, "state"));
    line("key id", text(status, "key_id"));
    line("recorded", &output::time(status, "recorded_at"));
    line("waiting", text(status, "pending"));
    line("problem", text(status, "problem"));
    output::line(lines.join("\n"))
}

async fn rotate(global: &Global, args: RotateArgs) -> Result<(), CliError> {
    let client = Client::connect_existing(global).await?;
    let result = rotate_with(global, args, &client).await;
    client.close().await?;
    result
}

async fn rotate_with(global: &Global, args: RotateArgs, client: &Client) -> Result<(), CliError> {
    let before: VaultStatus =
        serde_json::from_value(client.get("/api/v1/vault", &[]).await?).map_err(CliError::other)?;
    let name = args.backend.clone().unwrap_or_else(|| before.backend.clone());
    let backend = Backend::named(&name).map_err(CliError::usage_of)?;
    let material = new_material(backend, args.new_key_file.as_deref())?;
    let body = json!({
        "backend": args.backend,
        "key_file": args.key_file,
        "material": material.as_ref().map(SecretText::reveal),
    });
    let after = client.post("/api/v1/vault/rotate", &body).await?;
    print_status(global, &after)?;
    if !text(&after, "pending").is_empty() {
        output::note(
            "the new key takes over at the first start with it; until then the old one opens the home too",
        );
        return Ok(());
    }
    let former = before.key_id.unwrap_or_default();
    output::note(back_up_under(client, text(&after, "key_id"), &former).await);
    Ok(())
}

/// Makes a backup under the new key: by the record in it those of before open too. What came of it, for the person who
/// changed the key, which is done in any case.
async fn back_up_under(client: &Client, key: &str, former: &str) -> String {
    let taken_over = format!("key {key} has taken over from {former}");
    let why = match client.post_long("/api/v1/backups", &json!({ "recipients": [] })).await {
        Ok(made) => {
            let name = text(&made, "name");
            return format!(
                "{taken_over}, and backup {name} was made under it: copy that to where older ones are, which then open \
                 with {key}; where it does not lie beside them they still take {former}"
            );
        }
        Err(error) => error,
    };
    let older = client.get("/api/v1/backups", &[]).await;
    if older.is_ok_and(|older| items(&older).is_empty()) {
        return format!("{taken_over}; a backup that was moved away still takes {former}");
    }
    format!(
        "{taken_over}; older backups take {former} until there is one under the new key, and none could be made ({why}): \
         keep a copy of {former} until `actifix backup create` has made one"
    )
}

/// The new key or passphrase, where the backend cannot be written to.
fn new_material(backend: Backend, file: Option<&Path>) -> Result<Option<SecretText>, CliError> {
    if let Some(path) = file {
        let text = read_private_text(path, NEW_KEY_BYTES_MAX).map_err(CliError::config)?;
        let mut text = text.ok_or_else(|| CliError::io(path, "no such file"))?;
        return Ok(Some(without_line_break(std::mem::take(&mut *text))));
    }
    if backend != Backend::Passphrase {
        return Ok(None);
    }
    let no_terminal = || CliError::usage("no terminal to ask on: name a private file with --new-key-file");
    let first = ask_terminal("New passphrase of the root key: ").ok_or_else(no_terminal)?;
    let second = ask_terminal("Once more: ").ok_or_else(no_terminal)?;
    if first != second {
        return Err(CliError::usage("the two differ: nothing was changed"));
    }
    Ok(Some(first))
}
