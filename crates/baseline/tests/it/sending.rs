//! What is committed is sent: signed, once, and again if it fails.

use domain::signature::{Key, Signed, verify};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::lab::Lab;

#[sqlx::test(migrations = "../../migrations")]
async fn a_payment_and_its_change_arrive_as_the_new_way_sends_them(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (merchant_id, endpoint) = lab.merchant().await;
    let key: Key = endpoint["secret"].as_str().unwrap().parse().unwrap();
    let payment = lab.pay(&merchant_id, "key-1").await;
    lab.until_received(1).await;
    let path = format!("/payments/{}/status", payment["payment_id"].as_str().unwrap());
    let (_, changed) = lab.post(&path, json!({"status": "processing"})).await;
    lab.until_received(2).await;

    let told = [("payment.created", 1, payment), ("payment.processing", 2, changed)];
    for ((headers, body), (event_type, version, payment)) in lab.receiver.requests().into_iter().zip(told) {
        let header = |name: &str| headers[name].to_str().unwrap();
        assert_eq!(header("content-type"), "application/json");
        assert!(header("user-agent").starts_with("Everhook/"), "{headers:?}");
        let timestamp_s = header("webhook-timestamp").parse().unwrap();
        let signatures = header("webhook-signature");
        let signed = Signed { id: header("webhook-id"), timestamp_s, signatures, body: &body };
        verify(std::slice::from_ref(&key), signed, timestamp_s).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let expected = json!({
            "type": event_type, "timestamp": payment["updated_at"], "data": payment, "event_id": header("webhook-id"),
            "event_version": version, "object_version": version, "observed_at": payment["updated_at"],
        });
        assert_eq!(body, expected);
    }
    lab.until_nothing_is_in_memory().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_fails_is_tried_again_by_the_schedule_until_it_is_accepted(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let (merchant_id, _) = lab.merchant().await;
    sqlx::query("update endpoints set schedule_ms = '{0,20,20,20,20}'").execute(&lab.database).await.unwrap();
    lab.receiver.answer_in_turn([500, 500, 204]);
    lab.pay(&merchant_id, "key-1").await;
    lab.until_received(3).await;
    lab.until_nothing_is_in_memory().await;
    let ids: Vec<_> = lab.receiver.requests().into_iter().map(|(headers, _)| headers["webhook-id"].clone()).collect();
    assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[sqlx::test(migrations = "../../migrations")]
async fn when_the_schedule_is_used_up_it_is_given_up(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (merchant_id, _) = lab.merchant().await;
    sqlx::query("update endpoints set schedule_ms = '{0,0}'").execute(&lab.database).await.unwrap();
    lab.receiver.answer(500);
    lab.pay(&merchant_id, "key-1").await;
    lab.until_received(2).await;
    lab.until_nothing_is_in_memory().await;
    assert_eq!(lab.receiver.requests().len(), 2);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_receiver_that_is_gone_gets_nothing_more(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (merchant_id, _) = lab.merchant().await;
    lab.receiver.answer(410);
    lab.pay(&merchant_id, "key-1").await;
    lab.until_nothing_is_in_memory().await;
    lab.pay(&merchant_id, "key-2").await;
    lab.until_nothing_is_in_memory().await;
    assert_eq!(lab.receiver.requests().len(), 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_repeated_request_sends_nothing_again(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (merchant_id, _) = lab.merchant().await;
    let first = lab.pay(&merchant_id, "key-1").await;
    lab.until_nothing_is_in_memory().await;
    assert_eq!(lab.pay(&merchant_id, "key-1").await, first);
    lab.until_nothing_is_in_memory().await;
    assert_eq!(lab.receiver.requests().len(), 1);
}
