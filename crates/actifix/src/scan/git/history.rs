//! A history: every blob that a range of commits brings in and every commit message, each scanned once.

use super::blobs::scan_blobs;
use super::objects::Objects;
use super::state::{HITS_MAX, Known, State};
use super::walk::{CommitInfo, Found, NO_COMMIT, Root, walk};
use super::{GitError, Repo};
use crate::scan::batch::Batch;
use crate::scan::content::Content;
use crate::scan::inspect::{Place, Scanner, View};
use crate::scan::progress::Progress;
use crate::scan::{Origin, Part};
use gix::ObjectId;
use gix::bstr::BStr;
use gix::objs::Kind;
use std::collections::HashSet;
use std::sync::Arc;

/// Path of findings in commit messages.
const MESSAGE_PATH: &[u8] = b"COMMIT_MSG";
/// Path of findings in names and addresses of authors and in other headers of commits.
const PEOPLE_PATH: &[u8] = b"COMMIT_HEADER";
/// Path of findings in messages of annotated tags.
const TAG_PATH: &[u8] = b"TAG_MSG";
/// Bytes of names that are searched at once.
const NAMES_BYTES: usize = 64 << 10;
/// Updates of refs in one push.
const UPDATES_MAX: usize = 100_000;

/// Which commits to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All that refs reach.
    All,
    /// A revision range as for `git log`: `A..B`, `A...B`, or a revision with all that it reaches.
    Range(String),
    /// What a push brings: lines of `old new ref`, as git gives them to a `pre-receive` hook.
    Push(String),
}

/// Scans a history; `anew` also what a former scan has read.
///
/// # Errors
/// The repository or the range cannot be read.
pub fn scan_history(
    repo: &Repo,
    scanner: &Scanner,
    extent: &Extent,
    anew: bool,
    threads: usize,
    progress: &Progress,
) -> Result<Batch, GitError> {
    let objects = repo.objects()?;
    let shallow = repo.inner.is_shallow().map_err(|error| GitError::new("shallow", error))?;
    let rules = scanner.rules_hash();
    let Ends { tips, mut hidden, tags, roots, names } = ends(repo, &objects, extent)?;
    // What was scanned of a shallow clone is not the history of what is behind its border.
    let whole = *extent == Extent::All && !shallow;
    let state = if whole && !anew { State::load(repo.common_dir(), &rules) } else { None };
    let (mut known, mut before) = (Vec::new(), 0);
    if let Some(state) = &state {
        let old = state.tips.iter().filter_map(|tip| ObjectId::from_hex(tip.as_bytes()).ok());
        hidden.extend(old.filter(|tip| objects.exists(tip)));
        known.clone_from(&state.hits);
        before = state.commits;
    }
    let mut batch = Batch::default();
    let mut again = Vec::new();
    let mut people = HashSet::new();
    progress.begin("commits", None);
    let found = walk(&objects, &tips, &hidden, &roots, shallow, before, |info, commit| {
        progress.add(1);
        let mut own = Batch::default();
        message(scanner, info, &commit.message, &mut own);
        // The same few people write thousands of commits.
        if people.insert(people_hash(&commit.people)) {
            headers(scanner, info, &commit.people, &mut own);
        }
        again.extend((!own.hits.is_empty()).then(|| known_at(&info.id, info, MESSAGE_PATH)));
        batch.merge(own);
    })?;
    batch.totals.commits = found.commits.len() as u64;
    batch.totals.commits_known = before;
    again.extend(scan_names(scanner, &found, &mut batch));
    for name in names {
        scanner.name(&Place { path: Arc::from(name.as_slice()), commit: None }, &name, &mut batch);
    }
    if !known.is_empty() {
        still_there(&objects, &tips, &hidden, &found, shallow, &mut known)?;
    }
    progress.begin("blobs", Some(found.blobs.len() as u64));
    again.extend(scan_blobs(&objects, scanner, &found, threads, progress, &mut batch)?);
    if *extent != Extent::All {
        only_new(&objects, scanner, &found, &mut batch)?;
    }
    scan_tags(&objects, scanner, &tags, &mut batch)?;
    for known in &known {
        scan_again(&objects, scanner, known, &mut batch)?;
    }
    again.extend(known);
    if shallow {
        batch.note("the clone is shallow: commits behind its border were not scanned");
    }
    if whole && batch.totals.unread == 0 && again.len() <= HITS_MAX {
        let next = State::new(&rules, &tips, before + batch.totals.commits, again);
        if state.as_ref() != Some(&next)
            && let Err(error) = next.save(repo.common_dir())
        {
            batch.note(format!("{error}; the next scan will read everything again"));
        }
    }
    Ok(batch)
}

