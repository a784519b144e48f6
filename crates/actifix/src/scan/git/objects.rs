//! The object database, with the objects of a push in quarantine and other folders before it.

use super::GitError;
use gix::objs::{CommitRefIter, Data, Find, Kind};
use gix::{ObjectId, oid};
use std::path::PathBuf;

/// Decoded delta bases kept by one thread.
const PACK_CACHE_BYTES: usize = 48 << 20;

/// All objects of a repository. One per thread.
pub struct Objects {
    main: gix::odb::Handle,
    /// Looked into first: what a push brings is there.
    more: Vec<gix::odb::Handle>,
    hash: gix::hash::Kind,
}

/// What a commit says.
#[derive(Debug)]
pub struct Commit {
    pub tree: ObjectId,
    pub parents: Vec<ObjectId>,
    pub seconds: i64,
    pub message: Vec<u8>,
    /// What people write besides the message: names, addresses, headers. No times, no signature.
    pub people: Vec<u8>,
}

impl Objects {
    pub fn open(repo: &gix::Repository, more: &[PathBuf]) -> Result<Self, GitError> {
        let mut main = repo.objects.clone().into_inner();
        main.set_pack_cache(|| {
            Box::new(gix::odb::pack::cache::lru::MemoryCappedHashmap::new(PACK_CACHE_BYTES))
        });
        let open = |folder: &PathBuf| {
            gix::odb::at(folder, repo.object_hash())
                .map_err(|error| GitError::new(format!("objects in {}", folder.display()), error))
        };
        let more = more.iter().map(open).collect::<Result<_, GitError>>()?;
        Ok(Self { main, more, hash: repo.object_hash() })
    }

    /// Folders that hold objects: the repository's, those that it borrows from, a push's.
    pub fn folders(&self) -> Result<Vec<PathBuf>, GitError> {
        let mut folders = Vec::new();
        for handle in std::iter::once(&self.main).chain(&self.more) {
            let store = handle.store_ref();
            folders.push(store.path().to_owned());
            folders.extend(store.alternate_db_paths().map_err(|error| GitError::new("alternates", error))?);
        }
        Ok(folders)
    }

    pub fn hash_kind(&self) -> gix::hash::Kind {
        self.hash
    }

    /// The same objects for another thread.
    pub fn for_thread(&self) -> Self {
        Self { main: self.main.clone(), more: self.more.clone(), hash: self.hash }
    }

    pub fn exists(&self, id: &oid) -> bool {
        use gix::objs::Exists;
        self.main.exists(id) || self.more.iter().any(|more| more.exists(id))
    }

    /// An object of any kind. An error if it is not there.
    pub fn read<'a>(&self, id: &oid, buffer: &'a mut Vec<u8>) -> Result<Data<'a>, GitError> {
        match self.try_find(id, buffer) {
            Ok(Some(data)) => Ok(data),
            Ok(None) => Err(GitError(format!("object {id} is missing"))),
            Err(error) => Err(GitError::new(format!("object {id}"), error)),
        }
    }

    pub fn commit(&self, id: &oid, buffer: &mut Vec<u8>) -> Result<Commit, GitError> {
        let data = self.read(id, buffer)?;
        if data.kind != Kind::Commit {
            return Err(GitError(format!("object {id} is no commit")));
        }
        let fail = |error: gix::Error| GitError::new(format!("commit {id}"), error);
        let mut iter = CommitRefIter::from_bytes(data.data, data.object_hash);
        let tree = iter.tree_id().map_err(fail)?;
        let parents = CommitRefIter::from_bytes(data.data, data.object_hash).parent_ids().collect();
        let seconds = CommitRefIter::from_bytes(data.data, data.object_hash)
            .committer()
            .ok()
            .and_then(|committer| committer.time().ok())
            .map_or(0, |time| time.seconds);
        let message = CommitRefIter::from_bytes(data.data, data.object_hash)
            .message()
            .map(|message| message.to_vec())
            .unwrap_or_default();
        Ok(Commit { tree, parents, seconds, message, people: people(data.data) })
    }

    /// The blob at a path of a tree.
    pub fn blob_at(
        &self,
        tree: &oid,
        path: &[u8],
        buffer: &mut Vec<u8>,
    ) -> Result<Option<ObjectId>, GitError> {
        let mut at = tree.to_owned();
        let mut parts = path.split(|byte| *byte == b'/').peekable();
        while let Some(part) = parts.next() {
            let data = self.read(&at, buffer)?;
            let Some(trees) = data.try_into_tree_iter() else { return Ok(None) };
            let mut next = None;
            for entry in trees {
                let entry = entry.map_err(|error| GitError::new(format!("tree {at}"), error))?;
                if &**entry.filename == part && entry.mode.is_tree() == parts.peek().is_some() {
                    next = Some(entry.oid.to_owned());
                    break;
                }
            }
            match next {
                Some(id) => at = id,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }
}

impl Find for Objects {
    fn try_find<'a>(&self, id: &oid, buffer: &'a mut Vec<u8>) -> gix::Result<Option<Data<'a>>> {
        for more in &self.more {
            use gix::objs::Exists;
            if more.exists(id) {
                return more.try_find(id, buffer);
            }
        }
        self.main.try_find(id, buffer)
    }
}

/// The header of a commit without ids, times and signatures.
fn people(commit: &[u8]) -> Vec<u8> {
    let end = memchr::memmem::find(commit, b"\n\n").unwrap_or(commit.len());
    let mut out = Vec::new();
    let mut skip = false;
    for line in commit.get(..end).unwrap_or_default().split(|byte| *byte == b'\n') {
        // A line that begins with a space goes on with the header before it.
        if !line.starts_with(b" ") {
            skip = [&b"tree "[..], b"parent ", b"gpgsig"].iter().any(|name| line.starts_with(name));
        }
        if skip {
            continue;
        }
        let dated = line.starts_with(b"author ") || line.starts_with(b"committer ");
        let close = memchr::memrchr(b'>', line).filter(|_| dated).map_or(line.len(), |at| at + 1);
        out.extend_from_slice(line.get(..close).unwrap_or(line));
        out.push(b'\n');
    }
    out
}

/// Runs the work on some threads, each with objects of its own; gives what each made.
///
/// # Errors
/// A thread ended early: the scan is then not complete.
pub fn on_threads<T: Send>(
    objects: &Objects,
    threads: usize,
    work: impl Fn(Objects) -> T + Sync,
) -> Result<Vec<T>, GitError> {
    if threads <= 1 {
        return Ok(vec![work(objects.for_thread())]);
    }
    std::thread::scope(|scope| {
        let work = &work;
        let handles: Vec<_> = (0..threads)
            .map(|_| {
                let own = objects.for_thread();
                std::thread::Builder::new().name("scan".to_owned()).spawn_scoped(scope, move || work(own))
            })
            .collect();
        let mut made = Vec::with_capacity(threads);
        for handle in handles {
            let handle = handle.map_err(|error| GitError::new("thread", error))?;
            made.push(handle.join().map_err(|_| GitError("a thread of the scan ended early".to_owned()))?);
        }
        Ok(made)
    })
}
