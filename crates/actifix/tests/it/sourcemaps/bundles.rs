//! Bundles that are put together by hand: those that no build would make, and those of builds that are not at hand.

use serde_json::{Value, json};

use super::{Build, MAP, SCRIPT, assemble, assert_absent, frames, post_chunk, secret, send, sha1_of, token};
use crate::harness::{Home, Server};
use crate::http::Request;

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

/// Debug id of the script of a number.
fn numbered(number: u8) -> String {
    format!("{number:08x}-0000-4000-8000-000000000000")
}

#[test]
fn what_an_event_may_not_use_any_more_is_told_for_what_it_is() {
    let home = Home::new();
    let server = home.serve_busy();
    let ci = token(&server, "releases:write", Some("default"));
    let numbers: Vec<u8> = (0..22).collect();
    let mut files = json!({});
    for number in &numbers {
        let headers = json!({ "debug-id": numbered(*number), "sourcemap": format!("s{number}.js.map") });
        files[format!("s{number}.js")] =
            json!({ "type": "minified_source", "url": format!("~/s{number}.js"), "headers": headers });
        files[format!("s{number}.js.map")] =
            json!({ "type": "source_map", "url": format!("~/s{number}.js.map"), "headers": headers });
    }
    let (manifest, script, map) =
        (manifest(&files), SCRIPT.replace("@SECRET@", "x"), MAP.replace("@SECRET@", "x"));
    let names: Vec<(String, &[u8])> = (numbers.iter())
        .flat_map(|number| {
            [(format!("s{number}.js"), script.as_bytes()), (format!("s{number}.js.map"), map.as_bytes())]
        })
        .collect();
    let mut all: Vec<(&str, &[u8])> = vec![("manifest.json", &manifest)];
    all.extend(names.iter().map(|(name, content)| (name.as_str(), *content)));
    let state = bundle(&server, &ci, &zip(&all), &json!({}));
    assert_eq!(state["state"], "ok", "{state}");
    // Each frame in a script of its own; the two outermost are beyond what one request may use, one has no map.
    let url = |number: u8| format!("https://shop.example.net/s{number}.js");
    let frames_of = |numbers: &[u8]| -> Value {
        let frame =
            |number: &u8| json!({ "function": "a", "abs_path": url(*number), "lineno": 1, "colno": 24 });
        let image = |number: &u8| json!({ "type": "sourcemap", "code_file": url(*number), "debug_id": numbered(*number) });
        json!({
            "platform": "javascript",
            "exception": { "values": [{ "type": "E", "value": "v", "stacktrace": {
                "frames": numbers.iter().map(frame).collect::<Vec<_>>() } }] },
            "debug_meta": { "images": numbers.iter().map(image).collect::<Vec<_>>() },
        })
    };
    let stored = send(&server, &frames_of(&[&numbers[..21], &[200]].concat()));
    let is_written: Vec<bool> = frames(&stored).iter().map(|frame| frame["function"] == "priceOf").collect();
    assert_eq!(is_written, [vec![false; 2], vec![true; 19], vec![false]].concat(), "{stored:#}");
    let problems = stored["problems"].as_array().expect("problems");
    let told = |number: u8, words: &str| {
        let told = |problem: &&Value| problem.as_str().is_some_and(|text| text.contains(&numbered(number)));
        let found: Vec<&Value> = problems.iter().filter(told).collect();
        assert_eq!(found.len(), 1, "{problems:?}");
        assert!(found[0].as_str().expect("text").contains(words), "{words}: {problems:?}");
    };
    told(0, "stays minified: the events of one request may use the maps of 20 scripts");
    told(1, "stays minified: the events of one request may use the maps of 20 scripts");
    told(200, "no source map for debug id");
    assert_eq!(problems.len(), 3, "{problems:?}");
    // Many frames of few scripts: those nearest to the failure.
    let mut long = frames_of(&[7; 600]);
    long["debug_meta"]["images"] = json!([long["debug_meta"]["images"][0]]);
    let problems = send(&server, &long)["problems"].to_string();
    assert!(problems.contains("only the 500 frames nearest to the failure"), "{problems}");
}

