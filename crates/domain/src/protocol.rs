//! The ledger protocol: what webhook-consumer asks data-service, and the answers. Every call is a list and idempotent.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::ids::{AttemptId, DeliveryId, EndpointId, EventId};
use crate::ledger::Stop;
use crate::outcome::Outcome;
use crate::time::Timestamp;
use crate::webhook::Request;

/// `POST /internal/open`: route an event if nobody has, and begin its first attempts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Open {
    /// The event.
    pub event_id: EventId,
    /// Restate's id of the invocation; the same one asking again gets its own answer again.
    pub invocation_id: String,
    /// True if the record came through CDC, false if the reconciler sent it.
    pub from_cdc: bool,
    /// When the change was committed, as the record says.
    pub committed_at: Option<Timestamp>,
    /// When CDC captured it, as the record says.
    pub captured_at: Option<Timestamp>,
    /// When the handler began.
    pub handled_at: Timestamp,
    /// The endpoints at which the consumer has many attempts in flight. An older consumer says nothing of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub busy: Vec<Busy>,
}

/// Fewer attempts in flight to an endpoint are not worth telling.
pub const BUSY_FROM: u32 = 25;

/// An endpoint at which a consumer has many attempts in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Busy {
    /// Which endpoint.
    pub endpoint_id: EndpointId,
    /// How many attempts.
    pub attempts: u32,
}

/// The answer to an [`Open`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Opened {
    /// The deliveries of this event that this invocation owns.
    Deliveries {
        /// To be made now.
        attempts: Vec<Attempt>,
        /// To be come back to.
        later: Vec<Later>,
    },
    /// The ledger knows no such event; the record is to be parked.
    UnknownEvent,
    /// The event lies below the horizon; the record is to be parked.
    BeforeHorizon,
    /// This item failed; the call is to be repeated.
    Failed,
}

/// One POST to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attempt {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// The claim under which the attempt was begun.
    pub claim: u32,
    /// From 1.
    pub attempt: u32,
    /// Its id on the ledger.
    pub attempt_id: AttemptId,
    /// Where to. An older data-service does not say.
    #[serde(default)]
    pub endpoint_id: Option<EndpointId>,
    /// When the POST is to leave, at an endpoint with a rate limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// For the whole POST, in milliseconds.
    pub timeout_ms: u64,
    /// Whether the delivery stands in the line of its object; to be said again with the result.
    #[serde(default)]
    pub in_line: bool,
    /// When the event was committed, as CDC says it; otherwise when it occurred. An older data-service does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_at: Option<Timestamp>,
    /// What to send.
    pub request: Request,
}

/// When a POST is to leave, in the rate of its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// From now.
    pub starts_in_ms: u64,
    /// No other POST to the endpoint leaves so shortly before or after it.
    pub apart_us: u64,
}

/// A delivery whose next attempt is not due yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Later {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// The claim to ask with.
    pub claim: u32,
    /// From now.
    pub delay_ms: u64,
}

/// `POST /internal/next`: may the next attempt be made?
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ask {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// The claim of the one who asks.
    pub claim: u32,
    /// Restate's id of the invocation that asks.
    pub invocation_id: String,
    /// As in [`Open`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub busy: Vec<Busy>,
}

/// The answer to an [`Ask`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Answer {
    /// Make this attempt; it is begun.
    Attempt(Box<Attempt>),
    /// Come back.
    Later(Later),
    /// Nothing more to do at once.
    Stop {
        /// Why.
        why: Stop,
        /// To be come back to: those that were behind this one or stayed at its gate and may go now; and this one itself,
        /// if the answer is of both.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        successors: Vec<Later>,
    },
    /// This item failed; the call is to be repeated.
    Failed,
}

impl Answer {
    /// Nothing more to do, and nobody was behind.
    #[must_use]
    pub const fn stop(why: Stop) -> Self {
        Self::Stop { why, successors: Vec::new() }
    }

    /// The same, and others are to be come back to. None of an attempt that begins.
    #[must_use]
    pub fn and(self, others: Vec<Later>) -> Self {
        match self {
            same if others.is_empty() => same,
            Self::Later(own) => Self::Stop { why: Stop::Ended, successors: [vec![own], others].concat() },
            Self::Stop { why, successors } => Self::Stop { why, successors: [successors, others].concat() },
            other @ (Self::Attempt(_) | Self::Failed) => other,
        }
    }
}

/// `POST /internal/record`: the result of an attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recorded {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// The claim under which the attempt was begun.
    pub claim: u32,
    /// Its number.
    pub attempt: u32,
    /// Its id on the ledger: a result that is recorded twice is logged once.
    pub attempt_id: AttemptId,
    /// When the POST began, by the consumer's clock.
    pub began_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// As the attempt said: whether the delivery stands in the line of its object.
    #[serde(default)]
    pub in_line: bool,
    /// What the attempt failed of, in words; never a body or a secret.
    pub detail: Option<String>,
    /// How many attempts at the endpoint the consumer still has in flight. An older consumer says nothing of it.
    #[serde(default)]
    pub in_flight: u32,
    /// What was seen on the way. An older consumer says nothing of it.
    #[serde(default)]
    pub exchange: Exchange,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What was seen of an attempt on its way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exchange {
    /// The address that the connection was with, or was to be with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Look-up, connection and TLS, in milliseconds; none where a connection was used again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<u32>,
    /// From the beginning to the head of the answer, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u32>,
    /// A line for each header of the answer, as `name: value`; the first 8 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_headers: Option<String>,
    /// The first 16 KiB of the answer's body; base64 in JSON.
    #[serde(skip_serializing_if = "Vec::is_empty", with = "base64_text")]
    pub response_body: Vec<u8>,
}

mod base64_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// `POST /internal/parked-records`: a record that names no event that the ledger knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ParkedRecord {
    /// `unreadable`, `unknown_event` or `before_horizon`.
    pub reason: ParkedReason,
    /// What the parser said.
    pub detail: Option<String>,
    /// Kafka's topic; none if it came through the ingress.
    pub topic: Option<String>,
    /// Kafka's partition.
    pub partition: Option<i32>,
    /// Kafka's offset.
    pub offset: Option<i64>,
    /// The record's key, base64.
    pub key_base64: Option<String>,
    /// The record's value, base64.
    pub value_base64: String,
    /// The event that it names.
    pub event_id: Option<EventId>,
}

/// Why a record is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParkedReason {
    /// The bytes name no event.
    Unreadable,
    /// The event is not in the database.
    UnknownEvent,
    /// The event is older than what the ledger keeps.
    BeforeHorizon,
}

impl ParkedReason {
    /// The word for it in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::UnknownEvent => "unknown_event",
            Self::BeforeHorizon => "before_horizon",
        }
    }
}

/// `POST /internal/overdue`: may this process reconcile, and what is overdue?
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OverdueQuery {
    /// Who asks; one holder at a time has the lease.
    pub holder: String,
}

/// The answer to an [`OverdueQuery`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Overdue {
    /// Whether the one who asked has the lease.
    pub leads: bool,
    /// Events that nobody has routed.
    pub events: Vec<EventId>,
    /// Deliveries whose claim was raised for this answer.
    pub deliveries: Vec<Later>,
    /// Whether there is more at once.
    pub more: bool,
}
