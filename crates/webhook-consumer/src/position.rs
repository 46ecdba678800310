//! Where a record stood in Kafka, as Restate says in an invocation's headers.

use domain::time::Timestamp;
use restate_sdk::prelude::HeaderMap;

/// The position of a record; all none if the invocation came through the ingress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position {
    /// The topic.
    pub topic: Option<String>,
    /// The partition.
    pub partition: Option<i32>,
    /// The offset.
    pub offset: Option<i64>,
    /// The record's own time: when CDC captured the change.
    pub captured_at: Option<Timestamp>,
    /// The key, base64 in its URL form.
    pub key: Option<String>,
}

impl Position {
    /// Reads Restate's headers.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).map(ToString::to_string);
        let timestamp_ms = text("kafka.timestamp").and_then(|ms| ms.parse::<i64>().ok());
        Self {
            topic: text("kafka.topic"),
            partition: text("kafka.partition").and_then(|n| n.parse().ok()),
            offset: text("kafka.offset").and_then(|n| n.parse().ok()),
            captured_at: timestamp_ms.and_then(|ms| Timestamp::from_unix_micros(ms.checked_mul(1000)?)),
            key: text("kafka.key"),
        }
    }

    /// Whether CDC has brought the record.
    pub fn is_from_cdc(&self) -> bool {
        self.offset.is_some()
    }
}
