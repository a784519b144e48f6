//! Fetches the root key from the place that the record names, and from no other.

use super::error::VaultError;
use super::key::Key;
use super::keyfile::{self, Readers};
use super::keyring;
use super::record::{Backend, Slot};
use actifix_app::secrets::SecretText;
use std::fmt;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Name of the key file within `.actifix/`.
pub const KEY_FILE: &str = "root.key";
/// Name of the credential that systemd lends.
pub const CREDENTIAL: &str = "actifix-root-key";
/// Longest line that is read as a passphrase, bytes.
const LINE_BYTES_MAX: u64 = 8 << 10;

/// Hex digits of a root key.
const KEY_DIGITS: usize = 64;

/// What this process was given to find the root key with.
#[derive(Default)]
pub struct KeySources {
    /// `ACTIFIX_MASTER_KEY`
    pub key: Option<SecretText>,
    /// `ACTIFIX_MASTER_KEY_FILE`
    pub file: Option<PathBuf>,
    /// `CREDENTIALS_DIRECTORY`
    pub credentials: Option<PathBuf>,
    /// Whom to ask for a passphrase.
    pub ask: Ask,
}

/// Whom a passphrase is asked of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ask {
    /// Nobody.
    #[default]
    Nobody,
    /// The person at the terminal, if there is one.
    Terminal,
    /// The person at the terminal, else the first line of standard input.
    TerminalOrInput,
}

impl fmt::Debug for KeySources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySources")
            .field("key", &self.key)
            .field("file", &self.file)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

/// Key material and the words for where it came from.
#[derive(Clone)]
pub struct Material {
    /// A key in hex, or a passphrase.
    pub text: SecretText,
    /// Variable, file or person.
    pub origin: String,
}

impl KeySources {
    /// What the environment gives. Both variables may be set if they say the same.
    pub fn given(&self) -> Result<Option<Material>, VaultError> {
        let trimmed = |text: &str| SecretText::new(text.trim_end_matches(['\r', '\n']).to_owned());
        let from_key = self
            .key
            .as_ref()
            .map(|text| Material { text: trimmed(text.reveal()), origin: "ACTIFIX_MASTER_KEY".to_owned() });
        let Some(path) = &self.file else { return Ok(from_key) };
        let text = keyfile::read(path, Readers::Owner)?.ok_or_else(|| VaultError::Absent {
            origin: format!("ACTIFIX_MASTER_KEY_FILE names {}, which does not exist", path.display()),
            hint: "put the key file there".to_owned(),
        })?;
        let text = trimmed(&text);
        match from_key {
            Some(key) if key.text != text => Err(VaultError::Ambiguous),
            _ => Ok(Some(Material { text, origin: path.display().to_string() })),
        }
    }

    /// Where systemd put the credential, if it did.
    pub fn credential(&self) -> Option<PathBuf> {
        self.credentials.as_ref().map(|folder| folder.join(CREDENTIAL))
    }

    /// The passphrase: from the environment, else from whom it may be asked.
    pub fn passphrase(&self, question: &str) -> Result<Material, VaultError> {
        if let Some(given) = self.given()? {
            return Ok(given);
        }
        let absent = || VaultError::Absent {
            origin: "no passphrase was given".to_owned(),
            hint:
                "type it at a terminal, send it to standard input of `serve`, or set ACTIFIX_MASTER_KEY_FILE"
                    .to_owned(),
        };
        if self.ask == Ask::Nobody {
            return Err(absent());
        }
        if let Some(text) = ask_terminal(question) {
            return Ok(Material { text, origin: "the terminal".to_owned() });
        }
        if self.ask != Ask::TerminalOrInput {
            return Err(absent());
        }
        let mut line = Zeroizing::new(String::new());
        let mut input = std::io::Read::take(std::io::stdin().lock(), LINE_BYTES_MAX);
        match input.read_line(&mut line) {
            Ok(read) if read > 0 => {
                let text = SecretText::new(line.trim_end_matches(['\r', '\n']).to_owned());
                Ok(Material { text, origin: "standard input".to_owned() })
            }
            _ => Err(absent()),
        }
    }
}

