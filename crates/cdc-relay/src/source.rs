//! Who sends: the parts of the message's metadata that are the same for every record of this relay.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// What the flags say about the sender.
#[derive(Debug, Clone)]
pub struct Names {
    /// Stands for Sequin's sink.
    pub consumer: String,
    /// Stands for Sequin's database resource.
    pub database: String,
    /// The PostgreSQL database.
    pub postgres_database: String,
    /// Its host, as configured.
    pub hostname: String,
}

/// The constant metadata, serialised once.
#[derive(Debug)]
pub struct Source {
    /// `metadata.database_name`
    pub(crate) database_name: String,
    /// `metadata.consumer`
    pub(crate) consumer: Box<RawValue>,
    /// `metadata.database`
    pub(crate) database: Box<RawValue>,
}

#[derive(Serialize)]
struct Consumer<'a> {
    id: String,
    name: &'a str,
    annotations: Empty,
}

#[derive(Serialize)]
struct Database<'a> {
    id: String,
    name: &'a str,
    annotations: Empty,
    database: &'a str,
    hostname: &'a str,
}

#[derive(Serialize)]
struct Empty {}

impl Source {
    /// Serialises the names.
    ///
    /// # Errors
    /// If `serde_json` refuses them, which text never does.
    pub fn new(names: &Names) -> Result<Self, serde_json::Error> {
        let consumer =
            Consumer { id: id_of("consumer", &names.consumer), name: &names.consumer, annotations: Empty {} };
        let database = Database {
            id: id_of("database", &names.database),
            name: &names.database,
            annotations: Empty {},
            database: &names.postgres_database,
            hostname: &names.hostname,
        };
        Ok(Self {
            database_name: names.database.clone(),
            consumer: serde_json::value::to_raw_value(&consumer)?,
            database: serde_json::value::to_raw_value(&database)?,
        })
    }
}

/// A UUID that is always the same for the same name (version 8, from SHA-256): Sequin has a random one per
/// installation, but a relay has nowhere to keep one.
fn id_of(kind: &str, name: &str) -> String {
    let hash = Sha256::digest(format!("everhook/cdc-relay/{kind}/{name}"));
    let mut id = String::with_capacity(36);
    for (index, byte) in hash.iter().take(16).enumerate() {
        let byte = match index {
            6 => byte & 0x0f | 0x80,
            8 => byte & 0x3f | 0x80,
            _ => *byte,
        };
        if matches!(index, 4 | 6 | 8 | 10) {
            id.push('-');
        }
        // Writing to a string can't fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_differ_by_kind_and_name() {
        let id = id_of("consumer", "webhook-events");
        assert_eq!(id, id_of("consumer", "webhook-events"));
        assert_ne!(id, id_of("database", "webhook-events"));
        assert_ne!(id, id_of("consumer", "other"));
        insta::assert_snapshot!(id, @"5550e0ad-1284-81d5-92a7-cd614d5f87ae");
    }
}
