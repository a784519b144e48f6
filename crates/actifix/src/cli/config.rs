//! `actifix config …`

use super::client::Client;
use super::output;
use super::serve;
use super::sheet::{Fit, Look, Sheet};
use super::{CliError, Global};
use crate::channels::{self, Given};
use crate::config::{
    self, FIELDS, Loaded, SECRET_FORM, SecretRef, Stranger, changed, environment, is_reloaded,
};
use crate::home::Home;
use crate::served::{self, Served};
use crate::wire;
use actifix_domain::alert::AddressPolicy;
use clap::Subcommand;
use console::style;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// The configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Every value, where it comes from, and whether the running server has it; secrets are masked.
    #[command(
        after_help = "Examples:\n  actifix config show\n  actifix config show --json | jq '.\"server.public_url\"'"
    )]
    Show,
    /// Read it and say whether it is right.
    #[command(
        after_help = "Example:\n  actifix --home /var/lib/actifix config check && systemctl restart actifix"
    )]
    Check,
    /// Every key, its form and what it does.
    #[command(after_help = "Example:\n  actifix config schema | grep -A 1 retention")]
    Schema,
}

/// Runs the command.
pub async fn run(global: &Global, command: ConfigCommand) -> Result<ExitCode, CliError> {
    match command {
        ConfigCommand::Schema => schema(global)?,
        ConfigCommand::Check => {
            let home = Home::at(&global.home);
            let loaded = wire::load_config(&home)?;
            check_listeners(&loaded.config)?;
            serve::check_rate_limit_override(&loaded.config, false)?;
            check_references(global, &home, references(&loaded)?).await?;
            check_channels(global, &home, &loaded.config).await?;
            let mut told: Vec<String> =
                check_names(&loaded.config)?.iter().map(ToString::to_string).collect();
            if wire::rate_limit_disabled() {
                told.push(serve::RATES_OFF.to_owned());
            }
            if global.json {
                output::json(&json!({ "ok": true, "file": home.config(), "notes": told }))?;
            } else {
                told.iter().for_each(output::note);
                output::line("The configuration is fine.")?;
            }
        }
        ConfigCommand::Show => show(global).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The keys that refer to secrets, with what they refer to.
fn references(loaded: &Loaded) -> Result<Vec<(String, SecretRef)>, CliError> {
    let takes_secret = |key: &str| config::known(key).is_some_and(|field| field.form == SECRET_FORM);
    loaded
        .config
        .values()
        .into_iter()
        .filter(|(key, _)| takes_secret(key))
        .filter_map(|(key, value)| value.as_str().map(|text| (key, text.parse())))
        .map(|(key, reference)| {
            let reference = reference.map_err(|error| CliError::config(format!("{key}: {error}")))?;
            Ok((key, reference))
        })
        .collect()
}

/// What `serve` would not open is no fine configuration.
fn check_listeners(config: &config::Config) -> Result<(), CliError> {
    config
        .listeners()
        .into_keys()
        .try_for_each(|name| config::exposure(config, &name).map(drop))
        .map_err(CliError::config)
}

/// Every reference must lead to a secret. Values of stored ones are not read: that they are there is enough.
async fn check_references(
    global: &Global,
    home: &Home,
    references: Vec<(String, SecretRef)>,
) -> Result<(), CliError> {
    for (key, reference) in references {
        let found = match &reference {
            SecretRef::Stored(name) => {
                let client = Client::connect_existing(global).await?;
                let path = format!("/api/v1/secrets/{}", super::client::encoded(name.as_str()));
                let found = client.get(&path, &[]).await.map(drop);
                client.close().await?;
                found.map_err(|error| format!("{reference}: {error}"))
            }
            _ => reference
                .resolve_outside(home.root(), &environment)
                .map(drop)
                .map_err(|error| error.to_string()),
        };
        found.map_err(|error| CliError::config(format!("{key}: {error}")))?;
    }
    Ok(())
}

/// The channels that the environment names must be some that could be made. Those of a stored secret are not read.
async fn check_channels(global: &Global, home: &Home, config: &config::Config) -> Result<(), CliError> {
    let key = channels::VARIABLE.to_owned();
    let text = match channels::given(home.root()).map_err(CliError::config)? {
        Given::Nothing => return Ok(()),
        Given::Text(text) => text,
        Given::Reference(reference) => {
            check_references(global, home, vec![(key, reference.clone())]).await?;
            match reference.resolve_outside(home.root(), &environment) {
                Ok(Some(text)) => text,
                _ => return Ok(()),
            }
        }
    };
    let policy = AddressPolicy { allow_private: config.outbound.allow_private.clone() };
    channels::parse(text.reveal(), &policy).map(drop).map_err(CliError::config)
}

/// A name that is nearly one of ours is a mistake; another one is told.
fn check_names(config: &config::Config) -> Result<Vec<Stranger>, CliError> {
    let names = config::environment_all().into_iter().map(|(name, _)| name);
    let (misspelt, others): (Vec<_>, Vec<_>) =
        config::strangers(config, names).into_iter().partition(|stranger| stranger.meant.is_some());
    if misspelt.is_empty() {
        return Ok(others);
    }
    let told: Vec<String> = misspelt.iter().map(ToString::to_string).collect();
    Err(CliError::config(told.join("; ")))
}

fn schema(global: &Global) -> Result<(), CliError> {
    if global.json {
        let fields: Vec<Value> = FIELDS
            .iter()
            .map(|field| json!({ "key": field.key, "form": field.form, "help": field.help }))
            .collect();
        return output::json(&json!({ "items": fields }));
    }
    // One key a paragraph: what a setting does is read whole, at every width.
    for field in FIELDS {
        output::line(format!("{}  {}", style(field.key).bold(), style(field.form).dim()))?;
        output::line(format!("    {}", field.help))?;
    }
    output::dim("Variable of a key: ACTIFIX_<SECTION>__<KEY>, such as ACTIFIX_THROTTLE__ENABLED=false")
}

/// The key whose value is where the server listens, unless it is set.
const PUBLIC_URL: &str = "server.public_url";

async fn show(global: &Global) -> Result<(), CliError> {
    let home = Home::at(&global.home);
    let loaded = wire::load_config(&home)?;
    let mut values = loaded.config.values();
    let running = if Client::serves(&home).await { Served::read(&home) } else { None };
    let running = running.map(|mut served| {
        // Where it really listens, which for port 0 nobody knew before.
        let url = json!(served.url);
        if served::is_open(&loaded.config) {
            values.insert(PUBLIC_URL.to_owned(), url.clone());
        }
        served.values.insert(PUBLIC_URL.to_owned(), url);
        served
    });
    let differing: Vec<String> =
        running.as_ref().map(|served| changed(&served.values, &values)).unwrap_or_default();
    let runs_with = |key: &str| running.as_ref().and_then(|served| served.values.get(key));
    if global.json {
        let mut map = Map::new();
        for (key, value) in &values {
            let mut shown = json!({ "value": value, "source": loaded.source(key) });
            if differing.contains(key) {
                shown["running"] = json!(runs_with(key));
                shown["takes_effect"] = json!(takes_effect(key));
            }
            map.insert(key.clone(), shown);
        }
        return output::json(&Value::Object(map));
    }
    let mut columns = vec![("KEY", Fit::Whole), ("VALUE", Fit::Cut), ("FROM", Fit::Spare(1))];
    if !differing.is_empty() {
        columns.push(("RUNNING", Fit::Cut));
    }
    let mut sheet = Sheet::new(&columns);
    let only_running = differing.iter().filter(|key| !values.contains_key(*key));
    for key in values.keys().chain(only_running) {
        let value = values.get(key).map_or_else(|| "–".to_owned(), Value::to_string);
        let mut row = vec![key.clone(), value, loaded.source(key)];
        let differs = differing.contains(key);
        if !differing.is_empty() {
            row.push(if differs {
                runs_with(key).map_or_else(|| "–".to_owned(), Value::to_string)
            } else {
                String::new()
            });
        }
        sheet.row(row);
        if differs {
            (0..4).for_each(|column| sheet.look(column, Look::Notice));
        }
    }
    sheet.print("")?;
    if environment("ACTIFIX_URL").is_some() {
        output::dim(format!(
            "ACTIFIX_URL is set: other commands ask that server; these are the values of {}",
            home.root().display()
        ))?;
    }
    match running {
        None => output::dim("no server runs on this home: these values apply at its next start"),
        Some(_) if differing.is_empty() => output::dim("the server runs with these values"),
        Some(served) => {
            output::line(format!(
                "The server runs since {} UTC with other values of: {}",
                served.started_at.to_string().get(..19).unwrap_or_default().replace('T', " "),
                differing.join(", ")
            ))?;
            let (soon, late): (Vec<String>, Vec<String>) =
                differing.into_iter().partition(|key| is_reloaded(key));
            if !soon.is_empty() {
                output::line(format!("SIGHUP takes over: {}", soon.join(", ")))?;
            }
            if !late.is_empty() {
                output::line(format!("a restart takes over: {}", late.join(", ")))?;
            }
            output::dim("variables that only one of the two was given differ as well")
        }
    }
}

fn takes_effect(key: &str) -> &'static str {
    if is_reloaded(key) { "on SIGHUP" } else { "on restart" }
}
