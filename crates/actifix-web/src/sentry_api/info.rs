//! `GET /api/0/`: who am I, which `sentry-cli info` asks.

use crate::api::{Operation, Permission};
use crate::extract::Who;
use actifix_domain::access::{Actor, Scope};
use axum::Json;
use serde_json::{Value, json};

pub(super) fn operations() -> Vec<Operation> {
    vec![Operation::get("/api/0/", "sentry_info", "What the credential may do", Permission::Anybody, info)]
}

async fn info(Who(actor): Who) -> Json<Value> {
    let project = actor.bound_project();
    let held = Scope::ALL.into_iter().filter(|scope| actor.may(*scope, project)).map(Scope::as_str);
    let user = match &actor {
        Actor::User { name, id, .. } => json!({ "id": id, "email": name }),
        _ => Value::Null,
    };
    Json(json!({ "version": "0", "auth": { "scopes": held.collect::<Vec<_>>() }, "user": user }))
}
