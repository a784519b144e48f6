//! The keys that sign access tokens: made on first use, replaced by hand or by age, the former one good until what it
//! signed has ended.

use super::claims::{Claims, TYPE};
use crate::app::App;
use crate::error::{Error, Result};
use crate::jws::{Algorithm, PublicKey};
use crate::ports::{SigningKeyRecord, Vault};
use crate::recall::{Recall, Recalled};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::audit::Action;
use actifix_domain::time::{DAY, MINUTE, Timestamp};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Vault purpose of private keys.
const PURPOSE: &str = "signing-key";
/// A former key verifies for as long as what it signed last, and a little for clocks that differ.
const OVERLAP_MICROS: i64 = super::ACCESS_MICROS + MINUTE;
/// Keys are replaced when they are so old.
const AGE_MICROS_MAX: i64 = 30 * DAY;

/// A key of which the private half is open.
pub(crate) struct SigningKey {
    record: SigningKeyRecord,
    public: PublicKey,
    pair: Ed25519KeyPair,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("record", &self.record).finish_non_exhaustive()
    }
}

impl SigningKey {
    pub(super) fn id(&self) -> &str {
        &self.record.id
    }

    pub(super) const fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn verifies_at(&self, now: Timestamp) -> bool {
        self.record.retires_at.is_none_or(|retires_at| now < retires_at)
    }

    /// An access token with these claims; none where the library fails.
    pub(super) fn sign(&self, claims: &Claims) -> Option<String> {
        let header = json!({ "alg": Algorithm::EdDsa.as_str(), "kid": self.record.id, "typ": TYPE });
        self.sign_parts(header.to_string().as_bytes(), &serde_json::to_vec(claims).ok()?)
    }

    pub(super) fn sign_parts(&self, header: &[u8], payload: &[u8]) -> Option<String> {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.pair.try_sign(signed.as_bytes()).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    pub(super) fn make(
        id: String,
        seed: &Zeroizing<[u8; 32]>,
        vault: &dyn Vault,
        now: Timestamp,
    ) -> Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice())
            .map_err(|_| Error::internal("a signing key could not be made"))?;
        let public: [u8; 32] = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| Error::internal("a signing key has a wrong length"))?;
        // The id is sealed with the key, so that rows cannot be exchanged for one another.
        let clear = Zeroizing::new([id.as_bytes(), &[0], seed.as_slice()].concat());
        let sealed = vault.seal(PURPOSE, &clear)?;
        let record = SigningKeyRecord { id, public, sealed, created_at: now, retires_at: None };
        let public = PublicKey::ed25519(public).map_err(Error::internal)?;
        Ok(Self { record, public, pair })
    }

    #[cfg(test)]
    pub(super) fn row(&self) -> SigningKeyRecord {
        self.record.clone()
    }

    pub(super) fn open(record: SigningKeyRecord, vault: &dyn Vault) -> Result<Self> {
        let clear = Zeroizing::new(vault.open(PURPOSE, &record.sealed)?);
        let wrong = || Error::conflict("what is sealed is not this key");
        let (id, seed) = clear.split_at_checked(record.id.len()).ok_or_else(wrong)?;
        let seed = seed.strip_prefix(&[0]).filter(|_| id == record.id.as_bytes()).ok_or_else(wrong)?;
        // Fails where the public half of the row is not that of the sealed private one.
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, &record.public).map_err(|_| wrong())?;
        let public = PublicKey::ed25519(record.public).map_err(|_| wrong())?;
        Ok(Self { record, public, pair })
    }
}

/// Keys as they were read last, the one that signs first.
pub(crate) type KeyRing = Recall<(), Vec<Arc<SigningKey>>>;

impl App {
    /// Keys in use, the one that signs first.
    pub async fn signing_keys(&self, actor: &Actor) -> Result<Vec<SigningKeyRecord>> {
        Self::require(actor, Scope::Admin, None)?;
        self.store.signing_keys(self.now()).await
    }

    /// Takes a new key into use. The former one verifies until what it signed has ended; with `at_once` it does not, and
    /// no access token that was given out before is good any more.
    pub async fn rotate_signing_key(&self, actor: &Actor, at_once: bool) -> Result<SigningKeyRecord> {
        Self::require(actor, Scope::Admin, None)?;
        let former =
            self.store.signing_keys(self.now()).await?.into_iter().find(|key| key.retires_at.is_none());
        self.replace_signing_key(actor, former.as_ref(), at_once).await
    }

    /// Replaces the key that signs when it is old. Called now and then.
    pub async fn tend_signing_keys(&self) -> Result<()> {
        let keys = self.store.signing_keys(self.now()).await?;
        let Some(signs) = keys.iter().find(|key| key.retires_at.is_none()) else { return Ok(()) };
        if self.now().since(signs.created_at) < AGE_MICROS_MAX {
            return Ok(());
        }
        self.replace_signing_key(&Actor::System, Some(signs), false).await.map(|_| ())
    }

    async fn replace_signing_key(
        &self,
        actor: &Actor,
        former: Option<&SigningKeyRecord>,
        at_once: bool,
    ) -> Result<SigningKeyRecord> {
        let (mut id, mut seed) = ([0u8; 8], Zeroizing::new([0u8; 32]));
        self.ids.random(&mut id);
        self.ids.random(seed.as_mut_slice());
        let now = self.now();
        let key = SigningKey::make(hex::encode(id), &seed, self.vault.as_ref(), now)?;
        let retires_at = if at_once { now } else { now.plus(OVERLAP_MICROS) };
        let former = former.map(|key| key.id.as_str());
        let detail = json!({ "former": former, "at_once": at_once });
        let target = format!("signing-key:{}", key.record.id);
        let audit = self.audit(actor, Action::SigningKeyRotated, target, None, detail);
        self.store.replace_signing_key(former, retires_at, &key.record, &audit).await?;
        self.key_ring.forget();
        tracing::info!(key = key.record.id, at_once, "signing_key.rotated");
        Ok(key.record)
    }

    /// The key that signs; made where there is none yet.
    pub(super) async fn signing_key(&self) -> Result<Arc<SigningKey>> {
        let signs = |keys: Vec<Arc<SigningKey>>| keys.into_iter().find(|key| key.record.retires_at.is_none());
        if let Some(key) = signs(self.ring().await?) {
            return Ok(key);
        }
        match self.replace_signing_key(&Actor::System, None, false).await {
            // Another request made one meanwhile, which is as good; or there is one that cannot be opened.
            Ok(_) | Err(Error::Conflict { .. }) => self.key_ring.forget(),
            Err(error) => return Err(error),
        }
        signs(self.ring().await?).ok_or_else(|| {
            Error::conflict("the signing key is damaged: run `actifix token keys rotate --now`")
        })
    }

    /// Whatever `kid` is asked for, keys are read once in a second at most. One that cannot be opened signs and verifies
    /// nothing.
    pub(super) async fn ring(&self) -> Result<Vec<Arc<SigningKey>>> {
        let monotonic = self.clock.monotonic_micros();
        let read = match self.key_ring.get(&(), monotonic) {
            Recalled::Known(keys) => return Ok(keys),
            Recalled::Ask(read) => read,
        };
        let mut keys = Vec::new();
        for row in self.store.signing_keys(self.now()).await? {
            let id = row.id.clone();
            match SigningKey::open(row, self.vault.as_ref()) {
                Ok(key) => keys.push(Arc::new(key)),
                Err(error) => tracing::error!(key = id, error = %error, "signing_key.damaged"),
            }
        }
        self.key_ring.put(read, (), keys.clone());
        Ok(keys)
    }
}
