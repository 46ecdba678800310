//! A small Everhook in one process: the three doors that the witness knocks at, and the faults that it must see.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, patch, post, put};
use axum::{Json, Router};
use chassis::{Lifecycle, server};
use serde_json::{Value, json};
use url::Url;

/// What the fake does wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// The first try of each request is done and then answered with 500.
    pub first_answer_is_lost: bool,
    /// Payments whose reference ends so are done and never answered.
    pub never_answered: Option<&'static str>,
    /// Events of payments whose reference ends so are not delivered.
    pub not_delivered: Option<&'static str>,
    /// Every change of status is refused.
    pub changes_are_refused: bool,
}

#[derive(Debug, Default)]
pub struct Fake {
    pub faults: Faults,
    pub answers: HashMap<String, Value>,
    pub payments: BTreeMap<String, Value>,
    pub endpoints: BTreeMap<String, Value>,
    pub arrivals: HashMap<String, Vec<Value>>,
    pub accounts: BTreeMap<String, String>,
    pub tries: usize,
    /// As the portal shows them, with their deliveries.
    pub events: BTreeMap<String, Value>,
    /// By delivery, newest first.
    pub attempts: BTreeMap<String, Vec<Value>>,
    ids: u32,
}

type Shared = Arc<Mutex<Fake>>;
type Reply = (StatusCode, Json<Value>);

/// A running fake; it ends with the test.
pub struct Lab {
    pub fake: Shared,
    pub base: Url,
    pub lifecycle: Lifecycle,
}

impl Lab {
    pub async fn start(faults: Faults) -> Self {
        let fake = Arc::new(Mutex::new(Fake { faults, ..Fake::default() }));
        let lifecycle = Lifecycle::default();
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        server::serve(&lifecycle, listener, router(fake.clone()));
        Self { fake, base, lifecycle }
    }

    pub fn url(&self, door: &str) -> Url {
        self.base.join(door).unwrap()
    }
}

fn router(fake: Shared) -> Router {
    Router::new()
        .route("/api/merchants", post(make_merchant))
        .route("/api/payments", post(make_payment))
        .route("/api/payments/{payment_id}", get(payment))
        .route("/api/payments/{payment_id}/status", post(change_status))
        .route("/portal/merchants/{merchant_id}/endpoints", post(make_endpoint))
        .route("/portal/endpoints/{endpoint_id}", patch(move_endpoint))
        .route("/portal/audit", get(audit))
        .route("/portal/why/{id}", get(why))
        .route("/portal/hops", get(hops))
        .route("/portal/events", get(events))
        .route("/portal/events/{event_id}", get(event))
        .route("/portal/deliveries/{delivery_id}/attempts", get(attempts))
        .route("/simulator/accounts/{endpoint_id}", put(put_account))
        .route("/simulator/accounts/{endpoint_id}/arrivals", get(arrivals))
        .route("/simulator/accounts/{endpoint_id}/rejections", get(rejections))
        .route("/simulator/stats", get(stats))
        .with_state(fake)
}

const NOW: &str = "2026-11-23T20:38:00.000000Z";

fn is_open(headers: &HeaderMap, token: &str) -> bool {
    headers.get("authorization").is_some_and(|value| value == &format!("Bearer {token}"))
}

fn problem(status: StatusCode, code: &str) -> Reply {
    (status, Json(json!({"status": status.as_u16(), "code": code, "detail": "the fake says so"})))
}

impl Fake {
    fn id(&mut self, prefix: &str) -> String {
        self.ids += 1;
        format!("{prefix}{:032x}", self.ids)
    }

    /// Does it once for each key, and forgets to say so where the faults want that.
    fn once(&mut self, headers: &HeaderMap, reference: &str, what: impl FnOnce(&mut Self) -> Value) -> Reply {
        if !is_open(headers, "api-token") {
            return problem(StatusCode::UNAUTHORIZED, "unauthorized");
        }
        self.tries += 1;
        let key = headers["idempotency-key"].to_str().unwrap().to_owned();
        let is_first = !self.answers.contains_key(&key);
        if is_first {
            let answer = what(self);
            self.answers.insert(key.clone(), answer);
        }
        let silent = self.faults.never_answered.is_some_and(|end| reference.ends_with(end));
        if silent || (is_first && self.faults.first_answer_is_lost) {
            return problem(StatusCode::INTERNAL_SERVER_ERROR, "internal");
        }
        (StatusCode::OK, Json(self.answers[&key].clone()))
    }

