//! `actifix ticket list`

use crate::cli::client::Client;
use crate::cli::output::{self, ago, dim, grouped, items, number, text};
use crate::cli::sheet::{Fit, Look, Sheet};
use crate::cli::{CliError, Global};
use actifix_app::ports::Clock;
use actifix_domain::search::Search;
use actifix_domain::ticket::{Priority, Status};
use actifix_domain::time::Timestamp;
use clap::{Args, ValueEnum};
use serde_json::Value;

/// Shown with `-h`.
pub const EXAMPLES: &str = "Examples:\n  actifix ticket list --priority P0,P1\n  actifix ticket list --search 'is:open release:web@* timeout'\n  actifix ticket list --json | jq '.items[].id'";

/// Shown with `--help`: the search language.
pub const LONG_HELP: &str = "\
Search: all terms must hold; - before a term negates it; values may be \"quoted\", * stands for any text.
  timeout \"no route\"              words and phrases of title, place or latest message
  is:open,held                    open held in_progress in_review resolved ignored; also unresolved,
                                  regressed, unhandled, assigned, unassigned
  priority:P0,P1  priority:<=P1   level:error  level:>=warning
  project:shop  release:web@5.*  environment:production  platform:python  assigned:jo  user:42
  id:7K3QF  count:>100  users:>=3  count:10..20
  last_seen:-24h  first_seen:-7d  first_seen:2026-11-01  last_seen:>2026-11-20
  browser:Firefox*                any other word before a colon is a tag

Examples:
  actifix ticket list --priority P0,P1
  actifix ticket list --search 'is:open release:web@* timeout'
  actifix ticket list --json | jq '.items[].id'";

/// Filters of a list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// open, held, in_progress, in_review, resolved or ignored.
    #[arg(long, value_parser = status_word)]
    status: Option<String>,
    /// P0 to P4, several with commas.
    #[arg(long, value_parser = priority_words)]
    priority: Option<String>,
    /// Project name or id.
    #[arg(long)]
    project: Option<String>,
    /// Words of the title, and terms such as is:unresolved (all in the long help).
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    search: String,
    /// Order.
    #[arg(long, value_enum, default_value_t = SortWord::LastSeen)]
    sort: SortWord,
    /// Held, resolved and ignored tickets too. Without it they are listed only when --status or --search asks for
    /// them, or with --json.
    #[arg(long)]
    all: bool,
    /// Tickets per page, 1 to 200.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Go on where the last page ended.
    #[arg(long)]
    cursor: Option<String>,
}

/// Order of a list.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SortWord {
    /// Latest event first.
    #[value(name = "last_seen")]
    LastSeen,
    /// Newest ticket first.
    #[value(name = "first_seen")]
    FirstSeen,
    /// Most events first.
    Count,
    /// Most urgent first.
    Priority,
}

impl SortWord {
    const fn as_str(self) -> &'static str {
        match self {
            Self::LastSeen => "last_seen",
            Self::FirstSeen => "first_seen",
            Self::Count => "count",
            Self::Priority => "priority",
        }
    }
}

fn status_word(text: &str) -> Result<String, String> {
    text.to_ascii_lowercase().parse::<Status>().map(|status| status.as_str().to_owned())
}

fn priority_words(text: &str) -> Result<String, String> {
    let all: Result<Vec<&str>, String> =
        text.split(',').map(|word| word.parse::<Priority>().map(Priority::as_str)).collect();
    all.map(|words| words.join(","))
}

/// Tickets up to which the server counts.
const TOTAL_MAX: u64 = 10_000;

/// What a person works through: everything but held, resolved and ignored tickets.
const UNRESOLVED: &str = "is:unresolved";

/// Runs the command.
pub async fn list(global: &Global, client: &Client, args: &ListArgs) -> Result<(), CliError> {
    Search::parse(&args.search, now()).map_err(|why| CliError::usage(format!("--search: {why}")))?;
    let asked = args.all || global.json || args.status.is_some() || args.search.contains("is:");
    let search = if asked { args.search.clone() } else { format!("{UNRESOLVED} {}", args.search) };
    let limit = args.limit.to_string();
    let mut query = vec![("search", search.as_str()), ("sort", args.sort.as_str()), ("limit", &limit)];
    for (name, value) in [
        ("status", &args.status),
        ("priority", &args.priority),
        ("project", &args.project),
        ("cursor", &args.cursor),
    ] {
        if let Some(value) = value {
            query.push((name, value));
        }
    }
    let page = client.get("/api/v1/tickets", &query).await?;
    if global.json {
        return output::json(&page);
    }
    let tickets = items(&page);
    if tickets.is_empty() {
        output::line(nothing(args, &page))?;
        for key in Search::parse(&args.search, now()).unwrap_or_default().tag_names() {
            dim(format!(
                "{key}: is taken for the name of a tag; `ticket list --help` lists the other words"
            ))?;
        }
    } else {
        output::line(sheet(tickets).render())?;
        dim(format!("{} of {}", tickets.len(), how_many(&page).unwrap_or_default()))?;
    }
    if let Some(cursor) = page.get("next_cursor").and_then(Value::as_str) {
        dim(format!("next page: --cursor {cursor}"))?;
    }
    if asked { Ok(()) } else { left_out(client, args).await }
}

