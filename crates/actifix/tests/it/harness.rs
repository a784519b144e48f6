//! The real binary on a home of its own: starts it, talks to it, ends it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{Answer, Connection, Request, exchange};

/// A server must say where it listens within this time (it needs a fraction of a second; a loaded machine more).
const START_DEADLINE: Duration = Duration::from_secs(30);
/// A stopped server must be gone within this time.
const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// Bytes of output that are kept of one server.
const OUTPUT_BYTES_MAX: usize = 64 << 20;

/// Public keys of the captured requests.
pub const KEY_42: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f90";
pub const KEY_43: &str = "b1b2c3d4e5f60718293a4b5c6d7e8f91";
pub const KEY_44: &str = "c1b2c3d4e5f60718293a4b5c6d7e8f92";
pub const KEY_47: &str = "91b2c3d4e5f60718293a4b5c6d7e8f97";

/// A fresh home, removed at the end.
#[derive(Debug)]
pub struct Home {
    dir: TempDir,
}

/// What a finished command left.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Exit code; -1 when a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// Standard output, where the command must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code(), 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }

    /// Standard output as JSON, where the command must have succeeded.
    #[track_caller]
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("not JSON ({error}): {text}"))
    }
}

impl Home {
    pub fn new() -> Arc<Self> {
        Self::with_config("")
    }

    /// A home whose `actifix.toml` binds a free port and holds `config` besides.
    pub fn with_config(config: &str) -> Arc<Self> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let text = format!("[listeners.main]\nbind = \"127.0.0.1:0\"\n{config}\n");
        fs::write(dir.path().join("actifix.toml"), text).expect("a configuration file");
        Arc::new(Self { dir })
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A command on this home, with no variable of ours inherited.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare_command();
        command.arg("--home").arg(self.path()).args(arguments);
        command
    }

    pub fn cli(&self, arguments: &[&str]) -> Finished {
        finish(self.command(arguments), b"")
    }

    pub fn cli_stdin(&self, arguments: &[&str], stdin: &[u8]) -> Finished {
        finish(self.command(arguments), stdin)
    }

    /// Starts the server and waits until it listens.
    pub fn serve(self: &Arc<Self>) -> Server {
        Server::start(Arc::clone(self), &[])
    }

    /// As [`Home::serve`], for tests that ask more often than anybody may by default.
    pub fn serve_busy(self: &Arc<Self>) -> Server {
        let limits =
            [("ACTIFIX_LIMITS__API_PER_MINUTE", "100000"), ("ACTIFIX_LIMITS__API_PER_HOUR", "1000000")];
        Server::start(Arc::clone(self), &limits)
    }

    /// Makes the four projects of the captured requests.
    pub fn import_projects(&self) {
        for (id, key) in [("42", KEY_42), ("43", KEY_43), ("44", KEY_44), ("47", KEY_47)] {
            self.cli(&["project", "create", &format!("shop-{id}"), "--id", id]).ok();
            self.cli(&["project", "key", "import", id, key]).ok();
        }
    }

    /// Every file of the home with its bytes.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a readable folder") {
                let entry = entry.expect("a readable entry");
                let kind = entry.file_type().expect("a file type");
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    // A file that the server removed in the meantime holds nothing any more.
                    if let Ok(bytes) = fs::read(entry.path()) {
                        files.push((entry.path(), bytes));
                    }
                }
            }
        }
        files
    }
}

