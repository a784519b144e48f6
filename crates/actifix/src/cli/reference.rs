//! Prints what the program knows about itself as Markdown: the source of `docs/reference/`.

use super::{Cli, CliError, output};
use crate::config::FIELDS;
use actifix_secrets::Engine;
use clap::{Command, CommandFactory, ValueEnum};
use serde_json::Value;
use std::fmt::Write as _;
use std::process::ExitCode;

/// Which page.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Page {
    /// Commands and options.
    Cli,
    /// Configuration keys.
    Config,
    /// Operations of the HTTP API.
    Api,
    /// Detection rules.
    Rules,
}

/// Prints a page.
pub fn print(page: Page) -> Result<ExitCode, CliError> {
    let text = match page {
        Page::Cli => cli(),
        Page::Config => config(),
        Page::Api => api(),
        Page::Rules => rules(),
    };
    output::raw(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn cli() -> String {
    let mut out = "# Commands\n".to_owned();
    let mut command = Cli::command().term_width(100);
    command.build();
    describe(&mut command, "actifix", &mut out);
    out
}

fn describe(command: &mut Command, name: &str, out: &mut String) {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _infallible = write!(out, "\n## `{name}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    let children: Vec<String> = command
        .get_subcommands()
        .filter(|child| !child.is_hide_set() && child.get_name() != "help")
        .map(|child| child.get_name().to_owned())
        .collect();
    for child in children {
        if let Some(found) = command.find_subcommand_mut(&child) {
            describe(found, &format!("{name} {child}"), out);
        }
    }
}

fn config() -> String {
    let mut out = "# Configuration\n\n`actifix.toml` in the home < environment `ACTIFIX_<SECTION>__<KEY>` < flag. Unknown keys are errors.\n\n| key | form | what |\n| --- | --- | --- |\n".to_owned();
    for field in FIELDS {
        let form = field.form.replace('|', "\\|");
        let _infallible = writeln!(out, "| `{}` | {form} | {} |", field.key, field.help);
    }
    out
}

fn api() -> String {
    let document = actifix_web::api::document();
    let mut out = "# HTTP API\n\nJSON under `/api/v1`, `Authorization: Bearer afx_…`; errors are `application/problem+json`. The whole contract is at `/api/openapi.json`.\n\n| operation | what | scope |\n| --- | --- | --- |\n".to_owned();
    for (path, methods) in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let text = |key: &str| operation.get(key).and_then(Value::as_str).unwrap_or_default();
            let scope = text("description").split('`').nth(1).unwrap_or("any");
            let _infallible =
                writeln!(out, "| `{} {path}` | {} | `{scope}` |", method.to_uppercase(), text("summary"));
        }
    }
    out.push_str("\n## What `sentry-cli` asks\n\nA subset of Sentry's API for builds: `SENTRY_URL` is this server, `SENTRY_AUTH_TOKEN` an API token, `SENTRY_ORG` any word; errors are `{\"detail\": …}`.\n\n| operation | what | scope |\n| --- | --- | --- |\n");
    for (operation, what, scope) in actifix_web::sentry_api::reference() {
        let _infallible = writeln!(out, "| `{operation}` | {what} | `{scope}` |");
    }
    out
}

fn rules() -> String {
    let engine = Engine::builtin();
    let mut out = "# Detection rules\n\nWhat is redacted; the token is `[redacted:<rule>]`.\n\n| rule | vendor | severity | what |\n| --- | --- | --- | --- |\n".to_owned();
    for rule in engine.rules() {
        let _infallible = writeln!(
            out,
            "| `{}` | {} | {} | {} |",
            rule.id(),
            rule.vendor(),
            rule.severity(),
            rule.description().replace('|', "\\|")
        );
    }
    out
}
