//! Configuration: `actifix.toml` < environment `ACTIFIX_<SECTION>__<KEY>` < flag. Unknown keys are errors.
//!
//! The table [`fields::FIELDS`] is the one list of keys: it names what may be set, feeds the nearest-name hint,
//! `config schema` and the generated reference.

mod contact;
mod environment;
mod fields;
mod load;
mod names;
mod network;
mod oidc;
mod secret;
mod values;

pub use contact::SecurityTxtConfig;
pub use environment::{environment, environment_all};
pub use fields::{FIELDS, known};
pub use load::{Loaded, Source, load};
pub use names::{Stranger, strangers};
pub use network::{CorsConfig, Exposure, OutboundConfig, TlsConfig, exposure};
pub use oidc::OidcConfig;
pub use secret::{SECRET_FORM, SecretError, SecretRef, variable as secret_variable};
pub use values::{Values, changed, is_reloaded};

use actifix_app::ports::RetentionPolicy;
use actifix_domain::network::Network;
use actifix_domain::throttle::ThrottleConfig;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// All settings, defaults filled in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[listeners.<name>]`; none given = one named `default` on 127.0.0.1:5001 with all modules.
    pub listeners: BTreeMap<String, ListenerConfig>,
    /// `[cors]`
    pub cors: CorsConfig,
    /// `[limits]`
    pub limits: LimitsConfig,
    /// `[outbound]`
    pub outbound: OutboundConfig,
    /// `[oidc]`
    pub oidc: OidcConfig,
    /// `[throttle]`
    pub throttle: ThrottleConfig,
    /// `[retention]`
    pub retention: RetentionPolicy,
    /// `[backup]`
    pub backup: BackupConfig,
    /// `[doctor]`
    pub doctor: DoctorConfig,
    /// `[security_txt]`
    pub security_txt: SecurityTxtConfig,
}

/// `[doctor]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DoctorConfig {
    /// Directories of the repositories whose commits should be scanned; none: the one that the home lies in.
    pub repositories: Vec<String>,
}

impl DoctorConfig {
    /// Names, and not too many.
    ///
    /// # Errors
    /// What is wrong, with the name of its key.
    pub fn validate(&self) -> Result<(), String> {
        if self.repositories.len() > REPOSITORIES_MAX {
            return Err(format!("doctor.repositories: at most {REPOSITORIES_MAX}"));
        }
        if self.repositories.iter().any(String::is_empty) {
            return Err("doctor.repositories: an entry is empty: write the path of a repository".to_owned());
        }
        Ok(())
    }
}

/// Repositories that are looked at.
const REPOSITORIES_MAX: usize = 100;

/// `[backup]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackupConfig {
    /// Recipients of age (`age1…`) who can read backups; none: the server makes none.
    pub recipients: Vec<String>,
    /// Where they are kept; none: `.actifix/backups/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Hours between two.
    pub every_hours: u32,
}

impl Default for BackupConfig {
    fn default() -> Self {
        Self { recipients: Vec::new(), directory: None, every_hours: 24 }
    }
}

impl BackupConfig {
    /// Recipients, and hours that are at least one.
    ///
    /// # Errors
    /// What is wrong, with the name of its key.
    pub fn validate(&self) -> Result<(), String> {
        if self.recipients.len() > RECIPIENTS_MAX {
            return Err(format!("backup.recipients: at most {RECIPIENTS_MAX}"));
        }
        for recipient in &self.recipients {
            crate::backup::parse_recipient(recipient).map_err(|why| format!("backup.recipients: {why}"))?;
        }
        if !(1..=HOURS_MAX).contains(&self.every_hours) {
            return Err(format!("backup.every_hours: 1 to {HOURS_MAX}"));
        }
        Ok(())
    }
}

/// Recipients of a backup.
const RECIPIENTS_MAX: usize = 16;
/// Longest time between two backups, hours: four weeks.
const HOURS_MAX: u32 = 672;

/// `[server]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Base of DSNs and links; may hold a path prefix. None = the first listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Peers whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed; none by default.
    pub trusted_proxies: Vec<Network>,
    /// Listeners that are not on loopback may speak plain HTTP. Loud, and refused by `--production`.
    pub allow_plain_http: bool,
    /// Further names that clients may call this server by, besides that of `public_url`.
    pub hosts: Vec<String>,
    /// Connections open at the same time, per listener.
    pub connections_max: usize,
    /// Connections of one address (of IPv6: one network of 64 bits) at the same time; trusted proxies have no such
    /// bound.
    pub connections_per_peer_max: usize,
    /// A TLS handshake, and a request's headers, must be complete within this time; it also ends idle connections.
    pub header_timeout_seconds: u64,
    /// Of an answer that waits for its reader, some KiB must be taken within this time.
    pub stall_timeout_seconds: u64,
    /// What the log says: `error`, `warn`, `info`, `debug`, `trace`.
    pub log_level: String,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            public_url: None,
            trusted_proxies: Vec::new(),
            allow_plain_http: false,
            hosts: Vec::new(),
            connections_max: 4_096,
            connections_per_peer_max: 1_024,
            header_timeout_seconds: 10,
            stall_timeout_seconds: 30,
            log_level: "info".to_owned(),
        }
    }
}

