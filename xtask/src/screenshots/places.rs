//! Servers that pictures are taken of.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::process;
use crate::webdriver::{Scripts, Session};

/// What the demo's best ticket is found by, and one that is held.
const TICKET: &str = "/tickets?q=PaymentError&sort=priority";
const HELD: &str = "/tickets?q=is%3Aheld";
/// The administrator of an empty place; it is removed with its pictures' scratch folder.
const PASSWORD: &str = "nine lamps in the rain";

/// Puts something on each page of the system: what people, channels and SDKs would leave there.
const FURNISH: &str = r#"
const csrf = document.querySelector("[name=csrf]").value;
const dsn = new URL(arguments[0]);
const send = async (method, path, body) => {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": csrf };
  const answer = await fetch(path, { method, headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(method + " " + path + ": " + answer.status + " " + await answer.text());
};
const api = (path, body) => send("POST", "/api/v1/" + path, body);
const store = (body) => send("POST", "/api" + dsn.pathname + "/store/?sentry_key=" + dsn.username, body);
return (async () => {
  await api("users", { name: "mara", role: "operator", password: "violet tractor hums quietly" });
  await api("users", { name: "ines", role: "viewer", password: "amber kites over harbour" });
  await api("tokens", { name: "deployment", role: "viewer", days: 90 });
  await api("tokens", { name: "fixer-1", role: "agent", days: 7 });
  await api("webhooks", { name: "ops", kind: "webhook", url: "https://127.0.0.1:9/alerts" });
  await api("webhooks", { name: "team-chat", kind: "slack", url: "https://127.0.0.1:9/services/T0" });
  await api("alert-rules", { name: "urgent", triggers: ["new", "regressed"], endpoints: ["ops"], when: { priority_min: "P1" } });
  await api("alert-rules", { name: "payments", triggers: ["new", "rate"], rate: { count: 100, minutes: 5 }, when: { source: ["app.payments.*"], environment: ["production", "eu-*"] } });
  await api("retention/holds", { project: "flood", reason: "Inquiry of 24 November, asked for by ines" });
  await api("events", { message: "gateway timed out after 0.8 s", type: "PaymentError", priority: "P0" });
  const log = Array.from({ length: 12000 }, (_, n) => "pass" + "word=tr0ub4dor-" + (n * 7919 % 1048573).toString(16) + "-" + n).join("\n");
  await store({ message: "worker log", extra: { log } });
  return true;
})();
"#;

/// A server with an administrator.
pub struct Place {
    child: Child,
    home: PathBuf,
    base: String,
    password: String,
    dsn: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Place {
    /// A demo, once it is filled.
    pub fn demo(program: &Path, home: &Path) -> Result<Self> {
        fs::create_dir_all(home)?;
        let key = home.join("backup.key");
        let mut keygen = Command::new(program);
        keygen.arg("--home").arg(home).args(["backup", "keygen", "--out"]).arg(key);
        let recipient = process::output(&mut keygen)?;
        let settings = format!(
            "[outbound]\nallow_private = [\"127.0.0.0/8\"]\n[backup]\nrecipients = [\"{}\"]\n",
            recipient.trim()
        );
        Self::start(program, home, &settings, &["serve", "--demo"])
    }

    /// An installation in which nothing happened yet.
    pub fn empty(program: &Path, home: &Path) -> Result<Self> {
        fs::create_dir_all(home)?;
        let mut command = Command::new(program);
        command.arg("--home").arg(home).args(["admin", "set-password", "--stdin"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        child.stdin.take().context("a pipe")?.write_all(PASSWORD.as_bytes())?;
        if !child.wait()?.success() {
            bail!("the password was not set");
        }
        Self::start(program, home, "", &["serve"])
    }

    /// Starts a server on a free port, and waits until it says that it is ready.
    fn start(program: &Path, home: &Path, settings: &str, arguments: &[&str]) -> Result<Self> {
        fs::write(home.join("actifix.toml"), settings)?;
        let mut child = Command::new(program)
            .arg("--home")
            .arg(home)
            .args(arguments)
            .env("ACTIFIX_LISTENERS__MAIN__BIND", "127.0.0.1:0")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let stdout = child.stdout.take().context("a pipe")?;
        let mut place = Self {
            child,
            home: home.to_owned(),
            base: String::new(),
            password: PASSWORD.to_owned(),
            dsn: String::new(),
        };
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("http://127.0.0.1:")
                && place.base.is_empty()
            {
                let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
                place.base = format!("http://127.0.0.1:{port}");
            }
            if let Some((_, rest)) = line.split_once("login        admin, password ") {
                place.password = rest.split(" (").next().unwrap_or_default().to_owned();
            }
            if line.starts_with("See what arrives:") {
                break;
            }
        }
        if place.base.is_empty() {
            bail!("the server did not say where it listens");
        }
        let mut dsn = Command::new(program);
        dsn.arg("--home").arg(home).arg("dsn");
        place.dsn = process::output(&mut dsn)?.trim().to_owned();
        Ok(place)
    }

    /// The address of a path.
    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A browser whose person is signed in.
    pub fn visit(&self, profile: &Path) -> Result<Session> {
        fs::create_dir_all(profile)?;
        let session = Session::open(profile, Scripts::On)?;
        session.devtools("Emulation.setScrollbarsHidden", &json!({ "hidden": true }))?;
        session.go(&self.address("/login"))?;
        session.enter(&session.find("[name=username]")?, "admin")?;
        session.enter(&session.find("[name=password]")?, &self.password)?;
        session.click(&session.find("button[type=submit]")?)?;
        session.find("header.top nav")?;
        Ok(session)
    }

    /// Puts something on every page.
    pub fn furnish(&self, session: &Session) -> Result<()> {
        session.go(&self.address("/tokens"))?;
        session.run(FURNISH, &[json!(self.dsn)])?;
        // What is sent in vain is seen by then, and a backup of its own is made.
        session.go(&self.address("/deliveries"))?;
        session.find(".st.due")?;
        Ok(())
    }

    /// What the names in braces stand for.
    pub fn names(&self, session: &Session) -> Result<[(&'static str, String); 4]> {
        let first = |search: &str| -> Result<String> {
            session.go(&self.address(search))?;
            session.click(&session.find("table.tk a.t")?)?;
            let url = session.url()?;
            Ok(url.rsplit('/').next().context("a ticket")?.to_owned())
        };
        let held = first(HELD)?;
        let ticket = first(TICKET)?;
        let event = session.find("#trace a[href$='/json']")?;
        let href = session.run("return arguments[0].getAttribute('href')", &[event.to_json()])?;
        let event = href.as_str().and_then(|href| href.split('/').nth(2)).context("an event")?.to_owned();
        session.go(&self.address("/releases"))?;
        session.click(&session.find("main table a[href*='/releases/']")?)?;
        let release = session.url()?.rsplit('/').next().context("a release")?.to_owned();
        Ok([("{ticket}", ticket), ("{held}", held), ("{event}", event), ("{release}", release)])
    }

    /// Writes over the database, as a failing disk would.
    pub fn spoil(&self) -> Result<()> {
        let folder = self.home.join("data");
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.ends_with(".db") || name.ends_with(".db-wal") {
                let length = usize::try_from(fs::metadata(&path)?.len())?;
                let mut file = fs::OpenOptions::new().write(true).open(&path)?;
                file.write_all(&vec![0x5a; length])?;
            }
        }
        Ok(())
    }
}
