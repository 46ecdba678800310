//! What others send, read as the handlers read it and no further: a door for the fuzz targets, which see no private type.

use chassis::answer::json;
use chassis::egress::Policy;
use chassis::params::QueryParams;
use chassis::{JsonObject, Problem};
use domain::ids::MerchantId;
use domain::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::endpoints::enable::Enabling;
use crate::endpoints::recover::Recovery;
use crate::endpoints::settings::EndpointUrl;
use crate::merchant_token::TokenKeys;
use crate::merchants::tokens::NewToken;
use crate::merchants::{MerchantChange, NewMerchant};
use crate::{audit, deliveries, endpoints, events, hops, jobs, merchants, parked_records};

/// Reads a body. What was understood is told as JSON, which is a body, too; none where there is no such form.
pub type ReadBody = fn(&[u8]) -> Result<Option<String>, Problem>;

/// Reads a query.
pub type ReadQuery = fn(&str) -> Result<(), Problem>;

/// Each body that the service reads, by its operation.
pub const BODIES: [(&str, ReadBody); 7] = [
    ("POST /merchants", told::<NewMerchant>),
    ("PATCH /merchants/{merchant_id}", read::<MerchantChange>),
    ("POST /merchants/{merchant_id}/tokens", read::<NewToken>),
    ("POST /merchants/{merchant_id}/endpoints", told::<merchants::endpoints::New>),
    ("PATCH /endpoints/{endpoint_id}", read::<endpoints::Change>),
    ("POST /endpoints/{endpoint_id}/enable", told::<Enabling>),
    ("POST /endpoints/{endpoint_id}/recover", told::<Recovery>),
];

/// Each query that the service reads, by its operation.
pub const QUERIES: [(&str, ReadQuery); 9] = [
    ("GET /audit", query::<audit::Asked>),
    ("GET /deliveries", query::<deliveries::Wanted>),
    ("GET /deliveries/{delivery_id}/attempts", query::<deliveries::attempts::Wanted>),
    ("GET /events", query::<events::Wanted>),
    ("GET /hops", query::<hops::Wanted>),
    ("GET /jobs", query::<jobs::Wanted>),
    ("GET /merchants", query::<merchants::Wanted>),
    ("GET /merchants/{merchant_id}/endpoints", query::<merchants::endpoints::Wanted>),
    ("GET /parked-records", query::<parked_records::Wanted>),
];

fn told<T: DeserializeOwned + Serialize>(body: &[u8]) -> Result<Option<String>, Problem> {
    JsonObject::<T>::from_bytes(body).map(|JsonObject(understood)| Some(json(&understood)))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<Option<String>, Problem> {
    JsonObject::<T>::from_bytes(body).map(|_| None)
}

fn query<T: DeserializeOwned>(query: &str) -> Result<(), Problem> {
    QueryParams::<T>::from_query(query).map(drop)
}

/// The URL of an endpoint as it would be stored; none if it is refused.
#[must_use]
pub fn endpoint_url(text: &str, policy: &Policy) -> Option<String> {
    EndpointUrl::try_from(text.to_owned()).ok()?.allowed(policy).ok()
}

/// Whose things a merchant's token opens; none if it opens nothing.
#[must_use]
pub fn opened_by(token: &str, keys: &TokenKeys, now: Timestamp) -> Option<MerchantId> {
    keys.open(token, now).ok()
}
