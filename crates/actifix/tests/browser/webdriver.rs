//! A client of chromedriver: the commands of W3C WebDriver, and two of Chromium's own, that walks through pages need.
//!
//! Also compiled into xtask, which takes the pictures. Why it is not `thirtyfour`: decision 0019.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// The name under which WebDriver passes an element (W3C WebDriver, 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// An element that is looked for must appear within this time; chromedriver itself waits for it.
const FOUND_WITHIN_MS: u64 = 20_000;
/// A page must be loaded within this time, and a script must end.
const LOADED_WITHIN_MS: u64 = 60_000;
/// No command takes longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);
/// Largest answer that is read: a picture of a long page in base64 stays below.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Chromium as the tests start it: alone, without a screen, silent on the network.
const ARGUMENTS: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    // Its end of the pipe closes with chromedriver, however that ends: no browser is left behind.
    "--remote-debugging-pipe",
];

/// Whether pages may run scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripts {
    On,
    Off,
}

/// One browser with one tab, and the chromedriver that steers it.
#[derive(Debug)]
pub struct Session {
    child: Child,
    /// Kept open: chromedriver would end when it prints into a closed pipe.
    _stdout: BufReader<ChildStdout>,
    port: u16,
    path: String,
}

/// An element of the present page.
#[derive(Clone, Debug)]
pub struct Element(String);

impl Element {
    /// As an argument of a script.
    pub fn to_json(&self) -> Value {
        json!({ ELEMENT: self.0 })
    }
}

impl Session {
    /// Starts a browser whose profile is `profile`, an empty folder.
    pub fn open(profile: &Path, scripts: Scripts) -> Result<Self> {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("chromedriver does not start: `cargo xtask install-tools` installs chromium and chromium-driver")?;
        let mut stdout = BufReader::new(child.stdout.take().context("a pipe")?);
        let port = match announced_port(&mut stdout) {
            Ok(port) => port,
            Err(error) => {
                end(&mut child);
                return Err(error);
            }
        };
        // From here on it ends when this is dropped.
        let mut session = Self { child, _stdout: stdout, port, path: String::new() };
        let made = session.send("POST", "/session", Some(&capabilities(profile, scripts)))?;
        let id = made.get("sessionId").and_then(Value::as_str).context("a session without an id")?;
        session.path = format!("/session/{id}");
        Ok(session)
    }

    /// Opens an address, and waits until it is loaded.
    pub fn go(&self, url: &str) -> Result<()> {
        self.post("/url", &json!({ "url": url })).map(|_| ())
    }

    /// Address of the page.
    pub fn url(&self) -> Result<String> {
        text_of(self.get("/url")?)
    }

    /// Waits for an element by a CSS selector.
    pub fn find(&self, selector: &str) -> Result<Element> {
        self.find_by("css selector", selector)
    }

    /// Waits for an element by an XPath expression.
    pub fn find_xpath(&self, path: &str) -> Result<Element> {
        self.find_by("xpath", path)
    }

    fn find_by(&self, using: &str, what: &str) -> Result<Element> {
        let found = self
            .post("/element", &json!({ "using": using, "value": what }))
            .with_context(|| format!("{what} did not appear"))?;
        let id = found.get(ELEMENT).and_then(Value::as_str).context("an element without an id")?;
        Ok(Element(id.to_owned()))
    }

    /// The element that has the focus.
    pub fn focused(&self) -> Result<Element> {
        let found = self.get("/element/active")?;
        let id = found.get(ELEMENT).and_then(Value::as_str).context("nothing has the focus")?;
        Ok(Element(id.to_owned()))
    }

    /// Clicks, and waits for the page that the click leads to.
    pub fn click(&self, element: &Element) -> Result<()> {
        self.post(&format!("/element/{}/click", element.0), &json!({})).map(|_| ())
    }

    /// Types into an element, after what is there already.
    pub fn enter(&self, element: &Element, text: &str) -> Result<()> {
        self.post(&format!("/element/{}/value", element.0), &json!({ "text": text })).map(|_| ())
    }

    /// Empties a field.
    pub fn clear(&self, element: &Element) -> Result<()> {
        self.post(&format!("/element/{}/clear", element.0), &json!({})).map(|_| ())
    }

    /// Text of an element as it is rendered.
    pub fn text(&self, element: &Element) -> Result<String> {
        text_of(self.get(&format!("/element/{}/text", element.0))?)
    }

