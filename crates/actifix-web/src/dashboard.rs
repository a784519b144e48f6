//! Pages for people. Each is a whole document that works without the script; every decision is made in `actifix-app`.
//!
//! Text of events is foreign: templates escape everything, and only `text::Marked` writes markup into them.

mod assets;
mod floods;
mod forms;
mod login;
mod overview;
mod projects;
mod shell;
mod text;
mod ticket;
mod tickets;
mod trace;

pub use shell::{base, message};

use actifix_app::App;
use axum::Router;
use axum::routing::{get, post};
use std::sync::Arc;

/// Every page on one screen.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(overview::show))
        .route("/login", get(login::form).post(login::submit))
        .route("/logout", post(login::leave))
        .route("/tickets", get(tickets::list).post(tickets::bulk))
        .route("/tickets/{id}", get(ticket::show).post(ticket::act))
        .route("/tickets/{id}/events", get(ticket::events))
        .route("/events/{id}", get(ticket::event))
        .route("/events/{id}/json", get(ticket::raw))
        .route("/held", get(floods::held).post(floods::act))
        .route("/findings", get(floods::findings).post(floods::resolve))
        .route("/projects", get(projects::list))
        .route("/projects/{name}", get(projects::show))
        .route("/assets/{name}", get(assets::serve))
        .with_state(app)
}

/// Paths of pages: what they answer is HTML, errors too.
pub fn is_page_path(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    matches!(first, "" | "login" | "logout" | "tickets" | "events" | "held" | "findings" | "projects")
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
