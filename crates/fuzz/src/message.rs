//! What comes to webhook-consumer: the Kafka value, and a delivery that is to be attempted. Anybody who reaches the topic
//! or Restate's ingress can send them.

use domain::message::{Message, read};
use domain::protocol::Later;
use serde_json::json;

/// A value names an event, or says why it does not; what was read can be written and read again.
pub fn message(value: &[u8]) {
    match read(value) {
        Ok(message @ Message { event_id, committed_at }) => {
            let again = json!({
                "record": {"event_id": event_id},
                "metadata": {"commit_timestamp": committed_at},
            });
            assert_eq!(read(again.to_string().as_bytes()), Ok(message));
        }
        Err(unreadable) => {
            let words = unreadable.to_string();
            assert!(!words.is_empty() && words.len() < 1_000, "{words}");
        }
    }
    if let Ok(later) = serde_json::from_slice::<Later>(value) {
        assert_eq!(serde_json::from_value::<Later>(json!(later)).ok(), Some(later));
    }
}
