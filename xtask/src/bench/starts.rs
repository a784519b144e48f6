//! From the start of the process to the first 200, and the size of the binary.

use std::path::Path;

use anyhow::{Context, Result};

use super::Setting;
use super::lists::Filled;
use super::report::{Figure, Report};
use super::server::Server;

/// Starts of each kind; the median counts.
const STARTS: usize = 7;

pub fn run(setting: &Setting, filled: &Filled, report: &mut Report) -> Result<()> {
    println!("starts");
    let group = "start";
    let first = median(|| setting.fresh("start").and_then(|home| start(setting, &home)))?;
    report.add(Figure::new(group, "first start in an empty folder", first, "ms").at_most(100.0));
    let home = setting.fresh("start")?;
    start(setting, &home)?;
    let again = median(|| start(setting, &home))?;
    report.add(Figure::new(group, "empty home", again, "ms").at_most(100.0));
    let full = median(|| start(setting, &filled.home))?;
    report.add(
        Figure::new(group, format!("home of {} events", setting.scale.events()), full, "ms").at_most(300.0),
    );
    let size = std::fs::metadata(&setting.binary).context("cannot read the size of the binary")?.len();
    report.add(Figure::new(group, "binary", size as f64 / 1e6, "MB").at_most(25.0));
    Ok(())
}

fn start(setting: &Setting, home: &Path) -> Result<f64> {
    let server = Server::actifix(&setting.binary, home)?;
    let millis = server.started_in.as_secs_f64() * 1e3;
    server.stop()?;
    Ok(millis)
}

fn median(work: impl Fn() -> Result<f64>) -> Result<f64> {
    let mut times = (0..STARTS).map(|_| work()).collect::<Result<Vec<f64>>>()?;
    times.sort_by(f64::total_cmp);
    times.get(STARTS / 2).copied().context("no starts")
}
