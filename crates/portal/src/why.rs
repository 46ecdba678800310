//! `GET /why/{id}`: who owns a payment's events, an event or a delivery now, what it waits for, and the next moment.

mod shown;
mod words;

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use chassis::params::PathParam;
use domain::ids::{DeliveryId, EventId, PaymentId};
use domain::time::Timestamp;
use store::PgPool;
use store::why::{Attempt, Delivery, Event, attempts_of, database_now, deliveries, events_of, find_event};

use crate::Portal;
use crate::access::Access;
use crate::error::Error;
use shown::Why;

/// Of a payment, so many events are told, the newest.
const MOST_EVENTS: i64 = 100;

/// An event with all that is known of it.
struct Story {
    event: Event,
    deliveries: Vec<Told>,
}

/// A delivery with its ended attempts.
struct Told {
    delivery: Delivery,
    attempts: Vec<Attempt>,
}

/// Tells where a payment's events, an event or a delivery are: who owns them now, what they wait for, and the next moment.
#[utoipa::path(get, path = "/why/{id}", operation_id = "read_why", tag = "ledger",
    params(("id" = String, Path, description = "`pay_…`, `evt_…` or `dlv_…`")),
    responses((status = 200, description = "The answer", body = Why)))]
pub(crate) async fn read(
    State(portal): State<Portal>,
    access: Access,
    PathParam(id): PathParam<String>,
) -> Result<Json<Why>, Error> {
    let pool = &portal.pool;
    if let Ok(payment_id) = id.parse::<PaymentId>() {
        why_payment(pool, access, payment_id).await
    } else if let Ok(event_id) = id.parse::<EventId>() {
        why_event(pool, access, event_id).await
    } else if let Ok(delivery_id) = id.parse::<DeliveryId>() {
        why_delivery(pool, access, delivery_id).await
    } else {
        Err(Error::UnknownId(id.chars().take(80).collect()))
    }
    .map(Json)
}

async fn why_payment(pool: &PgPool, access: Access, payment_id: PaymentId) -> Result<Why, Error> {
    let id = payment_id.to_string();
    let mut events = events_of(pool, &id, MOST_EVENTS).await?;
    events.retain(|event| access.sees_id(Some(&event.merchant_id)));
    if events.is_empty() {
        return Err(Error::UnknownId(id));
    }
    let (stories, now) = tell(pool, events, None).await?;
    Ok(Why::new(words::payment(&id, &stories, now), id, "payment", stories, now))
}

async fn why_event(pool: &PgPool, access: Access, event_id: EventId) -> Result<Why, Error> {
    let id = event_id.to_string();
    if let Some(event) = find_event(pool, &id).await? {
        if !access.sees_id(Some(&event.merchant_id)) {
            return Err(Error::UnknownId(id));
        }
        let (stories, now) = tell(pool, vec![event], None).await?;
        let answer = stories.iter().map(|story| words::event(story, now)).collect();
        return Ok(Why::new(answer, id, "event", stories, now));
    }
    if access != Access::Operator {
        return Err(Error::UnknownId(id));
    }
    let parked_id = store::parked::record_naming(pool, &id).await?.ok_or_else(|| Error::UnknownId(id.clone()))?;
    let now = database_now(pool).await?.into();
    Ok(Why::new(words::unknown_event(&id, &parked_id), id, "event", Vec::new(), now))
}

async fn why_delivery(pool: &PgPool, access: Access, delivery_id: DeliveryId) -> Result<Why, Error> {
    let id = delivery_id.to_string();
    let only = [id];
    let event_id = deliveries(pool, &only).await?.into_iter().next().map(|delivery| delivery.event_id);
    let [id] = only;
    let event_id = event_id.ok_or_else(|| Error::UnknownId(id.clone()))?;
    let event = find_event(pool, &event_id).await?.filter(|event| access.sees_id(Some(&event.merchant_id)));
    let event = event.ok_or_else(|| Error::UnknownId(id.clone()))?;
    let (stories, now) = tell(pool, vec![event], Some(&id)).await?;
    let told = stories.iter().flat_map(|story| &story.deliveries);
    let answer = told.map(|told| words::delivery(told, now)).collect();
    Ok(Why::new(answer, id, "delivery", stories, now))
}

/// Reads the deliveries of events and their attempts; only one of the deliveries, if one is asked for.
async fn tell(pool: &PgPool, events: Vec<Event>, only: Option<&str>) -> Result<(Vec<Story>, Timestamp), Error> {
    let ids: Vec<String> = match only {
        Some(id) => vec![id.to_owned()],
        None => events.iter().filter_map(|event| event.routed.as_ref()).flat_map(|r| r.delivery_ids.clone()).collect(),
    };
    let mut attempts: HashMap<String, Vec<Attempt>> = HashMap::new();
    for attempt in attempts_of(pool, &ids).await? {
        attempts.entry(attempt.delivery_id.clone()).or_default().push(attempt);
    }
    let mut told: HashMap<String, Vec<Told>> = HashMap::new();
    for delivery in deliveries(pool, &ids).await? {
        let attempts = attempts.remove(&delivery.delivery_id).unwrap_or_default();
        told.entry(delivery.event_id.clone()).or_default().push(Told { delivery, attempts });
    }
    let story = |event: Event| Story { deliveries: told.remove(&event.event_id).unwrap_or_default(), event };
    let stories = events.into_iter().map(story).collect();
    Ok((stories, database_now(pool).await?.into()))
}
