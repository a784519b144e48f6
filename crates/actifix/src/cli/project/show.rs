//! `actifix project show`

use crate::cli::client::Client;
use crate::cli::output::{self, number, text, time};
use crate::cli::sheet::{Fit, Sheet};
use crate::cli::{CliError, throttle};
use console::style;
use serde_json::Value;

/// A project as a person reads it: what it is, its DSN, who knocked in vain, its settings.
pub async fn project(client: &Client, project: &Value) -> Result<(), CliError> {
    let id = number(project, "id").to_string();
    output::line(format!(
        "{} (id {id}), made {} UTC",
        style(text(project, "name")).bold(),
        time(project, "created_at")
    ))?;
    // Without an enabled key there is no DSN, and the answer says so.
    match client.get(&format!("/api/v1/projects/{id}/dsn"), &[]).await {
        Ok(answer) => output::line(format!("DSN {}", text(&answer, "dsn")))?,
        Err(error) => output::line(format!("DSN none: {error}"))?,
    }
    for line in throttle::refused_lines(&client.get("/api/v1/throttle", &[("project", &id)]).await?) {
        output::line(line)?;
    }
    let mut sheet = Sheet::new(&[("SETTING", Fit::Whole), ("VALUE", Fit::Cut)]);
    for (name, value) in project.get("settings").and_then(Value::as_object).into_iter().flatten() {
        sheet.row([name.clone(), value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)]);
    }
    output::line("")?;
    sheet.print("No settings.")?;
    output::dim(
        "change one: actifix project set PROJECT NAME=VALUE; the keys: actifix project key list PROJECT",
    )
}
