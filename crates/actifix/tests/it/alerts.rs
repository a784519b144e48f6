//! Alerts out of the house and signed requests into it, with the real binary (`security.md`: the rows on webhooks).

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{Home, Server};
use crate::http::Request;
use crate::sdk::place;
use crate::sink::{Behaviour, Received, Sink};
use crate::tls::{Authority, LATER};

/// A home that may send to loopback, and believes the authority.
fn home(authority: &Authority) -> Arc<Home> {
    let config = "[outbound]\nallow_private = [\"127.0.0.0/8\"]\nextra_ca = \"ca.pem\"\n";
    let home = Home::with_config(config);
    std::fs::write(home.path().join("ca.pem"), &authority.pem).unwrap();
    home
}

/// Adds a channel by the command line; what it printed.
fn add(home: &Home, name: &str, url: &str, options: &[&str]) -> Value {
    let mut arguments = vec!["webhook", "add", name, "--stdin", "--json"];
    arguments.extend(options);
    home.cli_stdin(&arguments, url.as_bytes()).json()
}

pub fn record(server: &Server, message: &str, priority: &str) -> Value {
    server.post("/api/v1/events", &json!({ "message": message, "priority": priority }))
}

fn headers_of(received: &Received) -> Value {
    json!({
        "webhook-id": received.header("webhook-id"),
        "webhook-timestamp": received.header("webhook-timestamp"),
        "webhook-signature": received.header("webhook-signature"),
    })
}

const PYTHON: &str = r#"
import json, sys
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
case = json.load(sys.stdin)
hook = Webhook(case["secret"])
try:
    hook.verify(case["body"], case["headers"])
    print("good")
except WebhookVerificationError as error:
    print("bad", error)
"#;

const NODE: &str = r#"
const { Webhook } = require('standardwebhooks');
const crypto = require('crypto');
let text = '';
process.stdin.on('data', (part) => text += part).on('end', () => {
  const c = JSON.parse(text);
  let verdict = 'good';
  try { new Webhook(c.secret).verify(c.body, c.headers); } catch (error) { verdict = 'bad ' + error.message; }
  if (c.key) {
    const raw = Buffer.from(c.key.replace('whpk_', ''), 'base64');
    const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]);
    const key = crypto.createPublicKey({ key: der, format: 'der', type: 'spki' });
    const h = c.headers;
    const signed = Buffer.from(h['webhook-id'] + '.' + h['webhook-timestamp'] + '.' + c.body);
    const given = h['webhook-signature'].split(' ').find((s) => s.startsWith('v1a,')).slice(4);
    verdict += crypto.verify(null, signed, key, Buffer.from(given, 'base64')) ? ' v1a' : ' bad-v1a';
  }
  console.log(verdict);
});
"#;

/// The verdicts of the reference libraries.
fn judge(case: &Value) -> (String, String) {
    let mut python = Command::new(place("ACTIFIX_TEST_PYTHON", "python/bin/python"));
    python.args(["-c", PYTHON]);
    let mut node = Command::new("node");
    node.args(["-e", NODE]).env("NODE_PATH", place("ACTIFIX_TEST_NODE_MODULES", "node/node_modules"));
    let run = |command| crate::harness::finish(command, case.to_string().as_bytes()).ok().trim().to_owned();
    (run(python), run(node))
}

#[test]
fn reference_libraries_accept_our_signatures_and_no_others() {
    let authority = Authority::new();
    let (home, sink) = (home(&authority), Sink::start(&authority, Behaviour::ok()));
    let server = home.serve_busy();
    let made = add(&home, "hook", &sink.url(), &["--kind", "webhook", "--ed25519"]);
    let (first, key) = (made["secret"].as_str().unwrap().to_owned(), made["public_key"].clone());
    record(&server, "signed one", "P1");
    let received = sink.wait_for(1).remove(0);
    let body = String::from_utf8(received.body.clone()).unwrap();
    let case = |secret: &str, body: &str, headers: &Value, key: &Value| {
        judge(&json!({ "secret": secret, "body": body, "headers": headers, "key": key }))
    };
    let headers = headers_of(&received);
    let good = |(python, node): (String, String)| python == "good" && node.starts_with("good");
    let (python, node) = case(&first, &body, &headers, &key);
    assert_eq!((python.as_str(), node.as_str()), ("good", "good v1a"));
    assert!(!good(case(&first, &format!("{body} "), &headers, &Value::Null)), "another body");
    let mut old = headers.clone();
    let stamp: i64 = received.header("webhook-timestamp").parse().unwrap();
    old["webhook-timestamp"] = json!((stamp - 301).to_string());
    assert!(!good(case(&first, &body, &old, &Value::Null)), "another time");
    // Two secrets while receivers change over: each accepts what comes.
    let rotated = home.cli(&["webhook", "rotate", "hook", "--json"]).json();
    let second = rotated["secret"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    record(&server, "signed two", "P1");
    let received = sink.wait_for(2).remove(1);
    let (body, headers) = (String::from_utf8(received.body.clone()).unwrap(), headers_of(&received));
    assert!(good(case(&first, &body, &headers, &Value::Null)));
    assert!(good(case(&second, &body, &headers, &rotated["public_key"])));
    let stranger = format!("whsec_{}", STANDARD.encode([5; 32]));
    assert!(!good(case(&stranger, &body, &headers, &Value::Null)));
    // What was sealed is nowhere in clear, and nothing that anybody may read shows it.
    server.get("/api/v1/webhooks");
    server.get("/api/v1/deliveries");
    let list = home.cli(&["webhook", "list"]).ok();
    assert!(list.contains("127.0.0.1/…") && !list.contains("/in/of/alerts"), "{list}");
    let (answers, home_files) = (server.answers(), home.files());
    let (_, printed) = server.stop();
    for secret in [first.as_str(), second.as_str(), "/in/of/alerts"] {
        let has = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!has(&answers) && !has(&printed), "{secret} was told");
        for (path, bytes) in home_files.iter().chain(&home.files()) {
            assert!(!has(bytes), "{secret} lies in {}", path.display());
        }
    }
}

