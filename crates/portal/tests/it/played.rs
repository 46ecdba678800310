//! What data-service answers, as far as the portal asks it.

use axum::extract::{Path, Query};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::Problem;
use serde_json::{Value, json};
use std::collections::HashMap;

use crate::SECRET;
use crate::ledger::ENDPOINT;

pub(crate) const PUBLIC_KEY: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";

pub(crate) fn data_service() -> Router {
    Router::new()
        .route("/internal/secrets", post(make_secret))
        .route("/internal/sealed-headers", post(seal_headers))
        .route("/internal/sealed-answers", post(seal))
        .route("/internal/sealed-answers/open", post(open))
        .route("/internal/endpoints/{endpoint_id}/secret", get(show))
        .route("/internal/endpoints/{endpoint_id}/secret/rotate", post(rotate))
}

fn is_portal(headers: &HeaderMap) -> bool {
    headers.get("authorization").is_some_and(|value| value == "Bearer of-the-portal")
}

async fn make_secret(query: Query<HashMap<String, String>>, headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    let key = match (is_portal(&headers), query["signature"].as_str()) {
        (true, "v1") => json!({"secret": SECRET}),
        (true, "v1a") => json!({"public_key": PUBLIC_KEY}),
        _ => return Err(StatusCode::UNAUTHORIZED),
    };
    let mut made = json!({"ciphertext": "AAEC/w==", "key_id": "key-1"});
    made.as_object_mut().unwrap().extend(key.as_object().unwrap().clone());
    Ok(Json(made))
}

async fn show(Path(endpoint_id): Path<String>, headers: HeaderMap) -> Response {
    match (is_portal(&headers), endpoint_id == ENDPOINT) {
        (false, _) => StatusCode::UNAUTHORIZED.into_response(),
        (true, false) => Problem::not_found(format!("there is no endpoint {endpoint_id}")).into_response(),
        (true, true) => Json(json!({"endpoint_id": endpoint_id, "secret": SECRET})).into_response(),
    }
}

/// Says what it was asked; under the key `again` it says that it has said so before.
async fn rotate(Path(endpoint_id): Path<String>, headers: HeaderMap, body: String) -> Response {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let asked: Value = serde_json::from_str(&body).unwrap();
    match (is_portal(&headers), endpoint_id == ENDPOINT, asked["expires_in"].as_str()) {
        (false, ..) => StatusCode::UNAUTHORIZED.into_response(),
        (_, false, _) => Problem::not_found(format!("there is no endpoint {endpoint_id}")).into_response(),
        (.., Some("busy")) => Problem::unavailable().into_response(),
        (.., Some("full")) => Problem::new(StatusCode::CONFLICT, "too_many_secrets", "10 secrets").into_response(),
        _ => {
            let said = json!({"asked": asked, "key": text("idempotency-key"), "type": text("content-type")});
            let mut response = Json(said).into_response();
            if text("idempotency-key").as_deref() == Some("again") {
                response.headers_mut().insert("idempotent-replay", "true".parse().unwrap());
            }
            response
        }
    }
}

/// Not a seal, but no clear text either.
async fn seal(Json(body): Json<Value>) -> Json<Value> {
    Json(json!({"key_id": "key-1", "ciphertext": STANDARD.encode(body["answer"].as_str().unwrap())}))
}

async fn open(Json(body): Json<Value>) -> Json<Value> {
    let answer = STANDARD.decode(body["ciphertext"].as_str().unwrap()).unwrap();
    Json(json!({"answer": String::from_utf8(answer).unwrap()}))
}

/// Keeps what it was asked in order, so that a test can see it.
async fn seal_headers(Json(body): Json<Value>) -> Json<Value> {
    let mut history = match body["before"]["ciphertext"].as_str() {
        Some(before) => serde_json::from_slice::<Vec<Value>>(&STANDARD.decode(before).unwrap()).unwrap(),
        None => Vec::new(),
    };
    history.push(body["change"].clone());
    let sealed = json!({"key_id": "key-1", "ciphertext": STANDARD.encode(json!(history).to_string())});
    let is_gone = body["change"].as_object().unwrap().values().all(Value::is_null);
    Json(json!({"sealed": if is_gone { Value::Null } else { sealed }}))
}
