//! Bodies that the contract allows, made from its schemas: each is accepted, or told with the name of the member that
//! means nothing; and what lies beyond a bound is refused.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::harness::{Home, Server};

/// Largest whole number that every reader of JSON understands.
const WHOLE_MAX: i64 = 9_007_199_254_740_991;

fn resolved<'c>(contract: &'c Value, schema: &'c Value) -> &'c Value {
    match schema["$ref"].as_str() {
        Some(name) => {
            let named = contract.pointer(name.trim_start_matches('#')).expect("a local schema");
            resolved(contract, named)
        }
        None => schema,
    }
}

/// Values that a schema allows, those at its bounds among them.
fn good(contract: &Value, schema: &Value) -> Vec<Value> {
    let schema = resolved(contract, schema);
    if let Some(any) = schema["anyOf"].as_array() {
        return any.iter().flat_map(|schema| good(contract, schema)).collect();
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.clone();
    }
    match schema["type"].as_str().expect("a type") {
        "null" => vec![Value::Null],
        "boolean" => vec![json!(true), json!(false)],
        "integer" => {
            let (min, max) = bounds(schema);
            vec![json!(min), json!(min + 1), json!(max)]
        }
        "string" => texts(schema),
        "array" => {
            let items = good(contract, &schema["items"]);
            let most = schema["maxItems"].as_u64().map_or(3, |most| usize::try_from(most).unwrap());
            let whole = (0..most).map(|place| items[place % items.len()].clone()).collect();
            let mut lists: Vec<Value> = items.iter().map(|item| json!([item])).chain([whole]).collect();
            if schema["minItems"].is_null() {
                lists.push(json!([]));
            }
            lists
        }
        "object" => objects(contract, schema),
        other => panic!("no examples of {other}"),
    }
}

fn bounds(schema: &Value) -> (i64, i64) {
    (schema["minimum"].as_i64().unwrap_or(-WHOLE_MAX), schema["maximum"].as_i64().unwrap_or(WHOLE_MAX))
}

fn texts(schema: &Value) -> Vec<Value> {
    if let Some(examples) = schema["examples"].as_array() {
        // Of the same form, though they mean nothing.
        let hours = ["22:00-22:00", "00:00-23:59 Nowhere/At_All", "00:00-00:01 UTC"].map(Value::from);
        return examples.iter().cloned().chain(hours).collect();
    }
    if schema["pattern"].is_string() {
        return vec![json!("a"), json!("a".repeat(64)), json!("0._-")];
    }
    if schema["format"] == "date-time" {
        return ["2090-12-01T08:00:00Z", "1990-01-01T00:00:00.123456+02:00", "2090-12-01t08:00:00z"]
            .map(Value::from)
            .to_vec();
    }
    ["", "a", "ä \u{1d11e}\n\u{0}", "*"]
        .map(Value::from)
        .into_iter()
        .chain([json!("x".repeat(300))])
        .collect()
}

fn objects(contract: &Value, schema: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    if let Some(properties) = schema["properties"].as_object() {
        let base = least(contract, schema);
        for (name, member) in properties {
            for value in good(contract, member) {
                let mut body = base.clone();
                body.insert(name.clone(), value);
                all.push(Value::Object(body));
            }
        }
        all.push(Value::Object(base));
        return all;
    }
    all.push(json!({}));
    if schema["additionalProperties"].is_object() {
        all.extend(
            good(contract, &schema["additionalProperties"]).into_iter().map(|value| json!({ "a": value })),
        );
        let most = schema["maxProperties"].as_u64().unwrap_or(3);
        all.push((0..most).map(|number| (format!("k{number}"), json!("v"))).collect::<Map<_, _>>().into());
    }
    all
}

/// What is required, and nothing else.
fn least(contract: &Value, schema: &Value) -> Map<String, Value> {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let names = required.iter().filter_map(Value::as_str);
    names.map(|name| (name.to_owned(), good(contract, &schema["properties"][name]).remove(0))).collect()
}

/// Where a whole number stands in a body, and its bounds.
fn numbers(contract: &Value, schema: &Value, path: &str, found: &mut Vec<(String, i64, i64)>) {
    let schema = resolved(contract, schema);
    for any in schema["anyOf"].as_array().into_iter().flatten() {
        numbers(contract, any, path, found);
    }
    if schema["type"] == "integer" {
        let (min, max) = bounds(schema);
        found.push((path.to_owned(), min, max));
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        numbers(contract, member, &format!("{path}/{name}"), found);
    }
}

struct Operation {
    method: String,
    path: String,
    schema: Value,
}

fn operation(contract: &Value, id: &str) -> Operation {
    for (path, methods) in contract["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            if operation["operationId"] == id {
                let schema = operation["requestBody"]["content"]["application/json"]["schema"].clone();
                return Operation { method: method.to_uppercase(), path: path.clone(), schema };
            }
        }
    }
    panic!("there is no operation {id}");
}

fn started() -> (std::sync::Arc<Home>, Server) {
    let home = Home::new();
    let server = Server::start(home.clone(), &[("ACTIFIX_RATE_LIMIT_DISABLED", "1")]);
    (home, server)
}

