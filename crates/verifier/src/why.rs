//! Why a payment, event or delivery is where it is: the portal's answer in words.

use std::fmt;

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The answer of `GET /why/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// What was asked for.
    pub id: String,
    /// `payment`, `event` or `delivery`.
    pub kind: String,
    /// Who owns it now, what it waits for, and the next moment.
    pub answer: String,
    /// The events that it is about.
    #[serde(default)]
    pub events: Vec<Event>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its id.
    pub event_id: String,
    /// What happened.
    pub event_type: String,
    /// To which version of the object.
    pub object_version: i64,
    /// When.
    pub occurred_at: Timestamp,
    /// What the ledger says of its routing.
    #[serde(default)]
    pub routed: Value,
    /// One for each endpoint that wants it.
    #[serde(default)]
    pub deliveries: Vec<Delivery>,
}

/// One event for one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id.
    pub delivery_id: String,
    /// Where it goes.
    pub endpoint_id: String,
    /// Exactly one.
    pub state: String,
    /// Why it is in that state, where there is a reason.
    pub reason: Option<String>,
    /// The claim that may end it.
    pub claim: i64,
    /// How many were begun.
    pub attempts: i64,
    /// When the next one is due.
    pub due_at: Option<Timestamp>,
    /// What it waits for.
    pub waits_for: Option<String>,
    /// Its attempts.
    #[serde(default)]
    pub log: Vec<Attempt>,
}

/// One POST.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1.
    pub number: i64,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// What came of it; none while it is under way.
    pub outcome: Option<String>,
    /// The HTTP status, if there was one.
    pub status: Option<u16>,
    /// How long it took.
    pub duration_ms: Option<i64>,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.id, self.kind)?;
        writeln!(f, "{}", self.answer)?;
        self.events.iter().try_for_each(|event| event.fmt(f))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event_id, event_type, object_version, occurred_at, .. } = self;
        write!(f, "\n{event_id} {event_type}, version {object_version}, {occurred_at}")?;
        match &self.routed {
            Value::Null => {}
            Value::Object(members) => {
                let members: Vec<_> = members.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect();
                write!(f, ", routed ({})", members.join(", "))?;
            }
            routed => write!(f, ", routed {}", plain(routed))?,
        }
        writeln!(f)?;
        self.deliveries.iter().try_for_each(|delivery| delivery.fmt(f))
    }
}

/// Text without its quotation marks.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { delivery_id, endpoint_id, state, claim, attempts, .. } = self;
        write!(f, "  {delivery_id} to {endpoint_id}: {state}")?;
        if let Some(reason) = &self.reason {
            write!(f, " ({reason})")?;
        }
        write!(f, ", claim {claim}, attempts begun: {attempts}")?;
        if let Some(due_at) = self.due_at {
            write!(f, ", due {due_at}")?;
        }
        if let Some(waits_for) = &self.waits_for {
            write!(f, ", waits for {waits_for}")?;
        }
        writeln!(f)?;
        self.log.iter().try_for_each(|attempt| attempt.fmt(f))
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = self.outcome.as_deref().unwrap_or("under way");
        write!(f, "    attempt {} begun {}: {outcome}", self.number, self.begun_at)?;
        if let Some(status) = self.status {
            write!(f, ", status {status}")?;
        }
        if let Some(duration_ms) = self.duration_ms {
            write!(f, ", {duration_ms} ms")?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_told_in_words_down_to_each_attempt() {
        let why: Why = serde_json::from_value(serde_json::json!({
            "id": "pay_1", "kind": "payment", "answer": "One delivery waits for its third attempt at 20:43:05.",
            "events": [
                {"event_id": "evt_1", "event_type": "payment.created", "object_version": 1,
                 "occurred_at": "2026-11-23T20:38:00.000000Z",
                 "routed": {"routed_at": "2026-11-23T20:38:00.008000Z", "from_cdc": true}, "deliveries": [
                    {"delivery_id": "dlv_1", "endpoint_id": "ep_1", "state": "pending", "reason": "status_500",
                     "claim": 2, "attempts": 2, "due_at": "2026-11-23T20:43:05.000000Z", "waits_for": "its time",
                     "log": [
                        {"number": 1, "begun_at": "2026-11-23T20:38:00.010000Z", "outcome": "failed", "status": 500, "duration_ms": 12},
                        {"number": 2, "begun_at": "2026-11-23T20:38:05.010000Z", "outcome": null, "status": null, "duration_ms": null}]}]},
                {"event_id": "evt_2", "event_type": "payment.processing", "object_version": 2,
                 "occurred_at": "2026-11-23T20:38:01.000000Z", "routed": null, "deliveries": []}]
        }))
        .unwrap();
        insta::assert_snapshot!("why", why.to_string());
    }
}
