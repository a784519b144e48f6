//! Reading a backup: everything in it is checked before it is believed, and nothing in it chooses a path.

use super::seal::Seal;
use super::{
    DATABASE, DIGESTS, FILES, FORMAT, Identities, MANIFEST, MEMBER_BYTES_MAX, Manifest, SEAL, VAULT, WITNESS,
};
use actifix_store::files;
use age::{DecryptError, Decryptor};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// Members of an archive.
const MEMBERS_MAX: usize = 16;
/// Members of an archive within which the record of the vault stands: manifest, witness, configuration, record.
const RECORD_WITHIN: usize = 4;
/// First form that has a seal.
const SEALED_SINCE: u32 = 2;
/// Bytes that are copied at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Why a backup cannot be put back.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read, or a new one not be written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is for others.
    #[error("none of the given identities opens it: it was encrypted to other recipients")]
    WrongKey,
    /// It is not what was written.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It is of a later program.
    #[error("it has form {found}, this program reads {FORMAT}: use the actifix that made it, or a newer one")]
    Newer {
        /// Its form.
        found: u32,
    },
}

/// What was in an archive, besides the files.
#[derive(Debug)]
pub(super) struct Unpacked {
    pub(super) manifest: Manifest,
    /// The hashes of all members, as they stand there.
    pub(super) digests: Vec<u8>,
    /// Who made it; none where it was left out.
    pub(super) seal: Option<Seal>,
}

/// Writes what is in the backup at `path` into the empty directory `into`: `data/actifix.db` and the files beside it.
pub(super) fn unpack(path: &Path, identities: &Identities, into: &Path) -> Result<Unpacked, ReadError> {
    let mut archive = open(path, identities)?;
    for dir in ["", "data", ".actifix"] {
        let dir = into.join(dir);
        files::private_dir(&dir)
            .map_err(|error| ReadError::Io { path: dir, source: io::Error::other(error) })?;
    }
    let unpacked = members(&mut archive, into)?;
    // What is behind the end of the archive is authenticated too: a file that was cut there must not pass.
    let mut rest = archive.into_inner();
    let extra = io::copy(&mut rest, &mut io::sink()).map_err(damaged)?;
    if extra > BUFFER_BYTES as u64 {
        return Err(ReadError::Damaged("something follows the archive".to_owned()));
    }
    Ok(unpacked)
}

/// The record of the vault in the backup at `path`, nothing after it being read; none where that has none.
pub(super) fn vault_record(path: &Path, identities: &Identities) -> Result<Option<Vec<u8>>, ReadError> {
    for entry in open(path, identities)?.entries().map_err(damaged)?.take(RECORD_WITHIN) {
        let mut entry = entry.map_err(damaged)?;
        let size = entry.size();
        match &*entry.path_bytes() {
            name if name == VAULT.as_bytes() => return small(&mut entry, size).map(Some),
            // What is looked for stands before the database, and nothing before that is large.
            _ if size > MEMBER_BYTES_MAX => break,
            _ => {}
        }
    }
    Ok(None)
}

fn open(path: &Path, identities: &Identities) -> Result<tar::Archive<impl Read>, ReadError> {
    let io = |source| ReadError::Io { path: path.to_owned(), source };
    let file = BufReader::with_capacity(BUFFER_BYTES, File::open(path).map_err(io)?);
    let decryptor = Decryptor::new_buffered(file).map_err(|error| match error {
        DecryptError::Io(source) if source.kind() != io::ErrorKind::UnexpectedEof => io(source),
        other => ReadError::Damaged(other.to_string()),
    })?;
    let clear = decryptor.decrypt(identities.each()).map_err(|error| match error {
        DecryptError::NoMatchingKeys => ReadError::WrongKey,
        other => ReadError::Damaged(other.to_string()),
    })?;
    let unpressed = zstd::stream::read::Decoder::new(clear).map_err(damaged)?;
    Ok(tar::Archive::new(BufReader::with_capacity(BUFFER_BYTES, unpressed)))
}

fn damaged(error: impl std::fmt::Display) -> ReadError {
    ReadError::Damaged(error.to_string())
}

