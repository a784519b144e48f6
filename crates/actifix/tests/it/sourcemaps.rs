//! Source maps, uploaded with the real `sentry-cli`: frames of a minified script are shown as they were written, and what
//! a build gives away with its sources is in no byte of the home.

mod bundles;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::fates::unredactable;
use crate::harness::{Finished, Home, Server, finish};
use crate::http::Request;
use crate::leaks::Needles;
use crate::people::{OTHER, login, user};
use crate::random::Random;
use crate::sdk::place;

const SCRIPT: &str = include_str!("../../../../testdata/sourcemaps/app.min.js");
const MAP: &str = include_str!("../../../../testdata/sourcemaps/app.min.js.map");
/// Where the script is served.
const URL: &str = "https://shop.example.net/static/app.min.js";
const LETTERS_DIGITS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
/// Frames of the failure, the caller first: minified name and column of the only line.
const FRAMES: [(&str, u32); 5] = [("Object.<anonymous>", 161), ("i", 156), ("f", 134), ("c", 80), ("a", 24)];
/// The same as they were written: name, file, line.
const WRITTEN: [(&str, &str, u32); 5] = [
    ("Object.<anonymous>", "src/app.js", 10),
    ("start", "src/app.js", 9),
    ("checkout", "src/app.js", 6),
    ("totalOf", "src/cart.js", 9),
    ("priceOf", "src/cart.js", 3),
];

/// A secret that a developer left in a source.
fn secret() -> String {
    ["sk_", "live_", &Random::seeded(0x5eed_03a9).text(LETTERS_DIGITS, 24)].concat()
}

/// The program of the npm package.
pub(crate) fn sentry_cli() -> PathBuf {
    let package = match std::env::consts::ARCH {
        "aarch64" => "cli-linux-arm64",
        _ => "cli-linux-x64",
    };
    let program = place("ACTIFIX_TEST_NODE_MODULES", "node/node_modules");
    let program = program.join("@sentry").join(package).join("bin/sentry-cli");
    assert!(program.exists(), "{} is missing: run `cargo xtask install-tools`", program.display());
    program
}

/// A build with a secret in a source, outside of the home.
struct Build {
    folder: tempfile::TempDir,
    secret: String,
}

impl Build {
    fn new() -> Self {
        let build = Self { folder: tempfile::tempdir().expect("a folder"), secret: secret() };
        let dist = build.dist();
        std::fs::create_dir(&dist).expect("a folder");
        std::fs::write(dist.join("app.min.js"), SCRIPT.replace("@SECRET@", &build.secret)).expect("a script");
        std::fs::write(dist.join("app.min.js.map"), MAP.replace("@SECRET@", &build.secret)).expect("a map");
        build
    }

    /// The same with the map in the script itself.
    fn with_map_inside() -> Self {
        let build = Self::new();
        let map = build.dist().join("app.min.js.map");
        let inside = STANDARD.encode(std::fs::read(&map).expect("a map"));
        std::fs::remove_file(map).expect("a map");
        let script = build.script().replace(
            "sourceMappingURL=app.min.js.map",
            &format!("sourceMappingURL=data:application/json;charset=utf-8;base64,{inside}"),
        );
        std::fs::write(build.dist().join("app.min.js"), script).expect("a script");
        build
    }

    fn dist(&self) -> PathBuf {
        self.folder.path().join("dist")
    }

    fn script(&self) -> String {
        std::fs::read_to_string(self.dist().join("app.min.js")).expect("a script")
    }

    fn debug_id(&self) -> String {
        let script = self.script();
        script.split("//# debugId=").nth(1).expect("a debug id").trim().to_owned()
    }

    /// Lines that injection put before the script.
    fn lines_before(&self) -> u32 {
        let place =
            self.script().lines().position(|line| line.starts_with("function a(")).expect("the script");
        u32::try_from(place).expect("few lines")
    }

    fn cli(&self, server: &Server, token: &str, arguments: &[&str]) -> Finished {
        let mut command = Command::new(sentry_cli());
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("HOME", self.folder.path()).env("SENTRY_URL", format!("http://{}", server.address));
        command.env("SENTRY_AUTH_TOKEN", token).env("SENTRY_ORG", "any").env("SENTRY_PROJECT", "default");
        finish(command, b"")
    }