/// Where a walk begins, what it must not enter, and what is no commit: annotated tags, what refs name, their names.
#[derive(Debug, Default)]
struct Ends {
    tips: Vec<ObjectId>,
    hidden: Vec<ObjectId>,
    tags: Vec<ObjectId>,
    roots: Vec<Root>,
    names: Vec<Vec<u8>>,
}

fn ends(repo: &Repo, objects: &Objects, extent: &Extent) -> Result<Ends, GitError> {
    match extent {
        Extent::All => all(repo, objects),
        Extent::Range(range) => {
            let (tips, hidden) = revisions(repo, range)?;
            Ok(Ends { tips, hidden, ..Ends::default() })
        }
        Extent::Push(updates) => {
            let mut ends = Ends { hidden: all(repo, objects)?.tips, ..Ends::default() };
            for (number, line) in updates.lines().enumerate() {
                if number >= UPDATES_MAX {
                    return Err(GitError(format!("more than {UPDATES_MAX} updates in one push")));
                }
                let mut words = line.splitn(3, ' ').skip(1);
                let id = words.next().and_then(|id| ObjectId::from_hex(id.as_bytes()).ok());
                let id = id.ok_or_else(|| GitError(format!("`{line}` is no update of a ref")))?;
                if !id.is_null() {
                    let name = words.next().unwrap_or_default().as_bytes().to_vec();
                    ends.add(objects, id, name)?;
                }
            }
            Ok(ends)
        }
    }
}

/// All that refs name.
fn all(repo: &Repo, objects: &Objects) -> Result<Ends, GitError> {
    let mut ends = Ends::default();
    for (name, id) in repo.refs()? {
        // A ref to nothing (a branch that is not born, a lost object) has no history.
        if objects.exists(&id) {
            ends.add(objects, id, name)?;
        }
    }
    ends.tips.sort();
    ends.tips.dedup();
    Ok(ends)
}

impl Ends {
    /// A tag is an object of its own: what it names is what it brings, besides its message.
    fn add(&mut self, objects: &Objects, mut id: ObjectId, name: Vec<u8>) -> Result<(), GitError> {
        /// Tags of tags.
        const NESTING_MAX: usize = 16;
        let mut buffer = Vec::new();
        for _ in 0..NESTING_MAX {
            let data = objects.read(&id, &mut buffer)?;
            match data.kind {
                Kind::Commit => self.tips.push(id),
                Kind::Tree | Kind::Blob => self.roots.push(Root { id, name: name.clone() }),
                Kind::Tag => {
                    self.tags.push(id);
                    let target = data.try_into_tag_iter().and_then(|tag| tag.target_id().ok());
                    id = target.ok_or_else(|| GitError(format!("tag {id} names nothing")))?;
                    continue;
                }
            }
            self.names.push(name);
            return Ok(());
        }
        Err(GitError(format!("{id}: tags of tags, nested too deep to be scanned")))
    }
}

fn people_hash(people: &[u8]) -> [u8; 32] {
    *blake3::hash(people).as_bytes()
}

fn headers(scanner: &Scanner, info: &CommitInfo, people: &[u8], batch: &mut Batch) {
    let place = Place { path: Arc::from(PEOPLE_PATH), commit: Some(origin(info)) };
    scanner.formats(&place, people, Part::Content, batch);
}

