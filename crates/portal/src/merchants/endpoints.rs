//! `POST` and `GET /merchants/{merchant_id}/endpoints`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chassis::JsonObject;
use chassis::params::{PathParam, QueryParams};
use domain::ids::{EndpointId, MerchantId, SecretId};
use domain::ledger::Order;
use domain::signature::{Shown, Version};
use serde::{Deserialize, Serialize};
use store::endpoints::{MERCHANT_EXISTS, NewEndpoint, insert_endpoint, list_endpoints};
use store::merchants::find_merchant;
use uuid::Uuid;

use crate::Portal;
use crate::endpoints::Endpoint;
use crate::endpoints::settings::{Description, EndpointUrl, EventFilters, Waits};
use crate::error::Error;
use crate::limit::Limit;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct New {
    url: EndpointUrl,
    #[serde(default)]
    description: Option<Description>,
    #[serde(default)]
    event_types: EventFilters,
    #[serde(default)]
    schedule: Option<Waits>,
    #[serde(default)]
    order: Order,
    #[serde(default)]
    signature: Version,
}

/// The endpoint with what its merchant verifies with: the secret, or the public key.
#[derive(Serialize)]
pub(crate) struct Made {
    #[serde(flatten)]
    endpoint: Endpoint,
    #[serde(flatten)]
    key: Shown,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    #[serde(default)]
    after: Option<EndpointId>,
    #[serde(default)]
    limit: Limit<1000>,
}

#[derive(Serialize)]
pub(crate) struct Endpoints {
    endpoints: Vec<Endpoint>,
    next: Option<EndpointId>,
}

pub(crate) async fn create(
    State(portal): State<Portal>,
    PathParam(merchant_id): PathParam<MerchantId>,
    JsonObject(new): JsonObject<New>,
) -> Result<(StatusCode, Json<Made>), Error> {
    let url = new.url.allowed(&portal.egress)?;
    let secret = portal.data_service.make_secret(new.signature).await?;
    let new = NewEndpoint {
        endpoint_id: EndpointId::from_uuid(Uuid::now_v7()),
        merchant_id,
        url,
        description: new.description.map(String::from),
        event_types: new.event_types.into(),
        schedule_ms: new.schedule.map(Vec::from),
        order: new.order.as_str(),
        signature: new.signature,
        secret_id: SecretId::from_uuid(Uuid::now_v7()),
        key_id: secret.key_id,
        ciphertext: secret.ciphertext,
    };
    let stored = insert_endpoint(&portal.pool, new).await.map_err(|error| match error.constraint() {
        Some(MERCHANT_EXISTS) => Error::UnknownMerchant(merchant_id),
        _ => error.into(),
    })?;
    let endpoint = Endpoint::try_from(stored)?;
    Ok((StatusCode::CREATED, Json(Made { endpoint, key: secret.key })))
}

pub(crate) async fn list(
    State(portal): State<Portal>,
    PathParam(merchant_id): PathParam<MerchantId>,
    QueryParams(page): QueryParams<Page>,
) -> Result<Json<Endpoints>, Error> {
    let rows = list_endpoints(&portal.pool, merchant_id, page.after, page.limit.rows()).await?;
    if rows.is_empty() && find_merchant(&portal.pool, merchant_id).await?.is_none() {
        return Err(Error::UnknownMerchant(merchant_id));
    }
    let (rows, next) = page.limit.page(rows, |endpoint| endpoint.endpoint_id);
    let endpoints = rows.into_iter().map(Endpoint::try_from).collect::<Result<_, _>>()?;
    Ok(Json(Endpoints { endpoints, next }))
}
