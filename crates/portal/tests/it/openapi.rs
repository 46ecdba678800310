//! The document.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::ledger::{ENDPOINT, MERCHANT, delivery};
use crate::{Lab, answer};

#[sqlx::test(migrations = "../../migrations")]
async fn the_document_is_this(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let document = lab.get("/openapi.json").await;
    assert_eq!((document.status, document.body["openapi"].as_str().unwrap()), (200, "3.1.0"));
    insta::assert_json_snapshot!("openapi", document.body);
}

#[sqlx::test(migrations = "../../migrations")]
async fn everything_that_the_document_points_to_is_in_it(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let document = lab.get("/openapi.json").await.body;
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    assert!(references.len() > 10);
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} points to nothing");
    }
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let ids: Vec<&str> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an operation's id is its own: {ids:?}");
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|value| collect(value, references));
        }
        _ => {}
    }
}

/// Each documented code is met, and no other: but `unavailable`, which `doors` tests, and `changed_meanwhile`, which takes
/// two at the same moment.
#[sqlx::test(migrations = "../../migrations")]
async fn every_code_that_is_documented_exists(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let document = lab.get("/openapi.json").await.body;
    let documented: BTreeSet<String> =
        serde_json::from_value(document["components"]["schemas"]["Code"]["enum"].clone()).unwrap();
    let mut met = BTreeSet::from(["unavailable".to_owned(), "changed_meanwhile".to_owned()]);
    for answer in problems(&lab).await.into_iter().filter(|answer| answer.status >= 400) {
        assert_eq!(answer.content_type, "application/problem+json", "{answer:?}");
        assert_eq!(answer.body["status"], answer.status);
        assert!(answer.body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{answer:?}");
        met.insert(answer.text("code"));
    }
    assert_eq!(met, documented);
}

async fn problems(lab: &Lab) -> Vec<crate::Answer> {
    let endpoints = format!("/merchants/{MERCHANT}/endpoints");
    let token = lab.token_of(MERCHANT).await;
    let expired = portal::TokenKeys::from_text("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=").unwrap().sign(
        MERCHANT.parse().unwrap(),
        "2026-11-24T00:00:00Z".parse().unwrap(),
        std::time::Duration::from_secs(60),
    );
    let raw = |body: String| {
        lab.request(reqwest::Method::POST, &endpoints).header("content-type", "application/json").body(body)
    };
    let event_id = lab.pay(1).await;
    lab.deliver(1, &event_id, "pending", None, 0).await;
    lab.deliver(2, &event_id, "exhausted", Some("schedule_used_up"), 0).await;
    lab.patch(&format!("/endpoints/{ENDPOINT}"), json!({"state": "disabled"})).await;
    vec![
        lab.post(&format!("/deliveries/{}/resend", delivery(1)), json!(null)).await,
        lab.post(&format!("/deliveries/{}/resend", delivery(2)), json!(null)).await,
        lab.ask("nobody", "get", "/merchants", None).await,
        lab.ask(&expired.0, "get", "/merchants", None).await,
        lab.ask(&token, "get", "/merchants", None).await,
        lab.ask(&token, "patch", &format!("/endpoints/{ENDPOINT}"), Some(json!({"state": "enabled"}))).await,
        lab.get("/nowhere").await,
        lab.patch("/merchants", json!({})).await,
        answer(raw("{".to_owned())).await,
        answer(raw(format!("{{\"description\": \"{}\"}}", "x".repeat(3_000_000)))).await,
        answer(lab.request(reqwest::Method::POST, &endpoints).body("{}")).await,
        lab.post("/merchants", json!({"name": "Bakery", "merchant_id": MERCHANT})).await,
        lab.post_with_key("of-the-operator", "key-1", "/merchants", &json!({"name": "Bar"})).await,
        lab.post_with_key("of-the-operator", "key-1", "/merchants", &json!({"name": "Café"})).await,
        lab.post(&format!("/endpoints/{ENDPOINT}/secret/rotate"), json!({"expires_in": "full"})).await,
        lab.post(&format!("/endpoints/{ENDPOINT}/test"), json!({})).await,
        lab.post(&endpoints, json!([])).await,
        lab.post(&endpoints, json!({})).await,
    ]
}
