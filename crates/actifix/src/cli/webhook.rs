//! `actifix webhook …`: who is told of what, and how it goes. Addresses and tokens are read from standard input, a
//! prompt or a reference, never from arguments: those are seen by everybody on the machine.

mod inbound;
mod rule;

use super::client::{Client, encoded};
use super::output::{self, ago, items, number, text};
use super::sheet::{Fit, Look, Sheet};
use super::{CliError, Global};
use crate::config::{SecretRef, environment};
use crate::home::Home;
use crate::terminal::is_piped;
use crate::vault::ask_terminal;
use actifix_app::secrets::SecretText;
use actifix_domain::alert::explain;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{IsTerminal, Read};
use std::process::ExitCode;

/// Most bytes that are read of an address and a token.
const INPUT_BYTES_MAX: u64 = 16 << 10;

/// Who is told of what.
#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// Add a channel. Its address is asked for without echo, read from standard input, or named by a reference.
    #[command(
        after_help = "Examples:\n  pass show slack | actifix webhook add ops --stdin\n  actifix webhook add hook --kind webhook --url-from env:HOOK_URL\n  actifix webhook add phone --url-from file:/run/secrets/ntfy\n  actifix webhook add chat --kind telegram --target -100123 --token-from secret:telegram\n  actifix webhook add team --kind mail --url-from env:SMTP_URL \\\n    --from actifix@example.net --to ops@example.net\n  actifix webhook add issues --kind github --target acme/shop --token-from secret:github"
    )]
    Add(Box<AddArgs>),
    /// Channels and how they do.
    #[command(after_help = "Example:\n  actifix webhook list --json")]
    List,
    /// Send a message that says it is a test; exit code 1 when it does not arrive.
    #[command(after_help = "Example:\n  actifix webhook test ops --yes")]
    Test {
        /// Which.
        name: String,
        /// Yes, although it is a channel of production.
        #[arg(long)]
        yes: bool,
    },
    /// Switch a channel on; its failures are forgotten.
    #[command(after_help = "Example:\n  actifix webhook enable ops")]
    Enable {
        /// Which.
        name: String,
    },
    /// Switch a channel off; what waits for it stays for a day.
    #[command(after_help = "Example:\n  actifix webhook disable ops")]
    Disable {
        /// Which.
        name: String,
    },
    /// Replace the signing secret; the former one signs too for a while.
    #[command(after_help = "Example:\n  actifix webhook rotate hook --overlap 48")]
    Rotate {
        /// Which.
        name: String,
        /// Hours for which the former secret signs too, 0 to 168.
        #[arg(long, value_name = "HOURS", default_value_t = 24)]
        overlap: u32,
    },
    /// What was sent, what waits, what was given up.
    #[command(after_help = "Example:\n  actifix webhook deliveries ops --state dead")]
    Deliveries {
        /// Only of this channel.
        name: Option<String>,
        /// pending, delivered or dead.
        #[arg(long)]
        state: Option<String>,
        /// At most so many, 1 to 200.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Send a delivery again, with its id.
    #[command(after_help = "Example:\n  actifix webhook redeliver msg_5c7bfa06bf4c6b5606214cd661dadf56")]
    Redeliver {
        /// Id, as `webhook deliveries` shows it.
        id: String,
    },
    /// Remove a channel with its deliveries.
    #[command(after_help = "Example:\n  actifix webhook remove ops")]
    Remove {
        /// Which.
        name: String,
    },
    /// Rules: what is told, when, and how often.
    #[command(
        subcommand,
        after_help = "Example:\n  actifix webhook rule dry-run urgent --on new --priority P1"
    )]
    Rule(rule::RuleCommand),
    /// Sources of signed requests to this server.
    #[command(
        subcommand,
        after_help = "Example:\n  actifix webhook inbound add github --kind github --target acme/shop"
    )]
    Inbound(inbound::InboundCommand),
    /// Say nothing about a ticket until one of these comes true; without any for good.
    #[command(
        after_help = "Examples:\n  actifix webhook mute ACT-20261124-7K3QF --until 2026-12-01T08:00:00Z\n  actifix webhook mute ACT-20261124-7K3QF --until-count 1000\n  actifix webhook mute ACT-20261124-7K3QF --until-regression"
    )]
    Mute {
        /// Ticket id.
        id: String,
        /// Until then (RFC 3339).
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// Until it has so many events.
        #[arg(long, value_name = "EVENTS")]
        until_count: Option<u64>,
        /// Until it comes back after being resolved.
        #[arg(long)]
        until_regression: bool,
    },
    /// Say again about a ticket what the rules say.
    #[command(after_help = "Example:\n  actifix webhook unmute ACT-20261124-7K3QF")]
    Unmute {
        /// Ticket id.
        id: String,
    },
}

