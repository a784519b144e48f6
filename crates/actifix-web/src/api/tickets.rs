//! Tickets: search, read, work.

use super::{Operation, path_id, present, tagged};
use crate::extract::{Input, Who, if_match};
use crate::problem::{ApiResult, Problem};
use actifix_app::App;
use actifix_app::ports::{ActivityEntry, Cursor, Lease, Sort, TicketDetail};
use actifix_app::tickets::{Completion, LeaseProof, ListTickets, TicketChange, Told};
use actifix_domain::access::Scope;
use actifix_domain::id::{Fingerprint, TicketId};
use actifix_domain::lifecycle::{Evidence, TestProof};
use actifix_domain::ticket::{Priority, Ticket};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use std::sync::Arc;

type AppState = State<Arc<App>>;

const LIST: &[(&str, &str)] = &[
    ("search", "search text: `is:open priority:<=P1 release:web@* \"free text\"`"),
    ("status", "one of open, held, in_progress, in_review, resolved, ignored"),
    ("priority", "P0 to P4, several with commas"),
    ("project", "name or id"),
    ("sort", "last_seen (default), first_seen, count, priority"),
    ("cursor", "`next_cursor` of the last answer"),
    ("limit", "1 to 200, default 50"),
];
const LEASE: (&str, &str, &str) =
    ("lease_id", "string?", "lease that this write belongs to; agents must give it");
const FENCE: (&str, &str, &str) = ("fence", "0..?", "fencing number of the lease");

pub(super) fn operations() -> Vec<Operation> {
    let mut all = work_operations();
    all.extend(triage_operations());
    all
}

fn work_operations() -> Vec<Operation> {
    let read = Scope::TicketsRead;
    let work = Scope::TicketsWork;
    let triage = Scope::TicketsTriage;
    vec![
        Operation::get("/api/v1/tickets", "list_tickets", "Search tickets", read, list).query(LIST),
        Operation::get(
            "/api/v1/tickets/{id}",
            "get_ticket",
            "One ticket with all that its page shows",
            read,
            show,
        ),
        Operation::get(
            "/api/v1/tickets/{id}/context",
            "get_ticket_context",
            "What an agent needs of it, at most about 6 kB: our facts under `server`, texts of others under `untrusted`",
            read,
            context,
        ),
        Operation::patch("/api/v1/tickets/{id}", "change_ticket", "Set priority or assignee", triage, change)
            .versioned()
            .body(&[
                ("priority", "priority?", "P0 to P4"),
                ("assignee", "string?", "name, or null to clear"),
            ]),
        Operation::get(
            "/api/v1/tickets/{id}/events",
            "list_ticket_events",
            "Stored events, newest first",
            read,
            events,
        )
        .query(&[("cursor", "`next_cursor` of the last answer"), ("limit", "1 to 200, default 50")]),
        Operation::get(
            "/api/v1/tickets/{id}/similar",
            "list_similar",
            "Tickets that look alike",
            read,
            similar,
        ),
        Operation::post("/api/v1/tickets/{id}/claim", "claim_ticket", "Take a lease", work, claim)
            .versioned()
            .body(&[("minutes", "1..240?", "1 to 240, default 30")]),
        Operation::post("/api/v1/tickets/{id}/renew", "renew_lease", "Prolong a lease", work, renew)
            .versioned()
            .body(&[LEASE, FENCE, ("minutes", "1..240?", "1 to 240, default 30")]),
        Operation::post("/api/v1/tickets/{id}/release", "release_ticket", "End a lease", work, release)
            .versioned()
            .body(&[LEASE, FENCE, ("reason", "string?", "why, and what was learned")]),
        Operation::post("/api/v1/tickets/{id}/notes", "add_note", "Add a note", work, note)
            .versioned()
            .body(&[("text", "string!", "1 to 10,000 characters"), LEASE, FENCE]),
    ]
}

