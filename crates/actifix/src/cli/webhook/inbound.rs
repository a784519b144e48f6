//! `actifix webhook inbound …`

use super::super::client::{Client, encoded};
use super::super::output::{self, ago, items, number, text};
use super::super::sheet::{Fit, Sheet};
use super::super::{CliError, Global};
use super::said;
use clap::Subcommand;
use serde_json::json;

/// Sources of signed requests.
#[derive(Debug, Subcommand)]
pub enum InboundCommand {
    /// Sources of signed requests.
    #[command(after_help = "Example:\n  actifix webhook inbound list")]
    List,
    /// Add a source. Its secret is shown once.
    #[command(
        after_help = "Examples:\n  actifix webhook inbound add github --kind github --target acme/shop --project shop\n  actifix webhook inbound add ci --kind standard"
    )]
    Add {
        /// Name; requests come to /hooks/NAME.
        name: String,
        /// github or standard (Standard Webhooks).
        #[arg(long)]
        kind: String,
        /// The project whose tickets it may work on.
        #[arg(long, default_value = "default")]
        project: String,
        /// Kind github: the one repository that is believed, owner/repository.
        #[arg(long)]
        target: Option<String>,
    },
    /// Remove a source.
    #[command(after_help = "Example:\n  actifix webhook inbound remove ci")]
    Remove {
        /// Which.
        name: String,
    },
}

pub(super) async fn run(global: &Global, command: InboundCommand, client: &Client) -> Result<(), CliError> {
    match command {
        InboundCommand::List => {
            let answer = client.get("/api/v1/inbound", &[]).await?;
            if global.json {
                return output::json(&answer);
            }
            let mut sheet = Sheet::new(&[
                ("NAME", Fit::Whole),
                ("KIND", Fit::Whole),
                ("PROJECT", Fit::Whole),
                ("REPOSITORY", Fit::Whole),
                ("LAST USED", Fit::Spare(1)),
            ]);
            for item in items(&answer) {
                sheet.row([
                    text(item, "name").to_owned(),
                    text(item, "kind").to_owned(),
                    number(item, "project").to_string(),
                    text(item, "target").to_owned(),
                    ago(item, "last_used_at"),
                ]);
            }
            output::line(sheet.render())
        }
        InboundCommand::Add { name, kind, project, target } => {
            let body = json!({ "name": name, "kind": kind, "project": project, "target": target });
            let made = client.post("/api/v1/inbound", &body).await?;
            if global.json {
                return output::json(&made);
            }
            output::line(format!("added {name}; let the sender post to {}", text(&made, "url")))?;
            output::line(format!("secret, shown only now: {}", text(&made, "secret")))
        }
        InboundCommand::Remove { name } => {
            client.delete(&format!("/api/v1/inbound/{}", encoded(&name))).await?;
            said(global, &json!({ "removed": name }), format!("removed {name}"))
        }
    }
}
