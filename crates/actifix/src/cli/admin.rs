//! `actifix admin …`, `actifix user …`, `actifix sessions …`
//!
//! Passwords come from a terminal without echo, or from standard input; never from arguments or the environment,
//! which other processes and histories see.

use super::client::{Client, encoded};
use super::ids;
use super::output::{self, ago, items, number, text, time};
use super::sheet::{Fit, Look, Sheet};
use super::totp::{TotpCommand, totp};
use super::{CliError, Global};
use crate::terminal::{is_piped, read_secret};
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read};
use std::process::ExitCode;

/// Largest password that is read from standard input, bytes; one more shows that it is too large.
const INPUT_BYTES_MAX: u64 = 1_026;

/// The administrator's account.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Set the password of the account `admin`; ends its sessions.
    #[command(
        after_help = "Examples:\n  actifix admin set-password\n  pass show actifix | actifix admin set-password --stdin"
    )]
    SetPassword {
        /// Read it from standard input, which must be one line, and do not ask; without a terminal that is so anyway.
        #[arg(long)]
        stdin: bool,
    },
}

/// Accounts of people.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make an account; asks for its password.
    #[command(after_help = "Example:\n  actifix user create jo --role operator")]
    Create {
        /// Letters, digits, `.`, `_`, `-`.
        name: String,
        /// What they may do.
        #[arg(long, value_enum, default_value = "viewer")]
        role: UserRole,
        /// Read the password from standard input, as `admin set-password` does.
        #[arg(long)]
        stdin: bool,
    },
    /// All accounts.
    #[command(after_help = "Example:\n  actifix user list")]
    List,
    /// Give another role; ends their sessions.
    #[command(after_help = "Example:\n  actifix user set-role jo admin")]
    SetRole {
        /// Name.
        name: String,
        /// What they may do.
        #[arg(value_enum)]
        role: UserRole,
    },
    /// Close an account; ends its sessions at once.
    #[command(after_help = "Example:\n  actifix user disable jo")]
    Disable {
        /// Name.
        name: String,
    },
    /// Open a closed account again.
    #[command(after_help = "Example:\n  actifix user enable jo")]
    Enable {
        /// Name.
        name: String,
    },
    /// Let an account in again that failed too often.
    #[command(after_help = "Example:\n  actifix user unlock jo")]
    Unlock {
        /// Name.
        name: String,
    },
    /// Second factors: one-time passwords of an authenticator app.
    #[command(subcommand, after_help = "Example:\n  actifix user totp enrol jo")]
    Totp(TotpCommand),
    /// Set a password; ends their sessions.
    #[command(after_help = "Example:\n  actifix user passwd jo")]
    Passwd {
        /// Name.
        name: String,
        /// Read the password from standard input, as `admin set-password` does.
        #[arg(long)]
        stdin: bool,
    },
}

/// Roles of people.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum UserRole {
    /// Reads.
    Viewer,
    /// Works and triages tickets.
    Operator,
    /// All.
    Admin,
}

