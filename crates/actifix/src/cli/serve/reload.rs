//! SIGHUP: takes over what can change while the server runs, and names what cannot.

use crate::cli::output;
use crate::config::{RELOADED, changed};
use crate::home::Home;
use crate::lifecycle::Live;
use crate::served::Served;
use crate::telemetry::Log;
use crate::wire;
use actifix_domain::access::Actor;
use actifix_domain::audit::Action;
use serde_json::{Value, json};

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
    live.origins.replace(&config.cors.allowed_origins);
    let renewal = crate::certificate::reload_all(&live.certificates, wired.app.now());
    for key in RELOADED {
        if let Some(value) = values.get(key) {
            served.values.insert(key.to_owned(), value.clone());
        }
    }
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
    audit(wired, &before, served, &renewal.replaced).await;

    let mut said = vec![format!("log level {}, log file opened anew", config.server.log_level)];
    if taken.iter().any(|key| key == "cors.allowed_origins") {
        said.push("cors.allowed_origins taken over".to_owned());
    }
    said.extend(renewal.replaced.iter().map(|listener| format!("new certificate of listener {listener}")));
    said.extend(renewal.wrong);
    if !waiting.is_empty() {
        said.push(format!("a restart is needed for changes of: {}", waiting.join(", ")));
    }
    output::note(format!("SIGHUP: {}", said.join("; ")));
}

/// Who may read answers, and by which certificate the server is known, are security settings: the audit log has them.
async fn audit(wired: &wire::Wired, before: &crate::config::Values, served: &Served, replaced: &[String]) {
    const ORIGINS: &str = "cors.allowed_origins";
    let value = |values: &crate::config::Values| values.get(ORIGINS).cloned().unwrap_or(Value::Null);
    let (old, new) = (value(before), value(&served.values));
    let mut acts = Vec::new();
    if old != new {
        acts.push(("config:cors.allowed_origins".to_owned(), json!({ "before": old, "after": new })));
    }
    acts.extend(replaced.iter().map(|name| (format!("certificate:{name}"), json!({ "replaced": true }))));
    for (target, detail) in acts {
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
