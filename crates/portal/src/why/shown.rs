//! How the answer of `GET /why/{id}` is written.

use domain::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Story, Told, words};

/// The answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct Why {
    id: String,
    kind: &'static str,
    answer: String,
    events: Vec<Event>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WhyEvent)]
struct Event {
    event_id: String,
    event_type: String,
    object_version: i64,
    #[schema(value_type = String, format = DateTime)]
    occurred_at: Timestamp,
    routed: Option<Routed>,
    deliveries: Vec<Delivery>,
}

/// `fan_out` 0 means filtered: no endpoint wanted it.
#[derive(Serialize, ToSchema)]
#[schema(as = WhyRouted)]
struct Routed {
    fan_out: usize,
    from_cdc: bool,
    #[schema(value_type = Option<String>, format = DateTime)]
    committed_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    captured_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    handled_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    routed_at: Timestamp,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WhyDelivery)]
struct Delivery {
    delivery_id: String,
    endpoint_id: String,
    state: String,
    reason: Option<String>,
    claim: i32,
    attempts: i32,
    #[schema(value_type = String, format = DateTime)]
    due_at: Timestamp,
    waits_for: Option<String>,
    log: Vec<Attempt>,
}

/// The attempt under way has no id and no outcome.
#[derive(Serialize, ToSchema)]
#[schema(as = WhyAttempt)]
struct Attempt {
    attempt_id: Option<String>,
    number: i32,
    #[schema(value_type = String, format = DateTime)]
    begun_at: Timestamp,
    outcome: Option<String>,
    status: Option<i16>,
    duration_ms: Option<i64>,
    detail: Option<String>,
    address: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
}

impl Why {
    pub(super) fn new(answer: String, id: String, kind: &'static str, stories: Vec<Story>, now: Timestamp) -> Self {
        Self { id, kind, answer, events: stories.into_iter().map(|story| event(story, now)).collect() }
    }
}

fn event(Story { event, deliveries }: Story, now: Timestamp) -> Event {
    Event {
        event_id: event.event_id,
        event_type: event.event_type,
        object_version: event.object_version,
        occurred_at: event.occurred_at.into(),
        routed: event.routed.map(|routed| Routed {
            fan_out: routed.delivery_ids.len(),
            from_cdc: routed.from_cdc,
            committed_at: routed.committed_at.map(Timestamp::from),
            captured_at: routed.captured_at.map(Timestamp::from),
            handled_at: routed.handled_at.into(),
            routed_at: routed.routed_at.into(),
        }),
        deliveries: deliveries.into_iter().map(|told| delivery(told, now)).collect(),
    }
}

fn delivery(told: Told, now: Timestamp) -> Delivery {
    let waits_for = words::waits_for(&told, now);
    let Told { delivery, attempts } = told;
    let ended = attempts.into_iter().map(|attempt| Attempt {
        attempt_id: Some(attempt.attempt_id),
        number: attempt.number,
        begun_at: attempt.began_at.into(),
        outcome: Some(attempt.outcome),
        status: attempt.status,
        duration_ms: attempt.duration_ms,
        detail: attempt.detail,
        address: attempt.address,
        next_attempt_at: attempt.next_at.map(Timestamp::from),
    });
    let under_way = delivery.begun_at.map(|begun_at| Attempt {
        attempt_id: None,
        number: delivery.attempts,
        begun_at: begun_at.into(),
        outcome: None,
        status: None,
        duration_ms: None,
        detail: None,
        address: None,
        next_attempt_at: None,
    });
    Delivery {
        delivery_id: delivery.delivery_id,
        endpoint_id: delivery.endpoint_id,
        state: delivery.state,
        reason: delivery.reason,
        claim: delivery.claim,
        attempts: delivery.attempts,
        due_at: delivery.due_at.into(),
        waits_for,
        log: ended.chain(under_way).collect(),
    }
}
