//! `actifix serve`

use super::error::exit;
use super::output;
use super::{CliError, Global};
use crate::config::{Config, ListenerConfig, ServerConfig};
use crate::home::Home;
use crate::lifecycle::{self, Bound};
use crate::telemetry::Log;
use crate::vault::Ask;
use crate::wire;
use actifix_app::tokens::NewToken;
use actifix_domain::access::{Actor, Role};
use clap::Args;
use console::style;
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio::net::TcpListener;

/// Run the server.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  actifix serve                                   start in this directory\n  actifix serve --demo                            sample data in a temporary home\n  actifix --home /var/lib/actifix serve           another home\n  ACTIFIX_LISTENERS__MAIN__BIND=127.0.0.1:8000 actifix serve"
)]
pub struct ServeArgs {
    /// Fill it with captured SDK requests and a flood; the home is temporary unless one is given.
    #[arg(long)]
    demo: bool,
}

/// Runs until it is told to stop.
pub async fn run(global: &Global, args: ServeArgs) -> Result<ExitCode, CliError> {
    let temporary = if args.demo && global.home.as_os_str() == "." {
        Some(tempfile::Builder::new().prefix("actifix-demo-").tempdir().map_err(CliError::other)?)
    } else {
        None
    };
    let root = temporary.as_ref().map_or_else(|| global.home.clone(), |dir| dir.path().to_owned());
    let home = Home::at(root);
    let loaded = wire::load_config(&home)?;
    let bound = bind(&loaded.config).await?;
    let address = bound.first().map(|bound| bound.address);
    let wired = wire::open(&home, loaded.config, address, Ask::TerminalOrInput).await?;
    let log = crate::telemetry::start(&home.logs(), &wired.config.server.log_level, &wired.vault)
        .map_err(CliError::other)?;
    let token = first_token(&wired, args.demo).await?;
    let running = lifecycle::start(&home, &wired, bound).await?;
    let password = if args.demo { demo_password(&wired).await? } else { None };
    announce(&home, &wired, address, token.as_deref(), password.as_deref()).await?;
    if args.demo {
        let summary = crate::demo::fill(&wired.app).await?;
        output::note(summary);
    }
    running.wait_for_stop(|| reload(&home, &wired.config, &log)).await;
    output::note("stopping: open requests finish, accepted events are written");
    running.stop().await;
    wired.close().await?;
    drop(temporary);
    Ok(ExitCode::SUCCESS)
}

/// SIGHUP: takes over what can change while running, and names what cannot. A bad file changes nothing.
fn reload(home: &Home, running: &Config, log: &Log) {
    let config = match wire::load_config(home) {
        Ok(loaded) => loaded.config,
        Err(error) => {
            tracing::error!(error = %error, "config.refused");
            return output::note(format!("SIGHUP: nothing changed: {error}"));
        }
    };
    if let Err(error) = log.reload(&config.server.log_level) {
        tracing::error!(error = %error, "log.not_reloaded");
    }
    let waiting = Config {
        server: ServerConfig { log_level: running.server.log_level.clone(), ..config.server.clone() },
        ..config.clone()
    }
    .changed_sections(running);
    tracing::info!(
        log_level = config.server.log_level,
        restart_needed_for = waiting.join(","),
        "config.reloaded"
    );
    if waiting.is_empty() {
        output::note(format!("SIGHUP: log level {}, log file opened anew", config.server.log_level));
    } else {
        output::note(format!(
            "SIGHUP: log level {}; a restart is needed for changes of: {}",
            config.server.log_level,
            waiting.join(", ")
        ));
    }
}

/// Opens every listener before anything else, so that a taken port costs nothing.
async fn bind(config: &Config) -> Result<Vec<Bound>, CliError> {
    let mut bound = Vec::new();
    for (name, listener) in config.listeners() {
        bound.push(bind_one(&name, &listener).await?);
    }
    bound.sort_by_key(|bound| !bound.modules.contains(&crate::config::Module::Ingest));
    Ok(bound)
}

async fn bind_one(name: &str, listener: &ListenerConfig) -> Result<Bound, CliError> {
    if !listener.bind.ip().is_loopback() {
        return Err(CliError::config(format!(
            "listeners.{name}.bind: {} is not a loopback address: events and tokens would cross the network in clear; bind 127.0.0.1 and put a reverse proxy (nginx, Caddy) in front",
            listener.bind
        )));
    }
    let socket = actifix_web::server::listen(listener.bind).await.map_err(|error| {
        CliError::new(
            exit::CANNOT_CREATE,
            format!(
                "listeners.{name}.bind: {}: {error}: stop what listens there, or choose another port",
                listener.bind
            ),
        )
    })?;
    let address = local_address(&socket)?;
    Ok(Bound { name: name.to_owned(), socket, address, modules: listener.modules.clone() })
}

fn local_address(socket: &TcpListener) -> Result<SocketAddr, CliError> {
    socket.local_addr().map_err(CliError::other)
}

/// A demo without an administrator gets one with a random password, shown now and never again.
async fn demo_password(wired: &wire::Wired) -> Result<Option<String>, CliError> {
    if wired.app.has_admin().await? {
        return Ok(None);
    }
    let password = wired.app.random_password();
    wired.app.set_admin_password(&Actor::System, &password).await?;
    Ok(Some(password))
}

/// A home without a usable token and without an administrator gets a token, shown now and never again.
async fn first_token(wired: &wire::Wired, demo: bool) -> Result<Option<String>, CliError> {
    let app = &wired.app;
    if !app.live_tokens().await?.is_empty() || app.has_admin().await? {
        return Ok(None);
    }
    let name = if demo { "demo" } else { "first start" };
    let new = NewToken { name: name.to_owned(), scopes: Role::Admin.scopes(), project: None, days: 90 };
    let (_, text) = app.create_token(&Actor::System, new).await?;
    Ok(Some(text.reveal().to_owned()))
}

async fn announce(
    home: &Home,
    wired: &wire::Wired,
    address: Option<SocketAddr>,
    token: Option<&str>,
    password: Option<&str>,
) -> Result<(), CliError> {
    let app = &wired.app;
    let dsn = app.dsn(&Actor::System, wire::DEFAULT_PROJECT).await?;
    let mut lines = vec![
        format!("{} {}", style("Actifix").bold(), env!("CARGO_PKG_VERSION")),
        format!("listening on http://{}", address.map(|address| address.to_string()).unwrap_or_default()),
        format!("home         {}", home.root().display()),
        format!("DSN          {dsn}"),
    ];
    if let Some(token) = token {
        lines.push(format!("API token    {token}"));
        lines
            .push("             admin, 90 days, shown only now; more with `actifix token create`".to_owned());
    }
    if let Some(password) = password {
        lines.push(format!("login        admin, password {password} (shown only now)"));
    } else if !app.has_admin().await? {
        lines.push(format!(
            "login        none yet: set a password with `actifix --home {} admin set-password`",
            home.root().display()
        ));
    }
    lines.push(String::new());
    lines.push(format!("Point an SDK at it:   SENTRY_DSN={dsn}"));
    lines.push(format!("See what arrives:     actifix --home {} ticket list", home.root().display()));
    if app.settings().rate_limit_disabled {
        let warning = "WARNING: rate limits are off (ACTIFIX_RATE_LIMIT_DISABLED=1): for tests only";
        lines.push(style(warning).red().bold().to_string());
        tracing::warn!("rate limits are off");
    }
    output::line(lines.join("\n"))
}
