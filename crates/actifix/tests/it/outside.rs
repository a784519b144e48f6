//! A server that others can reach, with somebody who is elsewhere: a network namespace with an interface of its own
//! (`security.md`: "Set admin password before production", "API binds 127.0.0.1", "HTTPS always").

use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::json;

use crate::harness::{Finished, Home, KEY_42, Server, finish};
use crate::tls::{Authority, LATER, write_private};

const PASSWORD: &str = "violet tractor hums quietly";

/// Somebody elsewhere: a namespace, and the link to it.
struct Elsewhere {
    namespace: String,
    /// Address of this machine on the link, and theirs.
    ours: String,
    theirs: String,
}

impl Elsewhere {
    fn new(place: u8) -> Self {
        let pid = std::process::id();
        let namespace = format!("afx-{pid}-{place}");
        let (near, far) = (format!("afxn{}", pid % 1_000_000), format!("afxf{}", pid % 1_000_000));
        let subnet = format!("10.231.{}", (pid as u8).wrapping_add(place));
        let elsewhere = Self { namespace, ours: format!("{subnet}.1"), theirs: format!("{subnet}.2") };
        let name = elsewhere.namespace.as_str();
        ip(&["netns", "add", name]);
        ip(&["link", "add", &near, "type", "veth", "peer", "name", &far, "netns", name]);
        ip(&["address", "add", &format!("{}/24", elsewhere.ours), "dev", &near]);
        ip(&["link", "set", &near, "up"]);
        ip(&["-n", name, "address", "add", &format!("{}/24", elsewhere.theirs), "dev", &far]);
        ip(&["-n", name, "link", "set", &far, "up"]);
        elsewhere
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, program]).stdin(Stdio::null());
        command
    }

    /// Our own command line, over there.
    fn actifix(&self, url: &str, token: &str, ca: &str, arguments: &[&str]) -> Finished {
        let mut command = self.command(env!("CARGO_BIN_EXE_actifix"));
        let elsewhere = tempfile::tempdir().expect("a directory");
        command.args(arguments).current_dir(elsewhere.path()).env("NO_COLOR", "1");
        command.env("ACTIFIX_URL", url).env("ACTIFIX_TOKEN", token).env("ACTIFIX_OUTBOUND__EXTRA_CA", ca);
        finish(command, b"")
    }

    /// Sends bytes from over there and gives all that came back; none where nobody listens.
    fn send(&self, host: &str, port: u16, bytes: &str) -> Option<String> {
        let script = "exec 3<>\"/dev/tcp/$0/$1\" || exit 7; cat >&3; cat <&3";
        let mut command = self.command("bash");
        command.args(["-c", script, host, &port.to_string()]);
        let done = finish(command, bytes.as_bytes());
        (done.code() != 7).then_some(done.stdout)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // The link goes with it.
        let _gone = Command::new("ip").args(["netns", "del", &self.namespace]).status();
    }
}

#[track_caller]
fn ip(arguments: &[&str]) {
    let mut command = Command::new("ip");
    command.args(arguments);
    let done = finish(command, b"");
    assert_eq!(
        done.code(),
        0,
        "ip {}: {} (this test needs iproute2 and the right to make network namespaces)",
        arguments.join(" "),
        done.stderr
    );
}

fn configure(home: &Home, text: &str) {
    std::fs::write(home.path().join("actifix.toml"), text).expect("a configuration");
}

#[track_caller]
fn is_refused(home: &Home, needle: &str) {
    let refused = home.cli(&["serve"]);
    assert_eq!(refused.code(), 78, "{}", refused.stderr);
    let lines: Vec<&str> = refused.stderr.lines().filter(|line| line.starts_with("error:")).collect();
    assert!(lines.len() == 1 && lines[0].contains(needle), "{}", refused.stderr);
}

fn set_password(home: &Home) {
    home.cli_stdin(&["admin", "set-password", "--stdin"], PASSWORD.as_bytes()).ok();
}

fn get(path: &str, host: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n")
}

