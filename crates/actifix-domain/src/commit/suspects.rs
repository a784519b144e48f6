//! Which commits changed the files that a failing stack went through.

use super::Commit;
use crate::event::{Event, Frame, Stacktrace};
use crate::title;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// Commits that are shown of one error.
pub const SUSPECTS_MAX: usize = 5;
/// Files of a stack that are looked for.
const STACK_FILES_MAX: usize = 50;
/// Files shown of one suspect.
const FILES_SHOWN: usize = 5;
/// Parts of a path that are compared, from its end.
const PARTS_MAX: usize = 30;
/// Weight of the file in which it failed; one further out weighs so much divided by its place.
const WEIGHT: u32 = 1_000;
/// Divides the weight where the roots differ: `/srv/app/src/pay.py` and `shop/src/pay.py`.
const OTHER_ROOT: u32 = 2;
/// Divides the weight where only the name of the file is known.
const NAME_ONLY: u32 = 4;

/// A file of the application's own code that the stack went through, as the frame names it: one to three ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackFile {
    names: Vec<Named>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    /// Parts of the path, the last one first.
    parts: Vec<String>,
    /// It begins at the root of a machine or site, which no repository does.
    is_rooted: bool,
}

/// A commit that changed files of the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// Its place in the list that was given.
    pub place: usize,
    /// Files of it that the stack went through, the most telling first; at most 5.
    pub files: Vec<String>,
    /// Why, in words of ours.
    pub why: String,
    score: u32,
}

/// Files of the application's own frames of the stack that names the culprit, where it failed first, each once.
pub fn own_files(event: &Event) -> Vec<StackFile> {
    let has_own = |stack: &Stacktrace| stack.frames.iter().any(is_own);
    let of_exceptions = event
        .exception
        .iter()
        .rev()
        .filter_map(|exception| exception.stacktrace.as_ref())
        .find(|stack| has_own(stack));
    let Some(stack) = of_exceptions.or_else(|| title::crash_stack(event, has_own)) else { return Vec::new() };
    let mut files: Vec<StackFile> = Vec::new();
    for frame in stack.frames.iter().rev().filter(|frame| is_own(frame)) {
        let file = StackFile { names: names_of(frame) };
        if files.len() < STACK_FILES_MAX && !file.names.is_empty() && !files.contains(&file) {
            files.push(file);
        }
    }
    files
}

fn is_own(frame: &Frame) -> bool {
    frame.in_app == Some(true)
}

fn names_of(frame: &Frame) -> Vec<Named> {
    let mut names: Vec<Named> = Vec::new();
    let mut add = |name: Option<Named>| {
        if let Some(name) = name.filter(|name| !name.parts.is_empty())
            && !names.contains(&name)
        {
            names.push(name);
        }
    };
    let file = frame.filename.as_deref().filter(|name| !name.is_empty());
    add(file.map(Named::of));
    add(frame.abs_path.as_deref().map(Named::of));
    // Of a class only the name of the file is sent; its package is the folder.
    let package =
        frame.module.as_deref().and_then(|module| module.rsplit_once('.')).map(|(package, _)| package);
    if let (Some(file), Some(package)) = (file.filter(|file| !file.contains(['/', '\\'])), package) {
        add(Some(Named::of(&format!("{}/{file}", package.replace('.', "/")))));
    }
    names
}

impl Named {
    fn of(path: &str) -> Self {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let (is_site, path) = match path.split_once("://") {
            // What stands before the first slash is a host.
            Some((_, rest)) => (true, rest.split_once('/').map_or("", |(_, path)| path)),
            None => (false, path),
        };
        let is_drive = path.as_bytes().get(1) == Some(&b':');
        let is_rooted = is_site || is_drive || path.starts_with(['/', '\\']);
        Self { parts: parts(path).into_iter().map(str::to_owned).collect(), is_rooted }
    }
}

/// Parts of a path, the last one first.
fn parts(path: &str) -> Vec<&str> {
    path.rsplit(['/', '\\']).filter(|part| !matches!(*part, "" | "." | ".." | "~")).take(PARTS_MAX).collect()
}

/// The commits of `commits` that changed files of the stack, the likeliest first, at most [`SUSPECTS_MAX`]: those whose
/// files are nearest to the failure, among equals the newest. `files` is what [`own_files`] found. Linear in the
/// changed files.
pub fn rank(files: &[StackFile], commits: &[Commit]) -> Vec<Ranked> {
    let mut by_name: HashMap<&str, Vec<(usize, &Named)>> = HashMap::new();
    for (depth, file) in files.iter().enumerate() {
        for name in &file.names {
            if let Some(last) = name.parts.first() {
                by_name.entry(last).or_default().push((depth, name));
            }
        }
    }
    let mut ranked: Vec<Ranked> =
        commits.iter().enumerate().filter_map(|(place, commit)| judge(&by_name, place, commit)).collect();
    ranked.sort_by_key(|one| {
        (Reverse(one.score), Reverse(commits.get(one.place).and_then(|c| c.at)), one.place)
    });
    ranked.truncate(SUSPECTS_MAX);
    ranked
}

fn judge(by_name: &HashMap<&str, Vec<(usize, &Named)>>, place: usize, commit: &Commit) -> Option<Ranked> {
    // The best path for each file of the stack: a commit that changed ten files of one name touched it once.
    let mut hits: BTreeMap<usize, (u32, &str)> = BTreeMap::new();
    for path in &commit.paths {
        let changed = parts(path);
        let Some(alike) = changed.first().and_then(|name| by_name.get(name)) else { continue };
        for (depth, named) in alike {
            let Some(divisor) = distance(named, &changed) else { continue };
            let further = u32::try_from(*depth).unwrap_or(u32::MAX).saturating_add(1);
            let weight = (WEIGHT / further / divisor).max(1);
            let hit = hits.entry(*depth).or_insert((0, path));
            if weight > hit.0 {
                *hit = (weight, path);
            }
        }
    }
    let (nearest, _) = hits.first_key_value()?;
    let why = match nearest {
        0 => "it changed the file in which it failed".to_owned(),
        1 => "it changed the file that called the one in which it failed".to_owned(),
        depth => format!("it changed a file of the stack, {depth} files before the one in which it failed"),
    };
    let score = hits.values().map(|(weight, _)| weight).sum();
    let mut files: Vec<(u32, &str)> = hits.into_values().collect();
    files.sort_by_key(|(weight, _)| Reverse(*weight));
    let mut shown: Vec<String> = Vec::new();
    for (_, path) in files {
        if shown.len() < FILES_SHOWN && !shown.iter().any(|known| known == path) {
            shown.push(path.to_owned());
        }
    }
    Some(Ranked { place, files: shown, why, score })
}

/// By what the weight is divided where a frame's file and a changed one may be the same: one is the end of the other, or
/// only their roots differ.
fn distance(named: &Named, changed: &[&str]) -> Option<u32> {
    let common = named.parts.iter().zip(changed).take_while(|(ours, theirs)| ours == theirs).count();
    let (shorter, longer) = (named.parts.len().min(changed.len()), named.parts.len().max(changed.len()));
    match common {
        0 => None,
        1 if longer > 1 => (shorter == 1).then_some(NAME_ONLY),
        _ if common == shorter => Some(1),
        _ => named.is_rooted.then_some(OTHER_ROOT),
    }
}

#[cfg(test)]
mod tests;
