//! Spans for tests, as our services write them: a good run, in which a test then breaks one thing.
//!
//! Nothing here uses the verifier's own types, so that both kinds of tests can have it: what it makes is the text of a file.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use domain::ids::{AttemptId, DeliveryId, EndpointId, EventId, MerchantId, PaymentId};
use domain::trace::{EventTrace, Hop, Traceparent, of_attempt};
use serde_json::{Value, json};
use uuid::Uuid;

/// 2026-11-26T12:00:00Z, in microseconds.
pub const NOON_US: u64 = 1_795_694_400_000_000;

/// One span.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    pub trace: u128,
    pub id: u64,
    pub parent: u64,
    pub name: String,
    pub service: String,
    /// After noon.
    pub from_us: u64,
    pub to_us: u64,
    pub attributes: BTreeMap<String, Value>,
    pub links: Vec<(u128, u64)>,
    pub error: Option<String>,
}

/// One event, and what became of it.
#[derive(Debug, Clone)]
pub struct Event {
    pub event_id: EventId,
    pub merchant_id: MerchantId,
    pub payment_id: PaymentId,
    pub event_type: &'static str,
    /// None: another program has made the change.
    pub traceparent: Option<Traceparent>,
    pub is_swept: bool,
    pub deliveries: Vec<Delivery>,
}

/// One delivery.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub delivery_id: DeliveryId,
    pub endpoint_id: EndpointId,
    pub attempts: Vec<Attempt>,
}

/// One attempt.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub attempt_id: AttemptId,
    /// When it begins, after the request.
    pub at_us: u64,
    pub outcome: &'static str,
    pub status: Option<u16>,
}

/// A number with as many bits as a UUID has.
pub fn uuid(n: u64) -> Uuid {
    let mixed = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let low = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    Uuid::from_u128((0x019a_0b1c_2d3e_7000 + u128::from(n & 0xfff)) << 64 | u128::from(low >> 2 | 1 << 63))
}

impl Event {
    /// The event `n` of a payment that was created at noon: no deliveries yet.
    pub fn new(n: u64) -> Self {
        let trace_id = uuid(n * 100 + 7).as_u128();
        let span_id = u64::try_from(uuid(n * 100 + 8).as_u128() & u128::from(u64::MAX)).unwrap();
        Self {
            event_id: EventId::from_uuid(uuid(n * 100)),
            merchant_id: MerchantId::from_uuid(uuid(1)),
            payment_id: PaymentId::from_uuid(uuid(n * 100 + 1)),
            event_type: "payment.created",
            traceparent: Some(Traceparent { trace_id, span_id, is_sampled: true }),
            is_swept: false,
            deliveries: Vec::new(),
        }
    }

