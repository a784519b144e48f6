//! Pages for people. Each is a whole document that works without the script; every decision is made in `actifix-app`.
//!
//! Text of events is foreign: templates escape everything, and only `text::Marked` writes markup into them.

mod about;
mod acts;
mod alerts;
mod assets;
mod audit;
mod backups;
mod bulk;
mod channels;
mod doctor;
mod floods;
mod forms;
mod live;
mod login;
mod look;
mod overview;
mod people;
mod projects;
mod quarantine;
mod releases;
mod settings;
mod shell;
mod text;
mod ticket;
mod tickets;
mod tokens;
mod trace;

pub use look::Look;
pub use shell::{base, message};

pub use about::components;

use crate::api::route_of;
use crate::client::client;
use crate::extract::Session;
use actifix_app::App;
use actifix_app::audit::from_address;
use actifix_domain::audit::Action;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::json;
use std::sync::Arc;

/// Every page on one screen.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(overview::show))
        .route("/login", get(login::form).post(login::submit))
        .route("/logout", post(login::leave))
        .route("/tickets", get(tickets::list).post(bulk::act))
        .route("/views", post(tickets::act_on_views))
        .route("/tickets/{id}", get(ticket::show).post(ticket::act))
        .route("/tickets/{id}/events", get(ticket::events))
        .route("/events/{id}", get(ticket::event))
        .route("/events/{id}/json", get(ticket::raw))
        .route("/held", get(floods::held).post(floods::act))
        .route("/findings", get(floods::findings).post(floods::resolve))
        .route("/releases", get(releases::list))
        .route("/releases/{version}", get(releases::show))
        .route("/projects", get(projects::list))
        .route("/projects/{name}", get(projects::show))
        .route("/quarantine", get(quarantine::list).post(quarantine::act))
        .route("/doctor", get(doctor::show).post(doctor::act))
        .route("/alerts", get(alerts::list).post(alerts::act))
        .route("/channels", get(channels::list).post(channels::act))
        .route("/deliveries", get(channels::deliveries).post(channels::redeliver))
        .route("/users", get(people::users).post(people::act_on_users))
        .route("/tokens", get(tokens::list).post(tokens::act))
        .route("/sessions", get(people::sessions).post(people::act_on_sessions))
        .route("/audit", get(audit::list).post(audit::verify))
        .route("/backups", get(backups::list).post(backups::act))
        .route("/settings", get(settings::show).post(settings::act))
        .route("/display", get(look::show).post(look::set))
        .route("/about", get(about::show))
        .route("/about/sbom.json", get(about::sbom))
        .route("/live", get(live::stream))
        .route("/assets/{name}", get(assets::serve))
        .layer(from_fn_with_state(Arc::clone(&app), record))
        .with_state(app)
}

/// Around every page: what is done by it is recorded with the address that it came from, and so is what is refused to
/// a person.
async fn record(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let address = client(request.extensions()).address;
    let person = request.extensions().get::<Session>().map(|session| session.0.actor.clone());
    let act = format!("{} {}", request.method(), route_of(request.extensions()));
    let look = Look::of(request.headers());
    from_address(
        address,
        look.worn(async {
            let response = next.run(request).await;
            if let (StatusCode::FORBIDDEN, Some(person)) = (response.status(), &person) {
                app.record_refusal(Some(person), Action::AccessRefused, act, json!({})).await;
            }
            response
        }),
    )
    .await
}

/// First segments of the paths of pages.
const PAGES: [&str; 23] = [
    "",
    "login",
    "logout",
    "tickets",
    "views",
    "events",
    "held",
    "findings",
    "releases",
    "projects",
    "quarantine",
    "doctor",
    "alerts",
    "channels",
    "deliveries",
    "users",
    "tokens",
    "sessions",
    "audit",
    "backups",
    "settings",
    "display",
    "about",
];

/// Paths of pages: what they answer is HTML, errors too.
pub fn is_page_path(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    PAGES.contains(&first)
}

#[cfg(test)]
mod tests {
    /// What is written without escaping is made in one place, [`super::text`], and its type says so.
    #[test]
    fn no_template_switches_escaping_off() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            for banned in ["safe", "escape", "<script>", "style=", "onclick", "javascript:"] {
                assert!(!text.contains(banned), "{}: {banned}", path.display());
            }
            seen += 1;
        }
        assert!(seen > 10);
    }
}
