//! Signed requests from outside: GitHub and whoever signs by Standard Webhooks. A request without a good signature, an
//! old one and a repeated one all get the same answer, and nothing of them is looked at.

use crate::app::App;
use crate::delivery::{Verdict, new_secret, verify, verify_github};
use crate::error::{Error, Result};
use crate::ports::{HookRecord, SealedHook};
use crate::secrets::SecretText;
use crate::tickets::Completion;
use actifix_domain::access::{Actor, Scope};
use actifix_domain::alert::{NAME_FORM, is_name};
use actifix_domain::audit::Action;
use actifix_domain::id::TicketId;
use actifix_domain::lifecycle::Evidence;
use actifix_domain::ticket::Status;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

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
    /// It was signed, but could not be done.
    Failed(Error),
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
    Note { ticket: TicketId, text: String },
    Resolve { ticket: TicketId, why: String, commit: Option<String> },
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
            created_at: self.now(),
            last_used_at: None,
        };
        let clear = Zeroizing::new([add.name.as_bytes(), &[0], secret.reveal().as_bytes()].concat());
        let sealed = SealedHook { record: record.clone(), sealed: self.vault.seal(HOOKS, &clear)? };
        let detail = json!({ "act": "added", "kind": add.kind });
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
            Err(Error::NotFound { what: "hook" })
        }
    }

    /// Takes a signed request; the tickets that it changed. The signature is the credential.
    pub async fn receive_hook(
        &self,
        name: &str,
        headers: &HookHeaders<'_>,
        body: &[u8],
    ) -> Result<Vec<TicketId>, HookRefusal> {
        let Some(hook) = self.store.hook(name).await? else {
            return Err(self.refuse_hook("unknown", "no such source").await);
        };
        let secret = self.hook_secret(&hook)?;
        let message = match self.prove(&hook, &secret, headers, body) {
            Ok(message) => message,
            Err(why) => return Err(self.refuse_hook(name, why).await),
        };
        if !self.store.first_sight(name, &message, self.now()).await? {
            return Err(self.refuse_hook(name, "seen before").await);
        }
        let done = self.act(&hook.record, headers, body).await;
        if let Err(HookRefusal::Failed(Error::Unavailable { .. } | Error::Internal(_))) = &done {
            // Not its fault: the sender may try again.
            self.store.forget_sight(name, &message).await?;
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
            // GitHub signs the body alone. Its id tells deliveries apart, but is not signed: a request that is repeated
            // under another id is known by its body.
            bounded(headers.github_delivery).ok_or("no delivery id")?;
            return Ok(blake3::keyed_hash(&self.digest_key, body).to_hex().to_string());
        }
        let id = bounded(headers.id).ok_or("no id")?;
        let timestamp = bounded(headers.timestamp).ok_or("no timestamp")?;
        let list = bounded(headers.signature).ok_or("no signature")?;
        match verify(secret.reveal(), &id, &timestamp, &list, body, self.now()) {
            Verdict::Good => Ok(id.chars().take(200).collect()),
            Verdict::Bad => Err("bad signature"),
            Verdict::Old => Err("too old"),
        }
    }

    async fn refuse_hook(&self, name: &str, why: &'static str) -> HookRefusal {
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
        headers: &HookHeaders<'_>,
        body: &[u8],
    ) -> Result<Vec<TicketId>, HookRefusal> {
        let body: Value = serde_json::from_slice(body).map_err(|_| {
            Error::invalid("body", "JSON; set the content type application/json at the sender")
        })?;
        let wishes = match hook.kind.as_str() {
            "github" => github_wishes(headers.github_event.unwrap_or_default(), &body),
            _ => standard_wishes(&body),
        };
        // Who signs may work on tickets of the one project, and nothing else.
        let actor = Actor::Token {
            id: format!("hook:{}", hook.name),
            scopes: BTreeSet::from([Scope::TicketsRead, Scope::TicketsWork, Scope::TicketsTriage]),
            project: Some(hook.project),
        };
        let mut changed = Vec::new();
        for wish in wishes.into_iter().take(TICKETS_MAX) {
            match self.grant(&actor, &wish).await {
                Ok(ticket) => changed.extend(ticket),
                // A ticket that is not there, or not of this project.
                Err(Error::NotFound { .. } | Error::Conflict { .. } | Error::Invalid(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(changed)
    }

    async fn grant(&self, actor: &Actor, wish: &Wish) -> Result<Option<TicketId>> {
        match wish {
            Wish::Note { ticket, text } => {
                self.add_note(actor, ticket, text, None, None).await?;
                Ok(Some(ticket.clone()))
            }
            Wish::Resolve { ticket, why, commit } => {
                let detail = self.ticket(actor, ticket).await?;
                if detail.ticket.status == Status::Resolved {
                    return Ok(None);
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
                let completion = Completion { evidence, resolved_in: None };
                self.complete(actor, ticket, completion, None, None).await?;
                Ok(Some(ticket.clone()))
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

/// Issue closed, pull request merged with `Fixes ACT-…`, workflow finished.
fn github_wishes(event: &str, body: &Value) -> Vec<Wish> {
    let by = short(text(body, "/sender/login"));
    match (event, text(body, "/action")) {
        ("issues", "closed") => {
            let number = body.pointer("/issue/number").and_then(Value::as_u64).unwrap_or(0);
            let named = marked(text(body, "/issue/body"));
            let done = text(body, "/issue/state_reason") != "not_planned";
            named
                .into_iter()
                .map(|ticket| {
                    let what = format!("GitHub issue #{number} was closed by {by}");
                    if done {
                        Wish::Resolve { ticket, why: what, commit: None }
                    } else {
                        Wish::Note { ticket, text: format!("{what} as not planned") }
                    }
                })
                .collect()
        }
        ("pull_request", "closed") if body.pointer("/pull_request/merged") == Some(&Value::Bool(true)) => {
            let (title, words) = (text(body, "/pull_request/title"), text(body, "/pull_request/body"));
            let number = body.pointer("/pull_request/number").and_then(Value::as_u64).unwrap_or(0);
            let commit = Some(text(body, "/pull_request/merge_commit_sha")).filter(|sha| is_commit(sha));
            fixes(&format!("{title}\n{words}"))
                .into_iter()
                .map(|ticket| Wish::Resolve {
                    ticket,
                    why: format!("GitHub pull request #{number} was merged by {by}: {}", short(title)),
                    commit: commit.map(str::to_owned),
                })
                .collect()
        }
        ("workflow_run", "completed") => {
            let name = short(text(body, "/workflow_run/name"));
            let conclusion = short(text(body, "/workflow_run/conclusion"));
            let commit = text(body, "/workflow_run/head_sha");
            let words = format!(
                "{}\n{}",
                text(body, "/workflow_run/display_title"),
                text(body, "/workflow_run/head_commit/message")
            );
            fixes(&words)
                .into_iter()
                .map(|ticket| Wish::Note {
                    ticket,
                    text: format!("GitHub workflow {name} finished: {conclusion}, commit {}", short(commit)),
                })
                .collect()
        }
        _ => Vec::new(),
    }
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

/// Tickets behind one of GitHub's closing words: `Fixes ACT-…`.
fn fixes(text: &str) -> Vec<TicketId> {
    const WORDS: [&str; 9] =
        ["fix", "fixes", "fixed", "close", "closes", "closed", "resolve", "resolves", "resolved"];
    let mut words = text
        .split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')'))
        .filter(|w| !w.is_empty());
    let mut found = Vec::new();
    let mut closing = false;
    for word in &mut words {
        let plain = word.trim_end_matches([':', '.', '!', ',']).to_ascii_lowercase();
        match word.trim_end_matches(['.', '!', ',', ':']).parse::<TicketId>() {
            Ok(ticket) if closing => {
                if !found.contains(&ticket) && found.len() < TICKETS_MAX {
                    found.push(ticket);
                }
                // `Fixes ACT-1, ACT-2` closes both.
            }
            _ => closing = WORDS.contains(&plain.as_str()) || (closing && plain == "and"),
        }
    }
    found
}

/// Tickets of the hidden markers that issues of ours carry.
fn marked(text: &str) -> Vec<TicketId> {
    text.split("<!-- actifix:")
        .skip(1)
        .filter_map(|rest| rest.split(" -->").next()?.parse().ok())
        .take(TICKETS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "ACT-20261124-7K3QF";
    const TWO: &str = "ACT-20261124-8K3QF";

    fn ids(found: Vec<TicketId>) -> Vec<String> {
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn closing_words_close_and_others_do_not() {
        for (text, expected) in [
            (format!("Fixes {ONE}"), vec![ONE]),
            (format!("fixed: {ONE}."), vec![ONE]),
            (format!("A title\n\nCloses {ONE}, {TWO} and more"), vec![ONE, TWO]),
            (format!("resolves {ONE} and {TWO}"), vec![ONE, TWO]),
            (format!("see {ONE}"), vec![]),
            (format!("prefixes {ONE}"), vec![]),
            (format!("Fixes nothing of {ONE}"), vec![]),
            ("Fixes ACT-20261124".to_owned(), vec![]),
            (String::new(), vec![]),
        ] {
            assert_eq!(ids(fixes(&text)), expected, "{text}");
        }
        assert_eq!(ids(marked(&format!("text <!-- actifix:{ONE} --> more"))), [ONE]);
        assert!(marked("<!-- actifix:../../x -->").is_empty());
    }

    #[test]
    fn only_what_is_known_of_github_asks_for_anything() {
        let merged = json!({ "action": "closed", "sender": { "login": "jo" }, "pull_request": {
            "merged": true, "number": 7, "title": "Refund once", "body": format!("Fixes {ONE}"),
            "merge_commit_sha": "0123456789abcdef0123456789abcdef01234567" } });
        let wishes = github_wishes("pull_request", &merged);
        assert!(matches!(&wishes[..], [Wish::Resolve { commit: Some(_), .. }]), "{wishes:?}");
        let mut open = merged.clone();
        open["pull_request"]["merged"] = json!(false);
        assert!(github_wishes("pull_request", &open).is_empty());
        assert!(github_wishes("push", &merged).is_empty());
        for broken in
            [json!(null), json!([]), json!({ "action": 5 }), json!({ "action": "closed", "issue": 1 })]
        {
            assert!(github_wishes("issues", &broken).is_empty());
            assert!(standard_wishes(&broken).is_empty());
        }
    }
}
