//! A long load: what grows for ever shows as a slope.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Field;
use super::load::{self, Ledger, Plan};
use super::node::Node;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);
/// Part of the time after which caches are full and figures count, in fourths.
const WARM: usize = 2;
/// Growth of memory over the counted part, MiB.
const MEMORY_MAX: f64 = 24.0;
/// Largest log, bytes: what the engine keeps, and one checkpoint's worth more.
const LOG_MAX: u64 = (64 << 20) + (48 << 20);
/// Files and threads more than at the beginning of the counted part.
const MORE_MAX: u64 = 12;

/// One look.
#[derive(Debug, Clone, Copy)]
struct Look {
    seconds: f64,
    memory_mib: f64,
    files: u64,
    threads: u64,
    log_bytes: u64,
}

pub fn run(field: &Field) -> Result<String> {
    let minutes = if field.quick { 1 } else { field.soak_minutes };
    let retention = "\n[retention]\nevents_bytes_max = 40000000\n";
    let home = field.home_with("soak", retention)?;
    let node = home.serve()?;
    let ledger = Mutex::new(Ledger::default());
    let plan = Plan { clients: 4, pause: Duration::from_millis(8), noise_bytes: 1_500, ..Plan::default() };
    let (looks, acknowledged) = load::beside(&node, plan, &ledger, |acknowledged| {
        let began = Instant::now();
        let mut looks = Vec::new();
        let mut next = 60.0;
        while began.elapsed() < Duration::from_secs(minutes * 60) {
            std::thread::sleep(EVERY);
            looks.push(look(&node, began)?);
            // Readers and upkeep belong to a day.
            node.list("/api/v1/tickets?project=1")?;
            if began.elapsed().as_secs_f64() > next {
                node.post("/api/v1/retention/run", &serde_json::json!({}))?;
                next += 60.0;
            }
        }
        Ok((looks, acknowledged.load(Ordering::Relaxed)))
    })?;
    let refused = load::lock(&ledger).refused.clone();
    if !refused.is_empty() {
        bail!("refused: {refused:?}");
    }
    let told = judge(&looks)?;
    node.stop(Duration::from_secs(30))?;
    Ok(format!("{minutes} min, {acknowledged} events: {told}"))
}

fn look(node: &Node, began: Instant) -> Result<Look> {
    Ok(Look {
        seconds: began.elapsed().as_secs_f64(),
        memory_mib: node.status("VmRSS:")? as f64 / 1_024.0,
        files: node.files()?,
        threads: node.status("Threads:")?,
        log_bytes: fs::metadata(node.home.log()).map_or(0, |found| found.len()),
    })
}

/// The slope of memory over the counted part, and the bounds of the rest.
fn judge(looks: &[Look]) -> Result<String> {
    let counted = looks.get(looks.len() * WARM / 4..).unwrap_or_default();
    let (first, last) = counted.first().zip(counted.last()).context("too few looks")?;
    let growth = slope(counted) * (last.seconds - first.seconds);
    let most = |figure: fn(&Look) -> u64| counted.iter().map(figure).max().unwrap_or(0);
    let (files, threads, log) =
        (most(|look| look.files), most(|look| look.threads), most(|look| look.log_bytes));
    let told = format!(
        "memory {:.0} to {:.0} MiB (slope {growth:+.1} MiB over the last {:.0} min), at most {files} files, {threads} \
         threads, a log of {} MiB",
        first.memory_mib,
        last.memory_mib,
        (last.seconds - first.seconds) / 60.0,
        log >> 20
    );
    if growth > MEMORY_MAX
        || files > first.files + MORE_MAX
        || threads > first.threads + MORE_MAX
        || log > LOG_MAX
    {
        bail!("something grows: {told}");
    }
    Ok(told)
}

/// Least squares, MiB per second.
fn slope(looks: &[Look]) -> f64 {
    let many = looks.len().max(1) as f64;
    let mean = |figure: fn(&Look) -> f64| looks.iter().map(figure).sum::<f64>() / many;
    let (at, level) = (mean(|look| look.seconds), mean(|look| look.memory_mib));
    let (mut over, mut under) = (0.0, 0.0);
    for look in looks {
        over += (look.seconds - at) * (look.memory_mib - level);
        under += (look.seconds - at) * (look.seconds - at);
    }
    if under > 0.0 { over / under } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(memory: impl Fn(usize) -> f64, files: impl Fn(usize) -> u64) -> Vec<Look> {
        (0..120)
            .map(|n| Look {
                seconds: n as f64 * 5.0,
                memory_mib: memory(n),
                files: files(n),
                threads: 20,
                log_bytes: 0,
            })
            .collect()
    }

    #[test]
    fn a_slope_is_a_leak_and_a_sawtooth_is_none() {
        let saw = |n: usize| 80.0 + (n % 12) as f64 * 2.0;
        assert!(judge(&looks(saw, |_| 40)).is_ok());
        assert!(judge(&looks(|n| 80.0 + n as f64, |_| 40)).is_err());
        assert!(judge(&looks(saw, |n| 40 + n as u64)).is_err());
    }
}
