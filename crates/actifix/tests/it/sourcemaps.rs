//! Source maps, uploaded with the real `sentry-cli`: frames of a minified script are shown as they were written, and what
//! a build gives away with its sources is in no byte of the home.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

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

/// Sends an event as an SDK does; how it is stored.
#[track_caller]
fn send(server: &Server, event: &Value) -> Value {
    let keys = server.get("/api/v1/projects/default/keys");
    let key = keys["items"][0]["public_key"].as_str().expect("a key").to_owned();
    let answer = server.send(&Request::post(&format!("/api/1/store/?sentry_key={key}"), event.to_string()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    server.get(&format!("/api/v1/events/{id}"))
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
fn every_operation_of_build_tools_is_closed_to_every_credential_without_its_scope() {
    let home = Home::new();
    let server = home.serve_busy();
    let reference = home.cli(&["reference", "api"]).ok();
    let operations: Vec<(String, String, String)> = reference
        .lines()
        .filter_map(|line| {
            let (operation, rest) = line.strip_prefix("| `")?.split_once('`')?;
            let (method, path) = operation.split_once(' ')?;
            let scope = rest.rsplit('`').nth(1)?;
            path.starts_with("/api/0/")
                .then(|| (method.to_owned(), path.replace("{org}", "any"), scope.to_owned()))
        })
        .collect();
    assert!(operations.len() >= 4, "{operations:?}");
    let key = server.get("/api/v1/projects/default/keys")["items"][0]["public_key"].clone();
    let key = key.as_str().expect("a key").to_owned();
    let of_role = |role: &str| {
        let made = server.mint(&json!({ "name": role, "role": role }));
        made["token"].as_str().expect("a token").to_owned()
    };
    let good = token(&server, "releases:write", None);
    let with = |method: &str, path: &str, token: &str| {
        let request = Request::new(method, path).header("Authorization", &format!("Bearer {token}"));
        let request = if method == "GET" {
            request
        } else {
            request.header("Content-Type", "application/json").body("{}")
        };
        server.send(&request)
    };
    for (method, path, scope) in &operations {
        let what = format!("{method} {path}");
        for (how, request) in [
            ("nothing", Request::new(method, path)),
            ("an ingest key", Request::new(method, path).header("Authorization", &format!("Bearer {key}"))),
            ("a token in the query", Request::new(method, &format!("{path}?token={good}"))),
            ("a token in a cookie", Request::new(method, path).header("Cookie", &format!("actifix={good}"))),
        ] {
            let answer = server.send(&request);
            assert_eq!(answer.status, 401, "{what} with {how}: {}", answer.text());
            assert!(answer.json()["detail"].is_string(), "{what} with {how}");
        }
        for (role, allowed) in [("viewer", false), ("agent", false), ("operator", true), ("admin", true)] {
            let status = with(method, path, &of_role(role)).status;
            if allowed || scope == "any" {
                assert!(status != 401 && status != 403, "{what} as {role}: {status}");
            } else {
                assert_eq!(status, 403, "{what} as {role}");
            }
        }
        let status = with(method, path, &good).status;
        assert!(status != 401 && status != 403, "{what}: {status}");
    }
    let other = with("GET", "/api/0/organizations/any/nothing/", &good);
    assert_eq!(other.status, 404, "{}", other.text());
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

/// A zip archive of stored files.
fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).expect("a file");
        zip.write_all(content).expect("content");
    }
    zip.finish().expect("an archive").into_inner()
}

/// Sends a bundle in chunks; the state that it comes to.
#[track_caller]
fn bundle(server: &Server, token: &str, bytes: &[u8], further: &Value) -> Value {
    let mut names = Vec::new();
    for chunk in bytes.chunks(1 << 20) {
        let answer = post_chunk(server, token, &sha1_of(chunk), chunk, "file");
        assert_eq!(answer.status, 200, "{}", answer.text());
        names.push(sha1_of(chunk));
    }
    let mut body = json!({ "checksum": sha1_of(bytes), "chunks": names, "projects": ["default"] });
    for (name, value) in further.as_object().expect("members") {
        body[name] = value.clone();
    }
    assemble(server, token, &body)
}

fn manifest(files: &Value) -> Vec<u8> {
    json!({ "files": files }).to_string().into_bytes()
}

#[test]
fn hostile_chunks_and_bundles_are_refused_with_a_reason() {
    let home = Home::new();
    let server = home.serve_busy();
    let ci = token(&server, "releases:write", Some("default"));
    let refused = |answer: crate::http::Answer, status: u16, told: &str| {
        assert_eq!(answer.status, status, "{}", answer.text());
        let detail = answer.json();
        assert_eq!(detail.as_object().expect("an object").len(), 1, "{detail}");
        assert!(detail["detail"].as_str().expect("a detail").contains(told), "{told}: {detail}");
    };
    let gzip = |bytes: &[u8]| {
        use std::io::Write;
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        out.write_all(bytes).expect("bytes");
        out.finish().expect("a stream")
    };
    let bomb = gzip(&vec![0; 200 << 20]);
    refused(post_chunk(&server, &ci, &sha1_of(b""), &bomb, "file_gzip"), 422, "more than 1048576 bytes");
    refused(
        post_chunk(&server, &ci, &sha1_of(b"x"), &vec![7; (1 << 20) + 1], "file"),
        422,
        "more than 1048576 bytes",
    );
    refused(post_chunk(&server, &ci, &sha1_of(b"x"), b"y", "file"), 422, "is not the SHA-1");
    refused(post_chunk(&server, &ci, "../../etc/passwd", b"y", "file"), 422, "is not the SHA-1");
    refused(post_chunk(&server, &ci, &sha1_of(b"x"), b"no gzip", "file_gzip"), 422, "gzip");
    refused(post_chunk(&server, &ci, &sha1_of(b"x"), &vec![7; 10 << 20], "file"), 413, "more than");
    assert!(server.peak_kib() < 400 << 10, "{} KiB", server.peak_kib());

    let script = json!({ "a.js": { "type": "minified_source", "url": "~/a.js", "headers": { "sourcemap": "a.js.map" } },
        "a.js.map": { "type": "source_map", "url": "~/a.js.map" } });
    let spaces = vec![b' '; 60 << 20];
    let huge = format!(r#"{{"version":3,"sources":["a"],"mappings":"{}"}}"#, "A,".repeat(3_000_000));
    let map = |content: &[u8]| {
        zip(&[("manifest.json", &manifest(&script)), ("a.js", b"a()"), ("a.js.map", content)])
    };
    let release = json!({ "version": "r1" });
    for (bytes, further, told) in [
        (b"no archive".to_vec(), json!({}), "not a zip archive"),
        (zip(&[("a.js", b"a()")]), json!({}), "no manifest.json"),
        (zip(&[("manifest.json", &manifest(&json!({})))]), json!({}), "holds no source map"),
        (
            zip(&[("manifest.json", &manifest(&json!({ "../../../etc/passwd": { "type": "source_map" } })))]),
            json!({}),
            "outside of the bundle",
        ),
        (map(b"{\"version\":3,\"sources\":[],\"mappings\":\"\"}"), json!({}), "no release"),
        (map(b"<html>"), release.clone(), "cannot be read"),
        (map(&spaces), release.clone(), "unpacks to more than"),
        (map(huge.as_bytes()), release.clone(), "more than 1000000 places"),
    ] {
        let state = bundle(&server, &ci, &bytes, &further);
        assert_eq!(state["state"], "error", "{told}: {state}");
        assert!(state["detail"].as_str().expect("a detail").contains(told), "{told}: {state}");
    }
    assert!(server.peak_kib() < 600 << 10, "{} KiB", server.peak_kib());
    // The whole is not what its parts make.
    let body =
        json!({ "checksum": sha1_of(b"other"), "chunks": [sha1_of(b"part")], "projects": ["default"] });
    assert_eq!(post_chunk(&server, &ci, &sha1_of(b"part"), b"part", "file").status, 200);
    let state = assemble(&server, &ci, &body);
    assert!(state["detail"].as_str().expect("a detail").contains("checksum of the whole"), "{state}");
    assert_eq!(server.list("/api/v1/projects/default/source-maps").len(), 0);
}

#[test]
fn uploads_that_are_never_finished_are_bounded_and_sealed() {
    let home = Home::new();
    let server = home.serve_busy();
    let (mine, wide) =
        (token(&server, "releases:write", Some("default")), token(&server, "releases:write", None));
    let secret = secret();
    let mut refused = None;
    for number in 0..1_000 {
        let chunk = format!("const key{number} = \"{secret}\";");
        let answer = post_chunk(&server, &mine, &sha1_of(chunk.as_bytes()), chunk.as_bytes(), "file");
        if answer.status != 200 {
            refused = Some((number, answer));
            break;
        }
    }
    let (number, answer) = refused.expect("a bound");
    assert_eq!((number, answer.status), (512, 409), "{}", answer.text());
    assert!(
        answer.json()["detail"].as_str().expect("a detail").contains("finish those uploads"),
        "{}",
        answer.text()
    );
    // Whoever fills their own room does not take that of others.
    let build = Build::new();
    build.upload(&server, &wide, &[]);
    assert_eq!(server.list("/api/v1/projects/default/source-maps").len(), 1);
    assert_absent(&home, server, &secret);
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
