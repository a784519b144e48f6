//! Reads the file and the environment, checks keys and values, and remembers where each value came from.

use super::{Config, fields};
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Largest configuration file, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `actifix.toml`.
    File,
    /// A variable, by name.
    Environment(String),
}

/// Why the configuration is refused. Texts name keys, never values: those may be secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is too large.
    #[error("{path}: larger than 1 MiB: is this the right file?")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else may say what stands in it.
    #[error("{path}: refused as configuration: {why}")]
    Refused {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        why: String,
    },
    /// The file is not TOML.
    #[error("{path}: not valid TOML at line {line}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A key that does not exist.
    #[error("{origin}: unknown key `{key}`{hint}; `actifix config schema` lists all")]
    UnknownKey {
        /// File or variable.
        origin: String,
        /// The key.
        key: String,
        /// `, did you mean …?`
        hint: String,
    },
    /// A value that does not fit.
    #[error("{key}: wrong value: {message}; expected {form}")]
    Value {
        /// The key.
        key: String,
        /// What is wrong.
        message: String,
        /// What is right.
        form: &'static str,
    },
}

/// The configuration and where its values came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Source of each key that is not at its default.
    pub sources: BTreeMap<String, Source>,
}

/// Loads `file` if it exists, then lays `environment` (name, value) over it.
pub fn load(
    file: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let mut table = read_file(file)?;
    let mut sources = BTreeMap::new();
    let mut leaves = Vec::new();
    collect_leaves("", &table, &mut leaves);
    for key in leaves {
        if fields::known(&key).is_none() {
            return Err(unknown(&file.display().to_string(), key));
        }
        sources.insert(key, Source::File);
    }
    for (name, value) in environment {
        let Some(key) = key_of_variable(&name) else { continue };
        if fields::known(&key).is_none() {
            return Err(unknown(&name, key));
        }
        insert(&mut table, &key, parse_value(&key, &value));
        sources.insert(key, Source::Environment(name));
    }
    let config = deserialize(&table)?;
    Ok(Loaded { config, sources })
}

fn read_file(path: &Path) -> Result<toml::Table, ConfigError> {
    let wrap = |source| ConfigError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(toml::Table::new()),
        Err(error) => return Err(wrap(error)),
    };
    let meta = file.metadata().map_err(wrap)?;
    if let Some(why) = foreign(&meta) {
        return Err(ConfigError::Refused { path: path.to_owned(), why });
    }
    if meta.len() > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge { path: path.to_owned() });
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(wrap)?;
    text.parse::<toml::Table>().map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        ConfigError::Syntax {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            message: error.message().to_owned(),
        }
    })
}

/// Why a file is not ours to believe: it names where listeners open, whom we trust and whom we tell.
fn foreign(meta: &Metadata) -> Option<String> {
    let mode = meta.mode() & 0o7777;
    if meta.uid() != rustix::process::geteuid().as_raw() && meta.uid() != 0 {
        let owner = meta.uid();
        return Some(format!(
            "it belongs to user {owner}, not to the user that runs this program: `chown` it, and look at what it says"
        ));
    }
    (mode & 0o022 != 0)
        .then(|| format!("others can change it (mode {mode:04o}): `chmod go-w` it, and look at what it says"))
}

/// `ACTIFIX_THROTTLE__ENABLED` → `throttle.enabled`; none for variables without a section.
fn key_of_variable(name: &str) -> Option<String> {
    let rest = name.strip_prefix("ACTIFIX_")?;
    rest.contains("__").then(|| rest.to_ascii_lowercase().replace("__", "."))
}

/// Text of a variable as the kind of value that its key takes.
fn parse_value(key: &str, text: &str) -> toml::Value {
    let is_list = fields::known(key).is_some_and(|field| field.form.starts_with("list "));
    if is_list && !text.trim_start().starts_with('[') {
        let items = text.split(',').map(|item| toml::Value::String(item.trim().to_owned()));
        return toml::Value::Array(items.collect());
    }
    if let Ok(table) = format!("v = {text}").parse::<toml::Table>()
        && let Some(value) = table.get("v")
        && !matches!(value, toml::Value::Datetime(_) | toml::Value::Table(_))
    {
        return value.clone();
    }
    toml::Value::String(text.to_owned())
}

fn collect_leaves(prefix: &str, table: &toml::Table, out: &mut Vec<String>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) if !inner.is_empty() => collect_leaves(&key, inner, out),
            toml::Value::Table(_) if fields::is_section(&key) => {}
            _ => out.push(key),
        }
    }
}

fn insert(table: &mut toml::Table, key: &str, value: toml::Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((head, rest)) => {
            let entry =
                table.entry(head.to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let toml::Value::Table(inner) = entry {
                insert(inner, rest, value);
            }
        }
    }
}

fn unknown(origin: &str, key: String) -> ConfigError {
    let hint = fields::nearest(&key).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
    ConfigError::UnknownKey { origin: origin.to_owned(), key, hint }
}

fn deserialize(table: &toml::Table) -> Result<Config, ConfigError> {
    match table.clone().try_into::<Config>() {
        Ok(config) => Ok(config),
        Err(error) => Err(blame(table, error.message())),
    }
}

