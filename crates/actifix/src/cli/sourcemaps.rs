//! `actifix sourcemaps …`

use super::client::{Client, encoded};
use super::output::{self, ago, grouped, items, number, plural, text};
use super::sheet::{Fit, Sheet};
use super::{CliError, Global};
use clap::Subcommand;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Source maps.
#[derive(Debug, Subcommand)]
pub enum SourceMapsCommand {
    /// What was uploaded, latest first.
    #[command(
        after_help = "Examples:\n  actifix sourcemaps list --project shop\n  actifix sourcemaps list --project shop --json\n\nUpload with sentry-cli:\n  export SENTRY_URL=https://errors.example.com SENTRY_ORG=actifix SENTRY_PROJECT=shop\n  export SENTRY_AUTH_TOKEN=afx_…    actifix token create --name ci --scope releases:write\n  npx @sentry/cli sourcemaps inject ./dist\n  npx @sentry/cli sourcemaps upload ./dist"
    )]
    List {
        /// Name or id of a project.
        #[arg(long, default_value = "default")]
        project: String,
        /// How many, 1 to 200.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
    },
    /// Remove uploads: frames of later events stay minified, events that are there stay as they are.
    #[command(after_help = "Example:\n  actifix sourcemaps remove --project shop 12 13")]
    Remove {
        /// Name or id of a project.
        #[arg(long, default_value = "default")]
        project: String,
        /// Numbers of uploads, as `sourcemaps list` tells them.
        #[arg(required = true, num_args = 1..=100)]
        uploads: Vec<u64>,
    },
}

/// `actifix sourcemaps …`
pub async fn run(global: &Global, command: SourceMapsCommand) -> Result<ExitCode, CliError> {
    let client = Client::connect_existing(global).await?;
    let result = match &command {
        SourceMapsCommand::List { project, limit } => whole_list(&client, project, *limit).await,
        SourceMapsCommand::Remove { project, uploads } => remove(&client, project, uploads).await,
    };
    client.close().await?;
    let answer = result?;
    if global.json {
        output::json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    match command {
        SourceMapsCommand::List { .. } => {
            list(&answer)?;
            usage(answer.get("usage").unwrap_or(&Value::Null))?;
        }
        SourceMapsCommand::Remove { uploads, .. } => {
            let many = u64::try_from(uploads.len()).unwrap_or(u64::MAX);
            output::line(format!("removed {}", plural(many, "upload", "uploads")))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn path(project: &str) -> String {
    format!("/api/v1/projects/{}/source-maps", encoded(project))
}

/// The uploads, and what they take of what they may.
async fn whole_list(client: &Client, project: &str, limit: u32) -> Result<Value, CliError> {
    let mut answer = client.get(&path(project), &[("limit", &limit.to_string())]).await?;
    let usage = client.get(&format!("{}/usage", path(project)), &[]).await?;
    if let Some(members) = answer.as_object_mut() {
        members.insert("usage".to_owned(), usage);
    }
    Ok(answer)
}

async fn remove(client: &Client, project: &str, uploads: &[u64]) -> Result<Value, CliError> {
    for upload in uploads {
        client.delete(&format!("{}/{upload}", path(project))).await?;
    }
    Ok(json!({ "removed": uploads }))
}

fn list(answer: &Value) -> Result<(), CliError> {
    let mut sheet = Sheet::new(&[
        ("UPLOAD", Fit::Whole),
        ("RELEASE", Fit::Cut),
        ("DEBUG ID", Fit::Whole),
        ("MAPS", Fit::Whole),
        ("SOURCES", Fit::Whole),
        ("BYTES", Fit::Whole),
        ("UPLOADED", Fit::Whole),
        ("USED", Fit::Whole),
    ]);
    for upload in items(answer) {
        let ids = upload.get("debug_ids").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let first = ids.first().and_then(Value::as_str).unwrap_or_default();
        let ids =
            if ids.len() > 1 { format!("{first} and {} more", ids.len() - 1) } else { first.to_owned() };
        let (release, dist) = (text(upload, "release"), text(upload, "dist"));
        let used = upload.get("used_at").is_some_and(|at| !at.is_null());
        sheet.row([
            number(upload, "id").to_string(),
            if dist.is_empty() { release.to_owned() } else { format!("{release} ({dist})") },
            ids,
            grouped(number(upload, "maps")),
            grouped(number(upload, "sources")),
            grouped(number(upload, "bytes")),
            ago(upload, "uploaded_at"),
            if used { ago(upload, "used_at") } else { "never".to_owned() },
        ]);
    }
    sheet.print("No source maps yet: `actifix sourcemaps list --help` shows how to upload some.")
}

/// What is used of what may be.
fn usage(usage: &Value) -> Result<(), CliError> {
    let of = |name: &str| {
        let most = number(usage, &format!("{name}_max"));
        let used = grouped(number(usage, name));
        if most == 0 { used } else { format!("{used} of {}", grouped(most)) }
    };
    output::line(format!("used: {} uploads, {} bytes", of("uploads"), of("bytes")))?;
    output::line(format!("unfinished uploads: {} parts, {} bytes", of("waiting_parts"), of("waiting_bytes")))
}
