//! Signed requests from outside: GitHub and whoever signs by Standard Webhooks. A request without a good signature, an
//! old one and a repeated one all get the same answer, and nothing of them is looked at.

use crate::app::App;
use crate::delivery::{Kind, is_repository};
use crate::delivery::{Verdict, new_secret, verify, verify_github};
use crate::error::{Error, Result};
use crate::limits::{Decision, Principal};
use crate::ports::{HookRecord, SealedHook};
use crate::secrets::SecretText;
use crate::tickets::Completion;
use actifix_domain::access::{Actor, Scope};
use actifix_domain::alert::{NAME_FORM, is_name};
use actifix_domain::audit::Action;
use actifix_domain::id::TicketId;
use actifix_domain::lifecycle::Evidence;
use actifix_domain::ticket::Status;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

mod github;

/// Vault purpose of secrets of sources.
pub(crate) const HOOKS: &str = "hook";
/// Longest body, bytes.
pub const HOOK_BODY_BYTES_MAX: usize = 1 << 20;
/// Longest header field that is looked at, bytes.
const HEADER_BYTES_MAX: usize = 1_024;
/// Shortest secret of GitHub that is taken, bytes.
const GITHUB_SECRET_BYTES_MIN: usize = 16;
/// Tickets that one request may name.
const TICKETS_MAX: usize = 20;
/// Longest text that is taken over, characters.
const TEXT_CHARS_MAX: usize = 500;

/// What of a request's headers is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct HookHeaders<'a> {
    /// `webhook-id`
    pub id: Option<&'a str>,
    /// `webhook-timestamp`
    pub timestamp: Option<&'a str>,
    /// `webhook-signature`
    pub signature: Option<&'a str>,
    /// `x-github-event`
    pub github_event: Option<&'a str>,
    /// `x-github-delivery`
    pub github_delivery: Option<&'a str>,
    /// `x-hub-signature-256`
    pub github_signature: Option<&'a str>,
}

/// Why a request was not taken.
#[derive(Debug)]
pub enum HookRefusal {
    /// Not signed, not well, too old, or seen before: which is not told.
    Unsigned,
    /// Too many of them: unsigned ones of an address, or signed ones of a source.
    Limited(Decision),
    /// It was signed, but could not be done.
    Failed(Error),
}

/// What came of a signed request.
#[derive(Debug, Default, Serialize)]
pub struct HookOutcome {
    /// Tickets that it changed.
    pub tickets: Vec<TicketId>,
    /// Tickets that it named and did not change.
    pub refused: Vec<RefusedWish>,
}

/// A ticket that a signed request named and did not change.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct RefusedWish {
    /// Which.
    pub ticket: TicketId,
    /// Why not.
    pub why: String,
}

/// Requests that are being done now: the same one that comes meanwhile is a repetition, and one that was begun and not
/// ended, by a crash or because its sender hung up, may come again.
#[derive(Debug, Default)]
pub(crate) struct HooksUnderWay(Mutex<HashSet<String>>);

struct UnderWay<'a> {
    all: &'a HooksUnderWay,
    key: String,
}

impl HooksUnderWay {
    /// None while the same one is being done. As many are kept as requests are served at once.
    fn begin(&self, hook: &str, message: &str) -> Option<UnderWay<'_>> {
        let key = format!("{hook} {message}");
        let new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        // Only now: a guard that is made and dropped would free the key of the request that has it.
        new.then(|| UnderWay { all: self, key })
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl From<Error> for HookRefusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// A source that somebody makes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddHook {
    /// Name; part of the path.
    pub name: String,
    /// `github` or `standard`.
    pub kind: String,
    /// The project whose tickets it may work on.
    #[serde(default)]
    pub project: Option<String>,
    /// Kind `github`: the one repository that is believed, `owner/repository`.
    #[serde(default)]
    pub target: Option<String>,
    /// The secret, where the sender has one already.
    #[serde(default)]
    pub secret: Option<String>,
}

impl std::fmt::Debug for AddHook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddHook").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Note {
        ticket: TicketId,
        text: String,
    },
    Resolve {
        ticket: TicketId,
        why: String,
        commit: Option<String>,
    },
    /// It names a ticket and is not to be believed about it.
    Refuse {
        ticket: TicketId,
        why: &'static str,
    },
}

