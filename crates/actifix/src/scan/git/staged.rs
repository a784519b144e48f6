//! What a commit would add: blobs of the index against HEAD, added lines only. The working tree does not matter.

use super::added::{Known, added};
use super::objects::{Objects, on_threads};
use super::{GitError, Repo};
use crate::scan::Part;
use crate::scan::batch::Batch;
use crate::scan::content::Content;
use crate::scan::inspect::{Place, Scanner, View};
use crate::scan::lines::{line_end, line_start, newlines};
use crate::scan::names::printable;
use gix::ObjectId;
use gix::bstr::BStr;
use gix::index::entry::{Flags, Mode, Stage};
use gix::index::extension;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Commits that are merged at once, beyond which git itself gives up.
const MERGE_HEADS_MAX: usize = 64;
/// Bytes of removed files whose lines are compared with those of new ones.
const MOVED_BYTES_MAX: usize = 32 << 20;
/// Texts up to this size are scanned whole around their added lines.
const WHOLE_BYTES_MAX: usize = 256 << 10;
/// Context of added lines in longer texts.
const CONTEXT_BYTES: usize = 32 << 10;
/// Fewer files are not worth a second thread.
const PARALLEL_MIN: usize = 16;
/// Folders in folders.
const DEPTH_MAX: usize = 512;

/// A file that the commit would change.
#[derive(Debug)]
struct Change {
    path: Arc<[u8]>,
    blob: ObjectId,
    /// The same file in HEAD.
    before: Option<ObjectId>,
    /// The same file in commits that are being merged: what stands there was committed before.
    merged: Vec<ObjectId>,
}

/// Scans what is staged.
///
/// # Errors
/// Index or HEAD cannot be read, or files are staged and none of them could be looked at.
pub fn scan_staged(repo: &Repo, scanner: &Scanner, threads: usize) -> Result<Batch, GitError> {
    let mut batch = Batch::default();
    let objects = repo.objects()?;
    let (changes, removed) = changes(repo, &objects, &mut batch)?;
    let new_files = changes.iter().any(|change| change.before.is_none());
    let moved = if new_files { read_all(&objects, &removed) } else { Vec::new() };
    let next = AtomicUsize::new(0);
    let work = |objects: Objects| {
        let (mut own, mut buffers) = (Batch::default(), Buffers::default());
        while let Some(change) = changes.get(next.fetch_add(1, Ordering::Relaxed)) {
            let moved = Moved { removed: &removed, texts: &moved };
            if let Err(error) = scan_change(&objects, scanner, change, &moved, &mut buffers, &mut own) {
                own.unread(format!("{}: {error}", printable(&change.path)));
            }
        }
        own
    };
    let threads = if changes.len() < PARALLEL_MIN { 1 } else { threads };
    for own in on_threads(&objects, threads, work)? {
        batch.merge(own);
    }
    let totals = &batch.totals;
    let looked_at = totals.files + totals.moved + totals.skipped;
    if !changes.is_empty() && looked_at == 0 {
        let why = batch.notes.first().cloned().unwrap_or_default();
        let files =
            if changes.len() == 1 { "1 file is".to_owned() } else { format!("{} files are", changes.len()) };
        return Err(GitError(format!("{files} staged and none could be scanned: {why}")));
    }
    Ok(batch)
}

/// Files that the commit removes: lines of new files that stand there only moved.
struct Moved<'a> {
    removed: &'a [ObjectId],
    texts: &'a [Vec<u8>],
}

/// Memory of one thread, used again for each file.
#[derive(Default)]
struct Buffers {
    new: Vec<u8>,
    old: Vec<u8>,
}

fn scan_change(
    objects: &Objects,
    scanner: &Scanner,
    change: &Change,
    moved: &Moved<'_>,
    buffers: &mut Buffers,
    batch: &mut Batch,
) -> Result<(), GitError> {
    if scanner.config().skips(&change.path) {
        batch.totals.skipped += 1;
        return Ok(());
    }
    let place = Place { path: Arc::clone(&change.path), commit: None };
    if change.before.is_none() && change.merged.is_empty() {
        scanner.name(&place, &change.path, batch);
        if moved.removed.contains(&change.blob) {
            // A file that was renamed and nothing else.
            batch.totals.moved += 1;
            return Ok(());
        }
    }
    let bytes = objects.read(&change.blob, &mut buffers.new)?.data;
    batch.totals.files += 1;
    let new = Content::of(bytes);
    let mut rest = Batch::default();
    scanner.rest(&place, bytes, &new, &mut rest);
    if new.is_binary() {
        batch.totals.binary += 1;
        batch.totals.bytes += bytes.len() as u64;
    }
    let mut known = Known::default();
    for id in &change.merged {
        let data = objects.read(id, &mut buffers.old)?;
        let old = Content::of(data.data);
        known.add(old.text.as_deref().unwrap_or_default());
        without_old(scanner, &place, data.data, &old, &mut rest);
    }
    let mut old_bytes = &[][..];
    if let Some(id) = &change.before {
        old_bytes = objects.read(id, &mut buffers.old)?.data;
    } else {
        moved.texts.iter().for_each(|text| known.add(text));
    }
    let old = Content::of(old_bytes);
    without_old(scanner, &place, old_bytes, &old, &mut rest);
    batch.merge(rest);
    if let Some(text) = &new.text {
        let ranges = added(text, old.text.as_deref().unwrap_or_default(), known);
        scan_ranges(scanner, &place, text, &ranges, batch);
    }
    Ok(())
}

