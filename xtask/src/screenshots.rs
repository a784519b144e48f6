//! `cargo xtask screenshots`: pictures of every page, at two widths and in both themes, for whoever changes one: a demo with
//! something on each, a new installation with nothing, a database that fails; and the two of the README.

mod places;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use serde_json::{Value, json};

use crate::webdriver::{Scripts, Session};
use crate::workspace::Workspace;
use crate::{process, tools};
use places::Place;

/// Pages of the demo: name of the picture, path. `{ticket}`, `{held}` and `{event}` are filled in.
const PAGES: &[(&str, &str)] = &[
    ("overview", "/"),
    ("tickets", "/tickets?q=is%3Aunresolved&sort=priority"),
    ("no-ticket", "/tickets?q=nothing-has-these-words"),
    ("odd-search", "/tickets?q=is%3Ahalf"),
    ("ticket", "/tickets/{ticket}"),
    ("ticket-held", "/tickets/{held}"),
    ("events", "/tickets/{ticket}/events"),
    ("event", "/events/{event}"),
    ("held", "/held"),
    ("findings", "/findings"),
    ("releases", "/releases"),
    ("release", "/releases/{release}"),
    ("projects", "/projects"),
    ("project", "/projects/default"),
    ("quarantine", "/quarantine"),
    ("doctor", "/doctor"),
    ("alerts", "/alerts"),
    ("channels", "/channels"),
    ("deliveries", "/deliveries"),
    ("users", "/users"),
    ("tokens", "/tokens"),
    ("sessions", "/sessions"),
    ("sessions-all", "/sessions?all=yes"),
    ("audit", "/audit"),
    ("backups", "/backups"),
    ("settings", "/settings"),
    ("display", "/display"),
    ("about", "/about"),
    ("not-found", "/tickets/ACT-20000101-AAAAA"),
    ("no-page", "/nopage"),
    ("told", "/users?done=created"),
];
/// Pages of an installation that has just begun.
const EMPTY: &[(&str, &str)] = &[
    ("first-run", "/"),
    ("empty-tickets", "/tickets"),
    ("empty-held", "/held"),
    ("empty-findings", "/findings"),
    ("empty-quarantine", "/quarantine"),
    ("empty-alerts", "/alerts"),
    ("empty-channels", "/channels"),
    ("empty-deliveries", "/deliveries"),
    ("empty-tokens", "/tokens"),
    ("empty-backups", "/backups"),
];
/// Forms that are sent for a picture of what comes then: name of the picture, page, what is clicked.
const ASKED: &[(&str, &str, &str)] = &[
    ("asked", "/tokens", "tbody button[value=revoke]"),
    ("refused", "/backups", "main button[value=create]"),
    ("secret", "/channels", "#w-ops button[value=rotate]"),
];
/// Pictures of the README, and what they show.
const README: &[(&str, &str)] = &[("overview", "/"), ("ticket", "/tickets/{ticket}")];

const WIDTHS: [u32; 2] = [1280, 390];
/// Height of a window; longer pages are taken whole, up to the second figure.
const HEIGHT: u32 = 900;
const HEIGHT_MAX: u32 = 6_000;
/// A picture of the README is loaded by everybody who looks at the project.
const README_BYTES_MAX: usize = 200_000;

/// Builds, starts servers, and takes all pictures.
pub fn take(workspace: &Workspace) -> Result<()> {
    tools::install_programs(&[("chromium", "chromium"), ("chromedriver", "chromium-driver")])?;
    tools::install_fonts(&[("Inter", "fonts-inter"), ("JetBrains Mono", "fonts-jetbrains-mono")])?;
    process::run(
        std::process::Command::new("cargo")
            .args(["build", "--package", "actifix", "--locked"])
            .current_dir(workspace.root()),
    )?;
    let folder = workspace.path("target/screenshots");
    let scratch = workspace.path("target/screenshots-scratch");
    let _absent = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&folder)?;
    let program = workspace.target_folder().join("debug/actifix");
    of_the_demo(workspace, &program, &scratch, &folder)?;
    of_a_beginning(&program, &scratch, &folder)?;
    println!("{}", folder.display());
    fs::remove_dir_all(&scratch)?;
    Ok(())
}

fn of_the_demo(workspace: &Workspace, program: &Path, scratch: &Path, folder: &Path) -> Result<()> {
    let place = Place::demo(program, &scratch.join("demo"))?;
    let session = place.visit(&scratch.join("demo-profile"))?;
    let names = place.names(&session)?;
    session.prefer_dark(false)?;
    session.resize(WIDTHS[0], HEIGHT)?;
    for (name, path) in README {
        session.go(&place.address(&filled(path, &names)))?;
        let bytes = picture(&session)?;
        if bytes.len() > README_BYTES_MAX {
            bail!("the picture of {name} has {} bytes; {README_BYTES_MAX} are enough", bytes.len());
        }
        let path = workspace.path(&format!("docs/{name}.png"));
        fs::write(&path, bytes)?;
        println!("{}", path.display());
    }
    place.furnish(&session)?;
    for (name, path) in PAGES {
        let address = place.address(&filled(path, &names));
        of_page(&session, folder, name, || session.go(&address))?;
    }
    for (name, path, button) in ASKED {
        of_page(&session, folder, name, || {
            session.go(&place.address(path))?;
            session.click(&session.find(button)?)
        })?;
    }
    Ok(())
}

fn of_a_beginning(program: &Path, scratch: &Path, folder: &Path) -> Result<()> {
    let place = Place::empty(program, &scratch.join("empty"))?;
    let session = Session::open(&folder_for(scratch, "empty-profile")?, Scripts::On)?;
    of_page(&session, folder, "login", || session.go(&place.address("/login")))?;
    drop(session);
    let session = place.visit(&scratch.join("empty-profile-2"))?;
    for (name, path) in EMPTY {
        of_page(&session, folder, name, || session.go(&place.address(path)))?;
    }
    place.spoil()?;
    of_page(&session, folder, "no-database", || session.go(&place.address("/tickets")))
}

fn folder_for(scratch: &Path, name: &str) -> Result<std::path::PathBuf> {
    let folder = scratch.join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Four pictures of what `open` leads to.
fn of_page(session: &Session, folder: &Path, name: &str, open: impl Fn() -> Result<()>) -> Result<()> {
    for width in WIDTHS {
        for (theme, dark) in [("light", false), ("dark", true)] {
            session.prefer_dark(dark)?;
            session.resize(width, HEIGHT)?;
            open()?;
            let long = session.run("return document.documentElement.scrollHeight", &[])?;
            let long = long.as_u64().and_then(|height| u32::try_from(height).ok()).context("a height")?;
            session.resize(width, long.clamp(HEIGHT, HEIGHT_MAX))?;
            fs::write(folder.join(format!("{name}-{width}-{theme}.png")), picture(session)?)?;
        }
    }
    Ok(())
}

fn filled(path: &str, names: &[(&str, String)]) -> String {
    names.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
}

/// The window as a PNG.
fn picture(session: &Session) -> Result<Vec<u8>> {
    let taken = session.devtools("Page.captureScreenshot", &json!({ "format": "png" }))?;
    let data = taken.get("data").and_then(Value::as_str).context("a picture without data")?;
    base64::engine::general_purpose::STANDARD.decode(data).context("a picture that is no base64")
}
