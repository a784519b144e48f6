//! What each step does. Each can be repeated: what was replaced since the order is left alone.

use super::{Kind, Stage, Step};
use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{Rotation, SealedHook};
use crate::secrets::SecretText;
use actifix_domain::access::Actor;
use actifix_domain::audit::Action;
use actifix_domain::time::Timestamp;
use serde_json::json;
use zeroize::Zeroizing;

/// Names that one step remembers.
const NAMES_MAX: usize = 1_000;

impl App {
    pub(super) async fn take_step(
        &self,
        actor: &Actor,
        step: &mut Step,
        since: Timestamp,
        shown: &mut Vec<(String, SecretText)>,
    ) -> Result<()> {
        step.stage = Stage::Done;
        match step.kind {
            Kind::Tokens => {
                let live = self.live_tokens(&Actor::System).await?;
                let names: Vec<_> = live.iter().take(NAMES_MAX).map(|token| token.name.clone()).collect();
                let revoked = self.revoke_tokens(&Actor::System, None).await?;
                step.detail = json!({ "revoked": revoked, "names": names });
            }
            Kind::Sessions => step.detail = json!({ "ended": self.kill_all_sessions(&Actor::System).await? }),
            Kind::JwtKeys => {
                let key = self.rotate_signing_key(&Actor::System, true).await?;
                step.detail = json!({ "signs_now": key.id });
            }
            Kind::WebhookSecrets => self.rotate_webhooks(step, since, shown).await?,
            Kind::DsnKeys => self.rotate_ingest_keys(step, since).await?,
            Kind::RootKey => self.wrap_anew(actor, step, since).await?,
        }
        Ok(())
    }

    /// Channels that sign and sources that are verified get new secrets. Others hold addresses and tokens that their
    /// providers give out: these are named.
    async fn rotate_webhooks(
        &self,
        step: &mut Step,
        since: Timestamp,
        shown: &mut Vec<(String, SecretText)>,
    ) -> Result<()> {
        let mut others = Vec::new();
        let mut rotated = 0u64;
        for endpoint in self.store.endpoints().await? {
            let record = endpoint.record;
            if record.kind != "webhook" {
                others.push(record.name);
            } else if record.updated_at < since {
                let new = self.rotate_endpoint(&Actor::System, &record.name, 0).await?;
                shown.push((format!("webhook {}", record.name), new.secret));
                rotated += 1;
            }
        }
        for hook in self.store.hooks().await? {
            if step.names.contains(&hook.name) {
                continue;
            }
            let secret = self.rotate_hook(&hook.name).await?;
            shown.push((format!("hook {}", hook.name), secret));
            step.names.push(hook.name);
            rotated += 1;
        }
        if !others.is_empty() {
            step.stage = Stage::Todo;
        }
        step.detail = json!({
            "rotated": rotated,
            "replace_at_their_providers": others,
            "then": (!others.is_empty()).then_some("actifix webhook remove NAME, actifix webhook add NAME --stdin"),
        });
        Ok(())
    }

    /// Gives a source of signed requests another secret, which is returned once.
    pub(super) async fn rotate_hook(&self, name: &str) -> Result<SecretText> {
        let hook = self.store.hook(name).await?.ok_or(Error::NotFound { what: "inbound source" })?;
        let mut random = [0u8; 32];
        self.ids.random(&mut random);
        let secret = SecretText::new(crate::delivery::new_secret(random));
        let clear = Zeroizing::new([name.as_bytes(), &[0], secret.reveal().as_bytes()].concat());
        let sealed = SealedHook { sealed: self.vault.seal(crate::hooks::HOOKS, &clear)?, ..hook };
        let detail = json!({ "act": "rotated" });
        let project = Some(sealed.record.project);
        let audit =
            self.audit(&Actor::System, Action::WebhookChanged, format!("hook:{name}"), project, detail);
        if self.store.save_hook_secret(&sealed, &audit).await? {
            Ok(secret)
        } else {
            Err(Error::NotFound { what: "inbound source" })
        }
    }

    async fn rotate_ingest_keys(&self, step: &mut Step, since: Timestamp) -> Result<()> {
        let (mut rotated, mut projects) = (0u64, Vec::new());
        for project in self.store.projects().await? {
            let id = project.id.to_string();
            for record in self.store.keys(project.id).await? {
                if record.key.enabled && record.key.created_at < since {
                    self.rotate_key(&Actor::System, &id, &record.key.public_key, None).await?;
                    rotated += 1;
                    if projects.last() != Some(&project.name) && projects.len() < NAMES_MAX {
                        projects.push(project.name.clone());
                    }
                }
            }
        }
        let then = "give SDKs their new DSN: `actifix dsn PROJECT`";
        step.detail = json!({ "rotated": rotated, "projects": projects, "then": then });
        Ok(())
    }

    /// A root key that this program cannot write anywhere is a person's to replace.
    async fn wrap_anew(&self, actor: &Actor, step: &mut Step, since: Timestamp) -> Result<()> {
        let before = self.vault.status()?;
        if before.recorded_at.is_some_and(|at| at >= since) {
            step.detail = json!({ "key_id": before.key_id, "backend": before.backend });
            return Ok(());
        }
        match self.rotate_root_key(actor, Rotation::default()).await {
            Ok(status) => {
                let then = "make a backup (`actifix backup create`): older ones open with this key only where a later one \
                            lies beside them. Whoever has the former root key, an older backup and its age key still \
                            reads that backup: remove its copies, or replace the age key";
                step.detail = json!({ "key_id": status.key_id, "backend": status.backend, "then": then });
            }
            Err(Error::Conflict { message, .. }) => {
                step.stage = Stage::Todo;
                step.detail = json!({ "why": message, "then": "actifix secrets rotate-key" });
            }
            Err(Error::Invalid(_)) => {
                step.stage = Stage::Todo;
                let why =
                    format!("the root key comes from {}, which this program cannot write", before.backend);
                step.detail = json!({ "why": why, "then": "actifix secrets rotate-key" });
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
