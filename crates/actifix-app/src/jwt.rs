//! Short-lived access tokens: JSON Web Tokens (RFC 7519, RFC 8725), signed with Ed25519 by keys of this installation.
//!
//! The token is an envelope, the row is the authority: each use looks at the row of the token and at that of its
//! holder, through a cache that every write of this process clears. An access token never does more than the API token
//! or session that it was got for does at that moment, and makes nothing that outlives it.

mod claims;
mod keys;

pub use claims::AccessRefused;
pub(crate) use keys::KeyRing;
use keys::SigningKey;

use crate::app::App;
use crate::error::{Error, Result};
use crate::jws::{Algorithm, Unverified};
use crate::ports::{AccessRecord, Holder, HolderId};
use crate::recall::Recalled;
use crate::sessions::IDLE_MICROS;
use actifix_domain::access::{Actor, Scope};
use actifix_domain::audit::Action;
use actifix_domain::id::ProjectId;
use actifix_domain::time::{MINUTE, SECOND, Timestamp};
use claims::{Claims, subject};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Life of an access token.
pub const ACCESS_MICROS: i64 = 15 * MINUTE;
/// Largest access token that is looked at, bytes. Ours have less than 1,000.
pub const ACCESS_BYTES_MAX: usize = 2 << 10;

/// The text of an access token. No `Debug` prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessText(String);

impl AccessText {
    /// Gives the text away. The only way to see it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccessText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessText(…)")
    }
}

/// What an access token shall be, of what its holder is.
#[derive(Clone, Debug, Default)]
pub struct NewAccess {
    /// Scopes; none takes all of the holder's.
    pub scopes: Option<BTreeSet<Scope>>,
    /// Bound to one project; none takes the holder's bond.
    pub project: Option<ProjectId>,
}

impl App {
    /// Gives an access token to a session or an API token, for 15 minutes at most and never wider than these.
    pub async fn issue_access(&self, actor: &Actor, new: NewAccess) -> Result<(AccessRecord, AccessText)> {
        self.require_open()?;
        let holder = match actor {
            Actor::Token { id, .. } => HolderId::Token(id.clone()),
            Actor::User { session, .. } => HolderId::Session(session.clone()),
            Actor::System | Actor::Access { .. } | Actor::IngestKey { .. } => {
                return Err(Error::Forbidden { needs: "an API token or a session" });
            }
        };
        let project = Self::bond(actor, new.project)?;
        if let Some(project) = project {
            self.store.project(project).await?.ok_or(Error::NotFound { what: "project" })?;
        }
        let scopes = match new.scopes {
            Some(scopes) => scopes,
            None => Scope::ALL.into_iter().filter(|scope| actor.may(*scope, project)).collect(),
        };
        if scopes.is_empty() {
            return Err(Error::invalid("scopes", "at least one scope"));
        }
        if let Some(scope) = scopes.iter().find(|scope| !actor.may(**scope, project)) {
            return Err(Error::Forbidden { needs: scope.as_str() });
        }
        let rows = self.store.holder(&holder).await?;
        let rows = rows.ok_or(Error::Forbidden { needs: "an API token or a session that has not ended" })?;
        let key = self.signing_key().await?;
        let issued = whole_second(self.now());
        let mut id = [0u8; 16];
        self.ids.random(&mut id);
        let record = AccessRecord {
            id: hex::encode(id),
            key_id: key.id().to_owned(),
            holder,
            scopes,
            project,
            epoch: epoch_of(&rows),
            created_at: issued,
            expires_at: issued.plus(ACCESS_MICROS).min(whole_second(end_of(&rows))),
        };
        let text = key
            .sign(&Claims::of(&record, &self.installation))
            .ok_or_else(|| Error::internal("signing failed"))?;
        let detail = json!({ "scopes": record.scopes, "project": project, "expires_at": record.expires_at });
        let audit = self.audit(actor, Action::TokenIssued, format!("access:{}", record.id), project, detail);
        self.store.add_access(&record, &audit).await?;
        Ok((record, AccessText(text)))
    }

