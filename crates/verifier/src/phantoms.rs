//! Events that records name and the database does not know: parked as `unknown_event`. After a restore these are what
//! was committed once and is no longer, and what merchants may have been told of.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::ids::EventId;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::portal::ParkedRecord;

/// All of them, in the order of their ids, which is that of their time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Phantoms {
    /// One for each event, however often it was read.
    pub events: Vec<Phantom>,
}

/// One event. Everything but the id is only what the record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Phantom {
    /// Which: the `webhook-id` under which merchants may have got it.
    pub event_id: EventId,
    /// Whose.
    pub merchant_id: Option<String>,
    /// What happened.
    pub event_type: Option<String>,
    /// To what.
    pub object_id: Option<String>,
    /// Its version after that.
    pub object_version: Option<i64>,
    /// When.
    pub occurred_at: Option<String>,
    /// When a record of it was parked first.
    pub parked_at: Timestamp,
}

#[derive(Default, Deserialize)]
struct Message {
    #[serde(default)]
    record: Record,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Record {
    merchant_id: Option<String>,
    event_type: Option<String>,
    object_id: Option<String>,
    object_version: Option<i64>,
    occurred_at: Option<String>,
}

impl Phantoms {
    /// Those among all parked records.
    #[must_use]
    pub fn among(records: &[ParkedRecord]) -> Self {
        let mut events: BTreeMap<EventId, Phantom> = BTreeMap::new();
        for record in records.iter().filter(|record| record.reason == "unknown_event" && record.resolved_at.is_none()) {
            let Some(event_id) = record.event_id else { continue };
            // What can't be read any more is known by its id alone.
            let value = STANDARD.decode(&record.value_base64).unwrap_or_default();
            let Record { merchant_id, event_type, object_id, object_version, occurred_at } =
                serde_json::from_slice::<Message>(&value).unwrap_or_default().record;
            let parked_at = record.parked_at;
            let phantom =
                Phantom { event_id, merchant_id, event_type, object_id, object_version, occurred_at, parked_at };
            // Newest first: an older one takes its place.
            events.insert(event_id, phantom);
        }
        Self { events: events.into_values().collect() }
    }
}

impl fmt::Display for Phantoms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for phantom in &self.events {
            let said = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
            let version = phantom.object_version.map_or_else(|| "?".to_owned(), |version| version.to_string());
            let (object, merchant) = (said(&phantom.object_id), said(&phantom.merchant_id));
            let (kind, at) = (said(&phantom.event_type), said(&phantom.occurred_at));
            writeln!(f, "{}: {kind} of {object} version {version} for {merchant}, {at}", phantom.event_id)?;
        }
        match self.events.len() {
            0 => f.write_str("No record names an event that the database does not know."),
            1 => f.write_str("One event is in Kafka and not in the database: its merchant may have been told of it."),
            n => write!(f, "{n} events are in Kafka and not in the database: merchants may have been told of them."),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(n: u8, reason: &str, parked_at: &str, value: &serde_json::Value) -> ParkedRecord {
        serde_json::from_value(json!({
            "reason": reason, "topic": "webhook-events", "partition": 0, "offset": n,
            "value_base64": STANDARD.encode(value.to_string()), "event_id": format!("evt_{n:032x}"),
            "parked_at": parked_at, "resolved_at": null,
        }))
        .unwrap()
    }

    #[test]
    fn each_unknown_event_is_listed_once_with_what_its_record_says() {
        let value = json!({"record": {"event_type": "payment.succeeded", "object_id": "pay_1", "object_version": 3,
            "merchant_id": "mer_7", "occurred_at": "2026-11-26T10:00:00.000000Z"}});
        let resolved = ParkedRecord {
            resolved_at: Some("2026-11-26T10:06:00Z".parse().unwrap()),
            ..record(3, "unknown_event", "2026-11-26T10:04:00Z", &value)
        };
        let records = [
            record(2, "unknown_event", "2026-11-26T10:05:00Z", &value),
            resolved,
            record(4, "unreadable", "2026-11-26T10:03:00Z", &value),
            record(2, "unknown_event", "2026-11-26T10:02:00Z", &value),
            record(1, "unknown_event", "2026-11-26T10:01:00Z", &json!("torn")),
        ];
        let phantoms = Phantoms::among(&records);
        insta::assert_snapshot!("phantoms_in_words", phantoms.to_string());
        insta::assert_json_snapshot!("phantoms_as_json", phantoms);
        assert_eq!(Phantoms::default().to_string(), "No record names an event that the database does not know.");
    }
}
