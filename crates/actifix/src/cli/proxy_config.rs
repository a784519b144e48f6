//! `actifix proxy-config`: a configuration for the reverse proxy in front, that the tests run.

use super::output;
use super::{CliError, Global};
use crate::config::Config;
use crate::home::Home;
use crate::wire;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::process::ExitCode;
use url::Url;

/// A proxy that we write for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Proxy {
    /// nginx, with certificates by certbot (Let's Encrypt).
    Nginx,
    /// Caddy, which gets certificates itself (Let's Encrypt).
    Caddy,
}

impl Proxy {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
        }
    }
}

/// Print a configuration for a reverse proxy.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  actifix proxy-config nginx > /etc/nginx/sites-available/actifix\n  actifix proxy-config caddy --name errors.example.net >> /etc/caddy/Caddyfile"
)]
pub struct ProxyConfigArgs {
    /// nginx or caddy.
    proxy: Proxy,
    /// Host name that clients use; default that of server.public_url.
    #[arg(long, value_name = "HOST")]
    name: Option<String>,
}

/// Runs the command.
pub fn run(global: &Global, args: &ProxyConfigArgs) -> Result<ExitCode, CliError> {
    let config = wire::load_config(&Home::at(&global.home))?.config;
    let public = config.server.public_url.as_deref().and_then(|url| Url::parse(url).ok());
    let public_name = public.as_ref().and_then(|url| url.host_str().map(str::to_owned));
    let name = args.name.clone().or(public_name).ok_or_else(|| {
        CliError::usage(
            "server.public_url is not set: set it to the address that clients use, or give --name",
        )
    })?;
    let fits = !name.is_empty()
        && name.len() <= 253
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    if !fits {
        return Err(CliError::usage("--name: a host name of letters, digits, points and hyphens"));
    }
    let prefix = public.map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default();
    if !prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.')) {
        return Err(CliError::usage(
            "server.public_url: a path of letters, digits and - _ . can be served below a proxy",
        ));
    }
    let site = Site { name, prefix, upstream: upstream(&config)?, body_mib: body_mib(&config) };
    let text = match args.proxy {
        Proxy::Nginx => site.nginx(),
        Proxy::Caddy => site.caddy(),
    };
    if global.json {
        output::json(&json!({ "proxy": args.proxy.as_str(), "name": site.name, "config": text }))?;
    } else {
        output::raw(text.as_bytes())?;
    }
    if config.server.trusted_proxies.is_empty() {
        output::note(
            "note: set server.trusted_proxies = [\"127.0.0.1\"] (the proxy's address), so that clients are told apart",
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The plain listener that carries ingest, else the first plain one.
fn upstream(config: &Config) -> Result<String, CliError> {
    let listeners = config.listeners();
    let plain = || listeners.values().filter(|listener| listener.tls.is_none());
    plain()
        .find(|listener| listener.modules.contains(&crate::config::Module::Ingest))
        .or_else(|| plain().next())
        .map(|listener| listener.bind.to_string())
        .ok_or_else(|| {
            CliError::usage(
                "every listener speaks TLS itself: give the proxy one that does not, on 127.0.0.1",
            )
        })
}

/// What the proxy lets through: a little more than we do, so that we give the answer.
fn body_mib(config: &Config) -> u64 {
    config.limits.compressed_bytes_max.div_ceil(1 << 20).saturating_add(1)
}

struct Site {
    name: String,
    prefix: String,
    upstream: String,
    body_mib: u64,
}

impl Site {
    fn nginx(&self) -> String {
        let Self { name, prefix, upstream, body_mib } = self;
        let location = format!(
            "    location {prefix}/ {{
        proxy_pass http://{upstream}/;
        proxy_http_version 1.1;
        proxy_set_header Connection \"\";
        proxy_set_header Host $host;
        # Overwritten, never appended to: what a client wrote there goes no further.
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host \"\";
        proxy_set_header X-Real-IP \"\";
        proxy_set_header Forwarded \"\";
        proxy_request_buffering off;
        proxy_connect_timeout 5s;
        proxy_send_timeout 60s;
        proxy_read_timeout 90s;
        # A request that may have been taken is not sent twice.
        proxy_next_upstream off;
    }}
"
        );
        format!(
            "# Actifix behind nginx, for {name}. Certificates: certbot certonly --webroot -w /var/www/letsencrypt -d {name}
# Strict-Transport-Security and the other security headers are set by Actifix: add none here.
server {{
    listen 80;
    listen [::]:80;
    server_name {name};
    server_tokens off;
    client_max_body_size {body_mib}m;
    location /.well-known/acme-challenge/ {{
        root /var/www/letsencrypt;
    }}
    # Actifix refuses plain HTTP itself: 403 for SDKs and the API, a redirect for people.
{location}}}
server {{
    listen 443 ssl http2;
    listen [::]:443 ssl http2;
    server_name {name};
    server_tokens off;
    ssl_certificate /etc/letsencrypt/live/{name}/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/{name}/privkey.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;
    ssl_prefer_server_ciphers off;
    ssl_session_cache shared:actifix:10m;
    ssl_session_tickets off;
    client_max_body_size {body_mib}m;
    client_header_timeout 10s;
    client_body_timeout 30s;
    send_timeout 30s;
{location}}}
"
        )
    }

    fn caddy(&self) -> String {
        let Self { name, prefix, upstream, body_mib } = self;
        let handle = if prefix.is_empty() { "handle".to_owned() } else { format!("handle_path {prefix}/*") };
        let rest = if prefix.is_empty() { "" } else { "\thandle {\n\t\trespond 404\n\t}\n" };
        format!(
            "# Actifix behind Caddy, for {name}. Caddy gets certificates from Let's Encrypt by itself.
# Strict-Transport-Security and the other security headers are set by Actifix: add none here.
(actifix) {{
\trequest_body {{
\t\tmax_size {body_mib}MiB
\t}}
\t{handle} {{
\t\treverse_proxy {upstream} {{
\t\t\t# Overwritten, never appended to: what a client wrote there goes no further.
\t\t\theader_up Host {{host}}
\t\t\theader_up X-Forwarded-For {{remote_host}}
\t\t\theader_up X-Forwarded-Proto {{scheme}}
\t\t\theader_up -X-Forwarded-Host
\t\t\theader_up -X-Real-IP
\t\t\theader_up -Forwarded
\t\t\theader_down -Server
\t\t\ttransport http {{
\t\t\t\tdial_timeout 5s
\t\t\t\tresponse_header_timeout 90s
\t\t\t}}
\t\t}}
\t}}
{rest}}}
https://{name} {{
\timport actifix
}}
# Actifix refuses plain HTTP itself: 403 for SDKs and the API, a redirect for people.
http://{name} {{
\timport actifix
}}
"
        )
    }
}
