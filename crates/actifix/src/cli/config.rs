//! `actifix config …`

use super::output;
use super::{CliError, Global};
use crate::config::{FIELDS, Loaded, Source};
use crate::home::Home;
use crate::wire;
use clap::Subcommand;
use console::style;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// The configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Every value and where it comes from; secrets are masked.
    Show,
    /// Read it and say whether it is right.
    #[command(
        after_help = "Example:\n  actifix --home /var/lib/actifix config check && systemctl restart actifix"
    )]
    Check,
    /// Every key, its form and what it does.
    Schema,
}

/// Runs the command.
pub fn run(global: &Global, command: ConfigCommand) -> Result<ExitCode, CliError> {
    match command {
        ConfigCommand::Schema => schema(global)?,
        ConfigCommand::Check => {
            let home = Home::at(&global.home);
            wire::load_config(&home)?;
            if global.json {
                output::json(&json!({ "ok": true, "file": home.config() }))?;
            } else {
                output::line("The configuration is fine.")?;
            }
        }
        ConfigCommand::Show => show(global, &wire::load_config(&Home::at(&global.home))?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn schema(global: &Global) -> Result<(), CliError> {
    if global.json {
        let fields: Vec<Value> = FIELDS
            .iter()
            .map(|field| json!({ "key": field.key, "form": field.form, "help": field.help }))
            .collect();
        return output::json(&json!({ "items": fields }));
    }
    let mut table = output::table(&["KEY", "FORM", "WHAT"]);
    for field in FIELDS {
        table.add_row(vec![field.key, field.form, field.help]);
    }
    output::line(table.to_string())?;
    output::line(
        style("Variable of a key: ACTIFIX_<SECTION>__<KEY>, such as ACTIFIX_THROTTLE__ENABLED=false")
            .dim()
            .to_string(),
    )
}

fn show(global: &Global, loaded: &Loaded) -> Result<(), CliError> {
    let mut config = loaded.config.clone();
    config.listeners = config.listeners();
    config.server.public_url = Some(config.public_url());
    let table = toml::Table::try_from(&config).map_err(CliError::other)?;
    let mut flat = Vec::new();
    flatten("", &table, &mut flat);
    if global.json {
        let mut map = Map::new();
        for (key, value) in &flat {
            let source = source(loaded, key);
            map.insert(key.clone(), json!({ "value": value, "source": source }));
        }
        return output::json(&Value::Object(map));
    }
    let mut shown = output::table(&["KEY", "VALUE", "FROM"]);
    for (key, value) in &flat {
        shown.add_row(vec![key.clone(), value.to_string(), source(loaded, key)]);
    }
    output::line(shown.to_string())
}

fn source(loaded: &Loaded, key: &str) -> String {
    match loaded.sources.get(key) {
        None => "default".to_owned(),
        Some(Source::File) => "actifix.toml".to_owned(),
        Some(Source::Environment(name)) => name.clone(),
    }
}

fn flatten(prefix: &str, table: &toml::Table, out: &mut Vec<(String, toml::Value)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, out),
            other => out.push((key, other.clone())),
        }
    }
}