    /// Presses keys one after the other, wherever the focus is. Special keys are W3C's code points (U+E000 on).
    pub fn press(&self, keys: &str) -> Result<()> {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| {
                ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() }))
            })
            .collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes });
        self.post("/actions", &json!({ "actions": [keyboard] })).map(|_| ())
    }

    /// Runs the body of a function in the page, and waits for the promise that it may return.
    pub fn run(&self, script: &str, arguments: &[Value]) -> Result<Value> {
        self.post("/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// A command of the Chrome DevTools protocol.
    pub fn devtools(&self, command: &str, parameters: &Value) -> Result<Value> {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// What was logged since it was last asked for: `browser` is the console, `performance` the network.
    pub fn log(&self, kind: &str) -> Result<Vec<Value>> {
        match self.post("/se/log", &json!({ "type": kind }))? {
            Value::Array(entries) => Ok(entries),
            other => bail!("the log is no list: {other}"),
        }
    }

    /// Size of the window's inside in CSS pixels; a window itself cannot be as narrow as a telephone.
    pub fn resize(&self, width: u32, height: u32) -> Result<()> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &size).map(|_| ())
    }

    /// The theme that the system of this person prefers.
    pub fn prefer_dark(&self, dark: bool) -> Result<()> {
        let value = if dark { "dark" } else { "light" };
        // Without motion: a colour that is still on its way to the other theme would be judged.
        let features = json!({ "features": [
            { "name": "prefers-color-scheme", "value": value },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ] });
        self.devtools("Emulation.setEmulatedMedia", &features).map(|_| ())
    }

    fn get(&self, end: &str) -> Result<Value> {
        self.send("GET", &format!("{}{end}", self.path), None)
    }

    fn post(&self, end: &str, body: &Value) -> Result<Value> {
        self.send("POST", &format!("{}{end}", self.path), Some(body))
    }

    /// One command over a connection of its own.
    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).context("chromedriver is gone")?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.set_write_timeout(Some(ANSWER_WITHIN))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let answer = read_answer(&mut BufReader::new(stream)).with_context(|| format!("{method} {path}"))?;
        let mut answer: Value = serde_json::from_slice(&answer).context("chromedriver sent no JSON")?;
        let value = answer.get_mut("value").map(Value::take).context("an answer without a value")?;
        if let Some(error) = value.get("error").and_then(Value::as_str) {
            let message = value.get("message").and_then(Value::as_str).unwrap_or_default();
            bail!("{error}: {}", message.lines().next().unwrap_or_default());
        }
        Ok(value)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Lets the browser end by itself; where that fails, the pipe between the two ends it.
        if !self.path.is_empty() {
            let _gone = self.send("DELETE", &self.path, None);
        }
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    let _gone = child.kill();
    let _status = child.wait();
}

/// Reads `... started successfully on port 40123.`
fn announced_port(stdout: &mut BufReader<ChildStdout>) -> Result<u16> {
    let mut line = String::new();
    while stdout.read_line(&mut line).context("chromedriver prints no text")? > 0 {
        if let Some((_, end)) = line.split_once("successfully on port ") {
            return end.trim_end().trim_end_matches('.').parse().context("a port");
        }
        line.clear();
    }
    bail!("chromedriver ended before it said its port")
}

fn capabilities(profile: &Path, scripts: Scripts) -> Value {
    let mut arguments: Vec<String> = ARGUMENTS.iter().map(|&argument| argument.to_owned()).collect();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    let mut chrome = json!({ "args": arguments });
    if scripts == Scripts::Off {
        chrome["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
    }
    json!({ "capabilities": { "alwaysMatch": {
        "browserName": "chrome",
        "goog:chromeOptions": chrome,
        "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        "timeouts": { "implicit": FOUND_WITHIN_MS, "pageLoad": LOADED_WITHIN_MS, "script": LOADED_WITHIN_MS },
    } } })
}

/// Body of an answer whose length is given.
fn read_answer(reader: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut length = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            bail!("chromedriver closed the connection");
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = Some(value.trim().parse::<u64>().context("a length")?);
        }
    }
    let length = length.context("an answer without a length")?;
    let mut body = Vec::new();
    reader.take(length.min(ANSWER_BYTES_MAX)).read_to_end(&mut body)?;
    if body.len() as u64 != length {
        bail!("an answer of {length} bytes ended after {}", body.len());
    }
    Ok(body)
}

fn text_of(value: Value) -> Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("no text: {value}"))
}
