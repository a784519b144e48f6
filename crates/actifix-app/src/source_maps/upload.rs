//! Chunks come in, wait sealed, and become a bundle.

use super::DIST_CHARS_MAX;
use super::make::{self, Unusable};
use super::room::{Job, Outcome, UploadRoom};
use crate::app::App;
use crate::blocking::to_the_end;
use crate::error::{Error, Result};
use crate::ports::{BundleKey, Checksum, ChunkRoom, SealedChunk};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::audit::Action;
use actifix_domain::id::ProjectId;
use actifix_domain::project::{Project, ProjectSettings};
use actifix_domain::time::HOUR;
use actifix_protocol::artifacts::{Bundle, BundleError};
use actifix_protocol::encoding::{DecodeError, gunzip};
use actifix_protocol::multipart;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use bytes::Bytes;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// One chunk unpacked, bytes; a power of two, as the protocol wants it.
pub const CHUNK_BYTES: u64 = 1 << 20;
/// Chunks of one request.
pub const CHUNKS_PER_REQUEST_MAX: usize = 8;
/// One request with chunks, bytes: they may be packed worse than not at all, and each has its headers.
pub const UPLOAD_REQUEST_BYTES_MAX: usize = 9 << 20;
/// One bundle, bytes: the build of a large application, packed.
pub const UPLOAD_BUNDLE_BYTES_MAX: u64 = 64 << 20;
/// Chunks of one bundle.
const BUNDLE_CHUNKS_MAX: usize = 256;
/// Projects that one bundle is for.
pub const PROJECTS_MAX: usize = 10;
/// Chunks that wait: of one owner, and their bytes. Two of the largest bundles, sealed.
pub(super) const OWN_CHUNKS_MAX: u64 = 512;
pub(super) const OWN_BYTES_MAX: u64 = 160 << 20;
/// The same of everybody.
const ALL_CHUNKS_MAX: u64 = 2_048;
const ALL_BYTES_MAX: u64 = 512 << 20;
/// What was begun earlier is forgotten.
const CHUNK_MICROS: i64 = HOUR;
/// How long a request waits for its bundle to be read; the client asks again after that.
const WAIT: Duration = Duration::from_secs(8);
/// Vault purpose of chunks.
const PURPOSE: &str = "upload-chunks";

/// A bundle that shall be made of chunks.
#[derive(Clone, Debug, Default)]
pub struct AssemblyInput {
    /// SHA-1 of the whole, hex.
    pub checksum: String,
    /// SHA-1 of its chunks in order, hex.
    pub chunks: Vec<String>,
    /// Projects that it is for, at most [`PROJECTS_MAX`].
    pub projects: Vec<ProjectId>,
    /// Release.
    pub version: Option<String>,
    /// Distribution of that release.
    pub dist: Option<String>,
}

/// Where a bundle stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assembled {
    /// These chunks are not there, hex.
    Missing(Vec<String>),
    /// It is being read.
    Reading,
    /// Its maps are kept.
    Done,
    /// It cannot be used; why, and what to do.
    Failed(String),
}

/// What a job works on.
struct Work {
    actor: Actor,
    owner: Option<ProjectId>,
    checksum: Checksum,
    chunks: Vec<Checksum>,
    projects: Vec<(Project, BundleKey)>,
}

impl App {
    /// Room to read a request with chunks, for whoever may send some.
    pub async fn upload_room(&self, actor: &Actor) -> Result<UploadRoom> {
        self.require_open()?;
        let owner = Self::confine(actor, Scope::ReleasesWrite, None)?;
        self.source_maps.uploads.room(owner).await
    }

    /// Keeps the chunks of a request until the rest of theirs is there. Each is named by its SHA-1, which is compared.
    pub async fn take_chunks(self: &Arc<Self>, actor: &Actor, content_type: &str, body: Bytes) -> Result<()> {
        self.require_open()?;
        let owner = Self::confine(actor, Scope::ReleasesWrite, None)?;
        let (app, content_type) = (Arc::clone(self), content_type.to_owned());
        let sealed = tokio::task::spawn_blocking(move || app.read_chunks(&content_type, &body));
        let chunks = sealed.await.map_err(Error::internal)??;
        let now = self.now();
        let room = ChunkRoom {
            chunks_max: OWN_CHUNKS_MAX,
            bytes_max: OWN_BYTES_MAX,
            all_chunks_max: ALL_CHUNKS_MAX,
            all_bytes_max: ALL_BYTES_MAX,
            since: now.plus(-CHUNK_MICROS),
        };
        self.store.put_chunks(owner, chunks, room, now).await
    }

