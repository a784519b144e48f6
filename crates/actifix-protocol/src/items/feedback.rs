//! What users write.

use crate::event::Clock;
use crate::event::field::text;
use actifix_domain::id::EventId;
use actifix_domain::time::Timestamp;
use serde_json::Value;

/// Words of a user, from `feedback` or the older `user_report`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Feedback {
    /// Id of the feedback itself; user reports have none.
    pub event_id: Option<EventId>,
    /// The event that it is about.
    pub associated_event_id: Option<EventId>,
    /// What the user wrote; never empty.
    pub message: String,
    /// Where to reach the user.
    pub contact_email: Option<String>,
    /// The user's name.
    pub name: Option<String>,
    /// The page.
    pub url: Option<String>,
    /// When, corrected and bounded as that of an event.
    pub timestamp: Timestamp,
    /// Release, as sent.
    pub release: Option<String>,
    /// Environment, as sent.
    pub environment: Option<String>,
}

/// Reads a `feedback` item; `None` if the user wrote nothing.
pub fn feedback(value: Value, received_at: Timestamp, sent_at: Option<&Value>) -> Option<Feedback> {
    let Value::Object(mut item) = value else { return None };
    let mut contexts = item.remove("contexts");
    let words = contexts.as_mut().and_then(|contexts| contexts.get_mut("feedback"));
    let Value::Object(mut words) = words.map(Value::take)? else { return None };
    let mut take = |key: &str| words.remove(key).and_then(text);
    let message = take("message").filter(|message| !message.trim().is_empty())?;
    let timestamp = item.remove("timestamp").unwrap_or_default();
    Some(Feedback {
        event_id: id(item.get("event_id")),
        associated_event_id: take("associated_event_id").and_then(|text| text.parse().ok()),
        message,
        contact_email: take("contact_email"),
        name: take("name"),
        url: take("url"),
        timestamp: Clock::new(received_at, sent_at).bound(timestamp).0,
        release: item.remove("release").and_then(text),
        environment: item.remove("environment").and_then(text),
    })
}

/// Reads a `user_report` item; `None` if the user wrote nothing.
pub fn user_report(value: Value, received_at: Timestamp) -> Option<Feedback> {
    let Value::Object(mut item) = value else { return None };
    let mut take = |key: &str| item.remove(key).and_then(text);
    let message = take("comments").filter(|message| !message.trim().is_empty())?;
    Some(Feedback {
        associated_event_id: take("event_id").and_then(|text| text.trim().parse().ok()),
        message,
        contact_email: take("email"),
        name: take("name"),
        timestamp: received_at,
        ..Feedback::default()
    })
}

fn id(value: Option<&Value>) -> Option<EventId> {
    value.and_then(Value::as_str).and_then(|text| text.trim().parse().ok())
}