fn members<R: Read>(archive: &mut tar::Archive<R>, into: &Path) -> Result<Unpacked, ReadError> {
    let (mut manifest, mut digests, mut seal) = (None::<Manifest>, None::<Vec<u8>>, None::<Seal>);
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for (number, entry) in archive.entries().map_err(damaged)?.enumerate() {
        let mut entry = entry.map_err(damaged)?;
        if number >= MEMBERS_MAX || seal.is_some() {
            return Err(ReadError::Damaged("it holds more than it should".to_owned()));
        }
        let path = entry.path_bytes();
        let path = String::from_utf8(path.into_owned()).map_err(damaged)?;
        let size = entry.size();
        if !entry.header().entry_type().is_file() || found.contains_key(&path) {
            return Err(ReadError::Damaged("it holds what it should not".to_owned()));
        }
        if digests.is_some() {
            if path != SEAL {
                return Err(ReadError::Damaged("it holds more than it should".to_owned()));
            }
            seal = Some(serde_json::from_slice(&small(&mut entry, size)?).map_err(damaged)?);
            continue;
        }
        let hash = match (path.as_str(), &manifest) {
            (MANIFEST, None) => {
                let bytes = small(&mut entry, size)?;
                manifest = Some(read_manifest(&bytes)?);
                blake3::hash(&bytes)
            }
            (DIGESTS, Some(_)) => {
                digests = Some(small(&mut entry, size)?);
                continue;
            }
            (DATABASE, Some(manifest)) => {
                if Some(size) != manifest.pages.checked_mul(manifest.page_bytes) {
                    return Err(ReadError::Damaged(
                        "the database has another size than was noted".to_owned(),
                    ));
                }
                write_out(&mut entry, &into.join(DATABASE))?
            }
            (name, Some(_)) if name == WITNESS || FILES.contains(&name) => {
                let bytes = small(&mut entry, size)?;
                write_out(&mut bytes.as_slice(), &into.join(name))?
            }
            _ => return Err(ReadError::Damaged("it holds what it should not".to_owned())),
        };
        found.insert(path, hash.to_hex().to_string());
    }
    let (Some(manifest), Some(digests)) = (manifest, digests) else {
        return Err(ReadError::Damaged("its end is missing".to_owned()));
    };
    if manifest.format >= SEALED_SINCE && seal.is_none() {
        return Err(ReadError::Damaged("its end is missing".to_owned()));
    }
    let noted: BTreeMap<String, String> = serde_json::from_slice(&digests).map_err(damaged)?;
    let names = |map: &BTreeMap<String, String>| map.keys().cloned().collect::<BTreeSet<_>>();
    if names(&noted) != names(&found) || !found.contains_key(DATABASE) {
        return Err(ReadError::Damaged("a part of it is missing".to_owned()));
    }
    match found.iter().find(|(name, hash)| noted.get(*name) != Some(*hash)) {
        Some((name, _)) => Err(ReadError::Damaged(format!("{name} is not what was written"))),
        None => Ok(Unpacked { manifest, digests, seal }),
    }
}

fn read_manifest(bytes: &[u8]) -> Result<Manifest, ReadError> {
    #[derive(serde::Deserialize)]
    struct Form {
        format: u32,
    }
    // The form first: a later one may have other members.
    let form: Form = serde_json::from_slice(bytes).map_err(damaged)?;
    if form.format > FORMAT {
        return Err(ReadError::Newer { found: form.format });
    }
    serde_json::from_slice(bytes).map_err(damaged)
}

fn small(reader: &mut impl Read, size: u64) -> Result<Vec<u8>, ReadError> {
    if size > MEMBER_BYTES_MAX {
        return Err(ReadError::Damaged("a small part of it is large".to_owned()));
    }
    let mut bytes = Vec::new();
    reader.take(size).read_to_end(&mut bytes).map_err(damaged)?;
    Ok(bytes)
}

/// Copies to a new private file and makes it durable; the hash of what was copied.
fn write_out(reader: &mut impl Read, path: &Path) -> Result<blake3::Hash, ReadError> {
    let io = |source| ReadError::Io { path: path.to_owned(), source };
    let mut file = files::create_new(path).map_err(|error| io(io::Error::other(error)))?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0u8; BUFFER_BYTES];
    loop {
        let many = reader.read(&mut buffer).map_err(damaged)?;
        let Some(bytes) = buffer.get(..many).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
        file.write_all(bytes).map_err(io)?;
    }
    file.sync_all().map_err(io)?;
    Ok(hasher.finalize())
}
