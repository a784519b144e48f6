//! API tokens: made, looked up, revoked. The text of a token is shown once and kept only as a hash.

use crate::app::App;
use crate::doctor::TokenFact;
use crate::error::{Error, Result};
use crate::ports::{TOKEN_USE_MICROS, TokenRecord};
use crate::recall::{Recall, Recalled};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::audit::Action;
use actifix_domain::id::ProjectId;
use actifix_domain::project::ProjectSettings;
use actifix_domain::time::{DAY, HOUR, Timestamp};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Mutex;

/// How the text of every API token begins, so that scanners find it.
pub const API_TOKEN_PREFIX: &str = "afx_";
/// Longest life of a token, days.
pub const TOKEN_DAYS_MAX: u32 = 90;
/// People are warned when a token has so many days left, or fewer.
pub const WARNED_DAYS: [u32; 3] = [14, 7, 1];
/// Longest time that a rotated token stays good, hours.
pub const OVERLAP_HOURS_MAX: u32 = 7 * 24;

/// The text of a token. Shown once by whoever made it; no `Debug` prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText(String);

impl TokenText {
    /// Gives the text away. The only way to see it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(…)")
    }
}

/// What a new token shall be.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Name for people, 1 to 64 characters.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// Bound to one project.
    pub project: Option<ProjectId>,
    /// Life in days, 1 to [`TOKEN_DAYS_MAX`].
    pub days: u32,
}

/// Rows of tokens that were seen lately, by the hash of the text.
pub(crate) type TokenCache = Recall<[u8; 32], TokenRecord>;

/// Tokens whose use waits to be written.
const USES_MAX: usize = 1_000;

/// Tokens that were used and whose row does not say so yet.
#[derive(Default)]
pub(crate) struct TokenUses(Mutex<HashMap<String, Timestamp>>);

impl TokenUses {
    fn note(&self, id: &str, now: Timestamp) {
        let mut uses = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if uses.len() < USES_MAX || uses.contains_key(id) {
            uses.insert(id.to_owned(), now);
        }
    }

    fn take(&self) -> Vec<(String, Timestamp)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
            .into_iter()
            .collect()
    }
}

impl App {
    /// Makes a token, never wider than its maker. Only people who gave their password lately and the home's own socket
    /// make one: what a stolen token could make would go on after that one was revoked.
    pub async fn create_token(&self, actor: &Actor, new: NewToken) -> Result<(TokenRecord, TokenText)> {
        self.require_open()?;
        Self::require(actor, Scope::Admin, new.project)?;
        self.require_person(actor)?;
        if let Some(scope) = new.scopes.iter().find(|scope| !actor.may(**scope, new.project)) {
            return Err(Error::Forbidden { needs: scope.as_str() });
        }
        let name_chars = new.name.chars().count();
        if !(1..=64).contains(&name_chars) || new.name.chars().any(char::is_control) {
            return Err(Error::invalid("name", "1 to 64 characters, no control characters"));
        }
        if new.scopes.is_empty() {
            return Err(Error::invalid("scopes", "at least one scope or a role"));
        }
        if !(1..=TOKEN_DAYS_MAX).contains(&new.days) {
            return Err(Error::invalid("expires", format!("1 to {TOKEN_DAYS_MAX} days")));
        }
        let settings = match new.project {
            Some(project) => {
                self.store.project(project).await?.ok_or(Error::NotFound { what: "project" })?.settings
            }
            None => ProjectSettings::default(),
        };
        let text = self.token_text();
        let now = self.now();
        let mut id = [0u8; 8];
        self.ids.random(&mut id);
        let record = TokenRecord {
            id: hex::encode(id),
            name: self.redact_text(&settings, &new.name),
            hash: hash(text.reveal()),
            scopes: new.scopes,
            project: new.project,
            created_at: now,
            expires_at: now.plus(i64::from(new.days) * DAY),
            revoked_at: None,
            replaced: false,
            last_used_at: None,
            warned_days: None,
        };
        let detail = json!({
            "name": record.name, "scopes": record.scopes, "project": record.project,
            "expires_at": record.expires_at,
        });
        let target = format!("token:{}", record.id);
        let audit = self.audit(actor, Action::TokenCreated, target, record.project, detail);
        self.store.add_token(&record, &audit).await?;
        Ok((record, text))
    }

