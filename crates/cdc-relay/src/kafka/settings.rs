//! Which settings Kafka's client library gets, and which of them are not for users to change.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use chassis::flags::{FileError, read_trimmed};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

/// One setting of librdkafka, as `name=value`.
#[derive(Clone, PartialEq, Eq)]
pub struct Property {
    name: String,
    value: String,
}

/// The settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file with further settings can't be read.
    #[error("can't read the Kafka properties file")]
    File(#[from] FileError),
    /// A line of the file is not a setting.
    #[error("line {line} of the Kafka properties file: {problem}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A setting that delivery depends on was to be changed.
    #[error("the Kafka property {name} is fixed: at-least-once delivery depends on it")]
    Fixed {
        /// Its name.
        name: String,
    },
    /// A secret was given where everybody can read it.
    #[error("keep {name} out of the command line: put it into a file and name that with --kafka-properties-file")]
    Secret {
        /// Its name.
        name: String,
    },
    /// librdkafka does not know or want a setting.
    #[error("Kafka's client library refuses the settings")]
    Refused(#[source] KafkaError),
    /// TLS was asked for and is not in this build.
    #[error("this build has no TLS for Kafka: build cdc-relay with --features kafka-tls")]
    NoTls,
}

/// What is fixed, because the relay's promises rest on it.
const FIXED: [&str; 13] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "acks",
    "request.required.acks",
    "transactional.id",
    "partitioner",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "retries",
    "message.send.max.retries",
    "message.max.bytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
];

/// Everything that Kafka clients need to know, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    bootstrap: String,
    properties: BTreeMap<String, String>,
}

impl Settings {
    /// Joins what the flags say; the file's settings win over `properties`.
    ///
    /// # Errors
    /// If the file can't be read, or a setting is unknown, wrong or not for users to change.
    pub fn new(brokers: &[String], properties: &[Property], file: Option<&Path>) -> Result<Self, SettingsError> {
        let mut all = BTreeMap::new();
        for Property { name, value } in properties {
            if is_secret(name) {
                return Err(SettingsError::Secret { name: name.clone() });
            }
            all.insert(name.clone(), value.clone());
        }
        if let Some(path) = file {
            for (index, line) in read_trimmed(path)?.lines().enumerate() {
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let property: Property =
                    line.parse().map_err(|problem| SettingsError::Line { line: index + 1, problem })?;
                all.insert(property.name, property.value);
            }
        }
        if let Some(name) = all.keys().find(|name| FIXED.contains(&name.as_str())) {
            return Err(SettingsError::Fixed { name: name.clone() });
        }
        let protocol = all.get("security.protocol").map(|protocol| protocol.to_lowercase());
        if !cfg!(feature = "kafka-tls") && protocol.is_some_and(|protocol| protocol.ends_with("ssl")) {
            return Err(SettingsError::NoTls);
        }
        let settings = Self { bootstrap: brokers.join(","), properties: all };
        settings.producer(1_000_000, 1).create_native_config().map_err(SettingsError::Refused)?;
        Ok(settings)
    }

    /// For any client.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Info);
        for (name, value) in [
            ("client.id", "cdc-relay"),
            ("socket.nagle.disable", "true"),
            ("socket.keepalive.enable", "true"),
            ("reconnect.backoff.ms", "50"),
            ("reconnect.backoff.max.ms", "1000"),
        ] {
            config.set(name, value);
        }
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    /// For the producer. A record is retried without end and in order: only what no retry can heal is ever refused,
    /// and then the relay starts again from the slot's position.
    ///
    /// One request at a time keeps the order over a retry, and Kafka serves a connection's requests one by one anyway:
    /// what comes meanwhile becomes the next batch. librdkafka's idempotence would add that a retry after a lost
    /// answer repeats nothing, which consumers must bear from us in any case. It costs more than all the rest: with
    /// five records of a partition under way its thread polls without pause until the answer comes. Who wants it sets
    /// enable.idempotence=true.
    pub(super) fn producer(&self, largest_batch_bytes: usize, most_records: usize) -> ClientConfig {
        let mut config = self.client();
        // Both have a second name, and the last one set would win.
        for (name, also, value) in [
            ("linger.ms", "queue.buffering.max.ms", "0"),
            ("max.in.flight.requests.per.connection", "max.in.flight", "1"),
        ] {
            if !self.properties.contains_key(name) && !self.properties.contains_key(also) {
                config.set(name, value);
            }
        }
        for (name, value) in [
            ("acks", "all"),
            ("message.send.max.retries", "2147483647"),
            ("partitioner", "murmur2_random"),
            ("message.timeout.ms", "0"),
            // A topic that is gone is noticed soon, and made again.
            ("topic.metadata.propagation.max.ms", "5000"),
            ("queue.buffering.max.kbytes", "1048576"),
        ] {
            config.set(name, value);
        }
        config.set("message.max.bytes", largest_batch_bytes.max(1000).to_string());
        config.set("queue.buffering.max.messages", most_records.to_string());
        config
    }
}

fn is_secret(name: &str) -> bool {
    ["password", "secret", "ssl.key.pem", "sasl.oauthbearer.config"].iter().any(|word| name.contains(word))
}

impl FromStr for Property {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("write a Kafka property as name=value")?;
        Ok(Self { name: name.trim().to_owned(), value: value.trim().to_owned() })
    }
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if is_secret(&self.name) { "…" } else { &self.value };
        write!(f, "{}={value}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(properties: &[&str]) -> Result<Settings, SettingsError> {
        let properties: Vec<Property> = properties.iter().map(|text| text.parse().unwrap()).collect();
        Settings::new(&["127.0.0.1:9092".to_owned()], &properties, None)
    }

    #[test]
    fn known_settings_are_taken_and_unknown_ones_refused() {
        with(&["compression.type=lz4", "linger.ms=2"]).unwrap();
        assert!(matches!(with(&["no.such.thing=1"]), Err(SettingsError::Refused(_))));
        assert!(matches!(with(&["linger.ms=soon"]), Err(SettingsError::Refused(_))));
    }

    #[test]
    fn what_delivery_depends_on_is_fixed() {
        for name in FIXED {
            assert!(matches!(with(&[&format!("{name}=1")]), Err(SettingsError::Fixed { .. })), "{name}");
        }
    }

    #[test]
    fn secrets_come_from_the_file_only_and_are_never_shown() {
        assert!(matches!(with(&["sasl.password=x"]), Err(SettingsError::Secret { .. })));
        let path = std::env::temp_dir().join(format!("cdc-relay-properties-{}", std::process::id()));
        std::fs::write(&path, "# who we are\nsasl.username=relay\n\nsasl.password=s3cret\n").unwrap();
        let settings = Settings::new(&[], &[], Some(&path)).unwrap();
        assert_eq!(settings.client().get("sasl.password"), Some("s3cret"));
        std::fs::write(&path, "sasl.username=relay\nnonsense\n").unwrap();
        let error = Settings::new(&[], &[], Some(&path)).unwrap_err();
        assert_eq!(error.to_string(), "line 2 of the Kafka properties file: write a Kafka property as name=value");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(format!("{:?}", "sasl.password=x".parse::<Property>().unwrap()), "sasl.password=…");
    }

    #[cfg(not(feature = "kafka-tls"))]
    #[test]
    fn tls_says_which_build_has_it() {
        for protocol in ["ssl", "SASL_SSL"] {
            assert!(matches!(with(&[&format!("security.protocol={protocol}")]), Err(SettingsError::NoTls)));
        }
    }
}
