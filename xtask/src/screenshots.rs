//! `cargo xtask screenshots`: pictures of the main pages of a demo, at two widths and in both themes, for whoever changes
//! a page; and the two of the README.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use serde_json::{Value, json};

use crate::webdriver::{Scripts, Session};
use crate::workspace::Workspace;
use crate::{process, tools};

/// Main pages: name of the picture, path. `{ticket}` and `{event}` are filled in from the demo.
const PAGES: &[(&str, &str)] = &[
    ("overview", "/"),
    ("tickets", "/tickets?q=is%3Aunresolved&sort=priority"),
    ("no-ticket", "/tickets?q=nothing-has-these-words"),
    ("ticket", "/tickets/{ticket}"),
    ("events", "/tickets/{ticket}/events"),
    ("event", "/events/{event}"),
    ("held", "/held"),
    ("findings", "/findings"),
    ("projects", "/projects"),
    ("project", "/projects/default"),
    ("not-found", "/tickets/ACT-20000101-AAAAA"),
];
/// Pictures of the README, and what they show.
const README: &[(&str, &str)] = &[("overview", "/"), ("ticket", "/tickets/{ticket}")];
/// What the demo's best ticket is found by.
const TICKET: &str = "/tickets?q=PaymentError&sort=priority";

const WIDTHS: [u32; 2] = [1280, 390];
/// Height of a window; longer pages are taken whole, up to the second figure.
const HEIGHT: u32 = 900;
const HEIGHT_MAX: u32 = 6_000;
/// A picture of the README is loaded by everybody who looks at the project.
const README_BYTES_MAX: usize = 200_000;

/// A demo, and the password that it printed.
struct Demo {
    child: Child,
    base: String,
    password: String,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Builds, starts a demo, and takes all pictures.
pub fn take(workspace: &Workspace) -> Result<()> {
    tools::install_programs(&[("chromium", "chromium"), ("chromedriver", "chromium-driver")])?;
    tools::install_fonts(&[("Inter", "fonts-inter"), ("JetBrains Mono", "fonts-jetbrains-mono")])?;
    process::run(
        Command::new("cargo")
            .args(["build", "--package", "actifix", "--locked"])
            .current_dir(workspace.root()),
    )?;
    let folder = workspace.path("target/screenshots");
    let scratch = workspace.path("target/screenshots-scratch");
    let _absent = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&folder)?;
    fs::create_dir_all(scratch.join("profile"))?;
    let demo = start(&workspace.target_folder().join("debug/actifix"), &scratch.join("home"))?;
    let session = Session::open(&scratch.join("profile"), Scripts::On)?;
    session.resize(WIDTHS[0], HEIGHT)?;
    session.devtools("Emulation.setScrollbarsHidden", &json!({ "hidden": true }))?;
    sign_in(&session, &demo)?;
    let places = places(&session, &demo)?;
    for (name, path) in PAGES {
        for width in WIDTHS {
            for (theme, dark) in [("light", false), ("dark", true)] {
                session.prefer_dark(dark)?;
                session.resize(width, HEIGHT)?;
                session.go(&format!("{}{}", demo.base, filled(path, &places)))?;
                let long = session.run("return document.documentElement.scrollHeight", &[])?;
                let long = long.as_u64().and_then(|height| u32::try_from(height).ok()).context("a height")?;
                session.resize(width, long.clamp(HEIGHT, HEIGHT_MAX))?;
                fs::write(folder.join(format!("{name}-{width}-{theme}.png")), picture(&session)?)?;
            }
        }
    }
    println!("{}", folder.display());
    session.prefer_dark(false)?;
    session.resize(WIDTHS[0], HEIGHT)?;
    for (name, path) in README {
        session.go(&format!("{}{}", demo.base, filled(path, &places)))?;
        let bytes = picture(&session)?;
        if bytes.len() > README_BYTES_MAX {
            bail!("the picture of {name} has {} bytes; {README_BYTES_MAX} are enough", bytes.len());
        }
        let path = workspace.path(&format!("docs/{name}.png"));
        fs::write(&path, bytes)?;
        println!("{}", path.display());
    }
    drop(session);
    drop(demo);
    fs::remove_dir_all(&scratch)?;
    Ok(())
}

/// Starts a demo on a free port, and waits until it is filled.
fn start(program: &Path, home: &Path) -> Result<Demo> {
    let mut child = Command::new(program)
        .args(["serve", "--demo"])
        .env("ACTIFIX_HOME", home)
        .env("ACTIFIX_LISTENERS__MAIN__BIND", "127.0.0.1:0")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{} does not start", program.display()))?;
    let stdout = child.stdout.take().context("a pipe")?;
    let mut demo = Demo { child, base: String::new(), password: String::new() };
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if let Some((_, rest)) = line.split_once("http://127.0.0.1:")
            && demo.base.is_empty()
        {
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            demo.base = format!("http://127.0.0.1:{port}");
        }
        if let Some((_, rest)) = line.split_once("login        admin, password ") {
            demo.password = rest.split(" (").next().unwrap_or_default().to_owned();
        }
        if line.starts_with("See what arrives:") {
            break;
        }
    }
    if demo.base.is_empty() || demo.password.is_empty() {
        bail!("the demo did not say where it listens and how to sign in");
    }
    Ok(demo)
}

fn sign_in(session: &Session, demo: &Demo) -> Result<()> {
    session.go(&format!("{}/login", demo.base))?;
    session.enter(&session.find("[name=username]")?, "admin")?;
    session.enter(&session.find("[name=password]")?, &demo.password)?;
    session.click(&session.find("button[type=submit]")?)?;
    session.find("header.top").map(|_| ())
}

/// What the names in braces stand for.
fn places(session: &Session, demo: &Demo) -> Result<[(&'static str, String); 2]> {
    session.go(&format!("{}{TICKET}", demo.base))?;
    session.click(&session.find("table.tk a.t")?)?;
    let event = session.find("#trace a[href$='/json']")?;
    let href = session.run("return arguments[0].getAttribute('href')", &[event.to_json()])?;
    let event = href.as_str().and_then(|href| href.split('/').nth(2)).context("an event")?.to_owned();
    let url = session.url()?;
    let ticket = url.rsplit('/').next().context("a ticket")?.to_owned();
    Ok([("{ticket}", ticket), ("{event}", event)])
}

fn filled(path: &str, places: &[(&str, String)]) -> String {
    places.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
}

/// The window as a PNG.
fn picture(session: &Session) -> Result<Vec<u8>> {
    let taken = session.devtools("Page.captureScreenshot", &json!({ "format": "png" }))?;
    let data = taken.get("data").and_then(Value::as_str).context("a picture without data")?;
    base64::engine::general_purpose::STANDARD.decode(data).context("a picture that is no base64")
}
