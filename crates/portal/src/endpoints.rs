//! `GET`, `PATCH` and `DELETE /endpoints/{endpoint_id}`, and how an endpoint is shown.

pub(crate) mod enable;
pub(crate) mod headers;
pub(crate) mod health;
pub(crate) mod pause;
pub(crate) mod recover;
pub(crate) mod secret;
pub(crate) mod settings;
pub(crate) mod test;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chassis::JsonObject;
use chassis::params::PathParam;
use domain::ids::{EndpointId, MerchantId};
use domain::ledger::{EndpointState, Order};
use domain::signature::Version;
use domain::time::Timestamp;
use domain::webhook::Payload;
use serde::{Deserialize, Deserializer, Serialize};
use store::endpoints::{Headers, change_endpoint, delete_endpoint, find_endpoint};
use store::jobs::cancel_enabling;
use utoipa::ToSchema;

use crate::Portal;
use crate::access::Access;
use crate::error::Error;
use headers::{HeaderChange, masked};
use settings::{Description, EndpointUrl, EventFilters, RateLimit, Timeout, Waits};

/// What a merchant can't undo.
const DISABLED_BY_OPERATOR: &str = "disabled_by_operator";

/// An endpoint as it is shown; `schedule` is null where the default one is followed.
#[derive(Serialize, ToSchema)]
pub(crate) struct Endpoint {
    #[schema(value_type = String)]
    endpoint_id: EndpointId,
    #[schema(value_type = String)]
    merchant_id: MerchantId,
    url: String,
    description: Option<String>,
    event_types: Vec<String>,
    #[schema(value_type = Option<Vec<String>>)]
    schedule: Option<Waits>,
    #[schema(value_type = OrderName)]
    order: String,
    #[schema(value_type = PayloadName)]
    payload: String,
    #[schema(value_type = SignatureName)]
    signature: Version,
    /// For a whole POST.
    timeout: String,
    /// Attempts a second; null is without limit.
    rate_limit: Option<i32>,
    /// Sent with each webhook; the values of some are shown as `***`.
    headers: BTreeMap<String, String>,
    /// `enabled`, `paused` or `disabled`.
    state: String,
    disabled_reason: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// What is to be changed. A member that is left out stays as it is; null takes a description or a schedule away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EndpointChange)]
pub(crate) struct Change {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false)]
    url: Option<EndpointUrl>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<Description>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<String>, required = false)]
    event_types: Option<EventFilters>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<String>>)]
    schedule: Option<Option<Waits>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = OrderName, required = false)]
    order: Option<Order>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = PayloadName, required = false)]
    payload: Option<Payload>,
    /// Another one is a rotation: a secret is made, and the older ones sign for another day.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = SignatureName, required = false)]
    signature: Option<Version>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false)]
    timeout: Option<Timeout>,
    /// Attempts a second, from 1 to 1000; null is without limit. What waits for its slot already comes back as it was told.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 1000)]
    rate_limit: Option<Option<RateLimit>>,
    /// New values by name; null takes a header away, and one that is left out stays.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, Option<String>>, required = false)]
    headers: HeaderChange,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = NewState, required = false)]
    state: Option<NewState>,
}

/// In which order an endpoint wants its events: `any`, as they come; `per_object`, those of one object in the order of its
/// versions, while other objects are not held up; `latest_only`, like that, but an event that is still to be sent gives way
/// to a later one of its object.
#[derive(ToSchema)]
#[schema(as = Order, rename_all = "snake_case")]
#[expect(dead_code, reason = "it is only described")]
pub(crate) enum OrderName {
    Any,
    PerObject,
    LatestOnly,
}

/// Which form of the object an endpoint wants: `fresh`, as it is at the moment of each attempt; `as_committed`, as the event
/// left it. Of an object of more than 64 KiB no such form is kept: it is sent fresh. So a webhook to an endpoint that wants
/// it as committed says in `payload` which it is.
#[derive(ToSchema)]
#[schema(as = Payload, rename_all = "snake_case")]
#[expect(dead_code, reason = "it is only described")]
pub(crate) enum PayloadName {
    Fresh,
    AsCommitted,
}

