//! `GET /events` and `GET /events/{event_id}`.

use axum::Json;
use axum::extract::State;
use chassis::params::{PathParam, QueryParams};
use domain::event::EventFilter;
use domain::ids::{DeliveryId, EventId, MerchantId};
use domain::payment::Payment;
use domain::text::Text;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::deliveries::list_deliveries_of;
use store::events::{find_event, last_of_events, list_events, list_events_of_merchant, list_events_of_object};
use utoipa::{IntoParams, ToSchema};

use crate::Portal;
use crate::access::Access;
use crate::deliveries::{self, Delivery};
use crate::error::Error;
use crate::page::{Cursor, Limit, MOST_LOOKED_AT, Page};
use crate::window::span;

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Of this merchant.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    merchant_id: Option<MerchantId>,
    /// Of this type, or of those below: `payment.*`.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    event_type: Option<EventFilter>,
    /// Of this object: a payment's id, or an endpoint's, for its tests.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    object_id: Option<Text<1, 200>>,
    /// That occurred then or later.
    #[serde(default)]
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// That occurred before.
    #[serde(default)]
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// The `next_cursor` of the page before.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<EventId>>,
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 250, default = 50)]
    limit: Limit,
}

/// A committed change.
#[derive(Serialize, ToSchema)]
pub(crate) struct Event {
    event_id: String,
    event_type: String,
    object_type: String,
    object_id: String,
    /// The version of the object that the change made.
    object_version: i64,
    merchant_id: String,
    #[schema(value_type = String, format = DateTime)]
    occurred_at: Timestamp,
    /// How many endpoints wanted it, 0 if none did; null while it is not routed.
    fan_out: Option<i32>,
    #[schema(value_type = Option<String>, format = DateTime)]
    routed_at: Option<Timestamp>,
}

/// An event with its deliveries.
#[derive(Serialize, ToSchema)]
pub(crate) struct WholeEvent {
    #[serde(flatten)]
    event: Event,
    /// The object as it was committed; null if it was larger than 64 KiB.
    #[schema(value_type = Option<Object>)]
    snapshot: Option<Value>,
    /// W3C trace context of the change, if it carried one.
    traceparent: Option<String>,
    /// The list goes on at `GET /deliveries?event_id=…&cursor=…`.
    deliveries: Page<Delivery>,
}

/// Lists events.
#[utoipa::path(get, path = "/events", operation_id = "list_events", tag = "events", params(Wanted),
    responses((status = 200, description = "A page", body = Page<Event>)))]
pub(crate) async fn list(
    State(portal): State<Portal>,
    access: Access,
    QueryParams(wanted): QueryParams<Wanted>,
) -> Result<Json<Page<Event>>, Error> {
    let merchant_id = access.whose(wanted.merchant_id)?;
    let mut span = span(EventId::PREFIX, wanted.from, wanted.to, wanted.cursor.map(|cursor| cursor.0))?;
    let (pool, event_type, rows) = (&portal.lists, wanted.event_type.as_ref(), wanted.limit.rows());
    let mut end = None;
    if event_type.is_some() && wanted.object_id.is_none() {
        end = last_of_events(pool, merchant_id, &span, MOST_LOOKED_AT).await?;
        span.begin_at(end.clone().unwrap_or_default());
    }
    let rows = match (&wanted.object_id, merchant_id) {
        (Some(object_id), _) => {
            list_events_of_object(pool, object_id.as_str(), merchant_id, &span, event_type, rows).await?
        }
        (None, Some(merchant_id)) => list_events_of_merchant(pool, merchant_id, &span, event_type, rows).await?,
        (None, None) => list_events(pool, &span, event_type, rows).await?,
    };
    let page = wanted.limit.page(rows, |event| event.event_id.clone());
    Ok(Json(page.or_below(end).map(shown)))
}

/// Reads an event, with its deliveries.
#[utoipa::path(get, path = "/events/{event_id}", operation_id = "read_event", tag = "events",
    params(("event_id" = String, Path, description = "`evt_…`")),
    responses((status = 200, description = "The event", body = WholeEvent)))]
pub(crate) async fn read(
    State(portal): State<Portal>,
    access: Access,
    PathParam(event_id): PathParam<EventId>,
) -> Result<Json<WholeEvent>, Error> {
    let found = find_event(&portal.lists, event_id).await?;
    let found = found.filter(|(event, _)| access.sees_id(Some(&event.merchant_id)));
    let (event, details) = found.ok_or(Error::UnknownEvent(event_id))?;
    let span = span(DeliveryId::PREFIX, None, None, None::<DeliveryId>)?;
    let rows = list_deliveries_of(&portal.lists, event_id, None, &span, None, Limit::<250>::MOST.rows()).await?;
    let deliveries = Limit::<250>::MOST.page(rows, |delivery| delivery.delivery_id.clone()).map(deliveries::shown);
    let event = shown(event);
    Ok(Json(WholeEvent {
        event,
        snapshot: details.snapshot.map(as_written),
        traceparent: details.traceparent,
        deliveries,
    }))
}

/// The database writes moments in another form than payloads have them.
fn as_written(snapshot: Value) -> Value {
    let payment = Payment::deserialize(&snapshot).and_then(serde_json::to_value);
    payment.unwrap_or(snapshot)
}

fn shown(event: store::events::Event) -> Event {
    Event {
        event_id: event.event_id,
        event_type: event.event_type,
        object_type: event.object_type,
        object_id: event.object_id,
        object_version: event.object_version,
        merchant_id: event.merchant_id,
        occurred_at: event.occurred_at.into(),
        fan_out: event.fan_out,
        routed_at: event.routed_at.map(Timestamp::from),
    }
}
