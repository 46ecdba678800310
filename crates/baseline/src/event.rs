//! A webhook in memory: the same body as the new way writes, from the payment as it was committed.

use domain::ids::{EventId, MerchantId};
use domain::payment::Payment;
use domain::webhook::Body;
use serde_json::value::to_raw_value;
use uuid::Uuid;

/// What is to be told, and to whose endpoints.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) event_id: EventId,
    pub(crate) event_type: String,
    pub(crate) merchant_id: MerchantId,
    /// It is sent as it is with each attempt: a later change has a webhook of its own.
    pub(crate) body: String,
}

impl Event {
    /// The event of a payment that was just made or changed. Its id is made here: who sends from memory asks the
    /// database for nothing more.
    pub(crate) fn of(payment: &Payment) -> serde_json::Result<Self> {
        let event_id = EventId::from_uuid(Uuid::now_v7());
        let event_type = match payment.version {
            1 => "payment.created".to_owned(),
            _ => format!("payment.{}", payment.status),
        };
        let body = serde_json::to_string(&Body {
            event_type: &event_type,
            timestamp: payment.updated_at,
            data: &to_raw_value(payment)?,
            event_id,
            event_version: payment.version,
            object_version: payment.version,
            observed_at: payment.updated_at,
            payload: None,
        })?;
        Ok(Self { event_id, event_type, merchant_id: payment.merchant_id, body })
    }
}
