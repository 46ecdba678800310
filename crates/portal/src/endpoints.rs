//! `GET` and `PATCH /endpoints/{endpoint_id}`, and how an endpoint is shown.

pub(crate) mod secret;
pub(crate) mod settings;

use axum::Json;
use axum::extract::State;
use chassis::JsonObject;
use chassis::params::PathParam;
use domain::ids::{EndpointId, MerchantId};
use domain::ledger::Order;
use domain::signature::Version;
use domain::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use store::endpoints::{change_endpoint, find_endpoint};

use crate::Portal;
use crate::error::Error;
use settings::{Description, EndpointUrl, EventFilters, Waits};

/// An endpoint as it is shown; `schedule` is null where the default one is followed.
#[derive(Serialize)]
pub(crate) struct Endpoint {
    endpoint_id: EndpointId,
    merchant_id: MerchantId,
    url: String,
    description: Option<String>,
    event_types: Vec<String>,
    schedule: Option<Waits>,
    order: String,
    signature: Version,
    state: String,
    disabled_reason: Option<String>,
    created_at: Timestamp,
}

/// What is to be changed. A member that is left out stays as it is; null takes a description or a schedule away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    #[serde(default, deserialize_with = "given")]
    url: Option<EndpointUrl>,
    #[serde(default, deserialize_with = "given")]
    description: Option<Option<Description>>,
    #[serde(default, deserialize_with = "given")]
    event_types: Option<EventFilters>,
    #[serde(default, deserialize_with = "given")]
    schedule: Option<Option<Waits>>,
    #[serde(default, deserialize_with = "given")]
    order: Option<Order>,
    #[serde(default, deserialize_with = "given")]
    signature: Option<Version>,
    #[serde(default, deserialize_with = "given")]
    state: Option<NewState>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NewState {
    Enabled,
    Disabled,
}

impl NewState {
    fn disabled_reason(self) -> Option<&'static str> {
        match self {
            Self::Enabled => None,
            Self::Disabled => Some("disabled_by_operator"),
        }
    }
}

impl TryFrom<store::endpoints::Endpoint> for Endpoint {
    type Error = Error;

    fn try_from(stored: store::endpoints::Endpoint) -> Result<Self, Error> {
        let endpoint_id = stored.endpoint_id;
        let schedule = stored.schedule_ms.map(Waits::try_from).transpose();
        Ok(Self {
            endpoint_id,
            merchant_id: stored.merchant_id,
            url: stored.url,
            description: stored.description,
            event_types: stored.event_types,
            schedule: schedule.map_err(|error| Error::StoredSchedule(endpoint_id, error))?,
            order: stored.order,
            signature: stored.signature,
            state: stored.state,
            disabled_reason: stored.disabled_reason,
            created_at: stored.created_at,
        })
    }
}

pub(crate) async fn read(
    State(portal): State<Portal>,
    PathParam(endpoint_id): PathParam<EndpointId>,
) -> Result<Json<Endpoint>, Error> {
    shown(endpoint_id, find_endpoint(&portal.pool, endpoint_id).await?)
}

pub(crate) async fn change(
    State(portal): State<Portal>,
    PathParam(endpoint_id): PathParam<EndpointId>,
    JsonObject(change): JsonObject<Change>,
) -> Result<Json<Endpoint>, Error> {
    // First: repeated after a failure in between, it changes nothing a second time.
    if let Some(signature) = change.signature {
        change_signature(&portal, endpoint_id, signature).await?;
    }
    let change = store::endpoints::Change {
        url: change.url.map(|url| url.allowed(&portal.egress)).transpose()?,
        description: change.description.map(|given| given.map(String::from)),
        event_types: change.event_types.map(Vec::from),
        schedule_ms: change.schedule.map(|given| given.map(Vec::from)),
        order: change.order.map(Order::as_str),
        disabled_reason: change.state.map(NewState::disabled_reason),
    };
    shown(endpoint_id, change_endpoint(&portal.pool, endpoint_id, change).await?)
}

/// Another signature needs another secret, so this is a rotation: the older secrets sign for another day.
async fn change_signature(portal: &Portal, endpoint_id: EndpointId, signature: Version) -> Result<(), Error> {
    let passed = portal.data_service.sign_with(endpoint_id, signature).await?;
    if passed.status.is_success() { Ok(()) } else { Err(Error::Passed(passed.into())) }
}

fn shown(endpoint_id: EndpointId, found: Option<store::endpoints::Endpoint>) -> Result<Json<Endpoint>, Error> {
    let endpoint = found.ok_or(Error::UnknownEndpoint(endpoint_id))?;
    Ok(Json(endpoint.try_into()?))
}

/// A member that is there; whether it may be null is for its type to say.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
