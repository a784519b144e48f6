//! What a provider says about a person: a signed token, of which every member that decides something is checked.

use crate::jws::{Algorithm, PublicKey, Unverified, strict_object};
use actifix_domain::time::Timestamp;
use serde_json::{Map, Value};

/// Largest id token, bytes.
const ID_TOKEN_BYTES_MAX: usize = 32 << 10;
/// How far the provider's clock and ours may differ, seconds.
const LEEWAY_SECONDS: i64 = 60;
/// Oldest token that is taken, seconds: it was made for this sign-in, a moment ago.
const AGE_SECONDS_MAX: i64 = 600;
/// Longest subject, bytes (OpenID Connect Core, 2).
const SUBJECT_BYTES_MAX: usize = 255;
/// Groups of a person that are looked at.
const GROUPS_MAX: usize = 1_000;
/// Algorithms that providers sign with. None of them is `none` or a shared secret.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

/// A person, as the provider says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub subject: String,
    /// The address, if the provider verified it.
    pub verified_email: Option<String>,
    pub preferred_name: Option<String>,
    claims: Map<String, Value>,
}

/// Why an id token is refused: a word for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum IdTokenError {
    #[error("not a signed token of a known form and algorithm")]
    Form,
    #[error("signed by no key of the provider")]
    Key,
    #[error("the signature is not right")]
    Signature,
    #[error("of another issuer")]
    Issuer,
    #[error("for another client")]
    Audience,
    #[error("of another sign-in")]
    Nonce,
    #[error("over, or not of this time")]
    Time,
    #[error("names nobody")]
    Subject,
}

/// A token that has the form, and the key that it says to be signed with.
pub(super) fn parse(text: &str) -> Result<Unverified<'_>, IdTokenError> {
    let unverified =
        Unverified::parse(text, ID_TOKEN_BYTES_MAX, &ALGORITHMS).map_err(|_| IdTokenError::Form)?;
    // A token of another kind (a log-out, an access token) is not an identity; many providers say nothing.
    match unverified.header().get("typ") {
        None => Ok(unverified),
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case("jwt") => Ok(unverified),
        Some(_) => Err(IdTokenError::Form),
    }
}

/// The keys of a provider, with their ids.
pub(super) type Keys = Vec<(Option<String>, PublicKey)>;

/// The one key that a token was signed with; none where that is not certain.
pub(super) fn key_for<'k>(keys: &'k Keys, unverified: &Unverified<'_>) -> Option<&'k PublicKey> {
    let named = unverified.key_id().ok()?;
    let mut fitting = keys.iter().filter(|(id, key)| {
        key.algorithm() == unverified.algorithm() && (named.is_none() || id.as_deref() == named)
    });
    let (_, key) = fitting.next()?;
    fitting.next().is_none().then_some(key)
}

/// Checks the claims of a payload whose signature is right (OpenID Connect Core, 3.1.3.7).
pub(super) fn read(
    payload: &[u8],
    issuer: &str,
    client_id: &str,
    nonce: &str,
    now: Timestamp,
) -> Result<Person, IdTokenError> {
    let claims = strict_object(payload).map_err(|_| IdTokenError::Form)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(issuer) {
        return Err(IdTokenError::Issuer);
    }
    // Alone: a token that is also for somebody else could have been given to us by them.
    let alone = match claims.get("aud") {
        Some(Value::String(audience)) => audience == client_id,
        Some(Value::Array(list)) => matches!(list.as_slice(), [one] if one == client_id),
        _ => false,
    };
    let for_us = claims.get("azp").is_none_or(|party| party == client_id);
    if !alone || !for_us {
        return Err(IdTokenError::Audience);
    }
    if text("nonce") != Some(nonce) {
        return Err(IdTokenError::Nonce);
    }
    let time = |name: &str| claims.get(name).and_then(Value::as_i64);
    let (Some(expires), Some(issued)) = (time("exp"), time("iat")) else { return Err(IdTokenError::Time) };
    let now = now.seconds();
    let of_now = now < expires.saturating_add(LEEWAY_SECONDS)
        && issued <= now.saturating_add(LEEWAY_SECONDS)
        && now.saturating_sub(issued) <= AGE_SECONDS_MAX;
    let begun = match claims.get("nbf") {
        None => true,
        Some(value) => value.as_i64().is_some_and(|from| from <= now.saturating_add(LEEWAY_SECONDS)),
    };
    if !of_now || !begun {
        return Err(IdTokenError::Time);
    }
    let subject = text("sub").filter(|subject| {
        (1..=SUBJECT_BYTES_MAX).contains(&subject.len())
            && subject.bytes().all(|byte| (0x20..0x7f).contains(&byte))
    });
    let subject = subject.ok_or(IdTokenError::Subject)?.to_owned();
    let verified = claims.get("email_verified") == Some(&Value::Bool(true));
    let verified_email = text("email").filter(|_| verified).map(str::to_owned);
    let preferred_name = text("preferred_username").map(str::to_owned);
    Ok(Person { subject, verified_email, preferred_name, claims })
}

impl Person {
    /// The groups that a claim lists.
    pub(super) fn groups(&self, claim: &str) -> Vec<&str> {
        match self.claims.get(claim) {
            Some(Value::String(group)) => vec![group],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).take(GROUPS_MAX).collect(),
            _ => Vec::new(),
        }
    }
}
