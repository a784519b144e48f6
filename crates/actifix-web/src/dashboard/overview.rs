//! The first page: does anybody have to do something?

use super::forms::Viewer;
use super::shell::{Nav, Shell, answer, render};
use super::text::{Marked, are, chip, counted, grouped, many};
use super::tickets::{Row, priority_class, rows};
use actifix_app::App;
use actifix_app::error::Error;
use actifix_app::ports::{FindingQuery, FindingState, Sort};
use actifix_app::sessions::LiveSession;
use actifix_app::tickets::ListTickets;
use actifix_domain::ticket::{Priority, Status};
use actifix_domain::time::DAY;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Projects whose outcomes are added up.
const PROJECTS_MAX: usize = 50;

struct Line {
    name: String,
    class: &'static str,
    count: String,
    percent: u64,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    s: Shell,
    sentence: String,
    consequence: String,
    open: Vec<Line>,
    urgent: Vec<Row>,
    findings: Vec<(Marked, String, String, String)>,
    outcomes: Vec<Line>,
    received: String,
    received_items: String,
    /// The first project, and its DSN.
    project: String,
    dsn: String,
    first_run: bool,
}

/// The page.
pub async fn show(State(app): State<Arc<App>>, viewer: Viewer) -> Response {
    answer(page(&app, &viewer.0).await)
}

async fn page(app: &App, live: &LiveSession) -> Result<Response, Error> {
    let s = Shell::load(app, live, Nav::Overview, "Overview").await?;
    let projects = app.projects(&live.actor).await?;
    let first_run = s.stats.events == 0 && s.stats.tickets.iter().all(|(.., many)| *many == 0);
    let urgent = app
        .tickets(
            &live.actor,
            ListTickets {
                search: "is:unresolved".to_owned(),
                sort: Sort::Priority,
                limit: 6,
                ..ListTickets::default()
            },
        )
        .await?;
    let urgent = rows(app, &live.actor, &urgent.items, &projects, s.now).await?;
    let found = app
        .findings(
            &live.actor,
            FindingQuery { state: Some(FindingState::Open), limit: 6, ..FindingQuery::default() },
        )
        .await?;
    let names: BTreeMap<_, _> = projects.iter().map(|project| (project.id, project.name.clone())).collect();
    let findings = found
        .items
        .iter()
        .map(|finding| {
            let project = names.get(&finding.project).cloned().unwrap_or_default();
            (chip(&finding.rule), project, grouped(finding.count), finding.id.clone())
        })
        .collect();
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for project in projects.iter().take(PROJECTS_MAX) {
        for total in app.outcomes(&live.actor, &project.id.to_string(), s.now.plus(-DAY)).await? {
            *sums.entry(total.outcome.as_str().to_owned()).or_default() += total.quantity;
        }
    }
    let project = projects.first().map(|project| project.id.to_string()).unwrap_or_default();
    let dsn = app.dsn(&live.actor, &project).await.unwrap_or_default();
    let open = open(&s);
    let (sentence, consequence) = sentence(&s, first_run);
    let outcomes = lines(&sums);
    let received = sums.values().sum();
    let received_items = many(received, "item");
    let received = grouped(received);
    Ok(render(&OverviewPage {
        sentence,
        consequence,
        open,
        urgent,
        findings,
        outcomes,
        received,
        received_items,
        project,
        dsn,
        first_run,
        s,
    }))
}

fn unresolved(s: &Shell, priority: Priority) -> u64 {
    let unresolved = [Status::Open, Status::InProgress, Status::InReview];
    let of = s.stats.tickets.iter().filter(|(status, of, _)| *of == priority && unresolved.contains(status));
    of.map(|(.., many)| many).sum()
}

fn open(s: &Shell) -> Vec<Line> {
    let counts = Priority::ALL.map(|priority| (priority, unresolved(s, priority)));
    let highest = counts.iter().map(|(_, many)| *many).max().unwrap_or(0).max(1);
    counts
        .into_iter()
        .map(|(priority, many)| Line {
            name: priority.as_str().to_owned(),
            class: priority_class(priority),
            count: grouped(many),
            percent: many.saturating_mul(100) / highest,
        })
        .collect()
}

fn lines(sums: &BTreeMap<String, u64>) -> Vec<Line> {
    let highest = sums.values().copied().max().unwrap_or(0).max(1);
    let mut lines: Vec<(&String, &u64)> = sums.iter().collect();
    lines.sort_by_key(|(_, many)| std::cmp::Reverse(**many));
    lines
        .into_iter()
        .map(|(name, many)| Line {
            name: name.replace('_', " "),
            class: "",
            count: grouped(*many),
            percent: many.saturating_mul(100) / highest,
        })
        .collect()
}

/// The answer to "do I have to do something?": a fact, and what follows from it.
fn sentence(s: &Shell, first_run: bool) -> (String, String) {
    if first_run {
        let what = "Point an SDK here and the first one appears on this page.";
        return ("No events yet.".to_owned(), what.to_owned());
    }
    let (p0, p1) = (unresolved(s, Priority::P0), unresolved(s, Priority::P1));
    let fact = match (p0, p1) {
        (0, 0) => "No P0 and no P1 is open.".to_owned(),
        (p0, 0) => format!("{} P0 {} open.", counted(p0), are(p0)),
        (0, p1) => format!("{} P1 {} open.", counted(p1), are(p1)),
        (p0, p1) => format!("{} P0 and {} P1 are open.", counted(p0), grouped(p1)),
    };
    let held = s.of_status(Status::Held);
    let consequence = match (s.brake.is_empty(), held) {
        (false, held) => {
            let wait = if held == 1 { "waits" } else { "wait" };
            format!(
                "The {}, {} {wait}.",
                s.brake.replacen("brake on", "brake is on", 1),
                many(held, "ticket")
            )
        }
        (true, 0) => "Nothing is held.".to_owned(),
        (true, held) => format!("{} of a flood {} held.", many(held, "ticket"), are(held)),
    };
    (fact, consequence)
}
