//! The captured SDK requests of `testdata/sentry`, and every form in which they can be sent again.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde::Deserialize;

use crate::harness::KEY_42;
use crate::http::{Framing, Request};

/// Stands in a capture for an ingest key.
const PLACEHOLDER: &str = "actifix-ingest-key-placeholder";

/// `manifest.json`.
#[derive(Debug, Deserialize)]
pub struct Manifest {
    pub relations: Relations,
    pub captures: Vec<Capture>,
}

/// Which captures belong to one group, and which must not.
#[derive(Debug, Deserialize)]
pub struct Relations {
    pub same_group: Vec<Vec<String>>,
    pub different_group: Vec<Vec<String>>,
}

/// One captured request and what must come of it.
#[derive(Debug, Deserialize)]
pub struct Capture {
    pub file: String,
    pub content_encoding: String,
    pub expect: Expectation,
    #[serde(default)]
    pub must_not_persist: Vec<Forbidden>,
    #[serde(default)]
    pub pii: Vec<Personal>,
    #[serde(default)]
    pub must_keep: Vec<String>,
}

/// What the manifest promises.
#[derive(Debug, Deserialize)]
pub struct Expectation {
    pub status: u16,
    pub events: usize,
    #[serde(rename = "type")]
    pub error_type: Option<String>,
    pub level: Option<String>,
    pub handled: Option<bool>,
    pub culprit: Option<String>,
    pub logger: Option<String>,
    pub chain: Option<Vec<String>>,
    pub attachments: Option<usize>,
    pub checkins: Option<usize>,
    pub feedback: Option<usize>,
    pub logs: Option<usize>,
}

/// A value that may be nowhere.
#[derive(Debug, Deserialize)]
pub struct Forbidden {
    pub kind: String,
    pub tier: u8,
    pub value: String,
}

/// A personal value, masked by default.
#[derive(Debug, Deserialize)]
pub struct Personal {
    pub kind: String,
    pub value: String,
}

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Gzip,
    Zlib,
    RawDeflate,
    Brotli,
    Zstd,
}

impl Encoding {
    /// Value of `Content-Encoding`.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zlib | Self::RawDeflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    pub fn encode(self, bytes: &[u8]) -> Vec<u8> {
        let level = Compression::new(4);
        match self {
            Self::Identity => bytes.to_vec(),
            Self::Gzip => written(GzEncoder::new(Vec::new(), level), bytes, GzEncoder::finish),
            Self::Zlib => written(ZlibEncoder::new(Vec::new(), level), bytes, ZlibEncoder::finish),
            Self::RawDeflate => {
                written(DeflateEncoder::new(Vec::new(), level), bytes, DeflateEncoder::finish)
            }
            Self::Brotli => {
                let mut out = Vec::new();
                let mut writer = brotli::CompressorWriter::new(&mut out, 64 * 1024, 2, 22);
                writer.write_all(bytes).expect("memory takes all");
                drop(writer);
                out
            }
            Self::Zstd => zstd::encode_all(bytes, 3).expect("memory takes all"),
        }
    }
}

fn written<W: Write>(mut writer: W, bytes: &[u8], finish: impl Fn(W) -> std::io::Result<Vec<u8>>) -> Vec<u8> {
    writer.write_all(bytes).expect("memory takes all");
    finish(writer).expect("memory takes all")
}

impl Manifest {
    pub fn load() -> Self {
        let text = fs::read_to_string(folder().join("manifest.json")).expect("the manifest");
        serde_json::from_str(&text).expect("the manifest is JSON")
    }
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/sentry"))
}

/// A capture taken apart.
#[derive(Clone, Debug)]
pub struct Parts {
    pub method: String,
    pub target: String,
    /// Without those about length and encoding.
    pub headers: Vec<(String, String)>,
    /// Body as sent.
    pub body: Vec<u8>,
}

impl Parts {
    /// The request with another body.
    pub fn request(&self, body: Vec<u8>, encoding: Option<Encoding>, framing: Framing) -> Request {
        let mut request = Request::new(&self.method, &self.target);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(encoding) = encoding {
            request = request.header("Content-Encoding", encoding.header());
        }
        request.body(body).framing(framing)
    }
}

impl Capture {
    /// The request as a client sent it, but for the placeholder of its key.
    pub fn bytes(&self) -> Vec<u8> {
        let bytes = fs::read(folder().join(&self.file)).expect("a capture");
        let head_end = head_end(&bytes);
        let head = String::from_utf8(bytes[..head_end].to_vec()).expect("headers are text");
        let mut out = head.replace(PLACEHOLDER, KEY_42).into_bytes();
        out.extend_from_slice(&bytes[head_end..]);
        out
    }

    pub fn parts(&self) -> Parts {
        let bytes = self.bytes();
        let head_end = head_end(&bytes);
        let head = String::from_utf8(bytes[..head_end].to_vec()).expect("headers are text");
        let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
        let mut first = lines.next().expect("a request line").split(' ');
        let method = first.next().expect("a method").to_owned();
        let target = first.next().expect("a target").to_owned();
        let headers = lines
            .map(|line| line.split_once(':').expect("a header"))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .filter(|(name, _)| {
                !["content-length", "content-encoding", "transfer-encoding"]
                    .contains(&name.to_ascii_lowercase().as_str())
            })
            .collect();
        Parts { method, target, headers, body: bytes[head_end..].to_vec() }
    }

    /// The encoding that the client used.
    pub fn encoding(&self) -> Encoding {
        match self.content_encoding.as_str() {
            "identity" => Encoding::Identity,
            "gzip" => Encoding::Gzip,
            "zlib" => Encoding::Zlib,
            "rawdeflate" => Encoding::RawDeflate,
            "br" => Encoding::Brotli,
            "zstd" => Encoding::Zstd,
            other => panic!("{}: unknown encoding {other}", self.file),
        }
    }

    /// The body without its encoding.
    pub fn plain_body(&self) -> Vec<u8> {
        let body = self.parts().body;
        let mut plain = Vec::new();
        let read = match self.encoding() {
            Encoding::Identity => return body,
            Encoding::Gzip => std::io::copy(&mut GzDecoder::new(&body[..]), &mut plain),
            Encoding::Zlib => std::io::copy(&mut ZlibDecoder::new(&body[..]), &mut plain),
            Encoding::RawDeflate => std::io::copy(&mut DeflateDecoder::new(&body[..]), &mut plain),
            Encoding::Brotli => std::io::copy(&mut brotli::Decompressor::new(&body[..], 4096), &mut plain),
            Encoding::Zstd => return zstd::decode_all(&body[..]).expect("the capture decodes"),
        };
        read.expect("the capture decodes");
        plain
    }
}

fn head_end(bytes: &[u8]) -> usize {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("the end of the headers") + 4
}