    /// Injects and uploads; what the upload said.
    #[track_caller]
    fn upload(&self, server: &Server, token: &str, further: &[&str]) -> String {
        self.cli(server, token, &["sourcemaps", "inject", "dist"]).ok();
        let mut arguments = vec!["sourcemaps", "upload", "--wait", "--url-prefix", "~/static/"];
        arguments.extend(further);
        arguments.push("dist");
        let done = self.cli(server, token, &arguments);
        assert_eq!(done.code(), 0, "{}{}", done.stdout, done.stderr);
        done.stdout + &done.stderr
    }
}

/// A token of a build server.
fn token(server: &Server, scope: &str, project: Option<&str>) -> String {
    let body = json!({ "name": "ci", "scopes": [scope], "project": project });
    server.mint(&body)["token"].as_str().expect("a token").to_owned()
}

/// An event of a browser, as its SDK sends it.
fn event(lines_before: u32, further: Value) -> Value {
    let frames: Vec<Value> = FRAMES
        .iter()
        .map(|(function, column)| {
            json!({ "function": function, "filename": URL, "abs_path": URL, "lineno": lines_before + 1,
                "colno": column, "in_app": true })
        })
        .collect();
    let mut event = json!({
        "platform": "javascript",
        "exception": { "values": [{
            "type": "TypeError", "value": "Cannot read properties of null (reading 'price')",
            "stacktrace": { "frames": frames }
        }] }
    });
    for (name, value) in further.as_object().expect("members") {
        event[name] = value.clone();
    }
    event
}

fn images(debug_id: &str) -> Value {
    json!({ "debug_meta": { "images": [{ "type": "sourcemap", "code_file": URL, "debug_id": debug_id }] } })
}

