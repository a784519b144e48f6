//! Held tickets, and secrets that programs leaked.

use super::forms::{Sent, Viewer, encoded, see};
use super::shell::{Nav, Shell, answer, base, render};
use super::text::{Marked, When, chip, grouped, marked};
use super::tickets::{Row, rows};
use crate::problem::Problem;
use actifix_app::App;
use actifix_app::error::Error;
use actifix_app::ports::{Cursor, FindingQuery, FindingState, Sort};
use actifix_app::tickets::ListTickets;
use actifix_domain::id::TicketId;
use actifix_domain::throttle::Brake;
use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Projects whose budgets are shown.
const PROJECTS_MAX: usize = 50;
/// Tickets that one click lets in.
const PROMOTE: u32 = 10;

struct Budget {
    priority: &'static str,
    class: &'static str,
    used: u32,
    limit: u32,
    percent: u32,
}

struct Flood {
    project: String,
    brake: &'static str,
    since: Option<When>,
    new_last_minute: u32,
    /// There is something to let in, or a brake to release.
    waits: bool,
    held: String,
    events: String,
    beyond: String,
    budgets: Vec<Budget>,
}

#[derive(Template)]
#[template(path = "held.html")]
struct HeldPage {
    s: Shell,
    floods: Vec<Flood>,
    rows: Vec<Row>,
}

/// Held tickets and the brake.
pub async fn held(State(app): State<Arc<App>>, viewer: Viewer) -> Response {
    let page = async {
        let live = &viewer.0;
        let s = Shell::load(&app, live, Nav::Held, "Held").await?;
        let projects = app.projects(&live.actor).await?;
        let mut floods = Vec::new();
        for project in projects.iter().take(PROJECTS_MAX) {
            let (view, held) = app.throttle(&live.actor, &project.id.to_string()).await?;
            let waiting: u64 = held.held.iter().sum();
            if waiting == 0 && view.brake == Brake::Off && view.new_last_minute == 0 {
                continue;
            }
            floods.push(Flood {
                project: project.name.clone(),
                brake: match view.brake {
                    Brake::Off => "off",
                    Brake::Soft => "on: new P2 to P4 are held",
                    Brake::Hard => "on: all new tickets are held",
                },
                since: view.brake_since.map(|at| When::new(at, s.now)),
                new_last_minute: view.new_last_minute,
                waits: waiting > 0 || view.brake != Brake::Off,
                held: grouped(waiting),
                events: grouped(held.events),
                beyond: if held.beyond_cap > 0 { grouped(held.beyond_cap) } else { String::new() },
                budgets: view
                    .priorities
                    .iter()
                    .map(|of| Budget {
                        priority: of.priority.as_str(),
                        class: super::tickets::priority_class(of.priority),
                        used: of.used,
                        limit: of.limit,
                        percent: of.used.saturating_mul(100).checked_div(of.limit).unwrap_or(0).min(100),
                    })
                    .collect(),
            });
        }
        let list = ListTickets {
            search: "is:held".to_owned(),
            sort: Sort::Count,
            limit: 25,
            ..ListTickets::default()
        };
        let found = app.tickets(&live.actor, list).await?;
        let rows = rows(&app, &live.actor, &found.items, &projects, s.now).await?;
        Ok(render(&HeldPage { s, floods, rows }))
    };
    answer(page.await)
}

/// Lets held tickets in, or releases the brake.
pub async fn act(State(app): State<Arc<App>>, sent: Sent) -> Response {
    let actor = &sent.live.actor;
    let project = sent.fields.get("project").unwrap_or_default();
    let done = match sent.fields.get("act").unwrap_or_default() {
        "promote" => app.promote(actor, project, None, PROMOTE).await.map(|_| ()),
        "reset" => app.reset_throttle(actor, project).await,
        "one" => match sent.fields.get("id").unwrap_or_default().parse::<TicketId>() {
            Ok(id) => match app.ticket(actor, &id).await {
                Ok(detail) => {
                    app.promote(actor, &detail.ticket.project.to_string(), Some(&id), 1).await.map(|_| ())
                }
                Err(error) => Err(error),
            },
            Err(_) => Err(Error::NotFound { what: "ticket" }),
        },
        _ => Err(Error::invalid("act", "this page does not know it: load it again")),
    };
    match done {
        Ok(()) => see(&format!("{}/held", base(&app))),
        Err(error) => Problem::from(error).into_response(),
    }
}

