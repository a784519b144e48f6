//! What this machine does when it does less: no floor is reachable, but a ratio to it survives a loaded machine.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Setting;
use super::bodies::{Ids, Template};
use super::client::get;
use super::ingest::{self, Traffic};
use super::load::{self, Window};
use super::report::{Figure, Report};
use super::server::Server;
use super::synthetic;

/// Length of each floor's window.
const WINDOW: Duration = Duration::from_secs(3);
/// Bytes of one write before each fdatasync: a page.
const PAGE: usize = 4_096;
/// Bodies that are decompressed and parsed over and over.
const BODIES: usize = 50;

/// The floors that ingest is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Floors {
    /// GET /healthz, answers per second.
    pub hello: f64,
    /// The pipeline over HTTP with a store that keeps nothing, events per second.
    pub pipeline: f64,
    /// The same, CPU microseconds per event.
    pub pipeline_cpu_us: f64,
}

pub fn measure(setting: &Setting, report: &mut Report) -> Result<Floors> {
    println!("floors");
    let group = "floor";
    let syncs = fdatasync(&setting.fresh("floor")?)?;
    report.add(Figure::new(group, "write 4 KB + fdatasync, one after the other", syncs, "1/s"));
    let (gunzip, parse) = decode()?;
    report.add(Figure::new(group, "gunzip of a 15 KB event (flate2 in xtask)", gunzip, "us"));
    report.add(Figure::new(group, "its JSON to a tree of values", parse, "us"));
    let (hello, pipeline, cpu) = servers(setting, report)?;
    report.add(Figure::new(group, "GET /healthz", hello.per_second(), "1/s"));
    report.add(Figure::new(group, "GET /healthz p50", hello.latency_ms(0.5), "ms"));
    report.add(Figure::new(group, "GET /healthz p99", hello.latency_ms(0.99), "ms"));
    let rate = pipeline.per_second();
    report.add(
        Figure::new(group, "15 KB events, mixed, no database", rate, "events/s")
            .over("hello", hello.per_second()),
    );
    report.add(Figure::new(group, "the same, p99", pipeline.latency_ms(0.99), "ms"));
    report.add(Figure::new(group, "the same, CPU of the server", cpu, "us/event"));
    report.note(
        "the floor without a database is the same HTTP server and pipeline (decode, redact, normalise, group) with a \
         store that answers at once: neither serialising nor compressing of bodies is in it",
    );
    Ok(Floors { hello: hello.per_second(), pipeline: rate, pipeline_cpu_us: cpu })
}

/// Rate at which this disk makes one page durable.
fn fdatasync(folder: &Path) -> Result<f64> {
    let mut file = fs::File::create(folder.join("sync")).context("cannot create a file to sync")?;
    let page = [0x5a_u8; PAGE];
    let started = Instant::now();
    let mut syncs = 0u32;
    while started.elapsed() < WINDOW {
        file.write_all(&page).context("cannot write")?;
        file.sync_data().context("cannot sync")?;
        syncs += 1;
    }
    Ok(f64::from(syncs) / started.elapsed().as_secs_f64())
}

/// Microseconds to decompress and to parse one event on one core.
fn decode() -> Result<(f64, f64)> {
    let templates = (0..BODIES as u64).map(synthetic::template).collect::<Result<Vec<Template>>>()?;
    let mut bodies = Vec::new();
    for template in &templates {
        let mut body = Vec::new();
        template.write(Ids { event: 1, group: 1, user: 1 }, &mut body);
        bodies.push(body);
    }
    let mut clear = Vec::new();
    let started = Instant::now();
    let mut rounds = 0u32;
    while started.elapsed() < Duration::from_secs(1) {
        for body in &bodies {
            clear.clear();
            flate2::read::GzDecoder::new(body.as_slice())
                .read_to_end(&mut clear)
                .context("cannot decompress")?;
        }
        rounds += 1;
    }
    let gunzip = started.elapsed().as_secs_f64() * 1e6 / f64::from(rounds) / BODIES as f64;
    let events: Vec<String> = (0..BODIES as u64).map(synthetic::event_json).collect();
    let started = Instant::now();
    let mut rounds = 0u32;
    while started.elapsed() < Duration::from_secs(1) {
        for event in &events {
            std::hint::black_box(serde_json::from_str::<serde_json::Value>(event).context("cannot parse")?);
        }
        rounds += 1;
    }
    Ok((gunzip, started.elapsed().as_secs_f64() * 1e6 / f64::from(rounds) / BODIES as f64))
}

/// Hello route of the product, and the pipeline without a database.
fn servers(setting: &Setting, report: &mut Report) -> Result<(Window, Window, f64)> {
    let home = setting.fresh("hello")?;
    let server = Server::actifix(&setting.binary, &home)?;
    let request = get("/healthz", None);
    let hello = load::drive(server.address, setting.clients, WINDOW, |_| {
        |out: &mut Vec<u8>| out.extend_from_slice(&request)
    })?;
    hello.require(200, "GET /healthz")?;
    server.stop()?;
    let folder = setting.fresh("pipeline")?;
    let server = Server::start(Command::new(&setting.pipeline_floor), &folder)?;
    let traffic = Traffic::mixed()?;
    ingest::warm(&server, setting, &traffic)?;
    let (window, cpu) = ingest::measured(&server, setting, &traffic, WINDOW.max(setting.window / 2))?;
    report.add(Figure::new("floor", "peak RSS without a database", server.memory_mb("VmHWM")?, "MB"));
    drop(server);
    Ok((hello, window, cpu.server_us))
}
