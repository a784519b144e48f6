//! `actifix config …`

use super::client::Client;
use super::output;
use super::{CliError, Global};
use crate::config::{self, Config, FIELDS, Loaded, SECRET_FORM, SecretRef, Source, environment};
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
pub async fn run(global: &Global, command: ConfigCommand) -> Result<ExitCode, CliError> {
    match command {
        ConfigCommand::Schema => schema(global)?,
        ConfigCommand::Check => {
            let home = Home::at(&global.home);
            let loaded = wire::load_config(&home)?;
            check_references(global, &home, references(&loaded)?).await?;
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

/// The keys that refer to secrets, with what they refer to.
fn references(loaded: &Loaded) -> Result<Vec<(String, SecretRef)>, CliError> {
    let table = toml::Table::try_from(&loaded.config).map_err(CliError::other)?;
    let mut flat = Vec::new();
    flatten("", &table, &mut flat);
    let takes_secret = |key: &str| config::known(key).is_some_and(|field| field.form == SECRET_FORM);
    flat.into_iter()
        .filter(|(key, _)| takes_secret(key))
        .filter_map(|(key, value)| value.as_str().map(|text| (key, text.parse())))
        .map(|(key, reference)| {
            let reference = reference.map_err(|error| CliError::config(format!("{key}: {error}")))?;
            Ok((key, reference))
        })
        .collect()
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

/// All settings, defaults filled in, by their keys; passwords in addresses are masked.
pub fn flat(config: &Config) -> Result<Vec<(String, toml::Value)>, CliError> {
    let mut config = config.clone();
    config.listeners = config.listeners();
    config.server.public_url = Some(config.public_url());
    let table = toml::Table::try_from(&config).map_err(CliError::other)?;
    let mut flat = Vec::new();
    flatten("", &table, &mut flat);
    Ok(flat)
}

fn show(global: &Global, loaded: &Loaded) -> Result<(), CliError> {
    let flat = flat(&loaded.config)?;
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

/// A URL without what stands before its host: that may be a password.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}{path}"),
        None => text.to_owned(),
    }
}

fn flatten(prefix: &str, table: &toml::Table, out: &mut Vec<(String, toml::Value)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, out),
            toml::Value::String(text) => out.push((key, toml::Value::String(without_password(text)))),
            other => out.push((key, other.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_masked() {
        assert_eq!(without_password("https://jo:hunter2@a.test/x?y=z@w"), "https://…@a.test/x?y=z@w");
        assert_eq!(without_password("https://a.test/@jo"), "https://a.test/@jo");
        assert_eq!(without_password("secret:slack"), "secret:slack");
    }
}
