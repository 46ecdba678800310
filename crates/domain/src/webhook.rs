//! The body that a merchant receives.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ids::EventId;
use crate::time::Timestamp;

/// The webhook's body. `data` is the object as it is now; `type` says what happened.
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
    /// When `data` was read.
    pub observed_at: Timestamp,
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
