//! What of the configuration decides who can reach the server, and how.

use super::Config;
use actifix_app::delivery::{TIMEOUT_SECONDS, TIMEOUT_SECONDS_MAX};
use actifix_domain::login::PER_MINUTE_MAX;
use actifix_domain::network::Network;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use url::{Host, Url};

/// Origins, names and networks of one list.
const LIST_MAX: usize = 100;

/// What `server.log_level` may be.
const LOG_LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// `listeners.<name>.tls`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file: the certificate, then those that sign it. Relative to the home.
    pub cert: PathBuf,
    /// PEM file of its private key, readable by the owner only. Relative to the home.
    pub key: PathBuf,
}

/// `[cors]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorsConfig {
    /// Origins whose pages may read answers of the API; empty = those of this machine (localhost).
    pub allowed_origins: Vec<String>,
}

/// `[outbound]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutboundConfig {
    /// Networks that alerts may be sent to although they are not public; https stays required.
    pub allow_private: Vec<Network>,
    /// PEM file of further certificate authorities, besides those of the platform. Relative to the home.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_ca: Option<PathBuf>,
    /// Time for one attempt at an alert: name, connection, TLS, head and body together.
    pub timeout_seconds: u64,
}

impl Default for OutboundConfig {
    fn default() -> Self {
        Self { allow_private: Vec::new(), extra_ca: None, timeout_seconds: TIMEOUT_SECONDS }
    }
}

/// What keeps a listener from being overheard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Only this machine can reach it.
    Loopback,
    /// TLS of our own.
    Tls,
    /// A proxy that the operator named speaks TLS in front of it.
    Proxied,
    /// Nothing: the operator allowed it.
    Plain,
}

/// How a listener is exposed.
///
/// # Errors
/// Why it must not be opened: one line that says what to do.
pub fn exposure(config: &Config, name: &str) -> Result<Exposure, String> {
    let listeners = config.listeners();
    let Some(listener) = listeners.get(name) else { return Err(format!("listeners.{name}: unknown")) };
    let server = &config.server;
    if listener.bind.ip().to_canonical().is_loopback() {
        return Ok(if listener.tls.is_some() { Exposure::Tls } else { Exposure::Loopback });
    }
    match (listener.tls.is_some(), server.trusted_proxies.is_empty(), server.allow_plain_http) {
        (true, _, _) => Ok(Exposure::Tls),
        (false, false, _) => Ok(Exposure::Proxied),
        (false, true, true) => Ok(Exposure::Plain),
        (false, true, false) => Err(format!(
            "listeners.{name}.bind: {} is not a loopback address: events and tokens would cross the network in clear; set listeners.{name}.tls, or server.trusted_proxies to the reverse proxy in front, or bind 127.0.0.1",
            listener.bind
        )),
    }
}

