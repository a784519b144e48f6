//! A bundle of documents that leaves the house: a tar archive, compressed by zstd, encrypted by age if it is for
//! somebody, with the hash of each member. It is looked through by our own engine before it is written: whatever the
//! engine would call a secret anywhere is not let out here either.

use crate::backup;
use actifix_domain::time::Timestamp;
use actifix_secrets::{Engine, Match, Settings};
use age::Encryptor;
use age::x25519::Recipient;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// First member: names, sizes and hashes of the others.
pub const MANIFEST: &str = "manifest.json";
/// Kind of bundle that names rows of the audit log.
pub const REPORT: &str = "actifix incident report";
/// What stands before the id of a row in it.
const LABELS: [&str; 4] = ["token:", "session:", "access:", "signing-key:"];
/// Strength of compression.
const LEVEL: i32 = 9;
/// Members of a bundle.
const MEMBERS_MAX: usize = 32;
/// Largest member, bytes.
const MEMBER_BYTES_MAX: usize = 64 << 20;

/// One document.
#[derive(Clone, Debug)]
pub struct Member {
    /// Name in the archive.
    pub name: &'static str,
    /// What it says.
    pub text: String,
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The engine found what it would call a secret.
    #[error(
        "{member}, line {line}, looks like a secret ({rule}): nothing was written; tell the maintainers which rule it was, and send the other members by hand"
    )]
    Secret {
        /// In which document.
        member: String,
        /// Where.
        line: usize,
        /// By which rule.
        rule: String,
    },
    /// A recipient that is none.
    #[error("--recipient: {0}")]
    Recipient(String),
    /// Too much.
    #[error("{0} is too large for a bundle")]
    Large(&'static str),
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Takes out of `text` what the engine knows, line by line, so that one long document is not cut off by its budget.
pub fn redacted(text: &str, engine: &Engine, settings: &Settings) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        out.push_str(&engine.redact_text(line, settings).0);
        out.push('\n');
    }
    out
}

/// Writes a bundle to a file that does not exist yet. On any error nothing of it is left.
pub fn write(
    path: &Path,
    kind: &str,
    members: &[Member],
    recipients: &[String],
    now: Timestamp,
) -> Result<(), BundleError> {
    let recipients: Vec<Recipient> = recipients
        .iter()
        .map(|text| backup::parse_recipient(text))
        .collect::<Result<_, _>>()
        .map_err(BundleError::Recipient)?;
    let archive = sealed(kind, members, now)?;
    let io = |source| BundleError::Io { path: path.to_owned(), source };
    let bytes = match recipients.as_slice() {
        [] => archive,
        some => encrypted(&archive, some).map_err(io)?,
    };
    crate::files::write_new(path, &bytes, 0o600).map_err(io)
}

/// The archive, after every document in it was looked through.
fn sealed(kind: &str, members: &[Member], now: Timestamp) -> Result<Vec<u8>, BundleError> {
    let engine = Engine::builtin();
    let mut list = Vec::new();
    for member in members.iter().take(MEMBERS_MAX) {
        if member.text.len() > MEMBER_BYTES_MAX {
            return Err(BundleError::Large(member.name));
        }
        if let Some(found) = first_secret(&engine, &member.text, kind == REPORT) {
            let before = member.text.as_bytes().get(..found.span.start).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            return Err(BundleError::Secret {
                member: member.name.to_owned(),
                line,
                rule: found.rule.to_string(),
            });
        }
        list.push(json!({
            "name": member.name, "bytes": member.text.len(),
            "blake3": blake3::hash(member.text.as_bytes()).to_hex().to_string(),
        }));
    }
    let manifest = json!({
        "format": 1, "kind": kind, "program": env!("CARGO_PKG_VERSION"), "made_at": now, "members": list,
    });
    let manifest = Member { name: MANIFEST, text: format!("{manifest:#}\n") };
    let packed = pack(std::iter::once(&manifest).chain(members.iter().take(MEMBERS_MAX)), now);
    packed.map_err(|source| BundleError::Io { path: PathBuf::from(MANIFEST), source })
}

/// What `actifix scan` would report. Reports name credentials by the ids of their rows, which are no secrets: behind a
/// label of ours these are let out, and there alone.
fn first_secret(engine: &Engine, text: &str, with_ids: bool) -> Option<Match> {
    let is_id = |found: &Match| {
        let value = text.get(found.span.clone()).unwrap_or_default();
        let before = text.get(..found.span.start).unwrap_or_default();
        matches!(value.len(), 16 | 32)
            && value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && LABELS.iter().any(|label| before.ends_with(label))
    };
    engine.scan(text.as_bytes()).into_iter().find(|found| !(with_ids && is_id(found)))
}

fn pack<'m>(members: impl Iterator<Item = &'m Member>, now: Timestamp) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?);
    for member in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(member.text.len()).unwrap_or(u64::MAX));
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now.seconds()).unwrap_or(0));
        header.set_entry_type(tar::EntryType::Regular);
        archive.append_data(&mut header, member.name, member.text.as_bytes())?;
    }
    archive.into_inner()?.finish()
}

