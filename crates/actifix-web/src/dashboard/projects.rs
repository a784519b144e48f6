//! Projects: their DSN, how to set up an SDK, their keys.

use super::forms::Viewer;
use super::shell::{Nav, Shell, answer, render};
use super::text::When;
use actifix_app::App;
use actifix_app::error::Error;
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;

struct Entry {
    id: String,
    name: String,
    created: When,
}

#[derive(Template)]
#[template(path = "projects.html")]
struct ProjectsPage {
    s: Shell,
    projects: Vec<Entry>,
}

/// All projects.
pub async fn list(State(app): State<Arc<App>>, viewer: Viewer) -> Response {
    let page = async {
        let s = Shell::load(&app, &viewer.0, Nav::Projects, "Projects").await?;
        let projects = app.projects(&viewer.0.actor).await?;
        let projects = projects
            .into_iter()
            .map(|project| Entry {
                id: project.id.to_string(),
                name: project.name,
                created: When::new(project.created_at, s.now),
            })
            .collect();
        Ok::<_, Error>(render(&ProjectsPage { s, projects }))
    };
    answer(page.await)
}

/// How an SDK is set up: name, language of the snippet, the snippet with `DSN` in the place of the DSN.
const SDKS: [(&str, &str, &str); 12] = [
    (
        "python",
        "Python",
        "pip install sentry-sdk\n\nimport sentry_sdk\n\nsentry_sdk.init(\n    dsn=\"{DSN}\",\n    release=\"shop@1.0.0\",\n    environment=\"production\",\n)\n\n1 / 0  # one event, to see it arrive",
    ),
    (
        "node",
        "Node",
        "npm install @sentry/node\n\nconst Sentry = require(\"@sentry/node\");\n\nSentry.init({\n  dsn: \"{DSN}\",\n  release: \"shop@1.0.0\",\n  environment: \"production\",\n});\n\nSentry.captureException(new Error(\"one event, to see it arrive\"));",
    ),
    (
        "browser",
        "Browser",
        "npm install @sentry/browser\n\nimport * as Sentry from \"@sentry/browser\";\n\nSentry.init({ dsn: \"{DSN}\", release: \"shop@1.0.0\" });",
    ),
    (
        "rust",
        "Rust",
        "cargo add sentry\n\nlet _guard = sentry::init((\"{DSN}\", sentry::ClientOptions {\n    release: sentry::release_name!(),\n    ..Default::default()\n}));",
    ),
    (
        "go",
        "Go",
        "go get github.com/getsentry/sentry-go\n\nsentry.Init(sentry.ClientOptions{\n    Dsn:     \"{DSN}\",\n    Release: \"shop@1.0.0\",\n})\ndefer sentry.Flush(2 * time.Second)",
    ),
    (
        "java",
        "Java",
        "Sentry.init(options -> {\n    options.setDsn(\"{DSN}\");\n    options.setRelease(\"shop@1.0.0\");\n});",
    ),
    (
        "php",
        "PHP",
        "composer require sentry/sentry\n\n\\Sentry\\init(['dsn' => '{DSN}', 'release' => 'shop@1.0.0']);",
    ),
    (
        "ruby",
        "Ruby",
        "gem install sentry-ruby\n\nSentry.init do |config|\n  config.dsn = \"{DSN}\"\n  config.release = \"shop@1.0.0\"\nend",
    ),
    (
        "dotnet",
        ".NET",
        "dotnet add package Sentry\n\nSentrySdk.Init(options => {\n    options.Dsn = \"{DSN}\";\n    options.Release = \"shop@1.0.0\";\n});",
    ),
    ("elixir", "Elixir", "config :sentry,\n  dsn: \"{DSN}\",\n  environment_name: config_env()"),
    (
        "otlp",
        "OpenTelemetry",
        "export OTEL_EXPORTER_OTLP_ENDPOINT={URL}\nexport OTEL_EXPORTER_OTLP_HEADERS=\"Authorization=Bearer%20{KEY}\"\nexport OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
    ),
    ("shell", "Shell", "actifix run -- ./nightly.sh\nactifix record \"disk is full\" --priority P1"),
];

struct Key {
    label: String,
    public: String,
    kind: &'static str,
    state: &'static str,
    origins: String,
    limit: String,
}

#[derive(Template)]
#[template(path = "project.html")]
struct ProjectPage {
    s: Shell,
    name: String,
    id: String,
    dsn: String,
    sdk: &'static str,
    sdks: Vec<(&'static str, &'static str)>,
    snippet: String,
    keys: Vec<Key>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SdkQuery {
    sdk: String,
}

/// One project.
pub async fn show(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Path(name): Path<String>,
    Query(query): Query<SdkQuery>,
) -> Response {
    let page = async {
        let actor = &viewer.0.actor;
        let project = app.project(actor, &name).await?;
        let dsn = app.dsn(actor, &project.id.to_string()).await?;
        let s = Shell::load(&app, &viewer.0, Nav::Projects, &project.name).await?;
        let chosen = SDKS.iter().find(|(id, ..)| *id == query.sdk).or_else(|| SDKS.first());
        let (sdk, _, snippet) = chosen.copied().unwrap_or(("", "", ""));
        let public =
            dsn.split_once("://").and_then(|(_, rest)| rest.split_once('@')).map_or("", |(key, _)| key);
        let snippet = snippet
            .replace("{DSN}", &dsn)
            .replace("{KEY}", public)
            .replace("{URL}", app.settings().public_url.as_str());
        let keys = app.keys(actor, &project.id.to_string()).await?;
        let keys = keys
            .into_iter()
            .map(|record| Key {
                label: record.key.label,
                public: record.key.public_key.to_string(),
                kind: match record.key.kind {
                    actifix_domain::project::KeyKind::Server => "server",
                    actifix_domain::project::KeyKind::Browser => "browser",
                },
                state: if record.key.enabled { "enabled" } else { "disabled" },
                origins: record.key.allowed_origins.join(", "),
                limit: record
                    .key
                    .rate_per_minute
                    .map_or_else(|| "default".to_owned(), |rate| format!("{rate} a minute")),
            })
            .collect();
        Ok::<_, Error>(render(&ProjectPage {
            name: project.name,
            id: project.id.to_string(),
            dsn,
            sdk,
            sdks: SDKS.iter().map(|(id, label, _)| (*id, *label)).collect(),
            snippet,
            keys,
            s,
        }))
    };
    answer(page.await)
}
