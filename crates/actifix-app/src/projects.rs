//! Projects, ingest keys and their settings.

use crate::app::App;
use crate::error::{Error, FieldError, Result};
use crate::ports::{KeyRecord, MonitorView, OutcomeTotal};
use crate::recall::{Recall, Recalled};
use actifix_domain::access::{Actor, Scope};
use actifix_domain::approval;
use actifix_domain::audit::Action;
use actifix_domain::commit;
use actifix_domain::id::{ProjectId, PublicKey};
use actifix_domain::matcher;
use actifix_domain::project::{KeyKind, ORIGINS_MAX, Project, ProjectKey, ProjectSettings, RULES_MAX};
use actifix_domain::time::{SECOND, Timestamp};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Keys, unknown keys and projects that are remembered between requests, each.
const CACHE_MAX: usize = 10_000;
/// How long a remembered key is believed; a change by another process takes effect within this time.
const CACHE_MICROS: i64 = 2 * SECOND;
/// Tries of a change whose project or key moved in the meantime.
const SAVE_TRIES: u32 = 5;
/// Longest label of a key, characters.
const LABEL_CHARS_MAX: usize = 64;

/// A key with its project, as ingest needs them.
#[derive(Clone, Debug)]
pub struct KnownKey {
    /// The key.
    pub key: ProjectKey,
    /// Its project.
    pub project: Project,
}

/// What ingest asked for lately. Keys that nobody has are remembered apart: whoever tries keys at random must not
/// displace those of real senders.
pub(crate) struct KeyCache {
    known: Recall<PublicKey, Arc<KnownKey>>,
    unknown: Recall<PublicKey, ()>,
    origins: Recall<ProjectId, Arc<[Vec<String>]>>,
}

impl Default for KeyCache {
    fn default() -> Self {
        Self {
            known: Recall::new(CACHE_MAX, CACHE_MICROS),
            unknown: Recall::new(CACHE_MAX, CACHE_MICROS),
            origins: Recall::new(CACHE_MAX, CACHE_MICROS),
        }
    }
}

impl KeyCache {
    fn clear(&self) {
        self.known.forget();
        self.unknown.forget();
        self.origins.forget();
    }
}

/// What shall change on a key; `None` leaves it.
#[derive(Clone, Debug, Default)]
pub struct KeyChange {
    /// Switch on or off.
    pub enabled: Option<bool>,
    /// Who may hold it.
    pub kind: Option<KeyKind>,
    /// Events per minute; `Some(None)` returns to the default.
    pub rate_per_minute: Option<Option<u32>>,
    /// Allowed origins.
    pub allowed_origins: Option<Vec<String>>,
    /// Name for people.
    pub label: Option<String>,
}

impl App {
    /// The key with this public part and its project, from memory if possible.
    pub(crate) async fn known_key(&self, public_key: &PublicKey) -> Result<Option<Arc<KnownKey>>> {
        let now = self.clock.monotonic_micros();
        let read = match self.keys.known.get(public_key, now) {
            Recalled::Known(known) => return Ok(Some(known)),
            Recalled::Ask(read) => read,
        };
        let nothing = match self.keys.unknown.get(public_key, now) {
            Recalled::Known(()) => return Ok(None),
            Recalled::Ask(nothing) => nothing,
        };
        let found = match self.store.key(public_key).await? {
            Some(key) => {
                self.store.project(key.project).await?.map(|project| Arc::new(KnownKey { key, project }))
            }
            None => None,
        };
        match &found {
            Some(known) => self.keys.known.put(read, public_key.clone(), Arc::clone(known)),
            None => self.keys.unknown.put(nothing, public_key.clone(), ()),
        }
        Ok(found)
    }

    /// What is remembered of a key, `Some(None)` of one that nobody has; none where the store must be asked.
    pub(crate) fn recalled_key(&self, public_key: &PublicKey) -> Option<Option<Arc<KnownKey>>> {
        let now = self.clock.monotonic_micros();
        match (self.keys.known.get(public_key, now), self.keys.unknown.get(public_key, now)) {
            (Recalled::Known(known), _) => Some(Some(known)),
            (_, Recalled::Known(())) => Some(None),
            _ => None,
        }
    }

    /// What is remembered of a project's origins.
    pub(crate) fn recalled_origins(&self, project: ProjectId) -> Option<Arc<[Vec<String>]>> {
        match self.keys.origins.get(&project, self.clock.monotonic_micros()) {
            Recalled::Known(origins) => Some(origins),
            Recalled::Ask(_) => None,
        }
    }

