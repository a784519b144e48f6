//! OpenAPI 3.1, made from the same table as the router.

use super::{Operation, Permission, alerts, form, operations, schemas};
use axum::http::Method;
use serde_json::{Map, Value, json};

pub(super) fn own_operation() -> Operation {
    let serve = || async { axum::Json(document()) };
    Operation::get("/api/openapi.json", "get_openapi", "This document", Permission::Anybody, serve)
}

/// The whole document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for operation in operations() {
        let entry = paths.entry(operation.path.to_owned()).or_insert_with(|| json!({}));
        if let Some(methods) = entry.as_object_mut() {
            methods.insert(operation.method.as_str().to_ascii_lowercase(), describe(&operation));
        }
    }
    let mut schemas = schemas::components();
    schemas.insert("TestProof".into(), test_proof());
    schemas.extend(alerts::schemas());
    schemas.insert(
        "Problem".into(),
        json!({
            "type": "object",
            "required": ["type", "title", "status", "detail", "request_id"],
            "properties": {
                "type": { "type": "string" }, "title": { "type": "string" },
                "status": { "type": "integer" }, "detail": { "type": "string" },
                "request_id": { "type": "string" },
                "errors": { "type": "array", "items": {
                    "type": "object",
                    "properties": { "field": { "type": "string" }, "message": { "type": "string" } }
                }}
            }
        }),
    );
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Actifix",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Tickets from redacted error events. Errors are application/problem+json (RFC 9457).",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" }
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }, { "session": [] }],
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "bearerFormat": "afx_…" },
                "session": { "type": "apiKey", "in": "cookie", "name": crate::cookies::session_name(true) }
            },
            "schemas": schemas,
            "headers": headers(),
            "responses": problems()
        },
        "paths": paths
    })
}

/// Evidence of a fix, as [`actifix_domain::lifecycle::TestProof`] is read.
fn test_proof() -> Value {
    let run = json!({
        "type": "object",
        "required": ["exit_code", "output_digest", "commit"],
        "properties": {
            "exit_code": { "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX },
            "output_digest": { "type": "string", "description": "SHA-256, 64 hex digits" },
            "commit": { "type": "string", "description": "7 to 64 hex digits" }
        },
        "additionalProperties": false
    });
    json!({
        "type": "object",
        "required": ["command", "before", "after"],
        "properties": {
            "command": { "type": "string", "description": "the same in both runs" }, "before": run, "after": run
        },
        "additionalProperties": false
    })
}

fn describe(operation: &Operation) -> Value {
    let mut parameters = Vec::new();
    for segment in operation.path.split('/') {
        if let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            // An empty segment would be another path.
            let schema = json!({ "type": "string", "minLength": 1 });
            parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
        }
    }
    for parameter in operation.parameters() {
        let (name, help) = parameter;
        parameters.push(json!({
            "name": name, "in": "query", "required": false, "description": help,
            "schema": form::of_query(&parameter).schema()
        }));
    }
    if operation.versioned {
        parameters.push(json!({
            "name": "If-Match", "in": "header", "required": false,
            "schema": { "type": "string", "pattern": "^(\\*|\"[0-9]{1,18}\"|[0-9]{1,18})$" },
            "description": "the ETag that the write was decided on; 412 when it is not the version any more"
        }));
    }
    if operation.method == Method::POST {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "schema": { "type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$" },
            "description": "a repeat with the same key within 24 hours changes nothing and gets the first answer, \
                            with `Idempotency-Replayed: true`"
        }));
    }
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "description": match operation.permission {
            Permission::Open => "Open to everybody, within limits.".to_owned(),
            Permission::Anybody => "Needs any credential.".to_owned(),
            Permission::Scope(scope) => format!("Needs the scope `{scope}`."),
        },
        "parameters": parameters,
        "responses": responses(operation),
    });
    if let (Permission::Open, Some(map)) = (operation.permission, described.as_object_mut()) {
        map.insert("security".into(), json!([]));
    }
    if !operation.body.is_empty() {
        let schema = form::object(operation.body);
        let required = schema.pointer("/required/0").is_some();
        if let Some(map) = described.as_object_mut() {
            map.insert(
                "requestBody".into(),
                json!({ "required": required, "content": { "application/json": { "schema": schema } } }),
            );
        }
    }
    described
}

