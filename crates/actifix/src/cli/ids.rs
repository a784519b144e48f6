//! Ids as people type them: the end of a ticket's id, the start of a finding's or any other. One that fits several
//! things is refused with their names, never guessed.

use super::CliError;
use super::client::Client;
use super::output::{cut, items, text};
use actifix_domain::id::TicketId;
use serde_json::Value;

/// Candidates that an error names; one more is asked for, to know whether there are others.
const NAMED_MAX: usize = 5;
/// The same as the API's limit.
const ASKED: &str = "6";
/// Page of a list that is looked through for an id.
const PAGE: &str = "200";
/// Pages of such a list that are looked through.
const PAGES_MAX: usize = 50;
/// Length of a finding's id, hex digits.
const FINDING_DIGITS: usize = 32;
/// Characters of what was typed or of a title that an error repeats.
const REPEATED_CHARS_MAX: usize = 40;

/// The whole id of the one ticket whose id is or ends with what was typed.
pub async fn ticket(client: &Client, typed: &str) -> Result<String, CliError> {
    let end = typed.trim().to_ascii_uppercase();
    if end.parse::<TicketId>().is_ok() {
        return Ok(end);
    }
    let length = "ACT-20261124-7K3QF".len();
    if !(1..=length).contains(&end.len())
        || !end.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        return Err(CliError::usage(format!(
            "ticket {:?}: not the id of a ticket: write one such as ACT-20261124-7K3QF, or its end 7K3QF",
            cut(typed, REPEATED_CHARS_MAX)
        )));
    }
    let page = client.get("/api/v1/tickets", &[("search", &format!("id:{end}")), ("limit", ASKED)]).await?;
    one(items(&page), "ticket", &end, "ends", "actifix ticket list --all", |ticket| text(ticket, "title"))
}

/// The whole id of the one finding whose id is or begins with what was typed.
pub async fn finding(client: &Client, typed: &str) -> Result<String, CliError> {
    let start = typed.trim().to_ascii_lowercase();
    let is_start =
        (1..=FINDING_DIGITS).contains(&start.len()) && start.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_start {
        return Err(CliError::usage(format!(
            "finding {:?}: not the id of a finding: write its hex digits, or the first of them, as `actifix findings list` shows them",
            cut(typed, REPEATED_CHARS_MAX)
        )));
    }
    if start.len() == FINDING_DIGITS {
        return Ok(start);
    }
    let page = client.get("/api/v1/findings", &[("id", start.as_str()), ("limit", ASKED)]).await?;
    one(items(&page), "finding", &start, "begins", "actifix findings list", |finding| text(finding, "masked"))
}

/// The whole id of the one item of a list whose id is or begins with what was typed.
pub async fn listed(
    client: &Client,
    path: &str,
    kind: &str,
    typed: &str,
    list: &str,
) -> Result<String, CliError> {
    let typed = typed.trim();
    let mut found: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let mut query = vec![("limit", PAGE)];
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = client.get(path, &query).await?;
        if items(&page).iter().any(|item| text(item, "id") == typed) {
            return Ok(typed.to_owned());
        }
        let fits =
            items(&page).iter().filter(|item| !typed.is_empty() && text(item, "id").starts_with(typed));
        found.extend(fits.cloned());
        cursor = page.get("next_cursor").and_then(Value::as_str).map(ToOwned::to_owned);
        if cursor.is_none() || found.len() > NAMED_MAX {
            break;
        }
    }
    one(&found, kind, typed, "begins", list, |item| {
        let name = text(item, "name");
        if name.is_empty() { text(item, "reason") } else { name }
    })
}

fn one<'a>(
    found: &'a [Value],
    kind: &str,
    typed: &str,
    place: &str,
    list: &str,
    what: impl Fn(&'a Value) -> &'a str,
) -> Result<String, CliError> {
    match found {
        [] => Err(CliError::usage(format!(
            "{kind} {typed} not found: no id {place} with this; `{list}` shows all",
            typed = cut(typed, REPEATED_CHARS_MAX)
        ))),
        [only] => Ok(text(only, "id").to_owned()),
        several => {
            let mut names: Vec<String> = several
                .iter()
                .take(NAMED_MAX)
                .map(|item| format!("{} ({})", text(item, "id"), cut(what(item), REPEATED_CHARS_MAX)))
                .collect();
            if several.len() > NAMED_MAX {
                names.push("and more".to_owned());
            }
            Err(CliError::usage(format!(
                "{kind} {typed}: the id of several {place} with this: {}; write more of it",
                names.join(", "),
                typed = cut(typed, REPEATED_CHARS_MAX)
            )))
        }
    }
}
