//! Files of a tree: walked and read in parallel, one buffer per thread.

use super::NAME_BYTES_MIN;
use super::batch::Batch;
use super::inspect::{Place, Scanner, View};
use super::names::{printable, relative};
use super::progress::Progress;
use super::stream::scan_reader;
use ignore::{DirEntry, WalkBuilder, WalkState};
use std::collections::HashSet;
use std::fs::{File, FileType};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Deeper trees are not followed: a walk must end.
const DEPTH_MAX: usize = 512;
/// Files whose visit is remembered, to find those that git tracks although they are ignored.
const VISITED_MAX: usize = 4_000_000;

/// What to walk.
#[derive(Debug)]
pub struct Trees {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// Paths in findings are relative to it.
    pub root: PathBuf,
    /// Also what `.gitignore` excludes.
    pub no_ignore: bool,
    /// Threads that read.
    pub threads: usize,
    /// Files that git tracks, relative to the root: they are read even if `.gitignore` names them.
    pub tracked: Vec<PathBuf>,
}

/// Scans all files.
pub fn scan_trees(scanner: &Scanner, trees: &Trees, progress: &Progress) -> Batch {
    progress.begin("files", None);
    let all = Mutex::new(Batch::default());
    let visited = Mutex::new(HashSet::new());
    let hasher = RandomState::new();
    let shared = Shared { scanner, trees, progress, all: &all, visited: &visited, hasher: &hasher };
    if let Some(mut builder) = walker(trees) {
        builder.threads(trees.threads);
        builder.build_parallel().run(|| {
            let mut visitor = Visitor::new(&shared);
            Box::new(move |entry| {
                visitor.entry(entry);
                WalkState::Continue
            })
        });
    }
    let late = tracked_but_ignored(&shared);
    let mut batch = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    batch.merge(late);
    batch
}

/// What visitors share.
struct Shared<'a> {
    scanner: &'a Scanner,
    trees: &'a Trees,
    progress: &'a Progress,
    all: &'a Mutex<Batch>,
    visited: &'a Mutex<HashSet<u64>>,
    hasher: &'a RandomState,
}

fn walker(trees: &Trees) -> Option<WalkBuilder> {
    let (first, others) = trees.paths.split_first()?;
    let mut builder = WalkBuilder::new(first);
    for path in others {
        builder.add(path);
    }
    builder
        .hidden(false)
        .ignore(false)
        .git_ignore(!trees.no_ignore)
        .git_global(!trees.no_ignore)
        .git_exclude(!trees.no_ignore)
        .parents(!trees.no_ignore)
        .require_git(false)
        .follow_links(false)
        .max_depth(Some(DEPTH_MAX))
        // A repository's own files: objects are read by `--history`, the rest is no content.
        .filter_entry(|entry| entry.file_name() != ".git" || entry.depth() == 0);
    Some(builder)
}

/// One thread of the walk. What it found goes to the others' when it ends.
struct Visitor<'a> {
    shared: &'a Shared<'a>,
    buffer: Vec<u8>,
    batch: Batch,
    visited: Vec<u64>,
}

impl<'a> Visitor<'a> {
    fn new(shared: &'a Shared<'a>) -> Self {
        Self { shared, buffer: Vec::new(), batch: Batch::default(), visited: Vec::new() }
    }