    fn read_chunks(&self, content_type: &str, body: &[u8]) -> Result<Vec<SealedChunk>> {
        let parts = multipart::parse(content_type, body)
            .map_err(|error| Error::invalid("body", error.to_string()))?;
        if parts.len() > CHUNKS_PER_REQUEST_MAX {
            let most = format!("at most {CHUNKS_PER_REQUEST_MAX} chunks in one request");
            return Err(Error::invalid("body", most));
        }
        let mut chunks = Vec::with_capacity(parts.len());
        for part in parts {
            let clear = match part.name.as_str() {
                "file" if part.bytes.len() as u64 <= CHUNK_BYTES => part.bytes.to_vec(),
                "file" => return Err(too_large()),
                "file_gzip" => gunzip(part.bytes, CHUNK_BYTES).map_err(|error| match error {
                    DecodeError::TooLarge => too_large(),
                    _ => Error::invalid("file_gzip", "a chunk is not a whole gzip stream"),
                })?,
                _ => return Err(Error::invalid("body", "expected fields `file` or `file_gzip`")),
            };
            let named = part.filename.as_deref().and_then(parse_checksum);
            let checksum = named.filter(|checksum| *checksum == sha1(&clear)).ok_or_else(|| {
                Error::invalid(
                    "file",
                    "the file name of a chunk is not the SHA-1 of its content: send it again",
                )
            })?;
            chunks.push(SealedChunk { checksum, sealed: self.vault.seal(PURPOSE, &clear)? });
        }
        Ok(chunks)
    }

    /// Makes a bundle of chunks, or says where that stands. Whoever asks again hears of the same one; what is there
    /// already is not read a second time.
    pub async fn assemble(self: &Arc<Self>, actor: &Actor, input: AssemblyInput) -> Result<Assembled> {
        self.require_open()?;
        let owner = Self::confine(actor, Scope::ReleasesWrite, None)?;
        let work = match self.assembly(actor, owner, input).await? {
            Ok(work) => work,
            Err(why) => return Ok(Assembled::Failed(why)),
        };
        let job = (owner, work.projects.iter().map(|(_, key)| key.clone()).collect::<Vec<_>>());
        if let Some(running) = self.source_maps.uploads.job(&job) {
            return Ok(self.await_job(&job, running).await);
        }
        let wanted = self.not_there(work.projects).await?;
        if wanted.is_empty() {
            return Ok(Assembled::Done);
        }
        let missing = self.store.missing_chunks(owner, work.chunks.clone()).await?;
        if !missing.is_empty() {
            return Ok(Assembled::Missing(missing.iter().map(hex::encode).collect()));
        }
        self.start(job, Work { projects: wanted, ..work }).await
    }

    /// The bundles that are not kept yet.
    async fn not_there(&self, asked: Vec<(Project, BundleKey)>) -> Result<Vec<(Project, BundleKey)>> {
        let mut wanted = Vec::with_capacity(asked.len());
        for (project, key) in asked {
            if !self.store.has_bundle(&key).await? {
                wanted.push((project, key));
            }
        }
        Ok(wanted)
    }

