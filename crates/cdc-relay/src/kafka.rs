//! Kafka as a [`Sink`](crate::sink::Sink): the topic is there, and a producer writes to it.

mod producer;
mod settings;
mod topic;

use std::time::Duration;

use rdkafka::error::KafkaError;
use tokio::sync::mpsc::UnboundedReceiver;

pub use producer::Producer;
pub use settings::{Property, Settings, SettingsError};
pub use topic::Topic;

use crate::sink::Event;

/// How long Kafka may take for one answer while we connect.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest batch that librdkafka sends unless told otherwise; Kafka's own default limit is a little more.
const USUAL_BATCH_BYTES: usize = 1_000_000;

/// Kafka can't be used right now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No client could be made of the settings.
    #[error("can't make a Kafka client of the settings")]
    Client {
        /// What librdkafka said.
        source: KafkaError,
    },
    /// The system has no thread for us.
    #[error("can't start a thread for Kafka's reports")]
    Thread {
        /// What the system said.
        source: std::io::Error,
    },
    /// The topic could not be created or asked for.
    #[error("can't create the topic {topic}, or ask whether it is there")]
    CreateTopic {
        /// Its name.
        topic: String,
        /// What librdkafka said.
        source: KafkaError,
    },
    /// The topic's settings could not be read.
    #[error("can't read the settings of the topic {topic}")]
    ReadTopic {
        /// Its name.
        topic: String,
        /// What librdkafka said.
        source: KafkaError,
    },
    /// The producer finds no broker, or no leader for the topic.
    #[error("the producer finds no broker for the topic {topic}")]
    Reach {
        /// Its name.
        topic: String,
        /// What librdkafka said.
        source: KafkaError,
    },
    /// A blocking call died.
    #[error("a call to Kafka ended without an answer")]
    NoAnswer,
}

/// An open door to Kafka.
pub struct Connection {
    /// Takes the records.
    pub producer: Producer,
    /// Says what becomes of them.
    pub events: UnboundedReceiver<Event>,
    /// No record may be larger, in bytes.
    pub limit: usize,
}

/// Makes sure that the topic exists, then connects a producer that is new in every respect.
///
/// A producer never outlives a loss of all brokers: what comes back may be a broker with an empty disk, to which the
/// old one's leader epochs mean something else.
///
/// # Errors
/// If Kafka does not answer, or refuses.
pub async fn connect(settings: &Settings, topic: &Topic, limit: usize) -> Result<Connection, Error> {
    let topic_limit = topic.ensure(settings).await?.unwrap_or(usize::MAX);
    let limit = limit.min(topic_limit);
    // Kafka measures whole batches against its limit.
    let batch = limit.max(USUAL_BATCH_BYTES).min(topic_limit);
    let (producer, mut events) = Producer::new(settings, &topic.name, batch)?;
    let name = topic.name.clone();
    // The first connection also brings the topic's leaders, so that the first record waits for nothing.
    let producer = blocking(move || match producer.client().fetch_metadata(Some(&name), PATIENCE) {
        Ok(metadata) => match metadata.topics().iter().find_map(rdkafka::metadata::MetadataTopic::error) {
            Some(error) => Err(Error::Reach { topic: name, source: KafkaError::MetadataFetch(error.into()) }),
            None => Ok(producer),
        },
        Err(source) => Err(Error::Reach { topic: name, source }),
    })
    .await??;
    // Losses before the first success say nothing: a name may have had several addresses.
    while events.try_recv().is_ok() {}
    Ok(Connection { producer, events, limit })
}

/// Runs a call that blocks where it does not stop everything else.
async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(call).await.map_err(|_| Error::NoAnswer)
}