/// Sends an event as an SDK does; its id.
#[track_caller]
fn sent(server: &Server, event: &Value) -> String {
    let keys = server.get("/api/v1/projects/default/keys");
    let key = keys["items"][0]["public_key"].as_str().expect("a key").to_owned();
    let answer = server.send(&Request::post(&format!("/api/1/store/?sentry_key={key}"), event.to_string()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["id"].as_str().expect("an id").to_owned()
}

/// Sends an event as an SDK does; how it is stored.
#[track_caller]
fn send(server: &Server, event: &Value) -> Value {
    server.get(&format!("/api/v1/events/{}", sent(server, event)))
}

fn frames(event: &Value) -> Vec<Value> {
    event["exception"][0]["stacktrace"]["frames"].as_array().expect("frames").clone()
}

#[track_caller]
fn assert_as_written(event: &Value) {
    let seen: Vec<_> = frames(event)
        .iter()
        .map(|frame| {
            let text = |name: &str| frame[name].as_str().unwrap_or_default().to_owned();
            (text("function"), text("filename"), frame["lineno"].as_u64().unwrap_or(0))
        })
        .collect();
    let written: Vec<_> =
        WRITTEN.iter().map(|(f, p, l)| ((*f).to_owned(), (*p).to_owned(), u64::from(*l))).collect();
    assert_eq!(seen, written, "{event:#}");
}

/// Whether nothing of a secret is in any byte of the home.
#[track_caller]
fn assert_absent(home: &Arc<Home>, server: Server, secret: &str) {
    let needles = Needles::new([("the secret of a source".to_owned(), secret)]);
    let mut leaks = needles.search("answers", &server.answers());
    leaks.extend(needles.search_files(&home.files()));
    let (_, printed) = server.stop();
    leaks.extend(needles.search("output", &printed));
    leaks.extend(needles.search_files(&home.files()));
    assert!(leaks.is_empty(), "{leaks:#?}");
}

#[test]
fn a_minified_stack_is_shown_as_it_was_written() {
    let home = Home::new();
    let server = home.serve_busy();
    let (build, ci) = (Build::new(), token(&server, "releases:write", Some("default")));
    build.upload(&server, &ci, &[]);
    let stored = send(&server, &event(build.lines_before(), images(&build.debug_id())));
    assert_as_written(&stored);
    assert!(stored["problems"].is_null(), "{stored:#}");
    let last = frames(&stored).last().cloned().expect("a frame");
    assert_eq!(last["context_line"], "  return item.price * item.count;");
    assert_eq!(
        last["pre_context"],
        json!(["// What is in the cart, and what it costs.", "export function priceOf(item) {"])
    );
    assert_eq!(last["post_context"][0], "}");
    assert_eq!(last["in_app"], true);
    assert_eq!(last["minified"]["function"], "a");
    assert_eq!((&last["minified"]["abs_path"], &last["minified"]["colno"]), (&json!(URL), &json!(24)));
    assert_eq!(stored["culprit"], "cart.js in priceOf", "{stored:#}");
    // The source is there but for its secret, on the same line.
    let around: String = frames(&stored).iter().map(Value::to_string).collect();
    assert!(around.contains("const apiKey = ") && around.contains("[redacted:"), "{around}");

    // A person sees the source, and the minified place on demand.
    let id = stored["ticket_id"].as_str().expect("a ticket");
    user(&home, "jo", "viewer");
    let jo = login(&server, "jo", OTHER);
    let page = jo.get(&server, &format!("/tickets/{id}")).text();
    assert!(page.contains("item.price") && page.contains("src/cart.js:3"), "{page}");
    assert!(page.contains("Show minified") && page.contains("app.min.js"), "{page}");
    assert_absent(&home, server, &build.secret);
}

#[test]
fn a_map_that_stands_in_its_script_is_as_good() {
    let home = Home::new();
    let server = home.serve_busy();
    let (build, ci) = (Build::with_map_inside(), token(&server, "releases:write", Some("default")));
    let said = build.upload(&server, &ci, &["--release", "shop@1.0.0"]);
    assert!(said.contains("embedded sourcemap"), "{said}");
    let by_id = send(&server, &event(build.lines_before(), images(&build.debug_id())));
    assert_as_written(&by_id);
    assert_eq!(frames(&by_id)[4]["context_line"], "  return item.price * item.count;");
    let by_address = send(&server, &event(build.lines_before(), json!({ "release": "shop@1.0.0" })));
    assert_as_written(&by_address);
    assert_absent(&home, server, &build.secret);
}

#[test]
fn every_way_in_shows_frames_as_they_were_written() {
    let home = Home::new();
    let server = home.serve_busy();
    let (build, ci) = (Build::new(), token(&server, "releases:write", Some("default")));
    build.cli(&server, &ci, &["sourcemaps", "inject", "dist"]).ok();
    let quarantined = |id: &str| {
        let mut event = event(build.lines_before(), images(&build.debug_id()));
        // Sources are named like scripts: what was rewritten once could be taken for minified again.
        let of_source =
            |path: &str| json!({ "type": "sourcemap", "code_file": path, "debug_id": build.debug_id() });
        let named = ["../src/cart.js", "../src/app.js", "src/cart.js", "src/app.js"].map(of_source);
        event["debug_meta"]["images"].as_array_mut().expect("images").extend(named);
        event["event_id"] = json!(id);
        event["extra"] = json!({ "log": unredactable() });
        sent(&server, &event);
    };
    // One before there is a map, one after.
    let (before, after) = ("4a".repeat(16), "4b".repeat(16));
    quarantined(&before);
    build.upload(&server, &ci, &["--release", "shop@1.0.0"]);
    quarantined(&after);
    for entry in server.list("/api/v1/quarantine") {
        server.post(
            &format!("/api/v1/quarantine/{}/release", entry["id"].as_str().expect("an id")),
            &json!({}),
        );
    }
    for id in [before, after] {
        let stored = server.get(&format!("/api/v1/events/{id}"));
        assert_as_written(&stored);
        assert!(stored["problems"].is_null(), "{stored:#}");
        assert_eq!(frames(&stored)[4]["minified"]["function"], "a", "what it was is what it was first");
    }
    // A whole event by our own API, one as text of a stack, and one of another tracker.
    let shown = |recorded: &Value| {
        server.get(&format!("/api/v1/events/{}", recorded["event_id"].as_str().expect("an id")))
    };
    let own = json!({ "event": event(build.lines_before(), images(&build.debug_id())) });
    assert_as_written(&shown(&server.post("/api/v1/events", &own)));
    let line = build.lines_before() + 1;
    let stack: String = FRAMES
        .iter()
        .rev()
        .map(|(name, column)| format!("\n    at {name} ({URL}:{line}:{column})"))
        .collect();
    let said = "Cannot read properties of null (reading 'price')";
    let text = json!({ "message": said, "stacktrace": format!("TypeError: {said}{stack}"), "release": "shop@1.0.0" });
    assert_as_written(&shown(&server.post("/api/v1/events", &text)));
    let mut foreign = event(build.lines_before(), images(&build.debug_id()));
    foreign["event_id"] = json!("4c".repeat(16));
    let file = build.folder.path().join("events.json");
    std::fs::write(&file, json!([{ "event_id": "4c".repeat(16), "data": foreign }]).to_string())
        .expect("a file");
    home.cli(&["import", "bugsink", file.to_str().expect("a path")]).ok();
    assert_as_written(&server.get(&format!("/api/v1/events/{}", "4c".repeat(16))));
    assert_absent(&home, server, &build.secret);
}

#[test]
fn a_project_has_its_room_and_the_list_tells_how_much_of_it_is_used() {
    let home = Home::with_config("[retention]\nsource_maps_bytes_max = 1000\n");
    let server = home.serve_busy();
    let (build, ci) = (Build::new(), token(&server, "releases:write", Some("default")));
    build.upload(&server, &ci, &[]);
    let usage = server.get("/api/v1/projects/default/source-maps/usage");
    let used = usage["bytes"].as_u64().expect("bytes");
    assert!((1..=1_000).contains(&used), "{usage}");
    assert_eq!((&usage["uploads"], &usage["uploads_max"]), (&json!(1), &json!(5_000)));
    assert_eq!((&usage["maps"], &usage["bytes_max"]), (&json!(1), &json!(1_000)));
    // The same for another release would be beyond.
    let other = build.cli(&server, &ci, &["sourcemaps", "upload", "--wait", "--release", "b", "dist"]);
    let said = other.stdout.clone() + &other.stderr;
    assert_ne!(other.code(), 0, "{said}");
    assert!(said.contains("retention.source_maps_bytes_max") && said.contains("sourcemaps remove"), "{said}");
    assert_eq!(
        server.get("/api/v1/projects/default/source-maps/usage"),
        usage,
        "what did not fit takes nothing"
    );
    // Parts that wait are told as well, to their project alone.
    assert_eq!(post_chunk(&server, &ci, &sha1_of(b"part"), b"part", "file").status, 200);
    let waiting = server.get("/api/v1/projects/default/source-maps/usage");
    assert_eq!((&waiting["waiting_parts"], &waiting["waiting_parts_max"]), (&json!(1), &json!(512)));
    server.post("/api/v1/projects", &json!({ "name": "other" }));
    let theirs = server.get("/api/v1/projects/other/source-maps/usage");
    assert_eq!(
        (&theirs["waiting_parts"], &theirs["bytes"], &theirs["uploads"]),
        (&json!(0), &json!(0), &json!(0))
    );
    let list = home.cli(&["sourcemaps", "list"]).ok();
    assert!(list.contains(&format!("used: 1 of 5,000 uploads, {used} of 1,000 bytes")), "{list}");
    assert!(list.contains("unfinished uploads: 1 of 512 parts, "), "{list}");
    let listed = home.cli(&["sourcemaps", "list", "--json"]).json();
    assert_eq!((&listed["usage"], &listed["items"][0]["maps"]), (&waiting, &json!(1)));
}

#[test]
fn a_second_upload_changes_nothing_and_the_list_tells_what_is_used() {
    let home = Home::new();
    let server = home.serve_busy();
    let (build, ci) = (Build::new(), token(&server, "releases:write", None));
    let said = build.upload(&server, &ci, &["--release", "shop@1.0.0"]);
    assert!(said.contains("File processing complete"), "{said}");
    let first = server.list("/api/v1/projects/default/source-maps");
    let said = build.upload(&server, &ci, &["--release", "shop@1.0.0"]);
    assert!(said.contains("all files are on the server"), "{said}");
    assert_eq!(server.list("/api/v1/projects/default/source-maps"), first);
    assert_eq!(first.len(), 1);
    assert_eq!((&first[0]["maps"], &first[0]["sources"]), (&json!(1), &json!(2)));
    assert_eq!((&first[0]["release"], &first[0]["used_at"]), (&json!("shop@1.0.0"), &Value::Null));
    assert_eq!(first[0]["debug_ids"], json!([build.debug_id()]));
    let audit = server.list("/api/v1/audit?action=source_maps.uploaded");
    assert_eq!(audit.len(), 1, "{audit:?}");

    // Without a debug id the release and the address of the script tell which map it is.
    let by_address = send(&server, &event(build.lines_before(), json!({ "release": "shop@1.0.0" })));
    assert_as_written(&by_address);
    let other = send(&server, &event(build.lines_before(), json!({ "release": "shop@2.0.0" })));
    assert_eq!(frames(&other)[4]["function"], "a", "another release");

    server.stop();
    let list = home.cli(&["sourcemaps", "list"]).ok();
    assert!(list.contains("shop@1.0.0") && list.contains(&build.debug_id()), "{list}");
    let listed = home.cli(&["sourcemaps", "list", "--json"]).json();
    assert!(listed["items"][0]["used_at"].is_string(), "{listed}");
    let number = listed["items"][0]["id"].to_string();
    home.cli(&["sourcemaps", "remove", &number]).ok();
    let gone = home.cli(&["sourcemaps", "remove", &number]);
    assert_ne!(gone.code(), 0, "{}", gone.stdout);
    assert!(home.cli(&["sourcemaps", "list"]).ok().contains("No source maps yet"));
    let server = home.serve_busy();
    let stored = send(&server, &event(build.lines_before(), images(&build.debug_id())));
    assert_eq!(frames(&stored)[4]["function"], "a", "what was removed is not used");
    assert_eq!(server.list("/api/v1/audit?action=source_maps.removed").len(), 1);
}

#[test]
fn a_missing_map_is_told_and_costs_the_event_nothing() {
    let home = Home::new();
    let server = home.serve_busy();
    let id = "11111111-2222-3333-4444-555555555555";
    let stored = send(&server, &event(0, images(id)));
    assert_eq!(frames(&stored)[4]["function"], "a");
    let problems = stored["problems"].to_string();
    assert!(problems.contains(&format!("no source map for debug id {id}: upload it with")), "{problems}");
    // Ids and places that make no sense are none.
    for odd in [json!("x"), json!(7), Value::Null, json!("0".repeat(5_000))] {
        let mut event = event(0, images(id));
        event["debug_meta"]["images"][0]["debug_id"] = odd;
        assert_eq!(frames(&send(&server, &event))[4]["function"], "a");
    }
}

#[test]
fn only_a_token_of_the_project_with_the_right_may_upload() {
    let home = Home::new();
    let server = home.serve_busy();
    server.post("/api/v1/projects", &json!({ "name": "other" }));
    let build = Build::new();
    let upload = ["sourcemaps", "upload", "--wait", "dist"];
    for (token, told) in [
        (token(&server, "releases:write", Some("other")), "project not found"),
        (token(&server, "tickets:read", Some("default")), "releases:write"),
        (token(&server, "events:write", None), "releases:write"),
        (format!("{}x", token(&server, "releases:write", None)), "a valid API token is required"),
    ] {
        build.cli(&server, &token, &["sourcemaps", "inject", "dist"]).ok();
        let done = build.cli(&server, &token, &upload);
        let said = done.stdout.clone() + &done.stderr;
        assert_ne!(done.code(), 0, "{said}");
        assert!(said.contains(told), "{told}: {said}");
    }
    assert_eq!(server.list("/api/v1/projects/default/source-maps").len(), 0);
    assert_eq!(server.list("/api/v1/projects/other/source-maps").len(), 0);
    // What an admin asks for in the dashboard of another tracker is here the same question.
    let info = build.cli(&server, &token(&server, "releases:write", None), &["info"]);
    assert!(
        (info.stdout.clone() + &info.stderr).contains("releases:write"),
        "{}{}",
        info.stdout,
        info.stderr
    );
    // Chunks of one project are not there for another.
    let (mine, theirs) =
        (token(&server, "releases:write", Some("default")), token(&server, "releases:write", Some("other")));
    let chunk = b"any bytes";
    assert_eq!(post_chunk(&server, &mine, &sha1_of(chunk), chunk, "file").status, 200);
    let ask = |token: &str, project: &str| {
        assemble(
            &server,
            token,
            &json!({ "checksum": sha1_of(chunk), "chunks": [sha1_of(chunk)], "projects": [project] }),
        )
    };
    assert_eq!(ask(&theirs, "other")["state"], "not_found");
    assert_eq!(ask(&mine, "default")["state"], "error", "it is there, and no bundle");
}

#[test]
fn the_commands_of_the_guide_work() {
    let home = Home::new();
    let build = Build::new();
    std::fs::create_dir(home.path().join("dist")).expect("a folder");
    for name in ["app.min.js", "app.min.js.map"] {
        let text = std::fs::read_to_string(build.dist().join(name)).expect("a file");
        // Lies in the home: without a secret.
        let text = text.replace(&build.secret, "x");
        std::fs::write(home.path().join("dist").join(name), text).expect("a file");
    }
    let server = home.serve_busy();
    let guide = include_str!("../../../../docs/guides/source-maps.md");
    let program = sentry_cli();
    let folder = program.parent().expect("a folder").display().to_string();
    let url = format!("http://{}", server.address);
    let ci = token(&server, "releases:write", Some("default"));
    let environment = [
        ("SENTRY_URL", url.as_str()),
        ("SENTRY_AUTH_TOKEN", &ci),
        ("SENTRY_ORG", "actifix"),
        ("SENTRY_PROJECT", "default"),
    ];
    for (name, _) in environment {
        assert!(guide.contains(&format!("{name}=")), "{name}");
    }
    let run = crate::guide::run_page(&server, guide, &folder, &environment);
    assert_eq!(run, 5);
    crate::guide::check_inline(&home, guide);
    assert_eq!(server.list("/api/v1/projects/default/source-maps").len(), 2);
}

fn sha1_of(bytes: &[u8]) -> String {
    use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
    hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes))
}

