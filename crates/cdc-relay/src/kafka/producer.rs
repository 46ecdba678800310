//! The producer.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::{Error, Settings};
use crate::record::Record;
use crate::session::MOST_RECORDS;
use crate::sink::{Event, Refusal, Sink, Ticket};

/// Writes records to one topic.
pub struct Producer {
    inner: ThreadedProducer<Reports>,
    topic: String,
}

impl Producer {
    /// A producer of its own, and what becomes of its records.
    ///
    /// # Errors
    /// If librdkafka can't start.
    pub(super) fn new(
        settings: &Settings,
        topic: &str,
        largest_batch_bytes: usize,
    ) -> Result<(Self, UnboundedReceiver<Event>), Error> {
        let (sender, events) = mpsc::unbounded_channel();
        // The bound on outstanding records is the session's; this one only must not be reached before it.
        let config = settings.producer(largest_batch_bytes, 2 * MOST_RECORDS);
        let inner = config.create_with_context(Reports { sender }).map_err(|source| Error::Client { source })?;
        Ok((Self { inner, topic: topic.to_owned() }, events))
    }

    /// The client below.
    pub(super) fn client(&self) -> &rdkafka::client::Client<impl ClientContext + use<>> {
        rdkafka::producer::Producer::client(&self.inner)
    }
}

impl Sink for Producer {
    fn send(&self, record: &Record<'_>, ticket: Ticket) -> Result<(), Refusal> {
        let mut headers = OwnedHeaders::new_with_capacity(2)
            .insert(Header { key: "idempotency-key", value: Some(record.idempotency_key) });
        if let Some(traceparent) = record.traceparent {
            headers = headers.insert(Header { key: "traceparent", value: Some(traceparent) });
        }
        let mut message = BaseRecord::with_opaque_to(&self.topic, Box::new(ticket))
            .payload(record.value)
            .timestamp(ticket.captured_at_ms)
            .headers(headers);
        if let Some(key) = record.key {
            message = message.key(key);
        }
        self.inner.send(message).map_err(|(error, _)| refusal(&error, ticket))
    }
}

fn refusal(error: &KafkaError, ticket: Ticket) -> Refusal {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
            Refusal::TooLarge { size: ticket.size }
        }
        _ => Refusal::Other { reason: error.to_string() },
    }
}

/// What librdkafka's thread calls.
struct Reports {
    sender: UnboundedSender<Event>,
}

impl Reports {
    fn say(&self, event: Event) {
        // Nobody listens any more when the producer is being closed.
        let _ = self.sender.send(event);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        self.say(match result {
            Ok(_) => Event::Stored(*ticket),
            Err((error, _)) => Event::Refused { refusal: refusal(error, *ticket), ticket: *ticket },
        });
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::Fatal) => {
                self.say(Event::Lost { reason: reason.to_owned() });
            }
            _ => tracing::debug!(%error, reason, "librdkafka"),
        }
    }
}

/// librdkafka reports every failed try to connect as an error. We say once what it means; the rest is detail.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(facility, "librdkafka: {message}");
        }
        _ => tracing::debug!(facility, ?level, "librdkafka: {message}"),
    }
}