impl Config {
    /// What the types do not say.
    ///
    /// # Errors
    /// The first value that cannot be right, by key, and what would be.
    pub fn validate_network(&self) -> Result<(), String> {
        let server = &self.server;
        if !LOG_LEVELS.contains(&server.log_level.as_str()) {
            return Err(format!("server.log_level: unknown level; one of {}", LOG_LEVELS.join(", ")));
        }
        if let Some(url) = &server.public_url {
            validate_public_url(url)?;
        }
        for (key, length) in [
            ("server.trusted_proxies", server.trusted_proxies.len()),
            ("server.hosts", server.hosts.len()),
            ("cors.allowed_origins", self.cors.allowed_origins.len()),
            ("outbound.allow_private", self.outbound.allow_private.len()),
        ] {
            if length > LIST_MAX {
                return Err(format!("{key}: {length} entries; at most {LIST_MAX}"));
            }
        }
        if server.trusted_proxies.iter().any(actifix_domain::network::Network::is_everything) {
            return Err("server.trusted_proxies: a network of every address would believe every client's headers: name the proxies".to_owned());
        }
        if !(1..=TIMEOUT_SECONDS_MAX).contains(&self.outbound.timeout_seconds) {
            return Err(format!("outbound.timeout_seconds: expected 1 to {TIMEOUT_SECONDS_MAX}"));
        }
        if self.outbound.allow_private.iter().any(Network::is_everything) {
            return Err("outbound.allow_private: a network of every address would let alerts go anywhere: name the inner networks".to_owned());
        }
        if let Some(host) = server.hosts.iter().find(|host| !is_host(host)) {
            return Err(format!(
                "server.hosts: {host:?} is not a host name: write it without scheme, port and path"
            ));
        }
        if server.connections_max == 0 || server.connections_per_peer_max == 0 {
            return Err("server.connections_max, server.connections_per_peer_max: at least 1".to_owned());
        }
        for (key, seconds) in [
            ("server.header_timeout_seconds", server.header_timeout_seconds),
            ("server.stall_timeout_seconds", server.stall_timeout_seconds),
        ] {
            if !(1..=300).contains(&seconds) {
                return Err(format!("{key}: 1 to 300"));
            }
        }
        for origin in &self.cors.allowed_origins {
            actifix_web::cors::check_entry(origin).map_err(|why| format!("cors.allowed_origins: {why}"))?;
        }
        let limits = &self.limits;
        if limits.api_admin_reserve_percent > 90 {
            return Err("limits.api_admin_reserve_percent: 0 to 90".to_owned());
        }
        for (key, value) in [
            ("api_per_minute", limits.api_per_minute),
            ("api_per_hour", limits.api_per_hour),
            ("api_instance_per_day", limits.api_instance_per_day),
        ] {
            if !(1..=100_000_000).contains(&value) {
                return Err(format!("limits.{key} is {value}; it must be from 1 to 100000000"));
            }
        }
        if !(1..=PER_MINUTE_MAX).contains(&limits.login_per_minute) {
            return Err(format!(
                "limits.login_per_minute is {}; it must be from 1 to {PER_MINUTE_MAX}",
                limits.login_per_minute
            ));
        }
        Ok(())
    }
}

fn validate_public_url(text: &str) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("server.public_url: {why}: write it as https://errors.example.net"));
    let Ok(url) = Url::parse(text) else { return wrong("not a URL") };
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return wrong("neither http nor https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("it names a user");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return wrong("it holds a query or fragment");
    }
    if url.port() == Some(0) {
        return wrong("nothing listens on port 0");
    }
    let is_name = |host: Host<&str>| match host {
        Host::Domain(name) => is_dns_name(name),
        Host::Ipv4(address) => !address.is_unspecified(),
        Host::Ipv6(address) => !address.is_unspecified(),
    };
    if !url.host().is_some_and(is_name) {
        return wrong("clients cannot reach such a host");
    }
    // What the parser would mend silently, SDKs may read otherwise.
    let rest = text.get(url.scheme().len()..).and_then(|rest| rest.strip_prefix("://")).unwrap_or_default();
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
    let path = rest.split_once('/').map_or("", |(_, path)| path).trim_end_matches('/');
    let segments_are_plain = path.is_empty() || path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if rest.is_empty() || rest.starts_with('/') || text.contains(odd) || !segments_are_plain {
        return wrong("it is not in its usual form");
    }
    Ok(())
}

fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    name.split('.').all(label)
}

