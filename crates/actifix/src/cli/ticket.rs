//! `actifix ticket …`

mod list;
mod show;

use super::client::{Client, encoded};
use super::ids;
use super::output::{self, number, text, time};
use super::{CliError, Global};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Work on tickets.
#[derive(Debug, Subcommand)]
pub enum TicketCommand {
    /// Search tickets.
    #[command(after_help = list::EXAMPLES, after_long_help = list::LONG_HELP)]
    List(list::ListArgs),
    /// One ticket: what, where, how often, why grouped so.
    #[command(after_help = "Example:\n  actifix ticket show 7K3QF")]
    Show {
        /// Ticket id, or its end.
        id: String,
    },
    /// Take a lease.
    #[command(after_help = "Example:\n  actifix ticket claim 7K3QF --minutes 60")]
    Claim {
        /// Ticket id, or its end.
        id: String,
        /// Minutes, 1 to 240.
        #[arg(long, default_value_t = 30)]
        minutes: u32,
    },
    /// Prolong a lease.
    #[command(after_help = "Example:\n  actifix ticket renew 7K3QF")]
    Renew {
        /// Ticket id, or its end.
        id: String,
        #[command(flatten)]
        lease: LeaseArgs,
        /// Minutes from now, 1 to 240.
        #[arg(long, default_value_t = 30)]
        minutes: u32,
    },
    /// End a lease.
    #[command(after_help = "Example:\n  actifix ticket release 7K3QF --reason 'needs the payment team'")]
    Release {
        /// Ticket id, or its end.
        id: String,
        #[command(flatten)]
        lease: LeaseArgs,
        /// Why, and what was learned.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Add a note.
    #[command(after_help = "Example:\n  actifix ticket note 7K3QF 'happens only behind the proxy'")]
    Note {
        /// Ticket id, or its end.
        id: String,
        /// The note.
        text: String,
        #[command(flatten)]
        lease: LeaseArgs,
    },
    /// Resolve it with evidence.
    #[command(
        after_help = "Examples:\n  actifix ticket complete 7K3QF --root-cause 'timeout was 2 s' \\\n      --commit 3f2a91c --no-test-reason 'configuration only' --resolved-in web@5.1.1\n  actifix ticket complete 7K3QF --root-cause 'timeout was 2 s' \\\n      --commit 3f2a91c --no-test-reason 'configuration only' --in-next-release\n  actifix ticket complete 7K3QF --root-cause 'the mount was full' \\\n      --no-commit-reason 'nothing to change in code' --no-test-reason 'operations only'"
    )]
    Complete(CompleteArgs),
    /// Let agents have it.
    #[command(
        after_help = "Examples:\n  actifix ticket approve 7K3QF\n  actifix ticket approve 7K3QF --withdraw    take it back"
    )]
    Approve {
        /// Ticket id, or its end.
        id: String,
        /// Take the approval back: agents get it only if its events suffice.
        #[arg(long)]
        withdraw: bool,
    },
    /// Open it again.
    #[command(after_help = "Example:\n  actifix ticket reopen 7K3QF")]
    Reopen {
        /// Ticket id, or its end.
        id: String,
    },
    /// Only count its events from now on.
    #[command(after_help = "Example:\n  actifix ticket ignore 7K3QF")]
    Ignore {
        /// Ticket id, or its end.
        id: String,
    },
    /// Give it to somebody.
    #[command(after_help = "Example:\n  actifix ticket assign 7K3QF jo")]
    Assign {
        /// Ticket id, or its end.
        id: String,
        /// Name; none clears it.
        assignee: Option<String>,
    },
    /// Take other tickets over.
    #[command(after_help = "Example:\n  actifix ticket merge 7K3QF 0M2XA")]
    Merge {
        /// Ticket that stays.
        into: String,
        /// Tickets that become part of it.
        #[arg(required = true)]
        from: Vec<String>,
    },
    /// Pin one of its keys to a ticket of its own.
    #[command(after_help = "Example:\n  actifix ticket split 7K3QF 5c7bfa06bf4c6b5606214cd661dadf56")]
    Split {
        /// Ticket id, or its end.
        id: String,
        /// Fingerprint, as `ticket show` lists them.
        fingerprint: String,
    },
}

/// Which lease a write belongs to.
#[derive(Debug, Args)]
pub struct LeaseArgs {
    /// Id of the lease.
    #[arg(long, env = "ACTIFIX_LEASE", requires = "fence")]
    lease: Option<String>,
    /// Its fencing number.
    #[arg(long, env = "ACTIFIX_FENCE", requires = "lease")]
    fence: Option<u64>,
}

/// Evidence.
#[derive(Debug, Args)]
pub struct CompleteArgs {
    /// Ticket id, or its end.
    id: String,
    /// What was wrong, in words.
    #[arg(long)]
    root_cause: String,
    /// Commit of the fix.
    #[arg(long)]
    commit: Option<String>,
    /// Why there is no commit.
    #[arg(long, conflicts_with = "commit")]
    no_commit_reason: Option<String>,
    /// Proof by a test: JSON of two runs of one command, as the API takes it.
    #[arg(long, value_name = "JSON")]
    test: Option<String>,
    /// Why there is no test.
    #[arg(long, conflicts_with = "test")]
    no_test_reason: Option<String>,
    /// Release that ships the fix.
    #[arg(long)]
    resolved_in: Option<String>,
    /// The next release ships the fix: events of those known now do not reopen it, the first of a newer one does.
    #[arg(long, conflicts_with = "resolved_in")]
    in_next_release: bool,
    #[command(flatten)]
    lease: LeaseArgs,
}

