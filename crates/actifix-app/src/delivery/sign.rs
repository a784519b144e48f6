//! Standard Webhooks: what is signed, and how a signature is proven. Symmetric keys are `whsec_` and base64 of 24 to 64
//! bytes (HMAC-SHA256, `v1`), asymmetric ones `whsk_` and `whpk_` (Ed25519, `v1a`).

use super::ChannelConfig;
use actifix_domain::alert::Failure;
use actifix_domain::time::Timestamp;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// Seconds that the clocks of sender and receiver may differ.
pub const TOLERANCE_SECONDS: i64 = 300;
/// Signatures of one request that are looked at.
const SIGNATURES_MAX: usize = 10;
/// Bytes of a key that we make.
const KEY_BYTES: usize = 32;
/// Bytes that a key may have.
const KEY_BYTES_ALLOWED: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that signs, until it ends.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningSecret {
    /// `whsec_…`
    pub text: String,
    /// When it stops signing, after it was replaced.
    #[serde(default)]
    pub ends_at: Option<Timestamp>,
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningSecret").field("ends_at", &self.ends_at).finish_non_exhaustive()
    }
}

/// What a signature is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Made with the secret, just now.
    Good,
    /// Not made with the secret, or none.
    Bad,
    /// Made too long ago, or in the future.
    Old,
}

/// A new secret from random bytes.
pub fn new_secret(mut random: [u8; KEY_BYTES]) -> String {
    let text = format!("whsec_{}", STANDARD.encode(random));
    random.zeroize();
    text
}

/// The seed of a new Ed25519 key from random bytes.
pub fn new_seed(mut random: [u8; KEY_BYTES]) -> String {
    let text = format!("whsk_{}", STANDARD.encode(random));
    random.zeroize();
    text
}

/// The public half, which receivers get.
pub fn public_key(seed: &str) -> Option<String> {
    Some(format!("whpk_{}", STANDARD.encode(pair(seed)?.public_key().as_ref())))
}

fn pair(seed: &str) -> Option<Ed25519KeyPair> {
    let bytes = Zeroizing::new(STANDARD.decode(seed.strip_prefix("whsk_")?).ok()?);
    Ed25519KeyPair::from_seed_unchecked(&bytes).ok()
}

/// Bytes of a symmetric secret.
fn key(secret: &str) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = Zeroizing::new(STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).ok()?);
    KEY_BYTES_ALLOWED.contains(&bytes.len()).then_some(bytes)
}

/// Whether a text can be a symmetric secret.
pub fn is_secret(text: &str) -> bool {
    key(text).is_some()
}

fn signed(id: &str, timestamp: i64, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.to_string().as_bytes(), b".", body].concat()
}

/// The list of signatures for the header: one of each secret that has not ended, and one of each key.
pub(super) fn signatures(
    channel: &ChannelConfig,
    id: &str,
    now: Timestamp,
    body: &[u8],
) -> Result<String, Failure> {
    let text = signed(id, now.seconds(), body);
    let mut list = Vec::new();
    let lives = |secret: &&SigningSecret| secret.ends_at.is_none_or(|end| now < end);
    for secret in channel.secrets.iter().filter(lives) {
        let bytes = key(&secret.text).ok_or(Failure::Unusable)?;
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), &text);
        list.push(format!("v1,{}", STANDARD.encode(tag.as_ref())));
    }
    let former = channel.former_seeds.iter().filter(lives).map(|former| &former.text);
    for seed in channel.seed.iter().chain(former) {
        let pair = pair(seed).ok_or(Failure::Unusable)?;
        list.push(format!("v1a,{}", STANDARD.encode(pair.sign(&text).as_ref())));
    }
    if list.is_empty() { Err(Failure::Unusable) } else { Ok(list.join(" ")) }
}

/// Whether a request was signed with the secret within `TOLERANCE_SECONDS`. Every signature of the list is compared in
/// constant time.
pub fn verify(secret: &str, id: &str, timestamp: &str, list: &str, body: &[u8], now: Timestamp) -> Verdict {
    let Some(bytes) = key(secret) else { return Verdict::Bad };
    let digits =
        !timestamp.is_empty() && timestamp.len() <= 12 && timestamp.bytes().all(|b| b.is_ascii_digit());
    let Some(seconds) = timestamp.parse::<i64>().ok().filter(|_| digits) else { return Verdict::Bad };
    if id.is_empty() || id.contains('.') {
        return Verdict::Bad;
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
    let expected = hmac::sign(&key, &signed(id, seconds, body));
    let mut good = false;
    for signature in list.split(' ').take(SIGNATURES_MAX) {
        let Some(text) = signature.strip_prefix("v1,") else { continue };
        let Ok(given) = STANDARD.decode(text) else { continue };
        good |= constant_time::verify_slices_are_equal(expected.as_ref(), &given).is_ok();
    }
    if !good {
        Verdict::Bad
    } else if (now.seconds() - seconds).abs() > TOLERANCE_SECONDS {
        Verdict::Old
    } else {
        Verdict::Good
    }
}

/// Whether `signature` (`sha256=` and hex) is GitHub's of this body.
pub fn verify_github(secret: &str, signature: &str, body: &[u8]) -> bool {
    let mut given = [0u8; 32];
    let Some(Ok(())) = signature.strip_prefix("sha256=").map(|text| hex::decode_to_slice(text, &mut given))
    else {
        return false;
    };
    let expected = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body);
    !secret.is_empty() && constant_time::verify_slices_are_equal(expected.as_ref(), &given).is_ok()
}