#[test]
fn the_functions_of_react_native_are_named_by_their_map() {
    let home = Home::new();
    let server = home.serve_busy();
    let ci = token(&server, "releases:write", Some("default"));
    let (script, id) = ("app:///main.jsbundle", numbered(9));
    let headers = json!({ "debug-id": id, "sourcemap": "main.jsbundle.map" });
    // `sentry-cli` takes the bytecode out and leaves an empty script. The second scope begins in the second line.
    let map = json!({
        "version": 3, "sources": ["src/App.js"], "sourcesContent": [format!("a\nb\nconst k = '{}';\n", secret())],
        "names": [], "mappings": "AAAA,IACA,IACA",
        "x_facebook_sources": [[{ "names": ["<global>", "App#render"], "mappings": "AAA;ACC" }]],
    });
    let files = json!({
        "main.jsbundle": { "type": "minified_source", "url": script, "headers": headers },
        "main.jsbundle.map": { "type": "source_map", "url": format!("{script}.map"), "headers": headers },
    });
    let (manifest, map) = (manifest(&files), map.to_string());
    let bytes =
        zip(&[("manifest.json", &manifest), ("main.jsbundle", b""), ("main.jsbundle.map", map.as_bytes())]);
    let state = bundle(&server, &ci, &bytes, &json!({}));
    assert_eq!(state["state"], "ok", "{state}");
    let frame =
        |column: u32| json!({ "function": "?anon", "abs_path": script, "lineno": 1, "colno": column });
    let stored = send(
        &server,
        &json!({
            "platform": "javascript",
            "exception": { "values": [{ "type": "E", "value": "v",
                "stacktrace": { "frames": [frame(2), frame(10)] } }] },
            "debug_meta": { "images": [{ "type": "sourcemap", "code_file": script, "debug_id": id }] },
        }),
    );
    let seen: Vec<_> = frames(&stored)
        .iter()
        .map(|frame| (frame["function"].clone(), frame["filename"].clone(), frame["lineno"].clone()))
        .collect();
    let written = |name: &str, line: u32| (json!(name), json!("src/App.js"), json!(line));
    assert_eq!(seen, [written("<global>", 1), written("App#render", 3)], "{stored:#}");
    assert_eq!(frames(&stored)[1]["minified"]["function"], "?anon");
    assert_absent(&home, server, &secret());
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

/// Resident size that no upload of a few KiB may bring a server to, KiB.
const PEAK_KIB_MAX: u64 = 256 * 1024;

#[test]
fn a_map_that_only_claims_much_takes_no_memory() {
    let home = Home::new();
    let server = home.serve_busy();
    let ci = token(&server, "releases:write", Some("default"));
    for member in ["names", "unknown"] {
        let many = "0,".repeat(12 << 20);
        let map = format!(r#"{{"version":3,"sources":["a"],"mappings":"AAAA","{member}":[{many}0]}}"#);
        let headers = json!({ "debug-id": numbered(1) });
        let files = json!({ "a.js.map": { "type": "source_map", "url": "~/a.js.map", "headers": headers } });
        let bytes = zip(&[("manifest.json", &manifest(&files)), ("a.js.map", map.as_bytes())]);
        drop(map);
        let state = bundle(&server, &ci, &bytes, &json!({}));
        assert_eq!(state["state"], "error", "{state}");
        assert!(state["detail"].as_str().is_some_and(|why| why.contains("values in all")), "{state}");
        let peak = server.peak_kib();
        assert!(peak < PEAK_KIB_MAX, "{member}: {} MiB", peak / 1024);
    }
}

/// A bundle of one map that any script with the debug id of a number has.
fn one_map(number: u8) -> Vec<u8> {
    let headers = json!({ "debug-id": numbered(number), "sourcemap": "s.js.map" });
    let files = json!({
        "s.js": { "type": "minified_source", "url": "~/s.js", "headers": headers },
        "s.js.map": { "type": "source_map", "url": "~/s.js.map", "headers": headers },
    });
    let (script, map) = (SCRIPT.replace("@SECRET@", "x"), MAP.replace("@SECRET@", "x"));
    zip(&[("manifest.json", &manifest(&files)), ("s.js", script.as_bytes()), ("s.js.map", map.as_bytes())])
}

#[test]
fn many_events_of_one_request_share_what_one_request_may_use() {
    let home = Home::new();
    let server = home.serve_busy();
    let ci = token(&server, "releases:write", Some("default"));
    assert_eq!(bundle(&server, &ci, &one_map(7), &json!({}))["state"], "ok");
    let url = "https://shop.example.net/s.js";
    let frame = json!({ "function": "a", "abs_path": url, "lineno": 1, "colno": 24 });
    let event = json!({
        "platform": "javascript",
        "exception": { "values": [{ "type": "E", "value": "v", "stacktrace": { "frames": vec![frame; 500] } }] },
        "debug_meta": { "images": [{ "type": "sourcemap", "code_file": url, "debug_id": numbered(7) }] },
    });
    let mut envelope = "{}\n".to_owned();
    for number in 0..12 {
        let mut event = event.clone();
        event["event_id"] = json!(format!("{number:032x}"));
        let event = event.to_string();
        envelope += &format!("{{\"type\":\"event\",\"length\":{}}}\n{event}\n", event.len());
    }
    let keys = server.get("/api/v1/projects/default/keys");
    let key = keys["items"][0]["public_key"].as_str().expect("a key").to_owned();
    let answer = server.send(&Request::post(&format!("/api/1/envelope/?sentry_key={key}"), envelope));
    assert_eq!(answer.status, 200, "{}", answer.text());
    // All are kept; the last ones stay as they were sent, and say why.
    for number in 0..12 {
        let stored = server.get(&format!("/api/v1/events/{number:032x}"));
        let is_written = frames(&stored).iter().all(|frame| frame["function"] == "priceOf");
        assert_eq!(is_written, number < 10, "event {number}");
        let problems = stored["problems"].to_string();
        assert_eq!(
            problems.contains("5000 of all events of a request"),
            number >= 10,
            "{number}: {problems}"
        );
    }
}

#[test]
fn the_same_upload_from_several_sides_is_one() {
    let home = Home::new();
    let server = home.serve_busy();
    let ci = token(&server, "releases:write", Some("default"));
    let bytes = one_map(8);
    let answer = post_chunk(&server, &ci, &sha1_of(&bytes), &bytes, "file");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = json!({ "checksum": sha1_of(&bytes), "chunks": [sha1_of(&bytes)], "projects": ["default"] });
    let states: Vec<Value> = std::thread::scope(|scope| {
        let asks: Vec<_> = (0..8).map(|_| scope.spawn(|| assemble(&server, &ci, &body))).collect();
        asks.into_iter().map(|ask| ask.join().expect("an answer")).collect()
    });
    for state in states {
        assert_eq!(state["state"], "ok", "{state}");
    }
    let list = server.get("/api/v1/projects/default/source-maps");
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
}

#[test]
fn a_distribution_is_no_place_for_what_the_project_takes_out() {
    let home = Home::new();
    let server = home.serve_busy();
    let ci = token(&server, "releases:write", Some("default"));
    let changed = server.call(
        "PATCH",
        "/api/v1/projects/default",
        Some(&json!({ "settings": { "sensitive_keys": ["shopkey"] } })),
    );
    assert_eq!(changed.status, 200, "{}", changed.text());
    let bytes = one_map(8);
    let dist = format!("shopkey={}", "Xq7LpW2mZ9");
    let body = json!({
        "checksum": sha1_of(&bytes), "chunks": [sha1_of(&bytes)], "projects": ["default"], "dist": dist,
    });
    let request = Request::post("/api/0/organizations/any/artifactbundle/assemble/", body.to_string())
        .header("Authorization", &format!("Bearer {ci}"))
        .header("Content-Type", "application/json");
    let answer = server.send(&request);
    assert!(answer.status == 422 || answer.status == 400, "{} {}", answer.status, answer.text());
    assert!(!answer.text().contains("Xq7LpW2mZ9"), "{}", answer.text());
}
