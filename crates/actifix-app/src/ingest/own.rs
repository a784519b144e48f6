//! Events of our own API, command line and log reader: the same type, entering at "apply source maps".

use super::admit::{Source, transport_of};
use super::decode::{Decoded, Shape};
use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::Recorded;
use actifix_domain::access::{Actor, Scope};
use actifix_domain::event::{Level, OriginClass, Provenance};
use actifix_domain::id::{EventId, ProjectId};
use actifix_domain::project::{KeyKind, ceiling};
use actifix_domain::ticket::Priority;
use actifix_protocol::{json, stacktext};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest message, characters.
const MESSAGE_CHARS_MAX: usize = 100_000;

/// An error that a person, program or tool records.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OwnEvent {
    /// What went wrong.
    pub message: String,
    /// Class of the error.
    #[serde(rename = "type")]
    pub error_type: Option<String>,
    /// `FILE:LINE`.
    pub source: Option<String>,
    /// Severity.
    pub level: Option<Level>,
    /// Priority.
    pub priority: Option<Priority>,
    /// Stack trace in the language's own text form.
    pub stacktrace: Option<String>,
    /// Short keys and values.
    pub tags: BTreeMap<String, Value>,
    /// Anything.
    pub extra: Map<String, Value>,
    /// Version of the program.
    pub release: Option<String>,
    /// Where it ran.
    pub environment: Option<String>,
    /// Who was affected.
    pub user: Option<UserInput>,
    /// Grouping key of its own.
    pub fingerprint: Vec<String>,
    /// Project name or id.
    pub project: Option<String>,
    /// Identity, so that a repeated call is known; 32 hex.
    pub event_id: Option<EventId>,
    /// A whole event in the Sentry form instead.
    pub event: Option<Map<String, Value>>,
    /// `cli` or `log`, from the local command line only.
    pub transport: Option<String>,
}

/// The user that was affected: an id, or members.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum UserInput {
    /// Just an id.
    Id(String),
    /// Members as in an event.
    Members(Map<String, Value>),
}

impl App {
    /// Records an error.
    pub async fn record(self: &Arc<Self>, actor: &Actor, mut own: OwnEvent) -> Result<Recorded> {
        let name = own.project.clone().unwrap_or_else(|| "default".to_owned());
        let project = self.writable_project(actor, &name).await?;
        let wanted = own.priority;
        let transport = match actor {
            Actor::System => transport_of(own.transport.as_deref()),
            _ => transport_of(None),
        };
        // The reader of a log names each line by a hash of what stands there, so that a line read twice is one event. What
        // stands there may be a secret: only a keyed hash is kept, from which nobody can try out what it was.
        let event_id = match own.transport.as_deref() {
            Some("log") => take_event_id(&mut own).map(|id| self.keyed_event_id(project.id, id)),
            _ => own.event_id,
        };
        let value = event_value(own)?;
        let app = Arc::clone(self);
        let received_at = self.now();
        let actor = actor.clone();
        let permit = Arc::clone(&self.gate.decoders).acquire_owned().await.map_err(Error::internal)?;
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            // Through the same parser as everything else: it bounds depth and takes invisible characters out.
            let text = value.to_string();
            let value = json::parse(text.as_bytes(), &app.settings.limits.json())
                .map_err(|error| Error::invalid("body", error.to_string()))?;
            let mut decoded = Decoded::new(received_at, transport);
            decoded.header_event_id = event_id;
            app.push(Shape::Event, value, &mut decoded);
            app.identify(&mut decoded);
            let source = Source {
                provenance: Provenance { key: None, transport, origin_class: OriginClass::Token },
                ceiling: ceiling(&actor, KeyKind::Server, false),
                priority: wanted,
                peer: None,
                project: &project,
            };
            app.refine(&source, 1, decoded).map_err(super::quarantine::not_now)
        });
        let (_, submission) = work.await.map_err(Error::internal)??;
        let quarantined = submission.events.is_empty();
        match self.keep(submission).await?.pop() {
            Some(recorded) => Ok(recorded),
            None if quarantined => Err(Error::conflict(
                "the event could not be redacted within its budget and lies in quarantine: see `actifix quarantine list`",
            )),
            None => Err(Error::internal("the store answered nothing")),
        }
    }

    fn keyed_event_id(&self, project: ProjectId, named: EventId) -> EventId {
        let mut hasher = blake3::Hasher::new_keyed(&self.log_key);
        hasher.update(&project.0.to_le_bytes()).update(&named.0);
        let mut id = [0u8; 16];
        id.iter_mut().zip(hasher.finalize().as_bytes()).for_each(|(to, from)| *to = *from);
        EventId(id)
    }

    async fn writable_project(&self, actor: &Actor, name: &str) -> Result<actifix_domain::project::Project> {
        let found = match name.parse() {
            Ok(id) => self.store.project(id).await?,
            Err(_) => self.store.project_by_name(name).await?,
        };
        let project = found.ok_or(Error::NotFound { what: "project" })?;
        Self::require_visible(actor, Scope::EventsWrite, project.id, "project")?;
        Ok(project)
    }
}

