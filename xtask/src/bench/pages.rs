//! What people wait for in a filled home: the list, a search and a ticket as pages, and how much HTML they are.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Setting;
use super::client::Client;
use super::ingest::percent;
use super::lists::{self, Filled, P99_MS};
use super::load;
use super::report::{Figure, Report};
use super::server::Server;

/// Requests of one page.
const ASKED: usize = 400;
/// Longest time for one page.
const WINDOW: Duration = Duration::from_secs(10);
/// Target of every page, kilobytes of HTML.
const PAGE_KB: f64 = 60.0;
/// Of an installation that lives for some seconds on loopback.
const PASSWORD: &str = "four wet boots by the door";

pub fn run(setting: &Setting, filled: &Filled, report: &mut Report) -> Result<()> {
    println!("pages");
    set_password(setting, filled)?;
    let server = Server::actifix(&setting.binary, &filled.home)?;
    let cookie = sign_in(&server)?;
    let first = lists::page(&server, &filled.token, "/api/v1/tickets")?;
    let items = first.get("items").and_then(Value::as_array).context("the ticket list has no items")?;
    let tickets: Vec<String> = items
        .iter()
        .filter_map(|item| item.get("id").and_then(Value::as_str))
        .map(|id| format!("/tickets/{id}"))
        .collect();
    let search = |text: &str| vec![format!("/tickets?q={}", percent(text))];
    let group = format!("pages, {} tickets", setting.scale.tickets());
    for (name, paths) in [
        ("overview", vec!["/".to_owned()]),
        ("list", vec!["/tickets".to_owned()]),
        ("search, priority", search("is:unresolved priority:P2")),
        ("search, common word", search("declined")),
        ("ticket", tickets),
    ] {
        let requests: Vec<Vec<u8>> = paths.iter().map(|path| get(path, &cookie)).collect();
        let mut turn = requests.iter().cycle();
        let window = load::sequential(server.address, WINDOW, ASKED, |out| {
            if let Some(request) = turn.next() {
                out.extend_from_slice(request);
            }
        })?;
        window.require(200, name)?;
        report.add(Figure::new(group.as_str(), format!("{name}, p50"), window.latency_ms(0.5), "ms"));
        report.add(
            Figure::new(group.as_str(), format!("{name}, p99"), window.latency_ms(0.99), "ms")
                .at_most(P99_MS),
        );
        report.add(
            Figure::new(group.as_str(), format!("{name}, HTML"), window.body_bytes_max as f64 / 1e3, "KB")
                .at_most(PAGE_KB),
        );
    }
    server.stop()
}

fn set_password(setting: &Setting, filled: &Filled) -> Result<()> {
    let mut child = Command::new(&setting.binary)
        .arg("--home")
        .arg(&filled.home)
        .args(["admin", "set-password", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start the binary")?;
    child.stdin.take().context("a pipe")?.write_all(PASSWORD.as_bytes())?;
    let status = child.wait()?;
    if !status.success() {
        bail!("`actifix admin set-password` ended with {status}");
    }
    Ok(())
}

/// The cookie of a session.
fn sign_in(server: &Server) -> Result<String> {
    let body = format!("username=admin&password={}", percent(PASSWORD));
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = Client::new(server.address)?;
    let answer = client.send(request.as_bytes())?;
    if answer.status != 303 {
        bail!("the login answered {}", answer.status);
    }
    let cookie = answer.head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let pair = value.trim().split(';').next()?;
        (name.eq_ignore_ascii_case("set-cookie") && pair.starts_with("actifix=")).then(|| pair.to_owned())
    });
    cookie.context("the login set no cookie")
}

fn get(path: &str, cookie: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/html\r\nCookie: {cookie}\r\n\r\n")
        .into_bytes()
}