/// Arguments of `webhook add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Name: lower-case letters, digits, `.`, `_`, `-`.
    name: String,
    /// webhook, slack, discord, teams, ntfy, telegram, mail or github; by default that of the address.
    #[arg(long)]
    kind: Option<String>,
    /// Read the address from standard input and do not ask; a second line is the token. Without a terminal that is so
    /// anyway.
    #[arg(long, conflicts_with_all = ["url_from", "token_from"])]
    stdin: bool,
    /// Where the address is: secret:NAME, env:NAME or file:PATH.
    #[arg(long, value_name = "REFERENCE")]
    url_from: Option<String>,
    /// Where the token or password is: secret:NAME, env:NAME or file:PATH.
    #[arg(long, value_name = "REFERENCE")]
    token_from: Option<String>,
    /// Name at the mail server.
    #[arg(long)]
    username: Option<String>,
    /// Telegram's chat id, GitHub's owner/repository.
    #[arg(long, allow_hyphen_values = true)]
    target: Option<String>,
    /// Sender of mail.
    #[arg(long)]
    from: Option<String>,
    /// Receiver of mail; may be repeated.
    #[arg(long)]
    to: Vec<String>,
    /// Only alerts of this project.
    #[arg(long)]
    project: Option<String>,
    /// Nobody is called out by it: tests need not be confirmed.
    #[arg(long)]
    not_production: bool,
    /// Sign with Ed25519 besides HMAC-SHA256 (kind webhook).
    #[arg(long)]
    ed25519: bool,
}

/// Runs the command.
pub async fn run(global: &Global, command: WebhookCommand) -> Result<ExitCode, CliError> {
    // What cannot be used is not asked for.
    let client = Client::connect_existing(global).await?;
    let result = with(global, command, &client).await;
    client.close().await?;
    result
}

