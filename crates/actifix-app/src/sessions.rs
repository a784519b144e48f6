//! Sessions: opaque cookies whose hashes are rows. A row that is gone ends the session at once.

use crate::app::App;
use crate::error::{Error, Result};
use crate::login::same;
use crate::ports::{SessionRecord, SessionsOf, UserRecord};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::audit::Action;
use actifix_domain::time::{DAY, HOUR, MINUTE};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fmt;

/// A session ends after this time, however much it is used.
pub const SESSION_MICROS: i64 = 7 * DAY;
/// A session that is not used ends after this time.
pub const IDLE_MICROS: i64 = 12 * HOUR;
/// Uses are noted once in this time.
const TOUCH_MICROS: i64 = 5 * MINUTE;
/// For dangerous acts the password must have been given within this time.
pub const RECENT_MICROS: i64 = 10 * MINUTE;

/// Value of a cookie. No `Debug` prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionText(String);

impl SessionText {
    pub(crate) fn of(random: &[u8; 32]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(random))
    }

    pub(crate) const fn from_text(text: String) -> Self {
        Self(text)
    }

    /// Gives the text away. The only way to see it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionText(…)")
    }
}

/// A session that was found by its cookie.
#[derive(Clone, Debug)]
pub struct LiveSession {
    /// Who.
    pub actor: Actor,
    /// Which.
    pub session: SessionRecord,
    /// What unsafe requests must name.
    pub csrf: String,
}