impl App {
    /// Sources of signed requests.
    pub async fn hooks(&self, actor: &Actor) -> Result<Vec<HookRecord>> {
        Self::require(actor, Scope::Admin, None)?;
        self.store.hooks().await
    }

    /// Makes a source. Its secret is returned once.
    pub async fn add_hook(&self, actor: &Actor, mut add: AddHook) -> Result<(HookRecord, SecretText)> {
        Self::require(actor, Scope::Admin, None)?;
        if !is_name(&add.name) {
            return Err(Error::invalid("name", NAME_FORM));
        }
        let project = self.project(actor, add.project.as_deref().unwrap_or("default")).await?;
        match (add.kind.as_str(), add.target.as_deref()) {
            ("github", Some(target)) if is_repository(target) => {}
            ("github", _) => {
                return Err(Error::invalid("target", "the repository that is believed, as owner/repository"));
            }
            (_, Some(_)) => return Err(Error::invalid("target", "only for the kind github: leave it out")),
            (_, None) => {}
        }
        let mut random = [0u8; 32];
        self.ids.random(&mut random);
        let given = add.secret.take();
        let secret = match (add.kind.as_str(), given) {
            ("github" | "standard", None) => new_secret(random),
            ("github", Some(secret)) if secret.len() >= GITHUB_SECRET_BYTES_MIN => secret,
            ("github", Some(_)) => {
                return Err(Error::invalid("secret", format!("at least {GITHUB_SECRET_BYTES_MIN} bytes")));
            }
            ("standard", Some(secret)) if crate::delivery::is_secret(&secret) => secret,
            ("standard", Some(_)) => {
                return Err(Error::invalid("secret", "whsec_ and base64 of 24 to 64 bytes"));
            }
            _ => return Err(Error::invalid("kind", "one of github, standard")),
        };
        let secret = SecretText::new(secret);
        let record = HookRecord {
            name: add.name.clone(),
            kind: add.kind.clone(),
            project: project.id,
            target: add.target.clone(),
            created_at: self.now(),
            last_used_at: None,
        };
        let clear = Zeroizing::new([add.name.as_bytes(), &[0], secret.reveal().as_bytes()].concat());
        let sealed = SealedHook { record: record.clone(), sealed: self.vault.seal(HOOKS, &clear)? };
        let detail = json!({ "act": "added", "kind": add.kind, "target": add.target });
        let audit =
            self.audit(actor, Action::WebhookChanged, format!("hook:{}", add.name), Some(project.id), detail);
        self.store.add_hook(&sealed, &audit).await?;
        Ok((record, secret))
    }

    /// Removes a source.
    pub async fn remove_hook(&self, actor: &Actor, name: &str) -> Result<()> {
        Self::require(actor, Scope::Admin, None)?;
        let audit = self.audit(
            actor,
            Action::WebhookChanged,
            format!("hook:{name}"),
            None,
            json!({ "act": "removed" }),
        );
        if self.store.remove_hook(name, &audit).await? {
            Ok(())
        } else {
            Err(Error::NotFound { what: "inbound source" })
        }
    }

    /// Takes a signed request. The signature is the credential: what is not signed is counted on the address that it came
    /// from, what is signed on its source, so that strangers cannot shut out a sender whose address they share.
    pub async fn receive_hook(
        &self,
        name: &str,
        address: Option<IpAddr>,
        headers: &HookHeaders<'_>,
        body: &[u8],
    ) -> Result<HookOutcome, HookRefusal> {
        let Some(hook) = self.store.hook(name).await? else {
            return Err(self.refuse_hook("unknown", address, "no such source").await);
        };
        let secret = self.hook_secret(&hook)?;
        let message = match self.prove(&hook, &secret, headers, body) {
            Ok(message) => message,
            Err(why) => return Err(self.refuse_hook(name, address, why).await),
        };
        // Who signs may work on tickets of the one project, and nothing else.
        let actor = Actor::Token {
            id: format!("hook:{name}"),
            scopes: BTreeSet::from([Scope::TicketsRead, Scope::TicketsWork, Scope::TicketsTriage]),
            project: Some(hook.record.project),
        };
        if let Some(decision) = self.limit_request(Principal::Actor(&actor)).filter(|made| !made.admitted) {
            return Err(HookRefusal::Limited(decision));
        }
        let Some(_under_way) = self.hooks_under_way.begin(name, &message) else {
            return Err(self.refuse_hook(name, address, "seen before").await);
        };
        if self.store.hook_seen(name, &message).await? {
            return Err(self.refuse_hook(name, address, "seen before").await);
        }
        let done = self.act(&hook.record, &actor, headers, body).await;
        // Not its fault: the sender may try again.
        if !matches!(
            &done,
            Err(HookRefusal::Failed(Error::Unavailable { .. } | Error::Damaged { .. } | Error::Internal(_)))
        ) {
            // Remembered when it is done: after a crash in between it can be sent again.
            self.store.first_sight(name, &message, self.now()).await?;
        }
        done
    }