/// Statuses that any operation can answer with; the others depend on what it takes.
const STATUSES: [u16; 10] = [400, 401, 403, 404, 409, 421, 422, 429, 500, 503];
/// Statuses of operations that read a body.
const BODY_STATUSES: [u16; 3] = [408, 413, 415];

fn responses(operation: &Operation) -> Value {
    let mut map = Map::new();
    let (kind, schema) = match schemas::answer(operation.id) {
        schemas::Answer::Json(schema) => ("application/json", schema),
        schemas::Answer::Bytes => {
            ("application/octet-stream", json!({ "type": "string", "format": "binary" }))
        }
    };
    let mut success = json!({ "description": "Success", "headers": told() });
    if let (true, Some(map)) = (operation.success != 204, success.as_object_mut()) {
        map.insert("content".into(), json!({ kind: { "schema": schema } }));
    }
    if operation.or_ok {
        map.insert("200".to_owned(), success.clone());
    }
    map.insert(operation.success.to_string(), success);
    let body: &[u16] = if operation.method == Method::GET { &[] } else { &BODY_STATUSES };
    let version: &[u16] = if operation.versioned { &[412] } else { &[] };
    for status in STATUSES.iter().chain(body).chain(version) {
        map.insert(status.to_string(), json!({ "$ref": format!("#/components/responses/{status}") }));
    }
    Value::Object(map)
}

/// What is said beside every answer of the API.
fn told() -> Value {
    let names = ["RateLimit", "RateLimit-Policy", "X-Actifix-Brake", "X-Request-Id"];
    let entry = |name: &str| (name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }));
    Value::Object(names.into_iter().map(entry).collect())
}

fn headers() -> Value {
    json!({
        "RateLimit": {
            "description": "what is left: items with `r` (requests) and `t` (seconds); absent where limits are off",
            "schema": { "type": "string" }
        },
        "RateLimit-Policy": {
            "description": "quotas: items with `q` (requests) and `w` (seconds)", "schema": { "type": "string" }
        },
        "X-Actifix-Brake": {
            "description": "strongest emergency brake of all projects, at most two seconds old: new tickets are held while it is not `off`",
            "schema": { "type": "string", "enum": ["off", "soft", "hard"] }
        },
        "X-Request-Id": {
            "description": "id of the request, also in problems and in the server's log",
            "required": true, "schema": { "type": "string" }
        },
        "Retry-After": { "description": "seconds", "required": true, "schema": { "type": "integer", "minimum": 0 } },
        "WWW-Authenticate": { "required": true, "schema": { "type": "string" } }
    })
}

/// The answers that are errors.
fn problems() -> Value {
    let what = [
        (400, "The request does not have the documented form"),
        (401, "No credential, or one that is not valid"),
        (403, "The credential does not hold what this needs"),
        (404, "There is no such thing, or the credential may not know of it"),
        (408, "The body did not arrive in time"),
        (409, "The state of the thing does not permit it, or the same key was sent with another request"),
        (412, "`If-Match` names a version that is not the present one"),
        (413, "The body is larger than 1 MiB"),
        (415, "The body is not `application/json`"),
        (421, "This server is not known by the name that the request was sent to"),
        (422, "The form is right and the value is not; `errors` names the fields"),
        (429, "Too many requests; wait as `Retry-After` says"),
        (
            500,
            "An error of the server; its log has it under the request's id. Type `urn:actifix:problem:damaged`: what is stored was changed, and `actifix doctor` says what to do",
        ),
        (503, "The server cannot do it now; try again as `Retry-After` says"),
    ];
    let describe = |(status, text): (u16, &str)| {
        let mut headers = told();
        let also = match status {
            401 => Some("WWW-Authenticate"),
            429 => Some("Retry-After"),
            _ => None,
        };
        if let (Some(name), Some(map)) = (also, headers.as_object_mut()) {
            map.insert(name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }));
        }
        let content =
            json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
        (status.to_string(), json!({ "description": text, "headers": headers, "content": content }))
    };
    Value::Object(what.into_iter().map(describe).collect())
}
