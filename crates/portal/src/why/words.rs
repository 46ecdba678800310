//! The sentences of `GET /why/{id}`: pure functions of what was read and of the database's clock.

use std::time::Duration;

use domain::ledger::State;
use domain::time::Timestamp;
use store::why::{Attempt, Delivery};

use super::{Story, Told};

/// data-service's defaults, by which the reconciler takes up what nobody else does.
const OVERTAKEN: Duration = Duration::from_secs(60);
const UNROUTED: Duration = Duration::from_secs(300);
const OVERDUE: Duration = Duration::from_secs(300);

/// About all events of a payment.
pub(super) fn payment(payment_id: &str, stories: &[Story], now: Timestamp) -> String {
    let events = count(stories.len(), "event");
    let unfinished: Vec<&Story> = stories.iter().filter(|story| !is_finished(story)).collect();
    match unfinished.first() {
        None => format!("payment {payment_id} has {events}, and nothing is left to be done: {}", states(stories)),
        Some(first) => {
            format!("payment {payment_id} has {events}, {} of them unfinished; {}", unfinished.len(), event(first, now))
        }
    }
}

/// About an event.
pub(super) fn event(story: &Story, now: Timestamp) -> String {
    let event = &story.event;
    let what = format!("event {} ({}, version {})", event.event_id, event.event_type, event.object_version);
    let Some(routed) = &event.routed else { return format!("{what} {}", unrouted(story, now)) };
    let routed_at = Timestamp::from(routed.routed_at);
    if routed.delivery_ids.is_empty() {
        return format!(
            "{what} is filtered: when it was routed at {routed_at}, no endpoint of {} wanted it",
            event.merchant_id
        );
    }
    let deliveries = count(routed.delivery_ids.len(), "delivery");
    match story.deliveries.iter().find(|told| !is_final(told)).or(story.deliveries.first()) {
        None => {
            format!("{what} was routed at {routed_at} to {deliveries} that the ledger does not have: run the audit")
        }
        Some(told) if routed.delivery_ids.len() == 1 => format!("{what} has one delivery: {}", delivery(told, now)),
        Some(told) => {
            format!("{what} has {deliveries} ({}): {}", states(std::slice::from_ref(story)), delivery(told, now))
        }
    }
}

/// About an event that the database does not have.
pub(super) fn unknown_event(event_id: &str, parked_id: &str) -> String {
    format!(
        "event {event_id} is not in the database; the record {parked_id} that names it is parked, and the reconciler \
         routes the event if it appears"
    )
}

/// About a delivery.
pub(super) fn delivery(told: &Told, now: Timestamp) -> String {
    let Delivery { delivery_id, endpoint_id, .. } = &told.delivery;
    let last = told.attempts.last().map(attempt);
    let what = match State::from_word(&told.delivery.state) {
        Some(State::Pending) => return format!("delivery {delivery_id} is pending: {}", pending(told, now)),
        Some(State::Held) => "is held: it goes on when the earlier events of its object are finished".to_owned(),
        Some(State::Delivered) => match told.attempts.iter().find(|attempt| attempt.outcome == "delivered") {
            Some(accepted) => format!("is delivered: {}", attempt(accepted)),
            None => format!("is delivered to {endpoint_id}"),
        },
        Some(State::Parked) => format!("is parked: {}", parked(&told.delivery)),
        Some(State::Exhausted) => {
            let why = match told.delivery.reason.as_deref() {
                Some("schedule_used_up") => "its schedule is used up",
                Some("aborted_by_receiver") => "its receiver wants it never again",
                Some(other) => other,
                None => "it is not tried again",
            };
            format!("is exhausted: {why}; {}", last.unwrap_or_else(|| "no attempt was made".to_owned()))
        }
        Some(State::Superseded) => "is superseded: a newer event of its object took its place".to_owned(),
        None => format!("is in the state {}, which this program does not know", told.delivery.state),
    };
    format!("delivery {delivery_id} {what}")
}

