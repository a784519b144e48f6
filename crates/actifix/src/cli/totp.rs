//! `actifix user totp …`
//!
//! A second factor belongs to its person: who enrols one proves with the password who they are, whoever owns the home.
//! Only its end may be ordered from outside, for somebody who lost it.

use super::admin::asked;
use super::client::{Client, Person, encoded};
use super::output::{self, text};
use super::{CliError, Global};
use crate::terminal::is_piped;
use clap::Subcommand;
use console::Term;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::{Value, json};
use std::io::{BufRead, Read};

/// Longest line of standard input, bytes.
const LINE_BYTES_MAX: u64 = 1_026;

/// Second factors of people.
#[derive(Debug, Subcommand)]
pub enum TotpCommand {
    /// Use one-time passwords of an authenticator app from now on; asks for the person's password.
    #[command(
        after_help = "Examples:\n  actifix user totp enrol jo\n\nOf standard input the first line is the password, the second one the code, which is read after the secret was printed."
    )]
    Enrol {
        /// Name of the account.
        name: String,
        /// Read the password, then the code, from standard input; without a terminal that is so anyway.
        #[arg(long)]
        stdin: bool,
    },
    /// Ask somebody who lost it for no second factor any more; ends their sessions.
    #[command(after_help = "Example:\n  actifix user totp reset jo")]
    Reset {
        /// Name of the account.
        name: String,
    },
}

/// `actifix user totp …`
pub async fn totp(global: &Global, command: TotpCommand) -> Result<(), CliError> {
    match command {
        TotpCommand::Reset { name } => {
            let client = Client::connect_existing(global).await?;
            let path = format!("/api/v1/users/{}/totp/reset", encoded(&name));
            let result = client.post(&path, &json!({})).await;
            client.close().await?;
            result?;
            match global.json {
                true => output::json(&json!({ "reset": true })),
                false => output::line("no second factor is asked for any more"),
            }
        }
        TotpCommand::Enrol { name, stdin } => {
            let stdin = stdin || is_piped();
            // Before the home is opened: whoever is asked may take their time.
            let password = if stdin { line_of_input()? } else { asked("password (not shown): ")? };
            let client = Client::connect_existing(global).await?;
            let result = enrol(global, &client, &name, &password, stdin).await;
            client.close().await?;
            result
        }
    }
}

async fn enrol(
    global: &Global,
    client: &Client,
    name: &str,
    password: &str,
    stdin: bool,
) -> Result<(), CliError> {
    let person = client.log_in(name, password).await?;
    let result = enrol_as(global, client, &person, password, stdin).await;
    // The session was for this alone.
    let ended = client.post_as(&person, "/api/v1/auth/logout", &json!({})).await;
    result?;
    ended.map(|_| ())
}

async fn enrol_as(
    global: &Global,
    client: &Client,
    person: &Person,
    password: &str,
    stdin: bool,
) -> Result<(), CliError> {
    let begun = client.post_as(person, "/api/v1/auth/totp", &json!({ "password": password })).await?;
    if global.json {
        output::json(&begun)?;
    } else {
        show(&begun)?;
    }
    let code = if stdin {
        line_of_input()?
    } else {
        let term = Term::stderr();
        term.write_str("code of the app: ").and_then(|()| term.read_line()).map_err(CliError::other)?
    };
    let confirmed =
        client.post_as(person, "/api/v1/auth/totp/confirm", &json!({ "code": code.trim() })).await?;
    if global.json {
        return output::json(&confirmed);
    }
    output::line(
        "each login asks for a code from now on. Recovery codes, each good once, shown never again:",
    )?;
    let codes = confirmed.get("recovery_codes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for code in codes {
        output::line(format!("  {}", code.as_str().unwrap_or_default()))?;
    }
    Ok(())
}

fn show(begun: &Value) -> Result<(), CliError> {
    let uri = text(begun, "uri");
    // In a pipe nobody points a camera at it.
    if Term::stdout().is_term()
        && let Ok(code) = QrCode::new(uri.as_bytes())
    {
        output::line(code.render::<Dense1x2>().build())?;
    }
    output::line(format!("secret: {}", text(begun, "secret")))?;
    output::line(format!("uri:    {uri}"))
}

/// One line of standard input, without its end.
fn line_of_input() -> Result<String, CliError> {
    let mut line = String::new();
    std::io::stdin().lock().take(LINE_BYTES_MAX).read_line(&mut line).map_err(CliError::other)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