struct Leak {
    id: String,
    rule: Marked,
    severity: String,
    masked: String,
    hash: Option<String>,
    project: String,
    count: String,
    first: When,
    last: When,
    state: &'static str,
    note: Marked,
    fix: String,
    places: Vec<(Marked, Option<String>)>,
    version: u64,
}

#[derive(Template)]
#[template(path = "findings.html")]
struct FindingsPage {
    s: Shell,
    state: String,
    leaks: Vec<Leak>,
    next: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct FindingsQuery {
    state: String,
    cursor: Option<Cursor>,
}

/// Leaked secrets.
pub async fn findings(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Query(query): Query<FindingsQuery>,
) -> Response {
    let page = async {
        let live = &viewer.0;
        let (word, state) = match query.state.as_str() {
            "rotated" => ("rotated", Some(FindingState::Rotated)),
            "false_positive" => ("false_positive", Some(FindingState::FalsePositive)),
            "all" => ("all", None),
            _ => ("open", Some(FindingState::Open)),
        };
        let asked = FindingQuery { state, cursor: query.cursor, limit: 50, ..FindingQuery::default() };
        let found = app.findings(&live.actor, asked).await?;
        let projects = app.projects(&live.actor).await?;
        let names: BTreeMap<_, _> =
            projects.iter().map(|project| (project.id, project.name.clone())).collect();
        let s = Shell::load(&app, live, Nav::Findings, "Findings").await?;
        let leaks = found
            .items
            .into_iter()
            .map(|finding| Leak {
                rule: chip(&finding.rule),
                project: names.get(&finding.project).cloned().unwrap_or_default(),
                count: if finding.count == 1 {
                    "once".to_owned()
                } else {
                    format!("{} times", grouped(finding.count))
                },
                first: When::new(finding.first_seen, s.now),
                last: When::new(finding.last_seen, s.now),
                state: match finding.state {
                    FindingState::Open => "open",
                    FindingState::Rotated => "rotated",
                    FindingState::FalsePositive => "no secret",
                },
                note: marked(&finding.note, 500),
                fix: finding.fix,
                places: finding
                    .places
                    .iter()
                    .take(5)
                    .map(|place| {
                        (marked(&place.path, 120), place.ticket_id.as_ref().map(ToString::to_string))
                    })
                    .collect(),
                id: finding.id,
                severity: finding.severity,
                masked: finding.masked,
                hash: finding.hash,
                version: finding.version,
            })
            .collect();
        let next = found
            .next_cursor
            .map(|Cursor(cursor)| format!("{}/findings?state={word}&cursor={}", s.base, encoded(&cursor)));
        Ok(render(&FindingsPage { state: word.to_owned(), leaks, next, s }))
    };
    answer(page.await)
}

/// Says what became of a leaked secret.
pub async fn resolve(State(app): State<Arc<App>>, sent: Sent) -> Response {
    let fields = &sent.fields;
    let state = match fields.get("act").unwrap_or_default() {
        "rotated" => FindingState::Rotated,
        "false_positive" => FindingState::FalsePositive,
        "open" => FindingState::Open,
        _ => {
            let error = Error::invalid("act", "this page does not know it: load it again");
            return Problem::from(error).into_response();
        }
    };
    let version = fields.get("version").and_then(|text| text.parse().ok());
    let (id, note) = (fields.get("id").unwrap_or_default(), fields.get("note").unwrap_or_default());
    match app.set_finding_state(&sent.live.actor, id, state, note, version).await {
        Ok(_) => see(&format!("{}/findings", base(&app))),
        Err(error) => Problem::from(error).into_response(),
    }
}
