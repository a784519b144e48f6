//! Packs in the order of their deltas: each delta is inflated once, and of a blob that is a delta of a clean one only
//! what is new in it is scanned, with what stands around it.
//!
//! The usual way, object by object, decodes each chain of deltas again and again and scans each version of a file
//! whole. That is right as well, so whatever is unusual here is left to it.

use super::GitError;
use gix::ObjectId;
use gix::hash::Kind as HashKind;
use gix::hashtable::HashMap as IdMap;
use gix::odb::pack::data::{self, Entry, entry::Header};
use gix::odb::pack::index;
use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Objects in one pack.
const ENTRIES_MAX: usize = 200_000_000;
/// Larger blobs are left to the usual way.
const BLOB_BYTES_MAX: u64 = 1 << 30;
/// What is scanned before and after a change: longer than almost all secrets, so that one that the change completes is
/// seen whole.
const CONTEXT_BYTES: usize = 2 << 10;
/// Bytes read ahead while the headers of all entries are read in order.
const READ_AHEAD_BYTES: usize = 256 << 10;

/// No other entry.
const NONE: u32 = u32::MAX;

/// A pack, its deltas sorted below what they are deltas of.
pub struct Pack {
    file: File,
    hash: HashKind,
    nodes: Vec<Node>,
    /// Blobs that are no deltas, with wanted blobs among what is below them.
    pub roots: Vec<u32>,
    /// End of the last entry.
    end: u64,
}

/// An entry of a pack.
#[derive(Clone, Copy, Debug)]
struct Node {
    offset: u64,
    first_child: u32,
    next_sibling: u32,
    /// Number of the work for which this blob is wanted.
    work: u32,
}

/// A decoded blob.
pub struct Blob {
    pub bytes: Vec<u8>,
    /// What is new against the blob of which it is a delta; none if it is no delta.
    pub fresh: Option<Vec<Range<usize>>>,
}

/// What the visitor found in a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Text in which nothing could be a secret.
    Clean,
    /// Anything else, or nobody looked.
    Unknown,
}

/// A decoded blob and what is known of it, for all that are deltas of it.
type Base = Rc<(Vec<u8>, Verdict)>;

/// Index files of all packs in some object folders.
pub fn indices(folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = folders
        .iter()
        // A folder that is not there holds no packs; its objects, if any are wanted, are reported as missing later.
        .filter_map(|folder| std::fs::read_dir(folder.join("pack")).ok())
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "idx"))
        .collect();
    found.sort();
    found
}

impl Pack {
    /// Reads the structure of a pack. None if no wanted blob is in it.
    pub fn open(
        path: &Path,
        hash: HashKind,
        wanted: &IdMap<ObjectId, u32>,
    ) -> Result<Option<Self>, GitError> {
        let fail = |error: gix::Error| GitError::new(path.display(), error);
        let index = index::File::at(path, hash).map_err(fail)?;
        if index.num_objects() as usize > ENTRIES_MAX {
            return Err(GitError(format!("{}: more than {ENTRIES_MAX} objects", path.display())));
        }
        let mut nodes: Vec<Node> = index
            .iter()
            .map(|entry| Node {
                offset: entry.pack_offset,
                first_child: NONE,
                next_sibling: NONE,
                work: wanted.get(&entry.oid).copied().unwrap_or(NONE),
            })
            .collect();
        if nodes.iter().all(|node| node.work == NONE) {
            return Ok(None);
        }
        nodes.sort_by_key(|node| node.offset);
        let pack_path = path.with_extension("pack");
        let file = File::open(&pack_path).map_err(|error| GitError::new(pack_path.display(), error))?;
        let size = file.metadata().map_err(|error| GitError::new(pack_path.display(), error))?.len();
        let mut pack = Self {
            file,
            hash,
            nodes,
            roots: Vec::new(),
            end: size.saturating_sub(hash.len_in_bytes() as u64),
        };
        let parents = pack.parents(&index)?;
        pack.link(&parents);
        Ok(Some(pack))
    }