fn encrypted(clear: &[u8], recipients: &[Recipient]) -> io::Result<Vec<u8>> {
    let each = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
    let encryptor = Encryptor::with_recipients(each).map_err(io::Error::other)?;
    let mut writer = encryptor.wrap_output(Vec::new())?;
    writer.write_all(clear)?;
    writer.finish()
}

/// Reads a bundle that is not encrypted, and compares each document with its hash.
pub fn read(path: &Path) -> io::Result<Vec<(String, String)>> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let mut archive = tar::Archive::new(zstd::stream::read::Decoder::new(File::open(path)?)?);
    let mut members = Vec::new();
    for entry in archive.entries()?.take(MEMBERS_MAX + 1) {
        let entry = entry?;
        let name = entry.path()?.display().to_string();
        let mut text = String::new();
        let most = u64::try_from(MEMBER_BYTES_MAX).unwrap_or(u64::MAX);
        entry.take(most).read_to_string(&mut text)?;
        members.push((name, text));
    }
    let (name, manifest) = members.first().ok_or_else(|| invalid("it is empty"))?;
    if name != MANIFEST {
        return Err(invalid("it does not begin with a manifest"));
    }
    let manifest: Value =
        serde_json::from_str(manifest).map_err(|_| invalid("its manifest does not read"))?;
    let listed = manifest
        .get("members")
        .and_then(Value::as_array)
        .ok_or_else(|| invalid("its manifest lists nothing"))?;
    if listed.len() + 1 != members.len() {
        return Err(invalid("it does not hold what its manifest lists"));
    }
    for ((name, text), entry) in members.iter().skip(1).zip(listed) {
        let hash = blake3::hash(text.as_bytes()).to_hex().to_string();
        if entry.get("name") != Some(&json!(name)) || entry.get("blake3") != Some(&json!(hash)) {
            return Err(invalid(&format!("{name} is not what it was")));
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn now() -> Timestamp {
        Timestamp::from_micros(1_795_000_000_000_000)
    }

    fn member(text: &str) -> Member {
        Member { name: "facts.json", text: text.to_owned() }
    }

    #[test]
    fn a_bundle_is_private_and_tells_whether_it_was_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar.zst");
        write(&path, "test", &[member("{\"tickets\": 3}\n")], &[], now()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let members = read(&path).unwrap();
        assert_eq!(members.len(), 2);
        assert_eq!(members[1], ("facts.json".to_owned(), "{\"tickets\": 3}\n".to_owned()));
        // Nothing is written over.
        assert!(matches!(write(&path, "test", &[], &[], now()), Err(BundleError::Io { .. })));
        let changed = dir.path().join("changed.tar.zst");
        let manifest = Member { name: MANIFEST, text: members[0].1.clone() };
        let other = member("{\"tickets\": 4}\n");
        crate::files::write_new(&changed, &pack([&manifest, &other].into_iter(), now()).unwrap(), 0o600)
            .unwrap();
        assert!(read(&changed).unwrap_err().to_string().contains("facts.json is not what it was"));
    }

    #[test]
    fn a_secret_stops_a_bundle_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar.zst");
        let token = ["sk", "_live_", "vT7mQ2xKp9Rb4LwZs8Hn3DyG"].concat();
        let members = [
            member("{}\n"),
            Member { name: "log.jsonl", text: format!("fine\nfine\n{{\"token\":\"{token}\"}}\n") },
        ];
        let refused = write(&path, "test", &members, &[], now()).unwrap_err();
        let told = refused.to_string();
        assert!(told.starts_with("log.jsonl, line 3,") && !told.contains(&token[..10]), "{told}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn ids_of_rows_stand_in_reports_behind_their_labels_alone() {
        let id = ["0f3c9a7be1", "d25486"].concat();
        let text = format!("{{\"actor\": \"token:{id}\", \"target\": \"session:{id}\"}}\n");
        assert!(sealed(REPORT, &[member(&text)], now()).is_ok());
        for secret in [format!("token: {}", id.repeat(2)), format!("api_token = \"{}Zq\"", id.repeat(2))] {
            assert!(sealed(REPORT, &[member(&format!("{secret}\n"))], now()).is_err(), "{secret}");
        }
    }

    #[test]
    fn who_it_is_not_for_cannot_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar.zst.age");
        let (_, recipient) = backup::generate("now");
        write(&path, "test", &[member("{\"tickets\": 3}\n")], &[recipient], now()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.starts_with(b"age-encryption.org/v1\n"));
        assert!(read(&path).is_err());
        let refused =
            write(&dir.path().join("b"), "test", &[], &["age1nobody".to_owned()], now()).unwrap_err();
        assert!(matches!(refused, BundleError::Recipient(_)));
    }
}
