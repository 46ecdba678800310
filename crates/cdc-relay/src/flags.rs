//! The flags, and what they make together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chassis::database::DatabaseFlags;
use chassis::flags::{FileError, Listen, ServiceFlags, duration, read_trimmed};
use clap::Parser;

use crate::heartbeat::Heartbeats;
use crate::kafka::{Property, Settings, SettingsError, Topic};
use crate::postgres::prepare::Wanted;
use crate::postgres::{self, Target};
use crate::relay::Relay;
use crate::report::Report;
use crate::session::Patience;
use crate::source::{Names, Source};
use crate::watch::Watch;

/// Sends the changes of a PostgreSQL publication to Kafka, in Sequin's message format, at least once.
///
/// The slot's position moves only after Kafka has acknowledged. The publication comes from a migration; the slot and
/// the topic are made here when they are missing.
#[derive(Debug, Parser)]
#[command(version = chassis::version!(), mut_arg("database_connections", |arg| arg.hide(true)))]
pub struct Flags {
    /// Where to serve /health, /metrics and /status.
    #[arg(long, env = "EVERHOOK_LISTEN", default_value = "127.0.0.1:3004")]
    pub listen: Listen,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it for the help of the command")]
    pub database: DatabaseFlags,
    /// The publication whose changes are sent.
    #[arg(long, env = "EVERHOOK_PUBLICATION", default_value = "everhook_events", value_parser = identifier)]
    pub publication: String,
    /// The replication slot. It is made here, and belongs to this relay alone.
    #[arg(long, env = "EVERHOOK_SLOT", default_value = "everhook_relay", value_parser = slot_name)]
    pub slot: String,
    /// Let standbys keep a copy of the slot (PostgreSQL 17 or later; it takes effect when the slot is made).
    #[arg(long, env = "EVERHOOK_SLOT_FAILOVER")]
    pub slot_failover: bool,
    /// Kafka's brokers, as host:port, separated by commas.
    #[arg(long, env = "EVERHOOK_KAFKA", value_delimiter = ',', default_value = "127.0.0.1:9092", value_parser = broker)]
    pub kafka: Vec<String>,
    /// A setting of librdkafka, as name=value; may be given several times.
    #[arg(long = "kafka-property")]
    pub kafka_properties: Vec<Property>,
    /// A file with settings of librdkafka, one name=value a line: the place for passwords.
    #[arg(long, env = "EVERHOOK_KAFKA_PROPERTIES_FILE")]
    pub kafka_properties_file: Option<PathBuf>,
    /// The topic.
    #[arg(long, env = "EVERHOOK_TOPIC", default_value = "webhook-events")]
    pub topic: String,
    /// Partitions of the topic, if it has to be created.
    #[arg(long, env = "EVERHOOK_PARTITIONS", default_value_t = 2, value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: i32,
    /// Copies of the topic, if it has to be created.
    #[arg(long, env = "EVERHOOK_REPLICATION_FACTOR", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub replication_factor: i32,
    /// How long Kafka keeps records, if the topic has to be created.
    #[arg(long, env = "EVERHOOK_RETENTION", value_parser = duration, default_value = "7d")]
    pub retention: Duration,
    /// The largest record that is sent as it is. From a larger one, the largest columns that are not part of the key
    /// are sent as null: it must not stop the others.
    #[arg(long, env = "EVERHOOK_MAX_RECORD_BYTES", default_value_t = 900 * 1024, value_parser = record_bytes)]
    pub max_record_bytes: usize,
    /// metadata.database.name of the messages; by default the database's.
    #[arg(long, env = "EVERHOOK_DATABASE_NAME")]
    pub database_name: Option<String>,
    /// metadata.consumer.name of the messages; by default the topic's.
    #[arg(long, env = "EVERHOOK_CONSUMER_NAME")]
    pub consumer_name: Option<String>,
    /// How often a heartbeat is written to the log, and the slot is looked at.
    #[arg(long, env = "EVERHOOK_HEARTBEAT_INTERVAL", value_parser = duration, default_value = "10s")]
    pub heartbeat_interval: Duration,
    /// When nothing, not even a heartbeat, has come for so long, the stream is opened anew.
    #[arg(long, env = "EVERHOOK_HEARTBEAT_TIMEOUT", value_parser = duration, default_value = "30s")]
    pub heartbeat_timeout: Duration,
    /// When Kafka has acknowledged nothing for so long, a new producer is made.
    #[arg(long, env = "EVERHOOK_KAFKA_TIMEOUT", value_parser = duration, default_value = "30s")]
    pub kafka_timeout: Duration,
    /// For a connection to PostgreSQL to stand.
    #[arg(long, env = "EVERHOOK_CONNECT_TIMEOUT", value_parser = duration, default_value = "10s")]
    pub connect_timeout: Duration,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it for the help of the command")]
    pub service: ServiceFlags,
}

