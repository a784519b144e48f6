//! `serve --production`: what must hold before a server that matters starts. The facts; what they mean is decided in
//! `actifix_app::doctor`.

use crate::config::environment;
use crate::home::Home;
use crate::wire::Wired;
use actifix_app::doctor::{Check, KeyPlace, ListenerFact, StaticFacts, static_checks};
use actifix_app::error::Result;
use actifix_app::ports::Vault;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files of a home that are looked at.
const FILES_MAX: usize = 10_000;

/// The static checks of this home.
pub async fn check(home: &Home, wired: &Wired) -> Result<Vec<Check>> {
    let server = &wired.config.server;
    let listeners = wired.config.listeners().into_iter().map(|(name, listener)| ListenerFact {
        name,
        loopback: listener.bind.ip().to_canonical().is_loopback(),
        tls: listener.tls.is_some(),
    });
    let facts = StaticFacts {
        admin_password: wired.app.admin_password_set().await?,
        key: key_place(home, wired)?,
        files: files(home),
        listeners: listeners.collect(),
        public_url: server.public_url.clone(),
        trusted_proxies: !server.trusted_proxies.is_empty(),
        allow_plain_http: server.allow_plain_http,
        rate_limit_disabled: wired.app.settings().rate_limit_disabled,
        allowed_origins: wired.config.cors.allowed_origins.clone(),
        ending_tokens: wired.app.ending_tokens().await?,
        webhooks: wired.app.webhook_facts().await?,
    };
    Ok(static_checks(&facts))
}

/// Where the root key comes from; any file within the home that holds it counts, whatever this start was given, as it is
/// in every copy of the home.
fn key_place(home: &Home, wired: &Wired) -> Result<KeyPlace> {
    let status = wired.vault.status()?;
    let recorded = (status.backend == "file").then(|| PathBuf::from(&status.place));
    let lying = std::iter::once(home.private().join("root.key")).chain(recorded);
    for path in lying {
        if fs::symlink_metadata(&path).is_ok() && is_within(home, &path.display().to_string()) {
            return Ok(KeyPlace::InHome(path.display().to_string()));
        }
    }
    if environment("ACTIFIX_MASTER_KEY").is_some() {
        return Ok(KeyPlace::Apart("ACTIFIX_MASTER_KEY".to_owned()));
    }
    if let Some(path) = environment("ACTIFIX_MASTER_KEY_FILE") {
        let what = "the file that ACTIFIX_MASTER_KEY_FILE names";
        return Ok(if is_within(home, &path) {
            KeyPlace::InHome(path)
        } else {
            KeyPlace::Apart(what.to_owned())
        });
    }
    Ok(KeyPlace::Apart(status.place))
}

fn is_within(home: &Home, path: &str) -> bool {
    let resolved = fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
    let root = fs::canonicalize(home.root()).unwrap_or_else(|_| home.root().to_owned());
    resolved.starts_with(root)
}

/// Directories and files that hold data, with what is wrong with each.
fn files(home: &Home) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    let mut waiting = vec![home.data(), home.private()];
    if home.config().exists() {
        waiting.push(home.config());
    }
    while let Some(path) = waiting.pop() {
        if found.len() >= FILES_MAX {
            found.push((home.root().display().to_string(), Some("more files than are looked at".to_owned())));
            break;
        }
        let name = path.strip_prefix(home.root()).unwrap_or(&path).display().to_string();
        match look_at(&path, path == home.config()) {
            Ok((wrong, inside)) => {
                found.push((name, wrong));
                waiting.extend(inside);
            }
            // It went between the listing and the look: it holds nothing any more.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => found.push((name, Some(error.to_string()))),
        }
    }
    found
}

/// What is wrong with a path, and what lies in it.
fn look_at(path: &Path, readable: bool) -> io::Result<(Option<String>, Vec<PathBuf>)> {
    let meta = fs::symlink_metadata(path)?;
    let mode = meta.mode() & 0o7777;
    let inside = if meta.is_dir() {
        fs::read_dir(path)?
            .take(FILES_MAX)
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<_>>()?
    } else {
        Vec::new()
    };
    // The configuration holds no secrets, only references: others may read it, not write it.
    let forbidden = if readable { 0o022 } else { 0o077 };
    let owner = rustix::process::geteuid().as_raw();
    let wrong = if meta.is_symlink() {
        Some("a symbolic link".to_owned())
    } else if mode & forbidden != 0 {
        Some(format!("mode {mode:04o}"))
    } else if meta.uid() != owner && meta.uid() != 0 {
        Some(format!("belongs to user {}", meta.uid()))
    } else {
        None
    };
    Ok((wrong, inside))
}
