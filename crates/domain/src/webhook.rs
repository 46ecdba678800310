//! The body that a merchant receives.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ids::EventId;
use crate::time::Timestamp;

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
