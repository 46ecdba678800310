//! From PostgreSQL's write-ahead log to Kafka, in Sequin's message format, at least once.
//!
//! The way of a change: [`pgoutput`] bytes, [`capture`]d into a [`record`], handed to a [`sink`]; what the sink has
//! acknowledged moves the [`progress`], and only that is acknowledged to PostgreSQL. A [`session`] is one life of
//! that way; the [`relay`] starts one after the other.
//! Nothing here knows what a payment is.

pub mod capture;
pub mod envelope;
pub mod flags;
pub mod heartbeat;
pub mod kafka;
pub mod offsets;
pub mod percentiles;
pub mod pgoutput;
pub mod postgres;
pub mod progress;
pub mod record;
pub mod relay;
pub mod report;
pub mod session;
pub mod sink;
pub mod source;
pub mod tables;
pub mod value;
pub mod watch;