fn triage_operations() -> Vec<Operation> {
    let work = Scope::TicketsWork;
    let triage = Scope::TicketsTriage;
    vec![
        Operation::post(
            "/api/v1/tickets/{id}/complete",
            "complete_ticket",
            "Give evidence of the fix",
            work,
            complete,
        )
        .versioned()
        .body(&[
            ("root_cause", "string!", "what was wrong, in words"),
            ("commit", "string?", "commit of the fix"),
            ("no_commit_reason", "string?", "why there is none"),
            ("test", "TestProof?", "two runs of one command: failed before, passes after"),
            ("no_test_reason", "string?", "why there is none"),
            ("resolved_in", "string?", "release that ships the fix"),
            (
                "in_next_release",
                "boolean?",
                "the next release ships it: events of those known now do not reopen it",
            ),
            LEASE,
            FENCE,
        ]),
        Operation::post(
            "/api/v1/tickets/{id}/approve",
            "approve_ticket",
            "Let agents have it, or take that back",
            triage,
            approve,
        )
        .versioned()
        .body(&[("approved", "boolean?", "false takes the approval back; default true")]),
        Operation::post("/api/v1/tickets/{id}/reopen", "reopen_ticket", "Open it again", triage, reopen)
            .versioned(),
        Operation::post(
            "/api/v1/tickets/{id}/ignore",
            "ignore_ticket",
            "Only count its events",
            triage,
            ignore,
        )
        .versioned(),
        Operation::post(
            "/api/v1/tickets/{id}/assign",
            "assign_ticket",
            "Give it to somebody",
            triage,
            assign,
        )
        .versioned()
        .body(&[("assignee", "string?", "name, or null to clear")]),
        Operation::post(
            "/api/v1/tickets/{id}/merge",
            "merge_tickets",
            "Take other tickets over",
            triage,
            merge,
        )
        .versioned()
        .body(&[("from", "tickets!", "1 to 50 ticket ids")]),
        Operation::post(
            "/api/v1/tickets/{id}/split",
            "split_ticket",
            "Pin one key to a ticket of its own",
            triage,
            split,
        )
        .versioned()
        .body(&[("fingerprint", "hex!", "one of the ticket's fingerprints")]),
    ]
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    search: String,
    status: Option<String>,
    priority: Option<String>,
    project: Option<String>,
    sort: Sort,
    cursor: Option<Cursor>,
    limit: u32,
}

async fn list(State(app): AppState, who: Who, Query(query): Query<ListQuery>) -> ApiResult<Response> {
    let page = app
        .tickets(
            &who.0,
            ListTickets {
                project: query.project,
                search: query.search,
                status: query.status,
                priority: query.priority,
                sort: query.sort,
                cursor: query.cursor,
                limit: query.limit,
            },
        )
        .await?;
    Ok(Json(page).into_response())
}

async fn show(State(app): AppState, who: Who, Path(id): Path<String>) -> ApiResult<Response> {
    let detail = app.ticket(&who.0, &ticket_id(&id)?).await?;
    let version = detail.ticket.version;
    Ok(tagged(version, detail_json(&app, detail)?))
}

async fn context(State(app): AppState, who: Who, Path(id): Path<String>) -> ApiResult<Response> {
    let context = app.ticket_context(&who.0, &ticket_id(&id)?).await?;
    Ok(tagged(context.version, json!({ "server": context.server, "untrusted": context.untrusted })))
}

/// The ticket's own fields first, then what its page shows beyond them.
fn detail_json(app: &App, detail: TicketDetail) -> ApiResult<Value> {
    let sentence = detail.grouping.sentence();
    let mut body = json!(detail.ticket);
    let Some(map) = body.as_object_mut() else { return Ok(body) };
    let url = format!("{}/tickets/{}", app.settings().public_url, detail.ticket.id);
    map.insert("url".into(), json!(url));
    map.insert("fingerprints".into(), json!(detail.fingerprints));
    map.insert("grouping".into(), json!(detail.grouping));
    map.insert("grouping_sentence".into(), json!(sentence));
    map.insert("facets".into(), json!(detail.facets));
    map.insert("hours".into(), json!(detail.hours));
    map.insert("days".into(), json!(detail.days));
    let activity: Vec<Value> = detail.activity.iter().map(line_json).collect();
    map.insert("activity".into(), json!(activity));
    map.insert("latest_event".into(), json!(detail.latest_event));
    let redactions: Vec<Value> =
        detail.redactions.iter().map(|(rule, count)| json!({ "rule": rule, "count": count })).collect();
    map.insert("redactions".into(), json!(redactions));
    map.insert("needs_person".into(), json!(detail.needs_person));
    map.insert("held_because".into(), json!(detail.held_because));
    map.insert("suspect_commits".into(), json!(detail.suspect_commits));
    // Whoever reads may know that it is leased, not the id that proves it.
    let lease = detail.lease.map(|lease| {
        json!({ "holder": lease.holder, "fence": lease.fence, "since": lease.since, "expires_at": lease.expires_at })
    });
    map.insert("lease".into(), json!(lease));
    Ok(body)
}