    /// The id under which the request is remembered, if it was signed.
    fn prove(
        &self,
        hook: &SealedHook,
        secret: &SecretText,
        headers: &HookHeaders<'_>,
        body: &[u8],
    ) -> Result<String, &'static str> {
        let bounded = |value: Option<&str>| {
            value.filter(|value| !value.is_empty() && value.len() <= HEADER_BYTES_MAX).map(str::to_owned)
        };
        if hook.record.kind == "github" {
            let signature = bounded(headers.github_signature).ok_or("no signature")?;
            if !verify_github(secret.reveal(), &signature, body) {
                return Err("bad signature");
            }
            if !github::is_recent(headers.github_event.unwrap_or_default(), body, self.now()) {
                return Err("too old");
            }
            // GitHub signs the body alone. Its id tells deliveries apart, but is not signed: a request that is repeated
            // under another id is known by its body.
            bounded(headers.github_delivery).ok_or("no delivery id")?;
            return Ok(blake3::keyed_hash(&self.digest_key, body).to_hex().to_string());
        }
        let id = bounded(headers.id).ok_or("no id")?;
        let timestamp = bounded(headers.timestamp).ok_or("no timestamp")?;
        let list = bounded(headers.signature).ok_or("no signature")?;
        match verify(secret.reveal(), &id, &timestamp, &list, body, self.now()) {
            Verdict::Good => Ok(blake3::keyed_hash(&self.digest_key, id.as_bytes()).to_hex().to_string()),
            Verdict::Bad => Err("bad signature"),
            Verdict::Old => Err("too old"),
        }
    }

    async fn refuse_hook(&self, name: &str, address: Option<IpAddr>, why: &'static str) -> HookRefusal {
        let decision = self.limit_request(Principal::Network(address));
        if let Some(decision) = decision.filter(|made| !made.admitted) {
            return HookRefusal::Limited(decision);
        }
        crate::auth_log::refused("hook");
        let detail = json!({ "why": why });
        self.record_refusal(None, Action::AccessRefused, format!("hook:{name}"), detail).await;
        HookRefusal::Unsigned
    }

    pub(crate) fn hook_secret(&self, hook: &SealedHook) -> Result<SecretText> {
        let clear = Zeroizing::new(self.vault.open(HOOKS, &hook.sealed)?);
        let value = clear.strip_prefix(hook.record.name.as_bytes()).and_then(|rest| rest.strip_prefix(&[0]));
        let value = value.and_then(|value| std::str::from_utf8(value).ok());
        let value = value.ok_or_else(|| {
            Error::conflict("the sealed secret belongs to another row: the database was changed")
        })?;
        Ok(SecretText::new(value.to_owned()))
    }

    /// Does what a signed request asks for. What it cannot make sense of it lets be: senders tell more than is asked.
    async fn act(
        &self,
        hook: &HookRecord,
        actor: &Actor,
        headers: &HookHeaders<'_>,
        body: &[u8],
    ) -> Result<HookOutcome, HookRefusal> {
        let body: Value = serde_json::from_slice(body).map_err(|_| {
            Error::invalid("body", "JSON; set the content type application/json at the sender")
        })?;
        let event = headers.github_event.unwrap_or_default();
        let wishes = match hook.kind.as_str() {
            "github" => {
                let mut wishes = github::wishes(event, &body, hook.target.as_deref());
                if event == "issues" {
                    self.keep_linked(hook, &body, &mut wishes).await?;
                }
                wishes
            }
            _ => standard_wishes(&body),
        };
        let mut outcome = HookOutcome::default();
        for wish in wishes.into_iter().take(TICKETS_MAX) {
            let (Wish::Note { ticket, .. } | Wish::Resolve { ticket, .. } | Wish::Refuse { ticket, .. }) =
                &wish;
            match self.grant(actor, &wish).await {
                Ok(Ok(ticket)) => outcome.tickets.push(ticket),
                Ok(Err(why)) => {
                    outcome.refused.push(RefusedWish { ticket: ticket.clone(), why: why.to_owned() });
                }
                // A ticket that is not there, or not of this project.
                Err(error @ (Error::NotFound { .. } | Error::Conflict { .. } | Error::Invalid(_))) => {
                    outcome.refused.push(RefusedWish { ticket: ticket.clone(), why: error.to_string() });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(outcome)
    }

    /// Markers are public, and everybody may write one: only an issue that a channel of ours opened for the ticket is
    /// believed about it.
    async fn keep_linked(&self, hook: &HookRecord, body: &Value, wishes: &mut [Wish]) -> Result<()> {
        let number = github::issue_number(body);
        let repository = hook.target.as_deref().unwrap_or_default();
        let mut channels = Vec::new();
        for sealed in self.store.endpoints().await? {
            let opened = self.open(&sealed)?;
            let target = opened.channel.target.as_deref().unwrap_or_default();
            if opened.channel.kind == Kind::Github && target.eq_ignore_ascii_case(repository) {
                channels.push(opened.record.id.clone());
            }
        }
        for wish in wishes {
            let (Wish::Note { ticket, .. } | Wish::Resolve { ticket, .. }) = &*wish else { continue };
            let mut linked = false;
            for channel in &channels {
                let issue = self.store.issue_of(channel, ticket).await?;
                linked |= issue.is_some() && issue == number;
            }
            if !linked {
                let why = "the issue is not the one that a channel of this repository opened for the ticket";
                *wish = Wish::Refuse { ticket: ticket.clone(), why };
            }
        }
        Ok(())
    }

    /// The ticket that was changed, or why it was not.
    async fn grant(&self, actor: &Actor, wish: &Wish) -> Result<Result<TicketId, &'static str>> {
        match wish {
            Wish::Refuse { why, .. } => Ok(Err(why)),
            Wish::Note { ticket, text } => {
                self.add_note(actor, ticket, text, None, None).await?;
                Ok(Ok(ticket.clone()))
            }
            Wish::Resolve { ticket, why, commit } => {
                let detail = self.ticket(actor, ticket).await?;
                if detail.ticket.status == Status::Resolved {
                    return Ok(Err("it is resolved already"));
                }
                let evidence = Evidence {
                    root_cause: why.clone(),
                    commit: commit.clone(),
                    no_commit_reason: commit
                        .is_none()
                        .then(|| "closed elsewhere, without a commit".to_owned()),
                    test: None,
                    no_test_reason: Some("confirmed by a signed request from outside".to_owned()),
                };
                let completion = Completion { evidence, resolved_in: None, in_next_release: false };
                self.complete(actor, ticket, completion, None, None).await?;
                Ok(Ok(ticket.clone()))
            }
        }
    }
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect()
}

/// `{"type": "ticket.note" | "ticket.resolve", "data": {"ticket", "text", "commit"?}}`
fn standard_wishes(body: &Value) -> Vec<Wish> {
    let Ok(ticket) = text(body, "/data/ticket").parse::<TicketId>() else { return Vec::new() };
    let words = short(text(body, "/data/text"));
    match text(body, "/type") {
        "ticket.note" if !words.trim().is_empty() => vec![Wish::Note { ticket, text: words }],
        "ticket.resolve" => {
            let commit = Some(text(body, "/data/commit")).filter(|sha| is_commit(sha)).map(str::to_owned);
            vec![Wish::Resolve { ticket, why: words, commit }]
        }
        _ => Vec::new(),
    }
}

fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_bodies_ask_for_nothing() {
        for broken in
            [json!(null), json!([]), json!({ "type": 5 }), json!({ "type": "ticket.note", "data": 1 })]
        {
            assert!(standard_wishes(&broken).is_empty());
        }
    }

    #[test]
    fn a_message_that_is_being_done_is_begun_by_nobody_else_until_it_is_done() {
        let under_way = HooksUnderWay::default();
        let first = under_way.begin("ci", "msg_1").expect("nobody does it");
        for _ in 0..3 {
            assert!(under_way.begin("ci", "msg_1").is_none());
        }
        assert!(under_way.begin("ci", "msg_2").is_some() && under_way.begin("cd", "msg_1").is_some());
        drop(first);
        assert!(under_way.begin("ci", "msg_1").is_some());
    }
}
