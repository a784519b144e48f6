//! Artifact bundles: what `sentry-cli sourcemaps upload` sends, a zip archive with a manifest.
//!
//! The archive is hostile until it was read: its names are keys of the manifest and never paths of ours, what it unpacks
//! to is counted while it is unpacked, and a wrong archive is an error with a reason that its sender can act on.

mod reference;

pub use reference::{MapReference, inline_map, map_url};

use crate::limits::to_usize;
use actifix_domain::debug_id::DebugId;
use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{Cursor, Read};
use zip::ZipArchive;

/// Files of one bundle. A large application has some hundreds of chunks, with two files each.
pub const BUNDLE_FILES_MAX: usize = 4_000;
/// One unpacked file, bytes: a map of 40 MiB belongs to a script of more than 10 MiB.
pub const BUNDLE_FILE_BYTES_MAX: u64 = 48 << 20;
/// All that is unpacked of one bundle, bytes.
pub const BUNDLE_UNPACKED_BYTES_MAX: u64 = 512 << 20;
/// The manifest, bytes: `sentry-cli` repeats in it each map that is part of its script.
const MANIFEST_BYTES_MAX: u64 = BUNDLE_FILE_BYTES_MAX;
/// Longest name or URL of a file, bytes.
pub const ARTIFACT_URL_BYTES_MAX: usize = 2_048;

const MANIFEST: &str = "manifest.json";
/// How a header of a file begins in the archive's directory.
const DIRECTORY_ENTRY: &[u8] = b"PK\x01\x02";

/// Why a bundle was not taken. Nothing of the bundle is repeated: it may hold secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// No archive.
    #[error("the bundle is not a zip archive, or a damaged one: upload it again")]
    Archive,
    /// Too many files.
    #[error(
        "the bundle has more than {BUNDLE_FILES_MAX} files: upload parts of the build one after the other"
    )]
    Files,
    /// Unpacks to too much.
    #[error("the bundle unpacks to more than {} MiB, or one file of it to more than {} MiB: upload parts of the build one after the other", BUNDLE_UNPACKED_BYTES_MAX >> 20, BUNDLE_FILE_BYTES_MAX >> 20)]
    Unpacked,
    /// No manifest that can be read.
    #[error("the bundle has no manifest.json that can be read: make it with `sentry-cli sourcemaps upload`")]
    Manifest,
    /// A name of a file that leads out of the bundle, or an absurd one.
    #[error("the manifest names a file outside of the bundle, or one with an absurd name")]
    Name,
    /// The manifest lists what is not there.
    #[error("the manifest lists a file that the bundle does not hold: upload it again")]
    Missing,
    /// A file with a method that is not read.
    #[error(
        "a file of the bundle is encrypted or packed in an unusual way: only deflate and stored files are read"
    )]
    Method,
}

/// What a file of a bundle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactKind {
    /// A script as it runs.
    Script,
    /// A source map.
    Map,
    /// Anything else: not used.
    Other,
}

/// One file as the manifest lists it.
#[derive(Clone, PartialEq, Eq)]
pub struct Artifact {
    name: String,
    /// What it is.
    pub kind: ArtifactKind,
    /// Where it is served, often with `~` for any host.
    pub url: String,
    /// Its debug id.
    pub debug_id: Option<DebugId>,
    /// Where its map is, as the manifest says.
    pub map_reference: Option<MapReference>,
}

impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artifact")
            .field("kind", &self.kind)
            .field("debug_id", &self.debug_id)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Manifest<'a> {
    #[serde(borrow, default)]
    files: BTreeMap<String, ManifestFile<'a>>,
    #[serde(default)]
    release: Option<String>,
    #[serde(default)]
    dist: Option<String>,
}

#[derive(Deserialize)]
struct ManifestFile<'a> {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(borrow, default)]
    headers: BTreeMap<String, HeaderValue<'a>>,
}

/// A header is a text, of which no copy is made: it may be a whole map. Another value counts as none.
#[derive(Deserialize)]
#[serde(untagged)]
enum HeaderValue<'a> {
    #[serde(borrow)]
    Text(Cow<'a, str>),
    Other(#[allow(dead_code, reason = "takes what is no text")] IgnoredAny),
}

/// An opened bundle.
pub struct Bundle<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    left_bytes: u64,
    /// Its files.
    pub files: Vec<Artifact>,
    /// Release that it was made for.
    pub release: Option<String>,
    /// Distribution of that release.
    pub dist: Option<String>,
}

