//! The configuration as a list of keys and values: what `config show` prints and two configurations are compared by.

use super::{Config, Loaded, Source};
use actifix_app::app::Setting;
use serde_json::Value;
use std::collections::BTreeMap;

/// Keys, and with a dot at their end sections, that SIGHUP takes over; all others wait for the next start.
const RELOADED: [&str; 3] = ["server.log_level", "cors.allowed_origins", "throttle."];

/// Whether SIGHUP takes a key over.
pub fn is_reloaded(key: &str) -> bool {
    RELOADED.iter().any(|name| key == *name || (name.ends_with('.') && key.starts_with(name)))
}

/// Values by dotted key.
pub type Values = BTreeMap<String, Value>;

impl Config {
    /// Every key with the value that applies, defaults filled in; passwords in URLs are masked.
    pub fn values(&self) -> Values {
        let mut config = self.clone();
        config.listeners = config.listeners();
        config.server.public_url = Some(config.public_url());
        let mut values = Values::new();
        if let Ok(all) = serde_json::to_value(&config) {
            flatten("", all, &mut values);
        }
        values
    }
}

impl Loaded {
    /// Where the value of a key comes from.
    pub fn source(&self, key: &str) -> String {
        match self.sources.get(key) {
            None => "default".to_owned(),
            Some(Source::File) => "actifix.toml".to_owned(),
            Some(Source::Environment(name)) => name.clone(),
        }
    }

    /// Every setting as it applies, for people to look at.
    pub fn in_effect(&self) -> Vec<Setting> {
        let setting = |(key, value): (String, Value)| Setting {
            source: self.source(&key),
            value: value.to_string(),
            key,
        };
        self.config.values().into_iter().map(setting).collect()
    }
}

/// Keys whose values differ.
pub fn changed(one: &Values, other: &Values) -> Vec<String> {
    let keys: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    keys.into_iter().filter(|key| one.get(*key) != other.get(*key)).cloned().collect()
}

fn flatten(prefix: &str, value: Value, out: &mut Values) {
    match value {
        Value::Object(members) => {
            for (name, inner) in members {
                let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
                flatten(&key, inner, out);
            }
        }
        Value::String(text) => {
            out.insert(prefix.to_owned(), Value::String(without_password(&text)));
        }
        other => {
            out.insert(prefix.to_owned(), other);
        }
    }
}

/// A URL without what stands before its host: that may be a password.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}{path}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_masked() {
        assert_eq!(without_password("https://jo:hunter2@a.test/x?y=z@w"), "https://…@a.test/x?y=z@w");
        assert_eq!(without_password("https://a.test/@jo"), "https://a.test/@jo");
        assert_eq!(without_password("secret:slack"), "secret:slack");
    }

    #[test]
    fn what_changed_is_named_by_key() {
        let mut config = Config::default();
        let before = config.values();
        assert_eq!(before.get("server.public_url"), Some(&Value::from("http://127.0.0.1:5001")));
        config.retention.events_days += 1;
        config.server.log_level = "debug".to_owned();
        assert_eq!(changed(&before, &config.values()), ["retention.events_days", "server.log_level"]);
    }
}