/// How webhooks are signed: `v1`, HMAC-SHA256, where whoever verifies could sign, too; `v1a`, ed25519, where whoever
/// verifies holds the public key only.
#[derive(ToSchema)]
#[schema(as = Signature, rename_all = "snake_case")]
#[expect(dead_code, reason = "it is only described")]
pub(crate) enum SignatureName {
    V1,
    V1a,
}

/// What the endpoint's merchant verifies with.
#[derive(ToSchema)]
#[schema(as = VerifyingKey)]
#[expect(dead_code, reason = "it is only described")]
pub(crate) struct KeyShape {
    /// `whsec_…`, with `v1`: to be kept.
    #[schema(required = false, nullable = false)]
    secret: Option<String>,
    /// `whpk_…`, with `v1a`.
    #[schema(required = false, nullable = false)]
    public_key: Option<String>,
}

/// The state that an endpoint is to have. With `enabled`, all that was parked is sent; whoever wants less of it enables the
/// endpoint by `POST /endpoints/{endpoint_id}/enable`.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum NewState {
    Enabled,
    Disabled,
}

impl NewState {
    fn disabled_reason(self, access: Access) -> Option<&'static str> {
        match (self, access) {
            (Self::Enabled, _) => None,
            (Self::Disabled, Access::Operator) => Some(DISABLED_BY_OPERATOR),
            (Self::Disabled, Access::Merchant(_)) => Some("disabled_by_merchant"),
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
            payload: stored.payload,
            signature: stored.signature,
            timeout: Timeout::text(stored.timeout_ms),
            rate_limit: stored.rate_limit,
            headers: masked(stored.headers.shown),
            state: stored.state,
            disabled_reason: stored.disabled_reason,
            created_at: stored.created_at,
        })
    }
}

/// Reads an endpoint.
#[utoipa::path(get, path = "/endpoints/{endpoint_id}", operation_id = "read_endpoint", tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "`ep_…`")),
    responses((status = 200, description = "The endpoint", body = Endpoint)))]
pub(crate) async fn read(
    State(portal): State<Portal>,
    access: Access,
    PathParam(endpoint_id): PathParam<EndpointId>,
) -> Result<Json<Endpoint>, Error> {
    Ok(Json(find(&portal, access, endpoint_id).await?.try_into()?))
}

/// Changes an endpoint.
#[utoipa::path(patch, path = "/endpoints/{endpoint_id}", operation_id = "change_endpoint", tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "`ep_…`")), request_body = Change,
    responses((status = 200, description = "The endpoint as it is now", body = Endpoint)))]
pub(crate) async fn change(
    State(portal): State<Portal>,
    access: Access,
    PathParam(endpoint_id): PathParam<EndpointId>,
    JsonObject(change): JsonObject<Change>,
) -> Result<Json<Endpoint>, Error> {
    let before = find(&portal, access, endpoint_id).await?;
    if change.state.is_some() {
        refuse_if_operator_s(access, &before)?;
    }
    let enables = matches!(change.state, Some(NewState::Enabled)) && before.state != EndpointState::Enabled.as_str();
    let url = change.url.map(|url| url.allowed(&portal.egress)).transpose()?;
    let headers = match change.headers.is_empty() {
        true => None,
        false => {
            let headers = changed_headers(&portal, endpoint_id, &before.headers, &change.headers).await?;
            Some((before.headers, headers))
        }
    };
    let may_have_changed = headers.is_some() || change.state.and(unless_operator_s(access)).is_some();
    // When all else is known to be right, and before it is stored: repeated after a failure in between, it changes
    // nothing a second time.
    if let Some(signature) = change.signature {
        change_signature(&portal, endpoint_id, signature).await?;
    }
    let change = store::endpoints::Change {
        url,
        description: change.description.map(|given| given.map(String::from)),
        event_types: change.event_types.map(Vec::from),
        schedule_ms: change.schedule.map(|given| given.map(Vec::from)),
        order: change.order.map(Order::as_str),
        payload: change.payload.map(Payload::as_str),
        timeout_ms: change.timeout.map(i32::from),
        rate_limit: change.rate_limit.map(|given| given.map(i32::from)),
        headers,
        disabled_reason: change.state.map(|state| state.disabled_reason(access)),
        unless: change.state.and(unless_operator_s(access)),
    };
    if enables {
        // All that is parked is sent now, whatever was chosen before.
        cancel_enabling(&portal.pool, endpoint_id).await?;
    }
    let changed = change_endpoint(&portal.pool, endpoint_id, change).await?.ok_or(if may_have_changed {
        Error::ChangedMeanwhile(endpoint_id)
    } else {
        Error::UnknownEndpoint(endpoint_id)
    })?;
    Ok(Json(changed.try_into()?))
}

