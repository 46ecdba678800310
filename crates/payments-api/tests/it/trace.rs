//! The request's trace goes into the event.

use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::{Lab, answer};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[sqlx::test(migrations = "../../migrations")]
async fn every_event_carries_the_trace_of_its_own_request(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let traced = |request: reqwest::RequestBuilder, trace: &str| {
        answer(request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01")))
    };
    let body = json!({"amount": 1000, "currency": "USD"});
    let made = traced(lab.request("/payments", &body), TRACE).await;
    let path = format!("/payments/{}/status", made.payment_id());
    let other = "a".repeat(32);
    traced(lab.request(&path, &json!({"status": "processing"})), &other).await;
    lab.post(&path, json!({"status": "succeeded"})).await;
    let traceparents: Vec<String> =
        sqlx::query_scalar("select coalesce(traceparent, 'none') from domain_events order by object_version")
            .fetch_all(&lab.database)
            .await
            .unwrap();
    assert_eq!(traceparents.len(), 3);
    assert!(traceparents[0].starts_with(&format!("00-{TRACE}-")), "{traceparents:?}");
    assert!(!traceparents[0].contains("00f067aa0ba902b7"), "the span is the service's own: {traceparents:?}");
    assert!(traceparents[1].starts_with(&format!("00-{other}-")), "{traceparents:?}");
    let fresh = &traceparents[2];
    assert!(fresh.len() == 55 && fresh.ends_with("-01"), "{fresh} is no fresh trace");
    assert!(!fresh.contains(TRACE) && !fresh.contains(&other), "a trace leaked into the next request: {fresh}");
}
