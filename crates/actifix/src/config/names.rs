//! Names of variables: a misspelt one would otherwise do nothing, in silence.
//!
//! `ACTIFIX_<SECTION>__<KEY>` is refused where the configuration is read. Here are the others, which have no section.

use super::fields::{FIELDS, distance};
use super::{Config, SECRET_FORM, SecretRef, known};

/// What begins the names of ours.
const PREFIX: &str = "ACTIFIX_";
/// Variables without a section, each read in one place.
const VARIABLES: [&str; 11] = [
    "ACTIFIX_FENCE",
    "ACTIFIX_HOME",
    "ACTIFIX_LEASE",
    "ACTIFIX_MASTER_KEY",
    "ACTIFIX_MASTER_KEY_FILE",
    "ACTIFIX_RATE_LIMIT_DISABLED",
    "ACTIFIX_TOKEN",
    "ACTIFIX_TOKEN_FILE",
    "ACTIFIX_URL",
    "ACTIFIX_WEBHOOK_URLS",
    "ACTIFIX_WEBHOOK_URLS_FILE",
];
/// Kubernetes and container links give these to every process beside a service called `actifix`.
const OF_PLATFORMS: [&str; 2] = ["ACTIFIX_PORT", "ACTIFIX_SERVICE_"];
/// Letters that may be wrong in a name for it to be taken as misspelt.
const WRONG_MAX: usize = 3;
/// Names that are told.
const TOLD_MAX: usize = 20;
/// Longest name that is looked at, bytes.
const NAME_BYTES_MAX: usize = 100;

/// A variable that looks like one of ours and is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// Its name; never its value.
    pub name: String,
    /// The one that was probably meant.
    pub meant: Option<String>,
}

impl std::fmt::Display for Stranger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: no such variable, it does nothing", self.name)?;
        match &self.meant {
            Some(meant) => write!(f, "; did you mean {meant}?"),
            None => write!(f, "; unset it, or give it another name"),
        }
    }
}

/// Those of `names` that are ours by their beginning, and that nobody reads.
pub fn strangers(config: &Config, names: impl IntoIterator<Item = String>) -> Vec<Stranger> {
    let referred = referred(config);
    let mut found: Vec<Stranger> = names
        .into_iter()
        .filter(|name| name.starts_with(PREFIX) && name.len() <= NAME_BYTES_MAX)
        .filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        // With a section it was read, or refused.
        .filter(|name| !name.contains("__"))
        .filter(|name| !VARIABLES.contains(&name.as_str()) && !referred.contains(name))
        .filter(|name| !OF_PLATFORMS.iter().any(|start| name.starts_with(start)))
        .map(|name| Stranger { meant: nearest(&name), name })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found.truncate(TOLD_MAX);
    found
}

/// Variables that the configuration takes secrets from (`env:NAME`).
fn referred(config: &Config) -> Vec<String> {
    let mut names = Vec::new();
    for (key, value) in config.values() {
        let text = value.as_str().filter(|_| known(&key).is_some_and(|field| field.form == SECRET_FORM));
        if let Some(Ok(SecretRef::Variable(name))) = text.map(str::parse) {
            names.push(format!("{name}_FILE"));
            names.push(name);
        }
    }
    names
}

fn nearest(name: &str) -> Option<String> {
    let of_keys = FIELDS
        .iter()
        .filter(|field| !field.key.contains('*'))
        .map(|field| format!("{PREFIX}{}", field.key.replace('.', "__").to_ascii_uppercase()));
    VARIABLES
        .into_iter()
        .map(str::to_owned)
        .chain(of_keys)
        .map(|known| (distance(name, &known), known))
        .min()
        .filter(|(wrong, _)| *wrong <= WRONG_MAX)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(config: &Config, names: &[&str]) -> Vec<String> {
        strangers(config, names.iter().map(|name| (*name).to_owned()))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn misspelt_names_are_told_with_the_one_that_was_meant() {
        let config = Config::default();
        for (wrong, meant) in [
            ("ACTIFIX_MASTER_KEY_FLIE", "ACTIFIX_MASTER_KEY_FILE"),
            ("ACTIFIX_WEBHOOK_URL", "ACTIFIX_WEBHOOK_URLS"),
            ("ACTIFIX_TOKN", "ACTIFIX_TOKEN"),
            ("ACTIFIX_THROTTLE_ENABLED", "ACTIFIX_THROTTLE__ENABLED"),
            ("ACTIFIX_SERVER_PUBLIC_URL", "ACTIFIX_SERVER__PUBLIC_URL"),
        ] {
            assert_eq!(
                told(&config, &[wrong]),
                [format!("{wrong}: no such variable, it does nothing; did you mean {meant}?")]
            );
        }
        let other = told(&config, &["ACTIFIX_COLOUR_OF_THE_LOGO"]);
        assert!(other.len() == 1 && !other[0].contains("mean"), "{other:?}");
    }

    #[test]
    fn what_is_known_referred_to_or_of_others_is_not_told() {
        let mut config = Config::default();
        config.oidc.client_secret = Some("env:ACTIFIX_SIGN_IN".parse().unwrap());
        let mut fine: Vec<&str> = VARIABLES.to_vec();
        fine.extend([
            "ACTIFIX_SIGN_IN",
            "ACTIFIX_SIGN_IN_FILE",
            "ACTIFIX_SERVER__LOG_LEVEL",
            "PATH",
            "ACTIFIXX",
        ]);
        fine.extend(["ACTIFIX_PORT", "ACTIFIX_PORT_5001_TCP_ADDR", "ACTIFIX_SERVICE_HOST"]);
        assert_eq!(told(&config, &fine), Vec::<String>::new());
        assert_eq!(told(&Config::default(), &["ACTIFIX_SIGN_IN"]).len(), 1);
    }
}
