//! What alerts cost ingest: two servers of one binary get the same traffic in turn, one without rules, the other with
//! many of them and channels that are told.
//!
//! What is decided about changes and sent to channels happens beside the requests and after them. So a pair is charged
//! with all that each server spent from its beginning to its end, and not only within its own window.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::Setting;
use super::ingest::{self, Traffic};
use super::load::Window;
use super::report::{Figure, Report};
use super::server::Server;
use crate::process;

/// Pairs of windows; the median counts.
const PAIRS: u32 = 5;
/// Channels, each at a receiver of its own.
const CHANNELS: usize = 5;
/// Rules; a rule goes to one channel.
const RULES: usize = 20;
/// Rates with conditions, what begins and comes back, and what must be counted by ticket: in turn.
const KINDS: [&[&str]; 4] = [
    &["--on", "rate", "--rate", "1000/10", "--environment", "prod*", "--tag", "region=eu*"],
    &["--on", "new,regressed,raised", "--level", "error", "--cooldown", "1"],
    &["--on", "spike,users", "--users", "100", "--priority", "P2"],
    &["--on", "rate", "--rate", "100/1", "--source", "*shop*", "--cooldown", "1", "--burst", "100"],
];

/// CPU microseconds per event, events per second and the slowest answers, of one server in one pair.
#[derive(Debug, Clone, Copy)]
struct Side {
    cpu_us: f64,
    per_second: f64,
    p99_ms: f64,
}

pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    println!("ingest: with and without alerts");
    let (quiet_home, loud_home) = (setting.fresh("alerts-none")?, setting.fresh("alerts-many")?);
    let sink = Sink::start(setting, &loud_home)?;
    std::fs::write(
        loud_home.join("actifix.toml"),
        "[outbound]\nallow_private = [\"127.0.0.0/8\"]\nextra_ca = \"ca.pem\"\n",
    )
    .context("cannot write a configuration")?;
    let quiet = Server::actifix(&setting.binary, &quiet_home)?;
    let loud = Server::actifix(&setting.binary, &loud_home)?;
    tell(setting, &loud_home, &sink)?;
    let traffic = Traffic::mixed()?;
    for server in [&quiet, &loud] {
        ingest::warm(server, setting, &traffic)?;
    }
    let window = (setting.window / 2).max(Duration::from_secs(1));
    let mut pairs = Vec::new();
    for number in 0..PAIRS {
        // Whoever comes first has the colder caches: each of the two is it in turn.
        let turn = number % 2 == 0;
        let (first, second) = if turn { (&quiet, &loud) } else { (&loud, &quiet) };
        let before = (first.cpu_seconds()?, second.cpu_seconds()?);
        let (seen_first, _) = ingest::measured(first, setting, &traffic, window)?;
        let (seen_second, _) = ingest::measured(second, setting, &traffic, window)?;
        let first = side(&seen_first, first.cpu_seconds()? - before.0);
        let second = side(&seen_second, second.cpu_seconds()? - before.1);
        pairs.push(if turn { (first, second) } else { (second, first) });
    }
    quiet.stop()?;
    loud.stop()?;
    let told = sink.stop()?;
    // Where nothing arrived, something else was measured.
    ensure!(told > 0, "no channel received a message");
    tell_figures(report, &pairs, told);
    Ok(())
}

fn side(window: &Window, cpu_seconds: f64) -> Side {
    Side {
        cpu_us: cpu_seconds * 1e6 / window.answers().max(1) as f64,
        per_second: window.per_second(),
        p99_ms: window.latency_ms(0.99),
    }
}