/// Another signature needs another secret, so this is a rotation: the older secrets sign for another day.
async fn change_signature(portal: &Portal, endpoint_id: EndpointId, signature: Version) -> Result<(), Error> {
    let passed = portal.data_service.sign_with(endpoint_id, signature).await?;
    if passed.status.is_success() { Ok(()) } else { Err(Error::Passed(passed.into())) }
}

/// Deletes an endpoint. It gets nothing new; what was on its way to it is parked, and stays to be seen.
#[utoipa::path(delete, path = "/endpoints/{endpoint_id}", operation_id = "delete_endpoint", tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "`ep_…`")),
    responses((status = 204, description = "It is gone")))]
pub(crate) async fn delete(
    State(portal): State<Portal>,
    access: Access,
    PathParam(endpoint_id): PathParam<EndpointId>,
) -> Result<StatusCode, Error> {
    find(&portal, access, endpoint_id).await?;
    match delete_endpoint(&portal.pool, endpoint_id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Error::UnknownEndpoint(endpoint_id)),
    }
}

/// The headers after a change, as they are to be stored.
pub(crate) async fn changed_headers(
    portal: &Portal,
    endpoint_id: EndpointId,
    before: &Headers,
    change: &HeaderChange,
) -> Result<Headers, Error> {
    let shown = change.shown_after(before.shown.clone()).map_err(Error::Headers)?;
    let sealed = portal.data_service.seal_headers(endpoint_id, before.sealed.as_ref(), change).await?;
    Ok(Headers { shown, sealed })
}

/// The endpoint, if it exists for whoever asks.
async fn find(portal: &Portal, access: Access, endpoint_id: EndpointId) -> Result<store::endpoints::Endpoint, Error> {
    let found = find_endpoint(&portal.pool, endpoint_id).await?;
    found.filter(|endpoint| access.sees(endpoint.merchant_id)).ok_or(Error::UnknownEndpoint(endpoint_id))
}

/// What the operator has disabled, nobody else enables, and nobody else pauses in order to enable it then.
fn refuse_if_operator_s(access: Access, endpoint: &store::endpoints::Endpoint) -> Result<(), Error> {
    match access {
        Access::Merchant(_) if endpoint.disabled_reason.as_deref() == Some(DISABLED_BY_OPERATOR) => {
            Err(Error::DisabledByOperator)
        }
        Access::Merchant(_) | Access::Operator => Ok(()),
    }
}

/// The reason that is looked for once more as the change is stored: the operator may have disabled it in between.
fn unless_operator_s(access: Access) -> Option<&'static str> {
    match access {
        Access::Merchant(_) => Some(DISABLED_BY_OPERATOR),
        Access::Operator => None,
    }
}

/// Nothing is resent to an endpoint that takes nothing: it would be parked again.
pub(crate) fn refuse_unless_enabled(endpoint: &store::endpoints::Endpoint) -> Result<(), Error> {
    match endpoint.state == EndpointState::Enabled.as_str() {
        true => Ok(()),
        false => Err(Error::EndpointNotEnabled { endpoint_id: endpoint.endpoint_id, state: endpoint.state.clone() }),
    }
}

/// A member that is there; whether it may be null is for its type to say.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