    /// Makes a token like `id` that takes its place; the old one stays good for `overlap_hours`. Of two that rotate
    /// the same token at once, one wins. For the same as making one: a token does not prolong itself.
    pub async fn rotate_token(
        &self,
        actor: &Actor,
        id: &str,
        overlap_hours: u32,
    ) -> Result<(TokenRecord, TokenText)> {
        self.require_open()?;
        Self::require(actor, Scope::Admin, None)?;
        self.require_person(actor)?;
        if overlap_hours > OVERLAP_HOURS_MAX {
            return Err(Error::invalid("overlap_hours", format!("0 to {OVERLAP_HOURS_MAX}")));
        }
        let rows = self.store.tokens().await?;
        let old = rows.into_iter().find(|row| row.id == id).ok_or(Error::NotFound { what: "token" })?;
        if let Some(scope) = old.scopes.iter().find(|scope| !actor.may(**scope, old.project)) {
            return Err(Error::Forbidden { needs: scope.as_str() });
        }
        let (text, now) = (self.token_text(), self.now());
        // As long a life as the old one was given, within the policy of today.
        let life = old.expires_at.since(old.created_at).clamp(DAY, i64::from(TOKEN_DAYS_MAX) * DAY);
        let mut random = [0u8; 8];
        self.ids.random(&mut random);
        let new = TokenRecord {
            id: hex::encode(random),
            hash: hash(text.reveal()),
            created_at: now,
            expires_at: now.plus(life),
            revoked_at: None,
            replaced: false,
            last_used_at: None,
            warned_days: None,
            ..old
        };
        let detail = json!({ "new": format!("token:{}", new.id), "overlap_hours": overlap_hours });
        let audit = self.audit(actor, Action::TokenRotated, format!("token:{id}"), new.project, detail);
        let ends_at = now.plus(i64::from(overlap_hours) * HOUR);
        self.store.rotate_token(id, ends_at, &new, &audit).await?;
        self.token_cache.forget();
        self.access_cache.forget();
        Ok((new, text))
    }

    /// The actor behind a bearer token; none when it is unknown, revoked or expired.
    pub async fn authenticate_token(&self, text: &str) -> Result<Option<Actor>> {
        if !looks_like_token(text) {
            return Ok(None);
        }
        let hash = hash(text);
        let row = match self.token_cache.get(&hash, self.clock.monotonic_micros()) {
            Recalled::Known(row) => row,
            Recalled::Ask(read) => {
                let Some(row) = self.store.token_by_hash(&hash).await? else { return Ok(None) };
                self.token_cache.put(read, hash, row.clone());
                row
            }
        };
        let now = self.now();
        let alive = row.revoked_at.is_none() && now < row.expires_at;
        if alive && row.last_used_at.is_none_or(|at| now.since(at) >= TOKEN_USE_MICROS) {
            self.token_uses.note(&row.id, now);
        }
        Ok(alive.then_some(Actor::Token { id: row.id, scopes: row.scopes, project: row.project }))
    }

    /// Writes which tokens were used; called by a worker. Requests only remember it, and that seldom.
    pub async fn flush_token_uses(&self) -> Result<()> {
        let uses = self.token_uses.take();
        if uses.is_empty() {
            return Ok(());
        }
        let written = self.store.note_token_uses(uses.clone()).await;
        if written.is_err() {
            uses.iter().for_each(|(id, at)| self.token_uses.note(id, *at));
        }
        written
    }

    /// Warns of tokens that end soon, once for each of [`WARNED_DAYS`]; called by a worker.
    pub async fn warn_of_token_expiry(&self) -> Result<()> {
        let now = self.now();
        for token in self.live_tokens(&Actor::System).await? {
            let left = token.expires_at.since(now);
            let due = WARNED_DAYS.into_iter().rfind(|days| left <= i64::from(*days) * DAY);
            let Some(days) = due.filter(|days| token.warned_days.is_none_or(|warned| *days < warned)) else {
                continue;
            };
            // Who replaced it already need not hear that it ends.
            if !token.replaced && self.store.note_token_warning(&token.id, days).await? {
                let (id, name) = (&token.id, &token.name);
                let hours_left = left / HOUR;
                tracing::warn!(id = %id, name = %name, hours_left, "token.expires_soon");
            }
        }
        Ok(())
    }

