//! The real binary on a home of its own, perhaps under a tracer, in a namespace or in a cgroup.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::http::{Answer, Client};
use crate::process;

/// A start takes a fraction of a second; under a tracer, in a debug build, on a loaded machine more.
const START_MAX: Duration = Duration::from_secs(60);
/// Lines of output that are kept.
const LINES_MAX: usize = 2_000;
/// Settings of every home here: no limit gets in the way, and every event is kept.
const CONFIG: &str =
    "[listeners.main]\nbind = \"127.0.0.1:0\"\n\n[throttle]\nenabled = false\n\n[limits]\nsample_after = 0\n";

/// A home with a project, its key and an administrator's token.
#[derive(Debug, Clone)]
pub struct Home {
    pub path: PathBuf,
    pub binary: PathBuf,
    /// Public key of the project 1.
    pub key: String,
    /// An administrator's token; the home ends with the run.
    pub token: String,
}

impl Home {
    /// An empty home with a configuration, `more` at its end.
    pub fn bare(binary: &Path, path: &Path, more: &str) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        fs::write(path.join("actifix.toml"), format!("{CONFIG}{more}"))
            .context("cannot write a configuration")?;
        Ok(Self {
            path: path.to_owned(),
            binary: binary.to_owned(),
            key: String::new(),
            token: String::new(),
        })
    }

    /// A home that was used before.
    pub fn new(binary: &Path, path: &Path, more: &str) -> Result<Self> {
        let mut home = Self::bare(binary, path, more)?;
        home.settle()?;
        Ok(home)
    }

    /// Makes token and key.
    pub fn settle(&mut self) -> Result<()> {
        let made = self.cli_json(&["token", "create", "--name", "faults", "--role", "admin"])?;
        self.token = text(&made, "token")?;
        let dsn = process::output(self.command().args(["dsn"]))?;
        let key = dsn.split_once("://").and_then(|(_, rest)| rest.split_once('@')).map(|(key, _)| key.trim());
        self.key = key.context("no key in the DSN")?.to_owned();
        Ok(())
    }

    /// The same at another place; a server of the first must not run, or be dead.
    pub fn copy(&self, into: &Path) -> Result<Self> {
        if into.exists() {
            fs::remove_dir_all(into).context("cannot clear a home")?;
        }
        process::run(Command::new("cp").arg("-a").arg(&self.path).arg(into))?;
        Ok(Self { path: into.to_owned(), ..self.clone() })
    }

    pub fn database(&self) -> PathBuf {
        self.path.join("data/actifix.db")
    }

    pub fn log(&self) -> PathBuf {
        self.path.join("data/actifix.db-wal")
    }

    /// Our command on this home, with no variable of ours inherited.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        clean(&mut command);
        command.arg("--home").arg(&self.path);
        command
    }

    pub fn cli_json(&self, arguments: &[&str]) -> Result<Value> {
        let printed = process::output(self.command().args(arguments).arg("--json"))?;
        serde_json::from_str(&printed).with_context(|| format!("no JSON: {printed}"))
    }

    pub fn serve(&self) -> Result<Node> {
        Node::start(self, &Setting::default())
    }
}

fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ACTIFIX_") {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1").env("ACTIFIX_RATE_LIMIT_DISABLED", "1").stdin(Stdio::null());
}

fn text(value: &Value, name: &str) -> Result<String> {
    value
        .get(name)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .with_context(|| format!("no {name} in {value}"))
}

/// What a server runs under.
#[derive(Debug, Default)]
pub struct Setting {
    /// Words before the command; what stands there must become the command in the end, by `exec`.
    pub before: Vec<String>,
    pub environment: Vec<(String, String)>,
}

impl Setting {
    /// Under strace, which is no parent of the server, so that the server's end is seen as it is.
    pub fn traced(arguments: &[&str], output: &Path) -> Self {
        let mut before: Vec<String> = ["strace", "-D", "-f", "-qq", "-o"].map(str::to_owned).into();
        before.push(output.display().to_string());
        before.extend(arguments.iter().map(|word| (*word).to_owned()));
        Self { before, environment: Vec::new() }
    }

    /// By a shell script that gets the home as `$1`, and the command after it.
    pub fn script(script: &str, home: &Home, shell_before: &[&str]) -> Self {
        let mut before: Vec<String> = shell_before.iter().map(|word| (*word).to_owned()).collect();
        before.extend(["bash", "-c", script, "bash"].map(str::to_owned));
        before.push(home.path.display().to_string());
        Self { before, environment: Vec::new() }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }
}

/// What a process printed.
#[derive(Debug, Default)]
struct Printed {
    lines: Mutex<(VecDeque<String>, usize)>,
    grown: Condvar,
}

/// A start that came to nothing.
#[derive(Debug)]
pub struct Refused {
    pub status: ExitStatus,
    pub printed: String,
}

/// A running server.
#[derive(Debug)]
pub struct Node {
    pub home: Home,
    pub address: SocketAddr,
    /// From the start of the process to the line that says where it listens.
    pub started_in: Duration,
    child: Child,
    printed: Arc<Printed>,
}

impl Node {
    pub fn start(home: &Home, setting: &Setting) -> Result<Self> {
        match Self::try_start(home, setting)? {
            Ok(node) => Ok(node),
            Err(refused) => {
                bail!("the server did not start ({}): {}", refused.status, refused.printed.trim())
            }
        }
    }

