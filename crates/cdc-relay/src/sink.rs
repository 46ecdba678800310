//! Where records go. The relay knows Kafka only through this trait.

use std::time::Instant;

use crate::offsets::Place;
use crate::record::Record;

/// Takes records and says later, through a channel of [`Event`]s, what became of them.
pub trait Sink: Send + Sync {
    /// Hands a record over without waiting. What becomes of it comes as an event that carries the ticket.
    ///
    /// # Errors
    /// If the record is not taken; no event comes then.
    fn send(&self, record: &Record<'_>, ticket: Ticket) -> Result<(), Refusal>;
}

/// What the relay needs to know about a record once it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// The number of its transaction.
    pub transaction: u64,
    /// When it was read from the stream.
    pub captured_at: Instant,
    /// The same moment by the wall clock, in milliseconds since 1970-01-01: the record's timestamp.
    pub captured_at_ms: i64,
    /// How many bytes it takes.
    pub size: usize,
}

/// What a sink has to say.
#[derive(Debug)]
pub enum Event {
    /// The record is stored, as durably as the sink is.
    Stored {
        /// Whose.
        ticket: Ticket,
        /// Where.
        place: Place,
    },
    /// The record is not stored and will not be.
    Refused {
        /// Whose.
        ticket: Ticket,
        /// Why.
        refusal: Refusal,
    },
    /// The sink's connections are gone; it may come back as another one.
    Lost {
        /// What it said.
        reason: String,
    },
}

/// Why a record is not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is larger than the sink allows.
    #[error("Kafka refused a record of {size} bytes as too large")]
    TooLarge {
        /// The record.
        size: usize,
    },
    /// Anything else.
    #[error("Kafka refused a record: {reason}")]
    Other {
        /// In Kafka's words.
        reason: String,
    },
}