/// The flags don't go together, or name what can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Of the database.
    #[error(transparent)]
    Postgres(#[from] postgres::Error),
    /// Of Kafka.
    #[error(transparent)]
    Kafka(#[from] SettingsError),
    /// The password's file.
    #[error("can't read the database password")]
    Password(#[from] FileError),
    /// The watchdog would fire before a heartbeat is due.
    #[error("--heartbeat-timeout {timeout:?} must be longer than --heartbeat-interval {interval:?}")]
    Heartbeat {
        /// As configured.
        interval: Duration,
        /// As configured.
        timeout: Duration,
    },
    /// The names can't be written as JSON.
    #[error("can't write the names of database and consumer")]
    Names(#[from] serde_json::Error),
}

impl Flags {
    /// Says what is wrong with the flags, without opening a secret or a connection.
    ///
    /// # Errors
    /// If something is wrong.
    pub fn check(&self) -> Result<(), Error> {
        if self.heartbeat_timeout <= self.heartbeat_interval {
            return Err(Error::Heartbeat { interval: self.heartbeat_interval, timeout: self.heartbeat_timeout });
        }
        Settings::new(&self.kafka, &self.kafka_properties, None)?;
        Target::new(&self.database.database_url, None, self.connect_timeout)?;
        Ok(())
    }

    /// The relay and its watch, not yet running.
    ///
    /// # Errors
    /// If the flags don't go together, or a file can't be read.
    pub fn assemble(&self, report: Arc<Report>) -> Result<(Relay, Watch), Error> {
        self.check()?;
        let password = self.database.database_password_file.as_deref().map(read_trimmed).transpose()?;
        let target = Arc::new(Target::new(&self.database.database_url, password.as_deref(), self.connect_timeout)?);
        let source = Source::new(&Names {
            consumer: self.consumer_name.clone().unwrap_or_else(|| self.topic.clone()),
            database: self.database_name.clone().unwrap_or_else(|| target.database().to_owned()),
            postgres_database: target.database().to_owned(),
            hostname: target.host(),
        })?;
        let started_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let heartbeats = Arc::new(Heartbeats::new(format!("{}-{}-{started_at:x}", self.slot, std::process::id())));
        let watch = Watch {
            target: target.clone(),
            slot: self.slot.clone(),
            interval: self.heartbeat_interval,
            heartbeats: heartbeats.clone(),
            report: report.clone(),
        };
        let relay = Relay {
            target,
            wanted: Wanted {
                publication: self.publication.clone(),
                slot: self.slot.clone(),
                failover: self.slot_failover,
            },
            settings: Settings::new(&self.kafka, &self.kafka_properties, self.kafka_properties_file.as_deref())?,
            topic: Topic {
                name: self.topic.clone(),
                partitions: self.partitions,
                replication_factor: self.replication_factor,
                retention: self.retention,
            },
            source,
            limit: self.max_record_bytes,
            patience: Patience {
                heartbeat: self.heartbeat_timeout,
                kafka: self.kafka_timeout,
                drain: self.service.shutdown_timeout.saturating_sub(STOP_RESERVE),
            },
            heartbeats,
            report,
        };
        Ok((relay, watch))
    }
}

/// What stopping takes beside waiting for Kafka.
const STOP_RESERVE: Duration = Duration::from_secs(4);

fn broker(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err("write host:port".to_owned()),
    }
}

/// The library puts the name into a statement as it stands, so that it must be one that needs no quotes.
fn slot_name(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if (1..=63).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with(|c: char| c.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("a slot's name has 1 to 63 characters of a-z, 0-9 and _, and begins with no digit".to_owned())
    }
}

/// Names with commas or quotes would be several names in the statement that opens the stream.
fn identifier(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
        Ok(text.to_owned())
    } else {
        Err("use a-z, A-Z, 0-9, _ and -".to_owned())
    }
}

fn record_bytes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes) if (16 * 1024..=1_000_000_000).contains(&bytes) => Ok(bytes),
        _ => Err("write a number of bytes from 16384 to 1000000000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(more: &[&str]) -> Result<Flags, String> {
        let required = ["cdc-relay", "--database-url", "postgres://relay@127.0.0.1/payments"];
        Flags::try_parse_from(required.iter().chain(more)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_flags_are_consistent_and_the_defaults_can_be_used() {
        Flags::command().debug_assert();
        parse(&[]).unwrap().check().unwrap();
    }

    #[test]
    fn what_can_not_be_used_is_refused_with_a_reason() {
        for (flags, reason) in [
            (["--slot", "Relay"], "a-z, 0-9 and _"),
            (["--publication", "a,b"], "use a-z, A-Z"),
            (["--kafka", "localhost"], "write host:port"),
            (["--max-record-bytes", "100"], "from 16384"),
            (["--partitions", "0"], "is not in"),
            (["--kafka-property", "linger.ms"], "name=value"),
        ] {
            let error = parse(&flags).unwrap_err();
            assert!(error.contains(reason), "{flags:?}: {error}");
        }
        let flags = parse(&["--heartbeat-timeout", "5s"]).unwrap();
        assert!(flags.check().unwrap_err().to_string().contains("must be longer than --heartbeat-interval"));
    }

    #[test]
    fn several_brokers_are_separated_by_commas() {
        assert_eq!(parse(&["--kafka", "a:1,b:2"]).unwrap().kafka, ["a:1", "b:2"]);
    }
}
