//! Secrets in the configuration: always by reference, never as text.
//!
//! A configuration file is copied, committed and pasted into questions. So a key that takes a secret takes the name of
//! one: `secret:NAME` (the credential store), `env:NAME` (a variable, or the file that `NAME_FILE` names) or
//! `file:PATH`.

use crate::vault::{VaultError, read_private_text};
use actifix_app::App;
use actifix_app::secrets::{SECRET_BYTES_MAX, SecretName, SecretText};
use actifix_domain::access::Actor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Form of such a key, for [`super::FIELDS`].
pub const SECRET_FORM: &str = "secret:NAME, env:NAME or file:PATH";
/// Longest name of a variable, characters.
const VARIABLE_NAME_MAX: usize = 128;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// In the credential store.
    Stored(SecretName),
    /// In a variable, or in the file that the variable `NAME_FILE` names.
    Variable(String),
    /// In a file; a relative path is meant from the home.
    File(PathBuf),
}

/// Why a reference gives no secret. Texts never repeat what was found.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Something else than a reference.
    #[error(
        "a secret is never written here: store it with `actifix secrets set NAME` and write `secret:NAME`, or write `env:NAME` or `file:PATH`"
    )]
    NoReference,
    /// The name after the colon cannot be one.
    #[error("the name after `{kind}:` is not valid: expected {form}")]
    Name {
        /// `secret` or `env`.
        kind: &'static str,
        /// What is right.
        form: &'static str,
    },
    /// No variable.
    #[error("neither {name} nor {name}_FILE is set: set one of them")]
    Unset {
        /// The variable.
        name: String,
    },
    /// Two variables.
    #[error("{name} and {name}_FILE are both set and differ: keep one")]
    Differ {
        /// The variable.
        name: String,
    },
    /// No file, or one that others can read.
    #[error(transparent)]
    File(#[from] VaultError),
    /// No such file.
    #[error("{path}: no such file: put the secret there")]
    NoFile {
        /// Where it should be.
        path: PathBuf,
    },
    /// An empty or large value, or one with NUL.
    #[error("{origin}: not a secret: expected 1 to {max} bytes of text without NUL", max = SECRET_BYTES_MAX)]
    Value {
        /// Variable or file.
        origin: String,
    },
    /// No such stored secret, or it cannot be opened.
    #[error("secret:{name}: {why}: set it with `actifix secrets set {name}`")]
    Stored {
        /// Its name.
        name: SecretName,
        /// Why.
        why: String,
    },
}

/// The environment, as a function, so that tests need not change the process's own.
pub type Lookup<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

impl SecretRef {
    /// The secret, for a process that holds the App.
    pub async fn resolve(
        &self,
        app: &App,
        home: &Path,
        environment: Lookup<'_>,
    ) -> Result<SecretText, SecretError> {
        match self {
            Self::Stored(name) => app
                .reveal_secret(&Actor::System, name)
                .await
                .map_err(|error| SecretError::Stored { name: name.clone(), why: error.to_string() }),
            _ => self.resolve_outside(home, environment)?.ok_or(SecretError::NoReference),
        }
    }

    /// The secret of a variable or file; none for a stored one, which takes an open vault.
    pub fn resolve_outside(
        &self,
        home: &Path,
        environment: Lookup<'_>,
    ) -> Result<Option<SecretText>, SecretError> {
        match self {
            Self::Stored(_) => Ok(None),
            Self::Variable(name) => {
                let found = variable(name, home, environment)?;
                found.map(Some).ok_or_else(|| SecretError::Unset { name: name.clone() })
            }
            Self::File(path) => file(&home.join(path)).map(Some),
        }
    }
}

/// A secret from the variable `name` or from the file that `name_FILE` names. Both may be set if they say the same.
pub fn variable(name: &str, home: &Path, environment: Lookup<'_>) -> Result<Option<SecretText>, SecretError> {
    let filled = |name: &str| environment(name).filter(|value| !value.is_empty());
    let direct = filled(name).map(|text| checked(text, name)).transpose()?;
    let Some(path) = filled(&format!("{name}_FILE")) else { return Ok(direct) };
    let from_file = file(&home.join(path))?;
    match direct {
        Some(direct) if direct != from_file => Err(SecretError::Differ { name: name.to_owned() }),
        _ => Ok(Some(from_file)),
    }
}

fn file(path: &Path) -> Result<SecretText, SecretError> {
    let text = read_private_text(path, SECRET_BYTES_MAX + 2)?;
    let mut text = text.ok_or_else(|| SecretError::NoFile { path: path.to_owned() })?;
    checked(std::mem::take(&mut *text), &path.display().to_string())
}

/// One newline at the end is of the editor, not of the secret.
fn checked(mut text: String, origin: &str) -> Result<SecretText, SecretError> {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    let secret = SecretText::new(text);
    let length = secret.reveal().len();
    if length == 0 || length > SECRET_BYTES_MAX || secret.reveal().contains('\0') {
        return Err(SecretError::Value { origin: origin.to_owned() });
    }
    Ok(secret)
}