    /// What each entry is a delta of: its number, [`NONE`] for a blob that is no delta. None: another kind of object.
    fn parents(&self, index: &index::File) -> Result<Vec<Option<u32>>, GitError> {
        let fail = |error: std::io::Error| GitError::new("pack", error);
        let file = self.file.try_clone().map_err(fail)?;
        let mut reader = BufReader::with_capacity(READ_AHEAD_BYTES, file);
        let mut at = reader.seek(SeekFrom::Start(0)).map_err(fail)?;
        let mut parents = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let skip = i64::try_from(node.offset.saturating_sub(at)).unwrap_or(i64::MAX);
            reader.seek_relative(skip).map_err(fail)?;
            let entry = Entry::from_read(&mut reader, node.offset, self.hash.len_in_bytes()).map_err(fail)?;
            at = entry.data_offset;
            let base = match entry.header {
                Header::Blob => {
                    parents.push(Some(NONE));
                    continue;
                }
                Header::OfsDelta { base_distance } => {
                    Header::verified_base_pack_offset(node.offset, base_distance)
                }
                Header::RefDelta { base_id } => {
                    index.lookup(base_id).map(|number| index.pack_offset_at_index(number))
                }
                Header::Commit | Header::Tree | Header::Tag => None,
            };
            let number =
                base.and_then(|base| self.nodes.binary_search_by_key(&base, |node| node.offset).ok());
            parents.push(number.and_then(|number| u32::try_from(number).ok()));
        }
        Ok(parents)
    }

    /// Makes trees of the blobs that lead to wanted ones.
    fn link(&mut self, parents: &[Option<u32>]) {
        let mut linked = vec![false; self.nodes.len()];
        for number in 0..self.nodes.len() {
            if self.nodes.get(number).is_none_or(|node| node.work == NONE) {
                continue;
            }
            let mut at = number;
            // Each entry is linked once; a circle of deltas ends where it meets itself, and has no root.
            while let Some(flag) = linked.get_mut(at).filter(|flag| !**flag) {
                *flag = true;
                let Some(Some(parent)) = parents.get(at).copied() else { break };
                let Ok(child) = u32::try_from(at) else { break };
                if parent == NONE {
                    self.roots.push(child);
                    break;
                }
                let Some(first) = self.nodes.get_mut(parent as usize).map(|node| &mut node.first_child)
                else {
                    break;
                };
                let sibling = std::mem::replace(first, child);
                if let Some(node) = self.nodes.get_mut(at) {
                    node.next_sibling = sibling;
                }
                at = parent as usize;
            }
        }
    }

    /// Visits a root and all that is below it. `visit(work, blob, verdict on its base)` is called for wanted blobs.
    ///
    /// # Errors
    /// The pack is damaged, or something in it is unusual. What was not visited is left to the usual way.
    pub fn walk(
        &self,
        root: u32,
        scratch: &mut Scratch,
        mut visit: impl FnMut(u32, &Blob, Verdict) -> Verdict,
    ) -> Result<(), GitError> {
        let mut stack: Vec<(u32, Option<Base>)> = vec![(root, None)];
        while let Some((number, base)) = stack.pop() {
            let Some(node) = self.nodes.get(number as usize) else { continue };
            let blob =
                self.decode(number as usize, base.as_deref().map(|base| base.0.as_slice()), scratch)?;
            let before = base.map_or(Verdict::Unknown, |base| base.1);
            let verdict = if node.work == NONE { Verdict::Unknown } else { visit(node.work, &blob, before) };
            if node.first_child == NONE {
                continue;
            }
            let decoded = Rc::new((blob.bytes, verdict));
            let mut child = node.first_child;
            while let Some(next) = self.nodes.get(child as usize) {
                stack.push((child, Some(Rc::clone(&decoded))));
                child = next.next_sibling;
            }
        }
        Ok(())
    }

    fn decode(&self, number: usize, base: Option<&[u8]>, scratch: &mut Scratch) -> Result<Blob, GitError> {
        let damaged = || GitError("a pack is damaged".to_owned());
        let offset = self.nodes.get(number).map(|node| node.offset).ok_or_else(damaged)?;
        let end = self.nodes.get(number + 1).map_or(self.end, |next| next.offset);
        let length = usize::try_from(end.saturating_sub(offset)).map_err(|_| damaged())?;
        if length as u64 > BLOB_BYTES_MAX {
            return Err(GitError("a blob is larger than is usual".to_owned()));
        }
        scratch.raw.resize(length, 0);
        self.file.read_exact_at(&mut scratch.raw, offset).map_err(|error| GitError::new("pack", error))?;
        let entry = data::Entry::from_bytes(&scratch.raw, offset, self.hash)
            .map_err(|error| GitError::new("pack", error))?;
        if entry.decompressed_size > BLOB_BYTES_MAX {
            return Err(GitError("a blob is larger than is usual".to_owned()));
        }
        let header = usize::try_from(entry.data_offset - offset).map_err(|_| damaged())?;
        let packed = scratch.raw.get(header..).ok_or_else(damaged)?;
        let size = usize::try_from(entry.decompressed_size).map_err(|_| damaged())?;
        let mut plain = if base.is_some() { std::mem::take(&mut scratch.delta) } else { Vec::new() };
        plain.clear();
        plain.resize(size, 0);
        scratch.inflate.reset();
        let (_, _, written) =
            scratch.inflate.once(packed, &mut plain).map_err(|error| GitError::new("pack", error))?;
        if written != size {
            return Err(damaged());
        }
        match base {
            None => Ok(Blob { bytes: plain, fresh: None }),
            Some(base) => {
                let blob = apply(base, &plain).ok_or_else(damaged);
                scratch.delta = plain;
                blob
            }
        }
    }
}

/// Memory of one thread, used again for each entry.
#[derive(Default)]
pub struct Scratch {
    raw: Vec<u8>,
    delta: Vec<u8>,
    inflate: gix::zlib::Inflate,
}

