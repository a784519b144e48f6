//! Rules of alerts, and mutes of tickets.

use super::form::{self, Member};
use super::{Operation, path_id};
use crate::extract::{Input, Who};
use crate::problem::ApiResult;
use actifix_app::App;
use actifix_app::alerts::RuleInput;
use actifix_app::error::{Error, Result};
use actifix_domain::access::Scope;
use actifix_domain::alert::Mute;
use actifix_domain::time::Timestamp;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

type AppState = State<Arc<App>>;

/// A rule as [`RuleInput`] is read; a test goes to each bound and past it.
const RULE: &[Member] = &[
    ("name", "name!", "lower-case letters, digits, . _ -; one of the same name is replaced"),
    ("project", "project?", "only this project: its number or name"),
    ("enabled", "boolean?", "default true"),
    ("triggers", "triggers!", "what it listens for"),
    ("rate", "AlertRate?", "for the trigger rate, and only for it"),
    ("users", "1..10000?", "for the trigger users, and only for it: how many"),
    ("when", "AlertConditions?", "conditions, all of which must hold"),
    ("endpoints", "strings..50", "names of channels; default all"),
    ("cooldown_minutes", "0..10080?", "the same is not said again within, default 60"),
    ("burst", "1..100?", "messages within digest_minutes, default 10; the rest goes into a digest"),
    ("digest_minutes", "1..1440?", "default 10"),
    ("quiet", "AlertQuietHours?", "hours in which nothing is said"),
];

const RATE: &[Member] =
    &[("count", "1..1000000!", "so many events"), ("minutes", "1..1440!", "within so many minutes")];

const CONDITIONS: &[Member] = &[
    ("priority_min", "priority?", "at least this urgent"),
    ("level_min", "level?", "at least this severe"),
    ("environment", "strings..20", "globs, of which one matches"),
    ("release", "strings..20", "globs, of which one matches"),
    ("source", "strings..20", "globs, of which one matches the place of the failure"),
    ("tags", "texts..20", "a glob for each name of a tag"),
];

const QUIET_HOURS: &[Member] = &[
    ("hours", "hours!", "by the clock of a time zone, UTC where none is named; may cross midnight"),
    ("except", "priority?", "what is at least this urgent is said at once"),
];

/// Parts of a rule, as they come in and are told.
pub(super) fn schemas() -> [(String, Value); 3] {
    [("AlertRate", RATE), ("AlertConditions", CONDITIONS), ("AlertQuietHours", QUIET_HOURS)]
        .map(|(name, members)| (name.to_owned(), form::object(members)))
}

pub(super) fn operations() -> Vec<Operation> {
    let (admin, triage) = (Scope::Admin, Scope::TicketsTriage);
    vec![
        Operation::get(
            "/api/v1/alert-rules",
            "list_alert_rules",
            "Rules that hold; the defaults where there are no others",
            admin,
            list,
        ),
        Operation::post("/api/v1/alert-rules", "save_alert_rule", "Add or replace a rule", admin, save)
            .body(RULE),
        Operation::post(
            "/api/v1/alert-rules/dry-run",
            "dry_run_alert_rule",
            "What a rule would have said in the last seven days",
            admin,
            dry_run,
        )
        .body(RULE),
        Operation::delete("/api/v1/alert-rules/{name}", "remove_alert_rule", "Remove a rule", admin, remove)
            .empty(),
        Operation::post(
            "/api/v1/tickets/{id}/mute",
            "mute_ticket",
            "Say nothing about it until one of these comes true; without any for good",
            triage,
            mute,
        )
        .body(&[
            ("until", "time?", "this time is there"),
            ("until_count", "0..?", "it has so many events"),
            ("until_regression", "boolean", "it comes back after being resolved"),
        ]),
        Operation::post(
            "/api/v1/tickets/{id}/unmute",
            "unmute_ticket",
            "Say again what the rules say",
            triage,
            unmute,
        ),
    ]
}

async fn list(State(app): AppState, who: Who) -> ApiResult<Response> {
    let items = app.rules(&who.0).await?;
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

async fn save(State(app): AppState, who: Who, Input(input): Input<RuleInput>) -> ApiResult<Response> {
    let rule = app.read_rule(&who.0, input).await?;
    Ok(Json(json!(app.save_rule(&who.0, rule).await?)).into_response())
}

async fn dry_run(State(app): AppState, who: Who, Input(input): Input<RuleInput>) -> ApiResult<Response> {
    let rule = app.read_rule(&who.0, input).await?;
    Ok(Json(json!(app.dry_run_rule(&who.0, rule).await?)).into_response())
}

async fn remove(State(app): AppState, who: Who, Path(name): Path<String>) -> ApiResult<Response> {
    app.remove_rule(&who.0, &name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A mute as it comes in.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MuteInput {
    until: Option<String>,
    until_count: Option<u64>,
    until_regression: bool,
}

impl MuteInput {
    fn mute(self) -> Result<Mute> {
        let wrong = || Error::invalid("until", "an RFC 3339 time, such as 2026-12-01T08:00:00Z");
        let until = self.until.map(|text| Timestamp::parse(&text).ok_or_else(wrong)).transpose()?;
        Ok(Mute { until, until_count: self.until_count, until_regression: self.until_regression })
    }
}

async fn mute(
    State(app): AppState,
    who: Who,
    Path(id): Path<String>,
    Input(input): Input<MuteInput>,
) -> ApiResult<Response> {
    let mute = app.mute_ticket(&who.0, &path_id(&id, "ticket")?, Some(input.mute()?)).await?;
    Ok(Json(json!({ "mute": mute })).into_response())
}

async fn unmute(State(app): AppState, who: Who, Path(id): Path<String>) -> ApiResult<Response> {
    let mute = app.mute_ticket(&who.0, &path_id(&id, "ticket")?, None).await?;
    Ok(Json(json!({ "mute": mute })).into_response())
}