fn tell_figures(report: &mut Report, pairs: &[(Side, Side)], told: u64) {
    let group = "ingest, alerts";
    let of = |value: fn(&(Side, Side)) -> f64| pairs.iter().map(value).collect::<Vec<f64>>();
    let figure = |name: String, value, unit| Figure::new(group, name, value, unit);
    let loud = format!("{RULES} rules, {CHANNELS} channels");
    for (name, unit, quiet_value, loud_value) in [
        ("CPU of the server", "us/event", of(|(quiet, _)| quiet.cpu_us), of(|(_, loud)| loud.cpu_us)),
        ("events", "events/s", of(|(quiet, _)| quiet.per_second), of(|(_, loud)| loud.per_second)),
        ("latency p99", "ms", of(|(quiet, _)| quiet.p99_ms), of(|(_, loud)| loud.p99_ms)),
    ] {
        let (quiet_value, loud_value) = (middle(&quiet_value), middle(&loud_value));
        report.add(figure(format!("{name}, no rules"), quiet_value, unit));
        report.add(figure(format!("{name}, {loud}"), loud_value, unit).over("no rules", quiet_value));
    }
    let ratios = of(|(quiet, loud)| loud.cpu_us / quiet.cpu_us);
    report.add(figure("CPU with rules over CPU without, middle pair".to_owned(), middle(&ratios), ""));
    let span = |ratios: &[f64]| {
        let (least, most) = ratios
            .iter()
            .fold((f64::MAX, f64::MIN), |(least, most), ratio| (least.min(*ratio), most.max(*ratio)));
        format!("{least:.2} to {most:.2}")
    };
    report.note(format!(
        "{group}: {} pairs, ratios of CPU from {}; the channels received {told} messages over TLS, whose cost is in it",
        pairs.len(),
        span(&ratios)
    ));
}

/// The middle one; of an even number the lower of the two.
fn middle(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

/// Adds channels and rules by the command line, as people do.
fn tell(setting: &Setting, home: &Path, sink: &Sink) -> Result<()> {
    let webhook = |arguments: &[&str], url: &str| {
        let mut command = Command::new(&setting.binary);
        command.arg("--home").arg(home).arg("webhook").args(arguments).env("BENCH_SINK", url);
        process::output(&mut command).map(drop)
    };
    for (number, url) in sink.urls.iter().enumerate() {
        let name = format!("sink{number}");
        let how = ["--kind", "webhook", "--url-from", "env:BENCH_SINK", "--not-production"];
        webhook(&[&["add", name.as_str()], how.as_slice()].concat(), url)?;
    }
    for (number, kind) in KINDS.iter().cycle().take(RULES).enumerate() {
        let (name, channel) = (format!("rule{number}"), format!("sink{}", number % CHANNELS));
        let start = ["rule", "add", name.as_str(), "--to", channel.as_str()];
        webhook(&[start.as_slice(), kind].concat(), "")?;
    }
    Ok(())
}

/// The receivers, as a process of their own.
struct Sink {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    input: ChildStdin,
    urls: Vec<String>,
}

impl Sink {
    /// Starts them; the certificate of their authority goes into the home.
    fn start(setting: &Setting, home: &Path) -> Result<Self> {
        let mut command = Command::new(&setting.alert_sink);
        command.arg(home.join("ca.pem")).arg(CHANNELS.to_string());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let input = child.stdin.take().context("no standard input")?;
        let mut output = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut urls = Vec::new();
        for _ in 0..CHANNELS {
            let mut line = String::new();
            output.read_line(&mut line).context("cannot read what the receivers print")?;
            ensure!(line.starts_with("https://"), "no address of a receiver: {line}");
            urls.push(line.trim().to_owned());
        }
        Ok(Self { child, output, input, urls })
    }

    /// Ends them; how many messages they received.
    fn stop(self) -> Result<u64> {
        let Self { mut child, mut output, input, .. } = self;
        drop(input);
        let mut line = String::new();
        output.read_line(&mut line).context("cannot read what the receivers print")?;
        if !child.wait().context("cannot wait for the receivers")?.success() {
            bail!("the receivers failed");
        }
        line.trim().parse().with_context(|| format!("no number of messages: {line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_pairs_counts() {
        assert!((middle(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((middle(&[4.0, 1.0]) - 1.0).abs() < f64::EPSILON);
        assert!(middle(&[]).abs() < f64::EPSILON);
    }

    #[test]
    fn figures_tell_the_ratio_and_its_span() {
        let side = |cpu_us| Side { cpu_us, per_second: 1.0, p99_ms: 1.0 };
        let mut report = Report::new(super::super::machine::Machine::default());
        tell_figures(
            &mut report,
            &[(side(100.0), side(110.0)), (side(100.0), side(130.0)), (side(100.0), side(120.0))],
            7,
        );
        let told = report.to_json();
        let ratio = told["figures"].as_array().unwrap().last().unwrap().clone();
        assert!((ratio["value"].as_f64().unwrap() - 1.2).abs() < 1e-9, "{ratio}");
        assert!(told["notes"][0].as_str().unwrap().contains("3 pairs, ratios of CPU from 1.10 to 1.30"));
    }
}
