//! `actifix identity …`

use super::client::{Client, encoded};
use super::output::{self, ago, items, number, text};
use super::sheet::{Fit, Sheet};
use super::{CliError, Global};
use clap::Subcommand;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Who at the sign-in provider may open which account.
#[derive(Debug, Subcommand)]
pub enum IdentityCommand {
    /// Identities of an account.
    #[command(after_help = "Example:\n  actifix identity list jo")]
    List {
        /// Name of the account.
        name: String,
    },
    /// Let somebody at the provider open an account.
    #[command(after_help = "Example:\n  actifix identity link jo 248289761001")]
    Link {
        /// Name of the account.
        name: String,
        /// The claim `sub` of that person, as the provider shows it.
        subject: String,
    },
    /// Let nobody at the provider open an account any more; ends its sessions.
    #[command(after_help = "Example:\n  actifix identity unlink jo")]
    Unlink {
        /// Name of the account.
        name: String,
    },
}

/// `actifix identity …`
pub async fn run(global: &Global, command: IdentityCommand) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let result = identity(global, &client, command).await;
    client.close().await?;
    result.map(|()| ExitCode::SUCCESS)
}

async fn identity(global: &Global, client: &Client, command: IdentityCommand) -> Result<(), CliError> {
    let path = |name: &str| format!("/api/v1/users/{}/identities", encoded(name));
    match command {
        IdentityCommand::List { name } => {
            let answer = client.get(&path(&name), &[]).await?;
            if global.json { output::json(&answer) } else { table(items(&answer)) }
        }
        IdentityCommand::Link { name, subject } => {
            let answer = client.post(&path(&name), &json!({ "subject": subject })).await?;
            if global.json { output::json(&answer) } else { table(&[answer]) }
        }
        IdentityCommand::Unlink { name } => {
            let answer = client.delete(&path(&name)).await?;
            if global.json {
                return output::json(&answer);
            }
            output::line(format!("unlinked {}", number(&answer, "unlinked")))
        }
    }
}

fn table(identities: &[Value]) -> Result<(), CliError> {
    let mut sheet = Sheet::new(&[("PROVIDER", Fit::Whole), ("SUBJECT", Fit::Whole), ("LINKED", Fit::Whole)]);
    for identity in identities {
        sheet.row([
            text(identity, "issuer").to_owned(),
            text(identity, "subject").to_owned(),
            ago(identity, "created_at"),
        ]);
    }
    output::line(sheet.render())
}
