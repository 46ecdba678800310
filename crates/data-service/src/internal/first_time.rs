//! An event that nobody has routed: its deliveries, and their first attempts.

use domain::event::EventFilter;
use domain::gate::Admission;
use domain::ids::{AttemptId, DeliveryId};
use domain::ledger::{self, Delivery, Next, Reason, Step};
use domain::protocol::{Attempt, Later, Open};
use domain::signature::Secret;
use domain::test_event;
use std::time::Duration;
use store::ledger::{Endpoint, Event, NewDelivery, Route};
use uuid::Uuid;

use super::gates::{self, Admitted, Wanted};
use super::{millis, next, spans};
use crate::app::Core;
use crate::compose;

/// Who stands before an event's delivery at an endpoint.
pub enum Before {
    /// Those that it must not overtake.
    Earlier(Vec<Delivery>),
    /// A later event of the object is routed with it, and the endpoint wants the latest only.
    Superseded,
}

/// A delivery as it is to be made, before it has been at the gate of its endpoint.
pub struct Draft<'a> {
    /// Where to.
    endpoint: &'a Endpoint,
    delivery_id: DeliveryId,
    secrets: Vec<Secret>,
    lease_ms: i64,
    step: Step,
    /// The slot of one whose place it takes, and the rate of that.
    pub slot: Option<(i64, i32)>,
}

/// What opening an event makes. The caller writes the row; if it is first, the attempts are begun.
pub struct Drawn {
    /// To be written.
    pub route: Route,
    /// To be made now.
    pub attempts: Vec<Attempt>,
    /// To be come back to.
    pub later: Vec<Later>,
}

/// Matches the merchant's endpoints. `before` is asked for each.
pub fn drafts<'a>(
    core: &Core,
    item: &Open,
    event: &Event,
    endpoints: &'a [Endpoint],
    before: impl Fn(&Endpoint) -> Before,
) -> Vec<Draft<'a>> {
    let draft = |endpoint: &'a Endpoint| {
        let delivery_id = match event.only_endpoint() {
            Some(_) => test_event::delivery_id(item.event_id),
            None => DeliveryId::from_uuid(Uuid::now_v7()),
        };
        let secrets = compose::secrets(&core.keyring, endpoint);
        let schedule = next::schedule(endpoint);
        let policy = ledger::Endpoint { state: endpoint.state, has_secret: !secrets.is_empty(), schedule: &schedule };
        let lease_ms = next::lease_ms(core, endpoint);
        let step = match before(endpoint) {
            Before::Earlier(earlier) => ledger::open(&earlier, policy, Duration::from_millis(lease_ms.unsigned_abs())),
            Before::Superseded => ledger::open_superseded(),
        };
        Draft { endpoint, delivery_id, secrets, lease_ms, step, slot: None }
    };
    endpoints.iter().filter(|endpoint| wants(endpoint, event)).map(draft).collect()
}

impl Draft<'_> {
    /// Where to.
    pub fn endpoint_id(&self) -> &str {
        &self.endpoint.endpoint_id
    }

    /// Whether going to the gate may reserve something there, which must not be done for an event that is routed already.
    pub fn is_at_a_gate(&self) -> bool {
        gates::reserves(self.endpoint)
    }

    /// The attempt that it would begin, if it would.
    pub fn wanted<'a>(&'a self, item: &'a Open) -> Option<Wanted<'a>> {
        let Self { endpoint, delivery_id, lease_ms, step, slot, .. } = self;
        let begins = matches!(step.next, Next::Attempt { .. });
        let delivery_id = delivery_id.to_string();
        begins.then_some(Wanted { delivery_id, endpoint, busy: &item.busy, lease_ms: *lease_ms, slot: *slot })
    }
}

/// Makes an event's deliveries of their drafts. `admitted` is asked for each attempt that would begin, in the order of
/// the drafts.
pub fn draw(
    core: &Core,
    item: &Open,
    event: &Event,
    drafts: Vec<Draft<'_>>,
    admitted: &mut Admitted,
) -> Result<Drawn, compose::Error> {
    let mut deliveries = Vec::with_capacity(drafts.len());
    let mut attempts = Vec::new();
    let mut later = Vec::new();
    // All of them are asked for, also when one of them can't be composed.
    let passed: Vec<(Step, Admission)> =
        drafts.iter().map(|draft| admitted.pass(Delivery::waiting(), draft.step)).collect();
    for (Draft { endpoint, delivery_id, secrets, lease_ms, .. }, (step, admission)) in drafts.into_iter().zip(passed) {
        let slot = gates::told(endpoint, admission);
        let mut waits_ms = None;
        match step.next {
            Next::Attempt { number } => {
                let attempt_id = AttemptId::from_uuid(Uuid::now_v7());
                let traceparent = spans::traceparent(core, event, attempt_id);
                attempts.push(Attempt {
                    delivery_id,
                    claim: step.delivery.claim,
                    attempt: number,
                    attempt_id,
                    endpoint_id: endpoint.endpoint_id.parse().ok(),
                    slot,
                    timeout_ms: u64::from(endpoint.timeout_ms.unsigned_abs()),
                    in_line: is_in_line(endpoint, event),
                    committed_at: item.committed_at.or(Some(event.occurred_at.into())),
                    request: compose::request(&core.keyring, event, endpoint, &secrets, traceparent)?,
                });
            }
            Next::Wait(wait) => {
                let wait_ms = millis(wait);
                waits_ms = Some(wait_ms);
                later.push(Later { delivery_id, claim: step.delivery.claim, delay_ms: wait_ms.unsigned_abs() });
            }
            Next::Stay(forgotten_after) => waits_ms = Some(millis(forgotten_after)),
            Next::Stop(_) => {}
        }
        deliveries.push(NewDelivery {
            delivery_id: delivery_id.to_string(),
            endpoint_id: endpoint.endpoint_id.clone(),
            state: step.delivery.state,
            reason: step.reason.map(Reason::as_str),
            in_line: is_in_line(endpoint, event).then(|| (event.object_id.clone(), event.object_version)),
            lease_ms: gates::lease_ms(lease_ms, slot),
            waits_ms,
            slot: gates::slot(endpoint, admission),
            at_gate: matches!(step.next, Next::Stay(_)),
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
    Ok(Drawn { route, attempts, later })
}

/// Whether the event's delivery at the endpoint waits for others. A test is of nothing that had an earlier version.
pub fn is_in_line(endpoint: &Endpoint, event: &Event) -> bool {
    endpoint.order.is_in_line() && event.only_endpoint().is_none()
}

/// Whether the event goes to the endpoint.
pub fn wants(endpoint: &Endpoint, event: &Event) -> bool {
    if let Some(only) = event.only_endpoint() {
        return endpoint.endpoint_id == only;
    }
    endpoint.event_types.iter().any(|filter| match filter.parse::<EventFilter>() {
        Ok(filter) => filter.matches(&event.event_type),
        Err(error) => {
            // Sending too much loses nothing; a filter that can't be read must not swallow events.
            tracing::error!(endpoint.id = endpoint.endpoint_id, %error, "an endpoint's filter can't be read");
            true
        }
    })
}