    /// The lists of origins of a project's enabled keys, from memory if possible: every preflight asks for them.
    pub(crate) async fn project_origins(&self, project: ProjectId) -> Result<Arc<[Vec<String>]>> {
        let read = match self.keys.origins.get(&project, self.clock.monotonic_micros()) {
            Recalled::Known(origins) => return Ok(origins),
            Recalled::Ask(read) => read,
        };
        let keys = self.store.keys(project).await?;
        let enabled = keys.into_iter().filter(|record| record.key.enabled);
        let origins: Arc<[Vec<String>]> = enabled.map(|record| record.key.allowed_origins).collect();
        self.keys.origins.put(read, project, Arc::clone(&origins));
        Ok(origins)
    }

    /// Makes a project with one browser key.
    pub async fn create_project(
        &self,
        actor: &Actor,
        id: Option<ProjectId>,
        name: &str,
    ) -> Result<(Project, ProjectKey)> {
        Self::require(actor, Scope::Admin, None)?;
        if !Project::is_valid_name(name) {
            return Err(Error::invalid(
                "name",
                "1 to 64 letters, digits, `-`, `_` or `.`, not only digits, not starting with `-` or `.`",
            ));
        }
        if id.is_some_and(|id| id.0 < 1) {
            return Err(Error::invalid("id", "a decimal number from 1"));
        }
        if self.redact_text(&ProjectSettings::default(), name) != name {
            return Err(Error::invalid("name", "this looks like a secret; a name is shown everywhere"));
        }
        let now = self.now();
        let mut key = self.new_key(ProjectId(0), "default", None, now)?;
        let target = format!("project:{name}");
        let audit = self.audit(actor, Action::ProjectCreated, target, id, json!({ "key": key_label(&key) }));
        let project = self.store.create_project(id, name, Some(&key), now, &audit).await?;
        key.project = project.id;
        self.keys.clear();
        Ok((project, key))
    }

    /// All projects that the actor may see.
    pub async fn projects(&self, actor: &Actor) -> Result<Vec<Project>> {
        let bound = Self::confine(actor, Scope::TicketsRead, None)?;
        let mut projects = self.store.projects().await?;
        projects.retain(|project| bound.is_none_or(|bound| bound == project.id));
        Ok(projects)
    }

    /// A project by id or name.
    pub async fn project(&self, actor: &Actor, name_or_id: &str) -> Result<Project> {
        self.project_for(actor, Scope::TicketsRead, name_or_id).await
    }

    /// As [`App::project`], for whoever holds another right: a token of a build server reads no tickets.
    pub async fn project_for(&self, actor: &Actor, scope: Scope, name_or_id: &str) -> Result<Project> {
        let found = match name_or_id.parse::<ProjectId>() {
            Ok(id) => self.store.project(id).await?,
            Err(_) => self.store.project_by_name(name_or_id).await?,
        };
        let project = found.ok_or(Error::NotFound { what: "project" })?;
        Self::require_visible(actor, scope, project.id, "project")?;
        Ok(project)
    }

    /// Settings of a project that was found before; the usual ones if it is gone by now.
    pub(crate) async fn settings_of(&self, project: ProjectId) -> Result<ProjectSettings> {
        Ok(self.store.project(project).await?.map(|project| project.settings).unwrap_or_default())
    }

