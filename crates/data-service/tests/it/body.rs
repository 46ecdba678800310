//! What the merchant gets: the object as it is now, signed, in the body that the contract fixes.

use domain::protocol::Attempt;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use time::OffsetDateTime;

use crate::lab::{Lab, Payment, Wants, secret, signed_by};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Checks the signature and what the headers say, then shows the request without what is different each time.
fn shown(attempt: &Attempt, payment: &Payment) -> Value {
    let request = &attempt.request;
    let header = |name: &str| {
        let mut values = request.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let value = values.next().unwrap_or_else(|| panic!("there is no {name}: {:?}", request.headers));
        assert!(values.next().is_none(), "{name} is there twice");
        value
    };
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp").parse::<i64>().unwrap());
    let now = OffsetDateTime::now_utc().unix_timestamp();
    assert!(signed_by(&[secret().key()], request));
    assert!(now.abs_diff(timestamp) < 60, "{timestamp} is not now");

    let names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
    let mut body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body["event_id"], id);
    let observed_at: domain::time::Timestamp = serde_json::from_value(body["observed_at"].clone()).unwrap();
    assert_eq!(observed_at.unix_seconds(), timestamp, "the payload is read at the moment of the attempt");
    mask(&mut body, payment);
    json!({"url": request.url, "headers": names, "content-type": header("content-type"), "body": body})
}

fn mask(value: &mut Value, payment: &Payment) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| mask(value, payment)),
        Value::Object(members) => members.values_mut().for_each(|value| mask(value, payment)),
        Value::String(text) => {
            if text.len() == 27 && text.parse::<domain::time::Timestamp>().is_ok() {
                *text = "[moment]".to_owned();
            } else if *text == payment.payment_id {
                *text = "[the payment]".to_owned();
            } else if *text == payment.event_id.to_string() {
                *text = "[the event]".to_owned();
            } else if text.parse::<domain::ids::MerchantId>().is_ok() {
                *text = "[a merchant]".to_owned();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

async fn start(pool: PgPoolOptions, connect: PgConnectOptions) -> (Lab, Payment) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let payment = lab.payment(&merchant).await;
    (lab, payment)
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_request_is_signed_and_has_the_contract_s_body(pool: PgPoolOptions, connect: PgConnectOptions) {
    let (lab, payment) = start(pool, connect).await;
    let attempt = lab.service.open_one(payment.event_id, "inv_1").await;
    insta::assert_json_snapshot!("request", shown(&attempt, &payment));
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_trace_of_the_change_travels_along(pool: PgPoolOptions, connect: PgConnectOptions) {
    let (lab, payment) = start(pool, connect).await;
    sqlx::query("update domain_events set traceparent = $1").bind(TRACE).execute(&lab.database).await.unwrap();
    let attempt = lab.service.open_one(payment.event_id, "inv_1").await;
    assert!(attempt.request.headers.contains(&("traceparent".to_owned(), TRACE.to_owned())), "{attempt:?}");
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_body_has_the_payment_as_it_is_now_and_says_which_version_the_event_made(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let (lab, payment) = start(pool, connect).await;
    lab.change(&payment, "processing").await;
    let attempt = lab.service.open_one(payment.event_id, "inv_1").await;
    insta::assert_json_snapshot!("changed_since", shown(&attempt, &payment));

    lab.execute("update payments set description = 'changed without an event'").await;
    let again = lab.service.open_one(payment.event_id, "inv_1").await;
    let body: Value = serde_json::from_str(&again.request.body).unwrap();
    assert_eq!((&body["event_version"], &body["object_version"]), (&json!(1), &json!(3)));
    assert_eq!(body["data"]["description"], "changed without an event");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_deleted_payment_is_sent_as_it_was_committed_and_marked(pool: PgPoolOptions, connect: PgConnectOptions) {
    let (lab, payment) = start(pool, connect).await;
    lab.execute("delete from payments").await;
    let attempt = lab.service.open_one(payment.event_id, "inv_1").await;
    insta::assert_json_snapshot!("deleted", shown(&attempt, &payment));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_deleted_payment_without_a_snapshot_is_named_at_least(pool: PgPoolOptions, connect: PgConnectOptions) {
    let (lab, payment) = start(pool, connect).await;
    lab.execute("delete from payments").await;
    lab.execute("update domain_events set snapshot = null").await;
    let attempt = lab.service.open_one(payment.event_id, "inv_1").await;
    insta::assert_json_snapshot!("deleted_without_snapshot", shown(&attempt, &payment));
}
