//! Servers with something to see.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::{Home, Server};
use crate::people::PASSWORD;

/// Nobody looks at pages as fast as a walk does, and a walk logs in more often than people.
const UNHURRIED: [(&str, &str); 4] = [
    ("ACTIFIX_LIMITS__API_PER_MINUTE", "100000"),
    ("ACTIFIX_LIMITS__API_PER_HOUR", "1000000"),
    ("ACTIFIX_LIMITS__LOGIN_PER_MINUTE", "100"),
    ("ACTIFIX_LISTENERS__MAIN__BIND", "127.0.0.1:0"),
];

/// A server that has an administrator, and the addresses of what it shows.
pub struct Stage {
    pub home: Arc<Home>,
    pub server: Server,
    /// A ticket with a stack trace, an event of it, a held ticket, the default project, the latest release.
    places: Vec<(&'static str, String)>,
}

impl Stage {
    /// A server without events.
    pub fn empty() -> Self {
        Self::start(&["serve"])
    }

    /// The demo: captured requests of real SDKs, redactions, findings, a flood that is held.
    pub fn demo() -> Self {
        let mut stage = Self::start(&["serve", "--demo"]);
        stage.server.wait_for("demo: ");
        let ticket = stage.first("is:unresolved PaymentError");
        let event = first_item(&stage.server, &format!("/api/v1/tickets/{ticket}/events"), "event_id");
        let held = stage.first("is:held");
        let project = first_item(&stage.server, "/api/v1/projects", "id");
        let release = first_item(&stage.server, "/api/v1/releases", "version");
        let release = crate::visitor::encoded(&release);
        let places = [("ticket", ticket), ("event", event), ("held", held), ("project", project)];
        stage.places = places.into_iter().chain([("release", release)]).collect();
        stage
    }

    fn start(arguments: &[&str]) -> Self {
        let home = Home::new();
        home.cli_stdin(&["admin", "set-password", "--stdin"], PASSWORD.as_bytes()).ok();
        let mut command = home.command(arguments);
        command.envs(UNHURRIED);
        let server = Server::run(Arc::clone(&home), command);
        Self { home, server, places: Vec::new() }
    }

    /// The id of the first ticket that a search finds.
    #[track_caller]
    pub fn first(&self, search: &str) -> String {
        let query = crate::visitor::encoded(search);
        first_item(&self.server, &format!("/api/v1/tickets?search={query}"), "id")
    }

    /// A path with the names in braces filled in.
    pub fn path(&self, path: &str) -> String {
        let mut path = path.to_owned();
        for (name, value) in &self.places {
            path = path.replace(&format!("{{{name}}}"), value);
        }
        path
    }

    /// The ticket of a new event.
    #[track_caller]
    pub fn ticket(&self, kind: &str, message: &str) -> String {
        let event = json!({ "message": message, "type": kind });
        self.server.post("/api/v1/events", &event)["ticket_id"].as_str().expect("an id").to_owned()
    }

    /// A field of a ticket as the API tells it.
    #[track_caller]
    pub fn of_ticket(&self, id: &str, field: &str) -> Value {
        self.server.get(&format!("/api/v1/tickets/{id}"))[field].clone()
    }
}

#[track_caller]
fn first_item(server: &Server, path: &str, field: &str) -> String {
    let page = server.get(path);
    match &page["items"][0][field] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => panic!("{path}: no {field} in {page}"),
    }
}