pub(super) fn is_host(text: &str) -> bool {
    match Host::parse(text) {
        Ok(Host::Domain(name)) => name.eq_ignore_ascii_case(text) && !name.contains('*'),
        Ok(host) => host.to_string().eq_ignore_ascii_case(text),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    const NEAR: &str = "[listeners.a]\nbind = \"127.0.0.1:0\"\n";
    const MAPPED: &str = "[listeners.a]\nbind = \"[::ffff:127.0.0.1]:0\"\n";
    const FAR: &str = "[listeners.a]\nbind = \"0.0.0.0:0\"\n";
    const FAR6: &str = "[listeners.a]\nbind = \"[::]:0\"\n";
    const FAR_MAPPED: &str = "[listeners.a]\nbind = \"[::ffff:192.0.2.1]:0\"\n";
    const TLS: &str = "tls = { cert = \"c.pem\", key = \"k.pem\" }\n";

    #[test]
    fn what_others_can_reach_is_encrypted_or_loudly_plain() {
        for (text, expected) in [
            (NEAR.to_owned(), Exposure::Loopback),
            (MAPPED.to_owned(), Exposure::Loopback),
            (format!("{NEAR}{TLS}"), Exposure::Tls),
            (format!("{FAR}{TLS}"), Exposure::Tls),
            (format!("{FAR}[server]\ntrusted_proxies = [\"10.0.0.1\"]"), Exposure::Proxied),
            (format!("{FAR}[server]\nallow_plain_http = true"), Exposure::Plain),
        ] {
            assert_eq!(exposure(&config(&text), "a"), Ok(expected), "{text}");
        }
        for text in [FAR, FAR6, FAR_MAPPED] {
            let refused = exposure(&config(text), "a").unwrap_err();
            assert!(refused.starts_with("listeners.a.bind: ") && !refused.contains('\n'), "{refused}");
        }
    }

    #[test]
    fn what_cannot_be_right_is_refused_by_name() {
        for (text, key) in [
            ("[cors]\nallowed_origins = [\"*\"]", "cors.allowed_origins"),
            ("[cors]\nallowed_origins = [\"https://a.example/\"]", "cors.allowed_origins"),
            ("[cors]\nallowed_origins = [\"null\"]", "cors.allowed_origins"),
            ("[server]\ntrusted_proxies = [\"0.0.0.0/0\"]", "server.trusted_proxies"),
            ("[server]\ntrusted_proxies = [\"::/0\"]", "server.trusted_proxies"),
            ("[outbound]\nallow_private = [\"::/0\"]", "outbound.allow_private"),
            ("[outbound]\ntimeout_seconds = 0", "outbound.timeout_seconds: expected 1 to 30"),
            ("[outbound]\ntimeout_seconds = 31", "outbound.timeout_seconds: expected 1 to 30"),
            ("[server]\npublic_url = \"errors.example.net\"", "server.public_url"),
            ("[server]\npublic_url = \"https://u:p@errors.example.net\"", "server.public_url"),
            ("[server]\npublic_url = \"https://errors.example.net/?a\"", "server.public_url"),
            ("[server]\npublic_url = \"ftp://errors.example.net\"", "server.public_url"),
            ("[server]\npublic_url = \"https:errors.example.net\"", "server.public_url"),
            ("[server]\npublic_url = \"http:///errors.example.net\"", "server.public_url"),
            ("[server]\npublic_url = \" https://errors.example.net\"", "server.public_url"),
            ("[server]\npublic_url = \"https://https://errors.example.net\"", "server.public_url"),
            ("[server]\npublic_url = \"https://errors..example.net\"", "server.public_url"),
            ("[server]\npublic_url = \"https://errors.example.net:0\"", "server.public_url"),
            ("[server]\npublic_url = \"http://0.0.0.0:5001\"", "server.public_url"),
            ("[server]\npublic_url = \"https://errors.example.net/a/../b\"", "server.public_url"),
            ("[server]\nlog_level = \"verbose\"", "server.log_level"),
            ("[server]\nlog_level = \"\"", "server.log_level"),
            ("[server]\nhosts = [\"https://errors.example.net\"]", "server.hosts"),
            ("[server]\nhosts = [\"*.example.net\"]", "server.hosts"),
            ("[server]\nconnections_per_peer_max = 0", "connections_per_peer_max"),
            ("[server]\nheader_timeout_seconds = 0", "header_timeout_seconds"),
            ("[server]\nstall_timeout_seconds = 301", "stall_timeout_seconds"),
            ("[limits]\napi_per_minute = 0", "limits.api_per_minute"),
            ("[limits]\napi_admin_reserve_percent = 91", "api_admin_reserve_percent"),
        ] {
            let refused = config(text).validate_network().unwrap_err();
            assert!(refused.contains(key), "{text}: {refused}");
        }
        let good = config(
            "[server]\npublic_url = \"https://errors.example.net/base\"\nhosts = [\"errors.internal\", \"[2001:db8::1]\", \"192.0.2.1\"]\n\
             trusted_proxies = [\"10.0.0.0/8\"]\n[cors]\nallowed_origins = [\"https://shop.example.net\", \"http://localhost:3000\"]\n",
        );
        assert_eq!(good.validate_network(), Ok(()));
        for url in [
            "https://errors.example.net:8443/a/b/",
            "HTTPS://Errors.Example.net",
            "http://[::1]:5001",
            "http://localhost",
        ] {
            assert_eq!(
                config(&format!("[server]\npublic_url = \"{url}\"")).validate_network(),
                Ok(()),
                "{url}"
            );
        }
        assert_eq!(Config::default().validate_network(), Ok(()));
    }
}
