//! Uploads of `sentry-cli sourcemaps upload`: what may be sent, chunks, and what is made of them.

use crate::api::Operation;
use crate::extract::{Input, ReadTime, Who};
use crate::problem::{ApiResult, Problem};
use actifix_app::App;
use actifix_app::source_maps::{
    Assembled, AssemblyInput, CHUNK_BYTES, CHUNKS_PER_REQUEST_MAX, PROJECTS_MAX, UPLOAD_BUNDLE_BYTES_MAX,
    UPLOAD_REQUEST_BYTES_MAX,
};
use actifix_domain::access::Scope;
use axum::Json;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, header};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// What `sentry-cli` may use of us: bundles of artifacts, in their present form, which names what is missing first.
const ACCEPT: [&str; 2] = ["artifact_bundles", "artifact_bundles_v2"];

pub(super) fn operations() -> Vec<Operation> {
    let scope = Scope::ReleasesWrite;
    let chunks = "/api/0/organizations/{org}/chunk-upload/";
    vec![
        Operation::get(chunks, "sentry_upload_options", "What may be uploaded, and how", scope, options),
        Operation::post(
            chunks,
            "sentry_upload_chunks",
            "Chunks of uploads, each named by its SHA-1",
            scope,
            upload,
        ),
        Operation::post(
            "/api/0/organizations/{org}/artifactbundle/assemble/",
            "sentry_assemble_bundle",
            "Make a bundle of chunks, or say where that stands",
            scope,
            assemble,
        ),
    ]
}

async fn options(uri: Uri) -> Json<Value> {
    Json(json!({
        // Below the address that the tool was told, whatever that is.
        "url": uri.path(),
        "chunkSize": CHUNK_BYTES,
        "chunksPerRequest": CHUNKS_PER_REQUEST_MAX,
        "maxFileSize": UPLOAD_BUNDLE_BYTES_MAX,
        "maxRequestSize": CHUNK_BYTES * CHUNKS_PER_REQUEST_MAX as u64,
        "concurrency": 1,
        "hashAlgorithm": "sha1",
        "compression": ["gzip"],
        "accept": ACCEPT,
    }))
}

async fn upload(State(app): State<Arc<App>>, Who(actor): Who, request: Request) -> ApiResult<Json<Value>> {
    let (parts, body) = request.into_parts();
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    // Before a byte is read: as many requests are in memory as there is room for.
    let _room = app.upload_room(&actor).await?;
    let within = ReadTime::of(&parts.extensions);
    let body: Bytes = match tokio::time::timeout(within, to_bytes(body, UPLOAD_REQUEST_BYTES_MAX)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            let most = format!("the request has more than {UPLOAD_REQUEST_BYTES_MAX} bytes, or ended early");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, most));
        }
        Err(_) => return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
    };
    app.take_chunks(&actor, &content_type, body).await?;
    Ok(Json(json!([])))
}

/// Members that later tools add are none of ours.
#[derive(Debug, Deserialize)]
struct Assemble {
    checksum: String,
    chunks: Vec<String>,
    #[serde(default)]
    projects: Vec<ProjectName>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    dist: Option<String>,
}

/// A project by name or number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ProjectName {
    Name(String),
    Number(i64),
}

async fn assemble(
    State(app): State<Arc<App>>,
    Who(actor): Who,
    Input(input): Input<Assemble>,
) -> ApiResult<Json<Value>> {
    let mut projects = Vec::new();
    for named in input.projects.into_iter().take(PROJECTS_MAX) {
        let name = match named {
            ProjectName::Name(name) => name,
            ProjectName::Number(number) => number.to_string(),
        };
        projects.push(super::project(&app, &actor, &name).await?.id);
    }
    let input = AssemblyInput {
        checksum: input.checksum,
        chunks: input.chunks,
        projects,
        version: input.version,
        dist: input.dist,
    };
    Ok(Json(match app.assemble(&actor, input).await? {
        Assembled::Missing(chunks) => {
            json!({ "state": "not_found", "missingChunks": chunks, "detail": null })
        }
        Assembled::Reading => json!({ "state": "assembling", "missingChunks": [], "detail": null }),
        Assembled::Done => json!({ "state": "ok", "missingChunks": [], "detail": null }),
        Assembled::Failed(why) => json!({ "state": "error", "missingChunks": [], "detail": why }),
    }))
}
