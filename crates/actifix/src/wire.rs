//! Chooses the implementations of the ports and puts the App together. The only place that does.

use crate::backup::{self, Shelf};
use crate::channels::{self, Given};
use crate::cli::CliError;
use crate::config::{self, Config, Loaded, Module};
use crate::home::Home;
use crate::outbound::{Outbound, system_lookup};
use crate::site::Site;
use crate::system::{SystemClock, SystemIds};
use crate::vault::{Ask, HomeVault, KeySources};
use actifix_app::App;
use actifix_app::app::AppSettings;
use actifix_app::limits::ApiLimits;
use actifix_app::ports::{Clock, Ids, Store, Surroundings, Vault};
use actifix_app::secrets::SecretText;
use actifix_domain::access::Actor;
use actifix_domain::alert::AddressPolicy;
use actifix_domain::bucket::RateLimits;
use actifix_domain::id::ProjectId;
use actifix_protocol::limits::Limits;
use actifix_store::files::Unsafe;
use actifix_web::Edge;
use actifix_web::layers::Hosts;
use axum::Router;
use std::path::PathBuf;
use std::sync::Arc;

/// Name of the project that every home has.
pub const DEFAULT_PROJECT: &str = "default";

/// An App that owns its home.
pub struct Wired {
    pub app: Arc<App>,
    pub config: Config,
    pub vault: Arc<HomeVault>,
    /// What was wrong with modes and owners of files before they were opened.
    pub files: Vec<Unsafe>,
    /// What is around it.
    pub site: Arc<Site>,
}

impl Wired {
    /// The API without a network.
    pub fn api(&self) -> Router {
        let edge = Edge { hosts: Hosts::new(&self.app.settings().public_url, [], &[]), ..Edge::default() };
        actifix_web::router(&self.app, &[actifix_web::Module::Api], edge, None)
    }

    /// Finishes what was accepted.
    pub async fn close(self) -> Result<(), CliError> {
        self.app.flush_counters().await?;
        self.app.tend_audit(true).await?;
        self.app.flush_limits().await?;
        self.app.flush_token_uses().await?;
        self.app.flush_source_map_uses().await?;
        self.app.close().await?;
        Ok(())
    }
}

/// Reads the configuration of a home.
pub fn load_config(home: &Home) -> Result<Loaded, CliError> {
    load_config_of(&home.config())
}

/// The same without a file: what variables say, and the defaults.
pub fn load_environment() -> Result<Loaded, CliError> {
    load_config_of(std::path::Path::new(""))
}

fn load_config_of(file: &std::path::Path) -> Result<Loaded, CliError> {
    let loaded = config::load(file, config::environment_all()).map_err(CliError::config)?;
    loaded.config.throttle.validate().map_err(|why| CliError::config(format!("throttle: {why}")))?;
    rates(&loaded.config).validate().map_err(|why| CliError::config(format!("limits: {why}")))?;
    loaded.config.validate_network().map_err(CliError::config)?;
    loaded.config.backup.validate().map_err(CliError::config)?;
    loaded.config.doctor.validate().map_err(CliError::config)?;
    loaded.config.security_txt.file().map_err(CliError::config)?;
    loaded.config.retention.validate().map_err(|why| CliError::config(format!("retention.{why}")))?;
    loaded.config.validate_sign_in().map_err(CliError::config)?;
    sizes(&loaded.config).validate().map_err(|why| CliError::config(format!("limits: {why}")))?;
    Ok(loaded)
}

/// Opens a home for this process alone. `bound` is the URL of where the first listener really listens.
pub async fn open(home: &Home, loaded: Loaded, bound: Option<String>, ask: Ask) -> Result<Wired, CliError> {
    let in_effect = loaded.in_effect();
    let config = loaded.config;
    crate::process::keep_memory_private();
    crate::process::keep_files_private();
    let closed = home.create().map_err(|error| CliError::io(home.root(), error))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let ids: Arc<dyn Ids> = Arc::new(SystemIds);
    let vault =
        HomeVault::open(&home.private(), home.exists(), &key_sources(ask), Arc::clone(&ids), clock.now())
            .map_err(CliError::from_vault)?;
    // After the key was judged: one that others could read must be told, not mended in silence.
    let mut files = crate::workers::look_at_files(home, &backups_of(home, &config));
    files.extend(closed.filter(|found| found.repaired));
    let vault = Arc::new(vault);
    let options = actifix_store::StoreOptions {
        throttle: config.throttle.clone(),
        on_fatal: Some(Box::new(end_at_once)),
        audit_witness: Some(home.audit_head()),
        ..actifix_store::StoreOptions::new(home.data(), Arc::clone(&clock), vault.derive("audit"))
    };
    let store: Arc<dyn Store> = actifix_store::open(options).await.map_err(CliError::from_open)?;
    let settings = AppSettings { in_effect, ..settings(&config, bound)? };
    let port: Arc<dyn Vault> = Arc::clone(&vault) as Arc<dyn Vault>;
    let app = App::new(store, clock, Arc::clone(&ids), port, settings);
    app.bind_vault().await.map_err(CliError::config)?;
    // Before anything is written by this clock.
    app.meet_clock().await?;
    app.restore_incident().await?;
    app.keep_backups_on(Arc::new(shelf(home, &config, &vault, ids)?));
    record_restore(home, &app).await?;
    let outbound = Arc::new(outbound(home, &config)?);
    let site = Arc::new(Site::new(home, &config, &vault, &outbound, &files)?);
    app.set_courier(outbound);
    app.is_made_of(actifix_web::dashboard::components());
    app.look_around_with(Arc::clone(&site) as Arc<dyn Surroundings>);
    ensure_default_project(&app).await?;
    Ok(Wired { app, config, vault, files, site })
}

