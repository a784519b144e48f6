//! The checklist of the deployment, with evidence.

use super::Operation;
use crate::extract::Who;
use crate::problem::ApiResult;
use actifix_app::App;
use actifix_app::doctor::DoctorReport;
use actifix_domain::access::Scope;
use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use std::sync::Arc;

pub(super) fn operations() -> Vec<Operation> {
    let look = Operation::get(
        "/api/v1/doctor",
        "get_doctor",
        "Look at the deployment now: each check with its state, evidence and advice",
        Scope::Admin,
        look,
    );
    vec![look.query(&[("production", "true: as strictly as a deployment needs that others reach")])]
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LookQuery {
    production: bool,
}

async fn look(
    State(app): State<Arc<App>>,
    who: Who,
    Query(query): Query<LookQuery>,
) -> ApiResult<Json<DoctorReport>> {
    Ok(Json(app.examine(&who.0, query.production).await?))
}