async fn with(global: &Global, command: WebhookCommand, client: &Client) -> Result<ExitCode, CliError> {
    let of = |name: &str, act: &str| format!("/api/v1/webhooks/{}{act}", encoded(name));
    match command {
        WebhookCommand::Add(args) => add(global, *args, client).await?,
        WebhookCommand::List => list(global, client).await?,
        WebhookCommand::Test { name, yes } => return test(global, &name, yes, client).await,
        WebhookCommand::Enable { name } => {
            let view = client.post(&of(&name, "/enable"), &json!({})).await?;
            said(global, &view, format!("{name} is on"))?;
        }
        WebhookCommand::Disable { name } => {
            let view = client.post(&of(&name, "/disable"), &json!({})).await?;
            said(global, &view, format!("{name} is off"))?;
        }
        WebhookCommand::Rotate { name, overlap } => {
            let made = client.post(&of(&name, "/rotate"), &json!({ "overlap_hours": overlap })).await?;
            show_secret(global, &made, &name)?;
        }
        WebhookCommand::Deliveries { name, state, limit } => {
            deliveries(global, client, name.as_deref(), state.as_deref(), limit).await?;
        }
        WebhookCommand::Redeliver { id } => {
            client.post(&format!("/api/v1/deliveries/{}/redeliver", encoded(&id)), &json!({})).await?;
            said(global, &json!({ "redelivered": id }), format!("{id} is sent again"))?;
        }
        WebhookCommand::Remove { name } => {
            client.delete(&of(&name, "")).await?;
            said(global, &json!({ "removed": name }), format!("removed {name}"))?;
        }
        WebhookCommand::Rule(command) => rule::run(global, command, client).await?,
        WebhookCommand::Inbound(command) => inbound::run(global, command, client).await?,
        WebhookCommand::Mute { id, until, until_count, until_regression } => {
            let mute =
                json!({ "until": until, "until_count": until_count, "until_regression": until_regression });
            let answer = client.post(&format!("/api/v1/tickets/{}/mute", encoded(&id)), &mute).await?;
            said(global, &answer, format!("{id} is muted"))?;
        }
        WebhookCommand::Unmute { id } => {
            let answer = client.post(&format!("/api/v1/tickets/{}/unmute", encoded(&id)), &json!({})).await?;
            said(global, &answer, format!("{id} is no longer muted"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn said(global: &Global, value: &Value, line: String) -> Result<(), CliError> {
    if global.json { output::json(value) } else { output::line(line) }
}

async fn add(global: &Global, args: AddArgs, client: &Client) -> Result<(), CliError> {
    let has_own_address = matches!(args.kind.as_deref(), Some("telegram" | "github"));
    let is_referred = args.url_from.is_some() || args.token_from.is_some();
    let (url, token) = if args.stdin || (!is_referred && !has_own_address && is_piped()) {
        let (url, token) = read_lines()?;
        if url.is_none() {
            return Err(CliError::usage(
                "no address: standard input is empty; pipe it in, or name its place with --url-from",
            ));
        }
        (url, token)
    } else {
        let url = match &args.url_from {
            Some(reference) => Some(resolve(global, reference, client).await?),
            None if has_own_address => None,
            None => Some(ask("Address: ", "--url-from or --stdin")?),
        };
        let token = match &args.token_from {
            Some(reference) => Some(resolve(global, reference, client).await?),
            None if has_own_address => Some(ask("Token: ", "--token-from")?),
            None => None,
        };
        (url, token)
    };
    let body = json!({
        "name": args.name,
        "kind": args.kind,
        "url": url.as_ref().map(SecretText::reveal),
        "token": token.as_ref().map(SecretText::reveal),
        "username": args.username,
        "target": args.target,
        "from": args.from,
        "to": args.to,
        "project": args.project,
        "production": !args.not_production,
        "ed25519": args.ed25519,
    });
    let made = client.post("/api/v1/webhooks", &body).await?;
    if global.json {
        return output::json(&made);
    }
    output::line(format!("added {} ({}, {})", args.name, text(&made, "kind"), text(&made, "place")))?;
    if !text(&made, "secret").is_empty() {
        show_secret(global, &made, &args.name)?;
    }
    output::note(format!("try it: actifix webhook test {}", args.name));
    Ok(())
}

fn show_secret(global: &Global, made: &Value, name: &str) -> Result<(), CliError> {
    if global.json {
        return output::json(made);
    }
    output::line(format!("signing secret of {name}, shown only now: {}", text(made, "secret")))?;
    let key = text(made, "public_key");
    if !key.is_empty() {
        output::line(format!("public key (Ed25519): {key}"))?;
    }
    let until = text(made, "former_ends_at");
    if !until.is_empty() {
        let former = if key.is_empty() { "secret signs" } else { "secret and key sign" };
        output::line(format!("the former {former} too until {until}"))?;
    }
    Ok(())
}

/// Address and, on a second line, token.
fn read_lines() -> Result<(Option<SecretText>, Option<SecretText>), CliError> {
    let mut input = String::new();
    std::io::stdin().lock().take(INPUT_BYTES_MAX).read_to_string(&mut input).map_err(CliError::other)?;
    let mut lines = input.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut next = || lines.next().map(|line| SecretText::new(line.to_owned()));
    Ok((next(), next()))
}

fn ask(prompt: &str, otherwise: &str) -> Result<SecretText, CliError> {
    ask_terminal(prompt).ok_or_else(|| CliError::usage(format!("no terminal to ask on: use {otherwise}")))
}

/// What a reference names. A stored secret is read from the server of this home, which alone may tell it.
async fn resolve(global: &Global, reference: &str, client: &Client) -> Result<SecretText, CliError> {
    let reference: SecretRef = reference.parse().map_err(CliError::usage_of)?;
    if let SecretRef::Stored(name) = &reference {
        let path = format!("/api/v1/secrets/{}/reveal", encoded(name.as_str()));
        let answer = client.post(&path, &json!({})).await?;
        return Ok(SecretText::new(text(&answer, "value").to_owned()));
    }
    let home = Home::at(&global.home);
    let found = reference.resolve_outside(home.root(), &environment).map_err(CliError::usage_of)?;
    found.ok_or_else(|| CliError::usage("the reference names nothing"))
}

async fn list(global: &Global, client: &Client) -> Result<(), CliError> {
    let answer = client.get("/api/v1/webhooks", &[]).await?;
    if global.json {
        return output::json(&answer);
    }
    let mut sheet = Sheet::new(&[
        ("NAME", Fit::Whole),
        ("KIND", Fit::Whole),
        ("STATE", Fit::Whole),
        ("PLACE", Fit::Cut),
        ("WAITING", Fit::Spare(2)),
        ("OLDEST", Fit::Spare(3)),
        ("DEAD", Fit::Spare(4)),
        ("LAST SUCCESS", Fit::Spare(1)),
        ("LAST FAILURE", Fit::Spare(5)),
    ]);
    for item in items(&answer) {
        let on = item.get("enabled").and_then(Value::as_bool).unwrap_or_default();
        let (state, look) = match (on, text(item, "breaker")) {
            (false, _) => ("off".to_owned(), Look::Dim),
            (true, "closed") if number(item, "streak") == 0 => ("on".to_owned(), Look::Plain),
            (true, "closed") => (format!("failing ({})", number(item, "streak")), Look::Notice),
            (true, _) => (format!("unreachable ({})", number(item, "streak")), Look::Strong),
        };
        sheet.row([
            text(item, "name").to_owned(),
            text(item, "kind").to_owned(),
            state,
            text(item, "place").to_owned(),
            output::grouped(number(item, "pending")),
            ago(item, "oldest_pending_at"),
            output::grouped(number(item, "dead")),
            ago(item, "last_success_at"),
            text(item, "last_failure").to_owned(),
        ]);
        sheet.look(2, look);
    }
    sheet.print("No channels: nobody is told of anything. `actifix webhook add NAME` makes one.")
}

async fn test(global: &Global, name: &str, yes: bool, client: &Client) -> Result<ExitCode, CliError> {
    let view = client.get(&format!("/api/v1/webhooks/{}", encoded(name)), &[]).await?;
    let production = view.get("production").and_then(Value::as_bool).unwrap_or(true);
    let confirm = yes || (production && confirmed(name)?);
    let path = format!("/api/v1/webhooks/{}/test", encoded(name));
    let tested = client.post(&path, &json!({ "confirm": confirm })).await?;
    let delivered = tested.get("delivered").and_then(Value::as_bool).unwrap_or_default();
    if global.json {
        output::json(&tested)?;
    } else if delivered {
        output::line(format!("delivered to {name} in {} ms", number(&tested, "milliseconds")))?;
    } else {
        let status = tested.get("status").and_then(Value::as_u64);
        let status = status.map(|status| format!(", status {status}")).unwrap_or_default();
        let word = text(&tested, "failure");
        let why = explain(word).unwrap_or("no reason was told");
        output::line(format!("not delivered to {name}: {why} ({word}{status})"))?;
    }
    Ok(if delivered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Asks on a terminal whether a channel of production shall get a test.
fn confirmed(name: &str) -> Result<bool, CliError> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(false);
    }
    output::note(format!("{name} is a channel of production: people will see the test. Send it? [y/N]"));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(CliError::other)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn deliveries(
    global: &Global,
    client: &Client,
    name: Option<&str>,
    state: Option<&str>,
    limit: u32,
) -> Result<(), CliError> {
    let limit = limit.to_string();
    let mut query = vec![("limit", limit.as_str())];
    query.extend(name.map(|name| ("webhook", name)));
    query.extend(state.map(|state| ("state", state)));
    let answer = client.get("/api/v1/deliveries", &query).await?;
    if global.json {
        return output::json(&answer);
    }
    let mut sheet = Sheet::new(&[
        ("ID", Fit::Whole),
        ("CHANNEL", Fit::Whole),
        ("RESULT", Fit::Whole),
        ("ABOUT", Fit::Cut),
        ("LAST FAILURE", Fit::Spare(1)),
        ("MADE", Fit::Spare(2)),
    ]);
    let mut failures = BTreeSet::new();
    for item in items(&answer) {
        let test = item.get("test").and_then(Value::as_bool).unwrap_or_default();
        let about = if test {
            "test".to_owned()
        } else {
            format!("{} {}", text(item, "trigger"), text(item, "ticket"))
        };
        let status = item.get("last_status").and_then(Value::as_u64);
        let status = status.map(|status| format!(" {status}")).unwrap_or_default();
        sheet.row([
            text(item, "id").to_owned(),
            text(item, "endpoint").to_owned(),
            result(item),
            about.trim().to_owned(),
            format!("{}{status}", text(item, "last_failure")),
            ago(item, "created_at"),
        ]);
        if text(item, "state") == "dead" {
            sheet.look(2, Look::Strong);
        }
        failures.insert(text(item, "last_failure"));
    }
    output::line(sheet.render())?;
    // What the words mean, once each.
    for (word, why) in failures.into_iter().filter_map(|word| Some((word, explain(word)?))) {
        output::dim(format!("{word}: {why}"))?;
    }
    Ok(())
}

/// How a message fared, in words.
fn result(delivery: &Value) -> String {
    let attempts = number(delivery, "attempts");
    let times = output::plural(attempts, "attempt", "attempts");
    match text(delivery, "state") {
        "delivered" => "delivered".to_owned(),
        "dead" => format!("given up after {times}"),
        "pending" if attempts == 0 => "waits for its turn".to_owned(),
        "pending" => format!("waits for another try, {times} failed"),
        other => other.to_owned(),
    }
}