pub(crate) fn hash_of(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

impl App {
    /// The person behind a cookie; none when it is unknown or over, or the account is closed.
    pub async fn authenticate_session(&self, cookie: &str) -> Result<Option<LiveSession>> {
        // 32 bytes in base64: what has another length is noise and costs no lookup.
        if cookie.len() != 43 {
            return Ok(None);
        }
        let Some((session, user)) = self.store.session(&hash_of(cookie)).await? else { return Ok(None) };
        let now = self.now();
        let over = now >= session.expires_at
            || now.since(session.seen_at) >= IDLE_MICROS
            || user.disabled_at.is_some();
        if over {
            return Ok(None);
        }
        if now.since(session.seen_at) >= TOUCH_MICROS {
            self.store.touch_session(&session.hash, now, false).await?;
        }
        let csrf = self.csrf_of(&session);
        Ok(Some(LiveSession { actor: Self::actor_of(&session, &user), session, csrf }))
    }

    /// Whether a session still is what it was when it was found: not ended, not over, its person with the same rights. A
    /// look is no use of it.
    pub async fn goes_on(&self, live: &LiveSession) -> Result<bool> {
        let Some((session, user)) = self.store.session(&live.session.hash).await? else { return Ok(false) };
        let now = self.now();
        let same_rights = matches!(&live.actor, Actor::User { scopes, .. } if *scopes == user.role.scopes());
        Ok(now < session.expires_at
            && now.since(session.seen_at) < IDLE_MICROS
            && user.disabled_at.is_none()
            && same_rights)
    }

    pub(crate) fn actor_of(session: &SessionRecord, user: &UserRecord) -> Actor {
        Actor::User {
            id: user.id.clone(),
            name: user.name.clone(),
            scopes: user.role.scopes(),
            session: session.id.clone(),
            authenticated_at: session.authenticated_at,
        }
    }

    /// A keyed hash over the session: another page of the browser can send the cookie, but cannot know this.
    pub(crate) fn csrf_of(&self, session: &SessionRecord) -> String {
        blake3::keyed_hash(&self.csrf_key, &session.hash).to_hex().to_string()
    }

    /// Whether a request names the token of its session.
    pub fn is_csrf_token(&self, live: &LiveSession, token: &str) -> bool {
        same(live.csrf.as_bytes(), token.as_bytes())
    }

    /// Sessions that go on: the actor's own, or all.
    pub async fn sessions(&self, actor: &Actor, all: bool) -> Result<Vec<SessionRecord>> {
        let only = match actor {
            Actor::User { id, .. } if !all => Some(id.as_str()),
            _ => {
                Self::require(actor, Scope::Admin, None)?;
                None
            }
        };
        let now = self.now();
        let mut sessions = self.store.sessions(only, now).await?;
        sessions.retain(|session| now.since(session.seen_at) < IDLE_MICROS);
        Ok(sessions)
    }

    /// Ends a session: one's own, or anybody's.
    pub async fn kill_session(&self, actor: &Actor, id: &str) -> Result<()> {
        let own = match actor {
            Actor::User { id: user_id, .. } => {
                self.store.sessions(Some(user_id), self.now()).await?.iter().any(|session| session.id == id)
            }
            _ => false,
        };
        if !own && !actor.may(Scope::Admin, None) {
            // Whether somebody else has a session of this id is nobody's business.
            return Err(Error::NotFound { what: "session" });
        }
        let audit = self.audit(actor, Action::SessionKilled, format!("session:{id}"), None, json!({}));
        let ended = self.store.end_sessions(SessionsOf::One(id.to_owned()), &audit).await?;
        self.access_cache.forget();
        match ended {
            0 => Err(Error::NotFound { what: "session" }),
            _ => Ok(()),
        }
    }

    /// Ends all sessions of everybody; returns how many.
    pub async fn kill_all_sessions(&self, actor: &Actor) -> Result<u64> {
        Self::require(actor, Scope::Admin, None)?;
        let audit = self.audit(actor, Action::SessionKilled, "session:all", None, json!({}));
        let ended = self.store.end_sessions(SessionsOf::All, &audit).await?;
        self.access_cache.forget();
        Ok(ended)
    }

    /// Ends the actor's own session.
    pub async fn log_out(&self, actor: &Actor) -> Result<()> {
        let Actor::User { session, .. } = actor else {
            return Err(Error::Forbidden { needs: "a session" });
        };
        let audit = self.audit(actor, Action::Logout, format!("session:{session}"), None, json!({}));
        self.store.end_sessions(SessionsOf::One(session.clone()), &audit).await?;
        self.access_cache.forget();
        Ok(())
    }

    /// The actor after a person gave the password again, if they did: with it goes what dangerous acts ask for.
    /// The session remembers it.
    pub async fn reconfirmed(&self, actor: &Actor, password: Option<&str>) -> Result<Actor> {
        let mut confirmed = actor.clone();
        if let (Some(password), Actor::User { authenticated_at, session, id, .. }) =
            (password, &mut confirmed)
        {
            self.confirm_password(actor, password).await?;
            let now = self.now();
            *authenticated_at = now;
            let sessions = self.store.sessions(Some(id), now).await?;
            if let Some(record) = sessions.iter().find(|record| record.id == *session) {
                self.store.touch_session(&record.hash, now, true).await?;
            }
        }
        Ok(confirmed)
    }

    /// For dangerous acts: a person must have given the password lately, or give it now.
    pub async fn require_recent(&self, actor: &Actor, password: Option<&str>) -> Result<()> {
        let actor = self.reconfirmed(actor, password).await?;
        self.require_fresh(&actor)
    }

    /// The same of what came before. Others than people prove who they are with every request.
    pub(crate) fn require_fresh(&self, actor: &Actor) -> Result<()> {
        Self::require_lasting(actor)?;
        match actor {
            Actor::User { authenticated_at, .. } if self.now().since(*authenticated_at) >= RECENT_MICROS => {
                Err(Error::Forbidden { needs: "your password again, in the field password" })
            }
            _ => Ok(()),
        }
    }

    /// For what makes or changes people: a person who gave the password lately, or the owner of the home. A token that
    /// could would outlive its own revocation as somebody else.
    pub(crate) fn require_person(&self, actor: &Actor) -> Result<()> {
        match actor {
            Actor::User { .. } => self.require_fresh(actor),
            Actor::System => Ok(()),
            _ => Err(Error::Forbidden { needs: "a person who logged in, or the home's own socket" }),
        }
    }
}