    /// Keeps a payment and tells its merchant's endpoints of it at once.
    fn commit(&mut self, payment: Value, event_type: &str) -> Value {
        let payment_id = payment["payment_id"].as_str().unwrap().to_owned();
        self.payments.insert(payment_id, payment.clone());
        let reference = payment["reference"].as_str().unwrap();
        if self.faults.not_delivered.is_some_and(|end| reference.ends_with(end)) {
            return payment;
        }
        let webhook_id = self.id("evt_");
        let owned = self.endpoints.values().filter(|endpoint| endpoint["merchant_id"] == payment["merchant_id"]);
        for endpoint in owned {
            let endpoint_id = endpoint["endpoint_id"].as_str().unwrap();
            assert!(
                endpoint["url"].as_str().unwrap().ends_with(endpoint_id),
                "{endpoint} was not moved to its own URL"
            );
            assert!(self.accounts.contains_key(endpoint_id), "{endpoint} has no account at the simulator");
            self.arrivals.entry(endpoint_id.to_owned()).or_default().push(json!({
                "webhook_id": webhook_id, "payment_id": payment["payment_id"], "event_type": event_type,
                "event_version": payment["version"], "object_version": payment["version"],
                "data_version": payment["version"], "occurred_at": NOW, "observed_at": NOW,
                "reference": reference, "first_at": verifier::now(), "repeats": [], "repeat_versions": [],
                "attempts_seen": 1, "accepted": true,
            }));
        }
        payment
    }
}

