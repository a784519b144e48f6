//! Which blobs a range of commits brings in, each once, with the first commit and path that has it.

use super::GitError;
use super::objects::{Commit, Objects};
use gix::ObjectId;
use gix::hashtable::{HashMap as IdMap, HashSet as IdSet};
use gix::traverse::commit::simple::{CommitTimeOrder, Sorting};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Commits in one scan.
const COMMITS_MAX: usize = 20_000_000;
/// Blobs in one scan; 28 bytes each are remembered.
const BLOBS_MAX: usize = 50_000_000;
/// Paths in one scan.
const PATHS_MAX: usize = 20_000_000;

/// A blob to scan.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    pub blob: ObjectId,
    /// Index in [`Found::commits`]; [`NO_COMMIT`] for what a ref names itself.
    pub commit: u32,
    /// Number of the path in [`Found::paths`].
    pub path: u32,
}

/// No commit brought it in.
pub const NO_COMMIT: u32 = u32::MAX;

/// A blob or tree that a ref names, maybe through a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    pub id: ObjectId,
    /// Name of the ref.
    pub name: Vec<u8>,
}

/// What was found in a range of commits.
#[derive(Debug, Default)]
pub struct Found {
    /// Oldest first.
    pub commits: Vec<CommitInfo>,
    pub blobs: Vec<Work>,
    pub paths: Paths,
    /// From which number of a path on names are those of which commit; none for names of hidden commits.
    pub owners: Vec<(u32, Option<u32>)>,
    /// Hidden commits that are parents of commits in the range.
    pub boundary: Vec<ObjectId>,
}

/// What is kept of a commit.
#[derive(Clone, Copy, Debug)]
pub struct CommitInfo {
    pub id: ObjectId,
    pub seconds: i64,
    /// Higher than its parents'.
    pub order: u64,
}

/// Paths as a tree of names, so that a million of them fit.
#[derive(Debug, Default)]
pub struct Paths {
    names: Vec<(u32, Box<[u8]>)>,
    numbers: HashMap<u64, u32>,
    hasher: RandomState,
}

/// The parent of names in the root.
const ROOT: u32 = u32::MAX;

impl Paths {
    fn number(&mut self, parent: u32, name: &[u8]) -> Result<u32, GitError> {
        let next = u32::try_from(self.names.len()).ok().filter(|next| (*next as usize) < PATHS_MAX);
        let hash = self.hasher.hash_one((parent, name));
        match (self.numbers.get(&hash), next) {
            (Some(number), _) => Ok(*number),
            (None, Some(number)) => {
                self.names.push((parent, name.into()));
                self.numbers.insert(hash, number);
                Ok(number)
            }
            (None, None) => Err(GitError(format!("more than {PATHS_MAX} paths in the history"))),
        }
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The last part of a path.
    pub fn name(&self, number: u32) -> &[u8] {
        self.names.get(number as usize).map_or(&[], |(_, name)| name)
    }

    /// The whole path of a number.
    pub fn path(&self, number: u32) -> Vec<u8> {
        let mut parts: Vec<&[u8]> = Vec::new();
        let mut at = number;
        // A parent has a smaller number than its children, so this ends.
        while let Some((parent, name)) = self.names.get(at as usize) {
            parts.push(name);
            at = *parent;
        }
        parts.reverse();
        parts.join(&b'/')
    }
}

/// Walks all commits that `tips` reach and `hidden` do not, and `roots`. `step` is called for each commit with its message.
pub fn walk(
    objects: &Objects,
    tips: &[ObjectId],
    hidden: &[ObjectId],
    roots: &[Root],
    shallow: bool,
    first_order: u64,
    mut step: impl FnMut(&CommitInfo, &Commit),
) -> Result<Found, GitError> {
    let ids = commits(objects, tips, hidden, shallow)?;
    let inside: IdSet<ObjectId> = ids.iter().copied().collect();
    let mut found = Found::default();
    let mut seen = IdSet::default();
    let mut buffer = Vec::new();
    for id in ids {
        let commit = objects.commit(&id, &mut buffer)?;
        for parent in commit.parents.iter().filter(|parent| !inside.contains(*parent)) {
            if !seen.contains(parent) && objects.exists(parent) {
                // What a hidden commit has is not new.
                seen.insert(*parent);
                found.boundary.push(*parent);
                let tree = objects.commit(parent, &mut buffer)?.tree;
                found.own(None);
                trees(objects, tree, &mut seen, &mut found.paths, |_, _| Ok(()))?;
            }
        }
        let number = u32::try_from(found.commits.len()).unwrap_or(u32::MAX);
        let info = CommitInfo { id, seconds: commit.seconds, order: first_order + u64::from(number) };
        step(&info, &commit);
        found.commits.push(info);
        found.own(Some(number));
        let blobs = &mut found.blobs;
        trees(objects, commit.tree, &mut seen, &mut found.paths, |blob, path| {
            if blobs.len() >= BLOBS_MAX {
                return Err(GitError(format!("more than {BLOBS_MAX} blobs in the history")));
            }
            blobs.push(Work { blob, commit: number, path });
            Ok(())
        })?;
    }
    for root in roots.iter().filter(|root| objects.exists(&root.id)) {
        found.root(objects, root, &mut seen)?;
    }
    Ok(found)
}

impl Found {
    /// Names that are numbered from now on are this commit's.
    fn own(&mut self, commit: Option<u32>) {
        let next = u32::try_from(self.paths.len()).unwrap_or(u32::MAX);
        match self.owners.last_mut() {
            Some((from, owner)) if *from == next => *owner = commit,
            Some((_, owner)) if *owner == commit => {}
            _ => self.owners.push((next, commit)),
        }
    }