    /// What is asked for, looked at; the inner error is for the state of the bundle.
    async fn assembly(
        &self,
        actor: &Actor,
        owner: Option<ProjectId>,
        input: AssemblyInput,
    ) -> Result<Result<Work, String>> {
        const HEX: &str = "expected SHA-1 in 40 hex digits";
        let checksum = parse_checksum(&input.checksum).ok_or_else(|| Error::invalid("checksum", HEX))?;
        if input.projects.is_empty() || input.projects.len() > PROJECTS_MAX {
            return Err(Error::invalid("projects", format!("1 to {PROJECTS_MAX} projects")));
        }
        if input.chunks.len() > BUNDLE_CHUNKS_MAX {
            return Ok(Err(too_large_bundle()));
        }
        let chunks: Option<Vec<Checksum>> = input.chunks.iter().map(|text| parse_checksum(text)).collect();
        let chunks =
            chunks.filter(|chunks| !chunks.is_empty()).ok_or_else(|| Error::invalid("chunks", HEX))?;
        let (release, dist) = (input.version.unwrap_or_default(), input.dist.unwrap_or_default());
        let mut projects: Vec<(Project, BundleKey)> = Vec::with_capacity(input.projects.len());
        for id in &input.projects {
            let project = self.project_for(actor, Scope::ReleasesWrite, &id.to_string()).await?;
            self.check_dist(&project.settings, &dist)?;
            if !release.is_empty() {
                self.check_release("version", &project.settings, &release)?;
            }
            if projects.iter().all(|(known, _)| known.id != project.id) {
                let (release, dist) = (release.clone(), dist.clone());
                let key = BundleKey { project: project.id, checksum, release, dist };
                projects.push((project, key));
            }
        }
        Ok(Ok(Work { actor: actor.clone(), owner, checksum, chunks, projects }))
    }

    /// A distribution is kept and shown as it is: none may be a secret.
    fn check_dist(&self, settings: &ProjectSettings, dist: &str) -> Result<()> {
        if dist.chars().nth(DIST_CHARS_MAX).is_some() || dist.chars().any(char::is_control) {
            let bounds = format!("at most {DIST_CHARS_MAX} characters, no control characters");
            return Err(Error::invalid("dist", bounds));
        }
        if self.redact_text(settings, dist) != dist {
            return Err(Error::invalid("dist", "this looks like a secret; it is kept and shown as it is"));
        }
        Ok(())
    }

    /// Reads a bundle to its end, whoever stops waiting for it.
    async fn start(self: &Arc<Self>, job: Job, work: Work) -> Result<Assembled> {
        let (done, running) = watch::channel(None);
        match self.source_maps.uploads.add(&job, running.clone()) {
            Ok(None) => {}
            // Somebody asked for the same meanwhile.
            Ok(Some(theirs)) => return Ok(self.await_job(&job, theirs).await),
            Err(message) => return Err(Error::Unavailable { message, retry_after_seconds: 5 }),
        }
        let app = Arc::clone(self);
        let whole = to_the_end(async move {
            let outcome = app.run(work).await;
            // Nobody may wait any more; the outcome stays for who asks next.
            let _ = done.send(Some(outcome));
            Ok(())
        });
        tokio::select! {
            // Polled first, so that the work begins whatever else is ready.
            biased;
            ended = whole => ended?,
            () = tokio::time::sleep(WAIT) => {}
        }
        Ok(self.await_job(&job, running).await)
    }

    async fn await_job(&self, job: &Job, mut running: watch::Receiver<Outcome>) -> Assembled {
        let outcome = match tokio::time::timeout(WAIT, running.wait_for(Option::is_some)).await {
            Ok(Ok(outcome)) => outcome.clone(),
            // It panicked, which is counted where it did.
            Ok(Err(_)) => Some(Err("a defect of the server: its log says more".to_owned())),
            Err(_) => None,
        };
        if outcome.is_some() {
            self.source_maps.uploads.remove(job);
        }
        match outcome {
            None => Assembled::Reading,
            Some(Ok(())) => Assembled::Done,
            Some(Err(why)) => Assembled::Failed(why),
        }
    }

    /// Reads, redacts and keeps the maps of a bundle for each project. Its chunks go, whatever came of it.
    async fn run(&self, mut work: Work) -> Result<(), String> {
        let Ok(_permit) = self.source_maps.uploads.turn().await else {
            return Err("the server is stopping: repeat the upload".to_owned());
        };
        // Whoever had the turn before may have kept the same, and its chunks are gone with that.
        work.projects = self.not_there(work.projects).await.map_err(told)?;
        if work.projects.is_empty() {
            return Ok(());
        }
        let outcome = match self.joined(&work).await {
            Ok(bytes) => self.keep_bundle(&work, &bytes).await,
            Err(why) => Err(why),
        };
        self.source_maps.cache.forget();
        if let Err(error) = self.store.drop_chunks(work.owner, work.chunks).await {
            tracing::warn!(error = %error, "chunks of an upload were not dropped; they are within the hour");
        }
        outcome
    }