impl UserRole {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// Logins that go on.
#[derive(Debug, Subcommand)]
pub enum SessionsCommand {
    /// All of them.
    #[command(after_help = "Example:\n  actifix sessions list")]
    List,
    /// End one at once, or all.
    #[command(
        after_help = "Examples:\n  actifix sessions kill 0123456789abcdef\n  actifix sessions kill --all"
    )]
    Kill {
        /// Id of a session.
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// All sessions of everybody.
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

/// `actifix admin …`
pub async fn admin(global: &Global, command: AdminCommand) -> Result<ExitCode, CliError> {
    let AdminCommand::SetPassword { stdin } = command;
    let password = password(stdin)?;
    let client = Client::connect(global).await?;
    let answer = client.post("/api/v1/users/admin/password", &json!({ "password": password })).await;
    client.close().await?;
    let answer = answer?;
    if global.json {
        output::json(&answer)?
    } else {
        output::line("the password of admin is set")?
    }
    Ok(ExitCode::SUCCESS)
}

/// `actifix user …`
pub async fn user(global: &Global, command: UserCommand) -> Result<ExitCode, CliError> {
    if let UserCommand::Totp(command) = command {
        totp(global, command).await?;
        return Ok(ExitCode::SUCCESS);
    }
    // Before the home is opened: whoever is asked may take their time.
    let password = match &command {
        UserCommand::Create { stdin, .. } | UserCommand::Passwd { stdin, .. } => Some(password(*stdin)?),
        _ => None,
    };
    let client = Client::connect_existing(global).await?;
    let result = user_command(&client, command, password).await;
    client.close().await?;
    let answer = result?;
    if global.json {
        output::json(&answer)?
    } else {
        users(&answer)?
    }
    Ok(ExitCode::SUCCESS)
}

async fn user_command(
    client: &Client,
    command: UserCommand,
    password: Option<String>,
) -> Result<Value, CliError> {
    let path = |name: &str| format!("/api/v1/users/{}", encoded(name));
    match command {
        UserCommand::Create { name, role, .. } => {
            let body = json!({ "name": name, "role": role.as_str(), "password": password });
            client.post("/api/v1/users", &body).await
        }
        UserCommand::List | UserCommand::Totp(_) => client.get("/api/v1/users", &[]).await,
        UserCommand::SetRole { name, role } => {
            client.patch(&path(&name), &json!({ "role": role.as_str() })).await
        }
        UserCommand::Disable { name } => client.patch(&path(&name), &json!({ "disabled": true })).await,
        UserCommand::Enable { name } => client.patch(&path(&name), &json!({ "disabled": false })).await,
        UserCommand::Unlock { name } => client.patch(&path(&name), &json!({ "unlock": true })).await,
        UserCommand::Passwd { name, .. } => {
            client.post(&format!("{}/password", path(&name)), &json!({ "password": password })).await
        }
    }
}

fn users(answer: &Value) -> Result<(), CliError> {
    let one = [answer.clone()];
    let rows = if answer.get("items").is_some() { items(answer) } else { &one };
    let mut sheet = Sheet::new(&[
        ("NAME", Fit::Cut),
        ("ROLE", Fit::Whole),
        ("STATE", Fit::Whole),
        ("SECOND FACTOR", Fit::Spare(3)),
        ("FAILURES", Fit::Spare(1)),
        ("PASSWORD SET (UTC)", Fit::Spare(2)),
    ]);
    for item in rows {
        let is = |name: &str| item.get(name).and_then(Value::as_bool).unwrap_or(false);
        let state = match text(item, "disabled_at") {
            "" if is("locked") => "locked",
            "" => "open",
            _ => "disabled",
        };
        sheet.row([
            text(item, "name").to_owned(),
            text(item, "role").to_owned(),
            state.to_owned(),
            if is("second_factor") { "totp" } else { "" }.to_owned(),
            number(item, "failures").to_string(),
            time(item, "password_at"),
        ]);
        if state != "open" {
            sheet.look(2, Look::Strong);
        }
    }
    sheet.print("No accounts yet: set the administrator's password with `actifix admin set-password`.")
}

/// `actifix sessions …`
pub async fn sessions(global: &Global, command: SessionsCommand) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let result = match command {
        SessionsCommand::List => client.get("/api/v1/sessions", &[("all", "true")]).await,
        SessionsCommand::Kill { id, .. } => kill(&client, id).await,
    };
    client.close().await?;
    let answer = result?;
    if global.json {
        output::json(&answer)?;
    } else if answer.get("items").is_some() {
        let mut sheet = Sheet::new(&[
            ("ID", Fit::Start(8)),
            ("USER", Fit::Cut),
            ("SINCE", Fit::Spare(2)),
            ("SEEN", Fit::Whole),
            ("FROM", Fit::Spare(1)),
        ]);
        for item in items(&answer) {
            sheet.row([
                text(item, "id").to_owned(),
                text(item, "user").to_owned(),
                ago(item, "created_at"),
                ago(item, "seen_at"),
                text(item, "network").to_owned(),
            ]);
        }
        sheet.print("Nobody is logged in.")?;
    } else {
        output::line("ended")?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn kill(client: &Client, id: Option<String>) -> Result<Value, CliError> {
    let id = match id {
        Some(typed) => {
            let path = "/api/v1/sessions?all=true";
            ids::listed(client, path, "session", &typed, "actifix sessions list").await?
        }
        None => "all".to_owned(),
    };
    client.delete(&format!("/api/v1/sessions/{}", encoded(&id))).await
}

/// A password from standard input, which is one line, or asked for twice without echo.
fn password(stdin: bool) -> Result<String, CliError> {
    if stdin || is_piped() {
        let mut bytes = Vec::new();
        std::io::stdin().take(INPUT_BYTES_MAX).read_to_end(&mut bytes).map_err(CliError::other)?;
        let mut text = String::from_utf8(bytes).map_err(|_| CliError::usage("the password is not UTF-8"))?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        if text.is_empty() {
            return Err(CliError::usage(
                "no password: standard input is empty; pipe one in, or run it on a terminal to be asked",
            ));
        }
        if text.contains('\n') {
            return Err(CliError::usage(
                "standard input holds more than one line and a password is one: send that line alone; nothing was changed",
            ));
        }
        return Ok(text);
    }
    let first = asked("new password (not shown): ")?;
    if first != asked("again: ")? {
        return Err(CliError::usage("the two are not the same: nothing was changed"));
    }
    Ok(first)
}

/// A password from the terminal, without echo.
pub(super) fn asked(prompt: &str) -> Result<String, CliError> {
    match read_secret(prompt) {
        Ok(line) => Ok(line.as_str().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(CliError::usage("no terminal to ask for the password: pipe it in"))
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => {
            Err(CliError::usage("interrupted: nothing was changed"))
        }
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err(CliError::usage("the password is not UTF-8"))
        }
        Err(error) => Err(CliError::other(error)),
    }
}