impl FromStr for SecretRef {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let (kind, rest) = text.split_once(':').ok_or(SecretError::NoReference)?;
        match kind {
            "secret" => rest.parse().map(Self::Stored).map_err(|_| SecretError::Name {
                kind: "secret",
                form: "1 to 64 lower-case letters, digits, `.`, `_`, `-`",
            }),
            "env" => {
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let fits = !rest.is_empty()
                    && rest.len() <= VARIABLE_NAME_MAX
                    && rest.chars().all(plain)
                    && !rest.starts_with(|c: char| c.is_ascii_digit());
                if fits {
                    return Ok(Self::Variable(rest.to_owned()));
                }
                Err(SecretError::Name { kind: "env", form: "letters, digits and `_`" })
            }
            "file" if !rest.is_empty() && !rest.contains('\0') => Ok(Self::File(PathBuf::from(rest))),
            _ => Err(SecretError::NoReference),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(name) => write!(f, "secret:{name}"),
            Self::Variable(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl Serialize for SecretRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Whatever stands there may be the secret itself: no error names it.
        let text = String::deserialize(deserializer).map_err(|_| {
            serde::de::Error::custom("expected a text such as `secret:NAME`, `env:NAME` or `file:PATH`")
        })?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[derive(Debug, Deserialize, Serialize)]
    struct Section {
        url: SecretRef,
    }

    fn parse(value: &str) -> Result<SecretRef, String> {
        toml::from_str::<Section>(&format!("url = {value}"))
            .map(|section| section.url)
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn references_are_read_and_shown_as_they_are_written() {
        for text in ["secret:slack-url", "env:SLACK_URL", "file:/run/secrets/slack", "file:slack.url"] {
            let reference = parse(&format!("{text:?}")).unwrap();
            assert_eq!(reference.to_string(), text);
            let shown = toml::to_string(&Section { url: reference }).unwrap();
            assert_eq!(shown.trim(), format!("url = {text:?}"));
        }
    }

    #[test]
    fn a_literal_is_refused_and_not_repeated() {
        for literal in ["hunter2", "https://hooks.test/T0/hunter2", "SECRET:hunter2", ":hunter2", "file:"] {
            let error = parse(&format!("{literal:?}")).unwrap_err();
            assert!(error.contains("actifix secrets set NAME") && !error.contains("hunter2"), "{error}");
        }
        for wrong in ["secret:Hunter2!", "secret:", "env:", "env:a b", "env:2HUNTER2", "env:A=hunter2"] {
            let error = parse(&format!("{wrong:?}")).unwrap_err();
            assert!(error.contains("not valid") && !error.to_lowercase().contains("hunter2"), "{error}");
        }
        for other in ["5", "true", "[\"hunter2\"]", "{ a = \"hunter2\" }"] {
            let error = parse(other).unwrap_err();
            assert!(error.contains("secret:NAME") && !error.contains("hunter2"), "{error}");
        }
    }

    fn environment(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> + Sync + use<> {
        let map: HashMap<String, String> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        move |name| map.get(name).cloned()
    }

    fn private(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }

    #[test]
    fn a_variable_may_name_a_file_and_two_must_agree() {
        let dir = tempfile::tempdir().unwrap();
        private(&dir.path().join("a"), "from file\n");
        let resolve = |pairs: &[(&str, &str)]| {
            SecretRef::Variable("X".into())
                .resolve_outside(dir.path(), &environment(pairs))
                .map(|found| found.unwrap().reveal().to_owned())
                .map_err(|error| error.to_string())
        };
        assert_eq!(resolve(&[("X", "direct\n")]).unwrap(), "direct");
        assert_eq!(resolve(&[("X_FILE", "a")]).unwrap(), "from file");
        assert_eq!(resolve(&[("X", "from file"), ("X_FILE", "a")]).unwrap(), "from file");
        let differ = resolve(&[("X", "direct"), ("X_FILE", "a")]).unwrap_err();
        assert!(differ.contains("X and X_FILE are both set and differ"), "{differ}");
        assert!(!differ.contains("direct") && !differ.contains("from file"));
        assert!(resolve(&[]).unwrap_err().contains("neither X nor X_FILE is set"));
        assert!(resolve(&[("X", "")]).unwrap_err().contains("neither"));
        assert!(resolve(&[("X_FILE", "missing")]).unwrap_err().contains("no such file"));
    }

    #[test]
    fn a_file_is_private_bounded_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let resolve = || {
            SecretRef::File("s".into())
                .resolve_outside(dir.path(), &environment(&[]))
                .map(|found| found.unwrap().reveal().to_owned())
                .map_err(|error| error.to_string())
        };
        private(&path, "line one\nline two\r\n");
        assert_eq!(resolve().unwrap(), "line one\nline two", "one newline is trimmed");
        private(&path, &"x".repeat(SECRET_BYTES_MAX));
        assert_eq!(resolve().unwrap().len(), SECRET_BYTES_MAX);
        for bad in ["", "\n", "a\0b", &"x".repeat(SECRET_BYTES_MAX + 1), &"x".repeat(SECRET_BYTES_MAX * 3)] {
            private(&path, bad);
            assert!(resolve().is_err(), "{} bytes", bad.len());
        }
        private(&path, "hunter2");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let error = resolve().unwrap_err();
        assert!(error.contains("others can read it") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_stored_secret_takes_an_open_vault() {
        let reference: SecretRef = "secret:a".parse().unwrap();
        assert_eq!(reference.resolve_outside(Path::new("/"), &environment(&[])).unwrap(), None);
    }
}
