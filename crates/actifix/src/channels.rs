//! Channels that the environment names: `ACTIFIX_WEBHOOK_URLS`.
//!
//! Each entry is `[NAME=][KIND+]URL`, several with blanks, commas or line breaks between them. An address is a secret, so
//! that an entry is told by its place, its name and its host only.

use crate::config::{self, SecretRef};
use actifix_app::alerts::{AddEndpoint, judge_endpoint};
use actifix_app::error::Error;
use actifix_app::secrets::SecretText;
use actifix_domain::alert::{AddressPolicy, is_name};
use std::collections::BTreeSet;
use std::path::Path;
use url::Url;

/// The variable.
pub const VARIABLE: &str = "ACTIFIX_WEBHOOK_URLS";
/// Channels that the environment may name.
const CHANNELS_MAX: usize = 50;

/// What the variable holds.
pub enum Given {
    /// Nothing.
    Nothing,
    /// The entries.
    Text(SecretText),
    /// Where they are.
    Reference(SecretRef),
}

/// Reads the variable, or the file that `ACTIFIX_WEBHOOK_URLS_FILE` names.
pub fn given(home: &Path) -> Result<Given, String> {
    let named = |error: config::SecretError| format!("{VARIABLE}: {error}");
    let found = config::secret_variable(VARIABLE, home, &config::environment).map_err(named)?;
    let Some(text) = found else { return Ok(Given::Nothing) };
    let trimmed = text.reveal().trim();
    if trimmed.starts_with("secret:") || trimmed.starts_with("file:") {
        return Ok(Given::Reference(trimmed.parse().map_err(named)?));
    }
    Ok(Given::Text(text))
}

/// The channels of such a text; or what is wrong with each entry that cannot be one.
pub fn parse(text: &str, policy: &AddressPolicy) -> Result<Vec<AddEndpoint>, String> {
    let (mut channels, mut wrong, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
    let entries = text.split(|c: char| c.is_whitespace() || c == ',').filter(|entry| !entry.is_empty());
    for (place, entry) in entries.enumerate() {
        if place >= CHANNELS_MAX {
            wrong.push(format!("more than {CHANNELS_MAX} entries"));
            break;
        }
        let parts = Parts::of(entry);
        let name = parts.name.map_or_else(|| format!("environment-{}", place + 1), str::to_owned);
        let judged = channel(&name, &parts).and_then(|channel| {
            judge_endpoint(channel, policy).map_err(told)?;
            if names.insert(name.clone()) {
                Ok(())
            } else {
                Err("its name is taken by another entry".to_owned())
            }
        });
        match judged.and_then(|()| channel(&name, &parts)) {
            Ok(channel) => channels.push(channel),
            Err(why) => wrong.push(format!("entry {}{}: {why}", place + 1, parts.shown())),
        }
    }
    if wrong.is_empty() { Ok(channels) } else { Err(format!("{VARIABLE}: {}", wrong.join("; "))) }
}

fn told(error: Error) -> String {
    match error {
        Error::Invalid(fields) => {
            let told: Vec<String> =
                fields.iter().map(|wrong| format!("{}: {}", wrong.field, wrong.message)).collect();
            told.join(", ")
        }
        other => other.to_string(),
    }
}

/// An entry, taken apart.
struct Parts<'a> {
    name: Option<&'a str>,
    kind: Option<&'a str>,
    url: &'a str,
}

impl<'a> Parts<'a> {
    fn of(entry: &'a str) -> Self {
        // A `=` or `+` of the address itself stands behind its `:`.
        let before = |mark, text: &'a str| text.split_once(mark).filter(|(head, _)| !head.contains(':'));
        let (name, rest) = before('=', entry).map_or((None, entry), |(name, rest)| (Some(name), rest));
        let (kind, url) = before('+', rest).map_or((None, rest), |(kind, url)| (Some(kind), url));
        Self { name: name.filter(|name| !name.is_empty()), kind, url }
    }

    /// What may be told of it: somebody may have put a secret anywhere.
    fn shown(&self) -> String {
        let name = self.name.filter(|name| is_name(name)).unwrap_or_default();
        let host = Url::parse(self.url).ok().and_then(|url| url.host_str().map(str::to_owned));
        match (name, host) {
            ("", None) => String::new(),
            (name, None) => format!(" ({name})"),
            ("", Some(host)) => format!(" ({host}/…)"),
            (name, Some(host)) => format!(" ({name}, {host}/…)"),
        }
    }
}

fn channel(name: &str, parts: &Parts<'_>) -> Result<AddEndpoint, String> {
    let body = serde_json::json!({ "name": name, "kind": parts.kind, "url": parts.url });
    serde_json::from_value(body).map_err(|_| "it does not read".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bad_entry_is_named_by_its_place_and_without_its_secret() {
        let policy = AddressPolicy::default();
        let text = "ops=slack+https://hooks.example.net/T0HUNTER2 http://plain.example.net/HUNTER2,\nHUNTER2 \
             pager=pigeon+https://hooks.example.net/HUNTER2 ops=https://other.example.net/HUNTER2 \
             a/b=https://hooks.example.net/HUNTER2 in=https://user:HUNTER2@127.0.0.1/HUNTER2";
        let error = parse(text, &policy).unwrap_err();
        assert!(!error.to_uppercase().contains("HUNTER2"), "{error}");
        for told in [
            "entry 2 (plain.example.net/…): ",
            "entry 3: ",
            "entry 4 (pager, hooks.example.net/…): kind: ",
            "entry 5 (ops, other.example.net/…): its name is taken by another entry",
            "entry 6 (hooks.example.net/…): name: ",
            "entry 7 (in, 127.0.0.1/…): ",
        ] {
            assert!(error.contains(told), "{told}: {error}");
        }
        assert!(!error.contains("entry 1 "), "{error}");
        let fine = "ops=slack+https://hooks.example.net/T0?a=1 https://b.example.net/x+y";
        let channels = parse(fine, &policy).unwrap();
        let names: Vec<&str> = channels.iter().map(|add| add.name.as_str()).collect();
        assert_eq!(names, ["ops", "environment-2"]);
        assert_eq!(channels[1].url.as_deref(), Some("https://b.example.net/x+y"));
    }

    #[test]
    fn as_many_as_there_may_be_and_no_more() {
        let many = |count: usize| {
            let entries: Vec<String> = (0..count).map(|n| format!("https://h{n}.example.net/x")).collect();
            parse(&entries.join(" "), &AddressPolicy::default())
        };
        assert_eq!(many(CHANNELS_MAX).unwrap().len(), CHANNELS_MAX);
        assert!(many(CHANNELS_MAX + 1).unwrap_err().contains("more than 50 entries"));
    }
}
