//! Held tickets, and secrets that programs leaked.

use super::forms::{Sent, Viewer, encoded, see};
use super::shell::{Nav, Shell, answer, base, render};
use super::text::{Marked, When, chip, grouped, many, marked, times};
use super::tickets::{Row, rows};
use crate::problem::Problem;
use actifix_app::App;
use actifix_app::error::Error;
use actifix_app::ports::{Cursor, FindingQuery, FindingState, HeldOverview, Sort, ThrottleRecord};
use actifix_app::tickets::ListTickets;
use actifix_domain::access::Scope;
use actifix_domain::id::{ProjectId, TicketId};
use actifix_domain::project::Project;
use actifix_domain::throttle::{Brake, HoldReason, ThrottleView, Waiting};
use actifix_domain::ticket::Priority;
use actifix_domain::time::Timestamp;
use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Projects whose budgets are shown.
const PROJECTS_MAX: usize = 50;
/// Decisions that are shown.
const DECISIONS_SHOWN: usize = 6;
/// Tickets that one click lets in.
const PROMOTE: u32 = 10;

/// One priority: its budget, if it has one, and how many wait.
struct Budget {
    priority: &'static str,
    class: &'static str,
    /// `15 of 15 in an hour`, or that there is none.
    used: String,
    percent: Option<u32>,
    held: String,
}

struct Flood {
    project: String,
    since: Option<When>,
    new_last_minute: String,
    /// There is something to let in, or a brake to release.
    waits: bool,
    held: u64,
    events: String,
    beyond: String,
    budgets: Vec<Budget>,
    /// What the brake holds.
    braked: Vec<Group>,
    /// Whose budget is used up.
    spent: Vec<Group>,
}

/// Priorities that the same guard holds.
struct Group {
    priorities: String,
    why: String,
    until: String,
}

/// What is held now, and why, in as few lines as say it.
fn groups<'a>(waiting: impl Iterator<Item = &'a Waiting>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for waiting in waiting {
        let name = waiting.priority.as_str();
        match groups.last_mut().filter(|last| last.why == waiting.why && last.until == waiting.until) {
            Some(last) => last.priorities += &format!(", {name}"),
            None => groups.push(Group {
                priorities: name.to_owned(),
                why: waiting.why.clone(),
                until: waiting.until.clone(),
            }),
        }
    }
    groups
}

fn budgets(view: &ThrottleView, held: &HeldOverview) -> Vec<Budget> {
    let of = |(priority, held): (Priority, u64)| {
        let budget = view.priorities.iter().find(|of| of.priority == priority);
        let held_now = view.waiting.iter().any(|waiting| waiting.priority == priority);
        Budget {
            priority: priority.as_str(),
            class: super::tickets::priority_class(priority),
            used: match budget {
                Some(of) => format!("{} of {} in {} h", of.used, of.limit, of.window_seconds / 3_600),
                None if held_now => "held by the brake".to_owned(),
                None => "let in".to_owned(),
            },
            percent: budget
                .map(|of| of.used.saturating_mul(100).checked_div(of.limit).unwrap_or(100).min(100)),
            held: grouped(held),
        }
    };
    Priority::ALL.into_iter().zip(held.held).map(of).collect()
}

fn flood(project: &Project, view: &ThrottleView, held: &HeldOverview, now: Timestamp) -> Flood {
    let waiting: u64 = held.held.iter().sum();
    let by_budget = |of: &&Waiting| of.reason == HoldReason::PriorityLimit;
    Flood {
        project: project.name.clone(),
        since: view.brake_since.map(|at| When::new(at, now)),
        new_last_minute: many(view.new_last_minute.into(), "new ticket"),
        waits: waiting > 0 || view.brake != Brake::Off,
        held: waiting,
        events: grouped(held.events),
        beyond: if held.beyond_cap > 0 { grouped(held.beyond_cap) } else { String::new() },
        budgets: budgets(view, held),
        braked: groups(view.waiting.iter().filter(|of| !by_budget(of))),
        spent: groups(view.waiting.iter().filter(by_budget)),
    }
}

/// Latest decisions that somebody took, or that all new tickets felt.
fn decisions(
    records: &[ThrottleRecord],
    names: &BTreeMap<ProjectId, String>,
    now: Timestamp,
) -> Vec<(When, String)> {
    let told = |record: &ThrottleRecord| {
        let what = match (record.decision.as_str(), record.reason.as_str()) {
            ("brake_soft", _) => "brake on".to_owned(),
            ("brake_hard", _) => "brake on, hard".to_owned(),
            ("brake_off", _) => "brake off".to_owned(),
            ("reset", _) => "brake released by hand".to_owned(),
            ("promoted", "by_hand") => format!("{} let in by hand", many(record.count, "ticket")),
            _ => return None,
        };
        let project = names.get(&record.project).cloned().unwrap_or_else(|| record.project.to_string());
        Some((When::new(record.at, now), format!("{project}: {what}")))
    };
    records.iter().filter_map(told).take(DECISIONS_SHOWN).collect()
}

#[derive(Template)]
#[template(path = "held.html")]
struct HeldPage {
    s: Shell,
    floods: Vec<Flood>,
    rows: Vec<Row>,
    decisions: Vec<(When, String)>,
    may_reset: bool,
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
            let flood = flood(project, &view, &held, s.now);
            if flood.waits || view.new_last_minute > 0 {
                floods.push(flood);
            }
        }
        if floods.iter().any(|flood| flood.waits) {
            floods.retain(|flood| flood.waits);
        }
        // Where most waits, somebody has most to do.
        floods.sort_by_key(|flood| std::cmp::Reverse(flood.held));
        let list = ListTickets {
            search: "is:held".to_owned(),
            sort: Sort::Count,
            limit: 25,
            ..ListTickets::default()
        };
        let found = app.tickets(&live.actor, list).await?;
        let rows = rows(&app, &live.actor, &found.items, &projects, s.now).await?;
        let names = projects.iter().map(|project| (project.id, project.name.clone())).collect();
        let decisions = decisions(&app.throttle_history(&live.actor).await?, &names, s.now);
        let may_reset = live.actor.may(Scope::Admin, None);
        Ok(render(&HeldPage { s, floods, rows, decisions, may_reset }))
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
                count: times(finding.count),
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
