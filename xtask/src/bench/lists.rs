//! What readers wait for in a filled home, and whether ingest slows down as it fills.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Setting;
use super::client::{Client, get};
use super::ingest::{self, Traffic, percent};
use super::load;
use super::report::{Figure, Report};
use super::server::{Server, disk_bytes};
use crate::process;

/// Requests of one question.
const ASKED: usize = 400;
/// Longest time for one question.
const WINDOW: Duration = Duration::from_secs(10);
/// Target of every question, milliseconds.
pub const P99_MS: f64 = 20.0;
/// Which page of the list is reached by following cursors.
const DEEP_PAGE: usize = 10;

/// A home with many tickets.
#[derive(Debug)]
pub struct Filled {
    pub home: PathBuf,
    /// An administrator's.
    pub token: String,
}

impl Filled {
    /// Fills a home, or takes the one that an earlier run kept.
    pub fn get(setting: &Setting, report: &mut Report) -> Result<Self> {
        let name = format!("filled-{}", setting.scale.word());
        let home = setting.scratch.join(&name);
        let (token_file, fill_file) = (home.join("bench-token"), home.join("bench-fill.json"));
        if setting.keep && fill_file.is_file() {
            println!("using the filled home of an earlier run");
        } else {
            setting.fresh(&name)?;
            // The server makes its keys, its project and a token; then the store is filled without it.
            let server = Server::actifix(&setting.binary, &home)?;
            let token = Server::token(&setting.binary, &home)?;
            server.stop()?;
            std::fs::write(&token_file, &token).context("cannot write the token")?;
            println!("filling {} tickets, {} events", setting.scale.tickets(), setting.scale.events());
            let text = process::output(
                Command::new(&setting.fill)
                    .arg(home.join("data"))
                    .arg(setting.scale.tickets().to_string())
                    .arg(setting.scale.events().to_string()),
            )?;
            let last = text.lines().last().unwrap_or_default();
            std::fs::write(&fill_file, last).context("cannot write how it was filled")?;
        }
        let text = std::fs::read_to_string(&fill_file).context("cannot read how it was filled")?;
        let token = std::fs::read_to_string(&token_file).context("cannot read the token")?;
        growth_of_fill(setting, &home, &text, report)?;
        Ok(Self { home, token })
    }

    /// Removes it unless it is to be kept.
    pub fn finish(self, setting: &Setting) -> Result<()> {
        if setting.keep { Ok(()) } else { crate::tools::clear(&self.home) }
    }
}

/// What filling through the store's own ingest tells about growth.
fn growth_of_fill(setting: &Setting, home: &Path, text: &str, report: &mut Report) -> Result<()> {
    let filled: Value = serde_json::from_str(text).context("fill printed no JSON")?;
    let parts = filled.get("micros_per_event").and_then(Value::as_array).context("fill printed no times")?;
    let times: Vec<f64> = parts.iter().filter_map(Value::as_f64).collect();
    let (Some(first), Some(last)) = (times.get(1).or(times.first()), times.last()) else { bail!("no times") };
    let group = "growth";
    let events = setting.scale.events() as f64;
    report.add(Figure::new(group, "store, small bodies, second twentieth", *first, "us/event"));
    report.add(
        Figure::new(group, format!("store, small bodies, at {events:.0} events"), *last, "us/event")
            .over("the second twentieth", *first)
            .target("within 10 % of it".to_owned(), (last / first - 1.0).abs() <= 0.1),
    );
    report.add(Figure::new(
        group,
        "disk per event of the fill",
        disk_bytes(&home.join("data"))? as f64 / events,
        "bytes",
    ));
    report.note(
        "the fill sends groups of 256 events with bodies of 1 KB through the store, a fifth of them new tickets, two \
         fifths of the thousand latest tickets, two fifths of any ticket",
    );
    Ok(())
}

pub fn run(setting: &Setting, filled: &Filled, report: &mut Report) -> Result<()> {
    println!("lists and search");
    let server = Server::actifix(&setting.binary, &filled.home)?;
    let idle = server.memory_mb("VmRSS")?;
    let group = format!("read, {} tickets", setting.scale.tickets());
    report.add(Figure::new(group.as_str(), "RSS after start", idle, "MB").at_most(25.0));
    for (name, paths) in questions(&server, &filled.token)? {
        let requests: Vec<Vec<u8>> = paths.iter().map(|path| get(path, Some(&filled.token))).collect();
        let mut turn = requests.iter().cycle();
        let window = load::sequential(server.address, WINDOW, ASKED, |out| {
            if let Some(request) = turn.next() {
                out.extend_from_slice(request);
            }
        })?;
        window.require(200, &name)?;
        report.add(Figure::new(group.as_str(), format!("{name}, p50"), window.latency_ms(0.5), "ms"));
        report.add(
            Figure::new(group.as_str(), format!("{name}, p99"), window.latency_ms(0.99), "ms")
                .at_most(P99_MS),
        );
        report.add(Figure::new(group.as_str(), format!("{name}, max"), window.latency_ms(1.0), "ms"));
        report.add(Figure::new(
            group.as_str(),
            format!("{name}, answer"),
            window.body_bytes_max as f64 / 1e3,
            "KB",
        ));
    }
    let peak = server.memory_mb("VmHWM")?;
    report.add(Figure::new(group.as_str(), "RSS peak of reading", peak, "MB").at_most(150.0));
    server.stop()?;
    growth_of_ingest(setting, filled, report)
}

