//! Signing in by way of a provider: who is who, and what goes over the wire.

use crate::secrets::SecretText;
use actifix_domain::time::Timestamp;
use serde::Serialize;
use url::Url;

/// An account as a sign-in provider names its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdentityRecord {
    /// The provider.
    pub issuer: String,
    /// Who it is there: never given to another person.
    pub subject: String,
    /// Whose account it opens.
    #[serde(skip)]
    pub user_id: String,
    /// When it was linked.
    pub created_at: Timestamp,
}

/// A request to the provider: a GET, or a POST where there is a form.
pub struct ProviderRequest {
    /// Where to.
    pub url: Url,
    /// Body, `application/x-www-form-urlencoded`.
    pub form: Option<SecretText>,
    /// Value of `Authorization`.
    pub authorization: Option<SecretText>,
}

impl std::fmt::Debug for ProviderRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderRequest").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

/// What came back.
pub struct ProviderAnswer {
    /// HTTP status; a redirect is not followed.
    pub status: u16,
    /// Body, at most [`PROVIDER_BODY_BYTES_MAX`].
    pub body: Vec<u8>,
}

impl std::fmt::Debug for ProviderAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Largest answer of a provider that is read, bytes.
pub const PROVIDER_BODY_BYTES_MAX: usize = 256 << 10;

/// Why there is no answer: a word for the log, which names neither addresses nor secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider does not answer: {0}")]
pub struct ProviderFault(pub &'static str);