#[test]
fn the_time_for_an_attempt_is_a_setting() {
    let authority = Authority::new();
    let home = home(&authority);
    let path = home.path().join("actifix.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("[outbound]\n", "[outbound]\ntimeout_seconds = 1\n")).unwrap();
    let sink = Sink::start(&authority, Behaviour::HangBeforeHead);
    let server = home.serve();
    add(&home, "hook", &sink.url(), &["--kind", "webhook", "--not-production"]);
    let tested = server.post("/api/v1/webhooks/hook/test", &json!({}));
    assert_eq!(tested["failure"], "timeout", "{tested}");
    assert!(tested["milliseconds"].as_u64().unwrap() < 4_900, "sooner than by default: {tested}");
}

#[test]
fn heavy_sinks_that_misbehave_fail_by_their_class_and_within_the_deadline() {
    let authority = Authority::new();
    let home = home(&authority);
    let sink = Sink::start(&authority, Behaviour::ok());
    let astray = Sink::start(&authority, Behaviour::ok());
    let server = home.serve_busy();
    add(&home, "hook", &sink.url(), &["--kind", "webhook", "--not-production"]);
    let location = format!("Location: {}\r\n", astray.url());
    let answer = |status| Behaviour::Answer(status, String::new());
    for (behaviour, failure, status) in [
        (Behaviour::ok(), None, Some(200)),
        (answer(204), None, Some(204)),
        (Behaviour::HugeBody, None, Some(200)),
        (Behaviour::HangBeforeTls, Some("timeout"), None),
        (Behaviour::HangBeforeHead, Some("timeout"), None),
        (Behaviour::HangInBody, Some("timeout"), None),
        (Behaviour::Drip, Some("timeout"), None),
        (Behaviour::Reset, Some("broken"), None),
        (Behaviour::Garbage, Some("protocol"), None),
        (Behaviour::HugeHead, Some("protocol"), None),
        (Behaviour::Plain, Some("tls"), None),
        (Behaviour::Answer(301, location.clone()), Some("redirect"), Some(301)),
        (Behaviour::Answer(307, location), Some("redirect"), Some(307)),
        (answer(400), Some("refused"), Some(400)),
        (answer(410), Some("gone"), Some(410)),
        (answer(429), Some("rate_limited"), Some(429)),
        (answer(500), Some("unavailable"), Some(500)),
        (answer(503), Some("unavailable"), Some(503)),
    ] {
        sink.will(behaviour.clone());
        let tested = server.post("/api/v1/webhooks/hook/test", &json!({}));
        assert_eq!(tested["failure"].as_str(), failure, "{behaviour:?}: {tested}");
        assert_eq!(tested["status"].as_u64(), status, "{behaviour:?}: {tested}");
        assert_eq!(tested["delivered"].as_bool(), Some(failure.is_none()));
        if failure == Some("timeout") {
            let took = tested["milliseconds"].as_u64().unwrap();
            assert!((4_900..20_000).contains(&took), "{behaviour:?} took {took} ms");
        }
    }
    assert!(astray.received().is_empty(), "no redirect is followed");
    // Each way in which a certificate is of no use is told apart, in the log as well.
    let own = |ca: bool| {
        let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        if ca {
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }
        let key = rcgen::KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    for (name, pair, failure, advice) in [
        ("other", authority.issue(&["other.example.net"], LATER), "tls_name", "is for another name"),
        ("old", authority.issue(&["127.0.0.1"], (2021, 1, 1)), "tls_expired", "renew it"),
        ("unknown", Authority::new().issue(&["127.0.0.1"], LATER), "tls_unknown_issuer", "outbound.extra_ca"),
        ("own", own(false), "tls_self_signed", "signed itself"),
        ("own-ca", own(true), "tls_self_signed", "signed itself"),
    ] {
        let sink = Sink::certified(&pair, Behaviour::ok());
        add(&home, name, &sink.url(), &["--kind", "webhook", "--not-production"]);
        let tested = home.cli(&["webhook", "test", name]);
        assert_eq!(tested.code(), 1, "{name}");
        assert!(
            tested.stdout.contains(&format!("({failure})")) && tested.stdout.contains(advice),
            "{name}: {}",
            tested.stdout
        );
        let log = server.list(&format!("/api/v1/deliveries?webhook={name}"));
        assert_eq!(log[0]["last_failure"], failure, "{name}");
        let shown = home.cli(&["webhook", "deliveries", name]).ok();
        assert!(shown.contains("RESULT") && shown.contains(failure), "{shown}");
        assert!(sink.received().is_empty(), "{name}");
    }
    // No proxy of the environment is used, and a redirect leads nowhere: the sinks saw paths, not absolute addresses.
    assert!(sink.received().iter().all(|received| received.line == "POST /in/of/alerts HTTP/1.1"));
    let log = server.list("/api/v1/deliveries?webhook=hook");
    assert!(log.len() == 18 && log.iter().all(|delivery| delivery["test"] == true));
}

#[test]
fn addresses_that_are_not_public_are_refused_and_nothing_connects() {
    let authority = Authority::new();
    let sink = Sink::start(&authority, Behaviour::ok());
    let port = sink.address.port();
    let home = Home::new();
    let server = Server::start(
        home.clone(),
        &[("HTTPS_PROXY", "http://127.0.0.1:9"), ("ALL_PROXY", "http://127.0.0.1:9")],
    );
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        format!("https://2130706433:{port}/"),
        format!("https://0x7f.1:{port}/"),
        format!("https://0177.0.0.1:{port}/"),
        format!("https://localhost:{port}/"),
        format!("https://[::1]:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
        format!("https://u:p@hooks.example.net:{port}/"),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "https://hooks.example.net:0/".to_owned(),
    ] {
        let refused = home.cli_stdin(&["webhook", "add", "x", "--stdin"], url.as_bytes());
        assert_eq!(refused.code(), 2, "{url}: {}{}", refused.stdout, refused.stderr);
        assert!(!refused.stderr.contains(&url), "the address is not repeated: {}", refused.stderr);
        let body = json!({ "name": "x", "kind": "webhook", "url": url });
        assert_eq!(server.call("POST", "/api/v1/webhooks", Some(&body)).status, 422, "{url}");
    }
    assert_eq!(server.get("/api/v1/webhooks")["items"], json!([]));
    drop(server);
    // What was allowed once is not sent any more when it is not allowed now.
    let config = "[outbound]\nallow_private = [\"127.0.0.0/8\"]\nextra_ca = \"ca.pem\"\n";
    let home = Home::with_config(config);
    std::fs::write(home.path().join("ca.pem"), &authority.pem).unwrap();
    drop(home.serve());
    add(&home, "hook", &sink.url(), &["--kind", "webhook", "--not-production"]);
    let tested = home.cli(&["webhook", "test", "hook", "--json"]).json();
    assert_eq!(tested["delivered"], true, "{tested}");
    let text = std::fs::read_to_string(home.path().join("actifix.toml")).unwrap();
    let text = text.replace("allow_private = [\"127.0.0.0/8\"]\n", "");
    std::fs::write(home.path().join("actifix.toml"), text).unwrap();
    let tested = home.cli(&["webhook", "test", "hook", "--json"]);
    assert_eq!(tested.code(), 1);
    let tested: Value = serde_json::from_str(&tested.stdout).unwrap();
    assert_eq!(tested["failure"], "forbidden", "at the connection, too");
    assert_eq!(sink.received().len(), 1);
    let server = home.serve_busy();
    record(&server, "not told", "P0");
    let log = loop {
        let log = server.list("/api/v1/deliveries?state=pending");
        if log.iter().any(|delivery| delivery["last_failure"].is_string()) {
            break log;
        }
    };
    assert_eq!(log[0]["last_failure"], "forbidden");
    assert_eq!(sink.received().len(), 1);
}

#[test]
fn heavy_kill_9_between_send_and_record_sends_again_with_the_same_id() {
    let authority = Authority::new();
    let (home, sink) = (home(&authority), Sink::start(&authority, Behaviour::HangBeforeHead));
    let server = home.serve_busy();
    add(&home, "hook", &sink.url(), &["--kind", "webhook"]);
    let ids: Vec<Value> = ["first", "second", "third"]
        .map(|word| record(&server, &format!("{word} broke"), "P1")["ticket_id"].clone())
        .into();
    // The receiver has it, and nobody has written down that it does.
    let first = sink.wait_for(1).remove(0);
    drop(server.kill());
    sink.will(Behaviour::ok());
    let server = home.serve_busy();
    let received = sink.wait_for(4);
    let again = &received[1];
    assert_eq!(again.header("webhook-id"), first.header("webhook-id"));
    // The server listens elsewhere by now, which its links say.
    let words = |received: &Received| {
        let body = received.json();
        (body["type"].clone(), body["timestamp"].clone(), body["data"]["changes"][0]["title"].clone())
    };
    assert_eq!(words(again), words(&first));
    let told: Vec<Value> = received[1..4]
        .iter()
        .map(|received| received.json()["data"]["changes"][0]["ticket"].clone())
        .collect();
    assert_eq!(told, ids, "nothing is lost, and the order holds");
    let delivered = loop {
        let delivered = server.list("/api/v1/deliveries?state=delivered");
        if delivered.len() == 3 {
            break delivered;
        }
    };
    assert_eq!(delivered.iter().map(|delivery| delivery["attempts"].as_u64().unwrap()).max(), Some(2));
    // By hand, once more, with its id.
    let id = first.header("webhook-id");
    home.cli(&["webhook", "redeliver", id]).ok();
    assert_eq!(sink.wait_for(5)[4].header("webhook-id"), id);
}

/// One figure of the database while no server has it.
fn figure(home: &Home, sql: &str) -> i64 {
    let python = "import sqlite3,sys; d=sqlite3.connect('file:'+sys.argv[1]+'?mode=ro',uri=True); print(d.execute(sys.argv[2]).fetchone()[0])";
    let mut command = Command::new("python3");
    command.args(["-c", python]).arg(home.path().join("data/actifix.db")).arg(sql);
    crate::harness::finish(command, b"").ok().trim().parse().expect("a number")
}

#[test]
fn heavy_kill_9_between_send_and_record_of_a_digest_sends_it_again_with_its_id() {
    let authority = Authority::new();
    let (home, sink) = (home(&authority), Sink::start(&authority, Behaviour::ok()));
    let server = home.serve_busy();
    add(&home, "hook", &sink.url(), &["--kind", "webhook"]);
    let rule = ["--on", "new", "--priority", "P2", "--burst", "1", "--digest", "60", "--cooldown", "0"];
    home.cli(&[&["webhook", "rule", "add", "few"][..], &rule[..]].concat()).ok();
    record(&server, "first broke", "P2");
    sink.wait_for(1);
    let gathered: Vec<Value> = ["second", "third"]
        .map(|word| record(&server, &format!("{word} broke"), "P2")["ticket_id"].clone())
        .into();
    drop(server.kill());
    // What is gathered lies on the disk before anybody was told of it. A start decides about what was not decided yet.
    while figure(&home, "SELECT coalesce(max(json_extract(state, '$.gathered')), 0) FROM alert_states") < 2 {
        home.serve_busy().stop();
    }
    assert_eq!(sink.received().len(), 1, "the hour is not over");
    crate::setup::tamper(
        &home,
        "UPDATE alert_states SET state = json_set(state, '$.digest_at', '2026-01-01T00:00:00.000000Z') \
         WHERE json_extract(state, '$.digest_at') IS NOT NULL",
    );
    // The hour is over: the digest goes out, the receiver has it, and nobody has written down that it does.
    sink.will(Behaviour::HangBeforeHead);
    let server = home.serve_busy();
    let first = sink.wait_for(2).remove(1);
    drop(server.kill());
    sink.will(Behaviour::ok());
    let server = home.serve_busy();
    let again = sink.wait_for(3).remove(2);
    assert_eq!(again.header("webhook-id"), first.header("webhook-id"), "the same message");
    for received in [&first, &again] {
        let body = received.json();
        assert_eq!((&body["type"], &body["data"]["count"]), (&json!("alert.digest"), &json!(2)), "{body}");
        let told: Vec<Value> = body["data"]["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|change| change["ticket"].clone())
            .collect();
        assert_eq!(told, gathered, "each of them, in order");
    }
    while !server.list("/api/v1/deliveries?state=pending").is_empty() {}
    let log = server.list("/api/v1/deliveries?state=delivered");
    let attempts: Vec<u64> = log.iter().map(|delivery| delivery["attempts"].as_u64().unwrap()).collect();
    assert_eq!(attempts, [2, 1], "one digest, tried twice, and the message before it: {log:?}");
    assert_eq!(sink.received().len(), 3, "said no third time");
}

#[test]
fn heavy_a_hundred_channels_that_hang_keep_nobody_waiting() {
    let authority = Authority::new();
    let (home, sink) = (home(&authority), Sink::start(&authority, Behaviour::ok()));
    let server = Server::start(home.clone(), &[("ACTIFIX_RATE_LIMIT_DISABLED", "1")]);
    // They take connections, and never read a byte.
    let hanging: Vec<TcpListener> = (0..100).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    for (number, listener) in hanging.iter().enumerate() {
        let url = format!("https://{}/", listener.local_addr().unwrap());
        server.post(
            "/api/v1/webhooks",
            &json!({ "name": format!("h{number:03}"), "kind": "webhook", "url": url }),
        );
    }
    server.post("/api/v1/webhooks", &json!({ "name": "z-good", "kind": "webhook", "url": sink.url() }));
    record(&server, "told at once", "P0");
    sink.wait_for(1);
    let ended: Vec<Value> = server
        .list("/api/v1/deliveries")
        .into_iter()
        .filter(|delivery| delivery["endpoint"] != "z-good" && !delivery["attempted_at"].is_null())
        .collect();
    assert!(ended.is_empty(), "the good one waited for {} of those that hang", ended.len());
    // The receiver has it before that is written down and counted.
    const DELIVERED: &str = "actifix_webhook_deliveries_total{endpoint=\"z-good\",result=\"delivered\"} 1";
    let metrics = loop {
        let metrics = server.call("GET", "/metrics", None).text();
        if metrics.contains(DELIVERED) {
            break metrics;
        }
    };
    assert!(metrics.contains("actifix_webhook_oldest_pending_seconds"), "{metrics}");
}

#[test]
fn planted_secrets_reach_no_byte_of_a_sink() {
    let authority = Authority::new();
    let (home, sink) = (home(&authority), Sink::start(&authority, Behaviour::ok()));
    let server = home.serve_busy();
    for (name, kind) in [("a", "webhook"), ("b", "slack"), ("c", "discord"), ("d", "teams")] {
        add(&home, name, &sink.url(), &["--kind", kind]);
    }
    let aws = format!("AKIA{}", "Z7QX2M4N6P8R3T5V");
    let bearer = "9f8e7d6c".repeat(5);
    let password = ["tiger", "lily", "42!x"].concat();
    let event = json!({
        "message": format!("upload with {aws} failed: postgres://app:{password}@db/shop"),
        "type": format!("Denied{aws}"),
        "priority": "P0",
        "environment": format!("prod-{aws}"),
        "tags": { "password": password, "auth": format!("Bearer {bearer}") },
        "source": format!("/srv/{aws}/main.py:3"),
        "release": format!("shop@{bearer}"),
    });
    server.post("/api/v1/events", &event);
    for received in sink.wait_for(4) {
        let text = String::from_utf8_lossy(&received.body).into_owned();
        for secret in [&aws, &password, &bearer] {
            assert!(!text.contains(secret.as_str()), "{secret} reached a sink: {text}");
        }
        assert!(text.contains("upload with"), "{text}");
    }
}

#[test]
fn an_issue_is_opened_and_closed_once_though_several_rules_say_it() {
    let authority = Authority::new();
    let (home, sink) = (home(&authority), Sink::start(&authority, Behaviour::Json(201, "{\"number\": 17}")));
    let server = home.serve_busy();
    let address = format!("{}\n1234567890\n", sink.url());
    add(&home, "issues", &address, &["--kind", "github", "--target", "acme/shop"]);
    home.cli(&["webhook", "rule", "add", "all", "--on", "new,resolved", "--project", "default"]).ok();
    home.cli(&["webhook", "rule", "add", "again", "--on", "new,resolved", "--to", "issues"]).ok();
    let first = record(&server, "the first broke", "P1")["ticket_id"].as_str().unwrap().to_owned();
    sink.wait_for(1);
    let done = json!({ "root_cause": "it was wrong", "no_commit_reason": "it was a setting", "no_test_reason": "it was a setting" });
    server.post(&format!("/api/v1/tickets/{first}/complete"), &done);
    sink.wait_for(2);
    // A channel is told in order: what comes now comes after all that was said of the first.
    record(&server, "the second broke", "P1");
    let told: Vec<(String, Value)> = sink
        .wait_for(3)
        .iter()
        .map(|received| {
            let body = received.json();
            let what = if body["state"].is_null() { &body["title"] } else { &body["state"] };
            (received.line.split(' ').next().unwrap().to_owned(), what.clone())
        })
        .collect();
    let expected = [("POST", "the first broke"), ("PATCH", "closed"), ("POST", "the second broke")];
    assert_eq!(told, expected.map(|(method, what)| (method.to_owned(), json!(what))));
}

#[test]
fn what_is_not_there_is_told_with_where_to_look() {
    let home = Home::new();
    let _server = home.serve_busy();
    for (arguments, list) in [
        (&["test", "nobody"][..], "webhook list"),
        (&["enable", "nobody"], "webhook list"),
        (&["remove", "nobody"], "webhook list"),
        (&["deliveries", "nobody"], "webhook list"),
        (&["redeliver", "msg_0"], "webhook deliveries"),
        (&["rule", "remove", "nobody"], "webhook rule list"),
        (&["inbound", "remove", "nobody"], "webhook inbound list"),
        (&["rule", "add", "r", "--on", "new", "--project", "nobody"], "no such project"),
    ] {
        let done = home.cli(&[&["webhook"], arguments].concat());
        assert_eq!(done.code(), 2, "{arguments:?}: {}", done.stdout);
        assert!(done.stderr.contains(list), "{arguments:?}: {}", done.stderr);
    }
}

#[test]
fn channels_of_the_environment_come_and_go_with_it() {
    let authority = Authority::new();
    let (home, sink) = (home(&authority), Sink::start(&authority, Behaviour::ok()));
    let urls = format!("ops={} slack+{}?team=1", sink.url(), sink.url());
    let server = Server::start(home.clone(), &[("ACTIFIX_WEBHOOK_URLS", &urls)]);
    let items = server.list("/api/v1/webhooks");
    let named: Vec<(&str, &str)> =
        items.iter().map(|item| (item["name"].as_str().unwrap(), item["kind"].as_str().unwrap())).collect();
    assert_eq!(named, [("environment-2", "slack"), ("ops", "webhook")]);
    assert!(items.iter().all(|item| item["from_environment"] == true));
    record(&server, "by the environment", "P0");
    sink.wait_for(2);
    drop(server);
    // By file, then gone.
    let path = home.path().join("urls");
    crate::tls::write_private(&path, &format!("ops={}\n", sink.url()));
    let server = Server::start(home.clone(), &[("ACTIFIX_WEBHOOK_URLS", "file:urls")]);
    assert_eq!(server.list("/api/v1/webhooks").len(), 1);
    drop(server);
    let server = home.serve_busy();
    assert_eq!(server.list("/api/v1/webhooks").len(), 0);
    drop(server);
    let mut command = home.command(&["serve"]);
    command.env("ACTIFIX_WEBHOOK_URLS", "http://hooks.example.net/T0SECRET");
    let refused = crate::harness::finish(command, b"");
    assert_eq!(refused.code(), 78, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("only https") && !refused.stderr.contains("T0SECRET"),
        "{}",
        refused.stderr
    );
}

#[test]
fn rules_are_kept_tried_and_removed_by_commands() {
    let home = Home::new();
    let server = home.serve_busy();
    for number in 0..3 {
        record(&server, &format!("broke {}", "abc".chars().nth(number).unwrap()), "P1");
    }
    let defaults = home.cli(&["webhook", "rule", "list", "--json"]).json();
    assert!(defaults["items"].as_array().unwrap().iter().all(|rule| rule["is_default"] == true));
    let tried = home.cli(&["webhook", "rule", "dry-run", "t", "--on", "new", "--priority", "P1"]).ok();
    assert!(
        tried.starts_with("would have sent 3 messages in 7 days (0 digests); 3 changes matched"),
        "{tried}"
    );
    let tried =
        home.cli(&["webhook", "rule", "dry-run", "t", "--on", "new", "--burst", "1", "--json"]).json();
    assert_eq!((tried["would_have_sent"].as_u64(), tried["digests"].as_u64()), (Some(2), Some(1)));
    home.cli(&[
        "webhook",
        "rule",
        "add",
        "urgent",
        "--on",
        "new,regressed",
        "--priority",
        "P0",
        "--tag",
        "region=eu-*",
    ])
    .ok();
    let rules = home.cli(&["webhook", "rule", "list", "--json"]).json();
    assert_eq!(rules["items"].as_array().unwrap().len(), 1);
    assert_eq!(rules["items"][0]["when"]["tags"], json!({ "region": "eu-*" }));
    for bad in [
        &["webhook", "rule", "add", "x", "--on", "never"][..],
        &["webhook", "rule", "add", "x", "--on", "rate"],
        &["webhook", "rule", "add", "x", "--on", "rate", "--rate", "ten"],
        &["webhook", "rule", "add", "x", "--on", "new", "--to", "nobody"],
        &["webhook", "rule", "add", "X Y", "--on", "new"],
        &["webhook", "rule", "add", "x", "--on", "new", "--quiet", "25:00-07:00"],
    ] {
        let refused = home.cli(bad);
        assert_eq!(refused.code(), 2, "{bad:?}: {}", refused.stderr);
    }
    home.cli(&["webhook", "rule", "remove", "urgent"]).ok();
    let rules = home.cli(&["webhook", "rule", "list", "--json"]).json();
    assert_eq!(rules["items"][0]["is_default"], true);
    let id = record(&server, "broke a", "P1")["ticket_id"].as_str().unwrap().to_owned();
    home.cli(&["webhook", "mute", &id, "--until-count", "10"]).ok();
    home.cli(&["webhook", "unmute", &id]).ok();
    assert_ne!(home.cli(&["webhook", "mute", &id, "--until", "2001-01-01T00:00:00Z"]).code(), 0);
}

pub fn hmac_hex(secret: &[u8], text: &[u8]) -> Vec<u8> {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    aws_lc_rs::hmac::sign(&key, text).as_ref().to_vec()
}

pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// A request signed by Standard Webhooks.
pub fn signed(secret: &str, id: &str, stamp: i64, body: &str) -> Request {
    signed_to("ci", secret, id, stamp, body)
}

fn signed_to(source: &str, secret: &str, id: &str, stamp: i64, body: &str) -> Request {
    let key = STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap();
    let tag = hmac_hex(&key, format!("{id}.{stamp}.{body}").as_bytes());
    Request::post(&format!("/hooks/{source}"), body)
        .header("Content-Type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", &stamp.to_string())
        .header("webhook-signature", &format!("v1,AAAA v1,{}", STANDARD.encode(tag)))
}

#[test]
fn signed_requests_are_taken_once_and_all_others_are_401() {
    let home = Home::new();
    let server = home.serve_busy();
    let ticket = record(&server, "to be noted", "P2")["ticket_id"].as_str().unwrap().to_owned();
    server.post("/api/v1/projects", &json!({ "name": "other" }));
    let foreign = server.post("/api/v1/events", &json!({ "message": "elsewhere", "project": "other" }));
    let foreign = foreign["ticket_id"].as_str().unwrap().to_owned();
    let made = home.cli(&["webhook", "inbound", "add", "ci", "--kind", "standard", "--json"]).json();
    let secret = made["secret"].as_str().unwrap().to_owned();
    let note = |ticket: &str| {
        json!({ "type": "ticket.note", "data": { "ticket": ticket, "text": "seen by the CI" } }).to_string()
    };
    let body = note(&ticket);
    let good = signed(&secret, "m1", now(), &body);
    assert_eq!(server.send(&good).json()["tickets"], json!([ticket]));
    let stranger = format!("whsec_{}", STANDARD.encode([9; 32]));
    for (what, request) in [
        ("a repetition", good.clone()),
        ("nothing", Request::post("/hooks/ci", body.clone())),
        ("another secret", signed(&stranger, "m2", now(), &body)),
        ("301 s old", signed(&secret, "m3", now() - 301, &body)),
        ("from the future", signed(&secret, "m4", now() + 400, &body)),
        ("another body", signed(&secret, "m5", now(), &body).body(note(&foreign))),
        ("an empty id", signed(&secret, "", now(), &body)),
        ("an id with a dot", signed(&secret, "m.5", now(), &body)),
        ("two signatures fields", signed(&secret, "m6", now(), &body).header("webhook-signature", "v1,AAAA")),
        (
            "a list of a thousand",
            signed(&secret, "m7", now(), &body)
                .header("x", "y")
                .header("webhook-signature", &"v1,AAAA ".repeat(500)),
        ),
        ("an unknown source", signed_to("nobody", &secret, "m8", now(), &body)),
        (
            "a token instead",
            Request::post("/hooks/ci", body.clone())
                .header("Authorization", &format!("Bearer {}", server.token())),
        ),
    ] {
        let answer = server.send(&request);
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
    }
    assert_eq!(server.send(&signed(&secret, "m9", now() - 290, &body)).status, 200);
    // Another project's tickets are not there for this source.
    assert_eq!(server.send(&signed(&secret, "m10", now(), &note(&foreign))).json()["tickets"], json!([]));
    assert_eq!(server.send(&signed(&secret, "m11", now(), "no JSON")).status, 422);
    drop(server);
    let server = home.serve_busy();
    assert_eq!(server.send(&good).status, 401, "the memory of ids outlives the process");
    let detail = server.get(&format!("/api/v1/tickets/{ticket}"));
    let notes = detail["activity"].as_array().unwrap().iter().filter(|line| line["kind"] == "note").count();
    assert_eq!(notes, 2);
    let log = server.list("/api/v1/audit?action=access.refused");
    assert!(log.iter().any(|row| row["target"] == "hook:ci"), "refusals are recorded");
}

#[test]
fn the_page_on_alerts_shows_commands_that_work() {
    let authority = Authority::new();
    let (home, sink) = (home(&authority), Sink::start(&authority, Behaviour::ok()));
    let server = home.serve_busy();
    let ticket = record(&server, "to be muted", "P2")["ticket_id"].as_str().unwrap().to_owned();
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/alerts.md"));
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_actifix")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let (url, topic) = (sink.url(), format!("https://{}/topic", sink.address));
    let mut run = 0;
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    for line in blocks.flat_map(str::lines) {
        // On loopback the address says nothing about the kind.
        let kind =
            ["slack", "discord"].into_iter().find(|kind| line.contains(&format!("webhook add {kind}")));
        let line = kind.map_or(line.to_owned(), |kind| format!("{line} --kind {kind}"));
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(&line)
            .env("PATH", &path)
            .env("ACTIFIX_HOME", home.path())
            .env("TICKET", &ticket);
        for name in ["SLACK_URL", "DISCORD_URL", "TEAMS_URL", "HOOK_URL"] {
            command.env(name, &url);
        }
        command.env("NTFY_URL", &topic).env("SMTP_URL", "smtp://mail.example.net:587");
        for name in ["NTFY_TOKEN", "TELEGRAM_TOKEN", "SMTP_PASSWORD", "GITHUB_TOKEN"] {
            command.env(name, "1234567890");
        }
        let done = crate::harness::finish(command, b"");
        assert_eq!(done.code(), 0, "{line}: {}{}", done.stdout, done.stderr);
        run += 1;
    }
    assert!(run >= 28, "{run} commands");
    let tested: Vec<Received> = sink.received();
    assert!(
        tested.iter().any(|received| received.json()["data"]["test"] == true),
        "the test said that it is one"
    );
    let toml = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let other = Home::with_config(toml);
    assert_eq!(other.cli(&["config", "check"]).code(), 0);
}

#[test]
fn a_check_names_bad_channels_of_the_environment_and_misspelt_variables() {
    let home = Home::new();
    home.cli(&["record", "so that there is a store"]).ok();
    let check = |variables: &[(&str, &str)]| {
        let mut command = home.command(&["config", "check"]);
        command.envs(variables.iter().copied());
        crate::harness::finish(command, b"")
    };
    let refused = |variables: &[(&str, &str)], told: &[&str]| {
        let done = check(variables);
        assert_eq!(done.code(), 78, "{variables:?}: {}{}", done.stdout, done.stderr);
        assert!(!done.stderr.contains("T0SECRET") && !done.stdout.contains("T0SECRET"), "{}", done.stderr);
        told.iter().for_each(|told| assert!(done.stderr.contains(told), "{told}: {}", done.stderr));
    };
    const URLS: &str = "ACTIFIX_WEBHOOK_URLS";
    let entries =
        "ops=slack+https://hooks.example.net/T0SECRET plain=http://hooks.example.net/T0SECRET T0SECRET";
    refused(&[(URLS, entries)], &[URLS, "entry 2 (plain, hooks.example.net/…)", "only https", "entry 3: "]);
    refused(&[(URLS, "file:urls")], &[URLS, "urls: no such file"]);
    refused(&[("ACTIFIX_WEBHOOK_URLS_FILE", "urls")], &[URLS, "urls: no such file"]);
    refused(&[(URLS, "secret:hooks")], &[URLS, "secret:hooks"]);
    crate::tls::write_private(
        &home.path().join("urls"),
        "https://hooks.example.net/T0SECRET\nftp://T0SECRET/x\n",
    );
    refused(&[(URLS, "file:urls")], &[URLS, "entry 2"]);
    refused(
        &[("ACTIFIX_WEBHOOK_URL", "https://hooks.example.net/T0SECRET")],
        &["did you mean ACTIFIX_WEBHOOK_URLS?"],
    );
    refused(&[("ACTIFIX_THROTTLE_ENABLED", "T0SECRET")], &["did you mean ACTIFIX_THROTTLE__ENABLED?"]);
    let other =
        check(&[("ACTIFIX_COLOUR_OF_THE_LOGO", "T0SECRET"), (URLS, "https://hooks.example.net/T0SECRET")]);
    assert_eq!(other.code(), 0, "{}", other.stderr);
    assert!(other.stderr.contains("ACTIFIX_COLOUR_OF_THE_LOGO: no such variable"), "{}", other.stderr);
    // A server says it once, and starts.
    let server = Server::start(home.clone(), &[("ACTIFIX_TOKN", "T0SECRET")]);
    server.wait_for("did you mean ACTIFIX_TOKEN?");
    let (_, printed) = server.stop();
    let printed = String::from_utf8_lossy(&printed);
    assert_eq!(printed.matches("ACTIFIX_TOKN").count(), 1, "{printed}");
    assert!(!printed.contains("T0SECRET"), "{printed}");
}
