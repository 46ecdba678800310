//! The Kafka value. Of a record only the event's id is believed; everything else comes from the database.

use serde::Deserialize;

use crate::ids::EventId;
use crate::time::Timestamp;

/// What is read of a record's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// The event that the record names.
    pub event_id: EventId,
    /// When the change was committed, as CDC says; used for measuring only.
    pub committed_at: Option<Timestamp>,
}

/// Why a value names no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The bytes are not JSON, or not an object with `record.event_id`.
    #[error("the value is not a change of domain_events: {reason}")]
    Shape {
        /// What the parser said.
        reason: String,
    },
    /// There is an `event_id`, but it is none of ours.
    #[error("{reason}")]
    EventId {
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Value<'a> {
    #[serde(borrow)]
    record: Record<'a>,
    #[serde(borrow, default)]
    metadata: Option<Metadata<'a>>,
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    event_id: std::borrow::Cow<'a, str>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    commit_timestamp: Option<std::borrow::Cow<'a, str>>,
}

/// Reads a record's value, whoever wrote it.
///
/// # Errors
/// If it names no event; the bytes are then to be parked.
pub fn read(value: &[u8]) -> Result<Message, Unreadable> {
    let value: Value<'_> =
        serde_json::from_slice(value).map_err(|error| Unreadable::Shape { reason: error.to_string() })?;
    let event_id = value.record.event_id.parse().map_err(|error| Unreadable::EventId { reason: format!("{error}") })?;
    let committed_at = value.metadata.and_then(|m| m.commit_timestamp).and_then(|text| text.parse().ok());
    Ok(Message { event_id, committed_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_event_id_and_the_commit_time_are_read() {
        let value = br#"{"record":{"event_id":"evt_019a0b1c2d3e7f00a1b2c3d4e5f60718","merchant_id":7},"changes":null,
            "action":"insert","metadata":{"commit_timestamp":"2026-02-18T10:00:00.124000Z","commit_lsn":1}}"#;
        let message = read(value).unwrap();
        assert_eq!(message.event_id.to_string(), "evt_019a0b1c2d3e7f00a1b2c3d4e5f60718");
        assert_eq!(message.committed_at.unwrap().to_string(), "2026-02-18T10:00:00.124000Z");
        let bare = read(br#"{"record":{"event_id":"evt_019a0b1c2d3e7f00a1b2c3d4e5f60718"}}"#).unwrap();
        assert_eq!(bare.committed_at, None);
    }

    #[test]
    fn other_bytes_are_unreadable_with_a_reason() {
        for value in
            [&b"not json"[..], b"", b"{}", b"[]", b"{\"record\":{}}", b"\xff\xfe", b"{\"record\":{\"event_id\":7}}"]
        {
            assert!(matches!(read(value), Err(Unreadable::Shape { .. })), "{value:?}");
        }
        let strange = read(br#"{"record":{"event_id":"pay_1"}}"#);
        assert!(matches!(strange, Err(Unreadable::EventId { .. })));
    }
}
