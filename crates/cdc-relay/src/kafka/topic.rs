//! The topic: it is created when it is missing, also when Kafka came back with an empty disk.

use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{Error, PATIENCE, Settings, blocking, producer};

/// The topic as it is created. One that exists stays as it is.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many partitions it gets.
    pub partitions: i32,
    /// How many brokers keep a copy.
    pub replication_factor: i32,
    /// For how long records are kept.
    pub retention: Duration,
}

struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        producer::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
    }
}

impl Topic {
    /// Creates the topic if it is missing. Returns how large a record may be in it, if Kafka says so.
    ///
    /// # Errors
    /// If Kafka does not answer, or can't create it now.
    pub(super) async fn ensure(&self, settings: &Settings) -> Result<Option<usize>, Error> {
        let config = settings.client();
        let admin: AdminClient<Quiet> = config.create_with_context(Quiet).map_err(|source| Error::Client { source })?;
        let ensured = self.ensure_with(&admin).await;
        blocking(move || drop(admin)).await?;
        ensured
    }

    async fn ensure_with(&self, admin: &AdminClient<Quiet>) -> Result<Option<usize>, Error> {
        let retention_ms = self.retention.as_millis().to_string();
        let mut topic = NewTopic::new(&self.name, self.partitions, TopicReplication::Fixed(self.replication_factor))
            .set("retention.ms", &retention_ms);
        if self.replication_factor == 1 {
            // One broker alone has no second copy: what it acknowledges must be on its disk.
            topic = topic.set("flush.messages", "1");
        }
        let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
        let results = admin
            .create_topics([&topic], &options)
            .await
            .map_err(|source| Error::CreateTopic { topic: self.name.clone(), source })?;
        for result in results {
            match result {
                Ok(topic) => tracing::info!(topic, partitions = self.partitions, "created the topic"),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((
                    topic,
                    code @ (RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed),
                )) => {
                    tracing::warn!(topic, %code, "may not create the topic; if it is missing, somebody else must");
                }
                Err((topic, code)) => {
                    return Err(Error::CreateTopic { topic, source: KafkaError::AdminOp(code) });
                }
            }
        }
        self.largest_record(admin, &options).await
    }

    async fn largest_record(&self, admin: &AdminClient<Quiet>, options: &AdminOptions) -> Result<Option<usize>, Error> {
        let failed = |source| Error::ReadTopic { topic: self.name.clone(), source };
        let answer = admin.describe_configs([&ResourceSpecifier::Topic(&self.name)], options).await.map_err(failed)?;
        let mut limit = None;
        for resource in answer {
            match resource {
                Ok(resource) => {
                    let entry = resource.get("max.message.bytes").and_then(|entry| entry.value.as_deref());
                    limit = entry.and_then(|value| value.parse::<usize>().ok());
                }
                Err(
                    code @ (RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed),
                ) => {
                    tracing::debug!(topic = self.name, %code, "may not read the topic's settings");
                }
                Err(code) => return Err(failed(KafkaError::AdminOp(code))),
            }
        }
        Ok(limit)
    }
}
