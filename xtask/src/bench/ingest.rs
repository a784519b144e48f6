//! Ingest over HTTP: captured requests and 15 KB events, mixed, of one ticket, all different.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::bodies::{Dice, Ids, Numbers, Template, Zipf};
use super::client::{Client, get};
use super::floors::{self, Floors};
use super::load::{self, Window};
use super::report::{Figure, Report};
use super::server::{self, Server};
use super::{Setting, captures, synthetic};

/// Groups of the mixed workload.
const GROUPS: u32 = 200;
/// Load before the measured window, so that caches are warm and the first pages of the database are there.
const WARM: Duration = Duration::from_secs(1);
/// Pages of the ticket list that are added up; 200 tickets each.
const PAGES_MAX: usize = 20_000;

/// What is sent.
#[derive(Debug)]
pub struct Traffic {
    name: &'static str,
    templates: Vec<Template>,
    pick: Pick,
    numbers: Numbers,
}

#[derive(Debug)]
enum Pick {
    /// Templates in turn; their events keep the groups that they have.
    Turn,
    /// A group after Zipf, each with its template.
    Zipf(Zipf),
    /// One group.
    Hot,
    /// Each event its own group.
    Unique,
}

impl Traffic {
    pub fn mixed() -> Result<Self> {
        let templates = (0..u64::from(GROUPS)).map(synthetic::template).collect::<Result<_>>()?;
        Ok(Self { name: "mixed", templates, pick: Pick::Zipf(Zipf::new(GROUPS)), numbers: Numbers::new() })
    }

    fn hot() -> Result<Self> {
        let templates = vec![synthetic::template(0)?];
        Ok(Self { name: "one hot ticket", templates, pick: Pick::Hot, numbers: Numbers::new() })
    }

    fn unique() -> Result<Self> {
        let templates = (0..u64::from(GROUPS)).map(synthetic::template).collect::<Result<_>>()?;
        Ok(Self { name: "all unique", templates, pick: Pick::Unique, numbers: Numbers::new() })
    }

    fn captured(setting: &Setting) -> Result<Self> {
        let templates = captures::templates(&setting.captures)?;
        Ok(Self { name: "captures", templates, pick: Pick::Turn, numbers: Numbers::new() })
    }

    /// Which template and which ids come next.
    fn next(&self, dice: &mut Dice) -> Option<(&Template, Ids)> {
        let event = self.numbers.next();
        let turn = usize::try_from(event % self.templates.len().max(1) as u64).unwrap_or(0);
        let (place, group) = match &self.pick {
            Pick::Turn => (turn, 0),
            Pick::Zipf(zipf) => {
                let group = zipf.pick(dice);
                (group, group as u64)
            }
            Pick::Hot => (0, 0),
            Pick::Unique => (turn, event & 0xff_ffff_ffff),
        };
        Some((self.templates.get(place)?, Ids { event, group, user: dice.below(50_000) }))
    }

    /// Mean size before and after compression, bytes.
    fn sizes(&self) -> (f64, f64) {
        let mean = |size: fn(&Template) -> usize| {
            self.templates.iter().map(size).sum::<usize>() as f64 / self.templates.len().max(1) as f64
        };
        (mean(|template| template.clear_bytes), mean(Template::sent_bytes))
    }
}

/// CPU microseconds per event.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    pub server_us: f64,
    pub clients_us: f64,
}

pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let floors = floors::measure(setting, report)?;
    let mixed = workload(setting, report, &Traffic::mixed()?, &floors, None)?;
    workload(setting, report, &Traffic::hot()?, &floors, Some(mixed))?;
    workload(setting, report, &Traffic::unique()?, &floors, Some(mixed))?;
    workload(setting, report, &Traffic::captured(setting)?, &floors, None)?;
    Ok(())
}