/// The directory of the backups.
pub fn backups_of(home: &Home, config: &Config) -> PathBuf {
    config.backup.directory.as_ref().map_or_else(|| home.backups(), |dir| home.root().join(dir))
}

/// What keeps the backups of this home.
fn shelf(home: &Home, config: &Config, vault: &HomeVault, ids: Arc<dyn Ids>) -> Result<Shelf, CliError> {
    let recipients = config.backup.recipients.iter().map(|text| backup::parse_recipient(text));
    Ok(Shelf {
        dir: backups_of(home, config),
        home: home.root().to_owned(),
        recipients: recipients.collect::<Result<_, _>>().map_err(CliError::config)?,
        own: backup::own_identity(vault).map_err(CliError::other)?,
        audit_key: vault.derive("audit"),
        seal_key: vault.derive(backup::SEAL_PURPOSE),
        ids,
    })
}

/// A home that was made from a backup says so in its audit log, once.
async fn record_restore(home: &Home, app: &Arc<App>) -> Result<(), CliError> {
    let path = home.private().join(backup::NOTE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(CliError::io(&path, error)),
    };
    app.record_restore(serde_json::from_str(&text).unwrap_or_default()).await?;
    crate::files::remove_durably(&path).map_err(|error| CliError::io(&path, error))
}

/// Lets people sign in with the provider of the configuration, if there is one. The provider is asked when the first
/// person comes: a server starts without it.
pub async fn enable_sign_in(home: &Home, wired: &Wired) -> Result<(), CliError> {
    let oidc = &wired.config.oidc;
    let secret = match &oidc.client_secret {
        Some(reference) => {
            let found = reference.resolve(&wired.app, home.root(), &config::environment).await;
            Some(found.map_err(|error| CliError::config(format!("oidc.client_secret: {error}")))?)
        }
        None => None,
    };
    let Some(settings) = oidc.settings(secret).map_err(CliError::config)? else { return Ok(()) };
    let provider = outbound(home, &wired.config)?;
    wired.app.enable_sign_in(settings, Arc::new(provider)).map_err(CliError::config)
}

/// The way out: to public addresses and those that the operator allows.
fn outbound(home: &Home, config: &Config) -> Result<Outbound, CliError> {
    let policy = AddressPolicy { allow_private: config.outbound.allow_private.clone() };
    let extra = config.outbound.extra_ca.as_ref().map(|path| home.root().join(path));
    Outbound::new(policy, extra, system_lookup).map_err(CliError::config)
}

/// What this process was given to find the root key with.
pub fn key_sources(ask: Ask) -> KeySources {
    KeySources {
        key: config::environment("ACTIFIX_MASTER_KEY").map(SecretText::new),
        file: config::environment("ACTIFIX_MASTER_KEY_FILE").map(Into::into),
        credentials: config::environment("CREDENTIALS_DIRECTORY").map(Into::into),
        ask,
    }
}

/// The database can no longer be trusted to keep what it is given: nothing more is acknowledged, and a supervisor
/// starts anew from what is durable.
#[allow(clippy::disallowed_methods, reason = "going on would acknowledge what may be lost")]
fn end_at_once(why: &str) {
    tracing::error!(why, "the database failed: this process ends, start it again");
    // The log may not have been started yet, and a supervisor keeps what is said here.
    let _closed = std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!("error: the database failed: {why}: this process ends, start it again\n"),
    );
    std::process::exit(i32::from(crate::cli::exit::IO));
}

/// Every home has a project, so that a DSN exists from the first second.
async fn ensure_default_project(app: &Arc<App>) -> Result<(), CliError> {
    if app.projects(&Actor::System).await?.is_empty() {
        app.create_project(&Actor::System, Some(ProjectId(1)), DEFAULT_PROJECT).await?;
    }
    Ok(())
}

