//! Redaction alone, one thread, on the events that ingest sends.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::report::{Figure, Report};
use super::server::Server;
use super::{Setting, ingest, synthetic};
use crate::process;

/// Events in the file.
const EVENTS: u64 = 200;

pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    println!("redaction");
    let path = setting.fresh("redact")?.join("events.jsonl");
    let lines: String = (0..EVENTS).map(|seed| synthetic::event_json(seed) + "\n").collect();
    std::fs::write(&path, lines).with_context(|| format!("cannot write {}", path.display()))?;
    let text = process::output(Command::new(&setting.redact).arg(&path))?;
    let measured: Value = serde_json::from_str(text.trim()).context("redact_bodies printed no JSON")?;
    let field = |name: &str| measured.get(name).and_then(Value::as_f64).with_context(|| format!("no {name}"));
    let per_event = field("micros_per_event")?;
    if field("replaced_per_event")? < 4.0 {
        bail!("the events hold six secrets each, but {} were replaced", field("replaced_per_event")?);
    }
    let cpu = cpu_of_ingest(setting)?;
    let group = "redaction";
    report.add(Figure::new(group, "15 KB event", per_event, "us"));
    report.add(Figure::new(group, "per KB", field("micros_per_kb")?, "us/KB").at_most(2.0));
    report.add(Figure::new(group, "slowest of the events", field("micros_max")?, "us"));
    report.add(Figure::new(group, "secrets replaced", field("replaced_per_event")?, "per event"));
    report.add(Figure::new(group, "share of ingest CPU", per_event / cpu * 100.0, "%").at_most(20.0));
    report.add(Figure::new(group, "rules", field("rules")?, ""));
    Ok(())
}

/// CPU of the whole server per event of the mixed workload, microseconds.
fn cpu_of_ingest(setting: &Setting) -> Result<f64> {
    let home = setting.fresh("ingest")?;
    let server = Server::actifix(&setting.binary, &home)?;
    let traffic = ingest::Traffic::mixed()?;
    ingest::warm(&server, setting, &traffic)?;
    let (_, cpu) = ingest::measured(&server, setting, &traffic, setting.window / 2)?;
    server.stop()?;
    Ok(cpu.server_us)
}
