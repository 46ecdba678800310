//! `POST /merchants/{merchant_id}/endpoints` and `PATCH /endpoints/{endpoint_id}`, as far as a comparison needs them: of
//! the portal's fields, those that it has mean the same.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chassis::JsonObject;
use chassis::params::PathParam;
use domain::event::EventFilter;
use domain::ids::{EndpointId, MerchantId, SecretId};
use domain::ledger::Order;
use domain::signature::{Shown, Version};
use domain::webhook::Payload;
use serde::{Deserialize, Serialize};
use store::endpoints::{Change, Headers, MERCHANT_EXISTS, NewEndpoint, change_endpoint, insert_endpoint};
use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;

use crate::error::Error;
use crate::outbox::Outbox;

/// Where a key's id stands with the new way: nothing is encrypted here.
const IN_CLEAR: &str = "clear";
const TIMEOUT_MS: i32 = 15_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct New {
    url: Url,
    #[serde(default = "everything")]
    event_types: Vec<EventFilter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Moved {
    url: Url,
}

#[derive(Serialize)]
pub(crate) struct Endpoint {
    endpoint_id: EndpointId,
    merchant_id: MerchantId,
    url: String,
    event_types: Vec<String>,
}

/// The endpoint with what its merchant verifies with.
#[derive(Serialize)]
pub(crate) struct Made {
    #[serde(flatten)]
    endpoint: Endpoint,
    #[serde(flatten)]
    key: Shown,
}

pub(crate) async fn create(
    State(outbox): State<Outbox>,
    PathParam(merchant_id): PathParam<MerchantId>,
    JsonObject(new): JsonObject<New>,
) -> Result<(StatusCode, Json<Made>), Error> {
    outbox.policy().check_url(&new.url)?;
    if !(1..=100).contains(&new.event_types.len()) {
        return Err(Error::EventTypes);
    }
    let secret = Version::V1.secret(rand::random());
    let new = NewEndpoint {
        endpoint_id: EndpointId::from_uuid(Uuid::now_v7()),
        merchant_id,
        url: new.url.into(),
        description: None,
        event_types: new.event_types.into_iter().map(String::from).collect(),
        schedule_ms: None,
        order: Order::Any.as_str(),
        payload: Payload::AsCommitted.as_str(),
        signature: Version::V1,
        timeout_ms: TIMEOUT_MS,
        rate_limit: None,
        headers: Headers::default(),
        secret_id: SecretId::from_uuid(Uuid::now_v7()),
        key_id: IN_CLEAR.to_owned(),
        ciphertext: secret.expose_bytes(),
        created_at: OffsetDateTime::now_utc().into(),
    };
    let endpoint = shown(new.as_stored());
    match insert_endpoint(outbox.pool(), new, None).await {
        Ok(()) => Ok((StatusCode::CREATED, Json(Made { endpoint, key: secret.key().shown() }))),
        Err(error) if error.constraint() == Some(MERCHANT_EXISTS) => Err(Error::UnknownMerchant(merchant_id)),
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn change(
    State(outbox): State<Outbox>,
    PathParam(endpoint_id): PathParam<EndpointId>,
    JsonObject(moved): JsonObject<Moved>,
) -> Result<Json<Endpoint>, Error> {
    outbox.policy().check_url(&moved.url)?;
    let change = Change { url: Some(moved.url.into()), ..Change::default() };
    let changed = change_endpoint(outbox.pool(), endpoint_id, change).await?;
    changed.map(|endpoint| Json(shown(endpoint))).ok_or(Error::UnknownEndpoint(endpoint_id))
}

fn shown(endpoint: store::endpoints::Endpoint) -> Endpoint {
    let store::endpoints::Endpoint { endpoint_id, merchant_id, url, event_types, .. } = endpoint;
    Endpoint { endpoint_id, merchant_id, url, event_types }
}

fn everything() -> Vec<EventFilter> {
    "*".parse().into_iter().collect()
}