/// What a delivery waits for, as a noun; none if it waits for nothing.
pub(super) fn waits_for(told: &Told, now: Timestamp) -> Option<String> {
    let Delivery { endpoint_id, reason, disabled_reason, due_at, lease_until, .. } = &told.delivery;
    match State::from_word(&told.delivery.state)? {
        State::Pending => Some(match lease_until.map(Timestamp::from) {
            Some(lease_until) if lease_until > now => "the result of the attempt under way".to_owned(),
            Some(_) => "whoever takes it over from an attempt that died".to_owned(),
            None if told.delivery.at_gate => format!("{endpoint_id} to take more"),
            None if Timestamp::from(*due_at) > now => "its time".to_owned(),
            None => "whoever makes its next attempt".to_owned(),
        }),
        State::Held => Some("the earlier events of its object".to_owned()),
        State::Parked => match (reason.as_deref(), disabled_reason.as_deref()) {
            (_, Some("deleted")) => None,
            (Some("declined"), _) => None,
            (Some("no_secret"), _) => Some(format!("a signing secret of {endpoint_id}")),
            _ if told.delivery.is_paused => Some(format!("{endpoint_id} to be enabled")),
            (_, Some(_)) => Some(format!("{endpoint_id} to be enabled")),
            (_, None) => Some("the reconciler".to_owned()),
        },
        State::Delivered | State::Exhausted | State::Superseded => None,
    }
}

fn unrouted(story: &Story, now: Timestamp) -> String {
    let occurred_at = Timestamp::from(story.event.occurred_at);
    if story.event.below_horizon {
        return "lies below the horizon: it is not routed any more".to_owned();
    }
    let latest = occurred_at.after(UNROUTED);
    if latest < now {
        return format!(
            "is not routed, and should have been taken up by the reconciler since {latest}: see whether Restate, \
             webhook-consumer and data-service are up"
        );
    }
    let earliest = occurred_at.after(OVERTAKEN);
    let overtaken = match earliest < now {
        true => "at once if a newer event has come through".to_owned(),
        false => format!("at {earliest} if a newer event has come through by then"),
    };
    format!(
        "is not routed yet: it is on its way from the database to the handler; the reconciler takes it up {overtaken}, \
         and at {latest} in any case"
    )
}

fn pending(told: &Told, now: Timestamp) -> String {
    let delivery = &told.delivery;
    let number = delivery.attempts;
    // The claim counts take-overs; from twelve on the wait does not grow any more, as in data-service.
    let doublings = u32::try_from(delivery.claim.clamp(1, 12) - 1).unwrap_or_default();
    let due_at = Timestamp::from(delivery.due_at);
    let taken_over_at = due_at.after(OVERDUE * 2_u32.pow(doublings));
    let so_far = told.attempts.last().map(|last| format!("{}; ", attempt(last))).unwrap_or_default();
    if let (Some(begun_at), Some(lease_until)) = (delivery.begun_at, delivery.lease_until) {
        let (begun_at, lease_until) = (Timestamp::from(begun_at), Timestamp::from(lease_until));
        let owner = delivery.owner.as_deref().unwrap_or("nobody");
        return if lease_until > now {
            format!(
                "{so_far}attempt {number} is under way since {begun_at}, made by invocation {owner}; it is over by {lease_until}"
            )
        } else {
            format!(
                "{so_far}attempt {number} began at {begun_at} and was never recorded: invocation {owner} died or can't \
                 reach data-service; Restate repeats it, or the reconciler takes the delivery over at {taken_over_at}"
            )
        };
    }
    if delivery.at_gate {
        return format!(
            "{so_far}attempt {} waits until endpoint {} takes more: it fails, or has as many attempts under way as it may; \
             the next success there lets it in, or the reconciler; GET /endpoints/{}/health shows when it is tried",
            number + 1,
            delivery.endpoint_id,
            delivery.endpoint_id
        );
    }
    if due_at > now {
        format!("{so_far}attempt {} is due at {due_at}, and Restate keeps the time", number + 1)
    } else {
        format!(
            "{so_far}attempt {} was due at {due_at} and nobody has begun it; the reconciler takes the delivery over at \
             {taken_over_at}",
            number + 1
        )
    }
}

