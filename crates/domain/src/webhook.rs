//! The body that a merchant receives.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ids::EventId;
use crate::signature::Secret;
use crate::time::Timestamp;
use crate::trace::{EventTrace, TraceId, Traceparent};

const USER_AGENT: &str = concat!("Everhook/", env!("CARGO_PKG_VERSION"));

/// Which form of the object an endpoint wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// As it is at the moment of each attempt.
    #[default]
    Fresh,
    /// As it was committed with the event.
    AsCommitted,
}

impl Payload {
    /// The word for it in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::AsCommitted => "as_committed",
        }
    }

    /// The payload of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Fresh, Self::AsCommitted].into_iter().find(|payload| payload.as_str() == word)
    }
}

/// The webhook's body. `data` is the object, by default as it is now; `type` says what happened.
#[derive(Debug, Serialize)]
pub struct Body<'a> {
    /// The event type.
    #[serde(rename = "type")]
    pub event_type: &'a str,
    /// When the event happened.
    pub timestamp: Timestamp,
    /// The object, as JSON.
    pub data: &'a RawValue,
    /// The event, the same as the header `webhook-id`.
    pub event_id: EventId,
    /// The object's version that the event made.
    pub event_version: i64,
    /// The object's version in `data`.
    pub object_version: i64,
    /// When `data` was so: when it was read, or committed.
    pub observed_at: Timestamp,
    /// Which form `data` has; said only where the endpoint wants it as committed, and may get it fresh nevertheless.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
}

/// The headers and the body of a signed request, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Where to.
    pub url: String,
    /// Name and value of each header.
    pub headers: Vec<(String, String)>,
    /// JSON.
    pub body: String,
}

impl Request {
    /// The trace that its headers name, if that is kept.
    #[must_use]
    pub fn trace(&self) -> Option<EventTrace> {
        let parent: Traceparent = self.header("traceparent")?.parse().ok()?;
        parent.is_sampled.then_some(EventTrace { trace_id: parent.trace_id, event_id: self.event_id()? })
    }

    /// The event that it is of.
    #[must_use]
    pub fn event_id(&self) -> Option<EventId> {
        self.header("webhook-id")?.parse().ok()
    }

    /// The id of the trace that it belongs to, kept or not.
    #[must_use]
    pub fn trace_id(&self) -> Option<TraceId> {
        Some(TraceId::of(self.event_id()?, self.header("traceparent")))
    }

    fn header(&self, wanted: &str) -> Option<&str> {
        self.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }

    /// A webhook with the headers of Standard Webhooks 1.0.0, signed at `now` by each of the secrets.
    #[must_use]
    pub fn signed(url: &str, event_id: &str, now: Timestamp, secrets: &[Secret], body: String) -> Self {
        let now = now.unix_seconds();
        let signatures: Vec<String> =
            secrets.iter().map(|secret| secret.sign(event_id, now, body.as_bytes())).collect();
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("user-agent", USER_AGENT.to_owned()),
            ("webhook-id", event_id.to_owned()),
            ("webhook-timestamp", now.to_string()),
            ("webhook-signature", signatures.join(" ")),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).into();
        Self { url: url.to_owned(), headers, body }
    }
}
