//! Real SDKs as programs of their own: their DSN is all that is changed, and what they leak does not arrive.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;

use crate::harness::{Finished, Home, Server, finish};
use crate::leaks::Needles;
use crate::random::Random;

const UPPER_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const LETTERS_DIGITS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const INSTALL: &str = "run `cargo xtask install-tools`";

/// Secrets of the program under test, put together at run time and told to it by its environment.
struct Secrets {
    /// In a local variable, named as no rule would expect it, and in the exception's text.
    stripe: String,
    /// In the URL's query.
    aws: String,
    /// In a local variable of a telling name.
    password: String,
    /// In a header.
    bearer: String,
    /// Between user and host of a URL.
    url_password: String,
}

impl Secrets {
    fn new(seed: u64) -> Self {
        let mut random = Random::seeded(seed);
        Self {
            stripe: ["sk_", "live_", &random.text(LETTERS_DIGITS, 24)].concat(),
            aws: ["AK", "IA", &random.text(UPPER_DIGITS, 16)].concat(),
            password: format!("{}-{}", random.text(LETTERS_DIGITS, 7), random.text(LETTERS_DIGITS, 7)),
            bearer: random.text(LETTERS_DIGITS, 40),
            url_password: random.text(LETTERS_DIGITS, 18),
        }
    }

    fn pairs(&self) -> [(&'static str, &str); 5] {
        [
            ("SECRET_STRIPE", &self.stripe),
            ("SECRET_AWS", &self.aws),
            ("SECRET_PASSWORD", &self.password),
            ("SECRET_BEARER", &self.bearer),
            ("SECRET_URL_PASSWORD", &self.url_password),
        ]
    }
}

fn tools() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/test-tools"))
}

pub(crate) fn place(variable: &str, default: &str) -> PathBuf {
    let place = std::env::var_os(variable).map_or_else(|| tools().join(default), PathBuf::from);
    assert!(place.exists(), "{} is missing: {INSTALL}, or set {variable}", place.display());
    place
}

/// Starts the program with the DSN that the server prints, and with nothing else of ours.
fn run(home: &Home, mut command: Command, secrets: &Secrets) -> Finished {
    let dsn = home.cli(&["dsn"]).ok();
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("SENTRY_DSN", dsn.trim()).envs(secrets.pairs());
    let finished = finish(command, b"");
    assert_eq!(finished.code(), 0, "{}\n{}", finished.stdout, finished.stderr);
    finished
}

fn write(home: &Path, name: &str, text: &str) -> PathBuf {
    // Beside the home, not in it: the program holds no secret, but it is not ours to search.
    let folder = home.join(name);
    std::fs::write(&folder, text).expect("a program");
    folder
}

/// None of the secrets is in any answer, file or line; gives the events for closer looks.
fn assert_clean(home: &Arc<Home>, server: Server, secrets: &Secrets) -> Vec<(Value, Value)> {
    let mut events = Vec::new();
    for ticket in server.list("/api/v1/tickets") {
        let id = ticket["id"].as_str().expect("an id").to_owned();
        let detail = server.get(&format!("/api/v1/tickets/{id}"));
        for event in server.list(&format!("/api/v1/tickets/{id}/events")) {
            let event_id = event["event_id"].as_str().expect("an id");
            events.push((detail.clone(), server.get(&format!("/api/v1/events/{event_id}"))));
        }
    }
    let findings = server.list("/api/v1/findings");
    assert!(!findings.is_empty(), "what was found is listed, without its value");
    server.call("GET", "/metrics", None);
    let shown = [
        home.cli(&["ticket", "list"]).ok(),
        home.cli(&["findings", "list"]).ok(),
        events
            .first()
            .map(|(ticket, _)| home.cli(&["ticket", "show", ticket["id"].as_str().expect("an id")]).ok())
            .unwrap_or_default(),
    ];
    let needles = Needles::new(secrets.pairs().map(|(name, value)| (name.to_owned(), value)));
    let mut leaks = needles.search("API answers", &server.answers());
    leaks.extend(needles.search("terminal", shown.concat().as_bytes()));
    leaks.extend(needles.search_files(&home.files()));
    let (_, printed) = server.stop();
    leaks.extend(needles.search("output", &printed));
    leaks.extend(needles.search_files(&home.files()));
    assert!(leaks.is_empty(), "{leaks:#?}");
    events
}

