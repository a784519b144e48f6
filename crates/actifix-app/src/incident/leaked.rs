//! A credential that leaked, as somebody pasted it: what it is, revoked at once, and what it touched.
//!
//! The text itself is in no answer, log or record.

use super::only_local;
use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{AuditQuery, AuditRow, SessionsOf};
use crate::secrets::{SecretName, SecretText};
use crate::tokens::{API_TOKEN_PREFIX, hash, looks_like_token};
use actifix_domain::access::Actor;
use actifix_domain::audit::Action;
use actifix_domain::id::PublicKey;
use actifix_protocol::dsn::Dsn;
use actifix_secrets::{HashKey, Settings};
use serde::Serialize;
use serde_json::json;

/// Shortest and longest text that is looked up, bytes.
const BYTES: std::ops::RangeInclusive<usize> = 8..=(64 << 10);
/// Acts that are listed.
const TOUCHED_MAX: u32 = 200;
/// Findings that are listed.
const SEEN_MAX: usize = 100;
/// Secrets within what was pasted that are looked for.
const VALUES_MAX: usize = 4;

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LeakedState {
    /// It opens nothing here any more.
    Revoked,
    /// It opened nothing here any more before.
    Dead,
    /// It is kept here but given out by somebody else, who has to revoke it.
    Foreign,
    /// It is none of this server's.
    Unknown,
}

/// What a leaked credential was.
#[derive(Debug, Serialize)]
pub struct Leaked {
    /// What became of it.
    pub state: LeakedState,
    /// `token`, `access_token`, `session`, `dsn_key`, `webhook_secret`, `webhook_address`, `hook_secret`,
    /// `stored_secret`, or the rule that knows its form.
    pub kind: String,
    /// Whose or which, by an id or name that is no secret.
    pub name: String,
    /// What to do next.
    pub next: String,
    /// What was done with it, latest first.
    pub touched: Vec<AuditRow>,
    /// Findings of events that held it, by id.
    pub seen_in_findings: Vec<String>,
    /// A secret that takes its place: shown now and never again.
    #[serde(skip)]
    pub shown: Option<SecretText>,
}

impl Leaked {
    fn new(state: LeakedState, kind: &str, name: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            state,
            kind: kind.to_owned(),
            name: name.into(),
            next: next.into(),
            touched: Vec::new(),
            seen_in_findings: Vec::new(),
            shown: None,
        }
    }
}

impl App {
    /// Finds what a leaked credential is, revokes it, and lists what it touched.
    pub async fn revoke_leaked(&self, actor: &Actor, pasted: &SecretText) -> Result<Leaked> {
        only_local(actor)?;
        let text = pasted.reveal().trim();
        if !BYTES.contains(&text.len()) {
            let form =
                format!("{} to {} bytes: the whole credential and nothing else", BYTES.start(), BYTES.end());
            return Err(Error::invalid("credential", form));
        }
        let _turn = self.take_turn(actor)?;
        let mut leaked = match self.own_credential(actor, text).await? {
            Some(leaked) => leaked,
            None => match self.kept_for_others(actor, text).await? {
                Some(leaked) => leaked,
                None => self.by_its_form(text),
            },
        };
        leaked.seen_in_findings = self.findings_of(text).await?;
        let detail =
            json!({ "step": "leaked", "state": leaked.state, "kind": leaked.kind, "name": leaked.name });
        self.record_act(actor, Action::IncidentStep, "incident", detail).await?;
        Ok(leaked)
    }

    /// What this server gives out itself.
    async fn own_credential(&self, actor: &Actor, text: &str) -> Result<Option<Leaked>> {
        if looks_like_token(text) {
            return self.leaked_token(actor, text).await;
        }
        if let Ok(Actor::Access { id, holder, .. }) = self.authenticate_access(text).await? {
            return self.leaked_access(actor, &id, &holder).await.map(Some);
        }
        if let Some(live) = self.authenticate_session(text).await? {
            let audit = self.audit(
                actor,
                Action::SessionKilled,
                format!("session:{}", live.session.id),
                None,
                json!({ "why": "leaked" }),
            );
            self.store.end_sessions(SessionsOf::User(live.session.user_id.clone()), &audit).await?;
            self.access_cache.forget();
            let next = "all sessions of this person ended; set a new password if the cookie was stolen from their machine";
            let mut leaked = Leaked::new(LeakedState::Revoked, "session", live.session.user.clone(), next);
            leaked.touched = self.acts_of(&format!("user:{}", live.session.user)).await?;
            return Ok(Some(leaked));
        }
        self.leaked_key(actor, text).await
    }

    async fn leaked_token(&self, actor: &Actor, text: &str) -> Result<Option<Leaked>> {
        let Some(row) = self.store.token_by_hash(&hash(text)).await? else {
            let next = "this form is ours, but the token is not of this server, or its row was deleted";
            return Ok(Some(Leaked::new(LeakedState::Unknown, "token", "", next)));
        };
        let label = format!("token:{}", row.id);
        let dead = row.revoked_at.is_some() || self.now() >= row.expires_at;
        let state = if dead { LeakedState::Dead } else { LeakedState::Revoked };
        if !dead {
            self.revoke_tokens(actor, Some(&row.id)).await?;
        }
        let next = "make another for its holder: `actifix token create`; look at what it did below";
        let mut leaked = Leaked::new(state, "token", format!("{} ({})", row.name, row.id), next);
        leaked.touched = self.acts_of(&label).await?;
        Ok(Some(leaked))
    }