    /// The chunks of a bundle, opened and put together.
    async fn joined(&self, work: &Work) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        for checksum in &work.chunks {
            let sealed = self.store.chunk(work.owner, *checksum).await.map_err(told)?;
            let sealed = sealed.ok_or("a chunk was forgotten meanwhile: repeat the upload")?;
            bytes.extend(self.vault.open(PURPOSE, &sealed).map_err(told)?);
            if bytes.len() as u64 > UPLOAD_BUNDLE_BYTES_MAX {
                return Err(too_large_bundle());
            }
        }
        if sha1(&bytes) != work.checksum {
            return Err("the checksum of the whole is not that of its chunks: repeat the upload".to_owned());
        }
        Ok(bytes)
    }

    async fn keep_bundle(&self, work: &Work, bytes: &[u8]) -> Result<(), String> {
        for (project, key) in &work.projects {
            let bundle = self.store.begin_bundle(key, self.now()).await.map_err(told)?;
            let kept = self.keep_maps(project, key, bundle, bytes).await;
            let finished = match kept {
                Ok(maps) => {
                    let detail = json!({ "release": key.release, "dist": key.dist, "maps": maps });
                    let target = format!("source_maps:{bundle}");
                    let action = Action::SourceMapsUploaded;
                    let audit = self.audit(&work.actor, action, target, Some(project.id), detail);
                    self.store.finish_bundle(bundle, &audit).await.map_err(told)
                }
                Err(why) => Err(why),
            };
            if finished.is_err() {
                self.store.remove_bundle(project.id, bundle, None).await.map_err(told)?;
            }
            self.store.sweep_bundles(self.now().plus(-CHUNK_MICROS)).await.map_err(told)?;
            finished?;
        }
        Ok(())
    }

    async fn keep_maps(
        &self,
        project: &Project,
        key: &BundleKey,
        number: u64,
        bytes: &[u8],
    ) -> Result<usize, String> {
        let settings = self.redaction_settings(&project.settings, 1);
        let mut bundle = Bundle::open(bytes).map_err(|error: BundleError| error.to_string())?;
        let planned =
            make::plan(&mut bundle, !key.release.is_empty()).map_err(|why: Unusable| why.to_string())?;
        let bytes_max = self.settings.retention.source_maps_bytes_max;
        let mut used = self.store.map_usage(project.id).await.map_err(told)?.bytes;
        for one in &planned {
            let made =
                make::make(&mut bundle, one, &self.engine, &settings).map_err(|why| why.to_string())?;
            used = used.saturating_add(self.store.add_source_map(number, made).await.map_err(told)?);
            if bytes_max > 0 && used > bytes_max {
                return Err(format!(
                    "the source maps of project {0} would take more than {bytes_max} bytes \
                     (retention.source_maps_bytes_max): remove uploads that are not needed any more with `actifix \
                     sourcemaps remove --project {0}`",
                    project.name
                ));
            }
        }
        Ok(planned.len())
    }
}

/// An error as the state of a bundle tells it; faults of ours go to the log.
fn told(error: Error) -> String {
    if let Error::Internal(source) = &error {
        tracing::error!(error = %source, "source maps were not kept");
    }
    error.to_string()
}

fn sha1(bytes: &[u8]) -> Checksum {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes);
    digest.as_ref().try_into().unwrap_or_default()
}

fn parse_checksum(text: &str) -> Option<Checksum> {
    let mut checksum = Checksum::default();
    hex::decode_to_slice(text, &mut checksum).ok().map(|()| checksum)
}

fn too_large() -> Error {
    Error::invalid("file", format!("a chunk has more than {CHUNK_BYTES} bytes"))
}

fn too_large_bundle() -> String {
    format!(
        "the bundle has more than {} MiB: upload parts of the build one after the other",
        UPLOAD_BUNDLE_BYTES_MAX >> 20
    )
}
