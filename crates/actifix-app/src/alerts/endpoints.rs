//! Channels: made, tried, switched on and off, their secrets replaced. Addresses and tokens go in and are not shown.

use crate::app::App;
use crate::delivery::{
    Attempting, ChannelConfig, Kind, Notice, SECRETS_MAX, SigningSecret, attempt, new_secret, new_seed,
    public_key,
};
use crate::error::{Error, Result};
use crate::figures::announce_deliveries;
use crate::ports::{Backlog, Courier, EndpointRecord, NewDelivery, SealedEndpoint};
use crate::secrets::SecretText;
use actifix_domain::access::{Actor, Scope};
use actifix_domain::alert::{AddressPolicy, NAME_FORM, Signal, Trigger, is_name};
use actifix_domain::audit::Action;
use actifix_domain::id::ProjectId;
use actifix_domain::ticket::Priority;
use actifix_domain::time::{HOUR, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use url::Url;
use zeroize::Zeroizing;

/// Vault purpose of channels.
const ENDPOINTS: &str = "endpoint";
/// Longest time for which an old signing secret goes on, hours.
const OVERLAP_HOURS_MAX: u32 = 168;

/// A channel that somebody makes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddEndpoint {
    /// Name.
    pub name: String,
    /// Form; by default that of the address.
    #[serde(default)]
    pub kind: Option<String>,
    /// Address.
    #[serde(default)]
    pub url: Option<String>,
    /// Token or password.
    #[serde(default)]
    pub token: Option<String>,
    /// Name at the mail server.
    #[serde(default)]
    pub username: Option<String>,
    /// Telegram's chat, GitHub's repository.
    #[serde(default)]
    pub target: Option<String>,
    /// Sender of mail.
    #[serde(default)]
    pub from: Option<String>,
    /// Receivers of mail.
    #[serde(default)]
    pub to: Vec<String>,
    /// Only signals of this project.
    #[serde(default)]
    pub project: Option<String>,
    /// People are called out by it; default true.
    #[serde(default)]
    pub production: Option<bool>,
    /// Sign with Ed25519 besides HMAC; only of kind `webhook`.
    #[serde(default)]
    pub ed25519: bool,
}

impl std::fmt::Debug for AddEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddEndpoint").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A channel with what waits for it.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointView {
    /// The channel.
    #[serde(flatten)]
    pub record: EndpointRecord,
    /// `closed` (all is well), `open` (nothing is tried before `next_attempt_at`), `half_open` (one is tried).
    pub breaker: &'static str,
    /// Messages that wait.
    pub pending: u64,
    /// When the oldest of them was decided.
    pub oldest_pending_at: Option<Timestamp>,
    /// Messages that were given up.
    pub dead: u64,
}

/// A channel that was just made. Its secrets are shown now and never again.
#[derive(Clone, Debug)]
pub struct NewEndpoint {
    /// The channel.
    pub record: EndpointRecord,
    /// What receivers verify signatures with.
    pub secrets: Option<Rotated>,
}

/// Secrets that are shown once.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// `whsec_…`
    pub secret: SecretText,
    /// `whpk_…`, which is public.
    pub public_key: Option<String>,
    /// Until when the former ones sign too.
    pub former_ends_at: Option<Timestamp>,
}

/// How trying a channel ended.
#[derive(Clone, Debug, Serialize)]
pub struct Tested {
    /// The receiver has it.
    pub delivered: bool,
    /// Class of the failure.
    pub failure: Option<&'static str>,
    /// Status of the answer.
    pub status: Option<u16>,
    /// Id of the message.
    pub id: String,
    /// Milliseconds that it took.
    pub milliseconds: i64,
}

/// A channel whose seal is open.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) record: EndpointRecord,
    pub(crate) channel: ChannelConfig,
    /// By which attempts under way are counted.
    pub(crate) host: String,
}

impl App {
    /// Gives the way out. Once, at the start.
    pub fn set_courier(&self, courier: Arc<dyn Courier>) {
        let _given_before = self.alerts.courier.set(courier);
    }

    pub(crate) fn courier(&self) -> Result<&Arc<dyn Courier>> {
        self.alerts.courier.get().ok_or_else(|| Error::internal("no way out was given"))
    }

