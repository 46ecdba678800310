//! The stream of PostgreSQL's walsender, and the records that are made of it.

use bytes::{Buf as _, Bytes};
use cdc_relay::capture::{Capture, Captured};
use cdc_relay::pgoutput::decode;
use cdc_relay::source::{Names, Source};
use serde_json::Value;

/// Less than a record may have, so that some are too large.
const LIMIT: usize = 2_000;

/// The input is messages, each after its length in two bytes. Whatever they are, each is decoded or refused with a reason,
/// and what becomes a record is JSON of Sequin's form.
pub fn pgoutput(stream: &[u8]) {
    let names = Names {
        consumer: "webhook-events".to_owned(),
        database: "payments-db".to_owned(),
        postgres_database: "payments".to_owned(),
        hostname: "127.0.0.1".to_owned(),
    };
    let Ok(source) = Source::new(&names) else { return };
    let mut capture = Capture::new(&source, LIMIT);
    let mut left = Bytes::copy_from_slice(stream);
    while left.len() > 2 {
        let length = usize::from(left.get_u16());
        let message = left.split_to(length.min(left.len()));
        match decode(message) {
            Err(error) => assert!(error.to_string().starts_with("pgoutput "), "{error}"),
            Ok(message) => match capture.read(message) {
                Ok(Captured::Record(record)) => {
                    let value: Value = serde_json::from_slice(record.value).unwrap_or_default();
                    for member in ["record", "changes", "action", "metadata"] {
                        assert!(value.get(member).is_some(), "no {member} in {:?}", record.value);
                    }
                    assert!(record.size() <= LIMIT || !record.emptied.is_empty() || has_only_its_key(&value));
                    // Whoever reads it finds an event, or says that it is none.
                    crate::message(record.value);
                }
                Ok(_) => {}
                Err(error) => assert!(!error.to_string().is_empty()),
            },
        }
    }
}

/// Then nothing could be left out.
fn has_only_its_key(value: &Value) -> bool {
    let filled = |value: &Value| !value.is_null() && value.as_str() != Some("");
    let members = value["record"].as_object().map_or(0, |record| record.values().filter(|v| filled(v)).count());
    let keys = value["metadata"]["record_pks"].as_array().map_or(0, Vec::len);
    members <= keys
}
