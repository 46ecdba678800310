//! What is read of a webhook's body: a few names, each on its own, so that a strange one spoils no other.

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The fields of an Everhook body that the account keeps; null where the body has them not, or in another shape.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Body {
    /// `data.payment_id`.
    pub payment_id: Option<Box<str>>,
    /// `type`.
    pub event_type: Option<Box<str>>,
    /// `event_version`: the object's version that the event speaks of.
    pub event_version: Option<i64>,
    /// `object_version`: the version that the body says it shows.
    pub object_version: Option<i64>,
    /// `data.version`: the version that it does show.
    pub data_version: Option<i64>,
    /// `timestamp`: when the event happened.
    pub occurred_at: Option<Timestamp>,
    /// `observed_at`: when the object was read.
    pub observed_at: Option<Timestamp>,
    /// `data.reference`.
    pub reference: Option<Box<str>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Outer<'a> {
    #[serde(borrow, rename = "type")]
    event_type: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    event_version: Option<&'a RawValue>,
    #[serde(borrow)]
    object_version: Option<&'a RawValue>,
    #[serde(borrow)]
    observed_at: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Inner<'a> {
    #[serde(borrow)]
    payment_id: Option<&'a RawValue>,
    #[serde(borrow)]
    reference: Option<&'a RawValue>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
}

impl Body {
    /// Reads what is there. Bytes that are no JSON object have none of the fields.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let outer: Outer<'_> = serde_json::from_slice(bytes).unwrap_or_default();
        let inner: Inner<'_> = if_readable(outer.data).unwrap_or_default();
        Self {
            payment_id: if_readable(inner.payment_id),
            event_type: if_readable(outer.event_type),
            event_version: if_readable(outer.event_version),
            object_version: if_readable(outer.object_version),
            data_version: if_readable(inner.version),
            occurred_at: if_readable(outer.timestamp),
            observed_at: if_readable(outer.observed_at),
            reference: if_readable(inner.reference),
        }
    }

    /// The lower of the version that the body says and the one that its data has.
    #[must_use]
    pub fn shown_version(&self) -> Option<i64> {
        self.object_version.into_iter().chain(self.data_version).min()
    }
}

/// A value of another type is as good as none: it is the sender's body, not ours.
fn if_readable<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_an_everhook_body_are_read() {
        let body = Body::read(
            br#"{"type":"payment.succeeded","timestamp":"2026-11-23T20:38:00.000001Z",
                "data":{"payment_id":"pay_1","reference":"load-a-\u00e9","version":3,"amount":1000},
                "event_id":"evt_1","event_version":2,"object_version":3,"observed_at":"2026-11-23T20:38:00.500000Z"}"#,
        );
        assert_eq!(body.payment_id.as_deref(), Some("pay_1"));
        assert_eq!(body.event_type.as_deref(), Some("payment.succeeded"));
        assert_eq!(body.reference.as_deref(), Some("load-a-é"));
        assert_eq!((body.event_version, body.object_version, body.data_version), (Some(2), Some(3), Some(3)));
        assert_eq!(body.occurred_at.unwrap().to_string(), "2026-11-23T20:38:00.000001Z");
        assert_eq!(body.observed_at.unwrap().to_string(), "2026-11-23T20:38:00.500000Z");
    }

    #[test]
    fn a_strange_field_spoils_no_other_and_other_bytes_have_no_fields() {
        let body = Body::read(br#"{"type":"invoice.paid","timestamp":1614265330,"data":[1],"event_version":"2"}"#);
        assert_eq!(body, Body { event_type: Some("invoice.paid".into()), ..Body::default() });
        for bytes in [&b"plain text"[..], b"", b"[1]", b"\xff", b"{\"type\":"] {
            assert_eq!(Body::read(bytes), Body::default(), "{bytes:?}");
        }
    }

    #[test]
    fn the_version_shown_is_the_lower_of_what_is_said_and_what_is_there() {
        let shown = |bytes: &[u8]| Body::read(bytes).shown_version();
        assert_eq!(shown(br#"{"object_version":3,"data":{"version":2}}"#), Some(2));
        assert_eq!(shown(br#"{"data":{"version":2}}"#), Some(2));
        assert_eq!(shown(b"{}"), None);
    }
}
