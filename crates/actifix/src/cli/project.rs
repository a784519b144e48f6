//! `actifix dsn`, `actifix project …`, `actifix token …`

mod show;

use super::client::{Client, encoded};
use super::ids;
use super::output::{self, ago, items, number, text, time};
use super::sheet::{Fit, Look, Sheet};
use super::signing_keys::{self, SigningKeyCommand};
use super::{CliError, Global};
use actifix_domain::access::{Role, Scope};
use actifix_protocol::dsn::Dsn;
use clap::builder::PossibleValuesParser;
use clap::{Subcommand, ValueEnum};
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// Projects and their ingest keys.
#[derive(Debug, Subcommand)]
pub enum ProjectCommand {
    /// Make a project.
    #[command(after_help = "Example:\n  actifix project create shop --id 42")]
    Create {
        /// Letters, digits, `-`, `_`, `.`.
        name: String,
        /// Decimal id, as the DSN of another tracker has it.
        #[arg(long)]
        id: Option<i64>,
    },
    /// All projects.
    #[command(after_help = "Example:\n  actifix project list --json | jq -r '.items[].name'")]
    List,
    /// One project with its settings.
    #[command(after_help = "Example:\n  actifix project show shop")]
    Show {
        /// Name or id.
        project: String,
    },
    /// Change settings.
    #[command(
        after_help = "Examples:\n  actifix project set shop email=keep sample_after=0\n  actifix project set shop 'fingerprint_rules=[{\"matchers\":[\"type:DbError\"],\"fingerprint\":[\"db\"]}]'"
    )]
    Set {
        /// Name or id.
        project: String,
        /// NAME=VALUE; VALUE is JSON, or text as it stands.
        #[arg(required = true)]
        settings: Vec<String>,
    },
    /// Ingest keys.
    #[command(
        subcommand,
        after_help = "Examples:\n  actifix project key list shop\n  actifix project key import shop https://a1b2c3d4e5f60718293a4b5c6d7e8f90@tracker.example.net/42"
    )]
    Key(KeyCommand),
}

/// Ingest keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key.
    #[command(after_help = "Example:\n  actifix project key create shop --label mobile")]
    Create {
        /// Name or id.
        project: String,
        /// Name for people.
        #[arg(long, default_value = "")]
        label: String,
    },
    /// Take over the key of another tracker's DSN, so that only its host changes.
    #[command(
        after_help = "Examples:\n  actifix project key import shop a1b2c3d4e5f60718293a4b5c6d7e8f90\n  actifix project key import shop https://a1b2c3d4e5f60718293a4b5c6d7e8f90@tracker.example.net/42"
    )]
    Import {
        /// Name or id.
        project: String,
        /// The whole DSN, or its part before `@`.
        key: String,
    },
    /// Keys with their DSNs.
    #[command(after_help = "Example:\n  actifix project key list shop")]
    List {
        /// Name or id.
        project: String,
    },
    /// Switch a key off; it then answers like an unknown one.
    #[command(after_help = "Example:\n  actifix project key disable shop a1b2c3d4e5f60718293a4b5c6d7e8f90")]
    Disable {
        /// Name or id.
        project: String,
        /// Public key.
        key: String,
    },
    /// Switch a key on.
    #[command(after_help = "Example:\n  actifix project key enable shop a1b2c3d4e5f60718293a4b5c6d7e8f90")]
    Enable {
        /// Name or id.
        project: String,
        /// Public key.
        key: String,
    },
    /// Make a new key and disable this one.
    #[command(after_help = "Example:\n  actifix project key rotate shop a1b2c3d4e5f60718293a4b5c6d7e8f90")]
    Rotate {
        /// Name or id.
        project: String,
        /// Public key.
        key: String,
    },
    /// Events per minute.
    #[command(
        after_help = "Examples:\n  actifix project key limit shop a1b2c3d4e5f60718293a4b5c6d7e8f90 600\n  actifix project key limit shop a1b2c3d4e5f60718293a4b5c6d7e8f90        (the default again)"
    )]
    Limit {
        /// Name or id.
        project: String,
        /// Public key.
        key: String,
        /// Events per minute; none returns to the default.
        events: Option<u32>,
    },
    /// Set the origins that may send with a key.
    #[command(
        after_help = "Examples:\n  actifix project key origins shop a1b2c3d4e5f60718293a4b5c6d7e8f90 https://shop.example.net '*.example.org'\n  actifix project key origins shop a1b2c3d4e5f60718293a4b5c6d7e8f90        (accept all again)"
    )]
    Origins {
        /// Name or id.
        project: String,
        /// Public key.
        key: String,
        /// Exact origins, `*.host` suffixes, or `any`; none accepts all without CORS answers.
        origins: Vec<String>,
    },
    /// Say who may hold a key.
    #[command(
        after_help = "Example:\n  actifix project key kind shop a1b2c3d4e5f60718293a4b5c6d7e8f90 server"
    )]
    Kind {
        /// Name or id.
        project: String,
        /// Public key.
        key: String,
        /// Who.
        kind: Kind,
    },
}

