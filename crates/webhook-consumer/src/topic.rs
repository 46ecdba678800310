//! Which topic it is: a topic that was deleted and made again has the same name, but another id.

use std::ffi::{CStr, CString};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::bindings as ffi;
use rdkafka::producer::{BaseProducer, Producer as _};

use crate::config::Property;

/// Looks topics up in Kafka.
pub struct Topics {
    producer: BaseProducer,
}

/// The topic's id could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The properties are not Kafka's.
    #[error("setting up the Kafka client")]
    Client(#[source] rdkafka::error::KafkaError),
    /// The name can't be a topic's.
    #[error("{topic:?} can't be the name of a topic")]
    Name {
        /// As configured.
        topic: String,
    },
    /// Kafka did not answer in time.
    #[error("Kafka did not describe the topic {topic} within {timeout:?}")]
    Timeout {
        /// Which.
        topic: String,
        /// How long it was given.
        timeout: Duration,
    },
    /// Kafka said no.
    #[error("Kafka does not describe the topic {topic}: {reason}")]
    Refused {
        /// Which.
        topic: String,
        /// What Kafka said.
        reason: String,
    },
}

impl Topics {
    /// A client for these brokers.
    pub fn new(brokers: &str, properties: &[Property]) -> Result<Self, Error> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers);
        for Property { name, value } in properties {
            config.set(name, value);
        }
        Ok(Self { producer: config.create().map_err(Error::Client)? })
    }

    /// The topic's id as base64; none if there is no such topic. Blocks up to `timeout`.
    pub fn id(&self, topic: &str, timeout: Duration) -> Result<Option<String>, Error> {
        let name = CString::new(topic).map_err(|_| Error::Name { topic: topic.to_owned() })?;
        let refused = |reason: String| Error::Refused { topic: topic.to_owned(), reason };
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // Safety: the handle lives as long as `self`; everything that is made here is freed by its guard, the event
        // last, and nothing that points into the event leaves this block.
        #[expect(unsafe_code, reason = "the crate rdkafka does not wrap DescribeTopics, the only call that tells ids")]
        unsafe {
            let client = self.producer.client().native_ptr();
            let mut names = [name.as_ptr()];
            let topics = Guard(
                ffi::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1),
                ffi::rd_kafka_TopicCollection_destroy,
            );
            let options = Guard(
                ffi::rd_kafka_AdminOptions_new(client, ffi::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS),
                ffi::rd_kafka_AdminOptions_destroy,
            );
            let mut text = [0; 256];
            ffi::rd_kafka_AdminOptions_set_request_timeout(options.0, timeout_ms, text.as_mut_ptr(), text.len());
            let queue = Guard(ffi::rd_kafka_queue_new(client), ffi::rd_kafka_queue_destroy);
            ffi::rd_kafka_DescribeTopics(client, topics.0, options.0, queue.0);
            let event = Guard(ffi::rd_kafka_queue_poll(queue.0, timeout_ms), ffi::rd_kafka_event_destroy);
            if event.0.is_null() {
                return Err(Error::Timeout { topic: topic.to_owned(), timeout });
            }
            let result = ffi::rd_kafka_event_DescribeTopics_result(event.0);
            if result.is_null()
                || ffi::rd_kafka_event_error(event.0) != ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
            {
                return Err(refused(text_of(ffi::rd_kafka_event_error_string(event.0))));
            }
            let mut count = 0;
            let described = ffi::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            if count == 0 || described.is_null() {
                return Err(refused("no answer for it".to_owned()));
            }
            let topic = *described;
            let error = ffi::rd_kafka_TopicDescription_error(topic);
            match ffi::rd_kafka_error_code(error) {
                ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {}
                ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => return Ok(None),
                _ => return Err(refused(text_of(ffi::rd_kafka_error_string(error)))),
            }
            Ok(Some(text_of(ffi::rd_kafka_Uuid_base64str(ffi::rd_kafka_TopicDescription_topic_id(topic)))))
        }
    }
}

/// Frees what librdkafka has made, if it has made it.
struct Guard<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // Safety: the pointer came from librdkafka together with the function that frees it, and is freed once.
            #[expect(unsafe_code, reason = "librdkafka's objects are freed by its functions")]
            unsafe {
                (self.1)(self.0);
            }
        }
    }
}

/// Safety: `text` is null or a C string that outlives the call.
#[expect(unsafe_code, reason = "librdkafka answers C strings")]
unsafe fn text_of(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
