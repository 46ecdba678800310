//! The spans that the ledger makes: the event's way to it, from the moments that are known of that, and each read.

use std::time::SystemTime;

use chassis::spans::{self, Kind, Span};
use domain::ids::AttemptId;
use domain::protocol::{Attempt, Open};
use domain::trace::{EventTrace, Hop, TraceId, of_attempt};
use store::ledger::{Event, Object};
use tracing::field::{DisplayValue, display};

use crate::app::Core;

/// What the receiver of an attempt is told of its trace, in a header.
pub fn traceparent(core: &Core, event: &Event, attempt_id: AttemptId) -> Option<String> {
    match trace(core, event) {
        Some((trace, _)) => Some(trace.of_post(attempt_id).to_string()),
        // It is not kept, and whoever receives it is told so.
        None => event.traceparent.clone(),
    }
}

/// What a line of the log says of an event's trace.
pub fn trace_id(event: &Event) -> Option<DisplayValue<TraceId>> {
    Some(display(TraceId::of(event.event_id.parse().ok()?, event.traceparent.as_deref())))
}

fn trace(core: &Core, event: &Event) -> Option<(EventTrace, Option<u64>)> {
    EventTrace::of(event.event_id.parse().ok()?, event.traceparent.as_deref(), core.sample_ratio)
}

/// Spans of one batch. They are handed over together when this is dropped.
#[derive(Debug, Default)]
pub struct Spans(Vec<Span>);

impl Drop for Spans {
    fn drop(&mut self) {
        spans::end(std::mem::take(&mut self.0));
    }
}

/// The event is routed now, to so many deliveries. Called once for each event, by whoever has routed it.
pub fn routed(all: &mut Spans, core: &Core, item: &Open, event: &Event, deliveries: usize) {
    if !spans::are_kept() {
        return;
    }
    let Some((trace, request)) = trace(core, event) else { return };
    let once = |hop: Hop, times| {
        Span::new(hop.name(), trace.trace_id, trace.once(hop), times)
            .with("event.id", event.event_id.clone())
            .with("merchant.id", event.merchant_id.clone())
            .with_some("payment.id", payment_id(event))
    };
    let handled_at = SystemTime::from(item.handled_at.into_inner());
    let mut parent = request;
    if let (true, Some(committed_at), Some(captured_at)) = (item.from_cdc, item.committed_at, item.captured_at) {
        let committed_at = SystemTime::from(committed_at.into_inner());
        // Kafka's time has milliseconds only.
        let captured_at = SystemTime::from(captured_at.into_inner()).max(committed_at);
        let capture = once(Hop::Capture, (committed_at, captured_at)).under(parent);
        parent = Some(capture.span_id);
        all.0.push(capture.with("everhook.from_timestamps", true));
        let stay = once(Hop::Stay, (captured_at, handled_at)).under(parent).kind(Kind::Consumer);
        parent = Some(stay.span_id);
        all.0.push(stay.with("messaging.system", "kafka").with("everhook.from_timestamps", true));
    }
    let route = once(Hop::Route, (handled_at, SystemTime::now()))
        .under(parent)
        .with("event.source", if item.from_cdc { "cdc" } else { "sweep" })
        .with("event.deliveries", i64::try_from(deliveries).unwrap_or(i64::MAX));
    all.0.push(route);
}

fn payment_id(event: &Event) -> Option<String> {
    match event.object {
        Object::Payment(_) | Object::Deleted | Object::Unreadable(_) => Some(event.object_id.clone()),
        Object::Test => None,
    }
}

/// The object was read and the webhook signed for an attempt that begins, since that moment.
pub fn read(all: &mut Spans, attempt: &Attempt, since: SystemTime) {
    if !spans::are_kept() {
        return;
    }
    let Some(trace) = attempt.request.trace() else { return };
    let own = |hop| of_attempt(attempt.attempt_id, hop);
    let span = Span::new(Hop::Read.name(), trace.trace_id, own(Hop::Read), (since, SystemTime::now()))
        .under(own(Hop::Attempt))
        .with("event.id", trace.event_id.to_string())
        .with_some("endpoint.id", attempt.endpoint_id.map(|id| id.to_string()))
        .with("delivery.id", attempt.delivery_id.to_string())
        .with("attempt.id", attempt.attempt_id.to_string())
        .with("delivery.attempt", attempt.attempt);
    all.0.push(span);
}