    /// The actor behind an access token.
    ///
    /// # Errors
    /// Why it is refused, within; outside, why that cannot be told.
    pub async fn authenticate_access(&self, text: &str) -> Result<Result<Actor, AccessRefused>> {
        let claims = match open_envelope(text, &self.ring().await?, &self.installation, self.now()) {
            Ok(claims) => claims,
            Err(refused) => return Ok(Err(refused)),
        };
        let now = self.clock.monotonic_micros();
        let rows = match self.access_cache.get(&claims.jti, now) {
            Recalled::Known(rows) => rows,
            Recalled::Ask(read) => {
                let Some(rows) = self.store.access(&claims.jti).await? else {
                    return Ok(Err(AccessRefused::Ended));
                };
                self.access_cache.put(read, claims.jti.clone(), rows.clone());
                rows
            }
        };
        Ok(judge(&claims, &rows.0, &rows.1, self.now()).ok_or(AccessRefused::Ended))
    }

    /// Ends the access token that the actor came with; takes effect at once.
    pub async fn revoke_access(&self, actor: &Actor) -> Result<()> {
        let Actor::Access { id, .. } = actor else {
            return Err(Error::Forbidden { needs: "the access token that shall end" });
        };
        let audit = self.audit(actor, Action::TokenRevoked, format!("access:{id}"), None, json!({}));
        self.store.end_access(id, &audit).await?;
        self.access_cache.forget();
        Ok(())
    }

    /// Refuses access tokens: what lasts is not made with what does not.
    pub(crate) fn require_lasting(actor: &Actor) -> Result<()> {
        match actor {
            Actor::Access { .. } => Err(Error::Forbidden {
                needs: "an API token or a session: a short-lived token makes none that lasts",
            }),
            _ => Ok(()),
        }
    }

    /// The project that a new access token is bound to. Another one than the holder's own names nothing.
    fn bond(actor: &Actor, asked: Option<ProjectId>) -> Result<Option<ProjectId>> {
        match (actor.bound_project(), asked) {
            (Some(bound), Some(asked)) if bound != asked => Err(Error::NotFound { what: "project" }),
            (bound, asked) => Ok(bound.or(asked)),
        }
    }
}

/// What a token says, if one of our keys that verify now signed it and it is for us and for now. Nothing of the payload
/// is read before the signature is known to be right.
fn open_envelope(
    text: &str,
    keys: &[Arc<SigningKey>],
    installation: &str,
    now: Timestamp,
) -> Result<Claims, AccessRefused> {
    let unverified = Unverified::parse(text, ACCESS_BYTES_MAX, &[Algorithm::EdDsa])?;
    let id = claims::key_of_header(&unverified).ok_or(AccessRefused::Header)?;
    let key = keys.iter().find(|key| key.id() == id && key.verifies_at(now)).ok_or(AccessRefused::Key)?;
    let payload = unverified.verify(key.public())?;
    Claims::read(&payload, installation, now)
}

/// The actor of a token whose rows say that it is still good; none where they do not, or say something else than it.
fn judge(claims: &Claims, row: &AccessRecord, holder: &Holder, now: Timestamp) -> Option<Actor> {
    let as_claimed = claims.jti == row.id
        && claims.sub == subject(&row.holder)
        && claims.epoch == row.epoch
        && claims.scopes == row.scopes
        && claims.project == row.project
        && claims.exp == row.expires_at.seconds();
    if !as_claimed || now >= row.expires_at || epoch_of(holder) != row.epoch {
        return None;
    }
    let holder = match holder {
        Holder::Token(token) if token.revoked_at.is_none() && now < token.expires_at => {
            Actor::Token { id: token.id.clone(), scopes: token.scopes.clone(), project: token.project }
        }
        Holder::Session(session, user)
            if user.disabled_at.is_none()
                && now < session.expires_at
                && now.since(session.seen_at) < IDLE_MICROS =>
        {
            App::actor_of(session, user)
        }
        Holder::Token(_) | Holder::Session(..) => return None,
    };
    let (id, scopes, project) = (row.id.clone(), row.scopes.clone(), row.project);
    Some(Actor::Access { id, holder: Box::new(holder), scopes, project })
}

/// Another one than the token names: all that was issued is over. API tokens have none, since their row ends instead.
const fn epoch_of(holder: &Holder) -> u64 {
    match holder {
        Holder::Token(_) => 0,
        Holder::Session(_, user) => user.epoch,
    }
}

/// No access token outlives what it was got for.
const fn end_of(holder: &Holder) -> Timestamp {
    match holder {
        Holder::Token(token) => token.expires_at,
        Holder::Session(session, _) => session.expires_at,
    }
}

/// Claims count in seconds: the row says the same time as the token.
const fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.seconds() * SECOND)
}

#[cfg(test)]
mod tests;
