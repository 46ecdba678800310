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
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn what_was_written_is_read_whatever_else_is_there(
            uuid: u128, micros in 0..4_000_000_000_000_000_i64, more in ".{0,20}", number: f64
        ) {
            let message = Message {
                event_id: EventId::from_uuid(uuid::Uuid::from_u128(uuid)),
                committed_at: Timestamp::from_unix_micros(micros),
            };
            let value = serde_json::json!({
                "record": {"event_id": message.event_id, more.clone(): more.clone(), "number": number},
                "metadata": {"commit_timestamp": message.committed_at, "commit_lsn": micros},
                "more": [more],
            });
            prop_assert_eq!(read(value.to_string().as_bytes()), Ok(message));
        }

        #[test]
        fn any_bytes_are_read_or_unreadable(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(read(&bytes).is_err(), "no chance makes an id");
        }

        #[test]
        fn a_time_that_is_none_does_not_cost_the_event(
            time in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[+-][0-9:]{5}|.{0,30}"
        ) {
            let value = serde_json::json!({
                "record": {"event_id": "evt_019a0b1c2d3e7f00a1b2c3d4e5f60718"},
                "metadata": {"commit_timestamp": time},
            });
            prop_assert!(read(value.to_string().as_bytes()).is_ok());
        }
    }

    #[test]
    fn a_commit_time_past_the_last_year_is_none() {
        let value = br#"{"record":{"event_id":"evt_019a0b1c2d3e7f00a1b2c3d4e5f60718"},
            "metadata":{"commit_timestamp":"9999-12-31T23:59:59-23:59"}}"#;
        assert_eq!(read(value).unwrap().committed_at, None);
    }
}
