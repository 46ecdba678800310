//! What others send, read as the handlers read it and no further: a door for the fuzz targets, which see no private type.

use chassis::answer::json;
use chassis::{JsonObject, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::merchants::NewMerchant;
use crate::payments::NewPayment;
use crate::payments::status::NewStatus;

/// Reads a body. What was understood is told as JSON, which is a body, too.
pub type Read = fn(&[u8]) -> Result<String, Problem>;

/// Each body that the service reads, by its operation.
pub const BODIES: [(&str, Read); 3] = [
    ("POST /merchants", read::<NewMerchant>),
    ("POST /payments", read::<NewPayment>),
    ("POST /payments/{payment_id}/status", read::<NewStatus>),
];

fn read<T: DeserializeOwned + Serialize>(body: &[u8]) -> Result<String, Problem> {
    JsonObject::<T>::from_bytes(body).map(|JsonObject(understood)| json(&understood))
}
