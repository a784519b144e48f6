//! Servers with something to see.

use std::io::Write;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::{Home, Server};
use crate::http::Request;
use crate::people::PASSWORD;

/// Nobody looks at pages as fast as a walk does, and a walk logs in more often than people.
const UNHURRIED: [(&str, &str); 4] = [
    ("ACTIFIX_LIMITS__API_PER_MINUTE", "100000"),
    ("ACTIFIX_LIMITS__API_PER_HOUR", "1000000"),
    ("ACTIFIX_LIMITS__LOGIN_PER_MINUTE", "100"),
    ("ACTIFIX_LISTENERS__MAIN__BIND", "127.0.0.1:0"),
];

/// Channels may lead to this machine, where nobody listens at the port of discard.
const NOBODY_LISTENS: &str = "[outbound]\nallow_private = [\"127.0.0.0/8\"]";

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
        stage.find_places();
        stage
    }

    fn find_places(&mut self) {
        let ticket = self.first("is:unresolved PaymentError");
        let event = first_item(&self.server, &format!("/api/v1/tickets/{ticket}/events"), "event_id");
        let held = self.first("is:held");
        let project = first_item(&self.server, "/api/v1/projects", "id");
        let release = first_item(&self.server, "/api/v1/releases", "version");
        let release = crate::visitor::encoded(&release);
        let places = [("ticket", ticket), ("event", event), ("held", held), ("project", project)];
        self.places = places.into_iter().chain([("release", release)]).collect();
    }

    /// Sends an event of an SDK to the default project.
    #[track_caller]
    pub fn store(&self, event: &Value) {
        let dsn = self.home.cli(&["dsn"]).ok();
        let dsn = url::Url::parse(dsn.trim()).expect("a DSN");
        let path = format!("/api{}/store/?sentry_key={}", dsn.path(), dsn.username());
        let request = Request::post(&path, event.to_string()).header("Content-Type", "application/json");
        let answer = self.server.send(&request);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Sends what has more secrets than any budget for one text allows.
    #[track_caller]
    pub fn poison(&self, number: usize) {
        let log: String = (0..12_000)
            .map(|n| format!("password=tr0ub4dor-{:05x}-{n:05}\n", (n * 7_919) % 1_048_573))
            .collect();
        self.store(&json!({ "message": format!("poisoned {number}"), "extra": { "log": log } }));
    }

    /// The demo with something on every page of the system: an account, a token, a channel that nobody listens to, a
    /// delivery that waits for it, a rule, a legal hold, an entry in quarantine.
    pub fn furnished() -> Self {
        let mut stage = Self::start_with(NOBODY_LISTENS, &["serve", "--demo"]);
        stage.server.wait_for("demo: ");
        stage.find_places();
        crate::people::user(&stage.home, "jo", "operator");
        stage.home.cli(&["token", "create", "--name", "deployment", "--role", "viewer"]).ok();
        let channel = json!({ "name": "ops", "kind": "webhook", "url": "https://127.0.0.1:9/alerts" });
        stage.server.post("/api/v1/webhooks", &channel);
        let rule = json!({
            "name": "urgent-only", "triggers": ["new", "regressed"], "endpoints": ["ops"],
            "when": { "priority_min": "P1" },
        });
        stage.server.post("/api/v1/alert-rules", &rule);
        stage.server.post("/api/v1/retention/holds", &json!({ "project": "flood", "reason": "an inquiry" }));
        stage
            .server
            .post("/api/v1/events", &json!({ "message": "told of", "type": "AlertError", "priority": "P0" }));
        stage.poison(0);
        until(|| !stage.server.list("/api/v1/deliveries?state=pending").is_empty());
        stage
    }

    fn start(arguments: &[&str]) -> Self {
        Self::start_with("", arguments)
    }

    /// A server with a configuration.
    pub fn start_with(config: &str, arguments: &[&str]) -> Self {
        let home = Home::with_config(config);
        home.cli_stdin(&["admin", "set-password", "--stdin"], PASSWORD.as_bytes()).ok();
        let mut command = home.command(arguments);
        command.envs(UNHURRIED);
        let server = Server::run(Arc::clone(&home), command);
        Self { home, server, places: Vec::new() }
    }

    /// Writes over the database while the server runs, as a failing disk would.
    pub fn spoil(&self) {
        let mut spoiled = 0;
        for (path, bytes) in self.home.files() {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.ends_with(".db") || name.ends_with(".db-wal") {
                let mut file = std::fs::OpenOptions::new().write(true).open(&path).expect("a file of ours");
                file.write_all(&vec![0x5a; bytes.len()]).expect("written over");
                spoiled += 1;
            }
        }
        assert!(spoiled > 0);
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

/// Asks again and again; a test that waits for what never comes is ended by its runner.
pub fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        std::thread::yield_now();
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
