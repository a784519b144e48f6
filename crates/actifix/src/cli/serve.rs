//! `actifix serve`

mod reload;

use super::client::Client;
use super::error::exit;
use super::output;
use super::{CliError, Global};
use crate::certificate::Certificate;
use crate::config::{self, Config, Exposure, ListenerConfig, exposure};
use crate::home::Home;
use crate::lifecycle::{self, Bound, Live, Signals, Wake};
use crate::served::Served;
use crate::system::SystemClock;
use crate::telemetry::{self, Log};
use crate::vault::Ask;
use crate::wire;
use actifix_app::doctor::{Check, State};
use actifix_app::ports::Clock;
use actifix_app::tokens::NewToken;
use actifix_domain::access::{Actor, Role};
use actifix_web::cors::Origins;
use actifix_web::server::reserve;
use clap::Args;
use console::style;
use metrics_exporter_prometheus::PrometheusHandle;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

/// Told where it holds.
pub(super) const RATES_OFF: &str =
    "WARNING: rate limits are off (ACTIFIX_RATE_LIMIT_DISABLED=1): for tests only";

/// Run the server.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  actifix serve                                   start in this directory\n  actifix serve --demo                            sample data in a temporary home\n  actifix --home /var/lib/actifix serve           another home\n  ACTIFIX_LISTENERS__MAIN__BIND=127.0.0.1:8000 actifix serve"
)]
pub struct ServeArgs {
    /// Fill it with captured SDK requests and a flood; the home is temporary unless one is given. It ends with its terminal.
    #[arg(long)]
    demo: bool,
    /// Start only if the deployment is as the hardening guide says; otherwise name what is not.
    #[arg(long, conflicts_with = "demo")]
    production: bool,
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
    // Before its port is found taken, which would blame the port.
    if let Some(pid) = Client::server_of(&home).await {
        return Err(served_already(&home, pid));
    }
    let loaded = wire::load_config(&home)?;
    check_rate_limit_override(&loaded.config, args.production)?;
    let mut bound = reserve_all(&loaded.config)?;
    let url = bound.first().map(Bound::url);
    let wired = wire::open(&home, loaded, url, Ask::TerminalOrInput).await?;
    if let Err(error) = wire::enable_sign_in(&home, &wired).await {
        wired.close().await?;
        return Err(error);
    }
    let live = match prepare(&home, &wired, &mut bound, args.production).await {
        Ok(live) => live,
        Err(error) => {
            wired.close().await?;
            return Err(error);
        }
    };
    let log = start_log(&home, &wired)?;
    tell_strangers(&wired.config);
    reload::record_settings(&wired, "start", &wired.config.values()).await?;
    crate::wire::environment_webhooks(&home, &wired).await?;
    let token = first_token(&wired, args.demo).await?;
    let listening: Vec<(String, Exposure)> =
        bound.iter().map(|bound| (bound.url(), bound.exposure)).collect();
    let mut signals = Signals::install().map_err(CliError::other)?;
    // Before anybody can ask.
    let mut served = Served {
        url: wired.app.settings().public_url.clone(),
        started_at: wired.app.now(),
        values: wired.config.values(),
    };
    reload::note_served(&home, &served);
    let running = lifecycle::start(&home, &wired, bound, (&live.0, &log), live.1).await?;
    let password = if args.demo { demo_password(&wired).await? } else { None };
    announce(&home, &wired, &listening, token.as_deref(), password.as_deref()).await?;
    if args.demo {
        let summary = crate::demo::fill(&wired.app).await?;
        output::note(summary);
    }
    while signals.next().await == Wake::HangUp {
        // A demo belongs to its terminal, and ends with it.
        if args.demo {
            break;
        }
        reload::reload(&home, &wired, &log, &live.0, &mut served).await;
    }
    output::note("stopping: open requests finish, accepted events are written");
    running.stop().await;
    wired.close().await?;
    drop(temporary);
    Ok(ExitCode::SUCCESS)
}

/// A home has one server.
fn served_already(home: &Home, pid: i32) -> CliError {
    let at = Served::read(home).map(|served| format!(" at {}", served.url)).unwrap_or_default();
    let message = format!(
        "home {}: an actifix (pid {pid}) serves it already{at}: stop that with `kill {pid}`, or serve another home with --home DIR",
        home.root().display()
    );
    CliError::new(exit::TRY_LATER, message)
}

/// Says once which variables were probably meant to do something.
fn tell_strangers(config: &Config) {
    let names = config::environment_all().into_iter().map(|(name, _)| name);
    for stranger in config::strangers(config, names) {
        tracing::warn!(name = stranger.name, meant = stranger.meant, "environment.unknown_variable");
        output::note(stranger.to_string());
    }
}

/// Starts to write the server's own log.
fn start_log(home: &Home, wired: &wire::Wired) -> Result<Arc<Log>, CliError> {
    let config = &wired.config;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    telemetry::start(&home.logs(), &config.server.log_level, &wired.vault, &config.retention, &clock)
        .map(Arc::new)
        .map_err(CliError::other)
}

/// `ACTIFIX_RATE_LIMIT_DISABLED=1` is for tests on one machine.
pub(super) fn check_rate_limit_override(config: &Config, production: bool) -> Result<(), CliError> {
    if !wire::rate_limit_disabled() {
        return Ok(());
    }
    let far = config.listeners().into_values().any(|listener| !is_loopback(&listener));
    if production || far {
        return Err(CliError::config(
            "ACTIFIX_RATE_LIMIT_DISABLED=1 is for tests on this machine: unset it, or bind loopback addresses only and leave --production out",
        ));
    }
    Ok(())
}