/// Of findings outside of lines, those are old that the old file has as well.
fn without_old(scanner: &Scanner, place: &Place, bytes: &[u8], old: &Content<'_>, found: &mut Batch) {
    if found.hits.is_empty() {
        return;
    }
    let mut before = Batch::default();
    scanner.rest(place, bytes, old, &mut before);
    // A text that became binary had it in its lines.
    scanner.formats(place, old.text.as_deref().unwrap_or_default(), Part::Content, &mut before);
    found.hits.retain(|hit| !before.hits.iter().any(|known| known.fingerprint == hit.fingerprint));
}

/// Scans a text where it has new lines, with what stands around them as context.
fn scan_ranges(scanner: &Scanner, place: &Place, text: &[u8], ranges: &[Range<usize>], batch: &mut Batch) {
    if ranges.is_empty() {
        return;
    }
    if text.len() <= WHOLE_BYTES_MAX {
        let view = View { touching: Some(ranges), ..View::whole(text) };
        return scanner.text(place, text, &view, batch);
    }
    let (mut line, mut counted) = (1, 0);
    for window in windows(text, ranges) {
        line += newlines(text.get(counted..window.start).unwrap_or_default());
        counted = window.start;
        let inside: Vec<Range<usize>> = ranges
            .iter()
            .filter(|range| range.start < window.end && range.end > window.start)
            .map(|range| range.start.saturating_sub(window.start)..range.end - window.start)
            .collect();
        let part = text.get(window).unwrap_or_default();
        let view = View { first_line: line, touching: Some(&inside), ..View::whole(part) };
        scanner.text(place, part, &view, batch);
    }
}

/// Ranges with their context, on whole lines; those that meet are one.
fn windows(text: &[u8], ranges: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut windows: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        let start = line_start(text, range.start.saturating_sub(CONTEXT_BYTES));
        let end = line_end(text, range.end.saturating_add(CONTEXT_BYTES).min(text.len()));
        match windows.last_mut() {
            Some(last) if last.end >= start => last.end = end.max(last.end),
            _ => windows.push(start..end),
        }
    }
    windows
}

fn read_all(objects: &Objects, ids: &[ObjectId]) -> Vec<Vec<u8>> {
    let (mut texts, mut left, mut buffer) = (Vec::new(), MOVED_BYTES_MAX, Vec::new());
    for id in ids {
        // A removed file that cannot be read only means that its lines count as new elsewhere.
        let Ok(data) = objects.read(id, &mut buffer) else { continue };
        let Some(text) = Content::of(data.data).text else { continue };
        let Some(rest) = left.checked_sub(text.len()) else { break };
        left = rest;
        texts.push(text.into_owned());
    }
    texts
}