/// Asks without echo; none where nobody sits.
pub fn ask_terminal(question: &str) -> Option<SecretText> {
    use std::io::IsTerminal;
    if !std::io::stdin().is_terminal() {
        return None;
    }
    let line = crate::terminal::read_secret(question).ok()?;
    Some(SecretText::new(line.as_str().to_owned()))
}

/// Whether what a fresh home is given is a passphrase. What has hex digits only, or is as long as a key, is one or was
/// meant to be: a key that was cut short or mistyped becomes no passphrase.
pub fn is_passphrase(material: &Material) -> bool {
    let text = material.text.reveal().trim();
    text.chars().count() != KEY_DIGITS && text.chars().any(|c| !c.is_ascii_hexdigit())
}

/// Parses a key in hex.
pub fn parse(material: &Material) -> Result<Key, VaultError> {
    Key::parse(material.text.reveal())
        .ok_or_else(|| VaultError::Malformed { origin: material.origin.clone() })
}

/// Where the key file of a slot lies.
pub fn key_file(private: &Path, key_file: Option<&PathBuf>) -> PathBuf {
    key_file.cloned().unwrap_or_else(|| private.join(KEY_FILE))
}

/// A key file as a key; none when there is no file.
pub fn key_of_file(path: &Path, readers: Readers) -> Result<Option<Key>, VaultError> {
    let Some(text) = keyfile::read(path, readers)? else { return Ok(None) };
    let malformed = || VaultError::Malformed { origin: path.display().to_string() };
    Key::parse(&text).map(Some).ok_or_else(malformed)
}

/// The words for a slot's place.
pub fn place(private: &Path, slot: &Slot) -> String {
    match slot.backend {
        Backend::File => key_file(private, slot.key_file.as_ref()).display().to_string(),
        Backend::Keyring => keyring::NAME.to_owned(),
        Backend::Systemd => format!("systemd credential {CREDENTIAL}"),
        Backend::Passphrase => "a passphrase".to_owned(),
        Backend::Environment => "ACTIFIX_MASTER_KEY or ACTIFIX_MASTER_KEY_FILE".to_owned(),
    }
}

/// The root key of a slot. `given` is what the environment or a person gave.
///
/// A key that is given for this very start is used instead of the recorded place: that is no falling through, since it
/// has to pass the same check.
pub fn fetch(
    private: &Path,
    home_id: &str,
    slot: &Slot,
    sources: &KeySources,
    given: Option<&Material>,
) -> Result<(Key, String), VaultError> {
    if let (Some(material), Some(stretch)) = (given, &slot.stretch) {
        return Ok((stretch.key(material.text.reveal(), &material.origin)?, material.origin.clone()));
    }
    if let Some(material) = given {
        return Ok((parse(material)?, material.origin.clone()));
    }
    let origin = place(private, slot);
    let key = match slot.backend {
        Backend::File => {
            let path = key_file(private, slot.key_file.as_ref());
            key_of_file(&path, Readers::Owner)?.ok_or_else(|| VaultError::Absent {
                origin: format!("{} is missing", path.display()),
                hint: "put the key file back, or give the key in ACTIFIX_MASTER_KEY_FILE".to_owned(),
            })?
        }
        Backend::Keyring => keyring::fetch(home_id, &slot.key_id)?,
        Backend::Systemd => {
            let path = sources.credential().ok_or_else(|| VaultError::Absent {
                origin: "systemd lends no credential to this process (CREDENTIALS_DIRECTORY is not set)"
                    .to_owned(),
                hint: format!("start it as the service that has LoadCredential={CREDENTIAL}:…"),
            })?;
            key_of_file(&path, Readers::Group)?.ok_or_else(|| VaultError::Absent {
                origin: format!("{} is missing", path.display()),
                hint: format!("add LoadCredential={CREDENTIAL}:… to the service"),
            })?
        }
        // Passphrases come by `given`.
        Backend::Passphrase => {
            return Err(VaultError::Absent {
                origin: "no passphrase was given".to_owned(),
                hint: "type it, or set ACTIFIX_MASTER_KEY_FILE".to_owned(),
            });
        }
        Backend::Environment => {
            return Err(VaultError::Absent {
                origin: "neither ACTIFIX_MASTER_KEY nor ACTIFIX_MASTER_KEY_FILE is set".to_owned(),
                hint: "set the one that this home was made with".to_owned(),
            });
        }
    };
    Ok((key, origin))
}