fn event_of<'a>(events: &'a [(Value, Value)], error_type: &str) -> &'a (Value, Value) {
    let found = events.iter().find(|(_, event)| {
        event["exception"]
            .as_array()
            .and_then(|chain| chain.last())
            .is_some_and(|last| last["type"] == error_type)
    });
    found.unwrap_or_else(|| panic!("no event of {error_type}: {events:#?}"))
}

const PYTHON_PROGRAM: &str = r#"
import os, sentry_sdk
from flask import Flask, request

sentry_sdk.init(send_default_pii=True, max_request_body_size="always")
app = Flask("shop")


class PaymentError(Exception):
    pass


def charge(customer, database):
    handle = os.environ["SECRET_STRIPE"]
    password = os.environ["SECRET_PASSWORD"]
    attempts = 3
    raise PaymentError("order 1234 was refused for %s" % handle)


@app.route("/pay")
def pay():
    database = "postgres://shop:%s@db.example.net:5432/shop" % os.environ["SECRET_URL_PASSWORD"]
    return charge({"id": 7, "name": "gift wrap"}, database)


client = app.test_client()
answer = client.get(
    "/pay?order=1234&access_key=" + os.environ["SECRET_AWS"],
    headers={"Authorization": "Bearer " + os.environ["SECRET_BEARER"]},
)
assert answer.status_code == 500, answer.status_code
try:
    {}["missing"]
except KeyError:
    event_id = sentry_sdk.capture_exception()
    assert event_id
sentry_sdk.flush(timeout=20)
print(event_id)
"#;

#[test]
fn python_sdk_by_dsn_alone() {
    let python = place("ACTIFIX_TEST_PYTHON", "python/bin/python");
    let secrets = Secrets::new(0x9e37_0001);
    let programs = tempfile::tempdir().expect("a folder");
    let program = write(programs.path(), "shop.py", PYTHON_PROGRAM);
    let home = Home::new();
    let server = home.serve();
    let mut command = Command::new(&python);
    command.arg(&program);
    let finished = run(&home, command, &secrets);
    let events = assert_clean(&home, server, &secrets);
    assert_eq!(events.len(), 2, "two errors, two events: {events:#?}");
    let (ticket, event) = event_of(&events, "PaymentError");
    let text = event.to_string();
    for kept in
        ["order 1234 was refused for [redacted:", "gift wrap", "attempts", "db.example.net:5432/shop", "/pay"]
    {
        assert!(text.contains(kept), "{kept:?} was not kept: {event:#}");
    }
    assert!(text.matches("[redacted:").count() >= 5, "{event:#}");
    assert_eq!(ticket["culprit"], "__main__.charge");
    assert_eq!(ticket["priority"], "P1", "a request failed unhandled: {ticket:#}");
    let (_, event) = event_of(&events, "KeyError");
    assert_eq!(event["event_id"], finished.stdout.trim(), "the id that the SDK told the program");
    assert_eq!(event["exception"][0]["mechanism"]["handled"], true);
}

const NODE_PROGRAM: &str = r#"
const Sentry = require('@sentry/node');
// The SDK reads local variables through a debugger that takes a moment to attach: events before that are not sent,
// so that the one that is has them.
let delivered = false;
function hasVariables(event) {
  return (event.exception?.values ?? []).some((one) => (one.stacktrace?.frames ?? []).some((frame) => frame.vars));
}
Sentry.init({
  includeLocalVariables: true,
  sendDefaultPii: true,
  // It would drop the same error of the next attempt.
  integrations: (defaults) => defaults.filter((one) => one.name !== 'Dedupe'),
  beforeSend(event) {
    if (delivered || !hasVariables(event)) { return null; }
    delivered = true;
    return event;
  },
});
const http = require('node:http');

class PaymentError extends Error {
  constructor(message) { super(message); this.name = 'PaymentError'; }
}

function charge(customer, database) {
  const handle = process.env.SECRET_STRIPE;
  const password = process.env.SECRET_PASSWORD;
  const attempts = 3;
  const failure = new PaymentError(`order 1234 was refused for ${handle}`);
  failure.attempts = attempts + password.length;
  throw failure;
}

const server = http.createServer((request, response) => {
  try {
    charge({ id: 7, name: 'gift wrap' }, `postgres://shop:${process.env.SECRET_URL_PASSWORD}@db.example.net:5432/shop`);
  } catch (error) {
    console.warn(`payment failed, password=${process.env.SECRET_PASSWORD} was used`);
    Sentry.captureException(error, { extra: { database: `postgres://shop:${process.env.SECRET_URL_PASSWORD}@db.example.net:5432/shop`, customer: 'gift wrap' } });
    response.statusCode = 500;
  }
  response.end();
});