/// A group of routes that a listener can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Module {
    /// What SDKs post to.
    Ingest,
    /// `/api/v1`.
    Api,
    /// Pages for people. Accepted; it carries no route yet.
    Dashboard,
    /// `/metrics`.
    Metrics,
    /// MCP for coding agents. Accepted; it carries no route yet.
    Mcp,
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerConfig {
    /// Address and port; an IP, never a name.
    pub bind: SocketAddr,
    /// What it carries.
    #[serde(default = "all_modules")]
    pub modules: Vec<Module>,
    /// Certificate and key; none = plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
}

impl ListenerConfig {
    /// `https` with TLS of our own, else `http`.
    pub const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// All modules.
pub fn all_modules() -> Vec<Module> {
    vec![Module::Ingest, Module::Api, Module::Dashboard, Module::Metrics, Module::Mcp]
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Events per minute and ingest key.
    pub key_per_minute: u32,
    /// Events per minute and project.
    pub project_per_minute: u32,
    /// Events per hour and project.
    pub project_per_hour: u32,
    /// Events per day and project.
    pub project_per_day: u32,
    /// Events per minute of the instance.
    pub instance_per_minute: u32,
    /// Events per day of the instance.
    pub instance_per_day: u32,
    /// API requests per minute and token or person; of those without, per client network.
    pub api_per_minute: u32,
    /// The same per hour.
    pub api_per_hour: u32,
    /// API requests of the instance per day.
    pub api_instance_per_day: u32,
    /// Share of the day that is kept for administrators, per cent.
    pub api_admin_reserve_percent: u32,
    /// Attempts to log in per minute and client network.
    pub login_per_minute: u32,
    /// Bodies kept per ticket and clock hour before sampling; 0 = all. A project's own setting wins.
    pub sample_after: u32,
    /// Bytes of a request as sent.
    pub compressed_bytes_max: u64,
    /// Bytes of a request after decompression.
    pub decompressed_bytes_max: u64,
    /// Bytes of one event.
    pub event_bytes_max: u64,
    /// Bytes of one attachment.
    pub attachment_bytes_max: u64,
    /// Bytes of all requests in flight.
    pub in_flight_bytes_max: u64,
    /// Milliseconds that a request waits for room among them.
    pub in_flight_wait_ms_max: u64,
    /// Bytes of the header line of an envelope or item.
    pub header_line_bytes_max: u64,
    /// Items of one envelope.
    pub items_max: u64,
    /// Nesting of JSON; what is deeper is cut.
    pub json_depth_max: u64,
    /// Nesting of JSON that refuses the request.
    pub json_depth_refused: u64,
    /// Bytes of one container of logs, spans or metrics.
    pub container_bytes_max: u64,
    /// Bytes of one check-in.
    pub check_in_bytes_max: u64,
    /// Bytes of one client report.
    pub client_report_bytes_max: u64,
    /// Bytes of all attachments of one event.
    pub event_attachments_bytes_max: u64,
    /// Seconds that it may take to read one request.
    pub request_read_seconds_max: u64,
    /// Ask SDKs to rest with kinds that are not stored.
    pub announce_dropped_kinds: bool,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            key_per_minute: 12_000,
            project_per_minute: 24_000,
            project_per_hour: 500_000,
            project_per_day: 5_000_000,
            instance_per_minute: 120_000,
            instance_per_day: 20_000_000,
            api_per_minute: 600,
            api_per_hour: 10_000,
            api_instance_per_day: 1_000_000,
            api_admin_reserve_percent: 10,
            login_per_minute: 10,
            sample_after: 100,
            compressed_bytes_max: 20 << 20,
            decompressed_bytes_max: 50 << 20,
            event_bytes_max: 1 << 20,
            attachment_bytes_max: 10 << 20,
            in_flight_bytes_max: 64 << 20,
            in_flight_wait_ms_max: 1_000,
            header_line_bytes_max: 64 << 10,
            items_max: 500,
            json_depth_max: 100,
            json_depth_refused: 10_000,
            container_bytes_max: 1 << 20,
            check_in_bytes_max: 100 << 10,
            client_report_bytes_max: 4 << 10,
            event_attachments_bytes_max: 25 << 20,
            request_read_seconds_max: 30,
            announce_dropped_kinds: true,
        }
    }
}

impl Config {
    /// The listeners with the default filled in.
    pub fn listeners(&self) -> BTreeMap<String, ListenerConfig> {
        if self.listeners.is_empty() {
            let bind = SocketAddr::from(([127, 0, 0, 1], 5001));
            return BTreeMap::from([(
                "default".to_owned(),
                ListenerConfig { bind, modules: all_modules(), tls: None },
            )]);
        }
        self.listeners.clone()
    }

    /// `server.public_url`, else the first listener that carries ingest.
    pub fn public_url(&self) -> String {
        if let Some(url) = &self.server.public_url {
            return url.trim_end_matches('/').to_owned();
        }
        let listeners = self.listeners();
        let first = listeners
            .values()
            .find(|listener| listener.modules.contains(&Module::Ingest))
            .or_else(|| listeners.values().next());
        first.map_or_else(
            || "http://127.0.0.1:5001".to_owned(),
            |listener| format!("{}://{}", listener.scheme(), listener.bind),
        )
    }
}