/// Whether more follow.
fn goes_on(page: &Value) -> bool {
    page.get("next_cursor").is_some_and(Value::is_string)
}

/// How many there are in all; none where there are none. Not every search is counted.
fn how_many(page: &Value) -> Option<String> {
    match page.get("total").and_then(Value::as_u64) {
        Some(0) => None,
        Some(total) if total > TOTAL_MAX => Some(format!("more than {}", grouped(TOTAL_MAX))),
        Some(total) => Some(grouped(total)),
        None => (!items(page).is_empty() || goes_on(page)).then(|| "some".to_owned()),
    }
}

/// An empty list says what to do next.
fn nothing(args: &ListArgs, page: &Value) -> &'static str {
    if goes_on(page) {
        return "None of the tickets looked through matches; there are more.";
    }
    let filtered = args.status.is_some()
        || args.priority.is_some()
        || args.project.is_some()
        || args.cursor.is_some()
        || !args.search.trim().is_empty();
    if filtered {
        "No tickets match."
    } else {
        "No open tickets. Point an SDK here with SENTRY_DSN=$(actifix dsn), or try `actifix record 'it works'`."
    }
}

/// Says how many tickets were not listed, so that nobody thinks they are gone.
async fn left_out(client: &Client, args: &ListArgs) -> Result<(), CliError> {
    let mut said = Vec::new();
    for status in ["held", "resolved", "ignored"] {
        let mut query = vec![("status", status), ("limit", "1"), ("search", args.search.as_str())];
        query.extend(args.project.iter().map(|project| ("project", project.as_str())));
        query.extend(args.priority.iter().map(|priority| ("priority", priority.as_str())));
        if let Some(many) = how_many(&client.get("/api/v1/tickets", &query).await?) {
            said.push(format!("{many} {status}"));
        }
    }
    if said.is_empty() { Ok(()) } else { dim(format!("not listed: {} (--status, --all)", said.join(", "))) }
}

fn now() -> Timestamp {
    crate::system::SystemClock::new().now()
}

/// Characters of the end of a ticket's id: what tells those of one day apart.
const SHORT_ID: usize = 5;

fn sheet(tickets: &[Value]) -> Sheet {
    let mut sheet = Sheet::new(&[
        ("TICKET", Fit::End(SHORT_ID)),
        ("PRIO", Fit::Whole),
        ("STATUS", Fit::Whole),
        ("EVENTS", Fit::Whole),
        ("USERS", Fit::Spare(2)),
        ("LAST SEEN", Fit::Whole),
        ("AGENTS", Fit::Spare(3)),
        ("TITLE", Fit::Cut),
        ("WHERE", Fit::Cut),
    ]);
    for ticket in tickets {
        sheet.row([
            text(ticket, "id").to_owned(),
            text(ticket, "priority").to_owned(),
            text(ticket, "status").to_owned(),
            grouped(number(ticket, "count")),
            grouped(number(ticket, "users")),
            ago(ticket, "last_seen"),
            if text(ticket, "approval") == "needs_approval" { "approve?" } else { "yes" }.to_owned(),
            text(ticket, "title").to_owned(),
            text(ticket, "culprit").to_owned(),
        ]);
        sheet.look(1, Look::priority(text(ticket, "priority")));
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_not_counted_is_not_told_as_nothing() {
        let ticket = json!({ "id": "ACT-20261201-7BQBZ" });
        for (page, told) in [
            (json!({ "items": [], "total": 0, "next_cursor": null }), None),
            (json!({ "items": [ticket], "total": 1, "next_cursor": null }), Some("1")),
            (json!({ "items": [ticket], "total": 10_001, "next_cursor": "a" }), Some("more than 10,000")),
            (json!({ "items": [ticket], "total": null, "next_cursor": null }), Some("some")),
            (json!({ "items": [], "total": null, "next_cursor": "a" }), Some("some")),
            (json!({ "items": [], "total": null, "next_cursor": null }), None),
        ] {
            assert_eq!(how_many(&page).as_deref(), told, "{page}");
        }
    }
}