/// A line of the history, and the same in words.
fn line_json(entry: &ActivityEntry) -> Value {
    let mut line = json!(entry);
    if let Some(map) = line.as_object_mut() {
        map.insert("told".into(), json!(Told::of(entry)));
    }
    line
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PageQuery {
    cursor: Option<Cursor>,
    limit: u32,
}

async fn events(
    State(app): AppState,
    who: Who,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Response> {
    let page = app.ticket_events(&who.0, &ticket_id(&id)?, query.cursor, query.limit).await?;
    Ok(Json(page).into_response())
}

async fn similar(State(app): AppState, who: Who, Path(id): Path<String>) -> ApiResult<Response> {
    let items = app.similar_tickets(&who.0, &ticket_id(&id)?).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeInput {
    priority: Option<Priority>,
    #[serde(default, deserialize_with = "present")]
    assignee: Option<Option<String>>,
}

async fn change(
    State(app): AppState,
    who: Who,
    Path(id): Path<String>,
    headers: HeaderMap,
    Input(input): Input<ChangeInput>,
) -> ApiResult<Response> {
    let change = TicketChange { priority: input.priority, assignee: input.assignee };
    let ticket = app.change_ticket(&who.0, &ticket_id(&id)?, change, if_match(&headers)?).await?;
    Ok(answer(&ticket))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeaseInput {
    minutes: Option<u32>,
    lease_id: Option<String>,
    fence: Option<u64>,
    reason: Option<String>,
}

async fn claim(
    State(app): AppState,
    who: Who,
    Path(id): Path<String>,
    headers: HeaderMap,
    Input(input): Input<LeaseInput>,
) -> ApiResult<Response> {
    let (ticket, lease) = app.claim(&who.0, &ticket_id(&id)?, input.minutes, if_match(&headers)?).await?;
    Ok(leased(&ticket, &lease))
}

async fn renew(
    State(app): AppState,
    who: Who,
    Path(id): Path<String>,
    headers: HeaderMap,
    Input(input): Input<LeaseInput>,
) -> ApiResult<Response> {
    let proof = proof(input.lease_id, input.fence)?;
    let (id, version) = (ticket_id(&id)?, if_match(&headers)?);
    let (ticket, lease) = app.renew(&who.0, &id, proof.as_ref(), input.minutes, version).await?;
    Ok(leased(&ticket, &lease))
}

async fn release(
    State(app): AppState,
    who: Who,
    Path(id): Path<String>,
    headers: HeaderMap,
    Input(input): Input<LeaseInput>,
) -> ApiResult<Response> {
    let proof = proof(input.lease_id, input.fence)?;
    let reason = input.reason.unwrap_or_default();
    let version = if_match(&headers)?;
    Ok(answer(&app.release(&who.0, &ticket_id(&id)?, proof.as_ref(), &reason, version).await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoteInput {
    text: String,
    lease_id: Option<String>,
    fence: Option<u64>,
}

async fn note(
    State(app): AppState,
    who: Who,
    Path(id): Path<String>,
    headers: HeaderMap,
    Input(input): Input<NoteInput>,
) -> ApiResult<Response> {
    let proof = proof(input.lease_id, input.fence)?;
    let version = if_match(&headers)?;
    Ok(answer(&app.add_note(&who.0, &ticket_id(&id)?, &input.text, proof.as_ref(), version).await?))
}

/// The members of [`Evidence`], and what goes with it. Flattening would let unknown members pass.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CompleteInput {
    #[serde(default)]
    root_cause: String,
    commit: Option<String>,
    no_commit_reason: Option<String>,
    #[serde(default, deserialize_with = "proof_of_objects")]
    test: Option<TestProof>,
    no_test_reason: Option<String>,
    resolved_in: Option<String>,
    in_next_release: Option<bool>,
    lease_id: Option<String>,
    fence: Option<u64>,
}

/// Derived readers take lists for objects too; the contract does not.
fn proof_of_objects<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TestProof>, D::Error> {
    let Some(members) = Option::<Map<String, Value>>::deserialize(deserializer)? else { return Ok(None) };
    if members.values().any(Value::is_array) {
        return Err(D::Error::custom("a list where an object is expected"));
    }
    serde_json::from_value(Value::Object(members)).map(Some).map_err(D::Error::custom)
}

async fn complete(
    State(app): AppState,
    who: Who,
    Path(id): Path<String>,
    headers: HeaderMap,
    Input(input): Input<CompleteInput>,
) -> ApiResult<Response> {
    let proof = proof(input.lease_id, input.fence)?;
    let evidence = Evidence {
        root_cause: input.root_cause,
        commit: input.commit,
        no_commit_reason: input.no_commit_reason,
        test: input.test,
        no_test_reason: input.no_test_reason,
    };
    let in_next_release = input.in_next_release.unwrap_or_default();
    let completion = Completion { evidence, resolved_in: input.resolved_in, in_next_release };
    let version = if_match(&headers)?;
    Ok(answer(&app.complete(&who.0, &ticket_id(&id)?, completion, proof.as_ref(), version).await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApproveInput {
    approved: Option<bool>,
}

async fn approve(
    State(app): AppState,
    who: Who,
    Path(id): Path<String>,
    headers: HeaderMap,
    Input(input): Input<ApproveInput>,
) -> ApiResult<Response> {
    let (id, version) = (ticket_id(&id)?, if_match(&headers)?);
    Ok(answer(&match input.approved.unwrap_or(true) {
        true => app.approve(&who.0, &id, version).await?,
        false => app.unapprove(&who.0, &id, version).await?,
    }))
}

async fn reopen(
    State(app): AppState,
    who: Who,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    Ok(answer(&app.reopen(&who.0, &ticket_id(&id)?, if_match(&headers)?).await?))
}

async fn ignore(
    State(app): AppState,
    who: Who,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    Ok(answer(&app.ignore(&who.0, &ticket_id(&id)?, if_match(&headers)?).await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AssignInput {
    assignee: Option<String>,
}

async fn assign(
    State(app): AppState,
    who: Who,
    Path(id): Path<String>,
    headers: HeaderMap,
    Input(input): Input<AssignInput>,
) -> ApiResult<Response> {
    let change = TicketChange { priority: None, assignee: Some(input.assignee) };
    Ok(answer(&app.change_ticket(&who.0, &ticket_id(&id)?, change, if_match(&headers)?).await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MergeInput {
    from: Vec<TicketId>,
}

async fn merge(
    State(app): AppState,
    who: Who,
    Path(id): Path<String>,
    headers: HeaderMap,
    Input(input): Input<MergeInput>,
) -> ApiResult<Response> {
    let merged = app.merge(&who.0, &ticket_id(&id)?, &input.from, if_match(&headers)?).await?;
    let mut body = json!(merged.ticket);
    if let Some(map) = body.as_object_mut() {
        map.insert("approval_ended".into(), json!(merged.approval_ended));
    }
    Ok(tagged(merged.ticket.version, body))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SplitInput {
    fingerprint: Fingerprint,
}

async fn split(
    State(app): AppState,
    who: Who,
    Path(id): Path<String>,
    headers: HeaderMap,
    Input(input): Input<SplitInput>,
) -> ApiResult<Response> {
    Ok(answer(&app.split(&who.0, &ticket_id(&id)?, input.fingerprint, if_match(&headers)?).await?))
}

fn ticket_id(text: &str) -> ApiResult<TicketId> {
    path_id(text, "ticket")
}

fn proof(lease_id: Option<String>, fence: Option<u64>) -> ApiResult<Option<LeaseProof>> {
    match (lease_id, fence) {
        (Some(lease_id), Some(fence)) => Ok(Some(LeaseProof { lease_id, fence })),
        (None, None) => Ok(None),
        _ => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "lease_id and fence go together")),
    }
}

fn answer(ticket: &Ticket) -> Response {
    tagged(ticket.version, json!(ticket))
}

fn leased(ticket: &Ticket, lease: &Lease) -> Response {
    let mut body = json!(lease);
    if let Some(map) = body.as_object_mut() {
        map.insert("ticket".into(), json!(ticket));
    }
    tagged(ticket.version, body)
}