/// Files that differ from HEAD, and the blobs of files that are gone.
fn changes(
    repo: &Repo,
    objects: &Objects,
    batch: &mut Batch,
) -> Result<(Vec<Change>, Vec<ObjectId>), GitError> {
    let head = head_tree(repo)?;
    let merged = merge_trees(repo, objects)?;
    let index_path = repo.inner.index_path();
    let has_index = index_path.exists();
    if !has_index && head.is_some() {
        return Err(GitError(format!("there is no index at {}", index_path.display())));
    }
    let index = repo.inner.index_or_empty().map_err(|error| GitError::new("index", error))?;
    let mut before = Before::default();
    if let Some(tree) = head {
        before.collect(objects, &tree, index.tree(), &[], 0)?;
    }
    let same: HashMap<usize, usize> = before
        .same
        .iter()
        .filter_map(|folder| index.prefixed_entries_range(BStr::new(folder.as_slice())))
        .map(|range| (range.start, range.end))
        .collect();
    let (mut changes, mut buffer) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(entry) = index.entries().get(at) {
        if let Some(end) = same.get(&at) {
            at = (*end).max(at + 1);
            continue;
        }
        at += 1;
        let path: &[u8] = entry.path(&index);
        let old = before.files.remove(path);
        if old == Some(entry.id) || entry.flags.contains(Flags::INTENT_TO_ADD) {
            continue;
        }
        if entry.mode == Mode::COMMIT {
            batch.totals.submodules += 1;
            batch.note(format!("{}: a submodule, only its commit id is staged", printable(path)));
            continue;
        }
        if entry.mode == Mode::DIR {
            batch.unread(format!(
                "{}: a folder outside of the sparse checkout changed, not scanned",
                printable(path)
            ));
            continue;
        }
        if entry.stage() != Stage::Unconflicted {
            batch.note(format!("{}: not merged yet, all of it scanned", printable(path)));
        }
        let mut also = Vec::new();
        for tree in &merged {
            also.extend(objects.blob_at(tree, path, &mut buffer)?);
        }
        if also.contains(&entry.id) {
            // As it stands in the other branch: committed there.
            continue;
        }
        changes.push(Change { path: Arc::from(path), blob: entry.id, before: old, merged: also });
    }
    let removed = before.files.into_values().collect();
    Ok((changes, removed))
}

/// A file as it stands in HEAD; none if it is not there.
///
/// # Errors
/// HEAD cannot be read.
pub fn file_in_head(repo: &Repo, path: &str) -> Result<Option<Vec<u8>>, GitError> {
    let Some(tree) = head_tree(repo)? else { return Ok(None) };
    let (objects, mut buffer) = (repo.objects()?, Vec::new());
    let Some(blob) = objects.blob_at(&tree, path.as_bytes(), &mut buffer)? else { return Ok(None) };
    Ok(Some(objects.read(&blob, &mut buffer)?.data.to_vec()))
}

/// Tree of HEAD; none before the first commit.
fn head_tree(repo: &Repo) -> Result<Option<ObjectId>, GitError> {
    let fail = |error: gix::Error| GitError::new("HEAD", error);
    let head = repo.inner.head().map_err(fail)?;
    if head.is_unborn() {
        return Ok(None);
    }
    let tree = repo.inner.head_commit().and_then(|commit| commit.tree_id().map(gix::Id::detach));
    tree.map(Some).map_err(fail)
}

/// Trees of the commits that a merge in progress brings in.
fn merge_trees(repo: &Repo, objects: &Objects) -> Result<Vec<ObjectId>, GitError> {
    let path = repo.inner.git_dir().join("MERGE_HEAD");
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(GitError::new("MERGE_HEAD", error)),
    };
    let (mut trees, mut buffer) = (Vec::new(), Vec::new());
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(MERGE_HEADS_MAX) {
        let id = ObjectId::from_hex(line).map_err(|error| GitError::new("MERGE_HEAD", error))?;
        trees.push(objects.commit(&id, &mut buffer)?.tree);
    }
    Ok(trees)
}

/// Files of HEAD, without the folders that the index knows to be the same.
#[derive(Default)]
struct Before {
    files: BTreeMap<Vec<u8>, ObjectId>,
    same: Vec<Vec<u8>>,
}

impl Before {
    /// `cached` is what the index remembers of this folder; `prefix` ends in `/` or is empty.
    fn collect(
        &mut self,
        objects: &Objects,
        tree: &ObjectId,
        cached: Option<&extension::Tree>,
        prefix: &[u8],
        depth: usize,
    ) -> Result<(), GitError> {
        if depth > DEPTH_MAX {
            return Err(GitError(format!("{}: nested too deep", printable(prefix))));
        }
        let mut buffer = Vec::new();
        let data = objects.read(tree, &mut buffer)?;
        let Some(entries) = data.try_into_tree_iter() else {
            return Err(GitError(format!("object {tree} is no tree")));
        };
        for entry in entries {
            let entry = entry.map_err(|error| GitError::new(format!("tree {tree}"), error))?;
            let mut path = prefix.to_vec();
            path.extend_from_slice(entry.filename);
            if !entry.mode.is_tree() {
                self.files.insert(path, entry.oid.to_owned());
                continue;
            }
            path.push(b'/');
            let child = cached.and_then(|cached| {
                cached.children.iter().find(|child| child.name.as_slice() == &**entry.filename)
            });
            if child.is_some_and(|child| child.num_entries.is_some() && *child.id == *entry.oid) {
                self.same.push(path);
            } else {
                self.collect(objects, &entry.oid.to_owned(), child, &path, depth + 1)?;
            }
        }
        Ok(())
    }
}