impl fmt::Debug for Bundle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl<'a> Bundle<'a> {
    /// Opens a bundle, whose size the caller has bounded.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn open(bytes: &'a [u8]) -> Result<Self, BundleError> {
        // The directory is held in memory as a whole, so it is counted before it is read.
        if memmem::find_iter(bytes, DIRECTORY_ENTRY).take(BUNDLE_FILES_MAX + 2).count() > BUNDLE_FILES_MAX + 1
        {
            return Err(BundleError::Files);
        }
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| BundleError::Archive)?;
        let mut bundle = Self {
            archive,
            left_bytes: BUNDLE_UNPACKED_BYTES_MAX,
            files: Vec::new(),
            release: None,
            dist: None,
        };
        let manifest = bundle.unpack(MANIFEST, MANIFEST_BYTES_MAX).map_err(|error| match error {
            BundleError::Missing => BundleError::Manifest,
            other => other,
        })?;
        let manifest: Manifest<'_> = serde_json::from_slice(&manifest).map_err(|_| BundleError::Manifest)?;
        if manifest.files.len() > BUNDLE_FILES_MAX {
            return Err(BundleError::Files);
        }
        bundle.release = manifest.release.filter(|text| !text.is_empty());
        bundle.dist = manifest.dist.filter(|text| !text.is_empty());
        bundle.files = manifest.files.into_iter().map(artifact).collect::<Result<_, _>>()?;
        Ok(bundle)
    }

    /// Content of a file of the list.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn read(&mut self, file: &Artifact) -> Result<Vec<u8>, BundleError> {
        self.unpack(&file.name, BUNDLE_FILE_BYTES_MAX)
    }

    fn unpack(&mut self, name: &str, bytes_max: u64) -> Result<Vec<u8>, BundleError> {
        let most = bytes_max.min(self.left_bytes);
        let mut file = self.archive.by_name(name).map_err(|error| match error {
            zip::result::ZipError::FileNotFound => BundleError::Missing,
            zip::result::ZipError::UnsupportedArchive(_) => BundleError::Method,
            _ => BundleError::Archive,
        })?;
        let mut out = Vec::new();
        // What the archive says about its sizes is not believed. Its checksum is compared at the end of the file.
        let read = file.by_ref().take(most.saturating_add(1)).read_to_end(&mut out);
        if out.len() > to_usize(most) {
            return Err(BundleError::Unpacked);
        }
        read.map_err(|_| BundleError::Archive)?;
        self.left_bytes = self.left_bytes.saturating_sub(u64::try_from(out.len()).unwrap_or(u64::MAX));
        Ok(out)
    }
}

fn artifact((name, file): (String, ManifestFile<'_>)) -> Result<Artifact, BundleError> {
    let url = file.url.unwrap_or_default();
    let leads_out = name.starts_with(['/', '\\']) || name.split(['/', '\\']).any(|part| part == "..");
    if leads_out || absurd(&name) || absurd(&url) {
        return Err(BundleError::Name);
    }
    let header = |wanted: &[&str]| {
        file.headers.iter().find_map(|(name, value)| match value {
            HeaderValue::Text(text) if wanted.iter().any(|wanted| name.eq_ignore_ascii_case(wanted)) => {
                Some(text)
            }
            _ => None,
        })
    };
    let kind = match file.kind.as_deref() {
        Some("minified_source") => ArtifactKind::Script,
        Some("source_map") => ArtifactKind::Map,
        _ => ArtifactKind::Other,
    };
    let debug_id = header(&["debug-id"]).and_then(|text| text.parse().ok());
    let map_reference = header(&["sourcemap", "x-sourcemap"]).and_then(|text| MapReference::parse(text));
    Ok(Artifact { name, kind, url, debug_id, map_reference })
}

/// Whether a text is no name or URL of a file.
fn absurd(text: &str) -> bool {
    text.len() > ARTIFACT_URL_BYTES_MAX || text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests;