    /// Tokens that end soon and were not replaced. For `doctor`.
    pub async fn ending_tokens(&self) -> Result<Vec<TokenFact>> {
        let (now, [first, ..]) = (self.now(), WARNED_DAYS);
        let ending = self.live_tokens(&Actor::System).await?.into_iter().filter(|token| !token.replaced);
        let fact = |token: TokenRecord| {
            let hours_left = token.expires_at.since(now) / HOUR;
            TokenFact { id: token.id, name: token.name, hours_left }
        };
        Ok(ending.map(fact).filter(|token| token.hours_left < i64::from(first) * 24).collect())
    }

    /// All tokens, without their texts.
    pub async fn tokens(&self, actor: &Actor) -> Result<Vec<TokenRecord>> {
        Self::require(actor, Scope::Admin, None)?;
        self.store.tokens().await
    }

    /// Revokes one token, or all; takes effect at once.
    pub async fn revoke_tokens(&self, actor: &Actor, id: Option<&str>) -> Result<u64> {
        Self::require(actor, Scope::Admin, None)?;
        let target = format!("token:{}", id.unwrap_or("all"));
        let audit = self.audit(actor, Action::TokenRevoked, target, None, json!({}));
        let revoked = self.store.revoke_tokens(id, self.now(), &audit).await?;
        self.token_cache.forget();
        self.access_cache.forget();
        if revoked == 0 && id.is_some() {
            return Err(Error::NotFound { what: "token" });
        }
        Ok(revoked)
    }

    /// Tokens that could be used now. For metrics and the first start; names no text.
    pub async fn live_tokens(&self, actor: &Actor) -> Result<Vec<TokenRecord>> {
        Self::require(actor, Scope::MetricsRead, None)?;
        let mut rows = self.store.tokens().await?;
        rows.retain(|row| self.is_live(row));
        Ok(rows)
    }

    fn is_live(&self, row: &TokenRecord) -> bool {
        row.revoked_at.is_none() && self.now() < row.expires_at
    }

    fn token_text(&self) -> TokenText {
        let mut random = [0u8; 64];
        self.ids.random(&mut random);
        // 34 digits of base 62 hold 202 bits; bytes from 248 up are passed over to keep digits even.
        let mut body = String::with_capacity(34);
        while body.len() < 34 {
            for byte in random {
                if byte < 248 && body.len() < 34 {
                    body.push(base62_digit(u32::from(byte) % 62));
                }
            }
            self.ids.random(&mut random);
        }
        let checksum = checksum(&body);
        TokenText(format!("{API_TOKEN_PREFIX}{body}{checksum}"))
    }
}

/// SHA-256 of a token's text.
pub(crate) fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Shape and checksum, so that noise costs no lookup.
pub(crate) fn looks_like_token(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(API_TOKEN_PREFIX) else { return false };
    if rest.len() != 40 || !rest.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return false;
    }
    let (body, sum) = rest.split_at(34);
    checksum(body) == sum
}

/// CRC-32 of the body in six digits of base 62, as scanners check it.
fn checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = ['0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = base62_digit(rest % 62);
        rest /= 62;
    }
    digits.iter().collect()
}

fn base62_digit(value: u32) -> char {
    let value = u8::try_from(value % 62).unwrap_or(0);
    char::from(match value {
        0..=9 => b'0' + value,
        10..=35 => b'A' + value - 10,
        _ => b'a' + value - 36,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_with_a_wrong_checksum_is_noise() {
        let body = "A".repeat(34);
        let good = format!("afx_{body}{}", checksum(&body));
        assert!(looks_like_token(&good));
        let mut bad = good.clone();
        bad.pop();
        bad.push(if good.ends_with('0') { '1' } else { '0' });
        assert!(!looks_like_token(&bad));
        assert!(!looks_like_token("afx_"));
        assert!(!looks_like_token(&"x".repeat(44)));
    }

    #[test]
    fn debug_never_shows_the_text() {
        assert_eq!(format!("{:?}", TokenText("hunter2".into())), "TokenText(…)");
    }
}
