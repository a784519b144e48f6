//! One sign-in between its start and its return.

use crate::error::Result;
use crate::login::same;
use crate::ports::{Ids, Vault};
use crate::secrets::SecretText;
use actifix_domain::time::{MINUTE, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A sign-in must come back within this time.
pub const SIGN_IN_MICROS: i64 = 10 * MINUTE;
/// Vault purpose of the cookie.
const PURPOSE: &str = "oidc-flow";
/// Longest cookie that is looked at, bytes.
const COOKIE_BYTES_MAX: usize = 2 << 10;
/// Longest path that somebody goes to after signing in, bytes.
const PATH_BYTES_MAX: usize = 200;

/// A path of this server, and nothing else: what no reader takes for another host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SafePath(String);

impl SafePath {
    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for SafePath {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl From<SafePath> for String {
    fn from(path: SafePath) -> Self {
        path.0
    }
}

impl TryFrom<String> for SafePath {
    type Error = &'static str;

    /// One slash, then letters, digits and `-._~/?=&`: no second slash at the start, no backslash, no percent sign that
    /// another reader could decode into one, no `..`, nothing that HTML or a header would read as more.
    fn try_from(text: String) -> std::result::Result<Self, &'static str> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/?=&".contains(&byte);
        let safe = text.len() <= PATH_BYTES_MAX
            && text.starts_with('/')
            && text.bytes().all(plain)
            && !text.contains("//")
            && !text.contains("..");
        if safe { Ok(Self(text)) } else { Err("not a plain path of this server") }
    }
}

/// What is remembered.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Flow {
    state: String,
    nonce: String,
    verifier: String,
    started_at: i64,
    next: SafePath,
}

impl Flow {
    pub(super) fn begin(ids: &dyn Ids, now: Timestamp, next: SafePath) -> Self {
        let text = || {
            let mut random = [0u8; 32];
            ids.random(&mut random);
            URL_SAFE_NO_PAD.encode(random)
        };
        Self { state: text(), nonce: text(), verifier: text(), started_at: now.micros(), next }
    }

    pub(super) fn seal(&self, vault: &dyn Vault) -> Result<SecretText> {
        let clear = zeroize::Zeroizing::new(serde_json::to_vec(self).map_err(crate::error::Error::internal)?);
        Ok(SecretText::new(URL_SAFE_NO_PAD.encode(vault.seal(PURPOSE, &clear)?)))
    }

    /// The sign-in of a cookie, if we sealed it and it is not too old.
    pub(super) fn open(vault: &dyn Vault, cookie: &str, now: Timestamp) -> Option<Self> {
        if cookie.len() > COOKIE_BYTES_MAX {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let clear = zeroize::Zeroizing::new(vault.open(PURPOSE, &sealed).ok()?);
        let flow: Self = serde_json::from_slice(&clear).ok()?;
        let age = now.since(Timestamp::from_micros(flow.started_at));
        (-MINUTE..SIGN_IN_MICROS).contains(&age).then_some(flow)
    }

    pub(super) fn is_of(&self, state: Option<&str>) -> bool {
        state.is_some_and(|state| same(state.as_bytes(), self.state.as_bytes()))
    }

    pub(super) fn state(&self) -> &str {
        &self.state
    }

    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    pub(super) fn verifier(&self) -> &str {
        &self.verifier
    }

    /// `code_challenge`, method S256.
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()))
    }

    /// Names it among those that came back.
    pub(super) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.state.as_bytes()).into()
    }

    pub(super) fn expires_at(&self) -> Timestamp {
        Timestamp::from_micros(self.started_at).plus(SIGN_IN_MICROS)
    }

    pub(super) fn into_next(self) -> SafePath {
        self.next
    }
}
