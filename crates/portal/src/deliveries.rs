//! `GET /deliveries` and `GET /deliveries/{delivery_id}`.

pub(crate) mod attempts;
pub(crate) mod resend;

use axum::Json;
use axum::extract::State;
use chassis::params::{PathParam, QueryParams};
use domain::ids::{DeliveryId, EndpointId, EventId, MerchantId};
use domain::ledger;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::deliveries::{
    find_delivery, last_of_deliveries, last_of_deliveries_to, list_deliveries, list_deliveries_of, list_deliveries_to,
};
use store::endpoints::endpoint_ids_of;
use utoipa::{IntoParams, ToSchema};

use crate::Portal;
use crate::access::Access;
use crate::error::Error;
use crate::page::{Cursor, Limit, MOST_LOOKED_AT, Page};
use crate::window::span;

/// To each of very many endpoints, so many deliveries are looked at nevertheless.
const LEAST_LOOKED_AT: i64 = 250;

/// Which deliveries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// To this merchant's endpoints.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    merchant_id: Option<MerchantId>,
    /// To this endpoint.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    endpoint_id: Option<EndpointId>,
    /// Of this event.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    event_id: Option<EventId>,
    /// In this state.
    #[serde(default)]
    #[param(inline)]
    state: Option<DeliveryState>,
    /// That were made then or later.
    #[serde(default)]
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// That were made before.
    #[serde(default)]
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// The `next_cursor` of the page before.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<DeliveryId>>,
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 250, default = 50)]
    limit: Limit,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeliveryState {
    /// Due at a time, or being attempted.
    Pending,
    /// Behind an earlier one of its object.
    Held,
    /// A 2xx is recorded.
    Delivered,
    /// Waits for somebody, with the reason.
    Parked,
    /// Its schedule is used up, or the receiver ended it.
    Exhausted,
    /// A newer one of the same object took its place.
    Superseded,
}

impl DeliveryState {
    const fn of_ledger(self) -> ledger::State {
        match self {
            Self::Pending => ledger::State::Pending,
            Self::Held => ledger::State::Held,
            Self::Delivered => ledger::State::Delivered,
            Self::Parked => ledger::State::Parked,
            Self::Exhausted => ledger::State::Exhausted,
            Self::Superseded => ledger::State::Superseded,
        }
    }
}

/// An event for an endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct Delivery {
    delivery_id: String,
    event_id: String,
    /// Null if the event is kept no more.
    event_type: Option<String>,
    /// Null if the event is kept no more.
    merchant_id: Option<String>,
    endpoint_id: String,
    /// `pending`, `held`, `delivered`, `parked`, `exhausted` or `superseded`.
    state: String,
    /// Why it is parked or exhausted.
    reason: Option<String>,
    /// How many attempts were begun.
    attempts: i32,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When the attempt began that is under way.
    #[schema(value_type = Option<String>, format = DateTime)]
    attempting_since: Option<Timestamp>,
    /// When the next attempt is due, if there is to be one at a certain time.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    /// Whether it waits until its endpoint takes more: that fails, or has as many attempts under way as it may. See its health.
    waits_for_endpoint: bool,
    /// When it was delivered, exhausted or superseded.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// When it was delivered before it was resent: then it is delivered again, whatever comes of that.
    #[schema(value_type = Option<String>, format = DateTime)]
    accepted_at: Option<Timestamp>,
}

/// Lists deliveries.
#[utoipa::path(get, path = "/deliveries", operation_id = "list_deliveries", tag = "deliveries", params(Wanted),
    responses((status = 200, description = "A page", body = Page<Delivery>)))]
pub(crate) async fn list(
    State(portal): State<Portal>,
    access: Access,
    QueryParams(wanted): QueryParams<Wanted>,
) -> Result<Json<Page<Delivery>>, Error> {
    let merchant_id = access.whose(wanted.merchant_id)?;
    let mut span = span(DeliveryId::PREFIX, wanted.from, wanted.to, wanted.cursor.map(|cursor| cursor.0))?;
    let (pool, rows) = (&portal.lists, wanted.limit.rows());
    let state = wanted.state.map(|state| state.of_ledger().as_str());
    let endpoint_ids = match merchant_id {
        None => wanted.endpoint_id.map(|endpoint_id| vec![endpoint_id.to_string()]),
        Some(merchant_id) => {
            let mut endpoint_ids = endpoint_ids_of(pool, merchant_id).await?;
            if let Some(only) = wanted.endpoint_id {
                endpoint_ids.retain(|endpoint_id| *endpoint_id == only.to_string());
            }
            Some(endpoint_ids)
        }
    };
    let mut end = None;
    if state.is_some() && wanted.event_id.is_none() {
        end = match &endpoint_ids {
            None => last_of_deliveries(pool, &span, MOST_LOOKED_AT).await?,
            Some(endpoint_ids) => {
                let share = MOST_LOOKED_AT / i64::try_from(endpoint_ids.len()).unwrap_or(i64::MAX).max(1);
                last_of_deliveries_to(pool, endpoint_ids, &span, share.max(LEAST_LOOKED_AT)).await?
            }
        };
        span.begin_at(end.clone().unwrap_or_default());
    }
    let rows = match (wanted.event_id, &endpoint_ids) {
        (Some(event_id), _) => list_deliveries_of(pool, event_id, endpoint_ids.as_deref(), &span, state, rows).await?,
        (None, Some(endpoint_ids)) => list_deliveries_to(pool, endpoint_ids, &span, state, rows).await?,
        (None, None) => list_deliveries(pool, &span, state, rows).await?,
    };
    let page = wanted.limit.page(rows, |delivery| delivery.delivery_id.clone());
    Ok(Json(page.or_below(end).map(shown)))
}

/// Reads a delivery.
#[utoipa::path(get, path = "/deliveries/{delivery_id}", operation_id = "read_delivery", tag = "deliveries",
    params(("delivery_id" = String, Path, description = "`dlv_…`")),
    responses((status = 200, description = "The delivery", body = Delivery)))]
pub(crate) async fn read(
    State(portal): State<Portal>,
    access: Access,
    PathParam(delivery_id): PathParam<DeliveryId>,
) -> Result<Json<Delivery>, Error> {
    find(&portal, access, delivery_id).await.map(|delivery| Json(shown(delivery)))
}

/// The delivery, if it exists for whoever asks.
async fn find(portal: &Portal, access: Access, delivery_id: DeliveryId) -> Result<store::deliveries::Delivery, Error> {
    let found = find_delivery(&portal.lists, delivery_id).await?;
    let found = found.filter(|delivery| access.sees_id(delivery.merchant_id.as_deref()));
    found.ok_or(Error::UnknownDelivery(delivery_id))
}

pub(crate) fn shown(delivery: store::deliveries::Delivery) -> Delivery {
    let waits = delivery.state == ledger::State::Pending.as_str() && delivery.begun_at.is_none();
    Delivery {
        delivery_id: delivery.delivery_id,
        event_id: delivery.event_id,
        event_type: delivery.event_type,
        merchant_id: delivery.merchant_id,
        endpoint_id: delivery.endpoint_id,
        state: delivery.state,
        reason: delivery.reason,
        attempts: delivery.attempts,
        created_at: delivery.created_at.into(),
        attempting_since: delivery.begun_at.map(Timestamp::from),
        next_attempt_at: (waits && !delivery.at_gate).then(|| delivery.due_at.into()),
        waits_for_endpoint: delivery.at_gate,
        ended_at: delivery.ended_at.map(Timestamp::from),
        accepted_at: delivery.accepted_at.map(Timestamp::from),
    }
}
