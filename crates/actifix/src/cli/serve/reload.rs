//! SIGHUP: takes over what can change while the server runs, and names what cannot.

use crate::cli::{CliError, output};
use crate::config::{Values, changed, is_reloaded};
use crate::home::Home;
use crate::lifecycle::Live;
use crate::served::Served;
use crate::telemetry::Log;
use crate::wire;
use actifix_domain::access::Actor;
use actifix_domain::audit::Action;
use serde_json::json;
use std::collections::BTreeMap;

/// Reads the configuration and the certificates again. A bad file changes nothing.
pub async fn reload(home: &Home, wired: &wire::Wired, log: &Log, live: &Live, served: &mut Served) {
    let config = match wire::load_config(home) {
        Ok(loaded) => loaded.config,
        Err(error) => {
            tracing::error!(error = %error, "config.refused");
            return output::note(format!("SIGHUP: nothing changed: {error}"));
        }
    };
    let values = config.values();
    let before = served.values.clone();
    if let Err(error) = log.reload(&config.server.log_level) {
        tracing::error!(error = %error, "log.not_reloaded");
    }
    let mut in_force = before.clone();
    let reloaded = values.iter().filter(|(key, _)| is_reloaded(key));
    in_force.extend(reloaded.map(|(key, value)| (key.clone(), value.clone())));
    if let Err(error) = record_settings(wired, "reload", &in_force).await {
        tracing::error!(error = %error, "config.not_recorded");
        return output::note(format!(
            "SIGHUP: the audit log cannot be written, nothing but the log level changed: {error}"
        ));
    }
    live.origins.replace(&config.cors.allowed_origins);
    wired.site.reloaded(&config.cors.allowed_origins);
    wired.app.set_throttle(config.throttle.clone());
    let renewal = crate::certificate::reload_all(&live.certificates, wired.app.now());
    served.values = in_force;
    note_served(home, served);
    let taken = changed(&before, &served.values);
    let waiting = changed(&served.values, &values);
    tracing::info!(
        log_level = config.server.log_level,
        changed = taken.join(" "),
        certificates = renewal.replaced.join(" "),
        restart_needed_for = waiting.join(" "),
        "config.reloaded"
    );
    audit_certificates(wired, &renewal.replaced).await;

    let mut said = vec![format!("log level {}, log file opened anew", config.server.log_level)];
    let told: Vec<&str> = taken.iter().map(String::as_str).filter(|key| *key != "server.log_level").collect();
    if !told.is_empty() {
        said.push(format!("{} taken over", told.join(", ")));
    }
    said.extend(renewal.replaced.iter().map(|listener| format!("new certificate of listener {listener}")));
    said.extend(renewal.wrong);
    if !waiting.is_empty() {
        said.push(format!("a restart is needed for changes of: {}", waiting.join(", ")));
    }
    output::note(format!("SIGHUP: {}", said.join("; ")));
}

/// Writes to the audit log which settings are others than those of the last time.
///
/// # Errors
/// When the log cannot be written: what cannot be recorded is not done.
pub async fn record_settings(
    wired: &wire::Wired,
    how: &'static str,
    values: &Values,
) -> Result<(), CliError> {
    let mut settings: BTreeMap<String, String> =
        values.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
    let disabled = wired.app.settings().rate_limit_disabled;
    settings.insert("ACTIFIX_RATE_LIMIT_DISABLED".to_owned(), disabled.to_string());
    let changed = wired.app.record_settings(how, settings).await?;
    if !changed.is_empty() {
        tracing::warn!(settings = changed.join(","), "config.changed");
    }
    Ok(())
}

/// By which certificate the server is known is a security setting: the audit log has it.
async fn audit_certificates(wired: &wire::Wired, replaced: &[String]) {
    for name in replaced {
        let (target, detail) = (format!("certificate:{name}"), json!({ "replaced": true }));
        if let Err(error) = wired.app.record_act(&Actor::System, Action::SettingChanged, target, detail).await
        {
            tracing::error!(error = %error, "audit.not_written");
        }
    }
}

/// Keeps what applies, for other commands. They are less helpful without it, and nothing else is.
pub fn note_served(home: &Home, served: &Served) {
    if let Err(error) = served.write(home) {
        tracing::warn!(error = %error, "served.not_written");
    }
}