/// The binary without arguments and without our variables.
pub fn bare_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_actifix"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ACTIFIX_") {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn finish(mut command: Command, stdin: &[u8]) -> Finished {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that does not read its input closes the pipe; that is its own affair.
            let _closed = pipe.write_all(stdin);
        });
        child.wait_with_output().expect("the program ends")
    });
    Finished {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// What a server printed so far.
#[derive(Debug, Default)]
struct Printed {
    bytes: Mutex<(Vec<u8>, usize)>,
    grown: Condvar,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    pub home: Arc<Home>,
    pub address: SocketAddr,
    child: Child,
    printed: Arc<Printed>,
    readers: Vec<std::thread::JoinHandle<()>>,
    answers: Mutex<Vec<u8>>,
    token: Mutex<Option<String>>,
}

impl Server {
    /// Starts with further environment.
    pub fn start(home: Arc<Home>, environment: &[(&str, &str)]) -> Self {
        let mut command = home.command(&["serve"]);
        command.envs(environment.iter().copied());
        Self::run(home, command)
    }

    /// Starts what becomes the server.
    pub fn run(home: Arc<Home>, mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the server starts");
        let printed = Arc::new(Printed::default());
        let stdout = child.stdout.take().expect("a pipe");
        let stderr = child.stderr.take().expect("a pipe");
        let readers = vec![collect(stdout, Arc::clone(&printed)), collect(stderr, Arc::clone(&printed))];
        let address = match wait_for_address(&printed) {
            Ok(address) => address,
            Err(text) => {
                let _gone = child.kill();
                let _status = child.wait();
                panic!("the server did not say where it listens:\n{text}");
            }
        };
        Self { home, address, child, printed, readers, answers: Mutex::default(), token: Mutex::default() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that the server printed so far.
    pub fn printed(&self) -> Vec<u8> {
        self.printed.bytes.lock().expect("no reader panicked").0.clone()
    }

    /// All bodies and headers of API answers so far.
    pub fn answers(&self) -> Vec<u8> {
        self.answers.lock().expect("no client panicked").clone()
    }

    /// Whether the process still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// An administrator's token, made on first use.
    pub fn token(&self) -> String {
        let mut token = self.token.lock().expect("no client panicked");
        token
            .get_or_insert_with(|| {
                let made = self.mint(&json!({ "name": "t", "role": "admin" }));
                made["token"].as_str().expect("a token").to_owned()
            })
            .clone()
    }

    /// A new API token, made where tokens are made: by the home's owner. `body` is what the API takes.
    #[track_caller]
    pub fn mint(&self, body: &Value) -> Value {
        let mut arguments = vec!["token".to_owned(), "create".to_owned(), "--json".to_owned()];
        let mut add = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
        for name in ["name", "role", "project"] {
            if let Some(value) = body[name].as_str() {
                add(name, value.to_owned());
            }
        }
        for scope in body["scopes"].as_array().into_iter().flatten() {
            add("scope", scope.as_str().expect("a scope").to_owned());
        }
        if let Some(days) = body["days"].as_u64() {
            add("expires", format!("{days}d"));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.home.cli(&arguments).json()
    }

    /// Sends bytes over a new connection.
    #[track_caller]
    pub fn raw(&self, bytes: &[u8]) -> Answer {
        let answer = exchange(self.address, bytes).unwrap_or_else(|error| {
            let end = bytes.len().min(200);
            panic!("no answer: {error}\nrequest: {}", String::from_utf8_lossy(&bytes[..end]))
        });
        self.note(&answer);
        answer
    }

    /// Sends a request over a new connection.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Answer {
        self.raw(&request.to_bytes())
    }

    /// Remembers an answer for the search for secrets.
    pub fn note(&self, answer: &Answer) {
        let mut answers = self.answers.lock().expect("no client panicked");
        for (name, value) in &answer.headers {
            answers.extend_from_slice(format!("{name}: {value}\n").as_bytes());
        }
        answers.extend_from_slice(&answer.body);
        answers.push(b'\n');
    }

    /// Calls the API with the administrator's token.
    #[track_caller]
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let mut request =
            Request::new(method, path).header("Authorization", &format!("Bearer {}", self.token()));
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        self.send(&request)
    }

    /// Reads from the API, which must succeed.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path, None);
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text());
        answer.json()
    }

    /// Posts to the API, which must succeed.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.call("POST", path, Some(body));
        assert!((200..300).contains(&answer.status), "POST {path}: {} {}", answer.status, answer.text());
        answer.json()
    }

    /// All items of a paged list.
    #[track_caller]
    pub fn list(&self, path: &str) -> Vec<Value> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("{path}{separator}limit=200{cursor}"));
            items.extend(page["items"].as_array().expect("items").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    /// A connection for many requests.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address).expect("the server accepts")
    }

    /// Largest resident size so far, KiB.
    pub fn peak_kib(&self) -> u64 {
        self.size_kib("VmHWM:")
    }

    /// Resident size now, KiB.
    pub fn resident_kib(&self) -> u64 {
        self.size_kib("VmRSS:")
    }

    fn size_kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a status file");
        let line = status.lines().find(|line| line.starts_with(name)).expect("the line");
        line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number")
    }

    /// Processor time used so far, seconds.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("a status file");
        let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
        let ticks = |n: usize| fields.split_whitespace().nth(n).and_then(|text| text.parse::<f64>().ok());
        let (user, system) = (ticks(11).expect("user time"), ticks(12).expect("system time"));
        // proc(5) counts in units of USER_HZ, which is 100 on every Linux.
        (user + system) / 100.0
    }

    /// Sends SIGHUP and waits until the server has said what it made of it, `count` times so far.
    #[track_caller]
    pub fn hang_up(&self, count: usize) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("a signal is sent");
        let until = Instant::now() + START_DEADLINE;
        let mut state = self.printed.bytes.lock().expect("no reader panicked");
        loop {
            let text = String::from_utf8_lossy(&state.0).into_owned();
            if let Some(line) = text.lines().filter(|line| line.contains("SIGHUP: ")).nth(count - 1) {
                return line.to_owned();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && state.1 < 2, "no answer to SIGHUP:\n{text}");
            state = self.printed.grown.wait_timeout(state, left).expect("no reader panicked").0;
        }
    }

    /// Waits until the server has printed these words.
    #[allow(dead_code, reason = "the walks through the pages wait so for the demo; they share this file")]
    #[track_caller]
    pub fn wait_for(&self, words: &str) {
        let until = Instant::now() + START_DEADLINE;
        let mut state = self.printed.bytes.lock().expect("no reader panicked");
        while !String::from_utf8_lossy(&state.0).contains(words) {
            let left = until.saturating_duration_since(Instant::now());
            let said = String::from_utf8_lossy(&state.0);
            assert!(!left.is_zero() && state.1 < 2, "the server did not say {words:?}:\n{said}");
            state = self.printed.grown.wait_timeout(state, left).expect("no reader panicked").0;
        }
    }

    /// Ends it at once, as a power failure would.
    pub fn kill(mut self) -> Vec<u8> {
        let _gone = self.child.kill();
        let _status = self.child.wait();
        self.join()
    }

    /// Asks it to stop and waits for it; gives what it printed.
    pub fn stop(mut self) -> (ExitStatus, Vec<u8>) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal is sent");
        let printed = self.join_within(STOP_DEADLINE);
        let status = self.child.wait().expect("the server ends");
        (status, printed)
    }

    /// Waits until it has ended by itself; gives what it printed.
    pub fn wait_for_end(mut self) -> Vec<u8> {
        let printed = self.join_within(STOP_DEADLINE);
        let _status = self.child.wait().expect("the server ends");
        printed
    }

    fn join(&mut self) -> Vec<u8> {
        for reader in self.readers.drain(..) {
            let _finished = reader.join();
        }
        self.printed()
    }

    /// The pipes close when the process ends, so that the readers' end is its end.
    fn join_within(&mut self, deadline: Duration) -> Vec<u8> {
        let until = Instant::now() + deadline;
        let mut state = self.printed.bytes.lock().expect("no reader panicked");
        while state.1 < 2 {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the server did not stop within {} s", deadline.as_secs());
            state = self.printed.grown.wait_timeout(state, left).expect("no reader panicked").0;
        }
        drop(state);
        self.join()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
        self.join();
    }
}

