//! Chooses the implementations of the ports and puts the App together. The only place that does.

use crate::cli::CliError;
use crate::config::{self, Config, Loaded, Module};
use crate::home::Home;
use crate::outbound_provider::HttpsProvider;
use crate::system::{SystemClock, SystemIds};
use crate::vault::{Ask, HomeVault, KeySources};
use actifix_app::App;
use actifix_app::app::AppSettings;
use actifix_app::limits::ApiLimits;
use actifix_app::ports::{Clock, Ids, Store, Vault};
use actifix_app::secrets::SecretText;
use actifix_domain::access::Actor;
use actifix_domain::bucket::RateLimits;
use actifix_domain::id::ProjectId;
use actifix_protocol::limits::Limits;
use actifix_web::Edge;
use actifix_web::layers::Hosts;
use axum::Router;
use std::sync::Arc;

/// Name of the project that every home has.
pub const DEFAULT_PROJECT: &str = "default";

/// An App that owns its home.
pub struct Wired {
    pub app: Arc<App>,
    pub config: Config,
    pub vault: Arc<HomeVault>,
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
        self.app.close().await?;
        Ok(())
    }
}

/// Reads the configuration of a home.
pub fn load_config(home: &Home) -> Result<Loaded, CliError> {
    let loaded = config::load(&home.config(), config::environment_all()).map_err(CliError::config)?;
    loaded.config.throttle.validate().map_err(|why| CliError::config(format!("throttle: {why}")))?;
    rates(&loaded.config).validate().map_err(|why| CliError::config(format!("limits: {why}")))?;
    loaded.config.validate_network().map_err(CliError::config)?;
    loaded.config.validate_sign_in().map_err(CliError::config)?;
    sizes(&loaded.config).validate().map_err(|why| CliError::config(format!("limits: {why}")))?;
    Ok(loaded)
}

/// Opens a home for this process alone. `bound` is the URL of where the first listener really listens.
pub async fn open(home: &Home, config: Config, bound: Option<String>, ask: Ask) -> Result<Wired, CliError> {
    crate::process::keep_memory_private();
    home.create().map_err(|error| CliError::io(home.root(), error))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let ids: Arc<dyn Ids> = Arc::new(SystemIds);
    let vault =
        HomeVault::open(&home.private(), home.exists(), &key_sources(ask), Arc::clone(&ids), clock.now())
            .map_err(CliError::config)?;
    let vault = Arc::new(vault);
    let options = actifix_store::StoreOptions {
        throttle: config.throttle.clone(),
        on_fatal: Some(Box::new(end_at_once)),
        audit_witness: Some(home.audit_head()),
        ..actifix_store::StoreOptions::new(home.data(), Arc::clone(&clock), vault.derive("audit"))
    };
    let store: Arc<dyn Store> = actifix_store::open(options).await.map_err(CliError::from_open)?;
    let settings = settings(&config, bound)?;
    let port: Arc<dyn Vault> = Arc::clone(&vault) as Arc<dyn Vault>;
    let app = App::new(store, clock, ids, port, settings);
    app.bind_vault().await.map_err(CliError::config)?;
    ensure_default_project(&app).await?;
    Ok(Wired { app, config, vault })
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
    let provider = HttpsProvider::new(crate::cli::remote_connector(home)?);
    wired.app.enable_sign_in(settings, Arc::new(provider)).map_err(CliError::config)
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
        rate_limit_disabled: rate_limit_disabled()?,
        sample_after: limits.sample_after,
        retention: config.retention.clone(),
        decode_parallel: std::thread::available_parallelism().map_or(2, usize::from),
    })
}

/// Whether no rate is limited, which is for tests only: exactly `1`, read at the start.
pub fn rate_limit_disabled() -> Result<bool, CliError> {
    match config::environment("ACTIFIX_RATE_LIMIT_DISABLED").as_deref() {
        None | Some("") => Ok(false),
        Some("1") => Ok(true),
        Some(_) => {
            Err(CliError::config("ACTIFIX_RATE_LIMIT_DISABLED: only the exact value 1 is known; unset it"))
        }
    }
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
            // They carry nothing yet.
            Module::Dashboard | Module::Mcp => None,
        })
        .collect()
}