fn settings(config: &Config, bound: Option<String>) -> Result<AppSettings, CliError> {
    let limits = &config.limits;
    let public_url = match (bound, &config.server.public_url) {
        (Some(bound), None) => bound,
        _ => config.public_url(),
    };
    Ok(AppSettings {
        public_url,
        limits: sizes(config),
        announce_dropped_kinds: limits.announce_dropped_kinds,
        rates: rates(config),
        api_limits: ApiLimits {
            per_minute: limits.api_per_minute,
            per_hour: limits.api_per_hour,
            instance_per_day: limits.api_instance_per_day,
            admin_reserve_percent: limits.api_admin_reserve_percent,
            login_per_minute: limits.login_per_minute,
        },
        rate_limit_disabled: rate_limit_disabled(),
        sample_after: limits.sample_after,
        retention: config.retention.clone(),
        backup_every_hours: (!config.backup.recipients.is_empty()).then_some(config.backup.every_hours),
        decode_parallel: std::thread::available_parallelism().map_or(2, usize::from),
        outbound: AddressPolicy { allow_private: config.outbound.allow_private.clone() },
        outbound_timeout_seconds: config.outbound.timeout_seconds,
        in_effect: Vec::new(),
        cors_origins: config.cors.allowed_origins.clone(),
        security_txt: config.security_txt.file().map_err(CliError::config)?,
    })
}

/// Makes the channels of `ACTIFIX_WEBHOOK_URLS`.
pub async fn environment_webhooks(home: &Home, wired: &Wired) -> Result<(), CliError> {
    let text = match channels::given(home.root()).map_err(CliError::config)? {
        Given::Nothing => SecretText::new(String::new()),
        Given::Text(text) => text,
        Given::Reference(reference) => reference
            .resolve(&wired.app, home.root(), &config::environment)
            .await
            .map_err(|error| CliError::config(format!("{}: {error}", channels::VARIABLE)))?,
    };
    let wanted = channels::parse(text.reveal(), &wired.app.settings().outbound).map_err(CliError::config)?;
    let made = wired.app.sync_environment_endpoints(wanted).await;
    made.map_err(|error| CliError::config(format!("{}: {error}", channels::VARIABLE)))
}

/// Switches limits off, for tests.
const RATE_LIMIT_DISABLED: &str = "ACTIFIX_RATE_LIMIT_DISABLED";

/// Whether no rate is limited, which is for tests only: exactly `1`, read at the start.
pub fn rate_limit_disabled() -> bool {
    config::environment(RATE_LIMIT_DISABLED).is_some_and(|value| value == "1")
}

/// Whether the variable is set to what switches nothing off.
pub fn rate_limit_override_is_void() -> bool {
    config::environment(RATE_LIMIT_DISABLED).is_some_and(|value| value != "1")
}

fn sizes(config: &Config) -> Limits {
    let limits = &config.limits;
    Limits {
        request_bytes_max: limits.compressed_bytes_max,
        decoded_bytes_max: limits.decompressed_bytes_max,
        header_line_bytes_max: limits.header_line_bytes_max,
        items_max: limits.items_max,
        json_depth_max: limits.json_depth_max,
        json_depth_refused: limits.json_depth_refused,
        event_bytes_max: limits.event_bytes_max,
        container_bytes_max: limits.container_bytes_max,
        check_in_bytes_max: limits.check_in_bytes_max,
        client_report_bytes_max: limits.client_report_bytes_max,
        attachment_bytes_max: limits.attachment_bytes_max,
        attachments_bytes_max: limits.event_attachments_bytes_max,
        request_read_seconds_max: limits.request_read_seconds_max,
        inflight_bytes_max: limits.in_flight_bytes_max,
        inflight_wait_milliseconds_max: limits.in_flight_wait_ms_max,
        ..Limits::default()
    }
}

fn rates(config: &Config) -> RateLimits {
    let limits = &config.limits;
    RateLimits {
        key_per_minute: limits.key_per_minute,
        project_per_minute: limits.project_per_minute,
        project_per_hour: limits.project_per_hour,
        project_per_day: limits.project_per_day,
        instance_per_minute: limits.instance_per_minute,
        instance_per_day: limits.instance_per_day,
    }
}

/// Modules of the web crate for those of the configuration.
pub fn modules(list: &[Module]) -> Vec<actifix_web::Module> {
    list.iter()
        .filter_map(|module| match module {
            Module::Ingest => Some(actifix_web::Module::Ingest),
            Module::Api => Some(actifix_web::Module::Api),
            Module::Metrics => Some(actifix_web::Module::Metrics),
            Module::Dashboard => Some(actifix_web::Module::Dashboard),
            // It carries nothing yet.
            Module::Mcp => None,
        })
        .collect()
}