/// The id that the sender gave, here or in the event; it stands there no more.
fn take_event_id(own: &mut OwnEvent) -> Option<EventId> {
    let inner = own.event.as_mut().and_then(|event| event.remove("event_id"));
    own.event_id.or_else(|| inner?.as_str()?.trim().parse().ok())
}

/// The event in the Sentry form.
fn event_value(own: OwnEvent) -> Result<Value> {
    if let Some(event) = own.event {
        return Ok(Value::Object(event));
    }
    let chars = own.message.chars().count();
    if own.message.trim().is_empty() || chars > MESSAGE_CHARS_MAX {
        return Err(Error::invalid("message", format!("1 to {MESSAGE_CHARS_MAX} characters")));
    }
    let mut event = Map::new();
    let trace = own.stacktrace.as_deref().and_then(|text| stacktext::parse(text, None));
    let mut frames = trace.as_ref().map(exceptions).unwrap_or_default();
    let has_type = own.error_type.is_some();
    if has_type || !frames.is_empty() {
        let mut last = frames.pop().unwrap_or_default();
        if let Some(error_type) = own.error_type {
            last.insert("type".into(), json!(error_type));
        }
        // What the exception says stays; the message says more about it.
        let said = last.get("value").and_then(Value::as_str).map(str::trim).unwrap_or_default();
        if said.is_empty() {
            last.insert("value".into(), json!(own.message));
        } else if said != own.message.trim() {
            event.insert("logentry".into(), json!({ "message": own.message }));
        }
        if !last.contains_key("stacktrace")
            && let Some(frame) = own.source.as_deref().and_then(frame_of)
        {
            last.insert("stacktrace".into(), json!({ "frames": [frame] }));
        }
        frames.push(last);
        event.insert("exception".into(), json!({ "values": frames }));
    } else {
        event.insert("logentry".into(), json!({ "message": own.message }));
        if let Some(frame) = own.source.as_deref().and_then(frame_of) {
            event.insert("stacktrace".into(), json!({ "frames": [frame] }));
        }
    }
    if let Some(trace) = &trace {
        event.insert("platform".into(), json!(trace.language.platform()));
    } else if let Some(text) = own.stacktrace {
        event.insert("extra".into(), json!({ "stacktrace": text }));
    }
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            event.insert(name.to_owned(), value);
        }
    };
    put("level", json!(own.level));
    put("release", json!(own.release));
    put("environment", json!(own.environment));
    put("tags", json!(own.tags));
    if !own.fingerprint.is_empty() {
        put("fingerprint", json!(own.fingerprint));
    }
    match own.user {
        Some(UserInput::Id(id)) => put("user", json!({ "id": id })),
        Some(UserInput::Members(members)) => put("user", Value::Object(members)),
        None => {}
    }
    if !own.extra.is_empty() {
        let extra = event.entry("extra").or_insert_with(|| json!({}));
        if let Some(map) = extra.as_object_mut() {
            map.extend(own.extra);
        }
    }
    Ok(Value::Object(event))
}

fn exceptions(trace: &stacktext::ParsedTrace) -> Vec<Map<String, Value>> {
    trace
        .to_values()
        .into_iter()
        .filter_map(|value| match value {
            Value::Object(map) => Some(map),
            _ => None,
        })
        .collect()
}

/// `FILE:LINE` as a frame of the application's own code.
fn frame_of(source: &str) -> Option<Value> {
    let source = source.trim();
    if source.is_empty() {
        return None;
    }
    let (file, line) = match source.rsplit_once(':') {
        Some((file, line)) if !file.is_empty() => match line.parse::<u32>() {
            Ok(line) => (file, Some(line)),
            Err(_) => (source, None),
        },
        _ => (source, None),
    };
    Some(json!({ "filename": file, "lineno": line, "in_app": true }))
}
