//! Documents that others must be able to trust: signed by a key that only this installation can derive, verified by
//! anybody who has its public half.

use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::Vault;
use actifix_domain::access::{Actor, Scope};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroize;

/// What a signature is made for, before what is signed: one for a report is none for anything else.
const CONTEXT: &[u8] = b"actifix-evidence/1\0";

/// A signature beside the document that it is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// `Ed25519`, over the text `actifix-evidence/1`, a NUL, and the document.
    pub algorithm: String,
    /// Public half of the installation's key, hex.
    pub public_key: String,
    /// Hex.
    pub signature: String,
}

/// The key; none where the library refused to make it.
pub(crate) struct EvidenceKey(Option<Ed25519KeyPair>);

impl fmt::Debug for EvidenceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EvidenceKey(…)")
    }
}

impl EvidenceKey {
    pub(crate) fn of(vault: &dyn Vault) -> Self {
        let mut seed = vault.derive("evidence-signature");
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).ok();
        seed.zeroize();
        Self(pair)
    }

    pub(crate) fn sign(&self, document: &[u8]) -> Result<Signature> {
        let refused = || Error::internal("evidence could not be signed");
        let pair = self.0.as_ref().ok_or_else(refused)?;
        let signature = pair.try_sign(&[CONTEXT, document].concat()).map_err(|_| refused())?;
        Ok(Signature {
            algorithm: "Ed25519".to_owned(),
            public_key: hex::encode(pair.public_key()),
            signature: hex::encode(signature),
        })
    }
}

/// Whether `signature` is over `document`, by whoever holds the key that it names.
pub fn is_signed(document: &[u8], signature: &Signature) -> bool {
    let (mut key, mut bytes) = ([0u8; 32], [0u8; 64]);
    signature.algorithm == "Ed25519"
        && hex::decode_to_slice(&signature.public_key, &mut key).is_ok()
        && hex::decode_to_slice(&signature.signature, &mut bytes).is_ok()
        && UnparsedPublicKey::new(&ED25519, key).verify(&[CONTEXT, document].concat(), &bytes).is_ok()
}

impl App {
    /// Public half of the key that signs reports and reviews, hex.
    pub fn evidence_key(&self, actor: &Actor) -> Result<String> {
        Self::require(actor, Scope::Admin, None)?;
        Ok(self.evidence.sign(b"")?.public_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u8);

    impl Vault for Fixed {
        fn derive(&self, _: &'static str) -> [u8; 32] {
            [self.0; 32]
        }

        fn seal(&self, _: &'static str, _: &[u8]) -> Result<Vec<u8>> {
            Err(Error::internal("not asked"))
        }

        fn open(&self, _: &'static str, _: &[u8]) -> Result<Vec<u8>> {
            Err(Error::internal("not asked"))
        }
    }

    #[test]
    fn a_signature_holds_for_its_document_and_its_key_alone() {
        let (key, other) = (EvidenceKey::of(&Fixed(1)), EvidenceKey::of(&Fixed(2)));
        let signature = key.sign(b"what happened").unwrap();
        assert!(is_signed(b"what happened", &signature));
        assert!(!is_signed(b"what happened.", &signature));
        let foreign = Signature { public_key: other.sign(b"").unwrap().public_key, ..signature.clone() };
        assert!(!is_signed(b"what happened", &foreign));
        assert!(!is_signed(
            b"what happened",
            &Signature { algorithm: "none".to_owned(), ..signature.clone() }
        ));
        for bad in ["", "0", "zz", &"00".repeat(64), &"0".repeat(1_000)] {
            assert!(!is_signed(
                b"what happened",
                &Signature { signature: bad.to_owned(), ..signature.clone() }
            ));
        }
        // Not one of a JWT: another context.
        assert_ne!(key.sign(b"a").unwrap().signature, key.sign(b"b").unwrap().signature);
    }
}
