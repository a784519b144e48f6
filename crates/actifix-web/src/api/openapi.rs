//! OpenAPI 3.1, made from the same table as the router.

use super::{Operation, Permission, operations, schemas};
use crate::extract::Who;
use axum::http::Method;
use serde_json::{Map, Value, json};

/// Any credential may read the contract.
pub(super) async fn serve(_who: Who) -> axum::Json<Value> {
    axum::Json(document())
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
    paths.insert(
        "/api/openapi.json".into(),
        json!({ "get": {
            "operationId": "get_openapi", "summary": "This document",
            "responses": responses(200, json!({ "type": "object" }))
        }}),
    );
    let mut schemas = schemas::components();
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
            "schemas": schemas
        },
        "paths": paths
    })
}

fn describe(operation: &Operation) -> Value {
    let mut parameters = Vec::new();
    for segment in operation.path.split('/') {
        if let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            parameters.push(
                json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }),
            );
        }
    }
    for (name, help) in operation.query {
        parameters.push(json!({
            "name": name, "in": "query", "required": false, "description": help, "schema": { "type": "string" }
        }));
    }
    if operation.versioned {
        parameters.push(json!({
            "name": "If-Match", "in": "header", "required": false, "schema": { "type": "string", "maxLength": 64 },
            "description": "the ETag that the write was decided on; 412 when it is not the version any more"
        }));
    }
    if operation.method == Method::POST {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false, "schema": { "type": "string", "maxLength": 255 },
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
        "responses": responses(operation.success, schemas::answer(operation.id)),
    });
    if let (Permission::Open, Some(map)) = (operation.permission, described.as_object_mut()) {
        map.insert("security".into(), json!([]));
    }
    if !operation.body.is_empty() {
        let properties: Map<String, Value> = operation
            .body
            .iter()
            .map(|(name, form, help)| ((*name).to_owned(), property(form, help)))
            .collect();
        let required: Vec<&str> = operation
            .body
            .iter()
            .filter(|(_, form, _)| form.ends_with('!'))
            .map(|(name, ..)| *name)
            .collect();
        if let Some(map) = described.as_object_mut() {
            map.insert(
                "requestBody".into(),
                json!({
                    "required": !required.is_empty(),
                    "content": { "application/json": { "schema": {
                        "type": "object", "properties": properties, "required": required
                    }}}
                }),
            );
        }
    }
    described
}

/// `string`, `integer`, `boolean`, `object`, `strings`; a final `!` means required.
fn property(form: &str, help: &str) -> Value {
    match form.trim_end_matches('!') {
        "strings" => json!({ "type": "array", "items": { "type": "string" }, "description": help }),
        kind => json!({ "type": kind, "description": help }),
    }
}

fn responses(success: u16, schema: Value) -> Value {
    let problem = json!({
        "description": "Error",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } }
    });
    let mut map = Map::new();
    map.insert(
        success.to_string(),
        json!({ "description": "Success", "content": { "application/json": { "schema": schema } } }),
    );
    map.insert("default".into(), problem);
    Value::Object(map)
}