/// Finds the key whose value alone is refused, since the parser names only the type.
fn blame(table: &toml::Table, message: &str) -> ConfigError {
    let mut leaves = Vec::new();
    collect_leaves("", table, &mut leaves);
    for key in leaves {
        let mut alone = toml::Table::new();
        let value = key.split('.').try_fold(toml::Value::Table(table.clone()), |value, segment| {
            value.as_table().and_then(|inner| inner.get(segment)).cloned()
        });
        let Some(value) = value else { continue };
        insert(&mut alone, &key, value);
        // What else the section must hold, so that only this key can be what is wrong.
        for (rest, fill) in [("bind", "127.0.0.1:5001"), ("tls.cert", "-"), ("tls.key", "-")] {
            let Some(listener) = key.strip_prefix("listeners.").and_then(|tail| tail.split('.').next())
            else {
                continue;
            };
            let other = format!("listeners.{listener}.{rest}");
            if key != other && (rest == "bind" || key.contains(".tls.")) {
                insert(&mut alone, &other, toml::Value::String(fill.to_owned()));
            }
        }
        if let Err(error) = alone.try_into::<Config>() {
            let form = fields::known(&key).map_or("another value", |field| field.form);
            return ConfigError::Value { key, message: without_values(error.message()), form };
        }
    }
    ConfigError::Value {
        key: "actifix.toml".to_owned(),
        message: without_values(message),
        form: "a complete section",
    }
}

/// What the parser says, without the value that it repeats: somebody may have put a secret where a number belongs.
fn without_values(message: &str) -> String {
    let mut said = String::with_capacity(message.len());
    let mut quoted: Option<char> = None;
    for c in message.chars() {
        match (c, quoted) {
            (c, Some(mark)) if c == mark => quoted = None,
            (_, Some(_)) => {}
            ('"' | '`', None) => {
                quoted = Some(c);
                said.push('…');
            }
            (c, None) => said.push(c),
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_do_not_repeat_values() {
        for text in [
            "[limits]\napi_per_minute = \"hunter2\"\n",
            "[server]\nlog_level = 7\nhosts = [\"x\", \"hunter2\", 3]\n",
        ] {
            let error = load_text(text, &[]).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert_eq!(
            without_values("invalid type: string \"a b\", expected u32"),
            "invalid type: string …, expected u32"
        );
    }

    fn load_text(text: &str, env: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("actifix.toml");
        std::fs::write(&path, text).unwrap();
        load(&path, env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let loaded = load_text(
            "[throttle]\nenabled = true\np2_per_hour = 20\n",
            &[("ACTIFIX_THROTTLE__ENABLED", "false"), ("ACTIFIX_HOME", "/x"), ("PATH", "/bin")],
        )
        .unwrap();
        assert!(!loaded.config.throttle.enabled);
        assert_eq!(loaded.config.throttle.p2_per_hour, 20);
        assert_eq!(
            loaded.sources.get("throttle.enabled"),
            Some(&Source::Environment("ACTIFIX_THROTTLE__ENABLED".into()))
        );
    }

    #[test]
    fn unknown_keys_are_errors_with_the_nearest_name() {
        let file = load_text("[throttle]\nenable = true\n", &[]).unwrap_err().to_string();
        let section = load_text("[limts]\n", &[]).unwrap_err().to_string();
        assert!(section.contains("unknown key `limts`, did you mean `limits`?"), "{section}");
        assert!(load_text("[limits]\n", &[]).is_ok(), "a section without keys");
        assert!(file.contains("unknown key `throttle.enable`, did you mean `throttle.enabled`?"), "{file}");
        let env = load_text("", &[("ACTIFIX_SERVER__PUBLIC_ULR", "x")]).unwrap_err().to_string();
        assert!(env.contains("ACTIFIX_SERVER__PUBLIC_ULR") && env.contains("`server.public_url`"), "{env}");
        assert!(load_text("colour = 1\n", &[]).is_err());
    }

    #[test]
    fn wrong_values_name_their_key_and_form() {
        let text = load_text("[limits]\nkey_per_minute = \"many\"\n", &[]).unwrap_err().to_string();
        assert!(text.contains("limits.key_per_minute") && text.contains("events"), "{text}");
        let text = load_text("[listeners.a]\nbind = \"localhost:1\"\n", &[]).unwrap_err().to_string();
        assert!(text.contains("listeners.a.bind") && text.contains("IP:PORT"), "{text}");
        let text = load_text("[a\n", &[]).unwrap_err().to_string();
        assert!(text.contains("line 1"), "{text}");
    }

    #[test]
    fn lists_are_taken_from_variables() {
        let loaded = load_text(
            "",
            &[
                ("ACTIFIX_LISTENERS__MAIN__BIND", "127.0.0.1:6001"),
                ("ACTIFIX_LISTENERS__MAIN__MODULES", "ingest,api"),
                ("ACTIFIX_SERVER__TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
            ],
        )
        .unwrap();
        assert_eq!(loaded.config.server.trusted_proxies.len(), 2);
        assert_eq!(loaded.config.public_url(), "http://127.0.0.1:6001");
        assert_eq!(loaded.config.listeners().get("main").map(|l| l.modules.len()), Some(2));
    }
}
