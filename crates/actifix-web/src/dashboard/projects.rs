//! Projects: their DSN, how to set up an SDK, their keys.

use super::forms::Viewer;
use super::shell::{Nav, Shell, answer, bytes, render};
use super::text::{When, grouped};
use actifix_app::App;
use actifix_app::error::Error;
use actifix_domain::project::Project;
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
    maps: Maps,
}

/// Uploads of source maps that the page shows; the command line and the API list all.
const MAPS_SHOWN: u32 = 20;

/// Source maps: what was uploaded, and how it is done.
struct Maps {
    uploads: Vec<Upload>,
    usage: String,
    commands: String,
}

struct Upload {
    id: u64,
    release: String,
    debug_ids: String,
    maps: u64,
    bytes: String,
    uploaded: When,
    used: Option<When>,
}

async fn maps(app: &App, viewer: &Viewer, s: &Shell, project: &Project) -> Result<Maps, Error> {
    let (actor, id) = (&viewer.0.actor, project.id.to_string());
    let page = app.source_maps(actor, &id, None, MAPS_SHOWN).await?;
    let usage = app.source_map_usage(actor, &id).await?;
    let uploads = page.items.into_iter().map(|upload| Upload {
        id: upload.id,
        release: match (upload.release.is_empty(), upload.dist.is_empty()) {
            (true, _) => String::new(),
            (false, true) => upload.release.clone(),
            (false, false) => format!("{} ({})", upload.release, upload.dist),
        },
        debug_ids: match upload.debug_ids.as_slice() {
            [] => String::new(),
            [only] => only.to_string(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        },
        maps: upload.maps,
        bytes: bytes(upload.bytes),
        uploaded: When::new(upload.uploaded_at, s.now),
        used: upload.used_at.map(|at| When::new(at, s.now)),
    });
    Ok(Maps {
        uploads: uploads.collect(),
        usage: match usage.bytes_max {
            0 => format!("{} maps, {}", grouped(usage.maps), bytes(usage.bytes)),
            most => format!("{} maps, {} of {}", grouped(usage.maps), bytes(usage.bytes), bytes(most)),
        },
        commands: format!(
            "export SENTRY_URL={}\nexport SENTRY_AUTH_TOKEN=afx_…  # actifix token create --name ci --scope releases:write\n\
             export SENTRY_ORG=actifix SENTRY_PROJECT={}\n\nnpx @sentry/cli sourcemaps inject ./dist\n\
             npx @sentry/cli sourcemaps upload ./dist",
            app.settings().public_url,
            project.name
        ),
    })
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
                origins: match record.key.allowed_origins.as_slice() {
                    [] => "every origin".to_owned(),
                    some => some.join(", "),
                },
                limit: record
                    .key
                    .rate_per_minute
                    .map_or_else(|| "default".to_owned(), |rate| format!("{rate} a minute")),
            })
            .collect();
        let maps = maps(&app, &viewer, &s, &project).await?;
        Ok::<_, Error>(render(&ProjectPage {
            maps,
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