function pay() {
  return new Promise((resolve, reject) => {
    const request = http.get({
      port: server.address().port,
      host: '127.0.0.1',
      path: `/pay?order=1234&access_key=${process.env.SECRET_AWS}`,
      headers: { Authorization: `Bearer ${process.env.SECRET_BEARER}` },
    }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode));
    });
    request.on('error', reject);
  });
}

server.listen(0, '127.0.0.1', async () => {
  for (let attempt = 0; attempt < 500 && !delivered; attempt += 1) {
    if (await pay() !== 500) { process.exitCode = 3; }
    await Sentry.flush(1000);
  }
  const sent = await Sentry.flush(20000);
  if (!delivered || !sent) { process.exitCode = 4; }
  server.close();
});
"#;

#[test]
fn node_sdk_by_dsn_alone() {
    let modules = place("ACTIFIX_TEST_NODE_MODULES", "node/node_modules");
    assert!(
        modules.join("@sentry/node").exists(),
        "@sentry/node is missing in {}: {INSTALL}",
        modules.display()
    );
    let secrets = Secrets::new(0x9e37_0002);
    let programs = tempfile::tempdir().expect("a folder");
    let program = write(programs.path(), "shop.cjs", NODE_PROGRAM);
    // Found as a program of the user finds it: beside itself.
    std::os::unix::fs::symlink(&modules, programs.path().join("node_modules")).expect("a link");
    let home = Home::new();
    let server = home.serve();
    let mut command = Command::new("node");
    command.arg("--preserve-symlinks").arg(&program);
    run(&home, command, &secrets);
    let events = assert_clean(&home, server, &secrets);
    let (ticket, event) = event_of(&events, "PaymentError");
    let text = event.to_string();
    for kept in ["order 1234 was refused for [redacted:", "gift wrap", "db.example.net:5432/shop"] {
        assert!(text.contains(kept), "{kept:?} was not kept: {event:#}");
    }
    assert!(text.matches("[redacted:").count() >= 3, "{event:#}");
    let frames = event["exception"][0]["stacktrace"]["frames"].as_array().expect("frames");
    let crash = frames.iter().find(|frame| frame["function"] == "charge").expect("the frame that threw");
    let locals = crash["vars"].as_object().expect("local variables were sent");
    assert!(locals["handle"].as_str().is_some_and(|text| text.starts_with("[redacted:")), "{locals:?}");
    // The SDK itself takes a variable of this name out; the URL it does not look into.
    assert_eq!(locals["password"], "[Filtered]");
    let database = locals["database"].as_str().unwrap_or_default();
    assert!(
        database.starts_with("postgres://shop:[redacted:") && database.ends_with("@db.example.net:5432/shop")
    );
    assert_eq!(locals["attempts"], 3);
    assert_eq!(ticket["culprit"], "shop.cjs in charge");
    assert_eq!(ticket["count"], 1);
}

/// What an SDK sends when its program ends by the error: the last chance to report it.
#[test]
fn a_dying_python_program_reports() {
    let python = place("ACTIFIX_TEST_PYTHON", "python/bin/python");
    let secrets = Secrets::new(0x9e37_0003);
    let programs = tempfile::tempdir().expect("a folder");
    let text = "import os, sentry_sdk\nsentry_sdk.init()\ntoken = os.environ['SECRET_BEARER']\nraise RuntimeError('api_key=' + os.environ['SECRET_PASSWORD'] + ' retry=3')\n";
    let program = write(programs.path(), "dying.py", text);
    let home = Home::new();
    let server = home.serve();
    let dsn = home.cli(&["dsn"]).ok();
    let mut command = Command::new(&python);
    command.arg(&program).env("SENTRY_DSN", dsn.trim()).envs(secrets.pairs());
    assert_eq!(finish(command, b"").code(), 1);
    let events = assert_clean(&home, server, &secrets);
    let (ticket, event) = event_of(&events, "RuntimeError");
    assert_eq!(ticket["unhandled"], true);
    let value = event["exception"][0]["value"].as_str().expect("a value");
    assert!(value.starts_with("api_key=[redacted:") && value.ends_with(" retry=3"), "{value}");
}
