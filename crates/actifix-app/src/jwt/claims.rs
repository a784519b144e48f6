//! Header and claims of our access tokens: one set of members, each required, each of one type.

use crate::jws::{JwsError, Unverified, strict_object};
use crate::ports::{AccessRecord, HolderId};
use actifix_domain::access::Scope;
use actifix_domain::id::ProjectId;
use actifix_domain::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// `typ` of our access tokens: no other token of ours, or of anybody, has it (RFC 8725, 3.11).
pub(super) const TYPE: &str = "actifix-access+jwt";
/// How far the clocks of two processes may differ, seconds. What ended has ended.
const LEEWAY_SECONDS: i64 = 30;
/// Longest life that any of ours is given, seconds.
const LIFE_SECONDS_MAX: i64 = super::ACCESS_MICROS / 1_000_000;

/// Why an access token is refused. The words are values of a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessRefused {
    /// Not three parts of base64url, or too large.
    Shape,
    /// A header that is not exactly ours.
    Header,
    /// Another algorithm than EdDSA.
    Algorithm,
    /// Signed with a key that is not in use.
    Key,
    /// A signature that is not right.
    Signature,
    /// Claims that are not exactly ours: missing, unknown, twice, of another type, for somebody else.
    Claims,
    /// Not yet or no longer.
    Time,
    /// Revoked: its row, or that of its holder, has ended or says something else.
    Ended,
}

impl AccessRefused {
    /// The word for metrics and audit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shape => "jwt_shape",
            Self::Header => "jwt_header",
            Self::Algorithm => "jwt_algorithm",
            Self::Key => "jwt_key",
            Self::Signature => "jwt_signature",
            Self::Claims => "jwt_claims",
            Self::Time => "jwt_time",
            Self::Ended => "jwt_ended",
        }
    }
}

impl From<JwsError> for AccessRefused {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::Shape => Self::Shape,
            JwsError::Header => Self::Header,
            JwsError::Algorithm => Self::Algorithm,
            JwsError::Signature => Self::Signature,
        }
    }
}

/// The `kid` of a header that has exactly our three members; none for any other header.
pub(super) fn key_of_header<'a>(unverified: &'a Unverified<'_>) -> Option<&'a str> {
    let header = unverified.header();
    let ours = header.len() == 3 && header.contains_key("alg") && header.get("typ")? == TYPE;
    if ours { unverified.key_id().ok().flatten() } else { None }
}

/// What an access token says. None of it is believed against the row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claims {
    /// This installation.
    pub iss: String,
    /// The API of this installation.
    pub aud: String,
    /// The holder: `token:` or `session:` and an id.
    pub sub: String,
    /// Id of the row.
    pub jti: String,
    /// Seconds since 1970, as are the next two.
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
    /// The holder's.
    pub epoch: u64,
    #[serde(deserialize_with = "unique")]
    pub scopes: BTreeSet<Scope>,
    #[serde(deserialize_with = "stated")]
    pub project: Option<ProjectId>,
}

/// A list in which nothing is there twice.
fn unique<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<Scope>, D::Error> {
    let list = Vec::<Scope>::deserialize(deserializer)?;
    let count = list.len();
    let set: BTreeSet<Scope> = list.into_iter().collect();
    if set.len() == count { Ok(set) } else { Err(serde::de::Error::custom("a scope twice")) }
}

/// A project or `null`, but said.
fn stated<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ProjectId>, D::Error> {
    Option::deserialize(deserializer)
}

/// The claim `sub` of a holder.
pub(super) fn subject(holder: &HolderId) -> String {
    match holder {
        HolderId::Token(id) => format!("token:{id}"),
        HolderId::Session(id) => format!("session:{id}"),
    }
}

/// The claim `aud` of an installation.
fn audience(installation: &str) -> String {
    format!("{installation}:api")
}

impl Claims {
    pub(super) fn of(record: &AccessRecord, installation: &str) -> Self {
        Self {
            iss: installation.to_owned(),
            aud: audience(installation),
            sub: subject(&record.holder),
            jti: record.id.clone(),
            iat: record.created_at.seconds(),
            nbf: record.created_at.seconds(),
            exp: record.expires_at.seconds(),
            epoch: record.epoch,
            scopes: record.scopes.clone(),
            project: record.project,
        }
    }

    /// Reads a payload whose signature is right.
    pub(super) fn read(payload: &[u8], installation: &str, now: Timestamp) -> Result<Self, AccessRefused> {
        let map = strict_object(payload).map_err(|_| AccessRefused::Claims)?;
        let claims: Self = serde_json::from_value(Value::Object(map)).map_err(|_| AccessRefused::Claims)?;
        if claims.iss != installation || claims.aud != audience(installation) {
            return Err(AccessRefused::Claims);
        }
        let (now, Self { iat, nbf, exp, .. }) = (now.seconds(), &claims);
        let life = exp.saturating_sub(*iat);
        if *iat < 0 || nbf != iat || !(0..=LIFE_SECONDS_MAX).contains(&life) {
            return Err(AccessRefused::Claims);
        }
        if now >= *exp || *nbf > now.saturating_add(LEEWAY_SECONDS) {
            return Err(AccessRefused::Time);
        }
        Ok(claims)
    }
}