fn is_loopback(listener: &ListenerConfig) -> bool {
    listener.bind.ip().to_canonical().is_loopback()
}

/// All that must hold before anybody can connect: an administrator, certificates, and the checks of `--production`.
async fn prepare(
    home: &Home,
    wired: &wire::Wired,
    bound: &mut [Bound],
    production: bool,
) -> Result<(Arc<Live>, PrometheusHandle), CliError> {
    let metrics = lifecycle::install_metrics()?;
    let far = bound.iter().find(|bound| !bound.address.ip().to_canonical().is_loopback());
    if let Some(far) = far
        && !production
        && !wired.app.admin_password_set().await?
    {
        return Err(CliError::config(format!(
            "listeners.{}.bind: {} is not a loopback address and no admin password is set: run `actifix admin set-password`, then start again",
            far.name, far.address
        )));
    }
    let listeners = wired.config.listeners();
    let mut certificates = Vec::new();
    for bound in bound.iter_mut() {
        let Some(tls) = listeners.get(&bound.name).and_then(|listener| listener.tls.as_ref()) else {
            continue;
        };
        let certificate =
            Certificate::load(home, &bound.name, tls, wired.app.now()).map_err(CliError::config)?;
        bound.tls = Some(certificate.server_config().map_err(CliError::config)?);
        certificates.push(certificate);
    }
    if production {
        wired.site.starts_in_production();
        refuse_unready(&wired.app.check_start().await?)?;
    }
    let origins = Origins::new(&wired.config.cors.allowed_origins);
    Ok((Arc::new(Live { origins, certificates }), metrics))
}

/// Names every check that failed, then refuses.
fn refuse_unready(checks: &[Check]) -> Result<(), CliError> {
    let failed: Vec<&Check> =
        checks.iter().filter(|check| matches!(check.state, State::Fail | State::Unknown)).collect();
    for check in &failed {
        output::note(format!("{}: {}: {}", check.id, check.evidence, check.advice));
    }
    if failed.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = failed.iter().map(|check| check.id).collect();
    Err(CliError::config(format!(
        "--production: not ready ({}): mend what is named above, then start again",
        ids.join(", ")
    )))
}

/// Takes the address of every listener before anything else, so that a taken port costs nothing. The one that carries
/// ingest comes first.
fn reserve_all(config: &Config) -> Result<Vec<Bound>, CliError> {
    let mut bound = Vec::new();
    for (name, listener) in config.listeners() {
        let exposure = exposure(config, &name).map_err(CliError::config)?;
        let socket =
            reserve(listener.bind).map_err(|error| lifecycle::cannot_listen(&name, listener.bind, error))?;
        let address = socket.local_addr().map_err(CliError::other)?;
        bound.push(Bound { name, socket, address, modules: listener.modules, exposure, tls: None });
    }
    bound.sort_by_key(|bound| !bound.modules.contains(&crate::config::Module::Ingest));
    Ok(bound)
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

/// A home without a usable token and without an administrator gets a token, shown now and never again. Only to a person:
/// what a service prints is kept in a journal.
async fn first_token(wired: &wire::Wired, demo: bool) -> Result<Option<String>, CliError> {
    let app = &wired.app;
    if !demo && !std::io::stdout().is_terminal() {
        return Ok(None);
    }
    if !app.live_tokens(&Actor::System).await?.is_empty() || app.has_admin().await? {
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
    listening: &[(String, Exposure)],
    token: Option<&str>,
    password: Option<&str>,
) -> Result<(), CliError> {
    let app = &wired.app;
    let dsn = app.dsn(&Actor::System, wire::DEFAULT_PROJECT).await?;
    let mut lines = vec![format!("{} {}", style("Actifix").bold(), env!("CARGO_PKG_VERSION"))];
    lines.extend(listening.iter().map(|(url, _)| format!("listening on {url}")));
    lines.push(format!("home         {}", home.root().display()));
    lines.push(format!("DSN          {dsn}"));
    if let Some(token) = token {
        lines.push(format!("API token    {token}"));
        lines
            .push("             admin, 90 days, shown only now; more with `actifix token create --name NAME --role ROLE`".to_owned());
    } else if app.live_tokens(&Actor::System).await?.is_empty() {
        lines.push(format!(
            "API token    none yet: make one with `actifix --home {} token create --name me --role admin`",
            home.root().display()
        ));
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
    for (url, _) in listening.iter().filter(|(_, exposure)| *exposure == Exposure::Plain) {
        let warning = format!(
            "WARNING: {url} speaks plain HTTP to the network (server.allow_plain_http): passwords, tokens and events can be read on the way"
        );
        lines.push(style(warning).red().bold().to_string());
    }
    if app.settings().rate_limit_disabled {
        lines.push(style(RATES_OFF).red().bold().to_string());
        tracing::warn!("rate limits are off");
    }
    if wire::rate_limit_override_is_void() {
        let warning = "WARNING: ACTIFIX_RATE_LIMIT_DISABLED is not `1`: rate limits stay on; unset it";
        lines.push(style(warning).red().bold().to_string());
        tracing::warn!("rate limits stay on: ACTIFIX_RATE_LIMIT_DISABLED is not 1");
    }
    output::line(lines.join("\n"))
}