    /// The commit that brought a path in; none if a hidden one did. [`NO_COMMIT`] if it is a ref's.
    pub fn owner(&self, number: u32) -> Option<u32> {
        let after = self.owners.partition_point(|(from, _)| *from <= number);
        after.checked_sub(1).and_then(|nth| self.owners.get(nth)).and_then(|(_, owner)| *owner)
    }

    /// A blob or tree that no commit has, but a ref.
    fn root(&mut self, objects: &Objects, root: &Root, seen: &mut IdSet<ObjectId>) -> Result<(), GitError> {
        let mut buffer = Vec::new();
        let kind = objects.read(&root.id, &mut buffer)?.kind;
        // The name of the ref is scanned with the others'.
        self.own(None);
        let path = self.paths.number(ROOT, &root.name)?;
        if kind != gix::objs::Kind::Tree {
            if seen.insert(root.id) {
                self.blobs.push(Work { blob: root.id, commit: NO_COMMIT, path });
            }
            return Ok(());
        }
        self.own(Some(NO_COMMIT));
        let blobs = &mut self.blobs;
        below(objects, root.id, path, seen, &mut self.paths, |blob, path| {
            if blobs.len() >= BLOBS_MAX {
                return Err(GitError(format!("more than {BLOBS_MAX} blobs in the history")));
            }
            blobs.push(Work { blob, commit: NO_COMMIT, path });
            Ok(())
        })
    }
}

/// All commits that `tips` reach.
pub fn reachable(objects: &Objects, tips: &[ObjectId], shallow: bool) -> Result<Vec<ObjectId>, GitError> {
    commits(objects, tips, &[], shallow)
}

/// Commits of a range, parents before their children, else by time.
fn commits(
    objects: &Objects,
    tips: &[ObjectId],
    hidden: &[ObjectId],
    shallow: bool,
) -> Result<Vec<ObjectId>, GitError> {
    let fail = |error: gix::Error| GitError::new("history", error);
    let finder = objects.for_thread();
    let lookup = objects.for_thread();
    // A shallow clone has commits whose parents are not there.
    let there = move |id: &gix::oid| !shallow || lookup.exists(id);
    let walk = gix::traverse::commit::Simple::filtered(tips.iter().copied(), finder, there)
        .sorting(Sorting::ByCommitTime(CommitTimeOrder::NewestFirst))
        .map_err(fail)?
        .hide(hidden.iter().copied())
        .map_err(fail)?;
    let mut newest_first = Vec::new();
    for info in walk {
        let info = info.map_err(fail)?;
        newest_first.push((info.id, info.parent_ids));
        if newest_first.len() > COMMITS_MAX {
            return Err(GitError(format!("more than {COMMITS_MAX} commits")));
        }
    }
    Ok(parents_first(&newest_first))
}

/// Puts parents before children. Times alone do not: clocks lie, and scripts commit many times in a second.
fn parents_first(newest_first: &[(ObjectId, impl AsRef<[ObjectId]>)]) -> Vec<ObjectId> {
    let numbers: IdMap<ObjectId, usize> =
        newest_first.iter().enumerate().map(|(number, (id, _))| (*id, number)).collect();
    let mut entered = vec![false; newest_first.len()];
    let mut ordered = Vec::with_capacity(newest_first.len());
    let mut stack = Vec::new();
    for number in (0..newest_first.len()).rev() {
        stack.push((number, false));
        // Each commit is entered once and left once.
        while let Some((number, parents_done)) = stack.pop() {
            let Some((id, parents)) = newest_first.get(number) else { continue };
            if parents_done {
                ordered.push(*id);
                continue;
            }
            let Some(entered) = entered.get_mut(number).filter(|entered| !**entered) else { continue };
            *entered = true;
            stack.push((number, true));
            stack.extend(parents.as_ref().iter().filter_map(|id| numbers.get(id)).map(|at| (*at, false)));
        }
    }
    ordered
}

/// Calls `found(blob, path)` for each blob below a tree that nobody has seen.
fn trees(
    objects: &Objects,
    root: ObjectId,
    seen: &mut IdSet<ObjectId>,
    paths: &mut Paths,
    found: impl FnMut(ObjectId, u32) -> Result<(), GitError>,
) -> Result<(), GitError> {
    below(objects, root, ROOT, seen, paths, found)
}

/// The same below a path.
fn below(
    objects: &Objects,
    root: ObjectId,
    at: u32,
    seen: &mut IdSet<ObjectId>,
    paths: &mut Paths,
    mut found: impl FnMut(ObjectId, u32) -> Result<(), GitError>,
) -> Result<(), GitError> {
    let mut buffer = Vec::new();
    let mut stack = Vec::new();
    if seen.insert(root) {
        stack.push((root, at));
    }
    while let Some((tree, parent)) = stack.pop() {
        let data = objects.read(&tree, &mut buffer)?;
        let Some(entries) = data.try_into_tree_iter() else {
            return Err(GitError(format!("object {tree} is no tree")));
        };
        for entry in entries {
            let entry = entry.map_err(|error| GitError::new(format!("tree {tree}"), error))?;
            // A submodule's commit is another repository's.
            if entry.mode.is_commit() || !seen.insert(entry.oid.to_owned()) {
                continue;
            }
            let path = paths.number(parent, entry.filename)?;
            if entry.mode.is_tree() {
                stack.push((entry.oid.to_owned(), path));
            } else {
                found(entry.oid.to_owned(), path)?;
            }
        }
    }
    Ok(())
}