async fn make_merchant(State(fake): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> Reply {
    fake.lock().unwrap().once(
        &headers,
        "",
        |fake| json!({"merchant_id": fake.id("mer_"), "name": body["name"], "created_at": NOW}),
    )
}

async fn make_payment(State(fake): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> Reply {
    let reference = body["reference"].as_str().unwrap().to_owned();
    fake.lock().unwrap().once(&headers, &reference, |fake| {
        let payment = json!({
            "payment_id": fake.id("pay_"), "merchant_id": body["merchant_id"], "amount": body["amount"],
            "currency": body["currency"], "status": "pending", "version": 1, "reference": reference,
            "description": null, "created_at": NOW, "updated_at": NOW,
        });
        fake.commit(payment, "payment.created")
    })
}

async fn change_status(
    State(fake): State<Shared>,
    Path(payment_id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Reply {
    let mut fake = fake.lock().unwrap();
    if fake.faults.changes_are_refused {
        return problem(StatusCode::CONFLICT, "illegal_status");
    }
    fake.once(&headers, "", |fake| {
        let mut payment = fake.payments[&payment_id].clone();
        payment["version"] = json!(payment["version"].as_i64().unwrap() + 1);
        payment["status"] = body["status"].clone();
        let event_type = format!("payment.{}", body["status"].as_str().unwrap());
        fake.commit(payment, &event_type)
    })
}

async fn payment(State(fake): State<Shared>, Path(payment_id): Path<String>) -> Reply {
    let found = fake.lock().unwrap().payments.get(&payment_id).cloned();
    found.map_or_else(|| problem(StatusCode::NOT_FOUND, "not_found"), |payment| (StatusCode::OK, Json(payment)))
}

async fn make_endpoint(
    State(fake): State<Shared>,
    Path(merchant_id): Path<String>,
    headers: HeaderMap,
    Json(mut body): Json<Value>,
) -> Reply {
    if !is_open(&headers, "operator-token") {
        return problem(StatusCode::UNAUTHORIZED, "unauthorized");
    }
    let mut fake = fake.lock().unwrap();
    let endpoint_id = fake.id("ep_");
    body["endpoint_id"] = json!(endpoint_id);
    body["merchant_id"] = json!(merchant_id);
    fake.endpoints.insert(endpoint_id, body.clone());
    body["secret"] = json!("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    (StatusCode::CREATED, Json(body))
}

async fn move_endpoint(State(fake): State<Shared>, Path(endpoint_id): Path<String>, Json(body): Json<Value>) -> Reply {
    let mut fake = fake.lock().unwrap();
    let endpoint = fake.endpoints.get_mut(&endpoint_id).unwrap();
    endpoint["url"] = body["url"].clone();
    (StatusCode::OK, Json(endpoint.clone()))
}

async fn audit(Query(window): Query<HashMap<String, String>>) -> Json<Value> {
    // A window that begins in 2020 is the one that does not balance.
    let committed = if window["from"].starts_with("2020") { 2 } else { 1 };
    Json(json!({
        "from": window["from"], "to": window["to"], "committed": committed, "unrouted": 0, "filtered": 0,
        "fanned_out": 1, "deliveries": 1, "delivered": 1, "pending": 0, "held": 0, "parked": 0, "exhausted": 0,
        "superseded": 0, "parked_records": 0, "difference": [],
    }))
}

async fn why(Path(id): Path<String>) -> Reply {
    if id != "pay_1" {
        return problem(StatusCode::NOT_FOUND, "not_found");
    }
    (StatusCode::OK, Json(json!({"id": id, "kind": "payment", "answer": "All is delivered.", "events": []})))
}

/// Two pages, the second of which is the last.
async fn hops(Query(page): Query<HashMap<String, String>>) -> Json<Value> {
    let is_second = page.contains_key("cursor");
    let n = if is_second { 2 } else { 1 };
    let hop = json!({
        "event_id": format!("evt_{n:032x}"), "payment_id": format!("pay_{n:032x}"), "object_version": 1,
        "committed_at": NOW, "captured_at": null, "handled_at": null, "routed_at": null,
    });
    Json(json!({"items": [hop], "next_cursor": if is_second { Value::Null } else { json!("evt_1") }}))
}

/// Newest first, one on each page.
async fn events(State(fake): State<Shared>, Query(page): Query<HashMap<String, String>>) -> Json<Value> {
    let fake = fake.lock().unwrap();
    let before = page.get("cursor");
    let mut left = fake.events.iter().rev().filter(|(id, _)| before.is_none_or(|before| *id < before));
    let (first, has_more) = (left.next(), left.next().is_some());
    let next_cursor = first.filter(|_| has_more).map(|(id, _)| id);
    Json(json!({"items": first.map(|(_, event)| event).into_iter().collect::<Vec<_>>(), "next_cursor": next_cursor}))
}

async fn event(State(fake): State<Shared>, Path(event_id): Path<String>) -> Reply {
    let found = fake.lock().unwrap().events.get(&event_id).cloned();
    found.map_or_else(|| problem(StatusCode::NOT_FOUND, "unknown_event"), |event| (StatusCode::OK, Json(event)))
}

async fn attempts(State(fake): State<Shared>, Path(delivery_id): Path<String>) -> Reply {
    let found = fake.lock().unwrap().attempts.get(&delivery_id).cloned();
    let page = |attempts| (StatusCode::OK, Json(json!({"items": Value::Array(attempts), "next_cursor": null})));
    found.map_or_else(|| problem(StatusCode::NOT_FOUND, "unknown_delivery"), page)
}

async fn put_account(
    State(fake): State<Shared>,
    Path(endpoint_id): Path<String>,
    Json(body): Json<Value>,
) -> StatusCode {
    fake.lock().unwrap().accounts.insert(endpoint_id, body["secret"].as_str().unwrap().to_owned());
    StatusCode::NO_CONTENT
}

async fn arrivals(
    State(fake): State<Shared>,
    Path(endpoint_id): Path<String>,
    Query(page): Query<HashMap<String, usize>>,
) -> Json<Value> {
    let all = fake.lock().unwrap().arrivals.get(&endpoint_id).cloned().unwrap_or_default();
    let (after, limit) = (page["after"], page["limit"]);
    let arrivals: Vec<_> = all.into_iter().skip(after).take(limit).collect();
    let next = after + arrivals.len();
    Json(json!({"arrivals": arrivals, "next": next}))
}

async fn rejections() -> Json<Value> {
    Json(json!({"rejected_signature": 0, "rejections": []}))
}

async fn stats(State(fake): State<Shared>) -> Json<Value> {
    let fake = fake.lock().unwrap();
    let line = |list: &Vec<Value>| json!({"requests": list.len(), "accepted_unique": list.len()});
    let accounts: BTreeMap<_, _> = fake.arrivals.iter().map(|(id, list)| (id.clone(), line(list))).collect();
    Json(json!({"totals": {}, "accounts": accounts}))
}