fn post_chunk(server: &Server, token: &str, name: &str, bytes: &[u8], field: &str) -> crate::http::Answer {
    let mut body =
        format!("--b0\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\r\n")
            .into_bytes();
    body.extend_from_slice(bytes);
    body.extend_from_slice(b"\r\n--b0--\r\n");
    let request = Request::post("/api/0/organizations/any/chunk-upload/", body)
        .header("Authorization", &format!("Bearer {token}"))
        .header("Content-Type", "multipart/form-data; boundary=b0");
    server.send(&request)
}

#[track_caller]
fn assemble(server: &Server, token: &str, body: &Value) -> Value {
    let request = Request::post("/api/0/organizations/any/artifactbundle/assemble/", body.to_string())
        .header("Authorization", &format!("Bearer {token}"))
        .header("Content-Type", "application/json");
    let answer = server.send(&request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// A real SDK in a real runtime: it finds the debug id itself.
#[test]
fn heavy_the_sdk_of_node_names_its_maps() {
    let home = Home::new();
    let server = home.serve_busy();
    let build = Build::new();
    build.upload(&server, &token(&server, "releases:write", None), &[]);
    let program = build.folder.path().join("main.js");
    std::fs::write(
        &program,
        "const Sentry = require('@sentry/node');\nSentry.init({ dsn: process.env.SENTRY_DSN });\n\
         try { require('./dist/app.min.js'); } catch (error) { Sentry.captureException(error); }\n\
         Sentry.flush(10000).then((done) => process.exit(done ? 0 : 1));\n",
    )
    .expect("a program");
    let modules = place("ACTIFIX_TEST_NODE_MODULES", "node/node_modules");
    link(&modules, &build.folder.path().join("node_modules"));
    let mut command = Command::new("node");
    command.arg(&program).env("SENTRY_DSN", home.cli(&["dsn"]).ok().trim());
    let done = finish(command, b"");
    assert_eq!(done.code(), 0, "{}{}", done.stdout, done.stderr);
    let tickets = server.list("/api/v1/tickets");
    let events =
        server.list(&format!("/api/v1/tickets/{}/events", tickets[0]["id"].as_str().expect("an id")));
    let stored = server.get(&format!("/api/v1/events/{}", events[0]["event_id"].as_str().expect("an id")));
    let all = frames(&stored);
    let last = all.last().expect("a frame");
    assert_eq!(
        (&last["function"], &last["filename"]),
        (&json!("priceOf"), &json!("src/cart.js")),
        "{stored:#}"
    );
    assert_eq!(last["context_line"], "  return item.price * item.count;");
    assert!(all.iter().any(|frame| frame["minified"].is_null()), "frames of the runtime have no map");
    assert_absent(&home, server, &build.secret);
}

fn link(from: &Path, to: &Path) {
    std::os::unix::fs::symlink(std::fs::canonicalize(from).expect("a folder"), to).expect("a link");
}
