//! An event that nobody has routed: its deliveries, and their first attempts.

use domain::event::EventFilter;
use domain::ids::{AttemptId, DeliveryId};
use domain::ledger::{self, Delivery, Next, Reason};
use domain::protocol::{Attempt, Open};
use std::time::Duration;
use store::ledger::{Endpoint, Event, NewDelivery, Route};
use uuid::Uuid;

use super::next;
use crate::app::Core;
use crate::compose;

/// Who stands before an event's delivery at an endpoint.
pub enum Before {
    /// Those that it must not overtake.
    Earlier(Vec<Delivery>),
    /// A later event of the object is routed with it, and the endpoint wants the latest only.
    Superseded,
}

/// Matches the merchant's endpoints. The caller writes the row; if it is first, the attempts are begun. `before` is
/// asked for each.
pub fn first_time(
    core: &Core,
    item: &Open,
    event: &Event,
    endpoints: &[Endpoint],
    before: impl Fn(&Endpoint) -> Before,
) -> Result<(Route, Vec<Attempt>), compose::Error> {
    let mut deliveries = Vec::new();
    let mut attempts = Vec::new();
    for endpoint in endpoints.iter().filter(|endpoint| wants(endpoint, &event.event_type)) {
        let delivery_id = DeliveryId::from_uuid(Uuid::now_v7());
        let secrets = compose::secrets(&core.keyring, endpoint);
        let schedule = next::schedule(endpoint);
        let policy = ledger::Endpoint { state: endpoint.state, has_secret: !secrets.is_empty(), schedule: &schedule };
        let lease_ms = next::lease_ms(core, endpoint);
        let lease = Duration::from_millis(lease_ms.unsigned_abs());
        let step = match before(endpoint) {
            Before::Earlier(earlier) => ledger::open(&earlier, policy, lease),
            Before::Superseded => ledger::open_superseded(),
        };
        if let Next::Attempt { number } = step.next {
            attempts.push(Attempt {
                delivery_id,
                claim: step.delivery.claim,
                attempt: number,
                attempt_id: AttemptId::from_uuid(Uuid::now_v7()),
                timeout_ms: u64::from(endpoint.timeout_ms.unsigned_abs()),
                in_line: endpoint.order.is_in_line(),
                request: compose::request(&core.keyring, event, endpoint, &secrets)?,
            });
        }
        deliveries.push(NewDelivery {
            delivery_id: delivery_id.to_string(),
            endpoint_id: endpoint.endpoint_id.clone(),
            state: step.delivery.state,
            reason: step.reason.map(Reason::as_str),
            in_line: endpoint.order.is_in_line().then(|| (event.object_id.clone(), event.object_version)),
            lease_ms,
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
    Ok((route, attempts))
}

/// Whether the endpoint wants events of this type.
pub fn wants(endpoint: &Endpoint, event_type: &str) -> bool {
    endpoint.event_types.iter().any(|filter| match filter.parse::<EventFilter>() {
        Ok(filter) => filter.matches(event_type),
        Err(error) => {
            // Sending too much loses nothing; a filter that can't be read must not swallow events.
            tracing::error!(endpoint.id = endpoint.endpoint_id, %error, "an endpoint's filter can't be read");
            true
        }
    })
}
