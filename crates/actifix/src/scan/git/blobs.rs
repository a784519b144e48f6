//! All blobs of a walk: those in packs in the order of their deltas, the others one by one. Each is scanned once.

use super::GitError;
use super::history::{known_at, origin};
use super::objects::{Objects, on_threads};
use super::pack::{Blob, Pack, Scratch, Verdict, indices, windows};
use super::state::Known;
use super::walk::{Found, NO_COMMIT, Work};
use crate::scan::batch::Batch;
use crate::scan::content::Content;
use crate::scan::inspect::{Place, Scanner, View};
use crate::scan::progress::Progress;

use actifix_secrets::Match;
use gix::ObjectId;
use gix::hashtable::HashMap as IdMap;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Blobs that a thread takes at a time: neighbours in the walk share delta bases.
const CHUNK: usize = 64;
/// Below this many blobs, reading the structure of packs costs more than it saves.
const PACKED_MIN: usize = 256;

/// What all threads share.
struct Job<'a> {
    scanner: &'a Scanner,
    found: &'a Found,
    progress: &'a Progress,
    /// By number of the work: somebody has it.
    done: Vec<AtomicBool>,
}

/// What one thread made.
#[derive(Default)]
struct Part {
    batch: Batch,
    again: Vec<Known>,
}

/// Scans all blobs of a walk; gives those in which something was found.
pub fn scan_blobs(
    objects: &Objects,
    scanner: &Scanner,
    found: &Found,
    threads: usize,
    progress: &Progress,
    batch: &mut Batch,
) -> Result<Vec<Known>, GitError> {
    let done = found.blobs.iter().map(|_| AtomicBool::new(false)).collect();
    let job = Job { scanner, found, progress, done };
    let mut parts = Vec::new();
    if found.blobs.len() >= PACKED_MIN {
        parts.extend(packed(objects, &job, threads)?);
    }
    parts.extend(one_by_one(objects, &job, threads)?);
    let mut again = Vec::new();
    for part in parts {
        batch.merge(part.batch);
        again.extend(part.again);
    }
    Ok(again)
}

fn packed(objects: &Objects, job: &Job<'_>, threads: usize) -> Result<Vec<Part>, GitError> {
    let wanted: IdMap<ObjectId, u32> =
        job.found.blobs.iter().zip(0..).map(|(work, number)| (work.blob, number)).collect();
    let mut parts = Vec::new();
    for path in indices(&objects.folders()?) {
        // A pack that is damaged or gone is left to the usual way, which knows other copies and says what is missing.
        let Ok(Some(pack)) = Pack::open(&path, objects.hash_kind(), &wanted) else { continue };
        let next = AtomicUsize::new(0);
        parts.extend(on_threads(objects, threads, |_| {
            let (mut part, mut scratch) = (Part::default(), Scratch::default());
            while let Some(root) = pack.roots.get(next.fetch_add(1, Ordering::Relaxed)) {
                let visit = |number, blob: &Blob, base| job.visit(number, blob, base, &mut part);
                // The same: what was not visited is not done.
                let _left = pack.walk(*root, &mut scratch, visit);
            }
            part
        })?);
    }
    Ok(parts)
}

fn one_by_one(objects: &Objects, job: &Job<'_>, threads: usize) -> Result<Vec<Part>, GitError> {
    let blobs = &job.found.blobs;
    let next = AtomicUsize::new(0);
    let threads = if blobs.len() < 2 * CHUNK { 1 } else { threads };
    on_threads(objects, threads, |objects| {
        let (mut part, mut buffer) = (Part::default(), Vec::new());
        loop {
            let from = next.fetch_add(CHUNK, Ordering::Relaxed);
            if from >= blobs.len() {
                return part;
            }
            for number in from..blobs.len().min(from + CHUNK) {
                let Some(work) = blobs.get(number).filter(|_| job.take(number)) else { continue };
                match objects.read(&work.blob, &mut buffer) {
                    Ok(data) => {
                        job.whole(work, data.data, &Content::of(data.data), &mut part);
                    }
                    Err(error) => part.batch.unread(error.to_string()),
                }
            }
        }
    })
}

impl Job<'_> {
    /// Whether a blob is still to be scanned; the caller then does it.
    fn take(&self, number: usize) -> bool {
        let first = self.done.get(number).is_some_and(|done| !done.swap(true, Ordering::Relaxed));
        if first {
            self.progress.add(1);
        }
        first
    }

    /// A blob of a pack: if it is a delta of a clean one, only what is new in it is looked at.
    fn visit(&self, number: u32, blob: &Blob, base: Verdict, part: &mut Part) -> Verdict {
        let number = number as usize;
        let Some(work) = self.found.blobs.get(number).filter(|_| self.take(number)) else {
            // Scanned before, in another pack.
            return Verdict::Unknown;
        };
        let content = Content::of(&blob.bytes);
        let new = match (&blob.fresh, &content.text, base) {
            (Some(fresh), Some(Cow::Borrowed(text)), Verdict::Clean) if content.runs.is_empty() => {
                windows(text.len(), fresh)
            }
            _ => None,
        };
        let Some(windows) = new else { return self.whole(work, &blob.bytes, &content, part) };
        let mut candidates = windows
            .into_iter()
            .filter_map(|window| blob.bytes.get(window))
            .map(|window| self.scanner.candidates(window, &mut part.batch));
        if candidates.all(|found| found.is_empty()) {
            part.batch.totals.files += 1;
            return Verdict::Clean;
        }
        self.whole(work, &blob.bytes, &content, part)
    }

    /// Scans a whole blob.
    fn whole(&self, work: &Work, bytes: &[u8], content: &Content<'_>, part: &mut Part) -> Verdict {
        part.batch.totals.files += 1;
        let candidates = match &content.text {
            Some(text) => self.scanner.candidates(text, &mut part.batch),
            None => {
                part.batch.totals.binary += 1;
                part.batch.totals.bytes += bytes.len() as u64;
                Vec::new()
            }
        };
        if candidates.is_empty() && content.runs.is_empty() && !content.more {
            // Of a text that had to be decoded, offsets are not those of the blob.
            return if matches!(content.text, Some(Cow::Borrowed(_))) {
                Verdict::Clean
            } else {
                Verdict::Unknown
            };
        }
        part.again.extend(self.tell(work, bytes, content, candidates, &mut part.batch));
        Verdict::Unknown
    }

    /// Path and commit are looked up only if something can be in a blob.
    fn tell(
        &self,
        work: &Work,
        bytes: &[u8],
        content: &Content<'_>,
        candidates: Vec<Match>,
        batch: &mut Batch,
    ) -> Option<Known> {
        let path = self.found.paths.path(work.path);
        let commit = self.found.commits.get(work.commit as usize);
        if commit.is_none() && work.commit != NO_COMMIT {
            return None;
        }
        if self.scanner.config().skips(&path) {
            batch.totals.skipped += u64::from(!candidates.is_empty());
            return None;
        }
        let place = Place { path: Arc::from(path.as_slice()), commit: commit.map(origin) };
        let before = batch.hits.len() + batch.dropped.len();
        if let Some(text) = &content.text {
            self.scanner.tell(&place, text, candidates, &View::whole(text), batch);
        }
        self.scanner.rest(&place, bytes, content, batch);
        let told = batch.hits.len() + batch.dropped.len() > before || batch.totals.hits_more > 0;
        match commit {
            Some(commit) => told.then(|| known_at(&work.blob, commit, &path)),
            // What refs name themselves is little, and is scanned each time.
            None => None,
        }
    }
}