    fn entry(&mut self, entry: Result<DirEntry, ignore::Error>) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return self.error(&error),
        };
        if let Some(error) = entry.error() {
            self.batch.note(format!("ignore file: {error}"));
        }
        let Some(kind) = entry.file_type() else { return };
        let path = entry.path();
        let shown = relative(path, &self.shared.trees.root);
        if kind.is_dir() {
            if entry.depth() == DEPTH_MAX {
                self.batch.unread(format!("{}: nested too deep, not scanned", printable(&shown)));
            }
            return self.name(&entry, &shown);
        }
        self.name(&entry, &shown);
        if kind.is_symlink() {
            if entry.depth() > 0 {
                return self.link(&entry, shown);
            }
            // Named by the user: its target is meant. A folder behind it is walked by the walker itself.
        } else if !kind.is_file() {
            let note = format!("{}: {}, not scanned", printable(&shown), describe(kind));
            self.batch.totals.special += 1;
            // What the user named and cannot have is an error; what merely lies in a folder is not.
            return if entry.depth() == 0 { self.batch.unread(note) } else { self.batch.note(note) };
        }
        if !self.shared.trees.tracked.is_empty() {
            self.visited.push(self.shared.hasher.hash_one(&*shown));
        }
        let follow = entry.depth() == 0;
        read_file(self.shared.scanner, path, shown, follow, &mut self.buffer, &mut self.batch);
        self.shared.progress.add(1);
    }

    /// A name can be a token as well.
    fn name(&mut self, entry: &DirEntry, shown: &Arc<[u8]>) {
        let name = entry.file_name().as_bytes();
        if name.len() >= NAME_BYTES_MIN && !self.shared.scanner.config().skips(shown) {
            let place = Place { path: Arc::clone(shown), commit: None };
            self.shared.scanner.name(&place, name, &mut self.batch);
        }
    }

    /// Git keeps the target of a link, so it is scanned; what is behind it is not this tree's.
    fn link(&mut self, entry: &DirEntry, shown: Arc<[u8]>) {
        if self.shared.scanner.config().skips(&shown) {
            self.batch.totals.skipped += 1;
            return;
        }
        match std::fs::read_link(entry.path()) {
            Ok(target) => {
                let text = target.as_os_str().as_bytes();
                self.batch.totals.files += 1;
                let place = Place { path: shown, commit: None };
                self.shared.scanner.text(&place, text, &View::whole(text), &mut self.batch);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.batch.unread(format!("{}: {error}", printable(&shown))),
        }
    }

    fn error(&mut self, error: &ignore::Error) {
        // What vanished during the walk is not there to be scanned.
        if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
            && error.depth() != Some(0)
        {
            return;
        }
        self.batch.unread(printable(error.to_string().as_bytes()));
    }
}

impl Drop for Visitor<'_> {
    fn drop(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.shared.all.lock().unwrap_or_else(PoisonError::into_inner).merge(batch);
        let mut visited = self.shared.visited.lock().unwrap_or_else(PoisonError::into_inner);
        let free = VISITED_MAX.saturating_sub(visited.len());
        visited.extend(self.visited.drain(..).take(free));
    }
}

/// Reads and scans one file.
fn read_file(
    scanner: &Scanner,
    path: &Path,
    shown: Arc<[u8]>,
    follow: bool,
    buffer: &mut Vec<u8>,
    batch: &mut Batch,
) {
    if scanner.config().skips(&shown) {
        batch.totals.skipped += 1;
        return;
    }
    let place = Place { path: shown, commit: None };
    let result = open(path, follow).and_then(|file| match file {
        Some(file) => scan_reader(scanner, &place, file, buffer, batch).map(|_| true),
        None => Ok(false),
    });
    match result {
        Ok(true) => {}
        Ok(false) => batch.note(format!("{}: no regular file, not scanned", printable(&place.path))),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !follow => {}
        Err(error) => batch.unread(format!("{}: {error}", printable(&place.path))),
    }
}

/// Opens a regular file; none if it is something else. Never waits for the other end of a pipe, and does not follow a
/// link that took the place of a file.
fn open(path: &Path, follow: bool) -> io::Result<Option<File>> {
    use rustix::fs::{FileType as Kind, Mode, OFlags};
    let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    let descriptor: OwnedFd = rustix::fs::open(path, flags, Mode::empty())?;
    let kind = Kind::from_raw_mode(rustix::fs::fstat(&descriptor)?.st_mode);
    Ok(if kind == Kind::RegularFile { Some(File::from(descriptor)) } else { None })
}

/// Files that are ignored and tracked all the same: git would push them.
fn tracked_but_ignored(rest: &Shared<'_>) -> Batch {
    let visited = rest.visited.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut buffer, mut batch) = (Vec::new(), Batch::default());
    for path in &rest.trees.tracked {
        let shown: Arc<[u8]> = Arc::from(path.as_os_str().as_bytes());
        if visited.contains(&rest.hasher.hash_one(&*shown)) {
            continue;
        }
        let full = rest.trees.root.join(path);
        let wanted = rest.trees.paths.iter().any(|asked| full.starts_with(asked));
        // A link, a submodule or a removed file is nothing to read.
        if wanted && std::fs::symlink_metadata(&full).is_ok_and(|meta| meta.is_file()) {
            read_file(rest.scanner, &full, shown, false, &mut buffer, &mut batch);
            rest.progress.add(1);
        }
    }
    batch
}

fn describe(kind: FileType) -> &'static str {
    if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}
