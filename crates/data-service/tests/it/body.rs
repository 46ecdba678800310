//! What the merchant gets: the object as it is now, signed, in the body that the contract fixes.

use domain::protocol::Attempt;
use domain::trace::{Hop, Traceparent, of_attempt};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use time::OffsetDateTime;

use crate::lab::{Lab, Payment, Wants, secret, signed_by};

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
async fn each_attempt_tells_its_receiver_of_a_span_of_its_own_in_the_trace_of_the_change(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let attempt_of_one_with = async |given: Option<&str>| {
        let payment = lab.payment(&merchant).await;
        let update = sqlx::query("update domain_events set traceparent = $1 where event_id = $2");
        update.bind(given).bind(payment.event_id.to_string()).execute(&lab.database).await.unwrap();
        lab.service.open_one(payment.event_id, "inv_1").await
    };
    let told = |attempt: &Attempt| -> Traceparent {
        let mut headers = attempt.request.headers.iter();
        headers.find(|(name, _)| name == "traceparent").unwrap().1.parse().unwrap()
    };
    let kept = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for given in [Some(kept), None] {
        let attempt = attempt_of_one_with(given).await;
        let trace = attempt.request.trace().expect("whoever makes the POST finds it");
        let its_own = trace.event_id.uuid().as_u128();
        assert_eq!(trace.trace_id, given.map_or(its_own, |given| given.parse::<Traceparent>().unwrap().trace_id));
        let span_id = of_attempt(attempt.attempt_id, Hop::Post);
        assert_eq!(told(&attempt), Traceparent { trace_id: trace.trace_id, span_id, is_sampled: true });
    }
    let dropped = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let attempt = attempt_of_one_with(Some(dropped)).await;
    assert_eq!((told(&attempt).to_string(), attempt.request.trace()), (dropped.to_owned(), None));
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
