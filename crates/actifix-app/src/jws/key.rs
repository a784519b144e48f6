//! Public keys, each for one algorithm.

use super::Algorithm;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// Modulus of RSA, bytes: 2,048 to 8,192 bits. Smaller ones are weak, larger ones cost too much.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1_024;
/// Public exponents of more bytes are of no known key and cost too much.
const RSA_EXPONENT_BYTES_MAX: usize = 8;

/// Encodings of points of Ed25519 with a small order, without the sign (the top bit): under these a signature over
/// anything can be made by anybody. The canonical ones, then those beyond the field's prime.
const SMALL_ORDER: [[u8; 32]; 7] = [
    point(&[0], 0),
    point(&[1], 0),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    point(&[0xec], 0xff),
    point(&[0xed], 0xff),
    point(&[0xee], 0xff),
];

/// `first`, then `rest` up to a top byte without its sign.
const fn point(first: &[u8; 1], rest: u8) -> [u8; 32] {
    let mut bytes = [rest; 32];
    bytes[0] = first[0];
    bytes[31] = rest & 0x7f;
    bytes
}

/// A key that signatures are verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// A point of Ed25519, not of small order.
    Ed25519([u8; 32]),
    /// A point of P-256, not compressed.
    P256(Box<[u8; 65]>),
    /// Modulus and exponent, big-endian.
    Rsa {
        /// Modulus.
        n: Vec<u8>,
        /// Public exponent.
        e: Vec<u8>,
    },
}

/// Why a key is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Of a kind, curve, algorithm or use that is not ours.
    #[error("of another kind, curve, algorithm or use")]
    Kind,
    /// Its numbers are missing, malformed, or too small or large.
    #[error("its numbers are missing, malformed or weak")]
    Numbers,
}

impl PublicKey {
    /// An Ed25519 key from its 32 bytes.
    ///
    /// # Errors
    /// A point of small order: anybody can sign for it.
    pub fn ed25519(bytes: [u8; 32]) -> Result<Self, KeyError> {
        let mut unsigned = bytes;
        unsigned[31] &= 0x7f;
        if SMALL_ORDER.contains(&unsigned) { Err(KeyError::Numbers) } else { Ok(Self::Ed25519(bytes)) }
    }

    /// A key from its JSON form (RFC 7517), if it is one for signatures and for one of our algorithms.
    ///
    /// # Errors
    /// Whatever is not.
    pub fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let bytes = |name: &str| {
            let text = text(name).ok_or(KeyError::Numbers)?;
            URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Numbers)
        };
        let is_for_signatures = match (jwk.get("use"), jwk.get("key_ops")) {
            (Some(purpose), _) if purpose != "sig" => false,
            (_, Some(Value::Array(acts))) => acts.iter().any(|act| act == "verify"),
            (_, Some(_)) => false,
            (_, None) => true,
        };
        let key = match (text("kty"), text("crv")) {
            _ if !is_for_signatures => return Err(KeyError::Kind),
            (Some("OKP"), Some("Ed25519")) => {
                Self::ed25519(bytes("x")?.try_into().map_err(|_| KeyError::Numbers)?)?
            }
            (Some("EC"), Some("P-256")) => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                if x.len() != 32 {
                    return Err(KeyError::Numbers);
                }
                Self::P256(Box::new(point.try_into().map_err(|_| KeyError::Numbers)?))
            }
            (Some("RSA"), _) => rsa(bytes("n")?, bytes("e")?)?,
            _ => return Err(KeyError::Kind),
        };
        match jwk.get("alg") {
            Some(named) if named != key.algorithm().as_str() => Err(KeyError::Kind),
            _ => Ok(key),
        }
    }

    /// The one algorithm that it is for.
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::EdDsa,
            Self::P256(_) => Algorithm::Es256,
            Self::Rsa { .. } => Algorithm::Rs256,
        }
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(point) => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature).is_ok()
            }
            Self::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point.as_slice())
                .verify(message, signature)
                .is_ok(),
            Self::Rsa { n, e } => RsaPublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
        }
    }
}

fn rsa(n: Vec<u8>, e: Vec<u8>) -> Result<PublicKey, KeyError> {
    // Leading zeros are another spelling of the same number (RFC 7518, 6.3.1.1).
    let spelt = |number: &[u8]| number.first().is_some_and(|first| *first != 0);
    let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    let is_one = e == [1];
    if !spelt(&n) || !spelt(&e) || !odd(&n) || !odd(&e) || is_one {
        return Err(KeyError::Numbers);
    }
    if !RSA_BYTES.contains(&n.len()) || e.len() > RSA_EXPONENT_BYTES_MAX {
        return Err(KeyError::Numbers);
    }
    Ok(PublicKey::Rsa { n, e })
}
