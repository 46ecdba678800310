//! `POST /internal/open`: routes events that nobody has routed, and begins their first attempts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chassis::JsonBody;
use chassis::error_chain::Chain;
use domain::event::EventFilter;
use domain::ids::{AttemptId, DeliveryId};
use domain::ledger::Reason;
use domain::protocol::{Answer, Ask, Attempt, Open, Opened};
use futures_util::future::join_all;
use store::ledger::{Endpoint, Event, NewDelivery, Route};
use uuid::Uuid;

use super::{firsts, next};
use crate::app::{App, Core};
use crate::compose;

/// One answer for each item, in order.
pub async fn post(State(app): State<App>, JsonBody(items): JsonBody<Vec<Open>>) -> Json<Vec<Opened>> {
    let calls = items.into_iter().map(|item| app.opens.call(item));
    Json(join_all(calls).await.into_iter().map(|answer| answer.unwrap_or(Opened::Failed)).collect())
}

/// Opens a batch. A failure of the database fails all of it; each item is then asked for again.
pub async fn run(core: Arc<Core>, items: Vec<Open>) -> Vec<Opened> {
    match open(&core, &items).await {
        Ok(answers) => answers,
        Err(error) => {
            tracing::warn!(error = %Chain(&error), items = items.len(), "events could not be opened");
            items.iter().map(|_| Opened::Failed).collect()
        }
    }
}

async fn open(core: &Core, items: &[Open]) -> Result<Vec<Opened>, store::Error> {
    let ids: Vec<String> = items.iter().map(|item| item.event_id.to_string()).collect();
    let events: HashMap<String, Event> =
        store::ledger::events(&core.fast, &ids).await?.into_iter().map(|e| (e.event_id.clone(), e)).collect();
    let merchants: Vec<String> =
        events.values().filter(|e| e.routed.is_none()).map(|e| e.merchant_id.clone()).collect();
    let endpoints = match merchants.is_empty() {
        true => Vec::new(),
        false => store::ledger::endpoints_of(&core.fast, &merchants, &[]).await?,
    };

    let mut answers = Vec::with_capacity(items.len());
    let mut routes = Vec::new();
    let mut asks = Vec::new();
    for ((item, id), first) in items.iter().zip(&ids).zip(firsts(items, |item| item.event_id)) {
        answers.push(match events.get(id) {
            _ if !first => Opened::Failed,
            None => Opened::UnknownEvent,
            Some(event) => match &event.routed {
                Some((invocation, deliveries)) => {
                    // Somebody else's: a duplicate ends here.
                    if *invocation == item.invocation_id {
                        asks.extend(own_asks(item, deliveries).into_iter().map(|ask| (answers.len(), ask)));
                    }
                    Opened::Deliveries { attempts: Vec::new(), later: Vec::new() }
                }
                None if event.before_horizon => Opened::BeforeHorizon,
                None => {
                    let (route, answer) = first_time(core, item, event, &endpoints);
                    routes.extend(route);
                    answer
                }
            },
        });
    }
    if !routes.is_empty() {
        let won: HashSet<String> = store::ledger::route(&core.fast, &routes).await?.into_iter().collect();
        let lost: HashSet<&String> =
            routes.iter().map(|route| &route.event_id).filter(|id| !won.contains(*id)).collect();
        for (id, answer) in ids.iter().zip(&mut answers) {
            if lost.contains(id) {
                // Another batch has routed it between our read and our write: the next call sees what it made.
                *answer = Opened::Failed;
            }
        }
    }
    if !asks.is_empty() {
        again(core, asks, &mut answers).await;
    }
    Ok(answers)
}

/// Matches the endpoints and makes the deliveries with their first attempts; the row is written by the caller.
fn first_time(core: &Core, item: &Open, event: &Event, endpoints: &[Endpoint]) -> (Option<Route>, Opened) {
    let mut deliveries = Vec::new();
    let mut attempts = Vec::new();
    for endpoint in endpoints.iter().filter(|e| e.merchant_id == event.merchant_id && wants(e, &event.event_type)) {
        let delivery_id = DeliveryId::from_uuid(Uuid::now_v7());
        let secrets = compose::secrets(&core.keyring, endpoint);
        let parked = match () {
            () if !endpoint.enabled => Some(Reason::EndpointDisabled),
            () if secrets.is_empty() => Some(Reason::NoSecret),
            () => None,
        };
        if parked.is_none() {
            let request = match compose::request(event, endpoint, &secrets) {
                Ok(request) => request,
                Err(error) => {
                    tracing::error!(event.id = event.event_id, error = %Chain(&error), "a webhook could not be composed");
                    return (None, Opened::Failed);
                }
            };
            attempts.push(Attempt {
                delivery_id,
                claim: 1,
                attempt: 1,
                attempt_id: AttemptId::from_uuid(Uuid::now_v7()),
                timeout_ms: u64::from(endpoint.timeout_ms.unsigned_abs()),
                request,
            });
        }
        deliveries.push(NewDelivery {
            delivery_id: delivery_id.to_string(),
            endpoint_id: endpoint.endpoint_id.clone(),
            parked: parked.map(Reason::as_str),
            lease_ms: next::lease_ms(core, endpoint),
        });
    }
    let route = Route {
        event_id: event.event_id.clone(),
        invocation_id: item.invocation_id.clone(),
        from_cdc: item.from_cdc,
        committed_at: item.committed_at.map(|moment| moment.into_inner()),
        captured_at: item.captured_at.map(|moment| moment.into_inner()),
        handled_at: item.handled_at.into_inner(),
        deliveries,
    };
    (Some(route), Opened::Deliveries { attempts, later: Vec::new() })
}

fn wants(endpoint: &Endpoint, event_type: &str) -> bool {
    endpoint.event_types.iter().any(|filter| match filter.parse::<EventFilter>() {
        Ok(filter) => filter.matches(event_type),
        Err(error) => {
            // Sending too much loses nothing; a filter that can't be read must not swallow events.
            tracing::error!(endpoint.id = endpoint.endpoint_id, %error, "an endpoint's filter can't be read");
            true
        }
    })
}

/// The same invocation asks again: it died in between, and gets its own deliveries under its own claim.
fn own_asks(item: &Open, deliveries: &[String]) -> Vec<Ask> {
    let ask = |id: &String| match id.parse() {
        Ok(delivery_id) => Some(Ask { delivery_id, claim: 1, invocation_id: item.invocation_id.clone() }),
        Err(error) => {
            tracing::error!(event.id = %item.event_id, %error, "routed_events names a delivery whose id is none");
            None
        }
    };
    deliveries.iter().filter_map(ask).collect()
}

/// Advances the deliveries of all who ask again together, each for the answer at its index.
async fn again(core: &Core, asks: Vec<(usize, Ask)>, answers: &mut [Opened]) {
    let (indexes, asks): (Vec<usize>, Vec<Ask>) = asks.into_iter().unzip();
    for (index, answer) in indexes.into_iter().zip(next::advance(core, &asks).await) {
        match (&mut answers[index], answer) {
            (Opened::Deliveries { attempts, .. }, Answer::Attempt(attempt)) => attempts.push(*attempt),
            (Opened::Deliveries { later, .. }, Answer::Later(back)) => later.push(back),
            (_, Answer::Stop { .. }) => {}
            (slot, _) => *slot = Opened::Failed,
        }
    }
}