fn parked(delivery: &Delivery) -> String {
    let endpoint_id = &delivery.endpoint_id;
    match (delivery.reason.as_deref(), delivery.disabled_reason.as_deref()) {
        (_, Some("deleted")) => format!("endpoint {endpoint_id} is deleted; the delivery stays on the ledger as it is"),
        (Some("declined"), _) => {
            format!(
                "when endpoint {endpoint_id} was enabled, it was chosen not to send it; whoever wants it has it resent"
            )
        }
        (Some("no_secret"), _) => {
            format!(
                "endpoint {endpoint_id} has no signing secret that can be opened; when it has one, the delivery goes on"
            )
        }
        _ if delivery.is_paused => {
            format!("endpoint {endpoint_id} is paused; enable the endpoint and the delivery goes on")
        }
        (_, Some(reason)) => {
            format!("endpoint {endpoint_id} is disabled ({reason}); enable the endpoint and the delivery goes on")
        }
        (reason, None) => {
            let reason = reason.unwrap_or("no reason is known");
            format!("{reason}; endpoint {endpoint_id} is enabled by now, and the reconciler resumes the delivery")
        }
    }
}

fn attempt(attempt: &Attempt) -> String {
    let status = attempt.status.map(|status| format!(" with status {status}")).unwrap_or_default();
    let what = match attempt.outcome.as_str() {
        "delivered" => format!("was accepted{status}"),
        "gone" => format!("was answered{status}: the endpoint wants nothing any more"),
        "aborted" => format!("was answered{status}: the receiver wants this event never again"),
        "unknown" => "was begun and never recorded".to_owned(),
        "timeout" => "failed: no answer in time".to_owned(),
        "refused_url" => "failed: nothing is sent to such a URL".to_owned(),
        "refused_address" => "failed: nothing is sent to such an address".to_owned(),
        "dns" => "failed: the host's name has no address".to_owned(),
        "connect_refused" => "failed: the connection was refused".to_owned(),
        "connect_timeout" => "failed: no connection in time".to_owned(),
        "connect" => "failed: no connection".to_owned(),
        "certificate" => "failed: the certificate is not trusted".to_owned(),
        "tls" => "failed: no TLS".to_owned(),
        "protocol" => "failed: the answer is not HTTP".to_owned(),
        "broken" => "failed: the connection broke".to_owned(),
        "request" => "failed: the request could not be sent".to_owned(),
        "redirect" => format!("failed{status}: redirects are not followed"),
        _ => format!("failed{status}"),
    };
    // An answer has a status; without one, it helps to know whom we tried to reach.
    let address = match (attempt.status, &attempt.address) {
        (None, Some(address)) => format!(" ({address})"),
        _ => String::new(),
    };
    format!("attempt {} at {} {what}{address}", attempt.number, Timestamp::from(attempt.began_at))
}

fn is_final(told: &Told) -> bool {
    matches!(State::from_word(&told.delivery.state), Some(State::Delivered | State::Exhausted | State::Superseded))
}

/// A missing delivery is unfinished, too.
fn is_finished(story: &Story) -> bool {
    story.event.below_horizon && story.event.routed.is_none()
        || story.event.routed.as_ref().is_some_and(|routed| routed.delivery_ids.len() == story.deliveries.len())
            && story.deliveries.iter().all(is_final)
}

/// `2 delivered, 1 exhausted`, in the order in which they are met.
fn states(stories: &[Story]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for told in stories.iter().flat_map(|story| &story.deliveries) {
        match counts.iter_mut().find(|(state, _)| *state == told.delivery.state) {
            Some((_, count)) => *count += 1,
            None => counts.push((&told.delivery.state, 1)),
        }
    }
    if counts.is_empty() {
        return "no endpoint wanted any".to_owned();
    }
    counts.iter().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ")
}

fn count(number: usize, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests;