    /// Starts; the inner error is a process that ended before it listened.
    pub fn try_start(home: &Home, setting: &Setting) -> Result<Result<Self, Refused>> {
        let began = Instant::now();
        let mut child = spawn(home, setting)?;
        let printed = Arc::new(Printed::default());
        if let Some(pipe) = child.stdout.take() {
            collect(pipe, Arc::clone(&printed));
        }
        if let Some(pipe) = child.stderr.take() {
            collect(pipe, Arc::clone(&printed));
        }
        let until = began + START_MAX;
        let mut state = printed.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let address = loop {
            let told = state.0.iter().find_map(|line| line.trim().strip_prefix("listening on http://"));
            let whole = state.0.iter().any(|line| line.starts_with("See what arrives:"));
            if let (Some(address), true) = (told.and_then(|text| text.parse().ok()), whole) {
                break address;
            }
            let left = until.saturating_duration_since(Instant::now());
            if state.1 == 2 || left.is_zero() {
                let printed = state.0.iter().cloned().collect::<Vec<_>>().join("\n");
                if left.is_zero() {
                    let _ = child.kill();
                }
                let status = child.wait().context("cannot wait for the server")?;
                return Ok(Err(Refused { status, printed }));
            }
            state = printed.grown.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        drop(state);
        let node = Self { home: home.clone(), address, started_in: began.elapsed(), child, printed };
        Ok(Ok(node))
    }

    /// Starts and kills after `after`, wherever it is by then.
    pub fn start_and_kill(home: &Home, after: Duration) -> Result<()> {
        let mut child = spawn(home, &Setting::default())?;
        std::thread::sleep(after);
        let _ = child.kill();
        child.wait().context("cannot wait for the server")?;
        Ok(())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn client(&self) -> Result<Client> {
        Client::open(self.address)
    }

    /// Calls the API on a connection of its own.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let lines =
            format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", self.home.token);
        let body = body.map(Value::to_string).unwrap_or_default();
        self.client()?.ask(method, path, &lines, body.as_bytes())
    }

    /// Calls the API, which must agree.
    pub fn get(&self, path: &str) -> Result<Value> {
        let answer = self.call("GET", path, None)?;
        if answer.status != 200 {
            bail!("GET {path}: {} {}", answer.status, answer.text());
        }
        answer.json()
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.call("POST", path, Some(body))?;
        if !(200..300).contains(&answer.status) {
            bail!("POST {path}: {} {}", answer.status, answer.text());
        }
        answer.json()
    }

    /// All items of a paged list.
    pub fn list(&self, path: &str) -> Result<Vec<Value>> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{path}{separator}limit=200{cursor}"))?;
            items.extend(page.get("items").and_then(Value::as_array).context("no items")?.iter().cloned());
            match page.get("next_cursor").and_then(Value::as_str) {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
    }

    /// A figure of `/metrics`; 0 where it was never told.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let text = self.call("GET", "/metrics", None)?.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.and_then(|number| number.trim().parse().ok()).unwrap_or(0.0))
    }

    /// A figure of `/proc/PID/status`, as it stands there (KiB or a count).
    pub fn status(&self, name: &str) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).context("no status")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
        line.split_whitespace().next().and_then(|number| number.parse().ok()).context("no number")
    }

    /// Open files.
    pub fn files(&self) -> Result<u64> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.pid())).context("no list of files")?.count() as u64)
    }

    pub fn signal(&self, signal: &str) -> Result<()> {
        process::run(Command::new("kill").arg(format!("-{signal}")).arg(self.pid().to_string()))
    }

    /// All that was printed.
    pub fn printed(&self) -> String {
        let state = self.printed.lines.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.iter().cloned().collect::<Vec<_>>().join("\n")
    }

    /// The end of the process, if it comes within `most`.
    pub fn wait(&mut self, most: Duration) -> Result<Option<ExitStatus>> {
        let until = Instant::now() + most;
        loop {
            if let Some(status) = self.child.try_wait().context("cannot wait for the server")? {
                return Ok(Some(status));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it at once.
    pub fn kill(mut self) -> Result<()> {
        let _ = self.child.kill();
        self.child.wait().context("cannot wait for the server")?;
        Ok(())
    }

    /// Asks it to stop; the way it ended and the time that it took.
    pub fn stop(mut self, most: Duration) -> Result<(ExitStatus, Duration)> {
        let began = Instant::now();
        self.signal("TERM")?;
        let status =
            self.wait(most)?.with_context(|| format!("it did not stop within {} s", most.as_secs()))?;
        Ok((status, began.elapsed()))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(home: &Home, setting: &Setting) -> Result<Child> {
    let mut command = match setting.before.split_first() {
        Some((program, rest)) => {
            let mut command = Command::new(program);
            command.args(rest).arg(&home.binary);
            command
        }
        None => Command::new(&home.binary),
    };
    clean(&mut command);
    command.arg("--home").arg(&home.path).arg("serve").envs(setting.environment.iter().cloned());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().context("cannot start the server")
}

fn collect(pipe: impl Read + Send + 'static, printed: Arc<Printed>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut state = printed.lines.lock().unwrap_or_else(PoisonError::into_inner);
            if state.0.len() >= LINES_MAX {
                state.0.pop_front();
            }
            state.0.push_back(line);
            printed.grown.notify_all();
        }
        printed.lines.lock().unwrap_or_else(PoisonError::into_inner).1 += 1;
        printed.grown.notify_all();
    });
}
