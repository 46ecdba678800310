//! What each hop's span must say.

use domain::trace::Hop;

use super::ledger::{Attempt, Delivery, Event};
use crate::spans::{Span, Value};

/// What an attribute must be.
pub(super) enum Want {
    /// A text.
    Text,
    /// A whole number.
    Int,
    /// This text.
    ThisText(String),
    /// This number.
    ThisInt(i64),
    /// Yes.
    Yes,
    /// One of these two is there.
    Or(&'static str),
}

pub(super) type Wants = Vec<(&'static str, Want)>;

/// Of the request that made the change.
pub(super) fn of_request(event: &Event) -> Wants {
    let mut wants = vec![
        ("http.request.method", Want::Text),
        ("http.route", Want::Text),
        ("http.response.status_code", Want::Int),
        ("merchant.id", Want::ThisText(event.merchant_id.to_string())),
    ];
    wants.extend(payment_id(event));
    wants
}

/// Of its transaction.
pub(super) fn of_commit() -> Wants {
    vec![("db.system.name", Want::Text), ("db.query.summary", Want::Text)]
}

/// Of the hops that an event makes once.
pub(super) fn of_event(event: &Event, hop: Hop) -> Wants {
    let mut wants = vec![
        ("event.id", Want::ThisText(event.event_id.to_string())),
        ("merchant.id", Want::ThisText(event.merchant_id.to_string())),
    ];
    wants.extend(payment_id(event));
    match hop {
        Hop::Capture => wants.push(("everhook.from_timestamps", Want::Yes)),
        Hop::Stay => {
            wants.push(("everhook.from_timestamps", Want::Yes));
            wants.push(("messaging.system", Want::ThisText("kafka".to_owned())));
        }
        _ => {
            wants.push(("event.source", Want::Text));
            wants.push(("event.deliveries", event.fan_out.map_or(Want::Int, Want::ThisInt)));
        }
    }
    wants
}

/// Of the hops that each attempt makes.
pub(super) fn of_attempt(event: &Event, delivery: &Delivery, attempt: &Attempt, hop: Hop) -> Wants {
    let mut wants = vec![("event.id", Want::ThisText(event.event_id.to_string()))];
    if hop == Hop::Receive {
        wants.push(("http.route", Want::Text));
        wants.push((
            "http.response.status_code",
            attempt.status.map_or(Want::Int, |status| Want::ThisInt(status.into())),
        ));
        return wants;
    }
    wants.push(("endpoint.id", Want::ThisText(delivery.endpoint_id.to_string())));
    wants.push(("attempt.id", Want::ThisText(attempt.attempt_id.to_string())));
    wants.push(("delivery.attempt", Want::ThisInt(attempt.number)));
    if hop == Hop::Post {
        wants.push(("http.request.method", Want::Text));
        wants.push(("server.address", Want::Text));
        wants.push(("server.port", Want::Int));
        wants.push(match attempt.status {
            Some(status) => ("http.response.status_code", Want::ThisInt(status.into())),
            None if attempt.is_unknown() => ("http.response.status_code", Want::Or("error.type")),
            None => ("error.type", Want::Text),
        });
    } else {
        wants.push(("delivery.id", Want::ThisText(delivery.delivery_id.to_string())));
    }
    if hop == Hop::Attempt {
        let outcome = if attempt.is_unknown() { Want::Text } else { Want::ThisText(attempt.outcome.clone()) };
        wants.push(("delivery.outcome", outcome));
    }
    wants
}

/// Of a test event, the object is an endpoint.
fn payment_id(event: &Event) -> Option<(&'static str, Want)> {
    (event.object_type == "payment").then(|| ("payment.id", Want::ThisText(event.object_id.clone())))
}

/// What is wrong with an attribute, in words that go on after the span's name. What the span says is not repeated: that
/// could be a secret.
pub(super) fn wrong(span: &Span, key: &str, want: &Want) -> Option<String> {
    let said = span.attributes.get(key);
    match (want, said) {
        (Want::Or(other), None) if span.attributes.contains_key(*other) => None,
        (Want::Or(other), None) => Some(format!("has neither the attribute {key} nor {other}")),
        (_, None) => Some(format!("lacks the attribute {key}")),
        (Want::Or(_), Some(_))
        | (Want::Text, Some(Value::Text(_)))
        | (Want::Int, Some(Value::Int(_)))
        | (Want::Yes, Some(Value::Bool(true))) => None,
        (Want::ThisText(this), Some(Value::Text(text))) if text == this => None,
        (Want::ThisInt(this), Some(Value::Int(number))) if number == this => None,
        (Want::Text, Some(_)) => Some(format!("has the attribute {key}, which should be a text")),
        (Want::Int, Some(_)) => Some(format!("has the attribute {key}, which should be a whole number")),
        (Want::Yes, Some(_)) => Some(format!("has the attribute {key}, which should be true")),
        (Want::ThisText(this), Some(_)) => Some(format!("has the attribute {key}, which should be {this}")),
        (Want::ThisInt(this), Some(_)) => Some(format!("has the attribute {key}, which should be the number {this}")),
    }
}