/// Applies a delta and notes what does not stand in the base: inserted bytes, and seams between copies.
fn apply(base: &[u8], delta: &[u8]) -> Option<Blob> {
    let mut rest = delta;
    let base_size = varint(&mut rest)?;
    let size = usize::try_from(varint(&mut rest)?).ok()?;
    if base_size != base.len() as u64 || size as u64 > BLOB_BYTES_MAX {
        return None;
    }
    let mut bytes = Vec::with_capacity(size);
    let mut fresh: Vec<Range<usize>> = Vec::new();
    // Where the last copy ended in the base; a copy that goes on from there leaves no seam.
    let mut copied_to = Some(0);
    while let Some((command, tail)) = rest.split_first() {
        rest = tail;
        let start = bytes.len();
        if command & 0x80 != 0 {
            let from = part(&mut rest, *command, 4)?;
            let count = match part(&mut rest, command >> 4, 3)? {
                0 => 0x1_0000,
                count => count,
            };
            bytes.extend_from_slice(base.get(from..from.checked_add(count)?)?);
            if copied_to != Some(from) {
                fresh.push(start..start);
            }
            copied_to = Some(from + count);
        } else if *command != 0 {
            let (new, tail) = rest.split_at_checked(usize::from(*command))?;
            bytes.extend_from_slice(new);
            rest = tail;
            fresh.push(start..bytes.len());
            copied_to = None;
        } else {
            return None;
        }
        if bytes.len() > size {
            return None;
        }
    }
    if copied_to != Some(base.len()) {
        fresh.push(size..size);
    }
    (bytes.len() == size).then_some(Blob { bytes, fresh: Some(fresh) })
}

/// A little-endian number of which the command says which bytes are there.
fn part(rest: &mut &[u8], present: u8, count: usize) -> Option<usize> {
    let mut number = 0;
    for nth in 0..count {
        if present & (1 << nth) != 0 {
            let (byte, tail) = rest.split_first()?;
            *rest = tail;
            number |= usize::from(*byte) << (8 * nth);
        }
    }
    Some(number)
}

/// A number of seven bits a byte.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// The parts of a text to scan: what is new with its context, those that meet joined. None if that is all of it.
pub fn windows(length: usize, fresh: &[Range<usize>]) -> Option<Vec<Range<usize>>> {
    let mut windows: Vec<Range<usize>> = Vec::new();
    let mut total = 0;
    for range in fresh {
        let start = range.start.saturating_sub(CONTEXT_BYTES);
        let end = range.end.saturating_add(CONTEXT_BYTES).min(length);
        match windows.last_mut() {
            Some(last) if last.end >= start => {
                total += end.max(last.end) - last.end;
                last.end = end.max(last.end);
            }
            _ => {
                total += end - start;
                windows.push(start..end);
            }
        }
    }
    (total < length).then_some(windows)
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "lists of ranges, some of which hold one")]
mod tests {
    use super::*;

    #[test]
    fn a_delta_tells_what_is_new() {
        let base = b"one two three four";
        // Sizes 18 and 19; copy 0..4; insert "2 "; copy 8..18 (skips "two "), insert "!!!".
        let mut delta = vec![18, 19, 0b1001_0000, 4, 2];
        delta.extend_from_slice(b"2 ");
        delta.extend_from_slice(&[0b1001_0001, 8, 10, 3]);
        delta.extend_from_slice(b"!!!");
        let blob = apply(base, &delta).unwrap();
        assert_eq!(blob.bytes, b"one 2 three four!!!");
        assert_eq!(blob.fresh.unwrap(), [4..6, 6..6, 16..19, 19..19]);
    }

    #[test]
    fn a_cut_leaves_a_seam() {
        // Sizes 6 and 4; copy 0..2, copy 4..6.
        let blob = apply(b"abcdef", &[6, 4, 0b1001_0000, 2, 0b1001_0001, 4, 2]).unwrap();
        assert_eq!((blob.bytes.as_slice(), blob.fresh.unwrap()), (&b"abef"[..], vec![2..2]));
        let head = apply(b"abcdef", &[6, 2, 0b1001_0000, 2]).unwrap();
        assert_eq!(head.fresh.unwrap(), [2..2], "what followed is gone");
    }

    #[test]
    fn a_broken_delta_is_refused() {
        for delta in [
            &[][..],
            &[6],
            &[6, 4],
            &[5, 1, 1, b'x'],
            &[6, 1, 0],
            &[6, 9, 0b1001_0001, 4, 9],
            &[6, 1, 5, b'x'],
        ] {
            assert!(apply(b"abcdef", delta).is_none(), "{delta:?}");
        }
    }

    #[test]
    fn windows_meet_and_give_up_when_all_is_new() {
        assert_eq!(windows(100_000, &[50_000..50_010, 53_000..53_001]).unwrap(), [47_952..55_049]);
        assert_eq!(windows(2_000, &[10..20]), None);
    }
}