/// One workload on an empty home; gives its rate.
fn workload(
    setting: &Setting,
    report: &mut Report,
    traffic: &Traffic,
    floors: &Floors,
    mixed: Option<f64>,
) -> Result<f64> {
    println!("ingest: {}", traffic.name);
    let home = setting.fresh("ingest")?;
    let server = Server::actifix(&setting.binary, &home)?;
    let idle = server.memory_mb("VmRSS")?;
    let mut accepted = warm(&server, setting, traffic)?;
    let (window, cpu) = measured(&server, setting, traffic, setting.window)?;
    accepted += window.answers();
    let peak = server.memory_mb("VmHWM")?;
    let visible = visible(&server, &Server::token(&setting.binary, &home)?)?;
    server.stop()?;
    let disk = server::disk_bytes(&home.join("data"))?;
    let rate = window.per_second();
    let group = format!("ingest, {}", traffic.name);
    let captured = matches!(traffic.pick, Pick::Turn);
    let (clear, sent) = traffic.sizes();
    report.note(format!(
        "{group}: {clear:.0} bytes per request before gzip, {sent:.0} as sent, {} events stored",
        accepted
    ));
    let figure = |name: &str, value, unit| Figure::new(group.as_str(), name, value, unit);
    let speed = figure("events", rate, "events/s").over("no database", floors.pipeline);
    report.add(match mixed {
        Some(mixed) => {
            let words = format!(">= 0.70 of mixed, is {:.2}", rate / mixed);
            speed.target(words, rate >= 0.7 * mixed)
        }
        None if captured => speed,
        None => speed.at_least(5_000.0),
    });
    if mixed.is_none() && !captured {
        let ratio = rate / floors.pipeline;
        report.add(figure("rate over no database", ratio, "").at_least(0.6));
        report.add(figure("rate over hello route", rate / floors.hello, ""));
    }
    report.add(figure("latency p50", window.latency_ms(0.5), "ms"));
    let p99 = figure("latency p99", window.latency_ms(0.99), "ms");
    report.add(if captured { p99 } else { p99.at_most(25.0) });
    report.add(figure("latency max", window.latency_ms(1.0), "ms"));
    let cpu_figure =
        figure("CPU of the server", cpu.server_us, "us/event").over("no database", floors.pipeline_cpu_us);
    report.add(if captured { cpu_figure } else { cpu_figure.at_most(200.0) });
    report.add(figure("CPU of the clients", cpu.clients_us, "us/event"));
    report.add(figure("RSS idle", idle, "MB").at_most(25.0));
    report.add(figure("RSS peak", peak, "MB").at_most(150.0));
    let stored = figure("disk per event", disk as f64 / accepted as f64, "bytes");
    report.add(if captured { stored } else { stored.at_most(2_500.0) });
    let words = format!("= {accepted} acknowledged");
    report.add(
        figure("visible events", visible.events as f64, "events").target(words, visible.events == accepted),
    );
    report.add(figure("tickets", visible.tickets as f64, ""));
    Ok(rate)
}

/// Load that is not measured; how many events it brought.
pub fn warm(server: &Server, setting: &Setting, traffic: &Traffic) -> Result<u64> {
    let window = send(server, setting, traffic, WARM)?;
    Ok(window.answers())
}

/// Load with the CPU time that it took.
pub fn measured(
    server: &Server,
    setting: &Setting,
    traffic: &Traffic,
    window: Duration,
) -> Result<(Window, Cpu)> {
    let (cpu, own) = (server.cpu_seconds()?, server::own_cpu_seconds()?);
    let seen = send(server, setting, traffic, window)?;
    let per_event = 1e6 / seen.answers().max(1) as f64;
    let cpu = Cpu {
        server_us: (server.cpu_seconds()? - cpu) * per_event,
        clients_us: (server::own_cpu_seconds()? - own) * per_event,
    };
    Ok((seen, cpu))
}

fn send(server: &Server, setting: &Setting, traffic: &Traffic, window: Duration) -> Result<Window> {
    let head = format!(
        "POST /api/1/envelope/ HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: sentry.python/2.75.0\r\n\
         Content-Type: application/x-sentry-envelope\r\nContent-Encoding: gzip\r\n\
         X-Sentry-Auth: Sentry sentry_key={}, sentry_version=7, sentry_client=sentry.python/2.75.0\r\n\
         Content-Length: ",
        server.key
    );
    let seen = load::drive(server.address, setting.clients, window, |client| {
        let mut dice = Dice::new(client as u64 + 17);
        let head = head.as_str();
        move |out: &mut Vec<u8>| {
            if let Some((template, ids)) = traffic.next(&mut dice) {
                out.extend_from_slice(head.as_bytes());
                out.extend_from_slice(template.sent_bytes().to_string().as_bytes());
                out.extend_from_slice(b"\r\n\r\n");
                template.write(ids, out);
            }
        }
    })?;
    seen.require(200, traffic.name)?;
    Ok(seen)
}

/// What the API shows.
#[derive(Debug, Clone, Copy, Default)]
struct Visible {
    events: u64,
    tickets: u64,
}

/// Adds up the counts of all tickets, page by page, as a reader would.
fn visible(server: &Server, token: &str) -> Result<Visible> {
    let mut client = Client::new(server.address)?;
    let mut seen = Visible::default();
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let path = match &cursor {
            Some(cursor) => format!("/api/v1/tickets?sort=first_seen&limit=200&cursor={}", percent(cursor)),
            None => "/api/v1/tickets?sort=first_seen&limit=200".to_owned(),
        };
        let answer = client.send(&get(&path, Some(token)))?;
        if answer.status != 200 {
            bail!("{path} answered {}", answer.status);
        }
        let page: Value = serde_json::from_slice(answer.body).context("the ticket list is no JSON")?;
        let items = page.get("items").and_then(Value::as_array).context("the ticket list has no items")?;
        seen.tickets += items.len() as u64;
        seen.events += items.iter().filter_map(|item| item.get("count").and_then(Value::as_u64)).sum::<u64>();
        match page.get("next_cursor").and_then(Value::as_str) {
            Some(next) => cursor = Some(next.to_owned()),
            None => return Ok(seen),
        }
    }
    bail!("the ticket list does not end after {PAGES_MAX} pages")
}

/// A value for a query string.
pub fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
