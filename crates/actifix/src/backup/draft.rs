//! A backup while it is written. Under its name it is seen only when it is whole and on the disk.

use super::{
    BLOCK, DATABASE, DIGESTS, FILES, FORMAT, MANIFEST, MEMBER_BYTES_MAX, Manifest, Mark, SEAL, WITNESS, name,
    seal,
};
use actifix_app::ports::{BackupFile, SnapshotFacts, SnapshotSink};
use actifix_domain::time::Timestamp;
use actifix_store::files;
use age::Encryptor;
use age::stream::StreamWriter;
use age::x25519::Recipient;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Strength of compression: bodies of events are compressed already.
const LEVEL: i32 = 3;
/// Bytes that are gathered before they are encrypted.
const BUFFER_BYTES: usize = 256 << 10;

/// Clear bytes go in at the left, the file gets what comes out at the right.
type Pipe = BufWriter<zstd::stream::write::Encoder<'static, StreamWriter<File>>>;

pub(super) struct Draft {
    pipe: Option<Pipe>,
    /// Where it is written.
    part: PathBuf,
    /// Where it will be.
    path: PathBuf,
    name: String,
    created_at: Timestamp,
    home: PathBuf,
    digests: BTreeMap<String, String>,
    database: blake3::Hasher,
    /// Bytes of the database that are still to come.
    missing: u64,
    /// Bytes of the database in all.
    total: u64,
    /// Shows that we made it.
    seal_key: Zeroizing<[u8; 32]>,
}

impl Draft {
    /// Begins a file in `dir` that each of `recipients` can read.
    pub(super) fn begin(
        dir: &Path,
        home: &Path,
        recipients: &[Recipient],
        seal_key: [u8; 32],
        at: Timestamp,
        random: [u8; 4],
    ) -> io::Result<Self> {
        let name = name::make(at, random);
        let part = dir.join(format!(".{name}.part"));
        let each = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(each).map_err(io::Error::other)?;
        let file = files::create_new(&part).map_err(io::Error::other)?;
        let mut draft = Self {
            pipe: None,
            path: dir.join(&name),
            part,
            name,
            created_at: at,
            home: home.to_owned(),
            digests: BTreeMap::new(),
            database: blake3::Hasher::new(),
            missing: 0,
            total: 0,
            seal_key: Zeroizing::new(seal_key),
        };
        let mut encoder = zstd::stream::write::Encoder::new(encryptor.wrap_output(file)?, LEVEL)?;
        encoder.include_checksum(true)?;
        draft.pipe = Some(BufWriter::with_capacity(BUFFER_BYTES, encoder));
        Ok(draft)
    }

    fn pipe(&mut self) -> io::Result<&mut Pipe> {
        self.pipe.as_mut().ok_or_else(|| io::Error::other("the backup is finished"))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pipe()?.write_all(bytes)
    }

    fn header(&mut self, path: &str, bytes: u64) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_path(path)?;
        header.set_size(bytes);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(self.created_at.seconds()).unwrap_or(0));
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        self.write(header.as_bytes())
    }

    fn pad(&mut self, bytes: u64) -> io::Result<()> {
        let over = usize::try_from(bytes % BLOCK).unwrap_or(0);
        let zeros = [0u8; BLOCK as usize];
        if over > 0 { self.write(zeros.get(over..).unwrap_or_default()) } else { Ok(()) }
    }

    fn member(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.header(path, length)?;
        self.write(bytes)?;
        self.pad(length)?;
        self.digests.insert(path.to_owned(), blake3::hash(bytes).to_hex().to_string());
        Ok(())
    }
}

impl SnapshotSink for Draft {
    fn begin(&mut self, facts: &SnapshotFacts) -> io::Result<()> {
        let manifest = Manifest {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            created_at: self.created_at,
            schema_version: facts.schema_version,
            engine_version: facts.engine_version.clone(),
            page_bytes: facts.page_bytes,
            pages: facts.pages,
            mark: Mark {
                last_event: facts.last_event,
                audit_seq: facts.audit.seq,
                audit_hash: blake3::Hash::from_bytes(facts.audit.hash).to_hex().to_string(),
            },
            counts: facts.counts.clone(),
        };
        self.member(MANIFEST, &serde_json::to_vec_pretty(&manifest)?)?;
        self.member(WITNESS, facts.witness.as_bytes())?;
        for path in FILES {
            if let Some(bytes) = read_file(&self.home.join(path))? {
                self.member(path, &bytes)?;
            }
        }
        self.total = facts.pages.saturating_mul(facts.page_bytes);
        self.missing = self.total;
        self.header(DATABASE, self.total)
    }

    fn page(&mut self, page: &[u8]) -> io::Result<()> {
        let length = u64::try_from(page.len()).unwrap_or(u64::MAX);
        self.missing =
            self.missing.checked_sub(length).ok_or_else(|| io::Error::other("more pages than were told"))?;
        self.database.update(page);
        self.write(page)
    }

    fn finish(mut self: Box<Self>) -> io::Result<BackupFile> {
        if self.missing != 0 {
            return Err(io::Error::other("fewer pages than were told"));
        }
        self.pad(self.total)?;
        let hash = self.database.finalize().to_hex().to_string();
        self.digests.insert(DATABASE.to_owned(), hash);
        let digests = serde_json::to_vec_pretty(&self.digests)?;
        self.member(DIGESTS, &digests)?;
        let seal = serde_json::to_vec_pretty(&seal::make(&self.seal_key, &digests))?;
        self.member(SEAL, &seal)?;
        self.write(&[0u8; 2 * BLOCK as usize])?;
        let pipe = self.pipe.take().ok_or_else(|| io::Error::other("the backup is finished"))?;
        let encoder = pipe.into_inner().map_err(io::IntoInnerError::into_error)?;
        let file = encoder.finish()?.finish()?;
        file.sync_all()?;
        let size = file.metadata()?.len();
        crate::files::rename_new(&self.part, &self.path)?;
        if let Some(dir) = self.path.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok(BackupFile { name: self.name.clone(), size, created_at: self.created_at })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After the rename there is none.
        if let Err(error) = std::fs::remove_file(&self.part)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "backup.part_not_removed");
        }
    }
}

/// A file of the home, if it is there.
fn read_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MEMBER_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MEMBER_BYTES_MAX {
        return Err(io::Error::other(format!("{} is too large for a backup", path.display())));
    }
    Ok(Some(bytes))
}