    /// An access token ends with the credential that it was got for: whoever had the one may have had the other.
    async fn leaked_access(&self, actor: &Actor, id: &str, holder: &Actor) -> Result<Leaked> {
        let audit =
            self.audit(actor, Action::TokenRevoked, format!("access:{id}"), None, json!({ "why": "leaked" }));
        self.store.end_access(id, &audit).await?;
        self.access_cache.forget();
        let next = "its holder's own credential goes on: `actifix token revoke` or `actifix sessions kill` if that leaked too";
        let mut leaked =
            Leaked::new(LeakedState::Revoked, "access_token", format!("{id} of {}", holder.label()), next);
        leaked.touched = self.acts_of(&holder.label()).await?;
        Ok(leaked)
    }

    async fn leaked_key(&self, actor: &Actor, text: &str) -> Result<Option<Leaked>> {
        let key = Dsn::parse(text).ok().map(|dsn| dsn.public_key().clone());
        let key = key.or_else(|| text.parse::<PublicKey>().ok());
        let Some(key) = key else { return Ok(None) };
        let Some(key) = self.store.key(&key).await? else { return Ok(None) };
        let project = self.store.project(key.project).await?.ok_or(Error::NotFound { what: "project" })?;
        let next = format!(
            "give SDKs the new DSN: `actifix dsn {}`; whoever held the key could send events, never read",
            project.name
        );
        if !key.enabled {
            return Ok(Some(Leaked::new(LeakedState::Dead, "dsn_key", project.name, next)));
        }
        self.rotate_key(actor, &project.id.to_string(), &key.public_key, None).await?;
        Ok(Some(Leaked::new(LeakedState::Revoked, "dsn_key", project.name, next)))
    }

    /// What is kept here for talking to others.
    async fn kept_for_others(&self, actor: &Actor, text: &str) -> Result<Option<Leaked>> {
        for sealed in self.store.endpoints().await? {
            let opened = self.open(&sealed)?;
            let name = sealed.record.name;
            if opened.channel.secrets.iter().any(|secret| secret.text == text) {
                let new = self.rotate_endpoint(actor, &name, 0).await?;
                let next = "the receiver needs the new secret, which is shown below";
                let mut leaked = Leaked::new(LeakedState::Revoked, "webhook_secret", name, next);
                leaked.shown = Some(new.secret);
                return Ok(Some(leaked));
            }
            if opened.channel.url == text || opened.channel.token.as_deref() == Some(text) {
                self.switch_endpoint(actor, &name, false).await?;
                let next = "the channel is off: replace the address or token at its provider, then remove the channel and add it again";
                return Ok(Some(Leaked::new(LeakedState::Foreign, "webhook_address", name, next)));
            }
        }
        for record in self.store.hooks().await? {
            let Some(hook) = self.store.hook(&record.name).await? else { continue };
            if self.hook_secret(&hook)?.reveal() == text {
                let secret = self.rotate_hook(&record.name).await?;
                let next = "the sender needs the new secret, which is shown below";
                let mut leaked = Leaked::new(LeakedState::Revoked, "hook_secret", record.name.clone(), next);
                leaked.touched = self.acts_of(&format!("token:hook:{}", record.name)).await?;
                leaked.shown = Some(secret);
                return Ok(Some(leaked));
            }
        }
        self.kept_secret(text).await
    }

    async fn kept_secret(&self, text: &str) -> Result<Option<Leaked>> {
        for record in self.store.secrets().await? {
            let Ok(name) = record.name.parse::<SecretName>() else { continue };
            let Some(found) = self.store.secret(&record.name).await? else { continue };
            if self.open_secret(&name, &found)?.reveal().trim() == text {
                let next = format!("revoke it where it was given out, then `actifix secrets set {name}`");
                return Ok(Some(Leaked::new(LeakedState::Foreign, "stored_secret", record.name, next)));
            }
        }
        Ok(None)
    }

    fn by_its_form(&self, text: &str) -> Leaked {
        let hit = self.engine.scan(text.as_bytes()).into_iter().next();
        let rule = hit.and_then(|hit| self.engine.rules().find(|rule| rule.id() == &*hit.rule));
        let kind = if text.starts_with(API_TOKEN_PREFIX) { "token" } else { "" };
        let (kind, next) = match rule {
            Some(rule) => (rule.id().to_owned(), rule.fix().to_owned()),
            None => (kind.to_owned(), "nothing here knows it: was it copied whole?".to_owned()),
        };
        Leaked::new(LeakedState::Unknown, &kind, "", next)
    }

    async fn acts_of(&self, label: &str) -> Result<Vec<AuditRow>> {
        let query = AuditQuery { actor: Some(label.to_owned()), limit: TOUCHED_MAX, ..AuditQuery::default() };
        Ok(self.store.audit_log(query).await?.items)
    }

    /// Findings are known by a keyed hash of their value, so that the same value is found without being kept.
    async fn findings_of(&self, text: &str) -> Result<Vec<String>> {
        let settings = Settings { hash_key: HashKey(self.finding_key), ..Settings::default() };
        let found = self.engine.redact_text(text, &settings).1;
        let projects = self.store.projects().await?;
        let mut seen = Vec::new();
        for finding in found.into_iter().take(VALUES_MAX).map(crate::ingest::finding_record) {
            for project in &projects {
                seen.extend(self.store.finding(&finding.id(project.id)).await?.map(|finding| finding.id));
            }
        }
        seen.truncate(SEEN_MAX);
        Ok(seen)
    }
}
