//! `actifix token keys …`

use super::client::Client;
use super::output::{self, items, text, time};
use super::sheet::{Fit, Sheet};
use super::{CliError, Global};
use clap::Subcommand;
use serde_json::{Value, json};

/// Keys that sign short-lived tokens.
#[derive(Debug, Subcommand)]
pub enum SigningKeyCommand {
    /// The key that signs, and the former one while it still verifies.
    #[command(after_help = "Example:\n  actifix token keys list")]
    List,
    /// Take a new key into use; this also happens every 30 days by itself.
    #[command(
        after_help = "Examples:\n  actifix token keys rotate\n  actifix token keys rotate --now      (a key may be known: all short-lived tokens end)"
    )]
    Rotate {
        /// Former keys end at once, and with them all short-lived tokens.
        #[arg(long)]
        now: bool,
    },
}

/// `actifix token keys …`
pub async fn run(global: &Global, client: &Client, command: SigningKeyCommand) -> Result<(), CliError> {
    match command {
        SigningKeyCommand::List => {
            let answer = client.get("/api/v1/signing-keys", &[]).await?;
            if global.json { output::json(&answer) } else { table(items(&answer)) }
        }
        SigningKeyCommand::Rotate { now } => {
            let answer = client.post("/api/v1/signing-keys/rotate", &json!({ "now": now })).await?;
            if global.json { output::json(&answer) } else { table(&[answer]) }
        }
    }
}

fn table(keys: &[Value]) -> Result<(), CliError> {
    let mut sheet = Sheet::new(&[("KEY", Fit::Whole), ("MADE (UTC)", Fit::Whole), ("STATE", Fit::Whole)]);
    for key in keys {
        let retires = time(key, "retires_at");
        let state = match key.get("retires_at").and_then(Value::as_str) {
            Some(_) => format!("verifies until {retires}"),
            None => "signs".to_owned(),
        };
        sheet.row([text(key, "id").to_owned(), time(key, "created_at"), state]);
    }
    output::line(sheet.render())
}
