//! The producer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::{Error, Settings};
use crate::offsets::Place;
use crate::record::Record;
use crate::session::MOST_RECORDS;
use crate::sink::{Event, Refusal, Sink, Ticket};

/// How long the thread listens at a time. At the end of each time rdkafka polls without pause for up to a
/// millisecond: its own thread does so ten times a second.
const LISTEN: Duration = Duration::from_secs(1);

/// Writes records to one topic. Dropping it gives up what it still holds.
pub struct Producer {
    inner: Arc<BaseProducer<Reports>>,
    ended: Arc<AtomicBool>,
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
        let inner: BaseProducer<Reports> =
            config.create_with_context(Reports { sender }).map_err(|source| Error::Client { source })?;
        let producer = Self { inner: Arc::new(inner), ended: Arc::default(), topic: topic.to_owned() };
        let (inner, ended) = (producer.inner.clone(), producer.ended.clone());
        // librdkafka reports to whoever waits for it, and waiting blocks. The thread ends by itself soon after the
        // producer, and takes the rest of librdkafka down with it.
        std::thread::Builder::new()
            .name("kafka-reports".to_owned())
            .spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    inner.poll(LISTEN);
                }
            })
            .map_err(|source| Error::Thread { source })?;
        Ok((producer, events))
    }

    /// The client below.
    pub(super) fn client(&self) -> &rdkafka::client::Client<impl ClientContext + use<>> {
        self.inner.client()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Nothing may go out beside the next producer, which sends the same records.
        self.inner.purge(PurgeConfig::default().queue().inflight());
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
            Ok(message) => Event::Stored {
                ticket: *ticket,
                place: Place { partition: message.partition(), offset: message.offset() },
            },
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