#[test]
fn every_body_that_the_contract_of_alerts_allows_is_taken_or_told_with_its_member() {
    let (_home, server) = started();
    let ticket = server.post("/api/v1/events", &json!({ "message": "one" }))["ticket_id"].clone();
    let ticket = ticket.as_str().expect("a ticket").to_owned();
    server.post("/api/v1/webhooks", &json!({ "name": "a", "url": "https://hooks.example.net/x" }));
    let contract = server.get("/api/openapi.json");
    for (id, taken_min) in [
        ("save_alert_rule", 25),
        ("dry_run_alert_rule", 25),
        ("mute_ticket", 6),
        ("rotate_webhook", 3),
        ("add_webhook", 0),
        ("add_inbound", 0),
    ] {
        let operation = operation(&contract, id);
        let path = operation.path.replace("{id}", &ticket).replace("{name}", "a");
        let members: BTreeSet<&String> =
            operation.schema["properties"].as_object().expect("members").keys().collect();
        let mut taken = 0;
        for body in objects(&contract, &operation.schema) {
            let answer = server.call(&operation.method, &path, Some(&body));
            match answer.status {
                200..=299 => taken += 1,
                // The name is taken, or of tickets there is none: what was sent has the right form.
                409 if id.starts_with("add_") => {}
                422 => {
                    for error in answer.json()["errors"].as_array().expect("fields") {
                        let field = error["field"].as_str().expect("a name").to_owned();
                        assert!(members.contains(&field), "{id} {body}: {field} is no member");
                        assert!(!error["message"].as_str().expect("why").is_empty());
                    }
                }
                404 if id.starts_with("add_") && answer.text().contains("project not found") => {}
                other => panic!("{id} {body}: {other} {}", answer.text()),
            }
        }
        assert!(taken >= taken_min, "{id}: {taken} bodies were taken");
    }
}

#[test]
fn the_contract_of_an_alert_rule_is_as_wide_as_its_reader() {
    let (_home, server) = started();
    let contract = server.get("/api/openapi.json");
    let save = operation(&contract, "save_alert_rule");
    let base = json!({ "name": "a", "triggers": ["rate", "users"], "rate": { "count": 1, "minutes": 1 },
        "users": 1, "when": {}, "quiet": { "hours": "22:00-07:00" } });
    let with = |path: &str, value: Value| {
        let mut body = base.clone();
        let (parent, name) = path.rsplit_once('/').expect("a path");
        let parent = body.pointer_mut(parent).expect("its parent").as_object_mut().expect("an object");
        parent.insert(name.to_owned(), value);
        server.call("POST", &save.path, Some(&body))
    };
    let mut found = Vec::new();
    numbers(&contract, &save.schema, "", &mut found);
    let paths: BTreeSet<&str> = found.iter().map(|(path, ..)| path.as_str()).collect();
    let expected = [
        "/burst",
        "/cooldown_minutes",
        "/digest_minutes",
        "/project",
        "/rate/count",
        "/rate/minutes",
        "/users",
    ];
    assert_eq!(paths.into_iter().collect::<Vec<_>>(), expected);
    for (path, min, max) in found {
        // Of projects there is one.
        let taken = if path == "/project" { vec![1] } else { vec![min, max] };
        for value in taken {
            let answer = with(&path, json!(value));
            assert_eq!(answer.status, 200, "{path} {value}: {}", answer.text());
        }
        for value in [min - 1, max + 1] {
            let answer = with(&path, json!(value));
            assert!([400, 422].contains(&answer.status), "{path} {value}: {}", answer.status);
        }
    }
    // A project by its name, by its number in words, and one that nobody knows.
    for (project, status) in
        [(json!("default"), 200), (json!("1"), 200), (json!("nobody"), 422), (json!(77), 422)]
    {
        let answer = with("/project", project.clone());
        assert_eq!(answer.status, status, "{project}: {}", answer.text());
        assert!(status == 200 || answer.json()["errors"][0]["field"] == "project", "{}", answer.text());
    }
    // Of the wrong form, by the contract and by its reader; and of the right one, though they mean nothing.
    for (path, value, status) in [
        ("/quiet", json!({}), 400),
        ("/quiet", json!({ "hours": 22 }), 400),
        ("/quiet", json!({ "hours": "22:00-07:00", "other": 1 }), 400),
        ("/quiet", json!({ "hours": "22:00-07:00", "except": "P9" }), 400),
        ("/quiet", json!([]), 400),
        ("/quiet", json!({ "hours": "22-7" }), 422),
        ("/quiet", json!({ "hours": "22:00-07:00 Nowhere/At_All" }), 422),
        ("/quiet", json!({ "hours": "22:00-07:00 " }), 422),
        ("/rate", json!({}), 400),
        ("/rate", json!({ "count": 1 }), 400),
        ("/rate", json!({ "count": "1", "minutes": 1 }), 400),
        ("/when", json!({ "priority_min": "urgent" }), 400),
        ("/when", json!({ "tags": { "a": 1 } }), 400),
        ("/when", json!({ "tags": { "a": "" } }), 422),
        ("/when", json!({ "environment": ["x".repeat(300)] }), 422),
        ("/when", json!({ "environment": vec!["x"; 21] }), 422),
        ("/triggers", json!(["never"]), 400),
        ("/triggers", json!([]), 422),
        ("/endpoints", json!(["nobody"]), 422),
        ("/name", json!("A"), 422),
        ("/name", json!(""), 422),
    ] {
        let answer = with(path, value.clone());
        assert_eq!(answer.status, status, "{path} {value}: {}", answer.text());
        if status == 422 {
            assert_eq!(
                answer.json()["errors"][0]["field"],
                path.trim_start_matches('/'),
                "{}",
                answer.text()
            );
        }
    }
    for missing in ["name", "triggers"] {
        let mut body = base.clone();
        body.as_object_mut().expect("an object").remove(missing);
        assert_eq!(server.call("POST", &save.path, Some(&body)).status, 400, "{missing} is required");
    }
    // What is told has the form that comes in.
    let rule = &server.list("/api/v1/alert-rules")[0];
    let again: Map<String, Value> = rule
        .as_object()
        .expect("a rule")
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "is_default" | "created_at"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let answer = server.call("POST", &save.path, Some(&Value::Object(again)));
    assert_eq!(answer.status, 200, "{}", answer.text());
}