#[test]
fn a_server_on_the_network_is_refused_until_it_is_safe_and_then_speaks_tls() {
    let elsewhere = Elsewhere::new(1);
    let ours = elsewhere.ours.as_str();
    let home = Home::new();
    let bind = format!("[listeners.main]\nbind = \"{ours}:0\"\n");
    let tls = format!("{bind}tls = {{ cert = \"cert.pem\", key = \"key.pem\" }}\n");
    configure(&home, &bind);
    is_refused(&home, "is not a loopback address");
    let authority = Authority::new();
    let (cert, key) = authority.issue(&[ours], LATER);
    write_private(&home.path().join("cert.pem"), &cert);
    write_private(&home.path().join("key.pem"), &key);
    configure(&home, &tls);
    is_refused(&home, "no admin password is set");
    set_password(&home);
    configure(&home, &bind);
    is_refused(&home, "is not a loopback address");
    configure(&home, &tls);
    let server = Server::start(Arc::clone(&home), &[]);
    assert_eq!(server.address.ip().to_string(), ours);
    // Somebody elsewhere, with the real client.
    let token = home.cli(&["token", "create", "--name", "t", "--role", "viewer", "--json"]).json();
    let token = token["token"].as_str().expect("a token");
    let ca = home.path().join("ca.pem");
    std::fs::write(&ca, &authority.pem).expect("a file");
    let ca = ca.to_str().expect("a path");
    let port = server.address.port();
    let listed =
        elsewhere.actifix(&format!("https://{ours}:{port}"), token, ca, &["project", "list", "--json"]);
    assert_eq!(listed.json()["items"][0]["name"], "default");
    let refused = elsewhere.actifix(&format!("http://{ours}:{port}"), token, ca, &["project", "list"]);
    assert!(refused.code() == 2 && refused.stderr.contains("never sent in clear"), "{}", refused.stderr);
    let plain = elsewhere.send(ours, port, &get("/healthz", ours, "")).expect("somebody listens");
    assert!(!plain.contains("HTTP/1.1 200"), "plain HTTP gets nothing: {plain}");
    // It listens there and nowhere else.
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn ingest_can_be_public_while_the_rest_stays_private() {
    let elsewhere = Elsewhere::new(2);
    let (ours, theirs) = (elsewhere.ours.as_str(), elsewhere.theirs.as_str());
    let home = Home::new();
    home.import_projects();
    set_password(&home);
    configure(
        &home,
        &format!(
            "[listeners.public]\nbind = \"{ours}:0\"\nmodules = [\"ingest\"]\n\n\
             [listeners.private]\nbind = \"127.0.0.1:0\"\nmodules = [\"api\", \"dashboard\", \"metrics\", \"mcp\"]\n\n\
             [server]\ntrusted_proxies = [\"{theirs}\"]\npublic_url = \"https://errors.example.net\"\n"
        ),
    );
    let server = Server::start(Arc::clone(&home), &[]);
    let printed = String::from_utf8_lossy(&server.printed()).into_owned();
    let private: u16 = printed
        .split("listening on http://127.0.0.1:")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|port| port.parse().ok())
        .expect("the private listener");
    let public = server.address.port();
    assert_eq!(server.address.ip().to_string(), ours);
    let far = |port, text: &str| elsewhere.send(ours, port, text);
    let body = json!({ "message": "from elsewhere" }).to_string();
    let event = |proto: &str| {
        format!(
            "POST /api/42/store/?sentry_key={KEY_42} HTTP/1.1\r\nHost: errors.example.net\r\nConnection: close\r\n\
             X-Forwarded-Proto: {proto}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let taken = far(public, &event("https")).expect("the public listener");
    assert!(taken.starts_with("HTTP/1.1 200"), "{taken}");
    let clear = far(public, &event("http")).expect("the public listener");
    assert!(clear.starts_with("HTTP/1.1 403"), "what came to the proxy in clear: {clear}");
    for path in ["/api/v1/projects", "/api/openapi.json", "/metrics", "/", "/mcp", "/api/v1/auth/login"] {
        let text = far(public, &get(path, "errors.example.net", "X-Forwarded-Proto: https\r\n"))
            .expect("the listener");
        assert!(text.starts_with("HTTP/1.1 404"), "{path}: {text}");
    }
    // The private listener is not there for them: neither by our address nor by theirs.
    assert_eq!(far(private, &get("/healthz", ours, "")), None);
    assert_eq!(elsewhere.send("127.0.0.1", private, &get("/healthz", ours, "")), None);
    let near = crate::http::exchange(
        std::net::SocketAddr::from(([127, 0, 0, 1], private)),
        get("/api/v1/projects", "127.0.0.1", "").as_bytes(),
    );
    assert_eq!(near.expect("the private listener").status, 401);
    let tickets = home.cli(&["ticket", "list", "--project", "42", "--json"]).json();
    assert_eq!(tickets["items"].as_array().map(Vec::len), Some(1), "{tickets}");
}