impl LeaseArgs {
    fn lay(&self, body: &mut Value) {
        if let (Some(map), Some(lease), Some(fence)) = (body.as_object_mut(), &self.lease, self.fence) {
            map.insert("lease_id".into(), json!(lease));
            map.insert("fence".into(), json!(fence));
        }
    }
}

/// Runs the command.
pub async fn run(global: &Global, command: TicketCommand) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let result = dispatch(global, &client, command).await;
    client.close().await?;
    result.map(|()| ExitCode::SUCCESS)
}

async fn dispatch(global: &Global, client: &Client, command: TicketCommand) -> Result<(), CliError> {
    match command {
        TicketCommand::List(args) => list::list(global, client, &args).await,
        TicketCommand::Show { id } => show::show(global, client, &id).await,
        TicketCommand::Claim { id, minutes } => {
            let id = ids::ticket(client, &id).await?;
            let answer = client.post(&path(&id, "/claim"), &json!({ "minutes": minutes })).await?;
            lease(global, &answer)
        }
        TicketCommand::Renew { id, lease: proof, minutes } => {
            let id = ids::ticket(client, &id).await?;
            let mut body = json!({ "minutes": minutes });
            proof.lay(&mut body);
            let answer = client.post(&path(&id, "/renew"), &body).await?;
            lease(global, &answer)
        }
        TicketCommand::Release { id, lease, reason } => {
            let mut body = json!({ "reason": reason });
            lease.lay(&mut body);
            act(global, client, &id, "/release", &body).await
        }
        TicketCommand::Note { id, text, lease } => {
            let mut body = json!({ "text": text });
            lease.lay(&mut body);
            act(global, client, &id, "/notes", &body).await
        }
        TicketCommand::Complete(args) => complete(global, client, args).await,
        TicketCommand::Approve { id, withdraw } => {
            let answer = sent(client, &id, "/approve", &json!({ "approved": !withdraw })).await?;
            tell(global, &answer)?;
            if global.json { Ok(()) } else { output::line(agents(&answer)) }
        }
        TicketCommand::Reopen { id } => act(global, client, &id, "/reopen", &json!({})).await,
        TicketCommand::Ignore { id } => act(global, client, &id, "/ignore", &json!({})).await,
        TicketCommand::Assign { id, assignee } => {
            act(global, client, &id, "/assign", &json!({ "assignee": assignee })).await
        }
        TicketCommand::Merge { into, from } => {
            let mut whole = Vec::with_capacity(from.len());
            for typed in &from {
                whole.push(ids::ticket(client, typed).await?);
            }
            let answer = sent(client, &into, "/merge", &json!({ "from": whole })).await?;
            tell(global, &answer)?;
            if !global.json && answer.get("approval_ended") == Some(&Value::Bool(true)) {
                output::note(format!(
                    "the approval for agents ended: not all of these tickets had one. {}; look at what came in, then `actifix ticket approve {}`",
                    agents(&answer),
                    text(&answer, "id")
                ));
            }
            Ok(())
        }
        TicketCommand::Split { id, fingerprint } => {
            act(global, client, &id, "/split", &json!({ "fingerprint": fingerprint })).await
        }
    }
}

fn path(id: &str, tail: &str) -> String {
    format!("/api/v1/tickets/{}{tail}", encoded(id))
}

async fn act(global: &Global, client: &Client, id: &str, tail: &str, body: &Value) -> Result<(), CliError> {
    tell(global, &sent(client, id, tail, body).await?)
}

async fn sent(client: &Client, id: &str, tail: &str, body: &Value) -> Result<Value, CliError> {
    let id = ids::ticket(client, id).await?;
    client.post(&path(&id, tail), body).await
}

/// What the ticket is after an act.
fn tell(global: &Global, answer: &Value) -> Result<(), CliError> {
    if global.json {
        return output::json(answer);
    }
    output::line(format!("{} {} {}", text(answer, "id"), text(answer, "status"), text(answer, "title")))
}

/// Whether agents may have a ticket, and why.
fn agents(ticket: &Value) -> String {
    format!("agents: {} ({})", text(ticket, "approval").replace('_', " "), text(ticket, "approval_reason"))
}

async fn complete(global: &Global, client: &Client, args: CompleteArgs) -> Result<(), CliError> {
    let test: Value = match &args.test {
        Some(text) => {
            serde_json::from_str(text).map_err(|error| CliError::usage(format!("--test: {error}")))?
        }
        None => Value::Null,
    };
    let mut body = json!({
        "root_cause": args.root_cause,
        "commit": args.commit,
        "no_commit_reason": args.no_commit_reason,
        "test": test,
        "no_test_reason": args.no_test_reason,
        "resolved_in": args.resolved_in,
        "in_next_release": args.in_next_release,
    });
    args.lease.lay(&mut body);
    act(global, client, &args.id, "/complete", &body).await
}

fn lease(global: &Global, answer: &Value) -> Result<(), CliError> {
    if global.json {
        return output::json(answer);
    }
    output::line(format!(
        "leased until {} (lease {}, fence {})",
        time(answer, "expires_at"),
        text(answer, "lease_id"),
        number(answer, "fence")
    ))
}