    /// Changes some of a project's settings, the others stay; `expected_version` refuses a stale change.
    pub async fn change_project_settings(
        &self,
        actor: &Actor,
        name_or_id: &str,
        changes: &Map<String, Value>,
        expected_version: Option<u64>,
    ) -> Result<Project> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut project = self.project(actor, name_or_id).await?;
            Self::require(actor, Scope::Admin, Some(project.id))?;
            if expected_version.is_some_and(|expected| expected != project.version) {
                return Err(Error::stale());
            }
            let before = std::mem::take(&mut project.settings);
            project.settings = merged(&before, changes)?;
            self.check_repository(&mut project.settings)?;
            check_settings(&project.settings)?;
            let detail = json!({ "before": only(&before, changes), "after": changes });
            let target = format!("project:{}", project.name);
            let audit = self.audit(actor, Action::SettingChanged, target, Some(project.id), detail);
            match self.store.save_project(&project, &audit).await {
                Err(Error::Conflict { stale: true, .. })
                    if expected_version.is_none() && tries < SAVE_TRIES => {}
                saved => {
                    self.keys.clear();
                    return saved;
                }
            }
        }
    }

    /// The address of a repository as it is kept: plain, so that links of it are addresses and nothing else, and
    /// without a credential.
    fn check_repository(&self, settings: &mut ProjectSettings) -> Result<()> {
        let Some(given) = settings.repository.take() else { return Ok(()) };
        let field = "settings.repository";
        let address = commit::repository(&given).map_err(|expected| Error::invalid(field, expected))?;
        if self.redact_text(settings, &address) != address {
            return Err(Error::invalid(
                field,
                "this looks like a secret: an address without a credential is enough",
            ));
        }
        settings.repository = Some(address);
        Ok(())
    }

    /// Keys of a project.
    pub async fn keys(&self, actor: &Actor, name_or_id: &str) -> Result<Vec<KeyRecord>> {
        let project = self.project(actor, name_or_id).await?;
        self.store.keys(project.id).await
    }

    /// Makes a key, or takes one over from another tracker.
    pub async fn create_key(
        &self,
        actor: &Actor,
        name_or_id: &str,
        label: &str,
        import: Option<PublicKey>,
    ) -> Result<ProjectKey> {
        let project = self.project(actor, name_or_id).await?;
        Self::require(actor, Scope::Admin, Some(project.id))?;
        check_label(label)?;
        let label = self.redact_text(&project.settings, label);
        let imported = import.is_some();
        let key = self.new_key(project.id, &label, import, self.now())?;
        let detail = json!({ "label": key.label, "kind": key.kind, "imported": imported });
        let audit = self.audit(actor, Action::KeyCreated, key_label(&key), Some(project.id), detail);
        self.store.add_key(&key, &audit).await?;
        self.keys.clear();
        Ok(key)
    }

    /// Changes a key; `expected_version` refuses a stale change.
    pub async fn change_key(
        &self,
        actor: &Actor,
        name_or_id: &str,
        public_key: &PublicKey,
        change: KeyChange,
        expected_version: Option<u64>,
    ) -> Result<ProjectKey> {
        let project = self.project(actor, name_or_id).await?;
        Self::require(actor, Scope::Admin, Some(project.id))?;
        check_key_change(&change)?;
        let label = change.label.as_deref().map(|label| self.redact_text(&project.settings, label));
        let mut tries = 0;
        loop {
            tries += 1;
            let mut key = self.key_of(project.id, public_key, expected_version).await?;
            let before = key.clone();
            if let Some(origins) = &change.allowed_origins {
                key.allowed_origins.clone_from(origins);
            }
            if let Some(label) = &label {
                key.label.clone_from(label);
            }
            key.rate_per_minute = change.rate_per_minute.unwrap_or(key.rate_per_minute);
            key.enabled = change.enabled.unwrap_or(key.enabled);
            key.kind = change.kind.unwrap_or(key.kind);
            let detail = json!({ "before": key_facts(&before), "after": key_facts(&key) });
            let audit = self.audit(actor, Action::KeyChanged, key_label(&key), Some(project.id), detail);
            match self.store.save_key(&key, &audit).await {
                Err(Error::Conflict { stale: true, .. })
                    if expected_version.is_none() && tries < SAVE_TRIES => {}
                saved => {
                    self.keys.clear();
                    return saved;
                }
            }
        }
    }

    /// Makes a new key like `public_key` and disables that one, both or neither.
    pub async fn rotate_key(
        &self,
        actor: &Actor,
        name_or_id: &str,
        public_key: &PublicKey,
        expected_version: Option<u64>,
    ) -> Result<ProjectKey> {
        let project = self.project(actor, name_or_id).await?;
        Self::require(actor, Scope::Admin, Some(project.id))?;
        let old = self.key_of(project.id, public_key, expected_version).await?;
        let new = ProjectKey {
            public_key: self.new_public_key()?,
            enabled: true,
            created_at: self.now(),
            version: 1,
            ..old.clone()
        };
        let detail = json!({ "new": key_label(&new) });
        let audit = self.audit(actor, Action::KeyRotated, key_label(&old), Some(project.id), detail);
        self.store.replace_key(&old, &new, &audit).await?;
        self.keys.clear();
        Ok(new)
    }

    /// DSN of a project: of its first enabled key.
    pub async fn dsn(&self, actor: &Actor, name_or_id: &str) -> Result<String> {
        let project = self.project(actor, name_or_id).await?;
        let keys = self.store.keys(project.id).await?;
        let record = keys.iter().find(|record| record.key.enabled).ok_or_else(|| {
            Error::conflict("the project has no enabled key: make one with `actifix project key create`")
        })?;
        self.dsn_of(&record.key)
    }

    /// DSN of a key.
    pub fn dsn_of(&self, key: &ProjectKey) -> Result<String> {
        actifix_protocol::dsn::Dsn::new(&self.settings.public_url, &key.public_key, key.project)
            .map(|dsn| dsn.to_string())
            .map_err(|error| Error::invalid("server.public_url", error.to_string()))
    }

    /// Monitors of a project.
    pub async fn monitors(&self, actor: &Actor, name_or_id: &str) -> Result<Vec<MonitorView>> {
        let project = self.project(actor, name_or_id).await?;
        self.store.monitors(project.id).await
    }

    /// Outcome totals of a project since a time.
    pub async fn outcomes(
        &self,
        actor: &Actor,
        name_or_id: &str,
        from: Timestamp,
    ) -> Result<Vec<OutcomeTotal>> {
        let project = self.project(actor, name_or_id).await?;
        self.store.outcomes(project.id, from).await
    }

    /// A key of the project, if it is still what the caller decided on.
    async fn key_of(
        &self,
        project: ProjectId,
        public_key: &PublicKey,
        expected_version: Option<u64>,
    ) -> Result<ProjectKey> {
        let found = self.store.key(public_key).await?.filter(|key| key.project == project);
        let key = found.ok_or(Error::NotFound { what: "key" })?;
        if expected_version.is_some_and(|expected| expected != key.version) {
            return Err(Error::stale());
        }
        Ok(key)
    }

    fn new_key(
        &self,
        project: ProjectId,
        label: &str,
        import: Option<PublicKey>,
        now: Timestamp,
    ) -> Result<ProjectKey> {
        let public_key = match import {
            Some(key) => key,
            None => self.new_public_key()?,
        };
        Ok(ProjectKey {
            project,
            public_key,
            label: label.to_owned(),
            kind: KeyKind::default(),
            enabled: true,
            allowed_origins: Vec::new(),
            rate_per_minute: None,
            created_at: now,
            version: 1,
        })
    }

    fn new_public_key(&self) -> Result<PublicKey> {
        let mut bytes = [0u8; 16];
        self.ids.random(&mut bytes);
        hex::encode(bytes).parse().map_err(Error::internal)
    }
}

