//! Who can read backups: recipients (public, `age1…`) and identities (secret, `AGE-SECRET-KEY-1…`).

use actifix_app::ports::Vault;
use age::secrecy::ExposeSecret;
use age::x25519::{Identity, Recipient};
use bech32::{ToBase32, Variant};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use zeroize::{Zeroize, Zeroizing};

/// Largest file of identities, bytes.
const FILE_BYTES_MAX: usize = 64 << 10;
/// Identities of one file.
const IDENTITIES_MAX: usize = 100;
/// What an identity of age begins with, in lower case.
const IDENTITY_PREFIX: &str = "age-secret-key-";
/// What the vault derives the server's own identity for.
const PURPOSE: &str = "backup-verification";

/// Secret keys that open backups.
#[derive(Clone)]
pub struct Identities(Vec<Identity>);

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.0.len())
    }
}

impl Identities {
    /// Reads a file as `age-keygen` or `actifix backup keygen` writes it.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        let text = read(path).map_err(|why| format!("{}: {why}", path.display()))?;
        Self::parse(&text).map_err(|why| format!("{}: {why}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut identities = Vec::new();
        for line in lines.take(IDENTITIES_MAX) {
            let identity = line.parse::<Identity>();
            // Never the line itself: it is a secret, or part of one.
            identities.push(identity.map_err(|_| {
                "holds a line that is no identity of age (AGE-SECRET-KEY-1…): is this the right file?"
                    .to_owned()
            })?);
        }
        if identities.is_empty() {
            return Err("holds no identity of age (AGE-SECRET-KEY-1…): is this the right file?".to_owned());
        }
        Ok(Self(identities))
    }

    /// As age asks for them.
    pub(super) fn each(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.0.iter().map(|identity| identity as &dyn age::Identity)
    }

    /// The public side of the first.
    pub(super) fn recipient(&self) -> Option<Recipient> {
        self.0.first().map(Identity::to_public)
    }
}

/// Reads a file of ours that nobody else can read.
fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::LOOP => "it is a symbolic link: name the file itself".to_owned(),
        errno => std::io::Error::from(errno).to_string(),
    })?;
    let stat = rustix::fs::fstat(&fd).map_err(|errno| std::io::Error::from(errno).to_string())?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err("it is not a plain file".to_owned());
    }
    if stat.st_uid != rustix::process::geteuid().as_raw() && stat.st_uid != 0 {
        return Err(format!("it belongs to user {}: who else has this key?", stat.st_uid));
    }
    if stat.st_mode & 0o077 != 0 {
        return Err("others can read it: `chmod 0600` it, and replace the key if they did".to_owned());
    }
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX));
    let limit = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let read = File::from(fd).take(limit).read_to_string(&mut text);
    read.map_err(|_| "it is not text: is this the right file?".to_owned())?;
    Ok(text)
}

/// The identity by which a server looks into its own backups: derived from the data key of its vault, so that no further
/// secret lies on the machine.
pub fn own_identity(vault: &dyn Vault) -> Result<Identities, String> {
    let mut key = vault.derive(PURPOSE);
    let text = bech32::encode(IDENTITY_PREFIX, key.to_base32(), Variant::Bech32).map(Zeroizing::new);
    key.zeroize();
    let text = text.map_err(|error| error.to_string())?;
    Identities::parse(&Zeroizing::new(text.to_ascii_uppercase()))
}

/// A new pair: the file to keep, and the recipient to configure.
pub fn generate(now: &str) -> (Zeroizing<String>, String) {
    let identity = Identity::generate();
    let recipient = identity.to_public().to_string();
    let secret = identity.to_string();
    let text = format!("# created: {now}\n# public key: {recipient}\n{}\n", secret.expose_secret());
    (Zeroizing::new(text), recipient)
}

/// Whether a text holds a key that opens backups, at the start of a line.
pub fn holds_identity(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_start).any(|line| {
        line.get(..IDENTITY_PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(IDENTITY_PREFIX.as_bytes()))
    })
}

/// A recipient as the configuration names it.
pub fn parse_recipient(text: &str) -> Result<Recipient, String> {
    if text.to_ascii_lowercase().starts_with(IDENTITY_PREFIX) {
        return Err(
            "that is the secret side of a key: give the recipient (age1…), and replace the key".to_owned()
        );
    }
    text.parse::<Recipient>().map_err(|why| format!("not a recipient of age (age1…): {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_fits_and_nothing_else_is_a_key() {
        let (file, recipient) = generate("now");
        let identities = Identities::parse(&file).unwrap();
        assert_eq!(identities.recipient().unwrap().to_string(), recipient);
        assert!(parse_recipient(&recipient).is_ok());
        let secret = file.lines().last().unwrap();
        let refused = parse_recipient(secret).unwrap_err();
        assert!(refused.contains("secret side") && !refused.contains(secret));
        assert!(parse_recipient("age1xyz").is_err());
        let wrong = Identities::parse(&secret[..secret.len() - 1]).unwrap_err();
        assert!(!wrong.contains(&secret[20..30]), "{wrong}");
        assert!(Identities::parse("# nothing\n").is_err());
    }
}