/// Each question with the paths that ask it in turn.
fn questions(server: &Server, token: &str) -> Result<Vec<(String, Vec<String>)>> {
    let list = |query: &str| format!("/api/v1/tickets{query}");
    let search = |text: &str| list(&format!("?search={}", percent(text)));
    let first = page(server, token, &list(""))?;
    let mut deep = first.clone();
    for _ in 2..DEEP_PAGE {
        deep = page(server, token, &list(&format!("?cursor={}", percent(&next(&deep)?))))?;
    }
    let deep = list(&format!("?cursor={}", percent(&next(&deep)?)));
    let ids: Vec<String> = first
        .get("items")
        .and_then(Value::as_array)
        .context("the ticket list has no items")?
        .iter()
        .filter_map(|item| item.get("id").and_then(Value::as_str).map(str::to_owned))
        .collect();
    if ids.is_empty() {
        bail!("the filled home shows no tickets");
    }
    let of_each = |end: &str| ids.iter().map(|id| format!("/api/v1/tickets/{id}{end}")).collect::<Vec<_>>();
    let mut questions: Vec<(String, Vec<String>)> = [
        ("default list", vec![list("")]),
        ("list of page 10 by cursor", vec![deep]),
        ("list by count", vec![list("?sort=count")]),
        ("is:open priority:P2", vec![search("is:open priority:P2")]),
        ("is:resolved (none)", vec![search("is:resolved")]),
        ("priority:<=P1 level:fatal", vec![search("priority:<=P1 level:fatal")]),
        ("one tag value of 16", (0..16).map(|n| search(&format!("worker:{n}"))).collect()),
        ("rare tag value", (0..50).map(|n| search(&format!("shard:s{}", n * 17))).collect()),
        ("release and environment", vec![search("release:shop@2.3.0 environment:staging")]),
        ("free text, rare word", (0..50).map(|n| search(&format!("w{}", n * 131))).collect()),
        ("free text, common word", vec![search("declined")]),
        ("free text, two words", vec![search("failed w1310")]),
        ("negation", vec![search("is:open !environment:production")]),
    ]
    .into_iter()
    .map(|(name, paths)| (name.to_owned(), paths))
    .collect();
    questions.push(("ticket".to_owned(), of_each("")));
    questions.push(("events of a ticket".to_owned(), of_each("/events")));
    questions.push(("similar tickets".to_owned(), of_each("/similar")));
    Ok(questions)
}

/// An answer of the API.
pub fn page(server: &Server, token: &str, path: &str) -> Result<Value> {
    let mut client = Client::new(server.address)?;
    let answer = client.send(&get(path, Some(token)))?;
    if answer.status != 200 {
        bail!("{path} answered {}: {}", answer.status, String::from_utf8_lossy(answer.body));
    }
    serde_json::from_slice(answer.body).with_context(|| format!("{path} answered no JSON"))
}

fn next(page: &Value) -> Result<String> {
    page.get("next_cursor").and_then(Value::as_str).map(str::to_owned).context("the list ends before page 10")
}

/// The mixed workload on an empty home and on the filled one, one right after the other.
fn growth_of_ingest(setting: &Setting, filled: &Filled, report: &mut Report) -> Result<()> {
    println!("growth");
    let traffic = Traffic::mixed()?;
    let mut measured = Vec::new();
    let empty = setting.fresh("ingest")?;
    for home in [empty.as_path(), filled.home.as_path()] {
        let server = Server::actifix(&setting.binary, home)?;
        ingest::warm(&server, setting, &traffic)?;
        let (window, cpu) = ingest::measured(&server, setting, &traffic, setting.window)?;
        measured.push((window.per_second(), cpu.server_us, window.latency_ms(0.99)));
        server.stop()?;
    }
    let [(empty_rate, empty_cpu, empty_p99), (rate, cpu, p99)] = measured.as_slice() else {
        bail!("no figures")
    };
    let group = "growth";
    let flat = |ratio: f64| (ratio - 1.0).abs() <= 0.1;
    report.add(Figure::new(group, "15 KB events, empty home", *empty_rate, "events/s"));
    report.add(
        Figure::new(group, "15 KB events, filled home", *rate, "events/s")
            .over("empty", *empty_rate)
            .target("within 10 % of empty".to_owned(), rate / empty_rate >= 0.9),
    );
    report.add(Figure::new(group, "CPU, empty home", *empty_cpu, "us/event"));
    report.add(
        Figure::new(group, "CPU, filled home", *cpu, "us/event")
            .over("empty", *empty_cpu)
            .target("within 10 % of empty".to_owned(), flat(cpu / empty_cpu) || cpu < empty_cpu),
    );
    report.add(Figure::new(group, "p99, filled home", *p99, "ms").over("empty", *empty_p99));
    Ok(())
}