/// A key as the audit log names it. It is no secret, but the log need not hold it.
fn key_label(key: &ProjectKey) -> String {
    let start: String = key.public_key.as_str().chars().take(8).collect();
    format!("key:{start}…")
}

/// What can be changed on a key.
fn key_facts(key: &ProjectKey) -> Value {
    json!({
        "enabled": key.enabled, "kind": key.kind, "label": key.label, "allowed_origins": key.allowed_origins,
        "rate_per_minute": key.rate_per_minute,
    })
}

/// Those of the settings that `changes` names.
fn only(settings: &ProjectSettings, changes: &Map<String, Value>) -> Value {
    let all = serde_json::to_value(settings).unwrap_or_default();
    changes
        .keys()
        .filter_map(|name| Some((name.clone(), all.get(name)?.clone())))
        .collect::<Map<_, _>>()
        .into()
}

/// Settings with some of them changed; an unknown name or a value of the wrong form is refused.
fn merged(settings: &ProjectSettings, changes: &Map<String, Value>) -> Result<ProjectSettings> {
    let mut merged = serde_json::to_value(settings).map_err(Error::internal)?;
    if let Some(map) = merged.as_object_mut() {
        map.extend(changes.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    serde_json::from_value(merged).map_err(|_| blame(changes))
}

/// The first change that alone is refused.
fn blame(changes: &Map<String, Value>) -> Error {
    let all = ProjectSettings {
        sample_after: Some(0),
        repository: Some(String::new()),
        ..ProjectSettings::default()
    };
    let Ok(Value::Object(all)) = serde_json::to_value(&all) else {
        return Error::invalid("settings", "not an object");
    };
    let names: Vec<&str> = all.keys().map(String::as_str).collect();
    for (name, value) in changes {
        let Some(usual) = all.get(name) else {
            return Error::invalid("settings", format!("an unknown name; there are {}", names.join(", ")));
        };
        let mut alone = all.clone();
        alone.insert(name.clone(), value.clone());
        if serde_json::from_value::<ProjectSettings>(Value::Object(alone)).is_err() {
            let form = match usual {
                Value::Bool(_) => "true or false".to_owned(),
                Value::Number(_) => "a number from 0".to_owned(),
                Value::Array(_) => "a list".to_owned(),
                _ if name == "repository" => "an https address, or null".to_owned(),
                _ => "keep, mask or hash".to_owned(),
            };
            return Error::invalid(
                format!("settings.{name}"),
                format!("a value of the wrong form; it is {form}"),
            );
        }
    }
    Error::invalid("settings", "values that do not go together")
}

fn check_key_change(change: &KeyChange) -> Result<()> {
    if let Some(origins) = &change.allowed_origins {
        check_origins(origins)?;
    }
    if let Some(label) = &change.label {
        check_label(label)?;
    }
    if change.rate_per_minute == Some(Some(0)) {
        return Err(Error::invalid("rate_per_minute", "at least 1; disable the key to stop it"));
    }
    Ok(())
}

fn check_label(label: &str) -> Result<()> {
    if label.chars().count() > LABEL_CHARS_MAX || label.chars().any(char::is_control) {
        return Err(Error::invalid(
            "label",
            format!("at most {LABEL_CHARS_MAX} characters, no control characters"),
        ));
    }
    Ok(())
}

/// Exact origins (`https://shop.example.net`), `*.host` suffixes, or `any`.
fn check_origins(origins: &[String]) -> Result<()> {
    if origins.len() > ORIGINS_MAX {
        return Err(Error::invalid("allowed_origins", format!("at most {ORIGINS_MAX}")));
    }
    let mut errors = Vec::new();
    for (place, origin) in origins.iter().enumerate() {
        if !crate::ingest::origin::is_valid_entry(origin) {
            errors.push(FieldError {
                field: format!("allowed_origins[{place}]"),
                message:
                    "an exact origin such as https://shop.example.net, a suffix such as *.example.net, or any"
                        .to_owned(),
            });
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Error::Invalid(errors)) }
}

fn check_settings(settings: &ProjectSettings) -> Result<()> {
    let mut errors = Vec::new();
    let mut wrong = |field: String, message: String| errors.push(FieldError { field, message });
    if !(1..=24).contains(&settings.otlp_min_severity) {
        wrong("otlp_min_severity".into(), "1 to 24".into());
    }
    if settings.agent_min_events > approval::EVENTS_MAX {
        wrong("agent_min_events".into(), format!("0 to {}", approval::EVENTS_MAX));
    }
    if usize::from(settings.agent_min_peers) > approval::PEERS_MAX {
        wrong("agent_min_peers".into(), format!("0 to {}", approval::PEERS_MAX));
    }
    let lists = [
        ("fingerprint_rules", settings.fingerprint_rules.len()),
        ("in_app_rules", settings.in_app_rules.len()),
        ("priority_rules", settings.priority_rules.len()),
        ("sensitive_keys", settings.sensitive_keys.len()),
    ];
    for (field, len) in lists {
        if len > RULES_MAX {
            wrong(field.into(), format!("at most {RULES_MAX}"));
        }
    }
    for (place, rule) in settings.fingerprint_rules.iter().enumerate() {
        if rule.fingerprint.is_empty() || rule.fingerprint.len() > 20 {
            wrong(format!("fingerprint_rules[{place}].fingerprint"), "1 to 20 parts".into());
        }
        check_matchers(&mut wrong, "fingerprint_rules", place, &rule.matchers);
    }
    for (place, rule) in settings.priority_rules.iter().enumerate() {
        check_matchers(&mut wrong, "priority_rules", place, &rule.matchers);
    }
    for (place, rule) in settings.in_app_rules.iter().enumerate() {
        let known = ["path:", "module:", "function:"].iter().any(|prefix| rule.matcher.starts_with(prefix));
        if !known || rule.matcher.len() > 512 {
            wrong(format!("in_app_rules[{place}].matcher"), "path:, module: or function: and a glob".into());
        }
    }
    for (place, key) in settings.sensitive_keys.iter().enumerate() {
        if !(2..=64).contains(&key.len()) {
            wrong(format!("sensitive_keys[{place}]"), "2 to 64 bytes".into());
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Error::Invalid(errors)) }
}

fn check_matchers(wrong: &mut impl FnMut(String, String), list: &str, place: usize, matchers: &[String]) {
    if matchers.is_empty() || matchers.len() > 10 {
        wrong(format!("{list}[{place}].matchers"), "1 to 10 matchers".into());
    }
    for (number, text) in matchers.iter().enumerate() {
        if let Err(message) = matcher::validate(text) {
            wrong(format!("{list}[{place}].matchers[{number}]"), message);
        }
    }
}
