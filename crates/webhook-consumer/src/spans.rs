//! The spans of an attempt, and the span of Restate's that it belongs to.

use std::time::SystemTime;

use chassis::spans::{self, Kind, Span};
use domain::outcome::Outcome;
use domain::protocol::{Attempt, Recorded};
use domain::trace::{Hop, Traceparent, of_attempt};
use hyper::header::HeaderMap;
use url::Url;

tokio::task_local! {
    /// The attempt at an invocation that Restate makes right now. Restate says it in a header of its request, which the SDK
    /// does not hand on; the handler runs while the answer's body is asked for more.
    static RESTATE: Option<Traceparent>;
}

/// The span that a request of Restate's names.
pub fn of_restate(headers: &HeaderMap) -> Option<Traceparent> {
    headers.get("traceparent")?.to_str().ok()?.parse().ok()
}

/// Runs what belongs to a request of Restate's.
pub fn within<T>(restate: Option<Traceparent>, run: impl FnOnce() -> T) -> T {
    RESTATE.sync_scope(restate, run)
}

/// The POST was made between these moments, and so it ended. Called before the result is recorded: what the ledger
/// knows of has its spans, whatever dies.
pub fn posted(attempt: &Attempt, asked_at: SystemTime, began: SystemTime, result: &Recorded) {
    if !spans::are_kept() {
        return;
    }
    let Some(trace) = attempt.request.trace() else { return };
    let ended = SystemTime::now();
    let own = |hop: Hop| of_attempt(attempt.attempt_id, hop);
    let span = |hop: Hop, began| {
        Span::new(hop.name(), trace.trace_id, own(hop), (began, ended))
            .with("event.id", trace.event_id.to_string())
            .with_some("endpoint.id", attempt.endpoint_id.map(|id| id.to_string()))
            .with("attempt.id", attempt.attempt_id.to_string())
            .with("delivery.attempt", attempt.attempt)
    };
    let outcome = result.outcome.as_str();
    let failure = (!matches!(result.outcome, Outcome::Delivered { .. })).then_some(outcome);
    let url: Option<Url> = attempt.request.url.parse().ok();
    let host = url.as_ref().and_then(|url| url.host_str().map(str::to_owned));
    let post = span(Hop::Post, began)
        .under(own(Hop::Attempt))
        .kind(Kind::Client)
        .with("http.request.method", "POST")
        .with_some("server.address", host)
        .with_some("server.port", url.as_ref().and_then(Url::port_or_known_default))
        .with_some("network.peer.address", result.exchange.address.map(|address| address.to_string()))
        .with_some("http.response.status_code", result.status)
        .with_some("error.type", failure)
        .failed(failure.map(Into::into));
    let restate = RESTATE.try_with(|restate| *restate).ok().flatten();
    let whole = span(Hop::Attempt, asked_at)
        .under(trace.once(Hop::Route))
        .with("delivery.id", attempt.delivery_id.to_string())
        .with("delivery.outcome", outcome)
        .linked(restate.map(|restate| (restate.trace_id, restate.span_id)))
        .failed(failure.map(Into::into));
    spans::end(vec![post, whole]);
}