    /// To one more endpoint, with these attempts: when after the request, the outcome, the status.
    pub fn to(mut self, attempts: &[(u64, &'static str, Option<u16>)]) -> Self {
        let n = u64::try_from(self.deliveries.len()).unwrap();
        let event = u64::try_from(self.event_id.uuid().as_u128() & u128::from(u64::MAX)).unwrap();
        let of = |what: u64| uuid(event ^ (n * 100 + what));
        let attempts = attempts.iter().zip(1..).map(|((at_us, outcome, status), number)| Attempt {
            attempt_id: AttemptId::from_uuid(of(10 + number)),
            at_us: *at_us,
            outcome,
            status: *status,
        });
        let attempts = attempts.collect();
        let endpoint_id = EndpointId::from_uuid(uuid(10 + n));
        self.deliveries.push(Delivery { delivery_id: DeliveryId::from_uuid(of(1)), endpoint_id, attempts });
        self
    }

    pub fn trace(&self) -> EventTrace {
        let trace_id = self.traceparent.map_or(self.event_id.uuid().as_u128(), |parent| parent.trace_id);
        EventTrace { trace_id, event_id: self.event_id }
    }

    /// All spans, with Restate's; the request begins so long after noon.
    pub fn spans(&self, at_us: u64) -> Vec<Made> {
        let trace = self.trace();
        let mut spans = Vec::new();
        let mut parent = self.request(at_us, &mut spans);
        let (event_id, merchant_id) = (self.event_id.to_string(), self.merchant_id.to_string());
        let of_event = || {
            vec![
                ("event.id", json!(event_id)),
                ("payment.id", json!(self.payment_id)),
                ("merchant.id", json!(merchant_id)),
            ]
        };
        let made = |hop: Hop, parent: u64, from_us: u64, to_us: u64, more: Vec<(&str, Value)>| Made {
            trace: trace.trace_id,
            id: trace.once(hop),
            parent,
            name: hop.name().to_owned(),
            service: "data-service".to_owned(),
            from_us: at_us + from_us,
            to_us: at_us + to_us,
            attributes: of_event().into_iter().chain(more).map(|(key, value)| (key.to_owned(), value)).collect(),
            links: Vec::new(),
            error: None,
        };
        if !self.is_swept {
            let from_timestamps = ("everhook.from_timestamps", json!(true));
            spans.push(made(Hop::Capture, parent, 2_900, 3_700, vec![from_timestamps.clone()]));
            let kafka = ("messaging.system", json!("kafka"));
            spans.push(made(Hop::Stay, trace.once(Hop::Capture), 3_700, 5_600, vec![from_timestamps, kafka]));
            parent = trace.once(Hop::Stay);
        }
        let source = if self.is_swept { "sweep" } else { "cdc" };
        let fan_out = ("event.deliveries", json!(self.deliveries.len().to_string()));
        spans.push(made(Hop::Route, parent, 5_600, 6_700, vec![("event.source", json!(source)), fan_out]));
        for delivery in &self.deliveries {
            for (attempt, number) in delivery.attempts.iter().zip(1_u32..) {
                self.attempt(delivery, attempt, number, at_us + attempt.at_us, &mut spans);
            }
        }
        spans
    }

    /// The API's spans; answers what the event's first span hangs on.
    fn request(&self, at_us: u64, spans: &mut Vec<Made>) -> u64 {
        let Some(traceparent) = self.traceparent else { return 0 };
        let (hop, route) = match self.event_type {
            "payment.created" => (Hop::Create, "/payments"),
            _ => (Hop::Change, "/payments/{payment_id}/status"),
        };
        let made = |hop: Hop, id: u64, parent: u64, from_us: u64, to_us: u64, attributes: Value| Made {
            trace: traceparent.trace_id,
            id,
            parent,
            name: hop.name().to_owned(),
            service: "payments-api".to_owned(),
            from_us: at_us + from_us,
            to_us: at_us + to_us,
            attributes: serde_json::from_value(attributes).unwrap(),
            links: Vec::new(),
            error: None,
        };
        let request = json!({
            "http.request.method": "POST", "http.route": route, "http.response.status_code": "201",
            "merchant.id": self.merchant_id, "payment.id": self.payment_id,
        });
        spans.push(made(hop, traceparent.span_id, 0, 0, 3_100, request));
        let commit = json!({"db.system.name": "postgresql", "db.query.summary": "insert payments"});
        spans.push(made(Hop::Commit, traceparent.span_id ^ 0xff, traceparent.span_id, 400, 2_950, commit));
        traceparent.span_id
    }

    fn attempt(&self, delivery: &Delivery, attempt: &Attempt, number: u32, at_us: u64, spans: &mut Vec<Made>) {
        let trace = self.trace();
        let restate =
            (uuid(9_000).as_u128() ^ attempt.attempt_id.uuid().as_u128(), of_attempt(attempt.attempt_id, Hop::Receive));
        let route = trace.once(Hop::Route);
        let mut push =
            |hop: Hop, service: &str, (id, parent): (u64, u64), (from_us, to_us): (u64, u64), attributes: Value| {
                spans.push(Made {
                    trace: trace.trace_id,
                    id,
                    parent,
                    name: hop.name().to_owned(),
                    service: service.to_owned(),
                    from_us: at_us + from_us,
                    to_us: at_us + to_us,
                    attributes: serde_json::from_value(attributes).unwrap(),
                    links: if hop == Hop::Attempt { vec![restate] } else { Vec::new() },
                    error: None,
                });
            };
        let id = |hop| of_attempt(attempt.attempt_id, hop);
        let delivery_id = delivery.delivery_id;
        let of_attempt = json!({
            "event.id": self.event_id, "endpoint.id": delivery.endpoint_id, "delivery.id": delivery_id,
            "attempt.id": attempt.attempt_id, "delivery.attempt": number.to_string(),
        });
        let with = |more: &[(&str, Value)]| {
            let mut all = of_attempt.clone();
            more.iter().for_each(|(key, value)| all[*key] = value.clone());
            all
        };
        let (is_known, answered) = (attempt.outcome != "unknown", attempt.status.map(|status| status.to_string()));
        if is_known {
            let outcome = with(&[("delivery.outcome", json!(attempt.outcome))]);
            push(Hop::Attempt, "webhook-consumer", (id(Hop::Attempt), route), (0, 4_000), outcome);
        }
        push(Hop::Read, "data-service", (id(Hop::Read), id(Hop::Attempt)), (300, 1_100), of_attempt.clone());
        if is_known {
            let result = match &answered {
                Some(status) => ("http.response.status_code", json!(status)),
                None => ("error.type", json!(attempt.outcome)),
            };
            let server = [
                ("http.request.method", json!("POST")),
                ("server.address", json!("127.0.0.1")),
                ("server.port", json!("4001")),
            ];
            let mut attributes = with(&[&server[..], &[result]].concat());
            attributes.as_object_mut().unwrap().remove("delivery.id");
            push(Hop::Post, "webhook-consumer", (id(Hop::Post), id(Hop::Attempt)), (1_200, 3_000), attributes);
        }
        if let Some(status) = &answered {
            let attributes =
                json!({"event.id": self.event_id, "http.route": "/webhooks", "http.response.status_code": status});
            push(Hop::Receive, "merchant-simulator", (id(Hop::Receive) ^ 1, id(Hop::Post)), (1_600, 2_700), attributes);
        }
        if is_known {
            let ingress = restate.1 ^ 0xff;
            let made = |id: u64, parent: u64, name: &str, from_us: u64, to_us: u64| Made {
                trace: restate.0,
                id,
                parent,
                name: name.to_owned(),
                service: "Restate".to_owned(),
                from_us,
                to_us,
                attributes: BTreeMap::new(),
                links: Vec::new(),
                error: None,
            };
            let is_from_kafka = number == 1 && !self.is_swept;
            if is_from_kafka {
                // Within the stay.
                let read_us = at_us - attempt.at_us + 4_700;
                spans.push(made(ingress, 0, "ingress_kafka Delivery/event", read_us, read_us + 10));
            }
            let parent = if is_from_kafka { ingress } else { 0 };
            let name = "invocation-attempt Delivery/event";
            spans.push(made(restate.1, parent, name, at_us.saturating_sub(500), at_us + 4_400));
        }
    }
}

/// The lines of a file: each span in a line of its own.
pub fn lines(spans: &[Made]) -> String {
    spans.iter().map(|span| format!("{}\n", line(span))).collect()
}

fn line(span: &Made) -> Value {
    let written = json!({
        "traceId": format!("{:032x}", span.trace),
        "spanId": format!("{:016x}", span.id),
        "parentSpanId": if span.parent == 0 { String::new() } else { format!("{:016x}", span.parent) },
        "flags": 257, "kind": 1, "name": span.name,
        "startTimeUnixNano": ((NOON_US + span.from_us) * 1_000).to_string(),
        "endTimeUnixNano": ((NOON_US + span.to_us) * 1_000).to_string(),
        "attributes": span.attributes.iter().map(|(key, value)| attribute(key, value)).collect::<Vec<_>>(),
        "links": span.links.iter().map(|(trace, id)| json!({"traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"), "flags": 257})).collect::<Vec<_>>(),
        "status": span.error.as_ref().map_or(json!({}), |message| json!({"code": 2, "message": message})),
    });
    json!({"resourceSpans": [{
        "resource": {"attributes": [attribute("service.name", &json!(span.service))]},
        "scopeSpans": [{"scope": {"name": "everhook"}, "spans": [written]}],
    }]})
}

/// A text of digits is a whole number: that is how OTLP/JSON writes them.
fn attribute(key: &str, value: &Value) -> Value {
    let value = match value {
        Value::Bool(yes) => json!({"boolValue": yes}),
        Value::String(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            json!({"intValue": text})
        }
        Value::Number(number) => json!({"intValue": number}),
        other => json!({"stringValue": other}),
    };
    json!({"key": key, "value": value})
}
