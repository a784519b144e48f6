//! All blobs of a walk: those in packs in the order of their deltas, the others one by one. Each is scanned once.

use super::GitError;
use super::history::{known_at, origin};
use super::objects::{Objects, on_threads};
use super::pack::{Blob, Pack, Scratch, Verdict, indices, windows};
use super::state::Known;
use super::walk::{Found, Work};
use crate::scan::batch::Batch;
use crate::scan::inspect::{Place, Scanner, View};
use crate::scan::progress::Progress;
use crate::scan::stream::text_of;
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
                        let blob = text_of(data.data);
                        job.whole(work, blob, &mut part);
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
        let text = text_of(&blob.bytes);
        let new = match (&blob.fresh, &text, base) {
            (Some(fresh), Some(Cow::Borrowed(text)), Verdict::Clean) => windows(text.len(), fresh),
            _ => None,
        };
        let Some(windows) = new else { return self.whole(work, text, part) };
        let mut candidates = windows
            .into_iter()
            .filter_map(|window| blob.bytes.get(window))
            .map(|window| self.scanner.candidates(window, &mut part.batch));
        if candidates.all(|found| found.is_empty()) {
            part.batch.totals.files += 1;
            return Verdict::Clean;
        }
        self.whole(work, text, part)
    }

    /// Scans a whole blob.
    fn whole(&self, work: &Work, text: Option<Cow<'_, [u8]>>, part: &mut Part) -> Verdict {
        part.batch.totals.files += 1;
        let Some(text) = text else {
            part.batch.totals.binary += 1;
            return Verdict::Unknown;
        };
        let candidates = self.scanner.candidates(&text, &mut part.batch);
        if candidates.is_empty() {
            // Of a text that had to be decoded, offsets are not those of the blob.
            return if matches!(text, Cow::Borrowed(_)) { Verdict::Clean } else { Verdict::Unknown };
        }
        part.again.extend(self.tell(work, &text, candidates, &mut part.batch));
        Verdict::Unknown
    }

    /// Path and commit are looked up only if something is in a blob.
    fn tell(&self, work: &Work, text: &[u8], candidates: Vec<Match>, batch: &mut Batch) -> Option<Known> {
        let path = self.found.paths.path(work.path);
        let commit = self.found.commits.get(work.commit as usize)?;
        if self.scanner.config().skips(&path) {
            batch.totals.allowed_config += 1;
            return None;
        }
        let place = Place { path: Arc::from(path.as_slice()), commit: Some(origin(commit)) };
        let before = batch.hits.len() + batch.dropped.len();
        self.scanner.tell(&place, text, candidates, &View::whole(text), batch);
        let told = batch.hits.len() + batch.dropped.len() > before || batch.totals.hits_more > 0;
        told.then(|| known_at(&work.blob, commit, &path))
    }
}