/// Who may hold a key.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    /// Anyone; its events reach at most P1.
    Browser,
    /// Trusted with P0.
    Server,
}

/// API tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token; it is shown once.
    #[command(
        after_help = "Examples:\n  actifix token create --name ci --role operator\n  actifix token create --name prometheus --scope metrics:read --expires 90d"
    )]
    Create {
        /// Name for people.
        #[arg(long)]
        name: String,
        /// What it may do.
        #[arg(long, value_enum, conflicts_with = "scope", required_unless_present = "scope")]
        role: Option<TokenRole>,
        /// Scopes instead of a role; more than one with commas, or each with its own `--scope`.
        #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(Scope::ALL.map(Scope::as_str)))]
        scope: Vec<String>,
        /// Bind it to one project.
        #[arg(long)]
        project: Option<String>,
        /// Life in days, at most 90d.
        #[arg(long, default_value = "90d")]
        expires: String,
    },
    /// All tokens, without their texts.
    #[command(after_help = "Example:\n  actifix token list")]
    List,
    /// Replace a token; the old one stays good for a while.
    #[command(after_help = "Example:\n  actifix token rotate 0123456789abcdef --overlap 24h")]
    Rotate {
        /// Id, as `token list` shows it.
        id: String,
        /// How long the old one stays good: hours (24h) or days (2d), at most 7 days.
        #[arg(long, default_value = "24h")]
        overlap: String,
    },
    /// Revoke a token at once.
    #[command(
        after_help = "Examples:\n  actifix token revoke 0123456789abcdef\n  actifix token revoke --all"
    )]
    Revoke {
        /// Id, as `token list` shows it.
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// All tokens.
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// Keys that sign short-lived tokens.
    #[command(subcommand, after_help = "Example:\n  actifix token keys list")]
    Keys(SigningKeyCommand),
}

/// Roles of tokens.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum TokenRole {
    /// Reads.
    Viewer,
    /// Works and triages tickets.
    Operator,
    /// Claims and works tickets within its lease.
    Agent,
    /// All.
    Admin,
}

impl TokenRole {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Agent => "agent",
            Self::Admin => "admin",
        }
    }
}

