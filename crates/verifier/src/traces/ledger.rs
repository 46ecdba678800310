//! What the ledger says of the delivered events, as far as traces are judged by it.

use domain::ids::{AttemptId, DeliveryId, EndpointId, EventId, MerchantId};
use serde::Deserialize;

use crate::portal::UNKNOWN;

/// The events of a window that were delivered to at least one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// In any order.
    pub events: Vec<Event>,
}

/// A committed change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub event_id: EventId,
    /// What happened.
    pub event_type: String,
    /// `payment`, or `test`.
    pub object_type: String,
    /// Of the payment, or of the endpoint that was tested.
    pub object_id: String,
    /// Whose.
    pub merchant_id: MerchantId,
    /// Of the request that made the change, if it was one.
    pub traceparent: Option<String>,
    /// How many endpoints wanted it when it was routed.
    pub fan_out: Option<i64>,
    /// To all its endpoints.
    pub deliveries: Vec<Delivery>,
}

/// One event for one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id.
    pub delivery_id: DeliveryId,
    /// Where it goes.
    pub endpoint_id: EndpointId,
    /// Whether it was accepted.
    pub is_delivered: bool,
    /// The number of the attempt that is under way, which the log does not have yet.
    pub under_way: Option<i64>,
    /// The attempts that have ended.
    pub log: Vec<Attempt>,
}

/// One POST.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Attempt {
    /// Its id.
    pub attempt_id: AttemptId,
    /// From 1.
    pub number: i64,
    /// What came of it, in the ledger's word.
    pub outcome: String,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
}

impl Attempt {
    /// Whether nobody knows what came of it: the process that made it died, or was cut off.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.outcome == UNKNOWN
    }
}

impl Event {
    /// Whether at least one endpoint has accepted it.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.deliveries.iter().any(|delivery| delivery.is_delivered)
    }

    /// All attempts, with their deliveries.
    pub fn attempts(&self) -> impl Iterator<Item = (&Delivery, &Attempt)> {
        self.deliveries.iter().flat_map(|delivery| delivery.log.iter().map(move |attempt| (delivery, attempt)))
    }
}