/// Scans names of files and folders, many at once; gives those to be scanned again.
fn scan_names(scanner: &Scanner, found: &Found, batch: &mut Batch) -> Vec<Known> {
    let (mut again, mut text, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    let count = u32::try_from(found.paths.len()).unwrap_or(u32::MAX);
    for number in 0..count {
        let name = found.paths.name(number);
        if name.len() >= crate::scan::NAME_BYTES_MIN && found.owner(number).is_some() {
            text.extend_from_slice(name);
            text.push(b'\n');
            numbers.push(number);
        }
        if text.len() < NAMES_BYTES && number + 1 < count {
            continue;
        }
        if scanner.has_formats(&text) {
            let names = numbers.iter().filter_map(|number| scan_name(scanner, found, *number, batch));
            again.extend(names);
        }
        text.clear();
        numbers.clear();
    }
    again
}

fn scan_name(scanner: &Scanner, found: &Found, number: u32, batch: &mut Batch) -> Option<Known> {
    let owner = found.owner(number)?;
    let commit = found.commits.get(owner as usize).filter(|_| owner != NO_COMMIT);
    let path = found.paths.path(number);
    let mut own = Batch::default();
    let place = Place { path: Arc::from(path.as_slice()), commit: commit.map(origin) };
    if !scanner.config().skips(&path) {
        scanner.name(&place, found.paths.name(number), &mut own);
    }
    let told = !own.hits.is_empty();
    batch.merge(own);
    commit.filter(|_| told).map(|commit| known_at(&commit.id, commit, &path))
}

/// Scans annotated tags. They are few, so they are read each time.
fn scan_tags(
    objects: &Objects,
    scanner: &Scanner,
    tags: &[ObjectId],
    batch: &mut Batch,
) -> Result<(), GitError> {
    let mut buffer = Vec::new();
    let place = Place { path: Arc::from(TAG_PATH), commit: None };
    for id in tags {
        let data = objects.read(id, &mut buffer)?;
        if data.kind == Kind::Tag {
            scanner.text(&place, data.data, &View::whole(data.data), batch);
        }
    }
    Ok(())
}

fn revisions(repo: &Repo, range: &str) -> Result<(Vec<ObjectId>, Vec<ObjectId>), GitError> {
    use gix::revision::plumbing::Spec;
    let fail = |error: gix::Error| GitError::new(format!("revision `{range}`"), error);
    let unknown = |_| {
        GitError(format!(
            "`{range}` names no commits of this repository; give a branch, a tag or a commit, or two of them as in \
             `main..HEAD`"
        ))
    };
    let spec = repo.inner.rev_parse(BStr::new(range)).map_err(unknown)?.detach();
    let commit = |id: ObjectId| {
        let object = repo.inner.find_object(id).and_then(|object| object.peel_to_commit());
        object.map(|commit| commit.id).map_err(fail)
    };
    match spec {
        Spec::Include(id) => Ok((vec![commit(id)?], Vec::new())),
        Spec::Range { from, to } => Ok((vec![commit(to)?], vec![commit(from)?])),
        Spec::Merge { theirs, ours } => {
            let (theirs, ours) = (commit(theirs)?, commit(ours)?);
            let base = repo.inner.merge_base(theirs, ours).map_err(fail)?;
            Ok((vec![theirs, ours], base.map(gix::Id::detach).into_iter().collect()))
        }
        Spec::ExcludeParents(id) => {
            let id = commit(id)?;
            let parents = repo.objects()?.commit(&id, &mut Vec::new())?.parents;
            Ok((vec![id], parents))
        }
        Spec::IncludeOnlyParents(id) => {
            Ok((repo.objects()?.commit(&commit(id)?, &mut Vec::new())?.parents, Vec::new()))
        }
        Spec::Exclude(_) => Err(GitError(format!("`{range}` names only what to leave out"))),
    }
}

/// Removes remembered findings of commits that no ref reaches any more.
fn still_there(
    objects: &Objects,
    tips: &[ObjectId],
    hidden: &[ObjectId],
    found: &Found,
    shallow: bool,
    known: &mut Vec<Known>,
) -> Result<(), GitError> {
    let moved_on = |tip: &ObjectId| tips.contains(tip) || found.boundary.contains(tip);
    if hidden.iter().all(moved_on) {
        return Ok(());
    }
    // Rare: a branch was rewritten or removed. Then the commits are listed, without their trees.
    let reached: HashSet<String> = super::walk::reachable(objects, tips, shallow)?
        .into_iter()
        .map(|id| id.to_hex().to_string())
        .collect();
    known.retain(|known| reached.contains(&known.commit));
    Ok(())
}

fn message(scanner: &Scanner, info: &CommitInfo, message: &[u8], batch: &mut Batch) {
    let place = Place { path: Arc::from(MESSAGE_PATH), commit: Some(origin(info)) };
    scanner.text(&place, message, &View::whole(message), batch);
}

pub fn origin(info: &CommitInfo) -> Arc<Origin> {
    Arc::new(Origin { id: info.id.to_hex().to_string(), seconds: info.seconds, order: info.order })
}

pub fn known_at(object: &ObjectId, commit: &CommitInfo, path: &[u8]) -> Known {
    let (object, order) = (object.to_hex().to_string(), commit.order);
    Known { object, commit: commit.id.to_hex().to_string(), path: hex::encode(path), order }
}

/// Scans what an earlier scan had findings in.
fn scan_again(
    objects: &Objects,
    scanner: &Scanner,
    known: &Known,
    batch: &mut Batch,
) -> Result<(), GitError> {
    let bad = || GitError("the state of the last scan is damaged; remove it and scan again".to_owned());
    let object = ObjectId::from_hex(known.object.as_bytes()).map_err(|_| bad())?;
    let commit = ObjectId::from_hex(known.commit.as_bytes()).map_err(|_| bad())?;
    let path = hex::decode(&known.path).map_err(|_| bad())?;
    let mut buffer = Vec::new();
    let commit_data = objects.commit(&commit, &mut buffer)?;
    let info = CommitInfo { id: commit, seconds: commit_data.seconds, order: known.order };
    if object == commit && path == MESSAGE_PATH {
        message(scanner, &info, &commit_data.message, batch);
        headers(scanner, &info, &commit_data.people, batch);
        return Ok(());
    }
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
    let place = Place { path: Arc::from(path), commit: Some(origin(&info)) };
    if object == commit {
        scanner.name(&place, &name, batch);
        return Ok(());
    }
    let data = objects.read(&object, &mut buffer)?;
    batch.totals.files += 1;
    scanner.content(&place, data.data, &Content::of(data.data), batch);
    Ok(())
}

/// Of a range, keeps findings that were not in the same file before the range: unchanged lines of a changed file.
fn only_new(objects: &Objects, scanner: &Scanner, found: &Found, batch: &mut Batch) -> Result<(), GitError> {
    if found.boundary.is_empty() || batch.hits.is_empty() {
        return Ok(());
    }
    let mut buffer = Vec::new();
    let mut trees = Vec::new();
    for commit in &found.boundary {
        trees.push(objects.commit(commit, &mut buffer)?.tree);
    }
    let mut old = HashSet::new();
    let paths: HashSet<Arc<[u8]>> = batch.hits.iter().map(|hit| Arc::clone(&hit.path)).collect();
    for path in paths {
        for tree in &trees {
            let Some(blob) = objects.blob_at(tree, &path, &mut buffer)? else { continue };
            let data = objects.read(&blob, &mut buffer)?;
            let mut before = Batch::default();
            let place = Place { path: Arc::clone(&path), commit: None };
            // Equal secrets in one file have equal fingerprints.
            scanner.content(&place, data.data, &Content::of(data.data), &mut before);
            old.extend(before.hits.into_iter().map(|hit| hit.fingerprint));
        }
    }
    batch.hits.retain(|hit| !old.contains(&hit.fingerprint));
    Ok(())
}