/// `actifix dsn`
pub async fn dsn(global: &Global, project: &str) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let answer = client.get(&format!("/api/v1/projects/{}/dsn", encoded(project)), &[]).await;
    let alone = client.is_alone();
    client.close().await?;
    let answer = answer?;
    if alone {
        output::note(if text(&answer, "dsn").contains(":0/") {
            "no server runs on this home, and its port is chosen at the start: ask again once `actifix serve` runs"
        } else {
            "no server runs on this home: this is where it is expected, or was last; `actifix serve` starts it"
        });
    }
    if global.json {
        output::json(&answer)?;
    } else {
        output::line(text(&answer, "dsn"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `actifix project …`
pub async fn run(global: &Global, command: ProjectCommand) -> Result<ExitCode, CliError> {
    let client = match &command {
        ProjectCommand::Create { .. } => Client::connect(global).await?,
        _ => Client::connect_existing(global).await?,
    };
    let result = project(global, &client, command).await;
    client.close().await?;
    result.map(|()| ExitCode::SUCCESS)
}

async fn project(global: &Global, client: &Client, command: ProjectCommand) -> Result<(), CliError> {
    match command {
        ProjectCommand::Create { name, id } => {
            let answer = client.post("/api/v1/projects", &json!({ "name": name, "id": id })).await?;
            if global.json {
                return output::json(&answer);
            }
            let id = answer.get("id").map(ToString::to_string).unwrap_or_default();
            output::line(format!("project {} (id {id})\nDSN {}", text(&answer, "name"), text(&answer, "dsn")))
        }
        ProjectCommand::List => {
            let answer = client.get("/api/v1/projects", &[]).await?;
            if global.json {
                return output::json(&answer);
            }
            let mut sheet = Sheet::new(&[("ID", Fit::Whole), ("NAME", Fit::Whole), ("CREATED", Fit::Whole)]);
            for item in items(&answer) {
                let id = item.get("id").map(ToString::to_string).unwrap_or_default();
                sheet.row([id, text(item, "name").to_owned(), ago(item, "created_at")]);
            }
            output::line(sheet.render())
        }
        ProjectCommand::Show { project } => {
            let answer = client.get(&format!("/api/v1/projects/{}", encoded(&project)), &[]).await?;
            if global.json { output::json(&answer) } else { show::project(client, &answer).await }
        }
        ProjectCommand::Set { project, settings } => {
            let mut map = Map::new();
            for pair in &settings {
                let (name, value) = pair.split_once('=').ok_or_else(|| {
                    CliError::usage(format!("{}: expected NAME=VALUE", output::cut(pair, 40)))
                })?;
                let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
                map.insert(name.to_owned(), value);
            }
            let body = json!({ "settings": map });
            let answer = client.patch(&format!("/api/v1/projects/{}", encoded(&project)), &body).await?;
            if global.json { output::json(&answer) } else { show::project(client, &answer).await }
        }
        ProjectCommand::Key(command) => key(global, client, command).await,
    }
}

/// The key of what was given: a DSN of another tracker, or just its key. A DSN of another project would not lead here
/// once its host is changed.
async fn imported(client: &Client, project: &str, given: &str) -> Result<String, CliError> {
    if !given.contains("://") {
        return Ok(given.to_owned());
    }
    let dsn = Dsn::parse(given).map_err(|why| CliError::usage(format!("KEY: {why}")))?;
    let own = number(&client.get(&format!("/api/v1/projects/{}", encoded(project)), &[]).await?, "id");
    if i64::try_from(own).ok() != Some(dsn.project().0) {
        return Err(CliError::usage(format!(
            "KEY: this DSN is of project {theirs}, {project} has the id {own}: make one with `actifix project create NAME --id {theirs}`, so that only the host of the DSN changes",
            theirs = dsn.project()
        )));
    }
    Ok(dsn.public_key().to_string())
}

async fn key(global: &Global, client: &Client, command: KeyCommand) -> Result<(), CliError> {
    let keys = |project: &str| format!("/api/v1/projects/{}/keys", encoded(project));
    let one = |project: &str, key: &str| format!("{}/{}", keys(project), encoded(key));
    let answer = match command {
        KeyCommand::Create { project, label } => {
            client.post(&keys(&project), &json!({ "label": label })).await?
        }
        KeyCommand::Import { project, key } => {
            let key = imported(client, &project, &key).await?;
            client.post(&keys(&project), &json!({ "import": key })).await?
        }
        KeyCommand::List { project } => {
            let answer = client.get(&keys(&project), &[]).await?;
            return if global.json { output::json(&answer) } else { key_table(&answer) };
        }
        KeyCommand::Disable { project, key } => {
            client.patch(&one(&project, &key), &json!({ "enabled": false })).await?
        }
        KeyCommand::Enable { project, key } => {
            client.patch(&one(&project, &key), &json!({ "enabled": true })).await?
        }
        KeyCommand::Rotate { project, key } => {
            client.post(&format!("{}/rotate", one(&project, &key)), &json!({})).await?
        }
        KeyCommand::Limit { project, key, events } => {
            client.patch(&one(&project, &key), &json!({ "rate_per_minute": events })).await?
        }
        KeyCommand::Origins { project, key, origins } => {
            client.patch(&one(&project, &key), &json!({ "allowed_origins": origins })).await?
        }
        KeyCommand::Kind { project, key, kind } => {
            let kind = match kind {
                Kind::Browser => "browser",
                Kind::Server => "server",
            };
            client.patch(&one(&project, &key), &json!({ "kind": kind })).await?
        }
    };
    if global.json { output::json(&answer) } else { key_table(&json!({ "items": [answer] })) }
}

fn key_table(answer: &Value) -> Result<(), CliError> {
    if items(answer).is_empty() {
        return output::line(
            "No keys: nothing can send to this project. `actifix project key create PROJECT` makes one.",
        );
    }
    let mut sheet = Sheet::new(&[
        ("KEY", Fit::Whole),
        ("LABEL", Fit::Cut),
        ("KIND", Fit::Spare(1)),
        ("ENABLED", Fit::Spare(2)),
        ("PER MIN", Fit::Spare(3)),
        ("ORIGINS", Fit::Spare(4)),
        ("DSN", Fit::Whole),
    ]);
    for item in items(answer) {
        let enabled = item.get("enabled").and_then(Value::as_bool).unwrap_or_default();
        let rate = item.get("rate_per_minute").and_then(Value::as_u64);
        let origins: Vec<&str> = item
            .get("allowed_origins")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        sheet.row([
            text(item, "public_key").to_owned(),
            text(item, "label").to_owned(),
            text(item, "kind").to_owned(),
            if enabled { "yes" } else { "no" }.to_owned(),
            rate.map_or_else(|| "default".to_owned(), output::grouped),
            if origins.is_empty() { "all, no CORS".to_owned() } else { origins.join(" ") },
            text(item, "dsn").to_owned(),
        ]);
    }
    output::line(sheet.render())
}

/// What a token may do: its role, if it has all that one may, else its scopes.
fn may(token: &Value) -> String {
    let scopes = token.get("scopes").unwrap_or(&Value::Null);
    let roles = [
        ("viewer", Role::Viewer),
        ("agent", Role::Agent),
        ("operator", Role::Operator),
        ("admin", Role::Admin),
    ];
    match roles.iter().find(|(_, role)| json!(role.scopes()) == *scopes) {
        Some((name, _)) => (*name).to_owned(),
        None => {
            scopes.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        }
    }
}

/// Path of the tokens.
const TOKENS: &str = "/api/v1/tokens";

/// `24h` or `2d` in hours.
fn hours(text: &str) -> Result<u32, CliError> {
    let (number, unit) = match (text.strip_suffix('h'), text.strip_suffix('d')) {
        (Some(number), _) => (number, 1),
        (_, Some(number)) => (number, 24),
        _ => (text, 0),
    };
    let hours = number.parse::<u32>().ok().and_then(|number| number.checked_mul(unit));
    hours
        .filter(|_| unit > 0)
        .ok_or_else(|| CliError::usage("--overlap: expected hours or days, such as 24h or 2d"))
}

/// `actifix token …`
pub async fn token(global: &Global, command: TokenCommand) -> Result<ExitCode, CliError> {
    let client = match &command {
        TokenCommand::Create { .. } => Client::connect(global).await?,
        _ => Client::connect_existing(global).await?,
    };
    let result = token_command(global, &client, command).await;
    client.close().await?;
    result.map(|()| ExitCode::SUCCESS)
}

async fn token_command(global: &Global, client: &Client, command: TokenCommand) -> Result<(), CliError> {
    match command {
        TokenCommand::Keys(command) => signing_keys::run(global, client, command).await,
        TokenCommand::Create { name, role, scope, project, expires } => {
            let days: u32 = expires
                .strip_suffix('d')
                .and_then(|days| days.parse().ok())
                .ok_or_else(|| CliError::usage("--expires: expected days, such as 90d"))?;
            let scopes = if scope.is_empty() { Value::Null } else { json!(scope) };
            let body = json!({ "name": name, "role": role.map(TokenRole::as_str), "scopes": scopes, "project": project, "days": days });
            let answer = client.post("/api/v1/tokens", &body).await?;
            if global.json {
                return output::json(&answer);
            }
            output::note(format!(
                "token {} ({}), until {} UTC; shown only now:",
                text(&answer, "name"),
                text(&answer, "id"),
                time(&answer, "expires_at")
            ));
            output::line(text(&answer, "token"))
        }
        TokenCommand::List => {
            let answer = client.get("/api/v1/tokens", &[]).await?;
            if global.json {
                return output::json(&answer);
            }
            let mut sheet = Sheet::new(&[
                ("ID", Fit::Start(8)),
                ("NAME", Fit::Cut),
                ("MAY", Fit::Cut),
                ("EXPIRES (UTC)", Fit::Whole),
                ("USED (UTC)", Fit::Spare(2)),
                ("REVOKED (UTC)", Fit::Spare(1)),
            ]);
            for item in items(&answer) {
                sheet.row([
                    text(item, "id").to_owned(),
                    text(item, "name").to_owned(),
                    may(item),
                    time(item, "expires_at"),
                    time(item, "last_used_at"),
                    time(item, "revoked_at"),
                ]);
                if !text(item, "revoked_at").is_empty() {
                    (0..6).for_each(|column| sheet.look(column, Look::Dim));
                }
            }
            sheet.print("No tokens yet: `actifix token create --name ci --role operator` makes one.")
        }
        TokenCommand::Rotate { id, overlap } => {
            let body = json!({ "overlap_hours": hours(&overlap)? });
            let id = ids::listed(client, TOKENS, "token", &id, "actifix token list").await?;
            let answer = client.post(&format!("/api/v1/tokens/{}/rotate", encoded(&id)), &body).await?;
            if global.json {
                return output::json(&answer);
            }
            output::note(format!(
                "token {} ({}) takes the place of {id}, until {} UTC; shown only now:",
                text(&answer, "name"),
                text(&answer, "id"),
                time(&answer, "expires_at")
            ));
            output::line(text(&answer, "token"))
        }
        TokenCommand::Revoke { id, .. } => {
            let id = match id {
                Some(typed) => ids::listed(client, TOKENS, "token", &typed, "actifix token list").await?,
                None => "all".to_owned(),
            };
            let answer = client.post(&format!("/api/v1/tokens/{}/revoke", encoded(&id)), &json!({})).await?;
            if global.json {
                return output::json(&answer);
            }
            output::line(format!("revoked {}", output::plural(number(&answer, "revoked"), "token", "tokens")))
        }
    }
}
