//! JSON Web Signatures (RFC 7515), compact form, read strictly: base64url without padding and with no spare bits, JSON
//! without duplicate members, no critical extension, and no algorithm but those that the caller names.
//!
//! The key comes from where the caller trusts it to come from. What a header says about keys (`jku`, `jwk`, `x5u`,
//! `x5c`) is never looked at; only its `kid` chooses among the caller's own.

mod key;
mod strict;

pub use key::{KeyError, PublicKey};
pub use strict::{StrictError, strict_object};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// Largest header, bytes of JSON.
const HEADER_BYTES_MAX: usize = 4 << 10;

/// How something is signed. Closed: neither `none` nor a shared secret is among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSA PKCS#1 v1.5 with SHA-256, keys of 2,048 to 8,192 bits.
    Rs256,
}

impl Algorithm {
    /// The value of `alg`, exact in case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }
}

/// Why a text is not a signature that we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Not three parts of base64url, or too large.
    #[error("not three parts of base64url, or too large")]
    Shape,
    /// The header is not strict JSON, or holds what changes the meaning of the rest.
    #[error("the header is not one that is accepted")]
    Header,
    /// Another algorithm than those that are accepted, or than the key is for.
    #[error("the algorithm is not one that is accepted")]
    Algorithm,
    /// The signature is not of this key over this text.
    #[error("the signature is not right")]
    Signature,
}

/// A text that has the form, with nothing of it believed yet.
pub struct Unverified<'a> {
    header: Map<String, Value>,
    algorithm: Algorithm,
    signed: &'a [u8],
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl std::fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unverified").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl<'a> Unverified<'a> {
    /// Reads the compact form of at most `bytes_max` bytes, signed by one of the `allowed` algorithms.
    ///
    /// # Errors
    /// Whatever has another form, algorithm or critical header.
    pub fn parse(text: &'a str, bytes_max: usize, allowed: &[Algorithm]) -> Result<Self, JwsError> {
        if text.len() > bytes_max {
            return Err(JwsError::Shape);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(JwsError::Shape)?;
        let (header, payload) = signed.split_once('.').ok_or(JwsError::Shape)?;
        // Five parts are an encrypted token (RFC 7516), which is none of ours.
        if payload.contains('.') || header.is_empty() || signature.is_empty() {
            return Err(JwsError::Shape);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JwsError::Shape);
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        if header.len() > HEADER_BYTES_MAX {
            return Err(JwsError::Shape);
        }
        let header = strict_object(&header).map_err(|_| JwsError::Header)?;
        // We know no extension (RFC 7515, 4.1.11), nor payloads that are not encoded (RFC 7797), nor encryption or
        // compression.
        if ["crit", "b64", "enc", "zip"].iter().any(|name| header.contains_key(*name)) {
            return Err(JwsError::Header);
        }
        let algorithm = header.get("alg").and_then(Value::as_str).ok_or(JwsError::Algorithm)?;
        let algorithm = allowed.iter().copied().find(|known| known.as_str() == algorithm);
        let algorithm = algorithm.ok_or(JwsError::Algorithm)?;
        Ok(Self { header, algorithm, signed: signed.as_bytes(), payload, signature })
    }

    /// All members of the header.
    pub const fn header(&self) -> &Map<String, Value> {
        &self.header
    }

    /// How it says that it is signed: one of those that were allowed.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Which key it says to be signed with.
    ///
    /// # Errors
    /// A `kid` that is no string.
    pub fn key_id(&self) -> Result<Option<&str>, JwsError> {
        match self.header.get("kid") {
            None => Ok(None),
            Some(Value::String(id)) => Ok(Some(id)),
            Some(_) => Err(JwsError::Header),
        }
    }

    /// The payload, if `key` signed it.
    ///
    /// # Errors
    /// A key for another algorithm; a signature that is not right.
    pub fn verify(self, key: &PublicKey) -> Result<Vec<u8>, JwsError> {
        if key.algorithm() != self.algorithm {
            return Err(JwsError::Algorithm);
        }
        if key.verifies(self.signed, &self.signature) { Ok(self.payload) } else { Err(JwsError::Signature) }
    }
}

#[cfg(test)]
mod tests;