fn collect(pipe: impl Read + Send + 'static, printed: Arc<Printed>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).unwrap_or(0);
            let mut state = printed.bytes.lock().expect("no reader panicked");
            if state.0.len() < OUTPUT_BYTES_MAX {
                state.0.extend_from_slice(&line);
            }
            state.1 += usize::from(read == 0);
            printed.grown.notify_all();
            if read == 0 {
                return;
            }
        }
    })
}

/// What the last line of the announcement begins with: every listener stands above it.
const ANNOUNCED: &str = "\nSee what arrives:";

/// Waits for the announcement, and reads `http://127.0.0.1:PORT` in it.
fn wait_for_address(printed: &Printed) -> Result<SocketAddr, String> {
    let until = Instant::now() + START_DEADLINE;
    let mut state = printed.bytes.lock().expect("no reader panicked");
    loop {
        let text = String::from_utf8_lossy(&state.0).into_owned();
        if text.contains(ANNOUNCED)
            && let Some(address) = address_in(&text)
        {
            return Ok(address);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || state.1 == 2 {
            return Err(text);
        }
        state = printed.grown.wait_timeout(state, left).expect("no reader panicked").0;
    }
}

fn address_in(text: &str) -> Option<SocketAddr> {
    let (_, rest) = text.split_once("listening on http")?;
    let rest = rest.strip_prefix('s').unwrap_or(rest).strip_prefix("://")?;
    // Complete once something follows the digits.
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':')?;
    rest[..end].parse().ok()
}