    /// All channels with what waits for them.
    pub async fn endpoints(&self, actor: &Actor) -> Result<Vec<EndpointView>> {
        Self::require(actor, Scope::Admin, None)?;
        let (endpoints, backlog) = (self.store.endpoints().await?, self.store.backlog().await?);
        Ok(endpoints.into_iter().map(|sealed| self.endpoint_view(sealed.record, &backlog)).collect())
    }

    /// One channel.
    pub async fn endpoint(&self, actor: &Actor, name: &str) -> Result<EndpointView> {
        let all = self.endpoints(actor).await?;
        all.into_iter().find(|view| view.record.name == name).ok_or(Error::NotFound { what: "webhook" })
    }

    fn endpoint_view(&self, record: EndpointRecord, backlog: &[Backlog]) -> EndpointView {
        let waits = backlog.iter().find(|waits| waits.endpoint == record.name);
        let broken = record.streak >= actifix_domain::alert::BREAKER_STREAK;
        let waiting = record.next_attempt_at.is_some_and(|at| at > self.now());
        EndpointView {
            breaker: match (broken, waiting) {
                (false, _) => "closed",
                (true, true) => "open",
                (true, false) => "half_open",
            },
            pending: waits.map_or(0, |waits| waits.pending),
            oldest_pending_at: waits.and_then(|waits| waits.oldest_at),
            dead: waits.map_or(0, |waits| waits.dead),
            record,
        }
    }

    /// Makes a channel.
    pub async fn add_endpoint(&self, actor: &Actor, add: AddEndpoint) -> Result<NewEndpoint> {
        Self::require(actor, Scope::Admin, None)?;
        let name = add.name.clone();
        if !is_name(&name) {
            return Err(Error::invalid("name", NAME_FORM));
        }
        let project = match &add.project {
            Some(project) => Some(self.project(actor, project).await?.id),
            None => None,
        };
        let production = add.production.unwrap_or(true);
        let mut channel = channel_of(add)?;
        channel.validate(&self.settings.outbound)?;
        let secrets = self.sign_anew(&mut channel, None);
        let record = self.new_record(&name, &channel, project, production, false);
        let sealed = self.seal_endpoint(record, &channel)?;
        let detail = json!({ "act": "added", "kind": channel.kind.as_str(), "place": channel.place() });
        let audit = self.audit(actor, Action::WebhookChanged, format!("webhook:{name}"), project, detail);
        self.store.add_endpoint(&sealed, &audit).await?;
        announce_deliveries(&sealed.record.name);
        tracing::info!(webhook = name, kind = channel.kind.as_str(), "webhook.added");
        Ok(NewEndpoint { record: sealed.record, secrets })
    }

    fn new_record(
        &self,
        name: &str,
        channel: &ChannelConfig,
        project: Option<ProjectId>,
        production: bool,
        from_environment: bool,
    ) -> EndpointRecord {
        let now = self.now();
        EndpointRecord {
            id: self.random_hex(),
            name: name.to_owned(),
            kind: channel.kind.as_str().to_owned(),
            project,
            place: channel.place(),
            production,
            enabled: true,
            from_environment,
            disabled_reason: None,
            streak: 0,
            last_failure: None,
            last_failure_at: None,
            last_success_at: None,
            next_attempt_at: None,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// 128 random bits as 32 hex digits.
    pub(crate) fn random_hex(&self) -> String {
        let mut bytes = [0u8; 16];
        self.ids.random(&mut bytes);
        hex::encode(bytes)
    }

    /// Puts a new secret first, and a new key where there was one; the former ones go on until `former_ends_at`.
    fn sign_anew(&self, channel: &mut ChannelConfig, former_ends_at: Option<Timestamp>) -> Option<Rotated> {
        if channel.kind != Kind::Webhook {
            return None;
        }
        let random = || {
            let mut bytes = [0u8; 32];
            self.ids.random(&mut bytes);
            bytes
        };
        let secret = new_secret(random());
        let mut former = std::mem::take(&mut channel.secrets);
        former.truncate(SECRETS_MAX - 1);
        former.iter_mut().for_each(|secret| secret.ends_at = former_ends_at);
        former.retain(|secret| secret.ends_at.is_some());
        channel.secrets = vec![SigningSecret { text: secret.clone(), ends_at: None }];
        channel.secrets.extend(former);
        if let Some(former) = channel.seed.take() {
            channel.seed = Some(new_seed(random()));
            // One key before this one at most; of a new channel there is none.
            let former = Some(former).filter(|former| !former.is_empty() && former_ends_at.is_some());
            channel.former_seeds =
                former.map(|text| SigningSecret { text, ends_at: former_ends_at }).into_iter().collect();
        }
        let public_key = channel.seed.as_deref().and_then(public_key);
        Some(Rotated { secret: SecretText::new(secret), public_key, former_ends_at })
    }

    /// Replaces the signing secret; the former one signs beside it for `overlap_hours`.
    pub async fn rotate_endpoint(&self, actor: &Actor, name: &str, overlap_hours: u32) -> Result<Rotated> {
        Self::require(actor, Scope::Admin, None)?;
        if overlap_hours > OVERLAP_HOURS_MAX {
            return Err(Error::invalid("overlap_hours", format!("0 to {OVERLAP_HOURS_MAX}")));
        }
        let opened = self.open_named(name).await?;
        let mut channel = opened.channel.clone();
        let ends_at = (overlap_hours > 0).then(|| self.now().plus(i64::from(overlap_hours) * HOUR));
        let rotated = self.sign_anew(&mut channel, ends_at).ok_or_else(|| {
            Error::conflict(
                "only channels of kind webhook sign: replace the address or token of this one instead",
            )
        })?;
        self.save_endpoint(actor, opened.record.clone(), &channel, "rotated").await?;
        Ok(rotated)
    }

    /// Switches a channel on or off.
    pub async fn switch_endpoint(&self, actor: &Actor, name: &str, on: bool) -> Result<EndpointRecord> {
        Self::require(actor, Scope::Admin, None)?;
        let sealed = self.sealed_named(name).await?;
        let mut record = sealed.record.clone();
        (record.enabled, record.disabled_reason) = (on, None);
        if on {
            // What would not be let in now does not come back by being switched on.
            self.open(&sealed)?.channel.validate(&self.settings.outbound)?;
            // Nor does it wait for what failed before, though it be on already: somebody mended it.
            (record.streak, record.next_attempt_at) = (0, None);
        }
        record.updated_at = self.now();
        let act = if on { "enabled" } else { "disabled" };
        let target = format!("webhook:{name}");
        let audit = self.audit(actor, Action::WebhookChanged, target, record.project, json!({ "act": act }));
        let saved =
            self.store.save_endpoint(&SealedEndpoint { record, sealed: sealed.sealed }, &audit).await?;
        self.alerts.wake.notify_one();
        Ok(saved)
    }

    async fn save_endpoint(
        &self,
        actor: &Actor,
        mut record: EndpointRecord,
        channel: &ChannelConfig,
        act: &str,
    ) -> Result<EndpointRecord> {
        record.place = channel.place();
        channel.kind.as_str().clone_into(&mut record.kind);
        record.updated_at = self.now();
        let target = format!("webhook:{}", record.name);
        let audit = self.audit(actor, Action::WebhookChanged, target, record.project, json!({ "act": act }));
        let sealed = self.seal_endpoint(record, channel)?;
        self.store.save_endpoint(&sealed, &audit).await
    }

    /// Removes a channel with its deliveries.
    pub async fn remove_endpoint(&self, actor: &Actor, name: &str) -> Result<()> {
        Self::require(actor, Scope::Admin, None)?;
        let target = format!("webhook:{name}");
        let audit = self.audit(actor, Action::WebhookChanged, target, None, json!({ "act": "removed" }));
        if !self.store.remove_endpoint(name, &audit).await? {
            return Err(Error::NotFound { what: "webhook" });
        }
        tracing::info!(webhook = name, "webhook.removed");
        Ok(())
    }

    /// Sends a message that says it is a test. A channel of production asks for `confirmed`.
    pub async fn test_endpoint(&self, actor: &Actor, name: &str, confirmed: bool) -> Result<Tested> {
        Self::require(actor, Scope::Admin, None)?;
        let opened = self.open_named(name).await?;
        if opened.record.production && !confirmed {
            return Err(Error::conflict(
                "this channel is in production, and people will see the test: confirm it (--yes), or add the channel with --not-production",
            ));
        }
        let now = self.now();
        let mut signal = Signal::new(Trigger::New, now, "test", "Test of this channel: nothing happened");
        signal.priority = Some(Priority::P4);
        signal.detail = "sent by `actifix webhook test`".to_owned();
        let notice = Notice { test: true, ..Notice::single("test", &signal) };
        let id = self.delivery_id();
        let message = self.message(&id, now, &notice).await?;
        let started = self.clock.monotonic_micros();
        let attempting =
            Attempting { channel: &opened.channel, message: &message, now, attempts: 1, issue: None };
        let sent = attempt(self.courier()?, &attempting, self.settings.outbound_timeout_seconds).await;
        let milliseconds = self.clock.monotonic_micros().saturating_sub(started) / 1_000;
        let delivery = NewDelivery {
            id: id.clone(),
            endpoint: opened.record.id.clone(),
            trigger: None,
            ticket: None,
            notice: serde_json::to_string(&notice).map_err(Error::internal)?,
            created_at: now,
        };
        self.store.record_test(delivery, sent.failure, sent.status).await?;
        if sent.failure.is_none() {
            // What waited behind failures has its turn now.
            self.alerts.wake.notify_one();
        }
        let failure = sent.failure.map(actifix_domain::alert::Failure::as_str);
        self.record_act(
            actor,
            Action::WebhookChanged,
            format!("webhook:{name}"),
            json!({ "act": "tested", "failure": failure }),
        )
        .await?;
        Ok(Tested { delivered: failure.is_none(), failure, status: sent.status, id, milliseconds })
    }

    /// A new id of a message, as receivers see it.
    pub(crate) fn delivery_id(&self) -> String {
        format!("msg_{}", self.random_hex())
    }

    /// Makes the channels that the environment names, and removes those that it named before.
    pub async fn sync_environment_endpoints(&self, wanted: Vec<AddEndpoint>) -> Result<()> {
        let actor = Actor::System;
        let known = self.store.endpoints().await?;
        let names: BTreeSet<&str> = wanted.iter().map(|add| add.name.as_str()).collect();
        for sealed in known.iter().filter(|sealed| sealed.record.from_environment) {
            if !names.contains(sealed.record.name.as_str()) {
                self.remove_endpoint(&actor, &sealed.record.name).await?;
            }
        }
        for add in wanted {
            let name = add.name.clone();
            if !is_name(&name) {
                return Err(Error::invalid("ACTIFIX_WEBHOOK_URLS", format!("a name is {NAME_FORM}")));
            }
            let mut channel = channel_of(add)?;
            channel.validate(&self.settings.outbound)?;
            match known.iter().find(|sealed| sealed.record.name == name) {
                None => {
                    self.sign_anew(&mut channel, None);
                    let record = self.new_record(&name, &channel, None, true, true);
                    let sealed = self.seal_endpoint(record, &channel)?;
                    let detail = json!({ "act": "added", "from": "environment", "place": channel.place() });
                    let target = format!("webhook:{name}");
                    let audit = self.audit(&actor, Action::WebhookChanged, target, None, detail);
                    self.store.add_endpoint(&sealed, &audit).await?;
                    announce_deliveries(&name);
                }
                Some(sealed) if !sealed.record.from_environment => {
                    return Err(Error::conflict(format!(
                        "ACTIFIX_WEBHOOK_URLS names the channel {name}, which was added by hand: choose another name"
                    )));
                }
                Some(sealed) => {
                    let opened = self.open(sealed)?;
                    if opened.channel.url != channel.url || opened.channel.kind != channel.kind {
                        channel.secrets.clone_from(&opened.channel.secrets);
                        if channel.secrets.is_empty() {
                            self.sign_anew(&mut channel, None);
                        }
                        self.save_endpoint(&actor, opened.record.clone(), &channel, "changed").await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Channels that are switched on, and what is wrong with the address of each: it is looked at as it is stored.
    pub async fn webhook_facts(&self) -> Result<Vec<(String, Option<String>)>> {
        let enabled = self.store.endpoints().await?.into_iter().filter(|sealed| sealed.record.enabled);
        let judged = enabled.map(|sealed| {
            let wrong = match self.open(&sealed) {
                Ok(opened) => opened.channel.validate(&self.settings.outbound).err(),
                Err(error) => Some(error),
            };
            (sealed.record.name, wrong.map(|error| error.to_string()))
        });
        Ok(judged.collect())
    }

    pub(crate) async fn sealed_named(&self, name: &str) -> Result<SealedEndpoint> {
        let all = self.store.endpoints().await?;
        all.into_iter().find(|sealed| sealed.record.name == name).ok_or(Error::NotFound { what: "webhook" })
    }

    async fn open_named(&self, name: &str) -> Result<Arc<Opened>> {
        self.open(&self.sealed_named(name).await?)
    }

    fn seal_endpoint(&self, record: EndpointRecord, channel: &ChannelConfig) -> Result<SealedEndpoint> {
        let json = Zeroizing::new(serde_json::to_vec(channel).map_err(Error::internal)?);
        // The id is sealed with it, so that rows cannot be exchanged for one another.
        let clear = Zeroizing::new([record.id.as_bytes(), &[0], &json].concat());
        let sealed = self.vault.seal(ENDPOINTS, &clear)?;
        Ok(SealedEndpoint { record, sealed })
    }

    /// Opens the seal of a channel and looks at what was in it: a row that was changed is not used.
    pub(crate) fn open(&self, sealed: &SealedEndpoint) -> Result<Arc<Opened>> {
        let record = &sealed.record;
        let mut opened = self.alerts.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = opened.get(&record.id)
            && known.record.version == record.version
        {
            let fresh =
                Opened { record: record.clone(), channel: known.channel.clone(), host: known.host.clone() };
            return Ok(Arc::new(fresh));
        }
        let clear = Zeroizing::new(self.vault.open(ENDPOINTS, &sealed.sealed)?);
        let json = clear.strip_prefix(record.id.as_bytes()).and_then(|rest| rest.strip_prefix(&[0]));
        let json = json.ok_or_else(|| {
            Error::conflict("the sealed channel belongs to another row: the database was changed")
        })?;
        // The parser's error could repeat what it read.
        let channel: ChannelConfig =
            serde_json::from_slice(json).map_err(|_| Error::internal("a sealed channel does not read"))?;
        let known = Arc::new(Opened { record: record.clone(), host: channel.host(), channel });
        if opened.len() >= actifix_domain::alert::ENDPOINTS_MAX {
            opened.clear();
        }
        opened.insert(record.id.clone(), Arc::clone(&known));
        Ok(known)
    }
}

/// Whether a channel could be made like this, for whoever has no App.
pub fn judge_endpoint(add: AddEndpoint, policy: &AddressPolicy) -> Result<()> {
    if !is_name(&add.name) {
        return Err(Error::invalid("name", NAME_FORM));
    }
    channel_of(add)?.validate(policy)
}

fn channel_of(mut add: AddEndpoint) -> Result<ChannelConfig> {
    let url = add.url.take().filter(|url| !url.is_empty());
    let kind = match &add.kind {
        Some(kind) => kind.parse::<Kind>().map_err(|why| Error::invalid("kind", why))?,
        None => {
            let host = url.as_deref().and_then(|url| Url::parse(url).ok()?.host_str().map(str::to_owned));
            Kind::of_host(&host.unwrap_or_default())
        }
    };
    let url = match (url, kind) {
        (Some(url), _) => url,
        (None, Kind::Telegram) => "https://api.telegram.org".to_owned(),
        (None, Kind::Github) => "https://api.github.com".to_owned(),
        (None, _) => return Err(Error::invalid("url", "the address of the channel")),
    };
    if add.ed25519 && kind != Kind::Webhook {
        return Err(Error::invalid("ed25519", "only channels of kind webhook sign"));
    }
    let mut channel = ChannelConfig::new(kind, url);
    (channel.token, channel.username, channel.target) =
        (add.token.take(), add.username.take(), add.target.take());
    (channel.from, channel.to) = (add.from.take(), std::mem::take(&mut add.to));
    // Replaced by a real one when the channel signs for the first time.
    channel.seed = add.ed25519.then(String::new);
    Ok(channel)
}
